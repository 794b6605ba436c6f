//! One folder as it was read: the names in it that the rules let through, and how to tell whether it changed.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use super::super::walk::MAX_FILES;
use super::outside::Outside;
use super::rules::{Found, Ground, Rules, Verdict, read_below};
use crate::paths::listing::{self, Mark};
use crate::paths::{Kind, Root};
use crate::watch::{Unwatched, Watched, Watcher};

/// No folder: the entry is a file.
pub(super) const FILE: u32 = u32::MAX;

/// A name in a [`Folder`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// Where its name ends in the folder's names; it begins where the one before ends.
    end: u32,
    /// Where its own folder is kept, or [`FILE`].
    pub(super) child: u32,
}

#[derive(Debug)]
pub(super) struct Folder {
    /// Its path below the root.
    pub(super) rel: Box<str>,
    /// The names in order, those of folders with a slash at their end: so sorted, paths come in byte order.
    pub(super) names: Box<str>,
    pub(super) entries: Box<[Entry]>,
    /// What holds for the names in it.
    pub(super) rules: Rules,
    pub(super) found: Found,
    /// How it looked before it was read; `None` if it could not be looked at.
    pub(super) mark: Option<Mark>,
    /// Whether a change since then would show in the mark.
    sure: bool,
    /// How the ignore files in it looked. Only needed where nobody tells of changes.
    files: Box<[(&'static str, Option<Mark>)]>,
    pub(super) watched: Option<Watched>,
}

impl Folder {
    /// The name of entry `at`; that of a folder ends with a slash.
    pub(super) fn name(&self, at: usize) -> &str {
        let start = if at == 0 { 0 } else { self.entries[at - 1].end as usize };
        &self.names[start..self.entries[at].end as usize]
    }

    /// The entry with this name, as [`Folder::name`] spells it.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        let (mut low, mut high) = (0, self.entries.len());
        while low < high {
            let middle = low.midpoint(high);
            match self.name(middle).cmp(name) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Some(middle),
            }
        }
        None
    }

    /// The path of a name in it, below the root.
    pub(super) fn path_of(&self, name: &str) -> String {
        let name = name.trim_end_matches('/');
        if self.rel.is_empty() { name.to_owned() } else { format!("{}/{name}", self.rel) }
    }

    /// Nobody will tell of changes any more; whoever wants to know has to look.
    pub(super) fn unwatch(&mut self) {
        self.watched = None;
    }

    /// Looks whether it may have changed.
    pub(super) fn look(&self, root: &Root) -> Look {
        let rules_changed = |(name, mark): &(&'static str, Option<Mark>)| {
            listing::mark(root, &self.path_of(name)) != *mark || mark.is_none_or(|_| !self.sure)
        };
        if self.files.iter().any(rules_changed) {
            Look::Rules
        } else if !self.sure || self.mark.is_none() || listing::mark(root, &self.rel) != self.mark {
            Look::Names
        } else {
            Look::Same
        }
    }

    /// Bytes of memory it takes, rules not counted.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + self.rel.len() + self.names.len() + size_of_val(&*self.entries) + size_of_val(&*self.files)
    }
}

/// What a look at a folder showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    Same,
    /// Names may have come or gone.
    Names,
    /// An ignore file changed.
    Rules,
}

