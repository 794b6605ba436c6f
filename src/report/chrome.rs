//! The run as a trace that Perfetto and `chrome://tracing` open: Trace Event Format, JSON.
//!
//! One process, and in it a thread for each lane: slices of one thread never overlap but where one lies inside the
//! other, as the format wants it. Arrows lead from the model's response to each call it made. Times are microseconds
//! since the run began.

use serde_json::{Value, json};

use super::lanes::{Canvas, Span, pack};
use super::story::{Moment, PARTS, Story};

/// The one process.
const RUN: u32 = 1;
/// First thread of each row.
const MODEL: u32 = 10_000;
const TOOLS: u32 = 20_000;
const YOU: u32 = 30_000;
const EDITS: u32 = 40_000;
/// Threads of a row; more slices at a time than a story has.
const LANES: usize = 10_000;

/// A slice before it has its thread.
struct Slice {
    from: u64,
    to: u64,
    name: String,
    kind: &'static str,
    /// Slices inside it.
    inside: Vec<(&'static str, u64, u64)>,
    arguments: Value,
}

/// The trace of a run.
pub fn trace(story: &Story) -> String {
    let mut events = vec![meta("process_name", 0, &json!({"name": format!("Ropeway: {}", story.title)}))];
    let model = lay(&mut events, "Model", MODEL, model(story));
    let tools = lay(&mut events, "Tools", TOOLS, tools(story));
    lay(&mut events, "You", YOU, you(story));
    let edits = deliveries(story);
    lay(&mut events, "Edits", EDITS, edits);
    arrows(&mut events, story, &model, &tools);
    moments(&mut events, story);
    counters(&mut events, story);
    let about = json!({
        "run": story.run,
        "thread": story.thread,
        "model": story.model,
        "status": story.outcome.as_ref().map(|outcome| outcome.status.as_str()),
        "startedUnixUs": story.began_unix_us,
        "version": story.version,
    });
    json!({"displayTimeUnit": "ms", "otherData": about, "traceEvents": events}).to_string()
}

fn meta(what: &str, thread: u32, arguments: &Value) -> Value {
    json!({"ph": "M", "name": what, "pid": RUN, "tid": thread, "ts": 0, "args": arguments})
}

/// Gives slices their threads and appends them; returns the thread of each.
fn lay(events: &mut Vec<Value>, name: &str, base: u32, slices: Vec<Slice>) -> Vec<u32> {
    let spans: Vec<Span> =
        slices.iter().map(|slice| Span { from: slice.from, to: slice.to.max(slice.from + 1) }).collect();
    let packed = pack(&spans, Canvas { label: 0, least: 1, comfortable: LANES, most: LANES, whole: u64::MAX });
    for lane in 0..packed.lanes {
        let thread = base + lane as u32;
        let name = if lane == 0 { name.to_owned() } else { format!("{name} {}", lane + 1) };
        events.push(meta("thread_name", thread, &json!({ "name": name })));
        events.push(meta("thread_sort_index", thread, &json!({ "sort_index": thread })));
    }
    let threads: Vec<u32> = packed.lane.iter().map(|lane| base + *lane as u32).collect();
    for ((slice, span), thread) in slices.into_iter().zip(spans).zip(&threads) {
        let whole = |name: &str, from: u64, to: u64, arguments: Value| {
            json!({
                "ph": "X", "name": name, "cat": slice.kind, "pid": RUN, "tid": thread,
                "ts": from, "dur": to - from, "args": arguments,
            })
        };
        events.push(whole(&slice.name, span.from, span.to, slice.arguments.clone()));
        for (name, from, to) in &slice.inside {
            let (from, to) = ((*from).clamp(span.from, span.to), (*to).clamp(span.from, span.to));
            if to > from {
                events.push(whole(name, from, to, json!({})));
            }
        }
    }
    threads
}

fn model(story: &Story) -> Vec<Slice> {
    let whole = story.whole();
    let mut slices: Vec<Slice> = Vec::new();
    for request in &story.requests {
        let end = request.end(whole);
        let head = request.first_byte.or(request.first_token).unwrap_or(end);
        let first = request.first_token.unwrap_or(head).max(head);
        let name = if request.summary { "summary".to_owned() } else { format!("model call {}", request.step) };
        let tokens = request.tokens.unwrap_or_default();
        slices.push(Slice {
            from: request.sent,
            to: end,
            name,
            kind: "model",
            inside: vec![
                ("waiting", request.sent, head),
                ("before the first token", head, first),
                ("streaming", first, end),
            ],
            arguments: json!({
                "model": request.model,
                "inputTokens": tokens.input,
                "cachedTokens": tokens.cached,
                "outputTokens": tokens.output,
                "costUsd": request.cost,
                "stop": request.stop,
                "attempts": request.attempts,
                "error": request.error.as_ref().map(|error| error.message.as_str()),
            }),
        });
    }
    for retry in &story.retries {
        slices.push(Slice {
            from: retry.at,
            to: retry.at.saturating_add(retry.wait).min(whole).max(retry.at),
            name: format!("wait before attempt {}", u64::from(retry.attempt) + 1),
            kind: "retry",
            inside: Vec::new(),
            arguments: json!({ "why": retry.why }),
        });
    }
    slices
}

fn tools(story: &Story) -> Vec<Slice> {
    let whole = story.whole();
    let slice = |call: &super::story::Call| {
        let end = call.end(whole);
        Slice {
            from: call.asked,
            to: end,
            name: if call.summary.is_empty() { call.tool.clone() } else { call.summary.clone() },
            kind: call.sort.word(),
            inside: vec![("waiting", call.asked, call.started.unwrap_or(end))],
            arguments: json!({
                "tool": call.tool,
                "arguments": call.arguments.text,
                "batch": call.batch,
                "cached": call.cached,
                "waitedUs": call.waited(whole),
                "ranUs": call.ran(whole),
                "error": call.error,
            }),
        }
    };
    story.calls.iter().map(slice).collect()
}

fn you(story: &Story) -> Vec<Slice> {
    let typed = story.typing.iter().map(|typing| Slice {
        from: typing.from,
        to: typing.to,
        name: format!("typing in {}", typing.path),
        kind: "user",
        inside: Vec::new(),
        arguments: json!({ "changes": typing.changes }),
    });
    let asked = story.asks.iter().map(|ask| Slice {
        from: ask.from,
        to: ask.to.unwrap_or_else(|| story.whole()).max(ask.from),
        name: "question".to_owned(),
        kind: "user",
        inside: Vec::new(),
        arguments: json!({ "message": ask.message, "answer": ask.answer }),
    });
    typed.chain(asked).collect()
}

fn deliveries(story: &Story) -> Vec<Slice> {
    let slice = |delivery: &super::story::Delivery| Slice {
        from: delivery.from,
        to: delivery.to.max(delivery.from),
        name: if delivery.undo { "take back".to_owned() } else { "deliver".to_owned() },
        kind: "edits",
        inside: Vec::new(),
        arguments: json!({ "files": delivery.paths, "reply": delivery.reply, "why": delivery.why }),
    };
    story.deliveries.iter().map(slice).collect()
}

/// From the response that made a call to the call.
fn arrows(events: &mut Vec<Value>, story: &Story, model: &[u32], tools: &[u32]) {
    for (index, (call, tool)) in story.calls.iter().zip(tools).enumerate() {
        let made = story.requests.iter().position(|request| !request.summary && request.step == call.batch);
        let Some((request, thread)) = made.and_then(|made| Some((story.requests.get(made)?, model.get(made)?))) else {
            continue;
        };
        // Inside the slice, which ends before its end.
        let last = request.end(story.whole()).max(request.sent + 1) - 1;
        let from = call.asked.clamp(request.sent, last);
        let arrow = |phase: &str, thread: u32, at: u64| {
            json!({
                "ph": phase, "id": index + 1, "name": "call", "cat": "call", "pid": RUN, "tid": thread, "ts": at,
                "bp": "e",
            })
        };
        // An arrow that leads back in time is none.
        if call.asked >= from {
            events.push(arrow("s", *thread, from));
            events.push(arrow("f", *tool, call.asked));
        }
    }
}

fn moments(events: &mut Vec<Value>, story: &Story) {
    for mark in &story.marks {
        let (name, thread, scope, arguments) = match &mark.what {
            Moment::Staged { path, how } => (format!("staged {path}"), EDITS, "t", json!({ "how": how })),
            Moment::Compacted { before, after } => {
                ("compacted".to_owned(), MODEL, "p", json!({ "before": before, "after": after }))
            }
            Moment::PrefixBroken { why } => ("cache lost".to_owned(), MODEL, "p", json!({ "why": why })),
            Moment::Broken { why } => ("broke off".to_owned(), MODEL, "p", json!({ "why": why })),
        };
        events.push(json!({
            "ph": "i", "name": name, "cat": "moment", "pid": RUN, "tid": thread, "ts": mark.at, "s": scope,
            "args": arguments,
        }));
    }
}

fn counters(events: &mut Vec<Value>, story: &Story) {
    let counter = |name: &str, at: u64, arguments: Value| json!({"ph": "C", "name": name, "pid": RUN, "tid": 0, "ts": at, "args": arguments});
    let (mut input, mut cached, mut output) = (0_u64, 0_u64, 0_u64);
    for request in &story.requests {
        let parts = request.part_tokens();
        let parts: serde_json::Map<String, Value> =
            PARTS.iter().zip(parts).map(|(name, tokens)| ((*name).to_owned(), tokens.into())).collect();
        events.push(counter("context", request.sent, parts.into()));
        if let Some(tokens) = request.tokens {
            input = input.saturating_add(tokens.input);
            cached = cached.saturating_add(tokens.cached);
            output = output.saturating_add(tokens.output);
            let sums = json!({"input": input, "cached": cached, "output": output});
            events.push(counter("tokens so far", request.end(story.whole()), sums));
        }
    }
    let runs = story.calls.iter().filter_map(|call| Some((call.started?, call.end(story.whole()))));
    let mut changes: Vec<(u64, i64)> = runs.flat_map(|(from, to)| [(from, 1), (to, -1)]).collect();
    changes.sort_unstable();
    let mut running = 0_i64;
    for (at, change) in changes {
        running += change;
        events.push(counter("tools at work", at, json!({ "calls": running.max(0) })));
    }
}
