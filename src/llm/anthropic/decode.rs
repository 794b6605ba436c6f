//! The messages stream: named events, blocks by index, `message_stop` as the only good end.

use std::sync::Arc;

use reqwest::header::HeaderMap;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::block::{Block, Content};
use crate::llm::calls::{Calls, is_object};
use crate::llm::failure::{Failure, classify, clip};
use crate::llm::frame::{Frames, Gap, quoted};
use crate::llm::provider::{Decode, bad_event, utf8};
use crate::llm::surrogates::{Piecewise, Wtf};
use crate::llm::{AssistantTurn, Response, Stop, StreamEvent, Usage};

/// The most blocks of one answer: text, thinking, calls and the provider's own tools together.
const MAX_BLOCKS: usize = 4096;
/// A longer name of a message cannot be referred to.
const MAX_ID: usize = 200;

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, default)]
    r#type: Option<Wtf<'a>>,
    #[serde(default)]
    index: Option<u64>,
    #[serde(borrow, default)]
    message: Option<MessageStart<'a>>,
    #[serde(borrow, default)]
    content_block: Option<&'a RawValue>,
    #[serde(borrow, default)]
    delta: Option<Delta<'a>>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct MessageStart<'a> {
    #[serde(borrow, default)]
    id: Option<Wtf<'a>>,
    #[serde(borrow, default)]
    diagnostics: Option<&'a RawValue>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
struct Delta<'a> {
    #[serde(borrow, default)]
    text: Option<Wtf<'a>>,
    #[serde(borrow, default)]
    partial_json: Option<Wtf<'a>>,
    #[serde(borrow, default)]
    thinking: Option<Wtf<'a>>,
    #[serde(borrow, default)]
    signature: Option<Wtf<'a>>,
    #[serde(borrow, default)]
    citation: Option<&'a RawValue>,
    #[serde(borrow, default)]
    stop_reason: Option<Wtf<'a>>,
    #[serde(borrow, default)]
    stop_details: Option<&'a RawValue>,
}

/// The one field of a delta that has a text.
#[derive(Clone, Copy)]
enum Field {
    Text,
    Json,
    Thinking,
}

impl<'a> Delta<'a> {
    /// With this text alone.
    fn of(field: Field, text: Wtf<'a>) -> Self {
        match field {
            Field::Text => Self { text: Some(text), ..Self::default() },
            Field::Json => Self { partial_json: Some(text), ..Self::default() },
            Field::Thinking => Self { thinking: Some(text), ..Self::default() },
        }
    }

    /// The text, if there is nothing else.
    fn only(&self) -> Option<(Field, &Wtf<'a>)> {
        let more = self.signature.is_some() || self.citation.is_some();
        match (&self.text, &self.partial_json, &self.thinking) {
            (Some(text), None, None) if !more => Some((Field::Text, text)),
            (None, Some(text), None) if !more => Some((Field::Json, text)),
            (None, None, Some(text)) if !more => Some((Field::Thinking, text)),
            _ => None,
        }
    }
}

#[derive(Deserialize)]
struct BlockStart<'a> {
    #[serde(borrow, default)]
    r#type: Option<Wtf<'a>>,
    #[serde(borrow, default)]
    id: Option<Wtf<'a>>,
    #[serde(borrow, default)]
    name: Option<Wtf<'a>>,
    #[serde(borrow, default)]
    input: Option<&'a RawValue>,
    #[serde(borrow, default)]
    text: Option<Wtf<'a>>,
    #[serde(borrow, default)]
    thinking: Option<Wtf<'a>>,
    #[serde(borrow, default)]
    signature: Option<Wtf<'a>>,
}

/// All of it may be missing or null; what is there replaces what was.
#[derive(Deserialize, Default)]
struct WireUsage {
    #[serde(default)]
    input_tokens: Option<u64>,
    #[serde(default)]
    cache_read_input_tokens: Option<u64>,
    #[serde(default)]
    cache_creation_input_tokens: Option<u64>,
    #[serde(default)]
    output_tokens: Option<u64>,
    #[serde(default)]
    output_tokens_details: Option<OutputDetails>,
}

