//! Recorded runs played again: the same edits, whatever raced with what.

use std::cell::RefCell;
use std::rc::Rc;

use serde_json::{Value, json};

use super::{CODE, Recorded, mend};
use crate::support::editor::{Applies, Editor};
use crate::support::model::Turn;

/// Lines that the agent changes; none next to another, so that each is a hunk of its own.
const CHANGED: [usize; 3] = [2, 6, 10];

fn original(line: usize) -> String {
    format!("let value_{line:02} = compute(first, second); // größer 😀")
}

fn wanted(line: usize) -> String {
    original(line).replace("compute(first, second)", &format!("checked_{line}(second)?"))
}

/// Types now and then, anywhere.
struct Typist {
    random: u64,
    uri: String,
    typed: usize,
}

impl Typist {
    fn below(&mut self, bound: usize) -> usize {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) as usize % bound
    }

    fn hears(&mut self, editor: &mut Editor) {
        if self.typed >= 12 || self.below(3) > 0 {
            return;
        }
        let text = editor.text(&self.uri).to_owned();
        let mut at = self.below(text.len() + 1);
        while !text.is_char_boundary(at) {
            at += 1;
        }
        let mark = ["x", "«é»", "\n", "😀"][self.below(4)];
        editor.type_at(&self.uri, at, mark);
        self.typed += 1;
    }
}

fn interleavings(applies: Applies, seeds: std::ops::Range<u64>) {
    let mut it = Recorded::start(&[("keep.txt", "")], json!({}), |setup| setup.applies(applies));
    it.bench.editor.ignore("window/showMessage");
    let (mut typed, mut statuses) = (0, Vec::new());
    for seed in seeds {
        let text: String = (0..13).map(|line| original(line) + "\n").collect();
        let name = format!("round_{seed}.rs");
        let uri = it.bench.editor.open(it.bench.path(&name), &text);
        let typist = Rc::new(RefCell::new(Typist { random: seed, uri: uri.clone(), typed: 0 }));
        let hears = typist.clone();
        it.bench.editor.on_message(move |editor, _| hears.borrow_mut().hears(editor));
        let edit = |line: &usize| {
            ("edit_file", json!({"path": name, "old_string": original(*line), "new_string": wanted(*line)}))
        };
        it.bench.model.script([
            Turn::calls([("read_file", json!({"path": name})), edit(&CHANGED[0])]),
            Turn::calls(CHANGED[1..].iter().map(edit)),
            Turn::text("Done."),
        ]);
        let run = it.bench.run(json!({"action": "task", "prompt": "change", "uri": uri}));
        statuses.push(it.bench.finished(&run)["status"].as_str().unwrap().to_owned());
        typed += typist.borrow().typed;
        it.bench.editor.on_message(|_, _| {});
        it.bench.editor.close(&uri);
        it.bench.editor.messages.clear();
    }
    it.quit();
    for run in it.runs() {
        let id = run["id"].as_str().unwrap();
        let played = it.sessions(&["replay", id]);
        let what = format!("{run}\n{}{}\n{}", played.out, played.err, it.sessions(&["show", id]).out);
        assert_eq!(played.code, Some(0), "{what}");
        assert!(played.err.contains("the same edits as recorded"), "{what}");
    }
    assert!(typed > 20, "nothing raced: {typed} {statuses:?}");
    assert!(statuses.iter().any(|status| status == "applied"), "{statuses:?}");
}

#[test]
fn runs_with_typing_in_their_middle_are_played_again_with_the_same_edits() {
    interleavings(Applies::Transactional, 1..11);
}

#[test]
fn so_are_runs_in_an_editor_that_skips_stale_edits() {
    interleavings(Applies::EachAlone, 100..110);
}

