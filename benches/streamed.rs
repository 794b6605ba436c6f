//! Allocations of a streamed event, from bytes to typed event for each protocol, and over a connection with HTTP and TLS
//! beside a bare reqwest loop: `cargo bench --bench streamed`. The goal is 2 at most.
//!
//! A program of its own, because counting every allocation would slow down whatever else is measured. Only this
//! thread's are counted; the server has another.

#![expect(clippy::disallowed_methods, clippy::print_stdout, reason = "a measuring program, not part of the server")]

#[path = "suite/asking.rs"]
mod asking;
#[path = "suite/endless.rs"]
#[expect(dead_code, reason = "the suite asks the same servers for more")]
mod endless;

use asking::{bare, client, drain, floor, open, post, provider, request};
use bytes::Bytes;
use endless::{Endless, Manner};
use ropeway::cli::bench::decode::{EVENTS, PROTOCOLS, Protocol, read};

/// Events of an answer over a connection.
const STREAMED: usize = 30_000;

fn main() {
    println!("{:<44} {:>10} {:>14}", "allocations an event", "ropeway", "bare reqwest");
    for protocol in &PROTOCOLS {
        println!("{:<44} {:>10.2}", protocol.name, decoded(protocol));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let server = Endless::start();
    for (http2, version) in [(false, "HTTP/1.1"), (true, "HTTP/2")] {
        let url = server.url(Manner::Events(STREAMED));
        let (ours, provider, request) = (client(&server, http2), provider(&url), request());
        let (bare, body) = (bare(&server, http2, true), Bytes::from_static(b"{}"));
        let (mut allocated, mut least) = (0.0, 0.0);
        // The first answer opens the connection and fills pools.
        for _ in 0..3 {
            let mut stream = runtime.block_on(open(&ours, &provider, &request));
            allocated = counted(STREAMED, || runtime.block_on(drain(&mut stream)));
            let mut response = runtime.block_on(post(&bare, &url, &body));
            let mut count = 0;
            least = counted(STREAMED, || {
                runtime.block_on(floor(&mut response, |text| count += usize::from(!text.is_empty())));
                count
            });
        }
        println!("{:<44} {allocated:>10.2} {least:>14.2}", format!("chat completions, {version} and TLS included"));
    }
}

/// Allocations of each of so many events, by work that says how many there were.
fn counted(events: usize, work: impl FnOnce() -> usize) -> f64 {
    let mut count = 0;
    let allocated = allocation_counter::measure(|| count = work());
    assert!(count >= events, "{count} events");
    allocated.count_total as f64 / events as f64
}

/// The same of a protocol, on memory that earlier events have left.
fn decoded(protocol: &Protocol) -> f64 {
    let mut events = Vec::with_capacity(1024);
    let mut reader = protocol.reader().expect("all providers are in");
    let warm = protocol.stream(" a token", 2_000);
    read(&mut reader, &warm[..warm.len() - protocol.frame.1.len()], &mut events).expect("a good stream");
    let rest = protocol.stream(" a token", EVENTS);
    let rest = &rest[protocol.frame.0.len()..rest.len() - protocol.frame.1.len()];
    counted(EVENTS, || read(&mut reader, rest, &mut events).expect("a good stream"))
}
