//! How a run's loop ended, and what the user reads about it.

use crate::agent::budget::Over;
use crate::agent::outcome::{ErrorCode, OutcomeError, RunUsage, Timing};
use crate::agent::phase::End;

/// How the loop ended, before anything is proposed.
#[derive(Debug)]
pub struct Ended {
    /// `None`: the model is done and what is staged can be proposed.
    pub error: Option<OutcomeError>,
    /// The user stopped it.
    pub cancelled: bool,
    /// The last text of the model.
    pub answer: String,
    /// Model calls.
    pub steps: u32,
    /// Tokens and money.
    pub usage: RunUsage,
    /// Where the time went; `total_ms` is filled in by the caller.
    pub timing: Timing,
}

/// What is told of an end without a proposal, and whether the user wanted it.
pub(super) fn told(end: Option<End>, over: Option<Over>) -> (Option<OutcomeError>, bool) {
    match end {
        None => (None, false),
        Some(End::Cancelled) => (None, true),
        Some(End::Model(error)) => (Some(error.into()), false),
        Some(End::StepLimit(steps)) => {
            let message = format!("the run took its {steps} steps without coming to an end; nothing was applied");
            let hint = "ask for less at once, or raise `agent.max_steps`";
            (Some(OutcomeError::new(ErrorCode::StepLimit, message, hint)), false)
        }
        Some(End::CostLimit) => (over.map(Into::into), false),
        Some(End::Refused(why)) => {
            let message = format!("the model refused: {why}");
            (
                Some(OutcomeError::new(ErrorCode::Provider, message, "say it in other words, or use another model")),
                false,
            )
        }
        Some(End::Tool(why)) => (Some(OutcomeError::new(ErrorCode::Internal, why, "")), false),
    }
}
