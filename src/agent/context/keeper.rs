//! Keeps the conversation of a run within its model's window: applies the passes when they are due and says when only
//! a summary helps.

use super::compact::{self, Room};
use super::gauge::bytes_of;
use super::results::Fit;
use super::trim::{self, Bounds};
use super::{Pass, Passes, Saved, Trade, stale, worth};
use crate::agent::history::History;
use crate::host::Size;
use crate::llm::{Message, ToolResult, Usage};

/// Requests to come that are counted on at most when the prompt cache is weighed.
const HORIZON: u32 = 20;

/// The order and one turn with its results: what a compaction leaves. Only those results can be made smaller.
const LEAST: usize = 3;

/// What a run's conversation is kept within.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// When it is compacted.
    pub room: Room,
    /// When it is trimmed.
    pub bounds: Bounds,
    /// Which passes are in force.
    pub passes: Passes,
    /// Bytes of system prompt and tools.
    pub fixed: usize,
    /// Price of a token from the provider's cache over that of a new one.
    pub cached_price: f64,
    /// Model calls the run may make.
    pub max_steps: u32,
}

/// The keeper of one run.
#[derive(Clone, Debug)]
pub struct Keeper {
    limits: Limits,
    saved: Saved,
    /// Messages there were after the last compaction; more of them are needed before the next one.
    compacted: Option<usize>,
    /// Bytes of the prompt that the provider has just refused.
    refused: Option<usize>,
}

impl Keeper {
    /// For a run that has not begun.
    pub fn new(limits: Limits) -> Self {
        Self { limits, saved: Saved::default(), compacted: None, refused: None }
    }

    /// The same in a conversation in which this model was asked before: a window that turned out smaller than it is said
    /// to be is not tried again.
    pub fn resume(mut self, history: &mut History) -> Self {
        let said = self.limits.room.window;
        if let Some((_, seems)) = history.learnt().window.filter(|(then, _)| *then == said) {
            self.limits.room.window = seems;
        }
        self
    }

    /// Bytes the passes have kept out of the conversation.
    pub fn saved(&self) -> &Saved {
        &self.saved
    }

    /// Makes the results of the last turn small before they are recorded.
    pub fn arrive(&mut self, history: &mut History, results: Vec<ToolResult>) -> Vec<ToolResult> {
        let bytes = history.gauge().bytes(self.limits.room.result_tokens());
        let near = match self.limits.passes.has(Pass::Trim) {
            true => self.limits.bounds.near(),
            false => usize::MAX,
        };
        let fit = Fit { passes: self.limits.passes, bytes, near };
        super::results::arrive(history.messages(), results, fit, &mut self.saved)
    }

    /// Takes in what the provider counted for the request that was made of `history`, before its turn is recorded.
    pub fn learn(&mut self, history: &mut History, usage: &Usage) {
        history.learnt().caches |= usage.cached_tokens > 0;
        let sent = history.to_send();
        history.gauge().learn(self.limits.fixed, &sent, usage);
    }

    /// Does what is due before the next request. `steps`: model calls so far.
    pub fn tidy(&mut self, history: &mut History, steps: u32) {
        if self.limits.passes.has(Pass::Trim)
            && let Some(trimmed) = trim::trim(history.messages(), history.order(), self.limits.bounds)
        {
            let gone: usize = trimmed.gone.iter().map(bytes_of).sum();
            self.saved.add(Pass::Trim, gone, 0);
            history.shorten(trimmed);
            // The prefix is broken anyway: everything that is stale goes with it.
            self.drop_stale(history, None);
        }
        let to_come = steps.min(self.limits.max_steps.saturating_sub(steps)).min(HORIZON);
        self.drop_stale(history, Some(to_come));
    }

    fn drop_stale(&mut self, history: &mut History, to_come: Option<u32>) {
        if !self.limits.passes.has(Pass::Stale) {
            return;
        }
        let found = stale::find(history.messages());
        let Some((first, _)) = found.places.first().copied() else { return };
        let made = stale::drop_texts(history.messages(), &found);
        let trade = Trade {
            removed: found.removed,
            behind: stale::behind(&made, first),
            cached_price: if history.learnt().caches { self.limits.cached_price } else { 1.0 },
            to_come: to_come.unwrap_or(HORIZON),
        };
        if to_come.is_none() || worth(trade) {
            self.saved.add(Pass::Stale, found.removed, 0);
            history.rewrite(made);
        }
    }

    /// How large the next request is.
    pub fn size(&self, history: &mut History) -> Size {
        let messages = history.to_send();
        Size { messages: messages.len(), tokens: history.gauge().estimate(self.limits.fixed, &messages) }
    }

    /// Whether the conversation has to be compacted before the next request.
    pub fn is_full(&self, history: &mut History) -> bool {
        let size = self.size(history);
        self.limits.room.is_short(size.tokens) && self.can_compact(history)
    }

    /// Whether there is anything to compact that has not been compacted before.
    pub fn can_compact(&self, history: &mut History) -> bool {
        let messages = history.messages().len();
        if messages < LEAST || self.compacted.is_some_and(|before| messages <= before) {
            return false;
        }
        messages > LEAST || self.squeezed(history).is_some()
    }

