//! `ropeway init`: the file it writes says what is, and nothing is ever overwritten.

use std::io::Write;
use std::process::{Command, Stdio};

use super::{Place, Ran};

const FILE: &str = ".config/ropeway/config.toml";

/// What is in force, without where it comes from.
fn in_force(place: &Place) -> Vec<String> {
    let ran = place.run(&["config", "show"], &[]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    let lines = ran.out.lines().map(|line| line.split("  #").next().unwrap().trim_end().to_owned());
    lines.filter(|line| !line.starts_with("model = ") && !line.starts_with('#')).collect()
}

#[test]
fn the_file_equals_the_defaults_as_it_is_and_with_every_default_taken_in() {
    let defaults = in_force(&Place::new());
    for provider in ["anthropic", "openai", "google", "ollama"] {
        let place = Place::new();
        let ran = place.run(&["init", "--provider", provider], &[]);
        assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
        assert!(ran.out.contains("config.toml is written") && ran.out.contains("ropeway doctor"), "{}", ran.out);
        let check = place.run(&["config", "check"], &[]);
        assert_eq!((check.code, check.out.lines().count()), (Some(0), 1), "{}", check.out);
        assert_eq!(in_force(&place), defaults);

        let text = std::fs::read_to_string(place.path(FILE)).unwrap();
        let (taken, settings) = uncommented(&text, false);
        assert!(settings > 45, "{settings}");
        let place = Place::new().user(&taken);
        let check = place.run(&["config", "check"], &[]);
        assert_eq!(check.code, Some(0), "{}\n{taken}", check.out);
        assert_eq!(in_force(&place), defaults, "{provider}");

        let (all, more) = uncommented(&text, true);
        assert!(more > settings + 12, "{more}");
        let check = Place::new().user(&all).run(&["config", "check"], &[]);
        assert_eq!((check.code, check.out.lines().count()), (Some(0), 1), "{}\n{all}", check.out);
    }
}

/// The file with its settings taken in, and how many they are: those with a default, or also those that are not set
/// unless somebody sets them and the tables that are examples.
fn uncommented(text: &str, all: bool) -> (String, usize) {
    let (mut taken, mut settings) = (String::new(), 0);
    let (mut explained, mut example) = (String::new(), false);
    for line in text.lines() {
        example = (example || line.starts_with("#[")) && !line.is_empty();
        let setting = line.strip_prefix('#').filter(|rest| rest.starts_with(|ch: char| ch.is_ascii_alphabetic()));
        let wanted = all || !(example || explained.contains("(not set)") || explained.contains("PROVIDER/MODEL"));
        match setting {
            Some(setting) if wanted => {
                assert!(example || !explained.is_empty(), "{setting} is not explained");
                taken.push_str(setting);
                settings += 1;
            }
            None if line.starts_with("#[") && all => taken.push_str(&line[1..]),
            _ => taken.push_str(line),
        }
        if line.starts_with("# ") {
            explained.push_str(line);
        } else {
            explained.clear();
        }
        taken.push('\n');
    }
    (taken, settings)
}

#[test]
fn every_key_of_the_schema_is_in_the_file() {
    let place = Place::new();
    let schema = place.run(&["config", "schema"], &[]).out;
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    let text = place.run(&["init", "--print", "--provider", "openai"], &[]).out;
    for (name, section) in schema["properties"].as_object().unwrap() {
        assert!(text.contains(name.as_str()), "{name}");
        for (key, inner) in section["properties"].as_object().into_iter().flatten() {
            let keys: Vec<String> = match inner["properties"].as_object() {
                Some(below) => below.keys().map(|below| format!("{key}.{below}")).collect(),
                None => vec![key.clone()],
            };
            for key in keys {
                assert!(text.contains(&format!("\n#{key} = ")), "{name}: {key}");
            }
        }
    }
}

#[test]
fn nothing_is_overwritten_not_even_a_link_that_leads_nowhere() {
    let place = Place::new().user("# mine\n");
    let ran = place.run(&["init", "--provider", "openai"], &[]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""));
    assert!(ran.err.contains("is there already") && ran.err.contains("--print"), "{}", ran.err);
    assert_eq!(std::fs::read_to_string(place.path(FILE)).unwrap(), "# mine\n");
    // To standard output it can go all the same.
    let ran = place.run(&["init", "--print", "--provider", "openai"], &[]);
    assert!(ran.code == Some(0) && ran.out.contains("model = \"openai/"), "{}", ran.out);

    let place = Place::new();
    let named = place.path("elsewhere/own.toml");
    std::fs::create_dir(place.path("elsewhere")).unwrap();
    std::os::unix::fs::symlink("nowhere", &named).unwrap();
    let env = [("ROPEWAY_CONFIG", named.to_str().unwrap())];
    assert_eq!(place.run(&["init", "--provider", "openai"], &env).code, Some(1));
    assert!(!place.path("elsewhere/nowhere").exists());
}

