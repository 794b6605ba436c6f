//! Edits that wait for the user: `preview` and `confirm`.

use serde_json::json;

use super::{CODE, mend, mended, refused};
use crate::support::agent::Bench;
use crate::support::editor::Applies;
use crate::support::model::Turn;

fn previewing() -> (Bench, String) {
    let mut bench = Bench::start(&[("a.rs", CODE)], json!({"edits": {"mode": "preview"}}), |setup| setup);
    let uri = bench.open("a.rs");
    bench.model.script([Turn::calls([mend("a.rs")]), Turn::text("Done.")]);
    (bench, uri)
}

#[test]
fn a_proposed_edit_is_applied_when_it_is_accepted_over_what_was_typed_since() {
    let (mut bench, uri) = previewing();
    let run = bench.run(json!({"action": "task", "prompt": "mend", "uri": uri}));
    let staged = bench.event(&run, "staged");
    assert_eq!(staged["uri"], uri);
    assert!(staged["diff"].as_str().unwrap().contains("sum + x"), "{staged}");
    let outcome = bench.finished(&run);
    assert_eq!(outcome["status"], "proposed", "{outcome}");
    assert_eq!(outcome["files"], json!([{"uri": uri, "edits": 1, "conflicts": []}]));
    assert_eq!(bench.editor.text(&uri), CODE);
    bench.editor.type_at(&uri, 0, "// typed 😀\n");
    let accepted = bench.editor.command("ropeway.accept", json!({"runId": run}));
    assert_eq!(accepted["status"], "applied", "{accepted}");
    assert_eq!(bench.editor.text(&uri), format!("// typed 😀\n{}", mended()));
    assert!(refused(&mut bench, "ropeway.accept", json!([{"runId": run}])).contains("no edits that wait"));
    let back = bench.editor.command("ropeway.revert", json!({}));
    assert_eq!((&back["runId"], &back["status"]), (&json!(run), &json!("applied")), "{back}");
    assert_eq!(bench.editor.text(&uri), format!("// typed 😀\n{CODE}"));
}

#[test]
fn a_proposed_edit_is_dropped_when_it_is_rejected() {
    let (mut bench, uri) = previewing();
    // Several times: the client answers the end of the run at once, and that must never be too early.
    for _ in 0..20 {
        let run = bench.run(json!({"action": "task", "prompt": "mend", "uri": uri}));
        assert_eq!(bench.finished(&run)["status"], "proposed");
        assert_eq!(bench.editor.command("ropeway.reject", json!({"runId": run})), json!({}));
        assert!(refused(&mut bench, "ropeway.accept", json!([{"runId": run}])).contains(&run));
        assert_eq!(bench.editor.text(&uri), CODE);
        bench.model.script([Turn::calls([mend("a.rs")]), Turn::text("Done.")]);
    }
}

/// A run that proposes to mend `a.rs` and `b.rs`, to make `new.rs` and to move `c.rs` to `d.rs`; gives the
/// first two.
fn several() -> (Bench, String, [String; 2]) {
    let files = [("a.rs", CODE), ("b.rs", CODE), ("c.rs", "fn c() {}\n")];
    let mut bench = Bench::start(&files, json!({"edits": {"mode": "preview"}}), |setup| setup);
    let uris = [bench.open("a.rs"), bench.open("b.rs")];
    let create = ("create_file", json!({"path": "new.rs", "text": "fn new() {}\n"}));
    let rename = ("move_file", json!({"from": "c.rs", "to": "d.rs"}));
    bench.model.script([Turn::calls([mend("a.rs"), mend("b.rs"), create, rename]), Turn::text("Done.")]);
    let run = bench.task("mend all");
    let outcome = bench.finished(&run);
    assert_eq!((&outcome["status"], outcome["files"].as_array().unwrap().len()), (&json!("proposed"), 4), "{outcome}");
    (bench, run, uris)
}

#[test]
fn files_of_a_proposal_are_accepted_and_rejected_one_by_one() {
    let (mut bench, run, [a, b]) = several();
    let (new, moved) = (a.replace("a.rs", "new.rs"), a.replace("a.rs", "d.rs"));
    bench.editor.type_at(&b, 0, "// typed\n");
    let accepted = bench.editor.command("ropeway.accept", json!({"runId": run, "uris": [b]}));
    assert_eq!(accepted["status"], "applied", "{accepted}");
    assert_eq!(accepted["files"], json!([{"uri": b, "edits": 1, "conflicts": []}]));
    assert_eq!(bench.editor.text(&b), format!("// typed\n{}", mended()));
    assert_eq!(bench.editor.text(&a), CODE, "it waits");
    // What was decided is decided, and is told by its name.
    for command in ["ropeway.accept", "ropeway.reject"] {
        let said = refused(&mut bench, command, json!([{"runId": run, "uris": [b]}]));
        assert!(said.contains(&b) && said.contains("wait for a decision"), "{said}");
    }
    assert_eq!(bench.editor.command("ropeway.reject", json!({"runId": run, "uris": [a, new]})), json!({}));
    assert_eq!(bench.editor.text(&a), CODE);
    let accepted = bench.editor.command("ropeway.accept", json!({"runId": run, "uris": [moved]}));
    assert_eq!(accepted["status"], "applied", "{accepted}");
    // Nothing is left to decide, and what was taken can be taken back.
    assert!(refused(&mut bench, "ropeway.accept", json!([{"runId": run}])).contains("no edits that wait"));
    let back = bench.editor.command("ropeway.revert", json!({}));
    assert_eq!((&back["runId"], &back["status"]), (&json!(run), &json!("applied")), "{back}");
    assert_eq!(bench.editor.text(&b), format!("// typed\n{CODE}"));
    assert_eq!(bench.editor.text(&a), CODE);
}

