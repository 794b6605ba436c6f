//! The list of recorded runs.

use std::io::{self, Write};

use anyhow::Result;
use serde::Serialize;

use super::super::terminal::{Ink, Style, visible};
use super::super::{DONE, complain};
use super::line;
use super::when::{date, dollars};
use crate::ids::ThreadId;
use crate::trajectory::read::{RunHead, Store};
use crate::trajectory::record::Decision;

/// Columns of a title.
const TITLE: usize = 44;
/// Columns of a model's name.
const MODEL: usize = 28;

/// A run, for machines.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    thread_id: Option<&'a str>,
    session: &'a str,
    action: &'a str,
    title: &'a str,
    model: &'a str,
    /// Milliseconds since 1970.
    started: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<u64>,
    status: &'a str,
    live: bool,
    steps: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost_usd: Option<f64>,
    files: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<&'a str>,
}

/// Prints the runs, newest first.
pub(super) fn list(store: Option<&Store>, json: bool, nothing: &str) -> Result<u8> {
    let runs = store.map(Store::runs).transpose()?.unwrap_or_default();
    let mut out = io::BufWriter::new(io::stdout().lock());
    if json {
        let rows: Vec<Row<'_>> = runs.iter().map(row).collect();
        serde_json::to_writer_pretty(&mut out, &rows)?;
        writeln!(out)?;
    } else if runs.is_empty() {
        complain(nothing);
    } else {
        print(&mut out, &runs, Style::stdout())?;
    }
    out.flush()?;
    Ok(DONE)
}

/// How it ended, in one word.
pub(super) fn status(run: &RunHead) -> &str {
    match &run.status {
        Some(status) => status,
        None if run.live => "running",
        None => "cut off",
    }
}

/// What became of it, in one word: what was decided about it last, else how it ended.
fn fate(run: &RunHead) -> &str {
    match run.decided.last() {
        Some(Decision::Accept) => "accepted",
        Some(Decision::Reject) => "rejected",
        Some(Decision::Revert) => "reverted",
        Some(Decision::Discard) => "discarded",
        Some(Decision::Restore) => "restored",
        None => status(run),
    }
}

/// What it cost, if that is known.
pub(super) fn cost(run: &RunHead) -> Option<f64> {
    run.usage.get("costUsd").and_then(serde_json::Value::as_f64)
}

fn row(run: &RunHead) -> Row<'_> {
    Row {
        id: &run.run,
        thread_id: run.thread.as_ref().map(ThreadId::as_str),
        session: &run.session,
        action: &run.action,
        title: &run.title,
        model: &run.model,
        started: run.started_unix_us / 1000,
        ended: run.ended_unix_us.map(|us| us / 1000),
        status: status(run),
        live: run.live,
        steps: run.steps,
        cost_usd: cost(run),
        files: &run.files,
        problem: run.problem.as_deref(),
    }
}

fn print(out: &mut impl Write, runs: &[RunHead], style: Style) -> io::Result<()> {
    let width = |of: &dyn Fn(&RunHead) -> String, least: usize| {
        runs.iter().map(|run| of(run).chars().count()).max().unwrap_or_default().max(least)
    };
    let id = |run: &RunHead| line(&run.run, 64);
    let title = |run: &RunHead| line(&run.title, TITLE);
    let model = |run: &RunHead| line(&run.model, MODEL);
    let (ids, titles, models) = (width(&id, 2), width(&title, 5), width(&model, 5));
    let head = format!(
        "{:ids$}  {:19}  {:titles$}  {:models$}  {:9}  {:>5}  {:>8}  {:>5}",
        "ID", "WHEN (UTC)", "TITLE", "MODEL", "STATUS", "STEPS", "COST", "FILES"
    );
    writeln!(out, "{}", style.paint(Ink::Dim, head.trim_end()))?;
    for run in runs {
        let status = line(fate(run), 9);
        let ink = match &*status {
            "applied" | "accepted" | "answered" | "proposed" => Ink::Good,
            "failed" | "conflict" | "cut off" => Ink::Bad,
            "running" => Ink::You,
            _ => Ink::Plain,
        };
        writeln!(
            out,
            "{:ids$}  {}  {:titles$}  {:models$}  {}  {:>5}  {:>8}  {:>5}{}",
            id(run),
            date(run.started_unix_us),
            title(run),
            model(run),
            style.paint(ink, &format!("{status:9}")),
            run.steps,
            cost(run).map(dollars).unwrap_or_default(),
            run.files.len(),
            run.problem.as_deref().map(|problem| format!("  ({})", visible(&line(problem, 100)))).unwrap_or_default()
        )?;
    }
    Ok(())
}
