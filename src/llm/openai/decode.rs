//! The chat completions stream: data-only events, `finish_reason` as the end of the answer, `[DONE]` as that of the
//! stream, and usage wherever a server likes to put it.

use std::sync::Arc;

use reqwest::header::HeaderMap;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::llm::calls::{Calls, Piece};
use crate::llm::failure::{Again, Failure, classify, clip};
use crate::llm::few::Few;
use crate::llm::frame::{Frames, Gap};
use crate::llm::openai::encode::{Assistant, ReasoningField};
use crate::llm::provider::{Decode, bad_event, utf8};
use crate::llm::surrogates::{Piecewise, Wtf};
use crate::llm::{AssistantTurn, Response, Stop, StreamEvent, Usage};

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow, default)]
    choices: Option<Few<Choice<'a>>>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(default)]
    index: Option<u64>,
    #[serde(borrow, default)]
    delta: Option<Delta<'a>>,
    #[serde(borrow, default)]
    finish_reason: Option<Wtf<'a>>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    refusal: Option<Wtf<'a>>,
    #[serde(borrow, default)]
    reasoning_content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    reasoning: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tool_calls: Option<Few<CallDelta<'a>>>,
}

#[derive(Deserialize)]
struct CallDelta<'a> {
    #[serde(borrow, default)]
    index: Option<&'a RawValue>,
    #[serde(borrow, default)]
    id: Option<Wtf<'a>>,
    #[serde(borrow, default)]
    function: Option<FunctionDelta<'a>>,
    #[serde(borrow, default)]
    extra_content: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct FunctionDelta<'a> {
    #[serde(borrow, default)]
    name: Option<Wtf<'a>>,
    #[serde(borrow, default)]
    arguments: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct WireUsage {
    #[serde(default)]
    prompt_tokens: Option<u64>,
    #[serde(default)]
    completion_tokens: Option<u64>,
    #[serde(default)]
    prompt_tokens_details: Option<PromptDetails>,
    #[serde(default)]
    completion_tokens_details: Option<CompletionDetails>,
}

#[derive(Deserialize, Default)]
struct CompletionDetails {
    #[serde(default)]
    reasoning_tokens: Option<u64>,
}

#[derive(Deserialize, Default)]
struct PromptDetails {
    #[serde(default)]
    cached_tokens: Option<u64>,
    #[serde(default)]
    cache_write_tokens: Option<u64>,
}

/// What an event is for that has nothing but a text.
#[derive(Clone, Copy, Debug)]
enum Only {
    Content,
    Reasoning(ReasoningField),
    /// Arguments of the call at this index.
    Arguments(Option<u64>),
}

impl<'a> Chunk<'a> {
    /// The one text that the event is for, if there is nothing else in it.
    fn only(&self) -> Option<(Only, &'a RawValue)> {
        if self.usage.is_some() || self.error.is_some() {
            return None;
        }
        let choice = self.choices.as_ref()?.only()?;
        let delta = choice.delta.as_ref()?;
        let said = |text: &Option<Wtf<'_>>| text.as_ref().is_some_and(|text| !text.is_empty());
        if choice.index.is_some_and(|index| index != 0) || said(&choice.finish_reason) || said(&delta.refusal) {
            return None;
        }
        match (delta.content, delta.reasoning_content, delta.reasoning, &delta.tool_calls) {
            (Some(text), None, None, None) => Some((Only::Content, text)),
            (None, Some(text), None, None) => Some((Only::Reasoning(ReasoningField::ReasoningContent), text)),
            (None, None, Some(text), None) => Some((Only::Reasoning(ReasoningField::Reasoning), text)),
            (None, None, None, Some(calls)) => {
                let call = calls.only()?;
                let function = call.function.as_ref()?;
                if said(&call.id) || said(&function.name) || call.extra_content.is_some() {
                    return None;
                }
                Some((Only::Arguments(number(call.index)), function.arguments?))
            }
            _ => None,
        }
    }
}

/// One answer being read.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    origin: Arc<str>,
    text: Piecewise,
    refusal: Piecewise,
    reasoning: Piecewise,
    reasoning_field: ReasoningField,
    calls: Calls,
    finish: Option<String>,
    usage: Option<Usage>,
    frames: Frames<Only>,
    done: bool,
}

impl Decoder {
    pub(super) fn new(origin: Arc<str>) -> Self {
        Self { origin, ..Self::default() }
    }

