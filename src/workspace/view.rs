//! Reading as a run sees it: staged, else open in the editor, else on disk.

use std::collections::HashMap;
use std::sync::Arc;

use thiserror::Error;

use super::Workspace;
use super::carry::Carried;
use super::entry::{Area, Dropped, Entry, Home, Want};
use crate::disk::{DiskError, Stamp};
use crate::ids::{DocVersion, Revision, RunId};
use crate::metrics::Op;
use crate::paths::{PathError, WsPath, beneath};
use crate::text::Text;

/// One file at one moment, and enough to tell later what was seen.
#[derive(Clone, Debug)]
pub struct FileView {
    /// Where it really is, links resolved.
    pub path: WsPath,
    /// The path it was asked for by.
    pub asked: WsPath,
    /// Its text.
    pub text: Text,
    /// Where the text comes from.
    pub source: Source,
    /// Names this very text, so that an edit made on it is carried over what happened since, or refused.
    pub seen: Seen,
    /// Something the model should know about it.
    pub note: Option<&'static str>,
}

/// One file as [`FileView`] has it, for who only shows it: a text from the disk is left in one piece, because to make
/// a rope of it takes longer than to read it.
#[derive(Clone, Debug)]
pub struct Glance {
    /// Where it really is, links resolved.
    pub path: WsPath,
    /// Its text.
    pub text: Body,
    /// Where the text comes from.
    pub source: Source,
    /// Names this very text.
    pub seen: Seen,
    /// Something the model should know about it.
    pub note: Option<&'static str>,
}

/// A text as it was at hand.
#[derive(Clone, Debug)]
pub enum Body {
    /// As it is edited.
    Rope(Text),
    /// In one piece.
    Plain(Arc<str>),
}

/// Where a text comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// What the run has staged.
    Staged,
    /// The editor's buffer, saved or not.
    Open {
        /// The client's version.
        version: Option<DocVersion>,
        /// Our count of its changes.
        revision: Revision,
    },
    /// The file.
    Disk {
        /// Which generation of it.
        stamp: Stamp,
    },
}

/// Names one text of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen(pub(super) At);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum At {
    Staged { serial: u64 },
    Open { opened: u64, revision: Revision },
    Disk { stamp: Stamp },
}

/// Why a file cannot be read; the message is for the model.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The run has staged its deletion.
    #[error("`{0}` was deleted earlier in this run")]
    Deleted(WsPath),
    /// The run has staged another name for it.
    #[error("`{from}` was moved to `{to}` earlier in this run; use that path")]
    Moved {
        /// Its name so far.
        from: WsPath,
        /// Its new name.
        to: WsPath,
    },
    /// The path does not work out.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The disk has none to give.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// What differs from the disk, as a run sees it: for tools that look at many files.
#[derive(Clone, Debug, Default)]
pub struct Overlay {
    files: HashMap<WsPath, Overlaid>,
}

/// One file that is not as it is on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Overlaid {
    /// It has this text; it may not be on disk at all.
    Text(Text),
    /// It is not there.
    Gone,
}

impl Overlay {
    /// What stands in for the file at `path`, which must have no links in it; `None` if the disk counts.
    pub fn get(&self, path: &WsPath) -> Option<&Overlaid> {
        self.files.get(path)
    }

    /// All of it, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&WsPath, &Overlaid)> {
        self.files.iter()
    }

    /// Number of files.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether the disk counts everywhere.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }
}

pub(super) const LOST: &str =
    "the server has lost track of the editor's buffer; this text may be wrong and is not edited";

/// What a reader of an open document is told besides its text. The disk is looked at only when there is something to
/// lose: an unchanged buffer is reloaded by the editor.
pub(super) fn note_of(
    synced: bool,
    (_, stamp, dirty): (u64, Option<Stamp>, bool),
    on_disk: impl FnOnce() -> Option<Stamp>,
) -> Option<&'static str> {
    match synced {
        false => Some(LOST),
        true if dirty && stamp.is_some() && on_disk() != stamp => {
            Some("the file on disk was changed, too, since it was opened; this is the unsaved buffer")
        }
        true => None,
    }
}

