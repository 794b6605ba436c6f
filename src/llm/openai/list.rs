//! The list of models: OpenAI gives names only, servers that imitate it add what they know under names of their own.

use serde::Deserialize;

use crate::llm::catalogue::Facts;

#[derive(Deserialize)]
struct List {
    data: Vec<Model>,
}

#[derive(Deserialize)]
struct Model {
    id: String,
    /// OpenRouter and others.
    context_length: Option<u64>,
    /// vLLM.
    max_model_len: Option<u64>,
    top_provider: Option<Limits>,
    /// llama-server.
    meta: Option<Meta>,
}

#[derive(Deserialize)]
struct Limits {
    max_completion_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct Meta {
    n_ctx: Option<u64>,
}

/// Words in the names of models that do not talk: the list has them all.
const OTHERS: [&str; 12] = [
    "embed",
    "audio",
    "image",
    "tts",
    "whisper",
    "transcribe",
    "moderation",
    "realtime",
    "dall-e",
    "sora",
    "rerank",
    "search",
];

pub(super) fn read(body: &[u8]) -> Vec<Facts> {
    let list = serde_json::from_slice::<List>(body).map(|list| list.data).unwrap_or_default();
    list.into_iter()
        .filter(|model| !OTHERS.iter().any(|word| model.id.contains(word)))
        .map(|model| Facts {
            context_window: model.context_length.or(model.max_model_len).or(model.meta.and_then(|meta| meta.n_ctx)),
            max_output_tokens: model.top_provider.and_then(|limits| limits.max_completion_tokens),
            ..Facts::named(&model.id)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_what_compatible_servers_add_are_read() {
        let list = read(
            br#"{"object":"list","data":[{"id":"gpt-6-sol","object":"model","owned_by":"x"},{"id":"text-embedding-3"},
            {"id":"a/b","context_length":200000,"top_provider":{"max_completion_tokens":8000}},
            {"id":"v","max_model_len":32768},{"id":"l","meta":{"n_ctx":2048}}]}"#,
        );
        let seen: Vec<_> =
            list.iter().map(|facts| (&*facts.name, facts.context_window, facts.max_output_tokens)).collect();
        assert_eq!(
            seen,
            [
                ("gpt-6-sol", None, None),
                ("a/b", Some(200_000), Some(8000)),
                ("v", Some(32_768), None),
                ("l", Some(2048), None)
            ]
        );
        assert!(read(b"{").is_empty() && read(b"[]").is_empty());
    }
}
