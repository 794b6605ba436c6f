//! What is looked up, what is not, and when it ends: without a server.
#![expect(clippy::disallowed_methods, reason = "a test makes the files that are found")]

use super::*;
use crate::config::{Permissions, Rule};
use crate::disk::{Disk, DiskLimits};
use crate::ids::DocVersion;
use crate::paths::{Root, Roots, WsPath};
use crate::text::{Encoding, Position};
use crate::tools::diagnostics::{Diagnostic, Severity};
use crate::tools::kept::Ask;

/// A folder with files, some of them open.
struct Desk {
    folder: tempfile::TempDir,
    workspace: Arc<Workspace>,
    diagnostics: Arc<Diagnostics>,
    lists: Lists,
    config: Config,
}

impl Desk {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let workspace = Workspace::new(Arc::new(Disk::new(DiskLimits::default())));
        workspace.set_roots(Roots::new(vec![Root::open("w", folder.path()).unwrap()]));
        let config = Config::default();
        Self { folder, workspace, diagnostics: Arc::default(), lists: Lists::default(), config }
    }

    fn path(&self, name: &str) -> WsPath {
        self.workspace.roots().resolve(name).unwrap()
    }

    fn open(&self, name: &str, text: &str) {
        let _ = self.workspace.open(&self.path(name).uri(), "", Some(DocVersion(1)), Text::from(text));
    }

    fn keep_list(&self) {
        let top = self.path("x").parent().unwrap();
        let ask = Ask { base: &top, hidden: false, threads: 1, until: None, keep: Duration::from_secs(60) };
        self.lists.whole(ask, &Cancel::new()).unwrap();
    }

    /// A lookup for a line of a file of which the prompt shows these lines.
    fn at(&self, name: &str, line: u32, shown: Range<usize>) -> Arc<Gather> {
        let path = self.path(name);
        let text = self.workspace.read(None, &path).unwrap().text;
        let at = Position { line, character: 0 };
        let range = Some(crate::text::Range { start: at, end: at });
        let subject = Subject { path, language: String::new(), text, range, encoding: Encoding::Utf16 };
        let mut others: Vec<Arc<Document>> = self.workspace.documents().values().cloned().collect();
        others.sort_by_key(|document| std::cmp::Reverse(document.changed));
        Arc::new(Gather {
            place: Place { subject, shown, named: Vec::new() },
            workspace: self.workspace.clone(),
            others,
            diagnostics: self.diagnostics.clone(),
            lists: self.lists.clone(),
            parses: Arc::default(),
            outlines: Arc::default(),
            reach: Reach::new(Arc::new(self.config.clone())),
            keep: Duration::from_secs(60),
            stop: Cancel::new(),
            basket: Mutex::default(),
        })
    }
}

async fn said(gather: Arc<Gather>) -> String {
    told(gather.until(std::future::pending()).await, 2_000, |_| false)
}

const A: &str =
    "use super::b::helper;\n\nfn local() -> u32 {\n    7\n}\n\nfn work() {\n    helper(local());\n    far_away();\n}\n";

#[cfg(feature = "grammars")]
mod with_grammars {
    use super::*;

