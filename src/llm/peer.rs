//! What the client knows of one provider: its queue, how it has been faring, and what went to it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::llm::LlmErrorKind;
use crate::llm::breaker::{Admission, Breaker, Rule};
use crate::llm::failure::{Again, Failure};
use crate::llm::pace::Pace;
use crate::llm::traffic::Traffic;

/// A provider that keeps failing is left alone for a short time: a person may have mended the network meanwhile.
const PROVIDER: Rule = Rule { failures: 5, first: Duration::from_secs(5), longest: Duration::from_secs(60) };
/// A model that is overloaded is replaced for longer, where there is another.
const MODEL: Rule = Rule { failures: 2, first: Duration::from_secs(30), longest: Duration::from_secs(300) };
/// Models that are remembered as overloaded.
const MODELS: usize = 64;
/// A connection is opened ahead at most this often.
const WARM_EVERY: Duration = Duration::from_secs(60);

/// One provider.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) pace: Arc<Pace>,
    pub(crate) traffic: Traffic,
    breaker: Mutex<Breaker>,
    models: Mutex<HashMap<Arc<str>, Breaker>>,
    /// When a request was sent last, or a connection opened ahead.
    used: Mutex<Option<Instant>>,
    /// Whether failures in a row keep further requests back.
    breaks: bool,
    /// Factor on the breakers' times.
    scale: f64,
}

/// An attempt that the breaker let go ahead. Dropped without a verdict, it lets another go.
#[derive(Debug)]
pub(crate) struct Trial<'p>(Option<&'p Peer>);

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        if let Some(peer) = self.0 {
            lock(&peer.breaker).let_go(Instant::now());
        }
    }
}

impl Peer {
    pub(crate) fn new(pace: Arc<Pace>, breaks: bool, scale: f64) -> Self {
        Self {
            pace,
            traffic: Traffic::default(),
            breaker: Mutex::default(),
            models: Mutex::default(),
            used: Mutex::default(),
            breaks,
            scale,
        }
    }

    fn rule(&self, rule: Rule) -> Rule {
        Rule { first: rule.first.mul_f64(self.scale), longest: rule.longest.mul_f64(self.scale), ..rule }
    }

    /// Whether a request may go now; else how long to wait before asking again.
    pub(crate) fn admit(&self) -> Result<Trial<'_>, Duration> {
        if !self.breaks {
            return Ok(Trial(None));
        }
        match lock(&self.breaker).admit(Instant::now()) {
            Admission::Go => Ok(Trial(None)),
            Admission::Probe => Ok(Trial(Some(self))),
            Admission::Wait(wait) => Err(wait),
        }
    }

    /// An attempt brought an answer.
    pub(crate) fn succeeded(&self, model: &Arc<str>, mut trial: Trial<'_>) {
        trial.0 = None;
        lock(&self.breaker).succeeded();
        let mut models = lock(&self.models);
        if !models.is_empty() {
            models.remove(model);
        }
    }

    /// An attempt failed.
    pub(crate) fn failed(&self, model: &Arc<str>, failure: &Failure, mut trial: Trial<'_>) {
        use LlmErrorKind as Kind;
        if !self.breaks {
            return;
        }
        let now = Instant::now();
        if failure.error.kind == Kind::Overloaded {
            let mut models = lock(&self.models);
            if models.len() >= MODELS && !models.contains_key(model) {
                models.clear();
            }
            models.entry(Arc::clone(model)).or_default().failed(self.rule(MODEL), now);
        }
        match failure.error.kind {
            // A dead connection from the pool says nothing about the next.
            _ if failure.again == Again::Now => {}
            Kind::Network | Kind::Timeout | Kind::Overloaded | Kind::Provider => {
                trial.0 = None;
                if lock(&self.breaker).failed(self.rule(PROVIDER), now) {
                    tracing::warn!(why = failure.error.message, "the provider keeps failing; requests wait");
                }
            }
            // It is there and answers, whatever it says.
            Kind::Auth | Kind::Config | Kind::RateLimited | Kind::ContextOverflow | Kind::OutputLimit => {
                trial.0 = None;
                lock(&self.breaker).succeeded();
            }
            Kind::BadResponse => {}
        }
    }

    /// Whether a model is better left alone, where there is another. One request in a while is let through to see.
    pub(crate) fn is_overloaded(&self, model: &Arc<str>) -> bool {
        let mut models = lock(&self.models);
        self.breaks
            && models.get_mut(model).is_some_and(|breaker| matches!(breaker.admit(Instant::now()), Admission::Wait(_)))
    }

    /// Failures in a row, and whether requests are kept back because of them.
    pub(crate) fn health(&self) -> (u32, bool) {
        let breaker = lock(&self.breaker);
        (breaker.failures(), breaker.is_open(Instant::now()))
    }

    /// A connection is used now.
    pub(crate) fn uses(&self) {
        *lock(&self.used) = Some(Instant::now());
    }

    /// Whether it is worth opening a connection ahead; says so once in a while.
    pub(crate) fn wants_warming(&self) -> bool {
        let mut used = lock(&self.used);
        let now = Instant::now();
        if used.is_some_and(|used| now.saturating_duration_since(used) < WARM_EVERY) {
            return false;
        }
        *used = Some(now);
        true
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
