//! The agent: from an action the user picked to edits proposed back to them.
//!
//! `action` is the catalogue and says when an action is offered; `prompt` turns one into messages, `gather`
//! looks up what the model would ask for first; `history` keeps a
//! conversation valid and `context` keeps it small. `phase` is the loop as a pure machine; `turn` streams one model call;
//! `run` performs what `phase` asks for; `permit` has the policy judge a call, `approval` asks the user about it, and
//! `patience` about a long wait for a model. `propose` brings staged edits to the user's side and proves that they
//! arrived. `runs` owns the tasks: it starts, cancels and remembers them. `restore` brings back
//! threads of earlier sessions and edits that were never delivered, `replay` plays a recorded run again. `outcome` is
//! what a run comes to, `budget` what
//! it may spend and has, `record` what a recording is told, `report` the page made of that, `readout` the numbers about
//! all, `analytics` the tables behind them, `trace` the spans that collectors of traces get, `meter` what fills a
//! conversation.

pub mod action;
pub mod analytics;
pub mod approval;
pub mod budget;
pub mod clock;
pub mod context;
pub mod events;
mod facts;
pub mod findings;
pub mod gather;
pub mod history;
pub mod meter;
pub mod models;
pub mod offer;
pub mod order;
pub mod outcome;
mod patience;
pub mod permit;
pub mod phase;
mod prefetch;
pub mod prompt;
pub mod propose;
pub mod readout;
pub mod record;
pub mod replay;
pub mod report;
pub mod restore;
pub mod run;
pub mod runs;
pub mod services;
pub mod task;
mod trace;
pub mod turn;
