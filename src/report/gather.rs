//! Folds the records of a run into its story, in one pass and with a bound on everything.
//!
//! Records come in their order, but any of them may be missing: a recording can have gaps, a run can have been killed.
//! What is missing is left out of the story and counted; nothing is made up for it.

mod changes;
mod prompt;

use std::collections::HashMap;

use serde_json::Value;

use self::changes::Changes;
use self::prompt::Prompt;
use super::markup::line;
use super::story::{
    Ask, Call, Cut, Delivery, Ending, Failure, Mark, Moment, Request, Retry, Sort, Story, Tokens, Typing,
};
use crate::ids::CallId;
use crate::trajectory::record::{self, Event, Record, ToolFinished, ToolStarted};

/// Model calls of a story.
const REQUESTS: usize = 2_000;
/// Tool calls of a story.
const CALLS: usize = 5_000;
/// Marks, questions, bursts of typing, retries and deliveries, each.
const MARKS: usize = 2_000;
/// Files of an outcome or a delivery.
const FILES: usize = 200;
/// Bytes of the prompt that the user gave, and of an answer.
const LONG: usize = 64 << 10;
/// Bytes of what is shown of a call's arguments, of its result and of what the model said with it.
const SHOWN: usize = 4 << 10;
/// Characters of a line.
const LINE: usize = 200;
/// Microseconds of a run: some centuries, and still a whole number for every reader of JSON.
const LONGEST: u64 = 1 << 53;
/// Microseconds without a change after which the user has stopped typing.
const PAUSE: u64 = 1_000_000;

/// A story in the making.
#[derive(Default)]
pub struct Gather {
    story: Story,
    /// The session's clock when the run began.
    zero: Option<u64>,
    session_unix_us: Option<u64>,
    prompt: Prompt,
    changes: Changes,
    /// The calls by name: the model response that made one, and its place in the story.
    calls: HashMap<CallId, usize>,
}

impl Gather {
    /// The next record.
    pub fn record(&mut self, record: &Record) {
        if self.story.run.is_empty()
            && let Some(run) = &record.run
        {
            self.story.run = line(run.as_str(), LINE);
        }
        if let (true, Some(thread)) = (self.story.thread.is_empty(), &record.thread) {
            self.story.thread = line(thread.as_str(), LINE);
        }
        self.story.lacking.redacted += u64::from(record.redacted);
        self.story.lacking.newer |= record.is_newer();
        if matches!(record.event, Event::Started(_)) || (self.zero.is_none() && !is_standing(&record.event)) {
            self.zero.get_or_insert(record.at);
        }
        let at = record.at.saturating_sub(self.zero.unwrap_or(record.at)).min(LONGEST);
        if !is_standing(&record.event) {
            self.story.end = self.story.end.max(at);
        }
        self.event(at, &record.event);
    }

    /// A part of the recording that cannot be read.
    pub fn damage(&mut self) {
        self.story.lacking.damaged += 1;
    }

    /// The story. `live` says that somebody still writes it.
    pub fn story(self, live: bool) -> Story {
        let Self { mut story, zero, session_unix_us, changes, .. } = self;
        story.live = live && story.outcome.is_none();
        story.began_unix_us = session_unix_us.map(|unix| unix.saturating_add(zero.unwrap_or(0)));
        story.files = changes.files();
        story
    }

    fn event(&mut self, at: u64, event: &Event) {
        match event {
            Event::Session(head) if self.session_unix_us.is_none() => {
                self.session_unix_us = Some(head.started_unix_us);
                self.story.version = line(&head.version, LINE);
                self.story.client = head.client.as_deref().map(|client| line(client, LINE));
            }
            Event::Text(text) => {
                self.prompt.text(text);
                self.changes.text(text);
            }
            Event::Started(started) => self.started(started),
            Event::Typed(typed) => self.typed(at, typed),
            Event::Staged(staged) => {
                self.changes.staged(staged);
                let path = line(&staged.path, LINE);
                self.mark(at, Moment::Staged { path, how: changes::word(staged.op) });
            }
            Event::Proposal(proposal) => self.changes.proposal(proposal),
            Event::Delivery(delivery) => self.delivery(at, delivery),
            Event::Request(request) => self.request(at, request),
            Event::Response(response) => self.response(at, response),
            Event::ToolStarted(started) => self.tool_started(at, started),
            Event::ToolFinished(finished) => self.tool_finished(at, finished),
            Event::Approval(approval) => self.approval(at, approval),
            Event::Retry(retry) => self.retry(at, retry),
            Event::Compacted(sizes) => {
                self.mark(at, Moment::Compacted { before: sizes.before.tokens, after: sizes.after.tokens });
            }
            Event::PrefixBroken(why) => self.mark(at, Moment::PrefixBroken { why: line(&why.why, LINE) }),
            Event::Broken(why) => self.mark(at, Moment::Broken { why: line(&why.why, LINE) }),
            Event::Thread(thread) => self.prompt.list(&thread.messages),
            Event::Finished(finished) => self.finished(&finished.outcome),
            Event::Gap(gap) => {
                self.story.lacking.lost = self.story.lacking.lost.saturating_add(gap.lost);
                self.story.lacking.why = line(&gap.why, LINE);
            }
            Event::Dropped(_) => self.story.lacking.dropped += 1,
            _ => {}
        }
    }

