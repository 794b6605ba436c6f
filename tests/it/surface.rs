//! What an editor can see of the agent beside its edits, end to end: answers, findings, the status, commands and their
//! refusals, modes, failures. Each test speaks to the real server and to a model on loopback.

mod answers;
mod asking;
mod burst;
mod commands;
mod context;
mod failures;
mod many;
mod modes;
mod patience;
mod places;
mod prefetch;
mod prompts;
mod protection;
mod start;
mod status;
mod switches;
mod tables;
mod view;

use serde_json::{Value, json};

use super::support::agent::Bench;

const CODE: &str = "fn total(xs: &[u32]) -> u32 {\n    xs.iter().fold(0, |sum, x| sum - x)\n}\n";

/// A call that mends `CODE`.
fn mend(path: &str) -> (&'static str, Value) {
    ("edit_file", json!({"path": path, "old_string": "sum - x", "new_string": "sum + x"}))
}

fn mended() -> String {
    CODE.replace("sum - x", "sum + x")
}

/// Sends a command that has to be refused as wrong; gives what the refusal says.
fn refused(bench: &mut Bench, command: &str, arguments: Value) -> String {
    let id = bench.editor.ask("workspace/executeCommand", json!({"command": command, "arguments": arguments}));
    let error = bench.editor.answer(id).unwrap_err();
    assert_eq!(error["code"], -32602, "{error}");
    error["message"].as_str().unwrap().to_owned()
}

/// The text of a message of a request.
fn text(message: &Value) -> &str {
    message["content"].as_str().unwrap_or_else(|| panic!("a message without a text: {message}"))
}

/// Starts a run that waits, and gives its outcome: for an editor that hears no events.
fn outcome(bench: &mut Bench, mut argument: Value) -> Value {
    argument["wait"] = true.into();
    bench.editor.command("ropeway.run", argument)
}
