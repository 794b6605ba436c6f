//! One run: does what `phase` says, in the order it says it, and tells the user's side about it.
//!
//! There is one loop. It waits for whatever comes first of a cancel, the model's stream and a tool, turns it into an
//! input, and performs the effects. Everything that decides is in `phase`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio_util::sync::CancellationToken;

use super::approval::Approvals;
use super::budget::{Budget, Over};
use super::clock::Clock;
use super::context::keeper::Keeper;
use super::events::{Events, RunPhase};
use super::history::History;
use super::models::Chosen;
use super::patience::Patience;
use super::permit::{Doubt, Permit};
use super::phase::{Effect, End, Input, Phase};
use super::prefetch::Prefetch;
use super::record::Reply;
use super::services::Services;
use super::trace;
use super::turn::{Turn, TurnEvent};
use crate::config::Config;
use crate::host::EventKind;
use crate::ids::{CallId, RunId, ThreadId};
use crate::llm::{LlmError, StreamEvent, ToolCall, ToolResult};
use crate::metrics::{Iteration, Op, RunningTool};
use crate::tools::ahead::Guess;
use crate::tools::output::Output;
use crate::tools::registry::{Toolset, Used};
use crate::tools::scheduler::{Begun, Finished, Gate, Submission};
use crate::tools::tool::{Cancel, Planned, ToolContext, ToolError};

pub use self::ended::Ended;

pub(super) mod conversation;
mod ended;
mod logged;
pub(super) mod row;
mod spend;

/// What a run needs besides the shared parts.
pub struct Plan {
    /// Its name.
    pub run: RunId,
    /// The configuration it keeps to its end.
    pub config: Arc<Config>,
    /// The conversation.
    pub thread: ThreadId,
    /// The model it asks.
    pub model: Chosen,
    /// Tools offered.
    pub tools: Toolset,
    /// What the tools work in.
    pub context: ToolContext,
    /// What the user has allowed.
    pub approvals: Approvals,
    /// The conversation; its last message is the user's.
    pub history: Arc<Mutex<History>>,
    /// What it will very likely ask for.
    pub guesses: Vec<Guess>,
    /// Stops it.
    pub cancel: CancellationToken,
}

/// A call that has been answered.
struct Job {
    call: CallId,
    name: Arc<str>,
    summary: String,
    result: Result<Output, ToolError>,
    /// How long it waited for its turn.
    waited: Duration,
    /// When it ran; `None` if it never did.
    ran: Option<(Instant, Duration)>,
    /// Whether the result was remembered.
    cached: bool,
}

impl Job {
    fn of(call: CallId, name: Arc<str>, summary: String, finished: Finished) -> Self {
        let ran = (!finished.ran.is_zero()).then(|| (Instant::now() - finished.ran, finished.ran));
        let Finished { result, cached, waited, .. } = finished;
        Self { call, name, summary, result, waited, ran, cached }
    }

    /// A call that was answered without being run.
    fn refused(call: CallId, name: Arc<str>, summary: String, error: ToolError) -> Self {
        Self { call, name, summary, result: Err(error), waited: Duration::ZERO, ran: None, cached: false }
    }
}

/// The loop and what it holds.
pub struct Run<'a> {
    services: &'a Services,
    plan: &'a Plan,
    events: &'a Arc<Events>,
    phase: Phase,
    /// What happened while effects were carried out; it comes before anything that is waited for.
    next: Option<Input>,
    keeper: Keeper,
    /// The time it took to make the last results small, which is part of preparing the next request.
    shrunk: Duration,
    /// Whether `turn` writes a summary of the conversation.
    summarising: bool,
    /// Summaries the model was asked for.
    summaries: u32,
    turn: Option<Turn>,
    /// What is recorded of it, once it is over.
    reply: Option<Box<Reply>>,
    patience: Patience,
    planned: HashMap<CallId, Result<Planned, ToolError>>,
    /// Calls that have to be cleared before they start.
    doubts: HashMap<CallId, Doubt>,
    permit: Permit,
    jobs: FuturesUnordered<BoxFuture<'static, Job>>,
    prefetch: Prefetch,
    tools_cancel: Cancel,
    gate: Gate,
    answer: String,
    budget: Budget,
    /// The limit that ended it.
    over: Option<Over>,
    clock: Clock,
    /// The call of the model that is not over.
    row: Option<Box<Iteration>>,
    ended: Option<End>,
    batch: u32,
    /// Calls that run, as the numbers count them.
    running: Arc<Mutex<HashMap<CallId, (RunningTool, tracing::Span)>>>,
}

