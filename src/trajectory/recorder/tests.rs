//! What is recorded is on disk, in order, once; what cannot be recorded is counted and told, and stops nobody.
#![expect(clippy::disallowed_methods, reason = "the tests look at files from outside")]

use std::borrow::Cow;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::Mutex;

use super::*;
use crate::trajectory::read::{Item, Store};
use crate::trajectory::record::{Called, Decided, Decision, Finished, Record, Started, TextRecord, ThreadRecord, Why};

const PATIENCE: Duration = Duration::from_secs(60);

fn called(step: u32) -> Called {
    Called { step, call: "c".into(), tool: "grep".into() }
}

fn ids() -> (RunId, ThreadId) {
    (RunId::from("run-1"), ThreadId::from("thread-1"))
}

/// The records of the run, all of them readable.
fn records(dir: &Path) -> Vec<Record> {
    of_run(dir, "run-1")
}

fn of_run(dir: &Path, run: &str) -> Vec<Record> {
    let store = Store::open(dir).unwrap().unwrap();
    let records = store.run(&store.find(run).unwrap()).unwrap();
    let whole = records.map(|item| match item {
        Item::Record(record) => *record,
        Item::Damage(damage) => panic!("{damage:?}"),
    });
    whole.collect()
}

fn kinds(records: &[Record]) -> Vec<&str> {
    records.iter().map(|record| record.event.kind()).collect()
}

