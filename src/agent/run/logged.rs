//! What only the run itself can tell the recorder: model calls from the request to the last word, and tools in full.

use std::sync::Arc;
use std::time::Duration;

use super::Run;
use crate::agent::events::Events;
use crate::agent::record::us;
use crate::agent::turn::{Turn, TurnEvent};
use crate::ids::CallId;
use crate::llm::{LlmError, Request, StreamEvent};
use crate::tools::scheduler::Begun;
use crate::trajectory::record::{Purpose, ToolFinished, ToolStarted};

impl Run<'_> {
    /// The model is about to be asked.
    pub(super) fn asked(&mut self, request: &Request, tokens: u64) {
        let purpose = if self.summarising { Purpose::Summary } else { Purpose::Turn };
        self.reply = self.events.log().asked(self.batch, purpose, &self.plan.model.origin, request, tokens);
    }

    /// Something came of it.
    pub(super) fn heard(&mut self, event: &Result<Option<TurnEvent>, LlmError>) {
        let Some(reply) = &mut self.reply else { return };
        match event {
            Ok(Some(TurnEvent::Retry(notice))) => {
                if notice.attempt > 0 {
                    reply.again();
                }
            }
            Ok(Some(TurnEvent::Stream(event))) => {
                reply.heard(event);
                if let StreamEvent::Call { call, .. } = event {
                    self.events.log().called(self.batch, call);
                }
            }
            Ok(Some(TurnEvent::PrefixBroken(_)) | None) => {}
            Err(error) => reply.broke(error),
        }
    }

    /// It is over.
    pub(super) fn replied(&mut self, turn: &Turn) {
        if let Some(mut reply) = self.reply.take() {
            reply.began(turn.first_byte);
            self.events.log().replied(*reply);
        }
    }

    /// A tool is over.
    #[expect(clippy::too_many_arguments, reason = "all there is to say about a call, which nobody else needs together")]
    pub(super) fn tool_logged(
        &self,
        call: &CallId,
        tool: &Arc<str>,
        summary: &str,
        waited: Duration,
        ran: Option<Duration>,
        cached: bool,
        error: Option<&String>,
        result: &Arc<str>,
    ) {
        if self.events.log().recorder().is_on() {
            self.events.log().tool_finished(ToolFinished {
                call: call.clone(),
                tool: tool.clone(),
                summary: summary.to_owned(),
                batch: self.batch,
                waited_us: us(waited),
                ran_us: ran.map(us),
                cached,
                error: error.cloned(),
                result: result.clone(),
                is_error: error.is_some(),
            });
        }
    }
}

/// A tool begins to run.
pub(super) fn tool_started(
    events: &Events,
    call: &CallId,
    tool: Arc<str>,
    summary: &str,
    arguments: Arc<str>,
    batch: u32,
    begun: &Begun,
) {
    let log = events.log();
    if log.recorder().is_on() {
        log.recorder().record(ToolStarted {
            call: call.clone(),
            tool,
            summary: summary.to_owned(),
            arguments,
            batch,
            waited_us: us(begun.waited),
            beside: begun.beside,
        });
    }
}
