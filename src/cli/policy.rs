//! `ropeway policy`: what the approval policy says of a call, and what was allowed for good.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::args::PolicyCommand;
use super::{DONE, FAILED, USAGE, complain, current_dir, sources};
use crate::config::{EnvSnapshot, Severity, load};
use crate::disk::{Disk, DiskLimits};
use crate::ids::RunId;
use crate::paths::{Root, Roots};
use crate::syntax::Parses;
use crate::tools::cache::ResultStore;
use crate::tools::command::{Line, Programs, show};
use crate::tools::diagnostics::Diagnostics;
use crate::tools::grep::Together;
use crate::tools::kept::Lists;
use crate::tools::policy::{self, Assessment, Command, Policy, Remembered, Verdict};
use crate::tools::registry::Registry;
use crate::tools::run_command::RunCommand;
use crate::tools::sandbox::{Commands, Sandbox};
use crate::tools::tool::{Planned, Tool, ToolContext, ToolError, ToolLimits};
use crate::workspace::Workspace;

pub(super) fn policy(command: &PolicyCommand, env: EnvSnapshot) -> anyhow::Result<u8> {
    match command {
        PolicyCommand::Check { json, tool, arguments } => check(env, tool, arguments, *json),
        PolicyCommand::List { json } => list(&Remembered::of(&env), *json),
        PolicyCommand::Forget { id: Some(id), .. } => match told(Remembered::of(&env).remove(id))? {
            true => Ok(DONE),
            false => {
                complain(&format!("nothing that was allowed is named {}; see ropeway policy list", show::visible(id)));
                Ok(FAILED)
            }
        },
        PolicyCommand::Forget { id: None, .. } => {
            told(Remembered::of(&env).clear())?;
            Ok(DONE)
        }
    }
}

fn told<T>(result: Result<T, String>) -> anyhow::Result<T> {
    result.map_err(anyhow::Error::msg)
}

/// Judges a call in the current directory. Runs nothing.
fn check(env: EnvSnapshot, tool: &str, arguments: &str, json: bool) -> anyhow::Result<u8> {
    let directory = current_dir()?;
    let root = Root::open("", &directory)?;
    let workspace = Workspace::new(Arc::new(Disk::new(DiskLimits::default())));
    workspace.set_roots(Roots::new(vec![root]));
    let loaded = load(&sources(env.clone()));
    for problem in loaded.problems.iter().filter(|problem| problem.severity >= Severity::Warning) {
        complain(&problem.to_string());
    }
    let config = loaded.config;
    let sandbox = Sandbox::new(&env);
    let context = ToolContext {
        workspace,
        run: RunId::from("check"),
        limits: ToolLimits::of(&config.tools),
        diagnostics: Arc::new(Diagnostics::new()),
        parses: Arc::new(Parses::new()),
        denied: policy::denied(&config.permissions).into(),
        commands: Some(Commands::new(sandbox.clone(), false)),
        results: ResultStore::new().for_run(Duration::ZERO, String::new(), Arc::new(|_| None)),
        lists: Lists::default(),
        together: Together::never(),
        on_staged: Arc::new(|_| {}),
    };
    let planned = match plan(&context, tool, arguments) {
        Ok(planned) => planned,
        Err(error) => {
            complain(&show::visible(&error.to_string()));
            return Ok(USAGE);
        }
    };
    let programs = Programs::new(env.os("PATH"));
    let level = || sandbox.support().level;
    let judge =
        Policy { permissions: &config.permissions, programs: &programs, level: &level, trusted: config.trusted };
    let command = planned.command.as_ref().map(|call| Command { line: &call.line, cwd: &call.cwd });
    let mut found = judge.assess(tool, &planned.effect, command);
    if let (Verdict::Ask, Some(lasting)) = (found.verdict, &found.lasting) {
        match Remembered::of(&env).holds(lasting) {
            Ok(true) => {
                found.verdict = Verdict::Allow;
                "you have allowed it always".clone_into(&mut found.reason);
            }
            Ok(false) => {}
            Err(why) => complain(&why),
        }
    }
    let mut out = io::BufWriter::new(io::stdout().lock());
    if json {
        serde_json::to_writer_pretty(&mut out, &found)?;
        writeln!(out)?;
    } else {
        print(&mut out, &found, command)?;
    }
    out.flush()?;
    Ok(DONE)
}

fn plan(context: &ToolContext, tool: &str, arguments: &str) -> Result<Planned, ToolError> {
    if tool == "run_command" {
        return RunCommand.plan(context, arguments);
    }
    Registry::builtin().select(None, &[]).get(tool)?.plan(context, arguments)
}

fn print(out: &mut impl Write, found: &Assessment, command: Option<Command<'_>>) -> io::Result<()> {
    writeln!(out, "{}: {}", found.verdict.word(), found.reason)?;
    if let Some(rule) = &found.rule {
        writeln!(out, "rule: {}", show::visible(rule))?;
    }
    if let Some(command) = command {
        match Line::read(command.line).simple {
            Ok(simple) => writeln!(out, "read as: {}", show::line(&simple))?,
            Err(why) => writeln!(out, "not read as plain commands ({why}): {}", show::visible(command.line))?,
        }
    }
    for part in &found.parts {
        writeln!(out, "  {:5}  {}  ({})", part.verdict.word(), part.text, part.reason)?;
    }
    Ok(())
}

/// What was allowed for good, a line each: its name, the folder, the command.
fn list(remembered: &Remembered, json: bool) -> anyhow::Result<u8> {
    #[derive(Serialize)]
    struct Listed<'a> {
        file: Option<std::path::PathBuf>,
        allowed: &'a [policy::remembered::Entry],
    }
    let entries = told(remembered.list())?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    if json {
        serde_json::to_writer_pretty(&mut out, &Listed { file: remembered.path(), allowed: &entries })?;
        writeln!(out)?;
    } else {
        for entry in &entries {
            writeln!(out, "{}  {}  {}", entry.id, entry.folder, entry.command)?;
        }
        if entries.is_empty() {
            writeln!(out, "nothing was allowed for good")?;
        }
    }
    out.flush()?;
    Ok(DONE)
}
