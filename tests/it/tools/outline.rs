//! `outline`: what a file declares, as the run sees it.

use std::sync::Arc;
use std::time::Duration;

use ropeway::tools::pattern::PathFilter;
use serde_json::json;

use super::Bench;

#[cfg(feature = "grammars")]
const SHAPES: &str = "//- /src/a.rs\npub struct Point {\n    x: f64,\n}\n\nimpl Point {\n    pub fn area(&self) -> f64 {\n        0.0\n    }\n}\n";

#[cfg(feature = "grammars")]
#[test]
fn declarations_come_with_their_lines_and_nested() {
    let bench = Bench::new(SHAPES);
    assert_eq!(
        bench.ok("outline", json!({"path": "src/a.rs"})),
        "        1-3\tpub struct Point\n        5-9\timpl Point\n        6-8\t  pub fn area(&self) -> f64"
    );
}

#[cfg(feature = "grammars")]
#[test]
fn an_outline_is_of_what_is_staged_else_open_else_on_disk() {
    let bench = Bench::new(SHAPES);
    bench.open("src/a.rs", "fn open() {}\n");
    assert_eq!(bench.ok("outline", json!({"path": "src/a.rs"})), "          1\tfn open()");
    bench.ok("edit_file", json!({"path": "src/a.rs", "old_string": "open", "new_string": "staged"}));
    assert_eq!(bench.ok("outline", json!({"path": "src/a.rs"})), "          1\tfn staged()");
    bench.ok("create_file", json!({"path": "new.py", "text": "def made(): pass\n"}));
    assert_eq!(bench.ok("outline", json!({"path": "new.py"})), "          1\tdef made()");
}

#[cfg(feature = "grammars")]
#[test]
fn with_and_without_earlier_trees_the_outlines_are_the_same() {
    let outlines = |reuse: bool| {
        let mut bench = Bench::new(SHAPES);
        bench.context.limits.syntax.reuse = reuse;
        let edits =
            [("x: f64", "y: [f64; 2]"), ("impl Point {", "impl Point {\n    fn new() {}"), ("0.0\n", "0.0 }\n")];
        let mut seen = vec![bench.ok("outline", json!({"path": "src/a.rs"}))];
        for (old, new) in edits {
            seen.push(bench.ok("edit_file", json!({"path": "src/a.rs", "old_string": old, "new_string": new})));
            seen.push(bench.ok("outline", json!({"path": "src/a.rs"})));
        }
        assert_eq!(bench.context.parses.kept().0, usize::from(reuse));
        seen
    };
    assert_eq!(outlines(true), outlines(false));
}

#[cfg(feature = "grammars")]
#[test]
fn a_long_outline_is_cut_and_says_where() {
    let text: String = (0..3_000).map(|number| format!("fn function_number_{number}() {{}}\n")).collect();
    let bench = Bench::new(&format!("//- /a.rs\n{text}//- /b.rs\n// nothing\n//- /c.rs\nfn f() {{\n"));
    let answer = bench.ok("outline", json!({"path": "a.rs"}));
    let shown = answer.lines().count() - 1;
    assert!(answer.len() < 34_000 && shown < 2_000, "{shown}");
    assert!(answer.ends_with(&format!(
        "[only the first {shown} declarations, up to line {shown}; use grep, or read_file with offset, for the rest]"
    )));
    assert_eq!(
        bench.ok("outline", json!({"path": "b.rs"})),
        "[nothing is declared here, as far as its Rust grammar knows]"
    );
    assert!(bench.ok("outline", json!({"path": "c.rs"})).ends_with("so declarations may be missing]"));
}

#[test]
fn a_file_without_an_outline_is_answered_with_what_to_use_instead() {
    let mut bench = Bench::new("//- /a.txt\nx\n//- /big.rs\n");
    bench.write("big.rs", &"// x\n".repeat(500_000));
    bench.write("deep.rs", &"(".repeat(1 << 20));
    let refusal = bench.refused("outline", json!({"path": "a.txt"}));
    let known = if cfg!(feature = "grammars") { "there are: C, C++, " } else { "this build has none" };
    assert!(refusal.starts_with(&format!("there is no grammar for `a.txt` ({known}")), "{refusal}");
    assert!(refusal.contains("use grep"), "{refusal}");
    assert!(bench.refused("outline", json!({"path": "none.rs"})).contains("does not exist"));
    for name in ["big.rs", "deep.rs"] {
        let refusal = bench.refused("outline", json!({"path": name}));
        assert!(refusal.contains("there is no outline of") && refusal.contains("use grep"), "{refusal}");
    }
    bench.context.limits.syntax.outline = Duration::ZERO;
    bench.write("slow.rs", &"fn f() { 1 }\n".repeat(1_000));
    let refusal = bench.refused("outline", json!({"path": "slow.rs"}));
    let why = if cfg!(feature = "grammars") { "took too long" } else { "has no grammars" };
    assert!(refusal.contains(why) && refusal.contains("read_file"), "{refusal}");
}

#[cfg(unix)]
#[test]
fn a_file_that_must_not_be_read_has_no_outline_by_any_name() {
    let mut bench = Bench::new("//- /secret/key.rs\nfn token() {}\n");
    std::os::unix::fs::symlink("secret", bench.at("open")).unwrap();
    bench.context.denied = Arc::from([PathFilter::path("secret/**").unwrap()]);
    for name in ["secret/key.rs", "open/key.rs"] {
        let refusal = bench.refused("outline", json!({"path": name}));
        assert!(refusal.contains("denies it") && !refusal.contains("token"), "{refusal}");
    }
}
