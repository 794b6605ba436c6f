//! Remembered results: what comes from memory is what a run without a memory would have found, whatever happened.

use std::borrow::Cow;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use ropeway::ids::{DocVersion, RunId};
use ropeway::text::{Encoding, Position, Range};
use ropeway::tools::cache::{ResultCounters, ResultStore};
use ropeway::tools::tool::{Planned, ToolLimits};
use ropeway::tools::{Cancel, DiskClock, Effect, Results, Scope, Submission, ToolContext};
use ropeway::workspace::{ContentChange, Sync};
use serde_json::{Value, json};

use super::Bench;

const FILES: [&str; 5] = ["a.txt", "b.txt", "sub/c.txt", "sub/deep/d.txt", "e.rs"];
const FIXTURE: &str =
    "//- /a.txt\none x\n//- /b.txt\ntwo\n//- /sub/c.txt\nthree x\n//- /sub/deep/d.txt\nfour x\n//- /e.rs\nfn x() {}\n";
const TTL: Duration = Duration::from_secs(300);

/// Which paths changed on disk, as somebody who watches the tree would say it.
#[derive(Clone, Default)]
struct Watched(Arc<Mutex<Vec<String>>>);

impl Watched {
    fn changed(&self, name: &str) {
        self.0.lock().unwrap().push(name.to_owned());
    }

    fn clock(&self) -> DiskClock {
        let changed = self.0.clone();
        Arc::new(move |base| {
            let below = |name: &&String| base.rel().is_empty() || name.starts_with(&format!("{}/", base.rel()));
            Some(changed.lock().unwrap().iter().filter(below).count() as u64)
        })
    }
}

/// A bench whose calls are remembered.
struct Memory {
    bench: Bench,
    store: Arc<ResultStore>,
    watched: Watched,
}

impl Memory {
    fn new() -> Self {
        Self::with(|_, watched| watched.clock())
    }

    /// With the program's own word for what happened on disk.
    fn listening() -> Self {
        Self::with(|bench, _| {
            let lists = bench.context.lists.clone();
            Arc::new(move |base| lists.generation(base))
        })
    }

    fn with(clock: impl Fn(&Bench, &Watched) -> DiskClock) -> Self {
        let (store, watched) = (ResultStore::new(), Watched::default());
        let mut bench = Bench::new(FIXTURE);
        bench.context.results = store.for_run(TTL, "usual".to_owned(), clock(&bench, &watched));
        Self { bench, store, watched }
    }

    /// Hits, misses and the misses that were known and stale, since `before`.
    fn since(&self, before: ResultCounters) -> (u64, u64, u64) {
        let now = self.store.counters();
        (now.hits - before.hits, now.misses - before.misses, now.stale - before.stale)
    }

    /// Asks and says how it was found.
    fn asked(&self, tool: &str, arguments: Value) -> (u64, u64, u64) {
        let before = self.store.counters();
        self.bench.ok(tool, arguments);
        self.since(before)
    }

    fn without(&self) -> ToolContext {
        let limits = ToolLimits { keep_lists: Duration::ZERO, ..self.bench.context.limits };
        ToolContext { results: Results::default(), limits, ..self.bench.context.clone() }
    }

    /// Runs a call of the given context.
    fn ask(&self, context: &ToolContext, tool: &str, arguments: &str) -> Result<String, String> {
        let planned =
            self.bench.tools.get(tool).unwrap().plan(context, arguments).map_err(|error| error.to_string())?;
        self.submit(planned.known_to(&context.results))
    }

    fn submit(&self, planned: Planned) -> Result<String, String> {
        let submission = Submission {
            run: self.bench.context.run.clone(),
            tool: Arc::from("test"),
            planned,
            deadline: Duration::from_secs(60),
            cancel: Cancel::new(),
            gate: None,
            on_start: None,
        };
        let finished = self.bench.runtime.block_on(async { self.bench.scheduler.submit(submission).await });
        finished.result.map(|output| output.text().to_string()).map_err(|error| error.to_string())
    }

