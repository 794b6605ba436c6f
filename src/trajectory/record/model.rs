//! What is said to a model and what comes back, as a recording has it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::TextId;
use crate::ids::CallId;

/// One message of a conversation, or where it has stood before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Message {
    /// The message of this number: messages are numbered from 0 in the order in which a run's records have them in
    /// full, turns of responses among them.
    Ref(u64),
    /// What the user, or we in the user's name, said.
    User(Arc<str>),
    /// What the model said.
    Assistant(Arc<Turn>),
    /// The answers to its calls.
    Results(Vec<ResultRecord>),
}

/// A model's whole turn.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Turn {
    /// `PROVIDER/MODEL` that said it.
    pub origin: Arc<str>,
    /// The visible text.
    pub text: String,
    /// The calls, in order.
    pub calls: Vec<CallRecord>,
    /// The turn in the provider's own form, byte for byte.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw: Option<Arc<str>>,
    /// The provider's name for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Arc<str>>,
}

/// A complete tool call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallRecord {
    /// Its name.
    pub id: CallId,
    /// The tool.
    pub name: Arc<str>,
    /// The arguments exactly as they came.
    pub arguments: Arc<str>,
}

/// The answer to a call, as it stands in a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResultRecord {
    /// Which call.
    pub call: CallId,
    /// The tool.
    pub name: Arc<str>,
    /// What the model reads; absent: exactly the `result` of the call's `toolFinished`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Arc<str>>,
    /// Whether it is a failure.
    #[serde(default)]
    pub is_error: bool,
}

/// A list of messages, told by what it has in common with the one told before in the same run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Messages {
    /// So many from the beginning of the list before stay.
    pub keep: usize,
    /// These come behind them.
    pub add: Vec<Message>,
}

/// What a model is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Purpose {
    /// The next turn of the run.
    #[default]
    Turn,
    /// A summary of the conversation, to make room.
    Summary,
}

/// A model is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// Number of the model call in the run, from 1.
    pub step: u32,
    /// What for.
    #[serde(default)]
    pub purpose: Purpose,
    /// `PROVIDER/MODEL`.
    pub model: String,
    /// Standing instructions.
    pub system: TextId,
    /// The tools offered, a JSON list of name, description and schema.
    pub tools: TextId,
    /// The conversation.
    pub messages: Messages,
    /// Tokens the model may produce.
    pub max_output: u32,
    /// Sent only if set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f32>,
    /// Tokens of the whole prompt; an estimate.
    #[serde(default)]
    pub tokens: u64,
}

/// Tokens of one request, as the provider counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UsageRecord {
    /// The whole prompt.
    pub input_tokens: u64,
    /// The part of it read from the provider's cache.
    pub cached_tokens: u64,
    /// The part of it written to the provider's cache.
    pub cache_write_tokens: u64,
    /// What the model produced, reasoning included.
    pub output_tokens: u64,
    /// The part of that which was reasoning.
    pub reasoning_tokens: u64,
}

/// When things happened, in microseconds from the request; absent what did not happen or was not seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StreamTiming {
    /// How long the connection took, where one had to be made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect_us: Option<u64>,
    /// How long the head of the answer took, from the start of the last attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_byte_us: Option<u64>,
    /// The first content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_token_us: Option<u64>,
    /// The last content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_token_us: Option<u64>,
    /// The end.
    pub total_us: u64,
}

/// Why a request failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ModelError {
    /// The contract's `error.code`.
    pub kind: String,
    /// One sentence.
    pub message: String,
    /// What to do.
    pub hint: String,
    /// HTTP status, where there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
}

/// How a request to a model ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Response {
    /// As in its request.
    pub step: u32,
    /// As in its request.
    pub purpose: Purpose,
    /// What the model said, if it came to an end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turn: Option<Arc<Turn>>,
    /// Why it ended: `endTurn`, `toolCalls`, `length`, `contextWindow`, `pause`, `refusal: …` or the provider's word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop: Option<String>,
    /// What it took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<UsageRecord>,
    /// US dollars, where the price is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<f64>,
    /// The provider's name for the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Why the provider's cache did not know the prompt's beginning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_miss: Option<String>,
    /// Attempts made; 0 where the answer was remembered.
    pub attempts: u32,
    /// When what came.
    pub timing: StreamTiming,
    /// It failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ModelError>,
    /// Nobody waited for its end.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub abandoned: bool,
}
