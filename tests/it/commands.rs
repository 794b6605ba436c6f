//! `run_command`, through the real server and with the real program as the helper. All of it needs the sandbox's level
//! `full`: where a machine cannot offer that, these tests fail.
#![expect(clippy::disallowed_methods, reason = "the tests look at files and processes from outside")]

mod asked;
mod direct;
mod ends;
mod escapes;
mod hidden;
mod layers;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ropeway::config::EnvSnapshot;
use ropeway::tools::sandbox::{Level, Sandbox};
use serde_json::{Value, json};

use super::support::agent::Bench;
use super::support::model::Turn;

/// A folder that commands see and cannot write, which must not lie in one that is replaced for them.
pub fn outside() -> tempfile::TempDir {
    let places = [Some(PathBuf::from(env!("CARGO_TARGET_TMPDIR"))), std::env::home_dir()];
    let seen = |place: &PathBuf| !["/tmp", "/var/tmp", "/run", "/dev"].iter().any(|hidden| place.starts_with(hidden));
    tempfile::tempdir_in(places.into_iter().flatten().find(seen).expect("a folder that commands see")).unwrap()
}

/// The environment of a server whose user lives in `home`.
pub fn environment(home: &Path) -> EnvSnapshot {
    let cargo = Path::new(env!("CARGO")).parent().unwrap();
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", cargo.display());
    let home = home.to_str().unwrap();
    EnvSnapshot::from_iter([
        ("PATH", &*path),
        ("HOME", home),
        ("LANG", "C.UTF-8"),
        ("SOME_API_KEY", "canary-of-the-key"),
    ])
}

/// The sandbox of such a server.
pub fn sandbox(home: &Path, most: Level) -> Arc<Sandbox> {
    Sandbox::with(&environment(home), Path::new(env!("CARGO_BIN_EXE_ropeway")), most)
}

/// A workspace with its editor, its model, and commands.
pub struct Place {
    pub bench: Bench,
    pub home: tempfile::TempDir,
}

impl Place {
    pub fn new(files: &[(&str, &str)]) -> Self {
        Self::with(files, json!({}), Level::Full)
    }

    pub fn with(files: &[(&str, &str)], settings: Value, most: Level) -> Self {
        let home = outside();
        std::fs::create_dir(home.path().join(".cargo")).unwrap();
        let sandbox = sandbox(home.path(), most);
        assert_eq!(sandbox.support().level, most, "{:?}", sandbox.support());
        let bench = Bench::start(files, settings, |setup| {
            setup.prepare(move |session| ropeway::lsp::agent::run_commands_in(session, sandbox))
        });
        Self { bench, home }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.bench.path(name)
    }

    pub fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// A run in which the model makes these calls, one in each response; gives the results and the outcome.
    pub fn run(&mut self, calls: Vec<(&str, Value)>) -> (Vec<String>, Value) {
        let commands = calls.iter().filter(|(tool, _)| *tool == "run_command").count();
        self.bench.editor.choices.extend(vec![Some("Allow once".to_owned()); commands]);
        let turns = calls.into_iter().map(|call| Turn::calls([call])).chain([Turn::text("Done.")]);
        self.bench.model.script(turns);
        let run = self.bench.task("work");
        let outcome = self.bench.finished(&run);
        (self.results(), outcome)
    }

    /// As [`Place::run`], with command lines only.
    pub fn commands(&mut self, lines: &[&str]) -> (Vec<String>, Value) {
        self.run(lines.iter().map(|line| command(line)).collect())
    }

    /// What one command line gives.
    pub fn command(&mut self, line: &str) -> String {
        self.commands(&[line]).0.remove(0)
    }

    /// The results that the model was given, each as it was told first: later an old one may be dropped.
    pub fn results(&self) -> Vec<String> {
        let mut results: Vec<(Value, String)> = Vec::new();
        for request in self.bench.model.requests() {
            for message in request.messages().iter().filter(|message| message["role"] == "tool") {
                let id = &message["tool_call_id"];
                if !results.iter().any(|(known, _)| known == id) {
                    results.push((id.clone(), message["content"].as_str().unwrap().to_owned()));
                }
            }
        }
        results.into_iter().map(|(_, result)| result).collect()
    }
}

/// A call of the tool.
pub fn command(line: &str) -> (&'static str, Value) {
    ("run_command", json!({"command": line}))
}

/// A call that stages an edit.
pub fn edit(path: &str, old: &str, new: &str) -> (&'static str, Value) {
    ("edit_file", json!({"path": path, "old_string": old, "new_string": new}))
}

/// The processes whose command line holds `marker`.
pub fn processes(marker: &str) -> Vec<String> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = entries.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| line.contains(marker)).collect()
}

/// Looks again and again until nothing is left.
pub fn wait_until_gone(marker: &str) {
    let begun = std::time::Instant::now();
    while !processes(marker).is_empty() {
        assert!(begun.elapsed().as_secs() < 20, "still there: {:?}", processes(marker));
        std::thread::yield_now();
    }
}
