//! Searching for one or several calls that pass the same files, and telling each what was found for it.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::{Arguments, DEFAULT_RESULTS, MAX_CONTEXT, MAX_RESULTS, matcher};
use crate::paths::WsPath;
use crate::tools::glob::time_for;
use crate::tools::output::Report;
use crate::tools::pattern::PathFilter;
use crate::tools::search::{self, End, FileHits, Found, Query, Way, Wish};
use crate::tools::tool::{Cancel, ToolContext, ToolError, ToolResult};
use crate::tools::tree::{Names, Texts, Tree, Wanted};
use crate::workspace::protected;

/// What one call asks for.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) bases: Vec<WsPath>,
    pub(super) arguments: Arguments,
    /// Nobody waits for it any more.
    pub(super) left: AtomicBool,
}

impl Asked {
    /// Whether both pass the same files.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.arguments.wants_hidden() == other.arguments.wants_hidden() && self.bases == other.bases
    }
}

/// One call on its way.
struct Round<'a> {
    asked: &'a Asked,
    filter: Option<PathFilter>,
    query: Query,
    report: Report,
    sum: Sum,
    over: bool,
}

/// What is told after the matches.
#[derive(Default)]
struct Sum {
    files: usize,
    searched: usize,
    matches: usize,
    /// Files over the limit.
    left_out: usize,
    /// Files that were not searched because of what they may hold.
    secrets: usize,
    more: bool,
    end: Option<End>,
}

/// Searches for all of `asked`, which are alike; the call that waits for the first one is the caller's. `None`: it was
/// given up, as `give_up` said (see [`Way`]).
pub(super) fn look(
    context: &ToolContext,
    asked: &[&Asked],
    cancel: &Cancel,
    give_up: &(dyn Fn(usize) -> bool + Sync),
) -> Result<Option<Vec<ToolResult>>, ToolError> {
    let (begun, until) = (Instant::now(), time_for(cancel));
    let mut rounds: Vec<_> = asked.iter().map(|asked| Round::new(context, asked, until)).collect();
    let bases = asked.first().map_or(&[][..], |asked| &asked.bases);
    for base in bases {
        let mut going: Vec<_> =
            rounds.iter_mut().filter_map(|round| round.as_mut().ok()).filter(|round| !round.over).collect();
        let Some(first) = going.first() else { break };
        let wanted = Wanted {
            hidden: first.asked.arguments.wants_hidden(),
            all: false,
            // A list that takes half of the time for the first match is long enough to begin with.
            until: Some(begun + context.limits.grep_first_match / 2),
        };
        let tree = match Tree::new(context, base, wanted, cancel) {
            Ok(tree) => tree,
            Err(error) => {
                cancel.check()?;
                return Ok(Some(asked.iter().map(|_| Err(error.clone())).collect()));
            }
        };
        let Tree { mut names, texts } = tree;
        let Some(found) = pass(context, &mut going, &mut names, &texts, begun, cancel, give_up) else {
            return Ok(None);
        };
        cancel.check()?;
        let more = names.end();
        for (round, found) in going.into_iter().zip(found) {
            round.take(&found, &texts, more);
        }
    }
    let finish = |round: Result<Round<'_>, ToolError>| Ok(round?.finish());
    Ok(Some(rounds.into_iter().map(finish).collect()))
}

/// Passes the files of one base.
fn pass(
    context: &ToolContext,
    rounds: &mut [&mut Round<'_>],
    names: &mut Names,
    texts: &Texts,
    begun: Instant,
    cancel: &Cancel,
    give_up: &(dyn Fn(usize) -> bool + Sync),
) -> Option<Vec<Found>> {
    let (limits, base) = (context.limits, names.base().clone());
    let over: Vec<_> = rounds
        .iter()
        .map(|round| {
            let asked = round.asked;
            move || cancel.is_cancelled() || asked.left.load(Ordering::Relaxed)
        })
        .collect();
    let mut wishes = Vec::with_capacity(rounds.len());
    for (round, is_over) in rounds.iter_mut().zip(&over) {
        let Round { filter, query, sum, .. } = &mut **round;
        let spent = begun.elapsed();
        query.first_match = if sum.matches > 0 { Duration::MAX } else { limits.grep_first_match.saturating_sub(spent) };
        let (filter, base) = (&*filter, &base);
        let wants = move |rel: &str| {
            let below = rel.strip_prefix(base.rel()).map_or(rel, |rest| rest.trim_start_matches('/'));
            if filter.as_ref().is_some_and(|filter| !filter.accepts(below)) {
                return false;
            }
            if rel != base.rel() && protected::is_secret_rel(rel) {
                sum.secrets += 1;
                return false;
            }
            sum.files += 1;
            let fits = sum.files <= limits.grep_max_files;
            sum.left_out += usize::from(!fits);
            fits
        };
        wishes.push(Wish { query, wants: Box::new(wants), is_over });
    }
    let mut next = |rel: &mut String| names.next(rel);
    let open = |rel: &str| texts.open(rel);
    search::pass(wishes, Way { next: &mut next, open: &open, threads: limits.threads, give_up })
}

impl<'a> Round<'a> {
    fn new(context: &ToolContext, asked: &'a Asked, until: Option<Instant>) -> Result<Self, ToolError> {
        let arguments = &asked.arguments;
        let query = Query {
            matcher: matcher(&arguments.pattern, arguments.literal, arguments.case_sensitive.unwrap_or(true))?,
            context: arguments.context.unwrap_or(0).min(MAX_CONTEXT) as usize,
            max_matches: arguments.max_results.unwrap_or(DEFAULT_RESULTS).clamp(1, MAX_RESULTS) as usize,
            max_bytes: context.limits.output.bytes,
            first_match: context.limits.grep_first_match,
            until,
        };
        let filter = arguments.glob.as_deref().map(PathFilter::loose).transpose()?;
        let report = Report::new(context.limits.output);
        Ok(Self { asked, filter, query, report, sum: Sum::default(), over: false })
    }

    fn take(&mut self, found: &Found, texts: &Texts, more: bool) {
        self.sum.matches += found.matches;
        self.sum.searched += found.searched;
        self.sum.more |= more;
        self.sum.end = Some(found.end);
        self.query.max_matches -= found.matches;
        for hits in &found.files {
            add(&mut self.report, &texts.path(&hits.rel), hits);
        }
        self.over = found.end != End::Whole || self.report.is_full();
    }

    fn finish(mut self) -> crate::tools::output::Output {
        if self.sum.more || matches!(self.sum.end, Some(End::NoFirstMatch | End::Late)) {
            self.report.hurried();
        }
        self.sum.tell(&mut self.report);
        self.report.finish()
    }
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

impl Sum {
    fn tell(&self, report: &mut Report) {
        let Self { files, searched, matches, left_out, .. } = self;
        let looked = files - left_out;
        let full = report.is_full() || self.end == Some(End::Full);
        // Of a search that ended early nobody knows how many it would have passed.
        if self.secrets > 0 && !full {
            let (count, plural) = (self.secrets, if self.secrets == 1 { "" } else { "s" });
            report.note(format_args!(
                "[{count} file{plural} that may hold secrets not searched; name one to ask for it]"
            ));
        }
        if full {
            report.cut(format_args!(
                "[only the first matches are shown; narrow the pattern, the path or the glob, or raise max_results]"
            ));
            return;
        }
        match self.end {
            Some(End::NoFirstMatch | End::Late) => report.cut(format_args!(
                "[time was up: {matches} matches in the {searched} files searched so far; narrow the path or the glob]"
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
