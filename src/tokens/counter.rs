//! The counter that a process shares: tables made once, counts remembered, the reactor never waiting for either.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::num::NonZero;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use moka::sync::Cache;

use super::Encoding;
use super::encoder::{Encoder, let_others};

/// Counts remembered unless somebody wants another number.
pub const REMEMBERED: u64 = 1000;

/// Bytes of text that are hashed where the caller stands; more of it is looked up on a blocking thread as well.
const HERE: usize = 16 << 10;

/// Bytes that are hashed before others may have the core: a fraction of a millisecond's work.
const HASHED: usize = 256 << 10;

/// The tables, one set for the process. They live to its end: a server that has counted once counts again.
static ENCODERS: [OnceLock<Encoder>; 2] = [OnceLock::new(), OnceLock::new()];

fn encoder(encoding: Encoding) -> &'static Encoder {
    ENCODERS[encoding as usize].get_or_init(|| Encoder::new(encoding))
}

/// What a text is known by: its hash with a key of this process, which nobody can aim at, and its length.
type Key = (Encoding, u64, usize);

/// Counts tokens.
#[derive(Debug)]
pub struct Counter {
    entries: u64,
    remembers: AtomicBool,
    /// Made at the first count, as the tables are.
    remembered: OnceLock<Cache<Key, u64>>,
    hasher: RandomState,
    hits: AtomicU64,
    misses: AtomicU64,
    cores: NonZero<usize>,
}

/// How the memory of a counter did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Counts that were remembered.
    pub hits: u64,
    /// Counts that were made.
    pub misses: u64,
    /// Counts remembered now.
    pub entries: u64,
}

