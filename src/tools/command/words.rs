//! Our own reading of a line: a grammar so small that there is nothing in it to disagree about.
//!
//! A word is made of characters that mean nothing to any shell, and of quoted pieces in which nothing is replaced.
//! Whatever else stands in a line, the answer is the reason why it is not for us; nothing is skipped or repaired.

use super::{Joint, MAX_PARTS, Part, Simple};

/// Most words of a line.
const MAX_WORDS: usize = 256;

/// Redirects that touch no file, as they may be written and as they are noted.
const REDIRECTS: &[(&str, &str)] = &[
    ("2>&1", "2>&1"),
    ("1>&2", "1>&2"),
    (">&2", ">&2"),
    (">/dev/null", ">/dev/null"),
    ("1>/dev/null", "1>/dev/null"),
    ("2>/dev/null", "2>/dev/null"),
    ("</dev/null", "</dev/null"),
    ("> /dev/null", ">/dev/null"),
    ("1> /dev/null", "1>/dev/null"),
    ("2> /dev/null", "2>/dev/null"),
    ("< /dev/null", "</dev/null"),
];

/// Words that are no program where a program is expected, in one shell or another.
const KEYWORDS: &[&str] = &[
    "if",
    "then",
    "else",
    "elif",
    "fi",
    "do",
    "done",
    "case",
    "esac",
    "while",
    "until",
    "for",
    "in",
    "function",
    "select",
    "time",
    "coproc",
    "foreach",
    "end",
    "repeat",
    "nocorrect",
    "noglob",
];

/// Reads a line as simple commands, or says why it is none.
pub(super) fn read(line: &str) -> Result<Simple, &'static str> {
    if line.contains(['\n', '\r']) {
        return Err("it has several lines");
    }
    let mut rest = line;
    let mut parts = Vec::new();
    let mut part = Part::default();
    let mut words = 0;
    loop {
        rest = rest.trim_start_matches(' ');
        let bytes = rest.as_bytes();
        let joint = match bytes {
            [] => break,
            [b'&', b'&', ..] => Some((Joint::And, 2)),
            [b'|', b'|', ..] => Some((Joint::Or, 2)),
            [b'|', b'&', ..] => return Err("it pipes more than the output"),
            [b'|', ..] => Some((Joint::Pipe, 1)),
            [b';', b';' | b'&' | b'|', ..] => return Err("it is not complete"),
            [b';', ..] => Some((Joint::Then, 1)),
            [b'&', ..] => return Err("it leaves something running behind"),
            _ => None,
        };
        if let Some((joint, length)) = joint {
            close(&mut parts, &mut part)?;
            part.joint = Some(joint);
            rest = &rest[length..];
            continue;
        }
        if let Some((redirect, length)) = redirect(rest)? {
            part.redirects.push(redirect);
            rest = &rest[length..];
            continue;
        }
        if !part.redirects.is_empty() {
            return Err("words stand behind a redirect");
        }
        words += 1;
        if words > MAX_WORDS {
            return Err("it has too many words");
        }
        let (word, quoted, length) = word(rest)?;
        if part.argv.is_empty() {
            program(&word, quoted)?;
        }
        part.argv.push(word);
        rest = &rest[length..];
    }
    close(&mut parts, &mut part)?;
    Ok(Simple { parts })
}

fn close(parts: &mut Vec<Part>, part: &mut Part) -> Result<(), &'static str> {
    if part.argv.is_empty() {
        return Err("a command is missing");
    }
    if parts.len() == MAX_PARTS {
        return Err("it has too many commands");
    }
    parts.push(std::mem::take(part));
    Ok(())
}

/// A redirect at the start of `rest`, and its length. One that is not in the list is no part of a simple line.
fn redirect(rest: &str) -> Result<Option<(&'static str, usize)>, &'static str> {
    for (written, noted) in REDIRECTS {
        if let Some(after) = rest.strip_prefix(written)
            && after.bytes().next().is_none_or(|next| matches!(next, b' ' | b';' | b'|' | b'&'))
            && (!after.starts_with('&') || after.starts_with("&&"))
        {
            return Ok(Some((noted, written.len())));
        }
    }
    let digits = rest.trim_start_matches(|ch: char| ch.is_ascii_digit());
    if digits.starts_with(['<', '>']) { Err("it redirects") } else { Ok(None) }
}

/// One word at the start of `rest`: unquoted, whether anything of it was quoted, and its length.
fn word(rest: &str) -> Result<(String, bool, usize), &'static str> {
    let (mut word, mut quoted) = (String::new(), false);
    let mut chars = rest.char_indices();
    while let Some((at, ch)) = chars.next() {
        match ch {
            ' ' | '|' | '&' | ';' => return Ok((word, quoted, at)),
            'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '.' | '/' | ',' | ':' | '=' | '+' | '@' | '%' | '-' => {
                word.push(ch);
            }
            '\'' | '"' => {
                quoted = true;
                loop {
                    let Some((_, inner)) = chars.next() else { return Err("a quote is not closed") };
                    if inner == ch {
                        break;
                    }
                    quotable(inner, ch == '"')?;
                    if inner == '\\' && ch == '"' {
                        // Kept by every shell before a character that it does not protect.
                        let next = chars.clone().next().map(|(_, next)| next);
                        if !next.is_some_and(|next| next.is_ascii_alphanumeric() || ".()[]{}|*+?^-/ <>".contains(next))
                        {
                            return Err("it has a backslash");
                        }
                    }
                    word.push(inner);
                }
            }
            other => return Err(odd(other)),
        }
    }
    Ok((word, quoted, rest.len()))
}

/// Whether a character stands for itself within quotes.
fn quotable(ch: char, double: bool) -> Result<(), &'static str> {
    match ch {
        '$' | '`' if double => Err("it has an expansion"),
        '!' if double => Err("it has an exclamation mark"),
        ' '..='~' => Ok(()),
        ch if ch.is_alphanumeric() && !ch.is_ascii() => Ok(()),
        _ => Err("it has characters that cannot be seen or are not plain text"),
    }
}

/// Why an unquoted character is not for us.
fn odd(ch: char) -> &'static str {
    match ch {
        '<' | '>' => "it redirects",
        '$' | '`' => "it has an expansion",
        '*' | '?' | '[' | ']' => "it has a glob",
        '{' | '}' => "it has braces",
        '(' | ')' => "it has parentheses",
        '~' => "it has a tilde",
        '\\' => "it has a backslash",
        '#' => "it has a comment",
        '!' => "it has an exclamation mark",
        '^' => "it has a caret",
        ch if ch.is_control() => "it has a control character",
        _ => "it has characters that are not plain text",
    }
}

/// Whether a first word is a program's name and nothing else.
fn program(word: &str, quoted: bool) -> Result<(), &'static str> {
    if quoted {
        return Err("a program's name is quoted");
    }
    if word.contains('=') {
        return Err("it sets a variable");
    }
    let plain = |ch: char| ch.is_ascii_alphanumeric() || matches!(ch, '_' | '.' | '/' | '+' | '-');
    let begins = word.starts_with(|ch: char| ch.is_ascii_alphanumeric() || matches!(ch, '_' | '.' | '/'));
    if !begins || !word.chars().all(plain) || !word.contains(|ch: char| ch.is_ascii_alphanumeric()) {
        return Err("a program's name is unusual");
    }
    if KEYWORDS.contains(&word) { Err("it has a keyword of the shell") } else { Ok(()) }
}
