//! A key that must never be seen: the real program is run with it, its provider gives it back in every form, and then
//! everything that was written anywhere is searched.

#![expect(clippy::disallowed_methods, reason = "the tests look at the files from outside")]

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::support::model::{Model, Turn};

const KEY: &str = "canary+7f3a/Q9zK2mXw8=tR";
/// Base64 of the key, of `user:KEY` and of `Bearer KEY`.
const ENCODED: [&str; 3] = [
    "Y2FuYXJ5KzdmM2EvUTl6SzJtWHc4PXRS",
    "dXNlcjpjYW5hcnkrN2YzYS9ROXpLMm1Ydzg9dFI=",
    "QmVhcmVyIGNhbmFyeSs3ZjNhL1E5eksybVh3OD10Ug==",
];
/// What may stand nowhere: the key in each spelling, and parts of it that are long enough to matter.
const TRACES: [&str; 6] =
    ["canary+7f3a", "canary%2B7f3a", "Y2FuYXJ5KzdmM2EvUTl6", "YW5hcnkrN2YzYS9R", "bmFyeSs3ZjNhL1E5", "Q9zK2mXw8"];

struct Place {
    dir: tempfile::TempDir,
    model: Model,
}

impl Place {
    fn new() -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap(), model: Model::start() };
        for name in ["work", "state"] {
            std::fs::create_dir(place.dir.path().join(name)).unwrap();
        }
        let config = format!(
            "model = \"test/m\"\n[providers.test]\nkind = \"openai\"\nbase_url = \"{}\"\napi_key_env = \"TEST_API_KEY\"\n[llm]\nmax_retries = 1\n",
            place.model.openai_url()
        );
        std::fs::write(place.dir.path().join("config.toml"), config).unwrap();
        place
    }

    fn start(&self, args: &[&str]) -> Child {
        Command::new(env!("CARGO_BIN_EXE_ropeway"))
            .args(args)
            .env_clear()
            .env("HOME", self.dir.path())
            .env("ROPEWAY_CONFIG", self.dir.path().join("config.toml"))
            .env("ROPEWAY_STATE_DIR", self.dir.path().join("state"))
            .env("ROPEWAY_LOG", "trace")
            .env("TEST_API_KEY", KEY)
            .current_dir(self.dir.path().join("work"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Answers that give the key back, as providers and the proxies before them do.
    fn script(&self) {
        let url = "canary%2B7f3a%2FQ9zK2mXw8%3DtR";
        let echo = format!("wrong key {KEY}, header Bearer {KEY}, {url}, {}", ENCODED.join(", "));
        let echoed = json!({"error": {"message": echo, "code": KEY, "type": KEY}}).to_string();
        self.model.script([
            Turn::failure(503, &[("x-request-id", KEY), ("retry-after-ms", "1")], &echoed),
            Turn::failure(401, &[("x-request-id", KEY)], &echoed),
        ]);
    }

    /// Everything that was written below the place, the configuration not counted: it has no key.
    fn search(&self, mut sinks: Vec<(String, Vec<u8>)>) {
        gather(self.dir.path(), &mut sinks);
        assert!(sinks.iter().any(|(_, bytes)| !bytes.is_empty()));
        for (sink, bytes) in sinks {
            let text = String::from_utf8_lossy(&bytes);
            for trace in TRACES {
                let at = text.find(trace);
                assert!(
                    at.is_none(),
                    "{sink}: {}",
                    &text[at.unwrap_or(0).saturating_sub(200)..][..300.min(text.len())]
                );
            }
        }
    }
}

fn gather(dir: &Path, sinks: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            gather(&path, sinks);
        } else {
            sinks.push((path.display().to_string(), std::fs::read(&path).unwrap()));
        }
    }
}

#[test]
fn a_run_on_the_command_line_shows_the_key_nowhere() {
    let place = Place::new();
    place.script();
    let log = place.dir.path().join("log.txt");
    let run = place.start(&["run", "say hello", "--log-file", log.to_str().unwrap(), "--verbose", "--verbose"]);
    let output = run.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("wrong key [key]"), "{said}");
    let logged = std::fs::read_to_string(&log).unwrap();
    let lines: Vec<Value> = logged.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().any(|line| line.to_string().contains("[key]")), "it would have stood in the log, too");
    let sent = place.model.requests();
    assert_eq!((sent.len(), sent[0].header("authorization")), (2, Some(&*format!("Bearer {KEY}"))), "{said}");
    place.search(vec![("stdout".into(), output.stdout), ("stderr".into(), output.stderr)]);
}

#[test]
fn a_server_shows_the_key_nowhere_and_leaves_no_core() {
    let place = Place::new();
    place.script();
    let log = place.dir.path().join("log.txt");
    let mut server = place.start(&["serve", "--stdio", "--log-file", log.to_str().unwrap(), "--verbose"]);
    let mut input = server.stdin.take().unwrap();
    let mut output = BufReader::new(server.stdout.take().unwrap());
    let mut seen = Vec::new();
    let mut send = |message: Value| {
        let body = message.to_string();
        write!(input, "Content-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        input.flush().unwrap();
    };
    let root = format!("file://{}", place.dir.path().join("work").display());
    let folders = json!([{"uri": root, "name": "w"}]);
    send(json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"processId": null, "rootUri": root,
        "workspaceFolders": folders, "capabilities": {},
        "initializationOptions": {"events": true, "status": true, "trusted": true}}}));
    answer(&mut output, &mut seen, 1);
    #[cfg(target_os = "linux")]
    {
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.id())).unwrap();
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
    }
    send(json!({"jsonrpc": "2.0", "method": "initialized", "params": {}}));
    let order = json!({"action": "task", "prompt": "hello", "wait": true});
    send(json!({"jsonrpc": "2.0", "id": 2, "method": "workspace/executeCommand",
        "params": {"command": "ropeway.run", "arguments": [order]}}));
    let outcome = answer(&mut output, &mut seen, 2);
    assert_eq!(outcome["result"]["error"]["code"], "auth", "{outcome}");
    for (id, what) in [(3, "http"), (4, "cache"), (5, "tools"), (6, "iterations")] {
        send(json!({"jsonrpc": "2.0", "id": id, "method": "workspace/executeCommand",
            "params": {"command": "ropeway.analytics", "arguments": [{"what": what}]}}));
        answer(&mut output, &mut seen, id);
    }
    send(json!({"jsonrpc": "2.0", "id": 9, "method": "shutdown"}));
    answer(&mut output, &mut seen, 9);
    send(json!({"jsonrpc": "2.0", "method": "exit"}));
    output.read_to_end(&mut seen).unwrap();
    let rest = server.wait_with_output().unwrap();
    assert_eq!(rest.status.code(), Some(0));
    assert_eq!(place.model.requests().len(), 2);
    place.search(vec![("stdout".into(), seen), ("stderr".into(), rest.stderr)]);
}

/// Reads until the answer with this id; all that was read is kept.
fn answer(output: &mut impl BufRead, seen: &mut Vec<u8>, id: i64) -> Value {
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            assert!(output.read_line(&mut line).unwrap() > 0, "the server is gone");
            seen.extend_from_slice(line.as_bytes());
            match line.trim_end() {
                "" => break,
                header => {
                    if let Some(value) = header.strip_prefix("Content-Length: ") {
                        length = value.parse().unwrap();
                    }
                }
            }
        }
        let mut body = vec![0; length];
        output.read_exact(&mut body).unwrap();
        seen.extend_from_slice(&body);
        let message: Value = serde_json::from_slice(&body).unwrap();
        if message["id"] == id && message.get("method").is_none() {
            return message;
        }
    }
}
