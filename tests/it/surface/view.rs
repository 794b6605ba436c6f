//! What a conversation has in view already and what it has learnt, end to end: lines are not shown twice, windows are not
//! tried twice, versions of files are named, and no switch changes a result.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ropeway::config::PASSES;
use serde_json::{Value, json};

use super::super::support::agent::Bench;
use super::super::support::model::{Received, Turn};
use super::text;

const OVERFLOW: &str =
    r#"{"error":{"message":"This model's maximum context length is 8192 tokens.","code":"context_length_exceeded"}}"#;

/// Files of some 4,000 bytes, all different.
fn files(count: usize) -> Vec<(String, String)> {
    let text = |n: usize| (0..100).map(|line| format!("line {line} of file number {n}, with words\n")).collect();
    (0..count).map(|n| (format!("f{n}.txt"), text(n))).collect()
}

fn bench(count: usize, settings: Value) -> Bench {
    let files = files(count);
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    Bench::start(&files, settings, |setup| setup)
}

fn read(name: &str) -> Turn {
    Turn::calls([("read_file", json!({"path": name}))])
}

fn edit(old: &str, new: &str) -> Turn {
    Turn::calls([("edit_file", json!({"path": "f0.txt", "old_string": old, "new_string": new}))])
}

/// Everything that was said in the last request.
fn said(bench: &Bench) -> String {
    bench.model.requests().last().unwrap().body["messages"].to_string()
}

#[test]
fn a_file_that_is_read_again_after_an_edit_shows_the_changed_lines_and_points_at_the_others() {
    let mut bench = bench(1, json!({}));
    bench.model.script([
        read("f0.txt"),
        edit("line 50 of file number 0, with words\n", "line 50 is another\nand one more\n"),
        read("f0.txt"),
        // It wants to see some of it all the same, and is shown it; once.
        Turn::calls([("read_file", json!({"path": "f0.txt", "offset": 60, "limit": 20}))]),
        Turn::calls([("read_file", json!({"path": "f0.txt", "offset": 60, "limit": 20}))]),
        Turn::text("Done."),
    ]);
    let run = bench.task("mend it");
    assert_eq!(bench.finished(&run)["status"], "applied");
    let requests = bench.model.requests();
    let again = text(requests[3].messages().last().unwrap());
    assert!(again.starts_with("[unchanged: most of it is as `read_file` {\"path\":\"f0.txt\"} above;"), "{again}");
    let lines = "\n[1 to 50: as there]\n51\tline 50 is another\n52\tand one more\n[53 to 101: as 52 to 100 there]\n";
    assert!(again.contains(lines), "{again}");
    let shown = text(requests[4].messages().last().unwrap());
    assert!(shown.starts_with("60\tline 58 of file number 0") && shown.contains("79\tline 77"), "{shown}");
    let pointed = text(requests[5].messages().last().unwrap());
    assert!(pointed.starts_with("[unchanged: it is as `read_file` "), "{pointed}");
}

#[test]
fn no_switch_changes_what_comes_of_a_run() {
    let play = |disabled: &[&str]| {
        let mut bench = bench(2, json!({"context": {"disabled": disabled, "max_history_pairs": 1}}));
        let uri = bench.open("f0.txt");
        bench.model.script([
            read("f0.txt"),
            read("f0.txt"),
            edit("line 7 of file number 0, with words\n", "seven\n"),
            read("f0.txt"),
            Turn::calls([("grep", json!({"pattern": "line 9"})), ("outline", json!({"path": "f1.txt"}))]),
            read("f1.txt"),
            Turn::calls([("grep", json!({"pattern": "line 9"})), ("diagnostics", json!({}))]),
            edit("line 8 of file number 0, with words\n", "eight\n"),
            read("f0.txt"),
            Turn::text("Done."),
        ]);
        let run = bench.task("mend it");
        let outcome = bench.finished(&run);
        let sent: usize = bench.model.requests().iter().map(|request| request.bytes.len()).sum();
        (outcome["status"].clone(), outcome["answer"].clone(), bench.editor.text(&uri).to_owned(), sent)
    };
    let (status, answer, text, sent) = play(&PASSES);
    assert_eq!((&status, &answer), (&json!("applied"), &json!("Done.")));
    assert!(text.contains("\nseven\neight\n"));
    let mut variants: Vec<Vec<&str>> = PASSES.iter().map(|off| vec![*off]).collect();
    variants.extend(PASSES.iter().map(|only| PASSES.into_iter().filter(|pass| pass != only).collect()));
    variants.push(Vec::new());
    for disabled in variants {
        let (other, said, made, less) = play(&disabled);
        assert_eq!((&other, &said, &made), (&status, &answer, &text), "without {disabled:?}");
        // The names of calls are not all of one length.
        let most = if disabled.is_empty() { sent / 10 * 8 } else { sent + 1_000 };
        assert!(less <= most, "without {disabled:?}: {less} bytes sent, {sent} with nothing");
    }
}

