//! What a hostile model, or a hostile repository, may try: every answer is a short text, and nothing leaks.

use serde_json::{Value, json};

use super::Bench;

const PATH_TOOLS: [&str; 8] =
    ["read_file", "outline", "list_dir", "diagnostics", "delete_file", "create_file", "edit_file", "insert_lines"];

/// Arguments that are good but for the path.
fn arguments(tool: &str, path: &str) -> Value {
    match tool {
        "create_file" => json!({"path": path, "text": "x"}),
        "edit_file" => json!({"path": path, "old_string": "a", "new_string": "b"}),
        "insert_lines" => json!({"path": path, "line": 0, "text": "x"}),
        _ => json!({"path": path}),
    }
}

#[test]
fn no_path_leads_out_of_the_workspace() {
    let bench = Bench::new("//- /a.txt\na\n");
    let outside = tempfile::tempdir().unwrap();
    let canary = outside.path().join("canary.txt");
    std::fs::write(&canary, "a canary\n").unwrap();
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(outside.path(), bench.at("out")).unwrap();
        std::os::unix::fs::symlink(&canary, bench.at("canary.txt")).unwrap();
    }
    let absolute = canary.to_str().unwrap().to_owned();
    let uri = format!("file://{absolute}");
    let long = "x/".repeat(5_000);
    let climbing = format!("{}etc/passwd", "../".repeat(40));
    for path in [
        "../canary.txt",
        "..",
        "a/../../b",
        absolute.as_str(),
        uri.as_str(),
        "a\0b",
        long.as_str(),
        climbing.as_str(),
        #[cfg(unix)]
        "out/canary.txt",
        #[cfg(unix)]
        "canary.txt",
        #[cfg(unix)]
        "out/new.txt",
    ] {
        for tool in PATH_TOOLS {
            if tool == "diagnostics" && (path.starts_with("out") || path == "canary.txt") {
                continue;
            }
            let refusal = bench.call(tool, arguments(tool, path)).unwrap_err();
            assert!(!refusal.contains("a canary") && refusal.len() < 10_000, "{tool} {path}: {refusal}");
        }
        for (tool, arguments) in [
            ("grep", json!({"pattern": "canary", "path": path})),
            ("glob", json!({"pattern": "**", "path": path})),
            ("move_file", json!({"from": path, "to": "b.txt"})),
            ("move_file", json!({"from": "a.txt", "to": path})),
        ] {
            if path == "canary.txt" && arguments["to"] == path {
                continue;
            }
            let refusal = bench.call(tool, arguments).unwrap_err();
            assert!(!refusal.contains("a canary"), "{tool} {path}: {refusal}");
        }
    }
    assert_eq!(std::fs::read_to_string(canary).unwrap(), "a canary\n");
    assert_eq!(outside.path().read_dir().unwrap().count(), 1);
}

#[cfg(unix)]
#[test]
fn a_fifo_or_a_device_is_refused_and_never_waited_for() {
    let bench = Bench::new("//- /a.txt\na\n");
    let made = std::process::Command::new("mkfifo").arg(bench.at("pipe")).status();
    if !made.is_ok_and(|status| status.success()) {
        return;
    }
    for tool in ["read_file", "edit_file", "insert_lines"] {
        let refusal = bench.call(tool, arguments(tool, "pipe")).unwrap_err();
        assert!(refusal.contains("FIFO"), "{tool}: {refusal}");
    }
    assert!(bench.refused("grep", json!({"pattern": "a", "path": "pipe"})).contains("neither a file nor a folder"));
    assert!(bench.ok("grep", json!({"pattern": "zzz"})).contains("no matches in 1 files"));
}

