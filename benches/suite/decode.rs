//! Streams of every protocol, from bytes to typed events: the time and the allocations of an event, and whether a large
//! event costs more than its size.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ropeway::config::{ProviderConfig, ProviderKind, Timeouts};
use ropeway::llm::StreamEvent;
use ropeway::llm::provider::codec_of;
use ropeway::llm::reader::Reader;
use serde::Deserialize;

use super::report::{Figure, Report};

/// As a socket gives them.
const CHUNK: usize = 16 << 10;
const EVENTS: usize = 20_000;

struct Protocol {
    name: &'static str,
    kind: ProviderKind,
    api: &'static str,
    /// Before and after the pieces of text.
    frame: (&'static str, &'static str),
    /// Around a piece of text.
    piece: (&'static str, &'static str),
}

const PROTOCOLS: [Protocol; 5] = [
    Protocol {
        name: "chat completions",
        kind: ProviderKind::OpenAi,
        api: "chat",
        frame: ("", "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"),
        piece: (
            "data: {\"id\":\"chatcmpl-9\",\"object\":\"chat.completion.chunk\",\"created\":1763000000,\"model\":\"gpt-6-sol\",\"system_fingerprint\":\"fp_1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"",
            "\"},\"logprobs\":null,\"finish_reason\":null}],\"usage\":null}\n\n",
        ),
    },
    Protocol {
        name: "responses",
        kind: ProviderKind::OpenAi,
        api: "responses",
        frame: (
            "event: response.output_item.added\ndata: {\"type\":\"response.output_item.added\",\"output_index\":0,\"item\":{\"type\":\"message\",\"id\":\"msg_1\"}}\n\n",
            "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{}}\n\n",
        ),
        piece: (
            "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":12,\"item_id\":\"msg_1\",\"output_index\":0,\"content_index\":0,\"delta\":\"",
            "\",\"logprobs\":[],\"obfuscation\":\"aBcDeF\"}\n\n",
        ),
    },
    Protocol {
        name: "messages",
        kind: ProviderKind::Anthropic,
        api: "",
        frame: (
            "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
            "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
        ),
        piece: (
            "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"",
            "\"}}\n\n",
        ),
    },
    Protocol {
        name: "generateContent",
        kind: ProviderKind::Google,
        api: "",
        frame: ("", "data: {\"candidates\":[{\"finishReason\":\"STOP\"}]}\r\n\r\n"),
        piece: (
            "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"",
            "\"}],\"role\":\"model\"},\"index\":0}],\"usageMetadata\":{\"promptTokenCount\":2000,\"candidatesTokenCount\":77,\"totalTokenCount\":2077},\"modelVersion\":\"gemini-3.8-flash\",\"responseId\":\"r1\"}\r\n\r\n",
        ),
    },
    Protocol {
        name: "Ollama",
        kind: ProviderKind::Ollama,
        api: "",
        frame: ("", "{\"done\":true,\"done_reason\":\"stop\"}\n"),
        piece: (
            "{\"model\":\"qwen3:8b\",\"created_at\":\"2026-11-20T10:00:00.000000000Z\",\"message\":{\"role\":\"assistant\",\"content\":\"",
            "\"},\"done\":false}\n",
        ),
    },
];

impl Protocol {
    fn provider(&self) -> ProviderConfig {
        let long = Duration::from_secs(60);
        let mut options = serde_json::Map::new();
        if !self.api.is_empty() {
            options.insert("api".to_owned(), self.api.into());
        }
        ProviderConfig {
            name: "p".to_owned(),
            kind: self.kind,
            base_url: "http://127.0.0.1/v1".parse().expect("an address"),
            api_key_env: None,
            key: None,
            key_missing: None,
            headers: Vec::new(),
            timeouts: Timeouts { connect: long, first_byte: long, idle: long },
            options,
        }
    }

    fn stream(&self, text: &str, times: usize) -> String {
        let piece = format!("{}{text}{}", self.piece.0, self.piece.1);
        format!("{}{}{}", self.frame.0, piece.repeat(times), self.frame.1)
    }

    fn reader(&self) -> Reader {
        Reader::new(codec_of(&self.provider()).expect("all providers are in").decoder(Arc::from("p/m")))
    }
}

