//! Recordings that somebody else wrote: nothing outside their copy is touched, nothing they hold drives a terminal, and
//! nothing in them brings the program down.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{Ran, sessions};

const SESSION: &str = "20260101T000000Z-1";
const RUN: &str = "run-evil-1";
const THREAD: &str = "thread-evil-1";

/// A state directory with one session of one run, whose records these are.
struct Forged {
    state: tempfile::TempDir,
    lines: Vec<Vec<u8>>,
}

impl Forged {
    fn new() -> Self {
        let state = tempfile::tempdir().unwrap();
        let it = Self { state, lines: Vec::new() };
        std::fs::create_dir_all(it.folder()).unwrap();
        let head = |seq: u64, kind: &str, data: Value| {
            json!({"v": 1, "seq": seq, "t": seq, "run": RUN, "thread": THREAD, "kind": kind, "data": data}).to_string()
        };
        let list = [
            head(1, "session", session()),
            head(
                2,
                "run",
                json!({"action": "task", "title": "a\u{1b}[31m title\n\r\u{7}", "model": "m\u{202e}x", "prompt": "x"}),
            ),
            head(3, "ended", json!({"status": "app\u{1b}lied", "files": ["file:///x"]})),
        ];
        std::fs::write(it.folder().join("session.0001.jsonl"), list.join("\n") + "\n").unwrap();
        it
    }

    fn folder(&self) -> PathBuf {
        self.state.path().join("sessions").join(SESSION)
    }

    fn add(&mut self, kind: &str, data: Value) {
        let seq = self.lines.len() + 1;
        let record = json!({"v": 1, "seq": seq, "t": seq, "run": RUN, "thread": THREAD, "kind": kind, "data": data});
        self.lines.push(record.to_string().into_bytes());
    }

    fn raw(&mut self, line: &[u8]) {
        self.lines.push(line.to_vec());
    }

    /// The beginning of a run.
    fn started(&mut self) {
        self.add("session", session());
        let roots = json!([{"name": "", "path": "/nonexistent/folder"}]);
        self.add("started", json!({"action": "task", "title": "t", "prompt": "p", "model": "p/m", "roots": roots}));
    }

    fn text(&mut self, text: &str) -> String {
        let id = ropeway::trajectory::record::TextId::of(text);
        self.add("text", json!({"hash": id.as_str(), "text": text, "bytes": text.len()}));
        id.as_str().to_owned()
    }

    fn file(&mut self, path: &str, text: &str) {
        let id = self.text(text);
        self.add("file", json!({"path": path, "uri": "file:///x", "source": "disk", "text": id}));
    }

    /// The model calls one tool that gave this.
    fn called(&mut self, id: &str, tool: &str, arguments: &Value, ran: bool) {
        let arguments = arguments.to_string();
        let calls = json!([{"id": id, "name": tool, "arguments": arguments}]);
        self.add(
            "response",
            json!({"step": 1, "turn": {"origin": "p/m", "text": "", "calls": calls}, "stop": "toolCalls"}),
        );
        self.add(
            "toolStarted",
            json!({"call": id, "tool": tool, "summary": "s", "arguments": arguments, "batch": 1,
            "waitedUs": 0, "beside": 1}),
        );
        let mut finished =
            json!({"call": id, "tool": tool, "summary": "s", "batch": 1, "waitedUs": 0, "result": "done"});
        if ran {
            finished["ranUs"] = 1.into();
        }
        self.add("toolFinished", finished);
    }

    fn ended(&mut self, status: &str) {
        self.add("response", json!({"step": 2, "turn": {"origin": "p/m", "text": "Done."}, "stop": "endTurn"}));
        self.add("finished", json!({"outcome": {"status": status, "files": []}}));
    }

    fn write(&self) {
        let mut all = self.lines.join(&b"\n"[..]);
        all.push(b'\n');
        std::fs::write(self.folder().join(format!("{RUN}.0001.jsonl")), all).unwrap();
    }

    fn run(&self, command: &str) -> Ran {
        self.write();
        let mut args = vec![command];
        args.extend((command != "list").then_some(RUN));
        sessions(self.state.path(), &args)
    }
}

fn session() -> Value {
    json!({"id": SESSION, "schema": 1, "version": "0", "pid": 1, "startedUnixUs": 1_767_225_600_000_000_u64, "part": 1,
        "roots": [{"name": "", "path": "/nonexistent/folder"}]})
}

fn refused(ran: &Ran, why: &str) {
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{}", ran.err);
    assert!(ran.err.contains(why), "{}", ran.err);
}

