//! Allocations of one call of each tool, from its arguments to its result: `cargo bench --bench allocations`.
//!
//! A program of its own, because counting every allocation would slow down whatever else is measured.

#![expect(clippy::disallowed_methods, clippy::print_stdout, reason = "a measuring program, not part of the server")]

use std::alloc::System;
use std::sync::Arc;
use std::time::Duration;

use ropeway::disk::{Disk, DiskLimits};
use ropeway::ids::RunId;
use ropeway::paths::{Root, Roots};
use ropeway::syntax::Parses;
use ropeway::tools::cache::ResultStore;
use ropeway::tools::grep::Together;
use ropeway::tools::kept::Lists;
use ropeway::tools::tool::ToolLimits;
use ropeway::tools::{Cancel, Registry, Results, Scheduler, Submission, ToolContext};
use ropeway::workspace::Workspace;
use serde_json::json;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static COUNTED: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Calls of each kind; the first ones fill pools and caches and are not counted.
const CALLS: usize = 200;

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    for file in 0..100 {
        let text = format!("fn number_{file}() {{\n    let needle = {file};\n}}\n").repeat(20);
        std::fs::write(folder.path().join(format!("f{file}.rs")), text).expect("a file");
    }
    // Results of files that have just been written are not remembered.
    std::thread::sleep(Duration::from_millis(50));
    let workspace = Workspace::new(Arc::new(Disk::new(DiskLimits::default())));
    workspace.set_roots(Roots::new(vec![Root::open("ws", folder.path()).expect("a root")]));
    let plain = ToolContext {
        workspace,
        run: RunId::unused(),
        limits: ToolLimits { threads: 1, ..ToolLimits::default() },
        diagnostics: Arc::default(),
        parses: Arc::new(Parses::new()),
        denied: Arc::from([]),
        commands: None,
        results: Results::default(),
        lists: Lists::default(),
        together: Together::default(),
        on_staged: Arc::new(|_| {}),
    };
    let lists = plain.lists.clone();
    let results = ResultStore::new().for_run(
        Duration::from_secs(300),
        String::new(),
        Arc::new(move |path| lists.generation(path)),
    );
    let remembering = ToolContext { results, ..plain.clone() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (tools, scheduler) = (Registry::builtin().select(None, &[]), Scheduler::new(4));
    println!("{:<40} {:>14} {:>14}", "one call", "allocations", "bytes");
    for (name, tool, arguments, context) in [
        ("read_file, 60 lines", "read_file", json!({"path": "f1.rs"}), &plain),
        ("read_file, from memory", "read_file", json!({"path": "f1.rs"}), &remembering),
        ("list_dir, 100 names", "list_dir", json!({}), &plain),
        ("glob, 100 names", "glob", json!({"pattern": "**/*.rs"}), &plain),
        ("grep in 100 files, 1 hit each", "grep", json!({"pattern": "number_7\\(", "max_results": 10}), &plain),
        ("grep in 100 files, 100 hits", "grep", json!({"pattern": "needle", "max_results": 100}), &plain),
        ("grep, from memory", "grep", json!({"pattern": "needle", "max_results": 100}), &remembering),
    ] {
        let arguments = arguments.to_string();
        let call = || {
            let planned = tools.get(tool).expect("a tool").plan(context, &arguments).expect("good arguments");
            let submission = Submission {
                run: context.run.clone(),
                tool: Arc::from(tool),
                planned,
                deadline: Duration::from_secs(60),
                cancel: Cancel::new(),
                gate: None,
                on_start: None,
            };
            let finished = runtime.block_on(async { scheduler.submit(submission).await });
            assert!(finished.result.is_ok());
        };
        (0..CALLS / 4).for_each(|_| call());
        let region = Region::new(COUNTED);
        (0..CALLS).for_each(|_| call());
        let change = region.change();
        println!("{name:<40} {:>14} {:>14}", change.allocations / CALLS, change.bytes_allocated / CALLS);
    }
}