    fn choice(&mut self, choice: &Choice<'_>, out: &mut Vec<StreamEvent>) -> Result<(), Failure> {
        if choice.index.is_some_and(|index| index != 0) {
            return Ok(());
        }
        if let Some(delta) = &choice.delta {
            self.delta(delta, out)?;
        }
        match &choice.finish_reason {
            // A second reason repeats the first (OpenRouter sends it with the usage); the calls are out already.
            Some(reason) if !reason.is_empty() && self.finish.is_none() => self.finished(&reason.text(), out),
            _ => Ok(()),
        }
    }

    fn delta(&mut self, delta: &Delta<'_>, out: &mut Vec<StreamEvent>) -> Result<(), Failure> {
        let reasoning = match (delta.reasoning_content.and_then(string), delta.reasoning.and_then(string)) {
            (Some(text), _) => Some((ReasoningField::ReasoningContent, text)),
            (None, Some(text)) => Some((ReasoningField::Reasoning, text)),
            (None, None) => None,
        };
        if let Some((field, piece)) = reasoning {
            self.think(field, &piece, out);
        }
        if let Some(content) = delta.content {
            match string(content) {
                Some(piece) => out.extend(self.text.push(&piece.0).map(StreamEvent::Text)),
                None => {
                    for piece in parts(content) {
                        out.extend(self.text.push(&piece.0).map(StreamEvent::Text));
                    }
                }
            }
        }
        if let Some(refusal) = &delta.refusal {
            out.extend(self.refusal.push(&refusal.0).map(StreamEvent::Text));
        }
        if self.finish.is_some() {
            return Ok(());
        }
        for call in delta.tool_calls.iter().flat_map(Few::iter) {
            self.call(call, out)?;
        }
        Ok(())
    }

    fn think(&mut self, field: ReasoningField, piece: &Wtf<'_>, out: &mut Vec<StreamEvent>) {
        if self.reasoning_field == ReasoningField::None {
            self.reasoning_field = field;
        }
        out.extend(self.reasoning.push(&piece.0).map(StreamEvent::Thinking));
    }

    /// An event that is for nothing but a text.
    fn text(&mut self, only: Only, text: &Wtf<'_>, out: &mut Vec<StreamEvent>) -> Result<(), Failure> {
        match only {
            Only::Content => out.extend(self.text.push(&text.0).map(StreamEvent::Text)),
            Only::Reasoning(field) => self.think(field, text, out),
            Only::Arguments(_) if self.finish.is_some() => {}
            Only::Arguments(index) => {
                let piece = Piece { index, id: "", name: "", arguments: &text.0, extra: None };
                self.calls.piece(&piece, out)?;
            }
        }
        Ok(())
    }

    fn call(&mut self, call: &CallDelta<'_>, out: &mut Vec<StreamEvent>) -> Result<(), Failure> {
        let id = call.id.as_ref().map(Wtf::text).unwrap_or_default();
        let function = call.function.as_ref();
        let name = function.and_then(|function| function.name.as_ref()).map(Wtf::text).unwrap_or_default();
        let arguments = function.and_then(|function| function.arguments);
        let spelt = arguments.and_then(string);
        let arguments = match (&spelt, arguments) {
            (Some(text), _) => &text.0[..],
            // Some servers send the object itself instead of a string that holds it.
            (None, Some(object)) if object.get() != "null" => object.get().as_bytes(),
            _ => b"",
        };
        self.calls.piece(
            &Piece { index: number(call.index), id: &id, name: &name, arguments, extra: call.extra_content },
            out,
        )
    }

    fn finished(&mut self, reason: &str, out: &mut Vec<StreamEvent>) -> Result<(), Failure> {
        if reason == "error" {
            return Err(Failure::new(
                crate::llm::LlmErrorKind::Provider,
                "the provider failed in the middle of the response and did not say why",
                "try again",
                Again::Later,
            ));
        }
        self.finish = Some(clip(reason, 200));
        out.extend(self.reasoning.finish().map(StreamEvent::Thinking));
        out.extend(self.text.finish().map(StreamEvent::Text));
        out.extend(self.refusal.finish().map(StreamEvent::Text));
        self.calls.finish(out);
        Ok(())
    }

