//! Which threads do the work of calls that have begun: as few as keep the cores busy, unless the work turns out to wait.
//!
//! To wake a thread takes longer than most calls. So what has begun lies on a bench; whoever takes from it calls the next
//! thread if there is more than is done by the time that thread has come, and no more of them than there are cores.
//! How long work takes is known from the last calls of the same tool. Where that was wrong, because a disk is waited
//! for, say, nobody takes what lies there: after a moment the tickets that wait for it ask for a thread for each.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// How long work may lie before a thread is called for it whatever it is.
pub(super) const MOMENT: Duration = Duration::from_millis(1);

/// Work for a thread that wakes for it: below that, whoever is awake has done it before.
const WORTH: Duration = Duration::from_micros(100);

/// Work that has begun and waits for a thread.
#[derive(Debug)]
pub(super) struct Bench<T> {
    work: VecDeque<Piece<T>>,
    /// How long all that lies there will take.
    load: Duration,
    /// How long calls of a tool took of late.
    usual: HashMap<Arc<str>, Duration>,
    cores: usize,
    /// Threads that may be at work, if what lies there is worth it.
    most: usize,
    /// Threads that are.
    hands: usize,
    /// Whether one was called and has not come yet.
    coming: bool,
    /// Whether what lies there has lain too long.
    stale: bool,
}

#[derive(Debug)]
struct Piece<T> {
    work: T,
    load: Duration,
}

impl<T> Bench<T> {
    pub(super) fn new(cores: usize) -> Self {
        Self {
            work: VecDeque::new(),
            load: Duration::ZERO,
            usual: HashMap::new(),
            cores,
            most: cores,
            hands: 0,
            coming: false,
            stale: false,
        }
    }

    /// Lays down work of the tool.
    pub(super) fn put(&mut self, tool: &str, work: T) {
        let load = self.usual.get(tool).copied().unwrap_or(WORTH);
        self.load += load;
        self.work.push_back(Piece { work, load });
    }

    /// Whether a thread is to be called for what lies there. It counts as called.
    pub(super) fn call(&mut self) -> bool {
        let enough = if self.stale || self.load >= WORTH { self.most } else { 1 };
        let call = !self.work.is_empty() && !self.coming && self.hands < enough;
        self.coming |= call;
        call
    }

    /// What lies there has lain for a [`MOMENT`]: nobody will be done soon.
    pub(super) fn hurry(&mut self) {
        if !self.work.is_empty() {
            self.stale = true;
            self.most = self.most.max(self.hands + self.work.len());
        }
    }

    /// The thread that was called is there.
    pub(super) fn come(&mut self) {
        self.hands += 1;
        self.coming = false;
    }

    /// Work for a thread that is there; `None`: it has to go.
    pub(super) fn take(&mut self) -> Option<T> {
        let Some(Piece { work, load }) = self.work.pop_front() else {
            self.stale = false;
            self.hands -= 1;
            if self.hands < self.cores {
                self.most = self.cores;
            }
            return None;
        };
        self.load -= load;
        Some(work)
    }

    /// A call of the tool has taken so long.
    pub(super) fn took(&mut self, tool: &Arc<str>, time: Duration) {
        match self.usual.get_mut(tool) {
            Some(usual) => *usual = (*usual * 3 + time) / 4,
            None => drop(self.usual.insert(tool.clone(), time)),
        }
    }

    /// The thread that was called will never come. Gives all that lies there: nobody will do it.
    pub(super) fn give_up(&mut self) -> Vec<T> {
        self.coming = false;
        self.load = Duration::ZERO;
        self.work.drain(..).map(|piece| piece.work).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(cores: usize, work: usize) -> Bench<usize> {
        let mut bench = Bench::new(cores);
        (0..work).for_each(|work| bench.put("new", work));
        bench
    }

    #[test]
    fn one_thread_after_the_other_is_called_and_no_more_at_once_than_there_are_cores() {
        let mut bench = with(2, 5);
        assert_eq!((bench.call(), bench.call()), (true, false));
        bench.come();
        assert_eq!((bench.take(), bench.call(), bench.call()), (Some(0), true, false));
        bench.come();
        assert_eq!((bench.take(), bench.call()), (Some(1), false));
        // Both are quick.
        assert_eq!((bench.take(), bench.take(), bench.take()), (Some(2), Some(3), Some(4)));
        assert_eq!((bench.take(), bench.take()), (None, None));
        bench.put("new", 5);
        assert!(bench.call());
        bench.come();
        assert_eq!((bench.take(), bench.call(), bench.take()), (Some(5), false, None));
        assert_eq!((bench.hands, bench.most, bench.load), (0, 2, Duration::ZERO));
    }

    #[test]
    fn no_thread_is_woken_for_what_is_done_before_it_has_come() {
        let read: Arc<str> = Arc::from("read");
        let mut bench = with(2, 0);
        bench.took(&read, WORTH / 4);
        (0..5).for_each(|work| bench.put("read", work));
        assert!(bench.call(), "somebody has to");
        bench.come();
        assert_eq!((bench.take(), bench.call()), (Some(0), true), "four times a quarter");
        bench.come();
        assert_eq!((bench.take(), bench.take(), bench.take(), bench.take(), bench.take()), {
            (Some(1), Some(2), Some(3), Some(4), None)
        });
        (0..4).for_each(|work| bench.put("read", work));
        assert_eq!((bench.take(), bench.call()), (Some(0), false), "three times a quarter");
        // Slower than they were.
        (0..20).for_each(|_| bench.took(&read, WORTH));
        bench.put("read", 4);
        assert!(bench.call());
    }

    #[test]
    fn work_that_nobody_takes_in_a_moment_gets_a_thread_for_each() {
        let mut bench = with(2, 8);
        for number in 0..2 {
            assert!(bench.call());
            bench.come();
            assert_eq!(bench.take(), Some(number));
        }
        assert!(!bench.call());
        bench.hurry();
        for number in 2..8 {
            assert!(bench.call(), "{number}");
            bench.come();
            assert_eq!(bench.take(), Some(number));
        }
        assert!(!bench.call());
        bench.hurry();
        (0..7).for_each(|_| assert_eq!(bench.take(), None));
        assert_eq!((bench.hands, bench.most, bench.stale), (1, 2, false), "back to as many as there are cores");
    }

    #[test]
    fn what_was_taken_for_quick_and_is_not_gets_threads_too() {
        let mut bench = with(2, 0);
        bench.took(&Arc::from("read"), WORTH / 100);
        (0..3).for_each(|work| bench.put("read", work));
        assert!(bench.call());
        bench.come();
        assert_eq!((bench.take(), bench.call()), (Some(0), false));
        bench.hurry();
        assert_eq!((bench.call(), bench.call()), (true, false));
        bench.come();
        assert_eq!((bench.take(), bench.call()), (Some(1), true));
    }

    #[test]
    fn work_that_is_left_by_whoever_was_called_is_given_back() {
        let mut bench = with(1, 2);
        assert!(bench.call());
        assert_eq!(bench.give_up(), [0, 1]);
        bench.put("new", 2);
        assert!(bench.call());
    }
}
