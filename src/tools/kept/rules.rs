//! What the ignore files say of a name: the rules of ripgrep, for a list that is kept and mended in places.
//!
//! The crate `ignore` knows these rules only as part of its own walk. Here are its matchers of one file each, put
//! together in the same order: `.rgignore` over `.ignore` over `.gitignore` over `.git/info/exclude` over the user's
//! own file, the nearest folder first; those of git only inside a repository. A test holds both against each other.
//! Two things differ, for safety: an ignore file that is no regular file is not opened (a FIFO would wait for ever), and
//! a link to one is followed only inside the root.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder, gitconfig_excludes_path};

use super::outside::{Absent, Outside};
use crate::paths::Root;
use crate::paths::listing;

/// Names that mean rules. The order of the files among them is that of [`Level::files`].
const FILES: [&str; 3] = [".rgignore", ".ignore", ".gitignore"];

/// Bytes of one ignore file that count.
const MAX_BYTES: usize = 1 << 20;

/// Which names that mean rules stand in a folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    files: [bool; 3],
    git: bool,
    jj: bool,
}

impl Found {
    /// Notes a name; says whether it means rules.
    pub(super) fn note(&mut self, name: &str) -> bool {
        if !name.starts_with('.') {
            return false;
        }
        match FILES.iter().position(|file| *file == name) {
            Some(at) => self.files[at] = true,
            None if name == ".git" => self.git = true,
            None if name == ".jj" => self.jj = true,
            None => return false,
        }
        true
    }

    pub(super) fn is_empty(self) -> bool {
        self == Self::default()
    }

    /// The ignore files there are.
    pub(super) fn names(self) -> impl Iterator<Item = &'static str> {
        FILES.into_iter().zip(self.files).filter_map(|(name, found)| found.then_some(name))
    }
}

/// The rules of one folder that has some.
#[derive(Debug)]
struct Level {
    above: Option<Arc<Level>>,
    files: [Gitignore; 3],
    exclude: Gitignore,
    is_repository: bool,
}

/// The rules that hold in a folder. A copy is a pointer.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules {
    nearest: Option<Arc<Level>>,
    in_repository: bool,
}

/// What holds for a whole list: rules from outside of it, and how all that was outside looked when they were read.
#[derive(Debug)]
pub(super) struct Ground {
    user: Gitignore,
    /// Files whose coming, going or changing changes the rules.
    outside: Vec<Outside>,
    /// Where names that would change them do not stand.
    absent: Vec<Absent>,
}

impl Ground {
    /// The rules above `folder`, a whole path.
    pub(super) fn above(folder: &Path) -> (Self, Rules) {
        let mut ground = Self { user: Gitignore::empty(), outside: Vec::new(), absent: Vec::new() };
        // Before they are read: a change meanwhile then shows.
        ground.outside.extend(git_settings().iter().map(|file| Outside::look(file)));
        if let Some(file) = gitconfig_excludes_path() {
            ground.outside.push(Outside::look(&file));
            // Its patterns hold from the current folder, wherever that is; so does ripgrep.
            let base = Path::new(".").canonicalize().unwrap_or_default();
            ground.user = read(&base, listing::read_small(&file, MAX_BYTES).ok());
        }
        let mut rules = Rules::default();
        let folders: Vec<&Path> = folder.ancestors().skip(1).collect();
        for folder in folders.into_iter().rev() {
            let mut found = Found::default();
            let names = [FILES[0], FILES[1], FILES[2], ".git", ".jj"];
            let absent = Absent::of(folder, &names);
            for name in names.into_iter().filter(|name| !absent.has(name)) {
                let outside = Outside::look(&folder.join(name));
                if outside.is_there() {
                    found.note(name);
                }
                ground.outside.push(outside);
            }
            ground.absent.push(absent);
            rules = rules.below(folder, found, &mut ground.outside, |name| {
                listing::read_small(&folder.join(name), MAX_BYTES).ok()
            });
        }
        (ground, rules)
    }

    /// Takes over what was come upon while folders were read.
    pub(super) fn add(&mut self, outside: Vec<Outside>) {
        self.outside.extend(outside);
    }

    /// Whether everything outside still is as it was.
    pub(super) fn holds(&mut self) -> bool {
        self.outside.iter().all(Outside::holds) && self.absent.iter_mut().all(Absent::holds)
    }
}

