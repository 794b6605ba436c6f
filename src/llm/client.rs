//! One call: a request goes out, events come back. What may be retried is retried in here, and only as long as nothing
//! of the answer has been shown.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap};

use crate::config::{LlmConfig, ProviderConfig};
use crate::llm::catalogue::Catalogue;
use crate::llm::failure::{Again, Failure};
use crate::llm::provider::{HttpRequest, Provider, codec_of};
use crate::llm::retry::{Decision, Hints, decide};
use crate::llm::secrets::Secrets;
use crate::llm::stream::ResponseStream;
use crate::llm::transport::{Transport, read_error_body, spell};
use crate::llm::{LlmError, LlmErrorKind, Request};

/// How the client behaves towards all providers.
#[derive(Clone, Copy, Debug)]
pub struct ClientSettings {
    /// HTTP/2 where the server agrees to it.
    pub http2: bool,
    /// Idle connections kept to each host.
    pub max_idle_per_host: usize,
    /// Further attempts after a failure that may pass.
    pub max_retries: u32,
    /// Factor on every wait before a retry; 0 in tests, which do not sleep.
    pub wait_scale: f64,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self { http2: true, max_idle_per_host: 4, max_retries: 4, wait_scale: 1.0 }
    }
}

impl From<&LlmConfig> for ClientSettings {
    fn from(config: &LlmConfig) -> Self {
        Self {
            http2: config.http2,
            max_idle_per_host: config.max_idle_per_host,
            max_retries: config.max_retries,
            ..Self::default()
        }
    }
}

/// Told before each wait, so that the user knows why nothing comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryNotice {
    /// The attempt that failed, from 1.
    pub attempt: u32,
    /// How long until the next.
    pub wait: Duration,
    /// What went wrong.
    pub why: String,
}

/// What the client has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// HTTP requests sent, retries included.
    pub requests: u64,
    /// How many of them were retries.
    pub retries: u64,
    /// Calls that failed for good.
    pub failures: u64,
    /// Connections opened.
    pub connections: u64,
}

impl Counters {
    /// Share of requests that needed no new connection; 0 before the first.
    pub fn reuse_rate(&self) -> f64 {
        if self.requests == 0 { 0.0 } else { 1.0 - self.connections.min(self.requests) as f64 / self.requests as f64 }
    }
}

/// What a provider answered to a harmless question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// HTTP status.
    pub status: u16,
    /// From the request to the head of the answer, a new connection included.
    pub elapsed: Duration,
}

/// The one door to all models.
#[derive(Debug)]
pub struct Client {
    pub(super) transport: Transport,
    catalogue: Catalogue,
    settings: ClientSettings,
    requests: AtomicU64,
    retries: AtomicU64,
    failures: AtomicU64,
}

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

impl Client {
    /// A client; it opens nothing before the first request.
    pub fn new(settings: ClientSettings) -> Arc<Self> {
        Arc::new(Self {
            transport: Transport::new(settings.http2, settings.max_idle_per_host),
            catalogue: Catalogue::default(),
            settings,
            requests: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        })
    }

    /// Sends a request and returns once the first event of the answer is there. Dropping the future, or the stream it
    /// gives, cancels the request at the provider. `notify` hears of each retry before its wait.
    ///
    /// # Errors
    /// What still failed after the retries that were worth it; the message names the provider and holds no secret.
    pub async fn stream(
        &self,
        provider: &ProviderConfig,
        request: &Request,
        notify: &(dyn Fn(RetryNotice) + Sync),
    ) -> Result<ResponseStream, LlmError> {
        let secrets = Secrets::of(provider);
        match self.attempts(provider, request, notify, &secrets).await {
            Ok(stream) => Ok(stream),
            Err(error) => {
                self.failures.fetch_add(1, Ordering::Relaxed);
                Err(secrets.clean(error))
            }
        }
    }

