//! Recorded streams of all vendors through parser and decoder: cut and split at every byte, bent in every way that
//! servers are known to bend them, and mutated at random. The rules are those of the notes on providers, section 1.

mod anthropic;
mod frames;
mod google;
mod hostile;
mod ollama;
mod openai;
mod responses;
mod rules;

use std::sync::Arc;

use crate::llm::failure::Failure;
use crate::llm::google::Google;
use crate::llm::ollama::Ollama;
use crate::llm::openai::{OpenAi, Responses};
use crate::llm::provider::{Decode, Provider};
use crate::llm::reader::Reader;
use crate::llm::{Response, StreamEvent, ToolCall};

pub(super) struct Read {
    pub(super) events: Vec<StreamEvent>,
    pub(super) ended: Result<(), Failure>,
}

/// Reads chunks to their end: with what makes it fast and without, which must not differ.
pub(super) fn read(codec: &dyn Provider, chunks: &[&[u8]]) -> Read {
    let fast = read_by(codec.decoder(Arc::from("p/m")), chunks);
    let mut plain = codec.decoder(Arc::from("p/m"));
    plain.parse_each();
    let slow = read_by(plain, chunks);
    assert_eq!(told(&fast), told(&slow));
    fast
}

/// All of it in words, without the numbers of the names that we make up for calls.
fn told(read: &Read) -> String {
    let made_up = crate::ids::CallId::unused();
    let made_up = made_up.as_str().trim_end_matches(|ch: char| ch.is_ascii_digit());
    let told = format!("{:?} {:?}", read.events, read.ended);
    let mut parts = told.split(made_up);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |told, part| told + made_up + part.trim_start_matches(|ch: char| ch.is_ascii_digit()))
}

fn read_by(decoder: Box<dyn Decode>, chunks: &[&[u8]]) -> Read {
    let mut reader = Reader::new(decoder);
    let mut events = Vec::new();
    for chunk in chunks {
        if let Err(failure) = reader.feed(chunk, &mut events) {
            return Read { events, ended: Err(failure) };
        }
    }
    let ended = reader.end(&mut events);
    Read { events, ended }
}

impl Read {
    /// The response of a stream that ended well.
    pub(super) fn response(&self) -> &Response {
        if let Err(failure) = &self.ended {
            panic!("{failure:?} after {:?}", self.events);
        }
        match self.events.last() {
            Some(StreamEvent::Done(response)) => response,
            other => panic!("the last event is {other:?}"),
        }
    }

    pub(super) fn text(&self) -> String {
        self.events
            .iter()
            .filter_map(|event| if let StreamEvent::Text(text) = event { Some(text.as_str()) } else { None })
            .collect()
    }

    pub(super) fn thinking(&self) -> String {
        let thinking =
            |event: &StreamEvent| if let StreamEvent::Thinking(text) = event { Some(text.clone()) } else { None };
        self.events.iter().filter_map(thinking).collect()
    }

    pub(super) fn calls(&self) -> Vec<ToolCall> {
        let mut calls: Vec<_> = self
            .events
            .iter()
            .filter_map(
                |event| if let StreamEvent::Call { index, call } = event { Some((*index, call.clone())) } else { None },
            )
            .collect();
        calls.sort_by_key(|(index, _)| *index);
        assert!(calls.iter().enumerate().all(|(at, (index, _))| at == *index), "each call once: {:?}", self.events);
        calls.into_iter().map(|(_, call)| call).collect()
    }

    /// Names and arguments of the calls.
    pub(super) fn called(&self) -> Vec<(String, String)> {
        self.calls().iter().map(|call| (call.name.to_string(), call.arguments.to_string())).collect()
    }

    /// The raw turn.
    pub(super) fn raw(&self) -> serde_json::Value {
        serde_json::from_str(self.response().turn.raw.as_ref().unwrap().get()).unwrap()
    }

