//! Tells the recorder what happens to the files of a run, in the very order in which it happens: under the one lock.
//!
//! A run's files are those that it was shown or has staged. Of each the user's text is recorded when it becomes one of
//! them, and from then on every change; so the text at any moment can be found again. Texts are copied by the recorder's
//! thread: here a pointer is taken.

use std::collections::HashSet;
use std::sync::Arc;

use super::delivery::{Delivery, DeliveryOp};
use super::document::Document;
use super::entry::{Area, Entry, Home, Want};
use super::protected::is_secret;
use super::{State, Workspace};
use crate::ids::{DocVersion, RunId};
use crate::paths::WsPath;
use crate::text::{EditSet, Text};
use crate::trajectory::record::{
    EditRecord, Event, FileOp, FileRecord, FoundIn, Opened, Place, Sent, Staged, TextId, Typed,
};
use crate::trajectory::recorder::RunRecorder;

/// What is told of one run's files, and to whom.
#[derive(Debug, Default)]
pub(super) struct Witness {
    recorder: RunRecorder,
    /// By every name they have had.
    files: HashSet<WsPath>,
    /// Counts what has come back.
    landings: u64,
}

/// A change of a document, as it is being made.
pub(super) struct Typing {
    path: WsPath,
    edits: Vec<EditRecord>,
    /// Whom it concerns, and how much of theirs had come back before.
    runs: Vec<(RunId, u64)>,
}

impl Typing {
    /// One step of it.
    pub(super) fn step(&mut self, edit: &EditSet) {
        // Each counts in the text that the one before it left, also within a set.
        self.edits.extend(records(edit).into_iter().rev());
    }
}

/// The edits in their order, all in bytes of the same text.
fn records(edits: &EditSet) -> Vec<EditRecord> {
    let record = |edit: &crate::text::Edit| {
        let (start, end, text) = (edit.range.start, edit.range.end, edit.text.clone());
        EditRecord { start, end, text }
    };
    edits.edits().iter().map(record).collect()
}

fn place(path: &WsPath, uri: impl Into<String>) -> Box<Place> {
    Box::new(Place { path: path.to_string(), uri: uri.into() })
}

fn number(version: Option<DocVersion>) -> Option<i32> {
    version.map(|DocVersion(version)| version)
}

/// The name of a text, found without copying it.
fn name_of(text: &Text) -> TextId {
    TextId::of_parts(text.chunks())
}

impl Witness {
    /// Whether anything is told.
    fn is_on(&self) -> bool {
        self.recorder.is_on()
    }

    fn has(&self, path: &WsPath) -> bool {
        self.is_on() && self.files.contains(path)
    }

    /// The first sight of a file.
    fn meet(&mut self, path: &WsPath, uri: String, source: FoundIn, document: Option<&Document>, text: Option<Text>) {
        if !self.files.insert(path.clone()) {
            return;
        }
        let (path, version) = (path.to_string(), number(document.and_then(|document| document.version)));
        let language = document.map(|document| document.language.to_string()).unwrap_or_default();
        self.recorder.later("file", text.as_ref().map_or(0, Text::len), move |texts| {
            let text = text.map(|text| texts.keep(&text.to_string()));
            FileRecord { path, uri, source, version, language, text }.into()
        });
    }

    /// What was sent is there.
    pub(super) fn landed(&mut self, path: &WsPath) {
        self.landings += 1;
        if self.is_on() {
            self.recorder.record(Event::Landed(place(path, path.uri())));
        }
    }

    /// What was sent is staged again.
    pub(super) fn refused(&self, path: &WsPath) {
        if self.is_on() {
            self.recorder.record(Event::Refused(place(path, path.uri())));
        }
    }

    /// A change is about to be sent.
    pub(super) fn sent(&self, delivery: &Delivery) {
        if !self.is_on() {
            return;
        }
        let (path, uri) = (delivery.path.to_string(), delivery.uri.clone());
        let sent = Sent { path, uri, op: FileOp::Edited, version: None, edits: Vec::new(), to: None };
        match &delivery.op {
            DeliveryOp::Edit { version, edits, .. } => {
                self.recorder.record(Sent { version: number(*version), edits: records(edits), ..sent });
            }
            DeliveryOp::Create { text } => {
                let text = text.clone();
                self.recorder.later("sent", text.len(), move |_| {
                    let edits = vec![EditRecord { start: 0, end: 0, text: text.to_string() }];
                    Sent { op: FileOp::Created, edits, ..sent }.into()
                });
            }
            DeliveryOp::Delete => self.recorder.record(Sent { op: FileOp::Deleted, ..sent }),
            DeliveryOp::Rename { to } => {
                self.recorder.record(Sent { op: FileOp::Renamed, to: Some(to.to_string()), ..sent });
            }
        }
    }
}

impl Workspace {
    /// Has what happens to the files of a run recorded from now on; or no longer, by a recorder that is off.
    pub fn record(&self, run: &RunId, recorder: RunRecorder) {
        if let Some(area) = self.lock().runs.get_mut(run) {
            area.witness.recorder = recorder;
        }
    }

