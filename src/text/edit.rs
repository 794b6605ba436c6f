//! `EditSet`: a set of replacements that names the length of the text it is for, so that applying it to another
//! text is an error and never garbage.
//!
//! Sets are kept in one normal form (sorted, disjoint, one insertion at most at a point), and every operation here
//! reads its operands once, from front to back.

use std::ops::Range;

use thiserror::Error;

use super::rope::Text;

/// Replace a byte range of the base text by `text`. An empty range inserts, an empty text deletes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// Bytes of the base text.
    pub range: Range<usize>,
    /// What stands there afterwards.
    pub text: String,
}

impl Edit {
    /// Replace `range` by `text`.
    pub fn new(range: Range<usize>, text: impl Into<String>) -> Self {
        Self { range, text: text.into() }
    }
}

/// Edits of one base text: sorted, disjoint, none empty on both sides, at most one insertion at a point. Two may
/// touch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EditSet {
    base_len: usize,
    edits: Vec<Edit>,
}

/// Why a set of edits cannot be made or applied.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EditError {
    /// The set is for a text of another length.
    #[error("these edits are for a text of {expected} bytes, this one has {found}")]
    Length {
        /// Length the set is for.
        expected: usize,
        /// Length of the text at hand.
        found: usize,
    },
    /// A range reaches past the text or is reversed.
    #[error("the range {0:?} is not inside the text")]
    Range(Range<usize>),
    /// Two ranges overlap.
    #[error("the ranges {0:?} and {1:?} overlap")]
    Overlap(Range<usize>, Range<usize>),
    /// A range begins or ends inside a character.
    #[error("byte {0} is inside a character")]
    Boundary(usize),
}

/// Which side of an insertion made right at it a position sticks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Stays before what is inserted; inside a replaced stretch: its start.
    Before,
    /// Goes after what is inserted; inside a replaced stretch: its end.
    After,
}

impl EditSet {
    /// The set of `edits` (in any order, ranges over the same base text) for a text of `base_len` bytes. Insertions
    /// at one point become one, in the order given.
    ///
    /// # Errors
    /// A range is reversed or past the text, or two overlap. An insertion inside a replaced range is an overlap.
    pub fn new(base_len: usize, mut edits: Vec<Edit>) -> Result<Self, EditError> {
        for edit in &edits {
            if edit.range.start > edit.range.end || edit.range.end > base_len {
                return Err(EditError::Range(edit.range.clone()));
            }
        }
        edits.sort_by_key(|edit| (edit.range.start, edit.range.end));
        for pair in edits.windows(2) {
            if pair[0].range.end > pair[1].range.start {
                return Err(EditError::Overlap(pair[0].range.clone(), pair[1].range.clone()));
            }
        }
        let mut set = Self::identity(base_len);
        edits.into_iter().for_each(|edit| set.push(edit));
        Ok(set)
    }

    /// The set that changes nothing.
    pub fn identity(base_len: usize) -> Self {
        Self { base_len, edits: Vec::new() }
    }

    /// One replacement.
    ///
    /// # Errors
    /// As [`EditSet::new`].
    pub fn replace(base_len: usize, range: Range<usize>, text: impl Into<String>) -> Result<Self, EditError> {
        Self::new(base_len, vec![Edit::new(range, text)])
    }

    /// Adds an edit at or after the end of the last one, which the caller has made sure of.
    pub(super) fn push(&mut self, edit: Edit) {
        debug_assert!(edit.range.start <= edit.range.end && edit.range.end <= self.base_len);
        debug_assert!(self.edits.last().is_none_or(|last| last.range.end <= edit.range.start));
        if edit.range.is_empty() && edit.text.is_empty() {
            return;
        }
        match self.edits.last_mut() {
            Some(last) if last.range == edit.range => last.text.push_str(&edit.text),
            _ => self.edits.push(edit),
        }
    }

    /// Length in bytes of the text this is for.
    pub fn base_len(&self) -> usize {
        self.base_len
    }

    /// Length in bytes of the text afterwards.
    pub fn new_len(&self) -> usize {
        self.edits.iter().fold(self.base_len, |len, edit| len - edit.range.len() + edit.text.len())
    }

