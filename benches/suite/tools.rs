//! Calls of tools through the scheduler: side by side and one after the other, with and without a memory, beside plain
//! threads that do the same with no more than the standard library.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ropeway::cli::bench::tools;
use ropeway::config::ToolsConfig;
use ropeway::disk::{Disk, DiskLimits};
use ropeway::ids::RunId;
use ropeway::paths::{Root, Roots};
use ropeway::syntax::Parses;
use ropeway::tools::grep::Together;
use ropeway::tools::kept::Lists;
use ropeway::tools::tool::{Planned, ToolLimits};
use ropeway::tools::{Cancel, Effect, Registry, Results, Scheduler, Scope, Submission, ToolContext, Toolset};
use ropeway::workspace::Workspace;
use serde_json::{Value, json};

use super::report::{Figure, Report, ms};

const ROUNDS: usize = 15;
const SLOW: Duration = Duration::from_millis(50);

type Call = (&'static str, Value);

struct Desk {
    context: ToolContext,
    tools: Toolset,
    runtime: Arc<tokio::runtime::Runtime>,
}

pub fn measure(report: &mut Report) {
    let tree = std::env::var_os("TREE").map_or_else(super::search::sources, PathBuf::from);
    // Without the memory of texts: who stands beside us reads each file each time.
    let disk = Disk::new(DiskLimits { cache_bytes: 0, ..DiskLimits::default() });
    let workspace = Workspace::new(Arc::new(disk));
    workspace.set_roots(Roots::new(vec![Root::open("tree", &tree).expect("a folder")]));
    let context = ToolContext {
        workspace,
        run: RunId::unused(),
        limits: ToolLimits::default(),
        diagnostics: Arc::default(),
        parses: Arc::new(Parses::new()),
        denied: Arc::from([]),
        commands: None,
        results: Results::default(),
        lists: Lists::default(),
        together: Together::default(),
        on_staged: Arc::new(|_| {}),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let desk = Desk { context, tools: Registry::builtin().select(None, &[]), runtime: Arc::new(runtime) };
    // What a user has who has set nothing.
    let slots = ToolsConfig::default().parallel();
    let (parallel, serial) = (Scheduler::new(slots), Scheduler::new(1));

    let slow = |scheduler: &Scheduler, count: usize| desk.time(|| desk.slow(scheduler, count));
    let one = Figure::of((0..5).map(|_| slow(&parallel, 1)));
    let eight = Figure::of((0..5).map(|_| slow(&parallel, 8)));
    let in_turn = Figure::of((0..3).map(|_| slow(&serial, 8)));
    report.beside("8 reads of 50 ms", "ms", eight, ("one", one), "≤ 1.2 × one");
    report.beside("8 reads of 50 ms, one slot", "ms", in_turn, ("one", one), "8 × one");

    let files = files(&tree, 24);
    let read = |path: &PathBuf| -> Call {
        let rel = path.strip_prefix(&tree).expect("below the tree");
        ("read_file", json!({"path": rel.to_str().expect("a plain name"), "limit": 100_000}))
    };
    let reads: Vec<Call> = files.iter().map(read).collect();
    let (mut ours, mut floor) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let (here, there) = (desk.time(|| desk.batch(&parallel, &reads)), desk.time(|| plain(&files)));
        if round > 0 {
            ours.push(here);
            floor.push(there);
        }
    }
    report.beside("24 reads", "ms", Figure::of(ours), ("plain threads", Figure::of(floor)), "≤ 1.5 × floor");

    // As `tools.max_parallel = 1` has it: one call at a time, and one thread in it.
    let limits = ToolLimits { threads: 1, ..desk.context.limits };
    let context = ToolContext { limits, lists: Lists::default(), ..desk.context.clone() };
    let strict = Desk { context, tools: desk.tools.clone(), runtime: desk.runtime.clone() };
    let mut mixed = reads[..8].to_vec();
    mixed.push(("glob", json!({"pattern": "**/*.toml"})));
    mixed.push(("list_dir", json!({})));
    mixed.push(("grep", json!({"pattern": "unsafe_op_in_unsafe_fn", "literal": true})));
    mixed.push(("grep", json!({"pattern": "impl Drop for", "literal": true})));
    for (name, calls, goal) in [
        ("mixed batch of 12", &mixed[..], "≤ 0.62 × one slot"),
        ("1 read", &reads[..1], "≤ 1.0 × one slot"),
        ("2 reads", &reads[..2], "≤ 1.0 × one slot"),
        ("4 reads", &reads[..4], "≤ 1.0 × one slot"),
    ] {
        // Small ones many times over, in turn, because one takes less than the machine's noise.
        let times = if calls.len() > 4 { 1 } else { 200 };
        let (mut beside, mut alone) = (Vec::new(), Vec::new());
        for round in 0..=ROUNDS {
            let batches = |desk: &Desk, scheduler: &Scheduler| {
                desk.time(|| (0..times).for_each(|_| desk.batch(scheduler, calls))) / times as f64
            };
            let (one, other) = (batches(&desk, &parallel), batches(&strict, &serial));
            if round > 0 {
                beside.push(one);
                alone.push(other);
            }
        }
        report.beside(name, "ms", Figure::of(beside), ("one slot", Figure::of(alone)), goal);
    }

    if let Some(python) = std::env::var_os("TUNACODE") {
        peer(report, &desk, &parallel, &mixed, (&python, &tree, &files[..8]));
    }

    for mut remembered in tools::remembered().expect("a temporary folder") {
        let figure = remembered.figure(2_000).expect("a remembered result");
        report.alone(&remembered.name, remembered.unit, figure, "≤ 20 µs");
    }
    report.note(format!(
        "{slots} slots as by default; batches without a memory of results or texts; files in the page cache"
    ));
}

/// The mixed batch beside tunacode's tools in their parallel mode, which looks at 5,000 files at most.
fn peer(
    report: &mut Report,
    desk: &Desk,
    scheduler: &Scheduler,
    mixed: &[Call],
    (python, tree, files): (&OsStr, &Path, &[PathBuf]),
) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/suite/mixed_batch.py");
    let mut command = Command::new(python);
    command.arg(script).arg(tree).arg("3").args(files).stderr(Stdio::null());
    let output = command.output().expect("the Python that TUNACODE names runs");
    let theirs: Vec<f64> = serde_json::from_slice(&output.stdout).expect("times of tunacode 0.1.21");
    let ours = (0..=ROUNDS).map(|_| desk.time(|| desk.batch(scheduler, mixed))).skip(1);
    let theirs = ("tunacode 0.1.21", Figure::of(theirs));
    report.beside("mixed batch of 12", "ms", Figure::of(ours), theirs, "≤ 0.067 × tunacode");
}

