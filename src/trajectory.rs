//! Recording of runs: what happened, in the order in which it happened, on disk while it happens.
//!
//! `record` is the format, `conversation` how the messages of a run are told without telling any twice. `recorder` takes
//! events from whoever has one and costs them next to nothing; `queue` holds them, `writer` makes them into the numbered
//! lines of a `stream` and puts these into files. `part` is one of these files, `store` knows their names, `folder` is the
//! only door to them, and `keep` looks after old ones: torn ends are cut, closed files compressed, what is too old or too
//! much removed. `read` gives records back, `lines` its bounded lines.
//!
//! # Files
//!
//! `sessions/SESSION/` in the state directory belongs to one server, which holds a lock on `lock` for as long as it
//! lives. `session.jsonl` there lists its runs, and each run has files of its own, `RUN.0001.jsonl` and so on, in which
//! everything of it stands: a run can be shown, exported and played again with nothing else. They are plain while they
//! are written, so that what has reached the system survives our end, and compressed afterwards.

pub mod conversation;
pub(crate) mod folder;
mod keep;
mod lines;
mod part;
mod queue;
pub mod read;
pub mod record;
pub mod recorder;
mod store;
mod stream;
mod writer;
