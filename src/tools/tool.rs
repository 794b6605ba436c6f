//! What a tool is: a spec for the model, and a plan made from the arguments of one call.
//!
//! A plan says what the call will touch before it runs, so that the scheduler can let calls overlap whose effects do
//! not clash, and so that the agent can start a call that only reads while the model still speaks.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use thiserror::Error;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::cache::{Depends, Memo, Results};
use super::diagnostics::Diagnostics;
use super::grep::Together;
use super::kept::Lists;
use super::output::{Output, OutputLimits};
use super::pattern::PathFilter;
use super::run_command::CommandCall;
use super::sandbox::Commands;
use crate::config::ToolsConfig;
use crate::disk::DiskError;
use crate::ids::RunId;
use crate::llm::types::ToolSpec;
use crate::paths::{PathError, WsPath};
use crate::syntax::Parses;
use crate::workspace::{ReadError, StageError, Workspace};

/// A tool that the model can call.
pub trait Tool: Send + Sync {
    /// What the model is shown; the same bytes every time.
    fn spec(&self) -> ToolSpec;

    /// Reads the arguments of one call and says what it will do. Touches nothing and does not block.
    fn plan(&self, context: &ToolContext, arguments: &str) -> Result<Planned, ToolError>;
}

/// Why a call has no result.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ToolError {
    /// The model can do something about it: the text becomes the result of the call.
    #[error("{0}")]
    ForModel(String),
    /// Nobody but the user can: the run ends with this sentence.
    #[error("{0}")]
    Fatal(String),
}

impl ToolError {
    /// An error that the model reads.
    pub fn for_model(text: impl Into<String>) -> Self {
        Self::ForModel(text.into())
    }
}

/// The texts of the floors below say what is wrong and what to do, so they go to the model as they stand.
macro_rules! for_model {
    ($($error:ty),*) => {
        $(impl From<$error> for ToolError {
            fn from(error: $error) -> Self {
                Self::ForModel(error.to_string())
            }
        })*
    };
}

for_model!(PathError, DiskError, ReadError, StageError);

/// Limits that the configuration sets for tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ToolLimits {
    /// Bounds of one result.
    pub output: OutputLimits,
    /// How long `grep` looks for a first match.
    pub grep_first_match: Duration,
    /// Most files one `grep` looks into.
    pub grep_max_files: usize,
    /// How long the list of a folder's files is kept after its last use; zero: it is made anew for each search.
    pub keep_lists: Duration,
    /// Threads of one walk or search; 0: as many as there are cores.
    pub threads: usize,
    /// How long a command may take that does not say so itself.
    pub command: Duration,
    /// How long a tool may spend on finding out whether an edit broke the file's syntax, and an outline on the whole.
    pub syntax: SyntaxLimits,
}

/// Limits of parsing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyntaxLimits {
    /// How long the check of an edit may take; without a word after that.
    pub check: Duration,
    /// How long an outline may take.
    pub outline: Duration,
    /// Whether a tree is made from the last one of the file.
    pub reuse: bool,
}

impl Default for SyntaxLimits {
    fn default() -> Self {
        Self { check: Duration::from_millis(150), outline: Duration::from_secs(3), reuse: true }
    }
}

impl Default for ToolLimits {
    fn default() -> Self {
        Self {
            output: OutputLimits::default(),
            grep_first_match: Duration::from_secs(3),
            grep_max_files: 10_000,
            keep_lists: Duration::from_secs(300),
            threads: 0,
            syntax: SyntaxLimits::default(),
            command: Duration::from_secs(30),
        }
    }
}

impl ToolLimits {
    /// What the configuration says.
    pub fn of(config: &ToolsConfig) -> Self {
        Self {
            grep_first_match: Duration::from_millis(config.grep.first_match_timeout_ms),
            grep_max_files: usize::try_from(config.grep.max_files).unwrap_or(usize::MAX),
            // Without a cache of results there is none of trees.
            syntax: SyntaxLimits { reuse: config.cache_ttl_ms > 0, ..SyntaxLimits::default() },
            keep_lists: Duration::from_millis(config.cache_ttl_ms),
            command: Duration::from_millis(config.timeout_ms),
            threads: config.threads(),
            ..Self::default()
        }
    }
}

