//! What watching costs: a span, the memory of all of them, and their share of a run of two hundred steps.

use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use ropeway::metrics::{Metrics, Op, rss_bytes};
use serde_json::{Value, json};

use super::child::Server;
use super::model::Model;
use super::report::{Figure, Random, Report, ms};

/// Spans of a sample.
const BATCH: u32 = 20_000;
const SAMPLES: usize = 60;
const STEPS: usize = 200;
/// Servers' worth of numbers, so that the memory of one is more than a page.
const COPIES: usize = 50;

pub fn measure(report: &mut Report) {
    let metrics = Metrics::new();
    let span = each(|| metrics.span(Op::Change).end(true));
    let peer = Mutex::new(Histogram::<u32>::new_with_bounds(1, 3_600_000_000, 2).expect("bounds"));
    let locked = each(|| {
        let begun = Instant::now();
        let mut times = peer.lock().expect("nobody panics");
        times.saturating_record(begun.elapsed().as_micros().max(1) as u64);
    });
    report.beside("a span, nobody listens", "ns", span, ("clock + locked histogram", locked), "≤ 200 ns");
    report.alone("a time noted", "ns", each(|| metrics.record(Op::Tool, Duration::from_micros(7), true)), "");
    report.alone("a span, two threads on one operation", "ns", beside(&metrics), "≤ 200 ns");
    report.alone("the numbers of a status", "µs", readout(&metrics), "");
    report.alone("memory of all operations, six doublings each", "KiB", memory(), "");
    let (share, note) = of_a_run(span.median);
    report.alone("spans and status, share of a run of 200 steps", "%", share, "≤ 1 %");
    report.note(note);
}

/// Nanoseconds of one, in samples of many.
fn each(mut work: impl FnMut()) -> Figure {
    Figure::of((0..SAMPLES).map(|_| {
        let begun = Instant::now();
        (0..BATCH).for_each(|_| work());
        begun.elapsed().as_secs_f64() * 1e9 / f64::from(BATCH)
    }))
}

fn beside(metrics: &Metrics) -> Figure {
    let spans = || (0..BATCH).for_each(|_| metrics.span(Op::Stage).end(true));
    Figure::of((0..SAMPLES).map(|_| {
        let begun = Instant::now();
        std::thread::scope(|scope| {
            scope.spawn(spans);
            spans();
        });
        begun.elapsed().as_secs_f64() * 1e9 / f64::from(BATCH)
    }))
}

/// Microseconds of the record that `ropeway/status` carries, without its way to the client.
fn readout(metrics: &Metrics) -> Figure {
    let mut random = Random(3);
    for op in [Op::FirstToken, Op::Tool, Op::Request] {
        (0..1000).for_each(|_| metrics.record(op, Duration::from_micros(1 << random.below(22)), true));
    }
    Figure::of((0..200).map(|_| {
        let begun = Instant::now();
        let json = serde_json::to_string(&metrics.numbers()).expect("plain numbers");
        assert!(json.len() > 200);
        begun.elapsed().as_secs_f64() * 1e6
    }))
}

fn memory() -> Figure {
    let before = rss_bytes().unwrap_or(0);
    let mut random = Random(5);
    let all: Vec<_> = (0..COPIES)
        .map(|_| {
            let metrics = Metrics::new();
            for op in Op::ALL {
                for _ in 0..500 {
                    metrics.record(*op, Duration::from_nanos(1000 + random.below(64_000) as u64), true);
                }
            }
            metrics
        })
        .collect();
    let after = rss_bytes().unwrap_or(0);
    Figure::of([after.saturating_sub(before) as f64 / 1024.0 / all.len() as f64])
}

/// Percent of a run's time that its spans and its status records take, by their number and what one costs. The model
/// answers at once, so with a real one the share is smaller.
fn of_a_run(span_ns: f64) -> (Figure, String) {
    let home = tempfile::tempdir().expect("a temporary folder");
    let root = home.path().join("work");
    std::fs::create_dir(&root).expect("a folder");
    std::fs::write(root.join("a.rs"), "fn a() {}\n".repeat(2_000)).expect("a file");
    let mut model = Model::start();
    let config = home.path().join("config.toml");
    let settings = format!(
        "model = \"bench/m\"\n[providers.bench]\nkind = \"openai\"\nbase_url = \"{}\"\napi_key_env = \"\"\n[agent]\nmax_steps = \
         1000\n[llm]\nrequests_per_second = 10000.0\nburst = 10000\n",
        model.base_url()
    );
    std::fs::write(&config, settings).expect("a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_ropeway"));
    command.env_clear().env("HOME", home.path()).env("XDG_STATE_HOME", home.path()).env("ROPEWAY_CONFIG", &config);
    let mut server = Server::start(&mut command);
    server.initialize(json!({
        "rootUri": format!("file://{}", root.display()), "capabilities": {},
        "initializationOptions": {"events": true, "status": true},
    }));
    let begun = Instant::now();
    server.send(&json!({"jsonrpc": "2.0", "id": 10, "method": "workspace/executeCommand", "params": {
        "command": "ropeway.run", "arguments": [{"action": "task", "prompt": "look around"}]}}));
    server.answer(10);
    for step in 0..STEPS {
        model.accept();
        model.call(0, "read_file", &json!({"path": "a.rs", "offset": step * 7 + 1, "limit": 40}));
        model.call(1, "list_dir", &json!({}));
        model.event(json!({}), Some("tool_calls"));
        model.end();
    }
    model.accept();
    model.event(json!({"content": "Done."}), Some("stop"));
    model.end();
    server.wait(|message| message["params"]["kind"] == "finished");
    let wall = begun.elapsed();
    server.send(&json!({"jsonrpc": "2.0", "id": 11, "method": "workspace/executeCommand", "params": {
        "command": "ropeway.stats", "arguments": [{}]}}));
    let (stats, _) = server.answer(11);
    let count = |stats: &Value| -> u64 {
        let all = stats["result"]["operations"].as_object().expect("operations");
        all.values().filter_map(|op| op["count"].as_u64()).sum()
    };
    let spans = count(&stats);
    let statuses = (wall.as_secs_f64() * 4.0).ceil() as u64;
    // A record with its way out is below 100 µs; see the row of the numbers.
    let cost = spans as f64 * span_ns / 1e9 + statuses as f64 * 100e-6;
    let share = cost / wall.as_secs_f64() * 100.0;
    let note = format!(
        "spans: {spans} of them and at most {statuses} status records in a run of {STEPS} steps and {:.0} ms, counted by \
         the server; the share is an estimate from their number",
        ms(wall)
    );
    (Figure::of([share]), note)
}
