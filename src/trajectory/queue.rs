//! What waits to be written: filled by whoever has an event, emptied by the one thread that writes.
//!
//! Waking a thread costs its waker five times what a plain write does, so a push wakes nobody while the writer looks in
//! by itself: every `flush` it does, for as long as there was something lately. It is woken when a batch is complete, and
//! when it sleeps for good because nothing has come for a while. What waits is bounded: past the bound only the fact that
//! something happened is kept, and past a number of facts only how many they were.

use std::borrow::Cow;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::record::Event;
use super::writer::{Texts, Writer};
use crate::ids::{RunId, ThreadId};

/// Records that wait, at most.
pub(super) const MOST: usize = 65_536;
/// An event of at most so many bytes is kept even when the others already fill the bound.
const SMALL: usize = 1_024;
/// Looks in vain, one every `flush`, after which the writer sleeps until it is woken.
const VAIN: u32 = 20;

/// Makes an event on the writer's thread.
pub(super) type Make = Box<dyn FnOnce(&mut Texts<'_>) -> Event + Send>;

/// What a record is about, the same for all of one run.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Names {
    pub(super) run: Option<RunId>,
    pub(super) thread: Option<ThreadId>,
    /// It stands in the session's file, whatever it is about.
    pub(super) in_session: bool,
}

/// What is to be written.
pub(super) enum What {
    Event(Event),
    Later(Make),
    /// Only the fact, and about how many bytes it was.
    Dropped(Cow<'static, str>, usize),
    /// Nothing more is to come for the run, as far as anybody knows.
    End,
}

/// One record that waits.
pub(super) struct Entry {
    pub(super) names: Arc<Names>,
    /// Microseconds since the session began.
    pub(super) at: u64,
    pub(super) what: What,
}

/// What the writer takes at a time.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) entries: Vec<Entry>,
    /// Records of which not even the fact could be kept.
    pub(super) flooded: Vec<(Arc<Names>, u64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// There is no thread yet.
    Absent,
    /// It sleeps until it is woken.
    Asleep,
    /// It looks in soon by itself.
    Resting,
    /// It writes and looks in again before it rests.
    Busy,
    /// It has ended.
    Over,
}

struct State {
    waiting: Batch,
    /// Bytes of what waits and of what is being written, about.
    weight: usize,
    pushed: u64,
    written: u64,
    mode: Mode,
    /// Somebody waits until all is written.
    urgent: bool,
    closing: bool,
}

/// How the writer goes about it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) batch: usize,
    pub(super) flush: Duration,
    /// Bytes that may wait.
    pub(super) most_bytes: usize,
}

/// What came of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    Kept,
    /// Only the fact.
    Dropped,
    /// Only that there was one.
    Flooded,
    /// Nobody writes any more.
    Over,
    /// It is kept, and somebody has to start the writer.
    First,
}

pub(super) struct Queue {
    pace: Pace,
    state: Mutex<State>,
    bell: Condvar,
    done: Condvar,
}

