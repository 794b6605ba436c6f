//! A command as the user is shown it: all of it, and nothing in it that could make it look like another one.

use std::fmt::Write as _;

use super::{Part, Simple};

/// Most equal blanks in a row that are shown as they are: more could push the rest out of sight.
const MAX_BLANKS: usize = 4;

/// A simple line, put together from what was understood of it.
pub fn line(simple: &Simple) -> String {
    let mut out = String::new();
    for shown in &simple.parts {
        if let Some(joint) = shown.joint {
            let space = if joint == super::Joint::Then { "" } else { " " };
            // Writing to a string cannot fail.
            let _ = write!(out, "{space}{} ", joint.sign());
        }
        out.push_str(&part(shown));
    }
    out
}

/// One simple command.
pub fn part(part: &Part) -> String {
    words(part.argv.iter().map(String::as_str), part.redirects.iter().copied())
}

/// Words, quoted where they need it, and redirects as they are.
pub fn words<'a>(words: impl Iterator<Item = &'a str>, redirects: impl Iterator<Item = &'a str>) -> String {
    let words: Vec<String> = words.map(quoted).chain(redirects.map(visible)).collect();
    words.join(" ")
}

/// A word as it can be given to a shell, with what cannot be seen made visible.
fn quoted(word: &str) -> String {
    let plain = |ch: char| ch.is_ascii_alphanumeric() || "_./,:=+@%-".contains(ch);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    let quote = if word.contains('\'') { '"' } else { '\'' };
    format!("{quote}{}{quote}", visible(word))
}

/// Text of a model in one line, with every character shown that acts or hides: controls, characters that turn the
/// direction, those without width, and long rows of blanks.
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(ch) = chars.next() {
        match ch {
            '\n' => out.push_str(" ⏎ "),
            '\t' => out.push_str("\\t"),
            ' ' => {
                let mut count = 1;
                while chars.next_if_eq(&' ').is_some() {
                    count += 1;
                }
                match count {
                    0..=MAX_BLANKS => out.extend(std::iter::repeat_n(' ', count)),
                    _ => drop(write!(out, " ␠×{count} ")),
                }
            }
            ch if hides(ch) => drop(write!(out, "\\u{{{:x}}}", u32::from(ch))),
            ch => out.push(ch),
        }
    }
    out
}

/// Whether a character is not seen as itself.
fn hides(ch: char) -> bool {
    ch.is_control()
        || matches!(
            u32::from(ch),
            0xa0 | 0xad
                | 0x34f
                | 0x61c
                | 0x115f..=0x1160
                | 0x1680
                | 0x17b4..=0x17b5
                | 0x180b..=0x180f
                | 0x2000..=0x200f
                | 0x2028..=0x202f
                | 0x205f..=0x206f
                | 0x2800
                | 0x3000
                | 0x3164
                | 0xfe00..=0xfe0f
                | 0xfeff
                | 0xffa0
                | 0xfff0..=0xfffb
                | 0x1d173..=0x1d17a
                | 0xe0000..=0xe0fff
        )
        || ('\u{300}'..='\u{36f}').contains(&ch)
}
