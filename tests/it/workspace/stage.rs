//! Staging over live typing, and what operations on whole files come to.

use ropeway::ids::RunId;
use ropeway::text::{EditSet, Text};
use ropeway::workspace::{Protection, ReadError, StageError, StagedKind};

use super::desk::Desk;

const FIVE: &str = "one\ntwo\nthree\nfour\nfive\n";

#[test]
fn what_is_staged_is_carried_over_what_is_typed() {
    let (desk, mut buffer) = Desk::with_open(FIVE);
    desk.replace("a.rs", "three\n", "3\n3.5\n");
    desk.replace("a.rs", "five", "5");
    buffer.type_over("one\n", "zero\none\n");
    buffer.type_over("four", "for");
    assert_eq!(desk.sees("a.rs"), "zero\none\ntwo\n3\n3.5\nfor\n5\n");
    assert_eq!(desk.conflicts(), []);
    assert!(buffer.take(&desk.send()));
    assert_eq!(buffer.text, "zero\none\ntwo\n3\n3.5\nfor\n5\n");
}

#[test]
fn an_unchanged_line_inside_a_replaced_block_clashes_with_nobody() {
    let (desk, mut buffer) = Desk::with_open("a\nkeep this line\nb\nand this\nc\n");
    // The model replaces the whole block, though it changes two lines of it.
    desk.replace("a.rs", "a\nkeep this line\nb\nand this\nc\n", "A\nkeep this line\nb\nand this\nC\n");
    buffer.type_over("\nb\n", "\nb, typed\n");
    assert_eq!(desk.conflicts(), []);
    assert_eq!(desk.sees("a.rs"), "A\nkeep this line\nb, typed\nand this\nC\n");
}

#[test]
fn where_both_changed_the_same_text_the_user_wins_and_the_rest_is_kept() {
    let (desk, mut buffer) = Desk::with_open(FIVE);
    desk.replace("a.rs", "two", "agent");
    desk.replace("a.rs", "five", "5");
    buffer.type_over("two", "user");
    assert_eq!(desk.sees("a.rs"), "one\nuser\nthree\nfour\n5\n");
    let conflict = |line| vec![("a.rs".to_owned(), line..line + 1, "agent".to_owned(), "user".to_owned())];
    assert_eq!(desk.conflicts(), conflict(1));
    buffer.splice(0..0, "zero\n");
    assert_eq!(desk.conflicts(), conflict(2), "it follows its lines");
    desk.replace("a.rs", "5", "V");
    assert_eq!(desk.conflicts(), conflict(2), "an edit elsewhere settles nothing");
    desk.replace("a.rs", "user", "both");
    assert_eq!(desk.conflicts(), [], "an edit there does");
    assert_eq!(desk.sees("a.rs"), "zero\none\nboth\nthree\nfour\nV\n");
}

#[test]
fn what_the_user_typed_just_so_is_no_conflict() {
    let (desk, mut buffer) = Desk::with_open(FIVE);
    desk.replace("a.rs", "two", "2");
    buffer.type_over("two", "2");
    assert_eq!(desk.conflicts(), []);
    assert!(desk.ws.deliveries(&desk.run).is_empty());
    assert!(desk.ws.staged(&desk.run).is_empty());
}

#[test]
fn an_edit_made_on_an_older_text_is_carried_forward_or_refused() {
    let (desk, mut buffer) = Desk::with_open(FIVE);
    let view = desk.read("a.rs");
    buffer.splice(0..0, "zero\n");
    buffer.type_over("five", "V");
    desk.try_replace(&view, "two", "2").unwrap();
    assert_eq!(desk.sees("a.rs"), "zero\none\n2\nthree\nfour\nV\n");
    // From a text that the run itself has changed since.
    desk.try_replace(&view, "three", "3").unwrap();
    assert_eq!(desk.sees("a.rs"), "zero\none\n2\n3\nfour\nV\n");
    let refused = desk.try_replace(&view, "five", "5").unwrap_err();
    assert_eq!(
        refused.to_string(),
        "`a.rs` was changed since you read it, in the same place; read it again and make the edit on the new text"
    );
    assert_eq!(desk.sees("a.rs"), "zero\none\n2\n3\nfour\nV\n");
}

