//! Gemini's `generateContent`, streamed.
//!
//! Options of a provider of kind `google`: `api_version` (`v1`, or `v1beta` for servers that know only that one),
//! `path_prefix` (all that stands before `/models`, for gateways; wins over `api_version`), `thinkingConfig` (e.g.
//! `{ thinkingLevel = "HIGH", includeThoughts = true }`), `generationConfig` (joined with ours and wins). All others go
//! into the body as they stand, e.g. `safetySettings`, `toolConfig` and `cachedContent`.

mod decode;
mod encode;
mod schema;

use std::fmt::Write as _;
use std::sync::Arc;

use reqwest::header::{HeaderMap, HeaderName};
use serde::Deserialize;

use crate::config::ProviderConfig;
use crate::llm::catalogue::Facts;
use crate::llm::endpoint::text_option;
use crate::llm::failure::{Failure, classify};
use crate::llm::provider::{Decode, HttpRequest, Provider, secret_header};
use crate::llm::{LlmError, LlmErrorKind, Request};

/// The codec.
#[derive(Debug)]
pub struct Google;

impl Provider for Google {
    fn encode(&self, request: &Request, provider: &ProviderConfig) -> Result<HttpRequest, LlmError> {
        Ok(HttpRequest {
            path: format!("{}/{}:streamGenerateContent?alt=sse", prefix(provider), resource(&request.model)?),
            headers: headers(provider)?,
            body: encode::body(request, provider)?,
        })
    }

    fn decoder(&self, origin: Arc<str>) -> Box<dyn Decode> {
        Box::new(decode::Decoder::new(origin))
    }

    fn error(&self, status: u16, headers: &HeaderMap, body: &[u8]) -> Failure {
        let mut failure = classify(Some(status), headers, body);
        if status == 404 {
            "check the model's name; a server may know only the option api_version = \"v1beta\""
                .clone_into(&mut failure.error.hint);
        }
        failure
    }

    fn list_models(&self, provider: &ProviderConfig) -> Result<(String, HeaderMap), LlmError> {
        Ok((format!("{}/models?pageSize=1000", prefix(provider)), headers(provider)?))
    }

    fn read_models(&self, body: &[u8]) -> Vec<Facts> {
        #[derive(Deserialize)]
        struct List {
            models: Vec<Model>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Model {
            name: String,
            input_token_limit: Option<u64>,
            output_token_limit: Option<u64>,
            supported_generation_methods: Option<Vec<String>>,
            thinking: Option<bool>,
        }
        let list = serde_json::from_slice::<List>(body).map(|list| list.models).unwrap_or_default();
        let talks = |model: &Model| {
            let methods = model.supported_generation_methods.as_ref();
            methods.is_none_or(|methods| methods.iter().any(|method| method == "generateContent"))
        };
        list.into_iter()
            .filter(talks)
            .map(|model| Facts {
                context_window: model.input_token_limit,
                max_output_tokens: model.output_token_limit,
                thinking: model.thinking,
                ..Facts::named(model.name.strip_prefix("models/").unwrap_or(&model.name))
            })
            .collect()
    }
}

fn prefix(provider: &ProviderConfig) -> String {
    match text_option(provider, "path_prefix") {
        Some(prefix) => prefix.trim_end_matches('/').to_owned(),
        None => format!("/{}", text_option(provider, "api_version").unwrap_or("v1").trim_matches('/')),
    }
}

/// The model's place below the prefix. Its name comes from configuration and must not lead elsewhere.
fn resource(model: &str) -> Result<String, LlmError> {
    let mut resource = if model.contains('/') { String::new() } else { "models".to_owned() };
    for segment in model.split('/') {
        if matches!(segment, "" | "." | "..") {
            return Err(LlmError::new(
                LlmErrorKind::Config,
                "the model's name cannot stand in an address",
                "write it as the provider lists it, such as gemini-3.8-flash",
            ));
        }
        if !resource.is_empty() {
            resource.push('/');
        }
        for byte in segment.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                resource.push(char::from(byte));
            } else {
                // Writing to a string does not fail.
                let _ = write!(resource, "%{byte:02X}");
            }
        }
    }
    Ok(resource)
}

fn headers(provider: &ProviderConfig) -> Result<HeaderMap, LlmError> {
    let mut headers = HeaderMap::new();
    if let Some(key) = &provider.key {
        headers.insert(HeaderName::from_static("x-goog-api-key"), secret_header("", key)?);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_models_name_leads_nowhere_else() {
        assert_eq!(resource("gemini-3.8-flash").unwrap(), "models/gemini-3.8-flash");
        assert_eq!(resource("tunedModels/a b?x#y:z").unwrap(), "tunedModels/a%20b%3Fx%23y%3Az");
        for bad in ["", "../x", "a/../b", "/a", "a//b", "./a"] {
            assert!(resource(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_list_names_what_can_talk_with_its_limits() {
        let body = br#"{"models":[{"name":"models/g-1","inputTokenLimit":1000,"outputTokenLimit":64,"supportedGenerationMethods":["generateContent"],"thinking":true},
            {"name":"models/embed","supportedGenerationMethods":["embedContent"]},{"name":"tunedModels/t"}]}"#;
        let list = Google.read_models(body);
        let names: Vec<_> = list.iter().map(|facts| facts.name.as_str()).collect();
        assert_eq!(names, ["g-1", "tunedModels/t"]);
        assert_eq!(
            (list[0].context_window, list[0].max_output_tokens, list[0].thinking),
            (Some(1000), Some(64), Some(true))
        );
        for odd in ["", "[]", "{\"models\":1}", "{"] {
            assert!(Google.read_models(odd.as_bytes()).is_empty());
        }
    }
}
