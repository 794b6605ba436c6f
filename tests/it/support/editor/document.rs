//! One document of the model editor: its text in a plain `String`, its version, and positions counted the slow and
//! obvious way, so that the server's are checked against something else than themselves.

use std::ops::Range;

use serde_json::{Value, json};

/// What columns are counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Columns {
    Utf8,
    Utf16,
    Utf32,
}

impl Columns {
    /// The protocol's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Utf8 => "utf-8",
            Self::Utf16 => "utf-16",
            Self::Utf32 => "utf-32",
        }
    }

    /// The encoding of that name.
    pub fn named(name: &str) -> Self {
        match name {
            "utf-8" => Self::Utf8,
            "utf-16" => Self::Utf16,
            "utf-32" => Self::Utf32,
            other => panic!("no position encoding: {other}"),
        }
    }

    fn width(self, ch: char) -> usize {
        match self {
            Self::Utf8 => ch.len_utf8(),
            Self::Utf16 => ch.len_utf16(),
            Self::Utf32 => 1,
        }
    }
}

/// A document as the editor holds it.
#[derive(Clone, Debug)]
pub struct Document {
    pub text: String,
    pub version: i32,
    pub language: String,
}

/// Where each line begins and where it ends before its line end.
pub fn lines(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let (mut lines, mut start, mut at) = (Vec::new(), 0, 0);
    while at < bytes.len() {
        let end = match (bytes[at], bytes.get(at + 1)) {
            (b'\r', Some(b'\n')) => 2,
            (b'\r' | b'\n', _) => 1,
            _ => 0,
        };
        if end > 0 {
            lines.push(start..at);
            start = at + end;
        }
        at += end.max(1);
    }
    lines.push(start..bytes.len());
    lines
}

/// The byte of a position, clamped as the specification says.
pub fn offset(text: &str, position: &Value, columns: Columns) -> usize {
    let number = |key: &str| position[key].as_u64().unwrap_or_else(|| panic!("no position: {position}")) as usize;
    let Some(line) = lines(text).get(number("line")).cloned() else { return text.len() };
    let mut left = number("character");
    for (at, ch) in text[line.clone()].char_indices() {
        if left < columns.width(ch) {
            return line.start + at;
        }
        left -= columns.width(ch);
    }
    line.end
}

/// The position of a byte.
pub fn position(text: &str, byte: usize, columns: Columns) -> Value {
    let lines = lines(text);
    let number = lines.iter().rposition(|line| line.start <= byte).unwrap_or(0);
    let column: usize = text[lines[number].start..byte].chars().map(|ch| columns.width(ch)).sum();
    json!({"line": number, "character": column})
}

/// The bytes of a range.
pub fn span(text: &str, range: &Value, columns: Columns) -> Range<usize> {
    let (start, end) = (offset(text, &range["start"], columns), offset(text, &range["end"], columns));
    assert!(start <= end, "a range is reversed: {range}");
    start..end
}

/// The edits of one document as replacements of bytes, last first; fails where clients differ on what they mean.
pub fn replacements(text: &str, edits: &Value, columns: Columns) -> Vec<(Range<usize>, String)> {
    let edits = edits.as_array().unwrap_or_else(|| panic!("no list of edits: {edits}"));
    let ending = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let mut replacements: Vec<_> = edits
        .iter()
        .map(|edit| {
            let new = edit["newText"].as_str().unwrap_or_else(|| panic!("an edit without text: {edit}"));
            assert!(!new.contains('\r'), "a text with \\r: clients put in their own line ends");
            (span(text, &edit["range"], columns), new.replace('\n', ending))
        })
        .collect();
    for pair in replacements.windows(2) {
        assert!(pair[0].0.end < pair[1].0.start, "edits that overlap, touch or are not in order: {edits:?}");
    }
    replacements.reverse();
    replacements
}
