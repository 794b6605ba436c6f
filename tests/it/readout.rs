//! What the server says of itself against what a test counts from the messages that it sees.
#![expect(clippy::disallowed_methods, reason = "a command waits for a file that the test makes")]

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::commands::{Place, command, outside};
use crate::support::agent::Bench;
use crate::support::model::{Turn, openai};

/// US dollars per million tokens: new, cached, output.
const PRICE: [f64; 3] = [3.0, 0.25, 12.0];
const FILES: [(&str, &str); 2] = [("a.rs", "fn a() {}\n"), ("b.rs", "fn b() {}\n")];

fn settings(more: &Value) -> Value {
    let [input, cached, output] = PRICE;
    let model = json!({"context_window": 500_000, "price": {"input": input, "cached_input": cached, "output": output}});
    let mut all = json!({
        "models": {"test/m": model}, "monitor": {"status_hz": 50},
        "llm": {"max_retries": 1, "requests_per_second": 10_000, "burst": 10_000},
        "tools": {"max_parallel": 16}, "agent": {"prefetch": false}, "context": {"start_tokens": 0},
    });
    for (key, value) in more.as_object().unwrap() {
        all[key] = value.clone();
    }
    all
}

/// What the test counts by itself.
#[derive(Default)]
struct Seen {
    /// Calls that go on, by run.
    running: BTreeMap<String, BTreeSet<String>>,
    peak: usize,
    done: u64,
    failed: u64,
    ended: usize,
}

impl Seen {
    fn message(&mut self, message: &Value) {
        if message["method"] != "ropeway/event" {
            return;
        }
        let event = &message["params"];
        let run = event["runId"].as_str().unwrap().to_owned();
        let call = event["callId"].as_str().unwrap_or_default().to_owned();
        match event["kind"].as_str().unwrap() {
            "toolStarted" => {
                self.running.entry(run).or_default().insert(call);
                self.peak = self.peak.max(self.running.values().map(BTreeSet::len).sum());
            }
            "toolFinished" => {
                self.running.entry(run).or_default().remove(&call);
                *(if event["error"].is_null() { &mut self.done } else { &mut self.failed }) += 1;
            }
            "finished" => {
                self.running.remove(&run);
                self.ended += 1;
            }
            _ => {}
        }
    }
}

/// What the model's side has counted for, and how many whole answers it gave.
#[derive(Default)]
struct Bill {
    tokens: [u64; 3],
    answers: u64,
    failures: u64,
}

impl Bill {
    fn answer(&mut self, turn: Turn) -> Turn {
        self.answers += 1;
        let usage = (1000 + self.answers * 17, self.answers * 5, 40 + self.answers);
        for (sum, more) in self.tokens.iter_mut().zip([usage.0, usage.1, usage.2]) {
            *sum += more;
        }
        turn.usage(usage.0, usage.1, usage.2)
    }

    fn cost(&self) -> f64 {
        let [input, cached, output] = self.tokens.map(|tokens| tokens as f64);
        ((input - cached) * PRICE[0] + cached * PRICE[1] + output * PRICE[2]) / 1e6
    }
}

fn near(value: &Value, wanted: f64) -> bool {
    (value.as_f64().unwrap() - wanted).abs() < 1e-9
}

/// Waits for the status at rest that has counted so many tokens of answers.
fn rest(bench: &mut Bench, output: u64) -> Value {
    let wanted = |message: &Value| {
        let status = &message["params"];
        let at_rest = status["runs"] == json!([]) && status["tokens"]["output"] == output;
        message["method"] == "ropeway/status" && at_rest
    };
    bench.editor.wait_for("the status at rest", wanted)["params"].clone()
}

