//! Staging: what a run wants to change, kept apart until it is delivered.

use std::collections::HashSet;
use std::ops::Range;

use thiserror::Error;

use super::carry::{self, Carried};
use super::document::Ring;
use super::entry::{Area, Conflict, Entry, Home, Phase, Want};
use super::protected::Protection;
use super::view::{At, FileView, ReadError, Seen};
use super::{State, Workspace};
use crate::disk::DiskError;
use crate::ids::RunId;
use crate::metrics::Op;
use crate::paths::{PathError, WsPath};
use crate::text::rebase::rebase_hunks;
use crate::text::{EditSet, Text};

/// Files one run may stage: a run that touches more has lost its way.
pub const MAX_FILES: usize = 2_000;

/// Runs that are over of which we can still recognise and take back edits.
const MAX_ENDED: usize = 64;

/// What staging led to.
#[derive(Clone, Debug)]
pub struct Staged {
    /// The file.
    pub path: WsPath,
    /// Its text as the user has it.
    pub before: Text,
    /// Its text as the run sees it now.
    pub text: Text,
    /// Whether the user must be asked before it is delivered.
    pub protection: Protection,
}

/// One file that a run wants otherwise.
#[derive(Clone, Debug)]
pub struct StagedFile {
    /// The file, by its new name if it gets one.
    pub path: WsPath,
    /// Its URI, as the client spells it if it is open.
    pub uri: String,
    /// What is to happen to it.
    pub kind: StagedKind,
    /// Its text as the user has it; empty for a new file.
    pub before: Text,
    /// Its text as the run wants it; empty for a deleted file.
    pub after: Text,
    /// Whether the user must be asked before it is delivered.
    pub protection: Protection,
    /// Whether we know what the client shows of it; if not, it is not delivered.
    pub synced: bool,
}

/// What is to happen to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StagedKind {
    /// Its text changes.
    Edited,
    /// It is made.
    Created,
    /// It is removed.
    Deleted,
    /// It gets another name, and perhaps another text.
    Renamed {
        /// Its name so far.
        from: WsPath,
    },
}

/// Why something cannot be staged; the message is for the model.
#[derive(Debug, Error)]
pub enum StageError {
    /// The file may not be written.
    #[error("`{path}` must not be changed: {reason}")]
    Denied {
        /// The file.
        path: WsPath,
        /// Why.
        reason: &'static str,
    },
    /// The text that the edit is for has changed since.
    #[error("`{0}` was changed since you read it, in the same place; read it again and make the edit on the new text")]
    Stale(WsPath),
    /// Nobody knows what the client shows.
    #[error("the editor's buffer of `{0}` is out of step with the server; it can be edited again once it is reopened")]
    Unsynced(WsPath),
    /// There is a file.
    #[error("`{0}` exists already; edit it, or choose another name")]
    Exists(WsPath),
    /// A folder is needed where there is a file.
    #[error("`{0}` cannot be made: a part of its path is a file; choose another folder")]
    Blocked(WsPath),
    /// It is no name of a file.
    #[error("`{0}` is the workspace folder itself; name a file in it")]
    NoName(WsPath),
    /// A delivery of the file is under way.
    #[error("`{0}` is being handed to the editor; try again when that is done")]
    Busy(WsPath),
    /// The run was not begun or is over.
    #[error("this run is over; nothing more can be changed by it")]
    NoRun,
    /// Too much is staged.
    #[error("this run has changed {MAX_FILES} files already; finish it and go on in another one")]
    TooMany,
    /// The text is too large.
    #[error("the text of `{path}` would have {size} bytes, more than the limit of {limit}; make it smaller")]
    TooLarge {
        /// The file.
        path: WsPath,
        /// The size it would have, in bytes.
        size: usize,
        /// The limit, in bytes.
        limit: u64,
    },
    /// The edits do not fit the text they were made on.
    #[error("the edit does not fit `{0}`; read it again")]
    Unfit(WsPath),
    /// The file cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl From<DiskError> for StageError {
    fn from(error: DiskError) -> Self {
        Self::Read(error.into())
    }
}

impl From<PathError> for StageError {
    fn from(error: PathError) -> Self {
        Self::Read(error.into())
    }
}

impl Workspace {
    /// Opens the staging area of a run.
    pub fn begin(&self, run: RunId) {
        self.lock().runs.entry(run).or_default().over = false;
    }

    /// Closes it: what was staged and never sent is forgotten. What landed can still be taken back, and what was sent
    /// is still recognised if it lands later, for the last 64 runs that did either. Ask for conflicts before.
    pub fn end(&self, run: &RunId) {
        let mut state = self.lock();
        let Some(area) = state.runs.get_mut(run) else { return };
        area.over = true;
        area.files.retain(|_, entry| entry.is_sent());
        if area.files.is_empty() && area.landed.is_empty() {
            state.runs.remove(run);
            return;
        }
        state.ended.retain(|other| other != run);
        state.ended.push(run.clone());
        if state.ended.len() > MAX_ENDED {
            let oldest = state.ended.remove(0);
            state.runs.remove(&oldest);
        }
    }

