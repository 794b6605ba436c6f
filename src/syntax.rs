//! Syntax: the tree of a text, what is wrong in it, and what it declares.
//!
//! tree-sitter reads the rope piece by piece, so no text is copied. A tree is made from an earlier one of the same
//! file wherever there is one: what changed in between is found by what the two ropes have in common, so open buffers,
//! staged edits and files on disk all go the same way.
//!
//! Texts are hostile. A parse stops when its caller says so, a text may be only so large and nest only so deep before it
//! is looked at (the parser keeps some two hundred bytes for each open bracket), and no walk here is recursive.

pub mod cache;
pub mod language;
pub mod names;
pub mod outline;
pub mod problems;
mod symbols;

use std::cell::{Cell, RefCell};
use std::ops::ControlFlow;

use thiserror::Error;
use tree_sitter::{InputEdit, ParseOptions, Parser, Point, Tree};

use crate::text::{Text, diff};

pub use self::cache::{Parses, SharedParses};
pub use self::language::Language;
pub use self::names::{Name, Use, names};
pub use self::outline::{Kind, Outline, Symbol, enclosing, outline};
pub use self::problems::{Problem, Wrong, problems};

/// Largest text that is parsed, in bytes: what people write is far smaller, and a tree takes many times the text.
pub const MAX_BYTES: usize = 2 << 20;

/// Most brackets that may be open at once, strings and comments not told apart.
const MAX_DEPTH: usize = 5_000;

/// Pieces of a rope, of about a kilobyte each, that are read between two looks at the clock.
const PIECES: u32 = 64;

/// Why there is no tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ParseError {
    /// This program was built without grammars.
    #[error("this build of ropeway has no grammars (it was built without the feature `grammars`)")]
    NoGrammars,
    /// The text is too large.
    #[error("the file has {0} bytes, more than the {MAX_BYTES} that are parsed")]
    TooLarge(usize),
    /// The text nests too deep.
    #[error("the file nests more than {MAX_DEPTH} brackets deep")]
    TooDeep,
    /// The caller stopped it.
    #[error("parsing took too long")]
    Stopped,
}

/// A text and its tree.
#[derive(Clone, Debug)]
pub struct Parsed {
    tree: Tree,
    text: Text,
    language: Language,
}

impl Parsed {
    /// The text that the tree is of.
    pub fn text(&self) -> &Text {
        &self.text
    }

    /// The language it was read as.
    pub fn language(&self) -> Language {
        self.language
    }

    /// Whether the text is not whole in its language; cheap.
    pub fn is_broken(&self) -> bool {
        self.tree.root_node().has_error()
    }

    /// About how many bytes it keeps, the text included.
    pub fn weight(&self) -> usize {
        /// Bytes for each node, a mean: leaves are stored in their parents, inner nodes take some hundred.
        const NODE: usize = 48;
        self.text.len() + self.tree.root_node().descendant_count() * NODE
    }
}

/// Parses `text`, with the help of an earlier tree of the same file if one is given. Asks `stop` some thousand times a
/// second; once it says yes, the parse ends with [`ParseError::Stopped`].
pub fn parse(
    text: &Text,
    language: Language,
    previous: Option<&Parsed>,
    stop: &mut dyn FnMut() -> bool,
) -> Result<Parsed, ParseError> {
    if text.len() > MAX_BYTES {
        return Err(ParseError::TooLarge(text.len()));
    }
    let parsed = |tree| Parsed { tree, text: text.clone(), language };
    if let Some(previous) = previous.filter(|previous| previous.language == language) {
        let Some(edit) = edit_between(&previous.text, text) else { return Ok(parsed(previous.tree.clone())) };
        if is_too_deep(text) {
            return Err(ParseError::TooDeep);
        }
        let mut tree = previous.tree.clone();
        tree.edit(&edit);
        let tree = tree_of(text, language, Some(&tree), stop)?;
        // How the parser mends a broken text depends on where it came from; from scratch it depends on the text only.
        if !tree.root_node().has_error() {
            return Ok(parsed(tree));
        }
    } else if is_too_deep(text) {
        return Err(ParseError::TooDeep);
    }
    tree_of(text, language, None, stop).map(parsed)
}

fn tree_of(
    text: &Text,
    language: Language,
    previous: Option<&Tree>,
    stop: &mut dyn FnMut() -> bool,
) -> Result<Tree, ParseError> {
    let grammar = language.grammar().ok_or(ParseError::NoGrammars)?;
    let mut parser = Parser::new();
    parser.set_language(&grammar).map_err(|_| ParseError::NoGrammars)?;
    let (stop, stopped, pieces) = (RefCell::new(stop), Cell::new(false), Cell::new(0_u32));
    let ask = || {
        let stop = stopped.get() || (stop.borrow_mut())();
        stopped.set(stop);
        stop
    };
    let mut progress = |_: &_| if ask() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    // Some scanners read on to the end of the text for every word they do not understand, and the parser asks nobody
    // meanwhile. A text that ends early ends them, and its tree is thrown away.
    let mut piece = |offset: usize, _: Point| {
        pieces.set(pieces.get().wrapping_add(1));
        let stop = if pieces.get().is_multiple_of(PIECES) { ask() } else { stopped.get() };
        if stop { &[] } else { text.bytes_from(offset) }
    };
    let options = ParseOptions::new().progress_callback(&mut progress);
    let tree = parser.parse_with_options(&mut piece, previous, Some(options));
    tree.filter(|_| !stopped.get()).ok_or(ParseError::Stopped)
}

/// The one edit that makes `before` into `after`; nothing if they are equal.
fn edit_between(before: &Text, after: &Text) -> Option<InputEdit> {
    let (old, new) = diff::stretch(before, after)?;
    let start = point(before, 0, Point::default(), old.start);
    Some(InputEdit {
        start_byte: old.start,
        old_end_byte: old.end,
        new_end_byte: new.end,
        start_position: start,
        old_end_position: point(before, old.start, start, old.end),
        new_end_position: point(after, new.start, start, new.end),
    })
}

/// Where byte `to` is for tree-sitter, whose lines end at LF only; `from` is at `point`.
fn point(text: &Text, from: usize, mut point: Point, to: usize) -> Point {
    for piece in text.chunks_in(from..to) {
        match memchr::memrchr(b'\n', piece.as_bytes()) {
            Some(last) => {
                point.row += memchr::memchr_iter(b'\n', piece.as_bytes()).count();
                point.column = piece.len() - last - 1;
            }
            None => point.column += piece.len(),
        }
    }
    point
}

fn is_too_deep(text: &Text) -> bool {
    let mut depth = 0_usize;
    for byte in text.chunks().flat_map(str::bytes) {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => continue,
        }
        if depth > MAX_DEPTH {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests;
