//! Following the editor, and reading what it shows.

use std::borrow::Cow;
use std::sync::Arc;

use ropeway::ids::DocVersion;
use ropeway::text::{Encoding, Position, Range, Text};
use ropeway::workspace::{ContentChange, Overlaid, Source, StageError, Sync};

use super::desk::Desk;

fn insertion(line: u32, character: u32, text: &str) -> ContentChange<'_> {
    let at = Position { line, character };
    ContentChange { range: Some(Range { start: at, end: at }), text: Cow::Borrowed(text) }
}

#[test]
fn a_run_reads_what_it_staged_then_the_buffer_then_the_file() {
    let desk = Desk::new();
    desk.put("a.rs", "disk\n");
    assert!(matches!(desk.read("a.rs").source, Source::Disk { .. }));
    let buffer = desk.open_as("a.rs", "buffer\n");
    let view = desk.read("a.rs");
    assert_eq!((view.text.to_string().as_str(), view.note), ("buffer\n", None));
    assert!(matches!(view.source, Source::Open { version: Some(DocVersion(1)), .. }));
    desk.replace("a.rs", "buffer", "staged");
    assert_eq!(desk.sees("a.rs"), "staged\n");
    assert_eq!(desk.read("a.rs").source, Source::Staged);
    assert_eq!(desk.ws.read(None, &desk.path("a.rs")).unwrap().text, "buffer\n");
    let overlay = desk.ws.overlay(Some(&desk.run));
    assert_eq!(overlay.get(&desk.path("a.rs")), Some(&Overlaid::Text(Text::from("staged\n"))));
    assert_eq!(desk.ws.overlay(None).get(&desk.path("a.rs")), Some(&Overlaid::Text(Text::from("buffer\n"))));
    buffer.close();
    desk.ws.end(&desk.run);
    assert_eq!(desk.sees("a.rs"), "disk\n");
    assert!(desk.ws.overlay(None).is_empty());
}

#[test]
fn changes_of_one_message_apply_in_order_each_on_the_one_before() {
    let (desk, buffer) = Desk::with_open("one\n");
    let changes = [
        insertion(0, 3, " two"),
        insertion(0, 7, " three"),
        ContentChange { range: None, text: Cow::Borrowed("four\n") },
        insertion(1, 0, "five"),
    ];
    let before = desk.ws.document(&buffer.uri).unwrap();
    assert_eq!(desk.ws.change(&buffer.uri, None, &changes, Encoding::Utf16), Sync::Following);
    let after = desk.ws.document(&buffer.uri).unwrap();
    assert_eq!(after.text, "four\nfive");
    assert_eq!(after.revision.0, before.revision.0 + 4);
    assert_eq!(after.version, None);
    assert_eq!(before.text, "one\n", "a snapshot stays what it was");
}

#[test]
fn a_snapshot_is_a_pointer() {
    let (desk, mut buffer) = Desk::with_open("one\n");
    let first = desk.ws.documents();
    assert!(Arc::ptr_eq(&first, &desk.ws.documents()));
    buffer.type_over("one", "two");
    let second = desk.ws.documents();
    assert!(!Arc::ptr_eq(&first, &second));
    assert_eq!(first.values().next().unwrap().text, "one\n");
    assert_eq!(second.values().next().unwrap().text, "two\n");
}

#[test]
fn every_change_rings() {
    let (desk, mut buffer) = Desk::with_open("one\n");
    let mut changes = desk.ws.changes();
    changes.borrow_and_update();
    buffer.type_over("one", "two");
    assert!(changes.has_changed().unwrap());
    changes.borrow_and_update();
    desk.ws.saved(&buffer.uri);
    assert!(changes.has_changed().unwrap());
    changes.borrow_and_update();
    buffer.close();
    assert!(changes.has_changed().unwrap());
}

#[test]
fn a_client_out_of_step_is_told_once_and_gets_no_edits_until_it_opens_again() {
    let past_the_end = ContentChange {
        range: Some(Range { start: Position { line: 9, character: 0 }, end: Position { line: 9, character: 0 } }),
        text: Cow::Borrowed("x"),
    };
    type Fault<'a> = (&'a str, i32, Vec<ContentChange<'a>>);
    let faults: [Fault<'_>; 3] = [
        ("its version did not grow", 1, vec![insertion(0, 0, "x")]),
        ("its version did not grow", -5, vec![insertion(0, 0, "x")]),
        ("a change lies outside its text", 2, vec![past_the_end]),
    ];
    for (why, version, changes) in faults {
        let (desk, buffer) = Desk::with_open("one\n");
        let version = Some(DocVersion(version));
        assert_eq!(desk.ws.change(&buffer.uri, version, &changes, Encoding::Utf16), Sync::Lost(why));
        assert!(desk.ws.document(&buffer.uri).unwrap().text.to_string().contains('x'), "the text still follows");
        let next = desk.ws.change(&buffer.uri, Some(DocVersion(9)), &[insertion(0, 0, "y")], Encoding::Utf16);
        assert_eq!(next, Sync::StillLost);
        let view = desk.read("a.rs");
        assert!(view.note.unwrap().contains("lost track"));
        let refused = desk.try_replace(&view, "one", "two").unwrap_err();
        assert!(matches!(refused, StageError::Unsynced(_)), "{refused}");
        // Opened anew without a close is one more fault.
        assert!(matches!(desk.ws.open(&buffer.uri, "rust", None, Text::from("one\n")), Sync::Lost(_)));
        buffer.close();
        let mut buffer = desk.open("a.rs");
        desk.replace("a.rs", "one", "two");
        assert!(buffer.take(&desk.send()));
    }
}

