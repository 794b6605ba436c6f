//! The server's copy of the documents is the editor's, whatever is typed and however it is sent.

use std::sync::Arc;

use ropeway::workspace::Workspace;
use serde_json::{Value, json};

use crate::support::editor::{Columns, Editor, Setup};

/// An editor, and the server's workspace to look into.
fn started(columns: Columns) -> (Editor, Arc<Workspace>) {
    let setup = Setup::new().columns(columns);
    let workspace = Arc::clone(&setup.options.workspace);
    (setup.start(), workspace)
}

/// Fails unless the server has the editor's text.
fn same(editor: &mut Editor, workspace: &Workspace, uri: &str) {
    editor.settle();
    let document = workspace.document(uri).expect("an open document");
    assert_eq!(document.text.to_string(), editor.text(uri));
    assert!(document.synced, "the document counts as unsynced");
}

fn is_synced(editor: &mut Editor, workspace: &Workspace, uri: &str) -> bool {
    editor.settle();
    workspace.document(uri).expect("an open document").synced
}

#[test]
fn a_copy_follows_every_change_in_every_encoding() {
    for columns in [Columns::Utf8, Columns::Utf16, Columns::Utf32] {
        let (mut editor, workspace) = started(columns);
        let uri = editor.open("/nowhere/a.rs", "fn 😀() {\r\n\tå\u{301}\u{2028}x\r}\n");
        same(&mut editor, &workspace, &uri);
        for (what, with) in [("😀", "ab"), ("\u{2028}", "\r\n"), ("}", "\u{c}𝒳}"), ("å", ""), ("x\r", "x\r\n\n")]
        {
            let at = editor.text(&uri).find(what).unwrap();
            editor.replace(&uri, at..at + what.len(), with);
            same(&mut editor, &workspace, &uri);
        }
        editor.replace(&uri, 0..editor.text(&uri).len(), "");
        same(&mut editor, &workspace, &uri);
        editor.type_at(&uri, 0, "again\n");
        same(&mut editor, &workspace, &uri);
        editor.close(&uri);
        editor.settle();
        assert!(workspace.document(&uri).is_none());
    }
}

#[test]
fn changes_of_one_message_build_on_one_another_and_one_without_a_range_replaces_all() {
    let (mut editor, workspace) = started(Columns::Utf16);
    let uri = editor.open("/nowhere/a.rs", "one");
    let insert = |at: u32, text: &str| {
        let at = json!({"line": 0, "character": at});
        json!({"range": {"start": at, "end": at}, "text": text})
    };
    let changes = json!([insert(3, " two"), insert(7, " three"), insert(0, "0 ")]);
    editor.notify(
        "textDocument/didChange",
        json!({"textDocument": {"uri": uri, "version": 2}, "contentChanges": changes}),
    );
    editor.settle();
    assert_eq!(workspace.document(&uri).unwrap().text.to_string(), "0 one two three");
    let all = json!([insert(0, "lost"), {"text": "all new"}, insert(7, "!")]);
    editor.notify("textDocument/didChange", json!({"textDocument": {"uri": uri, "version": 3}, "contentChanges": all}));
    editor.settle();
    assert_eq!(workspace.document(&uri).unwrap().text.to_string(), "all new!");
}

#[test]
fn a_burst_of_changes_is_taken_in_order_and_a_request_between_them_sees_those_before_it() {
    use futures_util::FutureExt;

    let mut setup = Setup::new();
    setup.options.hook = Some(Arc::new(|session, params| {
        // Before the first await: what the documents are when the request is read.
        let text = session.workspace.document(params.as_str().unwrap()).unwrap().text.clone();
        async move {
            tokio::task::yield_now().await;
            Ok(Value::from(text.lines() - 1))
        }
        .boxed()
    }));
    let workspace = Arc::clone(&setup.options.workspace);
    let mut editor = setup.start();
    let uri = editor.open("/nowhere/a.rs", "");
    let mut asked = Vec::new();
    for count in 0..2000_u64 {
        if count % 10 == 0 {
            asked.push((editor.ask("ropeway/hook", json!(uri)), count));
        }
        let end = editor.text(&uri).len();
        editor.type_at(&uri, end, &format!("{count}\n"));
    }
    for (id, seen) in asked {
        assert_eq!(editor.answer(id).unwrap(), json!(seen));
    }
    same(&mut editor, &workspace, &uri);
}

