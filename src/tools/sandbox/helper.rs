//! `ropeway __sandbox`: the program that keeps a command in, on Linux.
//!
//! The server starts its own program again, because nothing of what follows may be done between fork and exec or in a
//! process with threads. Level `full` takes two processes. The first (`outer`) leaves the user's namespaces behind and
//! starts the second; the second (`init`) is process 1 of the new world: it sets up the view of the machine, gives up
//! all rights, starts the command, and takes every process of it along when it ends. Level `partial` (`guard`), where
//! the system refuses namespaces, has rules on files and system calls only, and gathers its orphans to end them.
//!
//! Standard input is a socket to the server: the [spec](super::spec) comes in, what happened goes out, and its end
//! means that the server is gone or wants this gone.

mod init;
mod landlock;
mod mounts;
mod namespaces;
mod seccomp;

use std::fmt;
use std::io;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use super::spec::{self, Said};

/// The first argument that makes the program a helper.
pub const NAME: &str = "__sandbox";

/// What did not work.
#[derive(Debug)]
pub(super) struct Failed {
    step: &'static str,
    error: String,
}

impl Failed {
    fn new(step: &'static str, error: impl fmt::Display) -> Self {
        Self { step, error: error.to_string() }
    }
}

/// Names the step that an error belongs to.
trait Step<T> {
    fn step(self, step: &'static str) -> Result<T, Failed>;
}

impl<T, E: fmt::Display> Step<T> for Result<T, E> {
    fn step(self, step: &'static str) -> Result<T, Failed> {
        self.map_err(|error| Failed::new(step, error))
    }
}

/// Runs the helper; `mode` is its second argument.
pub fn main(mode: &str) -> ExitCode {
    close_inherited();
    let Ok(mut socket) = leash() else { return ExitCode::FAILURE };
    let done = match mode {
        "outer" => namespaces::leave(),
        "init" => init::full(&mut socket),
        "guard" => init::partial(&mut socket, true),
        "watch" => init::partial(&mut socket, false),
        _ => Err(Failed::new("helper", "no such mode")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed { step, error }) => {
            // If nobody listens, nobody waits for the command either.
            let _ = spec::say(&mut socket, &Said::Failed { step: step.to_owned(), error });
            ExitCode::FAILURE
        }
    }
}

/// The socket that standard input is.
fn leash() -> io::Result<UnixStream> {
    Ok(UnixStream::from(rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?))
}

/// Descriptors that an editor left open in the server are none of the command's business.
fn close_inherited() {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else { return };
    let open: Vec<i32> =
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).filter(|fd| *fd > 2).collect();
    for fd in open {
        // Nothing of ours is open yet but the listing itself, and that is closed by now.
        let _ = nix::unistd::close(fd);
    }
}