    fn is_done(&self) -> bool {
        self.events.iter().any(|event| matches!(event, StreamEvent::Done(_)))
    }
}

/// What must hold of any stream, whole or not.
pub(super) fn check_invariants(read: &Read) {
    let done = read.events.iter().filter(|event| matches!(event, StreamEvent::Done(_))).count();
    assert_eq!(done, usize::from(read.ended.is_ok()), "an end exactly where there is success: {:?}", read.events);
    if read.ended.is_ok() {
        let response = read.response();
        assert_eq!(response.turn.calls, read.calls());
        if let Some(raw) = &response.turn.raw {
            serde_json::from_str::<serde::de::IgnoredAny>(raw.get()).unwrap();
        }
    }
}

/// A stream cut at every byte is an error, or everything had come; what was handed over is never half.
pub(super) fn check_cuts(codec: &dyn Provider, stream: &str) {
    let whole = read(codec, &[stream.as_bytes()]);
    let (calls, text) = (whole.calls(), whole.text());
    whole.response();
    let mut failed = 0;
    for at in 0..stream.len() {
        let cut = read(codec, &[&stream.as_bytes()[..at]]);
        check_invariants(&cut);
        for event in &cut.events {
            if let StreamEvent::Call { index, call } = event {
                assert_eq!(call, &calls[*index], "cut at {at}");
            }
        }
        assert!(text.starts_with(&cut.text()), "cut at {at}: {}", cut.text());
        if cut.ended.is_err() {
            failed += 1;
            assert!(!cut.is_done(), "cut at {at}");
        } else {
            assert_eq!((cut.calls(), cut.text()), (calls.clone(), text.clone()), "cut at {at}");
        }
    }
    assert!(failed * 10 > stream.len() * 6, "only {failed} of {} cuts failed", stream.len());
}

/// Where a stream is split, and how its lines end, changes nothing.
pub(super) fn check_splits(codec: &dyn Provider, stream: &str) {
    let expected = format!("{:?}", read(codec, &[stream.as_bytes()]).events);
    for end in ["\n", "\r\n", "\r"] {
        let stream = stream.replace('\n', end);
        let bytes = stream.as_bytes();
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(format!("{:?}", read(codec, &single).events), expected, "{end:?} byte by byte");
        if end == "\r\n" {
            for at in 0..=bytes.len() {
                let split = read(codec, &[&bytes[..at], &bytes[at..]]);
                assert_eq!(format!("{:?}", split.events), expected, "{end:?} split at {at}");
            }
        }
    }
}

/// Events as a chat completions stream.
pub(super) fn openai(events: &[&str]) -> Read {
    data_only(&OpenAi, events)
}

/// Events as a messages stream, each named by its type.
pub(super) fn anthropic(events: &[&str]) -> Read {
    let stream: String = events.iter().map(|event| anthropic_event(event)).collect();
    let read = read(&crate::llm::anthropic::Anthropic, &[stream.as_bytes()]);
    check_invariants(&read);
    read
}

/// Events as data alone.
fn data_only(codec: &dyn Provider, events: &[&str]) -> Read {
    let stream: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
    let read = read(codec, &[stream.as_bytes()]);
    check_invariants(&read);
    read
}

/// Events as a `generateContent` stream.
pub(super) fn google(events: &[&str]) -> Read {
    data_only(&Google, events)
}

/// Events as a Responses stream; their type is in the data too.
pub(super) fn responses(events: &[&str]) -> Read {
    data_only(&Responses, events)
}

/// Lines as an `/api/chat` stream.
pub(super) fn ollama(lines: &[&str]) -> Read {
    let stream: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let read = read(&Ollama, &[stream.as_bytes()]);
    check_invariants(&read);
    read
}

fn anthropic_event(event: &str) -> String {
    let name = event.split('"').nth(3).unwrap_or("x");
    format!("event: {name}\ndata: {event}\n\n")
}