#[test]
fn half_a_surrogate_pair_becomes_the_replacement_character_and_the_document_is_left_alone() {
    let (mut editor, workspace) = started(Columns::Utf16);
    let uri = editor.open("/nowhere/a.rs", "ab");
    let body = format!(
        r#"{{"jsonrpc":"2.0","method":"textDocument/didChange","params":{{"textDocument":{{"uri":"{uri}","version":2}},
        "contentChanges":[{{"range":{{"start":{{"line":0,"character":1}},"end":{{"line":0,"character":1}}}},"text":"\ud83d"}}]}}}}"#
    );
    editor.write_raw(format!("Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes());
    assert!(!is_synced(&mut editor, &workspace, &uri));
    assert_eq!(workspace.document(&uri).unwrap().text.to_string(), "a\u{fffd}b");
    // It counts again once it is opened anew.
    editor.close(&uri);
    let uri = editor.open("/nowhere/a.rs", "ab");
    same(&mut editor, &workspace, &uri);
}

#[test]
fn a_change_that_cannot_be_read_leaves_its_document_unsynced_and_others_alone() {
    let strange = [
        r#""contentChanges":[{"text":5}]"#,
        r#""contentChanges":7"#,
        r#""contentChanges":[{"range":{"start":{"line":null,"character":0},"end":{"line":0,"character":0}},"text":""}]"#,
        r#""contentChanges":[{"text":"a"#,
    ];
    for changes in strange {
        let (mut editor, workspace) = started(Columns::Utf16);
        let (uri, other) = (editor.open("/nowhere/a.rs", "ab"), editor.open("/nowhere/b.rs", "b"));
        let body = format!(
            r#"{{"jsonrpc":"2.0","method":"textDocument/didChange","params":{{"textDocument":{{"uri":"{uri}","version":2}},{changes}}}}}"#
        );
        editor.write_raw(format!("Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes());
        assert!(!is_synced(&mut editor, &workspace, &uri), "{changes}");
        assert_eq!(workspace.document(&uri).unwrap().text.to_string(), "ab");
        same(&mut editor, &workspace, &other);
    }
}

#[test]
fn a_change_over_the_limit_leaves_its_document_unsynced() {
    let (mut editor, workspace) = started(Columns::Utf16);
    let uri = editor.open("/nowhere/a.rs", "ab");
    let head = format!(
        r#"{{"jsonrpc":"2.0","method":"textDocument/didChange","params":{{"textDocument":{{"uri":"{uri}","version":2}},"contentChanges":[{{"text":""#
    );
    let text = vec![b'a'; 65 * 1024 * 1024];
    editor.write_raw(format!("Content-Length: {}\r\n\r\n{head}", head.len() + text.len()).as_bytes());
    editor.write_raw(&text);
    assert!(!is_synced(&mut editor, &workspace, &uri));
    let told = editor.expect_notification("window/logMessage");
    assert!(told["message"].as_str().unwrap().contains(&uri), "{told}");
}

#[test]
fn positions_outside_of_the_text_are_clamped() {
    let (mut editor, workspace) = started(Columns::Utf16);
    let uri = editor.open("/nowhere/a.rs", "a😀b\r\nc");
    for (start, end, text, expected) in [
        (json!([0, 2]), json!([0, 2]), "x", "ax😀b\r\nc"),
        (json!([0, 99]), json!([0, 4_294_967_295_u32]), "y", "ax😀by\r\nc"),
        (json!([99, 0]), json!([4_294_967_295_u32, 9]), "z", "ax😀by\r\ncz"),
        (json!([1, 1]), json!([1, 0]), "", "ax😀by\r\nz"),
    ] {
        let at = |at: &Value| json!({"line": at[0], "character": at[1]});
        let change = json!({"range": {"start": at(&start), "end": at(&end)}, "text": text});
        editor.notify(
            "textDocument/didChange",
            json!({"textDocument": {"uri": uri, "version": null}, "contentChanges": [change]}),
        );
        editor.settle();
        assert_eq!(workspace.document(&uri).unwrap().text.to_string(), expected);
    }
}

#[test]
fn documents_outside_of_a_session_are_not_followed() {
    let setup = Setup::new();
    let (workspace, initialize) = (Arc::clone(&setup.options.workspace), setup.initialize.clone());
    let mut editor = setup.start_silent();
    let early = editor.open("/nowhere/early.rs", "");
    editor.introduce(initialize);
    let uri = editor.open("/nowhere/a.rs", "a");
    editor.settle();
    assert!(workspace.document(&early).is_none());
    editor.request("shutdown", Value::Null);
    editor.type_at(&uri, 0, "late");
    let id = editor.ask("ropeway/nothing", Value::Null);
    assert!(editor.answer(id).is_err());
    assert_eq!(workspace.document(&uri).unwrap().text.to_string(), "a");
}

#[test]
fn folders_are_roots_and_follow_the_editor() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let setup = Setup::in_folder(one.path());
    let workspace = Arc::clone(&setup.options.workspace);
    let mut editor = setup.start();
    let roots = |workspace: &Workspace| {
        let roots = workspace.roots();
        roots.iter().map(|root| root.path().to_owned()).collect::<Vec<_>>()
    };
    let (first, second) = (one.path().canonicalize().unwrap(), two.path().canonicalize().unwrap());
    assert_eq!(roots(&workspace), std::slice::from_ref(&first));
    let folder = |path: &std::path::Path| json!({"uri": format!("file://{}", path.display()), "name": "x"});
    let change = |editor: &mut Editor, added: Value, removed: Value| {
        let event = json!({"event": {"added": added, "removed": removed}});
        editor.notify("workspace/didChangeWorkspaceFolders", event);
        editor.settle();
        roots(&workspace)
    };
    assert_eq!(
        change(&mut editor, json!([folder(two.path()), folder(one.path())]), json!([])),
        [first, second.clone()]
    );
    assert_eq!(change(&mut editor, json!(null), json!([folder(one.path()), {"uri": "untitled:x"}])), [second]);
    assert_eq!(change(&mut editor, json!([{"uri": "file:///no/such/place"}]), json!([folder(two.path())])).len(), 0);
}
