//! The editor's language: everything that knows the Language Server Protocol.
//!
//! A message comes in through [`pump`], which keeps the order in which the editor sent it. What a keystroke sends goes
//! straight to [`handlers::sync`]; everything else is a call of tower-lsp's service, whose methods ([`backend`]) lead to
//! one handler each. What the client can do is resolved once, at its introduction ([`capabilities`]), and kept with all
//! else that belongs to it in the [`session`]. The agent reaches the editor through [`host`], which puts its wishes
//! into the protocol's words ([`convert`], [`progress`]). Everything that goes out goes through [`outbound`], where
//! nobody waits. `leftovers` offers what earlier sessions left undone. [`server`] ties these together and knows how a session ends.

pub mod agent;
pub mod backend;
pub mod capabilities;
pub mod commands;
pub mod convert;
pub mod end;
mod following;
pub mod handlers;
pub mod host;
mod leftovers;
pub mod outbound;
pub mod parent;
pub mod problems;
pub mod progress;
pub mod pump;
pub mod server;
pub mod session;
pub mod status;

pub use self::end::End;
pub use self::server::{Ended, ServerOptions, serve};
pub use self::session::Session;
