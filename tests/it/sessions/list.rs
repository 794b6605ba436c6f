//! `list`, `show` and `export`.

use serde_json::{Value, json};

use super::{CODE, Recorded, mend, mended, sessions};
use crate::support::model::Turn;

#[test]
fn a_run_is_listed_and_shown_and_exported_whole() {
    let mut it = Recorded::with(&[("a.rs", CODE)]);
    let uri = it.bench.open("a.rs");
    it.bench.model.script([
        Turn::calls([("read_file", json!({"path": "a.rs"}))]),
        Turn::calls([mend("a.rs")]),
        Turn::text("It adds now."),
    ]);
    let run = it.bench.run(json!({"action": "task", "prompt": "mend the sum", "uri": uri}));
    assert_eq!(it.bench.finished(&run)["status"], "applied");
    it.quit();

    let runs = it.runs();
    assert_eq!(runs.len(), 1, "{runs:?}");
    let listed = &runs[0];
    assert_eq!((&listed["id"], &listed["status"], &listed["steps"]), (&json!(run), &json!("applied"), &json!(3)));
    assert_eq!((&listed["model"], &listed["live"]), (&json!("test/m"), &json!(false)));
    assert!(listed["files"][0].as_str().unwrap().ends_with("/a.rs"), "{listed}");
    let table = it.sessions(&["list"]);
    assert!(table.out.contains(&run) && table.out.contains("applied") && table.out.contains("test/m"), "{}", table.out);

    // Any beginning that only this run has will do.
    for name in [run.as_str(), &run[..run.len() - 1], run.strip_prefix("run-").unwrap()] {
        let shown = it.sessions(&["show", name]);
        assert_eq!(shown.code, Some(0), "{}", shown.err);
        for part in ["mend the sum", "It adds now.", "Edit a.rs", "+    xs.iter().fold(0, |sum, x| sum + x)", "applied"]
        {
            assert!(shown.out.contains(part), "{part:?} in {}", shown.out);
        }
        assert!(!shown.out.contains('\x1b'), "no colours in a pipe");
    }

    let exported = it.sessions(&["export", &run, "--format", "json"]);
    assert_eq!(exported.code, Some(0), "{}", exported.err);
    let exported: Value = serde_json::from_str(&exported.out).unwrap();
    assert_eq!((&exported["schema"], &exported["run"]["id"]), (&json!(1), &json!(run)));
    let kinds: Vec<&str> =
        exported["records"].as_array().unwrap().iter().map(|record| record["kind"].as_str().unwrap()).collect();
    for kind in ["started", "request", "response", "toolFinished", "staged", "proposal", "sent", "typed", "finished"] {
        assert!(kinds.contains(&kind), "{kind} in {kinds:?}");
    }
    let file = it.state.path().join("export.json");
    let written = it.sessions(&["export", &run, "--output", file.to_str().unwrap()]);
    assert_eq!((written.code, written.out.as_str()), (Some(0), ""), "{}", written.err);
    assert_eq!(serde_json::from_slice::<Value>(&std::fs::read(&file).unwrap()).unwrap(), exported);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
    // The renderers have tests of their own; here it is that they are reached.
    let page = it.sessions(&["export", &run, "--format", "html"]);
    assert!(page.code == Some(0) && page.out.contains("<html") && page.out.contains("It adds now."), "{}", page.err);
    let trace = it.sessions(&["export", &run, "--format", "chrome-trace"]);
    let trace: Value = serde_json::from_str(&trace.out).unwrap();
    assert!(!trace["traceEvents"].as_array().unwrap().is_empty(), "{trace}");
    assert_eq!(it.bench.editor.text(&uri), mended());
}

#[test]
fn what_is_typed_without_a_break_is_one_line() {
    let mut it = Recorded::with(&[("a.rs", CODE), ("b.rs", CODE)]);
    let (a, b) = (it.bench.open("a.rs"), it.bench.open("b.rs"));
    let run = it.bench.run(json!({"action": "task", "prompt": "wait", "uri": a}));
    let (request, reply) = it.bench.model.expect_blocking();
    let call = Turn::calls([("read_file", json!({"path": "a.rs"})), ("read_file", json!({"path": "b.rs"}))]);
    reply.play(&call, &request);
    let (request, reply) = it.bench.model.expect_blocking();
    for (uri, keys) in [(&a, 3), (&b, 1), (&a, 2)] {
        (0..keys).for_each(|_| it.bench.editor.type_at(uri, 0, "x"));
    }
    // Answered behind what was typed.
    it.bench.editor.command("ropeway.stats", json!({}));
    reply.play(&Turn::text("Done."), &request);
    it.bench.finished(&run);
    it.quit();
    let shown = it.sessions(&["show", &run]);
    let typed: Vec<&str> = shown.out.lines().filter_map(|line| line.split_once("you typed in ")).map(|l| l.1).collect();
    assert_eq!(typed.len(), 3, "{}", shown.out);
    assert!(typed[0].starts_with("a.rs:1, 3 changes in "), "{typed:?}");
    assert!(typed[1] == "b.rs:1" && typed[2].starts_with("a.rs:1, 2 changes in "), "{typed:?}");
}

