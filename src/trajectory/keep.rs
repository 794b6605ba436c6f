//! Looks after what is on disk already: torn ends are cut, closed files compressed, what is too old or too much removed.
//!
//! A session whose lock can be had has nobody who writes it; the lock is held while its files are changed. Nothing is
//! touched but files of names that a recorder gives, and no link is followed.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, SystemTime};

use super::folder::Folder;
use super::recorder::Shared;
use super::store::{self, COMPRESSED, LOCK, PLAIN, Place, UNFINISHED};

/// How hard zstd tries: the level at which it is still faster than most disks.
const LEVEL: i32 = 3;
/// Where there are no locks, a session of such an age is taken to be over.
const ABANDONED: Duration = Duration::from_secs(3 * 86_400);
/// A file is read backwards in steps of so many bytes, to find where its last line ends.
const STEP: u64 = 64 * 1024;

enum Job {
    /// Look through the sessions of others.
    Sweep(Arc<Place>),
    /// This file of ours is closed.
    Compress(Arc<Place>, String),
}

/// Does it on a thread of its own, or at once where everything is to be done at once.
pub(super) struct Keeper {
    shared: Arc<Shared>,
    jobs: Option<Sender<Job>>,
}

impl Keeper {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, jobs: None }
    }

    /// The session has begun.
    pub(super) fn begin(&mut self, place: &Arc<Place>) {
        if self.shared.settings.background && self.jobs.is_none() {
            let (jobs, todo) = channel();
            let shared = self.shared.clone();
            let worker = std::thread::Builder::new().name("recordings".into());
            match worker.spawn(move || work(&shared, &todo)) {
                Ok(_) => self.jobs = Some(jobs),
                Err(error) => tracing::warn!(%error, "old recordings are not looked after"),
            }
        }
        self.give(Job::Sweep(place.clone()));
    }

    /// A file of the session is closed.
    pub(super) fn closed(&self, place: &Arc<Place>, name: String) {
        if self.shared.settings.compress {
            self.give(Job::Compress(place.clone(), name));
        }
    }

    fn give(&self, job: Job) {
        match &self.jobs {
            Some(jobs) => {
                self.shared.counts.keeping.fetch_add(1, Relaxed);
                if jobs.send(job).is_err() {
                    self.shared.counts.keeping.fetch_sub(1, Relaxed);
                }
            }
            None if !self.shared.settings.background => carry_out(&self.shared, &job),
            None => {}
        }
    }

    /// Nothing more is begun. What is under way may end unfinished, which does no harm.
    pub(super) fn close(&mut self) {
        self.jobs = None;
    }
}

fn work(shared: &Shared, todo: &Receiver<Job>) {
    while let Ok(job) = todo.recv() {
        carry_out(shared, &job);
        shared.counts.keeping.fetch_sub(1, Relaxed);
    }
}

fn carry_out(shared: &Shared, job: &Job) {
    match job {
        Job::Sweep(place) => {
            if let Err(error) = sweep(shared, place) {
                tracing::debug!(%error, "old recordings could not be looked through");
            }
        }
        Job::Compress(place, name) => compress_one(shared, &place.folder, name),
    }
}

fn compress_one(shared: &Shared, folder: &Folder, name: &str) {
    match compress(folder, name) {
        Ok(()) => {
            shared.counts.compressed.fetch_add(1, Relaxed);
        }
        // It stays plain, which takes more room and nothing else.
        Err(error) => tracing::debug!(%error, name, "a recording could not be compressed"),
    }
}

/// Puts a compressed file in the place of a plain one. At no moment is there neither.
fn compress(folder: &Folder, name: &str) -> io::Result<()> {
    let stem = name.strip_suffix(PLAIN).ok_or(io::ErrorKind::InvalidInput)?;
    let (unfinished, done) = (format!("{stem}{UNFINISHED}"), format!("{stem}{COMPRESSED}"));
    let plain = folder.read(name)?;
    // Left behind by somebody who did not finish; there may be none.
    let _ = folder.remove(&unfinished);
    let compressed = folder.create(&unfinished)?;
    let written = pack(plain, &compressed).and_then(|()| compressed.sync_all());
    if let Err(error) = written.and_then(|()| folder.rename(&unfinished, &done)) {
        let _ = folder.remove(&unfinished);
        return Err(error);
    }
    folder.remove(name)
}

/// Compresses all that can be read.
fn pack(from: impl Read, to: impl Write) -> io::Result<()> {
    let mut encoder = zstd::stream::write::Encoder::new(to, LEVEL)?;
    encoder.include_checksum(true)?;
    let mut from = io::BufReader::with_capacity(1 << 17, from);
    io::copy(&mut from, &mut encoder)?;
    encoder.finish().map(drop)
}

/// A session of which nobody writes any more.
struct Left {
    id: String,
    folder: Folder,
    bytes: u64,
    age: Duration,
    _lock: Option<File>,
}

