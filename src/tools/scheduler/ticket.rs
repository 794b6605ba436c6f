//! The answer of a call: exactly one, whoever is first of the work, a cancel and the deadline.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::{Instant, Sleep, sleep, sleep_until};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::super::tool::{Cancel, ToolError};
use super::hands::MOMENT;
use super::queue::{Class, Key, Left};
use super::work::Job;
use super::{Ended, Finished, Shared, seconds};
use crate::ids::RunId;

/// How long a call that was told to end may hold its slot and its paths before they are given to others. What hangs
/// longer sits in the kernel (a dead network file system) and has been answered for already.
const GRACE: Duration = Duration::from_secs(5);

/// What the work and the ticket of one call have in common.
#[derive(Default)]
pub(super) struct Cell(Mutex<State>);

#[derive(Default)]
struct State {
    at: At,
    waker: Option<Waker>,
    /// Ends work that waits; work on a thread cannot be ended from outside.
    abort: Option<AbortHandle>,
}

#[derive(Default)]
enum At {
    #[default]
    Waiting,
    Running {
        since: Instant,
    },
    /// The answer, until it is fetched.
    Answered(Option<Box<Finished>>),
}

impl Cell {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The call begins now; `false` if it has been answered for.
    pub(super) fn begin(&self, since: Instant) -> bool {
        let mut state = self.state();
        if matches!(state.at, At::Answered(_)) {
            return false;
        }
        state.at = At::Running { since };
        let waker = state.waker.take();
        drop(state);
        // The ticket keeps the deadline, which begins now.
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }

    pub(super) fn may_abort(&self, handle: AbortHandle) {
        self.state().abort = Some(handle);
    }

    /// Answers, if nobody has; says whether this is the answer.
    pub(super) fn answer(&self, finished: Finished) -> bool {
        let mut state = self.state();
        if matches!(state.at, At::Answered(_)) {
            return false;
        }
        state.at = At::Answered(Some(Box::new(finished)));
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }
}

/// The answer to come. Dropping it cancels the call.
pub struct Ticket {
    shared: Arc<Shared>,
    kind: Kind,
}

enum Kind {
    /// It was known at once.
    Known(Option<Box<Finished>>),
    Open(Open),
}

struct Open {
    run: RunId,
    key: Option<Key>,
    class: Class,
    tool: Arc<str>,
    cell: Arc<Cell>,
    cancel: Cancel,
    submitted: Instant,
    deadline: Duration,
    runtime: Handle,
    cancelled: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    /// Fires after a [`MOMENT`], then at the deadline.
    timer: Option<Pin<Box<Sleep>>>,
    answered: bool,
}

impl std::fmt::Debug for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ticket")
    }
}

impl Ticket {
    pub(super) fn answered(shared: &Arc<Shared>, finished: Finished) -> Self {
        shared.counters.ended(Class::Call, finished.result.is_err());
        Self { shared: shared.clone(), kind: Kind::Known(Some(Box::new(finished))) }
    }

    /// Enters a job and starts what can start.
    pub(super) fn enter(
        shared: &Arc<Shared>,
        job: Box<Job>,
        enter: impl FnOnce(Box<Job>) -> Result<Key, Box<Job>>,
    ) -> Self {
        let mut open = Open {
            run: job.run.clone(),
            key: None,
            class: job.class,
            tool: job.tool.clone(),
            cell: job.cell.clone(),
            cancel: job.cancel.clone(),
            submitted: job.submitted,
            deadline: job.deadline,
            runtime: job.runtime.clone(),
            cancelled: None,
            timer: None,
            answered: false,
        };
        if open.class == Class::Call {
            shared.counters.waiting.fetch_add(1, Ordering::Relaxed);
        }
        match enter(job) {
            Ok(key) => {
                open.key = Some(key);
                shared.advance();
            }
            Err(job) => {
                let text = "not fetched: enough is waiting already";
                job.cell.answer(not_begun(Err(ToolError::for_model(text)), Ended::Cancelled, Duration::ZERO));
            }
        }
        Self { shared: shared.clone(), kind: Kind::Open(open) }
    }
}

/// What is said of a call that never began.
pub(super) fn not_begun(
    result: Result<super::super::output::Output, ToolError>,
    ended: Ended,
    waited: Duration,
) -> Finished {
    Finished { result, ended, cached: false, waited, ran: Duration::ZERO }
}

/// What is said of a call that was cancelled before it began.
pub(super) fn never_began(submitted: Instant) -> Finished {
    let waited = submitted.elapsed();
    let text = format!("cancelled after {} of waiting, before it began", seconds(waited));
    not_begun(Err(ToolError::ForModel(text)), Ended::Cancelled, waited)
}

