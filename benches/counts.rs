//! Instructions and allocations of the hot paths, counted and not timed, so that a busy machine gives the same numbers:
//! what CI holds against `benches/counts.json`.
//!
//! `benches/check` runs it as CI does, `benches/check --renew` writes the file anew: do so when a change is meant, and say
//! why in the commit. Instructions are counted by valgrind, which runs this program again for each path; allocations
//! by an allocator that counts. What is allowed above the file's numbers stands in `ALLOWED`.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a measuring program of its own, not part of the server"
)]

use std::alloc::System;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::process::{Command, ExitCode};

use ropeway::cli::bench::measure::Measure;
use ropeway::cli::bench::{decode, prepare, text, tokens};
use serde::{Deserialize, Serialize};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static COUNTED: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Shares above the file's numbers that are let pass. Two runs of one build differ by up to 2.5 % in instructions (names of
/// temporary folders fall into other places of hash tables), most by nothing; the rest is room for patch versions of the
/// compiler. Allocations are what the sources say.
const ALLOWED: Kinds<f64> = Kinds { instructions: 0.10, allocations: 0.02, ratios: 0.10 };
/// Samples before the one that counts: pools and caches are full then. A conversation has reached its length.
const WARM: usize = 3;
const WARM_CONVERSATION: usize = 70;

/// One of each kind of number.
#[derive(Clone, Copy)]
struct Kinds<T> {
    instructions: T,
    allocations: T,
    ratios: T,
}

type Numbers = BTreeMap<String, f64>;
/// Prepares a path.
type Make = fn() -> Measure;

/// What `benches/counts.json` holds.
#[derive(Default, Deserialize, Serialize)]
struct Baseline {
    /// How it is renewed.
    renew: String,
    /// The compiler that it was made with.
    rustc: String,
    /// Of one sample, by architecture and path.
    instructions: BTreeMap<String, Numbers>,
    /// Of one sample, by path.
    allocations: Numbers,
    /// Of instructions of two paths.
    ratios: BTreeMap<String, Numbers>,
}

/// A large input over a small one: what must not grow with the size, and what must grow no more than it.
const RATIOS: [(&str, &str, &str); 2] = [
    ("a character in 10 MB / in 1 MB", "keystroke-10mb", "keystroke-1mb"),
    ("an event of 2 MB / of 1 MB", "event-2mb", "event-1mb"),
];

fn paths() -> Vec<(&'static str, Make)> {
    vec![
        ("decode-chat", || decode::PROTOCOLS[0].measure()),
        ("decode-responses", || decode::PROTOCOLS[1].measure()),
        ("decode-messages", || decode::PROTOCOLS[2].measure()),
        ("decode-generate-content", || decode::PROTOCOLS[3].measure()),
        ("decode-ollama", || decode::PROTOCOLS[4].measure()),
        ("event-1mb", || large_event("event-1mb", 1 << 20)),
        ("event-2mb", || large_event("event-2mb", 2 << 20)),
        ("keystroke-1mb", || text::keystroke("keystroke-1mb", 1 << 20, "1 MB")),
        ("keystroke-10mb", || text::keystroke("keystroke-10mb", 10 << 20, "10 MB")),
        ("keystroke-staged", || text::keystroke_over_staged().expect("a temporary folder")),
        ("snapshot", text::snapshot),
        ("rebase", || text::carry().expect("disjoint edits")),
        ("prepare", prepare::request),
        ("count", || tokens::count(64 << 10)),
    ]
}

fn large_event(id: &'static str, size: usize) -> Measure {
    let stream = decode::PROTOCOLS[0].stream(&"x".repeat(size), 1);
    Measure::new(id, id, "", 1, move || {
        let mut events = Vec::new();
        decode::read(&mut decode::PROTOCOLS[0].reader()?, &stream, &mut events)?;
        Ok(0.0)
    })
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["--one", id] => {
            warm(id, region);
            ExitCode::SUCCESS
        }
        ["--check", file] => check(file.as_ref()),
        ["--renew", file] => {
            let made = serde_json::to_string_pretty(&count()).expect("plain numbers") + "\n";
            std::fs::write(file, made).expect("the file can be written");
            ExitCode::SUCCESS
        }
        // Cargo starts every bench target.
        [] => {
            println!("{}", serde_json::to_string_pretty(&count()).expect("plain numbers"));
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("counts [--check FILE | --renew FILE]");
            ExitCode::from(2)
        }
    }
}

