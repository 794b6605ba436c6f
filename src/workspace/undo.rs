//! Taking a run's edits back, and nothing else.
//!
//! For each landed edit its inverse was kept and carried over all that was typed since. To revert is to stage these
//! inverses: from then on they are delivered, rebased, refused and recognised like any other edit.

use super::Workspace;
use super::carry::Carried;
use super::delivery::Delivery;
use super::entry::{Area, Deed, Dropped, Entry, Home, Landed, Phase, Want};
use crate::ids::RunId;
use crate::paths::{WsPath, beneath};
use crate::text::{EditSet, Text};

impl Workspace {
    /// Stages the inverse of what landed of `run`, in place of anything else it has staged, and says what is to be
    /// sent. Where the user changed the same text since, it stays and is a conflict: see [`Workspace::conflicts`].
    /// When the inverse has landed, it can be taken back in turn. The run may be over; it is begun again.
    pub fn undo(&self, run: &RunId) -> Vec<Delivery> {
        let landed: Vec<_> = {
            let mut state = self.lock();
            let Some(area) = state.runs.get_mut(run) else { return Vec::new() };
            area.over = false;
            area.conflicts.clear();
            area.files.retain(|_, entry| entry.is_sent());
            let mut landed: Vec<_> = std::mem::take(&mut area.landed).into_iter().collect();
            state.ended.retain(|other| other != run);
            landed.sort_by_key(|(_, landed)| std::cmp::Reverse(landed.order));
            landed
        };
        for (path, landed) in landed {
            self.take_back(run, path, landed);
        }
        self.deliveries(run)
    }

    /// Whether anything of `run` can be taken back.
    pub fn can_undo(&self, run: &RunId) -> bool {
        self.lock().runs.get(run).is_some_and(|area| !area.landed.is_empty())
    }

    /// The run that landed something last: the one to take back when none is named.
    pub fn last_landed(&self) -> Option<RunId> {
        let state = self.lock();
        let runs = state.runs.iter().filter_map(|(run, area)| {
            let last = area.landed.values().map(|landed| landed.order).max()?;
            Some((last, run))
        });
        runs.max().map(|(_, run)| run.clone())
    }

    fn take_back(&self, run: &RunId, path: WsPath, landed: Landed) {
        let now = self.read(None, &path).ok();
        let there = beneath::kind(&path).is_some();
        let protection = self.protection(&path);
        let mut state = self.lock();
        let serial = state.next();
        let Some(area) = state.runs.get_mut(run) else { return };
        if area.files.contains_key(&path) {
            return;
        }
        let entry = |want, exists, carried, home| Entry {
            want,
            exists,
            from: None,
            carried,
            home,
            phase: Phase::Draft,
            protection,
            serial,
        };
        let home = match now.as_ref().map(|now| now.source) {
            Some(super::Source::Open { .. }) => Home::Open,
            Some(super::Source::Disk { stamp }) => Home::Disk(stamp),
            _ => Home::Nowhere,
        };
        match (landed.deed.clone(), now) {
            (Deed::Edited, Some(now)) => {
                let (undo, dropped) = landed.back(&now.text);
                area.drop_edits(&path, dropped);
                area.files.insert(path.clone(), entry(Want::Text, true, undo, home));
            }
            (Deed::Created(text), Some(now)) if now.text == text || now.text.eq_folded(&text) => {
                area.files.insert(path.clone(), entry(Want::Gone, true, Carried::nothing(now.text), home));
            }
            (Deed::Created(_), Some(now)) => area.refuse(&path, "", &now.text),
            (Deed::Deleted(text), None) if !there => {
                let edits = EditSet::replace(0, 0..0, text.to_string()).unwrap_or_else(|_| EditSet::identity(0));
                let carried = Carried::new(Text::default(), edits);
                area.files.insert(path.clone(), entry(Want::Text, false, carried, Home::Nowhere));
            }
            (Deed::Deleted(text), now) => {
                area.refuse(&path, &text.slice(0..1_000), &now.map(|now| now.text).unwrap_or_default());
            }
            (Deed::Renamed(to), now) => {
                drop(state);
                self.rename_back(run, &path, &to, now.is_some());
            }
            (Deed::Edited | Deed::Created(_), None) => area.refuse(&path, "", &Text::default()),
        }
    }

    /// Stages the old name; what was staged on the new one goes along.
    fn rename_back(&self, run: &RunId, from: &WsPath, to: &WsPath, taken: bool) {
        if taken || self.stage_rename(run, to, from).is_err() {
            let mut state = self.lock();
            if let Some(area) = state.runs.get_mut(run) {
                area.refuse(from, "", &Text::default());
            }
        }
    }
}

impl Area {
    /// A whole file cannot be taken back because the user has done something to it.
    fn refuse(&mut self, path: &WsPath, ours: &str, now: &Text) {
        let theirs = now.slice(0..1_000);
        let dropped = Dropped { at: 0..now.len(), lines: 0..now.lines(), ours: ours.to_owned(), theirs };
        self.drop_edits(path, vec![dropped]);
    }
}