/// The files of the one session, by name.
fn files(dir: &Path) -> Vec<String> {
    let sessions: Vec<_> =
        std::fs::read_dir(dir.join("sessions")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(sessions.len(), 1);
    let mut names: Vec<_> = std::fs::read_dir(&sessions[0])
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn session(dir: &Path) -> PathBuf {
    std::fs::read_dir(dir.join("sessions")).unwrap().next().unwrap().unwrap().path()
}

/// Takes out one word that stands in a text, and one that also stands in the JSON around the texts.
fn redact(text: &str) -> Cow<'_, str> {
    match text.contains("hush") || text.contains("hash") {
        true => Cow::Owned(text.replace("hush", "[key]").replace("hash", "[key]")),
        false => Cow::Borrowed(text),
    }
}

/// Both ways of writing leave the same behind.
fn both(test: impl Fn(Settings, &Path)) {
    for background in [true, false] {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("state");
        test(Settings { background, ..Settings::new(&dir) }, &dir);
    }
}

#[test]
fn what_is_recorded_is_read_again_in_its_order() {
    both(|settings, dir| {
        let recorder = Recorder::new(settings);
        let (run, thread) = ids();
        assert!(recorder.session().is_none() && !dir.exists(), "nothing is made before the first event");
        let log = recorder.run(&run, &thread);
        let started =
            Started { action: "fix".into(), title: "Fix".into(), prompt: "x".repeat(1_000), ..Started::default() };
        log.record(started);
        for step in 1..=500 {
            log.record(called(step));
        }
        log.later("thread", 0, |texts| {
            assert_eq!(texts.keep("same"), texts.keep("same"));
            ThreadRecord::default().into()
        });
        let outcome = serde_json::json!({"status": "applied", "steps": 3, "files": [{"uri": "file:///a"}]});
        log.record(Finished { outcome });
        recorder.note(Some(&run), Some(&thread), Decided { what: Decision::Revert, outcome: None });
        assert!(recorder.flush(PATIENCE));
        let live = Store::open(dir).unwrap().unwrap().sessions().unwrap();
        assert!(live[0].live && Some(&live[0].id) == recorder.session().as_ref());
        assert!(recorder.close(PATIENCE));

        let records = records(dir);
        assert_eq!(records.len(), 505);
        assert!(records.iter().zip(1..).all(|(record, seq)| record.seq == seq), "numbered without a hole");
        assert!(records.windows(2).all(|pair| pair[0].at <= pair[1].at));
        assert!(
            records.iter().all(|record| record.run.as_ref() == Some(&run) && record.thread.as_ref() == Some(&thread))
        );
        assert_eq!(kinds(&records[..3]), ["session", "started", "called"]);
        assert_eq!(kinds(&records[502..]), ["text", "thread", "finished"]);
        for (record, step) in records[2..502].iter().zip(1..) {
            assert_eq!(record.event, called(step).into());
        }

        let store = Store::open(dir).unwrap().unwrap();
        let heads = store.runs().unwrap();
        assert_eq!(heads.len(), 1);
        let head = &heads[0];
        assert_eq!((&*head.action, &*head.title, head.prompt.len(), head.steps), ("fix", "Fix", 200, 3));
        assert_eq!((head.status.as_deref(), &head.files[..]), (Some("applied"), &["file:///a".to_owned()][..]));
        assert_eq!((&head.decided[..], head.live, &head.problem), (&[Decision::Revert][..], false, &None));
        assert!(head.ended_unix_us.unwrap() >= head.started_unix_us && head.started_unix_us > 1_700_000_000_000_000);
        let counters = recorder.counters();
        assert_eq!((counters.lost, counters.dropped, counters.troubles, counters.pending), (0, 0, 0, 0));
        // The session's own: its head, the run, its end, the decision.
        assert_eq!(counters.records, 505 + 4);
    });
}

#[test]
fn everything_is_the_users_alone() {
    both(|settings, dir| {
        let recorder = Recorder::new(settings);
        let (run, thread) = ids();
        recorder.run(&run, &thread).record(called(1));
        recorder.close(PATIENCE);
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let session = session(dir);
        assert_eq!((mode(&dir.join("sessions")), mode(&session)), (0o700, 0o700));
        for name in files(dir) {
            assert_eq!(mode(&session.join(&name)), 0o600, "{name}");
        }
    });
}

#[test]
fn a_run_that_has_ended_is_compressed_and_what_comes_later_gets_another_file() {
    both(|settings, dir| {
        let recorder = Recorder::new(settings);
        let (run, thread) = ids();
        let log = recorder.run(&run, &thread);
        (1..=300).for_each(|step| log.record(called(step)));
        log.end();
        recorder.flush(PATIENCE);
        while recorder.is_keeping() {
            std::thread::yield_now();
        }
        assert_eq!(files(dir), ["lock", "run-1.0001.jsonl.zst"]);
        assert_eq!(recorder.counters().compressed, 1);
        log.record(called(301));
        recorder.close(PATIENCE);
        assert!(files(dir).contains(&"run-1.0002.jsonl".to_owned()), "plain: the session has just ended");
        let records = records(dir);
        assert_eq!(records.len(), 303, "each part has a head");
        assert!(records.iter().zip(1..).all(|(record, seq)| record.seq == seq));
        assert_eq!(records[302].event, called(301).into());

        // The next server looks after what this one has left.
        let next = Recorder::new(Settings { background: false, ..Settings::new(dir) });
        next.run(&RunId::from("run-2"), &thread).record(called(1));
        next.close(PATIENCE);
        assert_eq!(self::of_run(dir, "run-1").len(), 303);
        assert_eq!(next.counters().compressed, 1);
    });
}

#[test]
fn a_large_run_goes_on_in_another_file() {
    both(|settings, dir| {
        let recorder = Recorder::new(Settings { part_bytes: 20_000, compress: false, batch: 10, ..settings });
        let (run, thread) = ids();
        let log = recorder.run(&run, &thread);
        for step in 1..=600 {
            log.record(called(step));
            if step % 50 == 0 {
                recorder.flush(PATIENCE);
            }
        }
        recorder.close(PATIENCE);
        assert!(files(dir).len() >= 4, "{:?}", files(dir));
        let records = records(dir);
        let steps: Vec<_> = records.iter().filter(|record| record.event.kind() == "called").collect();
        assert_eq!(steps.len(), 600);
        assert_eq!(steps[599].event, called(600).into());
    });
}

#[test]
fn secrets_are_taken_out_of_texts_and_the_record_says_so() {
    both(|settings, dir| {
        let recorder = Recorder::new(settings);
        recorder.redact_with(Arc::new(redact));
        let (run, thread) = ids();
        let log = recorder.run(&run, &thread);
        log.later("thread", 0, |texts| {
            texts.keep("say \"hush\" to nobody");
            ThreadRecord::default().into()
        });
        recorder.close(PATIENCE);
        let records = records(dir);
        assert_eq!(kinds(&records), ["session", "text", "thread"]);
        let crate::trajectory::record::Event::Text(text) = &records[1].event else { panic!() };
        assert_eq!(text.text.as_deref(), Some("say \"[key]\" to nobody"));
        assert_eq!(records.iter().map(|record| record.redacted).collect::<Vec<_>>(), [false, true, false]);
    });
}

#[test]
fn past_the_bound_the_fact_is_kept_and_counted() {
    let home = tempfile::tempdir().unwrap();
    // Nothing is written before it is asked for, so all of it waits.
    let settings = Settings {
        flush: Duration::from_secs(3_600),
        batch: 1_000_000,
        waiting_bytes: 100_000,
        ..Settings::new(home.path())
    };
    let recorder = Recorder::new(settings);
    let (run, thread) = ids();
    let log = recorder.run(&run, &thread);
    let text: Arc<str> = "x".repeat(20_000).into();
    let hold = Arc::new(Mutex::new(()));
    let held = hold.lock().unwrap();
    let gate = hold.clone();
    log.later("thread", 0, move |_| {
        drop(gate.lock());
        ThreadRecord::default().into()
    });
    recorder_is_busy(&recorder);
    for _ in 0..10 {
        let event = TextRecord {
            hash: crate::trajectory::record::TextId::of("x"),
            text: Some(text.clone()),
            bytes: text.len(),
        };
        log.record(event);
        log.record(called(1));
    }
    drop(held);
    recorder.close(PATIENCE);
    let records = records(home.path());
    let kinds = kinds(&records);
    let count = |kind: &str| kinds.iter().filter(|known| **known == kind).count();
    let dropped = recorder.counters().dropped;
    assert!((5..=7).contains(&dropped), "{dropped}");
    assert_eq!((count("dropped") as u64, count("text") as u64, count("called")), (dropped, 10 - dropped, 10));
}

/// Until the writer has taken what waited.
fn recorder_is_busy(recorder: &Recorder) {
    let waiting = recorder.clone();
    let flush = std::thread::spawn(move || waiting.flush(PATIENCE));
    while recorder.counters().pending > 0 {
        std::thread::yield_now();
    }
    drop(flush);
}

#[test]
fn a_flood_is_counted_and_leaves_a_gap() {
    let home = tempfile::tempdir().unwrap();
    let recorder =
        Recorder::new(Settings { flush: Duration::from_secs(3_600), batch: 1_000_000, ..Settings::new(home.path()) });
    let (run, thread) = ids();
    let log = recorder.run(&run, &thread);
    let hold = Arc::new(Mutex::new(()));
    let held = hold.lock().unwrap();
    let gate = hold.clone();
    log.later("thread", 0, move |_| {
        drop(gate.lock());
        ThreadRecord::default().into()
    });
    recorder_is_busy(&recorder);
    let most = u32::try_from(crate::trajectory::queue::MOST).unwrap();
    (0..most + 100).for_each(|step| log.record(Why { why: step.to_string() }.broken()));
    drop(held);
    recorder.flush(PATIENCE);
    log.record(called(1));
    recorder.close(PATIENCE);
    let records = records(home.path());
    let crate::trajectory::record::Event::Gap(gap) = &records[records.len() - 2].event else { panic!() };
    assert_eq!((gap.lost, recorder.counters().lost), (100, 100));
}

#[test]
fn a_directory_that_is_removed_is_made_anew_and_the_gap_told() {
    both(|settings, dir| {
        let told = Arc::new(Mutex::new(Vec::new()));
        let heard = told.clone();
        let trouble = Arc::new(move |what: String| heard.lock().unwrap().push(what));
        let recorder = Recorder::new(Settings { trouble, ..settings });
        let (run, thread) = ids();
        let log = recorder.run(&run, &thread);
        for round in 0..3 {
            (1..=10).for_each(|step| log.record(called(round * 10 + step)));
            recorder.flush(PATIENCE);
            if round < 2 {
                std::fs::remove_dir_all(dir).unwrap();
            }
        }
        recorder.close(PATIENCE);
        let records = records(dir);
        assert_eq!(kinds(&records)[..3], ["session", "gap", "called"]);
        assert_eq!(records.last().unwrap().event, called(30).into());
        let told = told.lock().unwrap();
        assert!(told.len() == 1 && told[0].contains("removed the folder"), "{told:?}");
    });
}

#[test]
fn a_place_that_cannot_be_written_stops_nobody_and_is_told_once() {
    both(|settings, _| {
        let file = tempfile::NamedTempFile::new().unwrap();
        let told = Arc::new(Mutex::new(Vec::new()));
        let heard = told.clone();
        let trouble = Arc::new(move |what: String| heard.lock().unwrap().push(what));
        let recorder = Recorder::new(Settings { dir: file.path().join("below"), trouble, ..settings });
        let (run, thread) = ids();
        let log = recorder.run(&run, &thread);
        (1..=100).for_each(|step| log.record(called(step)));
        recorder.flush(PATIENCE);
        (1..=100).for_each(|step| log.record(called(step)));
        log.end();
        recorder.close(PATIENCE);
        assert_eq!(recorder.counters().lost, 200);
        let told = told.lock().unwrap();
        assert!(told.len() == 1 && told[0].contains("set `recording.dir`"), "{told:?}");
    });
}

#[test]
fn no_link_leads_the_recorder_out_of_its_folders() {
    both(|settings, dir| {
        let elsewhere = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir).unwrap();
        symlink(elsewhere.path(), dir.join("sessions")).unwrap();
        let recorder = Recorder::new(settings.clone());
        let (run, thread) = ids();
        recorder.run(&run, &thread).record(called(1));
        recorder.close(PATIENCE);
        assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 0);
        assert_eq!(recorder.counters().lost, 1);
        assert!(Store::open(dir).is_err(), "nor its reader");

        // In the place of a file that will be made.
        std::fs::remove_file(dir.join("sessions")).unwrap();
        let recorder = Recorder::new(settings);
        recorder.run(&run, &thread).record(called(1));
        recorder.flush(PATIENCE);
        let victim = elsewhere.path().join("victim");
        std::fs::write(&victim, "precious\n").unwrap();
        symlink(&victim, session(dir).join("run-2.0001.jsonl")).unwrap();
        recorder.run(&RunId::from("run-2"), &thread).record(called(7));
        recorder.close(PATIENCE);
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "precious\n");
        assert!(session(dir).join("run-2.0002.jsonl").is_file(), "the next free name is taken");
    });
}

