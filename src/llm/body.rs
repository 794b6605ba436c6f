//! How a request body is put together: our own fields in a fixed order, then the user's options.

use bytes::Bytes;
use serde::ser::Serialize;
use serde_json::{Map, Value};

use crate::llm::escape;
use crate::llm::{LlmError, LlmErrorKind, Message, Request};

/// A field of the body.
pub(crate) type Field<'a> = (&'static str, &'a dyn Json);

/// What can stand in a body: all that serde knows, and what is written by hand here because nearly all of it is text, of
/// which serde_json looks at each byte.
pub(crate) trait Json {
    /// Appends the value as JSON.
    fn write(&self, out: &mut Vec<u8>) -> serde_json::Result<()>;
}

impl<T: Serialize> Json for T {
    fn write(&self, out: &mut Vec<u8>) -> serde_json::Result<()> {
        serde_json::to_writer(out, self)
    }
}

/// A list of what is written by hand.
pub(crate) struct List<'a, T>(pub(crate) &'a [T]);

impl<T: Json> Json for List<'_, T> {
    fn write(&self, out: &mut Vec<u8>) -> serde_json::Result<()> {
        out.push(b'[');
        for (nth, value) in self.0.iter().enumerate() {
            if nth > 0 {
                out.push(b',');
            }
            value.write(out)?;
        }
        out.push(b']');
        Ok(())
    }
}

/// An object that is being written. The names of its fields are ours and need no escapes.
pub(crate) struct Object<'o>(&'o mut Vec<u8>);

impl<'o> Object<'o> {
    /// Begins one at the end of `out`.
    pub(crate) fn begin(out: &'o mut Vec<u8>) -> Self {
        out.push(b'{');
        Self(out)
    }

    fn name(&mut self, name: &'static str) {
        if self.0.last() != Some(&b'{') {
            self.0.push(b',');
        }
        self.0.push(b'"');
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
    }

    /// A field with a text.
    pub(crate) fn text(mut self, name: &'static str, text: &str) -> Self {
        self.name(name);
        escape::text(self.0, text);
        self
    }

    /// A field with anything.
    pub(crate) fn json(mut self, name: &'static str, value: &impl Json) -> serde_json::Result<Self> {
        self.name(name);
        value.write(self.0)?;
        Ok(self)
    }

    /// A field with an object.
    pub(crate) fn object(mut self, name: &'static str, fill: impl FnOnce(Object<'_>) -> Object<'_>) -> Self {
        self.name(name);
        fill(Object::begin(self.0)).end();
        self
    }

    /// Ends it.
    pub(crate) fn end(self) {
        self.0.push(b'}');
    }
}

/// The user's options that go into the body: all but those the codec reads itself and those that are ours alone.
struct Extra<'a> {
    options: &'a Map<String, Value>,
    read: &'a [&'a str],
}

impl Extra<'_> {
    fn takes(&self, name: &str) -> bool {
        const OURS: [&str; 9] = [
            "model",
            "messages",
            "tools",
            "system",
            "stream",
            "contents",
            "systemInstruction",
            "input",
            "instructions",
        ];
        !OURS.contains(&name) && !self.read.contains(&name) && self.options.contains_key(name)
    }

    fn taken(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.options.iter().filter(|(name, _)| self.takes(name))
    }
}

/// The body with these fields, in this order, and the options that `read` does not name; an option wins over a field.
/// `room` is about how many bytes it will have.
///
/// # Errors
/// `Config` where a value cannot be written as JSON.
pub(crate) fn body(
    fields: &[Field<'_>],
    options: &Map<String, Value>,
    read: &[&str],
    room: usize,
) -> Result<Bytes, LlmError> {
    write(fields, &Extra { options, read }, room).map(Bytes::from).map_err(|error| {
        LlmError::new(LlmErrorKind::Config, format!("the request cannot be written as JSON: {error}"), "report this")
    })
}

/// About how many bytes a conversation takes as JSON: its texts, what has to be escaped in them, and what stands around.
/// A body that grows while it is written is copied each time it doubles.
pub(crate) fn room(request: &Request) -> usize {
    let messages = request.messages.iter().map(|message| match message {
        Message::User(text) => text.len(),
        Message::Assistant(turn) => {
            turn.raw.as_ref().map_or(turn.text.len(), |raw| raw.get().len()) + 64 * turn.calls.len()
        }
        Message::ToolResults(results) => results.iter().map(|result| result.content.len() + 128).sum(),
    });
    let tools = request.tools.iter().map(|tool| tool.description.len() + tool.schema.get().len() + 128);
    let texts = request.system.len() + messages.map(|len| len + 64).sum::<usize>();
    texts + texts / 16 + tools.sum::<usize>() + 512
}

fn write(fields: &[Field<'_>], extra: &Extra<'_>, room: usize) -> serde_json::Result<Vec<u8>> {
    let mut out = Vec::with_capacity(room);
    out.push(b'{');
    for (name, value) in fields.iter().filter(|(name, _)| !extra.takes(name)) {
        if out.len() > 1 {
            out.push(b',');
        }
        escape::text(&mut out, name);
        out.push(b':');
        value.write(&mut out)?;
    }
    for (name, value) in extra.taken() {
        if out.len() > 1 {
            out.push(b',');
        }
        escape::text(&mut out, name);
        out.push(b':');
        serde_json::to_writer(&mut out, value)?;
    }
    out.push(b'}');
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_keep_their_order_and_options_follow_and_win() {
        let options = json!({"temperature": 1, "model": "evil", "stream": false, "api": "chat", "effort": "low"});
        let options = options.as_object().unwrap();
        let body = body(&[("model", &"m"), ("temperature", &0.5), ("stream", &true)], options, &["api"], 0).unwrap();
        assert_eq!(&body[..], br#"{"model":"m","stream":true,"effort":"low","temperature":1}"#);
    }

    #[test]
    fn an_empty_side_leaves_no_stray_comma() {
        let none = Map::new();
        assert_eq!(&body(&[], &none, &[], 0).unwrap()[..], b"{}");
        assert_eq!(&body(&[("a", &1)], &none, &[], 0).unwrap()[..], br#"{"a":1}"#);
        let options = json!({"b": 2});
        assert_eq!(&body(&[], options.as_object().unwrap(), &[], 0).unwrap()[..], br#"{"b":2}"#);
    }
}