/// What is said of a call that was cancelled while it ran.
pub(super) fn cancelled(since: Instant) -> ToolError {
    ToolError::ForModel(format!("cancelled after {}", seconds(since.elapsed())))
}

impl Future for Ticket {
    type Output = Finished;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Finished> {
        let this = &mut *self;
        match &mut this.kind {
            Kind::Known(finished) => match finished.take() {
                Some(finished) => Poll::Ready(*finished),
                None => Poll::Pending,
            },
            Kind::Open(open) => open.poll(&this.shared, cx),
        }
    }
}

impl Open {
    fn poll(&mut self, shared: &Arc<Shared>, cx: &mut Context<'_>) -> Poll<Finished> {
        let since = {
            let mut state = self.cell.state();
            match &mut state.at {
                At::Answered(finished) => {
                    let Some(finished) = finished.take() else { return Poll::Pending };
                    self.answered = true;
                    return Poll::Ready(*finished);
                }
                at => {
                    let since = if let At::Running { since } = at { Some(*since) } else { None };
                    if !state.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                        state.waker = Some(cx.waker().clone());
                    }
                    since
                }
            }
        };
        let cancelled = self.cancelled.get_or_insert_with(|| Box::pin(self.cancel.cancelled_owned()));
        if cancelled.as_mut().poll(cx).is_ready() {
            let finished = match since {
                None => never_began(self.submitted),
                Some(since) => self.stopped(since, cancelled_result(since)),
            };
            return self.settle(shared, finished);
        }
        let Some(since) = since else { return Poll::Pending };
        let (moment, until) = (since + MOMENT, since + self.deadline);
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(moment)));
        if timer.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        if timer.deadline() == moment && moment != until {
            shared.hurry(&self.runtime);
            timer.as_mut().reset(until);
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
        let text = format!("stopped after {}, the limit of one call: ask for less", seconds(self.deadline));
        let finished = self.stopped(since, (Err(ToolError::ForModel(text)), Ended::TimedOut));
        self.settle(shared, finished)
    }

    fn stopped(&self, since: Instant, (result, ended): (Result<super::Output, ToolError>, Ended)) -> Finished {
        let waited = since.saturating_duration_since(self.submitted);
        Finished { result, ended, cached: false, waited, ran: since.elapsed() }
    }

    /// Answers for a call that goes on, or would have begun; the work may have been faster.
    fn settle(&mut self, shared: &Arc<Shared>, finished: Finished) -> Poll<Finished> {
        self.cancel.cancel();
        if self.cell.answer(finished) {
            shared.counters.ended(self.class, true);
            self.abandon(shared);
        }
        let mut state = self.cell.state();
        match &mut state.at {
            At::Answered(finished) => {
                self.answered = true;
                finished.take().map_or(Poll::Pending, |finished| Poll::Ready(*finished))
            }
            // An answer stays.
            At::Waiting | At::Running { .. } => Poll::Pending,
        }
    }

    /// Takes a call out of the queue that has not begun; one that has begun keeps its slot and paths until it truly
    /// ends, or for the grace: a thread cannot be stopped from outside.
    fn abandon(&self, shared: &Arc<Shared>) {
        let Some(key) = self.key else { return };
        match shared.withdraw(self.class, &self.run, key) {
            Left::Waiting(_) => {
                shared.counters.skipped(self.class);
                shared.advance();
            }
            Left::Unknown => {}
            Left::Running => {
                let (shared, run, class) = (shared.clone(), self.run.clone(), self.class);
                let (cell, tool) = (self.cell.clone(), self.tool.clone());
                self.runtime.spawn(async move {
                    sleep(GRACE).await;
                    if shared.release(class, &run, key) {
                        tracing::warn!(%tool, "a call goes on {} after it was told to end", seconds(GRACE));
                        if let Some(abort) = cell.state().abort.take() {
                            abort.abort();
                        }
                        shared.advance();
                    }
                });
            }
        }
    }
}

fn cancelled_result(since: Instant) -> (Result<super::Output, ToolError>, Ended) {
    (Err(cancelled(since)), Ended::Cancelled)
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let Kind::Open(open) = &mut self.kind else { return };
        if open.answered {
            return;
        }
        open.cancel.cancel();
        if open.cell.answer(never_began(open.submitted)) {
            self.shared.counters.ended(open.class, true);
            open.abandon(&self.shared);
        }
    }
}
