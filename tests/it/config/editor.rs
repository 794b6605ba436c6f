//! The configuration as an editor sees it, through the real server: problems where they are typed and where they are
//! saved, words that can be mended, actions in the menu, saves by other programs.

use std::path::PathBuf;

use ropeway::config::{EnvSnapshot, Sources};
use serde_json::{Value, json};

use super::malformed::MALFORMED;
use super::projects::HOSTILE;
use crate::support::agent::Bench;
use crate::support::editor::{Columns, Editor, Setup, replacements, uri};
use crate::support::model::Turn;

const PUBLISHED: &str = "textDocument/publishDiagnostics";

/// An editor in the folder `work`, with a home beside it where the user's file is.
pub(super) struct Desk {
    pub(super) editor: Editor,
    pub(super) dir: tempfile::TempDir,
}

impl Desk {
    pub(super) fn new(user: &str, project: &str) -> Self {
        Self::start(user, project, |setup| setup)
    }

    pub(super) fn start(user: &str, project: &str, change: impl FnOnce(Setup) -> Setup) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (folder, file, text) in [("home/ropeway", "config.toml", user), ("work", "ropeway.toml", project)] {
            std::fs::create_dir_all(dir.path().join(folder)).unwrap();
            if !text.is_empty() {
                std::fs::write(dir.path().join(folder).join(file), text).unwrap();
            }
        }
        let env = EnvSnapshot::from_iter([("XDG_CONFIG_HOME", dir.path().join("home"))]);
        let sources = Sources { env, ..Sources::default() };
        let setup =
            Setup::in_folder(&dir.path().join("work")).prepare(|session| ropeway::lsp::agent::attach(session, sources));
        let mut editor = change(setup).start();
        // No model is needed here, and its absence is no news.
        editor.ignore("window/showMessage");
        Self { editor, dir }
    }

    pub(super) fn user(&self) -> PathBuf {
        self.dir.path().join("home/ropeway/config.toml")
    }

    pub(super) fn project(&self) -> PathBuf {
        self.dir.path().join("work/ropeway.toml")
    }

    /// Waits for diagnostics of a file for which `fits` holds.
    pub(super) fn diagnostics(&mut self, uri: &str, what: &str, fits: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let message = self.editor.wait_for(what, |message| {
            message["method"] == PUBLISHED
                && message["params"]["uri"] == uri
                && fits(message["params"]["diagnostics"].as_array().unwrap())
        });
        message["params"]["diagnostics"].as_array().unwrap().clone()
    }

    /// Puts a text in place of a document's.
    pub(super) fn retype(&mut self, uri: &str, text: &str) {
        let length = self.editor.text(uri).len();
        self.editor.replace(uri, 0..length, text);
    }

    pub(super) fn menu(&mut self, uri: &str, line: u32, character: u32) -> Vec<Value> {
        let place = json!({"line": line, "character": character});
        let params = json!({
            "textDocument": {"uri": uri},
            "range": {"start": place, "end": place},
            "context": {"diagnostics": []},
        });
        self.editor.request("textDocument/codeAction", params).as_array().unwrap().clone()
    }
}

fn titles(menu: &[Value]) -> Vec<&str> {
    menu.iter().map(|action| action["title"].as_str().unwrap()).collect()
}

