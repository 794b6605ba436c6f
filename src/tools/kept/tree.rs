//! The folders of a list, kept so that a change in one of them costs the reading of one.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

use super::super::walk::{self, MAX_FILES};
use super::folder::{FILE, Folder, Look, Read, Reader, Under};
use super::list::List;
use super::rules::{Found, Ground, Rules};
use super::steps::{Step, Steps};
use crate::paths::listing;
use crate::paths::{Root, WsPath};
use crate::watch::{Change, Unwatched, Watched, Watcher};

/// With more folders to look at than this, all cores look.
const MANY: usize = 512;

/// All that a list is made from.
#[derive(Debug)]
pub(super) struct Tree {
    root: Arc<Root>,
    /// Path of the folder below the root.
    pub(super) base: Box<str>,
    hidden: bool,
    ground: Ground,
    pub(super) above: Rules,
    /// The base first. A place is never used again.
    pub(super) folders: Vec<Option<Folder>>,
    watcher: Watcher,
    watched: HashMap<Watched, u32>,
    /// Folders that have to be looked at, since nobody tells of their changes.
    loose: Vec<u32>,
    /// Why folders are not watched, where that is so for all.
    trust: Result<u64, Unwatched>,
    pub(super) list: Arc<List>,
    /// Differs from the numbers of all other states of all trees.
    pub(super) generation: u64,
    /// Folders to be read again for what was heard.
    dirty: BTreeSet<u32>,
    /// Whether something was heard that costs the whole list.
    lost: bool,
}

/// What became of a tree that was looked over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Its list was right.
    Same,
    /// Its list was put right.
    Mended,
    /// It has to be made anew: the rules changed, or nobody knows what happened.
    Lost,
}

