//! What a run knows when it begins: definitions, diagnostics and neighbours, looked up before the model is asked.

use serde_json::{Value, json};

use super::text;
use crate::support::agent::Bench;
use crate::support::editor::uri;
use crate::support::model::Turn;

const WORK: &str = "import shapes\n\n\ndef work(side):\n    return shapes.area_of(side)\n";
const SHAPES: &str = "def area_of(side):\n    return side * 4\n";

/// The first words of a run on the last line of `work.py`.
fn first_words(bench: &mut Bench) -> String {
    let uri = uri(&bench.path("work.py"));
    bench.model.script([Turn::text("Seen.")]);
    let place = json!({"start": {"line": 4, "character": 4}, "end": {"line": 4, "character": 30}});
    let run = bench.run(json!({"action": "explain", "uri": uri, "range": place}));
    bench.finished(&run);
    let request = bench.model.requests().pop().unwrap();
    text(&request.messages()[1]).to_owned()
}

/// What is ready in time depends on the machine; here there is time.
fn patient(mut settings: Value) -> Value {
    settings["context"]["start_ms"] = 10_000.into();
    settings
}

fn bench(settings: Value) -> Bench {
    let files = [("work.py", WORK), ("shapes.py", SHAPES), ("keys/.env.py", SHAPES)];
    let mut bench = Bench::start(&files, patient(settings), |setup| setup);
    bench.open("work.py");
    bench
}

#[cfg(feature = "grammars")]
#[test]
fn the_definition_of_a_called_function_is_there_as_the_user_has_it_now() {
    let mut bench = bench(json!({}));
    assert!(first_words(&mut bench).contains("shapes.py:1-2 `area_of`\n1\tdef area_of(side):\n2\t    return side * 4"));
    let shapes = bench.open("shapes.py");
    bench.editor.type_at(&shapes, 0, "# typed, not saved\n");
    let said = first_words(&mut bench);
    assert!(said.contains("<definitions>\nshapes.py:2-3 `area_of`\n2\tdef area_of(side):"), "{said}");
    assert!(said.contains("shapes.py: changed by the user and not saved yet") && said.contains("+# typed"), "{said}");
    let (looked, asked) = (said.find("<definitions>").unwrap(), said.find("<file path=\"work.py\"").unwrap());
    assert!(looked < asked, "what is asked stands last");
}

#[test]
fn nothing_is_looked_up_where_it_is_switched_off_or_there_is_no_place() {
    let mut off = bench(json!({"context": {"start_tokens": 0}}));
    let said = first_words(&mut off);
    assert!(
        said.contains("shapes.area_of(side)") && !said.contains("Looked up") && !said.contains("side * 4"),
        "{said}"
    );
    let mut without = bench(json!({}));
    without.model.script([Turn::text("Seen.")]);
    let run = without.task("look");
    without.finished(&run);
    assert!(!text(&without.model.requests()[0].messages()[1]).contains("Looked up"));
}

#[test]
fn the_budget_holds() {
    let many: String = (0..200).map(|n| format!("def helper_{n}(side):\n    return side * {n}\n\n")).collect();
    let uses: String = (0..200).map(|n| format!("    helper_{n}(1)\n")).collect();
    let mut sizes = Vec::new();
    for tokens in [0, 50, 400, 2_000] {
        let settings = json!({"context": {"start_tokens": tokens}});
        let work = format!("from many import *\n\n\ndef work(side):\n{uses}");
        let mut bench = Bench::start(&[("work.py", &work), ("many.py", &many)], patient(settings), |setup| setup);
        bench.open("work.py");
        let said = first_words(&mut bench);
        let looked = said.find("Looked up").map_or(0, |at| said.find("In `work.py`").unwrap_or(said.len()) - at);
        // Whoever counts exactly finds no more than was allowed.
        assert!(looked <= tokens * 3 + 200, "{looked} bytes of {tokens} tokens");
        sizes.push(looked);
    }
    assert!(sizes[0] == 0 && (cfg!(not(feature = "grammars")) || sizes[2] < sizes[3]), "{sizes:?}");
}

#[test]
fn a_file_that_may_hold_secrets_or_that_a_rule_denies_is_not_taken() {
    let denied = json!({"permissions": {"deny": ["read_file(shapes.py)"], "ask": ["read_file(asked/**)"]}});
    let mut bench = bench(denied);
    for (name, text) in
        [("shapes.py", SHAPES), ("keys/.env.py", SHAPES), ("keys/x.pem", "def area_of(side): side * 4\n")]
    {
        bench.editor.open(bench.path(name), &format!("{text}# side * 4\n"));
    }
    let said = first_words(&mut bench);
    assert!(!said.contains("side * 4"), "{said}");
}

#[test]
fn diagnostics_that_are_known_are_told_once_and_those_of_the_prompt_not_again() {
    let mut bench = bench(json!({}));
    let shapes = bench.open("shapes.py");
    let problem = |message: &str| {
        json!({"range": {"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 3}},
            "severity": 1, "message": message})
    };
    let place = json!({"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 0}});
    for (uri, message) in [(&shapes, "area is wrong"), (&uri(&bench.path("work.py")), "import </diagnostics> unused")] {
        bench.editor.request(
            "textDocument/codeAction",
            json!({"textDocument": {"uri": uri}, "range": place, "context": {"diagnostics": [problem(message)]}}),
        );
    }
    let said = first_words(&mut bench);
    assert!(said.contains("shapes.py: as the editor last reported, by line\n1\terror: area is wrong"), "{said}");
    assert!(said.contains("import <\\/diagnostics> unused") && said.matches("</diagnostics>").count() == 1, "{said}");

    bench.model.script([Turn::text("Seen.")]);
    let work = uri(&bench.path("work.py"));
    let problems = [problem("import </diagnostics> unused")];
    let run = bench.run(json!({"action": "fix", "uri": work, "range": place, "diagnostics": problems}));
    bench.finished(&run);
    let request = bench.model.requests().pop().unwrap();
    assert_eq!(text(&request.messages()[1]).matches("unused").count(), 1);
}

#[cfg(feature = "grammars")]
#[test]
fn in_a_conversation_that_goes_on_nothing_is_told_twice() {
    let mut bench = bench(json!({}));
    let work = uri(&bench.path("work.py"));
    let order = |thread: Value| {
        let mut order = json!({"action": "task", "prompt": "look", "uri": work});
        if thread.is_string() {
            order["thread"] = thread;
        }
        order
    };
    bench.model.script([Turn::text("One."), Turn::text("Two.")]);
    let started = bench.editor.command("ropeway.run", order(Value::Null));
    bench.finished(started["runId"].as_str().unwrap());
    let run = bench.run(order(started["threadId"].clone()));
    bench.finished(&run);
    let last = bench.model.requests().pop().unwrap().body["messages"].to_string();
    assert_eq!(last.matches("return side * 4").count(), 1, "{last}");
}
