//! The workspace as a command sees it: with the run's edits, which the disk does not have; and what it writes comes
//! back as edits, while the user's files stay as they are.

use ropeway::tools::sandbox::Level;
use serde_json::{Value, json};

use super::{Place, command, edit, outside};
use crate::support::model::Turn;

const MANIFEST: &str = "[package]\nname = \"probe\"\nversion = \"0.1.0\"\nedition = \"2021\"\n";
const BROKEN: &str = "fn main() {\n    let n: u32 = \"one\";\n    println!(\"{n}\");\n}\n";

#[test]
fn a_build_sees_the_edit_before_the_editor_has_it_and_is_not_made_twice() {
    let mut place = Place::new(&[("Cargo.toml", MANIFEST), ("src/main.rs", BROKEN), (".gitignore", "/target\n")]);
    let uri = place.bench.open("src/main.rs");
    let check = || ("run_command", json!({"command": "cargo check --offline", "timeout_ms": 120_000}));
    let (results, outcome) = place.run(vec![check(), edit("src/main.rs", "\"one\"", "1"), check(), check()]);
    assert!(results[0].contains("mismatched types") && results[0].contains("[exit code 101"), "{results:?}");
    assert!(results[2].contains("Checking probe") && results[2].contains("[exit code 0"), "{results:?}");
    assert!(!results[3].contains("Checking probe") && results[3].contains("Finished"), "{results:?}");
    assert_eq!(outcome["status"], "applied", "{outcome}");
    assert_eq!(place.bench.editor.text(&uri), BROKEN.replace("\"one\"", "1"));
    assert!(!place.path("target").exists(), "nothing is written into the user's folder");
}

/// A run whose commands write all over the place; what the model hears, and what the editor has in the end.
fn writes(settings: Value, most: Level) -> (Vec<String>, Vec<String>) {
    let files = [
        ("a.txt", "one\ntwo\nthree\n"),
        ("b.txt", "keep\n"),
        ("gone.txt", "bye\n"),
        ("dir/c.txt", "c\n"),
        (".gitignore", "out/\n*.log\n"),
        (".git/config", "[core]\n"),
    ];
    let mut place = Place::with(&files, settings, most);
    let uri = place.bench.open("a.txt");
    place.bench.editor.type_at(&uri, 0, "typed\n");
    let lines = [
        "cat a.txt; sed -i s/three/3/ a.txt; rm gone.txt; echo new > new.txt; mkdir out; echo o > out/o; echo l > x.log",
        "cat a.txt new.txt out/o x.log; ls gone.txt 2>/dev/null; touch b.txt; rm -r dir; mkdir dir; echo d > dir/d.txt",
        "ls dir; printf 'a\\000b' > binary; ln -s a.txt link",
    ];
    let (results, outcome) = place.commands(&lines);
    assert_eq!(outcome["status"], "applied", "{outcome}");
    let results = results.iter().map(|result| {
        // How long it took is no part of it.
        let lines = result.lines().map(|line| if line.starts_with("[exit code 0 after") { "[ok]" } else { line });
        lines.collect::<Vec<_>>().join("\n")
    });
    let mut state: Vec<String> = vec![place.bench.editor.text(&uri).to_owned()];
    for name in ["new.txt", "dir/d.txt"] {
        state.push(place.bench.editor.text(&crate::support::editor::uri(&place.path(name))).to_owned());
    }
    for name in ["gone.txt", "dir/c.txt", "out", "x.log", "binary", "link"] {
        state.push(format!("{name} {}", place.path(name).symlink_metadata().is_ok()));
    }
    (results.collect(), state)
}

#[test]
fn what_a_command_writes_comes_back_as_edits_and_the_rest_is_dropped() {
    let (results, state) = writes(json!({}), Level::Full);
    assert!(results[0].starts_with("typed\none\ntwo\nthree\n[ok]\n"), "unsaved text is seen: {results:?}");
    assert!(
        results[0].contains("these are now edits of yours: a.txt (changed), gone.txt (deleted), new.txt (new)]"),
        "{results:?}"
    );
    assert!(results[1].starts_with("typed\none\ntwo\n3\nnew\no\nl\n[ok]\n"), "kept from one to the next: {results:?}");
    assert!(results[1].contains("dir/c.txt (deleted), dir/d.txt (new)]"), "{results:?}");
    assert!(results[2].starts_with("d.txt\n[ok]\n"), "{results:?}");
    for left in ["binary (no text)", "link (a link)"] {
        assert!(results[2].contains(left), "{left}: {results:?}");
    }
    assert_eq!(state[..3], ["typed\none\ntwo\n3\n", "new\n", "d\n"]);
    assert_eq!(
        state[3..],
        ["gone.txt false", "dir/c.txt false", "out false", "x.log false", "binary false", "link false"]
    );
}

