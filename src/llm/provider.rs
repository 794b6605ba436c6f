//! The port between vendors and the transport: requests become bytes, bytes become events; nobody here has a socket.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde_json::value::RawValue;

use crate::config::{ProviderConfig, ProviderKind};
use crate::llm::catalogue::Facts;
use crate::llm::failure::Failure;
use crate::llm::{LlmError, LlmErrorKind, Request, StreamEvent};

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

    /// The models of that list, with what it says of each. A body that is no list names none.
    fn read_models(&self, body: &[u8]) -> Vec<Facts>;

    /// The question for what the list does not say of a model, where the vendor answers one.
    fn describe(&self, model: &str, provider: &ProviderConfig) -> Option<Result<HttpRequest, LlmError>> {
        let _ = (model, provider);
        None
    }

    /// Adds what that question's answer says.
    fn read_description(&self, body: &[u8], facts: &mut Facts) {
        let _ = (body, facts);
    }
}

/// How the events of a stream are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Server-sent events.
    Events,
    /// A line each.
    Lines,
}

/// A vendor's stream, event by event.
pub trait Decode: Send {
    /// How its events are told apart.
    fn framing(&self) -> Framing {
        Framing::Events
    }

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

    /// From now on each event is parsed, also one that only repeats the last with another text: slower, and with the
    /// same results.
    fn parse_each(&mut self) {}
}

/// The codec for a provider.
///
/// # Errors
/// `Config` for an option that means nothing, and for a protocol that this build was made without.
pub fn codec_of(provider: &ProviderConfig) -> Result<&'static dyn Provider, LlmError> {
    match provider.kind {
        #[cfg(feature = "openai")]
        ProviderKind::OpenAi => match crate::llm::endpoint::text_option(provider, "api") {
            None | Some("chat") => Ok(&crate::llm::openai::OpenAi),
            Some("responses") => Ok(&crate::llm::openai::Responses),
            Some(other) => Err(LlmError::new(
                LlmErrorKind::Config,
                format!("the option api = \"{}\" means nothing", crate::llm::failure::clip(other, 60)),
                "write \"chat\" or \"responses\"",
            )),
        },
        #[cfg(feature = "anthropic")]
        ProviderKind::Anthropic => Ok(&crate::llm::anthropic::Anthropic),
        #[cfg(feature = "google")]
        ProviderKind::Google => Ok(&crate::llm::google::Google),
        #[cfg(feature = "ollama")]
        ProviderKind::Ollama => Ok(&crate::llm::ollama::Ollama),
        #[cfg(not(all(feature = "openai", feature = "anthropic", feature = "google", feature = "ollama")))]
        missing => Err(LlmError::new(LlmErrorKind::Config, missing.left_out(), missing.how_to_get())),
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

/// An id as an API takes it: letters, digits, `_` and `-`, `longest` bytes at most. What had to be changed gets a mark
/// of what it was, so that two ids stay two.
pub(crate) fn fit_id(id: &str, longest: usize, as_it_is: bool) -> Cow<'_, str> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if as_it_is || (!id.is_empty() && id.len() <= longest && id.bytes().all(fits)) {
        return Cow::Borrowed(id);
    }
    let mark =
        id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    let plain: String = id.bytes().take(40).map(|byte| if fits(byte) { char::from(byte) } else { '_' }).collect();
    Cow::Owned(format!("{plain}_{mark:016x}"))
}

/// The arguments of a call that has none.
pub(crate) fn empty_object() -> &'static RawValue {
    static EMPTY: LazyLock<Box<RawValue>> =
        LazyLock::new(|| RawValue::from_string("{}".to_owned()).expect("an empty object is valid JSON"));
    &EMPTY
}

/// The text of an event, bad bytes replaced. Good ones are looked at as a whole: `from_utf8_lossy` goes through them one
/// by one, which was a tenth of the time of reading an event.
pub(crate) fn utf8(data: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(data).map_or_else(|_| String::from_utf8_lossy(data), Cow::Borrowed)
}

/// An event that is no JSON, or of another shape.
pub(crate) fn bad_event(error: &serde_json::Error) -> Failure {
    Failure::bad_response(format!("an event of the stream is not the JSON it should be: {error}"))
}

/// Whether a turn was made by this provider, so that its raw form may be echoed.
pub(crate) fn made_by(origin: &str, config: &ProviderConfig) -> bool {
    origin.split_once('/').is_some_and(|(provider, _)| provider == config.name)
}
