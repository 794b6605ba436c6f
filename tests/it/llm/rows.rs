//! What each provider answers when it does not answer: which of it is asked for again, after how long, and what the
//! user is told of the rest. The bodies are the providers' own.

use std::time::{Duration, SystemTime};

use ropeway::llm::LlmErrorKind as Kind;

use super::{EVERY, Notices, client, drain, hello, provider};
use crate::support::model::{Model, Protocol, Turn};

use Protocol::{Anthropic, Google, Ollama, OpenAi, Responses};

const BOTH_OF_OPENAI: &[Protocol] = &[OpenAi, Responses];

/// What becomes of an answer.
enum Fate {
    /// Asked for again after the wait of a header or a body, in milliseconds; after one of our own if there is none.
    Again(Option<u128>),
    /// Told, with a hint that has this word.
    Told(Kind, &'static str),
}

use Fate::{Again, Told};

struct Row {
    status: u16,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
    fate: Fate,
}

const fn row(status: u16, headers: &'static [(&'static str, &'static str)], body: &'static str, fate: Fate) -> Row {
    Row { status, headers, body, fate }
}

async fn play(protocol: Protocol, row: &Row) {
    let model = Model::start();
    model.script([Turn::failure(row.status, row.headers, row.body), Turn::text("at last")]);
    let (client, notices) = (client(), Notices::default());
    let what = format!("{protocol:?}: {} {:?} {}", row.status, row.headers, row.body);
    let provider = provider(&model, protocol);
    let opened = client.stream(&provider, &hello(), &|notice| notices.take(notice)).await;
    match (&row.fate, opened) {
        (Again(wait), Ok(mut stream)) => {
            assert_eq!(drain(&mut stream).await.unwrap().1.turn.text, "at last", "{what}");
            let waits = notices.waits();
            match wait {
                Some(wait) => assert_eq!(waits, [*wait], "{what}"),
                // Any part of half a second: now and then less than a millisecond of it.
                None => assert!(waits.len() == 1 && waits[0] <= 500, "{waits:?}: {what}"),
            }
            let bodies: Vec<_> = model.requests().into_iter().map(|request| request.bytes).collect();
            assert!(bodies.len() == 2 && bodies[0] == bodies[1], "{what}");
        }
        (Told(kind, word), Err(error)) => {
            assert_eq!((error.kind, error.status), (*kind, Some(row.status)), "{error:?}: {what}");
            assert!(error.hint.contains(word), "{error:?}: {what}");
            assert_eq!((model.requests().len(), notices.waits().len()), (1, 0), "{what}");
        }
        (_, opened) => panic!("{:?}: {what}", opened.map(|_| "answered")),
    }
}

async fn play_all(protocols: &[Protocol], rows: &[Row]) {
    for protocol in protocols {
        for row in rows {
            play(*protocol, row).await;
        }
    }
}

#[tokio::test]
async fn openai() {
    const RATE: &str = r#"{"error":{"message":"Rate limit reached for gpt-6 in organization org-x on tokens per min (TPM): Limit 30000, Used 29000, Requested 2000.","type":"tokens","param":null,"code":"rate_limit_exceeded"}}"#;
    let rows = [
        row(408, &[], "", Again(None)),
        row(409, &[], r#"{"error":{"message":"Conflict","type":"conflict","param":null,"code":null}}"#, Again(None)),
        row(429, &[("retry-after-ms", "1500"), ("retry-after", "2")], RATE, Again(Some(1500))),
        row(429, &[("retry-after", "2")], RATE, Again(Some(2000))),
        row(429, &[], RATE, Again(None)),
        row(
            429,
            &[],
            r#"{"error":{"message":"Traffic rises too fast","type":"rate_limit_error","param":null,"code":"slow_down"}}"#,
            Again(None),
        ),
        row(
            500,
            &[],
            r#"{"error":{"message":"The server had an error","type":"server_error","param":null,"code":null}}"#,
            Again(None),
        ),
        row(
            503,
            &[("retry-after", "4")],
            r#"{"error":{"message":"Overloaded","type":"service_unavailable_error","param":null,"code":"server_is_overloaded"}}"#,
            Again(Some(4000)),
        ),
        row(500, &[("x-should-retry", "false")], "", Told(Kind::Provider, "try again")),
        row(400, &[("x-should-retry", "true")], "", Again(None)),
        row(
            400,
            &[],
            r#"{"error":{"message":"Unsupported parameter","type":"invalid_request_error","param":"x","code":"unsupported_parameter"}}"#,
            Told(Kind::Config, "options"),
        ),
        row(
            401,
            &[],
            r#"{"error":{"message":"Incorrect API key","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}"#,
            Told(Kind::Auth, "API key"),
        ),
        row(
            403,
            &[],
            r#"{"error":{"message":"Country not supported","type":"request_forbidden","param":null,"code":"unsupported_country_region_territory"}}"#,
            Told(Kind::Auth, "API key"),
        ),
        row(
            404,
            &[],
            r#"{"error":{"message":"The model `m-1` does not exist","type":"invalid_request_error","param":null,"code":"model_not_found"}}"#,
            Told(Kind::Config, "model's name"),
        ),
        row(
            429,
            &[("retry-after", "1")],
            r#"{"error":{"message":"You exceeded your current quota, please check your plan and billing details.","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#,
            Told(Kind::RateLimited, "top it up"),
        ),
        row(
            429,
            &[],
            r#"{"error":{"message":"No credit left","type":"billing","param":null,"code":"credit_balance_exhausted"}}"#,
            Told(Kind::RateLimited, "top it up"),
        ),
        row(
            429,
            &[],
            r#"{"error":{"message":"This project has reached its spend limit","type":"rate_limit_error","param":null,"code":null}}"#,
            Told(Kind::RateLimited, "top it up"),
        ),
    ];
    play_all(BOTH_OF_OPENAI, &rows).await;
}

#[tokio::test]
async fn anthropic() {
    const RATE: &str = r#"{"type":"error","error":{"type":"rate_limit_error","message":"This request would exceed the rate limit of 30,000 input tokens per minute"},"request_id":"req_1"}"#;
    let rows = [
        row(408, &[], "", Again(None)),
        row(409, &[], "", Again(None)),
        row(429, &[("retry-after", "12")], RATE, Again(Some(12_000))),
        row(429, &[("retry-after", "0.5")], RATE, Again(Some(500))),
        row(
            500,
            &[],
            r#"{"type":"error","error":{"type":"api_error","message":"Internal server error"},"request_id":"req_1"}"#,
            Again(None),
        ),
        row(
            504,
            &[],
            r#"{"type":"error","error":{"type":"timeout_error","message":"Timed out"},"request_id":"req_1"}"#,
            Again(None),
        ),
        row(
            529,
            &[],
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_1"}"#,
            Again(None),
        ),
        row(529, &[("x-should-retry", "true"), ("retry-after", "3")], "", Again(Some(3000))),
        row(
            400,
            &[],
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"messages.1: tool_use ids were found without tool_result blocks"},"request_id":"req_1"}"#,
            Told(Kind::Config, "options"),
        ),
        row(
            400,
            &[],
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"You have reached your specified API usage limits. You will regain access on 2026-12-01."},"request_id":"req_1"}"#,
            Told(Kind::RateLimited, "top it up"),
        ),
        row(
            401,
            &[],
            r#"{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"},"request_id":"req_1"}"#,
            Told(Kind::Auth, "API key"),
        ),
        row(
            402,
            &[],
            r#"{"type":"error","error":{"type":"billing_error","message":"Check the payment method"},"request_id":"req_1"}"#,
            Told(Kind::RateLimited, "top it up"),
        ),
        row(
            403,
            &[],
            r#"{"type":"error","error":{"type":"permission_error","message":"No permission"},"request_id":"req_1"}"#,
            Told(Kind::Auth, "API key"),
        ),
        row(
            404,
            &[],
            r#"{"type":"error","error":{"type":"not_found_error","message":"model: m-1"},"request_id":"req_1"}"#,
            Told(Kind::Config, "model's name"),
        ),
        row(
            413,
            &[],
            r#"{"type":"error","error":{"type":"request_too_large","message":"Request exceeds the maximum size"},"request_id":"req_1"}"#,
            Told(Kind::ContextOverflow, "compact"),
        ),
        row(
            429,
            &[],
            r#"{"type":"error","error":{"type":"rate_limit_error","message":"You have reached the monthly spend limit of your tier"},"request_id":"req_1"}"#,
            Told(Kind::RateLimited, "top it up"),
        ),
    ];
    play_all(&[Anthropic], &rows).await;
}

