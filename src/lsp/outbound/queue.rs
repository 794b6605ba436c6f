//! The queue of messages that wait for the client to read, and the one thread that writes them.
//!
//! Two kinds of messages wait here. What the client must see is kept whatever happens. What can be told again later
//! (progress, status, the running text of an answer) is dropped first when the client is slow, and a newer message of
//! the same key takes the place of an older one that has not been written yet.

use std::collections::{HashMap, VecDeque};
use std::io::Write;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Above this many bytes in the queue no further droppable message enters it.
const LOSSY_CAP: usize = 8 * 1024 * 1024;
/// Above this many bytes in the queue the client is taken for dead.
const DEAF_CAP: usize = 256 * 1024 * 1024;
/// How many bytes are written at once, at least, if they are there.
const BATCH: usize = 64 * 1024;

/// What a message is worth.
#[derive(Clone, Copy, Debug)]
pub enum Worth {
    /// It must arrive.
    Kept,
    /// It may be dropped.
    Lossy,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queued {
    /// It waits to be written.
    Yes,
    /// It was droppable and was dropped, or the queue is closed.
    Dropped,
    /// The client reads nothing; the queue has closed itself.
    Deaf,
}

/// How full the queue is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Messages that wait.
    pub messages: usize,
    /// Their bytes, and those in the hand of the writer.
    pub bytes: usize,
    /// The most bytes so far.
    pub peak: usize,
    /// Messages that were dropped because the client was slow.
    pub dropped: u64,
}

#[derive(Debug, Default)]
pub struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Bodies, with their keys.
    waiting: VecDeque<(Vec<u8>, Option<String>)>,
    /// The number of the first in `waiting`, counted since the start.
    first: u64,
    /// Where a message of each key stands, by that count.
    keyed: HashMap<String, u64>,
    /// Bytes in `waiting` and in the hand of the writer.
    bytes: usize,
    /// The most of them so far.
    peak: usize,
    /// Droppable messages that were dropped.
    dropped: u64,
    closed: bool,
    /// The writer has gone: nothing will be written any more.
    gone: bool,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a message. Never waits.
    pub fn push(&self, body: Vec<u8>, key: Option<&str>, worth: Worth) -> Queued {
        let mut state = self.lock();
        if state.closed {
            return Queued::Dropped;
        }
        if let Some(key) = key
            && let Some(&number) = state.keyed.get(key)
            && let Some(at) = number.checked_sub(state.first)
            && let Some(old) = state.waiting.get_mut(at as usize)
        {
            let before = old.0.len();
            let after = body.len();
            old.0 = body;
            state.bytes = state.bytes - before + after;
            state.peak = state.peak.max(state.bytes);
            return Queued::Yes;
        }
        if matches!(worth, Worth::Lossy) && state.bytes > LOSSY_CAP {
            state.dropped += 1;
            return Queued::Dropped;
        }
        state.bytes += body.len();
        state.peak = state.peak.max(state.bytes);
        if state.bytes > DEAF_CAP {
            *state = State { closed: true, gone: state.gone, ..State::default() };
            self.changed.notify_all();
            return Queued::Deaf;
        }
        if let Some(key) = key {
            let number = state.first + state.waiting.len() as u64;
            state.keyed.insert(key.to_owned(), number);
        }
        state.waiting.push_back((body, key.map(str::to_owned)));
        drop(state);
        self.changed.notify_all();
        Queued::Yes
    }

    /// Bytes that wait.
    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// How full it is.
    pub fn depth(&self) -> Depth {
        let state = self.lock();
        Depth { messages: state.waiting.len(), bytes: state.bytes, peak: state.peak, dropped: state.dropped }
    }

    /// Takes no more messages and waits until all are written, at most this long.
    pub fn close(&self, patience: Duration) {
        let mut state = self.lock();
        state.closed = true;
        self.changed.notify_all();
        let _ = self
            .changed
            .wait_timeout_while(state, patience, |state| state.bytes > 0 && !state.gone)
            .unwrap_or_else(PoisonError::into_inner);
    }

    /// Writes until the queue is closed and empty; an error means that nobody reads any more.
    pub fn write_to(&self, mut sink: impl Write) -> std::io::Result<()> {
        let result = self.write_all(&mut sink);
        let mut state = self.lock();
        state.closed = true;
        state.gone = true;
        drop(state);
        self.changed.notify_all();
        result
    }

    fn write_all(&self, sink: &mut impl Write) -> std::io::Result<()> {
        let mut batch = Vec::new();
        loop {
            let mut taken = 0;
            {
                let mut state = self.lock();
                while state.waiting.is_empty() && !state.closed {
                    state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                if state.waiting.is_empty() {
                    return Ok(());
                }
                while batch.len() < BATCH
                    && let Some((body, key)) = state.waiting.pop_front()
                {
                    let number = state.first;
                    state.first += 1;
                    if let Some(key) = key
                        && state.keyed.get(&key) == Some(&number)
                    {
                        state.keyed.remove(&key);
                    }
                    taken += body.len();
                    write!(batch, "Content-Length: {}\r\n\r\n", body.len())?;
                    batch.extend_from_slice(&body);
                }
            }
            sink.write_all(&batch)?;
            sink.flush()?;
            batch.clear();
            if batch.capacity() > 4 * BATCH {
                batch = Vec::new();
            }
            let mut state = self.lock();
            state.bytes = state.bytes.saturating_sub(taken);
            if state.bytes == 0 {
                self.changed.notify_all();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(queue: &Queue) -> String {
        queue.close(Duration::ZERO);
        let mut sink = Vec::new();
        queue.write_to(&mut sink).unwrap();
        String::from_utf8(sink).unwrap().replace("\r\n", " ")
    }

    #[test]
    fn messages_go_out_in_order_and_a_newer_one_of_a_key_takes_the_place_of_the_older() {
        let queue = Queue::default();
        for (body, key) in [("a", None), ("p1", Some("p")), ("b", None), ("p22", Some("p"))] {
            assert_eq!(queue.push(body.into(), key, Worth::Lossy), Queued::Yes);
        }
        assert_eq!(queue.depth(), Depth { messages: 3, bytes: 5, peak: 5, dropped: 0 });
        assert_eq!(written(&queue), "Content-Length: 1  aContent-Length: 3  p22Content-Length: 1  b");
        assert_eq!(queue.push("late".into(), None, Worth::Kept), Queued::Dropped);
    }

    #[test]
    fn what_can_be_told_again_is_dropped_first_and_a_deaf_client_is_given_up() {
        let queue = Queue::default();
        let megabyte = || vec![b'x'; 1024 * 1024];
        let kept = (0..).take_while(|_| queue.push(megabyte(), None, Worth::Lossy) == Queued::Yes).count();
        assert_eq!((kept, queue.depth().dropped), (9, 1));
        let more = (0..).take_while(|_| queue.push(megabyte(), None, Worth::Kept) == Queued::Yes).count();
        assert_eq!(kept + more, 256);
        assert_eq!(queue.bytes(), 0);
        assert_eq!(queue.push(megabyte(), None, Worth::Kept), Queued::Dropped);
    }

    #[test]
    fn a_sink_that_breaks_ends_the_wait_of_whoever_closes() {
        struct Broken;
        impl Write for Broken {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                Err(std::io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let queue = Queue::default();
        queue.push("a".into(), None, Worth::Kept);
        assert!(queue.write_to(Broken).is_err());
        queue.close(Duration::from_secs(3600));
    }
}
