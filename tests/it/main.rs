//! The tests that need more than one module, as one binary: it links once.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]

mod support;

mod aimock;
mod canary;
mod cli;
mod commands;
mod config;
mod demo;
mod editors;
mod flow;
mod host;
mod initialize;
mod llm;
mod logs;
mod neovim;
#[cfg(feature = "otlp")]
mod otlp;
mod policy;
mod pump;
mod readout;
mod recording;
mod report;
mod run;
mod sessions;
mod surface;
mod sync;
mod text_mirror;
mod tidy;
mod tokens;
mod tools;
mod typing;
mod workspace;