#[tokio::test]
async fn google() {
    let rows = [
        // The text is the same whatever the quota; when the next request may come stands below it.
        row(
            429,
            &[],
            r#"{"error":{"code":429,"message":"You exceeded your current quota, please check your plan and billing details.","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaId":"GenerateRequestsPerMinutePerProjectPerModel"}]},{"@type":"type.googleapis.com/google.rpc.Help","links":[]},{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"38s"}]}}"#,
            Again(Some(38_000)),
        ),
        row(
            429,
            &[],
            r#"[{"error":{"code":429,"message":"Resource has been exhausted","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"0.25s"}]}}]"#,
            Again(Some(250)),
        ),
        row(
            500,
            &[],
            r#"{"error":{"code":500,"message":"An internal error has occurred","status":"INTERNAL"}}"#,
            Again(None),
        ),
        row(
            503,
            &[],
            r#"[{"error":{"code":503,"message":"The model is overloaded","status":"UNAVAILABLE"}}]"#,
            Again(None),
        ),
        row(
            504,
            &[],
            r#"{"error":{"code":504,"message":"Deadline expired","status":"DEADLINE_EXCEEDED"}}"#,
            Again(None),
        ),
        row(
            429,
            &[],
            r#"{"error":{"code":429,"message":"You exceeded your current quota, please check your plan and billing details.","status":"RESOURCE_EXHAUSTED"}}"#,
            Told(Kind::RateLimited, "top it up"),
        ),
        row(
            429,
            &[],
            r#"{"error":{"code":429,"message":"You exceeded your current quota","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaId":"GenerateRequestsPerDayPerProject"}]},{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"12s"}]}}"#,
            Told(Kind::RateLimited, "another model"),
        ),
        row(
            429,
            &[],
            r#"{"error":{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"40000s"}]}}"#,
            Told(Kind::RateLimited, "after that time"),
        ),
        row(
            400,
            &[],
            r#"[{"error":{"code":400,"message":"Invalid JSON payload received","status":"INVALID_ARGUMENT"}}]"#,
            Told(Kind::Config, "options"),
        ),
        row(402, &[], "", Told(Kind::RateLimited, "top it up")),
        row(
            403,
            &[],
            r#"{"error":{"code":403,"message":"Method doesn't allow unregistered callers","status":"PERMISSION_DENIED"}}"#,
            Told(Kind::Auth, "API key"),
        ),
        row(
            404,
            &[],
            r#"{"error":{"code":404,"message":"models/m-1 is not found for API version v1beta","status":"NOT_FOUND"}}"#,
            Told(Kind::Config, "model's name"),
        ),
    ];
    play_all(&[Google], &rows).await;
}

