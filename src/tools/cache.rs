//! Results that are remembered: the same call of the same tool on the same texts is answered from memory.
//!
//! What is remembered is never trusted for its age alone. With each result stand the stamps of all that it was made
//! from: the text of a file as the run saw it (staged, open or on disk), the sight of a tree. They are taken anew for
//! each look, and one that differs makes the result worthless. So a keystroke, a staged edit or a write behind our
//! back ends exactly what depends on it, and two runs share a result only where neither sees anything the other does
//! not. `tools.cache_ttl_ms = 0` turns all of it off.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use moka::Expiry;
use moka::sync::Cache;

use super::output::Output;
use super::tool::{ToolContext, ToolResult};
use crate::ids::RunId;
use crate::paths::{WsPath, beneath};
use crate::workspace::{Look, Workspace};

/// Bytes of results kept, their keys included.
const CAPACITY: u64 = 4 << 20;

/// Weight of an entry besides its texts.
const ALLOWANCE: usize = 400;

/// Says how often what is on disk at or below a folder has changed: equal numbers, no change in between. `None`:
/// nobody watches it.
pub type DiskClock = Arc<dyn Fn(&WsPath) -> Option<u64> + Send + Sync>;

/// One thing that an answer depends on.
#[derive(Clone, Debug)]
pub enum Depends {
    /// The text of a file.
    File(WsPath),
    /// Which files there are at or below a folder.
    Names(WsPath),
    /// Which files there are at or below a folder, and their texts.
    Texts(WsPath),
}

/// How often remembering helped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResultCounters {
    /// Calls answered from memory.
    pub hits: u64,
    /// Calls that could have been and were not.
    pub misses: u64,
    /// The misses for which something was remembered that no longer held.
    pub stale: u64,
    /// Results kept now, about.
    pub entries: u64,
    /// Their bytes, about.
    pub bytes: u64,
    /// Results that were fetched ahead.
    pub fetched: u64,
    /// Those of them that were asked for while they held.
    pub used: u64,
}

/// All results of one program, shared by its runs. Made without memory of its own: that comes with the first result.
#[derive(Default)]
pub struct ResultStore {
    cache: OnceLock<Cache<Arc<Key>, Arc<Entry>>>,
    hashing: RandomState,
    hits: AtomicU64,
    misses: AtomicU64,
    stale: AtomicU64,
    fetched: AtomicU64,
    used: AtomicU64,
    /// Counts the beginnings and ends of calls that may write anything.
    upsets: AtomicU64,
}

#[derive(PartialEq, Eq, Hash)]
struct Key {
    tool: &'static str,
    arguments: String,
    /// The folders of the workspace, which decide what a path means.
    roots: u64,
    /// Limits and rules of the run.
    setting: Arc<str>,
}

struct Entry {
    stamps: Vec<Stamp>,
    output: Output,
    ttl: Duration,
    /// Fetched ahead, and not asked for yet.
    ahead: AtomicBool,
}

/// What one dependency looked like.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Stamp {
    File(Look),
    Tree { path: WsPath, clock: u64, upsets: u64, overlay: u64 },
}

struct Ttl;

impl Expiry<Arc<Key>, Arc<Entry>> for Ttl {
    fn expire_after_create(&self, _: &Arc<Key>, entry: &Arc<Entry>, _: Instant) -> Option<Duration> {
        Some(entry.ttl)
    }

    fn expire_after_update(
        &self,
        _: &Arc<Key>,
        entry: &Arc<Entry>,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(entry.ttl)
    }
}

impl ResultStore {
    /// Nothing is remembered yet.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// How often it helped so far.
    pub fn counters(&self) -> ResultCounters {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (entries, bytes) = self.cache.get().map_or((0, 0), |cache| (cache.entry_count(), cache.weighted_size()));
        ResultCounters {
            hits: read(&self.hits),
            misses: read(&self.misses),
            stale: read(&self.stale),
            entries,
            bytes,
            fetched: read(&self.fetched),
            used: read(&self.used),
        }
    }