/// Mends, compresses and removes what earlier servers have left.
fn sweep(shared: &Shared, place: &Place) -> io::Result<()> {
    let settings = &shared.settings;
    let keep = Duration::from_secs(u64::from(settings.keep_days) * 86_400);
    let mut left = Vec::new();
    let mut total = 0;
    for entry in place.sessions.entries()? {
        if entry.is_file || !store::is_name(&entry.name) || entry.name == place.id {
            continue;
        }
        let Ok(folder) = place.sessions.folder(&entry.name) else { continue };
        let Ok(files) = folder.entries() else { continue };
        let ours = || files.iter().filter(|file| file.is_file && is_ours(&file.name));
        if ours().next().is_none() {
            continue;
        }
        let age = age(&folder, ours().map(|file| file.name.as_str()));
        let Ok(lock) = unlocked(&folder, age) else {
            total += ours().map(|file| size(&folder, &file.name)).sum::<u64>();
            continue;
        };
        let expired = settings.keep_days > 0 && age > keep;
        if !expired {
            tidy(shared, &folder, ours().map(|file| file.name.as_str()));
        }
        let bytes = folder.entries()?.iter().map(|file| size(&folder, &file.name)).sum();
        let session = Left { id: entry.name, folder, bytes, age, _lock: lock };
        if expired {
            remove(shared, &place.sessions, &session);
        } else {
            total += bytes;
            left.push(session);
        }
    }
    left.sort_by_key(|session| std::cmp::Reverse(session.age));
    for session in &left {
        if settings.keep_bytes == 0 || total <= settings.keep_bytes {
            break;
        }
        remove(shared, &place.sessions, session);
        total = total.saturating_sub(session.bytes);
    }
    Ok(())
}

/// Whether a recorder gives such names.
fn is_ours(name: &str) -> bool {
    name == LOCK || name.ends_with(UNFINISHED) || store::parsed(name).is_some()
}

/// The lock of a session that nobody writes. Where there are no locks, one that nobody has written for a while.
fn unlocked(folder: &Folder, age: Duration) -> Result<Option<File>, ()> {
    let lock = folder.lockable(LOCK).map_err(drop)?;
    match lock.try_lock() {
        Ok(()) => Ok(Some(lock)),
        Err(std::fs::TryLockError::WouldBlock) => Err(()),
        Err(std::fs::TryLockError::Error(_)) if age > ABANDONED => Ok(None),
        Err(std::fs::TryLockError::Error(_)) => Err(()),
    }
}

fn size(folder: &Folder, name: &str) -> u64 {
    folder.read(name).and_then(|file| file.metadata()).map_or(0, |found| found.len())
}

/// Since the last of them was written. The lock does not count: looking at a session touches it.
fn age<'n>(folder: &Folder, names: impl Iterator<Item = &'n str>) -> Duration {
    let modified =
        |name: &str| folder.read(name).and_then(|file| file.metadata()).and_then(|found| found.modified()).ok();
    let last = names.filter(|name| *name != LOCK).filter_map(modified).max();
    last.and_then(|last| SystemTime::now().duration_since(last).ok()).unwrap_or_default()
}

/// Cuts what is torn, and compresses what is plain.
fn tidy<'n>(shared: &Shared, folder: &Folder, names: impl Iterator<Item = &'n str>) {
    for name in names {
        if name.ends_with(UNFINISHED) {
            // The plain file is still there.
            let _ = folder.remove(name);
            continue;
        }
        let Some((whose, _, false)) = store::parsed(name) else { continue };
        match cut(folder, name) {
            Ok(0) => {}
            Ok(bytes) => tracing::debug!(bytes, name, "the torn end of a recording was cut off"),
            Err(error) => {
                tracing::debug!(%error, name, "a recording could not be mended");
                continue;
            }
        }
        if whose != store::OWN && shared.settings.compress {
            compress_one(shared, folder, name);
        }
    }
}

/// Cuts off what stands behind the last line's end. Gives how many bytes that was.
fn cut(folder: &Folder, name: &str) -> io::Result<u64> {
    let mut file = folder.mend(name)?;
    let length = file.metadata()?.len();
    let mut end = length;
    let mut chunk = Vec::new();
    while end > 0 {
        let begin = end.saturating_sub(STEP);
        file.seek(SeekFrom::Start(begin))?;
        chunk.resize((end - begin) as usize, 0);
        file.read_exact(&mut chunk)?;
        if let Some(at) = memchr::memrchr(b'\n', &chunk) {
            end = begin + at as u64 + 1;
            break;
        }
        end = begin;
    }
    if end < length {
        file.set_len(end)?;
    }
    Ok(length - end)
}

/// Removes what is ours of a session; a folder with anything else in it stays.
fn remove(shared: &Shared, sessions: &Folder, session: &Left) {
    let Ok(files) = session.folder.entries() else { return };
    for file in files.iter().filter(|file| file.is_file && is_ours(&file.name) && file.name != LOCK) {
        let _ = session.folder.remove(&file.name);
    }
    let _ = session.folder.remove(LOCK);
    let _ = sessions.remove_folder(&session.id);
    shared.counts.removed.fetch_add(1, Relaxed);
}
