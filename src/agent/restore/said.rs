//! From what a recording says was said to what is said to a model again.

use std::sync::Arc;

use serde_json::Value;
use serde_json::value::RawValue;

use crate::llm::{AssistantTurn, LlmError, LlmErrorKind, Response, Stop, ToolCall, Usage};
use crate::text::{Edit, EditSet, Text};
use crate::trajectory::record;

/// A model's turn. A form of the provider's own that is no JSON any more is left out: then the turn goes back in ours.
pub fn turn(turn: &record::Turn) -> AssistantTurn {
    let call = |call: &record::CallRecord| ToolCall {
        id: call.id.clone(),
        name: call.name.clone(),
        arguments: call.arguments.clone(),
    };
    AssistantTurn {
        origin: turn.origin.clone(),
        text: turn.text.clone(),
        calls: turn.calls.iter().map(call).collect(),
        raw: turn.raw.as_ref().and_then(|raw| RawValue::from_string(raw.to_string()).ok()).map(Arc::from),
        id: turn.id.clone(),
    }
}

/// A response that came to its end; `None` if it did not.
pub fn response(response: &record::Response) -> Option<Response> {
    let said = response.turn.as_ref()?;
    Some(Response {
        turn: turn(said),
        stop: stop(response.stop.as_deref().unwrap_or_default(), !said.calls.is_empty()),
        usage: response.usage.map(usage),
        request_id: response.request_id.clone(),
        cache_miss: response.cache_miss.clone(),
    })
}

fn stop(word: &str, calls: bool) -> Stop {
    match word {
        "endTurn" => Stop::EndTurn,
        "toolCalls" => Stop::ToolCalls,
        "length" => Stop::Length,
        "contextWindow" => Stop::ContextWindow,
        "pause" => Stop::Pause,
        "" if calls => Stop::ToolCalls,
        "" => Stop::EndTurn,
        other => match other.strip_prefix("refusal: ") {
            Some(why) => Stop::Refusal(why.to_owned()),
            None => Stop::Other(other.to_owned()),
        },
    }
}

fn usage(usage: record::UsageRecord) -> Usage {
    Usage {
        input_tokens: usage.input_tokens,
        cached_tokens: usage.cached_tokens,
        cache_write_tokens: usage.cache_write_tokens,
        output_tokens: usage.output_tokens,
        reasoning_tokens: usage.reasoning_tokens,
    }
}

/// Why a request failed.
pub fn failure(error: &record::ModelError) -> LlmError {
    let kind = serde_json::from_value(Value::String(error.kind.clone())).unwrap_or(LlmErrorKind::Provider);
    LlmError { status: error.status, ..LlmError::new(kind, error.message.clone(), error.hint.clone()) }
}

/// Edits of one text, all at once; `None` if they do not fit it.
pub fn edits(base: &Text, records: &[record::EditRecord]) -> Option<EditSet> {
    let edits = records
        .iter()
        .map(|edit| (edit.start <= edit.end).then(|| Edit::new(edit.start..edit.end, edit.text.as_str())))
        .collect::<Option<_>>()?;
    EditSet::new(base.len(), edits).ok()
}

/// The text that edits lead to.
pub fn edited(base: &Text, records: &[record::EditRecord]) -> Option<Text> {
    edits(base, records)?.apply(base).ok()
}
