//! What a run does, told to the recorder in the recorder's words.
//!
//! A [`Log`] belongs to one run. Most of what it tells is what `events` tells the user's side anyway; what only a
//! recording needs (requests, answers, results in full) is told by those who have it. Messages are handed over as
//! pointers and put into words on the recorder's thread.

use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use serde_json::json;

use super::action::Action;
use super::models::Chosen;
use super::order::Order;
use super::propose::What;
use super::services::Services;
use crate::config::{Config, EnvSnapshot, ProviderKind};
use crate::host::{EventKind, Host, Notice, Size};
use crate::llm::secrets::Redactor;
use crate::llm::{AssistantTurn, LlmError, Message, Request, Stop, StreamEvent, ToolCall, ToolResult, ToolSpec, Usage};
use crate::metrics::{Metrics, Op};
use crate::paths::Roots;
use crate::text::Encoding;
use crate::trajectory::conversation::{Source, Teller};
use crate::trajectory::record::{self, Event, FileOp, ProposedFile, Purpose, RootRecord, SizeRecord, TextId, Why};
use crate::trajectory::recorder::{About, Recorder, Redact, RunRecorder, Settings};
use crate::workspace::{StagedFile, StagedKind};

/// Bytes of diagnostics that are recorded with an order.
const DIAGNOSTICS_MAX: usize = 64 * 1024;

/// The recorder of a server whose state directory is `dir`, unless the settings name another one; off where there is
/// none.
pub fn recorder(
    config: &Config,
    dir: Option<&Path>,
    about: About,
    host: &Arc<dyn Host>,
    metrics: &Arc<Metrics>,
) -> Recorder {
    let Some(dir) = place(config, dir) else { return Recorder::off() };
    let (host, metrics) = (Arc::clone(host), Arc::clone(metrics));
    let recording = &config.recording;
    Recorder::new(Settings {
        batch: recording.batch as usize,
        flush: Duration::from_millis(recording.flush_ms),
        background: config.background_io,
        compress: recording.compress,
        keep_days: recording.keep_days,
        keep_bytes: u64::from(recording.keep_mb) << 20,
        about,
        trouble: Arc::new(move |what| host.notify(Notice::Warning, what)),
        wrote: Arc::new(move |took, ok, records| {
            metrics.record_why(Op::RecorderFlush, took, ok, || format!("{records} records were written").into());
        }),
        ..Settings::new(dir)
    })
}

/// Where recordings are, of a server whose state directory is `dir`: there, unless the settings name another place.
pub fn place<'a>(config: &'a Config, dir: Option<&'a Path>) -> Option<&'a Path> {
    config.state_dir.as_deref().filter(|_| !config.recording.dir.is_empty()).or(dir)
}

/// What a recording tells of a server.
pub fn about(version: &str, roots: &Roots, client: Option<String>) -> About {
    About { version: version.to_owned(), roots: folders(roots), client }
}

fn folders(roots: &Roots) -> Vec<RootRecord> {
    let several = roots.iter().count() > 1;
    let name = |name: &str| if several { name.to_owned() } else { String::new() };
    roots.iter().map(|root| RootRecord { name: name(root.name()), path: root.path().display().to_string() }).collect()
}

/// Takes out what these settings and this environment hold of keys. Made ready at its first use, by the recorder's
/// thread.
pub fn redact(config: Arc<Config>, env: EnvSnapshot) -> Redact {
    use secrecy::ExposeSecret;
    let redactor = OnceLock::new();
    Arc::new(move |text| {
        let make = || {
            let keys = config.providers.values().filter_map(|provider| provider.key.as_ref());
            let headers =
                config.providers.values().flat_map(|provider| provider.headers.iter().map(|(_, value)| value));
            let own = keys.chain(headers).map(|secret| secret.expose_secret());
            Redactor::new(own.chain(env.secrets()))
        };
        redactor.get_or_init(make).clean(text)
    })
}

/// A message as it is told: the same as another if it is the same pointer.
#[derive(Clone, Debug)]
struct Said(Message);

