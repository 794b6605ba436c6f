//! Where recordings stand, and how their files are called.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::time::Duration;

use super::folder::Folder;
use crate::ids::RunId;
use crate::moment::rfc3339;

/// The folder of all sessions, in the state directory.
pub(super) const SESSIONS: &str = "sessions";
/// What a live server holds a lock on, in the folder of its session.
pub(super) const LOCK: &str = "lock";
/// Stands in the place of a run's name in the names of the session's own files.
pub(super) const OWN: &str = "session";
/// The ends of the names of plain, of compressed and of unfinished files.
pub(super) const PLAIN: &str = ".jsonl";
pub(super) const COMPRESSED: &str = ".jsonl.zst";
pub(super) const UNFINISHED: &str = ".jsonl.zst.tmp";
/// Longest name of a session or run.
const NAME_MAX: usize = 64;
/// Servers that may begin in the same second.
const TRIES: u32 = 100;
/// Parts of one run.
const PARTS: u32 = 9_999;

/// Whether this can be the name of a session or run: no path, no hidden file, nothing that a terminal obeys.
pub(super) fn is_name(name: &str) -> bool {
    let part = |ch: char| ch.is_ascii_alphanumeric() || matches!(ch, '-' | '_');
    !name.is_empty() && name.len() <= NAME_MAX && name.chars().all(part)
}

/// The name of a part; the session's own where there is no run.
pub(super) fn part_name(run: Option<&RunId>, number: u32) -> String {
    format!("{}.{number:04}{PLAIN}", run.map_or(OWN, RunId::as_str))
}

/// What a file's name says: whose it is, its number, and whether it is compressed.
pub(super) fn parsed(name: &str) -> Option<(&str, u32, bool)> {
    let (stem, compressed) = match name.strip_suffix(COMPRESSED) {
        Some(stem) => (stem, true),
        None => (name.strip_suffix(PLAIN)?, false),
    };
    let (whose, number) = stem.split_once('.')?;
    let digits = number.len() == 4 && number.bytes().all(|byte| byte.is_ascii_digit());
    (digits && is_name(whose)).then(|| Some((whose, number.parse().ok()?, compressed)))?
}

/// The folder of a live session; the lock goes with it.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) sessions: Folder,
    pub(super) folder: Folder,
    pub(super) id: String,
    _lock: File,
}

impl Place {
    /// Makes the folder of a session that began then.
    pub(super) fn new(dir: &Path, started_unix_us: u64) -> io::Result<Self> {
        let sessions = Folder::make(dir)?.make_folder(SESSIONS)?;
        let name = format!("{}-{}", stamp(started_unix_us), std::process::id());
        for attempt in 1..=TRIES {
            let id = if attempt == 1 { name.clone() } else { format!("{name}-{attempt}") };
            match sessions.new_folder(&id) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                made => made?,
            }
            let folder = sessions.folder(&id)?;
            let lock = folder.lockable(LOCK)?;
            match lock.try_lock() {
                Ok(()) => return Ok(Self { sessions, folder, id, _lock: lock }),
                // Somebody who looks for what is left behind has been quicker than we: it is theirs.
                Err(TryLockError::WouldBlock) => continue,
                // No locks here: then nobody can tell that we live, and nobody needs to.
                Err(TryLockError::Error(_)) => return Ok(Self { sessions, folder, id, _lock: lock }),
            }
        }
        Err(io::Error::other("too many sessions began at the same time"))
    }

    /// Makes the next free file of a run, or of the session.
    pub(super) fn create(&self, run: Option<&RunId>, number: &mut u32) -> io::Result<File> {
        loop {
            match self.folder.create(&part_name(run, *number)) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && *number < PARTS => *number += 1,
                other => return other,
            }
        }
    }

    /// Whether it still stands somewhere.
    pub(super) fn is_there(&self) -> bool {
        self.folder.is_there()
    }
}

/// `20261122T220500Z` of microseconds since 1970.
fn stamp(unix_us: u64) -> String {
    rfc3339(Duration::from_micros(unix_us)).replace(['-', ':'], "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_named_by_its_time() {
        assert_eq!(stamp(1_795_385_100_999_999), "20261122T220500Z");
    }

    #[test]
    fn only_names_that_are_ours_are_taken_for_ours() {
        let run = RunId::from("run-1a-7");
        assert_eq!(parsed(&part_name(Some(&run), 12)), Some(("run-1a-7", 12, false)));
        assert_eq!(parsed("session.0001.jsonl.zst"), Some(("session", 1, true)));
        for name in
            ["a.jsonl", "a.1.jsonl", "a.0001.json", ".0001.jsonl", "../a.0001.jsonl", "a b.0001.jsonl", "a.00x1.jsonl"]
        {
            assert_eq!(parsed(name), None, "{name}");
        }
        for name in ["", ".", "..", "a/b", "a.b", "ä", &"x".repeat(65)] {
            assert!(!is_name(name), "{name}");
        }
    }
}
