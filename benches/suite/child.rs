//! A language server as a child process, driven over stdio.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

pub struct Server {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    pub started: Instant,
}

impl Server {
    pub fn start(command: &mut Command) -> Self {
        let started = Instant::now();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the server starts");
        let input = child.stdin.take().expect("piped");
        let output = BufReader::with_capacity(1 << 16, child.stdout.take().expect("piped"));
        Self { child, input, output, started }
    }

    pub fn frame(message: &Value) -> Vec<u8> {
        let body = message.to_string();
        format!("Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
    }

    pub fn raw(&mut self, bytes: &[u8]) {
        self.input.write_all(bytes).expect("the server reads");
    }

    pub fn send(&mut self, message: &Value) {
        self.raw(&Self::frame(message));
    }

    /// The next message, and when it was there.
    pub fn next(&mut self) -> (Value, Instant) {
        let mut length = 0;
        let mut line = String::new();
        loop {
            line.clear();
            assert!(self.output.read_line(&mut line).expect("the server writes") > 0, "the server ended");
            match line.trim_end() {
                "" => break,
                header => {
                    if let Some(value) = header.strip_prefix("Content-Length:") {
                        length = value.trim().parse().expect("a length");
                    }
                }
            }
        }
        let mut body = vec![0; length];
        self.output.read_exact(&mut body).expect("a whole message");
        let at = Instant::now();
        (serde_json::from_slice(&body).expect("JSON"), at)
    }

    /// The first message that `wanted` takes; requests that come before it are answered with null.
    pub fn wait(&mut self, wanted: impl Fn(&Value) -> bool) -> (Value, Instant) {
        loop {
            let (message, at) = self.next();
            if wanted(&message) {
                return (message, at);
            }
            if message.get("method").is_some() && message.get("id").is_some() {
                self.send(&json!({"jsonrpc": "2.0", "id": message["id"], "result": null}));
            }
        }
    }

    pub fn answer(&mut self, id: i64) -> (Value, Instant) {
        self.wait(|message| message.get("method").is_none() && message["id"] == id)
    }

    /// Initializes; returns the time from the process's start to the answer.
    pub fn initialize(&mut self, parameters: Value) -> Duration {
        let mut params = json!({"processId": null, "rootUri": null, "capabilities": {}});
        for (key, value) in parameters.as_object().expect("an object") {
            params[key] = value.clone();
        }
        self.send(&json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}));
        let (_, at) = self.answer(1);
        self.send(&json!({"jsonrpc": "2.0", "method": "initialized", "params": {}}));
        at - self.started
    }

    /// Resident memory in MB.
    pub fn rss(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0");
        line.split_whitespace().next().and_then(|kb| kb.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
    }

    /// Time on the cores so far, all threads together, in milliseconds.
    pub fn cpu_ms(&self) -> f64 {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).into_iter().flatten().flatten();
        let time = |task: std::fs::DirEntry| {
            let text = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            text.split_whitespace().next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or(0.0)
        };
        tasks.map(time).sum::<f64>() / 1e6
    }

    /// Waits until everything sent so far has been worked on: a request is answered behind it.
    pub fn settle(&mut self, id: i64) {
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": "$/unknown/settle", "params": {}}));
        self.answer(id);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The child may have ended by itself; either way none is left.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
