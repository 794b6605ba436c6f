//! Files saved in all the ways in which editors save, on the real system.
#![expect(clippy::disallowed_methods, reason = "the tests write the files that are watched")]

use std::os::unix::fs::symlink;
use std::sync::mpsc::{Receiver, channel};

use super::*;

/// Long enough for any machine; nothing waits for it unless something is wrong.
const PATIENCE: Duration = Duration::from_secs(60);

struct Desk {
    folder: tempfile::TempDir,
    watch: FileWatch,
    told: Receiver<()>,
    _runtime: tokio::runtime::Runtime,
}

impl Desk {
    fn new(limit: usize) -> Self {
        Self::among(limit, |_| true)
    }

    fn among(limit: usize, is_local: fn(&Path) -> bool) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (sender, told) = channel();
        let sender = Mutex::new(sender);
        let changed: Changed = Arc::new(move || lock(&sender).send(()).unwrap_or_default());
        let watch = FileWatch::among(runtime.handle(), limit, is_local, changed);
        Self { folder: tempfile::tempdir().unwrap(), watch, told, _runtime: runtime }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str) {
        fs::write(self.path(name), "x").unwrap();
    }

    /// Waits until something is told, and then until the calls of the same burst are over.
    fn wait(&self, what: &str) {
        self.told.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("nothing was told: {what}"));
    }

    fn forget(&self) {
        while self.told.try_recv().is_ok() {}
    }
}

#[test]
fn every_way_of_saving_a_file_is_told() {
    let desk = Desk::new(FOLDERS);
    desk.watch.set(vec![desk.path("a.toml"), desk.path("deep/down/b.toml")]);
    assert_eq!((desk.watch.folders(), desk.watch.unwatched()), (1, None), "one folder is above both");
    desk.write("a.toml");
    desk.wait("a new file");
    desk.write("a.toml");
    desk.wait("a file written in place");
    desk.write("a.toml~");
    fs::rename(desk.path("a.toml~"), desk.path("a.toml")).unwrap();
    desk.wait("a file renamed over another");
    fs::remove_file(desk.path("a.toml")).unwrap();
    desk.wait("a file that is removed");
    fs::create_dir_all(desk.path("deep/down")).unwrap();
    desk.wait("folders that appear");
    for what in ["once", "again"] {
        // The folders are followed down as they come.
        while !lock(&desk.watch.shared.arms).folders.keys().any(|folder| folder.ends_with("down")) {
            desk.wait("the folder is watched");
        }
        desk.forget();
        desk.write("deep/down/b.toml");
        desk.wait("a file in a new folder");
        fs::rename(desk.path("deep/down"), desk.path(&format!("gone-{what}"))).unwrap();
        desk.wait("a folder that is renamed");
        fs::create_dir_all(desk.path("deep/down")).unwrap();
        desk.wait("another folder of its name");
    }
}

#[test]
fn a_link_is_followed_to_its_end_and_when_it_turns() {
    let desk = Desk::new(FOLDERS);
    for folder in ["home", "dot", "other"] {
        fs::create_dir(desk.path(folder)).unwrap();
        desk.write(&format!("{folder}/real.toml"));
    }
    symlink("../dot", desk.path("home/conf")).unwrap();
    symlink("real.toml", desk.path("dot/a.toml")).unwrap();
    desk.watch.set(vec![desk.path("home/conf/a.toml")]);
    desk.write("dot/real.toml");
    desk.wait("what the link leads to");
    fs::remove_file(desk.path("home/conf")).unwrap();
    symlink("../other", desk.path("home/conf")).unwrap();
    desk.wait("a link that turns");
    while !lock(&desk.watch.shared.arms).folders.keys().any(|folder| folder.ends_with("other")) {
        desk.wait("the new place is watched");
    }
    desk.forget();
    symlink("real.toml", desk.path("other/a.toml")).unwrap();
    desk.wait("a file at the new place");
}

#[test]
fn what_cannot_be_watched_is_looked_at() {
    for limit in [0, 1] {
        let desk = Desk::new(limit);
        for folder in ["a", "b"] {
            fs::create_dir(desk.path(folder)).unwrap();
        }
        desk.watch.set(vec![desk.path("a/x"), desk.path("b/x")]);
        assert_eq!((desk.watch.folders(), desk.watch.unwatched()), (limit, Some(Unwatched::Limit)));
        desk.wait("a look");
        desk.wait("another look");
        desk.watch.set(vec![desk.path("a/x")]);
        assert_eq!(desk.watch.unwatched().is_some(), limit == 0);
    }
}

#[test]
fn what_other_machines_may_change_is_looked_at_too_and_the_rest_is_watched() {
    let desk = Desk::among(FOLDERS, |folder| !folder.ends_with("far"));
    for folder in ["near", "far"] {
        fs::create_dir(desk.path(folder)).unwrap();
    }
    desk.watch.set(vec![desk.path("near/x"), desk.path("far/x")]);
    assert_eq!((desk.watch.folders(), desk.watch.unwatched()), (1, Some(Unwatched::Remote)));
    desk.write("near/x");
    desk.wait("what is near");
    desk.forget();
    // Nobody tells of this one.
    desk.write("far/x");
    desk.wait("a look");
    desk.watch.set(vec![desk.path("near/x")]);
    assert_eq!(desk.watch.unwatched(), None);
}

#[test]
fn reading_and_other_names_are_not_told_and_nothing_is_after_the_end() {
    let desk = Desk::new(FOLDERS);
    desk.write("a.toml");
    desk.watch.set(vec![desk.path("a.toml")]);
    let before = desk.watch.shared.ear.events.load(Ordering::Acquire);
    fs::read(desk.path("a.toml")).unwrap();
    desk.write("b.toml");
    desk.write("a.toml");
    desk.wait("the file itself");
    let made = desk.watch.shared.ear.events.load(Ordering::Acquire) - before;
    assert!((1..=3).contains(&made), "opening, writing and closing one file makes {made} events that matter");
    desk.watch.stop();
    assert_eq!(desk.watch.folders(), 0);
}
