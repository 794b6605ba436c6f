//! The task of one run from its order to its outcome: prepare, drive the loop, propose, tell.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::action::Action;
use super::approval::Approvals;
use super::events::{Events, RunPhase};
use super::gather::{self, Gather, Piece, Place};
use super::history::History;
use super::models::Chosen;
use super::order::Order;
use super::outcome::{ErrorCode, FileOutcome, Outcome, OutcomeError, RunUsage, Status, Timing};
use super::prefetch;
use super::prompt::{self, Subject};
use super::propose::{Courier, Delivered, What};
use super::run::{Ended, Plan, Run};
use super::services::Services;
use crate::config::{Config, EditMode, ModelRef};
use crate::host::{EventKind, Notice};
use crate::ids::{RunId, ThreadId};
use crate::metrics::Op;
use crate::paths::WsPath;
use crate::syntax::Parses;
use crate::text::diff;
use crate::tools::cache::Results;
use crate::tools::grep::Together;
use crate::tools::policy;
use crate::tools::sandbox::Commands;
use crate::tools::tool::{ToolContext, ToolLimits};
use crate::trajectory::record::Why;
use crate::workspace::{Landing, StagedFile, StagedKind};

/// Bytes of a diff that an event carries.
const DIFF_MAX: usize = 64 * 1024;

/// All that one run works on.
pub(super) struct Task {
    pub services: Services,
    pub config: Arc<Config>,
    pub run: RunId,
    pub thread: ThreadId,
    pub action: Action,
    pub subject: Option<Subject>,
    pub order: Order,
    pub title: String,
    pub model: Option<ModelRef>,
    pub history: Arc<Mutex<History>>,
    pub approvals: Approvals,
    pub cancel: CancellationToken,
}

impl Task {
    /// Does all of it. Never panics on purpose; the caller catches what does.
    /// Gives the outcome, and the files of which nobody knows yet whether they were changed.
    pub async fn carry_out(&self, events: &Arc<Events>) -> (Outcome, Vec<WsPath>) {
        let host = &self.services.host;
        let keeps = self.config.tools.cache_ttl_ms > 0;
        let parses = if keeps { self.services.parses.share() } else { Arc::new(Parses::never()) };
        let (gathered, instructions) = self.look_around(&parses).await;
        let plan = match self.prepare(events, &instructions, gathered, parses) {
            Ok(plan) => plan,
            Err(error) => {
                let model = self.model.as_ref().map(ToString::to_string).unwrap_or_default();
                self.log_start(events, Err(model.clone()));
                let thread_id = self.thread.clone();
                events.emit(EventKind::Started { title: self.title.clone(), model, thread_id });
                return (self.outcome(Status::Failed, events, Some(error)), Vec::new());
            }
        };
        self.log_start(events, Ok(&plan.model));
        host.progress_begin(&self.run, &self.title);
        let (title, model) = (self.title.clone(), plan.model.origin.to_string());
        events.emit(EventKind::Started { title, model, thread_id: self.thread.clone() });
        let ended = Run::new(&self.services, &plan, events).drive().await;
        let (mut outcome, open) = self.finish(ended, events).await;
        outcome.timing.total_ms = events.started().elapsed().as_secs_f64() * 1e3;
        if &*self.action.id == "review" && outcome.status == Status::Answered {
            let reviewed = self.subject.as_ref().map(|subject| subject.path.absolute());
            host.publish(reviewed, super::findings::parse(&outcome.answer, &self.services.workspace.roots()));
        }
        (outcome, open)
    }

    fn log_start(&self, events: &Events, model: Result<&Chosen, String>) {
        events.log().started(&self.services, &self.config, &self.order, &self.action, &self.title, model);
        if let Some(subject) = &self.subject {
            self.services.workspace.shown(&self.run, &subject.path);
        }
    }

    /// What is looked up before the model is asked: what it can do, where nobody knows, what it would ask for first, and
    /// what the repository tells it.
    async fn look_around(&self, parses: &Arc<Parses>) -> (Vec<Piece>, String) {
        let metrics = &self.services.metrics;
        let waiting = metrics.begin(Op::Gather);
        let learned = async {
            super::models::learn(&self.services.llm, &self.config, self.model.as_ref()).await;
            waiting.elapsed()
        };
        let found = async { (self.gather(parses).await, waiting.elapsed()) };
        let (learned, (gathered, found), instructions) =
            async { tokio::join!(learned, found, self.instructions()) }.instrument(waiting.trace()).await;
        waiting.end(metrics, true, || match learned > found {
            true => "its provider was asked what the model can do".into(),
            false => format!("{} pieces of the workspace were looked up", gathered.len()).into(),
        });
        (gathered, instructions)
    }

