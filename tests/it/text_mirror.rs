//! A million random edits: the text that the server keeps must equal the one that the editor has, whatever the
//! encoding, the characters and the line ends, and whatever positions a client sends.
//!
//! The model is a `String` and the specification read one character at a time. Most documents are small, so that
//! edits meet at every boundary; some are larger than a leaf of the rope, so that CRLF and characters come to stand
//! at the seams of the tree.

use ropeway::text::{Encoding, Position, Range, Text};

const EDITS: usize = 1_000_000;

#[test]
fn the_mirror_equals_the_model_in_utf8() {
    mirror(Encoding::Utf8, 0x5eed_0008, EDITS / 3);
}

#[test]
fn the_mirror_equals_the_model_in_utf16() {
    mirror(Encoding::Utf16, 0x5eed_0016, EDITS - 2 * (EDITS / 3));
}

#[test]
fn the_mirror_equals_the_model_in_utf32() {
    mirror(Encoding::Utf32, 0x5eed_0032, EDITS / 3);
}

fn mirror(encoding: Encoding, seed: u64, edits: usize) {
    let mut random = Random(seed);
    let mut left = edits;
    while left > 0 {
        let large = random.below(200) == 0;
        let mut model = random.pieces(if large { 6000 } else { 12 });
        let mut mirror = Text::from(model.as_str());
        for round in 0..left.min(100) {
            let start = random.position(&model, large);
            let end = if random.below(2) == 0 { start } else { random.position(&model, large) };
            // Now and then much is deleted, or the document would only grow.
            let range = if large && random.below(8) != 0 { near(start, random.below(3)) } else { Range { start, end } };
            let inserted = random.below(4);
            let text = random.pieces(if large && round % 16 == 0 { 900 } else { inserted });

            let (a, b) = (offset(&model, range.start, encoding), offset(&model, range.end, encoding));
            let replaced = a.min(b)..a.max(b);
            assert_eq!(mirror.splice(range, encoding, &text), replaced, "{range:?} in {model:?}, seed {seed:#x}");
            model.replace_range(replaced, &text);
            assert_eq!(mirror, model.as_str(), "after {range:?} {text:?}, seed {seed:#x}");
            if !large || round % 16 == 0 {
                assert_eq!(mirror.lines(), lines(&model), "{model:?}, seed {seed:#x}");
            }
            left -= 1;
        }
    }
}

fn near(start: Position, columns: usize) -> Range {
    Range { start, end: Position { character: start.character.saturating_add(columns as u32), ..start } }
}

/// The specification: a column counts units of the encoding, one past the line is its end before the line break, one
/// inside a character is the start of that character; a line past the last is the end of the text.
fn offset(text: &str, position: Position, encoding: Encoding) -> usize {
    let bytes = text.as_bytes();
    let (mut line, mut at) = (0, 0);
    while line < position.line && at < bytes.len() {
        line += u32::from(ends_line(bytes, at));
        at += 1;
    }
    if line < position.line {
        return bytes.len();
    }
    let mut left = position.character as usize;
    for ch in text[at..].chars() {
        let width = match encoding {
            Encoding::Utf8 => ch.len_utf8(),
            Encoding::Utf16 => ch.len_utf16(),
            Encoding::Utf32 => 1,
        };
        if left < width || ch == '\n' || ch == '\r' {
            break;
        }
        left -= width;
        at += ch.len_utf8();
    }
    at
}

fn lines(text: &str) -> usize {
    (0..text.len()).filter(|&at| ends_line(text.as_bytes(), at)).count() + 1
}

/// Whether a line ends with the byte `at`: LF, or CR that is not the first half of CRLF.
fn ends_line(bytes: &[u8], at: usize) -> bool {
    bytes[at] == b'\n' || (bytes[at] == b'\r' && bytes.get(at + 1) != Some(&b'\n'))
}

/// Xorshift: the same edits on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn pieces(&mut self, at_most: usize) -> String {
        const PIECES: [&str; 16] = [
            "a",
            "bc",
            " ",
            "\t",
            "é",
            "e\u{301}",
            "漢",
            "😀",
            "👩\u{200d}🚀",
            "\r\n",
            "\r\n",
            "\n",
            "\r",
            "\u{2028}",
            "\u{85}",
            "\u{c}",
        ];
        let count = self.below(at_most + 1);
        (0..count).map(|_| PIECES[self.below(PIECES.len())]).collect()
    }

    /// A position in the text, or a little past a line or the end, or anywhere.
    fn position(&mut self, text: &str, large: bool) -> Position {
        if self.below(64) == 0 {
            return Position { line: self.next() as u32, character: self.next() as u32 };
        }
        // A large text has about one line end in four pieces; its lines are short all the same.
        let lines = if large { text.len() / 11 } else { lines(text) + 1 };
        let column = if self.below(16) == 0 { u32::MAX } else { self.below(12) as u32 };
        Position { line: self.below(lines + 1) as u32, character: column }
    }
}
