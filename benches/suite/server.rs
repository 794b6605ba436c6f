//! The server as a process, beside the floor: start, memory, keystrokes.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use ropeway::cli::bench::server::{CHANGES, burst};
use serde_json::json;

use super::child::Server;
use super::report::{Figure, Random, Report, ms, source_text};

pub fn measure(report: &mut Report) {
    let home = tempfile::tempdir().expect("a temporary folder");
    let ropeway = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ropeway"));
        command
            .env_clear()
            .env("HOME", home.path())
            .env("XDG_CONFIG_HOME", home.path())
            .env("XDG_STATE_HOME", home.path());
        command
    };
    let floor_path = floor_binary();
    let floor = || {
        let mut command = Command::new(&floor_path);
        command.env_clear().arg("--serve");
        command
    };

    let starts = 31;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let (mut our_rss, mut their_rss) = (Vec::new(), Vec::new());
    for _ in 0..starts {
        // In turn, so that a slow spell of the machine hits both.
        let mut server = Server::start(&mut ropeway());
        ours.push(ms(server.initialize(json!({}))));
        server.settle(2);
        // The configuration is read beside the first messages; at rest means after that.
        std::thread::sleep(Duration::from_millis(150));
        our_rss.push(server.rss());
        let mut server = Server::start(&mut floor());
        theirs.push(ms(server.initialize(json!({}))));
        server.settle(2);
        their_rss.push(server.rss());
    }
    report.beside("start → initialize answer", "ms", Figure::of(ours), ("floor", Figure::of(theirs)), "≤ 1.5 × floor");
    report.beside("idle memory", "MB", Figure::of(our_rss), ("floor", Figure::of(their_rss)), "≤ 6 MB");

    for size in [1, 10] {
        let text = source_text(size << 20);
        let uri = "file:///bench/text.rs";
        let mut burst = burst(uri, &text, 1, &mut Random(7));
        burst.extend(Server::frame(&json!({"jsonrpc": "2.0", "id": 9, "method": "shutdown"})));
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        let (mut our_growth, mut their_growth) = (Vec::new(), Vec::new());
        for _ in 0..7 {
            let (change, growth) = session(Server::start(&mut ropeway()), &text, &burst);
            ours.push(change);
            our_growth.push(growth / size as f64);
            let (change, growth) = session(Server::start(&mut floor()), &text, &burst);
            theirs.push(change);
            their_growth.push(growth / size as f64);
        }
        let name = format!("didChange of one character, {size} MB");
        report.beside(&name, "µs", Figure::of(ours), ("floor", Figure::of(theirs)), "≤ 2 × floor");
        let name = format!("memory per open MB of text, {size} MB");
        report.beside(&name, "MB", Figure::of(our_growth), ("floor", Figure::of(their_growth)), "≤ 1.4 MB");
    }
}

/// Opens `text`, sends the burst; returns microseconds per change and the growth in memory by opening, in MB.
fn session(mut server: Server, text: &str, burst: &[u8]) -> (f64, f64) {
    server.initialize(json!({}));
    server.settle(2);
    let before = server.rss();
    server.send(&json!({"jsonrpc": "2.0", "method": "textDocument/didOpen", "params": {"textDocument": {
        "uri": "file:///bench/text.rs", "languageId": "rust", "version": 1, "text": text}}}));
    // Twice: the first answer may go out while the server still holds the message it came behind.
    server.settle(3);
    server.settle(4);
    let growth = server.rss() - before;
    let begun = std::time::Instant::now();
    server.raw(burst);
    let (_, at) = server.answer(9);
    ((at - begun).as_secs_f64() * 1e6 / CHANGES as f64, growth)
}

/// The floor was built beside this program; of several builds the newest is meant.
fn floor_binary() -> PathBuf {
    let folder = std::env::current_exe().expect("this program has a path").parent().expect("a folder").to_owned();
    std::fs::read_dir(folder)
        .expect("a readable folder")
        .filter_map(Result::ok)
        .filter(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            name.starts_with("floor-") && !name.ends_with(".d")
        })
        .max_by_key(|entry| entry.metadata().and_then(|metadata| metadata.modified()).ok())
        .expect("`cargo bench` builds the floor too; with `--bench suite` add `--bench floor`")
        .path()
}
