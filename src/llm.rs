//! Talking to models: vendor-free types, pure codecs for each vendor, and a transport that knows no vendor.
//!
//! `types` says what a request and a response are, `endpoint` where to send one. `provider` is the port that `openai`,
//! `anthropic`, `google` and `ollama` implement, each a feature of the build: a request in, bytes out; bytes in, events
//! out; no socket. `body`, `escape`, `few`, `fields`, `surrogates`, `scan` and `calls` are what they share, and `failure` turns an error body of any vendor into one sentence. `sse` finds the
//! events in a body and `reader` joins it to a decoder, so that a whole response can be read from a file
//! (`recorded`, in tests). `transport` owns the one pooled HTTP client of each provider, `turnover` has it wait for a
//! connection that is coming back, and `live` is a response on its way in. `client` is the one door: `answers` remembers (on disk: `kept`), `flight` lets equal calls be one, and `attempt` asks, as
//! `retry`, `breaker` and `pace` (with the provider's own `allowance`) allow; what is known of a provider is in `peer`,
//! counted in `traffic`. `stream` is what the caller reads. `prefix` notices what spoils the provider's prompt cache and
//! `secrets` keeps keys out of what is said. `played` lets somebody else speak
//! in a model's place. `count` says how many tokens a request will have. `models` is a table, and
//! `catalogue` what providers say of their models themselves.

// What the providers share has a part for each, which a build with some of them has no use for.
#![cfg_attr(
    not(all(feature = "openai", feature = "anthropic", feature = "google", feature = "ollama")),
    allow(dead_code, reason = "a build without some providers uses a part of what all of them share")
)]

#[cfg(not(any(feature = "openai", feature = "anthropic", feature = "google", feature = "ollama")))]
compile_error!("choose at least one provider: --features openai, anthropic, google or ollama");

mod allowance;
mod answers;
#[cfg(feature = "anthropic")]
mod anthropic;
mod attempt;
mod body;
mod breaker;
mod calls;
pub mod catalogue;
pub mod client;
pub mod count;
mod endpoint;
mod escape;
pub mod failure;
mod few;
mod fields;
mod flight;
mod frame;
#[cfg(feature = "google")]
mod google;
pub mod kept;
mod live;
pub mod models;
#[cfg(feature = "ollama")]
mod ollama;
#[cfg(feature = "openai")]
mod openai;
mod pace;
mod peer;
pub mod played;
mod prefix;
pub mod provider;
pub mod reader;
#[cfg(test)]
#[cfg(all(feature = "openai", feature = "anthropic", feature = "google", feature = "ollama"))]
mod recorded;
pub mod retry;
mod scan;
pub mod secrets;
pub mod sse;
mod stream;
mod surrogates;
mod traffic;
pub mod transport;
mod turnover;
pub mod types;

pub use self::client::{Call, Client, ClientSettings, Counters, Probe, RetryNotice, Target};
pub use self::stream::{ResponseStream, Timing};
pub use self::traffic::ProviderTraffic;
pub use self::types::*;
