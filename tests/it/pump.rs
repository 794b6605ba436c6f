//! The way in and the way out, with all that ends the stock servers of the tower-lsp family: through the real `serve`.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use ropeway::lsp::End;
use ropeway::lsp::server::Hook;
use serde_json::{Value, json};

use crate::support::editor::{Applies, Editor, Setup};

/// `{do: …}`: what a handler may do that is hard on a server.
fn hook() -> Hook {
    Arc::new(|session, params| {
        async move {
            match params["do"].as_str().unwrap_or_default() {
                "panic at once" => panic!("at once"),
                "panic later" => {
                    tokio::task::yield_now().await;
                    panic!("later")
                }
                "wait for the editor" => {
                    let edit = json!({"edit": {"documentChanges": []}});
                    let _ = session.outbound.request("workspace/applyEdit", edit).await;
                    Ok(json!("the editor answered"))
                }
                "give up on the editor" => {
                    let edit = json!({"edit": {"documentChanges": []}});
                    drop(session.outbound.request("workspace/applyEdit", edit));
                    Ok(json!("gave up"))
                }
                "wait for ever" => {
                    std::future::pending::<()>().await;
                    Ok(Value::Null)
                }
                _ => Ok(params),
            }
        }
        .boxed()
    })
}

fn hooked() -> Setup {
    let mut setup = Setup::new();
    setup.options.hook = Some(hook());
    setup
}

fn ask(editor: &mut Editor, what: &str) -> i64 {
    editor.ask("ropeway/hook", json!({"do": what}))
}

fn alive(editor: &mut Editor) {
    assert_eq!(editor.request("ropeway/hook", json!({"echo": 1})), json!({"echo": 1}));
}

/// The code of an error that answers no request in particular.
fn nameless_error(editor: &mut Editor) -> i64 {
    editor.answer(Value::Null).unwrap_err()["code"].as_i64().unwrap()
}

