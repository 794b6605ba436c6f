//! One call: a request goes out, events come back. What may be retried is retried in here, and only as long as nothing
//! of the answer has been shown; `attempt` makes the attempts, `flight` lets equal calls be one.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use reqwest::Method;
use url::Url;

use crate::config::{Config, LlmConfig, ProviderConfig};
use crate::ids::{RunId, ThreadId};
use crate::llm::answers::{Answers, Key, is_deterministic, is_first};
use crate::llm::catalogue::{Catalogue, Facts, MAX_BODY};
use crate::llm::failure::Failure;
use crate::llm::flight::{Flight, Flights, Sent};
use crate::llm::kept::Kept;
use crate::llm::pace::{Pace, Rates};
use crate::llm::peer::Peer;
use crate::llm::played::Player;
use crate::llm::prefix::Prefixes;
use crate::llm::provider::codec_of;
use crate::llm::reader::Spares;
use crate::llm::secrets::Secrets;
use crate::llm::stream::ResponseStream;
use crate::llm::traffic::{ProviderTraffic, Traffic, reuse_rate};
use crate::llm::transport::{Transport, read_error_body, whole};
use crate::llm::{LlmError, Request, StreamEvent};
use crate::metrics::Metrics;

/// Providers that are remembered; more would mean that addresses change all the time.
const PEERS: usize = 256;

/// How the client behaves towards all providers.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// HTTP/2 where the server agrees to it.
    pub http2: bool,
    /// Idle connections kept to each host.
    pub max_idle_per_host: usize,
    /// Requests of one provider under way at a time.
    pub max_concurrent: usize,
    /// Further attempts after a failure that may pass.
    pub max_retries: u32,
    /// Requests to a provider, on average.
    pub requests_per_second: f64,
    /// Requests that may come at once.
    pub burst: u32,
    /// Tokens sent to a provider in a minute, by our estimate; 0: as many as it allows.
    pub tokens_per_minute: u32,
    /// A provider that keeps failing is left alone for a while.
    pub circuit_breaker: bool,
    /// Equal requests at the same time share one call.
    pub dedupe: bool,
    /// Events that repeat the one before are compared with it, not parsed.
    pub match_events: bool,
    /// Answers remembered; 0: none.
    pub cache_entries: u64,
    /// How long an answer may be used again.
    pub cache_ttl: Duration,
    /// Where answers are also kept on disk, if they are.
    pub kept: Option<Kept>,
    /// Factor on every wait before a retry; 0 in tests, which do not sleep.
    pub wait_scale: f64,
    /// Certificates trusted besides the machine's own.
    pub roots: Vec<reqwest::Certificate>,
    /// Where times are noted.
    pub metrics: Arc<Metrics>,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self::from(&LlmConfig::default())
    }
}

impl From<&LlmConfig> for ClientSettings {
    fn from(config: &LlmConfig) -> Self {
        Self {
            http2: config.http2,
            max_idle_per_host: config.max_idle_per_host,
            max_concurrent: config.max_concurrent,
            max_retries: config.max_retries,
            requests_per_second: config.requests_per_second,
            burst: config.burst,
            tokens_per_minute: config.tokens_per_minute,
            circuit_breaker: config.circuit_breaker,
            dedupe: config.dedupe,
            match_events: config.match_events,
            cache_entries: config.cache_entries,
            cache_ttl: Duration::from_millis(config.cache_ttl_ms),
            kept: None,
            wait_scale: 1.0,
            roots: Vec::new(),
            metrics: Metrics::new(),
        }
    }
}

impl From<&Config> for ClientSettings {
    fn from(config: &Config) -> Self {
        let bytes = u64::from(config.llm.disk_cache_mb) << 20;
        let dir = config.state_dir.as_ref().filter(|_| bytes > 0).map(|dir| dir.join("llm-answers"));
        Self { kept: dir.map(|dir| Kept { dir, bytes }), ..Self::from(&config.llm) }
    }
}

/// Told before each wait and each change of the model, so that the user knows why nothing comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryNotice {
    /// The attempt that failed, from 1; 0: none, but this one waits for its turn.
    pub attempt: u32,
    /// How long until the next.
    pub wait: Duration,
    /// What went wrong.
    pub why: String,
    /// The model that is asked from here on, where it is another.
    pub instead: Option<Arc<str>>,
}

