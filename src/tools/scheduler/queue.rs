//! Which call is next: effects, gates, classes, and turns between the runs. Knows no task, thread or clock, so that
//! every order can be tested by calling it.
//!
//! Two calls of one run whose effects clash keep their order; everything else may overlap. Slots go round between the
//! runs, one call at a time, so that a run with a hundred calls holds up nobody. What is fetched ahead runs only while
//! nobody waits for anything.

use std::collections::{HashMap, VecDeque};

use super::super::tool::{Cancel, Effect, clash};
use crate::ids::RunId;

/// Who waits for a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Class {
    /// A model, and behind it a user.
    #[default]
    Call,
    /// Nobody yet: it is fetched because somebody will probably ask. Runs alone, and gives way to every call.
    Ahead,
}

/// Most fetches ahead that wait; more than that is not prediction but noise.
const MAX_AHEAD: usize = 16;

/// A call's place, until it has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key(u64);

/// The calls that have not ended. `T` is what is needed to start one.
#[derive(Debug)]
pub(super) struct Queue<T> {
    slots: usize,
    /// Below zero while more run than may since there are fewer.
    free: isize,
    serial: bool,
    last: u64,
    runs: HashMap<RunId, Vec<Call<T>>>,
    /// Runs with a call that could start, each once, in the order in which they get a slot.
    ring: VecDeque<RunId>,
    /// Whether a call may have become ready that has not been told.
    untold: bool,
    ahead: VecDeque<(Key, T)>,
    /// The fetch ahead that runs, with the word that ends it.
    fetching: Option<(Key, Cancel)>,
}

#[derive(Debug)]
struct Call<T> {
    key: Key,
    effect: Effect,
    /// Earlier calls that have to end first.
    blockers: usize,
    /// Later calls that wait for this one.
    dependents: Vec<Key>,
    gated: bool,
    /// Whether it has been told that only a slot is missing.
    told: bool,
    state: State<T>,
}

#[derive(Debug)]
enum State<T> {
    Waiting(T),
    Running,
}

impl<T> Call<T> {
    fn can_start(&self) -> bool {
        self.blockers == 0 && !self.gated && matches!(self.state, State::Waiting(_))
    }
}

/// A call that can start, and holds its slot from now on.
#[derive(Debug)]
pub(super) struct Next<T> {
    pub(super) key: Key,
    /// What was given with it.
    pub(super) payload: T,
    /// Calls of its run that hold a slot, itself included.
    pub(super) beside: usize,
}

impl<T> Queue<T> {
    /// With so many slots; one slot means strictly one after the other.
    pub(super) fn new(slots: usize) -> Self {
        Self {
            slots,
            free: slots.cast_signed(),
            serial: slots == 1,
            last: 0,
            runs: HashMap::new(),
            ring: VecDeque::new(),
            untold: false,
            ahead: VecDeque::new(),
            fetching: None,
        }
    }

    /// Has other slots from now on; what runs goes on.
    pub(super) fn set_slots(&mut self, slots: usize) {
        self.free += slots.cast_signed() - self.slots.cast_signed();
        self.slots = slots;
        self.serial = slots == 1;
    }

    /// Whether a call with this effect would have to wait for another one of its run.
    pub(super) fn is_blocked(&self, run: &RunId, effect: &Effect) -> bool {
        self.runs.get(run).is_some_and(|calls| calls.iter().any(|call| self.serial || clash(&call.effect, effect)))
    }

    /// Enters a call behind those of its run.
    pub(super) fn enter(&mut self, run: &RunId, effect: Effect, gated: bool, payload: T) -> Key {
        if let Some((_, cancel)) = self.fetching.take() {
            cancel.cancel();
        }
        let key = self.key();
        let calls = self.runs.entry(run.clone()).or_default();
        let mut blockers = 0;
        for call in calls.iter_mut().filter(|call| self.serial || clash(&call.effect, &effect)) {
            call.dependents.push(key);
            blockers += 1;
        }
        let call =
            Call { key, effect, blockers, dependents: Vec::new(), gated, told: false, state: State::Waiting(payload) };
        let now = call.can_start();
        calls.push(call);
        if now {
            self.line_up(run);
        }
        key
    }

    /// Whether no call is known any more and every slot is free.
    #[cfg(test)]
    pub(super) fn is_empty(&self, slots: usize) -> bool {
        self.runs.is_empty() && self.free == slots.cast_signed()
    }

    /// Notes something to fetch ahead. What finds no room is given back.
    pub(super) fn enter_ahead(&mut self, payload: T) -> Result<Key, T> {
        if self.ahead.len() >= MAX_AHEAD {
            return Err(payload);
        }
        let key = self.key();
        self.ahead.push_back((key, payload));
        Ok(key)
    }

