//! The times of one thing, over the session and over the last five minutes, without a lock where they are noted.
//!
//! The buckets are those of an HDR histogram: 64 to each doubling, so a time is known to less than one part in a hundred
//! from a nanosecond to more than an hour. A doubling that no time falls into takes no memory. What was in the buckets
//! before the first time of each half minute is kept for five minutes; the recent past is the difference, so that no
//! clock has to tick for it and nothing is counted twice.
//!
//! It is not the crate `hdrhistogram`, whose histograms are filled through `&mut`: with a lock around each, as `cargo
//! bench --bench suite -- spans` has beside ours, or by a channel of its own to a thread that merges. Its recording is
//! what the tests hold ours against.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use serde::Serialize;

/// Bits of a time within its doubling.
const BITS: u32 = 6;
/// Buckets of a doubling.
const BUCKETS: usize = 1 << BITS;
/// Doublings; the first holds the times below 64 ns one by one.
const DOUBLINGS: usize = 37;
/// Longer times count as this: an hour and a bit, in nanoseconds.
const MAX_NS: u64 = (1 << (DOUBLINGS as u32 + BITS - 1)) - 1;
/// How long a slot of the recent past is.
const SLOT: Duration = Duration::from_secs(30);
/// Slots of the recent past, besides the one that is not over.
const SLOTS: u64 = 10;
/// What the recent past is, at least; at most a slot more.
pub const RECENT: Duration = Duration::from_secs(SLOT.as_secs() * SLOTS);

/// The numbers of one operation, times in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct OpStats {
    /// How often.
    pub count: u64,
    /// How often it did not go well.
    pub errors: u64,
    /// Half took at most this.
    pub p50: f64,
    /// 95 of 100 took at most this.
    pub p95: f64,
    /// 99 of 100 took at most this.
    pub p99: f64,
    /// The longest; of the recent past to two digits.
    pub max: f64,
}

/// A bucket by its number over all doublings, and how many times are in it.
type Filled = (u16, u32);

/// What stood in the buckets before the first time of a slot.
#[derive(Debug)]
struct Mark {
    slot: u64,
    errors: u64,
    filled: Box<[Filled]>,
}

/// The buckets of a doubling, where a time has fallen into it.
type Doubling = OnceLock<Box<[AtomicU32; BUCKETS]>>;

#[derive(Debug)]
struct Times {
    doublings: [Doubling; DOUBLINGS],
    errors: AtomicU64,
    max_ns: AtomicU64,
    /// The slot of the last time, counted from 1.
    slot: AtomicU64,
    marks: Mutex<VecDeque<Mark>>,
}

/// The times of one thing; the memory for them is taken with the first.
#[derive(Debug)]
pub struct Timer {
    began: Instant,
    times: OnceLock<Box<Times>>,
}

impl Default for Timer {
    fn default() -> Self {
        Self { began: Instant::now(), times: OnceLock::new() }
    }
}

/// Doubling and bucket of a time.
fn place(ns: u64) -> (usize, usize) {
    let ns = ns.min(MAX_NS);
    if ns < BUCKETS as u64 {
        return (0, ns as usize);
    }
    let shift = 63 - ns.leading_zeros() - BITS;
    ((shift + 1) as usize, (ns >> shift) as usize - BUCKETS)
}

/// The middle of a bucket, in nanoseconds.
fn middle(bucket: u16) -> u64 {
    let (doubling, within) = (usize::from(bucket) / BUCKETS, u64::from(bucket) % BUCKETS as u64);
    match doubling.checked_sub(1) {
        None => within,
        Some(shift) => ((BUCKETS as u64 + within) << shift) + ((1 << shift) >> 1),
    }
}

impl Timer {
    /// Notes that it took so long and whether it went well.
    pub fn record(&self, took: Duration, ok: bool) {
        self.record_at(Instant::now(), took, ok);
    }

    /// The same where the time is known.
    pub fn record_at(&self, now: Instant, took: Duration, ok: bool) {
        // Thirty seconds are less than 2^35 ns; a shift would do, but a division by a constant is a multiplication.
        let slot = now.saturating_duration_since(self.began).as_secs() / SLOT.as_secs() + 1;
        let times = self.times.get_or_init(Box::default);
        times.note(slot, u64::try_from(took.as_nanos()).unwrap_or(MAX_NS), ok);
    }

    fn slot(&self) -> u64 {
        self.began.elapsed().as_secs() / SLOT.as_secs() + 1
    }

