//! `Text`: the one place that knows which rope crate is used and how it counts.
//!
//! Offsets are bytes of UTF-8. Lines end at LF, CRLF and CR only, as LSP says: ropey would also break at U+2028 and
//! its kind if another crate switched its `unicode_lines` feature on, which a test here guards against.
//! ropey indexes by character, so every entry by byte finds its chunk once and takes both counts from there.

use std::fmt;
use std::ops::Range;

use ropey::Rope;

/// A text of which a copy costs a pointer.
#[derive(Clone, Default)]
pub struct Text(pub(super) Rope);

/// A character boundary, in both of the counts that the rope needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub byte: usize,
    pub char: usize,
}

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
        let (start, mut end) = (self.line_start(line), self.line_start(line.saturating_add(1)));
        if line < self.lines().saturating_sub(1) {
            if end > start && self.0.byte(end - 1) == b'\n' {
                end -= 1;
                if end > start && self.0.byte(end - 1) == b'\r' {
                    end -= 1;
                }
            } else if end > start && self.0.byte(end - 1) == b'\r' {
                end -= 1;
            }
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

    /// The pieces of a byte range, which is clamped to character boundaries inside the text.
    pub fn chunks_in(&self, range: Range<usize>) -> impl Iterator<Item = &str> {
        let start = self.floor_boundary(range.start);
        let end = self.floor_boundary(range.end).max(start);
        self.0.byte_slice(start..end).chunks()
    }

    /// What is left, from byte `offset` on, of the piece that holds it; empty at the end of the text. In one descent.
    pub fn bytes_from(&self, offset: usize) -> &[u8] {
        if offset >= self.len() {
            return &[];
        }
        let (chunk, start, ..) = self.0.chunk_at_byte(offset);
        &chunk.as_bytes()[offset - start..]
    }

    /// The largest character boundary at or below `offset`, inside the text.
    pub fn floor_boundary(&self, offset: usize) -> usize {
        self.place(offset).byte
    }

    /// Whether byte `offset` is inside the text or at its end, and not inside a character.
    pub fn is_boundary(&self, offset: usize) -> bool {
        offset <= self.len() && self.floor_boundary(offset) == offset
    }

    /// Whether the two are pointers to the same rope: a cheap yes, no proof of difference.
    pub fn same(&self, other: &Self) -> bool {
        self.0.is_instance(&other.0)
    }

    /// Whether `needle` stands at byte `offset`. Compares in place, nothing is copied.
    pub fn has_at(&self, offset: usize, needle: &str) -> bool {
        let Some(end) = offset.checked_add(needle.len()) else { return false };
        if end > self.len() {
            return false;
        }
        let (mut chunks, chunk_start, _, _) = self.0.chunks_at_byte(offset);
        let mut needle = needle.as_bytes();
        let mut skip = offset - chunk_start;
        while !needle.is_empty() {
            let Some(chunk) = chunks.next() else { return false };
            let chunk = &chunk.as_bytes()[skip..];
            let take = chunk.len().min(needle.len());
            if chunk[..take] != needle[..take] {
                return false;
            }
            needle = &needle[take..];
            skip = 0;
        }
        true
    }

    /// Whether the two are equal when CRLF and CR count as LF and a byte order mark at the start as nothing: what an
    /// editor keeps of a text that it was sent.
    pub fn eq_folded(&self, other: &Self) -> bool {
        self == other || folded(self).eq(folded(other))
    }

    /// Replaces the bytes of `range` by `text`, in place, and returns the range that was replaced: `range` clamped
    /// to character boundaries inside the text, a reversed one put right.
    pub fn replace(&mut self, range: Range<usize>, text: &str) -> Range<usize> {
        let start = self.place(range.start);
        let end = if range.end == range.start { start } else { self.place(range.end) };
        self.replace_between(start.min(end), start.max(end), text)
    }

    /// The hot path of every edit: as few descents into the tree as the rope allows.
    pub(super) fn replace_between(&mut self, start: Place, end: Place, text: &str) -> Range<usize> {
        if start.char < end.char {
            self.0.remove(start.char..end.char);
        }
        if !text.is_empty() {
            self.0.insert(start.char, text);
        }
        start.byte..end.byte
    }

    /// The character boundary at or below byte `offset`, in one descent.
    pub(super) fn place(&self, offset: usize) -> Place {
        let offset = offset.min(self.len());
        let (chunk, byte, char, _) = self.0.chunk_at_byte(offset);
        let mut local = offset - byte;
        while !chunk.is_char_boundary(local) {
            local -= 1;
        }
        Place { byte: byte + local, char: char + str_indices::chars::count(&chunk[..local]) }
    }
}

