//! Opening files below a root so that the kernel, not a comparison of names, keeps us inside it.
//!
//! Linux has `openat2` for that. Where it is missing (other unix systems, old kernels, strict containers) each part of
//! the path is opened by itself without following links. A link is followed only by us: its target is looked up,
//! must lie below a root, and is then opened in the same guarded way, so a link that is swapped meanwhile gains
//! nothing.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::root::{Root, clean};
use super::{Kind, Last, PathError, WsPath};

/// Links followed before we say that it is a loop; the kernel's own number.
const MAX_LINKS: usize = 40;

/// Flags with which a folder is opened only to look things up below it.
#[cfg(target_os = "linux")]
const FOLDER: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
#[cfg(not(target_os = "linux"))]
const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Whether one part of a path can be used on this system.
pub(super) fn usable(_part: &str) -> bool {
    true
}

/// An open folder.
#[derive(Debug)]
pub struct Dir(OwnedFd);

impl Dir {
    /// Opens a root by its canonical path; the only time a whole path is used.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(rustix::fs::open(path, FOLDER, Mode::empty())?))
    }

    /// The descriptor, for calls that take a folder and a plain name.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Device and inode: another folder that comes to have the same name differs in them.
    pub(super) fn identity(&self) -> Option<(u64, u64)> {
        #[allow(clippy::unnecessary_cast, reason = "the fields have other types on other systems")]
        rustix::fs::fstat(self.fd()).ok().map(|stat| (stat.st_dev as u64, stat.st_ino as u64))
    }

    /// Whether what is asked about here is answered by this machine, so that a look at a file takes microseconds.
    /// A network or user-space file system may take for ever; what cannot be told counts as one.
    pub(super) fn is_local(&self) -> bool {
        #[cfg(target_os = "linux")]
        {
            // NFS, SMB (three times), FUSE, 9P, Ceph, AFS, Coda.
            const REMOTE: [u64; 9] = [
                0x6969,
                0x517b,
                0xff53_4d42,
                0xfe53_4d42,
                0x6573_5546,
                0x0102_1997,
                0x00c3_6400,
                0x5346_414f,
                0x7375_7245,
            ];
            rustix::fs::fstatfs(&self.0).is_ok_and(|found| !REMOTE.contains(&(found.f_type as u64 & 0xffff_ffff)))
        }
        #[cfg(not(target_os = "linux"))]
        false
    }

    /// Makes the new file `name` with this mode; fails if there is one.
    pub fn create_new(&self, name: &str, mode: u32) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(File::from(rustix::fs::openat(&self.0, name, flags, mode_bits(mode))?))
    }

    /// Renames `from` here to `to` there, replacing what stands there.
    pub fn rename(&self, from: &str, there: &Self, to: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.0, from, &there.0, to)?)
    }

    /// Renames `from` here to `to` there; fails if something stands there.
    pub fn rename_new(&self, from: &str, there: &Self, to: &str) -> io::Result<()> {
        #[cfg(any(target_os = "linux", target_os = "macos"))]
        {
            let flags = rustix::fs::RenameFlags::NOREPLACE;
            match rustix::fs::renameat_with(&self.0, from, &there.0, to, flags) {
                // The file system does not know the flag: a hard link refuses an existing name as surely.
                Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
                other => return Ok(other?),
            }
        }
        rustix::fs::linkat(&self.0, from, &there.0, to, AtFlags::empty())?;
        Ok(rustix::fs::unlinkat(&self.0, from, AtFlags::empty())?)
    }

    /// Removes the file `name`.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.0, name, AtFlags::empty())?)
    }

    /// Makes the folder `name`; an existing one will do.
    fn make(&self, name: &str) -> io::Result<()> {
        match rustix::fs::mkdirat(&self.0, name, mode_bits(0o777)) {
            Err(Errno::EXIST) => Ok(()),
            other => Ok(other?),
        }
    }

    /// Writes the folder's entries through to the disk, so that a rename survives a power cut. Best effort: some file
    /// systems cannot.
    pub fn sync(&self) {
        if let Ok(folder) =
            rustix::fs::openat(&self.0, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        {
            rustix::fs::fsync(folder).ok();
        }
    }

    /// Opens `rel` below this folder without leaving it.
    pub(super) fn open_below(&self, rel: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        let rel = if rel.is_empty() { "." } else { rel };
        #[cfg(target_os = "linux")]
        if guarded_open_works() {
            use rustix::fs::{ResolveFlags, openat2};
            let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
            // EAGAIN: a rename went on elsewhere, so the kernel could not be sure. It can be sure the next time.
            for _ in 0..64 {
                match openat2(&self.0, rel, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
                    Err(Errno::AGAIN | Errno::INTR) => {}
                    other => return other,
                }
            }
            return Err(Errno::AGAIN);
        }
        self.open_stepwise(rel, flags)
    }

    /// The same where the kernel has no call for it; refuses links.
    fn open_stepwise(&self, rel: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        let mut parts = rel.split('/').peekable();
        let mut folder: Option<OwnedFd> = None;
        while let Some(part) = parts.next() {
            let at = folder.as_ref().map_or(self.0.as_fd(), AsFd::as_fd);
            if part == ".." {
                return Err(Errno::XDEV);
            }
            let last = parts.peek().is_none();
            let flags = if last { flags | OFlags::CLOEXEC } else { FOLDER };
            let opened = rustix::fs::openat(at, part, flags | OFlags::NOFOLLOW, Mode::empty())?;
            // O_PATH with O_NOFOLLOW opens the link itself instead of refusing it.
            #[cfg(target_os = "linux")]
            if last && flags.contains(OFlags::PATH) {
                let found = FileType::from_raw_mode(rustix::fs::fstat(&opened)?.st_mode);
                if found == FileType::Symlink {
                    return Err(Errno::LOOP);
                }
            }
            if last {
                return Ok(opened);
            }
            folder = Some(opened);
        }
        Err(Errno::NOENT)
    }
}

