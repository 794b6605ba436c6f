//! A message of the protocol, with the number and the name of each field, so that it can be spelt as protobuf and as
//! protobuf's JSON alike.

use std::fmt::Write as _;

use serde_json::{Map, Value};

/// A value of a field.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    /// Another message.
    Message(Vec<Field>),
    /// Several of them.
    Messages(Vec<Vec<Field>>),
    /// A text.
    Text(String),
    /// An identifier: bytes, in JSON as hexadecimal digits.
    Id(Vec<u8>),
    /// `fixed64`, in JSON as a text.
    Fixed(u64),
    /// `int64`, in JSON as a text.
    Int(i64),
    /// One of an enumeration.
    Word(u32),
    /// A number.
    Double(f64),
    /// Yes or no.
    Bool(bool),
    /// Several `fixed64`.
    AllFixed(Vec<u64>),
    /// Several numbers.
    AllDouble(Vec<f64>),
}

/// A field of a message.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Field {
    pub(super) number: u32,
    /// As JSON has it.
    pub(super) name: &'static str,
    pub(super) value: Node,
}

/// A field.
pub(super) fn field(number: u32, name: &'static str, value: Node) -> Field {
    Field { number, name, value }
}

const VARINT: u32 = 0;
const EIGHT_BYTES: u32 = 1;
const LENGTH: u32 = 2;

/// The message as protobuf.
pub(super) fn protobuf(message: &[Field]) -> Vec<u8> {
    let mut out = Vec::new();
    for Field { number, value, .. } in message {
        let key = |kind: u32, out: &mut Vec<u8>| varint(u64::from(number << 3 | kind), out);
        let bytes = |bytes: &[u8], out: &mut Vec<u8>| {
            varint(u64::from(number << 3 | LENGTH), out);
            varint(bytes.len() as u64, out);
            out.extend_from_slice(bytes);
        };
        match value {
            Node::Message(inner) => bytes(&protobuf(inner), &mut out),
            Node::Messages(all) => all.iter().for_each(|inner| bytes(&protobuf(inner), &mut out)),
            Node::Text(text) => bytes(text.as_bytes(), &mut out),
            Node::Id(id) => bytes(id, &mut out),
            Node::AllFixed(all) => bytes(&all.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<_>>(), &mut out),
            Node::AllDouble(all) => bytes(&all.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<_>>(), &mut out),
            Node::Fixed(number) => {
                key(EIGHT_BYTES, &mut out);
                out.extend_from_slice(&number.to_le_bytes());
            }
            Node::Double(number) => {
                key(EIGHT_BYTES, &mut out);
                out.extend_from_slice(&number.to_le_bytes());
            }
            Node::Int(number) => {
                key(VARINT, &mut out);
                varint(number.cast_unsigned(), &mut out);
            }
            Node::Word(word) => {
                key(VARINT, &mut out);
                varint(u64::from(*word), &mut out);
            }
            Node::Bool(yes) => {
                key(VARINT, &mut out);
                varint(u64::from(*yes), &mut out);
            }
        }
    }
    out
}

fn varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// The message as protobuf's JSON.
pub(super) fn json(message: &[Field]) -> Value {
    let named = message.iter().map(|field| {
        let value = match &field.value {
            Node::Message(inner) => json(inner),
            Node::Messages(all) => all.iter().map(|inner| json(inner)).collect(),
            Node::Text(text) => Value::from(text.as_str()),
            Node::Id(id) => Value::from(hex(id)),
            Node::Fixed(number) => Value::from(number.to_string()),
            Node::Int(number) => Value::from(number.to_string()),
            Node::Word(word) => Value::from(*word),
            Node::Double(number) => Value::from(*number),
            Node::Bool(yes) => Value::from(*yes),
            Node::AllFixed(all) => all.iter().map(u64::to_string).collect(),
            Node::AllDouble(all) => all.iter().copied().collect(),
        };
        (field.name.to_owned(), value)
    });
    Value::Object(named.collect::<Map<_, _>>())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_spelt_as_protobuf_has_it() {
        // The examples of protobuf's own description of its encoding.
        assert_eq!(protobuf(&[field(1, "a", Node::Int(150))]), [0x08, 0x96, 0x01]);
        let text = field(2, "b", Node::Text("testing".into()));
        assert_eq!(protobuf(&[text]), [0x12, 0x07, 0x74, 0x65, 0x73, 0x74, 0x69, 0x6e, 0x67]);
        let inner = Node::Message(vec![field(1, "a", Node::Int(150))]);
        assert_eq!(protobuf(&[field(3, "c", inner)]), [0x1a, 0x03, 0x08, 0x96, 0x01]);
        assert_eq!(protobuf(&[field(1, "a", Node::Int(-1))]), [8, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1]);
        assert_eq!(protobuf(&[field(7, "t", Node::Fixed(1))]), [0x39, 1, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(protobuf(&[field(16, "w", Node::Word(2))]), [0x80, 0x01, 2]);
        let twice = Node::Messages(vec![vec![], vec![field(1, "a", Node::Bool(true))]]);
        assert_eq!(protobuf(&[field(1, "m", twice)]), [0x0a, 0, 0x0a, 2, 8, 1]);
        assert_eq!(protobuf(&[field(6, "n", Node::AllFixed(vec![2]))]), [0x32, 8, 2, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn a_message_is_spelt_as_the_json_of_protobuf_has_it() {
        let message = [
            field(1, "traceId", Node::Id(vec![0, 0xab, 0x10])),
            field(2, "count", Node::Fixed(u64::MAX)),
            field(3, "kind", Node::Word(3)),
            field(4, "all", Node::Messages(vec![vec![field(1, "intValue", Node::Int(-7))]])),
            field(5, "bounds", Node::AllDouble(vec![0.5])),
        ];
        let wanted = serde_json::json!({
            "traceId": "00ab10", "count": "18446744073709551615", "kind": 3, "all": [{"intValue": "-7"}], "bounds": [0.5],
        });
        assert_eq!(json(&message), wanted);
    }
}
