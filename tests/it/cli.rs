//! The program itself, with an environment of its own: what it prints, where, and its exit codes.

#![expect(clippy::disallowed_methods, reason = "the tests write the files that the program reads")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value as Json;

/// A directory to work in, which is also the home.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn user(self, text: &str) -> Self {
        let dir = self.dir.path().join(".config/ropeway");
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("config.toml"), text).unwrap();
        self
    }

    fn file(self, name: &str, text: &str) -> Self {
        std::fs::write(self.dir.path().join(name), text).unwrap();
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn run(&self, args: &[&str], env: &[(&str, &str)]) -> Ran {
        let output = Command::new(env!("CARGO_BIN_EXE_ropeway"))
            .args(args)
            .env_clear()
            .env("HOME", self.dir.path())
            .envs(env.iter().copied())
            .current_dir(self.dir.path())
            .output()
            .unwrap();
        Ran::of(output)
    }
}

struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Ran {
    fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

#[test]
fn the_version_is_printed_and_nothing_else() {
    let ran = Place::new().run(&["--version"], &[]);
    assert_eq!(
        (ran.code, ran.out.as_str(), ran.err.as_str()),
        (Some(0), concat!("ropeway ", env!("CARGO_PKG_VERSION"), "\n"), "")
    );
}

#[test]
fn help_names_every_subcommand() {
    let ran = Place::new().run(&["--help"], &[]);
    assert_eq!(ran.code, Some(0));
    for name in ["serve", "doctor", "config"] {
        assert!(ran.out.contains(name), "{}", ran.out);
    }
}

#[test]
fn a_command_line_that_cannot_be_understood_exits_with_2_and_prints_nothing_on_standard_output() {
    for (args, words) in [
        (&["bogus"][..], "unrecognized subcommand"),
        (&["--bogus"], "unexpected argument"),
        (&["doctr"], "doctor"),
        (&["-q", "-v"], "cannot be used with"),
        (&["--stdio", "doctor"], "belong to `serve`"),
        (&["--stdio", "--listen", "127.0.0.1:0"], "cannot be used with"),
        (&["--listen", "0.0.0.0:4000"], "only an address of this machine"),
        (&["serve", "--listen", "[::]:4000"], "only an address of this machine"),
        (&["serve", "--listen", "192.168.0.1:4000"], "only an address of this machine"),
        (&["serve", "--listen", "example.com:80"], "write 127.0.0.1:PORT"),
        (&["config"], "Usage"),
    ] {
        let ran = Place::new().run(args, &[]);
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{args:?}: {}", ran.err);
        assert!(ran.err.contains(words), "{args:?}: {}", ran.err);
    }
}

#[test]
fn config_show_gives_each_value_with_its_origin() {
    let place = Place::new()
        .user("model = \"openai/m\"\n[providers.openai]\nheaders = { x-team = \"canary\" }\n")
        .file("ropeway.toml", "[agent]\nmax_steps = 7\n");
    let ran = place.run(&["config", "show"], &[("ROPEWAY_MAX_PARALLEL", "3"), ("OPENAI_API_KEY", "sk-canary")]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    let origin = |line: &str| {
        let found = ran.out.lines().find_map(|shown| shown.strip_prefix(line));
        found.unwrap_or_else(|| panic!("{line} in {}", ran.out)).trim().trim_start_matches("# ").to_owned()
    };
    assert_eq!(origin("model = \"openai/m\""), format!("{}:1:9", place.path(".config/ropeway/config.toml").display()));
    assert!(origin("agent.max_steps = 7").ends_with("ropeway.toml:2:13"));
    assert_eq!(origin("tools.max_parallel = 3"), "environment ROPEWAY_MAX_PARALLEL");
    assert_eq!(origin("edits.mode = \"apply\""), "default");
    assert!(!ran.out.contains("canary"), "{}", ran.out);
}

#[test]
fn config_check_tells_everything_with_its_place_and_exits_with_1() {
    let place = Place::new().user("modle = 1\n").file("ropeway.toml", "[providers.x]\nkind = \"openai\"\n");
    let ran = place.run(&["config", "check"], &[]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.out.contains("config.toml:1:1: error: unknown key `modle`; did you mean `model`?"), "{}", ran.out);
    assert!(ran.out.contains("ropeway.toml:2:1: warning: `providers.x.kind` is ignored here"), "{}", ran.out);
    // A warning alone is no failure.
    let ran = place.run(&["config", "check", "ropeway.toml"], &[]);
    assert_eq!((ran.code, ran.out.lines().count()), (Some(0), 1), "{}", ran.out);
}

#[test]
fn config_check_of_a_good_file_says_so_and_of_none_fails() {
    let place = Place::new().file("good.toml", "[agent]\nmax_steps = 3\n").file("bad.toml", "[agent]\nmax_steps = 0\n");
    let ran = place.run(&["config", "check", "good.toml"], &[]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), "good.toml: no problems\n"));
    let ran = place.run(&["config", "check", "bad.toml"], &[]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.out.starts_with("bad.toml:2:13: error: "), "{}", ran.out);
    let ran = place.run(&["config", "check", "absent.toml"], &[]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""));
    assert!(ran.err.contains("cannot check absent.toml"), "{}", ran.err);
    let ran = Place::new().run(&["config", "check"], &[]);
    assert_eq!(ran.code, Some(0));
    assert!(ran.out.contains("there is no configuration file"), "{}", ran.out);
}

