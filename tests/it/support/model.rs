//! A model server on loopback whose every byte is decided by the test.
//!
//! It runs on a thread with a runtime of its own, so a test of any kind (blocking, one thread, many) can use it. Two
//! ways to answer, by request: `script` (or `answer_with`) plays whole turns in the protocol of the request's path;
//! what no script covers is handed to `expect`, which gives the request and a `Reply` that sends when told to, chunk
//! by chunk: the test picks the interleaving and never sleeps.
#![allow(dead_code, reason = "each test uses a part of it")]

pub mod anthropic;
pub mod google;
pub mod ollama;
pub mod openai;
pub mod responses;
mod turn;
mod wire;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{mpsc, watch};

pub use self::turn::Turn;
pub use self::wire::Reply;

/// The protocols a request can be in; the path tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// `…/chat/completions`
    OpenAi,
    /// `…/responses`
    Responses,
    /// `…/messages`
    Anthropic,
    /// `…:streamGenerateContent`
    Google,
    /// `…/api/chat`
    Ollama,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Received {
    /// `POST`
    pub method: String,
    /// With the query.
    pub path: String,
    /// Names in lower case, in wire order.
    pub headers: Vec<(String, String)>,
    /// The body's bytes.
    pub bytes: Vec<u8>,
    /// The body as JSON, `null` if it is none.
    pub body: serde_json::Value,
    /// Which connection brought it, counted from 1: two requests with one number shared it.
    pub connection: usize,
}

impl Received {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(have, _)| have == name).map(|(_, value)| value.as_str())
    }

    /// The protocol its path belongs to.
    pub fn protocol(&self) -> Protocol {
        match self.path.split('?').next().unwrap_or("") {
            path if path.ends_with("/messages") => Protocol::Anthropic,
            path if path.ends_with("/responses") => Protocol::Responses,
            path if path.ends_with(":streamGenerateContent") => Protocol::Google,
            path if path.ends_with("/api/chat") => Protocol::Ollama,
            _ => Protocol::OpenAi,
        }
    }

    /// The messages of the body, whatever the protocol calls them.
    pub fn messages(&self) -> &[serde_json::Value] {
        let key = match self.protocol() {
            Protocol::OpenAi | Protocol::Anthropic | Protocol::Ollama => "messages",
            Protocol::Responses => "input",
            Protocol::Google => "contents",
        };
        self.body[key].as_array().map_or(&[], Vec::as_slice)
    }

    /// The texts that a user or a tool sent last, joined: what the model is to react to.
    pub fn last_message(&self) -> String {
        self.messages().last().map(ToString::to_string).unwrap_or_default()
    }
}

type Answer = Box<dyn FnMut(&Received) -> Option<Turn> + Send>;

#[derive(Default)]
struct State {
    turns: VecDeque<Turn>,
    answer: Option<Answer>,
    requests: Vec<Received>,
    /// Only this many of the last requests are kept.
    kept: Option<usize>,
    warmed: Vec<Received>,
}

/// What the connections share.
struct Shared {
    state: Mutex<State>,
    connections: AtomicUsize,
    waiting: mpsc::UnboundedSender<(Received, Reply)>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the request and finds the turn that answers it, if a script has one.
    fn take(&self, request: &Received) -> Option<Turn> {
        let mut state = self.state();
        state.requests.push(request.clone());
        if let Some(kept) = state.kept {
            let surplus = state.requests.len().saturating_sub(kept);
            state.requests.drain(..surplus);
        }
        if let Some(turn) = state.turns.pop_front() {
            return Some(turn);
        }
        let mut answer = state.answer.take()?;
        drop(state);
        let turn = answer(request);
        self.state().answer = Some(answer);
        turn
    }
}

/// The server; it stops when dropped.
pub struct Model {
    address: SocketAddr,
    shared: Arc<Shared>,
    waiting: tokio::sync::Mutex<mpsc::UnboundedReceiver<(Received, Reply)>>,
    stop: watch::Sender<bool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Model {
    /// Listens on a free loopback port.
    pub fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (waiting, expected) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared { state: Mutex::default(), connections: AtomicUsize::new(0), waiting });
        let (stop, stopped) = watch::channel(false);
        let thread = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(wire::serve(listener, shared, stopped));
            }
        });
        Self { address, shared, waiting: tokio::sync::Mutex::new(expected), stop, thread: Some(thread) }
    }

    /// `http://127.0.0.1:PORT`
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The base URL for a provider of kind `openai`: with `/v1`.
    pub fn openai_url(&self) -> String {
        format!("{}/v1", self.origin())
    }

    /// The base URL for a provider of any other kind: without a version.
    pub fn anthropic_url(&self) -> String {
        self.origin()
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Plays these turns, one a request, after those already waiting. Requests beyond them go to `expect`.
    pub fn script(&self, turns: impl IntoIterator<Item = Turn>) {
        self.shared.state().turns.extend(turns);
    }

    /// Asks `answer` for the turn of each request that no script covers; `None` hands it to `expect`.
    pub fn answer_with(&self, answer: impl FnMut(&Received) -> Option<Turn> + Send + 'static) {
        self.shared.state().answer = Some(Box::new(answer));
    }

    /// The next request that no script covers, and the handle to answer it.
    pub async fn expect(&self) -> (Received, Reply) {
        self.waiting.lock().await.recv().await.expect("the model server runs as long as `Model` lives")
    }

    /// `expect` for a test without a runtime.
    pub fn expect_blocking(&self) -> (Received, Reply) {
        self.waiting.blocking_lock().blocking_recv().expect("the model server runs as long as `Model` lives")
    }

    /// A request that waits for an answer now, if there is one.
    pub fn try_expect(&self) -> Option<(Received, Reply)> {
        self.waiting.try_lock().ok()?.try_recv().ok()
    }

    /// All requests so far, scripted ones included.
    pub fn requests(&self) -> Vec<Received> {
        self.shared.state().requests.clone()
    }

    /// Requests so far that only opened a connection.
    pub fn warmed(&self) -> Vec<Received> {
        self.shared.state().warmed.clone()
    }

    /// Keeps only the last requests, for a run that makes thousands.
    pub fn keep_last(&self, count: usize) {
        self.shared.state().kept = Some(count);
    }

    /// Turns of the script that no request has taken yet.
    pub fn turns_left(&self) -> usize {
        self.shared.state().turns.len()
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