    fn started(&mut self, started: &record::Started) {
        let story = &mut self.story;
        story.title = line(&started.title, LINE);
        story.action = line(&started.action, LINE);
        story.prompt = Cut::new(&started.prompt, LONG);
        story.model = line(&started.model, LINE);
        story.window = started.window;
        story.compact_at = started.settings.pointer("/context/compact_at").and_then(Value::as_f64);
    }

    fn request(&mut self, at: u64, request: &record::Request) {
        self.prompt.list(&request.messages);
        if !room(self.story.requests.len(), REQUESTS, &mut self.story.lacking.requests) {
            return;
        }
        self.story.requests.push(Request {
            step: request.step,
            summary: request.purpose == record::Purpose::Summary,
            model: line(&request.model, LINE),
            sent: at,
            estimate: request.tokens,
            parts: self.prompt.parts(&request.system, &request.tools),
            ..Request::default()
        });
    }

    fn response(&mut self, at: u64, response: &record::Response) {
        if let Some(turn) = &response.turn {
            self.prompt.turn(turn);
        }
        let summary = response.purpose == record::Purpose::Summary;
        let open = |request: &&mut Request| request.step == response.step && request.summary == summary;
        let Some(request) = self.story.requests.iter_mut().rev().find(open).filter(|open| open.ended.is_none()) else {
            return;
        };
        let from = |us: Option<u64>| us.map(|us| request.sent.saturating_add(us).min(at.max(request.sent)));
        let timing = &response.timing;
        (request.first_byte, request.first_token, request.last_token) =
            (from(timing.first_byte_us), from(timing.first_token_us), from(timing.last_token_us));
        request.ended =
            Some(if timing.total_us > 0 { request.sent.saturating_add(timing.total_us).min(at) } else { at });
        request.connect = timing.connect_us;
        request.tokens = response.usage.map(|usage| Tokens {
            input: usage.input_tokens,
            cached: usage.cached_tokens.min(usage.input_tokens),
            output: usage.output_tokens,
            reasoning: usage.reasoning_tokens,
        });
        request.cost = response.cost_usd.filter(|cost| cost.is_finite() && *cost >= 0.0);
        request.stop = response.stop.as_deref().map(|stop| line(stop, LINE)).unwrap_or_default();
        request.attempts = response.attempts;
        request.abandoned = response.abandoned;
        request.error = response.error.as_ref().map(|error| Failure {
            code: line(&error.kind, LINE),
            message: line(&error.message, 2 * LINE),
            hint: line(&error.hint, 2 * LINE),
        });
        request.said = response.turn.as_ref().map(|turn| Cut::new(turn.text.trim(), SHOWN)).unwrap_or_default();
    }

    fn tool_started(&mut self, at: u64, started: &ToolStarted) {
        if !room(self.story.calls.len(), CALLS, &mut self.story.lacking.calls) {
            return;
        }
        self.calls.insert(started.call.clone(), self.story.calls.len());
        self.story.calls.push(Call {
            tool: line(&started.tool, LINE),
            sort: Sort::of(&started.tool),
            summary: line(&started.summary, LINE),
            batch: started.batch,
            arguments: Cut::new(&started.arguments, SHOWN),
            asked: at.saturating_sub(started.waited_us),
            started: Some(at),
            beside: started.beside,
            ..Call::default()
        });
    }

    fn tool_finished(&mut self, at: u64, finished: &ToolFinished) {
        self.prompt.result(&finished.call, &finished.tool, finished.result.len());
        let known = self.calls.get(&finished.call).copied();
        let index = match known.filter(|&index| self.story.calls[index].ended.is_none()) {
            Some(index) => index,
            // It never ran, or its beginning is missing.
            None => {
                if !room(self.story.calls.len(), CALLS, &mut self.story.lacking.calls) {
                    return;
                }
                let ran = finished.ran_us.unwrap_or(0);
                self.story.calls.push(Call {
                    tool: line(&finished.tool, LINE),
                    sort: Sort::of(&finished.tool),
                    batch: finished.batch,
                    asked: at.saturating_sub(ran).saturating_sub(finished.waited_us),
                    started: finished.ran_us.map(|ran| at.saturating_sub(ran)),
                    ..Call::default()
                });
                self.story.calls.len() - 1
            }
        };
        let call = &mut self.story.calls[index];
        if !finished.summary.is_empty() {
            call.summary = line(&finished.summary, LINE);
        }
        // The tool's own time ends before the record of it is made.
        call.ended = Some(match (call.started, finished.ran_us) {
            (Some(started), Some(ran)) => started.saturating_add(ran).min(at),
            _ => at,
        });
        call.cached = finished.cached;
        call.error = finished.error.as_deref().map(|error| line(error, LINE));
        call.failed = finished.is_error;
        call.result = Cut::new(&finished.result, SHOWN);
    }

