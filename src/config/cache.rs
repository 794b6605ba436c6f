//! Files of the configuration as they were parsed, so that a look at a file that has not changed costs one `stat`.
//!
//! What is kept is keyed by path and content. A hit is taken on trust while size, times and inode are those of the last
//! look; else the bytes are read and their hash decides, which also finds what an editor's undo brings back. Nothing is
//! used longer than its time to live, and with none (`ROPEWAY_CONFIG_CACHE_TTL=0`) everything is parsed at each look.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::file::{self, Found, Stamp};
use super::layers::Read;
use super::node::Node;
use super::place::{Layer, Problem, Source};
use super::read::Reader;

/// Bytes of text whose parsed forms are kept, together.
const MAX_KEPT: u64 = 4 << 20;
/// What an entry weighs beside its text.
const ENTRY: u32 = 1024;
/// Paths whose last look is remembered; roots come and go.
const MAX_LOOKS: usize = 256;
/// Mistakes in the syntax of one file that are told.
const MAX_SYNTAX: usize = 20;

/// What the cache has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConfigCounters {
    /// Looks at a file that needed no parsing.
    pub hits: u64,
    /// Looks that did.
    pub misses: u64,
    /// Times a file held something else than at the look before.
    pub invalidations: u64,
    /// Parsed files that are kept.
    pub entries: u64,
    /// Loads of all layers.
    pub loads: u64,
    /// Time that they took together.
    pub load_time: Duration,
}

/// A parsed file of either kind.
type Parsed = Arc<dyn Any + Send + Sync>;
type Key = (Layer, Arc<Path>, u64);

/// How the layer of a kind of file is read from its tree.
pub(super) type ReadLayer<T> = fn(&mut Reader<'_>, &Node) -> T;

pub(super) struct FileCache {
    /// Absent: switched off.
    parsed: Option<Cache<Key, (Parsed, u32)>>,
    looks: Mutex<HashMap<(Layer, Arc<Path>), Look>>,
    hasher: RandomState,
    hits: AtomicU64,
    misses: AtomicU64,
    invalidations: AtomicU64,
}

/// What was found at the last look at a path.
struct Look {
    stamp: Stamp,
    /// The stamp would show a change since.
    settled: bool,
    what: What,
}

enum What {
    /// A text with this hash; what it meant, while somebody uses that.
    Text(u64, Weak<dyn Any + Send + Sync>),
    /// No file, or one that cannot be used.
    Other(Parsed),
}

impl fmt::Debug for FileCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileCache").field("hits", &self.hits).field("misses", &self.misses).finish_non_exhaustive()
    }
}

impl FileCache {
    pub(super) fn new(ttl: Duration) -> Self {
        let make = || {
            Cache::builder()
                .max_capacity(MAX_KEPT)
                .weigher(|_: &Key, (_, length): &(Parsed, u32)| length.saturating_add(ENTRY))
                .eviction_policy(EvictionPolicy::lru())
                .time_to_live(ttl)
                .build()
        };
        Self {
            parsed: (ttl > Duration::ZERO).then(make),
            looks: Mutex::default(),
            hasher: RandomState::new(),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            invalidations: AtomicU64::new(0),
        }
    }

    fn looks(&self) -> MutexGuard<'_, HashMap<(Layer, Arc<Path>), Look>> {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The counters, but for those of the loads.
    pub(super) fn counters(&self) -> ConfigCounters {
        let entries = self.parsed.as_ref().map_or(0, |parsed| {
            // Else what was put in a moment ago is not counted yet.
            parsed.run_pending_tasks();
            parsed.entry_count()
        });
        ConfigCounters {
            hits: self.hits.load(Relaxed),
            misses: self.misses.load(Relaxed),
            invalidations: self.invalidations.load(Relaxed),
            entries,
            ..ConfigCounters::default()
        }
    }

