//! Writing: the old file or the new one, never half of either.
//!
//! A new text goes to a temporary file in the same folder, through to the disk, and then takes the name in one
//! step. Hard links to the old file keep the old text; that is the price of never tearing a file.

use std::fs::File;
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Disk, DiskError, Format, Stamp, encoding};
use crate::paths::beneath::{self, Dir};
use crate::paths::{Kind, Last, WsPath};

/// What may stand where a file is about to be put.
enum Place<'a> {
    /// Nothing.
    Empty,
    /// A regular file; of this generation, if one is named.
    File(Option<&'a Stamp>),
}

impl Disk {
    /// Replaces the text of an existing file, keeping its format. The line ends and the final newline of `text` are
    /// made to fit, see [`Format::conform`].
    pub fn write(&self, path: &WsPath, text: &str, format: &Format) -> Result<Stamp, DiskError> {
        self.put(path, text, format, Place::File(None))
    }

    /// The same, but only if the file is still the generation `stamp`; [`DiskError::Changed`] if not.
    pub fn write_over(&self, path: &WsPath, text: &str, format: &Format, stamp: &Stamp) -> Result<Stamp, DiskError> {
        self.put(path, text, format, Place::File(Some(stamp)))
    }

    /// Makes a file that must not exist yet, and the folders on the way. Without a format it is plain UTF-8 with the
    /// permissions that new files have here.
    pub fn create(&self, path: &WsPath, text: &str, format: Option<&Format>) -> Result<Stamp, DiskError> {
        let plain = Format { mode: 0, ..Format::default() };
        self.put(path, text, format.unwrap_or(&plain), Place::Empty)
    }

    /// Removes a file, or a link and not what it leads to.
    pub fn remove(&self, path: &WsPath) -> Result<(), DiskError> {
        self.movable(path)?;
        let (folder, name) =
            beneath::folder_of(path, Last::Itself, false).map_err(|error| DiskError::path(path, error))?;
        folder.remove(&name).map_err(|source| DiskError::io(path, source))?;
        folder.sync();
        self.forget(path);
        Ok(())
    }

    /// Gives a file another name, which must be free; makes the folders on the way.
    pub fn rename(&self, from: &WsPath, to: &WsPath) -> Result<(), DiskError> {
        self.movable(from)?;
        let (here, name) =
            beneath::folder_of(from, Last::Itself, false).map_err(|error| DiskError::path(from, error))?;
        let (there, new_name) =
            beneath::folder_of(to, Last::Itself, true).map_err(|error| DiskError::path(to, error))?;
        here.rename_new(&name, &there, &new_name).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => DiskError::Missing(from.to_string()),
            _ => DiskError::io(to, source),
        })?;
        there.sync();
        here.sync();
        self.forget(from);
        self.forget(to);
        Ok(())
    }

    fn movable(&self, path: &WsPath) -> Result<(), DiskError> {
        let what = match beneath::kind(path) {
            Some(Kind::File | Kind::Link) => return Ok(()),
            Some(Kind::Folder) => "a folder",
            Some(Kind::Other) => "a special file",
            None => return Err(DiskError::Missing(path.to_string())),
        };
        Err(DiskError::NotAFile { path: path.to_string(), what })
    }

    fn forget(&self, path: &WsPath) {
        if let Some(cache) = &self.cache {
            cache.invalidate(path);
        }
    }

    fn put(&self, path: &WsPath, text: &str, format: &Format, place: Place<'_>) -> Result<Stamp, DiskError> {
        let encoding_name = format.encoding.name();
        if !format.exact {
            return Err(DiskError::Inexact { path: path.to_string(), encoding: encoding_name });
        }
        let bytes = encoding::encode(&format.conform(text), format).map_err(|character| DiskError::Unwritable {
            path: path.to_string(),
            character,
            encoding: encoding_name,
        })?;
        if let Place::File(expected) = &place {
            let found = self.stat(path)?;
            if expected.is_some_and(|expected| *expected != found) {
                return Err(DiskError::Changed(path.to_string()));
            }
        }
        let new = matches!(place, Place::Empty);
        // A new file never takes the place of a link, wherever that leads.
        let last = if new { Last::Itself } else { Last::Target };
        let (folder, name) = beneath::folder_of(path, last, new).map_err(|error| DiskError::path(path, error))?;
        let failed = |source| DiskError::io(path, source);
        let (temporary, mut file) = temporary(&folder, if new { 0o666 } else { 0o600 }).map_err(failed)?;
        let written = file
            .write_all(&bytes)
            .and_then(|()| if format.mode == 0 { Ok(()) } else { set_mode(&file, format.mode) })
            .and_then(|()| file.sync_all())
            .and_then(|()| match place {
                Place::Empty => folder.rename_new(&temporary, &folder, &name),
                Place::File(_) => folder.rename(&temporary, &folder, &name),
            })
            .and_then(|()| file.metadata());
        match written {
            Ok(found) => {
                folder.sync();
                self.forget(path);
                Ok(Stamp::of(&found))
            }
            Err(source) => {
                folder.remove(&temporary).ok();
                Err(failed(source))
            }
        }
    }
}

/// A new file of a name that no other writer of this machine takes.
fn temporary(folder: &Dir, mode: u32) -> std::io::Result<(String, File)> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    loop {
        let name = format!(".ropeway-{}-{}.tmp", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        match folder.create_new(&name, mode) {
            // Left behind by a process of the same number that was killed.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            other => return other.map(|file| (name, file)),
        }
    }
}

#[cfg(unix)]
fn set_mode(file: &File, mode: u32) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(mode))
}

#[cfg(not(unix))]
fn set_mode(_file: &File, _mode: u32) -> std::io::Result<()> {
    Ok(())
}