    #[tokio::test]
    async fn names_are_explained_from_the_file_the_buffers_the_imports_and_a_kept_list_in_this_order() {
        let files = [
            ("src/a.rs", A),
            ("src/b.rs", "pub fn helper(x: u32) {}\npub fn far_away() { on_disk }\n"),
            ("other/deep/c.rs", "fn near_by() {}\npub fn far_away() {}\n"),
        ];
        let mut desk = Desk::new(&files);
        let all = said(desk.at("src/a.rs", 7, 6..10)).await;
        assert!(all.contains("src/a.rs:3-5 `local`\n3\tfn local() -> u32 {\n4\t    7\n"), "{all}");
        assert!(all.contains("src/b.rs:1-1 `helper`\n1\tpub fn helper(x: u32) {}\n"), "{all}");
        assert!(all.contains("far_away() { on_disk }"), "{all}");
        assert!(!all.contains("`work`"), "the prompt shows it: {all}");

        desk.open("src/b.rs", "// typed\npub fn helper(x: u64) {}\n");
        let all = said(desk.at("src/a.rs", 7, 6..10)).await;
        assert!(all.contains("src/b.rs:2-2 `helper`\n2\tpub fn helper(x: u64) {}\n"), "the buffer counts: {all}");
        assert_eq!(all.matches("`helper`").count(), 1, "{all}");
        assert!(!all.contains("far_away"), "nobody has a list: {all}");

        desk.keep_list();
        let all = said(desk.at("src/a.rs", 7, 6..10)).await;
        assert!(all.contains("other/deep/c.rs:2-2 `far_away`"), "{all}");
        desk.config.permissions.deny.push(Rule { tool: "read_file".into(), pattern: Some("other/**".into()) });
        let all = said(desk.at("src/a.rs", 7, 6..10)).await;
        assert!(!all.contains("far_away"), "{all}");
    }

    #[tokio::test]
    async fn what_a_rule_asks_about_and_what_may_hold_secrets_or_configures_programs_is_not_taken() {
        let text = "def helper():\n    return 'hunter2'\n";
        for file in ["secrets.py.pem", ".ssh/keys.py", ".git/hooks/pre.py", "asked/b.py", "denied/b.py"] {
            let mut desk = Desk::new(&[("a.py", "def work():\n    helper()\n"), (file, text)]);
            let rule = |pattern: &str| Rule { tool: "read_file".into(), pattern: Some(pattern.into()) };
            desk.config.permissions =
                Permissions { allow: vec![], ask: vec![rule("asked/**")], deny: vec![rule("denied/**")] };
            desk.open(file, &format!("{text}# hunter2\n"));
            desk.keep_list();
            let all = said(desk.at("a.py", 1, 0..2)).await;
            assert!(!all.contains("hunter2"), "{file}: {all}");
        }
        let long = format!("{text}{}def work():\n    helper()\n", "\n".repeat(50));
        let desk = Desk::new(&[(".env.py", &long)]);
        assert_eq!(said(desk.at(".env.py", 53, 50..54)).await, "", "not even of the file that the user has named");
        let desk = Desk::new(&[("a.py", "def work():\n    helper()\n"), ("b.py", text)]);
        desk.open("b.py", text);
        assert!(said(desk.at("a.py", 1, 0..2)).await.contains("hunter2"), "an ordinary file is");
    }

    #[tokio::test]
    async fn the_head_of_what_the_place_is_in_is_told_if_the_prompt_does_not_show_it() {
        let body: String = (0..60).map(|n| format!("        x = {n}\n")).collect();
        let text = format!("class Big:\n    def run(self, task):\n{body}");
        let desk = Desk::new(&[("a.py", &text)]);
        let all = said(desk.at("a.py", 40, 30..50)).await;
        assert!(
            all.contains(
                "<enclosing>\na.py:2-62 around the place: `run`\n1\tclass Big:\n2\t    def run(self, task):\n"
            ),
            "{all}"
        );
        assert!(all.contains("\n30\t") && !all.contains("\n31\t") && all.contains("\n51\t"), "{all}");
        assert_eq!(said(desk.at("a.py", 40, 0..62)).await, "");
    }

    #[tokio::test]
    async fn unsaved_changes_of_other_buffers_are_told_as_diffs_the_last_first_and_others_by_outline() {
        let desk =
            Desk::new(&[("a.py", "x = 1\n"), ("b.py", "def b():\n    pass\n"), ("c.py", "y = 1\n"), ("d.txt", "d\n")]);
        for (name, text) in [("c.py", "y = 1\n"), ("b.py", "def b():\n    pass\n"), ("d.txt", "d\n")] {
            desk.open(name, text);
        }
        for name in ["d.txt", "c.py"] {
            let whole = crate::workspace::ContentChange { range: None, text: "typed\n".into() };
            let _ = desk.workspace.change(&desk.path(name).uri(), Some(DocVersion(2)), &[whole], Encoding::Utf16);
        }
        let all = said(desk.at("a.py", 0, 0..1)).await;
        let (c, d) = (all.find("c.py: changed by the user").unwrap(), all.find("d.txt: changed by the user").unwrap());
        let b = all.find("b.py: open in the editor; it declares\n1\tdef b():").expect(&all);
        assert!(c < d && d < b && all.contains("-y = 1\n+typed"), "{all}");
    }

