//! Gated fake calls: the tests choose the interleaving and never sleep.

mod ends;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use proptest::prelude::*;
use tokio::sync::Notify;

use super::super::output::{OutputLimits, cap};
use super::super::tool::{Effect, Scope, clash};
use super::*;
use crate::paths::{Root, Roots, WsPath};

struct Bench {
    _folder: tempfile::TempDir,
    roots: Roots,
    run: RunId,
    cancel: Cancel,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let roots = Roots::new(vec![Root::open("ws", folder.path()).unwrap()]);
        Self { _folder: folder, roots, run: RunId::unused(), cancel: Cancel::new() }
    }

    fn path(&self, words: &str) -> WsPath {
        self.roots.resolve(words).unwrap()
    }

    fn reads(&self, words: &str) -> Effect {
        Effect::reads(Scope::File(self.path(words)))
    }

    fn writes(&self, words: &str) -> Effect {
        Effect::writes(Scope::File(self.path(words)))
    }

    fn submission(&self, planned: Planned) -> Submission {
        Submission {
            run: self.run.clone(),
            tool: Arc::from("fake"),
            planned,
            deadline: Duration::from_secs(30),
            cancel: self.cancel.clone(),
            gate: None,
            on_start: None,
        }
    }
}

fn output(text: &str) -> Output {
    cap(text, OutputLimits::default(), "")
}

fn text(finished: &Finished) -> String {
    match &finished.result {
        Ok(output) => output.text().to_string(),
        Err(error) => error.to_string(),
    }
}

/// A call that says when it has begun and ends when it is told to.
struct Gated {
    began: Arc<Notify>,
    end: Arc<Notify>,
}

impl Gated {
    fn new() -> Self {
        Self { began: Arc::default(), end: Arc::default() }
    }

    fn planned(&self, effect: Effect, text: &'static str) -> Planned {
        let (began, end) = (self.began.clone(), self.end.clone());
        Planned::future(effect, String::new(), move |_| {
            Box::pin(async move {
                began.notify_one();
                end.notified().await;
                Ok(output(text))
            })
        })
    }
}

/// Lets every task that can go on do so.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn calls_that_only_read_overlap() {
    let (bench, scheduler) = (Bench::new(), Scheduler::new(8));
    let (a, b) = (Gated::new(), Gated::new());
    let first = scheduler.submit(bench.submission(a.planned(bench.reads("x"), "a")));
    let second = scheduler.submit(bench.submission(b.planned(bench.reads("x"), "b")));
    a.began.notified().await;
    b.began.notified().await;
    assert_eq!((scheduler.counts().running, scheduler.counts().peak), (2, 2));
    b.end.notify_one();
    assert_eq!(text(&second.await), "b");
    a.end.notify_one();
    assert_eq!(text(&first.await), "a");
    assert_eq!(scheduler.counts(), Counts { waiting: 0, running: 0, peak: 2, done: 2, failed: 0 });
}

#[tokio::test]
async fn writes_of_different_files_overlap_and_a_later_read_waits_for_the_write() {
    let (bench, scheduler) = (Bench::new(), Scheduler::new(8));
    let (a, b, c, d) = (Gated::new(), Gated::new(), Gated::new(), Gated::new());
    let _first = scheduler.submit(bench.submission(a.planned(bench.writes("x/a"), "")));
    let _second = scheduler.submit(bench.submission(b.planned(bench.writes("x/b"), "")));
    let tree = Effect::reads(Scope::Tree(bench.path("x")));
    let mut third = scheduler.submit(bench.submission(c.planned(tree, "tree")));
    let _other = scheduler.submit(bench.submission(d.planned(bench.reads("y"), "")));
    a.began.notified().await;
    b.began.notified().await;
    d.began.notified().await;
    a.end.notify_one();
    settle().await;
    assert!(futures_util::poll!(&mut third).is_pending());
    assert_eq!(scheduler.counts().waiting, 1);
    b.end.notify_one();
    c.began.notified().await;
    c.end.notify_one();
    assert_eq!(text(&third.await), "tree");
}

#[tokio::test]
async fn another_run_does_not_wait_for_our_writes() {
    let (bench, scheduler) = (Bench::new(), Scheduler::new(8));
    let (a, b) = (Gated::new(), Gated::new());
    let _first = scheduler.submit(bench.submission(a.planned(bench.writes("x"), "")));
    let mut other = bench.submission(b.planned(bench.writes("x"), ""));
    other.run = RunId::unused();
    let _second = scheduler.submit(other);
    a.began.notified().await;
    b.began.notified().await;
}