/// Whether `openat2` can be used: kernels before 5.6 lack it and some containers forbid it.
#[cfg(target_os = "linux")]
fn guarded_open_works() -> bool {
    use rustix::fs::{ResolveFlags, openat2};
    static WORKS: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *WORKS.get_or_init(|| {
        let tried = openat2(rustix::fs::CWD, ".", FOLDER, Mode::empty(), ResolveFlags::BENEATH);
        !matches!(tried, Err(Errno::NOSYS | Errno::PERM))
    })
}

fn mode_bits(mode: u32) -> Mode {
    Mode::from_bits_truncate(mode as rustix::fs::RawMode)
}

fn failed(path: &WsPath, error: Errno) -> PathError {
    PathError::Io { path: path.to_string(), source: error.into() }
}

/// Opens through links that stay inside the workspace.
fn open_with(path: &WsPath, flags: OFlags) -> Result<OwnedFd, PathError> {
    match path.root().dir().open_below(path.rel(), flags) {
        Ok(opened) => return Ok(opened),
        Err(Errno::XDEV | Errno::LOOP | Errno::NOTDIR) => {}
        Err(error) => return Err(failed(path, error)),
    }
    let real = real(path)?;
    real.root().dir().open_below(real.rel(), flags).map_err(|error| match error {
        Errno::XDEV => PathError::Link { path: path.to_string(), link: path.to_string() },
        error => failed(path, error),
    })
}

/// Opens for reading whatever is there; the caller looks at what it got. Never waits for the other end of a FIFO.
pub fn open(path: &WsPath) -> Result<File, PathError> {
    open_with(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY).map(File::from)
}

/// Opens for reading the file `rel` that a walk of `root` came upon. No link may lead out of the root, and nothing is
/// allocated: a search opens tens of thousands.
pub fn open_listed(root: &Root, rel: &str) -> io::Result<File> {
    Ok(root.dir().open_below(rel, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)?.into())
}

