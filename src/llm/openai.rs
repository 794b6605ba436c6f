//! OpenAI chat completions, and the many servers that speak it more or less.
//!
//! Options of a provider of kind `openai`: `api` (`chat`, or `responses` for the newer API), `max_tokens_field` (default `max_completion_tokens`; older
//! servers know only `max_tokens`), `echo_reasoning` (`false`: never send reasoning text back). All others go into the
//! body as they stand and win over ours, e.g. `reasoning_effort`, `prompt_cache_key`, `stream_options`; for `responses`
//! e.g. `reasoning = { effort = "high", summary = "auto" }`.

mod decode;
mod encode;
mod list;
mod responses;

use std::sync::Arc;

use reqwest::header::{AUTHORIZATION, HeaderMap};

use crate::config::ProviderConfig;
use crate::llm::catalogue::Facts;
use crate::llm::failure::{Failure, classify};
use crate::llm::provider::{Decode, HttpRequest, Provider, secret_header};
use crate::llm::{LlmError, Request};

pub use self::responses::Responses;

/// Options that are ours to read, not the server's.
const READ: [&str; 3] = ["api", "max_tokens_field", "echo_reasoning"];

/// The codec.
#[derive(Debug)]
pub struct OpenAi;

impl Provider for OpenAi {
    fn encode(&self, request: &Request, provider: &ProviderConfig) -> Result<HttpRequest, LlmError> {
        Ok(HttpRequest {
            path: "chat/completions".to_owned(),
            headers: headers(provider)?,
            body: encode::body(request, provider)?,
        })
    }

    fn decoder(&self, origin: Arc<str>) -> Box<dyn Decode> {
        Box::new(decode::Decoder::new(origin))
    }

    fn error(&self, status: u16, headers: &HeaderMap, body: &[u8]) -> Failure {
        classify(Some(status), headers, body)
    }

    fn list_models(&self, provider: &ProviderConfig) -> Result<(String, HeaderMap), LlmError> {
        Ok(("models".to_owned(), headers(provider)?))
    }

    fn read_models(&self, body: &[u8]) -> Vec<Facts> {
        list::read(body)
    }
}

fn headers(provider: &ProviderConfig) -> Result<HeaderMap, LlmError> {
    let mut headers = HeaderMap::new();
    if let Some(key) = &provider.key {
        headers.insert(AUTHORIZATION, secret_header("Bearer ", key)?);
    }
    Ok(headers)
}
