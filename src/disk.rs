//! The door to the file system: the only module that reads and writes workspace files.
//!
//! What comes in is hostile: a name may be a FIFO, a device or a terabyte, the bytes may be no text, and the file may
//! change while it is read. So only regular files are opened, by descriptor, up to a limit, and a reading is one
//! generation of the file or an error. What goes out keeps what the file was: encoding, byte order mark, line ends,
//! final newline, mode; a text that the encoding cannot hold is an error, never a question mark.
//!
//! All calls block; they belong on blocking threads.

pub mod encoding;
pub mod read;
#[cfg(test)]
mod tests;
pub mod write;

use std::fs::Metadata;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use moka::sync::Cache;
use thiserror::Error;

use crate::paths::{Kind, PathError, WsPath, beneath};

pub use self::encoding::{Eol, Format};

/// How much is read and kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskLimits {
    /// Largest file that is read, in bytes.
    pub max_file_bytes: u64,
    /// Bytes of text kept in memory; 0 turns the cache off.
    pub cache_bytes: u64,
}

impl Default for DiskLimits {
    fn default() -> Self {
        Self { max_file_bytes: 10 << 20, cache_bytes: 64 << 20 }
    }
}

/// Entries of one folder that are listed at most: more helps no reader, and a folder may hold millions.
pub const MAX_ENTRIES: usize = 20_000;

/// What tells one generation of a file from the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stamp {
    /// Device.
    pub dev: u64,
    /// Inode.
    pub ino: u64,
    /// Size in bytes.
    pub size: u64,
    /// Time of the last change of the content, in nanoseconds since 1970.
    pub mtime_ns: i128,
    /// Time of the last change of anything about it, which no program can set back.
    pub ctime_ns: i128,
}

impl Stamp {
    #[cfg(unix)]
    fn of(found: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        let ns = |seconds: i64, ns: i64| i128::from(seconds) * 1_000_000_000 + i128::from(ns);
        Self {
            dev: found.dev(),
            ino: found.ino(),
            size: found.size(),
            mtime_ns: ns(found.mtime(), found.mtime_nsec()),
            ctime_ns: ns(found.ctime(), found.ctime_nsec()),
        }
    }

    #[cfg(not(unix))]
    fn of(found: &Metadata) -> Self {
        let ns = |time: std::io::Result<SystemTime>| {
            time.ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).map_or(0, |age| age.as_nanos() as i128)
        };
        let (mtime_ns, ctime_ns) = (ns(found.modified()), ns(found.created()));
        Self { dev: 0, ino: 0, size: found.len(), mtime_ns, ctime_ns }
    }

    /// Whether the file changed so lately that its clock may not have ticked since: a further change of the same size
    /// could carry the same stamp.
    fn is_fresh(&self) -> bool {
        self.is_fresh_at(SystemTime::now())
    }

    /// As if it were `time` now.
    pub fn is_fresh_at(&self, time: SystemTime) -> bool {
        /// Two ticks of the slowest kernel clock, 100 Hz.
        const TICKS_NS: i128 = 20_000_000;
        let now = time.duration_since(UNIX_EPOCH).map_or(0, |age| age.as_nanos() as i128);
        now - self.mtime_ns.max(self.ctime_ns) < TICKS_NS
    }
}

/// One generation of a file, as text.
#[derive(Clone, Debug)]
pub struct DiskFile {
    /// The text, without a byte order mark, line ends as they are in the file.
    pub text: Arc<str>,
    /// What has to be kept when it is written again.
    pub format: Format,
    /// Which generation it is.
    pub stamp: Stamp,
}

/// One name in a folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The name.
    pub name: String,
    /// What it stands for.
    pub kind: Kind,
}

/// What stands in a folder, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// The names, sorted.
    pub entries: Vec<Entry>,
    /// Whether there are more than [`MAX_ENTRIES`].
    pub more: bool,
}

/// How often the cache helped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskCounters {
    /// Readings answered from memory after a look at the file's stamp.
    pub hits: u64,
    /// Readings that had to read.
    pub misses: u64,
}

