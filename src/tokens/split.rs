//! The patterns that cut a text into pieces, before pieces are encoded, as plain loops.
//!
//! tiktoken gives them as regular expressions with look-ahead, whose matching is most of its time and, on a megabyte of
//! blanks, the end of its stack. Each alternative of a pattern is one branch here, tried in the same order; what
//! backtracking would find is worked out beside it. Every function takes time in proportion to the piece it finds, and
//! every character belongs to a piece.

use super::class::{END, LETTER, MAY_BEGIN, MAY_END, NEWLINE, NUMBER, SPACE, Text};

/// How an encoding splits.
pub(super) trait Pattern {
    /// Where the piece ends that begins at `start`, which must be a place inside the text where a piece begins.
    fn end(text: Text<'_>, start: usize) -> usize;
}

/// The pattern of o200k_base:
///
/// ```text
/// [^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?
/// [^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?
/// \p{N}{1,3}
///  ?[^\s\p{L}\p{N}]+[\r\n/]*
/// \s*[\r\n]+
/// \s+(?!\S)
/// \s+
/// ```
pub(super) enum O200k {}

/// The pattern of cl100k_base:
///
/// ```text
/// '(?i:[sdmt]|ll|ve|re)
/// [^\r\n\p{L}\p{N}]?+\p{L}++
/// \p{N}{1,3}+
///  ?[^\s\p{L}\p{N}]++[\r\n]*+
/// \s++$
/// \s*[\r\n]
/// \s+(?!\S)
/// \s
/// ```
pub(super) enum Cl100k {}

impl Pattern for O200k {
    #[inline]
    fn end(text: Text<'_>, start: usize) -> usize {
        let (class, len) = text.class_at(start);
        if class & LETTER != 0 {
            return match word(text, start) {
                Word::Cased(end) | Word::Capitals(end) => with_contraction(text, end),
                Word::None => start + len,
            };
        }
        if class & NUMBER != 0 {
            return number(text, start + len);
        }
        if class & NEWLINE == 0 {
            match word(text, start + len) {
                Word::Cased(end) => return with_contraction(text, end),
                // A mark can be the character before a word and the word itself; the second comes first here, as the
                // first alternative does not take capitals alone.
                _ if class & MAY_END != 0 => {
                    if let Word::Cased(end) = word(text, start) {
                        return with_contraction(text, end);
                    }
                }
                Word::Capitals(end) => return with_contraction(text, end),
                Word::None => {}
            }
        }
        if let Some(end) = signs(text, start) {
            return run(text, end, |byte| matches!(byte, b'\r' | b'\n' | b'/'));
        }
        blanks(text, start).end()
    }
}

impl Pattern for Cl100k {
    #[inline]
    fn end(text: Text<'_>, start: usize) -> usize {
        let (class, len) = text.class_at(start);
        let letters = |from: usize| while_class(text, from, |class| class & LETTER != 0);
        if class & LETTER != 0 {
            return letters(start + len);
        }
        if class & NUMBER != 0 {
            return number(text, start + len);
        }
        let contracted = with_contraction(text, start);
        if contracted > start {
            return contracted;
        }
        if class & NEWLINE == 0 {
            let end = letters(start + len);
            if end > start + len {
                return end;
            }
        }
        if let Some(end) = signs(text, start) {
            return run(text, end, |byte| matches!(byte, b'\r' | b'\n'));
        }
        let blanks = blanks(text, start);
        if blanks.to_end_of_text { blanks.all } else { blanks.end() }
    }
}

enum Word {
    /// Matched by the first alternative of o200k.
    Cased(usize),
    /// Only by the second.
    Capitals(usize),
    None,
}

/// The letters and marks of a word of o200k that begins at `start`, behind what may stand before it.
#[inline]
fn word(text: Text<'_>, start: usize) -> Word {
    let mut end = start;
    // Behind the last character that could also stand in the second half: where backtracking ends.
    let mut both = None;
    let (mut class, mut len) = text.class_at(end);
    while class & MAY_BEGIN != 0 {
        end += len;
        if class & MAY_END != 0 {
            both = Some(end);
        }
        (class, len) = text.class_at(end);
    }
    if class & MAY_END != 0 {
        return Word::Cased(while_class(text, end + len, |class| class & MAY_END != 0));
    }
    match both {
        Some(end) => Word::Cased(end),
        None if end > start => Word::Capitals(end),
        None => Word::None,
    }
}

#[inline]
fn while_class(text: Text<'_>, mut at: usize, belongs: impl Fn(u8) -> bool) -> usize {
    loop {
        let (class, len) = text.class_at(at);
        if !belongs(class) {
            return at;
        }
        at += len;
    }
}

#[inline]
fn run(text: Text<'_>, at: usize, belongs: impl Fn(u8) -> bool) -> usize {
    text.bytes[at..].iter().position(|byte| !belongs(*byte)).map_or(text.bytes.len(), |more| at + more)
}

/// Up to two digits more.
#[inline]
fn number(text: Text<'_>, mut at: usize) -> usize {
    for _ in 0..2 {
        let (class, len) = text.class_at(at);
        if class & NUMBER == 0 {
            break;
        }
        at += len;
    }
    at
}

/// Behind `(?i:'s|'t|'re|'ve|'m|'ll|'d)` if that stands at `at`, else `at`. Without case, `s` is also `ſ`.
#[inline]
fn with_contraction(text: Text<'_>, at: usize) -> usize {
    if text.bytes.get(at) != Some(&b'\'') {
        return at;
    }
    let lower = |nth: usize| text.bytes.get(at + nth).map(u8::to_ascii_lowercase);
    match (lower(1), lower(2)) {
        (Some(b's' | b't' | b'm' | b'd'), _) => at + 2,
        (Some(b'r' | b'v'), Some(b'e')) | (Some(b'l'), Some(b'l')) => at + 3,
        (Some(0xc5), Some(0xbf)) => at + 3,
        _ => at,
    }
}

/// `" ?[^\s\p{L}\p{N}]+"`
#[inline]
fn signs(text: Text<'_>, start: usize) -> Option<usize> {
    let from = start + usize::from(text.bytes[start] == b' ');
    let end = while_class(text, from, |class| class & (SPACE | LETTER | NUMBER | END) == 0);
    (end > from).then_some(end)
}

/// White space up to the next character that is none.
struct Blanks {
    all: usize,
    /// Behind the last line end in it.
    lines: Option<usize>,
    /// Before its last character, if it is not the only one.
    but_one: Option<usize>,
    to_end_of_text: bool,
}

fn blanks(text: Text<'_>, start: usize) -> Blanks {
    let mut found = Blanks { all: start, lines: None, but_one: None, to_end_of_text: false };
    loop {
        let (class, len) = text.class_at(found.all);
        if class & SPACE == 0 {
            found.to_end_of_text = class == END;
            return found;
        }
        if found.all > start {
            found.but_one = Some(found.all);
        }
        found.all += len;
        if class & NEWLINE != 0 {
            found.lines = Some(found.all);
        }
    }
}

impl Blanks {
    /// Line ends first; else one character is left for the word behind; a single one stands alone.
    fn end(&self) -> usize {
        match (self.lines, self.but_one) {
            (Some(end), _) => end,
            (None, Some(end)) if !self.to_end_of_text => end,
            _ => self.all,
        }
    }
}
