//! Without its optimisations Ropeway is slower and does the same.

use serde_json::{Value, json};

use crate::support::agent::Bench;
use crate::support::model::Turn;

const CODE: &str = "mod b;\n\nfn one() -> u32 {\n    b::two() - 1\n}\n";

/// What a run did: its outcome, the text of the buffer, and what each call was answered.
type Told = (Value, String, Vec<String>);

/// Two runs over the same files, the second of which asks for what the first has seen.
fn play(kind: &str, variables: &[(&str, &str)]) -> (Vec<Told>, Value) {
    let files = [
        ("a.rs", CODE),
        ("b.rs", "pub fn two() -> u32 {\n    2\n}\n"),
        ("c/notes.md", "one and two\n"),
        ("AGENTS.md", "Be brief.\n"),
        ("ropeway.toml", "[agent]\nmax_steps = 9\n"),
    ];
    let settings = json!({"providers": {"test": {"kind": kind}}});
    let mut bench = Bench::among(variables, &files, settings, |setup| setup);
    let file = bench.open("a.rs");
    let mut told = Vec::new();
    for (old, new) in [("- 1", "- 2"), ("- 2", "- 3")] {
        bench.model.script([
            Turn::calls([
                ("read_file", json!({"path": "a.rs"})),
                ("read_file", json!({"path": "b.rs"})),
                ("grep", json!({"pattern": "two"})),
                ("glob", json!({"pattern": "**/*.md"})),
                ("outline", json!({"path": "b.rs"})),
            ])
            .saying("I look at it,\npiece by piece."),
            Turn::calls([
                ("edit_file", json!({"path": "a.rs", "old_string": old, "new_string": new})),
                ("read_file", json!({"path": "a.rs"})),
                ("grep", json!({"pattern": "two"})),
            ]),
            Turn::text("Done, \"in\" three words."),
        ]);
        let before = bench.model.requests().len();
        let run = bench.run(json!({"action": "refactor", "uri": file, "range": {
            "start": {"line": 3, "character": 4}, "end": {"line": 3, "character": 14}}}));
        let outcome = bench.finished(&run);
        let kept = ["status", "answer", "steps"].map(|key| (key.to_owned(), outcome[key].clone()));
        let last = bench.model.requests().split_off(before).pop().unwrap();
        let answers = last.messages().iter().flat_map(answers).collect();
        told.push((Value::from_iter(kept), bench.editor.text(&file).to_owned(), answers));
    }
    let mut stats = bench.editor.command("ropeway.stats", json!({}));
    stats["marked"] = json!(bench.model.requests().iter().any(|it| it.body.to_string().contains("cache_control")));
    (told, stats)
}

/// The results of calls in a message, whichever protocol it is of. Without the blanks of columns, which one way of
/// shortening a conversation leaves out.
fn answers(message: &Value) -> Vec<String> {
    let said = |content: &Value| content.to_string().split("  ").map(str::trim).collect::<String>();
    if message["role"] == "tool" {
        return vec![said(&message["content"])];
    }
    let blocks = message["content"].as_array().into_iter().flatten();
    let results = blocks.filter(|block| block["type"] == "tool_result");
    results.map(|block| said(&block["content"])).collect()
}

#[test]
fn every_optimisation_may_be_off_and_the_results_are_the_same() {
    for kind in ["openai", "anthropic"] {
        let (with, seen) = play(kind, &[]);
        let (without, unseen) = play(kind, &[("ROPEWAY_OFF", "all")]);
        assert_eq!(with[0].0["status"], "applied", "{with:?}");
        assert_eq!(with[1].2.len(), 8, "{with:?}");
        assert_eq!(with, without);
        // They were on, and they were off.
        for cache in ["files", "tools"] {
            assert_eq!(unseen["caches"][cache]["hits"], 0, "{cache}: {}", unseen["caches"]);
        }
        let parsed = |stats: &Value| stats["caches"]["config"]["entries"].as_u64().unwrap();
        assert!(parsed(&seen) > 0 && parsed(&unseen) == 0, "{}", seen["caches"]["config"]);
        assert_eq!((&unseen["queues"]["tools"]["peak"], &unseen["marked"]), (&json!(1), &json!(false)), "{unseen}");
        assert_eq!(seen["marked"], kind == "anthropic");
    }
}
