//! `grep`, against a search that nobody could get wrong.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use ropeway::text::Text;
use ropeway::tools::search::{self, End, Query, Source};
use ropeway::tools::{Cancel, grep};
use serde_json::{Value, json};

use super::Bench;

/// What `grep` should say: each file in path order, each line by itself.
fn naive(files: &BTreeMap<String, String>, matches: impl Fn(&str) -> bool, context: usize, max: usize) -> String {
    let (mut out, mut left) = (String::new(), max);
    for (name, text) in files {
        let lines: Vec<&str> =
            text.split_terminator('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).collect();
        let all: Vec<usize> = (0..lines.len()).filter(|line| matches(lines[*line])).collect();
        let hits = &all[..all.len().min(left)];
        left -= hits.len();
        if hits.is_empty() {
            continue;
        }
        if !out.is_empty() {
            out.push('\n');
        }
        writeln!(out, "{name}").unwrap();
        // A search that stops shows no line that stands only before the match it stopped at.
        let shown: Vec<usize> =
            (0..lines.len()).filter(|line| hits.iter().any(|hit| hit.abs_diff(*line) <= context)).collect();
        let mut last = None;
        for line in shown {
            if context > 0 && last.is_some_and(|last| last + 1 < line) {
                out.push_str("--\n");
            }
            last = Some(line);
            writeln!(out, "{}{}{}", line + 1, if hits.contains(&line) { ':' } else { '-' }, lines[line]).unwrap();
        }
    }
    out
}

/// The answer without the remark at its end.
fn hits(answer: &str) -> &str {
    &answer[..answer.rfind('[').unwrap()]
}

fn contents() -> impl Strategy<Value = BTreeMap<String, String>> {
    let name = "(d[0-2]/){0,2}f[0-9]\\.(rs|txt)";
    let text = prop::collection::vec(("[abc ]{0,6}", prop::bool::ANY), 0..8).prop_map(|lines| {
        lines.into_iter().fold(String::new(), |text, (line, crlf)| text + &line + if crlf { "\r\n" } else { "\n" })
    });
    prop::collection::btree_map(name, text, 0..30)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn results_equal_those_of_a_naive_search_for_any_tree_any_number_of_threads_and_any_overlay(
        files in contents(),
        over in contents(),
        context in 0..3_u64,
        threads in 1..5_usize,
    ) {
        let mut bench = Bench::new("");
        bench.context.limits.threads = threads;
        for (name, text) in &files {
            bench.write(name, text);
        }
        let mut seen = files;
        for (index, (name, text)) in over.iter().enumerate() {
            match index % 3 {
                0 => bench.open(name, text),
                1 if seen.contains_key(name) => {
                    bench.ok("delete_file", json!({"path": name}));
                    seen.remove(name);
                    continue;
                }
                _ if seen.contains_key(name) => continue,
                _ => {
                    bench.ok("create_file", json!({"path": name, "text": text}));
                }
            }
            seen.insert(name.clone(), text.clone());
        }
        let ask = |mut arguments: Value| {
            arguments["context"] = json!(context);
            bench.ok("grep", arguments)
        };
        let context = context as usize;
        let all = ask(json!({"pattern": "ab", "max_results": 5000}));
        prop_assert_eq!(hits(&all), naive(&seen, |line| line.contains("ab"), context, 5_000));
        let regex = ask(json!({"pattern": "^a.*c$", "max_results": 5000}));
        prop_assert_eq!(hits(&regex), naive(&seen, |line| line.starts_with('a') && line.len() > 1 && line.ends_with('c'), context, 5_000));
        let upper = ask(json!({"pattern": "A.", "literal": true, "max_results": 5000}));
        prop_assert_eq!(hits(&upper), "");
        let upper = ask(json!({"pattern": "B", "case_sensitive": false, "max_results": 5000}));
        prop_assert_eq!(hits(&upper), naive(&seen, |line| line.contains('b'), context, 5_000));
        let of_kind: BTreeMap<String, String> =
            seen.iter().filter(|(name, _)| name.ends_with(".rs")).map(|(name, text)| (name.clone(), text.clone())).collect();
        let chosen = ask(json!({"pattern": "a", "glob": "*.rs", "max_results": 5000}));
        prop_assert_eq!(hits(&chosen), naive(&of_kind, |line| line.contains('a'), context, 5_000));
        let first = ask(json!({"pattern": "b", "max_results": 3}));
        let expected = naive(&seen, |line| line.contains('b'), context, 3);
        let matching = |text: &str| text.lines().filter(|line| line.contains(':')).map(str::to_owned).collect::<Vec<_>>();
        prop_assert_eq!(matching(&first), matching(&expected));
    }
}

fn many_files() -> Bench {
    let bench = Bench::new("");
    for number in 0..300 {
        bench.write(&format!("d{}/f{number:03}.txt", number % 7), &format!("needle {number}\nhay\nneedle again\n"));
    }
    bench
}

#[test]
fn the_first_matches_are_the_same_whatever_the_threads_do() {
    let mut bench = many_files();
    bench.context.limits.threads = 1;
    let ask = |bench: &Bench, max: u64| bench.ok("grep", json!({"pattern": "needle", "max_results": max}));
    let expected: Vec<String> = [1, 7, 100, 599].map(|max| ask(&bench, max)).into();
    assert!(expected[1].starts_with("d0/f000.txt\n1:needle 0\n3:needle again\n\nd0/f007.txt\n1:needle 7\n"));
    assert!(expected[1].ends_with("raise max_results]"));
    assert_eq!(expected[1].matches("needle").count(), 7);
    for threads in [2, 4, 8] {
        bench.context.limits.threads = threads;
        for _ in 0..10 {
            let again: Vec<String> = [1, 7, 100, 599].map(|max| ask(&bench, max)).into();
            assert_eq!(again, expected);
        }
    }
    assert!(ask(&bench, 600).ends_with("[600 matches, 300 files searched]"));
}

#[test]
fn the_limit_of_files_takes_the_first_ones_and_says_so() {
    let mut bench = many_files();
    bench.context.limits.grep_max_files = 10;
    let answer = bench.ok("grep", json!({"pattern": "again"}));
    assert_eq!(answer.matches(":needle again").count(), 10);
    assert!(answer.starts_with("d0/f000.txt\n") && !answer.contains("d1/"));
    assert!(
        answer.ends_with("[10 matches in the first 10 of 300 files, which is the limit; narrow the path or the glob]")
    );
}

#[test]
fn a_search_without_a_match_in_time_says_so() {
    let mut bench = many_files();
    bench.context.limits.grep_first_match = Duration::ZERO;
    let answer = bench.ok("grep", json!({"pattern": "needle"}));
    assert_eq!(answer, "[time was up: 0 matches in the 0 files searched so far; narrow the path or the glob]");
}

#[test]
fn a_search_ends_by_the_clock_with_what_it_has() {
    let list: Vec<Box<str>> = vec!["a".into(), "b".into()];
    let open = |rel: &str| Some(Source::Text(Text::from(if rel == "a" { "needle\n" } else { "hay\n" })));
    let query = |pattern: &str| Query {
        matcher: grep::matcher(pattern, true, true).unwrap(),
        context: 0,
        max_matches: 10,
        max_bytes: 1_000,
        first_match: Duration::ZERO,
        until: None,
    };
    let search = |query: &Query| {
        let found = search::search(query, &list, &open, 1, &Cancel::new());
        (found.end, found.matches)
    };
    assert_eq!(search(&query("needle")), (End::NoFirstMatch, 0));
    assert_eq!(search(&Query { first_match: Duration::MAX, ..query("needle") }), (End::Whole, 1));
    assert_eq!(
        search(&Query { until: Some(Instant::now()), first_match: Duration::MAX, ..query("needle") }),
        (End::Late, 0)
    );
    let cancel = Cancel::new();
    let cancelling = |rel: &str| {
        cancel.cancel();
        open(rel)
    };
    let found =
        search::search(&Query { first_match: Duration::MAX, ..query("needle") }, &list, &cancelling, 1, &cancel);
    assert_eq!((found.end, found.searched), (End::Cancelled, 1));
}

#[test]
fn what_git_ignores_hidden_files_binary_files_and_links_are_left_out() {
    let bench = Bench::new(
        "//- /.gitignore\nout/\n*.log\n!keep.log\n//- /out/a.txt\nneedle\n//- /b.log\nneedle\n//- /keep.log\nneedle\n//- /.hidden/c.txt\nneedle\n//- /sub/.gitignore\nd.txt\n//- /sub/d.txt\nneedle\n//- /sub/e.txt\nneedle\n//- /.ignore\nf.txt\n//- /f.txt\nneedle\n",
    );
    std::fs::create_dir(bench.at(".git")).unwrap();
    bench.write("binary.bin", "needle\0needle\n");
    bench.write("late.bin", &format!("{}\0needle\n", "hay\n".repeat(10_000)));
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret.txt"), "needle outside\n").unwrap();
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(outside.path(), bench.at("link")).unwrap();
        std::os::unix::fs::symlink(outside.path().join("secret.txt"), bench.at("link.txt")).unwrap();
        std::os::unix::fs::symlink(bench.at("keep.log"), bench.at("inner.txt")).unwrap();
    }
    let answer = bench.ok("grep", json!({"pattern": "needle"}));
    assert_eq!(hits(&answer), "keep.log\n1:needle\n\nsub/e.txt\n1:needle\n");
    let named = bench.ok("grep", json!({"pattern": "needle", "path": "out/a.txt"}));
    assert_eq!(hits(&named), "out/a.txt\n1:needle\n");
    let hidden = bench.ok("grep", json!({"pattern": "needle", "glob": ".hidden/**"}));
    assert_eq!(hits(&hidden), ".hidden/c.txt\n1:needle\n");
}