    /// Bytes removed and added.
    pub fn weight(&self) -> usize {
        self.edits.iter().map(|edit| edit.range.len() + edit.text.len()).sum()
    }

    /// The edits, in order.
    pub fn edits(&self) -> &[Edit] {
        &self.edits
    }

    /// The edits, in order.
    pub fn into_edits(self) -> Vec<Edit> {
        self.edits
    }

    /// Whether there is no edit in it.
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    /// The text after these edits.
    ///
    /// # Errors
    /// `text` is not of the length this is for, or an edit begins or ends inside a character of it.
    pub fn apply(&self, text: &Text) -> Result<Text, EditError> {
        let mut text = text.clone();
        self.apply_to(&mut text)?;
        Ok(text)
    }

    /// Makes these edits in place. On an error nothing is changed.
    ///
    /// # Errors
    /// As [`EditSet::apply`].
    pub fn apply_to(&self, text: &mut Text) -> Result<(), EditError> {
        self.fits(text)?;
        let mut places = Vec::with_capacity(self.edits.len());
        for edit in &self.edits {
            let start = text.place(edit.range.start);
            let end = if edit.range.is_empty() { start } else { text.place(edit.range.end) };
            for (place, wanted) in [(start, edit.range.start), (end, edit.range.end)] {
                if place.byte != wanted {
                    return Err(EditError::Boundary(wanted));
                }
            }
            places.push((start, end));
        }
        // From the back, so that the places of the edits before stay true.
        for (edit, (start, end)) in self.edits.iter().zip(places).rev() {
            text.replace_between(start, end, &edit.text);
        }
        Ok(())
    }

    /// The edits that lead from the text afterwards back to `base`.
    ///
    /// # Errors
    /// `base` is not of the length this is for, or an edit begins or ends inside a character of it.
    pub fn invert(&self, base: &Text) -> Result<Self, EditError> {
        self.fits(base)?;
        let mut inverse = Self::identity(self.new_len());
        let (mut removed, mut added) = (0, 0);
        for edit in &self.edits {
            for bound in [edit.range.start, edit.range.end] {
                if !base.is_boundary(bound) {
                    return Err(EditError::Boundary(bound));
                }
            }
            let start = edit.range.start - removed + added;
            inverse.push(Edit::new(start..start + edit.text.len(), base.slice(edit.range.clone())));
            removed += edit.range.len();
            added += edit.text.len();
        }
        Ok(inverse)
    }

    /// These edits and then `next`, as one set over the base of these. Edits that touch become one.
    ///
    /// # Errors
    /// `next` is for a text of another length than these edits leave, or begins or ends inside a character that
    /// these insert.
    pub fn compose(&self, next: &Self) -> Result<Self, EditError> {
        if next.base_len != self.new_len() {
            return Err(EditError::Length { expected: next.base_len, found: self.new_len() });
        }
        let mut composer = Composer {
            first: &self.edits,
            middle: 0,
            base: 0,
            left: None,
            pending: Edit::new(0..0, ""),
            done: Self::identity(self.base_len),
        };
        for edit in &next.edits {
            composer.take(edit.range.start - composer.middle, true)?;
            composer.pending.text.push_str(&edit.text);
            composer.take(edit.range.len(), false)?;
        }
        composer.take(next.base_len - composer.middle, true)?;
        composer.drain_deletions();
        composer.flush();
        Ok(composer.done)
    }

    /// Where byte `offset` of the base stands afterwards. An offset past the base is its end.
    pub fn map_offset(&self, offset: usize, side: Side) -> usize {
        let offset = offset.min(self.base_len);
        let (mut removed, mut added) = (0, 0);
        for Edit { range, text } in &self.edits {
            let passed = if range.is_empty() {
                range.start < offset || (range.start == offset && side == Side::After)
            } else {
                range.end <= offset
            };
            if !passed {
                if range.start < offset {
                    let start = range.start - removed + added;
                    return if side == Side::Before { start } else { start + text.len() };
                }
                break;
            }
            removed += range.len();
            added += text.len();
        }
        offset - removed + added
    }

