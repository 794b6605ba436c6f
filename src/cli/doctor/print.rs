//! The doctor's report for people.

use std::io::{self, Write};

use super::{FileReport, Key, ProviderReport, Report};
use crate::config::Severity;
use crate::tools::sandbox::{Level, Support};

#[derive(Clone, Copy)]
enum Mark {
    Good,
    Bad,
    Neutral,
}

struct Page<'w, W> {
    out: &'w mut W,
    coloured: bool,
}

impl<W: Write> Page<'_, W> {
    fn head(&mut self, text: &str) -> io::Result<()> {
        if self.coloured { writeln!(self.out, "\n\x1b[1m{text}\x1b[0m") } else { writeln!(self.out, "\n{text}") }
    }

    fn line(&mut self, mark: Mark, text: &str) -> io::Result<()> {
        let (sign, colour) = match mark {
            Mark::Good => ("ok", "32"),
            Mark::Bad => ("!!", "31"),
            Mark::Neutral => ("--", "2"),
        };
        if self.coloured {
            writeln!(self.out, "  \x1b[{colour}m{sign}\x1b[0m  {text}")
        } else {
            writeln!(self.out, "  {sign}  {text}")
        }
    }
}

pub(super) fn report(out: &mut impl Write, report: &Report, coloured: bool) -> io::Result<()> {
    writeln!(out, "ropeway {} ({}, {})", report.version, report.build, report.platform)?;
    write!(out, "talks to providers of kind {}", report.protocols.join(", "))?;
    match &report.left_out[..] {
        [] => writeln!(out)?,
        kinds => writeln!(out, "; built without {}, which `--features` adds", kinds.join(", "))?,
    }
    match report.grammars.join(", ") {
        none if none.is_empty() => writeln!(out, "built without grammars: no outlines, no check of an edit's syntax")?,
        known => writeln!(out, "has grammars for {known}")?,
    }
    let mut page = Page { out, coloured };
    page.head("Model")?;
    let name = report.model.id.as_deref().unwrap_or("none selected");
    let origin = report.model.origin.as_ref().map(|origin| format!(" ({origin})")).unwrap_or_default();
    match &report.model.reason {
        None => page.line(Mark::Good, &format!("{name}{origin} can run"))?,
        Some(reason) => page.line(Mark::Bad, &format!("{name}{origin} cannot run: {reason}"))?,
    }
    if let Some(unknown) = &report.model.unknown {
        page.line(Mark::Neutral, unknown)?;
    }
    page.head("Providers")?;
    let wanted = report.model.id.as_deref().and_then(|id| id.split_once('/')).map(|(provider, _)| provider);
    for provider in &report.providers {
        let (mark, text) = provider_line(provider);
        // That a server nobody asked for is not there, such as the built-in Ollama, is no fault.
        let missed = matches!(mark, Mark::Bad) && wanted != Some(provider.name.as_str());
        page.line(if missed { Mark::Neutral } else { mark }, &text)?;
    }
    page.head("Configuration")?;
    if report.files.is_empty() {
        page.line(Mark::Neutral, "no place for a configuration file: neither ROPEWAY_CONFIG nor a home is set")?;
    }
    for file in &report.files {
        let (mark, text) = file_line(file);
        page.line(mark, &text)?;
    }
    for problem in &report.problems {
        let mark = if problem.severity == Severity::Error { Mark::Bad } else { Mark::Neutral };
        page.line(mark, &format!("{}: {}", problem.place, problem.message))?;
    }
    match &report.state_dir {
        Some(dir) => page.line(Mark::Neutral, &format!("reports and answers go to {}", dir.display()))?,
        None => page.line(Mark::Bad, "no place for reports and answers; set ROPEWAY_STATE_DIR")?,
    }
    page.head("Commands")?;
    let (mark, text) = sandbox_line(&report.sandbox);
    page.line(mark, &text)
}

fn sandbox_line(support: &Support) -> (Mark, String) {
    let Support { level, overlay, reason, mend } = support;
    let mut text = format!("sandbox {level}: {}", level.meaning());
    if !overlay {
        text.push_str("; the workspace is copied for them, because no overlay can be made");
    }
    for (word, why) in [("why", reason), ("mend", mend)] {
        if let Some(why) = why {
            text.push_str(&format!("; {word}: {why}"));
        }
    }
    let mark = match level {
        Level::Full => Mark::Good,
        Level::Partial => Mark::Neutral,
        Level::None => Mark::Bad,
    };
    (mark, text)
}

fn provider_line(provider: &ProviderReport) -> (Mark, String) {
    let ProviderReport { name, base_url, .. } = provider;
    let key = match (&provider.key_variable, provider.key) {
        (Some(variable), Key::Present) => format!("key in {variable}"),
        (Some(variable), _) => format!("{variable} not set"),
        (None, _) => "needs no key".to_owned(),
    };
    let time = provider.ms.map(|ms| format!(" after {ms} ms")).unwrap_or_default();
    match (&provider.not_ready, provider.reachable) {
        (Some(reason), _) => (Mark::Neutral, format!("{name}: {reason}")),
        (None, Some(false)) => {
            let why = provider.error.as_deref().unwrap_or("no answer");
            (Mark::Bad, format!("{name}: {key}; {base_url} cannot be reached{time}: {why}"))
        }
        (None, Some(true)) => (Mark::Good, format!("{name}: {key}; {base_url} answers{time}")),
        (None, None) => (Mark::Neutral, format!("{name}: {key}; {base_url} was not asked")),
    }
}

fn file_line(file: &FileReport) -> (Mark, String) {
    let place = format!("{} {}", file.layer, file.path.display());
    let plural = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
    match (file.present, file.errors, file.warnings) {
        (false, 0, _) => (Mark::Neutral, format!("{place}: none")),
        (_, 0, 0) => (Mark::Good, format!("{place}: no problems")),
        (_, 0, warnings) => (Mark::Neutral, format!("{place}: {}", plural(warnings, "warning"))),
        (_, errors, 0) => (Mark::Bad, format!("{place}: {}", plural(errors, "error"))),
        (_, errors, warnings) => {
            (Mark::Bad, format!("{place}: {} and {}", plural(errors, "error"), plural(warnings, "warning")))
        }
    }
}
