//! The text of every file as the user and each run see it: staged, else open in the editor, else on disk.
//!
//! `store` follows the editor's documents, one keystroke in microseconds. `staging` keeps what each run wants to
//! change and `follow` carries that over whatever the user types meanwhile. `delivery` turns it into edits against the
//! versions that the editor has now, and recognises them when they come back. `undo` takes a run's edits back and
//! nothing else. `view` is how tools read; `protected` says what no tool may stage. `witness` tells the recorder.
//!
//! One std mutex guards all of it. No method keeps it while it waits for the disk or compares whole texts, but for
//! `open`, which gets a whole text anyway.

mod carry;
pub mod delivery;
pub mod document;
mod entry;
mod follow;
mod landing;
mod operations;
pub mod protected;
pub mod staging;
pub mod stamp;
mod store;
mod undo;
pub mod view;
mod witness;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::disk::Disk;
use crate::ids::RunId;
use crate::metrics::Metrics;
use crate::paths::{DocKey, PathError, Roots, WsPath, beneath, file_path};

pub use self::delivery::{Delivery, DeliveryOp, Landing};
pub use self::document::{ContentChange, Document, Snapshot, Sync};
pub use self::entry::Conflict;
pub use self::protected::{Protection, classify, is_secret};
pub use self::staging::{StageError, Staged, StagedFile, StagedKind};
pub use self::stamp::Look;
pub use self::view::{Body, FileView, Glance, Overlaid, Overlay, ReadError, Seen, Source};

use self::entry::Area;
use self::store::Slot;

/// The editor's documents, the runs' staged edits, and the door to the disk.
#[derive(Debug)]
pub struct Workspace {
    disk: Arc<Disk>,
    metrics: Arc<Metrics>,
    state: Mutex<State>,
    bell: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    roots: Roots,
    /// What readers get a pointer to.
    documents: Snapshot,
    /// What only we need to know of each open document.
    slots: HashMap<DocKey, Slot>,
    /// The key of each open document by its URI as the client spells it, so that a keystroke parses no URI.
    uris: HashMap<Arc<str>, DocKey>,
    /// Documents that the client changed without having opened them: their text is unknown.
    strangers: HashSet<DocKey>,
    runs: BTreeMap<RunId, Area>,
    /// Runs that ended but left something to recognise or to take back, oldest first.
    ended: Vec<RunId>,
    /// Files and folders that configure Ropeway.
    kept_off: Arc<[PathBuf]>,
    /// Counts what must be told apart: openings of documents, states of staged files, landings.
    counter: u64,
}

impl Workspace {
    /// A workspace without roots or documents.
    pub fn new(disk: Arc<Disk>) -> Arc<Self> {
        Arc::new(Self { disk, metrics: Metrics::new(), state: Mutex::default(), bell: watch::Sender::new(0) })
    }

    /// The numbers of the process, which all above the workspace add to.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// The door to the disk.
    pub fn disk(&self) -> &Arc<Disk> {
        &self.disk
    }

    /// Sets the folders that the client has open; documents find their place in them anew.
    pub fn set_roots(&self, roots: Roots) {
        let mut state = self.lock();
        state.roots = roots;
        state.place_documents();
    }

    /// The folders that the client has open.
    pub fn roots(&self) -> Roots {
        self.lock().roots.clone()
    }

    /// Names files and folders that no run may change, because Ropeway itself obeys them. They need not exist.
    pub fn keep_off(&self, places: impl IntoIterator<Item = PathBuf>) {
        let real = |place: PathBuf| std::fs::canonicalize(&place).unwrap_or(place);
        let places: Arc<[PathBuf]> = places.into_iter().map(real).collect();
        self.lock().kept_off = places;
    }

    fn kept_off(&self) -> Arc<[PathBuf]> {
        self.lock().kept_off.clone()
    }

    /// Counts the changes of documents (opened, changed, closed, saved): await it to look again.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.bell.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self) {
        self.bell.send_modify(|count| *count += 1);
    }

    /// The name that all spellings of one file have in common.
    fn real(&self, path: &WsPath) -> Result<WsPath, PathError> {
        beneath::real(path)
    }
}

impl State {
    fn next(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    /// The open document at `path`, which has no links in it.
    fn open_at(&self, path: &WsPath) -> Option<&Arc<Document>> {
        if self.documents.is_empty() { None } else { self.documents.get(&key_of(path)) }
    }
}

/// The key of the document with this URI, and its path if it is in the workspace. Follows links, so that two names of
/// one file have one key.
fn place(roots: &Roots, uri: &str) -> (DocKey, Option<WsPath>) {
    let path = file_path(uri).and_then(|path| roots.of(&path));
    match path.map(|path| beneath::real(&path).unwrap_or(path)) {
        Some(path) => (key_of(&path), Some(path)),
        None => (DocKey::of_uri(uri), None),
    }
}

fn key_of(path: &WsPath) -> DocKey {
    DocKey::of_path(&path.absolute())
}
