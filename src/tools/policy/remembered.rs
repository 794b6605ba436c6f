//! Commands that the user has allowed for good: whole lines with their folder, in one file of the state directory.
//!
//! Only lines of which every part [only reads](super::super::command::readonly) get here, and each time one is met
//! again it is judged anew: an entry answers a question, it changes no verdict. The file is read each time a question
//! would be put, so that what was taken back in the terminal counts at once. It is made for the user alone (0600) and
//! replaced as a whole. One that cannot be understood, or that others may write, answers nothing, is left as it is, and
//! the user is told.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::super::command::{self, Simple, show};
use crate::config::EnvSnapshot;
use crate::paths::WsPath;

/// The file's name in the state directory.
const NAME: &str = "approvals.json";
/// Most entries; the oldest goes.
const MAX_ENTRIES: usize = 500;
/// Longest file that is read, in bytes: more than the entries can take.
const MAX_FILE: u64 = 16 << 20;
/// The one version of the file.
const VERSION: u32 = 1;
/// How long another process may hold the file.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a yes for good is about. Equal ones are one and the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lasting {
    /// The workspace folder it is for, as an absolute path without links.
    root: String,
    /// Its device and inode: what was said of a folder does not hold for one that is put in its place.
    identity: Option<(u64, u64)>,
    /// The folder below it in which the line runs.
    cwd: String,
    /// The commands, each with what stands before it, its words and its redirects.
    parts: Vec<(String, Vec<String>, Vec<String>)>,
}

impl Lasting {
    /// Of a line in a folder without links; `None` if a path is not UTF-8 and so could be mistaken for another.
    pub fn new(simple: &Simple, cwd: &WsPath) -> Option<Self> {
        let root = cwd.root().path().to_str()?.to_owned();
        let parts = simple.parts.iter().map(|part| {
            let sign = part.joint.map_or("", command::Joint::sign);
            (sign.to_owned(), part.argv.clone(), part.redirects.iter().map(|one| (*one).to_owned()).collect())
        });
        Some(Self { root, identity: cwd.root().identity(), cwd: cwd.rel().to_owned(), parts: parts.collect() })
    }

    #[cfg(test)]
    pub(crate) fn move_to(&mut self, root: &str) {
        self.identity = None;
        root.clone_into(&mut self.root);
    }

    /// The line as the user is shown it.
    fn line(&self) -> String {
        let part = |(sign, argv, redirects): &(String, Vec<String>, Vec<String>)| {
            let words = show::words(argv.iter().map(String::as_str), redirects.iter().map(String::as_str));
            if sign.is_empty() { words } else { format!("{} {words}", show::visible(sign)) }
        };
        self.parts.iter().map(part).collect::<Vec<_>>().join(" ")
    }

    /// A name for the terminal: the same for the same thing.
    fn id(&self) -> String {
        // FNV-1a: the name need not withstand anybody, for whoever can choose entries can write the file.
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for byte in format!("{self:?}").bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
        format!("{hash:016x}").split_off(6)
    }
}

/// One entry, for the terminal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Its name.
    pub id: String,
    /// The line, with nothing in it that hides.
    pub command: String,
    /// The folder in which it may run.
    pub folder: String,
    /// When it was allowed, in seconds since 1970.
    pub since: u64,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    allowed: Vec<Kept>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    since: u64,
    what: Lasting,
}

/// The file.
#[derive(Clone, Debug, Default)]
pub struct Remembered {
    /// The state directory, if there is one.
    dir: Option<PathBuf>,
}

impl Remembered {
    /// In the state directory of this environment.
    pub fn of(env: &EnvSnapshot) -> Self {
        Self::at(env.state_dir())
    }

    /// In this directory, which need not exist.
    pub fn at(dir: Option<PathBuf>) -> Self {
        Self { dir }
    }

    /// Where the entries are kept.
    pub fn path(&self) -> Option<PathBuf> {
        Some(self.dir.as_ref()?.join(NAME))
    }

    /// Whether this was allowed for good. The error says in one sentence why nobody knows.
    pub fn holds(&self, what: &Lasting) -> Result<bool, String> {
        Ok(self.read()?.allowed.iter().any(|kept| kept.what == *what))
    }

    /// Keeps it; the error says in one sentence why it cannot be kept.
    pub fn add(&self, what: &Lasting) -> Result<(), String> {
        self.change(|file| {
            file.allowed.retain(|kept| kept.what != *what);
            let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
            file.allowed.push(Kept { since, what: what.clone() });
            let excess = file.allowed.len().saturating_sub(MAX_ENTRIES);
            file.allowed.drain(..excess);
        })
    }