#[test]
fn one_that_is_off_or_closed_records_nothing() {
    let (run, thread) = ids();
    let off = Recorder::off();
    off.run(&run, &thread).record(called(1));
    assert!(!off.is_on() && off.flush(PATIENCE) && off.close(PATIENCE) && off.counters() == Counters::default());
    both(|settings, dir| {
        let recorder = Recorder::new(settings);
        let log = recorder.run(&run, &thread);
        log.record(called(1));
        recorder.close(PATIENCE);
        log.record(called(2));
        assert!(recorder.close(PATIENCE));
        assert_eq!(records(dir).len(), 2);
        assert_eq!(recorder.counters().lost, 1);
    });
}

#[test]
fn dropping_the_last_handle_writes_what_waits() {
    let home = tempfile::tempdir().unwrap();
    let recorder = Recorder::new(Settings { flush: Duration::from_secs(3_600), ..Settings::new(home.path()) });
    let (run, thread) = ids();
    recorder.run(&run, &thread).record(called(1));
    let counts = match recorder.0.now.load_full() {
        Some(inner) => inner.shared.clone(),
        None => panic!(),
    };
    drop(recorder);
    while counts.counts.records.load(Relaxed) < 2 {
        std::thread::yield_now();
    }
    assert_eq!(records(home.path()).len(), 2);
}

