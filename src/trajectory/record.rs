//! The format of a recording: one record a line, each a JSON object.
//!
//! It is on disk for years and read by other versions, so these types are its own and nobody's else: what a field is
//! called here is a promise. Fields may be added; one that is taken away or means something else raises [`SCHEMA`].
//! Times are whole microseconds, texts are named by their [`TextId`] and stand once in each run.

use std::fmt;
use std::sync::Arc;

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use crate::ids::{CallId, RunId, ThreadId};

mod event;
mod model;
mod small;

pub use self::event::Event;
pub use self::model::*;
pub use self::small::*;

/// The version of the format that is written here.
pub const SCHEMA: u32 = 1;

/// Names a text by its content: half of its SHA-256, as hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TextId(Arc<str>);

impl TextId {
    /// Of this text.
    pub fn of(text: &str) -> Self {
        Self::of_parts([text])
    }

    /// Of the text that these parts make.
    pub fn of_parts<'t>(parts: impl IntoIterator<Item = &'t str>) -> Self {
        let mut context = ring::digest::Context::new(&ring::digest::SHA256);
        parts.into_iter().for_each(|part| context.update(part.as_bytes()));
        let digest = context.finish();
        let digits: String = digest.as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        Self(Arc::from(digits))
    }

    /// Its digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TextId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One record.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The version of the format it was written in.
    pub version: u32,
    /// From 1 without a hole, in the session's file and in all files of one run together.
    pub seq: u64,
    /// Microseconds since the session began, the same clock in all files of a session.
    pub at: u64,
    /// The run it is about.
    pub run: Option<RunId>,
    /// The conversation it is about.
    pub thread: Option<ThreadId>,
    /// A secret was taken out of it, so that places in its texts may not fit.
    pub redacted: bool,
    /// What happened.
    pub event: Event,
}

/// A folder of the workspace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootRecord {
    /// As the model sees it; empty where there is only one.
    #[serde(default)]
    pub name: String,
    /// Absolute.
    pub path: String,
}

/// Replace a byte range of a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EditRecord {
    /// First byte that goes.
    pub start: usize,
    /// Byte behind the last that goes.
    pub end: usize,
    /// What stands there afterwards.
    pub text: String,
}

/// What happens to a file as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FileOp {
    /// Its text changes.
    Edited,
    /// It is made.
    Created,
    /// It is removed.
    Deleted,
    /// It gets another name, and perhaps another text.
    Renamed,
}

/// Where a text was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FoundIn {
    /// In the editor.
    Open,
    /// On disk.
    Disk,
    /// Nowhere: the run makes it.
    New,
}

/// Head of every file: which session it belongs to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionHead {
    /// Name of its folder.
    pub id: String,
    /// Version of the format.
    pub schema: u32,
    /// Version of the program.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// When the session began, in microseconds since 1970: what `at` counts from.
    pub started_unix_us: u64,
    /// Which part of the run's files this is, from 1.
    pub part: u32,
    /// The workspace folders at the start of the session.
    #[serde(default)]
    pub roots: Vec<RootRecord>,
    /// Name and version of the editor, as far as it told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
}

/// A run begins.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Started {
    /// Name of the action.
    pub action: String,
    /// What it is, for people.
    pub title: String,
    /// What the user said.
    pub prompt: String,
    /// The document it is about, as the client spells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
    /// The selection or cursor there, as LSP has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<Value>,
    /// What columns count: `utf-8`, `utf-16` or `utf-32`.
    pub encoding: String,
    /// The diagnostics it was started with, as the editor sent them.
    pub diagnostics: Vec<Value>,
    /// `PROVIDER/MODEL`.
    pub model: String,
    /// Tokens its window holds.
    pub window: u64,
    /// Tokens it may produce in one response.
    pub max_output: u32,
    /// US dollars per million tokens, where the price is known: `input`, `cachedInput`, `cacheWrite`, `output`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<Value>,
    /// Models that may stand in.
    pub fallback: Vec<String>,
    /// Kind of the provider: `openai`, `anthropic`, `google`, `ollama`.
    pub provider: String,
    /// The workspace folders.
    pub roots: Vec<RootRecord>,
    /// The settings that change what a run does: `agent`, `edits`, `context`, `tools`.
    pub settings: Value,
}

/// A tool began to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolStarted {
    /// Which call.
    pub call: CallId,
    /// Name of the tool.
    pub tool: Arc<str>,
    /// One line for people.
    pub summary: String,
    /// The arguments exactly as they came.
    pub arguments: Arc<str>,
    /// Number of the model response that made the call.
    pub batch: u32,
    /// How long it waited for its turn.
    pub waited_us: u64,
    /// Calls of the run at work at this moment, itself included.
    pub beside: usize,
}

/// A tool ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolFinished {
    /// Which call.
    pub call: CallId,
    /// Name of the tool.
    pub tool: Arc<str>,
    /// One line for people.
    pub summary: String,
    /// Number of the model response that made the call.
    pub batch: u32,
    /// How long it waited for its turn.
    pub waited_us: u64,
    /// How long it ran; absent if it never did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ran_us: Option<u64>,
    /// Whether the result was remembered.
    #[serde(default)]
    pub cached: bool,
    /// What went wrong, in one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What the tool gave; what the model got may be shorter.
    pub result: Arc<str>,
    /// Whether the model is told that it failed.
    #[serde(default)]
    pub is_error: bool,
}

/// What a version we do not know has added.
#[derive(Clone, Debug, PartialEq)]
pub struct Other {
    /// Its kind.
    pub kind: String,
    /// All it says.
    pub data: Value,
}

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("v", &self.version)?;
        map.serialize_entry("seq", &self.seq)?;
        map.serialize_entry("t", &self.at)?;
        if let Some(run) = &self.run {
            map.serialize_entry("run", run)?;
        }
        if let Some(thread) = &self.thread {
            map.serialize_entry("thread", thread)?;
        }
        if self.redacted {
            map.serialize_entry("redacted", &true)?;
        }
        map.serialize_entry("kind", self.event.kind())?;
        map.serialize_entry("data", &Data(&self.event))?;
        map.end()
    }
}

/// What an event says, without its kind.
struct Data<'a>(&'a Event);

impl Serialize for Data<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize_data(serializer)
    }
}

/// What stands around every event.
#[derive(Deserialize)]
struct Envelope {
    v: u32,
    seq: u64,
    t: u64,
    run: Option<RunId>,
    thread: Option<ThreadId>,
    #[serde(default)]
    redacted: bool,
    kind: String,
    #[serde(default)]
    data: Value,
}

impl Record {
    /// Reads one line. What this version does not know becomes [`Event::Other`].
    ///
    /// # Errors
    /// It is no record at all.
    pub fn parse(line: &[u8]) -> Result<Self, serde_json::Error> {
        let Envelope { v, seq, t, run, thread, redacted, kind, data } = serde_json::from_slice(line)?;
        let event = Event::from_parts(kind, data);
        Ok(Self { version: v, seq, at: t, run, thread, redacted, event })
    }

    /// Whether a newer version wrote it.
    pub fn is_newer(&self) -> bool {
        self.version > SCHEMA
    }
}

#[cfg(test)]
mod tests;
