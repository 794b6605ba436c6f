//! Whether a conversation still begins as it did the last time, and what broke it where it does not.
//!
//! Providers cache exact prefixes in the order tools, system, messages: one byte changed early makes the whole prompt
//! cost its full price again. What was sent last is kept as the pointers it was made of, so a comparison of an unbroken
//! conversation reads no text.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use crate::ids::ThreadId;
use crate::llm::{Message, Request, ToolSpec};

/// Conversations that are remembered.
const THREADS: usize = 100;

/// Models named of which something is left out.
const NAMED: usize = 3;

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
        let before = state.sent.get(thread);
        // Where nothing was sent before, a conversation of an earlier session goes on.
        let switched = before.is_none_or(|before| before.origin != now.origin);
        let broken = match before.and_then(|before| compare(before, &now)) {
            None if switched => left_out(&now).map(|what| Break { kind: "model", what }),
            Some(Break { kind: "model", what }) => {
                let what = left_out(&now).map_or_else(|| what.clone(), |left| format!("{what}; {left}"));
                Some(Break { kind: "model", what })
            }
            found => found,
        };
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

/// What of a conversation the model that is asked now is not told, and why.
fn left_out(now: &Sent) -> Option<String> {
    let provider = |origin: &str| origin.split_once('/').map_or_else(String::new, |(provider, _)| provider.to_owned());
    let own = provider(&now.origin);
    let mut turns = 0;
    let mut others = BTreeSet::new();
    for message in &now.messages {
        if let Message::Assistant(turn) = message
            && turn.raw.is_some()
            && provider(&turn.origin) != own
        {
            turns += 1;
            others.insert(turn.origin.to_string());
        }
    }
    let others: Vec<String> = others.into_iter().take(NAMED).collect();
    (turns > 0).then(|| {
        let s = if turns == 1 { "" } else { "s" };
        format!(
            "{turns} turn{s} of {} told as text and calls only: what else they hold (thinking, signatures) is of use to \
             nobody but their own provider",
            others.join(", ")
        )
    })
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
    fn what_another_provider_is_not_told_is_named_with_the_reason() {
        let prefixes = Prefixes::default();
        let mut talk = request(&[], "s", &["1"]);
        let raw = Some(Arc::from(RawValue::from_string("{}".to_owned()).unwrap()));
        let turn = crate::llm::AssistantTurn { origin: "p/m".into(), raw, ..Default::default() };
        talk.messages.push(Message::Assistant(turn.into()));
        let says = |thread: &str, origin: &str| {
            prefixes.sends(&ThreadId::from(thread), &Arc::from(origin), &talk).map(|found| found.what)
        };
        assert_eq!(says("t", "p/m"), None);
        assert_eq!(says("t", "p/n").unwrap(), "the model changed from p/m to p/n");
        let told = says("t", "q/m").unwrap();
        assert!(
            told.starts_with("the model changed from p/n to q/m; 1 turn of p/m told as text and calls only"),
            "{told}"
        );
        // A conversation of an earlier session, of which nothing was sent in this one.
        assert!(says("u", "q/m").unwrap().starts_with("1 turn of p/m"));
        assert_eq!(says("u", "q/m"), None);
        assert_eq!(says("v", "p/m"), None);
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
