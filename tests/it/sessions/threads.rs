//! Conversations gone on with after a restart.

use serde_json::{Value, json};

use super::{CODE, Recorded, mend};
use crate::support::model::{Turn, openai};

fn thread_of(it: &mut Recorded, argument: Value) -> (String, String) {
    let started = it.bench.editor.command("ropeway.run", argument);
    let text = |key: &str| started[key].as_str().unwrap().to_owned();
    (text("runId"), text("threadId"))
}

/// The messages of the last request but its system prompt.
fn sent(it: &Recorded) -> Vec<Value> {
    let requests = it.bench.model.requests();
    requests.last().unwrap().messages().iter().filter(|message| message["role"] != "system").cloned().collect()
}

#[test]
fn a_thread_goes_on_after_a_restart_with_all_that_was_said() {
    let mut it = Recorded::with(&[("a.rs", CODE)]);
    let uri = it.bench.open("a.rs");
    it.bench.model.script([Turn::calls([mend("a.rs")]), Turn::text("It adds now.")]);
    let (run, thread) = thread_of(&mut it, json!({"action": "task", "prompt": "mend the sum", "uri": uri}));
    let started = it.bench.event(&run, "started");
    assert_eq!(started["threadId"], thread);
    it.bench.finished(&run);
    let before = sent(&it);
    it.restart();

    let threads = it.bench.editor.command("ropeway.threads", json!({}));
    assert_eq!(threads.as_array().unwrap().len(), 1, "{threads}");
    let listed = &threads[0];
    assert_eq!(
        (&listed["threadId"], &listed["runs"], &listed["status"]),
        (&json!(thread), &json!(1), &json!("applied"))
    );
    assert_eq!((&listed["model"], &listed["live"]), (&json!("test/m"), &json!(false)));
    assert!(
        listed["title"].as_str().unwrap().contains("mend the sum") && listed["when"].as_u64().unwrap() > 0,
        "{listed}"
    );

    it.bench.model.script([Turn::text("You are welcome.")]);
    let (again, same) = thread_of(&mut it, json!({"action": "task", "prompt": "thank you", "thread": thread}));
    assert_eq!(same, thread);
    it.bench.finished(&again);
    let after = sent(&it);
    assert_eq!(after[..before.len()], before, "byte for byte what was sent before");
    assert_eq!(after[before.len()]["content"], "It adds now.");
    assert!(after.last().unwrap().to_string().contains("thank you") && after.len() == before.len() + 2, "{after:?}");

    // And once more, over two sessions.
    it.restart();
    it.bench.model.script([Turn::text("Bye.")]);
    let (last, _) = thread_of(&mut it, json!({"action": "task", "prompt": "bye", "thread": thread}));
    it.bench.finished(&last);
    assert_eq!(sent(&it)[..after.len()], after);
    let threads = it.bench.editor.command("ropeway.threads", json!({}));
    assert_eq!((threads.as_array().unwrap().len(), &threads[0]["runs"]), (1, &json!(3)), "{threads}");
}

#[test]
fn what_only_one_provider_understands_goes_back_to_it_and_to_no_other() {
    let providers = |url: &str| json!({"other": {"kind": "openai", "base_url": url}});
    let mut it = Recorded::with(&[]);
    it.settings["providers"] = providers(&it.bench.model.openai_url());
    // The turn's own form has a field that is none of ours.
    let own = json!({"id": "x", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {
        "role": "assistant", "content": "Hm.", "reasoning_content": "I thought so."}, "finish_reason": null}]});
    let call = json!({"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "id": "c1", "type": "function",
        "function": {"name": "list_dir", "arguments": "{}"}}]}, "finish_reason": "tool_calls"}]});
    let (run, thread) = thread_of(&mut it, json!({"action": "task", "prompt": "think"}));
    let (_, mut reply) = it.bench.model.expect_blocking();
    reply.sse();
    for event in [own, call] {
        reply.send(openai::data(&event));
    }
    reply.send(openai::done());
    reply.end();
    it.bench.model.script([Turn::text("Done.")]);
    it.bench.finished(&run);
    it.restart();
    for (model, echoed) in [("test/m", true), ("other/m", false)] {
        it.bench.model.script([Turn::text("Yes.")]);
        let (run, _) =
            thread_of(&mut it, json!({"action": "task", "prompt": "go on", "thread": thread, "model": model}));
        if !echoed {
            let why = it.bench.event(&run, "prefixBroken")["why"].to_string();
            assert!(why.contains("3 turns of test/m told as text and calls only"), "{why}");
        }
        it.bench.finished(&run);
        let said = sent(&it)[1].to_string();
        assert_eq!(said.contains("I thought so."), echoed, "{model}: {said}");
        assert!(said.contains("Hm.") && said.contains("list_dir"), "{said}");
        it.restart();
    }
}