    fn stop(&self) -> Stop {
        let called = !self.calls.is_empty();
        match self.finish.as_deref() {
            Some("length") => Stop::Length,
            Some("content_filter") => Stop::Refusal("content_filter".to_owned()),
            Some("stop" | "tool_calls" | "function_call") if called => Stop::ToolCalls,
            Some("stop" | "tool_calls" | "function_call") if !self.refusal.text.is_empty() => {
                Stop::Refusal(self.refusal.text.clone())
            }
            Some("stop" | "tool_calls" | "function_call") => Stop::EndTurn,
            Some(other) => Stop::Other(other.to_owned()),
            None => Stop::Other("no finish_reason".to_owned()),
        }
    }

    fn done(&mut self, out: &mut Vec<StreamEvent>) {
        if std::mem::replace(&mut self.done, true) {
            return;
        }
        let reasoning = (self.reasoning_field, self.reasoning.text.as_str());
        let message = Assistant::new(&self.text.text, &self.refusal.text, reasoning, self.calls.finished());
        let raw = serde_json::value::to_raw_value(&message).ok().map(Arc::from);
        let stop = self.stop();
        let text = std::mem::take(if self.text.text.is_empty() { &mut self.refusal.text } else { &mut self.text.text });
        let calls = self.calls.finished().map(|(call, _)| call.clone()).collect();
        let turn = AssistantTurn { origin: Arc::clone(&self.origin), text, calls, raw, id: None };
        out.push(StreamEvent::Done(Box::new(Response {
            turn,
            stop,
            usage: self.usage,
            request_id: None,
            cache_miss: None,
        })));
    }
}

impl Decode for Decoder {
    fn event(&mut self, _name: &str, data: &[u8], out: &mut Vec<StreamEvent>) -> Result<(), Failure> {
        let data = data.trim_ascii();
        if self.done || data.is_empty() {
            return Ok(());
        }
        if data == b"[DONE]" {
            if self.finish.is_none() {
                // A server may never give a reason; then the text stands, and a call only if it is whole.
                if (self.text.text.is_empty() && self.calls.is_empty()) || self.calls.has_unfinished() {
                    return Err(Failure::cut());
                }
                self.calls.finish(out);
            }
            self.done(out);
            return Ok(());
        }
        if let Some((only, text)) = self.frames.find(data) {
            return self.text(only, &text, out);
        }
        let text = utf8(data);
        let chunk: Chunk<'_> = serde_json::from_str(&text).map_err(|error| bad_event(&error))?;
        if let Some((only, value)) = chunk.only().filter(|(_, value)| value.get().starts_with('"')) {
            self.frames.learn(&text, &mut [(Gap::Text, value.get())], only);
        }
        if chunk.error.is_some_and(|error| error.get() != "null") {
            return Err(classify(None, &HeaderMap::new(), data));
        }
        if let Some(usage) = chunk.usage.and_then(|usage| serde_json::from_str::<WireUsage>(usage.get()).ok()) {
            let details = usage.prompt_tokens_details.unwrap_or_default();
            self.usage = Some(Usage {
                input_tokens: usage.prompt_tokens.unwrap_or(0),
                cached_tokens: details.cached_tokens.unwrap_or(0),
                cache_write_tokens: details.cache_write_tokens.unwrap_or(0),
                output_tokens: usage.completion_tokens.unwrap_or(0),
                reasoning_tokens: usage.completion_tokens_details.unwrap_or_default().reasoning_tokens.unwrap_or(0),
            });
        }
        for choice in chunk.choices.iter().flat_map(Few::iter) {
            self.choice(choice, out)?;
        }
        Ok(())
    }

    fn end(&mut self, out: &mut Vec<StreamEvent>) -> Result<(), Failure> {
        if self.finish.is_none() && !self.done {
            return Err(Failure::cut());
        }
        self.done(out);
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.done
    }

    fn parse_each(&mut self) {
        self.frames = Frames::off();
    }
}

/// A JSON value that is a whole number.
fn number(value: Option<&RawValue>) -> Option<u64> {
    serde_json::from_str(value?.get()).ok()
}

/// A JSON value that is a string.
fn string(value: &RawValue) -> Option<Wtf<'_>> {
    value.get().starts_with('"').then(|| serde_json::from_str(value.get()).ok()).flatten()
}

/// The texts of a content that is a list of parts.
fn parts(content: &RawValue) -> Vec<Wtf<'_>> {
    #[derive(Deserialize)]
    struct Part<'a> {
        #[serde(borrow, default)]
        text: Option<Wtf<'a>>,
    }
    serde_json::from_str::<Vec<Part<'_>>>(content.get())
        .map(|parts| parts.into_iter().filter_map(|part| part.text).collect())
        .unwrap_or_default()
}