    fn typed(&mut self, at: u64, typed: &record::Typed) {
        if typed.landed {
            return;
        }
        let path = line(&typed.path, LINE);
        let changes = typed.edits.len().max(1) as u64;
        let going_on = |burst: &&mut Typing| burst.path == path && at.saturating_sub(burst.to) <= PAUSE;
        if let Some(burst) = self.story.typing.iter_mut().rev().take(8).find(going_on) {
            burst.to = burst.to.max(at);
            burst.changes += changes;
        } else if room(self.story.typing.len(), MARKS, &mut self.story.lacking.marks) {
            self.story.typing.push(Typing { path, from: at, to: at, changes });
        }
    }

    fn approval(&mut self, at: u64, approval: &record::Approval) {
        let message = line(&approval.message, 2 * LINE);
        let Some(answer) = &approval.answer else {
            if room(self.story.asks.len(), MARKS, &mut self.story.lacking.marks) {
                self.story.asks.push(Ask { message, from: at, to: None, answer: None });
            }
            return;
        };
        let answer = line(answer, LINE);
        let open = self.story.asks.iter_mut().find(|ask| ask.to.is_none() && ask.message == message);
        if let Some(ask) = open {
            (ask.to, ask.answer) = (Some(at.max(ask.from)), Some(answer));
        } else if room(self.story.asks.len(), MARKS, &mut self.story.lacking.marks) {
            self.story.asks.push(Ask { message, from: at, to: Some(at), answer: Some(answer) });
        }
    }

    fn retry(&mut self, at: u64, retry: &record::Retry) {
        if room(self.story.retries.len(), MARKS, &mut self.story.lacking.marks) {
            let wait = retry.wait_us.min(LONGEST);
            self.story.retries.push(Retry { at, wait, attempt: retry.attempt, why: line(&retry.why, LINE) });
        }
    }

    fn delivery(&mut self, at: u64, delivery: &record::Delivery) {
        if !room(self.story.deliveries.len(), MARKS, &mut self.story.lacking.marks) {
            return;
        }
        self.story.deliveries.push(Delivery {
            from: at.saturating_sub(delivery.took_us),
            to: at,
            reply: line(&delivery.fate, LINE),
            why: delivery.why.as_deref().map(|why| line(why, LINE)).unwrap_or_default(),
            paths: delivery.paths.iter().take(FILES).map(|path| line(path, LINE)).collect(),
            undo: delivery.what == "undo",
        });
    }

    fn finished(&mut self, outcome: &Value) {
        let text = |pointer: &str| outcome.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let us = |name: &str| {
            let ms = outcome["timing"][name].as_f64().filter(|ms| ms.is_finite() && *ms >= 0.0);
            ms.map_or(0, |ms| ((ms * 1e3).round() as u64).min(LONGEST))
        };
        self.story.outcome = Some(Ending {
            status: line(text("/status"), LINE),
            answer: Cut::new(text("/answer").trim(), LONG),
            timing: outcome["timing"].is_object().then(|| ["totalMs", "modelMs", "toolMs", "overlapMs"].map(us)),
            error: outcome["error"].is_object().then(|| Failure {
                code: line(text("/error/code"), LINE),
                message: line(text("/error/message"), 2 * LINE),
                hint: line(text("/error/hint"), 2 * LINE),
            }),
        });
        for file in outcome["files"].as_array().into_iter().flatten().take(FILES) {
            let places = file["conflicts"].as_array().into_iter().flatten().take(FILES);
            let places = places.map(|place| {
                let wanted = place["wanted"].as_str().unwrap_or_default();
                (place["line"].as_u64().unwrap_or(0).saturating_add(1), Cut::new(wanted, SHOWN))
            });
            self.changes.conflicts(file["uri"].as_str().unwrap_or_default(), places.collect());
        }
    }

    fn mark(&mut self, at: u64, what: Moment) {
        if room(self.story.marks.len(), MARKS, &mut self.story.lacking.marks) {
            self.story.marks.push(Mark { at, what });
        }
    }
}

/// Whether an event stands for no moment of the run: what heads a file, and what is told once for later.
fn is_standing(event: &Event) -> bool {
    matches!(event, Event::Session(_) | Event::Text(_) | Event::Thread(_) | Event::Gap(_) | Event::Dropped(_))
}

/// Whether there is room for one more; counts it as lacking if not.
fn room(have: usize, most: usize, lacking: &mut u64) -> bool {
    let fits = have < most;
    *lacking += u64::from(!fits);
    fits
}