    /// The numbers since the start.
    pub fn stats(&self) -> OpStats {
        self.times.get().map(|times| times.all()).unwrap_or_default()
    }

    /// The numbers of the last [`RECENT`] and what has passed of half a minute.
    pub fn recent(&self) -> OpStats {
        self.times.get().map(|times| times.recent(self.slot())).unwrap_or_default()
    }

    #[cfg(test)]
    pub(super) fn is_untouched(&self) -> bool {
        self.times.get().is_none()
    }
}

impl Default for Times {
    fn default() -> Self {
        Self {
            doublings: [const { OnceLock::new() }; DOUBLINGS],
            errors: AtomicU64::new(0),
            max_ns: AtomicU64::new(0),
            slot: AtomicU64::new(0),
            marks: Mutex::default(),
        }
    }
}

impl Times {
    fn note(&self, slot: u64, ns: u64, ok: bool) {
        if self.slot.load(Relaxed) != slot {
            self.mark(slot);
        }
        let (doubling, bucket) = place(ns);
        let buckets = self.doublings[doubling].get_or_init(|| Box::new([const { AtomicU32::new(0) }; BUCKETS]));
        buckets[bucket].fetch_add(1, Relaxed);
        if !ok {
            self.errors.fetch_add(1, Relaxed);
        }
        if ns > self.max_ns.load(Relaxed) {
            self.max_ns.fetch_max(ns.min(MAX_NS), Relaxed);
        }
    }

    /// The first time of a slot: keeps what was there before. Whoever comes meanwhile does not wait for it.
    #[cold]
    fn mark(&self, slot: u64) {
        let mut marks = match self.marks.try_lock() {
            Ok(marks) => marks,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        if self.slot.load(Relaxed) >= slot {
            return;
        }
        let filled = self.filled().collect();
        while marks.front().is_some_and(|mark| mark.slot + SLOTS < slot) {
            marks.pop_front();
        }
        marks.push_back(Mark { slot, errors: self.errors.load(Relaxed), filled });
        self.slot.store(slot, Relaxed);
    }

    /// Buckets with times in them, from the shortest.
    fn filled(&self) -> impl Iterator<Item = Filled> + '_ {
        self.doublings.iter().enumerate().flat_map(|(doubling, buckets)| {
            let buckets = buckets.get().into_iter().flat_map(|buckets| buckets.iter().enumerate());
            buckets.filter_map(move |(bucket, count)| {
                let count = count.load(Relaxed);
                (count > 0).then_some(((doubling * BUCKETS + bucket) as u16, count))
            })
        })
    }

    fn all(&self) -> OpStats {
        let filled: Vec<Filled> = self.filled().collect();
        sum_up(&filled, self.errors.load(Relaxed), self.max_ns.load(Relaxed))
    }

    /// What was noted in this slot and the [`SLOTS`] before it.
    fn recent(&self, slot: u64) -> OpStats {
        let marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(before) = marks.iter().find(|mark| mark.slot + SLOTS >= slot) else { return OpStats::default() };
        let mut old = before.filled.iter().peekable();
        let since = self.filled().filter_map(|(bucket, count)| {
            let was = match old.next_if(|(known, _)| *known == bucket) {
                Some((_, was)) => *was,
                None => 0,
            };
            (count > was).then(|| (bucket, count - was))
        });
        let since: Vec<Filled> = since.collect();
        let errors = self.errors.load(Relaxed).saturating_sub(before.errors);
        sum_up(&since, errors, self.max_ns.load(Relaxed))
    }
}

