//! Edits that were never applied, offered by the next session.

use serde_json::json;

use super::{CODE, Recorded, mend, mended, questions};
use crate::support::model::Turn;

/// A session that ended with a proposal nobody decided about; gives the run.
fn proposed(files: &[(&str, &str)]) -> (Recorded, String) {
    let mut it = Recorded::start(files, json!({"edits": {"mode": "preview"}}), |setup| setup);
    it.bench.model.script([Turn::calls([mend("a.rs")]), Turn::text("Mended.")]);
    let run = it.bench.task("mend the sum");
    assert_eq!(it.bench.finished(&run)["status"], "proposed");
    (it, run)
}

fn told(it: &mut Recorded) -> String {
    it.bench.editor.expect_notification("window/showMessage")["message"].as_str().unwrap().to_owned()
}

#[test]
fn they_are_applied_at_the_users_word_when_the_file_is_opened() {
    let (mut it, run) = proposed(&[("a.rs", CODE), ("b.rs", "fn b() {}\n")]);
    it.restart();
    let asked = questions(&mut it.bench.editor);
    // Another file is none of its business.
    it.bench.open("b.rs");
    it.bench.editor.settle();
    it.bench.editor.choices.push_back(Some("Apply".into()));
    let uri = it.bench.open("a.rs");
    assert_eq!(told(&mut it), "Ropeway: applied 1 edit in 1 file");
    assert_eq!(it.bench.editor.text(&uri), mended());
    let question = asked.borrow()[0].clone();
    assert!(question.contains("1 edit of an earlier run was never applied"), "{question}");
    assert!(
        question.contains("mend the sum") && question.contains("test/m") && question.contains("a.rs"),
        "{question}"
    );
    assert_eq!(asked.borrow().len(), 1);
    // It is as any other run's: it can be taken back.
    let back = it.bench.editor.command("ropeway.revert", json!({"runId": run}));
    assert_eq!(back["status"], "applied", "{back}");
    assert_eq!(it.bench.editor.text(&uri), CODE);
    // Decided is decided. A question would fail the test.
    it.restart();
    it.bench.open("a.rs");
    assert_eq!(it.bench.editor.command("ropeway.threads", json!({}))[0]["runs"], 1);
}

#[test]
fn they_can_be_looked_at_first_and_dropped_for_good() {
    let (mut it, _) = proposed(&[("a.rs", CODE)]);
    let state = it.state.path().to_owned();
    it.restart_as(|mut setup| {
        setup.options.state_dir = Some(state);
        setup
    });
    it.bench.editor.choices.extend([Some("Show".into()), Some("Discard".into())]);
    let asked = questions(&mut it.bench.editor);
    let uri = it.bench.open("a.rs");
    let shown = it.bench.editor.until("a document", |editor| editor.shown.pop());
    it.bench.editor.until("the second question", |_| (asked.borrow().len() == 2).then_some(()));
    let shown = std::fs::read_to_string(shown.strip_prefix("file://").unwrap()).unwrap();
    assert!(shown.contains("+    xs.iter().fold(0, |sum, x| sum + x)") && shown.contains("```diff"), "{shown}");
    assert_eq!(it.bench.editor.text(&uri), CODE);
    it.restart();
    it.bench.open("a.rs");
    it.bench.editor.command("ropeway.threads", json!({}));
}

#[test]
fn a_question_that_was_closed_is_asked_again_by_the_next_session_and_not_before() {
    let (mut it, run) = proposed(&[("a.rs", CODE)]);
    it.restart();
    let asked = questions(&mut it.bench.editor);
    it.bench.editor.choices.push_back(None);
    let uri = it.bench.open("a.rs");
    it.bench.editor.until("the question", |_| (!asked.borrow().is_empty()).then_some(()));
    it.bench.editor.close(&uri);
    it.bench.open("a.rs");
    it.bench.editor.settle();
    it.restart();
    let asked = questions(&mut it.bench.editor);
    it.bench.editor.choices.push_back(None);
    let uri = it.bench.open("a.rs");
    it.bench.editor.until("the question", |_| (!asked.borrow().is_empty()).then_some(()));
    // The command does what the button would have done.
    let outcome = it.bench.editor.command("ropeway.accept", json!({"runId": run}));
    assert_eq!(outcome["status"], "applied", "{outcome}");
    assert_eq!(it.bench.editor.text(&uri), mended());
}