#[tokio::test]
async fn ollama() {
    let rows = [
        row(429, &[("retry-after", "1")], r#"{"error":"too many requests"}"#, Again(Some(1000))),
        row(500, &[], r#"{"error":"llama runner process has terminated"}"#, Again(None)),
        row(503, &[], r#"{"error":"server busy, please try again. maximum pending requests exceeded"}"#, Again(None)),
        row(400, &[], r#"{"error":"registry.example/m-1 does not support tools"}"#, Told(Kind::Config, "options")),
        row(404, &[], r#"{"error":"model 'm-1' not found"}"#, Told(Kind::Config, "ollama pull")),
    ];
    play_all(&[Ollama], &rows).await;
}

#[tokio::test]
async fn what_proxies_answer_for_a_provider_is_understood_for_each() {
    const PAGE: &str = "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>";
    let rows = [
        row(502, &[("content-type", "text/html")], PAGE, Again(None)),
        row(503, &[("content-type", "text/html"), ("retry-after", "3")], PAGE, Again(Some(3000))),
        row(504, &[], "", Again(None)),
        row(429, &[], "slow down", Again(None)),
        row(500, &[], "{", Again(None)),
        row(403, &[("content-type", "text/html")], PAGE, Told(Kind::Auth, "API key")),
        row(407, &[], "", Told(Kind::Auth, "proxy")),
        row(413, &[("content-type", "text/html")], PAGE, Told(Kind::ContextOverflow, "compact")),
        // A date in the past, and nonsense, say nothing.
        row(503, &[("retry-after", "Mon, 01 Jan 2024 00:00:00 GMT")], "", Again(None)),
        row(503, &[("retry-after", "soon")], "", Again(None)),
    ];
    play_all(&EVERY, &rows).await;
}

#[tokio::test]
async fn a_date_to_come_back_at_is_kept_by_each() {
    for protocol in EVERY {
        let model = Model::start();
        let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(600));
        model.script([Turn::failure(503, &[("retry-after", &date)], ""), Turn::text("at last")]);
        let (client, notices) = (client(), Notices::default());
        let notify = |notice| notices.take(notice);
        let mut stream = client.stream(&provider(&model, protocol), &hello(), &notify).await.unwrap();
        assert_eq!(drain(&mut stream).await.unwrap().1.turn.text, "at last");
        assert!((500_000..=600_000).contains(&notices.waits()[0]), "{:?}: {protocol:?}", notices.waits());
    }
}
