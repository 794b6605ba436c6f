//! The way in: whoever has an event gives it here, in a fraction of a microsecond, and goes on.
//!
//! A [`Recorder`] belongs to a server, a [`RunRecorder`] to a run; both are cheap to clone, and one that is off does
//! nothing at all. Neither blocks nor awaits. An event whose making takes time (a text to be copied, a difference to be
//! found) is given as the function that makes it, which the writer calls.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwapOption;
use serde::Serialize;

use super::queue::{Batch, Entry, Names, Pace, Pushed, Queue, What};
use super::record::{Event, RootRecord};
use super::writer::{Texts, Writer};
use crate::ids::{RunId, ThreadId};

/// Takes secrets out of a text; borrowed where there are none.
pub type Redact = Arc<dyn for<'t> Fn(&'t str) -> Cow<'t, str> + Send + Sync>;

/// What a recording tells of the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// Its version.
    pub version: String,
    /// The workspace folders.
    pub roots: Vec<RootRecord>,
    /// Name and version of the editor.
    pub client: Option<String>,
}

/// How is recorded.
#[derive(Clone)]
pub struct Settings {
    /// The state directory; made if it is missing.
    pub dir: PathBuf,
    /// Records written together.
    pub batch: usize,
    /// After so long records are written, however few.
    pub flush: Duration,
    /// On a thread of its own; else each record is written before [`RunRecorder::record`] returns.
    pub background: bool,
    /// Closed files are compressed.
    pub compress: bool,
    /// Days after which a session is removed; 0: never.
    pub keep_days: u32,
    /// Bytes of all recordings past which the oldest are removed; 0: never.
    pub keep_bytes: u64,
    /// Bytes of events that may wait to be written.
    pub waiting_bytes: usize,
    /// Bytes of a file after which another one is begun.
    pub part_bytes: u64,
    /// What is told of the server.
    pub about: About,
    /// Called once, with words for the user, when something cannot be recorded.
    pub trouble: Arc<dyn Fn(String) + Send + Sync>,
    /// Called after each batch: how long writing it took, whether that went well, and how many records it was.
    pub wrote: Arc<dyn Fn(Duration, bool, usize) + Send + Sync>,
}

impl Settings {
    /// The usual ones, for this state directory.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            batch: 64,
            flush: Duration::from_millis(250),
            background: true,
            compress: true,
            keep_days: 30,
            keep_bytes: 1 << 30,
            waiting_bytes: 16 << 20,
            part_bytes: 32 << 20,
            about: About::default(),
            trouble: Arc::new(|_| {}),
            wrote: Arc::new(|_, _, _| {}),
        }
    }
}

/// What was done so far, counted where it is done.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) records: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) writes: AtomicU64,
    pub(super) dropped: AtomicU64,
    pub(super) lost: AtomicU64,
    pub(super) gaps: AtomicU64,
    pub(super) parts: AtomicU64,
    pub(super) compressed: AtomicU64,
    pub(super) removed: AtomicU64,
    pub(super) troubles: AtomicU64,
    /// Work on closed files that is under way or waits.
    pub(super) keeping: AtomicU64,
}

/// What a recorder has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Records in files.
    pub records: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Calls that wrote them.
    pub writes: u64,
    /// Records of which only the fact was kept, because too much was waiting.
    pub dropped: u64,
    /// Records that are in no file.
    pub lost: u64,
    /// Times that records were lost because they could not be written.
    pub gaps: u64,
    /// Files begun.
    pub parts: u64,
    /// Files compressed.
    pub compressed: u64,
    /// Old sessions removed.
    pub removed: u64,
    /// Failures of the system.
    pub troubles: u64,
    /// Records that wait now.
    pub pending: u64,
}

/// Two clocks, read at the same time.
#[derive(Debug)]
pub(super) struct Clock {
    began: Instant,
    pub(super) started_unix_us: u64,
}

/// What all handles of a recorder share with its writer.
pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) counts: Counts,
    pub(super) clock: Clock,
    redactor: Mutex<Option<Redact>>,
    session: OnceLock<String>,
}

impl Shared {
    /// What takes secrets out now.
    pub(super) fn redactor(&self) -> Option<Redact> {
        self.redactor.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The session has a folder.
    pub(super) fn began(&self, id: &str) {
        // The first name counts: a folder that was removed gets it again.
        let _ = self.session.set(id.to_owned());
    }

    pub(super) fn wrote(&self, took: Duration, ok: bool, records: usize) {
        (self.settings.wrote)(took, ok, records);
    }
}

/// Who writes.
enum Door {
    Queue(Arc<Queue>),
    /// Whoever records; the writer is gone once the recorder is closed.
    Caller(Mutex<Option<Writer>>),
}

struct Inner {
    shared: Arc<Shared>,
    door: Door,
    session: Arc<Names>,
}

/// Records what a server does; a clone records to the same place, also after that was replaced by another.
#[derive(Clone, Default)]
pub struct Recorder(Arc<Desk>);

#[derive(Default)]
struct Desk {
    now: ArcSwapOption<Inner>,
    /// Those that were replaced, as long as a run goes on with them.
    before: Mutex<Vec<Weak<Inner>>>,
}

/// Records one run; a clone records the same one.
#[derive(Clone, Default)]
pub struct RunRecorder(Option<(Arc<Inner>, Arc<Names>)>);

impl Recorder {
    /// One that records nothing.
    pub fn off() -> Self {
        Self::default()
    }

