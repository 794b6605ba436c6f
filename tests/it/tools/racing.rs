//! Whatever the tree, whatever the words, and whoever swaps folders for links meanwhile: what is outside the workspace
//! is neither read nor changed.
#![cfg(target_os = "linux")]

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde_json::{Value, json};

use super::Bench;

/// Stands in every file outside, and in none inside.
const SECRET: &str = "oriole-7731";

const ROUNDS: usize = 10_000;

/// Rounds with one tree.
const STAND: usize = 125;

/// Rounds that one look at all that is outside is for.
const WATCH: usize = 1_000;

/// A seeded generator, so that a failure can be had again as far as threads allow.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

/// Names that stand inside and outside alike.
const FOLDERS: [&str; 5] = ["a", "a/b", "a/b/c", "d", "d/e"];
const FILES: [&str; 3] = ["x", "y.rs", "z.txt"];

/// What the racer swaps: a folder or file, and a link to its counterpart outside.
const SWAPPED: [&str; 6] = ["a", "a/b", "d/e", "a/x", "d/y.rs", "z.txt"];

struct Place {
    bench: Bench,
    outside: PathBuf,
    _holder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let holder = tempfile::tempdir().unwrap();
        let outside = holder.path().join("outside");
        for folder in FOLDERS.iter().chain(&[""]) {
            fs::create_dir_all(outside.join(folder)).unwrap();
            for file in FILES {
                fs::write(outside.join(folder).join(file), format!("fn outside() {{}} // {SECRET}\n")).unwrap();
            }
        }
        let place = Self { bench: Bench::new(""), outside, _holder: holder };
        place.grow(&mut Dice(1));
        place
    }

    /// Makes the tree anew, with other links. Nobody else may be at work.
    fn grow(&self, dice: &mut Dice) {
        let top = self.bench.folder.path();
        for entry in fs::read_dir(top).unwrap() {
            let entry = entry.unwrap();
            match entry.file_type().unwrap().is_dir() {
                true => fs::remove_dir_all(entry.path()).unwrap(),
                false => fs::remove_file(entry.path()).unwrap(),
            }
        }
        for folder in FOLDERS.iter().chain(&[""]) {
            fs::create_dir_all(top.join(folder)).unwrap();
            for file in FILES {
                fs::write(top.join(folder).join(file), "fn inside() {}\n").unwrap();
            }
        }
        fs::create_dir(top.join(".spare")).unwrap();
        for (number, swapped) in SWAPPED.iter().enumerate() {
            symlink(self.outside.join(swapped), top.join(format!(".spare/{number}"))).unwrap();
        }
        for name in ["l", "a/l", "d/m", "a/b/n", "d/e/o"] {
            let inside = dice.pick(&FOLDERS);
            let target = match dice.below(8) {
                0 => self.outside.join(inside).display().to_string(),
                1 => top.join(inside).display().to_string(),
                2 => format!("../../../{}", dice.pick(&FOLDERS)),
                3 => "/proc/self/root/etc".to_owned(),
                4 => self.outside.join(inside).join("x").display().to_string(),
                5 => format!("../{}", dice.pick(&["l", "a/l", "d/m"])),
                6 => "nowhere".to_owned(),
                _ => dice.pick(&["x", "b", "e", "y.rs"]).to_owned(),
            };
            symlink(target, top.join(name)).unwrap();
        }
    }

    /// Words as a model may say them: names that there are, in all ways that might lead out.
    fn words(&self, dice: &mut Dice) -> String {
        let outside = self.outside.display().to_string();
        let top = self.bench.folder.path().display().to_string();
        // Half of them plain: most of these are there at one moment or the other.
        if dice.below(2) == 0 {
            let folder = dice.pick(&["", "a", "a/b", "a/b/c", "d", "d/e", "l", "a/l", "d/m"]);
            return match dice.below(6) {
                0 => folder.to_owned(),
                1 => format!("{folder}/new{}", dice.below(50)),
                _ => format!("{folder}/{}", dice.pick(&FILES)).trim_start_matches('/').to_owned(),
            };
        }
        let mut words = match dice.below(12) {
            0 => outside,
            1 => format!("file://{outside}"),
            2 => format!("{top}/../{}", self.outside.file_name().unwrap().display()),
            3 => top,
            4 => format!("file://{top}"),
            5 => "..".to_owned(),
            _ => String::new(),
        };
        for _ in 0..1 + dice.below(4) {
            let odd =
                ["..", ".", "", "%2e%2e", "..\\", "\u{202e}", "a\0", "~", "ü", "new", "x ", ".spare/0", ".spare/3"];
            let part = match dice.below(8) {
                0 => dice.pick(&odd),
                1 | 2 => dice.pick(&["l", "a/l", "d/m", "a/b/n", "d/e/o"]),
                3 | 4 => dice.pick(&FILES),
                _ => dice.pick(&FOLDERS),
            };
            if !words.is_empty() {
                words.push('/');
            }
            words.push_str(part);
        }
        words
    }

    /// Something done with these words; gives all that was said about it.
    fn act(&self, dice: &mut Dice) -> Result<String, String> {
        let (words, other) = (self.words(dice), self.words(dice));
        let (roots, disk) = (self.bench.workspace.roots(), self.bench.workspace.disk());
        let path = || roots.resolve(&words).map_err(|error| error.to_string());
        let tool = |name: &str, arguments: Value| self.bench.call(name, arguments);
        let done = |result: Result<String, ropeway::disk::DiskError>| result.map_err(|error| error.to_string());
        match dice.below(24) {
            0..=4 => done(disk.read(&path()?).map(|file| file.text.to_string())),
            5 => done(disk.list(&path()?).map(|listing| format!("{listing:?}"))),
            6 | 7 => {
                let path = path()?;
                let format = disk.read(&path).map_err(|error| error.to_string())?.format;
                done(disk.write(&path, "fn changed() {}\n", &format).map(|_| String::new()))
            }
            8 => done(disk.create(&path()?, "fn made() {}\n", None).map(|_| String::new())),
            9 => done(disk.remove(&path()?).map(|()| String::new())),
            10 => {
                let to = roots.resolve(&other).map_err(|error| error.to_string())?;
                done(disk.rename(&path()?, &to).map(|()| String::new()))
            }
            11..=13 => tool("read_file", json!({"path": words})),
            14 => tool("outline", json!({"path": words})),
            15 => tool("list_dir", json!({"path": words, "depth": 3})),
            16 => tool("grep", json!({"pattern": "fn |oriole|root", "path": words})),
            17 => tool("glob", json!({"pattern": "**", "path": words})),
            18 => tool("edit_file", json!({"path": words, "old_string": "fn ", "new_string": "pub fn "})),
            19 => tool("create_file", json!({"path": words, "text": "fn made() {}\n"})),
            20 => tool("move_file", json!({"from": words, "to": other})),
            21 => tool("delete_file", json!({"path": words})),
            22 => tool("insert_lines", json!({"path": words, "line": 0, "text": "// said"})),
            _ => tool("grep", json!({"pattern": "fn |oriole"})),
        }
    }
}

