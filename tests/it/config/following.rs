//! The configuration over hundreds of saves, renames, deletions and new folders, while somebody reads it all the time.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ropeway::config::{Config, ConfigStore, EnvSnapshot, Sources};
use ropeway::watch::Unwatched;
use ropeway::watch::files::{FOLDERS, FileWatch};

/// Edits in a test.
const EDITS: u32 = 500;
/// Edits between two looks at what is in force.
const BURST: u32 = 10;
/// Looks at what is in force for each edit, at least.
const READS: u64 = 2;
/// Longer than any machine takes.
const PATIENCE: Duration = Duration::from_secs(60);
/// How old a configuration may be that is still in force.
const STALE: Duration = Duration::from_millis(200);
/// Threads that wake one another from a save until it is in force, at most: a machine that holds up each of them delays
/// the whole as many times.
const WAKES: u32 = 8;

/// Every edit is the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u32::try_from(self.0 >> 33).unwrap() % bound
    }
}

/// One file that is edited, in a folder that may go and come, with what it last said that could be understood.
struct Edited {
    folder: PathBuf,
    name: &'static str,
    text: fn(u32) -> String,
    /// 0: there is none.
    said: u32,
}

fn user_text(number: u32) -> String {
    // A save in place is several writes; between them the file must not pass for another.
    format!("[agent]\nmax_steps = {number}\n[tools]\nmax_parallel = {number}\n")
}

fn project_text(number: u32) -> String {
    format!("[context]\nmax_history_pairs = {number}\ntrim_at = {number}.0\n")
}

impl Edited {
    fn path(&self) -> PathBuf {
        self.folder.join(self.name)
    }

    /// Makes the file something that cannot be understood, which changes nothing.
    fn spoil(&self) {
        std::fs::create_dir_all(&self.folder).unwrap();
        std::fs::write(self.path(), "[agent\nmax_steps = ").unwrap();
    }

    /// Does something to the file that an editor, a script or a version control system may do.
    fn edit(&mut self, random: &mut Random) {
        let number = 10 + random.below(80);
        std::fs::create_dir_all(&self.folder).unwrap();
        match random.below(9) {
            0..=2 => {
                std::fs::write(self.path(), (self.text)(number)).unwrap();
                self.said = number;
            }
            3..=5 => {
                let aside = self.folder.join(".saved~");
                std::fs::write(&aside, (self.text)(number)).unwrap();
                std::fs::rename(aside, self.path()).unwrap();
                self.said = number;
            }
            6 => {
                std::fs::remove_file(self.path()).ok();
                self.said = 0;
            }
            7 => {
                let aside = self.folder.with_extension(format!("old{number}"));
                std::fs::rename(&self.folder, &aside).unwrap();
                std::fs::create_dir(&self.folder).unwrap();
                std::fs::write(self.path(), (self.text)(number)).unwrap();
                std::fs::remove_dir_all(aside).unwrap();
                self.said = number;
            }
            _ => {
                std::fs::remove_dir_all(&self.folder).unwrap();
                self.said = 0;
            }
        }
    }
}

fn user_pair(config: &Config) -> (u32, usize) {
    (config.agent.max_steps, config.tools.max_parallel)
}

fn project_pair(config: &Config) -> (u32, f64) {
    (config.context.max_history_pairs, config.context.trim_at)
}

/// All of one moment: two keys of one file, written together.
fn whole(config: &Config) {
    let (steps, parallel) = user_pair(config);
    assert!(steps as usize == parallel || (steps, parallel) == (40, 0), "torn: {steps} and {parallel}");
    let (pairs, trim) = project_pair(config);
    assert!(f64::from(pairs) == trim || (pairs, trim) == (20, 1.5), "torn: {pairs} and {trim}");
}

