//! Folders read for their names, and the marks that tell whether a folder or a small file is still as it was.
//!
//! A list of the files of a workspace reads thousands of folders. Each is opened below its root's descriptor, so no
//! folder that becomes a link at the wrong moment leads the reader out.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

#[cfg(unix)]
pub use self::unix::{folder_mark_at, is_local, list, mark, mark_at, read_below, read_small, stands_at};

#[cfg(not(unix))]
pub use self::portable::{folder_mark_at, is_local, list, mark, mark_at, read_below, read_small, stands_at};
use super::Kind;
use super::root::Root;

/// What tells one state of a folder's names, or of a file, from the next: equal marks that are not
/// [fresh](Mark::is_fresh_at), equal states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Device.
    pub dev: u64,
    /// Inode.
    pub ino: u64,
    size: u64,
    /// Times of the last change of the content and of anything else, in nanoseconds since 1970.
    mtime: i128,
    ctime: i128,
}

/// Two ticks of the slowest kernel clock, 100 Hz, in nanoseconds.
const TICKS_NS: i128 = 20_000_000;

impl Mark {
    /// Whether the state was so new at `time`, when it was looked at, that the clock may not have ticked since: another
    /// change could leave the same mark.
    pub fn is_fresh_at(&self, time: SystemTime) -> bool {
        let time = time.duration_since(UNIX_EPOCH).map_or(0, |age| age.as_nanos() as i128);
        time - self.mtime.max(self.ctime) < TICKS_NS
    }

    /// Whether both are of the same object, whatever happened to it.
    pub fn is_same_object(&self, other: &Self) -> bool {
        (self.dev, self.ino) == (other.dev, other.ino)
    }
}

/// One name in a folder.
#[derive(Clone, Copy, Debug)]
pub struct Listed<'a> {
    /// The name; those that are not UTF-8 are left out.
    pub name: &'a str,
    /// What it stands for.
    pub kind: Kind,
}

fn whole(file: File, limit: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if !file.metadata()?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    file.take(limit as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(unix)]
mod unix {
    use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat};

    use super::*;

    const OPEN: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

    impl Mark {
        #[allow(clippy::unnecessary_cast, reason = "the fields have other types on other systems")]
        fn of(stat: &Stat) -> Self {
            let ns = |seconds: i128, ns: i128| seconds * 1_000_000_000 + ns;
            Self {
                dev: stat.st_dev as u64,
                ino: stat.st_ino as u64,
                size: stat.st_size as u64,
                mtime: ns(i128::from(stat.st_mtime), stat.st_mtime_nsec as i128),
                ctime: ns(i128::from(stat.st_ctime), stat.st_ctime_nsec as i128),
            }
        }
    }

    /// The mark of what stands at `rel` below a root, a link not followed; `None` if nothing does.
    pub fn mark(root: &Root, rel: &str) -> Option<Mark> {
        let rel = if rel.is_empty() { "." } else { rel };
        rustix::fs::statat(root.dir().fd(), rel, AtFlags::SYMLINK_NOFOLLOW).ok().map(|stat| Mark::of(&stat))
    }

    /// The mark of what a whole path leads to; of a folder, only which one it is.
    pub fn mark_at(path: &Path) -> Option<Mark> {
        let stat = rustix::fs::statat(CWD, path, AtFlags::empty()).ok()?;
        let mark = Mark::of(&stat);
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Some(Mark { size: 0, mtime: 0, ctime: 0, ..mark }),
            _ => Some(mark),
        }
    }

    /// The mark of the folder that a whole path leads to, which changes with its names; `None` if there is none.
    pub fn folder_mark_at(path: &Path) -> Option<Mark> {
        rustix::fs::statat(CWD, path, AtFlags::empty()).ok().map(|stat| Mark::of(&stat))
    }

    /// Whether anything stands at a whole path, be it a link that leads nowhere.
    pub fn stands_at(path: &Path) -> bool {
        rustix::fs::statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// Reads the folder `rel` below a root: `each` gets its names in no order. The mark is from before the reading.
    pub fn list(root: &Root, rel: &str, each: &mut dyn FnMut(Listed<'_>)) -> io::Result<Mark> {
        let folder = root.dir().open_below(rel, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW)?;
        let found = Mark::of(&rustix::fs::fstat(&folder)?);
        let entry = |name: &std::ffi::CStr, kind: FileType, each: &mut dyn FnMut(Listed<'_>)| {
            let Ok(name) = name.to_str() else { return };
            if name == "." || name == ".." {
                return;
            }
            let kind = match kind {
                FileType::Unknown => {
                    let stat = rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW);
                    stat.map_or(FileType::Unknown, |stat| FileType::from_raw_mode(stat.st_mode))
                }
                known => known,
            };
            each(Listed { name, kind: Kind::from(kind) });
        };
        #[cfg(target_os = "linux")]
        {
            let mut buffer = [std::mem::MaybeUninit::uninit(); 16 << 10];
            let mut entries = rustix::fs::RawDir::new(&folder, &mut buffer);
            while let Some(found) = entries.next() {
                let found = found?;
                entry(found.file_name(), found.file_type(), each);
            }
        }
        #[cfg(not(target_os = "linux"))]
        for found in rustix::fs::Dir::read_from(&folder)? {
            let found = found?;
            entry(found.file_name(), found.file_type(), each);
        }
        Ok(found)
    }

    /// The first `limit` bytes of the regular file `rel` below a root; a link is followed while it stays inside.
    pub fn read_below(root: &Root, rel: &str, limit: usize) -> io::Result<Vec<u8>> {
        let file = root.dir().open_below(rel, OPEN).or_else(|error| {
            // A link by a whole path leads nowhere below a descriptor, even if it ends inside.
            let end = root.path().join(rel).canonicalize().ok();
            let inside = end.as_deref().and_then(|end| end.strip_prefix(root.path()).ok()?.to_str());
            inside.map_or(Err(error), |inside| root.dir().open_below(inside, OPEN))
        })?;
        whole(file.into(), limit)
    }

    /// The first `limit` bytes of a regular file outside the workspace.
    pub fn read_small(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
        whole(rustix::fs::openat(CWD, path, OPEN, Mode::empty())?.into(), limit)
    }

    /// Whether the folder `rel` below a root is on a file system of which we know that all changes are made by this
    /// kernel, which therefore can tell of them.
    #[cfg(target_os = "linux")]
    pub fn is_local(root: &Root, rel: &str) -> bool {
        // ext2 to 4, btrfs, xfs, tmpfs, ramfs, overlay, f2fs, zfs, bcachefs, jfs, reiserfs, nilfs, ecryptfs, vfat, exfat.
        const LOCAL: [u64; 15] = [
            0xef53,
            0x9123_683e,
            0x5846_5342,
            0x0102_1994,
            0x8584_58f6,
            0x794c_7630,
            0xf2f5_2010,
            0x2fc1_2fc1,
            0xca45_1a4e,
            0x3153_464a,
            0x5265_4973,
            0x3434,
            0xf15f,
            0x4d44,
            0x2011_bab0,
        ];
        let Ok(folder) = root.dir().open_below(rel, OFlags::PATH | OFlags::DIRECTORY) else { return false };
        rustix::fs::fstatfs(folder).is_ok_and(|found| LOCAL.contains(&(found.f_type as u64 & 0xffff_ffff)))
    }

    /// Nobody can tell here.
    #[cfg(not(target_os = "linux"))]
    pub fn is_local(_: &Root, _: &str) -> bool {
        false
    }
}

