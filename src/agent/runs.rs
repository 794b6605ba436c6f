//! The runs there are: started, cancelled, waited for, taken back. This is where their tasks are owned.
//!
//! A run is a task of its own, never a request: `executeCommand` answers with its name at once. A panic in a run ends
//! that run with an error and nothing else.

use std::collections::{HashMap, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use super::action;
use super::approval::Approvals;
use super::events::{Events, Pulse};
use super::history::History;
use super::order::{Order, OrderError};
use super::outcome::{Outcome, Status};
use super::prompt::Subject;
use super::record::Log;
use super::services::Services;
use crate::config::{Config, ModelRef};
use crate::ids::{RunId, ThreadId};
use crate::llm::Message;
use crate::metrics::{Milestone, Op};
use crate::paths::{WsPath, file_path};
use crate::tools::registry::IDLE;

mod compact;
mod decide;
mod probe;
mod recall;
mod recorded;

/// Runs that can still be taken back.
const REMEMBERED: usize = 50;
/// Threads that can be continued.
const THREADS: usize = 100;
/// How long a late proof of an edit without an answer is waited for.
const LATE: Duration = Duration::from_secs(15 * 60);

struct Entry {
    thread: ThreadId,
    events: Arc<Events>,
    title: String,
    cancel: CancellationToken,
    outcome: watch::Receiver<Option<Arc<Outcome>>>,
    /// Whether it is the one that revert without a name means.
    touched: bool,
}

struct Thread {
    history: Arc<Mutex<History>>,
    busy: Option<RunId>,
}

#[derive(Default)]
struct State {
    runs: HashMap<RunId, Entry>,
    order: VecDeque<RunId>,
    threads: HashMap<ThreadId, Thread>,
    recent: VecDeque<ThreadId>,
    model: Option<ModelRef>,
    last: Option<Status>,
    /// The settings whose keys the recorder takes out.
    redacted: Option<Arc<Config>>,
}

/// All runs of one server.
pub struct Runs {
    services: Services,
    state: Mutex<State>,
    tasks: TaskTracker,
    approvals: Approvals,
    closing: CancellationToken,
    /// Whether somebody looks how late the runtime is.
    probing: AtomicBool,
}

/// A run that has been started.
#[derive(Clone, Debug)]
pub struct Started {
    /// Its name.
    pub run: RunId,
    /// Its conversation.
    pub thread: ThreadId,
    outcome: watch::Receiver<Option<Arc<Outcome>>>,
}

impl Started {
    /// Waits for the end.
    pub async fn outcome(mut self) -> Option<Arc<Outcome>> {
        self.outcome.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone())
    }
}

/// A run that has not ended, for the status.
#[derive(Clone, Debug)]
pub struct Active {
    /// Its name.
    pub run: RunId,
    /// What it is, for people.
    pub title: String,
    /// How it stands.
    pub pulse: Pulse,
}

impl Runs {
    /// None yet.
    pub fn new(services: Services) -> Arc<Self> {
        let approvals = Approvals::new(services.sandbox.env());
        let sources = services.config.sources();
        services.workspace.keep_off(sources.user_file().into_iter().chain(sources.env.state_dir()));
        Arc::new(Self {
            services,
            state: Mutex::default(),
            tasks: TaskTracker::new(),
            approvals,
            closing: CancellationToken::new(),
            probing: AtomicBool::new(false),
        })
    }

