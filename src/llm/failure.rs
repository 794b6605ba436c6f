//! What an error body means: one sentence, what to do, and whether trying again can help.
//!
//! The vendors' bodies differ in shape and agree in substance, and gateways mix them (an Anthropic path answers in
//! OpenAI's form), so one reader takes them all: codes first, then a list of texts, then the status.

use std::time::Duration;

use reqwest::header::HeaderMap;
use serde_json::Value;

use crate::llm::sse::Oversize;
use crate::llm::{LlmError, LlmErrorKind};

/// Of an error body only this many bytes are read.
pub const MAX_ERROR_BODY: usize = 64 << 10;
/// Of a provider's own message only this many bytes are shown.
const MAX_MESSAGE: usize = 600;

/// Whether the same request may do better later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// No: it would fail the same way.
    Never,
    /// After a wait.
    Later,
    /// At once: the connection was dead before the request reached anyone.
    Now,
}

/// A failed attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What to tell.
    pub error: LlmError,
    /// What to try.
    pub again: Again,
    /// When to try, where the body says so (Gemini's `RetryInfo`); headers win over it.
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// A failure that no HTTP answer brought.
    pub fn new(kind: LlmErrorKind, message: impl Into<String>, hint: impl Into<String>, again: Again) -> Self {
        Self { error: LlmError::new(kind, message, hint), again, retry_after: None }
    }

    /// The stream does not follow the protocol. Trying again can help: gateways cut and mangle.
    pub fn bad_response(message: impl Into<String>) -> Self {
        Self::new(
            LlmErrorKind::BadResponse,
            message,
            "try again; if it stays, check that base_url and kind fit this server",
            Again::Later,
        )
    }

    /// The stream ended before the protocol's end.
    pub fn cut() -> Self {
        Self::bad_response("the response ended before its end event; what came of it is not used")
    }
}

impl From<Oversize> for Failure {
    fn from(error: Oversize) -> Self {
        Self { again: Again::Never, ..Self::bad_response(error.to_string()) }
    }
}

impl From<LlmError> for Failure {
    fn from(error: LlmError) -> Self {
        Self { error, again: Again::Never, retry_after: None }
    }
}

/// What could be read of an error body.
#[derive(Debug, Default)]
struct Body {
    /// `type`, `code` and `status` in one string of words, in lower case.
    codes: String,
    message: String,
    request_id: Option<String>,
    /// The code, where it was an HTTP status.
    status: Option<u16>,
    retry_after: Option<Duration>,
}

impl Body {
    fn read(body: &[u8]) -> Self {
        let Ok(value) = serde_json::from_slice::<Value>(body) else {
            let text = String::from_utf8_lossy(body);
            let text = text.trim();
            let message = if text.starts_with('<') {
                "an HTML page, probably of a proxy or gateway in between".to_owned()
            } else {
                text.to_owned()
            };
            return Self { message, ..Self::default() };
        };
        let root = match &value {
            Value::Array(list) => list.first().unwrap_or(&Value::Null),
            other => other,
        };
        let error = match root.get("error") {
            // Some wrap the error twice.
            Some(error) => error.get("error").filter(|inner| inner.is_object()).unwrap_or(error),
            None => root,
        };
        let mut found = Self {
            request_id: root.get("request_id").and_then(Value::as_str).map(str::to_owned),
            message: match error {
                Value::String(text) => text.clone(),
                _ => ["message", "detail"].iter().find_map(|key| error.get(key)).map_or_else(String::new, |message| {
                    message.as_str().map_or_else(|| message.to_string(), str::to_owned)
                }),
            },
            ..Self::default()
        };
        for key in ["type", "code", "status"] {
            match error.get(key) {
                Some(Value::String(word)) => {
                    found.codes.push_str(&word.to_ascii_lowercase());
                    found.codes.push(' ');
                }
                Some(Value::Number(number)) => {
                    found.status =
                        number.as_u64().and_then(|n| u16::try_from(n).ok()).filter(|n| (400..600).contains(n));
                }
                _ => {}
            }
        }
        found.retry_after = error
            .get("details")
            .and_then(Value::as_array)
            .and_then(|details| details.iter().find_map(|detail| proto_duration(detail.get("retryDelay")?.as_str()?)));
        found
    }

    fn code(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.codes.contains(word))
    }
}

