//! Reading: one generation of a regular file, up to a limit, as text.

use std::fs::{File, Metadata};
use std::io::{self, Read};
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
            if let Some(known) = self.cache().and_then(|cache| cache.get(path))
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
            let failed = |source| DiskError::io(path, source);
            // One byte more than it has shows a file that has no size and yet bytes (/proc), or grows while it is read.
            let mut bytes = vec![0; stamp.size as usize + 1];
            let len = whole(&mut file, &mut bytes).map_err(failed)?;
            let after = Stamp::of(&file.metadata().map_err(failed)?);
            if after != stamp || len as u64 != stamp.size {
                continue;
            }
            bytes.truncate(len);
            self.misses.fetch_add(1, Ordering::Relaxed);
            let (text, format) =
                encoding::decode(&bytes).map_err(|why| DiskError::NotText { path: path.to_string(), why })?;
            let read = DiskFile { text: text.into(), format: Format { mode: mode(&found), ..format }, stamp };
            let read = Arc::new(read);
            if let Some(cache) = self.cache()
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

/// Reads until the file ends or `bytes` is full, which is one byte larger than the file is thought to be; says how much
/// there was. What ends one byte short is taken for the whole: more would show in the file's stamp.
fn whole(file: &mut File, bytes: &mut [u8]) -> io::Result<usize> {
    let mut len = 0;
    while len < bytes.len() - usize::from(len > 0) {
        match file.read(&mut bytes[len..]) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(len)
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
