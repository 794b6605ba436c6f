//! A response on its way in: bytes from the transport, through the parser and the vendor's decoder, out as events.
//!
//! Nothing is read that nobody waits for, so a slow reader slows the server down. What a response needs of memory is
//! kept for the next one.

use std::sync::Arc;
use std::time::Instant;

use reqwest::Response;

use crate::config::ProviderConfig;
use crate::llm::failure::{Again, Failure};
use crate::llm::pace::Permit;
use crate::llm::provider::Decode;
use crate::llm::reader::Reader;
use crate::llm::reader::Spares;
use crate::llm::secrets::Secrets;
use crate::llm::stream::Timing;
use crate::llm::transport::{read, spell};
use crate::llm::turnover::give_back;
use crate::llm::{LlmError, LlmErrorKind, StreamEvent};

/// The most bytes of one response.
const MAX_STREAM: usize = 64 << 20;
/// Signs of life without content keep a stream alive for this many idle limits.
const SILENCE: u32 = 10;

/// The events of one response. Dropping it cancels the request.
pub(crate) struct Live {
    response: Option<Response>,
    reader: Reader,
    /// Decoded and not given yet, and how many of them were given.
    ready: Vec<StreamEvent>,
    given: usize,
    /// What ended the stream; told after the events before it.
    failed: Option<Failure>,
    provider: Arc<ProviderConfig>,
    last_event: Instant,
    received: usize,
    request_id: Option<String>,
    /// Whether a complete call was given: it may have been run.
    called: bool,
    /// Whether the runtime has had a turn between the answer's end and its telling.
    yielded: bool,
    may_restart: bool,
    permit: Option<Permit>,
    spares: Arc<Spares>,
    pub(crate) timing: Timing,
}

impl Drop for Live {
    fn drop(&mut self) {
        self.ready.clear();
        self.spares.give_back(self.reader.take_buffers(), std::mem::take(&mut self.ready));
    }
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live").field("received", &self.received).field("timing", &self.timing).finish_non_exhaustive()
    }
}

impl Live {
    /// A response whose head came at this moment.
    pub(crate) fn new(
        response: Response,
        head: Instant,
        decoder: Box<dyn Decode>,
        provider: &Arc<ProviderConfig>,
        permit: Permit,
        spares: &Arc<Spares>,
    ) -> Self {
        let (buffers, ready) = spares.take();
        let request_id = ["x-request-id", "request-id"]
            .iter()
            .find_map(|name| response.headers().get(*name)?.to_str().ok())
            .map(|id| crate::llm::failure::clip(id, 200));
        Self {
            response: Some(response),
            reader: Reader::with(decoder, buffers),
            ready,
            given: 0,
            failed: None,
            provider: Arc::clone(provider),
            last_event: head,
            received: 0,
            request_id,
            called: false,
            yielded: false,
            may_restart: false,
            permit: Some(permit),
            spares: Arc::clone(spares),
            timing: Timing::default(),
        }
    }

    /// Whether the answer, having failed, may be asked for again: no call of it was given, and the failure may pass.
    pub(crate) fn may_restart(&self) -> bool {
        self.may_restart
    }

    /// Waits for the first event. A failure that came with it counts as one before it: nothing has been shown.
    pub(crate) async fn first_event(&mut self) -> Result<(), Failure> {
        while self.given == self.ready.len() && self.response.is_some() {
            self.fill().await;
        }
        match self.failed.take() {
            Some(failure) => Err(failure),
            None => Ok(()),
        }
    }

    /// The next event; `None` after `Done`, and after an error. Dropping the future before it is ready loses nothing.
    ///
    /// # Errors
    /// The response failed. Events that came before have been given; no `Done` has.
    pub(crate) async fn next(&mut self) -> Result<Option<StreamEvent>, LlmError> {
        loop {
            if let Some(StreamEvent::Done(_)) = self.ready.get(self.given)
                && !std::mem::replace(&mut self.yielded, true)
            {
                // The end of the body has mostly come by now, too. Read before the reader sends its next request, it
                // leaves that one a free connection.
                tokio::task::yield_now().await;
            }
            if let Some(slot) = self.ready.get_mut(self.given) {
                self.given += 1;
                // An empty text takes no memory.
                let mut event = std::mem::replace(slot, StreamEvent::Text(String::new()));
                match &mut event {
                    StreamEvent::Done(response) => {
                        response.request_id.clone_from(&self.request_id);
                        self.settle();
                    }
                    StreamEvent::Call { .. } => self.called = true,
                    _ => {}
                }
                return Ok(Some(event));
            }
            self.ready.clear();
            self.given = 0;
            if let Some(failure) = self.failed.take() {
                self.may_restart = failure.again != Again::Never && !self.called;
                let mut error = Secrets::of(&self.provider).clean(failure.error);
                error.request_id = error.request_id.or_else(|| self.request_id.clone());
                return Err(error);
            }
            if self.response.is_none() {
                return Ok(None);
            }
            self.fill().await;
        }
    }

    /// Reads once and decodes what came. A failure is kept until the events before it are given.
    async fn fill(&mut self) {
        let Some(response) = &mut self.response else { return };
        let chunk = match read(response, self.provider.timeouts.idle).await {
            Ok(Some(chunk)) => chunk,
            Ok(None) => {
                // Its connection may not be back yet.
                if let Some(response) = self.response.take() {
                    give_back(response);
                }
                return self.over(None);
            }
            Err(failure) => return self.over(Some(failure)),
        };
        self.received += chunk.len();
        if self.received > MAX_STREAM {
            return self.fail(Failure {
                again: Again::Never,
                ..Failure::bad_response(format!("the response is larger than {} MiB", MAX_STREAM >> 20))
            });
        }
        let before = self.ready.len();
        let fed = self.reader.feed(&chunk, &mut self.ready);
        if let Err(failure) = fed {
            return self.fail(failure);
        }
        // One look at the clock for each read: they come by the thousand.
        let now = Instant::now();
        if self.ready.len() > before {
            self.last_event = now;
            return;
        }
        let silence = self.provider.timeouts.idle * SILENCE;
        if now - self.last_event > silence && !self.reader.is_done() {
            self.fail(Failure::new(
                LlmErrorKind::Timeout,
                format!("the response gave signs of life but no content for {}", spell(silence)),
                "try again, or ask for less reasoning",
                Again::Never,
            ));
        }
    }

    /// The body is over, well or badly. Whether that is an error is for the protocol to say: everything may have come.
    fn over(&mut self, broken: Option<Failure>) {
        self.close();
        let ended = self.reader.end(&mut self.ready);
        if let Err(cut) = ended {
            self.failed = Some(broken.unwrap_or(cut));
        }
    }

    /// The connection is given up, and with it the right to have one.
    fn close(&mut self) {
        self.response = None;
        self.permit = None;
    }

    fn fail(&mut self, failure: Failure) {
        self.close();
        self.failed = Some(failure);
    }

    /// The answer is complete.
    fn settle(&mut self) {
        // The connection first: who has the next turn, perhaps on another thread, is to find it on its way.
        if let Some(response) = self.response.take() {
            give_back(response);
        }
        self.permit = None;
    }
}
