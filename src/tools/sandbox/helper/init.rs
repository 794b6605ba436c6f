//! The process that starts the command, waits for it and ends what is left of it.
//!
//! With namespaces it is process 1: when it ends, the kernel ends all others, also those that made themselves
//! independent. Without, it adopts orphans and ends them one by one.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, PidfdFlags, Resource, Rlimit, Signal, WaitOptions, kill_process, kill_process_group, pidfd_open,
    set_child_subreaper, setrlimit, setsid, wait,
};
use rustix::thread::{
    CapabilitiesSecureBits, CapabilitySet, CapabilitySets, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_capabilities_secure_bits, set_no_new_privs,
};

use super::super::changes;
use super::super::spec::{self, Direct, Said, Spec, TERMINATE};
use super::{Failed, Step, landlock, mounts, namespaces, seccomp};

/// How often ended orphans are put away while the command runs.
const REAP: Timespec = Timespec { tv_sec: 0, tv_nsec: 500_000_000 };
/// Most processes of a command.
const MAX_PROCESSES: u64 = 4096;
/// Largest file that a command may write, in bytes.
const MAX_FILE: u64 = 16 << 30;
/// How often the rest of the processes is looked for at the end.
const ROUNDS: usize = 1000;

/// As process 1 of new namespaces.
pub(super) fn full(socket: &mut UnixStream) -> Result<(), Failed> {
    namespaces::die_with_parent()?;
    let spec = spec::read(socket).step("message")?;
    mounts::set_up(&spec)?;
    give_up_rights().step("capabilities")?;
    let landlock = restrict(&spec, true, true)?;
    limit(Resource::Nproc, MAX_PROCESSES);
    carry_out(socket, &spec, landlock, &World::Own)
}

/// In the user's own namespaces; without `rules` nothing is refused at all.
pub(super) fn partial(socket: &mut UnixStream, rules: bool) -> Result<(), Failed> {
    // Fails where it is the leader of a session already, which is as good.
    let _ = setsid();
    set_child_subreaper(Some(rustix::process::getpid())).step("orphans")?;
    let spec = spec::read(socket).step("message")?;
    let landlock = rules && restrict(&spec, false, false)?;
    carry_out(socket, &spec, landlock, &World::Shared)
}

fn restrict(spec: &Spec, view: bool, connect: bool) -> Result<bool, Failed> {
    set_no_new_privs(true).step("no new rights")?;
    let landlock = landlock::restrict(spec, view)?;
    limit(Resource::Core, 0);
    limit(Resource::Fsize, MAX_FILE);
    seccomp::restrict(connect)?;
    Ok(landlock)
}

/// A limit that cannot be set is one that is lower already.
fn limit(resource: Resource, most: u64) {
    let _ = setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) });
}

/// Gives up every right over the new namespaces, for this process and all it starts, whatever user it is.
fn give_up_rights() -> rustix::io::Result<()> {
    set_capabilities_secure_bits(
        CapabilitiesSecureBits::NO_ROOT
            | CapabilitiesSecureBits::NO_ROOT_LOCKED
            | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE
            | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE_LOCKED,
    )?;
    for bit in 0..u64::BITS {
        // The kernel knows about forty and refuses the rest.
        if remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << bit)).is_err() {
            break;
        }
    }
    clear_ambient_capability_set()?;
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })
}

/// Whose processes there are to end.
enum World {
    /// All there are.
    Own,
    /// The children of this process.
    Shared,
}

impl World {
    /// Sends a signal to all processes of the command.
    fn signal(&self, signal: Signal) {
        match self {
            // The group of process 1 means everybody but the sender.
            Self::Own => {
                let _ = kill_process_group(Pid::INIT, signal);
            }
            Self::Shared => {
                for pid in descendants() {
                    // It may have ended meanwhile.
                    let _ = kill_process(pid, signal);
                }
            }
        }
    }

