//! The smallest set of edits between two texts, in three shapes: whole lines for an editor ([`lines`]), words for
//! carrying over what a user types ([`refined`]), and a patch for people and models ([`unified`]).
//!
//! A small change in a large text is the rule, so what the two have in common at both ends is cut off before a line
//! is looked at; two ropes that come from one another share their pieces, and a shared piece is compared by pointer.

mod tokens;
mod unified;

use std::ops::Range;

use self::tokens::{BUDGET, Kind, token_hunks};
use super::edit::{Edit, EditSet};
use super::rope::Text;

pub use self::unified::{unified, unified_file};

/// Lines kept on either side of what differs, so that a hunk can slide to where a reader expects it.
const MARGIN: usize = 100;
/// Larger hunks, in bytes of either side, are not looked into for words.
const REFINE_MAX: usize = 64 * 1024;

/// A stretch of `before` and what stands in its place in `after`, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Hunk {
    before: Range<usize>,
    after: Range<usize>,
}

/// The edits from `before` to `after` as an editor is to get them: whole lines, none touching another.
///
/// What is added at the very end is put in before the last line break (or after the last character), as `"\n…"`: an
/// insertion past the last line break gets an empty line too many from some editors.
pub fn lines(before: &Text, after: &Text) -> EditSet {
    let mut hunks = line_hunks(before, after, &mut { BUDGET });
    let anchored = hunks.last().and_then(|hunk| at_end(before, after, hunk));
    let mut set = EditSet::identity(before.len());
    if let Some((anchor, text)) = anchored {
        hunks.pop();
        // An empty last line brings the anchor up against the hunk before: they are one then.
        if let Some(touched) = hunks.pop_if(|hunk| hunk.before.end >= anchor.start) {
            hunks.push(Hunk { before: touched.before.start..before.len(), after: touched.after.start..after.len() });
            push_hunks(&mut set, &hunks, after);
        } else {
            push_hunks(&mut set, &hunks, after);
            set.push(Edit::new(anchor, text));
        }
    } else {
        push_hunks(&mut set, &hunks, after);
    }
    set
}

/// The edits from `before` to `after` narrowed to the words that differ, so that an edit of somebody else on the
/// same line need not clash. Edits on one line with no word between them are one.
pub fn refined(before: &Text, after: &Text) -> EditSet {
    let mut set = EditSet::identity(before.len());
    let mut budget = BUDGET;
    for hunk in line_hunks(before, after, &mut budget) {
        let (old, new) = (before.slice(hunk.before.clone()), after.slice(hunk.after.clone()));
        if old.is_empty() || new.is_empty() || old.len().max(new.len()) > REFINE_MAX {
            set.push(Edit::new(hunk.before, new));
            continue;
        }
        for Hunk { before: word, after: with } in word_hunks(&old, &new, &mut budget) {
            set.push(Edit::new(hunk.before.start + word.start..hunk.before.start + word.end, &new[with]));
        }
    }
    set
}

/// A run of lines that stands in two texts: the first of it in each, from 0, and how many they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Common {
    /// Where it begins in the text before.
    pub before: usize,
    /// Where it begins in the text after.
    pub after: usize,
    /// Lines of it.
    pub lines: usize,
}

/// The lines that two lists have in common, in order. A line holds no line end. Takes as long as [`lines`] at most.
pub fn common_lines(before: &[&str], after: &[&str]) -> Vec<Common> {
    // Each line a token of one byte more than it has, so that an empty one is one, too: hunks are told in bytes.
    let joined = |lines: &[&str]| lines.iter().flat_map(|line| [*line, "\n"]).collect::<String>();
    let (old, new) = (joined(before), joined(after));
    let hunks = token_hunks(old.split_inclusive('\n'), new.split_inclusive('\n'), Kind::Lines, &mut { BUDGET });
    let mut found = Vec::new();
    let (mut at, mut old_line, mut new_line) = (0, 0, 0);
    let end = Hunk { before: old.len()..old.len(), after: new.len()..new.len() };
    for hunk in hunks.iter().chain([&end]) {
        let lines = count_lines(&old[at..hunk.before.start]);
        if lines > 0 {
            found.push(Common { before: old_line, after: new_line, lines });
        }
        old_line += lines + count_lines(&old[hunk.before.clone()]);
        new_line += lines + count_lines(&new[hunk.after.clone()]);
        at = hunk.before.end;
    }
    found
}

