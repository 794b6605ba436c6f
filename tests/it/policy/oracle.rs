//! The policy against execution: every line that it would let run is run, in a place where each forbidden act shows.
//!
//! Written files show in a snapshot of everything around; reads of files that may not be shown in the kernel's own
//! notices of opened files (inotify) and by the words in them; connections at a socket that listens. What no snapshot can
//! tell from a harmless act (a look-up of a name over the network) is not seen here.

use std::collections::{BTreeMap, HashSet};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ropeway::config::{Permissions, Rule};
use ropeway::paths::{Root, Roots, WsPath};
use ropeway::tools::command::Programs;
use ropeway::tools::policy::{Command as Line, Policy, Verdict};
use ropeway::tools::sandbox::Level;
use rustix::fs::inotify;

use super::lines::{self, Dice};

/// Lines to be run.
const WANTED: usize = 2048;
/// Lines to be thought of, at most.
const TRIES: usize = 150_000;
/// Lines between two looks at everything.
const STRETCH: usize = 50;
/// What stands in files that must not be shown.
pub const CANARY: &str = "canary-5b1e";
/// Programs that every Debian has, and whose lines must be among those that are run.
const EXPECTED: &[&str] = &[
    "ls",
    "cat",
    "nl",
    "head",
    "tail",
    "wc",
    "stat",
    "grep",
    "sort",
    "uniq",
    "cut",
    "paste",
    "comm",
    "fold",
    "tr",
    "diff",
    "cmp",
    "sha256sum",
    "md5sum",
    "cksum",
    "od",
    "du",
    "df",
    "find",
    "basename",
    "dirname",
    "realpath",
    "readlink",
    "which",
    "echo",
    "printf",
    "test",
    "date",
    "pwd",
    "true",
    "uname",
    "nproc",
    "whoami",
    "id",
];

/// Mode, links, size, times of change, text.
type State = (u32, u64, u64, i64, i64, i64, Vec<u8>);

/// A workspace, with a place beside it that is nobody's business.
struct Stage {
    dir: tempfile::TempDir,
    notices: rustix::fd::OwnedFd,
    watched: BTreeMap<i32, PathBuf>,
    tcp: TcpListener,
    udp: UdpSocket,
}

impl Stage {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        for (name, text) in [
            ("root/a.txt", "one\ntwo\nthree\n"),
            ("root/b.txt", "one\n2\nthree\n"),
            ("root/sub/c.txt", "c,d\n"),
            ("root/deep/er/d.txt", "d\n"),
            ("root/x y.txt", "x\n"),
            ("root/-n", "n\n"),
            ("root/bin/ls", "#!/bin/sh\necho > ../ran\n"),
            ("tmp/keep", ""),
        ] {
            file(name, text);
        }
        let secret =
            ["root/.env", "root/key.pem", "root/.git/config", "root/hidden/x", "outside/canary.txt", "home/.netrc"];
        for name in secret {
            file(name, &format!("{CANARY}\n"));
        }
        let root = dir.path().join("root");
        std::fs::set_permissions(root.join("bin/ls"), PermissionsExt::from_mode(0o755)).unwrap();
        for (to, link) in
            [("../outside", "out"), ("../outside/canary.txt", "link"), ("key.pem", "notes"), ("sub", "inner")]
        {
            symlink(to, root.join(link)).unwrap();
        }
        let notices = inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC).unwrap();
        let mut watched = BTreeMap::new();
        // Folders that are outside are not even to be listed.
        for name in secret.iter().copied().chain(["outside", "home"]) {
            let path = dir.path().join(name);
            let flags = inotify::WatchFlags::OPEN | inotify::WatchFlags::MODIFY | inotify::WatchFlags::ATTRIB;
            watched.insert(inotify::add_watch(&notices, &path, flags).unwrap(), path);
        }
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = UdpSocket::bind(tcp.local_addr().unwrap()).unwrap();
        tcp.set_nonblocking(true).unwrap();
        udp.set_nonblocking(true).unwrap();
        Self { dir, notices, watched, tcp, udp }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A line of the grammar, with the names of this place.
    fn fit(&self, line: &str) -> String {
        let text = |name: &str| self.path(name).display().to_string();
        let port = self.tcp.local_addr().unwrap().port().to_string();
        let line = line.replace("@ROOT@", &text("root")).replace("@OUT@", &text("outside"));
        line.replace("@HOME@", &text("home")).replace("@PORT@", &port)
    }

    /// Runs a line as it would be run, but with nothing around it; gives all it printed.
    fn run(&self, line: &str, cwd: &Path) -> Vec<u8> {
        let mut command = Command::new("timeout");
        command.args(["-k", "1", "20", "sh", "-c", line]).current_dir(cwd).stdin(Stdio::null());
        command.env_clear().env("PATH", "/usr/bin:/bin").env("LANG", "C.UTF-8");
        command.env("HOME", self.path("home")).env("TMPDIR", self.path("tmp"));
        let output = command.output().unwrap();
        assert!(!matches!(output.status.code(), Some(124 | 137) | None), "{line:?} does not end");
        [output.stdout, output.stderr].concat()
    }

    /// The same, and fails if it opens what must not be opened. Somebody else on the machine may walk through all of
    /// `/tmp` meanwhile, so it counts only if it happens each time.
    fn run_watched(&self, line: &str, cwd: &Path) -> Vec<u8> {
        let mut opened = Vec::new();
        for _ in 0..4 {
            // The judge has looked at where links lead.
            self.opened();
            let printed = self.run(line, cwd);
            opened = self.opened();
            if opened.is_empty() {
                return printed;
            }
        }
        panic!("{line:?} opens what it must not: {opened:?}");
    }

    /// What was opened since the last time, of that which nobody may open.
    fn opened(&self) -> Vec<PathBuf> {
        let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&self.notices, &mut buffer);
        let mut found = Vec::new();
        while let Ok(event) = reader.next() {
            found.push(self.watched.get(&event.wd()).cloned().unwrap_or_default());
        }
        found
    }

    fn contacted(&self) -> bool {
        self.tcp.accept().is_ok() || self.udp.recv_from(&mut [0; 16]).is_ok()
    }

    /// Everything there is: kind, mode, links, size, times of change and text.
    fn snapshot(&self) -> BTreeMap<PathBuf, State> {
        let mut all = BTreeMap::new();
        let mut open = vec![self.dir.path().to_owned()];
        while let Some(path) = open.pop() {
            let found = std::fs::symlink_metadata(&path).unwrap();
            if found.is_dir() {
                open.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            }
            let text = if found.is_file() { std::fs::read(&path).unwrap() } else { Vec::new() };
            let times = (found.mtime(), found.mtime_nsec(), found.ctime_nsec());
            all.insert(path, (found.mode(), found.nlink(), found.size(), times.0, times.1, times.2, text));
        }
        // Our own looks are no news.
        self.opened();
        all
    }
}

