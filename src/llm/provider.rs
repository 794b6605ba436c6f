//! The port between vendors and the transport: requests become bytes, bytes become events; nobody here has a socket.

use std::sync::Arc;

use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};

use crate::config::{ProviderConfig, ProviderKind};
use crate::llm::endpoint::text_option;
use crate::llm::failure::Failure;
use crate::llm::{LlmError, LlmErrorKind, Request, StreamEvent, anthropic, openai};

/// A request as the transport sends it: a POST of `body` to the provider's base URL followed by `path`.
#[derive(Debug)]
pub struct HttpRequest {
    /// Below the base URL.
    pub path: String,
    /// The vendor's own headers, credential included and marked as such.
    pub headers: HeaderMap,
    /// JSON.
    pub body: Bytes,
}

/// What a vendor must be able to do.
pub trait Provider: Send + Sync {
    /// The request in the vendor's form. The same conversation gives the same bytes: prompt caches match prefixes.
    ///
    /// # Errors
    /// `Config` for a setting that cannot be sent.
    fn encode(&self, request: &Request, provider: &ProviderConfig) -> Result<HttpRequest, LlmError>;

    /// A decoder for one response to a request to `origin` (`PROVIDER/MODEL`).
    fn decoder(&self, origin: Arc<str>) -> Box<dyn Decode>;

    /// What an answer with a failing status means. `body` may be cut, empty, or not the vendor's at all.
    fn error(&self, status: u16, headers: &HeaderMap, body: &[u8]) -> Failure;

    /// Where the vendor lists its models: a cheap GET that shows whether it is there and takes the key.
    ///
    /// # Errors
    /// `Config` for a setting that cannot be sent.
    fn list_models(&self, provider: &ProviderConfig) -> Result<(String, HeaderMap), LlmError>;
}

/// A vendor's stream, event by event.
pub trait Decode: Send {
    /// Takes one event and appends what it says. Unknown events say nothing.
    ///
    /// # Errors
    /// The provider reports a failure, or does not keep to its protocol; the stream is over then.
    fn event(&mut self, name: &str, data: &[u8], out: &mut Vec<StreamEvent>) -> Result<(), Failure>;

    /// The connection has nothing more to say. Where the protocol's own end was seen but not yet reported (usage may
    /// follow it), this reports it.
    ///
    /// # Errors
    /// The stream ended before the protocol's end.
    fn end(&mut self, out: &mut Vec<StreamEvent>) -> Result<(), Failure>;

    /// Whether the protocol's end has been reported.
    fn is_done(&self) -> bool;
}

/// The codec for a provider.
///
/// # Errors
/// `Config` for a protocol that this version does not speak.
pub fn codec_of(provider: &ProviderConfig) -> Result<&'static dyn Provider, LlmError> {
    let unsupported = |what: &str| {
        Err(LlmError::new(
            LlmErrorKind::Config,
            format!("{what} is not supported yet"),
            "use a provider of kind openai (also for compatible servers) or anthropic",
        ))
    };
    match provider.kind {
        ProviderKind::OpenAi => match text_option(provider, "api") {
            None | Some("chat") => Ok(&openai::OpenAi),
            Some(other) => unsupported(&format!("the option api = \"{other}\"")),
        },
        ProviderKind::Anthropic => Ok(&anthropic::Anthropic),
        ProviderKind::Google => unsupported("the kind google"),
        ProviderKind::Ollama => unsupported("the kind ollama"),
    }
}

/// A header value that no log shows.
///
/// # Errors
/// `Auth` where the credential holds a character that HTTP cannot carry, such as a line end from a careless copy.
pub(crate) fn secret_header(prefix: &str, key: &SecretString) -> Result<HeaderValue, LlmError> {
    let mut value = HeaderValue::from_str(&format!("{prefix}{}", key.expose_secret().trim())).map_err(|_| {
        LlmError::new(
            LlmErrorKind::Auth,
            "the API key holds characters that cannot be sent",
            "check the variable that holds the key for line ends and quotes",
        )
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// Whether a turn was made by this provider, so that its raw form may be echoed.
pub(crate) fn made_by(origin: &str, config: &ProviderConfig) -> bool {
    origin.split_once('/').is_some_and(|(provider, _)| provider == config.name)
}
