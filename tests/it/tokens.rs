//! What is shown of tokens and money: the dump of a conversation, the context meter, what was spent, `ropeway tokens`.

#![expect(clippy::disallowed_methods, reason = "the tests write the files that the program reads")]

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::agent::Bench;
use crate::support::editor::Setup;
use crate::support::model::Turn;

fn settings() -> Value {
    let price = json!({"input": 1000.0, "output": 1000.0});
    json!({"models": {"test/m": {"price": price, "context_window": 10_000}}, "context": {"compact_at": 0.5}})
}

/// A run that reads a file and searches, then answers.
fn looked(bench: &mut Bench) -> Value {
    bench.model.script([
        Turn::calls([("read_file", json!({"path": "a.rs"})), ("glob", json!({"pattern": "*"}))]).usage(500, 0, 20),
        Turn::text("Seen.").usage(900, 400, 30),
    ]);
    let run = bench.task("look");
    let outcome = bench.finished(&run);
    assert_eq!(outcome["status"], "answered", "{outcome}");
    outcome
}

fn sum(messages: &Value, wanted: impl Fn(&Value) -> bool) -> u64 {
    let messages = messages.as_array().unwrap().iter().filter(|message| wanted(message));
    messages.map(|message| message["tokens"].as_u64().unwrap()).sum()
}