#[test]
fn a_file_of_the_configuration_is_checked_as_it_is_typed_and_a_misspelt_key_is_mended_by_an_action() {
    let mut desk = Desk::new("", "");
    let file = uri(&desk.project());
    desk.editor.open(desk.project(), "");
    // Behind a character that the editor counts as two.
    let text = "[agent] # 😀\nmax_stepps = 3 # 😀\n[edits]\nmode = \"😀\"\n";
    desk.editor.replace(&file, 0..0, text);
    let found = desk.diagnostics(&file, "two mistakes", |found| found.len() == 2);
    assert_eq!(
        found[0]["range"],
        json!({"start": {"line": 1, "character": 0}, "end": {"line": 1, "character": 10}}),
        "{found:?}"
    );
    assert!(found[0]["message"].as_str().unwrap().contains("did you mean `max_steps`?"), "{found:?}");
    assert_eq!(found[1]["range"]["end"], json!({"line": 3, "character": 11}), "{found:?}");
    let menu = desk.menu(&file, 1, 4);
    let mend =
        menu.iter().find(|action| action["title"] == "Change to `max_steps`").unwrap_or_else(|| panic!("{menu:?}"));
    assert_eq!((&mend["kind"], &mend["diagnostics"][0]), (&json!("quickfix"), &found[0]));
    let change = &mend["edit"]["documentChanges"][0];
    assert_eq!(change["textDocument"], json!({"uri": file, "version": desk.editor.version(&file)}));
    assert_eq!(change["edits"], json!([{"range": found[0]["range"], "newText": "max_steps"}]));
    assert!(!titles(&desk.menu(&file, 3, 2)).iter().any(|title| title.starts_with("Change to")));
    // As the editor does it; the file on disk is not touched and not asked.
    let at = text.find("max_stepps").unwrap();
    desk.editor.replace(&file, at..at + 10, "max_steps");
    desk.diagnostics(&file, "one mistake", |found| found.len() == 1);
    desk.retype(&file, "[agent]\nmax_steps = 3\n");
    desk.diagnostics(&file, "none", <[Value]>::is_empty);
    assert!(!desk.project().exists());
}

#[test]
fn a_misspelt_name_in_a_list_or_a_rule_is_mended_by_an_action() {
    let mut desk = Desk::new("", "");
    let file = desk.editor.open(desk.user(), "");
    for (text, mended) in [
        ("[tools]\ndisabled = ['glob', 'run_comand']\n", "[tools]\ndisabled = ['glob', \"run_command\"]\n"),
        ("[context]\ndisabled = [\"stael\"]\n", "[context]\ndisabled = [\"stale\"]\n"),
        (
            "[permissions]\ndeny = ['grep(😀)', 'run_comand(run_comand \"x\")']\n",
            "[permissions]\ndeny = ['grep(😀)', 'run_command(run_comand \"x\")']\n",
        ),
    ] {
        desk.retype(&file, text);
        let near = if text.contains("stael") { "stale" } else { "run_command" };
        desk.diagnostics(&file, near, |found| found.iter().any(|found| found["message"].to_string().contains(near)));
        let menu = desk.menu(&file, 1, 0);
        let title = format!("Change to `{near}`");
        let mend = menu.iter().find(|action| action["title"] == *title).unwrap_or_else(|| panic!("{menu:?}"));
        let edits = &mend["edit"]["documentChanges"][0]["edits"];
        let edits = replacements(desk.editor.text(&file), edits, desk.editor.columns);
        let [(place, new)] = &edits[..] else { panic!("{edits:?}") };
        desk.editor.replace(&file, place.clone(), new);
        assert_eq!(desk.editor.text(&file), mended);
        desk.diagnostics(&file, "nothing wrong", <[Value]>::is_empty);
    }
}

#[test]
fn a_misspelt_key_can_be_mended_also_while_the_settings_are_read_again() {
    let mut desk = Desk::new("", "");
    let file = desk.editor.open(desk.user(), "modle = \"a/b\"\n");
    desk.diagnostics(&file, "a mistake", |found| !found.is_empty());
    for round in 0..200 {
        desk.editor.notify("workspace/didChangeConfiguration", json!({"settings": null}));
        let menu = desk.menu(&file, 0, 1);
        assert_eq!(titles(&menu), ["Change to `model`"], "in round {round}");
    }
    desk.retype(&file, "");
    desk.diagnostics(&file, "nothing wrong", <[Value]>::is_empty);
}

#[test]
fn each_malformed_text_is_told_with_its_place_as_it_is_typed_and_the_server_goes_on() {
    let mut desk = Desk::start("", "", |setup| setup.columns(Columns::Utf32));
    let file = uri(&desk.user());
    desk.editor.open(desk.user(), "");
    for (text, place, words) in MALFORMED {
        desk.retype(&file, text);
        let found = desk.diagnostics(&file, words, |found| {
            found.iter().any(|found| found["message"].as_str().unwrap().contains(words))
        });
        assert_eq!(found.len(), 1, "{text:?}: {found:?}");
        if let Some((line, column)) = place.split_once(':') {
            let place: [u64; 2] = [line, column].map(|number| number.parse::<u64>().unwrap() - 1);
            let start = &found[0]["range"]["start"];
            assert_eq!((&start["line"], &start["character"]), (&json!(place[0]), &json!(place[1])), "{text:?}");
        }
        desk.retype(&file, "# fine\n");
        desk.diagnostics(&file, "nothing wrong", <[Value]>::is_empty);
    }
    assert!(MALFORMED.len() >= 60);
}

