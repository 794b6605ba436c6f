//! Runs are recorded: everything of them, in the order in which it happened, whatever becomes of the disk and of us.
#![expect(clippy::disallowed_methods, reason = "the tests look at files from outside")]

mod disk;
mod kill;

use std::path::Path;

use ropeway::trajectory::conversation::Conversation;
use ropeway::trajectory::read::{Item, RunHead, Store};
use ropeway::trajectory::record::{Event, FoundIn, Message, Record, TextId};
use serde_json::{Value, json};

use super::support::agent::Bench;
use super::support::model::Turn;

const CODE: &str = "fn total() {\n    sum -= 1;\n    sum\n}\n";

/// A bench whose server records into a folder of its own.
fn recording(files: &[(&str, &str)], settings: Value) -> (Bench, tempfile::TempDir) {
    let state = tempfile::tempdir().unwrap();
    let dir = state.path().to_owned();
    let bench = Bench::start(files, settings, |mut setup| {
        setup.options.state_dir = Some(dir);
        setup
    });
    (bench, state)
}

fn edit(old: &str, new: &str) -> Turn {
    Turn::calls([("edit_file", json!({"path": "a.rs", "old_string": old, "new_string": new}))])
}

fn heads(state: &Path) -> Vec<RunHead> {
    Store::open(state).unwrap().map(|store| store.runs().unwrap()).unwrap_or_default()
}

/// The records of the newest run, all of them readable.
fn records(state: &Path) -> Vec<Record> {
    let store = Store::open(state).unwrap().unwrap();
    let head = store.runs().unwrap().remove(0);
    let whole = store.run(&head).unwrap().map(|item| match item {
        Item::Record(record) => *record,
        Item::Damage(damage) => panic!("{damage:?}"),
    });
    whole.collect()
}

fn kinds(records: &[Record]) -> Vec<&str> {
    records.iter().map(|record| record.event.kind()).collect()
}

fn text<'r>(records: &'r [Record], name: &TextId) -> &'r str {
    let found = records.iter().find_map(|record| match &record.event {
        Event::Text(text) if text.hash == *name => text.text.as_deref(),
        _ => None,
    });
    found.expect("a text stands before its first use")
}

/// The text of a file as the records tell it, from its first sight to the end.
fn told(records: &[Record], path: &str) -> String {
    let mut now = None;
    for record in records {
        match &record.event {
            Event::File(file) if file.path == path => {
                now = file.text.as_ref().map(|name| text(records, name).to_owned())
            }
            Event::Opened(file) if file.path == path => now = Some(text(records, &file.text).to_owned()),
            Event::Typed(typed) if typed.path == path => {
                let now = now.as_mut().expect("a file is met before it is typed in");
                for edit in &typed.edits {
                    now.replace_range(edit.start..edit.end, &edit.text);
                }
            }
            Event::Staged(staged) if staged.path == path => {
                // What is staged is for the text as it is told up to here.
                assert_eq!(staged.base, TextId::of(now.as_deref().unwrap_or_default()));
            }
            _ => {}
        }
    }
    now.unwrap_or_default()
}

