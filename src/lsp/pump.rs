//! The way in: bytes from the client become calls, in the order in which they came.
//!
//! None of the tower-lsp family's `Server::serve` loops is used. One message that cannot be decoded ends them (half a
//! surrogate pair in a document is enough), a panic kills them, four waiting handlers starve even a cancel, and an
//! unanswered applyEdit keeps them alive after the client has gone. This pump stands over the same `LspService`.
//!
//! It is a plain state machine that a plain thread feeds ([`Ingress::feed`]). What a keystroke sends goes straight to
//! [`super::handlers::sync`], with no future and no typed parameters in between. Everything else becomes a call of the
//! service, whose future is polled once here, in wire order, and only then handed to the runtime: **whatever a handler
//! does before its first await happens in the order of the messages**, and nothing it waits for holds up the next.

pub mod envelope;
pub mod frame;
pub mod repair;

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_util::FutureExt;
use serde_json::Value;
use serde_json::value::RawValue;
use tower_lsp::LspService;
use tower_lsp::jsonrpc::{Error, Id, Request, Response};
use tower_service::Service;

use self::envelope::{Envelope, Named, Told, told};
use self::frame::{Frame, Framer};
use super::backend::Backend;
use super::end::End;
use super::handlers::sync;
use super::session::Session;
use crate::metrics::Op;

const PARSE_ERROR: i64 = -32700;
const INVALID_REQUEST: i64 = -32600;
const INVALID_PARAMS: i64 = -32602;

/// The reader's side of a session.
pub struct Ingress {
    framer: Framer,
    dispatcher: Dispatcher,
}

impl Ingress {
    /// The way in to `service`, whose backend works on `session`.
    pub fn new(service: LspService<Backend>, session: Arc<Session>) -> Self {
        Self { framer: Framer::default(), dispatcher: Dispatcher { service, session, panicked: Arc::default() } }
    }

    /// Takes bytes as they arrive and does what the messages in them say; breaks when the client said `exit`.
    pub fn feed(&mut self, bytes: &[u8]) -> ControlFlow<End> {
        self.framer.push(bytes);
        let dispatcher = &mut self.dispatcher;
        self.framer.each(|frame| dispatcher.frame(&frame))
    }

    /// Nothing more will come: drops every request that still waits.
    pub fn finish(&mut self) {
        // The service's own `exit` aborts what it has pending.
        let _ = self.dispatcher.call(Request::build("exit").finish());
    }
}

struct Dispatcher {
    service: LspService<Backend>,
    session: Arc<Session>,
    /// Requests whose handler panicked: the service still holds their ids and would refuse these if used again.
    panicked: Arc<Mutex<Vec<Id>>>,
}

/// A body that cannot be read; mending it may help.
struct Unreadable;

impl Dispatcher {
    fn frame(&mut self, frame: &Frame<'_>) -> ControlFlow<End> {
        match frame {
            Frame::Body(body) => self.body(body),
            Frame::Oversized { head, length } => {
                tracing::warn!(length, "a message over 64 MiB was passed by");
                if let Some(id) = self.lost(head).id {
                    self.refuse(Some(id), INVALID_REQUEST, "this message is over the limit of 64 MiB");
                }
                ControlFlow::Continue(())
            }
            Frame::BadHeader(why) => {
                tracing::warn!(why, "a message header cannot be read");
                self.refuse(None, INVALID_REQUEST, why);
                ControlFlow::Continue(())
            }
        }
    }

    fn body(&mut self, body: &[u8]) -> ControlFlow<End> {
        if body.trim_ascii().is_empty() {
            return ControlFlow::Continue(());
        }
        let metrics = Arc::clone(self.session.workspace.metrics());
        let span = metrics.span(Op::Message);
        let flow = self.read(body);
        let why = || told(body).method.unwrap_or_default().chars().take(100).collect::<String>().into();
        span.end_why(flow.is_ok(), why);
        flow.unwrap_or(ControlFlow::Continue(()))
    }

