//! The `generateContent` stream: data-only events without any sentinel, so that `finishReason` is the only good end.
//!
//! A part is kept as it came, for its signature stands or falls with it: parts are never merged, and only a text
//! without text and without signature is left out. A text with half a character in it is written anew.

use std::borrow::Cow;
use std::sync::Arc;

use reqwest::header::HeaderMap;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::llm::calls::Calls;
use crate::llm::failure::{Again, Failure, classify, clip};
use crate::llm::few::Few;
use crate::llm::fields::{quote, replace};
use crate::llm::provider::{Decode, bad_event, utf8};
use crate::llm::surrogates::{Piecewise, Wtf, mend};
use crate::llm::{AssistantTurn, LlmErrorKind, Response, Stop, StreamEvent, Usage};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Chunk<'a> {
    #[serde(borrow, default)]
    candidates: Option<Few<Candidate<'a>>>,
    #[serde(borrow, default)]
    usage_metadata: Option<&'a RawValue>,
    #[serde(borrow, default)]
    prompt_feedback: Option<Feedback<'a>>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Feedback<'a> {
    #[serde(borrow, default)]
    block_reason: Option<Wtf<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate<'a> {
    #[serde(default)]
    index: Option<u64>,
    #[serde(borrow, default)]
    content: Option<Content<'a>>,
    #[serde(borrow, default)]
    finish_reason: Option<Wtf<'a>>,
    #[serde(borrow, default)]
    finish_message: Option<Wtf<'a>>,
}

#[derive(Deserialize)]
struct Content<'a> {
    #[serde(borrow, default)]
    parts: Option<Few<&'a RawValue>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part<'a> {
    #[serde(borrow, default)]
    text: Option<Wtf<'a>>,
    #[serde(default)]
    thought: Option<bool>,
    #[serde(borrow, default)]
    function_call: Option<FunctionCall<'a>>,
    #[serde(borrow, default)]
    thought_signature: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct FunctionCall<'a> {
    #[serde(borrow, default)]
    id: Option<Wtf<'a>>,
    #[serde(borrow, default)]
    name: Option<Wtf<'a>>,
    #[serde(borrow, default)]
    args: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireUsage {
    #[serde(default)]
    prompt_token_count: Option<u64>,
    #[serde(default)]
    tool_use_prompt_token_count: Option<u64>,
    #[serde(default)]
    cached_content_token_count: Option<u64>,
    #[serde(default)]
    candidates_token_count: Option<u64>,
    #[serde(default)]
    thoughts_token_count: Option<u64>,
}

/// One answer being read.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    origin: Arc<str>,
    text: Piecewise,
    thinking: Piecewise,
    calls: Calls,
    /// The parts for the echo, with commas between them.
    parts: String,
    finish: Option<String>,
    /// As it came last: each chunk brings it anew, and only the last one counts.
    usage: String,
    done: bool,
}

impl Decoder {
    pub(super) fn new(origin: Arc<str>) -> Self {
        Self { origin, ..Self::default() }
    }

    fn part(&mut self, raw: &RawValue, out: &mut Vec<StreamEvent>) -> Result<(), Failure> {
        let part: Part<'_> = serde_json::from_str(raw.get()).map_err(|error| bad_event(&error))?;
        let signed = part.thought_signature.is_some_and(|signature| signature.get() != "null");
        let mended = mend(raw.get());
        let mut shown = String::new();
        if let Some(text) = &part.text {
            let thought = part.thought == Some(true);
            let piece = if thought { self.thinking.push(&text.0) } else { self.text.push(&text.0) };
            if let Some(piece) = piece {
                // The text is needed again only where the part must be written anew.
                if matches!(mended, Cow::Owned(_)) {
                    shown.clone_from(&piece);
                }
                out.push(if thought { StreamEvent::Thinking(piece) } else { StreamEvent::Text(piece) });
            }
        }
        if let Some(call) = &part.function_call {
            // A second reason of the end may repeat the calls that came with the first.
            if self.finish.is_some() {
                return Ok(());
            }
            let id = call.id.as_ref().map(Wtf::text).unwrap_or_default();
            let name = call.name.as_ref().map(Wtf::text).unwrap_or_default();
            let at = self.calls.open(None, &id, &name, out)?;
            if let Some(args) = call.args.map(RawValue::get).filter(|args| *args != "null") {
                self.calls.arguments(at, args.as_bytes())?;
            }
            self.calls.close(at, true, out);
        }
        let empty = part.text.as_ref().is_some_and(Wtf::is_empty) && part.function_call.is_none();
        if signed || !empty {
            self.keep(mended, part.text.is_some().then_some(&*shown));
        }
        Ok(())
    }

    /// Keeps a part for the echo.
    fn keep(&mut self, mended: Cow<'_, str>, text: Option<&str>) {
        let part = match (&mended, text) {
            (Cow::Owned(whole), Some(text)) => replace(whole, vec![("text", quote(text))]).map_or(mended, Cow::Owned),
            _ => mended,
        };
        if !self.parts.is_empty() {
            self.parts.push(',');
        }
        self.parts.push_str(&part);
    }

