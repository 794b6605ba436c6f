//! What a search keeps of the lines it is told of.

use std::io;

use grep_matcher::Matcher;
use grep_regex::RegexMatcher;
use grep_searcher::{Searcher, Sink, SinkContext, SinkFinish, SinkMatch};

/// Longest line of which all is kept, in bytes; of a longer one, what stands around the match.
const MAX_LINE: usize = 2_000;

/// What is kept of a long line: this many bytes before the match and the rest after its start.
const BEFORE_MATCH: usize = 200;
const AROUND_MATCH: usize = 1_000;

/// The lines found in one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileHits {
    /// Its path, as the list has it.
    pub rel: Box<str>,
    /// The lines, in order.
    pub lines: Vec<Line>,
    /// How many of them match.
    pub matches: usize,
    pub(super) text: String,
}

/// A line in a [`FileHits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its number, from 1.
    pub number: u64,
    /// Whether it matches; else it stands there as context.
    pub is_match: bool,
    /// Whether lines between it and the one before are left out.
    pub after_gap: bool,
    /// Whether only a part is kept.
    pub cut: bool,
    start: usize,
    end: usize,
}

impl FileHits {
    /// The text of a line, without its line end.
    pub fn text(&self, line: &Line) -> &str {
        &self.text[line.start..line.end]
    }

    /// Keeps the first `matches` matches, and what stands before the next one.
    pub(super) fn truncate(&mut self, matches: usize) {
        let mut seen = 0;
        let end = self.lines.iter().position(|line| {
            seen += usize::from(line.is_match);
            seen > matches
        });
        if let Some(end) = end {
            self.lines.truncate(end);
            self.matches = matches;
        }
    }
}

/// Collects the lines of one file.
pub(super) struct Collect<'a> {
    matcher: &'a RegexMatcher,
    /// Matches that are still wanted.
    left: usize,
    /// Whether the next line comes after a gap.
    gap: bool,
    lines: Vec<Line>,
    matches: usize,
    text: String,
}

impl<'a> Collect<'a> {
    /// Nothing yet; at most `left` matches are collected.
    pub(super) fn new(matcher: &'a RegexMatcher, left: usize) -> Self {
        Self { matcher, left, gap: false, lines: Vec::new(), matches: 0, text: String::new() }
    }

    /// What was found in the file; `None`: nothing.
    pub(super) fn hits(self, rel: &str) -> Option<FileHits> {
        let Self { lines, matches, text, .. } = self;
        (matches > 0).then(|| FileHits { rel: rel.into(), lines, matches, text })
    }
    fn add(&mut self, number: Option<u64>, bytes: &[u8], is_match: bool) {
        let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        let start = self.text.len();
        let cut = bytes.len() > MAX_LINE;
        let kept = if cut { self.around_match(bytes, is_match) } else { bytes };
        self.text.push_str(&String::from_utf8_lossy(kept));
        let end = self.text.len();
        let line = Line { number: number.unwrap_or(0), is_match, after_gap: self.gap, cut, start, end };
        self.gap = false;
        self.lines.push(line);
    }

    fn around_match<'b>(&self, bytes: &'b [u8], is_match: bool) -> &'b [u8] {
        let at = if is_match { self.matcher.find(bytes).ok().flatten().map_or(0, |found| found.start()) } else { 0 };
        let start = boundary(bytes, at.saturating_sub(BEFORE_MATCH));
        &bytes[start..boundary(bytes, (start + AROUND_MATCH).min(bytes.len()))]
    }
}

/// The start of the character that byte `at` is in.
fn boundary(bytes: &[u8], mut at: usize) -> usize {
    let lowest = at.saturating_sub(3);
    while at > lowest && at < bytes.len() && bytes[at] & 0xC0 == 0x80 {
        at -= 1;
    }
    at
}

impl Sink for Collect<'_> {
    type Error = io::Error;

    fn matched(&mut self, _: &Searcher, found: &SinkMatch<'_>) -> io::Result<bool> {
        self.add(found.line_number(), found.bytes(), true);
        self.matches += 1;
        self.left -= 1;
        Ok(self.left > 0)
    }

    fn context(&mut self, _: &Searcher, context: &SinkContext<'_>) -> io::Result<bool> {
        self.add(context.line_number(), context.bytes(), false);
        Ok(true)
    }

    fn context_break(&mut self, _: &Searcher) -> io::Result<bool> {
        self.gap = true;
        Ok(true)
    }

    fn finish(&mut self, _: &Searcher, _: &SinkFinish) -> io::Result<()> {
        Ok(())
    }
}
