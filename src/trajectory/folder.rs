//! The folders of recordings, opened once and then used by descriptor: a link that somebody plants there leads nowhere,
//! because no name below the state directory is ever followed.
//!
//! What is made here is for the user alone. A folder that others could write, or that is not the user's, is refused.

use std::fs::File;
use std::io;
use std::path::Path;

/// What stands in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Its name.
    pub(crate) name: String,
    /// A regular file, not a link to one.
    pub(crate) is_file: bool,
}

/// Entries of one folder that are looked at; a recorder makes fewer.
const MOST: usize = 100_000;

#[cfg(unix)]
pub(crate) use self::by_descriptor::Folder;
#[cfg(not(unix))]
pub(crate) use self::by_path::Folder;

#[cfg(unix)]
mod by_descriptor {
    use std::os::fd::{AsFd, OwnedFd};
    use std::os::unix::fs::DirBuilderExt;

    use rustix::fs::{AtFlags, FileType, Mode, OFlags};
    use rustix::io::Errno;

    use super::{Entry, File, MOST, Path, io};

    const OPEN_FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
    const PLAIN: OFlags = OFlags::NOFOLLOW.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);
    const FOR_THE_USER: Mode = Mode::RWXU;

    /// An open folder.
    #[derive(Debug)]
    pub(crate) struct Folder(OwnedFd);

    impl Folder {
        /// The folder at a path that the user has chosen; links in it are the user's.
        pub(crate) fn open(path: &Path) -> io::Result<Self> {
            Ok(Self(rustix::fs::open(path, OPEN_FOLDER, Mode::empty())?))
        }

        /// The same, made if it is missing.
        pub(crate) fn make(path: &Path) -> io::Result<Self> {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
            Self::open(path)
        }

        /// The folder `name` in it, which must be the user's own; nobody else gets into it from now on.
        pub(crate) fn folder(&self, name: &str) -> io::Result<Self> {
            let fd = rustix::fs::openat(&self.0, name, OPEN_FOLDER | OFlags::NOFOLLOW, Mode::empty())?;
            let found = rustix::fs::fstat(&fd)?;
            if found.st_uid != rustix::process::geteuid().as_raw() {
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("`{name}` is not yours")));
            }
            if Mode::from_raw_mode(found.st_mode).intersects(Mode::RWXG | Mode::RWXO) {
                rustix::fs::fchmod(&fd, FOR_THE_USER)?;
            }
            Ok(Self(fd))
        }

        /// The same, made if it is missing.
        pub(crate) fn make_folder(&self, name: &str) -> io::Result<Self> {
            match self.new_folder(name) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
            self.folder(name)
        }

        /// Makes the folder `name`, which must not exist.
        pub(crate) fn new_folder(&self, name: &str) -> io::Result<()> {
            Ok(rustix::fs::mkdirat(&self.0, name, FOR_THE_USER)?)
        }

        /// Makes the file `name`, which must not exist, for appending.
        pub(crate) fn create(&self, name: &str) -> io::Result<File> {
            let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::EXCL | PLAIN;
            Ok(File::from(rustix::fs::openat(&self.0, name, flags, Mode::RUSR | Mode::WUSR)?))
        }

        /// The file `name`, made if it is missing, to be locked.
        pub(crate) fn lockable(&self, name: &str) -> io::Result<File> {
            let flags = OFlags::RDWR | OFlags::CREATE | PLAIN;
            plain(File::from(rustix::fs::openat(&self.0, name, flags, Mode::RUSR | Mode::WUSR)?))
        }

        /// The regular file `name`, for reading.
        pub(crate) fn read(&self, name: &str) -> io::Result<File> {
            plain(File::from(rustix::fs::openat(&self.0, name, OFlags::RDONLY | PLAIN, Mode::empty())?))
        }

        /// The regular file `name`, for reading and cutting.
        pub(crate) fn mend(&self, name: &str) -> io::Result<File> {
            plain(File::from(rustix::fs::openat(&self.0, name, OFlags::RDWR | PLAIN, Mode::empty())?))
        }

        /// Gives the file `from` the name `to`, in place of what has it.
        pub(crate) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
            Ok(rustix::fs::renameat(&self.0, from, &self.0, to)?)
        }

        /// Removes the file `name`, a link and not what it leads to.
        pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
            Ok(rustix::fs::unlinkat(&self.0, name, AtFlags::empty())?)
        }

        /// Removes the empty folder `name`.
        pub(crate) fn remove_folder(&self, name: &str) -> io::Result<()> {
            Ok(rustix::fs::unlinkat(&self.0, name, AtFlags::REMOVEDIR)?)
        }

        /// The same folder once more.
        pub(crate) fn again(&self) -> io::Result<Self> {
            Ok(Self(self.0.try_clone()?))
        }

        /// Whether it still stands somewhere.
        pub(crate) fn is_there(&self) -> bool {
            rustix::fs::fstat(&self.0).is_ok_and(|found| found.st_nlink > 0)
        }

        /// What stands in it, in no order; names that are not UTF-8 are none of ours.
        pub(crate) fn entries(&self) -> io::Result<Vec<Entry>> {
            let mut entries = Vec::new();
            for entry in rustix::fs::Dir::read_from(&self.0)? {
                let entry = entry?;
                let Ok(name) = entry.file_name().to_str() else { continue };
                if matches!(name, "." | "..") {
                    continue;
                }
                let kind = match entry.file_type() {
                    FileType::Unknown => rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW)
                        .map_or(FileType::Unknown, |found| FileType::from_raw_mode(found.st_mode)),
                    kind => kind,
                };
                entries.push(Entry { name: name.to_owned(), is_file: kind == FileType::RegularFile });
                if entries.len() == MOST {
                    break;
                }
            }
            Ok(entries)
        }
    }

    /// Nothing but a regular file: a pipe would make us wait, a device do who knows what.
    fn plain(file: File) -> io::Result<File> {
        let kind = FileType::from_raw_mode(rustix::fs::fstat(file.as_fd())?.st_mode);
        if kind == FileType::RegularFile { Ok(file) } else { Err(Errno::INVAL.into()) }
    }
}

