//! Going through a tree in the order of its list, reading folders on the way as far as somebody asks: a search that
//! ends early has read no more than it needed.

use super::super::walk::MAX_FILES;
use super::folder::{FILE, Folder, Under};
use super::tree::Tree;
use crate::paths::WsPath;

/// A walk in the order of the list through folders that are there, or are about to be.
#[derive(Debug, Default)]
pub(super) struct Steps {
    /// Folders on the way and the next entry of each; empty before the first step.
    way: Vec<(u32, usize)>,
    begun: bool,
}

/// A step of [`Steps`].
pub(super) enum Step {
    /// A file.
    File { folder: u32, at: usize },
    /// A folder that is not there: it has to be read and put in, or passed over.
    Missing { folder: u32, at: usize },
}

impl Steps {
    /// The next file; folders that were never put in are reported once.
    pub(super) fn next(&mut self, folders: &[Option<Folder>]) -> Option<Step> {
        if !self.begun {
            self.begun = true;
            self.way.push((0, 0));
        }
        loop {
            let (place, at) = self.way.last_mut()?;
            let folder = folders.get(*place as usize).and_then(Option::as_ref);
            let Some(folder) = folder.filter(|folder| *at < folder.entries.len()) else {
                self.way.pop();
                continue;
            };
            let (here, now) = (*place, *at);
            *at += 1;
            match folder.entries[now].child {
                FILE if folder.name(now).ends_with('/') => return Some(Step::Missing { folder: here, at: now }),
                FILE => return Some(Step::File { folder: here, at: now }),
                child => self.way.push((child, 0)),
            }
        }
    }

    /// Enters a folder that was put in.
    pub(super) fn enter(&mut self, place: u32) {
        self.way.push((place, 0));
    }
}

/// A tree that is read in the order of its list, as far as somebody asks.
#[derive(Debug)]
pub(super) struct Walk {
    tree: Tree,
    steps: Steps,
    files: usize,
    more: bool,
    at_end: bool,
}

impl Walk {
    /// Begins; reads nothing yet.
    pub(super) fn new(base: &WsPath, hidden: bool, watches: usize) -> Self {
        Self { tree: Tree::new(base, hidden, watches), steps: Steps::default(), files: 0, more: false, at_end: false }
    }

    /// Gives the next file to `take` as a folder and a name; `false` at the end.
    pub(super) fn next(&mut self, take: impl FnOnce(&str, &str)) -> bool {
        if self.tree.folders.is_empty() {
            let read = self.tree.reader().read(&self.tree.base, Under::Above(&self.tree.above));
            self.more |= read.more;
            self.tree.settle(0, read);
        }
        loop {
            if self.files >= MAX_FILES {
                self.more = true;
                return false;
            }
            match self.steps.next(&self.tree.folders) {
                None => {
                    self.at_end = true;
                    return false;
                }
                Some(Step::File { folder, at }) => {
                    let Some(folder) = &self.tree.folders[folder as usize] else { continue };
                    self.files += 1;
                    take(&folder.rel, folder.name(at));
                    return true;
                }
                Some(Step::Missing { folder, at }) => {
                    let Some(parent) = &self.tree.folders[folder as usize] else { continue };
                    let rel = parent.path_of(parent.name(at));
                    let read = self.tree.reader().read(&rel, Under::Above(&parent.rules));
                    let place = self.tree.folders.len() as u32;
                    if let Some(parent) = &mut self.tree.folders[folder as usize] {
                        parent.entries[at].child = place;
                    }
                    self.more |= read.more;
                    self.tree.settle(place, read);
                    self.steps.enter(place);
                }
            }
        }
    }

    /// The tree, after the end; `None` if it is a part.
    pub(super) fn into_tree(mut self) -> Option<Tree> {
        if self.more {
            return None;
        }
        self.tree.finish(true);
        Some(self.tree)
    }

    /// Whether the end was reached.
    pub(super) fn is_at_end(&self) -> bool {
        self.at_end
    }

    /// Whether there is more than may be listed.
    pub(super) fn more(&self) -> bool {
        self.more
    }
}
