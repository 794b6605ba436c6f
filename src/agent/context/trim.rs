//! Whole pairs of call and result go, the oldest first.
//!
//! A turn goes together with its results, never one without the other; the message that began the run at work stays,
//! and a conversation always begins with a user's message. Trimming begins late and then takes several pairs at once,
//! because each time breaks the provider's prompt cache.

use std::sync::Arc;

use super::calls::{exchanges, is_reference};
use super::known;
use crate::llm::{Message, ToolResult};

/// How long a conversation may get.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// Pairs of call and result that are always kept.
    pub pairs: usize,
    /// Trimming begins above this multiple of the safe size.
    pub at: f64,
    /// And ends at this one.
    pub to: f64,
}

impl Bounds {
    /// Messages that are always kept: the pairs, and what stands around them.
    pub fn safe(&self) -> usize {
        self.pairs * 2 + 5
    }

    /// Most messages before trimming begins.
    pub fn most(&self) -> usize {
        (self.safe() as f64 * self.at) as usize
    }

    /// How far back a text may stand that a new message points at: it outlives the next trimming by as much.
    pub fn near(&self) -> usize {
        self.left() / 2
    }

    /// Messages it leaves.
    pub fn left(&self) -> usize {
        ((self.safe() as f64 * self.to.min(self.at)) as usize).max(1)
    }
}

/// A conversation that was trimmed.
#[derive(Clone, Debug)]
pub struct Trimmed {
    /// What is left.
    pub messages: Vec<Message>,
    /// Where the message that began the run stands now.
    pub order: usize,
    /// What went, oldest first.
    pub gone: Vec<Message>,
}

/// Trims a conversation that is longer than `bounds`; `order` is the message that began the run at work.
pub fn trim(messages: &[Message], order: usize, bounds: Bounds) -> Option<Trimmed> {
    (messages.len() > bounds.most()).then(|| cut(messages, order, bounds.left())).flatten()
}

/// Drops the oldest messages until at most `left` are there, as far as that can be. `None`: nothing could go.
pub fn cut(messages: &[Message], order: usize, left: usize) -> Option<Trimmed> {
    let mut goes = vec![false; messages.len()];
    let mut count = messages.len();
    let mut at = 0;
    while count > left && at < messages.len() {
        let end = unit(messages, at);
        // The last unit stays: the model is in the middle of it.
        if end >= messages.len() {
            break;
        }
        let is_user = matches!(messages[at], Message::User(_));
        if at != order && !(is_user && at < order && leads(messages, at, &goes)) {
            goes[at..end].fill(true);
            count -= end - at;
        }
        at = end;
    }
    drop_leaders(messages, order, &mut goes);
    if !goes.contains(&true) {
        return None;
    }
    let kept = |index: usize| !goes[index];
    let moved = goes[..order.min(goes.len())].iter().filter(|goes| **goes).count();
    let gone =
        messages.iter().enumerate().filter(|(index, _)| !kept(*index)).map(|(_, message)| message.clone()).collect();
    let messages =
        messages.iter().enumerate().filter(|(index, _)| kept(*index)).map(|(_, message)| message.clone()).collect();
    Some(Trimmed { messages: settle(messages), order: order - moved, gone })
}

/// The end of what belongs to the message at `at`: a turn takes its results with it.
fn unit(messages: &[Message], at: usize) -> usize {
    match (&messages[at], messages.get(at + 1)) {
        (Message::Assistant(_), Some(Message::ToolResults(_))) => at + 2,
        _ => at + 1,
    }
}

/// Whether anything that answers this user's message is still there.
fn leads(messages: &[Message], at: usize, goes: &[bool]) -> bool {
    messages
        .iter()
        .enumerate()
        .skip(at + 1)
        .take_while(|(_, message)| !matches!(message, Message::User(_)))
        .any(|(index, _)| !goes[index])
}

/// Earlier messages of the user go once all that answered them has gone.
fn drop_leaders(messages: &[Message], order: usize, goes: &mut [bool]) {
    for at in 0..order.min(messages.len()) {
        let followed = messages.get(at + 1).is_some_and(|next| !matches!(next, Message::User(_)));
        if matches!(messages[at], Message::User(_)) && followed && !leads(messages, at, goes) {
            goes[at] = true;
        }
    }
}

