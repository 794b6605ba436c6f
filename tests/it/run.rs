//! `ropeway run` through the real program, against a scripted model: what it prints, what it writes, how it exits.

#![expect(clippy::disallowed_methods, reason = "the tests look at the files from outside")]

use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};

use crate::support::model::{Model, Turn};

/// A directory to work in, with a model.
struct Place {
    dir: tempfile::TempDir,
    model: Model,
}

struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Place {
    fn new() -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap(), model: Model::start() };
        std::fs::create_dir(place.dir.path().join("work")).unwrap();
        let url = place.model.openai_url();
        let config = format!(
            "model = \"test/m\"\n[providers.test]\nkind = \"openai\"\nbase_url = \"{url}\"\n[llm]\nmax_retries = 0\n"
        );
        std::fs::write(place.dir.path().join("config.toml"), config).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("work").join(name)
    }

    fn put(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    fn text(&self, name: &str) -> String {
        String::from_utf8(self.bytes(name)).unwrap()
    }

    fn start(&self, args: &[&str]) -> Child {
        let work = self.path("");
        self.program(&[&["run", "-C", work.to_str().unwrap()], args].concat())
    }

    fn program(&self, args: &[&str]) -> Child {
        Command::new(env!("CARGO_BIN_EXE_ropeway"))
            .args(args)
            .env_clear()
            .env("HOME", self.dir.path())
            .env("ROPEWAY_CONFIG", self.dir.path().join("config.toml"))
            .current_dir(self.dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    fn run(&self, args: &[&str]) -> Ran {
        self.start(args).wait_with_output().unwrap().into()
    }

    /// A run in which the model replaces `old` by `new` in a file and says so.
    fn edit(&self, name: &str, old: &str, new: &str) {
        self.model.script([edit(name, old, new), Turn::text("It is done.")]);
    }
}

fn edit(name: &str, old: &str, new: &str) -> Turn {
    Turn::calls([("edit_file", json!({"path": name, "old_string": old, "new_string": new}))])
}

fn utf16(text: &str) -> Vec<u8> {
    [0xFF, 0xFE].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect()
}

#[test]
fn the_answer_and_a_diff_are_printed_and_nothing_is_written() {
    let place = Place::new();
    place.put("a.txt", "one\ntwo\nthree\n");
    place.edit("a.txt", "two", "2");
    let ran = place.run(&["say 2"]);
    let expected = "It is done.\n\n--- a/a.txt\n+++ b/a.txt\n@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n";
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (Some(0), expected, ""));
    assert_eq!(place.text("a.txt"), "one\ntwo\nthree\n");
    let request = &place.model.requests()[0];
    assert!(request.last_message().contains("say 2"), "{}", request.last_message());
}

#[test]
fn the_tools_are_offered_in_the_same_bytes_in_every_turn_of_every_process() {
    #[derive(serde::Deserialize)]
    struct Body<'a> {
        #[serde(borrow)]
        tools: &'a serde_json::value::RawValue,
    }
    let place = Place::new();
    place.put("a.txt", "one\n");
    for _ in 0..2 {
        let look = || Turn::calls([("read_file", json!({"path": "a.txt"})), ("grep", json!({"pattern": "one"}))]);
        place.model.script([look(), look(), Turn::text("Seen.")]);
        assert_eq!(place.run(&["look"]).code, Some(0));
    }
    let requests = place.model.requests();
    let tools = requests.iter().map(|request| serde_json::from_slice::<Body<'_>>(&request.bytes).unwrap().tools.get());
    let tools: Vec<&str> = tools.collect();
    assert_eq!(tools.len(), 6);
    assert!(tools[0].contains("read_file"));
    assert!(tools.iter().all(|offered| *offered == tools[0]), "a prompt cache lives on equal bytes");
}

#[test]
fn with_apply_the_files_are_written_and_stay_what_they_were() {
    let place = Place::new();
    place.put("crlf.txt", "one\r\ntwo\r\nthree");
    place.put("wide.txt", utf16("eins\nzwei\n"));
    place.put("tool.sh", "#!/bin/sh\necho old\n");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(place.path("tool.sh"), std::fs::Permissions::from_mode(0o750)).unwrap();
    }
    place.model.script([
        Turn::calls([
            ("edit_file", json!({"path": "crlf.txt", "old_string": "two", "new_string": "2\nand"})),
            ("edit_file", json!({"path": "wide.txt", "old_string": "zwei", "new_string": "zwölf 😀"})),
            ("edit_file", json!({"path": "tool.sh", "old_string": "old", "new_string": "new"})),
            ("create_file", json!({"path": "new/file.txt", "text": "made\n"})),
        ]),
        Turn::text("Done."),
    ]);
    let ran = place.run(&["--apply", "count"]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{}", ran.out);
    assert!(ran.out.contains("+zwölf 😀") && ran.out.contains("+++ b/new/file.txt"), "{}", ran.out);
    assert_eq!(place.text("crlf.txt"), "one\r\n2\r\nand\r\nthree");
    assert_eq!(place.bytes("wide.txt"), utf16("eins\nzwölf 😀\n"));
    assert_eq!(place.text("tool.sh"), "#!/bin/sh\necho new\n");
    assert_eq!(place.text("new/file.txt"), "made\n");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(place.path("tool.sh").metadata().unwrap().permissions().mode() & 0o777, 0o750);
    }
    let mut names: Vec<_> =
        std::fs::read_dir(place.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["crlf.txt", "new", "tool.sh", "wide.txt"], "nothing else is left there");
}

