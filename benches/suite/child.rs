//! A language server as a child process, driven over stdio; a server that fails ends the measuring.

use std::process::Command;
use std::time::{Duration, Instant};

use ropeway::cli::bench::server;
use serde_json::Value;

pub struct Server(server::Server);

const ALIVE: &str = "the server lives and speaks";

impl Server {
    pub fn start(command: &mut Command) -> Self {
        Self(server::Server::start(command).expect("the server starts"))
    }

    pub fn frame(message: &Value) -> Vec<u8> {
        server::Server::frame(message)
    }

    pub fn raw(&mut self, bytes: &[u8]) {
        self.0.raw(bytes).expect(ALIVE);
    }

    pub fn send(&mut self, message: &Value) {
        self.0.send(message).expect(ALIVE);
    }

    /// The first message that `wanted` takes; requests that come before it are answered with null.
    pub fn wait(&mut self, wanted: impl Fn(&Value) -> bool) -> (Value, Instant) {
        self.0.wait(wanted).expect(ALIVE)
    }

    pub fn answer(&mut self, id: i64) -> (Value, Instant) {
        self.0.answer(id).expect(ALIVE)
    }

    /// Initializes; returns the time from the process's start to the answer.
    pub fn initialize(&mut self, parameters: Value) -> Duration {
        self.0.initialize(&parameters).expect(ALIVE)
    }

    pub fn started(&self) -> Instant {
        self.0.started
    }

    /// Resident memory in MB.
    pub fn rss(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0");
        line.split_whitespace().next().and_then(|kb| kb.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
    }

    /// Time on the cores so far, all threads together, in milliseconds.
    pub fn cpu_ms(&self) -> f64 {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.0.id())).into_iter().flatten().flatten();
        let time = |task: std::fs::DirEntry| {
            let text = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            text.split_whitespace().next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or(0.0)
        };
        tasks.map(time).sum::<f64>() / 1e6
    }

    /// Waits until everything sent so far has been worked on: a request is answered behind it.
    pub fn settle(&mut self, id: i64) {
        self.0.settle(id).expect(ALIVE);
    }
}
