//! The agent of one session: put together once the client has introduced itself, and told what the session hears.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::following;
use super::leftovers::{self, Leftovers};
use super::problems::{self, Board};
use super::session::{Session, Touch};
use super::status::StatusLine;
use crate::agent::budget::ledger::Ledger;
use crate::agent::readout;
use crate::agent::record;
use crate::agent::runs::Runs;
use crate::agent::services::Services;
use crate::config::{Config, ConfigStore, Loaded, RecordingConfig, Severity, Sources};
use crate::host::{Host, Notice};
use crate::llm::client::{Client, ClientSettings};
use crate::metrics::{Metrics, Milestone, Op};
use crate::tokens::counter::{Counter, REMEMBERED};
use crate::tools::cache::ResultStore;
use crate::tools::diagnostics::Diagnostics;
use crate::tools::kept::Lists;
use crate::tools::registry::Registry;
use crate::tools::sandbox::Sandbox;
use crate::tools::scheduler::Scheduler;
use crate::trajectory::recorder::Recorder;
use crate::watch::Unwatched;
use crate::watch::files::FileWatch;

/// How long runs may take to end when the session does.
const GRACE: Duration = Duration::from_secs(2);
/// How long the recorder may take to write what it has left.
const LAST_RECORDS: Duration = Duration::from_secs(2);

/// The agent and what the handlers need of it.
pub struct Agent {
    /// The runs.
    pub runs: Arc<Runs>,
    /// Configuration.
    pub config: Arc<ConfigStore>,
    /// What the editor last reported.
    pub diagnostics: Arc<Diagnostics>,
    status: StatusLine,
    /// What is shown of the configuration's problems.
    pub(super) board: Board,
    /// The last part of the user's file's path.
    pub(super) user_file_name: Option<String>,
    /// Follows the configuration's files.
    pub(super) watch: OnceLock<FileWatch>,
    /// Why not all of them can be watched; set once the user knows.
    pub(super) unwatched: OnceLock<Unwatched>,
    /// The latest turn of the client's settings that counts.
    settings_turn: AtomicU64,
    /// Held while a configuration takes effect, so that an older one never comes last: how is recorded now.
    recording: Mutex<(RecordingConfig, Option<PathBuf>)>,
}

/// What a session keeps to make its agent at the first need: a session that only edits never pays for one.
#[derive(Default)]
pub struct Seat {
    sources: OnceLock<Sources>,
    sandbox: OnceLock<Arc<Sandbox>>,
    agent: OnceLock<Arc<Agent>>,
    /// Times that the client's settings were asked for or pushed.
    settings_turns: AtomicU64,
    pub(super) leftovers: Leftovers,
}

impl Agent {
    fn new(session: &Arc<Session>, host: Arc<dyn Host>, mut sources: Sources, trusted: Option<bool>) -> Arc<Self> {
        let client = session.client();
        sources.set_roots(session.workspace.roots().iter().map(|root| root.path().to_owned()));
        sources.init_settings = client.and_then(|client| client.capabilities.settings.clone());
        sources.trusted = trusted;
        let sandbox = session.seat.sandbox.get().cloned().unwrap_or_else(|| Sandbox::new(&sources.env));
        let config = Arc::new(ConfigStore::new(sources));
        let current = config.current();
        let metrics = session.workspace.metrics().clone();
        loaded(&metrics, &config.loaded());
        let diagnostics = Arc::new(Diagnostics::default());
        let recording = (current.recording.clone(), current.state_dir.clone());
        let runs = Runs::new(Services {
            recorder: recorder(session, &current, &host),
            workspace: session.workspace.clone(),
            config: config.clone(),
            llm: Client::new(ClientSettings { metrics: metrics.clone(), ..(&*current).into() }),
            registry: Registry::builtin(),
            scheduler: Scheduler::new(current.tools.parallel()),
            results: ResultStore::new(),
            lists: Lists::default(),
            outlines: Arc::default(),
            parses: Arc::default(),
            sandbox,
            diagnostics: diagnostics.clone(),
            host,
            counter: Counter::new(REMEMBERED),
            calibration: Arc::default(),
            ledger: Ledger::new(session.options.state_dir.clone()),
            metrics,
            trusted: trusted != Some(false),
            playback: None,
        });
        runs.services().follow(&current);
        if !current.tools.preload.is_empty() {
            let (registry, config) = (runs.services().registry.clone(), current);
            session.runtime.spawn_blocking(move || {
                // What is no tool's name is told where it stands in the configuration.
                registry.preload(&config.tools.preload);
            });
        }
        let wants = client.is_some_and(|client| client.capabilities.status);
        let status = StatusLine::start(session, runs.clone(), wants);
        session.workspace.metrics().passed(Milestone::Agent);
        let user_file = config.sources().user_file();
        Arc::new(Self {
            user_file_name: user_file.and_then(|file| Some(file.file_name()?.to_str()?.to_owned())),
            runs,
            config,
            diagnostics,
            status,
            board: Board::default(),
            watch: OnceLock::new(),
            unwatched: OnceLock::new(),
            settings_turn: AtomicU64::new(0),
            recording: Mutex::new(recording),
        })
    }

