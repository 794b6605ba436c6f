//! One output item while it is read: a message, a call, reasoning, or something we do not know and only send back.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::llm::ToolCall;
use crate::llm::calls::is_object;
use crate::llm::fields::{quote, replace};
use crate::llm::surrogates::{Piecewise, Wtf, mend};

/// What an item is to us.
#[derive(Debug)]
pub(super) enum Content {
    /// Visible text, and a refusal in its place.
    Message { text: Piecewise, refusal: Piecewise },
    /// A tool call of ours, by its position among the calls.
    Call(usize),
    /// Reasoning that is shown.
    Reasoning(Piecewise),
    /// Anything else.
    Other,
}

/// An item that is being read, or was.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) id: String,
    pub(super) index: Option<u64>,
    pub(super) content: Content,
    /// The item as its end gave it.
    pub(super) done: Option<Box<RawValue>>,
}

/// An item as the wire has it.
#[derive(Deserialize)]
pub(super) struct WireItem<'a> {
    #[serde(borrow, default)]
    pub(super) r#type: Option<Wtf<'a>>,
    #[serde(borrow, default)]
    pub(super) id: Option<Wtf<'a>>,
    #[serde(borrow, default)]
    pub(super) call_id: Option<Wtf<'a>>,
    #[serde(borrow, default)]
    pub(super) name: Option<Wtf<'a>>,
    #[serde(borrow, default)]
    pub(super) arguments: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) content: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow, default)]
    text: Option<Wtf<'a>>,
    #[serde(borrow, default)]
    refusal: Option<Wtf<'a>>,
}

impl WireItem<'_> {
    /// The arguments: a string that holds the object, or with some servers the object itself.
    pub(super) fn arguments(&self) -> Option<Vec<u8>> {
        let raw = self.arguments.map(RawValue::get).filter(|raw| *raw != "null")?;
        if raw.starts_with('"') {
            return serde_json::from_str::<Wtf<'_>>(raw).ok().map(|text| text.0.into_owned());
        }
        Some(raw.as_bytes().to_vec())
    }

    /// The texts and the refusals of a message.
    pub(super) fn texts(&self) -> (Vec<u8>, Vec<u8>) {
        let parts = self.content.and_then(|content| serde_json::from_str::<Vec<Part<'_>>>(content.get()).ok());
        let mut texts = (Vec::new(), Vec::new());
        for part in parts.iter().flatten() {
            texts.0.extend(part.text.iter().flat_map(|text| text.0.iter()));
            texts.1.extend(part.refusal.iter().flat_map(|text| text.0.iter()));
        }
        texts
    }
}

impl Item {
    /// The item for the echo, or nothing for one that was begun and never given whole.
    pub(super) fn echo(&self, call: Option<&ToolCall>) -> Option<String> {
        let whole = self.done.as_ref().map(|done| mend(done.get()));
        match (&self.content, whole) {
            (Content::Call(_), whole) => {
                let call = call?;
                let Some(whole) = whole else {
                    let (id, name, arguments) = (call.id.as_str(), &*call.name, sound(&call.arguments));
                    return Some(
                        json!({"type": "function_call", "call_id": id, "name": name, "arguments": arguments})
                            .to_string(),
                    );
                };
                let mut replaced = Vec::new();
                let wire: WireItem<'_> = serde_json::from_str(&whole).ok()?;
                // The result will name the call as we do.
                if wire.call_id.as_ref().map(Wtf::text).as_deref() != Some(call.id.as_str()) {
                    replaced.push(("call_id", quote(call.id.as_str())));
                }
                // A server that keeps arguments apart refuses what does not parse; the result tells what was wrong.
                if !is_object(&call.arguments) {
                    replaced.push(("arguments", quote("{}")));
                }
                if replaced.is_empty() { Some(whole.into_owned()) } else { replace(&whole, replaced) }
            }
            (_, Some(whole)) => Some(whole.into_owned()),
            (Content::Message { text, refusal }, None) => {
                let mut parts: Vec<Value> = Vec::new();
                if !text.text.is_empty() {
                    parts.push(json!({"type": "output_text", "text": text.text, "annotations": []}));
                }
                if !refusal.text.is_empty() {
                    parts.push(json!({"type": "refusal", "refusal": refusal.text}));
                }
                (!parts.is_empty())
                    .then(|| json!({"type": "message", "role": "assistant", "content": parts}).to_string())
            }
            (Content::Reasoning(_) | Content::Other, None) => None,
        }
    }
}

fn sound(arguments: &str) -> &str {
    if is_object(arguments) { arguments } else { "{}" }
}
