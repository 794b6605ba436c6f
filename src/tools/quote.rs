//! Lines of a text with their numbers, in the one form that the model learns to quote from.

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

/// As [`count`], of a text in one piece.
pub fn count_plain(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut ends = memchr::memchr_iter(b'\n', bytes).count();
    if memchr::memchr(b'\r', bytes).is_some() {
        ends += memchr::memchr_iter(b'\r', bytes).filter(|at| bytes.get(at + 1) != Some(&b'\n')).count();
    }
    ends + usize::from(!text.is_empty() && !text.ends_with(['\n', '\r']))
}

/// Adds `lines` (from 0) of `text` to the report, each after its number from 1, a tab between them. Says how many
/// found room.
pub fn add(report: &mut Report, text: &Text, lines: Range<usize>) -> usize {
    let lines = lines.start..lines.end.min(count(text));
    let (mut numbers, mut next) = (Numbers::from(lines.start), lines.start);
    while next < lines.end {
        let end = lines.end.min(next + BLOCK);
        let block = text.slice(text.line_start(next)..text.line_start(end));
        let added = add_each(report, split(&block).take(end - next), &mut numbers);
        next += added;
        if next < end {
            return next - lines.start;
        }
    }
    lines.len()
}

/// As [`add`], of a text in one piece, which has at least these lines.
pub fn add_plain(report: &mut Report, text: &str, lines: Range<usize>) -> usize {
    let wanted = split(text).skip(lines.start).take(lines.len());
    add_each(report, wanted, &mut Numbers::from(lines.start))
}

fn add_each<'a>(report: &mut Report, lines: impl Iterator<Item = &'a str>, numbers: &mut Numbers) -> usize {
    let mut added = 0;
    for line in lines {
        if !report.prefixed(numbers.next(), line) {
            break;
        }
        added += 1;
    }
    added
}

/// What stands before each line, counted up in place: to format every number anew takes longer than all the rest.
struct Numbers {
    digits: [u8; Self::SIZE],
    start: usize,
}

impl Numbers {
    /// Room for every number there is, and the tab.
    const SIZE: usize = 24;
    /// Characters of a number at least.
    const WIDTH: usize = 6;

    /// Begins with the number after `number`.
    fn from(number: usize) -> Self {
        let mut digits = [b' '; Self::SIZE];
        digits[Self::SIZE - 1] = b'\t';
        let text = number.to_string();
        let first = Self::SIZE - 1 - text.len();
        digits[first..Self::SIZE - 1].copy_from_slice(text.as_bytes());
        Self { digits, start: first.min(Self::SIZE - 1 - Self::WIDTH) }
    }

    fn next(&mut self) -> &str {
        let mut at = Self::SIZE - 2;
        while self.digits[at] == b'9' {
            self.digits[at] = b'0';
            at -= 1;
        }
        self.digits[at] = if self.digits[at] == b' ' { b'1' } else { self.digits[at] + 1 };
        self.start = self.start.min(at);
        // Digits, blanks and a tab.
        std::str::from_utf8(&self.digits[self.start..]).unwrap_or_default()
    }
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
        let (mut report, mut plain) = (Report::new(OutputLimits::default()), Report::new(OutputLimits::default()));
        let added = add(&mut report, &Text::from(text), lines.clone());
        let end = lines.end.min(count_plain(text));
        assert_eq!(add_plain(&mut plain, text, lines.start.min(end)..end), added);
        let quoted = report.finish();
        assert_eq!(quoted, plain.finish(), "in one piece and as a rope");
        quoted.text().to_string()
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
            assert_eq!(count_plain(text), lines, "{text:?}");
        }
    }

    #[test]
    fn numbers_are_counted_up_as_they_would_be_written() {
        for from in [0, 8, 98, 9_998, 99_998, 999_998, 99_999_998, usize::MAX - 3] {
            let mut numbers = Numbers::from(from);
            for number in from + 1..=from + 3 {
                assert_eq!(numbers.next(), format!("{number:>6}\t"));
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn a_text_in_one_piece_is_quoted_as_a_rope_is(text in "[ab\\n\\rä]{0,40}", from in 0..9_usize, until in 0..40_usize) {
            quoted(&text, from..until.max(from));
            proptest::prop_assert_eq!(count(&Text::from(&*text)), count_plain(&text));
        }

        #[test]
        fn a_result_without_room_ends_at_the_same_line(lines in proptest::collection::vec("[a-zä]{0,30}", 0..40), bytes in 0..400_usize) {
            let text = lines.join("\n");
            let limits = OutputLimits { bytes, line_chars: 20 };
            let (mut report, mut plain) = (Report::new(limits), Report::new(limits));
            let added = add(&mut report, &Text::from(&*text), 0..usize::MAX);
            proptest::prop_assert_eq!(add_plain(&mut plain, &text, 0..count_plain(&text)), added);
            proptest::prop_assert_eq!(report.finish(), plain.finish());
        }
    }
}