    /// Looks at the configuration's files; says whether something has changed, which is in force then.
    pub(super) fn refresh(&self, session: &Session) -> bool {
        let changed = self.config.refresh().is_some();
        if changed {
            self.take_effect(session);
        }
        changed
    }

    /// The configuration in force is another one: what was set up by the old one follows. Runs keep theirs.
    fn take_effect(&self, session: &Session) {
        let mut recording = self.recording.lock().unwrap_or_else(PoisonError::into_inner);
        let (config, services) = (self.config.current(), self.runs.services());
        services.follow(&config);
        let now = (config.recording.clone(), config.state_dir.clone());
        if *recording != now {
            services.recorder.replace(&recorder(session, &config, &services.host));
            *recording = now;
        }
        loaded(&services.metrics, &self.config.loaded());
        self.status.changed();
    }

    /// The whole readout.
    pub async fn stats(&self, session: &Session) -> Value {
        let mut record = readout::stats(&self.runs).await;
        let out = session.outbound.waiting();
        record["queues"]["in"] = json!({ "waiting": session.waiting() });
        record["queues"]["out"] = json!({
            "messages": out.messages, "bytes": out.bytes, "peakBytes": out.peak, "dropped": out.dropped,
        });
        record
    }
}

impl Session {
    /// The agent; `None` before the client has introduced itself.
    pub fn agent(self: &Arc<Self>) -> Option<&Arc<Agent>> {
        let client = self.client()?;
        Some(self.seat.agent.get_or_init(|| {
            let sources = self.seat.sources.get().cloned().unwrap_or_default();
            Agent::new(self, client.host.clone(), sources, client.capabilities.trusted)
        }))
    }

    fn seated(&self) -> Option<&Arc<Agent>> {
        self.seat.agent.get()
    }
}

/// Gives a session its agent. Called before the first message.
pub fn attach(session: &Arc<Session>, sources: Sources) {
    // Only the first call counts; there is one.
    let _ = session.seat.sources.set(sources);
    let callbacks = &session.callbacks;
    let weak = || Arc::downgrade(session);

    let here = weak();
    let _ = callbacks.cancelled.set(Box::new(move |run| {
        if let Some(session) = here.upgrade()
            && let Some(agent) = session.seated()
        {
            agent.runs.cancel(Some(run));
        }
    }));
    let here = weak();
    let _ = callbacks.status_changed.set(Box::new(move || {
        if let Some(session) = here.upgrade()
            && let Some(agent) = session.seated()
        {
            agent.status.changed();
        }
    }));
    let here = weak();
    let _ = callbacks.roots_changed.set(Box::new(move || {
        let Some(session) = here.upgrade() else { return };
        if session.seated().is_some() {
            reload(&session, None);
        }
    }));
    let here = weak();
    let _ = callbacks.settings_changed.set(Box::new(move |params| {
        let Some(session) = here.upgrade() else { return };
        reload(&session, Some(params));
    }));
    let here = weak();
    let _ = callbacks.document.set(Box::new(move |uri, touch| {
        let Some(session) = here.upgrade() else { return };
        if touch == Touch::Opened {
            leftovers::opened(&session, uri);
        }
        if let Some(agent) = session.seated() {
            problems::touched(&session, agent, uri, touch);
        }
    }));
    let here = weak();
    let _ = callbacks.ready.set(Box::new(move || {
        let Some(session) = here.upgrade() else { return };
        ready(&session);
    }));
    let here = weak();
    let _ = callbacks.ended.set(Box::new(move || {
        if let Some(session) = here.upgrade()
            && let Some(agent) = session.seated()
        {
            if let Some(watch) = agent.watch.get() {
                watch.stop();
            }
            session.runtime.block_on(agent.runs.shut_down(GRACE));
            agent.runs.services().ledger.write();
            agent.runs.services().recorder.close(LAST_RECORDS);
        }
    }));
}