/// A model and where it is.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where.
    pub provider: Arc<ProviderConfig>,
    /// Its name there.
    pub model: Arc<str>,
    /// What it may produce in a response, in tokens.
    pub max_output_tokens: u32,
    /// Tokens of prompt and answer together.
    pub context_window: u64,
}

impl Target {
    /// `PROVIDER/MODEL`.
    pub fn origin(&self) -> Arc<str> {
        Arc::from(format!("{}/{}", self.provider.name, self.model))
    }
}

/// One request and whom to ask.
#[derive(Clone, Debug)]
pub struct Call {
    /// What is asked; its model is the first target's.
    pub request: Request,
    /// Where the model is.
    pub provider: Arc<ProviderConfig>,
    /// Whom to ask while that one is overloaded, in order.
    pub fallback: Arc<[Target]>,
    /// Who asks: runs take turns.
    pub run: RunId,
    /// The conversation, to notice when its beginning changes.
    pub thread: Option<ThreadId>,
}

/// What the client has done so far, over all providers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counters {
    /// HTTP requests sent, retries included.
    pub requests: u64,
    /// How many of them were retries.
    pub retries: u64,
    /// Calls that failed for good.
    pub failures: u64,
    /// Connections opened.
    pub connections: u64,
    /// Connections opened ahead of the first request.
    pub warmed: u64,
    /// Calls that joined an equal one under way.
    pub shared: u64,
    /// Answers found among those remembered.
    pub cache_hits: u64,
    /// Answers looked for in vain.
    pub cache_misses: u64,
}

impl Counters {
    /// Share of requests that needed no new connection; 0 before the first.
    pub fn reuse_rate(&self) -> f64 {
        reuse_rate(self.requests, self.connections, self.warmed).unwrap_or(0.0)
    }
}

/// What a provider answered to a harmless question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// HTTP status.
    pub status: u16,
    /// From the request to the head of the answer, a new connection included.
    pub elapsed: Duration,
    /// The models it names; nothing from a server that has no list.
    pub models: Option<Vec<Facts>>,
}

fn transport(settings: &ClientSettings) -> Transport {
    Transport::new(settings.http2, settings.max_idle_per_host, settings.roots.clone(), settings.metrics.clone())
}

fn answers(settings: &ClientSettings) -> Answers {
    Answers::new(settings.cache_entries, settings.cache_ttl, settings.kept.clone())
}

/// A provider at its address.
#[derive(Debug)]
struct Known {
    name: String,
    base_url: Url,
    peer: Arc<Peer>,
}

/// The one door to all models.
#[derive(Debug)]
pub struct Client {
    transport: ArcSwap<Transport>,
    catalogue: Catalogue,
    settings: ArcSwap<ClientSettings>,
    pub(super) spares: Arc<Spares>,
    /// A key or a limit of one address says nothing about another.
    peers: Mutex<Vec<Known>>,
    flights: Flights,
    answers: ArcSwap<Answers>,
    prefixes: Prefixes,
    shared: std::sync::atomic::AtomicU64,
    /// Speaks in place of all models.
    player: Option<Arc<dyn Player>>,
}

impl Client {
    /// A client; it opens nothing before the first request.
    pub fn new(settings: ClientSettings) -> Arc<Self> {
        Arc::new(Self::made(settings, None))
    }

    pub(super) fn made(settings: ClientSettings, player: Option<Arc<dyn Player>>) -> Self {
        Self {
            transport: ArcSwap::from_pointee(transport(&settings)),
            catalogue: Catalogue::default(),
            answers: ArcSwap::from_pointee(answers(&settings)),
            settings: ArcSwap::from_pointee(settings),
            spares: Arc::default(),
            peers: Mutex::default(),
            flights: Flights::default(),
            prefixes: Prefixes::default(),
            shared: 0.into(),
            player,
        }
    }