    /// A command that writes a file and tells nobody which.
    fn command(&self, name: &'static str, text: String) {
        let path = self.bench.at(name);
        let planned = Planned::blocking(Effect::writes(Scope::Everything), String::new(), move |_| {
            super::write(&path, &text);
            Err(ropeway::tools::ToolError::for_model("done"))
        });
        self.submit(planned.known_to(&self.bench.context.results)).unwrap_err();
    }

    /// The user types at the beginning of an open file.
    fn type_into(&self, name: &str, text: &str, version: i32) {
        let start = Position { line: 0, character: 0 };
        let change = ContentChange { range: Some(Range { start, end: start }), text: Cow::Borrowed(text) };
        let uri = self.bench.uri(name);
        let sync = self.bench.workspace.change(&uri, Some(DocVersion(version)), &[change], Encoding::Utf8);
        assert_eq!(sync, Sync::Following);
    }
}

const HIT: (u64, u64, u64) = (1, 0, 0);
const STALE: (u64, u64, u64) = (0, 1, 1);
const NEW: (u64, u64, u64) = (0, 1, 0);

#[test]
fn a_keystroke_ends_what_was_found_in_its_file_and_nothing_else() {
    let memory = Memory::new();
    for name in ["a.txt", "sub/c.txt"] {
        memory.bench.open(name, "one x\n");
    }
    let whole = json!({"pattern": "x"});
    let below = json!({"pattern": "x", "path": "sub"});
    let asks = [
        ("read_file", json!({"path": "a.txt"})),
        ("read_file", json!({"path": "sub/c.txt"})),
        ("grep", whole),
        ("grep", below),
        ("glob", json!({"pattern": "**/*.txt"})),
        ("list_dir", json!({})),
    ];
    let all = |expected: [(u64, u64, u64); 6]| {
        for ((tool, arguments), expected) in asks.iter().zip(expected) {
            assert_eq!(memory.asked(tool, arguments.clone()), expected, "{tool} {arguments}");
        }
    };
    all([NEW; 6]);
    all([HIT; 6]);
    memory.type_into("a.txt", "y", 2);
    // Not the other file, not a search that does not look at it, and no list of names.
    all([STALE, HIT, STALE, HIT, HIT, HIT]);
    all([HIT; 6]);
    memory.bench.ok("edit_file", json!({"path": "sub/c.txt", "old_string": "one", "new_string": "1"}));
    all([HIT, STALE, STALE, STALE, STALE, STALE]);
    memory.watched.changed("b.txt");
    all([HIT, HIT, STALE, HIT, STALE, STALE]);
    memory.command("b.txt", "x\n".into());
    all([HIT, HIT, STALE, STALE, STALE, STALE]);
}

#[cfg(feature = "grammars")]
#[test]
fn an_outline_is_remembered_until_its_file_changes() {
    let memory = Memory::new();
    memory.bench.open("e.rs", "fn one() {}\n");
    let ask = || memory.asked("outline", json!({"path": "e.rs"}));
    assert_eq!((ask(), ask()), (NEW, HIT));
    memory.type_into("e.rs", "fn two() {}\n", 2);
    assert_eq!((ask(), ask()), (STALE, HIT));
    assert!(memory.bench.ok("outline", json!({"path": "e.rs"})).contains("fn two()"));
}

