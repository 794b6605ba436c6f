//! Older texts that a newer result has replaced.
//!
//! A text counts as replaced only if the model can see a newer one that covers all of it: the same lines of the same
//! file, or the same call again. So nothing goes that it would have to ask for.

use std::borrow::Cow;
use std::sync::Arc;

use super::calls::{Exchange, Lines, exchanges, is_editing, is_reference, lines_of, path_of, points_at, same};
use crate::llm::{Message, ToolResult};

/// A result shorter than this stays as it is.
const WORTH_DROPPING: usize = 200;

/// What stands in place of a text that was read again.
pub const DROPPED: &str = "[dropped: a newer result below shows this again]";

/// Tools whose newest result for the same arguments is the truth.
const LOOKING: &[&str] = &["grep", "glob", "list_dir", "outline", "diagnostics", "run_command"];

/// What can go from a conversation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stale {
    /// Places of the results: message and index in it, oldest first.
    pub places: Vec<(usize, usize)>,
    /// Bytes that would go.
    pub removed: usize,
}

/// A result and what its call was about, looked into once.
struct Look<'a> {
    at: Exchange<'a>,
    path: Option<Cow<'a, str>>,
    /// The lines that a read asked for.
    lines: Option<Lines<'a>>,
    /// Whether that shows its file to the end.
    whole: bool,
}

impl<'a> Look<'a> {
    fn of(at: Exchange<'a>) -> Self {
        let lines = lines_of(at.call);
        let path = if is_editing(at.call) { path_of(at.call) } else { None };
        let to_end = lines.as_ref().is_some_and(|lines| lines.lines.end == u64::MAX);
        Self { whole: to_end && at.result.content.contains("[end of the file: "), at, path, lines }
    }

    fn replaces(&self, old: &Self) -> bool {
        if self.at.result.is_error || is_reference(self.at.result) {
            return false;
        }
        if let Some(old_lines) = &old.lines {
            // Of a text that was cut, only what is shown counts; the tool says so in its last line.
            let covers = self.lines.as_ref().is_some_and(|lines| lines.covers(old_lines));
            return covers && (self.whole || same(self.at.call, old.at.call));
        }
        if let Some(path) = &old.path {
            return self.lines.as_ref().is_some_and(|new| self.whole && new.lines.start == 1 && new.path == *path);
        }
        LOOKING.contains(&&*old.at.call.name) && same(self.at.call, old.at.call)
    }
}

/// Finds the results that a newer one replaces.
pub fn find(messages: &[Message]) -> Stale {
    let all: Vec<Look<'_>> = exchanges(messages).map(Look::of).collect();
    let mut stale = Stale::default();
    for (at, old) in all.iter().enumerate() {
        let result = old.at.result;
        let goes = result.content.len() >= WORTH_DROPPING && all[at + 1..].iter().any(|new| new.replaces(old));
        if goes {
            stale.places.push((old.at.message, old.at.index));
            stale.removed += result.content.len() - DROPPED.len();
        }
    }
    if !stale.places.is_empty() {
        drop_orphans(&all, &mut stale);
    }
    stale
}

