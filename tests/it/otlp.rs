//! Traces and metrics for a collector: what the real program sends to one on loopback, and that a run does not care
//! whether there is one.
#![expect(clippy::disallowed_methods, reason = "the tests start the real program and look at it from outside")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::support::model::{Model, Turn};

const PROMPT: &str = "prompt-that-nobody-else-may-read";
const TEXT: &str = "text-of-a-file";

/// Requests by path, with their headers and bodies.
type Taken = Arc<Mutex<Vec<(String, String, Vec<u8>)>>>;

/// A collector that answers each request with this status.
fn collector(status: u16) -> (String, Taken) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let taken = Taken::default();
    let into = taken.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let into = into.clone();
            std::thread::spawn(move || {
                let mut reader = BufReader::new(&stream);
                loop {
                    let (mut head, mut length) = (String::new(), 0);
                    loop {
                        let mut line = String::new();
                        if reader.read_line(&mut line).unwrap_or(0) == 0 {
                            return;
                        }
                        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                            length = value.trim().parse().unwrap();
                        }
                        if line.trim().is_empty() {
                            break;
                        }
                        head.push_str(&line);
                    }
                    let mut body = vec![0; length];
                    reader.read_exact(&mut body).unwrap();
                    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                    into.lock().unwrap().push((path, head, body));
                    let answer = format!("HTTP/1.1 {status} Said\r\ncontent-length: 2\r\n\r\n{{}}");
                    if (&stream).write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    (address, taken)
}

/// A run that reads a file and answers, with these variables.
fn run(variables: &[(&str, &str)]) -> Output {
    let (place, model) = (tempfile::tempdir().unwrap(), Model::start());
    let work = place.path().join("work");
    std::fs::create_dir(&work).unwrap();
    std::fs::write(work.join("a.txt"), TEXT).unwrap();
    let config = format!(
        "model = \"test/m\"\n[providers.test]\nkind = \"openai\"\nbase_url = \"{}\"\napi_key_env = \"\"\n\
         [llm]\nmax_retries = 0\n",
        model.openai_url()
    );
    std::fs::write(place.path().join("config.toml"), config).unwrap();
    let read = |path: &str| ("read_file", json!({"path": path}));
    model.script([
        Turn::calls([read("a.txt"), read("none.txt")]).usage(900, 100, 20),
        Turn::text("answer-of-the-model").usage(1000, 900, 30),
    ]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_ropeway"));
    command.args(["run", PROMPT]).env_clear().env("HOME", place.path()).current_dir(&work);
    command.env("ROPEWAY_CONFIG", place.path().join("config.toml"));
    command.env("ROPEWAY_STATE_DIR", place.path().join("state")).envs(variables.iter().copied());
    command.output().unwrap()
}

fn answered(output: &Output) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("answer-of-the-model"), "{said}");
}

fn attribute<'v>(of: &'v Value, name: &str) -> Option<&'v Value> {
    let all = of["attributes"].as_array().unwrap();
    all.iter().find(|attribute| attribute["key"] == name)?["value"].as_object()?.values().next()
}