    /// One that makes nothing and starts nothing before the first event.
    pub fn new(settings: Settings) -> Self {
        let started_unix_us =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| u64::try_from(age.as_micros()).unwrap_or(0));
        let pace = Pace { batch: settings.batch.max(1), flush: settings.flush, most_bytes: settings.waiting_bytes };
        let background = settings.background;
        let shared = Arc::new(Shared {
            settings,
            counts: Counts::default(),
            clock: Clock { began: Instant::now(), started_unix_us },
            redactor: Mutex::default(),
            session: OnceLock::new(),
        });
        let door = match background {
            true => Door::Queue(Arc::new(Queue::new(pace))),
            false => Door::Caller(Mutex::new(Some(Writer::new(shared.clone())))),
        };
        let session = Arc::new(Names { run: None, thread: None, in_session: true });
        let now = ArcSwapOption::from_pointee(Inner { shared, door, session });
        Self(Arc::new(Desk { now, before: Mutex::default() }))
    }

    /// What begins from now on is recorded as `other` does, in a session of its own; runs that go on stay where they
    /// are, and the writer before ends with the last of them.
    pub fn replace(&self, other: &Self) {
        let (old, new) = (self.0.now.load_full(), other.0.now.load_full());
        let Some(old) = old else { return self.0.now.store(new) };
        // Whoever changes what is taken out meanwhile waits here, and sees that he has to do it again.
        let redactor = old.shared.redactor.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(other) = &new {
            other.shared.redactor.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&redactor);
        }
        self.0.now.store(new);
        drop(redactor);
        let mut before = self.0.before.lock().unwrap_or_else(PoisonError::into_inner);
        before.retain(|one| one.strong_count() > 0);
        before.push(Arc::downgrade(&old));
    }

    /// The one of now, and those before it that still live.
    fn all(&self) -> impl Iterator<Item = Arc<Inner>> {
        let before = self.0.before.lock().unwrap_or_else(PoisonError::into_inner).clone();
        before.into_iter().filter_map(|one| one.upgrade()).chain(self.0.now.load_full())
    }

    /// Whether anything is recorded.
    pub fn is_on(&self) -> bool {
        self.0.now.load().is_some()
    }

    /// Takes these secrets out of what is written from now on.
    pub fn redact_with(&self, redact: Redact) {
        while let Some(inner) = self.0.now.load_full() {
            let mut redactor = inner.shared.redactor.lock().unwrap_or_else(PoisonError::into_inner);
            *redactor = Some(redact.clone());
            if self.0.now.load().as_ref().is_some_and(|now| Arc::ptr_eq(now, &inner)) {
                return;
            }
        }
    }

    /// For a run of this conversation.
    pub fn run(&self, run: &RunId, thread: &ThreadId) -> RunRecorder {
        RunRecorder(self.0.now.load_full().map(|inner| {
            let names = Names { run: Some(run.clone()), thread: Some(thread.clone()), in_session: false };
            (inner, Arc::new(names))
        }))
    }

    /// Records in the session's own file what belongs to no run of this session.
    pub fn note(&self, run: Option<&RunId>, thread: Option<&ThreadId>, event: impl Into<Event>) {
        if let Some(inner) = &*self.0.now.load() {
            let names = match (run, thread) {
                (None, None) => inner.session.clone(),
                _ => Arc::new(Names { run: run.cloned(), thread: thread.cloned(), in_session: true }),
            };
            let event = event.into();
            let weight = event.weight();
            inner.give(&names, What::Event(event), weight, "");
        }
    }

    /// Name of the session, once something of it is on disk.
    pub fn session(&self) -> Option<String> {
        self.0.now.load().as_ref()?.shared.session.get().cloned()
    }

    /// What was done so far.
    pub fn counters(&self) -> Counters {
        let inner = self.0.now.load();
        let Some(inner) = &*inner else { return Counters::default() };
        let counts = &inner.shared.counts;
        let now = |count: &AtomicU64| count.load(Relaxed);
        Counters {
            records: now(&counts.records),
            bytes: now(&counts.bytes),
            writes: now(&counts.writes),
            dropped: now(&counts.dropped),
            lost: now(&counts.lost),
            gaps: now(&counts.gaps),
            parts: now(&counts.parts),
            compressed: now(&counts.compressed),
            removed: now(&counts.removed),
            troubles: now(&counts.troubles),
            pending: match &inner.door {
                Door::Queue(queue) => queue.len() as u64,
                Door::Caller(_) => 0,
            },
        }
    }

    /// Whether closed files are still worked on.
    pub fn is_keeping(&self) -> bool {
        self.0.now.load().as_ref().is_some_and(|inner| inner.shared.counts.keeping.load(Relaxed) > 0)
    }

    /// Waits until everything recorded before has reached the system, at most this long; says whether it has. Blocks.
    pub fn flush(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        self.all().fold(true, |all, inner| all & inner.flush(until.saturating_duration_since(Instant::now())))
    }

    /// Writes what waits and ends; what is recorded later is not. Waits for that at most this long, and says whether it
    /// was done. Blocks.
    pub fn close(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        self.all().fold(true, |all, inner| all & inner.close(until.saturating_duration_since(Instant::now())))
    }
}

