//! What a replay needs of a recording: the files as they were, what the model said, what its calls gave, and the order
//! of everything that touched a file.
//!
//! A recording is a file that anybody may have written. Nothing here touches the disk; paths are words until
//! [`super::world`] finds them a place in a folder of its own, and what is taken in is bounded.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use serde_json::Value;

use super::Unplayable;
use super::calls::Calls;
use crate::agent::restore::said;
use crate::ids::CallId;
use crate::llm::{AssistantTurn, LlmError, Response};
use crate::text::Text;
use crate::tools::scheduler::Gate;
use crate::trajectory::read::Item;
use crate::trajectory::record::{
    Event, FileRecord, Proposal, Purpose, RootRecord, Sent, Staged, Started, TextId, Typed,
};

/// Bytes of all texts together.
const MAX_TEXT: usize = 512 << 20;
/// Records that order something.
const MAX_POINTS: usize = 1_000_000;

/// One run, ready to be played again.
#[derive(Debug, Default)]
pub struct Script {
    pub(super) roots: Vec<RootRecord>,
    pub(super) started: Started,
    pub(super) files: Vec<FileRecord>,
    pub(super) texts: HashMap<TextId, Arc<str>>,
    /// Each with its time.
    pub(super) points: Vec<(u64, Point)>,
    pub(super) answers: VecDeque<Result<Response, LlmError>>,
    pub(super) parts: HashMap<CallId, VecDeque<Part>>,
    pub(super) approvals: HashMap<String, VecDeque<String>>,
    /// Absent where the recording stops before the run did.
    pub(super) outcome: Option<Value>,
    /// What may keep the replay from being exact.
    pub(super) remarks: Vec<String>,
}

/// How a call is answered.
#[derive(Debug)]
pub(super) enum Part {
    /// By its tool, once the gate is open.
    Runs(Gate),
    /// By what is recorded.
    Says {
        /// The result.
        text: Arc<str>,
        /// Whether it is a failure.
        is_error: bool,
    },
}

/// Something that happened in its order.
#[derive(Debug)]
pub(super) enum Point {
    /// The model answered.
    Answer,
    /// A tool staged something, or failed to.
    Call {
        /// Which call.
        call: CallId,
        /// The how many-th of this name, from 1.
        nth: usize,
        /// Lets it run.
        gate: Gate,
        /// What the run wanted of the file afterwards.
        staged: Option<Box<Staged>>,
    },
    /// A command had changed files, and that was staged.
    Staged(Box<Staged>),
    /// The user typed, or the editor applied.
    Typed(Box<Typed>),
    /// The user opened a file: its path, version and text.
    Opened(String, Option<i32>, TextId),
    /// The user closed a file.
    Closed(String),
    /// The user saved a file.
    Saved(String),
    /// The run was done, and wanted all this.
    Proposal(Box<Proposal>),
    /// Edits went to the editor.
    Sent(Vec<Sent>),
    /// It was seen what became of them.
    Fate {
        /// The recording's word.
        fate: String,
        /// Why.
        why: String,
    },
}

impl Script {
    /// Of one run's records.
    ///
    /// # Errors
    /// There is not enough in them to play the run again.
    pub fn read(records: impl IntoIterator<Item = Item>) -> Result<Self, Unplayable> {
        let mut reading = Reading::default();
        let mut all = Vec::new();
        for item in records {
            match item {
                Item::Record(record) => {
                    reading.redacted += usize::from(record.redacted);
                    let last = matches!(record.event, Event::Finished(_));
                    if let Event::ToolFinished(tool) = &record.event {
                        reading.calls.will_end(tool);
                    }
                    all.push(record);
                    if last {
                        break;
                    }
                }
                Item::Damage(_) => reading.damaged += 1,
            }
            if all.len() > MAX_POINTS {
                return Err(Unplayable::TooLarge);
            }
        }
        for record in all {
            reading.event(record.at, record.event)?;
        }
        reading.done()
    }

    /// What the model said, answer by answer; requests that failed have none.
    pub fn said(&self) -> impl Iterator<Item = &AssistantTurn> {
        self.answers.iter().filter_map(|answer| answer.as_ref().ok()).map(|answer| &answer.turn)
    }

    /// A recorded text.
    pub(super) fn text(&self, id: &TextId, of: &str) -> Result<Text, Unplayable> {
        self.texts.get(id).map(|text| Text::from(&**text)).ok_or_else(|| Unplayable::Lost(of.to_owned()))
    }
}

#[derive(Default)]
struct Reading {
    script: Script,
    began: bool,
    bytes: usize,
    known: HashSet<String>,
    calls: Calls,
    /// Where the edits of a request to the editor stand among the points, until its fate is known.
    batch: Option<usize>,
    redacted: usize,
    damaged: usize,
    missing: u64,
}