impl<'a> Run<'a> {
    /// A run that has not begun.
    pub fn new(services: &'a Services, plan: &'a Plan, events: &'a Arc<Events>) -> Self {
        let limits = super::phase::Limits {
            max_steps: plan.config.agent.max_steps,
            stream_dispatch: plan.config.agent.stream_dispatch,
            parallel_tools: plan.config.agent.parallel_tools,
        };
        let permit =
            Permit { services: services.clone(), config: plan.config.clone(), approvals: plan.approvals.clone() };
        Self {
            services,
            plan,
            events,
            prefetch: Prefetch::new(plan, &permit),
            phase: Phase::new(limits),
            next: None,
            keeper: conversation::keeper(&plan.config, &plan.model, &plan.tools.specs(), &mut lock(&plan.history)),
            shrunk: Duration::ZERO,
            summarising: false,
            summaries: 0,
            turn: None,
            reply: None,
            patience: Patience::default(),
            planned: HashMap::new(),
            doubts: HashMap::new(),
            permit,
            jobs: FuturesUnordered::new(),
            tools_cancel: Cancel::new(),
            gate: Gate::new(),
            answer: String::new(),
            budget: Budget::new(&plan.config.agent, plan.model.info),
            over: None,
            clock: Clock::default(),
            row: None,
            ended: None,
            batch: 0,
            running: Arc::default(),
        }
    }

    /// Runs to the end. Dropping the future cancels the stream and the tools.
    pub async fn drive(mut self) -> Ended {
        let mut input = Some(Input::Start);
        loop {
            if let Some(input) = input.take() {
                for effect in self.phase.step(input) {
                    self.perform(effect);
                }
            }
            if self.phase.over() {
                break;
            }
            input = self.wait().await;
        }
        self.tools_cancel.cancel();
        self.close()
    }

    /// What comes first. `None` for things that change nothing for the loop.
    async fn wait(&mut self) -> Option<Input> {
        if let Some(input) = self.next.take() {
            return Some(input);
        }
        let streaming = self.turn.is_some();
        let working = !self.jobs.is_empty();
        let asking = self.patience.asks();
        tokio::select! {
            biased;
            () = self.plan.cancel.cancelled() => Some(Input::Cancel),
            Some(job) = self.jobs.next(), if working => Some(self.job_ended(job)),
            stop = self.patience.stop(), if asking => stop.then_some(Input::Cancel),
            event = next(&mut self.turn), if streaming => {
                self.heard(&event);
                match self.summarising {
                    true => self.summary_event(event),
                    false => self.stream_event(event),
                }
            }
            () = self.prefetch.progress(), if self.prefetch.is_busy() => None,
        }
    }

    fn stream_event(&mut self, event: Result<Option<TurnEvent>, LlmError>) -> Option<Input> {
        let event = match event {
            Ok(Some(event)) => event,
            Ok(None) => return None,
            Err(error) => {
                self.broke_off(&error);
                return Some(self.failed(error));
            }
        };
        match event {
            TurnEvent::Retry(notice) => {
                self.patience.retry(&self.services.host, self.events, notice);
                None
            }
            TurnEvent::PrefixBroken(why) => {
                self.events.emit(EventKind::PrefixBroken { why });
                None
            }
            TurnEvent::Stream(event) => {
                self.patience.over(self.events);
                self.response_event(event)
            }
        }
    }

