//! Whose turn it is. One queue for each provider, shared by all runs: so many requests a second, so many at a time,
//! and not more than the provider said it allows.
//!
//! Fair means: the runs take turns, and a run's own requests go in their order. Nobody owns the queue's clock: whoever
//! waits looks after the next moment at which something may go, so a queue without waiters costs nothing.

use std::collections::{HashMap, VecDeque};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use reqwest::header::HeaderMap;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::ids::RunId;
use crate::llm::allowance::Allowance;

/// Models whose allowances are remembered; there are never so many.
const MODELS: usize = 64;

/// The runtime's clock, so that tests can stop it.
#[derive(Clone, Debug)]
struct RuntimeClock(Instant);

impl Clock for RuntimeClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.0.elapsed().into()
    }
}

type Bucket = RateLimiter<NotKeyed, InMemoryState, RuntimeClock, NoOpMiddleware<Nanos>>;

/// How much may go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rates {
    /// Requests, on average.
    pub per_second: f64,
    /// Requests that may come at once.
    pub burst: u32,
    /// Tokens, by the askers' estimates; 0: any number. A whole minute's may come at once.
    pub tokens_a_minute: u32,
    /// Requests under way.
    pub at_once: usize,
}

/// A request that is to go.
struct Ask {
    model: Arc<str>,
    tokens: u64,
    /// The tokens have been taken from their bucket; only the request has not from its own.
    counted: bool,
}

struct Waiter {
    ask: Ask,
    granted: oneshot::Sender<Permit>,
}

struct State {
    bucket: Bucket,
    /// Of tokens, where they are rationed, and how many there are when it is full.
    tokens: Option<(Bucket, NonZeroU32)>,
    clock: RuntimeClock,
    /// Requests under way, and how many may be.
    running: usize,
    limit: usize,
    queues: HashMap<RunId, VecDeque<Waiter>>,
    /// The runs that wait, in the order of their turns.
    turns: VecDeque<RunId>,
    allowances: HashMap<Arc<str>, Allowance>,
}

/// The queue of one provider.
pub(crate) struct Pace {
    state: Mutex<State>,
    changed: Notify,
}

impl std::fmt::Debug for Pace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pace").field("waiting", &self.waiting()).finish_non_exhaustive()
    }
}

/// The right to have one request under way; given back when dropped.
pub(crate) struct Permit(Arc<Pace>);

impl std::fmt::Debug for Permit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Permit")
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.state().running -= 1;
        self.0.pump();
    }
}

/// A place in the queue. Dropped, it is empty again: who stops waiting keeps nobody from going.
struct Place<'p> {
    pace: &'p Pace,
    run: &'p RunId,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.pace.state().sweep(self.run);
    }
}

impl State {
    /// Forgets the places of a run that nobody waits at.
    fn sweep(&mut self, run: &RunId) {
        if let Some(queue) = self.queues.get_mut(run) {
            queue.retain(|waiter| !waiter.granted.is_closed());
            if queue.is_empty() {
                self.queues.remove(run);
                self.turns.retain(|other| other != run);
            }
        }
    }

    /// How long a request of so many tokens has to wait for the rates; what goes now is counted.
    fn too_early(&self, ask: &mut Ask) -> Option<Duration> {
        if let Some((bucket, full)) = self.tokens.as_ref().filter(|_| !ask.counted) {
            // What is larger than a minute's ration takes all of it.
            let wanted =
                u32::try_from(ask.tokens).map_or(*full, |tokens| NonZeroU32::new(tokens).unwrap_or(NonZeroU32::MIN));
            // More than fits is not asked for.
            let wanted = wanted.min(*full);
            if let Ok(Err(not_yet)) = bucket.check_n(wanted) {
                return Some(not_yet.wait_time_from(self.clock.now()));
            }
            ask.counted = true;
        }
        self.bucket.check().err().map(|not_yet| not_yet.wait_time_from(self.clock.now()))
    }

    /// The run that goes next, or the moment to look again: none where only the end of a request can change anything.
    fn next(&self, now: Instant) -> Result<usize, Option<Instant>> {
        if self.running >= self.limit {
            return Err(None);
        }
        let mut again: Option<Instant> = None;
        for (turn, run) in self.turns.iter().enumerate() {
            let Some(waiter) = self.queues.get(run).and_then(VecDeque::front) else { continue };
            let ready = self.ready_at(&waiter.ask, now);
            if ready <= now {
                return Ok(turn);
            }
            again = Some(again.map_or(ready, |earlier| earlier.min(ready)));
        }
        Err(again)
    }

