//! What a run says while it waits to ask a model again, and the user's word about a long wait.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::events::{Events, RunPhase};
use crate::host::{EventKind, Host, Question};
use crate::llm::RetryNotice;
use crate::llm::retry::LONG_WAIT;

/// The buttons. No answer goes on waiting: the run can be cancelled at any time.
const CHOICES: [&str; 2] = ["Wait", "Stop"];

/// A question about a wait, if one is open.
#[derive(Default)]
pub(super) struct Patience(Option<BoxFuture<'static, Option<usize>>>);

impl Patience {
    /// Tells of a retry; a long wait is put to the user.
    pub(super) fn retry(&mut self, host: &Arc<dyn Host>, events: &Events, notice: RetryNotice) {
        let RetryNotice { attempt, wait, why, instead } = notice;
        if let Some(model) = instead {
            events.asks(model);
        }
        if attempt == 0 {
            // Nothing failed, so there is nothing to tell but why nothing comes; a wait that was asked about is over.
            self.over(events);
            return events.doing(&why);
        }
        if !wait.is_zero() {
            events.doing(&format!("waiting {}: {why}", spell(wait)));
        } else {
            events.doing(&why);
        }
        self.0 = None;
        if wait > LONG_WAIT {
            let message = format!("Ropeway: {why}. The provider asks to wait {}.", spell(wait));
            let (host, choices) = (Arc::clone(host), CHOICES.to_vec());
            events.phase(RunPhase::Waiting);
            self.0 = Some(Box::pin(async move { host.ask(Question { message, choices }).await }));
        }
        events.emit(EventKind::Retry { attempt, wait_ms: wait.as_millis() as u64, why });
    }

    /// The wait is over.
    pub(super) fn over(&mut self, events: &Events) {
        if self.0.take().is_some() {
            events.phase(RunPhase::Thinking);
        }
    }

    /// Whether the user has been asked and has not answered.
    pub(super) fn asks(&self) -> bool {
        self.0.is_some()
    }

    /// Waits for the answer; says whether the user wants to stop.
    pub(super) async fn stop(&mut self) -> bool {
        let Some(question) = &mut self.0 else { return std::future::pending().await };
        let answer = question.await;
        self.0 = None;
        answer == Some(1)
    }
}

/// A wait as a person says it.
fn spell(wait: Duration) -> String {
    match wait.as_secs() {
        0 => format!("{} ms", wait.as_millis()),
        seconds @ 1..=119 => format!("{seconds} s"),
        seconds => format!("{} min", seconds.div_ceil(60)),
    }
}