impl Rules {
    /// The rules in `folder` (a whole path), where `found` stands. `read_file` reads an ignore file there; what has to
    /// be looked at besides is put down in `outside`.
    pub(super) fn below(
        &self,
        folder: &Path,
        found: Found,
        outside: &mut Vec<Outside>,
        read_file: impl Fn(&str) -> Option<Vec<u8>>,
    ) -> Self {
        if found.is_empty() {
            return self.clone();
        }
        let files = [0, 1, 2].map(|at| match found.files[at] {
            true => read(folder, read_file(FILES[at])),
            false => Gitignore::empty(),
        });
        let exclude = match found.git {
            true => exclude(folder, outside),
            false => Gitignore::empty(),
        };
        let is_repository = found.git || found.jj;
        let level = Level { above: self.nearest.clone(), files, exclude, is_repository };
        Self { nearest: Some(Arc::new(level)), in_repository: self.in_repository || is_repository }
    }

    /// Whether no rule at all can say anything.
    pub(super) fn is_empty(&self, ground: &Ground) -> bool {
        self.nearest.is_none() && (!self.in_repository || ground.user.is_empty())
    }

    /// What the rules say of a whole path.
    pub(super) fn say(&self, ground: &Ground, path: &Path, is_folder: bool) -> Verdict {
        let (mut found, mut git, mut exclude) = ([None; 2], None, None);
        let mut ours = self.in_repository;
        let mut level = self.nearest.as_ref();
        while let Some(here) = level {
            for (found, file) in found.iter_mut().zip(&here.files) {
                *found = found.or_else(|| verdict(&file.matched(path, is_folder)));
            }
            if ours {
                git = git.or_else(|| verdict(&here.files[2].matched(path, is_folder)));
                exclude = exclude.or_else(|| verdict(&here.exclude.matched(path, is_folder)));
            }
            // The rules of git end at the repository.
            ours = ours && !here.is_repository;
            level = here.above.as_ref();
        }
        let user = || self.in_repository.then(|| verdict(&ground.user.matched(path, is_folder))).flatten();
        found[0].or(found[1]).or(git).or(exclude).or_else(user).unwrap_or(Verdict::None)
    }
}

/// What rules say of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing.
    None,
    /// It is left out.
    Out,
    /// It is in, even if it is hidden.
    In,
}

fn verdict<T>(found: &Match<T>) -> Option<Verdict> {
    match found {
        Match::None => None,
        Match::Ignore(_) => Some(Verdict::Out),
        Match::Whitelist(_) => Some(Verdict::In),
    }
}

/// The settings of git that may name a file of rules, which [`gitconfig_excludes_path`] reads.
fn git_settings() -> Vec<PathBuf> {
    let home = std::env::home_dir();
    let xdg = std::env::var_os("XDG_CONFIG_HOME").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let xdg = xdg.or_else(|| home.as_ref().map(|home| home.join(".config")));
    [home.map(|home| home.join(".gitconfig")), xdg.map(|xdg| xdg.join("git/config"))].into_iter().flatten().collect()
}

/// A matcher for the lines of one file; lines that are no patterns say nothing.
fn read(folder: &Path, bytes: Option<Vec<u8>>) -> Gitignore {
    let Some(bytes) = bytes.filter(|bytes| !bytes.is_empty()) else { return Gitignore::empty() };
    let mut builder = GitignoreBuilder::new(folder);
    for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let Ok(line) = std::str::from_utf8(line) else { break };
        let line = line.strip_suffix('\r').unwrap_or(line);
        let line = if number == 0 { line.trim_start_matches('\u{feff}') } else { line };
        // A wrong pattern is left out, as git does.
        let _ = builder.add_line(None, line);
    }
    builder.build().unwrap_or_else(|_| Gitignore::empty())
}

/// The rules that a repository keeps for itself. In a further work tree `.git` is a file that says where it is.
fn exclude(folder: &Path, outside: &mut Vec<Outside>) -> Gitignore {
    let first_line = |file: &Path| {
        let bytes = listing::read_small(file, MAX_BYTES).ok()?;
        Some(String::from_utf8(bytes).ok()?.lines().next()?.to_owned())
    };
    let git = folder.join(".git");
    outside.push(Outside::look(&git));
    let common = if git.is_file() {
        let place = first_line(&git).and_then(|line| Some(PathBuf::from(line.strip_prefix("gitdir: ")?)));
        let Some(place) = place else { return Gitignore::empty() };
        let pointer = place.join("commondir");
        outside.push(Outside::look(&pointer));
        match first_line(&pointer) {
            Some(line) if line.starts_with('.') => place.join(line),
            Some(line) => PathBuf::from(line),
            None => return Gitignore::empty(),
        }
    } else {
        git
    };
    let file = common.join("info/exclude");
    outside.push(Outside::look(&file));
    read(folder, listing::read_small(&file, MAX_BYTES).ok())
}

/// Reads an ignore file below a root.
pub(super) fn read_below(root: &Root, folder: &str, name: &str) -> Option<Vec<u8>> {
    let rel = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
    listing::read_below(root, &rel, MAX_BYTES).ok()
}
