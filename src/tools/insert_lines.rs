//! `insert_lines`: new lines at a place given by number.

use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::Deserialize;

use super::arguments;
use super::pattern::brief;
use super::quote;
use super::staged::{self, Made};
use super::syntax_check::Check;
use super::tool::{Cancel, Effect, Planned, Scope, Tool, ToolContext, ToolError, ToolResult};
use crate::llm::types::ToolSpec;
use crate::paths::WsPath;
use crate::text::{EditSet, Text};

/// Inserts lines into a file, after the line with the given number; 0 inserts at the start. Read the file first: the
/// numbers change with every edit.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// Path of the file, relative to the workspace root.
    path: String,
    /// Number of the line to insert after, from 1; 0 for the start of the file.
    line: u64,
    /// The lines to insert.
    text: String,
}

static SPEC: LazyLock<ToolSpec> = LazyLock::new(|| arguments::spec::<Arguments>("insert_lines"));

/// The tool.
pub struct InsertLines;

impl Tool for InsertLines {
    fn spec(&self) -> ToolSpec {
        SPEC.clone()
    }

    fn plan(&self, context: &ToolContext, arguments: &str) -> Result<Planned, ToolError> {
        let arguments: Arguments = arguments::parse(&SPEC, arguments)?;
        let path = context.workspace.roots().resolve(&arguments.path)?;
        if arguments.text.is_empty() {
            return Err(ToolError::for_model("insert_lines: `text` is empty; there is nothing to insert"));
        }
        let summary = format!("Insert into {} after line {}", brief(&path.to_string()), arguments.line);
        let context = context.clone();
        Ok(Planned::blocking(Effect::writes(Scope::File(path.clone())), summary, move |cancel| {
            insert(&context, &path, arguments.line, &arguments.text, cancel)
        }))
    }
}

fn insert(context: &ToolContext, path: &WsPath, line: u64, lines: &str, cancel: &Cancel) -> ToolResult {
    let view = context.workspace.read(Some(&context.run), path)?;
    let total = quote::count(&view.text);
    let Some(after) = usize::try_from(line).ok().filter(|line| *line <= total) else {
        return Err(ToolError::ForModel(format!(
            "`{path}` has {total} lines, so nothing can be inserted after line {line}; read it again"
        )));
    };
    let (at, inserted) = whole_lines(&view.text, after, lines);
    let edits =
        EditSet::replace(view.text.len(), at..at, inserted).map_err(|error| ToolError::ForModel(error.to_string()))?;
    let after = edits.apply(&view.text).map_err(|error| ToolError::ForModel(error.to_string()))?;
    cancel.check()?;
    let staged = context.workspace.stage_edit(&context.run, &view, edits.clone())?;
    let head = format!("inserted into {path}; it now reads:");
    let check = Check { seen: &view.text, cancel };
    Ok(staged::report(context, &head, &staged, Some(&Made { edits, after }), Some(check)))
}

/// Where `lines` go after line `after` (from 1) and what has to stand there, so that no other line changes.
fn whole_lines(text: &Text, after: usize, lines: &str) -> (usize, String) {
    let at = text.line_start(after);
    let last_is_open = after > 0 && text.line_range(after - 1).end == text.len();
    if last_is_open {
        let lines = lines.strip_suffix('\n').unwrap_or(lines);
        return (at, format!("\n{}", lines.strip_suffix('\r').unwrap_or(lines)));
    }
    let ended = lines.ends_with(['\n', '\r']);
    (at, if ended { lines.to_owned() } else { format!("{lines}\n") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inserted_lines_are_whole_and_leave_the_others_alone() {
        for (text, after, lines, expected) in [
            ("a\nb\n", 0, "x", "x\na\nb\n"),
            ("a\nb\n", 1, "x\n", "a\nx\nb\n"),
            ("a\nb\n", 2, "x", "a\nb\nx\n"),
            ("a\nb", 2, "x\n", "a\nb\nx"),
            ("a\nb", 1, "x\ny", "a\nx\ny\nb"),
            ("", 0, "x", "x\n"),
            ("\n", 1, "x", "\nx\n"),
        ] {
            let text = Text::from(text);
            let (at, inserted) = whole_lines(&text, after, lines);
            let after = EditSet::replace(text.len(), at..at, inserted).unwrap().apply(&text).unwrap();
            assert_eq!(after.to_string(), expected);
        }
    }
}