    /// Forgets what is staged for these files, given by every name they have, and was not sent; the run's other files
    /// stay as they are.
    pub fn unstage(&self, run: &RunId, paths: &HashSet<WsPath>) {
        let mut state = self.lock();
        let Some(area) = state.runs.get_mut(run) else { return };
        area.files.retain(|path, entry| entry.is_sent() || !paths.contains(path));
        area.conflicts.retain(|path, _| !paths.contains(path));
        for path in paths {
            state.tell_staged(run, path);
        }
    }

    /// Stages edits of the text in `view`. What the user, or another call of the run, did to the file since is kept:
    /// the edits are carried over it.
    pub fn stage_edit(&self, run: &RunId, view: &FileView, edits: EditSet) -> Result<Staged, StageError> {
        self.staging(|| self.edit(run, view, edits))
    }

    /// Does the work as one operation of staging.
    pub(super) fn staging(&self, stage: impl FnOnce() -> Result<Staged, StageError>) -> Result<Staged, StageError> {
        let span = self.metrics.span(Op::Stage);
        let staged = stage();
        span.end_why(staged.is_ok(), || match &staged {
            Ok(staged) => format!("{} was staged", staged.path).into(),
            Err(error) => error.to_string().into(),
        });
        staged
    }

    fn edit(&self, run: &RunId, view: &FileView, edits: EditSet) -> Result<Staged, StageError> {
        let path = &view.path;
        let protection = self.allowed(path)?.max(self.allowed(&view.asked)?);
        let unfit = || StageError::Unfit(path.clone());
        if edits.base_len() != view.text.len() || edits.apply(&view.text).is_err() {
            return Err(unfit());
        }
        let edits = carry::conform(&view.text, edits);
        let edits = carry::without_idle(&view.text, carry::minimal(&view.text, &edits));
        let limit = self.disk.limits().max_file_bytes;
        if edits.new_len() as u64 > limit {
            return Err(StageError::TooLarge { path: path.clone(), size: edits.new_len(), limit });
        }
        loop {
            let now = self.read(Some(run), path)?;
            let edits = self.carry_forward(view, &now, &edits)?;
            let mut state = self.lock();
            if state.is_unsynced(path) {
                return Err(StageError::Unsynced(path.clone()));
            }
            // Somebody was faster: look again.
            if !state.is_current(run, &now) {
                continue;
            }
            let serial = state.next();
            let area = state.area(run)?;
            area.clear_conflicts(path, &edits, &now.text);
            let entry = match area.files.get_mut(path) {
                Some(entry) if entry.is_sent() => return Err(StageError::Busy(path.clone())),
                Some(entry) => {
                    let both = entry.carried.edits.compose(&edits).map_err(|_| unfit())?;
                    entry.carried.edits = carry::without_idle(&entry.carried.base, both);
                    entry.protection = entry.protection.max(protection);
                    entry.serial = serial;
                    entry
                }
                None => {
                    area.has_room()?;
                    let home = match now.seen.0 {
                        At::Disk { stamp } => Home::Disk(stamp),
                        At::Open { .. } | At::Staged { .. } => Home::Open,
                    };
                    let carried = Carried::new(now.text.clone(), edits);
                    let entry = Entry {
                        want: Want::Text,
                        exists: true,
                        from: None,
                        carried,
                        home,
                        phase: Phase::Draft,
                        protection,
                        serial,
                    };
                    area.files.entry(path.clone()).or_insert(entry)
                }
            };
            let staged = entry.report(path);
            state.tell_carried(run, path, view.seen != now.seen);
            return Ok(staged);
        }
    }

    /// What `run` wants otherwise, by path.
    pub fn staged(&self, run: &RunId) -> Vec<StagedFile> {
        let state = self.lock();
        let Some(area) = state.runs.get(run) else { return Vec::new() };
        let wanted = area.files.iter().filter(|(_, entry)| !entry.is_idle() && !matches!(entry.want, Want::Moved(_)));
        let files = wanted.map(|(path, entry)| {
            let gone = entry.want == Want::Gone;
            let kind = match &entry.from {
                _ if gone => StagedKind::Deleted,
                Some(from) => StagedKind::Renamed { from: from.clone() },
                None if !entry.exists => StagedKind::Created,
                None => StagedKind::Edited,
            };
            StagedFile {
                path: path.clone(),
                uri: state.uri_of(path),
                kind,
                before: entry.carried.base.clone(),
                after: if gone { Text::default() } else { entry.text() },
                protection: entry.protection,
                synced: !state.is_unsynced(entry.source(path)),
            }
        });
        files.collect()
    }

    /// Where the run and the user changed the same text: these parts of the run's edits were not applied.
    pub fn conflicts(&self, run: &RunId) -> Vec<Conflict> {
        let state = self.lock();
        let Some(area) = state.runs.get(run) else { return Vec::new() };
        let all = area.conflicts.iter().flat_map(|(path, dropped)| dropped.iter().map(|dropped| dropped.report(path)));
        all.collect()
    }