impl Counter {
    /// A counter that remembers so many counts (0: none) and works on all cores.
    pub fn new(entries: u64) -> Arc<Self> {
        Self::on(entries, std::thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN))
    }

    /// The same, on so many cores.
    pub fn on(entries: u64, cores: NonZero<usize>) -> Arc<Self> {
        Arc::new(Self {
            entries,
            remembers: AtomicBool::new(true),
            remembered: OnceLock::new(),
            hasher: RandomState::new(),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            cores,
        })
    }

    /// Whether counts are remembered from now on, as they are unless somebody says otherwise.
    pub fn remember(&self, yes: bool) {
        self.remembers.store(yes, Relaxed);
    }

    /// Tokens of each text. What is remembered of short texts is answered at once; everything else is done on a
    /// blocking thread, the first time with the making of the classes of characters.
    pub async fn count<T>(self: &Arc<Self>, encoding: Encoding, texts: Vec<T>) -> Vec<u64>
    where
        T: AsRef<str> + Send + 'static,
    {
        if texts.iter().map(|text| text.as_ref().len()).sum::<usize>() <= HERE
            && let Some(counts) = self.known(encoding, &texts)
        {
            return counts;
        }
        let (this, len) = (self.clone(), texts.len());
        let counted = tokio::task::spawn_blocking(move || this.count_blocking(encoding, &texts)).await;
        // The runtime is going down, or a count has panicked, which none does; nobody uses the numbers then.
        counted.unwrap_or_else(|_| vec![0; len])
    }

    /// Tokens of each text, here and now: not for a thread that others wait for.
    pub fn count_blocking<T: AsRef<str>>(&self, encoding: Encoding, texts: &[T]) -> Vec<u64> {
        let keys: Vec<Key> = texts.iter().map(|text| self.key(encoding, text.as_ref())).collect();
        let mut counts: Vec<Option<u64>> = keys.iter().map(|key| self.remembered(key)).collect();
        let missing: Vec<usize> = (0..texts.len()).filter(|nth| counts[*nth].is_none()).collect();
        self.hits.fetch_add((texts.len() - missing.len()) as u64, Relaxed);
        if !missing.is_empty() {
            self.misses.fetch_add(missing.len() as u64, Relaxed);
            let texts: Vec<&str> = missing.iter().map(|nth| texts[*nth].as_ref()).collect();
            let counted = encoder(encoding).count_all(&texts, self.cores);
            for (nth, count) in missing.into_iter().zip(counted) {
                counts[nth] = Some(count);
                if self.entries > 0 && self.remembers.load(Relaxed) {
                    self.memory().insert(keys[nth], count);
                }
            }
        }
        counts.into_iter().map(Option::unwrap_or_default).collect()
    }

    /// The counts of all these texts, if each is remembered.
    fn known<T: AsRef<str>>(&self, encoding: Encoding, texts: &[T]) -> Option<Vec<u64>> {
        self.remembered.get()?;
        let counts: Vec<u64> =
            texts.iter().map(|text| self.remembered(&self.key(encoding, text.as_ref()))).collect::<Option<_>>()?;
        self.hits.fetch_add(counts.len() as u64, Relaxed);
        Some(counts)
    }

    fn remembered(&self, key: &Key) -> Option<u64> {
        if key.2 == 0 {
            return Some(0);
        }
        if !self.remembers.load(Relaxed) {
            return None;
        }
        self.remembered.get()?.get(key)
    }

    fn memory(&self) -> &Cache<Key, u64> {
        self.remembered.get_or_init(|| Cache::new(self.entries))
    }

    fn key(&self, encoding: Encoding, text: &str) -> Key {
        let mut hasher = self.hasher.build_hasher();
        for (nth, part) in text.as_bytes().chunks(HASHED).enumerate() {
            if nth > 0 {
                let_others();
            }
            hasher.write(part);
        }
        (encoding, hasher.finish(), text.len())
    }

    /// How the memory did so far.
    pub fn counters(&self) -> Counters {
        let entries = self.remembered.get().map(|cache| {
            cache.run_pending_tasks();
            cache.entry_count()
        });
        Counters {
            hits: self.hits.load(Relaxed),
            misses: self.misses.load(Relaxed),
            entries: entries.unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(counter: &Counter, texts: &[&str]) -> Vec<u64> {
        counter.count_blocking(Encoding::O200k, texts)
    }

    #[test]
    fn a_text_is_counted_once_however_often_it_is_asked_for() {
        let counter = Counter::new(10);
        assert_eq!(counts(&counter, &["hello world", "", "hello world!"]), [2, 0, 3]);
        assert_eq!(counts(&counter, &["hello world"]), [2]);
        assert_eq!(counter.counters(), Counters { hits: 2, misses: 2, entries: 2 });
    }

    #[test]
    fn encodings_are_remembered_apart() {
        let counter = Counter::new(10);
        let text = "größere Wörterbücher für Übersetzungen";
        let [new, old] = Encoding::ALL.map(|encoding| counter.count_blocking(encoding, &[text])[0]);
        assert!(new < old, "{new} {old}");
        assert_eq!(counter.counters().hits, 0);
    }

    #[test]
    fn no_more_is_remembered_than_was_asked_for_and_nothing_changes_without_a_memory() {
        let (small, none) = (Counter::new(5), Counter::new(0));
        let off = Counter::new(5);
        off.remember(false);
        for nth in 0..100 {
            let text = format!("text {nth}");
            assert_eq!(counts(&small, &[&text]), counts(&none, &[&text]));
            assert_eq!(counts(&off, &[&text]), counts(&off, &[&text]));
        }
        assert!(small.counters().entries <= 5);
        assert_eq!(off.counters(), Counters { hits: 0, misses: 200, entries: 0 });
        assert_eq!(none.counters(), Counters { hits: 0, misses: 100, entries: 0 });
    }

    #[tokio::test]
    async fn what_is_awaited_is_what_is_counted_here() {
        let counter = Counter::new(10);
        let texts = vec!["fn main() {}".to_owned(), "x".repeat(2 * HERE)];
        let counted = counter.count(Encoding::Cl100k, texts.clone()).await;
        assert_eq!(counted, Counter::new(0).count_blocking(Encoding::Cl100k, &texts));
        assert_eq!(counter.count(Encoding::Cl100k, vec![texts[0].clone()]).await, counted[..1]);
        assert_eq!(counter.counters().hits, 1);
    }
}
