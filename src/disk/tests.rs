//! What the disk keeps, refuses and never shows half of.

#![expect(clippy::disallowed_methods, reason = "these tests look at the disk from outside")]

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::*;
use crate::paths::{Root, Roots};

struct Tree {
    dir: tempfile::TempDir,
    roots: Roots,
    disk: Disk,
}

impl Tree {
    fn new() -> Self {
        Self::with(DiskLimits { max_file_bytes: 1_000, cache_bytes: 10_000 })
    }

    fn with(limits: DiskLimits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("w")).unwrap();
        let roots = Roots::new(vec![Root::open("w", &dir.path().join("w")).unwrap()]);
        Self { dir, roots, disk: Disk::new(limits) }
    }

    fn at(&self, rel: &str) -> std::path::PathBuf {
        self.dir.path().join("w").join(rel)
    }

    fn path(&self, rel: &str) -> WsPath {
        self.roots.resolve(rel).unwrap()
    }

    /// Puts a file there that is old enough to be trusted by its stamp.
    fn put(&self, rel: &str, bytes: impl AsRef<[u8]>) -> WsPath {
        fs::write(self.at(rel), bytes).unwrap();
        self.path(rel)
    }

    fn error(&self, rel: &str) -> String {
        self.disk.read(&self.path(rel)).unwrap_err().to_string()
    }

    fn names(&self) -> Vec<String> {
        self.disk.list(&self.path(".")).unwrap().entries.into_iter().map(|entry| entry.name).collect()
    }
}

fn trusted(stamp: &Stamp) -> bool {
    !stamp.is_fresh()
}

/// Reads until the file is old enough to be kept; bounded by two ticks of the clock.
fn read_until_kept(tree: &Tree, path: &WsPath) -> Arc<DiskFile> {
    loop {
        let file = tree.disk.read(path).unwrap();
        if trusted(&file.stamp) {
            tree.disk.read(path).unwrap();
            return file;
        }
    }
}

#[test]
fn a_file_is_read_once_until_it_changes() {
    let tree = Tree::new();
    let path = tree.put("a.rs", "one\n");
    let first = read_until_kept(&tree, &path);
    let before = tree.disk.counters();
    assert!(Arc::ptr_eq(&tree.disk.read(&path).unwrap(), &tree.disk.read(&path).unwrap()));
    assert_eq!(tree.disk.counters(), DiskCounters { hits: before.hits + 2, ..before });
    // Same size, and the time of the change set back: still another generation.
    tree.put("a.rs", "two\n");
    let old = SystemTime::UNIX_EPOCH + Duration::from_nanos(first.stamp.mtime_ns as u64);
    fs::File::options().write(true).open(tree.at("a.rs")).unwrap().set_modified(old).unwrap();
    assert_eq!(&*tree.disk.read(&path).unwrap().text, "two\n");
    fs::remove_file(tree.at("a.rs")).unwrap();
    assert!(tree.disk.read(&path).unwrap_err().is_missing());
}

#[test]
fn without_a_cache_the_results_are_the_same() {
    for cache_bytes in [0, 10_000] {
        let tree = Tree::with(DiskLimits { max_file_bytes: 1_000, cache_bytes });
        let path = tree.put("a.rs", "one\n");
        if cache_bytes > 0 {
            read_until_kept(&tree, &path);
        }
        let before = tree.disk.counters();
        tree.disk.remember(false);
        for _ in 0..3 {
            assert_eq!(&*tree.disk.read(&path).unwrap().text, "one\n");
        }
        let after = tree.disk.counters();
        assert_eq!((after.hits - before.hits, after.misses - before.misses), (0, 3));
    }
}

#[test]
fn the_cache_stays_within_its_bytes() {
    let tree = Tree::with(DiskLimits { max_file_bytes: 100_000, cache_bytes: 20_000 });
    for number in 0..20 {
        let path = tree.put(&format!("{number}"), "x".repeat(9_000));
        read_until_kept(&tree, &path);
    }
    let cache = tree.disk.cache.as_ref().unwrap();
    cache.run_pending_tasks();
    assert!(cache.weighted_size() <= 20_000, "{}", cache.weighted_size());
}

