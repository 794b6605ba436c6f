//! A file that is read again after a few of its lines have changed, or in another range: what of it is in view already is
//! pointed at, and only the rest is shown.
//!
//! An earlier result is never changed, so this costs nothing of the provider's prompt cache. The model still sees every
//! line: those that are pointed at stand above, in the one result that is named.

use std::fmt::Write as _;

use super::calls::{
    Exchange, REFERENCE, exchanges, is_editing, is_reference, lines_of, path_of, points_at, shown_call,
};
use crate::llm::{Message, ToolCall, ToolResult};
use crate::text::diff;

/// A result shorter than this is shown.
const WORTH: usize = 600;
/// Lines in a row that are pointed at, at least: fewer would be torn out for a sentence as long as they are.
const RUN: usize = 4;
/// And their bytes.
const RUN_BYTES: usize = 160;
/// Earlier results that are compared with.
const COMPARED: usize = 3;

/// What a `read_file` gave, without the lines that an earlier one shows. `None` if that is not worth it, if none is in
/// view among the last `near` messages, or if the model asks again for what it has just been pointed at.
pub fn refer(history: &[Message], call: &ToolCall, content: &str, near: usize) -> Option<String> {
    let asked = lines_of(call).filter(|_| content.len() >= WORTH)?;
    let new = Numbered::of(content)?;
    let mut compared = 0;
    let mut edited = false;
    for old in exchanges(history).rev() {
        if is_editing(old.call) {
            edited |= path_of(old.call).is_some_and(|path| path == asked.path);
        }
        let Some(lines) = lines_of(old.call).filter(|lines| lines.path == asked.path) else { continue };
        if is_reference(old.result) {
            if !edited && lines.covers(&asked) {
                return None;
            }
            continue;
        }
        if old.result.is_error || history.len() - old.message > near {
            continue;
        }
        let made = Numbered::of(&old.result.content).and_then(|seen| point(&seen, &new, &old));
        if let Some(made) = made.filter(|made| made.len() <= content.len() / 2) {
            return Some(made);
        }
        compared += 1;
        if compared == COMPARED {
            break;
        }
    }
    None
}

/// The lines of a result with their numbers, and what the tool says behind them.
struct Numbered<'a> {
    /// As they are shown: number, tab, text.
    shown: Vec<&'a str>,
    numbers: Vec<u64>,
    lines: Vec<&'a str>,
    notes: Vec<&'a str>,
}

impl<'a> Numbered<'a> {
    fn of(content: &'a str) -> Option<Self> {
        let mut found = Self { shown: Vec::new(), numbers: Vec::new(), lines: Vec::new(), notes: Vec::new() };
        for shown in content.split('\n') {
            let numbered =
                shown.split_once('\t').and_then(|(number, line)| Some((number.trim_start().parse().ok()?, line)));
            match numbered {
                Some((number, line)) => {
                    found.shown.push(shown);
                    found.numbers.push(number);
                    found.lines.push(line);
                }
                None => found.notes.push(shown),
            }
        }
        (!found.lines.is_empty()).then_some(found)
    }
}

/// `new` with the lines that stand in `seen` replaced by where they stand; `None` if there are none.
fn point(seen: &Numbered<'_>, new: &Numbered<'_>, old: &Exchange<'_>) -> Option<String> {
    let mut out = format!(
        "{REFERENCE}most of it is as {} above; what is not is shown, and to see all of it make this call once more]\n",
        shown_call(old.call)
    );
    let mut next = 0;
    let show = |out: &mut String, lines: std::ops::Range<usize>| {
        for line in &new.shown[lines] {
            out.push_str(line);
            out.push('\n');
        }
    };
    let mut any = false;
    for run in runs(seen, new) {
        let bytes: usize = new.lines[run.after..run.after + run.lines].iter().map(|line| line.len() + 1).sum();
        if run.lines < RUN || bytes < RUN_BYTES {
            continue;
        }
        any = true;
        show(&mut out, next..run.after);
        next = run.after + run.lines;
        let here = (new.numbers[run.after], new.numbers[next - 1]);
        let there = (seen.numbers[run.before], seen.numbers[run.before + run.lines - 1]);
        // Writing to a string cannot fail.
        let _ = match here == there {
            true => writeln!(out, "[{} to {}: as there]", here.0, here.1),
            false => writeln!(out, "[{} to {}: as {} to {} there]", here.0, here.1, there.0, there.1),
        };
    }
    show(&mut out, next..new.shown.len());
    out.push_str(&new.notes.join("\n"));
    out.truncate(out.trim_end_matches('\n').len());
    any.then_some(out)
}