/// The same by names, without the kernel's guard; see `portable`. Nobody keeps lists here yet.
#[cfg(not(unix))]
mod portable {
    use std::fs::{Metadata, OpenOptions};
    use std::time::SystemTime;

    use super::super::beneath;
    use super::*;

    impl Mark {
        fn of(found: &Metadata) -> Self {
            let ns = |time: io::Result<SystemTime>| {
                time.ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).map_or(0, |age| age.as_nanos() as i128)
            };
            Self { dev: 0, ino: 0, size: found.len(), mtime: ns(found.modified()), ctime: ns(found.created()) }
        }
    }

    /// The mark of what stands at `rel` below a root, a link not followed; `None` if nothing does.
    pub fn mark(root: &Root, rel: &str) -> Option<Mark> {
        std::fs::symlink_metadata(root.path().join(rel)).ok().map(|found| Mark::of(&found))
    }

    /// The mark of what a whole path leads to; of a folder, only that it is one.
    pub fn mark_at(path: &Path) -> Option<Mark> {
        let found = std::fs::metadata(path).ok()?;
        let mark = Mark::of(&found);
        Some(if found.is_dir() { Mark { size: 0, mtime: 0, ctime: 0, ..mark } } else { mark })
    }

    /// The mark of the folder that a whole path leads to, which changes with its names; `None` if there is none.
    pub fn folder_mark_at(path: &Path) -> Option<Mark> {
        std::fs::metadata(path).ok().map(|found| Mark::of(&found))
    }

    /// Whether anything stands at a whole path, be it a link that leads nowhere.
    pub fn stands_at(path: &Path) -> bool {
        std::fs::symlink_metadata(path).is_ok()
    }

    /// Reads the folder `rel` below a root: `each` gets its names in no order. The mark is from before the reading.
    pub fn list(root: &Root, rel: &str, each: &mut dyn FnMut(Listed<'_>)) -> io::Result<Mark> {
        let mark = mark(root, rel).ok_or(io::ErrorKind::NotFound)?;
        for entry in std::fs::read_dir(root.path().join(rel))? {
            let entry = entry?;
            let kind = entry.file_type().map_or(Kind::Other, Kind::from_std);
            if let Some(name) = entry.file_name().to_str() {
                each(Listed { name, kind });
            }
        }
        Ok(mark)
    }

    /// The first `limit` bytes of the regular file `rel` below a root.
    pub fn read_below(root: &Root, rel: &str, limit: usize) -> io::Result<Vec<u8>> {
        whole(beneath::open_listed(root, rel)?, limit)
    }

    /// The first `limit` bytes of a regular file outside the workspace.
    pub fn read_small(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
        whole(OpenOptions::new().read(true).open(path)?, limit)
    }

    /// Nobody can tell here.
    pub fn is_local(_: &Root, _: &str) -> bool {
        false
    }
}