    /// Looks up what the model would ask for first; not for long.
    async fn gather(&self, parses: &Arc<Parses>) -> Vec<Piece> {
        let Some(subject) = self.subject.clone().filter(|_| self.config.context.start_tokens > 0) else {
            return Vec::new();
        };
        let told: &[Value] = if self.action.prompt.contains("{diagnostics}") { &self.order.diagnostics } else { &[] };
        let named = told.iter().filter_map(|item| item.get("message")?.as_str()).map(str::to_owned).collect();
        let place = Place { shown: prompt::shown(&self.action, &subject), subject, named };
        let patience = Duration::from_millis(self.config.context.start_ms);
        let late = async {
            tokio::select! {
                () = tokio::time::sleep(patience) => {}
                () = self.cancel.cancelled() => {}
            }
        };
        Gather::new(&self.services, &self.config, parses.clone(), place).until(late).await
    }

    /// What the repository asks of agents; read from its files, so on a blocking thread.
    async fn instructions(&self) -> String {
        if !self.services.trusted {
            return String::new();
        }
        let (workspace, subject) = (self.services.workspace.clone(), self.subject.clone());
        let read = tokio::task::spawn_blocking(move || prompt::instructions(&workspace, subject.as_ref()));
        // It comes to nothing only while the runtime goes down.
        read.await.unwrap_or_default()
    }

    fn prepare(
        &self,
        events: &Arc<Events>,
        instructions: &str,
        gathered: Vec<Piece>,
        parses: Arc<Parses>,
    ) -> Result<Plan, OutcomeError> {
        let services = &self.services;
        let chosen = super::models::resolve(&self.config, services.llm.catalogue(), self.model.as_ref())?;
        // In a small window it must leave room for the work.
        let room = self.config.context.start_tokens.min(chosen.info.context_window / 10);
        {
            let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
            let gathered = gather::told(gathered, room, |body| history.has_been_told(body));
            let message = prompt::first_message(
                &self.action,
                self.subject.as_ref(),
                &self.order.prompt,
                &self.order.diagnostics,
                instructions,
                &gathered,
                &services.workspace.roots(),
            );
            history.user(message);
            if let Some(subject) = &self.subject {
                history.seen().given(&services.workspace, &subject.path, &subject.text);
            }
        }
        let tools = services.registry.select(self.action.allowed().as_deref(), &self.config.tools.disabled);
        let context = ToolContext {
            workspace: services.workspace.clone(),
            run: self.run.clone(),
            limits: ToolLimits::of(&self.config.tools),
            diagnostics: services.diagnostics.clone(),
            parses,
            denied: policy::denied(&self.config.permissions).into(),
            commands: services.trusted.then(|| Commands::new(services.sandbox.clone(), self.config.tools.overlay)),
            results: self.results(),
            lists: self.services.lists.clone(),
            together: if self.config.tools.grep.share { Together::new() } else { Together::never() },
            on_staged: self.on_staged(events),
        };
        Ok(Plan {
            run: self.run.clone(),
            thread: self.thread.clone(),
            config: self.config.clone(),
            model: chosen,
            tools,
            context,
            history: self.history.clone(),
            approvals: self.approvals.clone(),
            guesses: prefetch::guesses(self.subject.as_ref()),
            cancel: self.cancel.clone(),
        })
    }

    /// The remembered results, as far as they hold for this run's limits and rules.
    fn results(&self) -> Results {
        let ttl = Duration::from_millis(self.config.tools.cache_ttl_ms);
        let rules = policy::denied(&self.config.permissions);
        let setting = format!("{:?} {rules:?}", ToolLimits::of(&self.config.tools));
        let lists = self.services.lists.clone();
        let clock = move |path: &WsPath| lists.generation(path);
        self.services.results.for_run(ttl, setting, Arc::new(clock))
    }

    /// Shows a staged edit to those who listen.
    fn on_staged(&self, events: &Arc<Events>) -> Arc<dyn Fn(&WsPath) + Send + Sync> {
        let (events, workspace, run) = (events.clone(), self.services.workspace.clone(), self.run.clone());
        let listens = self.services.host.abilities().events;
        Arc::new(move |path| {
            if !listens {
                return;
            }
            let Some(file) = workspace.staged(&run).into_iter().find(|file| file.path == *path) else { return };
            let diff = diff::unified(&file.before, &file.after, &path.to_string(), 3, DIFF_MAX);
            events.emit(EventKind::Staged { uri: file.uri, diff });
        })
    }