#[test]
fn the_status_numbers_are_those_of_an_independent_count() {
    let gate = outside();
    let mut place = Place::with(&FILES, settings(&json!({})), ropeway::tools::sandbox::Level::Full);
    let bench = &mut place.bench;
    let seen = Rc::new(RefCell::new(Seen::default()));
    let count = seen.clone();
    bench.editor.on_message(move |_, message| count.borrow_mut().message(message));
    bench.editor.ignore("window/showMessage");

    // Four runs whose commands go on side by side until the test lets them; three of them go on to other ends.
    let line = format!("until test -e {}/go; do sleep 0.02; done; echo over", gate.path().display());
    let bill = Arc::new(Mutex::new(Bill::default()));
    let (ours, first) = (bill.clone(), line);
    bench.model.answer_with(move |request| {
        let mut bill = ours.lock().unwrap();
        let (text, messages) = (request.body.to_string(), request.messages().len());
        let waits = text.contains("[waits]");
        let fails = text.contains("[fails]");
        let tries = text.contains("[tries]");
        let looks = text.contains("[looks]");
        Some(match messages {
            2 if tries && bill.failures == 0 => {
                bill.failures += 1;
                Turn::failure(503, &[("retry-after-ms", "1")], "")
            }
            2 if looks => {
                let read = |path: &str| ("read_file", json!({"path": path}));
                bill.answer(Turn::calls([read("a.rs"), read("b.rs"), read("none.rs")]))
            }
            2 if waits || fails || tries => bill.answer(Turn::calls([command(&first)])),
            4 if fails => {
                bill.failures += 1;
                Turn::failure(401, &[], "")
            }
            _ => bill.answer(Turn::text("Done.")),
        })
    });
    let words = ["a [waits]", "b [fails]", "c [tries]", "d [waits] and is cancelled"];
    bench.editor.choices.extend(vec![Some("Allow once".to_owned()); words.len()]);
    let runs = words.map(|word| bench.task(word));
    let all = seen.clone();
    bench.editor.until("four calls at a time", |_| (all.borrow().peak == 4).then_some(()));
    let now = bench.editor.command("ropeway.stats", json!({}));
    assert_eq!((&now["tools"]["running"], &now["queues"]["tools"]["running"]), (&json!(4), &json!(4)), "{now}");
    bench.editor.command("ropeway.cancel", json!({"runId": runs[3]}));
    let all = seen.clone();
    bench.editor.until("the cancelled run", |_| (all.borrow().ended == 1).then_some(()));
    std::fs::write(gate.path().join("go"), "").unwrap();
    let all = seen.clone();
    bench.editor.until("the other runs", |_| (all.borrow().ended == 4).then_some(()));
    let last = bench.task("e [looks]");
    let all = seen.clone();
    bench.editor.until("the last run", |_| (all.borrow().ended == 5).then_some(()));

    let bill = bill.lock().unwrap();
    let seen = std::mem::take(&mut *seen.borrow_mut());
    let [input, cached, output] = bill.tokens;
    let status = rest(bench, output);
    assert_eq!((&status["tokens"]["input"], &status["tokens"]["cached"]), (&json!(input), &json!(cached)), "{status}");
    assert!(near(&status["costUsd"]["session"], bill.cost()), "{status}");
    assert!(near(&status["cacheHitRate"]["tokens"], cached as f64 / input as f64), "{status}");
    let tools = json!({"running": 0, "peak": seen.peak, "done": seen.done, "failed": seen.failed});
    assert_eq!(status["tools"], tools);
    assert_eq!((seen.peak, seen.done, seen.failed), (4, 5, 1));

    let stats = bench.editor.command("ropeway.stats", json!({}));
    let operation = |name: &str| stats["operations"][name]["count"].clone();
    // The failure that passed was tried again within its call; the other ended its run.
    let calls = bill.answers + 1;
    assert_eq!(bill.failures, 2);
    assert_eq!((operation("request"), operation("firstToken")), (json!(calls), json!(bill.answers)), "{stats}");
    assert_eq!(stats["operations"]["request"]["errors"], 1, "{stats}");
    assert_eq!(stats["httpPool"]["requests"], bench.model.requests().len(), "{stats}");
    assert_eq!((&stats["httpPool"]["retries"], operation("run")), (&json!(1), json!(5)), "{stats}");
    assert_eq!(operation("tool"), json!(seen.done + seen.failed), "{stats}");
    assert_eq!(stats["operations"]["tool"]["recent"]["count"], operation("tool"), "all of it is of the last minutes");

    let table = bench.editor.command("ropeway.analytics", json!({"what": "iterations"}));
    let rows = table["rows"].as_array().unwrap();
    let sum = |name: &str| rows.iter().map(|row| row[name].as_f64().unwrap()).sum::<f64>();
    assert_eq!(rows.len() as u64, calls, "{table}");
    assert_eq!([sum("input"), sum("cached"), sum("output")], [input, cached, output].map(|tokens| tokens as f64));
    assert!((sum("costUsd") - bill.cost()).abs() < 1e-9, "{table}");
    assert_eq!((sum("calls"), sum("failed")), ((seen.done + seen.failed) as f64, seen.failed as f64), "{table}");
    assert_eq!((sum("retries"), rows.iter().filter(|row| row["ended"] == "failed").count()), (1.0, 1), "{table}");
    let looked: Vec<_> = rows.iter().filter(|row| row["runId"] == *last).collect();
    assert_eq!((looked.len(), &looked[0]["calls"], &looked[0]["failed"]), (2, &json!(3), &json!(1)), "{table}");
}

