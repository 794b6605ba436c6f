//! Many runs at once, one model and few places: who waits for how long, and what the user hears of the client's care.

use serde_json::{Value, json};

use super::CODE;
use crate::support::agent::Bench;
use crate::support::model::{Received, Turn};

const RUNS: usize = 100;
const PLACES: usize = 4;
/// Model calls of a run.
const STEPS: usize = 3;

/// Whose request this is, and which of its steps.
fn asked(request: &Received) -> (usize, usize) {
    let (mut run, mut step) = (usize::MAX, 0);
    for message in request.messages() {
        match (message["role"].as_str(), message["content"].to_string().split_once("number ")) {
            (Some("user"), Some((_, rest))) => {
                run = rest.split(|ch: char| !ch.is_ascii_digit()).next().unwrap().parse().unwrap();
            }
            (Some("tool"), _) => step += 1,
            _ => {}
        }
    }
    (run, step)
}

fn answered(request: &Received) -> Turn {
    let (run, step) = asked(request);
    if step + 1 < STEPS {
        Turn::calls([("read_file", json!({"path": "a.rs", "offset": run % 3 + 1}))])
    } else {
        Turn::text(&format!("the answer to {run}"))
    }
}

#[test]
fn a_hundred_runs_over_four_connections_take_turns_and_nothing_is_lost() {
    let settings = json!({"llm": {"max_concurrent": PLACES, "max_idle_per_host": PLACES, "dedupe": false}});
    let mut bench = Bench::start(&[("a.rs", CODE)], settings, |setup| setup);
    let runs: Vec<String> = (0..RUNS).map(|run| bench.task(&format!("number {run} of many"))).collect();
    // All have begun before the first of them is answered.
    let first: Vec<_> = (0..PLACES).map(|_| bench.model.expect_blocking()).collect();
    let waiting = |bench: &mut Bench| {
        let table = bench.editor.command("ropeway.analytics", json!({"what": "http"}));
        table["rows"][0]["waiting"].as_u64().unwrap()
    };
    while waiting(&mut bench) < (RUNS - PLACES) as u64 {}
    bench.model.answer_with(|request| Some(answered(request)));
    for (request, reply) in first {
        reply.play(&answered(&request), &request);
    }
    for (number, run) in runs.iter().enumerate() {
        let outcome = bench.finished(run);
        assert_eq!(outcome["answer"], format!("the answer to {number}"), "{outcome}");
        assert_eq!(outcome["steps"], STEPS, "{outcome}");
    }
    // Counted, not timed: how many others were asked for between a run's step and its next.
    let order: Vec<_> = bench.model.requests().iter().map(asked).collect();
    assert_eq!(order.len(), RUNS * STEPS);
    let waits = (0..RUNS).flat_map(|run| {
        let places = order.iter().enumerate().filter(move |(_, (whose, _))| *whose == run).map(|(at, _)| at);
        let places: Vec<usize> = places.collect();
        places.windows(2).map(|pair| pair[1] - pair[0]).collect::<Vec<_>>()
    });
    let waits: Vec<usize> = waits.collect();
    let mean = waits.iter().sum::<usize>() as f64 / waits.len() as f64;
    let longest = *waits.iter().max().unwrap();
    assert!(longest as f64 <= 2.0 * mean, "the longest wait is {longest} requests, the mean {mean}");
    assert!(bench.model.connections() <= PLACES + 1, "{} connections", bench.model.connections());
}

#[test]
fn what_broke_the_cached_beginning_of_a_conversation_is_named_to_the_user() {
    let mut bench = Bench::start(&[("a.rs", CODE)], json!({"models": {"test/n": {}}}), |setup| setup);
    bench.model.answer_with(|_| Some(Turn::text("x")));
    let started = bench.editor.command("ropeway.run", json!({"action": "task", "prompt": "first"}));
    bench.finished(started["runId"].as_str().unwrap());
    let thread = &started["threadId"];
    let other = json!({"action": "task", "prompt": "second", "thread": thread, "model": "test/n"});
    let run = bench.run(other);
    let broken = bench.event(&run, "prefixBroken");
    assert_eq!(broken["why"], "the model changed from test/m to test/n", "{broken}");
    bench.finished(&run);
    let table: Value = bench.editor.command("ropeway.analytics", json!({"what": "cache"}));
    let rows = table["rows"].as_array().unwrap();
    let tokens = rows.iter().find(|row| row["cache"] == "tokens").unwrap();
    assert_eq!(tokens["stale"], 1, "{table}");
}
