//! A burst of changes while every place where the server waits for the client is taken.

use serde_json::json;

use super::{CODE, mend, mended, text};
use crate::support::agent::Bench;
use crate::support::editor::Applies;
use crate::support::model::Turn;

const CHANGES: usize = 2_000;

#[test]
fn two_thousand_changes_and_a_cancel_pass_four_runs_that_wait_for_the_client() {
    let files = ["a.rs", "b.rs", "c.rs", "d.rs"];
    let mut all: Vec<_> = files.iter().map(|name| (*name, CODE)).collect();
    all.push(("typed.rs", "// begin\n"));
    let mut bench = Bench::start(&all, json!({}), |setup| setup.applies(Applies::Late));
    let uris = files.map(|name| bench.open(name));
    let typed = bench.open("typed.rs");
    let mut runs = Vec::new();
    for (name, uri) in files.iter().zip(&uris) {
        bench.model.script([Turn::calls([mend(name)]), Turn::text("Done.")]);
        runs.push(bench.run(json!({"action": "task", "prompt": "mend", "uri": uri})));
        bench.editor.until("its edit", |editor| (editor.late.len() == runs.len()).then_some(()));
    }
    let argument = json!({"action": "task", "prompt": "wait", "wait": true});
    let waiting =
        bench.editor.ask("workspace/executeCommand", json!({"command": "ropeway.run", "arguments": [argument]}));
    let (_, _reply) = bench.model.expect_blocking();

    // Nothing is read in between: each change stands on the one before, in five files by turns.
    for at in 0..CHANGES {
        let uri = [&typed, &typed, &typed, &typed, &uris[at / 5 % 4]][at % 5];
        let end = if *uri == typed { bench.editor.text(uri).len() } else { 0 };
        let line = format!("// {at} é😀\n");
        match at % 7 {
            // Takes a part of the line before back.
            6 if *uri == typed => bench.editor.replace(uri, end - 1..end, &format!(" and {line}")),
            _ => bench.editor.type_at(uri, end, &line),
        }
    }
    bench.editor.notify("$/cancelRequest", json!({"id": waiting}));
    assert_eq!(bench.editor.answer(waiting).unwrap_err()["code"], -32800);
    assert_eq!(bench.editor.late.len(), files.len(), "the four still wait");

    // The edits were made for older versions, so they are refused, made anew and sent again.
    let before = uris.each_ref().map(|uri| bench.editor.text(uri).replace("sum - x", "sum + x"));
    bench.editor.release(Applies::Transactional);
    for run in &runs {
        assert_eq!(bench.finished(run)["status"], "applied");
    }
    for (uri, before) in uris.iter().zip(&before) {
        assert!(before.ends_with(&mended()) && before.len() > mended().len());
        assert_eq!(bench.editor.text(uri), before);
    }

    // The model reads what the editor has, to the byte.
    let whole = bench.editor.text(&typed).to_owned();
    let parts =
        [1, 501, 1001, 1501].map(|from| ("read_file", json!({"path": "typed.rs", "offset": from, "limit": 500})));
    bench.model.script([Turn::calls(parts), Turn::text("Read.")]);
    let run = bench.task("read");
    bench.finished(&run);
    let request = bench.model.requests().pop().unwrap();
    let numbered = |line: &str| line.trim_start().split_once('\t').map(|(_, text)| text.to_owned());
    let results = request.messages().iter().filter(|message| message["role"] == "tool");
    let read: Vec<String> = results.flat_map(|result| text(result).lines().filter_map(numbered)).collect();
    assert!(read.len() > 1_000);
    assert_eq!(read, whole.lines().collect::<Vec<_>>());
}
