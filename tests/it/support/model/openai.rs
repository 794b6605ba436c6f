//! Events of the chat completions stream, as the API sends them.

use serde_json::{Value, json};

/// A chunk with these choices and nothing else.
pub fn chunk(choices: Value) -> String {
    data(
        &json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices}),
    )
}

/// Any JSON as one event.
pub fn data(value: &Value) -> String {
    format!("data: {value}\n\n")
}

/// A chunk with this delta.
pub fn delta(delta: Value) -> String {
    chunk(json!([{"index": 0, "delta": delta, "finish_reason": null}]))
}

/// The first chunk.
pub fn start() -> String {
    delta(json!({"role": "assistant", "content": "", "refusal": null}))
}

/// A piece of text.
pub fn text(text: &str) -> String {
    delta(json!({"content": text}))
}

/// Opens a call, with the first part of its arguments.
pub fn call(index: usize, id: &str, name: &str, arguments: &str) -> String {
    delta(
        json!({"tool_calls": [{"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": arguments}}]}),
    )
}

/// More arguments of a call.
pub fn arguments(index: usize, piece: &str) -> String {
    delta(json!({"tool_calls": [{"index": index, "function": {"arguments": piece}}]}))
}

/// The chunk with the reason of the end: `stop`, `tool_calls`, `length`…
pub fn finish(reason: &str) -> String {
    chunk(json!([{"index": 0, "delta": {}, "finish_reason": reason}]))
}

/// The chunk with the usage.
pub fn usage(input: u64, cached: u64, output: u64) -> String {
    data(&json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [], "usage": {
        "prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output,
        "prompt_tokens_details": {"cached_tokens": cached}}}))
}

/// The protocol's end of the stream.
pub fn done() -> String {
    "data: [DONE]\n\n".to_owned()
}
