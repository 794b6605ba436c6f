//! Text from servers that count UTF-16 units.
//!
//! A JavaScript server that cuts text by units sends the halves of an emoji in two deltas, `"\ud83d"` and `"\ude00"`.
//! Neither is a valid string, so serde_json refuses both as `String`; as bytes it yields WTF-8, and the halves can be
//! joined here. A half that never meets its other becomes U+FFFD.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// A JSON string as WTF-8: UTF-8 in which a lone surrogate may stand as three bytes. Borrowed where it had no escapes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wtf<'a>(pub(crate) Cow<'a, [u8]>);

impl Wtf<'_> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As text, strays replaced.
    pub(crate) fn text(&self) -> Cow<'_, str> {
        match std::str::from_utf8(&self.0) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => {
                let mut text = String::new();
                let mut joiner = Joiner::default();
                joiner.push(&self.0, &mut text);
                joiner.finish(&mut text);
                Cow::Owned(text)
            }
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Wtf<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl<'de> Visitor<'de> for Bytes {
            type Value = Wtf<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_bytes<E: Error>(self, bytes: &'de [u8]) -> Result<Wtf<'de>, E> {
                Ok(Wtf(Cow::Borrowed(bytes)))
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Wtf<'de>, E> {
                Ok(Wtf(Cow::Owned(bytes.to_vec())))
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Wtf<'de>, E> {
                Ok(Wtf(Cow::Borrowed(text.as_bytes())))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Wtf<'de>, E> {
                Ok(Wtf(Cow::Owned(text.as_bytes().to_vec())))
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

/// Puts the pieces of one text together across deltas. Each text of a stream has its own.
#[derive(Clone, Debug, Default)]
pub(crate) struct Joiner {
    high: Option<u16>,
}

const REPLACEMENT: char = '\u{fffd}';

impl Joiner {
    /// Appends a piece; a high half at its end waits for the next piece.
    pub(crate) fn push(&mut self, piece: &[u8], out: &mut String) {
        let mut rest = piece;
        loop {
            if rest.is_empty() {
                return;
            }
            if self.high.is_none() {
                match std::str::from_utf8(rest) {
                    Ok(text) => return out.push_str(text),
                    Err(error) => {
                        let (good, bad) = rest.split_at(error.valid_up_to());
                        out.push_str(&String::from_utf8_lossy(good));
                        rest = bad;
                    }
                }
            }
            match surrogate(rest) {
                Some(unit) => {
                    rest = &rest[3..];
                    self.unit(unit, out);
                }
                None => {
                    self.finish(out);
                    if char_length(rest).is_none() {
                        out.push(REPLACEMENT);
                        rest = &rest[1..];
                    }
                }
            }
        }
    }

    /// No more pieces: a half still waiting is a stray.
    pub(crate) fn finish(&mut self, out: &mut String) {
        if self.high.take().is_some() {
            out.push(REPLACEMENT);
        }
    }

    fn unit(&mut self, unit: u16, out: &mut String) {
        if unit < 0xDC00 {
            self.finish(out);
            self.high = Some(unit);
            return;
        }
        let whole = self
            .high
            .take()
            .and_then(|high| char::from_u32(0x10000 + (u32::from(high - 0xD800) << 10) + u32::from(unit - 0xDC00)));
        out.push(whole.unwrap_or(REPLACEMENT));
    }
}

/// The surrogate that these bytes begin with, if they do.
fn surrogate(bytes: &[u8]) -> Option<u16> {
    match *bytes {
        [0xED, second @ 0xA0..=0xBF, third @ 0x80..=0xBF, ..] => {
            Some(0xD000 | u16::from(second & 0x3F) << 6 | u16::from(third & 0x3F))
        }
        _ => None,
    }
}

/// The length of the valid character that these bytes begin with, if they do.
fn char_length(bytes: &[u8]) -> Option<usize> {
    (1..=bytes.len().min(4)).find(|&length| std::str::from_utf8(&bytes[..length]).is_ok())
}

/// JSON text in which no escaped half of a character stands alone: each is written as U+FFFD. Other bytes stay.
pub(crate) fn mend(json: &str) -> Cow<'_, str> {
    let unit = |at: usize| {
        let digits = json.as_bytes().get(at..at + 6)?.strip_prefix(b"\\u")?;
        u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    let mut mended = String::new();
    let (mut at, mut copied) = (0, 0);
    while let Some(found) = json.as_bytes().get(at..).and_then(|rest| memchr::memchr(b'\\', rest)) {
        let here = at + found;
        at = match unit(here) {
            Some(0xD800..0xDC00) if matches!(unit(here + 6), Some(0xDC00..0xE000)) => here + 12,
            Some(0xD800..0xE000) => {
                mended.push_str(&json[copied..here]);
                mended.push_str("\\ufffd");
                copied = here + 6;
                copied
            }
            _ => here + 2,
        };
    }
    if copied == 0 {
        return Cow::Borrowed(json);
    }
    mended.push_str(&json[copied..]);
    Cow::Owned(mended)
}

/// A text that comes in pieces.
#[derive(Debug, Default)]
pub(crate) struct Piecewise {
    pub(crate) text: String,
    joiner: Joiner,
}

impl Piecewise {
    /// Appends a piece and gives what of it can be shown now.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Option<String> {
        let before = self.text.len();
        self.joiner.push(piece, &mut self.text);
        (self.text.len() > before).then(|| self.text[before..].to_owned())
    }

    /// What was held back.
    pub(crate) fn finish(&mut self) -> Option<String> {
        let before = self.text.len();
        self.joiner.finish(&mut self.text);
        (self.text.len() > before).then(|| self.text[before..].to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(pieces: &[&str]) -> String {
        let mut out = String::new();
        let mut joiner = Joiner::default();
        for piece in pieces {
            let piece: Wtf<'_> = serde_json::from_str(piece).unwrap();
            joiner.push(&piece.0, &mut out);
        }
        joiner.finish(&mut out);
        out
    }

    #[test]
    fn halves_in_two_deltas_become_one_character() {
        assert_eq!(join(&[r#""a\ud83d""#, r#""\ude00b""#]), "a😀b");
        assert_eq!(join(&[r#""a\ud83d""#, r#""""#, r#""\ude00b""#]), "a😀b");
        assert_eq!(join(&[r#""\ud83d\ude00""#]), "😀");
    }

    #[test]
    fn strays_are_replaced() {
        assert_eq!(join(&[r#""a\ud83d""#]), "a\u{fffd}");
        assert_eq!(join(&[r#""\ude00a""#]), "\u{fffd}a");
        assert_eq!(join(&[r#""\ud83d""#, r#""b""#]), "\u{fffd}b");
        assert_eq!(join(&[r#""\ud83d""#, r#""é\ude00""#]), "\u{fffd}é\u{fffd}");
        assert_eq!(join(&[r#""\ud83d""#, r#""\ud83d\ude00""#]), "\u{fffd}😀");
    }

    #[test]
    fn bytes_that_are_no_text_at_all_end() {
        let mut out = String::new();
        let mut joiner = Joiner::default();
        joiner.push(b"\xED\xA0", &mut out);
        joiner.push(b"a\xFF\xED\x9F\xBF\xF0\x9F", &mut out);
        joiner.finish(&mut out);
        assert!(out.contains('a') && out.contains('\u{d7ff}'), "{out:?}");
    }

    #[test]
    fn halves_in_json_text_are_mended_and_all_else_stays() {
        for (json, expected) in [
            (r#"{"a":"\ud83d"}"#, r#"{"a":"\ufffd"}"#),
            (r#"["\ud83d\ude00\uDE00","\u00e9é\n"]"#, r#"["\ud83d\ude00\ufffd","\u00e9é\n"]"#),
            (r#""\ud83d\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#),
            (r#""\\ud83d""#, r#""\\ud83d""#),
            (r#""\ud8"#, r#""\ud8"#),
            (r#""\u+83d\"#, r#""\u+83d\"#),
            ("\\", "\\"),
        ] {
            assert_eq!(mend(json), expected);
        }
        assert!(matches!(mend(r#"{"a":"\ud83d\ude00"}"#), Cow::Borrowed(_)));
    }

    #[test]
    fn a_string_without_escapes_is_borrowed() {
        let text: Wtf<'_> = serde_json::from_str("\"plain\"").unwrap();
        assert!(matches!(text.0, Cow::Borrowed(_)));
    }
}
