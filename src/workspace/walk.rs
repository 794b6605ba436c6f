//! Listing the files of the workspace: ignore rules honoured, links not followed, `.git` never.
//!
//! The walk goes by names, not descriptors: it only says what is there. What is then read is read through `disk`.

use std::path::Path;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use ignore::{WalkBuilder, WalkState};

use super::{Protection, Workspace, classify};
use crate::paths::{Kind, WsPath};

/// How to walk.
#[derive(Clone, Debug)]
pub struct Walk {
    /// Where to begin; a folder, or a single file.
    pub top: WsPath,
    /// How many folders deep; `None`: all.
    pub depth: Option<usize>,
    /// Also names that begin with a dot.
    pub hidden: bool,
    /// Leave out what `.gitignore`, `.ignore` and their kind name.
    pub honour_ignores: bool,
    /// Folders, too.
    pub folders: bool,
    /// Entries at most.
    pub limit: usize,
    /// Threads; 0: by cores.
    pub threads: usize,
}

impl Walk {
    /// Every file below `top` that is neither ignored nor hidden, up to 100,000.
    pub fn below(top: WsPath) -> Self {
        Self { top, depth: None, hidden: false, honour_ignores: true, folders: false, limit: 100_000, threads: 0 }
    }
}

/// One thing found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WalkEntry {
    /// Where.
    pub path: WsPath,
    /// What.
    pub kind: Kind,
}

/// What a walk came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walked {
    /// Entries given out.
    pub entries: usize,
    /// Whether the limit cut it short.
    pub cut: bool,
    /// Whether it was cancelled, or the visitor had enough.
    pub stopped: bool,
}

impl Workspace {
    /// Gives each entry to `visit`, from several threads and in no order, until it says `false`, `cancelled` becomes
    /// true, or the limit is reached. Blocks.
    pub fn walk(&self, walk: &Walk, cancelled: &AtomicBool, visit: &(dyn Fn(WalkEntry) -> bool + Sync)) -> Walked {
        let Ok(top) = self.real(&walk.top) else { return Walked { entries: 0, cut: false, stopped: false } };
        // Without a repository, rules above the workspace are somebody else's: a home kept in git often ignores all.
        let in_repository = walk.honour_ignores && top.absolute().ancestors().any(|above| above.join(".git").exists());
        let mut builder = WalkBuilder::new(top.absolute());
        builder
            .max_depth(walk.depth)
            .hidden(!walk.hidden)
            .follow_links(false)
            .parents(in_repository)
            .ignore(walk.honour_ignores)
            .git_ignore(walk.honour_ignores)
            .git_exclude(walk.honour_ignores)
            // The user's own global file is about the user's machine, not about this workspace's files.
            .git_global(false)
            .require_git(in_repository)
            .threads(walk.threads);
        let (given, cut, stopped) = (AtomicUsize::new(0), AtomicBool::new(false), AtomicBool::new(false));
        builder.build_parallel().run(|| {
            Box::new(|found| {
                if cancelled.load(Ordering::Relaxed) || stopped.load(Ordering::Relaxed) {
                    stopped.store(true, Ordering::Relaxed);
                    return WalkState::Quit;
                }
                // What cannot be listed is not there for the tool either.
                let Ok(found) = found else { return WalkState::Continue };
                let Some(path) = named(&top, found.path()) else { return WalkState::Skip };
                if matches!(classify(&path), Protection::Deny(_)) {
                    return WalkState::Skip;
                }
                let kind = found.file_type().map_or(Kind::Other, Kind::from_std);
                let wanted = kind == Kind::File || (walk.folders && kind == Kind::Folder && path != top);
                if !wanted {
                    return WalkState::Continue;
                }
                if given.fetch_add(1, Ordering::Relaxed) >= walk.limit {
                    cut.store(true, Ordering::Relaxed);
                    return WalkState::Quit;
                }
                if visit(WalkEntry { path, kind }) {
                    return WalkState::Continue;
                }
                stopped.store(true, Ordering::Relaxed);
                WalkState::Quit
            })
        });
        Walked { entries: given.into_inner().min(walk.limit), cut: cut.into_inner(), stopped: stopped.into_inner() }
    }

    /// The entries in one list, sorted by path, and what the walk came to.
    pub fn walk_sorted(&self, walk: &Walk, cancelled: &AtomicBool) -> (Vec<WalkEntry>, Walked) {
        let found = Mutex::new(Vec::new());
        let walked = self.walk(walk, cancelled, &|entry| {
            found.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
            true
        });
        let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        found.sort();
        (found, walked)
    }
}

