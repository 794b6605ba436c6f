//! What holds of any answer, whatever a server sends and however it is cut into pieces.

use std::sync::Arc;

use ropeway::config::{ProviderConfig, ProviderKind, Timeouts};
use ropeway::llm::StreamEvent;
use ropeway::llm::provider::codec_of;
use ropeway::llm::reader::Reader;

/// What one reading gave, without the names that we make up for calls without one.
#[derive(Debug, PartialEq)]
struct Read {
    text: String,
    thinking: String,
    calls: Vec<(String, String)>,
    ended_well: bool,
}

/// Reads `data` at once, in small pieces, and with each event parsed: none may crash, and all must say the same.
pub fn check(kind: ProviderKind, api: &str, data: &[u8]) {
    let Some((&size, stream)) = data.split_first() else { return };
    let mut options = serde_json::Map::new();
    if !api.is_empty() {
        options.insert("api".to_owned(), api.into());
    }
    let provider = ProviderConfig {
        name: "p".to_owned(),
        kind,
        base_url: "http://127.0.0.1/v1".parse().expect("an address"),
        api_key_env: None,
        key: None,
        key_missing: None,
        headers: Vec::new(),
        timeouts: Timeouts { connect: NEVER, first_byte: NEVER, idle: NEVER },
        options,
    };
    let whole = read(&provider, stream, stream.len().max(1), false);
    let pieces = read(&provider, stream, usize::from(size) % 31 + 1, false);
    assert_eq!(whole, pieces);
    let parsed = read(&provider, stream, stream.len().max(1), true);
    assert_eq!(whole, parsed);
    let mixed = mixed(stream, size);
    assert_eq!(read(&provider, &mixed, mixed.len(), false), read(&provider, &mixed, mixed.len(), true));
}

/// The events of a stream in another order, each of them several times: what is remembered of one must not tell of
/// another.
fn mixed(stream: &[u8], seed: u8) -> Vec<u8> {
    let lines: Vec<&[u8]> = stream.split(|byte| *byte == b'\n').filter(|line| line.contains(&b'{')).take(24).collect();
    let mut state = u32::from(seed) + 1;
    let mut mixed = Vec::new();
    for _ in 0..3 * lines.len() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        mixed.extend_from_slice(lines[(state >> 16) as usize % lines.len()]);
        mixed.extend_from_slice(b"\n\n");
    }
    mixed
}

const NEVER: std::time::Duration = std::time::Duration::from_secs(1);

fn read(provider: &ProviderConfig, stream: &[u8], size: usize, parse_each: bool) -> Read {
    let codec = codec_of(provider).expect("all providers are in");
    let mut decoder = codec.decoder(Arc::from("p/m"));
    if parse_each {
        decoder.parse_each();
    }
    let mut reader = Reader::new(decoder);
    let mut events = Vec::new();
    let fed = stream.chunks(size.max(1)).try_for_each(|chunk| reader.feed(chunk, &mut events));
    let ended = fed.and_then(|()| reader.end(&mut events));
    let mut read =
        Read { text: String::new(), thinking: String::new(), calls: Vec::new(), ended_well: ended.is_ok() };
    let mut done = None;
    for event in events {
        assert!(done.is_none(), "nothing follows the end");
        match event {
            StreamEvent::Text(text) => read.text.push_str(&text),
            StreamEvent::Thinking(text) => read.thinking.push_str(&text),
            StreamEvent::CallStarted { .. } => {}
            StreamEvent::Call { call, .. } => read.calls.push((call.name.to_string(), call.arguments.to_string())),
            StreamEvent::Done(response) => done = Some(response),
        }
    }
    assert_eq!(done.is_some(), read.ended_well, "an end exactly where there is success");
    if let Some(response) = done {
        assert_eq!(response.turn.calls.len(), read.calls.len());
        if let Some(raw) = response.turn.raw {
            serde_json::from_str::<serde::de::IgnoredAny>(raw.get()).expect("what goes back is JSON");
        }
    }
    read
}
