//! From a planned call to one that may run: what the policy says of it, and where that is a question, what the user says.
//!
//! A call on paths is judged when it is planned. A command is judged when its turn to be asked has come: the sandbox's
//! level takes a while to find out, and the search path leads to the disk. Meanwhile it stands in the scheduler behind
//! a gate, so that later calls of the run find the files as they will be after it.

use std::sync::Arc;
use std::time::Instant;

use super::approval::{Answer, Approvals, Good, Matter};
use super::events::Events;
use super::services::Services;
use crate::config::Config;
use crate::ids::RunId;
use crate::paths::WsPath;
use crate::tools::command::{Line, show};
use crate::tools::policy::{Assessment, Command, Policy, Verdict};
use crate::tools::run_command::CommandCall;
use crate::tools::sandbox::{Level, Support};
use crate::tools::scheduler::{Finished, Gate, Submission};
use crate::tools::tool::{Effect, Planned, Scope, ToolError};

/// What stands between a call and its start.
#[derive(Debug)]
pub enum Doubt {
    /// The policy has to be asked, and then perhaps the user.
    Command(Arc<CommandCall>),
    /// The user has to be asked.
    Paths(Assessment),
}

/// Judges the calls of one run.
#[derive(Clone)]
pub struct Permit {
    /// The shared parts.
    pub services: Services,
    /// The configuration that the run keeps.
    pub config: Arc<Config>,
    /// What the user has said so far.
    pub approvals: Approvals,
}

impl Permit {
    /// Refuses what the policy denies; says what has to be cleared before the rest may run.
    pub fn judge(&self, tool: &str, planned: &Planned) -> Result<Option<Doubt>, ToolError> {
        if let Some(call) = &planned.command {
            return Ok(Some(Doubt::Command(call.clone())));
        }
        // Nothing is asked of the sandbox for paths.
        let found = self.policy(&|| Level::None).assess(tool, &planned.effect, None);
        match found.verdict {
            Verdict::Deny => Err(denied(&found)),
            Verdict::Ask if !found.at_delivery => Ok(Some(Doubt::Paths(found))),
            Verdict::Allow | Verdict::Ask => Ok(None),
        }
    }

    /// Whether a file may be read without a question. Looks at the disk.
    pub fn may_read(&self, path: &WsPath) -> bool {
        let effect = Effect::reads(Scope::File(path.clone()));
        self.policy(&|| Level::None).assess("read_file", &effect, None).verdict == Verdict::Allow
    }

    /// Submits a call at once, and has it run when nothing stands in its way any more; else the error says why it did
    /// not run. Nobody is asked before the model has finished speaking, where the call waits for that.
    pub fn run(
        self,
        events: Arc<Events>,
        submission: Submission,
        summary: String,
        doubt: Doubt,
    ) -> impl Future<Output = Result<Finished, ToolError>> + Send + use<> {
        let gate = Gate::new();
        let (run, tool) = (submission.run.clone(), submission.tool.clone());
        let before = submission.gate.clone();
        // Its place among the calls of the run is taken now, whatever the order in which answers come.
        let ticket = self.services.scheduler.submit(Submission { gate: Some(gate.clone()), ..submission });
        async move {
            if let Some(before) = before {
                before.opened().await;
            }
            let asked = Instant::now();
            self.clear(&events, &run, &tool, &summary, doubt).await?;
            let asked = asked.elapsed();
            gate.open();
            let mut finished = ticket.await;
            // The user's time is not the scheduler's.
            finished.waited = finished.waited.saturating_sub(asked);
            Ok(finished)
        }
    }

