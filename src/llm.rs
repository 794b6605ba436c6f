//! Talking to models: vendor-free types, pure codecs for each vendor, and a transport that knows no vendor.
//!
//! `types` says what a request and a response are, `endpoint` where to send one. `provider` is the port that `openai`
//! and `anthropic` implement: bytes in, events out, no socket; `surrogates` and `calls` are what their decoders share
//! and `failure` turns an error body of any of them into one sentence. `transport` owns the one pooled HTTP client of
//! each provider, `sse` turns its bytes into events, `retry` decides, and `client` puts them together behind one call.
//! `models` is a table.

pub mod anthropic;
mod body;
mod calls;
pub mod client;
mod endpoint;
pub mod failure;
pub mod models;
pub mod openai;
pub mod provider;
mod reader;
#[cfg(test)]
mod recorded;
pub mod retry;
mod secrets;
pub mod sse;
mod stream;
mod surrogates;
pub mod transport;
pub mod types;

pub use self::client::{Client, ClientSettings, Counters, Probe, ResponseStream, RetryNotice, Timing};
pub use self::types::*;
