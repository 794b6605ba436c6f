//! Looks after the process that started us, as the protocol asks: a server whose editor was killed must not stay.
//!
//! Normally the end of the input tells that. It does not while another process holds the pipe open.

/// The process that started us.
#[derive(Debug)]
pub struct Parent {
    id: i32,
    /// When it started: a number used again is not the same process.
    #[cfg(target_os = "linux")]
    started: Option<u64>,
}

impl Parent {
    /// The process `id`, if it is there at all: a client in another container names one that we cannot see.
    pub fn of(id: i32) -> Option<Self> {
        let parent = Self {
            id,
            #[cfg(target_os = "linux")]
            started: started(id),
        };
        let seen = !parent.is_gone();
        if !seen {
            tracing::debug!(id, "the client's process cannot be seen, so it is not watched");
        }
        seen.then_some(parent)
    }

    /// Whether it has ended.
    pub fn is_gone(&self) -> bool {
        #[cfg(target_os = "linux")]
        if self.started.is_some() {
            return started(self.id) != self.started;
        }
        gone(self.id)
    }
}

/// When a process started, in clock ticks since boot; nothing for one that has ended, waited for or not.
#[cfg(target_os = "linux")]
fn started(id: i32) -> Option<u64> {
    #[expect(clippy::disallowed_methods, reason = "/proc is no file of the user's")]
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name of the program, in parentheses, may hold anything.
    let mut fields = stat[stat.rfind(')')? + 1..].split_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X" | "x") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(unix)]
fn gone(id: i32) -> bool {
    let Some(id) = rustix::process::Pid::from_raw(id) else { return false };
    rustix::process::test_kill_process(id) == Err(rustix::io::Errno::SRCH)
}

#[cfg(not(unix))]
fn gone(_id: i32) -> bool {
    false
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_gone_when_it_has_ended_even_if_nobody_waited_for_it() {
        let mut child = std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let parent = Parent::of(child.id() as i32).unwrap();
        assert!(!parent.is_gone());
        child.kill().unwrap();
        while !parent.is_gone() {
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert!(parent.is_gone());
        assert!(Parent::of(i32::MAX).is_none());
    }
}
