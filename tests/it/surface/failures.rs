//! What a failure of the provider, or a limit, comes to: a code, a sentence, what to do, and a conversation that is
//! still valid.

use serde_json::{Value, json};

use super::{CODE, mend, text};
use crate::support::agent::Bench;
use crate::support::model::{Received, Turn};

/// Each call of a request is answered exactly once, directly behind the turn that made it.
fn assert_valid(request: &Received) {
    let mut open: Vec<Value> = Vec::new();
    for message in request.messages() {
        if message["role"] == "tool" {
            let at = open.iter().position(|id| *id == message["tool_call_id"]);
            open.remove(at.unwrap_or_else(|| panic!("an answer to nothing: {message}")));
            continue;
        }
        assert!(open.is_empty(), "calls without an answer: {open:?}");
        open = message["tool_calls"].as_array().into_iter().flatten().map(|call| call["id"].clone()).collect();
    }
    assert!(open.is_empty(), "calls without an answer: {open:?}");
}

#[test]
fn each_failure_of_a_provider_has_its_code_and_says_what_to_do() {
    let overflow = r#"{"error": {"code": "context_length_exceeded", "message": "maximum context length is 8192"}}"#;
    let cases = [
        (401, r#"{"error": {"message": "Incorrect API key"}}"#, "auth", "check the API key"),
        (404, r#"{"error": {"message": "no such model: m"}}"#, "config", "check the model's name and base_url"),
        (400, overflow, "context_overflow", "larger window"),
        (429, r#"{"error": {"message": "slow down"}}"#, "rate_limited", "wait a moment"),
        (503, "<html>", "overloaded", "try again later"),
    ];
    let mut bench = Bench::with(&[("a.rs", CODE)]);
    let uri = bench.open("a.rs");
    for (status, body, code, hint) in cases {
        bench.model.script([Turn::calls([mend("a.rs")]), Turn::failure(status, &[], body)]);
        let run = bench.run(json!({"action": "task", "prompt": "mend", "uri": uri}));
        let outcome = bench.finished(&run);
        assert_eq!(outcome["status"], "failed", "{outcome}");
        assert_eq!(outcome["error"]["code"], code, "{outcome}");
        assert!(outcome["error"]["hint"].as_str().unwrap().contains(hint), "{outcome}");
        let said = bench.editor.expect_notification("window/showMessage");
        assert_eq!(said["type"], 1);
        assert!(said["message"].as_str().unwrap().to_lowercase().contains(&hint.to_lowercase()), "{said}");
    }
    assert_eq!(bench.editor.text(&uri), CODE, "what was staged before the failure is not applied");
}

#[test]
fn a_provider_that_asks_to_wait_is_asked_again_and_the_user_is_told() {
    let mut bench = Bench::start(&[], json!({"llm": {"max_retries": 1}}), |setup| setup);
    let busy = Turn::failure(429, &[("retry-after-ms", "1")], r#"{"error": {"message": "slow down"}}"#);
    bench.model.script([busy, Turn::text("Done.")]);
    let run = bench.task("x");
    let retry = bench.event(&run, "retry");
    assert_eq!((retry["attempt"].as_u64(), retry["waitMs"].as_u64()), (Some(1), Some(1)), "{retry}");
    assert!(retry["why"].as_str().unwrap().contains("slow down"), "{retry}");
    let outcome = bench.finished(&run);
    assert_eq!((outcome["status"].as_str(), outcome["steps"].as_u64()), (Some("answered"), Some(1)), "{outcome}");
}

#[test]
fn the_step_limit_ends_a_run_and_leaves_a_conversation_that_can_go_on() {
    let mut bench = Bench::start(&[("a.rs", CODE)], json!({"agent": {"max_steps": 2}}), |setup| setup);
    let uri = bench.open("a.rs");
    let look = || Turn::calls([("read_file", json!({"path": "a.rs"})), mend("a.rs")]);
    bench.model.script([look(), look(), Turn::text("Done.")]);
    let started = bench.editor.command("ropeway.run", json!({"action": "task", "prompt": "x", "uri": uri}));
    let outcome = bench.finished(started["runId"].as_str().unwrap());
    assert_eq!(outcome["error"]["code"], "step_limit", "{outcome}");
    assert!(outcome["error"]["hint"].as_str().unwrap().contains("agent.max_steps"));
    assert_eq!(bench.editor.text(&uri), CODE);
    bench.editor.expect_notification("window/showMessage");
    let run = bench.run(json!({"action": "task", "prompt": "go on", "thread": started["threadId"]}));
    assert_eq!(bench.finished(&run)["status"], "answered");
    bench.model.requests().iter().for_each(assert_valid);
    assert_eq!(bench.model.requests().len(), 3);
}

#[test]
fn the_cost_limit_ends_a_run_before_its_next_step() {
    let price = json!({"input": 0.0, "output": 10_000.0});
    let settings = json!({"agent": {"max_cost_usd": 0.1}, "models": {"test/m": {"price": price}}});
    let mut bench = Bench::start(&[("a.rs", CODE)], settings, |setup| setup);
    let uri = bench.open("a.rs");
    bench.model.script([Turn::calls([mend("a.rs")]), Turn::text("Done.")]);
    let started = bench.editor.command("ropeway.run", json!({"action": "task", "prompt": "x", "uri": uri}));
    let outcome = bench.finished(started["runId"].as_str().unwrap());
    assert_eq!(outcome["error"]["code"], "cost_limit", "{outcome}");
    assert!((outcome["usage"]["costUsd"].as_f64().unwrap() - 0.1).abs() < 1e-9, "{outcome}");
    assert_eq!((bench.model.requests().len(), bench.editor.text(&uri)), (1, CODE));
    bench.editor.expect_notification("window/showMessage");
    let run = bench.run(json!({"action": "task", "prompt": "go on", "thread": started["threadId"]}));
    assert_eq!(bench.finished(&run)["status"], "answered", "a last answer is not thrown away");
    bench.model.requests().iter().for_each(assert_valid);
}

#[test]
fn a_request_that_would_pass_a_limit_is_not_made() {
    let price = json!({"input": 1000.0, "output": 1000.0});
    for (limit, says) in
        [(json!({"max_tokens": 200}), "token limit: 0 of 200"), (json!({"max_cost_usd": 0.2}), "$0.2000")]
    {
        let settings = json!({"agent": limit, "models": {"test/m": {"price": price}}});
        let mut bench = Bench::start(&[("a.rs", CODE)], settings, |setup| setup);
        let run = bench.task("x");
        let outcome = bench.finished(&run);
        assert_eq!(outcome["error"]["code"], "cost_limit", "{outcome}");
        let message = outcome["error"]["message"].as_str().unwrap();
        assert!(message.starts_with("the next request would pass") && message.contains(says), "{message}");
        assert!(bench.model.requests().is_empty());
        bench.editor.expect_notification("window/showMessage");
    }
}

#[test]
fn a_response_cut_by_its_output_limit_is_tried_once_more_and_nothing_in_it_is_done() {
    let mut bench = Bench::with(&[("a.rs", CODE)]);
    let uri = bench.open("a.rs");
    let cut = || Turn::calls([mend("a.rs")]).saying("Mending").cut_by_limit();
    bench.model.script([cut(), Turn::text("In smaller steps.")]);
    let run = bench.run(json!({"action": "task", "prompt": "x", "uri": uri}));
    let outcome = bench.finished(&run);
    assert_eq!((outcome["status"].as_str(), outcome["steps"].as_u64()), (Some("answered"), Some(2)), "{outcome}");
    let requests = bench.model.requests();
    assert_valid(&requests[1]);
    assert!(text(requests[1].messages().last().unwrap()).contains("output limit"));

    bench.model.script([cut(), cut()]);
    let run = bench.run(json!({"action": "task", "prompt": "x", "uri": uri}));
    let outcome = bench.finished(&run);
    assert_eq!(outcome["error"]["code"], "output_limit", "{outcome}");
    assert_eq!(bench.editor.text(&uri), CODE);
    bench.editor.expect_notification("window/showMessage");
}
