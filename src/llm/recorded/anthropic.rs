//! Messages, as Anthropic sends them and as gateways do.

use super::{anthropic, check_cuts, check_splits, read};
use crate::llm::anthropic::Anthropic;
use crate::llm::{LlmErrorKind, Stop, StreamEvent, Usage};

const EVENTS: &[&str] = &[
    r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"usage":{"input_tokens":10,"cache_creation_input_tokens":20,"cache_read_input_tokens":70,"output_tokens":1,"cache_creation":{"ephemeral_5m_input_tokens":20}}}}"#,
    r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}"#,
    r#"{"type":"ping"}"#,
    r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Let me "}}"#,
    r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"thínk\n"}}"#,
    r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"EqQB/+=="}}"#,
    r#"{"type":"content_block_stop","index":0}"#,
    r#"{"type":"content_block_start","index":1,"content_block":{"type":"redacted_thinking","data":"Zm9v"}}"#,
    r#"{"type":"content_block_stop","index":1}"#,
    r#"{"type":"content_block_start","index":2,"content_block":{"type":"text","text":""}}"#,
    r#"{"type":"content_block_delta","index":2,"delta":{"type":"text_delta","text":"I look 😀"}}"#,
    r#"{"type":"content_block_stop","index":2}"#,
    r#"{"type":"content_block_start","index":3,"content_block":{"type":"tool_use","id":"toolu_1","name":"read_file","input":{},"caller":{"type":"direct"}}}"#,
    r#"{"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":""}}"#,
    r#"{"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":"{\"path\": "}}"#,
    r#"{"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":"\"a.rs\", \"limit\": 1.0}"}}"#,
    r#"{"type":"content_block_stop","index":3}"#,
    r#"{"type":"content_block_start","index":4,"content_block":{"type":"tool_use","id":"toolu_2","name":"list_dir","input":{}}}"#,
    r#"{"type":"content_block_stop","index":4}"#,
    r#"{"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":50,"output_tokens_details":{"thinking_tokens":30}}}"#,
    r#"{"type":"message_stop"}"#,
];

fn recorded() -> String {
    EVENTS.iter().map(|event| super::anthropic_event(event)).collect()
}