#[test]
fn an_event_that_cannot_be_made_costs_itself_and_nothing_else() {
    both(|settings, dir| {
        let recorder = Recorder::new(settings);
        let (run, thread) = ids();
        let log = recorder.run(&run, &thread);
        log.record(called(1));
        log.later("thread", 0, |_| std::panic::resume_unwind(Box::new("no")));
        log.record(called(2));
        recorder.close(PATIENCE);
        assert_eq!(kinds(&records(dir)), ["session", "called", "gap", "called"]);
    });
}

#[test]
fn two_servers_that_begin_at_once_have_folders_of_their_own() {
    let home = tempfile::tempdir().unwrap();
    let recorders: Vec<_> = (0..8).map(|_| Recorder::new(Settings::new(home.path()))).collect();
    let (_, thread) = ids();
    for (n, recorder) in recorders.iter().enumerate() {
        recorder.run(&RunId::from(format!("run-{n}")), &thread).record(called(1));
    }
    recorders.iter().for_each(|recorder| assert!(recorder.flush(PATIENCE)));
    let store = Store::open(home.path()).unwrap().unwrap();
    let sessions = store.sessions().unwrap();
    assert_eq!(sessions.len(), 8);
    assert!(sessions.iter().all(|session| session.live));
    assert_eq!(store.runs().unwrap().len(), 8);
    recorders.iter().for_each(|recorder| assert!(recorder.close(PATIENCE)));
    // A program that another test is starting holds what it inherited until it has begun.
    let closed = Instant::now();
    while store.sessions().unwrap().iter().any(|session| session.live) {
        assert!(closed.elapsed() < PATIENCE, "a lock outlives its server");
        std::thread::yield_now();
    }
}