#[test]
fn a_call_that_was_overtaken_by_typing_is_played_again_as_it_went() {
    let mut it = Recorded::with(&[("a.rs", CODE)]);
    let uri = it.bench.open("a.rs");
    let run = it.bench.run(json!({"action": "task", "prompt": "mend", "uri": uri}));
    let edit = ("edit_file", json!({"path": "a.rs", "old_string": "sum - x)", "new_string": "sum + x)"}));
    let (request, reply) = it.bench.model.expect_blocking();
    reply.play(&Turn::calls([edit]), &request);
    let (request, reply) = it.bench.model.expect_blocking();
    // Into what the call has found: on this text it would find nothing.
    let behind = CODE.find("x)\n").unwrap();
    it.bench.editor.type_at(&uri, behind, "\n");
    reply.play(&Turn::text("Done."), &request);
    assert_eq!(it.bench.finished(&run)["status"], "applied");
    it.quit();
    assert_eq!(it.sessions(&["replay", &run]).code, Some(0));

    // As it is recorded where the key comes between the call's look and its edit, which nobody can time.
    let file = it.records(&run);
    let text = std::fs::read_to_string(&file).unwrap();
    let mut records: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let at = |kind: &str, records: &[Value]| records.iter().position(|record| record["kind"] == kind).unwrap();
    let typed = records.remove(at("typed", &records));
    let staged = at("staged", &records);
    records.insert(staged, typed);
    records[staged + 1]["data"]["carried"] = true.into();
    for (at, record) in records.iter_mut().enumerate() {
        record["seq"] = (at + 1).into();
    }
    records[staged]["t"] = records[staged + 1]["t"].clone();
    let lines: Vec<_> = records.iter().map(ToString::to_string).collect();
    std::fs::write(&file, lines.join("\n") + "\n").unwrap();
    let played = it.sessions(&["replay", &run]);
    assert_eq!(played.code, Some(0), "{}\n{}", played.err, it.sessions(&["show", &run]).out);
}

#[test]
fn the_diff_of_a_replay_is_that_of_the_run_and_touches_no_file() {
    let mut it = Recorded::with(&[("a.rs", CODE), ("b.rs", "fn b() {}\n"), ("gone.rs", "fn gone() {}\n")]);
    let uri = it.bench.open("a.rs");
    it.bench.model.script([
        Turn::calls([
            ("run_command", json!({"command": "echo never again"})),
            mend("a.rs"),
            ("create_file", json!({"path": "new/c.rs", "text": "fn c() {}\n"})),
            ("move_file", json!({"from": "b.rs", "to": "moved.rs"})),
            ("delete_file", json!({"path": "gone.rs"})),
            ("edit_file", json!({"path": "a.rs", "old_string": "not in it", "new_string": "x"})),
        ]),
        Turn::text("Done."),
    ]);
    it.bench.editor.choices.push_back(Some("Deny".into()));
    it.bench.editor.ignore("window/showMessage");
    let run = it.bench.run(json!({"action": "task", "prompt": "tidy up", "uri": uri}));
    assert_eq!(it.bench.finished(&run)["status"], "applied");
    it.quit();
    // The replay needs nothing but its recording.
    let folder = it.bench.folder.path().to_owned();
    std::fs::remove_dir_all(&folder).unwrap();
    let played = it.sessions(&["replay", &run]);
    assert_eq!(played.code, Some(0), "{}\n{}", played.err, it.sessions(&["show", &run]).out);
    for line in [
        "--- a/a.rs",
        "+    xs.iter().fold(0, |sum, x| sum + x)",
        "+++ b/new/c.rs",
        "rename to moved.rs",
        "-fn gone() {}",
    ] {
        assert!(played.out.contains(line), "{line} in {}", played.out);
    }
    assert!(!folder.exists(), "nothing is written outside the copy");
}

