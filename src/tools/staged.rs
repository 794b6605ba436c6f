//! What a tool says after it has staged something: what changed, as it stands now.

use std::ops::Range;

use super::output::{Output, Report};
use super::quote;
use super::syntax_check::{self, Check};
use super::tool::ToolContext;
use crate::text::{EditSet, Side, Text};
use crate::workspace::{Protection, Staged};

/// Lines shown before and after each change.
const AROUND: usize = 3;

/// Most changes shown.
const MAX_SHOWN: usize = 40;

/// Edits, and the text after them.
pub(super) struct Made {
    /// The edits.
    pub edits: EditSet,
    /// The text they lead to, but for the file's own line ends and for what the user typed meanwhile.
    pub after: Text,
}

/// Says that `head` happened, shows the lines that the edits touched, and says what they broke. Calls `on_staged`.
pub(super) fn report(
    context: &ToolContext,
    head: &str,
    staged: &Staged,
    made: Option<&Made>,
    check: Option<Check<'_>>,
) -> Output {
    (context.on_staged)(&staged.path);
    let mut report = Report::new(context.limits.output);
    report.line(head);
    if let Some(Made { edits, after }) = made {
        let changes = changed_lines(edits, after);
        let shown = if staged.text.lines() == after.lines() { &staged.text } else { after };
        for (index, lines) in changes.iter().take(MAX_SHOWN).enumerate() {
            if index > 0 {
                report.line("   ...");
            }
            if quote::add(&mut report, shown, lines.clone()) < lines.len() {
                break;
            }
        }
        if changes.len() > MAX_SHOWN || report.is_full() {
            report.cut(format_args!("[not all changed lines are shown; read the file to see them]"));
        }
    }
    if let Some(check) = check {
        syntax_check::report(context, &mut report, staged, check);
    }
    if let Protection::Ask(reason) = staged.protection {
        report.note(format_args!("[the user is asked before this file is changed: {reason}]"));
    }
    report.finish()
}

/// The lines of `after` that `edits` touched, with those around them; stretches that meet are one.
fn changed_lines(edits: &EditSet, after: &Text) -> Vec<Range<usize>> {
    let mut all: Vec<Range<usize>> = Vec::new();
    for edit in edits.edits() {
        let start = edits.map_offset(edit.range.start, Side::Before);
        let first = after.line_at(start).saturating_sub(AROUND);
        let last = after.line_at(start + edit.text.trim_end_matches(['\n', '\r']).len()) + AROUND + 1;
        let lines = first..last.min(quote::count(after));
        match all.last_mut() {
            Some(before) if lines.start <= before.end => before.end = before.end.max(lines.end),
            _ => all.push(lines),
        }
    }
    all
}
