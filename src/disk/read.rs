//! Reading: one generation of a regular file, up to a limit, as text.

use std::fs::{File, Metadata};
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Disk, DiskError, DiskFile, Format, Stamp, encoding};
use crate::paths::{WsPath, beneath};

/// How often a file that changes under our hands is tried.
const TRIES: usize = 4;

impl Disk {
    /// The file as text, from memory if it has not changed since.
    pub fn read(&self, path: &WsPath) -> Result<Arc<DiskFile>, DiskError> {
        for _ in 0..TRIES {
            let (mut file, found) = self.open_found(path)?;
            let stamp = Stamp::of(&found);
            if let Some(known) = self.cache.as_ref().and_then(|cache| cache.get(path))
                && known.stamp == stamp
            {
                self.hits.fetch_add(1, Ordering::Relaxed);
                return Ok(known);
            }
            let limit = self.limits.max_file_bytes;
            let too_large = |size| DiskError::TooLarge { path: path.to_string(), size, limit };
            if stamp.size > limit {
                return Err(too_large(stamp.size));
            }
            let mut bytes = Vec::with_capacity(stamp.size as usize);
            let failed = |source| DiskError::io(path, source);
            (&mut file).take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
            // A file may have no size and yet bytes (/proc), or grow while it is read.
            if bytes.len() as u64 > limit {
                return Err(too_large(bytes.len() as u64));
            }
            let after = Stamp::of(&file.metadata().map_err(failed)?);
            if after != stamp || bytes.len() as u64 != stamp.size {
                continue;
            }
            self.misses.fetch_add(1, Ordering::Relaxed);
            let (text, format) =
                encoding::decode(&bytes).map_err(|why| DiskError::NotText { path: path.to_string(), why })?;
            let read = DiskFile { text: text.into(), format: Format { mode: mode(&found), ..format }, stamp };
            let read = Arc::new(read);
            if let Some(cache) = &self.cache
                && !stamp.is_fresh()
            {
                cache.insert(path.clone(), read.clone());
            }
            return Ok(read);
        }
        Err(DiskError::Changing(path.to_string()))
    }

    /// Which generation of the file is there now; an error if there is none or it is no regular file.
    pub fn stat(&self, path: &WsPath) -> Result<Stamp, DiskError> {
        let file = beneath::look_at(path).map_err(|error| DiskError::path(path, error))?;
        let found = file.metadata().map_err(|source| DiskError::io(path, source))?;
        regular(path, &found)?;
        Ok(Stamp::of(&found))
    }

    /// The file opened for reading: a regular one, known by its descriptor, of any size.
    pub fn open(&self, path: &WsPath) -> Result<File, DiskError> {
        self.open_found(path).map(|(file, _)| file)
    }

    fn open_found(&self, path: &WsPath) -> Result<(File, Metadata), DiskError> {
        let file = match beneath::open(path) {
            Ok(file) => file,
            Err(error) => {
                // A socket cannot be opened at all, and "no such device" would not tell anyone why.
                self.stat(path)?;
                return Err(DiskError::path(path, error));
            }
        };
        let found = file.metadata().map_err(|source| DiskError::io(path, source))?;
        regular(path, &found)?;
        Ok((file, found))
    }
}

pub(super) fn regular(path: &WsPath, found: &Metadata) -> Result<(), DiskError> {
    let kind = found.file_type();
    if kind.is_file() {
        return Ok(());
    }
    let what = if kind.is_dir() { "a folder" } else { special(kind) };
    Err(DiskError::NotAFile { path: path.to_string(), what })
}

#[cfg(unix)]
fn special(kind: std::fs::FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    match () {
        () if kind.is_fifo() => "a FIFO",
        () if kind.is_socket() => "a socket",
        () if kind.is_block_device() || kind.is_char_device() => "a device",
        () => "something else",
    }
}

#[cfg(not(unix))]
fn special(_kind: std::fs::FileType) -> &'static str {
    "something else"
}

#[cfg(unix)]
pub(super) fn mode(found: &Metadata) -> u32 {
    use std::os::unix::fs::MetadataExt;
    found.mode() & 0o7777
}

#[cfg(not(unix))]
pub(super) fn mode(_found: &Metadata) -> u32 {
    0
}
