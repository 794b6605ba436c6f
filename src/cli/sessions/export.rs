//! A recorded run as one document for other programs.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::json;

use super::super::args::ExportFormat;
use super::super::{DONE, complain};
use super::{list, told};
use crate::agent::report::story;
use crate::report::{chrome, html};
use crate::trajectory::read::{Item, RunHead, Store};
use crate::trajectory::record::SCHEMA;

/// Writes a run in a format.
pub(super) fn export(store: &Store, head: &RunHead, format: ExportFormat, output: Option<&Path>) -> Result<u8> {
    let write = match format {
        ExportFormat::Json => json,
        ExportFormat::Html => page,
        ExportFormat::ChromeTrace => trace,
    };
    match output {
        None => {
            let mut out = io::BufWriter::new(io::stdout().lock());
            write(store, head, &mut out)?;
            out.flush()?;
        }
        Some(path) => {
            let file = private(path).with_context(|| format!("{} cannot be written", path.display()))?;
            let mut out = io::BufWriter::new(file);
            write(store, head, &mut out)?;
            out.flush().with_context(|| format!("{} cannot be written", path.display()))?;
        }
    }
    Ok(DONE)
}

/// A file that only its owner may read: it holds what the run has seen.
fn private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Every record, one a line, in one JSON document.
fn json(store: &Store, head: &RunHead, out: &mut dyn Write) -> Result<()> {
    let run = json!({
        "id": head.run, "threadId": head.thread, "session": head.session, "action": head.action,
        "title": head.title, "model": head.model, "startedUnixUs": head.started_unix_us,
        "endedUnixUs": head.ended_unix_us, "status": list::status(head), "steps": head.steps, "usage": head.usage,
        "files": head.files,
    });
    write!(out, "{{\"schema\":{SCHEMA},\"run\":{run},\n\"records\":[")?;
    let (mut damage, mut first) = (Vec::new(), true);
    for item in store.run(head)? {
        match item {
            Item::Record(record) => {
                out.write_all(if first { b"\n" } else { b",\n" })?;
                serde_json::to_writer(&mut *out, &record)?;
                first = false;
            }
            Item::Damage(found) => damage.push(told(&found)),
        }
    }
    writeln!(out, "\n],\n\"damage\":{}}}", serde_json::to_string(&damage)?)?;
    for found in damage {
        complain(&found);
    }
    Ok(())
}

/// One page with the run's timeline, its tokens and its changes.
fn page(store: &Store, head: &RunHead, out: &mut dyn Write) -> Result<()> {
    Ok(out.write_all(html::page(&story(store, head)?).as_bytes())?)
}

/// What Perfetto and its kind draw.
fn trace(store: &Store, head: &RunHead, out: &mut dyn Write) -> Result<()> {
    Ok(out.write_all(chrome::trace(&story(store, head)?).as_bytes())?)
}
