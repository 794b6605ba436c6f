//! What a run is started with, and why it may not be.

use serde_json::Value;
use thiserror::Error;

use super::action::Action;
use crate::config::ModelRef;
use crate::ids::ThreadId;
use crate::text::{Encoding, Range};

/// What is asked for: the argument of `ropeway.run`.
#[derive(Clone, Debug, Default)]
pub struct Order {
    /// Name of the action.
    pub action: String,
    /// The document, as the client spells it.
    pub uri: Option<String>,
    /// The selection or cursor in it.
    pub range: Option<Range>,
    /// What columns count.
    pub encoding: Encoding,
    /// What the user says.
    pub prompt: String,
    /// The diagnostics it is about.
    pub diagnostics: Vec<Value>,
    /// The conversation it continues.
    pub thread: Option<ThreadId>,
    /// The model, where it is not the configured one.
    pub model: Option<ModelRef>,
}

/// Why a run cannot start, or a command about one cannot be carried out.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum OrderError {
    /// The action does not exist.
    #[error("there is no action `{0}`; there are: {1}")]
    Action(String, String),
    /// The action needs a place or words.
    #[error("{0}")]
    Missing(&'static str),
    /// The file cannot be worked on.
    #[error("{0}")]
    File(String),
    /// The thread is at work.
    #[error("thread {0} is busy with another run; wait for it or cancel it")]
    Busy(ThreadId),
    /// No such thread.
    #[error("there is no thread {0}; leave `thread` out to begin a new one")]
    Thread(ThreadId),
    /// No such run, or none of which that can be asked.
    #[error("{0}")]
    Run(String),
    /// The server is going down.
    #[error("the server is shutting down")]
    Closing,
}

impl Order {
    /// Whether what the action needs is there.
    pub(super) fn check(&self, action: &Action, has_subject: bool) -> Result<(), OrderError> {
        let id = &*action.id;
        if matches!(id, "task" | "edit") && self.prompt.trim().is_empty() {
            return Err(OrderError::Missing("say in `prompt` what is to be done"));
        }
        if !has_subject && id != "task" && !action.custom && id != "review" {
            return Err(OrderError::Missing("this action is about a file: give its `uri`"));
        }
        if id == "edit" && self.range.is_none() {
            return Err(OrderError::Missing("this action is about a selection: give its `range`"));
        }
        if id == "fix" && self.diagnostics.is_empty() {
            return Err(OrderError::Missing("this action is about a problem: give it in `diagnostics`"));
        }
        Ok(())
    }
}