impl Queue {
    pub(super) fn new(pace: Pace) -> Self {
        let waiting = Batch::default();
        let (mode, urgent, closing) = (Mode::Absent, false, false);
        let state = State { waiting, weight: 0, pushed: 0, written: 0, mode, urgent, closing };
        Self { pace, state: Mutex::new(state), bell: Condvar::new(), done: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a record of about `weight` bytes and, of kind `kind`, only the fact where there is no room. Never waits for
    /// the writer.
    pub(super) fn push(
        &self,
        mut entry: Entry,
        weight: usize,
        kind: impl FnOnce(&What) -> Cow<'static, str>,
    ) -> Pushed {
        let mut pushed = Pushed::Kept;
        // What is dropped is dropped after the lock.
        let mut left_out = None;
        let wake = {
            let mut state = self.lock();
            if state.mode == Mode::Over {
                return Pushed::Over;
            }
            if state.waiting.entries.len() >= MOST {
                let flooded = &mut state.waiting.flooded;
                match flooded.iter_mut().find(|(names, _)| *names == entry.names) {
                    Some((_, count)) => *count += 1,
                    None => flooded.push((entry.names, 1)),
                }
                return Pushed::Flooded;
            }
            let mut weight = weight;
            if weight > SMALL && state.weight.saturating_add(weight) > self.pace.most_bytes {
                pushed = Pushed::Dropped;
                let dropped = What::Dropped(kind(&entry.what), weight);
                left_out = Some(std::mem::replace(&mut entry.what, dropped));
                weight = 0;
            }
            let before = state.weight;
            state.weight += weight;
            state.pushed += 1;
            state.waiting.entries.push(entry);
            let half = self.pace.most_bytes / 2;
            match state.mode {
                Mode::Absent => {
                    state.mode = Mode::Busy;
                    drop(left_out);
                    return Pushed::First;
                }
                Mode::Asleep => {
                    state.mode = Mode::Resting;
                    true
                }
                Mode::Resting => {
                    let full = state.waiting.entries.len() == self.pace.batch;
                    full || (before <= half && state.weight > half)
                }
                Mode::Busy | Mode::Over => false,
            }
        };
        drop(left_out);
        if wake {
            self.bell.notify_one();
        }
        pushed
    }

    /// Records that wait.
    pub(super) fn len(&self) -> usize {
        self.lock().waiting.entries.len()
    }

    /// Waits until everything that was pushed before is written, at most this long.
    pub(super) fn flush(&self, patience: Duration) -> bool {
        let mut state = self.lock();
        if matches!(state.mode, Mode::Absent | Mode::Over) {
            return state.written == state.pushed;
        }
        let wanted = state.pushed;
        state.urgent = true;
        self.bell.notify_one();
        let until = Instant::now() + patience;
        while state.written < wanted && state.mode != Mode::Over {
            let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) else { break };
            state = self.done.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.written >= wanted
    }

    /// Has the writer write what waits and end; waits for that at most this long.
    pub(super) fn close(&self, patience: Duration) -> bool {
        let mut state = self.lock();
        if state.mode == Mode::Absent {
            state.mode = Mode::Over;
        }
        state.closing = true;
        self.bell.notify_one();
        let until = Instant::now() + patience;
        while state.mode != Mode::Over {
            let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) else { break };
            state = self.done.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.mode == Mode::Over
    }

    /// Nobody will ever write.
    pub(super) fn give_up(&self) {
        let mut state = self.lock();
        state.mode = Mode::Over;
        state.waiting = Batch::default();
        self.done.notify_all();
    }

    /// The writer's thread.
    pub(super) fn serve(&self, mut writer: Writer) {
        let mut batch = Batch::default();
        loop {
            let taken = self.take(&mut batch);
            let Some((upto, weight)) = taken else { break };
            writer.write(&mut batch);
            let mut state = self.lock();
            state.written = upto;
            state.weight = state.weight.saturating_sub(weight);
            drop(state);
            self.done.notify_all();
        }
        writer.close();
        self.lock().mode = Mode::Over;
        self.done.notify_all();
    }

    /// Waits for something to write; `None` once there will be nothing more. Gives the number of the last record and the
    /// weight of all.
    fn take(&self, batch: &mut Batch) -> Option<(u64, usize)> {
        let Pace { batch: enough, flush, most_bytes } = self.pace;
        let mut deadline = Instant::now() + flush;
        let mut vain = 0;
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            let some = !state.waiting.entries.is_empty();
            let full = state.waiting.entries.len() >= enough || state.weight > most_bytes / 2;
            if some && (full || state.urgent || state.closing || now >= deadline) {
                state.mode = Mode::Busy;
                state.urgent = false;
                std::mem::swap(&mut state.waiting, batch);
                return Some((state.pushed, state.weight));
            }
            if state.closing {
                return None;
            }
            if state.urgent {
                state.urgent = false;
                self.done.notify_all();
            }
            if now >= deadline {
                vain += 1;
                deadline = now + flush;
            }
            if !some && (vain >= VAIN || flush.is_zero()) {
                state.mode = Mode::Asleep;
                while state.mode == Mode::Asleep && !state.closing && !state.urgent {
                    state = self.bell.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                (vain, deadline) = (0, Instant::now() + flush);
                continue;
            }
            state.mode = Mode::Resting;
            let rest = deadline.saturating_duration_since(now);
            state = self.bell.wait_timeout(state, rest).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