#[test]
fn a_run_is_recorded_whole_and_in_order_with_what_was_typed_meanwhile() {
    let (mut bench, state) = recording(&[("a.rs", CODE), ("b.rs", "use total;\n")], json!({}));
    let uri = bench.open("a.rs");
    let run = bench.run(json!({"action": "task", "prompt": "mend the sum", "uri": uri}));
    let (request, reply) = bench.model.expect_blocking();
    bench.editor.type_at(&uri, 0, "// 😀 first\n");
    // Answered behind what was typed.
    bench.editor.command("ropeway.stats", json!({}));
    let look = Turn::calls([("read_file", json!({"path": "b.rs"})), ("grep", json!({"pattern": "sum"}))]);
    reply.play(&look.saying("I look."), &request);
    let (request, reply) = bench.model.expect_blocking();
    reply.play(&edit("sum -= 1", "sum += 1"), &request);
    let (request, reply) = bench.model.expect_blocking();
    bench.editor.type_at(&uri, 0, "// second\n");
    bench.editor.command("ropeway.stats", json!({}));
    reply.play(&Turn::text("Done."), &request);
    let outcome = bench.finished(&run);
    assert_eq!(outcome["status"], "applied", "{outcome}");
    let sent: Vec<Vec<Value>> = bench.model.requests().iter().map(|request| request.messages().to_vec()).collect();
    let buffer = bench.editor.text(&uri).to_owned();
    let stats = bench.editor.command("ropeway.stats", json!({}));
    bench.editor.quit();

    let records = records(state.path());
    assert!(records.iter().zip(1..).all(|(record, seq)| record.seq == seq), "numbered without a hole");
    assert!(records.windows(2).all(|pair| pair[0].at <= pair[1].at));
    assert!(records.iter().all(|record| record.run.as_ref().is_some_and(|id| id.as_str() == run)));
    let kinds = kinds(&records);
    let steps: Vec<&str> = kinds.iter().copied().filter(|kind| *kind != "text").collect();
    let first = ["session", "started", "file", "request", "typed", "called", "called", "response"];
    assert_eq!(steps[..4], first[..4]);
    for kind in first.iter().chain(&["toolStarted", "toolFinished", "staged", "proposal", "sent", "landed", "delivery"])
    {
        assert!(kinds.contains(kind), "{kind} is missing: {kinds:?}");
    }
    assert_eq!(steps[steps.len() - 2..], ["thread", "finished"]);
    let count = |kind: &str| kinds.iter().filter(|known| **known == kind).count();
    assert_eq!((count("request"), count("response"), count("toolStarted"), count("toolFinished")), (3, 3, 3, 3));

    // What the model was sent can be found again, message by message.
    let mut conversation = Conversation::default();
    let mut requests = 0;
    for record in &records {
        conversation.take(record);
        if let Event::Request(request) = &record.event {
            let messages = conversation.messages().unwrap();
            let said = sent[requests].len() - 1;
            let told: usize =
                messages.iter().map(|message| if let Message::Results(all) = message { all.len() } else { 1 }).sum();
            assert_eq!(told, said, "the system prompt aside");
            assert!(
                text(&records, &request.system).len() > 100 && text(&records, &request.tools).contains("read_file")
            );
            requests += 1;
        }
        if let Event::Response(response) = &record.event {
            assert_eq!(response.usage.unwrap().input_tokens, 100);
            assert!(response.timing.first_token_us <= response.timing.last_token_us);
            assert!(response.timing.last_token_us.unwrap() <= response.timing.total_us);
        }
    }
    let Some(Message::Results(results)) = conversation.messages().unwrap().into_iter().nth(2) else { panic!() };
    assert!(results[0].content.as_ref().unwrap().contains("use total"));

    // And the text of each file at any moment.
    assert_eq!(told(&records, "a.rs"), buffer);
    assert!(records.iter().any(|record| matches!(&record.event, Event::Typed(typed) if typed.landed)));
    let b = records.iter().find_map(|record| match &record.event {
        Event::File(file) if file.path == "b.rs" => Some((file.source, text(&records, file.text.as_ref().unwrap()))),
        _ => None,
    });
    assert_eq!(b, Some((FoundIn::Disk, "use total;\n")));
    let Event::Proposal(proposal) = &records[kinds.iter().position(|kind| *kind == "proposal").unwrap()].event else {
        panic!()
    };
    assert_eq!(text(&records, &proposal.files[0].after), buffer);

    let head = heads(state.path()).remove(0);
    assert_eq!((&*head.run, head.status.as_deref(), head.steps, head.live), (&*run, Some("applied"), 3, false));
    assert!(head.prompt == "mend the sum" && head.files == [uri] && head.problem.is_none());
    assert_eq!(stats["recorder"]["lost"], 0);
    let seen = |name: &str| stats["recorder"][name].as_u64().unwrap();
    assert!(seen("records") + seen("pending") > 0, "{}", stats["recorder"]);
}

#[test]
fn what_the_user_decides_later_is_recorded_with_the_run() {
    let (mut bench, state) = recording(&[("a.rs", CODE)], json!({"edits": {"mode": "preview"}}));
    bench.open("a.rs");
    let propose = |bench: &mut Bench| {
        bench.model.script([edit("sum -= 1", "sum += 1"), Turn::text("Done.")]);
        let run = bench.task("mend");
        assert_eq!(bench.finished(&run)["status"], "proposed");
        run
    };
    let rejected = propose(&mut bench);
    bench.editor.command("ropeway.reject", json!({"runId": rejected}));
    let accepted = propose(&mut bench);
    assert_eq!(bench.editor.command("ropeway.accept", json!({"runId": accepted}))["status"], "applied");
    assert_eq!(bench.editor.command("ropeway.revert", json!({"runId": accepted}))["status"], "applied");
    let open = propose(&mut bench);
    bench.editor.command("ropeway.clear", json!({}));
    bench.editor.quit();
    let heads = heads(state.path());
    let decided = |run: &str| {
        let head = heads.iter().find(|head| head.run == run).unwrap();
        json!(head.decided)
    };
    assert_eq!(decided(&rejected), json!(["reject"]));
    assert_eq!(decided(&accepted), json!(["accept", "revert"]));
    assert_eq!(decided(&open), json!([]));
    let store = Store::open(state.path()).unwrap().unwrap();
    let own = store.session(&heads[0].session).unwrap();
    let cleared = own.filter(|item| matches!(item, Item::Record(record) if record.event.kind() == "cleared")).count();
    assert_eq!(cleared, 3, "each thread");
    let accepted = heads.iter().find(|head| head.run == accepted).unwrap();
    let of_run: Vec<_> = store.run(accepted).unwrap().collect();
    assert!(of_run.iter().any(|item| matches!(item, Item::Record(record) if record.event.kind() == "landed")));
}

