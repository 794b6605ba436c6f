//! Kept lists against ripgrep's own walk, whatever happens to the folder in between.
#![expect(clippy::disallowed_methods, reason = "the tests change the folder behind the back of the lists")]

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;
use crate::paths::{Root, Roots};

struct Bench {
    dir: tempfile::TempDir,
    roots: Roots,
}

impl Bench {
    /// The root is a folder in another one, so that there can be rules above it.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("root")).unwrap();
        let roots = Roots::new(vec![Root::open("ws", &dir.path().join("root")).unwrap()]);
        Self { dir, roots }
    }

    fn at(&self, rel: &str) -> PathBuf {
        self.dir.path().join("root").join(rel)
    }

    fn put(&self, rel: &str, text: &str) {
        fs::create_dir_all(self.at(rel).parent().unwrap()).unwrap();
        fs::write(self.at(rel), text).unwrap();
    }

    fn path(&self, words: &str) -> WsPath {
        self.roots.resolve(words).unwrap()
    }
}

const KEEP: Duration = Duration::from_secs(300);

fn ask(base: &WsPath, hidden: bool, keep: Duration) -> Ask<'_> {
    Ask { base, hidden, threads: 2, until: None, keep }
}

fn names(known: Known) -> Vec<String> {
    known.range.map(|at| known.list.get(at).to_owned()).collect()
}

fn whole(lists: &Lists, base: &WsPath, hidden: bool) -> Vec<String> {
    names(lists.whole(ask(base, hidden, KEEP), &Cancel::new()).unwrap())
}

/// What ripgrep lists.
fn anew(base: &WsPath, hidden: bool) -> Vec<String> {
    names(Lists::default().whole(ask(base, hidden, Duration::ZERO), &Cancel::new()).unwrap())
}

fn on_the_way(lists: &Lists, base: &WsPath, hidden: bool) -> Vec<String> {
    let ask = ask(base, hidden, KEEP);
    match lists.begin(ask, &Cancel::new()).unwrap() {
        Files::Known(known) => names(known),
        Files::Walk(mut walk) => {
            let mut all = Vec::new();
            while walk.next(|folder, name| {
                all.push(if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") });
            }) {}
            lists.keep(ask, walk);
            all
        }
    }
}

#[derive(Clone, Debug)]
enum Act {
    Put(String, String),
    Rules(String, &'static str, String),
    Folder(String),
    Remove(String),
    Move(String, String),
    Exchange(String, String),
    Link(String, String),
    Above(String),
    Exclude(String),
    Mode(String, bool),
}

/// Does it as far as it goes: what cannot be done changes nothing.
fn act(bench: &Bench, act: &Act) {
    let make = |rel: &str| fs::create_dir_all(bench.at(rel).parent().unwrap()).ok();
    match act {
        Act::Put(rel, text) => {
            make(rel);
            fs::write(bench.at(rel), text).ok();
        }
        Act::Rules(folder, name, text) => {
            fs::create_dir_all(bench.at(folder)).ok();
            fs::write(bench.at(folder).join(name), text).ok();
        }
        Act::Folder(rel) => {
            fs::create_dir_all(bench.at(rel)).ok();
        }
        Act::Remove(rel) => {
            let at = bench.at(rel);
            if at.is_dir() && !at.is_symlink() {
                fs::remove_dir_all(at).ok()
            } else {
                fs::remove_file(at).ok()
            };
        }
        Act::Move(from, to) => {
            make(to);
            fs::rename(bench.at(from), bench.at(to)).ok();
        }
        Act::Exchange(a, b) => exchange(&bench.at(a), &bench.at(b)),
        Act::Link(to, rel) => {
            make(rel);
            #[cfg(unix)]
            std::os::unix::fs::symlink(bench.at(to), bench.at(rel)).ok();
        }
        Act::Above(text) => {
            fs::write(bench.dir.path().join(".ignore"), text).unwrap();
        }
        Act::Exclude(text) => {
            fs::create_dir_all(bench.at(".git/info")).ok();
            fs::write(bench.at(".git/info/exclude"), text).ok();
        }
        Act::Mode(rel, open) => {
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt;
                let at = bench.at(rel);
                if at.is_dir() {
                    fs::set_permissions(at, fs::Permissions::from_mode(if *open { 0o755 } else { 0o700 })).ok();
                }
            }
        }
    }
}

#[cfg(target_os = "linux")]
fn exchange(a: &Path, b: &Path) {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE).ok();
}

