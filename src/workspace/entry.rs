//! What one run wants of each file, and what it has done to it.

use std::collections::BTreeMap;
use std::ops::Range;

use super::carry::{Carried, Moved, eol_of};
use super::protected::Protection;
use super::witness::Witness;
use crate::disk::Stamp;
use crate::paths::WsPath;
use crate::text::{EditSet, Text};

/// Everything of one run.
#[derive(Debug, Default)]
pub(super) struct Area {
    /// What it wants, by the path as the run sees it.
    pub(super) files: BTreeMap<WsPath, Entry>,
    /// What the user's side has taken over, and how to take it back.
    pub(super) landed: BTreeMap<WsPath, Landed>,
    /// What was dropped because the user changed the same text.
    pub(super) conflicts: BTreeMap<WsPath, Vec<Dropped>>,
    /// The run is over: what it wants is forgotten, what it did is not.
    pub(super) over: bool,
    /// Who is told of its files.
    pub(super) witness: Witness,
}

/// What a run wants of one file.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// What should be there.
    pub(super) want: Want,
    /// Whether the user's side has a file of this name now.
    pub(super) exists: bool,
    /// The name that the file has on the user's side until a rename lands.
    pub(super) from: Option<WsPath>,
    /// The user's text, and the edits wanted on it.
    pub(super) carried: Carried,
    /// Where the user's text comes from.
    pub(super) home: Home,
    /// How far its delivery has come.
    pub(super) phase: Phase,
    /// Whether somebody must be asked first.
    pub(super) protection: Protection,
    /// Tells one state of this entry from the next.
    pub(super) serial: u64,
}

/// What should be at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Want {
    /// The carried text.
    Text,
    /// Nothing.
    Gone,
    /// Nothing, because the file is to be there instead.
    Moved(WsPath),
}

/// Where the user's text of a file comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Home {
    /// The open document.
    Open,
    /// This generation of the file on disk.
    Disk(Stamp),
    /// Not known: the document was closed and the file not looked at yet.
    Away,
    /// There is no such file yet.
    Nowhere,
}

/// How far a delivery has come.
#[derive(Clone, Debug)]
pub(super) enum Phase {
    /// Not sent, or refused.
    Draft,
    /// Sent, and not seen yet.
    Sent(Box<Sent>),
}

/// What was sent, to recognise it when it comes back.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    /// The user's text when it was sent, and the edits wanted on it.
    pub(super) carried: Carried,
    /// The text that shows it has landed.
    pub(super) expected: Text,
    /// Its lines, counted once.
    pub(super) lines: usize,
    /// Whether line ends may come back changed.
    pub(super) folds: bool,
    /// What clashed since; true conflicts only if it turns out that it has not landed.
    pub(super) dropped: Vec<Dropped>,
}

/// What a run did to one file.
#[derive(Clone, Debug)]
pub(super) struct Landed {
    /// What was done.
    pub(super) deed: Deed,
    /// The user's text since, and the edits that take ours back.
    pub(super) undo: Carried,
    /// The same from the text as it was when it landed, not carried: see [`Landed::back`].
    pub(super) whole: Carried,
    /// Order of landing.
    pub(super) order: u64,
    /// What can no longer be taken back.
    pub(super) dropped: Vec<Dropped>,
}

impl Landed {
    /// The edits that take it back from `now`, and what cannot be taken back any more.
    ///
    /// Carried step by step they are exact, but an undo in the editor uses them up and a redo does not bring them
    /// back. Carried in one step from the landing, an undo and its redo are nothing at all.
    pub(super) fn back(&self, now: &Text) -> (Carried, Vec<Dropped>) {
        let mut undo = self.undo.clone();
        let mut dropped = self.dropped.clone();
        dropped.extend(Dropped::all(undo.jump(now), now));
        if undo.edits.edits().len() < self.whole.edits.edits().len() {
            let mut whole = self.whole.clone();
            let lost = Dropped::all(whole.jump(now), now);
            if whole.edits.edits().len() > undo.edits.edits().len() && lost.len() <= dropped.len() {
                return (whole, lost);
            }
        }
        (undo, dropped)
    }
}

/// What was done to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// Its text was changed.
    Edited,
    /// It was made, with this text.
    Created(Text),
    /// It was removed; it had this text.
    Deleted(Text),
    /// It got this name.
    Renamed(WsPath),
}

