//! What a rule hides from the tools, a command that was allowed does not show either.

use ropeway::tools::sandbox::Level;
use serde_json::{Value, json};

use super::Place;

const FILES: [(&str, &str); 7] = [
    (".gitignore", ".env\n"),
    (".env", "canary-env\n"),
    ("deep/er/.env", "canary-deep\n"),
    ("secret/sub/key", "canary-folder\n"),
    ("keys/one.txt", "canary-one\n"),
    ("keys/two.txt", "shown-two\n"),
    ("open/.env", "on disk\n"),
];

/// What commands get to see that look into every file by every means.
fn seen(mut settings: Value, most: Level) -> String {
    settings["permissions"] =
        json!({"deny": ["read_file(**/.env)", "read_file(secret/**)", "read_file(keys/one.txt)"]});
    looked(settings, most, true)
}

/// The results, and after them in one line what has become of two of the files.
fn looked(settings: Value, most: Level, writes: bool) -> String {
    let mut place = Place::with(&FILES, settings, most);
    let uri = place.bench.open("open/.env");
    place.bench.editor.type_at(&uri, 0, "canary-typed\n");
    std::os::unix::fs::symlink("../.env", place.path("keys/link")).unwrap();
    let root = place.path("");
    let mut lines = vec![
        "grep -rs canary . ; cat .e* deep/*/.en? secret/*/* keys/* open/.*v; ls -d keys".to_owned(),
        "rm -rf secret; mv .env other; cp -r deep copied; cat other copied/*/.e*; cat keys/*; echo end".to_owned(),
        format!("cd {}; cat secret/sub/key open/.env; echo end", root.display()),
    ];
    if writes {
        lines.push("echo replaced > .env; echo replaced > open/.env; echo new > fresh.txt".to_owned());
    }
    let (results, _) = place.commands(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    let kept = (place.text(".env"), place.bench.editor.text(&uri).to_owned());
    format!("{}\n{kept:?}", results.join("\n"))
}

#[test]
fn files_that_a_rule_hides_are_hidden_from_commands_in_every_kind_of_world() {
    for (settings, most) in
        [(json!({}), Level::Full), (json!({"tools": {"overlay": false}}), Level::Full), (json!({}), Level::Partial)]
    {
        let seen = seen(settings, most);
        let (seen, kept) = seen.rsplit_once('\n').unwrap();
        assert_eq!(kept, r#"("canary-env\n", "canary-typed\non disk\n")"#, "{most}: {seen}");
        assert!(!seen.contains("canary"), "{most}: {seen}");
        assert!(seen.contains("shown-two") && seen.contains("end\n"), "{most}: {seen}");
    }
}

#[test]
fn without_a_rule_all_of_them_are_shown() {
    let seen = looked(json!({}), Level::Full, false);
    for canary in ["canary-env", "canary-deep", "canary-folder", "canary-one", "canary-typed"] {
        assert!(seen.contains(canary), "{canary}: {seen}");
    }
}

#[test]
fn a_rule_for_a_whole_tool_hides_no_file() {
    let seen = looked(json!({"permissions": {"deny": ["grep"]}}), Level::Full, false);
    assert!(seen.contains("canary-env"), "{seen}");
}
