//! Mends a body that is not JSON in one of the two ways real editors produce: bytes that are not UTF-8, and escapes
//! of half a surrogate pair. Both stand for text that has no meaning in Unicode, so U+FFFD takes its place: one
//! UTF-16 unit for one, so that positions after it stay right.

/// The mended body; `None` if there was nothing to mend.
pub fn repair(body: &[u8]) -> Option<Vec<u8>> {
    let text = String::from_utf8_lossy(body);
    let bytes = text.as_bytes();
    let mut mended = Vec::with_capacity(bytes.len());
    let mut changed = matches!(text, std::borrow::Cow::Owned(_));
    let mut at = 0;
    while let Some(found) = memchr::memchr(b'\\', &bytes[at..]) {
        let slash = at + found;
        mended.extend_from_slice(&bytes[at..slash]);
        let step = match (unit(bytes, slash), unit(bytes, slash + 6)) {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => 12,
            (Some(0xD800..=0xDFFF), _) => {
                mended.extend_from_slice(b"\\ufffd");
                changed = true;
                at = slash + 6;
                continue;
            }
            (Some(_), _) => 6,
            (None, _) => 2,
        };
        at = (slash + step).min(bytes.len());
        mended.extend_from_slice(&bytes[slash..at]);
    }
    mended.extend_from_slice(&bytes[at..]);
    changed.then_some(mended)
}

/// The UTF-16 unit that the escape at `at` names.
fn unit(bytes: &[u8], at: usize) -> Option<u16> {
    let escape = bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
    u16::from_str_radix(std::str::from_utf8(escape).ok().filter(|hex| !hex.starts_with('+'))?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mended(body: &str) -> Option<String> {
        repair(body.as_bytes()).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn half_a_surrogate_pair_becomes_the_replacement_character() {
        assert_eq!(mended(r#""a\ud83db""#).unwrap(), r#""a\ufffdb""#);
        assert_eq!(mended(r#""a\uDE00b""#).unwrap(), r#""a\ufffdb""#);
        assert_eq!(mended(r#""\ud83d\ud83d\ude00""#).unwrap(), r#""\ufffd\ud83d\ude00""#);
        assert_eq!(mended(r#""\ud83d\n""#).unwrap(), r#""\ufffd\n""#);
    }

    #[test]
    fn whole_pairs_and_escaped_backslashes_are_left_alone() {
        assert_eq!(mended(r#""\ud83d\ude00 \\ud83d \u0041 \n""#), None);
        assert_eq!(mended(r#""cut \ud8"#), None);
        assert_eq!(mended("\"\\"), None);
        assert_eq!(mended(""), None);
    }

    #[test]
    fn bytes_that_are_no_utf_8_become_the_replacement_character() {
        assert_eq!(repair(b"\"a\xffb\"").unwrap(), "\"a\u{fffd}b\"".as_bytes());
    }
}