#[test]
fn broken_files_on_disk_are_told_one_after_the_other_and_the_last_good_one_stays_in_force() {
    let mut desk = Desk::new("[[actions]]\nid = \"mine\"\ntitle = \"Mine\"\nprompt = \"p\"\n", "");
    let file = uri(&desk.user());
    let code = desk.editor.open(desk.dir.path().join("work/a.rs"), "fn a() {}\n");
    let deep = format!("[providers.openai]\noptions = {{ x = {}1{} }}", "[".repeat(20_000), "]".repeat(20_000));
    let cases: [(&[u8], &str); 6] = [
        (b"model = \"a/b\"\nprofile = \"\xFF\"", "not valid UTF-8"),
        (&[b'#'; 10 * 1024 * 1024], "larger than 1 MiB"),
        (deep.as_bytes(), "not valid TOML"),
        (b"\0", "not valid TOML"),
        (b"[agent]\nmax_steps = 1\nmax_steps = 2", "duplicate key"),
        (b"[agents]\nx = 1", "did you mean `agent`?"),
    ];
    assert!(titles(&desk.menu(&code, 0, 3)).contains(&"Ropeway: Mine"));
    for (bytes, words) in cases {
        // In one step: an empty file in between is a good one, in which the action is gone.
        let fresh = desk.dir.path().join("fresh.toml");
        std::fs::write(&fresh, bytes).unwrap();
        std::fs::rename(&fresh, desk.user()).unwrap();
        desk.diagnostics(&file, words, |found| {
            found.iter().any(|found| found["message"].as_str().unwrap().contains(words))
        });
        assert!(titles(&desk.menu(&code, 0, 3)).contains(&"Ropeway: Mine"), "{words}");
    }
    std::fs::write(desk.user(), "").unwrap();
    desk.diagnostics(&file, "all well", <[Value]>::is_empty);
    desk.editor.until("the action is gone", |editor| {
        let place = json!({"line": 0, "character": 3});
        let params = json!({
            "textDocument": {"uri": code}, "range": {"start": place, "end": place}, "context": {"diagnostics": []}
        });
        let menu = editor.request("textDocument/codeAction", params);
        (!menu.to_string().contains("Mine")).then_some(())
    });
}

#[test]
fn what_a_project_must_not_set_is_a_warning_on_its_file_and_in_the_log() {
    let mut desk = Desk::new("", "[providers.openai]\nbase_url = \"https://evil.example\"\n");
    let file = uri(&desk.project());
    let found = desk.diagnostics(&file, "a warning", |found| !found.is_empty());
    assert_eq!(found[0]["severity"], 2);
    assert_eq!(found[0]["range"]["start"], json!({"line": 1, "character": 0}), "{found:?}");
    let logged = desk.editor.wait_for("a line of the log", |message| {
        message["method"] == "window/logMessage" && message["params"]["message"].to_string().contains("base_url")
    });
    assert_eq!(logged["params"]["type"], 2);
}