    /// The provider says that the prompt does not fit: its window is smaller than we were told. Whether the
    /// conversation can be made smaller.
    pub fn overflowed(&mut self, history: &mut History) -> bool {
        let size = self.size(history);
        let known = self.limits.room.window;
        self.limits.room.window = known.min(size.tokens.saturating_sub(size.tokens / 10)).max(1);
        self.refused = Some(history.to_send().iter().map(bytes_of).sum());
        let can = self.can_compact(history);
        if can {
            let said = history.learnt().window.map_or(known, |(said, _)| said);
            history.learnt().window = Some((said, self.limits.room.window));
        } else {
            self.limits.room.window = known;
        }
        can
    }

    /// The messages of the request for a summary; `None`: there is nothing to sum up, or it would not fit either.
    pub fn to_summarise(&self, history: &mut History) -> Option<Vec<Message>> {
        if history.messages().len() <= LEAST {
            return None;
        }
        let mut squeezed = history.clone();
        squeezed.rewrite(compact::squeeze(history.messages()));
        let mut candidates = [history.clone(), squeezed];
        candidates.iter_mut().find_map(|history| {
            let mut messages = history.to_send();
            messages.push(Message::User(compact::REQUEST.into()));
            self.fits(history, &messages).then_some(messages)
        })
    }

    /// Whether a request for a summary has room. Once a provider has refused a prompt, its counts and what we know of
    /// its window contradict each other: then only a prompt that is clearly smaller than the refused one counts.
    fn fits(&self, history: &mut History, messages: &[Message]) -> bool {
        if let Some(refused) = self.refused {
            let bytes: usize = messages.iter().map(bytes_of).sum();
            return bytes <= refused / 10 * 7;
        }
        let window = self.limits.room.window;
        let tokens = history.gauge().estimate(self.limits.fixed, messages);
        tokens + u64::from(compact::SUMMARY_TOKENS).min(window / 4) <= window
    }

    /// The conversation with its last results within their bound; `None`: they are.
    fn squeezed(&self, history: &mut History) -> Option<Vec<Message>> {
        let most = history.gauge().bytes(self.limits.room.result_tokens());
        let made = squeeze_last(history.messages(), most);
        let bytes = |messages: &[Message]| messages.iter().map(bytes_of).sum::<usize>();
        (bytes(&made) < bytes(history.messages())).then_some(made)
    }

    /// Compacts the conversation, with the model's summary or without. `facts`: what is known without a model.
    pub fn compact(&mut self, history: &mut History, said: Option<&str>, facts: &str) -> (Size, Size) {
        let before = self.size(history);
        let summary = said.and_then(compact::summary);
        if let Some(trimmed) = compact::reduce(history.messages(), history.order(), true) {
            history.shorten(trimmed);
            history.summarise(summary.as_deref(), facts);
        }
        // The last results alone may be too much.
        if self.limits.room.is_short(self.size(history).tokens)
            && let Some(squeezed) = self.squeezed(history)
        {
            history.rewrite(squeezed);
        }
        self.refused = None;
        self.compacted = Some(history.messages().len());
        (before, self.size(history))
    }
}

/// The last results within a bound, however they got in.
fn squeeze_last(messages: &[Message], most: usize) -> Vec<Message> {
    let mut messages = messages.to_vec();
    if let Some(Message::ToolResults(results)) = messages.last_mut() {
        let share = most / results.len().max(1);
        let squeezed = |result: &ToolResult| match super::results::shorten(&result.content, share) {
            Some(content) => ToolResult { content: content.into(), ..result.clone() },
            None => result.clone(),
        };
        *results = results.iter().map(squeezed).collect();
    }
    messages
}

#[cfg(test)]
mod tests {
    use super::super::calls::tests::step;
    use super::*;
    use crate::llm::{AssistantTurn, ToolCall};

    fn limits(window: u64) -> Limits {
        Limits {
            room: Room { window, at: 0.8, output: 1_000 },
            bounds: Bounds { pairs: 20, at: 1.5, to: 1.2 },
            passes: Passes::ALL,
            fixed: 4_000,
            cached_price: 0.1,
            max_steps: 100,
        }
    }

    fn answer(history: &mut History, keeper: &mut Keeper, name: &str, arguments: &str, content: &str) {
        let [turn, results] = step(name, arguments, content);
        let (Message::Assistant(turn), Message::ToolResults(results)) = (turn, results) else { panic!() };
        history.assistant(AssistantTurn::clone(&turn));
        let results = keeper.arrive(history, results.to_vec());
        history.results(results);
    }