#[test]
fn only_the_owner_can_read_it_and_no_key_is_in_it() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let env = [("OPENAI_API_KEY", "sk-canary-canary"), ("ROPEWAY_MODEL", "openai/canary")];
    assert_eq!(place.run(&["init", "--provider", "openai"], &env).code, Some(0));
    let mode = |path: &str| place.path(path).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(FILE), mode(".config/ropeway")), (0o600, 0o700));
    assert!(!std::fs::read_to_string(place.path(FILE)).unwrap().contains("canary"));
}

#[test]
fn without_a_terminal_the_provider_has_to_be_said() {
    let place = Place::new();
    let ran = place.run(&["init"], &[]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""));
    assert!(ran.err.contains("--provider: anthropic, openai, google, ollama"), "{}", ran.err);
    assert!(!place.path(FILE).exists());
    let ran = place.run(&["init", "--provider", "bogus"], &[]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""));
    // Where no file can be made, it says why and leaves nothing behind.
    std::fs::write(place.path("file"), "").unwrap();
    let below = place.path("file/config.toml");
    let ran = place.run(&["init", "--provider", "openai"], &[("ROPEWAY_CONFIG", below.to_str().unwrap())]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("cannot write"), "{}", ran.err);
}

/// Runs `init` on a terminal of its own and types this; what it says goes to the terminal.
fn on_a_terminal(place: &Place, typed: &str, env: &[(&str, &str)]) -> Ran {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap().into_string().unwrap();
    let theirs = std::fs::OpenOptions::new().read(true).write(true).open(name).unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_ropeway"))
        .arg("init")
        .env_clear()
        .env("HOME", place.path(""))
        .envs(env.iter().copied())
        .current_dir(place.path(""))
        .stdin(theirs.try_clone().unwrap())
        .stderr(theirs)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut terminal = std::fs::File::from(ours);
    terminal.write_all(typed.as_bytes()).unwrap();
    // A person's view is read until nobody holds the other end any more.
    let mut view = terminal.try_clone().unwrap();
    let reader = std::thread::spawn(move || {
        let mut seen = Vec::new();
        let mut piece = [0; 4096];
        while let Ok(count @ 1..) = std::io::Read::read(&mut view, &mut piece) {
            seen.extend_from_slice(&piece[..count]);
        }
        String::from_utf8_lossy(&seen).into_owned()
    });
    let output = child.wait_with_output().unwrap();
    let err = reader.join().unwrap();
    Ran { code: output.status.code(), out: String::from_utf8(output.stdout).unwrap(), err }
}

#[test]
fn on_a_terminal_it_asks_which_provider() {
    for (typed, env, model) in [
        ("2\n", None, "model = \"openai/"),
        ("Google\n", None, "model = \"google/"),
        ("\n", None, "model = \"anthropic/"),
        ("\n", Some(("GEMINI_API_KEY", "canary")), "model = \"google/"),
        ("7\nbogus\n4\n", None, "#model = \"ollama/"),
    ] {
        let place = Place::new();
        let ran = on_a_terminal(&place, typed, env.as_slice());
        assert_eq!(ran.code, Some(0), "{typed:?}: {}", ran.err);
        assert!(ran.err.contains("Which provider?") && !ran.err.contains("canary"), "{}", ran.err);
        let text = std::fs::read_to_string(place.path(FILE)).unwrap();
        assert!(text.lines().any(|line| line.starts_with(model)), "{typed:?}: {text}");
    }
    // Three answers that are none, or the end of the input: nothing is written.
    for typed in ["x\ny\nz\n", "\u{4}"] {
        let place = Place::new();
        let ran = on_a_terminal(&place, typed, &[]);
        assert_eq!(ran.code, Some(1), "{}", ran.err);
        assert!(!place.path(FILE).exists());
    }
}
