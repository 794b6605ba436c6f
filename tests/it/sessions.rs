//! Recorded runs: listed, shown, exported, played again; and what the next session does with them. Runs are made by the
//! real server and looked at with the real program.

#![expect(clippy::disallowed_methods, reason = "the tests look at files from outside")]

mod hostile;
mod leftovers;
mod list;
mod replay;
mod threads;

use std::cell::RefCell;
use std::path::Path;
use std::process::{Command, Output};
use std::rc::Rc;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::support::agent::{Bench, agent};
use super::support::editor::{Editor, Setup};

const CODE: &str =
    "fn total(xs: &[u32]) -> u32 {\n    xs.iter().fold(0, |sum, x| sum - x)\n}\n\nfn one() -> u32 {\n    2\n}\n";

/// A bench whose runs are recorded, and the place where.
struct Recorded {
    bench: Bench,
    state: TempDir,
    settings: Value,
}

/// What the program said.
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Recorded {
    fn with(files: &[(&str, &str)]) -> Self {
        Self::start(files, json!({}), |setup| setup)
    }

    fn start(files: &[(&str, &str)], mut settings: Value, change: impl FnOnce(Setup) -> Setup) -> Self {
        let state = tempfile::tempdir().unwrap();
        settings["recording"] = json!({"dir": state.path(), "compress": false});
        let bench = Bench::start(files, settings.clone(), change);
        Self { bench, state, settings }
    }

    /// Ends the session and begins the next one in the same folder.
    fn restart(&mut self) {
        self.restart_as(|setup| setup);
    }

    fn restart_as(&mut self, change: impl FnOnce(Setup) -> Setup) {
        self.quit();
        let setup = agent(Setup::in_folder(self.bench.folder.path()), &self.bench.model, &self.settings);
        self.bench.editor = change(setup).start();
    }

    /// Ends the session; after that all of it is on disk.
    fn quit(&mut self) {
        self.bench.editor.messages.clear();
        self.bench.editor.quit();
    }

    /// Runs `ropeway sessions`.
    fn sessions(&self, args: &[&str]) -> Ran {
        sessions(self.state.path(), args)
    }

    /// The runs as `list --json` has them, newest first.
    fn runs(&self) -> Vec<Value> {
        let listed = self.sessions(&["list", "--json"]);
        assert_eq!(listed.code, Some(0), "{}", listed.err);
        serde_json::from_str(&listed.out).unwrap()
    }

    /// The file of a run's records.
    fn records(&self, run: &str) -> std::path::PathBuf {
        self.find_records(run).expect("the run's records")
    }

    /// The same, once it is there.
    fn find_records(&self, run: &str) -> Option<std::path::PathBuf> {
        let sessions = std::fs::read_dir(self.state.path().join("sessions")).ok()?;
        let named = |entry: std::fs::DirEntry| entry.path().join(format!("{run}.0001.jsonl"));
        sessions.map(|entry| named(entry.unwrap())).find(|path| path.exists())
    }
}

fn sessions(state: &Path, args: &[&str]) -> Ran {
    let mut program = Command::new(env!("CARGO_BIN_EXE_ropeway"));
    program.arg("sessions").args(args).env_clear().env("HOME", "/nonexistent").env("ROPEWAY_STATE_DIR", state);
    program.output().unwrap().into()
}

/// A call that mends `CODE`.
fn mend(path: &str) -> (&'static str, Value) {
    ("edit_file", json!({"path": path, "old_string": "sum - x", "new_string": "sum + x"}))
}

fn mended() -> String {
    CODE.replace("sum - x", "sum + x")
}

/// The questions that the editor is asked from now on.
fn questions(editor: &mut Editor) -> Rc<RefCell<Vec<String>>> {
    let asked = Rc::new(RefCell::new(Vec::new()));
    let hears = asked.clone();
    editor.on_message(move |_, message| {
        if message["method"] == "window/showMessageRequest" {
            hears.borrow_mut().push(message["params"]["message"].as_str().unwrap().to_owned());
        }
    });
    asked
}
