//! Counting tokens beside tiktoken-rs and bpe-openai, on ten megabytes of code and prose whose counts are compared first,
//! and how late a task of the reactor is while that goes on.

use std::hint::black_box;
use std::num::NonZero;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use ropeway::tokens::Encoding;
use ropeway::tokens::counter::Counter;

use super::report::{Figure, Report, ms};

const ROUNDS: usize = 7;
/// Bytes of code, and of prose.
const CORPUS: [(&str, usize); 2] = [("rs", 8 << 20), ("md", 2 << 20)];
/// Files above this are left out, so that there are many.
const LARGEST: u64 = 128 << 10;
/// One character each for a megabyte: blank, letter, capital, line end, digit, sign, and what takes several bytes.
const REPEATED: [char; 10] = [' ', 'a', 'Z', '\n', '\t', '0', '-', 'é', '中', '\u{301}'];

pub fn measure(report: &mut Report) {
    // Before anything else has counted: what the first counts make and bring into memory, they do while the probe watches.
    let texts = corpus();
    lateness(report, &texts);
    let bytes = texts.iter().map(|text| text.len()).sum::<usize>();
    report.note(format!("tokens: a corpus of {} files, {:.1} MB", texts.len(), bytes as f64 / 1e6));
    for encoding in Encoding::ALL {
        speed(report, encoding, &texts, bytes as f64 / 1e6);
        repeated(report, encoding);
    }
}

fn counter(cores: usize) -> Arc<Counter> {
    Counter::on(0, NonZero::new(cores).expect("at least one core"))
}

fn speed(report: &mut Report, encoding: Encoding, texts: &[Arc<str>], megabytes: f64) {
    let (tiktoken, bpe) = match encoding {
        Encoding::O200k => (tiktoken_rs::o200k_base(), bpe_openai::o200k_base()),
        Encoding::Cl100k => (tiktoken_rs::cl100k_base(), bpe_openai::cl100k_base()),
    };
    let tiktoken = tiktoken.expect("a vocabulary");
    let (one, two) = (counter(1), counter(2));
    let whole = [texts.concat()];
    let ours: Vec<u64> = one.count_blocking(encoding, texts);
    for (text, ours) in texts.iter().zip(&ours) {
        assert_eq!(*ours, tiktoken.encode_ordinary(text).len() as u64, "tiktoken-rs counts otherwise");
        assert_eq!(*ours, bpe.count(text) as u64, "bpe-openai counts otherwise");
    }
    assert_eq!(ours, two.count_blocking(encoding, texts), "two cores count otherwise");
    assert_eq!(one.count_blocking(encoding, &whole), two.count_blocking(encoding, &whole));
    let mut samples: [Vec<f64>; 5] = Default::default();
    let mut sum = 0;
    for _ in 0..ROUNDS {
        let mut take = |nth: usize, work: &mut dyn FnMut() -> u64| {
            let begun = Instant::now();
            sum += black_box(work());
            samples[nth].push(megabytes / begun.elapsed().as_secs_f64());
        };
        take(0, &mut || one.count_blocking(encoding, texts).iter().sum());
        take(1, &mut || texts.iter().map(|text| bpe.count(text) as u64).sum());
        take(2, &mut || texts.iter().map(|text| tiktoken.encode_ordinary(text).len() as u64).sum());
        take(3, &mut || two.count_blocking(encoding, texts).iter().sum());
        take(4, &mut || two.count_blocking(encoding, &whole).iter().sum());
    }
    let [one, bpe, tiktoken, two, whole] = samples.map(Figure::of);
    let name = encoding.name();
    report.beside(&format!("{name}, one core"), "MB/s", one, ("bpe-openai", bpe), "≥ 0.95 ×");
    report.beside(&format!("{name}, one core"), "MB/s", one, ("tiktoken-rs", tiktoken), "");
    report.beside(&format!("{name}, two cores"), "MB/s", two, ("bpe-openai", bpe), "≥ 1.7 ×");
    report.beside(&format!("{name}, two cores, one text"), "MB/s", whole, ("bpe-openai", bpe), "≥ 1.7 ×");
}

/// The slowest of the megabytes.
fn repeated(report: &mut Report, encoding: Encoding) {
    let counter = counter(1);
    let slowest = REPEATED.map(|ch| {
        let text = [ch.to_string().repeat((1 << 20) / ch.len_utf8())];
        let samples = (0..5).map(|_| {
            let begun = Instant::now();
            black_box(counter.count_blocking(encoding, &text));
            ms(begun.elapsed())
        });
        (Figure::of(samples), ch)
    });
    let slowest = slowest.into_iter().max_by(|a, b| a.0.median.total_cmp(&b.0.median));
    let (figure, ch) = slowest.expect("some characters");
    report.alone(&format!("{}, 1 MB of one character ({ch:?})", encoding.name()), "ms", figure, "≤ 100 ms");
}