/// What points at a text that goes, goes with it: a newer result shows that again.
fn drop_orphans(all: &[Look<'_>], stale: &mut Stale) {
    let goes = |one: &Exchange<'_>, stale: &Stale| stale.places.contains(&(one.message, one.index));
    for (at, Look { at: one, .. }) in all.iter().enumerate().filter(|(_, look)| is_reference(look.at.result)) {
        let mut texts = all[..at].iter().rev().map(|look| &look.at);
        let text = texts.find(|old| !is_reference(old.result) && points_at(one.result, old.call));
        if text.is_some_and(|text| goes(text, stale)) && !goes(one, stale) {
            stale.places.push((one.message, one.index));
            stale.removed += one.result.content.len().saturating_sub(DROPPED.len());
        }
    }
    stale.places.sort_unstable();
}

/// The conversation without those texts. Bytes behind the first change: see [`behind`].
pub fn drop_texts(messages: &[Message], stale: &Stale) -> Vec<Message> {
    let mut messages = messages.to_vec();
    for &(at, index) in &stale.places {
        if let Some(Message::ToolResults(results)) = messages.get_mut(at) {
            let mut changed: Vec<ToolResult> = results.to_vec();
            changed[index].content = Arc::from(DROPPED);
            *results = changed.into();
        }
    }
    messages
}

/// Bytes of text from message `from` on.
pub fn behind(messages: &[Message], from: usize) -> usize {
    messages.iter().skip(from).map(super::gauge::bytes_of).sum()
}

#[cfg(test)]
mod tests {
    use super::super::calls::tests::{contents, step, user};
    use super::*;

    fn conversation(steps: &[(&str, &str, &str)]) -> Vec<Message> {
        let steps = steps.iter().flat_map(|(name, arguments, content)| step(name, arguments, content));
        [user("do")].into_iter().chain(steps).collect()
    }

    fn long(text: &str) -> String {
        format!("{}\n[end of the file: 200 lines]", format!("{text}\n").repeat(200))
    }

    fn left(steps: &[(&str, &str, &str)]) -> Vec<bool> {
        let messages = conversation(steps);
        let made = drop_texts(&messages, &find(&messages));
        contents(&made).iter().map(|content| content != DROPPED).collect()
    }

    #[test]
    fn an_older_read_goes_when_a_newer_one_shows_all_of_it() {
        let (a, b) = (long("a"), long("b"));
        let whole = r#"{"path":"a.rs"}"#;
        let part = r#"{"path":"a.rs","offset":10,"limit":20}"#;
        assert_eq!(left(&[("read_file", whole, &a), ("read_file", whole, &b)]), [false, true]);
        assert_eq!(left(&[("read_file", part, &a), ("read_file", whole, &b)]), [false, true]);
        // A part does not replace the whole, nor does another file.
        assert_eq!(left(&[("read_file", whole, &a), ("read_file", part, &b)]), [true, true]);
        assert_eq!(left(&[("read_file", whole, &a), ("read_file", r#"{"path":"b.rs"}"#, &b)]), [true, true]);
    }

    #[test]
    fn a_read_that_was_cut_replaces_only_the_same_read() {
        let (a, cut) = (long("a"), "b\n".repeat(300));
        let part = r#"{"path":"a.rs","offset":10,"limit":20}"#;
        let whole = r#"{"path":"a.rs"}"#;
        assert_eq!(left(&[("read_file", part, &a), ("read_file", whole, &cut)]), [true, true]);
        assert_eq!(left(&[("read_file", whole, &a), ("read_file", whole, &cut)]), [false, true]);
    }

    #[test]
    fn a_reference_replaces_nothing_since_it_needs_the_text() {
        let text = long("a");
        let whole = r#"{"path":"a.rs"}"#;
        let word = format!("{}same]", super::super::calls::REFERENCE);
        assert_eq!(left(&[("read_file", whole, &text), ("read_file", whole, &word)]), [true, true]);
    }

    #[test]
    fn what_points_at_a_text_goes_with_it_and_stays_as_long_as_the_text_does() {
        let text = long("a");
        let whole = r#"{"path":"a.rs"}"#;
        let word = format!("{}it is as `read_file` {whole} above]", super::super::calls::REFERENCE);
        let (first, again) = (("read_file", whole, text.as_str()), ("read_file", whole, word.as_str()));
        assert_eq!(left(&[first, again]), [true, true]);
        assert_eq!(left(&[first, again, first]), [false, false, true]);
        assert_eq!(left(&[first, first, again]), [false, true, true]);
    }

    #[test]
    fn an_edit_s_lines_go_when_the_file_is_read_again() {
        let (echo, text) = ("edited a.rs\n".repeat(40), long("a"));
        let edit = r#"{"path":"a.rs","old_string":"x","new_string":"y"}"#;
        assert_eq!(left(&[("edit_file", edit, &echo), ("read_file", r#"{"path":"a.rs"}"#, &text)]), [false, true]);
        assert_eq!(left(&[("edit_file", edit, &echo), ("read_file", r#"{"path":"b.rs"}"#, &text)]), [true, true]);
        assert_eq!(left(&[("edit_file", edit, &echo), ("edit_file", edit, &echo)]), [true, true]);
    }

    #[test]
    fn a_search_that_is_made_again_replaces_itself() {
        let hits = "hit\n".repeat(100);
        let grep = r#"{"pattern":"x"}"#;
        assert_eq!(left(&[("grep", grep, &hits), ("grep", grep, &hits)]), [false, true]);
        assert_eq!(left(&[("grep", grep, &hits), ("grep", r#"{"pattern":"y"}"#, &hits)]), [true, true]);
    }

    #[test]
    fn what_goes_is_counted() {
        let text = long("a");
        let whole = r#"{"path":"a.rs"}"#;
        let messages = conversation(&[("read_file", whole, &text), ("read_file", whole, &text)]);
        let stale = find(&messages);
        let made = drop_texts(&messages, &stale);
        assert_eq!(behind(&messages, 0) - behind(&made, 0), stale.removed);
        assert_eq!(find(&made), Stale::default());
    }
}