    /// When the provider's own rations allow a request.
    fn ready_at(&self, ask: &Ask, now: Instant) -> Instant {
        self.allowances.get(&ask.model).map_or(now, |allowance| allowance.ready_at(ask.tokens, now))
    }

    /// A request goes.
    fn go(&mut self, ask: &Ask, now: Instant) {
        if let Some(allowance) = self.allowances.get_mut(&ask.model) {
            allowance.take(ask.tokens, now);
        }
        self.running += 1;
    }

    /// Lets a request go that nobody stands before, if all else allows it.
    fn goes_at_once(&mut self, ask: &mut Ask) -> bool {
        let now = Instant::now();
        let may = self.turns.is_empty()
            && self.running < self.limit
            && self.ready_at(ask, now) <= now
            && self.too_early(ask).is_none();
        if may {
            self.go(ask, now);
        }
        may
    }
}

impl Pace {
    /// An empty queue.
    pub(crate) fn new(rates: Rates) -> Arc<Self> {
        let period = Duration::try_from_secs_f64(1.0 / rates.per_second.max(1e-6)).unwrap_or(Duration::from_secs(1));
        let quota = Quota::with_period(period.max(Duration::from_nanos(1)))
            .unwrap_or_else(|| Quota::per_second(NonZeroU32::MIN))
            .allow_burst(NonZeroU32::new(rates.burst).unwrap_or(NonZeroU32::MIN));
        let clock = RuntimeClock(Instant::now());
        let state = State {
            bucket: RateLimiter::direct_with_clock(quota, clock.clone()),
            tokens: NonZeroU32::new(rates.tokens_a_minute)
                .map(|full| (RateLimiter::direct_with_clock(Quota::per_minute(full), clock.clone()), full)),
            clock,
            running: 0,
            limit: rates.at_once.max(1),
            queues: HashMap::new(),
            turns: VecDeque::new(),
            allowances: HashMap::new(),
        };
        Arc::new(Self { state: Mutex::new(state), changed: Notify::new() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Requests that wait for their turn.
    pub(crate) fn waiting(&self) -> usize {
        self.state().queues.values().map(VecDeque::len).sum()
    }

    /// Waits for this request's turn. Dropping the future leaves the queue. `tokens` is an estimate.
    pub(crate) async fn turn(self: &Arc<Self>, run: &RunId, model: &Arc<str>, tokens: u64) -> Permit {
        let mut ask = Ask { model: Arc::clone(model), tokens, counted: false };
        if self.state().goes_at_once(&mut ask) {
            return Permit(Arc::clone(self));
        }
        // Declared before the receiver, so dropped after it: only then the place counts as left.
        let _place = Place { pace: self, run };
        let (granted, mut turn) = oneshot::channel();
        {
            let mut state = self.state();
            let waiter = Waiter { ask, granted };
            match state.queues.get_mut(run) {
                Some(queue) => queue.push_back(waiter),
                None => {
                    state.queues.insert(run.clone(), VecDeque::from([waiter]));
                    state.turns.push_back(run.clone());
                }
            }
        }
        loop {
            let changed = self.changed.notified();
            let again = self.pump();
            tokio::select! {
                biased;
                permit = &mut turn => match permit {
                    Ok(permit) => return permit,
                    // The queue holds the other end until it grants.
                    Err(_) => std::future::pending::<()>().await,
                },
                () = changed => {}
                () = tokio::time::sleep_until(again.unwrap_or_else(Instant::now)), if again.is_some() => {}
            }
        }
    }

    /// What keeps a request waiting, and for how long, as far as that is known.
    pub(crate) fn obstacle(&self, model: &Arc<str>, tokens: u64) -> (Duration, &'static str) {
        let (state, now) = (self.state(), Instant::now());
        let ready = state.allowances.get(model).map_or(now, |allowance| allowance.ready_at(tokens, now));
        if ready > now {
            return (ready - now, "what it allows of requests or tokens is used up");
        }
        if state.running >= state.limit {
            return (Duration::ZERO, "as many requests are under way as llm.max_concurrent allows");
        }
        (Duration::ZERO, "what llm.requests_per_second and llm.tokens_per_minute allow is used up")
    }

    /// Lets go what may go; gives the moment to look again.
    fn pump(self: &Arc<Self>) -> Option<Instant> {
        loop {
            let (granted, permit) = {
                let mut guard = self.state();
                let state = &mut *guard;
                let now = Instant::now();
                let turn = match state.next(now) {
                    Ok(turn) => turn,
                    Err(again) => return again,
                };
                let run = state.turns[turn].clone();
                let mut waiter = state.queues.get_mut(&run).and_then(VecDeque::pop_front)?;
                if waiter.granted.is_closed() {
                    state.sweep(&run);
                    continue;
                }
                if let Some(wait) = state.too_early(&mut waiter.ask) {
                    if let Some(queue) = state.queues.get_mut(&run) {
                        queue.push_front(waiter);
                    }
                    return Some(now + wait);
                }
                state.turns.remove(turn);
                if state.queues.get(&run).is_some_and(VecDeque::is_empty) {
                    state.queues.remove(&run);
                } else {
                    state.turns.push_back(run);
                }
                state.go(&waiter.ask, now);
                (waiter.granted, Permit(Arc::clone(self)))
            };
            // Who has left in this very moment gives the permit back by dropping it, which must not find the lock held.
            drop(granted.send(permit));
        }
    }

    /// Takes over what an answer's headers say about the rations of a model.
    pub(crate) fn observe(&self, model: &Arc<str>, headers: &HeaderMap) {
        if !Allowance::is_told(headers) {
            return;
        }
        self.with_allowance(model, |allowance| allowance.observe(headers, Instant::now(), SystemTime::now()));
    }

    /// The provider wants this model left alone for a time.
    pub(crate) fn hold(&self, model: &Arc<str>, wait: Duration) {
        self.with_allowance(model, |allowance| allowance.hold(wait, Instant::now()));
    }

    fn with_allowance(&self, model: &Arc<str>, change: impl FnOnce(&mut Allowance)) {
        {
            let mut state = self.state();
            if state.allowances.len() >= MODELS && !state.allowances.contains_key(model) {
                state.allowances.clear();
            }
            change(state.allowances.entry(Arc::clone(model)).or_default());
        }
        self.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::task::JoinSet;

    use super::*;

    fn run(number: usize) -> RunId {
        RunId::from(number.to_string())
    }

    fn pace(per_second: f64, burst: u32, at_once: usize) -> Arc<Pace> {
        Pace::new(Rates { per_second, burst, tokens_a_minute: 0, at_once })
    }

    fn model() -> Arc<str> {
        Arc::from("m")
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_goes_at_once_and_the_rest_at_the_rate() {
        let pace = pace(10.0, 3, 100);
        let begun = Instant::now();
        let mut seen = Vec::new();
        for _ in 0..5 {
            drop(pace.turn(&run(1), &model(), 1).await);
            seen.push(begun.elapsed().as_millis());
        }
        assert_eq!(seen[..3], [0, 0, 0]);
        assert!((99..=102).contains(&seen[3]) && (199..=203).contains(&seen[4]), "{seen:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn tokens_have_a_rate_of_their_own() {
        let rates = Rates { per_second: 10_000.0, burst: 10_000, tokens_a_minute: 6000, at_once: 100 };
        let (pace, begun) = (Pace::new(rates), Instant::now());
        let mut seen = Vec::new();
        for tokens in [5000, 1000, 100, 1_000_000, 100] {
            drop(pace.turn(&run(1), &model(), tokens).await);
            seen.push((begun.elapsed().as_secs_f64()).round());
        }
        // What is larger than the ration of a minute takes all of it.
        assert_eq!(seen, [0.0, 0.0, 1.0, 61.0, 62.0]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_hundred_runs_over_four_places_wait_alike_and_nothing_is_lost() {
        const RUNS: usize = 100;
        const REQUESTS: usize = 5;
        let pace = pace(10_000.0, 10_000, 4);
        let (granted, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let under_way = Arc::new(AtomicUsize::new(0));
        let mut runs = JoinSet::new();
        for number in 0..RUNS {
            let (pace, granted, most, under_way) = (pace.clone(), granted.clone(), most.clone(), under_way.clone());
            runs.spawn(async move {
                let mut waited = 0;
                for _ in 0..REQUESTS {
                    let before = granted.load(Ordering::SeqCst);
                    let permit = pace.turn(&run(number), &model(), 1).await;
                    // Not by the clock: how many went before this one.
                    waited += granted.fetch_add(1, Ordering::SeqCst) - before;
                    most.fetch_max(under_way.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    under_way.fetch_sub(1, Ordering::SeqCst);
                    drop(permit);
                }
                waited
            });
        }
        let waits = runs.join_all().await;
        let mean = waits.iter().sum::<usize>() as f64 / RUNS as f64;
        let longest = *waits.iter().max().unwrap();
        assert!(longest as f64 <= 2.0 * mean, "{longest} against a mean of {mean}");
        assert_eq!((granted.load(Ordering::SeqCst), most.load(Ordering::SeqCst)), (RUNS * REQUESTS, 4));
        assert_eq!(pace.waiting(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_with_many_requests_does_not_keep_the_others_waiting() {
        let pace = pace(10_000.0, 10_000, 1);
        let order = Arc::new(Mutex::new(Vec::new()));
        let first = pace.turn(&run(0), &model(), 1).await;
        let mut requests = JoinSet::new();
        for number in [1, 1, 1, 1, 2, 3] {
            let (pace, order) = (pace.clone(), order.clone());
            requests.spawn(async move {
                let _permit = pace.turn(&run(number), &model(), 1).await;
                order.lock().unwrap().push(number);
            });
            tokio::task::yield_now().await;
        }
        drop(first);
        requests.join_all().await;
        assert_eq!(*order.lock().unwrap(), [1, 2, 3, 1, 1, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_stops_waiting_leaves_the_queue_at_once() {
        let pace = pace(10_000.0, 10_000, 1);
        let first = pace.turn(&run(0), &model(), 1).await;
        let mut left = JoinSet::new();
        let mut handles = Vec::new();
        for number in 1..=3 {
            let pace = pace.clone();
            handles.push(left.spawn(async move { drop(pace.turn(&run(number), &model(), 1).await) }));
            tokio::task::yield_now().await;
        }
        assert_eq!(pace.waiting(), 3);
        handles[0].abort();
        tokio::task::yield_now().await;
        assert_eq!(pace.waiting(), 2);
        drop(first);
        while left.join_next().await.is_some() {}
        assert_eq!(pace.waiting(), 0);
        let state = pace.state();
        assert_eq!((state.running, state.turns.len()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_provider_says_holds_its_model_and_no_other() {
        let pace = pace(10_000.0, 10_000, 10);
        pace.hold(&model(), Duration::from_secs(7));
        let begun = Instant::now();
        drop(pace.turn(&run(1), &Arc::from("other"), 1).await);
        assert!(begun.elapsed() < Duration::from_millis(10));
        drop(pace.turn(&run(1), &model(), 1).await);
        assert!((7000..7100).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());

        let mut told = HeaderMap::new();
        for (name, value) in [
            ("x-ratelimit-limit-tokens", "1000"),
            ("x-ratelimit-remaining-tokens", "0"),
            ("x-ratelimit-reset-tokens", "10s"),
        ] {
            told.insert(name, value.parse().unwrap());
        }
        pace.observe(&model(), &told);
        let begun = Instant::now();
        drop(pace.turn(&run(1), &model(), 100).await);
        drop(pace.turn(&run(1), &model(), 100).await);
        assert!((1990..2100).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
    }

    /// Drops the wait after each number of polls it can have; what is left must always be whole.
    #[tokio::test(start_paused = true)]
    async fn a_wait_can_be_dropped_at_every_point() {
        for polls in 0..6 {
            let pace = pace(10.0, 1, 1);
            let held = pace.turn(&run(0), &model(), 1).await;
            let (one, any) = (run(1), model());
            let mut waiting = Box::pin(pace.turn(&one, &any, 1));
            for _ in 0..polls {
                let _ = futures_util::poll!(&mut waiting);
                tokio::time::advance(Duration::from_millis(40)).await;
            }
            drop(held);
            drop(waiting);
            assert_eq!((pace.waiting(), pace.state().running), (0, 0), "{polls} polls");
            drop(pace.turn(&run(2), &model(), 1).await);
        }
    }
}
