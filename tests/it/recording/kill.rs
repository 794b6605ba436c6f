//! Killed at any moment: what was acknowledged is there, and the next start reads and mends everything else.
//!
//! The child is this very test binary, which is started to run one test of this file and, because of a variable, records
//! without end instead.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use ropeway::ids::{RunId, ThreadId};
use ropeway::trajectory::read::{Fault, Item, Store};
use ropeway::trajectory::record::{Called, Event, Started, ThreadRecord};
use ropeway::trajectory::recorder::{Recorder, Settings};

const CHILD: &str = "ROPEWAY_TEST_RECORDS_INTO";
const PATIENCE: Duration = Duration::from_secs(60);

/// Records until it is killed, and says after each how many have been acknowledged. `every`: that many are flushed
/// together; 0: each is written at once, by whoever records it.
fn record_without_end(dir: &Path, every: u32) -> ! {
    let recorder = Recorder::new(Settings { background: every > 0, part_bytes: 100_000, ..Settings::new(dir) });
    let log = recorder.run(&RunId::from(format!("run-{}", std::process::id())), &ThreadId::from("thread-1"));
    log.record(Started { action: "task".into(), ..Started::default() });
    let mut out = std::io::stdout();
    for n in 1.. {
        log.record(Called { step: n, call: "c".into(), tool: "x".repeat(n as usize % 700).into() });
        if n % 50 == 0 {
            log.later("thread", 0, move |texts| {
                texts.keep(&n.to_string().repeat(1_000));
                ThreadRecord::default().into()
            });
        }
        if every == 0 || (n % every == 0 && recorder.flush(PATIENCE)) {
            // Nobody listens any more once we are to be killed.
            let _ = writeln!(out, "acknowledged {n}");
        }
    }
    unreachable!("there are more numbers than patience")
}

/// Starts a child, kills it after it has acknowledged `after` times and a little more, and gives its process and the
/// last number that it had acknowledged.
fn killed(dir: &Path, every: u32, after: usize, spin: u32) -> (u32, u32) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "recording::kill::nothing_acknowledged_is_lost_when_the_recorder_is_killed", "--nocapture"])
        .env(CHILD, format!("{every} {}", dir.display()))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut last = 0;
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut note = |line: String| {
        if let Some(number) = line.strip_prefix("acknowledged ").and_then(|number| number.parse().ok()) {
            last = number;
            return true;
        }
        false
    };
    let mut seen = 0;
    while seen < after {
        seen += usize::from(note(lines.next().expect("the child records until it is killed")));
    }
    (0..spin).for_each(|_| std::hint::spin_loop());
    child.kill().unwrap();
    child.wait().unwrap();
    // A line that it did not finish says nothing.
    let rest: Vec<String> = lines.collect();
    for line in rest.iter().take(rest.len().saturating_sub(1)) {
        note(line.clone());
    }
    (child.id(), last)
}

/// The last number that a run recorded; every number before it is there.
fn recorded(store: &Store, process: u32, mended: bool) -> u32 {
    let head = store.find(&format!("run-{process}")).unwrap();
    let (mut last, mut seq, mut faults) = (0, 0, Vec::new());
    for item in store.run(&head).unwrap() {
        match item {
            Item::Record(record) => {
                assert_eq!(record.seq, seq + 1);
                seq = record.seq;
                if let Event::Called(called) = &record.event {
                    assert_eq!(called.step, last + 1);
                    last = called.step;
                }
            }
            Item::Damage(damage) => faults.push(damage.what),
        }
    }
    let most = if mended { &[][..] } else { &[Fault::Torn] };
    assert!(most.starts_with(&faults), "{faults:?}");
    last
}

/// The files of runs that are not compressed.
fn plain(dir: &Path) -> Vec<String> {
    let sessions = std::fs::read_dir(dir.join("sessions")).unwrap().map(|entry| entry.unwrap().path());
    let files = sessions.flat_map(|session| std::fs::read_dir(session).unwrap());
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(".jsonl") && name.starts_with("run-")).collect()
}

#[test]
fn nothing_acknowledged_is_lost_when_the_recorder_is_killed() {
    if let Ok(child) = std::env::var(CHILD) {
        let (every, dir) = child.split_once(' ').unwrap();
        record_without_end(Path::new(dir), every.parse().unwrap());
    }
    let home = tempfile::tempdir().unwrap();
    let moments = (prop_oneof![Just(0_u32), 1..200_u32], 1..40_usize, 0..300_000_u32);
    let mut runner = TestRunner::deterministic();
    let mut killed_at = Vec::new();
    for n in 0..200 {
        // A list of all gets longer with each.
        let dir = home.path().join((n / 20).to_string());
        let (every, after, spin) = moments.new_tree(&mut runner).unwrap().current();
        let (process, acknowledged) = killed(&dir, every, after, spin);
        let store = Store::open(&dir).unwrap().unwrap();
        let there = recorded(&store, process, false);
        assert!(there >= acknowledged, "{there} of {acknowledged} acknowledged, every {every}");
        killed_at.push((dir, process, there));
    }

    // The next start mends and compresses all of them, and loses none.
    for n in 0..10 {
        let dir = home.path().join(n.to_string());
        let next = Recorder::new(Settings { background: false, ..Settings::new(&dir) });
        next.run(&RunId::from("run-next"), &ThreadId::from("thread-1")).record(ThreadRecord::default());
        next.close(PATIENCE);
        assert_eq!(plain(&dir), ["run-next.0001.jsonl"]);
    }
    for (dir, process, there) in killed_at {
        let store = Store::open(&dir).unwrap().unwrap();
        assert!(store.sessions().unwrap().iter().all(|session| !session.live));
        assert_eq!(recorded(&store, process, true), there);
    }
}
