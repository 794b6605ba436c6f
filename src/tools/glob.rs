//! `glob`: files by the form of their path.

use std::sync::LazyLock;
use std::time::Instant;

use schemars::JsonSchema;
use serde::Deserialize;

use super::arguments;
use super::cache::{self, Depends};
use super::output::Report;
use super::pattern::{PathFilter, brief};
use super::tool::{Cancel, Effect, Planned, Scope, Tool, ToolContext, ToolError, ToolResult};
use super::tree::{self, Tree, Wanted};
use crate::llm::types::ToolSpec;
use crate::paths::WsPath;

/// Paths shown if the model does not say how many.
const DEFAULT_LIMIT: u64 = 300;

/// Most paths shown.
const MAX_LIMIT: u64 = 5_000;

/// Finds files by a glob over their path: `*` and `?` stay within one name, `**` crosses folders, `{a,b}` chooses.
/// Files that git ignores are left out, and hidden ones unless the pattern names them (`.github/**`). Sorted by path.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// For example `**/*.rs` or `src/*.{ts,tsx}`.
    pattern: String,
    /// Folder the pattern starts from, relative to the workspace root. Default: the root.
    path: Option<String>,
    /// Most paths to show, up to 5000. Default: 300.
    limit: Option<u64>,
}

static SPEC: LazyLock<ToolSpec> = LazyLock::new(|| arguments::spec::<Arguments>("glob"));

/// The tool.
pub struct Glob;

impl Tool for Glob {
    fn spec(&self) -> ToolSpec {
        SPEC.clone()
    }

    fn plan(&self, context: &ToolContext, arguments: &str) -> Result<Planned, ToolError> {
        let arguments: Arguments = arguments::parse(&SPEC, arguments)?;
        let bases = tree::bases(context, arguments.path.as_deref())?;
        let summary = format!("Find {}", brief(&arguments.pattern));
        let limit = arguments.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT) as usize;
        let effect = Effect { reads: bases.iter().cloned().map(Scope::Tree).collect(), writes: Vec::new() };
        let hidden = names_hidden(&arguments.pattern);
        let (key, depends) = cache::of_trees(&bases, Depends::Names, &(&arguments.pattern, limit));
        let inner = context.clone();
        let planned =
            Planned::blocking(effect, summary, move |cancel| find(&inner, &bases, &arguments.pattern, limit, cancel));
        // Nobody tells of changes in hidden folders.
        Ok(if hidden { planned } else { planned.remembered(context, SPEC.name, key, depends) })
    }
}

fn find(context: &ToolContext, bases: &[WsPath], pattern: &str, limit: usize, cancel: &Cancel) -> ToolResult {
    let mut report = Report::new(context.limits.output);
    let (mut shown, mut total, mut more) = (0, 0, false);
    for base in bases {
        // With several roots the model sees `NAME/…`, and globs so.
        let name = base.to_string();
        let own =
            if bases.len() > 1 { pattern.strip_prefix(&name).and_then(|rest| rest.strip_prefix('/')) } else { None };
        let filter = PathFilter::path(own.unwrap_or(pattern))?;
        let wanted = Wanted { hidden: names_hidden(pattern), all: true, until: time_for(cancel) };
        let Tree { mut names, texts } = Tree::new(context, base, wanted, cancel)?;
        let (mut rel, mut full) = (String::new(), false);
        while names.next(&mut rel) {
            if !filter.accepts(names.below(&rel)) {
                continue;
            }
            total += 1;
            full = full || shown == limit || !report.line(&texts.shown(&rel));
            shown += usize::from(!full);
        }
        more |= names.end();
    }
    if more {
        report.hurried();
    }
    let least = if more { "more than " } else { "" };
    if total == 0 && more {
        report.cut(format_args!("[time was up before a file matched `{}`; give a path]", brief(pattern)));
    } else if total == 0 {
        report.note(format_args!("[no file matches `{}`; `**/` in front looks in all folders]", brief(pattern)));
    } else if shown < total {
        report
            .cut(format_args!("[{shown} of {least}{total} files; narrow the pattern or the path, or raise the limit]"));
    }
    Ok(report.finish())
}

/// When to end by oneself: what was found so far is worth more than a word about the deadline.
pub(super) fn time_for(cancel: &Cancel) -> Option<Instant> {
    let now = Instant::now();
    cancel.deadline().map(|deadline| now + deadline.into_std().saturating_duration_since(now).mul_f32(0.9))
}

/// Whether a glob asks for names that begin with a dot.
pub(super) fn names_hidden(glob: &str) -> bool {
    glob.split('/').any(|part| part.starts_with('.') && part != "." && part != "..")
}
