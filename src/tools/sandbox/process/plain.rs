//! Without a helper: the words of the launch stand before the command (`sandbox-exec` and its profile on macOS), and
//! its process group is what can be ended of it.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until, timeout};

use super::super::capture::Capture;
use super::super::changes;
use super::super::live::Live;
use super::{Cancel, Ended, LINGER, Launch, PATIENCE, PIECE, Status, due};

pub(super) async fn run(launch: Launch, limit: Duration, cancel: &Cancel, live: &mut Live<'_>) -> Ended {
    let begun = Instant::now();
    let mut output = Capture::default();
    let (mut launch, changes) = (launch, Vec::new());
    let changes = std::mem::replace(&mut launch.spec.changes, changes);
    let bodies = std::mem::take(&mut launch.bodies).concat();
    let made = spawn_blocking(move || changes::make(&changes, &mut &*bodies)).await;
    if let Err(error) = made.map_err(std::io::Error::other).and_then(|made| made) {
        let status = Status::failed("edits", error);
        return Ended { status, output, took: begun.elapsed(), landlock: false };
    }
    let (program, before) = &launch.helper;
    let words: Vec<&str> = before.iter().chain(&launch.spec.argv).map(String::as_str).collect();
    let mut command = match program.as_os_str().is_empty() {
        true => Command::new(words.first().copied().unwrap_or_default()),
        false => Command::new(program),
    };
    command
        .args(if program.as_os_str().is_empty() { words.get(1..).unwrap_or_default() } else { &words })
        .env_clear()
        .envs(launch.variables.iter().map(|(name, value)| (name, value)))
        .current_dir(&launch.spec.cwd)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    #[cfg(unix)]
    command.process_group(0);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            let status = Status::failed("start", error);
            return Ended { status, output, took: begun.elapsed(), landlock: false };
        }
    };
    let group = child.id();
    let (Some(mut out), Some(mut err)) = (child.stdout.take(), child.stderr.take()) else {
        let status = Status::failed("start", "no pipes");
        return Ended { status, output, took: begun.elapsed(), landlock: false };
    };
    let (mut piece, mut other) = (vec![0; PIECE], vec![0; PIECE]);
    let (mut out_open, mut err_open) = (true, true);
    let mut ending: Option<Status> = None;
    let mut until = begun + limit;
    let mut last = None;
    let mut over_at: Option<Instant> = None;
    while out_open || err_open || last.is_none() {
        tokio::select! {
            biased;
            status = child.wait(), if last.is_none() => {
                last = Some(status.map_or_else(|error| Status::failed("wait", error), ended));
                over_at = Some(Instant::now() + LINGER);
            }
            () = cancel.cancelled(), if ending.is_none() => {
                ending = Some(Status::Cancelled);
                until = Instant::now() + PATIENCE;
                signal(&mut child, group, false);
            }
            () = sleep_until(over_at.unwrap_or(until)) => {
                if last.is_some() {
                    break;
                }
                if ending.is_none() {
                    ending = Some(Status::TimedOut);
                    until = Instant::now() + PATIENCE;
                    signal(&mut child, group, false);
                } else {
                    signal(&mut child, group, true);
                    until = Instant::now() + PATIENCE;
                }
            }
            () = due(live) => live.flush(),
            read = out.read(&mut piece), if out_open => match read {
                Ok(n) if n > 0 => {
                    output.push(&piece[..n]);
                    live.push(&piece[..n]);
                }
                _ => out_open = false,
            },
            read = err.read(&mut other), if err_open => match read {
                Ok(n) if n > 0 => {
                    output.push(&other[..n]);
                    live.push(&other[..n]);
                }
                _ => err_open = false,
            },
        }
    }
    // What stayed behind in the group; a process that left it cannot be found here.
    signal(&mut child, group, true);
    let _ = timeout(LINGER, child.wait()).await;
    let status = ending.or(last).unwrap_or_else(|| Status::failed("wait", "no status"));
    Ended { status, output, took: begun.elapsed(), landlock: false }
}

#[cfg(unix)]
fn ended(status: std::process::ExitStatus) -> Status {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => Status::Exit(code),
        (None, signal) => Status::Signal(signal.unwrap_or_default()),
    }
}

#[cfg(not(unix))]
fn ended(status: std::process::ExitStatus) -> Status {
    Status::Exit(status.code().unwrap_or(1))
}

/// Asks the command and its group to end, or ends them.
#[cfg(unix)]
fn signal(_child: &mut Child, group: Option<u32>, kill: bool) {
    use rustix::process::{Pid, Signal, kill_process_group};
    let signal = if kill { Signal::KILL } else { Signal::TERM };
    if let Some(group) = group.and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)) {
        // It may have ended by itself.
        let _ = kill_process_group(group, signal);
    }
}

#[cfg(not(unix))]
fn signal(child: &mut Child, _group: Option<u32>, _kill: bool) {
    // It may have ended by itself.
    let _ = child.start_kill();
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::ffi::OsString;
    use std::path::PathBuf;

    use super::super::super::spec::{Change, Spec};
    use super::*;
    use crate::tools::output::OutputLimits;

    async fn sh(line: &str, limit: Duration, cancel: &Cancel) -> (Status, String) {
        let folder = tempfile::tempdir().unwrap();
        let change = Change::Write { path: folder.path().join("new/a"), mode: 0o644, len: 2 };
        let argv = ["/bin/sh", "-c", line].map(str::to_owned).to_vec();
        let spec = Spec { argv, cwd: folder.path().to_owned(), changes: vec![change], ..Spec::default() };
        let variables = vec![("PATH".into(), OsString::from("/usr/bin:/bin"))];
        let helper = (PathBuf::from("/usr/bin/env"), vec!["WORD=said".to_owned()]);
        let launch = Launch { helper, variables, spec, bodies: vec![b"a\n".to_vec()] };
        let tell = |_: &str| {};
        let ended = run(launch, limit, cancel, &mut Live::new(&tell)).await;
        (ended.status, ended.output.finish(OutputLimits::default()).text)
    }

    #[tokio::test]
    async fn a_command_behind_other_words_sees_its_edits_and_ends_by_itself() {
        let (status, text) = sh("cat new/a; echo $WORD >&2; exit 3", Duration::from_secs(20), &Cancel::new()).await;
        assert_eq!((status, text.len()), (Status::Exit(3), "a\nsaid\n".len()), "{text}");
    }

    #[tokio::test]
    async fn a_command_is_ended_at_its_limit_or_when_nobody_wants_it_and_holds_nobody_up() {
        let line = "trap '' TERM; echo up; sleep 1000 & while :; do sleep 1000; done";
        let (cancel, other) = (Cancel::new(), Cancel::new());
        let limited = sh(line, Duration::from_millis(100), &other);
        cancel.cancel();
        let cancelled = sh("sleep 1000", Duration::from_secs(1000), &cancel);
        let left = sh("sleep 1000 & echo done", Duration::from_secs(1000), &Cancel::new()).await;
        assert_eq!(left, (Status::Exit(0), "done\n".to_owned()));
        assert_eq!(limited.await.0, Status::TimedOut);
        assert_eq!(cancelled.await.0, Status::Cancelled);
    }
}