/// What both have in common, in runs of lines that follow one another in both files.
fn runs(seen: &Numbered<'_>, new: &Numbered<'_>) -> Vec<diff::Common> {
    let mut runs: Vec<diff::Common> = Vec::new();
    for common in diff::common_lines(&seen.lines, &new.lines) {
        let mut from = 0;
        for at in 1..=common.lines {
            let follows =
                |numbers: &[u64], first: usize| numbers[first + at - 1].checked_add(1) == Some(numbers[first + at]);
            if at == common.lines || !follows(&seen.numbers, common.before) || !follows(&new.numbers, common.after) {
                runs.push(diff::Common { before: common.before + from, after: common.after + from, lines: at - from });
                from = at;
            }
        }
    }
    runs
}

/// What stands in place of a reference whose text is gone.
pub const GONE: &str = "[the text that this pointed to was dropped to save room; make the call again to see it]";

/// A reference whose text is gone: what it shows itself stays.
pub fn bereft(result: &ToolResult) -> String {
    let own = result.content.split('\n').filter(|line| !line.starts_with('['));
    [GONE].into_iter().chain(own).collect::<Vec<_>>().join("\n")
}

/// Whether what a reference points at is among these.
pub fn is_found<'a>(reference: &ToolResult, mut before: impl Iterator<Item = Exchange<'a>>) -> bool {
    before.any(|old| !is_reference(old.result) && points_at(reference, old.call))
}

#[cfg(test)]
mod tests {
    use super::super::calls::tests::{step, user};
    use super::*;

    fn file(lines: std::ops::RangeInclusive<u64>, changed: u64) -> String {
        let line = |n: u64| {
            let text = if n == changed { "changed here".to_owned() } else { format!("some line of code, number {n}") };
            format!("{n:>6}\t{text}\n")
        };
        format!("{}[end of the file: 200 lines]", lines.map(line).collect::<String>())
    }

    fn call(arguments: &str) -> ToolCall {
        ToolCall { id: "c".into(), name: "read_file".into(), arguments: arguments.into() }
    }

    const WHOLE: &str = r#"{"path":"a.rs"}"#;
    const PART: &str = r#"{"path":"./a.rs","offset":50,"limit":60}"#;

    fn history(steps: &[(&str, &str, &str)]) -> Vec<Message> {
        let steps = steps.iter().flat_map(|(name, arguments, content)| step(name, arguments, content));
        [user("do")].into_iter().chain(steps).collect()
    }

    #[test]
    fn a_changed_line_is_shown_and_the_others_are_pointed_at() {
        let history = history(&[("read_file", WHOLE, &file(1..=200, 0))]);
        let told = refer(&history, &call(WHOLE), &file(1..=200, 90), usize::MAX).unwrap();
        assert_eq!(
            told,
            format!(
                "{REFERENCE}most of it is as `read_file` {WHOLE} above; what is not is shown, and to see all of it make \
                 this call once more]\n[1 to 89: as there]\n    90\tchanged here\n[91 to 200: as there]\n\
                 [end of the file: 200 lines]"
            )
        );
    }

