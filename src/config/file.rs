//! Reading a configuration file without trusting what stands at its path: a link, a device or a gigabyte.

use std::fs::{Metadata, OpenOptions};
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use super::place::{Layer, Origin, Problem, Severity, Source};

/// Larger configuration files are refused.
const MAX_BYTES: u64 = 1024 * 1024;

/// What tells whether a file has changed since it was read; absent files have one, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp(Option<(u64, Option<SystemTime>, u64)>);

impl Stamp {
    pub(super) fn of(path: &Path) -> Self {
        Self(std::fs::metadata(path).ok().map(|meta| (meta.len(), meta.modified().ok(), inode(&meta))))
    }
}

#[cfg(unix)]
fn inode(meta: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(meta)
}

#[cfg(not(unix))]
fn inode(_: &Metadata) -> u64 {
    0
}

/// The text of a file; nothing if there is none; else the reason why it cannot be used.
pub(super) fn read(layer: Layer, path: &Arc<Path>) -> Result<Option<String>, Box<Problem>> {
    let problem = |message: String| {
        let origin = Origin { layer, file: Some(path.clone()), name: None, line: 0, column: 0 };
        Box::new(Problem::whole(Severity::Error, origin, "", message))
    };
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
        Err(error) => return Err(problem(format!("cannot be read: {error}"))),
    };
    let meta = file.metadata().map_err(|error| problem(format!("cannot be read: {error}")))?;
    if !meta.is_file() {
        return Err(problem("is not a regular file".to_owned()));
    }
    // The length may lie or grow, so the limit counts what is read.
    let mut bytes = Vec::with_capacity(usize::try_from(meta.len().min(MAX_BYTES)).unwrap_or(0));
    let read = file.take(MAX_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|error| problem(format!("cannot be read: {error}")))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(problem("is larger than 1 MiB, too large for a configuration file".to_owned()));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Some(text)),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let good = String::from_utf8_lossy(&error.as_bytes()[..at]).into_owned();
            let source = Source::of_text(layer, Some(path.clone()), &good);
            let message = "not valid UTF-8 from here on; save the file as UTF-8".to_owned();
            Err(Box::new(source.problem(Severity::Error, &(at..at), "", message)))
        }
    }
}