#[derive(Clone, Copy, Deserialize, Default)]
struct OutputDetails {
    #[serde(default)]
    thinking_tokens: Option<u64>,
}

/// One answer being read.
#[derive(Default)]
pub(super) struct Decoder {
    origin: Arc<str>,
    blocks: Vec<Block>,
    calls: Calls,
    usage: Option<WireUsage>,
    stop: Option<String>,
    refusal: Option<String>,
    id: Option<Arc<str>>,
    cache_miss: Option<String>,
    frames: Frames<(u64, Field)>,
    done: bool,
}

impl Decoder {
    pub(super) fn new(origin: Arc<str>) -> Self {
        Self { origin, ..Self::default() }
    }

    fn usage(&mut self, usage: Option<&RawValue>) {
        let Some(new) = usage.and_then(|usage| serde_json::from_str::<WireUsage>(usage.get()).ok()) else { return };
        let have = self.usage.get_or_insert_default();
        have.input_tokens = new.input_tokens.or(have.input_tokens);
        have.cache_read_input_tokens = new.cache_read_input_tokens.or(have.cache_read_input_tokens);
        have.cache_creation_input_tokens = new.cache_creation_input_tokens.or(have.cache_creation_input_tokens);
        have.output_tokens = new.output_tokens.or(have.output_tokens);
        have.output_tokens_details = new.output_tokens_details.or(have.output_tokens_details);
    }