impl Source for Said {
    fn is_same(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Message::User(one), Message::User(other)) => Arc::ptr_eq(one, other) || one == other,
            (Message::Assistant(one), Message::Assistant(other)) => Arc::ptr_eq(one, other),
            (Message::ToolResults(one), Message::ToolResults(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }

    fn is_turn(&self, turn: &record::Turn) -> bool {
        match &self.0 {
            Message::Assistant(own) => {
                let raw = own.raw.as_ref().map(|raw| raw.get());
                own.text == turn.text && raw == turn.raw.as_deref() && turn_of(own) == *turn
            }
            _ => false,
        }
    }

    fn to_record(&self) -> record::Message {
        match &self.0 {
            Message::User(text) => record::Message::User(text.clone()),
            Message::Assistant(turn) => record::Message::Assistant(Arc::new(turn_of(turn))),
            Message::ToolResults(results) => record::Message::Results(results.iter().map(result_of).collect()),
        }
    }
}

fn turn_of(turn: &AssistantTurn) -> record::Turn {
    let call = |call: &ToolCall| record::CallRecord {
        id: call.id.clone(),
        name: call.name.clone(),
        arguments: call.arguments.clone(),
    };
    record::Turn {
        origin: turn.origin.clone(),
        text: turn.text.clone(),
        calls: turn.calls.iter().map(call).collect(),
        raw: turn.raw.as_ref().map(|raw| Arc::from(raw.get())),
        id: turn.id.clone(),
    }
}

fn result_of(result: &ToolResult) -> record::ResultRecord {
    let ToolResult { call, name, content, is_error } = result.clone();
    record::ResultRecord { call, name, content: Some(content), is_error }
}

/// What a model call has come to so far.
#[derive(Debug)]
pub(super) struct Reply {
    asked: Instant,
    response: record::Response,
    /// The turn, put into words later.
    turn: Option<AssistantTurn>,
}

impl Reply {
    /// Something of the answer came.
    pub(super) fn heard(&mut self, event: &StreamEvent) {
        let StreamEvent::Done(answer) = event else {
            let at = us(self.asked.elapsed());
            self.response.timing.first_token_us.get_or_insert(at);
            self.response.timing.last_token_us = Some(at);
            return;
        };
        self.turn = Some(answer.turn.clone());
        self.response.stop = Some(stop_of(&answer.stop));
        self.response.usage = answer.usage.as_ref().map(usage_of);
        self.response.request_id.clone_from(&answer.request_id);
        self.response.cache_miss.clone_from(&answer.cache_miss);
    }

    /// How long the head of the answer took, where that was seen.
    pub(super) fn began(&mut self, first_byte: Option<Duration>) {
        self.response.timing.first_byte_us = first_byte.map(us);
    }

    /// It is asked again.
    pub(super) fn again(&mut self) {
        self.response.attempts += 1;
    }

    /// What it cost is known.
    pub(super) fn cost(&mut self, cost_usd: Option<f64>) {
        self.response.cost_usd = cost_usd;
    }