    /// The layer in a file as it is now: the very same `Arc` while nothing has changed. `required` says what to tell
    /// where there is no file.
    pub(super) fn layer<T: Default + Send + Sync + 'static>(
        &self,
        layer: Layer,
        path: &Arc<Path>,
        required: Option<&str>,
        read: ReadLayer<T>,
    ) -> Arc<Read<T>> {
        let place = (layer, path.clone());
        let now = SystemTime::now();
        if let Some(known) = self.unchanged(&place) {
            self.hits.fetch_add(1, Relaxed);
            return known;
        }
        let found = match file::read(layer, path) {
            Ok(Some(found)) => found,
            Ok(None) => {
                let missing = required.map(|message| *file::problem(layer, path, message.to_owned()));
                let other = Read { unreadable: missing.is_some(), ..Read::of(T::default(), missing) };
                return self.other(place, Stamp::ABSENT, other);
            }
            Err(problem) => {
                let other = Read { unreadable: true, ..Read::of(T::default(), [*problem]) };
                return self.other(place, Stamp::of(path), other);
            }
        };
        let hash = self.hasher.hash_one(&found.bytes);
        if let Some(before) = self.before(&place, &found, hash, now) {
            // Not noted, so that the next look reads it again.
            self.hits.fetch_add(1, Relaxed);
            return before;
        }
        let Found { bytes, stamp, whole } = found;
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let settled = whole && stamp.is_settled(now);
        let key = (layer, path.clone(), hash);
        let known: Option<Arc<Read<T>>> = self.parsed.as_ref().and_then(|parsed| typed(parsed.get(&key)?.0));
        if known.is_some() { &self.hits } else { &self.misses }.fetch_add(1, Relaxed);
        let found = known.unwrap_or_else(|| {
            let found = Arc::new(match file::decode(layer, path, bytes) {
                Ok(text) => parse(layer, path, &text, read),
                Err(problem) => Read { unreadable: true, ..Read::of(T::default(), [*problem]) },
            });
            if let Some(parsed) = &self.parsed {
                parsed.insert(key, (found.clone(), length));
            }
            found
        });
        let parsed: Parsed = found.clone();
        self.note(place, Look { settled, stamp, what: What::Text(hash, Arc::downgrade(&parsed)) });
        found
    }

    /// Whether a file looks as it did at the last look, by its stamp alone.
    pub(super) fn is_unchanged(&self, layer: Layer, path: &Arc<Path>) -> bool {
        let place = (layer, path.clone());
        let stamp = Stamp::of(path);
        let kept = |look: &Look| match (&look.what, &self.parsed) {
            (_, None) => false,
            (What::Text(hash, _), Some(parsed)) => parsed.contains_key(&(layer, path.clone(), *hash)),
            (What::Other(_), _) => true,
        };
        self.looks().get(&place).is_some_and(|look| look.settled && look.stamp == stamp && kept(look))
    }

    fn unchanged<T: Send + Sync + 'static>(&self, place: &(Layer, Arc<Path>)) -> Option<Arc<Read<T>>> {
        let parsed = self.parsed.as_ref()?;
        let stamp = Stamp::of(&place.1);
        let looks = self.looks();
        let look = looks.get(place).filter(|look| look.settled && look.stamp == stamp)?;
        match &look.what {
            What::Text(hash, _) => typed(parsed.get(&(place.0, place.1.clone(), *hash))?.0),
            What::Other(other) => typed(other.clone()),
        }
    }

    /// What was found in a file the last time, if it was another text and somebody seems to be writing the next one.
    fn before<T: Send + Sync + 'static>(
        &self,
        place: &(Layer, Arc<Path>),
        found: &Found,
        hash: u64,
        now: SystemTime,
    ) -> Option<Arc<Read<T>>> {
        let looks = self.looks();
        let look = looks.get(place)?;
        match &look.what {
            What::Text(before, parsed) if *before != hash && is_unfinished(found, &look.stamp, now) => {
                typed(parsed.upgrade()?)
            }
            _ => None,
        }
    }

    fn other<T: Send + Sync + 'static>(&self, place: (Layer, Arc<Path>), stamp: Stamp, found: Read<T>) -> Arc<Read<T>> {
        let known = match self.looks().get(&place).map(|look| &look.what) {
            Some(What::Other(other)) => typed::<T>(other.clone()),
            _ => None,
        };
        let same = known.filter(|known| known.problems == found.problems && known.unreadable == found.unreadable);
        let (same, found) = (same.is_some(), same.unwrap_or_else(|| Arc::new(found)));
        if same { &self.hits } else { &self.misses }.fetch_add(1, Relaxed);
        // What could not be read may be readable at the next look without any change.
        let settled = !found.unreadable;
        self.note(place, Look { stamp, settled, what: What::Other(found.clone()) });
        found
    }

    fn note(&self, place: (Layer, Arc<Path>), look: Look) {
        let mut looks = self.looks();
        if looks.len() >= MAX_LOOKS && !looks.contains_key(&place) {
            looks.clear();
        }
        let differs = |before: &Look| match (&before.what, &look.what) {
            (What::Text(before, _), What::Text(now, _)) => before != now,
            (What::Other(before), What::Other(now)) => !Arc::ptr_eq(before, now),
            _ => true,
        };
        if looks.get(&place).is_some_and(differs) {
            self.invalidations.fetch_add(1, Relaxed);
        }
        looks.insert(place, look);
    }
}

