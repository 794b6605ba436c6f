//! The introduction of every editor we know is accepted, and what it can do is read from it rightly.
//!
//! Those of Neovim 0.6 to 0.11, VS Code 1.65 and Eglot are condensed from recorded messages (pytest-lsp 1.0.1), those of
//! Neovim 0.12, VS Code 1.139 and Helix are written after what these editors are known to send. Oddities are kept: Neovim 0.9.1 sends `callHierarchy` as a list, which the protocol's typed structs refuse.
#![expect(clippy::disallowed_methods, reason = "the fixtures are files")]

use std::path::Path;

use ropeway::lsp::capabilities::Capabilities;
use ropeway::text::Encoding;
use serde_json::{Value, json};

use crate::support::editor::{Columns, Editor, Setup};

fn fixture(name: &str) -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/it/fixtures/initialize/{name}.json"));
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

const EDITORS: [&str; 11] = [
    "eglot-29.1",
    "helix-25.07.1",
    "neovim-0.6.1",
    "neovim-0.7.0",
    "neovim-0.8.0",
    "neovim-0.9.1",
    "neovim-0.10.0",
    "neovim-0.11.0",
    "neovim-0.12.4",
    "vscode-1.65.2",
    "vscode-1.139.1",
];

/// Introduces a client that says this; gives our answer.
fn introduce(initialize: Value) -> (Editor, Value) {
    let mut editor = Setup::new().start_silent();
    let answer = editor.introduce(initialize);
    (editor, answer)
}

