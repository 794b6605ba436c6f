//! Texts as JSON strings. A conversation is mostly text and is written anew for each step; serde_json looks at each byte
//! of it, here it is as many at a time as a register holds.

use std::io::Write;

/// Appends the text in quotes, byte for byte what serde_json makes of it.
pub(crate) fn text(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    out.push(b'"');
    let mut done = 0;
    while let Some(at) = special(bytes, done) {
        out.extend_from_slice(&bytes[done..at]);
        match bytes[at] {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            control => {
                // Nothing fails that is written to memory.
                let _ = write!(out, "\\u{control:04x}");
            }
        }
        done = at + 1;
    }
    out.extend_from_slice(&bytes[done..]);
    out.push(b'"');
}

/// The place of the next byte from `at` on that cannot stand in a JSON string as it is.
fn special(bytes: &[u8], mut at: usize) -> Option<usize> {
    let is_special = |byte: &u8| (*byte < b' ') | (*byte == b'"') | (*byte == b'\\');
    // What has none for a while is looked at in what a vector unit takes at once: a loop without a way out.
    while let Some(many) = bytes[at..].first_chunk::<32>()
        && !many.iter().fold(false, |found, byte| found | is_special(byte))
    {
        at += 32;
    }
    while let Some(eight) = bytes[at..].first_chunk() {
        let marks = marks(u64::from_le_bytes(*eight));
        if marks != 0 {
            return Some(at + marks.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    bytes[at..].iter().position(is_special).map(|more| at + more)
}

/// Marks the bytes of a word that are control characters, quotes or backslashes in their highest bits. Above the first
/// such byte there may be marks too many, for the borrow of a subtraction runs upwards; below there are none.
fn marks(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 0xff;
    const HIGH: u64 = ONES << 7;
    let below = |word: u64, bound: u8| word.wrapping_sub(ONES * u64::from(bound)) & !word;
    let is = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    (below(word, b' ') | is(b'"') | is(b'\\')) & HIGH
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::text;

    fn same(said: &str) {
        let mut written = b"before".to_vec();
        text(&mut written, said);
        assert_eq!(String::from_utf8(written).unwrap(), format!("before{}", serde_json::to_string(said).unwrap()));
    }

    #[test]
    fn each_character_is_written_as_serde_json_writes_it_wherever_it_stands() {
        for ch in ('\0'..'\u{250}').chain(['中', '\u{2028}', '\u{ffff}', '😀']) {
            for before in 0..40 {
                let ahead = "é".repeat(before / 2) + &"x".repeat(before % 2);
                same(&format!("{ahead}{ch}{ch}{}", "y".repeat(40)));
                same(&format!("{ahead}{ch}"));
            }
        }
        same("");
    }

    proptest! {
        #[test]
        fn any_text_is_written_as_serde_json_writes_it(said in "(.|[\\x00-\\x7f]){0,200}") {
            same(&said);
        }
    }
}
