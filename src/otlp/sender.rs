//! The thread that sends: batches, retries, and what it says when nobody answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant, SystemTime};

use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, StatusCode};

use super::layer::{Closed, Export, Post};
use super::message::{Field, json, protobuf};
use super::records::{Sums, traces};
use super::settings::{Fault, Protocol, Settings, Signal};

/// Waits before further attempts.
const WAITS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(2)];
/// How long the end of the program waits for what is left.
const LAST: Duration = Duration::from_secs(1);

/// Sends what is left when it is dropped.
pub struct Guard {
    queue: SyncSender<Post>,
    closing: Arc<AtomicBool>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.closing.store(true, Relaxed);
        let (done, wait) = sync_channel(1);
        let until = Instant::now() + LAST;
        let mut post = Post::Flush(done);
        // A full queue is being emptied, or its collector is dead.
        while let Err(TrySendError::Full(back)) = self.queue.try_send(post) {
            if Instant::now() > until {
                return;
            }
            post = back;
            std::thread::sleep(Duration::from_millis(10));
        }
        // Past that the rest is lost; nobody waits for a collector.
        let _ = wait.recv_timeout(until.saturating_duration_since(Instant::now()));
    }
}

/// Starts the thread.
pub(super) fn start(settings: Settings) -> Result<(Export, Guard), Fault> {
    let (queue, posts) = sync_channel(settings.queue);
    let lost = Arc::new(AtomicU64::new(0));
    let closing = Arc::new(AtomicBool::new(false));
    let sender = Sender { settings, lost: lost.clone(), closing: closing.clone(), dumb: false };
    let fault = Fault { variable: "OTEL_EXPORTER_OTLP_ENDPOINT", why: "no thread can be had to send to it" };
    std::thread::Builder::new().name("otlp".into()).spawn(move || sender.work(&posts)).map_err(|_| fault)?;
    Ok((Export { queue: queue.clone(), lost }, Guard { queue, closing }))
}

struct Sender {
    settings: Settings,
    lost: Arc<AtomicU64>,
    closing: Arc<AtomicBool>,
    /// The last request came to nothing, and that has been said.
    dumb: bool,
}

impl Sender {
    fn work(mut self, posts: &Receiver<Post>) {
        let mut sums = Sums::new();
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        let mut client = None;
        // At rest there is no timer: this sleeps until a span closes.
        while let Ok(first) = posts.recv() {
            let (spans, flush) = self.gather(first, posts);
            if !spans.is_empty() {
                spans.iter().for_each(|span| sums.add(span));
                let client = client.get_or_insert_with(|| self.client());
                runtime.block_on(self.export(client.as_ref(), &spans, &sums));
            }
            if let Some(done) = flush {
                // Whoever wanted to know may have given up.
                let _ = done.send(());
            }
        }
    }

    /// What comes within the delay, up to a batch.
    fn gather(&self, first: Post, posts: &Receiver<Post>) -> (Vec<Closed>, Option<SyncSender<()>>) {
        let until = Instant::now() + self.settings.delay;
        let mut spans = Vec::new();
        let mut next = Some(first);
        while let Some(post) = next {
            match post {
                Post::Closed(span) => spans.push(*span),
                Post::Flush(done) => return (spans, Some(done)),
            }
            if spans.len() >= self.settings.batch {
                break;
            }
            next = posts.recv_timeout(until.saturating_duration_since(Instant::now())).ok();
        }
        (spans, None)
    }

    /// A client for all requests; nothing if there can be none here.
    fn client(&self) -> Option<Client> {
        // An error says that a choice was made already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let signals = || self.settings.traces.iter().chain(&self.settings.metrics);
        let mut builder = Client::builder()
            .user_agent(concat!("ropeway/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .pool_max_idle_per_host(1);
        if signals().all(|signal| signal.url.scheme() == "http") {
            builder = builder.tls_certs_only(std::iter::empty());
        }
        let local = |signal: &Signal| matches!(signal.url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        if signals().all(local) {
            builder = builder.no_proxy();
        }
        builder.build().ok()
    }

    async fn export(&mut self, client: Option<&Client>, spans: &[Closed], sums: &Sums) {
        let resource = self.settings.resource.clone();
        let (for_traces, for_metrics) = (self.settings.traces.clone(), self.settings.metrics.clone());
        if let Some(signal) = &for_traces
            && !self.send(client, signal, &traces(spans, &resource)).await
        {
            self.lost.fetch_add(spans.len() as u64, Relaxed);
        }
        if let Some(signal) = &for_metrics {
            // What is lost of these comes with the next: they are sums.
            self.send(client, signal, &sums.request(SystemTime::now(), &resource)).await;
        }
    }

    /// Sends one request; says whether it was taken.
    async fn send(&mut self, client: Option<&Client>, signal: &Signal, message: &[Field]) -> bool {
        let Some(client) = client else { return false };
        let (kind, body) = match signal.protocol {
            Protocol::Json => ("application/json", json(message).to_string().into_bytes()),
            Protocol::Protobuf => ("application/x-protobuf", protobuf(message)),
        };
        let mut waits = WAITS.iter();
        loop {
            let request = client.post(signal.url.clone()).headers(signal.headers.clone()).header(CONTENT_TYPE, kind);
            let answer = request.timeout(signal.timeout).body(body.clone()).send().await;
            let (again, why) = match &answer {
                Ok(answer) if answer.status().is_success() => {
                    if std::mem::take(&mut self.dumb) {
                        tracing::info!(lost = self.lost.load(Relaxed), "the collector answers again");
                    }
                    return true;
                }
                Ok(answer) => (passes(answer.status()), answer.status().to_string()),
                Err(error) if error.is_timeout() => (true, "it does not answer in time".to_owned()),
                Err(_) => (true, "it cannot be reached".to_owned()),
            };
            let wait = waits.next().filter(|_| again && !self.closing.load(Relaxed));
            let Some(wait) = wait else {
                if !std::mem::replace(&mut self.dumb, true) {
                    tracing::warn!(why, "the OpenTelemetry collector takes nothing; traces are dropped until it does");
                }
                return false;
            };
            tokio::time::sleep(*wait).await;
        }
    }
}

/// Whether the protocol says that another attempt is worth it.
fn passes(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 502 | 503 | 504)
}
