//! What the editor last said is wrong, and the tool that tells the model.
//!
//! An editor sends diagnostics with a code action, and only those of the place that was asked about; some answer a
//! direct request. What was sent is kept by file until it is replaced. It is the user's other language servers that
//! find these, so their texts are quoted, cut, and never trusted.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use schemars::JsonSchema;
use serde::Deserialize;

use super::arguments;
use super::output::Report;
use super::pattern::brief;
use super::tool::{Effect, Planned, Tool, ToolContext, ToolError, ToolResult};
use super::tree;
use crate::llm::types::ToolSpec;
use crate::paths::{DocKey, WsPath, file_path};
use crate::text::Range;

/// Most files that diagnostics are kept of.
const MAX_FILES: usize = 1_000;

/// Most diagnostics kept of one file.
const MAX_IN_FILE: usize = 500;

/// Most characters kept of one message.
const MAX_MESSAGE: usize = 1_000;

/// How bad it is, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// It does not work.
    Error,
    /// It should not be so.
    Warning,
    /// Something to know.
    Information,
    /// A remark.
    Hint,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Information => "information",
            Self::Hint => "hint",
        })
    }
}

/// One diagnostic, as the editor sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Where, in the client's encoding.
    pub range: Range,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// Who says so.
    pub source: Option<String>,
    /// The rule's name or number.
    pub code: Option<String>,
}

/// The diagnostics of all files.
#[derive(Debug, Default)]
pub struct Diagnostics(Mutex<HashMap<DocKey, File>>);

#[derive(Clone, Debug)]
struct File {
    path: Option<PathBuf>,
    items: Arc<[Diagnostic]>,
}

impl Diagnostics {
    /// Nothing is known.
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces all that is known of a file. What is over the limits is left out, the mildest first.
    pub fn set(&self, uri: &str, items: Vec<Diagnostic>) {
        self.update(uri, |_| items);
    }

    /// Replaces what is known of a part of a file: what touches `range` makes room for `items`.
    pub fn set_in(&self, uri: &str, range: Range, items: Vec<Diagnostic>) {
        self.update(uri, |known| {
            let apart = |item: &&Diagnostic| item.range.end < range.start || range.end < item.range.start;
            let mut all: Vec<Diagnostic> = known.iter().filter(apart).cloned().collect();
            all.retain(|item| !items.contains(item));
            all.extend(items);
            all
        });
    }

    fn update(&self, uri: &str, change: impl FnOnce(&[Diagnostic]) -> Vec<Diagnostic>) {
        let key = DocKey::of_uri(uri);
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut items = change(files.get(&key).map_or(&[], |file| &*file.items));
        items.sort_by_key(|item| (item.severity, item.range.start));
        items.truncate(MAX_IN_FILE);
        for item in &mut items {
            if let Some((end, _)) = item.message.char_indices().nth(MAX_MESSAGE) {
                item.message.truncate(end);
                item.message.push('…');
            }
        }
        items.sort_by_key(|item| (item.range.start, item.severity));
        if items.is_empty() {
            files.remove(&key);
        } else if files.len() < MAX_FILES || files.contains_key(&key) {
            files.insert(key, File { path: file_path(uri), items: items.into() });
        }
    }

    /// What is known of a file, by place.
    pub fn of(&self, uri: &str) -> Arc<[Diagnostic]> {
        self.of_key(&DocKey::of_uri(uri))
    }

    fn of_key(&self, key: &DocKey) -> Arc<[Diagnostic]> {
        let files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        files.get(key).map_or_else(|| Arc::from([]), |file| file.items.clone())
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The files of the workspace that the worst is known of, at most so many.
    pub(super) fn worst(&self, context: &ToolContext, most: usize) -> Vec<WsPath> {
        let mut files = self.in_workspace(context);
        files.sort_by_cached_key(|(_, items)| items.iter().map(|item| item.severity).min());
        files.into_iter().take(most).map(|(path, _)| path).collect()
    }

    /// The files in `roots` that something is known of, by path.
    fn in_workspace(&self, context: &ToolContext) -> Vec<(WsPath, Arc<[Diagnostic]>)> {
        let roots = context.workspace.roots();
        let files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let placed = |file: &File| Some((roots.of(file.path.as_deref()?)?, file.items.clone()));
        let mut all: Vec<_> = files.values().filter_map(placed).collect();
        drop(files);
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        all
    }
}

/// Shows the errors and warnings that the editor last reported, of one file, of a folder, or of all files.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// Path of a file or folder, relative to the workspace root. Default: everything.
    path: Option<String>,
}

static SPEC: LazyLock<ToolSpec> = LazyLock::new(|| arguments::spec::<Arguments>("diagnostics"));

/// The tool.
pub struct ShowDiagnostics;

impl Tool for ShowDiagnostics {
    fn spec(&self) -> ToolSpec {
        SPEC.clone()
    }

    fn plan(&self, context: &ToolContext, arguments: &str) -> Result<Planned, ToolError> {
        let arguments: Arguments = arguments::parse(&SPEC, arguments)?;
        let bases = tree::bases(context, arguments.path.as_deref())?;
        let summary = format!("Diagnostics of {}", brief(arguments.path.as_deref().unwrap_or("all files")));
        let context = context.clone();
        // It reads what the editor said, which no tool changes.
        Ok(Planned::blocking(Effect::default(), summary, move |_| show(&context, &bases)))
    }
}

fn show(context: &ToolContext, bases: &[WsPath]) -> ToolResult {
    let mut report = Report::new(context.limits.output);
    for (path, items) in context.diagnostics.in_workspace(context) {
        if !bases.iter().any(|base| path.is_in(base)) {
            continue;
        }
        if !report.is_empty() {
            report.line("");
        }
        report.line(&path.to_string());
        for item in items.iter() {
            let code = item.code.as_deref().map(|code| format!("[{code}]")).unwrap_or_default();
            let source = item.source.as_deref().map(|source| format!(" ({source})")).unwrap_or_default();
            let place = format!("{}:{}", item.range.start.line + 1, item.range.start.character + 1);
            report.line(&format!("{place} {}{code}{source}: {}", item.severity, item.message.replace('\n', "\n    ")));
        }
    }
    match report.is_empty() {
        true => report.note(format_args!("[the editor has reported nothing here; that is no proof that all is well]")),
        false => report.note(format_args!("[as the editor last reported; lines may have moved since]")),
    }
    if report.is_full() {
        report.cut(format_args!("[not all are shown; give a path]"));
    }
    Ok(report.finish())
}