#[test]
fn the_outcome_is_printed_for_machines() {
    for (args, status, after) in
        [(&["--json", "x"][..], "proposed", "one\n"), (&["--json", "--apply", "x"], "applied", "1\n")]
    {
        let place = Place::new();
        place.put("a.txt", "one\n");
        place.edit("a.txt", "one", "1");
        let ran = place.run(args);
        let outcome: Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        assert_eq!(outcome["status"], status, "{outcome}");
        assert_eq!(outcome["answer"], "It is done.");
        assert_eq!(outcome["steps"], 2);
        assert_eq!(outcome["files"][0]["edits"], 1, "{outcome}");
        assert_eq!(place.text("a.txt"), after);
    }
}

#[test]
fn what_became_of_it_is_listed_and_what_it_spent_is_kept() {
    let place = Place::new();
    place.put("a.txt", "one\n");
    let list = || Ran::from(place.program(&["sessions", "list"]).wait_with_output().unwrap()).out;
    let mut spent = 0;
    for (args, fate) in [(&["--json", "x"][..], " proposed "), (&["--json", "--apply", "x"], " accepted ")] {
        place.edit("a.txt", "one", "1");
        let outcome: Value = serde_json::from_str(&place.run(args).out).unwrap();
        spent += outcome["usage"]["inputTokens"].as_u64().unwrap();
        assert!(list().contains(fate), "{}", list());
    }
    let book = std::fs::read(place.dir.path().join(".local/state/ropeway/spending.json")).unwrap();
    let book: Value = serde_json::from_slice(&book).unwrap();
    let day = book["days"].as_object().unwrap().values().next().unwrap();
    assert!(spent > 0 && day["inputTokens"] == spent, "{spent}: {book}");
}

#[test]
fn an_answer_without_edits_is_printed_alone() {
    let place = Place::new();
    place.put("a.txt", "one\ntwo\nthree\nfour\n");
    place.model.script([Turn::text("It counts.")]);
    let ran = place.run(&["--action", "explain", "--at", "a.txt:2-3"]);
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (Some(0), "It counts.\n", ""));
    let asked = place.model.requests()[0].last_message();
    assert!(asked.contains("lines 2 to 3 are selected"), "{asked}");
}

#[test]
fn the_prompt_can_come_from_standard_input() {
    let place = Place::new();
    place.model.script([Turn::text("Yes.")]);
    let mut child = place.start(&["-"]);
    child.stdin.take().unwrap().write_all("is this käse?".as_bytes()).unwrap();
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), "Yes.\n"), "{}", ran.err);
    assert!(place.model.requests()[0].last_message().contains("is this käse?"));
}

