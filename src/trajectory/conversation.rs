//! The messages of a run, each told once: what a request has in common with the one before it is said by counting.
//!
//! A [`Teller`] is used where records are made, on the writer's thread; a [`Conversation`] undoes what it does where they
//! are read. Both number messages in the order in which the records have them in full, and both begin anew at a gap,
//! where nobody knows what has been lost.

use std::collections::HashMap;
use std::sync::Arc;

use super::record::{Event, Message, Messages, Record, ResultRecord, Turn};
use crate::ids::CallId;

/// A message as its owner has it.
pub trait Source: Clone {
    /// Whether both are the same message. May say no of two that are only equal.
    fn is_same(&self, other: &Self) -> bool;

    /// Whether it is this turn.
    fn is_turn(&self, turn: &Turn) -> bool;

    /// The message in full.
    fn to_record(&self) -> Message;
}

/// Tells the lists of messages of one run.
#[derive(Debug)]
pub struct Teller<S> {
    epoch: u64,
    next: u64,
    /// The list that was told last, each with its number.
    list: Vec<(u64, S)>,
    /// The turn of the last response, which the next list will probably hold.
    turn: Option<(u64, Arc<Turn>)>,
    /// What tools gave, until a list has it.
    results: HashMap<CallId, Arc<str>>,
}

impl<S> Default for Teller<S> {
    fn default() -> Self {
        Self { epoch: 0, next: 0, list: Vec::new(), turn: None, results: HashMap::new() }
    }
}

impl<S: Source> Teller<S> {
    /// Begins anew if records have been lost.
    fn sync(&mut self, epoch: u64) {
        if self.epoch != epoch {
            *self = Self { epoch, ..Self::default() };
        }
    }

    /// A response has this turn.
    pub fn turn(&mut self, epoch: u64, turn: &Arc<Turn>) {
        self.sync(epoch);
        self.turn = Some((self.next, turn.clone()));
        self.next += 1;
    }

    /// A tool gave this.
    pub fn result(&mut self, epoch: u64, call: &CallId, result: &Arc<str>) {
        self.sync(epoch);
        self.results.insert(call.clone(), result.clone());
    }

    /// Tells a list of messages.
    pub fn list(&mut self, epoch: u64, messages: Vec<S>) -> Messages {
        self.sync(epoch);
        let before = std::mem::take(&mut self.list);
        let keep = before.iter().zip(&messages).take_while(|((_, old), new)| old.is_same(new)).count();
        let mut add = Vec::with_capacity(messages.len() - keep);
        let mut list: Vec<(u64, S)> = Vec::with_capacity(messages.len());
        // What was taken out of the middle leaves the rest in order: the next one is looked for where the last one was.
        let mut from = keep;
        for (at, message) in messages.into_iter().enumerate() {
            if at < keep {
                list.push((before[at].0, message));
                continue;
            }
            let known = before[from..].iter().position(|(_, old)| old.is_same(&message)).map(|at| from + at);
            let number = match known {
                Some(at) => {
                    from = at + 1;
                    Some(before[at].0)
                }
                None => match &self.turn {
                    Some((number, turn)) if message.is_turn(turn) => Some(*number),
                    _ => None,
                },
            };
            match number {
                Some(number) => {
                    add.push(Message::Ref(number));
                    list.push((number, message));
                }
                None => {
                    add.push(self.in_full(&message));
                    list.push((self.next, message));
                    self.next += 1;
                }
            }
        }
        self.list = list;
        Messages { keep, add }
    }

    fn in_full(&mut self, message: &S) -> Message {
        let mut message = message.to_record();
        if let Message::Results(results) = &mut message {
            for result in results {
                let given = self.results.remove(&result.call);
                if given.is_some() && given == result.content {
                    result.content = None;
                }
            }
        }
        message
    }
}

/// Undoes a [`Teller`]: give it the records of a run in order, and ask for the messages.
#[derive(Clone, Debug, Default)]
pub struct Conversation {
    /// Every message that was told in full.
    known: Vec<Message>,
    /// The list that was told last, by number.
    list: Vec<usize>,
    results: HashMap<CallId, Arc<str>>,
    /// Something it stands on is missing.
    broken: bool,
}

impl Conversation {
    /// Takes in a record.
    pub fn take(&mut self, record: &Record) {
        match &record.event {
            Event::Gap(_) => *self = Self::default(),
            Event::Request(request) => self.tell(&request.messages),
            Event::Thread(thread) => self.tell(&thread.messages),
            Event::Response(response) => {
                self.known.extend(response.turn.as_ref().map(|turn| Message::Assistant(turn.clone())));
            }
            Event::ToolFinished(tool) => {
                self.results.insert(tool.call.clone(), tool.result.clone());
            }
            _ => {}
        }
    }

    /// A record could not be read: what follows may stand on it.
    pub fn damaged(&mut self) {
        self.broken = true;
    }

    fn tell(&mut self, told: &Messages) {
        if told.keep > self.list.len() {
            self.broken = true;
        }
        self.list.truncate(told.keep);
        for message in &told.add {
            let number = match message {
                Message::Ref(number) => usize::try_from(*number).unwrap_or(usize::MAX),
                Message::Results(results) => {
                    let results = results.iter().map(|result| self.filled(result)).collect();
                    self.known.push(Message::Results(results));
                    self.known.len() - 1
                }
                message => {
                    self.known.push(message.clone());
                    self.known.len() - 1
                }
            };
            if number >= self.known.len() {
                self.broken = true;
            } else {
                self.list.push(number);
            }
        }
    }

    fn filled(&mut self, result: &ResultRecord) -> ResultRecord {
        let mut result = result.clone();
        if result.content.is_none() {
            match self.results.get(&result.call) {
                Some(content) => result.content = Some(content.clone()),
                None => self.broken = true,
            }
        }
        result
    }

    /// The messages of the last list, none of them a reference and each result with its content; `None` if something
    /// they stand on is missing.
    pub fn messages(&self) -> Option<Vec<Message>> {
        let messages = self.list.iter().map(|number| self.known.get(*number).cloned());
        if self.broken { None } else { messages.collect() }
    }
}

#[cfg(test)]
mod tests;
