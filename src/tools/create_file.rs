//! `create_file`: a new file with its text.

use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::Deserialize;

use super::arguments;
use super::pattern::brief;
use super::quote;
use super::staged;
use super::syntax_check::Check;
use super::tool::{Effect, Planned, Scope, Tool, ToolContext, ToolError};
use crate::llm::types::ToolSpec;
use crate::text::Text;

/// Creates a file, and the folders it needs. A file that exists is refused: change it with edit_file.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// Path of the new file, relative to the workspace root.
    path: String,
    /// The whole text of the file.
    text: String,
}

static SPEC: LazyLock<ToolSpec> = LazyLock::new(|| arguments::spec::<Arguments>("create_file"));

/// The tool.
pub struct CreateFile;

impl Tool for CreateFile {
    fn spec(&self) -> ToolSpec {
        SPEC.clone()
    }

    fn plan(&self, context: &ToolContext, arguments: &str) -> Result<Planned, ToolError> {
        let arguments: Arguments = arguments::parse(&SPEC, arguments)?;
        let path = context.workspace.roots().resolve(&arguments.path)?;
        let summary = format!("Create {}", brief(&path.to_string()));
        let context = context.clone();
        Ok(Planned::blocking(Effect::writes(Scope::File(path.clone())), summary, move |cancel| {
            cancel.check()?;
            let text = Text::from(arguments.text.as_str());
            let lines = quote::count(&text);
            let staged = context.workspace.stage_create(&context.run, &path, text)?;
            let head = format!("created {path} with {lines} lines");
            let check = Check { seen: &staged.before, cancel };
            Ok(staged::report(&context, &head, &staged, None, Some(check)))
        }))
    }
}
