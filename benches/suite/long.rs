//! A run of two thousand steps against a small window: its prompts stay inside it, summaries are far apart, and the
//! server's memory does not grow with the steps.
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
/// Looks before which the allocator and the caches are still filling.
const WARM: usize = 3;

pub fn measure(report: &mut Report) {
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
         [agent]\nmax_steps = 10000\n[llm]\nrequests_per_second = 10000.0\nburst = 10000\n",
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
    let (early, late) =
        (Figure::of(memory[WARM..WARM + 4].iter().copied()), Figure::of(memory[memory.len() - 4..].iter().copied()));
    report.beside("memory at the end of 2,000 steps", "MB", late, ("after some hundred", early), "flat");
    report.alone("from an answer to the next request", "ms", Figure::of(times), "");
    report.note(format!(
        "long: {STEPS} steps, {summaries} summaries, at least {nearest} steps apart; largest prompt {largest} of {WINDOW} tokens; \
         memory every {LOOK} steps, MB: {}",
        memory.iter().map(|mb| format!("{mb:.1}")).collect::<Vec<_>>().join(" ")
    ));
    assert!(nearest > 2, "summaries follow one another");
}
