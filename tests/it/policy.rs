//! `ropeway policy` as its user sees it, and the policy against what commands really do.

#![expect(clippy::disallowed_methods, reason = "the tests write the files that the program reads")]

#[cfg(target_os = "linux")]
mod inside;
#[cfg(target_os = "linux")]
mod lines;
#[cfg(target_os = "linux")]
mod oracle;

use std::process::Command;

use serde_json::{Value, json};

struct Place(tempfile::TempDir);

impl Place {
    fn with(rules: &str) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        std::fs::write(place.0.path().join("config.toml"), rules).unwrap();
        std::fs::write(place.0.path().join("a.txt"), "one\n").unwrap();
        place
    }

    /// Exit code, standard output, standard error.
    fn run(&self, words: &[&str]) -> (i32, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ropeway"));
        command.args(["policy"]).args(words).current_dir(self.0.path()).env_clear();
        command.env("HOME", self.0.path()).env("ROPEWAY_CONFIG", self.0.path().join("config.toml"));
        command.env("ROPEWAY_STATE_DIR", self.0.path().join("state")).env("PATH", "/usr/bin:/bin");
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    fn check(&self, tool: &str, arguments: Value) -> Value {
        let (code, out, err) = self.run(&["check", "--json", tool, &arguments.to_string()]);
        assert_eq!((code, err.as_str()), (0, ""), "{out}");
        serde_json::from_str(&out).unwrap()
    }
}

#[test]
fn check_tells_the_verdict_the_rule_the_reason_and_each_part() {
    let place = Place::with("[permissions]\nallow = [\"run_command(true)\"]\ndeny = [\"run_command(rm)\"]\n");
    let found = place.check("run_command", json!({"command": "true && env -i rm -rf x"}));
    assert_eq!(found["verdict"], "deny", "{found}");
    assert_eq!(found["rule"], "run_command(rm)");
    assert_eq!(found["parts"].as_array().unwrap().len(), 2);
    assert_eq!(found["parts"][1]["text"], "env -i rm -rf x");
    assert!(found["reason"].is_string() && found["parts"][1]["reason"].is_string());
    let keys: Vec<&String> = found.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["parts", "reason", "rule", "verdict"], "as the contract has it");
    assert_eq!(place.check("run_command", json!({"command": "ls"}))["verdict"], "ask");
    assert_eq!(place.check("read_file", json!({"path": "a.txt"}))["verdict"], "allow");
    assert_eq!(place.check("read_file", json!({"path": ".env"}))["verdict"], "ask");
    assert_eq!(place.check("create_file", json!({"path": ".git/hooks/x", "text": ""}))["verdict"], "deny");
}

#[test]
fn check_for_people_shows_what_was_understood_and_hides_nothing() {
    let place = Place::with("");
    let (code, out, _) = place.run(&["check", "run_command", r#"{"command": "ls   -l|wc"}"#]);
    assert_eq!(code, 0);
    assert!(out.starts_with("ask: no rule of yours allows it\n") && out.contains("read as: ls -l | wc\n"), "{out}");
    let (_, out, _) = place.run(&["check", "run_command", r#"{"command": "ls \u001b[2J\u202e$(rm x)"}"#]);
    assert!(out.contains("not read as plain commands") && out.contains("\\u{1b}[2J\\u{202e}"), "{out:?}");
    assert!(out.contains("rm x") && !out.contains('\u{1b}'), "{out:?}");
}

#[test]
fn a_call_that_cannot_be_understood_exits_with_2() {
    let place = Place::with("");
    for (tool, arguments, says) in [
        ("fly", "{}", "there is no tool `fly`"),
        ("run_command", "{", "cut off"),
        ("run_command", r#"{"command": ""}"#, "empty"),
        ("read_file", r#"{"path": "../x"}"#, ".."),
    ] {
        let (code, out, err) = place.run(&["check", tool, arguments]);
        assert_eq!((code, out.as_str()), (2, ""), "{tool}: {err}");
        assert!(err.contains(says), "{tool}: {err}");
    }
    assert_eq!(place.run(&["forget"]).0, 2);
}

#[test]
fn what_was_allowed_for_good_is_listed_counts_and_can_be_taken_back() {
    let place = Place::with("");
    let (code, out, _) = place.run(&["list"]);
    assert_eq!((code, out.as_str()), (0, "nothing was allowed for good\n"));
    let state = place.0.path().join("state");
    std::fs::create_dir(&state).unwrap();
    let root = std::fs::canonicalize(place.0.path()).unwrap();
    #[cfg(unix)]
    let identity = {
        use std::os::unix::fs::MetadataExt;
        let found = std::fs::metadata(&root).unwrap();
        json!([found.dev(), found.ino()])
    };
    #[cfg(not(unix))]
    let identity = Value::Null;
    let entry = |argv: Value| {
        let what = json!({"root": root, "identity": identity, "cwd": "", "parts": [["", argv, []]]});
        json!({"since": 1, "what": what})
    };
    let entries = json!([entry(json!(["ls", "-l"])), entry(json!(["touch", "x"]))]);
    let file = state.join("approvals.json");
    std::fs::write(&file, json!({"version": 1, "allowed": entries}).to_string()).unwrap();
    #[cfg(unix)]
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();

    let verdict = |line: &str| place.check("run_command", json!({"command": line}))["verdict"].clone();
    assert_eq!(verdict("ls -l"), "allow");
    assert_eq!(verdict("ls  '-l'"), "allow", "the same words");
    assert_eq!(verdict("ls -la"), "ask");
    assert_eq!(verdict("ls -l; true"), "ask");
    assert_eq!(verdict("touch x"), "ask", "an entry does not make a command one that only reads");

    let (_, out, _) = place.run(&["list", "--json"]);
    let listed: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(listed["allowed"][0]["command"], "ls -l");
    let id = listed["allowed"][0]["id"].as_str().unwrap();
    assert_eq!(place.run(&["forget", id]).0, 0);
    assert_eq!(place.run(&["forget", id]).0, 1, "it is gone");
    assert_eq!(verdict("ls -l"), "ask");
    std::fs::write(&file, "{").unwrap();
    assert_eq!(place.run(&["list"]).0, 1);
    assert_eq!(place.run(&["forget", "--all"]).0, 0);
    assert_eq!(place.run(&["list"]).0, 0);
}
