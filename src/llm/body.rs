//! How a request body is put together: our own fields in a fixed order, then the user's options.

use bytes::Bytes;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value};

use crate::llm::{LlmError, LlmErrorKind};

/// A field of the body.
pub(crate) type Field<'a> = (&'static str, &'a dyn ErasedSerialize);

/// `Serialize` as an object, so that fields of different types can stand in one list.
pub(crate) trait ErasedSerialize {
    /// Appends the value as JSON.
    fn write(&self, out: &mut Vec<u8>) -> serde_json::Result<()>;
}

impl<T: Serialize> ErasedSerialize for T {
    fn write(&self, out: &mut Vec<u8>) -> serde_json::Result<()> {
        serde_json::to_writer(out, self)
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
}

impl Serialize for Extra<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in self.options.iter().filter(|(name, _)| self.takes(name)) {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// The body with these fields, in this order, and the options that `read` does not name; an option wins over a field.
///
/// # Errors
/// `Config` where a value cannot be written as JSON.
pub(crate) fn body(fields: &[Field<'_>], options: &Map<String, Value>, read: &[&str]) -> Result<Bytes, LlmError> {
    write(fields, &Extra { options, read }).map(Bytes::from).map_err(|error| {
        LlmError::new(LlmErrorKind::Config, format!("the request cannot be written as JSON: {error}"), "report this")
    })
}

fn write(fields: &[Field<'_>], extra: &Extra<'_>) -> serde_json::Result<Vec<u8>> {
    let mut out = Vec::with_capacity(16 << 10);
    out.push(b'{');
    for (name, value) in fields.iter().filter(|(name, _)| !extra.takes(name)) {
        if out.len() > 1 {
            out.push(b',');
        }
        serde_json::to_writer(&mut out, name)?;
        out.push(b':');
        value.write(&mut out)?;
    }
    let options = serde_json::to_vec(extra)?;
    if options.len() > 2 {
        if out.len() > 1 {
            out.push(b',');
        }
        out.extend_from_slice(&options[1..]);
    } else {
        out.push(b'}');
    }
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
        let body = body(&[("model", &"m"), ("temperature", &0.5), ("stream", &true)], options, &["api"]).unwrap();
        assert_eq!(&body[..], br#"{"model":"m","stream":true,"effort":"low","temperature":1}"#);
    }

    #[test]
    fn an_empty_side_leaves_no_stray_comma() {
        let none = Map::new();
        assert_eq!(&body(&[], &none, &[]).unwrap()[..], b"{}");
        assert_eq!(&body(&[("a", &1)], &none, &[]).unwrap()[..], br#"{"a":1}"#);
        let options = json!({"b": 2});
        assert_eq!(&body(&[], options.as_object().unwrap(), &[]).unwrap()[..], br#"{"b":2}"#);
    }
}
