//! Moments of the calendar as machines write them, in UTC: for names of files, days of accounts, and whoever reads them.

use std::time::{Duration, UNIX_EPOCH};

/// The last second of the year 9999: no year after it has four digits, and a record may say anything.
const LAST: Duration = Duration::from_secs(253_402_300_799);

/// `2026-11-22T22:05:07Z` of a time since 1970 (RFC 3339); what is later than the year 9999 is told as its last second.
pub fn rfc3339(unix: Duration) -> String {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + unix.min(LAST)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_the_calendar() {
        let at = |seconds: u64| rfc3339(Duration::from_secs(seconds));
        assert_eq!(at(0), "1970-01-01T00:00:00Z");
        assert_eq!(at(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(at(1_764_547_200), "2025-12-01T00:00:00Z");
        assert_eq!(at(4_102_444_800), "2100-01-01T00:00:00Z");
        assert_eq!(at(253_402_300_799), "9999-12-31T23:59:59Z");
        assert_eq!(rfc3339(Duration::MAX), "9999-12-31T23:59:59Z");
    }
}
