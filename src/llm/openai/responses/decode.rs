//! The Responses stream: typed events, items by id and position, `response.completed` and its kind as the end.
//!
//! An item's end gives it whole, and that form goes back (its encrypted reasoning is complete only there). Servers that
//! imitate this API leave out positions, numbers, deltas or the ends: what is missing is taken from what is there.

use std::sync::Arc;

use reqwest::header::HeaderMap;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::item::{Content, Item, WireItem};
use crate::llm::calls::Calls;
use crate::llm::failure::{Failure, classify, clip};
use crate::llm::frame::{Frames, Gap};
use crate::llm::provider::{Decode, bad_event, utf8};
use crate::llm::surrogates::{Piecewise, Wtf};
use crate::llm::{AssistantTurn, Response, Stop, StreamEvent, Usage};

/// The most items of one answer.
const MAX_ITEMS: usize = 4096;

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, default)]
    r#type: Option<Wtf<'a>>,
    #[serde(borrow, default)]
    item_id: Option<Wtf<'a>>,
    #[serde(default)]
    output_index: Option<u64>,
    #[serde(borrow, default)]
    delta: Option<&'a RawValue>,
    #[serde(borrow, default)]
    arguments: Option<Wtf<'a>>,
    #[serde(borrow, default)]
    item: Option<&'a RawValue>,
    #[serde(borrow, default)]
    response: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
    /// Counts the events.
    #[serde(borrow, default)]
    sequence_number: Option<&'a RawValue>,
    /// Letters that hide how long the text is.
    #[serde(borrow, default)]
    obfuscation: Option<&'a RawValue>,
}

/// Where a delta goes.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// The text of the item at this place.
    Text(usize),
    /// Its refusal.
    Refusal(usize),
    /// Its thinking.
    Reasoning(usize),
    /// The arguments of this call.
    Arguments(usize),
}

#[derive(Deserialize)]
struct End<'a> {
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
    #[serde(borrow, default)]
    output: Option<Vec<&'a RawValue>>,
    #[serde(borrow, default)]
    incomplete_details: Option<Details<'a>>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Details<'a> {
    #[serde(borrow, default)]
    reason: Option<Wtf<'a>>,
}

#[derive(Deserialize)]
struct WireUsage {
    #[serde(default)]
    input_tokens: Option<u64>,
    #[serde(default)]
    output_tokens: Option<u64>,
    #[serde(default)]
    input_tokens_details: Option<InputDetails>,
    #[serde(default)]
    output_tokens_details: Option<OutputDetails>,
}

#[derive(Deserialize, Default)]
struct OutputDetails {
    #[serde(default)]
    reasoning_tokens: Option<u64>,
}

#[derive(Deserialize, Default)]
struct InputDetails {
    #[serde(default)]
    cached_tokens: Option<u64>,
    #[serde(default)]
    cache_write_tokens: Option<u64>,
}

/// One answer being read.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    origin: Arc<str>,
    items: Vec<Item>,
    calls: Calls,
    frames: Frames<Place>,
    done: bool,
}

impl Decoder {
    pub(super) fn new(origin: Arc<str>) -> Self {
        Self { origin, ..Self::default() }
    }

    /// An open item: by its id, else by its position, else the last one of the kind.
    fn find(&self, id: &str, index: Option<u64>, kind: fn(&Content) -> bool) -> Option<usize> {
        let open = |item: &Item| item.done.is_none() && kind(&item.content);
        if !id.is_empty()
            && let Some(at) = self.items.iter().rposition(|item| item.id == id && kind(&item.content))
        {
            return Some(at).filter(|at| self.items[*at].done.is_none());
        }
        let place = |item: &Item| index.is_none() || item.index.is_none() || item.index == index;
        self.items.iter().rposition(|item| open(item) && place(item) && (id.is_empty() || item.id.is_empty()))
    }

