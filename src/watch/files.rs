//! A few files that others save: whoever asked is told soon after, whatever way they were saved.
//!
//! Watched are the folders that hold a file, a link on the way to it or, where the folder is not there (yet, or any
//! more), the nearest one above: never what is below them. After each burst of events the folders are worked out anew,
//! so that a folder that was removed and made again, or a link that leads elsewhere, is followed. Where a folder cannot
//! be watched the files are looked at every now and then instead. Whoever uses the files should look once more anyway:
//! that a folder further up has got another name, nobody tells.
//!
//! The system is watched by the crate `notify`, one thread of which reads the events; it begins with the first file.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::OsString;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{ErrorKind, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::runtime::Handle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Unwatched;
use crate::paths::Root;

/// So long nothing may have happened before files are looked at, as most saves are several events.
const DEBOUNCE: Duration = Duration::from_millis(50);
/// After so long they are looked at although there is no quiet.
const MOST: Duration = Duration::from_millis(100);
/// How often files are looked at that cannot be watched.
const PACE: Duration = Duration::from_millis(100);
/// The same on another machine, whose answers take their time.
const REMOTE_PACE: Duration = Duration::from_secs(2);
/// Links followed on the way to one file.
const MAX_LINKS: u32 = 16;
/// Times the folders are worked out again because they changed meanwhile.
const MAX_ROUNDS: u32 = 4;

/// Folders that are watched at most, unless said otherwise.
pub const FOLDERS: usize = 64;

/// Who is told that files may have changed. Called on a blocking thread, one call at a time.
pub type Changed = Arc<dyn Fn() + Send + Sync>;

/// Watches files until it is dropped.
#[derive(Debug)]
pub struct FileWatch {
    shared: Arc<Shared>,
    closed: CancellationToken,
}

#[derive(Debug)]
struct Shared {
    /// Most folders.
    limit: usize,
    /// Whether only this machine changes what is in a folder.
    is_local: fn(&Path) -> bool,
    arms: Mutex<Arms>,
    ear: Arc<Ear>,
}

/// What events are held against; shared with the thread that reads them.
#[derive(Debug, Default)]
struct Ear {
    heard: Mutex<Heard>,
    /// Grows with every event that matters.
    events: AtomicU64,
    /// When the last one came.
    last: Mutex<Option<Instant>>,
    woken: tokio::sync::Notify,
}

#[derive(Debug, Default)]
struct Heard {
    names: HashSet<OsString>,
    folders: HashSet<PathBuf>,
    /// Watched folders that something happened to.
    suspects: HashSet<PathBuf>,
}

