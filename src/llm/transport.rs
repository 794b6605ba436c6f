//! HTTP, and nothing of any vendor.
//!
//! One pooled client for each provider for the life of the process, built at the first request so that the start pays
//! nothing. Redirects are off: the client would send the body again and keep `x-api-key`. There is no limit on the
//! whole of a request, only on connecting, on the first byte and on the silence between two reads.

use std::error::Error;
use std::future::Future;
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Response};
use secrecy::ExposeSecret;
use tokio::sync::OnceCell;
use tower_layer::Layer;
use tower_service::Service;

use crate::config::ProviderConfig;
use crate::llm::endpoint::{is_loopback, url};
use crate::llm::failure::{Again, Failure, MAX_ERROR_BODY, clip};
use crate::llm::turnover::{Turnover, being_sent, sending};
use crate::llm::{LlmError, LlmErrorKind};
use crate::metrics::{Metrics, Op};

const USER_AGENT: &str = concat!("ropeway/", env!("CARGO_PKG_VERSION"));
/// How often an HTTP/2 connection is asked whether it lives, also between requests: some proxies let it die silently.
const PING_EVERY: Duration = Duration::from_secs(20);
const PING_ANSWER: Duration = Duration::from_secs(10);
/// How long the answer to a request that only opens a connection may take.
const WARM: Duration = Duration::from_secs(5);

/// What decides whether two requests can share a client.
#[derive(Debug)]
struct PoolKey {
    provider: String,
    connect: Duration,
    /// How long a connection is kept without a request.
    idle: Duration,
    /// A loopback server is never behind a proxy.
    loopback: bool,
    /// Plain HTTP needs no certificates, and a machine without any can still speak it.
    tls: bool,
}

/// A client and what is seen of its connections.
#[derive(Debug, Default)]
struct Pool {
    client: OnceCell<reqwest::Client>,
    turnover: Arc<Turnover>,
}

/// The clients of all providers.
#[derive(Debug)]
pub struct Transport {
    http2: bool,
    max_idle_per_host: usize,
    roots: Vec<reqwest::Certificate>,
    metrics: Arc<Metrics>,
    /// A few: a look at each takes less than a hash of one.
    pools: Mutex<Vec<(PoolKey, Arc<Pool>)>>,
}

impl Transport {
    /// A transport without any client yet.
    ///
    /// `roots` are trusted besides the machine's own certificates.
    pub fn new(http2: bool, max_idle_per_host: usize, roots: Vec<reqwest::Certificate>, metrics: Arc<Metrics>) -> Self {
        Self { http2, max_idle_per_host, roots, metrics, pools: Mutex::default() }
    }

    /// Connections opened so far to a provider, or to all.
    pub fn connections(&self, provider: Option<&str>) -> u64 {
        let pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = pools.iter().filter(|(key, _)| provider.is_none_or(|name| key.provider == name));
        wanted.map(|(_, pool)| pool.turnover.opened()).sum()
    }

    /// Opens a connection ahead of a request, unless one is open. What is sent has no body, no key and no header of
    /// the user's; what the server answers does not matter. Says whether a connection was opened.
    pub async fn warm(&self, provider: &ProviderConfig) -> bool {
        let Ok(url) = url(provider, "") else { return false };
        let pool = self.pool(provider);
        let Ok(client) = self.client(&pool, provider).await else { return false };
        let before = pool.turnover.opened();
        let unplaced = pool.turnover.asks();
        let asking = sending(unplaced.number(), client.head(url).send());
        let asked = tokio::time::timeout(provider.timeouts.connect + WARM, asking).await;
        tracing::debug!(provider = provider.name, ok = matches!(asked, Ok(Ok(_))), "connection opened ahead");
        pool.turnover.opened() > before
    }

    fn pool(&self, provider: &ProviderConfig) -> Arc<Pool> {
        let (connect, idle) = (provider.timeouts.connect, provider.timeouts.idle);
        let (loopback, tls) = (is_loopback(&provider.base_url), provider.base_url.scheme() == "https");
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |key: &PoolKey| {
            (key.connect, key.idle, key.loopback, key.tls) == (connect, idle, loopback, tls)
                && key.provider == provider.name
        };
        if let Some((_, pool)) = pools.iter().find(|(key, _)| fits(key)) {
            return Arc::clone(pool);
        }
        let pool = Arc::<Pool>::default();
        pools.push((PoolKey { provider: provider.name.clone(), connect, idle, loopback, tls }, Arc::clone(&pool)));
        pool
    }

