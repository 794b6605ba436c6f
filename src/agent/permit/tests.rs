//! What the user is shown.

use super::*;
use crate::config::{Permissions, Rule};
use crate::paths::{Root, Roots, WsPath};
use crate::tools::command::Programs;

fn message(line: &str, permissions: &Permissions, level: Level, cwd: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("sub")).unwrap();
    let roots = Roots::new(vec![Root::open("root", folder.path()).unwrap()]);
    let cwd: WsPath = roots.resolve(cwd).unwrap();
    let programs = Programs::new(Some("/usr/bin:/bin".as_ref()));
    let policy = Policy { permissions, programs: &programs, level: &|| level, trusted: true };
    let call = CommandCall::new(line.to_owned(), cwd.clone());
    let found = policy.assess("run_command", &Default::default(), Some(Command { line, cwd: &cwd }));
    assert_eq!(found.verdict, Verdict::Ask);
    let reason = (level != Level::Full).then(|| "user namespaces are refused".to_owned());
    command_message(&call, &found, &Support { level, overlay: false, reason, mend: None })
}

fn plain(line: &str) -> String {
    message(line, &Permissions::default(), Level::Full, ".")
}

#[test]
fn a_question_shows_the_whole_command_the_folder_the_reason_and_the_sandbox() {
    assert_eq!(
        plain("cargo   check --all"),
        "Ropeway wants to run: cargo check --all — No rule of yours allows it. Sandbox: full."
    );
    assert_eq!(
        message("ls", &Permissions::default(), Level::Partial, "sub"),
        "Ropeway wants to run in sub: ls — No rule of yours allows it. Sandbox: partial (user namespaces are refused)."
    );
    let ask = Rule { tool: "run_command".into(), pattern: Some("git push".into()) };
    let rules = Permissions { ask: vec![ask], ..Permissions::default() };
    assert_eq!(
        message("true && git -C . push", &rules, Level::Full, "."),
        "Ropeway wants to run: true && git -C . push — `git -C . push`: your rule asks for this \
         (`run_command(git push)`). Sandbox: full."
    );
}

#[test]
fn nothing_in_a_command_can_hide_turn_round_or_push_away_what_runs() {
    for line in [
        "echo \u{1b}[2J\u{1b}[1;1Hls; rm -rf x",
        "echo \u{202e}fr- mr\u{202c}; rm x",
        "ls \r\nrm x",
        "ls\u{200b}\u{2066} x # \u{2069}",
        "ls\u{0}\u{7f}\u{85}\u{9b}31m",
        "ls \u{feff}\u{e0041}\u{3164}x",
    ] {
        let shown = plain(line);
        let bad = shown.chars().find(|ch| {
            ch.is_control() || matches!(*ch, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{3164}' | '\u{e0000}'..='\u{e0fff}')
        });
        assert_eq!(bad, None, "{shown}");
    }
    let shown = plain(&format!("ls{}; rm x", " ".repeat(3000)));
    assert!(shown.contains("ls; rm x"), "{shown}");
    let shown = plain(&format!("ls{}$(rm x)", " ".repeat(3000)));
    assert!(shown.len() < 300 && shown.contains("$(rm x)"), "{shown}");
    let long = format!("echo {} $(rm y)", "x".repeat(4000));
    assert!(plain(&long).contains("$(rm y)"), "all of it is shown");
}

#[test]
fn the_reason_for_paths_is_the_rule_or_what_the_file_may_hold() {
    let folder = tempfile::tempdir().unwrap();
    let roots = Roots::new(vec![Root::open("root", folder.path()).unwrap()]);
    let programs = Programs::default();
    let rule = |pattern: &str| Rule { tool: "read_file".into(), pattern: Some(pattern.to_owned()) };
    let permissions = Permissions { ask: vec![rule("docs/**")], ..Permissions::default() };
    let policy = Policy { permissions: &permissions, programs: &programs, level: &|| Level::Full, trusted: true };
    let asked = |path: &str| {
        let effect = crate::tools::Effect::reads(crate::tools::Scope::File(roots.resolve(path).unwrap()));
        paths_message(&format!("Read {path}"), &policy.assess("read_file", &effect, None))
    };
    assert_eq!(asked("docs/a"), "Ropeway wants to: Read docs/a. Your rule `read_file(docs/**)` asks for this.");
    assert_eq!(asked(".env"), "Ropeway wants to: Read .env. .env may hold secrets, and the model would see it.");
    assert!(asked("docs/.env").contains("may hold secrets"));
    assert!(!asked("docs/\u{202e}a").contains('\u{202e}'));
}
