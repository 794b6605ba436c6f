//! `grep`: lines by a regular expression, over the texts that the run sees.

use std::fmt::Write as _;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use grep_regex::{RegexMatcher, RegexMatcherBuilder};
use schemars::JsonSchema;
use serde::Deserialize;

use super::arguments;
use super::cache::{self, Depends};
use super::glob::{names_hidden, time_for};
use super::output::Report;
use super::pattern::{PathFilter, brief};
use super::search::{self, End, FileHits, Query};
use super::tool::{Cancel, Effect, Planned, Scope, Tool, ToolContext, ToolError, ToolResult};
use super::tree::{self, Tree, Wanted};
use crate::llm::types::ToolSpec;
use crate::paths::WsPath;

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
        let planned = Planned::blocking(effect, summary, move |cancel| grep(&inner, &bases, &arguments, cancel));
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

fn grep(context: &ToolContext, bases: &[WsPath], arguments: &Arguments, cancel: &Cancel) -> ToolResult {
    let filter = arguments.glob.as_deref().map(PathFilter::loose).transpose()?;
    let begun = Instant::now();
    let first_match = context.limits.grep_first_match;
    let wanted = Wanted {
        filter: filter.as_ref(),
        hidden: arguments.wants_hidden(),
        // A list that takes half of the time for the first match is long enough to begin with.
        until: Some(begun + first_match / 2),
    };
    let mut query = Query {
        matcher: matcher(&arguments.pattern, arguments.literal, arguments.case_sensitive.unwrap_or(true))?,
        context: arguments.context.unwrap_or(0).min(MAX_CONTEXT) as usize,
        max_matches: arguments.max_results.unwrap_or(DEFAULT_RESULTS).clamp(1, MAX_RESULTS) as usize,
        max_bytes: context.limits.output.bytes,
        first_match,
        until: time_for(cancel),
        threads: context.limits.threads,
    };
    let mut report = Report::new(context.limits.output);
    let mut sum = Sum { files_left: context.limits.grep_max_files, ..Sum::default() };
    for base in bases {
        let mut tree = Tree::list(context, base, wanted, cancel)?;
        sum.secrets += tree.leave_secrets();
        sum.files += tree.rels.len();
        sum.more |= tree.more;
        sum.left_out += tree.rels.len().saturating_sub(sum.files_left);
        tree.rels.truncate(sum.files_left);
        sum.files_left -= tree.rels.len();
        query.first_match = if sum.matches > 0 { Duration::MAX } else { first_match.saturating_sub(begun.elapsed()) };
        let found = search::search(&query, &tree.rels, &|rel| tree.open(rel), cancel);
        cancel.check()?;
        sum.matches += found.matches;
        query.max_matches -= found.matches;
        for hits in &found.files {
            add(&mut report, &tree.path(&tree.rels[hits.index]), hits);
        }
        sum.end = Some(found.end);
        if found.end != End::Whole || report.is_full() {
            break;
        }
    }
    if sum.more || matches!(sum.end, Some(End::NoFirstMatch | End::Late)) {
        report.hurried();
    }
    sum.tell(&mut report);
    Ok(report.finish())
}

fn add(report: &mut Report, path: &WsPath, hits: &FileHits) {
    if !report.is_empty() {
        report.line("");
    }
    report.line(&path.to_string());
    let mut prefix = String::new();
    for (index, line) in hits.lines.iter().enumerate() {
        if line.after_gap && index > 0 {
            report.line("--");
        }
        prefix.clear();
        // Writing to a string cannot fail.
        let _ = write!(prefix, "{}{}", line.number, if line.is_match { ':' } else { '-' });
        let text = hits.text(line);
        let whole =
            if line.cut { report.prefixed(&prefix, &format!("…{text}…")) } else { report.prefixed(&prefix, text) };
        if !whole {
            return;
        }
    }
}

/// What is told after the matches.
#[derive(Default)]
struct Sum {
    files: usize,
    matches: usize,
    files_left: usize,
    /// Files over the limit.
    left_out: usize,
    /// Files that were not searched because of what they may hold.
    secrets: usize,
    more: bool,
    end: Option<End>,
}

impl Sum {
    fn tell(&self, report: &mut Report) {
        let Self { files, matches, left_out, .. } = self;
        let looked = files - left_out;
        if self.secrets > 0 {
            let (count, plural) = (self.secrets, if self.secrets == 1 { "" } else { "s" });
            report.note(format_args!(
                "[{count} file{plural} that may hold secrets not searched; name one to ask for it]"
            ));
        }
        if report.is_full() || self.end == Some(End::Full) {
            report.cut(format_args!(
                "[only the first matches are shown; narrow the pattern, the path or the glob, or raise max_results]"
            ));
            return;
        }
        match self.end {
            Some(End::NoFirstMatch | End::Late) => report.cut(format_args!(
                "[time was up: {matches} matches so far, not all of {files} files were searched; narrow the path or the glob]"
            )),
            _ if self.more => report.cut(format_args!(
                "[{matches} matches in {looked} files; there was no time to list them all: narrow the path or the glob]"
            )),
            _ if *left_out > 0 => report.cut(format_args!(
                "[{matches} matches in the first {looked} of {files} files, which is the limit; narrow the path or the glob]"
            )),
            _ if *matches == 0 => report.note(format_args!("[no matches in {files} files]")),
            _ => report.note(format_args!("[{matches} matches, {files} files searched]")),
        }
    }
}
