//! The lists of files that searches begin with, kept from one search to the next.
//!
//! A list is used only if it is proven right at that moment: a watcher tells of every change since (see
//! [`crate::watch`]), and folders that cannot be watched are looked at, all of them, each time. Rules from outside (git's
//! own files, folders above the root) are looked at in any case. A change costs the reading of the folders it was in; a
//! change of the rules, or one that nobody knows the place of, costs the whole walk. What nobody has used for a while
//! is dropped, and nothing is kept or watched before the first search.
//!
//! With a time to keep of zero nothing is kept: each list is then made by ripgrep's own walk, with the same result.

mod folder;
pub mod list;
mod outside;
mod rules;
mod steps;
mod sweep;
#[cfg(test)]
mod tests;
mod tree;

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::tool::Cancel;
use super::walk;
use crate::paths::WsPath;

pub use self::list::List;
use self::steps::Walk;
use self::sweep::Sweeper;
use self::tree::{Fate, Tree};

/// Most lists kept at a time: a few roots, with and without hidden files.
const MAX_KEPT: usize = 8;

/// Lists of more files are not kept.
const MAX_KEPT_FILES: usize = 300_000;

/// So many folders are read again for a mere number; with more to do, the next list does it.
const FEW: usize = 16;

/// How often somebody who waits for another's list looks whether it is still wanted.
const LOOK_UP: Duration = Duration::from_millis(20);

/// What is listed and how.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The folder, without links in its path.
    pub base: &'a WsPath,
    /// Also names that begin with a dot.
    pub hidden: bool,
    /// Threads; 0: as many as there are cores.
    pub threads: usize,
    /// When to be content with what has been found.
    pub until: Option<Instant>,
    /// How long a list is kept after its last use; zero: not at all.
    pub keep: Duration,
}

impl Ask<'_> {
    /// Whether nothing is kept: by wish, or because it was never tried on such a system.
    fn is_off(&self) -> bool {
        self.keep.is_zero() || cfg!(not(unix))
    }
}

/// A list, and the part of it that was asked for.
#[derive(Clone, Debug)]
pub struct Known {
    /// Paths below the root.
    pub list: Arc<List>,
    /// Those below the folder.
    pub range: Range<usize>,
}

/// Files to come.
#[derive(Debug)]
pub enum Files {
    /// All are known.
    Known(Known),
    /// They are found on the way, in the same order.
    Walk(OnTheWay),
}

/// A list that is made while it is used.
#[derive(Debug)]
pub struct OnTheWay(Box<Walk>);

impl OnTheWay {
    /// Gives the next file to `take`, as a folder and a name; `false` at the end.
    pub fn next(&mut self, take: impl FnOnce(&str, &str)) -> bool {
        self.0.next(take)
    }

    /// Whether the end was reached.
    pub fn is_at_end(&self) -> bool {
        self.0.is_at_end()
    }

    /// Whether there are more files than may be listed.
    pub fn more(&self) -> bool {
        self.0.more()
    }
}

/// Numbers for the readout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListCounters {
    /// Lists kept now.
    pub lists: usize,
    /// Files in them.
    pub files: usize,
    /// Folders in them.
    pub folders: usize,
    /// Bytes of memory they take, compiled ignore rules not counted.
    pub bytes: usize,
    /// Lists given from memory as they were.
    pub hits: u64,
    /// Lists put right before they were given.
    pub mended: u64,
    /// Lists made by a walk.
    pub walks: u64,
}

/// Most folders that are watched for a list: the user's editor and other programs need watches, too.
const MAX_WATCHED: usize = 50_000;

/// The lists of one server. A copy is the same.
#[derive(Clone, Debug)]
pub struct Lists(Arc<Shared>);

impl Default for Lists {
    fn default() -> Self {
        Self::watching(MAX_WATCHED)
    }
}

#[derive(Debug)]
struct Shared {
    /// Most folders watched for a list.
    watches: usize,
    kept: Mutex<Vec<Arc<Kept>>>,
    noticed: AtomicBool,
    hits: AtomicU64,
    mended: AtomicU64,
    walks: AtomicU64,
    sweeper: Arc<Sweeper>,
}

/// A list that is kept, or about to be.
#[derive(Debug)]
struct Kept {
    base: WsPath,
    hidden: bool,
    desk: Mutex<Desk>,
    free: Condvar,
}

#[derive(Debug)]
struct Desk {
    /// Somebody works on the tree and has taken it away.
    busy: bool,
    tree: Option<Tree>,
    used: Instant,
    keep: Duration,
}

impl Lists {
    /// Lists for each of which at most so many folders are watched. One with more is proven by looking at each of its
    /// folders, as on a system without a watcher.
    pub fn watching(folders: usize) -> Self {
        Self(Arc::new(Shared {
            watches: folders,
            kept: Mutex::default(),
            noticed: AtomicBool::new(false),
            hits: AtomicU64::new(0),
            mended: AtomicU64::new(0),
            walks: AtomicU64::new(0),
            sweeper: Arc::default(),
        }))
    }