fn count_lines(text: &str) -> usize {
    memchr::memchr_iter(b'\n', text.as_bytes()).count()
}

fn push_hunks(set: &mut EditSet, hunks: &[Hunk], after: &Text) {
    for hunk in hunks {
        set.push(Edit::new(hunk.before.clone(), after.slice(hunk.after.clone())));
    }
}

/// Where and as what to put in a hunk that only adds at the end of a text that is not empty.
fn at_end(before: &Text, after: &Text, hunk: &Hunk) -> Option<(Range<usize>, String)> {
    let len = before.len();
    if hunk.before.end != len || len == 0 {
        return None;
    }
    let new = after.slice(hunk.after.clone());
    if !hunk.before.is_empty() {
        // A last line without line break that stays and gets more lines after it.
        let old = before.slice(hunk.before.clone());
        let added = new.strip_prefix(&old)?;
        return added.starts_with(['\n', '\r']).then(|| (len..len, added.to_owned()));
    }
    let last = before.line_range(before.lines() - 2);
    let line_break = before.slice(last.end..len);
    let same_break = line_break_of(&new) == line_break;
    if same_break {
        let added = format!("{line_break}{}", &new[..new.len() - line_break.len()]);
        return Some((last.end..last.end, added));
    }
    let whole = before.slice(last.start..len) + &new;
    Some((last.start..len, whole))
}

/// The line break that ends `text`, if one does.
fn line_break_of(text: &str) -> &str {
    ["\r\n", "\n", "\r"].into_iter().find(|line_break| text.ends_with(line_break)).unwrap_or("")
}

/// The stretches of whole lines that differ, with at least one common line between any two.
fn line_hunks(before: &Text, after: &Text, budget: &mut usize) -> Vec<Hunk> {
    let Some((old, new)) = differing(before, after, MARGIN) else { return Vec::new() };
    let (old_text, new_text) = (before.slice(old.clone()), after.slice(new.clone()));
    let mut hunks = token_hunks(split_lines(&old_text), split_lines(&new_text), Kind::Lines, budget);
    for hunk in &mut hunks {
        hunk.before = hunk.before.start + old.start..hunk.before.end + old.start;
        hunk.after = hunk.after.start + new.start..hunk.after.end + new.start;
    }
    hunks
}

/// The lines of a text, each with its line end.
fn split_lines(mut text: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let bytes = text.as_bytes();
        let end = match memchr::memchr2(b'\n', b'\r', bytes) {
            Some(at) if bytes[at] == b'\r' && bytes.get(at + 1) == Some(&b'\n') => at + 2,
            Some(at) => at + 1,
            None => bytes.len(),
        };
        let (line, rest) = text.split_at(end);
        text = rest;
        (!line.is_empty()).then_some(line)
    })
}

/// The words that differ between two stretches, joined where no word stands between them on the line. Where little
/// is left in common, what is left is chance: then it is one edit without the common words at both ends.
fn word_hunks(old: &str, new: &str, budget: &mut usize) -> Vec<Hunk> {
    let hunks = token_hunks(split_words(old), split_words(new), Kind::Words, budget);
    let has_word = |text: &str| text.chars().any(is_word);
    let mut joined: Vec<Hunk> = Vec::with_capacity(hunks.len());
    for hunk in &hunks {
        match joined.last_mut() {
            Some(last) => {
                let gap = &old[last.before.end..hunk.before.start];
                if has_word(gap) || gap.contains(['\n', '\r']) {
                    joined.push(hunk.clone());
                } else {
                    (last.before.end, last.after.end) = (hunk.before.end, hunk.after.end);
                }
            }
            None => joined.push(hunk.clone()),
        }
    }
    let words = |text: &str| split_words(text).filter(|word| has_word(word)).map(str::len).sum::<usize>();
    let removed: usize = joined.iter().map(|hunk| words(&old[hunk.before.clone()])).sum();
    let (kept, shorter) = (words(old) - removed, words(old).min(words(new)));
    match (joined.first(), joined.last()) {
        (Some(first), Some(last)) if kept * 3 < shorter => {
            vec![Hunk { before: first.before.start..last.before.end, after: first.after.start..last.after.end }]
        }
        _ => joined,
    }
}

