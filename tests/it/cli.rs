//! The program itself, with an environment of its own: what it prints, where, and its exit codes.

#![expect(clippy::disallowed_methods, reason = "the tests write the files that the program reads")]

mod bench;
mod doctor;
mod init;
mod words;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
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