    /// The memory as one run uses it; `ttl` zero: not at all. `setting` names everything else that the answers of
    /// this run depend on, `clock` tells of changes on disk.
    pub fn for_run(self: &Arc<Self>, ttl: Duration, setting: String, clock: DiskClock) -> Results {
        if ttl.is_zero() {
            return Results::default();
        }
        Results(Some(Arc::new(Handle { store: self.clone(), ttl, setting: setting.into(), clock })))
    }

    fn cache(&self) -> &Cache<Arc<Key>, Arc<Entry>> {
        self.cache.get_or_init(|| {
            Cache::builder()
                .max_capacity(CAPACITY)
                .weigher(|key: &Arc<Key>, entry: &Arc<Entry>| {
                    let bytes = key.arguments.len() + entry.output.text().len() + ALLOWANCE;
                    u32::try_from(bytes).unwrap_or(u32::MAX)
                })
                .expire_after(Ttl)
                .build()
        })
    }
}

impl fmt::Debug for ResultStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ResultStore({:?})", self.counters())
    }
}

/// The memory as one run uses it. A copy is a pointer; the default remembers nothing.
#[derive(Clone, Default)]
pub struct Results(Option<Arc<Handle>>);

struct Handle {
    store: Arc<ResultStore>,
    ttl: Duration,
    setting: Arc<str>,
    clock: DiskClock,
}

impl fmt::Debug for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Results({})", if self.0.is_some() { "on" } else { "off" })
    }
}

impl Results {
    /// Whether anything is remembered.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Changes when a call that may write anything begins or ends.
    pub(super) fn upsets(&self) -> u64 {
        self.0.as_ref().map_or(0, |handle| handle.store.upsets.load(Ordering::Acquire))
    }

    pub(super) fn memo(
        &self,
        context: &ToolContext,
        tool: &'static str,
        arguments: String,
        depends: Vec<Depends>,
    ) -> Option<Memo> {
        let handle = self.0.clone()?;
        let roots = context.workspace.roots();
        let paths: Vec<_> = roots.iter().map(|root| (root.path(), root.name())).collect();
        let roots = handle.store.hashing.hash_one(paths);
        let key = Arc::new(Key { tool, arguments, roots, setting: handle.setting.clone() });
        let (workspace, run) = (context.workspace.clone(), context.run.clone());
        Some(Memo { handle, key, workspace, run, depends, ahead: false })
    }

    /// A call that may write anything begins: what it may have changed is not known until the guard is dropped.
    pub(super) fn upset(&self) -> Upset {
        self.count_upset();
        Upset(self.clone())
    }

    fn count_upset(&self) {
        if let Some(handle) = &self.0 {
            handle.store.upsets.fetch_add(1, Ordering::AcqRel);
        }
    }
}

/// A call that may write anything is at work.
pub(super) struct Upset(Results);

impl Drop for Upset {
    fn drop(&mut self) {
        self.0.count_upset();
    }
}

/// The place where the result of one call is remembered.
pub(super) struct Memo {
    handle: Arc<Handle>,
    key: Arc<Key>,
    workspace: Arc<Workspace>,
    run: RunId,
    depends: Vec<Depends>,
    /// Nobody has asked.
    ahead: bool,
}

/// Why a result does not come from memory.
enum Lacking {
    /// It was never there, or has been forgotten.
    Unknown,
    /// It does not hold any more.
    Stale,
}

impl Memo {
    /// The same for a call that nobody has made yet: it counts for itself.
    pub(super) fn ahead(self) -> Self {
        Self { ahead: true, ..self }
    }

    /// Whether nothing is remembered that holds.
    pub(super) fn is_wanting(&self) -> bool {
        self.recall().is_err()
    }

    /// The result, if it is remembered, still holds, and finding that out needs no slow disk.
    pub(super) fn at_once(&self) -> Option<Output> {
        let local = |depends: &Depends| match depends {
            Depends::File(path) | Depends::Names(path) | Depends::Texts(path) => path.root().is_local(),
        };
        if self.depends.iter().all(local) { self.recall().ok() } else { None }
    }