#[test]
fn a_recorded_stream_says_what_it_says() {
    let read = anthropic(EVENTS);
    let response = read.response();
    assert_eq!((read.text().as_str(), read.thinking().as_str()), ("I look 😀", "Let me thínk\n"));
    assert_eq!(
        read.called(),
        [("read_file".into(), r#"{"path": "a.rs", "limit": 1.0}"#.into()), ("list_dir".into(), "{}".into())]
    );
    assert_eq!(response.stop, Stop::ToolCalls);
    assert_eq!(
        response.usage,
        Some(Usage {
            input_tokens: 100,
            cached_tokens: 70,
            cache_write_tokens: 20,
            output_tokens: 50,
            reasoning_tokens: 30
        })
    );
}

#[test]
fn a_call_is_out_when_its_block_closes() {
    let read = anthropic(&EVENTS[..17]);
    assert!(read.ended.is_err());
    assert!(matches!(read.events.last(), Some(StreamEvent::Call { index: 0, .. })));
    assert!(!anthropic(&EVENTS[..16]).events.iter().any(|event| matches!(event, StreamEvent::Call { .. })));
}

#[test]
fn a_cut_at_any_byte_is_never_a_silent_success() {
    check_cuts(&Anthropic, &recorded());
}

#[test]
fn a_split_at_any_byte_changes_nothing() {
    check_splits(&Anthropic, &recorded());
}

#[test]
fn the_turn_goes_back_byte_for_byte() {
    assert_eq!(
        anthropic(EVENTS).response().turn.raw.as_ref().unwrap().get(),
        concat!(
            r#"{"role":"assistant","content":["#,
            r#"{"type":"thinking","thinking":"Let me thínk\n","signature":"EqQB/+=="},"#,
            r#"{"type":"redacted_thinking","data":"Zm9v"},"#,
            r#"{"type":"text","text":"I look 😀"},"#,
            r#"{"type":"tool_use","id":"toolu_1","name":"read_file","input":{"path": "a.rs", "limit": 1.0},"caller":{"type":"direct"}},"#,
            r#"{"type":"tool_use","id":"toolu_2","name":"list_dir","input":{}}]}"#
        )
    );
}

#[test]
fn the_end_is_message_stop_and_nothing_else() {
    assert!(anthropic(&EVENTS[..EVENTS.len() - 1]).ended.is_err());
    assert!(read(&Anthropic, &[b""]).ended.is_err());
    assert!(read(&Anthropic, &[b"data: [DONE]\n\n"]).ended.is_err());
}

const START: &str = r#"{"type":"message_start","message":{"usage":{"input_tokens":5}}}"#;
const STOP: &str = r#"{"type":"message_stop"}"#;

fn reason(reason: &str) -> String {
    format!(r#"{{"type":"message_delta","delta":{{"stop_reason":{reason}}},"usage":{{"output_tokens":3}}}}"#)
}

#[test]
fn an_error_inside_the_stream_is_an_error() {
    for (event, kind) in [
        (r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#, LlmErrorKind::Overloaded),
        (r#"{"type":"error","error":{"type":"rate_limit_error","message":"m"}}"#, LlmErrorKind::RateLimited),
        (r#"{"error":{"code":400,"type":"exceed_context_size_error","message":"m"}}"#, LlmErrorKind::ContextOverflow),
        ("{", LlmErrorKind::BadResponse),
    ] {
        let read = anthropic(&[START, event, STOP]);
        assert_eq!(read.ended.unwrap_err().error.kind, kind, "{event}");
    }
}

#[test]
fn what_is_unknown_is_passed_over_and_kept_for_the_echo() {
    let delta = reason("\"end_turn\"");
    let read = anthropic(&[
        START,
        r#"{"type":"news","x":"\ud800"}"#,
        r#"{"type":"content_block_start","index":7,"content_block":{"type":"server_tool_use","id":"s","name":"web_search","input":{}}}"#,
        r#"{"type":"content_block_delta","index":7,"delta":{"type":"input_json_delta","partial_json":"{\"q\":1}"}}"#,
        r#"{"type":"content_block_delta","index":9,"delta":{"type":"text_delta","text":"nobody's"}}"#,
        r#"{"type":"content_block_start","index":8,"content_block":{"type":"text","text":"b","citations":null}}"#,
        r#"{"type":"content_block_delta","index":8,"delta":{"type":"citations_delta","citation":{"a": 1}}}"#,
        r#"{"type":"content_block_delta","index":8,"delta":{"type":"future_delta","future":{}}}"#,
        r#"{"type":"content_block_start","index":10,"content_block":{"type":"text","text":""}}"#,
        &delta,
        STOP,
    ]);
    assert_eq!(read.text(), "b");
    assert!(read.calls().is_empty());
    assert_eq!(
        read.response().turn.raw.as_ref().unwrap().get(),
        concat!(
            r#"{"role":"assistant","content":[{"type":"server_tool_use","id":"s","name":"web_search","input":{"q":1}},"#,
            r#"{"type":"text","text":"b","citations":[{"a": 1}]}]}"#
        )
    );
}

#[test]
fn halves_of_a_character_are_joined_and_strays_replaced() {
    let delta = reason("\"end_turn\"");
    let read = anthropic(&[
        START,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a\ud83d"}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"\ude00\ud83d"}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        &delta,
        STOP,
    ]);
    assert_eq!(read.text(), "a😀\u{fffd}");
}

#[test]
fn the_reason_of_the_end_is_kept() {
    for (word, stop) in [
        ("\"end_turn\"", Stop::EndTurn),
        ("\"stop_sequence\"", Stop::EndTurn),
        ("\"max_tokens\"", Stop::Length),
        ("\"pause_turn\"", Stop::Pause),
        ("\"model_context_window_exceeded\"", Stop::ContextWindow),
        ("\"refusal\",\"stop_details\":{\"category\":\"cyber\"}", Stop::Refusal("cyber".into())),
        ("\"news\"", Stop::Other("news".into())),
        ("null", Stop::Other("no stop_reason".into())),
    ] {
        assert_eq!(anthropic(&[START, &reason(word), STOP]).response().stop, stop, "{word}");
    }
}

#[test]
fn a_call_cut_by_the_limit_comes_as_it_is_and_goes_back_empty() {
    let delta = reason("\"max_tokens\"");
    let read = anthropic(&[
        START,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t","name":"a","input":{}}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"x\":"}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        &delta,
        STOP,
    ]);
    assert_eq!(read.called(), [("a".into(), r#"{"x":"#.into())]);
    assert_eq!(read.response().stop, Stop::Length);
    assert_eq!(read.raw()["content"][0]["input"], serde_json::json!({}));
}

#[test]
fn arguments_given_whole_at_the_start_are_taken() {
    let delta = reason("\"tool_use\"");
    let read = anthropic(&[
        START,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"","name":"a","input":{"x": 1}}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        &delta,
        STOP,
    ]);
    assert_eq!(read.called(), [("a".into(), r#"{"x": 1}"#.into())]);
    assert_eq!(read.raw()["content"][0]["id"], read.calls()[0].id.as_str());
}

#[test]
fn counts_are_overwritten_and_never_added() {
    let read = anthropic(&[
        START,
        r#"{"type":"message_delta","delta":{"stop_reason":null},"usage":{"input_tokens":5,"output_tokens":3}}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"input_tokens":6,"cache_read_input_tokens":null,"output_tokens":9}}"#,
        STOP,
    ]);
    assert_eq!(read.response().usage, Some(Usage { input_tokens: 6, output_tokens: 9, ..Usage::default() }));
}
