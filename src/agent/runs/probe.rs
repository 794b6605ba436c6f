//! How late the runtime is for what is due, looked at while runs go on; and what their conversations take of memory.
//!
//! There is no clock at rest: the probe begins with the first run and ends with the last.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};

use super::Runs;
use crate::agent::context::gauge::bytes_of;
use crate::agent::run::conversation::bounds;
use crate::metrics::Op;

/// Between two looks. Timers go by the millisecond, so up to one of what is seen is their grain.
const PACE: Duration = Duration::from_millis(100);

impl Runs {
    /// Looks, until no run goes on.
    pub(super) fn probe(self: &Arc<Self>) {
        if self.probing.swap(true, Ordering::AcqRel) {
            return;
        }
        let runs = self.clone();
        self.tasks.spawn(async move {
            loop {
                let due = Instant::now() + PACE;
                tokio::select! {
                    () = runs.closing.cancelled() => return,
                    () = sleep_until(due) => {}
                }
                runs.services.metrics.record(Op::Lateness, due.elapsed(), true);
                if !runs.is_busy() {
                    runs.probing.store(false, Ordering::Release);
                    // One that began meanwhile found somebody looking.
                    if !runs.is_busy() || runs.probing.swap(true, Ordering::AcqRel) {
                        return;
                    }
                }
            }
        });
    }

    fn is_busy(&self) -> bool {
        self.state().runs.values().any(|entry| entry.outcome.borrow().is_none())
    }

    /// What the conversations hold (text, not the memory around it), and how much of what one may hold before its oldest
    /// messages go is used by the longest of them.
    pub fn conversations(&self) -> Value {
        let most = bounds(&self.services.config()).most();
        let threads: Vec<_> = self.state().threads.values().map(|thread| thread.history.clone()).collect();
        let (mut messages, mut longest, mut bytes) = (0, 0, 0);
        for history in &threads {
            let history = history.lock().unwrap_or_else(PoisonError::into_inner);
            messages += history.messages().len();
            longest = longest.max(history.messages().len());
            bytes += history.messages().iter().map(bytes_of).sum::<usize>();
        }
        let used = longest as f64 / most.max(1) as f64;
        json!({
            "threads": threads.len(), "messages": messages, "textBytes": bytes, "maxMessages": most, "used": used,
        })
    }
}
