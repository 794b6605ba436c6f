//! The Neovim plugin in real Neovims, the oldest it supports and the newest, against the real server.
//!
//! `tests/nvim/drive.lua` plays the user; the test plays the model. Both meet at gates (lines on the driver's standard
//! input and output), so the interleaving of typing and streaming is fixed and nothing sleeps.
//! `tests/nvim/install` gets the Neovims; without them these tests fail and say so.
#![expect(clippy::disallowed_methods, reason = "a test lays out its own files and environment")]

use std::path::Path;

use serde_json::json;

use crate::support::lua::{Lua, PATIENCE, neovim, repository};
use crate::support::model::{Model, Turn, openai};

const TOTAL: &str =
    "def total(items):\n    sum = 0\n    for item in items:\n        sum = sum + item\n    return sum\n";

/// What the model replaces, and by what.
const OLD: &str = "    sum = 0\n    for item in items:\n        sum = sum + item\n    return sum\n";
const NEW: &str = "    return sum(items)\n";

/// A workspace with a function that could be shorter.
fn workspace() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join(".git")).unwrap();
    std::fs::write(dir.path().join("total.py"), TOTAL).unwrap();
    std::fs::write(dir.path().join("other.py"), "value = 1\n").unwrap();
    dir
}

/// Starts a scenario of the driver.
fn scenario(neovim_name: &str, name: &str, workspace: &Path, model: &Model) -> Lua {
    Lua::start(&neovim(neovim_name), "nvim/drive.lua", &[name, workspace.to_str().unwrap()], Some(model))
}

fn shorter() -> Turn {
    Turn::calls([("edit_file", json!({"path": "total.py", "old_string": OLD, "new_string": NEW}))])
}

fn edits_are_answered_truthfully(neovim_name: &str) {
    Lua::start(&neovim(neovim_name), "nvim/edits.lua", &[], None).done();
}

fn overlapping_calls_keep_their_lines(neovim_name: &str) {
    Lua::start(&neovim(neovim_name), "nvim/window.lua", &[], None).done();
}

fn typing_during_a_run_is_kept_and_one_undo_takes_the_edit_back(neovim_name: &str) {
    let model = Model::start();
    let dir = workspace();
    let mut user = scenario(neovim_name, "edit", dir.path(), &model);

    user.gate("asked");
    let (request, mut reply) = user.asks(&model);
    let prompt = request.body.to_string();
    assert!(prompt.contains("use the builtin sum"), "the instruction reaches the model: {prompt}");
    assert!(prompt.contains("# typed before"), "and so does text that is not saved: {prompt}");
    // One complete call, and the stream stays open: the read must run now.
    reply.sse();
    reply.send(openai::start());
    reply.send(openai::text("Let me look."));
    reply.send(openai::call(0, "call_read", "read_file", "{\"path\": \"total.py\"}"));
    reply.send(openai::call(1, "call_list", "list_dir", "{}"));
    user.pass("asked");

    user.gate("read");
    reply.send(openai::finish("tool_calls"));
    reply.send(openai::usage(100, 0, 10));
    reply.send(openai::done());
    reply.end();
    let (request, mut reply) = user.asks(&model);
    assert!(request.body.to_string().contains("# typed before"), "the tool reads the buffer, not the disk");
    let edit = shorter().events(request.protocol());
    let (last, first) = edit.split_last().unwrap();
    reply.sse();
    for event in first {
        reply.send(event);
    }
    user.pass("read");

    user.gate("typed");
    model.script([Turn::text("Done.")]);
    reply.send(last);
    reply.end();
    user.pass("typed");
    user.done();
    assert_eq!(model.turns_left(), 0);
}

fn what_both_changed_stays_the_users(neovim_name: &str) {
    let model = Model::start();
    let dir = workspace();
    let mut user = scenario(neovim_name, "conflict", dir.path(), &model);
    user.gate("asked");
    let (request, reply) = user.asks(&model);
    reply.play(&shorter(), &request);
    let (_, mut reply) = user.asks(&model);
    user.pass("asked");
    user.gate("typed");
    reply.sse();
    reply.send(openai::start());
    reply.send(openai::text("Done."));
    reply.send(openai::finish("stop"));
    reply.send(openai::done());
    reply.end();
    user.pass("typed");
    user.done();
}

fn a_run_is_cancelled_in_the_middle(neovim_name: &str) {
    let model = Model::start();
    let dir = workspace();
    let mut user = scenario(neovim_name, "cancel", dir.path(), &model);
    user.gate("asked");
    let (_, mut reply) = user.asks(&model);
    reply.sse();
    reply.send(openai::start());
    reply.send(openai::text("I will"));
    user.pass("asked");
    user.gate("cancelled");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let closed = runtime.block_on(async { tokio::time::timeout(PATIENCE, reply.closed()).await });
    assert!(closed.is_ok(), "the model's stream is closed");
    user.pass("cancelled");
    user.done();
}

fn answers_and_other_files_are_shown(neovim_name: &str) {
    let model = Model::start();
    let dir = workspace();
    model.script([
        Turn::text("It adds\nup."),
        Turn::calls([("edit_file", json!({"path": "other.py", "old_string": "value = 1", "new_string": "value = 2"}))]),
        Turn::text("Done."),
    ]);
    // The list of models asks the provider.
    model.answer_with(|request| (request.method == "GET").then(|| Turn::failure(404, &[], "")));
    scenario(neovim_name, "answers", dir.path(), &model).done();
}

