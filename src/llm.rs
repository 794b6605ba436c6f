//! Talking to models: vendor-free types, pure codecs for each vendor, and a transport that knows no vendor.
//!
//! `types` says what a request and a response are, `endpoint` where to send one. `provider` is the port that `openai`,
//! `anthropic`, `google` and `ollama` implement, each a feature of the build: a request in, bytes out; bytes in, events
//! out; no socket. `body`, `fields`, `surrogates`, `scan` and `calls` are what they share, and `failure` turns an error body of any vendor into one sentence. `sse` finds the
//! events in a body and `reader` joins it to a decoder, so that a whole response can be read from a file
//! (`recorded`, in tests). `transport` owns the one pooled HTTP client of each provider, `stream` is a response on its
//! way in, `retry` decides, and `client` puts them together behind one call; `secrets` keeps keys out of what it says.
//! `models` is a table, and `catalogue` what providers say of their models themselves.

#[cfg(not(any(feature = "openai", feature = "anthropic", feature = "google", feature = "ollama")))]
compile_error!("choose at least one provider: --features openai, anthropic, google or ollama");

#[cfg(feature = "anthropic")]
mod anthropic;
mod body;
mod calls;
pub mod catalogue;
pub mod client;
mod endpoint;
pub mod failure;
mod fields;
#[cfg(feature = "google")]
mod google;
pub mod models;
#[cfg(feature = "ollama")]
mod ollama;
#[cfg(feature = "openai")]
mod openai;
pub mod provider;
pub mod reader;
#[cfg(test)]
#[cfg(all(feature = "openai", feature = "anthropic", feature = "google", feature = "ollama"))]
mod recorded;
pub mod retry;
mod scan;
mod secrets;
pub mod sse;
mod stream;
mod surrogates;
pub mod transport;
pub mod types;

pub use self::client::{Client, ClientSettings, Counters, Probe, RetryNotice};
pub use self::stream::{ResponseStream, Timing};
pub use self::types::*;
