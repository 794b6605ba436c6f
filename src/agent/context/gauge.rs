//! How many tokens a request will have, before it is sent.
//!
//! The provider's own count is the truth: what it reported for the last request, and what was added since. Only the
//! added part is estimated, from its bytes, by the ratio that the provider's counts have shown.

use crate::llm::{Message, Usage};

/// Tokens in a byte of code and prose before anything was reported: a little more than there are, so that the first
/// request is not too large.
const FIRST_RATIO: f64 = 0.32;

/// What a ratio can be: a token has at most ten bytes on average, and a byte is at most one token.
const RATIOS: (f64, f64) = (0.1, 1.0);

/// Tokens that a message costs besides its text.
const PER_MESSAGE: f64 = 4.0;

/// What a conversation has taught of one model: how it counts, whether it caches, what its window holds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Learnt {
    /// How it counts.
    pub gauge: Gauge,
    /// Whether its provider has reported a hit of its cache: until then there is nothing to break.
    pub caches: bool,
    /// After an overflow: the window it is said to have, and the one that it seems to have.
    pub window: Option<(u64, u64)>,
}

/// An estimate that learns.
#[derive(Clone, Copy, Debug)]
pub struct Gauge {
    ratio: f64,
    /// The first so many messages have so many tokens, with system and tools.
    known: Option<(usize, u64)>,
}

impl Default for Gauge {
    fn default() -> Self {
        Self { ratio: FIRST_RATIO, known: None }
    }
}

impl Gauge {
    /// Tokens of a request. `fixed`: bytes of the system prompt and the tools.
    pub fn estimate(&self, fixed: usize, messages: &[Message]) -> u64 {
        match self.known {
            Some((count, tokens)) if count <= messages.len() => tokens.saturating_add(self.of(0, &messages[count..])),
            _ => self.of(fixed, messages),
        }
    }

    /// Tokens of these texts by bytes alone.
    fn of(&self, fixed: usize, messages: &[Message]) -> u64 {
        let bytes = fixed + messages.iter().map(bytes_of).sum::<usize>();
        (bytes as f64 * self.ratio + messages.len() as f64 * PER_MESSAGE) as u64
    }

    /// Tokens of so many bytes.
    pub fn tokens(&self, bytes: usize) -> u64 {
        (bytes as f64 * self.ratio) as u64
    }

    /// Bytes of so many tokens.
    pub fn bytes(&self, tokens: u64) -> usize {
        (tokens as f64 / self.ratio) as usize
    }

    /// Takes in what the provider counted for a request with these messages, to which its answer is now added.
    pub fn learn(&mut self, fixed: usize, sent: &[Message], usage: &Usage) {
        let bytes = fixed + sent.iter().map(bytes_of).sum::<usize>();
        if usage.input_tokens == 0 || bytes == 0 {
            return;
        }
        let extra = (sent.len() as f64 * PER_MESSAGE).min(usage.input_tokens as f64 / 2.0);
        self.ratio = ((usage.input_tokens as f64 - extra) / bytes as f64).clamp(RATIOS.0, RATIOS.1);
        self.known = Some((sent.len() + 1, usage.input_tokens.saturating_add(usage.output_tokens)));
    }

    /// What was sent has been changed: the provider's count no longer stands for it.
    pub fn forget(&mut self) {
        self.known = None;
    }
}

/// Bytes of text in a message.
pub fn bytes_of(message: &Message) -> usize {
    match message {
        Message::User(text) => text.len(),
        Message::Assistant(turn) => {
            turn.text.len() + turn.calls.iter().map(|call| call.name.len() + call.arguments.len()).sum::<usize>()
        }
        Message::ToolResults(results) => results.iter().map(|result| result.content.len()).sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::calls::tests::{step, user};
    use super::*;

    #[test]
    fn the_provider_s_count_stands_and_only_what_was_added_is_estimated() {
        let mut gauge = Gauge::default();
        let mut messages = vec![user(&"x".repeat(1_000))];
        assert_eq!(gauge.estimate(0, &messages), 324);
        gauge.learn(1_000, &messages, &Usage { input_tokens: 504, output_tokens: 20, ..Usage::default() });
        messages.extend(step("t", "{}", &"y".repeat(400)));
        // The turn was counted as output; the result is 400 bytes at a quarter of a token each, and a message.
        assert_eq!(gauge.estimate(1_000, &messages), 524 + 100 + 4);
        gauge.forget();
        assert!((500..700).contains(&gauge.estimate(1_000, &messages)));
    }

    #[test]
    fn a_count_that_cannot_be_is_bounded() {
        let mut gauge = Gauge::default();
        let messages = [user("abc")];
        gauge.learn(0, &messages, &Usage { input_tokens: u64::MAX, output_tokens: 5, ..Usage::default() });
        assert_eq!(gauge.tokens(100), 100);
        gauge.learn(0, &messages, &Usage::default());
        assert_eq!(gauge.tokens(100), 100);
        let [turn, results] = step("t", "{}", "ok");
        assert_eq!(gauge.estimate(0, &[user("abc"), turn, results]), u64::MAX);
    }
}
