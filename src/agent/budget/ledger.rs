//! What was spent, beyond one run: by thread for as long as the server lives, by day (UTC) for good.
//!
//! The days stand in one small file of the state directory, which all servers of a user share: each adds what it spent
//! under a lock, and replaces the file in one step. It is never larger than its last [`DAYS`] days, and is written at
//! most once in [`EVERY`] while a run goes on, and at its end: each time a disk is waited for.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::agent::outcome::RunUsage;
use crate::ids::ThreadId;
use crate::llm::Usage;
use crate::moment::rfc3339;

/// Days that are kept.
const DAYS: usize = 62;
/// The least time from one writing to the next while a run goes on.
const EVERY: Duration = Duration::from_secs(1);
/// Largest file that is read.
const LARGEST: u64 = 64 << 10;
/// Threads that are remembered.
const THREADS: usize = 100;
const NAME: &str = "spending.json";

/// The file's content.
#[derive(Debug, Default, Deserialize, Serialize)]
struct Book {
    /// By `YYYY-MM-DD`.
    days: BTreeMap<String, RunUsage>,
}

/// What the provider counted of a thread last.
#[derive(Clone, Debug, PartialEq)]
pub struct Reported {
    /// `PROVIDER/MODEL`.
    pub origin: Arc<str>,
    /// Messages that were sent.
    pub messages: usize,
    /// The counts.
    pub usage: Usage,
}

/// A thread's sums.
#[derive(Clone, Debug, Default)]
pub struct OfThread {
    /// All runs of the thread.
    pub spent: RunUsage,
    /// The last request.
    pub reported: Option<Reported>,
}

#[derive(Debug, Default)]
struct State {
    /// Not in the file yet, by day.
    pending: BTreeMap<String, RunUsage>,
    /// The file's word on today, when it was last read or written.
    written: Option<(String, RunUsage)>,
    threads: VecDeque<(ThreadId, OfThread)>,
    last: Option<RunUsage>,
    /// When the file was written last.
    wrote: Option<Instant>,
}

/// The sums of a server.
#[derive(Debug, Default)]
pub struct Ledger {
    dir: Option<PathBuf>,
    state: Mutex<State>,
    /// Somebody is about to write.
    writing: AtomicBool,
    /// Only one thread of this process has the file at a time; the lock on the file is for the others.
    file: Mutex<()>,
}

impl Ledger {
    /// Keeps the days in a file of this directory; without one they end with the server.
    pub fn new(dir: Option<PathBuf>) -> Arc<Self> {
        Arc::new(Self { dir, ..Self::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what a request came to, and of which state of the thread that is if it was one of its steps. The file is
    /// written within a second, on a blocking thread.
    pub fn add(self: &Arc<Self>, thread: &ThreadId, request: &RunUsage, reported: impl Into<Option<Reported>>) {
        let rest = {
            let mut state = self.state();
            state.pending.entry(day(SystemTime::now())).or_default().merge(request);
            state.last = Some(*request);
            let at = state.threads.iter().position(|(id, _)| id == thread);
            let mut entry =
                at.and_then(|at| state.threads.remove(at)).unwrap_or_else(|| (thread.clone(), OfThread::default()));
            entry.1.spent.merge(request);
            if let Some(reported) = reported.into() {
                entry.1.reported = Some(reported);
            }
            state.threads.push_back(entry);
            if state.threads.len() > THREADS {
                state.threads.pop_front();
            }
            state.wrote.map_or(Duration::ZERO, |wrote| EVERY.saturating_sub(wrote.elapsed()))
        };
        if self.dir.is_some()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
            && !self.writing.swap(true, SeqCst)
        {
            let this = self.clone();
            runtime.spawn(async move {
                tokio::time::sleep(rest).await;
                this.flush();
            });
        }
    }

    /// Has what is not in the file written to it now, on a blocking thread: nothing more will come for a while.
    pub fn flush(self: &Arc<Self>) {
        self.writing.store(false, SeqCst);
        if self.dir.is_some()
            && !self.state().pending.is_empty()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let this = self.clone();
            runtime.spawn_blocking(move || this.write());
        }
    }

    /// The sums of a thread.
    pub fn thread(&self, thread: &ThreadId) -> Option<OfThread> {
        self.state().threads.iter().find(|(id, _)| id == thread).map(|(_, sums)| sums.clone())
    }

    /// The last request of any run.
    pub fn last_request(&self) -> Option<RunUsage> {
        self.state().last
    }

    /// Today's sum, of all servers of this user as far as they have written. Reads a file: for a blocking thread.
    pub fn today(&self) -> RunUsage {
        self.write();
        let today = day(SystemTime::now());
        let state = self.state();
        let mut sum = RunUsage::default();
        if let Some((_, written)) = state.written.as_ref().filter(|(day, _)| *day == today) {
            sum.merge(written);
        }
        if let Some(pending) = state.pending.get(&today) {
            sum.merge(pending);
        }
        sum
    }

    /// Adds what is pending to the file. What cannot be written stays pending. Waits for a disk.
    pub fn write(&self) {
        let Some(dir) = &self.dir else { return };
        let _one = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let pending = {
            let mut state = self.state();
            if !state.pending.is_empty() {
                state.wrote = Some(Instant::now());
            }
            std::mem::take(&mut state.pending)
        };
        match add_to_file(dir, &pending) {
            Ok(book) => {
                let today = day(SystemTime::now());
                let sum = book.days.get(&today).copied().unwrap_or_default();
                self.state().written = Some((today, sum));
            }
            Err(error) => {
                tracing::debug!(%error, "what was spent cannot be written to the state directory");
                let mut state = self.state();
                for (day, sum) in pending {
                    state.pending.entry(day).or_default().merge(&sum);
                }
                while state.pending.len() > DAYS {
                    state.pending.pop_first();
                }
            }
        }
    }
}

fn add_to_file(dir: &Path, pending: &BTreeMap<String, RunUsage>) -> io::Result<Book> {
    let path = dir.join(NAME);
    if pending.is_empty() {
        return read(&path);
    }
    make_private(dir)?;
    let lock = private().open(dir.join("spending.lock"))?;
    lock.lock()?;
    // A file that cannot be understood is replaced: it holds sums, and no one may be kept from working by it.
    let mut book = read(&path).or_else(|error| match error.kind() {
        io::ErrorKind::InvalidData => Ok(Book::default()),
        _ => Err(error),
    })?;
    for (day, sum) in pending {
        book.days.entry(day.clone()).or_default().merge(sum);
    }
    while book.days.len() > DAYS {
        book.days.pop_first();
    }
    let fresh = dir.join(format!(".{NAME}-{}.tmp", std::process::id()));
    let mut file = private().truncate(true).open(&fresh)?;
    file.write_all(&serde_json::to_vec(&book)?)?;
    file.sync_all()?;
    std::fs::rename(&fresh, &path)?;
    Ok(book)
}

#[expect(clippy::disallowed_methods, reason = "the state directory is no workspace: it has no root that `disk` knows")]
fn read(path: &Path) -> io::Result<Book> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Book::default()),
        file => file?,
    };
    let mut text = Vec::new();
    file.take(LARGEST).read_to_end(&mut text)?;
    serde_json::from_slice(&text).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn make_private(dir: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

/// `YYYY-MM-DD` of a time, in UTC: a limit between days that does not move with the machine.
fn day(time: SystemTime) -> String {
    let mut written = rfc3339(time.duration_since(UNIX_EPOCH).unwrap_or_default());
    written.truncate("YYYY-MM-DD".len());
    written
}

#[cfg(test)]
mod tests;