/// What the tools of one run work on.
#[derive(Clone)]
pub struct ToolContext {
    /// Open documents, staged edits and, below them, the disk.
    pub workspace: Arc<Workspace>,
    /// The run, which names the staging area.
    pub run: RunId,
    /// Limits of the configuration.
    pub limits: ToolLimits,
    /// What the editor last said is wrong.
    pub diagnostics: Arc<Diagnostics>,
    /// The run's last syntax trees.
    pub parses: Arc<Parses>,
    /// Files whose text must not be shown, whatever finds them.
    pub denied: Arc<[PathFilter]>,
    /// The commands of this run; `None` where none may be run.
    pub commands: Option<Arc<Commands>>,
    /// Where results are remembered.
    pub results: Results,
    /// The lists of files that searches begin with.
    pub lists: Lists,
    /// Where the greps of the run meet that can share their work.
    pub together: Together,
    /// Called after a file's staged state has changed.
    pub on_staged: Arc<dyn Fn(&WsPath) + Send + Sync>,
}

/// What a call gives back.
pub type ToolResult = Result<Output, ToolError>;

/// The work of a call.
pub(super) enum Work {
    /// Occupies a thread.
    Blocking(Box<dyn FnOnce(&Cancel) -> ToolResult + Send>),
    /// Waits for others.
    Async(Box<dyn FnOnce(Cancel) -> BoxFuture<'static, ToolResult> + Send>),
}

/// One call, ready to run.
pub struct Planned {
    /// What it touches.
    pub effect: Effect,
    /// One line for people: what it does.
    pub summary: String,
    /// How long it may run, where that is not for the configuration to say.
    pub deadline: Option<Duration>,
    /// The command line that it runs, for the policy, the user and those who want to hear what it prints.
    pub command: Option<Arc<CommandCall>>,
    /// Called once nothing but a slot keeps the call from starting.
    pub(super) ready: Option<Box<dyn FnOnce() + Send>>,
    /// Where its result may be remembered; `None`: nowhere.
    pub(super) memo: Option<Memo>,
    /// Which results it may make worthless.
    pub(super) upsets: Option<Results>,
    pub(super) work: Work,
}

impl Planned {
    fn new(effect: Effect, summary: String, work: Work) -> Self {
        Self { effect, summary, deadline: None, command: None, ready: None, memo: None, upsets: None, work }
    }

    /// Work that computes or waits for the disk: it runs on a thread of its own, and must look at the [`Cancel`]
    /// wherever it may take long.
    pub fn blocking(
        effect: Effect,
        summary: String,
        work: impl FnOnce(&Cancel) -> ToolResult + Send + 'static,
    ) -> Self {
        Self::new(effect, summary, Work::Blocking(Box::new(work)))
    }

    /// Work that waits for processes or sockets.
    pub fn future(
        effect: Effect,
        summary: String,
        work: impl FnOnce(Cancel) -> BoxFuture<'static, ToolResult> + Send + 'static,
    ) -> Self {
        Self::new(effect, summary, Work::Async(Box::new(work)))
    }

    /// The same with something to be called when all that the call has to wait for has happened, and only a slot is
    /// missing: from then on another call may do its work with its own, as a search does that passes the same files.
    pub fn when_ready(self, ready: impl FnOnce() + Send + 'static) -> Self {
        Self { ready: Some(Box::new(ready)), ..self }
    }

    /// The same with a result that is remembered: `arguments` says in canonical form what was asked, `depends` all that
    /// the answer depends on besides. Only for work that changes nothing and always gives the same for the same.
    pub fn remembered(
        self,
        context: &ToolContext,
        tool: &'static str,
        arguments: String,
        depends: Vec<Depends>,
    ) -> Self {
        Self { memo: context.results.memo(context, tool, arguments, depends), ..self }
    }

    /// The same with word to `results` when it begins and ends, if it may write more than single files: what was
    /// found in a tree before then is looked for again.
    pub fn known_to(self, results: &Results) -> Self {
        let broad = |scope: &Scope| !matches!(scope, Scope::File(_));
        let upsets = self.effect.writes.iter().any(broad).then(|| results.clone());
        Self { upsets, ..self }
    }

    /// The same with a deadline of its own: what the model may choose (a command's timeout) is no matter of the
    /// configuration.
    pub fn within(self, deadline: Duration) -> Self {
        Self { deadline: Some(deadline), ..self }
    }
}

impl fmt::Debug for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Planned").field("effect", &self.effect).field("summary", &self.summary).finish()
    }
}

/// A stretch of the workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One file.
    File(WsPath),
    /// A directory and all below it.
    Tree(WsPath),
    /// The whole workspace and what is outside it.
    Everything,
}

impl Scope {
    /// Whether the two have a file in common.
    pub fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Everything, _) | (_, Self::Everything) => true,
            (Self::File(a), Self::File(b)) => a == b,
            (Self::Tree(a), Self::Tree(b)) => below(a, b) || below(b, a),
            (Self::Tree(tree), Self::File(file)) | (Self::File(file), Self::Tree(tree)) => below(tree, file),
        }
    }
}

