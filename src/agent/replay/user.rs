//! The user's side of a replay: everything it does is in the recording.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::Mutex;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};

use super::{Heard, lock};
use crate::host::{ApplyReply, EventKind, Finding, Host, HostAbilities, Notice, Proposal, Question, RunEvent};
use crate::ids::RunId;

/// Answers as recorded, and hands what is to be applied to whoever conducts.
pub(super) struct RecordedUser {
    pub(super) abilities: HostAbilities,
    pub(super) approvals: Mutex<HashMap<String, VecDeque<String>>>,
    pub(super) tell: mpsc::UnboundedSender<Heard>,
}

impl Host for RecordedUser {
    fn abilities(&self) -> HostAbilities {
        self.abilities
    }

    fn apply(&self, proposal: Proposal) -> BoxFuture<'_, ApplyReply> {
        let (give, reply) = oneshot::channel();
        // Whoever conducts is gone only when the replay is over; then there is no answer any more.
        let _ = self.tell.send(Heard::Proposed(proposal.changes, give));
        async move { reply.await.unwrap_or(ApplyReply::Silent) }.boxed()
    }

    fn ask(&self, question: Question) -> BoxFuture<'_, Option<usize>> {
        let answer = lock(&self.approvals).get_mut(&question.message).and_then(VecDeque::pop_front);
        let at = answer.and_then(|answer| question.choices.iter().position(|choice| **choice == *answer));
        std::future::ready(at).boxed()
    }

    fn event(&self, event: RunEvent) {
        if let EventKind::ToolFinished { call_id, .. } = event.kind {
            let _ = self.tell.send(Heard::Finished(call_id));
        }
    }

    fn notify(&self, _: Notice, _: String) {}

    fn show_answer(&self, _: &RunId, _: &str, _: &str) {}

    fn progress_begin(&self, _: &RunId, _: &str) {}

    fn progress_report(&self, _: &RunId, _: &str) {}

    fn progress_end(&self, _: &RunId, _: &str) {}

    fn status_changed(&self) {}

    fn publish(&self, _: Option<PathBuf>, _: Vec<Finding>) {}
}
