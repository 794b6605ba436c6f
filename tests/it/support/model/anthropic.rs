//! Events of the messages stream, as the API sends them.

use serde_json::{Value, json};

/// Any JSON as one event, named by its `type`.
pub fn event(value: &Value) -> String {
    format!("event: {}\ndata: {value}\n\n", value["type"].as_str().unwrap_or("message"))
}

/// The first event. `input` counts what came neither from the cache nor went to it.
pub fn start(input: u64, cached: u64) -> String {
    event(&json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant",
        "model": "m", "content": [], "stop_reason": null, "usage": {"input_tokens": input,
        "cache_read_input_tokens": cached, "cache_creation_input_tokens": 0, "output_tokens": 1}}}))
}

/// Keeps the connection warm.
pub fn ping() -> String {
    event(&json!({"type": "ping"}))
}

/// Opens block `index` with this content.
pub fn block(index: usize, content: Value) -> String {
    event(&json!({"type": "content_block_start", "index": index, "content_block": content}))
}

/// A delta of block `index`.
pub fn delta(index: usize, delta: Value) -> String {
    event(&json!({"type": "content_block_delta", "index": index, "delta": delta}))
}

/// Closes block `index`.
pub fn stop_block(index: usize) -> String {
    event(&json!({"type": "content_block_stop", "index": index}))
}

/// Opens a text block.
pub fn text_block(index: usize) -> String {
    block(index, json!({"type": "text", "text": ""}))
}

/// A piece of text.
pub fn text(index: usize, text: &str) -> String {
    delta(index, json!({"type": "text_delta", "text": text}))
}

/// Opens a call.
pub fn call(index: usize, id: &str, name: &str) -> String {
    block(index, json!({"type": "tool_use", "id": id, "name": name, "input": {}}))
}

/// A part of a call's arguments.
pub fn arguments(index: usize, piece: &str) -> String {
    delta(index, json!({"type": "input_json_delta", "partial_json": piece}))
}

/// The reason of the end: `end_turn`, `tool_use`, `max_tokens`…, and the tokens produced.
pub fn finish(reason: &str, output: u64) -> String {
    event(&json!({"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": null},
        "usage": {"output_tokens": output}}))
}

/// The protocol's end of the stream.
pub fn done() -> String {
    event(&json!({"type": "message_stop"}))
}
