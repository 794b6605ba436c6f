//! `grep`: lines by a regular expression, over the texts that the run sees.

mod look;
mod together;

use std::sync::LazyLock;

use grep_regex::{RegexMatcher, RegexMatcherBuilder};
use schemars::JsonSchema;
use serde::Deserialize;

pub use self::together::Together;
use super::arguments;
use super::cache::{self, Depends};
use super::glob::names_hidden;
use super::pattern::brief;
use super::tool::{Effect, Planned, Scope, Tool, ToolContext, ToolError};
use super::tree;
use crate::llm::types::ToolSpec;

/// Matches shown if the model does not say how many.
const DEFAULT_RESULTS: u64 = 200;

/// Most matches shown.
const MAX_RESULTS: u64 = 5_000;

/// Most lines of context on each side.
const MAX_CONTEXT: u64 = 20;

/// Longest pattern, in bytes.
const MAX_PATTERN: usize = 4_000;

/// Most memory a compiled pattern may take, in bytes: what a long list of words needs, not what nested counts do.
const MAX_COMPILED: usize = 10 << 20;

/// Deepest nesting of groups.
const MAX_NESTING: u32 = 100;

/// Searches files for lines that match, in open editors as they are now. Results are grouped by file, in the order of
/// their paths: `12:` stands before a line that matches, `12-` before one of the context. Files that git ignores,
/// hidden files and binary files are left out.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// Regular expression in Rust's syntax (no look-around, no back-references); it matches within one line.
    pattern: String,
    /// File or folder to search, relative to the workspace root. Default: the root.
    path: Option<String>,
    /// Only files whose path matches this glob, for example `*.rs` or `src/**/*.ts`; `!` in front turns it round.
    glob: Option<String>,
    /// Take the pattern as plain text. Default: false.
    #[serde(default)]
    literal: bool,
    /// Tell upper case from lower case. Default: true.
    case_sensitive: Option<bool>,
    /// Lines to show before and after each match, up to 20. Default: 0.
    context: Option<u64>,
    /// Most matching lines to show, up to 5000. Default: 200.
    max_results: Option<u64>,
}

impl Arguments {
    /// Whether the glob asks for names that begin with a dot.
    fn wants_hidden(&self) -> bool {
        self.glob.as_deref().is_some_and(|glob| !glob.starts_with('!') && names_hidden(glob))
    }
}

static SPEC: LazyLock<ToolSpec> = LazyLock::new(|| arguments::spec::<Arguments>("grep"));

/// The tool.
pub struct Grep;

impl Tool for Grep {
    fn spec(&self) -> ToolSpec {
        SPEC.clone()
    }

    fn plan(&self, context: &ToolContext, arguments: &str) -> Result<Planned, ToolError> {
        let arguments: Arguments = arguments::parse(&SPEC, arguments)?;
        let bases = tree::bases(context, arguments.path.as_deref())?;
        let place = arguments.path.as_deref().map(|path| format!(" in {}", brief(path))).unwrap_or_default();
        let summary = format!("Search for {}{place}", brief(&arguments.pattern));
        let effect = Effect { reads: bases.iter().cloned().map(Scope::Tree).collect(), writes: Vec::new() };
        let hidden = arguments.wants_hidden();
        let (key, depends) = cache::of_trees(&bases, Depends::Texts, &arguments);
        let inner = context.clone();
        let guest = context.together.guest(bases, arguments);
        let ready = guest.ready();
        let planned = Planned::blocking(effect, summary, move |cancel| guest.run(&inner, cancel)).when_ready(ready);
        // Nobody tells of changes in hidden folders.
        Ok(if hidden { planned } else { planned.remembered(context, SPEC.name, key, depends) })
    }
}

/// Compiles a pattern as the tool means it.
pub fn matcher(pattern: &str, literal: bool, case_sensitive: bool) -> Result<RegexMatcher, ToolError> {
    let refuse = |why: &str| {
        let hint = if literal { "" } else { "; with literal: true it is searched for as it stands" };
        ToolError::ForModel(format!("the pattern `{}` cannot be used: {why}{hint}", brief(pattern)))
    };
    if pattern.is_empty() {
        return Err(refuse("it is empty"));
    }
    if pattern.len() > MAX_PATTERN {
        return Err(refuse(&format!("it is longer than {MAX_PATTERN} bytes")));
    }
    if pattern.contains('\n') {
        return Err(refuse("it holds a line end, and a match lies within one line; search for one of the lines"));
    }
    let mut builder = RegexMatcherBuilder::new();
    builder
        .multi_line(true)
        .octal(false)
        .fixed_strings(literal)
        .case_insensitive(!case_sensitive)
        .size_limit(MAX_COMPILED)
        .dfa_size_limit(MAX_COMPILED)
        .nest_limit(MAX_NESTING)
        .ban_byte(Some(0))
        .line_terminator(Some(b'\n'));
    if !literal && pattern.contains('$') {
        // So that `;$` finds the line in a file with CRLF, too. It costs a little, so only where it can matter.
        builder.crlf(true);
    }
    builder.build_many(&[pattern]).map_err(|error| {
        let text = error.to_string();
        // The parser draws an arrow under the fault, over several lines; the last one says what it is.
        let why = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
        refuse(why.trim().trim_start_matches("error: "))
    })
}