    /// All files below a folder; `None` if the search was cancelled.
    pub fn whole(&self, ask: Ask<'_>, cancel: &Cancel) -> Option<Known> {
        if ask.is_off() {
            return by_itself(ask, cancel);
        }
        if let Some(known) = self.of_larger(ask, cancel) {
            return Some(known);
        }
        let kept = self.place(ask);
        let mut hands = kept.take(cancel)?;
        if let Some(known) = self.proven(&mut hands, ask) {
            return Some(known);
        }
        self.0.walks.fetch_add(1, Ordering::Relaxed);
        let mut tree = Tree::new(ask.base, ask.hidden, self.0.watches);
        let stop = || cancel.is_cancelled() || ask.until.is_some_and(|until| Instant::now() >= until);
        let complete = tree.read_all(ask.threads, &stop);
        let list = tree.list.clone();
        if complete {
            self.put(&mut hands, tree, ask.keep);
        }
        (!cancel.is_cancelled()).then(|| Known { range: 0..list.len(), list })
    }

    /// The files below a folder for somebody who may not need all of them; `None` if the search was cancelled.
    pub fn begin(&self, ask: Ask<'_>, cancel: &Cancel) -> Option<Files> {
        if ask.is_off() {
            return by_itself(ask, cancel).map(Files::Known);
        }
        if let Some(known) = self.of_larger(ask, cancel) {
            return Some(Files::Known(known));
        }
        let kept = self.place(ask);
        let mut hands = kept.take(cancel)?;
        if let Some(known) = self.proven(&mut hands, ask) {
            return Some(Files::Known(known));
        }
        self.0.walks.fetch_add(1, Ordering::Relaxed);
        Some(Files::Walk(OnTheWay(Box::new(Walk::new(ask.base, ask.hidden, self.0.watches)))))
    }

    /// Keeps a list that was made on the way and is complete.
    pub fn keep(&self, ask: Ask<'_>, walk: OnTheWay) {
        let Some(tree) = walk.0.into_tree() else { return };
        let kept = self.place(ask);
        // Somebody else's is as good.
        if let Some(mut hands) = kept.try_take()
            && hands.tree.is_none()
        {
            self.put(&mut hands, tree, ask.keep);
        }
    }

    /// A number that changes with every change of a name or a file's bytes below a folder that a list of ours covers,
    /// hidden and ignored ones not counted; `None` if there is no such list, somebody works on it, or not all of its
    /// changes are told. Not told are writes through a memory map, or through another name (a hard link) outside of the folder.
    pub fn generation(&self, base: &WsPath) -> Option<u64> {
        let kept = self.covering(base, false)?;
        // It may be asked where nobody may wait.
        let mut hands = kept.try_take()?;
        let tree = hands.tree.as_mut()?;
        if !tree.is_watched() || tree.hear() > FEW {
            return None;
        }
        let fate = tree.refresh(1);
        let known = fate != Fate::Lost && tree.is_watched() && tree.holds(base.rel());
        let generation = known.then_some(tree.generation);
        if fate == Fate::Lost {
            hands.tree = None;
        }
        generation
    }

    /// Numbers so far.
    pub fn counters(&self) -> ListCounters {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Shared { hits, mended, walks, .. } = &*self.0;
        let mut counters =
            ListCounters { hits: load(hits), mended: load(mended), walks: load(walks), ..ListCounters::default() };
        for kept in self.all() {
            let desk = kept.desk.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(tree) = &desk.tree else { continue };
            let (folders, bytes) = tree.size();
            counters.lists += 1;
            counters.files += tree.list.len();
            counters.folders += folders;
            counters.bytes += bytes;
        }
        counters
    }

    /// Why nobody tells of changes below a folder, if there is a list of it; for people.
    pub fn unwatched(&self, base: &WsPath) -> Option<crate::watch::Unwatched> {
        let kept = self.covering(base, false)?;
        let desk = kept.desk.lock().unwrap_or_else(PoisonError::into_inner);
        desk.tree.as_ref()?.unwatched()
    }

    /// A part of a larger list.
    fn of_larger(&self, ask: Ask<'_>, cancel: &Cancel) -> Option<Known> {
        let kept = self.covering(ask.base, ask.hidden)?;
        if kept.base == *ask.base {
            return None;
        }
        let mut hands = kept.take(cancel)?;
        // Rules may leave the folder out, and then nothing is known of it.
        let holds = |tree: &Tree| tree.holds(ask.base.rel());
        if !hands.tree.as_ref().is_some_and(holds) {
            return None;
        }
        let known = self.proven(&mut hands, ask)?;
        hands.tree.as_ref().is_some_and(holds).then_some(known)
    }

    /// The list on the desk, if it can be brought up to now.
    fn proven(&self, hands: &mut Hands<'_>, ask: Ask<'_>) -> Option<Known> {
        let tree = hands.tree.as_mut()?;
        let counter = match tree.refresh(ask.threads) {
            Fate::Same => &self.0.hits,
            Fate::Mended => &self.0.mended,
            Fate::Lost => {
                hands.tree = None;
                return None;
            }
        };
        counter.fetch_add(1, Ordering::Relaxed);
        self.notice(tree);
        hands.keep = ask.keep;
        let list = tree.list.clone();
        let range = list.below(ask.base.rel());
        // A list begins with its base: below that, all of it counts.
        Some(Known { range, list })
    }

