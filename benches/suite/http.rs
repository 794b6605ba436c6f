//! The model client over real connections, beside a bare reqwest loop in the same run: what a request costs on a pooled
//! connection and on a new one, what a streamed event costs, how late it is, how soon a cancel is seen at the other
//! end, and what a hundred runs at once hold.
//!
//! The servers have a thread of their own and the clients are on the bench's, so time on the processor is
//! the client's alone. What an event takes of memory is counted in `benches/streamed.rs`.

use std::hint::black_box;
use std::process::Command;
use std::time::Instant;

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use ropeway::llm::StreamEvent;
use serde::Serialize;
use serde_json::json;
use tokio::runtime::Runtime;

use super::asking::{bare, client, drain, floor, open, post, provider, request};
use super::child::Server;
use super::endless::{Endless, Manner};
use super::report::{Figure, Report, ms, source_text};

/// Requests of ours, and as many of the bare ones together.
const REQUESTS: usize = 1200;
const WARM: usize = 24;
const EVENTS: usize = 30_000;
const STREAMS: usize = 7;
const STAMPS: usize = 250;
const CANCELS: usize = 60;
const RUNS: usize = 100;

pub fn measure(report: &mut Report) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let server = Endless::start();
    requests(report, &runtime, &server);
    for http2 in [false, true] {
        events(report, &runtime, &server, http2);
    }
    latency(report, &runtime, &server);
    for http2 in [false, true] {
        cancels(report, &runtime, &server, http2);
    }
    runs(report, &server);
}

/// The same request as our client's, byte for byte but for the order of its parts, by who has no bytes yet and wants
/// events: the body is written, and the answer read, as typed JSON.
async fn ask(client: &reqwest::Client, url: &str) -> usize {
    let prompt = "x".repeat(2000);
    let messages = [Said { role: "system", content: "be brief" }, Said { role: "user", content: &prompt }];
    let stream_options = StreamOptions { include_usage: true };
    let body = Asked { model: "m", stream: true, stream_options, max_completion_tokens: 1000, messages: &messages };
    let body = serde_json::to_vec(&body).expect("JSON");
    let request = client.post(format!("{url}/chat/completions")).bearer_auth("k").header(USER_AGENT, "ropeway/0.1.0");
    let request =
        request.header(CONTENT_TYPE, "application/json").header(ACCEPT, "text/event-stream, application/json");
    let mut events = 0;
    let mut response = request.body(body).send().await.expect("an answer");
    floor(&mut response, |text| events += text.len()).await;
    events
}

#[derive(Serialize)]
struct Asked<'a> {
    model: &'a str,
    stream: bool,
    stream_options: StreamOptions,
    max_completion_tokens: u32,
    messages: &'a [Said<'a>],
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

#[derive(Serialize)]
struct Said<'a> {
    role: &'a str,
    content: &'a str,
}