#[cfg(not(unix))]
mod by_path {
    use std::fs::OpenOptions;
    use std::path::PathBuf;

    use super::{Entry, File, MOST, Path, io};

    /// A folder. Where there are no descriptors of folders, names are checked for links before they are used.
    #[derive(Debug)]
    pub(crate) struct Folder(PathBuf);

    impl Folder {
        pub(crate) fn open(path: &Path) -> io::Result<Self> {
            let found = std::fs::metadata(path)?;
            if found.is_dir() { Ok(Self(path.to_owned())) } else { Err(io::ErrorKind::NotADirectory.into()) }
        }

        pub(crate) fn make(path: &Path) -> io::Result<Self> {
            std::fs::create_dir_all(path)?;
            Self::open(path)
        }

        pub(crate) fn folder(&self, name: &str) -> io::Result<Self> {
            let path = self.0.join(name);
            let found = std::fs::symlink_metadata(&path)?;
            if found.is_dir() { Ok(Self(path)) } else { Err(io::ErrorKind::NotADirectory.into()) }
        }

        pub(crate) fn make_folder(&self, name: &str) -> io::Result<Self> {
            match self.new_folder(name) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
                _ => self.folder(name),
            }
        }

        pub(crate) fn new_folder(&self, name: &str) -> io::Result<()> {
            std::fs::create_dir(self.0.join(name))
        }

        pub(crate) fn create(&self, name: &str) -> io::Result<File> {
            OpenOptions::new().append(true).create_new(true).open(self.0.join(name))
        }

        pub(crate) fn lockable(&self, name: &str) -> io::Result<File> {
            self.opened(name, OpenOptions::new().read(true).write(true).create(true).truncate(false))
        }

        pub(crate) fn read(&self, name: &str) -> io::Result<File> {
            self.opened(name, OpenOptions::new().read(true))
        }

        pub(crate) fn mend(&self, name: &str) -> io::Result<File> {
            self.opened(name, OpenOptions::new().read(true).write(true))
        }

        fn opened(&self, name: &str, options: &OpenOptions) -> io::Result<File> {
            let path = self.0.join(name);
            match std::fs::symlink_metadata(&path) {
                Ok(found) if !found.is_file() => Err(io::ErrorKind::InvalidInput.into()),
                _ => options.open(path),
            }
        }

        pub(crate) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
            std::fs::rename(self.0.join(from), self.0.join(to))
        }

        pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
            std::fs::remove_file(self.0.join(name))
        }

        pub(crate) fn remove_folder(&self, name: &str) -> io::Result<()> {
            std::fs::remove_dir(self.0.join(name))
        }

        pub(crate) fn again(&self) -> io::Result<Self> {
            Ok(Self(self.0.clone()))
        }

        pub(crate) fn is_there(&self) -> bool {
            self.0.is_dir()
        }

        pub(crate) fn entries(&self) -> io::Result<Vec<Entry>> {
            let entry = |entry: io::Result<std::fs::DirEntry>| {
                let entry = entry.ok()?;
                let is_file = entry.file_type().ok()?.is_file();
                Some(Entry { name: entry.file_name().into_string().ok()?, is_file })
            };
            Ok(std::fs::read_dir(&self.0)?.filter_map(entry).take(MOST).collect())
        }
    }
}