#[test]
fn a_copy_of_the_workspace_gives_the_same_as_an_overlay() {
    let overlay = writes(json!({}), Level::Full);
    assert_eq!(writes(json!({"tools": {"overlay": false}}), Level::Full), overlay);
    assert_eq!(writes(json!({}), Level::Partial), overlay);
}

#[test]
fn edits_of_every_kind_are_seen_and_taken_back_when_they_no_longer_are() {
    let mut place = Place::new(&[("a.txt", "a\n"), ("b.txt", "b\n"), ("c.txt", "c\n")]);
    let (results, _) = place.run(vec![
        ("create_file", json!({"path": "new/n.txt", "text": "n\n"})),
        ("delete_file", json!({"path": "a.txt"})),
        ("move_file", json!({"from": "b.txt", "to": "moved.txt"})),
        edit("c.txt", "c", "C"),
        command("cat new/n.txt moved.txt c.txt; ls"),
        edit("c.txt", "C", "c"),
        command("cat c.txt"),
    ]);
    assert!(results[4].starts_with("n\nb\nC\nc.txt\nmoved.txt\nnew\n[exit code 0"), "{results:?}");
    assert!(results[6].starts_with("c\n[exit code 0"), "{results:?}");
}

#[test]
fn what_the_user_types_while_a_command_runs_is_kept() {
    let mut place = Place::new(&[("a.txt", "one\ntwo\nthree\n")]);
    let gate = outside();
    let uri = place.bench.open("a.txt");
    let line =
        format!("echo up; until test -e {}/go; do sleep 0.02; done; sed -i s/three/3/ a.txt", gate.path().display());
    place.bench.editor.choices.push_back(Some("Allow once".to_owned()));
    place.bench.model.script([Turn::calls([command(&line)]), Turn::text("Done.")]);
    let run = place.bench.task("work");
    place.bench.event(&run, "toolOutput");
    place.bench.editor.type_at(&uri, 0, "mine\n");
    std::fs::write(gate.path().join("go"), "").unwrap();
    assert_eq!(place.bench.finished(&run)["status"], "applied");
    assert_eq!(place.bench.editor.text(&uri), "mine\none\ntwo\n3\n");
    let back = place.bench.editor.command("ropeway.revert", json!({"runId": run}));
    assert_eq!(back["status"], "applied", "{back}");
    assert_eq!(place.bench.editor.text(&uri), "mine\none\ntwo\nthree\n");
}

#[test]
fn what_the_user_saves_between_two_commands_is_seen_also_where_the_first_one_had_written_the_same() {
    let mut place = Place::new(&[("a.txt", "one\n")]);
    place.bench.editor.choices.extend(vec![Some("Allow once".to_owned()); 2]);
    let run = place.bench.task("work");
    let (request, reply) = place.bench.model.expect_blocking();
    reply.play(&Turn::calls([command("cat a.txt > copy; cat copy > a.txt; rm copy")]), &request);
    place.bench.event(&run, "toolFinished");
    let (request, reply) = place.bench.model.expect_blocking();
    std::fs::write(place.path("a.txt"), "saved\n").unwrap();
    reply.play(&Turn::calls([command("cat a.txt")]), &request);
    place.bench.event(&run, "toolFinished");
    let (request, reply) = place.bench.model.expect_blocking();
    assert!(request.last_message().contains("saved\\n"), "{}", request.last_message());
    reply.play(&Turn::text("Done."), &request);
    place.bench.finished(&run);
}

#[test]
fn a_protected_file_is_asked_for_and_gits_own_are_never_written() {
    let mut place = Place::new(&[("Makefile", "all:\n"), (".git/config", "[core]\n"), ("a.txt", "a\n")]);
    let line = "echo 'all: ; evil' > Makefile; mkdir -p .vscode; echo '{}' > .vscode/tasks.json; echo b > a.txt";
    place.bench.editor.choices.extend(["Allow once", "Deny", "Deny"].map(|answer| Some(answer.to_owned())));
    place.bench.model.script([Turn::calls([command(line)]), Turn::text("Done.")]);
    let run = place.bench.task("work");
    let outcome = place.bench.finished(&run);
    assert_eq!(outcome["error"]["code"], "permission", "{outcome}");
    place.bench.editor.expect_notification("window/showMessage");
    assert!(!place.path(".vscode/tasks.json").exists());
    assert_eq!(place.text("Makefile"), "all:\n");
}