#[test]
fn the_commands_find_a_run_of_an_earlier_session_by_its_name() {
    let (mut it, run) = proposed(&[("a.rs", CODE)]);
    it.restart();
    it.bench.editor.command("ropeway.reject", json!({"runId": run}));
    it.restart();
    let id = it
        .bench
        .editor
        .ask("workspace/executeCommand", json!({"command": "ropeway.accept", "arguments": [{"runId": run}]}));
    let error = it.bench.editor.answer(id).unwrap_err();
    assert!(error["message"].as_str().unwrap().contains("there is no run"), "{error}");
    it.bench.open("a.rs");
    it.bench.editor.command("ropeway.threads", json!({}));
}

#[test]
fn a_server_that_is_still_ending_is_waited_for() {
    let (mut it, run) = proposed(&[("a.rs", CODE)]);
    it.restart();
    let lock = std::fs::File::open(it.records(&run).with_file_name("lock")).unwrap();
    lock.lock().unwrap();
    let id = it
        .bench
        .editor
        .ask("workspace/executeCommand", json!({"command": "ropeway.reject", "arguments": [{"runId": run}]}));
    it.bench.editor.command("ropeway.stats", json!({}));
    lock.unlock().unwrap();
    it.bench.editor.answer(id).unwrap();
}

#[test]
fn only_the_files_that_were_not_decided_about_are_left() {
    let mut it = Recorded::start(
        &[("a.rs", CODE), ("b.rs", CODE), ("c.rs", CODE)],
        json!({"edits": {"mode": "preview"}}),
        |setup| setup,
    );
    it.bench.model.script([Turn::calls([mend("a.rs"), mend("b.rs"), mend("c.rs")]), Turn::text("Mended.")]);
    let uris = ["a.rs", "b.rs", "c.rs"].map(|name| it.bench.open(name));
    let run = it.bench.task("mend the sums");
    assert_eq!(it.bench.finished(&run)["status"], "proposed");
    it.bench.editor.command("ropeway.accept", json!({"runId": run, "uris": [uris[0]]}));
    it.bench.editor.command("ropeway.reject", json!({"runId": run, "uris": [uris[1]]}));
    // The first is saved as it is now.
    std::fs::write(it.bench.path("a.rs"), mended()).unwrap();
    it.restart();
    let asked = questions(&mut it.bench.editor);
    it.bench.editor.choices.push_back(Some("Apply".into()));
    let uris = ["a.rs", "b.rs", "c.rs"].map(|name| it.bench.open(name));
    assert_eq!(told(&mut it), "Ropeway: applied 1 edit in 1 file");
    assert!(asked.borrow()[0].contains("in c.rs"), "{}", asked.borrow()[0]);
    assert_eq!(uris.map(|uri| it.bench.editor.text(&uri).to_owned()), [mended(), CODE.to_owned(), mended()]);
}

#[test]
fn they_are_carried_over_what_was_changed_since() {
    let files = [("a.rs", CODE)];
    let (mut it, _) = proposed(&files);
    it.quit();
    let changed = format!("// A remark.\n{}", CODE.replace("    2\n", "    1\n"));
    std::fs::write(it.bench.path("a.rs"), &changed).unwrap();
    let setup = crate::support::editor::Setup::in_folder(it.bench.folder.path());
    it.bench.editor = crate::support::agent::agent(setup, &it.bench.model, &it.settings).start();
    it.bench.editor.choices.push_back(Some("Apply".into()));
    let uri = it.bench.open("a.rs");
    assert_eq!(told(&mut it), "Ropeway: applied 1 edit in 1 file");
    assert_eq!(it.bench.editor.text(&uri), changed.replace("sum - x", "sum + x"));
}