/// `38s`, `0.5s`: a duration as protocol buffers spell it. Nothing at all is no wait.
fn proto_duration(text: &str) -> Option<Duration> {
    let seconds = text.trim().strip_suffix('s')?.parse::<f64>().ok().filter(|seconds| *seconds > 0.0)?;
    Some(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}

/// Codes and texts of a prompt that does not fit. An overflow is never sent again unchanged.
const OVERFLOW_CODES: &[&str] = &["context_length_exceeded", "exceed_context_size", "request_too_large"];
const OVERFLOW_TEXTS: &[&str] = &[
    "prompt is too long",
    "exceed context limit",
    "exceeds the context window",
    "maximum context length",
    "context length exceeded",
    "exceeds the context length",
    "exceed context window",
    "max context length",
    "max_seq_len",
    "exceeds the available context size",
    "input token count",
    "exceeds the maximum number of tokens",
];
/// Money, not speed: waiting does not help.
const QUOTA_CODES: &[&str] = &["insufficient_quota", "credit_balance", "billing", "spend_limit", "quota_exceeded"];
const QUOTA_TEXTS: &[&str] =
    &["credit balance is too low", "exceeded your current quota", "spend limit", "usage limit"];

/// Reads the failure that an HTTP answer, or an error inside a stream (`status: None`), reports.
pub fn classify(status: Option<u16>, headers: &HeaderMap, body: &[u8]) -> Failure {
    let body_of = Body::read(&body[..body.len().min(MAX_ERROR_BODY)]);
    let effective = status.filter(|status| *status >= 300).or(body_of.status);
    let text = body_of.message.to_ascii_lowercase();
    let says = |texts: &[&str]| texts.iter().any(|needle| text.contains(needle));
    let known = kind_by_code(&body_of);
    let unspecific = !matches!(effective, Some(401 | 403 | 404 | 429));

    let (kind, again) = if body_of.code(OVERFLOW_CODES) || (unspecific && says(OVERFLOW_TEXTS)) {
        (LlmErrorKind::ContextOverflow, Again::Never)
    } else if body_of.code(QUOTA_CODES)
        || effective == Some(402)
        // Gemini says the same of the quota of a minute, and then when it is over.
        || (says(QUOTA_TEXTS) && body_of.retry_after.is_none())
    {
        (LlmErrorKind::RateLimited, Again::Never)
    } else if let Some(status) = effective {
        by_status(status, known)
    } else {
        known.unwrap_or((LlmErrorKind::Provider, Again::Later))
    };
    let mut error = LlmError::new(kind, sentence(status, headers, &body_of), hint(kind, again, effective));
    error.status = status;
    error.request_id = ["x-request-id", "request-id"]
        .iter()
        .find_map(|name| headers.get(*name)?.to_str().ok())
        .map(|id| clip(id, 200))
        .or(body_of.request_id.map(|id| clip(&id, 200)));
    Failure { error, again, retry_after: body_of.retry_after }
}

fn kind_by_code(body: &Body) -> Option<(LlmErrorKind, Again)> {
    use LlmErrorKind as Kind;
    Some(if body.code(&["rate_limit", "slow_down", "resource_exhausted"]) {
        (Kind::RateLimited, Again::Later)
    } else if body.code(&["overloaded", "unavailable"]) {
        (Kind::Overloaded, Again::Later)
    } else if body.code(&["timeout", "deadline_exceeded"]) {
        (Kind::Timeout, Again::Later)
    } else if body.code(&["authentication", "permission", "invalid_api_key", "unauthenticated"]) {
        (Kind::Auth, Again::Never)
    } else if body.code(&["not_found", "invalid_request", "invalid_argument", "badrequest"]) {
        (Kind::Config, Again::Never)
    } else {
        return None;
    })
}

fn by_status(status: u16, known: Option<(LlmErrorKind, Again)>) -> (LlmErrorKind, Again) {
    use LlmErrorKind as Kind;
    match status {
        401 | 403 | 407 => (Kind::Auth, Again::Never),
        408 | 504 => (Kind::Timeout, Again::Later),
        409 | 425 => (Kind::Provider, Again::Later),
        413 => (Kind::ContextOverflow, Again::Never),
        429 => (Kind::RateLimited, Again::Later),
        503 | 529 => (Kind::Overloaded, Again::Later),
        501 | 505 => (Kind::Config, Again::Never),
        // A server that says 500 may still say what it means: OpenAI's "server_is_overloaded".
        500.. => known.filter(|(_, again)| *again == Again::Later).unwrap_or((Kind::Provider, Again::Later)),
        _ => (Kind::Config, Again::Never),
    }
}

fn sentence(status: Option<u16>, headers: &HeaderMap, body: &Body) -> String {
    let mut sentence = match status {
        Some(status @ 300..=399) => {
            let place = headers
                .get(reqwest::header::LOCATION)
                .and_then(|place| place.to_str().ok())
                .and_then(|place| url::Url::parse(place).ok())
                .map_or_else(|| "another address".to_owned(), |place| place.origin().ascii_serialization());
            return format!(
                "answered {status}, a redirect to {place}; it was not followed, because the key would go along"
            );
        }
        Some(status) => format!("answered {status}"),
        None => "failed in the middle of the response".to_owned(),
    };
    let code = body.codes.trim();
    if !code.is_empty() {
        sentence.push_str(&format!(" ({})", clip(code, 120)));
    }
    if !body.message.trim().is_empty() {
        sentence.push_str(": ");
        sentence.push_str(&clip(body.message.trim(), MAX_MESSAGE));
    }
    sentence
}

fn hint(kind: LlmErrorKind, again: Again, status: Option<u16>) -> &'static str {
    match (kind, again) {
        _ if status.is_some_and(|status| (300..400).contains(&status)) => {
            "set base_url to the address it redirects to, if you trust it"
        }
        _ if status == Some(407) => "the proxy in between wants a login: check the proxy variables of the environment",
        (LlmErrorKind::Auth, _) => {
            "check the API key and what it is allowed to use; `ropeway doctor` shows which one is taken"
        }
        (LlmErrorKind::RateLimited, Again::Never) => {
            "the account's quota or balance is spent: top it up, or choose another model"
        }
        (LlmErrorKind::RateLimited, _) => "wait a moment, or choose another model",
        (LlmErrorKind::Overloaded, _) => "try again later, or choose another model",
        (LlmErrorKind::ContextOverflow, _) => {
            "clear or compact the conversation, or choose a model with a larger window"
        }
        (LlmErrorKind::Timeout, _) => "try again",
        (LlmErrorKind::Config, _) if status == Some(404) => "check the model's name and base_url",
        (LlmErrorKind::Config, _) => "check the model's name and the provider's options",
        _ => "try again; if it stays, ask the provider with the request id",
    }
}

