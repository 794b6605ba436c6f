//! Whether to try a failed request again, and when. Pure: the clock and the dice come in as arguments.

use std::time::{Duration, SystemTime};

use reqwest::header::HeaderMap;
use serde_json::Value;

use crate::llm::LlmErrorKind;
use crate::llm::failure::{Again, Failure};

/// A wait longer than this is put to the user, who may stop it.
pub const LONG_WAIT: Duration = Duration::from_secs(60);
/// A wait longer than this is not waited: the user hears about it instead.
pub const MAX_WAIT: Duration = Duration::from_secs(15 * 60);
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_BACKOFF: Duration = Duration::from_secs(8);

/// What the provider says about trying again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// When it wants to be asked again.
    pub wait: Option<Duration>,
    /// Whether it wants to be asked again at all; wins over the status.
    pub should_retry: Option<bool>,
}

impl Hints {
    /// Reads `retry-after-ms`, `retry-after` (seconds, also fractions, or a date), `x-should-retry`, and whether
    /// the quota of Google's error bodies is one of the day. A wait that a body asks for is in the failure.
    pub fn read(headers: &HeaderMap, body: &[u8], now: SystemTime) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
        let number = |text: &str, unit: f64| {
            let seconds = text.parse::<f64>().ok()? * unit;
            // A wait of nothing says nothing, and a wait of years fits no Duration.
            (seconds > 0.0).then(|| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
        };
        let date =
            |text: &str| httpdate::parse_http_date(text).ok()?.duration_since(now).ok().filter(|wait| !wait.is_zero());
        let should_retry = match text("x-should-retry") {
            Some("true") => Some(true),
            Some("false") => Some(false),
            _ => None,
        };
        let wait = text("retry-after-ms")
            .and_then(|text| number(text, 0.001))
            .or_else(|| text("retry-after").and_then(|text| number(text, 1.0).or_else(|| date(text))));
        Self { wait, should_retry: should_retry.or_else(|| day_is_spent(body).then_some(false)) }
    }
}

/// Whether `{error: {details: [{@type: …QuotaFailure, violations: [{quotaId: …PerDay…}]}]}}`, also as the one element of
/// an array. Such a body asks for a wait of seconds all the same, and it does not help to believe that.
fn day_is_spent(body: &[u8]) -> bool {
    // Most bodies say nothing of this, and need not be read a second time.
    if memchr::memmem::find(body, b"quotaId").is_none() {
        return false;
    }
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    let root = value.get(0).unwrap_or(&value);
    let details = root.pointer("/error/details").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let violations = details.iter().filter_map(|detail| detail.get("violations")?.as_array()).flatten();
    violations
        .filter_map(|violation| violation.get("quotaId")?.as_str())
        .any(|quota| quota.to_ascii_lowercase().contains("perday"))
}

/// What to do about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Try again after this wait.
    Retry {
        /// How long; zero means at once.
        wait: Duration,
    },
    /// Tell the user.
    GiveUp,
    /// Tell the user, and that the provider asks to wait this long.
    TooLong {
        /// How long.
        wait: Duration,
    },
}

/// Decides after attempt number `attempt` (from 1). `sample` is a random number in [0, 1).
pub fn decide(failure: &Failure, hints: Hints, attempt: u32, max_retries: u32, sample: f64) -> Decision {
    let worth = hints.should_retry.unwrap_or(failure.again != Again::Never);
    // What does not fit will not fit the next time either, whatever a header says.
    if !worth || failure.error.kind == LlmErrorKind::ContextOverflow {
        return Decision::GiveUp;
    }
    let asked = hints.wait.or(failure.retry_after);
    if let Some(wait) = asked.filter(|wait| *wait > MAX_WAIT) {
        return Decision::TooLong { wait };
    }
    if failure.again == Again::Now && attempt == 1 {
        return Decision::Retry { wait: Duration::ZERO };
    }
    if attempt > max_retries {
        return Decision::GiveUp;
    }
    Decision::Retry { wait: asked.unwrap_or_else(|| backoff(attempt, sample)) }
}

