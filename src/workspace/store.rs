//! Following the editor: open, change, close, save.
//!
//! `change` is the keystroke's path. It copies pointers, edits the rope in place and carries what is staged; nothing it
//! does grows with the text, except where a client sends the whole text anew.

use std::collections::HashMap;
use std::sync::Arc;

use super::carry;
use super::document::{ContentChange, Document, Ring, Sync};
use super::{State, Workspace, place};
use crate::disk::Stamp;
use crate::ids::{DocVersion, Revision};
use crate::metrics::Op;
use crate::paths::DocKey;
use crate::text::{EditSet, Encoding, Text};

/// What only we need to know of an open document.
#[derive(Debug)]
pub(super) struct Slot {
    /// The latest edits.
    pub(super) ring: Ring,
    /// Tells this opening from earlier ones of the same document.
    pub(super) opened: u64,
    /// The file on disk when the document was opened or saved last.
    pub(super) stamp: Option<Stamp>,
    /// Whether the document changed since then.
    pub(super) dirty: bool,
}

impl Slot {
    /// Which opening it is, the file on disk at that time or at the last save, and whether it changed since.
    pub(super) fn about(&self) -> (u64, Option<Stamp>, bool) {
        (self.opened, self.stamp, self.dirty)
    }
}

/// Documents that were changed unopened and are remembered; a client that does this at all does it for a few.
const MAX_STRANGERS: usize = 1_000;

impl Workspace {
    /// The client opened a document. Opened twice, the last text counts, but nobody knows which one the client
    /// shows.
    pub fn open(&self, uri: &str, language: &str, version: Option<DocVersion>, text: Text) -> Sync {
        // Links and stamp are asked for before the lock is taken: a slow disk must not stop everyone else.
        let (key, path) = place(&self.roots(), uri);
        let stamp = path.as_ref().and_then(|path| self.disk.stat(path).ok());
        let mut state = self.lock();
        let opened = state.next();
        let known = state.uris.get(uri).cloned();
        let twice = known.is_some();
        let (key, path) = match (known, state.documents.get(&key)) {
            (Some(known), _) => {
                let path = state.documents.get(&known).and_then(|document| document.path.clone());
                (known, path)
            }
            // Two names of one file, both open: each is a document of its own, and the first stands for the file.
            (None, Some(_)) => (DocKey::of_uri(&format!("alias:{uri}")), None),
            (None, None) => (key, path),
        };
        let uri: Arc<str> = Arc::from(uri);
        state.strangers.remove(&key);
        let revision = state.documents.get(&key).map_or(Revision(0), |before| Revision(before.revision.0 + 1));
        let document = Document {
            uri: uri.clone(),
            key: key.clone(),
            path: path.clone(),
            language: Arc::from(language),
            version,
            revision,
            changed: opened,
            text: text.clone(),
            synced: !twice,
        };
        Arc::make_mut(&mut state.documents).insert(key.clone(), Arc::new(document));
        state.uris.insert(uri.clone(), key.clone());
        state.slots.insert(key, Slot { ring: Ring::default(), opened, stamp, dirty: false });
        if let Some(path) = path {
            state.follow_jump(&path, &text, super::entry::Home::Open);
            state.tell_opened(&path, &uri, version, &text);
        }
        drop(state);
        self.ring();
        if twice { lost(&uri, "it was opened twice") } else { Sync::Following }
    }