#[test]
fn an_edit_on_a_text_of_long_ago_is_refused() {
    let (desk, mut buffer) = Desk::with_open(FIVE);
    let view = desk.read("a.rs");
    for _ in 0..300 {
        buffer.splice(0..0, "x");
    }
    assert!(matches!(desk.try_replace(&view, "five", "5"), Err(StageError::Stale(_))));
    desk.replace("a.rs", "five", "5");
}

#[test]
fn an_edit_that_does_not_fit_its_text_is_refused() {
    let (desk, _buffer) = Desk::with_open("é\n");
    let view = desk.read("a.rs");
    for edits in [EditSet::identity(99), EditSet::replace(3, 1..2, "x").unwrap()] {
        assert!(matches!(desk.ws.stage_edit(&desk.run, &view, edits), Err(StageError::Unfit(_))));
    }
    let large = EditSet::replace(3, 0..0, "x".repeat(100_001)).unwrap();
    assert!(matches!(desk.ws.stage_edit(&desk.run, &view, large), Err(StageError::TooLarge { .. })));
    desk.ws.end(&desk.run);
    let one = EditSet::replace(3, 0..0, "x").unwrap();
    assert!(matches!(desk.ws.stage_edit(&desk.run, &view, one), Err(StageError::NoRun)));
}

#[test]
fn staged_lines_end_as_the_file_does() {
    let (desk, mut buffer) = Desk::with_open("a\r\nb\r\n");
    desk.replace("a.rs", "a", "x\ny");
    assert_eq!(desk.sees("a.rs"), "x\r\ny\r\nb\r\n");
    assert!(buffer.take(&desk.send()));
}

#[test]
fn a_file_opened_closed_or_changed_on_disk_takes_what_is_staged_along() {
    let desk = Desk::new();
    desk.put("a.rs", FIVE);
    desk.replace("a.rs", "three", "3");
    // Opened with changes that were never saved.
    let mut buffer = desk.open_as("a.rs", &format!("zero\n{FIVE}"));
    assert_eq!(desk.sees("a.rs"), "zero\none\ntwo\n3\nfour\nfive\n");
    buffer.type_over("one", "1");
    assert_eq!(desk.sees("a.rs"), "zero\n1\ntwo\n3\nfour\nfive\n");
    // Closed without saving.
    buffer.close();
    assert_eq!(desk.sees("a.rs"), "one\ntwo\n3\nfour\nfive\n");
    // Changed by another program.
    desk.put("a.rs", &FIVE.replace("five", "fünf"));
    assert_eq!(desk.sees("a.rs"), "one\ntwo\n3\nfour\nfünf\n");
    desk.put("a.rs", &FIVE.replace("three", "drei"));
    assert_eq!(desk.sees("a.rs"), "one\ntwo\ndrei\nfour\nfive\n");
    assert_eq!(desk.conflicts(), [("a.rs".to_owned(), 2..3, "3".to_owned(), "drei".to_owned())]);
}

#[test]
fn a_file_removed_by_someone_else_is_not_made_again() {
    let desk = Desk::new();
    desk.put("a.rs", FIVE);
    desk.replace("a.rs", "three", "3");
    std::fs::remove_file(desk.at("a.rs")).unwrap();
    assert!(desk.ws.deliveries(&desk.run).is_empty());
    assert_eq!(desk.conflicts(), [("a.rs".to_owned(), 0..0, "3".to_owned(), String::new())]);
    assert!(matches!(desk.ws.read(Some(&desk.run), &desk.path("a.rs")), Err(ReadError::Disk(_))));
}