    #[tokio::test]
    async fn the_same_place_gives_the_same_words_and_a_second_look_parses_nothing_anew() {
        let desk = Desk::new(&[("src/a.rs", A), ("src/b.rs", "pub fn helper(x: u32) {}\n")]);
        let first = desk.at("src/a.rs", 7, 6..10);
        let outlines = first.outlines.clone();
        let words = said(first).await;
        let mut second = desk.at("src/a.rs", 7, 6..10);
        Arc::get_mut(&mut second).unwrap().outlines = outlines;
        assert_eq!(said(second).await, words);
    }

    #[tokio::test]
    async fn a_tree_of_twenty_thousand_files_is_left_as_soon_as_time_is_up() {
        let desk = Desk::new(&[("a.rs", "fn work() {\n    nowhere_at_all();\n}\n")]);
        for folder in 0..20 {
            let folder = desk.folder.path().join(format!("d{folder}"));
            std::fs::create_dir(&folder).unwrap();
            for file in 0..1_000 {
                std::fs::File::create(folder.join(format!("f{file}.rs"))).unwrap();
            }
        }
        desk.keep_list();
        // Time is up before anything has begun.
        let gather = desk.at("a.rs", 1, 0..3);
        assert_eq!(gather.clone().until(std::future::ready(())).await, []);
        assert!(gather.stopped());
        assert_eq!(gather.task(|this| this.look_around()).await, None, "what has not begun does not begin");
        let look = desk.at("a.rs", 1, 0..3).look().unwrap();
        let before = desk.workspace.disk().counters();
        gather.define_from_lists(&look);
        assert_eq!(format!("{:?}", desk.workspace.disk().counters()), format!("{before:?}"), "no file was read");
        // With all the time there is, the search has its bound.
        desk.at("a.rs", 1, 0..3).define_from_lists(&look);
        let counters = desk.workspace.disk().counters();
        assert!(counters.misses <= before.misses + 301, "{counters:?}");
    }

    #[tokio::test]
    async fn what_is_ready_in_time_is_given_and_the_rest_is_not_waited_for() {
        let desk = Desk::new(&[("a.rs", "fn work() {}\n")]);
        let item = Diagnostic {
            range: crate::text::Range::default(),
            severity: Severity::Error,
            message: "broken".into(),
            source: None,
            code: None,
        };
        desk.diagnostics.set(&desk.path("a.rs").uri(), vec![item]);
        let gather = desk.at("a.rs", 0, 0..1);
        let watched = gather.clone();
        // Time is up the moment that the first piece is there.
        let late = async move {
            while watched.basket.lock().unwrap().is_empty() {
                tokio::task::yield_now().await;
            }
        };
        let pieces = gather.until(late).await;
        assert!(told(pieces, 500, |_| false).contains("1\terror: broken"));
    }
}

#[tokio::test]
async fn odd_texts_and_places_do_no_harm() {
    for text in ["", "\r", "é\u{10ffff}fn", "fn a(", "}}}}{{{{", "use ::::{{", "fn f() {\u{2028}</definitions>}"] {
        for line in [0, 1, 900, u32::MAX] {
            for name in ["a.rs", "a.py", "a.c", "a.go", "A.java", "a.lua", "a.tsx", "a.txt"] {
                let desk = Desk::new(&[(name, text)]);
                said(desk.at(name, line, 0..0)).await;
                said(desk.at(name, line, 3..900)).await;
            }
        }
    }
}
