//! A block of lines that stands in the text with another indentation than in the quote: all lines moved by the same
//! blanks, or tabs for spaces. A block whose lines moved differently is another block.

use std::collections::HashMap;
use std::ops::Range;

use super::{Line, lines};

/// A place where the lines of a quote stand.
pub(super) struct Block {
    /// Bytes of the text: whole lines, with the last line end if the quote has it.
    pub range: Range<usize>,
    /// How the quote's indentation becomes the text's.
    change: Change,
    /// The last line of the text has no line end, though the quote has one.
    at_open_end: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Change {
    /// Put this before each line.
    Add(String),
    /// Take this from each line.
    Remove(String),
    /// Count levels in one unit, write them in another, this many more.
    Levels { from: Unit, to: Unit, more: isize },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Tab,
    Spaces(usize),
}

/// The units in the order in which they are thought of.
const UNITS: [Unit; 5] = [Unit::Spaces(4), Unit::Spaces(2), Unit::Tab, Unit::Spaces(8), Unit::Spaces(3)];

/// Where the lines of `old` stand in `text`, their indentation aside; for `all` without overlaps.
pub(super) fn find(text: &str, old: &str, all: bool) -> Vec<Block> {
    let wanted: Vec<&str> = lines(old).map(|line| &old[line.start..line.content_end]).collect();
    if wanted.iter().all(|line| line.trim().is_empty()) {
        return Vec::new();
    }
    let mut numbers: HashMap<&str, usize> = HashMap::new();
    let pattern: Vec<usize> = wanted
        .iter()
        .map(|line| {
            let next = numbers.len();
            *numbers.entry(line.trim()).or_insert(next)
        })
        .collect();
    let here: Vec<Line> = lines(text).collect();
    let number = |line: &Line| numbers.get(text[line.start..line.content_end].trim()).copied();

    let whole_last_line = old.ends_with(['\n', '\r']);
    // Comparing indentations is what a hostile text could make long: past this the rest is not looked at, and then
    // only that there are too many is known for certain.
    let mut comparisons = 8 * (here.len() + wanted.len());
    let mut blocks: Vec<Block> = Vec::new();
    let mut free = 0;
    for first in occurrences(&pattern, here.iter().map(number)) {
        if all && first < free {
            continue;
        }
        let stretch = &here[first..first + wanted.len()];
        let pairs = wanted.iter().zip(stretch).map(|(line, here)| (*line, &text[here.start..here.content_end]));
        let Some(left) = comparisons.checked_sub(wanted.len()) else {
            return if !all && blocks.len() > 1 { blocks } else { Vec::new() };
        };
        comparisons = left;
        let (Some(change), Some(last)) = (Change::between(pairs), stretch.last()) else { continue };
        let end = if whole_last_line { last.end } else { last.content_end };
        let at_open_end = whole_last_line && last.end == last.content_end;
        free = first + wanted.len();
        blocks.push(Block { range: stretch[0].start..end, change, at_open_end });
    }
    blocks
}

/// Where `pattern` occurs in `items`, overlaps included, by Knuth, Morris and Pratt.
fn occurrences(pattern: &[usize], items: impl Iterator<Item = Option<usize>>) -> Vec<usize> {
    // For each length of a matched beginning, the longest shorter beginning that ends it too.
    let mut shorter = vec![0; pattern.len() + 1];
    let mut matched = 0;
    for at in 1..pattern.len() {
        while matched > 0 && pattern[at] != pattern[matched] {
            matched = shorter[matched];
        }
        matched += usize::from(pattern[at] == pattern[matched]);
        shorter[at + 1] = matched;
    }
    let mut found = Vec::new();
    let mut matched = 0;
    for (at, item) in items.enumerate() {
        while matched > 0 && (matched == pattern.len() || item != Some(pattern[matched])) {
            matched = shorter[matched];
        }
        matched += usize::from(item == Some(pattern[matched]));
        if matched == pattern.len() {
            found.push(at + 1 - pattern.len());
            // With a pattern of one there is nothing shorter to go on from.
            matched = shorter[matched];
        }
    }
    found
}

impl Block {
    /// `new` indented as the text is here.
    pub fn fit(&self, new: &str) -> String {
        let mut out = String::with_capacity(new.len() + new.len() / 4);
        for line in lines(new) {
            let content = &new[line.start..line.content_end];
            if !content.trim().is_empty() {
                self.change.indent(content, &mut out);
            }
            if line.end > line.content_end {
                out.push('\n');
            }
        }
        if self.at_open_end && out.ends_with('\n') {
            out.pop();
        }
        out
    }
}

impl Change {
    /// The one change that explains all pairs of a quoted line and a line of the text.
    fn between<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)> + Clone) -> Option<Self> {
        let mut pairs = pairs.filter(|(old, _)| !old.trim().is_empty()).map(|(old, new)| (indent(old), indent(new)));
        let all = pairs.clone();
        let (old, new) = pairs.next()?;
        if let Some(added) = new.strip_suffix(old)
            && all.clone().all(|(old, new)| new.strip_prefix(added) == Some(old))
        {
            return Some(Self::Add(added.to_owned()));
        }
        if let Some(removed) = old.strip_suffix(new)
            && all.clone().all(|(old, new)| old.strip_prefix(removed) == Some(new))
        {
            return Some(Self::Remove(removed.to_owned()));
        }
        let mut fallback = None;
        for from in UNITS {
            for to in UNITS.into_iter().filter(|to| *to != from) {
                let more = |(old, new)| Some(to.levels(new)?.cast_signed() - from.levels(old)?.cast_signed());
                let Some(first) = more((old, new)) else { continue };
                if all.clone().all(|pair| more(pair) == Some(first)) {
                    let change = Self::Levels { from, to, more: first };
                    if first == 0 {
                        return Some(change);
                    }
                    fallback.get_or_insert(change);
                }
            }
        }
        fallback
    }

    /// Writes `line`, which is not blank, with its indentation changed.
    fn indent(&self, line: &str, out: &mut String) {
        let blanks = indent(line);
        match self {
            Self::Add(added) => {
                out.push_str(added);
                out.push_str(line);
            }
            Self::Remove(removed) => {
                let common = blanks.chars().zip(removed.chars()).take_while(|(a, b)| a == b);
                out.push_str(&line[common.map(|(ch, _)| ch.len_utf8()).sum()..]);
            }
            Self::Levels { from, to, more } => {
                let (levels, rest) = from.split(blanks);
                for _ in 0..levels.saturating_add_signed(*more) {
                    match to {
                        Unit::Tab => out.push('\t'),
                        Unit::Spaces(count) => out.extend(std::iter::repeat_n(' ', *count)),
                    }
                }
                out.push_str(rest);
                out.push_str(&line[blanks.len()..]);
            }
        }
    }
}

impl Unit {
    /// How many whole units `blanks` begins with, and what is left of it.
    fn split(self, blanks: &str) -> (usize, &str) {
        let (mark, size) = match self {
            Self::Tab => ('\t', 1),
            Self::Spaces(size) => (' ', size),
        };
        let levels = (blanks.len() - blanks.trim_start_matches(mark).len()) / size;
        (levels, &blanks[levels * size..])
    }

    /// How many units `blanks` is, if it is nothing else.
    fn levels(self, blanks: &str) -> Option<usize> {
        let (levels, rest) = self.split(blanks);
        rest.is_empty().then_some(levels)
    }
}

/// The blanks that a line begins with.
fn indent(line: &str) -> &str {
    &line[..line.len() - line.trim_start().len()]
}
