//! Lines of Ollama's `/api/chat`, as the server sends them.

use serde_json::{Value, json};

/// Any JSON as one line.
pub fn line(value: &Value) -> String {
    format!("{value}\n")
}

/// A line with a message.
pub fn message(message: Value) -> String {
    line(&json!({"model": "m", "created_at": "2026-11-20T10:00:00Z", "message": message, "done": false}))
}

/// A piece of text.
pub fn text(text: &str) -> String {
    message(json!({"role": "assistant", "content": text}))
}

/// A call; `arguments` as the test spells them.
pub fn call(id: Option<&str>, name: &str, arguments: &str) -> String {
    let id = id.map(|id| format!(r#""id":{},"#, json!(id))).unwrap_or_default();
    format!(
        "{{\"model\":\"m\",\"message\":{{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[{{{id}\"function\":{{\"name\":{},\"arguments\":{arguments}}}}}]}},\"done\":false}}\n",
        json!(name)
    )
}

/// The last line: `stop` or `length`, and the usage.
pub fn done(reason: &str, input: u64, output: u64) -> String {
    line(&json!({"model": "m", "message": {"role": "assistant", "content": ""}, "done_reason": reason, "done": true,
        "total_duration": 5, "prompt_eval_count": input, "eval_count": output}))
}
