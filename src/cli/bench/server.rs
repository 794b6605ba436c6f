//! The server as a process of its own, over standard input and output: its start, keystrokes, the code action menu.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::{Value, json};

use super::figure::{Random, ms, source_text, us_since};
use super::measure::Measure;
use crate::cli::scratch::Scratch;
use crate::paths::file_uri;

/// Keystrokes of a burst.
pub const CHANGES: usize = 2_000;

/// A language server as a child process. It is killed when this is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// When it was started.
    pub started: Instant,
}

impl Server {
    /// Starts it.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(command: &mut Command) -> io::Result<Self> {
        let started = Instant::now();
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (input, output) = pipes.ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Self { child, input, output: BufReader::with_capacity(1 << 16, output), started })
    }

    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// A message in its frame.
    pub fn frame(message: &Value) -> Vec<u8> {
        let body = message.to_string();
        format!("Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// The server does not read.
    pub fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.input.write_all(bytes)
    }

    /// Sends a message.
    ///
    /// # Errors
    /// The server does not read.
    pub fn send(&mut self, message: &Value) -> io::Result<()> {
        self.raw(&Self::frame(message))
    }

    /// The next message, and when it was there.
    ///
    /// # Errors
    /// The server ended, or wrote what is no message.
    pub fn message(&mut self) -> io::Result<(Value, Instant)> {
        let mut length = 0;
        let mut line = String::new();
        loop {
            line.clear();
            if self.output.read_line(&mut line)? == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server ended"));
            }
            match line.trim_end() {
                "" => break,
                header => {
                    if let Some(value) = header.strip_prefix("Content-Length:") {
                        length = value.trim().parse().map_err(io::Error::other)?;
                    }
                }
            }
        }
        let mut body = vec![0; length];
        self.output.read_exact(&mut body)?;
        let at = Instant::now();
        Ok((serde_json::from_slice(&body)?, at))
    }

    /// The first message that `wanted` takes; requests that come before it are answered with null.
    ///
    /// # Errors
    /// As [`Server::message`].
    pub fn wait(&mut self, wanted: impl Fn(&Value) -> bool) -> io::Result<(Value, Instant)> {
        loop {
            let (message, at) = self.message()?;
            if wanted(&message) {
                return Ok((message, at));
            }
            if message.get("method").is_some() && message.get("id").is_some() {
                self.send(&json!({"jsonrpc": "2.0", "id": message["id"], "result": null}))?;
            }
        }
    }

    /// The answer to a request.
    ///
    /// # Errors
    /// As [`Server::message`].
    pub fn answer(&mut self, id: i64) -> io::Result<(Value, Instant)> {
        self.wait(|message| message.get("method").is_none() && message["id"] == id)
    }

    /// Initializes; gives the time from the process's start to the answer.
    ///
    /// # Errors
    /// As [`Server::message`].
    pub fn initialize(&mut self, parameters: &Value) -> io::Result<Duration> {
        let mut params = json!({"processId": null, "rootUri": null, "capabilities": {}});
        for (key, value) in parameters.as_object().into_iter().flatten() {
            params[key] = value.clone();
        }
        self.send(&json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}))?;
        let (_, at) = self.answer(1)?;
        self.send(&json!({"jsonrpc": "2.0", "method": "initialized", "params": {}}))?;
        Ok(at - self.started)
    }

    /// Waits until everything sent so far has been worked on: a request is answered behind it.
    ///
    /// # Errors
    /// As [`Server::message`].
    pub fn settle(&mut self, id: i64) -> io::Result<()> {
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": "$/unknown/settle", "params": {}}))?;
        self.answer(id).map(drop)
    }

    /// Opens a document.
    ///
    /// # Errors
    /// The server does not read.
    pub fn open(&mut self, uri: &str, text: &str) -> io::Result<()> {
        self.send(&json!({"jsonrpc": "2.0", "method": "textDocument/didOpen", "params": {"textDocument": {
            "uri": uri, "languageId": "rust", "version": 1, "text": text}}}))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The child may have ended by itself; either way none is left.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Insertions at random places of a document with this text, as bytes; versions begin behind `version`.
pub fn burst(uri: &str, text: &str, version: usize, random: &mut Random) -> Vec<u8> {
    let columns: Vec<usize> = text.split('\n').map(|line| line.encode_utf16().count()).collect();
    let mut bytes = Vec::new();
    for nth in 0..CHANGES {
        let line = random.below(columns.len() - 1);
        let place = json!({"line": line, "character": random.below(columns[line] + 1)});
        let change: Value = json!({"jsonrpc": "2.0", "method": "textDocument/didChange", "params": {
            "textDocument": {"uri": uri, "version": version + nth + 1},
            "contentChanges": [{"range": {"start": place, "end": place}, "text": "x"}]}});
        bytes.extend(Server::frame(&change));
    }
    bytes
}

/// `program serve` with nothing of the user's around it.
fn command(program: &Path, home: &Scratch) -> Command {
    let mut command = Command::new(program);
    let home = home.path();
    command.env_clear().env("HOME", home).env("XDG_CONFIG_HOME", home).env("XDG_STATE_HOME", home);
    command
}

/// All measurements of the server: `program` is this one.
///
/// # Errors
/// The server cannot be started, or does not do what it should.
pub fn all(program: &Path) -> anyhow::Result<Vec<Measure>> {
    Ok(vec![start(program)?, keystroke(program)?, menu(program)?])
}

fn start(program: &Path) -> anyhow::Result<Measure> {
    let (program, home) = (program.to_owned(), Scratch::new("bench")?);
    Ok(Measure::new("start", "process start → initialize answered", "ms", 7, move || {
        let mut server = Server::start(&mut command(&program, &home)).context("the server does not start")?;
        Ok(ms(server.initialize(&json!({}))?))
    }))
}

fn ready(program: &Path, home: &Scratch) -> anyhow::Result<Server> {
    let mut server = Server::start(&mut command(program, home)).context("the server does not start")?;
    server.initialize(&json!({}))?;
    Ok(server)
}

/// A character typed over standard input and output, in microseconds.
fn keystroke(program: &Path) -> anyhow::Result<Measure> {
    let home = Scratch::new("bench")?;
    let mut server = ready(program, &home)?;
    let (uri, text) = ("file:///bench/typed.rs", source_text(1 << 20));
    server.open(uri, &text)?;
    server.settle(3)?;
    let (mut random, mut version, mut id) = (Random(7), 1, 100);
    Ok(Measure::new("keystroke-stdio", "one character typed over stdio, 1 MB", "µs", 1, move || {
        let _here = &home;
        let mut bytes = burst(uri, &text, version, &mut random);
        (version, id) = (version + CHANGES, id + 1);
        bytes.extend(Server::frame(&json!({"jsonrpc": "2.0", "id": id, "method": "$/unknown/settle", "params": {}})));
        let begun = Instant::now();
        server.raw(&bytes)?;
        let (_, at) = server.answer(id)?;
        Ok((at - begun).as_secs_f64() * 1e6 / CHANGES as f64)
    }))
}

/// The menu of code actions over standard input and output, in microseconds.
fn menu(program: &Path) -> anyhow::Result<Measure> {
    let home = Scratch::new("bench")?;
    let mut server = Server::start(&mut command(program, &home)).context("the server does not start")?;
    // Nothing is offered outside of a workspace.
    server.initialize(&json!({"rootUri": file_uri(home.path())}))?;
    let uri = file_uri(&home.path().join("menu.rs"));
    server.open(&uri, &source_text(64 << 10))?;
    let mut id = 100;
    let mut ask = move |server: &mut Server| -> anyhow::Result<(f64, bool)> {
        id += 1;
        let place = json!({"line": 200, "character": 4});
        let begun = Instant::now();
        server.send(&json!({"jsonrpc": "2.0", "id": id, "method": "textDocument/codeAction", "params": {
            "textDocument": {"uri": uri}, "range": {"start": place, "end": place}, "context": {"diagnostics": []}}}))?;
        let (answer, _) = server.answer(id)?;
        Ok((us_since(begun), answer["result"].as_array().is_some_and(|menu| !menu.is_empty())))
    };
    // The configuration is read beside the first messages.
    let begun = Instant::now();
    while !ask(&mut server)?.1 && begun.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(Measure::new("code-action", "the code action menu over stdio", "µs", 50, move || {
        let _here = &home;
        match ask(&mut server)? {
            (time, true) => Ok(time),
            (_, false) => bail!("the menu is empty"),
        }
    }))
}