    async fn client<'p>(&self, pool: &'p Pool, provider: &ProviderConfig) -> Result<&'p reqwest::Client, Failure> {
        pool.client
            .get_or_try_init(|| async {
                let builder = self.builder(provider, Arc::clone(&pool.turnover));
                // Reading the machine's certificates takes milliseconds of disk and of one core.
                let built = tokio::task::spawn_blocking(move || {
                    install_crypto();
                    builder().build()
                });
                let failed = |why: String| {
                    Failure::new(
                        LlmErrorKind::Config,
                        format!("the HTTP client cannot be set up: {why}"),
                        "check the certificates and the proxy variables of this machine",
                        Again::Never,
                    )
                };
                built.await.map_err(|error| failed(error.to_string()))?.map_err(|error| failed(root_cause(&error)))
            })
            .await
    }

    fn builder(
        &self,
        provider: &ProviderConfig,
        turnover: Arc<Turnover>,
    ) -> impl FnOnce() -> reqwest::ClientBuilder + Send + 'static {
        let (connect, max_idle, http2) = (provider.timeouts.connect, self.max_idle_per_host, self.http2);
        let loopback = is_loopback(&provider.base_url);
        let tls = provider.base_url.scheme() == "https";
        let roots = self.roots.clone();
        let counting = Counting { turnover, metrics: Arc::clone(&self.metrics) };
        // As long as the provider keeps a silent stream: an older connection is likely to be dead.
        let unused = provider.timeouts.idle;
        move || {
            let mut builder = reqwest::Client::builder()
                .user_agent(USER_AGENT)
                .redirect(reqwest::redirect::Policy::none())
                .connect_timeout(connect)
                .tcp_nodelay(true)
                .tcp_keepalive(Duration::from_secs(30))
                .pool_max_idle_per_host(max_idle)
                .pool_idle_timeout(unused)
                .connector_layer(counting);
            builder = if http2 {
                builder
                    .http2_keep_alive_interval(PING_EVERY)
                    .http2_keep_alive_timeout(PING_ANSWER)
                    .http2_keep_alive_while_idle(true)
            } else {
                builder.http1_only()
            };
            if loopback {
                builder = builder.no_proxy();
            }
            if !tls {
                builder = builder.tls_certs_only(std::iter::empty());
            } else if !roots.is_empty() {
                builder = builder.tls_certs_merge(roots);
            }
            builder
        }
    }

    /// Sends a request and waits for the head of the answer, whatever its status.
    ///
    /// # Errors
    /// The network's failures and the limits on connecting and on the first byte.
    pub async fn send(
        &self,
        provider: &ProviderConfig,
        method: Method,
        path: &str,
        vendors: &HeaderMap,
        body: Bytes,
    ) -> Result<Response, Failure> {
        let mut request = reqwest::Request::new(method, url(provider, path)?);
        let headers = request.headers_mut();
        // Two of ours, and two that the client adds.
        headers.reserve(vendors.len() + provider.headers.len() + 4);
        headers.extend(vendors.iter().map(|(name, value)| (name.clone(), value.clone())));
        if !body.is_empty() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream, application/json"));
        for (name, value) in &provider.headers {
            let (name, value) = own_header(name, value.expose_secret())?;
            headers.insert(name, value);
        }
        let pool = self.pool(provider);
        let client = self.client(&pool, provider).await?;
        // Whether this very request gets a pooled connection is not told; that there is none yet is certain.
        let pooled = pool.turnover.opened() > 0;
        let limit = provider.timeouts.first_byte;
        let unplaced = pool.turnover.asks();
        let number = unplaced.number();
        let (body, _unplaced) = pool.turnover.body(body, unplaced);
        *request.body_mut() = Some(body);
        match tokio::time::timeout(limit, sending(number, client.execute(request))).await {
            Ok(Ok(mut response)) => {
                pool.turnover.answered(&mut response);
                Ok(response)
            }
            Ok(Err(error)) => Err(not_sent(&error, pooled, provider.timeouts.connect)),
            Err(_) => Err(Failure::new(
                LlmErrorKind::Timeout,
                format!("no answer within {}", spell(limit)),
                "try again; a slow server may need a larger timeouts.first_byte_ms",
                Again::Later,
            )),
        }
    }
}

/// The next bytes of a body, `None` at its end.
///
/// # Errors
/// The connection broke, or nothing came within `idle`.
pub async fn read(response: &mut Response, idle: Duration) -> Result<Option<Bytes>, Failure> {
    let mut chunk = std::pin::pin!(response.chunk());
    // What has come already needs no timer.
    let came = match futures_util::poll!(chunk.as_mut()) {
        Poll::Ready(came) => Ok(came),
        Poll::Pending => tokio::time::timeout(idle, chunk).await,
    };
    match came {
        Ok(Ok(chunk)) => Ok(chunk),
        Ok(Err(error)) => Err(Failure::new(
            LlmErrorKind::Network,
            format!("the connection broke in the middle of the response: {}", root_cause(&error)),
            "try again",
            Again::Later,
        )),
        Err(_) => Err(Failure::new(
            LlmErrorKind::Timeout,
            format!("the response stopped for {}", spell(idle)),
            "try again; a server that pauses longer needs a larger timeouts.idle_ms",
            Again::Later,
        )),
    }
}

