//! Older texts that a newer result has replaced.
//!
//! A text counts as replaced only if the model can see a newer one that covers all of it: the same lines of the same
//! file, or the same call again. So nothing goes that it would have to ask for.

use std::sync::Arc;

use super::calls::{Exchange, exchanges, is_reference, lines_of, path_of, same};
use crate::llm::{Message, ToolResult};

/// A result shorter than this stays as it is.
const WORTH_DROPPING: usize = 200;

/// What stands in place of a text that was read again.
pub const DROPPED: &str = "[dropped: a newer result below shows this again]";

/// Tools whose newest result for the same arguments is the truth.
const LOOKING: &[&str] = &["grep", "glob", "list_dir", "outline", "diagnostics", "run_command"];

/// Tools that show the lines around what they changed.
const EDITING: &[&str] = &["edit_file", "insert_lines", "create_file"];

/// What can go from a conversation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stale {
    /// Places of the results: message and index in it, oldest first.
    pub places: Vec<(usize, usize)>,
    /// Bytes that would go.
    pub removed: usize,
}

/// Finds the results that a newer one replaces.
pub fn find(messages: &[Message]) -> Stale {
    let all: Vec<Exchange<'_>> = exchanges(messages).collect();
    let mut stale = Stale::default();
    for (at, old) in all.iter().enumerate() {
        let goes = old.result.content.len() >= WORTH_DROPPING
            && all[at + 1..].iter().any(|new| !new.result.is_error && !is_reference(new.result) && replaces(new, old));
        if goes {
            stale.places.push((old.message, old.index));
            stale.removed += old.result.content.len() - DROPPED.len();
        }
    }
    stale
}

fn replaces(new: &Exchange<'_>, old: &Exchange<'_>) -> bool {
    let tool = &*old.call.name;
    if tool == "read_file" {
        return match (lines_of(new.call), lines_of(old.call)) {
            // Of a text that was cut, only what is shown counts; the tool says so in its last line.
            (Some(new_lines), Some(old_lines)) => {
                new_lines.covers(&old_lines) && (whole(new) || same(new.call, old.call))
            }
            _ => false,
        };
    }
    if EDITING.contains(&tool) {
        return lines_of(new.call).is_some_and(|new_lines| {
            whole(new) && new_lines.lines.start == 1 && path_of(old.call).is_some_and(|path| path == new_lines.path)
        });
    }
    LOOKING.contains(&tool) && same(new.call, old.call)
}

/// Whether a read shows its file to the end.
fn whole(read: &Exchange<'_>) -> bool {
    read.result.content.contains("[end of the file: ")
        && lines_of(read.call).is_some_and(|lines| lines.lines.end == u64::MAX)
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
