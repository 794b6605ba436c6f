//! The Neovim plugin in real Neovims, the oldest it supports and the newest, against the real server.
//!
//! `tests/nvim/drive.lua` plays the user; the test plays the model. Both meet at gates (lines on the driver's standard
//! input and output), so the interleaving of typing and streaming is fixed and nothing sleeps.
//! `tests/nvim/install` gets the Neovims; without them these tests fail and say so.
#![expect(clippy::disallowed_methods, reason = "a test lays out its own files and environment")]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use serde_json::json;

use crate::support::model::{Model, Received, Reply, Turn, openai};

/// Until here nothing takes a tenth of it; past it something hangs.
const PATIENCE: Duration = Duration::from_secs(60);

const TOTAL: &str =
    "def total(items):\n    sum = 0\n    for item in items:\n        sum = sum + item\n    return sum\n";

/// What the model replaces, and by what.
const OLD: &str = "    sum = 0\n    for item in items:\n        sum = sum + item\n    return sum\n";
const NEW: &str = "    return sum(items)\n";

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The program of an installed Neovim.
fn neovim(name: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let editors = target.join("editors");
    let program = editors.join(name).join("nvim");
    assert!(
        program.exists(),
        "{} is missing: install it with `tests/nvim/install {}` (or run `tests/run`, which does)",
        program.display(),
        editors.display()
    );
    program
}

/// A Lua test in a Neovim of its own home.
struct Lua {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    transcript: Vec<String>,
    home: tempfile::TempDir,
}

impl Lua {
    fn start(neovim: &Path, script: &str, arguments: &[&str], model: Option<&Model>) -> Self {
        let home = tempfile::tempdir().unwrap();
        let base = home.path();
        let mut command = Command::new(neovim);
        command.args(["-i", "NONE", "-n", "-l"]).arg(repository().join("tests/nvim").join(script)).args(arguments);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("LANG", "C.UTF-8");
        command.env("HOME", base).env("NVIM_LOG_FILE", base.join("nvim.log"));
        for (name, directory) in
            [("CONFIG", "config"), ("DATA", "data"), ("STATE", "state"), ("CACHE", "cache"), ("RUNTIME", "runtime")]
        {
            let path = base.join(directory);
            std::fs::create_dir(&path).unwrap();
            command.env(if name == "RUNTIME" { "XDG_RUNTIME_DIR".into() } else { format!("XDG_{name}_HOME") }, path);
        }
        if let Some(model) = model {
            let config = base.join("ropeway.toml");
            let text = format!(
                "model = \"play/m\"\n[providers.play]\nkind = \"openai\"\nbase_url = \"{}\"\napi_key_env = \"PLAY_KEY\"\n",
                model.openai_url()
            );
            std::fs::write(&config, text).unwrap();
            command.env("ROPEWAY_CONFIG", config).env("PLAY_KEY", "not-a-key");
        }
        command.env("ROPEWAY_TEST_ROOT", repository()).env("ROPEWAY_TEST_PROGRAM", env!("CARGO_BIN_EXE_ropeway"));
        command.current_dir(base).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (sender, lines) = mpsc::channel();
        let stdout = child.stdout.take().unwrap();
        let stderr = child.stderr.take().unwrap();
        let other = sender.clone();
        std::thread::spawn(move || forward(stdout, "", &sender));
        std::thread::spawn(move || forward(stderr, "stderr: ", &other));
        let stdin = child.stdin.take();
        Self { child, stdin, lines, transcript: Vec::new(), home }
    }

    /// Reads on until a line begins with this; a failed check on the way fails the test.
    #[track_caller]
    fn until(&mut self, beginning: &str) -> String {
        loop {
            let Ok(line) = self.lines.recv_timeout(PATIENCE) else {
                panic!("no `{beginning}` came.\n{}", self.report());
            };
            self.transcript.push(line.clone());
            assert!(!line.starts_with("not ok"), "{line}\n{}", self.report());
            if line.starts_with(beginning) {
                return line;
            }
        }
    }

    /// Waits for a gate of the driver; it stays there until `pass`.
    #[track_caller]
    fn gate(&mut self, name: &str) {
        let line = self.until("gate ");
        assert_eq!(line, format!("gate {name}"), "{}", self.report());
    }

    fn pass(&mut self, name: &str) {
        writeln!(self.stdin.as_mut().unwrap(), "go {name}").unwrap();
    }

    /// The next request to the model; a driver that fails meanwhile fails the test.
    #[track_caller]
    fn asks(&mut self, model: &Model) -> (Received, Reply) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let Ok(asked) = runtime.block_on(async { tokio::time::timeout(PATIENCE, model.expect()).await }) else {
            self.transcript.extend(self.lines.try_iter());
            panic!("the model was not asked.\n{}", self.report());
        };
        asked
    }

    /// All checks passed and the process has ended.
    #[track_caller]
    fn done(mut self) {
        let line = self.until("done ");
        assert!(line.ends_with(" 0 failed"), "{line}\n{}", self.report());
        assert!(self.child.wait().unwrap().success(), "{}", self.report());
    }

    fn report(&self) -> String {
        let mut report = self.transcript.join("\n");
        for log in ["state/nvim/lsp.log", "nvim.log"] {
            if let Ok(text) = std::fs::read_to_string(self.home.path().join(log)) {
                let from = text.lines().count().saturating_sub(20);
                let tail: Vec<&str> = text.lines().skip(from).collect();
                report.push_str(&format!("\n--- end of {log}\n{}", tail.join("\n")));
            }
        }
        report
    }
}

impl Drop for Lua {
    fn drop(&mut self) {
        // Its editor sees the end of its channel and leaves, and the server with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn forward(from: impl std::io::Read, mark: &str, to: &mpsc::Sender<String>) {
    for line in BufReader::new(from).lines() {
        let Ok(line) = line else { return };
        if to.send(format!("{mark}{line}")).is_err() {
            return;
        }
    }
}

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
    Lua::start(&neovim(neovim_name), "drive.lua", &[name, workspace.to_str().unwrap()], Some(model))
}

fn shorter() -> Turn {
    Turn::calls([("edit_file", json!({"path": "total.py", "old_string": OLD, "new_string": NEW}))])
}

fn edits_are_answered_truthfully(neovim_name: &str) {
    Lua::start(&neovim(neovim_name), "edits.lua", &[], None).done();
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
    typing_during_a_run_is_kept_and_one_undo_takes_the_edit_back,
    what_both_changed_stays_the_users,
    a_run_is_cancelled_in_the_middle,
    answers_and_other_files_are_shown,
    the_answer_is_read_while_it_comes,
    a_question_waits_until_the_keyboard_is_free,
    a_proposed_edit_is_looked_at_first,
    a_server_that_dies_comes_back,
}
