//! From a call to the first event of its answer: whom to ask, when, and how often.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant, SystemTime};

use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap};

use crate::config::ProviderConfig;
use crate::ids::RunId;
use crate::llm::client::{Call, Client, RetryNotice, Target};
use crate::llm::failure::{Again, Failure};
use crate::llm::flight::Notices;
use crate::llm::live::Live;
use crate::llm::peer::Peer;
use crate::llm::provider::{HttpRequest, Provider, codec_of};
use crate::llm::retry::{Decision, Hints, MAX_WAIT, decide};
use crate::llm::secrets::Secrets;
use crate::llm::traffic::Traffic;
use crate::llm::transport::{read_error_body, spell};
use crate::llm::{LlmError, LlmErrorKind, Request};
use crate::metrics::Op;

/// An overloaded model is asked this often before another is, where there is one.
const OVERLOADED: u32 = 2;
/// How long a request is kept back in all because others failed.
const PATIENCE: Duration = Duration::from_secs(120);

/// A wait for a turn that a person notices, and is told the reason of.
const NOTICED: Duration = Duration::from_secs(2);

/// A failed attempt with what the provider said about the next.
struct Failed {
    failure: Failure,
    hints: Hints,
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        Self { failure, hints: Hints::default() }
    }
}

/// All that the attempts at one target share.
struct Asking<'a> {
    provider: &'a Arc<ProviderConfig>,
    peer: Arc<Peer>,
    codec: &'static dyn Provider,
    model: Arc<str>,
    origin: Arc<str>,
    run: &'a RunId,
    http: Arc<HttpRequest>,
    notices: &'a Notices,
    /// Another model can be asked if this one is overloaded.
    replaceable: bool,
}

impl Asking<'_> {
    fn tell(&self, attempt: u32, wait: Duration, why: String) {
        self.notices.tell(RetryNotice { attempt, wait, why, instead: None });
    }

    /// The error as it may be shown.
    fn clean(&self, error: LlmError) -> LlmError {
        Secrets::of(self.provider).clean(error)
    }
}

impl Client {
    /// Gets an answer to begin: from the model that is wanted, else from one that may stand in for it.
    pub(super) async fn open(
        self: Arc<Self>,
        call: Call,
        http: Arc<HttpRequest>,
        notices: Arc<Notices>,
    ) -> Result<Box<Live>, LlmError> {
        let first = Target {
            provider: Arc::clone(&call.provider),
            model: Arc::clone(&call.request.model),
            max_output_tokens: call.request.max_output_tokens,
            context_window: call.request.context_window,
        };
        let mut encoded = Some(http);
        let targets: Vec<Target> = std::iter::once(first).chain(call.fallback.iter().cloned()).collect();
        let mut skipped = None;
        for (place, target) in targets.iter().enumerate() {
            let next = targets.get(place + 1);
            let peer = self.peer(&target.provider);
            let origin = target.origin();
            if let Some(next) = next
                && peer.is_overloaded(&target.model)
            {
                notices.tell(replaced(&format!("{origin} was overloaded a moment ago"), next));
                continue;
            }
            let codec = codec_of(&target.provider)?;
            let http = match encoded.take().filter(|_| place == 0) {
                Some(http) => http,
                None => Arc::new(codec.encode(&request_to(&call.request, target), &target.provider)?),
            };
            let asking = Asking {
                provider: &target.provider,
                codec,
                model: Arc::clone(&target.model),
                origin: Arc::clone(&origin),
                run: &call.run,
                http,
                notices: &notices,
                replaceable: next.is_some(),
                peer,
            };
            let error = match self.attempts(&asking).await {
                Ok(live) => return Ok(live),
                Err(error) => error,
            };
            Traffic::count(&asking.peer.traffic.failures);
            let error = asking.clean(error);
            let Some(next) = next.filter(|_| error.kind == LlmErrorKind::Overloaded) else { return Err(error) };
            notices.tell(replaced(&error.message, next));
            skipped = Some(error);
        }
        // The last target is always asked, so an error was returned before.
        Err(skipped.unwrap_or_else(|| LlmError::new(LlmErrorKind::Overloaded, "no model could be asked", "try again")))
    }