/// The bytes of a text with every line end as LF and without a byte order mark.
fn folded(text: &Text) -> impl Iterator<Item = u8> + '_ {
    let skip = if text.has_at(0, "\u{feff}") { '\u{feff}'.len_utf8() } else { 0 };
    let mut after_cr = false;
    text.chunks().flat_map(str::bytes).skip(skip).filter_map(move |byte| {
        let second_half = after_cr && byte == b'\n';
        after_cr = byte == b'\r';
        match byte {
            b'\n' if second_half => None,
            b'\r' => Some(b'\n'),
            byte => Some(byte),
        }
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lf_crlf_and_cr_end_a_line() {
        for text in ["a\u{2028}b", "a\u{2029}b", "a\u{b}b", "a\u{c}b", "a\u{85}b"] {
            assert_eq!(Text::from(text).lines(), 1, "{text:?}: is ropey's unicode_lines feature on?");
        }
        assert_eq!(Text::from("a\rb\nc\r\nd").lines(), 4);
        assert_eq!(Text::from("").lines(), 1);
        assert_eq!(Text::from("a\n").lines(), 2);
    }

    #[test]
    fn a_line_comes_without_its_line_end() {
        let text = Text::from("a\r\nb\r\rc\n\nd");
        let lines: Vec<_> = (0..text.lines()).map(|line| text.line(line)).collect();
        assert_eq!(lines, ["a", "b", "", "c", "", "d"]);
        assert_eq!(text.line_range(99), 10..10);
        assert_eq!(text.line_range(usize::MAX), 10..10);
    }

    #[test]
    fn a_replacement_is_clamped_to_characters_and_put_right() {
        let mut text = Text::from("a😀b");
        assert_eq!(text.replace(2..4, "x"), 1..1);
        assert_eq!(text, "ax😀b");
        #[expect(clippy::reversed_empty_ranges, reason = "what a hostile caller sends")]
        let reversed = 100..1;
        assert_eq!(text.replace(reversed, ""), 1..7);
        assert_eq!(text, "a");
    }

    #[test]
    fn an_insertion_may_split_and_join_crlf() {
        let mut text = Text::from("a\r\nb");
        text.replace(2..2, "x");
        assert_eq!((text.to_string().as_str(), text.lines()), ("a\rx\nb", 3));
        text.replace(2..3, "");
        assert_eq!((text.to_string().as_str(), text.lines()), ("a\r\nb", 2));
    }

    #[test]
    fn a_needle_is_compared_across_chunks() {
        let body = "näive 😀 text\r\n".repeat(500);
        let text = Text::from(body.as_str());
        assert!(text.chunks().count() > 3);
        for (at, _) in body.char_indices().step_by(97) {
            assert!(text.has_at(at, &body[at..]), "at {at}");
        }
        assert!(text.has_at(0, &body));
        assert!(!text.has_at(1, &body));
        assert!(!text.has_at(usize::MAX, "a"));
        assert!(text.has_at(body.len(), ""));
        assert!(!text.has_at(2, "😀"), "an offset inside a character is no match and no panic");
    }

    #[test]
    fn line_ends_and_byte_order_mark_do_not_count_when_folded() {
        let text = |text: &str| Text::from(text);
        assert!(text("\u{feff}a\r\nb\rc\r\r\n").eq_folded(&text("a\nb\nc\n\n")));
        assert!(!text("a\r\n").eq_folded(&text("a\n\n")));
        assert!(!text("a").eq_folded(&text("a\n")));
        assert!(text("").eq_folded(&text("\u{feff}")));
    }

    #[test]
    fn a_copy_is_the_same_until_it_is_edited() {
        let text = Text::from("abc");
        let mut copy = text.clone();
        assert!(text.same(&copy));
        copy.replace(0..0, "x");
        assert!(!text.same(&copy));
        assert_eq!((text, copy), (Text::from("abc"), Text::from("xabc")));
    }
}
