//! Times and amounts for people.

use std::time::Duration;

use crate::moment::rfc3339;

/// `2026-11-22 22:05:07` of microseconds since 1970, in UTC.
pub(super) fn date(unix_us: u64) -> String {
    let written = rfc3339(Duration::from_micros(unix_us));
    written.trim_end_matches('Z').replace('T', " ")
}

/// A duration in microseconds, short.
pub(super) fn span(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..1_000_000 => format!("{:.1} ms", us as f64 / 1e3),
        1_000_000..120_000_000 => format!("{:.1} s", us as f64 / 1e6),
        _ => format!("{} min", us / 60_000_000),
    }
}

/// US dollars; small amounts keep their digits.
pub(super) fn dollars(cost: f64) -> String {
    if cost > 0.0 && cost < 0.01 { format!("${cost:.5}") } else { format!("${cost:.2}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_readable() {
        assert_eq!(date(0), "1970-01-01 00:00:00");
        assert_eq!(date(951_782_399_000_000), "2000-02-28 23:59:59");
        assert_eq!(date(951_868_799_000_000), "2000-02-29 23:59:59");
        assert_eq!(date(1_795_385_107_999_999), "2026-11-22 22:05:07");
        assert_eq!((span(7), span(1_500), span(2_340_000)), ("7 µs".into(), "1.5 ms".into(), "2.3 s".into()));
        assert_eq!(span(u64::MAX), "307445734561 min");
        assert_eq!((dollars(0.0), dollars(0.00012), dollars(1.5)), ("$0.00".into(), "$0.00012".into(), "$1.50".into()));
        assert_eq!(date(u64::MAX), "9999-12-31 23:59:59");
    }
}
