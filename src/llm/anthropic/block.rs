//! One content block of an answer, kept so that it can be sent back as it came.
//!
//! Its fields stay in the order and the bytes of `content_block_start`; only those that the deltas build are replaced
//! by what they built. So a thinking block keeps its signature, and a field we do not know survives.

use serde_json::value::RawValue;

use crate::llm::fields::{quote, replace};
use crate::llm::surrogates::Piecewise;

/// What a block is to us.
#[derive(Debug)]
pub(super) enum Content {
    /// Visible text.
    Text(Piecewise),
    /// Reasoning; the text may be empty and only the signature there.
    Thinking { thinking: Piecewise, signature: String },
    /// A tool call of ours, by its position among the calls.
    Call(usize),
    /// Anything else; input of the provider's own tools comes in pieces too.
    Other { input: String },
}

/// A block that is being read, or was.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) index: u64,
    pub(super) closed: bool,
    pub(super) content: Content,
    pub(super) start: Box<RawValue>,
    pub(super) citations: Vec<Box<RawValue>>,
}

impl Block {
    /// The block as JSON, or nothing for a text without text, which the API refuses to read back.
    pub(super) fn echo(&self, call_id: Option<&str>, call_input: Option<&str>) -> Option<String> {
        let mut replaced: Vec<(&str, String)> = Vec::new();
        match &self.content {
            Content::Text(text) if text.text.is_empty() => return None,
            Content::Text(text) => replaced.push(("text", quote(&text.text))),
            Content::Thinking { thinking, signature } => {
                replaced.push(("thinking", quote(&thinking.text)));
                if !signature.is_empty() {
                    replaced.push(("signature", quote(signature)));
                }
            }
            Content::Call(_) => {
                replaced.extend(call_id.map(|id| ("id", quote(id))));
                replaced.push(("input", call_input.unwrap_or("{}").to_owned()));
            }
            Content::Other { input } if input.is_empty() => {}
            Content::Other { input } => replaced.push(("input", input.clone())),
        }
        if !self.citations.is_empty() {
            let list: Vec<&str> = self.citations.iter().map(|citation| citation.get()).collect();
            replaced.push(("citations", format!("[{}]", list.join(","))));
        }
        if replaced.is_empty() {
            return Some(self.start.get().to_owned());
        }
        replace(self.start.get(), replaced)
    }
}