/// Where the rules of a folder come from.
pub(super) enum Under<'a> {
    /// From the folder above; its own ignore files are read.
    Above(&'a Rules),
    /// They are known, unless other ignore files are found.
    Known(&'a Rules, Found),
}

/// Reads folders of one list.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    pub(super) root: &'a Arc<Root>,
    /// Whether names that begin with a dot count.
    pub(super) hidden: bool,
    pub(super) ground: &'a Ground,
    /// Who is to tell of changes, and the device for which that holds.
    pub(super) watcher: Option<(&'a Watcher, u64)>,
}

/// A folder that was read.
pub(super) struct Read {
    pub(super) folder: Folder,
    pub(super) files: usize,
    /// There are more names than fit.
    pub(super) more: bool,
    pub(super) outside: Vec<Outside>,
    /// Why it is not watched.
    pub(super) unwatched: Option<Unwatched>,
    /// It has other ignore files than were known.
    pub(super) other_rules: bool,
}

impl Reader<'_> {
    /// Reads one folder; one that cannot be read has no names. Children are not read: their entries say [`FILE`].
    pub(super) fn read(&self, rel: &str, under: Under<'_>) -> Read {
        let path = self.root.path().join(rel);
        let (mut watched, mut unwatched) = (None, None);
        // Before it is read, so that no change falls between.
        if let Some((watcher, _)) = self.watcher {
            match watcher.add(&path) {
                Ok(folder) => watched = Some(folder),
                Err(why) => unwatched = Some(why),
            }
        }
        let now = SystemTime::now();
        let mut all: Vec<(Box<str>, Kind)> = Vec::new();
        let mut more = false;
        let mut found = Found::default();
        let mut outside = Vec::new();
        let mark = listing::list(self.root, rel, &mut |entry| {
            if entry.kind != Kind::Link {
                found.note(entry.name);
            } else if Found::default().note(entry.name) {
                // What the link leads to may come, go and change without a word from this folder.
                let end = Outside::look(&path.join(entry.name));
                if end.is_there() {
                    found.note(entry.name);
                }
                outside.push(end);
            }
            match entry.kind {
                Kind::File | Kind::Folder if all.len() >= MAX_FILES => more = true,
                Kind::File | Kind::Folder => all.push((entry.name.into(), entry.kind)),
                Kind::Link | Kind::Other => {}
            }
        });
        if let (Ok(mark), Some((watcher, device)), Some(folder)) = (&mark, self.watcher, watched)
            && mark.dev != device
            && !listing::is_local(self.root, rel)
        {
            watcher.remove(folder);
            (watched, unwatched) = (None, Some(Unwatched::Remote));
        }
        let mark = mark.ok().or_else(|| {
            // Once it may be read, its mark is another one.
            all.clear();
            listing::mark(self.root, rel)
        });
        let files: Box<[_]> = found.names().map(|name| (name, listing::mark(self.root, &join(rel, name)))).collect();
        let read_file = |name: &str| read_below(self.root, rel, name);
        let (rules, other_rules) = match under {
            Under::Known(rules, known) if known == found => (rules.clone(), false),
            Under::Known(rules, _) => (rules.clone(), true),
            Under::Above(rules) => (rules.below(&path, found, &mut outside, read_file), false),
        };
        let fresh = |mark: &Option<Mark>| mark.is_some_and(|mark| mark.is_fresh_at(now));
        let sure = !fresh(&mark) && !files.iter().any(|(_, mark)| fresh(mark));
        self.sift(&mut all, &rules, path);
        let (names, entries, count) = pack(&all);
        let folder = Folder { rel: rel.into(), names, entries, rules, found, mark, sure, files, watched };
        Read { folder, files: count, more, outside, unwatched, other_rules }
    }

    /// Leaves out what the rules leave out, and sorts.
    fn sift(&self, all: &mut Vec<(Box<str>, Kind)>, rules: &Rules, mut path: PathBuf) {
        let rules_say = !rules.is_empty(self.ground);
        all.retain_mut(|(name, kind)| {
            if self.hidden && &**name == ".git" {
                return false;
            }
            let verdict = if rules_say {
                path.push(&**name);
                let verdict = rules.say(self.ground, &path, *kind == Kind::Folder);
                path.pop();
                verdict
            } else {
                Verdict::None
            };
            match verdict {
                Verdict::Out => false,
                Verdict::In => true,
                Verdict::None => self.hidden || !name.starts_with('.'),
            }
        });
        for (name, kind) in all.iter_mut() {
            if *kind == Kind::Folder {
                *name = format!("{name}/").into();
            }
        }
        all.sort_unstable();
    }
}

fn pack(all: &[(Box<str>, Kind)]) -> (Box<str>, Box<[Entry]>, usize) {
    let mut names = String::with_capacity(all.iter().map(|(name, _)| name.len()).sum());
    let mut entries = Vec::with_capacity(all.len());
    for (name, _) in all {
        names.push_str(name);
        // A folder with 4 GiB of names does not fit a listing either.
        entries.push(Entry { end: u32::try_from(names.len()).unwrap_or(u32::MAX), child: FILE });
    }
    let files = all.iter().filter(|(_, kind)| *kind == Kind::File).count();
    (names.into(), entries.into(), files)
}

fn join(rel: &str, name: &str) -> String {
    if rel.is_empty() { name.to_owned() } else { format!("{rel}/{name}") }
}
