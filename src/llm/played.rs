//! Answers that come from somewhere else than a provider: a recorded run that is played again.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::llm::client::{Client, ClientSettings};
use crate::llm::{LlmError, StreamEvent};

/// Whoever speaks in a model's place.
pub trait Player: fmt::Debug + Send + Sync {
    /// The answer to the next request, whatever it asks: its events, of which the last is `Done`, or why there is none.
    fn answer(&self) -> BoxFuture<'static, Result<Arc<[StreamEvent]>, LlmError>>;
}

impl Client {
    /// A client that asks nobody: `player` answers.
    pub fn played(player: Arc<dyn Player>) -> Arc<Self> {
        Arc::new(Self::made(ClientSettings::default(), Some(player)))
    }
}
