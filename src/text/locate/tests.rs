//! What a quote finds and what is put in its place, case by case, and with texts that are made to be slow.

use proptest::prelude::*;

use super::super::arbitrary::text;
use super::super::edit::EditSet;
use super::*;

fn replaced(source: &str, old: &str, new: &str, all: bool) -> Result<String, Miss> {
    let edits = locate(&Text::from(source), old, new, all)?;
    Ok(EditSet::new(source.len(), edits).unwrap().apply(&Text::from(source)).unwrap().to_string())
}

fn one(source: &str, old: &str, new: &str) -> String {
    replaced(source, old, new, false).unwrap()
}

#[test]
fn an_exact_quote_is_replaced_where_it_stands() {
    assert_eq!(one("a = 1;\nb = 2;\n", "b = 2", "b = 3"), "a = 1;\nb = 3;\n");
    assert_eq!(replaced("x y x", "x", "z", true).unwrap(), "z y z");
}

#[test]
fn a_quote_that_is_there_twice_is_refused_with_its_lines() {
    let miss = replaced("x\ny\nx\nx\n", "x", "z", false).unwrap_err();
    assert_eq!(miss, Miss::Ambiguous { lines: vec![1, 3, 4], count: 3 });
    assert!(miss.to_string().contains("3 times, on lines 1, 3, 4; quote more"), "{miss}");
    let overlap = replaced("a\na\na\n", "a\na\n", "b\n", false).unwrap_err();
    assert_eq!(overlap, Miss::Ambiguous { lines: vec![1, 2], count: 2 });
}

#[test]
fn nothing_to_find_or_to_change_is_refused() {
    assert_eq!(replaced("x", "", "z", false), Err(Miss::Empty));
    assert_eq!(replaced("x", "x", "x", false), Err(Miss::Unchanged));
}

#[test]
fn the_replacement_gets_the_line_ends_of_the_file() {
    assert_eq!(one("a\r\nb\r\nc\r\n", "a\nb\n", "x\ny\nz\n"), "x\r\ny\r\nz\r\nc\r\n");
    assert_eq!(one("a\r\nb\r\n", "b", "x\ny"), "a\r\nx\r\ny\r\n");
    assert_eq!(one("a\r\nb", "b", "x\ny"), "a\r\nx\r\ny");
    assert_eq!(one("a\rb\rc", "a\nb", "x\ny"), "x\ry\rc");
    assert_eq!(one("a\nb\n", "a\r\nb", "x\r\ny"), "x\ny\n");
    assert_eq!(one("a\r\nb\n", "a\r\n", "a\n"), "a\nb\n", "who quotes the line end may change it");
    assert_eq!(one("a\r\nb\nc\n", "b", "x\ny"), "a\r\nx\ny\nc\n", "in a mixed file, those of the line");
}

#[test]
fn blanks_at_the_end_of_a_line_do_not_count() {
    assert_eq!(one("a  \nb\t\nc\n", "a\nb\nc", "x"), "x\n");
    assert_eq!(one("a\nb\n", "a  \nb  ", "x"), "x\n");
    assert_eq!(one("a \r\nb\r\n", "a\nb\n", "x\ny\n"), "x\r\ny\r\n");
    assert!(replaced("return xyz\n", "return x ", "y", false).is_err(), "the end of the quoted line is in no other");
    assert!(matches!(replaced("a\n\nb\n", "   \t ", "y", false), Err(Miss::NotFound { .. })));
}

#[test]
fn a_block_that_is_indented_otherwise_is_found_and_fitted_in() {
    let source = "mod a {\n    fn b() {\n        c();\n    }\n}\n";
    assert_eq!(
        one(source, "fn b() {\n    c();\n}\n", "fn b() {\n    if d {\n        c();\n    }\n\n    e();\n}\n"),
        "mod a {\n    fn b() {\n        if d {\n            c();\n        }\n\n        e();\n    }\n}\n"
    );
    assert_eq!(one("a {\n  b;\n}\n", "    a {\n      b;\n    }", "    a {\n      c;\n    }"), "a {\n  c;\n}\n");
}

#[test]
fn tabs_in_the_file_stay_tabs() {
    let source = "\tif a {\n\t\tb();\n\t}\n";
    assert_eq!(
        one(source, "    if a {\n        b();\n    }", "    if a {\n        b();\n        c();\n    }"),
        "\tif a {\n\t\tb();\n\t\tc();\n\t}\n"
    );
    assert_eq!(one(source, "if a {\n    b();\n}", "while a {\n    b();\n}"), "\twhile a {\n\t\tb();\n\t}\n");
    assert_eq!(one("a:\n  b:\n    c\n", "a:\n    b:\n        c", "a:\n    b:\n        d"), "a:\n  b:\n    d\n");
}

