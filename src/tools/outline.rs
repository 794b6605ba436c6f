//! `outline`: what a file declares, by its syntax tree.

use std::sync::LazyLock;
use std::time::Instant;

use schemars::JsonSchema;
use serde::Deserialize;

use super::arguments;
use super::cache::Depends;
use super::output::Report;
use super::pattern::brief;
use super::syntax_check;
use super::tool::{Cancel, Effect, Planned, Scope, Tool, ToolContext, ToolError, ToolResult};
use crate::llm::types::ToolSpec;
use crate::paths::WsPath;
use crate::syntax::{self, Language, ParseError};
use crate::workspace::Look;

/// Most symbols collected; a result has room for fewer.
const MAX_SYMBOLS: usize = 2_000;

/// Nesting beyond this is not shown by more indentation.
const MAX_INDENT: usize = 12;

/// Lists what a source file declares (types, functions, methods, modules) with line numbers, in order and nested. Cheaper
/// than reading a long file: use it to find the lines to read. For Rust, Python, TypeScript, JavaScript, Go, C, C++, Java
/// and Lua.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// Path of the file, relative to the workspace root.
    path: String,
}

static SPEC: LazyLock<ToolSpec> = LazyLock::new(|| arguments::spec::<Arguments>("outline"));

/// The tool.
pub struct ShowOutline;

impl Tool for ShowOutline {
    fn spec(&self) -> ToolSpec {
        SPEC.clone()
    }

    fn plan(&self, context: &ToolContext, arguments: &str) -> Result<Planned, ToolError> {
        let arguments: Arguments = arguments::parse(&SPEC, arguments)?;
        let path = context.workspace.roots().resolve(&arguments.path)?;
        let summary = format!("Outline {}", brief(&path.to_string()));
        let (inner, file) = (context.clone(), path.clone());
        let effect = Effect::reads(Scope::File(path.clone()));
        let planned = Planned::blocking(effect, summary, move |cancel| outline(&inner, &file, cancel));
        let key = format!("{:?}", path.absolute());
        Ok(planned.remembered(context, SPEC.name, key, vec![Depends::File(path)]))
    }
}

fn outline(context: &ToolContext, path: &WsPath, cancel: &Cancel) -> ToolResult {
    let until = Instant::now() + context.limits.syntax.outline;
    let view = context.workspace.read(Some(&context.run), path)?;
    // What may not be read may not be read here either, whichever name it goes by.
    let hidden = |path: &WsPath| context.denied.iter().any(|denied| denied.accepts(path.rel()));
    if hidden(path) || hidden(&view.path) {
        return Err(ToolError::ForModel(format!(
            "`{path}` must not be read: a rule in the user's settings denies it; its outline is not shown either"
        )));
    }
    let Some(language) = syntax_check::language(&view.path, &view.text) else {
        let known = match Language::built_in().join(", ") {
            none if none.is_empty() => "this build has none".to_owned(),
            known => format!("there are: {known}"),
        };
        return Err(ToolError::ForModel(format!(
            "there is no grammar for `{path}` ({known}); use grep for what you look for, or read_file"
        )));
    };
    let mut stop = || cancel.is_cancelled() || Instant::now() >= until;
    let parsed = syntax_check::parse(context, &view.path, &view.text, language, &mut stop);
    cancel.check()?;
    let parsed = parsed.map_err(|error| {
        let instead = match error {
            ParseError::NoGrammars => "use grep for what you look for, or read_file",
            ParseError::TooLarge(_) | ParseError::TooDeep | ParseError::Stopped => {
                "use grep for what you look for, or read_file with offset and limit"
            }
        };
        ToolError::ForModel(format!("there is no outline of `{path}`: {error}; {instead}"))
    })?;
    let found = syntax::outline(&parsed, MAX_SYMBOLS, &mut stop);
    cancel.check()?;
    let mut report = Report::new(context.limits.output);
    let mut shown = 0;
    for symbol in &found.symbols {
        let place = match (symbol.lines.start + 1, symbol.lines.end) {
            (first, last) if first == last => first.to_string(),
            (first, last) => format!("{first}-{last}"),
        };
        let prefix = format!("{place:>11}\t{}", "  ".repeat(symbol.depth.min(MAX_INDENT)));
        if !report.prefixed(&prefix, &symbol.signature) {
            break;
        }
        shown += 1;
    }
    if found.symbols.is_empty() && !found.more {
        report.note(format_args!("[nothing is declared here, as far as its {language} grammar knows]"));
    } else if shown < found.symbols.len() || found.more {
        let after = found.symbols[..shown].last().map_or(0, |symbol| symbol.lines.start + 1);
        report.cut(format_args!(
            "[only the first {shown} declarations, up to line {after}; use grep, or read_file with offset, for the rest]"
        ));
    }
    if parsed.is_broken() {
        report.note(format_args!("[the file has syntax errors, so declarations may be missing]"));
    }
    if let Some(note) = view.note {
        report.note(format_args!("[{note}]"));
    }
    if found.more && Instant::now() >= until {
        report.hurried();
    }
    Ok(report.finish().made_from(Look { seen: view.seen, note: view.note }))
}
