//! `ropeway run`: one run of the agent over a directory, for people and for scripts.
//!
//! The run is always made in mode `preview`, so that nothing is written while the model works. What it staged is shown
//! as a diff; with `--apply` it is then accepted, which writes all of it or nothing.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::args::RunArgs;
use super::headless::Headless;
use super::terminal::{Ink, Style};
use super::{CANCELLED, DONE, FAILED, USAGE, complain, current_dir, interrupted};
use crate::agent::budget::ledger::Ledger;
use crate::agent::order::Order;
use crate::agent::outcome::{Outcome, Status};
use crate::agent::record;
use crate::agent::runs::Runs;
use crate::agent::services::Services;
use crate::config::{ConfigStore, EnvSnapshot, Overrides, Severity, Sources};
use crate::disk::{Disk, DiskLimits};
use crate::host::Host;
use crate::llm::client::{Client, ClientSettings};
use crate::paths::{Root, Roots};
use crate::text::{Encoding, Position, Range, diff};
use crate::tokens::counter::{Counter, REMEMBERED};
use crate::tools::cache::ResultStore;
use crate::tools::diagnostics::Diagnostics;
use crate::tools::kept::Lists;
use crate::tools::registry::Registry;
use crate::tools::sandbox::Sandbox;
use crate::tools::scheduler::Scheduler;
use crate::workspace::{StagedFile, StagedKind, Workspace};

/// Bytes of a prompt from standard input at most.
const PROMPT_MAX: u64 = 1 << 20;
/// How long a cancelled run may take to end.
const GRACE: Duration = Duration::from_secs(5);
/// How long the recorder may take to write what it has left.
const LAST_RECORDS: Duration = Duration::from_secs(2);
/// Common lines around each change of the diff.
const CONTEXT: usize = 3;

/// What is wrong with how it was called: told, with exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Usage(String);

/// Does one run.
pub(super) fn run(args: &RunArgs, env: EnvSnapshot) -> Result<u8> {
    match prepare(args, env) {
        Ok((runs, order)) => {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            let code = runtime.block_on(carry_out(args, &runs, order));
            runs.services().ledger.write();
            runs.services().recorder.close(LAST_RECORDS);
            // A question on the terminal that nobody answered must not keep the program.
            runtime.shutdown_background();
            code
        }
        Err(error) if error.is::<Usage>() => {
            complain(&error.to_string());
            Ok(USAGE)
        }
        Err(error) => Err(error),
    }
}

fn prepare(args: &RunArgs, env: EnvSnapshot) -> Result<(Arc<Runs>, Order)> {
    let directory = current_dir()?.join(&args.directory);
    let root = Root::open("", &directory).map_err(|error| Usage(error.to_string()))?;
    let roots = Roots::new(vec![root]);
    let order = order(args, &roots)?;

    let overrides = Overrides { model: args.model.clone(), ..Overrides::default() };
    let state_dir = env.state_dir();
    let client_settings = Some(json!({"edits": {"mode": "preview"}}));
    let mut sources = Sources { env, overrides, client_settings, ..Sources::default() };
    sources.set_roots([&directory]);
    let sandbox = Sandbox::new(&sources.env);
    let config = ConfigStore::new(sources);
    for problem in config.loaded().problems.iter().filter(|problem| problem.severity >= Severity::Warning) {
        complain(&problem.to_string());
    }
    let settings = config.current();

    let disk = Arc::new(Disk::new(DiskLimits::default()));
    let workspace = Workspace::new(disk.clone());
    workspace.set_roots(roots.clone());
    let host: Arc<dyn Host> = Arc::new(Headless::new(disk, roots.clone()));
    let about = record::about(env!("CARGO_PKG_VERSION"), &roots, Some("ropeway run".into()));
    let services = Services {
        recorder: record::recorder(&settings, state_dir.as_deref(), about, &host, workspace.metrics()),
        llm: Client::new(ClientSettings { metrics: workspace.metrics().clone(), ..(&*settings).into() }),
        registry: Registry::builtin(),
        scheduler: Scheduler::new(settings.tools.parallel()),
        results: ResultStore::new(),
        lists: Lists::default(),
        outlines: Arc::default(),
        parses: Arc::default(),
        sandbox,
        diagnostics: Arc::new(Diagnostics::new()),
        host,
        counter: Counter::new(REMEMBERED),
        calibration: Arc::default(),
        ledger: Ledger::new(state_dir),
        metrics: workspace.metrics().clone(),
        workspace,
        trusted: settings.trusted,
        playback: None,
        config: Arc::new(config),
    };
    services.follow(&settings);
    Ok((Runs::new(services), order))
}