/// Answers every connection with 404, like a provider asked for its bare address; gives its port and what it was sent.
fn provider() -> (u16, std::sync::mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, requests) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let Ok(mut connection) = connection else { return };
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"\r\n\r\n") && connection.read(&mut byte).is_ok_and(|n| n > 0) {
                request.push(byte[0]);
            }
            if sender.send(String::from_utf8_lossy(&request).into_owned()).is_err() {
                return;
            }
            let _ = connection.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }
    });
    (port, requests)
}

fn doctor(place: &Place, env: &[(&str, &str)]) -> (Option<i32>, Json) {
    let ran = place.run(&["doctor", "--json"], env);
    assert!(!format!("{}{}", ran.out, ran.err).contains("canary"), "{}", ran.out);
    (ran.code, serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {}{}", ran.out, ran.err)))
}

#[test]
fn doctor_says_that_a_model_with_a_key_and_an_answering_provider_can_run() {
    let (port, requests) = provider();
    let place = Place::new()
        .user(&format!("model = \"openai/m\"\n[providers.openai]\nbase_url = \"http://127.0.0.1:{port}/v1\"\n"));
    let env = [("OPENAI_API_KEY", "sk-canary")];
    let (code, report) = doctor(&place, &env);
    assert_eq!(code, Some(0), "{report:#}");
    assert_eq!(report["model"]["id"], "openai/m");
    assert_eq!(report["model"]["canRun"], true);
    let openai = report["providers"].as_array().unwrap().iter().find(|it| it["name"] == "openai").unwrap().clone();
    assert_eq!(
        (&openai["key"], &openai["reachable"], &openai["status"]),
        (&"present".into(), &true.into(), &404.into())
    );
    let request = requests.recv().unwrap();
    assert!(request.starts_with("GET /v1 HTTP/1.1") && !request.contains("canary"), "{request}");
    let ran = place.run(&["doctor"], &env);
    assert_eq!(ran.code, Some(0));
    assert!(ran.out.contains("openai/m") && ran.out.contains("can run"), "{}", ran.out);
    assert!(!ran.out.contains('\u{1b}'), "no colours but on a terminal");
    assert!(!ran.out.contains("canary"));
}

#[test]
fn doctor_exits_with_1_and_the_mend_when_the_model_cannot_run() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let closed = format!("model = \"openai/m\"\n[providers.openai]\nbase_url = \"http://127.0.0.1:{closed}/v1\"");
    for (user, env, words) in [
        ("", None, "set ANTHROPIC_API_KEY"),
        ("model = \"anthropic/m\"", None, "ANTHROPIC_API_KEY is not set"),
        ("model = \"anthropc/m\"", None, "did you mean `anthropic`?"),
        ("model = \"google/m\"", None, "GEMINI_API_KEY is not set"),
        ("model = ", Some(("ANTHROPIC_API_KEY", "canary")), "config.toml:1:9"),
        (&closed, Some(("OPENAI_API_KEY", "canary")), "cannot be reached"),
    ] {
        let (code, report) = doctor(&Place::new().user(user), env.as_slice());
        assert_eq!((code, &report["model"]["canRun"]), (Some(1), &false.into()), "{user}");
        let reason = report["model"]["reason"].as_str().unwrap();
        assert!(reason.contains(words), "{user}: {reason}");
        let asked = report["providers"].as_array().unwrap().iter().filter(|it| it.get("reachable").is_some());
        // Ollama needs no key, and is at this machine's own address.
        let asked = asked.filter(|it| it["name"] != "ollama");
        assert_eq!(asked.count(), usize::from(user == closed), "an address is called only if its model could run");
    }
}

#[test]
fn doctor_names_the_files_in_effect_with_their_problems() {
    let place = Place::new().user("[agent]\nmax_steps = 0\n").file("ropeway.toml", "[llm]\nhttp2 = false\n");
    let (_, report) = doctor(&place, &[]);
    assert_eq!(report["files"][0]["errors"], 1);
    assert_eq!(report["files"][1]["warnings"], 1);
    assert!(report["files"][1]["path"].as_str().unwrap().ends_with("/ropeway.toml"));
    assert_eq!(report["problems"].as_array().unwrap().len(), 2);
}

