//! `ropeway demo` as a newcomer starts it: the real program, its child server, its played model.

#![expect(clippy::disallowed_methods, reason = "the tests write the configuration that the program reads")]

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::support::model::{Model, Turn};

/// The demo with a home and a temporary folder of its own, and an environment that must not disturb it.
fn demo(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ropeway"));
    command
        .arg("demo")
        .env_clear()
        .env("HOME", home)
        .env("TMPDIR", home.join("tmp"))
        .env("ROPEWAY_MODEL", "nobody/nothing")
        .env("HTTP_PROXY", "http://127.0.0.1:9")
        .stdin(Stdio::null());
    std::fs::create_dir_all(home.join("tmp")).unwrap();
    command
}

fn left_behind(home: &Path) -> Vec<String> {
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    std::fs::read_dir(home.join("tmp")).unwrap().map(name).collect()
}

#[test]
fn the_demo_mends_the_sample_and_keeps_what_is_typed_meanwhile() {
    let home = tempfile::tempdir().unwrap();
    let output = demo(home.path()).arg("--fast").output().unwrap();
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(0), "{out}\n{err}");
    assert_eq!(err, "");
    for shown in [
        // The timeline: calls of one response side by side, and the typing between them.
        "grep int\\(",
        "read shop/tax.py",
        "edit shop/cart.py",
        "type in shop/cart.py: self.currency = \"EUR\"",
        "┃",
        "◆",
        "of it overlapped",
        // The diff, the agent's lines and the user's.
        "+        self.currency = \"EUR\"   ← what you typed",
        "-        return int(total * (1 - self.discount / 100))",
        "+        return money.percent(total, 100 - self.discount)",
        "+    return int(amount.quantize(Decimal(1), ROUND_HALF_UP))",
        "+    return money.percent(net, PERCENT)",
        // The proof and the numbers.
        "✓ 22 keys pressed in shop/cart.py during the run, all of them in the text",
        "✓ 3 files mended",
        "✓ every edit came through the editor",
        "first token ",
        "tokens ",
        "ropeway doctor",
    ] {
        assert!(out.contains(shown), "`{shown}` is missing in:\n{out}");
    }
    assert!(!out.contains('✗') || out.matches('✗').count() == 1, "only the sample's own complaint fails:\n{out}");
    assert!(!out.contains('\x1b'), "no escape sequences where nobody looks");
    for line in out.lines().filter(|line| !line.contains(" s  ")) {
        assert!(line.chars().count() <= 80, "too wide: {line}");
    }
    assert_eq!(left_behind(home.path()), [] as [&str; 0]);
    #[cfg(target_os = "linux")]
    {
        let server = out.split("process ").nth(1).and_then(|rest| rest.split(')').next()).unwrap();
        assert!(!Path::new("/proc").join(server).exists(), "the server {server} is still there");
    }
}

#[test]
fn a_model_that_cannot_be_used_ends_the_demo_with_the_reason() {
    let home = tempfile::tempdir().unwrap();
    let output = demo(home.path()).args(["--fast", "--model", "nobody/nothing"]).output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(err.contains("there is no provider `nobody`"), "{err}");
    assert_eq!(left_behind(home.path()), [] as [&str; 0]);
}

#[test]
fn a_model_of_the_users_own_can_do_the_work() {
    let home = tempfile::tempdir().unwrap();
    let model = Model::start();
    let config = home.path().join("config.toml");
    let url = model.openai_url();
    std::fs::write(&config, format!("[providers.own]\nkind = \"openai\"\nbase_url = \"{url}\"\n")).unwrap();
    let edit = json!({"path": "shop/cart.py", "old_string": "int(total", "new_string": "round(total"});
    model.script([Turn::calls([("edit_file", edit)]), Turn::text("Rounded — in one place.")]);
    let output = demo(home.path())
        .args(["--fast", "--model", "own/model"])
        .env("ROPEWAY_CONFIG", &config)
        .env("ROPEWAY_STATE_DIR", home.path().join("state"))
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!((output.status.code(), err.as_str()), (Some(0), ""), "{out}");
    for shown in [
        "own/model",
        "Rounded — in one place.",
        "+        return round(total * (1 - self.discount / 100))",
        "← what you typed",
        "✓ 22 keys pressed",
    ] {
        assert!(out.contains(shown), "`{shown}` is missing in:\n{out}");
    }
    assert!(!out.contains("3 files mended"), "only the played model's work is known beforehand:\n{out}");
    assert_eq!(model.turns_left(), 0);
    assert_eq!(left_behind(home.path()), [] as [&str; 0]);
}

#[cfg(unix)]
#[test]
fn an_interrupted_demo_leaves_nothing_behind() {
    let home = tempfile::tempdir().unwrap();
    let mut child = demo(home.path()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("you choose") {
        line.clear();
        assert_ne!(out.read_line(&mut line).unwrap(), 0, "the demo ended before the run");
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!(err, "");
    assert_eq!(left_behind(home.path()), [] as [&str; 0]);
}

#[test]
fn the_report_of_the_run_is_left_where_it_is_wanted() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("run.html");
    let output = demo(home.path()).args(["--fast", "--report"]).arg(&file).output().unwrap();
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!((output.status.code(), err.as_str()), (Some(0), ""), "{out}");
    assert!(out.contains("run.html"), "{out}");
    let page = std::fs::read_to_string(&file).unwrap();
    for said in ["Model call 3", "<span class=\"path\">shop/money.py</span>", "You typed", "Delivered"] {
        assert!(page.contains(said), "{said} is not in the page");
    }
}