/// Beyond ASCII everything but space counts, so that no mark is torn from its letter.
fn is_word(ch: char) -> bool {
    ch == '_' || ch.is_ascii_alphanumeric() || (!ch.is_ascii() && !ch.is_whitespace())
}

/// Words, runs of blanks, line ends, and every other character by itself.
fn split_words(mut text: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let first = text.chars().next()?;
        let run = |belongs: fn(char) -> bool| text.find(|ch| !belongs(ch)).unwrap_or(text.len());
        let end = match first {
            '\r' if text.starts_with("\r\n") => 2,
            ' ' | '\t' => run(|ch| ch == ' ' || ch == '\t'),
            first if is_word(first) => run(is_word),
            first => first.len_utf8(),
        };
        let (word, rest) = text.split_at(end);
        text = rest;
        Some(word)
    })
}

/// Whole lines of both texts that hold all that differs, with up to `margin` common lines on either side; nothing if
/// the texts are equal.
fn differing(before: &Text, after: &Text, margin: usize) -> Option<(Range<usize>, Range<usize>)> {
    if before.same(after) {
        return None;
    }
    let (old_len, new_len) = (before.len(), after.len());
    let mut prefix = common_prefix(before, after);
    if prefix == old_len && prefix == new_len {
        return None;
    }
    // After a CR the line ends in one text and may go on with LF in the other.
    if prefix > 0 && before.has_at(prefix - 1, "\r") {
        prefix -= 1;
    }
    let line = before.line_at(before.floor_boundary(prefix)).saturating_sub(margin);
    let start = before.line_start(line);
    let suffix = common_suffix(before, after, old_len.min(new_len) - start);
    // The first line start of which the line break before it is common too.
    let line = before.line_at(old_len - suffix) + 1;
    let tail = old_len - before.line_start(line.saturating_add(margin));
    Some((start..old_len - tail, start..new_len - tail))
}

/// The one stretch in which two texts differ, in bytes of either, on character boundaries; nothing if they are equal.
pub fn stretch(before: &Text, after: &Text) -> Option<(Range<usize>, Range<usize>)> {
    if before.same(after) {
        return None;
    }
    let (old_len, new_len) = (before.len(), after.len());
    let start = before.floor_boundary(common_prefix(before, after));
    let mut suffix = common_suffix(before, after, old_len.min(new_len) - start);
    // What they have in common at the end may begin inside a character, in both the same one or in neither.
    while !before.is_boundary(old_len - suffix) {
        suffix -= 1;
    }
    (start < old_len - suffix || start < new_len - suffix).then(|| (start..old_len - suffix, start..new_len - suffix))
}

fn common_prefix(a: &Text, b: &Text) -> usize {
    common(a.0.chunks(), b.0.chunks(), usize::MAX, |a, b| {
        let size = a.len().min(b.len());
        let (head_a, head_b) = (&a[..size], &b[..size]);
        let equal = match std::ptr::eq(head_a, head_b) || head_a == head_b {
            true => size,
            false => head_a.iter().zip(head_b).take_while(|(a, b)| a == b).count(),
        };
        (&a[equal..], &b[equal..], equal)
    })
}

