//! What is said of the commands, in several places, agrees: help, completions, manual pages, README.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

use super::Place;

/// Every command and what it can be asked, as it is promised.
const PROMISED: &[(&str, &[&str])] = &[
    ("serve", &["--stdio", "--listen"]),
    ("demo", &["--model"]),
    ("run", &["-C", "--action", "--at", "--apply", "--json", "PROMPT"]),
    ("init", &["--provider", "--print"]),
    ("doctor", &["--json"]),
    ("config", &["show", "check", "schema"]),
    ("config check", &["FILE"]),
    ("config schema", &["--project"]),
    ("tokens", &["--model", "FILE"]),
    ("policy", &["check", "list", "forget"]),
    ("policy check", &["--json", "TOOL", "ARGS_JSON"]),
    ("bench", &["--json", "--save", "--compare", "--max-regression"]),
    ("sessions", &["list", "show", "export", "replay"]),
    ("sessions list", &["--json"]),
    ("sessions show", &["ID"]),
    ("sessions export", &["ID", "--format", "json", "html", "chrome-trace", "--output"]),
    ("sessions replay", &["ID"]),
    ("completions", &["bash", "zsh", "fish", "elvish", "powershell"]),
    ("man", &["--dir"]),
];

fn help_of(words: &str) -> Vec<&str> {
    words.split_whitespace().chain(["--help"]).collect()
}