    fn put(&self, hands: &mut Hands<'_>, tree: Tree, keep: Duration) {
        if tree.list.len() > MAX_KEPT_FILES {
            return;
        }
        self.notice(&tree);
        hands.keep = keep;
        hands.tree = Some(tree);
        self.sweep();
    }

    /// Says once that changes are not told.
    fn notice(&self, tree: &Tree) {
        if let Some(why) = tree.unwatched()
            && !self.0.noticed.swap(true, Ordering::Relaxed)
        {
            tracing::info!(%why, "folders are not watched; the list of files is checked at each use instead");
        }
    }

    fn all(&self) -> Vec<Arc<Kept>> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The list of the highest folder that `base` is in.
    fn covering(&self, base: &WsPath, hidden: bool) -> Option<Arc<Kept>> {
        let above = |kept: &&Arc<Kept>| {
            kept.hidden == hidden && Arc::ptr_eq(kept.base.root(), base.root()) && base.is_in(&kept.base)
        };
        self.0
            .kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .filter(above)
            .min_by_key(|kept| kept.base.rel().len())
            .cloned()
    }

    /// The place of a list, made if there is none.
    fn place(&self, ask: Ask<'_>) -> Arc<Kept> {
        let mut kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |kept: &Arc<Kept>| {
            kept.hidden == ask.hidden && Arc::ptr_eq(kept.base.root(), ask.base.root()) && kept.base == *ask.base
        };
        if let Some(known) = kept.iter().find(|kept| is_it(kept)) {
            return known.clone();
        }
        if kept.len() >= MAX_KEPT {
            let oldest = kept.iter().enumerate().min_by_key(|(_, kept)| kept.used()).map(|(at, _)| at);
            oldest.map(|at| kept.swap_remove(at));
        }
        let new = Arc::new(Kept {
            base: ask.base.clone(),
            hidden: ask.hidden,
            desk: Mutex::new(Desk { busy: false, tree: None, used: Instant::now(), keep: ask.keep }),
            free: Condvar::new(),
        });
        kept.push(new.clone());
        new
    }

    /// Sees to it that what is not used is dropped.
    fn sweep(&self) {
        let shared = Arc::downgrade(&self.0);
        self.0.sweeper.start(move || shared.upgrade()?.drop_idle(Instant::now()));
    }
}

/// A list made without keeping anything, by the walk of ripgrep.
fn by_itself(ask: Ask<'_>, cancel: &Cancel) -> Option<Known> {
    let found = walk::files(ask, cancel);
    let mut list = List::new();
    list.more = found.more;
    for rel in &found.rels {
        if !list.push("", rel) {
            break;
        }
    }
    (!found.cancelled).then(|| Known { range: 0..list.len(), list: Arc::new(list) })
}

impl Kept {
    fn used(&self) -> Instant {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner).used
    }

    /// Takes the tree off the desk, waiting for whoever has it; `None` if cancelled.
    fn take(&self, cancel: &Cancel) -> Option<Hands<'_>> {
        let mut desk = self.desk.lock().unwrap_or_else(PoisonError::into_inner);
        while desk.busy {
            if cancel.is_cancelled() {
                return None;
            }
            desk = self.free.wait_timeout(desk, LOOK_UP).unwrap_or_else(PoisonError::into_inner).0;
        }
        desk.busy = true;
        Some(Hands { kept: self, tree: desk.tree.take(), keep: desk.keep })
    }

    fn try_take(&self) -> Option<Hands<'_>> {
        let mut desk = self.desk.lock().unwrap_or_else(PoisonError::into_inner);
        if desk.busy {
            return None;
        }
        desk.busy = true;
        Some(Hands { kept: self, tree: desk.tree.take(), keep: desk.keep })
    }
}

/// A tree taken off its desk, so that nobody holds a lock while the disk is read. Dropping it puts it back.
struct Hands<'a> {
    kept: &'a Kept,
    tree: Option<Tree>,
    keep: Duration,
}

impl Drop for Hands<'_> {
    fn drop(&mut self) {
        let mut desk = self.kept.desk.lock().unwrap_or_else(PoisonError::into_inner);
        // A panic on the way may have left it half mended.
        desk.tree = if std::thread::panicking() { None } else { self.tree.take() };
        desk.busy = false;
        desk.used = Instant::now();
        desk.keep = self.keep;
        drop(desk);
        self.kept.free.notify_one();
    }
}

impl Shared {
    /// Drops what has not been used for as long as it is to be kept; says when to look again, `None`: nothing is left.
    fn drop_idle(&self, now: Instant) -> Option<Instant> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next: Option<Instant> = None;
        kept.retain(|kept| {
            let desk = kept.desk.lock().unwrap_or_else(PoisonError::into_inner);
            let end = desk.used + desk.keep;
            let stays = desk.busy || end > now;
            if stays {
                let end = end.max(now + LOOK_UP);
                next = Some(next.map_or(end, |next| next.min(end)));
            }
            stays
        });
        next
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.sweeper.end();
    }
}
