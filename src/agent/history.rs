//! The messages of a thread, kept valid for every provider: each call has exactly one result, directly behind the
//! turn that made it.

use std::sync::Arc;

use crate::llm::{AssistantTurn, Message, ToolResult};

/// A conversation.
#[derive(Clone, Debug, Default)]
pub struct History {
    messages: Vec<Message>,
}

impl History {
    /// The messages, oldest first.
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// Adds what the user says.
    pub fn user(&mut self, text: impl Into<Arc<str>>) {
        self.close();
        self.messages.push(Message::User(text.into()));
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
        self.messages.clear();
    }

    /// Bytes of text in it, all in all: what an estimate of its tokens starts from.
    pub fn bytes(&self) -> usize {
        self.messages
            .iter()
            .map(|message| match message {
                Message::User(text) => text.len(),
                Message::Assistant(turn) => {
                    turn.text.len() + turn.calls.iter().map(|call| call.arguments.len()).sum::<usize>()
                }
                Message::ToolResults(results) => results.iter().map(|result| result.content.len()).sum(),
            })
            .sum()
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
    fn a_turn_left_without_results_is_answered_before_the_next_message() {
        let mut history = History::default();
        history.assistant(turn(&["a"]));
        history.user("go on");
        let Message::ToolResults(results) = &history.messages()[1] else { panic!() };
        assert!(results[0].is_error);
        assert!(matches!(history.messages()[2], Message::User(_)));
    }
}
