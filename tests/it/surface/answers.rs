//! Where an answer without edits and the findings of a review appear.

#![expect(clippy::disallowed_methods, reason = "a test looks at the file that the server wrote")]

use serde_json::json;

use super::{CODE, mend, mended, outcome};
use crate::support::agent::Bench;
use crate::support::editor::document;
use crate::support::model::Turn;

const ANSWER: &str = "It adds **all** numbers.";

#[test]
fn an_answer_goes_to_who_hears_events_and_nowhere_else() {
    let state = tempfile::tempdir().unwrap();
    let dir = state.path().to_owned();
    let mut bench = Bench::start(&[("a.rs", CODE)], json!({}), |mut setup| {
        setup.options.state_dir = Some(dir);
        setup
    });
    let uri = bench.open("a.rs");
    bench.model.script([Turn::text(ANSWER)]);
    let run = bench.run(json!({"action": "explain", "uri": uri}));
    let outcome = bench.finished(&run);
    assert_eq!((outcome["status"].as_str(), outcome["answer"].as_str()), (Some("answered"), Some(ANSWER)));
    bench.editor.quit();
    // A message would fail the test at its end.
    assert!(bench.editor.shown.is_empty(), "{:?}", bench.editor.shown);
    assert!(!state.path().join("answers").exists());
}

#[test]
fn without_events_the_answer_is_shown_as_a_document_that_only_the_user_can_read() {
    let state = tempfile::tempdir().unwrap();
    let dir = state.path().to_owned();
    let mut bench = Bench::start(&[("a.rs", CODE)], json!({}), |mut setup| {
        setup.options.state_dir = Some(dir);
        setup.initialize["initializationOptions"]["events"] = false.into();
        setup
    });
    let uri = bench.open("a.rs");
    bench.model.script([Turn::text(ANSWER)]);
    assert_eq!(outcome(&mut bench, json!({"action": "explain", "uri": uri}))["status"], "answered");
    let shown = bench.editor.until("a document", |editor| editor.shown.pop());
    let path = std::path::Path::new(shown.strip_prefix("file://").unwrap());
    assert!(path.starts_with(state.path()) && shown.ends_with(".md"), "{shown}");
    assert!(std::fs::read_to_string(path).unwrap().contains(ANSWER));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o077, 0);
    }
}

#[test]
fn without_events_and_documents_the_answer_is_a_message() {
    let state = tempfile::tempdir().unwrap();
    let dir = state.path().to_owned();
    let mut bench = Bench::start(&[("a.rs", CODE)], json!({}), |mut setup| {
        setup.options.state_dir = Some(dir);
        setup.initialize["initializationOptions"]["events"] = false.into();
        setup.initialize["capabilities"]["window"] = json!({});
        setup
    });
    let uri = bench.open("a.rs");
    bench.model.script([Turn::text(ANSWER)]);
    outcome(&mut bench, json!({"action": "explain", "uri": uri}));
    let said = bench.editor.expect_notification("window/showMessage");
    assert_eq!(said["type"], 3);
    assert!(said["message"].as_str().unwrap().contains(ANSWER), "{said}");
    assert!(bench.editor.shown.is_empty());
}

#[test]
fn an_action_that_only_answers_gets_no_tool_that_writes() {
    let mut bench = Bench::with(&[("a.rs", CODE)]);
    let uri = bench.open("a.rs");
    bench.model.script([Turn::calls([mend("a.rs")]), Turn::text("I may not.")]);
    let run = bench.run(json!({"action": "explain", "uri": uri}));
    assert_eq!(bench.finished(&run)["status"], "answered");
    let requests = bench.model.requests();
    assert!(!requests[0].body["tools"].to_string().contains("edit_file"));
    assert!(requests[1].last_message().contains("read_file"), "{}", requests[1].last_message());
    assert_eq!(bench.editor.text(&uri), CODE);
}

#[test]
fn findings_of_a_review_are_diagnostics_in_their_places_and_each_is_offered_a_fix() {
    let mut bench = Bench::with(&[("a.rs", CODE), ("b.rs", "fn b() {}\n")]);
    let uri = bench.open("a.rs");
    let answer = "Two defects.\n\n- `a.rs:2-2` error: subtracts where it should add\n\
        - `b.rs:1` warning: does nothing\n- `../../etc/passwd:1` error: not of this workspace\n- no finding at all\n";
    bench.model.script([Turn::text(answer), Turn::calls([mend("a.rs")]), Turn::text("Mended.")]);
    let run = bench.run(json!({"action": "review", "uri": uri}));
    assert_eq!(bench.finished(&run)["status"], "answered");
    let first = bench.editor.expect_notification("textDocument/publishDiagnostics");
    let second = bench.editor.expect_notification("textDocument/publishDiagnostics");
    assert_eq!(first["uri"], uri);
    let problem = json!({
        "range": {"start": {"line": 1, "character": 0}, "end": {"line": 2, "character": 0}},
        "severity": 1, "source": "ropeway", "message": "subtracts where it should add",
    });
    assert_eq!(first["diagnostics"], json!([problem]));
    assert!(second["uri"].as_str().unwrap().ends_with("/b.rs"));
    assert_eq!(second["diagnostics"][0]["severity"], 2);

    let at = document::position(CODE, CODE.find("sum - x").unwrap(), bench.editor.columns);
    let menu = bench.editor.request(
        "textDocument/codeAction",
        json!({
            "textDocument": {"uri": uri}, "range": {"start": at, "end": at},
            "context": {"diagnostics": [problem], "only": ["quickfix"]},
        }),
    );
    assert_eq!(menu[0]["title"], "Ropeway: Fix “subtracts where it should add”");
    let run = bench.run(menu[0]["command"]["arguments"][0].clone());
    assert_eq!(bench.finished(&run)["status"], "applied");
    assert_eq!(bench.editor.text(&uri), mended());
}

#[test]
fn a_second_review_of_a_file_takes_back_what_the_first_found_there() {
    let mut bench = Bench::with(&[("a.rs", CODE)]);
    let uri = bench.open("a.rs");
    bench.model.script([Turn::text("- `a.rs:2` error: subtracts\n"), Turn::text("Nothing to report.")]);
    for found in [1, 0] {
        let run = bench.run(json!({"action": "review", "uri": uri}));
        bench.finished(&run);
        let published = bench.editor.expect_notification("textDocument/publishDiagnostics");
        assert_eq!(published["uri"], uri);
        assert_eq!(published["diagnostics"].as_array().unwrap().len(), found, "{published}");
    }
}