fn play(limit: usize, seed: u64) {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    std::fs::create_dir_all(&home).unwrap();
    // As people keep their settings: in a repository elsewhere, with a link to it.
    #[cfg(unix)]
    std::os::unix::fs::symlink("../dot", home.join("ropeway")).unwrap();
    let roots = ["one", "two"].map(|name| dir.path().join(name));
    roots.iter().for_each(|root| std::fs::create_dir(root).unwrap());
    let mut files = [
        Edited { folder: dir.path().join("dot"), name: "config.toml", text: user_text, said: 0 },
        Edited { folder: roots[0].clone(), name: "ropeway.toml", text: project_text, said: 0 },
        Edited { folder: roots[1].clone(), name: "ropeway.toml", text: project_text, said: 0 },
    ];
    let env = EnvSnapshot::from_iter([("XDG_CONFIG_HOME", &home)]);
    let mut sources = Sources { env, ..Sources::default() };
    sources.set_roots(&roots);
    let watched: Vec<PathBuf> = sources.files().collect();
    let store = Arc::new(ConfigStore::new(sources));

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let here = Arc::clone(&store);
    let watch = FileWatch::start(runtime.handle(), limit, Arc::new(move || drop(here.refresh())));
    watch.set(watched);
    if limit < FOLDERS || std::env::var_os(FEW).is_some() {
        assert_eq!(watch.unwatched(), Some(Unwatched::Limit), "with {limit} folders");
    }

    let (done, reads, held_up) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let at = [roots[0].join("src/a.rs"), roots[1].join("src/a.rs")];
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                for config in [store.current(), store.of(&at[0]), store.of(&at[1])] {
                    whole(&config);
                }
                reads.fetch_add(1, Ordering::Relaxed);
                std::thread::yield_now();
            }
        });
        // How long a thread that does nothing waits for its turn here and now.
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                let (wanted, begun) = (Duration::from_millis(5), Instant::now());
                std::thread::park_timeout(wanted);
                let late = begun.elapsed().saturating_sub(wanted);
                held_up.fetch_max(late.as_micros().try_into().unwrap(), Ordering::Relaxed);
            }
        });
        // The others end with the test, however that ends.
        let _done = Done(&done);
        let mut random = Random(seed);
        let mut late = Vec::new();
        for edit in 1..=EDITS {
            files[random.below(3) as usize].edit(&mut random);
            if edit % BURST == 0 {
                // Only what was read while it was good can stay in force.
                late.push(follows(&store, &files, &at, edit));
                // On a busy machine the reader is the first to wait.
                let begun = Instant::now();
                while reads.load(Ordering::Relaxed) <= READS * u64::from(edit) {
                    assert!(begun.elapsed() < PATIENCE, "after edit {edit} nobody reads");
                    std::thread::yield_now();
                }
                let spoilt = &files[random.below(3) as usize];
                if random.below(2) == 0 && spoilt.said > 0 {
                    spoilt.spoil();
                }
            }
        }
        for file in &mut files {
            std::fs::create_dir_all(&file.folder).unwrap();
            std::fs::write(file.path(), (file.text)(33)).unwrap();
            file.said = 33;
        }
        late.push(follows(&store, &files, &at, EDITS + 1));
        let problems = store.loaded().problems;
        assert!(problems.is_empty(), "everything is well in the end: {problems:?}");
        late.sort();
        let held_up = Duration::from_micros(held_up.load(Ordering::Relaxed));
        let (middle, most) = (late[late.len() / 2], late[late.len() - 1]);
        assert!(
            middle <= STALE && most <= STALE + WAKES * held_up,
            "what is saved is in force after {middle:?}, at most {most:?}; threads were held up for {held_up:?}"
        );
    });
    assert!(reads.load(Ordering::Relaxed) > READS * u64::from(EDITS));
}

struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Waits until what is in force is what the files last said; says how long that took.
fn follows(store: &ConfigStore, files: &[Edited; 3], at: &[PathBuf; 2], edit: u32) -> Duration {
    let user = match files[0].said {
        0 => (40, 0),
        said => (said, said as usize),
    };
    let project = |file: &Edited| match file.said {
        0 => (20, 1.5),
        said => (said, f64::from(said)),
    };
    let wanted = [(user, project(&files[1])), (user, project(&files[2]))];
    let begun = Instant::now();
    loop {
        let now = |path: &Path| {
            let config = store.of(path);
            (user_pair(&config), project_pair(&config))
        };
        let now = [now(&at[0]), now(&at[1])];
        if now == wanted {
            return begun.elapsed();
        }
        assert!(begun.elapsed() < PATIENCE, "after edit {edit} {now:?} is in force, not {wanted:?}");
        std::thread::yield_now();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn five_hundred_edits_are_followed_and_never_read_half() {
    play(FOLDERS, 7);
}

#[cfg(target_os = "linux")]
#[test]
fn five_hundred_edits_are_followed_although_hardly_a_folder_can_be_watched() {
    play(3, 11);
}

/// Set in the process whose user may watch so many folders and no more.
#[cfg(target_os = "linux")]
const FEW: &str = "ROPEWAY_TEST_FEW_WATCHES";

/// The limit is the system's own, so in a user namespace of a process of its own: this very test.
#[cfg(target_os = "linux")]
#[test]
fn five_hundred_edits_are_followed_although_the_system_allows_hardly_a_watch() {
    if std::env::var_os(FEW).is_some() {
        play(FOLDERS, 13);
        println!("played with {}", std::fs::read_to_string("/proc/sys/user/max_inotify_watches").unwrap().trim());
        return;
    }
    let name = "config::following::five_hundred_edits_are_followed_although_the_system_allows_hardly_a_watch";
    let script = "echo 3 >/proc/sys/user/max_inotify_watches && exec \"$0\" --exact --nocapture \"$1\"";
    let ran = std::process::Command::new("unshare")
        .args(["--user", "--map-root-user", "sh", "-c", script])
        .arg(std::env::current_exe().unwrap())
        .arg(name)
        .env(FEW, "1")
        .output()
        .unwrap();
    let out = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success() && out.contains("played with 3"), "{out}{}", String::from_utf8_lossy(&ran.stderr));
}
