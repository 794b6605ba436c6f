//! The conversation becomes a summary of itself, so that a run can go on near the window's end.
//!
//! What stays is the user's request, the last turn with its results, the summary, and facts that need no model: the
//! files that were changed. The model writes the summary where it can be asked; where it cannot, the [`Gist`] alone
//! stands for what went.
//!
//! [`Gist`]: super::gist::Gist

use super::calls::exchanges;
use super::trim::{self, Trimmed};
use crate::llm::{Message, ToolResult};

/// What the model is asked.
pub const REQUEST: &str = include_str!("../prompts/compact.md");

/// Tokens its summary may have, what it thinks before included.
pub const SUMMARY_TOKENS: u32 = 4_096;

/// Most characters of a summary that are kept.
const SUMMARY_CHARS: usize = 12_000;

/// Characters that are left of a result when the prompt has to become small at once.
const LEFT_OF_RESULT: usize = 160;

/// When a conversation is compacted.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Tokens of a prompt, at most.
    pub window: u64,
    /// Share of it at which compaction begins.
    pub at: f64,
    /// Tokens the answer may have.
    pub output: u64,
}

impl Room {
    /// Whether a prompt of so many tokens is too much. Some windows hold prompt and answer together, so the answer
    /// must fit, too: all of it, or a quarter of the window.
    pub fn is_short(&self, tokens: u64) -> bool {
        tokens as f64 > self.window as f64 * self.at || tokens + self.output.min(self.window / 4) > self.window
    }

    /// Bytes that one result may take, at so many bytes a token: an eighth of the window.
    pub fn result_tokens(&self) -> u64 {
        (self.window / 8).max(500)
    }
}

/// Leaves the order and the last turn with its results, or the order alone.
pub fn reduce(messages: &[Message], order: usize, with_last: bool) -> Option<Trimmed> {
    if with_last {
        return trim::cut(messages, order, 0);
    }
    let kept = messages.get(order)?.clone();
    let gone: Vec<Message> =
        messages.iter().enumerate().filter(|(at, _)| *at != order).map(|(_, message)| message.clone()).collect();
    (!gone.is_empty()).then(|| Trimmed { messages: vec![kept], order: 0, gone })
}

/// All results but those of the last turn become a line, so that a prompt that is too long for the window can still
/// be summarised.
pub fn squeeze(messages: &[Message]) -> Vec<Message> {
    let last = exchanges(messages).next_back().map_or(0, |exchange| exchange.message);
    let squeezed = |result: &ToolResult| {
        let mut chars = result.content.char_indices();
        match chars.nth(LEFT_OF_RESULT) {
            Some((end, _)) => {
                let content = format!("{}… [{} bytes more]", &result.content[..end], result.content.len() - end);
                ToolResult { content: content.into(), ..result.clone() }
            }
            None => result.clone(),
        }
    };
    messages
        .iter()
        .enumerate()
        .map(|(at, message)| match message {
            Message::ToolResults(results) if at < last => Message::ToolResults(results.iter().map(squeezed).collect()),
            other => other.clone(),
        })
        .collect()
}

/// What is kept of the model's summary; `None` if it said nothing.
pub fn summary(text: &str) -> Option<String> {
    let text = text.trim();
    let end = text.char_indices().nth(SUMMARY_CHARS).map_or(text.len(), |(end, _)| end);
    (!text.is_empty()).then(|| text[..end].replace("earlier_work>", "earlier_work"))
}

#[cfg(test)]
mod tests {
    use super::super::calls::tests::{contents, step, user};
    use super::*;

    #[test]
    fn room_is_short_at_the_share_and_when_the_answer_would_not_fit() {
        let room = Room { window: 1_000, at: 0.8, output: 100 };
        assert!(!room.is_short(800) && room.is_short(801));
        let late = Room { at: 1.0, ..room };
        assert!(!late.is_short(900) && late.is_short(901));
        // A model that may answer more than its window holds is given a quarter of it.
        assert!(!Room { output: 5_000, ..late }.is_short(750));
    }

    #[test]
    fn the_last_results_stay_whole_and_the_others_become_a_line() {
        let long = "x".repeat(5_000);
        let messages: Vec<Message> =
            [user("do")].into_iter().chain(step("a", "{}", &long)).chain(step("b", "{}", &long)).collect();
        let squeezed = contents(&squeeze(&messages));
        assert!(squeezed[0].len() < 250 && squeezed[0].ends_with("[4840 bytes more]"), "{}", squeezed[0]);
        assert_eq!(squeezed[1], long);
    }

    #[test]
    fn the_order_and_the_last_turn_are_left() {
        let messages: Vec<Message> =
            [user("do")].into_iter().chain((0..5).flat_map(|n| step("t", "{}", &n.to_string()))).collect();
        let reduced = reduce(&messages, 0, true).unwrap();
        assert_eq!((reduced.messages.len(), contents(&reduced.messages)), (3, vec!["4".to_owned()]));
        let bare = reduce(&messages, 0, false).unwrap();
        assert_eq!((bare.messages.len(), bare.gone.len()), (1, 10));
        assert!(reduce(&bare.messages, 0, false).is_none());
    }

    #[test]
    fn a_summary_is_bounded_and_cannot_end_its_block() {
        assert_eq!(summary("  \n "), None);
        assert_eq!(summary(" a </earlier_work> b ").unwrap(), "a </earlier_work b");
        assert_eq!(summary(&"é".repeat(50_000)).unwrap().chars().count(), SUMMARY_CHARS);
    }
}
