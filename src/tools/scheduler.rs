//! When each call of a run runs.
//!
//! A call starts at once, unless it clashes with an earlier call of the same run that has not ended, its gate is
//! shut or all slots are taken; `queue` decides. Calls that were submitted in the same order therefore give the same
//! results with one slot and with many. Every call gets exactly one answer, also when it is cancelled, passes its
//! deadline or panics: `ticket` sees to that.
//!
//! A hand-over to another thread costs more than many a call. So a thread that has ended a call goes on with the next
//! one that can start, `hands` says when another one is worth its waking, and a result that is remembered is given where
//! it is asked for.

mod hands;
mod queue;
mod ticket;
mod work;

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::available_parallelism;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::output::Output;
use super::tool::{Cancel, Planned, ToolError};
use crate::ids::RunId;

use self::hands::Bench;
use self::queue::{Key, Queue};
use self::work::{Job, Shift};

pub use self::queue::Class;
pub use self::ticket::Ticket;

/// Most slots: each may occupy a thread.
const MAX_SLOTS: usize = 256;

/// A call on its way.
pub struct Submission {
    /// Whose call it is: effects are compared within a run.
    pub run: RunId,
    /// Name of the tool, for messages.
    pub tool: Arc<str>,
    /// The call.
    pub planned: Planned,
    /// How long it may run, waiting not counted, if the call does not say so itself.
    pub deadline: Duration,
    /// Ends it when the run ends.
    pub cancel: Cancel,
    /// Must be open before the call starts; `None`: no gate.
    pub gate: Option<Gate>,
    /// Called when it begins to run.
    pub on_start: Option<Box<dyn FnOnce(Begun) + Send>>,
}

/// A call begins to run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Begun {
    /// How long it waited for its turn.
    pub waited: Duration,
    /// Calls of its run that run now, itself included.
    pub beside: usize,
}

/// Holds calls back that may only run once the model has finished speaking. Copies are the same gate.
#[derive(Clone, Default)]
pub struct Gate(Arc<Mutex<GateState>>);

#[derive(Default)]
struct GateState {
    open: bool,
    waiting: Vec<(Arc<Shared>, RunId, Key)>,
    told: Vec<oneshot::Sender<()>>,
}

impl Gate {
    /// A shut gate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets all waiting calls through, and all later ones.
    pub fn open(&self) {
        let (waiting, told) = {
            let mut state = self.state();
            state.open = true;
            (std::mem::take(&mut state.waiting), std::mem::take(&mut state.told))
        };
        for told in told {
            // Who no longer waits need not be told.
            let _ = told.send(());
        }
        for (shared, run, key) in waiting {
            shared.queue().open(&run, key);
            shared.advance();
        }
    }

    /// Resolves once it is open.
    pub async fn opened(&self) {
        let told = {
            let mut state = self.state();
            if state.open {
                return;
            }
            let (tell, told) = oneshot::channel();
            state.told.push(tell);
            told
        };
        // It cannot be gone unopened: this is one of its copies.
        drop(told.await);
    }

    fn state(&self) -> MutexGuard<'_, GateState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gate({})", if self.state().open { "open" } else { "shut" })
    }
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with a result or an error.
    Itself,
    /// It was cancelled, before or while it ran.
    Cancelled,
    /// It passed its deadline.
    TimedOut,
    /// It panicked: a defect of ours.
    Panicked,
}

/// A call that has ended.
#[derive(Clone, Debug)]
pub struct Finished {
    /// What the model gets; there is a text in every case.
    pub result: Result<Output, ToolError>,
    /// How it ended.
    pub ended: Ended,
    /// Whether the result was remembered from an earlier call.
    pub cached: bool,
    /// From submission to start.
    pub waited: Duration,
    /// From start to end; zero if it never started.
    pub ran: Duration,
}

/// Numbers for the readout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls that have not started.
    pub waiting: usize,
    /// Calls that run now.
    pub running: usize,
    /// Most calls that ever ran at the same time.
    pub peak: usize,
    /// Calls that have ended, failed ones included.
    pub done: usize,
    /// Calls that ended without a result.
    pub failed: usize,
}

fn cores() -> usize {
    available_parallelism().map_or(1, std::num::NonZero::get)
}