/// An edit of ours that was dropped, in the user's text.
#[derive(Clone, Debug)]
pub(super) struct Dropped {
    /// Bytes of the user's text where the other change is.
    pub(super) at: Range<usize>,
    /// The lines of these bytes.
    pub(super) lines: Range<usize>,
    /// What we wanted there.
    pub(super) ours: String,
    /// What stands there.
    pub(super) theirs: String,
}

/// A place where the run and the user changed the same text; ours was not applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The file.
    pub path: WsPath,
    /// Lines of the text as the user has it now, from 0, the end not included.
    pub lines: Range<usize>,
    /// What the run wanted there.
    pub ours: String,
    /// What stood there when the two met.
    pub theirs: String,
}

impl Entry {
    /// The path at which the user's side has the text that this entry is about.
    pub(super) fn source<'a>(&'a self, path: &'a WsPath) -> &'a WsPath {
        self.from.as_ref().unwrap_or(path)
    }

    /// What the run sees there.
    pub(super) fn text(&self) -> Text {
        self.carried.wanted()
    }

    /// Whether it asks for anything.
    pub(super) fn is_idle(&self) -> bool {
        self.want == Want::Text && self.exists && self.from.is_none() && self.carried.edits.is_empty()
    }

    /// Whether it has been sent and not seen.
    pub(super) fn is_sent(&self) -> bool {
        matches!(self.phase, Phase::Sent(_))
    }
}

impl Sent {
    /// For these edits, of which `expected` shows that they have landed.
    pub(super) fn new(carried: Carried, expected: Text) -> Self {
        let folds = eol_of(&expected) != crate::disk::Eol::Lf || eol_of(&carried.base) != crate::disk::Eol::Lf;
        let lines = expected.lines();
        Self { carried, expected, lines, folds, dropped: Vec::new() }
    }

    /// Whether `text` is what was sent, but for line ends that the client made its own.
    pub(super) fn is_met_by(&self, text: &Text) -> bool {
        if text.len() == self.expected.len() {
            return *text == self.expected;
        }
        self.folds && text.lines() == self.lines && text.eq_folded(&self.expected)
    }
}

impl Dropped {
    /// What was dropped on the way to `after`.
    pub(super) fn all(moved: Moved, after: &Text) -> Vec<Self> {
        let seen = moved.dropped.into_iter().map(|conflict| {
            let theirs = after.slice(conflict.at.clone());
            let mut dropped = Self { at: conflict.at, lines: 0..0, ours: conflict.ours.text, theirs };
            dropped.count_lines(after);
            dropped
        });
        seen.collect()
    }

    /// Follows an edit of the text that it is in.
    pub(super) fn follow(&mut self, edit: &EditSet, after: &Text) {
        if self.at.end <= edit.base_len() {
            self.at = edit.map_range(self.at.clone());
        }
        self.count_lines(after);
    }

    fn count_lines(&mut self, text: &Text) {
        let first = text.line_at(self.at.start);
        let last = text.line_at(self.at.end.max(self.at.start));
        let ends_at_line_start = self.at.end > self.at.start && text.line_start(last) == self.at.end;
        self.lines = first..if ends_at_line_start { last } else { last + 1 };
    }

    /// For those who asked what did not work out.
    pub(super) fn report(&self, path: &WsPath) -> Conflict {
        Conflict { path: path.clone(), lines: self.lines.clone(), ours: self.ours.clone(), theirs: self.theirs.clone() }
    }
}

/// Conflicts kept for each file: enough to tell the user where, not a second copy of the file.
pub(super) const MAX_DROPPED: usize = 200;

impl Area {
    /// Remembers what was dropped.
    pub(super) fn drop_edits(&mut self, path: &WsPath, dropped: Vec<Dropped>) {
        if dropped.is_empty() {
            return;
        }
        let known = self.conflicts.entry(path.clone()).or_default();
        let room = MAX_DROPPED.saturating_sub(known.len());
        known.extend(dropped.into_iter().take(room));
    }

    /// The path at which the run sees the file that the user has at `path`.
    pub(super) fn seen_as(&self, path: &WsPath) -> Option<WsPath> {
        match &self.files.get(path)?.want {
            Want::Moved(to) => Some(to.clone()),
            Want::Text | Want::Gone => Some(path.clone()),
        }
    }
}
