//! `EditSet`: a set of replacements that names the length of the text it is for, so that applying it to another
//! text is an error and never garbage.

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

/// Edits of one base text: sorted, disjoint, none empty on both sides; two may touch.
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
    /// Stays before what is inserted.
    Before,
    /// Goes after what is inserted.
    After,
}

impl EditSet {
    /// The set of `edits` (in any order, ranges over the same base text) for a text of `base_len` bytes.
    pub fn new(base_len: usize, mut edits: Vec<Edit>) -> Result<Self, EditError> {
        edits.retain(|edit| !(edit.range.is_empty() && edit.text.is_empty()));
        edits.sort_by_key(|edit| (edit.range.start, edit.range.end));
        for edit in &edits {
            if edit.range.start > edit.range.end || edit.range.end > base_len {
                return Err(EditError::Range(edit.range.clone()));
            }
        }
        for pair in edits.windows(2) {
            if pair[0].range.end > pair[1].range.start {
                return Err(EditError::Overlap(pair[0].range.clone(), pair[1].range.clone()));
            }
        }
        Ok(Self { base_len, edits })
    }

    /// The set that changes nothing.
    pub fn identity(base_len: usize) -> Self {
        Self { base_len, edits: Vec::new() }
    }

    /// One replacement.
    pub fn replace(base_len: usize, range: Range<usize>, text: impl Into<String>) -> Result<Self, EditError> {
        Self::new(base_len, vec![Edit { range, text: text.into() }])
    }

    /// Length in bytes of the text this is for.
    pub fn base_len(&self) -> usize {
        self.base_len
    }

    /// Length in bytes of the text afterwards.
    pub fn new_len(&self) -> usize {
        self.edits.iter().fold(self.base_len, |len, edit| len - edit.range.len() + edit.text.len())
    }

    /// The edits, in order.
    pub fn edits(&self) -> &[Edit] {
        &self.edits
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    /// The text after these edits.
    pub fn apply(&self, text: &Text) -> Result<Text, EditError> {
        if text.len() != self.base_len {
            return Err(EditError::Length { expected: self.base_len, found: text.len() });
        }
        let mut rope = text.0.clone();
        for edit in self.edits.iter().rev() {
            for bound in [edit.range.start, edit.range.end] {
                if text.floor_boundary(bound) != bound {
                    return Err(EditError::Boundary(bound));
                }
            }
            let start = rope.byte_to_char(edit.range.start);
            let end = rope.byte_to_char(edit.range.end);
            rope.remove(start..end);
            rope.insert(start, &edit.text);
        }
        Ok(Text(rope))
    }
}