    fn start(&mut self, index: u64, raw: &RawValue, out: &mut Vec<StreamEvent>) -> Result<(), Failure> {
        let block: BlockStart<'_> = serde_json::from_str(raw.get()).map_err(|error| bad_event(&error))?;
        if self.blocks.len() == MAX_BLOCKS {
            return Err(Failure::bad_response(format!("the response has more than {MAX_BLOCKS} blocks")));
        }
        // An index that is used again closes what it named.
        self.stop_block(index, out);
        let mut first = |text: &Option<Wtf<'_>>, event: fn(String) -> StreamEvent| {
            let mut piecewise = Piecewise::default();
            if let Some(text) = text {
                out.extend(piecewise.push(&text.0).map(event));
            }
            piecewise
        };
        let content = match block.r#type.as_ref().map(Wtf::text).as_deref() {
            Some("text") => Content::Text(first(&block.text, StreamEvent::Text)),
            Some("thinking") => Content::Thinking {
                thinking: first(&block.thinking, StreamEvent::Thinking),
                signature: block.signature.as_ref().map(|signature| signature.text().into_owned()).unwrap_or_default(),
            },
            Some("tool_use") => {
                let id = block.id.as_ref().map(Wtf::text).unwrap_or_default();
                let name = block.name.as_ref().map(Wtf::text).unwrap_or_default();
                let at = self.calls.open(None, &id, &name, out)?;
                // Normally `{}`, to be filled by deltas; a server that does not stream arguments gives them here.
                if let Some(input) = block.input.map(RawValue::get).filter(|input| input.len() > 2 && is_object(input))
                {
                    let empty = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(input)
                        .is_ok_and(|map| map.is_empty());
                    if !empty {
                        self.calls.arguments(at, input.as_bytes())?;
                    }
                }
                Content::Call(at)
            }
            _ => Content::Other { input: String::new() },
        };
        self.blocks.push(Block { index, closed: false, content, start: raw.to_owned(), citations: Vec::new() });
        Ok(())
    }

    fn delta(&mut self, index: u64, delta: &Delta<'_>, out: &mut Vec<StreamEvent>) -> Result<(), Failure> {
        let Some(block) = self.blocks.iter_mut().rev().find(|block| block.index == index && !block.closed) else {
            return Ok(());
        };
        match &mut block.content {
            Content::Text(text) => {
                if let Some(piece) = &delta.text {
                    out.extend(text.push(&piece.0).map(StreamEvent::Text));
                }
                block.citations.extend(delta.citation.map(RawValue::to_owned));
            }
            Content::Thinking { thinking, signature } => {
                if let Some(piece) = &delta.thinking {
                    out.extend(thinking.push(&piece.0).map(StreamEvent::Thinking));
                }
                if let Some(piece) = &delta.signature {
                    signature.push_str(&piece.text());
                }
            }
            Content::Call(at) => {
                if let Some(piece) = &delta.partial_json {
                    let at = *at;
                    self.calls.arguments(at, &piece.0)?;
                }
            }
            Content::Other { input } => {
                if let Some(piece) = &delta.partial_json {
                    input.push_str(&piece.text());
                }
            }
        }
        Ok(())
    }

    fn stop_block(&mut self, index: u64, out: &mut Vec<StreamEvent>) {
        let Some(block) = self.blocks.iter_mut().rev().find(|block| block.index == index && !block.closed) else {
            return;
        };
        block.closed = true;
        match &mut block.content {
            Content::Text(text) => out.extend(text.finish().map(StreamEvent::Text)),
            Content::Thinking { thinking, .. } => out.extend(thinking.finish().map(StreamEvent::Thinking)),
            Content::Call(at) => {
                let at = *at;
                self.calls.close(at, true, out);
            }
            Content::Other { .. } => {}
        }
    }

    fn stop(&self) -> Stop {
        match self.stop.as_deref() {
            Some("end_turn" | "stop_sequence" | "tool_use") | None if !self.calls.is_empty() => Stop::ToolCalls,
            Some("end_turn" | "stop_sequence" | "tool_use") => Stop::EndTurn,
            Some("max_tokens") => Stop::Length,
            Some("model_context_window_exceeded") => Stop::ContextWindow,
            Some("pause_turn") => Stop::Pause,
            Some("refusal") => Stop::Refusal(self.refusal.clone().unwrap_or_else(|| "refusal".to_owned())),
            Some(other) => Stop::Other(other.to_owned()),
            None => Stop::Other("no stop_reason".to_owned()),
        }
    }

    fn done(&mut self, out: &mut Vec<StreamEvent>) {
        let open: Vec<u64> = self.blocks.iter().filter(|block| !block.closed).map(|block| block.index).collect();
        for index in open {
            self.stop_block(index, out);
        }
        self.calls.finish(out);
        self.done = true;
        let content: Vec<String> = self
            .blocks
            .iter()
            .filter_map(|block| match &block.content {
                Content::Call(at) => {
                    let call = self.calls.get(*at)?;
                    block.echo(Some(call.id.as_str()), Some(&*call.arguments).filter(|input| is_object(input)))
                }
                Content::Other { input } if !input.is_empty() && !is_object(input) => None,
                _ => block.echo(None, None),
            })
            .collect();
        let raw = (!content.is_empty())
            .then(|| {
                RawValue::from_string(format!("{{\"role\":\"assistant\",\"content\":[{}]}}", content.join(","))).ok()
            })
            .flatten();
        let mut text = String::new();
        for block in &self.blocks {
            if let Content::Text(piece) = &block.content {
                text.push_str(&piece.text);
            }
        }
        let usage = self.usage.as_ref().map(|usage| {
            let cached_tokens = usage.cache_read_input_tokens.unwrap_or(0);
            let cache_write_tokens = usage.cache_creation_input_tokens.unwrap_or(0);
            Usage {
                input_tokens: usage
                    .input_tokens
                    .unwrap_or(0)
                    .saturating_add(cached_tokens)
                    .saturating_add(cache_write_tokens),
                cached_tokens,
                cache_write_tokens,
                output_tokens: usage.output_tokens.unwrap_or(0),
                reasoning_tokens: usage.output_tokens_details.unwrap_or_default().thinking_tokens.unwrap_or(0),
            }
        });
        let calls = self.calls.finished().map(|(call, _)| call.clone()).collect();
        let turn = AssistantTurn {
            origin: Arc::clone(&self.origin),
            text,
            calls,
            raw: raw.map(Arc::from),
            id: self.id.take(),
        };
        let cache_miss = self.cache_miss.take();
        let response = Response { turn, stop: self.stop(), usage, request_id: None, cache_miss };
        out.push(StreamEvent::Done(Box::new(response)));
    }
}

