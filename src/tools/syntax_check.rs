//! Whether an edit broke a file that was whole: told to the model in the result of that very edit.
//!
//! It is a hint beside the result, so it never holds one up: a file that is large, in no language we know or slow to
//! parse is passed over without a word.

use std::sync::Arc;
use std::time::Instant;

use super::output::Report;
use super::tool::{Cancel, ToolContext};
use crate::paths::WsPath;
use crate::syntax::{self, Language, ParseError, Parsed};
use crate::text::Text;
use crate::workspace::Staged;

/// Most problems told.
const MAX_PROBLEMS: usize = 5;

/// Lines shown of one problem.
const MAX_LINES: usize = 2;

/// Bytes shown of a line.
const MAX_LINE: usize = 200;

/// Bytes of a first line that are looked at.
const MAX_FIRST_LINE: usize = 200;

/// The language of a file.
pub(super) fn language(path: &WsPath, text: &Text) -> Option<Language> {
    let first = text.line_range(0);
    Language::of(path.name(), &text.slice(first.start..first.end.min(MAX_FIRST_LINE)))
}

/// The tree of a file, from the last one of it unless that is switched off.
pub(super) fn parse(
    context: &ToolContext,
    path: &WsPath,
    text: &Text,
    language: Language,
    stop: &mut dyn FnMut() -> bool,
) -> Result<Arc<Parsed>, ParseError> {
    if context.limits.syntax.reuse {
        context.parses.parse(path, text, language, stop)
    } else {
        syntax::parse(text, language, None, stop).map(Arc::new)
    }
}

/// What the check of an edit needs besides the edit.
#[derive(Clone, Copy)]
pub(super) struct Check<'a> {
    /// The text that the run saw before.
    pub seen: &'a Text,
    /// Ends it early.
    pub cancel: &'a Cancel,
}

/// Says in `report` what is wrong with the staged text, if the file was whole before: as the user has it, or as the run
/// saw it last.
pub(super) fn report(context: &ToolContext, report: &mut Report, staged: &Staged, check: Check<'_>) {
    let Check { seen, cancel } = check;
    let Some(language) = language(&staged.path, &staged.text) else { return };
    let until = Instant::now() + context.limits.syntax.check;
    let mut stop = || cancel.is_cancelled() || Instant::now() >= until;
    // Most edits break nothing, and then this is all there is to do.
    let Ok(after) = parse(context, &staged.path, &staged.text, language, &mut stop) else { return };
    if !after.is_broken() {
        return;
    }
    let mut was_whole = |text: &Text| {
        let from = context.limits.syntax.reuse.then_some(&*after);
        syntax::parse(text, language, from, &mut stop).is_ok_and(|parsed| !parsed.is_broken())
    };
    if !was_whole(&staged.before) && (seen.same(&staged.before) || !was_whole(seen)) {
        return;
    }
    let problems = syntax::problems(&after, MAX_PROBLEMS + 1, &mut stop);
    if stop() {
        return;
    }
    let more = if problems.len() > MAX_PROBLEMS { ", and more" } else { "" };
    report.note(format_args!(
        "[the edit is staged, but the file, which was whole {language} before, now has syntax errors{more}:"
    ));
    for problem in problems.iter().take(MAX_PROBLEMS) {
        let lines = problem.lines.start..problem.lines.end.min(problem.lines.start + MAX_LINES);
        report.note(format_args!("line {}: {}", problem.lines.start + 1, problem.wrong));
        for line in lines {
            let bytes = staged.text.line_range(line);
            let shown = staged.text.slice(bytes.start..bytes.end.min(bytes.start + MAX_LINE));
            let rest = if bytes.len() > MAX_LINE { "…" } else { "" };
            report.note(format_args!("{:>6}\t{shown}{rest}", line + 1));
        }
    }
    report.note(format_args!("mend them unless another edit is about to]"));
}