    /// Works by other settings from the next request on; what is under way is not disturbed. Connections, answers and
    /// what is known of the providers are kept where their settings are as they were.
    pub fn configure(&self, config: &Config) {
        let old = self.settings.load_full();
        let (roots, metrics) = (old.roots.clone(), old.metrics.clone());
        let new = ClientSettings { wait_scale: old.wait_scale, roots, metrics, ..ClientSettings::from(config) };
        let differs = |part: fn(&ClientSettings) -> String| part(&old) != part(&new);
        if differs(|it| format!("{:?}", (it.http2, it.max_idle_per_host))) {
            self.transport.store(Arc::new(transport(&new)));
        }
        if differs(|it| format!("{:?}", (it.cache_entries, it.cache_ttl, &it.kept))) {
            self.answers.store(Arc::new(answers(&new)));
        }
        let paced = |it: &ClientSettings| {
            format!(
                "{:?}",
                (it.requests_per_second, it.burst, it.tokens_per_minute, it.max_concurrent, it.circuit_breaker)
            )
        };
        let repace = differs(paced);
        self.settings.store(Arc::new(new));
        if repace {
            self.peers.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }

    /// The settings of now.
    pub(super) fn settings(&self) -> Arc<ClientSettings> {
        self.settings.load_full()
    }

    /// The connections of now.
    pub(super) fn transport(&self) -> Arc<Transport> {
        self.transport.load_full()
    }

    /// What is known of a provider at its address.
    pub(super) fn peer(&self, provider: &ProviderConfig) -> Arc<Peer> {
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |known: &&Known| known.name == provider.name && known.base_url == provider.base_url;
        if let Some(known) = peers.iter().find(fits) {
            return Arc::clone(&known.peer);
        }
        if peers.len() >= PEERS {
            peers.clear();
        }
        let settings = self.settings();
        let pace = Pace::new(Rates {
            per_second: settings.requests_per_second,
            burst: settings.burst,
            tokens_a_minute: settings.tokens_per_minute,
            at_once: settings.max_concurrent,
        });
        let peer = Arc::new(Peer::new(pace, settings.circuit_breaker, settings.wait_scale));
        let (name, base_url) = (provider.name.clone(), provider.base_url.clone());
        peers.push(Known { name, base_url, peer: Arc::clone(&peer) });
        peer
    }

    /// Sends a request of nobody in particular, without another model to ask; see [`Client::call`].
    ///
    /// # Errors
    /// As `call`.
    pub async fn stream(
        self: &Arc<Self>,
        provider: &ProviderConfig,
        request: &Request,
        notify: &(dyn Fn(RetryNotice) + Sync),
    ) -> Result<ResponseStream, LlmError> {
        let call = Call {
            request: request.clone(),
            provider: Arc::new(provider.clone()),
            fallback: Arc::from([]),
            run: RunId::from(""),
            thread: None,
        };
        self.call(call, notify).await
    }

    /// Sends a request and returns once the first event of the answer is there. Dropping the future, or the stream it
    /// gives, cancels the request at the provider. `notify` hears of each retry before its wait.
    ///
    /// # Errors
    /// What still failed after the retries that were worth it; the message names the provider and holds no secret.
    pub async fn call(
        self: &Arc<Self>,
        call: Call,
        notify: &(dyn Fn(RetryNotice) + Sync),
    ) -> Result<ResponseStream, LlmError> {
        let begun = Instant::now();
        if let Some(player) = &self.player {
            let events = player.answer().await?;
            return Ok(ResponseStream::remembered(events, begun.elapsed()));
        }
        let codec = codec_of(&call.provider)?;
        let http = Arc::new(codec.encode(&call.request, &call.provider)?);
        let broken = call.thread.as_ref().and_then(|thread| self.watch_prefix(thread, &call));
        let answers = self.answers.load_full();
        let cacheable = answers.is_on() && is_deterministic(&call.request);
        let shareable = self.settings().dedupe && is_first(&call.request);
        let key = cacheable.then(|| Key::of(&call.provider, &http.path, &http.headers, &http.body));
        let sent = shareable.then(|| Sent { provider: Arc::clone(&call.provider), http: Arc::clone(&http) });
        if let Some(key) = &key
            && let Some(events) = answers.get(key).await
        {
            return Ok(ResponseStream::remembered(events, begun.elapsed()).after(broken));
        }
        let open = || {
            let client = Arc::clone(self);
            Flight::new(cacheable, |notices| Box::pin(async move { client.open(call, http, notices).await }))
        };
        let (flight, joined) = match sent {
            Some(sent) => self.flights.join(sent, open),
            None => (open(), false),
        };
        if joined {
            self.shared.fetch_add(1, Relaxed);
        }
        let outcome = flight.begun(notify).await;
        if shareable {
            self.flights.leave(&flight);
        }
        outcome?;
        let keep = key.map(|key| (Arc::clone(self), key));
        let stream = match flight.alone() {
            Ok(live) => ResponseStream::own(live, begun.elapsed()),
            Err(flight) => ResponseStream::shared(flight, keep, begun.elapsed()),
        };
        Ok(stream.after(broken))
    }

    /// What changed in the beginning of a conversation, if anything did.
    fn watch_prefix(&self, thread: &ThreadId, call: &Call) -> Option<String> {
        let origin = Arc::from(format!("{}/{}", call.provider.name, call.request.model));
        let broken = self.prefixes.sends(thread, &origin, &call.request)?;
        tracing::info!(thread = thread.as_str(), "the cached beginning of the prompt is lost: {}", broken.what);
        Some(broken.what)
    }

    pub(super) async fn remember(&self, key: Key, events: &[StreamEvent]) {
        self.answers.load_full().put(key, events).await;
    }

    /// Opens a connection to a provider that will probably be asked soon, so that the handshake is over by then: the
    /// work to do, if any. There is none where it was used within the last minute, cannot be used, or none is kept.
    pub fn warm(
        self: &Arc<Self>,
        provider: &ProviderConfig,
    ) -> Option<impl Future<Output = ()> + Send + 'static + use<>> {
        let usable = provider.ready().is_ok() && self.settings().max_idle_per_host > 0;
        let peer = usable.then(|| self.peer(provider))?;
        peer.wants_warming().then(|| {
            let (client, provider) = (Arc::clone(self), provider.clone());
            async move {
                if client.transport().warm(&provider).await {
                    Traffic::count(&peer.traffic.warmed);
                }
            }
        })
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
        let peer = self.peer(provider);
        Traffic::count(&peer.traffic.requests);
        peer.uses();
        let sent = Instant::now();
        let response = self.transport().send(provider, Method::GET, &path, &headers, Bytes::new()).await?;
        let elapsed = sent.elapsed();
        let status = response.status().as_u16();
        if (200..300).contains(&status) {
            let body = whole(response, provider.timeouts.idle, MAX_BODY).await?;
            return Ok(Probe { status, elapsed, models: Some(codec.read_models(&body)) });
        }
        // A server without this list is there all the same.
        if matches!(status, 404 | 405) {
            return Ok(Probe { status, elapsed, models: None });
        }
        let head = response.headers().clone();
        let body = read_error_body(response, provider.timeouts.idle).await;
        Err(codec.error(status, &head, &body))
    }

