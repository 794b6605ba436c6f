//! `generateContent`, as Google sends it and as others do.

use super::{check_cuts, check_splits, google, read};
use crate::llm::failure::Again;
use crate::llm::google::Google;
use crate::llm::{LlmErrorKind, Stop, StreamEvent, Usage};

const EVENTS: &[&str] = &[
    r#"{"candidates":[{"content":{"parts":[{"text":"Let me thínk","thought":true}],"role":"model"},"index":0}],"usageMetadata":{"promptTokenCount":100},"modelVersion":"m","responseId":"r"}"#,
    r#"{"candidates":[{"content":{"parts":[{"text":"I look 😀"}],"role":"model"},"index":0}]}"#,
    r#"{"candidates":[{"content":{"parts":[{"text":" \"there\"\n"}]}}]}"#,
    r#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":"read_file","args":{"path": "a.rs", "limit": 1.0},"id":"f1"},"thoughtSignature":"EqQB_-+/=="},{"functionCall":{"name":"list_dir"}}]},"index":0}]}"#,
    r#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":"grep","args":{"pattern":"}{\""}}}],"role":"model"},"index":0}],"usageMetadata":{"promptTokenCount":100,"cachedContentTokenCount":60,"candidatesTokenCount":15}}"#,
    r#"{"candidates":[{"content":{"parts":[{"text":"","thoughtSignature":"c2ln"},{"text":""}],"role":"model"},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":100,"toolUsePromptTokenCount":5,"cachedContentTokenCount":60,"candidatesTokenCount":20,"thoughtsTokenCount":30,"totalTokenCount":155}}"#,
];

