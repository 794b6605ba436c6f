//! Paths that cannot leave their root.
//!
//! A path from the model, the repository or the editor is hostile until it is a [`WsPath`]: a root that was opened
//! once, and a name below it without `..`. Names alone prove nothing, because a link may lead anywhere and a
//! directory may be swapped for a link between the check and the use. So files are opened through the root's
//! descriptor (`beneath`), and the kernel refuses what leaves it.
//!
//! On systems that are not unix there is no such call: `portable` canonicalises and compares, which a process that
//! renames directories at the right moment can defeat. That weaker promise is stated there.

#[cfg(unix)]
#[path = "paths/beneath.rs"]
pub mod beneath;
#[cfg(not(unix))]
#[path = "paths/portable.rs"]
pub mod beneath;
pub mod listing;
pub mod root;
#[cfg(test)]
mod tests;
pub mod uri;
pub mod wspath;

use std::io;

use thiserror::Error;

pub use self::root::{Root, Roots};
pub use self::uri::{DocKey, file_path, file_uri};
pub use self::wspath::WsPath;

/// Longest path that is looked at, in bytes: `PATH_MAX` of Linux.
pub const MAX_PATH_BYTES: usize = 4096;

/// A relative name without `.` and `..`; `None` if it leads out. By its letters alone: what may be opened, a root says.
pub fn plain(rel: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in rel.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// What a name in a folder stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A link, whatever it leads to.
    Link,
    /// A FIFO, a socket, a device.
    Other,
}

impl Kind {
    /// The kind that the standard library names.
    pub fn from_std(kind: std::fs::FileType) -> Self {
        match () {
            () if kind.is_file() => Self::File,
            () if kind.is_dir() => Self::Folder,
            () if kind.is_symlink() => Self::Link,
            () => Self::Other,
        }
    }
}

/// What the last part of a path means if it is a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Last {
    /// What it leads to: to read and write.
    Target,
    /// The link: to remove and rename.
    Itself,
}

/// Why a path cannot be used; the message says what to do instead.
#[derive(Debug, Error)]
pub enum PathError {
    /// It holds a NUL byte.
    #[error("the path holds a NUL byte; give a plain path below the workspace root")]
    Nul,
    /// It is longer than [`MAX_PATH_BYTES`].
    #[error("the path is longer than {MAX_PATH_BYTES} bytes; give a shorter one")]
    TooLong,
    /// It leaves the workspace by `..`, or is absolute and elsewhere.
    #[error("`{path}` is outside the workspace ({roots}); give a path below it")]
    Outside {
        /// The path as it was given.
        path: String,
        /// The roots, for people.
        roots: String,
    },
    /// There are several roots and the path names none of them.
    #[error("`{path}` does not say which workspace root it is in; begin it with one of: {roots}")]
    WhichRoot {
        /// The path as it was given.
        path: String,
        /// The names of the roots.
        roots: String,
    },
    /// There is no workspace root at all.
    #[error("no workspace folder is open, so there are no files to work with; open a folder")]
    NoRoots,
    /// A link on the way leads out of the workspace.
    #[error("`{path}` goes through the link `{link}`, which leads out of the workspace; use files inside it")]
    Link {
        /// The path as it was given.
        path: String,
        /// The link.
        link: String,
    },
    /// The path cannot be spelt on this system.
    #[error("`{0}` is not a name this system can use; give another one")]
    Name(String),
    /// The system refused.
    #[error("`{path}`: {source}")]
    Io {
        /// The path.
        path: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl PathError {
    /// The kind of the system's refusal, where it was the system that refused.
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        match self {
            Self::Io { source, .. } => Some(source.kind()),
            _ => None,
        }
    }

    /// Whether it says that nothing is there.
    pub fn is_missing(&self) -> bool {
        matches!(self.io_kind(), Some(io::ErrorKind::NotFound | io::ErrorKind::NotADirectory))
    }
}
