//! What readers see of an open document, and the ring of its latest edits.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::ids::{DocVersion, Revision};
use crate::paths::{DocKey, WsPath};
use crate::text::{EditSet, Range, Text};

/// All open documents at one moment; a clone is a pointer.
pub type Snapshot = Arc<HashMap<DocKey, Arc<Document>>>;

/// One open document at one moment.
#[derive(Clone, Debug)]
pub struct Document {
    /// Its URI as the client spells it.
    pub uri: Arc<str>,
    /// Its identity.
    pub key: DocKey,
    /// Where it is in the workspace, without links; `None` outside, and for what is no file.
    pub path: Option<WsPath>,
    /// The client's name of its language.
    pub language: Arc<str>,
    /// The client's version; `None` if the client gives none.
    pub version: Option<DocVersion>,
    /// Our count of its changes.
    pub revision: Revision,
    /// When it was opened or changed last: grows with every such event of any document.
    pub changed: u64,
    /// Its text.
    pub text: Text,
    /// Whether the text is surely what the client shows. If not, no edit is staged on it until it is reopened.
    pub synced: bool,
}

/// One entry of `didChange`: replace a range, or, without one, the whole text.
#[derive(Clone, Debug)]
pub struct ContentChange<'a> {
    /// What is replaced.
    pub range: Option<Range>,
    /// By what.
    pub text: Cow<'a, str>,
}

/// Whether we still know what the client shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Sync {
    /// Yes.
    Following,
    /// Not since this call, and why. Said once for each opening, so that the user is told once.
    Lost(&'static str),
    /// Not since an earlier call.
    StillLost,
}

/// The latest edits of a document, so that what was read a moment ago can be carried forward.
#[derive(Debug, Default)]
pub(super) struct Ring {
    edits: VecDeque<(Revision, EditSet)>,
    bytes: usize,
}

/// Edits kept for each document: seconds of typing, and a model's tool call takes less.
const MAX_EDITS: usize = 256;

/// Bytes of inserted text kept for each document; a paste larger than this is carried over by comparing the texts.
const MAX_BYTES: usize = 1 << 20;

impl Ring {
    /// Keeps the edit that led to `revision`.
    pub(super) fn push(&mut self, revision: Revision, edit: EditSet) {
        self.bytes += weight(&edit);
        self.edits.push_back((revision, edit));
        while self.edits.len() > MAX_EDITS || (self.bytes > MAX_BYTES && !self.edits.is_empty()) {
            if let Some((_, edit)) = self.edits.pop_front() {
                self.bytes -= weight(&edit);
            }
        }
    }

    /// The edits made after `revision` up to `now`, in order; `None` if they are no longer all here.
    pub(super) fn since(&self, revision: Revision, now: Revision) -> Option<impl Iterator<Item = &EditSet>> {
        let count = usize::try_from(now.0.checked_sub(revision.0)?).ok()?;
        let start = self.edits.len().checked_sub(count)?;
        Some(self.edits.range(start..).map(|(_, edit)| edit))
    }
}

fn weight(edit: &EditSet) -> usize {
    edit.edits().iter().map(|edit| edit.text.len()).sum()
}