#[test]
fn a_thread_whose_last_run_was_cut_off_goes_on_where_it_stood() {
    let mut it = Recorded::with(&[("a.rs", CODE)]);
    it.bench.model.script([Turn::calls([("read_file", json!({"path": "a.rs"}))])]);
    let (_, thread) = thread_of(&mut it, json!({"action": "task", "prompt": "look at it"}));
    let (_, _reply) = it.bench.model.expect_blocking();
    // The session ends in the middle of the run.
    it.restart();
    it.bench.model.script([Turn::text("As I said.")]);
    let (run, _) = thread_of(&mut it, json!({"action": "task", "prompt": "and now?", "thread": thread}));
    it.bench.finished(&run);
    let said = sent(&it);
    assert!(said[0].to_string().contains("look at it"), "{said:?}");
    assert_eq!(said[1]["tool_calls"][0]["function"]["name"], "read_file", "{said:?}");
    assert!(said[2]["role"] == "tool" && said[2].to_string().contains("fn total"), "{said:?}");
    assert!(said.last().unwrap().to_string().contains("and now?"), "{said:?}");
}

#[test]
fn a_thread_that_was_emptied_stays_empty() {
    let mut it = Recorded::with(&[]);
    it.bench.model.script([Turn::text("A secret.")]);
    let (run, thread) = thread_of(&mut it, json!({"action": "task", "prompt": "tell me"}));
    it.bench.finished(&run);
    it.bench.editor.command("ropeway.clear", json!({"threadId": thread}));
    it.restart();
    it.bench.model.script([Turn::text("Nothing.")]);
    let (run, _) = thread_of(&mut it, json!({"action": "task", "prompt": "what was it?", "thread": thread}));
    it.bench.finished(&run);
    let said = sent(&it);
    assert!(said.len() == 1 && !said[0].to_string().contains("A secret."), "{said:?}");
}

#[test]
fn threads_of_other_folders_and_names_that_no_thread_has_are_refused() {
    let mut it = Recorded::with(&[]);
    it.bench.model.script([Turn::text("Here.")]);
    let (run, thread) = thread_of(&mut it, json!({"action": "task", "prompt": "where are we?"}));
    it.bench.finished(&run);
    // The same recordings, another folder.
    let elsewhere = tempfile::tempdir().unwrap();
    it.quit();
    let _before = std::mem::replace(&mut it.bench.folder, elsewhere);
    let setup = crate::support::editor::Setup::in_folder(it.bench.folder.path());
    it.bench.editor = crate::support::agent::agent(setup, &it.bench.model, &it.settings).start();
    assert_eq!(it.bench.editor.command("ropeway.threads", json!({})), json!([]));
    for name in [thread.as_str(), "thread-none", "../../etc/passwd", ""] {
        let argument = json!({"action": "task", "prompt": "go on", "thread": name});
        let id =
            it.bench.editor.ask("workspace/executeCommand", json!({"command": "ropeway.run", "arguments": [argument]}));
        let error = it.bench.editor.answer(id).unwrap_err();
        assert!(error["message"].as_str().unwrap().contains("there is no thread"), "{name}: {error}");
    }
    assert_eq!(it.bench.model.requests().len(), 1, "nothing of it was sent to a model");
}
