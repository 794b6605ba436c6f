//! What the user is told before a command runs, and what doctor says of the machine.

use std::process::Command;

use ropeway::tools::sandbox::Level;
use serde_json::{Value, json};

use super::{Place, command, outside};
use crate::support::agent::{Bench, agent};
use crate::support::editor::Setup;
use crate::support::model::{Model, Turn};

#[test]
fn the_question_shows_the_whole_line_its_folder_and_how_well_it_is_kept_in() {
    let mut place = Place::new(&[("src/a.rs", "")]);
    let line = format!("echo '{}' \u{202e}\u{7} end", "x".repeat(900));
    place.bench.editor.choices.push_back(Some("Allow once".to_owned()));
    place
        .bench
        .model
        .script([Turn::calls([("run_command", json!({"command": line, "cwd": "src"}))]), Turn::text("Done.")]);
    let run = place.bench.task("work");
    let asked = place.bench.event(&run, "approval")["message"].as_str().unwrap().to_owned();
    assert!(asked.contains("in src: echo 'xxx") && asked.contains(&"x".repeat(900)), "{asked}");
    assert!(asked.contains(r"' \u{202e}\u{7} end"), "what hides is spelt out: {asked}");
    assert!(asked.ends_with(" Sandbox: full."), "{asked}");
    place.bench.finished(&run);
}

#[test]
fn a_command_that_is_not_allowed_does_not_run_and_a_yes_is_for_that_line_only() {
    let mut place = Place::new(&[]);
    let answers = ["Deny", "Allow for this run", "Allow once"];
    place.bench.editor.choices.extend(answers.map(|answer| Some(answer.to_owned())));
    let lines = ["echo one", "echo two", "echo two", "echo two && echo three"];
    place.bench.model.script(lines.map(|line| Turn::calls([command(line)])).into_iter().chain([Turn::text("Done.")]));
    let run = place.bench.task("work");
    place.bench.finished(&run);
    let results = place.results();
    assert!(results[0].contains("did not allow"), "{results:?}");
    for (result, printed) in results[1..].iter().zip(["two\n", "two\n", "two\nthree\n"]) {
        assert!(result.starts_with(&format!("{printed}[exit code 0 after ")), "{results:?}");
    }
    assert!(place.bench.editor.choices.is_empty(), "the second of the same was not asked");
}

#[test]
fn no_command_runs_in_a_workspace_that_is_not_trusted() {
    let (folder, model) = (tempfile::tempdir().unwrap(), Model::start());
    let settings =
        json!({"model": "test/m", "providers": {"test": {"kind": "openai", "base_url": model.openai_url()}}});
    let setup = agent(Setup::in_folder(folder.path()), &model, &json!({}));
    let setup =
        setup.initialization_options(json!({"settings": settings, "events": true, "trusted": false, "status": true}));
    let mut bench = Bench { editor: setup.start(), model, folder };
    bench.model.script([Turn::calls([command("echo one")]), Turn::text("Done.")]);
    let run = bench.task("work");
    bench.finished(&run);
    let told = bench.model.requests().pop().unwrap().last_message();
    assert!(told.contains("does not trust this workspace"), "{told}");
}

#[test]
fn each_level_says_what_it_is() {
    let mut place = Place::with(&[("a.txt", "text\n")], json!({}), Level::Partial);
    place.bench.editor.choices.push_back(Some("Allow once".to_owned()));
    let line = "cat a.txt; echo changed > a.txt; echo x > /etc/ropeway-was-here";
    place.bench.model.script([Turn::calls([command(line)]), Turn::text("Done.")]);
    let run = place.bench.task("work");
    let asked = place.bench.event(&run, "approval")["message"].as_str().unwrap().to_owned();
    assert!(asked.contains("Sandbox: partial ("), "{asked}");
    let outcome = place.bench.finished(&run);
    let result = place.results().remove(0);
    assert!(result.starts_with("text\n") && result.contains("ermission denied"), "{result}");
    assert_eq!((outcome["status"].as_str(), &*place.text("a.txt")), (Some("applied"), "text\n"), "{outcome}");
    assert!(!std::path::Path::new("/etc/ropeway-was-here").exists());
}

#[test]
fn doctor_says_that_this_machine_offers_the_full_level() {
    let home = outside();
    let run = |arguments: &[&str]| {
        let mut doctor = Command::new(env!("CARGO_BIN_EXE_ropeway"));
        let output = doctor.args(arguments).env_clear().env("HOME", home.path()).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let report: Value = serde_json::from_str(&run(&["doctor", "--json"])).unwrap();
    assert_eq!(report["sandbox"], json!({"level": "full", "overlay": true}), "{report}");
    let page = run(&["doctor"]);
    assert!(page.contains("ok  sandbox full: your files stay as they are, no network\n"), "{page}");
}
