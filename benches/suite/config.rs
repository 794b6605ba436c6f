//! What a configuration of two hundred keys costs: to load, to load again, to read, to start with; and how late a saved
//! file takes effect.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ropeway::config::{ConfigStore, EnvSnapshot, Sources};
use ropeway::watch::files::{FOLDERS, FileWatch};
use serde_json::json;

use super::child::Server;
use super::report::{Figure, Report, ms};

/// Saves whose effect is waited for.
const SAVES: u32 = 60;

pub fn measure(report: &mut Report) {
    let (home, file) = place();
    let text = two_hundred_keys();
    let keys = text.lines().filter(|line| line.contains(" = ")).count();
    report.note(format!("config: a file of {keys} keys, {} bytes; one root without a file of its own", text.len()));
    loads(report, home.path());
    start(report, home.path());
    for (name, limit) in [("a folder is watched", FOLDERS), ("no folder can be watched", 0)] {
        lateness(report, home.path(), &file, name, limit);
    }
}

/// A home with that file, and a root.
pub(super) fn place() -> (tempfile::TempDir, PathBuf) {
    let home = tempfile::tempdir().expect("a temporary folder");
    let file = home.path().join("ropeway/config.toml");
    std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
    std::fs::create_dir(home.path().join("root")).expect("a folder");
    std::fs::write(&file, two_hundred_keys()).expect("a file");
    (home, file)
}

pub(super) fn sources(home: &Path) -> Sources {
    let env = EnvSnapshot::from_iter([("XDG_CONFIG_HOME", home)]);
    let mut sources = Sources { env, ..Sources::default() };
    sources.set_roots([home.join("root")]);
    sources
}

fn loads(report: &mut Report, home: &Path) {
    let us = |time: Duration| time.as_secs_f64() * 1e6;
    let mut cold = Vec::new();
    for _ in 0..200 {
        let sources = sources(home);
        let begun = Instant::now();
        let store = ConfigStore::new(sources);
        cold.push(us(begun.elapsed()));
        assert!(store.loaded().problems.is_empty(), "{:?}", store.loaded().problems);
    }
    let store = ConfigStore::new(sources(home));
    // By then the file's time is old enough to be trusted.
    std::thread::sleep(Duration::from_millis(100));
    store.reload();
    let mut warm = Vec::new();
    for _ in 0..2_000 {
        let begun = Instant::now();
        std::hint::black_box(store.reload());
        warm.push(us(begun.elapsed()));
    }
    let counters = store.counters();
    assert!(counters.hits > counters.misses * 100, "{counters:?}");
    report.beside("warm load of a configuration", "µs", Figure::of(warm), ("cold", Figure::of(cold)), "≤ 1/50");
    let file = home.join("root/src/a.rs");
    for (name, of) in [("read of the resolved configuration", false), ("the same, for a file", true)] {
        let reads = 10_000;
        let samples = (0..50).map(|_| {
            let begun = Instant::now();
            for _ in 0..reads {
                std::hint::black_box(if of { store.of(&file) } else { store.current() });
            }
            us(begun.elapsed()) / f64::from(reads)
        });
        report.alone(name, "µs", Figure::of(samples), "≤ 2 µs");
    }
}

/// Starts with the file and without one, in turn.
fn start(report: &mut Report, home: &Path) {
    let nowhere = tempfile::tempdir().expect("a temporary folder");
    let root = format!("file://{}", home.join("root").display());
    let once = |home: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ropeway"));
        command.env_clear().env("HOME", home).env("XDG_CONFIG_HOME", home).env("XDG_STATE_HOME", home);
        let mut server = Server::start(&mut command);
        let answer = ms(server.initialize(json!({"rootUri": root})));
        let document =
            json!({"uri": format!("{root}/a.rs"), "languageId": "rust", "version": 1, "text": "fn a() {}\n"});
        server.send(&json!({"jsonrpc": "2.0", "method": "textDocument/didOpen", "params": {"textDocument": document}}));
        let place = json!({"line": 0, "character": 3});
        server.send(&json!({"jsonrpc": "2.0", "id": 2, "method": "textDocument/codeAction", "params": {
            "textDocument": {"uri": format!("{root}/a.rs")}, "range": {"start": place, "end": place},
            "context": {"diagnostics": []}}}));
        let (_, at) = server.answer(2);
        // At rest: the files are followed by now.
        std::thread::sleep(Duration::from_millis(200));
        (answer, ms(at - server.started()), server.rss())
    };
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for _ in 0..31 {
        with.push(once(home));
        without.push(once(nowhere.path()));
    }
    let of = |samples: &[(f64, f64, f64)], part: fn(&(f64, f64, f64)) -> f64| Figure::of(samples.iter().map(part));
    let mut row = |name: &str, unit: &'static str, part: fn(&(f64, f64, f64)) -> f64, goal: &'static str| {
        report.beside(name, unit, of(&with, part), ("none", of(&without, part)), goal);
    };
    row("start → initialize answer, 200 keys", "ms", |sample| sample.0, "≤ +1 ms");
    row("start → first menu, 200 keys", "ms", |sample| sample.1, "≤ +1 ms");
    row("idle memory with 200 keys", "MB", |sample| sample.2, "");
}

