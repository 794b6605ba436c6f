//! The calls of models, one row each: what it took, what its tools did meanwhile, what working side by side has won.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Metrics, Spent};
use crate::ids::RunId;

/// Calls that are remembered.
const REMEMBERED: usize = 1000;

/// One call of a model with the tools it asked for. Times are measured, not estimated.
#[derive(Clone, Debug, PartialEq)]
pub struct Iteration {
    /// Whose.
    pub run: RunId,
    /// Number of the call in its run, from 1.
    pub step: u32,
    /// `PROVIDER/MODEL` that was asked.
    pub model: Arc<str>,
    /// Whether it wrote a summary of the conversation, which no step counts.
    pub summary: bool,
    /// Whether the answer came to its end.
    pub ok: bool,
    /// When it was asked, since the start of the run.
    pub at: Duration,
    /// What the provider counted.
    pub spent: Spent,
    /// Further attempts and other models asked before the answer began.
    pub retries: u32,
    /// From the request to the first content; `None` if there was none.
    pub first_token: Option<Duration>,
    /// From the request to the end of the answer.
    pub model_time: Duration,
    /// Calls of tools.
    pub calls: u32,
    /// How many of them gave no result.
    pub failed: u32,
    /// The most of them at a time.
    pub parallel: u32,
    /// Running time of all its tools, added up.
    pub tool_time: Duration,
    /// Time won because tools ran while the answer still arrived: the time in which both went on.
    pub won_by_stream: Duration,
    /// Time won because tools ran beside each other: their running time less the time in which any ran.
    pub won_by_parallel: Duration,
}

/// What was won over all calls.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Won {
    pub(super) stream: Duration,
    pub(super) parallel: Duration,
}

#[derive(Debug, Default)]
struct State {
    rows: VecDeque<Iteration>,
    won: Won,
}

#[derive(Debug, Default)]
pub(super) struct Iterations(Mutex<State>);

impl Iterations {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn won(&self) -> Won {
        self.lock().won
    }
}

impl Metrics {
    /// Remembers a call of a model that is over, its tools included; the oldest is forgotten past a thousand.
    pub fn iterated(&self, row: Iteration) {
        let mut state = self.iterations.lock();
        state.won.stream += row.won_by_stream;
        state.won.parallel += row.won_by_parallel;
        if state.rows.len() == REMEMBERED {
            state.rows.pop_front();
        }
        state.rows.push_back(row);
    }

    /// The last calls of models, in the order in which they were over.
    pub fn iterations(&self) -> Vec<Iteration> {
        self.iterations.lock().rows.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_calls_are_forgotten_and_what_they_won_is_not() {
        let metrics = Metrics::new();
        for step in 0..=REMEMBERED as u32 {
            metrics.iterated(Iteration {
                run: RunId::from("r"),
                step,
                model: Arc::from("p/m"),
                summary: false,
                ok: true,
                at: Duration::ZERO,
                spent: Spent::default(),
                retries: 0,
                first_token: None,
                model_time: Duration::ZERO,
                calls: 0,
                failed: 0,
                parallel: 0,
                tool_time: Duration::ZERO,
                won_by_stream: Duration::from_millis(1),
                won_by_parallel: Duration::from_millis(2),
            });
        }
        let rows = metrics.iterations();
        assert_eq!((rows.len(), rows[0].step), (REMEMBERED, 1));
        let won = metrics.iterations.won();
        assert_eq!((won.stream.as_millis(), won.parallel.as_millis()), (1001, 2002));
    }
}
