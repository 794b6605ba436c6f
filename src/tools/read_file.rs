//! `read_file`: a file's text as the run sees it, with line numbers.

use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::Deserialize;

use super::arguments;
use super::cache::Depends;
use super::output::{Excerpt, Report};
use super::pattern::brief;
use super::quote;
use super::tool::{Effect, Planned, Scope, Tool, ToolContext, ToolError, ToolResult};
use crate::llm::types::ToolSpec;
use crate::paths::WsPath;
use crate::workspace::{Body, Look};

/// Lines shown if the model does not say how many: about what fits the cap of a result.
const DEFAULT_LIMIT: u64 = 1_000;

/// Reads a text file as it is in the editor now, unsaved changes and your own edits included. Each line comes after
/// its number and a tab, which are not part of the file. Read before you edit.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// Path of the file, relative to the workspace root.
    path: String,
    /// First line to read, from 1. Default: 1.
    offset: Option<u64>,
    /// Number of lines to read. Default: 1000.
    limit: Option<u64>,
}

static SPEC: LazyLock<ToolSpec> = LazyLock::new(|| arguments::spec::<Arguments>("read_file"));

/// The tool.
pub struct ReadFile;

impl Tool for ReadFile {
    fn spec(&self) -> ToolSpec {
        SPEC.clone()
    }

    fn plan(&self, context: &ToolContext, arguments: &str) -> Result<Planned, ToolError> {
        let arguments: Arguments = arguments::parse(&SPEC, arguments)?;
        let path = context.workspace.roots().resolve(&arguments.path)?;
        let first = arguments.offset.unwrap_or(1).max(1);
        let summary = match (arguments.offset, arguments.limit) {
            (None, None) => format!("Read {}", brief(&path.to_string())),
            _ => format!("Read {}, from line {first}", brief(&path.to_string())),
        };
        Ok(lines(context, path, first, arguments.limit, summary))
    }
}

/// The call that shows lines of a file from `first`, counted from 1.
pub(super) fn lines(context: &ToolContext, path: WsPath, first: u64, limit: Option<u64>, summary: String) -> Planned {
    let limit = limit.unwrap_or(DEFAULT_LIMIT).max(1);
    let key = format!("{:?} {first} {limit}", path.absolute());
    let (inner, file) = (context.clone(), path.clone());
    let planned = Planned::blocking(Effect::reads(Scope::File(path.clone())), summary, move |_| {
        read(&inner, &file, first, limit)
    });
    planned.remembered(context, SPEC.name, key, vec![Depends::File(path)])
}

fn read(context: &ToolContext, path: &WsPath, first: u64, limit: u64) -> ToolResult {
    let view = context.workspace.glance(Some(&context.run), path)?;
    let mut report = Report::new(context.limits.output);
    let total = match &view.text {
        Body::Rope(text) => quote::count(text),
        Body::Plain(text) => quote::count_plain(text),
    };
    let start = usize::try_from(first - 1).unwrap_or(usize::MAX);
    let end = start.saturating_add(usize::try_from(limit).unwrap_or(usize::MAX)).min(total);
    let mut lines = start.min(total)..start.min(total);
    if total == 0 {
        report.note(format_args!("[the file is empty]"));
    } else if start >= total {
        report.note(format_args!("[line {first} is past the end: the file has {total} lines]"));
    } else {
        let shown = match &view.text {
            Body::Rope(text) => quote::add(&mut report, text, start..end),
            Body::Plain(text) => quote::add_plain(&mut report, text, start..end),
        };
        let last = start + shown;
        lines.end = last;
        if shown == 0 {
            report.cut(format_args!("[line {first} of {total} alone is too long for a result; use grep on it]"));
        } else if last < total {
            report.cut(format_args!("[lines {first} to {last} of {total}; go on with offset {}]", last + 1));
        } else {
            report.note(format_args!("[end of the file: {total} lines]"));
        }
    }
    if let Some(note) = view.note {
        report.note(format_args!("[{note}]"));
    }
    let look = Look { seen: view.seen, note: view.note };
    let excerpt = Excerpt { path: view.path, lines, total, limit, bytes: report.bytes(), look };
    Ok(report.finish().showing(excerpt))
}