    async fn attempts(
        &self,
        provider: &ProviderConfig,
        request: &Request,
        notify: &(dyn Fn(RetryNotice) + Sync),
        secrets: &Secrets,
    ) -> Result<ResponseStream, LlmError> {
        let codec = codec_of(provider)?;
        let begun = Instant::now();
        let HttpRequest { path, headers, body } = codec.encode(request, provider)?;
        let origin: Arc<str> = Arc::from(format!("{}/{}", provider.name, request.model));
        let mut attempt = 1;
        loop {
            let sent = self.attempt(provider, codec, &path, headers.clone(), body.clone(), &origin, secrets).await;
            let Failed { failure, hints } = match sent {
                Ok(mut stream) => {
                    stream.timing.attempts = attempt;
                    stream.timing.first_event = begun.elapsed();
                    return Ok(stream);
                }
                Err(failed) => failed,
            };
            let Failure { error, .. } = &failure;
            match decide(&failure, hints, attempt, self.settings.max_retries, random()) {
                Decision::Retry { wait } => {
                    let why = secrets.clean(error.clone()).message;
                    tracing::debug!(attempt, ?wait, request_id = error.request_id.as_deref(), "retrying: {why}");
                    self.retries.fetch_add(1, Ordering::Relaxed);
                    // A dead pooled connection is nobody's news.
                    if !wait.is_zero() {
                        notify(RetryNotice { attempt, wait, why });
                        tokio::time::sleep(wait.mul_f64(self.settings.wait_scale)).await;
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

    #[expect(clippy::too_many_arguments, reason = "the parts of one attempt, used in one place")]
    async fn attempt(
        &self,
        provider: &ProviderConfig,
        codec: &'static dyn Provider,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
        origin: &Arc<str>,
        secrets: &Secrets,
    ) -> Result<ResponseStream, Failed> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let sent = Instant::now();
        let response = self.transport.send(provider, Method::POST, path, headers, body).await?;
        let first_byte = sent.elapsed();
        let status = response.status().as_u16();
        let head = response.headers().clone();
        let idle = provider.timeouts.idle;
        if !(200..300).contains(&status) {
            let body = read_error_body(response, idle).await;
            let failure = codec.error(status, &head, &body);
            return Err(Failed { failure, hints: Hints::read(&head, SystemTime::now()) });
        }
        let kind = head.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("").to_ascii_lowercase();
        if kind.starts_with("text/html") || kind.starts_with("application/json") {
            let body = read_error_body(response, idle).await;
            return Err(not_a_stream(codec, status, &head, &kind, &body).into());
        }
        let mut stream = ResponseStream::new(response, codec.decoder(Arc::clone(origin)), idle, secrets.clone());
        stream.timing.first_byte = first_byte;
        stream.first_event().await?;
        Ok(stream)
    }

    /// Asks the provider for its list of models: whether it is there, takes the key, and how fast. Leaves a warm
    /// connection behind.
    ///
    /// # Errors
    /// As `stream`, without retries.
    pub async fn probe(&self, provider: &ProviderConfig) -> Result<Probe, LlmError> {
        let secrets = Secrets::of(provider);
        self.ask(provider).await.map_err(|failure| secrets.clean(failure.error))
    }

    async fn ask(&self, provider: &ProviderConfig) -> Result<Probe, Failure> {
        let codec = codec_of(provider)?;
        let (path, headers) = codec.list_models(provider)?;
        self.requests.fetch_add(1, Ordering::Relaxed);
        let sent = Instant::now();
        let response = self.transport.send(provider, Method::GET, &path, headers, Bytes::new()).await?;
        let elapsed = sent.elapsed();
        let status = response.status().as_u16();
        // A server without this list is there all the same.
        if (200..300).contains(&status) || matches!(status, 404 | 405) {
            return Ok(Probe { status, elapsed });
        }
        let head = response.headers().clone();
        let body = read_error_body(response, provider.timeouts.idle).await;
        Err(codec.error(status, &head, &body))
    }

    /// What providers said of their models.
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// What was done so far.
    pub fn counters(&self) -> Counters {
        Counters {
            requests: self.requests.load(Ordering::Relaxed),
            retries: self.retries.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            connections: self.transport.connections(),
        }
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
