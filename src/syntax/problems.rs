//! What is wrong in a text, by its tree: where the parser found no way, what it had to make up, and brackets without
//! their partner, which are most often the true reason and seldom where the parser gave up.

use std::fmt;
use std::ops::Range;

use tree_sitter::{Node, TreeCursor};

use super::Parsed;

/// Partners are looked for this far among open brackets: a stray one must not undo a whole file.
const LOOK_BACK: usize = 20;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Its bytes.
    pub bytes: Range<usize>,
    /// Its lines, from 0, the end not included.
    pub lines: Range<usize>,
    /// What it is.
    pub wrong: Wrong,
}

/// What can be wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wrong {
    /// A bracket is never closed.
    Unclosed(&'static str),
    /// A bracket is closed that is not open.
    Unopened(&'static str),
    /// Something must stand here.
    Missing(String),
    /// What stands here fits nowhere.
    Unexpected,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unclosed(bracket) => write!(f, "`{bracket}` is not closed"),
            Self::Unopened(bracket) => write!(f, "`{bracket}` closes nothing"),
            Self::Missing(what) => write!(f, "`{what}` is missing"),
            Self::Unexpected => f.write_str("this does not fit the syntax"),
        }
    }
}

/// The first problems of a text, at most `limit`, at most one for each line, by line; none if it is whole. Ends early
/// when `stop` says so.
pub fn problems(parsed: &Parsed, limit: usize, stop: &mut dyn FnMut() -> bool) -> Vec<Problem> {
    if !parsed.is_broken() {
        return Vec::new();
    }
    let mut found: Vec<(Range<usize>, Wrong)> = Vec::new();
    let mut brackets = Brackets::default();
    let mut cursor = parsed.tree.walk();
    let mut steps = 0_u32;
    loop {
        let node = cursor.node();
        // A thousand nodes take some ten microseconds.
        steps = steps.wrapping_add(1);
        if steps.is_multiple_of(1_024) && stop() {
            break;
        }
        if node.is_missing() {
            found.push((node.byte_range(), Wrong::Missing(node.kind().to_owned())));
        } else if node.is_error() && cursor.depth() > 0 {
            found.push((node.byte_range(), Wrong::Unexpected));
        } else if node.child_count() == 0 {
            brackets.see(&node);
        }
        if !next(&mut cursor) {
            break;
        }
    }
    found.extend(brackets.unmatched());
    let text = &parsed.text;
    let mut problems: Vec<Problem> = found
        .into_iter()
        .map(|(bytes, wrong)| {
            let first = text.line_at(bytes.start);
            let last = text.line_at(bytes.end.saturating_sub(1).max(bytes.start));
            Problem { bytes, lines: first..last + 1, wrong }
        })
        .collect();
    // Of one line the bracket is said, which sorts first.
    problems.sort_by(|a, b| (a.lines.start, &a.wrong, a.bytes.start).cmp(&(b.lines.start, &b.wrong, b.bytes.start)));
    problems.dedup_by_key(|problem| problem.lines.start);
    problems.truncate(limit);
    problems
}

/// To the next node in reading order.
fn next(cursor: &mut TreeCursor<'_>) -> bool {
    if cursor.goto_first_child() {
        return true;
    }
    loop {
        if cursor.goto_next_sibling() {
            return true;
        }
        if !cursor.goto_parent() {
            return false;
        }
    }
}

#[derive(Default)]
struct Brackets {
    open: Vec<(&'static str, Range<usize>)>,
    unclosed: Vec<(&'static str, Range<usize>)>,
    unopened: Vec<(&'static str, Range<usize>)>,
}

impl Brackets {
    /// A leaf of the tree: a bracket in a string or a comment is none.
    fn see(&mut self, leaf: &Node<'_>) {
        let bytes = leaf.byte_range();
        let (close, opener) = match leaf.kind() {
            "(" => return self.open.push(("(", bytes)),
            "[" => return self.open.push(("[", bytes)),
            "{" => return self.open.push(("{", bytes)),
            "${" => return self.open.push(("{", bytes)),
            ")" => (")", "("),
            "]" => ("]", "["),
            "}" => ("}", "{"),
            _ => return,
        };
        let back = self.open.iter().rev().take(LOOK_BACK).position(|(open, _)| *open == opener);
        match back {
            Some(back) => {
                let at = self.open.len() - 1 - back;
                self.unclosed.extend(self.open.drain(at..).skip(1));
            }
            None => self.unopened.push((close, bytes)),
        }
    }

    fn unmatched(self) -> impl Iterator<Item = (Range<usize>, Wrong)> {
        let unclosed = self.unclosed.into_iter().chain(self.open);
        let unclosed = unclosed.map(|(bracket, bytes)| (bytes, Wrong::Unclosed(bracket)));
        unclosed.chain(self.unopened.into_iter().map(|(bracket, bytes)| (bytes, Wrong::Unopened(bracket))))
    }
}
