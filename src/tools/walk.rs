//! All files below a folder, in the order of their paths, by the rules of ripgrep: what `.gitignore` and its kin name,
//! hidden files and links are left out.
//!
//! The list comes first and the work on it second, because only then the first hundred matches are the same hundred
//! every time, however many threads look for them. Whoever works on the list opens its files through the root's
//! descriptor: the walk itself goes by names, and a folder may become a link behind its back.

use std::path::{MAIN_SEPARATOR, Path};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::available_parallelism;
use std::time::Instant;

use ignore::{DirEntry, WalkBuilder, WalkState};

use super::kept::Ask;
use super::tool::Cancel;

/// Most files one walk lists. Larger trees hold data, not sources, and the list would fill the memory.
pub const MAX_FILES: usize = 1_000_000;

/// Threads that help with one walk at most: past that the directory entries are the limit, not the processors.
const MAX_THREADS: usize = 12;

/// What a walk found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// Paths below the root of the folder, parts separated by `/`, in byte order.
    pub rels: Vec<Box<str>>,
    /// Whether there were more than [`MAX_FILES`], or more than the time was for; some are in the list.
    pub more: bool,
    /// Whether the walk was cancelled and the list means nothing.
    pub cancelled: bool,
}

/// The threads to use where `wanted` says how many: 0 is as many as there are cores.
pub fn threads(wanted: usize) -> usize {
    match wanted {
        0 => available_parallelism().map_or(1, std::num::NonZero::get).min(MAX_THREADS),
        wanted => wanted.min(MAX_THREADS),
    }
}

/// Lists the files that are asked for.
pub(super) fn files(ask: Ask<'_>, cancel: &Cancel) -> Files {
    let folder = ask.base.absolute();
    let root = ask.base.root().path();
    let (found, lost, count) = (Mutex::new(Vec::new()), AtomicBool::new(false), AtomicUsize::new(0));
    builder(&folder, ask.hidden).threads(threads(ask.threads)).build_parallel().run(|| {
        let mut share = Share { found: &found, rels: Vec::new() };
        let (lost, count) = (&lost, &count);
        Box::new(move |entry| {
            if cancel.is_cancelled() {
                return WalkState::Quit;
            }
            // Asked once a folder: the clock is dearer than an entry.
            if ask.until.is_some_and(|until| is_folder(&entry) && Instant::now() >= until) {
                lost.store(true, Ordering::Relaxed);
                return WalkState::Quit;
            }
            let Some(rel) = entry.ok().filter(is_file).and_then(|entry| rel(root, entry.path())) else {
                return WalkState::Continue;
            };
            if count.fetch_add(1, Ordering::Relaxed) >= MAX_FILES {
                lost.store(true, Ordering::Relaxed);
                return WalkState::Quit;
            }
            share.rels.push(rel);
            WalkState::Continue
        })
    });
    let mut rels = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    // Each thread has sorted its share; this merges them.
    rels.sort();
    Files { rels, more: lost.into_inner(), cancelled: cancel.is_cancelled() }
}

/// The walk of ripgrep without options, or with `--hidden`; what git keeps for itself is left out even then.
pub(super) fn builder(folder: &Path, hidden: bool) -> WalkBuilder {
    let mut builder = WalkBuilder::new(folder);
    builder.follow_links(false).hidden(!hidden).add_custom_ignore_filename(".rgignore");
    if hidden {
        builder.filter_entry(|entry| entry.file_name() != ".git");
    }
    builder
}

fn is_folder(entry: &Result<DirEntry, ignore::Error>) -> bool {
    entry.as_ref().is_ok_and(|entry| entry.file_type().is_some_and(|kind| kind.is_dir()))
}

fn is_file(entry: &DirEntry) -> bool {
    entry.file_type().is_some_and(|kind| kind.is_file())
}

/// The path below `root`. A name that is not UTF-8 cannot be spoken of to a model, so there is none.
pub(super) fn rel(root: &Path, path: &Path) -> Option<Box<str>> {
    let (root, path) = (root.to_str()?, path.to_str()?);
    let rel = path.strip_prefix(root)?.trim_start_matches(MAIN_SEPARATOR);
    Some(if MAIN_SEPARATOR == '/' { rel.into() } else { rel.replace(MAIN_SEPARATOR, "/").into() })
}

/// What one thread found, handed over sorted when the thread ends.
struct Share<'a> {
    found: &'a Mutex<Vec<Box<str>>>,
    rels: Vec<Box<str>>,
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.rels.sort_unstable();
        self.found.lock().unwrap_or_else(PoisonError::into_inner).append(&mut self.rels);
    }
}