#[test]
fn the_rest_of_a_proposal_is_dropped_and_what_was_accepted_stays() {
    let (mut bench, run, [a, b]) = several();
    bench.editor.command("ropeway.accept", json!({"runId": run, "uris": [a]}));
    assert_eq!(bench.editor.command("ropeway.reject", json!({"runId": run})), json!({}));
    assert_eq!((bench.editor.text(&a), bench.editor.text(&b)), (&*mended(), CODE));
    assert!(refused(&mut bench, "ropeway.accept", json!([{"runId": run}])).contains("no edits that wait"));
    assert_eq!(bench.editor.command("ropeway.revert", json!({}))["status"], "applied");
    assert_eq!(bench.editor.text(&a), CODE);
}

#[test]
fn a_file_that_is_none_of_the_proposal_is_refused_and_nothing_is_decided() {
    let (mut bench, run, [a, b]) = several();
    for (uris, wanted) in [
        (json!([]), "leave it out to mean all"),
        (json!([a, "file:///etc/passwd"]), "no edits of file:///etc/passwd"),
        (json!([a, "x".repeat(100_000)]), "no edits of xxx"),
        (json!(a), "expected a sequence"),
    ] {
        for command in ["ropeway.accept", "ropeway.reject"] {
            let said = refused(&mut bench, command, json!([{"runId": run, "uris": uris}]));
            assert!(said.contains(wanted) && said.len() < 1_000, "{said}");
        }
    }
    assert_eq!(bench.editor.command("ropeway.accept", json!({"runId": run}))["files"].as_array().unwrap().len(), 4);
    assert_eq!((bench.editor.text(&a), bench.editor.text(&b)), (&*mended(), &*mended()));
}

/// Records of the status, four a second by the server's clock, that come while more time passes than an editor gets
/// for an edit that nobody has to confirm.
const LONGER_THAN_PATIENCE: usize = 60;

fn confirming() -> (Bench, String) {
    let settings = json!({
        "edits": {"mode": "confirm"},
        "monitor": {"status_hz": 4},
        // The clock runs ahead of the model, too.
        "providers": {"test": {"timeouts": {"connect_ms": 3_600_000, "first_byte_ms": 3_600_000, "idle_ms": 3_600_000}}},
    });
    let mut bench = Bench::start(&[("a.rs", CODE)], settings, |setup| setup.applies(Applies::Late).without_waiting());
    let uri = bench.open("a.rs");
    bench.model.script([Turn::calls([mend("a.rs")]), Turn::text("Done.")]);
    (bench, uri)
}

#[test]
fn an_edit_to_be_confirmed_waits_for_the_user_as_long_as_it_takes() {
    let (mut bench, uri) = confirming();
    let run = bench.run(json!({"action": "task", "prompt": "mend", "uri": uri}));
    bench.editor.until("the edit", |editor| (!editor.late.is_empty()).then_some(()));
    bench.editor.messages.retain(|message| message["method"] != "ropeway/status");
    for _ in 0..LONGER_THAN_PATIENCE {
        let status = bench.editor.expect_notification("ropeway/status");
        assert_eq!(status["runs"][0]["runId"], run, "{status}");
    }
    let edit = bench.editor.late[0].1["edit"].clone();
    let annotation = edit["changeAnnotations"].as_object().unwrap().iter().next().unwrap();
    assert_eq!(annotation.1["needsConfirmation"], true, "{edit}");
    assert_eq!(edit["documentChanges"][0]["edits"][0]["annotationId"], *annotation.0, "{edit}");
    // The change before the answer: the clock would run ahead of a proof that comes behind it.
    bench.editor.release(Applies::EachAlone);
    assert_eq!(bench.finished(&run)["status"], "applied");
    assert_eq!(bench.editor.text(&uri), mended());
}

#[test]
fn a_run_that_waits_for_the_user_to_confirm_can_be_cancelled() {
    let (mut bench, uri) = confirming();
    let run = bench.run(json!({"action": "task", "prompt": "mend", "uri": uri}));
    bench.editor.until("the edit", |editor| (!editor.late.is_empty()).then_some(()));
    assert_eq!(bench.editor.command("ropeway.cancel", json!({"runId": run}))["cancelled"], json!([run]));
    assert_eq!(bench.finished(&run)["status"], "cancelled");
    assert_eq!(bench.editor.text(&uri), CODE);
}