#[tokio::test]
async fn one_slot_runs_calls_in_the_order_of_submission() {
    let (bench, scheduler) = (Bench::new(), Scheduler::new(1));
    let calls: Vec<Gated> = (0..4).map(|_| Gated::new()).collect();
    let mut tickets: Vec<Ticket> =
        calls.iter().map(|call| scheduler.submit(bench.submission(call.planned(bench.reads("x"), "")))).collect();
    for (call, ticket) in calls.iter().zip(tickets.drain(..)) {
        call.began.notified().await;
        settle().await;
        assert_eq!(scheduler.counts().running, 1);
        call.end.notify_one();
        ticket.await.result.unwrap();
    }
    assert_eq!(scheduler.counts().peak, 1);
}

#[tokio::test]
async fn a_waiting_call_takes_no_slot_from_one_that_can_run() {
    let (bench, scheduler) = (Bench::new(), Scheduler::new(2));
    let (a, b, c) = (Gated::new(), Gated::new(), Gated::new());
    let _write = scheduler.submit(bench.submission(a.planned(bench.writes("x"), "")));
    let _blocked = scheduler.submit(bench.submission(b.planned(bench.writes("x"), "")));
    let free = scheduler.submit(bench.submission(c.planned(bench.reads("y"), "free")));
    c.end.notify_one();
    assert_eq!(text(&free.await), "free");
}

#[tokio::test]
async fn a_gate_holds_a_call_and_those_that_clash_with_it() {
    let (bench, scheduler) = (Bench::new(), Scheduler::new(4));
    let (a, b) = (Gated::new(), Gated::new());
    let gate = Gate::new();
    let mut write = bench.submission(a.planned(bench.writes("x"), "w"));
    write.gate = Some(gate.clone());
    let started = Arc::new(AtomicBool::new(false));
    let seen = started.clone();
    write.on_start = Some(Box::new(move |_| seen.store(true, Ordering::SeqCst)));
    let write = scheduler.submit(write);
    let read = scheduler.submit(bench.submission(b.planned(bench.reads("x"), "r")));
    settle().await;
    assert_eq!((scheduler.counts().waiting, started.load(Ordering::SeqCst)), (2, false));
    gate.open();
    a.end.notify_one();
    b.end.notify_one();
    assert_eq!(text(&write.await), "w");
    assert_eq!(text(&read.await), "r");
    assert!(started.load(Ordering::SeqCst));
}