#[cfg(not(target_os = "linux"))]
fn exchange(_: &Path, _: &Path) {}

fn folder() -> impl Strategy<Value = String> {
    "(a|b|\\.h|a-b)(/(a|b|c|\\.h|out)){0,2}"
}

fn file() -> impl Strategy<Value = String> {
    "((a|b|\\.h|a-b)/){0,3}(x\\.rs|y\\.txt|\\.z|out|a|a-b)"
}

fn rules() -> impl Strategy<Value = String> {
    "((!?/?(a|b|out|\\*\\.rs|y\\.txt|\\.h|\\.z|a/b|\\*\\*/c|\\*)/?\n){0,3})"
}

fn acts() -> impl Strategy<Value = Act> {
    let rule_file = prop::sample::select(vec![".gitignore", ".ignore", ".rgignore"]);
    prop_oneof![
        4 => (file(), "[a-c]{0,3}").prop_map(|(rel, text)| Act::Put(rel, text)),
        3 => (prop_oneof![Just(String::new()), folder()], rule_file, rules())
            .prop_map(|(folder, name, text)| Act::Rules(folder, name, text)),
        1 => prop_oneof![Just(".git".to_owned()), Just("a/.git".to_owned()), folder()].prop_map(Act::Folder),
        2 => prop_oneof![file(), folder(), Just(".git".to_owned()), Just(".gitignore".to_owned())].prop_map(Act::Remove),
        3 => (prop_oneof![file(), folder()], prop_oneof![file(), folder()]).prop_map(|(from, to)| Act::Move(from, to)),
        2 => (folder(), folder()).prop_map(|(a, b)| Act::Exchange(a, b)),
        1 => (file(), prop_oneof![file(), Just("a/.ignore".to_owned())]).prop_map(|(to, rel)| Act::Link(to, rel)),
        1 => rules().prop_map(Act::Above),
        1 => rules().prop_map(Act::Exclude),
        1 => (folder(), prop::bool::ANY).prop_map(|(rel, open)| Act::Mode(rel, open)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_kept_list_is_what_a_new_walk_finds_whatever_happened_since(
        before in prop::collection::vec(acts(), 0..25),
        after in prop::collection::vec(prop::collection::vec(acts(), 1..4), 1..8),
    ) {
        let bench = Bench::new();
        before.iter().for_each(|one| act(&bench, one));
        let (watching, looking, halfway) = (Lists::default(), Lists::watching(0), Lists::default());
        let limited = Lists::watching(3);
        let base = bench.path(".");
        for step in std::iter::once(&Vec::new()).chain(&after) {
            step.iter().for_each(|one| act(&bench, one));
            for hidden in [false, true] {
                let expected = anew(&base, hidden);
                prop_assert_eq!(&whole(&watching, &base, hidden), &expected, "watching, hidden: {}", hidden);
                prop_assert_eq!(&whole(&looking, &base, hidden), &expected, "looking, hidden: {}", hidden);
                prop_assert_eq!(&whole(&limited, &base, hidden), &expected, "at the limit, hidden: {}", hidden);
                prop_assert_eq!(&on_the_way(&halfway, &base, hidden), &expected, "on the way, hidden: {}", hidden);
                let below = bench.path("a");
                if bench.at("a").is_dir() && !bench.at("a").is_symlink() {
                    let expected = anew(&below, hidden);
                    prop_assert_eq!(&whole(&watching, &below, hidden), &expected, "below a, hidden: {}", hidden);
                    prop_assert_eq!(&on_the_way(&looking, &below, hidden), &expected, "below a, hidden: {}", hidden);
                }
            }
        }
    }
}

fn tree_of_three() -> Bench {
    let bench = Bench::new();
    for rel in ["a.rs", "src/b.rs", "src/deep/c.rs"] {
        bench.put(rel, "x");
    }
    bench
}

#[test]
fn an_unchanged_folder_is_answered_from_memory_and_a_change_costs_one_folder() {
    let bench = tree_of_three();
    let (lists, base) = (Lists::default(), bench.path("."));
    assert_eq!(lists.counters(), ListCounters::default());
    assert_eq!(whole(&lists, &base, false), ["a.rs", "src/b.rs", "src/deep/c.rs"]);
    assert_eq!(whole(&lists, &base, false).len(), 3);
    assert_eq!(whole(&lists, &bench.path("src"), false), ["src/b.rs", "src/deep/c.rs"]);
    let counters = lists.counters();
    assert_eq!((counters.lists, counters.files, counters.folders), (1, 3, 3));
    assert_eq!(counters.walks, 1);
    bench.put("src/deep/d.rs", "x");
    assert_eq!(whole(&lists, &base, false).len(), 4);
    assert_eq!(lists.counters().walks, 1);
    if cfg!(target_os = "linux") {
        assert_eq!((counters.hits, lists.counters().mended), (2, 1));
    }
}

#[test]
fn what_git_does_for_itself_costs_no_walk() {
    let bench = tree_of_three();
    bench.put(".git/HEAD", "ref");
    let (lists, base) = (Lists::default(), bench.path("."));
    whole(&lists, &base, false);
    bench.put(".git/index.lock", "x");
    fs::rename(bench.at(".git/index.lock"), bench.at(".git/index")).unwrap();
    whole(&lists, &base, false);
    assert_eq!(lists.counters().walks, 1);
}

#[cfg(target_os = "linux")]
#[test]
fn the_number_of_a_folder_changes_with_names_and_bytes_and_with_nothing_else() {
    let bench = tree_of_three();
    let (lists, base) = (Lists::default(), bench.path("."));
    assert_eq!(lists.generation(&base), None, "nothing is kept yet");
    whole(&lists, &base, false);
    let first = lists.generation(&base).unwrap();
    whole(&lists, &base, false);
    fs::read(bench.at("a.rs")).unwrap();
    assert_eq!(lists.generation(&base), Some(first));
    bench.put("src/b.rs", "y");
    let second = lists.generation(&base).unwrap();
    bench.put("src/new.rs", "");
    let third = lists.generation(&bench.path("src")).unwrap();
    assert!(first < second && second < third);
    bench.put(".gitignore", "");
    assert_eq!(lists.generation(&base), None, "the rules changed: nobody knows the list");
    assert_eq!(Lists::watching(0).generation(&base), None);
    let looking = Lists::watching(0);
    whole(&looking, &base, false);
    assert_eq!(looking.generation(&base), None, "nobody tells of changes");
}

#[test]
fn what_nobody_uses_is_dropped_and_the_next_list_is_right() {
    let bench = tree_of_three();
    let (lists, base) = (Lists::default(), bench.path("."));
    whole(&lists, &base, false);
    assert_eq!(lists.counters().lists, 1);
    assert!(lists.0.drop_idle(Instant::now()).is_some());
    assert_eq!(lists.counters().lists, 1);
    assert_eq!(lists.0.drop_idle(Instant::now() + KEEP), None);
    assert_eq!(lists.counters().lists, 0);
    bench.put("b.rs", "");
    assert_eq!(whole(&lists, &base, false).len(), 4);
}

#[test]
fn idle_lists_go_by_themselves() {
    let bench = tree_of_three();
    let (lists, base) = (Lists::default(), bench.path("."));
    let brief = Ask { keep: Duration::from_millis(1), ..ask(&base, false, KEEP) };
    lists.whole(brief, &Cancel::new()).unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while lists.counters().lists > 0 {
        assert!(Instant::now() < deadline, "nobody drops it");
        std::thread::yield_now();
    }
}

#[test]
fn no_more_than_a_few_lists_are_kept() {
    let bench = Bench::new();
    let lists = Lists::default();
    for number in 0..3 * MAX_KEPT {
        bench.put(&format!("d{number}/f"), "");
        whole(&lists, &bench.path(&format!("d{number}")), false);
    }
    assert_eq!(lists.counters().lists, MAX_KEPT);
}

#[test]
fn a_search_that_ends_early_reads_no_more_than_it_needs_and_keeps_no_part() {
    let bench = tree_of_three();
    let (lists, base) = (Lists::default(), bench.path("."));
    let ask = ask(&base, false, KEEP);
    let Some(Files::Walk(mut walk)) = lists.begin(ask, &Cancel::new()) else { panic!("nothing is known yet") };
    assert!(walk.next(|folder, name| assert_eq!((folder, name), ("", "a.rs"))));
    drop(walk);
    assert_eq!(lists.counters().lists, 0);
    assert_eq!(whole(&lists, &base, false).len(), 3);
}

#[test]
fn two_at_once_share_one_walk() {
    let bench = tree_of_three();
    let (lists, base) = (Lists::default(), bench.path("."));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_eq!(whole(&lists, &base, false).len(), 3));
        }
    });
    assert_eq!(lists.counters().walks, 1);
}

