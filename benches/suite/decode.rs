//! Streams of every protocol, from bytes to typed events: the time of an event, and whether a large one costs more than its
//! size.

use std::hint::black_box;
use std::time::Instant;

use ropeway::cli::bench::decode::{CHUNK, EVENTS, PROTOCOLS};
use serde::Deserialize;

use super::report::{Figure, Report};

pub fn measure(report: &mut Report) {
    for protocol in &PROTOCOLS {
        let stream = protocol.stream(" a token", EVENTS);
        let mut timed = protocol.measure();
        let ours = timed.figure(31).expect("a good stream");
        let floor = Figure::of((0..31).map(|_| bare(&stream)));
        report.beside(&timed.name, timed.unit, ours, ("serde_json on its lines", floor), "≤ 0.5 µs");
    }

    let chat = &PROTOCOLS[0];
    // Both are beyond what the caches hold and what the allocator keeps; below that a byte costs less than half.
    let large = chat.stream(&"x".repeat(10 << 20), 1);
    let small = chat.stream(&"x".repeat(5 << 20), 1);
    let time = |stream: &str, chunk: usize| {
        let samples = (0..31).map(|_| {
            let mut reader = chat.reader().expect("all providers are in");
            let mut events = Vec::new();
            let begun = Instant::now();
            for chunk in stream.as_bytes().chunks(chunk) {
                reader.feed(chunk, &mut events).expect("a good stream");
            }
            black_box(&events);
            begun.elapsed().as_secs_f64() * 1e3
        });
        Figure::of(samples)
    };
    let twice = |figure: Figure| Figure {
        median: figure.median * 2.0,
        low: figure.low * 2.0,
        high: figure.high * 2.0,
        ..figure
    };
    for (name, chunk) in [("in chunks of 16 KiB", CHUNK), ("in chunks of 1,448 B", 1448)] {
        let (large, small) = (time(&large, chunk), twice(time(&small, chunk)));
        report.beside(&format!("an event of 10 MB {name}"), "ms", large, ("2 × an event of 5 MB", small), "ratio ≈ 1");
    }
}

/// The floor: a line at a time, with typed JSON of about as many fields and nothing kept.
fn bare(stream: &str) -> f64 {
    #[derive(Deserialize)]
    struct Any<'a> {
        #[serde(borrow, default)]
        choices: Option<&'a serde_json::value::RawValue>,
        #[serde(borrow, default)]
        delta: Option<&'a serde_json::value::RawValue>,
        #[serde(borrow, default)]
        candidates: Option<&'a serde_json::value::RawValue>,
        #[serde(borrow, default)]
        message: Option<&'a serde_json::value::RawValue>,
    }
    let begun = Instant::now();
    for line in stream.lines() {
        let data = line.strip_prefix("data: ").unwrap_or(line);
        if data.starts_with('{') {
            let any: Any<'_> = serde_json::from_str(data).expect("JSON");
            black_box((any.choices, any.delta, any.candidates, any.message));
        }
    }
    begun.elapsed().as_secs_f64() * 1e6 / EVENTS as f64
}
