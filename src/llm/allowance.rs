//! What a provider says it still allows: requests and tokens, read from the headers of its answers.
//!
//! Nothing here is trusted further than a wait of a minute: who sends nonsense gets his requests all the same.

use std::time::{Duration, SystemTime};

use reqwest::header::HeaderMap;
use tokio::time::Instant;

/// The longest that a request is kept back because of what a header says; the provider's own refusal says it better.
pub(crate) const LONGEST_HOLD: Duration = Duration::from_secs(60);

/// One thing that is rationed. It fills up evenly until the reset.
#[derive(Clone, Copy, Debug)]
struct Gauge {
    limit: Option<f64>,
    left: f64,
    at: Instant,
    full: Instant,
}

impl Gauge {
    /// When there is enough for `need`.
    fn enough_at(&self, need: f64) -> Instant {
        let Some(limit) = self.limit.filter(|limit| *limit > self.left) else {
            return if self.left >= need { self.at } else { self.full };
        };
        // What is larger than the whole ration goes when the ration is full.
        let missing = need.min(limit) - self.left;
        if missing <= 0.0 {
            return self.at;
        }
        self.at + (self.full - self.at).mul_f64((missing / (limit - self.left)).clamp(0.0, 1.0))
    }

    /// Counts a request that goes now, until the provider counts it itself.
    fn take(&mut self, need: f64, now: Instant) {
        if now >= self.full {
            return;
        }
        let Some(limit) = self.limit.filter(|limit| *limit > self.left) else {
            self.left -= need;
            return;
        };
        let a_second = (limit - self.left) / (self.full - self.at).as_secs_f64().max(1e-3);
        self.left += a_second * now.saturating_duration_since(self.at).as_secs_f64();
        self.left -= need.min(limit);
        self.at = now;
        self.full = now
            + Duration::try_from_secs_f64((limit - self.left) / a_second).unwrap_or(LONGEST_HOLD).min(LONGEST_HOLD * 2);
    }
}

/// What is left for one model.
#[derive(Clone, Debug, Default)]
pub(crate) struct Allowance {
    requests: Option<Gauge>,
    /// OpenAI counts all tokens in one; Anthropic also counts them apart.
    tokens: Vec<Gauge>,
    held: Option<Instant>,
}

/// The names of the headers: requests, then tokens.
const FAMILIES: [(&str, &[&str]); 4] = [
    ("x-ratelimit-{}-requests", &["requests"]),
    ("x-ratelimit-{}-tokens", &["tokens"]),
    ("anthropic-ratelimit-requests-{}", &["requests"]),
    ("anthropic-ratelimit-{kind}-{}", &["tokens", "input-tokens"]),
];

impl Allowance {
    /// Whether the headers of an answer say anything.
    pub(crate) fn is_told(headers: &HeaderMap) -> bool {
        headers.keys().any(|name| name.as_str().contains("ratelimit-"))
    }

    /// Takes over what the headers of an answer say. Without such headers nothing changes.
    pub(crate) fn observe(&mut self, headers: &HeaderMap, now: Instant, wall: SystemTime) {
        let mut tokens = Vec::new();
        for (pattern, kinds) in FAMILIES {
            for kind in kinds {
                let read = |what: &str| {
                    let name = pattern.replace("{kind}", kind).replace("{}", what);
                    headers.get(name)?.to_str().ok().map(str::trim)
                };
                let number = |what: &str| read(what)?.parse::<f64>().ok().filter(|number| (0.0..1e15).contains(number));
                let Some(left) = number("remaining") else { continue };
                let reset = read("reset").and_then(|text| until(text, wall)).unwrap_or(LONGEST_HOLD);
                let limit = number("limit").filter(|limit| *limit > 0.0);
                let gauge = Gauge { limit, left, at: now, full: now + reset.min(LONGEST_HOLD) };
                if *kind == "requests" {
                    self.requests = Some(gauge);
                } else {
                    tokens.push(gauge);
                }
            }
        }
        if !tokens.is_empty() {
            self.tokens = tokens;
        }
    }

    /// The provider wants nobody to ask before this has passed.
    pub(crate) fn hold(&mut self, wait: Duration, now: Instant) {
        let until = now + wait.min(LONGEST_HOLD);
        self.held = Some(self.held.map_or(until, |held| held.max(until)));
    }

    /// When a request of about so many tokens may go; a moment that has passed means now.
    pub(crate) fn ready_at(&self, tokens: u64, now: Instant) -> Instant {
        let need = tokens as f64;
        let gauges = self.tokens.iter().map(|gauge| gauge.enough_at(need));
        gauges.chain(self.requests.map(|gauge| gauge.enough_at(1.0))).chain(self.held).max().unwrap_or(now)
    }

    /// Counts a request that goes now.
    pub(crate) fn take(&mut self, tokens: u64, now: Instant) {
        if let Some(gauge) = &mut self.requests {
            gauge.take(1.0, now);
        }
        for gauge in &mut self.tokens {
            gauge.take(tokens as f64, now);
        }
    }
}