#[test]
fn what_is_no_text_or_too_large_is_left_alone() {
    let tree = Tree::new();
    tree.put("large", "x".repeat(1_001));
    tree.put("nul", b"ab\0c");
    tree.put("utf32", b"\xff\xfe\0\0a\0\0\0");
    tree.put("surrogate", b"\xff\xfea\0\x00\xd8b\0");
    fs::create_dir(tree.at("dir")).unwrap();
    assert_eq!(
        tree.error("large"),
        "`large` has 1001 bytes, more than the limit of 1000; search in it, or read a smaller file"
    );
    assert_eq!(tree.error("nul"), "`nul` is not text (it holds NUL bytes); it is left alone");
    assert_eq!(tree.error("utf32"), "`utf32` is not text (UTF-32); it is left alone");
    assert_eq!(
        tree.error("surrogate"),
        "`surrogate` is not text (its bytes fit no encoding we know); it is left alone"
    );
    assert_eq!(tree.error("dir"), "`dir` is a folder, not a regular file; only regular files are read and written");
    assert_eq!(tree.error("none"), "`none` does not exist; look for it with list_dir or glob");
    assert_eq!(tree.error("nul/x"), "`nul/x` does not exist; look for it with list_dir or glob");
}

#[cfg(unix)]
#[test]
fn special_files_are_refused_and_nobody_waits_for_them() {
    let tree = Tree::new();
    rustix::fs::mkfifoat(rustix::fs::CWD, tree.at("fifo"), rustix::fs::Mode::from_bits_truncate(0o600)).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(tree.at("socket")).unwrap();
    for (rel, what) in [("fifo", "a FIFO"), ("socket", "a socket")] {
        let expected = format!("`{rel}` is {what}, not a regular file; only regular files are read and written");
        assert_eq!(tree.error(rel), expected);
        assert_eq!(tree.disk.open(&tree.path(rel)).unwrap_err().to_string(), expected);
        let format = Format::default();
        assert_eq!(tree.disk.write(&tree.path(rel), "x", &format).unwrap_err().to_string(), expected);
        assert!(tree.disk.remove(&tree.path(rel)).is_err());
        assert!(tree.disk.rename(&tree.path(rel), &tree.path("y")).is_err());
    }
    assert_eq!(tree.names(), ["fifo", "socket"]);
}

#[test]
fn a_text_comes_back_as_the_bytes_it_came_from() {
    let tree = Tree::new();
    let utf16 = |text: &str, big: bool| {
        let unit = |unit: u16| if big { unit.to_be_bytes() } else { unit.to_le_bytes() };
        format!("\u{feff}{text}").encode_utf16().flat_map(unit).collect::<Vec<u8>>()
    };
    let (russian, japanese) = (encoding_rs::WINDOWS_1251, encoding_rs::SHIFT_JIS);
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("UTF-8", b"a\nb\n".to_vec(), "a\nb\n"),
        ("UTF-8", b"".to_vec(), ""),
        ("UTF-8", b"\xef\xbb\xbfa\r\nb".to_vec(), "a\r\nb"),
        ("UTF-16LE", utf16("ä\n😀", false), "ä\n😀"),
        ("UTF-16BE", utf16("ä\n😀", true), "ä\n😀"),
        ("windows-1251", russian.encode("Привет, как дела? Хорошо.\n").0.into_owned(), "Привет, как дела? Хорошо.\n"),
        (
            "Shift_JIS",
            japanese.encode("こんにちは、世界。日本語です。\n").0.into_owned(),
            "こんにちは、世界。日本語です。\n",
        ),
    ];
    for (encoding, bytes, text) in cases {
        let path = tree.put("x", &bytes);
        let file = tree.disk.read(&path).unwrap();
        assert_eq!((file.format.encoding.name(), &*file.text), (encoding, text));
        tree.disk.write(&path, &file.text, &file.format).unwrap();
        assert_eq!(fs::read(tree.at("x")).unwrap(), bytes, "{encoding}");
    }
}

#[test]
fn a_character_the_encoding_lacks_is_an_error_and_nothing_is_written() {
    let tree = Tree::new();
    let bytes = encoding_rs::WINDOWS_1251.encode("Привет, как дела? Хорошо.\n").0.into_owned();
    let path = tree.put("x", &bytes);
    let file = tree.disk.read(&path).unwrap();
    let error = tree.disk.write(&path, "Привет 😀", &file.format).unwrap_err();
    assert_eq!(error.to_string(), "`x` is encoded as windows-1251, which has no `😀`; write it in other words");
    assert_eq!(fs::read(tree.at("x")).unwrap(), bytes);
    let inexact = Format { exact: false, ..file.format };
    assert!(matches!(tree.disk.write(&path, "a", &inexact), Err(DiskError::Inexact { .. })));
    assert_eq!(tree.names(), ["x"]);
}

