//! Whatever stands in the folders of recordings, all that is ours and whole is read, and nothing panics or leads out.
#![expect(clippy::disallowed_methods, reason = "the tests damage files from outside")]

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;
use crate::trajectory::record::{Called, ThreadRecord};
use crate::trajectory::recorder::{Recorder, Settings};

const PATIENCE: Duration = Duration::from_secs(60);

/// A session with one run of some records, written and closed.
fn recorded(dir: &Path, run: &str, steps: u32, compress: bool) -> PathBuf {
    let recorder = Recorder::new(Settings { background: false, compress, ..Settings::new(dir) });
    let log = recorder.run(&RunId::from(run), &ThreadId::from("thread-1"));
    log.later("thread", 0, |texts| {
        texts.keep("été 😀");
        ThreadRecord::default().into()
    });
    for step in 1..=steps {
        log.record(Called { step, call: "c".into(), tool: "grep".into() });
    }
    log.end();
    recorder.close(PATIENCE);
    dir.join("sessions").join(recorder.session().unwrap())
}

fn read(dir: &Path, run: &str) -> (Vec<Record>, Vec<Damage>) {
    let store = Store::open(dir).unwrap().unwrap();
    let (mut records, mut damages) = (Vec::new(), Vec::new());
    for item in store.run(&store.find(run).unwrap()).unwrap() {
        match item {
            Item::Record(record) => records.push(*record),
            Item::Damage(damage) => damages.push(damage),
        }
    }
    (records, damages)
}

#[test]
fn a_file_cut_at_any_byte_gives_every_record_that_is_whole() {
    let home = tempfile::tempdir().unwrap();
    let session = recorded(home.path(), "run-1", 12, false);
    let file = session.join("run-1.0001.jsonl");
    let whole = std::fs::read(&file).unwrap();
    let (all, damages) = read(home.path(), "run-1");
    assert!(all.len() == 15 && damages.is_empty());
    for length in 0..whole.len() {
        std::fs::write(&file, &whole[..length]).unwrap();
        let lines = memchr::memchr_iter(b'\n', &whole[..length]).count();
        let torn = length > 0 && whole[length - 1] != b'\n';
        let (records, damages) = read(home.path(), "run-1");
        assert_eq!(records, all[..lines], "{length}");
        let faults: Vec<_> = damages.iter().map(|damage| damage.what.clone()).collect();
        assert_eq!(faults, if torn { vec![Fault::Torn] } else { vec![] }, "{length}");
    }
}

#[test]
fn the_next_server_cuts_what_is_torn_at_any_byte_and_keeps_the_rest() {
    let home = tempfile::tempdir().unwrap();
    let session = recorded(home.path(), "run-1", 3, false);
    let (file, packed) = (session.join("run-1.0001.jsonl"), session.join("run-1.0001.jsonl.zst"));
    let whole = std::fs::read(&file).unwrap();
    let (all, _) = read(home.path(), "run-1");
    for length in 0..whole.len() {
        std::fs::write(&file, &whole[..length]).unwrap();
        let _ = std::fs::remove_file(&packed);
        let next = recorded(home.path(), "run-2", 0, true);
        assert!(packed.exists() && !file.exists(), "{length}");
        let lines = memchr::memchr_iter(b'\n', &whole[..length]).count();
        let (records, damages) = read(home.path(), "run-1");
        assert_eq!((&records[..], damages.len()), (&all[..lines], 0), "{length}");
        std::fs::remove_dir_all(next).unwrap();
    }
}

