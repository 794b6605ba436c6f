//! The commands about models and conversations, and what a wrong one is told.

use serde_json::{Value, json};

use super::{CODE, refused, text};
use crate::support::agent::Bench;
use crate::support::model::{Received, Turn};

#[test]
fn a_wrong_command_is_told_which_ones_there_are() {
    let mut bench = Bench::with(&[("a.rs", CODE)]);
    let said = refused(&mut bench, "ropeway.fly", json!([{}]));
    assert!(said.contains("ropeway.fly") && said.contains("ropeway.run, ropeway.cancel"), "{said}");
    let said = refused(&mut bench, "ropeway.run", json!([{"action": "fly", "prompt": "up"}]));
    assert!(said.contains("`fly`") && said.contains("fix, implement"), "{said}");
    for (arguments, wanted) in [
        (json!([]), "`action`"),
        (json!([{"action": "task", "prompt": "x", "modle": "a/b"}]), "`modle`, expected one of `action`"),
        (json!([{"action": 7}]), "expected a string"),
        (json!([[]]), "must be an object"),
        (json!([{}, {}]), "takes one object"),
        (json!({"action": "task"}), "must be a list"),
        (json!([{"action": "task", "prompt": "x", "model": "m"}]), "write PROVIDER/MODEL"),
        (json!([{"action": "task", "prompt": " "}]), "`prompt`"),
        (json!([{"action": "explain"}]), "`uri`"),
        (json!([{"action": "task", "prompt": "x", "thread": "t-none"}]), "leave `thread` out"),
        (json!([{"action": "explain", "uri": "file:///etc/passwd"}]), "open its folder first"),
        (json!([{"action": "explain", "uri": "untitled:1"}]), "not a file"),
    ] {
        let said = refused(&mut bench, "ropeway.run", arguments.clone());
        assert!(said.contains(wanted), "{arguments}: {said}");
    }
    for command in ["ropeway.accept", "ropeway.reject"] {
        assert!(refused(&mut bench, command, json!([])).contains("`runId`"));
        assert!(refused(&mut bench, command, json!([{"runId": "r-none"}])).contains("r-none"));
    }
    assert!(refused(&mut bench, "ropeway.revert", json!([{}])).contains("no run has changed anything"));
    assert!(refused(&mut bench, "ropeway.clear", json!([{"threadId": "t-none"}])).contains("t-none"));
    assert!(refused(&mut bench, "ropeway.setModel", json!([{}])).contains("`model`"));
    assert!(bench.model.requests().is_empty());
}

#[test]
fn a_model_that_is_chosen_is_used_by_the_next_run() {
    let models = json!({"models": {"test/big": {"context_window": 4096, "price": {"input": 2.0, "output": 10.0}}}});
    let mut bench = Bench::start(&[("a.rs", CODE)], models, |setup| setup);
    let listed = bench.editor.command("ropeway.listModels", json!({}));
    let named = |id: &str| listed.as_array().unwrap().iter().find(|model| model["id"] == id).cloned().unwrap();
    assert_eq!(named("test/m")["available"], true);
    let big = named("test/big");
    assert_eq!((&big["contextWindow"], &big["price"]["output"]), (&json!(4096), &json!(10.0)));
    let other = listed.as_array().unwrap().iter().find(|model| model["available"] == false).unwrap();
    assert!(other["why"].as_str().unwrap().contains("_API_KEY"), "{other}");

    let said = refused(&mut bench, "ropeway.setModel", json!([{"model": "tset/big"}]));
    assert!(said.contains("no provider `tset`") && said.contains("did you mean `test`?"), "{said}");
    assert!(refused(&mut bench, "ropeway.setModel", json!([{"model": "big"}])).contains("PROVIDER/MODEL"));

    assert_eq!(bench.editor.command("ropeway.setModel", json!({"model": "test/big"})), json!({"model": "test/big"}));
    bench.model.script([Turn::text("one"), Turn::text("two")]);
    for model in [Value::Null, "test/m".into()] {
        let run = bench.run(json!({"action": "task", "prompt": "x", "model": model}));
        bench.finished(&run);
    }
    let mut asked = bench.model.requests();
    // The list of models was asked for, too.
    asked.retain(|request| request.method == "POST");
    let used: Vec<_> = asked.iter().map(|request| request.body["model"].clone()).collect();
    assert_eq!(used, ["big", "m"]);
}