/// At most `limit` bytes of a foreign text, on one line and without control characters.
pub(crate) fn clip(text: &str, limit: usize) -> String {
    let mut clipped = String::new();
    for character in text.chars() {
        let character = if character.is_control() { ' ' } else { character };
        if clipped.len() + character.len_utf8() > limit {
            clipped.push('…');
            break;
        }
        clipped.push(character);
    }
    clipped
}

#[cfg(test)]
mod tests {
    use super::*;
    use LlmErrorKind as Kind;

    fn of(status: u16, body: &str) -> (Kind, Again) {
        let failure = classify(Some(status), &HeaderMap::new(), body.as_bytes());
        assert!(!failure.error.message.is_empty() && !failure.error.hint.is_empty());
        (failure.error.kind, failure.again)
    }

    #[test]
    fn the_status_decides_where_the_body_says_nothing() {
        for (status, kind, again) in [
            (400, Kind::Config, Again::Never),
            (401, Kind::Auth, Again::Never),
            (402, Kind::RateLimited, Again::Never),
            (403, Kind::Auth, Again::Never),
            (404, Kind::Config, Again::Never),
            (407, Kind::Auth, Again::Never),
            (408, Kind::Timeout, Again::Later),
            (409, Kind::Provider, Again::Later),
            (413, Kind::ContextOverflow, Again::Never),
            (422, Kind::Config, Again::Never),
            (425, Kind::Provider, Again::Later),
            (429, Kind::RateLimited, Again::Later),
            (500, Kind::Provider, Again::Later),
            (501, Kind::Config, Again::Never),
            (502, Kind::Provider, Again::Later),
            (503, Kind::Overloaded, Again::Later),
            (504, Kind::Timeout, Again::Later),
            (529, Kind::Overloaded, Again::Later),
        ] {
            for body in ["", "<html>Bad gateway</html>", "[]", "null", "{", "{\"error\":null}", "{\"error\":{}}"] {
                assert_eq!(of(status, body), (kind, again), "{status} {body}");
            }
        }
    }

