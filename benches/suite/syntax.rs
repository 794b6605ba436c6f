//! Syntax trees: an outline from nothing and after a keystroke, the check that follows each edit, and what it costs to
//! ask whether a path is protected.

use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use ropeway::disk::{Disk, DiskLimits};
use ropeway::paths::{Root, Roots};
use ropeway::syntax::{self, Language, Parsed};
use ropeway::text::Text;
use ropeway::workspace::Workspace;

use super::report::{Figure, Report};

const ROUNDS: usize = 31;

pub fn measure(report: &mut Report) {
    if Language::built_in().is_empty() {
        report.note("syntax was not measured: this build has no grammars");
    } else {
        for (size, name) in [(64 << 10, "64 KB"), (1 << 20, "1 MB")] {
            trees(report, size, name);
        }
    }
    protection(report);
}

fn trees(report: &mut Report, size: usize, name: &str) {
    let text = Text::from(&*program(size));
    let parse = |text: &Text, previous: Option<&Parsed>| {
        syntax::parse(text, Language::Rust, previous, &mut || false).expect("within the limits")
    };
    let outline = |parsed: &Parsed| syntax::outline(parsed, 2_000, &mut || false).symbols.len();
    let whole = parse(&text, None);
    let (mut cold, mut warm, mut check, mut broken) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let middle = text.line_start(text.lines() / 2);
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        black_box(outline(&parse(&text, None)));
        cold.push(millis(begun));

        let mut typed = text.clone();
        typed.replace(middle..middle, "// typed\n");
        let begun = Instant::now();
        black_box(outline(&parse(&typed, Some(&whole))));
        warm.push(millis(begun));

        let begun = Instant::now();
        black_box(parse(&typed, Some(&whole)).is_broken());
        check.push(millis(begun));

        let mut spoilt = text.clone();
        spoilt.replace(middle..middle, "fn (\n");
        let begun = Instant::now();
        let after = parse(&spoilt, Some(&whole));
        black_box(syntax::problems(&after, 6, &mut || false).len());
        broken.push(millis(begun));
    }
    let cold = Figure::of(cold);
    report.alone(&format!("outline of {name} of Rust, cold"), "ms", cold, "");
    report.beside(&format!("the same after a keystroke, {name}"), "ms", Figure::of(warm), ("cold", cold), "");
    report.beside(&format!("syntax check of an edit, {name}"), "ms", Figure::of(check), ("cold", cold), "");
    report.beside(&format!("the same of one that breaks it, {name}"), "ms", Figure::of(broken), ("cold", cold), "");
}

fn protection(report: &mut Report) {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir_all(folder.path().join("a/b/c/.git")).expect("a folder in it");
    std::fs::create_dir_all(folder.path().join(".git")).expect("another");
    std::fs::write(folder.path().join(".git/config"), "[core]\n\tbare = false\n").expect("a file");
    std::fs::write(folder.path().join("a/b/c/x.rs"), "").expect("another");
    let workspace = Workspace::new(Arc::new(Disk::new(DiskLimits::default())));
    workspace.set_roots(Roots::new(vec![Root::open("bench", folder.path()).expect("it is there")]));
    workspace.keep_off([folder.path().join("none")]);
    let path = workspace.roots().resolve("a/b/c/x.rs").expect("in it");
    let samples = (0..ROUNDS).map(|_| {
        let begun = Instant::now();
        for _ in 0..100 {
            black_box(workspace.protection(&path));
        }
        begun.elapsed().as_secs_f64() * 1e6 / 100.0
    });
    report.alone("is a path four deep protected", "µs", Figure::of(samples), "");
}

/// About `size` bytes of sound Rust.
fn program(size: usize) -> String {
    let mut text = String::with_capacity(size + 500);
    let mut number = 0;
    while text.len() < size {
        number += 1;
        let _ = write!(
            text,
            "/// Reads word {number}.\npub fn word_{number}(&self, input: &str) -> Result<Vec<Token>, Error> {{\n    \
             let mut found = Vec::new();\n    for (at, ch) in input.char_indices() {{\n        if ch == ' ' && at > \
             {number} {{\n            found.push(Token {{ at, kind: Kind::Word }});\n        }}\n    }}\n    Ok(found)\n}}\n\n"
        );
    }
    format!("impl Reader {{\n{text}}}\n")
}

fn millis(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1e3
}
