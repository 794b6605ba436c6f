//! Greps that share one pass over the files, against each by itself, and both against ripgrep's own crates.
#![expect(clippy::disallowed_methods, reason = "the tests write files behind the back of the tools")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use grep_matcher::Matcher;
use grep_searcher::sinks::Lossy;
use grep_searcher::{BinaryDetection, SearcherBuilder};
use ignore::WalkBuilder;
use proptest::prelude::*;
use ropeway::text::Text;
use ropeway::tools::grep::{self, Together};
use ropeway::tools::search::{self, Query, Source, Way, Wish};
use serde_json::{Value, json};

use super::Bench;

const PATTERNS: [&str; 6] = ["needle", "a+b", "(?i)NEEDLE|hay", "^x.*y$", "é", "no such thing"];

/// What ripgrep's crates find: path, number and text of each line.
fn ripgrep(bench: &Bench, open: &BTreeMap<String, String>, pattern: &str) -> Vec<(String, u64, String)> {
    let mut found = Vec::new();
    let matcher = grep::matcher(pattern, false, true).unwrap();
    let mut builder = WalkBuilder::new(bench.folder.path());
    builder.add_custom_ignore_filename(".rgignore").sort_by_file_path(Ord::cmp);
    for entry in builder.build() {
        let entry = entry.unwrap();
        if !entry.file_type().is_some_and(|kind| kind.is_file()) {
            continue;
        }
        let bytes = std::fs::read(entry.path()).unwrap();
        // Of a small binary file ripgrep prints what precedes the first NUL, with a warning, and does not count it.
        // Here it is left out.
        if bytes.iter().take(64 << 10).any(|byte| *byte == 0) {
            continue;
        }
        let name = entry.path().strip_prefix(bench.folder.path()).unwrap().to_str().unwrap().to_owned();
        let mut searcher = SearcherBuilder::new()
            .binary_detection(BinaryDetection::quit(0))
            .line_terminator(matcher.line_terminator().unwrap())
            .build();
        let sink = Lossy(|number, line| {
            found.push((name.clone(), number, line.trim_end_matches(['\r', '\n']).to_owned()));
            Ok(true)
        });
        match open.get(&name) {
            Some(text) => searcher.search_slice(&matcher, text.as_bytes(), sink).unwrap(),
            None => searcher.search_path(&matcher, entry.path(), sink).unwrap(),
        }
    }
    found.sort();
    found
}

fn read(answer: &str) -> Vec<(String, u64, String)> {
    let (mut found, mut name) = (Vec::new(), "");
    for line in answer.lines().filter(|line| !line.is_empty() && !line.starts_with('[')) {
        match line.split_once(':').and_then(|(number, text)| Some((number.parse().ok()?, text))) {
            Some((number, text)) => found.push((name.to_owned(), number, text.to_owned())),
            None => name = line,
        }
    }
    found.sort();
    found
}

fn calls(patterns: &[&str]) -> Vec<(&'static str, Value)> {
    patterns.iter().map(|pattern| ("grep", json!({"pattern": pattern, "max_results": 5000}))).collect()
}

fn text() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        "[abxy é]{0,12}",
        Just("a needle in hay".to_owned()),
        Just("x NEEDLE y".to_owned()),
        Just("bin\0ary".to_owned()),
    ];
    let lines = prop::collection::vec((line, prop::sample::select(vec!["\n", "\r\n", ""])), 0..12);
    // Some files are larger than what is read at once.
    (lines, prop_oneof![9 => Just(0_usize), 1 => Just(20_000)])
        .prop_map(|(lines, filling)| {
            let lines = lines.iter().map(|(line, end)| format!("{line}{end}"));
            "filling\n".repeat(filling) + &lines.collect::<String>()
        })
        .prop_filter("lines are cut from a length on", |text| text.lines().all(|line| line.len() < 500))
}

fn files() -> impl Strategy<Value = BTreeMap<String, String>> {
    prop::collection::btree_map("(d[0-2]/|\\.h/){0,2}[ab]\\.(rs|txt)", text(), 0..15)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn a_batch_finds_what_ripgrep_finds_shared_or_not_with_a_kept_list_or_not(
        files in files(),
        live in files(),
        rules in "((!?/?(a\\.rs|d[0-2]|\\*\\.txt|b\\.\\*)/?\n){0,3})",
        threads in 1..4_usize,
    ) {
        let mut bench = Bench::new("");
        bench.context.limits.threads = threads;
        bench.context.limits.output.bytes = 100 << 20;
        for (name, text) in files.iter().chain(&live) {
            bench.write(name, text);
        }
        bench.write(".gitignore", &rules);
        std::fs::create_dir(bench.at(".git")).unwrap();
        let mut open = BTreeMap::new();
        for (name, text) in live.iter().filter(|(_, text)| !text.contains('\0')) {
            let text = format!("needle in the buffer\n{text}");
            bench.open(name, &text);
            open.insert(name.clone(), text);
        }
        let expected: Vec<_> = PATTERNS.iter().map(|pattern| ripgrep(&bench, &open, pattern)).collect();
        for (together, keep) in [(true, true), (true, false), (false, true), (false, false)] {
            bench.context.together = if together { Together::new() } else { Together::never() };
            bench.context.limits.keep_lists = if keep { Duration::from_secs(300) } else { Duration::ZERO };
            for round in 0..2 {
                let answers = bench.batch(&calls(&PATTERNS));
                let found: Vec<_> = answers.iter().map(|answer| read(answer.as_ref().unwrap())).collect();
                prop_assert_eq!(&found, &expected, "together: {}, kept: {}, round {}", together, keep, round);
            }
        }
    }
}