fn slots(max_parallel: usize) -> usize {
    match max_parallel {
        0 => cores(),
        slots => slots.min(MAX_SLOTS),
    }
}

/// Runs calls. A copy is the same scheduler.
#[derive(Clone)]
pub struct Scheduler(Arc<Shared>);

impl Scheduler {
    /// A scheduler that runs `max_parallel` calls at a time (0: as many as there are cores; 1: strictly one after
    /// the other, in the order of submission).
    pub fn new(max_parallel: usize) -> Self {
        let queue = Mutex::new(Queue::new(slots(max_parallel)));
        let bench = Mutex::new(Bench::new(cores()));
        Self(Arc::new(Shared { queue, bench, counters: Counters::default() }))
    }

    /// Runs so many calls at a time from the next one on; what runs goes on.
    pub fn set_parallel(&self, max_parallel: usize) {
        self.0.queue().set_slots(slots(max_parallel));
    }

    /// Takes a call; it runs whether or not the answer is waited for, but dropping the [`Ticket`] cancels it, and it
    /// is the ticket that keeps the deadline. The calls of a run must be submitted in their order, within a tokio
    /// runtime.
    pub fn submit(&self, submission: Submission) -> Ticket {
        self.submit_as(Class::Call, submission)
    }

    /// As [`Scheduler::submit`], for the class.
    pub fn submit_as(&self, class: Class, submission: Submission) -> Ticket {
        let Submission { run, tool, mut planned, deadline, cancel, gate, on_start } = submission;
        let shared = &self.0;
        let effect = std::mem::take(&mut planned.effect);
        let deadline = planned.deadline.unwrap_or(deadline);
        let mut job = Box::new(Job {
            tool,
            run: run.clone(),
            class,
            work: planned.work,
            ready: planned.ready,
            memo: planned.memo,
            upsets: planned.upsets,
            cancel: cancel.child(),
            deadline,
            on_start,
            cell: Arc::default(),
            submitted: Instant::now(),
            runtime: tokio::runtime::Handle::current(),
        });
        if class == Class::Ahead {
            return Ticket::enter(shared, job, |job| shared.queue().enter_ahead(job));
        }
        let shut = gate.as_ref().is_some_and(|gate| !gate.state().open);
        if !shut
            && !shared.queue().is_blocked(&run, &effect)
            && let Some(finished) = job.recall()
        {
            return Ticket::answered(shared, finished);
        }
        Ticket::enter(shared, job, |job| {
            let key = shared.queue().enter(&run, effect, shut, job);
            if shut && let Some(gate) = gate {
                let mut state = gate.state();
                if state.open {
                    drop(state);
                    shared.queue().open(&run, key);
                } else {
                    state.waiting.push((shared.clone(), run.clone(), key));
                }
            }
            Ok(key)
        })
    }

    /// Numbers of all calls so far; what is fetched ahead is not counted.
    pub fn counts(&self) -> Counts {
        let counters = &self.0.counters;
        Counts {
            waiting: counters.waiting.load(Ordering::Relaxed),
            running: counters.running.load(Ordering::Relaxed),
            peak: counters.peak.load(Ordering::Relaxed),
            done: counters.done.load(Ordering::Relaxed),
            failed: counters.failed.load(Ordering::Relaxed),
        }
    }
}

impl fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scheduler({:?})", self.counts())
    }
}

struct Shared {
    queue: Mutex<Queue<Box<Job>>>,
    bench: Mutex<Bench<Shift>>,
    counters: Counters,
}

#[derive(Default)]
struct Counters {
    waiting: AtomicUsize,
    running: AtomicUsize,
    peak: AtomicUsize,
    done: AtomicUsize,
    failed: AtomicUsize,
}

impl Counters {
    fn begun(&self, class: Class) {
        if class == Class::Ahead {
            return;
        }
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        let running = self.running.fetch_add(1, Ordering::Relaxed) + 1;
        self.peak.fetch_max(running, Ordering::Relaxed);
    }

    /// A call that waited is answered without having begun.
    fn skipped(&self, class: Class) {
        if class == Class::Call {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn ended(&self, class: Class, failed: bool) {
        if class == Class::Ahead {
            return;
        }
        self.done.fetch_add(1, Ordering::Relaxed);
        self.failed.fetch_add(usize::from(failed), Ordering::Relaxed);
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue<Box<Job>>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests;