#[test]
fn of_a_very_long_line_the_part_around_the_match_is_shown() {
    let bench = Bench::new("");
    bench.write("min.js", &format!("{}needle{}\n", "é".repeat(50_000), "z".repeat(50_000)));
    let answer = bench.ok("grep", json!({"pattern": "needle"}));
    let line = answer.lines().nth(1).unwrap();
    assert!(
        line.starts_with("1:…é") && line.ends_with("z…") && line.contains("éneedlez") && line.len() < 1_100,
        "{line}"
    );
}

#[test]
fn a_large_file_is_searched_to_its_end_and_in_two_encodings() {
    let bench = Bench::new("");
    bench.write("large.txt", &format!("{}needle at the end", "hay hay hay\n".repeat(40_000)));
    let wide: Vec<u8> = "\u{feff}eins\nnädel\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    std::fs::write(bench.at("wide.txt"), wide).unwrap();
    std::fs::write(bench.at("latin.txt"), b"caf\xe9 needle\n").unwrap();
    let answer = bench.ok("grep", json!({"pattern": "n.+del"}));
    assert_eq!(hits(&answer), "wide.txt\n2:nädel\n");
    let answer = bench.ok("grep", json!({"pattern": "needle"}));
    assert_eq!(hits(&answer), "large.txt\n40001:needle at the end\n\nlatin.txt\n1:caf\u{fffd} needle\n");
}

