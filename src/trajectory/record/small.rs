//! The kinds of records that are a few fields each.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{EditRecord, FileOp, FoundIn, Messages, TextId};
use crate::ids::CallId;

/// One file of a proposal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProposedFile {
    /// The file, as the model sees it, by its new name if it gets one.
    pub path: String,
    /// Its URI, as the client spells it.
    pub uri: String,
    /// What happens to it.
    pub op: FileOp,
    /// Its name so far, if it gets another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Its text as the user has it; empty for a new file.
    pub before: TextId,
    /// Its text as the run wants it; empty for a removed file.
    pub after: TextId,
}

/// How large a conversation is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SizeRecord {
    /// Messages.
    pub messages: usize,
    /// Tokens of the whole prompt.
    pub tokens: u64,
}

/// A text, before its first use in the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextRecord {
    /// Its name.
    pub hash: TextId,
    /// The text; absent where it was larger than is recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Arc<str>>,
    /// Its length.
    pub bytes: usize,
}

/// A file as the user has it, when the run reads or stages it for the first time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileRecord {
    /// The file, as the model sees it.
    pub path: String,
    /// Its URI, as the client spells it if it is open.
    pub uri: String,
    /// Where its text was found.
    pub source: FoundIn,
    /// The client's version of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i32>,
    /// The client's name of its language; empty where it is not open.
    #[serde(default)]
    pub language: String,
    /// Its text; absent for a new file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<TextId>,
}

/// A file that the run has touched was opened in the editor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// The file, as the model sees it.
    pub path: String,
    /// Its URI, as the client spells it.
    pub uri: String,
    /// The client's version of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i32>,
    /// Its text.
    pub text: TextId,
}

/// The file that something happened to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The file, as the model sees it.
    pub path: String,
    /// Its URI, as the client spells it if it is open.
    pub uri: String,
}

/// The editor changed a file that the run has touched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Typed {
    /// The file, as the model sees it.
    pub path: String,
    /// Its URI, as the client spells it.
    pub uri: String,
    /// The client's version of it afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i32>,
    /// What was done, one after the other: each counts in bytes of the text that the one before it left.
    pub edits: Vec<EditRecord>,
    /// With this change, what was sent for the run has come back.
    #[serde(default)]
    pub landed: bool,
}

/// What a run wants of a file now, all in all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Staged {
    /// The file, as the model sees it, by its new name if it gets one.
    pub path: String,
    /// Its URI, as the client spells it if it is open.
    pub uri: String,
    /// What is to happen to it.
    pub op: FileOp,
    /// Its name so far, if it gets another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The user's text as it is now: the one recorded first, with all that was typed since. The empty text for a new
    /// file.
    pub base: TextId,
    /// What is wanted there instead: in bytes of that text, sorted and disjoint. Empty for a removed file.
    pub edits: Vec<EditRecord>,
    /// The call had looked at an older text, and its edits were carried over what had changed since: on the text of now
    /// it may find nothing, or another place.
    #[serde(default)]
    pub carried: bool,
}

/// Everything the run wants, at the end of its loop and before anything of it is delivered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Proposal {
    /// File by file.
    pub files: Vec<ProposedFile>,
}

/// A change of a file is about to be sent to the user's side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// The file, by the name that the user's side has for it.
    pub path: String,
    /// Its URI.
    pub uri: String,
    /// What is to be done.
    pub op: FileOp,
    /// The version that it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i32>,
    /// Whole-line hunks in bytes of the user's text; the whole text for a new file.
    #[serde(default)]
    pub edits: Vec<EditRecord>,
    /// The new name, if it gets one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

/// How one request to the user's side ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    /// `staged`, or `undo`: the way back.
    pub what: String,
    /// `landed`, `refused`, `unknown`, `cancelled` or `overtaken`.
    pub fate: String,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The files in it.
    pub paths: Vec<String>,
    /// From the sending to the proof.
    pub took_us: u64,
}

/// A call was complete in the stream of its response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Called {
    /// Number of the model call.
    pub step: u32,
    /// Which call.
    pub call: CallId,
    /// Name of the tool.
    pub tool: Arc<str>,
}

/// The user is asked, or has answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// What is asked.
    pub message: String,
    /// What was answered; absent while the question stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
}

/// The model is asked again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Retry {
    /// From 1.
    pub attempt: u32,
    /// How long is waited first.
    pub wait_us: u64,
    /// What went wrong.
    pub why: String,
}

/// The conversation was made smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compacted {
    /// How large it was.
    pub before: SizeRecord,
    /// How large it is.
    pub after: SizeRecord,
}

/// Why something happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Why {
    /// One sentence.
    pub why: String,
}

impl Why {
    /// Why a run broke down.
    pub fn broken(self) -> super::Event {
        super::Event::Broken(Box::new(self))
    }

    /// Why what the provider had cached is of no use.
    pub fn prefix(self) -> super::Event {
        super::Event::PrefixBroken(Box::new(self))
    }
}

/// A conversation as it would be sent next.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ThreadRecord {
    /// Its messages.
    pub messages: Messages,
}

/// Nothing more to say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Nothing {}

/// A run ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finished {
    /// The outcome, as the contract has it.
    pub outcome: Value,
}

/// What the user decided about a run that had ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Decision {
    /// Its proposed edits were applied.
    Accept,
    /// Its proposed edits were dropped.
    Reject,
    /// Its edits were taken back.
    Revert,
    /// Its edits, never delivered, were offered again and not wanted.
    Discard,
    /// Its edits, never delivered, were offered again and staged anew.
    Restore,
}

/// Something was decided about a run, perhaps of an earlier session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decided {
    /// What.
    pub what: Decision,
    /// What came of it, as the contract has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Value>,
}

/// Records are missing here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// How many.
    pub lost: u64,
    /// Their size, as far as it is known.
    pub bytes: u64,
    /// What happened.
    pub why: String,
}

/// A record of which only the fact was kept, because too much was waiting to be written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// Its kind.
    pub of: String,
    /// About how large it was.
    pub bytes: usize,
}

/// A run as a list shows it, when it begins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunHead {
    /// Name of the action.
    pub action: String,
    /// What it is, for people.
    pub title: String,
    /// `PROVIDER/MODEL`.
    pub model: String,
    /// What the user said, cut.
    pub prompt: String,
}

/// A run as a list shows it, when it has ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Ended {
    /// How, in the contract's word.
    pub status: String,
    /// Model calls.
    pub steps: u64,
    /// Tokens and money, as the outcome has them.
    pub usage: Value,
    /// Where the time went, as the outcome has it.
    pub timing: Value,
    /// The files it touched.
    pub files: Vec<String>,
    /// The contract's code of what went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
}
