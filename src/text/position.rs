//! LSP positions to byte offsets and back, in the three encodings, clamped as the specification says.

use serde::{Deserialize, Serialize};

use super::rope::Text;

/// What a client counts columns in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Encoding {
    /// Bytes.
    Utf8,
    /// UTF-16 code units: what every client knows and the default of the protocol.
    #[default]
    Utf16,
    /// Code points.
    Utf32,
}

/// A place in a text: line and column from 0, the column in units of an [`Encoding`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Position {
    /// Line, from 0.
    pub line: u32,
    /// Column, from 0.
    pub character: u32,
}

/// A stretch of text between two positions, the end not included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Range {
    /// Where it begins.
    pub start: Position,
    /// Where it ends; may stand before `start`, which readers put right.
    pub end: Position,
}

impl Text {
    /// The byte offset of `position`. A line past the end is the end of the text, a column past the end of its line
    /// the end of the line before its line break, a column inside a character the start of that character.
    pub fn offset(&self, position: Position, encoding: Encoding) -> usize {
        let line = position.line as usize;
        if line >= self.lines() {
            return self.len();
        }
        let range = self.line_range(line);
        let mut left = position.character as usize;
        let mut offset = range.start;
        for chunk in self.0.byte_slice(range).chunks() {
            for ch in chunk.chars() {
                let width = match encoding {
                    Encoding::Utf8 => ch.len_utf8(),
                    Encoding::Utf16 => ch.len_utf16(),
                    Encoding::Utf32 => 1,
                };
                if left < width {
                    return offset;
                }
                left -= width;
                offset += ch.len_utf8();
            }
        }
        offset
    }

    /// The position of byte `offset`, which is clamped to a character boundary inside the text.
    pub fn position(&self, offset: usize, encoding: Encoding) -> Position {
        let offset = self.floor_boundary(offset);
        let line = self.line_at(offset);
        let start = self.line_start(line);
        let before = self.0.byte_slice(start..offset);
        let character = match encoding {
            Encoding::Utf8 => offset - start,
            Encoding::Utf16 => before.len_utf16_cu(),
            Encoding::Utf32 => before.len_chars(),
        };
        Position { line: line as u32, character: character as u32 }
    }

    /// The byte range of `range`; a reversed one is put right.
    pub fn offsets(&self, range: Range, encoding: Encoding) -> std::ops::Range<usize> {
        let (a, b) = (self.offset(range.start, encoding), self.offset(range.end, encoding));
        a.min(b)..a.max(b)
    }
}
