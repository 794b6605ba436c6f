//! Every protocol against a server that other people wrote: whole runs of the real program, three calls at once in each
//! of two turns, through aimock (`tests/aimock/install` puts it below the target directory).
//!
//! Its pieces are three UTF-16 units long, so an emoji may come in halves.

#![expect(clippy::disallowed_methods, reason = "the test writes the files that the program reads")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// The server; it stops when dropped.
struct Aimock {
    child: Child,
    origin: String,
}

impl Aimock {
    fn start() -> Self {
        let home = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("aimock");
        let node = home.join("node");
        assert!(
            node.exists(),
            "{} is missing: install it with `tests/aimock/install {}` (or run `tests/run`, which does)",
            node.display(),
            home.display()
        );
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/aimock/fixtures.json");
        let mut child = Command::new(node)
            .arg(home.join("node_modules/@copilotkit/aimock/dist/cli.js"))
            .args(["-p", "0", "--chunk-size", "3", "--strict", "-f"])
            .arg(fixtures)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let origin = loop {
            let line = lines.next().expect("aimock says where it listens").unwrap();
            if let Some((_, origin)) = line.split_once("listening on ") {
                break origin.trim().to_owned();
            }
        };
        // It goes on to talk, and must not wait for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, origin }
    }

    /// The bodies of the requests to this path, in the one form that the server brings them all into.
    fn journal(&self, path: &str) -> Vec<Value> {
        let address = self.origin.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET /__aimock/journal HTTP/1.0\r\nhost: {address}\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        let entries: Vec<Value> =
            serde_json::from_str(&body[body.find('[').unwrap()..=body.rfind(']').unwrap()]).unwrap();
        let of_path = |entry: &&Value| entry["method"] == "POST" && entry["path"].as_str().unwrap().starts_with(path);
        entries.iter().filter(of_path).map(|entry| entry["body"].clone()).collect()
    }
}

impl Drop for Aimock {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The contents of the results at the end of a conversation.
fn last_results(body: &Value) -> Vec<&str> {
    let messages = body["messages"].as_array().unwrap();
    let first = messages.iter().rposition(|message| message["role"] != "tool").unwrap() + 1;
    messages[first..].iter().map(|message| message["content"].as_str().unwrap()).collect()
}

/// All calls of a conversation; the server makes a message of each item where a protocol has items.
fn calls(body: &Value) -> Vec<&str> {
    let messages = body["messages"].as_array().unwrap();
    let calls = messages.iter().filter_map(|message| message["tool_calls"].as_array()).flatten();
    calls.map(|call| call["function"]["name"].as_str().unwrap()).collect()
}

#[test]
fn a_run_of_three_turns_with_parallel_calls_succeeds_in_every_protocol() {
    let server = Aimock::start();
    for (name, provider, path) in [
        ("chat", "kind = \"openai\"\nbase_url = \"ORIGIN/v1\"", "/v1/chat/completions"),
        (
            "responses",
            "kind = \"openai\"\nbase_url = \"ORIGIN/v1\"\noptions = { api = \"responses\" }",
            "/v1/responses",
        ),
        ("messages", "kind = \"anthropic\"\nbase_url = \"ORIGIN\"", "/v1/messages"),
        (
            "gemini",
            "kind = \"google\"\nbase_url = \"ORIGIN\"\noptions = { api_version = \"v1beta\" }",
            "/v1beta/models/",
        ),
        ("ollama", "kind = \"ollama\"\nbase_url = \"ORIGIN\"", "/api/chat"),
    ] {
        let home = tempfile::tempdir().unwrap();
        let work = home.path().join("work");
        std::fs::create_dir(&work).unwrap();
        for (file, text) in
            [("one.txt", "the first file\n"), ("two.txt", "the second file\n"), ("three 🐟.txt", "the third 🐟 file\n")]
        {
            std::fs::write(work.join(file), text).unwrap();
        }
        let provider = provider.replace("ORIGIN", &server.origin);
        let config = format!("model = \"p/m\"\n[providers.p]\n{provider}\n[models.\"p/m\"]\ncontext_window = 100000\n");
        std::fs::write(home.path().join("config.toml"), config).unwrap();
        let ran = Command::new(env!("CARGO_BIN_EXE_ropeway"))
            .args(["run", "--json", "--apply", "-C"])
            .arg(&work)
            .arg("put the numbers right")
            .env_clear()
            .env("HOME", home.path())
            .env("ROPEWAY_CONFIG", home.path().join("config.toml"))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let out = String::from_utf8_lossy(&ran.stdout);
        let err = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(ran.status.code(), Some(0), "{name}: {out}\n{err}");
        let outcome: Value = serde_json::from_str(&out).unwrap();
        assert_eq!((&outcome["status"], &outcome["steps"]), (&"applied".into(), &3.into()), "{name}: {outcome}");
        let answer = outcome["answer"].as_str().unwrap();
        assert!(answer.contains("Done: both are in 😀 order."), "{name}: {answer}");
        assert_eq!(std::fs::read_to_string(work.join("one.txt")).unwrap(), "the 1️⃣ first file\n", "{name}");
        // This server counts no tokens in Ollama's protocol.
        if name != "ollama" {
            let tokens = (&outcome["usage"]["inputTokens"], &outcome["usage"]["outputTokens"]);
            assert_eq!(tokens, (&7500.into(), &157.into()), "{name}: {outcome}");
        }

        let asked = server.journal(path);
        assert_eq!(asked.len(), 3, "{name}");
        assert_eq!(calls(&asked[1]), ["read_file"; 3], "{name}");
        assert_eq!(
            calls(&asked[2]),
            ["read_file", "read_file", "read_file", "grep", "list_dir", "edit_file"],
            "{name}"
        );
        for (body, wanted) in [
            (&asked[1], ["first file", "second file", "third 🐟 file"]),
            (&asked[2], ["one.txt", "two.txt", "1️⃣ first"]),
        ] {
            let results = last_results(body);
            assert_eq!(results.len(), 3, "{name}: {body}");
            for (result, wanted) in results.iter().zip(wanted) {
                assert!(result.contains(wanted), "{name}: {result}");
            }
        }
    }
}