#[test]
fn a_recording_that_does_not_lead_to_its_edits_is_told() {
    let mut it = Recorded::with(&[("a.rs", CODE)]);
    let uri = it.bench.open("a.rs");
    it.bench.model.script([Turn::calls([mend("a.rs")]), Turn::text("Done.")]);
    let run = it.bench.run(json!({"action": "task", "prompt": "mend", "uri": uri}));
    it.bench.finished(&run);
    it.quit();
    assert_eq!(it.sessions(&["replay", &run]).code, Some(0));
    let file = it.records(&run);
    let records = std::fs::read_to_string(&file).unwrap();
    // The model says something else.
    let change = |line: &str| {
        let mut record: Value = serde_json::from_str(line).unwrap();
        if record["kind"] == "response" && line.contains("sum + x") {
            let arguments =
                record["data"]["turn"]["calls"][0]["arguments"].as_str().unwrap().replace("sum + x", "sum * x");
            record["data"]["turn"]["calls"][0]["arguments"] = arguments.into();
        }
        format!("{record}\n")
    };
    std::fs::write(&file, records.lines().map(change).collect::<String>()).unwrap();
    let played = it.sessions(&["replay", &run]);
    assert_eq!(played.code, Some(1), "{}", played.err);
    assert!(played.err.contains("a.rs: another text is staged than is recorded"), "{}", played.err);
    assert!(played.err.contains("not the same as recorded") && played.out.contains("sum * x"), "{}", played.err);
    // The record of what was sent is gone.
    let without: String =
        records.lines().filter(|line| !line.contains("\"kind\":\"sent\"")).map(|l| format!("{l}\n")).collect();
    std::fs::write(&file, without).unwrap();
    let played = it.sessions(&["replay", &run]);
    assert_eq!(played.code, Some(1), "{}", played.err);
    assert!(played.err.contains("not the same as recorded"), "{}", played.err);
}

#[test]
fn runs_that_did_not_end_well_are_played_as_far_as_they_went() {
    let mut it = Recorded::with(&[("a.rs", CODE)]);
    it.bench.editor.ignore("window/showMessage");
    it.bench
        .model
        .script([Turn::calls([mend("a.rs")]), Turn::failure(400, &[], r#"{"error": {"message": "no more"}}"#)]);
    let failed = it.bench.task("mend");
    assert_eq!(it.bench.finished(&failed)["status"], "failed");
    it.bench.model.script([Turn::calls([mend("a.rs")])]);
    let cancelled = it.bench.task("mend again");
    let (_, _reply) = it.bench.model.expect_blocking();
    it.bench.editor.command("ropeway.cancel", json!({"runId": cancelled}));
    assert_eq!(it.bench.finished(&cancelled)["status"], "cancelled");
    it.quit();
    for run in [failed, cancelled] {
        let played = it.sessions(&["replay", &run]);
        assert_eq!(played.code, Some(0), "{}\n{}", played.err, it.sessions(&["show", &run]).out);
        assert!(played.out.contains("+    xs.iter().fold(0, |sum, x| sum + x)"), "{}", played.out);
    }
}

/// Recordings kept from the first version of the format on: what was recorded once stays playable, and comes to the
/// same edits whatever has become of the agent since.
#[test]
fn recordings_that_were_kept_are_played_again_with_the_same_edits() {
    let kept = [
        ("run-conflict", include_str!("../fixtures/sessions/run-conflict.jsonl"), 1),
        ("run-stale", include_str!("../fixtures/sessions/run-stale.jsonl"), 2),
        // What the model of `ropeway demo` says is taken from this one.
        ("run-6b0e484d-6f9e-1", include_str!("../../../src/cli/demo/run.jsonl"), 3),
    ];
    for (run, records, changes) in kept {
        let state = tempfile::tempdir().unwrap();
        let session = state.path().join("sessions/20260101T000000Z-1");
        std::fs::create_dir_all(&session).unwrap();
        std::fs::write(session.join(format!("{run}.0001.jsonl")), records).unwrap();
        let played = super::sessions(state.path(), &["replay", run]);
        assert_eq!(played.code, Some(0), "{run}: {}", played.err);
        assert!(played.err.contains("the same edits as recorded"), "{run}: {}", played.err);
        assert!(played.out.matches("\n@@ ").count() >= changes, "{run}: {}", played.out);
    }
}
