//! What recording costs: whoever records an event, the writer, and a whole run.
//!
//! A run is 200 steps, played with everything that records and shows numbers and without, in turns: once with a model
//! that thinks for a moment, as every model does, and once with one that answers at once, so that nothing hides what is
//! added. Spans cannot be switched off: `spans` counts and weighs them. Wall time is what the user waits for; the server's own time on the cores, its writer's included,
//! says the same with less noise.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ropeway::ids::{RunId, ThreadId};
use ropeway::llm::secrets::Redactor;
use ropeway::trajectory::record::ToolFinished;
use ropeway::trajectory::recorder::{Recorder, RunRecorder, Settings};
use serde_json::json;

use super::child::Server;
use super::model::Model;
use super::report::{Figure, Report, ms, source_text};

const STEPS: usize = 200;
const PAIRS: usize = 9;
/// How long the model of a replayed run thinks before each answer, of which nothing else takes time: less than any that
/// is asked over a network.
const THINKS: Duration = Duration::from_millis(15);
/// Those runs take their time.
const SLOW_PAIRS: usize = 5;
const PATIENCE: Duration = Duration::from_secs(60);
/// As many as wait at most, and some room.
const BURST: usize = 32_000;

/// An event of 560 bytes on disk, as the figures of other recorders are for.
fn event(log: &RunRecorder, result: &Arc<str>, n: usize) {
    log.record(ToolFinished {
        call: "call_1f3a".into(),
        tool: "read_file".into(),
        summary: "read src/main.rs".into(),
        batch: u32::try_from(n).unwrap_or(0),
        waited_us: 12,
        ran_us: Some(340),
        cached: false,
        error: None,
        result: result.clone(),
        is_error: false,
    });
}

fn recorder(dir: &Path) -> (Recorder, RunRecorder) {
    let recorder = Recorder::new(Settings { compress: false, ..Settings::new(dir) });
    let redactor =
        Redactor::new(["sk-ant-0123456789abcdefghijklmnop", "ghp_0123456789abcdefghijklmn", "a-third-secret-9876"]);
    recorder.redact_with(Arc::new(move |text| redactor.clean(text)));
    let log = recorder.run(&RunId::from("run-6921e3f0-1"), &ThreadId::from("thread-6921e3f0-2"));
    (recorder, log)
}

pub fn measure(report: &mut Report) {
    let result: Arc<str> = "x".repeat(250).into();
    let home = tempfile::tempdir().expect("a temporary folder");
    let (caller, log) = recorder(home.path());
    for n in 0..5_000 {
        event(&log, &result, n);
    }
    caller.flush(PATIENCE);
    // One every 50 µs: a fast run, and slow enough for the writer to rest in between.
    let mut samples = Vec::new();
    let mut early = Vec::new();
    for n in 0..40_000 {
        let next = Instant::now() + Duration::from_micros(50);
        let begun = Instant::now();
        event(&log, &result, n);
        let took = begun.elapsed().as_nanos() as f64 / 1e3;
        if n < 4_000 { &mut early } else { &mut samples }.push(took);
        while Instant::now() < next {
            std::hint::spin_loop();
        }
    }
    let mean = samples.iter().sum::<f64>() / samples.len() as f64;
    report.note(format!("record: mean of the caller's time {mean:.2} µs, {:?}", caller.counters()));
    let late = samples.split_off(samples.len() - 4_000);
    report.alone("recording an event, its caller, one per 50 µs", "µs", Figure::of(samples), "p50 ≤ 1.5 µs");
    report.beside(
        "the same, events 36,000 to 40,000",
        "µs",
        Figure::of(late),
        ("the first 4,000", Figure::of(early)),
        "flat",
    );
    caller.close(PATIENCE);

    let (caller, log) = recorder(home.path());
    let rate = (0..12).map(|_| {
        let begun = Instant::now();
        for n in 0..BURST {
            event(&log, &result, n);
        }
        assert!(caller.flush(PATIENCE));
        BURST as f64 / begun.elapsed().as_secs_f64() / 1e3
    });
    let rate = Figure::of(rate.skip(2));
    report.alone("records written, 560 bytes each", "k/s", rate, "≥ 100 k/s");
    let counters = caller.counters();
    assert_eq!((counters.lost, counters.dropped), (0, 0));
    report.note(format!("record: {} bytes a record", counters.bytes / counters.records.max(1)));
    caller.close(PATIENCE);
    drop(home);
    overhead(report, "200 steps, a model that thinks 15 ms", THINKS, SLOW_PAIRS, "≤ 1 %");
    overhead(report, "200 steps, a model that answers at once", Duration::ZERO, PAIRS, "");
}

