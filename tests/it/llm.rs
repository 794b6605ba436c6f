//! The model client against a loopback server that does what servers do.

mod care;
mod echo;
mod faults;
mod flow;
mod rows;
mod tls;
mod vendors;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ropeway::config::{ProviderConfig, ProviderKind, Timeouts};
use ropeway::llm::{
    Client, ClientSettings, LlmError, Message, Request, Response, ResponseStream, RetryNotice, StreamEvent, ToolSpec,
};
use serde_json::value::RawValue;

use crate::support::model::{Model, Protocol};

/// A canary that must never be seen in an error.
const KEY: &str = "sk-canary-0123456789";

const BOTH: [Protocol; 2] = [Protocol::OpenAi, Protocol::Anthropic];
const EVERY: [Protocol; 5] =
    [Protocol::OpenAi, Protocol::Responses, Protocol::Anthropic, Protocol::Google, Protocol::Ollama];

fn provider(model: &Model, protocol: Protocol) -> ProviderConfig {
    let (name, kind, url) = match protocol {
        Protocol::OpenAi | Protocol::Responses => ("open", ProviderKind::OpenAi, model.openai_url()),
        Protocol::Anthropic => ("anth", ProviderKind::Anthropic, model.anthropic_url()),
        Protocol::Google => ("goog", ProviderKind::Google, model.anthropic_url()),
        Protocol::Ollama => ("olla", ProviderKind::Ollama, model.anthropic_url()),
    };
    let mut options = serde_json::Map::new();
    if protocol == Protocol::Responses {
        options.insert("api".to_owned(), "responses".into());
    }
    let long = Duration::from_secs(60);
    ProviderConfig {
        name: name.to_owned(),
        kind,
        base_url: url.parse().unwrap(),
        api_key_env: None,
        key: Some(KEY.to_owned().into()),
        key_missing: None,
        headers: Vec::new(),
        timeouts: Timeouts { connect: long, first_byte: long, idle: long },
        options,
    }
}

/// Waits for nothing.
fn settings() -> ClientSettings {
    ClientSettings { wait_scale: 0.0, requests_per_second: 1e6, burst: 10_000, ..ClientSettings::default() }
}

fn client() -> Arc<Client> {
    Client::new(settings())
}

fn tool(name: &'static str) -> ToolSpec {
    let schema =
        RawValue::from_string(r#"{"type":"object","properties":{"path":{"type":"string"}}}"#.to_owned()).unwrap();
    ToolSpec { name, description: "a tool", schema: Arc::from(schema) }
}

fn request(messages: Vec<Message>) -> Request {
    Request {
        model: Arc::from("m-1"),
        system: Arc::from("be brief"),
        tools: Arc::from([tool("read_file"), tool("grep")]),
        messages,
        max_output_tokens: 1000,
        context_window: 50_000,
        temperature: None,
        parallel_tools: true,
    }
}

fn hello() -> Request {
    request(vec![Message::User(Arc::from("hello"))])
}

fn quiet(_: RetryNotice) {}

/// Collects the notices of retries.
#[derive(Default)]
struct Notices(Mutex<Vec<RetryNotice>>);

impl Notices {
    fn take(&self, notice: RetryNotice) {
        self.0.lock().unwrap().push(notice);
    }

    fn waits(&self) -> Vec<u128> {
        self.0.lock().unwrap().iter().map(|notice| notice.wait.as_millis()).collect()
    }
}

/// Reads a stream to its end.
async fn drain(stream: &mut ResponseStream) -> Result<(Vec<StreamEvent>, Response), LlmError> {
    let mut events = Vec::new();
    while let Some(event) = stream.next().await? {
        if let StreamEvent::Done(response) = event {
            return Ok((events, *response));
        }
        events.push(event);
    }
    panic!("the stream ended without an end: {events:?}");
}

async fn ask(client: &Arc<Client>, provider: &ProviderConfig, request: &Request) -> Result<Response, LlmError> {
    let mut stream = client.stream(provider, request, &quiet).await?;
    Ok(drain(&mut stream).await?.1)
}
