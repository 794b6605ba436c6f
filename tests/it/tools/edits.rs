//! `edit_file`, `insert_lines`, `create_file`, `delete_file`, `move_file`: they stage, and touch nothing else.

use ropeway::workspace::StagedKind;
use serde_json::json;

use super::Bench;

const TEN: &str = "//- /a.txt\none\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nnine\nten\n";

impl Bench {
    fn after(&self, name: &str) -> String {
        let path = self.workspace.roots().resolve(name).unwrap();
        self.workspace.read(Some(&self.context.run), &path).unwrap().text.to_string()
    }
}

#[test]
fn an_edit_is_staged_shown_with_its_lines_and_leaves_the_disk_alone() {
    let bench = Bench::new(TEN);
    assert_eq!(
        bench.ok("edit_file", json!({"path": "a.txt", "old_string": "five\n", "new_string": "5\n5.5\n"})),
        "edited a.txt; it now reads:\n     2\ttwo\n     3\tthree\n     4\tfour\n     5\t5\n     6\t5.5\n     7\tsix\n     8\tseven\n     9\teight"
    );
    assert!(bench.after("a.txt").contains("four\n5\n5.5\nsix\n"));
    assert!(std::fs::read_to_string(bench.at("a.txt")).unwrap().contains("five"));
    assert_eq!(*bench.staged.lock().unwrap(), ["a.txt"]);
}

#[test]
fn several_edits_are_made_in_order_each_on_the_one_before() {
    let bench = Bench::new(TEN);
    let answer = bench.ok(
        "edit_file",
        json!({"path": "a.txt", "edits": [
            {"old_string": "one", "new_string": "uno"},
            {"old_string": "uno\ntwo", "new_string": "1\n2"},
            {"old_string": "ten", "new_string": "10"},
        ]}),
    );
    assert_eq!(
        answer,
        "edited a.txt in 3 places; it now reads:\n     1\t1\n     2\t2\n     3\tthree\n     4\tfour\n     5\tfive\n   ...\n     7\tseven\n     8\teight\n     9\tnine\n    10\t10"
    );
    assert_eq!(bench.after("a.txt"), "1\n2\nthree\nfour\nfive\nsix\nseven\neight\nnine\n10\n");
}

#[test]
fn one_edit_that_fails_takes_all_of_the_call_with_it() {
    let bench = Bench::new(TEN);
    let refusal = bench.refused(
        "edit_file",
        json!({"path": "a.txt", "edits": [
            {"old_string": "one", "new_string": "1"},
            {"old_string": "eleven", "new_string": "11"},
        ]}),
    );
    assert!(refusal.starts_with("edit 2 of 2: ") && refusal.ends_with("Nothing was changed in `a.txt`"), "{refusal}");
    assert!(bench.workspace.staged(&bench.context.run).is_empty());
    assert!(bench.staged.lock().unwrap().is_empty());
}

#[test]
fn a_quote_must_be_there_once_unless_all_are_meant() {
    let bench = Bench::new("//- /a.txt\nx = 1\ny = 2\nx = 1\n");
    let ask = |old: &str, all: bool| {
        bench.call("edit_file", json!({"path": "a.txt", "old_string": old, "new_string": "z = 3", "replace_all": all}))
    };
    assert!(ask("x = 1", false).unwrap_err().contains('2'));
    assert!(ask("w = 1", true).is_err());
    assert!(ask("", true).unwrap_err().contains("old_string is empty"));
    assert!(ask("z = 3", true).unwrap_err().contains("are the same"));
    assert!(ask("x = 1", true).unwrap().starts_with("edited a.txt in 2 places"));
    assert_eq!(bench.after("a.txt"), "z = 3\ny = 2\nz = 3\n");
}

#[test]
fn the_two_forms_of_an_edit_do_not_mix() {
    let bench = Bench::new(TEN);
    for (arguments, fault) in [
        (json!({"path": "a.txt"}), "give `old_string` and `new_string`, or `edits`"),
        (json!({"path": "a.txt", "old_string": "x"}), "missing field `new_string`"),
        (json!({"path": "a.txt", "new_string": "x"}), "missing field `old_string`"),
        (json!({"path": "a.txt", "edits": []}), "`edits` is empty"),
        (json!({"path": "a.txt", "edits": [], "replace_all": true}), "belongs into each"),
        (json!({"path": "a.txt", "old_string": "x", "new_string": "y", "edits": []}), "not both"),
        (json!({"path": "a.txt", "edits": [{"old_string": "x"}]}), "missing field `new_string`"),
        (json!({"path": "a.txt", "edits": vec![json!({"old_string": "x", "new_string": "y"}); 201]}), "limit of 200"),
    ] {
        let refusal = bench.refused("edit_file", arguments);
        assert!(refusal.contains(fault) && refusal.contains("`path` (string, required)"), "{refusal}");
    }
}

