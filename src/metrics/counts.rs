//! Counters: tools, tokens, money, caches, connections.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Metrics;
use crate::ids::RunId;

/// The caches that are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cache {
    /// Files read.
    Files,
    /// Prompt tokens, by the providers' count. Use [`Metrics::spend`].
    Tokens,
    /// Results of tools.
    Tools,
    /// Configuration.
    Config,
    /// Answers of models.
    Responses,
}

/// What a server comes past at its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Milestone {
    /// The client has introduced itself.
    Introduced,
    /// The agent is put together, the configuration read.
    Agent,
    /// The first run has begun.
    FirstRun,
}

/// What calls of models took and cost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spent {
    /// Tokens of the whole prompts.
    pub input: u64,
    /// The part of them read from the provider's cache.
    pub cached: u64,
    /// Tokens of the answers.
    pub output: u64,
    /// US dollars; 0 where the price is not known.
    pub cost_usd: f64,
}

impl Spent {
    fn add(&mut self, more: &Self) {
        self.input = self.input.saturating_add(more.input);
        self.cached = self.cached.saturating_add(more.cached);
        self.output = self.output.saturating_add(more.output);
        if more.cost_usd.is_finite() {
            self.cost_usd += more.cost_usd;
        }
    }
}

/// Hits and misses.
#[derive(Debug, Default)]
pub(super) struct Looks {
    pub(super) hits: AtomicU64,
    pub(super) misses: AtomicU64,
}

impl Looks {
    /// The share of hits, 0 to 1; nothing before the first look.
    pub(super) fn rate(&self) -> Option<f64> {
        share(self.hits.load(Relaxed), self.misses.load(Relaxed))
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share of counts; the 53rd bit does not matter")]
pub(super) fn share(hits: u64, misses: u64) -> Option<f64> {
    let all = hits.saturating_add(misses);
    (all > 0).then(|| hits as f64 / all as f64)
}

/// What was spent, and how full the conversation is.
#[derive(Debug, Default)]
pub(super) struct Purse {
    pub(super) session: Spent,
    pub(super) runs: HashMap<RunId, Spent>,
    /// What the run that spent last has spent, also after its end.
    pub(super) latest: Spent,
    /// Tokens of the last prompt with its answer, and of the window that it had to fit in.
    pub(super) context: (u64, u64),
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) running: AtomicU64,
    pub(super) peak: AtomicU64,
    pub(super) done: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) caches: [Looks; 5],
    pub(super) connections: Looks,
    /// Microseconds after the start, by [`Milestone`]; 0: not yet.
    pub(super) milestones: [AtomicU64; 3],
    purse: Mutex<Purse>,
}

impl Counts {
    pub(super) fn purse(&self) -> MutexGuard<'_, Purse> {
        self.purse.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A tool that runs. Dropped without [`RunningTool::finish`] (cancelled), it counts neither as done nor as failed.
#[derive(Debug)]
pub struct RunningTool(Arc<Metrics>);

impl RunningTool {
    /// It has ended by itself.
    pub fn finish(self, ok: bool) {
        let counts = &self.0.counts;
        if ok { &counts.done } else { &counts.failed }.fetch_add(1, Relaxed);
    }
}

impl Drop for RunningTool {
    fn drop(&mut self) {
        self.0.counts.running.fetch_sub(1, Relaxed);
    }
}

impl Metrics {
    /// Counts a tool as running until what is returned is finished or dropped.
    pub fn tool_started(self: &Arc<Self>) -> RunningTool {
        let running = self.counts.running.fetch_add(1, Relaxed) + 1;
        self.counts.peak.fetch_max(running, Relaxed);
        RunningTool(self.clone())
    }

    /// Takes over the counts of a cache that counts for itself.
    pub fn set_looked_up(&self, cache: Cache, hits: u64, misses: u64) {
        let looks = &self.counts.caches[cache as usize];
        looks.hits.store(hits, Relaxed);
        looks.misses.store(misses, Relaxed);
    }

    /// Takes over the counts of the connection pool: requests on a used connection and on a new one.
    pub fn set_connections(&self, reused: u64, new: u64) {
        self.counts.connections.hits.store(reused, Relaxed);
        self.counts.connections.misses.store(new, Relaxed);
    }

    /// Notes when the start has come so far; the first time counts.
    pub fn passed(&self, milestone: Milestone) {
        let at = u64::try_from(self.uptime().as_micros()).unwrap_or(u64::MAX).max(1);
        // Somebody may have been faster, and then that was the first time.
        let _ = self.counts.milestones[milestone as usize].compare_exchange(0, at, Relaxed, Relaxed);
    }

    /// Adds what one call of a model took to its run and to the session; gives the run's sum.
    pub fn spend(&self, run: &RunId, spent: &Spent) -> Spent {
        let mut purse = self.counts.purse();
        purse.session.add(spent);
        let sum = {
            let sum = purse.runs.entry(run.clone()).or_default();
            sum.add(spent);
            *sum
        };
        purse.latest = sum;
        sum
    }

    /// Adds what was spent beside the runs to the session.
    pub fn spend_aside(&self, spent: &Spent) {
        self.counts.purse().session.add(spent);
    }

    /// Tokens of the last prompt with its answer, and of the model's window.
    pub fn context(&self, used: u64, window: u64) {
        self.counts.purse().context = (used, window);
    }

    /// What a run has spent so far.
    pub fn spent(&self, run: &RunId) -> Spent {
        self.counts.purse().runs.get(run).copied().unwrap_or_default()
    }

    /// Forgets a run that has ended; gives its sum, which stays in the session's.
    pub fn run_ended(&self, run: &RunId) -> Spent {
        self.counts.purse().runs.remove(run).unwrap_or_default()
    }
}