#[test]
fn what_dispatching_during_the_stream_has_won_is_measured_and_is_nothing_without_it() {
    for dispatches in [true, false] {
        let more = json!({"agent": {"prefetch": false, "stream_dispatch": dispatches}});
        let mut bench = Bench::start(&FILES, settings(&more), |setup| setup);
        let run = bench.task("look");
        let (_, mut reply) = bench.model.expect_blocking();
        reply.sse();
        reply.send(openai::start());
        // A later index closes the call before it.
        reply.send(openai::call(0, "c0", "read_file", r#"{"path": "a.rs"}"#));
        reply.send(openai::call(1, "c1", "read_file", r#"{"path": "b.rs"}"#));
        if dispatches {
            bench.event(&run, "toolFinished");
        }
        for event in [openai::finish("tool_calls"), openai::usage(100, 0, 10), openai::done()] {
            reply.send(event);
        }
        reply.end();
        bench.model.script([Turn::text("Done.")]);
        bench.finished(&run);
        let table = bench.editor.command("ropeway.analytics", json!({"what": "iterations"}));
        let row = &table["rows"][0];
        let number = |name: &str| row[name].as_f64().unwrap();
        assert_eq!((&row["step"], &row["calls"], &row["ended"]), (&json!(1), &json!(2), &json!("answered")), "{table}");
        assert_eq!(number("wonByStreamMs") > 0.0, dispatches, "{table}");
        assert!(number("wonByStreamMs") + number("wonByParallelMs") <= number("toolMs") + 1e-6, "{table}");
        assert!(number("firstTokenMs") <= number("modelMs"), "{table}");
        let stats = bench.editor.command("ropeway.stats", json!({}));
        assert_eq!(stats["wonMs"]["stream"].as_f64().unwrap() > 0.0, dispatches, "{stats}");
    }
}

#[test]
fn the_readout_names_every_operation_of_a_run_and_what_waits() {
    let state = tempfile::tempdir().unwrap();
    let dir = state.path().to_owned();
    let mut bench = Bench::start(&FILES, settings(&json!({})), |mut setup| {
        setup.options.state_dir = Some(dir);
        setup
    });
    let uri = bench.open("a.rs");
    let edit = ("edit_file", json!({"path": "a.rs", "old_string": "fn a", "new_string": "fn c"}));
    bench.model.script([Turn::calls([edit]), Turn::text("Done.")]);
    let place = json!({"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 0}});
    let asked = json!({"textDocument": {"uri": uri}, "range": place, "context": {"diagnostics": []}});
    bench.editor.request("textDocument/codeAction", asked);
    let run = bench.run(json!({"action": "task", "prompt": "rename", "uri": uri}));
    assert_eq!(bench.finished(&run)["status"], "applied");
    let stats = loop {
        let stats = bench.editor.command("ropeway.stats", json!({}));
        // The recorder writes a moment later.
        if stats["operations"]["recorderFlush"]["count"].is_u64() {
            break stats;
        }
        std::thread::yield_now();
    };
    for name in [
        "message",
        "change",
        "codeAction",
        "snapshot",
        "configLoad",
        "run",
        "gather",
        "prepare",
        "request",
        "queue",
        "connect",
        "firstByte",
        "firstToken",
        "lastToken",
        "tool",
        "toolWait",
        "dispatch",
        "stage",
        "rebase",
        "propose",
        "apply",
        "recorderFlush",
    ] {
        let numbers = &stats["operations"][name];
        assert!(numbers["count"].as_u64().is_some_and(|count| count > 0), "{name}: {stats}");
        for number in ["errors", "p50", "p95", "p99", "max"] {
            assert!(numbers[number].is_number() && numbers["recent"][number].is_number(), "{name}.{number}: {stats}");
        }
    }
    for pointer in [
        "/queues/in/waiting",
        "/queues/out/messages",
        "/queues/out/bytes",
        "/queues/out/dropped",
        "/queues/tools/waiting",
        "/startup/introducedMs",
        "/startup/agentMs",
        "/startup/firstRunMs",
        "/history/textBytes",
        "/history/messages",
        "/cpu/ms",
        "/recentMs",
        "/wonMs/parallel",
    ] {
        assert!(stats.pointer(pointer).is_some_and(Value::is_number), "{pointer}: {stats}");
    }
    // What was asked, the call, its result, the answer; trimming begins above 1.5 × (20 pairs and what is around them).
    let history = json!({"threads": 1, "messages": 4, "maxMessages": 67, "used": 4.0 / 67.0});
    for (name, value) in history.as_object().unwrap() {
        assert_eq!(&stats["history"][name], value, "{name}: {stats}");
    }
    assert!(stats["rssBytes"].as_u64().unwrap() > 1_000_000, "{stats}");
    // The one that asks.
    assert_eq!(stats["queues"]["in"]["waiting"], 1, "{stats}");
}

#[test]
fn while_a_run_goes_on_the_readout_says_how_late_the_runtime_is() {
    let mut bench = Bench::start(&FILES, settings(&json!({})), |setup| setup);
    let looks = |bench: &mut Bench| {
        let stats = bench.editor.command("ropeway.stats", json!({}));
        stats["operations"]["lateness"].clone()
    };
    assert!(looks(&mut bench).is_null());
    let run = bench.task("wait");
    let (request, reply) = bench.model.expect_blocking();
    let lateness = loop {
        let lateness = looks(&mut bench);
        if lateness["count"].as_u64() >= Some(2) {
            break lateness;
        }
        std::thread::yield_now();
    };
    for number in ["p50", "p95", "p99", "max"] {
        assert!(lateness[number].is_number() && lateness["recent"][number].is_number(), "{lateness}");
    }
    reply.play(&Turn::text("Done."), &request);
    bench.finished(&run);
}

#[test]
fn what_a_compaction_by_command_costs_is_counted_with_the_session() {
    let mut bench = Bench::start(&FILES, settings(&json!({})), |setup| setup);
    bench.model.script((0..4).map(|_| Turn::text(&"word ".repeat(300)).usage(2000, 0, 300)));
    let first = bench.editor.command("ropeway.run", json!({"action": "task", "prompt": "one", "wait": true}));
    for prompt in ["two", "three"] {
        let order = json!({"action": "task", "prompt": prompt, "wait": true, "thread": first["threadId"]});
        bench.editor.command("ropeway.run", order);
    }
    bench.editor.command("ropeway.compact", json!({}));
    assert_eq!(bench.model.turns_left(), 0, "the summary was asked for");
    let stats = bench.editor.command("ropeway.stats", json!({}));
    assert_eq!((&stats["tokens"]["input"], &stats["tokens"]["output"]), (&json!(8000), &json!(1200)), "{stats}");
    let one = (2000.0 * PRICE[0] + 300.0 * PRICE[2]) / 1e6;
    assert!(near(&stats["costUsd"]["session"], 4.0 * one) && near(&stats["costUsd"]["run"], one), "{stats}");
    assert!(near(&stats["spent"]["thread"]["costUsd"], 4.0 * one), "{stats}");
}