#[tokio::test(start_paused = true)]
async fn a_call_is_answered_at_once_when_it_is_cancelled_in_any_state() {
    let (bench, scheduler) = (Bench::new(), Scheduler::new(1));
    let (a, b) = (Gated::new(), Gated::new());
    let running = scheduler.submit(bench.submission(a.planned(bench.reads("x"), "")));
    let waiting = scheduler.submit(bench.submission(b.planned(bench.reads("x"), "")));
    a.began.notified().await;
    tokio::time::advance(Duration::from_millis(1_230)).await;
    bench.cancel.cancel();
    let (running, waiting) = (running.await, waiting.await);
    assert_eq!((text(&running).as_str(), running.ended), ("cancelled after 1.2 s", Ended::Cancelled));
    assert_eq!(text(&waiting), "cancelled after 1.2 s of waiting, before it began");
    assert_eq!((waiting.ended, waiting.ran), (Ended::Cancelled, Duration::ZERO));
    assert_eq!(waiting.waited, Duration::from_millis(1_230));
    let late = scheduler.submit(bench.submission(b.planned(bench.reads("x"), ""))).await;
    assert_eq!(late.ended, Ended::Cancelled);
    assert_eq!((scheduler.counts().failed, scheduler.counts().waiting), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_passes_its_deadline_is_stopped_and_says_so() {
    let (bench, scheduler) = (Bench::new(), Scheduler::new(1));
    let (a, b) = (Gated::new(), Gated::new());
    let late = scheduler.submit(bench.submission(a.planned(bench.reads("x"), ""))).await;
    assert_eq!(
        (text(&late).as_str(), late.ended),
        ("stopped after 30.0 s, the limit of one call: ask for less", Ended::TimedOut)
    );
    let own = a.planned(bench.reads("x"), "").within(Duration::from_secs(2));
    let late = scheduler.submit(bench.submission(own)).await;
    assert_eq!(text(&late), "stopped after 2.0 s, the limit of one call: ask for less");
    b.end.notify_one();
    let next = scheduler.submit(bench.submission(b.planned(bench.reads("x"), "next"))).await;
    assert_eq!(text(&next), "next");
}

#[tokio::test]
async fn blocking_work_sees_the_word_and_keeps_its_place_until_it_ends() {
    let (bench, scheduler) = (Bench::new(), Scheduler::new(4));
    let (began, ended) = (Arc::new(Notify::new()), Arc::new(AtomicBool::new(false)));
    let (signal, done) = (began.clone(), ended.clone());
    let planned = Planned::blocking(bench.writes("x"), String::new(), move |cancel| {
        signal.notify_one();
        while !cancel.is_cancelled() {
            std::thread::yield_now();
        }
        done.store(true, Ordering::SeqCst);
        cancel.check()?;
        Ok(output("never"))
    });
    let ticket = scheduler.submit(bench.submission(planned));
    began.notified().await;
    drop(ticket);
    let seen = ended.clone();
    let next = Planned::future(bench.writes("x"), String::new(), move |_| {
        Box::pin(async move { Ok(output(if seen.load(Ordering::SeqCst) { "after" } else { "overlapped" })) })
    });
    assert_eq!(text(&scheduler.submit(bench.submission(next)).await), "after");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_never_heeds_the_word_loses_its_slot_in_the_end() {
    let (bench, scheduler) = (Bench::new(), Scheduler::new(1));
    let stuck = Planned::future(bench.writes("x"), String::new(), |_| {
        Box::pin(async {
            std::future::pending::<()>().await;
            Ok(output(""))
        })
    });
    let ticket = scheduler.submit(bench.submission(stuck));
    settle().await;
    drop(ticket);
    let free = Gated::new();
    free.end.notify_one();
    assert_eq!(text(&scheduler.submit(bench.submission(free.planned(bench.writes("x"), "free"))).await), "free");
}

#[tokio::test]
async fn a_panic_becomes_a_text_for_the_model() {
    let (bench, scheduler) = (Bench::new(), Scheduler::new(2));
    let blocking = Planned::blocking(bench.writes("x"), String::new(), |_| panic!("one {}", 1));
    let waiting = Planned::future(bench.writes("x"), String::new(), |_| Box::pin(async { panic!("two") }));
    let (first, second) =
        (scheduler.submit(bench.submission(blocking)).await, scheduler.submit(bench.submission(waiting)).await);
    assert_eq!((first.ended, second.ended), (Ended::Panicked, Ended::Panicked));
    assert_eq!(text(&first), "fake has a defect and gave no result (one 1): try it another way");
    assert!(text(&second).contains("(two)"));
    assert_eq!(scheduler.counts().running, 0);
}

/// One step of a random call set.
#[derive(Clone, Debug)]
enum Step {
    Read(u8),
    Append(u8),
    ReadAll,
    Clear,
}

fn steps() -> impl Strategy<Value = Vec<(Step, u8, bool)>> {
    let step = prop_oneof![
        4 => (0..4_u8).prop_map(Step::Read),
        4 => (0..4_u8).prop_map(Step::Append),
        2 => Just(Step::ReadAll),
        1 => Just(Step::Clear),
    ];
    prop::collection::vec((step, 0..6_u8, any::<bool>()), 1..14)
}

/// What the fake calls work on, and which effects are at work now.
#[derive(Default)]
struct Store {
    files: Mutex<BTreeMap<u8, String>>,
    active: Mutex<Vec<(usize, Effect)>>,
}

impl Store {
    fn begin(&self, number: usize, effect: &Effect) {
        let mut active = self.active.lock().unwrap();
        assert!(active.iter().all(|(_, other)| !clash(other, effect)), "two clashing calls overlap");
        active.push((number, effect.clone()));
    }

    fn act(&self, number: usize, step: &Step) -> String {
        let mut files = self.files.lock().unwrap();
        match step {
            Step::Read(file) => files.get(file).cloned().unwrap_or_default(),
            Step::Append(file) => {
                let text = files.entry(*file).or_default();
                text.push_str(&format!("{number},"));
                text.clone()
            }
            Step::ReadAll => format!("{files:?}"),
            Step::Clear => {
                files.clear();
                String::new()
            }
        }
    }

    fn end(&self, number: usize) {
        self.active.lock().unwrap().retain(|(other, _)| *other != number);
    }
}

async fn play(bench: &Bench, steps: &[(Step, u8, bool)], slots: usize) -> Vec<String> {
    let (scheduler, store) = (Scheduler::new(slots), Arc::new(Store::default()));
    let mut tickets = Vec::new();
    for (number, (step, yields, blocking)) in steps.iter().cloned().enumerate() {
        let effect = match step {
            Step::Read(file) => bench.reads(&format!("d/{file}")),
            Step::Append(file) => bench.writes(&format!("d/{file}")),
            Step::ReadAll => Effect::reads(Scope::Tree(bench.path("d"))),
            Step::Clear => Effect::writes(Scope::Everything),
        };
        let (store, touched) = (store.clone(), effect.clone());
        let planned = if blocking {
            Planned::blocking(effect, String::new(), move |_| {
                store.begin(number, &touched);
                let text = store.act(number, &step);
                (0..yields).for_each(|_| std::thread::yield_now());
                store.end(number);
                Ok(output(&text))
            })
        } else {
            Planned::future(effect, String::new(), move |_| {
                Box::pin(async move {
                    store.begin(number, &touched);
                    for _ in 0..yields {
                        tokio::task::yield_now().await;
                    }
                    let text = store.act(number, &step);
                    tokio::task::yield_now().await;
                    store.end(number);
                    Ok(output(&text))
                })
            })
        };
        tickets.push(scheduler.submit(bench.submission(planned)));
    }
    let mut texts = Vec::new();
    for ticket in tickets {
        let finished = ticket.await;
        assert_eq!(finished.ended, Ended::Itself, "{}", text(&finished));
        texts.push(text(&finished));
    }
    texts
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn parallel_results_equal_serial_ones_and_clashing_calls_never_overlap(steps in steps(), slots in 2..9_usize) {
        thread_local! {
            static RUNTIME: (tokio::runtime::Runtime, Bench) =
                (tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(), Bench::new());
        }
        RUNTIME.with(|(runtime, bench)| {
            let reference = Store::default();
            let expected: Vec<String> =
                steps.iter().enumerate().map(|(number, (step, ..))| reference.act(number, step)).collect();
            prop_assert_eq!(&runtime.block_on(play(bench, &steps, 1)), &expected);
            prop_assert_eq!(&runtime.block_on(play(bench, &steps, slots)), &expected);
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn a_call_is_told_when_only_a_slot_is_missing_and_not_while_it_waits_for_another_call() {
    let bench = Bench::new();
    let scheduler = Scheduler::new(2);
    let (write, read) = (Gated::new(), Gated::new());
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = |name: &'static str| {
        let told = told.clone();
        move || told.lock().unwrap().push(name)
    };
    let writing = scheduler.submit(bench.submission(write.planned(bench.writes("a"), "w").when_ready(tell("w"))));
    let reading = scheduler.submit(bench.submission(read.planned(bench.reads("b"), "r").when_ready(tell("r"))));
    write.began.notified().await;
    read.began.notified().await;
    let (clashing, free) = (Gated::new(), Gated::new());
    let last = scheduler.submit(bench.submission(clashing.planned(bench.reads("a"), "c").when_ready(tell("c"))));
    let beside = scheduler.submit(bench.submission(free.planned(bench.reads("d"), "d").when_ready(tell("d"))));
    while !told.lock().unwrap().contains(&"d") {
        tokio::task::yield_now().await;
    }
    assert!(!told.lock().unwrap().contains(&"c"), "it waits for a write to the file that it reads");
    for gated in [&write, &read, &clashing, &free] {
        gated.end.notify_one();
    }
    for ticket in [writing, reading, last, beside] {
        assert!(ticket.await.result.is_ok());
    }
    assert!(told.lock().unwrap().contains(&"c"));
}

#[tokio::test]
async fn what_is_fetched_ahead_is_told_to_end_by_the_next_call_and_is_counted_nowhere() {
    let (bench, scheduler) = (Bench::new(), Scheduler::new(1));
    let began = Arc::new(Notify::new());
    let signal = began.clone();
    let fetch = Planned::blocking(Effect::default(), String::new(), move |cancel| {
        signal.notify_one();
        while !cancel.is_cancelled() {
            std::thread::yield_now();
        }
        cancel.check()?;
        Ok(output("never"))
    });
    let ahead = scheduler.submit_as(Class::Ahead, bench.submission(fetch));
    began.notified().await;
    assert_eq!(scheduler.counts(), Counts::default());
    let real = Gated::new();
    real.end.notify_one();
    let real = scheduler.submit(bench.submission(real.planned(bench.writes("x"), "real")));
    assert_eq!(text(&real.await), "real");
    assert_eq!(ahead.await.ended, Ended::Cancelled);
    assert_eq!(scheduler.counts(), Counts { waiting: 0, running: 0, peak: 1, done: 1, failed: 0 });
}
