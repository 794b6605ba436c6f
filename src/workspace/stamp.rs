//! What a remembered answer was made from, told without reading it again: equal stamps, equal texts.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::OnceLock;
use std::time::SystemTime;

use super::Workspace;
use super::entry::Want;
use super::view::{At, ReadError, Seen, note_of};
use crate::ids::RunId;
use crate::paths::WsPath;

/// Names one text of one file as a reader was shown it, with the remark that came with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// The text.
    pub seen: Seen,
    /// The remark.
    pub note: Option<&'static str>,
}

impl Look {
    /// Bytes that reading the text takes from the disk; none for one that is open or staged.
    pub fn disk_bytes(&self) -> u64 {
        match self.seen.0 {
            At::Disk { stamp } => stamp.size,
            At::Staged { .. } | At::Open { .. } => 0,
        }
    }

    /// Whether the text was surely the only one of this name at `time`: a file that was written a moment before may
    /// be written again with the same time stamp.
    pub fn is_settled(&self, time: SystemTime) -> bool {
        match self.seen.0 {
            At::Disk { stamp } => !stamp.is_fresh_at(time),
            At::Staged { .. } | At::Open { .. } => true,
        }
    }
}

impl Workspace {
    /// What [`Workspace::read`] would find now, without the text: the disk is asked for the file's stamp at most.
    pub fn look(&self, run: Option<&RunId>, path: &WsPath) -> Result<Look, ReadError> {
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
                    Want::Text => Ok(Look { seen: Seen(At::Staged { serial: entry.serial }), note: None }),
                };
            }
            let open = state.open_at(&path).and_then(|document| {
                let slot = state.slots.get(&document.key)?;
                Some((document.revision, document.synced, slot.about()))
            });
            open.ok_or_else(|| state.is_unsynced(&path))
        };
        match open {
            Ok((revision, synced, about @ (opened, ..))) => {
                let note = note_of(synced, about, || self.disk.stat(&path).ok());
                Ok(Look { seen: Seen(At::Open { opened, revision }), note })
            }
            Err(unsynced) => {
                let stamp = self.disk.stat(&path)?;
                Ok(Look { seen: Seen(At::Disk { stamp }), note: unsynced.then_some(super::view::LOST) })
            }
        }
    }

    /// A number for what `run` sees otherwise than the disk at or below `base`, which has no links in it: which files
    /// there are and, if asked for, their texts. Equal numbers, equal sights; a run that has staged nothing there has
    /// the number of the user.
    pub fn overlay_stamp(&self, run: Option<&RunId>, base: &WsPath, texts: bool) -> u64 {
        let state = self.lock();
        let mut sum = 0_u64;
        // A sum, because neither map has an order.
        let mut add = |path: &WsPath, kind: u8, version: (u64, u64)| {
            if path.is_in(base) {
                let sight = (path, kind, if texts { version } else { (0, 0) });
                sum = sum.wrapping_add(hashing().hash_one(sight) | 1);
            }
        };
        let area = run.and_then(|run| state.runs.get(run));
        for document in state.documents.values() {
            let Some(path) = &document.path else { continue };
            let opened = state.slots.get(&document.key).map_or(0, |slot| slot.opened);
            add(path, 0, (opened, document.revision.0));
        }
        for (path, entry) in area.into_iter().flat_map(|area| &area.files) {
            let kind = match entry.want {
                Want::Text => 1,
                Want::Gone | Want::Moved(_) => 2,
            };
            add(path, kind, (entry.serial, 0));
        }
        sum
    }
}

/// Keyed anew in each process, so that nobody can make two sights with one number.
fn hashing() -> &'static RandomState {
    static STATE: OnceLock<RandomState> = OnceLock::new();
    STATE.get_or_init(RandomState::new)
}