    async fn attempts(&self, asking: &Asking<'_>) -> Result<Box<Live>, LlmError> {
        let mut attempt = 1;
        loop {
            let trial = self.admitted(asking, attempt).await?;
            let Failed { failure, hints } = match self.attempt(asking).await {
                Ok(mut live) => {
                    asking.peer.succeeded(&asking.model, trial);
                    live.timing.attempts = attempt;
                    return Ok(live);
                }
                Err(failed) => failed,
            };
            asking.peer.failed(&asking.model, &failure, trial);
            let overloaded = failure.error.kind == LlmErrorKind::Overloaded;
            let asked = hints.wait.or(failure.retry_after);
            if let Some(wait) = asked.filter(|_| overloaded || failure.error.kind == LlmErrorKind::RateLimited) {
                asking.peer.pace.hold(&asking.model, wait.min(MAX_WAIT).mul_f64(self.settings().wait_scale));
            }
            let mut decision = decide(&failure, hints, attempt, self.settings().max_retries, random());
            if overloaded && asking.replaceable && attempt >= OVERLOADED {
                decision = Decision::GiveUp;
            }
            match decision {
                Decision::Retry { wait } => {
                    let why = asking.clean(failure.error.clone()).message;
                    let request_id = failure.error.request_id.as_deref();
                    tracing::debug!(attempt, ?wait, request_id, "retrying: {why}");
                    Traffic::count(&asking.peer.traffic.retries);
                    // A dead pooled connection is nobody's news.
                    if !wait.is_zero() {
                        asking.tell(attempt, wait, why);
                        tokio::time::sleep(wait.mul_f64(self.settings().wait_scale)).await;
                    }
                }
                Decision::GiveUp => {
                    let mut error = failure.error;
                    if attempt > 1 {
                        error.message.push_str(&format!(" (after {attempt} attempts)"));
                    }
                    return Err(error);
                }
                Decision::TooLong { wait } => {
                    let mut error = failure.error;
                    let wait =
                        if wait > Duration::from_secs(365 * 86_400) { "very long".to_owned() } else { spell(wait) };
                    error.message.push_str(&format!("; it asks to wait {wait}, which is longer than a run waits"));
                    "try again after that time, or choose another model".clone_into(&mut error.hint);
                    return Err(error);
                }
            }
            attempt += 1;
        }
    }

