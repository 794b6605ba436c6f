//! `read_file`, `list_dir`, `glob`, `diagnostics`.

use ropeway::text::{Position, Range};
use ropeway::tools::{Diagnostic, OutputLimits, Severity};
use serde_json::json;

use super::Bench;

#[test]
fn a_file_is_read_with_numbers_and_in_part() {
    let bench = Bench::new("//- /src/a.txt\none\ntwo\nthree\nfour\n");
    assert_eq!(
        bench.ok("read_file", json!({"path": "src/a.txt"})),
        "     1\tone\n     2\ttwo\n     3\tthree\n     4\tfour\n[end of the file: 4 lines]"
    );
    assert_eq!(
        bench.ok("read_file", json!({"path": "src/a.txt", "offset": 2, "limit": 2})),
        "     2\ttwo\n     3\tthree\n[lines 2 to 3 of 4; go on with offset 4]"
    );
    assert_eq!(
        bench.ok("read_file", json!({"path": "src/a.txt", "offset": 9})),
        "[line 9 is past the end: the file has 4 lines]"
    );
    let whole = bench.ok("read_file", json!({"path": "./src/../src/a.txt", "offset": 0, "limit": u64::MAX}));
    assert!(whole.ends_with("[end of the file: 4 lines]"));
}

#[test]
fn what_is_staged_comes_before_what_is_open_and_that_before_the_disk() {
    let bench = Bench::new("//- /a.txt\ndisk\n");
    assert!(bench.ok("read_file", json!({"path": "a.txt"})).contains("disk"));
    bench.open("a.txt", "buffer\n");
    assert!(bench.ok("read_file", json!({"path": "a.txt"})).contains("buffer"));
    bench.ok("edit_file", json!({"path": "a.txt", "old_string": "buffer", "new_string": "staged"}));
    assert!(bench.ok("read_file", json!({"path": "a.txt"})).contains("staged"));
    bench.ok("delete_file", json!({"path": "a.txt"}));
    assert_eq!(bench.refused("read_file", json!({"path": "a.txt"})), "`a.txt` was deleted earlier in this run");
}

#[test]
fn a_long_file_is_cut_at_a_line_with_the_way_to_go_on() {
    let mut bench = Bench::new("//- /empty.txt\n");
    bench.write("long.txt", &(1..=5_000).map(|line| format!("line number {line}\n")).collect::<String>());
    let first = bench.ok("read_file", json!({"path": "long.txt"}));
    assert!(first.ends_with("[lines 1 to 1000 of 5000; go on with offset 1001]"));
    bench.context.limits.output = OutputLimits { bytes: 1_000, line_chars: 50 };
    let first = bench.ok("read_file", json!({"path": "long.txt", "limit": 4_000_000_000_u64}));
    assert!(first.ends_with("[lines 1 to 45 of 5000; go on with offset 46]"), "{first}");
    assert_eq!(bench.ok("read_file", json!({"path": "empty.txt"})), "[the file is empty]");
    bench.write("wide.txt", &"x".repeat(100_000));
    let wide = bench.ok("read_file", json!({"path": "wide.txt"}));
    assert_eq!(wide, format!("     1\t{}… [99950 more characters]\n[end of the file: 1 lines]", "x".repeat(50)));
}

#[test]
fn a_folder_is_listed_in_order_without_what_git_ignores() {
    let bench = Bench::new(
        "//- /.gitignore\ntarget/\n*.log\n//- /src/main.rs\n//- /src/deep/er/x.rs\n//- /src-gen/y.rs\n//- /target/o\n//- /a.log\n//- /.github/ci.yml\n//- /b.txt\n",
    );
    std::fs::create_dir(bench.at(".git")).unwrap();
    assert_eq!(bench.ok("list_dir", json!({})), ".github/\n.gitignore\nb.txt\nsrc/\nsrc-gen/");
    assert_eq!(bench.ok("list_dir", json!({"path": "src", "depth": 2})), "deep/\ndeep/er/\nmain.rs");
    let all = bench.ok("list_dir", json!({"depth": 99}));
    assert!(all.contains("src/\nsrc/deep/\nsrc/deep/er/\nsrc/deep/er/x.rs\nsrc/main.rs\nsrc-gen/\n"), "{all}");
    assert!(bench.refused("list_dir", json!({"path": "b.txt"})).contains("read it with read_file"));
    assert!(bench.refused("list_dir", json!({"path": "nowhere"})).contains("does not exist"));
}