/// The events with a name for each call: one of ours would be another each time.
fn recorded() -> String {
    let stream: String = EVENTS.iter().map(|event| format!("data: {event}\n\n")).collect();
    stream
        .replace(r#"{"name":"list_dir"}"#, r#"{"name":"list_dir","id":"f2"}"#)
        .replace(r#"{"name":"grep","#, r#"{"id":"f3","name":"grep","#)
}

#[test]
fn a_recorded_stream_says_what_it_says() {
    let read = google(EVENTS);
    let response = read.response();
    assert_eq!((read.text().as_str(), read.thinking().as_str()), ("I look 😀 \"there\"\n", "Let me thínk"));
    assert_eq!(
        read.called(),
        [
            ("read_file".into(), r#"{"path": "a.rs", "limit": 1.0}"#.into()),
            ("list_dir".into(), "{}".into()),
            ("grep".into(), r#"{"pattern":"}{\""}"#.into())
        ]
    );
    assert_eq!(read.calls()[0].id.as_str(), "f1");
    assert_eq!(response.stop, Stop::ToolCalls);
    assert_eq!(
        response.usage,
        Some(Usage {
            input_tokens: 105,
            cached_tokens: 60,
            cache_write_tokens: 0,
            output_tokens: 50,
            reasoning_tokens: 30
        })
    );
}

#[test]
fn a_call_is_out_when_its_part_arrives() {
    let read = google(&EVENTS[..4]);
    assert!(read.ended.is_err());
    assert!(matches!(read.events.last(), Some(StreamEvent::Call { index: 1, .. })));
}

#[test]
fn a_cut_at_any_byte_is_never_a_silent_success() {
    check_cuts(&Google, &recorded());
}

#[test]
fn a_split_at_any_byte_changes_nothing() {
    check_splits(&Google, &recorded());
}

#[test]
fn every_part_goes_back_byte_for_byte_with_its_own_signature() {
    assert_eq!(
        google(EVENTS).response().turn.raw.as_ref().unwrap().get(),
        concat!(
            r#"{"role":"model","parts":[{"text":"Let me thínk","thought":true},"#,
            r#"{"text":"I look 😀"},{"text":" \"there\"\n"},"#,
            r#"{"functionCall":{"name":"read_file","args":{"path": "a.rs", "limit": 1.0},"id":"f1"},"thoughtSignature":"EqQB_-+/=="},"#,
            r#"{"functionCall":{"name":"list_dir"}},{"functionCall":{"name":"grep","args":{"pattern":"}{\""}}},"#,
            r#"{"text":"","thoughtSignature":"c2ln"}]}"#
        )
    );
}

fn finish(reason: &str) -> String {
    format!(r#"{{"candidates":[{{"finishReason":"{reason}","index":0}}]}}"#)
}

fn part(part: &str) -> String {
    format!(r#"{{"candidates":[{{"content":{{"parts":[{part}]}},"index":0}}]}}"#)
}

#[test]
fn the_reason_of_the_end_is_kept() {
    let call = part(r#"{"functionCall":{"name":"a","args":{}}}"#);
    for (called, reason, stop) in [
        (false, "STOP", Stop::EndTurn),
        (true, "STOP", Stop::ToolCalls),
        (true, "FUNCTION_CALL", Stop::ToolCalls),
        (true, "MAX_TOKENS", Stop::Length),
        (false, "SAFETY", Stop::Refusal("SAFETY".into())),
        (false, "RECITATION", Stop::Refusal("RECITATION".into())),
        (false, "PROHIBITED_CONTENT", Stop::Refusal("PROHIBITED_CONTENT".into())),
        (false, "BLOCKLIST", Stop::Refusal("BLOCKLIST".into())),
        (false, "SPII", Stop::Refusal("SPII".into())),
        (false, "LANGUAGE", Stop::Refusal("LANGUAGE".into())),
        (false, "CONTINUATION", Stop::Pause),
        (false, "OTHER", Stop::Other("OTHER".into())),
        (false, "NEWS", Stop::Other("NEWS".into())),
    ] {
        let finish = finish(reason);
        let events: Vec<&str> = if called { vec![&call, &finish] } else { vec![&finish] };
        assert_eq!(google(&events).response().stop, stop, "{reason}");
    }
    assert!(google(&[&finish("FINISH_REASON_UNSPECIFIED"), &finish("")]).ended.is_err());
}

#[test]
fn a_call_that_the_provider_could_not_read_is_a_failure_that_may_pass() {
    for (reason, again) in [
        ("MALFORMED_FUNCTION_CALL", Again::Later),
        ("UNEXPECTED_TOOL_CALL", Again::Later),
        ("MALFORMED_RESPONSE", Again::Later),
        ("TOO_MANY_TOOL_CALLS", Again::Never),
        ("MISSING_THOUGHT_SIGNATURE", Again::Never),
    ] {
        let event = format!(
            r#"{{"candidates":[{{"content":{{}},"finishReason":"{reason}","finishMessage":"print(x)","index":0}}]}}"#
        );
        let failure = google(&[&event]).ended.unwrap_err();
        assert_eq!((failure.error.kind, failure.again), (LlmErrorKind::Provider, again), "{reason}");
        assert!(failure.error.message.contains(reason), "{}", failure.error.message);
    }
}

#[test]
fn a_blocked_prompt_is_a_refusal() {
    let read = google(&[
        r#"{"promptFeedback":{"blockReason":"SAFETY","safetyRatings":[]},"usageMetadata":{"promptTokenCount":3}}"#,
    ]);
    assert_eq!(read.response().stop, Stop::Refusal("prompt blocked: SAFETY".into()));
}

#[test]
fn halves_of_a_character_are_joined_and_the_echo_is_sound() {
    let (a, b, stray) =
        (part(r#"{"text":"a\ud83d","x":1.0}"#), part(r#"{"text":"\ude00b"}"#), part(r#"{"text":"\ud83d"}"#));
    let call = part(r#"{"functionCall":{"name":"a","args":{"x":"\ud83d"}}}"#);
    let read = google(&[&a, &b, &stray, &call, &finish("STOP")]);
    assert_eq!(read.text(), "a😀b\u{fffd}");
    assert_eq!(read.called()[0].1, r#"{"x":"\ufffd"}"#);
    assert_eq!(
        read.response().turn.raw.as_ref().unwrap().get(),
        r#"{"role":"model","parts":[{"text":"a","x":1.0},{"text":"😀b"},{"text":""},{"functionCall":{"name":"a","args":{"x":"\ufffd"}}}]}"#
    );
}

#[test]
fn what_is_unknown_is_passed_over_and_kept_for_the_echo() {
    let read = google(&[
        r#"{"news":[1]}"#,
        r#"{"candidates":null}"#,
        r#"{"candidates":[{"content":{"parts":[{"text":"of another"}]},"index":1}]}"#,
        r#"{"candidates":[{"content":null}]}"#,
        r#"{"candidates":[{"content":{"parts":[{"executableCode":{"code":"1 + 1"}}]}}],"error":null}"#,
        &finish("STOP"),
        "[DONE]",
    ]);
    assert_eq!((read.text().as_str(), read.response().stop.clone()), ("", Stop::EndTurn));
    assert_eq!(read.raw()["parts"], serde_json::json!([{"executableCode": {"code": "1 + 1"}}]));
}

#[test]
fn a_second_reason_does_not_call_twice() {
    let call = r#"{"functionCall":{"name":"a","args":{},"id":"i"}}"#;
    let last = format!(r#"{{"candidates":[{{"content":{{"parts":[{call}]}},"finishReason":"STOP","index":0}}]}}"#);
    assert_eq!(google(&[&last, &last]).called().len(), 1);
}

#[test]
fn errors_come_as_events_and_as_plain_json_over_several_lines() {
    let bare = "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]}}]}\r\n\r\n[{\r\n  \"error\": {\r\n    \"code\": 503,\r\n    \"message\": \"The model is overloaded.\",\r\n    \"status\": \"UNAVAILABLE\"\r\n  }\r\n}\r\n]";
    for chunks in [vec![bare.as_bytes()], bare.as_bytes().chunks(1).collect()] {
        let failure = read(&Google, &chunks).ended.unwrap_err();
        assert_eq!((failure.error.kind, failure.again), (LlmErrorKind::Overloaded, Again::Later));
    }
    let event = r#"{"error":{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"38s"}]}}"#;
    let failure = google(&[event]).ended.unwrap_err();
    assert_eq!(failure.error.kind, LlmErrorKind::RateLimited);
    assert_eq!(failure.retry_after, Some(std::time::Duration::from_secs(38)));
}
