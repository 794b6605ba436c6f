//! `delete_file`: a file goes.

use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::Deserialize;

use super::arguments;
use super::pattern::brief;
use super::staged;
use super::tool::{Effect, Planned, Scope, Tool, ToolContext, ToolError};
use crate::llm::types::ToolSpec;

/// Deletes a file.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// Path of the file, relative to the workspace root.
    path: String,
}

static SPEC: LazyLock<ToolSpec> = LazyLock::new(|| arguments::spec::<Arguments>("delete_file"));

/// The tool.
pub struct DeleteFile;

impl Tool for DeleteFile {
    fn spec(&self) -> ToolSpec {
        SPEC.clone()
    }

    fn plan(&self, context: &ToolContext, arguments: &str) -> Result<Planned, ToolError> {
        let arguments: Arguments = arguments::parse(&SPEC, arguments)?;
        let path = context.workspace.roots().resolve(&arguments.path)?;
        let summary = format!("Delete {}", brief(&path.to_string()));
        let context = context.clone();
        Ok(Planned::blocking(Effect::writes(Scope::File(path.clone())), summary, move |cancel| {
            cancel.check()?;
            let staged = context.workspace.stage_delete(&context.run, &path)?;
            Ok(staged::report(&context, &format!("deleted {path}"), &staged, None, None))
        }))
    }
}