    fn add(&mut self, item: &WireItem<'_>, index: Option<u64>, out: &mut Vec<StreamEvent>) -> Result<usize, Failure> {
        let id = item.id.as_ref().map(|id| id.text().into_owned()).unwrap_or_default();
        let content = match item.r#type.as_ref().map(Wtf::text).as_deref() {
            Some("message") => message(),
            Some("reasoning") => Content::Reasoning(Piecewise::default()),
            Some("function_call") => {
                let call_id = item.call_id.as_ref().filter(|id| !id.is_empty()).or(item.id.as_ref());
                let call_id = call_id.map(Wtf::text).unwrap_or_default();
                let name = item.name.as_ref().map(Wtf::text).unwrap_or_default();
                Content::Call(self.calls.open(None, &call_id, &name, out)?)
            }
            _ => Content::Other,
        };
        self.push(Item { id, index, content, done: None })
    }

    fn push(&mut self, item: Item) -> Result<usize, Failure> {
        if self.items.len() == MAX_ITEMS {
            return Err(Failure::bad_response(format!("the response has more than {MAX_ITEMS} items")));
        }
        // A delta that names no item goes to the last one that fits: from here on, that may be this one.
        self.frames.forget();
        self.items.push(item);
        Ok(self.items.len() - 1)
    }

    /// The item a delta belongs to; a message or reasoning that was never announced begins here.
    fn of_delta(
        &mut self,
        event: &Event<'_>,
        kind: fn(&Content) -> bool,
        begin: fn() -> Content,
    ) -> Result<usize, Failure> {
        let id = event.item_id.as_ref().map(Wtf::text).unwrap_or_default();
        match self.find(&id, event.output_index, kind) {
            Some(at) => Ok(at),
            None => self.push(Item { id: id.into_owned(), index: event.output_index, content: begin(), done: None }),
        }
    }

    /// Where the delta of an event goes; `None`: it is of no item that takes one.
    fn place(&mut self, kind: &str, event: &Event<'_>) -> Result<Option<Place>, Failure> {
        Ok(match kind {
            "response.output_text.delta" => Some(Place::Text(self.of_delta(event, is_message, message)?)),
            "response.refusal.delta" => Some(Place::Refusal(self.of_delta(event, is_message, message)?)),
            "response.function_call_arguments.delta" => self.call_of(event).map(Place::Arguments),
            _ => {
                let begin = || Content::Reasoning(Piecewise::default());
                Some(Place::Reasoning(self.of_delta(event, is_reasoning, begin)?))
            }
        })
    }

    /// A piece of text for what is open.
    fn piece(&mut self, place: Place, piece: &Wtf<'_>, out: &mut Vec<StreamEvent>) -> Result<(), Failure> {
        match place {
            Place::Text(at) => {
                if let Some(Item { content: Content::Message { text, .. }, .. }) = self.items.get_mut(at) {
                    out.extend(text.push(&piece.0).map(StreamEvent::Text));
                }
            }
            Place::Refusal(at) => {
                if let Some(Item { content: Content::Message { refusal, .. }, .. }) = self.items.get_mut(at) {
                    out.extend(refusal.push(&piece.0).map(StreamEvent::Text));
                }
            }
            Place::Reasoning(at) => {
                if let Some(Item { content: Content::Reasoning(text), .. }) = self.items.get_mut(at) {
                    out.extend(text.push(&piece.0).map(StreamEvent::Thinking));
                }
            }
            Place::Arguments(call) => self.calls.arguments(call, &piece.0)?,
        }
        Ok(())
    }

    /// An event with a piece of text. The next one of its kind is likely to differ only in that.
    fn delta(&mut self, kind: &str, text: &str, event: &Event<'_>, out: &mut Vec<StreamEvent>) -> Result<(), Failure> {
        let Some(place) = self.place(kind, event)? else { return Ok(()) };
        let Some((value, piece)) = event.delta.zip(string(event.delta)) else { return Ok(()) };
        if event.r#type.is_some() && event.error.is_none() {
            let mut gaps = vec![(Gap::Text, value.get())];
            gaps.extend(event.sequence_number.map(|number| (Gap::Number, number.get())));
            gaps.extend(event.obfuscation.filter(|it| it.get().starts_with('"')).map(|it| (Gap::String, it.get())));
            self.frames.learn(text, &mut gaps, place);
        }
        self.piece(place, &piece, out)
    }

    fn call_of(&self, event: &Event<'_>) -> Option<usize> {
        let id = event.item_id.as_ref().map(Wtf::text).unwrap_or_default();
        match self.items[self.find(&id, event.output_index, is_call)?].content {
            Content::Call(at) => Some(at),
            _ => None,
        }
    }

    /// The whole of a call's arguments: what of it did not come in deltas is added.
    fn arguments_done(&mut self, at: usize, whole: &[u8], out: &mut Vec<StreamEvent>) -> Result<(), Failure> {
        if let Some(rest) = self.calls.so_far(at).and_then(|have| whole.strip_prefix(have.as_bytes())) {
            let rest = rest.to_vec();
            self.calls.arguments(at, &rest)?;
        }
        self.calls.close(at, true, out);
        Ok(())
    }

    /// An item's end, with all of it.
    fn item_done(&mut self, raw: &RawValue, index: Option<u64>, out: &mut Vec<StreamEvent>) -> Result<(), Failure> {
        let item: WireItem<'_> = serde_json::from_str(raw.get()).map_err(|error| bad_event(&error))?;
        let kind = match item.r#type.as_ref().map(Wtf::text).as_deref() {
            Some("message") => is_message,
            Some("function_call") => is_call,
            Some("reasoning") => is_reasoning,
            _ => is_other,
        };
        let id = item.id.as_ref().map(Wtf::text).unwrap_or_default();
        if !id.is_empty() && self.items.iter().any(|had| had.id == id && had.done.is_some()) {
            return Ok(());
        }
        let at = match self.find(&id, index, kind) {
            Some(at) => at,
            None => self.add(&item, index, out)?,
        };
        match &mut self.items[at].content {
            Content::Message { text, refusal } => {
                let (whole, refused) = item.texts();
                for (have, whole) in [(text, whole), (refusal, refused)] {
                    if have.text.is_empty() {
                        out.extend(have.push(&whole).map(StreamEvent::Text));
                    }
                    out.extend(have.finish().map(StreamEvent::Text));
                }
            }
            Content::Reasoning(text) => out.extend(text.finish().map(StreamEvent::Thinking)),
            Content::Call(call) => {
                let call = *call;
                let name = item.name.as_ref().map(Wtf::text).unwrap_or_default();
                self.calls.name(call, &name, out);
                let whole = item.arguments().unwrap_or_default();
                self.arguments_done(call, &whole, out)?;
            }
            Content::Other => {}
        }
        self.items[at].done = Some(raw.to_owned());
        Ok(())
    }

    /// The response's end; `incomplete` says that something cut it.
    fn finished(
        &mut self,
        raw: Option<&RawValue>,
        incomplete: bool,
        out: &mut Vec<StreamEvent>,
    ) -> Result<(), Failure> {
        let end = raw.map(|raw| serde_json::from_str::<End<'_>>(raw.get())).transpose();
        let end = end.map_err(|error| bad_event(&error))?;
        if let Some(output) = end.as_ref().and_then(|end| end.output.as_ref()) {
            // What the server did not give item by item it may give here.
            if self.items.iter().all(|item| item.done.is_none()) {
                for (index, item) in output.iter().enumerate() {
                    self.item_done(item, Some(index as u64), out)?;
                }
            }
        }
        for item in &mut self.items {
            match &mut item.content {
                Content::Message { text, refusal } => {
                    out.extend(text.finish().map(StreamEvent::Text));
                    out.extend(refusal.finish().map(StreamEvent::Text));
                }
                Content::Reasoning(text) => out.extend(text.finish().map(StreamEvent::Thinking)),
                Content::Call(_) | Content::Other => {}
            }
        }
        self.calls.finish(out);
        let reason = end.as_ref().and_then(|end| end.incomplete_details.as_ref()?.reason.as_ref()).map(Wtf::text);
        let stop = self.stop(incomplete.then(|| reason.as_deref().unwrap_or("incomplete")));
        let usage = end.and_then(|end| serde_json::from_str::<WireUsage>(end.usage?.get()).ok()).map(|usage| {
            let details = usage.input_tokens_details.unwrap_or_default();
            Usage {
                input_tokens: usage.input_tokens.unwrap_or(0),
                cached_tokens: details.cached_tokens.unwrap_or(0),
                cache_write_tokens: details.cache_write_tokens.unwrap_or(0),
                output_tokens: usage.output_tokens.unwrap_or(0),
                reasoning_tokens: usage.output_tokens_details.unwrap_or_default().reasoning_tokens.unwrap_or(0),
            }
        });
        self.done = true;
        let response = Response { turn: self.turn(), stop, usage, ..Response::default() };
        out.push(StreamEvent::Done(Box::new(response)));
        Ok(())
    }

    fn stop(&self, cut: Option<&str>) -> Stop {
        match cut {
            Some("max_output_tokens") => Stop::Length,
            Some("content_filter") => Stop::Refusal("content_filter".to_owned()),
            Some(other) => Stop::Other(clip(other, 200)),
            None if !self.calls.is_empty() => Stop::ToolCalls,
            None => {
                let refusals = self.items.iter().filter_map(|item| match &item.content {
                    Content::Message { refusal, .. } if !refusal.text.is_empty() => Some(refusal.text.as_str()),
                    _ => None,
                });
                let refused: String = refusals.collect();
                if refused.is_empty() { Stop::EndTurn } else { Stop::Refusal(refused) }
            }
        }
    }

    fn turn(&self) -> AssistantTurn {
        let mut turn = AssistantTurn { origin: Arc::clone(&self.origin), ..AssistantTurn::default() };
        let mut raw = String::from("[");
        for item in &self.items {
            let mut call = None;
            match &item.content {
                Content::Message { text, refusal } => {
                    turn.text.push_str(if text.text.is_empty() { &refusal.text } else { &text.text });
                }
                Content::Call(at) => call = self.calls.get(*at),
                Content::Reasoning(_) | Content::Other => {}
            }
            if let Some(echo) = item.echo(call) {
                if raw.len() > 1 {
                    raw.push(',');
                }
                raw.push_str(&echo);
            }
        }
        raw.push(']');
        turn.calls = self.calls.finished().map(|(call, _)| call.clone()).collect();
        turn.raw = (raw.len() > 2).then(|| RawValue::from_string(raw).ok().map(Arc::from)).flatten();
        turn
    }
}