#[test]
fn a_document_changed_unopened_or_repaired_gets_no_edits() {
    let desk = Desk::new();
    desk.put("a.rs", "one\n");
    let uri = desk.uri("a.rs");
    let change = || desk.ws.change(&uri, Some(DocVersion(2)), &[insertion(0, 0, "x")], Encoding::Utf16);
    assert_eq!(change(), Sync::Lost("it was changed before it was opened"));
    assert_eq!(change(), Sync::StillLost);
    assert!(matches!(desk.try_replace(&desk.read("a.rs"), "one", "two"), Err(StageError::Unsynced(_))));
    desk.ws.close(&uri);
    desk.replace("a.rs", "one", "two");
    let buffer = desk.open("a.rs");
    assert_eq!(desk.ws.distrust(&uri, "half a character"), Sync::Lost("half a character"));
    assert_eq!(desk.ws.distrust(&uri, "half a character"), Sync::StillLost);
    assert!(desk.ws.deliveries(&desk.run).is_empty(), "what was staged before waits");
    assert!(!desk.ws.staged(&desk.run)[0].synced);
    buffer.close();
    desk.open("a.rs");
    assert_eq!(desk.ws.deliveries(&desk.run).len(), 1);
}

#[test]
fn positions_out_of_range_are_clamped_and_never_panic() {
    let (desk, buffer) = Desk::with_open("ab\u{1f600}\r\nc\r");
    let at = |line, character| Position { line, character };
    let mut version = 1;
    for encoding in [Encoding::Utf8, Encoding::Utf16, Encoding::Utf32] {
        for start in [at(0, 0), at(0, 3), at(1, u32::MAX), at(u32::MAX, u32::MAX), at(2, 5)] {
            for end in [at(0, 1), at(0, 3), at(u32::MAX, 0), at(1, 0)] {
                version += 1;
                let changes = [ContentChange { range: Some(Range { start, end }), text: Cow::Borrowed("é\r") }];
                let _ = desk.ws.change(&buffer.uri, Some(DocVersion(version)), &changes, encoding);
            }
        }
    }
    assert!(desk.ws.document(&buffer.uri).is_some());
}

#[test]
fn one_document_is_found_by_every_spelling_of_its_uri() {
    let desk = Desk::new();
    desk.put("a b.rs", "one\n");
    let spelt = desk.uri("a b.rs").replace("%20", " ");
    let _ = desk.ws.open(&spelt, "rust", Some(DocVersion(1)), Text::from("buffer\n"));
    assert_eq!(desk.sees("a b.rs"), "buffer\n");
    assert_eq!(&*desk.ws.document(&desk.uri("a b.rs")).unwrap().uri, spelt, "as the client spells it");
    desk.ws.close(&desk.uri("a b.rs"));
    assert_eq!(desk.sees("a b.rs"), "one\n");
}

#[cfg(unix)]
#[test]
fn a_link_and_its_file_are_one_document() {
    let desk = Desk::new();
    desk.put("real.rs", "disk\n");
    std::os::unix::fs::symlink("real.rs", desk.at("link.rs")).unwrap();
    let first = desk.open_as("link.rs", "by link\n");
    assert_eq!(desk.sees("real.rs"), "by link\n");
    desk.replace("real.rs", "by", "BY");
    assert_eq!(desk.sees("link.rs"), "BY link\n");
    assert_eq!(desk.delivery().uri, first.uri);
    // A second buffer of the same file is a document of its own; the first one keeps standing for the file.
    let mut second = desk.open_as("real.rs", "second\n");
    second.type_over("second", "2nd");
    assert_eq!(desk.sees("real.rs"), "BY link\n");
    assert_eq!(desk.ws.document(&second.uri).unwrap().text, "2nd\n");
    desk.ws.set_roots(desk.ws.roots());
    assert_eq!(desk.sees("real.rs"), "BY link\n");
    second.close();
    first.close();
    assert_eq!(desk.sees("real.rs"), "disk\n");
}

#[test]
fn buffer_and_file_that_both_moved_are_said_to_have() {
    let (desk, mut buffer) = Desk::with_open("one\n");
    desk.put("a.rs", "theirs, longer\n");
    assert_eq!(desk.read("a.rs").note, None, "the editor will reload it");
    buffer.type_over("one", "two");
    let view = desk.read("a.rs");
    assert_eq!(view.text, "two\n");
    assert!(view.note.unwrap().contains("changed, too"));
    desk.ws.saved(&buffer.uri);
    assert_eq!(desk.read("a.rs").note, None);
}

#[test]
fn a_document_finds_its_place_when_the_folders_change() {
    let desk = Desk::new();
    desk.put("a.rs", "disk\n");
    let roots = desk.ws.roots();
    desk.ws.set_roots(ropeway::paths::Roots::default());
    let uri = roots.resolve("a.rs").unwrap().uri();
    let _ = desk.ws.open(&uri, "rust", Some(DocVersion(1)), Text::from("buffer\n"));
    assert_eq!(desk.ws.document(&uri).unwrap().path, None);
    desk.ws.set_roots(roots);
    assert_eq!(desk.sees("a.rs"), "buffer\n");
    let change = [insertion(0, 0, "x")];
    assert_eq!(desk.ws.change(&uri, Some(DocVersion(2)), &change, Encoding::Utf16), Sync::Following);
    assert_eq!(desk.sees("a.rs"), "xbuffer\n");
}
