//! Conversations of earlier sessions.

use serde::Serialize;

use super::{Archive, said};
use crate::agent::history::History;
use crate::ids::ThreadId;
use crate::llm::ToolResult;
use crate::trajectory::conversation::Conversation;
use crate::trajectory::read::Item;
use crate::trajectory::record::{self, Event, Purpose};

/// Conversations that are listed at most.
const LISTED: usize = 200;

/// A conversation in a list.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Listed {
    /// Its name, for `thread` of `ropeway.run`.
    pub thread_id: ThreadId,
    /// What its first run was about.
    pub title: String,
    /// When its last run began, in milliseconds since 1970.
    pub when: u64,
    /// `PROVIDER/MODEL` of its last run.
    pub model: String,
    /// How many runs it has.
    pub runs: usize,
    /// How the last one ended; absent where nobody knows, because it was cut off or has not ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Whether a run of it goes on, here or in another server.
    pub live: bool,
}

impl Archive {
    /// The conversations of these folders, the one used last first.
    pub fn threads(&self) -> Vec<Listed> {
        let mut listed: Vec<Listed> = Vec::new();
        for run in self.runs() {
            let Some(thread) = run.thread else { continue };
            if let Some(known) = listed.iter_mut().find(|known| known.thread_id == thread) {
                known.runs += 1;
                known.live |= run.live;
                // Newest first: the last one that is seen began it.
                known.title = run.title;
            } else if listed.len() < LISTED {
                listed.push(Listed {
                    live: run.live,
                    thread_id: thread,
                    title: run.title,
                    when: run.started_unix_us / 1000,
                    model: run.model,
                    runs: 1,
                    status: run.status,
                });
            }
        }
        listed
    }

    /// A conversation as it stood at its end; `None` if there is none of this name.
    pub fn conversation(&self, thread: &ThreadId) -> Option<History> {
        let last = self.runs().into_iter().find(|run| run.thread.as_ref() == Some(thread))?;
        let ended = last.ended_unix_us.unwrap_or(last.started_unix_us);
        if let Some((at, messages)) = self.commanded(thread)
            && at > ended
        {
            return Some(history(messages));
        }
        let mut reading = Reading::default();
        for item in self.store.run(&last).ok()? {
            match item {
                Item::Record(record) => reading.record(&record),
                Item::Damage(_) => reading.conversation.damaged(),
            }
        }
        Some(reading.done())
    }

    /// What a command made of the conversation last, and when, in microseconds since 1970.
    fn commanded(&self, thread: &ThreadId) -> Option<(u64, Vec<record::Message>)> {
        let mut last = None;
        for session in self.store.sessions().unwrap_or_default() {
            let mut began = 0;
            for item in self.store.session(&session.id).into_iter().flatten() {
                let Item::Record(record) = item else { continue };
                let of_thread = record.thread.as_ref() == Some(thread);
                match &record.event {
                    Event::Session(head) => began = head.started_unix_us,
                    Event::Thread(_) | Event::Cleared(_) if of_thread => {
                        let mut whole = Conversation::default();
                        whole.take(&record);
                        let messages = whole.messages().unwrap_or_default();
                        let at = began.saturating_add(record.at);
                        if last.as_ref().is_none_or(|(latest, _)| *latest < at) {
                            last = Some((at, messages));
                        }
                    }
                    _ => {}
                }
            }
        }
        last
    }
}

/// The last state of a conversation in the records of a run.
#[derive(Default)]
struct Reading {
    conversation: Conversation,
    /// What was said after the last list of messages.
    turn: Option<std::sync::Arc<record::Turn>>,
    results: Vec<ToolResult>,
}

impl Reading {
    fn record(&mut self, record: &record::Record) {
        self.conversation.take(record);
        match &record.event {
            Event::Request(request) if request.purpose == Purpose::Turn => self.forget(),
            Event::Thread(_) => self.forget(),
            Event::Response(response) if response.purpose == Purpose::Turn && !response.abandoned => {
                self.turn.clone_from(&response.turn);
            }
            Event::ToolFinished(tool) => self.results.push(ToolResult {
                call: tool.call.clone(),
                name: tool.tool.clone(),
                content: tool.result.clone(),
                is_error: tool.is_error,
            }),
            _ => {}
        }
    }

    fn forget(&mut self) {
        self.turn = None;
        self.results.clear();
    }

    fn done(self) -> History {
        let mut history = history(self.conversation.messages().unwrap_or_default());
        if let Some(turn) = &self.turn {
            history.assistant(said::turn(turn));
            history.results(self.results);
        }
        history
    }
}

/// A conversation of recorded messages, made valid: what does not fit is left out, what is missing is answered for.
fn history(messages: Vec<record::Message>) -> History {
    let mut history = History::default();
    for message in messages {
        if history.messages().is_empty() && !matches!(message, record::Message::User(_)) {
            history.user("(The beginning of this conversation is lost.)");
        }
        match message {
            record::Message::User(text) => history.user(text),
            record::Message::Assistant(turn) => history.assistant(said::turn(&turn)),
            record::Message::Results(results) => history.results(results.into_iter().map(result).collect()),
            record::Message::Ref(_) => {}
        }
    }
    history
}

fn result(result: record::ResultRecord) -> ToolResult {
    let content = result.content.unwrap_or_else(|| "(this result was not recorded)".into());
    ToolResult { call: result.call, name: result.name, content, is_error: result.is_error }
}