/// The numbers of buckets that are given from the shortest time; `limit` is a time that none was over.
fn sum_up(filled: &[Filled], errors: u64, limit: u64) -> OpStats {
    let count: u64 = filled.iter().map(|(_, count)| u64::from(*count)).sum();
    let Some((last, _)) = filled.last() else { return OpStats::default() };
    // Below 2^53, so exact.
    #[expect(clippy::cast_precision_loss, reason = "little more than an hour in nanoseconds")]
    let milliseconds = |ns: u64| ns as f64 / 1e6;
    let quantile = |share: f64| {
        #[expect(clippy::cast_precision_loss, reason = "a place among them; the 53rd bit does not matter")]
        let wanted = ((count as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        let at = filled.iter().find(|(_, count)| {
            seen += u64::from(*count);
            seen >= wanted
        });
        milliseconds(middle(at.map_or(*last, |(bucket, _)| *bucket)).min(limit))
    };
    // The longest of all is known exactly, and it is the longest of these if it would stand in their last bucket.
    let (doubling, bucket) = place(limit);
    let exact = doubling * BUCKETS + bucket == usize::from(*last);
    let max = if exact { limit } else { middle(*last) };
    OpStats { count, errors, p50: quantile(0.5), p95: quantile(0.95), p99: quantile(0.99), max: milliseconds(max) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(slots: &[(u64, u64)]) -> Times {
        let times = Times::default();
        for (slot, ms) in slots {
            times.note(*slot, ms * 1_000_000, ms % 10 != 0);
        }
        times
    }

    #[test]
    fn percentiles_are_those_of_an_hdr_histogram_to_two_digits() {
        let timer = Timer::default();
        let mut known = hdrhistogram::Histogram::<u64>::new_with_bounds(1, 3_600_000_000_000, 4).unwrap();
        let mut seed = 7_u64;
        for n in 0..10_000_u64 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let ns = (seed >> 30) >> (n % 30);
            timer.record(Duration::from_nanos(ns), n % 10 != 0);
            known.record(ns.max(1)).unwrap();
        }
        let stats = timer.stats();
        assert_eq!((stats.count, stats.errors), (10_000, 1_000));
        let wanted = |share: f64| known.value_at_quantile(share) as f64 / 1e6;
        let pairs = [(stats.p50, wanted(0.5)), (stats.p95, wanted(0.95)), (stats.p99, wanted(0.99))];
        for (got, wanted) in pairs.into_iter().chain([(stats.max, wanted(1.0))]) {
            assert!((got - wanted).abs() <= wanted / 100.0, "{got} instead of {wanted}");
        }
        assert_eq!(timer.recent().count, 10_000);
    }

    #[test]
    fn each_time_has_a_bucket_whose_middle_is_near_it() {
        for ns in (0..4096).chain((12..43).flat_map(|bit| [(1 << bit) - 1, 1 << bit, (1 << bit) + 1, 3 << (bit - 1)])) {
            let (doubling, bucket) = place(ns);
            assert!(doubling < DOUBLINGS && bucket < BUCKETS, "{ns}");
            let near = middle((doubling * BUCKETS + bucket) as u16);
            assert!(near.abs_diff(ns.min(MAX_NS)) <= ns / 100, "{near} for {ns}");
        }
    }

    #[test]
    fn extreme_times_are_kept_within_the_bounds() {
        let timer = Timer::default();
        timer.record(Duration::MAX, true);
        timer.record(Duration::ZERO, true);
        let stats = timer.stats();
        assert_eq!((stats.count, stats.p50), (2, 0.0));
        assert!((3_600_000.0..4_500_000.0).contains(&stats.max), "{stats:?}");
    }

    #[test]
    fn what_was_never_recorded_has_no_memory_and_zeros() {
        let timer = Timer::default();
        assert_eq!((timer.stats(), timer.recent()), (OpStats::default(), OpStats::default()));
        assert!(timer.is_untouched());
    }

    #[test]
    fn the_recent_past_is_five_minutes_and_what_has_passed_of_a_slot() {
        let times = times(&[(1, 50), (1, 70), (5, 90), (12, 10), (12, 20), (14, 30)]);
        let recent = |slot| {
            let stats = times.recent(slot);
            (stats.count, stats.errors, stats.max.round() as u64)
        };
        assert_eq!(recent(14), (4, 4, 90));
        assert_eq!(recent(15), (4, 4, 90));
        assert_eq!(recent(16), (3, 3, 30));
        assert_eq!(recent(23), (1, 1, 30));
        assert_eq!(recent(25), (0, 0, 0));
        assert_eq!(times.all().count, 6);
        assert!(times.marks.lock().unwrap().len() <= SLOTS as usize + 1);
    }

    #[test]
    fn marks_do_not_pile_up() {
        let times = times(&(1..500).map(|slot| (slot, slot)).collect::<Vec<_>>());
        assert_eq!(times.marks.lock().unwrap().len(), SLOTS as usize + 1);
        assert_eq!(times.recent(499).count, SLOTS + 1);
    }

    #[test]
    fn times_of_many_threads_are_all_counted_also_while_slots_change() {
        let times = Times::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..10_000).for_each(|n| times.note(n / 1000 + 1, n, n % 2 == 0)));
            }
        });
        let all = times.all();
        assert_eq!((all.count, all.errors), (40_000, 20_000));
    }
}
