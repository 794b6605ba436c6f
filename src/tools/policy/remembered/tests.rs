//! The file: what comes back, and what it withstands.
#![expect(clippy::disallowed_methods, reason = "a test breaks the file")]

use super::super::super::command::Line;
use super::*;
use crate::paths::{Root, Roots};

fn lasting(line: &str, root: &str) -> Lasting {
    let folder = tempfile::tempdir().unwrap();
    let cwd = Roots::new(vec![Root::open("root", folder.path()).unwrap()]).tops().remove(0);
    let mut found = Lasting::new(&Line::read(line).simple.unwrap(), &cwd).unwrap();
    found.move_to(root);
    found
}

fn place() -> (tempfile::TempDir, Remembered) {
    let dir = tempfile::tempdir().unwrap();
    let remembered = Remembered::at(Some(dir.path().join("state")));
    (dir, remembered)
}

#[test]
fn what_was_allowed_is_found_again_as_the_whole_line_in_its_folder() {
    let (_dir, file) = place();
    let what = lasting("grep -n 'a b' x | wc -l 2>/dev/null", "/w");
    assert_eq!(file.holds(&what), Ok(false));
    file.add(&what).unwrap();
    file.add(&what).unwrap();
    assert_eq!(file.holds(&what), Ok(true));
    for other in [
        lasting("grep -n 'a b' x", "/w"),
        lasting("grep -n a b x | wc -l 2>/dev/null", "/w"),
        lasting("grep -n 'a b' x | wc -l", "/w"),
        lasting("grep -n 'a b' x && wc -l 2>/dev/null", "/w"),
        lasting("grep -n 'a b' x | wc -l 2>/dev/null", "/w2"),
    ] {
        assert_eq!(file.holds(&other), Ok(false), "{other:?}");
    }
    let listed = file.list().unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].command, "grep -n 'a b' x | wc -l 2>/dev/null");
    assert_eq!(file.remove("nothing"), Ok(false));
    assert_eq!(file.remove(&listed[0].id), Ok(true));
    assert_eq!(file.list(), Ok(Vec::new()));
}

#[cfg(unix)]
#[test]
fn what_was_allowed_in_a_folder_does_not_hold_for_one_that_took_its_place() {
    let (dir, file) = place();
    let folder = dir.path().join("project");
    let here = || {
        let cwd = Roots::new(vec![Root::open("root", &folder).unwrap()]).tops().remove(0);
        Lasting::new(&Line::read("ls").simple.unwrap(), &cwd).unwrap()
    };
    std::fs::create_dir(&folder).unwrap();
    file.add(&here()).unwrap();
    assert_eq!(file.holds(&here()), Ok(true));
    std::fs::rename(&folder, dir.path().join("kept")).unwrap();
    std::fs::create_dir(&folder).unwrap();
    assert_eq!(file.holds(&here()), Ok(false), "another folder of the same name");
    std::fs::remove_dir(&folder).unwrap();
    std::fs::rename(dir.path().join("kept"), &folder).unwrap();
    assert_eq!(file.holds(&here()), Ok(true));
}

#[cfg(unix)]
#[test]
fn the_file_is_for_the_user_alone() {
    use std::os::unix::fs::PermissionsExt;
    let (_dir, file) = place();
    file.add(&lasting("ls", "/w")).unwrap();
    let path = file.path().unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    for loose in [0o602, 0o620, 0o666] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(loose)).unwrap();
        assert!(file.holds(&lasting("ls", "/w")).unwrap_err().contains("others can write it"));
        assert!(file.add(&lasting("pwd", "/w")).is_err(), "and nothing is built on it");
    }
    file.clear().unwrap();
    assert_eq!((mode(&path), file.list()), (0o600, Ok(Vec::new())));
}

#[test]
fn a_file_that_cannot_be_understood_allows_nothing_and_stays_until_it_is_cleared() {
    let (_dir, file) = place();
    let what = lasting("ls", "/w");
    file.add(&what).unwrap();
    let path = file.path().unwrap();
    let good = std::fs::read_to_string(&path).unwrap();
    let cut = (1..good.trim_end().len()).step_by(7).map(|at| good[..at].to_owned());
    let odd =
        ["", "[]", "null", "{}", "\u{0}", "{\"version\":2,\"allowed\":[]}", "{\"version\":1,\"allowed\":[],\"x\":1}"];
    for text in cut.chain(odd.map(str::to_owned)) {
        std::fs::write(&path, &text).unwrap();
        assert!(file.holds(&what).is_err(), "{text:?}");
        assert!(file.add(&what).is_err() && file.list().is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }
    std::fs::write(&path, "[".repeat(100_000)).unwrap();
    assert!(file.holds(&what).is_err(), "depth does not crash");
    file.clear().unwrap();
    assert_eq!(file.holds(&what), Ok(false));
    file.add(&what).unwrap();
    assert_eq!(file.holds(&what), Ok(true));
}

#[cfg(unix)]
#[test]
fn a_link_a_folder_or_a_pipe_in_its_place_is_not_read() {
    let (dir, file) = place();
    let what = lasting("ls", "/w");
    file.add(&what).unwrap();
    let path = file.path().unwrap();
    let aside = dir.path().join("aside");
    std::fs::rename(&path, &aside).unwrap();
    std::os::unix::fs::symlink(&aside, &path).unwrap();
    assert!(file.holds(&what).is_err(), "a link");
    std::fs::remove_file(&path).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
    assert!(file.holds(&what).is_err(), "a pipe");
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert!(file.holds(&what).is_err(), "a folder");
}

#[test]
fn there_are_never_more_entries_than_fit_and_the_oldest_goes() {
    let (_dir, file) = place();
    let entries: Vec<Lasting> = (0..MAX_ENTRIES).map(|at| lasting(&format!("echo {at}"), "/w")).collect();
    let kept = entries.iter().map(|what| Kept { since: 0, what: what.clone() }).collect();
    make(file.dir.as_ref().unwrap()).unwrap();
    write(file.dir.as_ref().unwrap(), &File { version: VERSION, allowed: kept }).unwrap();
    file.add(&lasting("ls", "/w")).unwrap();
    assert_eq!(file.list().unwrap().len(), MAX_ENTRIES);
    assert_eq!((file.holds(&entries[0]), file.holds(&entries[1])), (Ok(false), Ok(true)));
}

#[test]
fn entries_of_many_at_once_are_all_there_in_the_end() {
    let (_dir, file) = place();
    std::thread::scope(|scope| {
        for at in 0..8 {
            let file = &file;
            scope.spawn(move || file.add(&lasting(&format!("echo {at}"), "/w")).unwrap());
        }
    });
    assert_eq!(file.list().unwrap().len(), 8);
    let left: Vec<_> = std::fs::read_dir(file.dir.as_ref().unwrap()).unwrap().collect();
    assert_eq!(left.len(), 2, "the file and its lock: {left:?}");
}

#[test]
fn without_a_state_directory_nothing_is_kept_and_nothing_allowed() {
    let file = Remembered::default();
    let what = lasting("ls", "/w");
    assert_eq!(file.holds(&what), Ok(false));
    assert!(file.add(&what).unwrap_err().contains("ROPEWAY_STATE_DIR"));
    assert_eq!(file.list(), Ok(Vec::new()));
}