    #[test]
    fn a_part_of_what_is_in_view_is_pointed_at_also_where_its_lines_have_moved() {
        let history = history(&[("read_file", WHOLE, &file(1..=200, 0))]);
        let moved = file(50..=109, 0).replace("number ", "number 1").replace("number 1", "number ");
        assert!(refer(&history, &call(PART), &moved, usize::MAX).unwrap().contains("\n[50 to 109: as there]"));
        let down: String = file(49..=108, 0)
            .lines()
            .map(|line| match line.trim_start().split_once('\t') {
                Some((number, text)) => format!("{:>6}\t{text}\n", number.parse::<u64>().unwrap() + 1),
                None => line.to_owned(),
            })
            .collect();
        let told = refer(&history, &call(PART), &down, usize::MAX).unwrap();
        assert!(told.contains("\n[50 to 109: as 49 to 108 there]\n"), "{told}");
    }

    #[test]
    fn what_is_asked_for_again_is_shown_and_after_an_edit_it_is_a_new_question() {
        let (text, later) = (file(1..=200, 0), file(1..=200, 90));
        let pointed = refer(&history(&[("read_file", WHOLE, &text)]), &call(WHOLE), &later, usize::MAX).unwrap();
        let edit = r#"{"path":"a.rs","old_string":"x","new_string":"y"}"#;
        let steps = [("read_file", WHOLE, text.as_str()), ("read_file", WHOLE, &pointed)];
        assert_eq!(refer(&history(&steps), &call(WHOLE), &later, usize::MAX), None);
        assert_eq!(refer(&history(&steps), &call(PART), &file(50..=109, 90), usize::MAX), None);
        let edited = [steps[0], steps[1], ("edit_file", edit, "edited")];
        assert!(refer(&history(&edited), &call(WHOLE), &later, usize::MAX).is_some());
    }

    #[test]
    fn other_files_far_results_and_texts_that_are_mostly_new_are_shown() {
        let text = file(1..=200, 0);
        let near = history(&[("read_file", WHOLE, &text)]);
        let refer =
            |history: &[Message], arguments: &str, content: &str, near| refer(history, &call(arguments), content, near);
        assert!(refer(&near, WHOLE, &text, 1).is_some());
        assert_eq!(refer(&near, WHOLE, &text, 0), None);
        assert_eq!(refer(&near, r#"{"path":"b.rs"}"#, &text, 9), None);
        assert_eq!(refer(&near, WHOLE, &text.replace("code", "prose"), 9), None);
        assert_eq!(refer(&near, WHOLE, &file(1..=5, 0), 9), None);
        assert_eq!(refer(&near, WHOLE, &"no lines at all ".repeat(99), 9), None);
        assert_eq!(refer(&history(&[("grep", WHOLE, &text)]), WHOLE, &text, 9), None);
    }

    #[test]
    fn a_gap_in_what_is_in_view_is_not_pointed_over() {
        let (head, tail) = (file(1..=50, 0), file(151..=200, 0));
        let head = head.replace("[end of the file: 200 lines]", "");
        let seen = format!("{head}[100 lines in the middle are left out]\n{tail}");
        let told = refer(&history(&[("read_file", WHOLE, &seen)]), &call(WHOLE), &format!("{head}{tail}"), 9).unwrap();
        assert!(told.contains("[1 to 50: as there]\n[151 to 200: as there]"), "{told}");
    }

    #[test]
    fn without_its_text_a_reference_keeps_what_it_shows_itself() {
        let history = history(&[("read_file", WHOLE, &file(1..=200, 0))]);
        let told = refer(&history, &call(WHOLE), &file(1..=200, 90), usize::MAX).unwrap();
        let [_, results] = step("read_file", WHOLE, &told);
        let Message::ToolResults(results) = results else { panic!() };
        assert!(is_found(&results[0], exchanges(&history)));
        assert!(!is_found(&results[0], exchanges(&history[..1])));
        assert_eq!(bereft(&results[0]), format!("{GONE}\n    90\tchanged here"));
    }
}