impl Decode for Decoder {
    fn event(&mut self, name: &str, data: &[u8], out: &mut Vec<StreamEvent>) -> Result<(), Failure> {
        let data = data.trim_ascii();
        // Gateways that translate may add the other vendor's sentinel.
        if self.done || data.is_empty() || data == b"[DONE]" {
            return Ok(());
        }
        if let Some(((index, field), text)) = self.frames.find(data) {
            return self.delta(index, &Delta::of(field, text), out);
        }
        let text = utf8(data);
        let event: Event<'_> = serde_json::from_str(&text).map_err(|error| bad_event(&error))?;
        let kind = event.r#type.as_ref().map(Wtf::text);
        let index = event.index.unwrap_or(0);
        match kind.as_deref().unwrap_or(name) {
            "message_start" => {
                if let Some(message) = event.message {
                    self.usage(message.usage);
                    let id = message.id.as_ref().map(Wtf::text).filter(|id| !id.is_empty() && id.len() <= MAX_ID);
                    self.id = id.as_deref().map(Arc::from);
                    self.cache_miss = message.diagnostics.and_then(cache_miss);
                }
            }
            "content_block_start" => {
                if let Some(block) = event.content_block {
                    self.start(index, block, out)?;
                }
            }
            "content_block_delta" => {
                if let Some(delta) = &event.delta {
                    if let Some((field, piece)) = delta.only().filter(|_| kind.is_some())
                        && let Some(value) = quoted(&text, piece)
                    {
                        self.frames.learn(&text, &mut [(Gap::Text, value)], (index, field));
                    }
                    self.delta(index, delta, out)?;
                }
            }
            "content_block_stop" => self.stop_block(index, out),
            "message_delta" => {
                self.usage(event.usage);
                if let Some(delta) = &event.delta {
                    if let Some(reason) = &delta.stop_reason {
                        self.stop = Some(clip(&reason.text(), 200));
                    }
                    self.refusal = delta.stop_details.and_then(category).or(self.refusal.take());
                }
            }
            "message_stop" => self.done(out),
            "error" => return Err(classify(None, &HeaderMap::new(), data)),
            // Errors of a gateway come in its own form; all else is news from a later version.
            _ if event.error.is_some() => return Err(classify(None, &HeaderMap::new(), data)),
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, _out: &mut Vec<StreamEvent>) -> Result<(), Failure> {
        if self.done { Ok(()) } else { Err(Failure::cut()) }
    }

    fn is_done(&self) -> bool {
        self.done
    }

    fn parse_each(&mut self) {
        self.frames = Frames::off();
    }
}

/// What a refusal was about, with the provider's own words for it.
fn category(details: &RawValue) -> Option<String> {
    #[derive(Deserialize)]
    struct Details {
        category: Option<String>,
        explanation: Option<String>,
    }
    let details = serde_json::from_str::<Details>(details.get()).ok()?;
    let said: Vec<_> = details.category.into_iter().chain(details.explanation).collect();
    (!said.is_empty()).then(|| clip(&said.join(": "), 400))
}

/// Why the prefix was not in the cache: a word, or an object that begins with one.
fn cache_miss(diagnostics: &RawValue) -> Option<String> {
    #[derive(Deserialize)]
    struct Diagnostics<'a> {
        #[serde(borrow)]
        cache_miss_reason: Option<&'a RawValue>,
    }
    let reason = serde_json::from_str::<Diagnostics<'_>>(diagnostics.get()).ok()?.cache_miss_reason?.get();
    let reason = serde_json::from_str::<String>(reason).unwrap_or_else(|_| reason.to_owned());
    (reason != "null").then(|| clip(&reason, 300))
}