    async fn clear(
        &self,
        events: &Events,
        run: &RunId,
        tool: &Arc<str>,
        summary: &str,
        doubt: Doubt,
    ) -> Result<(), ToolError> {
        let (found, matter) = match doubt {
            Doubt::Paths(found) => {
                let message = paths_message(summary, &found);
                let matter = Matter { message, key: found.key.clone(), good: Good::Session };
                (found, matter)
            }
            Doubt::Command(call) => {
                let (found, support) = self.assess(tool.clone(), call.clone()).await?;
                match found.verdict {
                    Verdict::Allow => return Ok(()),
                    Verdict::Deny => return Err(denied(&found)),
                    Verdict::Ask => {}
                }
                let good = found.lasting.clone().map_or(Good::Not, Good::Stored);
                let message = command_message(&call, &found, &support);
                let matter = Matter { message, key: found.key.clone(), good };
                (found, matter)
            }
        };
        let why = match &found.rule {
            Some(rule) => format!("rule `{rule}`"),
            None => found.reason.clone(),
        };
        match self.approvals.ask(&*self.services.host, events, run, matter).await {
            Answer::Yes => Ok(()),
            Answer::No => Err(ToolError::ForModel(format!("the user did not allow this call ({why}); do without it"))),
            Answer::NoBefore => Err(ToolError::ForModel(format!(
                "the user has already refused this very call ({why}) and is not asked again; do without it"
            ))),
        }
    }

    /// Judges a command, on a thread that may wait for the disk.
    async fn assess(&self, tool: Arc<str>, call: Arc<CommandCall>) -> Result<(Assessment, Support), ToolError> {
        let permit = self.clone();
        let judged = tokio::task::spawn_blocking(move || {
            let sandbox = &permit.services.sandbox;
            let command = Command { line: &call.line, cwd: &call.cwd };
            let found = permit.policy(&|| sandbox.support().level).assess(&tool, &Default::default(), Some(command));
            let support = sandbox.support().clone();
            (found, support)
        });
        judged.await.map_err(|_| ToolError::for_model("the command could not be judged, so it did not run"))
    }

    fn policy<'a>(&'a self, level: &'a dyn Fn() -> Level) -> Policy<'a> {
        Policy {
            permissions: &self.config.permissions,
            programs: self.approvals.programs(),
            level,
            trusted: self.services.trusted,
        }
    }
}

fn denied(found: &Assessment) -> ToolError {
    let why = match &found.rule {
        Some(rule) => format!("the user's rule `{rule}` forbids this call"),
        None => format!("this call is refused: {}", found.reason),
    };
    ToolError::ForModel(format!("{why}; do without it, or say that you cannot go on"))
}

fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", chars.as_str())
}

/// What the user is asked about a call on paths.
fn paths_message(summary: &str, found: &Assessment) -> String {
    let why = match &found.rule {
        Some(rule) if found.reason == "your rule asks for this" => {
            format!("Your rule `{}` asks for this.", show::visible(rule))
        }
        _ => sentence(&found.reason),
    };
    format!("Ropeway wants to: {}. {why}", show::visible(summary))
}

/// What the user is asked about a command: all of it, put together from what was understood, and how it is kept in.
fn command_message(call: &CommandCall, found: &Assessment, support: &Support) -> String {
    let read = Line::read(&call.line);
    let line = match &read.simple {
        Ok(simple) => show::line(simple),
        Err(_) => show::visible(&call.line),
    };
    let place = match call.cwd.rel() {
        "" => String::new(),
        _ => format!(" in {}", show::visible(&call.cwd.to_string())),
    };
    let why = match &found.rule {
        Some(rule) => format!("{} (`{}`)", found.reason, show::visible(rule)),
        None => found.reason.clone(),
    };
    let why = match &found.parts[..] {
        [_, _, ..] => {
            match found.parts.iter().find(|part| part.verdict == found.verdict && part.reason == found.reason) {
                Some(part) if part.text.len() < line.len() => format!("`{}`: {why}.", part.text),
                _ => sentence(&why),
            }
        }
        _ => sentence(&why),
    };
    let kept = match support.level {
        Level::Full => "Sandbox: full.".to_owned(),
        level => match &support.reason {
            Some(reason) => format!("Sandbox: {level} ({}).", show::visible(reason)),
            None => format!("Sandbox: {level}."),
        },
    };
    format!("Ropeway wants to run{place}: {line} — {why} {kept}")
}

#[cfg(test)]
mod tests;
