//! File events that are asked for, not told: whoever is about to use what it remembers of a folder drains the events
//! first, and knows.
//!
//! On Linux the kernel queues an event before the call that caused it returns. Reading the queue when something
//! remembered is used therefore proves that nothing happened since, in one system call and without a thread. (The
//! crate `notify` reads the queue on a thread of its own, so that its word may come too late, and has every opening
//! of a file reported: a search would bury it in its own events.) On other systems there is no watcher; what is
//! remembered there has to be checked by looking.
//!
//! Nothing is opened before the first folder is added. A watcher that cannot be trusted any more says so once and for
//! all: its user falls back on looking. For a few single files there is [`files`], which tells.

pub mod files;

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

/// A watched folder. Numbers are never given twice by one watcher, but a folder that is added again, under whatever
/// name, has the number that it had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Watched(i32);

/// Why folders are not watched; for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unwatched {
    /// There is no watcher for this system.
    System,
    /// The system allows no more watches to this user.
    Limit,
    /// The file system may be changed by others than this machine.
    Remote,
    /// The folder is gone or may not be read.
    Folder,
}

impl fmt::Display for Unwatched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::System => "there is no watcher for this system",
            Self::Limit => {
                "the system allows no more watches; raise fs.inotify.max_user_watches, or ignore folders that hold no sources"
            }
            Self::Remote => "the file system may be changed by other machines",
            Self::Folder => "the folder is gone or may not be read",
        })
    }
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A name came, went or means something else now.
    Name,
    /// What may be done with it, or a time stamp, changed; no name in the event: of the folder itself.
    Access,
    /// The bytes of a file changed.
    Bytes,
    /// The folder is watched no longer: it was deleted or unmounted.
    Ended,
    /// Events were lost: anything may have happened, in any folder.
    Lost,
}

/// One event. Several alike in a row may be told as one.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// The folder that was added; means nothing in [`Change::Lost`].
    pub folder: Watched,
    /// The name in it; `None` if it is about the folder itself, or the name is no UTF-8.
    pub name: Option<&'a str>,
    /// What happened.
    pub change: Change,
}

/// Watches folders, each for itself: not what is below it.
#[derive(Debug)]
pub struct Watcher {
    system: system::Watcher,
    /// Most folders.
    limit: usize,
    /// Folders, about: threads that add at the same time may count one twice.
    count: AtomicUsize,
    newest: AtomicI32,
}

impl Watcher {
    /// A watcher of nothing, which costs nothing, and of at most `limit` folders: others need watches, too.
    pub fn new(limit: usize) -> Self {
        Self { system: system::Watcher::default(), limit, count: AtomicUsize::new(0), newest: AtomicI32::new(i32::MIN) }
    }

    /// Watches a folder from now on. Add it before you look at it, and no change is missed.
    pub fn add(&self, folder: &Path) -> Result<Watched, Unwatched> {
        if self.limit == 0 {
            return Err(Unwatched::Limit);
        }
        let before = self.newest.load(Ordering::Acquire);
        let added = self.system.add(folder)?;
        self.newest.fetch_max(added.0, Ordering::AcqRel);
        // Numbers grow, and a folder that was known keeps its own.
        if added.0 > before && self.count.fetch_add(1, Ordering::AcqRel) >= self.limit {
            self.system.remove(added);
            return Err(Unwatched::Limit);
        }
        Ok(added)
    }

    /// Watches a folder no longer; events that are on their way may still come.
    pub fn remove(&self, folder: Watched) {
        self.system.remove(folder);
    }

    /// Gives all that happened until now, oldest first. An error: nothing is known any more, nor will be.
    pub fn drain(&self, each: &mut dyn FnMut(Event<'_>)) -> Result<(), Unwatched> {
        self.system.drain(&mut |event| {
            if event.change == Change::Ended {
                let less = |count: usize| count.checked_sub(1);
                self.count.fetch_update(Ordering::AcqRel, Ordering::Acquire, less).ok();
            }
            each(event);
        })
    }
}

#[cfg(target_os = "linux")]
mod system {
    use std::mem::MaybeUninit;
    use std::os::fd::OwnedFd;
    use std::sync::{Mutex, OnceLock, PoisonError};