#[derive(Debug, Default)]
struct Arms {
    files: Vec<PathBuf>,
    watcher: Option<RecommendedWatcher>,
    /// The watched folders, each with what tells it from another of the same name.
    folders: HashMap<PathBuf, Option<(u64, u64)>>,
    /// Why not all is watched.
    unwatched: Option<Unwatched>,
    /// There is no watcher to be had.
    refused: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FileWatch {
    /// Watches nothing yet, and at most `limit` folders. `changed` is called after each burst of events, and now and
    /// then while something cannot be watched.
    pub fn start(runtime: &Handle, limit: usize, changed: Changed) -> Self {
        let is_local =
            |folder: &Path| !cfg!(target_os = "linux") || Root::open("", folder).is_ok_and(|it| it.is_local());
        Self::among(runtime, limit, is_local, changed)
    }

    fn among(runtime: &Handle, limit: usize, is_local: fn(&Path) -> bool, changed: Changed) -> Self {
        let shared = Arc::new(Shared { limit, is_local, arms: Mutex::default(), ear: Arc::default() });
        let closed = CancellationToken::new();
        let (work, end) = (follow(shared.clone(), changed), closed.clone());
        runtime.spawn(async move {
            tokio::select! {
                () = work => {}
                () = end.cancelled() => {}
            }
        });
        Self { shared, closed }
    }

    /// Watches these files instead of those before; they need not exist. Blocks for some system calls. What happens
    /// from now on is told.
    pub fn set(&self, files: Vec<PathBuf>) {
        if self.closed.is_cancelled() {
            return;
        }
        let mut arms = lock(&self.shared.arms);
        arms.files = files;
        self.shared.arm(&mut arms);
        let polls = arms.unwatched.is_some();
        drop(arms);
        if polls {
            // The pace is set by the task, which sleeps.
            self.shared.ear.ring();
        }
    }

    /// Why not every folder is watched, if so.
    pub fn unwatched(&self) -> Option<Unwatched> {
        lock(&self.shared.arms).unwatched
    }

    /// Folders that are watched.
    pub fn folders(&self) -> usize {
        lock(&self.shared.arms).folders.len()
    }

    /// Ends it; nothing is told any more, but for a call that is under way.
    pub fn stop(&self) {
        self.closed.cancel();
        let mut arms = lock(&self.shared.arms);
        (arms.watcher, arms.refused) = (None, true);
        arms.files.clear();
        arms.folders.clear();
    }
}

impl Drop for FileWatch {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn follow(shared: Arc<Shared>, changed: Changed) {
    let mut seen = 0;
    loop {
        let pace = match lock(&shared.arms).unwatched {
            None => None,
            Some(Unwatched::Remote) => Some(REMOTE_PACE),
            Some(_) => Some(PACE),
        };
        match pace {
            None => shared.ear.quiet_after(seen).await,
            Some(pace) => tokio::select! {
                () = shared.ear.quiet_after(seen) => {}
                () = tokio::time::sleep(pace) => {}
            },
        }
        seen = shared.ear.events.load(Ordering::Acquire);
        let (here, tell) = (shared.clone(), changed.clone());
        let look = tokio::task::spawn_blocking(move || {
            // First watch, then look: what happens after the look is heard.
            here.arm(&mut lock(&here.arms));
            tell();
        });
        if let Err(error) = look.await {
            tracing::error!(%error, "files that changed could not be looked at");
        }
    }
}

impl Ear {
    fn ring(&self) {
        self.events.fetch_add(1, Ordering::AcqRel);
        *lock(&self.last) = Some(Instant::now());
        self.woken.notify_one();
    }

    /// Waits for an event after the first `seen`, and then until nothing has happened for a while, but not for long.
    async fn quiet_after(&self, seen: u64) {
        while self.events.load(Ordering::Acquire) == seen {
            self.woken.notified().await;
        }
        let begun = Instant::now();
        loop {
            let last = lock(&self.last).unwrap_or(begun);
            let until = (last + DEBOUNCE).min(begun + MOST);
            if until <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }

    /// Takes in one event; on the thread that reads them.
    fn hear(&self, event: &notify::Result<Event>) {
        let Ok(event) = event else {
            // What was lost nobody knows.
            self.ring();
            return;
        };
        // Opening and reading is what we do ourselves.
        let reads = matches!(&event.kind, EventKind::Access(kind) if *kind != AccessKind::Close(AccessMode::Write));
        if reads && !event.need_rescan() {
            return;
        }
        let mut heard = lock(&self.heard);
        let mut matters = event.need_rescan() || event.paths.is_empty();
        for path in &event.paths {
            if heard.folders.contains(path) {
                heard.suspects.insert(path.clone());
                matters = true;
            }
            matters |= path.file_name().is_some_and(|name| heard.names.contains(name));
        }
        drop(heard);
        if matters {
            self.ring();
        }
    }
}

impl Shared {
    /// Watches the folders that matter now, and no others.
    fn arm(&self, arms: &mut Arms) {
        let mut places = Places::of(&arms.files);
        for _ in 0..MAX_ROUNDS {
            self.arm_folders(arms, &places);
            let now = Places::of(&arms.files);
            if now == places {
                return;
            }
            // A folder came or went between the look and the watch.
            places = now;
        }
        self.ear.ring();
    }

