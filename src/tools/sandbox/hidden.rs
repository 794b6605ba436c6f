//! The files of a root that a rule hides from the tools (`deny: read_file(**/.env)`): a command must not show them
//! either, whoever has allowed it.
//!
//! They are looked for by name when the command's world is built, in the folders as they are then, also in those that
//! git ignores. That has its bounds: [`MAX_LOOKED`] names are looked at and [`MAX_HIDDEN`] places hidden, and the model
//! and the user are told if that was not all. What bears another name is not found: a hard link, and what git keeps of
//! a file in its own folder. A rule for all files (`**`, or one without a pattern) takes a tool away and hides no file.

use std::path::{Path, PathBuf};

use crate::tools::pattern::PathFilter;

/// Most names that are looked at for one command and root. A tree of twenty thousand files takes some 20 ms.
const MAX_LOOKED: usize = 200_000;
/// Most files and folders that are hidden for one command and root: each is a mount of its own.
const MAX_HIDDEN: usize = 1_000;
/// Deepest folder that is looked into.
const MAX_DEPTH: usize = 64;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Hidden {
    /// Whole paths of files, and of folders of which everything is hidden.
    pub paths: Vec<PathBuf>,
    /// Whether there was more than the bounds allow.
    pub more: bool,
}

/// Looks below `root`, a path without links, for what one of `rules` hides.
pub(super) fn find(root: &Path, rules: &[PathFilter], found: &mut Hidden) {
    let rules: Vec<&PathFilter> = rules.iter().filter(|rule| !rule.is_all()).collect();
    let mut wide = Vec::new();
    for rule in rules {
        match rule.literal() {
            // Needs no search, so that it is found wherever it is.
            Some(rel) => {
                let at = root.join(rel);
                if is_file(&at) {
                    found.paths.push(at);
                }
            }
            None => wide.push(rule),
        }
    }
    if wide.is_empty() {
        return;
    }
    let folders: Vec<PathFilter> = wide.iter().filter_map(|rule| rule.whole_folders()).collect();
    let mut looked = 0;
    let mut open = vec![(root.to_owned(), String::new(), 0)];
    let most = found.paths.len() + MAX_HIDDEN;
    while let Some((folder, rel, depth)) = open.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            looked += 1;
            if looked > MAX_LOOKED || found.paths.len() >= most {
                found.more = true;
                return;
            }
            let name = entry.file_name();
            let (Some(name), Ok(kind)) = (name.to_str(), entry.file_type()) else { continue };
            let rel = if rel.is_empty() { name.to_owned() } else { format!("{rel}/{name}") };
            if !kind.is_dir() {
                if kind.is_file() && wide.iter().any(|rule| rule.accepts(&rel)) {
                    found.paths.push(entry.path());
                }
            } else if folders.iter().any(|rule| rule.accepts(&rel)) {
                found.paths.push(entry.path());
            } else if name != ".git" {
                match depth < MAX_DEPTH {
                    true => open.push((entry.path(), rel, depth + 1)),
                    false => found.more = true,
                }
            }
        }
    }
}

/// Whether one of `rules` hides the file at `rel`.
pub(super) fn is(rules: &[PathFilter], rel: &str) -> bool {
    rules.iter().any(|rule| !rule.is_all() && rule.accepts(rel))
}

fn is_file(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|found| found.is_file())
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test makes the files that are looked for")]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_by_every_form_of_rule_and_a_folder_is_taken_whole() {
        let root = tempfile::tempdir().unwrap();
        for file in [".env", "a/b/.env", "secret/deep/x", "secret/y", "c/secret/z", "open", ".git/config", "keys/k"] {
            let path = root.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let of = |rules: &[&str]| {
            let rules: Vec<PathFilter> = rules.iter().map(|rule| PathFilter::path(rule).unwrap()).collect();
            let mut found = Hidden::default();
            find(root.path(), &rules, &mut found);
            assert!(!found.more);
            let mut rels: Vec<String> = found
                .paths
                .iter()
                .map(|path| path.strip_prefix(root.path()).unwrap().to_str().unwrap().to_owned())
                .collect();
            rels.sort();
            rels
        };
        assert_eq!(of(&["**/.env"]), [".env", "a/b/.env"]);
        assert_eq!(of(&["secret/**"]), ["secret"]);
        assert_eq!(of(&["**/secret/**", "secret/y"]), ["c/secret", "secret", "secret/y"]);
        assert_eq!(of(&["secret/*"]), ["secret/y"]);
        assert_eq!(of(&[".git/config", "./keys/k", "absent", "secret"]), [".git/config", "keys/k"]);
        assert!(of(&["**", "no/such/**"]).is_empty());
    }

    #[test]
    fn what_is_past_the_bounds_is_said() {
        let root = tempfile::tempdir().unwrap();
        for number in 0..=MAX_HIDDEN {
            std::fs::write(root.path().join(format!("{number}.pem")), "").unwrap();
        }
        let mut found = Hidden::default();
        find(root.path(), &[PathFilter::path("**/*.pem").unwrap()], &mut found);
        assert!(found.more && found.paths.len() == MAX_HIDDEN);
    }
}
