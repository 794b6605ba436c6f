//! `Carried`: edits that are wanted on a text that keeps changing under them.
//!
//! Both what a run has staged and what would take a landed edit back are such edits, and both follow the user's
//! typing by the same two moves: over an edit that is known, or over the difference of two texts.

use crate::disk::Eol;
use crate::text::diff;
use crate::text::rebase::{self, rebase_hunks};
use crate::text::{Edit, EditSet, Text};

/// Edits and the text they are for.
#[derive(Clone, Debug)]
pub(super) struct Carried {
    /// The text as it is without the edits.
    pub(super) base: Text,
    /// From there to what is wanted.
    pub(super) edits: EditSet,
}

impl Carried {
    /// These edits of `base`; none if they are not for it.
    pub(super) fn new(base: Text, edits: EditSet) -> Self {
        let edits = if edits.base_len() == base.len() { edits } else { EditSet::identity(base.len()) };
        Self { base, edits }
    }

    /// Nothing wanted.
    pub(super) fn nothing(base: Text) -> Self {
        let edits = EditSet::identity(base.len());
        Self { base, edits }
    }

    /// What is wanted. The edits fit their base, but for a bug; then it is the base, which loses no keystroke.
    pub(super) fn wanted(&self) -> Text {
        self.edits.apply(&self.base).unwrap_or_else(|_| self.base.clone())
    }

    /// Follows an edit of the base that leads to `after`. What clashes with it is dropped and returned.
    pub(super) fn follow(&mut self, edit: &EditSet, after: &Text) -> Moved {
        if self.edits.is_empty() {
            *self = Self::nothing(after.clone());
            return Moved::default();
        }
        match rebase_hunks(&self.edits, edit, &self.base) {
            Ok(rebased) if rebased.edits.base_len() == after.len() => {
                let moved = Moved { dropped: rebased.conflicts };
                *self = Self { base: after.clone(), edits: rebased.edits };
                moved
            }
            _ => self.jump(after),
        }
    }

    /// Follows the base to another text, however it came about.
    pub(super) fn jump(&mut self, after: &Text) -> Moved {
        if self.base == *after {
            self.base = after.clone();
            return Moved::default();
        }
        let difference = difference(&self.base, after);
        match rebase_hunks(&self.edits, &difference, &self.base) {
            Ok(rebased) => {
                *self = Self::new(after.clone(), rebased.edits);
                Moved { dropped: rebased.conflicts }
            }
            Err(_) => {
                *self = Self::nothing(after.clone());
                Moved::default()
            }
        }
    }
}

/// What happened to edits on the way.
#[derive(Debug, Default)]
pub(super) struct Moved {
    /// Those that clashed.
    pub(super) dropped: Vec<rebase::Conflict>,
}

/// A small set of edits from one text to another, to the word; the effort is bounded.
pub(super) fn difference(from: &Text, to: &Text) -> EditSet {
    diff::refined(from, to)
}

/// `edits` of `base` with what they leave as it is taken out of each, so that an unchanged line inside a replaced
/// block clashes with nobody.
pub(super) fn minimal(base: &Text, edits: &EditSet) -> EditSet {
    let mut small = Vec::new();
    for edit in edits.edits() {
        let old = Text::from(base.slice(edit.range.clone()).as_str());
        let new = Text::from(edit.text.as_str());
        for part in difference(&old, &new).into_edits() {
            let range = part.range.start + edit.range.start..part.range.end + edit.range.start;
            small.push(Edit::new(range, part.text));
        }
    }
    EditSet::new(base.len(), small).unwrap_or_else(|_| edits.clone())
}

/// `edits` without those that replace a text by itself.
pub(super) fn without_idle(base: &Text, edits: EditSet) -> EditSet {
    let idle = |edit: &Edit| edit.range.len() == edit.text.len() && base.has_at(edit.range.start, &edit.text);
    if !edits.edits().iter().any(idle) {
        return edits;
    }
    let kept = edits.edits().iter().filter(|edit| !idle(edit)).cloned().collect();
    EditSet::new(base.len(), kept).unwrap_or(edits)
}

/// How the lines of `text` end.
pub(super) fn eol_of(text: &Text) -> Eol {
    let mut found = Eol::None;
    // No chunk ends between CR and LF.
    for chunk in text.chunks() {
        found = match (found, Eol::of(chunk)) {
            (known, Eol::None) => known,
            (Eol::None, new) => new,
            (known, new) if known == new => known,
            _ => return Eol::Mixed,
        };
    }
    found
}

/// `edits` with their line ends made those of `base`, where it has one kind.
pub(super) fn conform(base: &Text, edits: EditSet) -> EditSet {
    if !edits.edits().iter().any(|edit| edit.text.contains(['\n', '\r'])) {
        return edits;
    }
    let eol = eol_of(base);
    let conformed =
        edits.edits().iter().map(|edit| Edit::new(edit.range.clone(), eol.conform(&edit.text).into_owned())).collect();
    EditSet::new(edits.base_len(), conformed).unwrap_or(edits)
}
