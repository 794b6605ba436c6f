//! Searching a tree in this process beside ripgrep as a process, in turn, with the hits compared first.

use std::ffi::OsString;
use std::io::BufRead as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ropeway::disk::{Disk, DiskLimits};
use ropeway::ids::RunId;
use ropeway::paths::{Root, Roots, WsPath};
use ropeway::tools::cache::Results;
use ropeway::tools::grep::{self, Together};
use ropeway::tools::kept::Lists;
use ropeway::tools::search::{self, Query, Way, Wish};
use ropeway::tools::tree::{Tree, Wanted};
use ropeway::tools::{
    Cancel, Diagnostics, OutputLimits, Registry, Scheduler, Submission, ToolContext, ToolLimits, Toolset,
};
use ropeway::workspace::Workspace;
use serde_json::{Value, json};

use super::report::{Figure, Report, ms};

const LITERAL: &str = "unsafe_op_in_unsafe_fn";
const MANY: &str = r"\bfn\s+\w+";
const ROUNDS: usize = 9;

/// Rare words, so that the searching counts and not the telling.
const SIX: [&str; 6] =
    ["unsafe_op_in_unsafe_fn", "PhantomPinned", "catch_unwind", "fetch_update", "is_power_of_two", "splitn"];

/// What the searches work on.
struct Place {
    context: ToolContext,
    base: WsPath,
    tree: PathBuf,
    rg: OsString,
    /// ripgrep and its version.
    name: String,
}

pub fn measure(report: &mut Report) {
    let rg = std::env::var_os("RG").unwrap_or_else(|| "rg".into());
    let version = Command::new(&rg).arg("--version").output().ok();
    let version = version.and_then(|output| String::from_utf8(output.stdout).ok()).unwrap_or_default();
    let Some(version) = version.split_whitespace().nth(1).map(str::to_owned) else {
        report.note("grep was not measured: there is no ripgrep; set RG (pip install ripgrep brings version 15)");
        return;
    };
    let tree = std::env::var_os("TREE").map_or_else(sources, PathBuf::from);
    let root = Root::open("tree", &tree).expect("a folder to search");
    let roots = Roots::new(vec![root]);
    let base = roots.resolve(".").expect("the root itself");
    let workspace = Workspace::new(Arc::new(Disk::new(DiskLimits::default())));
    workspace.set_roots(roots);
    let context = ToolContext {
        workspace,
        run: RunId::unused(),
        // No cap: what is measured is the search.
        limits: ToolLimits {
            output: OutputLimits { bytes: usize::MAX, ..OutputLimits::default() },
            grep_max_files: usize::MAX,
            ..ToolLimits::default()
        },
        diagnostics: Arc::new(Diagnostics::new()),
        denied: Arc::from([]),
        commands: None,
        results: Results::default(),
        lists: Lists::default(),
        together: Together::default(),
        parses: Arc::default(),
        on_staged: Arc::new(|_| {}),
    };
    let place = Place { context, base, tree, rg, name: format!("rg {version}") };
    greps(report, &place);
    first_hits(report, &place);
    globs(report, &place);
    batch(report, &place);
    let lists = place.context.lists.counters();
    report.note(format!(
        "the kept list: {} files in {} folders, {} kB; {}",
        lists.files,
        lists.folders,
        lists.bytes / 1000,
        place.context.lists.unwatched(&place.base).map_or_else(|| "watched".to_owned(), |why| why.to_string())
    ));
}