    fn recall(&self) -> Result<Output, Lacking> {
        let entry = self.handle.store.cache.get().and_then(|cache| cache.get(&self.key)).ok_or(Lacking::Unknown)?;
        if self.stamps().as_ref() != Some(&entry.stamps) {
            return Err(Lacking::Stale);
        }
        if !self.ahead {
            self.handle.store.hits.fetch_add(1, Ordering::Relaxed);
            let used = entry.ahead.load(Ordering::Relaxed) && entry.ahead.swap(false, Ordering::Relaxed);
            self.handle.store.used.fetch_add(u64::from(used), Ordering::Relaxed);
        }
        Ok(entry.output.clone())
    }

    /// The remembered result and `true`, or that of `work`, which is remembered from now on. For blocking threads.
    pub(super) fn recall_or(self, work: impl FnOnce() -> ToolResult) -> (ToolResult, bool) {
        // A call may have been looked for before it came here; a miss is counted once, where the work is done.
        match self.recall() {
            Ok(output) => return (Ok(output), true),
            Err(_) if self.ahead => 0,
            Err(Lacking::Stale) => self.handle.store.stale.fetch_add(1, Ordering::Relaxed),
            Err(Lacking::Unknown) => 0,
        };
        self.handle.store.misses.fetch_add(u64::from(!self.ahead), Ordering::Relaxed);
        let begun = SystemTime::now();
        // Work on one file says itself what it has read; else the sight must be the same before and after.
        let one_file = matches!(*self.depends, [Depends::File(_)]);
        let before = if one_file { None } else { self.stamps() };
        let result = work();
        let Ok(output) = &result else { return (result, false) };
        if output.is_hurried() {
            return (result, false);
        }
        let stamps = match output.look() {
            Some(look) if one_file => Some(vec![Stamp::File(look)]),
            _ => before.filter(|before| self.stamps().as_ref() == Some(before)),
        };
        let settled = |stamp: &Stamp| match stamp {
            Stamp::File(look) => look.is_settled(begun),
            Stamp::Tree { .. } => true,
        };
        if let Some(stamps) = stamps.filter(|stamps| stamps.iter().all(settled)) {
            let ahead = AtomicBool::new(self.ahead);
            self.handle.store.fetched.fetch_add(u64::from(self.ahead), Ordering::Relaxed);
            let entry = Entry { stamps, output: output.clone(), ttl: self.handle.ttl, ahead };
            self.handle.store.cache().insert(self.key.clone(), Arc::new(entry));
        }
        (result, false)
    }

    /// What all dependencies look like now; `None` if that cannot be told.
    fn stamps(&self) -> Option<Vec<Stamp>> {
        let tree = |path: &WsPath, texts: bool| {
            let path = beneath::real(path).ok()?;
            let upsets = self.handle.store.upsets.load(Ordering::Acquire);
            let clock = (self.handle.clock)(&path)?;
            let overlay = self.workspace.overlay_stamp(Some(&self.run), &path, texts);
            Some(Stamp::Tree { path, clock, upsets, overlay })
        };
        let stamp = |depends: &Depends| match depends {
            Depends::File(path) => self.workspace.look(Some(&self.run), path).ok().map(Stamp::File),
            Depends::Names(path) => tree(path, false),
            Depends::Texts(path) => tree(path, true),
        };
        self.depends.iter().map(stamp).collect()
    }
}

/// The canonical form of a call on trees, and what its answer depends on. `asked` is what was asked besides, read and
/// with its defaults filled in, so that the order of keys and the white space of the model do not count.
pub(super) fn of_trees(
    bases: &[WsPath],
    depends: fn(WsPath) -> Depends,
    asked: &dyn fmt::Debug,
) -> (String, Vec<Depends>) {
    let places: Vec<_> = bases.iter().map(WsPath::absolute).collect();
    (format!("{places:?} {asked:?}"), bases.iter().cloned().map(depends).collect())
}
