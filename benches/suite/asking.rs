//! Who asks the model servers of the bench: our client, as a run does, and the least that a program can do over reqwest.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use ropeway::config::{ProviderConfig, ProviderKind, Timeouts};
use ropeway::ids::RunId;
use ropeway::llm::{Call, Client, ClientSettings, Message, Request, ResponseStream};
use serde::Deserialize;

use super::endless::Endless;

/// As the client sets its own up; `pooled` says whether connections are kept.
pub fn bare(server: &Endless, http2: bool, pooled: bool) -> reqwest::Client {
    let mut builder = reqwest::Client::builder().no_proxy().tcp_nodelay(true).tls_certs_only([server.certificate()]);
    if !http2 {
        builder = builder.http1_only();
    }
    if !pooled {
        builder = builder.pool_max_idle_per_host(0);
    }
    builder.build().expect("a client")
}

pub fn client(server: &Endless, http2: bool) -> Arc<Client> {
    let settings = ClientSettings {
        http2,
        requests_per_second: 1e9,
        burst: u32::MAX,
        max_retries: 0,
        roots: vec![server.certificate()],
        ..ClientSettings::default()
    };
    Client::new(settings)
}

pub fn provider(url: &str) -> Arc<ProviderConfig> {
    let long = Duration::from_secs(60);
    Arc::new(ProviderConfig {
        name: "p".to_owned(),
        kind: ProviderKind::OpenAi,
        base_url: url.parse().expect("an address"),
        api_key_env: None,
        key: Some("k".to_owned().into()),
        key_missing: None,
        headers: Vec::new(),
        timeouts: Timeouts { connect: long, first_byte: long, idle: long },
        options: serde_json::Map::new(),
    })
}

pub fn request() -> Request {
    Request {
        model: Arc::from("m"),
        system: Arc::from("be brief"),
        tools: Arc::from([]),
        messages: vec![Message::User(Arc::from("x".repeat(2000)))],
        max_output_tokens: 1000,
        context_window: 50_000,
        temperature: None,
        parallel_tools: true,
    }
}

/// As a run asks.
pub async fn open(client: &Arc<Client>, provider: &Arc<ProviderConfig>, request: &Request) -> ResponseStream {
    let call = Call {
        request: request.clone(),
        provider: Arc::clone(provider),
        fallback: Arc::from([]),
        run: RunId::from("r"),
        thread: None,
    };
    client.call(call, &|_| {}).await.expect("an answer")
}

pub async fn drain(stream: &mut ResponseStream) -> usize {
    let mut count = 0;
    while let Some(event) = stream.next().await.expect("a good stream") {
        count += 1;
        black_box(event);
    }
    count
}

pub async fn post(client: &reqwest::Client, url: &str, body: &Bytes) -> reqwest::Response {
    let request = client.post(format!("{url}/chat/completions")).body(body.clone());
    request.header(CONTENT_TYPE, HeaderValue::from_static("application/json")).send().await.expect("an answer")
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow)]
    choices: Vec<Choice<'a>>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow)]
    delta: Delta<'a>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow)]
    content: Option<std::borrow::Cow<'a, str>>,
}

/// The least a client can do: lines cut out of a growing buffer, and typed JSON that borrows from them.
pub async fn floor(response: &mut reqwest::Response, mut event: impl FnMut(&str)) {
    let mut pending: Vec<u8> = Vec::new();
    while let Some(chunk) = response.chunk().await.expect("a good stream") {
        pending.extend_from_slice(&chunk);
        let mut at = 0;
        while let Some(end) = memchr::memchr(b'\n', &pending[at..]) {
            let data = pending[at..at + end].strip_prefix(b"data: ").filter(|data| data.first() == Some(&b'{'));
            if let Some(data) = data {
                let chunk: Chunk<'_> = serde_json::from_slice(data).expect("JSON");
                if let Some(content) = chunk.choices.first().and_then(|choice| choice.delta.content.as_ref()) {
                    event(content);
                }
            }
            at += end + 1;
        }
        pending.drain(..at);
    }
}
