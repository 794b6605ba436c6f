//! One pass over files, by several threads, for several searches.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use grep_matcher::{LineTerminator, Matcher};
use grep_searcher::{BinaryDetection, Searcher, SearcherBuilder};

use super::collect::Collect;
use super::{End, FileHits, Found, MAX_WISHES, Open, Query, Source, Wants, Way, Wish};
use crate::text::Text;
use crate::tools::walk;

/// A file with a line longer than this is left out: the line would have to be held in memory.
const MAX_LINE_IN_MEMORY: usize = 64 << 20;

/// A file that fits is read at once and searched in place. The searcher's own buffer has this size and it looks for
/// binary data in as much, so that small files and large ones are judged alike.
const BUFFER: usize = 64 << 10;

/// A larger file is read once for several searches if it is not larger than this, in bytes.
const MAX_HELD: usize = 8 << 20;

/// Files a thread takes at a time: enough that taking them costs nothing, few enough that the end is even. The first
/// portions are smaller, each twice the one before: the first matches are often in the first files, and a portion is
/// searched to its end.
const PORTION: usize = 16;

/// So many portions, some thirty files, are searched on the calling thread alone: to start another one costs more.
const ALONE: usize = 5;

/// Files that nobody wants, between two looks at the clock.
const PASSED: usize = 64;

pub(super) struct Pass<'a> {
    wishes: Vec<Wanted<'a>>,
    feed: Mutex<Feed<'a>>,
    open: &'a Open<'a>,
    give_up: &'a (dyn Fn(usize) -> bool + Sync),
    given_up: AtomicBool,
    threads: usize,
    begun: Instant,
    /// Searches that have not ended.
    left: AtomicUsize,
}

/// Where the files come from.
struct Feed<'a> {
    next: &'a mut (dyn FnMut(&mut String) -> bool + Send),
    wants: Vec<Wants<'a>>,
    portions: usize,
    over: bool,
}

/// Some files, and which searches want each.
struct Portion {
    number: usize,
    rels: Vec<String>,
    wanted: [u64; PORTION],
    len: usize,
}

/// A search on its way.
struct Wanted<'a> {
    query: &'a Query,
    is_over: &'a (dyn Fn() -> bool + Sync),
    stop: AtomicBool,
    matches: AtomicUsize,
    searched: AtomicUsize,
    state: Mutex<State>,
}

/// What has been found, put together.
#[derive(Default)]
struct State {
    /// The portion that comes next in order.
    next: usize,
    /// Portions that were done before their turn.
    waiting: BTreeMap<usize, Vec<FileHits>>,
    files: Vec<FileHits>,
    matches: usize,
    bytes: usize,
    end: Option<End>,
}

impl<'a> Pass<'a> {
    pub(super) fn new(wishes: Vec<Wish<'a>>, way: Way<'a>) -> Self {
        let mut wants = Vec::new();
        let wishes: Vec<_> = wishes
            .into_iter()
            .take(MAX_WISHES)
            .map(|wish| {
                wants.push(wish.wants);
                Wanted {
                    query: wish.query,
                    is_over: wish.is_over,
                    stop: AtomicBool::new(false),
                    matches: AtomicUsize::new(0),
                    searched: AtomicUsize::new(0),
                    state: Mutex::default(),
                }
            })
            .collect();
        Self {
            left: AtomicUsize::new(wishes.len()),
            wishes,
            feed: Mutex::new(Feed { next: way.next, wants, portions: 0, over: false }),
            open: way.open,
            give_up: way.give_up,
            given_up: AtomicBool::new(false),
            threads: walk::threads(way.threads),
            begun: Instant::now(),
        }
    }

    pub(super) fn run(self) -> Option<Vec<Found>> {
        std::thread::scope(|scope| {
            let this = &self;
            let mut helpers = 1..this.threads;
            this.work(|number| {
                if number == ALONE {
                    helpers.by_ref().for_each(|_| {
                        scope.spawn(|| this.work(|_| {}));
                    });
                }
            });
        });
        if self.given_up.into_inner() {
            return None;
        }
        Some(self.wishes.into_iter().map(Wanted::finish).collect())
    }