#[test]
fn lines_that_moved_differently_are_another_block() {
    let source = "if a:\n    b\n    c\n";
    assert!(matches!(replaced(source, "if a:\n    b\nc\n", "x\n", false), Err(Miss::NotFound { .. })));
}

#[test]
fn a_file_without_last_line_end_keeps_that() {
    assert_eq!(one("a\n    b\n    c", "b\nc\n", "b\nd\n"), "a\n    b\n    d");
}

#[test]
fn all_blocks_are_replaced_each_with_its_own_indentation() {
    let source = "  a;\n  b;\n---\n\ta;\n\tb;\n";
    assert_eq!(replaced(source, "a;\nb;\n", "c;\n", true).unwrap(), "  c;\n---\n\tc;\n");
    let miss = replaced(source, "a;\nb;\n", "c;\n", false).unwrap_err();
    assert_eq!(miss, Miss::Ambiguous { lines: vec![1, 4], count: 2 });
    assert_eq!(replaced("\ta\n\ta\n\ta\n", "a\na\n", "b\n", true).unwrap(), "\tb\n\ta\n");
}

#[test]
fn a_miss_shows_what_comes_closest() {
    let source = "fn one() {\n    let total = compute(1);\n    print(total);\n}\n\nfn two() {}\n";
    let miss = replaced(source, "    let totals = compute(1);\n    print(total);\n", "", false).unwrap_err();
    let Miss::NotFound { nearest } = &miss else { panic!("{miss}") };
    assert_eq!(nearest[0], Near { line: 2, text: "    let total = compute(1);\n    print(total);".to_owned() });
    assert!(miss.to_string().contains("line 2:\n    let total = compute(1);"), "{miss}");

    let miss = replaced(source, "let totale = compute(1)", "", false).unwrap_err();
    let Miss::NotFound { nearest } = &miss else { panic!("{miss}") };
    assert_eq!(nearest.iter().map(|near| near.line).collect::<Vec<_>>(), [2]);

    let miss = replaced(source, "zzzzz", "", false).unwrap_err();
    assert_eq!(miss, Miss::NotFound { nearest: Vec::new() });
}

#[test]
fn what_is_shown_of_a_miss_is_cut() {
    let source = format!("start\n{}\n", "x".repeat(100_000)).repeat(20);
    let old = format!("start\n{}\n", "y\n".repeat(5000));
    let miss = replaced(&source, &old, "", false).unwrap_err();
    assert!(miss.to_string().len() < 10_000);
    let old = format!("{}y", "x".repeat(90_000));
    assert!(replaced(&source, &old, "", false).unwrap_err().to_string().len() < 10_000);
}

#[test]
fn hostile_texts_take_no_quadratic_time() {
    let same = "a\n".repeat(60_000);
    let many = " a\n".repeat(10_000);
    assert!(matches!(replaced(&same, &many, "b", false), Err(Miss::Ambiguous { .. })));
    assert_eq!(replaced(&same, &many, "b\n", true).unwrap(), "b\n".repeat(6));
    assert!(replaced(&same, &format!("{many}b"), "b", true).is_err());
    let drifting: String = (0..10_000).map(|line| if line == 9_999 { "\t  a\n" } else { " a\n" }).collect();
    assert!(replaced(&same, &drifting, "b", false).is_err());
    let long = "ab".repeat(60_000);
    assert!(replaced(&long, &format!("{}c", "ab".repeat(10_000)), "", false).is_err());
    assert!(matches!(replaced(&same, "a", &"b".repeat(100_000), true), Err(Miss::TooLarge { count: 60_000 })));
    assert_eq!(replaced(&same, "a", "b", true).unwrap(), "b\n".repeat(60_000));
}

proptest! {
    #[test]
    fn any_quote_of_any_text_gives_edits_that_apply(source in text(), old in text(), new in text(), all: bool) {
        if let Ok(after) = replaced(&source, &old, &new, all) {
            prop_assert!(after != source || !new.is_empty());
        }
    }

    #[test]
    fn a_stretch_of_the_text_is_found_whatever_its_line_ends(source in text(), from in 0usize..60, len in 1usize..60) {
        let bounds: Vec<usize> = source.char_indices().map(|(at, _)| at).chain([source.len()]).collect();
        let start = bounds[from.min(bounds.len() - 1)];
        let end = bounds[(from + len).min(bounds.len() - 1)];
        if start < end {
            let as_lf = source[start..end].replace("\r\n", "\n").replace('\r', "\n");
            let found = replaced(&source, &as_lf, "<new>", false);
            prop_assert!(matches!(found, Ok(_) | Err(Miss::Ambiguous { .. })), "{:?}", found);
        }
    }
}