/// A run of 200 steps with recording and status and without, in turns.
fn overhead(report: &mut Report, what: &str, thinks: Duration, pairs: usize, goal: &'static str) {
    let (mut with, mut without, mut ratios, mut cpu_ratios) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut cpu_with = Vec::new();
    play(true, thinks);
    for pair in 0..pairs {
        // Whoever comes second may find a warmer machine.
        let first_on = pair % 2 == 0;
        let (one, other) = (play(first_on, thinks), play(!first_on, thinks));
        let (on, off) = if first_on { (one, other) } else { (other, one) };
        ratios.push((on.0 / off.0 - 1.0) * 100.0);
        cpu_ratios.push((on.1 / off.1 - 1.0) * 100.0);
        with.push(on.0);
        without.push(off.0);
        cpu_with.push(on.1 - off.1);
    }
    let without = Figure::of(without);
    report.beside(what, "ms", Figure::of(with), ("neither recorded nor shown", without), "");
    report.alone("  what both add to its wall time", "%", Figure::of(ratios), goal);
    report.alone("  and to its time on the cores", "%", Figure::of(cpu_ratios), "");
    report.alone("  the same", "ms", Figure::of(cpu_with), "");
}

/// Milliseconds that a run takes, on the clock and on the cores.
fn play(watched: bool, thinks: Duration) -> (f64, f64) {
    let home = tempfile::tempdir().expect("a temporary folder");
    let root = home.path().join("work");
    std::fs::create_dir(&root).expect("a folder");
    for n in 0..STEPS {
        std::fs::write(root.join(format!("{n}.rs")), source_text(6_000 + n)).expect("a file");
    }
    let mut model = Model::start();
    let config = home.path().join("config.toml");
    let settings = format!(
        "model = \"bench/m\"\n[providers.bench]\nkind = \"openai\"\nbase_url = \"{}\"\napi_key_env = \"\"\n\
         [models.\"bench/m\"]\ncontext_window = 2000000\nmax_output_tokens = 8000\n[agent]\nmax_steps = 10000\n\
         [llm]\nrequests_per_second = 10000.0\nburst = 10000\n[recording]\nenabled = {watched}\n",
        model.base_url()
    );
    std::fs::write(&config, settings).expect("a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_ropeway"));
    command.env_clear().env("HOME", home.path()).env("XDG_STATE_HOME", home.path()).env("ROPEWAY_CONFIG", &config);
    let mut server = Server::start(&mut command);
    server.initialize(
        json!({"rootUri": format!("file://{}", root.display()), "initializationOptions": {"events": true, "status": watched}}),
    );
    server.settle(5);
    let (cpu, begun) = (server.cpu_ms(), Instant::now());
    server.send(&json!({"jsonrpc": "2.0", "id": 10, "method": "workspace/executeCommand", "params": {
        "command": "ropeway.run", "arguments": [{"action": "task", "prompt": "read everything"}]}}));
    server.answer(10);
    for n in 0..STEPS {
        model.accept();
        std::thread::sleep(thinks);
        model.call(0, "read_file", &json!({"path": format!("{n}.rs")}));
        model.event(json!({}), Some("tool_calls"));
        model.end_with(1_000 + 2_000 * n as u64, 0);
    }
    model.accept();
    model.event(json!({"content": "Done."}), Some("stop"));
    model.end();
    server.wait(|message| message["params"]["kind"] == "finished");
    (ms(begun.elapsed()), server.cpu_ms() - cpu)
}
