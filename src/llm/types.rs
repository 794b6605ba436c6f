//! What is said to a model and what comes back, without a word of any vendor.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use thiserror::Error;

use crate::ids::CallId;

/// A tool as the model sees it. Serialised the same way every turn: prompt caches match exact prefixes.
#[derive(Clone, Debug)]
pub struct ToolSpec {
    /// `[A-Za-z_][A-Za-z0-9_]{0,63}`: what every provider takes.
    pub name: &'static str,
    /// What the tool does, for the model.
    pub description: &'static str,
    /// JSON Schema of the arguments: an object without `$ref`.
    pub schema: Arc<RawValue>,
}

/// One message of a conversation.
#[derive(Clone, Debug)]
pub enum Message {
    /// What the user, or we in the user's name, say.
    User(Arc<str>),
    /// What the model said.
    Assistant(Arc<AssistantTurn>),
    /// The answers to all calls of the assistant's turn just before, in the order of the calls.
    ToolResults(Arc<[ToolResult]>),
}

/// A model's whole turn, kept so that it can be sent back byte for byte to the provider that made it.
#[derive(Clone, Debug, Default)]
pub struct AssistantTurn {
    /// `PROVIDER/MODEL` that said it; `raw` is only echoed to the same provider.
    pub origin: Arc<str>,
    /// The visible text.
    pub text: String,
    /// The calls, in the order in which they were opened.
    pub calls: Vec<ToolCall>,
    /// The turn in the provider's own form (its assistant message), for the echo.
    pub raw: Option<Arc<RawValue>>,
    /// The provider's name for the turn, where it has one that can be referred to.
    pub id: Option<Arc<str>>,
}

/// A complete tool call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolCall {
    /// The provider's name for it, or ours.
    pub id: CallId,
    /// Name of the tool.
    pub name: Arc<str>,
    /// The arguments exactly as they came; a JSON object unless the model erred. Empty arguments come as `{}`.
    pub arguments: Arc<str>,
}

/// The answer to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolResult {
    /// Which call.
    pub call: CallId,
    /// Name of the tool that was called.
    pub name: Arc<str>,
    /// What the model gets to read.
    pub content: Arc<str>,
    /// Whether this is a failure.
    pub is_error: bool,
}

/// One request to a model.
#[derive(Clone, Debug)]
pub struct Request {
    /// Name of the model at its provider, without the provider.
    pub model: Arc<str>,
    /// Standing instructions.
    pub system: Arc<str>,
    /// Tools offered, in a fixed order.
    pub tools: Arc<[ToolSpec]>,
    /// The conversation so far; ends with `User` or `ToolResults`.
    pub messages: Vec<Message>,
    /// Upper bound on what the model may produce, in tokens.
    pub max_output_tokens: u32,
    /// Tokens of prompt and answer together; for servers that must be told how much to hold (Ollama).
    pub context_window: u64,
    /// Sent only if set: newer models refuse it.
    pub temperature: Option<f32>,
    /// Whether the model may make several calls in one turn.
    pub parallel_tools: bool,
}

/// What a stream yields, in order; the last is `Done`, and a stream without it is an error.
#[derive(Clone, Debug)]
pub enum StreamEvent {
    /// Visible text.
    Text(String),
    /// Reasoning text the provider shows; not part of the answer.
    Thinking(String),
    /// A call was opened: its name is known, its arguments are not.
    CallStarted {
        /// Position among the calls of the turn.
        index: usize,
        /// Name of the tool.
        name: Arc<str>,
    },
    /// A call is closed and complete. Calls that only read may run now; the others wait for `Done`.
    Call {
        /// Position among the calls of the turn.
        index: usize,
        /// The call.
        call: ToolCall,
    },
    /// The protocol's own end of the stream.
    Done(Box<Response>),
}

/// A finished response.
#[derive(Clone, Debug, Default)]
pub struct Response {
    /// The turn; its calls equal the `Call` events.
    pub turn: AssistantTurn,
    /// Why it ended.
    pub stop: Stop,
    /// What it cost, where the provider says.
    pub usage: Option<Usage>,
    /// The provider's name for the request, for its support.
    pub request_id: Option<String>,
    /// Why the provider's cache did not know the prompt's beginning, where it says so.
    pub cache_miss: Option<String>,
}

/// Why a response ended.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Stop {
    /// The model had said all.
    #[default]
    EndTurn,
    /// It wants the results of its calls.
    ToolCalls,
    /// The output limit cut it: calls must not run.
    Length,
    /// The context window is full.
    ContextWindow,
    /// It refused, or a filter did: the provider's word for it.
    Refusal(String),
    /// The provider wants the turn sent back as it is, to go on.
    Pause,
    /// A reason we do not know, as the provider spells it.
    Other(String),
}

/// Tokens of one request, as the provider counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// The whole prompt.
    pub input_tokens: u64,
    /// The part of it read from the provider's cache.
    pub cached_tokens: u64,
    /// The part of it written to the provider's cache.
    pub cache_write_tokens: u64,
    /// What the model produced, reasoning included.
    pub output_tokens: u64,
    /// The part of that which was reasoning; 0 where the provider does not say.
    #[serde(default)]
    pub reasoning_tokens: u64,
}

/// Why a request did not end well. Each kind is one of the contract's `error.code`s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LlmErrorKind {
    /// 401 and 403.
    Auth,
    /// Unknown model, 404, bad settings, bad request.
    Config,
    /// 429 and spent quotas.
    RateLimited,
    /// 503, 529 and their kind.
    Overloaded,
    /// The prompt does not fit the window.
    ContextOverflow,
    /// The output limit cut the response.
    OutputLimit,
    /// Connect, first byte or idle limit passed.
    Timeout,
    /// Name look-up, connection, TLS, reset.
    Network,
    /// A stream or body that does not follow the protocol, or ended before its end event.
    BadResponse,
    /// Any other failure the provider reports.
    Provider,
}

/// A failed request, with what a person can do about it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct LlmError {
    /// Its kind.
    pub kind: LlmErrorKind,
    /// One sentence; never holds a credential.
    pub message: String,
    /// What to do.
    pub hint: String,
    /// HTTP status, where there was one.
    pub status: Option<u16>,
    /// The provider's name for the request.
    pub request_id: Option<String>,
}

impl LlmError {
    /// An error that no HTTP answer brought.
    pub fn new(kind: LlmErrorKind, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: hint.into(), status: None, request_id: None }
    }
}