#[test]
fn the_order_of_keys_and_spaces_make_no_other_call_and_other_rules_do() {
    let memory = Memory::new();
    memory.bench.open("a.txt", "one x\n");
    let ask = |arguments: &str| {
        let before = memory.store.counters();
        memory.bench.call_raw("read_file", arguments).unwrap();
        memory.since(before)
    };
    assert_eq!(ask(r#"{"path":"a.txt","offset":1}"#), NEW);
    assert_eq!(ask(r#" { "offset" : 1 , "path" : "./a.txt" } "#), HIT);
    assert_eq!(ask(r#"{"path":"a.txt"}"#), HIT, "a default written out");
    assert_eq!(ask(r#"{"path":"a.txt","limit":1}"#), NEW);
    let strict = memory.store.for_run(TTL, "strict".to_owned(), memory.watched.clock());
    let context = ToolContext { results: strict, ..memory.bench.context.clone() };
    let before = memory.store.counters();
    memory.ask(&context, "read_file", r#"{"path":"a.txt"}"#).unwrap();
    assert_eq!(memory.since(before), NEW);
}

#[test]
fn a_run_shares_with_another_what_both_see_alike_and_nothing_that_it_has_staged() {
    let memory = Memory::new();
    for name in ["a.txt", "b.txt"] {
        memory.bench.open(name, "one\n");
    }
    let read = |context: &ToolContext, name: &str| {
        let before = memory.store.counters();
        let text = memory.ask(context, "read_file", &json!({"path": name}).to_string()).unwrap();
        (memory.since(before), text)
    };
    let ours = memory.bench.context.clone();
    let theirs = ToolContext { run: RunId::unused(), ..ours.clone() };
    memory.bench.workspace.begin(theirs.run.clone());
    memory.ask(&ours, "edit_file", r#"{"path":"a.txt","old_string":"one","new_string":"secret"}"#).unwrap();
    assert!(read(&ours, "a.txt").1.contains("secret"));
    let (found, text) = read(&theirs, "a.txt");
    assert_eq!((found, text.contains("one")), (STALE, true), "{text}");
    assert_eq!(read(&ours, "b.txt").0, NEW);
    assert_eq!(read(&theirs, "b.txt").0, HIT);
}

#[test]
fn without_a_time_to_live_or_somebody_who_watches_nothing_is_remembered_that_could_be_wrong() {
    let memory = Memory::new();
    memory.bench.open("a.txt", "one x\n");
    let off = memory.store.for_run(Duration::ZERO, String::new(), memory.watched.clock());
    let blind = memory.store.for_run(TTL, String::new(), Arc::new(|_| None));
    for (results, hits) in [(off, 0), (blind, 1)] {
        let context = ToolContext { results, ..memory.bench.context.clone() };
        let before = memory.store.counters();
        for _ in 0..2 {
            memory.ask(&context, "read_file", r#"{"path":"a.txt"}"#).unwrap();
            memory.ask(&context, "grep", r#"{"pattern":"x"}"#).unwrap();
        }
        assert_eq!(memory.since(before).0, hits, "only what a look at one file can vouch for");
    }
}

#[derive(Clone, Debug)]
enum Step {
    Ask(usize),
    Open(usize),
    Close(usize),
    Type(usize, u8),
    Stage(usize),
    Create(u8),
    Remove(usize),
    Write(usize, u8),
    Command(usize, u8),
}

fn step() -> impl Strategy<Value = Step> {
    let file = || 0..FILES.len();
    prop_oneof![
        12 => (0..QUESTIONS).prop_map(Step::Ask),
        2 => file().prop_map(Step::Open),
        1 => file().prop_map(Step::Close),
        4 => (file(), 0..4_u8).prop_map(|(file, text)| Step::Type(file, text)),
        3 => file().prop_map(Step::Stage),
        1 => (0..2_u8).prop_map(Step::Create),
        1 => file().prop_map(Step::Remove),
        2 => (file(), 0..4_u8).prop_map(|(file, text)| Step::Write(file, text)),
        2 => (file(), 0..4_u8).prop_map(|(file, text)| Step::Command(file, text)),
    ]
}

const QUESTIONS: usize = 18;

fn question(number: usize) -> (&'static str, Value) {
    match number {
        0..4 => ("read_file", json!({"path": FILES[number]})),
        4..8 => ("read_file", json!({"path": FILES[number - 4], "offset": 2, "limit": 1})),
        8 => ("read_file", json!({"path": "new0.txt"})),
        9 => ("grep", json!({"pattern": "x"})),
        10 => ("grep", json!({"pattern": "x", "path": "sub"})),
        11 => ("grep", json!({"pattern": "o.e", "glob": "*.txt", "context": 1})),
        12 => ("glob", json!({"pattern": "**/*.txt"})),
        13 => ("glob", json!({"pattern": "*.txt", "path": "sub/deep"})),
        14 => ("list_dir", json!({"depth": 3})),
        15..17 => ("outline", json!({"path": "e.rs"})),
        _ => ("list_dir", json!({"path": "sub"})),
    }
}

/// Puts everything back as it was, but for the files that are still so: they keep their time stamps.
fn renew(memory: &mut Memory) {
    memory.bench.workspace.end(&memory.bench.context.run);
    memory.bench.context.run = RunId::unused();
    memory.bench.workspace.begin(memory.bench.context.run.clone());
    for part in FIXTURE.split("//- /").skip(1) {
        let (name, text) = part.split_once('\n').unwrap();
        memory.bench.workspace.close(&memory.bench.uri(name));
        if std::fs::read_to_string(memory.bench.at(name)).ok().as_deref() != Some(text) {
            memory.bench.write(name, text);
            memory.watched.changed(name);
        }
    }
}

#[test]
fn whatever_happens_a_run_with_a_memory_hears_what_one_without_hears() {
    compare(Memory::new());
}

#[test]
fn whatever_happens_on_disk_is_heard_before_something_is_remembered_wrongly() {
    compare(Memory::listening());
}

/// Asks after each of many random events, and once more without a memory.
fn compare(memory: Memory) {
    let memory = Mutex::new(memory);
    let mut runner = TestRunner::new(Config { cases: 150, ..Config::default() });
    let run = runner.run(&prop::collection::vec(step(), 1..40), |steps| {
        let memory = &mut *memory.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        renew(memory);
        let mut versions = [0; FILES.len()];
        for step in steps {
            match step {
                Step::Ask(number) => {
                    let (tool, arguments) = question(number);
                    let arguments = arguments.to_string();
                    let remembering = memory.ask(&memory.bench.context, tool, &arguments);
                    let plain = memory.ask(&memory.without(), tool, &arguments);
                    prop_assert_eq!(remembering, plain, "{} {}", tool, arguments);
                }
                Step::Open(file) if versions[file] == 0 => {
                    versions[file] = 1;
                    let text = std::fs::read_to_string(memory.bench.at(FILES[file])).unwrap_or_default();
                    memory.bench.open(FILES[file], &text);
                }
                Step::Close(file) if versions[file] > 0 => {
                    versions[file] = 0;
                    memory.bench.workspace.close(&memory.bench.uri(FILES[file]));
                }
                Step::Type(file, text) if versions[file] > 0 => {
                    versions[file] += 1;
                    memory.type_into(FILES[file], ["x", "one\n", "z", "\n"][usize::from(text)], versions[file]);
                }
                Step::Stage(file) => {
                    let edit =
                        json!({"path": FILES[file], "old_string": "x", "new_string": "one x", "replace_all": true});
                    // Where there is no `x` it is refused, and nothing is staged.
                    let _ = memory.ask(&memory.bench.context, "edit_file", &edit.to_string());
                }
                Step::Create(number) => {
                    let new = json!({"path": format!("new{number}.txt"), "text": "x\n"});
                    let _ = memory.ask(&memory.bench.context, "create_file", &new.to_string());
                }
                Step::Remove(file) => {
                    let path = json!({"path": FILES[file]});
                    let _ = memory.ask(&memory.bench.context, "delete_file", &path.to_string());
                }
                Step::Write(file, text) => {
                    memory.bench.write(FILES[file], &"one x\n".repeat(usize::from(text)));
                    memory.watched.changed(FILES[file]);
                }
                Step::Command(file, text) => memory.command(FILES[file], "x one\n".repeat(usize::from(text))),
                Step::Open(_) | Step::Close(_) | Step::Type(..) => {}
            }
        }
        Ok(())
    });
    run.unwrap();
    let counters = memory.into_inner().unwrap().store.counters();
    assert!(counters.hits > 50 && counters.stale > 50, "the memory was not at work: {counters:?}");
}
