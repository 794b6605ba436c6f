//! Searching texts line by line with ripgrep's own machinery, on all cores, with the result of one.
//!
//! The files come as a sorted list. Threads take them in order, a few at a time; what they find is put together in
//! order again, and the search ends once the first files hold as many matches as were asked for. So the result is
//! the first matches in path order, whatever the threads did, and no file is read that cannot matter any more.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use grep_matcher::{LineTerminator, Matcher};
use grep_regex::RegexMatcher;
use grep_searcher::{BinaryDetection, Searcher, SearcherBuilder, Sink, SinkContext, SinkFinish, SinkMatch};

use super::tool::Cancel;
use super::walk;
use crate::text::Text;

/// Longest line of which all is kept, in bytes; of a longer one, what stands around the match.
const MAX_LINE: usize = 2_000;

/// What is kept of a long line: this many bytes before the match and the rest after its start.
const BEFORE_MATCH: usize = 200;
const AROUND_MATCH: usize = 1_000;

/// A file with a line longer than this is left out: the line would have to be held in memory.
const MAX_LINE_IN_MEMORY: usize = 64 << 20;

/// A file that fits is read at once and searched in place. The searcher's own buffer has this size and it looks for
/// binary data in as much, so that small files and large ones are judged alike.
const BUFFER: usize = 64 << 10;

/// Files a thread takes at a time: enough that taking them costs nothing, few enough that the end is even.
const CHUNK: usize = 16;

/// Lists shorter than this are searched on the calling thread: starting another one costs more.
const ALONE: usize = 2 * CHUNK;

/// What to look for and when to stop.
#[derive(Clone, Debug)]
pub struct Query {
    /// The pattern; matches within lines.
    pub matcher: RegexMatcher,
    /// Lines shown before and after each match.
    pub context: usize,
    /// Most matching lines in the result.
    pub max_matches: usize,
    /// Bytes of lines after which no further file is looked at.
    pub max_bytes: usize,
    /// How long to look for the first match.
    pub first_match: Duration,
    /// When to stop in any case.
    pub until: Option<Instant>,
    /// Threads; 0: as many as there are cores.
    pub threads: usize,
}

/// Where a text comes from.
#[derive(Debug)]
pub enum Source {
    /// An open file, searched as it is read.
    File(File),
    /// A text that is in memory.
    Text(Text),
}

/// Gives the text of a file of the list; `None`: there is none any more, or it cannot be read.
pub type Open<'a> = dyn Fn(&str) -> Option<Source> + Sync + 'a;

/// The lines found in one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileHits {
    /// Its place in the list.
    pub index: usize,
    /// The lines, in order.
    pub lines: Vec<Line>,
    /// How many of them match.
    pub matches: usize,
    text: String,
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
    fn truncate(&mut self, matches: usize) {
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

/// Why a search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Everything was looked at.
    Whole,
    /// There are more matches than were asked for.
    Full,
    /// No match was found in the time for the first one.
    NoFirstMatch,
    /// Time was up.
    Late,
    /// It was cancelled.
    Cancelled,
}

/// What a search found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The files with matches, in the order of the list.
    pub files: Vec<FileHits>,
    /// Matching lines in them.
    pub matches: usize,
    /// Files that were looked at; more than the result shows if it ended early.
    pub searched: usize,
    /// Why it ended.
    pub end: End,
}

/// Searches the files of `list`.
pub fn search(query: &Query, list: &[Box<str>], open: &Open<'_>, cancel: &Cancel) -> Found {
    let begun = Instant::now();
    let threads = if list.len() < ALONE { 1 } else { walk::threads(query.threads).min(list.len() / CHUNK) };
    let shared = Shared {
        query,
        list,
        open,
        cancel,
        begun,
        next: AtomicUsize::new(0),
        matches: AtomicUsize::new(0),
        searched: AtomicUsize::new(0),
        stop: AtomicBool::new(false),
        state: Mutex::new(State {
            next: 0,
            waiting: BTreeMap::new(),
            files: Vec::new(),
            matches: 0,
            bytes: 0,
            end: None,
        }),
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(|| shared.work());
        }
        shared.work();
    });
    shared.finish()
}

struct Shared<'a> {
    query: &'a Query,
    list: &'a [Box<str>],
    open: &'a Open<'a>,
    cancel: &'a Cancel,
    begun: Instant,
    /// The next chunk nobody has taken.
    next: AtomicUsize,
    matches: AtomicUsize,
    searched: AtomicUsize,
    stop: AtomicBool,
    state: Mutex<State>,
}

/// What has been found, put together.
struct State {
    /// The chunk that comes next in order.
    next: usize,
    /// Chunks that were done before their turn.
    waiting: BTreeMap<usize, Vec<FileHits>>,
    files: Vec<FileHits>,
    matches: usize,
    bytes: usize,
    end: Option<End>,
}