#[test]
fn a_problem_given_in_words_is_fixed_like_one_of_an_editor() {
    let place = Place::new();
    place.put("a.txt", "one\ntwo\n");
    place.edit("a.txt", "two", "2");
    let ran = place.run(&["--action", "fix", "--at", "a.txt:2", "two is misspelt"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let asked = place.model.requests()[0].last_message();
    assert!(asked.contains("a.txt:2") && asked.contains("two is misspelt"), "{asked}");
}

#[test]
fn what_cannot_be_understood_exits_with_2() {
    let place = Place::new();
    place.put("a.txt", "one\n");
    for (args, why) in [
        (&[][..], "say what is to be done"),
        (&["  "], "say what is to be done"),
        (&["--action", "nonsense", "x"], "there is no action `nonsense`"),
        (&["--at", "b.txt", "x"], "`b.txt` is not a file"),
        (&["--at", "../config.toml", "x"], "config.toml"),
        (&["--at", "a.txt:0", "x"], "--at a.txt:10"),
        (&["--action", "refactor"], "uri"),
        (&["--nonsense"], "--nonsense"),
    ] {
        let ran = place.run(args);
        assert_eq!(ran.code, Some(2), "{args:?}: {}", ran.err);
        assert!(ran.err.contains(why), "{args:?}: {}", ran.err);
        assert_eq!(ran.out, "", "{args:?}");
    }
    assert_eq!(place.model.requests().len(), 0);
}

#[test]
fn a_failed_run_says_why_and_what_to_do() {
    let place = Place::new();
    place.model.script([Turn::failure(401, &[], r#"{"error": {"message": "bad key"}}"#)]);
    let ran = place.run(&["x"]);
    assert_eq!(ran.code, Some(1));
    assert_eq!(ran.out, "");
    assert!(ran.err.contains("bad key") && ran.err.contains("hint: "), "{}", ran.err);

    let ran = place.run(&["--json", "--model", "nobody/nothing", "x"]);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    let outcome: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&outcome["status"], &outcome["error"]["code"]), (&json!("failed"), &json!("config")), "{outcome}");
}

#[test]
fn what_someone_else_changed_meanwhile_is_kept() {
    let place = Place::new();
    place.put("a.txt", "one\ntwo\nthree\nfour\nfive\n");
    place.model.script([edit("a.txt", "five", "5")]);
    let child = place.start(&["--apply", "--json", "x"]);
    let (request, reply) = place.model.expect_blocking();
    place.put("a.txt", "one\nTWO\nthree\nfour\nfive\n");
    reply.play(&Turn::text("Done."), &request);
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!(ran.code, Some(0), "{} {}", ran.out, ran.err);
    assert_eq!(place.text("a.txt"), "one\nTWO\nthree\nfour\n5\n");
}

#[test]
fn where_someone_else_changed_the_same_text_theirs_stays_and_the_run_fails() {
    let place = Place::new();
    place.put("a.txt", "one\ntwo\n");
    place.model.script([edit("a.txt", "two", "2")]);
    let child = place.start(&["--apply", "--json", "x"]);
    let (request, reply) = place.model.expect_blocking();
    place.put("a.txt", "one\ndeux\n");
    reply.play(&Turn::text("Done."), &request);
    let ran = Ran::from(child.wait_with_output().unwrap());
    let outcome: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((ran.code, &outcome["status"]), (Some(1), &json!("conflict")), "{outcome} {}", ran.err);
    assert_eq!(place.text("a.txt"), "one\ndeux\n");
}

#[cfg(unix)]
#[test]
fn an_interrupt_cancels_the_run_and_nothing_is_written() {
    let place = Place::new();
    place.put("a.txt", "one\n");
    place.model.script([edit("a.txt", "one", "1")]);
    let child = place.start(&["--apply", "x"]);
    // The edit is staged and the model is asked again: the run is in its middle.
    let (_, _reply) = place.model.expect_blocking();
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!(ran.code, Some(130), "{}", ran.err);
    assert!(ran.err.contains("cancelled; nothing was written"), "{}", ran.err);
    assert_eq!(place.text("a.txt"), "one\n");
}
