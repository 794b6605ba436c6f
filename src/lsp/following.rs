//! Keeps the configuration in step with its files while nobody asks: saved by whatever program, they take effect, and
//! what is wrong with them is shown.
//!
//! Nothing relies on being told: a run looks at the files once more before it begins.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;

use super::agent::Agent;
use super::problems;
use super::session::Session;
use crate::watch::Unwatched;
use crate::watch::files::FileWatch;

/// What a repository tells agents.
const INSTRUCTIONS: &str = "AGENTS.md";

/// Follows the files of the configuration and the roots' instructions from now on, or those there are now. Blocks for
/// some system calls.
pub(super) fn follow(session: &Arc<Session>, agent: &Arc<Agent>) {
    let here = Arc::downgrade(session);
    let watch = agent.watch.get_or_init(|| {
        let changed = move || {
            if let Some(session) = here.upgrade() {
                look(&session);
            }
        };
        FileWatch::start(&session.runtime, session.options.watched_folders, Arc::new(changed))
    });
    watch.set(files(session, agent));
    // What happened between the first reading and the watch.
    look(session);
}

/// Every file that is followed.
fn files(session: &Session, agent: &Agent) -> Vec<PathBuf> {
    let roots = session.workspace.roots();
    let instructions = roots.iter().map(|root| root.path().join(INSTRUCTIONS));
    agent.config.sources().files().chain(instructions).collect()
}

/// Something may have changed. On a blocking thread.
fn look(session: &Arc<Session>) {
    let Some(agent) = session.agent() else { return };
    if agent.refresh(session) {
        tracing::debug!("the configuration has changed");
        problems::publish(session);
    }
    let roots = session.workspace.roots();
    for path in roots.iter().filter_map(|root| roots.of(&root.path().join(INSTRUCTIONS))) {
        // Read ahead: the next run finds it in memory. There need not be one.
        session.workspace.read(None, &path).ok();
    }
    if let Some(why) = agent.watch.get().and_then(FileWatch::unwatched) {
        notice(session, agent, why);
    }
}

/// Says once that files are looked at instead of being watched.
fn notice(session: &Arc<Session>, agent: &Agent, why: Unwatched) {
    if agent.unwatched.set(why).is_err() {
        return;
    }
    let why = match why {
        Unwatched::Limit => {
            "the system allows no more watches; raise fs.inotify.max_user_watches or max_user_instances"
        }
        Unwatched::Remote => "they are on a file system that other machines may change",
        Unwatched::System | Unwatched::Folder => "this system has no watcher",
    };
    let message = format!("Ropeway looks at its configuration files now and then instead of watching them: {why}.");
    tracing::info!(message);
    // Nothing has to be done, so nothing pops up.
    session.outbound.notify_lossy(None, "window/logMessage", json!({ "type": 3, "message": message }));
}
