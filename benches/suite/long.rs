//! A run of two thousand steps against a small window: its prompts stay inside it, summaries are far apart, and the
//! server's memory does not grow with the steps.
//!
//! It is played twice. As a rule the server remembers results, up to a bound that is reached half of the way; what grows
//! besides is seen where it remembers none.
//!
//! The model reads and searches the sources of three dependencies and never ends by itself. It counts each prompt with the
//! tokenizer of the model it plays, and reports that; one that does not fit ends the measuring.

use std::num::NonZero;
use std::process::Command;
use std::time::Instant;

use ropeway::tokens::Encoding;
use ropeway::tokens::counter::Counter;
use serde_json::json;

use super::child::Server;
use super::model::Model;
use super::replay::{pieces, tree};
use super::report::{Figure, Report, ms};

const STEPS: usize = 2_000;
const WINDOW: u64 = 32_768;
/// Lines read in a step.
const LINES: usize = 120;
/// Steps from one look at the memory to the next.
const LOOK: usize = 100;

/// What a run came to.
struct Long {
    /// Resident memory at each look, in MB.
    memory: Vec<f64>,
    /// Results remembered at the end, in MB.
    results: f64,
    /// What the first count of tokens, behind the end, adds to the memory, in MB.
    count: f64,
    /// From an answer to the next request, in milliseconds.
    times: Vec<f64>,
    summaries: usize,
    /// Steps between two summaries, at least.
    nearest: usize,
    /// Tokens of the largest prompt.
    largest: u64,
}

pub fn measure(report: &mut Report) {
    for (what, keep) in [("results remembered", 300_000), ("none remembered", 0)] {
        let long = play(keep);
        let looks = &long.memory;
        let grown = Figure::of([looks[looks.len() - 1] - looks[looks.len() / 2]]);
        report.alone(&format!("memory grown in the second half of {STEPS} steps, {what}"), "MB", grown, "flat");
        let end = Figure::of([looks[looks.len() - 1]]);
        report.alone(&format!("memory after {STEPS} steps, {what}"), "MB", end, "");
        report.alone(&format!("from an answer to the next request, {what}"), "ms", Figure::of(long.times), "");
        report.alone(&format!("memory for the first count, {what}"), "MB", Figure::of([long.count]), "");
        report.note(format!(
            "long, {what}: {STEPS} steps, {} summaries, at least {} steps apart; largest prompt {} of {WINDOW} tokens; \
             {:.1} MB of results at the end; memory every {LOOK} steps, MB: {}",
            long.summaries,
            long.nearest,
            long.largest,
            long.results,
            looks.iter().map(|mb| format!("{mb:.1}")).collect::<Vec<_>>().join(" ")
        ));
        assert!(long.nearest > 2, "summaries follow one another");
    }
}

/// Plays the run with results kept for so many milliseconds.
fn play(keep: u32) -> Long {
    let home = tempfile::tempdir().expect("a temporary folder");
    let root = home.path().join("work");
    let files: Vec<(String, usize)> =
        tree(&root).into_iter().map(|(path, text)| (path, text.lines().count())).collect();
    let mut model = Model::start();
    let config = home.path().join("config.toml");
    let settings = format!(
        "model = \"bench/gpt-4o\"\n[providers.bench]\nkind = \"openai\"\nbase_url = \"{}\"\napi_key_env = \"\"\n\
         [models.\"bench/gpt-4o\"]\ncontext_window = {WINDOW}\nmax_output_tokens = 2000\n\
         price = {{ input = 1.0, cached_input = 0.1, output = 5.0 }}\n\
         [agent]\nmax_steps = 10000\n[tools]\ncache_ttl_ms = {keep}\n[llm]\nrequests_per_second = 10000.0\nburst = 10000\n",
        model.base_url()
    );
    std::fs::write(&config, settings).expect("a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_ropeway"));
    command.env_clear().env("HOME", home.path()).env("XDG_STATE_HOME", home.path()).env("ROPEWAY_CONFIG", &config);
    let mut server = Server::start(&mut command);
    server.initialize(json!({
        "rootUri": format!("file://{}", root.display()),
        "capabilities": {"workspace": {"applyEdit": true, "workspaceEdit": {"documentChanges": true}}},
    }));
    server.send(&json!({"jsonrpc": "2.0", "id": 10, "method": "workspace/executeCommand", "params": {
        "command": "ropeway.run", "arguments": [{"action": "task", "prompt": "read all of it"}]}}));
    server.answer(10);

    let counter = Counter::on(10_000, NonZero::<usize>::MIN);
    let (mut step, mut largest, mut before) = (0, 0, Vec::new());
    let (mut summaries, mut nearest, mut last) = (0, usize::MAX, None);
    let (mut memory, mut times, mut asked) = (Vec::new(), Vec::new(), None);
    loop {
        let request = model.accept();
        if let Some(asked) = asked.take() {
            times.push(ms(Instant::now().duration_since(asked)));
        }
        let mut now = pieces(&request);
        let counts = counter.count_blocking(Encoding::O200k, &now.iter().map(|piece| &piece.0).collect::<Vec<_>>());
        now.iter_mut().zip(counts).for_each(|(piece, count)| piece.1 = count);
        let tokens: u64 = now.iter().map(|piece| piece.1).sum();
        assert!(tokens <= WINDOW, "step {step}: a prompt of {tokens} tokens");
        largest = largest.max(tokens);
        let same = now.iter().zip(&before).take_while(|(now, before): &(_, &(String, u64))| now.0 == before.0);
        let cached: u64 = same.map(|(now, _)| now.1).sum();
        let summary = now.last().is_some_and(|(text, _)| text.contains("Write a summary of the work so far"));
        before = now;
        if summary {
            nearest = nearest.min(last.map_or(usize::MAX, |last| step - last));
            (summaries, last) = (summaries + 1, Some(step));
            model.event(json!({"content": "Some files were read, others are left."}), Some("stop"));
            model.end_with(tokens, cached);
            continue;
        }
        if step % LOOK == 0 {
            memory.push(server.rss());
        }
        if step == STEPS {
            model.event(json!({"content": "All was read."}), Some("stop"));
            model.end_with(tokens, cached);
            break;
        }
        let (path, lines) = &files[step * 7 % files.len()];
        let first = step * 31 % lines.saturating_sub(LINES).max(1) + 1;
        model.call(0, "read_file", &json!({"path": path, "offset": first, "limit": LINES}));
        model.call(
            1,
            "grep",
            &json!({"pattern": format!("fn {}", ["new", "len", "get", "is_", "from"][step % 5]), "max_results": 20}),
        );
        model.event(json!({}), Some("tool_calls"));
        asked = Some(model.end_with(tokens, cached));
        step += 1;
    }
    // Not earlier: it counts tokens for its answer, and what that brings into memory would be taken for growth.
    let bare = server.rss();
    let results = remembered(&mut server);
    Long { memory, results, count: server.rss() - bare, times, summaries, nearest, largest }
}

/// Results that the server remembers, in MB, as it says itself.
fn remembered(server: &mut Server) -> f64 {
    server.send(&json!({"jsonrpc": "2.0", "id": 11, "method": "workspace/executeCommand",
        "params": {"command": "ropeway.stats", "arguments": [{}]}}));
    let (stats, _) = server.answer(11);
    stats["result"]["caches"]["tools"]["bytes"].as_f64().expect("the server counts them") / f64::from(1 << 20)
}
