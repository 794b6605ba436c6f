//! `ropeway/status` and `ropeway.stats`: what they say is what the model's own usage adds up to.

use serde_json::{Value, json};

use super::{CODE, mend};
use crate::support::agent::Bench;
use crate::support::model::{Turn, openai};

/// US dollars per million tokens.
const PRICE: [f64; 3] = [2.0, 0.5, 10.0];

fn priced() -> Bench {
    let [input, cached, output] = PRICE;
    let model = json!({
        "context_window": 5000, "price": {"input": input, "cached_input": cached, "output": output},
    });
    Bench::start(&[("a.rs", CODE)], json!({"models": {"test/m": model}, "monitor": {"status_hz": 50}}), |setup| setup)
}

/// Waits for a status like this.
fn status(bench: &mut Bench, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let message =
        bench.editor.wait_for(what, |message| message["method"] == "ropeway/status" && wanted(&message["params"]));
    message["params"].clone()
}

#[test]
fn what_the_status_counts_is_what_the_model_reported() {
    let mut bench = priced();
    let uri = bench.open("a.rs");
    // Whole prompt, the part of it from the cache, output; what the two runs are to add up to.
    let usage = [(1000, 0, 50), (1200, 800, 30), (3000, 2500, 70)];
    let turns = [
        Turn::calls([("read_file", json!({"path": "a.rs"})), ("read_file", json!({"path": "none.rs"})), mend("a.rs")]),
        Turn::text("Done."),
        Turn::text("Nothing else."),
    ];
    let turns = turns.into_iter().zip(usage).map(|(turn, (input, cached, output))| turn.usage(input, cached, output));
    bench.model.script(turns);
    for _ in 0..2 {
        let run = bench.run(json!({"action": "task", "prompt": "mend", "uri": uri}));
        bench.finished(&run);
    }
    let sum = |of: fn(&(u64, u64, u64)) -> u64| usage.iter().map(of).sum::<u64>();
    let (input, cached, output) = (sum(|u| u.0), sum(|u| u.1), sum(|u| u.2));
    let rest = status(&mut bench, "the status at rest", |status| {
        status["state"] == "idle" && status["tokens"]["output"] == output
    });
    let tokens = json!({"input": input, "cached": cached, "output": output, "context": 3070, "window": 5000});
    assert_eq!(rest["tokens"], tokens);
    let cost = |(input, cached, output): (u64, u64, u64)| {
        ((input - cached) as f64 * PRICE[0] + cached as f64 * PRICE[1] + output as f64 * PRICE[2]) / 1e6
    };
    let near = |value: &Value, wanted: f64| (value.as_f64().unwrap() - wanted).abs() < 1e-9;
    assert!(near(&rest["costUsd"]["session"], cost((input, cached, output))), "{rest}");
    assert!(near(&rest["costUsd"]["run"], cost(usage[2])), "{rest}");
    assert!(near(&rest["cacheHitRate"]["tokens"], cached as f64 / input as f64), "{rest}");
    assert_eq!((&rest["runs"], &rest["model"]), (&json!([]), &json!("test/m")));
    assert_eq!((&rest["tools"]["done"], &rest["tools"]["failed"]), (&json!(2), &json!(1)), "{rest}");
    assert_eq!(rest["tools"]["running"], 0);

    let stats = bench.editor.command("ropeway.stats", json!({}));
    assert_eq!(stats["tokens"], rest["tokens"]);
    assert_eq!(stats["operations"]["request"]["count"], 3, "{stats}");
    let tool = &stats["operations"]["tool"];
    assert_eq!((&tool["count"], &tool["errors"]), (&json!(3), &json!(1)), "{stats}");
    assert_eq!(stats["operations"]["apply"]["count"], 1, "{stats}");
    assert_eq!(stats["httpPool"]["requests"], 3, "{stats}");
    assert_eq!(bench.model.requests().len(), 3);
}

#[test]
fn the_status_says_what_runs_are_at_and_after_a_failure_that_there_was_one() {
    let mut bench = priced();
    let run = bench.task("think");
    let (_, mut reply) = bench.model.expect_blocking();
    reply.sse();
    reply.send(openai::start());
    let thinking = status(&mut bench, "thinking", |status| status["runs"][0]["step"] == 1);
    assert_eq!(thinking["state"], "thinking");
    let wanted = json!([{"runId": run, "title": "think", "step": 1, "phase": "thinking"}]);
    assert_eq!(thinking["runs"], wanted);
    reply.cut();
    assert_eq!(bench.finished(&run)["status"], "failed");
    bench.editor.expect_notification("window/showMessage");
    assert_eq!(status(&mut bench, "the error", |status| status["state"] == "error")["runs"], json!([]));
    bench.model.script([Turn::text("Better.")]);
    let run = bench.task("again");
    bench.finished(&run);
    status(&mut bench, "rest", |status| status["state"] == "idle");
}

#[test]
fn the_status_comes_no_more_often_than_it_is_wanted() {
    let hz = 20.0;
    let settings = json!({"monitor": {"status_hz": hz}, "agent": {"max_steps": 100}});
    let mut bench = Bench::start(&[("a.rs", CODE)], settings, |setup| setup);
    let look = || Turn::calls([("read_file", json!({"path": "a.rs"})), ("list_dir", json!({}))]);
    bench.model.script((0..60).map(|_| look()).chain([Turn::text("Done.").usage(7777, 0, 1)]));
    let run = bench.task("look");
    bench.finished(&run);
    let mut times = Vec::new();
    loop {
        let record = status(&mut bench, "a status", |_| true);
        times.push(record["uptimeMs"].as_u64().unwrap());
        if record["state"] == "idle" && record["tokens"]["output"].as_u64() == Some(60 * 10 + 1) {
            break;
        }
    }
    // Two records are at least a period apart by the server's own clock, less what rounding takes.
    let period = (1000.0 / hz) as u64;
    assert!(times.len() > 1, "{times:?}");
    assert!(times.windows(2).all(|pair| pair[1] + 1 >= pair[0] + period), "{times:?}");
}

#[test]
fn who_has_not_asked_for_a_status_or_events_gets_none() {
    let mut bench = Bench::start(&[("a.rs", CODE)], json!({}), |mut setup| {
        setup.initialize["initializationOptions"]["events"] = false.into();
        setup.initialize["initializationOptions"]["status"] = false.into();
        setup
    });
    let uri = bench.open("a.rs");
    bench.model.script([Turn::calls([mend("a.rs")]), Turn::text("Done.")]);
    let outcome = super::outcome(&mut bench, json!({"action": "task", "prompt": "mend", "uri": uri}));
    assert_eq!(outcome["status"], "applied", "{outcome}");
    bench.editor.settle();
    let own = |message: &&Value| message["method"].as_str().is_some_and(|method| method.starts_with("ropeway/"));
    assert_eq!(bench.editor.messages.iter().find(own), None);
}
