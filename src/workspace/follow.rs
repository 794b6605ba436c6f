//! What becomes of staged edits when the user's text moves under them, and how ours are known when they come back.
//!
//! Two runs on one file need no rule of their own: what one lands, the other is carried over as if it had been typed.

use super::State;
use super::carry::{Carried, Moved};
use super::entry::{Area, Deed, Dropped, Entry, Home, Phase, Want};
use crate::paths::WsPath;
use crate::text::{EditSet, Text};

impl State {
    /// One edit of the document at `path` led from `before` to `after`. The keystroke's path: no work for runs that
    /// do not touch this file.
    pub(super) fn follow(&mut self, path: &WsPath, edit: &EditSet, before: &Text, after: &Text) {
        for area in self.runs.values_mut() {
            area.follow(path, edit, before, after, &mut self.counter);
        }
    }

    /// The user's text at `path` is now `after`, from `home`, however it came about.
    pub(super) fn follow_jump(&mut self, path: &WsPath, after: &Text, home: Home) {
        for area in self.runs.values_mut() {
            area.follow_jump(path, after, home, &mut self.counter);
        }
    }

    /// The document at `path` was closed.
    pub(super) fn leave(&mut self, path: &WsPath) {
        for area in self.runs.values_mut() {
            if let Some(entry) = area.seen_as(path).and_then(|path| area.files.get_mut(&path)) {
                entry.home = Home::Away;
                self.counter += 1;
                entry.serial = self.counter;
            }
        }
    }
}

impl Area {
    fn follow(&mut self, path: &WsPath, edit: &EditSet, before: &Text, after: &Text, counter: &mut u64) {
        for dropped in self.conflicts.get_mut(path).into_iter().flatten() {
            dropped.follow(edit, after);
        }
        let Some(seen) = self.seen_as(path) else {
            self.follow_landed(path, |undo| undo.follow(edit, after), after);
            return;
        };
        let Some(entry) = self.files.get_mut(&seen) else { return };
        *counter += 1;
        entry.serial = *counter;
        entry.home = Home::Open;
        if let Phase::Sent(sent) = &entry.phase
            && entry.want == Want::Text
            && sent.is_met_by(after)
        {
            self.land_text(path, after, *counter);
            return;
        }
        if let Phase::Sent(sent) = &mut entry.phase {
            sent.dropped.iter_mut().for_each(|dropped| dropped.follow(edit, after));
        }
        if entry.carried.base.len() == before.len() {
            let moved = entry.carried.follow(edit, after);
            self.moved(&seen, moved, after);
        } else {
            let moved = entry.carried.jump(after);
            self.moved(&seen, moved, after);
        }
        self.follow_landed(path, |undo| undo.follow(edit, after), after);
    }

    fn follow_jump(&mut self, path: &WsPath, after: &Text, home: Home, counter: &mut u64) {
        let Some(seen) = self.seen_as(path) else {
            self.follow_landed(path, |undo| undo.jump(after), after);
            return;
        };
        let Some(entry) = self.files.get_mut(&seen) else { return };
        *counter += 1;
        entry.serial = *counter;
        entry.home = home;
        if let Phase::Sent(sent) = &entry.phase
            && entry.want == Want::Text
            && sent.is_met_by(after)
        {
            self.land_text(path, after, *counter);
            return;
        }
        if !entry.exists && entry.from.is_none() && entry.want == Want::Text {
            self.meet_existing(&seen, after);
        } else {
            let moved = entry.carried.jump(after);
            self.moved(&seen, moved, after);
        }
        self.follow_landed(path, |undo| undo.jump(after), after);
    }

    /// A file that the run wants to make is there. An empty one is the editor's first step of making it; anything
    /// else is the user's, who was first.
    pub(super) fn meet_existing(&mut self, path: &WsPath, after: &Text) {
        let Some(entry) = self.files.get_mut(path) else { return };
        let wanted = entry.text();
        if after.chunks().all(|chunk| chunk.trim().is_empty()) {
            let edits = super::carry::difference(after, &wanted);
            entry.carried = Carried::new(after.clone(), edits);
            entry.exists = !entry.is_sent();
            return;
        }
        let ours = wanted.to_string();
        let mut dropped = Dropped { at: 0..after.len(), lines: 0..after.lines(), ours, theirs: after.to_string() };
        dropped.theirs.truncate(after.floor_boundary(MAX_SHOWN));
        dropped.ours.truncate(wanted.floor_boundary(MAX_SHOWN));
        if !entry.is_sent() {
            self.files.remove(path);
            self.drop_edits(path, vec![dropped]);
        }
    }