/// The prompt of a request in tokens, as a server counts that takes four bytes for one.
fn tokens(request: &Received) -> u64 {
    request.body["messages"].to_string().len() as u64 / 4
}

#[test]
fn a_window_that_is_smaller_than_said_is_run_into_once_in_a_conversation() {
    let mut bench = bench(24, json!({"models": {"test/m": {"context_window": 1_000_000, "max_output_tokens": 200}}}));
    let refusals = Arc::new(AtomicUsize::new(0));
    let (counted, mut next) = (refusals.clone(), 0);
    bench.model.answer_with(move |request| {
        let tokens = tokens(request);
        if tokens > 8_000 {
            counted.fetch_add(1, Ordering::Relaxed);
            return Some(Turn::failure(400, &[], OVERFLOW));
        }
        let turn = match request.last_message().contains("Write a summary of the work so far") {
            true => Turn::text("Some files were read."),
            false => {
                next += 1;
                if next % 13 == 0 {
                    Turn::text("Seen.")
                } else {
                    read(&format!("f{}.txt", next % 13 + next / 13 * 12 - 1))
                }
            }
        };
        Some(turn.usage(tokens, 0, 20))
    });
    let started = bench.editor.command("ropeway.run", json!({"action": "task", "prompt": "read"}));
    assert_eq!(bench.finished(started["runId"].as_str().unwrap())["answer"], "Seen.");
    assert_eq!(refusals.load(Ordering::Relaxed), 1, "nobody knew better");
    let run = bench.run(json!({"action": "task", "prompt": "read on", "thread": started["threadId"]}));
    bench.event(&run, "compacted");
    assert_eq!(bench.finished(&run)["answer"], "Seen.");
    assert_eq!(refusals.load(Ordering::Relaxed), 1, "it was known by then");
}

#[test]
fn a_compaction_names_the_files_in_the_version_in_which_they_were_seen() {
    let mut bench = bench(3, json!({}));
    let uri = bench.open("f0.txt");
    bench.editor.type_at(&uri, 0, "typed\n");
    bench.editor.settle();
    bench.model.script([
        read("f0.txt"),
        edit("line 7 of file number 0, with words\n", "seven\n"),
        read("f1.txt"),
        Turn::failure(400, &[], OVERFLOW),
        Turn::text("Two files were read."),
        Turn::text("Done."),
    ]);
    let started = bench.editor.command("ropeway.run", json!({"action": "task", "prompt": "mend it"}));
    assert_eq!(bench.finished(started["runId"].as_str().unwrap())["status"], "applied");
    let last = said(&bench);
    let version = bench.editor.version(&uri);
    let bytes = files(2)[1].1.len();
    for part in [
        format!("- `f0.txt`: changed in one place (of version {} in the editor)", version - 1),
        format!("- `f1.txt`: the file on disk of {bytes} bytes"),
    ] {
        assert!(last.contains(&part), "{part} is missing in {last}");
    }
}

#[test]
fn a_compaction_by_command_names_them_too() {
    let mut bench = bench(3, json!({}));
    bench.model.script([read("f2.txt"), Turn::text("Seen."), Turn::text("A file was read.")]);
    let started = bench.editor.command("ropeway.run", json!({"action": "task", "prompt": "look"}));
    bench.finished(started["runId"].as_str().unwrap());
    bench.editor.command("ropeway.compact", json!({"threadId": started["threadId"]}));
    bench.model.script([Turn::text("Yes.")]);
    let run = bench.run(json!({"action": "task", "prompt": "go on", "thread": started["threadId"]}));
    bench.finished(&run);
    let last = said(&bench);
    assert!(last.contains("A file was read.") && last.contains("- `f2.txt`: the file on disk of"), "{last}");
}