    async fn finish(&self, ended: Ended, events: &Events) -> (Outcome, Vec<WsPath>) {
        self.services.ledger.flush();
        let since = self.services.metrics.begin(Op::Propose);
        let Ended { error, cancelled, answer, steps, usage, timing } = ended;
        let status = if cancelled { Status::Cancelled } else { Status::Failed };
        let mut outcome = self.outcome(status, events, error);
        outcome.answer = answer;
        outcome.steps = steps;
        outcome.usage = usage;
        outcome.timing = timing;
        if cancelled || outcome.error.is_some() {
            return (outcome, Vec::new());
        }
        let staged = self.services.workspace.staged(&self.run);
        events.log().proposal(&staged);
        let changed = staged.iter().any(changes);
        if !changed && self.services.workspace.conflicts(&self.run).is_empty() {
            outcome.status = if self.action.edits { Status::Unchanged } else { Status::Answered };
            if outcome.status == Status::Unchanged && staged.is_empty() && !outcome.answer.trim().is_empty() {
                outcome.status = Status::Answered;
            }
            return (outcome, Vec::new());
        }
        if self.config.edits.mode == EditMode::Preview {
            outcome.status = Status::Proposed;
            outcome.files = staged
                .iter()
                .filter(|file| changes(file))
                .map(|file| FileOutcome {
                    uri: file.uri.to_string(),
                    edits: diff::lines(&file.before, &file.after).edits().len().max(1),
                    conflicts: Vec::new(),
                })
                .collect();
            return (outcome, Vec::new());
        }
        events.phase(RunPhase::Applying);
        events.doing("applying");
        let courier = Courier {
            services: &self.services,
            run: &self.run,
            events,
            label: format!("Ropeway: {}", self.title),
            confirm: self.config.edits.mode == EditMode::Confirm,
            what: What::Staged,
            only: None,
            cancel: &self.cancel,
        };
        let mut delivered = courier.deliver(since).await;
        let open = std::mem::take(&mut delivered.open);
        let outcome = judge(outcome, delivered, What::Staged);
        if outcome.status == Status::Applied {
            let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
            history.seen().delivered(&staged);
        }
        (outcome, open)
    }

    fn outcome(&self, status: Status, events: &Events, error: Option<OutcomeError>) -> Outcome {
        let total_ms = events.started().elapsed().as_secs_f64() * 1e3;
        Outcome {
            run_id: self.run.clone(),
            thread_id: self.thread.clone(),
            status,
            answer: String::new(),
            files: Vec::new(),
            steps: 0,
            usage: RunUsage::default(),
            timing: Timing { total_ms, ..Timing::default() },
            error,
        }
    }
}

/// Whether anything is wanted of a staged file.
pub(super) fn changes(file: &StagedFile) -> bool {
    file.kind != StagedKind::Edited || file.before != file.after
}

/// The outcome of a run that panicked.
pub(super) fn broken(task: &Task, events: &Events) -> Outcome {
    let hint = "this is a defect of Ropeway; the log on standard error says where. Nothing was applied";
    events.log().recorder().record(Why { why: "the run broke down".into() }.broken());
    let error = OutcomeError::new(ErrorCode::Internal, "the run broke down", hint);
    task.outcome(Status::Failed, events, Some(error))
}

/// What a delivery makes of an outcome.
pub(super) fn judge(mut outcome: Outcome, delivered: Delivered, what: What) -> Outcome {
    let applied = delivered.applied();
    let conflicts = delivered.conflicts();
    outcome.error = None;
    outcome.status = if delivered.cancelled {
        Status::Cancelled
    } else if delivered.unknown {
        Status::Unknown
    } else if let Some(file) = &delivered.denied {
        let hint = "the file is protected because it decides what other programs do";
        outcome.error =
            Some(OutcomeError::new(ErrorCode::Permission, format!("you did not allow the change of {file}"), hint));
        if applied > 0 { Status::Conflict } else { Status::Failed }
    } else if let Some(why) = &delivered.refused {
        let hint = "look at the file for a read-only buffer or an open dialog, then start the action again";
        outcome.error = Some(OutcomeError::new(ErrorCode::EditRefused, format!("the edit was not taken: {why}"), hint));
        if applied > 0 { Status::Conflict } else { Status::Failed }
    } else if conflicts {
        Status::Conflict
    } else if applied == 0 {
        Status::Unchanged
    } else {
        Status::Applied
    };
    outcome.files = delivered.files;
    if what == What::Undo {
        outcome.answer = match outcome.status {
            Status::Applied => "The run was taken back.".into(),
            Status::Unchanged => "There was nothing left to take back.".into(),
            _ => String::new(),
        };
    }
    outcome
}

