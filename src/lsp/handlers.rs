//! What the server does with each message, one file a kind.
//!
//! A handler of a request takes what it needs from the session before its first await, so that it sees the documents as
//! they were when the request was sent.

pub mod code_action;
pub mod command;
pub mod folders;
pub mod sync;