    /// `edits` of the text in `view` as edits of the text in `now`.
    fn carry_forward(&self, view: &FileView, now: &FileView, edits: &EditSet) -> Result<EditSet, StageError> {
        if view.seen == now.seen {
            return Ok(edits.clone());
        }
        let stale = || StageError::Stale(view.path.clone());
        let carry = |edits: &EditSet, base: &Text, over: &EditSet| match rebase_hunks(edits, over, base) {
            Ok(rebased) if rebased.conflicts.is_empty() => Ok(rebased.edits),
            _ => Err(stale()),
        };
        match (view.seen.0, now.seen.0) {
            (At::Open { opened, revision }, At::Open { opened: same, revision: to }) if opened == same => {
                let state = self.lock();
                let slot = state.open_at(&view.path).and_then(|document| state.slots.get(&document.key));
                let steps = slot.and_then(|slot| Ring::since(&slot.ring, revision, to)).ok_or_else(stale)?;
                let (mut edits, mut base) = (edits.clone(), view.text.clone());
                for step in steps {
                    edits = carry(&edits, &base, step)?;
                    step.apply_to(&mut base).map_err(|_| stale())?;
                }
                if edits.base_len() == now.text.len() { Ok(edits) } else { Err(stale()) }
            }
            _ => carry(edits, &view.text, &carry::difference(&view.text, &now.text)),
        }
    }
}

impl Workspace {
    /// Whether the file may be staged at all.
    pub(super) fn allowed(&self, path: &WsPath) -> Result<Protection, StageError> {
        if path.rel().is_empty() {
            return Err(StageError::NoName(path.clone()));
        }
        match self.protection(path) {
            Protection::Deny(reason) => Err(StageError::Denied { path: path.clone(), reason }),
            other => Ok(other),
        }
    }
}

impl Entry {
    /// What the tool that staged it is told.
    pub(super) fn report(&self, path: &WsPath) -> Staged {
        let text = if self.want == Want::Text { self.text() } else { Text::default() };
        Staged { path: path.clone(), before: self.carried.base.clone(), text, protection: self.protection }
    }
}

impl Area {
    /// An error if the run has staged enough.
    pub(super) fn has_room(&self) -> Result<(), StageError> {
        if self.files.len() < MAX_FILES { Ok(()) } else { Err(StageError::TooMany) }
    }

    /// An edit on lines where something was dropped settles the matter there.
    fn clear_conflicts(&mut self, path: &WsPath, edits: &EditSet, text: &Text) {
        let Some(known) = self.conflicts.get_mut(path) else { return };
        let staged = self.files.get(path).map(|entry| &entry.carried.edits);
        // What ends where a line begins does not touch that line.
        let lines = |range: &Range<usize>| {
            let end = if range.is_empty() { range.end } else { range.end - 1 };
            text.line_at(range.start)..=text.line_at(end)
        };
        known.retain(|dropped| {
            let at = match staged {
                Some(staged) if dropped.at.end <= staged.base_len() => staged.map_range(dropped.at.clone()),
                _ => dropped.at.clone(),
            };
            let there = lines(&at);
            !edits
                .edits()
                .iter()
                .map(|edit| lines(&edit.range))
                .any(|here| here.start() <= there.end() && there.start() <= here.end())
        });
        if known.is_empty() {
            self.conflicts.remove(path);
        }
    }
}

impl State {
    /// The area of a run that goes on.
    pub(super) fn area(&mut self, run: &RunId) -> Result<&mut Area, StageError> {
        self.runs.get_mut(run).filter(|area| !area.over).ok_or(StageError::NoRun)
    }

    /// Whether we do not know what the client shows of the file at `path`.
    pub(super) fn is_unsynced(&self, path: &WsPath) -> bool {
        self.open_at(path).is_some_and(|document| !document.synced)
            || (!self.strangers.is_empty() && self.strangers.contains(&super::key_of(path)))
    }

    /// Whether `view` is still what the run sees.
    fn is_current(&self, run: &RunId, view: &FileView) -> bool {
        let Seen(at) = view.seen;
        let entry = self.runs.get(run).and_then(|area| area.files.get(&view.path));
        let open = self.open_at(&view.path);
        match at {
            At::Staged { serial } => entry.is_some_and(|entry| entry.serial == serial),
            At::Open { opened, revision } => {
                let same = |document: &std::sync::Arc<super::Document>| {
                    document.revision == revision
                        && self.slots.get(&document.key).is_some_and(|slot| slot.opened == opened)
                };
                entry.is_none() && open.is_some_and(same)
            }
            At::Disk { .. } => entry.is_none() && open.is_none(),
        }
    }

    /// The URI of the file at `path`, as the client spells it if it is open.
    pub(super) fn uri_of(&self, path: &WsPath) -> String {
        self.open_at(path).map_or_else(|| path.uri(), |document| document.uri.to_string())
    }
}