    fn key(&mut self) -> Key {
        self.last += 1;
        Key(self.last)
    }

    fn line_up(&mut self, run: &RunId) {
        self.untold = true;
        if !self.ring.contains(run) {
            self.ring.push_back(run.clone());
        }
    }

    /// The gate of a call has been opened.
    pub(super) fn open(&mut self, run: &RunId, key: Key) {
        let Some(call) = self.runs.get_mut(run).and_then(|calls| calls.iter_mut().find(|call| call.key == key)) else {
            return;
        };
        call.gated = false;
        if call.can_start() {
            self.line_up(run);
        }
    }

    /// What the calls want done that lack only a slot since the last time; `take` reads it.
    pub(super) fn ripe<R>(&mut self, take: impl Fn(&mut T) -> Option<R>) -> Vec<R> {
        if !std::mem::take(&mut self.untold) {
            return Vec::new();
        }
        let mut wishes = Vec::new();
        for call in self.runs.values_mut().flatten().filter(|call| !call.told && call.can_start()) {
            call.told = true;
            if let State::Waiting(payload) = &mut call.state {
                wishes.extend(take(payload));
            }
        }
        wishes
    }

    /// The next call that can start, if there is a slot for one; `cancel` reads the word that ends it.
    pub(super) fn next(&mut self, cancel: impl Fn(&T) -> Cancel) -> Option<Next<T>> {
        while self.free > 0
            && let Some(run) = self.ring.pop_front()
        {
            let Some(calls) = self.runs.get_mut(&run) else { continue };
            let beside = 1 + calls.iter().filter(|call| matches!(call.state, State::Running)).count();
            let Some(call) = calls.iter_mut().find(|call| call.can_start()) else { continue };
            let State::Waiting(payload) = std::mem::replace(&mut call.state, State::Running) else { continue };
            let key = call.key;
            if calls.iter().any(Call::can_start) {
                self.ring.push_back(run);
            }
            self.free -= 1;
            return Some(Next { key, payload, beside });
        }
        // Also not beside calls that only wait: what they wait for may be the machine.
        if self.runs.is_empty()
            && self.fetching.is_none()
            && let Some((key, payload)) = self.ahead.pop_front()
        {
            self.fetching = Some((key, cancel(&payload)));
            return Some(Next { key, payload, beside: 1 });
        }
        None
    }

    /// A call has ended, or is withdrawn; those that waited for it may go on.
    pub(super) fn leave(&mut self, run: &RunId, key: Key) -> Left<T> {
        let Some(calls) = self.runs.get_mut(run) else { return Left::Unknown };
        let Some(at) = calls.iter().position(|call| call.key == key) else { return Left::Unknown };
        let left = calls.remove(at);
        for call in calls.iter_mut().filter(|call| left.dependents.contains(&call.key)) {
            call.blockers -= 1;
        }
        let more = calls.iter().any(Call::can_start);
        if calls.is_empty() {
            self.runs.remove(run);
        }
        if more {
            self.line_up(run);
        }
        match left.state {
            State::Waiting(payload) => Left::Waiting(payload),
            State::Running => {
                self.free += 1;
                Left::Running
            }
        }
    }

    /// Takes out a call that has not started; one that has keeps its place.
    pub(super) fn withdraw(&mut self, run: &RunId, key: Key) -> Left<T> {
        let at = self.runs.get(run).and_then(|calls| calls.iter().find(|call| call.key == key));
        match at.map(|call| &call.state) {
            Some(State::Running) => Left::Running,
            Some(State::Waiting(_)) => self.leave(run, key),
            None => Left::Unknown,
        }
    }

    /// A fetch ahead has ended, or nobody wants it any more.
    pub(super) fn leave_ahead(&mut self, key: Key) -> Left<T> {
        if self.fetching.as_ref().is_some_and(|(other, _)| *other == key) {
            self.fetching = None;
            return Left::Running;
        }
        match self.ahead.iter().position(|(other, _)| *other == key).and_then(|at| self.ahead.remove(at)) {
            Some((_, payload)) => Left::Waiting(payload),
            None => Left::Unknown,
        }
    }
}

/// What a call was at when it left.
#[derive(Debug)]
pub(super) enum Left<T> {
    /// It had not started.
    Waiting(T),
    /// It had started.
    Running,
    /// It had left before.
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::super::super::tool::Scope;
    use super::*;

    /// A queue whose payloads are names; nothing here has a file, so effects are all or nothing.
    struct Desk(Queue<&'static str>, HashMap<&'static str, (RunId, Key)>);

