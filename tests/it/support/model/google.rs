//! Events of the `generateContent` stream, as the API sends them.

use serde_json::{Value, json};

/// Any JSON as one event; Google ends its lines with CR and LF.
pub fn data(value: &Value) -> String {
    format!("data: {value}\r\n\r\n")
}

/// A chunk with one part.
pub fn part(part: Value) -> String {
    data(&json!({"candidates": [{"content": {"parts": [part], "role": "model"}, "index": 0}], "modelVersion": "m",
        "responseId": "r"}))
}

/// A piece of text.
pub fn text(text: &str) -> String {
    part(json!({"text": text}))
}

/// A call; `arguments` as the test spells them.
pub fn call(id: Option<&str>, name: &str, arguments: &str, signature: Option<&str>) -> String {
    let id = id.map(|id| format!(r#","id":{}"#, json!(id))).unwrap_or_default();
    let signature = signature.map(|text| format!(r#","thoughtSignature":{}"#, json!(text))).unwrap_or_default();
    format!(
        "data: {{\"candidates\":[{{\"content\":{{\"parts\":[{{\"functionCall\":{{\"name\":{},\"args\":{arguments}{id}}}{signature}}}],\"role\":\"model\"}},\"index\":0}}]}}\r\n\r\n",
        json!(name)
    )
}

/// The reason of the end (`STOP`, `MAX_TOKENS`…) with the usage.
pub fn finish(reason: &str, input: u64, cached: u64, output: u64) -> String {
    data(&json!({"candidates": [{"finishReason": reason, "index": 0}], "usageMetadata": {"promptTokenCount": input,
        "cachedContentTokenCount": cached, "candidatesTokenCount": output, "totalTokenCount": input + output}}))
}