    pub(super) fn moved(&mut self, path: &WsPath, moved: Moved, after: &Text) {
        let Some(entry) = self.files.get_mut(path) else { return };
        let dropped = Dropped::all(moved, after);
        match &mut entry.phase {
            Phase::Sent(sent) => {
                sent.dropped.extend(dropped);
                sent.dropped.truncate(super::entry::MAX_DROPPED);
            }
            Phase::Draft => {
                let at = entry.source(path).clone();
                self.drop_edits(&at, dropped);
            }
        }
    }

    fn follow_landed(&mut self, path: &WsPath, step: impl FnOnce(&mut Carried) -> Moved, after: &Text) {
        if let Some(landed) = self.landed.get_mut(path) {
            let moved = step(&mut landed.undo);
            landed.dropped.extend(Dropped::all(moved, after));
            landed.dropped.truncate(super::entry::MAX_DROPPED);
        }
    }

    /// What was sent for the file that the user has at `path` is there: `after` holds it.
    pub(super) fn land_text(&mut self, path: &WsPath, after: &Text, order: u64) {
        let Some(seen) = self.seen_as(path) else { return };
        let Some(mut entry) = self.files.remove(&seen) else { return };
        let Phase::Sent(sent) = std::mem::replace(&mut entry.phase, Phase::Draft) else {
            self.files.insert(seen, entry);
            return;
        };
        let created = !entry.exists;
        let mut undo = undo_of(&sent.carried, &sent.expected, after);
        let earlier = self.landed.remove(path);
        let mut dropped = Vec::new();
        let mut deed = if created { Deed::Created(sent.expected.clone()) } else { Deed::Edited };
        if let Some(mut earlier) = earlier {
            // Ours over ours: first the later one back, then the earlier one, as far as that is one text.
            let exact = *after == sent.expected && earlier.undo.base == sent.carried.base;
            if exact && let Ok(both) = undo.edits.compose(&earlier.undo.edits) {
                undo.edits = super::carry::without_idle(after, both);
            } else {
                let moved = earlier.undo.jump(after);
                dropped.extend(Dropped::all(moved, after));
                let mut both = undo.clone();
                let back = undo.wanted();
                earlier.undo.jump(&back);
                if let Ok(composed) = both.edits.compose(&earlier.undo.edits) {
                    both.edits = super::carry::without_idle(after, composed);
                    undo = both;
                }
            }
            dropped.extend(earlier.dropped);
            if matches!(earlier.deed, Deed::Created(_)) {
                deed = Deed::Created(sent.expected.clone());
            }
        }
        self.witness.landed(path);
        let landed = super::entry::Landed { deed, whole: undo.clone(), undo, order, dropped };
        self.landed.insert(path.clone(), landed);
    }

    /// The entry at `path`, to be changed; `None` if there is none.
    pub(super) fn entry(&mut self, path: &WsPath) -> Option<&mut Entry> {
        self.files.get_mut(path)
    }
}

/// Bytes of a text that a conflict over a whole file shows.
const MAX_SHOWN: usize = 4 << 10;

/// The edits that take `sent` back from `after`, which holds it and perhaps what the user typed besides.
fn undo_of(sent: &Carried, expected: &Text, after: &Text) -> Carried {
    let back = sent.edits.invert(&sent.base).unwrap_or_else(|_| EditSet::identity(expected.len()));
    let mut undo = Carried::new(expected.clone(), back);
    if after == expected {
        undo.base = after.clone();
    } else if after.lines() == expected.lines() && after.eq_folded(expected) {
        undo = Carried::new(after.clone(), super::carry::difference(after, &sent.base));
    } else {
        undo.jump(after);
    }
    undo
}