    /// All entries, the oldest first.
    pub fn list(&self) -> Result<Vec<Entry>, String> {
        let entry = |kept: Kept| {
            let folder = Path::new(&kept.what.root).join(&kept.what.cwd);
            let folder = show::visible(&folder.display().to_string());
            Entry { id: kept.what.id(), command: kept.what.line(), folder, since: kept.since }
        };
        Ok(self.read()?.allowed.into_iter().map(entry).collect())
    }

    /// Takes back the entry of this name; whether there was one.
    pub fn remove(&self, id: &str) -> Result<bool, String> {
        let mut found = false;
        self.change(|file| {
            let before = file.allowed.len();
            file.allowed.retain(|kept| kept.what.id() != id);
            found = file.allowed.len() < before;
        })?;
        Ok(found)
    }

    /// Takes back everything, also what cannot be understood.
    pub fn clear(&self) -> Result<(), String> {
        let dir = self.dir.as_deref().ok_or_else(nowhere)?;
        if !dir.exists() {
            return Ok(());
        }
        let _lock = lock(dir)?;
        write(dir, &File { version: VERSION, allowed: Vec::new() })
    }

    fn change(&self, change: impl FnOnce(&mut File)) -> Result<(), String> {
        let dir = self.dir.as_deref().ok_or_else(nowhere)?;
        make(dir).map_err(|error| cannot("written", dir, &error))?;
        let _lock = lock(dir)?;
        let mut file = self.read()?;
        change(&mut file);
        write(dir, &file)
    }

    fn read(&self) -> Result<File, String> {
        let Some(path) = self.path() else { return Ok(File { version: VERSION, allowed: Vec::new() }) };
        let text = match read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(File { version: VERSION, allowed: Vec::new() });
            }
            Err(error) => return Err(cannot("read", &path, &error)),
        };
        match serde_json::from_slice::<File>(&text) {
            Ok(file) if file.version == VERSION => Ok(file),
            Ok(_) => Err(cannot("read", &path, &"it is of another version of Ropeway")),
            Err(error) => Err(cannot("read", &path, &error)),
        }
    }
}

fn nowhere() -> String {
    "what you allowed for good cannot be kept: there is no state directory; set ROPEWAY_STATE_DIR".to_owned()
}

fn cannot(what: &str, path: &Path, why: &dyn std::fmt::Display) -> String {
    let path = show::visible(&path.display().to_string());
    format!("what you allowed for good cannot be {what} ({path}: {why}; `ropeway policy forget --all` begins anew)")
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut options = std::fs::OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        // A FIFO would make us wait, a link could lead anywhere.
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        options.custom_flags(flags.bits().cast_signed());
    }
    let file = options.open(path)?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(std::io::Error::other("it is no plain file"));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        if found.mode() & 0o022 != 0 || found.uid() != rustix::process::geteuid().as_raw() {
            return Err(std::io::Error::other("others can write it"));
        }
    }
    let mut text = Vec::new();
    if file.take(MAX_FILE + 1).read_to_end(&mut text)? as u64 > MAX_FILE {
        return Err(std::io::Error::other("it is too long"));
    }
    Ok(text)
}

fn make(dir: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

/// A new file for the user alone.
fn private(path: &Path, new: bool) -> std::io::Result<std::fs::File> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(!new).create_new(new);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Keeps other processes of the user from changing the file at the same time, until it is dropped.
fn lock(dir: &Path) -> Result<std::fs::File, String> {
    let path = dir.join(format!("{NAME}.lock"));
    let file = private(&path, false).map_err(|error| cannot("written", &path, &error))?;
    let until = std::time::Instant::now() + PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(std::fs::TryLockError::WouldBlock) if std::time::Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(10));
            }
            Err(error) => return Err(cannot("written", &path, &error)),
        }
    }
}

/// Replaces the file as a whole: a reader finds the old entries or the new ones.
fn write(dir: &Path, file: &File) -> Result<(), String> {
    let path = dir.join(NAME);
    let next = dir.join(format!("{NAME}.{}", std::process::id()));
    let replace = || {
        // Whoever left one behind is gone: the lock is ours.
        drop(std::fs::remove_file(&next));
        let mut text = serde_json::to_vec_pretty(file)?;
        text.push(b'\n');
        let mut out = private(&next, true)?;
        out.write_all(&text)?;
        out.sync_all()?;
        std::fs::rename(&next, &path)
    };
    replace().map_err(|error| {
        drop(std::fs::remove_file(&next));
        cannot("written", &path, &error)
    })
}

/// Takes from others the right to write the file.
#[cfg(all(test, unix))]
pub(crate) fn close_to_others(path: &Path) {
    let only_the_user = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(path, only_the_user).expect("a file of the test");
}

#[cfg(test)]
mod tests;
