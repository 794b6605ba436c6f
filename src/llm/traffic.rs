//! What went between us and one provider, counted.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::metrics::{OpStats, Timer};

/// Counters of one provider.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) requests: AtomicU64,
    pub(crate) retries: AtomicU64,
    pub(crate) failures: AtomicU64,
    pub(crate) warmed: AtomicU64,
    pub(crate) waited: Timer,
    pub(crate) first_token: Timer,
}

impl Traffic {
    pub(crate) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Relaxed);
    }

    /// How long a request that has its turn now waited for it.
    pub(crate) fn waited(&self, wait: Duration, now: Instant) {
        self.waited.record_at(now, wait, true);
    }
}

/// A row of the table: one provider.
#[derive(Clone, Debug)]
pub struct ProviderTraffic {
    /// Its name in the configuration.
    pub provider: String,
    /// HTTP requests, retries included; requests that only opened a connection are not.
    pub requests: u64,
    /// How many of them were retries.
    pub retries: u64,
    /// Calls that failed for good.
    pub failures: u64,
    /// Connections opened, each with its handshakes.
    pub connections: u64,
    /// Connections opened ahead of the first request.
    pub warmed: u64,
    /// Share of requests that needed no new connection; absent before the first.
    pub reuse_rate: Option<f64>,
    /// From a request's departure to its first event, in milliseconds.
    pub first_token: OpStats,
    /// Waits for a turn, in milliseconds.
    pub queue: OpStats,
    /// Requests that wait for their turn now.
    pub waiting: usize,
    /// Failures in a row, and whether requests are kept back because of them.
    pub failures_in_a_row: u32,
    /// See `failures_in_a_row`.
    pub open: bool,
}

/// Share of requests on a connection that another had used before.
///
/// A connection that was opened ahead served its first request without a handshake.
#[expect(clippy::cast_precision_loss, reason = "a share of counts; the 53rd bit does not matter")]
pub(crate) fn reuse_rate(requests: u64, opened: u64, warmed: u64) -> Option<f64> {
    let on_new = opened.saturating_sub(warmed).min(requests);
    (requests > 0).then(|| 1.0 - on_new as f64 / requests as f64)
}

impl Traffic {
    /// The row, with what others count.
    pub(crate) fn row(
        &self,
        provider: &str,
        connections: u64,
        waiting: usize,
        breaker: (u32, bool),
    ) -> ProviderTraffic {
        let (requests, warmed) = (self.requests.load(Relaxed), self.warmed.load(Relaxed));
        ProviderTraffic {
            provider: provider.to_owned(),
            requests,
            retries: self.retries.load(Relaxed),
            failures: self.failures.load(Relaxed),
            connections,
            warmed,
            reuse_rate: reuse_rate(requests, connections, warmed),
            first_token: self.first_token.stats(),
            queue: self.waited.stats(),
            waiting,
            failures_in_a_row: breaker.0,
            open: breaker.1,
        }
    }
}
