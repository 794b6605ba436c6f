//! The Responses API: a turn is a list of items, each of which goes back exactly as it came.
//!
//! Nothing is stored at the provider (`store: false`), so reasoning travels with the conversation in its encrypted form.

mod decode;
mod encode;
mod item;

use std::sync::Arc;

use reqwest::header::HeaderMap;

use super::headers;
use crate::config::ProviderConfig;
use crate::llm::catalogue::Facts;
use crate::llm::failure::{Failure, classify};
use crate::llm::provider::{Decode, HttpRequest, Provider};
use crate::llm::{LlmError, Request};

/// The codec.
#[derive(Debug)]
pub struct Responses;

impl Provider for Responses {
    fn encode(&self, request: &Request, provider: &ProviderConfig) -> Result<HttpRequest, LlmError> {
        Ok(HttpRequest {
            path: "responses".to_owned(),
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
        super::OpenAi.list_models(provider)
    }

    fn read_models(&self, body: &[u8]) -> Vec<Facts> {
        super::OpenAi.read_models(body)
    }
}