#[test]
fn every_recorded_editor_is_accepted_and_served() {
    for name in EDITORS {
        let (mut editor, answer) = introduce(fixture(name));
        let capabilities = &answer["capabilities"];
        assert_eq!(answer["serverInfo"]["name"], "ropeway", "{name}");
        assert_eq!(capabilities["textDocumentSync"]["change"], 2, "{name}");
        assert_eq!(capabilities["textDocumentSync"]["openClose"], true, "{name}");
        let commands = capabilities["executeCommandProvider"]["commands"].as_array().unwrap();
        assert!(commands.contains(&json!("ropeway.run")), "{name}");
        let kinds = capabilities["codeActionProvider"]["codeActionKinds"].as_array().unwrap();
        assert!(kinds.contains(&json!("source.ropeway.fixFile")), "{name}");
        assert!(capabilities["codeActionProvider"].get("resolveProvider").is_none(), "{name}");
        assert_eq!(capabilities["workspace"]["workspaceFolders"]["changeNotifications"], true, "{name}");
        let actions = editor.request(
            "textDocument/codeAction",
            json!({
                "textDocument": {"uri": "file:///home/me/space/a.rs"},
                "range": {"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 0}},
                "context": {"diagnostics": []},
            }),
        );
        assert!(actions.is_array(), "{name}");
        assert!(editor.quit().clean, "{name}");
    }
}

#[test]
fn what_each_editor_can_do_is_read_from_what_it_says() {
    use Encoding::{Utf8, Utf16};
    // encoding, documentChanges, resource operations, transactional, annotations, showDocument, watched files
    for (name, encoding, changes, operations, transactional, annotations, shows, watches) in [
        ("eglot-29.1", Utf8, true, false, false, false, false, true),
        ("helix-25.07.1", Utf8, true, true, false, false, true, true),
        ("neovim-0.6.1", Utf16, true, true, false, false, false, false),
        ("neovim-0.7.0", Utf16, true, true, false, false, false, false),
        ("neovim-0.8.0", Utf16, true, true, false, false, false, false),
        ("neovim-0.9.1", Utf16, true, true, false, false, true, false),
        ("neovim-0.10.0", Utf16, true, true, false, false, true, false),
        ("neovim-0.11.0", Utf8, true, true, false, false, true, false),
        ("neovim-0.12.4", Utf8, true, true, false, true, true, false),
        ("vscode-1.65.2", Utf16, true, true, true, true, true, true),
        ("vscode-1.139.1", Utf16, true, true, true, true, true, true),
    ] {
        let client = Capabilities::resolve(&fixture(name));
        assert_eq!(client.encoding, encoding, "{name}");
        assert_eq!(client.document_changes, changes, "{name}");
        assert_eq!([client.create, client.rename, client.delete], [operations; 3], "{name}");
        assert_eq!(client.transactional, transactional, "{name}");
        assert_eq!(client.change_annotations, annotations, "{name}");
        assert_eq!(client.show_document, shows, "{name}");
        assert_eq!(client.watched_files, watches, "{name}");
        assert!(client.apply_edit && client.progress && client.action_literals, "{name}");
        assert_eq!(client.process_id, Some(4_194_303), "{name}");
        let expected: &[&str] = if name == "neovim-0.6.1" { &[] } else { &["file:///home/me/space"] };
        assert_eq!(client.folders.iter().map(|folder| &*folder.uri).collect::<Vec<_>>(), expected, "{name}");
    }
}

#[test]
fn only_a_client_that_asks_gets_events_and_its_trust_is_its_own_word() {
    let asking = Capabilities::resolve(&fixture("vscode-1.139.1"));
    assert!(asking.status && asking.events);
    assert_eq!(asking.trusted, Some(true));
    assert_eq!(asking.settings, Some(json!({"model": "test/test"})));
    let plain = Capabilities::resolve(&fixture("neovim-0.12.4"));
    assert!(!plain.status && !plain.events);
    assert_eq!((plain.trusted, plain.settings), (None, None));
}

#[test]
fn an_introduction_is_accepted_whatever_part_of_it_is_strange() {
    // Each part of a real introduction in turn is put out of shape.
    let whole = fixture("vscode-1.139.1");
    let mut pointers = Vec::new();
    collect(&whole, String::new(), &mut pointers);
    assert!(pointers.len() > 40);
    for pointer in pointers {
        for strange in
            [json!(null), json!([]), json!({}), json!(-1), json!(""), json!("compact"), json!([{"a": [1.5]}])]
        {
            let mut message = whole.clone();
            *message.pointer_mut(&pointer).unwrap() = strange.clone();
            // Reading is total; that the server lives with it is shown for the parts that its framework reads itself.
            let _ = Capabilities::resolve(&message).answer("0");
        }
    }
    for strange in [
        json!({}),
        json!([]),
        json!({"capabilities": null, "trace": "compact", "processId": -1, "rootUri": ""}),
        json!({"capabilities": {"textDocument": {"callHierarchy": [{}]}}, "rootUri": "file:///a b", "clientInfo": 7}),
    ] {
        let (mut editor, answer) = introduce(strange);
        assert_eq!(answer["capabilities"]["positionEncoding"], "utf-16");
        assert!(editor.quit().clean);
    }
}

#[test]
fn the_server_says_which_encoding_it_chose() {
    for columns in [Columns::Utf8, Columns::Utf16, Columns::Utf32] {
        let editor = Setup::new().columns(columns).start();
        assert_eq!(editor.columns, columns);
    }
}

#[test]
fn requests_before_the_introduction_are_refused_and_a_second_one_changes_nothing() {
    let mut editor = Setup::new().start_silent();
    let id = editor.ask("textDocument/codeAction", json!({}));
    assert_eq!(editor.answer(id).unwrap_err()["code"], -32002);
    let id = editor.ask("shutdown", Value::Null);
    assert_eq!(editor.answer(id).unwrap_err()["code"], -32002);
    editor.introduce(fixture("neovim-0.12.4"));
    let id = editor.ask("initialize", fixture("vscode-1.139.1"));
    assert_eq!(editor.answer(id).unwrap_err()["code"], -32600);
    assert!(editor.quit().clean);
}

fn collect(value: &Value, at: String, found: &mut Vec<String>) {
    if let Some(object) = value.as_object() {
        for (key, value) in object {
            let at = format!("{at}/{key}");
            collect(value, at.clone(), found);
            found.push(at);
        }
    }
}
