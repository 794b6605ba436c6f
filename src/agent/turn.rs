//! One streamed model call, as something that can be waited for beside tools and a cancel.
//!
//! Opening the connection (with its retries) and reading the stream are one future that keeps its place when it is
//! dropped between two polls, so `run` can select over it.

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::BoxFuture;
use tokio::sync::mpsc;

use crate::config::ProviderConfig;
use crate::llm::client::{Client, RetryNotice};
use crate::llm::{LlmError, Request, ResponseStream, StreamEvent};

/// A model call under way. Dropping it closes the stream.
pub struct Turn {
    state: State,
    retries: mpsc::UnboundedReceiver<RetryNotice>,
    /// When the request was made.
    pub started: Instant,
    /// Whether anything of the answer has been seen.
    pub spoke: bool,
}

enum State {
    Opening(BoxFuture<'static, Result<ResponseStream, LlmError>>),
    Streaming(Box<ResponseStream>),
    Over,
}

/// What a turn yields.
#[derive(Debug)]
pub enum TurnEvent {
    /// The request is made again after a failure.
    Retry(RetryNotice),
    /// Something of the response.
    Stream(StreamEvent),
}

impl Turn {
    /// Makes the request. Nothing happens before the first `next`.
    pub fn new(client: Arc<Client>, provider: Arc<ProviderConfig>, request: Request) -> Self {
        let (notices, retries) = mpsc::unbounded_channel();
        let opening = async move {
            let tell = move |notice: RetryNotice| {
                // The run may be gone; then nobody wants to know.
                let _ = notices.send(notice);
            };
            client.stream(&provider, &request, &tell).await
        };
        Self { state: State::Opening(Box::pin(opening)), retries, started: Instant::now(), spoke: false }
    }

    /// The next thing that happens; `None` once the response is over. Safe to drop and call again.
    pub async fn next(&mut self) -> Result<Option<TurnEvent>, LlmError> {
        loop {
            match &mut self.state {
                State::Over => return Ok(None),
                State::Opening(opening) => {
                    tokio::select! {
                        biased;
                        Some(notice) = self.retries.recv() => return Ok(Some(TurnEvent::Retry(notice))),
                        stream = opening => match stream {
                            Ok(stream) => self.state = State::Streaming(Box::new(stream)),
                            Err(error) => {
                                self.state = State::Over;
                                return Err(error);
                            }
                        },
                    }
                }
                State::Streaming(stream) => {
                    let event = stream.next().await;
                    if !matches!(event, Ok(Some(_))) {
                        self.state = State::Over;
                    }
                    return Ok(event?.map(TurnEvent::Stream));
                }
            }
        }
    }
}