#[test]
fn a_compressed_file_cut_or_changed_anywhere_gives_what_it_can() {
    let home = tempfile::tempdir().unwrap();
    let session = recorded(home.path(), "run-1", 30, true);
    let file = session.join("run-1.0001.jsonl.zst");
    let whole = std::fs::read(&file).unwrap();
    let (all, damages) = read(home.path(), "run-1");
    assert!(all.len() == 33 && damages.is_empty());
    for at in 0..whole.len() {
        std::fs::write(&file, &whole[..at]).unwrap();
        let (records, damages) = read(home.path(), "run-1");
        assert!(all.starts_with(&records) && (at == 0 || !damages.is_empty()), "{at}");
        let mut changed = whole.clone();
        changed[at] ^= 0x55;
        std::fs::write(&file, &changed).unwrap();
        read(home.path(), "run-1");
    }
}

#[test]
fn behind_damage_in_the_middle_reading_goes_on() {
    let home = tempfile::tempdir().unwrap();
    let session = recorded(home.path(), "run-1", 6, false);
    let file = session.join("run-1.0001.jsonl");
    let mut bytes = std::fs::read(&file).unwrap();
    // A page of zeros, as a power cut leaves them, over the fourth line and the end of the third.
    let ends: Vec<usize> = memchr::memchr_iter(b'\n', &bytes).collect();
    bytes[ends[2] - 10..ends[3]].fill(0);
    bytes.extend_from_slice(b"\n\n[1,2]\n{\"v\":1}\n");
    bytes.extend_from_slice(format!("{}\n", "[".repeat(200_000)).as_bytes());
    std::fs::write(&file, bytes).unwrap();
    let (records, damages) = read(home.path(), "run-1");
    assert_eq!(records.iter().map(|record| record.seq).collect::<Vec<_>>(), [1, 2, 5, 6, 7, 8, 9]);
    let faults: Vec<_> = damages.into_iter().map(|damage| damage.what).collect();
    let unreadable = Fault::Unreadable;
    assert_eq!(faults, [unreadable.clone(), Fault::Missing(3, 4), unreadable.clone(), unreadable.clone(), unreadable]);
}

#[test]
fn a_line_without_end_takes_no_memory_and_hides_nothing_behind_it() {
    let home = tempfile::tempdir().unwrap();
    let session = recorded(home.path(), "run-1", 2, false);
    let file = session.join("run-1.0001.jsonl");
    let mut bytes = std::fs::read(&file).unwrap();
    let second = memchr::memchr(b'\n', &bytes).unwrap() + 1;
    bytes.splice(second..second, vec![b'x'; 40 << 20].into_iter().chain([b'\n']));
    std::fs::write(&file, &bytes).unwrap();
    let (records, damages) = read(home.path(), "run-1");
    assert_eq!((records.len(), damages.len()), (5, 1));
    assert_eq!(damages[0].what, Fault::TooLong((40 << 20) + 1));
}

#[test]
fn what_unpacks_without_end_is_left_at_the_bound() {
    let home = tempfile::tempdir().unwrap();
    let session = recorded(home.path(), "run-1", 2, true);
    let file = std::fs::File::create(session.join("run-1.0002.jsonl.zst")).unwrap();
    let mut bomb = zstd::stream::write::Encoder::new(file, 1).unwrap();
    let zeros = vec![0; 1 << 20];
    (0..1_100).for_each(|_| std::io::Write::write_all(&mut bomb, &zeros).unwrap());
    bomb.finish().unwrap();
    let (records, damages) = read(home.path(), "run-1");
    assert_eq!((records.len(), damages.len()), (5, 1));
    assert!(matches!(damages[0].what, Fault::Broken(_)), "{damages:?}");
}