#[test]
fn line_ends_and_the_last_one_stay_as_the_file_had_them() {
    let tree = Tree::new();
    let cases = [
        ("a\r\nb\r\n", "a\nB\n", "a\r\nB\r\n"),
        ("a\r\nb\r\n", "a\r\nB", "a\r\nB\r\n"),
        ("a\nb\n", "a\r\nB\n", "a\nB\n"),
        ("a\rb\r", "a\nB\n", "a\rB\r"),
        ("a\nb", "a\nB", "a\nB"),
        ("a\nb", "a\nB\n", "a\nB\n"),
        ("a\r\nb\n", "a\r\nB\n", "a\r\nB\n"),
        ("a\n", "", ""),
        ("", "x\r\ny\n", "x\r\ny\n"),
    ];
    for (before, written, after) in cases {
        let path = tree.put("x", before);
        let format = tree.disk.read(&path).unwrap().format;
        tree.disk.write(&path, written, &format).unwrap();
        assert_eq!(fs::read_to_string(tree.at("x")).unwrap(), after, "{before:?} <- {written:?}");
    }
}

#[cfg(unix)]
#[test]
fn the_mode_stays_and_a_link_is_written_through() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let tree = Tree::new();
    let path = tree.put("tool.sh", "a\n");
    fs::set_permissions(tree.at("tool.sh"), fs::Permissions::from_mode(0o750)).unwrap();
    symlink("tool.sh", tree.at("link")).unwrap();
    let link = tree.path("link");
    let file = tree.disk.read(&link).unwrap();
    assert_eq!(file.format.mode, 0o750);
    tree.disk.write(&link, "b\n", &file.format).unwrap();
    assert!(fs::symlink_metadata(tree.at("link")).unwrap().is_symlink());
    assert_eq!(fs::metadata(tree.at("tool.sh")).unwrap().permissions().mode() & 0o7777, 0o750);
    assert_eq!(&*tree.disk.read(&path).unwrap().text, "b\n");
    // What is removed or renamed is the link.
    tree.disk.rename(&link, &tree.path("other")).unwrap();
    tree.disk.remove(&tree.path("other")).unwrap();
    assert_eq!(tree.names(), ["tool.sh"]);
}

#[test]
fn a_new_file_takes_no_other_ones_place() {
    let tree = Tree::new();
    let path = tree.path("deep/er/new.rs");
    tree.disk.create(&path, "a\n", None).unwrap();
    assert_eq!(fs::read_to_string(tree.at("deep/er/new.rs")).unwrap(), "a\n");
    let error = tree.disk.create(&path, "b\n", None).unwrap_err();
    assert!(matches!(error, DiskError::Exists(_)), "{error}");
    let other = tree.put("other", "o");
    assert!(matches!(tree.disk.rename(&other, &path), Err(DiskError::Exists(_))));
    assert_eq!(fs::read_to_string(tree.at("deep/er/new.rs")).unwrap(), "a\n");
    assert_eq!(fs::read_dir(tree.at("deep/er")).unwrap().count(), 1, "no temporary file stays");
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("nowhere", tree.at("dangling")).unwrap();
        assert!(tree.disk.create(&tree.path("dangling"), "x", None).is_err());
        assert!(!tree.at("nowhere").exists());
    }
}

#[test]
fn a_file_changed_by_someone_else_is_not_written_over() {
    let tree = Tree::new();
    let path = tree.put("x", "a\n");
    let file = tree.disk.read(&path).unwrap();
    tree.put("x", "theirs\n");
    let error = tree.disk.write_over(&path, "ours\n", &file.format, &file.stamp).unwrap_err();
    assert_eq!(error.to_string(), "`x` was changed by someone else; read it again");
    assert_eq!(fs::read_to_string(tree.at("x")).unwrap(), "theirs\n");
    let stamp = tree.disk.stat(&path).unwrap();
    let written = tree.disk.write_over(&path, "ours\n", &file.format, &stamp).unwrap();
    assert_eq!(tree.disk.stat(&path).unwrap().size, written.size);
    assert!(tree.disk.write(&tree.path("gone"), "x", &file.format).unwrap_err().is_missing());
}

