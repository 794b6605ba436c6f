//! The agent's port to the editor, through the real server: edits, questions, answers, findings, as editors take them.
#![expect(clippy::disallowed_methods, reason = "answers are files")]

use std::path::PathBuf;
use std::sync::Arc;

use futures_util::FutureExt;
use ropeway::host::{FileChange, Finding, Host, Notice, Proposal, Question};
use ropeway::ids::RunId;
use ropeway::lsp::Session;
use ropeway::text::{EditSet, Text};
use serde_json::{Value, json};

use crate::support::editor::{Applies, Editor, Setup};

/// What a request of the test asks the host to do.
async fn perform(session: Arc<Session>, params: Value) -> Value {
    let text = |key: &str| params[key].as_str().unwrap_or_default().to_owned();
    let host = Arc::clone(&session.client().unwrap().host);
    let change = match &*text("do") {
        "replace" => {
            let document = session.workspace.document(&text("uri")).unwrap();
            let line = params["line"].as_u64().unwrap() as usize;
            let range = document.text.line_start(line)..document.text.line_start(line + 1);
            FileChange::Edit {
                uri: document.uri.clone(),
                version: document.version,
                edits: EditSet::replace(document.text.len(), range, text("with")).unwrap(),
                base: document.text.clone(),
            }
        }
        "create" => FileChange::Create { uri: Arc::from(text("uri")), text: Text::from(&*text("with")) },
        "delete" => FileChange::Delete { uri: Arc::from(text("uri")) },
        "rename" => FileChange::Rename { from: Arc::from(text("uri")), to: Arc::from(text("to")) },
        "ask" => {
            let question = Question { message: "Run it?".into(), choices: vec!["Allow once", "Deny"] };
            return json!(host.ask(question).await);
        }
        "answer" => {
            host.show_answer(&RunId::from("run-7"), "Explain", "It **works**.");
            return Value::Null;
        }
        "publish" => {
            let finding = Finding {
                path: PathBuf::from("/nowhere/a b.rs"),
                line: 3,
                end_line: 4,
                message: "off by one".into(),
                severity: Notice::Warning,
            };
            host.publish(None, vec![finding]);
            return Value::Null;
        }
        other => panic!("nothing to do: {other}"),
    };
    let confirm = params["confirm"] == true;
    let reply = host.apply(Proposal { label: "Fix".into(), changes: vec![change], confirm }).await;
    json!(format!("{reply:?}"))
}

fn setup() -> Setup {
    let mut setup = Setup::new();
    setup.options.hook = Some(Arc::new(|session, params| perform(session, params).map(Ok).boxed()));
    setup
}

fn replace(editor: &mut Editor, uri: &str, line: u32, with: &str) -> Value {
    editor.request("ropeway/hook", json!({"do": "replace", "uri": uri, "line": line, "with": with}))
}

const APPLIED: &str = "Applied";

#[test]
fn an_edit_lands_in_every_kind_of_editor_and_comes_back_as_a_change() {
    for applies in [Applies::Transactional, Applies::EachAlone] {
        let setup = setup().applies(applies);
        let workspace = Arc::clone(&setup.options.workspace);
        let mut editor = setup.start();
        for (text, line, with, expected) in [
            ("a\nb\nc\n", 1, "B\n", "a\nB\nc\n"),
            ("a\r\nb\r\n", 0, "A\n😀\n", "A\r\n😀\r\nb\r\n"),
            ("a\nb\n", 2, "c\n", "a\nb\nc\n"),
            ("a\nb", 1, "b\nc", "a\nb\nc"),
            ("", 0, "new\n", "new\n"),
        ] {
            let uri = editor.open("/nowhere/a.rs", text);
            assert_eq!(replace(&mut editor, &uri, line, with), APPLIED);
            assert_eq!(editor.text(&uri), expected, "{text:?}");
            editor.settle();
            assert_eq!(workspace.document(&uri).unwrap().text.to_string(), expected, "{text:?}");
            editor.close(&uri);
        }
    }
}

