//! When a changed configuration counts: for the next run, whatever it is about, and never for one that goes on.

use serde_json::json;

use super::editor::Desk;
use crate::support::agent::Bench;
use crate::support::model::{Model, Turn};

/// A user's file with this model.
fn with(model: &Model, more: &str) -> String {
    let url = model.openai_url();
    format!("model = \"test/m\"\n[providers.test]\nkind = \"openai\"\nbase_url = \"{url}\"\n{more}")
}

#[test]
fn what_is_saved_in_the_editor_counts_for_how_the_very_next_run_calls_its_model() {
    let model = Model::start();
    let own = |retries: u32| with(&model, &format!("[llm]\nmax_retries = {retries}\n"));
    let mut desk = Desk::start(&own(4), "", |setup| setup);
    let file = desk.editor.open(desk.user(), &own(4));
    desk.retype(&file, &own(0));
    desk.editor.save(&file);
    model.script([Turn::failure(503, &[], "busy"), Turn::text("A second attempt.")]);
    let outcome = desk.editor.command("ropeway.run", json!({"action": "task", "prompt": "p", "wait": true}));
    assert_eq!((&outcome["status"], model.requests().len()), (&json!("failed"), 1), "{outcome}");
}

#[test]
fn a_run_keeps_the_configuration_it_began_with_and_the_next_one_has_the_new() {
    let mut bench = Bench::start(&[("a.rs", "fn a() {}\n"), ("ropeway.toml", "")], json!({}), |setup| setup);
    let look = || Turn::calls([("read_file", json!({"path": "a.rs"}))]);
    let run = bench.task("look");
    let (request, reply) = bench.model.expect_blocking();
    let file = bench.open("ropeway.toml");
    let now = bench.editor.text(&file).len();
    bench.editor.replace(&file, 0..now, "[agent]\nmax_steps = 1\n");
    bench.editor.save(&file);
    bench.editor.settle();
    bench.model.script([look(), Turn::text("Seen.")]);
    reply.play(&look(), &request);
    let outcome = bench.finished(&run);
    assert_eq!((&outcome["status"], &outcome["steps"]), (&json!("answered"), &json!(3)), "{outcome}");
    bench.model.script([look()]);
    let run = bench.task("look again");
    let outcome = bench.finished(&run);
    assert_eq!(outcome["error"]["code"], "step_limit", "{outcome}");
    bench.editor.expect_notification("window/showMessage");
}

#[test]
fn the_next_run_is_recorded_where_and_how_the_file_says_by_then() {
    let model = Model::start();
    let mut desk = Desk::start(&with(&model, ""), "", |setup| setup);
    let place = |name: &str| desk.dir.path().join(name);
    let places = [place("one"), place("two")];
    let file = desk.editor.open(desk.user(), "");
    for place in &places {
        desk.retype(&file, &with(&model, &format!("[recording]\ncompress = false\ndir = {place:?}\n")));
        desk.editor.save(&file);
        model.script([Turn::text("Done.")]);
        let outcome = desk.editor.command("ropeway.run", json!({"action": "task", "prompt": "p", "wait": true}));
        assert_eq!(outcome["status"], "answered", "{outcome}");
    }
    desk.editor.quit();
    for place in &places {
        let sessions: Vec<_> = std::fs::read_dir(place.join("sessions")).unwrap().map(Result::unwrap).collect();
        assert_eq!(sessions.len(), 1, "{sessions:?}");
        let names = std::fs::read_dir(sessions[0].path()).unwrap().map(|entry| entry.unwrap().file_name());
        let names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
        let runs = names.iter().filter(|name| name.starts_with("run-")).collect::<Vec<_>>();
        assert!(runs.len() == 1 && runs[0].ends_with(".jsonl"), "{names:?}");
    }
}
