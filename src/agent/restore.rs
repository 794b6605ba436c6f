//! What earlier sessions left behind: conversations that can be gone on with, and edits that were never applied.
//!
//! All of it is read from the recordings, and only when somebody asks for it: a start-up reads nothing. `said` turns
//! what is recorded into messages, `thread` finds a conversation again, `leftover` the edits of a run that ended, or was
//! ended, before they were delivered. What a session left is the business of its own workspace and of no other: a
//! recording counts only if one of its folders is open now.

pub mod leftover;
pub mod said;
pub mod thread;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::paths::Roots;
use crate::trajectory::read::{Item, RunHead, Store};
use crate::trajectory::record::Event;

/// Records among which the head of a session is.
const HEAD: usize = 3;

/// The recordings that concern the folders that are open now. Everything blocks.
pub struct Archive {
    store: Store,
    roots: Vec<PathBuf>,
}

impl Archive {
    /// The recordings in the state directory; `None` where there are none.
    pub fn open(state_dir: &Path, roots: &Roots) -> Option<Self> {
        let roots = roots.iter().map(|root| root.path().to_owned()).collect();
        match Store::open(state_dir) {
            Ok(store) => store.map(|store| Self { store, roots }),
            Err(error) => {
                tracing::warn!(%error, "what earlier sessions recorded cannot be read");
                None
            }
        }
    }

    /// The recorded runs of these folders, newest first.
    pub fn runs(&self) -> Vec<RunHead> {
        let mut runs = self.store.runs().unwrap_or_else(|error| {
            tracing::warn!(%error, "the recorded runs cannot be listed");
            Vec::new()
        });
        let mut ours: HashMap<String, bool> = HashMap::new();
        runs.retain(|run| *ours.entry(run.session.clone()).or_insert_with_key(|session| self.is_ours(session)));
        runs
    }

    /// Whether a session worked in one of these folders.
    fn is_ours(&self, session: &str) -> bool {
        let Ok(records) = self.store.session(session) else { return false };
        let head = records.take(HEAD).find_map(|item| match item {
            Item::Record(record) => match record.event {
                Event::Session(head) => Some(head),
                _ => None,
            },
            Item::Damage(_) => None,
        });
        head.is_some_and(|head| {
            head.roots.iter().any(|root| self.roots.iter().any(|open| open == Path::new(&root.path)))
        })
    }
}
