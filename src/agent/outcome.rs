//! What a run comes to: the outcome record of the contract, section 4.

use serde::{Deserialize, Serialize};

use crate::ids::{RunId, ThreadId};
use crate::llm::{LlmError, LlmErrorKind, Usage};

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// All edits are in the buffers, proven by what the editor sent back.
    Applied,
    /// Edits wait for `ropeway.accept` or `ropeway.reject`.
    Proposed,
    /// An answer without edits.
    Answered,
    /// The run made no edit though it could have, or its edits changed nothing.
    Unchanged,
    /// Some hunks were left out because the user changed the same text; the others are applied.
    Conflict,
    /// The editor did not say whether it applied the edits, and the buffers do not show them yet.
    Unknown,
    /// The user stopped it; nothing was applied.
    Cancelled,
    /// It could not go on; nothing was applied.
    Failed,
}

/// The contract's error codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// 401, 403.
    Auth,
    /// Unknown model, 404, bad settings.
    Config,
    /// 429.
    RateLimited,
    /// 503, 529.
    Overloaded,
    /// The prompt does not fit.
    ContextOverflow,
    /// The response was cut.
    OutputLimit,
    /// A time limit passed.
    Timeout,
    /// The connection failed.
    Network,
    /// The provider broke its protocol.
    BadResponse,
    /// Another failure of the provider, or its refusal.
    Provider,
    /// The user or a rule said no.
    Permission,
    /// `agent.max_steps` reached.
    StepLimit,
    /// `agent.max_cost_usd` reached.
    CostLimit,
    /// The editor would not take the edits.
    EditRefused,
    /// A fault of ours.
    Internal,
}

/// What went wrong and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OutcomeError {
    /// Machine-readable.
    pub code: ErrorCode,
    /// One sentence.
    pub message: String,
    /// What to do; may be empty.
    pub hint: String,
}

impl OutcomeError {
    /// An error with a hint.
    pub fn new(code: ErrorCode, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: hint.into() }
    }
}

impl From<LlmError> for OutcomeError {
    fn from(error: LlmError) -> Self {
        let code = match error.kind {
            LlmErrorKind::Auth => ErrorCode::Auth,
            LlmErrorKind::Config => ErrorCode::Config,
            LlmErrorKind::RateLimited => ErrorCode::RateLimited,
            LlmErrorKind::Overloaded => ErrorCode::Overloaded,
            LlmErrorKind::ContextOverflow => ErrorCode::ContextOverflow,
            LlmErrorKind::OutputLimit => ErrorCode::OutputLimit,
            LlmErrorKind::Timeout => ErrorCode::Timeout,
            LlmErrorKind::Network => ErrorCode::Network,
            LlmErrorKind::BadResponse => ErrorCode::BadResponse,
            LlmErrorKind::Provider => ErrorCode::Provider,
        };
        let message = match &error.request_id {
            Some(id) => format!("{} (request {id})", error.message),
            None => error.message,
        };
        Self { code, message, hint: error.hint }
    }
}

/// One file of an outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileOutcome {
    /// The document, as the client spells it.
    pub uri: String,
    /// Hunks that were applied, or are proposed.
    pub edits: usize,
    /// Hunks that were left out, each with its place.
    pub conflicts: Vec<ConflictPlace>,
}

/// Where a hunk was left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConflictPlace {
    /// First line of the place in the text as it is now, from 0.
    pub line: u32,
    /// Line behind the last, from 0.
    pub end_line: u32,
    /// What the run wanted to stand there, cut to a limit.
    pub wanted: String,
}

/// Tokens and money of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RunUsage {
    /// Prompt tokens of all model calls.
    pub input_tokens: u64,
    /// The part of them read from the provider's cache.
    pub cached_tokens: u64,
    /// Tokens the model produced.
    pub output_tokens: u64,
    /// The part of them that was reasoning; absent where no provider reported any.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub reasoning_tokens: u64,
    /// US dollars; absent where the model's price is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<f64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl RunUsage {
    /// Adds one request's usage.
    pub fn add(&mut self, usage: &Usage, cost_usd: Option<f64>) {
        self.merge(&Self {
            input_tokens: usage.input_tokens,
            cached_tokens: usage.cached_tokens,
            output_tokens: usage.output_tokens,
            reasoning_tokens: usage.reasoning_tokens,
            cost_usd,
        });
    }

    /// Adds other sums to these.
    pub fn merge(&mut self, more: &Self) {
        self.input_tokens = self.input_tokens.saturating_add(more.input_tokens);
        self.cached_tokens = self.cached_tokens.saturating_add(more.cached_tokens);
        self.output_tokens = self.output_tokens.saturating_add(more.output_tokens);
        self.reasoning_tokens = self.reasoning_tokens.saturating_add(more.reasoning_tokens);
        if let Some(cost) = more.cost_usd.filter(|cost| cost.is_finite()) {
            *self.cost_usd.get_or_insert(0.0) += cost;
        }
    }

    /// Tokens sent and received.
    pub fn tokens(&self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }
}

/// Where the time went, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Timing {
    /// From the command to the outcome.
    pub total_ms: f64,
    /// While a model response was awaited or arriving.
    pub model_ms: f64,
    /// Running time of all tools, added up.
    pub tool_ms: f64,
    /// What tools ran while the model still spoke or other tools ran: the time saved by not doing one after another.
    pub overlap_ms: f64,
}

/// The outcome of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// Which run.
    pub run_id: RunId,
    /// Its conversation.
    pub thread_id: ThreadId,
    /// How it ended.
    pub status: Status,
    /// What the model said last.
    pub answer: String,
    /// The files it touched.
    pub files: Vec<FileOutcome>,
    /// Model calls.
    pub steps: u32,
    /// What it used.
    pub usage: RunUsage,
    /// Where the time went.
    pub timing: Timing,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<OutcomeError>,
}