#[cfg(unix)]
#[test]
fn an_ignore_file_that_is_a_fifo_holds_nobody_up_and_a_link_that_leads_out_is_not_read() {
    let bench = tree_of_three();
    let fifo = rustix::fs::mknodat(
        rustix::fs::CWD,
        bench.at("src/.ignore"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    );
    fifo.unwrap();
    fs::write(bench.dir.path().join("outside"), "*.rs\n").unwrap();
    std::os::unix::fs::symlink(bench.dir.path().join("outside"), bench.at("src/deep/.ignore")).unwrap();
    assert_eq!(whole(&Lists::default(), &bench.path("."), false), ["a.rs", "src/b.rs", "src/deep/c.rs"]);
}

#[test]
fn folders_as_deep_as_names_can_be_are_listed_to_where_they_can_be() {
    let bench = Bench::new();
    let deep: String = (0..40).map(|_| format!("{}/", "d".repeat(80))).collect();
    bench.put(&format!("{deep}f"), "");
    assert_eq!(whole(&Lists::default(), &bench.path("."), false), [format!("{deep}f")]);
}

#[test]
fn a_cancelled_list_is_none_and_is_not_kept() {
    let bench = tree_of_three();
    let (lists, cancel) = (Lists::default(), Cancel::new());
    cancel.cancel();
    assert!(lists.whole(ask(&bench.path("."), false, KEEP), &cancel).is_none());
    assert_eq!(lists.counters().lists, 0);
}

#[cfg(target_os = "linux")]
#[test]
fn where_the_watches_do_not_suffice_nothing_is_watched_and_every_folder_is_looked_at() {
    use crate::watch::Unwatched;
    let bench = tree_of_three();
    let base = bench.path(".");
    let (enough, too_few) = (Lists::watching(3), Lists::watching(2));
    for lists in [&enough, &too_few] {
        assert_eq!(whole(lists, &base, false).len(), 3);
    }
    assert_eq!((enough.unwatched(&base), too_few.unwatched(&base)), (None, Some(Unwatched::Limit)));
    bench.put("src/deep/new/d.rs", "");
    for lists in [&enough, &too_few] {
        assert_eq!(whole(lists, &base, false).len(), 4);
        assert_eq!(lists.counters().walks, 1);
    }
    assert_eq!(enough.unwatched(&base), Some(Unwatched::Limit), "the new folder was one too many");
    assert_eq!(enough.generation(&base), None);
    bench.put("src/deep/new/e.rs", "");
    assert_eq!(whole(&enough, &base, false).len(), 5);
}