/// From the request to the end of a short answer: ours, a bare client that sends the same and reads the same, one that only
/// moves bytes, both on a kept connection, the latter on a new one and without TLS. Ours and a bare one take turns, so that
/// each finds the caches as the other has left them, and neither as three of its own kind have.
fn requests(report: &mut Report, runtime: &Runtime, server: &Endless) {
    let url = server.url(Manner::Quick);
    let plain_url = server.plain_url(Manner::Quick);
    let (ours, provider, request) = (client(server, false), provider(&url), request());
    let (kept, new) = (bare(server, false, true), bare(server, false, false));
    let body = Bytes::from(
        json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": "x".repeat(2000)}]}).to_string(),
    );
    let mut samples: [Vec<f64>; 5] = Default::default();
    runtime.block_on(async {
        for turn in 0..2 * REQUESTS + WARM {
            let who = if turn % 2 == 0 { 0 } else { 1 + turn / 2 % 3 };
            let begun = Instant::now();
            match who {
                0 => {
                    drain(&mut open(&ours, &provider, &request).await).await;
                }
                1 => drop(black_box(ask(&kept, &url).await)),
                2 => drop(black_box(post(&kept, &url, &body).await.bytes().await.expect("a body"))),
                _ => drop(black_box(post(&kept, &plain_url, &body).await.bytes().await.expect("a body"))),
            }
            // The first ones open connections and fill caches.
            if turn >= WARM {
                samples[who].push(ms(begun.elapsed()) * 1e3);
            }
        }
        // A handshake leaves nothing in the caches, so it comes by itself.
        for _ in 0..REQUESTS / 12 {
            let begun = Instant::now();
            black_box(post(&new, &url, &body).await.bytes().await.expect("a body"));
            samples[4].push(ms(begun.elapsed()) * 1e3);
        }
    });
    let connections = ours.counters().connections;
    let [ours, typed, kept, plain, new] = samples.map(Figure::of);
    let name = "request on a pooled connection (TLS, HTTP/1.1)";
    report.beside(name, "µs", ours, ("plain reqwest, same request", typed), "≤ 1.1 ×");
    report.beside(name, "µs", ours, ("plain reqwest, bytes only", kept), "");
    let above = |figure: Figure| Figure {
        median: (figure.median - plain.median).max(0.1),
        low: (figure.low - plain.median).max(0.0),
        high: (figure.high - plain.median).max(0.0),
        ..figure
    };
    let name = "added to a request without TLS";
    report.beside(name, "µs", above(ours), ("a new TLS connection", above(new)), "≤ 1/15");
    report.note(format!("{} requests opened {connections} connection(s)", REQUESTS + WARM / 2));
}

/// Time of this thread on a core, in seconds.
fn on_core() -> f64 {
    let line = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    line.split_whitespace().next().and_then(|ns| ns.parse::<f64>().ok()).expect("a number") / 1e9
}

fn events(report: &mut Report, runtime: &Runtime, server: &Endless, http2: bool) {
    let url = server.url(Manner::Events(EVENTS));
    let (ours, provider, request) = (client(server, http2), provider(&url), request());
    let (bare, body) = (bare(server, http2, true), Bytes::from_static(b"{}"));
    let (mut costs, mut floors) = (Vec::new(), Vec::new());
    for round in 0..STREAMS {
        let mut stream = runtime.block_on(open(&ours, &provider, &request));
        let before = on_core();
        let count = runtime.block_on(drain(&mut stream));
        let cost = (on_core() - before) * 1e6 / EVENTS as f64;
        assert!(count >= EVENTS, "{count} events");
        let mut response = runtime.block_on(post(&bare, &url, &body));
        let (before, mut count) = (on_core(), 0_usize);
        runtime.block_on(floor(&mut response, |text| count += usize::from(!text.is_empty())));
        let bare_cost = (on_core() - before) * 1e6 / EVENTS as f64;
        assert!(count >= EVENTS, "{count} events");
        if round > 0 {
            costs.push(cost);
            floors.push(bare_cost);
        }
    }
    let (version, goal) = if http2 { ("HTTP/2", "≤ 1.2 µs") } else { ("HTTP/1.1", "≤ 2.0 µs") };
    let name = format!("streamed event with its JSON, CPU, {version}");
    report.beside(&name, "µs", Figure::of(costs), ("bare reqwest", Figure::of(floors)), goal);
}

/// From the server's stamp to the event in the reader's hands, an event each millisecond.
fn latency(report: &mut Report, runtime: &Runtime, server: &Endless) {
    let url = server.url(Manner::Stamps(STAMPS));
    let (ours, provider, request) = (client(server, false), provider(&url), request());
    let (bare, body) = (bare(server, false, true), Bytes::from_static(b"{}"));
    let (mut late, mut least) = (Vec::new(), Vec::new());
    let since = |stamp: &str, server: &Endless| {
        let stamp = stamp.parse::<f64>().ok()?;
        Some(server.begun.elapsed().as_secs_f64() * 1e6 - stamp)
    };
    for _ in 0..6 {
        runtime.block_on(async {
            let mut stream = open(&ours, &provider, &request).await;
            while let Some(event) = stream.next().await.expect("a good stream") {
                if let StreamEvent::Text(stamp) = event {
                    late.extend(since(&stamp, server));
                }
            }
            let mut response = post(&bare, &url, &body).await;
            floor(&mut response, |stamp| least.extend(since(stamp, server))).await;
        });
    }
    let name = "server's stamp → decoded event";
    report.beside(name, "µs", Figure::of(late), ("bare reqwest", Figure::of(least)), "≤ 1.2 ×");
}