fn greps(report: &mut Report, place: &Place) {
    let mut files = 0;
    for (what, pattern, literal) in [("literal, few hits", LITERAL, true), ("regex, many hits", MANY, false)] {
        let (mut kept, mut anew, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            let (hits, took) = timed(|| here(&place.context, &place.base, pattern, literal, usize::MAX));
            let fresh = ToolContext { lists: Lists::default(), ..place.context.clone() };
            let (hits_anew, took_anew) = timed(|| here(&fresh, &place.base, pattern, literal, usize::MAX));
            let (lines, there) = timed(|| ripgrep(place, pattern, literal));
            assert_eq!((hits.0, hits_anew.0), (lines, lines), "ripgrep finds another number of lines for {pattern}");
            files = hits.1;
            // The first round warms the page cache for both.
            if round > 0 {
                kept.push(took);
                anew.push(took_anew);
                theirs.push(there);
            }
        }
        let theirs = (place.name.as_str(), Figure::of(theirs));
        report.beside(&format!("grep: {what}"), "ms", Figure::of(kept), theirs, "≤ 1.0 × rg 15");
        report.beside(&format!("grep: {what}, list not kept"), "ms", Figure::of(anew), theirs, "≤ 1.0 × rg 15");
    }
    report.note(format!("grep searched {files} files; rg counts lines and prints none, each on all cores"));
}

fn first_hits(report: &mut Report, place: &Place) {
    let (mut kept, mut anew, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        kept.push(timed(|| here(&place.context, &place.base, MANY, false, 100)).1);
        let fresh = ToolContext { lists: Lists::default(), ..place.context.clone() };
        anew.push(timed(|| here(&fresh, &place.base, MANY, false, 100)).1);
        theirs.push(timed(|| first_lines(place, MANY, 100)).1);
    }
    let theirs = (place.name.as_str(), Figure::of(theirs));
    report.beside("grep: first 100 hits", "ms", Figure::of(kept), theirs, "≤ 3 ms");
    report.beside("grep: first 100 hits, list not kept", "ms", Figure::of(anew), theirs, "≤ 3 ms");
}

fn globs(report: &mut Report, place: &Place) {
    let caller = Caller::new();
    let call = [("glob", json!({"pattern": "**/*.rs", "limit": 5000}))];
    let (mut kept, mut anew, mut rg, mut fd) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let fresh = ToolContext { lists: Lists::default(), ..place.context.clone() };
        anew.push(timed(|| caller.batch(&fresh, &call)).1);
        kept.push(timed(|| caller.batch(&fresh, &call)).1);
        let list = |program: &OsString, arguments: &[&str]| {
            let mut command = Command::new(program);
            command.args(arguments).arg(&place.tree).stdout(Stdio::null()).stderr(Stdio::null());
            timed(|| command.status().is_ok_and(|status| status.success()))
        };
        rg.push(list(&place.rg, &["--no-config", "--files", "-g", "*.rs"]).1);
        let name = std::env::var_os("FD").unwrap_or_else(|| "fdfind".into());
        let (ran, took) = list(&name, &["-t", "f", "-e", "rs", "."]);
        fd.extend(ran.then_some(took));
    }
    let rg = (place.name.as_str(), Figure::of(rg));
    report.beside("glob **/*.rs, list not kept", "ms", Figure::of(anew.clone()), rg, "≤ 0.8 × rg --files");
    if !fd.is_empty() {
        report.beside("the same", "ms", Figure::of(anew), ("fd", Figure::of(fd)), "");
    }
    report.beside("glob **/*.rs, again", "ms", Figure::of(kept), rg, "≤ 3 ms");
}

fn batch(report: &mut Report, place: &Place) {
    let caller = Caller::new();
    let calls = SIX.map(|word| ("grep", json!({"pattern": word, "literal": true, "max_results": 5000})));
    let apart = ToolContext { together: Together::never(), ..place.context.clone() };
    let (mut six, mut alone, mut one) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let (together, took) = timed(|| caller.batch(&place.context, &calls));
        let (each, took_apart) = timed(|| caller.batch(&apart, &calls));
        assert_eq!(together, each, "shared work finds something else");
        let slowest = calls.iter().map(|call| timed(|| caller.batch(&apart, std::slice::from_ref(call))).1);
        let slowest = slowest.fold(0.0, f64::max);
        if round > 0 {
            six.push(took);
            alone.push(took_apart);
            one.push(slowest);
        }
    }
    let one = Figure::of(one);
    report.beside("six greps in one batch", "ms", Figure::of(six), ("the slowest of them alone", one), "≤ 2 × one");
    report.beside("six greps, each by itself", "ms", Figure::of(alone), ("the slowest of them alone", one), "");
}

