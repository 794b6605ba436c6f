//! A diff as text, in the format that `patch` and `git apply` read, with a cap that says how much is missing.
//!
//! Lines end at LF here, as those programs count them; a lone CR is a character of its line.

use std::fmt::Write as _;
use std::ops::Range;

use super::tokens::{BUDGET, Kind, token_hunks};
use super::{Hunk, MARGIN, differing};
use crate::text::rope::Text;

/// The changes from `before` to `after` with `context` common lines around each, or nothing if they are equal.
/// The lines of the diff take at most `max_bytes`; then a last line says how many are missing, and the text is no
/// patch any more.
pub fn unified(before: &Text, after: &Text, path: &str, context: usize, max_bytes: usize) -> String {
    unified_file(Some(before), Some(after), path, context, max_bytes)
}

/// As [`unified`], for a file that may have been created (`before` is `None`) or deleted (`after` is `None`).
pub fn unified_file(
    before: Option<&Text>,
    after: Option<&Text>,
    path: &str,
    context: usize,
    max_bytes: usize,
) -> String {
    // A name with a line end would forge lines of the diff.
    let path: String = path.chars().map(|ch| if ch.is_control() { '\u{fffd}' } else { ch }).collect();
    let name = |side: char, text: Option<&Text>| match text {
        Some(_) => format!("{side}/{path}"),
        None => "/dev/null".to_owned(),
    };
    let (old_name, new_name) = (name('a', before), name('b', after));
    let empty = Text::default();
    let (old, new) = (before.unwrap_or(&empty), after.unwrap_or(&empty));
    let Some(sides) = Sides::of(old, new, context) else { return String::new() };

    let mut out = Capped { text: format!("--- {old_name}\n+++ {new_name}\n"), max: max_bytes, missing: 0 };
    for group in sides.groups(context) {
        sides.write(&group, context, &mut out);
    }
    out.finish()
}

/// The lines of both sides around what differs.
struct Sides {
    /// Number of the first line here, from 0: the same on both sides.
    first_line: usize,
    old: Lines,
    new: Lines,
    /// In line numbers from the first line here.
    hunks: Vec<Hunk>,
}

/// A stretch of text and where its lines begin; the last bound is its end.
struct Lines {
    text: String,
    bounds: Vec<usize>,
}

impl Lines {
    fn of(text: String) -> Self {
        let ends = memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| at + 1);
        let mut bounds: Vec<usize> = std::iter::once(0).chain(ends).collect();
        if bounds.last() != Some(&text.len()) {
            bounds.push(text.len());
        }
        Self { text, bounds }
    }

    fn count(&self) -> usize {
        self.bounds.len() - 1
    }

    fn get(&self, line: usize) -> &str {
        &self.text[self.bounds[line]..self.bounds[line + 1]]
    }

    fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.count()).map(|line| self.get(line))
    }

    fn number(&self, byte: usize) -> usize {
        self.bounds.partition_point(|&bound| bound < byte)
    }
}

impl Sides {
    fn of(before: &Text, after: &Text, context: usize) -> Option<Self> {
        let (mut old, mut new) = differing(before, after, MARGIN.max(context))?;
        if has_lone_cr(before) || has_lone_cr(after) {
            (old, new) = (0..before.len(), 0..after.len());
        }
        let first_line = before.line_at(old.start);
        let (old, new) = (Lines::of(before.slice(old)), Lines::of(after.slice(new)));
        let hunks = token_hunks(old.iter(), new.iter(), Kind::Lines, &mut { BUDGET })
            .into_iter()
            .map(|Hunk { before, after }| Hunk {
                before: old.number(before.start)..old.number(before.end),
                after: new.number(after.start)..new.number(after.end),
            })
            .collect();
        Some(Self { first_line, old, new, hunks })
    }

    /// The hunks whose contexts meet, together.
    fn groups(&self, context: usize) -> Vec<Vec<Hunk>> {
        let mut groups: Vec<Vec<Hunk>> = Vec::new();
        for hunk in &self.hunks {
            match groups.last_mut() {
                Some(group)
                    if group
                        .last()
                        .is_some_and(|last| hunk.before.start - last.before.end <= context.saturating_mul(2)) =>
                {
                    group.push(hunk.clone());
                }
                _ => groups.push(vec![hunk.clone()]),
            }
        }
        groups
    }

    fn write(&self, group: &[Hunk], context: usize, out: &mut Capped) {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { return };
        let lead = context.min(first.before.start).min(first.after.start);
        let tail = context.min(self.old.count() - last.before.end).min(self.new.count() - last.after.end);
        let old = first.before.start - lead..last.before.end + tail;
        let new = first.after.start - lead..last.after.end + tail;
        let mut header = String::from("@@ -");
        self.write_range(&old, &mut header);
        header.push_str(" +");
        self.write_range(&new, &mut header);
        header.push_str(" @@\n");
        out.push("", &header);

        let mut next = old.start;
        for hunk in group {
            (next..hunk.before.start).for_each(|line| out.push(" ", self.old.get(line)));
            hunk.before.clone().for_each(|line| out.push("-", self.old.get(line)));
            hunk.after.clone().for_each(|line| out.push("+", self.new.get(line)));
            next = hunk.before.end;
        }
        (next..old.end).for_each(|line| out.push(" ", self.old.get(line)));
    }