    /// The parts that runs share.
    pub fn services(&self) -> &Services {
        &self.services
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a run and returns at once. What the place looks like is taken now, before anything is awaited.
    pub fn start(self: &Arc<Self>, order: Order) -> Result<Started, OrderError> {
        if self.closing.is_cancelled() {
            return Err(OrderError::Closing);
        }
        let config = self.config_of(&order);
        let action = action::find(&order.action, &config.actions)
            .ok_or_else(|| OrderError::Action(order.action.clone(), action::names(&config.actions).join(", ")))?;
        let subject = self.subject(&order)?;
        order.check(&action, subject.is_some())?;

        let run = RunId::unused();
        let (thread, history) = self.thread(order.thread.clone(), &run)?;
        let title = super::prompt::title(&action, subject.as_ref(), &order.prompt);
        let cancel = self.closing.child_token();
        let (done, outcome) = watch::channel(None);
        let recorder = self.recorder_of(&run, &thread, &config);
        let log = Log::new(recorder.clone());
        let events = Arc::new(Events::recorded(run.clone(), self.services.host.clone(), log));
        let entry = Entry {
            thread: thread.clone(),
            events: events.clone(),
            title: title.clone(),
            cancel: cancel.clone(),
            outcome: outcome.clone(),
            touched: false,
        };
        {
            let mut state = self.state();
            state.runs.insert(run.clone(), entry);
            state.order.push_back(run.clone());
        }
        self.forget_old();
        self.services.workspace.begin(run.clone());
        self.services.workspace.record(&run, recorder);
        self.services.metrics.set_limits(config.monitor.slow_ms, config.monitor.moderate_ms);
        self.services.metrics.passed(Milestone::FirstRun);

        let model = order.model.clone().or_else(|| action.model.clone()).or_else(|| self.state().model.clone());
        let task = super::task::Task {
            services: self.services.clone(),
            config,
            run: run.clone(),
            thread: thread.clone(),
            action,
            subject,
            order,
            title,
            model,
            history,
            approvals: self.approvals.clone(),
            cancel,
        };
        let runs = self.clone();
        let body = async move {
            let run = task.run.clone();
            let span = super::trace::run(&run, &task.thread, &task.action.id);
            // A panic has been logged by the hook; here it becomes the outcome of this run and of nothing else.
            let ended = AssertUnwindSafe(task.carry_out(&events).instrument(span.clone()))
                .catch_unwind()
                .await
                .unwrap_or_else(|_| (super::task::broken(&task, &events), Vec::new()));
            super::trace::run_ended(&span, &ended.0);
            runs.ended(&run, ended, &events, done);
        };
        self.tasks.spawn(body);
        self.probe();
        self.services.host.status_changed();
        Ok(Started { run, thread, outcome })
    }

    fn ended(
        self: &Arc<Self>,
        run: &RunId,
        (outcome, open): (Outcome, Vec<WsPath>),
        events: &Arc<Events>,
        done: watch::Sender<Option<Arc<Outcome>>>,
    ) {
        let status = outcome.status;
        let total = Duration::from_secs_f64(outcome.timing.total_ms.max(0.0) / 1e3);
        let why = || super::run::row::breakdown(&outcome.timing);
        self.services.metrics.record_why(Op::Run, total, status != Status::Failed, why);
        self.approvals.forget(run);
        self.services.metrics.run_ended(run);
        let outcome = Arc::new(outcome);
        {
            let mut state = self.state();
            if let Some(thread) = state.threads.get_mut(&outcome.thread_id) {
                thread.busy = None;
                recorded::conversation(events, &thread.history);
            }
            state.last = Some(status);
            if let Some(entry) = state.runs.get_mut(run) {
                entry.touched = matches!(status, Status::Applied | Status::Conflict | Status::Unknown);
                // Known before it is told: a client may accept or take back the run the moment it hears of the end.
                // Who waits for the outcome gets it from `done`, after all has been told.
                entry.outcome = watch::channel(Some(outcome.clone())).1;
            }
        }
        if matches!(status, Status::Cancelled | Status::Failed | Status::Answered | Status::Unchanged) {
            self.services.workspace.end(run);
        }
        super::task::tell(&self.services, events, &outcome);
        self.recorded_to_its_end(run, status, events);
        done.send_replace(Some(outcome.clone()));
        self.services.host.status_changed();
        let (registry, closing) = (self.services.registry.clone(), self.closing.clone());
        self.tasks.spawn(async move {
            tokio::select! {
                () = registry.sweep(IDLE) => {}
                () = closing.cancelled() => {}
            }
        });
        if status == Status::Unknown {
            let late = super::task::late_proof(self.services.clone(), events.clone(), outcome, open, LATE);
            let closing = self.closing.clone();
            self.tasks.spawn(async move {
                tokio::select! {
                    () = late => {}
                    () = closing.cancelled() => {}
                }
            });
        }
    }

    /// The settings for an order: those of the root that its file is in.
    fn config_of(&self, order: &Order) -> Arc<Config> {
        let file = order.uri.as_deref().and_then(file_path);
        let path = file.and_then(|file| self.services.workspace.roots().of(&file));
        path.map_or_else(|| self.services.config(), |path| self.services.config.of(&path.absolute()))
    }

    /// The file an order is about, as it is now.
    fn subject(&self, order: &Order) -> Result<Option<Subject>, OrderError> {
        let Some(uri) = &order.uri else { return Ok(None) };
        let workspace = &self.services.workspace;
        let file = file_path(uri).ok_or_else(|| OrderError::File(format!("{uri} is not a file")))?;
        let outside =
            || OrderError::File(format!("{} is not in a workspace folder; open its folder first", file.display()));
        let path = workspace.roots().of(&file).ok_or_else(outside)?;
        let view = workspace.read(None, &path).map_err(|error| OrderError::File(error.to_string()))?;
        let language = workspace.document(uri).map(|document| document.language.to_string()).unwrap_or_default();
        Ok(Some(Subject { path, language, text: view.text, range: order.range, encoding: order.encoding }))
    }

    fn thread(&self, wanted: Option<ThreadId>, run: &RunId) -> Result<(ThreadId, Arc<Mutex<History>>), OrderError> {
        let mut state = self.state();
        let id = match wanted {
            Some(id) if !state.threads.contains_key(&id) => return Err(OrderError::Thread(id)),
            Some(id) => id,
            None => {
                let id = ThreadId::unused();
                let thread = Thread { history: Arc::default(), busy: None };
                state.threads.insert(id.clone(), thread);
                id
            }
        };
        state.recent.retain(|known| *known != id);
        state.recent.push_back(id.clone());
        while state.recent.len() > THREADS {
            let Some(oldest) = state.recent.pop_front() else { break };
            match state.threads.get(&oldest) {
                Some(thread) if thread.busy.is_some() => {
                    state.recent.push_back(oldest);
                    break;
                }
                _ => state.threads.remove(&oldest),
            };
        }
        let Some(thread) = state.threads.get_mut(&id) else { return Err(OrderError::Thread(id)) };
        if thread.busy.is_some() {
            return Err(OrderError::Busy(id));
        }
        thread.busy = Some(run.clone());
        Ok((id, thread.history.clone()))
    }

    /// Runs that ended long ago can no longer be taken back.
    fn forget_old(&self) {
        let mut forgotten = Vec::new();
        {
            let mut state = self.state();
            while state.order.len() > REMEMBERED {
                let ended = |state: &State, run: &RunId| {
                    state.runs.get(run).is_none_or(|entry| entry.outcome.borrow().is_some())
                };
                let Some(at) = state.order.iter().position(|run| ended(&state, run)) else { break };
                let Some(run) = state.order.remove(at) else { break };
                state.runs.remove(&run);
                forgotten.push(run);
            }
        }
        for run in forgotten {
            self.services.workspace.end(&run);
        }
    }

    /// Cancels one run, or all. Returns those that were still going on.
    pub fn cancel(&self, run: Option<&RunId>) -> Vec<RunId> {
        let state = self.state();
        let mut cancelled: Vec<RunId> = state
            .runs
            .iter()
            .filter(|(id, entry)| run.is_none_or(|run| run == *id) && entry.outcome.borrow().is_none())
            .map(|(id, entry)| {
                entry.cancel.cancel();
                id.clone()
            })
            .collect();
        cancelled.sort();
        cancelled
    }

    /// Runs that have not ended, oldest first.
    pub fn active(&self) -> Vec<Active> {
        let state = self.state();
        let of = |run: &RunId| {
            let entry = state.runs.get(run).filter(|entry| entry.outcome.borrow().is_none())?;
            Some(Active { run: run.clone(), title: entry.title.clone(), pulse: entry.events.pulse() })
        };
        state.order.iter().filter_map(of).collect()
    }

    /// How the run that ended last did.
    pub fn last_status(&self) -> Option<Status> {
        self.state().last
    }

    /// A conversation as it would be sent now; without a name, the one that was used last.
    pub fn conversation(&self, thread: Option<&ThreadId>) -> Result<(ThreadId, Vec<Message>), OrderError> {
        let state = self.state();
        let id = thread.or(state.recent.back()).ok_or(OrderError::Missing("there is no conversation yet"))?;
        let entry = state.threads.get(id).ok_or_else(|| OrderError::Thread(id.clone()))?;
        let history = entry.history.lock().unwrap_or_else(PoisonError::into_inner);
        Ok((id.clone(), history.to_send()))
    }

    /// The thread of a run.
    pub fn thread_of(&self, run: &RunId) -> Option<ThreadId> {
        self.state().runs.get(run).map(|entry| entry.thread.clone())
    }

    /// The model that was chosen by command, if any.
    pub fn chosen_model(&self) -> Option<ModelRef> {
        self.state().model.clone()
    }

    /// Work that opens a connection to the model that a run would ask now, so that it is there when one starts; nothing
    /// where there is none to do, or nobody vouches for the settings.
    pub fn warm(&self) -> Option<impl Future<Output = ()> + Send + 'static + use<>> {
        if !self.services.trusted {
            return None;
        }
        let config = self.services.config();
        let provider = match self.chosen_model() {
            Some(model) => config.provider_of(&model).ok()?,
            None => config.selected().ok()?.1,
        };
        self.services.llm.warm(provider)
    }

    /// Chooses the model for the runs that start from now on.
    pub fn choose_model(&self, model: ModelRef) {
        self.state().model = Some(model);
        self.services.host.status_changed();
    }

    /// Cancels everything and waits for it, at most `grace`.
    pub async fn shut_down(&self, grace: Duration) {
        self.closing.cancel();
        self.tasks.close();
        // Past the grace the process ends anyway, and the tasks with it.
        let _ = tokio::time::timeout(grace, self.tasks.wait()).await;
    }
}