    impl Desk {
        fn new(slots: usize) -> Self {
            Self(Queue::new(slots), HashMap::new())
        }

        fn enter(&mut self, run: &str, name: &'static str, writes: bool, gated: bool) {
            let run = RunId::from(run);
            let effect = if writes { Effect::writes(Scope::Everything) } else { Effect::reads(Scope::Everything) };
            let key = self.0.enter(&run, effect, gated, name);
            self.1.insert(name, (run, key));
        }

        fn starts(&mut self) -> Vec<&'static str> {
            std::iter::from_fn(|| self.0.next(|_| Cancel::new())).map(|next| next.payload).collect()
        }

        fn leave(&mut self, name: &str) -> Left<&'static str> {
            let (run, key) = self.1[name].clone();
            self.0.leave(&run, key)
        }
    }

    #[test]
    fn slots_go_round_between_runs_however_many_calls_one_has() {
        let mut desk = Desk::new(2);
        const MANY: [&str; 6] = ["a1", "a2", "a3", "a4", "a5", "a6"];
        for name in MANY {
            desk.enter("a", name, false, false);
        }
        desk.enter("b", "b1", false, false);
        desk.enter("b", "b2", false, false);
        desk.enter("c", "c1", false, false);
        assert_eq!(desk.starts(), ["a1", "b1"]);
        desk.leave("a1");
        assert_eq!(desk.starts(), ["c1"]);
        desk.leave("b1");
        assert_eq!(desk.starts(), ["a2"]);
        desk.leave("c1");
        assert_eq!(desk.starts(), ["b2"]);
        desk.leave("a2");
        desk.leave("b2");
        assert_eq!(desk.starts(), ["a3", "a4"]);
    }

    #[test]
    fn a_call_waits_for_all_earlier_ones_it_clashes_with_and_for_its_gate() {
        let mut desk = Desk::new(9);
        desk.enter("a", "r1", false, false);
        desk.enter("a", "r2", false, false);
        desk.enter("a", "w", true, true);
        desk.enter("a", "r3", false, false);
        assert_eq!(desk.starts(), ["r1", "r2"]);
        desk.leave("r2");
        desk.leave("r1");
        assert!(desk.starts().is_empty());
        let (run, key) = desk.1["w"].clone();
        desk.0.open(&run, key);
        assert_eq!(desk.starts(), ["w"]);
        assert!(matches!(desk.leave("w"), Left::Running));
        assert!(matches!(desk.leave("w"), Left::Unknown));
        assert_eq!(desk.starts(), ["r3"]);
    }

    #[test]
    fn a_call_that_is_withdrawn_lets_the_later_ones_go_on_and_takes_no_slot_with_it() {
        let mut desk = Desk::new(1);
        desk.enter("a", "w1", true, false);
        desk.enter("a", "w2", true, false);
        desk.enter("a", "w3", true, false);
        assert_eq!(desk.starts(), ["w1"]);
        let (run, key) = desk.1["w1"].clone();
        assert!(matches!(desk.0.withdraw(&run, key), Left::Running));
        let (run, key) = desk.1["w2"].clone();
        assert!(matches!(desk.0.withdraw(&run, key), Left::Waiting("w2")));
        assert!(desk.starts().is_empty());
        desk.leave("w1");
        assert_eq!(desk.starts(), ["w3"]);
    }

    #[test]
    fn what_is_fetched_ahead_waits_for_an_idle_moment_and_gives_way_at_once() {
        let mut desk = Desk::new(4);
        desk.enter("a", "r1", false, false);
        let first = desk.0.enter_ahead("ahead 1").unwrap();
        desk.0.enter_ahead("ahead 2").unwrap();
        assert_eq!(desk.starts(), ["r1"]);
        desk.leave("r1");
        let word = Cancel::new();
        let next = desk.0.next(|_| word.clone()).unwrap();
        assert_eq!(next.payload, "ahead 1");
        assert!(desk.starts().is_empty(), "one at a time");
        assert!(!word.is_cancelled());
        desk.enter("a", "r2", false, false);
        assert!(word.is_cancelled(), "real work does not wait");
        assert_eq!(desk.starts(), ["r2"]);
        assert!(matches!(desk.0.leave_ahead(first), Left::Unknown));
        desk.leave("r2");
        assert_eq!(desk.starts(), ["ahead 2"]);
        for _ in 0..MAX_AHEAD {
            desk.0.enter_ahead("more").unwrap();
        }
        assert!(desk.0.enter_ahead("too much").is_err());
    }
}
