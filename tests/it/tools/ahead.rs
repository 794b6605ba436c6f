//! Reading ahead: it makes an answer come from memory, and changes nothing else.

use std::sync::Arc;
use std::time::Duration;

use ropeway::paths::WsPath;
use ropeway::tools::ahead::{Allowance, Guess, MayRead, fetch};
use ropeway::tools::cache::ResultStore;
use ropeway::tools::diagnostics::{Diagnostic, Severity};
use ropeway::tools::{Cancel, Class, Results, Submission, ToolContext};
use serde_json::json;

use super::Bench;

const FIXTURE: &str = "//- /src/lib.rs\nmod a;\nmod b;\nuse crate::deep::c::Thing;\n//- /src/a.rs\nfn a() {}\n\
                       //- /src/b/mod.rs\nfn b() {}\n//- /src/deep/c.rs\nstruct Thing;\n//- /other.rs\nfn o() {}\n";

struct Ahead {
    bench: Bench,
    store: Arc<ResultStore>,
}

impl Ahead {
    fn new() -> Self {
        let store = ResultStore::new();
        let mut bench = Bench::new(FIXTURE);
        bench.context.results = store.for_run(Duration::from_secs(300), String::new(), Arc::new(|_| None));
        for name in ["src/lib.rs", "src/a.rs", "src/b/mod.rs", "src/deep/c.rs", "other.rs"] {
            // What is in the editor is remembered however young its file is.
            bench.open(name, &std::fs::read_to_string(bench.at(name)).unwrap());
        }
        Self { bench, store }
    }

    fn path(&self, name: &str) -> WsPath {
        self.bench.workspace.roots().resolve(name).unwrap()
    }

    /// Fetches all of it; gives how many results that brought.
    fn fetch(&self, guesses: Vec<Guess>, may_read: MayRead, allowance: &Allowance) -> u64 {
        let before = self.store.counters();
        let Some(planned) = fetch(&self.bench.context, guesses, may_read, allowance.clone()) else { return 0 };
        let submission = Submission {
            run: self.bench.context.run.clone(),
            tool: Arc::from("read_file"),
            planned,
            deadline: Duration::from_secs(60),
            cancel: Cancel::new(),
            gate: None,
            on_start: None,
        };
        let scheduler = &self.bench.scheduler;
        let finished = self.bench.runtime.block_on(async { scheduler.submit_as(Class::Ahead, submission).await });
        assert!(finished.result.is_ok(), "{finished:?}");
        let now = self.store.counters();
        assert_eq!((now.hits, now.misses, now.stale), (before.hits, before.misses, before.stale), "nobody has asked");
        now.fetched - before.fetched
    }

    /// Whether a call is answered from memory, by what it counts.
    fn is_there(&self, name: &str) -> bool {
        let before = self.store.counters().used;
        let text = self.bench.ok("read_file", json!({"path": name}));
        let plain = ToolContext { results: Results::default(), ..self.bench.context.clone() };
        let planned = self.bench.tools.get("read_file").unwrap().plan(&plain, &json!({"path": name}).to_string());
        let submission = Submission {
            run: plain.run,
            tool: Arc::from("read_file"),
            planned: planned.unwrap(),
            deadline: Duration::from_secs(60),
            cancel: Cancel::new(),
            gate: None,
            on_start: None,
        };
        let again = self.bench.runtime.block_on(async { self.bench.scheduler.submit(submission).await });
        assert_eq!(text, again.result.unwrap().text().to_string());
        self.store.counters().used > before
    }
}

fn anything() -> MayRead {
    Arc::new(|_| true)
}

fn much() -> Allowance {
    Allowance::new(1 << 20)
}

#[test]
fn the_imports_of_a_file_are_there_when_they_are_asked_for_and_count_as_used_once() {
    let ahead = Ahead::new();
    assert_eq!(ahead.fetch(vec![Guess::ImportsOf(ahead.path("src/lib.rs"))], anything(), &much()), 3);
    assert!(ahead.is_there("src/a.rs") && ahead.is_there("src/b/mod.rs") && ahead.is_there("src/deep/c.rs"));
    assert!(!ahead.is_there("other.rs") && !ahead.is_there("src/a.rs"));
    assert_eq!((ahead.store.counters().fetched, ahead.store.counters().used), (3, 3));
    assert_eq!(ahead.fetch(vec![Guess::ImportsOf(ahead.path("src/lib.rs"))], anything(), &much()), 0, "known already");
}

#[test]
fn what_was_fetched_and_then_changed_is_read_again() {
    let ahead = Ahead::new();
    let lines = |name: &str| Guess::Lines { path: ahead.path(name), first: 1, limit: None };
    assert_eq!(ahead.fetch(vec![lines("src/a.rs"), lines("other.rs"), lines("none.rs")], anything(), &much()), 2);
    ahead.bench.ok("edit_file", json!({"path": "src/a.rs", "old_string": "a()", "new_string": "z()"}));
    assert!(!ahead.is_there("src/a.rs") && ahead.is_there("other.rs"));
}

#[test]
fn files_with_errors_come_first_and_only_so_many() {
    let ahead = Ahead::new();
    let found = |severity| Diagnostic {
        range: ropeway::text::Range::default(),
        severity,
        message: "wrong".into(),
        source: None,
        code: None,
    };
    let files = ["src/lib.rs", "src/a.rs", "src/b/mod.rs", "src/deep/c.rs", "other.rs"];
    for (index, name) in files.into_iter().enumerate() {
        let severity = if index == 0 { Severity::Hint } else { Severity::Error };
        ahead.bench.context.diagnostics.set(&ahead.bench.uri(name), vec![found(severity)]);
    }
    assert_eq!(ahead.fetch(vec![Guess::Diagnosed], anything(), &much()), 4);
    assert!(!ahead.is_there("src/lib.rs") && ahead.is_there("other.rs"));
}

#[test]
fn nothing_is_fetched_that_a_rule_forbids_or_that_there_is_no_allowance_or_no_memory_for() {
    let ahead = Ahead::new();
    let imports = || vec![Guess::ImportsOf(ahead.path("src/lib.rs"))];
    let no_a: MayRead = Arc::new(|path| !path.rel().ends_with("a.rs"));
    assert_eq!(ahead.fetch(imports(), no_a, &much()), 2);
    assert!(!ahead.is_there("src/a.rs"));

    let ahead = Ahead::new();
    let two = Allowance::new(2 * (4 << 10));
    assert_eq!(ahead.fetch(vec![Guess::ImportsOf(ahead.path("src/lib.rs"))], anything(), &two), 2);
    assert_eq!(two.left(), 0);
    assert!(fetch(&ahead.bench.context, vec![Guess::Diagnosed], anything(), two).is_none());
    let plain = ToolContext { results: Results::default(), ..ahead.bench.context };
    assert!(fetch(&plain, vec![Guess::Diagnosed], anything(), much()).is_none(), "`tools.cache_ttl_ms = 0`");
}