#[test]
fn a_newer_version_is_read_as_far_as_it_can_be_and_told() {
    let home = tempfile::tempdir().unwrap();
    let session = recorded(home.path(), "run-1", 2, false);
    let own = session.join("session.0001.jsonl");
    let file = session.join("run-1.0001.jsonl");
    let newer = std::fs::read_to_string(&file).unwrap().replace(r#""v":1"#, r#""v":2,"more":{}"#);
    std::fs::write(&file, format!("{newer}{}\n", r#"{"v":2,"seq":6,"t":9,"kind":"dreamt","data":[1]}"#)).unwrap();
    let mut line = std::fs::OpenOptions::new().append(true).create(true).open(own).unwrap();
    let head = r#"{"v":2,"seq":2,"t":9,"run":"run-1","kind":"run","data":{"action":"fix","x":1}}"#;
    std::io::Write::write_all(&mut line, format!("{head}\n").as_bytes()).unwrap();
    let (records, damages) = read(home.path(), "run-1");
    assert!(damages.is_empty() && records.iter().all(Record::is_newer));
    assert!(matches!(&records[4].event, Event::Called(_)));
    assert_eq!(records[5].event.kind(), "dreamt");
    let head = &Store::open(home.path()).unwrap().unwrap().runs().unwrap()[0];
    assert!(head.newer && head.action == "fix");
}

#[test]
fn strangers_in_the_folders_are_passed_by_and_stay() {
    let home = tempfile::tempdir().unwrap();
    let session = recorded(home.path(), "run-1", 2, false);
    let sessions = home.path().join("sessions");
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("run-9.0001.jsonl"), "precious\n").unwrap();
    std::fs::create_dir(sessions.join("notes")).unwrap();
    std::fs::write(sessions.join("notes/my.txt"), "mine").unwrap();
    std::fs::write(sessions.join("a file"), "mine").unwrap();
    std::fs::create_dir(sessions.join("..hidden name")).unwrap();
    symlink(outside.path(), sessions.join("20990101T000000Z-1")).unwrap();
    symlink(outside.path().join("run-9.0001.jsonl"), session.join("run-9.0001.jsonl")).unwrap();
    std::fs::write(session.join("mine.txt"), "mine").unwrap();
    std::fs::create_dir(session.join("run-8.0001.jsonl")).unwrap();
    let fifo = session.join("run-7.0001.jsonl");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();

    let store = Store::open(home.path()).unwrap().unwrap();
    assert_eq!(store.runs().unwrap().iter().map(|head| &*head.run).collect::<Vec<_>>(), ["run-1"]);
    assert_eq!(store.sessions().unwrap().len(), 1);
    for name in ["../run-1", "run-1.0001", "", "run-9"] {
        let head = RunHead {
            run: name.into(),
            session: session.file_name().unwrap().to_str().unwrap().into(),
            ..RunHead::default()
        };
        assert!(store.run(&head).is_err(), "{name}");
    }
    assert!(store.session("..").is_err() && store.session("20990101T000000Z-1").is_err());
    assert!(store.find("run").is_ok_and(|head| head.run == "run-1"), "a unique beginning will do");

    // Nor does what looks after old sessions touch any of it.
    recorded(home.path(), "run-2", 1, true);
    assert_eq!(std::fs::read_to_string(outside.path().join("run-9.0001.jsonl")).unwrap(), "precious\n");
    for name in ["notes/my.txt", "a file"] {
        assert_eq!(std::fs::read_to_string(sessions.join(name)).unwrap(), "mine");
    }
    assert!(session.join("run-1.0001.jsonl.zst").exists() && session.join("mine.txt").exists() && fifo.exists());
}

/// Makes a session look as old as that.
fn age(session: &Path, days: u64) {
    for entry in std::fs::read_dir(session).unwrap() {
        let then = SystemTime::now() - Duration::from_secs(days * 86_400);
        std::fs::File::options().write(true).open(entry.unwrap().path()).unwrap().set_modified(then).unwrap();
    }
}

fn keeping(dir: &Path, keep_days: u32, keep_bytes: u64) -> Recorder {
    let settings = Settings { background: false, compress: false, keep_days, keep_bytes, ..Settings::new(dir) };
    let recorder = Recorder::new(settings);
    let called = Called { step: 1, call: "c".into(), tool: "grep".into() };
    recorder.run(&RunId::from("run-now"), &ThreadId::from("thread-1")).record(called);
    recorder
}

#[test]
fn what_is_too_old_is_removed_but_for_what_is_not_ours_or_is_written_now() {
    let home = tempfile::tempdir().unwrap();
    let (old, mixed, young) = (
        recorded(home.path(), "run-1", 2, true),
        recorded(home.path(), "run-2", 2, true),
        recorded(home.path(), "run-3", 2, true),
    );
    std::fs::write(mixed.join("mine.txt"), "mine").unwrap();
    let live = keeping(home.path(), 0, 0);
    let live = (home.path().join("sessions").join(live.session().unwrap()), live);
    for session in [&old, &mixed, &live.0] {
        age(session, 31);
    }
    age(&young, 29);
    let recorder = keeping(home.path(), 30, 0);
    assert!(!old.exists() && live.0.join("run-now.0001.jsonl").exists() && young.join("run-3.0001.jsonl.zst").exists());
    let left: Vec<_> = std::fs::read_dir(&mixed).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["mine.txt"]);
    assert_eq!(recorder.counters().removed, 2);
    drop(keeping(home.path(), 0, 0));
    assert!(young.exists(), "0 keeps for ever");
}

#[test]
fn past_the_bound_the_oldest_sessions_are_removed() {
    let home = tempfile::tempdir().unwrap();
    let sessions: Vec<_> = (0..6).map(|n| recorded(home.path(), &format!("run-{n}"), 200, false)).collect();
    for (n, session) in sessions.iter().enumerate() {
        age(session, 10 - n as u64);
    }
    let of = |session: &PathBuf| -> u64 {
        let files =
            std::fs::read_dir(session).map(|files| files.map(|entry| entry.unwrap().metadata().unwrap().len()).sum());
        files.unwrap_or(0)
    };
    let size = of(&sessions[0]);
    let recorder = keeping(home.path(), 0, size * 5 / 2);
    let left: Vec<_> = sessions.iter().map(|session| session.exists()).collect();
    assert_eq!(left, [false, false, false, false, true, true]);
    assert_eq!(recorder.counters().removed, 4);
}

#[test]
fn a_run_without_a_list_is_found_by_its_files_and_one_without_files_is_told() {
    let home = tempfile::tempdir().unwrap();
    let recorder = Recorder::new(Settings { background: false, ..Settings::new(home.path()) });
    let started = crate::trajectory::record::Started { action: "fix".into(), ..Default::default() };
    recorder.run(&RunId::from("run-1"), &ThreadId::from("thread-1")).record(started.clone());
    recorder.run(&RunId::from("run-2"), &ThreadId::from("thread-1")).record(started);
    recorder.close(PATIENCE);
    let session = home.path().join("sessions").join(recorder.session().unwrap());
    std::fs::remove_file(session.join("run-2.0001.jsonl")).unwrap();
    let store = Store::open(home.path()).unwrap().unwrap();
    assert_eq!(store.find("run-2").unwrap().problem.as_deref(), Some("its files are gone"));
    assert_eq!(store.find("run-1").unwrap().problem, None);
    assert!(store.find("run-").unwrap_err().to_string().contains("2 recorded runs"));
    assert!(store.find("walk").unwrap_err().to_string().contains("no recorded run"));
    std::fs::remove_file(session.join("session.0001.jsonl")).unwrap();
    let head = store.find("run-1").unwrap();
    assert_eq!((&*head.action, head.thread, head.started_unix_us > 0), ("fix", Some("thread-1".into()), true));
}

#[test]
fn where_nothing_was_ever_recorded_there_is_no_store() {
    let home = tempfile::tempdir().unwrap();
    assert!(Store::open(home.path()).unwrap().is_none());
    assert!(Store::open(&home.path().join("no/such")).unwrap().is_none());
    std::fs::write(home.path().join("sessions"), "a file").unwrap();
    assert!(Store::open(home.path()).is_err());
}
