//! Calls of tools through the scheduler, on a small tree made for it.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use serde_json::{Value, json};

use super::figure::{ms, us_since};
use super::measure::Measure;
use crate::cli::scratch::Scratch;
use crate::config::ToolsConfig;
use crate::disk::{Disk, DiskLimits};
use crate::ids::RunId;
use crate::paths::{Root, Roots};
use crate::syntax::{Language, Parses};
use crate::tools::cache::ResultStore;
use crate::tools::grep::Together;
use crate::tools::kept::Lists;
use crate::tools::tool::ToolLimits;
use crate::tools::{Cancel, DiskClock, Registry, Results, Scheduler, Submission, ToolContext, Toolset};
use crate::workspace::Workspace;

/// Files of the tree.
const FILES: usize = 400;
/// How long it may take until a result is remembered.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whatever calls of tools need.
pub struct Desk {
    /// What tools know.
    pub context: ToolContext,
    tools: Toolset,
    scheduler: Scheduler,
    runtime: Arc<tokio::runtime::Runtime>,
}

impl Desk {
    /// Over the files of a folder; `threads` is what one search may use. Nothing is remembered of results.
    ///
    /// # Errors
    /// The folder cannot be opened.
    pub fn new(folder: &Path, limits: DiskLimits, threads: usize) -> anyhow::Result<Self> {
        let workspace = Workspace::new(Arc::new(Disk::new(limits)));
        workspace.set_roots(Roots::new(vec![Root::open("tree", folder).context("the folder cannot be opened")?]));
        let context = ToolContext {
            workspace,
            run: RunId::unused(),
            limits: ToolLimits { threads, ..ToolLimits::default() },
            diagnostics: Arc::default(),
            parses: Arc::new(Parses::new()),
            denied: Arc::from([]),
            commands: None,
            results: Results::default(),
            lists: Lists::default(),
            together: Together::default(),
            on_staged: Arc::new(|_| {}),
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let scheduler = Scheduler::new(ToolsConfig::default().parallel());
        Ok(Self { context, tools: Registry::builtin().select(None, &[]), scheduler, runtime: Arc::new(runtime) })
    }

    /// The same, remembering results, and what it remembers them in.
    pub fn remembering(&self) -> (Self, Arc<ResultStore>) {
        let (lists, store) = (self.context.lists.clone(), ResultStore::new());
        let generation: DiskClock = Arc::new(move |path| lists.generation(path));
        let results = store.for_run(Duration::from_secs(300), String::new(), generation);
        let desk = Self {
            context: ToolContext { results, ..self.context.clone() },
            tools: self.tools.clone(),
            scheduler: Scheduler::new(ToolsConfig::default().parallel()),
            runtime: Arc::clone(&self.runtime),
        };
        (desk, store)
    }

    /// One call from its arguments to its result.
    ///
    /// # Errors
    /// The call fails.
    pub fn call(&self, tool: &str, arguments: &str) -> anyhow::Result<()> {
        let known = self.tools.get(tool).map_err(|error| anyhow!("{tool}: {error:?}"))?;
        let planned = known.plan(&self.context, arguments).map_err(|error| anyhow!("{tool}: {error:?}"))?;
        let submission = Submission {
            run: self.context.run.clone(),
            tool: Arc::from(tool),
            planned,
            deadline: Duration::from_secs(60),
            cancel: Cancel::new(),
            gate: None,
            on_start: None,
        };
        let finished = self.runtime.block_on(async { self.scheduler.submit(submission).await });
        match finished.result {
            Ok(_) => Ok(()),
            Err(error) => bail!("{tool}: {error:?}"),
        }
    }
}

/// A tree of small source files in which every line differs from those of the other files.
///
/// # Errors
/// The temporary folder cannot be written.
pub fn tree(scratch: &Scratch, files: usize) -> anyhow::Result<()> {
    for file in 0..files {
        let mut text = String::new();
        for line in 0..60 {
            let _ = writeln!(text, "fn number_{file}_{line}() {{ let needle = {}; }}", file * line);
        }
        scratch.write(&format!("d{}/f{file}.rs", file % 20), &text)?;
    }
    Ok(())
}

/// All measurements of tools.
///
/// # Errors
/// The temporary folder cannot be written.
pub fn all() -> anyhow::Result<Vec<Measure>> {
    let (scratch, desk) = place()?;
    let grep = json!({"pattern": "number_333_7\\("});
    let mut all = from_memory(&scratch, &desk)?;
    all.push(timed(&scratch, &desk, ("grep", "grep over 400 files, 1 hit", 5), "grep", &grep));
    all.push(timed(&scratch, &desk, ("glob", "glob over 400 files", 5), "glob", &json!({"pattern": "**/*3.rs"})));
    // On a desk of its own: what is staged changes what the others see.
    let own = Arc::new(Desk::new(scratch.path(), DiskLimits::default(), 1)?);
    all.push(staged(scratch, own));
    Ok(all)
}

/// Results that are remembered, alone.
///
/// # Errors
/// The temporary folder cannot be written.
pub fn remembered() -> anyhow::Result<Vec<Measure>> {
    let (scratch, desk) = place()?;
    from_memory(&scratch, &desk)
}

fn place() -> anyhow::Result<(Arc<Scratch>, Arc<Desk>)> {
    let scratch = Arc::new(Scratch::new("bench")?);
    tree(&scratch, FILES)?;
    let limits = DiskLimits { cache_bytes: 0, ..DiskLimits::default() };
    let desk = Arc::new(Desk::new(scratch.path(), limits, ToolLimits::default().threads)?);
    Ok((scratch, desk))
}

/// In milliseconds.
fn timed(
    scratch: &Arc<Scratch>,
    desk: &Arc<Desk>,
    (id, name, per_round): (&'static str, &'static str, usize),
    tool: &'static str,
    arguments: &Value,
) -> Measure {
    let (scratch, desk, arguments) = (Arc::clone(scratch), Arc::clone(desk), arguments.to_string());
    Measure::new(id, name, "ms", per_round, move || {
        let _here = &scratch;
        let begun = Instant::now();
        desk.call(tool, &arguments)?;
        Ok(ms(begun.elapsed()))
    })
}

/// In microseconds.
fn from_memory(scratch: &Arc<Scratch>, desk: &Desk) -> anyhow::Result<Vec<Measure>> {
    let (desk, store) = desk.remembering();
    let desk = Arc::new(desk);
    let mut calls = vec![("read-remembered", "read_file", json!({"path": "d3/f3.rs"}))];
    // What is found in a tree is remembered where somebody tells of its changes.
    if cfg!(target_os = "linux") {
        calls.push(("grep-remembered", "grep", json!({"pattern": "needle = 4321;", "literal": true})));
        calls.push(("glob-remembered", "glob", json!({"pattern": "**/*3.rs"})));
        calls.push(("list-remembered", "list_dir", json!({})));
    }
    if !Language::built_in().is_empty() {
        calls.push(("outline-remembered", "outline", json!({"path": "d3/f3.rs"})));
    }
    let measure = |(id, tool, arguments): (&'static str, &'static str, Value)| {
        let (scratch, desk, store, arguments) =
            (Arc::clone(scratch), Arc::clone(&desk), Arc::clone(&store), arguments.to_string());
        // What looks at a file that was just written is not remembered, because the next change may leave no trace.
        let (begun, before) = (Instant::now(), store.counters().hits);
        while store.counters().hits == before && begun.elapsed() < PATIENCE {
            desk.call(tool, &arguments)?;
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(Measure::new(id, format!("{tool} from memory"), "µs", 300, move || {
            let _here = &scratch;
            let before = store.counters().hits;
            let begun = Instant::now();
            desk.call(tool, &arguments)?;
            let time = us_since(begun);
            if store.counters().hits == before {
                bail!("the result of {tool} was not remembered");
            }
            Ok(time)
        }))
    };
    calls.into_iter().map(measure).collect()
}

/// An edit by quotation, staged, in microseconds: the same line there and back.
fn staged(scratch: Arc<Scratch>, desk: Arc<Desk>) -> Measure {
    desk.context.workspace.begin(desk.context.run.clone());
    let mut there = true;
    let (old, new) = ("fn number_5_30() { let needle = 150; }", "fn number_5_30() { let needle = 151; }");
    Measure::new("stage", "edit_file, staged", "µs", 40, move || {
        let _here = &scratch;
        let (from, to) = if there { (old, new) } else { (new, old) };
        there = !there;
        let arguments = json!({"path": "d5/f5.rs", "old_string": from, "new_string": to}).to_string();
        let begun = Instant::now();
        desk.call("edit_file", &arguments)?;
        Ok(us_since(begun))
    })
}
