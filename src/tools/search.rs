//! Searching texts line by line with ripgrep's own machinery, on all cores, with the result of one.
//!
//! The files come in the order of their paths. Threads take them in turn, a few at a time; what they find is put
//! together in order again, and the search ends once the first files hold as many matches as were asked for. So the
//! result is the first matches in path order, whatever the threads did, and no file is read that cannot matter any
//! more. Several searches that pass the same files share the passing: each file is listed, opened and read once.

mod collect;
mod pass;

use std::fs::File;
use std::time::{Duration, Instant};

use grep_regex::RegexMatcher;

pub use self::collect::{FileHits, Line};
use self::pass::Pass;
use super::tool::Cancel;
use crate::text::Text;

/// Most searches in one pass.
pub const MAX_WISHES: usize = 64;

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
}

/// Says of each file, in order, whether it matters.
pub type Wants<'a> = Box<dyn FnMut(&str) -> bool + Send + 'a>;

/// One search among those that pass the same files.
pub struct Wish<'a> {
    /// What it looks for.
    pub query: &'a Query,
    /// Whether a file matters to it; asked once for each file, in order.
    pub wants: Wants<'a>,
    /// Whether nobody waits for it any more.
    pub is_over: &'a (dyn Fn() -> bool + Sync),
}

/// The files that are passed.
pub struct Way<'a> {
    /// Puts the path of the next file into the string; `false`: there is none.
    pub next: &'a mut (dyn FnMut(&mut String) -> bool + Send),
    /// Gives their texts.
    pub open: &'a Open<'a>,
    /// Threads; 0: as many as there are cores.
    pub threads: usize,
    /// Asked with how many portions of files have been taken; `true` ends the pass without a result.
    pub give_up: &'a (dyn Fn(usize) -> bool + Sync),
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
    /// The files with matches, in order.
    pub files: Vec<FileHits>,
    /// Matching lines in them.
    pub matches: usize,
    /// Files that were looked at; more than the result shows if it ended early.
    pub searched: usize,
    /// Why it ended.
    pub end: End,
}

/// Passes the files once for all `wishes`, of which there are at most [`MAX_WISHES`]; what is found for each is what
/// it would find alone. `None`: it was given up.
pub fn pass<'a>(wishes: Vec<Wish<'a>>, way: Way<'a>) -> Option<Vec<Found>> {
    Pass::new(wishes, way).run()
}

/// Searches the files of a list for one query.
pub fn search(query: &Query, list: &[Box<str>], open: &Open<'_>, threads: usize, cancel: &Cancel) -> Found {
    let mut names = list.iter();
    let mut next = |rel: &mut String| {
        let name = names.next();
        rel.clear();
        rel.push_str(name.map_or("", |name| name));
        name.is_some()
    };
    let is_over = || cancel.is_cancelled();
    let wish = Wish { query, wants: Box::new(|_| true), is_over: &is_over };
    let found = pass(vec![wish], Way { next: &mut next, open, threads, give_up: &|_| false });
    let nothing = || Found { files: Vec::new(), matches: 0, searched: 0, end: End::Cancelled };
    found.and_then(|mut found| found.pop()).unwrap_or_else(nothing)
}