#[test]
fn a_run_is_a_trace_in_the_words_of_the_conventions_and_holds_no_text() {
    let (address, taken) = collector(200);
    let output = run(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &address),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-team=blue%20sky"),
        ("OTEL_SERVICE_NAME", "our-ropeway"),
        ("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "true"),
    ]);
    answered(&output);
    let taken = taken.lock().unwrap();
    for (_, head, body) in taken.iter() {
        let text = String::from_utf8_lossy(body);
        assert!(head.contains("x-team: blue sky") && head.contains("application/json"), "{head}");
        for content in [PROMPT, TEXT, "answer-of-the-model", "a.txt"] {
            assert!(!text.contains(content), "{content}: {text}");
        }
    }
    let bodies = |path: &str| -> Vec<Value> {
        let of = taken.iter().filter(|(known, ..)| known == path);
        of.map(|(_, _, body)| serde_json::from_slice(body).unwrap()).collect()
    };
    let traces = bodies("/v1/traces");
    let service = &traces[0]["resourceSpans"][0]["resource"];
    assert_eq!(attribute(service, "service.name"), Some(&json!("our-ropeway")));
    let spans: Vec<&Value> =
        traces.iter().flat_map(|body| body["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap()).collect();
    let named = |name: &str| spans.iter().copied().filter(|span| span["name"] == name).collect::<Vec<_>>();
    let (agents, chats, tools) = (named("invoke_agent ropeway"), named("chat m"), named("execute_tool read_file"));
    assert_eq!((agents.len(), chats.len(), tools.len(), spans.len()), (1, 2, 2, 5), "{spans:?}");
    let agent = agents[0];
    assert!(agent.get("parentSpanId").is_none(), "{agent}");
    for span in chats.iter().chain(&tools) {
        assert_eq!((&span["parentSpanId"], &span["traceId"]), (&agent["spanId"], &agent["traceId"]), "{span}");
        let time = |name: &str| span[name].as_str().unwrap().parse::<u64>().unwrap();
        assert!(time("startTimeUnixNano") <= time("endTimeUnixNano"), "{span}");
    }
    assert_eq!(attribute(agent, "gen_ai.usage.input_tokens"), Some(&json!("1900")));
    assert_eq!(attribute(agent, "ropeway.status"), Some(&json!("answered")));
    for (name, value) in [
        ("gen_ai.operation.name", json!("chat")),
        ("gen_ai.provider.name", json!("openai")),
        ("gen_ai.request.model", json!("m")),
        ("gen_ai.response.model", json!("m")),
        ("gen_ai.usage.input_tokens", json!("900")),
        ("gen_ai.usage.output_tokens", json!("20")),
        ("gen_ai.usage.cache_read.input_tokens", json!("100")),
        ("server.address", json!("127.0.0.1")),
    ] {
        assert_eq!(attribute(chats[0], name), Some(&value), "{name}: {}", chats[0]);
    }
    let failed: Vec<_> = tools.iter().filter(|tool| attribute(tool, "error.type").is_some()).collect();
    assert_eq!((failed.len(), &failed[0]["status"]["code"]), (1, &json!(2)));
    assert_eq!(attribute(tools[0], "gen_ai.tool.type"), Some(&json!("function")));

    let last = bodies("/v1/metrics").pop().unwrap();
    let metrics = last["resourceMetrics"][0]["scopeMetrics"][0]["metrics"].as_array().unwrap().clone();
    let points = |name: &str| {
        let metric = metrics.iter().find(|metric| metric["name"] == name).unwrap();
        metric["histogram"]["dataPoints"].as_array().unwrap().clone()
    };
    let tokens = points("gen_ai.client.token.usage");
    let of = |word: &str| tokens.iter().find(|p| attribute(p, "gen_ai.token.type") == Some(&json!(word))).unwrap();
    assert_eq!((&of("input")["count"], &of("input")["sum"]), (&json!("2"), &json!(1900.0)));
    assert_eq!(of("output")["sum"], json!(50.0));
    let durations = points("gen_ai.client.operation.duration");
    let chat = durations.iter().find(|p| attribute(p, "gen_ai.operation.name") == Some(&json!("chat"))).unwrap();
    assert_eq!(chat["count"], "2");
}

#[test]
fn protobuf_is_spoken_unless_json_is_asked_for() {
    let (address, taken) = collector(200);
    answered(&run(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &address), ("OTEL_METRICS_EXPORTER", "none")]));
    let taken = taken.lock().unwrap();
    assert!(taken.iter().all(|(path, head, _)| path == "/v1/traces" && head.contains("application/x-protobuf")));
    let body = &taken[0].2;
    assert_eq!(body[0], 0x0a, "resource_spans, a message");
    let holds = |text: &str| body.windows(text.len()).any(|part| part == text.as_bytes());
    assert!(holds("execute_tool read_file") && holds("gen_ai.usage.output_tokens") && !holds(PROMPT));
}

#[test]
fn a_run_ends_well_with_a_collector_that_refuses_or_is_silent_or_gone() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let (refusing, taken) = collector(400);
    for address in [&*format!("http://{}", silent.local_addr().unwrap()), &gone, &refusing] {
        let output = run(&[("OTEL_EXPORTER_OTLP_ENDPOINT", address), ("OTEL_EXPORTER_OTLP_TIMEOUT", "300")]);
        answered(&output);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.matches("takes nothing").count() <= 1, "it is said once: {said}");
    }
    assert!(!taken.lock().unwrap().is_empty());
}

#[test]
fn a_variable_that_cannot_be_understood_is_named() {
    let output = run(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("OTEL_EXPORTER_OTLP_PROTOCOL") && said.contains("http/protobuf"), "{said}");
}
