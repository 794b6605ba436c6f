//! Protected places through the real server: what the model is told, and what the editor is never sent.

#![expect(clippy::disallowed_methods, reason = "a test looks at the files itself")]

use serde_json::json;

use super::{CODE, mend, mended, text};
use crate::support::agent::Bench;
use crate::support::model::Turn;

const CONFIG: &str = "[core]\n\tbare = false\n";

const STORE: [(&str, &str); 5] = [
    (".git", "gitdir: store/repo\n"),
    ("store/repo/HEAD", "ref: refs/heads/main\n"),
    ("store/repo/config", CONFIG),
    ("store/repo/objects/info/x", ""),
    ("store/repo/refs/heads/x", ""),
];

#[test]
fn a_git_directory_kept_elsewhere_is_refused_on_disk_and_in_a_buffer() {
    let mut files = vec![("a.rs", CODE)];
    files.extend(STORE);
    let mut bench = Bench::with(&files);
    let config = bench.open("store/repo/config");
    let code = bench.open("a.rs");
    let edit = ("edit_file", json!({"path": "store/repo/config", "old_string": "bare", "new_string": "fsmonitor"}));
    let hook = ("create_file", json!({"path": "store/repo/hooks/post-checkout", "text": "#!/bin/sh\n"}));
    let onto = ("move_file", json!({"from": "a.rs", "to": "STORE/Repo/hooks/x"}));
    bench.model.script([Turn::calls([edit, hook, onto, mend("a.rs")]), Turn::text("Done.")]);
    let run = bench.task("configure");
    let outcome = bench.finished(&run);
    assert_eq!(outcome["status"], "applied", "{outcome}");
    let request = bench.model.requests().remove(1);
    for result in &request.messages()[3..6] {
        assert!(text(result).contains("never edited"), "{result}");
    }
    assert_eq!(bench.editor.text(&code), mended());
    assert_eq!(bench.editor.text(&config), CONFIG);
    assert!(!bench.path("store/repo/hooks").exists());
}

#[test]
fn a_folder_that_becomes_a_git_directory_after_staging_gets_nothing() {
    let mut bench = Bench::with(&[("store/repo/config", CONFIG), ("a.rs", CODE)]);
    let config = bench.open("store/repo/config");
    let code = bench.open("a.rs");
    let edit = ("edit_file", json!({"path": "store/repo/config", "old_string": "bare", "new_string": "fsmonitor"}));
    let hook = ("create_file", json!({"path": "store/repo/hooks/post-checkout", "text": "#!/bin/sh\n"}));
    let top = bench.folder.path().to_owned();
    let mut turns = vec![Turn::text("Done."), Turn::calls([edit, hook, mend("a.rs")])];
    bench.model.answer_with(move |_| {
        // Everything is staged by the time the model is asked again.
        if turns.len() == 1 {
            for (name, text) in STORE.into_iter().filter(|(name, _)| !name.ends_with("config")) {
                let path = top.join(name);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, text).unwrap();
            }
        }
        turns.pop()
    });
    let run = bench.task("configure");
    let outcome = bench.finished(&run);
    let request = bench.model.requests().remove(1);
    assert!(text(&request.messages()[3]).starts_with("edited"), "{}", request.messages()[3]);
    assert_eq!(bench.editor.text(&config), CONFIG, "{outcome}");
    assert!(!bench.path("store/repo/hooks").exists());
    assert_eq!(bench.editor.text(&code), mended(), "the rest goes on");
    assert!(outcome.to_string().contains("must not be changed"), "{outcome}");
    bench.editor.expect_notification("window/showMessage");
}

#[cfg(feature = "grammars")]
#[test]
fn each_edit_of_a_turn_says_in_its_own_result_what_it_broke() {
    let mut bench = Bench::with(&[("a.rs", CODE), ("b.rs", CODE), ("c.py", "def f():\n    pass\n")]);
    let several = |path: &str, second: &str| {
        (
            "edit_file",
            json!({"path": path, "edits": [
                {"old_string": "xs.iter()", "new_string": "xs.into_iter()"},
                {"old_string": "sum - x)", "new_string": second},
            ]}),
        )
    };
    let python = ("edit_file", json!({"path": "c.py", "old_string": "def f():", "new_string": "def f(:"}));
    let mending = ("edit_file", json!({"path": "c.py", "old_string": "def f(:", "new_string": "def f(x):"}));
    bench.model.script([
        Turn::calls([several("a.rs", "sum + x"), several("b.rs", "sum + x)"), python]),
        Turn::calls([mending]),
        Turn::text("Done."),
    ]);
    let run = bench.task("improve");
    let outcome = bench.finished(&run);
    assert_eq!(outcome["status"], "applied", "{outcome}");
    let requests = bench.model.requests();
    let results: Vec<_> = requests[2].messages().iter().filter(|message| message["role"] == "tool").map(text).collect();
    assert_eq!(results.len(), 4);
    assert!(results[0].contains("was whole Rust before, now has syntax errors"), "{}", results[0]);
    assert!(results[0].contains("line 2: `(` is not closed\n2\t"), "{}", results[0]);
    assert!(results[0].contains("sum + x\n"), "the broken text is shown: {}", results[0]);
    assert!(!results[1].contains("syntax"), "{}", results[1]);
    assert!(results[2].contains("line 1: `(` is not closed\n1\tdef f(:"), "{}", results[2]);
    assert!(!results[3].contains("syntax"), "an edit that mends needs no word: {}", results[3]);
}
