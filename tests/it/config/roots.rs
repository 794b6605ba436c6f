//! Several workspace folders: each has its project's layer, a file belongs to the deepest one that holds it.

use std::path::Path;

use ropeway::config::{ConfigStore, Sources};
use serde_json::json;

use super::World;
use crate::support::agent::Bench;
use crate::support::editor::uri;
use crate::support::model::Turn;

/// A folder with a folder in it and one beside, each a root with a file of its own.
fn three_roots() -> (World, Sources) {
    let world = World::new().user("model = \"openai/a\"\n[agent]\nmax_steps = 30\n[models.\"openai/b\"]");
    for (folder, text) in [
        (
            "one",
            "[agent]\nmax_steps = 5\n[tools]\ndisabled = [\"grep\"]\n[permissions]\ndeny = [\"read_file(**/.env)\"]",
        ),
        ("one/inner", "model = \"openai/b\"\n[agent]\nmax_steps = 20\n[permissions]\nask = [\"glob\"]"),
        ("two", "[agent]\nmax_steps = 31\n[[actions]]\nid = \"two\"\ntitle = \"Two\"\nprompt = \"p\""),
    ] {
        std::fs::create_dir_all(world.path(folder)).unwrap();
        std::fs::write(world.path(folder).join("ropeway.toml"), text).unwrap();
    }
    let mut sources = world.sources.clone();
    sources.set_roots([world.path("two"), world.path("one"), world.path("one/inner")]);
    (world, sources)
}

#[test]
fn a_file_gets_the_settings_of_the_deepest_root_that_holds_it() {
    let (world, sources) = three_roots();
    let store = ConfigStore::new(sources);
    let of = |file: &str| {
        let config = store.of(&world.path(file));
        let model = config.model.as_ref().unwrap().model.clone();
        (config.agent.max_steps, model, config.tools.disabled.len(), config.actions.len())
    };
    assert_eq!(of("one/src/a.rs"), (5, "a".to_owned(), 1, 0));
    assert_eq!(of("one/inner/a.rs"), (20, "b".to_owned(), 0, 0), "not the file of the folder around it");
    assert_eq!(of("two/a.rs"), (30, "a".to_owned(), 0, 1));
    assert_eq!(of("onerous/a.rs"), (5, "b".to_owned(), 1, 1), "what belongs to no root is tightened by all");
    assert_eq!(store.of(Path::new("/elsewhere")).agent.max_steps, store.current().agent.max_steps);
    // What one root's file must not do is told by what is in force there: 20 is less than 30, 31 is not.
    let problems = store.loaded().problems;
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].to_string().contains("two/ropeway.toml:2:13: warning"), "{}", problems[0]);
}

#[test]
fn what_one_root_forbids_or_asks_holds_for_runs_of_the_others_which_may_come_by() {
    let (world, sources) = three_roots();
    let store = ConfigStore::new(sources);
    for file in ["one/a.rs", "one/inner/a.rs", "two/a.rs"] {
        let permissions = store.of(&world.path(file)).permissions.clone();
        let shown = |rules: &[ropeway::config::Rule]| rules.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(
            (shown(&permissions.deny), shown(&permissions.ask)),
            (vec!["read_file(**/.env)".into()], vec!["glob".to_owned()])
        );
    }
}

#[test]
fn an_edited_file_of_one_root_leaves_the_settings_of_the_others_alone() {
    let (world, sources) = three_roots();
    let store = ConfigStore::new(sources);
    let steps = |file: &str| store.of(&world.path(file)).agent.max_steps;
    std::fs::write(world.path("one/ropeway.toml"), "[agent]\nmax_steps = 7").unwrap();
    store.refresh().unwrap();
    assert_eq!((steps("one/a"), steps("one/inner/a"), steps("two/a")), (7, 20, 30));
    std::fs::write(world.path("two/ropeway.toml"), "[agent").unwrap();
    store.refresh().unwrap();
    assert_eq!((steps("one/a"), steps("two/a")), (7, 30), "its last good state stays");
    store.update(|sources| sources.set_roots([world.path("one")]));
    assert_eq!((steps("one/a"), steps("one/inner/a"), steps("two/a")), (7, 7, 7));
}

#[test]
fn a_run_uses_the_settings_and_actions_of_its_files_root() {
    let files = [
        ("one/a.rs", "fn a() {}\n"),
        ("one/ropeway.toml", "[tools]\ndisabled = [\"grep\", \"glob\"]\n"),
        ("two/b.rs", "fn b() {}\n"),
        ("two/ropeway.toml", "[[actions]]\nid = \"why\"\ntitle = \"Why\"\nprompt = \"Why {file}?\"\nedits = false\n"),
    ];
    let mut bench = Bench::start(&files, json!({}), |mut setup| {
        let top = setup.initialize["workspaceFolders"][0]["uri"].as_str().unwrap().to_owned();
        let folder = |name: &str| json!({"uri": format!("{top}/{name}"), "name": name});
        setup.initialize["workspaceFolders"] = json!([folder("one"), folder("two")]);
        setup
    });
    let (a, b) = (bench.open("one/a.rs"), bench.open("two/b.rs"));
    let titles = |bench: &mut Bench, uri: &str| -> Vec<String> {
        let place = json!({"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 0}});
        let params = json!({"textDocument": {"uri": uri}, "range": place, "context": {"diagnostics": []}});
        let menu = bench.editor.request("textDocument/codeAction", params);
        menu.as_array().unwrap().iter().map(|action| action["title"].as_str().unwrap().to_owned()).collect()
    };
    assert!(!titles(&mut bench, &a).contains(&"Ropeway: Why".to_owned()));
    assert!(titles(&mut bench, &b).contains(&"Ropeway: Why".to_owned()));
    let tools = |bench: &mut Bench, argument: serde_json::Value| -> Vec<String> {
        bench.model.script([Turn::text("Done.")]);
        let run = bench.run(argument);
        assert_eq!(bench.finished(&run)["status"], "answered");
        let request = bench.model.requests().pop().unwrap();
        let tools = request.body["tools"].as_array().unwrap();
        tools.iter().map(|tool| tool["function"]["name"].as_str().unwrap().to_owned()).collect()
    };
    let of_one = tools(&mut bench, json!({"action": "task", "prompt": "look", "uri": a}));
    assert!(!of_one.contains(&"grep".to_owned()) && of_one.contains(&"outline".to_owned()), "{of_one:?}");
    let of_two = tools(&mut bench, json!({"action": "why", "uri": b}));
    assert!(of_two.contains(&"grep".to_owned()) && !of_two.contains(&"edit_file".to_owned()), "{of_two:?}");
    assert!(bench.model.requests().pop().unwrap().last_message().contains("Why `two/b.rs`?"));
    let of_none = tools(&mut bench, json!({"action": "task", "prompt": "look"}));
    assert!(!of_none.contains(&"grep".to_owned()), "a run of no file keeps to the files of all roots");
    // The folder of the file decides, not its name as the editor spells it.
    let dotted = uri(&bench.path("two").join("../one/a.rs"));
    assert!(
        !tools(&mut bench, json!({"action": "task", "prompt": "look", "uri": dotted})).contains(&"grep".to_owned())
    );
}