/// Whether `path` is `tree` or lies in it. Roots may lie in one another, so the roots' own paths are compared too.
fn below(tree: &WsPath, path: &WsPath) -> bool {
    if tree.root().path() != path.root().path() {
        return path.absolute().starts_with(tree.absolute());
    }
    let (tree, path) = (tree.rel(), path.rel());
    tree.is_empty() || path.strip_prefix(tree).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What a call touches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effect {
    /// What it looks at.
    pub reads: Vec<Scope>,
    /// What it changes, or stages a change of.
    pub writes: Vec<Scope>,
}

impl Effect {
    /// Looks at `scope` only.
    pub fn reads(scope: Scope) -> Self {
        Self { reads: vec![scope], writes: Vec::new() }
    }

    /// Changes `scope`.
    pub fn writes(scope: Scope) -> Self {
        Self { reads: Vec::new(), writes: vec![scope] }
    }

    /// Whether it changes nothing, so that it may run before the model has finished speaking.
    pub fn is_read_only(&self) -> bool {
        self.writes.is_empty()
    }
}

/// Whether the order of the two matters: one changes what the other looks at or changes.
pub fn clash(a: &Effect, b: &Effect) -> bool {
    let touches = |writes: &[Scope], other: &Effect| {
        writes.iter().any(|write| other.reads.iter().chain(&other.writes).any(|scope| write.overlaps(scope)))
    };
    touches(&a.writes, b) || touches(&b.writes, a)
}

/// Word that a call, or all of a run, is to end. A copy is a pointer; looking at it is a load or two.
#[derive(Clone)]
pub struct Cancel(Arc<CancelState>);

struct CancelState {
    /// Beside the token, because looking at a token takes a lock and a search looks very often.
    flag: AtomicBool,
    token: CancellationToken,
    parent: Option<Cancel>,
    deadline: Option<Instant>,
}

impl Cancel {
    /// A word that has not been given.
    pub fn new() -> Self {
        Self::with(CancellationToken::new(), None, None)
    }

    /// A word for a part: it also counts as given once this one is.
    pub fn child(&self) -> Self {
        Self::with(self.0.token.child_token(), Some(self.clone()), self.0.deadline)
    }

    /// As [`Cancel::child`], for work that is stopped at `deadline` at the latest.
    pub fn child_until(&self, deadline: Instant) -> Self {
        Self::with(self.0.token.child_token(), Some(self.clone()), Some(deadline))
    }

    fn with(token: CancellationToken, parent: Option<Cancel>, deadline: Option<Instant>) -> Self {
        Self(Arc::new(CancelState { flag: AtomicBool::new(false), token, parent, deadline }))
    }

    /// Gives the word, to the parts as well.
    pub fn cancel(&self) {
        self.0.flag.store(true, Ordering::Release);
        self.0.token.cancel();
    }

    /// Whether the word has been given here or above.
    pub fn is_cancelled(&self) -> bool {
        self.0.flag.load(Ordering::Acquire) || self.0.parent.as_ref().is_some_and(Self::is_cancelled)
    }

    /// Resolves once the word has been given.
    pub async fn cancelled(&self) {
        self.0.token.cancelled().await;
    }

    /// As [`Cancel::cancelled`], to be kept.
    pub(super) fn cancelled_owned(&self) -> WaitForCancellationFutureOwned {
        self.0.token.clone().cancelled_owned()
    }

    /// An error to leave by, once the word has been given. The scheduler says why in the result.
    pub fn check(&self) -> Result<(), ToolError> {
        if self.is_cancelled() { Err(ToolError::for_model("cancelled")) } else { Ok(()) }
    }

    /// When the scheduler stops the work; a tool with something to show ends by itself before.
    pub fn deadline(&self) -> Option<Instant> {
        self.0.deadline
    }
}

impl Default for Cancel {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Cancel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cancel({})", self.is_cancelled())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_call_at_a_time_is_one_thread_in_it_too_and_many_are_no_more_threads_than_cores() {
        let threads = |max_parallel| ToolLimits::of(&ToolsConfig { max_parallel, ..ToolsConfig::default() }).threads;
        let cores = std::thread::available_parallelism().unwrap().get();
        assert_eq!((threads(1), threads(0), threads(256)), (1, cores, cores));
    }

    #[tokio::test]
    async fn a_word_given_above_reaches_the_parts_and_not_the_other_way() {
        let run = Cancel::new();
        let (a, b) = (run.child(), run.child());
        a.cancel();
        assert!(a.is_cancelled() && !b.is_cancelled() && !run.is_cancelled());
        assert!(a.check().is_err() && b.check().is_ok());
        run.cancel();
        assert!(b.is_cancelled() && b.child().is_cancelled());
        b.child().cancelled().await;
    }
}