    /// What providers said of their models.
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// Whether failures that may pass are tried again at all.
    pub fn retries(&self) -> bool {
        self.settings().max_retries > 0
    }

    /// What was done so far.
    pub fn counters(&self) -> Counters {
        let (cache_hits, cache_misses) = self.answers.load().counts();
        let peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        let sum = |of: fn(&Traffic) -> &std::sync::atomic::AtomicU64| {
            peers.iter().map(|known| of(&known.peer.traffic).load(Relaxed)).sum()
        };
        Counters {
            requests: sum(|traffic| &traffic.requests),
            retries: sum(|traffic| &traffic.retries),
            failures: sum(|traffic| &traffic.failures),
            warmed: sum(|traffic| &traffic.warmed),
            connections: self.transport().connections(None),
            shared: self.shared.load(Relaxed),
            cache_hits,
            cache_misses,
        }
    }

    /// What went to each provider, by name and address.
    pub fn traffic(&self) -> Vec<ProviderTraffic> {
        let peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut peers: Vec<_> = peers.iter().collect();
        peers.sort_by_key(|known| (&known.name, &known.base_url));
        let row = |Known { name, peer, .. }: &&Known| {
            peer.traffic.row(name, self.transport().connections(Some(name)), peer.pace.waiting(), peer.health())
        };
        peers.iter().map(row).collect()
    }

    /// How often the beginning of a conversation changed although a provider may have cached it, by what changed.
    pub fn prefix_breaks(&self) -> std::collections::BTreeMap<&'static str, u64> {
        self.prefixes.breaks()
    }
}

#[cfg(test)]
mod tests;