    fn arm_folders(&self, arms: &mut Arms, places: &Places) {
        let suspects = {
            let mut heard = lock(&self.ear.heard);
            heard.names.clone_from(&places.names);
            heard.folders = places.folders.iter().cloned().collect();
            std::mem::take(&mut heard.suspects)
        };
        arms.unwatched = None;
        let gone: Vec<PathBuf> =
            arms.folders.keys().filter(|known| !places.folders.contains(*known)).cloned().collect();
        for folder in gone {
            arms.unwatch(&folder);
        }
        for folder in &places.folders {
            let identity = identity(folder);
            match arms.folders.get(folder) {
                Some(known) if *known == identity && !suspects.contains(folder) => continue,
                // `notify` knows folders by their names: the watch of the old one must go first.
                Some(_) => arms.unwatch(folder),
                None => {}
            }
            if let Err(why) = self.watch(arms, folder) {
                // A folder that is gone is no lasting trouble: the next round finds the one above it.
                if why != Unwatched::Folder {
                    arms.unwatched = Some(why);
                }
                continue;
            }
            arms.folders.insert(folder.clone(), identity);
        }
    }

    fn watch(&self, arms: &mut Arms, folder: &Path) -> Result<(), Unwatched> {
        if arms.refused {
            return Err(Unwatched::System);
        }
        if arms.folders.len() >= self.limit {
            return Err(Unwatched::Limit);
        }
        if !(self.is_local)(folder) {
            return Err(if folder.is_dir() { Unwatched::Remote } else { Unwatched::Folder });
        }
        let watcher = match &mut arms.watcher {
            Some(watcher) => watcher,
            None => {
                let ear = self.ear.clone();
                let made = RecommendedWatcher::new(move |event| ear.hear(&event), notify::Config::default());
                // The user's share of watchers may be used up.
                arms.watcher.insert(made.map_err(|_| Unwatched::Limit)?)
            }
        };
        watcher.watch(folder, RecursiveMode::NonRecursive).map_err(|error| match error.kind {
            ErrorKind::MaxFilesWatch => Unwatched::Limit,
            _ => Unwatched::Folder,
        })
    }
}

impl Arms {
    fn unwatch(&mut self, folder: &Path) {
        self.folders.remove(folder);
        if let Some(watcher) = &mut self.watcher {
            // With the folder its watch may be gone by itself.
            watcher.unwatch(folder).ok();
        }
    }
}

/// Where events have to be listened for, and by what names.
#[derive(Debug, Default, PartialEq, Eq)]
struct Places {
    folders: BTreeSet<PathBuf>,
    names: HashSet<OsString>,
}

impl Places {
    fn of(files: &[PathBuf]) -> Self {
        let mut places = Self::default();
        for file in files {
            places.add(file, 0);
        }
        places
    }

    fn add(&mut self, file: &Path, links: u32) {
        // Each link on the way may be turned to lead elsewhere. From the top: what is above a link has none.
        let parts: Vec<&Path> = file.ancestors().filter(|part| part.parent().is_some()).collect();
        for part in parts.into_iter().rev() {
            let Ok(target) = fs::read_link(part) else { continue };
            self.note(part);
            if let (Some(folder), true) = (part.parent(), links < MAX_LINKS) {
                let below = file.strip_prefix(part).unwrap_or(Path::new(""));
                self.add(&plain(&folder.join(target).join(below)), links + 1);
            }
            return;
        }
        let mut part = file;
        loop {
            if self.note(part) {
                return;
            }
            let Some(above) = part.parent() else { return };
            part = above;
        }
    }

    /// Listens for a name in its folder; says whether there is one.
    fn note(&mut self, part: &Path) -> bool {
        let (Some(folder), Some(name)) = (part.parent(), part.file_name()) else { return true };
        match fs::canonicalize(folder) {
            Ok(folder) if folder.is_dir() => {
                self.folders.insert(folder);
                self.names.insert(name.to_owned());
                true
            }
            _ => false,
        }
    }
}

/// A path without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    plain
}

/// What tells a folder from another of the same name.
fn identity(folder: &Path) -> Option<(u64, u64)> {
    let meta = fs::metadata(folder).ok()?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        Some((meta.dev(), meta.ino()))
    }
    #[cfg(not(unix))]
    Some((0, meta.created().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?.as_nanos() as u64))
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests;
