//! Conversations that outgrow their model, end to end: counted, made small, and gone on with.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::super::support::agent::Bench;
use super::super::support::model::{Received, Turn};
use super::{CODE, mend, mended, refused};

/// What a provider says to a prompt that is too long for its window.
const OVERFLOW: &str =
    r#"{"error":{"message":"This model's maximum context length is 8192 tokens.","code":"context_length_exceeded"}}"#;

/// Files of some 4,000 bytes, all different.
fn files(count: usize) -> Vec<(String, String)> {
    let text = |n: usize| (0..100).map(|line| format!("line {line} of file number {n}, with words\n")).collect();
    (0..count).map(|n| (format!("f{n}.txt"), text(n))).collect()
}

fn bench(files: &[(String, String)], window: u64, settings: &Value) -> Bench {
    let files: Vec<(&str, &str)> =
        files.iter().map(|(name, text)| (name.as_str(), text.as_str())).chain([("a.rs", CODE)]).collect();
    let mut all = json!({"models": {"test/m": {"context_window": window, "max_output_tokens": 1000}}});
    for (key, value) in settings.as_object().unwrap() {
        all[key] = value.clone();
    }
    Bench::start(&files, all, |setup| setup)
}

fn read(name: &str) -> Turn {
    Turn::calls([("read_file", json!({"path": name}))])
}

/// Whether this request asks for a summary.
fn wants_summary(request: &Received) -> bool {
    request.last_message().contains("Write a summary of the work so far")
}

/// The prompt of a request in tokens, as a server counts that takes four bytes for one.
fn tokens(request: &Received) -> u64 {
    request.body["messages"].to_string().len() as u64 / 4
}

#[test]
fn a_run_that_fills_its_window_is_compacted_and_goes_on_to_its_end() {
    let files = files(12);
    let mut bench = bench(&files, 12_000, &json!({}));
    let uri = bench.open("a.rs");
    let mut next = 0;
    bench.model.answer_with(move |request| {
        let counted = |turn: Turn| turn.usage(tokens(request), 0, 20);
        assert!(tokens(request) < 12_000, "the prompt has overflowed");
        if wants_summary(request) {
            return Some(counted(Turn::text("I have read many files; a.rs has to be mended.")));
        }
        next += 1;
        Some(counted(match next {
            1..=12 => read(&format!("f{}.txt", next - 1)),
            13 => Turn::calls([mend("a.rs")]),
            _ => Turn::text("Done."),
        }))
    });
    let run = bench.task("mend a.rs, and keep to the RULES");
    let compacted = bench.event(&run, "compacted");
    let (before, after) = (&compacted["before"]["tokens"], &compacted["after"]["tokens"]);
    assert!(before.as_u64() > after.as_u64().map(|after| after * 2), "{compacted}");
    let outcome = bench.finished(&run);
    assert_eq!((&outcome["status"], &outcome["answer"]), (&json!("applied"), &json!("Done.")), "{outcome}");
    assert_eq!(bench.editor.text(&uri), mended());

    let requests = bench.model.requests();
    let last = requests.last().unwrap().body["messages"].to_string();
    for part in ["keep to the RULES", "I have read many files", "earlier_work", "- `f0.txt`: the file on disk of "] {
        assert!(last.contains(part), "{part}: {last}");
    }
    // The summary stands for what was done.
    assert!(!last.contains("- read: "), "{last}");
    assert_eq!(outcome["steps"], requests.len() as u64);
    let summaries = requests.iter().filter(|request| wants_summary(request)).count();
    assert!((1..=2).contains(&summaries), "{summaries}");
}

#[test]
fn a_run_of_two_thousand_steps_never_overflows_a_small_window_and_is_seldom_compacted() {
    let files = files(40);
    // Not recorded: that is looked at elsewhere, and is slow in a build for tests.
    let settings = json!({"agent": {"max_steps": 10_000}, "recording": {"enabled": false}});
    let mut bench = bench(&files, 32_768, &settings);
    bench.model.keep_last(2);
    let counts = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
    let counted = counts.clone();
    bench.model.answer_with(move |request| {
        let (steps, summaries) = &*counted;
        let tokens = tokens(request);
        if tokens > 32_768 {
            return Some(Turn::failure(400, &[], OVERFLOW));
        }
        let turn = if wants_summary(request) {
            summaries.fetch_add(1, Ordering::Relaxed);
            Turn::text("Some files were read, others are left.")
        } else {
            match steps.fetch_add(1, Ordering::Relaxed) {
                2_000.. => Turn::text("All was read."),
                // A pattern that repeats itself now and then, as those of real runs do.
                step => Turn::calls([
                    ("read_file", json!({"path": format!("f{}.txt", step * 7 % 40)})),
                    ("grep", json!({"pattern": format!("number {}", step % 13), "max_results": 20})),
                ]),
            }
        };
        Some(turn.usage(tokens, 0, 20))
    });
    let run = bench.task("read it all, KEEP THIS IN MIND");
    let outcome = bench.finished(&run);
    assert_eq!((&outcome["status"], &outcome["answer"]), (&json!("answered"), &json!("All was read.")), "{outcome}");
    let summaries = counts.1.load(Ordering::Relaxed);
    assert!((1..=400).contains(&summaries), "{summaries} summaries");
    assert_eq!(outcome["steps"], 2_001 + summaries);
    assert!(bench.model.requests().last().unwrap().body.to_string().contains("KEEP THIS IN MIND"));
}

