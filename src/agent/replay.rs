//! A recorded run played again: the model says what it said, the user does what they did and when, and the tools that
//! stage edits stage them again, in a folder of their own.
//!
//! What comes out is compared with the recording: what was wanted of each file after each call, what went to the
//! editor, and what the run wanted at its end. `script` is what a replay needs of a recording, `calls` which call staged
//! what; `world` is the copy of the files with an agent in it, `user` the user's side of it; `conductor` lets everything
//! happen in the recorded order, so that a race of typing and editing ends as it ended, and `compare` looks at the
//! results. Nothing is run that the model asked to run, nobody is asked anything, and no network is used.

mod calls;
mod compare;
mod conductor;
pub mod script;
mod user;
mod world;

use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

pub use self::script::Script;

use self::script::Part;
use super::outcome::Outcome;
use crate::disk::Disk;
use crate::host::FileChange;
use crate::ids::CallId;
use crate::llm::played::Player;
use crate::llm::{LlmError, LlmErrorKind, StreamEvent, ToolCall};
use crate::paths::Roots;
use crate::tools::output::Output;
use crate::tools::scheduler::Gate;
use crate::tools::tool::{Effect, Planned, ToolError};
use crate::workspace::StagedFile;

/// Why a run cannot be played again; the message is for people.
#[derive(Debug, Error)]
pub enum Unplayable {
    /// There is no run in it.
    #[error("the recording holds no run: its beginning is missing")]
    Empty,
    /// It is too large.
    #[error("the recording is too large to be played again")]
    TooLarge,
    /// An answer of the model is missing.
    #[error("the recording has lost the model's answer number {0}, so the run cannot be played again")]
    Answer(u32),
    /// A text is missing.
    #[error("the recording has lost the text of `{0}`, so the run cannot be played again")]
    Lost(String),
    /// A path leads out of the workspace.
    #[error("the recording names a file outside its workspace ({0}); nothing of it is played")]
    Outside(String),
    /// The copy cannot be made.
    #[error("the copy of the files cannot be made: {0}")]
    Copy(String),
}

/// Changes files that no editor has open, as the user's side does: all of them or none. The error is for people.
pub type Writer = Arc<dyn Fn(&Disk, &Roots, &[FileChange]) -> Result<(), String> + Send + Sync>;

/// What a replay came to.
#[derive(Debug)]
pub struct Played {
    /// What the run wanted of each file in the end, before anything was delivered.
    pub files: Vec<StagedFile>,
    /// Where it differs from the recording; none: the edits are the same.
    pub differences: Vec<String>,
    /// What may have kept it from being exact.
    pub remarks: Vec<String>,
    /// Times something was staged and compared.
    pub staged: usize,
    /// Requests to the editor that were compared.
    pub delivered: usize,
    /// How the replayed run ended, if the recorded one did.
    pub outcome: Option<Arc<Outcome>>,
}

/// Plays a recorded run again in `folder`, which must be empty and nobody else's.
///
/// # Errors
/// There is not enough of it. A replay that goes another way than the recording is no error: see
/// [`Played::differences`].
pub async fn replay(mut script: Script, folder: &Path, writer: Writer) -> Result<Played, Unplayable> {
    let (world, heard) = world::World::make(&mut script, folder, writer)?;
    Ok(conductor::Conductor::new(world, script, heard).play().await)
}

/// What the replayed run wants of its surroundings.
enum Heard {
    /// The next answer of the model.
    Asked(oneshot::Sender<Answer>),
    /// A call has ended.
    Finished(CallId),
    /// Edits are to be applied.
    Proposed(Vec<FileChange>, oneshot::Sender<crate::host::ApplyReply>),
}

type Answer = Result<Arc<[StreamEvent]>, LlmError>;

/// What a replayed run gets in place of its model and of the tools that are not to run again.
#[derive(Debug)]
pub struct Playback {
    parts: Mutex<HashMap<CallId, VecDeque<Part>>>,
    gates: Mutex<HashMap<CallId, Gate>>,
    /// Holds few: a request waits for its answer, and each recorded call ends once.
    tell: mpsc::UnboundedSender<Heard>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Playback {
    /// How a call is answered if its tool is not to run again.
    pub(super) fn planned(&self, call: &ToolCall) -> Option<Planned> {
        let part = lock(&self.parts).get_mut(&call.id).and_then(VecDeque::pop_front);
        let (text, is_error): (Arc<str>, bool) = match part {
            Some(Part::Runs(gate)) => {
                lock(&self.gates).insert(call.id.clone(), gate);
                return None;
            }
            Some(Part::Says { text, is_error }) => (text, is_error),
            None => ("the recording has no result of this call".into(), true),
        };
        let said = if is_error { Err(ToolError::ForModel(text.to_string())) } else { Ok(Output::again(text)) };
        let work = move |_| std::future::ready(said).boxed();
        Some(Planned::future(Effect::default(), call.name.to_string(), work))
    }

    /// What a call that runs again has to wait for.
    pub(super) fn gate(&self, call: &CallId) -> Option<Gate> {
        lock(&self.gates).remove(call)
    }
}

impl Player for Playback {
    fn answer(&self) -> BoxFuture<'static, Answer> {
        let (give, answer) = oneshot::channel();
        // Whoever conducts is gone only when the replay is over.
        let _ = self.tell.send(Heard::Asked(give));
        let over = || LlmError::new(LlmErrorKind::BadResponse, "the recording has no further answer", "");
        async move { answer.await.unwrap_or_else(|_| Err(over())) }.boxed()
    }
}
