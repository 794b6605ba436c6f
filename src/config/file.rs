//! Reading a configuration file without trusting what stands at its path: a link, a device or a gigabyte.

use std::fs::{Metadata, OpenOptions};
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::place::{Layer, Origin, Problem, Severity, Source};

/// Larger configuration files are refused.
const MAX_BYTES: u64 = 1024 * 1024;

/// What tells whether a file has changed since it was read; absent files have one, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp(Option<Seen>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    length: u64,
    modified: Option<SystemTime>,
    /// Time of the last change of anything, in nanoseconds, the device and the inode; 0 where the system has none.
    changed: i128,
    device: u64,
    inode: u64,
}

impl Stamp {
    pub(super) const ABSENT: Self = Self(None);

    pub(super) fn of(path: &Path) -> Self {
        Self(std::fs::metadata(path).ok().map(|meta| Seen::of(&meta)))
    }

    /// Whether a change after `look` would show in the stamp. File systems count time in steps of up to 10 ms, some in
    /// whole seconds: two writes within a step look like one.
    pub(super) fn is_settled(&self, look: SystemTime) -> bool {
        let Some(modified) = self.0.as_ref().map(|seen| seen.modified) else { return true };
        let Some(modified) = modified else { return false };
        let fine = modified.duration_since(SystemTime::UNIX_EPOCH).is_ok_and(|time| time.subsec_nanos() != 0);
        let step = Duration::from_millis(if fine { 50 } else { 2_100 });
        look.duration_since(modified).is_ok_and(|age| age > step)
    }

    /// Whether nothing has happened to the file since `before`, if its times are right. Systems shorten a file first and
    /// note the time next: who looks in between sees a new length with old times.
    pub(super) fn is_of(&self, before: &Self) -> bool {
        let (Some(now), Some(before)) = (&self.0, &before.0) else { return false };
        now.changed != 0 && (now.changed, now.device, now.inode) == (before.changed, before.device, before.inode)
    }

    /// Whether the file was written a moment ago, so that whoever writes it may not have finished. Less than what a
    /// watcher waits before it looks.
    pub(super) fn is_fresh(&self, look: SystemTime) -> bool {
        let modified = self.0.as_ref().and_then(|seen| seen.modified);
        modified.is_some_and(|modified| look.duration_since(modified).is_ok_and(|age| age < Duration::from_millis(40)))
    }
}

impl Seen {
    fn of(meta: &Metadata) -> Self {
        #[cfg(unix)]
        let (changed, device, inode) = {
            use std::os::unix::fs::MetadataExt;
            (i128::from(meta.ctime()) * 1_000_000_000 + i128::from(meta.ctime_nsec()), meta.dev(), meta.ino())
        };
        #[cfg(not(unix))]
        let (changed, device, inode) = (0, 0, 0);
        Self { length: meta.len(), modified: meta.modified().ok(), changed, device, inode }
    }
}

/// The bytes of a file.
pub(super) struct Found {
    pub(super) bytes: Vec<u8>,
    pub(super) stamp: Stamp,
    /// Nobody wrote while they were read.
    pub(super) whole: bool,
}

/// A problem of a whole file.
pub(super) fn problem(layer: Layer, path: &Arc<Path>, message: String) -> Box<Problem> {
    let origin = Origin { layer, file: Some(path.clone()), name: None, line: 0, column: 0 };
    Box::new(Problem::whole(Severity::Error, origin, "", message))
}

/// The bytes of a file; nothing if there is none; else the reason why it cannot be used.
pub(super) fn read(layer: Layer, path: &Arc<Path>) -> Result<Option<Found>, Box<Problem>> {
    // Who saves without renaming may be at it just now; then the second or third look sees it whole.
    for _ in 0..2 {
        match read_once(layer, path)? {
            Some(found) if !found.whole => {}
            found => return Ok(found),
        }
    }
    read_once(layer, path)
}

fn read_once(layer: Layer, path: &Arc<Path>) -> Result<Option<Found>, Box<Problem>> {
    let problem = |message: String| problem(layer, path, message);
    let unread = |error: std::io::Error| problem(format!("cannot be read: {error}"));
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;

        use rustix::fs::OFlags;
        // A FIFO must not make us wait. A repository's file must not be a link: what it points to would be quoted in
        // messages. The user's own file is often a link.
        let follow = if layer == Layer::Project { OFlags::NOFOLLOW } else { OFlags::empty() };
        // The bits are those of the C constants, which fit an i32.
        options.custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY | follow).bits().cast_signed());
    }
    let file = match options.open(path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
        Err(_) if path.is_symlink() && layer == Layer::Project => {
            return Err(problem("is a link; a project's file must be a regular file".to_owned()));
        }
        Err(error) => return Err(unread(error)),
    };
    let meta = file.metadata().map_err(unread)?;
    if !meta.is_file() {
        return Err(problem("is not a regular file".to_owned()));
    }
    // The length may lie or grow, so the limit counts what is read.
    let mut bytes = Vec::with_capacity(usize::try_from(meta.len().min(MAX_BYTES)).unwrap_or(0));
    (&file).take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(unread)?;
    if let Some(problem) = too_large(layer, path, bytes.len() as u64) {
        return Err(problem);
    }
    let stamp = Stamp(Some(Seen::of(&meta)));
    let after = file.metadata().map_err(unread)?;
    let whole = Seen::of(&after) == Seen::of(&meta) && bytes.len() as u64 == meta.len();
    Ok(Some(Found { bytes, stamp, whole }))
}

/// What is wrong with a file of this length.
pub(super) fn too_large(layer: Layer, path: &Arc<Path>, bytes: u64) -> Option<Box<Problem>> {
    let message = "is larger than 1 MiB, too large for a configuration file";
    (bytes > MAX_BYTES).then(|| problem(layer, path, message.to_owned()))
}

/// The text of a file's bytes, else where they stop being one.
pub(super) fn decode(layer: Layer, path: &Arc<Path>, bytes: Vec<u8>) -> Result<String, Box<Problem>> {
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let good = String::from_utf8_lossy(&error.as_bytes()[..at]).into_owned();
        let source = Source::of_text(layer, Some(path.clone()), &good);
        let message = "not valid UTF-8 from here on; save the file as UTF-8".to_owned();
        Box::new(source.problem(Severity::Error, &(at..at), "", message))
    })
}
