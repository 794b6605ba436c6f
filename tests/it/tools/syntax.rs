//! Edits that break a file's syntax are told so in the same result.
#![cfg(feature = "grammars")]

use std::time::Duration;

use serde_json::json;

use super::Bench;

const FILES: &str = "//- /a.rs\nfn one() {\n    let x = 1;\n}\n\nfn two() {}\n//- /b.py\ndef f():\n    pass\n//- /broken.rs\nfn one( {\n}\n//- /a.txt\n(\n";

const BROKE: &str = "[the edit is staged, but the file, which was whole";

#[test]
fn an_edit_that_breaks_a_whole_file_says_where_and_is_staged() {
    let bench = Bench::new(FILES);
    let answer =
        bench.ok("edit_file", json!({"path": "a.rs", "old_string": "let x = 1;\n}", "new_string": "let x = (1;\n}"}));
    assert!(answer.starts_with("edited a.rs; it now reads:\n"), "{answer}");
    let told = answer.split_once(BROKE).unwrap().1;
    assert!(
        told.starts_with(" Rust before, now has syntax errors:\nline 2: `(` is not closed\n     2\t    let x = (1;\n"),
        "{told}"
    );
    assert!(told.ends_with("mend them unless another edit is about to]"), "{told}");
    let staged = bench.workspace.staged(&bench.context.run);
    assert!(staged[0].after.to_string().contains("(1;"));
}

#[test]
fn a_file_that_stays_broken_is_told_again_until_it_is_mended() {
    let bench = Bench::new(FILES);
    let edit =
        |old: &str, new: &str| bench.ok("edit_file", json!({"path": "a.rs", "old_string": old, "new_string": new}));
    assert!(edit("fn two() {}", "fn two() {").contains(BROKE));
    assert!(edit("let x = 1;", "let x = 2;").contains(BROKE));
    assert!(!edit("fn two() {", "fn two() {}").contains(BROKE));
}

#[test]
fn several_edits_in_one_call_are_judged_by_what_they_come_to() {
    let bench = Bench::new(FILES);
    let edits = |second: &str| {
        json!({"path": "a.rs", "edits": [
            {"old_string": "fn one() {", "new_string": "fn one() { if true {"},
            {"old_string": "    let x = 1;\n", "new_string": second},
        ]})
    };
    assert!(!bench.ok("edit_file", edits("    let x = 1; }\n")).contains(BROKE));
    let bench = Bench::new(FILES);
    assert!(bench.ok("edit_file", edits("    let x = 3;\n")).contains(BROKE));
}

#[test]
fn inserting_and_creating_are_checked_too_each_file_by_itself() {
    let bench = Bench::new(FILES);
    let answer = bench.ok("insert_lines", json!({"path": "b.py", "line": 1, "text": "    x = )"}));
    assert!(answer.contains(BROKE) && answer.contains("line 2: `)` closes nothing\n     2\t    x = )"), "{answer}");
    let answer = bench.ok("create_file", json!({"path": "c.go", "text": "package c\n\nfunc f( {\n}\n"}));
    assert!(answer.contains(BROKE) && answer.contains("line 3: `(` is not closed"), "{answer}");
    assert!(!bench.ok("create_file", json!({"path": "d.go", "text": "package d\n"})).contains(BROKE));
    assert!(
        !bench.ok("edit_file", json!({"path": "a.rs", "old_string": "two", "new_string": "three"})).contains(BROKE)
    );
}

#[test]
fn nothing_is_said_of_what_was_broken_before_or_is_no_program() {
    let bench = Bench::new(FILES);
    let answer = bench.ok("edit_file", json!({"path": "broken.rs", "old_string": "one", "new_string": "on("}));
    assert!(!answer.contains("syntax"), "{answer}");
    let answer = bench.ok("edit_file", json!({"path": "a.txt", "old_string": "(", "new_string": "(("}));
    assert!(!answer.contains("syntax"), "{answer}");
}

#[test]
fn what_the_user_broke_is_not_held_against_the_model_unless_it_had_mended_it() {
    let bench = Bench::new(FILES);
    bench.open("a.rs", "fn one( {\n}\n");
    let edit =
        |old: &str, new: &str| bench.ok("edit_file", json!({"path": "a.rs", "old_string": old, "new_string": new}));
    assert!(!edit("one", "uno").contains("syntax"));
    assert!(!edit("uno(", "uno()").contains("syntax"));
    assert!(edit("}\n", "\n").contains(BROKE));
}

#[test]
fn a_check_that_takes_too_long_says_nothing() {
    let mut bench = Bench::new(FILES);
    bench.context.limits.syntax.check = Duration::ZERO;
    bench.write("a.rs", &"fn f() { g(1, 2); }\n".repeat(2_000));
    let answer = bench.ok("insert_lines", json!({"path": "a.rs", "line": 0, "text": "fn ("}));
    assert!(!answer.contains("syntax"), "{answer}");
    bench.context.limits.syntax.check = Duration::from_secs(60);
    bench.write("large.rs", &"fn f() { g(1, 2); }\n".repeat(110_000));
    let answer = bench.ok("insert_lines", json!({"path": "large.rs", "line": 0, "text": "fn ("}));
    assert!(!answer.contains("syntax"), "{answer}");
}

#[test]
fn a_broken_line_of_a_megabyte_is_shown_in_part() {
    let bench = Bench::new(FILES);
    let text = format!("x = ( {}\n", "1 + ".repeat(100_000));
    let answer = bench.ok("create_file", json!({"path": "wide.py", "text": text}));
    assert!(answer.contains(BROKE) && answer.len() < 2_000, "{} bytes", answer.len());
}

#[test]
fn a_line_of_ten_megabytes_is_edited_without_a_word_and_has_no_outline() {
    let bench = Bench::new(FILES);
    bench.write("flat.js", &format!("x = [{}];", "0,".repeat(4 << 20)));
    let answer = bench.ok("edit_file", json!({"path": "flat.js", "old_string": "x = [", "new_string": "x = [["}));
    assert!(!answer.contains("syntax") && answer.len() < 10_000, "{} bytes", answer.len());
    let refusal = bench.refused("outline", json!({"path": "flat.js"}));
    assert!(refusal.contains("more than the") && refusal.len() < 500, "{refusal}");
}

#[test]
fn a_nul_byte_is_no_end_of_a_text() {
    let bench = Bench::new(FILES);
    bench.open("a.rs", "fn one() {}\n");
    let answer = bench.ok("edit_file", json!({"path": "a.rs", "old_string": "{}", "new_string": "{\u{0}"}));
    assert!(answer.contains(BROKE), "{answer}");
    let answer = bench.ok("create_file", json!({"path": "b.rs", "text": "// \u{0}\nfn two( {}\n"}));
    assert!(answer.contains("`(` is not closed"), "{answer}");
}
