//! With the helper at the other end of a socket: it does what must be done near the command; here is what takes time,
//! reading, waiting, and the three steps by which a command is made to end.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdStream;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::pipe::Receiver;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep_until, timeout};

use super::super::capture::Capture;
use super::super::live::Live;
use super::super::spec::{self, Said, TERMINATE};
use super::{Cancel, Ended, LINGER, Launch, PATIENCE, PIECE, Status, due};

/// How long the helper may take to end when it has been let go.
const LEAVE: Duration = Duration::from_millis(400);
/// Longest word of the helper that is listened to, in bytes.
const MAX_SAID: usize = 16 << 10;

pub(super) async fn run(launch: Launch, limit: Duration, cancel: &Cancel, live: &mut Live<'_>) -> Ended {
    let begun = Instant::now();
    let mut output = Capture::default();
    let (mut child, socket, mut pipe) = match start(&launch) {
        Ok(started) => started,
        Err(error) => {
            let status = Status::failed("helper", error);
            return Ended { status, output, took: begun.elapsed(), landlock: false };
        }
    };
    let (mut from, mut to) = socket.into_split();
    let tell = async {
        to.write_all(&spec::head(&launch.spec)?).await?;
        for body in &launch.bodies {
            to.write_all(body).await?;
        }
        Ok::<_, io::Error>(to)
    };
    let mut tell = Box::pin(tell);
    // Held open to the end: closing it is the word to give up.
    let mut leash = None;

    let mut said = Vec::new();
    let mut ending: Option<Status> = None;
    let mut asked = false;
    let mut until = begun + limit;
    let mut piece = vec![0; PIECE];
    let (mut deaf, mut mute, mut over) = (false, false, false);
    loop {
        tokio::select! {
            biased;
            _ = child.wait() => {
                over = true;
                break;
            }
            () = cancel.cancelled(), if ending.is_none() => ending = Some(Status::Cancelled),
            () = sleep_until(until) => {
                if asked {
                    break;
                }
                ending = Some(Status::TimedOut);
            }
            // If it does not listen it is about to say why, and to end.
            told_all = &mut tell, if leash.is_none() => leash = Some(told_all.ok()),
            () = due(live) => live.flush(),
            read = from.read_buf(&mut said), if !deaf => {
                deaf = !read.is_ok_and(|n| n > 0) || said.len() > MAX_SAID;
            }
            read = pipe.read(&mut piece), if !mute => match read {
                Ok(n) if n > 0 => {
                    output.push(&piece[..n]);
                    live.push(&piece[..n]);
                }
                _ => mute = true,
            },
        }
        if ending.is_some() && !asked {
            asked = true;
            until = Instant::now() + PATIENCE;
            let word = match &mut leash {
                Some(Some(leash)) => leash.write_all(&[TERMINATE]).await,
                // The command has not begun.
                _ => break,
            };
            if word.is_err() {
                break;
            }
        }
    }
    drop((tell, leash));
    let took = begun.elapsed();
    if !over && timeout(LEAVE, child.wait()).await.is_err() {
        // With namespaces of its own this ends all of the command's processes, too.
        let _ = child.kill().await;
    }
    let rest = async {
        while !deaf && said.len() <= MAX_SAID && from.read_buf(&mut said).await.is_ok_and(|n| n > 0) {}
        while let Ok(n) = pipe.read(&mut piece).await {
            if n == 0 {
                break;
            }
            output.push(&piece[..n]);
            live.push(&piece[..n]);
        }
    };
    // A process that outlived the command may hold the pipe.
    let _ = timeout(LINGER, rest).await;
    let (last, landlock) = understand(&said);
    let status = ending.or(last).unwrap_or_else(|| Status::failed("helper", "it ended without a word"));
    Ended { status, output, took, landlock }
}

fn start(launch: &Launch) -> io::Result<(Child, UnixStream, Receiver)> {
    let (ours, theirs) = StdStream::pair()?;
    ours.set_nonblocking(true)?;
    let (reads, writes) = io::pipe()?;
    let (program, arguments) = &launch.helper;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .envs(launch.variables.iter().map(|(name, value)| (name, value)))
        .stdin(OwnedFd::from(theirs))
        .stdout(Stdio::from(writes.try_clone()?))
        .stderr(Stdio::from(writes));
    let child = command.spawn()?;
    Ok((child, UnixStream::from_std(ours)?, Receiver::from_owned_fd(OwnedFd::from(reads))?))
}

/// The last word of the helper, and whether rules on files were in force.
fn understand(said: &[u8]) -> (Option<Status>, bool) {
    let (mut last, mut rules) = (None, false);
    for line in said.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        match serde_json::from_slice(line) {
            Ok(Said::Ready { landlock }) => rules = landlock,
            // The first reason is the one: the process around the failed one only says that it failed.
            Ok(_) if matches!(last, Some(Status::Failed { .. })) => {}
            Ok(Said::Exit(code)) => last = Some(Status::Exit(code)),
            Ok(Said::Signal(signal)) => last = Some(Status::Signal(signal)),
            Ok(Said::Failed { step, error }) => last = Some(Status::Failed { step, error }),
            Err(_) => {}
        }
    }
    (last, rules)
}