impl Decode for Decoder {
    fn event(&mut self, name: &str, data: &[u8], out: &mut Vec<StreamEvent>) -> Result<(), Failure> {
        let data = data.trim_ascii();
        if self.done || data.is_empty() || data == b"[DONE]" {
            return Ok(());
        }
        if let Some((place, text)) = self.frames.find(data) {
            return self.piece(place, &text, out);
        }
        let text = utf8(data);
        let event: Event<'_> = serde_json::from_str(&text).map_err(|error| bad_event(&error))?;
        let kind = event.r#type.as_ref().map(Wtf::text);
        match kind.as_deref().unwrap_or(name) {
            kind @ ("response.output_text.delta"
            | "response.refusal.delta"
            | "response.reasoning_summary_text.delta"
            | "response.reasoning_text.delta"
            | "response.function_call_arguments.delta") => return self.delta(kind, &text, &event, out),
            _ => self.frames.forget(),
        }
        match kind.as_deref().unwrap_or(name) {
            "response.function_call_arguments.done" => {
                if let (Some(at), Some(whole)) = (self.call_of(&event), &event.arguments) {
                    self.arguments_done(at, &whole.0, out)?;
                }
            }
            "response.output_item.added" => {
                if let Some(item) = event.item {
                    let item: WireItem<'_> = serde_json::from_str(item.get()).map_err(|error| bad_event(&error))?;
                    self.add(&item, event.output_index, out)?;
                }
            }
            "response.output_item.done" => {
                if let Some(item) = event.item {
                    self.item_done(item, event.output_index, out)?;
                }
            }
            "response.completed" => self.finished(event.response, false, out)?,
            "response.incomplete" => self.finished(event.response, true, out)?,
            "response.failed" => {
                let error = event.response.and_then(|raw| serde_json::from_str::<End<'_>>(raw.get()).ok()?.error);
                let body = format!("{{\"error\":{}}}", error.map_or("{}", RawValue::get));
                return Err(classify(None, &HeaderMap::new(), body.as_bytes()));
            }
            "error" => return Err(classify(None, &HeaderMap::new(), data)),
            // Errors of a gateway come in a form of their own; all else is news from a later version.
            _ if event.error.is_some_and(|error| error.get() != "null") => {
                return Err(classify(None, &HeaderMap::new(), data));
            }
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

fn message() -> Content {
    Content::Message { text: Piecewise::default(), refusal: Piecewise::default() }
}

fn is_message(content: &Content) -> bool {
    matches!(content, Content::Message { .. })
}

fn is_call(content: &Content) -> bool {
    matches!(content, Content::Call(_))
}

fn is_reasoning(content: &Content) -> bool {
    matches!(content, Content::Reasoning(_))
}

fn is_other(content: &Content) -> bool {
    matches!(content, Content::Other)
}

/// A delta that is a string; those of tools we do not offer may be anything.
fn string(delta: Option<&RawValue>) -> Option<Wtf<'_>> {
    let delta = delta?.get();
    delta.starts_with('"').then(|| serde_json::from_str(delta).ok()).flatten()
}