/// Says how a run ended: in its progress display, to those who listen, and in a message where something needs one.
pub(super) fn tell(services: &Services, events: &Events, outcome: &Outcome) {
    let host = &services.host;
    let summary = summary(outcome);
    host.progress_end(&outcome.run_id, &summary);
    match (&outcome.error, outcome.status) {
        (Some(error), _) => host.notify(
            Notice::Error,
            if error.hint.is_empty() {
                format!("Ropeway: {}.", error.message)
            } else {
                format!("Ropeway: {}. {}.", error.message.trim_end_matches('.'), capitalised(&error.hint))
            },
        ),
        (None, Status::Conflict) => host.notify(Notice::Warning, format!("Ropeway: {summary}")),
        (None, Status::Unknown) => host.notify(Notice::Warning, format!("Ropeway: {summary}")),
        (None, Status::Answered) if !host.abilities().events => {
            host.show_answer(&outcome.run_id, "Ropeway", &outcome.answer);
        }
        (None, Status::Unchanged) => host.notify(Notice::Info, format!("Ropeway: {summary}")),
        _ => {}
    }
    events.emit(finished(outcome));
}

fn finished(outcome: &Outcome) -> EventKind {
    let mut value = serde_json::to_value(outcome).unwrap_or_default();
    if let Some(fields) = value.as_object_mut() {
        // The event names its run itself.
        fields.remove("runId");
    }
    EventKind::Finished { outcome: value }
}

/// One line about the end of a run.
pub fn summary(outcome: &Outcome) -> String {
    let edits: usize = outcome.files.iter().map(|file| file.edits).sum();
    let files = outcome.files.iter().filter(|file| file.edits > 0).count();
    let left_out: usize = outcome.files.iter().map(|file| file.conflicts.len()).sum();
    let plural = |n: usize, one: &str| if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") };
    match outcome.status {
        Status::Applied => format!("applied {} in {}", plural(edits, "edit"), plural(files, "file")),
        Status::Proposed => format!("{} in {} to look at", plural(edits, "edit"), plural(files, "file")),
        Status::Answered => "answered".into(),
        Status::Unchanged => match outcome.answer.lines().find(|line| !line.trim().is_empty()) {
            Some(line) => format!("nothing to change: {}", line.chars().take(200).collect::<String>()),
            None => "nothing to change".into(),
        },
        Status::Conflict => {
            let place = outcome.files.iter().find_map(|file| {
                let conflict = file.conflicts.first()?;
                Some(format!("; {} line {}", file.uri.rsplit('/').next().unwrap_or_default(), conflict.line + 1))
            });
            format!(
                "applied {}, left out {} where you changed the same text{}",
                plural(edits, "edit"),
                left_out,
                place.unwrap_or_default()
            )
        }
        Status::Unknown => "the editor has not said whether it applied the edits; they will not be sent again".into(),
        Status::Cancelled => "cancelled; nothing was applied".into(),
        Status::Failed => outcome.error.as_ref().map_or_else(|| "failed".into(), |error| error.message.clone()),
    }
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// Waits for an edit that was never answered to show up after all, and says so with a second `finished`.
pub(super) async fn late_proof(
    services: Services,
    events: Arc<Events>,
    outcome: Arc<Outcome>,
    open: Vec<WsPath>,
    patience: Duration,
) {
    let deadline = tokio::time::Instant::now() + patience;
    let mut changes = services.workspace.changes();
    let landed = |path: &WsPath| services.workspace.landed(&outcome.run_id, path) == Landing::Landed;
    loop {
        changes.borrow_and_update();
        if open.iter().all(landed) {
            let mut late = (*outcome).clone();
            late.status = Status::Applied;
            late.files.extend(open.iter().map(|path| FileOutcome { uri: path.uri(), edits: 1, conflicts: Vec::new() }));
            events.emit(finished(&late));
            services.host.notify(Notice::Info, "Ropeway: the edits have been applied after all.".into());
            return;
        }
        if !matches!(tokio::time::timeout_at(deadline, changes.changed()).await, Ok(Ok(()))) {
            return;
        }
    }
}
