//! `move_file`: a file gets another path.

use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::Deserialize;

use super::arguments;
use super::pattern::brief;
use super::staged;
use super::tool::{Effect, Planned, Scope, Tool, ToolContext, ToolError};
use crate::llm::types::ToolSpec;

/// Moves or renames a file. The new path must be free; words in other files that name the old one are not changed.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// Path of the file so far, relative to the workspace root.
    from: String,
    /// Its new path.
    to: String,
}

static SPEC: LazyLock<ToolSpec> = LazyLock::new(|| arguments::spec::<Arguments>("move_file"));

/// The tool.
pub struct MoveFile;

impl Tool for MoveFile {
    fn spec(&self) -> ToolSpec {
        SPEC.clone()
    }

    fn plan(&self, context: &ToolContext, arguments: &str) -> Result<Planned, ToolError> {
        let arguments: Arguments = arguments::parse(&SPEC, arguments)?;
        let roots = context.workspace.roots();
        let (from, to) = (roots.resolve(&arguments.from)?, roots.resolve(&arguments.to)?);
        let summary = format!("Move {} to {}", brief(&from.to_string()), brief(&to.to_string()));
        let effect = Effect { reads: Vec::new(), writes: vec![Scope::File(from.clone()), Scope::File(to.clone())] };
        let context = context.clone();
        Ok(Planned::blocking(effect, summary, move |cancel| {
            cancel.check()?;
            let staged = context.workspace.stage_rename(&context.run, &from, &to)?;
            Ok(staged::report(&context, &format!("moved {from} to {to}"), &staged, None, None))
        }))
    }
}
