//! Whether a conversation still begins as it did the last time, and what broke it where it does not.
//!
//! Providers cache exact prefixes in the order tools, system, messages: one byte changed early makes the whole prompt
//! cost its full price again. What was sent last is kept as the pointers it was made of, so a comparison of an unbroken
//! conversation reads no text.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use crate::ids::ThreadId;
use crate::llm::{Message, Request, ToolSpec};

/// Conversations that are remembered.
const THREADS: usize = 100;

#[derive(Debug)]
struct Sent {
    origin: Arc<str>,
    tools: Arc<[ToolSpec]>,
    system: Arc<str>,
    messages: Vec<Message>,
}

#[derive(Debug, Default)]
struct State {
    sent: HashMap<ThreadId, Sent>,
    order: VecDeque<ThreadId>,
    breaks: BTreeMap<&'static str, u64>,
}

/// What was sent last in each conversation.
#[derive(Debug, Default)]
pub(crate) struct Prefixes(Mutex<State>);

/// What broke a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Break {
    /// One word, for counting.
    pub kind: &'static str,
    /// A sentence.
    pub what: String,
}

impl Prefixes {
    /// Notes what is sent now, to `origin` (`PROVIDER/MODEL`); says what of the prefix sent before is no more.
    pub(crate) fn sends(&self, thread: &ThreadId, origin: &Arc<str>, request: &Request) -> Option<Break> {
        let now = Sent {
            origin: Arc::clone(origin),
            tools: Arc::clone(&request.tools),
            system: Arc::clone(&request.system),
            messages: request.messages.clone(),
        };
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let broken = state.sent.get(thread).and_then(|before| compare(before, &now));
        if let Some(found) = &broken {
            *state.breaks.entry(found.kind).or_default() += 1;
        }
        if state.sent.insert(thread.clone(), now).is_none() {
            state.order.push_back(thread.clone());
            if state.order.len() > THREADS
                && let Some(oldest) = state.order.pop_front()
            {
                state.sent.remove(&oldest);
            }
        }
        broken
    }

    /// How often a prefix broke, by what broke it.
    pub(crate) fn breaks(&self) -> BTreeMap<&'static str, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).breaks.clone()
    }
}

fn compare(before: &Sent, now: &Sent) -> Option<Break> {
    let found = |kind, what: String| Some(Break { kind, what });
    if before.origin != now.origin {
        return found("model", format!("the model changed from {} to {}", before.origin, now.origin));
    }
    if !same_tools(&before.tools, &now.tools) {
        let at = before.tools.iter().zip(now.tools.iter()).position(|(one, other)| !same_tool(one, other));
        let name = at.and_then(|at| now.tools.get(at)).map_or("their number", |tool| tool.name);
        return found("tools", format!("the tools changed (first difference: {name})"));
    }
    if before.system != now.system {
        return found("system", "the system instructions changed".to_owned());
    }
    let same = before.messages.iter().zip(&now.messages).take_while(|(one, other)| same_message(one, other)).count();
    if same < before.messages.len() {
        let all = before.messages.len();
        let what = if same == now.messages.len() {
            format!("messages {} to {all} were taken out", same + 1)
        } else {
            format!("message {} of {all} changed", same + 1)
        };
        return found("messages", what);
    }
    None
}

fn same_tools(one: &Arc<[ToolSpec]>, other: &Arc<[ToolSpec]>) -> bool {
    Arc::ptr_eq(one, other)
        || (one.len() == other.len() && one.iter().zip(other.iter()).all(|(one, other)| same_tool(one, other)))
}

fn same_tool(one: &ToolSpec, other: &ToolSpec) -> bool {
    one.name == other.name
        && one.description == other.description
        && (Arc::ptr_eq(&one.schema, &other.schema) || one.schema.get() == other.schema.get())
}

fn same_message(one: &Message, other: &Message) -> bool {
    match (one, other) {
        (Message::User(one), Message::User(other)) => Arc::ptr_eq(one, other) || one == other,
        (Message::Assistant(one), Message::Assistant(other)) => {
            Arc::ptr_eq(one, other)
                || (one.origin == other.origin
                    && one.text == other.text
                    && one.calls == other.calls
                    && one.raw.as_ref().map(|raw| raw.get()) == other.raw.as_ref().map(|raw| raw.get()))
        }
        (Message::ToolResults(one), Message::ToolResults(other)) => Arc::ptr_eq(one, other) || one == other,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    fn tool(name: &'static str) -> ToolSpec {
        ToolSpec { name, description: "d", schema: Arc::from(RawValue::from_string("{}".to_owned()).unwrap()) }
    }

    fn request(tools: &[&'static str], system: &str, messages: &[&str]) -> Request {
        Request {
            model: "m".into(),
            system: system.into(),
            tools: tools.iter().copied().map(tool).collect(),
            messages: messages.iter().map(|text| Message::User((*text).into())).collect(),
            max_output_tokens: 1,
            temperature: None,
            context_window: 0,
            parallel_tools: true,
        }
    }

    #[test]
    fn what_broke_the_prefix_is_named() {
        let (thread, origin) = (ThreadId::from("t"), Arc::from("p/m"));
        let prefixes = Prefixes::default();
        let said = |request: Request| prefixes.sends(&thread, &origin, &request).map(|found| found.what);
        assert_eq!(said(request(&["a"], "s", &["1"])), None);
        assert_eq!(said(request(&["a"], "s", &["1", "2", "3"])), None);
        assert_eq!(said(request(&["a"], "s", &["1", "2", "3"])), None);
        assert_eq!(said(request(&["a"], "s", &["1", "x", "3"])).unwrap(), "message 2 of 3 changed");
        assert_eq!(said(request(&["a"], "s", &["1"])).unwrap(), "messages 2 to 3 were taken out");
        assert_eq!(said(request(&["a"], "t", &["1"])).unwrap(), "the system instructions changed");
        assert_eq!(said(request(&["b"], "t", &["1"])).unwrap(), "the tools changed (first difference: b)");
        assert_eq!(
            said(request(&["b", "c"], "t", &["1"])).unwrap(),
            "the tools changed (first difference: their number)"
        );
        let elsewhere = prefixes.sends(&thread, &Arc::from("p/n"), &request(&["b", "c"], "t", &["1"]));
        assert_eq!(elsewhere.unwrap().what, "the model changed from p/m to p/n");
        let breaks = prefixes.breaks();
        assert_eq!(
            breaks.into_iter().collect::<Vec<_>>(),
            [("messages", 2), ("model", 1), ("system", 1), ("tools", 2)]
        );
    }

    #[test]
    fn conversations_are_apart_and_bounded() {
        let (prefixes, origin) = (Prefixes::default(), Arc::from("p/m"));
        for number in 0..3 * THREADS {
            let thread = ThreadId::from(number.to_string());
            assert_eq!(prefixes.sends(&thread, &origin, &request(&[], "s", &[&number.to_string()])), None);
        }
        assert_eq!(prefixes.0.lock().unwrap().sent.len(), THREADS);
    }
}
