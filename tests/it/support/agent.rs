//! A folder, a model editor in it, the real server with its agent, and a model on loopback: all that a run needs.
#![allow(dead_code, reason = "each test uses a part of it")]
#![expect(clippy::disallowed_methods, reason = "a test makes the files that the server finds")]

use ropeway::config::{EnvSnapshot, Sources};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::editor::{Editor, Setup};
use super::model::Model;

/// The parts, in the order in which they may go.
pub struct Bench {
    pub editor: Editor,
    pub model: Model,
    pub folder: TempDir,
}

impl Bench {
    /// A capable editor that hears events, in a folder with these files (name and text).
    pub fn with(files: &[(&str, &str)]) -> Self {
        Self::start(files, json!({}), |setup| setup)
    }

    /// The same with settings over the default ones and the editor set up otherwise.
    pub fn start(files: &[(&str, &str)], settings: Value, change: impl FnOnce(Setup) -> Setup) -> Self {
        Self::among(&[], files, settings, change)
    }

    /// The same among these variables.
    pub fn among(
        variables: &[(&str, &str)],
        files: &[(&str, &str)],
        settings: Value,
        change: impl FnOnce(Setup) -> Setup,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let model = Model::start();
        let setup = agent_among(variables, Setup::in_folder(folder.path()), &model, &settings);
        let editor = change(setup).start();
        Self { editor, model, folder }
    }

    /// Opens a file of the folder as it is on disk; gives its URI.
    pub fn open(&mut self, name: &str) -> String {
        let path = self.path(name);
        let text = std::fs::read_to_string(&path).unwrap();
        self.editor.open(path, &text)
    }

    /// The path of a file of the folder.
    pub fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// Starts a run; gives its name.
    pub fn run(&mut self, argument: Value) -> String {
        let started = self.editor.command("ropeway.run", argument);
        started["runId"].as_str().unwrap().to_owned()
    }

    /// Starts a task without a file; gives its name.
    pub fn task(&mut self, prompt: &str) -> String {
        self.run(json!({"action": "task", "prompt": prompt}))
    }

    /// Waits for the end of a run; gives its outcome.
    pub fn finished(&mut self, run: &str) -> Value {
        self.event(run, "finished")
    }

    /// Waits for the next event of this kind.
    pub fn event(&mut self, run: &str, kind: &str) -> Value {
        let message = self.editor.wait_for(&format!("`{kind}` of {run}"), |message| {
            message["method"] == "ropeway/event"
                && message["params"]["runId"] == run
                && message["params"]["kind"] == kind
        });
        message["params"].clone()
    }
}

/// Gives a server an agent whose model is `model`, by settings of the client.
pub fn agent(setup: Setup, model: &Model, settings: &Value) -> Setup {
    agent_among(&[], setup, model, settings)
}

fn agent_among(variables: &[(&str, &str)], setup: Setup, model: &Model, settings: &Value) -> Setup {
    // Nothing of this machine.
    let env: EnvSnapshot = variables.iter().copied().chain([("HOME", "/nonexistent")]).collect();
    let sources = Sources { env, ..Sources::default() };
    let kind = settings.pointer("/providers/test/kind").and_then(Value::as_str).unwrap_or("openai");
    let url = if kind == "openai" { model.openai_url() } else { model.origin() };
    let mut all = json!({
        "model": "test/m",
        "providers": {"test": {"kind": kind, "base_url": url}},
        // Not so many in a second are asked by people.
        "llm": {"max_retries": 0, "requests_per_second": 10_000, "burst": 10_000},
    });
    merge(&mut all, settings);
    setup
        .initialization_options(json!({"settings": all, "events": true, "status": true, "trusted": true}))
        .prepare(|session| ropeway::lsp::agent::attach(session, sources))
}

fn merge(into: &mut Value, from: &Value) {
    for (key, value) in from.as_object().into_iter().flatten() {
        match (&mut into[key], value) {
            (Value::Object(_), Value::Object(_)) => merge(&mut into[key], value),
            (slot, value) => *slot = value.clone(),
        }
    }
}