impl Desk {
    fn time(&self, work: impl FnOnce()) -> f64 {
        let begun = Instant::now();
        work();
        ms(begun.elapsed())
    }

    fn submission(&self, tool: &str, planned: Planned) -> Submission {
        Submission {
            run: self.context.run.clone(),
            tool: Arc::from(tool),
            planned,
            deadline: Duration::from_secs(60),
            cancel: Cancel::new(),
            gate: None,
            on_start: None,
        }
    }

    /// Plans and runs calls as one response of a model would have them.
    fn batch(&self, scheduler: &Scheduler, calls: &[Call]) {
        let plan = |(name, arguments): &Call| {
            let tool = self.tools.get(name).expect("a tool");
            (*name, tool.plan(&self.context, &arguments.to_string()).expect("good arguments"))
        };
        self.all(scheduler, calls.iter().map(plan));
    }

    fn slow(&self, scheduler: &Scheduler, count: usize) {
        let top = self.context.workspace.roots().tops().remove(0);
        let planned = (0..count).map(|_| {
            let slept = Planned::blocking(Effect::reads(Scope::Tree(top.clone())), String::new(), |_| {
                std::thread::sleep(SLOW);
                Err(ropeway::tools::ToolError::for_model("slept"))
            });
            ("slow", slept)
        });
        self.all(scheduler, planned);
    }

    fn all(&self, scheduler: &Scheduler, planned: impl Iterator<Item = (&'static str, Planned)>) {
        let wait = async {
            let tickets: Vec<_> =
                planned.map(|(tool, planned)| scheduler.submit(self.submission(tool, planned))).collect();
            for ticket in tickets {
                std::hint::black_box(ticket.await);
            }
        };
        self.runtime.block_on(wait);
    }
}

/// Source files of ordinary size, spread over the tree.
fn files(tree: &Path, count: usize) -> Vec<PathBuf> {
    let mut all = Vec::new();
    let mut folders = vec![tree.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            let (path, found) = (entry.path(), entry.metadata());
            match found {
                Ok(found) if found.is_dir() => folders.push(path),
                Ok(found)
                    if path.extension().is_some_and(|ending| ending == "rs")
                        && (8_000..30_000).contains(&found.len())
                        && std::fs::read_to_string(&path).is_ok() =>
                {
                    all.push(path);
                }
                _ => {}
            }
        }
    }
    all.sort();
    assert!(all.len() >= count, "too few source files in the tree");
    (0..count).map(|n| all[n * all.len() / count].clone()).collect()
}

/// The floor: reads the files and numbers their lines, on as many threads as there are cores.
fn plain(files: &[PathBuf]) {
    let (next, bytes) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                while let Some(path) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let text = std::fs::read_to_string(path).expect("a text");
                    let mut numbered = String::with_capacity(text.len() + text.len() / 4);
                    for (line, text) in text.lines().enumerate() {
                        let _ = writeln!(numbered, "{:>6}\t{text}", line + 1);
                    }
                    bytes.fetch_add(numbered.len(), Ordering::Relaxed);
                }
            });
        }
    });
    std::hint::black_box(bytes.into_inner());
}
