//! The `/api/chat` stream: a line of JSON each, `done: true` as the only good end, calls whole.

use std::borrow::Cow;
use std::sync::Arc;

use reqwest::header::HeaderMap;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::llm::calls::Calls;
use crate::llm::failure::{Failure, classify, clip};
use crate::llm::fields::quote;
use crate::llm::provider::{Decode, Framing, bad_event, utf8};
use crate::llm::surrogates::{Piecewise, Wtf, mend};
use crate::llm::{AssistantTurn, Response, Stop, StreamEvent, Usage};

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, default)]
    message: Option<Message<'a>>,
    #[serde(default)]
    done: Option<bool>,
    #[serde(borrow, default)]
    done_reason: Option<Wtf<'a>>,
    #[serde(default)]
    prompt_eval_count: Option<u64>,
    #[serde(default)]
    eval_count: Option<u64>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    content: Option<Wtf<'a>>,
    #[serde(borrow, default)]
    thinking: Option<Wtf<'a>>,
    #[serde(borrow, default)]
    tool_calls: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
struct Call<'a> {
    #[serde(borrow, default)]
    id: Option<Wtf<'a>>,
    #[serde(borrow, default)]
    function: Option<Function<'a>>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow, default)]
    name: Option<Wtf<'a>>,
    #[serde(borrow, default)]
    arguments: Option<&'a RawValue>,
}

/// One answer being read.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    origin: Arc<str>,
    text: Piecewise,
    thinking: Piecewise,
    calls: Calls,
    /// The calls for the echo, with commas between them.
    echo: String,
    done: bool,
}

impl Decoder {
    pub(super) fn new(origin: Arc<str>) -> Self {
        Self { origin, ..Self::default() }
    }

    fn call(&mut self, raw: &RawValue, out: &mut Vec<StreamEvent>) -> Result<(), Failure> {
        let call: Call<'_> = serde_json::from_str(raw.get()).map_err(|error| bad_event(&error))?;
        let id = call.id.as_ref().map(Wtf::text).unwrap_or_default();
        let function = call.function.as_ref();
        let name = function.and_then(|function| function.name.as_ref()).map(Wtf::text).unwrap_or_default();
        let at = self.calls.open(None, &id, &name, out)?;
        let arguments = function.and_then(|function| function.arguments).map(RawValue::get).unwrap_or("null");
        // Others that speak this protocol send a string that holds the object.
        let spelt: Option<Wtf<'_>> = arguments.starts_with('"').then(|| serde_json::from_str(arguments).ok()).flatten();
        match spelt {
            Some(text) => self.calls.arguments(at, &text.0)?,
            None if arguments == "null" => {}
            None => self.calls.arguments(at, arguments.as_bytes())?,
        }
        self.calls.close(at, true, out);
        if !self.echo.is_empty() {
            self.echo.push(',');
        }
        self.echo.push_str(&mend(raw.get()));
        Ok(())
    }

    fn finished(&mut self, line: &Line<'_>, out: &mut Vec<StreamEvent>) {
        self.done = true;
        out.extend(self.thinking.finish().map(StreamEvent::Thinking));
        out.extend(self.text.finish().map(StreamEvent::Text));
        self.calls.finish(out);
        let reason = line.done_reason.as_ref().map(Wtf::text).unwrap_or(Cow::Borrowed("stop"));
        let stop = match &*reason {
            "length" => Stop::Length,
            "stop" | "" | "tool_calls" if !self.calls.is_empty() => Stop::ToolCalls,
            "stop" | "" | "tool_calls" => Stop::EndTurn,
            other => Stop::Other(clip(other, 200)),
        };
        let usage = (line.prompt_eval_count.is_some() || line.eval_count.is_some()).then(|| Usage {
            input_tokens: line.prompt_eval_count.unwrap_or(0),
            output_tokens: line.eval_count.unwrap_or(0),
            ..Usage::default()
        });
        let turn = AssistantTurn {
            origin: Arc::clone(&self.origin),
            raw: RawValue::from_string(self.raw()).ok().map(Arc::from),
            text: std::mem::take(&mut self.text.text),
            calls: self.calls.finished().map(|(call, _)| call.clone()).collect(),
            id: None,
        };
        out.push(StreamEvent::Done(Box::new(Response { turn, stop, usage, ..Response::default() })));
    }

    /// The message as it would stand had it come in one piece.
    fn raw(&self) -> String {
        let mut raw = format!("{{\"role\":\"assistant\",\"content\":{}", quote(&self.text.text));
        // Thinking is wanted back only within a turn's calls; after its end it would fill the window.
        if !self.thinking.text.is_empty() && !self.echo.is_empty() {
            raw.push_str(",\"thinking\":");
            raw.push_str(&quote(&self.thinking.text));
        }
        if !self.echo.is_empty() {
            raw.push_str(",\"tool_calls\":[");
            raw.push_str(&self.echo);
            raw.push(']');
        }
        raw.push('}');
        raw
    }
}

impl Decode for Decoder {
    fn framing(&self) -> Framing {
        Framing::Lines
    }

    fn event(&mut self, _name: &str, data: &[u8], out: &mut Vec<StreamEvent>) -> Result<(), Failure> {
        let data = data.trim_ascii();
        if self.done || data.is_empty() {
            return Ok(());
        }
        let text = utf8(data);
        let line: Line<'_> = serde_json::from_str(&text).map_err(|error| bad_event(&error))?;
        if line.error.is_some_and(|error| error.get() != "null") {
            return Err(classify(None, &HeaderMap::new(), data));
        }
        if let Some(message) = &line.message {
            if let Some(piece) = &message.thinking {
                out.extend(self.thinking.push(&piece.0).map(StreamEvent::Thinking));
            }
            if let Some(piece) = &message.content {
                out.extend(self.text.push(&piece.0).map(StreamEvent::Text));
            }
            for call in message.tool_calls.iter().flatten() {
                self.call(call, out)?;
            }
        }
        if line.done == Some(true) {
            self.finished(&line, out);
        }
        Ok(())
    }

    fn end(&mut self, _out: &mut Vec<StreamEvent>) -> Result<(), Failure> {
        if self.done { Ok(()) } else { Err(Failure::cut()) }
    }

    fn is_done(&self) -> bool {
        self.done
    }
}
