//! Recording of runs: what happened, in the order in which it happened, on disk while it happens.
//!
//! `record` is the format.

pub mod record;