/// All that is outside: names, texts, times.
fn picture(folder: &Path) -> Vec<(PathBuf, String, i64, i64)> {
    let mut seen = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let about = fs::metadata(&folder).unwrap();
        seen.push((folder.clone(), String::new(), about.mtime(), about.mtime_nsec()));
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let about = fs::symlink_metadata(&path).unwrap();
            let text = fs::read_to_string(&path).unwrap();
            seen.push((path, text, about.ctime(), about.ctime_nsec()));
        }
    }
    seen.sort();
    seen
}

/// Swaps folders and links until it is told to stop, but not while `paused`.
fn race(top: &Path, turn: &Mutex<()>, paused: &AtomicBool, over: &AtomicBool, swaps: &AtomicUsize) {
    let mut dice = Dice(7);
    while !over.load(Ordering::Acquire) {
        if paused.load(Ordering::Acquire) {
            std::thread::yield_now();
            continue;
        }
        let _turn = turn.lock().unwrap();
        for _ in 0..16 {
            let number = dice.below(SWAPPED.len());
            let (one, two) = (top.join(SWAPPED[number]), top.join(format!(".spare/{number}")));
            // A swap that finds a folder gone, or would follow a link that it made itself, is none.
            if one.parent().unwrap().canonicalize().is_ok_and(|parent| parent.starts_with(top))
                && renameat_with(CWD, &one, CWD, &two, RenameFlags::EXCHANGE).is_ok()
            {
                swaps.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

#[test]
fn nothing_outside_is_read_or_changed_whatever_the_tree_the_words_and_the_moment() {
    let place = Place::new();
    let top = place.bench.folder.path().canonicalize().unwrap();
    let before = picture(&place.outside);
    let (turn, paused, over) = (Mutex::new(()), AtomicBool::new(false), Arc::new(AtomicBool::new(false)));
    let swaps = AtomicUsize::new(0);
    let mut dice = Dice(2_026);
    let (mut told, mut refused, mut leaks) = (0, 0, 0);
    std::thread::scope(|scope| {
        // However this ends, the racer does.
        struct Stop(Arc<AtomicBool>);
        impl Drop for Stop {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Release);
            }
        }
        let _stop = Stop(over.clone());
        scope.spawn(|| race(&top, &turn, &paused, &over, &swaps));
        for round in 0..ROUNDS {
            if round % STAND == 0 {
                paused.store(true, Ordering::Release);
                let turn = turn.lock().unwrap();
                place.bench.workspace.end(&place.bench.context.run);
                place.bench.workspace.begin(place.bench.context.run.clone());
                place.grow(&mut dice);
                drop(turn);
                paused.store(false, Ordering::Release);
            }
            let said = match place.act(&mut dice) {
                Ok(said) => {
                    told += 1;
                    said
                }
                Err(said) => {
                    refused += 1;
                    said
                }
            };
            assert!(!said.contains(SECRET) && !said.contains("root:"), "round {round}: {said}");
            // What a program that trusts names would have read.
            let naive = top.join(dice.pick(&FOLDERS)).join(dice.pick(&FILES));
            leaks += usize::from(fs::read_to_string(naive).is_ok_and(|text| text.contains(SECRET)));
            if round % WATCH == WATCH - 1 {
                assert_eq!(picture(&place.outside), before, "by round {round}");
            }
        }
    });
    assert_eq!(picture(&place.outside), before);
    let swaps = swaps.into_inner();
    assert!(told > ROUNDS / 10 && refused > ROUNDS / 10, "told {told}, refused {refused}");
    assert!(swaps > ROUNDS && leaks > 0, "{swaps} swaps, {leaks} leaks of a naive reader: there was no race");
}
