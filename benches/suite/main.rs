//! The measurements: `cargo bench` prints one table, each figure beside its floor or peer from the same run.
//!
//! Medians, with the spread from first to third quartile. Nothing here asserts: a slow machine is not a failed test.
//! `cargo bench --bench suite -- NAME…` runs parts by the names of their files (`server`, `text`, `search`, `replay` …);
//! `--json FILE` writes the rows; `RG` names ripgrep (15 is what the README compares with), `TREE` the tree to search
//! (default: the sources of the dependencies, which every build has), `TUNACODE` a Python that has tunacode-cli 0.1.21.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a measuring program of its own, not part of the server"
)]

mod asking;
mod child;
mod config;
mod decode;
mod edits;
mod endless;
mod http;
mod long;
mod model;
mod record;
mod replay;
mod report;
mod run;
mod sandbox;
mod search;
mod server;
mod spans;
mod start;
mod syntax;
mod text;
mod tokens;
mod tools;

use report::Report;

fn main() {
    let mut names: Vec<String> = Vec::new();
    let mut json = None;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--json" => json = arguments.next(),
            // Cargo's own flag.
            "--bench" => {}
            name => names.push(name.to_owned()),
        }
    }
    let wanted = |name: &str| names.is_empty() || names.iter().any(|wanted| wanted == name);
    let mut report = Report::new();
    if wanted("server") {
        server::measure(&mut report);
    }
    if wanted("text") {
        text::measure(&mut report);
    }
    if wanted("syntax") {
        syntax::measure(&mut report);
    }
    if wanted("decode") {
        decode::measure(&mut report);
    }
    if wanted("http") {
        http::measure(&mut report);
    }
    if wanted("search") {
        search::measure(&mut report);
    }
    if wanted("sandbox") {
        sandbox::measure(&mut report);
    }
    if wanted("tokens") {
        tokens::measure(&mut report);
    }
    if wanted("tools") {
        tools::measure(&mut report);
    }
    if wanted("run") {
        run::measure(&mut report);
    }
    if wanted("spans") {
        spans::measure(&mut report);
    }
    if wanted("record") {
        record::measure(&mut report);
    }
    if wanted("replay") {
        replay::measure(&mut report);
    }
    if wanted("long") {
        long::measure(&mut report);
    }
    if wanted("start") {
        start::measure(&mut report);
    }
    if wanted("config") {
        config::measure(&mut report);
    }
    if wanted("edits") {
        edits::measure(&mut report);
    }
    report.print();
    if let Some(path) = json {
        std::fs::write(&path, report.json()).expect("the report can be written");
    }
}
