//! Whether a delivery has landed, by looking at what is there: the client's word proves nothing.

use std::ops::Range;

use super::Workspace;
use super::carry::{Carried, difference};
use super::delivery::Landing;
use super::entry::{Deed, Home, Landed, Phase, Sent, Want};
use crate::disk::Stamp;
use crate::ids::RunId;
use crate::paths::{WsPath, beneath};
use crate::text::{Edit, EditSet, Text};

impl Workspace {
    /// Whether the delivery of the file at `path` has landed. Open documents are recognised when their change comes in;
    /// for the rest this asks the disk. Await [`Workspace::changes`] before asking again.
    pub fn landed(&self, run: &RunId, path: &WsPath) -> Landing {
        let (entry, open) = {
            let state = self.lock();
            let Some(area) = state.runs.get(run) else { return Landing::NotYet };
            let Some(entry) = area.files.get(path) else {
                return if area.landed.contains_key(path) { Landing::Landed } else { Landing::NotYet };
            };
            (entry.clone(), state.open_at(path).map(|document| document.text.clone()))
        };
        let Phase::Sent(sent) = &entry.phase else { return Landing::NotYet };
        match &entry.want {
            Want::Gone => match beneath::kind(path) {
                None => self.land_whole(run, path, Deed::Deleted(sent.carried.base.clone())),
                Some(_) => Landing::NotYet,
            },
            Want::Moved(to) => match (beneath::kind(path), beneath::kind(to)) {
                (None, Some(_)) => self.land_whole(run, path, Deed::Renamed(to.clone())),
                (None, None) => Landing::Elsewhere,
                (Some(_), _) => Landing::NotYet,
            },
            Want::Text => {
                let file = if open.is_none() { self.disk.read(path).ok() } else { None };
                match (open, file) {
                    (Some(text), _) => self.look_for(run, path, entry.serial, &text, None),
                    (None, Some(file)) => {
                        let mut text = Text::from(&*file.text);
                        // The writer of a closed file makes its line ends and its last one fit.
                        if *file.format.conform(&sent.expected.to_string()) == *file.text {
                            text = sent.expected.clone();
                        }
                        self.look_for(run, path, entry.serial, &text, Some(file.stamp))
                    }
                    (None, None) if !entry.exists => Landing::NotYet,
                    (None, None) => Landing::Elsewhere,
                }
            }
        }
    }

    /// Takes the client's word for the delivery of the text at `path`, which no open document and no file can prove: an
    /// editor keeps an edited file that nobody shows us in a buffer of its own. `false` if there is more to look at.
    pub fn believe(&self, run: &RunId, path: &WsPath) -> bool {
        let mut state = self.lock();
        if state.open_at(path).is_some() {
            return false;
        }
        let order = state.next();
        let Some(area) = state.runs.get_mut(run) else { return false };
        let Some(entry) = area.entry(path) else { return false };
        let Phase::Sent(sent) = &entry.phase else { return false };
        if entry.want != Want::Text {
            return false;
        }
        let after = sent.carried.wanted();
        entry.home = Home::Away;
        area.land_text(path, &after, order);
        true
    }

    /// Looks for what was sent in the text that is there now, alone or among other changes.
    fn look_for(&self, run: &RunId, path: &WsPath, serial: u64, now: &Text, stamp: Option<Stamp>) -> Landing {
        let sent = {
            let state = self.lock();
            let entry = state.runs.get(run).and_then(|area| area.files.get(path));
            match entry.map(|entry| &entry.phase) {
                Some(Phase::Sent(sent)) => sent.clone(),
                _ => return Landing::NotYet,
            }
        };
        let empty = now.chunks().all(|chunk| chunk.trim().is_empty());
        if *now == sent.carried.base || (sent.carried.base.is_empty() && empty) {
            return Landing::NotYet;
        }
        if !sent.is_met_by(now) && !came_among_others(&sent, now) {
            return Landing::Elsewhere;
        }
        let mut state = self.lock();
        let order = state.next();
        let Some(area) = state.runs.get_mut(run) else { return Landing::NotYet };
        if let Some(entry) = area.entry(path) {
            if entry.serial != serial {
                return Landing::NotYet;
            }
            entry.home = stamp.map_or(Home::Open, Home::Disk);
        }
        area.land_text(path, now, order);
        Landing::Landed
    }

    /// What was done to a whole file is done.
    fn land_whole(&self, run: &RunId, path: &WsPath, deed: Deed) -> Landing {
        let mut state = self.lock();
        let order = state.next();
        let Some(area) = state.runs.get_mut(run) else { return Landing::NotYet };
        if area.files.remove(path).is_none() {
            return Landing::NotYet;
        }
        area.witness.landed(path);
        let earlier = area.landed.remove(path);
        let made_by_us = earlier.as_ref().is_some_and(|earlier| matches!(earlier.deed, Deed::Created(_)));
        let mut undo = Carried::nothing(Text::default());
        let mut moved_to = None;
        if let Deed::Renamed(to) = &deed {
            // The edits that were staged on the old name go on under the new one.
            if let Some(renamed) = area.entry(to) {
                renamed.from = None;
                renamed.exists = true;
                renamed.serial = order;
                renamed.home = Home::Away;
            }
            if let Some(earlier) = &earlier {
                undo = earlier.undo.clone();
            }
            moved_to = Some(to.clone());
        }
        // Made by this run and removed again: there is nothing to take back.
        if made_by_us && matches!(deed, Deed::Deleted(_)) {
            return Landing::Landed;
        }
        let deed = match (deed, &earlier) {
            (Deed::Deleted(text), Some(earlier)) if earlier.undo.base == text => Deed::Deleted(earlier.undo.wanted()),
            (deed, _) => deed,
        };
        if let (Some(to), Some(earlier)) = (moved_to, earlier) {
            let order = earlier.order;
            area.landed.insert(to, Landed { undo, order, ..earlier });
            undo = Carried::nothing(Text::default());
        }
        area.landed.insert(path.clone(), Landed { deed, whole: undo.clone(), undo, order, dropped: Vec::new() });
        Landing::Landed
    }
}

/// Whether what was sent is in `now` together with something else: Neovim tells what was typed and what was applied in
/// one go. Then the text is nearer to what was to be than to what was, by more than half of what was sent, and more
/// than half of what was to be added is there.
fn came_among_others(sent: &Sent, now: &Text) -> bool {
    let ours = &sent.carried.edits;
    let (from_base, from_expected) = (difference(&sent.carried.base, now), difference(&sent.expected, now));
    let nearer = from_base.weight().saturating_sub(from_expected.weight());
    let Ok(inverse) = ours.invert(&sent.carried.base) else { return false };
    let added: usize = inverse.edits().iter().map(|edit| edit.range.len()).sum();
    let lost: usize = inverse.edits().iter().map(|edit| removed_from(&from_expected, &edit.range)).sum();
    2 * nearer > ours.weight() && (added == 0 || 2 * lost < added)
}

/// Bytes of `range` that the edits remove.
fn removed_from(edits: &EditSet, range: &Range<usize>) -> usize {
    let overlap = |edit: &Edit| edit.range.end.min(range.end).saturating_sub(edit.range.start.max(range.start));
    edits.edits().iter().map(overlap).sum()
}
