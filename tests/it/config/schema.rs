//! What says which keys there are, agrees: the schema, `config show`, the contract's file, the README, VS Code.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use ropeway::config::{is_key, optimisations, project_schema, schema};
use serde_json::Value as Json;

use super::projects::hostile_keys;
use super::{CONTRACT, World};

fn repository(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The schema of a dotted key without free names.
fn at<'s>(schema: &'s Json, key: &str) -> Option<&'s Json> {
    key.split('.').try_fold(schema, |schema, part| schema["properties"].get(part))
}

#[test]
fn the_program_prints_the_schemas() {
    for (args, schema) in
        [(&["config", "schema"][..], schema()), (&["config", "schema", "--project"], project_schema())]
    {
        let output = Command::new(env!("CARGO_BIN_EXE_ropeway")).env_clear().args(args).output().unwrap();
        assert!(output.status.success());
        let printed: Json = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(printed, schema);
    }
}

/// The dotted keys of a schema; `*` for free names.
fn keys(schema: &Json, path: &str, found: &mut BTreeSet<String>) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        keys(inner, &below(name), found);
    }
    match &schema["additionalProperties"] {
        entry if entry["properties"].is_object() => keys(entry, &below("*"), found),
        _ if schema["properties"].is_object() => {}
        _ => _ = found.insert(path.to_owned()),
    }
}

#[test]
fn the_schema_of_a_projects_file_has_the_keys_of_a_users_but_for_those_that_are_ignored_there() {
    let all = |schema: &Json| {
        let mut found = BTreeSet::new();
        keys(schema, "", &mut found);
        found
    };
    let (users, projects) = (all(&schema()), all(&project_schema()));
    let ignored: BTreeSet<String> = hostile_keys()
        .into_iter()
        .map(|(_, key)| key.replace("providers.anthropic", "providers.*").replace("models.evil/model", "models.*"))
        // What a table of free keys holds is not in the schema.
        .map(|key| match ["headers", "options"].map(|free| format!("providers.*.{free}")) {
            free if key.starts_with(&free[0]) => free[0].clone(),
            free if key.starts_with(&free[1]) => free[1].clone(),
            _ => key,
        })
        .collect();
    let missing: BTreeSet<String> = users.difference(&projects).cloned().collect();
    assert_eq!(missing, ignored);
    assert!(projects.is_subset(&users));
    for key in &projects {
        assert!(is_key(key), "{key}");
    }
}

#[test]
fn every_key_that_is_shown_is_in_the_schema_with_the_default_that_is_in_force() {
    let schema = schema();
    let mut checked = 0;
    for entry in World::new().config().entries() {
        if entry.key.starts_with("providers.") || entry.key == "model" {
            continue;
        }
        let described = at(&schema, &entry.key).unwrap_or_else(|| panic!("{} is not in the schema", entry.key));
        let default = &described["default"];
        let shown: toml::Table = toml::from_str(&format!("x = {}", entry.value)).unwrap();
        let shown = serde_json::to_value(&shown["x"]).unwrap();
        let same = shown == *default || (shown.as_f64().is_some() && shown.as_f64() == default.as_f64());
        assert!(same, "{}: {shown} is in force, the schema says {default}", entry.key);
        checked += 1;
    }
    assert!(checked > 40, "{checked}");
}

#[test]
fn a_file_that_sets_every_key_shows_every_key() {
    fn keys(schema: &Json, path: &str, found: &mut BTreeSet<String>) {
        for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            if inner["properties"].is_object() {
                keys(inner, &path, found);
            } else if !inner["additionalProperties"]["properties"].is_object() {
                found.insert(path);
            }
        }
    }
    let mut wanted = BTreeSet::new();
    keys(&schema(), "", &mut wanted);
    let all = CONTRACT.replace("max_cost_usd = 1.0", "max_cost_usd = 1.0\nmax_tokens = 1000");
    let shown: BTreeSet<String> =
        World::new().user(all).config().entries().into_iter().map(|entry| entry.key).collect();
    let missing: Vec<_> = wanted.difference(&shown).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(shown.iter().all(|key| is_key(&key.replace("\"anthropic/claude-sonnet-5-5\"", "x"))), "{shown:?}");
}

#[test]
fn the_files_in_the_readme_are_valid() {
    let readme = repository("README.md");
    let blocks: Vec<&str> = readme.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(!blocks.is_empty());
    for block in blocks {
        let world = World::new().user(block);
        assert_eq!(world.told(), Vec::<String>::new(), "{block}");
    }
    assert!(readme.contains("ropeway config schema"));
}

