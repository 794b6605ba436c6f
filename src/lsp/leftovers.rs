//! Edits of earlier sessions that were never applied, offered when one of their files is opened.
//!
//! The recordings are looked at when the first file is opened, once, and beside everything else: neither a start nor an
//! opening waits for them.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::session::Session;
use crate::ids::RunId;
use crate::paths::file_path;

/// Files that were opened while the recordings were looked at.
const WAITING: usize = 1_000;

/// What is known of them.
#[derive(Default)]
pub(super) struct Leftovers(Mutex<State>);

#[derive(Default)]
enum State {
    #[default]
    Unknown,
    /// Somebody looks; these were opened meanwhile.
    Looking(Vec<String>),
    /// The runs, each with its files.
    Known(Vec<(RunId, Vec<PathBuf>)>),
}

impl Leftovers {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A document was opened. Does not block.
pub(super) fn opened(session: &Arc<Session>, uri: &str) {
    // What a repository that nobody vouches for can bring about is not done again without being asked for.
    if session.client().is_none_or(|client| client.capabilities.trusted == Some(false)) {
        return;
    }
    let mut state = session.seat.leftovers.state();
    match &mut *state {
        State::Known(left) if left.is_empty() => {}
        State::Known(_) => {
            let (here, uri) = (session.clone(), uri.to_owned());
            session.runtime.spawn(async move { offer(&here, &uri).await });
        }
        State::Looking(waiting) if waiting.len() < WAITING => waiting.push(uri.to_owned()),
        State::Looking(_) => {}
        State::Unknown => {
            *state = State::Looking(vec![uri.to_owned()]);
            let here = session.clone();
            session.runtime.spawn(async move { look(&here).await });
        }
    }
}

async fn look(session: &Arc<Session>) {
    let here = session.clone();
    // The first to need an agent makes it, and reads the configuration for that.
    let agent = tokio::task::spawn_blocking(move || here.agent().cloned()).await;
    let found = match agent {
        Ok(Some(agent)) => agent.runs.unfinished().await,
        _ => Vec::new(),
    };
    let before = std::mem::replace(&mut *session.seat.leftovers.state(), State::Known(found));
    let State::Looking(waiting) = before else { return };
    for uri in waiting {
        offer(session, &uri).await;
    }
}

/// Offers what there is about the document `uri`.
async fn offer(session: &Arc<Session>, uri: &str) {
    let (Some(agent), Some(path)) = (session.agent().cloned(), file_path(uri)) else { return };
    // As the folders spell it.
    let path = session.workspace.roots().of(&path).map_or(path, |path| path.absolute());
    loop {
        let left = {
            let mut state = session.seat.leftovers.state();
            let State::Known(all) = &mut *state else { return };
            let at = all.iter().position(|(_, files)| files.contains(&path));
            at.map(|at| all.remove(at))
        };
        match left {
            Some((run, _)) => agent.runs.offer(run).await,
            None => return,
        }
    }
}