fn rule(tool: &str, pattern: Option<&str>) -> Rule {
    Rule { tool: tool.into(), pattern: pattern.map(str::to_owned) }
}

/// What is allowed where nothing but the knowledge of programs stands between a line and the user's files: without a
/// sandbox, with a rule that allows everything.
pub struct Judge {
    permissions: Permissions,
    programs: Programs,
}

impl Judge {
    pub fn new() -> Self {
        let permissions = Permissions {
            allow: vec![rule("run_command", None)],
            deny: vec![rule("read_file", Some("hidden/**"))],
            ..Permissions::default()
        };
        Self { permissions, programs: Programs::new(Some("/usr/bin:/bin".as_ref())) }
    }

    pub fn allows(&self, line: &str, cwd: &WsPath) -> bool {
        let policy =
            Policy { permissions: &self.permissions, programs: &self.programs, level: &|| Level::None, trusted: true };
        policy.assess("run_command", &Default::default(), Some(Line { line, cwd })).verdict == Verdict::Allow
    }
}

#[test]
fn every_line_that_the_policy_would_let_run_neither_writes_nor_connects_nor_reads_what_is_hidden() {
    let stage = Stage::new();
    let roots = Roots::new(vec![Root::open("root", &stage.path("root")).unwrap()]);
    let folders = [".", "sub", "deep/er"].map(|rel| roots.resolve(rel).unwrap());
    let judge = Judge::new();
    let mut dice = Dice::new(7);
    let mut seen = HashSet::new();
    let mut programs = HashSet::new();
    let mut before = stage.snapshot();
    let mut stretch: Vec<String> = Vec::new();
    let mut ran = 0;
    for _ in 0..TRIES {
        let line = stage.fit(&lines::line(&mut dice));
        let cwd = &folders[[0, 0, 0, 1, 2][dice.below(5)]];
        if !judge.allows(&line, cwd) || !seen.insert((line.clone(), cwd.clone())) {
            continue;
        }
        let printed = stage.run_watched(&line, &cwd.absolute());
        let printed = String::from_utf8_lossy(&printed);
        assert!(!printed.contains(CANARY), "{line:?} shows what it must not: {printed}");
        programs
            .extend(line.split(['|', '&', ';']).filter_map(|part| part.split_whitespace().next().map(str::to_owned)));
        stretch.push(line);
        ran += 1;
        if stretch.len() == STRETCH || ran == WANTED {
            let after = stage.snapshot();
            let changed: Vec<_> = after.iter().filter(|(path, state)| before.get(*path) != Some(*state)).collect();
            assert!(changed.is_empty() && after.len() == before.len(), "{changed:?} by one of {stretch:#?}");
            assert!(!stage.contacted(), "one of {stretch:#?} connects");
            before = after;
            stretch.clear();
        }
        if ran == WANTED {
            break;
        }
    }
    assert_eq!(ran, WANTED, "too few lines are allowed");
    let missing: Vec<_> = EXPECTED.iter().filter(|name| !programs.contains(**name)).collect();
    assert!(missing.is_empty(), "no line of {missing:?} was run");
}

/// The oracle sees what it is there to see: each of these acts is noticed.
#[test]
fn a_line_that_does_what_it_must_not_is_noticed() {
    let stage = Stage::new();
    let root = stage.path("root");
    for line in ["cat .env", "wc -c link", "ls out", "cat < notes", "sort hidden/x", "touch ../outside/canary.txt"] {
        stage.opened();
        stage.run(line, &root);
        assert!(!stage.opened().is_empty(), "{line}");
    }
    for line in ["touch new", "sort a.txt -o a.txt", "chmod 600 a.txt", "touch a.txt", "mkdir d; rmdir d"] {
        let before = stage.snapshot();
        stage.run(line, &root);
        assert!(stage.snapshot() != before, "{line}");
    }
    assert!(!stage.contacted());
    let port = stage.tcp.local_addr().unwrap().port();
    UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"x", ("127.0.0.1", port)).unwrap();
    assert!(stage.contacted());
}
