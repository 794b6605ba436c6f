//! Which threads do the work of calls that have begun: as few as keep the cores busy, unless the work turns out to wait.
//!
//! To wake a thread takes longer than most calls. So what has begun lies on a bench; whoever takes from it calls the next
//! thread if there is more, and with as many at work as there are cores no further one is called at once. Work that
//! waits for a disk, or sleeps, keeps no core busy: what still lies there after a moment gets a thread for each.

use std::collections::VecDeque;
use std::time::Duration;

/// How long work may lie while as many threads as cores are at work.
pub(super) const MOMENT: Duration = Duration::from_millis(1);

/// Work that has begun and waits for a thread.
#[derive(Debug)]
pub(super) struct Bench<T> {
    work: VecDeque<T>,
    cores: usize,
    /// Threads that may be at work.
    most: usize,
    /// Threads that are.
    hands: usize,
    /// Whether one was called and has not come yet.
    coming: bool,
    /// Whether one was called that comes in a moment.
    late: bool,
}

/// A thread that is to be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// At once.
    Now,
    /// To come after a [`MOMENT`].
    Late,
}

impl<T> Bench<T> {
    pub(super) fn new(cores: usize) -> Self {
        Self { work: VecDeque::new(), cores, most: cores, hands: 0, coming: false, late: false }
    }

    /// Lays work down.
    pub(super) fn put(&mut self, work: T) {
        self.work.push_back(work);
    }

    /// The thread to be called for what lies there, if any. It counts as called.
    pub(super) fn call(&mut self) -> Option<Call> {
        if self.work.is_empty() || self.coming {
            None
        } else if self.hands < self.most {
            self.coming = true;
            Some(Call::Now)
        } else if self.late {
            None
        } else {
            self.late = true;
            Some(Call::Late)
        }
    }

    /// A thread that was called is there.
    pub(super) fn come(&mut self, call: Call) {
        self.hands += 1;
        match call {
            Call::Now => self.coming = false,
            Call::Late => {
                self.late = false;
                // It has waited long enough: nobody will be done soon.
                if !self.work.is_empty() {
                    self.most = self.most.max(self.hands + self.work.len());
                }
            }
        }
    }

    /// Work for a thread that is there; `None`: it has to go.
    pub(super) fn take(&mut self) -> Option<T> {
        let work = self.work.pop_front();
        if work.is_none() {
            self.hands -= 1;
            if self.hands < self.cores {
                self.most = self.cores;
            }
        }
        work
    }

    /// A thread that was called will never come. Gives all that lies there: nobody will do it.
    pub(super) fn give_up(&mut self, call: Call) -> VecDeque<T> {
        match call {
            Call::Now => self.coming = false,
            Call::Late => self.late = false,
        }
        std::mem::take(&mut self.work)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(cores: usize, work: usize) -> Bench<usize> {
        let mut bench = Bench::new(cores);
        (0..work).for_each(|work| bench.put(work));
        bench
    }

    #[test]
    fn one_thread_after_the_other_is_called_and_no_more_at_once_than_there_are_cores() {
        let mut bench = with(2, 5);
        assert_eq!((bench.call(), bench.call()), (Some(Call::Now), None));
        bench.come(Call::Now);
        assert_eq!((bench.take(), bench.call(), bench.call()), (Some(0), Some(Call::Now), None));
        bench.come(Call::Now);
        assert_eq!((bench.take(), bench.call(), bench.call()), (Some(1), Some(Call::Late), None));
        // Both are quick.
        assert_eq!((bench.take(), bench.take(), bench.take()), (Some(2), Some(3), Some(4)));
        assert_eq!((bench.take(), bench.take()), (None, None));
        bench.put(5);
        assert_eq!(bench.call(), Some(Call::Now), "whoever comes late is not waited for");
        bench.come(Call::Late);
        assert_eq!((bench.take(), bench.call()), (Some(5), None));
        bench.come(Call::Now);
        assert_eq!((bench.take(), bench.take()), (None, None));
        assert_eq!((bench.hands, bench.most), (0, 2));
    }

    #[test]
    fn work_that_nobody_takes_in_a_moment_gets_a_thread_for_each() {
        let mut bench = with(2, 8);
        for number in 0..2 {
            assert_eq!(bench.call(), Some(Call::Now));
            bench.come(Call::Now);
            assert_eq!(bench.take(), Some(number));
        }
        assert_eq!(bench.call(), Some(Call::Late));
        bench.come(Call::Late);
        assert_eq!(bench.take(), Some(2));
        for number in 3..8 {
            assert_eq!(bench.call(), Some(Call::Now), "{number}");
            bench.come(Call::Now);
            assert_eq!(bench.take(), Some(number));
        }
        assert_eq!(bench.call(), None);
        (0..7).for_each(|_| assert_eq!(bench.take(), None));
        assert_eq!((bench.hands, bench.most), (1, 2), "back to as many as there are cores");
    }

    #[test]
    fn work_that_is_left_by_whoever_was_called_is_given_back() {
        let mut bench = with(1, 2);
        let call = bench.call().unwrap();
        assert_eq!(bench.give_up(call), [0, 1]);
        bench.put(2);
        assert_eq!(bench.call(), Some(Call::Now));
    }
}