    fn work(&self, mut on_portion: impl FnMut(usize)) {
        let mut portion = Portion { number: 0, rels: vec![String::new(); PORTION], wanted: [0; PORTION], len: 0 };
        let mut desk = Desk {
            searchers: self.wishes.iter().map(|wish| searcher(wish.query)).collect(),
            bytes: vec![0; BUFFER],
            text: String::new(),
        };
        let mut hits: Vec<Vec<FileHits>> = self.wishes.iter().map(|_| Vec::new()).collect();
        while self.take(&mut portion) {
            on_portion(portion.number);
            for at in 0..portion.len {
                self.look_at_clocks();
                let wanted = portion.wanted[at] & self.going();
                if wanted == 0 {
                    continue;
                }
                self.look(&portion.rels[at], wanted, &mut desk, &mut hits);
                for (index, wish) in self.wishes.iter().enumerate() {
                    if wanted & 1 << index != 0 {
                        wish.searched.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
            for (wish, hits) in self.wishes.iter().zip(&mut hits) {
                if wish.hand_in(portion.number, std::mem::take(hits)) {
                    self.left.fetch_sub(1, Ordering::Relaxed);
                }
            }
        }
    }

    fn is_over(&self) -> bool {
        self.left.load(Ordering::Relaxed) == 0 || self.given_up.load(Ordering::Relaxed)
    }

    /// The searches that go on.
    fn going(&self) -> u64 {
        let going = |(index, wish): (usize, &Wanted<'_>)| u64::from(!wish.stop.load(Ordering::Relaxed)) << index;
        self.wishes.iter().enumerate().map(going).fold(0, |all, one| all | one)
    }

    /// Ends the searches whose time is up, or that nobody waits for.
    fn look_at_clocks(&self) {
        let now = Instant::now();
        for wish in &self.wishes {
            if wish.time_is_up(self.begun, now) {
                self.left.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    /// The next files; `false`: no more are needed.
    fn take(&self, portion: &mut Portion) -> bool {
        let mut guard = self.feed.lock().unwrap_or_else(PoisonError::into_inner);
        let feed = &mut *guard;
        if feed.over || self.is_over() {
            return false;
        }
        if (self.give_up)(feed.portions) {
            self.given_up.store(true, Ordering::Relaxed);
            return false;
        }
        portion.len = 0;
        portion.number = feed.portions;
        feed.portions += 1;
        let most = 1 << portion.number.min(PORTION.ilog2() as usize);
        let mut passed = 0;
        while portion.len < most && !self.is_over() {
            let rel = &mut portion.rels[portion.len];
            if !(feed.next)(rel) {
                feed.over = true;
                break;
            }
            let mut wanted = 0;
            for (index, wants) in feed.wants.iter_mut().enumerate() {
                wanted |= u64::from(wants(rel)) << index;
            }
            if wanted != 0 {
                portion.wanted[portion.len] = wanted;
                portion.len += 1;
            } else {
                passed += 1;
                if passed % PASSED == 0 {
                    self.look_at_clocks();
                }
            }
        }
        true
    }

    fn look(&self, rel: &str, wanted: u64, desk: &mut Desk, hits: &mut [Vec<FileHits>]) {
        let Desk { searchers, bytes, text } = desk;
        let mut each = |search: &mut dyn FnMut(&Wanted<'_>, &mut Searcher, &mut Collect<'_>)| {
            for (index, wish) in self.wishes.iter().enumerate() {
                if wanted & 1 << index == 0 {
                    continue;
                }
                let mut sink = Collect::new(&wish.query.matcher, wish.query.max_matches.saturating_add(1));
                search(wish, &mut searchers[index], &mut sink);
                if let Some(found) = sink.hits(rel) {
                    wish.matches.fetch_add(found.matches, Ordering::Relaxed);
                    hits[index].push(found);
                }
            }
        };
        // A file that cannot be read to its end is searched as far as it can: so does ripgrep. Hence no errors here.
        match (self.open)(rel) {
            None => {}
            Some(Source::Text(live)) => {
                live_text(&live, text);
                each(&mut |wish, searcher, sink| {
                    searcher.search_slice(&wish.query.matcher, text.as_bytes(), sink).ok();
                });
            }
            Some(Source::File(mut file)) => {
                let Ok(len) = fill(&mut file, bytes) else { return };
                if len < bytes.len() {
                    each(&mut |wish, searcher, sink| {
                        searcher.search_slice(&wish.query.matcher, &bytes[..len], sink).ok();
                    });
                    return;
                }
                let several = !wanted.is_power_of_two();
                let mut rest = Vec::new();
                let held = several && {
                    let watched = Watched { file: &file, pass: self, is_over: &|| self.is_over() };
                    watched.take(MAX_HELD as u64).read_to_end(&mut rest).is_ok_and(|len| len < MAX_HELD)
                };
                let mut own = (!several).then_some(file);
                each(&mut |wish, searcher, sink| {
                    let (matcher, is_over) = (&wish.query.matcher, &|| wish.stop.load(Ordering::Relaxed));
                    if held {
                        searcher.search_reader(matcher, bytes.as_slice().chain(rest.as_slice()), sink).ok();
                    } else if let Some(file) = own.take() {
                        let watched = Watched { file: &file, pass: self, is_over };
                        searcher.search_reader(matcher, bytes.as_slice().chain(watched), sink).ok();
                    } else if let Some(Source::File(file)) = (self.open)(rel) {
                        // Too large to be held: each reads it for itself.
                        searcher.search_reader(matcher, Watched { file: &file, pass: self, is_over }, sink).ok();
                    }
                });
            }
        }
    }
}

impl Wanted<'_> {
    /// Whether it ends now, because of the clock or because nobody waits.
    fn time_is_up(&self, begun: Instant, now: Instant) -> bool {
        if self.stop.load(Ordering::Relaxed) {
            return false;
        }
        let end = if (self.is_over)() {
            End::Cancelled
        } else if self.query.until.is_some_and(|until| now >= until) {
            End::Late
        } else if self.matches.load(Ordering::Relaxed) == 0 && now - begun >= self.query.first_match {
            End::NoFirstMatch
        } else {
            return false;
        };
        self.end(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner), end)
    }

    /// Ends it; `false` if it had ended.
    fn end(&self, state: &mut State, end: End) -> bool {
        let first = state.end.is_none();
        state.end.get_or_insert(end);
        self.stop.store(true, Ordering::Relaxed);
        first
    }

    /// Takes what was found in a portion; says whether that was the end.
    fn hand_in(&self, portion: usize, hits: Vec<FileHits>) -> bool {
        let mut guard = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *guard;
        state.waiting.insert(portion, hits);
        while state.end.is_none() {
            let Some(hits) = state.waiting.remove(&state.next) else { break };
            state.next += 1;
            for file in hits {
                state.matches += file.matches;
                state.bytes += file.text.len();
                state.files.push(file);
            }
            if state.matches > self.query.max_matches || state.bytes > self.query.max_bytes {
                return self.end(state, End::Full);
            }
        }
        false
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
    searchers: Vec<Searcher>,
    bytes: Vec<u8>,
    text: String,
}

fn live_text(live: &Text, text: &mut String) {
    text.clear();
    text.extend(live.chunks());
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

/// The rest of a file, which ends when nobody wants it any more.
struct Watched<'a, 'b> {
    file: &'a File,
    pass: &'a Pass<'b>,
    is_over: &'a dyn Fn() -> bool,
}

impl Read for Watched<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.pass.look_at_clocks();
        let mut file = self.file;
        if (self.is_over)() { Err(io::ErrorKind::TimedOut.into()) } else { file.read(buffer) }
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