    /// A range of lines as the format has it: from 1, or the line before if it is empty; the count only if not 1.
    fn write_range(&self, lines: &Range<usize>, out: &mut String) {
        let start = self.first_line + lines.start + usize::from(!lines.is_empty());
        // Writing to a string cannot fail.
        let _ = match lines.len() {
            1 => write!(out, "{start}"),
            count => write!(out, "{start},{count}"),
        };
    }
}

/// A diff that stops growing at its cap and counts what it leaves out.
struct Capped {
    text: String,
    max: usize,
    missing: usize,
}

impl Capped {
    fn push(&mut self, mark: &str, line: &str) {
        if self.missing > 0 || self.text.len() + mark.len() + line.len() > self.max {
            self.missing += 1;
            return;
        }
        self.text.push_str(mark);
        self.text.push_str(line);
        if !line.ends_with('\n') {
            self.text.push_str("\n\\ No newline at end of file\n");
        }
    }

    fn finish(mut self) -> String {
        if self.missing > 0 {
            let _ = writeln!(self.text, "[{} more lines of this diff are not shown]", self.missing);
        }
        self.text
    }
}

fn has_lone_cr(text: &Text) -> bool {
    let mut after_cr = false;
    for chunk in text.chunks() {
        let bytes = chunk.as_bytes();
        if after_cr && bytes.first().is_some_and(|&byte| byte != b'\n') {
            return true;
        }
        if memchr::memchr_iter(b'\r', bytes).any(|at| bytes.get(at + 1).is_some_and(|&byte| byte != b'\n')) {
            return true;
        }
        after_cr = bytes.last() == Some(&b'\r');
    }
    after_cr
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diff(before: &str, after: &str, context: usize) -> String {
        unified(&Text::from(before), &Text::from(after), "src/a.rs", context, usize::MAX)
    }

    #[test]
    fn a_change_is_shown_with_its_context() {
        let before = "1\n2\n3\n4\n5\n6\n7\n8\n9\n";
        assert_eq!(
            diff(before, "1\n2\n3\n4\nfive\n6\n7\n8\n9\n10\n", 1),
            "--- a/src/a.rs\n+++ b/src/a.rs\n@@ -4,3 +4,3 @@\n 4\n-5\n+five\n 6\n@@ -9 +9,2 @@\n 9\n+10\n"
        );
        assert_eq!(
            diff(before, "1\n2\n3\n4\nfive\n6\nseven\n8\n9\n", 1),
            "--- a/src/a.rs\n+++ b/src/a.rs\n@@ -4,5 +4,5 @@\n 4\n-5\n+five\n 6\n-7\n+seven\n 8\n"
        );
        assert_eq!(diff(before, before, 3), "");
    }

    #[test]
    fn line_numbers_count_from_the_start_of_the_file() {
        let before: String = (1..=1000).map(|line| format!("{line}\n")).collect();
        let diff = diff(&before, &before.replace("\n700\n", "\n"), 0);
        assert_eq!(diff, "--- a/src/a.rs\n+++ b/src/a.rs\n@@ -700 +699,0 @@\n-700\n");
    }

    #[test]
    fn a_missing_last_line_end_is_said() {
        assert_eq!(
            diff("a\nb", "a\nb\n", 3),
            "--- a/src/a.rs\n+++ b/src/a.rs\n@@ -1,2 +1,2 @@\n a\n-b\n\\ No newline at end of file\n+b\n"
        );
    }

    #[test]
    fn a_new_and_a_deleted_file_have_no_other_side() {
        let text = Text::from("a\n");
        assert_eq!(unified_file(None, Some(&text), "x", 3, 999), "--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+a\n");
        assert_eq!(unified_file(Some(&text), None, "x", 3, 999), "--- a/x\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n");
    }

    #[test]
    fn a_lone_cr_is_a_character_of_its_line() {
        assert_eq!(
            diff("a\rb\nc\r\n", "a\rB\nc\r\n", 3),
            "--- a/src/a.rs\n+++ b/src/a.rs\n@@ -1,2 +1,2 @@\n-a\rb\n+a\rB\n c\r\n"
        );
    }

    #[test]
    fn a_long_diff_is_cut_and_says_so() {
        let after = "line\n".repeat(1000);
        let diff = unified(&Text::from(""), &Text::from(after.as_str()), "a", 3, 100);
        assert!(diff.len() < 160);
        let shown = diff.lines().filter(|line| *line == "+line").count();
        assert!(diff.ends_with(&format!("[{} more lines of this diff are not shown]\n", 1000 - shown)));
    }

    #[test]
    fn a_path_cannot_forge_lines() {
        let diff = unified(&Text::from(""), &Text::from("a"), "x\n+++ b/y", 3, 999);
        assert!(diff.starts_with("--- a/x\u{fffd}+++ b/y\n"));
    }
}