/// A number that was never given before.
fn next_generation() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl Tree {
    /// A tree that knows the base and nothing in it; folders are watched, at most `watches`, where it can be done.
    pub(super) fn new(base: &WsPath, hidden: bool, watches: usize) -> Self {
        let root = base.root().clone();
        let (ground, above) = Ground::above(&base.absolute());
        let trust = match listing::mark(&root, base.rel()) {
            _ if watches == 0 => Err(Unwatched::System),
            Some(mark) if listing::is_local(&root, base.rel()) => Ok(mark.dev),
            _ => Err(Unwatched::Remote),
        };
        Self {
            root,
            base: base.rel().into(),
            hidden,
            ground,
            above,
            folders: Vec::new(),
            watcher: Watcher::new(watches),
            watched: HashMap::new(),
            loose: Vec::new(),
            trust,
            list: Arc::default(),
            generation: next_generation(),
            dirty: BTreeSet::new(),
            lost: false,
        }
    }

    pub(super) fn reader(&self) -> Reader<'_> {
        let watcher = self.trust.ok().map(|device| (&self.watcher, device));
        Reader { root: &self.root, hidden: self.hidden, ground: &self.ground, watcher }
    }

    /// Why nobody tells of changes, if that is so.
    pub(super) fn unwatched(&self) -> Option<Unwatched> {
        self.trust.err()
    }

    /// Whether every change in it is told.
    pub(super) fn is_watched(&self) -> bool {
        self.trust.is_ok() && self.loose.is_empty()
    }

    /// Reads everything, on so many threads; `false` if `stop` said so or there is too much, and the list is a part.
    pub(super) fn read_all(&mut self, threads: usize, stop: &(dyn Fn() -> bool + Sync)) -> bool {
        let jobs = Jobs {
            state: Mutex::new(Queue { open: vec![(0, self.base.to_string(), self.above.clone())], next: 1, busy: 0 }),
            turn: Condvar::new(),
            files: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
        };
        let reader = self.reader();
        let done = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for _ in 1..walk::threads(threads) {
                scope.spawn(|| jobs.work(reader, stop, &done));
            }
            jobs.work(reader, stop, &done);
        });
        let done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        let complete = !jobs.stopped.into_inner();
        self.folders = Vec::new();
        self.folders
            .resize_with(jobs.state.into_inner().unwrap_or_else(PoisonError::into_inner).next as usize, || None);
        for (place, read) in done {
            self.settle(place, read);
        }
        self.finish(complete);
        complete
    }

    /// Takes in a folder that was read.
    pub(super) fn settle(&mut self, place: u32, read: Read) {
        let Read { folder, outside, unwatched, .. } = read;
        self.ground.add(outside);
        if let Some(number) = folder.watched {
            let before = self.watched.insert(number, place);
            // Two names for one folder: for the one of which nobody will tell, we have to look.
            if let Some(twin) = before.filter(|before| *before != place)
                && let Some(Some(twin)) = self.folders.get_mut(twin as usize)
                && twin.watched == Some(number)
            {
                twin.unwatch();
            }
        }
        if unwatched == Some(Unwatched::Limit) {
            self.trust = Err(Unwatched::Limit);
        }
        if place as usize >= self.folders.len() {
            self.folders.resize_with(place as usize + 1, || None);
        }
        self.folders[place as usize] = Some(folder);
    }

    /// Puts down what follows from the folders.
    pub(super) fn finish(&mut self, complete: bool) {
        if self.trust.is_err() && !self.watched.is_empty() {
            // Half of the changes are no better than none, and the watches help someone else.
            self.watcher = Watcher::new(0);
            self.watched.clear();
            self.folders.iter_mut().flatten().for_each(Folder::unwatch);
        }
        let loose = |(place, folder): (usize, &Option<Folder>)| {
            folder.as_ref().filter(|folder| folder.watched.is_none()).map(|_| place as u32)
        };
        self.loose = self.folders.iter().enumerate().filter_map(loose).collect();
        let mut list = List::new();
        let mut steps = Steps::default();
        while let Some(step) = steps.next(&self.folders) {
            let Step::File { folder, at } = step else { continue };
            if let Some(Some(folder)) = self.folders.get(folder as usize)
                && !list.push(&folder.rel, folder.name(at))
            {
                break;
            }
        }
        list.more |= !complete;
        list.trim();
        if *self.list != list {
            self.list = Arc::new(list);
        }
        self.generation = next_generation();
    }

    /// Takes in what happened until now and says how many folders have to be read again for it.
    pub(super) fn hear(&mut self) -> usize {
        let Self { watcher, watched, folders, dirty, lost, generation, .. } = self;
        let drained = watcher.drain(&mut |event| {
            *generation = next_generation();
            if event.change == Change::Lost {
                *lost = true;
                return;
            }
            let Some(place) = watched.get(&event.folder).copied() else { return };
            let means_rules = event.name.is_some_and(|name| Found::default().note(name));
            match (event.change, event.name) {
                (Change::Ended, _) => {
                    watched.remove(&event.folder);
                    if let Some(folder) = &mut folders[place as usize] {
                        folder.unwatch();
                        folder.mark = None;
                    }
                    *lost |= place == 0;
                    dirty.insert(place);
                }
                // The base itself was moved or deleted; of another folder the one above tells.
                (Change::Name, None) => *lost |= place == 0,
                _ if means_rules => *lost = true,
                (Change::Name, Some(_)) | (Change::Access, None) => {
                    dirty.insert(place);
                }
                (Change::Access, Some(name)) => {
                    // Of a file it says nothing about names.
                    let folder = folders[place as usize].as_ref();
                    let at = folder.and_then(|folder| folder.find(&format!("{name}/")));
                    dirty.extend(folder.zip(at).map(|(folder, at)| folder.entries[at].child));
                }
                (Change::Bytes, _) | (Change::Lost, _) => {}
            }
        });
        self.lost |= drained.is_err();
        self.dirty.len()
    }

    /// Brings everything up to now: all that happened before the call is in the list after it.
    pub(super) fn refresh(&mut self, threads: usize) -> Fate {
        if !self.ground.holds() {
            return Fate::Lost;
        }
        self.hear();
        let mut dirty = std::mem::take(&mut self.dirty);
        if self.lost || !self.look_at_loose(threads, &mut dirty) {
            return Fate::Lost;
        }
        if dirty.is_empty() {
            return Fate::Same;
        }
        if !dirty.iter().all(|place| self.reread(*place)) || self.folders.len() > 2 * self.alive() + 1_000 {
            return Fate::Lost;
        }
        let before = self.list.clone();
        self.finish(true);
        if self.list.len() > MAX_FILES || self.list.more {
            return Fate::Lost;
        }
        if Arc::ptr_eq(&before, &self.list) { Fate::Same } else { Fate::Mended }
    }

    fn alive(&self) -> usize {
        self.folders.iter().flatten().count()
    }

    /// Looks at the folders of which nobody tells; `false` if rules changed.
    fn look_at_loose(&self, threads: usize, dirty: &mut BTreeSet<u32>) -> bool {
        let look = |places: &[u32]| {
            let mut changed = Vec::new();
            for place in places {
                match self.folders[*place as usize].as_ref().map(|folder| folder.look(&self.root)) {
                    Some(Look::Rules) => return None,
                    Some(Look::Names) => changed.push(*place),
                    Some(Look::Same) | None => {}
                }
            }
            Some(changed)
        };
        let threads = if self.loose.len() < MANY { 1 } else { walk::threads(threads) };
        let share = self.loose.len().div_ceil(threads).max(1);
        let shares: Vec<Option<Vec<u32>>> = std::thread::scope(|scope| {
            let mut parts = self.loose.chunks(share);
            let first = parts.next().unwrap_or_default();
            let others: Vec<_> = parts.map(|part| scope.spawn(move || look(part))).collect();
            let first = look(first);
            let others = others.into_iter().map(|thread| thread.join().unwrap_or_default());
            std::iter::once(first).chain(others).collect()
        });
        let all = !shares.iter().any(Option::is_none);
        dirty.extend(shares.into_iter().flatten().flatten());
        all
    }

    /// Reads a folder again, with what is new below it; `false` if its rules changed.
    fn reread(&mut self, place: u32) -> bool {
        let Some(Some(old)) = self.folders.get(place as usize) else { return true };
        let rel = old.rel.clone();
        let mut read = self.reader().read(&rel, Under::Known(&old.rules, old.found));
        if read.other_rules || read.more {
            return false;
        }
        let Some(old) = self.folders[place as usize].take() else { return true };
        let rules = read.folder.rules.clone();
        let mut new = Vec::new();
        for at in 0..read.folder.entries.len() {
            let name = read.folder.name(at);
            if !name.ends_with('/') {
                continue;
            }
            let known = old.find(name).map(|at| old.entries[at].child);
            let same = known.filter(|known| self.is_same(*known, &read.folder.path_of(name)));
            match same {
                Some(known) => read.folder.entries[at].child = known,
                None => new.push(at),
            }
        }
        let kept: Vec<u32> =
            read.folder.entries.iter().map(|entry| entry.child).filter(|child| *child != FILE).collect();
        for gone in old.entries.iter().map(|entry| entry.child).filter(|child| *child != FILE && !kept.contains(child))
        {
            self.remove(gone);
        }
        let mut open = Vec::new();
        for at in new {
            let child = (self.folders.len() + open.len()) as u32;
            open.push((child, read.folder.path_of(read.folder.name(at)), rules.clone()));
            read.folder.entries[at].child = child;
        }
        self.settle(place, read);
        self.folders.resize_with(self.folders.len() + open.len(), || None);
        let mut files = self.list.len();
        while let Some((place, rel, above)) = open.pop() {
            let mut read = self.reader().read(&rel, Under::Above(&above));
            files += read.files;
            if read.more || files > MAX_FILES {
                return false;
            }
            let first = self.folders.len() as u32;
            let children = number_children(&mut read.folder, first);
            self.folders.resize_with(self.folders.len() + children.len(), || None);
            open.extend(children);
            self.settle(place, read);
        }
        true
    }

    /// Whether the folder kept at `place` is the one that stands at `rel` now.
    fn is_same(&self, place: u32, rel: &str) -> bool {
        let kept = self.folders.get(place as usize).and_then(Option::as_ref).and_then(|folder| folder.mark);
        kept.is_some_and(|kept| listing::mark(&self.root, rel).is_some_and(|now| now.is_same_object(&kept)))
    }

    /// Forgets a folder and all below it.
    fn remove(&mut self, place: u32) {
        let mut open = vec![place];
        while let Some(place) = open.pop() {
            let Some(folder) = self.folders.get_mut(place as usize).and_then(Option::take) else { continue };
            open.extend(folder.entries.iter().map(|entry| entry.child).filter(|child| *child != FILE));
            // If it only moved, it is watched under its new name.
            if let Some(number) = folder.watched
                && self.watched.get(&number) == Some(&place)
            {
                self.watched.remove(&number);
                self.watcher.remove(number);
            }
        }
    }

    /// Whether a folder below the root is one of ours, so that what is below it is in the list.
    pub(super) fn holds(&self, rel: &str) -> bool {
        let Some(below) = rel.strip_prefix(&*self.base) else { return false };
        let mut place = 0;
        for part in below.split('/').filter(|part| !part.is_empty()) {
            let Some(Some(folder)) = self.folders.get(place as usize) else { return false };
            let Some(at) = folder.find(&format!("{part}/")) else { return false };
            place = folder.entries[at].child;
        }
        self.folders.get(place as usize).is_some_and(Option::is_some)
    }

    /// Folders, and bytes of memory that all of it takes but for the rules.
    pub(super) fn size(&self) -> (usize, usize) {
        let folders: usize = self.folders.iter().flatten().map(Folder::bytes).sum();
        let places = self.folders.capacity() * size_of::<Option<Folder>>() - self.alive() * size_of::<Folder>();
        // A map has a control byte and some free room for each entry.
        let watched = self.watched.capacity() * (size_of::<(Watched, u32)>() + 1) * 8 / 7;
        (self.alive(), folders + places + watched + self.list.bytes())
    }
}

