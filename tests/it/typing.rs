//! A user who types between any two messages of a run loses nothing: random interleavings against a count made here.

use std::cell::RefCell;
use std::rc::Rc;

use serde_json::{Value, json};

use super::support::agent::Bench;
use super::support::editor::{Applies, Editor};
use super::support::model::Turn;

/// Lines that the agent changes; none next to another, so that each is a hunk of its own.
const CHANGED: [usize; 3] = [2, 6, 10];

fn original(line: usize) -> String {
    format!("let value_{line:02} = compute(first, second); // größer 😀")
}

fn wanted(line: usize) -> String {
    original(line).replace("compute(first, second)", &format!("checked_{line}(second)?"))
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

/// The user: types marks that nobody else types, and takes some of them back.
struct User {
    random: Random,
    uri: String,
    next: usize,
    marks: Vec<String>,
    /// Times that typing made a request stale; a third time the server would give up, as the contract says.
    stale: usize,
    failed_calls: usize,
}

impl User {
    fn types(&mut self, editor: &mut Editor) {
        let text = editor.text(&self.uri).to_owned();
        if !self.marks.is_empty() && self.random.below(5) == 0 {
            let mark = self.marks.remove(self.random.below(self.marks.len()));
            let at = text.find(&mark).unwrap_or_else(|| panic!("{mark:?} is lost in {text:?}"));
            editor.replace(&self.uri, at..at + mark.len(), "");
            return;
        }
        let mut at = self.random.below(text.len() + 1);
        // Not inside a character, and not inside a mark: they are told apart by being whole.
        while !text.is_char_boundary(at) || text[..at].matches('«').count() != text[..at].matches('»').count() {
            at += 1;
        }
        self.next += 1;
        let middle = ["", "\n", "é", "😀"][self.random.below(4)];
        let mark = format!("«{middle}{}»", self.next);
        editor.type_at(&self.uri, at, &mark);
        self.marks.push(mark);
    }

    fn hears(&mut self, editor: &mut Editor, message: &Value) {
        let params = &message["params"];
        if params["kind"] == "toolFinished" && params.get("error").is_some() {
            self.failed_calls += 1;
        }
        if self.stale == 2 {
            return;
        }
        let mut asked = false;
        if message["method"] == "workspace/applyEdit" {
            let meant = params["edit"]["documentChanges"][0]["textDocument"]["version"].as_i64().unwrap();
            let late = i64::from(editor.version(&self.uri)) != meant;
            self.stale += usize::from(late);
            asked = !late;
        }
        if self.stale < 2 && self.random.below(3) == 0 {
            self.stale += usize::from(asked);
            self.types(editor);
        }
    }
}

fn rounds(applies: Applies, first_seed: u64, rounds: u64) {
    let mut bench = Bench::start(&[("keep.txt", "")], json!({}), |setup| setup.applies(applies));
    bench.editor.ignore("window/showMessage");
    let (mut applied, mut conflicts) = (0, 0);
    for round in 0..rounds {
        let text: String = (0..13).map(|line| original(line) + "\n").collect();
        let name = format!("round_{round}.rs");
        let uri = bench.editor.open(bench.path(&name), &text);
        let user = User {
            random: Random(first_seed + round),
            uri: uri.clone(),
            next: 0,
            marks: Vec::new(),
            stale: 0,
            failed_calls: 0,
        };
        let user = Rc::new(RefCell::new(user));
        let hears = user.clone();
        bench.editor.on_message(move |editor, message| hears.borrow_mut().hears(editor, message));
        let edits = CHANGED
            .map(|line| ("edit_file", json!({"path": name, "old_string": original(line), "new_string": wanted(line)})));
        bench.model.script([
            Turn::calls([("read_file", json!({"path": name}))]),
            Turn::calls(edits),
            Turn::text("Done."),
        ]);
        let run = bench.run(json!({"action": "task", "prompt": "change", "uri": uri}));
        let outcome = bench.finished(&run);
        let user = user.borrow();
        let seen = bench.editor.text(&uri).to_owned();

        let mut bare = seen.clone();
        for mark in &user.marks {
            assert_eq!(seen.matches(mark.as_str()).count(), 1, "round {round}: {mark:?} in {seen:?}");
            bare = bare.replace(mark, "");
        }
        let mut done = 0;
        for (line, found) in bare.lines().enumerate() {
            let changed = CHANGED.contains(&line) && found == wanted(line);
            assert!(changed || found == original(line), "round {round}: line {line} is {found:?}\n{outcome}");
            done += usize::from(changed);
        }
        assert_eq!(bare.lines().count(), 13, "round {round}: {seen:?}");
        let left_out: usize =
            outcome["files"].as_array().unwrap().iter().map(|file| file["conflicts"].as_array().unwrap().len()).sum();
        let sum = done + left_out + user.failed_calls;
        assert_eq!(sum, CHANGED.len(), "round {round}: {outcome}\n{seen}");
        match outcome["status"].as_str().unwrap() {
            "applied" => assert_eq!(left_out, 0),
            "conflict" => assert!(left_out > 0),
            "answered" | "unchanged" => assert_eq!(user.failed_calls, CHANGED.len()),
            other => panic!("round {round}: {other} {outcome}"),
        }
        applied += done;
        conflicts += left_out;
        bench.editor.close(&uri);
        // Nobody reads the events of this round any more.
        bench.editor.messages.clear();
    }
    assert!(applied > 100 && conflicts > 20, "the rounds try nothing: {applied} applied, {conflicts} left out");
}

#[test]
fn in_an_editor_like_vs_code_no_keystroke_is_lost_in_any_interleaving() {
    rounds(Applies::Transactional, 1, 700);
}

#[test]
fn in_an_editor_like_neovim_no_keystroke_is_lost_in_any_interleaving() {
    rounds(Applies::EachAlone, 1_000_000, 300);
}