/// What is asked for, from the arguments and perhaps standard input.
fn order(args: &RunArgs, roots: &Roots) -> Result<Order> {
    let prompt = match args.prompt.as_deref() {
        Some("-") => read_prompt()?,
        given => given.unwrap_or_default().to_owned(),
    };
    if prompt.trim().is_empty() && matches!(&*args.action, "task" | "edit" | "fix") {
        return Err(Usage("say what is to be done: ropeway run \"…\"".into()).into());
    }
    let (mut uri, mut range) = (None, None);
    if let Some(at) = &args.at {
        let is_file = |name: &str| roots.resolve(name).is_ok_and(|path| path.absolute().is_file());
        let (name, lines) = place(at, is_file)?;
        let path = roots.resolve(name).map_err(|error| Usage(error.to_string()))?;
        if !is_file(name) {
            return Err(Usage(format!("`{path}` is not a file; write --at FILE[:LINE[-LINE]]")).into());
        }
        uri = Some(path.uri());
        range = lines;
    }
    let diagnostics = match (&*args.action, range) {
        // What an editor would know from a compiler is what the user says here.
        ("fix", _) => vec![problem(&prompt, range.unwrap_or_default())],
        _ => Vec::new(),
    };
    let action = args.action.clone();
    Ok(Order { action, uri, range, encoding: Encoding::Utf8, prompt, diagnostics, thread: None, model: None })
}

fn problem(prompt: &str, range: Range) -> Value {
    json!({"range": range, "severity": 1, "message": prompt})
}

fn read_prompt() -> Result<String> {
    let mut bytes = Vec::new();
    io::stdin().lock().take(PROMPT_MAX + 1).read_to_end(&mut bytes).context("standard input cannot be read")?;
    if bytes.len() as u64 > PROMPT_MAX {
        return Err(Usage(format!("the prompt on standard input is longer than {PROMPT_MAX} bytes")).into());
    }
    Ok(String::from_utf8(bytes).map_err(|_| Usage("the prompt on standard input is not UTF-8".into()))?)
}

/// `FILE[:LINE[-LINE]]`, lines from 1. A name that is a file as it stands has no lines behind it.
fn place(at: &str, is_file: impl Fn(&str) -> bool) -> Result<(&str, Option<Range>), Usage> {
    let (name, lines) = match at.rsplit_once(':') {
        Some((name, lines)) if !is_file(at) && lines.starts_with(|ch: char| ch.is_ascii_digit()) => (name, lines),
        _ => return Ok((at, None)),
    };
    let odd = || Usage(format!("`{lines}` are no lines; write for example --at {name}:10 or --at {name}:10-20"));
    let number = |text: &str| text.parse::<u32>().ok().filter(|number| *number > 0).ok_or_else(odd);
    let (first, last) = match lines.split_once('-') {
        Some((first, last)) => (number(first)?, Some(number(last)?)),
        None => (number(lines)?, None),
    };
    if last.is_some_and(|last| last < first) {
        return Err(odd());
    }
    let start = Position { line: first - 1, character: 0 };
    // Whole lines are selected up to the start of the line behind them; one line alone is a cursor.
    let end = last.map_or(start, |last| Position { line: last, character: 0 });
    Ok((name, Some(Range { start, end })))
}

async fn carry_out(args: &RunArgs, runs: &Arc<Runs>, order: Order) -> Result<u8> {
    let started = match runs.start(order) {
        Ok(started) => started,
        Err(error) => {
            complain(&error.to_string());
            return Ok(USAGE);
        }
    };
    let run = started.run.clone();
    let ended = started.outcome();
    tokio::pin!(ended);
    let outcome = tokio::select! {
        outcome = &mut ended => outcome,
        () = interrupted() => {
            runs.cancel(None);
            tokio::time::timeout(GRACE, ended).await.ok().flatten()
        }
    };
    // Only a run that does not even end when it is cancelled has none.
    let Some(outcome) = outcome else { return Ok(CANCELLED) };
    let mut outcome = (*outcome).clone();
    let staged = runs.services().workspace.staged(&run);
    if outcome.status == Status::Proposed && args.apply {
        outcome = runs.accept(run, None).await?;
    }
    print(args, &outcome, &staged)?;
    runs.shut_down(GRACE).await;
    Ok(match outcome.status {
        Status::Applied | Status::Proposed | Status::Answered | Status::Unchanged => DONE,
        Status::Conflict | Status::Unknown | Status::Failed => FAILED,
        Status::Cancelled => CANCELLED,
    })
}