#[test]
fn two_runs_on_one_file_each_see_their_own_and_are_carried_over_one_another() {
    let (desk, mut buffer) = Desk::with_open(FIVE);
    let other = RunId::unused();
    desk.ws.begin(other.clone());
    desk.replace("a.rs", "two", "2");
    let view = desk.ws.read(Some(&other), &desk.path("a.rs")).unwrap();
    assert_eq!(view.text, FIVE);
    let edits = EditSet::new(
        view.text.len(),
        vec![ropeway::text::Edit::new(4..7, "zwei"), ropeway::text::Edit::new(19..23, "fünf")],
    );
    desk.ws.stage_edit(&other, &view, edits.unwrap()).unwrap();
    assert!(buffer.take(&desk.send()));
    let theirs = desk.ws.read(Some(&other), &desk.path("a.rs")).unwrap();
    assert_eq!(theirs.text, "one\n2\nthree\nfour\nfünf\n");
    assert_eq!(desk.ws.conflicts(&other).len(), 1);
    assert_eq!(desk.conflicts(), []);
}

#[test]
fn whole_file_operations_in_a_row_come_to_their_difference() {
    let desk = Desk::new();
    let (run, ws) = (&desk.run, &desk.ws);
    let staged = || -> Vec<_> {
        let files = ws.staged(run).into_iter();
        files.map(|file| (file.path.to_string(), file.kind, file.before.to_string(), file.after.to_string())).collect()
    };
    let row =
        |path: &str, kind, before: &str, after: &str| (path.to_owned(), kind, before.to_owned(), after.to_owned());
    for rel in ["a", "b", "c"] {
        desk.put(rel, &format!("{rel}\n"));
    }
    // Made, edited, renamed, removed: nothing.
    ws.stage_create(run, &desk.path("dir/new"), Text::from("n\n")).unwrap();
    desk.replace("dir/new", "n", "m");
    assert_eq!(staged(), [row("dir/new", StagedKind::Created, "", "m\n")]);
    ws.stage_rename(run, &desk.path("dir/new"), &desk.path("newer")).unwrap();
    assert_eq!(staged(), [row("newer", StagedKind::Created, "", "m\n")]);
    ws.stage_delete(run, &desk.path("newer")).unwrap();
    assert_eq!(staged(), []);
    // Removed and made again: an edit.
    ws.stage_delete(run, &desk.path("a")).unwrap();
    assert_eq!(staged(), [row("a", StagedKind::Deleted, "a\n", "")]);
    assert!(matches!(ws.read(Some(run), &desk.path("a")), Err(ReadError::Deleted(_))));
    assert!(!ws.exists(Some(run), &desk.path("a")) && ws.exists(None, &desk.path("a")));
    ws.stage_create(run, &desk.path("a"), Text::from("A\n")).unwrap();
    assert_eq!(staged(), [row("a", StagedKind::Edited, "a\n", "A\n")]);
    // Edited, renamed twice, edited: renamed once.
    desk.replace("b", "b", "B");
    ws.stage_rename(run, &desk.path("b"), &desk.path("b2")).unwrap();
    ws.stage_rename(run, &desk.path("b2"), &desk.path("b3")).unwrap();
    desk.replace("b3", "B", "BB");
    let renamed = row("b3", StagedKind::Renamed { from: desk.path("b") }, "b\n", "BB\n");
    assert_eq!(staged(), [row("a", StagedKind::Edited, "a\n", "A\n"), renamed]);
    let moved = ws.read(Some(run), &desk.path("b")).unwrap_err();
    assert_eq!(moved.to_string(), "`b` was moved to `b3` earlier in this run; use that path");
    // Back to its own name: an edit.
    ws.stage_rename(run, &desk.path("b3"), &desk.path("b")).unwrap();
    assert_eq!(staged()[1], row("b", StagedKind::Edited, "b\n", "BB\n"));
    // Renamed and removed: removed.
    ws.stage_rename(run, &desk.path("c"), &desk.path("c2")).unwrap();
    ws.stage_delete(run, &desk.path("c2")).unwrap();
    assert_eq!(staged()[2], row("c", StagedKind::Deleted, "c\n", ""));
    assert_eq!(staged().len(), 3);
    // Onto the name of a removed one: for the user an edit of that one.
    ws.stage_rename(run, &desk.path("a"), &desk.path("c")).unwrap();
    assert_eq!(
        staged(),
        [
            row("a", StagedKind::Deleted, "a\n", ""),
            row("b", StagedKind::Edited, "b\n", "BB\n"),
            row("c", StagedKind::Edited, "c\n", "A\n"),
        ]
    );
}