#[test]
fn a_log_filter_that_is_none_is_refused_with_an_example() {
    let ran = Place::new().run(&["config", "show"], &[("ROPEWAY_LOG", "ropeway=loud")]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""));
    assert!(ran.err.contains("ROPEWAY_LOG is not a filter"), "{}", ran.err);
}

#[test]
fn a_log_file_that_cannot_be_opened_is_named() {
    let place = Place::new();
    let ran = place.run(&["--log-file", "no/such/dir.log", "config", "show"], &[]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("cannot open the log file no/such/dir.log"), "{}", ran.err);
    assert_eq!(place.run(&["config", "show", "--log-file", "it.log"], &[]).code, Some(0));
    assert!(place.path("it.log").exists());
}

/// A message in its frame.
fn frame(message: &Json) -> Vec<u8> {
    let body = message.to_string();
    format!("Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// The messages in what a server wrote; anything else on its standard output is an error.
fn messages(mut bytes: &[u8]) -> Vec<Json> {
    let mut messages = Vec::new();
    while !bytes.is_empty() {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("a header");
        let header = std::str::from_utf8(&bytes[..end]).unwrap();
        let length = header.lines().find_map(|line| line.strip_prefix("Content-Length: ")).expect("a length");
        let length: usize = length.parse().unwrap();
        let body = &bytes[end + 4..end + 4 + length];
        messages.push(serde_json::from_slice(body).unwrap());
        bytes = &bytes[end + 4 + length..];
    }
    messages
}

fn session(end: &[&str]) -> Vec<u8> {
    let initialize = serde_json::json!({
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": { "processId": null, "rootUri": null, "capabilities": {} },
    });
    let mut bytes = frame(&initialize);
    bytes.extend(frame(&serde_json::json!({ "jsonrpc": "2.0", "method": "initialized", "params": {} })));
    for method in end {
        let mut message = serde_json::json!({ "jsonrpc": "2.0", "method": method });
        if *method == "shutdown" {
            message["id"] = 2.into();
        }
        bytes.extend(frame(&message));
    }
    bytes
}

/// Speaks a whole session over standard input and output, then closes the input.
fn serve(args: &[&str], env: &[(&str, &str)], input: &[u8]) -> (Option<i32>, Vec<Json>, String) {
    let place = Place::new();
    let mut child = Command::new(env!("CARGO_BIN_EXE_ropeway"))
        .args(args)
        .env_clear()
        .env("HOME", place.dir.path())
        .envs(env.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    (output.status.code(), messages(&output.stdout), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_session_that_was_shut_down_exits_with_0_however_it_is_asked_to_serve() {
    for args in [&[][..], &["--stdio"], &["serve"], &["serve", "--stdio"], &["--stdio", "--clientProcessId=1"]] {
        let (code, messages, err) = serve(args, &[], &session(&["shutdown", "exit"]));
        assert_eq!((code, err.as_str()), (Some(0), ""), "{args:?}");
        let answer = messages.iter().find(|message| message["id"] == 1).unwrap();
        assert_eq!(answer["result"]["serverInfo"]["name"], "ropeway", "{answer}");
        assert!(messages.iter().any(|message| message["id"] == 2));
    }
    // Neovim and Helix just close after `shutdown`.
    assert_eq!(serve(&[], &[], &session(&["shutdown"])).0, Some(0));
}

#[test]
fn a_session_that_breaks_off_exits_with_1() {
    assert_eq!(serve(&[], &[], &session(&[])).0, Some(1));
    assert_eq!(serve(&[], &[], &session(&["exit"])).0, Some(1));
    assert_eq!(serve(&[], &[], b"").0, Some(1));
}

#[test]
fn logs_go_to_standard_error_only() {
    let env = [("ROPEWAY_LOG", "trace")];
    let (code, messages, err) = serve(&[], &env, &session(&["shutdown", "exit"]));
    assert_eq!(code, Some(0));
    assert!(messages.len() >= 2 && err.contains("the session has ended"), "{err}");
    let (_, _, err) = serve(&["-v"], &[], &session(&["shutdown", "exit"]));
    assert!(err.contains("INFO") && !err.contains("DEBUG"), "{err}");
}

#[test]
fn one_client_is_served_over_a_loopback_connection() {
    let place = Place::new();
    let mut child = Command::new(env!("CARGO_BIN_EXE_ropeway"))
        .args(["serve", "--listen", "127.0.0.1:0"])
        .env_clear()
        .env("HOME", place.dir.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("ropeway: listening on ").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(&session(&["shutdown", "exit"])).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    assert!(messages(&bytes).iter().any(|message| message["id"] == 2));
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(0), &b""[..]));
}