    fn finished(&mut self, reason: &str, message: &str, out: &mut Vec<StreamEvent>) -> Result<(), Failure> {
        let failed = |what: &str, hint: &str, again: Again| {
            let detail = if message.is_empty() { String::new() } else { format!(": {}", clip(message, 300)) };
            let reason = clip(reason, 60);
            Err(Failure::new(LlmErrorKind::Provider, format!("{what} ({reason}){detail}"), hint, again))
        };
        match reason {
            // The content is empty or half then; as a success it would be an answer that says nothing.
            "MALFORMED_FUNCTION_CALL" | "UNEXPECTED_TOOL_CALL" | "MALFORMED_RESPONSE" => {
                return failed(
                    "the model wrote a tool call that the provider could not read",
                    "try again",
                    Again::Later,
                );
            }
            "TOO_MANY_TOOL_CALLS" => {
                return failed("the model made too many tool calls", "ask for less at once", Again::Never);
            }
            "MISSING_THOUGHT_SIGNATURE" => {
                return failed(
                    "the provider misses a thought signature in the history",
                    "clear the conversation, and report this",
                    Again::Never,
                );
            }
            _ => {}
        }
        self.finish = Some(clip(reason, 200));
        out.extend(self.thinking.finish().map(StreamEvent::Thinking));
        out.extend(self.text.finish().map(StreamEvent::Text));
        self.calls.finish(out);
        Ok(())
    }

    fn usage(&self) -> Option<Usage> {
        let usage: WireUsage = serde_json::from_str(&self.usage).ok()?;
        let sum = |a: Option<u64>, b: Option<u64>| a.unwrap_or(0).saturating_add(b.unwrap_or(0));
        Some(Usage {
            input_tokens: sum(usage.prompt_token_count, usage.tool_use_prompt_token_count),
            cached_tokens: usage.cached_content_token_count.unwrap_or(0),
            cache_write_tokens: 0,
            output_tokens: sum(usage.candidates_token_count, usage.thoughts_token_count),
            reasoning_tokens: usage.thoughts_token_count.unwrap_or(0),
        })
    }

    fn stop(&self, reason: &str) -> Stop {
        match reason {
            "MAX_TOKENS" => Stop::Length,
            "CONTINUATION" => Stop::Pause,
            "SAFETY"
            | "RECITATION"
            | "LANGUAGE"
            | "BLOCKLIST"
            | "PROHIBITED_CONTENT"
            | "SPII"
            | "IMAGE_SAFETY"
            | "IMAGE_PROHIBITED_CONTENT"
            | "IMAGE_RECITATION" => Stop::Refusal(reason.to_owned()),
            blocked if blocked.starts_with(BLOCKED) => Stop::Refusal(blocked.to_owned()),
            // Some servers have a reason of their own for a turn with calls.
            "STOP" | "FUNCTION_CALL" | "TOOL_CALLS" if !self.calls.is_empty() => Stop::ToolCalls,
            "STOP" | "FUNCTION_CALL" | "TOOL_CALLS" => Stop::EndTurn,
            other => Stop::Other(other.to_owned()),
        }
    }
}

/// How the reason begins where the prompt itself was refused.
const BLOCKED: &str = "prompt blocked";

impl Decode for Decoder {
    fn event(&mut self, _name: &str, data: &[u8], out: &mut Vec<StreamEvent>) -> Result<(), Failure> {
        let data = data.trim_ascii();
        // Gateways that translate may add the sentinel of another vendor.
        if self.done || data.is_empty() || data == b"[DONE]" {
            return Ok(());
        }
        let text = utf8(data);
        let chunk: Chunk<'_> = serde_json::from_str(&text).map_err(|error| bad_event(&error))?;
        if chunk.error.is_some_and(|error| error.get() != "null") {
            return Err(classify(None, &HeaderMap::new(), data));
        }
        if let Some(usage) = chunk.usage_metadata {
            self.usage.clear();
            self.usage.push_str(usage.get());
        }
        for candidate in
            chunk.candidates.iter().flat_map(Few::iter).filter(|one| one.index.is_none_or(|index| index == 0))
        {
            for part in candidate.content.iter().filter_map(|content| content.parts.as_ref()).flat_map(Few::iter) {
                self.part(part, out)?;
            }
            let reason = candidate.finish_reason.as_ref().map(Wtf::text).unwrap_or_default();
            if !matches!(&*reason, "" | "FINISH_REASON_UNSPECIFIED") && self.finish.is_none() {
                let message = candidate.finish_message.as_ref().map(Wtf::text).unwrap_or_default();
                self.finished(&reason, &message, out)?;
            }
        }
        let blocked = chunk.prompt_feedback.and_then(|feedback| feedback.block_reason);
        if let Some(reason) = blocked.filter(|_| self.finish.is_none()) {
            self.finished(&format!("{BLOCKED}: {}", reason.text()), "", out)?;
        }
        Ok(())
    }

    fn end(&mut self, out: &mut Vec<StreamEvent>) -> Result<(), Failure> {
        if self.done {
            return Ok(());
        }
        let Some(reason) = self.finish.take() else { return Err(Failure::cut()) };
        self.done = true;
        // Text may have followed the reason.
        out.extend(self.thinking.finish().map(StreamEvent::Thinking));
        out.extend(self.text.finish().map(StreamEvent::Text));
        let raw = (!self.parts.is_empty())
            .then(|| RawValue::from_string(format!("{{\"role\":\"model\",\"parts\":[{}]}}", self.parts)).ok())
            .flatten();
        let turn = AssistantTurn {
            origin: Arc::clone(&self.origin),
            text: std::mem::take(&mut self.text.text),
            calls: self.calls.finished().map(|(call, _)| call.clone()).collect(),
            id: None,
            raw: raw.map(Arc::from),
        };
        let response = Response { turn, stop: self.stop(&reason), usage: self.usage(), ..Response::default() };
        out.push(StreamEvent::Done(Box::new(response)));
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.done
    }
}
