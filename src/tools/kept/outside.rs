//! What stands outside of a list and yet decides what is in it: git's own files, and rules in the folders above.
//!
//! None of it is watched, so all of it is looked at before each use of the list. That is on the way of every search
//! that is answered from memory; hence a folder in which no such name stands is looked at once, not once a name.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::paths::listing::{self, Mark};

/// A file that rules come from, or may come from, and that no list of a folder shows.
#[derive(Debug)]
pub(super) struct Outside {
    file: PathBuf,
    mark: Option<Mark>,
    /// Whether a further change would show in the mark.
    sure: bool,
}

impl Outside {
    pub(super) fn look(file: &Path) -> Self {
        let now = SystemTime::now();
        let mark = listing::mark_at(file);
        Self { file: file.to_owned(), mark, sure: !mark.is_some_and(|mark| mark.is_fresh_at(now)) }
    }

    pub(super) fn is_there(&self) -> bool {
        self.mark.is_some()
    }

    /// Whether it is as it was.
    pub(super) fn holds(&self) -> bool {
        self.sure && listing::mark_at(&self.file) == self.mark
    }
}

/// A folder, and names that do not stand in it.
#[derive(Debug)]
pub(super) struct Absent {
    folder: PathBuf,
    names: Vec<&'static str>,
    /// The folder when none of the names stood in it.
    mark: Option<Mark>,
    /// Whether a name that came since would show in the mark.
    sure: bool,
}

impl Absent {
    /// Those of `names` that do not stand in `folder`.
    pub(super) fn of(folder: &Path, names: &[&'static str]) -> Self {
        let mut absent = Self { folder: folder.to_owned(), names: Vec::new(), mark: None, sure: false };
        let (now, mark) = (SystemTime::now(), listing::folder_mark_at(folder));
        absent.names = names.iter().copied().filter(|name| !listing::stands_at(&folder.join(name))).collect();
        absent.note(mark, now);
        absent
    }

    /// Whether `name` is one of them.
    pub(super) fn has(&self, name: &str) -> bool {
        self.names.contains(&name)
    }

    /// Whether they still are absent.
    pub(super) fn holds(&mut self) -> bool {
        let (now, mark) = (SystemTime::now(), listing::folder_mark_at(&self.folder));
        if self.sure && mark == self.mark {
            return true;
        }
        if self.names.iter().any(|name| listing::stands_at(&self.folder.join(name))) {
            return false;
        }
        self.note(mark, now);
        true
    }

    /// `mark` is from after `now` and from before the names were looked for.
    fn note(&mut self, mark: Option<Mark>, now: SystemTime) {
        self.mark = mark;
        self.sure = mark.is_some_and(|mark| !mark.is_fresh_at(now));
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test makes and removes names")]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_name_that_comes_is_seen_at_once_however_new_the_folder_is() {
        let place = tempfile::tempdir().unwrap();
        for _ in 0..200 {
            let mut absent = Absent::of(place.path(), &[".ignore", ".git"]);
            assert!(absent.has(".ignore") && absent.has(".git") && absent.holds());
            fs::write(place.path().join("other"), "").unwrap();
            assert!(absent.holds());
            fs::write(place.path().join(".ignore"), "").unwrap();
            assert!(!absent.holds());
            fs::remove_file(place.path().join(".ignore")).unwrap();
            fs::remove_file(place.path().join("other")).unwrap();
        }
    }

    #[test]
    fn a_name_that_stands_there_is_not_absent_even_if_it_leads_nowhere() {
        let place = tempfile::tempdir().unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink("nowhere", place.path().join(".ignore")).unwrap();
        #[cfg(not(unix))]
        fs::write(place.path().join(".ignore"), "").unwrap();
        assert!(!Absent::of(place.path(), &[".ignore"]).has(".ignore"));
    }

    #[test]
    fn in_a_folder_that_does_not_exist_every_name_is_absent_until_it_comes() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("later");
        let mut absent = Absent::of(&folder, &[".ignore"]);
        assert!(absent.holds());
        fs::create_dir(&folder).unwrap();
        assert!(absent.holds());
        fs::write(folder.join(".ignore"), "").unwrap();
        assert!(!absent.holds());
    }
}