impl RunRecorder {
    /// One that records nothing.
    pub fn off() -> Self {
        Self(None)
    }

    /// Whether anything is recorded.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Records an event.
    pub fn record(&self, event: impl Into<Event>) {
        if let Some((inner, names)) = &self.0 {
            let event = event.into();
            let weight = event.weight();
            inner.give(names, What::Event(event), weight, "");
        }
    }

    /// Records an event of this kind and of about `weight` bytes that is made when it is written. Of one that finds no
    /// room only the kind is kept.
    pub fn later(
        &self,
        kind: &'static str,
        weight: usize,
        make: impl FnOnce(&mut Texts<'_>) -> Event + Send + 'static,
    ) {
        if let Some((inner, names)) = &self.0 {
            inner.give(names, What::Later(Box::new(make)), weight, kind);
        }
    }

    /// Nothing more is to come, as far as anybody knows: its file is closed and compressed. What does come gets a file
    /// of its own.
    pub fn end(&self) {
        if let Some((inner, names)) = &self.0 {
            inner.give(names, What::End, 0, "");
        }
    }
}

impl Inner {
    fn flush(&self, patience: Duration) -> bool {
        match &self.door {
            Door::Queue(queue) => queue.flush(patience),
            Door::Caller(_) => true,
        }
    }

    fn close(&self, patience: Duration) -> bool {
        match &self.door {
            Door::Queue(queue) => queue.close(patience),
            Door::Caller(writer) => {
                if let Some(mut writer) = writer.lock().unwrap_or_else(PoisonError::into_inner).take() {
                    writer.close();
                }
                true
            }
        }
    }

    /// `kind` is that of an event which is yet to be made.
    fn give(&self, names: &Arc<Names>, what: What, weight: usize, kind: &'static str) {
        let at = u64::try_from(self.shared.clock.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        let entry = Entry { names: names.clone(), at, what };
        let counts = &self.shared.counts;
        match &self.door {
            Door::Queue(queue) => match queue.push(entry, weight, |what| kind_of(what, kind)) {
                Pushed::Kept => {}
                Pushed::Dropped => {
                    counts.dropped.fetch_add(1, Relaxed);
                }
                // Counted when the writer learns of it.
                Pushed::Flooded => {}
                Pushed::Over => {
                    counts.lost.fetch_add(1, Relaxed);
                }
                Pushed::First => self.start(),
            },
            Door::Caller(writer) => match writer.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
                Some(writer) => writer.write(&mut Batch { entries: vec![entry], flooded: Vec::new() }),
                None => {
                    counts.lost.fetch_add(1, Relaxed);
                }
            },
        }
    }

    /// Starts the writer's thread.
    fn start(&self) {
        let Door::Queue(queue) = &self.door else { return };
        let (queue, shared) = (queue.clone(), self.shared.clone());
        let serve = {
            let queue = queue.clone();
            move || queue.serve(Writer::new(shared))
        };
        if let Err(error) = std::thread::Builder::new().name("recorder".into()).spawn(serve) {
            queue.give_up();
            let what = format!("Ropeway: runs are not recorded, because no thread can be started ({error}).");
            (self.shared.settings.trouble)(what);
        }
    }
}

impl Drop for Inner {
    /// Nobody can record any more: the writer writes what it has and ends, waited for by nobody.
    fn drop(&mut self) {
        if let Door::Queue(queue) = &self.door {
            queue.close(Duration::ZERO);
        }
    }
}

fn kind_of(what: &What, kind: &'static str) -> Cow<'static, str> {
    match what {
        What::Event(event) => Cow::Owned(event.kind().to_owned()),
        What::Dropped(kind, _) => kind.clone(),
        What::Later(_) | What::End => Cow::Borrowed(kind),
    }
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Recorder({})", if self.is_on() { "on" } else { "off" })
    }
}

impl std::fmt::Debug for RunRecorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RunRecorder({})", if self.is_on() { "on" } else { "off" })
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests;
