//! Lines that the policy lets run, run as a model would have them run: by the tool, in the sandbox, without a question.
//!
//! `oracle` looks at the policy with nothing around it. Here the whole way is looked at: whatever a line does, the
//! user's files and the network are as they were, and no word of a hidden file reaches the model.

use std::collections::{BTreeMap, HashSet};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use ropeway::paths::{Root, Roots};
use ropeway::tools::sandbox::Level;
use rustix::fd::OwnedFd;
use rustix::fs::inotify;
use serde_json::json;

use super::lines::{self, Dice};
use super::oracle::{CANARY, Judge};
use crate::commands::{Place, command, outside};
use crate::support::model::Turn;

/// Runs, and lines in each.
const RUNS: usize = 40;
const LINES: usize = 20;

const FILES: [(&str, &str); 8] = [
    ("a.txt", "one\ntwo\nthree\n"),
    ("b.txt", "one\n2\nthree\n"),
    ("sub/c.txt", "c,d\n"),
    ("deep/er/d.txt", "d\n"),
    ("x y.txt", "x\n"),
    ("-n", "n\n"),
    (".git/config", "[core]\n"),
    ("bin/ls", "#!/bin/sh\necho > ../ran\n"),
];

type State = (u32, u64, u64, i64, i64, i64, Vec<u8>);

/// Kind, mode, links, size, times of change and text of all below these folders, but for what is `own`: files come and go
/// there.
fn snapshot(folders: &[&Path], own: &Path) -> BTreeMap<PathBuf, State> {
    let mut all = BTreeMap::new();
    let mut open: Vec<_> = folders.iter().map(|folder| folder.to_path_buf()).collect();
    while let Some(path) = open.pop() {
        if path == own {
            continue;
        }
        let found = std::fs::symlink_metadata(&path).unwrap();
        if found.is_dir() {
            open.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        let text = if found.is_file() { std::fs::read(&path).unwrap() } else { Vec::new() };
        let times = (found.mtime(), found.mtime_nsec(), found.ctime_nsec());
        all.insert(path, (found.mode(), found.nlink(), found.size(), times.0, times.1, times.2, text));
    }
    all
}

/// Whether something happened to what is watched.
fn noticed(notices: &OwnedFd) -> bool {
    let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
    let mut reader = inotify::Reader::new(notices, &mut buffer);
    std::iter::from_fn(|| reader.next().ok().map(|_| ())).count() > 0
}

#[test]
fn every_line_that_runs_without_a_question_leaves_everything_as_it_is_and_shows_nothing_hidden() {
    let settings = json!({"permissions": {"allow": ["run_command"], "deny": ["read_file(hidden/**)"]}});
    let mut place = Place::with(&FILES, settings, Level::Full);
    let out = outside();
    let (root, home) = (place.path(""), place.home.path().to_owned());
    std::fs::create_dir(root.join("hidden")).unwrap();
    let secret = [root.join(".env"), root.join("key.pem"), root.join("hidden/x"), home.join(".netrc")];
    for path in secret.iter().chain([&out.path().join("canary.txt")]) {
        std::fs::write(path, format!("{CANARY}\n")).unwrap();
    }
    symlink(out.path(), root.join("out")).unwrap();
    symlink(out.path().join("canary.txt"), root.join("link")).unwrap();
    symlink("key.pem", root.join("notes")).unwrap();
    symlink("sub", root.join("inner")).unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let udp = UdpSocket::bind(tcp.local_addr().unwrap()).unwrap();
    tcp.set_nonblocking(true).unwrap();
    udp.set_nonblocking(true).unwrap();
    let port = tcp.local_addr().unwrap().port().to_string();
    let fit = |line: String| {
        let text = |path: &Path| path.display().to_string();
        let line = line.replace("@ROOT@", &text(&root)).replace("@OUT@", &text(out.path()));
        line.replace("@HOME@", &text(&home)).replace("@PORT@", &port)
    };

    let cwd = Roots::new(vec![Root::open("root", &root).unwrap()]).tops().remove(0);
    let (judge, mut dice, mut seen) = (Judge::new(), Dice::new(11), HashSet::new());
    let mut lines = std::iter::repeat_with(|| fit(lines::line(&mut dice)))
        .filter(|line| judge.allows(line, &cwd) && seen.insert(line.clone()));
    // The first command makes what the server keeps in the user's state directory for itself.
    place.command("true");
    let own = home.join(".local/state/ropeway");
    let look = || snapshot(&[&root, out.path(), &home], &own);
    let before = look();
    // Files outside: not even opened, whatever is then shown of them.
    let notices = inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC).unwrap();
    let what = inotify::WatchFlags::OPEN | inotify::WatchFlags::MODIFY | inotify::WatchFlags::ATTRIB;
    for path in [out.path().to_owned(), out.path().join("canary.txt"), home.join(".netrc")] {
        inotify::add_watch(&notices, path, what).unwrap();
    }
    for _ in 0..RUNS {
        let chosen: Vec<String> = lines.by_ref().take(LINES).collect();
        // Another test may walk through all there is meanwhile, so an opened file counts only if it happens each time.
        let mut opened = true;
        for _ in 0..4 {
            place.bench.model.script([Turn::calls(chosen.iter().map(|line| command(line))), Turn::text("Done.")]);
            let told = place.results().len();
            let run = place.bench.task("look around");
            // Nobody answers a question here: one that is asked fails the test.
            let outcome = place.bench.finished(&run);
            assert_eq!((&outcome["status"], &outcome["files"]), (&json!("answered"), &json!([])), "{outcome}");
            let results = place.results().split_off(told);
            assert_eq!(results.len(), chosen.len());
            for (line, result) in chosen.iter().zip(&results) {
                assert!(!result.contains(CANARY), "{line:?} shows what it must not: {result}");
                assert!(!result.contains("not run"), "{line:?} was not run: {result}");
            }
            opened = noticed(&notices);
            if !opened {
                break;
            }
        }
        assert!(!opened, "a file outside is opened by one of {chosen:#?}");
    }
    std::fs::read(out.path().join("canary.txt")).unwrap();
    assert!(noticed(&notices), "an opened file would have been noticed");
    let after = look();
    let changed: Vec<_> = after.iter().filter(|(path, state)| before.get(*path) != Some(*state)).collect();
    assert!(changed.is_empty() && after.len() == before.len(), "{changed:?}");
    assert!(tcp.accept().is_err() && udp.recv_from(&mut [0; 16]).is_err(), "a line connects");
}