/// Reads a stream as a run does: the events of a chunk are taken before the next.
fn read(reader: &mut Reader, stream: &str, events: &mut Vec<StreamEvent>) -> usize {
    let mut count = 0;
    for chunk in stream.as_bytes().chunks(CHUNK) {
        reader.feed(chunk, events).expect("a good stream");
        count += events.len();
        black_box(&events);
        events.clear();
    }
    count
}

pub fn measure(report: &mut Report) {
    for protocol in &PROTOCOLS {
        let stream = protocol.stream(" a token", EVENTS);
        let mut events = Vec::with_capacity(1024);
        let samples = (0..31).map(|_| {
            let mut reader = protocol.reader();
            let begun = Instant::now();
            let count = read(&mut reader, &stream, &mut events);
            let time = begun.elapsed();
            assert!(count >= EVENTS, "{}: {count} events", protocol.name);
            time.as_secs_f64() * 1e6 / EVENTS as f64
        });
        let samples: Vec<f64> = samples.collect();
        let floor = Figure::of((0..31).map(|_| bare(&stream)));
        let name = format!("{}: bytes to a typed event", protocol.name);
        report.beside(&name, "µs", Figure::of(samples), ("serde_json on its lines", floor), "≤ 0.5 µs");

        let mut reader = protocol.reader();
        let warm = protocol.stream(" a token", 2_000);
        let warm = &warm[..warm.len() - protocol.frame.1.len()];
        read(&mut reader, warm, &mut events);
        let rest = protocol.stream(" a token", EVENTS);
        let rest = &rest[protocol.frame.0.len()..rest.len() - protocol.frame.1.len()];
        let counted = allocation_counter::measure(|| {
            read(&mut reader, rest, &mut events);
        });
        let each = counted.count_total as f64 / EVENTS as f64;
        report.alone(&format!("{}: allocations an event", protocol.name), "", Figure::of([each]), "≤ 2");
    }

    let chat = &PROTOCOLS[0];
    let large = chat.stream(&"x".repeat(5 << 20), 1);
    let small = chat.stream(&"x".repeat(1 << 20), 1);
    let time = |stream: &str, chunk: usize| {
        let samples = (0..31).map(|_| {
            let mut reader = chat.reader();
            let mut events = Vec::new();
            let begun = Instant::now();
            for chunk in stream.as_bytes().chunks(chunk) {
                reader.feed(chunk, &mut events).expect("a good stream");
            }
            black_box(&events);
            begun.elapsed().as_secs_f64() * 1e3
        });
        Figure::of(samples)
    };
    let five = |figure: Figure| Figure {
        median: figure.median * 5.0,
        low: figure.low * 5.0,
        high: figure.high * 5.0,
        ..figure
    };
    for (name, chunk) in [("in chunks of 16 KiB", CHUNK), ("in chunks of 1,448 B", 1448)] {
        let (large, small) = (time(&large, chunk), five(time(&small, chunk)));
        report.beside(&format!("an event of 5 MB {name}"), "ms", large, ("5 × an event of 1 MB", small), "ratio ≈ 1");
    }
}

/// The floor: a line at a time, with typed JSON of about as many fields and nothing kept.
fn bare(stream: &str) -> f64 {
    #[derive(Deserialize)]
    struct Any<'a> {
        #[serde(borrow, default)]
        choices: Option<&'a serde_json::value::RawValue>,
        #[serde(borrow, default)]
        delta: Option<&'a serde_json::value::RawValue>,
        #[serde(borrow, default)]
        candidates: Option<&'a serde_json::value::RawValue>,
        #[serde(borrow, default)]
        message: Option<&'a serde_json::value::RawValue>,
    }
    let begun = Instant::now();
    for line in stream.lines() {
        let data = line.strip_prefix("data: ").unwrap_or(line);
        if data.starts_with('{') {
            let any: Any<'_> = serde_json::from_str(data).expect("JSON");
            black_box((any.choices, any.delta, any.candidates, any.message));
        }
    }
    begun.elapsed().as_secs_f64() * 1e6 / EVENTS as f64
}
