//! An answer as its reader has it: its own connection, one shared with others who asked the same, or one remembered.

use std::sync::Arc;
use std::time::Duration;

use crate::llm::answers::Key;
use crate::llm::client::Client;
use crate::llm::flight::Flight;
use crate::llm::live::Live;
use crate::llm::{LlmError, StreamEvent};

/// When things happened, measured from the call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// From the last attempt's start to the head of its answer; nothing where the answer was shared or remembered.
    pub first_byte: Duration,
    /// From the call, failed attempts and waits included, to the first event.
    pub first_event: Duration,
    /// Attempts made; 0 where the answer was remembered.
    pub attempts: u32,
}

enum Source {
    Own(Box<Live>),
    Shared {
        flight: Arc<Flight>,
        at: usize,
        /// Where the whole answer is to be remembered.
        keep: Option<(Arc<Client>, Key)>,
    },
    Remembered {
        events: Arc<[StreamEvent]>,
        at: usize,
    },
}

/// The events of one response. Dropping it cancels the request, unless others wait for the same.
pub struct ResponseStream {
    source: Source,
    timing: Timing,
    broken_prefix: Option<String>,
}

impl std::fmt::Debug for ResponseStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseStream").field("timing", &self.timing).finish_non_exhaustive()
    }
}

impl ResponseStream {
    pub(crate) fn own(live: Box<Live>, first_event: Duration) -> Self {
        let timing = Timing { first_event, ..live.timing };
        Self { source: Source::Own(live), timing, broken_prefix: None }
    }

    pub(crate) fn shared(flight: Arc<Flight>, keep: Option<(Arc<Client>, Key)>, first_event: Duration) -> Self {
        let timing = Timing { first_event, attempts: flight.attempts(), ..Timing::default() };
        Self { source: Source::Shared { flight, at: 0, keep }, timing, broken_prefix: None }
    }

    pub(crate) fn remembered(events: Arc<[StreamEvent]>, first_event: Duration) -> Self {
        let timing = Timing { first_event, ..Timing::default() };
        Self { source: Source::Remembered { events, at: 0 }, timing, broken_prefix: None }
    }

    /// Of a request that did not begin as the one before it in its conversation did.
    pub(crate) fn after(self, broken_prefix: Option<String>) -> Self {
        Self { broken_prefix, ..self }
    }

    /// What changed in the beginning of the conversation, so that what the provider had cached of it is of no use. Told
    /// once.
    pub fn take_broken_prefix(&mut self) -> Option<String> {
        self.broken_prefix.take()
    }

    /// When things happened.
    pub fn timing(&self) -> Timing {
        self.timing
    }

    /// Whether the answer, having failed, may be asked for again: nothing of it can have been acted on, and the failure
    /// may pass.
    pub fn may_restart(&self) -> bool {
        match &self.source {
            Source::Own(live) => live.may_restart(),
            Source::Shared { flight, .. } => flight.may_restart(),
            Source::Remembered { .. } => false,
        }
    }

    /// The next event; `None` after `Done`, and after an error. Dropping the future before it is ready loses nothing.
    ///
    /// # Errors
    /// The response failed. Events that came before have been given; no `Done` has.
    pub async fn next(&mut self) -> Result<Option<StreamEvent>, LlmError> {
        match &mut self.source {
            Source::Own(live) => live.next().await,
            Source::Shared { flight, at, keep } => {
                let event = flight.event(*at).await?;
                if matches!(event, Some(StreamEvent::Done(_)))
                    && let Some((client, key)) = keep.take()
                    && let Some(events) = flight.recording()
                {
                    client.remember(key, &events).await;
                }
                // Last, so that who goes away meanwhile loses nothing.
                *at += usize::from(event.is_some());
                Ok(event)
            }
            Source::Remembered { events, at } => {
                let event = events.get(*at).cloned();
                *at += usize::from(event.is_some());
                Ok(event)
            }
        }
    }
}