fn frame(body: &[u8]) -> Vec<u8> {
    [format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
}

#[test]
fn what_is_no_message_is_answered_with_an_error_and_the_next_one_is_served() {
    let deep = format!(
        r#"{{"jsonrpc":"2.0","id":77,"method":"ropeway/hook","params":{}1{}}}"#,
        "[".repeat(5000),
        "]".repeat(5000)
    );
    let mut editor = hooked().start();
    for (body, code) in [
        (&b"{\"jsonrpc\":"[..], -32700),
        (b"nonsense", -32700),
        (b"\xff\xfe", -32700),
        (b"[]", -32600),
        (b"[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"shutdown\"}]", -32600),
        (b"7", -32600),
        (b"\"text\"", -32600),
        (b"null", -32600),
        (b"{}", -32600),
        (b"{\"jsonrpc\":\"2.0\",\"method\":5}", -32600),
    ] {
        editor.write_raw(&frame(body));
        assert_eq!(nameless_error(&mut editor), code, "{}", String::from_utf8_lossy(body));
        alive(&mut editor);
    }
    editor.write_raw(&frame(deep.as_bytes()));
    assert_eq!(editor.answer(77).unwrap_err()["code"], -32602);
    for (id, echoed) in [("1.5", json!(1.5)), ("99999999999999999999", json!(99999999999999999999_u128 as f64))] {
        editor.write_raw(&frame(format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ropeway/hook"}}"#).as_bytes()));
        assert_eq!(editor.answer(echoed).unwrap_err()["code"], -32600);
    }
    editor.write_raw(&frame(br#"{"jsonrpc":"2.0","id":"x","method":"$/unknown"}"#));
    assert_eq!(editor.answer("x").unwrap_err()["code"], -32601);
    editor.write_raw(&frame(br#"{"jsonrpc":"2.0","method":"$/unknown"}"#));
    editor.write_raw(&frame(br#"{"jsonrpc":"2.0","method":"unknown","params":[1]}"#));
    editor.write_raw(&frame(br#"{"jsonrpc":"2.0","id":"ropeway/99"}"#));
    editor.write_raw(&frame(br#"{"jsonrpc":"2.0","id":4711,"result":{}}"#));
    editor.write_raw(&frame(b""));
    // A message without `jsonrpc` is understood all the same.
    editor.write_raw(&frame(br#"{"id":"y","method":"ropeway/hook","params":[2]}"#));
    assert_eq!(editor.answer("y").unwrap(), json!([2]));
}

#[test]
fn any_header_that_gives_a_length_will_do() {
    let mut editor = hooked().start();
    let body = |id: i64| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ropeway/hook","params":{{}}}}"#);
    let length = body(100).len();
    for (id, header) in [
        (100, format!("content-length: {length}\r\n\r\n")),
        (101, format!("Content-Length: {length}\n\n")),
        (102, format!("X-One: 1\r\nContent-Type: application/json\r\nContent-Length:{length}\r\nX-Two: 2\r\n\r\n")),
        (103, format!("Content-Type: application/vscode-jsonrpc\r\nCONTENT-LENGTH: {length}\r\n\r\n")),
    ] {
        editor.write_raw(header.as_bytes());
        editor.write_raw(body(id).as_bytes());
        assert_eq!(editor.answer(id).unwrap(), json!({}), "{header}");
    }
    for header in ["Content-Length: -5", "Content-Length: x", "Content-Type: y"] {
        editor.write_raw(format!("{header}\r\n\r\n{{}}").as_bytes());
        assert_eq!(nameless_error(&mut editor), -32600, "{header}");
        alive(&mut editor);
    }
}

#[test]
fn a_message_over_the_limit_goes_by_and_its_request_is_answered() {
    let mut editor = hooked().start();
    let length = 70 * 1024 * 1024;
    let head = br#"{"jsonrpc":"2.0","id":55,"method":"ropeway/hook","params":""#;
    editor.write_raw(format!("Content-Length: {length}\r\n\r\n").as_bytes());
    editor.write_raw(head);
    let filler = vec![b'a'; 1024 * 1024];
    let mut left = length - head.len();
    while left > 0 {
        let now = left.min(filler.len());
        editor.write_raw(&filler[..now]);
        left -= now;
    }
    assert_eq!(editor.answer(55).unwrap_err()["code"], -32600);
    alive(&mut editor);
}

#[test]
fn a_panic_costs_one_request_and_its_id_can_be_used_again() {
    let mut editor = hooked().start();
    for what in ["panic at once", "panic later"] {
        for _ in 0..3 {
            editor.send(json!({"id": "p", "method": "ropeway/hook", "params": {"do": what}}));
            assert_eq!(editor.answer("p").unwrap_err()["code"], -32603, "{what}");
        }
        editor.send(json!({"id": "p", "method": "ropeway/hook", "params": "fine"}));
        assert_eq!(editor.answer("p").unwrap(), "fine");
    }
}

#[test]
fn any_number_of_waiting_handlers_starves_neither_changes_nor_a_cancel() {
    let mut editor = hooked().applies(Applies::Late).start();
    let uri = editor.open("/nowhere/a.rs", "0\n");
    let waiting: Vec<_> = (0..4).map(|_| ask(&mut editor, "wait for the editor")).collect();
    let forever = ask(&mut editor, "wait for ever");
    for count in 0..2000 {
        let at = editor.text(&uri).len();
        editor.type_at(&uri, at, &format!("{count}\n"));
    }
    editor.notify("$/cancelRequest", json!({"id": forever}));
    assert_eq!(editor.answer(forever).unwrap_err()["code"], -32800);
    alive(&mut editor);
    assert!(waiting.iter().all(|id| !editor.is_answered(*id)));
    editor.until("the edits", |editor| (editor.late.len() == 4).then_some(()));
    editor.release(Applies::Refuse);
    for id in waiting {
        assert_eq!(editor.answer(id).unwrap(), "the editor answered");
    }
}

#[test]
fn a_burst_of_requests_that_each_wait_for_the_editor_is_answered() {
    let mut editor = hooked().applies(Applies::Claim).start();
    let asked: Vec<_> = (0..300).map(|_| ask(&mut editor, "wait for the editor")).collect();
    for id in asked {
        assert_eq!(editor.answer(id).unwrap(), "the editor answered");
    }
}

#[test]
fn an_answer_that_nobody_waits_for_any_more_is_ignored() {
    let mut editor = hooked().applies(Applies::Late).start();
    let id = ask(&mut editor, "give up on the editor");
    assert_eq!(editor.answer(id).unwrap(), "gave up");
    editor.until("the edit", |editor| (editor.late.len() == 1).then_some(()));
    editor.release(Applies::Claim);
    alive(&mut editor);
}

#[test]
fn a_client_that_does_not_read_does_not_stop_the_reader() {
    let mut editor = hooked().start();
    editor.set_deaf(true);
    let last = (0..30_000).map(|_| ask(&mut editor, "echo")).last().unwrap();
    editor.set_deaf(false);
    assert_eq!(editor.answer(last).unwrap(), json!({"do": "echo"}));
}

#[test]
fn the_end_of_the_input_ends_the_server_even_with_an_edit_unanswered() {
    let mut editor = hooked().applies(Applies::Silent).start();
    ask(&mut editor, "wait for the editor");
    ask(&mut editor, "wait for ever");
    editor.settle();
    let ended = editor.vanish();
    assert_eq!((ended.end, ended.clean), (End::Closed, false));
}

#[test]
fn only_a_shutdown_makes_an_end_clean() {
    let ended = Setup::new().start().quit();
    assert_eq!((ended.end, ended.clean), (End::Exit, true));

    // Neovim and Helix say `shutdown` and vanish.
    let mut editor = Setup::new().start();
    editor.request("shutdown", Value::Null);
    let ended = editor.vanish();
    assert_eq!((ended.end, ended.clean), (End::Closed, true));

    let mut editor = Setup::new().start();
    editor.notify("exit", Value::Null);
    let ended = editor.ended();
    assert_eq!((ended.end, ended.clean), (End::Exit, false));

    let mut editor = Setup::new().start_silent();
    editor.notify("exit", Value::Null);
    assert!(!editor.ended().clean);
}

#[test]
fn the_end_is_told_once_and_nothing_is_served_after_shutdown() {
    let (sender, told) = std::sync::mpsc::channel();
    let mut editor = hooked()
        .prepare(move |session| {
            let _ = session.callbacks.ended.set(Box::new(move || sender.send(()).unwrap()));
        })
        .start();
    editor.request("shutdown", Value::Null);
    let id = ask(&mut editor, "echo");
    assert_eq!(editor.answer(id).unwrap_err()["code"], -32600);
    assert!(told.try_recv().is_err());
    editor.notify("exit", Value::Null);
    editor.ended();
    assert_eq!(told.iter().count(), 1);
}

#[cfg(target_os = "linux")]
#[test]
fn a_dead_parent_ends_the_server() {
    let mut parent = std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
    let mut setup = Setup::new();
    setup.initialize["processId"] = parent.id().into();
    let mut editor = setup.start();
    parent.kill().unwrap();
    parent.wait().unwrap();
    assert_eq!(editor.ended().end, End::Orphaned);
}

#[test]
fn a_broken_pipe_ends_the_server() {
    struct Broken;
    impl std::io::Write for Broken {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let (server_reads, mut to_server) = std::io::pipe().unwrap();
    std::io::Write::write_all(&mut to_server, &frame(br#"{"jsonrpc":"2.0","id":1,"method":"x"}"#)).unwrap();
    let ended = ropeway::lsp::serve(server_reads, Broken, Setup::new().options, |_| {}).unwrap();
    assert_eq!((ended.end, ended.clean), (End::Broken, false));
    drop(to_server);
}

#[test]
fn progress_begins_when_the_editor_agrees_and_its_end_is_the_last_word() {
    use ropeway::host::Host;
    use ropeway::ids::RunId;

    let (sender, cancelled) = std::sync::mpsc::channel();
    let mut setup = hooked().prepare(move |session| {
        let _ = session.callbacks.cancelled.set(Box::new(move |run| sender.send(run.clone()).unwrap()));
    });
    setup.options.hook = Some(Arc::new(|session, params| {
        async move {
            let client = session.client().expect("an introduced client");
            let run = RunId::from("run-1");
            match params.as_str().unwrap_or_default() {
                "begin" => client.host.progress_begin(&run, "Fix it"),
                "end" => client.host.progress_end(&run, "done"),
                _ => (0..1000).for_each(|step| client.host.progress_report(&run, &format!("step {step}"))),
            }
            Ok(Value::Null)
        }
        .boxed()
    }));
    let mut editor = setup.start();
    editor.request("ropeway/hook", json!("begin"));
    let begin = editor.wait_for("the beginning", |message| message["params"]["value"]["kind"] == "begin");
    assert_eq!(begin["params"]["value"]["title"], "Fix it");
    assert_eq!(begin["params"]["value"]["cancellable"], true);
    editor.request("ropeway/hook", json!("report"));
    let report = editor.wait_for("a report", |message| message["params"]["value"]["kind"] == "report");
    assert_eq!(report["params"]["value"]["message"], "step 999");
    let token = begin["params"]["token"].clone();
    editor.notify("window/workDoneProgress/cancel", json!({"token": token}));
    assert_eq!(cancelled.recv_timeout(Duration::from_secs(20)).unwrap().as_str(), "run-1");
    editor.request("ropeway/hook", json!("report"));
    editor.request("ropeway/hook", json!("end"));
    editor.request("ropeway/hook", json!("report"));
    editor.wait_for("the end", |message| message["params"]["value"]["kind"] == "end");
    editor.settle();
    let after = editor.messages.iter().filter(|message| message["method"] == "$/progress").count();
    assert_eq!(after, 0, "{:?}", editor.messages);
}