fn files(below: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = std::fs::read_dir(below).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

#[test]
fn paths_that_lead_out_of_the_folder_are_refused_and_nothing_is_written() {
    let outside = tempfile::tempdir().unwrap();
    let there = outside.path().join("there.txt");
    let climbing = format!("../../../../../../../../../..{}", there.display());
    for path in [there.to_str().unwrap(), &climbing, &format!("file://{}", there.display()), "..", "a/../../b", "a\0b"]
    {
        let mut forged = Forged::new();
        forged.started();
        forged.file(path, "x");
        forged.ended("answered");
        refused(&forged.run("replay"), "outside its workspace");

        let mut forged = Forged::new();
        forged.started();
        forged.called("c1", "run_command", &json!({"command": "true"}), true);
        let base = forged.text("");
        forged.add(
            "staged",
            json!({"path": path, "uri": "file:///x", "op": "created", "base": base,
            "edits": [{"start": 0, "end": 0, "text": "evil"}]}),
        );
        forged.ended("applied");
        let ran = forged.run("replay");
        assert_eq!(ran.code, Some(1), "{}", ran.err);
        assert!(ran.err.contains("outside its workspace"), "{}", ran.err);
        assert_eq!(files(outside.path()), Vec::<PathBuf>::new());
    }
}

#[test]
fn tools_that_run_again_stay_in_the_copy() {
    let outside = tempfile::tempdir().unwrap();
    let there = outside.path().join("there.txt");
    let mut forged = Forged::new();
    forged.started();
    forged.called("c1", "create_file", &json!({"path": there, "text": "evil"}), true);
    forged.called("c2", "run_command", &json!({"command": format!("touch {}", there.display())}), true);
    forged.ended("applied");
    let ran = forged.run("replay");
    assert_eq!(ran.code, Some(1), "it cannot be the same: {}", ran.err);
    assert_eq!(files(outside.path()), Vec::<PathBuf>::new());
}

#[test]
fn edits_that_do_not_fit_are_told() {
    for edits in [
        json!([{"start": 5, "end": 2, "text": "x"}]),
        json!([{"start": 0, "end": 999_999, "text": "x"}]),
        json!([{"start": 1, "end": 1, "text": "x"}]),
        json!([{"start": 0, "end": 3, "text": "x"}, {"start": 1, "end": 2, "text": "y"}]),
        json!([{"start": u64::MAX, "end": u64::MAX, "text": "x"}]),
    ] {
        let mut forged = Forged::new();
        forged.started();
        forged.file("a.txt", "😀\n");
        let base = forged.text("");
        forged.called("c1", "run_command", &json!({"command": "true"}), true);
        forged
            .add("staged", json!({"path": "a.txt", "uri": "file:///x", "op": "edited", "base": base, "edits": edits}));
        forged.add("typed", json!({"path": "a.txt", "uri": "file:///x", "edits": edits}));
        forged.ended("applied");
        assert_eq!(forged.run("replay").code, Some(1));
        assert_eq!(forged.run("show").code, Some(0));
    }
}

#[test]
fn control_characters_are_shown_as_signs() {
    let mut forged = Forged::new();
    forged.add("session", session());
    let evil = "\u{1b}]52;c;aGk=\u{7}\u{1b}[2J\u{9b}31m\r\u{202e}\u{7f}";
    forged.add(
        "started",
        json!({"action": evil, "title": evil, "prompt": evil, "model": evil,
        "diagnostics": [{"message": evil}]}),
    );
    forged.add("approval", json!({"message": evil, "answer": evil}));
    forged.add("retry", json!({"attempt": 1, "waitUs": 1, "why": evil}));
    forged.called(evil, evil, &json!({"path": evil}), true);
    forged.add("staged", json!({"path": evil, "uri": evil, "op": "renamed", "from": evil, "base": "x", "edits": []}));
    forged.add("gap", json!({"lost": u64::MAX, "bytes": 1, "why": evil}));
    forged.add("dropped", json!({"of": evil, "bytes": 1}));
    forged.add("delivery", json!({"what": evil, "fate": evil, "why": evil, "paths": [evil], "tookUs": u64::MAX}));
    let (before, after) = (forged.text(evil), forged.text("x"));
    forged.add(
        "proposal",
        json!({"files": [{"path": evil, "uri": evil, "op": "edited", "before": before, "after": after}]}),
    );
    forged.add(
        "finished",
        json!({"outcome": {"status": evil, "answer": evil, "error": {"message": evil},
        "files": [{"uri": evil, "edits": 1}]}}),
    );
    for command in ["list", "show", "replay"] {
        let ran = forged.run(command);
        for text in [&ran.out, &ran.err] {
            let acts = |ch: char| (ch.is_control() && ch != '\n') || ch == '\u{202e}';
            assert!(!text.contains(acts), "{command}: {text:?}");
        }
    }
    assert!(forged.run("show").out.contains("␛]52;c"));
    let exported = forged.run("export");
    assert!(serde_json::from_str::<Value>(&exported.out).is_ok(), "JSON escapes them itself: {}", exported.out);
}

#[test]
fn what_is_no_record_and_what_is_too_long_is_passed_over() {
    let mut forged = Forged::new();
    forged.raw(b"\xff\xfe\x00not utf-8");
    forged.started();
    forged.raw(&b"[".repeat(200_000));
    forged.raw(
        &[&b"{\"v\":1,\"seq\":9,\"t\":1,\"kind\":\"text\",\"data\":{\"text\":\""[..], &b"x".repeat(70 << 20), b"\"}}"]
            .concat(),
    );
    forged.add("started", json!("no object"));
    forged.add("nonsense", json!({"deep": [[[[[[]]]]]]}));
    forged.raw(br#"{"v":99,"seq":18446744073709551615,"t":18446744073709551615,"kind":"typed","data":{}}"#);
    forged.raw(b"");
    forged.ended("answered");
    let shown = forged.run("show");
    assert_eq!(shown.code, Some(0), "{}", shown.err);
    assert!(
        shown.out.contains("[damaged: ") && shown.out.contains("Done."),
        "{}",
        &shown.out[..shown.out.len().min(2000)]
    );
    let played = forged.run("replay");
    assert_eq!(played.code, Some(0), "{}", played.err);
    assert!(played.err.contains("places of the recording are damaged"), "{}", played.err);
    let exported = forged.run("export");
    assert!(serde_json::from_str::<Value>(&exported.out).is_ok());
}

#[test]
fn messages_that_refer_to_each_other_in_circles_end() {
    let mut forged = Forged::new();
    forged.started();
    let request = |add: Value, keep: u64| {
        json!({"step": 1, "model": "p/m", "system": "x", "tools": "x", "maxOutput": 1,
            "messages": {"keep": keep, "add": add}})
    };
    forged.add("request", request(json!([{"ref": 0}, {"ref": 1}, {"ref": u64::MAX}]), 0));
    forged.add("request", request(json!([{"user": "x"}, {"ref": 0}, {"ref": 0}]), u64::from(u32::MAX)));
    forged.add("request", request(json!([{"results": [{"call": "c", "name": "n"}]}]), 2));
    // Twice the same calls, calls that never began, results of none.
    forged.called("c1", "edit_file", &json!({"path": "a.txt", "old_string": "a", "new_string": "b"}), true);
    forged.called("c1", "edit_file", &json!({"path": "a.txt", "old_string": "a", "new_string": "b"}), true);
    forged.add(
        "toolFinished",
        json!({"call": "c9", "tool": "t", "summary": "", "batch": 1, "waitedUs": 0, "result": ""}),
    );
    forged.add("sent", json!({"path": "a.txt", "uri": "x", "op": "edited", "edits": []}));
    forged.ended("applied");
    assert_eq!(forged.run("show").code, Some(0));
    assert_eq!(forged.run("replay").code, Some(1));

    // A server meets it as the past of a folder of its own.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().canonicalize().unwrap();
    for name in ["session.0001.jsonl", &format!("{RUN}.0001.jsonl")] {
        let file = forged.folder().join(name);
        let here = std::fs::read_to_string(&file).unwrap().replace("/nonexistent/folder", path.to_str().unwrap());
        std::fs::write(file, here).unwrap();
    }
    let model = crate::support::model::Model::start();
    model.script([crate::support::model::Turn::text("Hello.")]);
    let setup = crate::support::editor::Setup::in_folder(&path);
    let settings = json!({"recording": {"dir": forged.state.path()}});
    let mut editor = crate::support::agent::agent(setup, &model, &settings).start();
    assert_eq!(editor.command("ropeway.threads", json!({}))[0]["threadId"], THREAD);
    let outcome =
        editor.command("ropeway.run", json!({"action": "task", "prompt": "go on", "thread": THREAD, "wait": true}));
    assert_eq!(outcome["status"], "answered", "{outcome}");
    editor.messages.clear();
}

#[test]
fn names_that_are_no_names_and_links_are_not_followed() {
    let forged = Forged::new();
    forged.write();
    for id in ["../run-evil-1", "/etc/passwd", "", "run-evil-1.0001", "\u{1b}[31m"] {
        for command in ["show", "export", "replay"] {
            let ran = sessions(forged.state.path(), &[command, id]);
            assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{id:?}: {}", ran.err);
            assert!(!ran.err.contains('\x1b'), "{:?}", ran.err);
        }
    }
    #[cfg(unix)]
    {
        let secret = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(secret.path(), "a secret\n").unwrap();
        let file = forged.folder().join(format!("{RUN}.0001.jsonl"));
        std::fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink(secret.path(), &file).unwrap();
        for command in ["list", "show", "export", "replay"] {
            let args = [command, RUN];
            let ran = sessions(forged.state.path(), if command == "list" { &args[..1] } else { &args });
            assert!(!ran.out.contains("a secret") && !ran.err.contains("a secret"), "{}{}", ran.out, ran.err);
        }
    }
}
