//! Waits for a model, models that stand in, answers that begin again: what the user sees of them.

use serde_json::json;

use super::CODE;
use crate::support::agent::Bench;
use crate::support::model::{Turn, openai};

#[test]
fn a_long_wait_is_put_to_the_user_who_can_stop_it() {
    let mut bench = Bench::start(&[], json!({"llm": {"max_retries": 3}}), |setup| setup);
    bench.model.script([Turn::failure(429, &[("retry-after", "300")], r#"{"error": {"message": "slow down"}}"#)]);
    bench.editor.choices.push_back(Some("Stop".to_owned()));
    let run = bench.task("x");
    let retry = bench.event(&run, "retry");
    assert_eq!(retry["waitMs"], 300_000, "{retry}");
    let outcome = bench.finished(&run);
    assert_eq!(outcome["status"], "cancelled", "{outcome}");
    assert_eq!(bench.model.requests().len(), 1);
}

#[test]
fn an_answer_that_breaks_off_begins_again_once_and_is_told() {
    let mut bench = Bench::start(&[], json!({"llm": {"max_retries": 3}}), |setup| setup);
    bench.editor.ignore("window/showMessage");
    for (second, status) in [("Whole.", "answered"), ("", "failed")] {
        let run = bench.task("x");
        let (_, mut reply) = bench.model.expect_blocking();
        reply.sse();
        reply.send(openai::text("Hal"));
        bench.event(&run, "text");
        reply.cut();
        let retry = bench.event(&run, "retry");
        assert!(retry["why"].as_str().unwrap().contains("begins again"), "{retry}");
        let (request, mut reply) = bench.model.expect_blocking();
        if second.is_empty() {
            reply.sse();
            reply.send(openai::text("Hal"));
            reply.cut();
        } else {
            reply.play(&Turn::text(second), &request);
        }
        let outcome = bench.finished(&run);
        assert_eq!(outcome["status"], status, "{outcome}");
        if status == "answered" {
            assert_eq!(outcome["answer"], second);
        }
    }
}

#[test]
fn another_model_is_asked_while_the_chosen_one_is_overloaded_and_the_user_is_told() {
    let models = json!({"test/m": {"fallback": ["test/n"]}});
    let settings = json!({"models": models, "llm": {"max_retries": 1}});
    let mut bench = Bench::start(&[], settings, |setup| setup);
    bench.model.answer_with(|request| {
        let busy = Turn::failure(503, &[("retry-after-ms", "1")], "");
        (request.body["model"] == "m").then_some(busy)
    });
    let run = bench.task("x");
    let told = |retry: &serde_json::Value| retry["why"].as_str().unwrap().contains("asking test/n instead");
    while !told(&bench.event(&run, "retry")) {}
    let (request, reply) = bench.model.expect_blocking();
    let status = |bench: &mut Bench, model: &str| {
        let is_said = |status: &serde_json::Value| status["params"]["model"] == model;
        bench
            .editor
            .wait_for("the model that is asked", |message| message["method"] == "ropeway/status" && is_said(message))
    };
    let shown = status(&mut bench, "test/n");
    assert_eq!(shown["params"]["runs"][0]["model"], "test/n", "{shown}");
    reply.play(&Turn::text("Done."), &request);
    assert_eq!(bench.finished(&run)["status"], "answered");
    let shown = status(&mut bench, "test/m");
    assert!(shown["params"]["runs"].as_array().unwrap().iter().all(|run| run.get("model").is_none()), "{shown}");
}

#[test]
fn showing_actions_opens_the_connection_that_the_run_then_uses() {
    let mut bench = Bench::with(&[("a.rs", CODE)]);
    let uri = bench.open("a.rs");
    let place = json!({"start": {"line": 0, "character": 0}, "end": {"line": 1, "character": 0}});
    let asked = json!({"textDocument": {"uri": uri}, "range": place, "context": {"diagnostics": []}});
    bench.editor.request("textDocument/codeAction", asked.clone());
    let ready = |bench: &mut Bench| {
        let table = bench.editor.command("ropeway.analytics", json!({"what": "http"}));
        table["rows"][0]["warmed"] == 1
    };
    while !ready(&mut bench) {}
    bench.editor.request("textDocument/codeAction", asked);
    bench.model.script([Turn::text("Done.")]);
    let run = bench.task("x");
    bench.finished(&run);
    assert_eq!((bench.model.warmed().len(), bench.model.connections()), (1, 1));
    let table = bench.editor.command("ropeway.analytics", json!({"what": "http"}));
    let row = &table["rows"][0];
    assert_eq!(
        (&row["connections"], &row["requests"], &row["reuseRate"]),
        (&json!(1), &json!(1), &json!(1.0)),
        "{row}"
    );
}
