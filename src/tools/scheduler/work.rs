//! Doing the work: on a thread or as a task, one job after the other as they can start.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::super::cache::{Memo, Results, Upset};
use super::super::tool::{Cancel, ToolError, ToolResult, Work};
use super::hands::Bench;
use super::queue::{Class, Key, Left};
use super::ticket::{Cell, cancelled, never_began};
use super::{Begun, Ended, Finished, Shared};
use crate::ids::RunId;

/// Longest message of a panic that the model gets to read, in characters.
const MAX_PANIC: usize = 200;

/// All that is needed to do a call.
pub(super) struct Job {
    pub(super) tool: Arc<str>,
    pub(super) run: RunId,
    pub(super) class: Class,
    pub(super) work: Work,
    pub(super) ready: Option<Box<dyn FnOnce() + Send>>,
    pub(super) memo: Option<Memo>,
    pub(super) upsets: Option<Results>,
    pub(super) cancel: Cancel,
    pub(super) deadline: Duration,
    pub(super) on_start: Option<Box<dyn FnOnce(Begun) + Send>>,
    pub(super) cell: Arc<Cell>,
    pub(super) submitted: Instant,
    pub(super) runtime: Handle,
}

impl Job {
    /// The remembered result, if there is one that can be had without waiting for a disk.
    pub(super) fn recall(&mut self) -> Option<Finished> {
        if self.cancel.is_cancelled() {
            return None;
        }
        let begun = Instant::now();
        let output = self.memo.as_ref().and_then(Memo::at_once)?;
        let waited = begun.saturating_duration_since(self.submitted);
        if let Some(on_start) = self.on_start.take() {
            on_start(Begun { waited, beside: 1 });
        }
        Some(Finished { result: Ok(output), ended: Ended::Itself, cached: true, waited, ran: begun.elapsed() })
    }
}

/// A call that runs. However it is dropped, its place is freed and its ticket answered.
struct Running {
    shared: Arc<Shared>,
    key: Key,
    run: RunId,
    class: Class,
    tool: Arc<str>,
    cell: Arc<Cell>,
    cancel: Cancel,
    submitted: Instant,
    since: Instant,
    /// Ended before the place is freed.
    upset: Option<Upset>,
    over: bool,
}

impl Running {
    /// The work has truly ended: frees the place, then answers, so that whoever hears of the end finds it free.
    fn conclude(mut self, result: ToolResult, ended: Ended, cached: bool) {
        self.over = true;
        self.upset = None;
        self.give(result, ended, cached);
    }

    fn give(&self, result: ToolResult, ended: Ended, cached: bool) {
        self.shared.release(self.class, &self.run, self.key);
        let (result, ended) = match result {
            Err(_) if ended == Ended::Itself && self.cancel.is_cancelled() => {
                (Err(cancelled(self.since)), Ended::Cancelled)
            }
            result => (result, ended),
        };
        let waited = self.since.saturating_duration_since(self.submitted);
        let finished = Finished { result, ended, cached, waited, ran: self.since.elapsed() };
        let (failed, class) = (finished.result.is_err(), self.class);
        if self.cell.answer(finished) {
            self.shared.counters.ended(class, failed);
        }
    }

    fn panicked(self, panic: &(dyn Any + Send)) {
        let message = panic_message(panic);
        tracing::error!(tool = %self.tool, message, "a tool panicked");
        let text = format!("{} has a defect and gave no result ({message}): try it another way", self.tool);
        self.conclude(Err(ToolError::ForModel(text)), Ended::Panicked, false);
    }
}

impl Drop for Running {
    /// The runtime goes down, or the work was aborted.
    fn drop(&mut self) {
        if !self.over {
            self.upset = None;
            self.give(Err(ToolError::for_model("cancelled: the server is shutting down")), Ended::Cancelled, false);
        }
    }
}

/// Work for a thread, ready to begin.
pub(super) struct Shift {
    running: Running,
    work: Box<dyn FnOnce(&Cancel) -> ToolResult + Send>,
    memo: Option<Memo>,
    cancel: Cancel,
    runtime: Handle,
}

impl Shift {
    fn work(self) {
        let Self { running, work, memo, cancel, .. } = self;
        let outcome = catch_unwind(AssertUnwindSafe(|| match memo {
            Some(memo) => memo.recall_or(|| work(&cancel)),
            None => (work(&cancel), false),
        }));
        match outcome {
            Ok((result, cached)) => running.conclude(result, Ended::Itself, cached),
            Err(panic) => running.panicked(&*panic),
        }
    }
}

/// A thread that was called. If it never runs, the runtime is going down, and what it was called for ends unanswered
/// by work.
struct Hand {
    shared: Arc<Shared>,
    came: bool,
}

