//! Finding the text that a model quotes.
//!
//! Models quote from memory: line ends, blanks at the end of a line and the indentation of a block come out
//! differently. So a quote is looked for in four ways, each looser than the one before, and the first that finds it
//! decides. What is put in its place gets the line ends, and in the last way the indentation, of the file. The text
//! and the quote may be anything: the time taken grows with their lengths and not with the product.

mod indent;
mod nearest;

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use memchr::memmem;

use super::edit::Edit;
use super::rope::Text;

pub use self::nearest::Near;

/// The text that `all` replacements may add up to, in bytes.
const MAX_RESULT: usize = 64 << 20;
/// Lines named in a message.
const MAX_LINES: usize = 8;

/// Why a quote leads to no edit. The message is for the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Miss {
    /// The quote is empty.
    Empty,
    /// The quote and its replacement are the same.
    Unchanged,
    /// It is not in the text.
    NotFound {
        /// Where the text comes closest, at most three, the best first.
        nearest: Vec<Near>,
    },
    /// It is there more than once.
    Ambiguous {
        /// The first lines on which it begins, from 1.
        lines: Vec<usize>,
        /// How often it is there.
        count: usize,
    },
    /// The replacements together would be too long.
    TooLarge {
        /// How often the quote is there.
        count: usize,
    },
}

/// The edits that put `new` in the place of `old`: of the only occurrence, or of all of them.
///
/// # Errors
/// Why there is none, in words that a model can act on.
pub fn locate(text: &Text, old: &str, new: &str, all: bool) -> Result<Vec<Edit>, Miss> {
    locate_str(&text.to_string(), old, new, all)
}

/// As [`locate`], in a text that is in one piece.
///
/// # Errors
/// As [`locate`].
pub fn locate_str(text: &str, old: &str, new: &str, all: bool) -> Result<Vec<Edit>, Miss> {
    if old.is_empty() {
        return Err(Miss::Empty);
    }
    if old == new {
        return Err(Miss::Unchanged);
    }
    let mut found = exact(text, old, all);
    // Who quotes a CR means the line ends that he writes.
    let verbatim = !found.is_empty() && old.contains('\r');
    if found.is_empty() && (text.contains('\r') || old.contains('\r')) {
        found = loosely(text, old, false);
    }
    if found.is_empty() {
        found = loosely(text, old, true);
    }
    if !found.is_empty() {
        decide(text, &found, new, all)?;
        let mut line_ends = LineEnds { text, next: None };
        let put_in = |range: Range<usize>| {
            let new = if verbatim { Cow::Borrowed(new) } else { with_line_ends(new, line_ends.at(range.start)) };
            Edit::new(range, new)
        };
        return Ok(found.into_iter().map(put_in).collect());
    }
    let blocks = indent::find(text, old, all);
    if blocks.is_empty() {
        return Err(Miss::NotFound { nearest: nearest::nearest(text, old) });
    }
    let ranges: Vec<_> = blocks.iter().map(|block| block.range.clone()).collect();
    decide(text, &ranges, new, all)?;
    let mut line_ends = LineEnds { text, next: None };
    let fit = |block: indent::Block| {
        let new = block.fit(new);
        Edit::new(block.range.clone(), with_line_ends(&new, line_ends.at(block.range.start)))
    };
    Ok(blocks.into_iter().map(fit).collect())
}

/// Whether what was found may be replaced.
fn decide(text: &str, found: &[Range<usize>], new: &str, all: bool) -> Result<(), Miss> {
    if !all && found.len() > 1 {
        let mut lines: Vec<usize> = Vec::new();
        let (mut line, mut at) = (1, 0);
        for range in found.iter().take(MAX_LINES) {
            line += str_indices::lines_crlf::count_breaks(&text[at..range.start]);
            at = range.start;
            if lines.last() != Some(&line) {
                lines.push(line);
            }
        }
        return Err(Miss::Ambiguous { lines, count: found.len() });
    }
    if found.len().saturating_mul(new.len()) > MAX_RESULT {
        return Err(Miss::TooLarge { count: found.len() });
    }
    Ok(())
}

/// Where `old` stands as it is. One occurrence that overlaps another is ambiguous too, where only one is asked for.
fn exact(text: &str, old: &str, all: bool) -> Vec<Range<usize>> {
    let finder = memmem::Finder::new(old);
    let mut found: Vec<_> = finder.find_iter(text.as_bytes()).map(|at| at..at + old.len()).collect();
    if let (false, [only]) = (all, found.as_slice()) {
        let next = only.start + old.chars().next().map_or(1, char::len_utf8);
        if let Some(at) = finder.find(&text.as_bytes()[next..]) {
            found.push(next + at..next + at + old.len());
        }
    }
    found
}

/// Where `old` stands when all line ends are alike and, with `trim`, blanks at the end of a line do not count.
fn loosely(text: &str, old: &str, trim: bool) -> Vec<Range<usize>> {
    let (hay, needle) = (Loose::of(text, trim), Loose::of(old, trim));
    if needle.text.is_empty() {
        return Vec::new();
    }
    // Blanks cut off the end of the quote stood at the end of a line, so the line must end here too.
    let to_line_end = needle.cuts.last().is_some_and(|&(at, _)| at == needle.text.len());
    memmem::find_iter(hay.text.as_bytes(), needle.text.as_bytes())
        .map(|at| at..at + needle.text.len())
        .filter(|range| !to_line_end || hay.text[range.end..].chars().next().is_none_or(|ch| ch == '\n'))
        .map(|range| hay.original(range.start)..hay.original(range.end))
        .collect()
}