/// Prepares a path, runs it until it is warm, and then gives it away.
fn warm<T>(id: &str, then: impl FnOnce(&mut Measure) -> T) -> T {
    let (_, make) = paths().into_iter().find(|(known, _)| *known == id).expect("a known path");
    let mut measure = make();
    for _ in 0..if id == "prepare" { WARM_CONVERSATION } else { WARM } {
        measure.sample().expect("good work");
    }
    then(&mut measure)
}

/// Instructions are collected while this runs: valgrind knows it by its name.
#[inline(never)]
fn region(measure: &mut Measure) {
    black_box(measure.sample().expect("good work"));
}

fn count() -> Baseline {
    let mut instructions = Numbers::new();
    let mut allocations = Numbers::new();
    for (id, _) in paths() {
        let counted = warm(id, |measure| {
            let region = Region::new(COUNTED);
            black_box(measure.sample().expect("good work"));
            region.change().allocations
        });
        allocations.insert(id.to_owned(), counted as f64);
        instructions.insert(id.to_owned(), instructions_of(id));
    }
    let ratio = |(name, large, small): (&str, &str, &str)| {
        let ratio = instructions[large] / instructions[small];
        (name.to_owned(), (ratio * 1000.0).round() / 1000.0)
    };
    let architecture = std::env::consts::ARCH.to_owned();
    let ratios = RATIOS.map(ratio).into_iter().collect();
    let rustc = Command::new("rustc").arg("--version").output().map(|output| output.stdout).unwrap_or_default();
    Baseline {
        renew: "benches/check --renew".to_owned(),
        rustc: String::from_utf8_lossy(&rustc).trim().to_owned(),
        instructions: [(architecture.clone(), instructions)].into(),
        allocations,
        ratios: [(architecture, ratios)].into(),
    }
}

/// The instructions of one sample.
fn instructions_of(id: &str) -> f64 {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("out");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no", "--toggle-collect=*counts*region*", "--quiet"])
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(std::env::current_exe().expect("this program has a path"))
        .args(["--one", id])
        .output()
        .expect("valgrind counts instructions; Debian's package is valgrind");
    assert!(output.status.success(), "{id}: {}", String::from_utf8_lossy(&output.stderr));
    let text = std::fs::read_to_string(file).expect("what valgrind wrote");
    let total = text.lines().find_map(|line| line.strip_prefix("totals: ").or_else(|| line.strip_prefix("summary: ")));
    let total: f64 = total.and_then(|total| total.trim().parse().ok()).expect("a sum");
    assert!(total > 0.0, "{id}: nothing was counted; does valgrind see the function `region`?");
    total
}

fn check(file: &Path) -> ExitCode {
    let text = std::fs::read_to_string(file).expect("the baseline");
    let before: Baseline = serde_json::from_str(&text).expect("a baseline");
    let now = count();
    let architecture = std::env::consts::ARCH;
    if !before.instructions.contains_key(architecture) {
        println!("no instructions of {architecture} in {}: only allocations are held against it", file.display());
    }
    let nothing = Numbers::new();
    let of = |all: &'_ BTreeMap<String, Numbers>| all.get(architecture).unwrap_or(&nothing).clone();
    let mut worse = 0;
    for (what, before, now, allowed) in [
        ("allocations", &before.allocations, &now.allocations, ALLOWED.allocations),
        ("instructions", &of(&before.instructions), &of(&now.instructions), ALLOWED.instructions),
        ("ratio", &of(&before.ratios), &of(&now.ratios), ALLOWED.ratios),
    ] {
        for (id, before) in before {
            let Some(now) = now.get(id) else {
                println!("{what:<13} {id:<32} is not counted any more; renew the file");
                worse += 1;
                continue;
            };
            let change = if *before > 0.0 { now / before - 1.0 } else { *now };
            let word = match change {
                change if change > allowed => {
                    worse += 1;
                    "REGRESSION"
                }
                change if change < -allowed => "better: renew the file",
                _ => "",
            };
            println!("{what:<13} {id:<32} {before:>14} → {now:>14} {:>+7.1}%  {word}", change * 100.0);
        }
    }
    if worse == 0 {
        return ExitCode::SUCCESS;
    }
    eprintln!(
        "{worse} of the numbers of {} are worse by more than is allowed; if that is meant: benches/check --renew, and say why",
        file.display()
    );
    ExitCode::FAILURE
}
