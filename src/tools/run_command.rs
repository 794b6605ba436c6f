//! `run_command`: a command line in the sandbox, on the workspace as the run sees it.

use std::fmt;
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::arguments;
use super::pattern::brief;
use super::sandbox::Wanted;
use super::tool::{Effect, Planned, Scope, Tool, ToolContext, ToolError};
use crate::llm::types::ToolSpec;
use crate::paths::WsPath;

/// Longest command line, in bytes: all of it is put to the user, and longer ones belong into a file.
pub const MAX_COMMAND: usize = 4 << 10;
/// What comes after a command's own limit: ending its processes, and taking over what it wrote.
const WIND_UP: Duration = Duration::from_secs(20);
/// Longest time a command may take.
pub const MAX_TIMEOUT: Duration = Duration::from_secs(600);

/// Runs a command line with a shell, in a sandbox: it sees your edits, has no network, and cannot change anything
/// outside the workspace. What it changes in source files comes back as your edits; other files are kept until the
/// run ends, so that builds are incremental.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// The command line. Nothing can be typed into it.
    command: String,
    /// Folder to run in, relative to the workspace root. Default: the root.
    cwd: Option<String>,
    /// Milliseconds after which it is stopped, at most 600000. Default: 30000, unless the user has set another.
    timeout_ms: Option<u64>,
}

static SPEC: LazyLock<ToolSpec> = LazyLock::new(|| arguments::spec::<Arguments>("run_command"));

/// A command line that a call wants to run: what the policy judges and the user is asked about.
pub struct CommandCall {
    /// The line, as the shell will read it.
    pub line: String,
    /// The folder it runs in.
    pub cwd: WsPath,
    listener: OnceLock<Listener>,
}

/// Hears what a command prints, in pieces.
pub type Listener = Box<dyn Fn(&str) + Send + Sync>;

impl CommandCall {
    /// Of this line in this folder.
    pub fn new(line: String, cwd: WsPath) -> Arc<Self> {
        Arc::new(Self { line, cwd, listener: OnceLock::new() })
    }

    /// Has `listener` told what the command prints, while it runs. Only the first one counts.
    pub fn listen(&self, listener: Listener) {
        // A second one would be a defect without harm: nobody else gets to hear.
        let _ = self.listener.set(listener);
    }

    /// Tells the listener.
    pub(super) fn tell(&self, printed: &str) {
        if let Some(listener) = self.listener.get() {
            listener(printed);
        }
    }
}

impl fmt::Debug for CommandCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommandCall").field("line", &self.line).field("cwd", &self.cwd).finish_non_exhaustive()
    }
}

/// The tool.
pub struct RunCommand;

impl Tool for RunCommand {
    fn spec(&self) -> ToolSpec {
        SPEC.clone()
    }

    fn plan(&self, context: &ToolContext, arguments: &str) -> Result<Planned, ToolError> {
        let arguments: Arguments = arguments::parse(&SPEC, arguments)?;
        let Some(commands) = context.commands.clone() else {
            return Err(ToolError::for_model(
                "the user does not trust this workspace, so no command runs here; do without",
            ));
        };
        let cwd = context.workspace.roots().resolve(arguments.cwd.as_deref().unwrap_or("."))?;
        if arguments.command.trim().is_empty() {
            return Err(ToolError::ForModel(format!("run_command: `command` is empty. {}", arguments::usage(&SPEC))));
        }
        if arguments.command.len() > MAX_COMMAND || arguments.command.contains('\0') {
            let text = format!(
                "run_command: the command line is longer than {MAX_COMMAND} bytes or holds a NUL; put it into a file \
                 and run that"
            );
            return Err(ToolError::ForModel(text));
        }
        let asked = arguments.timeout_ms.map(|ms| Duration::from_millis(ms.max(1)));
        let limit = asked.unwrap_or(context.limits.command).min(MAX_TIMEOUT);
        let summary = format!("Run `{}`", brief(&arguments.command));
        let call = CommandCall::new(arguments.command, cwd);
        let (told, context) = (call.clone(), context.clone());
        let mut planned = Planned::future(Effect::writes(Scope::Everything), summary, move |cancel| {
            Box::pin(async move {
                let wanted = Wanted { line: told.line.clone(), cwd: told.cwd.clone(), limit };
                commands.run(&context, &wanted, &cancel, &|printed| told.tell(printed)).await
            })
        });
        planned.command = Some(call);
        // The command is ended by its own limit, which leaves time to end it and to read what it printed.
        Ok(planned.within(limit + WIND_UP))
    }
}
