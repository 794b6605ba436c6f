//! A circuit breaker: when requests keep failing, the next ones wait, and one of them goes ahead to see. Pure: the
//! clock comes in as an argument.

use std::time::Duration;

use tokio::time::Instant;

/// When a breaker opens, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    /// Failures in a row that open it.
    pub failures: u32,
    /// How long it stays open the first time; doubled with each probe that fails.
    pub first: Duration,
    /// The longest.
    pub longest: Duration,
}

/// Whether a request may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Yes.
    Go,
    /// Yes, and how it fares decides for the others.
    Probe,
    /// Not before this has passed.
    Wait(Duration),
}

/// A probe that nothing was heard of for this long is given up: its run was cancelled, or it waits for its turn.
const PROBE: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    Closed,
    Open {
        until: Instant,
        wait: Duration,
    },
    /// One request is out to see, since this moment.
    Probing {
        since: Instant,
        wait: Duration,
    },
}

/// The breaker of one provider, or of one model there.
#[derive(Debug, Default)]
pub(crate) struct Breaker {
    state: State,
    failures: u32,
}

impl Breaker {
    /// Whether a request may go now.
    pub(crate) fn admit(&mut self, now: Instant) -> Admission {
        match self.state {
            State::Closed => Admission::Go,
            State::Open { until, .. } if now < until => Admission::Wait(until - now),
            State::Probing { since, .. } if now < since + PROBE => {
                // Asked again often, so that all go on soon after the probe came back.
                Admission::Wait(Duration::from_millis(250).min(since + PROBE - now))
            }
            State::Open { wait, .. } | State::Probing { wait, .. } => {
                self.state = State::Probing { since: now, wait };
                Admission::Probe
            }
        }
    }

    /// Whether requests are kept back now. Changes nothing.
    pub(crate) fn is_open(&self, now: Instant) -> bool {
        match self.state {
            State::Closed => false,
            State::Open { until, .. } => now < until,
            State::Probing { since, .. } => now < since + PROBE,
        }
    }

    /// A request came through.
    pub(crate) fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// A request failed in a way that says that others would, too. Says whether this opened the breaker.
    pub(crate) fn failed(&mut self, rule: Rule, now: Instant) -> bool {
        self.failures = self.failures.saturating_add(1);
        let wait = match self.state {
            State::Closed if self.failures < rule.failures => return false,
            State::Closed => rule.first,
            // One that was sent before it opened; nothing new.
            State::Open { .. } => return false,
            State::Probing { wait, .. } => wait.saturating_mul(2).min(rule.longest),
        };
        self.state = State::Open { until: now + wait, wait };
        true
    }

    /// The probe ended without saying anything about the provider (cancelled, or a failure of the request's own).
    pub(crate) fn let_go(&mut self, now: Instant) {
        if let State::Probing { wait, .. } = self.state {
            self.state = State::Open { until: now, wait };
        }
    }

    /// Failures in a row.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Rule = Rule { failures: 3, first: Duration::from_secs(5), longest: Duration::from_secs(15) };

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// A breaker that opened at `now`.
    fn open(now: Instant) -> Breaker {
        let mut breaker = Breaker::default();
        assert!(!breaker.failed(RULE, now) && !breaker.failed(RULE, now) && breaker.failed(RULE, now));
        breaker
    }

    #[test]
    fn it_opens_after_failures_in_a_row_only() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        for _ in 0..10 {
            breaker.failed(RULE, now);
            breaker.failed(RULE, now);
            assert_eq!(breaker.admit(now), Admission::Go);
            breaker.succeeded();
        }
        assert!(open(now).is_open(now));
    }

    #[test]
    fn one_goes_ahead_and_the_others_wait_for_what_it_finds() {
        let now = Instant::now();
        let mut breaker = open(now);
        assert_eq!(breaker.admit(now + s(1)), Admission::Wait(s(4)));
        assert_eq!(breaker.admit(now + s(5)), Admission::Probe);
        assert!(matches!(breaker.admit(now + s(5)), Admission::Wait(_)));
        breaker.succeeded();
        assert_eq!(breaker.admit(now + s(5)), Admission::Go);
    }

    #[test]
    fn a_probe_that_fails_doubles_the_wait_up_to_a_limit() {
        let mut now = Instant::now();
        let mut breaker = open(now);
        for wait in [5, 10, 15, 15] {
            assert_eq!(breaker.admit(now), Admission::Wait(s(wait)));
            now += s(wait);
            assert_eq!(breaker.admit(now), Admission::Probe);
            assert!(breaker.failed(RULE, now));
        }
    }

    #[test]
    fn a_probe_that_is_lost_does_not_close_the_door_for_good() {
        let now = Instant::now();
        let mut breaker = open(now);
        assert_eq!(breaker.admit(now + s(5)), Admission::Probe);
        breaker.let_go(now + s(6));
        assert_eq!(breaker.admit(now + s(6)), Admission::Probe);
        assert_eq!(breaker.admit(now + s(6) + PROBE), Admission::Probe);
    }

    #[test]
    fn requests_that_were_out_when_it_opened_change_nothing() {
        let now = Instant::now();
        let mut breaker = open(now);
        assert!(!breaker.failed(RULE, now + s(4)));
        assert_eq!(breaker.admit(now + s(4)), Admission::Wait(s(1)));
    }
}
