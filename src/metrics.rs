//! Numbers about the work: how long operations take, how tools, tokens, money and caches stand.
//!
//! `timer` holds the times of one thing without a lock, `timings` names what is timed, `span` is an operation that goes
//! on, a span of `tracing`, too. Runs, requests and tools are such spans by themselves (`agent::trace`); what is only a
//! moment in one of them (the first token, the last) or known only afterwards (a tool's wait, the runtime's lateness) is
//! noted as an event in it. `counts` holds the counters, `iterations` the calls of models. `readout` gives all of it the names that the
//! contract (section 6) has for it. Nothing here is global: the one [`Metrics`] is made with the workspace and passed
//! up as an `Arc`. An idle server pays nothing for it: memory is taken with the first time that is noted.

mod counts;
mod iterations;
mod process;
mod readout;
mod span;
mod timer;
mod timings;

use std::sync::Arc;
use std::time::{Duration, Instant};

pub use self::counts::{Cache, Milestone, RunningTool, Spent};
pub use self::iterations::Iteration;
pub use self::process::{cpu_time, rss_bytes};
pub use self::readout::{
    CacheHitRate, CostUsd, Cpu, Http, LatencyMs, Numbers, Operation, Percentiles, Tokens, ToolCounts, WonMs,
};
pub use self::span::{Span, Waiting};
pub use self::timer::{OpStats, RECENT, Timer};
pub use self::timings::Op;

use self::counts::Counts;
use self::iterations::Iterations;
use self::span::Limits;
use self::timings::Timings;

/// All numbers of one process.
#[derive(Debug)]
pub struct Metrics {
    began: Instant,
    timings: Timings,
    limits: Limits,
    counts: Counts,
    iterations: Iterations,
    share: process::Share,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            timings: Timings::default(),
            limits: Limits::default(),
            counts: Counts::default(),
            iterations: Iterations::default(),
            share: process::Share::default(),
        }
    }
}

impl Metrics {
    /// New numbers, all zero; uptime counts from here.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// The numbers of one operation since the start.
    pub fn stats(&self, op: Op) -> OpStats {
        self.timings.of(op).stats()
    }

    /// The numbers of one operation over the last five minutes.
    pub fn recent(&self, op: Op) -> OpStats {
        self.timings.of(op).recent()
    }

    /// Time since the start.
    pub fn uptime(&self) -> Duration {
        self.began.elapsed()
    }
}