/// Any time up to the doubling limit: clients that failed together come back apart.
fn backoff(attempt: u32, sample: f64) -> Duration {
    let full = FIRST_WAIT.saturating_mul(1 << attempt.saturating_sub(1).min(10)).min(LONGEST_BACKOFF);
    full.mul_f64(1.0 - sample.clamp(0.0, 0.999))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::failure::classify;

    const NOW: Duration = Duration::from_secs(1_790_000_000);

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + NOW
    }

    fn hints(pairs: &[(&'static str, &str)]) -> Hints {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, value.parse().unwrap());
        }
        Hints::read(&headers, b"", now())
    }

    fn status(status: u16) -> Failure {
        classify(Some(status), &HeaderMap::new(), b"")
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn the_wait_is_read_in_every_form() {
        let date = |offset: i64| {
            httpdate::fmt_http_date(
                SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000u64.saturating_add_signed(offset)),
            )
        };
        for (pairs, wait) in [
            (vec![("retry-after-ms", "1500".to_owned())], Some(ms(1500))),
            (vec![("retry-after-ms", "1500".to_owned()), ("retry-after", "9".to_owned())], Some(ms(1500))),
            (vec![("retry-after-ms", "soon".to_owned()), ("retry-after", "9".to_owned())], Some(ms(9000))),
            (vec![("retry-after", "2".to_owned())], Some(ms(2000))),
            (vec![("retry-after", " 0.25 ".to_owned())], Some(ms(250))),
            (vec![("retry-after", date(30))], Some(ms(30_000))),
            (vec![("retry-after", date(-30))], None),
            (vec![("retry-after", "0".to_owned())], None),
            (vec![("retry-after", "-5".to_owned())], None),
            (vec![("retry-after", "NaN".to_owned())], None),
            (vec![("retry-after", "inf".to_owned())], Some(Duration::MAX)),
            (vec![("retry-after", "1e300".to_owned())], Some(Duration::MAX)),
            (vec![("retry-after", "soon".to_owned())], None),
            (vec![], None),
        ] {
            let pairs: Vec<(&'static str, &str)> = pairs.iter().map(|(name, value)| (*name, value.as_str())).collect();
            assert_eq!(hints(&pairs).wait, wait, "{pairs:?}");
        }
    }

    #[test]
    fn the_table_of_statuses() {
        for (code, retried) in [
            (400, false),
            (401, false),
            (402, false),
            (403, false),
            (404, false),
            (408, true),
            (409, true),
            (413, false),
            (422, false),
            (425, true),
            (429, true),
            (500, true),
            (502, true),
            (503, true),
            (504, true),
            (529, true),
        ] {
            let decision = decide(&status(code), Hints::default(), 1, 4, 0.0);
            assert_eq!(decision != Decision::GiveUp, retried, "{code}");
        }
    }

    #[test]
    fn the_providers_word_wins_over_the_status() {
        assert_eq!(decide(&status(500), hints(&[("x-should-retry", "false")]), 1, 4, 0.0), Decision::GiveUp);
        assert_eq!(
            decide(&status(400), hints(&[("x-should-retry", "true")]), 1, 4, 0.0),
            Decision::Retry { wait: ms(500) }
        );
        assert_eq!(decide(&status(429), hints(&[("retry-after", "7")]), 1, 4, 0.9), Decision::Retry { wait: ms(7000) });
        assert_eq!(decide(&status(413), hints(&[("x-should-retry", "true")]), 1, 4, 0.0), Decision::GiveUp);
    }

    #[test]
    fn a_long_wait_is_told_and_not_waited() {
        assert_eq!(
            decide(&status(429), hints(&[("retry-after", "900")]), 1, 4, 0.0),
            Decision::Retry { wait: MAX_WAIT }
        );
        assert_eq!(
            decide(&status(429), hints(&[("retry-after", "901")]), 1, 4, 0.0),
            Decision::TooLong { wait: ms(901_000) }
        );
        assert_eq!(decide(&status(401), hints(&[("retry-after", "61")]), 1, 4, 0.0), Decision::GiveUp);
    }

    #[test]
    fn the_backoff_is_any_time_up_to_a_limit_that_doubles_to_eight_seconds() {
        let wait = |attempt, sample| match decide(&status(503), Hints::default(), attempt, 100, sample) {
            Decision::Retry { wait } => wait,
            other => panic!("{other:?}"),
        };
        let full: Vec<u128> = (1..8).map(|attempt| wait(attempt, 0.0).as_millis()).collect();
        assert_eq!(full, [500, 1000, 2000, 4000, 8000, 8000, 8000]);
        assert_eq!(wait(1, 0.5), ms(250));
        assert!((ms(1)..ms(10)).contains(&wait(90, 1.0)), "never nothing: that would be a retry at once");
    }

    #[test]
    fn attempts_are_counted_and_a_dead_connection_is_tried_again_at_once_but_once() {
        assert_eq!(decide(&status(503), Hints::default(), 4, 4, 0.0), Decision::Retry { wait: ms(4000) });
        assert_eq!(decide(&status(503), Hints::default(), 5, 4, 0.0), Decision::GiveUp);
        assert_eq!(decide(&status(503), Hints::default(), 1, 0, 0.0), Decision::GiveUp);
        let stale = Failure { again: Again::Now, ..status(503) };
        assert_eq!(decide(&stale, Hints::default(), 1, 4, 0.0), Decision::Retry { wait: Duration::ZERO });
        assert_eq!(decide(&stale, Hints::default(), 2, 4, 0.0), Decision::Retry { wait: ms(1000) });
        // Nobody has seen the request, so this is not one of the retries that can be switched off.
        assert_eq!(decide(&stale, Hints::default(), 1, 0, 0.0), Decision::Retry { wait: Duration::ZERO });
    }

    #[test]
    fn the_wait_of_a_body_counts_where_no_header_says_one_and_a_spent_day_is_not_waited_for() {
        let body = |quota: &str| {
            format!(
                r#"[{{"error":{{"code":429,"status":"RESOURCE_EXHAUSTED","details":[
                    {{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{{"quotaId":"{quota}"}}]}},
                    {{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"38s"}}]}}}}]"#
            )
        };
        let after = |body: &str, headers: &HeaderMap| {
            let failure = classify(Some(429), headers, body.as_bytes());
            decide(&failure, Hints::read(headers, body.as_bytes(), now()), 1, 4, 0.0)
        };
        let mut headers = HeaderMap::new();
        assert_eq!(after(&body("PerMinutePerProject"), &headers), Decision::Retry { wait: ms(38_000) });
        assert_eq!(after(&body("GenerateRequestsPerDayPerProject"), &headers), Decision::GiveUp);
        headers.insert("retry-after", "2".parse().unwrap());
        assert_eq!(after(&body("PerMinutePerProject"), &headers), Decision::Retry { wait: ms(2000) });
        for hostile in ["quotaId", "[[[quotaId", r#"{"error":"quotaId"}"#, r#"["quotaId"]"#] {
            assert_eq!(Hints::read(&HeaderMap::new(), hostile.as_bytes(), now()), Hints::default(), "{hostile}");
        }
    }
}
