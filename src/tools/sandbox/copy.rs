//! A copy of a root, for systems that give no overlay: bounded, without what git ignores, and kept in step.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use ignore::WalkBuilder;

use super::hidden;
use super::layers::Held;
use crate::tools::pattern::PathFilter;

/// Most files of a copy.
const MAX_FILES: usize = 50_000;
/// Most bytes of a copy.
const MAX_BYTES: u64 = 1 << 30;

/// One.
#[derive(Debug)]
pub(super) struct Copied {
    tree: PathBuf,
    /// The files that were copied, by path below the root, as they were.
    files: HashMap<String, Mark>,
}

/// What tells one generation of a file from the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    modified: Option<SystemTime>,
    size: u64,
}

impl Mark {
    fn of(found: &fs::Metadata) -> Self {
        Self { modified: found.modified().ok(), size: found.len() }
    }
}

impl Copied {
    /// An empty one in this folder.
    pub fn new(tree: PathBuf) -> Self {
        Self { tree, files: HashMap::new() }
    }

    /// Where it is.
    pub fn tree(&self) -> &Path {
        &self.tree
    }

    /// The files that the user has.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// Copies what is new or was changed since, and drops what is gone; `held` is ours to keep, and what a rule hides is
    /// left out. The error is for the model.
    pub fn refresh(
        &mut self,
        root: &Path,
        held: &HashMap<String, Held>,
        view: bool,
        rules: &[PathFilter],
    ) -> Result<(), String> {
        let mut seen: HashMap<String, Mark> = HashMap::new();
        let mut bytes = 0;
        let failed = |error: io::Error| format!("the workspace cannot be copied for the command: {error}");
        let walk = WalkBuilder::new(root)
            .hidden(false)
            .follow_links(false)
            .require_git(false)
            .filter_entry(|entry| entry.file_name() != ".git")
            .build();
        for entry in walk.flatten() {
            let Some(rel) = entry.path().strip_prefix(root).ok().and_then(Path::to_str).filter(|rel| !rel.is_empty())
            else {
                continue;
            };
            let Ok(found) = entry.path().symlink_metadata() else { continue };
            let to = self.tree.join(rel);
            if found.is_dir() {
                fs::create_dir_all(&to).map_err(failed)?;
                continue;
            }
            if hidden::is(rules, rel) {
                continue;
            }
            let mark = Mark::of(&found);
            bytes += mark.size;
            if seen.len() >= MAX_FILES || bytes > MAX_BYTES {
                return Err(format!(
                    "commands cannot be run here: this system gives no overlay, and the workspace is too large to be \
                     copied for them (more than {MAX_FILES} files or {} MiB that git does not ignore). Do without; the \
                     user can open a smaller folder, or see what `ropeway doctor` says of the sandbox",
                    MAX_BYTES >> 20
                ));
            }
            seen.insert(rel.to_owned(), mark);
            if self.files.get(rel) == Some(&mark) || held.contains_key(rel) {
                continue;
            }
            // Neither may be in the way of the other's kind.
            let _ = fs::remove_file(&to);
            if found.is_symlink() {
                link(entry.path(), &to).map_err(failed)?;
            } else if found.is_file() {
                copy(entry.path(), &to, mark).map_err(failed)?;
            }
        }
        for gone in self.files.keys().filter(|rel| !seen.contains_key(*rel) && !held.contains_key(*rel)) {
            let _ = fs::remove_file(self.tree.join(gone));
        }
        self.files = seen;
        repository(root, &self.tree, view);
        Ok(())
    }
}

/// With its time, because builds look at it. A file that cannot be read is left out, as it is for the command.
fn copy(from: &Path, to: &Path, mark: Mark) -> io::Result<()> {
    match fs::copy(from, to) {
        Err(error) if matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::NotFound) => {
            return Ok(());
        }
        Err(error) => return Err(error),
        Ok(_) => {}
    }
    if let Some(modified) = mark.modified
        && let Ok(file) = fs::File::options().write(true).open(to)
    {
        // Best effort: a wrong time costs a build, nothing else.
        let _ = file.set_modified(modified);
    }
    Ok(())
}

#[cfg(unix)]
fn link(from: &Path, to: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(fs::read_link(from)?, to)
}

#[cfg(not(unix))]
fn link(_from: &Path, _to: &Path) -> io::Result<()> {
    Ok(())
}

/// Tells git where the repository is, which is not copied: it is only read. In a view of its own the command finds it
/// in its place.
fn repository(root: &Path, tree: &Path, view: bool) {
    let (git, to) = (root.join(".git"), tree.join(".git"));
    if view && git.is_dir() {
        let _ = fs::create_dir(&to);
    } else if git.is_dir() && !to.exists() {
        #[expect(clippy::disallowed_methods, reason = "the copy is ours and lies in no workspace")]
        // Without it, git says that there is no repository, and all else works.
        let _ = fs::write(&to, format!("gitdir: {}\n", git.display()));
    } else if git.is_file() {
        let _ = fs::copy(&git, &to);
    }
}
