//! Ropeway: a coding agent that lives in a language server.
//!
//! It knows what the editor knows (live buffers), works while the model still speaks, and gives every edit back
//! through the editor's own undo, carried over what the user typed meanwhile. This page is the map of the house.
//!
//! # Floors
//!
//! A module uses only lower floors, never its own or a higher one; files inside one module may use each other.
//! `tests/it/tidy.rs` reads every `crate::` path and fails, naming the two floors, where that is broken.
//!
//! | floor | modules |
//! | --- | --- |
//! | 7 the program | `cli` (and `main.rs`) |
//! | 6 the editor's language | `lsp` |
//! | 5 the agent | `agent` |
//! | 4 what the model can do | `tools` |
//! | 3 what we talk to | `host`, `llm` |
//! | 2 the sources of truth | `config`, `workspace`, `syntax` and `report` (know no workspace, but stand on `text` and `trajectory`) |
//! | 1 know no workspace | `text`, `tokens`, `disk`, `metrics`, `otlp`, `trajectory`, `watch` |
//! | 0 words | `ids`, `moment`, `paths` |
//!
//! # Two flows
//!
//! **A keystroke**: stdin → `lsp::pump` (framing, wire order, on the reader's thread) → `lsp::handlers::sync` →
//! `workspace`: lock, edit the rope, remember the edit, carry the staged edits of every run over it, unlock.
//! No await, no copy of the text.
//!
//! **A click**: `codeAction` answers from memory with commands → `executeCommand` starts a run and answers at once →
//! `agent::run` does what `agent::phase` says → `agent::turn` streams the model; a tool call goes to
//! `tools::scheduler` the moment its arguments are complete → tools read staged → open → disk and stage edits →
//! `agent::propose` rebases what is staged and sends it through `host` → the didChange that comes back is the proof.

pub mod ids;
pub mod moment;
pub mod paths;

pub mod disk;
pub mod metrics;
#[cfg(feature = "otlp")]
pub mod otlp;
pub mod text;
pub mod tokens;
pub mod trajectory;
pub mod watch;

pub mod config;
pub mod report;
pub mod syntax;
pub mod workspace;

pub mod host;
pub mod llm;

pub mod tools;

pub mod agent;

pub mod lsp;

pub mod cli;
