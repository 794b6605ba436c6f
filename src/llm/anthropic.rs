//! Anthropic messages.
//!
//! Options of a provider of kind `anthropic`: `version` (header `anthropic-version`, default `2026-10-21`; a
//! temperature is sent only with an older one, since this refuses it), `beta` (header `anthropic-beta`), `auth`
//! (`x-api-key`, or `bearer` for gateways and tokens), `path_prefix` (default `/v1`), `prompt_cache` (`false`: no
//! cache marks; `"1h"`: they hold for an hour), `eager_input_streaming` (`true`: arguments stream as they are written,
//! which is sooner and not checked), `diagnostics` (`true`: asks why the cache missed, and logs it). All others go into the body as they stand, e.g. `thinking = { type = "adaptive" }` and
//! `output_config = { effort = "high" }`.

mod block;
mod decode;
mod encode;

use std::sync::Arc;

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::Value;

use crate::config::ProviderConfig;
use crate::llm::catalogue::Facts;
use crate::llm::endpoint::text_option;
use crate::llm::failure::{Failure, classify};
use crate::llm::provider::{Decode, HttpRequest, Provider, secret_header};
use crate::llm::{LlmError, LlmErrorKind, Request};

/// The first version without sampling parameters, and the one we ask for.
const VERSION: &str = "2026-10-21";

/// The codec.
#[derive(Debug)]
pub struct Anthropic;

impl Provider for Anthropic {
    fn encode(&self, request: &Request, provider: &ProviderConfig) -> Result<HttpRequest, LlmError> {
        Ok(HttpRequest {
            path: format!("{}/messages", prefix(provider)),
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
        Ok((format!("{}/models?limit=1000", prefix(provider)), headers(provider)?))
    }

    fn read_models(&self, body: &[u8]) -> Vec<Facts> {
        #[derive(Deserialize)]
        struct List {
            data: Vec<Model>,
        }
        #[derive(Deserialize)]
        struct Model {
            id: String,
            max_input_tokens: Option<u64>,
            max_tokens: Option<u64>,
            capabilities: Option<Value>,
        }
        let list = serde_json::from_slice::<List>(body).map(|list| list.data).unwrap_or_default();
        let can = |capabilities: &Value, what: &str| match &capabilities[what] {
            Value::Null => None,
            Value::Bool(can) => Some(*can),
            other => Some(other["supported"].as_bool().unwrap_or(true)),
        };
        list.into_iter()
            .map(|model| Facts {
                context_window: model.max_input_tokens,
                max_output_tokens: model.max_tokens,
                thinking: model.capabilities.as_ref().and_then(|capabilities| can(capabilities, "thinking")),
                ..Facts::named(&model.id)
            })
            .collect()
    }
}

fn prefix(provider: &ProviderConfig) -> &str {
    text_option(provider, "path_prefix").unwrap_or("/v1").trim_end_matches('/')
}

fn version(provider: &ProviderConfig) -> &str {
    text_option(provider, "version").unwrap_or(VERSION)
}

fn headers(provider: &ProviderConfig) -> Result<HeaderMap, LlmError> {
    let plain = |name: &str, value: &str| {
        HeaderValue::from_str(value).map_err(|_| {
            LlmError::new(
                LlmErrorKind::Config,
                format!("the option {name} cannot be a header"),
                "write it as plain text",
            )
        })
    };
    let mut headers = HeaderMap::new();
    headers.insert(HeaderName::from_static("anthropic-version"), plain("version", version(provider))?);
    if let Some(beta) = text_option(provider, "beta") {
        headers.insert(HeaderName::from_static("anthropic-beta"), plain("beta", beta)?);
    }
    if let Some(key) = &provider.key {
        if text_option(provider, "auth") == Some("bearer") {
            headers.insert(AUTHORIZATION, secret_header("Bearer ", key)?);
        } else {
            headers.insert(HeaderName::from_static("x-api-key"), secret_header("", key)?);
        }
    }
    Ok(headers)
}
