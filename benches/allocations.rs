//! Allocations of one call of each tool, from its arguments to its result: `cargo bench --bench allocations`.
//!
//! A program of its own, because counting every allocation would slow down whatever else is measured.

#![expect(clippy::disallowed_methods, clippy::print_stdout, reason = "a measuring program, not part of the server")]

use std::alloc::System;
use std::time::Duration;

use ropeway::cli::bench::tools::Desk;
use ropeway::disk::DiskLimits;
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
    let plain = Desk::new(folder.path(), DiskLimits::default(), 1).expect("a folder");
    let (remembering, _) = plain.remembering();
    println!("{:<40} {:>14} {:>14}", "one call", "allocations", "bytes");
    for (name, tool, arguments, desk) in [
        ("read_file, 60 lines", "read_file", json!({"path": "f1.rs"}), &plain),
        ("read_file, from memory", "read_file", json!({"path": "f1.rs"}), &remembering),
        ("list_dir, 100 names", "list_dir", json!({}), &plain),
        ("glob, 100 names", "glob", json!({"pattern": "**/*.rs"}), &plain),
        ("grep in 100 files, 1 hit each", "grep", json!({"pattern": "number_7\\(", "max_results": 10}), &plain),
        ("grep in 100 files, 100 hits", "grep", json!({"pattern": "needle", "max_results": 100}), &plain),
        ("grep, from memory", "grep", json!({"pattern": "needle", "max_results": 100}), &remembering),
    ] {
        let arguments = arguments.to_string();
        let call = || desk.call(tool, &arguments).expect("a good call");
        (0..CALLS / 4).for_each(|_| call());
        let region = Region::new(COUNTED);
        (0..CALLS).for_each(|_| call());
        let change = region.change();
        println!("{name:<40} {:>14} {:>14}", change.allocations / CALLS, change.bytes_allocated / CALLS);
    }
}