/// Whether somebody seems to be in the middle of saving the file: it was emptied a moment ago, to be written next.
fn is_unfinished(found: &Found, before: &Stamp, now: SystemTime) -> bool {
    found.bytes.is_empty() && (found.stamp.is_fresh(now) || found.stamp.is_of(before))
}

fn typed<T: Send + Sync + 'static>(parsed: Parsed) -> Option<Arc<Read<T>>> {
    parsed.downcast::<Read<T>>().ok()
}

/// Reads the layer in a text.
pub(super) fn parse<T: Default>(layer: Layer, path: &Arc<Path>, text: &str, read: ReadLayer<T>) -> Read<T> {
    let source = Source::of_text(layer, Some(path.clone()), text);
    match Node::of_toml(&source, text) {
        Ok(node) => {
            let mut reader = Reader::new(&source);
            let layer = read(&mut reader, &node);
            Read::of(layer, reader.finish())
        }
        Err(mut problems) => {
            problems.sort_by_key(|problem| (problem.origin.line, problem.origin.column));
            problems.truncate(MAX_SYNTAX);
            Read { unreadable: true, ..Read::of(T::default(), problems) }
        }
    }
}

impl<T> Read<T> {
    /// A layer that was looked at, with what is wrong with it.
    pub(super) fn of(layer: T, problems: impl IntoIterator<Item = Problem>) -> Self {
        Self { layer, problems: problems.into_iter().collect(), unreadable: false, ever: true }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the tests write the files that are looked at")]
mod tests {
    use super::super::layer::UserLayer;
    use super::*;

    struct Desk {
        folder: tempfile::TempDir,
        cache: FileCache,
    }

    impl Desk {
        fn new(ttl: u64) -> Self {
            Self { folder: tempfile::tempdir().unwrap(), cache: FileCache::new(Duration::from_secs(ttl)) }
        }

        fn path(&self) -> Arc<Path> {
            self.folder.path().join("config.toml").into()
        }

        /// Saves a text, long ago, so that the stamp can be trusted.
        fn save(&self, text: &str, seconds: u64) {
            let path = self.path();
            std::fs::write(&path, text).unwrap();
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds) + Duration::from_nanos(1);
            std::fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        }

        fn look(&self) -> (Arc<Read<UserLayer>>, u32) {
            let read = self.cache.layer(Layer::User, &self.path(), None, UserLayer::read);
            let steps = read.layer.agent.max_steps.as_ref().map_or(0, |at| at.value);
            (read, steps)
        }

        fn counts(&self) -> (u64, u64, u64) {
            let counters = self.cache.counters();
            (counters.hits, counters.misses, counters.invalidations)
        }
    }

    #[test]
    fn a_file_that_has_not_changed_is_not_parsed_again() {
        let desk = Desk::new(300);
        desk.save("[agent]\nmax_steps = 3", 0);
        let (first, steps) = desk.look();
        let (second, _) = desk.look();
        assert_eq!((steps, desk.counts()), (3, (1, 1, 0)));
        assert!(Arc::ptr_eq(&first, &second));
        assert!(desk.cache.is_unchanged(Layer::User, &desk.path()));
    }

    #[test]
    fn a_touched_file_is_recognised_by_its_content_and_so_is_what_an_undo_brings_back() {
        let desk = Desk::new(300);
        desk.save("[agent]\nmax_steps = 3", 0);
        let (first, _) = desk.look();
        desk.save("[agent]\nmax_steps = 3", 9);
        assert!(!desk.cache.is_unchanged(Layer::User, &desk.path()));
        assert!(Arc::ptr_eq(&first, &desk.look().0));
        desk.save("[agent]\nmax_steps = 4", 9);
        assert_eq!(desk.look().1, 4, "another content of the same length and time is no hit");
        desk.save("[agent]\nmax_steps = 3", 9);
        assert!(Arc::ptr_eq(&first, &desk.look().0));
        assert_eq!(desk.counts(), (2, 2, 2));
    }

    #[test]
    fn a_file_saved_a_moment_ago_is_judged_by_its_content() {
        let desk = Desk::new(300);
        for steps in 1..50 {
            std::fs::write(desk.path(), format!("[agent]\nmax_steps = {}", 10 + steps)).unwrap();
            assert_eq!(desk.look().1, 10 + steps);
        }
    }

    #[test]
    fn a_file_that_is_emptied_to_be_written_next_keeps_what_it_said_also_without_the_cache() {
        for ttl in [300, 0] {
            emptied(&Desk::new(ttl));
        }
    }

    fn emptied(desk: &Desk) {
        desk.save("[agent]\nmax_steps = 3", 0);
        let _in_force = desk.look();
        std::fs::write(desk.path(), "").unwrap();
        let at = std::time::Instant::now();
        let steps = desk.look().1;
        // On a machine that slept between the two lines it is no longer a moment ago.
        assert!(steps == 3 || at.elapsed() > Duration::from_millis(20), "{steps}");
        std::fs::write(desk.path(), "[agent]\nmax_steps = 5").unwrap();
        assert_eq!(desk.look().1, 5);
        desk.save("", 7);
        assert_eq!(desk.look().1, 0, "an empty file that stays so counts");
    }

    #[test]
    fn a_file_that_is_just_being_emptied_and_has_its_old_times_still_is_not_empty() {
        let desk = Desk::new(300);
        desk.save("[agent]\nmax_steps = 3", 0);
        let stamp = Stamp::of(&desk.path());
        let now = SystemTime::now();
        let emptied = |stamp: &Stamp| Found { bytes: Vec::new(), stamp: stamp.clone(), whole: true };
        assert!(is_unfinished(&emptied(&stamp), &stamp, now));
        // The same time of writing, but set afterwards.
        desk.save("", 0);
        assert!(!is_unfinished(&emptied(&Stamp::of(&desk.path())), &stamp, now));
    }

    #[test]
    fn a_missing_file_is_looked_for_and_not_made_up() {
        let desk = Desk::new(300);
        let (first, _) = desk.look();
        assert!(first.problems.is_empty() && Arc::ptr_eq(&first, &desk.look().0));
        desk.save("[agent]\nmax_steps = 3", 0);
        assert_eq!(desk.look().1, 3);
        std::fs::remove_file(desk.path()).unwrap();
        assert_eq!(desk.look().1, 0);
    }

    #[test]
    fn what_is_older_than_its_time_to_live_is_parsed_again() {
        let mut desk = Desk::new(1);
        desk.cache = FileCache::new(Duration::from_millis(1));
        desk.save("[agent]\nmax_steps = 3", 0);
        let begun = std::time::Instant::now();
        while desk.counts().1 < 3 {
            assert_eq!(desk.look().1, 3);
            assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", desk.counts());
        }
        assert_eq!(desk.counts().2, 0, "the file never held anything else");
    }

    #[test]
    fn what_was_not_used_for_longest_makes_room() {
        let desk = Desk::new(300);
        let text = |nth: u64| format!("[agent]\nmax_steps = {}\n#{}", nth + 1, "x".repeat(500_000));
        let many = MAX_KEPT / 500_000 + 4;
        for nth in 0..many {
            desk.save(&text(nth), nth);
            assert_eq!(u64::from(desk.look().1), nth + 1);
        }
        assert!((4..MAX_KEPT / 500_000 + 1).contains(&desk.cache.counters().entries), "{:?}", desk.cache.counters());
        // The last one is there still, the first is not.
        for (nth, parsed) in [(many - 1, 0), (0, 1)] {
            let before = desk.counts().1;
            desk.save(&text(nth), many + nth);
            desk.look();
            assert_eq!(desk.counts().1 - before, parsed, "the text {nth}");
        }
    }

    #[test]
    fn without_a_time_to_live_everything_is_parsed_at_each_look() {
        let desk = Desk::new(0);
        desk.save("[agent]\nmax_steps = 3", 0);
        assert_eq!((desk.look().1, desk.look().1), (3, 3));
        assert_eq!(desk.counts(), (0, 2, 0));
        assert!(!desk.cache.is_unchanged(Layer::User, &desk.path()));
    }
}
