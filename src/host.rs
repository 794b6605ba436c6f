//! The port to the user's side: whoever shows progress, asks the user and applies edits.
//!
//! The agent talks to this trait only. `lsp::host` implements it over an editor, `cli::headless` over a directory,
//! so whether an editor or a bare directory answers is not the agent's business.

use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde::Serialize;
use serde_json::Value;

use crate::ids::{CallId, DocVersion, RunId, ThreadId};
use crate::text::{EditSet, Text};

/// One change to one file, in the terms of the text that the user's side holds now.
#[derive(Clone, Debug)]
pub enum FileChange {
    /// Replace parts of a text.
    Edit {
        /// The document, as the client spells its URI.
        uri: Arc<str>,
        /// The client's version of it; `None` for a file that is not open.
        version: Option<DocVersion>,
        /// The text the edits are for.
        base: Text,
        /// Whole-line hunks that neither overlap nor touch.
        edits: EditSet,
    },
    /// Make a file with this text; it must not exist.
    Create {
        /// Where.
        uri: Arc<str>,
        /// Its text.
        text: Text,
    },
    /// Remove a file.
    Delete {
        /// Which.
        uri: Arc<str>,
    },
    /// Give a file another name; the new one must not exist.
    Rename {
        /// Its name so far.
        from: Arc<str>,
        /// Its new name.
        to: Arc<str>,
    },
}

/// Changes that go to the user's side in one request.
#[derive(Clone, Debug)]
pub struct Proposal {
    /// What the user sees in the undo list, where the editor shows it.
    pub label: String,
    /// The changes, in order. Text edits and resource operations are never mixed in one proposal, except that a
    /// `Create` carries its text.
    pub changes: Vec<FileChange>,
    /// Ask the user before applying, where the client can.
    pub confirm: bool,
}

/// What the user's side answered. `Applied` is a claim, not a proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApplyReply {
    /// It says that it applied all.
    Applied,
    /// It says that it did not, and perhaps why.
    Refused(String),
    /// It never answered: nobody knows.
    Silent,
}

/// A question with buttons.
#[derive(Clone, Debug)]
pub struct Question {
    /// The text.
    pub message: String,
    /// The buttons, in order.
    pub choices: Vec<&'static str>,
}

/// How a text is shown to the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Something went wrong.
    Error,
    /// Something to know.
    Warning,
    /// A plain message.
    Info,
}

/// What the user's side can do, as far as it changes what the agent does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct HostAbilities {
    /// Edits can be applied at all.
    pub apply_edit: bool,
    /// One request with edits of several documents is applied whole or not at all.
    pub transactional: bool,
    /// Files can be created, deleted, renamed.
    pub create: bool,
    /// See `create`.
    pub delete: bool,
    /// See `create`.
    pub rename: bool,
    /// Edits can be shown for confirmation first.
    pub confirm: bool,
    /// Someone listens to run events.
    pub events: bool,
}

/// One thing that happened in a run, in order.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RunEvent {
    /// Which run.
    pub run_id: RunId,
    /// From 1, without a gap.
    pub seq: u64,
    /// Milliseconds since the run began.
    pub at: u64,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// How large a conversation is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Size {
    /// Messages.
    pub messages: usize,
    /// Tokens of the whole prompt, system and tools included; an estimate but for what the provider counted.
    pub tokens: u64,
}

/// The kinds of events; the contract names the fields.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum EventKind {
    /// The run began.
    Started {
        /// What it is, for people.
        title: String,
        /// `PROVIDER/MODEL`.
        model: String,
        /// Its conversation.
        thread_id: ThreadId,
    },
    /// More of the answer.
    Text {
        /// What was added.
        delta: String,
    },
    /// A tool began to run.
    ToolStarted {
        /// Which call.
        call_id: CallId,
        /// Name of the tool.
        tool: String,
        /// One line for people.
        summary: String,
        /// Number of the model response that made the call.
        batch: u32,
        /// How long it waited for its turn, in milliseconds.
        waited_ms: f64,
        /// Calls of the run at work at this moment, itself included: the highest of a batch says how parallel it was.
        beside: usize,
    },
    /// A command has printed more.
    ToolOutput {
        /// Which call.
        call_id: CallId,
        /// Whole lines where it prints lines; what it prints beyond 256 KiB is not told.
        delta: String,
    },
    /// A tool ended.
    ToolFinished {
        /// Which call.
        call_id: CallId,
        /// Name of the tool.
        tool: String,
        /// One line for people.
        summary: String,
        /// Number of the model response that made the call.
        batch: u32,
        /// Whether the result came from a cache.
        cached: bool,
        /// How long it ran, in milliseconds, waiting not counted.
        ms: f64,
        /// What went wrong.
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// An edit was staged.
    Staged {
        /// The document.
        uri: String,
        /// Unified diff of all that is staged for it so far; cut to a limit.
        diff: String,
    },
    /// The run waits for the user.
    Approval {
        /// What is asked.
        message: String,
        /// What was answered, once it was.
        #[serde(skip_serializing_if = "Option::is_none")]
        answer: Option<String>,
    },
    /// The model is asked again after a failure.
    Retry {
        /// From 1.
        attempt: u32,
        /// How long we wait first, in milliseconds.
        wait_ms: u64,
        /// What went wrong.
        why: String,
    },
    /// The conversation was made smaller, so that the run can go on.
    Compacted {
        /// How large it was.
        before: Size,
        /// How large it is.
        after: Size,
    },
    /// The conversation does not begin as it did, so what the provider had cached of it costs its full price again.
    PrefixBroken {
        /// What changed.
        why: String,
    },
    /// The run ended: the outcome of the contract, section 4.
    Finished {
        /// The outcome.
        #[serde(flatten)]
        outcome: Value,
    },
}

/// A finding of a review, to be published as a diagnostic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file.
    pub path: PathBuf,
    /// Line, from 0.
    pub line: u32,
    /// Last line, from 0.
    pub end_line: u32,
    /// What is wrong.
    pub message: String,
    /// Whether it is an error, a warning or a remark.
    pub severity: Notice,
}

/// The user's side.
///
/// No method may be called with a lock held; the futures may take as long as a user takes.
pub trait Host: Send + Sync {
    /// What this side can do.
    fn abilities(&self) -> HostAbilities;

    /// Applies a proposal. Resolves to `Silent` after 10 s without an answer, unless the proposal asks for
    /// confirmation: then it waits for the user.
    fn apply(&self, proposal: Proposal) -> BoxFuture<'_, ApplyReply>;

    /// Puts a question; `None` if it was dismissed or cannot be put.
    fn ask(&self, question: Question) -> BoxFuture<'_, Option<usize>>;

    /// Shows one line to the user.
    fn notify(&self, level: Notice, message: String);

    /// Shows the answer of a run that made no edit: a document of its own where that can be shown, else a message.
    fn show_answer(&self, run: &RunId, title: &str, markdown: &str);

    /// Begins the progress display of a run. `title` is its first line.
    fn progress_begin(&self, run: &RunId, title: &str);

    /// Says what the run does now.
    fn progress_report(&self, run: &RunId, message: &str);

    /// Ends the display.
    fn progress_end(&self, run: &RunId, message: &str);

    /// An event of a run, to those who asked for events.
    fn event(&self, event: RunEvent);

    /// Something that the status record shows has changed.
    fn status_changed(&self);

    /// Publishes the findings of a review, replacing those of earlier reviews of the same files. A review of the file
    /// `reviewed` that found nothing in it takes the earlier findings there back.
    fn publish(&self, reviewed: Option<PathBuf>, findings: Vec<Finding>);
}