/// Calls tools as a run does.
struct Caller {
    tools: Toolset,
    scheduler: Scheduler,
    runtime: tokio::runtime::Runtime,
}

impl Caller {
    fn new() -> Self {
        Self {
            tools: Registry::builtin().select(None, &[]),
            scheduler: Scheduler::new(0),
            runtime: tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .expect("a runtime"),
        }
    }

    fn batch(&self, context: &ToolContext, calls: &[(&str, Value)]) -> Vec<String> {
        self.runtime.block_on(async {
            let submit = |(tool, arguments): &(&str, Value)| {
                let tool = self.tools.get(tool).expect("a tool");
                let planned = tool.plan(context, &arguments.to_string()).expect("a plan");
                self.scheduler.submit(Submission {
                    run: context.run.clone(),
                    tool: Arc::from(""),
                    planned,
                    deadline: Duration::from_secs(600),
                    cancel: Cancel::new(),
                    gate: None,
                    on_start: None,
                })
            };
            let tickets: Vec<_> = calls.iter().map(submit).collect();
            let mut texts = Vec::new();
            for ticket in tickets {
                texts.push(ticket.await.result.expect("a result").text().to_string());
            }
            texts
        })
    }
}

/// What came out, and how long it took, in milliseconds.
fn timed<R>(work: impl FnOnce() -> R) -> (R, f64) {
    let begun = Instant::now();
    let result = work();
    (result, ms(begun.elapsed()))
}

/// The sources of this build's dependencies.
pub fn sources() -> PathBuf {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    home.expect("CARGO_HOME or HOME is set").join("registry").join("src")
}

/// Lists and searches as the tool does, without its caps. Gives matching lines and files searched.
fn here(context: &ToolContext, base: &WsPath, pattern: &str, literal: bool, max: usize) -> (usize, usize) {
    let cancel = Cancel::new();
    let tree = Tree::new(context, base, Wanted::default(), &cancel).expect("a listing");
    let Tree { mut names, texts } = tree;
    let query = Query {
        matcher: grep::matcher(pattern, literal, true).expect("a pattern"),
        context: 0,
        max_matches: max,
        max_bytes: usize::MAX,
        first_match: Duration::from_secs(600),
        until: None,
    };
    let wish = Wish { query: &query, wants: Box::new(|_| true), is_over: &|| false };
    let mut next = |rel: &mut String| names.next(rel);
    let open = |rel: &str| texts.open(rel);
    let way = Way { next: &mut next, open: &open, threads: 0, give_up: &|_| false };
    let found = search::pass(vec![wish], way).and_then(|mut found| found.pop()).expect("one search");
    names.end();
    (found.matches, found.searched)
}

/// Counts matching lines the way that costs ripgrep least: one count a file, nothing else printed.
fn ripgrep(place: &Place, pattern: &str, literal: bool) -> usize {
    let mut command = Command::new(&place.rg);
    command.args(["--no-config", "--color=never", "--count", "--no-filename"]);
    if literal {
        command.arg("--fixed-strings");
    }
    let output = command.arg("--").arg(pattern).arg(&place.tree).stderr(Stdio::null()).output().expect("rg runs");
    String::from_utf8_lossy(&output.stdout).lines().filter_map(|count| count.parse::<usize>().ok()).sum()
}

/// Reads the first lines that ripgrep prints, and stops it.
fn first_lines(place: &Place, pattern: &str, lines: usize) -> usize {
    let mut command = Command::new(&place.rg);
    command.args(["--no-config", "--color=never", "--line-number", "--"]).arg(pattern).arg(&place.tree);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("rg runs");
    let out = child.stdout.take().expect("it is piped");
    let read = std::io::BufReader::new(out).lines().take(lines).count();
    child.kill().ok();
    child.wait().ok();
    read
}
