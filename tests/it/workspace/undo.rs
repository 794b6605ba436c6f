//! Taking a run back: its part and nothing else.

use ropeway::ids::RunId;
use ropeway::text::Text;
use ropeway::workspace::{DeliveryOp, Landing};

use super::desk::{Buffer, Desk};

const FIVE: &str = "one\ntwo\nthree\nfour\nfive\n";

fn take_back(desk: &Desk, buffer: &mut Buffer) {
    let deliveries = desk.ws.undo(&desk.run);
    assert_eq!(deliveries.len(), 1, "{deliveries:?}");
    assert!(desk.ws.sent(&desk.run, &deliveries[0]));
    assert!(buffer.take(&deliveries[0]));
    assert_eq!(desk.landed("a.rs"), Landing::Landed);
}

#[test]
fn only_the_runs_part_is_taken_back_also_after_the_run_and_again() {
    let (desk, mut buffer) = Desk::with_open(FIVE);
    desk.replace("a.rs", "two\n", "2\n2.5\n");
    desk.replace("a.rs", "five", "5");
    assert!(buffer.take(&desk.send()));
    buffer.splice(0..0, "zero\n");
    buffer.type_over("three", "3, typed");
    desk.ws.end(&desk.run);
    assert!(desk.ws.can_undo(&desk.run));
    take_back(&desk, &mut buffer);
    assert_eq!(buffer.text, "zero\none\ntwo\n3, typed\nfour\nfive\n");
    assert_eq!(desk.conflicts(), []);
    // What was taken back can be taken back.
    take_back(&desk, &mut buffer);
    assert_eq!(buffer.text, "zero\none\n2\n2.5\n3, typed\nfour\n5\n");
}

#[test]
fn an_undo_and_a_redo_in_the_editor_leave_it_to_be_taken_back() {
    let (desk, mut buffer) = Desk::with_open(FIVE);
    desk.replace("a.rs", "two", "agent's");
    desk.replace("a.rs", "five", "5");
    assert!(buffer.take(&desk.send()));
    buffer.splice(0..0, "zero\n");
    for (from, to) in [("agent's", "two"), ("5\n", "five\n"), ("two", "agent's"), ("five\n", "5\n")] {
        buffer.type_over(from, to);
    }
    buffer.type_over("three", "3");
    take_back(&desk, &mut buffer);
    assert_eq!(buffer.text, "zero\none\ntwo\n3\nfour\nfive\n");
    assert_eq!(desk.conflicts(), []);
}

#[test]
fn what_the_editor_has_undone_is_not_taken_back_again() {
    let (desk, mut buffer) = Desk::with_open(FIVE);
    desk.replace("a.rs", "two", "agent's");
    assert!(buffer.take(&desk.send()));
    buffer.type_over("agent's", "two");
    assert!(desk.ws.undo(&desk.run).is_empty());
    assert_eq!(desk.conflicts(), []);
}

#[test]
fn what_the_user_typed_over_stays_and_is_reported() {
    let (desk, mut buffer) = Desk::with_open(FIVE);
    desk.replace("a.rs", "two", "agent's");
    desk.replace("a.rs", "five", "5");
    assert!(buffer.take(&desk.send()));
    buffer.type_over("agent's", "mine");
    take_back(&desk, &mut buffer);
    assert_eq!(buffer.text, "one\nmine\nthree\nfour\nfive\n");
    assert_eq!(desk.conflicts(), [("a.rs".to_owned(), 1..2, "two".to_owned(), "mine".to_owned())]);
}

#[test]
fn several_landings_on_one_file_are_taken_back_as_one() {
    let (desk, mut buffer) = Desk::with_open(FIVE);
    desk.replace("a.rs", "two", "2");
    assert!(buffer.take(&desk.send()));
    buffer.type_over("one", "1, typed");
    desk.replace("a.rs", "2\nthree", "zwei\n3");
    assert!(buffer.take(&desk.send()));
    buffer.type_over("five", "5, typed");
    take_back(&desk, &mut buffer);
    assert_eq!(buffer.text, "1, typed\ntwo\nthree\nfour\n5, typed\n");
    assert_eq!(desk.conflicts(), []);
}

