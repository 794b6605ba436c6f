//! A thousand ways in which a user and a run get in each other's way.
//!
//! The user types words that nobody else uses and never deletes; so every one of them must be in the buffer at the
//! end, once. The run's words must be there too, or be named in a conflict. A second property compares with a merge
//! line by line that is plain to see.

use proptest::prelude::*;
use ropeway::text::{EditSet, Text, diff};
use ropeway::workspace::{DeliveryOp, Landing};

use super::desk::{Buffer, Desk};

#[derive(Clone, Debug)]
enum Step {
    /// The user inserts a word; the place is a share of the text.
    Type(u16),
    /// The user inserts a line.
    TypeLine(u16),
    /// The run replaces a line by a word of its own, or by two lines.
    Replace(u16, bool),
    /// The run puts a line in.
    Insert(u16),
    /// The run edits the text as it was at its last reading.
    Late(u16),
    /// A delivery that the editor takes, told in one of three ways.
    Deliver(u8),
    /// A delivery overtaken by a keystroke, so that the editor refuses it.
    Overtaken(u16),
    /// A delivery that lands together with a keystroke.
    Together(u16),
    /// The document is closed without saving and opened again: what was not saved is gone.
    Reread,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => any::<u16>().prop_map(Step::Type),
        2 => any::<u16>().prop_map(Step::TypeLine),
        3 => (any::<u16>(), any::<bool>()).prop_map(|(at, two)| Step::Replace(at, two)),
        2 => any::<u16>().prop_map(Step::Insert),
        2 => any::<u16>().prop_map(Step::Late),
        2 => any::<u8>().prop_map(Step::Deliver),
        1 => any::<u16>().prop_map(Step::Overtaken),
        1 => any::<u16>().prop_map(Step::Together),
        1 => Just(Step::Reread),
    ]
}

struct Scene {
    desk: Desk,
    buffer: Buffer,
    words: usize,
    typed: Vec<String>,
    staged: Vec<String>,
    view: ropeway::workspace::FileView,
}

impl Scene {
    fn new(lines: usize, end: &str) -> Self {
        let text: String = (0..lines).map(|line| format!("line {line} of the text{end}")).collect();
        let (desk, buffer) = Desk::with_open(&text);
        let view = desk.read("a.rs");
        Self { desk, buffer, words: 0, typed: Vec::new(), staged: Vec::new(), view }
    }

    fn word(&mut self, kind: &str) -> String {
        self.words += 1;
        format!("{kind}{}z", self.words)
    }

    /// A place between two words, so that no word of ours or theirs is torn.
    fn gap(text: &Text, share: u16) -> usize {
        let text = text.to_string();
        let gaps: Vec<_> = text.char_indices().filter(|(_, ch)| *ch == ' ').map(|(at, _)| at).collect();
        if gaps.is_empty() { 0 } else { gaps[usize::from(share) % gaps.len()] }
    }

    fn type_word(&mut self, share: u16) {
        let word = self.word("user");
        let at = Self::gap(&self.buffer.text, share);
        self.buffer.splice(at..at, &format!(" {word}"));
        self.typed.push(word);
    }

    /// An edit of one line of `text`, marked by a word of the run.
    fn line_edit(&mut self, text: &Text, share: u16, replace: bool, two: bool) -> EditSet {
        let line = usize::from(share) % text.lines();
        let range = text.line_range(line);
        let (word, more) = (self.word("run"), self.word("run"));
        let new = match (replace, two) {
            (true, false) => format!("{word} instead"),
            (true, true) => format!("{word} instead\nand {more} too"),
            (false, _) => format!("{word} before\n"),
        };
        let range = if replace { range } else { range.start..range.start };
        EditSet::replace(text.len(), range, new).unwrap()
    }

    fn stage(&mut self, edits: EditSet, late: bool) {
        let view = if late { self.view.clone() } else { self.desk.read("a.rs") };
        if self.desk.ws.stage_edit(&self.desk.run, &view, edits.clone()).is_ok() {
            let words = edits.edits().iter().flat_map(|edit| edit.text.split_whitespace());
            self.staged.extend(words.filter(|word| word.starts_with("run")).map(str::to_owned));
            self.view = self.desk.read("a.rs");
        }
        // What it replaced of its own is no longer wanted.
        let wanted = self.desk.sees("a.rs");
        self.staged.retain(|word| wanted.contains(word.as_str()));
    }