/// The body of an answer that is no stream; of one larger than `limit` bytes the beginning.
///
/// # Errors
/// As [`read`].
pub async fn whole(mut response: Response, idle: Duration, limit: usize) -> Result<Vec<u8>, Failure> {
    let mut whole = Vec::new();
    while let Some(chunk) = read(&mut response, idle).await? {
        whole.extend_from_slice(&chunk[..chunk.len().min(limit - whole.len())]);
        if whole.len() == limit {
            break;
        }
    }
    Ok(whole)
}

/// The body of an error, or what of it came in time and under the limit.
pub async fn read_error_body(mut response: Response, idle: Duration) -> Vec<u8> {
    let mut body = Vec::new();
    let gather = async {
        while let Ok(Some(chunk)) = response.chunk().await {
            let room = MAX_ERROR_BODY - body.len();
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if body.len() == MAX_ERROR_BODY {
                break;
            }
        }
    };
    // What came before the limit is enough.
    let _ = tokio::time::timeout(idle.min(Duration::from_secs(10)), gather).await;
    body
}

fn own_header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), LlmError> {
    let bad = || {
        LlmError::new(
            LlmErrorKind::Config,
            format!("the header `{}` cannot be sent", clip(name, 60)),
            "check the names and values under headers for spaces and line ends",
        )
    };
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?;
    let mut value = HeaderValue::from_str(value).map_err(|_| bad())?;
    value.set_sensitive(true);
    Ok((name, value))
}

/// Everything here runs on ring; the crate asks for a choice made once for the process.
fn install_crypto() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // An error says that a choice was made already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

fn not_sent(error: &reqwest::Error, pooled: bool, connect: Duration) -> Failure {
    let cause = root_cause(error);
    if error.is_builder() {
        return Failure::new(
            LlmErrorKind::Config,
            format!("the request cannot be built: {cause}"),
            "check base_url",
            Again::Never,
        );
    }
    if error.is_connect() && error.is_timeout() {
        return Failure::new(
            LlmErrorKind::Timeout,
            format!("no connection within {}", spell(connect)),
            "check the network, the proxy variables and base_url",
            Again::Later,
        );
    }
    if error.is_connect() {
        let certificate = cause.contains("certificate");
        return Failure::new(
            LlmErrorKind::Network,
            format!("no connection: {cause}"),
            if certificate {
                "the server's certificate is not trusted here: check base_url, the clock and the machine's certificates"
            } else {
                "check the network, the proxy variables and base_url"
            },
            if certificate { Again::Never } else { Again::Later },
        );
    }
    Failure::new(
        LlmErrorKind::Network,
        format!("the connection closed before any answer: {cause}"),
        "try again",
        // Most likely a pooled connection that its server had closed meanwhile.
        if pooled { Again::Now } else { Again::Later },
    )
}

/// The innermost of an error's causes: the outer ones say "error sending request" and show the address.
fn root_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    clip(&cause.to_string(), 300)
}

/// A limit as a person says it.
pub(crate) fn spell(limit: Duration) -> String {
    if limit < Duration::from_secs(1) {
        format!("{} ms", limit.as_millis())
    } else {
        format!("{} s", limit.as_secs_f64())
    }
}

/// Puts an eye on the connector, and a clock.
#[derive(Clone, Debug)]
struct Counting {
    turnover: Arc<Turnover>,
    metrics: Arc<Metrics>,
}

impl<S> Layer<S> for Counting {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Counted<S> {
        Counted { inner: Arc::new(inner), counting: self.clone() }
    }
}

/// A connector that opens only what is needed, and whose successes are counted. The HTTP client copies it several times
/// for each request, whether one connects or not, so what is behind it is copied only for those that do.
#[derive(Debug)]
struct Counted<S> {
    inner: Arc<S>,
    counting: Counting,
}

impl<S> Clone for Counted<S> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), counting: self.counting.clone() }
    }
}

impl<S, R> Service<R> for Counted<S>
where
    S: Service<R, Error = Box<dyn Error + Send + Sync>> + Clone + Send + Sync + 'static,
    S::Future: Future<Output = Result<S::Response, S::Error>> + Send + 'static,
    R: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        // The one that is called is waited for once it is wanted.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: R) -> Self::Future {
        let Self { inner, counting: Counting { turnover, metrics } } = self.clone();
        // Later it may be driven by a task of its own.
        let sent = being_sent();
        Box::pin(async move {
            turnover.hold(sent).await?;
            let mut inner = S::clone(&inner);
            let connects = async {
                std::future::poll_fn(|context| inner.poll_ready(context)).await?;
                inner.call(request).await
            };
            let connection = metrics.wait(Op::Connect, connects, Result::is_ok).await?;
            turnover.opens(sent);
            Ok(connection)
        })
    }
}