/// A thread stamps the time every half millisecond, a task on the reactor says how much later it sees the stamp. What a
/// machine at rest does to that is measured in between, in as many turns and for as long, and what it does while two
/// threads do nothing but turn round: only what is later than that is ours. And the counting task itself says how much
/// time it has ever taken of the reactor's thread at once.
fn lateness(report: &mut Report, texts: &[Arc<str>]) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let counter = Counter::new(0);
    // Shared, so that nobody gives ten megabytes back on the reactor.
    let whole: Vec<Arc<str>> = vec![texts.concat().into()];
    let (mut first, mut counted) = (Watched::default(), Watched::default());
    let (mut rest, mut turning) = (Watched::default(), Watched::default());
    for encoding in Encoding::ALL {
        let counter = counter.clone();
        first.add(probe(&runtime, Held::of(async move { drop(counter.count(encoding, vec!["a word"]).await) })));
    }
    for turn in 0..TURNS {
        let begun = Instant::now();
        let (counter, texts, whole) = (counter.clone(), texts.to_vec(), whole.clone());
        counted.add(probe(
            &runtime,
            Held::of(async move {
                if turn % 2 == 0 {
                    counter.count(Encoding::O200k, texts).await;
                } else {
                    counter.count(Encoding::O200k, whole).await;
                }
            }),
        ));
        let time = begun.elapsed();
        rest.add(probe(&runtime, Held::of(async move { tokio::time::sleep(time).await })));
        turning.add(probe(
            &runtime,
            Held::of(async move {
                let turn = || tokio::task::spawn_blocking(move || turn_round(time));
                drop(tokio::join!(turn(), turn()));
            }),
        ));
    }
    for (what, busy) in
        [("the first counts", &first), ("10 MB counted", &counted), ("two threads turn round", &turning)]
    {
        for (name, share) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("worst", 1.0)] {
            let of = |watched: &Watched| Figure::of([watched.late_at(share)]);
            let goal = if std::ptr::eq(busy, &turning) { "" } else { "≤ 1 ms" };
            report.beside(&format!("reactor late, {what}, {name}"), "ms", of(busy), ("at rest", of(&rest)), goal);
        }
    }
    for (what, busy) in [("the first counts", &first), ("10 MB counted", &counted)] {
        report.alone(&format!("reactor held by the task, {what}, worst"), "ms", Figure::of([busy.held]), "≤ 1 ms");
    }
    let over = |watched: &Watched| {
        format!("{} of {}", watched.late.iter().filter(|late| **late > 1.0).count(), watched.late.len())
    };
    report.note(format!(
        "reactor late by more than 1 ms: the first counts {} stamps, 10 MB counted {}, at rest {}, two threads turn round {}",
        over(&first),
        over(&counted),
        over(&rest),
        over(&turning)
    ));
}

/// Takes a core for so long, as others' work does.
fn turn_round(time: Duration) {
    let begun = Instant::now();
    while black_box(begun.elapsed()) < time {}
}

/// Times that the corpus is counted, with as many rests between.
const TURNS: usize = 20;

/// What was seen while something went on, in milliseconds.
#[derive(Default)]
struct Watched {
    /// From stamp to sight.
    late: Vec<f64>,
    /// The most that the task at work took of its thread at once.
    held: f64,
}

impl Watched {
    fn add(&mut self, more: Self) {
        self.late.extend(more.late);
        self.held = self.held.max(more.held);
    }

    fn late_at(&self, share: f64) -> f64 {
        let mut late = self.late.clone();
        late.sort_by(f64::total_cmp);
        let at = ((late.len() as f64 * share) as usize).min(late.len().saturating_sub(1));
        late.get(at).copied().unwrap_or_default()
    }
}

/// A future that notes how much time on a core a poll of it has taken at most. By the clock it would be longer where the
/// thread itself has to wait for its core.
struct Held<F> {
    work: Pin<Box<F>>,
    longest: Duration,
}

impl<F: Future> Held<F> {
    fn of(work: F) -> Self {
        Self { work: Box::pin(work), longest: Duration::ZERO }
    }
}

impl<F: Future> Future for Held<F> {
    type Output = Duration;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Duration> {
        let begun = on_core();
        let done = self.work.as_mut().poll(context).is_ready();
        self.longest = self.longest.max(on_core().saturating_sub(begun));
        if done { Poll::Ready(self.longest) } else { Poll::Pending }
    }
}

/// Time that this thread has had on a core.
fn on_core() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).expect("time does not run backwards")
}

fn probe<F: Future + Send + 'static>(runtime: &tokio::runtime::Runtime, work: Held<F>) -> Watched {
    let (stamps, mut seen) = tokio::sync::mpsc::unbounded_channel::<Instant>();
    let watching = runtime.spawn(async move {
        let mut late = Vec::new();
        while let Some(stamp) = seen.recv().await {
            late.push(ms(stamp.elapsed()));
        }
        late
    });
    let work = runtime.spawn(work);
    while !work.is_finished() {
        std::thread::sleep(Duration::from_micros(500));
        stamps.send(Instant::now()).expect("the task waits");
    }
    drop(stamps);
    let held = ms(runtime.block_on(work).expect("the work ends"));
    Watched { late: runtime.block_on(watching).expect("the task ends"), held }
}

/// Code and prose from the sources of this build's dependencies.
fn corpus() -> Vec<Arc<str>> {
    let mut files: Vec<PathBuf> = Vec::new();
    let mut open = vec![super::search::sources()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if entry.metadata().is_ok_and(|metadata| metadata.len() <= LARGEST) {
                files.push(path);
            }
        }
    }
    files.sort();
    let mut texts = Vec::new();
    for (kind, wanted) in CORPUS {
        // Spread over all crates, not the first of the alphabet.
        let of_kind: Vec<&PathBuf> =
            files.iter().filter(|path| path.extension().is_some_and(|extension| extension == kind)).collect();
        let mut left = wanted;
        for nth in 0..of_kind.len() {
            let Ok(text) = std::fs::read_to_string(of_kind[nth * 7919 % of_kind.len()]) else { continue };
            left = left.saturating_sub(text.len());
            texts.push(Arc::from(text));
            if left == 0 {
                break;
            }
        }
    }
    texts
}
