//! What reaches the model of the repository's own words and of its folders.

use serde_json::json;

use super::{CODE, mended, text};
use crate::support::agent::Bench;
use crate::support::editor::uri;
use crate::support::model::Turn;

const FILES: [(&str, &str); 4] = [
    ("AGENTS.md", "Root: use ta\u{200b}bs.\u{202e}\u{e0041}\n"),
    ("sub/AGENTS.md", "Sub: use spaces.\n"),
    ("other/AGENTS.md", "Other: not for this file.\n"),
    ("sub/a.rs", CODE),
];

/// The system prompt and the first message of a run on `sub/a.rs`.
fn first_words(trusted: bool) -> (String, String) {
    let mut bench = Bench::start(&FILES, json!({}), |mut setup| {
        setup.initialize["initializationOptions"]["trusted"] = trusted.into();
        setup
    });
    let uri = bench.open("sub/a.rs");
    bench.model.script([Turn::text("Seen.")]);
    let run = bench.run(json!({"action": "explain", "uri": uri}));
    bench.finished(&run);
    let request = bench.model.requests().remove(0);
    assert_eq!(request.messages().len(), 2);
    assert_eq!(request.messages()[0]["role"], "system");
    (text(&request.messages()[0]).to_owned(), text(&request.messages()[1]).to_owned())
}

#[test]
fn instructions_of_a_trusted_repository_reach_the_model_as_the_repositorys_words() {
    let (system, first) = first_words(true);
    assert!(!system.contains("use tabs") && !system.contains("use spaces"));
    let root = first.find("<repository_instructions path=\"AGENTS.md\">\nRoot: use tabs.\n</").expect(&first);
    let sub = first.find("<repository_instructions path=\"sub/AGENTS.md\">\nSub: use spaces.\n</").expect(&first);
    assert!(root < sub, "the nearest stands last");
    assert!(!first.contains("Other:"));
    assert!(!first.contains(['\u{200b}', '\u{202e}', '\u{e0041}']));
}

#[test]
fn instructions_of_a_repository_that_is_not_trusted_stay_away() {
    let (trusted, _) = first_words(true);
    let (system, first) = first_words(false);
    assert!(!first.contains("Root:") && !first.contains("Sub:") && first.contains("sum - x"), "{first}");
    assert_eq!(system, trusted, "the system prompt is the same bytes in every request");
}

#[test]
fn with_several_folders_paths_begin_with_a_folders_name() {
    let files = [("one/a.rs", CODE), ("two/a.rs", "// two\n"), ("three/c.rs", "// three\n")];
    let mut bench = Bench::start(&files, json!({}), |mut setup| {
        let folder = setup.initialize["workspaceFolders"][0]["uri"].as_str().unwrap().to_owned();
        let root = |name: &str| json!({"uri": format!("{folder}/{name}"), "name": name});
        setup.initialize["workspaceFolders"] = json!([root("one"), root("two")]);
        setup
    });
    let one = bench.open("one/a.rs");
    let read = |path: &str| ("read_file", json!({"path": path}));
    let edit = |path: &str| ("edit_file", json!({"path": path, "old_string": "sum - x", "new_string": "sum + x"}));
    let look = [read("one/a.rs"), read("two/a.rs"), read("three/c.rs"), edit("one/a.rs")];
    bench.model.script([Turn::calls(look), Turn::text("Done.")]);
    let run = bench.task("mend");
    assert_eq!(bench.finished(&run)["status"], "applied");
    assert_eq!(bench.editor.text(&one), mended());
    let request = bench.model.requests().remove(1);
    assert!(text(&request.messages()[1]).contains("Workspace roots: one, two."));
    let results = &request.messages()[3..];
    assert!(text(&results[0]).contains("sum - x") && text(&results[1]).contains("// two"));
    assert!(!text(&results[2]).contains("// three"), "a folder beside the roots is closed: {}", results[2]);

    let gone = ["one", "two"].map(|name| json!({"uri": uri(&bench.path(name)), "name": name}));
    let come = json!([{"uri": uri(&bench.path("three")), "name": "three"}]);
    bench.editor.notify("workspace/didChangeWorkspaceFolders", json!({"event": {"removed": gone, "added": come}}));
    bench.model.script([Turn::calls([read("c.rs"), read("one/a.rs")]), Turn::text("Done.")]);
    let run = bench.task("look");
    bench.finished(&run);
    let request = bench.model.requests().remove(3);
    assert!(!text(&request.messages()[1]).contains("Workspace roots"));
    assert!(text(&request.messages()[3]).contains("// three"), "{}", request.messages()[3]);
    assert!(!text(&request.messages()[4]).contains("sum"), "{}", request.messages()[4]);
}

#[test]
fn a_folder_that_is_no_folder_does_no_harm() {
    let mut bench = Bench::start(&[("a.rs", CODE)], json!({}), |setup| setup);
    let odd = json!([{"uri": "vscode-remote://x/y", "name": "far"}, {"uri": uri(&bench.path("a.rs")), "name": "file"},
        {"uri": uri(&bench.path("none")), "name": "none"}, {"name": "without"}, 7]);
    bench.editor.notify("workspace/didChangeWorkspaceFolders", json!({"event": {"removed": odd, "added": odd}}));
    bench.editor.notify("workspace/didChangeWorkspaceFolders", json!(null));
    std::fs::create_dir(bench.path("none")).unwrap();
    bench.model.script([Turn::calls([("read_file", json!({"path": "a.rs"}))]), Turn::text("Done.")]);
    let run = bench.task("look");
    assert_eq!(bench.finished(&run)["status"], "answered");
    assert!(text(&bench.model.requests()[1].messages()[3]).contains("sum - x"));
}
