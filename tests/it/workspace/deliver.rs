//! Delivering, and knowing ours when they come back.

use ropeway::ids::DocVersion;
use ropeway::text::{Text, diff};
use ropeway::workspace::{DeliveryOp, Landing};

use super::desk::Desk;

const FIVE: &str = "one\ntwo\nthree\nfour\nfive\n";

#[test]
fn a_delivery_is_whole_lines_against_the_version_of_now() {
    let (desk, mut buffer) = Desk::with_open(FIVE);
    desk.replace("a.rs", "wo", "woo");
    desk.replace("a.rs", "five\n", "five\nsix\n");
    buffer.splice(0..0, "zero\n");
    let delivery = desk.delivery();
    let DeliveryOp::Edit { version, base, edits, expected } = &delivery.op else { panic!() };
    assert_eq!(*version, Some(DocVersion(buffer.version)));
    assert_eq!(*base, buffer.text);
    assert_eq!(*expected, "zero\none\ntwoo\nthree\nfour\nfive\nsix\n");
    assert_eq!(edits.apply(base).unwrap(), *expected);
    assert_eq!(*edits, diff::lines(base, expected));
    assert_eq!(edits.edits()[0].text, "twoo\n");
}

#[test]
fn a_delivery_made_before_a_keystroke_is_not_sent() {
    let (desk, mut buffer) = Desk::with_open(FIVE);
    desk.replace("a.rs", "two", "2");
    let old = desk.delivery();
    buffer.splice(0..0, "x");
    assert!(!desk.ws.sent(&desk.run, &old));
    let new = desk.send();
    assert!(!desk.ws.sent(&desk.run, &new), "nor is one sent twice");
    assert!(desk.ws.deliveries(&desk.run).is_empty());
}

#[test]
fn what_was_sent_is_known_when_it_comes_however_it_is_told() {
    let tell: [fn(&mut super::desk::Buffer, &ropeway::workspace::Delivery); 3] = [
        // All hunks in one message.
        |buffer, delivery| assert!(buffer.take(delivery)),
        // One message for all between the first and the last change.
        |buffer, delivery| buffer.take_as_one(delivery),
        // A message for each hunk, from the back.
        |buffer, delivery| {
            let DeliveryOp::Edit { edits, .. } = &delivery.op else { panic!() };
            for edit in edits.edits().iter().rev() {
                buffer.splice(edit.range.clone(), &edit.text);
            }
        },
    ];
    for tell in tell {
        let (desk, mut buffer) = Desk::with_open(FIVE);
        desk.replace("a.rs", "one", "1");
        desk.replace("a.rs", "five", "5");
        let delivery = desk.send();
        assert_eq!(desk.landed("a.rs"), Landing::NotYet, "whatever the client says");
        tell(&mut buffer, &delivery);
        assert_eq!(desk.landed("a.rs"), Landing::Landed);
        assert_eq!(desk.conflicts(), []);
        assert!(desk.ws.deliveries(&desk.run).is_empty());
        assert!(desk.ws.staged(&desk.run).is_empty());
        buffer.splice(0..0, "typed ");
        assert_eq!(desk.landed("a.rs"), Landing::Landed, "what is typed later does not matter");
    }
}

#[test]
fn what_comes_together_with_typing_is_known_too() {
    // Neovim waits 150 ms and tells all at once.
    let (desk, mut buffer) = Desk::with_open(FIVE);
    desk.replace("a.rs", "two", "2");
    desk.replace("a.rs", "four\n", "four\n4.5\n");
    let delivery = desk.send();
    let DeliveryOp::Edit { expected, .. } = &delivery.op else { panic!() };
    let typed = expected.to_string().replace("one", "one, typed");
    let edits = diff::lines(&buffer.text, &Text::from(typed.as_str()));
    buffer.send(&[edits]);
    assert_eq!(desk.landed("a.rs"), Landing::Landed);
    assert_eq!(desk.conflicts(), []);
    // And what takes it back leaves the typing.
    let back = desk.ws.undo(&desk.run).remove(0);
    assert!(desk.ws.sent(&desk.run, &back) && buffer.take(&back));
    assert_eq!(buffer.text, FIVE.replace("one", "one, typed").as_str());
}