#[test]
fn a_run_is_seen_while_it_goes_on_and_beside_those_of_other_servers() {
    let mut it = Recorded::with(&[("a.rs", CODE)]);
    it.bench.model.script([Turn::text("One.")]);
    let first = it.bench.task("first");
    it.bench.finished(&first);
    it.restart();
    let second = it.bench.task("second");
    let (request, reply) = it.bench.model.expect_blocking();
    // The writer has its own pace: look until the run is there.
    let runs = loop {
        let runs = it.runs();
        if runs.len() == 2 {
            break runs;
        }
        std::thread::yield_now();
    };
    assert_eq!(
        (&runs[0]["id"], &runs[0]["status"], &runs[0]["live"]),
        (&json!(second), &json!("running"), &json!(true))
    );
    assert_eq!(
        (&runs[1]["id"], &runs[1]["status"], &runs[1]["live"]),
        (&json!(first), &json!("answered"), &json!(false))
    );
    let refused = it.sessions(&["replay", &second]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.err.contains("still goes on"), "{}", refused.err);
    reply.play(&Turn::text("Two."), &request);
    it.bench.finished(&second);
    it.quit();
    assert_eq!(it.runs()[0]["status"], "answered");
}

#[test]
fn a_name_that_no_run_has_is_told_with_the_nearest() {
    let mut it = Recorded::with(&[]);
    it.bench.model.script([Turn::text("One."), Turn::text("Two.")]);
    let runs = ["first", "second"].map(|prompt| {
        let run = it.bench.task(prompt);
        it.bench.finished(&run);
        run
    });
    it.quit();
    for command in ["show", "export", "replay"] {
        let wrong = format!("{}x", runs[0]);
        let ran = it.sessions(&[command, &wrong]);
        assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{}", ran.err);
        assert!(ran.err.contains("no recorded run is named") && ran.err.contains(&runs[0]), "{}", ran.err);
        let several = it.sessions(&[command, "run-"]);
        assert_eq!(several.code, Some(1));
        assert!(several.err.contains("2 runs begin with run-") && several.err.contains(&runs[1]), "{}", several.err);
    }
}

#[test]
fn without_recordings_the_reason_is_told() {
    let state = tempfile::tempdir().unwrap();
    let none = sessions(state.path(), &["list"]);
    assert_eq!((none.code, none.out.as_str()), (Some(0), ""));
    assert!(none.err.contains("nothing is recorded") && none.err.contains("the next run will be"), "{}", none.err);
    assert_eq!(sessions(state.path(), &["list", "--json"]).out.trim(), "[]");
    let shown = sessions(state.path(), &["show", "run-1"]);
    assert_eq!(shown.code, Some(1));
    assert!(shown.err.contains("nothing is recorded"), "{}", shown.err);

    std::fs::write(state.path().join("config.toml"), "[recording]\nenabled = false\n").unwrap();
    let mut program = std::process::Command::new(env!("CARGO_BIN_EXE_ropeway"));
    program.args(["sessions", "list"]).env_clear().env("HOME", "/nonexistent").env("ROPEWAY_STATE_DIR", state.path());
    let off = program.env("ROPEWAY_CONFIG", state.path().join("config.toml")).output().unwrap();
    let off = super::Ran::from(off);
    assert!(off.err.contains("recording is switched off") && off.err.contains("recording.enabled"), "{}", off.err);
}

#[test]
fn a_damaged_recording_is_shown_as_far_as_it_can_be_read() {
    let mut it = Recorded::with(&[("a.rs", CODE)]);
    it.bench.model.script([Turn::calls([("read_file", json!({"path": "a.rs"}))]), Turn::text("Seen it.")]);
    let run = it.bench.task("look");
    it.bench.finished(&run);
    it.quit();
    let file = it.records(&run);
    let whole = std::fs::read_to_string(&file).unwrap();
    let damaged: String = whole
        .lines()
        .map(
            |line| {
                if line.contains("\"kind\":\"toolStarted\"") { "{\"v\":1,oops\n".into() } else { format!("{line}\n") }
            },
        )
        .collect();
    std::fs::write(&file, &damaged[..damaged.len() - 20]).unwrap();
    let shown = it.sessions(&["show", &run]);
    assert_eq!(shown.code, Some(0), "{}", shown.err);
    assert!(shown.out.contains("[damaged: ") && shown.out.contains("a line is no record"), "{}", shown.out);
    assert!(shown.out.contains("Seen it.") && shown.out.contains("in the middle of a record"), "{}", shown.out);
    let exported = it.sessions(&["export", &run]);
    let exported: Value = serde_json::from_str(&exported.out).unwrap();
    assert_eq!(
        exported["damage"].as_array().unwrap().len(),
        3,
        "a line, the gap it leaves, the end: {}",
        exported["damage"]
    );
}
