//! `ropeway config`: what is in force and where from, and what is wrong with a file.

use std::io::{self, Write};
use std::path::Path;

use anyhow::Context;

use super::args::ConfigCommand;
use super::terminal::{Ink, Style};
use super::{DONE, FAILED, complain, current_dir, sources};
use crate::config::{EnvSnapshot, Layer, Problem, Severity, check_file, load, project_schema, schema};

pub(super) fn config(command: &ConfigCommand, env: EnvSnapshot) -> anyhow::Result<u8> {
    match command {
        ConfigCommand::Show => show(env),
        ConfigCommand::Check { file: Some(file) } => check_named(file, &env),
        ConfigCommand::Check { file: None } => check_all(env),
        ConfigCommand::Schema { project: false } => print_schema(&schema()),
        ConfigCommand::Schema { project: true } => print_schema(&project_schema()),
    }
}

fn print_schema(schema: &serde_json::Value) -> anyhow::Result<u8> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    serde_json::to_writer_pretty(&mut out, schema)?;
    writeln!(out)?;
    out.flush()?;
    Ok(DONE)
}

/// One line for each key: `key = value  # origin`. Problems go to standard error, so that the lines stay TOML.
fn show(env: EnvSnapshot) -> anyhow::Result<u8> {
    let loaded = load(&sources(env));
    let style = Style::stdout();
    let entries = loaded.config.entries();
    let width = entries.iter().map(|entry| entry.line().chars().count()).max().unwrap_or(0).min(60);
    let mut out = io::BufWriter::new(io::stdout().lock());
    for entry in &entries {
        // What somebody has set stands out.
        let ink = if entry.origin.layer == Layer::Default { Ink::Dim } else { Ink::Place };
        let (line, places) = (entry.line(), entry.places());
        writeln!(out, "{:width$}  {}", style.clean(&line), style.paint(ink, &format!("# {}", style.clean(&places))))?;
    }
    for (name, value, origin) in loaded.config.switches() {
        writeln!(out, "# {name} = {value}  # {origin}")?;
    }
    if let Some(reason) = &loaded.config.model_missing {
        writeln!(out, "# model: {reason}")?;
    }
    out.flush()?;
    drop(out);
    // Last, where they are seen.
    let style = Style::stderr();
    for problem in loaded.problems.iter() {
        complain(&line(problem, style));
    }
    Ok(DONE)
}

fn check_named(file: &Path, env: &EnvSnapshot) -> anyhow::Result<u8> {
    std::fs::metadata(file).with_context(|| format!("cannot check {}", file.display()))?;
    report(&check_file(file, env), &[file])
}

/// Everything that has a say here, also the environment.
fn check_all(env: EnvSnapshot) -> anyhow::Result<u8> {
    let project = current_dir()?.join("ropeway.toml");
    let user = env.user_file();
    let present: Vec<&Path> =
        user.as_deref().into_iter().chain([project.as_path()]).filter(|path| path.exists()).collect();
    report(&load(&sources(env)).problems, &present)
}

/// `place: severity: message`.
fn line(problem: &Problem, style: Style) -> String {
    let (severity, ink) = match problem.severity {
        Severity::Warning => ("warning", Ink::You),
        Severity::Error => ("error", Ink::Bad),
    };
    let (place, message) = (problem.origin.to_string(), style.clean(&problem.message));
    format!("{}: {}: {message}", style.paint(Ink::Bold, &style.clean(&place)), style.paint(ink, severity))
}

/// Prints the problems; the code is 1 if one is an error.
fn report(problems: &[Problem], files: &[&Path]) -> anyhow::Result<u8> {
    let style = Style::stdout();
    let mut out = io::BufWriter::new(io::stdout().lock());
    for problem in problems {
        writeln!(out, "{}", line(problem, style))?;
    }
    for file in files {
        if problems.iter().all(|problem| problem.origin.file.as_deref() != Some(file)) {
            writeln!(out, "{}: no problems", file.display())?;
        }
    }
    if files.is_empty() && problems.is_empty() {
        writeln!(out, "there is no configuration file; the defaults are in force")?;
    }
    out.flush()?;
    let bad = problems.iter().any(|problem| problem.severity == Severity::Error);
    Ok(if bad { FAILED } else { DONE })
}
