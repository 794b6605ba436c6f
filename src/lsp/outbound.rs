//! The one way out to the client: answers, notifications and our own requests, in the order they are given.
//!
//! tower-lsp's own `Client` is not used. Its channel holds one message, so every sender would wait for the client to
//! read, and a run would be coupled to a slow editor; and 0.20 of its family panics on a late answer. Here sending
//! never waits: messages go into a queue with a limit in bytes ([`queue`]), one thread writes them, and a request's
//! answer finds its way through a map of our own. A future that is dropped forgets its id, and an answer that nobody
//! waits for is ignored.

mod queue;

use std::collections::HashMap;
use std::io::Write;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;
use tokio::sync::oneshot;
use tower_lsp::jsonrpc::Response;

use self::queue::{Queue, Queued, Worth};

pub use self::queue::Depth;
use super::end::{End, Ending};

/// A handle to the way out; copies share it.
#[derive(Clone)]
pub struct Outbound {
    inner: Arc<Inner>,
}

struct Inner {
    queue: Queue,
    pending: Mutex<HashMap<u64, oneshot::Sender<Result<Value, RequestError>>>>,
    next: AtomicU64,
    ending: Arc<Ending>,
}

/// Why a request to the client has no result.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum RequestError {
    /// The session ended first.
    #[error("the editor went away before it answered")]
    Closed,
    /// The client answered with an error.
    #[error("the editor answered with error {code}: {message}")]
    Refused {
        /// The JSON-RPC code.
        code: i64,
        /// The client's words.
        message: String,
    },
}

#[derive(Serialize)]
struct Message<'a, P> {
    jsonrpc: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    method: &'a str,
    params: P,
}

#[derive(Serialize)]
struct Failure<'a> {
    jsonrpc: &'static str,
    id: &'a Value,
    error: FailureError<'a>,
}

#[derive(Serialize)]
struct FailureError<'a> {
    code: i64,
    message: &'a str,
}

/// An error object as clients send it; lenient, since it is only shown.
#[derive(Deserialize)]
struct ClientError {
    #[serde(default)]
    code: Value,
    #[serde(default)]
    message: Value,
}

impl Outbound {
    /// Starts the thread that writes to `sink`. Its failure, or a client that reads nothing, is announced to `ending`.
    pub fn start(sink: impl Write + Send + 'static, ending: Arc<Ending>) -> std::io::Result<Self> {
        let inner =
            Arc::new(Inner { queue: Queue::default(), pending: Mutex::default(), next: AtomicU64::new(1), ending });
        let writer = Arc::clone(&inner);
        std::thread::Builder::new().name("lsp-writer".into()).spawn(move || {
            if let Err(error) = writer.queue.write_to(sink) {
                tracing::debug!(%error, "cannot write to the client");
                writer.ending.announce(End::Broken);
            }
        })?;
        Ok(Self { inner })
    }

    /// Sends a notification.
    pub fn notify(&self, method: &str, params: impl Serialize) {
        self.send(&Message { jsonrpc: "2.0", id: None, method, params }, None, Worth::Kept);
    }

    /// Sends a notification that may be dropped while the client is slow. With a `key`, it takes the place of an
    /// earlier one of that key which has not been written yet.
    pub fn notify_lossy(&self, key: Option<&str>, method: &str, params: impl Serialize) {
        self.send(&Message { jsonrpc: "2.0", id: None, method, params }, key, Worth::Lossy);
    }

    /// Sends a request; it is on its way when this returns, whether or not the future is polled. Dropping the future
    /// means that the answer is not wanted any more. There is no timeout here: who asks knows how long to wait.
    pub fn request(&self, method: &str, params: impl Serialize) -> Answer {
        let number = self.inner.next.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        self.pending().insert(number, sender);
        let id = format!("ropeway/{number}");
        if !self.send(&Message { jsonrpc: "2.0", id: Some(&id), method, params }, None, Worth::Kept) {
            self.pending().remove(&number);
        }
        Answer { receiver, number, outbound: self.clone() }
    }

    /// Bytes that wait for the client to read them.
    pub fn waiting_bytes(&self) -> usize {
        self.inner.queue.bytes()
    }

    /// What waits for the client to read it.
    pub fn waiting(&self) -> Depth {
        self.inner.queue.depth()
    }