#[test]
fn whoever_reads_meanwhile_sees_the_old_text_or_the_new() {
    let tree = Tree::with(DiskLimits { max_file_bytes: 1 << 20, cache_bytes: 0 });
    let (a, b) = ("a".repeat(100_000), "b".repeat(60_000));
    let path = tree.put("x", &a);
    let format = tree.disk.read(&path).unwrap().format;
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for round in 0..200 {
                tree.disk.write(&path, if round % 2 == 0 { &b } else { &a }, &format).unwrap();
            }
        });
        while !writer.is_finished() {
            let seen = fs::read_to_string(tree.at("x")).unwrap();
            assert!(seen == a || seen == b);
        }
    });
}

#[test]
fn a_file_that_is_rewritten_in_place_is_never_read_half_and_half() {
    let tree = Tree::with(DiskLimits { max_file_bytes: 1 << 20, cache_bytes: 1 << 20 });
    let path = tree.put("x", "0".repeat(50_000));
    let rounds = 300;
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for round in 0..rounds {
                let text = char::from(b'a' + (round % 20) as u8).to_string().repeat(40_000 + round * 10);
                fs::write(tree.at("x"), text).unwrap();
            }
        });
        while !writer.is_finished() {
            match tree.disk.read(&path) {
                Ok(file) => {
                    let first = file.text.chars().next();
                    assert!(file.text.is_empty() || file.text.chars().all(|ch| Some(ch) == first));
                }
                Err(error) => assert!(matches!(error, DiskError::Changing(_)), "{error}"),
            }
        }
    });
    // The last word is never a stale one.
    assert_eq!(tree.disk.read(&path).unwrap().text.len(), 40_000 + (rounds - 1) * 10);
}

#[test]
fn a_listing_is_sorted_and_says_what_is_what() {
    let tree = Tree::new();
    tree.put("b", "");
    fs::create_dir(tree.at("a")).unwrap();
    let listing = tree.disk.list(&tree.path(".")).unwrap();
    let entry = |name: &str, kind| Entry { name: name.to_owned(), kind };
    assert_eq!(listing, Listing { entries: vec![entry("a", Kind::Folder), entry("b", Kind::File)], more: false });
    assert_eq!(tree.disk.list(&tree.path("b")).unwrap_err().to_string(), "`b` is not a folder; read it with read_file");
    assert!(tree.disk.list(&tree.path("c")).unwrap_err().is_missing());
    assert!(Path::new(&tree.at("a")).is_dir());
}

/// Ends the race also when an assertion fails, so that the test fails and does not hang.
struct Stop<'a>(&'a std::sync::atomic::AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A directory is swapped for a link that leads outside, as fast as it goes, while we read, write, create, rename and
/// remove through it. Whatever happens, nothing outside is read or changed.
#[cfg(target_os = "linux")]
#[test]
fn nobody_gets_us_outside_by_swapping_a_folder_for_a_link() {
    use std::os::unix::fs::symlink;
    use std::sync::atomic::AtomicBool;

    use rustix::fs::{CWD, RenameFlags, renameat_with};

    let tree = Tree::with(DiskLimits { max_file_bytes: 1_000, cache_bytes: 0 });
    let outside = tree.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("canary"), "secret").unwrap();
    fs::create_dir(tree.at("dir")).unwrap();
    tree.put("dir/canary", "inside");
    symlink(&outside, tree.at("link")).unwrap();
    let (dir, link) = (tree.at("dir"), tree.at("link"));
    let done = AtomicBool::new(false);
    let (mut refused, mut went) = (0, 0);
    std::thread::scope(|scope| {
        let racer = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                renameat_with(CWD, &dir, CWD, &link, RenameFlags::EXCHANGE).unwrap();
            }
        });
        let stop = Stop(&done);
        let canary = tree.path("dir/canary");
        for round in 0..2_000 {
            let new = tree.path(&format!("dir/new-{round}"));
            let steps = [
                tree.disk.read(&canary).map(|file| assert_ne!(&*file.text, "secret")),
                tree.disk.write(&canary, "inside", &Format::default()).map(drop),
                tree.disk.create(&new, "x", None).map(drop),
                tree.disk.rename(&new, &tree.path("dir/moved")),
                tree.disk.remove(&tree.path("dir/moved")),
                tree.disk.remove(&new),
                tree.disk.list(&tree.path("dir")).map(drop),
            ];
            let failed = steps.iter().filter(|step| step.is_err()).count();
            refused += failed;
            went += steps.len() - failed;
        }
        drop(stop);
        racer.join().unwrap();
    });
    assert_eq!(fs::read_to_string(outside.join("canary")).unwrap(), "secret");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1, "nothing new outside");
    assert!(refused > 0 && went > 0, "the race took place: {refused} refused, {went} went through");
}