    /// The model is shown something of a file, or will be.
    pub fn shown(&self, run: &RunId, path: &WsPath) {
        let mut guard = self.lock();
        let state = &mut *guard;
        let known = |area: &Area| !area.witness.is_on() || area.witness.files.contains(path);
        if state.runs.get(run).is_none_or(known) {
            return;
        }
        let document = state.open_at(path).cloned();
        let Some(area) = state.runs.get_mut(run) else { return };
        if let Some(document) = document {
            // The user was asked about what the model is shown of such a file, and about nothing else.
            let text = (!is_secret(path)).then(|| document.text.clone());
            area.witness.meet(path, document.uri.to_string(), FoundIn::Open, Some(&document), text);
            return;
        }
        area.witness.files.insert(path.clone());
        let (disk, path) = (self.disk.clone(), path.clone());
        let secret = is_secret(&path);
        // The recorder reads the file, or finds it as it was just read.
        area.witness.recorder.later("file", 0, move |texts| {
            let file = if secret { None } else { disk.read(&path).ok() };
            let text = file.map(|file| texts.keep(&file.text));
            let (uri, language) = (path.uri(), String::new());
            FileRecord { path: path.to_string(), uri, source: FoundIn::Disk, version: None, language, text }.into()
        });
    }
}

impl State {
    /// Whether and to whom a change of this document will have to be told.
    pub(super) fn typing(&self, document: &Document) -> Option<Typing> {
        let path = document.path.as_ref()?;
        let concerned = self.runs.iter().filter(|(_, area)| area.witness.has(path));
        let runs: Vec<_> = concerned.map(|(run, area)| (run.clone(), area.witness.landings)).collect();
        (!runs.is_empty()).then(|| Typing { path: path.clone(), edits: Vec::new(), runs })
    }

    /// The change has been made.
    pub(super) fn tell_typed(&self, typing: Typing, uri: &str, version: Option<DocVersion>) {
        let Typing { path, edits, runs } = typing;
        let path = path.to_string();
        for (run, before) in runs {
            let Some(Area { witness, .. }) = self.runs.get(&run) else { continue };
            let landed = witness.landings > before;
            let (path, uri, edits) = (path.clone(), uri.to_owned(), edits.clone());
            witness.recorder.record(Typed { path, uri, version: number(version), edits, landed });
        }
    }

    fn tell_all(&self, path: &WsPath, tell: impl Fn(&RunRecorder)) {
        let concerned = self.runs.values().filter(|area| area.witness.has(path));
        concerned.for_each(|area| tell(&area.witness.recorder));
    }

    /// A document was opened.
    pub(super) fn tell_opened(&self, path: &WsPath, uri: &str, version: Option<DocVersion>, text: &Text) {
        self.tell_all(path, |recorder| {
            let (path, uri, text) = (path.to_string(), uri.to_owned(), text.clone());
            recorder.later("opened", text.len(), move |texts| {
                Opened { path, uri, version: number(version), text: texts.keep(&text.to_string()) }.into()
            });
        });
    }

    /// A document was closed.
    pub(super) fn tell_closed(&self, path: &WsPath, uri: &str) {
        self.tell_all(path, |recorder| recorder.record(Event::Closed(place(path, uri))));
    }

    /// A document was saved.
    pub(super) fn tell_saved(&self, path: &WsPath, uri: &str) {
        self.tell_all(path, |recorder| recorder.record(Event::Saved(place(path, uri))));
    }

    /// A run has staged something at this path, made on its text of now.
    pub(super) fn tell_staged(&mut self, run: &RunId, path: &WsPath) {
        self.tell_carried(run, path, false);
    }

    /// A run has staged something at this path; says whether it was carried over what had changed since it was made.
    pub(super) fn tell_carried(&mut self, run: &RunId, path: &WsPath, carried: bool) {
        let Some(area) = self.runs.get(run).filter(|area| area.witness.is_on()) else { return };
        let uri = self.uri_of(path);
        let Some(entry) = area.files.get(path) else {
            // Nothing is wanted of it any more.
            let (op, base) = (FileOp::Edited, TextId::of(""));
            let staged = Staged { path: path.to_string(), uri, op, from: None, base, edits: Vec::new(), carried };
            return area.witness.recorder.record(staged);
        };
        let source = entry.source(path).clone();
        let (op, from) = (op_of(entry), entry.from.as_ref().map(ToString::to_string));
        let edits = if entry.want == Want::Gone { Vec::new() } else { records(&entry.carried.edits) };
        let (base, home) = (entry.carried.base.clone(), entry.home);
        let document: Option<Arc<Document>> = self.open_at(&source).cloned();
        let from_uri = self.uri_of(&source);
        let Some(area) = self.runs.get_mut(run) else { return };
        match home {
            _ if op == FileOp::Created => area.witness.meet(path, uri.clone(), FoundIn::New, None, None),
            Home::Open => {
                area.witness.meet(&source, from_uri, FoundIn::Open, document.as_deref(), Some(base.clone()));
            }
            _ => area.witness.meet(&source, from_uri, FoundIn::Disk, None, Some(base.clone())),
        }
        area.witness.files.insert(path.clone());
        let path = path.to_string();
        let weight = edits.iter().map(|edit| edit.text.len() + 64).sum();
        area.witness.recorder.later("staged", weight, move |_| {
            Staged { path, uri, op, from, base: name_of(&base), edits, carried }.into()
        });
    }
}

fn op_of(entry: &Entry) -> FileOp {
    match &entry.want {
        Want::Gone | Want::Moved(_) => FileOp::Deleted,
        Want::Text if entry.from.is_some() => FileOp::Renamed,
        Want::Text if !entry.exists => FileOp::Created,
        Want::Text => FileOp::Edited,
    }
}