fn help(words: &str) -> String {
    let ran = Place::new().run(&help_of(words), &[]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{words}");
    ran.out
}

/// The commands that the help names, besides `help` itself.
fn commands() -> BTreeSet<String> {
    let help = help("");
    let (_, list) = help.split_once("\nCommands:\n").unwrap();
    let list = list.split("\n\n").next().unwrap();
    let first = list.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    first.map(|line| line.split_whitespace().next().unwrap().to_owned()).filter(|name| name != "help").collect()
}

#[test]
fn every_command_says_in_its_help_what_is_promised_of_it() {
    for (command, words) in PROMISED {
        let help = help(command);
        for word in *words {
            assert!(help.contains(word), "{command}: {word} is missing in\n{help}");
        }
    }
    let promised: BTreeSet<String> =
        PROMISED.iter().map(|(name, _)| (*name).to_owned()).filter(|name| !name.contains(' ')).collect();
    assert_eq!(commands(), promised);
}

#[test]
fn the_readme_lists_every_command_and_no_other() {
    let readme = include_str!("../../../README.md");
    let (_, table) = readme.split_once("| command |").unwrap();
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let mut listed = BTreeSet::new();
    for row in rows {
        let (usage, said) = row.trim_start_matches("| `ropeway ").split_once("` |").unwrap();
        let mut words = usage.split(' ');
        let command = words.next().unwrap();
        listed.insert(command.to_owned());
        // What the row says can be asked for can be.
        let help = help(command);
        for below in words.next().into_iter().filter(|word| word.contains('|')).flat_map(|word| word.split("\\|")) {
            let of = format!("{command} {below}");
            assert!(help.contains(&format!("\n  {below}")) && !self::help(&of).is_empty(), "{of} is not in\n{help}");
        }
        for option in said.split('`').skip(1).step_by(2).filter(|quoted| quoted.starts_with("--")) {
            for option in option.split_whitespace().filter(|word| word.starts_with("--")) {
                let below = ["", " list", " export", " check", " schema"].map(|below| format!("{command}{below}"));
                let known = below.iter().any(|of| Place::new().run(&help_of(of), &[]).out.contains(option));
                assert!(known, "{option} of {row}");
            }
        }
    }
    assert_eq!(listed, commands());
}

/// The variables that are promised.
const VARIABLES: [&str; 11] = [
    "ROPEWAY_MODEL",
    "ROPEWAY_PROFILE",
    "ROPEWAY_CONFIG",
    "ROPEWAY_STATE_DIR",
    "ROPEWAY_MAX_PARALLEL",
    "ROPEWAY_PARALLEL_TOOLS",
    "ROPEWAY_STREAM_DISPATCH",
    "ROPEWAY_CONFIG_CACHE_TTL",
    "ROPEWAY_BACKGROUND_IO",
    "ROPEWAY_LOG",
    "ROPEWAY_OFF",
];

#[test]
fn the_manual_and_the_doctor_know_every_variable_and_no_other() {
    let place = Place::new();
    let page = place.run(&["man"], &[]).out;
    let (_, section) = page.split_once(".SH ENVIRONMENT").unwrap();
    let plain = page.replace("\\fB", " ").replace("\\fI", " ");
    let named: BTreeSet<&str> = plain
        .split(|ch: char| !ch.is_ascii_uppercase() && ch != '_')
        .filter(|word| word.starts_with("ROPEWAY_") && *word != "ROPEWAY_")
        .collect();
    assert_eq!(named, BTreeSet::from(VARIABLES));
    for name in VARIABLES {
        assert!(section.contains(name), "{name}");
        let report = place.run(&["doctor", "--json"], &[(name, "warn")]).out;
        let report: serde_json::Value = serde_json::from_str(&report).unwrap();
        let found = report["environment"].as_array().unwrap().iter().find(|variable| variable["name"] == name);
        assert!(found.is_some_and(|variable| variable.get("problem").is_none()), "{name}: {report}");
    }
}

/// What a program says to an input.
fn piped(program: &str, args: &[&str], input: &str) -> (bool, String, String) {
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

#[test]
fn bash_completes_commands_and_options() {
    let script = Place::new().run(&["completions", "bash"], &[]);
    assert_eq!((script.code, script.err.as_str()), (Some(0), ""));
    for (line, expected) in [
        ("doc", &["doctor"][..]),
        ("doctor --j", &["--json"]),
        ("config ", &["show", "check"]),
        ("policy check --", &["--json", "--quiet"]),
        ("completions z", &["zsh"]),
        ("run --app", &["--apply"]),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let (last, before) = (words[words.len() - 1], words.len());
        let previous = if before > 1 { words[before - 2] } else { "ropeway" };
        let ask = format!(
            "{}\ncomplete -p ropeway >/dev/null || exit 3\nCOMP_WORDS=(ropeway {} '{last}')\nCOMP_CWORD={before}\n\
             _ropeway ropeway '{last}' '{previous}'\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"\n",
            script.out,
            words[..before - 1].join(" ")
        );
        let (ok, out, err) = piped("bash", &["--norc", "-s"], &ask);
        assert!(ok && err.is_empty(), "{line}: {err}");
        for word in expected {
            assert!(out.lines().any(|found| found == *word), "{line}: {word} is missing in {out}");
        }
    }
}

#[test]
fn every_shell_has_its_completions_and_no_other_word_is_one() {
    for (shell, mark) in [
        ("zsh", "#compdef ropeway"),
        ("fish", "complete -c ropeway"),
        ("elvish", "edit:completion:arg-completer[ropeway]"),
        ("powershell", "Register-ArgumentCompleter"),
    ] {
        let ran = Place::new().run(&["completions", shell], &[]);
        assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{shell}");
        assert!(ran.out.contains(mark) && ran.out.contains("doctor"), "{shell}: {}", ran.out);
    }
    assert_eq!(Place::new().run(&["completions", "tcsh"], &[]).code, Some(2));
}

#[test]
fn every_manual_page_is_set_without_a_warning() {
    let place = Place::new();
    let ran = place.run(&["man", "--dir", "pages"], &[]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    let mut pages = BTreeSet::new();
    for entry in std::fs::read_dir(place.path("pages")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let (ok, shown, warnings) = piped("groff", &["-man", "-Tascii", "-ww", "-P-cbou"], &text);
        assert!(ok && warnings.is_empty(), "{}: {warnings}", path.display());
        assert!(shown.contains("NAME") && shown.contains("SYNOPSIS"), "{shown}");
        pages.insert(path.file_name().unwrap().to_str().unwrap().to_owned());
    }
    for command in commands() {
        assert!(pages.contains(&format!("ropeway-{command}.1")), "{command} in {pages:?}");
    }
    // One by one they go to standard output.
    let top = place.run(&["man"], &[]);
    assert_eq!(top.out, std::fs::read_to_string(place.path("pages/ropeway.1")).unwrap());
    for words in ["ROPEWAY_MODEL", "EXIT STATUS", "config.toml", "ropeway\\-doctor(1)"] {
        assert!(top.out.contains(words), "{words} is missing in {}", top.out);
    }
    let one = place.run(&["man", "config", "check"], &[]);
    assert_eq!(one.out, std::fs::read_to_string(place.path("pages/ropeway-config-check.1")).unwrap());
    let none = place.run(&["man", "bogus"], &[]);
    assert_eq!((none.code, none.out.as_str()), (Some(1), ""));
    assert!(none.err.contains("there is no command `bogus`"), "{}", none.err);
}
