//! Events of the Responses stream, as the API sends them.

use serde_json::{Value, json};

/// Any JSON as one event, named by its `type`.
pub fn event(value: &Value) -> String {
    format!("event: {}\ndata: {value}\n\n", value["type"].as_str().unwrap_or("message"))
}

/// The first event.
pub fn created() -> String {
    event(
        &json!({"type": "response.created", "sequence_number": 0, "response": {"id": "resp_1", "status": "in_progress",
        "output": []}}),
    )
}

/// An item begins.
pub fn added(index: usize, item: &Value) -> String {
    event(&json!({"type": "response.output_item.added", "output_index": index, "item": item}))
}

/// An item is complete.
pub fn item_done(index: usize, item: &Value) -> String {
    event(&json!({"type": "response.output_item.done", "output_index": index, "item": item}))
}

/// A message's item with this text.
pub fn message(id: &str, text: &str) -> Value {
    let content =
        if text.is_empty() { json!([]) } else { json!([{"type": "output_text", "text": text, "annotations": []}]) };
    json!({"type": "message", "id": id, "role": "assistant", "status": "completed", "content": content})
}

/// A piece of text.
pub fn text(index: usize, id: &str, text: &str) -> String {
    event(&json!({"type": "response.output_text.delta", "output_index": index, "content_index": 0, "item_id": id,
        "delta": text}))
}

/// A call's item.
pub fn call(id: &str, call_id: &str, name: &str, arguments: &str) -> Value {
    json!({"type": "function_call", "id": id, "call_id": call_id, "name": name, "arguments": arguments,
        "status": "completed"})
}

/// A part of a call's arguments.
pub fn arguments(index: usize, id: &str, piece: &str) -> String {
    event(&json!({"type": "response.function_call_arguments.delta", "output_index": index, "item_id": id,
        "delta": piece}))
}

/// All of a call's arguments once more.
pub fn arguments_done(index: usize, id: &str, whole: &str) -> String {
    event(&json!({"type": "response.function_call_arguments.done", "output_index": index, "item_id": id,
        "arguments": whole}))
}

/// The protocol's end, with the usage; `cut` says why it is no full answer.
pub fn end(cut: Option<&str>, input: u64, cached: u64, output: u64) -> String {
    let (kind, details) = match cut {
        None => ("response.completed", Value::Null),
        Some(reason) => ("response.incomplete", json!({"reason": reason})),
    };
    event(&json!({"type": kind, "response": {"id": "resp_1", "incomplete_details": details, "usage": {
        "input_tokens": input, "input_tokens_details": {"cached_tokens": cached}, "output_tokens": output,
        "total_tokens": input + output}}}))
}
