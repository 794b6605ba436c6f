//! Texts and edits for property tests: short, with every kind of line end and width of character.

use proptest::prelude::*;

use super::edit::{Edit, EditSet};

const PIECES: [&str; 12] = ["a", "b", "c d", "é", "😀", "e\u{301}", "\u{2028}", "\n", "\n", "\r\n", "\r", "\t"];

/// A text of a few lines.
pub fn text() -> impl Strategy<Value = String> {
    proptest::collection::vec(proptest::sample::select(&PIECES[..]), 0..30).prop_map(|pieces| pieces.concat())
}

/// Edits of `base`, touching ones among them, never inside a character.
pub fn edits(base: String) -> impl Strategy<Value = EditSet> {
    let inserted = proptest::collection::vec(proptest::sample::select(&PIECES[..]), 0..3);
    let step = (0usize..6, 0usize..4, inserted.prop_map(|pieces| pieces.concat()));
    proptest::collection::vec(step, 0..8).prop_map(move |steps| {
        let bounds: Vec<usize> = base.char_indices().map(|(at, _)| at).chain([base.len()]).collect();
        let mut at = 0;
        let mut edits = Vec::new();
        for (skip, remove, text) in steps {
            let start = at + skip;
            if start >= bounds.len() {
                break;
            }
            at = (start + remove).min(bounds.len() - 1);
            edits.push(Edit::new(bounds[start]..bounds[at], text));
        }
        EditSet::new(base.len(), edits).expect("made in order, inside the text")
    })
}
