//! The log file: one line in one write, several servers on one file, a bound on what it takes of the disk.
//!
//! At a size the file becomes `FILE.1`, what was `FILE.1` becomes `FILE.2`, and the oldest goes. The crates that roll
//! logs do so by the hour or know of no second process; here the one that finds the file full takes the system's lock on
//! it, and the others see by its number that another file stands in its place now.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use tracing_subscriber::fmt::MakeWriter;

/// Bytes from which on a file is put aside.
pub(super) const SIZE: u64 = 10 << 20;
/// Files, the one that is written among them.
pub(super) const FILES: u32 = 5;

/// A log file that is put aside when it is full.
#[derive(Debug)]
pub(super) struct Rolling {
    path: PathBuf,
    size: u64,
    files: u32,
    file: Mutex<File>,
}

/// Appends, so that two servers may share a file; a new one is readable by its owner only.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Whether both are one file.
fn same(file: &File, path: &Path) -> bool {
    let there = std::fs::metadata(path);
    match (file.metadata(), there) {
        #[cfg(unix)]
        (Ok(ours), Ok(there)) => {
            use std::os::unix::fs::MetadataExt;
            (ours.dev(), ours.ino()) == (there.dev(), there.ino())
        }
        // Elsewhere that cannot be told; at worst a file is put aside before it is full.
        #[cfg(not(unix))]
        (Ok(_), Ok(_)) => true,
        _ => false,
    }
}

impl Rolling {
    /// The file at `path`, of at most so many bytes and a line, and so many files in all.
    pub(super) fn open(path: &Path, size: u64, files: u32) -> io::Result<Self> {
        let file = Mutex::new(open(path)?);
        Ok(Self { path: path.to_owned(), size, files: files.max(1), file })
    }

    /// Writes a line.
    fn line(&self, line: &[u8]) -> io::Result<()> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if !same(&file, &self.path) {
            *file = open(&self.path)?;
        }
        let full = file.metadata()?.len();
        if full > 0 && full.saturating_add(line.len() as u64) > self.size {
            // What cannot be put aside goes on growing: better than to lose what is told.
            let _ = self.put_aside(&mut file);
        }
        // In one write, which other processes' cannot come between: the file is open to append.
        file.write_all(line)
    }

    fn put_aside(&self, file: &mut File) -> io::Result<()> {
        // Elsewhere a lock would make others' writes fail.
        #[cfg(unix)]
        file.lock()?;
        // Another process may have been faster; the lock goes with the file that is closed here.
        if same(file, &self.path) {
            for number in (1..self.files).rev() {
                let from = if number == 1 { self.path.clone() } else { self.aside(number - 1) };
                // There need not be so many yet.
                let _ = std::fs::rename(from, self.aside(number));
            }
            if self.files == 1 {
                let emptied = file.set_len(0);
                #[cfg(unix)]
                file.unlock()?;
                return emptied;
            }
        }
        *file = open(&self.path)?;
        Ok(())
    }

    /// `FILE.NUMBER`
    fn aside(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }
}

/// Writes one event.
pub(super) struct Line<'a>(&'a Rolling);

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.line(line)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Rolling {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(self)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "the tests look at the files from outside")]

    use super::*;

    fn text(path: &Path) -> String {
        std::fs::read_to_string(path).unwrap()
    }

    #[test]
    fn a_full_file_is_put_aside_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let log = Rolling::open(&path, 10, 3).unwrap();
        for line in ["one\n", "two\n", "three\n", "four\n", "five and more than fits\n", "six\n", "seven\n"] {
            log.line(line.as_bytes()).unwrap();
        }
        assert_eq!(text(&path), "six\nseven\n");
        assert_eq!(text(&folder.path().join("log.1")), "five and more than fits\n");
        assert_eq!(text(&folder.path().join("log.2")), "four\n");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3);
    }

    #[cfg(unix)]
    #[test]
    fn a_file_is_for_its_owner_only_also_after_the_first_was_put_aside() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let log = Rolling::open(&path, 4, 2).unwrap();
        for _ in 0..3 {
            log.line(b"word\n").unwrap();
        }
        for entry in std::fs::read_dir(folder.path()).unwrap() {
            assert_eq!(entry.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn writers_that_know_nothing_of_each_other_tear_no_line_and_lose_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        const EACH: usize = 300;
        std::thread::scope(|scope| {
            for writer in 0..4 {
                // Each has its own descriptor, as another process has.
                let log = Rolling::open(&path, 2_000, 200).unwrap();
                scope.spawn(move || {
                    for n in 0..EACH {
                        log.line(format!("{writer} {n} {}\n", "x".repeat(n % 90)).as_bytes()).unwrap();
                    }
                });
            }
        });
        let mut lines = std::collections::BTreeSet::new();
        for entry in std::fs::read_dir(folder.path()).unwrap() {
            let all = text(&entry.unwrap().path());
            assert!(all.ends_with('\n') && all.len() <= 4_000, "{}", all.len());
            for line in all.lines() {
                let words: Vec<&str> = line.split(' ').collect();
                let [writer, n, xs] = words[..] else { panic!("torn: {line}") };
                assert_eq!(xs.len(), n.parse::<usize>().unwrap() % 90, "torn: {line}");
                assert!(lines.insert((writer.to_owned(), n.to_owned())), "twice: {line}");
            }
        }
        assert_eq!(lines.len(), 4 * EACH);
    }

    #[test]
    fn a_file_that_was_taken_away_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let log = Rolling::open(&path, 1_000, 3).unwrap();
        log.line(b"one\n").unwrap();
        std::fs::remove_file(&path).unwrap();
        log.line(b"two\n").unwrap();
        assert_eq!(text(&path), "two\n");
    }
}