    fn response_event(&mut self, event: StreamEvent) -> Option<Input> {
        if let Some(turn) = self.turn.as_mut().filter(|_| !matches!(event, StreamEvent::Done(_)))
            && turn.spoke()
        {
            self.services.metrics.record(Op::FirstToken, turn.first.unwrap_or_default(), true);
        }
        match event {
            StreamEvent::Text(delta) => {
                self.events.emit(EventKind::Text { delta });
                None
            }
            StreamEvent::Thinking(_) => None,
            StreamEvent::CallStarted { name, .. } => {
                self.events.doing(&format!("{name}…"));
                None
            }
            StreamEvent::Call { call, .. } => {
                let reads_only = self.plan_call(&call);
                Some(Input::CallReady { call, reads_only })
            }
            StreamEvent::Done(response) => {
                if let Some(usage) = response.usage {
                    // Another model, standing in, counts otherwise.
                    if response.turn.origin == self.plan.model.origin {
                        self.keeper.learn(&mut lock(&self.plan.history), &usage);
                    }
                    self.spend(&usage, &response.turn.origin);
                }
                self.turn_over(true);
                if !response.turn.calls.is_empty() && self.has_spent_all() {
                    return Some(Input::CostLimit);
                }
                Some(self.ended(response))
            }
        }
    }

    /// Reads the arguments of a call. Says whether it only reads; a call we cannot make sense of does.
    fn plan_call(&mut self, call: &ToolCall) -> bool {
        let played = self.services.playback.as_ref().and_then(|playback| playback.planned(call));
        let planned = match (played, self.plan.tools.get(&call.name)) {
            (Some(played), _) => Ok(played),
            (None, Ok(tool)) => tool
                .plan(&self.plan.context, &call.arguments)
                .map(|planned| planned.known_to(&self.plan.context.results))
                .and_then(|planned| self.permit(call, planned)),
            (None, Err(error)) => Err(error),
        };
        let reads_only = planned.as_ref().map_or(true, |planned| planned.effect.is_read_only());
        self.planned.insert(call.id.clone(), planned);
        reads_only
    }