    /// Where a byte range of the base stands afterwards, without what is inserted at its ends.
    pub fn map_range(&self, range: Range<usize>) -> Range<usize> {
        let start = self.map_offset(range.start, Side::After);
        if range.is_empty() {
            return start..start;
        }
        let end = self.map_offset(range.end, Side::Before);
        start.min(end)..end
    }

    fn fits(&self, text: &Text) -> Result<(), EditError> {
        if text.len() == self.base_len {
            return Ok(());
        }
        Err(EditError::Length { expected: self.base_len, found: text.len() })
    }
}

/// Reads the middle text of a composition from front to back as pieces of the base that were kept and pieces of
/// text that the first set inserted.
struct Composer<'a> {
    /// The edits of the first set not yet begun.
    first: &'a [Edit],
    /// Offset in the middle text.
    middle: usize,
    /// Offset in the base text.
    base: usize,
    /// What is still to come of the insertion that is being read.
    left: Option<&'a str>,
    /// What has been deleted and inserted since the last kept piece.
    pending: Edit,
    done: EditSet,
}

impl Composer<'_> {
    /// Reads `count` bytes of the middle text, which the second set keeps or deletes.
    fn take(&mut self, mut count: usize, keep: bool) -> Result<(), EditError> {
        while count > 0 {
            if let Some(text) = self.left {
                let size = count.min(text.len());
                if !text.is_char_boundary(size) {
                    return Err(EditError::Boundary(self.middle + size));
                }
                if keep {
                    self.pending.text.push_str(&text[..size]);
                }
                self.left = Some(&text[size..]).filter(|text| !text.is_empty());
                self.middle += size;
                count -= size;
                continue;
            }
            match self.first.split_first() {
                Some((edit, rest)) if edit.range.start == self.base => {
                    self.base = edit.range.end;
                    self.pending.range.end = self.base;
                    self.left = Some(edit.text.as_str()).filter(|text| !text.is_empty());
                    self.first = rest;
                }
                next => {
                    let limit = next.map_or(usize::MAX, |(edit, _)| edit.range.start - self.base);
                    let size = count.min(limit);
                    if keep {
                        self.flush();
                    }
                    self.base += size;
                    self.pending.range.end = self.base;
                    if keep {
                        self.pending.range.start = self.base;
                    }
                    self.middle += size;
                    count -= size;
                }
            }
        }
        Ok(())
    }

    /// Reads what the first set deletes at the very end, which takes no byte of the middle text.
    fn drain_deletions(&mut self) {
        for edit in self.first {
            debug_assert!(edit.text.is_empty());
            self.pending.range.end = edit.range.end;
        }
        self.first = &[];
    }

    fn flush(&mut self) {
        let next = self.pending.range.end;
        let edit = std::mem::replace(&mut self.pending, Edit::new(next..next, ""));
        self.done.push(edit);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::arbitrary::{edits, text};
    use super::*;

    #[test]
    fn edits_that_make_no_sense_are_refused() {
        let edit = |range| vec![Edit::new(range, "x")];
        assert_eq!(EditSet::new(3, edit(2..4)), Err(EditError::Range(2..4)));
        #[expect(clippy::reversed_empty_ranges, reason = "what is to be refused")]
        let reversed = 2..1;
        assert_eq!(EditSet::new(3, edit(reversed.clone())), Err(EditError::Range(reversed)));
        let overlap = vec![Edit::new(1..3, "x"), Edit::new(0..2, "y")];
        assert_eq!(EditSet::new(3, overlap), Err(EditError::Overlap(0..2, 1..3)));
        let inside = vec![Edit::new(0..2, "x"), Edit::new(1..1, "y")];
        assert_eq!(EditSet::new(3, inside), Err(EditError::Overlap(0..2, 1..1)));
    }

    #[test]
    fn a_text_of_another_length_is_refused_and_left_alone() {
        let set = EditSet::replace(3, 0..1, "x").unwrap();
        let mut text = Text::from("four");
        assert_eq!(set.apply_to(&mut text), Err(EditError::Length { expected: 3, found: 4 }));
        assert_eq!(set.invert(&text), Err(EditError::Length { expected: 3, found: 4 }));
        assert_eq!(set.compose(&EditSet::identity(4)), Err(EditError::Length { expected: 4, found: 3 }));
        assert_eq!(text, "four");
    }

    #[test]
    fn an_edit_inside_a_character_is_refused_and_changes_nothing() {
        let mut text = Text::from("a😀b");
        let set = EditSet::new(6, vec![Edit::new(0..1, "x"), Edit::new(2..5, "y")]).unwrap();
        assert_eq!(set.apply_to(&mut text), Err(EditError::Boundary(2)));
        assert_eq!(set.invert(&text), Err(EditError::Boundary(2)));
        assert_eq!(text, "a😀b");
        let first = EditSet::replace(0, 0..0, "é").unwrap();
        assert_eq!(first.compose(&EditSet::replace(2, 1..2, "").unwrap()), Err(EditError::Boundary(1)));
    }

    #[test]
    fn insertions_at_one_point_keep_their_order() {
        let set = EditSet::new(2, vec![Edit::new(1..1, "x"), Edit::new(1..2, "z"), Edit::new(1..1, "y")]).unwrap();
        assert_eq!(set.edits(), [Edit::new(1..1, "xy"), Edit::new(1..2, "z")]);
        assert_eq!(set.apply(&Text::from("ab")).unwrap(), "axyz");
    }

    #[test]
    fn an_offset_sticks_to_its_side() {
        let set = EditSet::new(6, vec![Edit::new(1..1, "++"), Edit::new(2..5, "x"), Edit::new(5..5, "yy")]).unwrap();
        let both = |offset| (set.map_offset(offset, Side::Before), set.map_offset(offset, Side::After));
        assert_eq!(both(0), (0, 0));
        assert_eq!(both(1), (1, 3));
        assert_eq!(both(2), (4, 4));
        assert_eq!(both(3), (4, 5));
        assert_eq!(both(5), (5, 7));
        assert_eq!(both(99), (8, 8));
        assert_eq!(set.map_range(1..5), 3..5);
        assert_eq!(set.map_range(3..3), 5..5);
    }

    proptest! {
        #[test]
        fn a_set_and_its_inverse_cancel_out((base, set) in text().prop_flat_map(|base| (Just(base.clone()), edits(base)))) {
            let before = Text::from(base.as_str());
            let after = set.apply(&before).unwrap();
            prop_assert_eq!(after.len(), set.new_len());
            let inverse = set.invert(&before).unwrap();
            prop_assert_eq!(&inverse.apply(&after).unwrap(), &before);
            prop_assert_eq!(inverse.invert(&after).unwrap().apply(&before).unwrap(), after);
            let nothing = set.compose(&inverse).unwrap();
            prop_assert_eq!(nothing.apply(&before).unwrap(), before);
        }

        #[test]
        fn a_composition_is_one_after_the_other((base, first, second) in text().prop_flat_map(|base| {
            (Just(base.clone()), edits(base)).prop_flat_map(|(base, first)| {
                let middle = first.apply(&Text::from(base.as_str())).unwrap().to_string();
                (Just(base), Just(first), edits(middle))
            })
        })) {
            let before = Text::from(base.as_str());
            let composed = first.compose(&second).unwrap();
            let expected = second.apply(&first.apply(&before).unwrap()).unwrap();
            prop_assert_eq!(composed.new_len(), expected.len());
            prop_assert_eq!(composed.apply(&before).unwrap(), expected);
        }

        #[test]
        fn offsets_keep_their_order_and_stay_inside((base, set) in text().prop_flat_map(|base| (Just(base.clone()), edits(base)))) {
            for side in [Side::Before, Side::After] {
                let mapped: Vec<_> = (0..=base.len()).map(|offset| set.map_offset(offset, side)).collect();
                prop_assert!(mapped.is_sorted());
                prop_assert!(mapped.iter().all(|&offset| offset <= set.new_len()));
            }
            for offset in 0..=base.len() {
                prop_assert!(set.map_offset(offset, Side::Before) <= set.map_offset(offset, Side::After));
            }
        }
    }
}