#[test]
fn the_settings_of_vs_code_are_keys_with_the_same_types_and_ranges() {
    let package: Json = serde_json::from_str(&repository("editors/vscode/package.json")).unwrap();
    let settings = package["contributes"]["configuration"]["properties"].as_object().unwrap();
    let schema = schema();
    let mut ours = 0;
    for (name, setting) in settings {
        let key = name.strip_prefix("ropeway.").unwrap();
        // What the extension itself reads.
        if ["server.", "trace.", "marks."].iter().any(|own| key.starts_with(own)) {
            assert!(!is_key(key), "{key}");
            continue;
        }
        let described = at(&schema, key).unwrap_or_else(|| panic!("{name} is no key of the configuration"));
        let kinds: Vec<&Json> = match &setting["type"] {
            Json::Array(kinds) => kinds.iter().filter(|kind| **kind != "null").collect(),
            kind => vec![kind],
        };
        assert_eq!(kinds, [&described["type"]], "{name}");
        assert_eq!(setting.get("enum"), described.get("enum"), "{name}");
        for word in ["minimum", "maximum"] {
            assert_eq!(setting[word].as_f64(), described[word].as_f64(), "{word} of {name}");
        }
        // Not set means: as the file says. A setting with a default says it only where that is no value at all.
        let default = &setting["default"];
        let same = default.is_null() || *default == described["default"] || *default == "";
        assert!(same, "{name}: {default} and {}", described["default"]);
        ours += 1;
    }
    assert!(ours >= 10, "{ours}");
}

/// A key, the value that turns an optimisation off, and the variable that does the same.
type Switch = (&'static str, &'static str, Option<(&'static str, &'static str)>);

/// What turns each optimisation off.
const SWITCHES: &[Switch] = &[
    ("agent.parallel_tools", "false", Some(("ROPEWAY_PARALLEL_TOOLS", "0"))),
    ("agent.stream_dispatch", "false", Some(("ROPEWAY_STREAM_DISPATCH", "off"))),
    ("agent.prefetch", "false", None),
    ("context.disabled", "[\"clean\", \"merge\", \"repeats\", \"known\", \"shorten\", \"stale\", \"trim\"]", None),
    ("context.start_tokens", "0", None),
    ("tools.max_parallel", "1", Some(("ROPEWAY_MAX_PARALLEL", "1"))),
    ("tools.cache_ttl_ms", "0", None),
    ("tools.overlay", "false", None),
    ("tools.grep.share", "false", None),
    ("llm.http2", "false", None),
    ("llm.max_idle_per_host", "0", None),
    ("llm.circuit_breaker", "false", None),
    ("llm.dedupe", "false", None),
    ("llm.match_events", "false", None),
    ("llm.count_cache", "false", None),
    ("llm.cache_entries", "0", None),
    ("llm.disk_cache_mb", "0", None),
    ("recording.batch", "1", None),
    ("recording.compress", "false", None),
];

/// What is turned off by variables alone, or with a provider's option.
const KEYLESS: [&str; 3] = ["config_cache", "background_io", "prompt_cache"];

#[test]
fn every_optimisation_is_turned_off_by_a_key_and_those_of_the_contract_by_a_variable_too() {
    let shown = |world: &World, key: &str| {
        assert_eq!(world.told(), Vec::<String>::new(), "{key}");
        world.config().entries().into_iter().find(|entry| entry.key == key).unwrap().value
    };
    for (key, off, variable) in SWITCHES {
        let (table, name) = key.rsplit_once('.').unwrap();
        assert_eq!(shown(&World::new().user(format!("[{table}]\n{name} = {off}")), key), *off, "{key}");
        if let Some((variable, value)) = variable {
            assert_eq!(shown(&World::new().env(variable, value), key), *off, "{variable}");
        }
    }
    // What the configuration cannot say of itself, and what is decided before it is read.
    let config = World::new().env("ROPEWAY_CONFIG_CACHE_TTL", "0").env("ROPEWAY_BACKGROUND_IO", "0").config();
    assert_eq!((config.config_cache_ttl.as_secs(), config.background_io), (0, false));

    // One variable for all of them: some by name, or every one; the variable of its own goes over it.
    let every: BTreeSet<&str> = SWITCHES.iter().map(|(key, ..)| *key).chain(KEYLESS).collect();
    assert_eq!(optimisations().collect::<BTreeSet<_>>(), every);
    for (key, off, variable) in SWITCHES {
        for names in [*key, "all", &format!(" llm.http2, {key}")] {
            assert_eq!(shown(&World::new().env("ROPEWAY_OFF", names), key), *off, "{names}");
        }
        if let (Some((name, _)), "false") = (variable, *off) {
            assert_eq!(shown(&World::new().env("ROPEWAY_OFF", "all").env(name, "1"), key), "true", "{name}");
        }
    }
    let world = World::new().env("ROPEWAY_OFF", "all");
    let config = world.config();
    assert_eq!((config.config_cache_ttl.as_secs(), config.background_io), (0, false));
    assert_eq!(config.providers["anthropic"].options["prompt_cache"], false);
    assert_eq!(World::new().env("ROPEWAY_OFF", "llm.http2").config().llm.cache_entries, 50, "no more than is named");
    let entry = config.entries().into_iter().find(|entry| entry.key == "agent.prefetch").unwrap();
    assert_eq!(entry.places(), "environment ROPEWAY_OFF");
    let wrong = World::new().env("ROPEWAY_OFF", "agent.prefech zzz");
    let told = wrong.told();
    assert!(told.len() == 2 && told[0].contains("did you mean `agent.prefetch`?"), "{told:?}");
    assert!(
        told[1].starts_with("environment ROPEWAY_OFF: error: there is no optimisation `zzz`; there are"),
        "{told:?}"
    );
}