impl Hand {
    /// Works for as long as there is something to do.
    fn work(mut self, runtime: &Handle) {
        self.came = true;
        let shared = &self.shared;
        shared.bench().come();
        let mut took = None;
        loop {
            let (shift, call) = {
                let mut bench = shared.bench();
                if let Some((tool, time)) = took.take() {
                    bench.took(&tool, time);
                }
                let shift = bench.take();
                (shift, bench.call())
            };
            if call {
                shared.send_for(runtime);
            }
            let Some(shift) = shift else { return };
            let (tool, begun) = (shift.running.tool.clone(), Instant::now());
            shift.work();
            took = Some((tool, begun.elapsed()));
            shared.begin_all();
        }
    }
}

impl Drop for Hand {
    fn drop(&mut self) {
        if !self.came {
            let left = self.shared.bench().give_up();
            drop(left);
        }
    }
}

impl Shared {
    /// Starts every call that can start.
    pub(super) fn advance(self: &Arc<Self>) {
        if let Some(runtime) = self.begin_all()
            && self.bench().call()
        {
            self.send_for(&runtime);
        }
    }

    /// A call has run for a moment: work that nobody has taken by now will not wait for whoever is at it.
    pub(super) fn hurry(self: &Arc<Self>, runtime: &Handle) {
        let call = {
            let mut bench = self.bench();
            bench.hurry();
            bench.call()
        };
        if call {
            self.send_for(runtime);
        }
    }

    /// Begins every call that can start, and lays down what needs a thread; gives the runtime that has one.
    fn begin_all(self: &Arc<Self>) -> Option<Handle> {
        let mut runtime = None;
        while let Some(shift) = self.next_shift() {
            runtime = Some(shift.runtime.clone());
            let tool = shift.running.tool.clone();
            self.bench().put(&tool, shift);
        }
        runtime
    }

    fn send_for(self: &Arc<Self>, runtime: &Handle) {
        let (hand, inner) = (Hand { shared: self.clone(), came: false }, runtime.clone());
        runtime.spawn_blocking(move || hand.work(&inner));
    }

    fn bench(&self) -> MutexGuard<'_, Bench<Shift>> {
        self.bench.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins calls in turn until one needs a thread.
    fn next_shift(self: &Arc<Self>) -> Option<Shift> {
        loop {
            let ripe = self.queue().ripe(|job| job.ready.take());
            ripe.into_iter().for_each(|ready| ready());
            let next = self.queue().next(|job| job.cancel.clone())?;
            let (key, beside) = (next.key, next.beside);
            let Job {
                tool, run, class, work, memo, upsets, cancel, deadline, on_start, cell, submitted, runtime, ..
            } = *next.payload;
            let since = Instant::now();
            if cancel.is_cancelled() {
                let finished = never_began(submitted);
                if cell.answer(finished) {
                    self.counters.ended(class, true);
                }
            }
            if !cell.begin(since) {
                self.counters.skipped(class);
                self.leave(class, &run, key);
                continue;
            }
            self.counters.begun(class);
            let running = Running {
                shared: self.clone(),
                key,
                run,
                class,
                tool,
                cell,
                cancel: cancel.clone(),
                submitted,
                since,
                upset: upsets.map(|results| results.upset()),
                over: false,
            };
            if let Some(on_start) = on_start {
                on_start(Begun { waited: since.saturating_duration_since(submitted), beside });
            }
            if let Some(output) = memo.as_ref().and_then(Memo::at_once) {
                running.conclude(Ok(output), Ended::Itself, true);
                continue;
            }
            let cancel = cancel.child_until(since + deadline);
            match work {
                Work::Blocking(work) => return Some(Shift { running, work, memo, cancel, runtime }),
                Work::Async(work) => {
                    let (cell, shared) = (running.cell.clone(), self.clone());
                    let task = runtime.spawn(async move {
                        let outcome = AssertUnwindSafe(async move { work(cancel).await }).catch_unwind().await;
                        match outcome {
                            Ok(result) => running.conclude(result, Ended::Itself, false),
                            Err(panic) => running.panicked(&*panic),
                        }
                        shared.advance();
                    });
                    cell.may_abort(task.abort_handle());
                }
            }
        }
    }

    /// Takes out a call that has not started.
    pub(super) fn withdraw(&self, class: Class, run: &RunId, key: Key) -> Left<Box<Job>> {
        match class {
            Class::Call => self.queue().withdraw(run, key),
            Class::Ahead => self.queue().leave_ahead(key),
        }
    }

    fn leave(&self, class: Class, run: &RunId, key: Key) -> bool {
        let left = match class {
            Class::Call => self.queue().leave(run, key),
            Class::Ahead => self.queue().leave_ahead(key),
        };
        matches!(left, Left::Running)
    }

    /// Frees the place of a call that had begun; says whether it still had one.
    pub(super) fn release(&self, class: Class, run: &RunId, key: Key) -> bool {
        let had = self.leave(class, run, key);
        if had && class == Class::Call {
            self.counters.running.fetch_sub(1, Ordering::Relaxed);
        }
        had
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let message = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    message.chars().take(MAX_PANIC).collect()
}