#[test]
fn an_overflow_the_provider_reports_is_mended_by_one_compaction() {
    let files = files(3);
    let mut bench = bench(&files, 1_000_000, &json!({}));
    bench.model.script([read("f0.txt"), read("f1.txt"), Turn::failure(400, &[], OVERFLOW)]);
    bench.model.script([Turn::text("Two files were read."), Turn::text("Both are well.")]);
    let run = bench.task("look");
    bench.event(&run, "compacted");
    let outcome = bench.finished(&run);
    assert_eq!((&outcome["status"], &outcome["answer"]), (&json!("answered"), &json!("Both are well.")), "{outcome}");
    let requests = bench.model.requests();
    assert!(wants_summary(&requests[3]) && !wants_summary(&requests[4]));
    assert!(requests[4].bytes.len() < requests[2].bytes.len());
    assert_eq!(bench.model.turns_left(), 0);
}

#[test]
fn the_overflow_of_each_provider_is_mended_by_one_compaction() {
    let bodies = [
        ("openai", OVERFLOW),
        (
            "anthropic",
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 210000 tokens > 200000 maximum"}}"#,
        ),
        (
            "google",
            r#"{"error":{"code":400,"status":"INVALID_ARGUMENT","message":"The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."}}"#,
        ),
        ("ollama", r#"{"error":"the prompt exceeds the available context size, try increasing it"}"#),
    ];
    for (kind, body) in bodies {
        let files = files(3);
        let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        let mut bench = Bench::start(&files, json!({"providers": {"test": {"kind": kind}}}), |setup| setup);
        let mut turns = [read("f0.txt"), read("f1.txt"), Turn::failure(400, &[], body)]
            .into_iter()
            .chain([Turn::text("Two files were read."), Turn::text("Both are well.")]);
        // A provider is also asked for the list of its models.
        bench.model.answer_with(move |request| match request.method.as_str() {
            "POST" if !request.path.ends_with("/api/show") => turns.next(),
            _ => Some(Turn::failure(404, &[], "{}")),
        });
        let run = bench.task("look");
        let compacted = bench.event(&run, "compacted");
        assert!(compacted["before"]["messages"].as_u64() > compacted["after"]["messages"].as_u64(), "{compacted}");
        assert_eq!(bench.finished(&run)["answer"], "Both are well.", "{kind}");
        let asked = |request: &Received| request.method == "POST" && !request.path.ends_with("/api/show");
        assert_eq!(bench.model.requests().iter().filter(|request| asked(request)).count(), 5, "{kind}");
    }
}

#[test]
fn without_a_summary_the_run_goes_on_with_what_is_known() {
    let files = files(3);
    let mut bench = bench(&files, 1_000_000, &json!({}));
    bench.model.script([
        read("f0.txt"),
        Turn::calls([mend("a.rs")]),
        read("f1.txt"),
        Turn::failure(400, &[], OVERFLOW),
    ]);
    bench.model.script([Turn::failure(400, &[], OVERFLOW), Turn::text("Done.")]);
    let run = bench.task("mend");
    let outcome = bench.finished(&run);
    assert_eq!(outcome["answer"], "Done.", "{outcome}");
    let requests = bench.model.requests();
    let last = requests.last().unwrap().body["messages"].to_string();
    for part in ["read: `f0.txt`", "- `a.rs`: changed in one place", "line 99 of file number 1"] {
        assert!(last.contains(part), "{part} is missing in {last}");
    }
    assert!(!last.contains("line 99 of file number 0"));
}

#[test]
fn a_request_that_can_never_fit_is_told_once_and_not_compacted_for_ever() {
    let mut bench = bench(&[], 1_000_000, &json!({}));
    bench.model.answer_with(|_| Some(Turn::failure(400, &[], OVERFLOW)));
    let run = bench.task("too long");
    let outcome = bench.finished(&run);
    assert_eq!(
        (&outcome["status"], &outcome["error"]["code"]),
        (&json!("failed"), &json!("context_overflow")),
        "{outcome}"
    );
    bench.editor.expect_notification("window/showMessage");
    assert_eq!(bench.model.requests().len(), 1);
}

#[test]
fn cancel_while_the_summary_is_written_ends_the_run() {
    let files = files(2);
    let mut bench = bench(&files, 1_000_000, &json!({}));
    bench.model.script([read("f0.txt"), read("f1.txt"), Turn::failure(400, &[], OVERFLOW)]);
    let run = bench.task("look");
    let (request, mut reply) = bench.model.expect_blocking();
    assert!(wants_summary(&request));
    reply.sse();
    bench.editor.command("ropeway.cancel", json!({"runId": run}));
    assert_eq!(bench.finished(&run)["status"], "cancelled");
}

#[test]
fn a_file_read_twice_is_sent_once_and_every_pass_has_its_switch() {
    let said = |settings: &Value| {
        let files = files(1);
        let mut bench = bench(&files, 1_000_000, settings);
        bench.model.script([read("f0.txt"), read("f0.txt"), Turn::text("Seen.")]);
        let run = bench.task("look");
        bench.finished(&run);
        bench.model.requests().last().unwrap().body["messages"].to_string().matches("line 50 of file number 0").count()
    };
    assert_eq!(said(&json!({})), 1);
    assert_eq!(said(&json!({"context": {"disabled": ["repeats"]}})), 1);
    // Without references the older text goes instead, since nothing is cached that this would break.
    assert_eq!(said(&json!({"context": {"disabled": ["repeats", "known"]}})), 1);
    assert_eq!(said(&json!({"context": {"disabled": ["repeats", "known", "stale"]}})), 2);
}

#[test]
fn a_conversation_is_compacted_by_command() {
    let files = files(2);
    let mut bench = bench(&files, 1_000_000, &json!({}));
    assert!(refused(&mut bench, "ropeway.compact", json!([{}])).contains("no conversation"));
    let counted = |turn: Turn, tokens| turn.usage(tokens, 0, 10);
    bench.model.script([
        counted(read("f0.txt"), 900),
        counted(read("f1.txt"), 1_900),
        counted(Turn::text("Seen."), 3_000),
    ]);
    bench.model.script([Turn::text("I saw two files.")]);
    let started = bench.editor.command("ropeway.run", json!({"action": "task", "prompt": "look"}));
    bench.finished(started["runId"].as_str().unwrap());
    let sizes = bench.editor.command("ropeway.compact", json!({"threadId": started["threadId"]}));
    assert!(sizes["before"]["tokens"].as_u64() > sizes["after"]["tokens"].as_u64(), "{sizes}");
    assert!(sizes["before"]["messages"].as_u64() > sizes["after"]["messages"].as_u64(), "{sizes}");
    // Nothing new has been said since.
    let again = bench.editor.command("ropeway.compact", json!({}));
    assert_eq!(again["before"], again["after"]);

    bench.model.script([Turn::text("Yes.")]);
    let run = bench.run(json!({"action": "task", "prompt": "and?", "thread": started["threadId"]}));
    assert_eq!(bench.finished(&run)["answer"], "Yes.");
    let last = bench.model.requests().last().unwrap().body["messages"].to_string();
    assert!(last.contains("I saw two files.") && last.contains("and?") && !last.contains("line 50 of"), "{last}");
}

#[test]
fn what_the_user_types_in_a_file_the_model_has_read_is_told_as_a_diff_and_only_once() {
    let mut bench = bench(&[], 1_000_000, &json!({}));
    let uri = bench.open("a.rs");
    let run = bench.task("mend");
    let (request, reply) = bench.model.expect_blocking();
    reply.play(&read("a.rs"), &request);
    let (request, reply) = bench.model.expect_blocking();
    assert!(!request.last_message().contains("user_typed"));
    bench.editor.type_at(&uri, 0, "// typed\n");
    bench.editor.settle();
    reply.play(&Turn::calls([mend("a.rs")]), &request);
    let (request, reply) = bench.model.expect_blocking();
    let said = request.last_message();
    assert!(said.contains("user_typed") && said.contains("+// typed") && !said.contains("sum + x"), "{said}");
    reply.play(&Turn::calls([("glob", json!({"pattern": "*"}))]), &request);
    let (request, reply) = bench.model.expect_blocking();
    assert_eq!(request.body["messages"].to_string().matches("+// typed").count(), 1);
    assert!(!request.last_message().contains("user_typed"), "told twice");
    reply.play(&Turn::text("Done."), &request);
    assert_eq!(bench.finished(&run)["status"], "applied");
    assert_eq!(bench.editor.text(&uri), format!("// typed\n{}", mended()));
}

#[test]
fn in_a_conversation_that_goes_on_the_user_s_changes_are_told_and_the_run_s_own_are_not() {
    let mut bench = bench(&[], 1_000_000, &json!({}));
    let uri = bench.open("a.rs");
    bench.model.script([Turn::calls([mend("a.rs")]), Turn::text("Done.")]);
    let started = bench.editor.command("ropeway.run", json!({"action": "task", "prompt": "mend", "uri": uri}));
    assert_eq!(bench.finished(started["runId"].as_str().unwrap())["status"], "applied");
    let again = json!({"action": "task", "prompt": "more", "thread": started["threadId"]});
    bench.model.script([Turn::text("Nothing.")]);
    let run = bench.run(again.clone());
    bench.finished(&run);
    assert!(!bench.model.requests().last().unwrap().body.to_string().contains("user_typed"));

    bench.editor.type_at(&uri, 0, "// typed\n");
    bench.model.script([Turn::text("I see.")]);
    let run = bench.run(again);
    bench.finished(&run);
    let said = bench.model.requests().last().unwrap().last_message();
    assert!(said.contains("+// typed") && !said.contains("sum"), "{said}");
}