/// What stands in a folder, at most `limit` entries in no order, and whether there are more. Names that are not UTF-8
/// are shown with replacement characters; they cannot be opened.
pub fn entries(path: &WsPath, limit: usize) -> Result<(Vec<(String, Kind)>, bool), PathError> {
    let folder = open_with(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
    let mut entries = Vec::new();
    let listed = rustix::fs::Dir::new(folder).map_err(|error| failed(path, error))?;
    for entry in listed {
        let entry = entry.map_err(|error| failed(path, error))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name == "." || name == ".." {
            continue;
        }
        if entries.len() == limit {
            return Ok((entries, true));
        }
        let kind = match entry.file_type() {
            FileType::Unknown => path.join(&name).ok().and_then(|path| kind(&path)).unwrap_or(Kind::Other),
            known => Kind::from(known),
        };
        entries.push((name, kind));
    }
    Ok((entries, false))
}

/// What stands at `path` itself, a link not followed.
pub fn kind(path: &WsPath) -> Option<Kind> {
    let (folder, name) = folder_of(path, Last::Itself, false).ok()?;
    let stat = rustix::fs::statat(folder.fd(), name.as_str(), AtFlags::SYMLINK_NOFOLLOW).ok()?;
    Some(Kind::from(FileType::from_raw_mode(stat.st_mode)))
}

impl From<FileType> for Kind {
    fn from(kind: FileType) -> Self {
        match kind {
            FileType::RegularFile => Self::File,
            FileType::Directory => Self::Folder,
            FileType::Symlink => Self::Link,
            _ => Self::Other,
        }
    }
}

/// Whether something is there, a link that leads nowhere not counted.
pub fn exists(path: &WsPath) -> Result<bool, PathError> {
    match open_with(path, LOOK) {
        Ok(_) => Ok(true),
        Err(error) if error.is_missing() => Ok(false),
        Err(error) => Err(error),
    }
}

/// The file behind `path`, opened without the right to read, to ask the system about it.
pub fn look_at(path: &WsPath) -> Result<File, PathError> {
    open_with(path, LOOK).map(File::from)
}

#[cfg(target_os = "linux")]
const LOOK: OFlags = OFlags::PATH;
#[cfg(not(target_os = "linux"))]
const LOOK: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

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
    let dir = match folder.root().dir().open_below(folder.rel(), FOLDER) {
        Err(Errno::NOENT) if make => {
            let (above, name) = folder_of(&folder, Last::Itself, true)?;
            above.make(&name).map_err(|source| PathError::Io { path: folder.to_string(), source })?;
            folder.root().dir().open_below(folder.rel(), FOLDER)
        }
        other => other,
    };
    Ok((Dir(dir.map_err(|error| failed(path, error))?), name))
}

/// The path without any link in it, as far as it exists: what two names of one file have in common. A link that
/// leads out of every root is an error.
pub fn real(path: &WsPath) -> Result<WsPath, PathError> {
    #[cfg(target_os = "linux")]
    if guarded_open_works() {
        use rustix::fs::{ResolveFlags, openat2};
        let rel = if path.rel().is_empty() { "." } else { path.rel() };
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        if openat2(path.root().dir().fd(), rel, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve).is_ok() {
            return Ok(path.clone());
        }
    }
    let mut root = path.roots().of(path.root().path()).unwrap_or_else(|| path.clone());
    let mut done: Vec<String> = Vec::new();
    let mut left: VecDeque<String> = path.parts().map(str::to_owned).collect();
    let mut links = 0;
    while let Some(part) = left.pop_front() {
        let outside = |link: &str| PathError::Link { path: path.to_string(), link: link.to_owned() };
        if part.is_empty() || part == "." {
            continue;
        }
        // Only a link's target has `..`, and what stands in `done` is no link, so the name above is the place above.
        if part == ".." {
            if done.pop().is_none() {
                let mut above = root.root().path().to_owned();
                above.pop();
                above.extend(left.drain(..));
                let found = path.roots().of(&clean(&above)).ok_or_else(|| outside(".."))?;
                left = found.parts().map(str::to_owned).collect();
                root = found.roots().of(found.root().path()).unwrap_or(found);
            }
            continue;
        }
        done.push(part);
        let here = done.join("/");
        let target = match rustix::fs::readlinkat(root.root().dir().fd(), here.as_str(), Vec::new()) {
            Ok(target) => target,
            // Not a link, or not there: nothing to follow.
            Err(_) => continue,
        };
        links += 1;
        if links > MAX_LINKS {
            return Err(failed(path, Errno::LOOP));
        }
        let target = target.into_string().map_err(|_| outside(&here))?;
        done.pop();
        if target.starts_with('/') {
            let found = path.roots().of(Path::new(&target)).ok_or_else(|| outside(&here))?;
            let rest = std::mem::take(&mut left);
            left = found.parts().map(str::to_owned).chain(rest).collect();
            root = found.roots().of(found.root().path()).unwrap_or(found);
            done.clear();
        } else {
            for part in target.split('/').rev() {
                left.push_front(part.to_owned());
            }
        }
    }
    root.join(&done.join("/"))
}

/// Opens without the kernel's guard, for the test that compares the two ways.
#[cfg(test)]
pub(super) fn stepwise(root: &WsPath, rel: &str) -> Result<OwnedFd, Errno> {
    root.root().dir().open_stepwise(rel, OFlags::RDONLY | OFlags::NONBLOCK)
}