/// The answer and the diff to standard output, or the outcome; what went wrong to standard error.
fn print(args: &RunArgs, outcome: &Outcome, staged: &[StagedFile]) -> Result<()> {
    let mut out = io::stdout().lock();
    if args.json {
        writeln!(out, "{}", serde_json::to_string(outcome)?)?;
    } else {
        let style = Style::stdout();
        let answer = outcome.answer.trim();
        if !answer.is_empty() {
            writeln!(out, "{}", style.clean(answer))?;
        }
        if matches!(outcome.status, Status::Proposed | Status::Applied | Status::Conflict) {
            let patch: String = staged.iter().map(patch).collect();
            write!(out, "{}{}", if answer.is_empty() || patch.is_empty() { "" } else { "\n" }, style.diff(&patch))?;
        }
    }
    out.flush()?;
    let style = Style::stderr();
    if let Some(error) = &outcome.error {
        complain(&style.clean(&error.message));
        if !error.hint.is_empty() {
            complain(&style.paint(Ink::Place, &format!("hint: {}", style.clean(&error.hint))));
        }
    } else if outcome.status == Status::Applied && style.is_terminal() {
        let files = outcome.files.iter().filter(|file| file.edits > 0).count();
        let what = if files == 1 { "1 file is written".to_owned() } else { format!("{files} files are written") };
        writeln!(io::stderr(), "{} {what}", style.paint(Ink::Bold, "▪"))?;
    } else if outcome.status == Status::Conflict {
        complain("parts of the change were left out, because the files changed meanwhile; start it again for those");
    } else if outcome.status == Status::Cancelled {
        complain("cancelled; nothing was written");
    }
    Ok(())
}

/// One file's change as `git apply` and `patch` take it.
pub(super) fn patch(file: &StagedFile) -> String {
    let name = file.path.rel();
    let unified = |before, after| diff::unified_file(before, after, name, CONTEXT, usize::MAX);
    match &file.kind {
        StagedKind::Edited => unified(Some(&file.before), Some(&file.after)),
        StagedKind::Created => unified(None, Some(&file.after)),
        StagedKind::Deleted => unified(Some(&file.before), None),
        StagedKind::Renamed { from } => {
            let mut patch = String::new();
            let from = from.rel();
            let _ = write!(patch, "diff --git a/{from} b/{name}\nrename from {from}\nrename to {name}\n");
            patch
                + &unified(Some(&file.before), Some(&file.after)).replacen(
                    &format!("--- a/{name}"),
                    &format!("--- a/{from}"),
                    1,
                )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(at: &str) -> Result<(String, Option<(u32, u32)>), String> {
        let place = place(at, |name| name == "odd:7").map_err(|error| error.to_string())?;
        Ok((place.0.to_owned(), place.1.map(|range| (range.start.line, range.end.line))))
    }

    #[test]
    fn a_place_is_a_file_and_perhaps_lines() {
        assert_eq!(lines("src/a.rs"), Ok(("src/a.rs".into(), None)));
        assert_eq!(lines("src/a.rs:10"), Ok(("src/a.rs".into(), Some((9, 9)))));
        assert_eq!(lines("src/a.rs:10-12"), Ok(("src/a.rs".into(), Some((9, 12)))));
        assert_eq!(lines("odd:7"), Ok(("odd:7".into(), None)));
        assert_eq!(lines(r"C:\a.rs"), Ok((r"C:\a.rs".into(), None)));
        assert_eq!(lines(r"C:\a.rs:3"), Ok((r"C:\a.rs".into(), Some((2, 2)))));
    }

    #[test]
    fn odd_lines_are_told() {
        for at in ["a:0", "a:3-2", "a:1-", "a:1-x", "a:99999999999", "a:1-2-3"] {
            assert!(lines(at).unwrap_err().contains("--at a:10"), "{at}");
        }
    }
}
