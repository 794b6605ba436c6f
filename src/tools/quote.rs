//! Lines of a text with their numbers, in the one form that the model learns to quote from.

use std::fmt::Write as _;
use std::ops::Range;

use super::output::Report;
use crate::text::Text;

/// Lines copied out of a text at a time: a result stops long before the text does.
const BLOCK: usize = 256;

/// Number of lines as people count them: the empty one after the last line end is none.
pub fn count(text: &Text) -> usize {
    let lines = text.lines();
    if text.line_start(lines - 1) == text.len() { lines - 1 } else { lines }
}

/// Adds `lines` (from 0) of `text` to the report, each after its number from 1, a tab between them. Says how many
/// found room.
pub fn add(report: &mut Report, text: &Text, lines: Range<usize>) -> usize {
    let lines = lines.start..lines.end.min(count(text));
    let mut prefix = String::new();
    let mut number = lines.start;
    while number < lines.end {
        let end = lines.end.min(number + BLOCK);
        let block = text.slice(text.line_start(number)..text.line_start(end));
        for line in split(&block).take(end - number) {
            prefix.clear();
            // Writing to a string cannot fail.
            let _ = write!(prefix, "{:>6}\t", number + 1);
            if !report.prefixed(&prefix, line) {
                return number - lines.start;
            }
            number += 1;
        }
    }
    lines.len()
}

/// The lines of a text by LSP's rule, without their ends.
fn split(mut text: &str) -> impl Iterator<Item = &str> {
    let mut done = false;
    std::iter::from_fn(move || {
        if done {
            return None;
        }
        let Some(end) = memchr::memchr2(b'\n', b'\r', text.as_bytes()) else {
            done = true;
            return Some(text);
        };
        let line = &text[..end];
        let width = if text[end..].starts_with("\r\n") { 2 } else { 1 };
        text = &text[end + width..];
        Some(line)
    })
}

#[cfg(test)]
mod tests {
    use super::super::output::OutputLimits;
    use super::*;

    fn quoted(text: &str, lines: Range<usize>) -> String {
        let mut report = Report::new(OutputLimits::default());
        add(&mut report, &Text::from(text), lines);
        report.finish().text().to_string()
    }

    #[test]
    fn lines_stand_after_their_numbers_whatever_ends_them() {
        assert_eq!(quoted("a\r\nb\rc\n\nd", 0..9), "     1\ta\n     2\tb\n     3\tc\n     4\t\n     5\td");
        assert_eq!(quoted("a\u{2028}b\nc\n", 0..9), "     1\ta\u{2028}b\n     2\tc");
        assert_eq!(quoted("a\nb\nc\n", 1..2), "     2\tb");
        assert_eq!(quoted("", 0..9), "");
        assert_eq!(quoted("\n", 0..9), "     1\t");
    }

    #[test]
    fn blocks_join_without_a_seam() {
        let text: String = (1..=1_000).map(|number| format!("line {number}\r\n")).collect();
        let quoted = quoted(&text, 0..1_000);
        assert_eq!(quoted.lines().count(), 1_000);
        for (index, line) in quoted.lines().enumerate() {
            assert_eq!(line, format!("{:>6}\tline {}", index + 1, index + 1));
        }
    }

    #[test]
    fn people_count_no_line_after_the_last_line_end() {
        for (text, lines) in [("", 0), ("a", 1), ("a\n", 1), ("a\r\nb", 2), ("\n\n", 2), ("a\r", 1)] {
            assert_eq!(count(&Text::from(text)), lines, "{text:?}");
        }
    }
}