#[test]
fn an_edit_of_an_older_version_changes_nothing_whatever_the_editor_says() {
    for (applies, said) in
        [(Applies::Transactional, r#"Refused("the editor gave no reason")"#), (Applies::EachAlone, APPLIED)]
    {
        let mut editor = setup().applies(applies).start();
        let uri = editor.open("/nowhere/a.rs", "a\nb\n");
        let document = uri.clone();
        editor.on_message(move |editor, message| {
            if message["method"] == "workspace/applyEdit" {
                editor.type_at(&document, 0, "typed ");
            }
        });
        assert_eq!(replace(&mut editor, &uri, 1, "B\n"), said);
        assert_eq!(editor.text(&uri), "typed a\nb\n");
    }
}

#[test]
fn every_way_of_not_applying_is_told_apart() {
    for (applies, said) in [
        (Applies::Refuse, r#"Refused("refused by the test")"#),
        (Applies::Error, r#"Refused("the editor answered with error -32603: this edit cannot be applied")"#),
        (Applies::Claim, APPLIED),
        (Applies::Silent, "Silent"),
        (Applies::Late, "Silent"),
    ] {
        let setup = setup().applies(applies);
        // The server's time runs by itself only where nobody answers: it would overtake an answer.
        let setup = if said == "Silent" { setup.without_waiting() } else { setup };
        let mut editor = setup.start();
        let uri = editor.open("/nowhere/a.rs", "a\n");
        assert_eq!(replace(&mut editor, &uri, 0, "A\n"), said, "{applies:?}");
        assert_eq!(editor.text(&uri), "a\n");
        // An answer after all that is nobody's business any more.
        editor.release(Applies::Transactional);
        editor.settle();
    }
    let mut setup = setup();
    setup.initialize["capabilities"]["workspace"]["applyEdit"] = json!(false);
    let mut editor = setup.start();
    let uri = editor.open("/nowhere/a.rs", "a\n");
    assert_eq!(replace(&mut editor, &uri, 0, "A\n"), r#"Refused("this editor applies no edits")"#);
}

#[test]
fn an_edit_to_be_confirmed_waits_for_the_user() {
    let mut editor = setup().without_waiting().applies(Applies::Late).start();
    let uri = editor.open("/nowhere/a.rs", "a\n");
    let params = json!({"do": "replace", "uri": uri, "line": 0, "with": "A\n", "confirm": true});
    let id = editor.ask("ropeway/hook", params);
    editor.until("the edit", |editor| (editor.late.len() == 1).then_some(()));
    let edit = &editor.late[0].1["edit"];
    assert_eq!(edit["changeAnnotations"]["ropeway"]["needsConfirmation"], true);
    // All timeouts that there are have run out by now, since the server's time runs by itself.
    editor.settle();
    assert!(!editor.is_answered(id));
    editor.release(Applies::Transactional);
    assert_eq!(editor.answer(id).unwrap(), APPLIED);
    assert_eq!(editor.text(&uri), "A\n");
}

#[test]
fn files_are_created_renamed_and_deleted() {
    for applies in [Applies::Transactional, Applies::EachAlone] {
        let folder = tempfile::tempdir().unwrap();
        let mut editor = setup().applies(applies).start();
        let uri = |name: &str| format!("file://{}", folder.path().join(name).display());
        let create = json!({"do": "create", "uri": uri("new/a.rs"), "with": "one\r\ntwo\n"});
        assert_eq!(editor.request("ropeway/hook", create), APPLIED);
        assert_eq!(editor.text(&uri("new/a.rs")), "one\ntwo\n");
        editor.save(&uri("new/a.rs"));
        let rename = json!({"do": "rename", "uri": uri("new/a.rs"), "to": uri("new/b.rs")});
        assert_eq!(editor.request("ropeway/hook", rename), APPLIED);
        assert_eq!(editor.text(&uri("new/b.rs")), "one\ntwo\n");
        let delete = json!({"do": "delete", "uri": uri("new/b.rs")});
        assert_eq!(editor.request("ropeway/hook", delete), APPLIED);
        assert!(editor.documents.is_empty());
        assert!(!folder.path().join("new/b.rs").exists());
    }
}

#[test]
fn a_question_is_answered_by_its_buttons_or_not_at_all() {
    let mut editor = setup().start();
    for (choice, answer) in
        [(Some("Deny"), json!(1)), (Some("Allow once"), json!(0)), (Some("?"), json!(null)), (None, json!(null))]
    {
        editor.choices.push_back(choice.map(str::to_owned));
        assert_eq!(editor.request("ropeway/hook", json!({"do": "ask"})), answer);
    }
}

#[test]
fn an_answer_is_shown_as_a_document_or_as_a_message() {
    let state = tempfile::tempdir().unwrap();
    let mut setup_with_state = setup();
    setup_with_state.options.state_dir = Some(state.path().to_owned());
    let mut editor = setup_with_state.start();
    editor.request("ropeway/hook", json!({"do": "answer"}));
    let uri = editor.until("the document", |editor| editor.shown.pop());
    let path = state.path().join("answers/run-7.md");
    assert_eq!(uri, format!("file://{}", path.display()));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "# Explain\n\nIt **works**.\n");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    let mut editor = setup().start();
    editor.request("ropeway/hook", json!({"do": "answer"}));
    let message = editor.expect_notification("window/showMessage");
    assert_eq!(message, json!({"type": 3, "message": "# Explain\n\nIt **works**.\n"}));
}

#[test]
fn findings_become_diagnostics() {
    let mut editor = setup().start();
    editor.request("ropeway/hook", json!({"do": "publish"}));
    let published = editor.expect_notification("textDocument/publishDiagnostics");
    assert_eq!(published["uri"], "file:///nowhere/a%20b.rs");
    let range = json!({"start": {"line": 3, "character": 0}, "end": {"line": 5, "character": 0}});
    let expected = json!([{"range": range, "severity": 2, "source": "ropeway", "message": "off by one"}]);
    assert_eq!(published["diagnostics"], expected);
}
