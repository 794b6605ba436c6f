//! What the user is asked before a call runs, and what comes of each answer and of none.

use serde_json::{Value, json};

use super::text;
use crate::support::agent::Bench;
use crate::support::editor::NEVER;
use crate::support::model::Turn;

const SECRET: &str = "TOKEN=hunter2\n";

/// A run whose model wants to see a secret file by every tool that could show it; gives the results it got.
fn look(bench: &mut Bench, calls: &[(&'static str, Value)]) -> Vec<String> {
    let asked = bench.model.requests().len();
    bench.model.script([Turn::calls(calls.to_vec()), Turn::text("Done.")]);
    let run = bench.task("look");
    bench.finished(&run);
    let requests = bench.model.requests();
    let messages = requests[asked + 1].messages();
    messages[messages.len() - calls.len()..].iter().map(|message| text(message).to_owned()).collect()
}

fn calls() -> [(&'static str, Value); 3] {
    [
        ("read_file", json!({"path": "conf/.env"})),
        ("read_file", json!({"path": "plain.txt"})),
        ("outline", json!({"path": "conf/.env"})),
    ]
}

#[cfg(unix)]
fn bench() -> Bench {
    let bench = Bench::with(&[("conf/.env", SECRET), ("a.rs", "fn a() {}\n")]);
    // Another name of the same file.
    std::os::unix::fs::symlink("conf/.env", bench.path("plain.txt")).unwrap();
    bench
}

#[cfg(unix)]
#[test]
fn a_file_that_may_hold_secrets_is_shown_by_no_tool_and_by_no_other_name_unless_the_user_says_so() {
    let mut bench = bench();
    bench.editor.choices.extend(vec![Some("Deny".to_owned()); 3]);
    for result in look(&mut bench, &calls()) {
        assert!(result.contains("did not allow this call"), "{result}");
    }
    assert!(bench.editor.choices.is_empty(), "each was asked");
    bench.editor.choices.extend([Some("Allow once".to_owned()), None, None]);
    let results = look(&mut bench, &calls());
    assert!(results[0].contains("hunter2"), "{results:?}");
    assert!(!results[1].contains("hunter2") && !results[2].contains("hunter2"), "{results:?}");
}

#[cfg(unix)]
#[test]
fn the_question_says_what_the_call_does_and_why_it_is_asked_and_a_no_is_not_asked_again() {
    let mut bench = bench();
    bench.editor.choices.extend([Some("Deny".to_owned())]);
    let read = || ("read_file", json!({"path": "conf/.env"}));
    bench.model.script([Turn::calls([read()]), Turn::calls([read(), read()]), Turn::text("Done.")]);
    let run = bench.task("look");
    let asked = bench.event(&run, "approval");
    let message = asked["message"].as_str().unwrap();
    assert!(message.starts_with("Ropeway wants to: Read conf/.env"), "{message}");
    assert!(message.contains("may hold secrets"), "{message}");
    assert_eq!(bench.event(&run, "approval")["answer"], "Deny");
    assert_eq!(bench.finished(&run)["status"], "answered");
    let last = bench.model.requests().remove(2);
    let messages = last.messages();
    for result in &messages[messages.len() - 2..] {
        assert!(text(result).contains("is not asked again"), "{result}");
    }
}

#[test]
fn a_question_that_is_never_answered_holds_its_call_and_not_the_cancel_of_the_run() {
    let mut bench = Bench::with(&[(".env", SECRET)]);
    bench.editor.choices.extend([Some(NEVER.to_owned())]);
    bench.model.script([Turn::calls([("read_file", json!({"path": ".env"}))])]);
    let run = bench.task("look");
    bench.editor.until("the question", |editor| (!editor.late.is_empty()).then_some(()));
    assert_eq!(bench.editor.command("ropeway.cancel", json!({"runId": run}))["cancelled"], json!([run]));
    assert_eq!(bench.finished(&run)["status"], "cancelled");
    // The answer that comes after all is about nothing.
    let (id, _) = bench.editor.late.remove(0);
    bench.editor.send(json!({"id": id, "result": {"title": "Always allow"}}));
    bench.editor.settle();
    bench.editor.choices.extend([Some("Deny".to_owned())]);
    assert!(look(&mut bench, &[("read_file", json!({"path": ".env"}))])[0].contains("did not allow"));
    assert!(bench.editor.choices.is_empty(), "it is asked again");
}

#[test]
fn a_call_behind_one_that_is_asked_sees_what_that_one_leaves() {
    let rules = json!({"permissions": {"ask": ["edit_file"]}});
    let mut bench = Bench::start(&[("a.txt", "one\n")], rules, |setup| setup);
    bench.editor.choices.extend([Some("Allow once".to_owned())]);
    let edit = ("edit_file", json!({"path": "a.txt", "old_string": "one", "new_string": "two"}));
    let results = look(&mut bench, &[edit, ("read_file", json!({"path": "a.txt"}))]);
    assert!(results[1].contains("two") && !results[1].contains("one"), "{results:?}");
}
