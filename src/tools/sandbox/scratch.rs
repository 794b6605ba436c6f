//! The folder that holds what the commands of one run write, gone with the run, or with the next one if the server
//! was ended the hard way.

use std::collections::VecDeque;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use crate::config::EnvSnapshot;

/// One such folder. Dropping it removes it.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    lock: PathBuf,
    /// Locked as long as the folder is in use; the system lets go of it whatever happens to us.
    _held: File,
}

impl Scratch {
    /// A new one, in the first of these places that will do and does not lie in one of the folders to `avoid`.
    pub fn make(places: &[PathBuf], avoid: &[PathBuf]) -> io::Result<Self> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "there is no folder to work in");
        for place in places {
            match Self::make_in(place, avoid) {
                Ok(made) => return Ok(made),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn make_in(place: &Path, avoid: &[PathBuf]) -> io::Result<Self> {
        private(place)?;
        let place = place.canonicalize()?;
        ours(&place)?;
        if avoid.iter().any(|folder| place.starts_with(folder)) {
            return Err(io::Error::other(format!("{} lies in the workspace", place.display())));
        }
        sweep(&place);
        for _ in 0..100 {
            let path = place.join(name());
            let lock = path.with_extension("lock");
            let held = OpenOptions::new().write(true).create_new(true).open(&lock)?;
            held.lock()?;
            // Somebody may have swept it up between its making and its locking.
            if lock.exists() {
                private(&path)?;
                return Ok(Self { path, lock, _held: held });
            }
        }
        Err(io::Error::other("the folder to work in is swept as fast as it is made"))
    }

    /// Where it is.
    #[cfg(test)]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A folder in it that only the user can enter, made if it is not there.
    pub fn folder(&self, name: &str) -> io::Result<PathBuf> {
        let path = self.path.join(name);
        private(&path)?;
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        give_back(&self.path, &self.lock);
    }
}

/// A name that no other has.
fn name() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    format!("{}-{:x}-{}", std::process::id(), now.as_nanos(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Makes a folder that only the user can enter, and those above it.
fn private(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    builder.create(path)
}

/// Where scratch folders of this user may lie, the best place first.
pub fn places(env: &EnvSnapshot) -> Vec<PathBuf> {
    let home = env.home().filter(|home| home.is_dir());
    let named = env.os("ROPEWAY_STATE_DIR").is_some() || env.os("XDG_STATE_HOME").is_some();
    let state = env.state_dir().filter(|state| state.is_absolute() && (named || home.is_some()));
    let shared = if cfg!(unix) { Some(PathBuf::from("/var/tmp")) } else { None };
    let shared =
        shared.into_iter().chain([std::env::temp_dir()]).map(|folder| folder.join(format!("ropeway-{}", user())));
    state.map(|state| state.join("commands")).into_iter().chain(shared).collect()
}

#[cfg(unix)]
fn user() -> String {
    rustix::process::geteuid().as_raw().to_string()
}

#[cfg(not(unix))]
fn user() -> &'static str {
    "commands"
}

/// A folder that others may write, or that somebody made for us in a place for everybody, is no good.
#[cfg(unix)]
fn ours(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let found = fs::symlink_metadata(folder)?;
    match found.uid() == rustix::process::geteuid().as_raw() && found.mode() & 0o022 == 0 {
        true => Ok(()),
        false => Err(io::Error::other(format!("{} belongs to or is open to others", folder.display()))),
    }
}

#[cfg(not(unix))]
fn ours(_folder: &Path) -> io::Result<()> {
    Ok(())
}

/// Removes what servers that are no more have left behind.
fn sweep(place: &Path) {
    let Ok(entries) = fs::read_dir(place) else { return };
    let locks = entries.flatten().map(|entry| entry.path()).filter(|path| path.extension() == Some("lock".as_ref()));
    for lock in locks {
        let Ok(file) = OpenOptions::new().write(true).open(&lock) else { continue };
        if file.try_lock().is_ok() {
            give_back(&lock.with_extension(""), &lock);
        }
    }
}

/// The lock goes last, and only if the folder is gone: what is left of it is the next sweep's.
fn give_back(folder: &Path, lock: &Path) {
    remove(folder);
    if fs::symlink_metadata(folder).is_err() {
        let _ = fs::remove_file(lock);
    }
}

/// Removes a folder with all that a hostile command may have put there: folders closed to everybody, and folders
/// within folders deeper than a path is long. What cannot be removed is left to the next sweep.
pub fn remove(top: &Path) {
    let mut open: VecDeque<PathBuf> = VecDeque::from([top.to_owned()]);
    let mut emptied = Vec::new();
    let mut moved = 0_u64;
    while let Some(folder) = open.pop_front() {
        unlock(&folder);
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                let _ = fs::remove_file(&path);
                continue;
            }
            unlock(&path);
            // Moved up, so that no path grows; the top's own are at home already.
            let near = if folder == top { path } else { top.join(format!(".removed-{moved}")) };
            moved += 1;
            if folder == top || fs::rename(entry.path(), &near).is_ok() {
                open.push_back(near);
            }
        }
        emptied.push(folder);
    }
    for folder in emptied.iter().rev() {
        let _ = fs::remove_dir(folder);
    }
}

/// Opens a folder to ourselves, whoever has closed it.
fn unlock(folder: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let _ = fs::set_permissions(folder, fs::Permissions::from_mode(0o700));
    }
    #[cfg(not(unix))]
    let _ = folder;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_gone_with_its_owner_whatever_is_in_it() {
        let home = tempfile::tempdir().unwrap();
        let place = home.path().join("a/b");
        let scratch = Scratch::make(std::slice::from_ref(&place), &[]).unwrap();
        let closed = scratch.folder("closed").unwrap();
        fs::create_dir_all(closed.join("in/side")).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            std::os::unix::fs::symlink(home.path(), closed.join("link")).unwrap();
            fs::set_permissions(&closed, fs::Permissions::from_mode(0o0)).unwrap();
        }
        drop(scratch);
        assert_eq!(fs::read_dir(&place).unwrap().count(), 0);
    }

    #[test]
    fn what_a_dead_server_left_is_swept_and_what_a_living_one_has_is_not() {
        let home = tempfile::tempdir().unwrap();
        let places = [home.path().to_owned()];
        let alive = Scratch::make(&places, &[]).unwrap();
        let dead = home.path().join("1-2-3");
        fs::create_dir_all(dead.join("root0")).unwrap();
        File::options().write(true).create(true).truncate(true).open(home.path().join("1-2-3.lock")).unwrap();
        let other = Scratch::make(&places, &[]).unwrap();
        assert!(!dead.exists() && alive.path().exists() && other.path().exists());
        drop((alive, other));
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_folder_in_the_workspace_will_not_do() {
        let home = tempfile::tempdir().unwrap();
        let inside = home.path().canonicalize().unwrap();
        assert!(Scratch::make(&[inside.join("x")], &[inside]).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn folders_deeper_than_a_path_is_long_are_removed() {
        let home = tempfile::tempdir().unwrap();
        let scratch = Scratch::make(&[home.path().to_owned()], &[]).unwrap();
        let mut here = rustix::fs::open(scratch.path(), rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty()).unwrap();
        for _ in 0..3000 {
            rustix::fs::mkdirat(&here, "deeper", rustix::fs::Mode::RWXU).unwrap();
            here = rustix::fs::openat(&here, "deeper", rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty()).unwrap();
        }
        drop(scratch);
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
    }
}
