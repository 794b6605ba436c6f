//! When each call of a run runs.
//!
//! A call starts at once, unless it clashes with an earlier call of the same run that has not ended, its gate is
//! shut or all slots are taken. Calls that were submitted in the same order therefore give the same results with one
//! slot and with many. Every call gets exactly one answer, also when it is cancelled, passes its deadline or panics.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::thread::available_parallelism;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::output::Output;
use super::tool::{Cancel, Effect, Planned, ToolError, Work, clash};
use crate::ids::RunId;

/// How long a call that was told to end may hold its slot and its paths before they are given to others. What hangs
/// longer sits in the kernel (a dead network file system) and has been answered for already.
const GRACE: Duration = Duration::from_secs(5);

/// Longest message of a panic that the model gets to read, in characters.
const MAX_PANIC: usize = 200;

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
    pub on_start: Option<Box<dyn FnOnce() + Send>>,
}

/// Holds calls back that may only run once the model has finished speaking. Copies are the same gate.
#[derive(Clone, Debug, Default)]
pub struct Gate(CancellationToken);

impl Gate {
    /// A shut gate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets all waiting calls through, and all later ones.
    pub fn open(&self) {
        self.0.cancel();
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

/// Runs calls. A copy is the same scheduler.
#[derive(Clone)]
pub struct Scheduler(Arc<Shared>);

impl Scheduler {
    /// A scheduler that runs `max_parallel` calls at a time (0: as many as there are cores; 1: strictly one after
    /// the other, in the order of submission).
    pub fn new(max_parallel: usize) -> Self {
        let slots = match max_parallel {
            0 => available_parallelism().map_or(1, std::num::NonZero::get),
            slots => slots.min(Semaphore::MAX_PERMITS),
        };
        Self(Arc::new(Shared {
            slots: Arc::new(Semaphore::new(slots)),
            serial: slots == 1,
            calls: Mutex::default(),
            counters: Counters::default(),
        }))
    }

    /// Takes a call; it runs whether or not the answer is waited for, but dropping the [`Ticket`] cancels it. The
    /// calls of a run must be submitted in their order, within a tokio runtime.
    pub fn submit(&self, submission: Submission) -> Ticket {
        let cancel = submission.cancel.child();
        let (answer, receiver) = oneshot::channel();
        let (place, earlier) = self.0.register(&submission.run, &submission.planned.effect);
        let call = Call { shared: self.0.clone(), submission, cancel: cancel.clone(), place, earlier };
        spawn(call.run(answer));
        Ticket { receiver, cancel }
    }

    /// Numbers of all calls so far.
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

/// The answer to come. Dropping it cancels the call.
#[derive(Debug)]
pub struct Ticket {
    receiver: oneshot::Receiver<Finished>,
    cancel: Cancel,
}

impl Future for Ticket {
    type Output = Finished;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Finished> {
        Pin::new(&mut self.receiver).poll(cx).map(|answer| {
            // The sender is only lost with the whole runtime.
            answer.unwrap_or_else(|_| Finished {
                result: Err(ToolError::for_model("cancelled: the server is shutting down")),
                ended: Ended::Cancelled,
                waited: Duration::ZERO,
                ran: Duration::ZERO,
            })
        })
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

struct Shared {
    slots: Arc<Semaphore>,
    serial: bool,
    calls: Mutex<HashMap<RunId, Vec<Registered>>>,
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

/// A call that has not ended.
struct Registered {
    effect: Effect,
    ended: CancellationToken,
}

impl Shared {
    /// Enters a call, and gives the ends of those earlier ones that it has to wait for.
    fn register(self: &Arc<Self>, run: &RunId, effect: &Effect) -> (Place, Vec<CancellationToken>) {
        let ended = CancellationToken::new();
        let mut runs = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let calls = runs.entry(run.clone()).or_default();
        let earlier = calls
            .iter()
            .filter(|call| self.serial || clash(&call.effect, effect))
            .map(|call| call.ended.clone())
            .collect();
        calls.push(Registered { effect: effect.clone(), ended: ended.clone() });
        (Place { shared: self.clone(), run: run.clone(), ended }, earlier)
    }
}

/// A call's place among those of its run; dropping it lets the later ones go on.
struct Place {
    shared: Arc<Shared>,
    run: RunId,
    ended: CancellationToken,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut runs = self.shared.calls.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(calls) = runs.get_mut(&self.run) {
            calls.retain(|call| call.ended != self.ended);
            if calls.is_empty() {
                runs.remove(&self.run);
            }
        }
        drop(runs);
        self.ended.cancel();
    }
}

/// What a running call keeps from others. It is given back by the work itself when it truly ends, not when it is
/// answered for: a thread cannot be stopped from outside.
struct Hold {
    place: Option<Place>,
    slot: Option<OwnedSemaphorePermit>,
    shared: Arc<Shared>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.shared.counters.running.fetch_sub(1, Ordering::Relaxed);
        // The slot first, so that whoever waits for the place finds one.
        drop(self.slot.take());
        drop(self.place.take());
    }
}

/// A [`Hold`] that either the work or, after the grace, its supervisor lets go.
struct Shackle(Arc<Mutex<Option<Hold>>>);

impl Shackle {
    fn release(&self) {
        let hold = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(hold);
    }
}

impl Drop for Shackle {
    fn drop(&mut self) {
        self.release();
    }
}

struct Call {
    shared: Arc<Shared>,
    submission: Submission,
    cancel: Cancel,
    place: Place,
    earlier: Vec<CancellationToken>,
}

impl Call {
    async fn run(self, answer: oneshot::Sender<Finished>) {
        let Self { shared, submission, cancel, place, earlier } = self;
        let Submission { tool, mut planned, deadline, gate, on_start, .. } = submission;
        let deadline = planned.deadline.unwrap_or(deadline);
        let counters = &shared.counters;
        let submitted = Instant::now();
        counters.waiting.fetch_add(1, Ordering::Relaxed);
        let slot = tokio::select! {
            biased;
            () = cancel.cancelled() => None,
            slot = turn(&shared, gate, earlier, planned.ready.take()) => slot,
        };
        counters.waiting.fetch_sub(1, Ordering::Relaxed);
        let waited = submitted.elapsed();
        let finish = |result: Result<Output, ToolError>, ended, ran| {
            counters.done.fetch_add(1, Ordering::Relaxed);
            counters.failed.fetch_add(usize::from(result.is_err()), Ordering::Relaxed);
            Finished { result, ended, waited, ran }
        };
        let Some(slot) = slot else {
            drop(place);
            let text = format!("cancelled after {} of waiting, before it began", seconds(waited));
            // A lost receiver means that nobody wants the answer.
            let _ = answer.send(finish(Err(ToolError::ForModel(text)), Ended::Cancelled, Duration::ZERO));
            return;
        };

        let running = counters.running.fetch_add(1, Ordering::Relaxed) + 1;
        counters.peak.fetch_max(running, Ordering::Relaxed);
        let hold = Arc::new(Mutex::new(Some(Hold { place: Some(place), slot: Some(slot), shared: shared.clone() })));
        let started = Instant::now();
        let until = started + deadline;
        if let Some(on_start) = on_start {
            on_start();
        }
        let mut work = start(planned.work, cancel.child_until(until), Shackle(hold.clone()));
        let (result, ended) = tokio::select! {
            biased;
            () = cancel.cancelled() => (Err(cancelled(started)), Ended::Cancelled),
            outcome = &mut work => judge(outcome, &tool, &cancel, started),
            () = sleep_until(until) => {
                cancel.cancel();
                let text = format!("stopped after {}, the limit of one call: ask for less", seconds(deadline));
                (Err(ToolError::ForModel(text)), Ended::TimedOut)
            }
        };
        let _ = answer.send(finish(result, ended, started.elapsed()));
        if matches!(ended, Ended::Cancelled | Ended::TimedOut) && timeout(GRACE, &mut work).await.is_err() {
            tracing::warn!(tool = %tool, "a call goes on {} after it was told to end", seconds(GRACE));
            work.abort();
            Shackle(hold).release();
        }
    }
}

/// Resolves once nothing holds the call back. The slot comes last: a call that waits for another must not keep a
/// third from running.
async fn turn(
    shared: &Shared,
    gate: Option<Gate>,
    earlier: Vec<CancellationToken>,
    ready: Option<Box<dyn FnOnce() + Send>>,
) -> Option<OwnedSemaphorePermit> {
    if let Some(gate) = gate {
        gate.0.cancelled().await;
    }
    for ended in earlier {
        ended.cancelled().await;
    }
    if let Some(ready) = ready {
        ready();
    }
    // The semaphore is never closed.
    shared.slots.clone().acquire_owned().await.ok()
}

fn start(work: Work, cancel: Cancel, shackle: Shackle) -> JoinHandle<Result<Output, ToolError>> {
    match work {
        Work::Blocking(work) => tokio::task::spawn_blocking(move || {
            let _shackle = shackle;
            work(&cancel)
        }),
        Work::Async(work) => spawn(async move {
            let _shackle = shackle;
            work(cancel).await
        }),
    }
}

fn judge(
    outcome: Result<Result<Output, ToolError>, JoinError>,
    tool: &str,
    cancel: &Cancel,
    started: Instant,
) -> (Result<Output, ToolError>, Ended) {
    match outcome {
        Ok(Err(_)) if cancel.is_cancelled() => (Err(cancelled(started)), Ended::Cancelled),
        Ok(result) => (result, Ended::Itself),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => {
                let message = panic_message(&*panic);
                tracing::error!(tool, message, "a tool panicked");
                let text = format!("{tool} has a defect and gave no result ({message}): try it another way");
                (Err(ToolError::ForModel(text)), Ended::Panicked)
            }
            Err(_) => (Err(cancelled(started)), Ended::Cancelled),
        },
    }
}

fn cancelled(started: Instant) -> ToolError {
    ToolError::ForModel(format!("cancelled after {}", seconds(started.elapsed())))
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let message = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    message.chars().take(MAX_PANIC).collect()
}

#[expect(clippy::disallowed_methods, reason = "the scheduler owns the tasks of its calls: see Ticket and Hold")]
fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    tokio::spawn(future)
}

#[cfg(test)]
mod tests;