    /// Refuses what must not run, and notes what has to be cleared first.
    fn permit(&mut self, call: &ToolCall, planned: Planned) -> Result<Planned, ToolError> {
        if let Some(doubt) = self.permit.judge(&call.name, &planned)? {
            self.doubts.insert(call.id.clone(), doubt);
        }
        Ok(planned)
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::AskModel { step } => self.ask(step),
            Effect::StartTool { call, gated } => self.start_tool(call, gated),
            Effect::OpenGate => self.gate.open(),
            Effect::AbandonTurn => {
                self.summarising = false;
                self.turn_over(false);
            }
            Effect::CancelTools => {
                std::mem::take(&mut self.tools_cancel).cancel();
                self.jobs = FuturesUnordered::new();
                self.planned.clear();
            }
            Effect::Compact => self.compact(),
            Effect::RecordTurn(response) => {
                self.answer.clone_from(&response.turn.text);
                lock(&self.plan.history).assistant(response.turn);
            }
            Effect::RecordResults(results) => self.record(results),
            Effect::RecordUser(text) => lock(&self.plan.history).note(text),
            Effect::Propose => {}
            Effect::End(end) => self.ended = Some(end),
        }
    }

    fn start_tool(&mut self, call: ToolCall, gated: bool) {
        if !self.planned.contains_key(&call.id) {
            self.plan_call(&call);
        }
        let Some(planned) = self.planned.remove(&call.id) else { return };
        let ToolCall { id, name, arguments } = call;
        let summary = match &planned {
            Ok(planned) => planned.summary.clone(),
            Err(_) => name.to_string(),
        };
        let started = self.started_event(&id, &name, &summary, arguments);
        match planned {
            Ok(planned) => {
                let played = self.services.playback.as_ref().and_then(|playback| playback.gate(&id));
                let submission = Submission {
                    run: self.plan.run.clone(),
                    tool: name.clone(),
                    planned,
                    deadline: Duration::from_millis(self.plan.config.tools.timeout_ms),
                    cancel: self.tools_cancel.clone(),
                    gate: played.or_else(|| gated.then(|| self.gate.clone())),
                    on_start: Some(Box::new(started)),
                };
                if let Some(command) = &submission.planned.command {
                    let (events, call) = (self.events.clone(), id.clone());
                    command.listen(Box::new(move |delta| events.output(&call, delta)));
                }
                let Some(doubt) = self.doubts.remove(&id) else {
                    let work = self.services.scheduler.submit(submission);
                    self.jobs.push(Box::pin(async move { Job::of(id, name, summary, work.await) }));
                    return;
                };
                let cleared = self.permit.clone().run(self.events.clone(), submission, summary.clone(), doubt);
                self.jobs.push(Box::pin(async move {
                    match cleared.await {
                        Ok(finished) => Job::of(id, name, summary, finished),
                        Err(error) => Job::refused(id, name, summary, error),
                    }
                }));
            }
            Err(error) => {
                started(Begun::default());
                self.jobs.push(Box::pin(async move { Job::refused(id, name, summary, error) }));
            }
        }
    }

    /// Says that a call begins to run; called by the scheduler when it does.
    fn started_event(
        &self,
        call: &CallId,
        tool: &Arc<str>,
        summary: &str,
        arguments: Arc<str>,
    ) -> impl FnOnce(Begun) + Send + use<> {
        let (events, metrics) = (self.events.clone(), self.services.metrics.clone());
        let (call_id, name, line, batch) = (call.clone(), tool.clone(), summary.to_owned(), self.batch);
        let tool = tool.to_string();
        let running = self.running.clone();
        let (ready, run) = (metrics.begin(Op::Dispatch), tracing::Span::current());
        move |begun| {
            ready.end(&metrics, true, Default::default);
            let span = trace::tool(&run, &tool, &call_id);
            lock(&running).insert(call_id.clone(), (metrics.tool_started(), span));
            events.phase(RunPhase::Acting);
            logged::tool_started(&events, &call_id, name, &line, arguments, batch, &begun);
            events.emit(EventKind::ToolStarted {
                call_id,
                tool,
                summary: line.clone(),
                batch,
                waited_ms: begun.waited.as_secs_f64() * 1e3,
                beside: begun.beside,
            });
            events.doing(&line);
        }
    }

    fn job_ended(&mut self, job: Job) -> Input {
        let Job { call, name, summary, result, waited, ran, cached } = job;
        let used = Used { waited, ran: ran.map(|(_, ran)| ran), ok: result.is_ok(), cached };
        self.plan.tools.used(&name, used);
        self.tool_timed(&name, waited, ran, result.is_ok());
        if let Some((running, span)) = lock(&self.running).remove(&call) {
            trace::tool_ended(&span, waited, cached, result.is_ok());
            running.finish(result.is_ok());
        }
        let (content, error): (Arc<str>, Option<String>) = match result {
            Ok(output) => {
                if let Some(excerpt) = output.excerpt() {
                    self.services.workspace.shown(&self.plan.run, &excerpt.path);
                    lock(&self.plan.history).seen().shown(&self.services.workspace, &self.plan.run, excerpt);
                }
                self.prefetch.shown(self.services, self.plan, &output);
                (output.text().clone(), None)
            }
            Err(ToolError::ForModel(text)) => {
                let first = text.lines().next().unwrap_or_default().to_owned();
                (Arc::from(text), Some(first))
            }
            Err(ToolError::Fatal(why)) => return Input::ToolFatal(why),
        };
        let is_error = error.is_some();
        self.tool_logged(&call, &name, &summary, waited, ran.map(|(_, ran)| ran), cached, error.as_ref(), &content);
        self.events.emit(EventKind::ToolFinished {
            call_id: call.clone(),
            tool: name.to_string(),
            summary,
            batch: self.batch,
            cached,
            ms: ran.map_or(0.0, |(_, ran)| ran.as_secs_f64() * 1e3),
            error,
        });
        Input::ToolEnded { call: call.clone(), result: ToolResult { call, name, content, is_error } }
    }

    fn turn_over(&mut self, ok: bool) {
        self.patience.over(self.events);
        if let Some(turn) = self.turn.take() {
            self.replied(&turn);
            self.timed(&turn, ok);
            self.clock.model(turn.started);
        }
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn next(turn: &mut Option<Turn>) -> Result<Option<TurnEvent>, LlmError> {
    match turn {
        Some(turn) => turn.next().await,
        None => std::future::pending().await,
    }
}
