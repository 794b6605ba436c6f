//! `edit_file`: replace quoted text, once or several times in one call. All of a call happens or nothing.

use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::Deserialize;

use super::arguments;
use super::pattern::brief;
use super::staged::{self, Made};
use super::syntax_check::Check;
use super::tool::{Cancel, Effect, Planned, Scope, Tool, ToolContext, ToolError, ToolResult};
use crate::llm::types::ToolSpec;
use crate::paths::WsPath;
use crate::text::locate::locate;
use crate::text::{EditSet, Text};

/// Most replacements in one call.
const MAX_EDITS: usize = 200;

/// Changes a file by replacing text that you quote. The quote must be in the file exactly once, unless replace_all is
/// true; quote whole lines, without the line numbers of read_file, and enough of them to be unique. For several changes
/// of one file give `edits`: they are made in order, each on the result of the one before, all or none.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// Path of the file, relative to the workspace root.
    path: String,
    /// Text to replace.
    old_string: Option<String>,
    /// Text to put in its place; empty to delete.
    new_string: Option<String>,
    /// Replace every occurrence. Default: false.
    replace_all: Option<bool>,
    /// Several changes, instead of old_string and new_string.
    edits: Option<Vec<Replacement>>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Replacement {
    /// Text to replace.
    old_string: String,
    /// Text to put in its place; empty to delete.
    new_string: String,
    /// Replace every occurrence. Default: false.
    #[serde(default)]
    replace_all: bool,
}

static SPEC: LazyLock<ToolSpec> = LazyLock::new(|| arguments::spec::<Arguments>("edit_file"));

/// The tool.
pub struct EditFile;

impl Tool for EditFile {
    fn spec(&self) -> ToolSpec {
        SPEC.clone()
    }

    fn plan(&self, context: &ToolContext, arguments: &str) -> Result<Planned, ToolError> {
        let arguments: Arguments = arguments::parse(&SPEC, arguments)?;
        let path = context.workspace.roots().resolve(&arguments.path)?;
        let replacements = replacements(arguments)?;
        let summary = match replacements.len() {
            1 => format!("Edit {}", brief(&path.to_string())),
            several => format!("Edit {} in {several} places", brief(&path.to_string())),
        };
        let context = context.clone();
        Ok(Planned::blocking(Effect::writes(Scope::File(path.clone())), summary, move |cancel| {
            edit(&context, &path, &replacements, cancel)
        }))
    }
}

/// The one form or the other.
fn replacements(arguments: Arguments) -> Result<Vec<Replacement>, ToolError> {
    let refuse = |why: &str| Err(ToolError::ForModel(format!("edit_file: {why}. {}", arguments::usage(&SPEC))));
    let Arguments { old_string, new_string, replace_all, edits, .. } = arguments;
    let list = match (old_string, new_string, edits) {
        (Some(old_string), Some(new_string), None) => {
            vec![Replacement { old_string, new_string, replace_all: replace_all.unwrap_or(false) }]
        }
        (None, None, Some(_)) if replace_all.is_some() => {
            return refuse("`replace_all` belongs into each of the `edits`");
        }
        (None, None, Some(edits)) => edits,
        (Some(_), None, None) => return refuse("missing field `new_string`; give an empty one to delete"),
        (None, Some(_), None) => return refuse("missing field `old_string`"),
        (None, None, None) => return refuse("give `old_string` and `new_string`, or `edits`"),
        _ => return refuse("give either `old_string` and `new_string`, or `edits`, not both"),
    };
    if list.is_empty() {
        return refuse("`edits` is empty");
    }
    if list.len() > MAX_EDITS {
        return refuse(&format!("{} edits are more than the limit of {MAX_EDITS} in one call", list.len()));
    }
    Ok(list)
}

fn edit(context: &ToolContext, path: &WsPath, replacements: &[Replacement], cancel: &Cancel) -> ToolResult {
    let view = context.workspace.read(Some(&context.run), path)?;
    let mut text = view.text.clone();
    let mut all = EditSet::identity(text.len());
    let mut places = 0;
    for (index, replacement) in replacements.iter().enumerate() {
        cancel.check()?;
        let refuse = |why: String| {
            let which = match replacements.len() {
                1 => String::new(),
                several => format!("edit {} of {several}: ", index + 1),
            };
            let stop = if why.ends_with('.') { "" } else { "." };
            ToolError::ForModel(format!("{which}{why}{stop} Nothing was changed in `{path}`"))
        };
        let edits = find(&text, replacement).map_err(&refuse)?;
        places += edits.edits().len();
        text = edits.apply(&text).map_err(|error| refuse(error.to_string()))?;
        all = all.compose(&edits).map_err(|error| refuse(error.to_string()))?;
    }
    let staged = context.workspace.stage_edit(&context.run, &view, all.clone())?;
    let head = match places {
        1 => format!("edited {path}; it now reads:"),
        _ => format!("edited {path} in {places} places; it now reads:"),
    };
    let check = Check { seen: &view.text, cancel };
    Ok(staged::report(context, &head, &staged, Some(&Made { edits: all, after: text }), Some(check)))
}

/// The edits of `text` that one replacement asks for.
fn find(text: &Text, replacement: &Replacement) -> Result<EditSet, String> {
    let Replacement { old_string, new_string, replace_all } = replacement;
    let edits = locate(text, old_string, new_string, *replace_all).map_err(|miss| miss.to_string())?;
    EditSet::new(text.len(), edits).map_err(|error| error.to_string())
}
