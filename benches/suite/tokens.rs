//! Counting tokens beside tiktoken-rs and bpe-openai, on ten megabytes of code and prose whose counts are compared first,
//! and how late a task of the reactor is while that goes on.

use std::hint::black_box;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;
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
    // Before anything else has made the tables: the first count makes them while the probe watches.
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

/// A thread stamps the time every half millisecond, a task on the reactor says how much later it sees the stamp.
fn lateness(report: &mut Report, texts: &[Arc<str>]) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let idle = probe(&runtime, async { tokio::time::sleep(Duration::from_millis(500)).await });
    let counter = Counter::new(0);
    let texts = texts.to_vec();
    let whole = vec![texts.concat()];
    let first = {
        let (counter, texts) = (counter.clone(), texts.clone());
        probe(&runtime, async move { drop(counter.count(Encoding::O200k, texts).await) })
    };
    let later = probe(&runtime, async move {
        for _ in 0..5 {
            counter.count(Encoding::O200k, texts.clone()).await;
            counter.count(Encoding::O200k, whole.clone()).await;
        }
    });
    for (what, late) in [("idle", &idle), ("tables made, 10 MB counted", &first), ("10 × 10 MB counted", &later)] {
        let worst = late.iter().copied().fold(0.0, f64::max);
        report.alone(&format!("reactor lateness, {what}"), "ms", Figure::of(late.iter().copied()), "≤ 1 ms");
        report.note(format!("reactor lateness, {what}: worst {worst:.3} ms of {} stamps", late.len()));
    }
}

/// Milliseconds from stamp to sight while the work goes on.
fn probe(runtime: &tokio::runtime::Runtime, work: impl Future<Output = ()> + Send + 'static) -> Vec<f64> {
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
    runtime.block_on(watching).expect("the task ends")
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