/// A text with some bytes left out, and where.
struct Loose {
    text: String,
    /// Offsets here before which something is left out, and how much has been left out by then in all.
    cuts: Vec<(usize, usize)>,
}

impl Loose {
    fn of(text: &str, trim: bool) -> Self {
        let mut loose = Self { text: String::with_capacity(text.len()), cuts: Vec::new() };
        let mut total = 0;
        for line in lines(text) {
            let content = &text[line.start..line.content_end];
            let kept = if trim { content.trim_end() } else { content };
            loose.text.push_str(kept);
            let line_end = usize::from(line.end > line.content_end);
            let cut = line.end - line.start - kept.len() - line_end;
            if cut > 0 {
                total += cut;
                loose.cuts.push((loose.text.len(), total));
            }
            if line_end > 0 {
                loose.text.push('\n');
            }
        }
        loose
    }

    /// The offset in the original text; right at a cut, the place before what was left out.
    fn original(&self, offset: usize) -> usize {
        let before = self.cuts.partition_point(|&(at, _)| at < offset);
        offset + before.checked_sub(1).map_or(0, |last| self.cuts[last].1)
    }
}

/// A line of a text, in bytes.
#[derive(Clone, Copy)]
struct Line {
    start: usize,
    /// Without its line end.
    content_end: usize,
    end: usize,
}

/// The lines of a text; nothing after the last line end.
fn lines(text: &str) -> impl Iterator<Item = Line> {
    let bytes = text.as_bytes();
    let mut start = 0;
    std::iter::from_fn(move || {
        if start == bytes.len() {
            return None;
        }
        let content_end = memchr::memchr2(b'\n', b'\r', &bytes[start..]).map_or(bytes.len(), |at| start + at);
        let end = match &bytes[content_end..] {
            [b'\r', b'\n', ..] => content_end + 2,
            [] => content_end,
            _ => content_end + 1,
        };
        let line = Line { start, content_end, end };
        start = end;
        Some(line)
    })
}

/// The line ends of a text near rising offsets.
struct LineEnds<'a> {
    text: &'a str,
    /// The first line end after the last offset asked for, if that is known.
    next: Option<usize>,
}

impl<'a> LineEnds<'a> {
    /// The line end that text put in at `offset` gets: that of this line, or of the one above, or LF.
    fn at(&mut self, offset: usize) -> &'a str {
        let bytes = self.text.as_bytes();
        let next = match self.next.filter(|&next| next >= offset) {
            Some(next) => Some(next),
            None => memchr::memchr2(b'\n', b'\r', &bytes[offset..]).map(|at| offset + at),
        };
        // Past the last line end there is only the one above left to look for, and it is the same for all.
        self.next = Some(next.unwrap_or(usize::MAX));
        let above = || memchr::memrchr2(b'\n', b'\r', bytes);
        let Some(at) = next.filter(|&next| next < bytes.len()).or_else(above) else { return "\n" };
        match &bytes[at..] {
            [b'\r', b'\n', ..] => "\r\n",
            [b'\n', ..] if bytes[..at].ends_with(b"\r") => "\r\n",
            _ => &self.text[at..=at],
        }
    }
}

/// `text` with every line end as `line_end`.
fn with_line_ends<'a>(text: &'a str, line_end: &str) -> Cow<'a, str> {
    let has_other = match line_end {
        "\n" => text.contains("\r\n"),
        _ => text.contains('\n'),
    };
    if !has_other {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.replace("\r\n", "\n").replace('\n', line_end))
}

impl fmt::Display for Miss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("old_string is empty; to add text use insert_lines, for a new file create_file"),
            Self::Unchanged => f.write_str("old_string and new_string are the same: there is nothing to change"),
            Self::NotFound { nearest } if nearest.is_empty() => f.write_str(
                "old_string is not in the file and nothing there is like it; read the file again, it may have changed",
            ),
            Self::NotFound { nearest } => {
                f.write_str("old_string is not in the file. What comes closest:\n")?;
                nearest.iter().try_for_each(|near| writeln!(f, "line {}:\n{}", near.line, near.text))?;
                f.write_str("Quote the text exactly as it stands in the file, or read the file again.")
            }
            Self::Ambiguous { lines, count } => {
                write!(f, "old_string is in the file {count} times, on line")?;
                f.write_str(if lines.len() == 1 { " " } else { "s " })?;
                for (index, line) in lines.iter().enumerate() {
                    write!(f, "{}{line}", if index == 0 { "" } else { ", " })?;
                }
                if *count > MAX_LINES {
                    f.write_str(", …")?;
                }
                f.write_str("; quote more of the lines around the one you mean, or set replace_all to change all")
            }
            Self::TooLarge { count } => {
                write!(f, "old_string is in the file {count} times and the result would be too large; quote more of it")
            }
        }
    }
}

impl std::error::Error for Miss {}

#[cfg(test)]
mod tests;