/// References whose text is gone say so.
fn settle(mut messages: Vec<Message>) -> Vec<Message> {
    let lost: Vec<(usize, usize, String)> = {
        let all: Vec<_> = exchanges(&messages).collect();
        all.iter()
            .enumerate()
            .filter(|(at, one)| is_reference(one.result) && !known::is_found(one.result, all[..*at].iter().copied()))
            .map(|(_, one)| (one.message, one.index, known::bereft(one.result)))
            .collect()
    };
    for (message, index, content) in lost {
        if let Some(Message::ToolResults(results)) = messages.get_mut(message) {
            let mut changed: Vec<ToolResult> = results.to_vec();
            changed[index].content = Arc::from(content);
            *results = changed.into();
        }
    }
    messages
}

#[cfg(test)]
mod tests {
    use super::super::calls::REFERENCE;
    use super::super::calls::tests::{contents, step, user};
    use super::*;

    const BOUNDS: Bounds = Bounds { pairs: 2, at: 1.5, to: 1.2 };

    fn run(steps: usize) -> Vec<Message> {
        let steps = (0..steps).flat_map(|n| step("read_file", &format!(r#"{{"path":"{n}"}}"#), &format!("text {n}")));
        [user("do")].into_iter().chain(steps).collect()
    }

    /// Every turn with calls has its results behind it, and the first message is a user's.
    fn whole(messages: &[Message]) -> bool {
        matches!(messages.first(), Some(Message::User(_)))
            && messages.iter().enumerate().all(|(at, message)| match message {
                Message::Assistant(turn) if !turn.calls.is_empty() => {
                    matches!(messages.get(at + 1), Some(Message::ToolResults(_))) || at + 1 == messages.len()
                }
                Message::ToolResults(_) => at > 0 && matches!(messages[at - 1], Message::Assistant(_)),
                _ => true,
            })
    }

    #[test]
    fn nothing_goes_before_the_bound_and_then_several_pairs() {
        assert_eq!((BOUNDS.safe(), BOUNDS.most(), BOUNDS.left()), (9, 13, 10));
        assert!(trim(&run(6), 0, BOUNDS).is_none());
        let trimmed = trim(&run(7), 0, BOUNDS).unwrap();
        assert_eq!((trimmed.messages.len(), trimmed.order, trimmed.gone.len()), (9, 0, 6));
        assert!(whole(&trimmed.messages));
        assert_eq!(contents(&trimmed.messages), ["text 3", "text 4", "text 5", "text 6"]);
    }

    #[test]
    fn earlier_runs_go_first_with_their_request_and_the_order_stays() {
        let mut messages = run(3);
        messages.push(Message::Assistant(Arc::default()));
        let order = messages.len();
        messages.extend(run(4));
        for left in 0..messages.len() {
            let Some(trimmed) = cut(&messages, order, left) else { continue };
            assert!(whole(&trimmed.messages), "{left}: {:?}", trimmed.messages);
            assert!(matches!(&trimmed.messages[trimmed.order], Message::User(_)));
            assert_eq!(trimmed.messages.len() + trimmed.gone.len(), messages.len());
        }
        let trimmed = cut(&messages, order, 0).unwrap();
        assert_eq!((trimmed.messages.len(), trimmed.order), (3, 0));
        assert_eq!(contents(&trimmed.messages), ["text 3"]);
    }

    #[test]
    fn a_reference_says_so_when_its_text_has_gone() {
        let mut messages = vec![user("do")];
        messages.extend(step("read_file", r#"{"path":"a"}"#, "text"));
        messages.extend(step("grep", "{}", "hit"));
        messages.extend(step(
            "read_file",
            r#"{"path":"a"}"#,
            &format!("{REFERENCE}it is as `read_file` {{\"path\":\"a\"}} above]"),
        ));
        messages.extend(step("grep", "{}", "hit"));
        let trimmed = cut(&messages, 0, 7).unwrap();
        assert_eq!(contents(&trimmed.messages), ["hit", known::GONE, "hit"]);
    }
}
