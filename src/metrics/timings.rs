//! How long operations take, in a bounded histogram for each.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

macro_rules! ops {
    ($($(#[$doc:meta])* $op:ident = $name:literal,)*) => {
        /// What is timed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Op {
            $($(#[$doc])* $op,)*
        }

        impl Op {
            /// Every operation.
            pub const ALL: &[Self] = &[$(Self::$op,)*];

            /// Its name in the readout.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$op => $name,)*
                }
            }
        }
    };
}

ops! {
    /// One message of the editor, until its answer is ready.
    Message = "message",
    /// One change of a document, from the parsed message to the new state.
    Change = "change",
    /// One list of code actions.
    CodeAction = "codeAction",
    /// One run of the agent.
    Run = "run",
    /// One call of a model, from the request to the end of the stream.
    Request = "request",
    /// From the request to the first content of the answer.
    FirstToken = "firstToken",
    /// One tool, waiting not counted.
    Tool = "tool",
    /// A tool's wait for its turn.
    ToolWait = "toolWait",
    /// From the last byte of a call's arguments to the start of its tool.
    Dispatch = "dispatch",
    /// One staged edit.
    Stage = "stage",
    /// Carrying staged edits over one change.
    Rebase = "rebase",
    /// From the end of the stream to the request that applies the edits.
    Propose = "propose",
    /// From that request to the proof that the editor holds the edits.
    Apply = "apply",
    /// One reading of the configuration.
    ConfigLoad = "configLoad",
}

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
    /// The longest.
    pub max: f64,
}

/// Longer times count as an hour.
const MAX_MICROS: u64 = 3_600_000_000;

#[derive(Debug, Default)]
struct Timing {
    errors: u64,
    /// Microseconds at two significant digits, about 13 KiB; made on the first record.
    times: Option<Box<Histogram<u32>>>,
}

/// The times of one thing, in a bounded histogram that is made on the first record.
#[derive(Debug, Default)]
pub struct Timer(Mutex<Timing>);

impl Timer {
    fn lock(&self) -> MutexGuard<'_, Timing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that it took so long and whether it went well.
    pub fn record(&self, took: Duration, ok: bool) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(MAX_MICROS).clamp(1, MAX_MICROS);
        let mut timing = self.lock();
        timing.errors += u64::from(!ok);
        if timing.times.is_none() {
            timing.times = Histogram::new_with_bounds(1, MAX_MICROS, 2).ok().map(Box::new);
        }
        if let Some(times) = &mut timing.times {
            times.saturating_record(micros);
        }
    }

    /// The numbers so far.
    pub fn stats(&self) -> OpStats {
        let timing = self.lock();
        let Some(times) = &timing.times else { return OpStats::default() };
        // Below 2^53, so exact.
        #[expect(clippy::cast_precision_loss, reason = "at most an hour in microseconds")]
        let milliseconds = |micros: u64| micros as f64 / 1000.0;
        let max = times.max();
        // A bucket's upper edge may lie above the longest time that was seen.
        let quantile = |share| milliseconds(times.value_at_quantile(share).min(max));
        OpStats {
            count: times.len(),
            errors: timing.errors,
            p50: quantile(0.5),
            p95: quantile(0.95),
            p99: quantile(0.99),
            max: milliseconds(max),
        }
    }
}

/// One timer for each operation.
#[derive(Debug)]
pub(super) struct Timings(Box<[Timer]>);

impl Default for Timings {
    fn default() -> Self {
        Self(Op::ALL.iter().map(|_| Timer::default()).collect())
    }
}

impl Timings {
    fn of(&self, op: Op) -> &Timer {
        // As many as there are operations, in their order.
        &self.0[op as usize]
    }

    pub(super) fn record(&self, op: Op, took: Duration, ok: bool) {
        self.of(op).record(took, ok);
    }

    pub(super) fn stats(&self, op: Op) -> OpStats {
        self.of(op).stats()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_right_to_two_digits() {
        let timings = Timings::default();
        for n in 1..=1000 {
            timings.record(Op::Tool, Duration::from_millis(n), n % 10 != 0);
        }
        let stats = timings.stats(Op::Tool);
        assert_eq!((stats.count, stats.errors), (1000, 100));
        for (got, wanted) in [(stats.p50, 500.0), (stats.p95, 950.0), (stats.p99, 990.0), (stats.max, 1000.0)] {
            assert!((got - wanted).abs() <= wanted / 100.0, "{got} instead of {wanted}");
        }
    }

    #[test]
    fn what_was_never_recorded_has_no_memory_and_zeros() {
        let timings = Timings::default();
        timings.record(Op::Stage, Duration::ZERO, true);
        for op in Op::ALL.iter().filter(|op| **op != Op::Stage) {
            assert_eq!(timings.stats(*op), OpStats::default());
            assert!(timings.of(*op).lock().times.is_none(), "{op:?}");
        }
    }

    #[test]
    fn extreme_times_are_kept_within_the_bounds() {
        let timings = Timings::default();
        timings.record(Op::Run, Duration::MAX, true);
        timings.record(Op::Run, Duration::ZERO, true);
        let stats = timings.stats(Op::Run);
        assert_eq!(stats.count, 2);
        assert!(stats.p50 <= 0.002, "{stats:?}");
        assert!((3_500_000.0..3_700_000.0).contains(&stats.max), "{stats:?}");
    }

    #[test]
    fn each_operation_has_its_own_place_and_name() {
        let names: std::collections::BTreeSet<_> = Op::ALL.iter().map(|op| op.name()).collect();
        assert_eq!(names.len(), Op::ALL.len());
        assert!(Op::ALL.iter().enumerate().all(|(place, op)| *op as usize == place));
    }

    #[test]
    fn records_of_many_threads_are_all_counted() {
        let timings = Timings::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1000).for_each(|n| timings.record(Op::Message, Duration::from_micros(n), true)));
            }
        });
        assert_eq!(timings.stats(Op::Message).count, 4000);
    }
}
