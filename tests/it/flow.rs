//! The main job, end to end: an editor, the real server, a model on loopback; from a code action to an applied edit.

use serde_json::{Value, json};

use super::support::agent::Bench;
use super::support::editor::{Applies, Columns};
use super::support::model::{Turn, openai};

const CODE: &str =
    "fn total(xs: &[u32]) -> u32 {\n    let mut sum = 0;\n    for x in xs {\n        sum -= x;\n    }\n    sum\n}\n";

fn edit(path: &str, old: &str, new: &str) -> (&'static str, Value) {
    ("edit_file", json!({"path": path, "old_string": old, "new_string": new}))
}

fn fix() -> [Turn; 3] {
    [
        Turn::calls([
            ("read_file", json!({"path": "a.rs"})),
            ("grep", json!({"pattern": "total", "literal": true})),
            ("list_dir", json!({})),
        ]),
        Turn::calls([edit("a.rs", "sum -= x", "sum += x")]),
        Turn::text("The sum was subtracted; now it is added."),
    ]
}

#[test]
fn from_the_lightbulb_to_an_edit_in_the_buffer_and_back() {
    let mut bench = Bench::with(&[("a.rs", CODE), ("b.rs", "use a::total;\n")]);
    let uri = bench.open("a.rs");
    bench.model.script(fix());
    let place = json!({"start": {"line": 3, "character": 8}, "end": {"line": 3, "character": 8}});
    let problem = json!({"range": place, "severity": 1, "message": "attempt to subtract with overflow"});
    let menu = bench.editor.request(
        "textDocument/codeAction",
        json!({"textDocument": {"uri": uri}, "range": place, "context": {"diagnostics": [problem]}}),
    );
    let action = &menu[0];
    assert_eq!(action["title"], "Ropeway: Fix “attempt to subtract with overflow”");
    assert_eq!(action["kind"], "quickfix");
    assert!(action.get("edit").is_none(), "an action carries a command, never an edit");
    let started = bench.editor.command("ropeway.run", action["command"]["arguments"][0].clone());
    let run = started["runId"].as_str().unwrap().to_owned();

    let outcome = bench.finished(&run);
    assert_eq!(outcome["status"], "applied", "{outcome}");
    assert_eq!(outcome["files"], json!([{"uri": uri, "edits": 1, "conflicts": []}]));
    assert_eq!(outcome["steps"], 3);
    assert_eq!(outcome["usage"]["inputTokens"], 300);
    assert_eq!(bench.editor.text(&uri), CODE.replace("-=", "+="));
    let requests = bench.model.requests();
    assert!(requests[0].last_message().contains("attempt to subtract with overflow"));
    let results = &requests[1].messages()[3..];
    assert_eq!(results.len(), 3, "each call is answered once");
    assert!(results[0]["content"].as_str().unwrap().contains("sum -= x"));
    assert!(results[1]["content"].as_str().unwrap().contains("b.rs"));

    bench.editor.type_at(&uri, 0, "// mine\n");
    let back = bench.editor.command("ropeway.revert", json!({"runId": run}));
    assert_eq!(back["status"], "applied", "{back}");
    assert_eq!(bench.editor.text(&uri), format!("// mine\n{CODE}"));
}

#[test]
fn the_model_reads_what_is_typed_and_not_what_is_saved() {
    let mut bench = Bench::with(&[("a.rs", CODE)]);
    let uri = bench.open("a.rs");
    bench.editor.type_at(&uri, 0, "// unsaved\n");
    let read = Turn::calls([("read_file", json!({"path": "a.rs"})), ("grep", json!({"pattern": "unsaved"}))]);
    bench.model.script([read, Turn::text("Seen.")]);
    let run = bench.task("look");
    assert_eq!(bench.finished(&run)["status"], "answered");
    let results = bench.model.requests()[1].messages().to_vec();
    assert!(results[3]["content"].as_str().unwrap().contains("// unsaved"));
    assert!(results[4]["content"].as_str().unwrap().contains("a.rs"));
}

