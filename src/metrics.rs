//! Numbers about the work: how long operations take, how tools, tokens, money and caches stand.
//!
//! `timings` holds a histogram for each operation, made on the first record, so an idle server pays nothing for it.
//! `counts` holds the counters. `readout` gives both the names that the contract (section 6) has for them. Nothing here
//! is global: the one [`Metrics`] is made by the program and passed down as an `Arc`.

mod counts;
mod process;
mod readout;
mod timings;

use std::sync::Arc;
use std::time::{Duration, Instant};

pub use self::counts::{Cache, RunningTool, Spent};
pub use self::process::rss_bytes;
pub use self::readout::{CacheHitRate, CostUsd, Http, LatencyMs, Numbers, Percentiles, Tokens, ToolCounts};
pub use self::timings::{Op, OpStats, Timer};

use self::counts::Counts;
use self::timings::Timings;

/// All numbers of one process.
#[derive(Debug)]
pub struct Metrics {
    began: Instant,
    timings: Timings,
    counts: Counts,
}

impl Default for Metrics {
    fn default() -> Self {
        Self { began: Instant::now(), timings: Timings::default(), counts: Counts::default() }
    }
}

impl Metrics {
    /// New numbers, all zero; uptime counts from here.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Notes that an operation took so long and whether it went well. An uncontended lock and a few additions.
    pub fn record(&self, op: Op, took: Duration, ok: bool) {
        self.timings.record(op, took, ok);
    }

    /// The numbers of one operation.
    pub fn stats(&self, op: Op) -> OpStats {
        self.timings.stats(op)
    }

    /// Time since the start.
    pub fn uptime(&self) -> Duration {
        self.began.elapsed()
    }
}