impl Workspace {
    /// The file as `run` sees it, or as the user does. May read the disk.
    pub fn read(&self, run: Option<&RunId>, path: &WsPath) -> Result<FileView, ReadError> {
        let Glance { path: real, text, source, seen, note } = self.glance(run, path)?;
        let text = match text {
            Body::Rope(text) => text,
            Body::Plain(text) => Text::from(&*text),
        };
        Ok(FileView { path: real, asked: path.clone(), text, source, seen, note })
    }

    /// The same without a rope of what comes from the disk.
    pub fn glance(&self, run: Option<&RunId>, path: &WsPath) -> Result<Glance, ReadError> {
        let span = self.metrics.span(Op::Snapshot);
        let glance = self.find(run, path);
        span.end_why(glance.is_ok(), || format!("{path} was read").into());
        glance
    }

    fn find(&self, run: Option<&RunId>, path: &WsPath) -> Result<Glance, ReadError> {
        let path = self.real(path)?;
        if let Some(run) = run {
            self.refresh(run, &path);
        }
        let open = {
            let state = self.lock();
            if let Some(entry) = run.and_then(|run| state.runs.get(run)?.files.get(&path)) {
                return match &entry.want {
                    Want::Gone => Err(ReadError::Deleted(path)),
                    Want::Moved(to) => Err(ReadError::Moved { to: to.clone(), from: path }),
                    Want::Text => {
                        let seen = Seen(At::Staged { serial: entry.serial });
                        let text = Body::Rope(entry.text());
                        Ok(Glance { path, text, source: Source::Staged, seen, note: None })
                    }
                };
            }
            state.open_at(&path).and_then(|document| Some((document.clone(), state.slots.get(&document.key)?.about())))
        };
        let Some((document, about @ (opened, ..))) = open else {
            let note = self.lock().is_unsynced(&path).then_some(LOST);
            let file = self.disk.read(&path)?;
            let (text, stamp) = (Body::Plain(file.text.clone()), file.stamp);
            let (source, seen) = (Source::Disk { stamp }, Seen(At::Disk { stamp }));
            return Ok(Glance { path, text, source, seen, note });
        };
        let note = note_of(document.synced, about, || self.disk.stat(&path).ok());
        Ok(Glance {
            path,
            text: Body::Rope(document.text.clone()),
            source: Source::Open { version: document.version, revision: document.revision },
            seen: Seen(At::Open { opened, revision: document.revision }),
            note,
        })
    }

    /// Whether there is a file at `path` for `run`, or for the user. May ask the disk.
    pub fn exists(&self, run: Option<&RunId>, path: &WsPath) -> bool {
        let Ok(path) = self.real(path) else { return false };
        {
            let state = self.lock();
            if let Some(entry) = run.and_then(|run| state.runs.get(run)?.files.get(&path)) {
                return entry.want == Want::Text;
            }
            if state.open_at(&path).is_some() {
                return true;
            }
        }
        self.disk.exists(&path)
    }

    /// All that `run`, or the user, sees otherwise than it is on disk: open documents and staged files.
    pub fn overlay(&self, run: Option<&RunId>) -> Overlay {
        let span = self.metrics.span(Op::Snapshot);
        let (documents, staged) = {
            let state = self.lock();
            let area = run.and_then(|run| state.runs.get(run));
            let staged: Vec<_> = area
                .into_iter()
                .flat_map(|area| &area.files)
                .map(|(path, entry)| (path.clone(), entry.clone()))
                .collect();
            (state.documents.clone(), staged)
        };
        let open = documents
            .values()
            .filter_map(|document| Some((document.path.clone()?, Overlaid::Text(document.text.clone()))));
        let mut files: HashMap<_, _> = open.collect();
        files.extend(staged.into_iter().map(|(path, entry)| match entry.want {
            Want::Text => (path, Overlaid::Text(entry.text())),
            Want::Gone | Want::Moved(_) => (path, Overlaid::Gone),
        }));
        span.end_why(true, || format!("{} files were looked at", files.len()).into());
        Overlay { files }
    }

