//! Ollama's own `/api/chat`: a line of JSON for each piece.
//!
//! Its compatible `/v1` gives every parallel call the index 0 and has no way to say how long a prompt may be; this one
//! has. Options of a provider of kind `ollama`: `num_ctx` (tokens it keeps room for; default is the model's
//! `context_window`, see `models`), `options` (a table joined with ours that wins: `num_gpu`, `seed`, …). All others go
//! into the body as they stand, e.g. `think = true` or `keep_alive = "30m"`.

mod decode;
mod encode;

use std::sync::Arc;

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, HeaderMap};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::config::ProviderConfig;
use crate::llm::catalogue::Facts;
use crate::llm::failure::{Failure, classify};
use crate::llm::provider::{Decode, HttpRequest, Provider, secret_header};
use crate::llm::{LlmError, Request};

/// The codec.
#[derive(Debug)]
pub struct Ollama;

impl Provider for Ollama {
    fn encode(&self, request: &Request, provider: &ProviderConfig) -> Result<HttpRequest, LlmError> {
        Ok(HttpRequest {
            path: "api/chat".to_owned(),
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
            "fetch the model with `ollama pull`, or choose one that `ollama list` shows"
                .clone_into(&mut failure.error.hint);
        }
        failure
    }

    fn list_models(&self, provider: &ProviderConfig) -> Result<(String, HeaderMap), LlmError> {
        Ok(("api/tags".to_owned(), headers(provider)?))
    }

    fn read_models(&self, body: &[u8]) -> Vec<Facts> {
        #[derive(Deserialize)]
        struct List {
            models: Vec<Model>,
        }
        #[derive(Deserialize)]
        struct Model {
            name: String,
        }
        let list = serde_json::from_slice::<List>(body).map(|list| list.models).unwrap_or_default();
        list.iter().map(|model| Facts::named(&model.name)).collect()
    }

    fn describe(&self, model: &str, provider: &ProviderConfig) -> Option<Result<HttpRequest, LlmError>> {
        let body = Bytes::from(serde_json::json!({ "model": model }).to_string());
        Some(headers(provider).map(|headers| HttpRequest { path: "api/show".to_owned(), headers, body }))
    }

    fn read_description(&self, body: &[u8], facts: &mut Facts) {
        #[derive(Deserialize)]
        struct Shown {
            model_info: Option<Map<String, Value>>,
            capabilities: Option<Vec<String>>,
        }
        let Ok(shown) = serde_json::from_slice::<Shown>(body) else { return };
        let length = |info: &Map<String, Value>| {
            let of = |name: &str| info.get(name).and_then(Value::as_u64);
            let family = info.get("general.architecture").and_then(Value::as_str);
            family.and_then(|family| of(&format!("{family}.context_length")))
        };
        facts.context_window = shown.model_info.as_ref().and_then(length);
        if let Some(can) = shown.capabilities {
            let can = |what: &str| can.iter().any(|word| word == what);
            facts.chat = can("completion");
            facts.tools = Some(can("tools"));
            facts.thinking = Some(can("thinking"));
        }
    }
}

fn headers(provider: &ProviderConfig) -> Result<HeaderMap, LlmError> {
    let mut headers = HeaderMap::new();
    if let Some(key) = &provider.key {
        headers.insert(AUTHORIZATION, secret_header("Bearer ", key)?);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_and_the_description_are_read_and_nothing_odd_breaks_them() {
        let mut list = Ollama.read_models(br#"{"models":[{"name":"qwen3:8b","size":1},{"name":"embed"}]}"#);
        Ollama.read_description(
            br#"{"model_info":{"general.architecture":"qwen3","qwen3.context_length":40960},"capabilities":["completion","tools"]}"#,
            &mut list[0],
        );
        Ollama.read_description(br#"{"model_info":{"x":1},"capabilities":["embedding"]}"#, &mut list[1]);
        assert_eq!((list[0].context_window, list[0].tools, list[0].thinking), (Some(40_960), Some(true), Some(false)));
        assert_eq!((list[1].context_window, list[1].chat), (None, false));
        for odd in ["", "[]", "{\"models\":1}", "{\"model_info\":3}"] {
            assert!(Ollama.read_models(odd.as_bytes()).is_empty());
            Ollama.read_description(odd.as_bytes(), &mut list[0]);
        }
    }

    #[test]
    fn a_missing_model_says_how_to_get_it() {
        let failure = Ollama.error(404, &HeaderMap::new(), br#"{"error":"model 'x' not found"}"#);
        assert!(failure.error.hint.contains("ollama pull") && failure.error.message.contains("not found"));
    }
}