#[test]
fn a_read_only_call_runs_while_the_response_still_arrives_and_a_writing_one_does_not() {
    let mut bench = Bench::with(&[("a.rs", CODE)]);
    let run = bench.task("look");
    let (_, mut reply) = bench.model.expect_blocking();
    reply.sse();
    reply.send(openai::start());
    reply.send(openai::call(0, "c0", "list_dir", "{}"));
    reply.send(openai::call(1, "c1", "edit_file", &edit("a.rs", "sum -= x", "sum += x").1.to_string()));
    reply.send(openai::call(2, "c2", "grep", r#"{"pattern": "sum"}"#));
    // Nothing more has been sent: `list_dir` is closed by the call behind it; the edit has to wait for the end of the
    // response, and the search for the edit before it.
    let started = bench.event(&run, "toolStarted");
    assert_eq!((started["tool"].as_str(), started["batch"].as_u64()), (Some("list_dir"), Some(1)));
    assert_eq!(bench.event(&run, "toolFinished")["tool"], "list_dir");
    reply.send(openai::finish("tool_calls"));
    reply.send(openai::done());
    reply.end();
    assert_eq!(bench.event(&run, "toolStarted")["tool"], "edit_file");
    assert_eq!(bench.event(&run, "toolStarted")["tool"], "grep");
    let (request, reply) = bench.model.expect_blocking();
    assert!(
        request.last_message().contains("sum += x"),
        "the search sees the edit before it: {}",
        request.last_message()
    );
    reply.play(&Turn::text("Done."), &request);
    assert_eq!(bench.finished(&run)["status"], "applied");
}

#[test]
fn what_is_typed_while_the_run_works_is_kept_and_the_edit_carried_over_it() {
    for columns in [Columns::Utf8, Columns::Utf16, Columns::Utf32] {
        let mut bench = Bench::start(&[("a.rs", CODE)], json!({}), |setup| setup.columns(columns));
        let uri = bench.open("a.rs");
        let run = bench.run(json!({"action": "task", "prompt": "fix", "uri": uri}));
        let (request, reply) = bench.model.expect_blocking();
        bench.editor.type_at(&uri, 0, "// 😀 één\n");
        reply.play(&fix()[1], &request);
        let (request, reply) = bench.model.expect_blocking();
        let at = bench.editor.text(&uri).find("    sum\n").unwrap();
        bench.editor.type_at(&uri, at, "    // 😀 after the edit\n");
        reply.play(&Turn::text("Done."), &request);
        assert_eq!(bench.finished(&run)["status"], "applied");
        let wanted = format!(
            "// 😀 één\n{}",
            CODE.replace("-=", "+=").replace("    sum\n", "    // 😀 after the edit\n    sum\n")
        );
        assert_eq!(bench.editor.text(&uri), wanted);
    }
}

#[test]
fn where_both_changed_the_same_text_the_users_stands_and_the_rest_is_applied() {
    let mut bench = Bench::with(&[("a.rs", CODE)]);
    let uri = bench.open("a.rs");
    let run = bench.run(json!({"action": "task", "prompt": "fix", "uri": uri}));
    let (request, reply) = bench.model.expect_blocking();
    let calls = [edit("a.rs", "sum -= x", "sum += x"), edit("a.rs", "xs: &[u32]", "values: &[u32]")];
    reply.play(&Turn::calls(calls), &request);
    let (request, reply) = bench.model.expect_blocking();
    let at = bench.editor.text(&uri).find("sum -= x").unwrap();
    bench.editor.replace(&uri, at..at + "sum -= x".len(), "sum = sum.saturating_add(*x)");
    reply.play(&Turn::text("Done."), &request);
    let outcome = bench.finished(&run);
    assert_eq!(outcome["status"], "conflict", "{outcome}");
    assert_eq!(outcome["files"][0]["edits"], 1);
    assert_eq!(outcome["files"][0]["conflicts"][0]["line"], 3);
    let text = bench.editor.text(&uri);
    assert!(text.contains("sum = sum.saturating_add(*x);") && text.contains("values: &[u32]"), "{text}");
    let said = bench.editor.expect_notification("window/showMessage");
    assert!(said["message"].as_str().unwrap().contains("left out 1"), "{said}");
}

#[test]
fn an_editor_that_skips_a_stale_edit_and_says_it_applied_it_gets_a_rebased_one() {
    let mut bench = Bench::start(&[("a.rs", CODE)], json!({}), |setup| setup.applies(Applies::EachAlone));
    let uri = bench.open("a.rs");
    let typed = uri.clone();
    let mut times = 0;
    bench.editor.on_message(move |editor, message| {
        if message["method"] == "workspace/applyEdit" && times < 2 {
            times += 1;
            editor.type_at(&typed, 0, "// typed\n");
        }
    });
    bench.model.script(fix());
    let run = bench.run(json!({"action": "task", "prompt": "fix", "uri": uri}));
    let outcome = bench.finished(&run);
    assert_eq!(outcome["status"], "applied", "{outcome}");
    assert_eq!(bench.editor.text(&uri), format!("// typed\n// typed\n{}", CODE.replace("-=", "+=")));
}

/// A clock that need not wait runs ahead of the model, too.
fn patient() -> Value {
    json!({"providers": {"test": {"timeouts": {
        "connect_ms": 3_600_000, "first_byte_ms": 3_600_000, "idle_ms": 3_600_000}}}})
}

#[test]
fn an_editor_that_never_takes_the_edit_is_asked_three_times_and_told_why() {
    for applies in [Applies::Refuse, Applies::Error, Applies::Claim] {
        let mut bench = Bench::start(&[("a.rs", CODE)], patient(), |setup| setup.applies(applies).without_waiting());
        let uri = bench.open("a.rs");
        let asked = std::rc::Rc::new(std::cell::Cell::new(0));
        let count = asked.clone();
        bench.editor.on_message(move |_, message| {
            count.set(count.get() + usize::from(message["method"] == "workspace/applyEdit"));
        });
        bench.model.script(fix());
        let run = bench.run(json!({"action": "task", "prompt": "fix", "uri": uri}));
        let outcome = bench.finished(&run);
        assert_eq!((outcome["status"].as_str(), asked.get()), (Some("failed"), 3), "{applies:?} {outcome}");
        assert_eq!(outcome["error"]["code"], "edit_refused");
        assert_eq!(bench.editor.text(&uri), CODE);
        bench.editor.expect_notification("window/showMessage");
    }
}

#[test]
fn an_edit_that_shows_only_after_it_was_given_up_counts_as_applied() {
    let mut bench = Bench::start(&[("a.rs", CODE)], patient(), |setup| setup.applies(Applies::Claim).without_waiting());
    let uri = bench.open("a.rs");
    let (shown, mut asked) = (uri.clone(), 0);
    bench.editor.on_message(move |editor, message| {
        asked += usize::from(message["method"] == "workspace/applyEdit");
        if asked == 2 && editor.text(&shown) == CODE {
            let at = CODE.find("-=").unwrap();
            editor.replace(&shown, at..at + 2, "+=");
        }
    });
    bench.model.script(fix());
    let run = bench.run(json!({"action": "task", "prompt": "fix", "uri": uri}));
    let outcome = bench.finished(&run);
    assert_eq!(outcome["status"], "applied", "{outcome}");
    assert_eq!(bench.editor.text(&uri), CODE.replace("-=", "+="));
}

#[test]
fn an_edit_without_an_answer_is_unknown_never_sent_again_and_recognised_when_it_lands() {
    let mut bench = Bench::start(&[("a.rs", CODE)], json!({}), |setup| setup.applies(Applies::Late));
    let uri = bench.open("a.rs");
    bench.model.script(fix());
    let run = bench.run(json!({"action": "task", "prompt": "fix", "uri": uri}));
    let outcome = bench.finished(&run);
    assert_eq!(outcome["status"], "unknown", "{outcome}");
    bench.editor.expect_notification("window/showMessage");
    bench.editor.release(Applies::Transactional);
    assert_eq!(bench.finished(&run)["status"], "applied");
    assert_eq!(bench.editor.text(&uri), CODE.replace("-=", "+="));
    bench.editor.expect_notification("window/showMessage");
}

#[test]
fn files_are_made_moved_and_removed_through_the_editor() {
    for applies in [Applies::Transactional, Applies::EachAlone] {
        let files = [("a.rs", CODE), ("old.rs", "old\n"), ("gone.rs", "gone\n")];
        let mut bench = Bench::start(&files, json!({}), |setup| setup.applies(applies));
        let uri = bench.open("a.rs");
        bench.model.script([
            Turn::calls([
                ("create_file", json!({"path": "new/deep.rs", "text": "pub fn new() {}\n"})),
                ("move_file", json!({"from": "old.rs", "to": "renamed.rs"})),
                ("delete_file", json!({"path": "gone.rs"})),
                edit("a.rs", "sum -= x", "sum += x"),
            ]),
            Turn::text("Done."),
        ]);
        let run = bench.task("tidy up");
        let outcome = bench.finished(&run);
        assert_eq!(outcome["status"], "applied", "{applies:?} {outcome}");
        assert_eq!(bench.editor.text(&uri), CODE.replace("-=", "+="));
        assert!(bench.path("renamed.rs").exists() && !bench.path("old.rs").exists() && !bench.path("gone.rs").exists());
        assert!(bench.path("new/deep.rs").exists());
    }
}

#[test]
fn each_way_to_cancel_reaches_the_model_and_leaves_the_buffer_alone() {
    for way in ["command", "progress", "request"] {
        let mut bench = Bench::with(&[("a.rs", CODE)]);
        let uri = bench.open("a.rs");
        let argument = json!({"action": "task", "prompt": "fix", "uri": uri, "wait": way == "request"});
        let id =
            bench.editor.ask("workspace/executeCommand", json!({"command": "ropeway.run", "arguments": [argument]}));
        let (_, mut reply) = bench.model.expect_blocking();
        reply.sse();
        reply.send(openai::text("Let me"));
        let run = bench.editor.wait_for("the first words", |message| message["params"]["kind"] == "text");
        let run = run["params"]["runId"].as_str().unwrap().to_owned();
        match way {
            "command" => {
                assert_eq!(bench.editor.command("ropeway.cancel", json!({}))["cancelled"], json!([run]));
            }
            "progress" => {
                bench.editor.notify("window/workDoneProgress/cancel", json!({"token": format!("ropeway/{run}")}))
            }
            _ => {
                bench.editor.notify("$/cancelRequest", json!({"id": id}));
                assert_eq!(bench.editor.answer(id).unwrap_err()["code"], -32800);
            }
        }
        let outcome = bench.finished(&run);
        assert_eq!(outcome["status"], "cancelled", "{way} {outcome}");
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(reply.closed());
        assert_eq!(bench.editor.text(&uri), CODE);
    }
}

#[test]
fn a_stream_that_is_cut_anywhere_fails_the_run_and_nothing_of_it_is_done() {
    let call = json!({"path": "made.rs", "text": "made\n"}).to_string();
    let stream = [
        openai::start(),
        openai::text("Making it."),
        openai::call(0, "c0", "create_file", &call[..9]),
        openai::arguments(0, &call[9..]),
        openai::call(1, "c1", "list_dir", "{}"),
        openai::finish("tool_calls"),
        openai::done(),
    ]
    .concat();
    let mut bench = Bench::start(&[("a.rs", CODE)], json!({"llm": {"circuit_breaker": false}}), |setup| setup);
    bench.editor.ignore("window/showMessage");
    // The event with the finish reason is the end; it counts even where the blank line behind it is missing.
    let whole = stream.len() - openai::done().len() - "\n\n".len();
    for cut in 0..whole {
        let run = bench.task("make it");
        let (_, mut reply) = bench.model.expect_blocking();
        reply.sse();
        reply.raw(&stream.as_bytes()[..cut]);
        if cut % 2 == 0 {
            reply.cut()
        } else {
            reply.end()
        }
        let outcome = bench.finished(&run);
        assert_eq!(outcome["status"], "failed", "cut at {cut}: {outcome}");
        let code = outcome["error"]["code"].as_str().unwrap();
        assert!(["bad_response", "network"].contains(&code), "cut at {cut}: {outcome}");
    }
    assert!(!bench.path("made.rs").exists());
}