#[test]
fn the_same_is_recorded_with_and_without_a_thread_of_its_own_and_nothing_where_it_is_off() {
    let run = |name: &str, recording: Value| {
        let state = tempfile::tempdir().unwrap();
        let work = tempfile::tempdir().unwrap();
        std::fs::write(work.path().join("a.rs"), CODE).unwrap();
        let model = super::support::model::Model::start();
        model.script([edit("sum -= 1", "sum += 1"), Turn::text("Done.")]);
        let config = format!(
            "model = \"test/m\"\n[providers.test]\nkind = \"openai\"\nbase_url = \"{}\"\n[recording]\nenabled = {recording}\n",
            model.openai_url()
        );
        std::fs::write(state.path().join("config.toml"), config).unwrap();
        let ran = std::process::Command::new(env!("CARGO_BIN_EXE_ropeway"))
            .args(["run", "--apply", "-C"])
            .arg(work.path())
            .arg("mend")
            .env_clear()
            .env("HOME", state.path())
            .env("ROPEWAY_CONFIG", state.path().join("config.toml"))
            .env("ROPEWAY_STATE_DIR", state.path().join("state"))
            .env("ROPEWAY_BACKGROUND_IO", name)
            .output()
            .unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        assert_eq!(std::fs::read_to_string(work.path().join("a.rs")).unwrap(), CODE.replace("-=", "+="));
        state
    };
    let sketch = |state: &tempfile::TempDir| {
        let records = records(&state.path().join("state"));
        let sketch: Vec<_> = records.iter().map(|record| record.event.kind().to_owned()).collect();
        assert_eq!(heads(&state.path().join("state"))[0].decided.len(), 1, "`--apply` accepts what is proposed");
        sketch
    };
    let (background, at_once) = (run("true", json!(true)), run("false", json!(true)));
    let background = sketch(&background);
    assert_eq!(background, sketch(&at_once));
    assert!(background.contains(&"finished".to_owned()) && background.contains(&"landed".to_owned()));
    let off = run("true", json!(false));
    assert!(!off.path().join("state/sessions").exists());
}

#[test]
fn a_key_that_the_server_knows_is_in_no_recording() {
    let key = "canary-0123456789-canary";
    let settings = json!({"providers": {"test": {"headers": {"x-own": key}}}});
    let (mut bench, state) = recording(&[("a.rs", &format!("// {key}\n{CODE}"))], settings);
    let uri = bench.open("a.rs");
    let read = Turn::calls([("read_file", json!({"path": "a.rs"}))]);
    bench.model.script([read.saying(key), edit("sum -= 1", &format!("sum += \"{key}\"")), Turn::text(key)]);
    let run = bench.run(json!({"action": "task", "prompt": format!("use {key}"), "uri": uri}));
    bench.finished(&run);
    bench.editor.quit();
    let records = records(state.path());
    assert!(records.iter().filter(|record| record.redacted).count() > 5);
    assert!(!json!(records).to_string().contains("canary-0123"));
    for entry in std::fs::read_dir(state.path().join("sessions")).unwrap() {
        for file in std::fs::read_dir(entry.unwrap().path()).unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            assert!(memchr::memmem::find(&bytes, b"canary-0123").is_none());
        }
    }
}

#[test]
fn a_removed_directory_stops_no_run_and_the_user_hears_of_it_once() {
    let (mut bench, state) = recording(&[("a.rs", CODE)], json!({"recording": {"flush_ms": 0}}));
    let uri = bench.open("a.rs");
    let run = bench.run(json!({"action": "task", "prompt": "mend", "uri": uri}));
    for turn in [edit("sum -= 1", "sum += 1"), Turn::calls([("list_dir", json!({}))]), Turn::text("Done.")] {
        let (request, reply) = bench.model.expect_blocking();
        // The recorder may be making it anew at this very moment.
        while std::fs::remove_dir_all(state.path()).is_err() && state.path().exists() {}
        reply.play(&turn, &request);
    }
    assert_eq!(bench.finished(&run)["status"], "applied");
    let said = bench.editor.expect_notification("window/showMessage");
    assert!(said["message"].as_str().unwrap().contains("recordings"), "{said}");
    bench.editor.quit();
    let records = records(state.path());
    assert!(kinds(&records).contains(&"gap") && kinds(&records).contains(&"finished"));
}