    use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
    use rustix::io::Errno;

    use super::*;

    /// Events read at a time, in bytes: some two hundred.
    const BUFFER: usize = 8 << 10;

    #[derive(Debug, Default)]
    pub(super) struct Watcher {
        queue: OnceLock<Option<OwnedFd>>,
        /// Held while the queue is read, so that events come in order.
        reading: Mutex<()>,
    }

    impl Watcher {
        pub(super) fn add(&self, folder: &Path) -> Result<Watched, Unwatched> {
            let open = || inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).ok();
            let queue = self.queue.get_or_init(open).as_ref().ok_or(Unwatched::Limit)?;
            let what = WatchFlags::CREATE
                | WatchFlags::DELETE
                | WatchFlags::MOVE
                | WatchFlags::MODIFY
                | WatchFlags::ATTRIB
                | WatchFlags::DELETE_SELF
                | WatchFlags::MOVE_SELF
                | WatchFlags::ONLYDIR
                | WatchFlags::DONT_FOLLOW
                | WatchFlags::EXCL_UNLINK;
            match inotify::add_watch(queue, folder, what) {
                Ok(number) => Ok(Watched(number)),
                Err(Errno::NOSPC | Errno::NOMEM) => Err(Unwatched::Limit),
                Err(_) => Err(Unwatched::Folder),
            }
        }

        pub(super) fn remove(&self, folder: Watched) {
            if let Some(Some(queue)) = self.queue.get() {
                // It may be gone by itself.
                inotify::remove_watch(queue, folder.0).ok();
            }
        }

