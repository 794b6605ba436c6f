//! What `beneath` does, for systems without descriptors of folders: names are canonicalised and compared.
//!
//! The promise is weaker. Between the comparison and the use another process may swap a folder for a link, and then
//! a file outside the workspace is read or written. The rest of the program cannot tell the two apart.
#![expect(clippy::disallowed_methods, reason = "this file is the guarded door to the file system on these systems")]

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::root::Root;
use super::{Kind, Last, PathError, WsPath};

/// Whether one part of a path can be used: on Windows a colon opens a drive or a hidden stream of another file, and
/// trailing dots and spaces are dropped, so that two names mean one file.
pub(super) fn usable(part: &str) -> bool {
    !part.contains([':', '\\', '<', '>', '|', '?', '*', '"']) && !part.ends_with(['.', ' '])
}

/// A folder, by its canonical path.
#[derive(Debug)]
pub struct Dir(PathBuf);

impl Dir {
    /// A root.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        if path.is_dir() { Ok(Self(path.to_owned())) } else { Err(io::ErrorKind::NotADirectory.into()) }
    }

    /// Device and inode: the system tells neither.
    pub(super) fn identity(&self) -> Option<(u64, u64)> {
        None
    }

    /// Whether what is asked about here is answered by this machine: it cannot be told.
    pub(super) fn is_local(&self) -> bool {
        false
    }

    /// Makes the new file `name`; fails if there is one. `mode` means nothing here.
    pub fn create_new(&self, name: &str, _mode: u32) -> io::Result<File> {
        OpenOptions::new().write(true).create_new(true).open(self.0.join(name))
    }

    /// Renames `from` here to `to` there, replacing what stands there.
    pub fn rename(&self, from: &str, there: &Self, to: &str) -> io::Result<()> {
        std::fs::rename(self.0.join(from), there.0.join(to))
    }

    /// Renames `from` here to `to` there; fails if something stands there.
    pub fn rename_new(&self, from: &str, there: &Self, to: &str) -> io::Result<()> {
        std::fs::hard_link(self.0.join(from), there.0.join(to))?;
        std::fs::remove_file(self.0.join(from))
    }

    /// Removes the file `name`.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.0.join(name))
    }

    /// There is no such thing as writing a folder through here.
    pub fn sync(&self) {}
}

fn failed(path: &WsPath, source: io::Error) -> PathError {
    PathError::Io { path: path.to_string(), source }
}

/// Opens for reading the file `rel` that a walk of `root` came upon.
pub fn open_listed(root: &Root, rel: &str) -> io::Result<File> {
    let real = std::fs::canonicalize(root.path().join(rel))?;
    if real.starts_with(root.path()) { File::open(real) } else { Err(io::ErrorKind::PermissionDenied.into()) }
}

/// Opens for reading.
pub fn open(path: &WsPath) -> Result<File, PathError> {
    File::open(real(path)?.absolute()).map_err(|error| failed(path, error))
}

/// Whether something is there.
pub fn exists(path: &WsPath) -> Result<bool, PathError> {
    real(path)?.absolute().try_exists().map_err(|error| failed(path, error))
}

/// The file behind `path`, to ask the system about it.
pub fn look_at(path: &WsPath) -> Result<File, PathError> {
    open(path)
}

/// What stands in a folder, at most `limit` entries in no order, and whether there are more.
pub fn entries(path: &WsPath, limit: usize) -> Result<(Vec<(String, Kind)>, bool), PathError> {
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(real(path)?.absolute()).map_err(|error| failed(path, error))? {
        let entry = entry.map_err(|error| failed(path, error))?;
        if entries.len() == limit {
            return Ok((entries, true));
        }
        let kind = entry.file_type().map_or(Kind::Other, Kind::from_std);
        entries.push((entry.file_name().to_string_lossy().into_owned(), kind));
    }
    Ok((entries, false))
}

/// What stands at `path` itself, a link not followed.
pub fn kind(path: &WsPath) -> Option<Kind> {
    let folder = real(&path.parent()?).ok()?;
    std::fs::symlink_metadata(folder.absolute().join(path.name())).ok().map(|found| Kind::from_std(found.file_type()))
}

/// The folder that really holds `path`, and the name there. With `make`, missing folders are made.
pub fn folder_of(path: &WsPath, last: Last, make: bool) -> Result<(Dir, String), PathError> {
    let nameless = || PathError::Name(path.to_string());
    let (folder, name) = match last {
        Last::Target => {
            let real = real(path)?;
            (real.parent().ok_or_else(nameless)?, real.name().to_owned())
        }
        Last::Itself => (real(&path.parent().ok_or_else(nameless)?)?, path.name().to_owned()),
    };
    if make {
        std::fs::create_dir_all(folder.absolute()).map_err(|error| failed(path, error))?;
    }
    Ok((Dir(folder.absolute()), name))
}

/// The path without any link in it, as far as it exists.
pub fn real(path: &WsPath) -> Result<WsPath, PathError> {
    let mut existing = path.clone();
    let mut rest: Vec<String> = Vec::new();
    loop {
        match std::fs::canonicalize(existing.absolute()) {
            Ok(found) => {
                let outside = || PathError::Link { path: path.to_string(), link: existing.to_string() };
                let mut real = path.roots().of(&found).ok_or_else(outside)?;
                for part in rest.iter().rev() {
                    real = real.join(part)?;
                }
                return Ok(real);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                rest.push(existing.name().to_owned());
                existing = existing.parent().ok_or_else(|| failed(path, error))?;
            }
            Err(error) => return Err(failed(path, error)),
        }
    }
}