    /// Brings what `run` wants of a closed file up to the file as it is on disk now.
    pub(super) fn refresh(&self, run: &RunId, path: &WsPath) {
        for _ in 0..3 {
            let mut state = self.lock();
            let Some(area) = state.runs.get(run) else { return };
            let Some(entry) = area.files.get(path) else { return };
            let (source, home, serial) = (entry.source(path).clone(), entry.home, entry.serial);
            // A rename that is under way may have taken the old name already.
            let renaming = entry.from.as_ref().and_then(|from| area.files.get(from)).is_some_and(Entry::is_sent);
            if entry.is_sent() || renaming {
                return;
            }
            if let Some(text) = state.open_at(&source).map(|document| document.text.clone()) {
                if home != Home::Open {
                    state.follow_jump(&source, &text, Home::Open);
                }
                return;
            }
            let mut carried = entry.carried.clone();
            drop(state);
            let (after, home) = match self.disk.stat(&source) {
                Ok(stamp) if home == Home::Disk(stamp) => return,
                Ok(_) => match self.disk.read(&source) {
                    Ok(file) => (Some(Text::from(&*file.text)), Home::Disk(file.stamp)),
                    Err(_) => return,
                },
                Err(error) if error.is_missing() && home == Home::Nowhere => return,
                Err(error) if error.is_missing() => (None, Home::Nowhere),
                Err(_) => return,
            };
            let moved = after.as_ref().map(|after| carried.jump(after));
            let mut state = self.lock();
            let next = state.next();
            let Some(area) = state.runs.get_mut(run) else { return };
            let Some(entry) = area.files.get_mut(path).filter(|entry| entry.serial == serial) else { continue };
            match (after, moved) {
                (Some(after), Some(moved)) => {
                    entry.home = home;
                    entry.serial = next;
                    if !entry.exists && entry.from.is_none() && entry.want == Want::Text {
                        area.meet_existing(path, &after);
                    } else {
                        entry.carried = carried;
                        area.moved(path, moved, &after);
                    }
                }
                _ => area.lose(path),
            }
            return;
        }
    }
}

impl Workspace {
    /// What `run` wants of the file at `path` has become impossible.
    pub(super) fn lose(&self, run: &RunId, path: &WsPath) {
        let mut state = self.lock();
        if let Some(area) = state.runs.get_mut(run)
            && area.files.get(path).is_some_and(|entry| !entry.is_sent())
        {
            area.lose(path);
        }
    }
}

impl Area {
    /// The user's side has removed the file that an entry is about.
    fn lose(&mut self, path: &WsPath) {
        let Some(entry) = self.files.remove(path) else { return };
        if let Some(from) = &entry.from {
            self.files.remove(from);
        }
        if entry.want == Want::Text && !entry.carried.edits.is_empty() {
            let Carried { edits, .. } = &entry.carried;
            let ours: String = edits.edits().iter().map(|edit| edit.text.as_str()).take(8).collect();
            self.drop_edits(path, vec![Dropped { at: 0..0, lines: 0..0, ours, theirs: String::new() }]);
        }
    }
}

/// Whether something that is not a folder stands where a folder of `path` would have to be.
pub(super) fn is_blocked(path: &WsPath) -> bool {
    let mut above = path.parent();
    while let Some(folder) = above {
        match beneath::kind(&folder) {
            None => above = folder.parent(),
            Some(kind) => return !matches!(kind, crate::paths::Kind::Folder | crate::paths::Kind::Link),
        }
    }
    false
}