        pub(super) fn drain(&self, each: &mut dyn FnMut(Event<'_>)) -> Result<(), Unwatched> {
            let Some(queue) = self.queue.get() else { return Ok(()) };
            let queue = queue.as_ref().ok_or(Unwatched::Limit)?;
            let _reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
            let mut buffer = [MaybeUninit::uninit(); BUFFER];
            let mut events = inotify::Reader::new(queue, &mut buffer);
            loop {
                match events.next() {
                    Ok(event) => {
                        let what = event.events();
                        let change = match () {
                            () if what.contains(ReadFlags::QUEUE_OVERFLOW) => Change::Lost,
                            () if what.intersects(ReadFlags::IGNORED | ReadFlags::UNMOUNT) => Change::Ended,
                            () if what.intersects(ReadFlags::MODIFY) => Change::Bytes,
                            () if what.intersects(ReadFlags::ATTRIB) => Change::Access,
                            // Deleted or moved itself, or something in it came or went.
                            () => Change::Name,
                        };
                        let name = event.file_name().and_then(|name| name.to_str().ok());
                        each(Event { folder: Watched(event.wd()), name, change });
                    }
                    Err(Errno::AGAIN) => return Ok(()),
                    Err(Errno::INTR) => {}
                    Err(_) => return Err(Unwatched::System),
                }
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use super::*;

    #[derive(Debug, Default)]
    pub(super) struct Watcher;

    impl Watcher {
        pub(super) fn add(&self, _: &Path) -> Result<Watched, Unwatched> {
            Err(Unwatched::System)
        }

        pub(super) fn remove(&self, _: Watched) {}

        pub(super) fn drain(&self, _: &mut dyn FnMut(Event<'_>)) -> Result<(), Unwatched> {
            Ok(())
        }
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::fs;

    use super::*;

    fn drained(watcher: &Watcher) -> Vec<(Watched, Option<String>, Change)> {
        let mut events = Vec::new();
        watcher.drain(&mut |event| events.push((event.folder, event.name.map(str::to_owned), event.change))).unwrap();
        events
    }

    fn put(path: &Path, text: &str) {
        fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .and_then(|mut file| {
                use std::io::Write;
                file.write_all(text.as_bytes())
            })
            .unwrap();
    }

    #[test]
    fn what_happened_is_there_as_soon_as_it_has_happened_and_only_once() {
        let dir = tempfile::tempdir().unwrap();
        let watcher = Watcher::new(100);
        assert!(drained(&watcher).is_empty(), "nothing is open yet");
        let folder = watcher.add(dir.path()).unwrap();
        let at = dir.path().join("a.txt");
        put(&at, "one");
        let name = Some("a.txt".to_owned());
        assert_eq!(drained(&watcher), [(folder, name.clone(), Change::Name), (folder, name, Change::Bytes)]);
        assert!(drained(&watcher).is_empty());
        fs::metadata(&at).unwrap();
        fs::File::options().read(true).open(&at).unwrap();
        assert!(drained(&watcher).is_empty(), "looking is no change");
        fs::rename(&at, dir.path().join("b.txt")).unwrap();
        assert_eq!(drained(&watcher).len(), 2);
        fs::remove_file(dir.path().join("b.txt")).unwrap();
        assert!(
            drained(&watcher)
                .iter()
                .any(|(_, name, change)| name.as_deref() == Some("b.txt") && *change == Change::Name)
        );
    }

    #[test]
    fn a_folder_keeps_its_number_under_another_name_and_says_when_it_ends() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (dir.path().join("one"), dir.path().join("two"));
        fs::create_dir(&one).unwrap();
        let watcher = Watcher::new(100);
        let folder = watcher.add(&one).unwrap();
        fs::rename(&one, &two).unwrap();
        assert_eq!(watcher.add(&two), Ok(folder));
        drained(&watcher);
        fs::remove_dir(&two).unwrap();
        assert!(drained(&watcher).contains(&(folder, None, Change::Ended)));
        assert_eq!(watcher.add(&two), Err(Unwatched::Folder));
        std::os::unix::fs::symlink(dir.path(), &one).unwrap();
        assert_eq!(watcher.add(&one), Err(Unwatched::Folder), "a link is not followed");
    }

    #[test]
    fn a_folder_that_is_let_go_tells_nothing_more() {
        let dir = tempfile::tempdir().unwrap();
        let watcher = Watcher::new(100);
        let folder = watcher.add(dir.path()).unwrap();
        watcher.remove(folder);
        drained(&watcher);
        put(&dir.path().join("a"), "");
        assert!(drained(&watcher).is_empty());
    }

    #[test]
    fn past_its_limit_it_watches_no_more_until_something_it_watches_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let names = ["a", "b", "c"].map(|name| dir.path().join(name));
        names.iter().for_each(|name| fs::create_dir(name).unwrap());
        let watcher = Watcher::new(2);
        let a = watcher.add(&names[0]).unwrap();
        watcher.add(&names[1]).unwrap();
        assert_eq!(watcher.add(&names[0]), Ok(a), "it is watched already");
        assert_eq!(watcher.add(&names[2]), Err(Unwatched::Limit));
        put(&names[2].join("x"), "");
        fs::remove_dir(&names[0]).unwrap();
        assert!(drained(&watcher).contains(&(a, None, Change::Ended)));
        assert!(watcher.add(&names[2]).is_ok());
        assert_eq!(Watcher::new(0).add(&names[2]), Err(Unwatched::Limit));
    }

    #[test]
    fn a_queue_that_ran_over_says_that_events_were_lost() {
        let dir = tempfile::tempdir().unwrap();
        let watcher = Watcher::new(100);
        watcher.add(dir.path()).unwrap();
        let limit: usize = number_in("/proc/sys/fs/inotify/max_queued_events").unwrap_or(16_384);
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        put(&a, "");
        for _ in 0..=limit / 4 {
            fs::rename(&a, &b).unwrap();
            fs::rename(&b, &a).unwrap();
        }
        assert!(drained(&watcher).iter().any(|(_, _, change)| *change == Change::Lost));
    }

    fn number_in(path: &str) -> Option<usize> {
        use std::io::Read;
        let mut text = String::new();
        fs::File::options().read(true).open(path).ok()?.read_to_string(&mut text).ok()?;
        text.trim().parse().ok()
    }
}