#[test]
fn an_action_is_in_the_menu_of_the_request_after_its_file_is_saved() {
    let mut desk = Desk::new("", "");
    let code = desk.editor.open(desk.dir.path().join("work/a.sql"), "select 1;\n");
    let file = desk.editor.open(desk.project(), "");
    let action = |title: &str, more: &str| {
        format!("[[actions]]\nid = \"own\"\ntitle = \"{title}\"\nprompt = \"Explain {{selection}}\"\n{more}")
    };
    desk.retype(&file, &action("Explain the query", ""));
    assert!(!titles(&desk.menu(&code, 0, 2)).contains(&"Ropeway: Explain the query"), "typed is not saved");
    desk.editor.save(&file);
    let menu = desk.menu(&code, 0, 2);
    let offered = menu.iter().find(|action| action["title"] == "Ropeway: Explain the query").unwrap();
    assert_eq!(offered["kind"], "refactor.rewrite");
    for (more, shown) in [("kind = \"ropeway.why\"\n", true), ("languages = [\"python\"]\n", false), ("", true)] {
        desk.retype(&file, &action("Explain the query", more));
        desk.editor.save(&file);
        assert_eq!(titles(&desk.menu(&code, 0, 2)).contains(&"Ropeway: Explain the query"), shown, "{more}");
    }
    // A place holder that nothing is known of leaves what was in force, and says so.
    desk.retype(&file, &action("Explain it again", "").replace("{selection}", "{selektion}"));
    let found = desk.diagnostics(&file, "an unknown place holder", |found| !found.is_empty());
    assert_eq!(found[0]["range"]["start"], json!({"line": 3, "character": 18}), "{found:?}");
    desk.editor.save(&file);
    assert!(titles(&desk.menu(&code, 0, 2)).contains(&"Ropeway: Explain the query"));
    let mend = desk.menu(&file, 3, 20);
    assert!(titles(&mend).contains(&"Change to `{selection}`"), "{mend:?}");
    desk.retype(&file, "");
    desk.diagnostics(&file, "nothing wrong", <[Value]>::is_empty);
}

#[test]
fn a_file_that_another_program_saves_takes_effect_by_itself_also_where_no_folder_can_be_watched() {
    for folders in [64, 0] {
        let mut desk = Desk::start("", "", |mut setup| {
            setup.options.watched_folders = folders;
            setup
        });
        let notices = std::rc::Rc::new(std::cell::Cell::new(0));
        let heard = std::rc::Rc::clone(&notices);
        desk.editor.on_message(move |_, message| {
            let text = message["params"]["message"].as_str().unwrap_or_default();
            heard.set(heard.get() + u32::from(text.contains("instead of watching them")));
        });
        if folders == 0 {
            desk.editor.wait_for("a notice", |message| {
                message["method"] == "window/logMessage"
                    && message["params"]["message"].to_string().contains("instead of watching them")
            });
        }
        let file = uri(&desk.user());
        std::fs::write(desk.user(), "[agent]\nmax_steps = \"many\"\n").unwrap();
        let found = desk.diagnostics(&file, "a mistake", |found| !found.is_empty());
        assert_eq!(found[0]["range"]["start"], json!({"line": 1, "character": 12}));
        let aside = desk.user().with_extension("toml~");
        std::fs::write(&aside, "[agent]\nmax_steps = 3\n").unwrap();
        std::fs::rename(aside, desk.user()).unwrap();
        desk.diagnostics(&file, "no mistake", <[Value]>::is_empty);
        std::fs::remove_dir_all(desk.user().parent().unwrap()).unwrap();
        std::fs::create_dir(desk.user().parent().unwrap()).unwrap();
        std::fs::write(desk.user(), "[").unwrap();
        desk.diagnostics(&file, "a mistake again", |found| !found.is_empty());
        std::fs::remove_file(desk.user()).unwrap();
        desk.diagnostics(&file, "no file, no mistake", <[Value]>::is_empty);
        assert_eq!(notices.get(), u32::from(folders == 0), "one notice, however often the files are looked at");
    }
}

#[test]
fn a_broken_file_is_told_by_one_message_and_by_another_only_when_it_breaks_anew() {
    let mut desk = Desk::new("", "");
    let said = std::rc::Rc::new(std::cell::RefCell::new(Vec::<String>::new()));
    let heard = std::rc::Rc::clone(&said);
    desk.editor.on_message(move |_, message| {
        let text = message["params"]["message"].as_str().unwrap_or_default();
        if message["method"] == "window/showMessage" && text.contains("has problems") {
            heard.borrow_mut().push(text.to_owned());
        }
    });
    let file = uri(&desk.user());
    for (round, texts) in
        [["[agent]\nmax_steps = 0\n", "modle = 1\n", "["], ["[agent", "x = 1\n", "["]].iter().enumerate()
    {
        for text in texts {
            std::fs::write(desk.user(), text).unwrap();
            let all = ropeway::config::check_file(&desk.user(), &EnvSnapshot::default());
            let first = all[0].message.clone();
            desk.diagnostics(&file, text, |found| found.iter().any(|found| found["message"] == first));
        }
        std::fs::write(desk.user(), "").unwrap();
        desk.diagnostics(&file, "all well", <[Value]>::is_empty);
        let said = said.borrow();
        assert_eq!(said.len(), round + 1, "{said:?}");
        assert!(said[round].contains("config.toml has problems, see its diagnostics"), "{said:?}");
    }
}