#[test]
fn an_edit_of_a_buffer_is_made_on_the_buffer_and_keeps_its_line_ends() {
    let bench = Bench::new("//- /a.txt\nold\n");
    bench.open("a.txt", "first\r\nsecond\r\n");
    bench.ok("insert_lines", json!({"path": "a.txt", "line": 1, "text": "between\n"}));
    assert_eq!(bench.after("a.txt"), "first\r\nbetween\r\nsecond\r\n");
}

#[test]
fn lines_are_inserted_after_the_line_with_the_number() {
    let bench = Bench::new("//- /a.txt\none\ntwo\n");
    let answer = bench.ok("insert_lines", json!({"path": "a.txt", "line": 2, "text": "three"}));
    assert_eq!(answer, "inserted into a.txt; it now reads:\n     1\tone\n     2\ttwo\n     3\tthree");
    bench.ok("insert_lines", json!({"path": "a.txt", "line": 0, "text": "zero\n"}));
    assert_eq!(bench.after("a.txt"), "zero\none\ntwo\nthree\n");
    assert!(bench.refused("insert_lines", json!({"path": "a.txt", "line": 5, "text": "x"})).contains("has 4 lines"));
    assert!(
        bench.refused("insert_lines", json!({"path": "a.txt", "line": 1, "text": ""})).contains("nothing to insert")
    );
}

#[test]
fn files_are_made_moved_and_deleted_in_the_stage_only() {
    let bench = Bench::new("//- /a.txt\na\n//- /b.txt\nb\n");
    assert_eq!(bench.ok("create_file", json!({"path": "new/c.txt", "text": "c\nd"})), "created new/c.txt with 2 lines");
    assert!(bench.refused("create_file", json!({"path": "a.txt", "text": ""})).contains("exists already"));
    assert!(bench.refused("create_file", json!({"path": "new/c.txt", "text": ""})).contains("exists already"));
    assert!(bench.refused("create_file", json!({"path": "a.txt/x", "text": ""})).contains("a.txt"));
    assert_eq!(bench.ok("move_file", json!({"from": "a.txt", "to": "moved.txt"})), "moved a.txt to moved.txt");
    assert!(bench.refused("move_file", json!({"from": "new/c.txt", "to": "b.txt"})).contains("exists already"));
    assert!(bench.refused("move_file", json!({"from": "nowhere.txt", "to": "x.txt"})).contains("does not exist"));
    assert_eq!(bench.ok("delete_file", json!({"path": "b.txt"})), "deleted b.txt");
    assert!(bench.refused("delete_file", json!({"path": "b.txt"})).contains("b.txt"));
    assert!(bench.refused("delete_file", json!({"path": "."})).contains("`.`"));
    let staged = bench.workspace.staged(&bench.context.run);
    let kinds: Vec<(String, &StagedKind)> = staged.iter().map(|file| (file.path.to_string(), &file.kind)).collect();
    assert_eq!(kinds.len(), 3, "{kinds:?}");
    assert!(bench.at("a.txt").exists() && bench.at("b.txt").exists() && !bench.at("new").exists());
}

#[test]
fn protected_files_are_refused_or_marked_for_the_user() {
    let bench = Bench::new("//- /.git/config\n[core]\n//- /.vscode/settings.json\n{}\n");
    let refusal = bench.refused("edit_file", json!({"path": ".git/config", "old_string": "[core]", "new_string": "x"}));
    assert!(refusal.contains("must not be changed"), "{refusal}");
    assert!(bench.refused("create_file", json!({"path": ".git/hooks/pre-commit", "text": "x"})).contains("must not"));
    let marked = bench.ok("create_file", json!({"path": ".vscode/tasks.json", "text": "{}"}));
    assert!(marked.contains("[the user is asked before this file is changed: "), "{marked}");
}

#[test]
fn text_of_any_size_is_bounded_by_the_limit_of_a_file() {
    let bench = Bench::new("//- /a.txt\na\n");
    let large = "x".repeat(200_000);
    let answer = bench.ok("edit_file", json!({"path": "a.txt", "old_string": "a", "new_string": large}));
    assert!(answer.len() < 40_000);
    bench.ok("create_file", json!({"path": "b.txt", "text": "a\n".repeat(600)}));
    let refusal = bench.refused(
        "edit_file",
        json!({"path": "b.txt", "old_string": "a", "new_string": "z".repeat(20_000), "replace_all": true}),
    );
    assert!(refusal.contains("more than the limit"), "{refusal}");
}