impl Reading {
    fn event(&mut self, at: u64, event: Event) -> Result<(), Unplayable> {
        let script = &mut self.script;
        let mut happens = |point| script.points.push((at, point));
        match event {
            Event::Session(head) if script.roots.is_empty() => script.roots = head.roots,
            Event::Text(text) => {
                let Some(content) = text.text else { return Ok(()) };
                self.bytes = self.bytes.saturating_add(content.len());
                if self.bytes > MAX_TEXT {
                    return Err(Unplayable::TooLarge);
                }
                // A text that is not what its name says is none.
                if TextId::of(&content) == text.hash {
                    script.texts.insert(text.hash, content);
                }
            }
            Event::Started(started) => {
                self.began = true;
                if !started.roots.is_empty() {
                    script.roots.clone_from(&started.roots);
                }
                script.started = *started;
            }
            Event::File(file) if self.known.insert(file.path.clone()) => script.files.push(*file),
            Event::Opened(opened) => happens(Point::Opened(opened.path, opened.version, opened.text)),
            Event::Closed(place) => happens(Point::Closed(place.path)),
            Event::Saved(place) => happens(Point::Saved(place.path)),
            Event::Typed(typed) => happens(Point::Typed(typed)),
            Event::Staged(staged) => {
                let point = self.calls.staged(staged);
                happens(point);
            }
            Event::ToolStarted(tool) => self.calls.started(at, &tool),
            Event::ToolFinished(tool) => {
                if let Some((ended, point)) = self.calls.finished(at, &tool) {
                    let before = script.points.partition_point(|(at, _)| *at <= ended);
                    script.points.insert(before, (ended, point));
                }
            }
            Event::Response(response) if response.purpose == Purpose::Turn && !response.abandoned => {
                match (said::response(&response), &response.error) {
                    (Some(said), None) => {
                        script.points.push((at, Point::Answer));
                        script.answers.push_back(Ok(said));
                    }
                    (_, Some(error)) => {
                        script.points.push((at, Point::Answer));
                        script.answers.push_back(Err(said::failure(error)));
                    }
                    (None, None) => return Err(Unplayable::Answer(response.step)),
                }
            }
            Event::Approval(asked) => {
                if let Some(answer) = asked.answer {
                    script.approvals.entry(asked.message).or_default().push_back(answer);
                }
            }
            Event::Proposal(proposal) => happens(Point::Proposal(proposal)),
            Event::Sent(sent) => {
                let place = *self.batch.get_or_insert_with(|| {
                    script.points.push((at, Point::Sent(Vec::new())));
                    script.points.len() - 1
                });
                if let Some((_, Point::Sent(files))) = script.points.get_mut(place) {
                    files.push(*sent);
                }
            }
            Event::Delivery(delivery) if delivery.what == "staged" => {
                let place = self.batch.take();
                if delivery.fate == "overtaken" {
                    // The user was faster and nothing had gone out. Here the user waits.
                    if let Some((_, Point::Sent(files))) = place.and_then(|place| script.points.get_mut(place)) {
                        files.clear();
                    }
                } else {
                    let why = delivery.why.unwrap_or_default();
                    script.points.push((at, Point::Fate { fate: delivery.fate, why }));
                }
            }
            Event::Finished(finished) => script.outcome = Some(finished.outcome),
            Event::Gap(gap) => self.missing = self.missing.saturating_add(gap.lost),
            Event::Dropped(_) => self.missing = self.missing.saturating_add(1),
            _ => {}
        }
        Ok(())
    }

    fn done(self) -> Result<Script, Unplayable> {
        let Self { mut script, began, calls, redacted, damaged, missing, .. } = self;
        if !began {
            return Err(Unplayable::Empty);
        }
        script.parts = calls.done();
        keep_what_led_on(&mut script);
        let mut remark = |count: u64, what: &str| {
            if count > 0 {
                script.remarks.push(format!("{count} {what}"));
            }
        };
        remark(redacted as u64, "records had a secret taken out of them, so places in their texts may not fit");
        remark(damaged as u64, "places of the recording are damaged");
        remark(missing, "records are missing: there was no room for them");
        Ok(script)
    }
}

/// Leaves out the failures after which the model was asked again: only how it went on counts.
fn keep_what_led_on(script: &mut Script) {
    let last = script.answers.len().saturating_sub(1);
    let mut number = 0;
    let keeps: Vec<bool> = script.answers.iter().enumerate().map(|(at, answer)| answer.is_ok() || at == last).collect();
    script.points.retain(|(_, point)| {
        if !matches!(point, Point::Answer) {
            return true;
        }
        number += 1;
        keeps.get(number - 1).copied().unwrap_or(false)
    });
    let mut keeps = keeps.into_iter();
    script.answers.retain(|_| keeps.next().unwrap_or(false));
}
