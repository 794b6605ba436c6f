//! What the calls of a conversation were about: the little of their arguments that tells whether one result replaces
//! another.

use std::borrow::Cow;
use std::ops::Range;

use serde::Deserialize;

use crate::llm::{Message, ToolCall, ToolResult};

/// What begins a result that stands for an earlier one.
pub const REFERENCE: &str = "[unchanged: ";

/// Arguments longer than this are not looked into: they carry texts, and such a call changes something.
const MAX_ARGUMENTS: usize = 64 << 10;

/// Characters of a call's arguments that a reference repeats.
const ARGUMENTS_SHOWN: usize = 200;

/// Tools that show the lines around what they changed.
const EDITING: &[&str] = &["edit_file", "insert_lines", "create_file"];

/// A call with its result, and where the result stands.
#[derive(Clone, Copy, Debug)]
pub struct Exchange<'a> {
    /// Index of the message with the result.
    pub message: usize,
    /// Index of the result in it.
    pub index: usize,
    /// The call.
    pub call: &'a ToolCall,
    /// Its result.
    pub result: &'a ToolResult,
}

/// All calls that have been answered, oldest first.
pub fn exchanges(messages: &[Message]) -> impl DoubleEndedIterator<Item = Exchange<'_>> {
    messages.windows(2).enumerate().flat_map(|(at, pair)| {
        let (turn, results) = match pair {
            [Message::Assistant(turn), Message::ToolResults(results)] => (Some(turn), &results[..]),
            _ => (None, &[][..]),
        };
        let calls = turn.map_or(&[][..], |turn| &turn.calls[..]);
        // A history answers every call, in order.
        calls.iter().zip(results).enumerate().map(move |(index, (call, result))| Exchange {
            message: at + 1,
            index,
            call,
            result,
        })
    })
}

/// The lines of a file that a `read_file` asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lines<'a> {
    /// The file, as the model spells it.
    pub path: Cow<'a, str>,
    /// The lines, from 1; the end is behind the last.
    pub lines: Range<u64>,
}

impl Lines<'_> {
    /// Whether all of `other` is in it.
    pub fn covers(&self, other: &Self) -> bool {
        self.path == other.path && self.lines.start <= other.lines.start && self.lines.end >= other.lines.end
    }
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    path: Option<Cow<'a, str>>,
    offset: Option<u64>,
    limit: Option<u64>,
}

/// The path that a call names.
pub fn path_of(call: &ToolCall) -> Option<Cow<'_, str>> {
    named(call)?.path.map(plain)
}

/// What a `read_file` asked for. Without a limit it is all that is behind the offset: a longer file is cut by the tool,
/// and the model asks on from there.
pub fn lines_of(call: &ToolCall) -> Option<Lines<'_>> {
    if &*call.name != "read_file" {
        return None;
    }
    let Named { path, offset, limit } = named(call)?;
    let start = offset.unwrap_or(1).max(1);
    let end = limit.map_or(u64::MAX, |limit| start.saturating_add(limit));
    Some(Lines { path: plain(path?), lines: start..end })
}

fn named(call: &ToolCall) -> Option<Named<'_>> {
    (call.arguments.len() <= MAX_ARGUMENTS).then(|| serde_json::from_str(&call.arguments).ok()).flatten()
}

/// `./a` and `a` are one file.
fn plain(path: Cow<'_, str>) -> Cow<'_, str> {
    match path {
        Cow::Borrowed(path) => Cow::Borrowed(path.strip_prefix("./").unwrap_or(path)),
        Cow::Owned(path) => Cow::Owned(path.strip_prefix("./").map_or(path.clone(), str::to_owned)),
    }
}

/// Whether a result is a reference to an earlier one.
pub fn is_reference(result: &ToolResult) -> bool {
    result.content.starts_with(REFERENCE)
}

/// A call as a reference names it.
pub fn shown_call(call: &ToolCall) -> String {
    format!("`{}` {}", call.name, shown_arguments(call))
}

fn shown_arguments(call: &ToolCall) -> &str {
    let end = call.arguments.char_indices().nth(ARGUMENTS_SHOWN);
    &call.arguments[..end.map_or(call.arguments.len(), |(end, _)| end)]
}

/// Whether a reference is to what this call gave.
pub fn points_at(reference: &ToolResult, call: &ToolCall) -> bool {
    let head = reference.content.lines().next().unwrap_or_default();
    let named = head.split_once(" as `").and_then(|(_, named)| named.strip_prefix(&*call.name)?.strip_prefix("` "));
    named.and_then(|named| named.strip_prefix(shown_arguments(call))).is_some_and(|rest| rest.starts_with(" above"))
}

/// Whether a call changes a file and shows the lines around.
pub fn is_editing(call: &ToolCall) -> bool {
    EDITING.contains(&&*call.name)
}

/// Whether two calls ask for the same.
pub fn same(a: &ToolCall, b: &ToolCall) -> bool {
    a.name == b.name && a.arguments == b.arguments
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::ids::CallId;
    use crate::llm::AssistantTurn;

    /// A turn that makes one call, and its result.
    pub fn step(name: &str, arguments: &str, content: &str) -> [Message; 2] {
        let id = CallId::from("c");
        let call = ToolCall { id: id.clone(), name: name.into(), arguments: arguments.into() };
        let result = ToolResult { call: id, name: name.into(), content: content.into(), is_error: false };
        let turn = AssistantTurn { calls: vec![call], ..AssistantTurn::default() };
        [Message::Assistant(Arc::new(turn)), Message::ToolResults([result].into())]
    }

    /// A user's message.
    pub fn user(text: &str) -> Message {
        Message::User(text.into())
    }

    /// The results of a conversation, oldest first.
    pub fn contents(messages: &[Message]) -> Vec<String> {
        exchanges(messages).map(|exchange| exchange.result.content.to_string()).collect()
    }

    #[test]
    fn calls_stand_with_their_results() {
        let messages: Vec<Message> =
            [user("do"), user("it")].into_iter().chain(step("a", "{}", "1")).chain(step("b", "{}", "2")).collect();
        let found: Vec<_> =
            exchanges(&messages).map(|e| (e.message, e.index, &*e.call.name, &*e.result.content)).collect();
        assert_eq!(found, [(3, 0, "a", "1"), (5, 0, "b", "2")]);
    }

    #[test]
    fn the_lines_that_a_read_covers() {
        let call = |arguments: &str| ToolCall { id: "c".into(), name: "read_file".into(), arguments: arguments.into() };
        let whole = call(r#"{"path":"./a.rs"}"#);
        let part = call(r#"{"path":"a.rs","offset":10,"limit":5}"#);
        let other = call(r#"{"path":"b.rs"}"#);
        let (whole, part, other) = (lines_of(&whole).unwrap(), lines_of(&part).unwrap(), lines_of(&other).unwrap());
        assert!(whole.covers(&part) && !part.covers(&whole) && !other.covers(&part));
        assert_eq!(part.lines, 10..15);
        for broken in ["", "{", "[]", r#"{"path":7}"#, r#"{"offset":1}"#] {
            assert_eq!(lines_of(&call(broken)), None, "{broken}");
        }
    }
}