impl Shared<'_> {
    fn work(&self) {
        let mut desk = Desk { searcher: searcher(self.query), bytes: vec![0; BUFFER], text: String::new() };
        while !self.stop.load(Ordering::Relaxed) {
            let chunk = self.next.fetch_add(1, Ordering::Relaxed);
            let first = chunk * CHUNK;
            if first >= self.list.len() {
                break;
            }
            let mut hits = Vec::new();
            for index in first..self.list.len().min(first + CHUNK) {
                if self.time_is_up() {
                    break;
                }
                if let Some(found) = self.look(index, &mut desk) {
                    self.matches.fetch_add(found.matches, Ordering::Relaxed);
                    hits.push(found);
                }
                self.searched.fetch_add(1, Ordering::Relaxed);
            }
            self.hand_in(chunk, hits);
        }
    }

    /// Whether to stop, because of the clock or because someone else found out.
    fn time_is_up(&self) -> bool {
        if self.stop.load(Ordering::Relaxed) {
            return true;
        }
        let end = if self.cancel.is_cancelled() {
            End::Cancelled
        } else if self.query.until.is_some_and(|until| Instant::now() >= until) {
            End::Late
        } else if self.matches.load(Ordering::Relaxed) == 0 && self.begun.elapsed() >= self.query.first_match {
            End::NoFirstMatch
        } else {
            return false;
        };
        self.state.lock().unwrap_or_else(PoisonError::into_inner).end.get_or_insert(end);
        self.stop.store(true, Ordering::Relaxed);
        true
    }

    fn look(&self, index: usize, desk: &mut Desk) -> Option<FileHits> {
        let mut sink = Collect {
            matcher: &self.query.matcher,
            left: self.query.max_matches.saturating_add(1),
            gap: false,
            hits: FileHits { index, lines: Vec::new(), matches: 0, text: String::new() },
        };
        let Desk { searcher, bytes, text } = desk;
        // A file that cannot be read to its end is searched as far as it can: so does ripgrep.
        let _ = match (self.open)(&self.list[index])? {
            Source::File(mut file) => match fill(&mut file, bytes).ok()? {
                len if len < bytes.len() => searcher.search_slice(&self.query.matcher, &bytes[..len], &mut sink),
                _ => {
                    let rest = Watched { file, shared: self };
                    searcher.search_reader(&self.query.matcher, bytes.as_slice().chain(rest), &mut sink)
                }
            },
            Source::Text(live) => {
                text.clear();
                text.extend(live.chunks());
                searcher.search_slice(&self.query.matcher, text.as_bytes(), &mut sink)
            }
        };
        (sink.hits.matches > 0).then_some(sink.hits)
    }

    fn hand_in(&self, chunk: usize, hits: Vec<FileHits>) {
        let mut guard = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *guard;
        state.waiting.insert(chunk, hits);
        while state.end.is_none() {
            let Some(hits) = state.waiting.remove(&state.next) else { break };
            state.next += 1;
            for file in hits {
                state.matches += file.matches;
                state.bytes += file.text.len();
                state.files.push(file);
            }
            if state.matches > self.query.max_matches || state.bytes > self.query.max_bytes {
                state.end = Some(End::Full);
                self.stop.store(true, Ordering::Relaxed);
            }
        }
    }

    fn finish(self) -> Found {
        let mut state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        let end = state.end.unwrap_or(End::Whole);
        if matches!(end, End::NoFirstMatch | End::Late) {
            // Incomplete anyway: what was found out of turn is worth having.
            state.files.extend(std::mem::take(&mut state.waiting).into_values().flatten());
        }
        let mut left = self.query.max_matches;
        for file in &mut state.files {
            file.truncate(left);
            left -= file.matches;
        }
        state.files.retain(|file| file.matches > 0);
        Found { matches: self.query.max_matches - left, files: state.files, searched: self.searched.into_inner(), end }
    }
}

/// What one thread keeps for all its files.
struct Desk {
    searcher: Searcher,
    bytes: Vec<u8>,
    text: String,
}

/// Reads until `buffer` is full or the file ends; says how much there is.
fn fill(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut len = 0;
    while len < buffer.len() {
        match file.read(&mut buffer[len..]) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}

/// The rest of a file, which ends when the search does.
struct Watched<'a, 'b> {
    file: File,
    shared: &'a Shared<'b>,
}

impl Read for Watched<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.shared.time_is_up() { Err(io::ErrorKind::TimedOut.into()) } else { self.file.read(buffer) }
    }
}

fn searcher(query: &Query) -> Searcher {
    SearcherBuilder::new()
        .line_terminator(query.matcher.line_terminator().unwrap_or(LineTerminator::byte(b'\n')))
        .line_number(true)
        .before_context(query.context)
        .after_context(query.context)
        .binary_detection(BinaryDetection::quit(0))
        .heap_limit(Some(MAX_LINE_IN_MEMORY))
        .build()
}

/// Collects the lines of one file.
struct Collect<'a> {
    matcher: &'a RegexMatcher,
    /// Matches that are still wanted.
    left: usize,
    /// Whether the next line comes after a gap.
    gap: bool,
    hits: FileHits,
}

impl Collect<'_> {
    fn add(&mut self, number: Option<u64>, bytes: &[u8], is_match: bool) {
        let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        let start = self.hits.text.len();
        let cut = bytes.len() > MAX_LINE;
        let kept = if cut { self.around_match(bytes, is_match) } else { bytes };
        self.hits.text.push_str(&String::from_utf8_lossy(kept));
        let end = self.hits.text.len();
        let line = Line { number: number.unwrap_or(0), is_match, after_gap: self.gap, cut, start, end };
        self.gap = false;
        self.hits.lines.push(line);
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
        self.hits.matches += 1;
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
