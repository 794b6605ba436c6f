//! The messages of a thread, kept valid for every provider: each call has exactly one result, directly behind the
//! turn that made it.

use std::sync::Arc;

use super::context::gauge::{Gauge, Learnt, bytes_of};
use super::context::gist::Gist;
use super::context::trim::Trimmed;
use super::context::typed::Seen;
use crate::llm::{AssistantTurn, Message, ToolResult};

/// Models of which a conversation remembers something: those asked last.
const MODELS: usize = 8;

/// A conversation.
#[derive(Clone, Debug, Default)]
pub struct History {
    messages: Vec<Message>,
    /// The message that began the run at work.
    order: usize,
    /// What is left of messages that had to go.
    gist: Gist,
    /// What is known of each model that was asked, the one asked now last; none: nobody was.
    models: Vec<(Arc<str>, Learnt)>,
    /// The texts the model has seen.
    seen: Seen,
}

impl History {
    /// The messages, oldest first.
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// The messages as they are sent: what had to go is told in the first one.
    pub fn to_send(&self) -> Vec<Message> {
        let mut messages = self.messages.clone();
        if let Some(gist) = self.gist.text()
            && let Some(Message::User(text)) = messages.first_mut()
        {
            *text = Arc::from(format!("{text}\n\n{gist}"));
        }
        messages
    }

    /// Where the message stands that began the run at work.
    pub fn order(&self) -> usize {
        self.order
    }

    /// Who is asked from now on, as `PROVIDER/MODEL`; what was learnt of it in this conversation is taken up again.
    pub fn ask(&mut self, origin: &Arc<str>) {
        let at = self.models.iter().position(|(known, _)| known == origin);
        let model = at.map_or_else(|| (origin.clone(), Learnt::default()), |at| self.models.remove(at));
        self.models.push(model);
        if self.models.len() > MODELS {
            self.models.remove(0);
        }
    }

    /// What was learnt of the model that is asked.
    pub fn learnt(&mut self) -> &mut Learnt {
        if self.models.is_empty() {
            self.ask(&Arc::from(""));
        }
        let last = self.models.len() - 1;
        &mut self.models[last].1
    }

    /// What its provider counted of the conversation.
    pub fn gauge(&mut self) -> &mut Gauge {
        &mut self.learnt().gauge
    }

    /// What was sent has changed: no provider's count stands for it any more.
    fn recount(&mut self) {
        self.models.iter_mut().for_each(|(_, learnt)| learnt.gauge.forget());
    }

    /// The texts the model has seen.
    pub fn seen(&mut self) -> &mut Seen {
        &mut self.seen
    }

    /// The same, to look at.
    pub fn seen_so_far(&self) -> &Seen {
        &self.seen
    }

    /// Adds what the user asks for: a run begins.
    pub fn user(&mut self, text: impl Into<Arc<str>>) {
        self.note(text);
        self.order = self.messages.len() - 1;
    }

    /// Whether a text stands in what the user's side has said.
    pub fn has_been_told(&self, text: &str) -> bool {
        self.messages.iter().any(|message| matches!(message, Message::User(said) if said.contains(text)))
    }

    /// Adds a remark in the course of a run.
    pub fn note(&mut self, text: impl Into<Arc<str>>) {
        self.close();
        self.messages.push(Message::User(text.into()));
    }

    /// Takes a changed text of the same messages.
    pub fn rewrite(&mut self, messages: Vec<Message>) {
        self.messages = messages;
        self.recount();
    }

    /// Takes what is left of it and remembers what went.
    pub fn shorten(&mut self, trimmed: Trimmed) {
        self.gist.take(&trimmed.gone);
        self.messages = trimmed.messages;
        self.order = trimmed.order;
        self.recount();
    }

    /// Puts the model's summary in place of all that was remembered of what went, and facts beside it.
    pub fn summarise(&mut self, summary: Option<&str>, facts: &str) {
        if let Some(summary) = summary {
            self.gist.summarise(summary);
        }
        self.gist.know(facts);
        self.seen.forget();
        self.recount();
    }

    /// Adds the model's turn.
    pub fn assistant(&mut self, turn: AssistantTurn) {
        self.close();
        self.messages.push(Message::Assistant(Arc::new(turn)));
    }

    /// Adds the results of the turn just before. What does not belong to a call of it is left out, what is missing
    /// is answered as not done.
    pub fn results(&mut self, results: Vec<ToolResult>) {
        let Some(Message::Assistant(turn)) = self.messages.last() else { return };
        let mut results = results;
        let answers: Vec<ToolResult> = turn
            .calls
            .iter()
            .map(|call| match results.iter().position(|result| result.call == call.id) {
                Some(at) => results.remove(at),
                None => ToolResult {
                    call: call.id.clone(),
                    name: call.name.clone(),
                    content: Arc::from("not done: the run ended first"),
                    is_error: true,
                },
            })
            .collect();
        if !answers.is_empty() {
            self.messages.push(Message::ToolResults(answers.into()));
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Bytes of text in it, all in all: what an estimate of its tokens starts from.
    pub fn bytes(&self) -> usize {
        self.messages.iter().map(bytes_of).sum()
    }

    /// Answers the calls of a turn that a run left without results.
    fn close(&mut self) {
        if let Some(Message::Assistant(turn)) = self.messages.last()
            && !turn.calls.is_empty()
        {
            self.results(Vec::new());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::CallId;
    use crate::llm::ToolCall;

    fn turn(ids: &[&str]) -> AssistantTurn {
        let call = |id: &&str| ToolCall { id: CallId::from(*id), name: "t".into(), arguments: "{}".into() };
        AssistantTurn { calls: ids.iter().map(call).collect(), ..Default::default() }
    }

    fn result(id: &str) -> ToolResult {
        ToolResult { call: CallId::from(id), name: "t".into(), content: "ok".into(), is_error: false }
    }

    #[test]
    fn results_stand_in_call_order_and_strangers_are_left_out() {
        let mut history = History::default();
        history.assistant(turn(&["a", "b"]));
        history.results(vec![result("b"), result("x"), result("a")]);
        let Message::ToolResults(results) = &history.messages()[1] else { panic!() };
        assert_eq!(results.iter().map(|r| r.call.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn what_one_model_counts_says_nothing_of_another_and_is_there_when_it_is_asked_again() {
        let (one, other) = (Arc::from("p/one"), Arc::from("p/other"));
        let mut history = History::default();
        history.user("x".repeat(1_000));
        history.ask(&one);
        let sent = history.to_send();
        let usage = crate::llm::Usage { input_tokens: 904, ..Default::default() };
        history.gauge().learn(0, &sent, &usage);
        history.ask(&other);
        assert_eq!(history.gauge().tokens(1_000), 320);
        history.ask(&one);
        assert_eq!((history.gauge().tokens(1_000), history.gauge().estimate(0, &sent)), (900, 904));
        for n in 0..3 * MODELS {
            history.ask(&Arc::from(format!("p/{n}")));
        }
        assert_eq!(history.models.len(), MODELS);
    }

    #[test]
    fn a_turn_left_without_results_is_answered_before_the_next_message() {
        let mut history = History::default();
        history.assistant(turn(&["a"]));
        history.user("go on");
        let Message::ToolResults(results) = &history.messages()[1] else { panic!() };
        assert!(results[0].is_error);
        assert!(matches!(history.messages()[2], Message::User(_)));
    }
}