/// Where the list of messages ends in the bytes of a request, before its bracket.
fn end_of_messages(request: &Received) -> usize {
    let key = b"\"messages\":";
    let start = request.bytes.windows(key.len()).position(|window| window == key).unwrap() + key.len();
    let mut values = serde_json::Deserializer::from_slice(&request.bytes[start..]).into_iter::<Value>();
    values.next().unwrap().unwrap();
    start + values.byte_offset() - 1
}

#[test]
fn a_conversation_goes_on_with_the_same_bytes_and_begins_anew_once_cleared() {
    let mut bench = Bench::with(&[("a.rs", CODE)]);
    let read = Turn::calls([("read_file", json!({"path": "a.rs"}))]);
    bench.model.script([read, Turn::text("one"), Turn::text("two"), Turn::text("three")]);
    let started = bench.editor.command("ropeway.run", json!({"action": "task", "prompt": "first 😀 question"}));
    let thread = started["threadId"].clone();
    let outcome = bench.finished(started["runId"].as_str().unwrap());
    assert_eq!(outcome["threadId"], thread);
    let again = |prompt: &str| json!({"action": "task", "prompt": prompt, "thread": thread});
    let run = bench.run(again("second"));
    bench.finished(&run);

    let cleared = bench.editor.command("ropeway.clear", json!({"threadId": thread}));
    assert_eq!(cleared["before"]["messages"], 6, "{cleared}");
    assert!(cleared["before"]["tokens"].as_u64().unwrap() > 0);
    assert_eq!(cleared["after"], json!({"messages": 0, "tokens": 0}));
    let run = bench.run(again("third"));
    bench.finished(&run);

    let requests = bench.model.requests();
    for pair in requests[..3].windows(2) {
        let end = end_of_messages(&pair[0]);
        assert!(pair[1].bytes.starts_with(&pair[0].bytes[..end]), "the provider's cache would miss");
    }
    let roles: Vec<_> = requests[2].messages().iter().map(|message| message["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["system", "user", "assistant", "tool", "assistant", "user"]);
    assert_eq!(text(&requests[2].messages()[4]), "one");
    assert_eq!(requests[3].messages().len(), 2);
    assert!(!requests[3].body.to_string().contains("first 😀 question"));
}

#[test]
fn a_busy_conversation_takes_no_second_run_and_is_not_cleared() {
    let mut bench = Bench::with(&[("a.rs", CODE)]);
    let started = bench.editor.command("ropeway.run", json!({"action": "task", "prompt": "x"}));
    let (request, reply) = bench.model.expect_blocking();
    let thread = started["threadId"].as_str().unwrap();
    let second = json!([{"action": "task", "prompt": "y", "thread": thread}]);
    let said = refused(&mut bench, "ropeway.run", second);
    assert!(said.contains(thread) && said.contains("busy"), "{said}");
    assert!(refused(&mut bench, "ropeway.clear", json!([{"threadId": thread}])).contains("busy"));
    assert_eq!(bench.editor.command("ropeway.clear", json!({}))["before"]["messages"], 0);
    reply.play(&Turn::text("Done."), &request);
    assert_eq!(bench.finished(started["runId"].as_str().unwrap())["status"], "answered");
    bench.model.script([Turn::text("Now.")]);
    let run = bench.run(json!({"action": "task", "prompt": "y", "thread": thread}));
    assert_eq!(bench.finished(&run)["answer"], "Now.");
}