#[test]
fn listings_show_what_the_run_made_and_not_what_it_deleted() {
    let bench = Bench::new("//- /src/a.rs\n//- /src/b.rs\n//- /ignored/i.rs\n//- /.ignore\nignored/\n");
    bench.ok("create_file", json!({"path": "src/new/c.rs", "text": "x"}));
    bench.ok("delete_file", json!({"path": "src/a.rs"}));
    bench.ok("move_file", json!({"from": "src/b.rs", "to": "lib/b.rs"}));
    bench.open("ignored/i.rs", "open, and still ignored");
    assert_eq!(bench.ok("list_dir", json!({"path": "src"})), "new/");
    assert_eq!(bench.ok("list_dir", json!({"path": "src/new"})), "c.rs");
    assert_eq!(bench.ok("list_dir", json!({})), ".ignore\nlib/\nlib/b.rs\nsrc/".replace("lib/b.rs\n", ""));
    assert_eq!(bench.ok("glob", json!({"pattern": "**/*.rs"})), "lib/b.rs\nsrc/new/c.rs");
    assert_eq!(bench.ok("glob", json!({"pattern": "*.rs", "path": "src/new"})), "src/new/c.rs");
}

#[test]
fn a_long_listing_is_cut_and_says_how_much_there_is() {
    let bench = Bench::new("");
    for number in 0..1_200 {
        bench.write(&format!("d/{number:04}.txt"), "");
    }
    let list = bench.ok("list_dir", json!({"path": "d"}));
    assert!(list.ends_with("0999.txt\n[1000 of 1200 entries; list a folder below, or use less depth]"));
    let glob = bench.ok("glob", json!({"pattern": "d/*"}));
    assert!(glob.ends_with("d/0299.txt\n[300 of 1200 files; narrow the pattern or the path, or raise the limit]"));
    let all = bench.ok("glob", json!({"pattern": "**", "limit": u64::MAX}));
    assert_eq!(all.lines().count(), 1_200);
}

#[test]
fn a_glob_keeps_to_its_folder_and_sorts_by_path() {
    let bench = Bench::new("//- /b.rs\n//- /a/x.rs\n//- /a/b/y.rs\n//- /a/b/y.txt\n//- /.github/ci.yml\n//- /a.rs\n");
    assert_eq!(bench.ok("glob", json!({"pattern": "*.rs"})), "a.rs\nb.rs");
    assert_eq!(bench.ok("glob", json!({"pattern": "**/*.rs"})), "a.rs\na/b/y.rs\na/x.rs\nb.rs");
    assert_eq!(bench.ok("glob", json!({"pattern": "**/*.{txt,yml}"})), "a/b/y.txt");
    assert_eq!(bench.ok("glob", json!({"pattern": ".github/**"})), ".github/ci.yml");
    assert_eq!(bench.ok("glob", json!({"pattern": "*/*", "path": "a"})), "a/b/y.rs\na/b/y.txt");
    assert!(bench.ok("glob", json!({"pattern": "*.zig"})).starts_with("[no file matches `*.zig`"));
}

#[test]
fn diagnostics_are_those_the_editor_sent_last() {
    let bench = Bench::new("//- /a.rs\nx\n//- /b/c.rs\ny\n");
    let at = |line, character| Position { line, character };
    let item = |line, message: &str| Diagnostic {
        range: Range { start: at(line, 4), end: at(line, 6) },
        severity: Severity::Error,
        message: message.to_owned(),
        source: Some("rustc".to_owned()),
        code: Some("E0308".to_owned()),
    };
    let store = &bench.context.diagnostics;
    assert!(bench.ok("diagnostics", json!({})).starts_with("[the editor has reported nothing here"));
    store.set(&bench.uri("b/c.rs"), vec![item(4, "second\nmore"), item(0, "first")]);
    store.set("file:///elsewhere/z.rs", vec![item(0, "not ours")]);
    assert_eq!(
        bench.ok("diagnostics", json!({})),
        "b/c.rs\n1:5 error[E0308] (rustc): first\n5:5 error[E0308] (rustc): second\n    more\n[as the editor last reported; lines may have moved since]"
    );
    store.set_in(&bench.uri("b/c.rs"), Range { start: at(0, 0), end: at(1, 0) }, vec![]);
    assert!(!bench.ok("diagnostics", json!({"path": "b"})).contains("first"));
    assert!(bench.ok("diagnostics", json!({"path": "a.rs"})).starts_with("[the editor has reported nothing here"));
    store.set(&bench.uri("b/c.rs"), vec![]);
    assert!(store.of(&bench.uri("b/c.rs")).is_empty());
}