/// Has a session's agent run its commands there. Called before the first message, by a process that is not Ropeway
/// itself and so cannot be its own helper.
pub fn run_commands_in(session: &Arc<Session>, sandbox: Arc<Sandbox>) {
    // Only the first call counts; there is one.
    let _ = session.seat.sandbox.set(sandbox);
}

/// The client may be asked things now: its settings are fetched, and what is wrong with the files is said.
fn ready(session: &Arc<Session>) {
    let Some(client) = session.client() else { return };
    if client.capabilities.settings_registered {
        // Some clients tell of changed settings only whoever asks to be told. The answer says nothing.
        let registration = json!({
            "id": "ropeway-settings",
            "method": "workspace/didChangeConfiguration",
            "registerOptions": { "section": "ropeway" },
        });
        drop(session.outbound.request("client/registerCapability", json!({ "registrations": [registration] })));
    }
    if client.capabilities.configuration {
        reload(session, Some(Value::Null));
    } else {
        let here = session.clone();
        session.runtime.spawn_blocking(move || {
            let Some(agent) = here.agent() else { return };
            problems::publish(&here);
            following::follow(&here, agent);
        });
    }
}

/// Reads the layers again: files off the reader's thread, the client's settings by asking, or as they were pushed.
fn reload(session: &Arc<Session>, pushed: Option<Value>) {
    // Both on the reader's thread, so in the order of the client's words.
    let turn = session.seat.settings_turns.fetch_add(1, Ordering::Relaxed) + 1;
    let ask = pushed.is_some() && session.client().is_some_and(|client| client.capabilities.configuration);
    let question = json!({ "items": [{ "section": "ropeway" }] });
    let asked = ask.then(|| session.outbound.request("workspace/configuration", question));
    let here = session.clone();
    session.runtime.spawn(async move {
        let settings = match (asked, pushed) {
            (Some(answer), _) => answer.await.ok().map(|answer| answer.get(0).cloned().unwrap_or_default()),
            (None, Some(params)) => params.get("settings").cloned(),
            (None, None) => None,
        };
        let work = move || {
            let Some(agent) = here.agent() else { return };
            agent.config.update(|sources| {
                // Looked up here, where one comes after the other: the last one sees the last folders.
                sources.set_roots(here.workspace.roots().iter().map(|root| root.path().to_owned()));
                // Answers may come, and be taken in, in another order than they were asked for.
                if let Some(settings) = settings
                    && agent.settings_turn.fetch_max(turn, Ordering::Relaxed) < turn
                {
                    sources.client_settings = Some(settings);
                }
            });
            agent.take_effect(&here);
            problems::forget_files(agent);
            problems::publish(&here);
            following::follow(&here, agent);
        };
        if let Err(error) = tokio::task::spawn_blocking(work).await {
            tracing::error!(%error, "the configuration could not be read again");
        }
    });
}

/// Records what the session does as this configuration wants it.
fn recorder(session: &Session, config: &Config, host: &Arc<dyn Host>) -> Recorder {
    let known = session.client().map(|client| &client.capabilities).filter(|known| !known.client_name.is_empty());
    let editor = known.map(|known| format!("{} {}", known.client_name, known.client_version).trim().to_owned());
    let about = record::about(&session.options.version, &session.workspace.roots(), editor);
    record::recorder(config, session.options.state_dir.as_deref(), about, host, session.workspace.metrics())
}

/// Notes a reading of the configuration, and what it says of slow operations.
fn loaded(metrics: &Metrics, read: &Loaded) {
    let sound = read.problems.iter().all(|problem| problem.severity < Severity::Error);
    metrics.record_why(Op::ConfigLoad, read.took, sound, || "the files were read and the layers put together".into());
    metrics.set_limits(read.config.monitor.slow_ms, read.config.monitor.moderate_ms);
}

/// Shows one line to the user, where there is one to show it to.
pub(super) fn warn(session: &Arc<Session>, message: String) {
    if let Some(client) = session.client() {
        client.host.notify(Notice::Warning, message);
    }
}