    fn read(&mut self, body: &[u8]) -> Result<ControlFlow<End>, Unreadable> {
        if let Ok(flow) = self.message(body, false) {
            return Ok(flow);
        }
        if let Some(mended) = repair::repair(body) {
            tracing::warn!("a message held text that is not Unicode; U+FFFD stands for it now");
            if let Ok(flow) = self.message(&mended, true) {
                return Ok(flow);
            }
        }
        self.unreadable(body);
        Err(Unreadable)
    }

    /// Says what is wrong with a body that not even mending makes readable.
    fn unreadable(&self, body: &[u8]) {
        let told = self.lost(body);
        match serde_json::from_slice::<&RawValue>(body) {
            Err(_) => self.refuse(None, PARSE_ERROR, "this is not JSON"),
            Ok(json) if !json.get().starts_with('{') => {
                self.refuse(None, INVALID_REQUEST, "a message is one JSON object; this protocol has no batches");
            }
            Ok(_) if serde_json::from_slice::<Envelope<'_>>(body).is_err() => {
                self.refuse(told.id, INVALID_REQUEST, "this is not a JSON-RPC message");
            }
            Ok(_) if told.id.is_some() => {
                self.refuse(told.id, INVALID_PARAMS, "the parameters cannot be read; are they nested too deeply?");
            }
            Ok(_) => tracing::warn!(method = told.method, "the parameters of a notification cannot be read"),
        }
    }

    /// A message was lost. If it was a change of a document, our copy is wrong from now on.
    fn lost(&self, body: &[u8]) -> Told {
        let told = told(body);
        if told.method.as_deref().is_some_and(sync::is_sync) {
            sync::lost(&self.session, told.uri.as_deref());
        }
        told
    }

    fn refuse(&self, id: Option<Id>, code: i64, why: &str) {
        let id = id.and_then(|id| serde_json::to_value(id).ok()).unwrap_or(Value::Null);
        self.session.outbound.respond_error(&id, code, why);
    }

    fn message(&mut self, body: &[u8], mended: bool) -> Result<ControlFlow<End>, Unreadable> {
        if body.trim_ascii_start().first() != Some(&b'{') {
            // A list would be read as the fields in order.
            return Err(Unreadable);
        }
        let envelope: Envelope<'_> = serde_json::from_slice(body).map_err(|_| Unreadable)?;
        let Some(method) = envelope.method.as_deref() else {
            return self.response(&envelope);
        };
        if sync::is_sync(method) {
            return self.sync(method, envelope.params, mended);
        }
        let mut request = Request::build(method.to_owned());
        if let Some(params) = envelope.params {
            let params = serde_json::from_str(params.get()).map_err(|_| Unreadable)?;
            request = request.params(if method == "initialize" { Backend::wrapped(params) } else { params });
        }
        match envelope.named() {
            Named::Nothing => {}
            Named::Id(id) => request = request.id(id),
            Named::Odd(id) => {
                let why = "an id is a string or an integer";
                self.session.outbound.respond_error(&id, INVALID_REQUEST, why);
                return Ok(ControlFlow::Continue(()));
            }
        }
        Ok(self.call(request.finish()))
    }

    fn sync(&self, method: &str, params: Option<&RawValue>, mended: bool) -> Result<ControlFlow<End>, Unreadable> {
        let params = params.map_or("null", RawValue::get);
        match catch_unwind(AssertUnwindSafe(|| sync::handle(&self.session, method, params, mended))) {
            Ok(Ok(())) => Ok(ControlFlow::Continue(())),
            Ok(Err(_)) => Err(Unreadable),
            Err(_panic) => {
                tracing::error!(method, "a handler panicked");
                sync::lost(&self.session, sync::uri_of(params).as_deref());
                Ok(ControlFlow::Continue(()))
            }
        }
    }

    fn response(&self, envelope: &Envelope<'_>) -> Result<ControlFlow<End>, Unreadable> {
        let body = match (envelope.error, envelope.result) {
            (Some(error), _) => Err(serde_json::from_str(error.get()).map_err(|_| Unreadable)?),
            (None, Some(result)) => Ok(serde_json::from_str(result.get()).map_err(|_| Unreadable)?),
            (None, None) => Ok(Value::Null),
        };
        match envelope.named() {
            Named::Id(Id::String(id)) => self.session.outbound.settle(&id, body),
            Named::Nothing if envelope.error.is_none() && envelope.result.is_none() => {
                self.refuse(None, INVALID_REQUEST, "this is neither a request nor a response");
            }
            _ => tracing::debug!("an answer to nothing that we asked"),
        }
        Ok(ControlFlow::Continue(()))
    }

    fn call(&mut self, request: Request) -> ControlFlow<End> {
        let panicked = std::mem::take(&mut *self.panicked.lock().unwrap_or_else(PoisonError::into_inner));
        for id in panicked {
            let id = serde_json::to_value(id).unwrap_or(Value::Null);
            let cancel = Request::build("$/cancelRequest").params(serde_json::json!({ "id": id })).finish();
            let _ = self.poll_once(cancel);
        }
        let end = request.method() == "exit" && request.id().is_none();
        let finish = Finish {
            session: Arc::clone(&self.session),
            id: request.id().cloned(),
            method: request.method().to_owned(),
            panicked: Arc::clone(&self.panicked),
        };
        // Before the first poll: what that hands to another thread may look at the count before the poll is over.
        self.session.calls.fetch_add(1, Ordering::Relaxed);
        match self.poll_once(request) {
            Ok(done) => {
                self.session.calls.fetch_sub(1, Ordering::Relaxed);
                finish.with(done);
            }
            Err(waiting) => {
                self.session.runtime.spawn(async move {
                    let done = waiting.await;
                    finish.session.calls.fetch_sub(1, Ordering::Relaxed);
                    finish.with(done);
                });
            }
        }
        if end { ControlFlow::Break(End::Exit) } else { ControlFlow::Continue(()) }
    }

    /// Calls the service and polls the future once; gives it back if it waits for something.
    fn poll_once(&mut self, request: Request) -> Result<Done, Waiting> {
        let _in_runtime = self.session.runtime.enter();
        let mut context = Context::from_waker(Waker::noop());
        let service = &mut self.service;
        let called = catch_unwind(AssertUnwindSafe(|| match service.poll_ready(&mut context) {
            Poll::Ready(Ok(())) => Some(service.call(request)),
            Poll::Ready(Err(_)) | Poll::Pending => None,
        }));
        let mut future: Waiting = match called {
            Ok(Some(future)) => AssertUnwindSafe(async move { future.await.unwrap_or(None) }).catch_unwind().boxed(),
            Ok(None) => return Ok(Ok(None)),
            Err(panic) => return Ok(Err(panic)),
        };
        match Pin::new(&mut future).poll(&mut context) {
            Poll::Ready(done) => Ok(done),
            Poll::Pending => Err(future),
        }
    }
}

/// What came of a call: an answer, if it was a request, or a panic.
type Done = std::thread::Result<Option<Response>>;
/// A call that waits for something.
type Waiting = futures_util::future::BoxFuture<'static, Done>;

/// What is left to do when a call is done.
struct Finish {
    session: Arc<Session>,
    id: Option<Id>,
    method: String,
    panicked: Arc<Mutex<Vec<Id>>>,
}

impl Finish {
    fn with(self, done: Done) {
        let outbound = &self.session.outbound;
        match (done, self.id) {
            (Ok(Some(response)), _) => outbound.respond(&response),
            (Ok(None), None) => {}
            // The service leaves requests named `$/…` that it does not know without an answer.
            (Ok(None), Some(id)) => outbound.respond(&Response::from_error(id, Error::method_not_found())),
            (Err(_panic), id) => {
                tracing::error!(method = self.method, "a handler panicked");
                if let Some(id) = id {
                    self.panicked.lock().unwrap_or_else(PoisonError::into_inner).push(id.clone());
                    outbound.respond(&Response::from_error(id, Error::internal_error()));
                }
            }
        }
    }
}