#[test]
fn every_key_that_a_project_must_not_set_is_marked_where_it_stands_and_the_server_goes_on() {
    let mut desk = Desk::new("", HOSTILE);
    let file = uri(&desk.project());
    let keys = HOSTILE.lines().filter(|line| line.contains(" = ")).map(|line| line.split(" = ").next().unwrap());
    let found = desk.diagnostics(&file, "warnings", |found| !found.is_empty());
    assert!(found.iter().all(|found| found["severity"] == 2), "{found:?}");
    for key in keys {
        let marked = found.iter().any(|found| found["message"].as_str().unwrap().contains(key));
        assert!(marked, "{key} in {found:?}");
    }
    let code = desk.editor.open(desk.dir.path().join("work/a.rs"), "fn a() {}\n");
    assert!(titles(&desk.menu(&code, 0, 3)).contains(&"Ropeway: Explain"));
}

#[cfg(unix)]
#[test]
fn a_users_file_that_is_opened_by_what_its_link_leads_to_is_known() {
    let dir = tempfile::tempdir().unwrap();
    let real = dir.path().join("dotfiles.toml");
    std::fs::write(&real, "").unwrap();
    let mut desk = Desk::new("", "");
    std::os::unix::fs::symlink(&real, desk.user()).unwrap();
    let file = desk.editor.open(&real, "modle = 1\n");
    let found = desk.diagnostics(&file, "a mistake", |found| !found.is_empty());
    assert!(found[0]["message"].as_str().unwrap().contains("did you mean `model`?"));
    assert_eq!(titles(&desk.menu(&file, 0, 1)), ["Change to `model`"], "nothing else outside of the folders");
    desk.editor.close(&file);
    desk.diagnostics(&file, "what is closed is not shown", <[Value]>::is_empty);
}