type Job = (u32, String, Rules);

/// Gives the folders in a folder their places, from `first` on.
fn number_children(folder: &mut Folder, first: u32) -> Vec<Job> {
    let mut jobs = Vec::new();
    for at in 0..folder.entries.len() {
        let name = folder.name(at);
        if name.ends_with('/') {
            let place = first + jobs.len() as u32;
            jobs.push((place, folder.path_of(name), folder.rules.clone()));
            folder.entries[at].child = place;
        }
    }
    jobs
}

/// Folders that several threads read.
struct Jobs {
    state: Mutex<Queue>,
    turn: Condvar,
    files: AtomicUsize,
    stopped: AtomicBool,
}

struct Queue {
    open: Vec<Job>,
    next: u32,
    busy: usize,
}

impl Jobs {
    fn work(&self, reader: Reader<'_>, stop: &(dyn Fn() -> bool + Sync), done: &Mutex<Vec<(u32, Read)>>) {
        let mut mine = Vec::new();
        while let Some((place, rel, above)) = self.take() {
            let mut read = reader.read(&rel, Under::Above(&above));
            let files = self.files.fetch_add(read.files, Ordering::Relaxed) + read.files;
            if read.more || files > MAX_FILES || stop() {
                self.stopped.store(true, Ordering::Relaxed);
            }
            {
                let mut queue = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                queue.busy -= 1;
                let children = number_children(&mut read.folder, queue.next);
                queue.next += children.len() as u32;
                queue.open.extend(children);
            }
            self.turn.notify_all();
            mine.push((place, read));
        }
        done.lock().unwrap_or_else(PoisonError::into_inner).append(&mut mine);
    }

    fn take(&self) -> Option<Job> {
        let mut queue = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if self.stopped.load(Ordering::Relaxed) {
                return None;
            }
            if let Some(job) = queue.open.pop() {
                queue.busy += 1;
                return Some(job);
            }
            if queue.busy == 0 {
                return None;
            }
            queue = self.turn.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
