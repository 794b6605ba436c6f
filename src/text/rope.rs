//! `Text`: the one place that knows which rope crate is used and how it counts.
//!
//! Offsets are bytes of UTF-8. Lines end at LF, CRLF and CR only, as LSP says: ropey would also break at U+2028 and
//! its kind if another crate switched its `unicode_lines` feature on, which a test here guards against.

use std::fmt;
use std::ops::Range;

use ropey::Rope;

/// A text of which a copy costs a pointer.
#[derive(Clone, Default)]
pub struct Text(pub(super) Rope);

impl Text {
    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.0.len_bytes()
    }

    /// Whether there is no byte in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of lines by LSP's rule: `"a\n"` has two, `""` has one.
    pub fn lines(&self) -> usize {
        self.0.len_lines()
    }

    /// The byte offset at which line `line` (from 0) begins; the end of the text for a line past the last.
    pub fn line_start(&self, line: usize) -> usize {
        if line >= self.lines() { self.len() } else { self.0.line_to_byte(line) }
    }

    /// The line (from 0) that holds byte `offset`, which is clamped to the text.
    pub fn line_at(&self, offset: usize) -> usize {
        self.0.byte_to_line(offset.min(self.len()))
    }

    /// The bytes of `line` without its line end; empty past the last line.
    pub fn line_range(&self, line: usize) -> Range<usize> {
        let (start, mut end) = (self.line_start(line), self.line_start(line + 1));
        if line + 1 < self.lines() && end > start && self.0.byte(end - 1) == b'\n' {
            end -= 1;
        }
        if line + 1 < self.lines() && end > start && self.0.byte(end - 1) == b'\r' {
            end -= 1;
        }
        start..end
    }

    /// The text of a byte range, copied; the range is clamped to character boundaries inside the text.
    pub fn slice(&self, range: Range<usize>) -> String {
        let start = self.floor_boundary(range.start);
        let end = self.floor_boundary(range.end).max(start);
        self.0.byte_slice(start..end).to_string()
    }

    /// `line` without its line end, copied.
    pub fn line(&self, line: usize) -> String {
        self.slice(self.line_range(line))
    }

    /// The pieces of the text in order; no piece splits a character.
    pub fn chunks(&self) -> impl Iterator<Item = &str> {
        self.0.chunks()
    }

    /// The largest character boundary at or below `offset`, inside the text.
    pub fn floor_boundary(&self, offset: usize) -> usize {
        let offset = offset.min(self.len());
        self.0.char_to_byte(self.0.byte_to_char(offset))
    }

    /// Whether the two are pointers to the same rope: a cheap yes, no proof of difference.
    pub fn same(&self, other: &Self) -> bool {
        self.0.is_instance(&other.0)
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(Rope::from_str(text))
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.same(other) || self.0 == other.0
    }
}

impl Eq for Text {}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.0 == *other
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.0 == **other
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.chunks().try_for_each(|chunk| f.write_str(chunk))
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Text({} bytes, {} lines)", self.len(), self.lines())
    }
}