#[test]
fn a_name_that_is_taken_is_refused() {
    let desk = Desk::new();
    desk.put("a", "a\n");
    desk.put("b", "b\n");
    let (run, ws) = (&desk.run, &desk.ws);
    let create = |rel: &str| ws.stage_create(run, &desk.path(rel), Text::default());
    assert!(matches!(create("a"), Err(StageError::Exists(_))));
    assert!(matches!(create("a/x"), Err(StageError::Blocked(_))));
    assert!(matches!(create("."), Err(StageError::NoName(_))));
    assert!(matches!(ws.stage_rename(run, &desk.path("a"), &desk.path("b")), Err(StageError::Exists(_))));
    assert!(matches!(ws.stage_rename(run, &desk.path("a"), &desk.path("a")), Err(StageError::Exists(_))));
    assert!(matches!(ws.stage_delete(run, &desk.path("none")), Err(StageError::Read(_))));
    create("new").unwrap();
    assert!(matches!(create("new"), Err(StageError::Exists(_))));
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("nowhere", desk.at("dangling")).unwrap();
        assert!(matches!(create("dangling"), Err(StageError::Exists(_))));
        std::os::unix::fs::symlink("/etc", desk.at("out")).unwrap();
        assert!(create("out/x").unwrap_err().to_string().contains("leads out of the workspace"));
    }
}

#[test]
fn protected_files_are_denied_or_asked_for() {
    let desk = Desk::new();
    let stage = |rel: &str| desk.ws.stage_create(&desk.run, &desk.path(rel), Text::from("x"));
    let denied = [
        ".git/hooks/pre-commit",
        ".GIT/config",
        "sub/.git",
        ".git./x",
        ".git /x",
        ".g\u{200c}it/x",
        "GIT~1/x",
        ".git::$DATA/x",
        "GI7EBA~1/x",
        "a\\.git\\x",
        "ropeway.toml",
        "sub/.ropeway/x",
    ];
    for rel in denied {
        assert!(matches!(stage(rel), Err(StageError::Denied { .. })), "{rel}");
    }
    let asked = [
        ".vscode/tasks.json",
        ".VSCode/x",
        "x/.claude/settings.json",
        "AGENTS.md",
        ".github/workflows/ci.yml",
        ".cargo/config.toml",
        "deep/build.rs",
        ".env",
        ".env.local",
        "id_rsa",
        "x.pem",
        "p.code-workspace",
        "package.json",
        "sub/HEAD",
    ];
    for rel in asked {
        assert!(matches!(stage(rel).unwrap().protection, Protection::Ask(_)), "{rel}");
    }
    for rel in ["src/main.rs", ".env.example", ".github/x", "git/x", "config.toml", "makefile.rs"] {
        assert_eq!(stage(rel).unwrap().protection, Protection::None, "{rel}");
    }
    let asks = desk.ws.deliveries(&desk.run).into_iter().filter(|delivery| delivery.protection != Protection::None);
    assert_eq!(asks.count(), asked.len(), "the deliveries carry it along");
    #[cfg(unix)]
    {
        desk.put(".git/config", "[core]\n");
        std::os::unix::fs::symlink(".git/config", desk.at("innocent")).unwrap();
        let refused = desk.try_replace(&desk.read("innocent"), "core", "x").unwrap_err();
        assert!(matches!(refused, StageError::Denied { .. }), "{refused}");
    }
}