#[test]
fn an_action_may_name_its_tools_and_its_model() {
    let action = "[[actions]]\nid = \"own\"\ntitle = \"Own\"\nprompt = \"{{{language}}} of {file}: {diagnostics}{selection}\"\n\
                  tools = [\"grep\", \"edit_file\", \"read_file\"]\nmodel = \"test/small\"\n";
    let files = [("a.rs", "fn a() {}\n"), ("ropeway.toml", action)];
    let settings = json!({"models": {"test/small": {"context_window": 50_000}}});
    let mut bench = Bench::start(&files, settings, |setup| setup);
    let file = bench.open("a.rs");
    let mut request = |argument: Value| {
        bench.model.script([Turn::text("Done.")]);
        let run = bench.run(argument);
        assert_eq!(bench.finished(&run)["status"], "answered");
        bench.model.requests().pop().unwrap()
    };
    let range = json!({"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 2}});
    let diagnostics = json!([{"message": "odd", "range": range}]);
    let own = request(json!({"action": "own", "uri": file, "range": range, "diagnostics": diagnostics}));
    let names: Vec<&str> =
        own.body["tools"].as_array().unwrap().iter().map(|tool| tool["function"]["name"].as_str().unwrap()).collect();
    assert_eq!((names, &own.body["model"]), (vec!["read_file", "grep", "edit_file"], &json!("small")));
    let asked = own.last_message();
    for part in ["{rust} of `a.rs`:", "odd", "line 1 is selected", "fn a() {}"] {
        assert!(asked.contains(part), "{part} is missing in {asked}");
    }
    let other = request(json!({"action": "own", "uri": file, "range": range, "model": "test/m"}));
    assert_eq!(other.body["model"], "m", "who names a model in the order means it");
}

#[test]
fn a_client_that_tells_of_settings_only_when_asked_is_asked_and_its_settings_are_fetched_again() {
    let mut desk = Desk::start("", "", |mut setup| {
        setup.initialize["capabilities"]["workspace"]["didChangeConfiguration"] = json!({"dynamicRegistration": true});
        setup
    });
    let asked = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let heard = std::rc::Rc::clone(&asked);
    desk.editor.on_message(move |_, message| {
        if let Some(method) = message["method"].as_str().filter(|_| message.get("id").is_some()) {
            heard.borrow_mut().push((method.to_owned(), message["params"].clone()));
        }
    });
    let fetched =
        |asked: &[(String, Value)]| asked.iter().filter(|(method, _)| method == "workspace/configuration").count();
    desk.editor.until("the settings are fetched", |_| (fetched(&asked.borrow()) == 1).then_some(()));
    desk.editor.notify("workspace/didChangeConfiguration", json!({"settings": null}));
    desk.editor.until("they are fetched again", |_| (fetched(&asked.borrow()) == 2).then_some(()));
    let asked = asked.borrow();
    let registered = asked.iter().find(|(method, _)| method == "client/registerCapability").unwrap();
    assert_eq!(registered.1["registrations"][0]["method"], "workspace/didChangeConfiguration");
    let fetch = asked.iter().find(|(method, _)| method == "workspace/configuration").unwrap();
    assert_eq!(fetch.1["items"][0]["section"], "ropeway");
}

#[test]
fn the_settings_asked_for_last_count_whichever_answer_comes_last() {
    let mut desk = Desk::new("", "");
    let code = desk.editor.open(desk.dir.path().join("work/a.rs"), "fn a() {}\n");
    desk.editor.settings_asked = Some(Vec::new());
    desk.editor.notify("workspace/didChangeConfiguration", json!({"settings": null}));
    desk.editor.notify("workspace/didChangeConfiguration", json!({"settings": null}));
    desk.editor.until("the first question and one for each change", |editor| {
        editor.settings_asked.as_ref().is_some_and(|asked| asked.len() == 3).then_some(())
    });
    let loads = |desk: &mut Desk| {
        desk.editor.command("ropeway.stats", json!({}))["caches"]["config"]["loads"].as_u64().unwrap()
    };
    for (nth, title) in [(2, "The new one"), (1, "The old one"), (0, "The oldest one")] {
        let (before, begun) = (loads(&mut desk), std::time::Instant::now());
        desk.editor.answer_settings(nth, json!({"actions": [{"id": "own", "title": title, "prompt": "p"}]}));
        while loads(&mut desk) == before {
            assert!(begun.elapsed().as_secs() < 20, "the answer is not taken in");
        }
    }
    let menu = desk.menu(&code, 0, 3);
    assert!(titles(&menu).contains(&"Ropeway: The new one"), "{:?}", titles(&menu));
}

#[test]
fn instructions_that_are_saved_are_read_ahead_and_the_looks_at_the_configuration_are_counted() {
    let mut bench = Bench::start(&[("a.rs", "fn a() {}\n"), ("ropeway.toml", "")], json!({}), |setup| setup);
    let stats = |editor: &mut Editor| editor.command("ropeway.stats", json!({}));
    let before = stats(&mut bench.editor);
    let config = &before["caches"]["config"];
    assert!(config["misses"].as_u64() >= Some(1) && config["loads"].as_u64() >= Some(1), "{config}");
    assert!(config["loadMs"].as_f64() > Some(0.0) && config["invalidations"].is_u64(), "{config}");
    assert!(before["cacheHitRate"]["config"].is_number(), "{before}");
    std::fs::write(bench.path("AGENTS.md"), "Be kind.\n").unwrap();
    let read = |stats: &Value| stats["caches"]["files"]["misses"].as_u64().unwrap();
    bench.editor.until("the instructions are read", |editor| (read(&stats(editor)) > read(&before)).then_some(()));
    std::fs::write(bench.path("ropeway.toml"), "[agent]\nmax_steps = 3\n").unwrap();
    bench.editor.until("the file is read again", |editor| {
        let now = stats(editor);
        (now["caches"]["config"]["invalidations"].as_u64() > config["invalidations"].as_u64()).then_some(())
    });
}