/// From the end of a save until everybody reads what it says.
fn lateness(report: &mut Report, home: &Path, file: &PathBuf, name: &str, limit: usize) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let store = Arc::new(ConfigStore::new(sources(home)));
    let here = Arc::clone(&store);
    let watch = FileWatch::start(runtime.handle(), limit, Arc::new(move || drop(here.refresh())));
    watch.set(sources(home).files().collect());
    let late = (0..SAVES).map(|nth| {
        let steps = 50 + nth;
        let text = two_hundred_keys().replace("max_steps = 40", &format!("max_steps = {steps}"));
        let aside = file.with_extension("aside");
        if nth % 2 == 0 {
            std::fs::write(file, text).expect("a file");
        } else {
            std::fs::write(&aside, text).expect("a file");
            std::fs::rename(&aside, file).expect("a file");
        }
        let saved = Instant::now();
        while store.current().agent.max_steps != steps {
            std::thread::sleep(Duration::from_micros(200));
        }
        ms(saved.elapsed())
    });
    let late: Vec<f64> = late.collect();
    let most = late.iter().copied().fold(0.0, f64::max);
    report.note(format!("config: the latest of {SAVES} saves took {most:.0} ms to be in force ({name})"));
    report.alone(&format!("save → in force, {name}"), "ms", Figure::of(late), "≤ 200 ms");
    std::fs::write(file, two_hundred_keys()).expect("a file");
}

/// A long configuration, as somebody with many providers has it.
pub(super) fn two_hundred_keys() -> String {
    let mut text = "model = \"p0/m0\"\nprofile = \"default\"\n".to_owned();
    for provider in 0..12 {
        text += &format!(
            "[providers.p{provider}]\nkind = \"openai\"\nbase_url = \"https://p{provider}.example/v1\"\n\
             api_key_env = \"P{provider}_KEY\"\nheaders = {{ x-team = \"core\", x-app = \"ropeway\" }}\n\
             timeouts = {{ connect_ms = 5000, idle_ms = 90000 }}\noptions = {{ api = \"chat\" }}\n\
             [models.\"p{provider}/m{provider}\"]\ncontext_window = 200000\nmax_output_tokens = 32000\n\
             price = {{ input = 1.5, cached_input = 0.1, output = 8.0 }}\n"
        );
    }
    text += "[agent]\nmax_steps = 40\nmax_cost_usd = 2.5\nparallel_tools = true\nstream_dispatch = true\nprefetch = true\n\
             [edits]\nmode = \"apply\"\n[context]\ncompact_at = 0.8\nmax_history_pairs = 20\ntrim_at = 1.5\ntrim_to = 1.2\n\
             [tools]\nmax_parallel = 8\ntimeout_ms = 30000\ncache_ttl_ms = 300000\n\
             [llm]\nhttp2 = true\nmax_retries = 4\nburst = 20\n[monitor]\nslow_ms = 5000\nmoderate_ms = 1000\n\
             [permissions]\nallow = [\"read_file\", \"run_command(cargo check)\"]\ndeny = [\"read_file(**/.env)\"]\n";
    for action in 0..13 {
        text += &format!(
            "[[actions]]\nid = \"own-{action}\"\ntitle = \"Own {action}\"\nprompt = \"Look at {{selection}} in {{file}}.\"\n\
             kind = \"refactor.rewrite\"\nlanguages = [\"rust\", \"python\"]\nedits = false\n"
        );
    }
    text
}
