//! `/api/chat`, as Ollama sends it and as others do.

use super::{check_cuts, check_splits, ollama, read};
use crate::llm::ollama::Ollama;
use crate::llm::{LlmErrorKind, Stop, Usage};

const LINES: &[&str] = &[
    r#"{"model":"m","created_at":"2026-11-20T10:00:00Z","message":{"role":"assistant","content":"","thinking":"Let me thínk"},"done":false}"#,
    r#"{"model":"m","message":{"role":"assistant","content":"I look 😀"},"done":false}"#,
    r#"{"model":"m","message":{"role":"assistant","content":" \"there\"\n"},"done":false}"#,
    r#"{"model":"m","message":{"role":"assistant","content":"","tool_calls":[{"id":"call_1","function":{"index":0,"name":"read_file","arguments":{"path": "a.rs", "limit": 1.0}}}]},"done":false}"#,
    r#"{"model":"m","message":{"role":"assistant","content":"","tool_calls":[{"id":"call_2","function":{"index":0,"name":"list_dir","arguments":{}}}]},"done":false}"#,
    r#"{"model":"m","message":{"role":"assistant","content":""},"done_reason":"stop","done":true,"total_duration":5,"prompt_eval_count":100,"prompt_eval_duration":7,"eval_count":20,"eval_duration":3}"#,
];

fn recorded() -> String {
    LINES.iter().map(|line| format!("{line}\n")).collect()
}

#[test]
fn a_recorded_stream_says_what_it_says() {
    let read = ollama(LINES);
    let response = read.response();
    assert_eq!((read.text().as_str(), read.thinking().as_str()), ("I look 😀 \"there\"\n", "Let me thínk"));
    assert_eq!(
        read.called(),
        [("read_file".into(), r#"{"path": "a.rs", "limit": 1.0}"#.into()), ("list_dir".into(), "{}".into())]
    );
    assert_eq!(response.stop, Stop::ToolCalls);
    assert_eq!(response.usage, Some(Usage { input_tokens: 100, output_tokens: 20, ..Usage::default() }));
}

#[test]
fn a_cut_at_any_byte_is_never_a_silent_success() {
    check_cuts(&Ollama, &recorded());
}

#[test]
fn a_split_at_any_byte_changes_nothing() {
    check_splits(&Ollama, &recorded());
}

#[test]
fn calls_go_back_byte_for_byte_and_thinking_beside_them_only() {
    assert_eq!(
        ollama(LINES).response().turn.raw.as_ref().unwrap().get(),
        concat!(
            r#"{"role":"assistant","content":"I look 😀 \"there\"\n","thinking":"Let me thínk","tool_calls":["#,
            r#"{"id":"call_1","function":{"index":0,"name":"read_file","arguments":{"path": "a.rs", "limit": 1.0}}},"#,
            r#"{"id":"call_2","function":{"index":0,"name":"list_dir","arguments":{}}}]}"#
        )
    );
    let alone = ollama(&[LINES[0], LINES[1], LINES[5]]);
    assert_eq!(alone.raw(), serde_json::json!({"role": "assistant", "content": "I look 😀"}));
}

fn call(call: &str) -> String {
    format!(r#"{{"message":{{"content":"","tool_calls":[{call}]}},"done":false}}"#)
}

const DONE: &str = r#"{"message":{"content":""},"done_reason":"stop","done":true}"#;

#[test]
fn calls_without_names_are_told_apart_and_arguments_come_in_any_form() {
    let same = r#"{"function":{"name":"a","arguments":{"x": 1}}}"#;
    let read = ollama(&[&call(&format!("{same},{same}")), DONE]);
    assert_eq!(read.called(), [("a".into(), r#"{"x": 1}"#.into()), ("a".into(), r#"{"x": 1}"#.into())]);
    assert_ne!(read.calls()[0].id, read.calls()[1].id);
    for (arguments, expected) in [
        (r#","arguments":"{\"x\": 1}""#, r#"{"x": 1}"#),
        (r#","arguments":"""#, "{}"),
        (r#","arguments":null"#, "{}"),
        ("", "{}"),
        (r#","arguments":[1]"#, "[1]"),
        (r#","arguments":{"x":"\ud83d"}"#, r#"{"x":"\ufffd"}"#),
    ] {
        let call = call(&format!(r#"{{"function":{{"name":"a"{arguments}}}}}"#));
        assert_eq!(ollama(&[&call, DONE]).called(), [("a".into(), expected.into())], "{arguments}");
    }
}

#[test]
fn an_error_line_inside_a_good_answer_is_an_error() {
    let text = r#"{"message":{"content":"a"},"done":false}"#;
    for (line, kind) in [
        (r#"{"error":"model runner has unexpectedly stopped"}"#, LlmErrorKind::Provider),
        (r#"{"error":"an error was encountered: the prompt is too long"}"#, LlmErrorKind::ContextOverflow),
        (r#"{"error":{"code":503,"message":"m"}}"#, LlmErrorKind::Overloaded),
        ("<html>", LlmErrorKind::BadResponse),
    ] {
        let read = ollama(&[text, line, DONE]);
        assert_eq!(read.ended.unwrap_err().error.kind, kind, "{line}");
    }
    // Also as the last line, without its end.
    let last = format!("{text}\n{}", r#"{"error":"out of memory"}"#);
    let failure = read(&Ollama, &[last.as_bytes()]).ended.unwrap_err();
    assert!(failure.error.message.contains("out of memory"), "{}", failure.error.message);
}

#[test]
fn the_reason_of_the_end_is_kept() {
    for (reason, stop) in [
        (r#""stop""#, Stop::EndTurn),
        (r#""length""#, Stop::Length),
        (r#""load""#, Stop::Other("load".into())),
        ("null", Stop::EndTurn),
    ] {
        let done = format!(r#"{{"message":{{"content":"a"}},"done_reason":{reason},"done":true}}"#);
        assert_eq!(ollama(&[&done]).response().stop, stop, "{reason}");
        assert_eq!(ollama(&[&done]).response().usage, None);
    }
    assert!(ollama(&[r#"{"message":{"content":"a"},"done":false}"#]).ended.is_err(), "an end of file alone");
}

#[test]
fn blank_lines_unknown_fields_and_halves_of_characters_do_no_harm() {
    let read = ollama(&[
        "",
        r#"{"message":{"content":"a\ud83d","images":null,"news":[{}]},"x":"\ud800"}"#,
        "  ",
        r#"{"message":{"content":"\ude00","tool_calls":null}}"#,
        r#"{"message":null,"done":null}"#,
        DONE,
        r#"{"error":"after the end"}"#,
    ]);
    assert_eq!(read.text(), "a😀");
}