    /// It failed.
    pub(super) fn broke(&mut self, error: &LlmError) {
        let kind = json!(error.kind).as_str().unwrap_or_default().to_owned();
        let (message, hint) = (error.message.clone(), error.hint.clone());
        self.response.request_id.clone_from(&error.request_id);
        self.response.error = Some(record::ModelError { kind, message, hint, status: error.status });
    }
}

fn stop_of(stop: &Stop) -> String {
    match stop {
        Stop::EndTurn => "endTurn".into(),
        Stop::ToolCalls => "toolCalls".into(),
        Stop::Length => "length".into(),
        Stop::ContextWindow => "contextWindow".into(),
        Stop::Pause => "pause".into(),
        Stop::Refusal(why) => format!("refusal: {why}"),
        Stop::Other(word) => word.clone(),
    }
}

fn usage_of(usage: &Usage) -> record::UsageRecord {
    let Usage { input_tokens, cached_tokens, cache_write_tokens, output_tokens, reasoning_tokens } = *usage;
    record::UsageRecord { input_tokens, cached_tokens, cache_write_tokens, output_tokens, reasoning_tokens }
}

pub(super) fn us(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Tells of one run.
#[derive(Clone, Debug, Default)]
pub struct Log {
    recorder: RunRecorder,
    teller: Arc<Mutex<Teller<Said>>>,
    standing: Arc<Mutex<Option<Standing>>>,
}

/// What every request of a run begins with, once it has been told: spelling it out and naming it anew for each request
/// took a quarter of the writer's time.
#[derive(Debug)]
struct Standing {
    epoch: u64,
    system: (Arc<str>, TextId),
    tools: (Arc<[ToolSpec]>, TextId),
}

/// The names under which a request's instructions and tools are told, by `keep` where they are not what was told last.
fn standing(
    known: &Mutex<Option<Standing>>,
    epoch: u64,
    system: Arc<str>,
    tools: Arc<[ToolSpec]>,
    mut keep: impl FnMut(&str) -> TextId,
) -> (TextId, TextId) {
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    let told = known.as_ref().filter(|told| {
        told.epoch == epoch && Arc::ptr_eq(&told.system.0, &system) && Arc::ptr_eq(&told.tools.0, &tools)
    });
    if let Some(told) = told {
        return (told.system.1.clone(), told.tools.1.clone());
    }
    let names = (keep(&system), keep(&spelled(&tools)));
    *known = Some(Standing { epoch, system: (system, names.0.clone()), tools: (tools, names.1.clone()) });
    names
}

impl Log {
    /// Tells this recorder.
    pub fn new(recorder: RunRecorder) -> Self {
        Self { recorder, teller: Arc::default(), standing: Arc::default() }
    }

    /// Who is told.
    pub fn recorder(&self) -> &RunRecorder {
        &self.recorder
    }

    /// Nothing more is to come, as far as anybody knows.
    pub fn end(&self) {
        self.recorder.end();
    }

    /// The run begins.
    pub(super) fn started(
        &self,
        services: &Services,
        config: &Config,
        order: &Order,
        action: &Action,
        title: &str,
        model: Result<&Chosen, String>,
    ) {
        if !self.recorder.is_on() {
            return;
        }
        let mut diagnostics = order.diagnostics.clone();
        let mut bytes = 0;
        diagnostics.retain(|diagnostic| {
            bytes += diagnostic.to_string().len();
            bytes <= DIAGNOSTICS_MAX
        });
        let encoding = match order.encoding {
            Encoding::Utf8 => "utf-8",
            Encoding::Utf16 => "utf-16",
            Encoding::Utf32 => "utf-32",
        };
        let mut started = record::Started {
            action: action.id.to_string(),
            title: title.to_owned(),
            prompt: order.prompt.clone(),
            uri: order.uri.clone(),
            range: order.range.map(|range| json!(range)),
            encoding: encoding.into(),
            diagnostics,
            roots: folders(&services.workspace.roots()),
            settings: json!({
                "agent": config.agent, "edits": config.edits, "context": config.context, "tools": config.tools,
            }),
            ..record::Started::default()
        };
        match model {
            Ok(chosen) => {
                started.model = chosen.origin.to_string();
                started.window = chosen.info.context_window;
                started.max_output = chosen.max_output_tokens;
                started.price = chosen.info.price.map(|price| json!(price));
                started.fallback = chosen.fallback.iter().map(|other| other.origin.to_string()).collect();
                started.provider = kind_of(chosen.provider.kind).into();
            }
            Err(name) => started.model = name,
        }
        self.recorder.record(started);
    }

    /// What the user's side is told of is recorded, unless somebody else tells it in full.
    pub(super) fn mirror(&self, kind: &EventKind) {
        if !self.recorder.is_on() {
            return;
        }
        let event: Event = match kind {
            EventKind::Approval { message, answer } => {
                record::Approval { message: message.clone(), answer: answer.clone() }.into()
            }
            EventKind::Retry { attempt, wait_ms, why } => {
                record::Retry { attempt: *attempt, wait_us: wait_ms.saturating_mul(1_000), why: why.clone() }.into()
            }
            EventKind::Compacted { before, after } => {
                record::Compacted { before: size_of(*before), after: size_of(*after) }.into()
            }
            EventKind::PrefixBroken { why } => Why { why: why.clone() }.prefix(),
            EventKind::Finished { outcome } => record::Finished { outcome: outcome.clone() }.into(),
            _ => return,
        };
        self.recorder.record(event);
    }

    /// A model is asked; gives what becomes of it, to be told by `replied`.
    pub(super) fn asked(
        &self,
        step: u32,
        purpose: Purpose,
        origin: &Arc<str>,
        request: &Request,
        tokens: u64,
    ) -> Option<Box<Reply>> {
        if !self.recorder.is_on() {
            return None;
        }
        let (teller, known, origin) = (self.teller.clone(), self.standing.clone(), origin.clone());
        let (system, tools) = (request.system.clone(), request.tools.clone());
        let messages: Vec<Said> = request.messages.iter().cloned().map(Said).collect();
        let (max_output, temperature) = (request.max_output_tokens, request.temperature);
        self.recorder.later("request", 0, move |texts| {
            let messages = teller.lock().unwrap_or_else(PoisonError::into_inner).list(texts.epoch(), messages);
            let (system, tools) = standing(&known, texts.epoch(), system, tools, |text| texts.keep(text));
            let request = record::Request {
                step,
                purpose,
                model: origin.to_string(),
                system,
                tools,
                messages,
                max_output,
                temperature,
                tokens,
            };
            request.into()
        });
        let response = record::Response { step, purpose, attempts: 1, ..record::Response::default() };
        Some(Box::new(Reply { asked: Instant::now(), response, turn: None }))
    }

    /// A call was complete in the stream.
    pub(super) fn called(&self, step: u32, call: &ToolCall) {
        if self.recorder.is_on() {
            self.recorder.record(record::Called { step, call: call.id.clone(), tool: call.name.clone() });
        }
    }

    /// A model call is over, one way or another.
    pub(super) fn replied(&self, reply: Reply) {
        let Reply { asked, mut response, turn } = reply;
        response.timing.total_us = us(asked.elapsed());
        response.abandoned = turn.is_none() && response.error.is_none();
        let weight =
            turn.as_ref().map_or(0, |turn| turn.text.len() + turn.raw.as_ref().map_or(0, |raw| raw.get().len()));
        let teller = self.teller.clone();
        self.recorder.later("response", weight, move |texts| {
            response.turn = turn.map(|turn| Arc::new(turn_of(&turn)));
            if let Some(turn) = &response.turn {
                teller.lock().unwrap_or_else(PoisonError::into_inner).turn(texts.epoch(), turn);
            }
            response.into()
        });
    }

    /// A tool ended.
    pub(super) fn tool_finished(&self, finished: record::ToolFinished) {
        let teller = self.teller.clone();
        let weight = finished.result.len() + finished.summary.len();
        self.recorder.later("toolFinished", weight, move |texts| {
            let mut teller = teller.lock().unwrap_or_else(PoisonError::into_inner);
            teller.result(texts.epoch(), &finished.call, &finished.result);
            finished.into()
        });
    }

    /// What the run wants, all in all.
    pub(super) fn proposal(&self, staged: &[StagedFile]) {
        if !self.recorder.is_on() || staged.is_empty() {
            return;
        }
        let staged = staged.to_vec();
        let weight = staged.iter().map(|file| file.before.len() + file.after.len()).sum();
        self.recorder.later("proposal", weight, move |texts| {
            let mut files = Vec::with_capacity(staged.len());
            for file in staged {
                let (op, from) = match &file.kind {
                    StagedKind::Edited => (FileOp::Edited, None),
                    StagedKind::Created => (FileOp::Created, None),
                    StagedKind::Deleted => (FileOp::Deleted, None),
                    StagedKind::Renamed { from } => (FileOp::Renamed, Some(from.to_string())),
                };
                let (before, after) = (texts.keep(&file.before.to_string()), texts.keep(&file.after.to_string()));
                files.push(ProposedFile { path: file.path.to_string(), uri: file.uri, op, from, before, after });
            }
            record::Proposal { files }.into()
        });
    }

    /// One request to the user's side is over.
    pub(super) fn delivered(&self, what: What, fate: &str, why: Option<&str>, paths: Vec<String>, took: Duration) {
        if self.recorder.is_on() {
            let what = if what == What::Undo { "undo" } else { "staged" };
            let (fate, why) = (fate.to_owned(), why.map(str::to_owned));
            self.recorder.record(record::Delivery { what: what.into(), fate, why, paths, took_us: us(took) });
        }
    }

    /// The conversation, as the next run of its thread finds it.
    pub(super) fn thread(&self, messages: Vec<Message>) {
        if self.recorder.is_on() {
            let teller = self.teller.clone();
            self.recorder.later("thread", 0, move |texts| {
                let messages = messages.into_iter().map(Said).collect();
                let messages = teller.lock().unwrap_or_else(PoisonError::into_inner).list(texts.epoch(), messages);
                record::ThreadRecord { messages }.into()
            });
        }
    }
}

/// A conversation in full, for a record that belongs to no run.
pub(super) fn in_full(messages: Vec<Message>) -> record::ThreadRecord {
    let add = messages.into_iter().map(|message| Said(message).to_record()).collect();
    record::ThreadRecord { messages: record::Messages { keep: 0, add } }
}

fn size_of(size: Size) -> SizeRecord {
    SizeRecord { messages: size.messages, tokens: size.tokens }
}

fn kind_of(kind: ProviderKind) -> &'static str {
    match kind {
        ProviderKind::OpenAi => "openai",
        ProviderKind::Anthropic => "anthropic",
        ProviderKind::Google => "google",
        ProviderKind::Ollama => "ollama",
    }
}

/// The tools as JSON.
fn spelled(tools: &[ToolSpec]) -> String {
    let tool = |tool: &ToolSpec| json!({"name": tool.name, "description": tool.description, "schema": tool.schema});
    serde_json::Value::Array(tools.iter().map(tool).collect()).to_string()
}
