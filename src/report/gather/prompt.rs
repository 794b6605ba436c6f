//! What a prompt consists of: the sizes of its messages, kept without their texts.

use std::collections::HashMap;

use crate::ids::CallId;
use crate::report::story::Sort;
use crate::trajectory::record::{Message, Messages, TextId, TextRecord, Turn};

/// Messages whose sizes are kept; a conversation with more is not drawn any more, which is no loss to its numbers.
const MESSAGES: usize = 200_000;

/// Bytes of each part of a prompt, in the order of [`super::super::story::PARTS`].
pub type Parts = [u64; 6];

/// The conversation of a run, as sizes.
#[derive(Default)]
pub struct Prompt {
    /// Lengths of texts, by name.
    texts: HashMap<TextId, u64>,
    /// What each call's result takes: its length and its part.
    results: HashMap<CallId, (u64, usize)>,
    /// Every message that the records have in full, by number.
    all: Vec<Parts>,
    /// The list that was told last.
    list: Vec<usize>,
    sum: Parts,
}

impl Prompt {
    /// A text was told.
    pub fn text(&mut self, text: &TextRecord) {
        if self.texts.len() < MESSAGES {
            self.texts.insert(text.hash.clone(), text.bytes as u64);
        }
    }

    /// A tool gave so many bytes.
    pub fn result(&mut self, call: &CallId, tool: &str, bytes: usize) {
        if self.results.len() < MESSAGES {
            self.results.insert(call.clone(), (bytes as u64, part_of(tool)));
        }
    }

    /// The model said this.
    pub fn turn(&mut self, turn: &Turn) {
        self.message(of_turn(turn));
    }

    /// The list of messages is this now.
    pub fn list(&mut self, messages: &Messages) {
        while self.list.len() > messages.keep {
            let gone = self.list.pop().and_then(|index| self.all.get(index)).copied().unwrap_or_default();
            (0..gone.len()).for_each(|part| self.sum[part] = self.sum[part].saturating_sub(gone[part]));
        }
        for message in &messages.add {
            let index = match message {
                Message::Ref(number) => usize::try_from(*number).unwrap_or(usize::MAX),
                Message::User(text) => self.message(single(1, text.len())),
                Message::Assistant(turn) => self.message(of_turn(turn)),
                Message::Results(results) => {
                    let mut parts = Parts::default();
                    for result in results {
                        let known = self.results.get(&result.call).copied();
                        let (bytes, part) = match &result.content {
                            Some(content) => (content.len() as u64, part_of(&result.name)),
                            None => known.unwrap_or((0, part_of(&result.name))),
                        };
                        parts[part] = parts[part].saturating_add(bytes);
                    }
                    self.message(parts)
                }
            };
            if let Some(parts) = self.all.get(index)
                && self.list.len() < MESSAGES
            {
                (0..parts.len()).for_each(|part| self.sum[part] = self.sum[part].saturating_add(parts[part]));
                self.list.push(index);
            }
        }
    }

    /// Bytes of each part of a prompt with these instructions and tools and the list as it is.
    pub fn parts(&self, system: &TextId, tools: &TextId) -> Parts {
        let mut parts = self.sum;
        for text in [system, tools] {
            parts[0] = parts[0].saturating_add(self.texts.get(text).copied().unwrap_or(0));
        }
        parts
    }

    fn message(&mut self, parts: Parts) -> usize {
        if self.all.len() < MESSAGES {
            self.all.push(parts);
            self.all.len() - 1
        } else {
            usize::MAX
        }
    }
}

fn single(part: usize, bytes: usize) -> Parts {
    let mut parts = Parts::default();
    parts[part] = bytes as u64;
    parts
}

fn of_turn(turn: &Turn) -> Parts {
    let calls: usize = turn.calls.iter().map(|call| call.name.len() + call.arguments.len()).sum();
    single(2, turn.text.len() + calls)
}

fn part_of(tool: &str) -> usize {
    match Sort::of(tool) {
        Sort::Read => 3,
        Sort::Search => 4,
        Sort::Edit | Sort::Command | Sort::Other => 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trajectory::record::ResultRecord;

    #[test]
    fn a_list_is_told_by_what_it_has_in_common_with_the_one_before() {
        let mut prompt = Prompt::default();
        let user = |text: &str| Message::User(text.into());
        let (system, tools) = (TextId::of("system"), TextId::of("tools"));
        prompt.text(&TextRecord { hash: system.clone(), text: None, bytes: 10 });
        prompt.list(&Messages { keep: 0, add: vec![user("12345")] });
        assert_eq!(prompt.parts(&system, &tools), [10, 5, 0, 0, 0, 0]);
        prompt.turn(&Turn { text: "abc".into(), ..Turn::default() });
        let call = CallId::from("c1");
        prompt.result(&call, "read_file", 40);
        let shown = |content: Option<&str>| {
            let content = content.map(Into::into);
            Message::Results(vec![ResultRecord {
                call: call.clone(),
                name: "read_file".into(),
                content,
                is_error: false,
            }])
        };
        prompt.list(&Messages { keep: 1, add: vec![Message::Ref(1), shown(None)] });
        assert_eq!(prompt.parts(&system, &tools), [10, 5, 3, 40, 0, 0]);
        // The result was made small.
        prompt.list(&Messages { keep: 2, add: vec![shown(Some("short"))] });
        assert_eq!(prompt.parts(&system, &tools), [10, 5, 3, 5, 0, 0]);
        // What does not exist is nothing.
        prompt.list(&Messages { keep: 9, add: vec![Message::Ref(u64::MAX)] });
        prompt.list(&Messages { keep: 0, add: vec![] });
        assert_eq!(prompt.parts(&system, &tools), [10, 0, 0, 0, 0, 0]);
    }
}
