//! Numbers as people read them: times, counts, bytes, dollars.

use std::time::Duration;

use crate::moment::rfc3339;

/// A time in microseconds, with as many digits as say something.
pub fn time(us: u64) -> String {
    let rounded = |value: f64, unit: &str| {
        let digits = usize::from(value < 10.0) + usize::from(value < 1.0);
        format!("{value:.digits$} {unit}")
    };
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..999_500 => rounded(us as f64 / 1e3, "ms"),
        999_500..59_950_000 => format!("{:.1} s", us as f64 / 1e6),
        _ => {
            let seconds = (us + 500_000) / 1_000_000;
            let (minutes, seconds) = (seconds / 60, seconds % 60);
            if minutes < 60 {
                format!("{minutes} min {seconds:02} s")
            } else {
                format!("{} h {:02} min", minutes / 60, minutes % 60)
            }
        }
    }
}

/// A number with its thousands apart.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A number and its noun: `1 call`, `2 calls`.
pub fn many(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(number), if number == 1 { "" } else { "s" })
}

/// A large number in few characters, for axes: `12k`.
pub fn short(number: u64) -> String {
    match number {
        0..1_000 => number.to_string(),
        1_000..10_000 => format!("{:.1}k", number as f64 / 1e3).replace(".0k", "k"),
        10_000..999_500 => format!("{:.0}k", number as f64 / 1e3),
        _ => format!("{:.1}M", number as f64 / 1e6).replace(".0M", "M"),
    }
}

/// US dollars: small amounts keep two digits that say something.
pub fn dollars(usd: f64) -> String {
    match usd {
        usd if !usd.is_finite() => "unknown".to_owned(),
        usd if usd == 0.0 || usd >= 1.0 => format!("${usd:.2}"),
        usd if usd >= 0.001 => format!("${usd:.4}"),
        usd => format!("${usd:.6}"),
    }
}

/// Bytes.
pub fn bytes(bytes: u64) -> String {
    match bytes {
        0..1_000 => many(bytes, "byte"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

/// A share in percent.
pub fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "0 %".to_owned();
    }
    format!("{:.0} %", part as f64 * 100.0 / whole as f64)
}

/// Date and time of a moment in microseconds since 1970, in UTC: for a machine if `machine`, else for people.
pub fn moment(unix_us: u64, machine: bool) -> String {
    let written = rfc3339(Duration::from_micros(unix_us));
    if machine { written } else { written[.."YYYY-MM-DDThh:mm".len()].replace('T', " ") + " UTC" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_keep_the_digits_that_say_something() {
        let said = [0, 850, 1_000, 4_230, 12_400, 999_499, 999_600, 9_840_000, 59_960_000, 192_000_000, 7_380_000_000];
        assert_eq!(
            said.map(time),
            [
                "0 µs",
                "850 µs",
                "1.0 ms",
                "4.2 ms",
                "12 ms",
                "999 ms",
                "1.0 s",
                "9.8 s",
                "1 min 00 s",
                "3 min 12 s",
                "2 h 03 min"
            ]
        );
    }

    #[test]
    fn counts_money_and_bytes_are_short() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(
            [999, 1_000, 1_250, 48_600, 1_000_000, 1_250_000].map(short),
            ["999", "1k", "1.2k", "49k", "1M", "1.2M"]
        );
        assert_eq!([0.0, 0.000_12, 0.0123, 4.5].map(dollars), ["$0.00", "$0.000120", "$0.0123", "$4.50"]);
        assert_eq!(dollars(f64::NAN), "unknown");
        assert_eq!([1, 10, 2_340].map(bytes), ["1 byte", "10 bytes", "2.3 kB"]);
        assert_eq!(percent(1, 3), "33 %");
        assert_eq!(percent(1, 0), "0 %");
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        let at = |seconds: u64| moment(seconds * 1_000_000, true);
        assert_eq!(at(0), "1970-01-01T00:00:00Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(at(1_795_385_045), "2026-11-22T22:04:05Z");
        assert_eq!(moment(1_795_385_045_000_000, false), "2026-11-22 22:04 UTC");
        assert!(!moment(u64::MAX, true).is_empty());
    }
}
