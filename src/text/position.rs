//! LSP positions to byte offsets and back, in the three encodings, clamped as the specification says.
//!
//! A keystroke's way into the text goes through here, so a column is looked for with one descent into the rope and a
//! scan of what is left of the line in that chunk; only a line that runs past its chunk is looked up by the tree.

use serde::{Deserialize, Serialize};

use super::rope::{Place, Text};

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

impl Encoding {
    /// How many columns `ch` takes.
    fn width(self, ch: char) -> usize {
        match self {
            Self::Utf8 => ch.len_utf8(),
            Self::Utf16 => ch.len_utf16(),
            Self::Utf32 => 1,
        }
    }
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
        self.place_of(position, encoding).byte
    }

    /// The position of byte `offset`, which is clamped to a character boundary inside the text and out of the middle
    /// of a CRLF, which no position can name.
    pub fn position(&self, offset: usize, encoding: Encoding) -> Position {
        let offset = self.floor_boundary(offset);
        let line = self.line_at(offset);
        let range = self.line_range(line);
        let offset = offset.min(range.end);
        let character = match encoding {
            Encoding::Utf8 => offset - range.start,
            Encoding::Utf16 => self.0.byte_slice(range.start..offset).len_utf16_cu(),
            Encoding::Utf32 => self.0.byte_slice(range.start..offset).len_chars(),
        };
        Position { line: saturate(line), character: saturate(character) }
    }

    /// The byte range of `range`; a reversed one is put right.
    pub fn offsets(&self, range: Range, encoding: Encoding) -> std::ops::Range<usize> {
        let (a, b) = (self.offset(range.start, encoding), self.offset(range.end, encoding));
        a.min(b)..a.max(b)
    }

    /// The positions of a byte range.
    pub fn range(&self, range: std::ops::Range<usize>, encoding: Encoding) -> Range {
        Range { start: self.position(range.start, encoding), end: self.position(range.end, encoding) }
    }

    /// Replaces what stands in `range` by `text`, in place, and returns the bytes of the text before that were
    /// replaced: one content change of a `didChange`.
    pub fn splice(&mut self, range: Range, encoding: Encoding, text: &str) -> std::ops::Range<usize> {
        let start = self.place_of(range.start, encoding);
        let end = if range.end == range.start { start } else { self.place_of(range.end, encoding) };
        self.replace_between(start.min(end), start.max(end), text)
    }

    fn place_of(&self, position: Position, encoding: Encoding) -> Place {
        let line = position.line as usize;
        if line >= self.lines() {
            return Place { byte: self.0.len_bytes(), char: self.0.len_chars() };
        }
        let column = position.character as usize;
        let (chunk, byte, char, first_line) = self.0.chunk_at_line_break(line);
        let start = str_indices::lines_crlf::to_byte_idx(chunk, line - first_line);
        match column_in(&chunk[start..], column, encoding) {
            Some(width) => {
                let local = start + width;
                Place { byte: byte + local, char: char + str_indices::chars::count(&chunk[..local]) }
            }
            None => self.place_by_tree(line, column, encoding),
        }
    }

    /// For a line that goes on past the chunk it begins in: no scan, so a line of ten megabytes costs what any does.
    #[cold]
    fn place_by_tree(&self, line: usize, column: usize, encoding: Encoding) -> Place {
        let line = self.line_range(line);
        match encoding {
            Encoding::Utf8 => self.place(line.end.min(line.start.saturating_add(column))),
            Encoding::Utf16 | Encoding::Utf32 => {
                let (first, last) = (self.0.byte_to_char(line.start), self.0.byte_to_char(line.end));
                let char = if encoding == Encoding::Utf32 {
                    first.saturating_add(column)
                } else {
                    let unit = self.0.char_to_utf16_cu(first).saturating_add(column);
                    self.0.utf16_cu_to_char(unit.min(self.0.len_utf16_cu()))
                };
                let char = char.min(last);
                Place { byte: self.0.char_to_byte(char), char }
            }
        }
    }
}

/// The bytes before column `column` of the line that begins `text`, or nothing if `text` ends before the line does.
fn column_in(text: &str, column: usize, encoding: Encoding) -> Option<usize> {
    let head = &text.as_bytes()[..column.min(text.len())];
    if head.is_ascii() && memchr::memchr2(b'\n', b'\r', head).is_none() {
        return (head.len() == column).then_some(column);
    }
    let mut left = column;
    for (at, ch) in text.char_indices() {
        let width = encoding.width(ch);
        if left < width || ch == '\n' || ch == '\r' {
            return Some(at);
        }
        left -= width;
    }
    (left == 0).then_some(text.len())
}