    #[test]
    fn codes_and_texts_of_every_vendor_are_known() {
        for (status, body, expected) in [
            (
                429,
                r#"{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","code":"insufficient_quota"}}"#,
                (Kind::RateLimited, Again::Never),
            ),
            (
                429,
                r#"{"error":{"message":"m","type":"x","code":"credit_balance_exhausted"}}"#,
                (Kind::RateLimited, Again::Never),
            ),
            (
                429,
                r#"{"error":{"message":"Rate limit reached","type":"requests","code":"rate_limit_exceeded"}}"#,
                (Kind::RateLimited, Again::Later),
            ),
            (
                400,
                r#"{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the API"}}"#,
                (Kind::RateLimited, Again::Never),
            ),
            (
                402,
                r#"{"type":"error","error":{"type":"billing_error","message":"m"}}"#,
                (Kind::RateLimited, Again::Never),
            ),
            (
                400,
                r#"{"error":{"message":"Your input exceeds the context window of this model.","code":"context_length_exceeded"}}"#,
                (Kind::ContextOverflow, Again::Never),
            ),
            (
                400,
                r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 1013811 tokens > 1000000 maximum"}}"#,
                (Kind::ContextOverflow, Again::Never),
            ),
            (
                400,
                r#"{"type":"error","error":{"type":"invalid_request_error","message":"input length and `max_tokens` exceed context limit: 187254 + 20000 > 204798"}}"#,
                (Kind::ContextOverflow, Again::Never),
            ),
            (
                400,
                r#"{"error":{"code":400,"type":"exceed_context_size_error","message":"m","n_ctx":2048}}"#,
                (Kind::ContextOverflow, Again::Never),
            ),
            (
                400,
                r#"{"error":{"message":"This endpoint's maximum context length is 4 tokens. However, you requested about 5"}}"#,
                (Kind::ContextOverflow, Again::Never),
            ),
            (
                400,
                r#"[{"error":{"code":400,"message":"The input token count (9) exceeds the maximum number of tokens allowed (8)","status":"INVALID_ARGUMENT"}}]"#,
                (Kind::ContextOverflow, Again::Never),
            ),
            (
                529,
                r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_1"}"#,
                (Kind::Overloaded, Again::Later),
            ),
            (500, r#"{"error":{"code":"server_is_overloaded","message":"m"}}"#, (Kind::Overloaded, Again::Later)),
            (500, r#"{"error":{"type":"invalid_request_error","message":"m"}}"#, (Kind::Provider, Again::Later)),
            (
                404,
                r#"{"error":{"message":"The model `x` does not exist","code":"model_not_found"}}"#,
                (Kind::Config, Again::Never),
            ),
        ] {
            assert_eq!(of(status, body), expected, "{body}");
        }
    }

    #[test]
    fn an_error_inside_a_stream_has_no_status_but_a_kind() {
        for (body, expected) in [
            (
                r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
                (Kind::Overloaded, Again::Later),
            ),
            (r#"{"error":{"message":"m","code":429}}"#, (Kind::RateLimited, Again::Later)),
            (r#"{"error":{"message":"m","type":"server_error"}}"#, (Kind::Provider, Again::Later)),
            (
                r#"{"type":"error","sequence_number":3,"error":{"type":"invalid_request_error","code":"context_length_exceeded","message":"m"}}"#,
                (Kind::ContextOverflow, Again::Never),
            ),
            (r#"{"error":"model is loading"}"#, (Kind::Provider, Again::Later)),
        ] {
            let failure = classify(None, &HeaderMap::new(), body.as_bytes());
            assert_eq!((failure.error.kind, failure.again), expected, "{body}");
        }
    }

    #[test]
    fn the_sentence_has_the_status_the_code_and_the_message_and_no_controls() {
        let mut headers = HeaderMap::new();
        headers.insert("request-id", "req_9".parse().unwrap());
        let body = br#"{"type":"error","error":{"type":"not_found_error","message":"model:\n\u001b[31mx"}}"#;
        let error = classify(Some(404), &headers, body).error;
        assert_eq!(error.message, "answered 404 (not_found_error): model:  [31mx");
        assert_eq!(error.request_id.as_deref(), Some("req_9"));
        let long = classify(Some(500), &headers, "é".repeat(5000).as_bytes()).error;
        assert!(long.message.len() < 700 && long.message.ends_with('…'));
    }

    #[test]
    fn geminis_wait_is_read_from_the_body() {
        let wait = |delay: &str| {
            let body = format!(
                r#"[{{"error":{{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED","details":[{{"@type":"type.googleapis.com/google.rpc.QuotaFailure"}},{{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"{delay}"}}]}}}}]"#
            );
            let failure = classify(Some(429), &HeaderMap::new(), body.as_bytes());
            assert_eq!((failure.error.kind, failure.again), (Kind::RateLimited, Again::Later));
            failure.retry_after
        };
        assert_eq!(wait("38s"), Some(Duration::from_secs(38)));
        assert_eq!(wait("0.25s"), Some(Duration::from_millis(250)));
        assert_eq!(wait("1e300s"), Some(Duration::MAX));
        for odd in ["", "s", "soon", "-3s", "0s", "NaNs", "38"] {
            assert_eq!(wait(odd), None, "{odd}");
        }
        assert_eq!(
            classify(Some(429), &HeaderMap::new(), br#"{"error":{"details":[{"retryDelay":38}]}}"#).retry_after,
            None
        );
    }

    #[test]
    fn a_redirect_is_told_by_its_origin_only() {
        let mut headers = HeaderMap::new();
        headers.insert("location", "https://elsewhere.test/x?token=secret".parse().unwrap());
        let error = classify(Some(307), &headers, b"").error;
        assert_eq!(error.kind, Kind::Config);
        assert!(
            error.message.contains("https://elsewhere.test;") && !error.message.contains("secret"),
            "{}",
            error.message
        );
    }
}