    /// Ends what is left; returns when nothing is.
    fn end(&self) {
        if let Self::Own = self {
            // The kernel does, when this process ends.
            return;
        }
        for _ in 0..ROUNDS {
            self.signal(Signal::KILL);
            loop {
                match wait(WaitOptions::NOHANG) {
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(_no_children) => return,
                }
            }
            let pause = Timespec { tv_sec: 0, tv_nsec: 1_000_000 };
            let _ = poll(&mut [], Some(&pause));
        }
    }
}

/// All processes below this one: orphans come back to it, so none is out of sight.
fn descendants() -> Vec<Pid> {
    let mut found = Vec::new();
    let mut open = vec![rustix::process::getpid()];
    while let Some(pid) = open.pop() {
        let path = format!("/proc/{0}/task/{0}/children", pid.as_raw_nonzero());
        #[expect(clippy::disallowed_methods, reason = "a file of the kernel about our own processes, no workspace")]
        let children = std::fs::read_to_string(path).unwrap_or_default();
        let children = children.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?));
        for child in children {
            found.push(child);
            open.push(child);
        }
    }
    found
}

fn carry_out(socket: &mut UnixStream, spec: &Spec, landlock: bool, world: &World) -> Result<(), Failed> {
    changes::make(&spec.changes, socket).step("edits")?;
    // If nobody listens any more, the next look at the socket says so.
    let _ = spec::say(socket, &Said::Ready { landlock });
    let Some((program, arguments)) = spec.argv.split_first() else { return Ok(()) };
    let start = |mut command: Command| {
        command.current_dir(&spec.cwd).stdin(Stdio::null());
        if let World::Own = world {
            // Keeps signals that a program sends to its own group away from process 1.
            command.process_group(0);
        }
        command.spawn()
    };
    let shell = || {
        let mut command = Command::new(program);
        command.args(arguments);
        command
    };
    let child = match spec.direct.as_ref().map(|direct| start(by_itself(direct, &spec.cwd))) {
        Some(Ok(child)) => child,
        // What is wrong with it, the shell says best.
        Some(Err(_)) | None => start(shell()).step("start")?,
    };
    let said = watch(socket, &child, world).step("wait")?;
    world.end();
    if let Some(said) = said {
        let _ = spec::say(socket, &said);
    }
    Ok(())
}

/// A program without a shell, with the variables that bash would have given it.
fn by_itself(direct: &Direct, cwd: &Path) -> Command {
    let mut command = Command::new(&direct.program);
    command.args(direct.words.iter().skip(1));
    if let Some(name) = direct.words.first() {
        command.arg0(name);
    }
    command.env("PWD", cwd.canonicalize().as_deref().unwrap_or(cwd)).env("SHLVL", "0").env("_", &direct.program);
    command
}

/// Waits for the command, or for the word that it is not wanted any more.
fn watch(socket: &mut UnixStream, child: &std::process::Child, world: &World) -> io::Result<Option<Said>> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidData)?;
    let ended = pidfd_open(pid, PidfdFlags::empty())?;
    loop {
        let mut fds = [PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::IN), PollFd::new(&ended, PollFlags::IN)];
        match poll(&mut fds, Some(&REAP)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let called = !fds[0].revents().is_empty();
        while let Ok(Some((gone, status))) = wait(WaitOptions::NOHANG) {
            if gone == pid {
                return Ok(match (status.exit_status(), status.terminating_signal()) {
                    (Some(code), _) => Some(Said::Exit(code)),
                    (_, Some(signal)) => Some(Said::Signal(signal)),
                    _ => None,
                });
            }
        }
        if called {
            let mut word = [0; 1];
            match socket.read(&mut word) {
                Ok(1) if word[0] == TERMINATE => world.signal(Signal::TERM),
                // The other end is closed: whoever wanted the command is gone or has had enough of it.
                Ok(_) | Err(_) => return Ok(None),
            }
        }
    }
}