fn saturate(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ENCODINGS: [Encoding; 3] = [Encoding::Utf8, Encoding::Utf16, Encoding::Utf32];

    fn at(line: u32, character: u32) -> Position {
        Position { line, character }
    }

    /// The specification, word for word and one character at a time.
    fn naive_offset(text: &str, position: Position, encoding: Encoding) -> usize {
        let (mut line, mut column, mut offset) = (0, 0, 0);
        let mut chars = text.chars().peekable();
        while let Some(ch) = chars.next() {
            let ends_line = ch == '\n' || ch == '\r';
            let width = encoding.width(ch) as u64;
            if line == position.line && (ends_line || column + width > u64::from(position.character)) {
                return offset;
            }
            offset += ch.len_utf8();
            column += width;
            if ends_line {
                if ch == '\r' && chars.peek() == Some(&'\n') {
                    chars.next();
                    offset += 1;
                }
                (line, column) = (line + 1, 0);
            }
        }
        offset
    }

    #[test]
    fn a_column_past_its_line_is_the_end_before_the_line_break() {
        let text = Text::from("ab\r\ncd\ref\n");
        for encoding in ENCODINGS {
            assert_eq!(text.offset(at(0, 9), encoding), 2);
            assert_eq!(text.offset(at(1, u32::MAX), encoding), 6);
            assert_eq!(text.offset(at(2, u32::MAX), encoding), 9);
            assert_eq!(text.offset(at(3, 0), encoding), 10);
            assert_eq!(text.offset(at(4, 0), encoding), 10);
            assert_eq!(text.offset(at(u32::MAX, u32::MAX), encoding), 10);
        }
    }

    #[test]
    fn a_column_inside_a_character_is_its_start() {
        let text = Text::from("é😀z");
        assert_eq!(text.offset(at(0, 2), Encoding::Utf16), 2);
        assert_eq!(text.offset(at(0, 3), Encoding::Utf16), 6);
        assert_eq!(text.offset(at(0, 1), Encoding::Utf8), 0);
        assert_eq!(text.offset(at(0, 5), Encoding::Utf8), 2);
        assert_eq!(text.offset(at(0, 2), Encoding::Utf32), 6);
    }

    #[test]
    fn a_line_longer_than_its_chunk_is_counted_by_the_tree() {
        let line = "aé😀\u{301}\u{2028}".repeat(3000);
        let source = format!("x\n{line}\r\ny");
        let text = Text::from(source.as_str());
        for encoding in ENCODINGS {
            for column in (0..50_000).step_by(331).chain([u32::MAX]) {
                let position = at(1, column);
                assert_eq!(text.offset(position, encoding), naive_offset(&source, position, encoding), "{position:?}");
            }
        }
    }

    #[test]
    fn no_position_names_the_middle_of_a_crlf() {
        let text = Text::from("a\r\nb");
        assert_eq!(text.position(2, Encoding::Utf16), at(0, 1));
        assert_eq!(text.position(3, Encoding::Utf16), at(1, 0));
        assert_eq!(text.position(usize::MAX, Encoding::Utf8), at(1, 1));
    }

    #[test]
    fn a_reversed_range_is_put_right() {
        let mut text = Text::from("abc\ndef");
        let range = Range { start: at(1, 1), end: at(0, 1) };
        assert_eq!(text.offsets(range, Encoding::Utf16), 1..5);
        assert_eq!(text.splice(range, Encoding::Utf16, "-"), 1..5);
        assert_eq!(text, "a-ef");
    }

    proptest! {
        #[test]
        fn every_position_means_what_the_specification_says(
            source in "([a-z]{0,3}|é|😀|e\u{301}|\u{2028}|\u{85}|\t|\r\n|\n|\r){0,40}",
            line in 0u32..20, character in 0u32..30,
        ) {
            let text = Text::from(source.as_str());
            for encoding in ENCODINGS {
                let position = at(line, character);
                prop_assert_eq!(text.offset(position, encoding), naive_offset(&source, position, encoding));
            }
        }

        #[test]
        fn positions_round_trip_in_three_encodings(
            source in "([a-z]{0,3}|é|😀|e\u{301}|\u{2028}|\u{c}|\r\n|\n|\r){0,40}", repeat in 1usize..60,
        ) {
            let source = source.repeat(repeat);
            let text = Text::from(source.as_str());
            for encoding in ENCODINGS {
                for (offset, ch) in source.char_indices().step_by(repeat) {
                    let in_crlf = ch == '\n' && source[..offset].ends_with('\r');
                    let back = text.offset(text.position(offset, encoding), encoding);
                    prop_assert_eq!(back, offset - usize::from(in_crlf));
                }
                prop_assert_eq!(text.offset(text.position(source.len(), encoding), encoding), source.len());
            }
        }
    }
}
