//! Which files a command may write without anybody wanting them back: what git ignores, and the folders of builds.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

/// Folders that hold what tools made for themselves, whether or not git was told.
const MADE: [&str; 10] = [
    "node_modules",
    "__pycache__",
    ".pytest_cache",
    ".mypy_cache",
    ".ruff_cache",
    ".venv",
    ".tox",
    ".gradle",
    ".next",
    ".cache",
];
/// Where a build tool says that a folder holds nothing of worth.
const TAG: &str = "CACHEDIR.TAG";
/// Longest list of rules, in bytes.
const MAX_RULES: u64 = 1 << 20;

/// The rules of one root.
pub struct Ignored<'a> {
    /// Where files are read from, the first that has one: what the command sees.
    places: Vec<&'a Path>,
    root: &'a Path,
    above: Vec<Gitignore>,
    folders: HashMap<String, Gitignore>,
}

impl<'a> Ignored<'a> {
    /// Of the root at `root`, whose files a command sees in the first of `places` that has them.
    pub fn new(root: &'a Path, places: Vec<&'a Path>) -> Self {
        let mut above = Vec::new();
        // A root within a repository obeys the rules of the folders above it, too.
        let mut folder = Some(root);
        while let Some(here) = folder {
            let git = here.join(".git");
            if git.exists() {
                above.extend(rules(root, [git.join("info/exclude")].iter()));
                above.push(GitignoreBuilder::new(root).build_global().0);
                break;
            }
            folder = here.parent();
            if let Some(parent) = folder {
                above.extend(rules(parent, [parent.join(".gitignore")].iter()));
            }
        }
        Self { places, root, above, folders: HashMap::new() }
    }

    /// Whether nobody wants the file or folder at `rel` back; those above it have been asked for before.
    pub fn is(&mut self, rel: &str, folder: bool) -> bool {
        let name = rel.rsplit('/').next().unwrap_or(rel);
        if name == ".git" || folder && MADE.contains(&name) {
            return true;
        }
        if folder && self.places.iter().any(|place| place.join(rel).join(TAG).exists()) {
            return true;
        }
        let path = self.root.join(rel);
        let mut parent = rel;
        loop {
            parent = parent.rsplit_once('/').map_or("", |(parent, _)| parent);
            match self.rules_of(parent).matched(&path, folder) {
                Match::Ignore(_) => return true,
                Match::Whitelist(_) => return false,
                Match::None => {}
            }
            if parent.is_empty() {
                break;
            }
        }
        self.above.iter().any(|rules| rules.matched(&path, folder).is_ignore())
    }

    fn rules_of(&mut self, folder: &str) -> &Gitignore {
        if !self.folders.contains_key(folder) {
            let files: Vec<PathBuf> = self.places.iter().map(|place| place.join(folder).join(".gitignore")).collect();
            let found = rules(&self.root.join(folder), files.iter()).unwrap_or_else(Gitignore::empty);
            self.folders.insert(folder.to_owned(), found);
        }
        &self.folders[folder]
    }
}

/// The rules in the first of these files that is there.
fn rules<'a>(folder: &Path, mut files: impl Iterator<Item = &'a PathBuf>) -> Option<Gitignore> {
    let file = files
        .find(|file| std::fs::symlink_metadata(file).is_ok_and(|found| found.is_file() && found.len() <= MAX_RULES))?;
    let mut builder = GitignoreBuilder::new(folder);
    #[expect(
        clippy::disallowed_methods,
        reason = "a list of rules from the layer of a command, where `disk` has no root"
    )]
    let text = std::fs::read_to_string(file).ok()?;
    for line in text.lines() {
        // A line that is no rule ignores nothing, as with git.
        let _ = builder.add_line(None, line);
    }
    builder.build().ok()
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test makes the files that are looked at")]
mod tests {
    use super::*;

    #[test]
    fn the_rules_are_those_that_the_command_sees_and_the_nearest_one_counts() {
        let root = tempfile::tempdir().unwrap();
        let upper = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("a/.git")).unwrap();
        std::fs::create_dir_all(upper.path().join("out")).unwrap();
        std::fs::write(root.path().join(".gitignore"), "*.log\n/gen\n").unwrap();
        std::fs::write(root.path().join("a/.gitignore"), "!keep.log\n").unwrap();
        std::fs::write(upper.path().join(".gitignore"), "*.tmp\n*.log\n").unwrap();
        std::fs::write(upper.path().join("out/CACHEDIR.TAG"), "").unwrap();
        let mut ignored = Ignored::new(root.path(), vec![upper.path(), root.path()]);
        for (rel, folder, expected) in [
            ("x.log", false, true),
            ("x.tmp", false, true),
            ("a/keep.log", false, false),
            ("a/other.log", false, true),
            ("a/.git", true, true),
            ("gen", true, false),
            ("out", true, true),
            ("node_modules", true, true),
            ("src/main.rs", false, false),
        ] {
            assert_eq!(ignored.is(rel, folder), expected, "{rel}");
        }
    }
}