/// Why a file could not be read or written; the message says what to do.
#[derive(Debug, Error)]
pub enum DiskError {
    /// The path does not work out.
    #[error(transparent)]
    Path(#[from] PathError),
    /// Nothing is there.
    #[error("`{0}` does not exist; look for it with list_dir or glob")]
    Missing(String),
    /// Something is there already.
    #[error("`{0}` exists already; edit it, or choose another name")]
    Exists(String),
    /// It is no regular file.
    #[error("`{path}` is {what}, not a regular file; only regular files are read and written")]
    NotAFile {
        /// The path.
        path: String,
        /// What it is.
        what: &'static str,
    },
    /// It is no folder.
    #[error("`{0}` is not a folder; read it with read_file")]
    NotAFolder(String),
    /// It is too large.
    #[error("`{path}` has {size} bytes, more than the limit of {limit}; search in it, or read a smaller file")]
    TooLarge {
        /// The path.
        path: String,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// Its bytes are no text.
    #[error("`{path}` is not text ({why}); it is left alone")]
    NotText {
        /// The path.
        path: String,
        /// What shows it.
        why: &'static str,
    },
    /// It kept changing while it was read.
    #[error("`{0}` keeps changing while it is read; try again later")]
    Changing(String),
    /// It is not the generation that the caller meant.
    #[error("`{0}` was changed by someone else; read it again")]
    Changed(String),
    /// The text does not fit the file's encoding.
    #[error("`{path}` is encoded as {encoding}, which has no `{character}`; write it in other words")]
    Unwritable {
        /// The path.
        path: String,
        /// The first character that does not fit.
        character: char,
        /// The encoding's name.
        encoding: &'static str,
    },
    /// The file's bytes do not come back from its text, so writing would change more than was asked.
    #[error("`{path}` uses {encoding} in a way that cannot be written back byte for byte; convert it to UTF-8 first")]
    Inexact {
        /// The path.
        path: String,
        /// The encoding's name.
        encoding: &'static str,
    },
    /// The system refused.
    #[error("`{path}`: {source}")]
    Io {
        /// The path.
        path: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

impl DiskError {
    /// Whether it says that nothing is there.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Missing(_)) || matches!(self, Self::Path(error) if error.is_missing())
    }

    fn path(path: &WsPath, error: PathError) -> Self {
        if error.is_missing() { Self::Missing(path.to_string()) } else { Self::Path(error) }
    }

    fn io(path: &WsPath, source: std::io::Error) -> Self {
        match source.kind() {
            std::io::ErrorKind::NotFound => Self::Missing(path.to_string()),
            std::io::ErrorKind::AlreadyExists => Self::Exists(path.to_string()),
            _ => Self::Io { path: path.to_string(), source },
        }
    }
}

/// The files of the workspace, the last read ones kept as text.
#[derive(Debug)]
pub struct Disk {
    limits: DiskLimits,
    cache: Option<Cache<WsPath, Arc<DiskFile>>>,
    remembers: AtomicBool,
    hits: AtomicU64,
    misses: AtomicU64,
}

impl Disk {
    /// A door with these limits.
    pub fn new(limits: DiskLimits) -> Self {
        let cache = (limits.cache_bytes > 0).then(|| {
            Cache::builder()
                .max_capacity(limits.cache_bytes)
                .weigher(|path: &WsPath, file: &Arc<DiskFile>| {
                    // A bookkeeping allowance besides the text, so that a million empty files have a weight, too.
                    u32::try_from(file.text.len() + path.rel().len() + 256).unwrap_or(u32::MAX)
                })
                .build()
        });
        Self { limits, cache, remembers: AtomicBool::new(true), hits: AtomicU64::new(0), misses: AtomicU64::new(0) }
    }

    /// The limits.
    pub fn limits(&self) -> DiskLimits {
        self.limits
    }

    /// Whether files are kept as text from now on, as they are unless somebody says otherwise.
    pub fn remember(&self, yes: bool) {
        if self.remembers.swap(yes, Ordering::Relaxed)
            && !yes
            && let Some(cache) = &self.cache
        {
            cache.invalidate_all();
        }
    }

    fn cache(&self) -> Option<&Cache<WsPath, Arc<DiskFile>>> {
        self.cache.as_ref().filter(|_| self.remembers.load(Ordering::Relaxed))
    }

    /// How often the cache helped so far.
    pub fn counters(&self) -> DiskCounters {
        DiskCounters { hits: self.hits.load(Ordering::Relaxed), misses: self.misses.load(Ordering::Relaxed) }
    }

    /// Whether something is there, a link that leads nowhere or out of the workspace not counted.
    pub fn exists(&self, path: &WsPath) -> bool {
        beneath::exists(path).unwrap_or(false)
    }

    /// What stands in a folder, sorted by name.
    pub fn list(&self, path: &WsPath) -> Result<Listing, DiskError> {
        let (entries, more) = beneath::entries(path, MAX_ENTRIES).map_err(|error| match error.io_kind() {
            Some(std::io::ErrorKind::NotADirectory) if self.exists(path) => DiskError::NotAFolder(path.to_string()),
            _ => DiskError::path(path, error),
        })?;
        let mut entries: Vec<_> = entries.into_iter().map(|(name, kind)| Entry { name, kind }).collect();
        entries.sort();
        Ok(Listing { entries, more })
    }
}