/// The name below the root; `None` for names that cannot be spelt.
fn named(top: &WsPath, found: &Path) -> Option<WsPath> {
    top.roots().of(found)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "these tests build file trees")]

    use std::fs;
    use std::sync::Arc;

    use super::*;
    use crate::disk::{Disk, DiskLimits};
    use crate::paths::{Root, Roots};

    fn tree(files: &[(&str, &str)]) -> (tempfile::TempDir, Arc<Workspace>) {
        let dir = tempfile::tempdir().unwrap();
        for (rel, text) in files {
            let at = dir.path().join("w").join(rel);
            fs::create_dir_all(at.parent().unwrap()).unwrap();
            fs::write(at, text).unwrap();
        }
        let workspace = Workspace::new(Arc::new(Disk::new(DiskLimits::default())));
        workspace.set_roots(Roots::new(vec![Root::open("w", &dir.path().join("w")).unwrap()]));
        (dir, workspace)
    }

    fn found(workspace: &Workspace, change: impl FnOnce(&mut Walk)) -> (String, Walked) {
        let mut walk = Walk::below(workspace.roots().resolve(".").unwrap());
        change(&mut walk);
        let (entries, walked) = workspace.walk_sorted(&walk, &AtomicBool::new(false));
        let names: Vec<_> = entries.iter().map(|entry| entry.path.to_string()).collect();
        (names.join(" "), walked)
    }

    const FILES: &[(&str, &str)] = &[
        (".gitignore", "*.log\n/built\n"),
        (".git/config", ""),
        (".hidden/x", ""),
        ("a.rs", ""),
        ("b.log", ""),
        ("built/out", ""),
        ("src/built/kept.rs", ""),
        ("src/c.rs", ""),
    ];

    #[test]
    fn what_is_ignored_or_hidden_is_left_out_and_git_always() {
        let (_dir, workspace) = tree(FILES);
        assert_eq!(found(&workspace, |_| {}).0, "a.rs src/built/kept.rs src/c.rs");
        let all = |walk: &mut Walk| (walk.hidden, walk.honour_ignores) = (true, false);
        let expected = ".gitignore .hidden/x a.rs b.log built/out src/built/kept.rs src/c.rs";
        assert_eq!(found(&workspace, all).0, expected);
        let shallow = |walk: &mut Walk| (walk.folders, walk.depth) = (true, Some(1));
        assert_eq!(found(&workspace, shallow).0, "a.rs src");
        let one = workspace.roots().resolve("src/c.rs").unwrap();
        assert_eq!(found(&workspace, |walk| walk.top = one).0, "src/c.rs");
    }

    #[test]
    fn rules_above_the_workspace_count_only_in_a_repository() {
        let (dir, workspace) = tree(&[("a.rs", ""), ("b.log", ""), (".gitignore", "*.log")]);
        fs::write(dir.path().join(".gitignore"), "*").unwrap();
        assert_eq!(found(&workspace, |_| {}).0, "a.rs");
        fs::create_dir(dir.path().join(".git")).unwrap();
        assert_eq!(found(&workspace, |_| {}).0, "");
    }

    #[test]
    fn a_walk_ends_at_its_limit_and_when_nobody_wants_more() {
        let (_dir, workspace) = tree(FILES);
        let (names, walked) = found(&workspace, |walk| walk.limit = 2);
        assert_eq!(names.split(' ').count(), 2);
        assert_eq!(walked, Walked { entries: 2, cut: true, stopped: false });
        let walk = Walk::below(workspace.roots().resolve(".").unwrap());
        assert_eq!(workspace.walk(&walk, &AtomicBool::new(true), &|_| true).entries, 0);
        let walked = workspace.walk(&Walk { threads: 1, ..walk }, &AtomicBool::new(false), &|_| false);
        assert_eq!(walked, Walked { entries: 1, cut: false, stopped: true });
    }

    #[cfg(unix)]
    #[test]
    fn links_are_not_followed() {
        let (dir, workspace) = tree(FILES);
        std::os::unix::fs::symlink("/etc", dir.path().join("w/etc")).unwrap();
        std::os::unix::fs::symlink("src", dir.path().join("w/again")).unwrap();
        std::os::unix::fs::symlink("..", dir.path().join("w/src/loop")).unwrap();
        assert_eq!(found(&workspace, |_| {}).0, "a.rs src/built/kept.rs src/c.rs");
    }
}
