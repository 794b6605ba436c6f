//! Searching a tree in this process beside ripgrep as a process, in turn, with the hits compared first.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ropeway::disk::{Disk, DiskLimits};
use ropeway::ids::RunId;
use ropeway::paths::{Root, Roots, WsPath};
use ropeway::syntax::Parses;
use ropeway::tools::cache::Results;
use ropeway::tools::diagnostics::Diagnostics;
use ropeway::tools::grep;
use ropeway::tools::kept::Lists;
use ropeway::tools::search::{self, Query};
use ropeway::tools::tool::{Cancel, ToolContext, ToolLimits};
use ropeway::tools::tree::{Tree, Wanted};
use ropeway::workspace::Workspace;

use super::report::{Figure, Report, ms};

const LITERAL: &str = "unsafe_op_in_unsafe_fn";
const MANY: &str = r"\bfn\s+\w+";
const ROUNDS: usize = 9;

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
        limits: ToolLimits::default(),
        diagnostics: Arc::new(Diagnostics::new()),
        parses: Arc::new(Parses::new()),
        denied: Arc::from([]),
        commands: None,
        results: Results::default(),
        lists: Lists::default(),
        on_staged: Arc::new(|_| {}),
    };
    let (mut files, name) = (0, format!("rg {version}"));
    for (what, pattern, literal) in [("literal, few hits", LITERAL, true), ("regex, many hits", MANY, false)] {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            let begun = Instant::now();
            let (hits, searched) = here(&context, &base, pattern, literal);
            let took = begun.elapsed();
            let begun = Instant::now();
            let lines = ripgrep(&rg, &tree, pattern, literal);
            let there = begun.elapsed();
            assert_eq!(hits, lines, "ripgrep finds another number of lines for {pattern}");
            files = searched;
            // The first round warms the page cache for both.
            if round > 0 {
                ours.push(ms(took));
                theirs.push(ms(there));
            }
        }
        report.beside(&format!("grep: {what}"), "ms", Figure::of(ours), (&name, Figure::of(theirs)), "≤ 1.0 × rg 15");
    }
    report.note(format!("grep searched {files} files; rg counts lines and prints none, each on all cores"));
}

/// The sources of this build's dependencies.
fn sources() -> PathBuf {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    home.expect("CARGO_HOME or HOME is set").join("registry").join("src")
}

/// Lists and searches as the tool does, without its caps. Gives matching lines and files searched.
fn here(context: &ToolContext, base: &WsPath, pattern: &str, literal: bool) -> (usize, usize) {
    let cancel = Cancel::new();
    let wanted = Wanted { filter: None, hidden: false, until: None };
    let tree = Tree::list(context, base, wanted, &cancel).expect("a listing");
    let query = Query {
        matcher: grep::matcher(pattern, literal, true).expect("a pattern"),
        context: 0,
        max_matches: usize::MAX,
        max_bytes: usize::MAX,
        first_match: Duration::from_secs(600),
        until: None,
        threads: 0,
    };
    let found = search::search(&query, &tree.rels, &|rel| tree.open(rel), &cancel);
    (found.matches, found.searched)
}

/// Counts matching lines the way that costs ripgrep least: one count a file, nothing else printed.
fn ripgrep(rg: &std::ffi::OsStr, tree: &Path, pattern: &str, literal: bool) -> usize {
    let mut command = Command::new(rg);
    command.args(["--no-config", "--color=never", "--count", "--no-filename"]);
    if literal {
        command.arg("--fixed-strings");
    }
    let output = command.arg("--").arg(pattern).arg(tree).stderr(Stdio::null()).output().expect("rg runs");
    String::from_utf8_lossy(&output.stdout).lines().filter_map(|count| count.parse::<usize>().ok()).sum()
}
