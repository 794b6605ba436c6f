//! `ropeway.report`: a page about a run, made from its recording, that only the user can read.
#![expect(clippy::disallowed_methods, reason = "the tests look at the page from outside")]

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::support::agent::Bench;
use super::support::editor::Setup;
use super::support::model::Turn;

const CODE: &str = "fn total() {\n    sum -= 1;\n    sum\n}\n";

fn start(settings: Value, change: impl FnOnce(&mut Setup)) -> (tempfile::TempDir, Bench) {
    let state = tempfile::tempdir().unwrap();
    let dir = state.path().to_owned();
    let bench = Bench::start(&[("a.rs", CODE)], settings, |mut setup| {
        setup.options.state_dir = Some(dir);
        change(&mut setup);
        setup
    });
    // The server goes first, then the folder it writes to.
    (state, bench)
}

/// A run that mends the file; gives its name and its outcome.
fn mend(bench: &mut Bench, said: &str) -> (String, Value) {
    let uri = bench.open("a.rs");
    let edit = json!({"path": "a.rs", "old_string": "sum -= 1", "new_string": "sum += 1"});
    bench.model.script([Turn::calls([("read_file", json!({"path": "a.rs"})), ("edit_file", edit)]), Turn::text(said)]);
    let run = bench.run(json!({"action": "task", "uri": uri, "prompt": "Count up <b>now</b>"}));
    let outcome = bench.finished(&run);
    assert_eq!(outcome["status"], "applied", "{outcome}");
    (run, outcome)
}

fn page(answer: &Value) -> (PathBuf, String) {
    let path = PathBuf::from(answer["path"].as_str().unwrap_or_else(|| panic!("{answer}")));
    let text = std::fs::read_to_string(&path).unwrap();
    (path, text)
}

fn refusal(bench: &mut Bench, argument: Value) -> String {
    let params = json!({"command": "ropeway.report", "arguments": [argument]});
    let asked = bench.editor.ask("workspace/executeCommand", params);
    bench.editor.answer(asked).unwrap_err()["message"].as_str().unwrap().to_owned()
}

#[test]
fn a_run_is_reported_as_a_page_that_the_client_shows_outside_of_itself() {
    let (state, mut bench) = start(json!({}), |_| {});
    let (run, outcome) = mend(&mut bench, "Done: it counts **up** now. </script><script>alert(1)</script>");
    let (path, page) = page(&bench.editor.command("ropeway.report", json!({"runId": run})));
    assert_eq!(path, state.path().join("reports").join(format!("{run}.html")));
    let tokens = outcome["usage"]["outputTokens"].as_u64().unwrap();
    for said in [
        "Count up &lt;b&gt;now&lt;/b&gt;",
        "<strong class=\"badge good\">Applied</strong>",
        "it counts <strong>up</strong> now. &lt;/script&gt;&lt;script&gt;alert(1)",
        "<del>-    sum -= 1;\n</del><ins>+    sum += 1;\n</ins>",
        "<code>edit_file</code>",
        "Model call 2",
        "Delivered",
        &format!("<span class=\"value\">{tokens}</span>"),
    ] {
        assert!(page.contains(said), "{said} is not in the page");
    }
    assert_eq!(page.matches("<script").count(), 1, "the page's own");
    let shown = bench.editor.until("a page", |editor| editor.shown.pop());
    assert_eq!(Path::new(shown.strip_prefix("file://").unwrap()), path);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(path.parent().unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o700);
    }
}

#[test]
fn without_a_name_it_is_the_last_run_and_asking_again_gives_the_same_place() {
    let (_state, mut bench) = start(json!({}), |_| {});
    mend(&mut bench, "One.");
    bench.model.script([Turn::text("Nothing to do, twice.")]);
    let second = bench.task("Look again");
    bench.finished(&second);
    let (path, text) = page(&bench.editor.command("ropeway.report", json!({})));
    assert!(path.ends_with(format!("{second}.html")) && text.contains("Nothing to do, twice."), "{}", path.display());
    let (again, _) = page(&bench.editor.command("ropeway.report", json!({"runId": second})));
    assert_eq!(again, path);
    bench.editor.until("two pages", |editor| (editor.shown.len() == 2).then_some(()));
}

#[test]
fn a_run_that_goes_on_is_reported_as_far_as_it_is() {
    let (_state, mut bench) = start(json!({}), |_| {});
    bench.open("a.rs");
    bench.model.script([Turn::calls([("read_file", json!({"path": "a.rs"}))])]);
    let run = bench.task("Think long");
    bench.event(&run, "toolFinished");
    let (_, page) = page(&bench.editor.command("ropeway.report", json!({"runId": run})));
    assert!(page.contains("Still running") && page.contains("read_file"), "{page}");
    bench.editor.until("the page", |editor| editor.shown.pop());
    bench.editor.command("ropeway.cancel", json!({}));
    bench.finished(&run);
}

#[test]
fn where_the_client_shows_no_documents_a_message_says_where_the_page_is() {
    let (_state, mut bench) = start(json!({}), |setup| {
        setup.initialize["capabilities"]["window"]["showDocument"] = Value::Null;
    });
    mend(&mut bench, "Done.");
    let (path, _) = page(&bench.editor.command("ropeway.report", json!({})));
    let message = bench.editor.wait_for("a message", |message| message["method"] == "window/showMessage");
    assert_eq!(message["params"]["message"], format!("The report of the run is {}", path.display()));
}

#[test]
fn what_cannot_be_reported_is_refused_with_a_reason() {
    let (state, mut bench) = start(json!({}), |_| {});
    assert!(refusal(&mut bench, json!({})).contains("no run has been recorded yet"));
    mend(&mut bench, "Done.");
    for name in ["run-that-never-was", "../../etc/passwd", "x\u{0}", &"x".repeat(100_000)] {
        let why = refusal(&mut bench, json!({"runId": name}));
        assert!(why.contains("cannot be read") && why.len() < 500, "{name:.20}: {why}");
    }
    assert!(!state.path().join("reports").exists());
}

#[test]
fn with_recording_off_the_user_is_told_what_to_switch_on() {
    let (state, mut bench) = start(json!({"recording": {"enabled": false}}), |_| {});
    mend(&mut bench, "Done.");
    let why = refusal(&mut bench, json!({}));
    assert!(why.contains("`recording.enabled = true`"), "{why}");
    assert!(!state.path().join("reports").exists());
}