    fn deliver(&mut self, how: u8) {
        let Some(delivery) = self.desk.ws.deliveries(&self.desk.run).pop() else { return };
        assert!(self.desk.ws.sent(&self.desk.run, &delivery));
        let DeliveryOp::Edit { edits, .. } = &delivery.op else { panic!() };
        match how % 3 {
            0 => assert!(self.buffer.take(&delivery)),
            1 => self.buffer.take_as_one(&delivery),
            _ => edits.edits().iter().rev().for_each(|edit| self.buffer.splice(edit.range.clone(), &edit.text)),
        }
        assert_eq!(self.desk.landed("a.rs"), Landing::Landed);
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Type(share) => self.type_word(share),
            Step::TypeLine(share) => {
                let word = self.word("user");
                let line = usize::from(share) % self.buffer.text.lines();
                let at = self.buffer.text.line_start(line);
                self.buffer.splice(at..at, &format!("{word} \n"));
                self.typed.push(word);
            }
            Step::Replace(share, two) => {
                let text = self.desk.read("a.rs").text;
                let edits = self.line_edit(&text, share, true, two);
                self.stage_unless_it_deletes_typing(edits, &text, false);
            }
            Step::Insert(share) => {
                let text = self.desk.read("a.rs").text;
                let edits = self.line_edit(&text, share, false, false);
                self.stage(edits, false);
            }
            Step::Late(share) => {
                let text = self.view.text.clone();
                let edits = self.line_edit(&text, share, true, false);
                self.stage_unless_it_deletes_typing(edits, &text, true);
            }
            Step::Deliver(how) => self.deliver(how),
            Step::Overtaken(share) => {
                let Some(delivery) = self.desk.ws.deliveries(&self.desk.run).pop() else { return };
                assert!(self.desk.ws.sent(&self.desk.run, &delivery));
                self.type_word(share);
                assert!(!self.buffer.take(&delivery));
                assert_ne!(self.desk.landed("a.rs"), Landing::Landed);
                self.desk.ws.refused(&self.desk.run, &self.desk.path("a.rs"));
            }
            Step::Together(share) => self.together(share),
            Step::Reread => {
                let text = self.buffer.text.to_string();
                self.desk.put("a.rs", &text);
                self.desk.ws.saved(&self.buffer.uri);
                self.desk.ws.close(&self.buffer.uri);
                self.desk.sees("a.rs");
                self.buffer = self.desk.open("a.rs");
            }
        }
        assert_eq!(self.desk.ws.document(&self.buffer.uri).unwrap().text, self.buffer.text);
    }

    /// The user's own words are the user's to delete: an edit that would is not what is looked at here.
    fn stage_unless_it_deletes_typing(&mut self, edits: EditSet, text: &Text, late: bool) {
        if edits.edits().iter().any(|edit| text.slice(edit.range.clone()).contains("user")) {
            return;
        }
        self.stage(edits, late);
    }

    fn together(&mut self, share: u16) {
        let Some(delivery) = self.desk.ws.deliveries(&self.desk.run).pop() else { return };
        assert!(self.desk.ws.sent(&self.desk.run, &delivery));
        let DeliveryOp::Edit { expected, .. } = &delivery.op else { panic!() };
        let word = self.word("user");
        let at = Self::gap(expected, share);
        let after = EditSet::replace(expected.len(), at..at, format!(" {word}")).unwrap().apply(expected).unwrap();
        self.buffer.send(&[diff::lines(&self.buffer.text, &after)]);
        self.typed.push(word);
        assert_eq!(self.desk.landed("a.rs"), Landing::Landed);
    }

    fn check(mut self) {
        self.deliver(0);
        let text = self.buffer.text.to_string();
        let times = |word: &str| text.matches(word).count();
        for word in &self.typed {
            assert_eq!(times(word), 1, "the user's {word} in {text}");
        }
        let conflicts = self.desk.conflicts();
        for word in &self.staged {
            let dropped = conflicts.iter().any(|(_, _, ours, _)| ours.contains(word.as_str()));
            assert!(times(word) == 1 || (times(word) == 0 && dropped), "the run's {word} in {text}, {conflicts:?}");
        }
        assert!(self.desk.ws.deliveries(&self.desk.run).is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, max_shrink_iters: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_word_is_lost_however_typing_and_staging_interleave(
        lines in 1usize..8,
        crlf in any::<bool>(),
        steps in prop::collection::vec(step(), 1..14),
    ) {
        let mut scene = Scene::new(lines, if crlf { "\r\n" } else { "\n" });
        for step in &steps {
            scene.take(step);
        }
        scene.check();
    }

    #[test]
    fn changes_of_different_lines_merge_as_if_nobody_had_been_in_the_way(
        lines in prop::collection::vec(0u8..3, 4..16),
        order in prop::collection::vec(any::<bool>(), 16),
    ) {
        // 0: nobody, 1: the user, 2: the run; with a line between them that nobody changes.
        let base: String = (0..lines.len()).map(|line| format!("line {line}\nkept {line}\n")).collect();
        let (desk, mut buffer) = Desk::with_open(&base);
        let mut merged = base;
        for (line, who) in lines.iter().enumerate() {
            let (from, to) = (format!("line {line}\n"), format!("line {line}, {who}\nmore {who}\n"));
            match who {
                1 => buffer.type_over(&from, &to),
                2 => drop(desk.replace("a.rs", &from, &to)),
                _ => continue,
            }
            merged = merged.replace(&from, &to);
            if order[line] && let Some(delivery) = desk.ws.deliveries(&desk.run).pop() {
                assert!(desk.ws.sent(&desk.run, &delivery) && buffer.take(&delivery));
            }
        }
        prop_assert_eq!(&desk.sees("a.rs"), &merged);
        if let Some(delivery) = desk.ws.deliveries(&desk.run).pop() {
            assert!(desk.ws.sent(&desk.run, &delivery) && buffer.take(&delivery));
        }
        prop_assert_eq!(buffer.text.to_string(), merged);
        prop_assert_eq!(desk.conflicts(), Vec::new());
        // And back: the user's part alone is left.
        if let Some(delivery) = desk.ws.undo(&desk.run).pop() {
            assert!(desk.ws.sent(&desk.run, &delivery) && buffer.take(&delivery));
        }
        let left = buffer.text.to_string();
        for (line, who) in lines.iter().enumerate() {
            prop_assert_eq!(left.contains(&format!("line {line}\n")), *who != 1);
        }
        prop_assert!(!left.contains(", 2") && !left.contains("more 2"));
    }
}

#[test]
fn typing_and_staging_on_two_threads_lose_nothing() {
    let text: String = (0..60).map(|line| format!("line{line}! of the text\n")).collect();
    let (desk, mut buffer) = Desk::with_open(&text);
    let (ws, run, path) = (desk.ws.clone(), desk.run.clone(), desk.path("a.rs"));
    let stager = std::thread::spawn(move || {
        let mut staged = 0;
        for line in 0..60 {
            let view = ws.read(Some(&run), &path).unwrap();
            let seen = view.text.to_string();
            let from = format!("line{line}!");
            let at = seen.find(&from).unwrap();
            let edits = EditSet::replace(seen.len(), at..at + from.len(), format!("run{line}!")).unwrap();
            staged += usize::from(ws.stage_edit(&run, &view, edits).is_ok());
            for delivery in ws.deliveries(&run) {
                // Sent and refused, as if a keystroke had been faster each time.
                if ws.sent(&run, &delivery) {
                    ws.refused(&run, &path);
                }
            }
        }
        staged
    });
    let mut typed = 0;
    while !stager.is_finished() || typed < 300 {
        let at = Scene::gap(&buffer.text, (typed * 7) as u16);
        buffer.splice(at..at, &format!(" user{typed}z"));
        typed += 1;
    }
    let staged = stager.join().unwrap();
    if let Some(delivery) = desk.ws.deliveries(&desk.run).pop() {
        assert!(desk.ws.sent(&desk.run, &delivery) && buffer.take(&delivery));
    }
    let text = buffer.text.to_string();
    for word in 0..typed {
        assert_eq!(text.matches(&format!(" user{word}z")).count(), 1, "user{word}z");
    }
    // A clash drops a whole hunk, and neighbouring lines are one: the conflict then names all of them.
    let conflicts = desk.conflicts();
    let named = |edit: &str| conflicts.iter().any(|conflict| conflict.2.contains(edit));
    let there = (0..60).filter(|line| text.contains(&format!("run{line}!"))).count();
    let told = (0..60).filter(|line| named(&format!("run{line}!"))).count();
    let lost = |line: &i32| !text.contains(&format!("run{line}!")) && !named(&format!("run{line}!"));
    let lost: Vec<i32> = (0..60).filter(lost).collect();
    assert!(
        there <= staged && there + told >= staged,
        "{there} applied and {told} told of {staged}; neither: {lost:?}; conflicts: {conflicts:?}"
    );
}
