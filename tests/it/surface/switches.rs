//! Every optimisation can be turned off, and then the same comes out.

use serde_json::{Value, json};

use super::{CODE, mended};
use crate::support::agent::Bench;
use crate::support::model::Turn;

/// What the model is told after its calls, how the run ends, and the buffer then.
fn work(settings: Value) -> (Vec<Value>, Value, String) {
    let files = [("a.rs", CODE), ("b.rs", "use a::total;\n"), ("sub/c.rs", "// total\n")];
    let mut bench = Bench::start(&files, settings, |setup| setup);
    let uri = bench.open("a.rs");
    let call = |turn: Turn, id: &str, name: &str, arguments: Value| turn.call(id, name, &arguments.to_string());
    let mut turn = Turn::default().saying("Looking and mending.").usage(100, 0, 10);
    turn = call(turn, "c0", "read_file", json!({"path": "a.rs"}));
    turn = call(turn, "c1", "edit_file", json!({"path": "a.rs", "old_string": "sum - x", "new_string": "sum + y"}));
    turn = call(turn, "c2", "grep", json!({"pattern": "sum \\+ y"}));
    turn = call(turn, "c3", "edit_file", json!({"path": "a.rs", "old_string": "sum + y", "new_string": "sum + x"}));
    turn = call(turn, "c4", "grep", json!({"pattern": "total", "literal": true}));
    turn = call(turn, "c5", "list_dir", json!({"depth": 2}));
    turn = call(turn, "c6", "read_file", json!({"path": "missing.rs"}));
    turn = call(turn, "c7", "glob", json!({"pattern": "**/*.rs"}));
    turn = turn.call("c8", "no_such_tool", "{}").call("c9", "grep", "{\"pattern\": 7}");
    bench.model.script([turn, Turn::text("Done.")]);
    let run = bench.task("mend");
    let mut outcome = bench.finished(&run);
    for volatile in ["runId", "threadId", "timing", "at", "seq"] {
        outcome.as_object_mut().unwrap().remove(volatile);
    }
    outcome["files"][0]["uri"] = Value::Null;
    (bench.model.requests()[1].messages().to_vec(), outcome, bench.editor.text(&uri).to_owned())
}

#[test]
fn with_every_switch_off_the_model_hears_the_same_and_the_buffer_is_the_same() {
    let usual = work(json!({}));
    assert_eq!(usual.2, mended());
    assert_eq!(usual.0.len(), 3 + 10);
    assert!(usual.0[5]["content"].as_str().unwrap().contains("sum + y"), "a search sees the edit before it");
    for settings in [
        json!({"agent": {"stream_dispatch": false}}),
        json!({"agent": {"parallel_tools": false}}),
        json!({"tools": {"max_parallel": 1}}),
        json!({"agent": {"prefetch": false}}),
        json!({"tools": {"cache_ttl_ms": 0}}),
        json!({"tools": {"grep": {"share": false}}}),
        json!({"tools": {"preload": ["read_file", "grep"]}}),
        json!({"llm": {"http2": false}}),
        json!({"agent": {"stream_dispatch": false, "parallel_tools": false}, "tools": {"max_parallel": 1}}),
    ] {
        assert_eq!(work(settings.clone()), usual, "{settings}");
    }
}
