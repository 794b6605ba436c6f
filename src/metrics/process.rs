//! What the operating system says of this process.

/// Bytes of memory in use (resident); `None` where the system has no simple way to say. Reads a file of the kernel's:
/// some microseconds.
#[cfg(target_os = "linux")]
pub fn rss_bytes() -> Option<u64> {
    #[expect(clippy::disallowed_methods, reason = "a file of the kernel's about ourselves, not of a workspace")]
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// Bytes of memory in use (resident); `None` where the system has no simple way to say.
#[cfg(not(target_os = "linux"))]
pub fn rss_bytes() -> Option<u64> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #[test]
    fn a_process_uses_some_memory() {
        assert!(super::rss_bytes().is_some_and(|bytes| bytes > 100_000));
    }
}