#[test]
fn several_roots_are_searched_in_turn_under_their_names() {
    use ropeway::paths::{Root, Roots};
    let (bench, other) =
        (Bench::new("//- /a.txt\nneedle 1\n"), Bench::new("//- /b.txt\nneedle 2\n//- /in/c.txt\nneedle 3\n"));
    let roots = [("one", &bench), ("two", &other)].map(|(name, bench)| Root::open(name, bench.folder.path()).unwrap());
    let nested = Root::open("in", &other.at("in")).unwrap();
    bench.workspace.set_roots(Roots::new(roots.into_iter().chain([nested]).collect()));
    let answer = bench.ok("grep", json!({"pattern": "needle"}));
    assert_eq!(hits(&answer), "one/a.txt\n1:needle 1\n\ntwo/b.txt\n1:needle 2\n\nin/c.txt\n1:needle 3\n");
    assert_eq!(bench.ok("glob", json!({"pattern": "two/*.txt"})), "two/b.txt");
    assert_eq!(hits(&bench.ok("grep", json!({"pattern": "needle", "path": "two/b.txt"}))), "two/b.txt\n1:needle 2\n");
    assert!(bench.ok("list_dir", json!({})).starts_with("one/\n  a.txt\ntwo/\n  b.txt\n  in/"));
}

#[test]
fn a_search_leaves_out_files_that_may_hold_secrets_and_says_so() {
    let bench = Bench::new("//- /a.rs\nlet hunter2 = 1;\n//- /deploy/id_rsa\nhunter2\n//- /x.PEM\nhunter2\n");
    bench.open("id_dsa", "hunter2\n");
    let found = bench.ok("grep", json!({"pattern": "hunter2"}));
    assert!(found.contains("a.rs") && !found.contains("id_rsa") && !found.contains("PEM"), "{found}");
    assert!(found.contains("3 files that may hold secrets not searched"), "{found}");
    assert!(bench.ok("glob", json!({"pattern": "**/id_*"})).contains("deploy/id_rsa"), "names are no secret");
    // Named itself, it is for the policy to ask.
    assert!(bench.ok("grep", json!({"pattern": "hunter2", "path": "x.PEM"})).contains("1:hunter2"));
}
