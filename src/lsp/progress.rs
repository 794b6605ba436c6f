//! The progress display of a run, which is also its cancel button.
//!
//! A client may refuse or never answer `window/workDoneProgress/create`, and a run does not wait for it: until the
//! answer is there only the latest message is remembered. Reports are at most ten a second, none follows the end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::outbound::Outbound;
use crate::ids::RunId;

/// Least time between two reports of one display.
const PACE: Duration = Duration::from_millis(100);
/// Longest message, in characters.
const MAX_MESSAGE: usize = 300;

/// The displays of a session; copies share them.
#[derive(Clone)]
pub struct Progress {
    outbound: Outbound,
    runtime: Handle,
    enabled: bool,
    shown: Arc<Mutex<HashMap<RunId, Display>>>,
}

struct Display {
    title: String,
    begun: bool,
    /// What waits to be said.
    waiting: Option<String>,
    /// When something was last said.
    said: Option<Instant>,
    /// Whether a task will say what waits.
    timed: bool,
}

impl Progress {
    /// Displays for a client; `enabled` is whether it can show any.
    pub fn new(outbound: Outbound, runtime: Handle, enabled: bool) -> Self {
        Self { outbound, runtime, enabled, shown: Arc::default() }
    }

    /// The run that a token of the client names.
    pub fn run_of(token: &Value) -> Option<RunId> {
        token.as_str()?.strip_prefix("ropeway/").map(RunId::from)
    }

    /// Begins a display.
    pub fn begin(&self, run: &RunId, title: &str) {
        if !self.enabled {
            return;
        }
        let display = Display { title: cut(title), begun: false, waiting: None, said: None, timed: false };
        self.lock().insert(run.clone(), display);
        let answer = self.outbound.request("window/workDoneProgress/create", json!({ "token": token(run) }));
        let (this, run) = (self.clone(), run.clone());
        self.runtime.spawn(async move {
            match answer.await {
                Ok(_) => this.created(&run),
                Err(error) => {
                    tracing::debug!(%error, "the editor shows no progress");
                    this.lock().remove(&run);
                }
            }
        });
    }

    /// Says what the run does now.
    pub fn report(&self, run: &RunId, message: &str) {
        let mut shown = self.lock();
        let Some(display) = shown.get_mut(run) else { return };
        display.waiting = Some(cut(message));
        if !display.begun || display.timed {
            return;
        }
        let now = Instant::now();
        match display.said.map(|said| said + PACE).filter(|due| *due > now) {
            None => self.say(run, display, now),
            Some(due) => {
                display.timed = true;
                let (this, run) = (self.clone(), run.clone());
                self.runtime.spawn(async move {
                    tokio::time::sleep_until(due).await;
                    if let Some(display) = this.lock().get_mut(&run) {
                        display.timed = false;
                        this.say(&run, display, Instant::now());
                    }
                });
            }
        }
    }

    /// Ends a display.
    pub fn end(&self, run: &RunId, message: &str) {
        // The guard is held while the end is queued, so that no report can come behind it.
        let mut shown = self.lock();
        if shown.remove(run).is_some_and(|display| display.begun) {
            self.notify(run, &json!({"kind": "end", "message": cut(message)}));
        }
    }

    fn created(&self, run: &RunId) {
        let mut shown = self.lock();
        let Some(display) = shown.get_mut(run) else { return };
        display.begun = true;
        display.said = Some(Instant::now());
        let mut begin = json!({"kind": "begin", "title": display.title, "cancellable": true});
        if let Some(message) = display.waiting.take() {
            begin["message"] = message.into();
        }
        self.notify(run, &begin);
    }

    fn say(&self, run: &RunId, display: &mut Display, now: Instant) {
        if let Some(message) = display.waiting.take() {
            display.said = Some(now);
            let token = token(run);
            let report = json!({"token": token, "value": {"kind": "report", "cancellable": true, "message": message}});
            self.outbound.notify_lossy(Some(&token), "$/progress", report);
        }
    }

    fn notify(&self, run: &RunId, value: &Value) {
        self.outbound.notify("$/progress", json!({"token": token(run), "value": value}));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RunId, Display>> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn token(run: &RunId) -> String {
    format!("ropeway/{run}")
}

fn cut(text: &str) -> String {
    text.chars().take(MAX_MESSAGE).collect()
}