#[test]
fn another_runs_edits_stay() {
    let (desk, mut buffer) = Desk::with_open(FIVE);
    let other = RunId::unused();
    desk.ws.begin(other.clone());
    desk.replace("a.rs", "two", "2");
    assert!(buffer.take(&desk.send()));
    let view = desk.ws.read(Some(&other), &desk.path("a.rs")).unwrap();
    let edits = ropeway::text::EditSet::replace(view.text.len(), 0..3, "eins").unwrap();
    desk.ws.stage_edit(&other, &view, edits).unwrap();
    let delivery = desk.ws.deliveries(&other).remove(0);
    assert!(desk.ws.sent(&other, &delivery) && buffer.take(&delivery));
    take_back(&desk, &mut buffer);
    assert_eq!(buffer.text, FIVE.replace("one", "eins").as_str());
    assert_eq!(desk.ws.last_landed(), Some(desk.run.clone()), "the revert landed last");
}

#[test]
fn a_closed_file_is_taken_back_on_disk() {
    let desk = Desk::new();
    desk.put("a.rs", FIVE);
    desk.replace("a.rs", "two", "2");
    let delivery = desk.send();
    desk.perform(&delivery);
    assert_eq!(desk.landed("a.rs"), Landing::Landed);
    desk.put("a.rs", &format!("zero\n{}", FIVE.replace("two", "2")));
    let back = desk.ws.undo(&desk.run).remove(0);
    assert!(desk.ws.sent(&desk.run, &back));
    desk.perform(&back);
    assert_eq!(desk.landed("a.rs"), Landing::Landed);
    assert_eq!(desk.on_disk("a.rs"), format!("zero\n{FIVE}"));
}

#[test]
fn made_removed_and_renamed_files_come_back() {
    let desk = Desk::new();
    desk.put("gone.rs", "gone\n");
    desk.put("old.rs", "old\n");
    let (run, ws) = (&desk.run, &desk.ws);
    ws.stage_create(run, &desk.path("new.rs"), Text::from("new\n")).unwrap();
    ws.stage_create(run, &desk.path("touched.rs"), Text::from("new\n")).unwrap();
    ws.stage_delete(run, &desk.path("gone.rs")).unwrap();
    ws.stage_rename(run, &desk.path("old.rs"), &desk.path("renamed.rs")).unwrap();
    desk.replace("renamed.rs", "old", "edited");
    let deliver = || {
        loop {
            let deliveries = ws.deliveries(run);
            if deliveries.is_empty() {
                return;
            }
            for delivery in deliveries {
                assert!(ws.sent(run, &delivery));
                desk.perform(&delivery);
                assert_eq!(ws.landed(run, &delivery.path), Landing::Landed, "{delivery:?}");
            }
        }
    };
    deliver();
    assert_eq!(desk.on_disk("renamed.rs"), "edited\n");
    assert!(!desk.at("gone.rs").exists() && !desk.at("old.rs").exists());
    desk.put("touched.rs", "new and mine\n");
    ws.end(run);
    let back = ws.undo(run);
    assert!(back.iter().any(|delivery| matches!(delivery.op, DeliveryOp::Delete)));
    deliver();
    assert_eq!(desk.on_disk("gone.rs"), "gone\n");
    assert_eq!(desk.on_disk("old.rs"), "old\n");
    assert!(!desk.at("new.rs").exists() && !desk.at("renamed.rs").exists());
    assert_eq!(desk.on_disk("touched.rs"), "new and mine\n");
    let conflicts = desk.conflicts();
    assert_eq!(conflicts.len(), 1, "{conflicts:?}");
    assert_eq!((conflicts[0].0.as_str(), conflicts[0].3.as_str()), ("touched.rs", "new and mine\n"));
}

#[test]
fn a_run_that_landed_nothing_has_nothing_to_take_back() {
    let (desk, _buffer) = Desk::with_open(FIVE);
    desk.replace("a.rs", "two", "2");
    assert!(!desk.ws.can_undo(&desk.run));
    assert!(desk.ws.undo(&desk.run).is_empty());
    assert!(desk.ws.undo(&RunId::unused()).is_empty());
    assert_eq!(desk.ws.last_landed(), None);
}