#[test]
fn typing_that_overtakes_a_delivery_is_kept_and_the_refused_rest_sent_again() {
    let (desk, mut buffer) = Desk::with_open(FIVE);
    desk.replace("a.rs", "two", "2");
    desk.replace("a.rs", "five", "5");
    let delivery = desk.send();
    buffer.type_over("five", "fünf");
    assert!(!buffer.take(&delivery), "the editor has a newer version");
    assert_eq!(desk.landed("a.rs"), Landing::Elsewhere);
    assert_eq!(desk.conflicts(), [], "nothing is lost before it is refused");
    desk.ws.refused(&desk.run, &desk.path("a.rs"));
    assert_eq!(desk.conflicts(), [("a.rs".to_owned(), 4..5, "5".to_owned(), "fünf".to_owned())]);
    assert!(buffer.take(&desk.send()));
    assert_eq!(desk.landed("a.rs"), Landing::Landed);
    assert_eq!(buffer.text, "one\n2\nthree\nfour\nfünf\n");
}

#[test]
fn what_was_never_answered_is_known_when_it_lands_after_the_run() {
    let (desk, mut buffer) = Desk::with_open(FIVE);
    desk.replace("a.rs", "two", "2");
    let delivery = desk.send();
    desk.ws.end(&desk.run);
    assert_eq!(desk.landed("a.rs"), Landing::NotYet);
    assert!(desk.ws.deliveries(&desk.run).is_empty(), "it is never sent again");
    assert!(buffer.take(&delivery));
    assert_eq!(desk.landed("a.rs"), Landing::Landed);
    assert_eq!(desk.ws.last_landed(), Some(desk.run.clone()));
}

#[test]
fn a_client_that_changes_line_ends_has_still_applied_it() {
    // Nothing shows yet how the lines of this file end.
    let (desk, mut buffer) = Desk::with_open("one");
    desk.replace("a.rs", "one", "one\n2\n");
    desk.send();
    buffer.splice(3..3, "\r\n2\r\n");
    assert_eq!(desk.landed("a.rs"), Landing::Landed);
}

#[test]
fn a_closed_file_lands_in_the_buffer_the_client_opens_or_on_disk() {
    // Opened as it was, then changed.
    let desk = Desk::new();
    desk.put("a.rs", FIVE);
    desk.replace("a.rs", "two", "2");
    let DeliveryOp::Edit { version: None, .. } = desk.send().op else { panic!() };
    let mut buffer = desk.open("a.rs");
    assert_eq!(desk.landed("a.rs"), Landing::NotYet);
    buffer.type_over("two", "2");
    assert_eq!(desk.landed("a.rs"), Landing::Landed);
    // Opened as it is to be.
    let desk = Desk::new();
    desk.put("a.rs", FIVE);
    desk.replace("a.rs", "two", "2");
    desk.send();
    desk.open_as("a.rs", &FIVE.replace("two", "2"));
    assert_eq!(desk.landed("a.rs"), Landing::Landed);
    // Written, with the line ends and the final one that the file had.
    let desk = Desk::new();
    desk.put("a.rs", "one\r\ntwo\r\n");
    desk.replace("a.rs", "two\r\n", "2\n3");
    let delivery = desk.send();
    assert_eq!(desk.landed("a.rs"), Landing::NotYet);
    desk.perform(&delivery);
    assert_eq!(desk.on_disk("a.rs"), "one\r\n2\r\n3\r\n");
    assert_eq!(desk.landed("a.rs"), Landing::Landed);
    // Changed by someone else.
    let desk = Desk::new();
    desk.put("a.rs", FIVE);
    desk.replace("a.rs", "two", "2");
    desk.send();
    desk.put("a.rs", "other\n");
    assert_eq!(desk.landed("a.rs"), Landing::Elsewhere);
    desk.ws.refused(&desk.run, &desk.path("a.rs"));
    assert_eq!(desk.sees("a.rs"), "other\n");
    assert_eq!(desk.conflicts().len(), 1);
}

