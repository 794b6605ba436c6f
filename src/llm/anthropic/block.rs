//! One content block of an answer, kept so that it can be sent back as it came.
//!
//! Its fields stay in the order and the bytes of `content_block_start`; only those that the deltas build are replaced
//! by what they built. So a thinking block keeps its signature, and a field we do not know survives.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::llm::surrogates::Piecewise;

/// An object's fields as they came.
pub(super) struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Vec::new();
                let mut seen = HashSet::new();
                while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
                    if seen.insert(name.clone()) {
                        fields.push((name, value));
                    }
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

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
        let fields: Fields<'_> = serde_json::from_str(self.start.get()).ok()?;
        let mut out = String::from("{");
        let mut field = |name: &str, value: &str| {
            if out.len() > 1 {
                out.push(',');
            }
            out.push_str(&quote(name));
            out.push(':');
            out.push_str(value);
        };
        for (name, value) in &fields.0 {
            match replaced.iter().position(|(new, _)| new == name) {
                Some(at) => field(name, &replaced.swap_remove(at).1),
                None => field(name, value.get()),
            }
        }
        replaced.sort_unstable_by_key(|(name, _)| *name);
        for (name, value) in &replaced {
            field(name, value);
        }
        out.push('}');
        Some(out)
    }
}

/// A JSON string.
fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
