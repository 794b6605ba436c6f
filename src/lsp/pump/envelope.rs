//! The outer shape of a message, read without touching what is inside: a keystroke is parsed once, by its own handler.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tower_lsp::jsonrpc::Id;

/// A message: a request or notification if it has a method, else a response.
#[derive(Debug, Deserialize)]
pub struct Envelope<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    /// The method of a request or notification.
    #[serde(borrow, default)]
    pub method: Option<Cow<'a, str>>,
    /// Its parameters, as they came.
    #[serde(borrow, default)]
    pub params: Option<&'a RawValue>,
    /// The result of a response.
    #[serde(borrow, default)]
    pub result: Option<&'a RawValue>,
    /// The error of a response.
    #[serde(borrow, default)]
    pub error: Option<&'a RawValue>,
}

/// What a message says its id is.
#[derive(Debug, PartialEq)]
pub enum Named {
    /// No id, or `null`: a notification.
    Nothing,
    /// An id that the protocol allows.
    Id(Id),
    /// Something else, kept as it came so that it can be sent back.
    Odd(Value),
}

impl Envelope<'_> {
    /// The id.
    pub fn named(&self) -> Named {
        self.id.map_or(Named::Nothing, |raw| serde_json::from_str(raw.get()).map_or(Named::Nothing, named))
    }
}

fn named(id: Value) -> Named {
    match id {
        Value::Null => Named::Nothing,
        Value::String(id) => Named::Id(Id::String(id)),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(id), _) => Named::Id(Id::Number(id)),
            // Some encoders write every number with a fraction; up to 2^53 both are the same number.
            (None, Some(id)) if id.fract() == 0.0 && id.abs() < 9e15 => Named::Id(Id::Number(id as i64)),
            _ => Named::Odd(Value::Number(number)),
        },
        odd => Named::Odd(odd),
    }
}

/// What can be told of a message that cannot be read: it was cut, or is not JSON further on.
#[derive(Debug, Default, PartialEq)]
pub struct Told {
    /// Its id.
    pub id: Option<Id>,
    /// Its method.
    pub method: Option<String>,
    /// The document it is about (`params.textDocument.uri`).
    pub uri: Option<String>,
}

/// How far into a body [`told`] looks, in bytes.
const LOOK: usize = 64 * 1024;

/// Looks for id, method and document in the beginning of a body, without any demand on the rest.
pub fn told(body: &[u8]) -> Told {
    let mut told = Told::default();
    let (mut at, mut depth) = (0, 0_usize);
    let body = &body[..body.len().min(LOOK)];
    while let Some(&byte) = body.get(at) {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => {
                let Some(end) = string_end(body, at) else { break };
                let key = &body[at..end];
                let after = end + blanks(&body[end..]);
                at = end;
                if body.get(after) == Some(&b':') {
                    let value = &body[after + 1 + blanks(&body[after + 1..])..];
                    match (depth, key) {
                        (1, b"\"id\"") => told.id = scalar(value),
                        (1, b"\"method\"") => told.method = string(value),
                        (3, b"\"uri\"") if told.uri.is_none() => told.uri = string(value),
                        _ => {}
                    }
                    at = after + 1;
                }
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    told
}

fn blanks(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| byte.is_ascii_whitespace()).count()
}

/// The end of the string that begins at `at`, its closing quote included.
fn string_end(bytes: &[u8], at: usize) -> Option<usize> {
    let mut end = at + 1;
    loop {
        end += memchr::memchr2(b'"', b'\\', bytes.get(end..)?)?;
        if bytes[end] == b'"' {
            return Some(end + 1);
        }
        end += 2;
    }
}

fn string(bytes: &[u8]) -> Option<String> {
    let end = bytes.first().filter(|&&byte| byte == b'"').and_then(|_| string_end(bytes, 0))?;
    serde_json::from_slice(&bytes[..end]).ok()
}

fn scalar(bytes: &[u8]) -> Option<Id> {
    if bytes.first() == Some(&b'"') {
        return string(bytes).map(Id::String);
    }
    let end = bytes.iter().position(|byte| matches!(byte, b',' | b'}' | b' ' | b'\r' | b'\n' | b'\t'))?;
    match serde_json::from_slice(&bytes[..end]).map(named) {
        Ok(Named::Id(id)) => Some(id),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id_of(body: &str) -> Named {
        serde_json::from_str::<Envelope>(body).unwrap().named()
    }

    #[test]
    fn ids_are_numbers_or_strings_and_anything_else_can_be_sent_back() {
        assert_eq!(id_of(r#"{"id":7,"method":"m"}"#), Named::Id(Id::Number(7)));
        assert_eq!(id_of(r#"{"id":7.0,"method":"m"}"#), Named::Id(Id::Number(7)));
        assert_eq!(id_of(r#"{"id":"x","method":"m"}"#), Named::Id(Id::String("x".into())));
        assert_eq!(id_of(r#"{"id":null,"method":"m"}"#), Named::Nothing);
        assert_eq!(id_of(r#"{"method":"m"}"#), Named::Nothing);
        assert!(matches!(id_of(r#"{"id":1.5,"method":"m"}"#), Named::Odd(_)));
        assert!(matches!(id_of(r#"{"id":99999999999999999999,"method":"m"}"#), Named::Odd(_)));
        assert!(matches!(id_of(r#"{"id":[1],"method":"m"}"#), Named::Odd(_)));
    }

    #[test]
    fn an_escaped_method_is_the_method() {
        let body = r#"{"method":"textDocument\/didOpen","params":{"a":[1]}}"#;
        let envelope: Envelope = serde_json::from_str(body).unwrap();
        assert_eq!(envelope.method.as_deref(), Some("textDocument/didOpen"));
        assert_eq!(envelope.params.map(RawValue::get), Some(r#"{"a":[1]}"#));
    }

    #[test]
    fn a_cut_message_still_tells_its_id_method_and_document() {
        let cut = br#"{ "jsonrpc": "2.0", "id" : 5, "method":"textDocument/didChange",
            "params":{"textDocument":{"version":3,"uri":"file:///a\u0062"},"contentChanges":[{"text":"{\"id\":9,"#;
        let expected = Told {
            id: Some(Id::Number(5)),
            method: Some("textDocument/didChange".into()),
            uri: Some("file:///ab".into()),
        };
        assert_eq!(told(cut), expected);
        assert_eq!(told(br#"{"params":{"id":1},"id":"x""#).id, Some(Id::String("x".into())));
        assert_eq!(told(b""), Told::default());
        assert_eq!(told(br#"{"id"#), Told::default());
        assert_eq!(told(br#"]]}}"id":3"#), Told::default());
    }
}
