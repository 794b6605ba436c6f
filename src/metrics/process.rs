//! What the operating system says of this process.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Bytes of memory in use (resident); `None` where the system has no simple way to say. Reads a file of the kernel's:
/// some microseconds.
#[cfg(target_os = "linux")]
pub fn rss_bytes() -> Option<u64> {
    #[expect(clippy::disallowed_methods, reason = "a file of the kernel's about ourselves, not of a workspace")]
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    let resident: u64 = pages.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(resident * rustix::param::page_size() as u64)
}

/// Bytes of memory in use (resident); `None` where the system has no simple way to say.
#[cfg(not(target_os = "linux"))]
pub fn rss_bytes() -> Option<u64> {
    None
}

/// Time that all cores together have spent on this process; `None` where the system has no simple way to say.
pub fn cpu_time() -> Option<Duration> {
    #[cfg(unix)]
    {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        Some(Duration::new(u64::try_from(time.tv_sec).ok()?, u32::try_from(time.tv_nsec).ok()?))
    }
    #[cfg(not(unix))]
    {
        None
    }
}

/// A look nearer to the one before is answered with the share of that one.
const APART: Duration = Duration::from_secs(1);

/// How busy the process was of late.
#[derive(Debug, Default)]
pub(super) struct Share(Mutex<Option<Look>>);

#[derive(Clone, Copy, Debug)]
struct Look {
    at: Instant,
    cpu: Duration,
    share: Option<f64>,
}

impl Share {
    /// The share of one core since the look before, which must be a second ago; nothing at the first look.
    pub(super) fn since_last(&self, now: Instant, cpu: Duration) -> Option<f64> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(before) = *last else {
            *last = Some(Look { at: now, cpu, share: None });
            return None;
        };
        let apart = now.saturating_duration_since(before.at);
        if apart < APART {
            return before.share;
        }
        let share = Some(cpu.saturating_sub(before.cpu).as_secs_f64() / apart.as_secs_f64());
        *last = Some(Look { at: now, cpu, share });
        share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_uses_some_memory_and_time() {
        assert!(rss_bytes().is_some_and(|bytes| (100_000..1 << 40).contains(&bytes)));
        assert!(cpu_time().is_some_and(|time| !time.is_zero()));
    }

    #[test]
    fn the_share_is_that_of_the_time_between_two_looks() {
        let (share, start) = (Share::default(), Instant::now());
        let look = |ms, cpu| share.since_last(start + Duration::from_millis(ms), Duration::from_millis(cpu));
        assert_eq!(look(0, 500), None);
        assert_eq!(look(900, 900), None);
        assert_eq!(look(2000, 1500), Some(0.5));
        assert_eq!(look(2500, 2000), Some(0.5), "too near to say anything");
        assert_eq!(look(4000, 1500), Some(0.0));
    }
}