/// The time until a reset: `6ms`, `1m30s`, `12`, or a moment like `2026-11-22T18:00:00Z`.
fn until(text: &str, wall: SystemTime) -> Option<Duration> {
    if text.contains('T') {
        return humantime::parse_rfc3339(text).ok()?.duration_since(wall).ok();
    }
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let mut total = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|ch: char| !ch.is_ascii_digit() && ch != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let end = rest.find(|ch: char| ch.is_ascii_digit()).unwrap_or(rest.len());
        total += number
            * match &rest[..end] {
                "ms" => 0.001,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                "d" => 86_400.0,
                _ => return None,
            };
        rest = &rest[end..];
    }
    Duration::try_from_secs_f64(total).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (reqwest::header::HeaderName::from_static(name), value.parse().unwrap()))
            .collect()
    }

    fn wall() -> SystemTime {
        // 2026-09-21T14:13:20Z
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000)
    }

    fn after(pairs: &[(&'static str, &str)], tokens: u64) -> f64 {
        let now = Instant::now();
        let mut allowance = Allowance::default();
        allowance.observe(&headers(pairs), now, wall());
        allowance.ready_at(tokens, now).saturating_duration_since(now).as_secs_f64()
    }

    fn near(got: f64, wanted: f64) {
        assert!((got - wanted).abs() < 0.01, "{got} instead of {wanted}");
    }

    #[test]
    fn resets_are_read_in_every_form() {
        for (text, seconds) in [
            ("6ms", Some(0.006)),
            ("1m30s", Some(90.0)),
            ("1h2m3.5s", Some(3723.5)),
            ("12", Some(12.0)),
            ("2026-09-21T14:14:20Z", Some(60.0)),
            ("2026-09-21T14:14:20.75Z", Some(60.75)),
            ("2026-09-21T14:13:00Z", None),
            ("2026-13-21T14:14:20Z", None),
            ("2026-09-21T14:14:20+02:00", None),
            ("soon", None),
            ("1x", None),
            ("-1", None),
            ("", Some(0.0)),
        ] {
            assert_eq!(until(text, wall()).map(|wait| wait.as_secs_f64()), seconds, "{text}");
        }
    }

    #[test]
    fn what_fits_goes_and_what_does_not_waits_for_its_share() {
        let openai = |left: &'static str| {
            [
                ("x-ratelimit-limit-tokens", "30000"),
                ("x-ratelimit-remaining-tokens", left),
                ("x-ratelimit-reset-tokens", "30s"),
            ]
        };
        near(after(&openai("5000"), 4000), 0.0);
        // 1,000 are missing of the 30,000 that come in 30 s.
        near(after(&openai("0"), 1000), 1.0);
        near(after(&openai("0"), 90_000), 30.0);
        let anthropic = [
            ("anthropic-ratelimit-input-tokens-limit", "1000"),
            ("anthropic-ratelimit-input-tokens-remaining", "0"),
            ("anthropic-ratelimit-input-tokens-reset", "2026-09-21T14:13:30Z"),
            ("anthropic-ratelimit-tokens-remaining", "100000"),
        ];
        near(after(&anthropic, 500), 5.0);
        near(after(&[("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "2s")], 1), 2.0);
    }

    #[test]
    fn nonsense_holds_nobody_longer_than_a_minute() {
        for pairs in [
            &[("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "999999h")][..],
            &[("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "NaN")],
            &[
                ("anthropic-ratelimit-tokens-remaining", "0"),
                ("anthropic-ratelimit-tokens-reset", "9999-12-31T00:00:00Z"),
            ],
            &[("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-limit-tokens", "0")],
        ] {
            near(after(pairs, 10), 60.0);
        }
        for pairs in [
            &[("x-ratelimit-remaining-requests", "-1")][..],
            &[("x-ratelimit-remaining-requests", "many")],
            &[("x-ratelimit-limit-requests", "0")],
            &[("x-ratelimit-remaining-tokens", "1e300")],
        ] {
            near(after(pairs, 10), 0.0);
        }
    }

    #[test]
    fn requests_that_left_count_before_the_provider_says_so() {
        let now = Instant::now();
        let mut allowance = Allowance::default();
        let told = [
            ("x-ratelimit-limit-requests", "60"),
            ("x-ratelimit-remaining-requests", "2"),
            ("x-ratelimit-reset-requests", "58s"),
        ];
        allowance.observe(&headers(&told), now, wall());
        allowance.take(1, now);
        allowance.take(1, now);
        near(allowance.ready_at(1, now).saturating_duration_since(now).as_secs_f64(), 1.0);
        allowance.hold(Duration::from_secs(5), now);
        near(allowance.ready_at(1, now).saturating_duration_since(now).as_secs_f64(), 5.0);
    }
}
