//! A run as those who collect traces see it, in the words of OpenTelemetry's conventions for generative AI: the run is
//! an `invoke_agent`, each call of a model a `chat`, each tool an `execute_tool`.
//!
//! These are spans of `tracing` like others, and free where nobody subscribes to them. No text of the user, of a file
//! or of a model is among their fields.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use tracing::Span;
use tracing::field::Empty;

use super::models::Chosen;
use super::outcome::Outcome;
use super::turn::Turn;
use crate::config::ProviderKind;
use crate::ids::{CallId, RunId, ThreadId};
use crate::llm::{LlmErrorKind, Usage};

/// The name under which the vendor is known there.
fn provider(kind: ProviderKind) -> &'static str {
    match kind {
        ProviderKind::OpenAi => "openai",
        ProviderKind::Anthropic => "anthropic",
        ProviderKind::Google => "gcp.gemini",
        ProviderKind::Ollama => "ollama",
    }
}

/// A name as it stands in JSON.
fn word(name: impl Serialize) -> String {
    match serde_json::to_value(name) {
        Ok(Value::String(word)) => word,
        _ => String::new(),
    }
}

/// A run that begins.
pub(super) fn run(run: &RunId, thread: &ThreadId, action: &str) -> Span {
    tracing::info_span!(
        parent: None,
        "invoke_agent",
        gen_ai.operation.name = "invoke_agent",
        gen_ai.agent.name = "ropeway",
        gen_ai.conversation.id = thread.as_str(),
        ropeway.run.id = run.as_str(),
        ropeway.action = action,
        ropeway.status = Empty,
        gen_ai.usage.input_tokens = Empty,
        gen_ai.usage.output_tokens = Empty,
        gen_ai.usage.cache_read.input_tokens = Empty,
        "error.type" = Empty,
    )
}

/// How it has ended.
pub(super) fn run_ended(span: &Span, outcome: &Outcome) {
    if span.is_disabled() {
        return;
    }
    span.record("ropeway.status", word(outcome.status));
    span.record("gen_ai.usage.input_tokens", outcome.usage.input_tokens);
    span.record("gen_ai.usage.output_tokens", outcome.usage.output_tokens);
    span.record("gen_ai.usage.cache_read.input_tokens", outcome.usage.cached_tokens);
    if let Some(error) = &outcome.error {
        span.record("error.type", word(error.code));
    }
}

/// A call of a model, in the run that goes on here.
pub(super) fn chat(model: &Chosen, thread: &ThreadId, max_output_tokens: u32) -> Span {
    let server = &model.provider.base_url;
    tracing::info_span!(
        "chat",
        gen_ai.operation.name = "chat",
        gen_ai.provider.name = provider(model.provider.kind),
        gen_ai.request.model = &*model.model,
        gen_ai.request.max_tokens = max_output_tokens,
        gen_ai.conversation.id = thread.as_str(),
        gen_ai.response.model = Empty,
        gen_ai.usage.input_tokens = Empty,
        gen_ai.usage.output_tokens = Empty,
        gen_ai.usage.cache_read.input_tokens = Empty,
        gen_ai.usage.cache_creation.input_tokens = Empty,
        server.address = server.host_str().unwrap_or_default(),
        server.port = server.port_or_known_default().unwrap_or_default(),
        ropeway.attempts = Empty,
        ropeway.first_token_ms = Empty,
        "error.type" = Empty,
    )
}

/// What the provider counted; `origin` is the model that answered.
pub(super) fn counted(span: &Span, origin: &str, usage: &Usage) {
    span.record("gen_ai.response.model", origin.split_once('/').map_or(origin, |(_, model)| model));
    span.record("gen_ai.usage.input_tokens", usage.input_tokens);
    span.record("gen_ai.usage.output_tokens", usage.output_tokens);
    span.record("gen_ai.usage.cache_read.input_tokens", usage.cached_tokens);
    span.record("gen_ai.usage.cache_creation.input_tokens", usage.cache_write_tokens);
}

/// When its first content came, and how often it had to be asked.
pub(super) fn spoke(span: &Span, turn: &Turn) {
    span.record("ropeway.attempts", turn.retries + 1);
    if let Some(first) = turn.first {
        span.record("ropeway.first_token_ms", first.as_secs_f64() * 1e3);
    }
}

/// A call of a model has failed.
pub(super) fn failed(span: &Span, kind: LlmErrorKind) {
    if span.is_disabled() {
        return;
    }
    span.record("error.type", word(kind));
}

/// A tool that begins to run, in a run.
pub(super) fn tool(run: &Span, name: &str, call: &CallId) -> Span {
    tracing::info_span!(
        parent: run,
        "execute_tool",
        gen_ai.operation.name = "execute_tool",
        gen_ai.tool.name = name,
        gen_ai.tool.call.id = call.as_str(),
        "gen_ai.tool.type" = "function",
        ropeway.waited_ms = Empty,
        ropeway.cached = Empty,
        "error.type" = Empty,
    )
}

/// How a tool has ended.
pub(super) fn tool_ended(span: &Span, waited: Duration, cached: bool, ok: bool) {
    span.record("ropeway.waited_ms", waited.as_secs_f64() * 1e3);
    span.record("ropeway.cached", cached);
    if !ok {
        span.record("error.type", "tool_error");
    }
}
