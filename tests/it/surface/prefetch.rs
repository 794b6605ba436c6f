//! Reading ahead while the model speaks, end to end.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::text;
use crate::support::agent::Bench;
use crate::support::model::{Turn, openai};

fn long() -> String {
    let mut text = String::new();
    for line in 0..3_000 {
        writeln!(text, "line {line} of a file that is too long to be shown at once").unwrap();
    }
    text
}

/// Reads the long file in two parts; gives what the model read, and the event of the second part.
fn in_parts(settings: Value) -> (Vec<String>, Value, Value) {
    let mut bench = Bench::start(&[("a.txt", &long()), ("b.txt", "x\n")], settings.clone(), |setup| setup);
    bench.open("a.txt");
    let run = bench.task("read it");
    let (request, reply) = bench.model.expect_blocking();
    reply.play(&Turn::calls([("read_file", json!({"path": "a.txt"}))]), &request);
    let (request, mut reply) = bench.model.expect_blocking();
    let first = text(request.messages().last().unwrap()).to_owned();
    let offset = first.rsplit_once("offset ").unwrap().1.trim_end_matches(']').parse::<u64>().unwrap();
    reply.sse();
    reply.send(openai::start());
    let ahead = |bench: &mut Bench| bench.editor.command("ropeway.stats", json!({}))["caches"]["ahead"].clone();
    if settings["agent"]["prefetch"] != false {
        // The model is speaking, and nothing else happens.
        while ahead(&mut bench)["fetched"] == 0 {
            std::thread::yield_now();
        }
    }
    reply.send(openai::call(0, "c0", "read_file", &json!({"path": "a.txt", "offset": offset}).to_string()));
    reply.send(openai::finish("tool_calls"));
    reply.send(openai::done());
    reply.end();
    let _ = bench.event(&run, "toolFinished");
    let second = bench.event(&run, "toolFinished");
    let (request, reply) = bench.model.expect_blocking();
    let texts = vec![first, text(request.messages().last().unwrap()).to_owned()];
    reply.play(&Turn::text("Read."), &request);
    bench.finished(&run);
    (texts, second, ahead(&mut bench))
}

#[test]
fn the_rest_of_a_file_that_was_shown_in_part_is_there_before_the_model_asks_for_it() {
    let (with, second, ahead) = in_parts(json!({}));
    assert_eq!((&second["cached"], &ahead["used"]), (&json!(true), &json!(1)), "{second} {ahead}");
    let (without, second, ahead) = in_parts(json!({"agent": {"prefetch": false}}));
    assert_eq!((&second["cached"], &ahead["fetched"]), (&json!(false), &json!(0)), "{second} {ahead}");
    assert_eq!(with, without);
}
