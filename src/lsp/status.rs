//! `ropeway/status`: the status record, at most so often a second, and once more when all has come to rest.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::Notify;

use super::session::Session;
use crate::agent::readout;
use crate::agent::runs::Runs;

/// Tells the client how things stand, if it wants to know.
pub struct StatusLine {
    changed: Option<Arc<Notify>>,
}

impl StatusLine {
    /// Begins to tell; with `wants` false it never says anything.
    pub fn start(session: &Arc<Session>, runs: Arc<Runs>, wants: bool) -> Self {
        if !wants {
            return Self { changed: None };
        }
        let changed = Arc::new(Notify::new());
        let (heard, session) = (changed.clone(), Arc::downgrade(session));
        session_runtime(&session).map(|runtime| runtime.spawn(tell(heard, session, runs)));
        // The first one says that we are there.
        changed.notify_one();
        Self { changed: Some(changed) }
    }

    /// Something that the record shows has changed.
    pub fn changed(&self) {
        if let Some(changed) = &self.changed {
            changed.notify_one();
        }
    }
}

fn session_runtime(session: &Weak<Session>) -> Option<tokio::runtime::Handle> {
    session.upgrade().map(|session| session.runtime.clone())
}

/// While runs are active the record is sent at each tick, because latencies and tokens move without anyone saying so;
/// else only after a change. A change during the pause is remembered by the `Notify`, so the last state always goes out.
/// How long the pause is, is asked each time: an edited setting holds at once.
async fn tell(changed: Arc<Notify>, session: Weak<Session>, runs: Arc<Runs>) {
    loop {
        if runs.active().is_empty() {
            changed.notified().await;
        }
        let Some(session) = session.upgrade() else { return };
        session.outbound.notify_lossy(Some("status"), "ropeway/status", readout::status(&runs));
        drop(session);
        let hz = runs.services().config().monitor.status_hz.max(0.1);
        tokio::time::sleep(Duration::from_secs_f64(1.0 / hz)).await;
    }
}