#[test]
fn broken_arguments_come_back_with_what_is_wrong_and_what_there_is() {
    let bench = Bench::new("");
    for spec in bench.tools.specs().iter() {
        let huge = format!(r#"{{"path":"{}"}}"#, "x".repeat(5 << 20));
        let deep = format!(r#"{{"path":{}"#, "[".repeat(200_000));
        let wide: String =
            format!("{{{}}}", (0..50_000).map(|key| format!("\"k{key}\":1")).collect::<Vec<_>>().join(","));
        for broken in [
            "{",
            "[]",
            "nonsense",
            r#"{"path":"a""#,
            r#"{"nope":1}"#,
            r#"{"path":"a","path":"b","from":"x","from":"y"}"#,
            r#"{"path":7,"pattern":7,"from":7}"#,
            &huge,
            &deep,
            &wide,
        ] {
            let refusal = bench.call_raw(spec.name, broken).unwrap_err();
            assert!(refusal.contains(spec.name) && refusal.len() < 2_000, "{}: {refusal}", spec.name);
        }
    }
    for (tool, text, key) in [
        ("read_file", r#"{"path":"a","offset":-1}"#, "`-1`"),
        ("read_file", r#"{"path":"a","limit":1e400}"#, "number out of range"),
        ("read_file", r#"{"path":"a","limit":99999999999999999999999}"#, "limit"),
        ("grep", r#"{"pattern":"a","context":-5}"#, "`-5`"),
        ("grep", r#"{"pattern":"a","literal":"yes"}"#, "expected a boolean"),
        ("glob", r#"{"pattern":"a","limit":1.5}"#, "1.5"),
        ("list_dir", r#"{"depth":"3"}"#, "expected u64"),
        ("insert_lines", r#"{"path":"a","line":-1,"text":"x"}"#, "`-1`"),
    ] {
        let refusal = bench.call_raw(tool, text).unwrap_err();
        assert!(refusal.contains(key) && refusal.contains("Arguments of"), "{tool}: {refusal}");
    }
}

#[test]
fn bombs_among_patterns_are_refused_or_harmless() {
    let bench = Bench::new("//- /a.txt\naaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!\n");
    for pattern in [
        "((((a{100}){100}){100}){100})",
        "\\pL{5000}",
        &"(".repeat(2_000),
        &"a".repeat(1 << 20),
        "(?=look)ahead",
        "(a)\\1",
        "[z-a]",
        "a\nb",
        "",
        "*",
    ] {
        let refusal = bench.refused("grep", json!({"pattern": pattern}));
        assert!(refusal.contains("cannot be used: ") && refusal.len() < 1_000, "{refusal}");
    }
    assert!(bench.ok("grep", json!({"pattern": "(a+)+$"})).contains("no matches"));
    assert!(bench.ok("grep", json!({"pattern": "(a|aa)*!"})).contains("1 matches"));
    assert!(bench.ok("grep", json!({"pattern": "a\0b"})).len() < 1_000);
    let alternates = format!("{{{}}}", vec!["a"; 10_000].join(","));
    for glob in [alternates.as_str(), &"{".repeat(500), "[", "a\0"] {
        assert!(bench.refused("glob", json!({"pattern": glob})).contains("cannot be used"));
        assert!(bench.refused("grep", json!({"pattern": "a", "glob": glob})).contains("cannot be used"));
    }
}

#[test]
fn counts_like_gigabytes_are_clamped() {
    let bench = Bench::new("//- /a.txt\na\n");
    let most = u64::MAX;
    assert!(bench.ok("read_file", json!({"path": "a.txt", "offset": most, "limit": most})).contains("past the end"));
    assert!(bench.ok("grep", json!({"pattern": "a", "context": most, "max_results": most})).contains("1:a"));
    assert_eq!(bench.ok("glob", json!({"pattern": "*", "limit": most})), "a.txt");
    assert_eq!(bench.ok("list_dir", json!({"depth": most})), "a.txt");
    assert!(bench.refused("insert_lines", json!({"path": "a.txt", "line": most, "text": "x"})).contains("has 1 lines"));
    assert_eq!(bench.ok("glob", json!({"pattern": "*", "limit": 0})), "a.txt");
}

#[test]
fn whatever_is_wrong_with_the_arguments_of_any_tool_the_answer_says_what_it_takes_and_nothing_is_done() {
    let bench = Bench::new("//- /a.txt\na\n");
    for spec in bench.tools.specs().iter() {
        let schema: Value = serde_json::from_str(spec.schema.get()).unwrap();
        let properties = schema["properties"].as_object().unwrap();
        // A value of the right type for each required argument, so that only the fault is at fault.
        let good = |name: &str| match properties[name]["type"].as_str().unwrap() {
            "integer" => json!(1),
            "boolean" => json!(true),
            _ => json!("a.txt"),
        };
        let required: Vec<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let fields: Vec<String> = required.iter().map(|name| format!("{}:{}", json!(name), good(name))).collect();
        let with = |more: &str| {
            let all: Vec<&str> = fields.iter().map(String::as_str).chain([more]).collect();
            format!("{{{}}}", all.join(","))
        };
        let mut faults = vec![
            (with(r#""frobnicate":1"#), "unknown field `frobnicate`"),
            ("{\"".into(), "cut off"),
            ("[]".into(), "must be one JSON object"),
            ("{x:1}".into(), "not JSON"),
        ];
        for (name, property) in properties {
            let one = format!("{}:{}", json!(name), good(name));
            let other = if required.contains(&name.as_str()) { with(&one) } else { with(&format!("{one},{one}")) };
            // A list is no string: its first value is at fault before its second one is seen.
            let twice = if property["type"] == "array" { "invalid type" } else { "duplicate field" };
            faults.push((other, twice));
            if !required.contains(&name.as_str()) {
                faults.push((with(&format!("{}:{{\"x\":[]}}", json!(name))), "invalid type"));
            }
        }
        for (arguments, fault) in faults {
            let said = bench.call_raw(spec.name, &arguments).unwrap_err();
            assert!(said.contains(fault), "{}({arguments}): {said}", spec.name);
            assert!(said.contains(&format!("Arguments of {}: ", spec.name)), "{}({arguments}): {said}", spec.name);
            assert!(said.len() < 1_000, "{said}");
        }
    }
    assert!(bench.workspace.staged(&bench.context.run).is_empty());
}