fn some_files() -> Bench {
    let bench = Bench::new("");
    for number in 0..40 {
        bench.write(&format!("d{}/f{number:02}.txt", number % 3), &format!("needle {number}\nhay\n"));
    }
    bench
}

#[test]
fn a_batch_of_greps_lists_the_files_once_and_each_by_itself_as_often_as_there_are_greps() {
    let mut bench = some_files();
    let listed = |bench: &Bench| {
        let counters = bench.context.lists.counters();
        counters.hits + counters.mended + counters.walks
    };
    let shared = bench.batch(&calls(&PATTERNS));
    assert_eq!(listed(&bench), 1);
    bench.context.together = Together::never();
    assert_eq!(bench.batch(&calls(&PATTERNS)), shared);
    assert_eq!(listed(&bench), 7);
}

#[test]
fn greps_in_other_places_and_refused_ones_are_not_mixed_up() {
    let bench = some_files();
    let mut batch = calls(&["needle", "(", "hay"]);
    batch.push(("grep", json!({"pattern": "needle", "path": "d1"})));
    batch.push(("grep", json!({"pattern": "needle", "path": "d2/f02.txt"})));
    batch.push(("grep", json!({"pattern": "needle", "max_results": 2})));
    batch.push(("grep", json!({"pattern": "needle", "glob": "*7.txt", "context": 1})));
    batch.push(("grep", json!({"pattern": "needle", "path": "nowhere"})));
    let answers = bench.batch(&batch);
    let alone: Vec<_> = batch.iter().map(|(tool, arguments)| bench.call(tool, arguments.clone())).collect();
    assert_eq!(answers, alone);
    assert!(answers[1].is_err() && answers[7].is_err());
    assert!(answers[5].as_ref().unwrap().ends_with("raise max_results]"));
    assert_eq!(read(answers[6].as_ref().unwrap()).len(), 4);
}

#[test]
fn one_pass_opens_each_file_once_for_all_and_large_ones_give_what_they_give_alone() {
    let large = |lines: usize, end: &str| format!("{}needle {end}", "hay and hay and hay\n".repeat(lines));
    // Larger than what is read at once, larger than what is held for several, and binary only past the first buffer.
    let texts = [large(5_000, ""), large(600_000, "\n"), large(5_000, "\0 hay\nneedle\n"), "needle\n".to_owned()];
    let dir = tempfile::tempdir().unwrap();
    let paths: Vec<_> = (0..texts.len()).map(|index| dir.path().join(index.to_string())).collect();
    paths.iter().zip(&texts).for_each(|(path, text)| std::fs::write(path, text).unwrap());
    let opened = AtomicUsize::new(0);
    let open = |rel: &str| {
        opened.fetch_add(1, Ordering::Relaxed);
        Some(match rel {
            "live" => Source::Text(Text::from("needle in a buffer\n")),
            rel => Source::File(std::fs::File::open(&paths[rel.parse::<usize>().unwrap()]).unwrap()),
        })
    };
    let query = |pattern: &str, max_matches: usize| Query {
        matcher: grep::matcher(pattern, false, true).unwrap(),
        context: 1,
        max_matches,
        max_bytes: usize::MAX,
        first_match: Duration::from_secs(60),
        until: None,
    };
    let queries = [query("needle", 100), query("need.e *$", 1), query("^hay", 3), query("nothing", 5)];
    let list: Vec<Box<str>> = ["0", "1", "2", "3", "live"].map(Into::into).into();
    let pass = |queries: &[Query], threads: usize| {
        let mut names = list.iter();
        let mut next = |rel: &mut String| {
            let name = names.next();
            rel.clear();
            rel.push_str(name.map_or("", |name| name));
            name.is_some()
        };
        let wish = |query| Wish { query, wants: Box::new(|rel: &str| rel != "none"), is_over: &|| false };
        let wishes = queries.iter().map(wish).collect();
        let way = Way { next: &mut next, open: &open, threads, give_up: &|_| false };
        let found = search::pass(wishes, way).unwrap();
        found.into_iter().map(|found| (found.files, found.matches, found.end)).collect::<Vec<_>>()
    };
    let alone: Vec<_> = queries.iter().flat_map(|query| pass(std::slice::from_ref(query), 1)).collect();
    for threads in [1, 4] {
        opened.store(0, Ordering::Relaxed);
        assert_eq!(pass(&queries, threads), alone);
        // The second is too large to be held, so each opens it for itself; but for the one that wants a single match, if
        // it has that already.
        let opened = opened.load(Ordering::Relaxed) - list.len();
        assert!(opened == queries.len() || opened == queries.len() - 1, "{opened}");
    }
}

#[test]
fn what_was_found_for_a_call_before_it_began_is_not_remembered_as_what_it_saw() {
    use ropeway::tools::cache::ResultStore;
    let mut bench = some_files();
    let store = ResultStore::new();
    let lists = bench.context.lists.clone();
    let clock = move |path: &ropeway::paths::WsPath| lists.generation(path);
    bench.context.results = store.for_run(Duration::from_secs(300), String::new(), std::sync::Arc::new(clock));
    bench.ok("glob", json!({"pattern": "**/*"}));
    let first = bench.batch(&calls(&PATTERNS));
    for round in 0..3 {
        let again = bench.batch(&calls(&PATTERNS));
        assert_eq!(again, first, "round {round}");
    }
    if cfg!(target_os = "linux") {
        assert!(store.counters().hits > 0);
    }
    bench.write("d0/new.txt", "needle needle\n");
    let after = bench.batch(&calls(&PATTERNS));
    assert!(after[0].as_ref().unwrap().contains("d0/new.txt"));
    bench.write("d0/new.txt", "nothing\n");
    assert_eq!(
        bench.batch(&calls(&["needle"]))[0].as_ref().map(|text| read(text)),
        first[0].as_ref().map(|text| read(text))
    );
}