#[test]
fn a_new_file_lands_on_disk_or_in_the_buffer_that_is_filled() {
    let wanted = "fn new() {}\n";
    let staged = || {
        let desk = Desk::new();
        desk.ws.stage_create(&desk.run, &desk.path("dir/new.rs"), Text::from(wanted)).unwrap();
        let delivery = desk.send();
        assert!(matches!(delivery.op, DeliveryOp::Create { .. }));
        assert_eq!(desk.landed("dir/new.rs"), Landing::NotYet);
        (desk, delivery)
    };
    let (desk, delivery) = staged();
    desk.perform(&delivery);
    assert_eq!(desk.landed("dir/new.rs"), Landing::Landed);
    // Made empty, opened, filled; Neovim opens it with one empty line.
    for empty in ["", "\n"] {
        let (desk, _) = staged();
        desk.put("dir/new.rs", "");
        assert_eq!(desk.landed("dir/new.rs"), Landing::NotYet);
        let mut buffer = desk.open_as("dir/new.rs", empty);
        assert_eq!(desk.landed("dir/new.rs"), Landing::NotYet);
        buffer.splice(0..empty.len(), wanted);
        assert_eq!(desk.landed("dir/new.rs"), Landing::Landed);
        assert_eq!(desk.conflicts(), []);
    }
    // Someone else was faster.
    let (desk, _) = staged();
    desk.put("dir/new.rs", "theirs\n");
    assert_eq!(desk.landed("dir/new.rs"), Landing::Elsewhere);
}

#[test]
fn operations_come_first_and_the_edit_of_a_renamed_file_under_its_new_name() {
    let desk = Desk::new();
    desk.put("a.rs", FIVE);
    desk.put("gone.rs", "x\n");
    desk.put("edited.rs", "y\n");
    desk.replace("a.rs", "two", "2");
    desk.replace("edited.rs", "y", "z");
    desk.ws.stage_rename(&desk.run, &desk.path("a.rs"), &desk.path("b/b.rs")).unwrap();
    desk.ws.stage_delete(&desk.run, &desk.path("gone.rs")).unwrap();
    let mut buffer = desk.open("a.rs");
    buffer.type_over("four", "4");
    assert_eq!(desk.sees("b/b.rs"), "one\n2\nthree\n4\nfive\n", "it follows the buffer of the old name");
    let first = desk.ws.deliveries(&desk.run);
    let shown: Vec<_> = first.iter().map(|delivery| (delivery.path.to_string(), delivery.op.is_resource())).collect();
    assert_eq!(shown, [("a.rs".to_owned(), true), ("gone.rs".to_owned(), true), ("edited.rs".to_owned(), false)]);
    for delivery in &first {
        assert!(desk.ws.sent(&desk.run, delivery));
        assert_eq!(desk.ws.landed(&desk.run, &delivery.path), Landing::NotYet);
    }
    // The editor saves the buffer under its new name.
    let saved = buffer.text.to_string();
    buffer.close();
    desk.put("a.rs", &saved);
    for delivery in &first {
        desk.perform(delivery);
        assert!(desk.ws.deliveries(&desk.run).is_empty(), "nothing before the rename is known to have landed");
    }
    for delivery in &first {
        assert_eq!(desk.ws.landed(&desk.run, &delivery.path), Landing::Landed);
    }
    let mut buffer = desk.open("b/b.rs");
    assert!(buffer.take(&desk.send()));
    assert_eq!(desk.landed("b/b.rs"), Landing::Landed);
    assert_eq!(buffer.text, "one\n2\nthree\n4\nfive\n");
    assert!(!desk.at("a.rs").exists() && !desk.at("gone.rs").exists());
}

#[cfg(unix)]
#[test]
fn nothing_is_sent_where_a_link_has_come_to_stand_on_the_way() {
    let desk = Desk::new();
    desk.put("dir/a.rs", FIVE);
    desk.put("other/a.rs", FIVE);
    desk.replace("dir/a.rs", "two", "2");
    std::fs::rename(desk.at("dir"), desk.at("moved")).unwrap();
    std::os::unix::fs::symlink("other", desk.at("dir")).unwrap();
    assert!(desk.ws.deliveries(&desk.run).is_empty());
    assert_eq!(desk.conflicts().len(), 1);
}