    /// The client changed a document; `changes` are applied in order. A version that does not grow, or a change outside
    /// the text, means that we no longer know what the client shows.
    pub fn change(
        &self,
        uri: &str,
        version: Option<DocVersion>,
        changes: &[ContentChange<'_>],
        encoding: Encoding,
    ) -> Sync {
        let span = self.metrics.span(Op::Change);
        let state = self.follow_changes(uri, version, changes, encoding);
        span.end_why(matches!(state, Sync::Following), || {
            let bytes: usize = changes.iter().map(|change| change.text.len()).sum();
            format!("{} changes of {bytes} bytes were taken in", changes.len()).into()
        });
        state
    }

    fn follow_changes(
        &self,
        uri: &str,
        version: Option<DocVersion>,
        changes: &[ContentChange<'_>],
        encoding: Encoding,
    ) -> Sync {
        let mut guard = self.lock();
        let state = &mut *guard;
        let Some(key) = state.key(uri) else {
            let (key, _) = place(&state.roots, uri);
            let known = state.strangers.len() >= MAX_STRANGERS || !state.strangers.insert(key);
            return if known { Sync::StillLost } else { lost(uri, "it was changed before it was opened") };
        };
        let Some(before) = state.documents.get(&key).cloned() else { return Sync::StillLost };
        let mut why = match (before.version, version) {
            (Some(before), Some(now)) if now <= before => Some("its version did not grow"),
            _ => None,
        };
        let mut text = before.text.clone();
        let mut revision = before.revision;
        let mut typing = state.typing(&before);
        for change in changes {
            let old = text.clone();
            let edit = match change.range {
                Some(range) if range.start.line as usize > text.lines() => {
                    why = Some("a change lies outside its text");
                    let end = text.offsets(range, encoding);
                    EditSet::replace(text.len(), end, change.text.as_ref())
                }
                Some(range) => EditSet::replace(text.len(), text.offsets(range, encoding), change.text.as_ref()),
                None => Ok(carry::difference(&text, &Text::from(change.text.as_ref()))),
            };
            let Ok(edit) = edit.and_then(|edit| edit.apply_to(&mut text).map(|()| edit)) else {
                why = Some("a change does not fit its text");
                continue;
            };
            revision.0 += 1;
            if let Some(typing) = &mut typing {
                typing.step(&edit);
            }
            if let Some(path) = before.path.as_ref().filter(|_| !state.runs.is_empty()) {
                let _span = self.metrics.span(Op::Rebase);
                state.follow(path, &edit, &old, &text);
            }
            if let Some(slot) = state.slots.get_mut(&key) {
                slot.dirty = true;
                slot.ring.push(revision, edit);
            }
        }
        let synced = before.synced && why.is_none();
        let was_synced = before.synced;
        let changed = state.next();
        let after = Document { version, revision, changed, text, synced, ..Document::clone(&before) };
        drop(before);
        if let Some(document) = Arc::make_mut(&mut state.documents).get_mut(&key) {
            *document = Arc::new(after);
        }
        if let Some(typing) = typing {
            state.tell_typed(typing, uri, version);
        }
        drop(guard);
        self.ring();
        match why {
            Some(why) if was_synced => lost(uri, why),
            _ if synced => Sync::Following,
            _ => Sync::StillLost,
        }
    }

    /// What we hold of a document is not what the client shows, for a reason that only the caller can know, such as
    /// a broken character in the message that had to be repaired.
    pub fn distrust(&self, uri: &str, why: &'static str) -> Sync {
        let mut state = self.lock();
        let Some(key) = state.key(uri) else { return Sync::StillLost };
        let Some(document) = Arc::make_mut(&mut state.documents).get_mut(&key) else { return Sync::StillLost };
        let was_synced = std::mem::replace(&mut Arc::make_mut(document).synced, false);
        drop(state);
        if was_synced { lost(uri, why) } else { Sync::StillLost }
    }

    /// The client closed a document: from now on the file on disk counts.
    pub fn close(&self, uri: &str) {
        let mut state = self.lock();
        let Some(key) = state.key(uri) else {
            let (key, _) = place(&state.roots, uri);
            state.strangers.remove(&key);
            return;
        };
        state.uris.retain(|_, other| *other != key);
        state.slots.remove(&key);
        let closed = Arc::make_mut(&mut state.documents).remove(&key);
        if let Some(path) = closed.and_then(|document| document.path.clone()) {
            state.leave(&path);
            state.tell_closed(&path, uri);
        }
        drop(state);
        self.ring();
    }

    /// The client saved a document: buffer and file are one again.
    pub fn saved(&self, uri: &str) {
        let document = self.document(uri);
        let path = document.as_ref().and_then(|document| document.path.as_ref());
        let stamp = path.and_then(|path| self.disk.stat(path).ok());
        let mut state = self.lock();
        if let Some(slot) = state.key(uri).and_then(|key| state.slots.get_mut(&key)) {
            slot.stamp = stamp;
            slot.dirty = false;
        }
        if let Some(path) = document.as_ref().and_then(|document| document.path.as_ref()) {
            state.tell_saved(path, uri);
        }
        drop(state);
        self.ring();
    }

    /// All open documents.
    pub fn documents(&self) -> super::Snapshot {
        self.lock().documents.clone()
    }

    /// The open document with this URI.
    pub fn document(&self, uri: &str) -> Option<Arc<Document>> {
        let state = self.lock();
        state.key(uri).and_then(|key| state.documents.get(&key).cloned())
    }
}

impl State {
    /// The key of the open document that the client means by `uri`, however it spells it this time.
    pub(super) fn key(&self, uri: &str) -> Option<DocKey> {
        if let Some(key) = self.uris.get(uri) {
            return Some(key.clone());
        }
        let (key, _) = place(&self.roots, uri);
        self.documents.contains_key(&key).then_some(key)
    }

    /// Gives each open document its place in the roots as they are now.
    pub(super) fn place_documents(&mut self) {
        let mut documents: Vec<_> = self.documents.values().cloned().collect();
        // Those that stood for their file keep doing so.
        documents.sort_by_key(|document| (document.path.is_none(), document.uri.clone()));
        let mut placed = super::Snapshot::default();
        let into = Arc::make_mut(&mut placed);
        let mut slots = HashMap::with_capacity(self.slots.len());
        for document in documents {
            let (key, path) = place(&self.roots, &document.uri);
            let (key, path) = match into.contains_key(&key) {
                true => (DocKey::of_uri(&format!("alias:{}", document.uri)), None),
                false => (key, path),
            };
            if let Some(slot) = self.slots.remove(&document.key) {
                slots.insert(key.clone(), slot);
            }
            self.uris.insert(document.uri.clone(), key.clone());
            into.insert(key.clone(), Arc::new(Document { key, path, ..Document::clone(&document) }));
        }
        self.documents = placed;
        self.slots = slots;
    }
}

fn lost(uri: &str, why: &'static str) -> Sync {
    tracing::warn!(uri, why, "lost track of a document; no edits to it until it is closed and opened again");
    Sync::Lost(why)
}