/// From the drop of a stream to the server's notice.
fn cancels(report: &mut Report, runtime: &Runtime, server: &Endless, http2: bool) {
    let (ours, provider, request) = (client(server, http2), provider(&server.url(Manner::Held)), request());
    server.forget_ends();
    let samples: Vec<f64> = (0..CANCELS)
        .map(|_| {
            let mut stream = runtime.block_on(open(&ours, &provider, &request));
            runtime.block_on(stream.next()).expect("a good stream");
            let dropped = Instant::now();
            drop(stream);
            // The connection's task is on this thread.
            let mut seen = None;
            while seen.is_none() {
                runtime.block_on(tokio::task::yield_now());
                seen = server.end();
            }
            seen.map_or(0.0, |seen| ms(seen.saturating_duration_since(dropped)))
        })
        .collect();
    let version = if http2 { "HTTP/2" } else { "HTTP/1.1" };
    report.alone(&format!("cancel seen by the server, {version}"), "ms", Figure::of(samples), "≤ 5 ms");
}

/// What the server grows by, for each of many runs whose answers have begun.
fn runs(report: &mut Report, model: &Endless) {
    let home = tempfile::tempdir().expect("a temporary folder");
    let root = home.path().join("work");
    std::fs::create_dir(&root).expect("a folder");
    let text = source_text(64 << 10);
    std::fs::write(root.join("a.rs"), &text).expect("a file");
    let config = home.path().join("config.toml");
    let settings = format!(
        "model = \"bench/m\"\n[providers.bench]\nkind = \"openai\"\nbase_url = \"{}\"\napi_key_env = \"\"\n\
         [llm]\nmax_concurrent = {RUNS}\nrequests_per_second = 1000\nburst = {RUNS}\n",
        model.plain_url(Manner::Held)
    );
    std::fs::write(&config, settings).expect("a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_ropeway"));
    command.env_clear().env("HOME", home.path()).env("XDG_STATE_HOME", home.path()).env("ROPEWAY_CONFIG", &config);
    let mut server = Server::start(&mut command);
    let root_uri = format!("file://{}", root.display());
    server.initialize(json!({
        "rootUri": root_uri,
        "capabilities": {"workspace": {"applyEdit": true, "workspaceEdit": {"documentChanges": true}}},
    }));
    let uri = format!("{root_uri}/a.rs");
    server.send(&json!({"jsonrpc": "2.0", "method": "textDocument/didOpen", "params": {"textDocument": {
        "uri": uri, "languageId": "rust", "version": 1, "text": text}}}));
    model.forget_ends();
    let start = |server: &mut Server, n: i64| {
        server.send(&json!({"jsonrpc": "2.0", "id": n, "method": "workspace/executeCommand", "params": {
            "command": "ropeway.run", "arguments": [{"action": "task", "uri": uri, "prompt": format!("task {n}")}]}}));
        server.answer(n);
        model.wait_begun();
    };
    // The first one brings what all share.
    start(&mut server, 10);
    server.settle(11);
    let before = server.rss();
    for n in 0..RUNS as i64 {
        start(&mut server, 100 + n);
    }
    server.settle(12);
    let each = (server.rss() - before) / RUNS as f64;
    report.alone("resident memory of a run, 100 at once", "MB", Figure::of([each]), "≤ 1 MiB");
}
