//! A response on its way in: bytes from the transport, through the parser and the vendor's decoder, out as events.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use reqwest::Response;

use crate::llm::failure::{Again, Failure};
use crate::llm::provider::Decode;
use crate::llm::reader::Reader;
use crate::llm::secrets::Secrets;
use crate::llm::transport::{read, spell};
use crate::llm::{LlmError, LlmErrorKind, StreamEvent};

/// The most bytes of one response.
const MAX_STREAM: usize = 64 << 20;
/// Signs of life without content keep a stream alive for this many idle limits.
const SILENCE: u32 = 10;
/// How long the end of a body may take after the protocol's end, before its connection is given up.
const SETTLE: Duration = Duration::from_secs(1);

/// When things happened, measured from the call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// From the last attempt's start to the head of its answer.
    pub first_byte: Duration,
    /// From the call, failed attempts and waits included, to the first event.
    pub first_event: Duration,
    /// Attempts made.
    pub attempts: u32,
}

/// The events of one response. Dropping it cancels the request.
pub struct ResponseStream {
    response: Option<Response>,
    reader: Reader,
    ready: VecDeque<StreamEvent>,
    /// What ended the stream; told after the events before it.
    failed: Option<Failure>,
    idle: Duration,
    last_event: Instant,
    received: usize,
    request_id: Option<String>,
    secrets: Secrets,
    pub(crate) timing: Timing,
}

impl std::fmt::Debug for ResponseStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseStream")
            .field("received", &self.received)
            .field("timing", &self.timing)
            .finish_non_exhaustive()
    }
}

impl ResponseStream {
    pub(crate) fn new(response: Response, decoder: Box<dyn Decode>, idle: Duration, secrets: Secrets) -> Self {
        let request_id = ["x-request-id", "request-id"]
            .iter()
            .find_map(|name| response.headers().get(*name)?.to_str().ok())
            .map(|id| crate::llm::failure::clip(id, 200));
        Self {
            response: Some(response),
            reader: Reader::new(decoder),
            ready: VecDeque::new(),
            failed: None,
            idle,
            last_event: Instant::now(),
            received: 0,
            request_id,
            secrets,
            timing: Timing::default(),
        }
    }

    /// When things happened.
    pub fn timing(&self) -> Timing {
        self.timing
    }

    /// Waits for the first event. A failure that came with it counts as one before it: nothing has been shown.
    pub(crate) async fn first_event(&mut self) -> Result<(), Failure> {
        while self.ready.is_empty() && self.response.is_some() {
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
    pub async fn next(&mut self) -> Result<Option<StreamEvent>, LlmError> {
        loop {
            if let Some(mut event) = self.ready.pop_front() {
                if let StreamEvent::Done(response) = &mut event {
                    response.request_id.clone_from(&self.request_id);
                    self.settle();
                }
                return Ok(Some(event));
            }
            if let Some(failure) = self.failed.take() {
                let mut error = self.secrets.clean(failure.error);
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
        let chunk = match read(response, self.idle).await {
            Ok(Some(chunk)) => chunk,
            Ok(None) => return self.over(None),
            Err(failure) => return self.over(Some(failure)),
        };
        self.received += chunk.len();
        if self.received > MAX_STREAM {
            return self.fail(Failure {
                again: Again::Never,
                ..Failure::bad_response(format!("the response is larger than {} MiB", MAX_STREAM >> 20))
            });
        }
        let mut out = Vec::new();
        let fed = self.reader.feed(&chunk, &mut out);
        if !out.is_empty() {
            self.last_event = Instant::now();
        }
        self.ready.extend(out);
        if let Err(failure) = fed {
            return self.fail(failure);
        }
        let silence = self.idle * SILENCE;
        if self.last_event.elapsed() > silence && !self.reader.is_done() {
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
        self.response = None;
        let mut out = Vec::new();
        let ended = self.reader.end(&mut out);
        self.ready.extend(out);
        if let Err(cut) = ended {
            self.failed = Some(broken.unwrap_or(cut));
        }
    }

    fn fail(&mut self, failure: Failure) {
        self.response = None;
        self.failed = Some(failure);
    }

    /// The answer is complete. Its connection is only given back to the pool once the body has been read to the end,
    /// and that may still be on its way.
    fn settle(&mut self) {
        let Some(mut response) = self.response.take() else { return };
        while let Some(chunk) = response.chunk().now_or_never() {
            match chunk {
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return,
            }
        }
        if response.version() == reqwest::Version::HTTP_11 {
            #[expect(
                clippy::disallowed_methods,
                reason = "ends itself after a second and touches nothing but its socket"
            )]
            tokio::spawn(async move {
                let rest = async { while let Ok(Some(_)) = response.chunk().await {} };
                // If it takes longer the connection is closed, which costs the next request a handshake.
                let _ = tokio::time::timeout(SETTLE, rest).await;
            });
        }
    }
}