    #[test]
    fn a_run_of_thousands_of_steps_never_passes_its_window() {
        let mut history = History::default();
        let mut keeper = Keeper::new(limits(32_768));
        history.user("mend it");
        let mut compactions = 0;
        for n in 0..2_000_u32 {
            let text = format!("{n} some line of code that is read\n").repeat(200 + (n as usize * 37) % 900);
            answer(&mut history, &mut keeper, "read_file", &format!(r#"{{"path":"{}.rs"}}"#, n % 17), &text);
            keeper.tidy(&mut history, n);
            if keeper.is_full(&mut history) {
                compactions += 1;
                assert!(keeper.to_summarise(&mut history).is_some());
                keeper.compact(&mut history, Some("Half of it is done."), "");
                assert!(!keeper.is_full(&mut history), "step {n}: compacted and still full");
            }
            let size = keeper.size(&mut history);
            assert!(!keeper.limits.room.is_short(size.tokens), "step {n}: {size:?}");
            assert!(matches!(history.messages()[0], Message::User(_)));
        }
        assert!(compactions > 0 && compactions < 1_000, "{compactions}");
    }

    #[test]
    fn nothing_is_compacted_twice() {
        let mut history = History::default();
        let mut keeper = Keeper::new(limits(2_000));
        history.user("x".repeat(100_000));
        answer(&mut history, &mut keeper, "grep", "{}", "y");
        answer(&mut history, &mut keeper, "grep", "{\"a\":1}", "y");
        assert!(keeper.is_full(&mut history));
        keeper.compact(&mut history, None, "");
        // The request itself does not fit; no summary will help.
        assert!(keeper.limits.room.is_short(keeper.size(&mut history).tokens) && !keeper.is_full(&mut history));
        answer(&mut history, &mut keeper, "grep", "{\"a\":2}", "y");
        assert!(keeper.is_full(&mut history));
    }

    #[test]
    fn an_overflow_teaches_the_true_window() {
        let mut history = History::default();
        let mut keeper = Keeper::new(limits(1_000_000));
        history.user("do");
        for n in 0..6 {
            answer(
                &mut history,
                &mut keeper,
                "read_file",
                &format!(r#"{{"path":"{n}"}}"#),
                &format!("{n} word ").repeat(2_000),
            );
        }
        assert!(!keeper.is_full(&mut history));
        assert!(keeper.overflowed(&mut history));
        assert!(keeper.is_full(&mut history));
        let messages = keeper.to_summarise(&mut history).unwrap();
        assert!(messages.iter().map(bytes_of).sum::<usize>() < history.bytes());
        keeper.compact(&mut history, None, "");
        assert!(!keeper.is_full(&mut history));
        assert!(
            history
                .to_send()
                .first()
                .is_some_and(|first| matches!(first, Message::User(text) if text.contains("<earlier_work")))
        );
    }

    #[test]
    fn a_cached_prefix_is_kept_while_keeping_it_is_cheaper() {
        let text = |n: usize| format!("{n} line\n{}[end of the file: 9 lines]", "some text\n".repeat(100));
        let read = |history: &mut History, keeper: &mut Keeper, n| {
            answer(history, keeper, "read_file", r#"{"path":"a.rs"}"#, &text(n));
            for other in 0..6 {
                answer(
                    history,
                    keeper,
                    "read_file",
                    &format!(r#"{{"path":"{other}.rs","limit":{n}}}"#),
                    &text(other + n),
                );
            }
        };
        let build = |cached: u64| {
            let mut history = History::default();
            let mut keeper = Keeper::new(limits(1_000_000));
            history.user("do");
            read(&mut history, &mut keeper, 1);
            read(&mut history, &mut keeper, 2);
            keeper.learn(&mut history, &Usage { input_tokens: 9_000, cached_tokens: cached, ..Usage::default() });
            keeper.tidy(&mut history, 14);
            keeper.saved().of(Pass::Stale)
        };
        assert_eq!(build(8_000), 0);
        assert!(build(0) > 900);
    }

    #[test]
    fn the_calls_of_a_turn_are_all_answered_after_every_pass() {
        let mut history = History::default();
        let mut keeper = Keeper::new(Limits { bounds: Bounds { pairs: 1, at: 1.0, to: 1.0 }, ..limits(100_000) });
        history.user("do");
        for n in 0..50 {
            let call =
                |id: &str| ToolCall { id: id.into(), name: "grep".into(), arguments: format!("{{\"n\":{n}}}").into() };
            let calls = vec![call("a"), call("b"), call("c")];
            let results: Vec<ToolResult> = ["c", "a", "b"]
                .map(|id| ToolResult {
                    call: id.into(),
                    name: "grep".into(),
                    content: "x".repeat(300).into(),
                    is_error: false,
                })
                .into();
            history.assistant(AssistantTurn { calls, ..AssistantTurn::default() });
            let results = keeper.arrive(&mut history, results);
            history.results(results);
            keeper.tidy(&mut history, n);
            for pair in history.messages().windows(2) {
                if let Message::Assistant(turn) = &pair[0] {
                    let Message::ToolResults(results) = &pair[1] else { panic!("{pair:?}") };
                    let ids: Vec<_> = results.iter().map(|result| &result.call).collect();
                    assert_eq!(ids, turn.calls.iter().map(|call| &call.id).collect::<Vec<_>>());
                }
            }
            assert!(history.messages().len() <= keeper.limits.bounds.most() + 2);
        }
    }
}
