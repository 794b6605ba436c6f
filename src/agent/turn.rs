//! One streamed model call, as something that can be waited for beside tools and a cancel.
//!
//! Opening the connection (with its retries) and reading the stream are one future that keeps its place when it is
//! dropped between two polls, so `run` can select over it. An answer that breaks off before anything of it can have
//! been acted on is asked for again, once, and that is said.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use tokio::sync::mpsc;

use crate::llm::client::{Call, Client, RetryNotice};
use crate::llm::{LlmError, ResponseStream, StreamEvent};

/// A model call under way. Dropping it closes the stream.
pub struct Turn {
    client: Arc<Client>,
    call: Call,
    state: State,
    notices: mpsc::UnboundedReceiver<RetryNotice>,
    restarted: bool,
    /// The call as those who collect traces see it.
    pub trace: tracing::Span,
    /// When the request was made.
    pub started: Instant,
    /// From the request to the first content of the answer.
    pub first: Option<Duration>,
    /// When content came last.
    pub last: Option<Instant>,
    /// From the last attempt's departure to the head of its answer.
    pub first_byte: Option<Duration>,
    /// Times it was asked again, or another model was.
    pub retries: u32,
}

enum State {
    Opening(BoxFuture<'static, Result<ResponseStream, LlmError>>),
    Streaming(Box<ResponseStream>),
    Over,
}

/// What a turn yields.
#[derive(Debug)]
pub enum TurnEvent {
    /// The request is made again after a failure, or another model is asked.
    Retry(RetryNotice),
    /// The conversation does not begin as the provider has it cached; this is what changed.
    PrefixBroken(String),
    /// Something of the response.
    Stream(StreamEvent),
}

fn open(client: &Arc<Client>, call: &Call) -> (State, mpsc::UnboundedReceiver<RetryNotice>) {
    let (notices, retries) = mpsc::unbounded_channel();
    let (client, call) = (Arc::clone(client), call.clone());
    let opening = async move {
        let tell = move |notice: RetryNotice| {
            // The run may be gone; then nobody wants to know.
            let _ = notices.send(notice);
        };
        client.call(call, &tell).await
    };
    (State::Opening(Box::pin(opening)), retries)
}

impl Turn {
    /// Makes the request. Nothing happens before the first `next`.
    pub fn new(client: Arc<Client>, call: Call, trace: tracing::Span) -> Self {
        let (state, notices) = open(&client, &call);
        Self {
            client,
            call,
            state,
            notices,
            restarted: false,
            trace,
            started: Instant::now(),
            first: None,
            last: None,
            first_byte: None,
            retries: 0,
        }
    }

    /// Notes that content has come; says whether it is the first.
    pub fn spoke(&mut self) -> bool {
        let now = Instant::now();
        self.last = Some(now);
        let first = self.first.is_none();
        self.first.get_or_insert_with(|| now.saturating_duration_since(self.started));
        first
    }

    /// The next thing that happens; `None` once the response is over. Safe to drop and call again.
    pub async fn next(&mut self) -> Result<Option<TurnEvent>, LlmError> {
        loop {
            match &mut self.state {
                State::Over => return Ok(None),
                State::Opening(opening) => {
                    tokio::select! {
                        biased;
                        Some(notice) = self.notices.recv() => {
                            self.retries += u32::from(notice.attempt > 0);
                            return Ok(Some(TurnEvent::Retry(notice)));
                        }
                        stream = opening => match stream {
                            Ok(stream) => {
                                self.first_byte = Some(stream.timing().first_byte).filter(|byte| !byte.is_zero());
                                self.state = State::Streaming(Box::new(stream));
                            }
                            Err(error) => {
                                self.state = State::Over;
                                return Err(error);
                            }
                        },
                    }
                }
                State::Streaming(stream) => {
                    // What was told while the stream was opened comes before what it says.
                    if let Ok(notice) = self.notices.try_recv() {
                        self.retries += u32::from(notice.attempt > 0);
                        return Ok(Some(TurnEvent::Retry(notice)));
                    }
                    if let Some(why) = stream.take_broken_prefix() {
                        return Ok(Some(TurnEvent::PrefixBroken(why)));
                    }
                    let event = match stream.next().await {
                        Ok(event) => event,
                        Err(error) if stream.may_restart() && !self.restarted && self.client.retries() => {
                            self.restarted = true;
                            (self.state, self.notices) = open(&self.client, &self.call);
                            self.retries += 1;
                            let why = format!("{}; the answer begins again", error.message);
                            let notice = RetryNotice { attempt: 1, wait: Duration::ZERO, why, instead: None };
                            return Ok(Some(TurnEvent::Retry(notice)));
                        }
                        Err(error) => {
                            self.state = State::Over;
                            return Err(error);
                        }
                    };
                    if event.is_none() {
                        self.state = State::Over;
                    }
                    return Ok(event.map(TurnEvent::Stream));
                }
            }
        }
    }
}
