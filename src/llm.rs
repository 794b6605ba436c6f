//! Talking to models: vendor-free types, pure codecs for each vendor, and a transport that knows no vendor.
//!
//! `types` says what a request and a response are. `provider` is the port that `openai` and `anthropic` implement:
//! bytes in, events out, no socket. `transport` owns the one pooled HTTP client of each provider, `sse` turns its
//! bytes into events, `retry` decides, and `client` puts them together behind one call.

pub mod types;

pub use self::types::*;
