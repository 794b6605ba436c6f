//! The only way for a text into a page.
//!
//! What a report shows was written by models, repositories and users. [`Text`] lets none of it end the element or the
//! attribute it stands in, and makes visible what would otherwise hide or reorder what is read. [`Sheet`] holds the
//! numbers that place things: they are a style sheet of their own, so that the page needs no inline style and its
//! policy can name each script and style by its hash.

use std::fmt::{self, Write as _};

/// A foreign text, as it may stand between tags and in a double-quoted attribute.
pub struct Text<'a>(pub &'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(at) = rest.find(special) {
            f.write_str(&rest[..at])?;
            let found = rest[at..].chars().next().unwrap_or_default();
            match found {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                '\r' => f.write_str("␍")?,
                found if found.is_control() => f.write_char('\u{fffd}')?,
                found => write!(f, "[U+{:04X}]", u32::from(found))?,
            }
            rest = &rest[at + found.len_utf8()..];
        }
        f.write_str(rest)
    }
}

/// What does not stand for itself: what HTML reads as its own, and what cannot be seen but changes what is seen.
fn special(ch: char) -> bool {
    matches!(ch, '&' | '<' | '>' | '"' | '\'' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
        || (ch.is_control() && ch != '\n' && ch != '\t')
}

/// The beginning of a text, at most so many bytes of it, and how many are left out.
pub fn cut(text: &str, most: usize) -> (&str, usize) {
    if text.len() <= most {
        return (text, 0);
    }
    let end = (0..=most).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
    (&text[..end], text.len() - end)
}

/// One line of a text, at most so many characters of it.
pub fn line(text: &str, most: usize) -> String {
    let flat = text.split_whitespace().take(most).collect::<Vec<_>>().join(" ");
    if flat.chars().count() <= most {
        return flat;
    }
    flat.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// Rules that place things by numbers.
#[derive(Default)]
pub struct Sheet(String);

impl Sheet {
    /// `selector` is ours, never a text of the story.
    pub fn rule(&mut self, selector: fmt::Arguments<'_>, numbers: &[(&'static str, f64, &'static str)]) {
        // Writing to a String cannot fail.
        let _ = write!(self.0, "{selector}{{");
        for (name, number, unit) in numbers {
            let _ = write!(self.0, "{name}:{}{unit};", Short(*number));
        }
        self.0.push_str("}\n");
    }

    /// All of them.
    pub fn into_text(self) -> String {
        self.0
    }
}

/// A number with four digits behind the point at most; what is no number is 0.
struct Short(f64);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = if self.0.is_finite() { self.0 } else { 0.0 };
        let text = format!("{number:.4}");
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

/// The name of a script or style in a policy.
pub fn hash(content: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digest = ring::digest::digest(&ring::digest::SHA256, content.as_bytes());
    let mut out = String::from("sha256-");
    for three in digest.as_ref().chunks(3) {
        let bits = three.iter().fold(0_u32, |bits, byte| (bits << 8) | u32::from(*byte)) << (8 * (3 - three.len()));
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place)) as usize & 63];
            out.push(if place <= three.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_markup() {
        let hostile = "</script><img src=x onerror=alert(1)> \" ' & \0 \r \u{1b}[2J \u{202e}gnp.exe \u{200b}";
        let shown = Text(hostile).to_string();
        assert!(!shown.contains(['<', '>', '"', '\'', '\0', '\r', '\u{1b}', '\u{202e}', '\u{200b}']), "{shown}");
        assert!(shown.contains("&lt;/script&gt;") && shown.contains("[U+202E]gnp.exe"), "{shown}");
        assert_eq!(Text("plain\ttext\nwith ümläuts 🦀").to_string(), "plain\ttext\nwith ümläuts 🦀");
    }

    #[test]
    fn a_cut_says_what_is_missing_and_keeps_characters_whole() {
        assert_eq!(cut("abc", 3), ("abc", 0));
        assert_eq!(cut("añb", 2), ("a", 3));
        assert_eq!(line("a\n b\tc", 10), "a b c");
        assert_eq!(line("abcdef", 4), "abc…");
    }

    #[test]
    fn the_hash_is_the_one_that_browsers_compute() {
        // `printf '' | openssl dgst -sha256 -binary | base64`, and the same of `abc`.
        assert_eq!(hash(""), "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
        assert_eq!(hash("abc"), "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=");
    }

    #[test]
    fn rules_hold_numbers_only() {
        let mut sheet = Sheet::default();
        sheet.rule(format_args!("#b{}", 1), &[("left", 12.5, "%"), ("top", f64::NAN, "px")]);
        assert_eq!(sheet.into_text(), "#b1{left:12.5%;top:0px;}\n");
    }
}