fn common_suffix(a: &Text, b: &Text, limit: usize) -> usize {
    let (chunks_a, ..) = a.0.chunks_at_byte(a.len());
    let (chunks_b, ..) = b.0.chunks_at_byte(b.len());
    let all = common(chunks_a.reversed(), chunks_b.reversed(), limit, |a, b| {
        let size = a.len().min(b.len());
        let (tail_a, tail_b) = (&a[a.len() - size..], &b[b.len() - size..]);
        let equal = match std::ptr::eq(tail_a, tail_b) || tail_a == tail_b {
            true => size,
            false => tail_a.iter().rev().zip(tail_b.iter().rev()).take_while(|(a, b)| a == b).count(),
        };
        (&a[..a.len() - equal], &b[..b.len() - equal], equal)
    });
    all.min(limit)
}

/// How many bytes two sequences of pieces have in common, by `step`, which cuts what is common off one end of two
/// pieces and says how much it was.
fn common<'a>(
    mut a: impl Iterator<Item = &'a str>,
    mut b: impl Iterator<Item = &'a str>,
    enough: usize,
    step: impl for<'b> Fn(&'b [u8], &'b [u8]) -> (&'b [u8], &'b [u8], usize),
) -> usize {
    let (mut left_a, mut left_b): (&[u8], &[u8]) = (&[], &[]);
    let mut total = 0;
    loop {
        while left_a.is_empty() {
            let Some(chunk) = a.next() else { return total };
            left_a = chunk.as_bytes();
        }
        while left_b.is_empty() {
            let Some(chunk) = b.next() else { return total };
            left_b = chunk.as_bytes();
        }
        let (rest_a, rest_b, equal) = step(left_a, left_b);
        total += equal;
        if (!rest_a.is_empty() && !rest_b.is_empty()) || total >= enough {
            return total;
        }
        (left_a, left_b) = (rest_a, rest_b);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::arbitrary::{edits, text};
    use super::*;

    fn made(edits: &EditSet) -> Vec<(Range<usize>, &str)> {
        edits.edits().iter().map(|edit| (edit.range.clone(), edit.text.as_str())).collect()
    }

    fn checked(make: fn(&Text, &Text) -> EditSet, before: &str, after: &str) -> EditSet {
        let (before, after) = (Text::from(before), Text::from(after));
        let edits = make(&before, &after);
        assert_eq!(edits.apply(&before).unwrap(), after);
        edits
    }

    #[test]
    fn a_changed_line_is_replaced_whole() {
        let edits = checked(lines, "one\ntwo\nthree\n", "one\n2\nthree\n");
        assert_eq!(made(&edits), [(4..8, "2\n")]);
    }

    #[test]
    fn what_is_added_at_the_end_goes_before_the_last_line_break() {
        assert_eq!(made(&checked(lines, "a\nb\n", "a\nb\nc\n")), [(3..3, "\nc")]);
        assert_eq!(made(&checked(lines, "a\r\nb\r\n", "a\r\nb\r\nc\r\n")), [(4..4, "\r\nc")]);
        assert_eq!(made(&checked(lines, "a\nb", "a\nb\nc\n")), [(3..3, "\nc\n")]);
        assert_eq!(made(&checked(lines, "a\nb", "a\nb\n")), [(3..3, "\n")]);
        assert_eq!(made(&checked(lines, "a\nb\n", "a\nb\nc")), [(2..4, "b\nc")]);
        assert_eq!(made(&checked(lines, "", "a\n")), [(0..0, "a\n")]);
    }

    #[test]
    fn an_addition_at_the_end_never_touches_the_hunk_before() {
        assert_eq!(made(&checked(lines, "a\n\n", "b\n\nc\n")), [(0..3, "b\n\nc\n")]);
    }

    #[test]
    fn an_inserted_function_is_one_block() {
        let before = "fn a() {\n    x\n}\n\nfn c() {\n    z\n}\n";
        let after = "fn a() {\n    x\n}\n\nfn b() {\n    y\n}\n\nfn c() {\n    z\n}\n";
        assert_eq!(made(&checked(lines, before, after)), [(18..18, "fn b() {\n    y\n}\n\n")]);
    }

    #[test]
    fn words_are_told_apart() {
        let edits = checked(refined, "let total = a + b; // sum\n", "let total: u32 = a + c; // sum\n");
        assert_eq!(made(&edits), [(9..9, ": u32"), (16..17, "c")]);
        let edits = checked(refined, "foo(a, b);\nbar();\n", "baz(a, b);\nbar(1);\n");
        assert_eq!(made(&edits), [(0..3, "baz"), (15..15, "1")]);
    }

    #[test]
    fn lines_with_little_in_common_are_one_edit() {
        let edits = checked(refined, "    return the_old_way(x);\n", "    match x { A => 1, B => new }\n");
        assert_eq!(edits.edits().len(), 1);
    }

    #[test]
    fn words_keep_their_marks_and_line_ends_whole() {
        let edits = checked(refined, "e\u{301} x 😀\r\nb\r\n", "e\u{300} x 😁\nb\r\n");
        assert!(edits.edits().iter().all(|edit| !edit.text.starts_with(['\u{300}', '\u{301}'])));
        assert_eq!(made(&edits), [(0..12, "e\u{300} x 😁\n")]);
        let edits = checked(refined, "one two e\u{301} x 😀\r\nb\r\n", "one two e\u{300} x 😁\nb\r\n");
        assert_eq!(made(&edits), [(8..11, "e\u{300}"), (14..20, "😁\n")]);
    }

    #[test]
    fn a_small_change_in_a_large_text_is_found_without_reading_lines() {
        let before = Text::from("some line of text\n".repeat(200_000).as_str());
        let mut after = before.clone();
        after.replace(1_800_000..1_800_000, "new ");
        let (old, new) = differing(&before, &after, MARGIN).unwrap();
        assert!(old.len() < 8_000 && new.len() == old.len() + 4, "{old:?} {new:?}");
        assert_eq!(lines(&before, &after).apply(&before).unwrap(), after);
        assert!(lines(&before, &before.clone()).is_empty());
    }

    #[test]
    fn hostile_texts_take_no_quadratic_time() {
        let (a, b) = ("a\n".repeat(200_000), "b\na\n".repeat(100_000));
        checked(lines, &a, &b);
        let (a, b) = ("a ".repeat(30_000), "b a".repeat(20_000));
        checked(refined, &a, &b);
        let (a, b): (String, String) = (0..20_000).map(|n| (format!("a\n{n}\n"), format!("b\n{n}\na\n"))).unzip();
        assert_eq!(checked(lines, &a, &b).edits().len(), 20_001);
    }

    proptest! {
        #[test]
        fn a_diff_leads_from_one_text_to_the_other(before in text(), after in text(), repeat in 1usize..4) {
            checked(lines, &before, &after);
            checked(refined, &before.repeat(repeat), &after.repeat(repeat));
        }

        #[test]
        fn hunks_are_whole_lines_that_do_not_touch((before, after) in text().prop_flat_map(|base| {
            (Just(base.clone()), edits(base.clone()).prop_map(move |edits| {
                edits.apply(&Text::from(base.as_str())).unwrap().to_string()
            }))
        })) {
            let edits = checked(lines, &before, &after);
            let text = Text::from(before.as_str());
            let starts_line = |at: usize| text.line_start(text.line_at(at)) == at;
            for pair in edits.edits().windows(2) {
                prop_assert!(pair[0].range.end < pair[1].range.start);
            }
            for edit in edits.edits() {
                let whole = starts_line(edit.range.start) && (starts_line(edit.range.end) || edit.range.end == text.len());
                let appended = edit.range.is_empty() && edit.text.starts_with(['\n', '\r'])
                    && text.line_at(edit.range.start) + 2 >= text.lines();
                prop_assert!(whole || appended, "{:?}", edit);
            }
            checked(refined, &before, &after);
        }
    }
}