#[test]
fn a_dump_shows_each_message_with_its_tokens() {
    let mut bench = Bench::start(&[("a.rs", "fn main() {}\n")], settings(), |setup| setup);
    looked(&mut bench);
    let dump = bench.editor.command("ropeway.dump", json!({}));
    let roles: Vec<&str> =
        dump["messages"].as_array().unwrap().iter().map(|message| message["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["system", "tools", "user", "assistant", "tool", "tool", "assistant"]);
    let messages = &dump["messages"];
    assert_eq!(messages[3]["calls"][0]["tool"], "read_file");
    assert!(messages[4]["text"].as_str().unwrap().contains("fn main() {}"), "{messages}");
    assert_eq!(messages[6]["text"], "Seen.");
    assert!(messages.as_array().unwrap().iter().all(|message| message["tokens"].as_u64().unwrap() > 0));
    // Nobody publishes how this model counts: it is an estimate, made from what the provider said of the prompt.
    assert_eq!((&dump["basis"], &dump["encoding"]), (&json!("estimate"), &json!("o200k_base")));
    assert_eq!(dump["reported"], json!({"model": "test/m", "messages": 3, "inputTokens": 900}));
    let prompt = sum(messages, |message| message["text"] != "Seen.");
    assert!((895..=905).contains(&prompt), "{prompt}: {dump}");
    assert_eq!((&dump["window"], &dump["compactAt"]), (&json!(10_000), &json!(5_000)));

    let named = bench.editor.command("ropeway.dump", json!({"threadId": dump["threadId"]}));
    assert_eq!(named, dump);
}

#[test]
fn the_context_meter_shows_its_parts_and_they_add_up() {
    let mut bench = Bench::start(&[("a.rs", "fn main() {}\n")], settings(), |setup| setup);
    let before = bench.editor.command("ropeway.stats", json!({}));
    assert!(before.get("context").is_none() && before["caches"]["counts"]["misses"] == 0, "{before}");
    looked(&mut bench);
    let context = bench.editor.command("ropeway.stats", json!({}))["context"].clone();
    let messages = bench.editor.command("ropeway.dump", json!({}))["messages"].clone();
    let parts = &context["parts"];
    assert_eq!(parts["system"], sum(&messages, |message| message["role"] == "system"));
    assert_eq!(parts["tools"], sum(&messages, |message| message["role"] == "tools"));
    assert_eq!(parts["files"], sum(&messages, |message| message["tool"] == "read_file"));
    assert_eq!(parts["results"], sum(&messages, |message| message["tool"] == "glob"));
    let all: u64 = parts.as_object().unwrap().values().map(|part| part.as_u64().unwrap()).sum();
    assert_eq!(context["tokens"], all, "{context}");
    let again = bench.editor.command("ropeway.stats", json!({}));
    assert!(again["caches"]["counts"]["hits"].as_u64().unwrap() > 5, "{}", again["caches"]);
    let lists = &again["caches"]["lists"];
    assert_eq!((&lists["walks"], &lists["lists"], &lists["files"]), (&json!(1), &json!(1), &json!(1)), "{lists}");
    assert_eq!((&context["window"], &context["compactAt"]), (&json!(10_000), &json!(5_000)));
}

#[test]
fn what_was_spent_is_told_by_request_thread_and_day() {
    let state = tempfile::tempdir().unwrap();
    let dir = state.path().to_owned();
    let with_state = |mut setup: Setup| {
        setup.options.state_dir = Some(dir.clone());
        setup
    };
    let mut bench = Bench::start(&[("a.rs", "")], settings(), with_state);
    looked(&mut bench);
    looked(&mut bench);
    let spent = bench.editor.command("ropeway.stats", json!({}))["spent"].clone();
    assert_eq!((&spent["request"]["inputTokens"], &spent["request"]["cachedTokens"]), (&json!(900), &json!(400)));
    assert_eq!(spent["thread"]["inputTokens"], 1400);
    assert_eq!((&spent["day"]["inputTokens"], &spent["day"]["outputTokens"]), (&json!(2800), &json!(100)));
    assert!((spent["day"]["costUsd"].as_f64().unwrap() - 2.9).abs() < 1e-9, "{spent}");
    drop(bench);
    let mut bench = Bench::start(&[("a.rs", "")], settings(), with_state);
    let spent = bench.editor.command("ropeway.stats", json!({}))["spent"].clone();
    assert_eq!(spent["day"]["inputTokens"], 2800, "the day outlives the server");
    assert!(spent.get("thread").is_none(), "{spent}");
}

#[test]
fn a_dump_of_nothing_says_that_there_is_nothing() {
    let mut bench = Bench::with(&[("a.rs", "")]);
    for (argument, says) in [(json!({}), "no conversation yet"), (json!({"threadId": "t-none"}), "t-none")] {
        let id =
            bench.editor.ask("workspace/executeCommand", json!({"command": "ropeway.dump", "arguments": [argument]}));
        let error = bench.editor.answer(id).unwrap_err();
        assert!(error["message"].as_str().unwrap().contains(says), "{error}");
    }
}

/// Runs the program in a folder of its own: code, standard output, standard error.
fn ropeway(args: &[&str], files: &[(&str, &[u8])], input: &str) -> (i32, String, String) {
    let home = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(home.path().join(name), text).unwrap();
    }
    let mut child = Command::new(env!("CARGO_BIN_EXE_ropeway"))
        .args(args)
        .env_clear()
        .env("HOME", home.path())
        .current_dir(home.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn tokens_of_files_are_counted_as_the_model_counts_them() {
    let files: [(&str, &[u8]); 2] = [("a.txt", b"hello world"), ("b.txt", &[b'x', 0xff, b'\n'])];
    let ran = ropeway(&["tokens", "--model", "openai/gpt-5", "a.txt", "b.txt"], &files, "");
    assert_eq!(ran, (0, "2  a.txt\n2  b.txt\n4  total\n".into(), String::new()));
    let (code, out, err) = ropeway(&["tokens", "--json", "--model", "anthropic/claude-opus-5-5", "a.txt"], &files, "");
    let report: Value = serde_json::from_str(&out).unwrap();
    let wanted = json!({"model": "anthropic/claude-opus-5-5", "encoding": "o200k_base", "basis": "estimate",
        "files": [{"file": "a.txt", "tokens": 2, "bytes": 11}], "tokens": 2});
    assert_eq!((code, report, err), (0, wanted, String::new()));
}

#[test]
fn tokens_of_standard_input_are_counted_and_an_estimate_is_called_one() {
    let (code, out, err) = ropeway(&["tokens"], &[], "hello world");
    assert_eq!((code, &*out), (0, "2  -\n"));
    assert!(err.contains("an estimate"), "{err}");
    let (code, out, err) = ropeway(&["tokens", "--model", "gpt-4", "none.txt", "-"], &[], "hello");
    assert_eq!((code, &*out), (1, "1  -\n"));
    assert!(err.contains("none.txt"), "{err}");
}
