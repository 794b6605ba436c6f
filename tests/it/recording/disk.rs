//! A disk that is full: the run ends as it would have, the user is told once, and the recording says what is missing.

use std::process::{Command, Output};

use serde_json::json;

use super::super::support::model::{Model, Turn};

/// `ropeway run` in namespaces of its own, where the state directory is a file system of this many KiB.
fn run_on(size: u32, background: bool, then: &str) -> (Output, usize) {
    let home = tempfile::tempdir().unwrap();
    let (work, state) = (home.path().join("work"), home.path().join("state"));
    std::fs::create_dir_all(&work).unwrap();
    std::fs::create_dir_all(&state).unwrap();
    let line = "a line of a file that is read and does not compress as long as nobody compresses it\n";
    for n in 0..4 {
        std::fs::write(work.join(format!("{n}.txt")), line.repeat(400)).unwrap();
    }
    let model = Model::start();
    let read = |n: usize| Turn::calls([("read_file", json!({"path": format!("{n}.txt")}))]);
    let write = Turn::calls([("create_file", json!({"path": "done.txt", "text": "done\n"}))]);
    model.script((0..4).map(read).chain([write, Turn::text("Done.")]));
    let url = model.openai_url();
    let config = format!(
        "model = \"test/m\"\n[providers.test]\nkind = \"openai\"\nbase_url = \"{url}\"\n[recording]\nflush_ms = 0\n"
    );
    std::fs::write(home.path().join("config.toml"), config).unwrap();
    let script = format!(
        "mount -t tmpfs -o size={size}k,mode=700 none \"$STATE\" || exit 99\n\
         \"$ROPEWAY\" run --apply -C \"$WORK\" 'read and write'\ncode=$?\n{then}\nexit $code"
    );
    let ran = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script])
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
        .env("HOME", home.path())
        .env("ROPEWAY", env!("CARGO_BIN_EXE_ropeway"))
        .env("STATE", &state)
        .env("WORK", &work)
        .env("ROPEWAY_STATE_DIR", &state)
        .env("ROPEWAY_CONFIG", home.path().join("config.toml"))
        .env("ROPEWAY_BACKGROUND_IO", background.to_string())
        .output()
        .unwrap();
    assert_eq!(std::fs::read_to_string(work.join("done.txt")).ok().as_deref(), Some("done\n"), "{ran:?}");
    (ran, model.requests().len())
}

#[test]
fn on_a_full_disk_the_run_finishes_and_the_user_is_told_once() {
    for background in [true, false] {
        let (ran, requests) = run_on(64, background, "cat \"$STATE\"/sessions/*/run-*.jsonl | wc -l >&2");
        let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        assert_eq!((ran.status.code(), requests), (Some(0), 6), "{err}");
        assert!(out.contains("Done."), "{out}");
        assert_eq!(err.matches("there is no room for recordings").count(), 1, "{err}");
        let lines: usize = err.lines().last().unwrap().trim().parse().unwrap();
        assert!(lines > 2, "what had room is there: {err}");
    }
}

#[test]
fn on_a_disk_with_room_nothing_is_said() {
    let (ran, _) = run_on(16 * 1024, true, "");
    assert_eq!((ran.status.code(), String::from_utf8_lossy(&ran.stderr).as_ref()), (Some(0), ""));
}