fn the_answer_is_read_while_it_comes(neovim_name: &str) {
    let model = Model::start();
    let dir = workspace();
    let mut user = scenario(neovim_name, "stream", dir.path(), &model);
    user.gate("asked");
    let (_, mut reply) = user.asks(&model);
    reply.sse();
    reply.send(openai::start());
    reply.send(openai::text("# What it does\n\nIt **adds**"));
    reply.send(openai::call(0, "call_read", "read_file", "{\"path\": \"total.py\"}"));
    reply.send(openai::call(1, "call_list", "list_dir", "{}"));
    model.script([Turn::text("Nothing else.")]);
    user.pass("asked");
    user.gate("read");
    reply.send(openai::finish("tool_calls"));
    reply.send(openai::done());
    reply.end();
    user.pass("read");
    user.done();
}

fn a_question_waits_until_the_keyboard_is_free(neovim_name: &str) {
    let model = Model::start();
    let dir = workspace();
    let mut user = scenario(neovim_name, "approval", dir.path(), &model);
    user.gate("asked");
    let (request, reply) = user.asks(&model);
    user.pass("asked");
    user.gate("typing");
    model.script([Turn::text("Done.")]);
    let run = json!({"command": "printf 'one\\ntwo\\n'"});
    reply.play(&Turn::calls([("run_command", run)]), &request);
    user.pass("typing");
    user.done();
}

fn a_proposed_edit_is_looked_at_first(neovim_name: &str) {
    let model = Model::start();
    let dir = workspace();
    std::fs::write(dir.path().join("ropeway.toml"), "[edits]\nmode = \"preview\"\n").unwrap();
    let other = json!({"path": "total.py", "old_string": NEW, "new_string": "    return 0\n"});
    model.script([shorter(), Turn::text("Done."), Turn::calls([("edit_file", other)]), Turn::text("Done.")]);
    scenario(neovim_name, "preview", dir.path(), &model).done();
}

#[test]
fn the_plugin_has_the_version_of_the_server() {
    let plugin = std::fs::read_to_string(repository().join("editors/nvim/lua/ropeway/init.lua")).unwrap();
    let version = format!("M.version = '{}'", env!("CARGO_PKG_VERSION"));
    assert!(plugin.contains(&version), "editors/nvim/lua/ropeway/init.lua must say {version}");
}

fn every_map_and_word_does_what_it_says(neovim_name: &str) {
    let model = Model::start();
    let dir = workspace();
    // The list of models asks the provider; a summary for `compact` is a request of its own.
    model.answer_with(|request| (request.method == "GET").then(|| Turn::failure(404, &[], "")));
    let mut user = scenario(neovim_name, "maps", dir.path(), &model);
    for (gate, said, answer) in [
        ("edit", "say it in words", "It is said."),
        ("fix", "sum hides a builtin", "It is fine."),
        ("explain", "total.py", "It adds up."),
        ("review", "total.py", "Nothing to find."),
    ] {
        let (request, reply) = user.asks(&model);
        let prompt = request.body.to_string();
        assert!(prompt.contains(said), "{gate} asks for {said}: {prompt}");
        user.gate(gate);
        user.pass(gate);
        reply.play(&Turn::text(answer), &request);
    }
    model.script([Turn::text("A summary.")]);
    user.done();
}

fn lualine_shows_the_state(neovim_name: &str) {
    let model = Model::start();
    let dir = workspace();
    let mut user = scenario(neovim_name, "lualine", dir.path(), &model);
    user.gate("asked");
    let (request, reply) = user.asks(&model);
    user.pass("asked");
    user.gate("seen");
    reply.play(&Turn::text("It adds up."), &request);
    user.pass("seen");
    user.done();
}

fn an_edited_configuration_is_in_force_with_the_next_run(neovim_name: &str) {
    let model = Model::start();
    let dir = workspace();
    model.script([shorter(), Turn::text("Done.")]);
    let mut user = scenario(neovim_name, "config", dir.path(), &model);
    user.gate("asked");
    let (request, reply) = user.asks(&model);
    assert_eq!(model.requests()[0].body["model"], "m", "the model of before");
    assert_eq!(request.body["model"], "n", "the model that the file now names");
    user.pass("asked");
    reply.play(&Turn::text("It adds up."), &request);
    user.done();
}

fn the_documented_lines_set_it_up(neovim_name: &str) {
    let model = Model::start();
    // The health check asks whether the provider answers.
    model.answer_with(|request| (request.method == "GET").then(|| Turn::failure(404, &[], "")));
    Lua::start(&neovim(neovim_name), "nvim/setup.lua", &[], Some(&model)).done();
}

fn a_server_that_dies_comes_back(neovim_name: &str) {
    let model = Model::start();
    let dir = workspace();
    model.script([shorter(), Turn::text("Done.")]);
    // The health check asks whether the provider answers.
    model.answer_with(|request| (request.method == "GET").then(|| Turn::failure(404, &[], "")));
    scenario(neovim_name, "restart", dir.path(), &model).done();
}

macro_rules! in_both {
    ($($test:ident),* $(,)?) => {
        mod old {
            $(#[test] fn $test() { super::$test("nvim-old"); })*
        }
        mod new {
            $(#[test] fn $test() { super::$test("nvim-new"); })*
        }
    };
}

in_both! {
    edits_are_answered_truthfully,
    overlapping_calls_keep_their_lines,
    typing_during_a_run_is_kept_and_one_undo_takes_the_edit_back,
    what_both_changed_stays_the_users,
    a_run_is_cancelled_in_the_middle,
    answers_and_other_files_are_shown,
    the_answer_is_read_while_it_comes,
    a_question_waits_until_the_keyboard_is_free,
    a_proposed_edit_is_looked_at_first,
    a_server_that_dies_comes_back,
    every_map_and_word_does_what_it_says,
    lualine_shows_the_state,
    an_edited_configuration_is_in_force_with_the_next_run,
    the_documented_lines_set_it_up,
}