    /// Waits while requests to this provider are kept back.
    async fn admitted<'a>(
        &self,
        asking: &'a Asking<'_>,
        attempt: u32,
    ) -> Result<crate::llm::peer::Trial<'a>, LlmError> {
        let mut waited = Duration::ZERO;
        loop {
            let wait = match asking.peer.admit() {
                Ok(trial) => return Ok(trial),
                Err(wait) => wait.max(Duration::from_millis(1)),
            };
            let failures = asking.peer.health().0;
            let why = format!("the last {failures} requests failed");
            if self.settings().max_retries == 0 || asking.replaceable || waited + wait > PATIENCE {
                let message = format!("{why}, so it is left alone for {}", spell(wait));
                let hint = "check the network and the provider's status page, or choose another model";
                return Err(LlmError::new(LlmErrorKind::Overloaded, message, hint));
            }
            if waited.is_zero() {
                asking.tell(attempt, wait, format!("{}: {why}; one goes ahead to see", asking.provider.name));
            }
            waited += wait;
            tokio::time::sleep(wait).await;
        }
    }

    async fn attempt(&self, asking: &Asking<'_>) -> Result<Box<Live>, Failed> {
        let Asking { provider, peer, codec, model, http, .. } = asking;
        let metrics = &self.settings().metrics;
        let queued = Instant::now();
        // Four bytes make a token, more or less; the provider's own count comes with its next headers.
        let tokens = http.body.len() as u64 / 4;
        let turn = async {
            let mut turn = std::pin::pin!(peer.pace.turn(asking.run, model, tokens));
            // Most have it at once, and need no timer.
            let at_once = match futures_util::poll!(turn.as_mut()) {
                Poll::Ready(permit) => Ok(permit),
                Poll::Pending => tokio::time::timeout(NOTICED, turn.as_mut()).await,
            };
            match at_once {
                Ok(permit) => permit,
                Err(_) => {
                    let (wait, what) = peer.pace.obstacle(model, tokens);
                    asking.tell(0, wait, format!("{}: {what}; waiting for a turn", provider.name));
                    turn.await
                }
            }
        };
        let (permit, sent) = metrics.wait_since(queued, Op::Queue, turn, |_| true).await;
        peer.traffic.waited(sent - queued, sent);
        Traffic::count(&peer.traffic.requests);
        peer.uses();
        let transport = self.transport();
        let sending = transport.send(provider, Method::POST, &http.path, &http.headers, http.body.clone());
        let (response, head) = metrics.wait_since(sent, Op::FirstByte, sending, Result::is_ok).await;
        let response = response?;
        let status = response.status().as_u16();
        peer.pace.observe(model, response.headers());
        let idle = provider.timeouts.idle;
        if !(200..300).contains(&status) {
            let head = response.headers().clone();
            let body = read_error_body(response, idle).await;
            let failure = codec.error(status, &head, &body);
            return Err(Failed { failure, hints: Hints::read(&head, &body, SystemTime::now()) });
        }
        let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("");
        let is = |other: &str| kind.get(..other.len()).is_some_and(|kind| kind.eq_ignore_ascii_case(other));
        if is("text/html") || is("application/json") {
            let kind = kind.to_ascii_lowercase();
            let head = response.headers().clone();
            let body = read_error_body(response, idle).await;
            return Err(not_a_stream(*codec, status, &head, &kind, &body).into());
        }
        let mut decoder = codec.decoder(Arc::clone(&asking.origin));
        if !self.settings().match_events {
            decoder.parse_each();
        }
        let mut live = Box::new(Live::new(response, head, decoder, provider, permit, &self.spares));
        live.timing.first_byte = head - sent;
        live.first_event().await?;
        peer.traffic.first_token.record(sent.elapsed(), true);
        Ok(live)
    }
}

/// That another model is asked, and why.
fn replaced(why: &str, by: &Target) -> RetryNotice {
    let by = by.origin();
    RetryNotice { attempt: 1, wait: Duration::ZERO, why: format!("{why}; asking {by} instead"), instead: Some(by) }
}

/// The same request for another model.
fn request_to(request: &Request, target: &Target) -> Request {
    Request {
        model: Arc::clone(&target.model),
        max_output_tokens: target.max_output_tokens,
        context_window: target.context_window,
        ..request.clone()
    }
}

/// A success that is no stream: an error in disguise, or a server that does not know what was asked.
fn not_a_stream(codec: &dyn Provider, status: u16, head: &HeaderMap, kind: &str, body: &[u8]) -> Failure {
    let is_error = serde_json::from_slice::<serde_json::Value>(body)
        .is_ok_and(|value| value.get("error").is_some_and(|error| !error.is_null()));
    if is_error {
        return codec.error(status, head, body);
    }
    let mut failure = Failure::new(
        LlmErrorKind::BadResponse,
        format!("answered {status} with `{}` instead of a stream", crate::llm::failure::clip(kind, 80)),
        "check that base_url points at the API and that kind fits this server",
        Again::Never,
    );
    failure.error.status = Some(status);
    failure
}

/// A number in [0, 1) that is different in every process and every time; good enough to keep clients apart.
fn random() -> f64 {
    (RandomState::new().hash_one(0_u8) >> 11) as f64 / (1_u64 << 53) as f64
}
