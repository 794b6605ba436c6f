//! `ropeway.analytics`: tables of what was counted.

use serde_json::{Value, json};

use super::{CODE, mend, refused};
use crate::support::agent::Bench;
use crate::support::model::Turn;

/// The rows of a table; each has no cell that its columns do not name.
fn rows(bench: &mut Bench, what: &str) -> Vec<Value> {
    let table = bench.editor.command("ropeway.analytics", json!({"what": what}));
    assert_eq!(table["what"], what);
    let columns = table["columns"].as_array().unwrap();
    let rows = table["rows"].as_array().unwrap().clone();
    for cell in rows.iter().flat_map(|row| row.as_object().unwrap().keys()) {
        assert!(columns.contains(&json!(cell)), "{cell}: {table}");
    }
    rows
}

fn row(bench: &mut Bench, what: &str, of: &str) -> Value {
    let rows = rows(bench, what);
    rows.into_iter().find(|row| row[if what == "cache" { "cache" } else { "tool" }] == of).unwrap()
}

#[test]
fn the_table_of_tools_says_what_each_was_asked_and_what_was_never_needed() {
    let settings = json!({"tools": {"preload": ["outline", "glob"]}});
    let mut bench = Bench::start(&[("a.rs", CODE)], settings, |setup| setup);
    let uri = bench.open("a.rs");
    let look = || ("read_file", json!({"path": "a.rs"}));
    bench.model.script([
        Turn::calls([look(), ("read_file", json!({"path": "none.rs"})), mend("a.rs")]),
        Turn::calls([("list_dir", json!({}))]),
        Turn::calls([("list_dir", json!({}))]),
        Turn::text("Done."),
    ]);
    let run = bench.run(json!({"action": "task", "prompt": "mend", "uri": uri}));
    bench.finished(&run);

    let read = row(&mut bench, "tools", "read_file");
    assert_eq!((&read["uses"], &read["errors"], &read["loads"]), (&json!(2), &json!(1), &json!(1)), "{read}");
    for time in ["runP50Ms", "runMaxMs", "waitP95Ms", "loadMs", "idleMs"] {
        assert!(read[time].as_f64().unwrap() >= 0.0, "{time}: {read}");
    }
    let never = row(&mut bench, "tools", "move_file");
    assert_eq!((&never["uses"], &never["loaded"], &never["loads"]), (&json!(0), &json!(false), &json!(0)));
    assert_eq!((&never["loadMs"], &never["runP50Ms"]), (&Value::Null, &Value::Null));
    while row(&mut bench, "tools", "glob")["loaded"] != true {
        std::thread::yield_now();
    }
    assert_eq!(row(&mut bench, "tools", "glob")["uses"], 0, "built ahead, and not asked");
    let all = rows(&mut bench, "tools");
    assert_eq!((&all[0]["tool"], &all[1]["tool"]), (&json!("read_file"), &json!("list_dir")));
    assert!(row(&mut bench, "cache", "tools")["misses"].as_u64().unwrap() > 0);
    assert_eq!(rows(&mut bench, "http")[0]["requests"], 4);
}

#[test]
fn a_table_that_does_not_exist_is_answered_with_those_that_do() {
    let mut bench = Bench::with(&[]);
    let said = refused(&mut bench, "ropeway.analytics", json!([{"what": "weather"}]));
    assert!(said.contains("`weather`") && said.contains("tools"), "{said}");
    let said = refused(&mut bench, "ropeway.analytics", json!([{"what": "x".repeat(10_000)}]));
    assert!(said.len() < 300, "{said}");
    assert!(refused(&mut bench, "ropeway.analytics", json!([{}])).contains("`what`"));
}
