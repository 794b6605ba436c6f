//! `list_dir`: what stands in a folder, as the run sees it.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use ignore::WalkState;
use schemars::JsonSchema;
use serde::Deserialize;

use super::arguments;
use super::cache::{self, Depends};
use super::output::Report;
use super::pattern::brief;
use super::tool::{Cancel, Effect, Planned, Scope, Tool, ToolContext, ToolError, ToolResult};
use super::{tree, walk};
use crate::llm::types::ToolSpec;
use crate::paths::{Kind, WsPath, beneath};
use crate::workspace::Overlaid;

/// Most folders down.
const MAX_DEPTH: u64 = 10;

/// Most entries shown.
const MAX_ENTRIES: usize = 1_000;

/// Lists a folder: files and, with a slash at the end, folders. Names that begin with a dot are shown; what git ignores
/// is not.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// Path of the folder, relative to the workspace root. Default: the root.
    path: Option<String>,
    /// How many levels to list, 1 to 10. Default: 1.
    depth: Option<u64>,
}

static SPEC: LazyLock<ToolSpec> = LazyLock::new(|| arguments::spec::<Arguments>("list_dir"));

/// The tool.
pub struct ListDir;

impl Tool for ListDir {
    fn spec(&self) -> ToolSpec {
        SPEC.clone()
    }

    fn plan(&self, context: &ToolContext, arguments: &str) -> Result<Planned, ToolError> {
        let arguments: Arguments = arguments::parse(&SPEC, arguments)?;
        let bases = tree::bases(context, arguments.path.as_deref())?;
        let depth = arguments.depth.unwrap_or(1).clamp(1, MAX_DEPTH) as usize;
        let summary = format!("List {}", brief(arguments.path.as_deref().unwrap_or("the workspace")));
        let effect = Effect { reads: bases.iter().cloned().map(Scope::Tree).collect(), writes: Vec::new() };
        let (key, depends) = cache::of_trees(&bases, Depends::Names, &depth);
        let inner = context.clone();
        let planned = Planned::blocking(effect, summary, move |cancel| list(&inner, &bases, depth, cancel));
        // Nobody tells of changes in hidden folders, which a listing of several levels shows.
        Ok(if depth == 1 { planned.remembered(context, SPEC.name, key, depends) } else { planned })
    }
}

fn list(context: &ToolContext, bases: &[WsPath], depth: usize, cancel: &Cancel) -> ToolResult {
    let mut report = Report::new(context.limits.output);
    let (mut shown, mut total, mut more) = (0, 0, false);
    for base in bases {
        if bases.len() > 1 {
            report.line(&format!("{base}/"));
        }
        let entries = entries(context, base, depth, cancel)?;
        total += entries.names.len();
        more |= entries.more;
        for (Name(name), is_folder) in &entries.names {
            let indent = if bases.len() > 1 { "  " } else { "" };
            let slash = if *is_folder { "/" } else { "" };
            if shown == MAX_ENTRIES || !report.line(&format!("{indent}{name}{slash}")) {
                break;
            }
            shown += 1;
        }
    }
    match shown {
        0 if total == 0 => report.note(format_args!("[the folder is empty, or all in it is ignored]")),
        _ if shown < total => {
            let least = if more { "more than " } else { "" };
            report.cut(format_args!("[{shown} of {least}{total} entries; list a folder below, or use less depth]"));
        }
        _ => {}
    }
    Ok(report.finish())
}

#[derive(Default)]
struct Entries {
    /// Whether each is a folder.
    names: BTreeMap<Name, bool>,
    more: bool,
}

/// A path below the folder, in an order where what is in a folder follows it.
#[derive(PartialEq, Eq)]
struct Name(Box<str>);

impl Ord for Name {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.split('/').cmp(other.0.split('/'))
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

fn entries(context: &ToolContext, base: &WsPath, depth: usize, cancel: &Cancel) -> Result<Entries, ToolError> {
    let base = beneath::real(base)?;
    let on_disk = tree::kind(&base);
    let overlay = context.workspace.overlay(Some(&context.run));
    if matches!(on_disk, Some(Kind::File)) || overlay.get(&base).is_some_and(|file| *file != Overlaid::Gone) {
        return Err(ToolError::ForModel(format!("`{base}` is a file; read it with read_file")));
    }
    let mut entries =
        if on_disk == Some(Kind::Folder) { on_disk_entries(&base, depth, cancel) } else { Entries::default() };
    cancel.check()?;
    let mut made = false;
    for (path, overlaid) in overlay.iter() {
        let Some(name) = path.is_in(&base).then(|| walk::rel(&base.absolute(), &path.absolute())).flatten() else {
            continue;
        };
        let known = entries.names.contains_key(&Name(name.clone()));
        match overlaid {
            Overlaid::Gone => {
                entries.names.remove(&Name(name));
            }
            // What is on disk and not in the list is ignored, or too deep.
            Overlaid::Text(_) if !known && beneath::kind(path).is_none() => {
                made = true;
                for (level, (end, _)) in name.match_indices('/').chain([(name.len(), "")]).enumerate() {
                    if level < depth {
                        entries.names.entry(Name(name[..end].into())).or_insert(end < name.len());
                    }
                }
            }
            Overlaid::Text(_) => {}
        }
    }
    if on_disk.is_none() && !made {
        return Err(ToolError::ForModel(format!("`{base}` does not exist; list the folder above it")));
    }
    Ok(entries)
}

fn on_disk_entries(base: &WsPath, depth: usize, cancel: &Cancel) -> Entries {
    let folder = base.absolute();
    let found = Mutex::new(Entries::default());
    // One thread: a listing is a few folders.
    walk::builder(&folder, true).max_depth(Some(depth)).threads(1).build_parallel().run(|| {
        let (found, folder) = (&found, &folder);
        Box::new(move |entry| {
            if cancel.is_cancelled() {
                return WalkState::Quit;
            }
            let Ok(entry) = entry else { return WalkState::Continue };
            let Some(name) = walk::rel(folder, entry.path()).filter(|name| !name.is_empty()) else {
                return WalkState::Continue;
            };
            let is_folder = entry.file_type().is_some_and(|kind| kind.is_dir());
            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
            if found.names.len() >= walk::MAX_FILES {
                found.more = true;
                return WalkState::Quit;
            }
            found.names.insert(Name(name), is_folder);
            WalkState::Continue
        })
    });
    found.into_inner().unwrap_or_else(PoisonError::into_inner)
}