    /// Sends the answer to a request of the client.
    pub(super) fn respond(&self, response: &Response) {
        self.send(response, None, Worth::Kept);
    }

    /// Answers with an error, to an id that need not be one that the protocol allows; `null` if none is known.
    pub(super) fn respond_error(&self, id: &Value, code: i64, message: &str) {
        self.send(&Failure { jsonrpc: "2.0", id, error: FailureError { code, message } }, None, Worth::Kept);
    }

    /// Hands an answer of the client to whoever waits for it, if anybody does. `body` is the result, or the error.
    pub(super) fn settle(&self, id: &str, body: Result<Value, Value>) {
        let waiter = id
            .strip_prefix("ropeway/")
            .and_then(|number| number.parse().ok())
            .and_then(|number| self.pending().remove(&number));
        let Some(waiter) = waiter else {
            tracing::debug!("an answer that nobody waits for");
            return;
        };
        let body = body.map_err(|error| {
            let error: ClientError =
                serde_json::from_value(error).unwrap_or(ClientError { code: Value::Null, message: Value::Null });
            let message = error.message.as_str().unwrap_or("no reason given").chars().take(2000).collect();
            RequestError::Refused { code: error.code.as_i64().unwrap_or(0), message }
        });
        // The one who waited may have gone in this very moment.
        let _ = waiter.send(body);
    }

    /// Takes no more messages, fails every request that still waits, and waits until the client has been given what
    /// was queued, at most this long.
    pub(super) fn close(&self, patience: Duration) {
        self.pending().clear();
        self.inner.queue.close(patience);
        self.pending().clear();
    }

    fn pending(&self) -> std::sync::MutexGuard<'_, HashMap<u64, oneshot::Sender<Result<Value, RequestError>>>> {
        self.inner.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, message: &impl Serialize, key: Option<&str>, worth: Worth) -> bool {
        let body = match serde_json::to_vec(message) {
            Ok(body) => body,
            Err(error) => {
                tracing::error!(%error, "a message to the client cannot be written as JSON");
                return false;
            }
        };
        match self.inner.queue.push(body, key, worth) {
            Queued::Yes => true,
            Queued::Dropped => false,
            Queued::Deaf => {
                tracing::warn!("the client has read nothing of 256 MiB, it is given up");
                self.inner.ending.announce(End::Deaf);
                false
            }
        }
    }
}

/// The future of a request's answer.
#[must_use = "dropping this means that the answer is not wanted"]
pub struct Answer {
    receiver: oneshot::Receiver<Result<Value, RequestError>>,
    number: u64,
    outbound: Outbound,
}

impl Future for Answer {
    type Output = Result<Value, RequestError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.receiver).poll(context).map(|settled| settled.unwrap_or(Err(RequestError::Closed)))
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.outbound.pending().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outbound() -> Outbound {
        Outbound::start(std::io::sink(), Arc::default()).unwrap()
    }

    #[tokio::test]
    async fn an_answer_finds_its_request_and_an_error_keeps_its_words() {
        let outbound = outbound();
        let (a, b, c) = (
            outbound.request("m", Value::Null),
            outbound.request("m", Value::Null),
            outbound.request("m", Value::Null),
        );
        outbound.settle("ropeway/2", Ok(Value::from(2)));
        outbound.settle("ropeway/1", Err(serde_json::json!({"code": -32603, "message": "no"})));
        outbound.settle("ropeway/3", Err(serde_json::json!([])));
        assert_eq!(b.await, Ok(Value::from(2)));
        assert_eq!(a.await, Err(RequestError::Refused { code: -32603, message: "no".into() }));
        assert_eq!(c.await, Err(RequestError::Refused { code: 0, message: "no reason given".into() }));
    }

    #[tokio::test]
    async fn a_dropped_request_is_forgotten_and_strange_answers_are_ignored() {
        let outbound = outbound();
        drop(outbound.request("m", Value::Null));
        assert!(outbound.pending().is_empty());
        for id in ["ropeway/1", "ropeway/99", "ropeway/x", "other", ""] {
            outbound.settle(id, Ok(Value::Null));
        }
        let answer = outbound.request("m", Value::Null);
        outbound.close(Duration::ZERO);
        assert_eq!(answer.await, Err(RequestError::Closed));
        assert_eq!(outbound.request("m", Value::Null).await, Err(RequestError::Closed));
    }
}