#[test]
fn what_no_longer_fits_or_is_there_already_is_not_offered() {
    for now in [CODE.replace("sum - x", "sum * x"), mended()] {
        let (mut it, _) = proposed(&[("a.rs", CODE)]);
        it.quit();
        std::fs::write(it.bench.path("a.rs"), &now).unwrap();
        let setup = crate::support::editor::Setup::in_folder(it.bench.folder.path());
        it.bench.editor = crate::support::agent::agent(setup, &it.bench.model, &it.settings).start();
        // A question would fail the test.
        let uri = it.bench.open("a.rs");
        it.bench.editor.command("ropeway.threads", json!({}));
        it.bench.editor.settle();
        assert_eq!(it.bench.editor.text(&uri), now);
    }
}

#[test]
fn in_a_folder_that_is_not_trusted_nothing_is_offered() {
    let (mut it, _) = proposed(&[("a.rs", CODE)]);
    it.restart_as(|mut setup| {
        setup.initialize["initializationOptions"]["trusted"] = false.into();
        setup
    });
    it.bench.open("a.rs");
    it.bench.editor.command("ropeway.threads", json!({}));
}

#[cfg(unix)]
#[test]
fn a_killed_server_loses_no_edit_that_it_had_staged() {
    use crate::support::agent::agent;
    use crate::support::editor::Setup;

    let mut it = Recorded::with(&[("a.rs", CODE)]);
    it.quit();
    let setup = agent(Setup::in_folder(it.bench.folder.path()), &it.bench.model, &it.settings);
    let mut program = std::process::Command::new(env!("CARGO_BIN_EXE_ropeway"));
    program.env_clear().env("HOME", "/nonexistent");
    let (editor, mut server) = setup.start_program(&mut program);
    it.bench.editor = editor;
    let uri = it.bench.open("a.rs");
    it.bench.model.script([Turn::calls([mend("a.rs")])]);
    let run = it.bench.run(json!({"action": "task", "prompt": "mend the sum", "uri": uri}));
    let (_, _reply) = it.bench.model.expect_blocking();
    // The user goes on typing; then the record is on disk, and the server is not there any more.
    it.bench.editor.type_at(&uri, 0, "// Typed.\n");
    it.bench.event(&run, "toolFinished");
    let recorded = |it: &Recorded| {
        // Both, in whatever order they came.
        let has = |text: String| text.contains("Typed.") && text.contains("\"kind\":\"staged\"");
        it.find_records(&run).is_some_and(|file| has(std::fs::read_to_string(file).unwrap()))
    };
    while !recorded(&it) {
        std::thread::yield_now();
    }
    server.kill().unwrap();
    server.wait().unwrap();
    it.bench.editor.messages.clear();
    it.bench.editor.vanish();

    assert_eq!(it.runs()[0]["status"], "cut off");
    // The file was not saved: what was typed is gone with the editor, the run's edit is not.
    it.bench.editor = agent(Setup::in_folder(it.bench.folder.path()), &it.bench.model, &it.settings).start();
    let asked = questions(&mut it.bench.editor);
    it.bench.editor.choices.push_back(Some("Apply".into()));
    let uri = it.bench.open("a.rs");
    assert_eq!(told(&mut it), "Ropeway: applied 1 edit in 1 file");
    assert_eq!(it.bench.editor.text(&uri), mended());
    assert!(asked.borrow()[0].contains("that was cut off"), "{asked:?}");
    it.quit();
    let played = it.sessions(&["replay", &run]);
    assert_eq!(played.code, Some(0), "{}", played.err);
}
