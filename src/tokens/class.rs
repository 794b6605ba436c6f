//! What a character is to the patterns that split a text: a few properties, a byte for each.
//!
//! Beyond ASCII they come from regex-syntax, which is what tiktoken's own patterns are matched with: both know the same
//! Unicode. Its ranges are spread into tables once, so that a look is two loads.

use regex_syntax::hir::{Class, HirKind};

/// `\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}`: may stand in the first half of a word of o200k.
pub(super) const MAY_BEGIN: u8 = 1;
/// `\p{Ll}\p{Lm}\p{Lo}\p{M}`: may stand in the second half of a word of o200k.
pub(super) const MAY_END: u8 = 2;
/// `\p{L}`
pub(super) const LETTER: u8 = 4;
/// `\p{N}`
pub(super) const NUMBER: u8 = 8;
/// `\s`
pub(super) const SPACE: u8 = 16;
/// CR or LF.
pub(super) const NEWLINE: u8 = 32;
/// Not a character: the text ends here.
pub(super) const END: u8 = 128;

/// General categories and what they are to the patterns.
const CLASSES: [(&str, u8); 8] = [
    (r"\p{Lu}", MAY_BEGIN | LETTER),
    (r"\p{Lt}", MAY_BEGIN | LETTER),
    (r"\p{Ll}", MAY_END | LETTER),
    (r"\p{Lm}", MAY_BEGIN | MAY_END | LETTER),
    (r"\p{Lo}", MAY_BEGIN | MAY_END | LETTER),
    (r"\p{M}", MAY_BEGIN | MAY_END),
    (r"\p{N}", NUMBER),
    (r"\s", SPACE),
];

/// Code points that share a block of the table.
const BLOCK: usize = 256;
const BLOCKS: usize = 0x11_0000 / BLOCK;

/// The classes of all characters.
#[derive(Debug)]
pub(super) struct Classes {
    ascii: [u8; 128],
    /// For each block the number of its table.
    blocks: Box<[u8; BLOCKS]>,
    tables: Vec<[u8; BLOCK]>,
}

impl Classes {
    /// Spreads the ranges: about a millisecond.
    pub(super) fn new() -> Self {
        let mut all = vec![0_u8; 0x11_0000];
        for (pattern, bits) in CLASSES {
            let hir = regex_syntax::parse(pattern).expect("the pattern is a constant that a test has parsed");
            let HirKind::Class(Class::Unicode(class)) = hir.kind() else { continue };
            for range in class.ranges() {
                all[range.start() as usize..=range.end() as usize].iter_mut().for_each(|class| *class |= bits);
            }
        }
        all[usize::from(b'\r')] |= NEWLINE;
        all[usize::from(b'\n')] |= NEWLINE;
        let mut ascii = [0; 128];
        ascii.copy_from_slice(&all[..128]);
        let mut blocks = Box::new([0; BLOCKS]);
        let mut tables: Vec<[u8; BLOCK]> = Vec::new();
        for (number, block) in blocks.iter_mut().zip(all.as_chunks::<BLOCK>().0) {
            let at = tables.iter().position(|table| table == block).unwrap_or_else(|| {
                tables.push(*block);
                tables.len() - 1
            });
            *number = u8::try_from(at).expect("Unicode's letters fill about 100 blocks; a test builds them");
        }
        Self { ascii, blocks, tables }
    }

    /// A text to be asked about.
    pub(super) fn of<'a>(&'a self, bytes: &'a [u8]) -> Text<'a> {
        Text { bytes, classes: self }
    }
}

/// A text whose characters have classes. It must be UTF-8; else the answers mean nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text<'a> {
    /// The text itself.
    pub(super) bytes: &'a [u8],
    classes: &'a Classes,
}

impl Text<'_> {
    /// The class of the character at byte `at`, a boundary, and its length in bytes; [`END`] and 0 at the end.
    #[inline]
    pub(super) fn class_at(self, at: usize) -> (u8, usize) {
        match self.bytes.get(at) {
            None => (END, 0),
            Some(&byte) if byte < 0x80 => (self.classes.ascii[usize::from(byte)], 1),
            Some(&byte) => self.beyond_ascii(at, byte),
        }
    }

    fn beyond_ascii(self, at: usize, first: u8) -> (u8, usize) {
        let more = |nth: usize| usize::from(self.bytes.get(at + nth).copied().unwrap_or_default() & 0x3f);
        let first = usize::from(first);
        let (code, len) = match first {
            0..0xe0 => ((first & 0x1f) << 6 | more(1), 2),
            0xe0..0xf0 => ((first & 0x0f) << 12 | more(1) << 6 | more(2), 3),
            _ => ((first & 0x07) << 18 | more(1) << 12 | more(2) << 6 | more(3), 4),
        };
        let block = self.classes.blocks.get(code / BLOCK).copied().unwrap_or_default();
        (self.classes.tables[usize::from(block)][code % BLOCK], len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_those_of_unicode() {
        let classes = Classes::new();
        for ch in '\0'..=char::MAX {
            let mut bytes = [0; 4];
            let text = ch.encode_utf8(&mut bytes);
            let (class, len) = classes.of(text.as_bytes()).class_at(0);
            assert_eq!(len, ch.len_utf8());
            assert_eq!(class & SPACE != 0, ch.is_whitespace(), "{ch:?}");
            if ch < '\u{1000}' {
                // Above, the standard library and regex-syntax need not know the same version of Unicode.
                assert_eq!(class & NUMBER != 0, ch.is_numeric(), "{ch:?}");
            }
            assert_eq!(class & NEWLINE != 0, ch == '\r' || ch == '\n', "{ch:?}");
            if ch.is_ascii() {
                assert_eq!(class & LETTER != 0, ch.is_ascii_alphabetic(), "{ch:?}");
                assert_eq!(class & MAY_BEGIN != 0, ch.is_ascii_uppercase(), "{ch:?}");
                assert_eq!(class & MAY_END != 0, ch.is_ascii_lowercase(), "{ch:?}");
            }
        }
        let of = |text: &str| classes.of(text.as_bytes()).class_at(0).0;
        assert_eq!(of("é"), MAY_END | LETTER);
        assert_eq!(of("Ж"), MAY_BEGIN | LETTER);
        assert_eq!(of("中"), MAY_BEGIN | MAY_END | LETTER);
        assert_eq!(of("\u{301}"), MAY_BEGIN | MAY_END);
        assert_eq!(of("😀"), 0);
        assert_eq!(of(""), END);
    }
}
