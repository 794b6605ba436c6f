//! Runs a Lua test in a real Neovim and talks to it: what it prints are checks and gates.
#![expect(clippy::disallowed_methods, reason = "a test lays out its own files and environment")]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use crate::support::model::{Model, Received, Reply};

/// Until here nothing takes a tenth of it; past it something hangs.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where `tests/nvim/install` and its like put the editors.
pub fn editors() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("editors")
}

/// The program of an installed Neovim.
pub fn neovim(name: &str) -> PathBuf {
    let editors = editors();
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
pub struct Lua {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    transcript: Vec<String>,
    home: tempfile::TempDir,
}

impl Lua {
    /// Starts a script of `tests`.
    pub fn start(neovim: &Path, script: &str, arguments: &[&str], model: Option<&Model>) -> Self {
        let home = tempfile::tempdir().unwrap();
        let base = home.path();
        let mut command = Command::new(neovim);
        command.args(["-i", "NONE", "-n", "-l"]).arg(repository().join("tests").join(script)).args(arguments);
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
        // Installed beside the newest Neovim, and a pure plugin: good for both.
        command.env("ROPEWAY_TEST_LUALINE", editors().join("nvim-new/root/usr/share/nvim-lualine"));
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
    pub fn until(&mut self, beginning: &str) -> String {
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
    pub fn gate(&mut self, name: &str) {
        let line = self.until("gate ");
        assert_eq!(line, format!("gate {name}"), "{}", self.report());
    }

    pub fn pass(&mut self, name: &str) {
        writeln!(self.stdin.as_mut().unwrap(), "go {name}").unwrap();
    }

    /// The next request to the model; a driver that fails meanwhile fails the test.
    #[track_caller]
    pub fn asks(&mut self, model: &Model) -> (Received, Reply) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let Ok(asked) = runtime.block_on(async { tokio::time::timeout(PATIENCE, model.expect()).await }) else {
            self.transcript.extend(self.lines.try_iter());
            panic!("the model was not asked.\n{}", self.report());
        };
        asked
    }

    /// All checks passed and the process has ended.
    #[track_caller]
    pub fn done(mut self) {
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
