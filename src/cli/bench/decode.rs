//! Streams of every protocol, from bytes to typed events.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::bail;

use super::figure::us_since;
use super::measure::Measure;
use crate::config::{ProviderConfig, ProviderKind, Timeouts};
use crate::llm::StreamEvent;
use crate::llm::provider::codec_of;
use crate::llm::reader::Reader;

/// As a socket gives them.
pub const CHUNK: usize = 16 << 10;
/// Events of a stream that is timed.
pub const EVENTS: usize = 20_000;

/// A stream of text as one vendor frames it.
#[derive(Debug)]
pub struct Protocol {
    /// Its name in saved files.
    pub id: &'static str,
    /// For people.
    pub name: &'static str,
    kind: ProviderKind,
    api: &'static str,
    /// Before and after the pieces of text.
    pub frame: (&'static str, &'static str),
    /// Around a piece of text.
    piece: (&'static str, &'static str),
}

/// The streams of all vendors.
pub static PROTOCOLS: [Protocol; 5] = [
    Protocol {
        id: "decode-chat",
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
        id: "decode-responses",
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
        id: "decode-messages",
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
        id: "decode-generate-content",
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
        id: "decode-ollama",
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
    fn provider(&self) -> anyhow::Result<ProviderConfig> {
        let long = Duration::from_secs(60);
        let mut options = serde_json::Map::new();
        if !self.api.is_empty() {
            options.insert("api".to_owned(), self.api.into());
        }
        Ok(ProviderConfig {
            name: "p".to_owned(),
            kind: self.kind,
            base_url: "http://127.0.0.1/v1".parse()?,
            api_key_env: None,
            key: None,
            key_missing: None,
            headers: Vec::new(),
            timeouts: Timeouts { connect: long, first_byte: long, idle: long },
            options,
        })
    }

    /// A whole stream with so many events of this text.
    pub fn stream(&self, text: &str, times: usize) -> String {
        let piece = format!("{}{text}{}", self.piece.0, self.piece.1);
        format!("{}{}{}", self.frame.0, piece.repeat(times), self.frame.1)
    }

    /// A reader of one stream.
    ///
    /// # Errors
    /// This build was made without the vendor.
    pub fn reader(&self) -> anyhow::Result<Reader> {
        Ok(Reader::new(codec_of(&self.provider()?)?.decoder(Arc::from("p/m"))))
    }

    /// Whether this build can read it.
    pub fn is_built_in(&self) -> bool {
        self.kind.supported()
    }

    /// From bytes to a typed event, in microseconds.
    pub fn measure(&'static self) -> Measure {
        let stream = self.stream(" a token", EVENTS);
        let mut events = Vec::with_capacity(1024);
        Measure::new(self.id, format!("{}: bytes to a typed event", self.name), "µs", 5, move || {
            let mut reader = self.reader()?;
            let begun = Instant::now();
            let count = read(&mut reader, &stream, &mut events)?;
            let time = us_since(begun);
            if count < EVENTS {
                bail!("{}: {count} events of {EVENTS}", self.name);
            }
            Ok(time / EVENTS as f64)
        })
    }
}

/// Reads a stream as a run does: the events of a chunk are taken before the next. Gives how many there were.
///
/// # Errors
/// The stream is not what its protocol says.
pub fn read(reader: &mut Reader, stream: &str, events: &mut Vec<StreamEvent>) -> anyhow::Result<usize> {
    let mut count = 0;
    for chunk in stream.as_bytes().chunks(CHUNK) {
        if let Err(failure) = reader.feed(chunk, events) {
            return Err(failure.error.into());
        }
        count += events.len();
        black_box(&events);
        events.clear();
    }
    Ok(count)
}
