//! The Responses stream, as OpenAI sends it and as others do.

use super::{check_cuts, check_splits, read, responses};
use crate::llm::failure::Again;
use crate::llm::openai::Responses;
use crate::llm::{LlmErrorKind, Stop, StreamEvent, Usage};

const EVENTS: &[&str] = &[
    r#"{"type":"response.created","sequence_number":0,"response":{"id":"resp_1","status":"in_progress","output":[]}}"#,
    r#"{"type":"response.in_progress","sequence_number":1,"response":{"id":"resp_1"}}"#,
    r#"{"type":"response.output_item.added","sequence_number":2,"output_index":0,"item":{"id":"rs_1","type":"reasoning","encrypted_content":"half","summary":[]}}"#,
    r#"{"type":"response.reasoning_summary_part.added","item_id":"rs_1","output_index":0,"summary_index":0,"part":{"type":"summary_text","text":""}}"#,
    r#"{"type":"response.reasoning_summary_text.delta","item_id":"rs_1","output_index":0,"summary_index":0,"delta":"Let me thínk"}"#,
    r#"{"type":"response.reasoning_summary_text.done","item_id":"rs_1","output_index":0,"summary_index":0,"text":"Let me thínk"}"#,
    r#"{"type":"response.output_item.done","output_index":0,"item":{"id":"rs_1","type":"reasoning","encrypted_content":"gAAA+/==","summary":[{"type":"summary_text", "text":"Let me thínk"}],"news":1.0}}"#,
    r#"{"type":"response.output_item.added","output_index":1,"item":{"id":"msg_1","type":"message","status":"in_progress","content":[],"role":"assistant"}}"#,
    r#"{"type":"response.content_part.added","item_id":"msg_1","output_index":1,"content_index":0,"part":{"type":"output_text","text":""}}"#,
    r#"{"type":"response.output_text.delta","item_id":"msg_1","output_index":1,"content_index":0,"delta":"I look 😀","obfuscation":"xY"}"#,
    r#"{"type":"response.output_text.done","item_id":"msg_1","output_index":1,"content_index":0,"text":"I look 😀"}"#,
    r#"{"type":"response.output_item.done","output_index":1,"item":{"id":"msg_1","type":"message","status":"completed","content":[{"type":"output_text","annotations":[],"text":"I look 😀"}],"role":"assistant"}}"#,
    r#"{"type":"response.output_item.added","output_index":2,"item":{"id":"fc_1","type":"function_call","status":"in_progress","arguments":"","call_id":"call_1","name":"read_file"}}"#,
    r#"{"type":"response.output_item.added","output_index":3,"item":{"id":"fc_2","type":"function_call","status":"in_progress","arguments":"","call_id":"call_2","name":"list_dir"}}"#,
    r#"{"type":"response.function_call_arguments.delta","item_id":"fc_1","output_index":2,"delta":"{\"path\": "}"#,
    r#"{"type":"response.function_call_arguments.done","item_id":"fc_2","output_index":3,"arguments":"{}"}"#,
    r#"{"type":"response.function_call_arguments.delta","item_id":"fc_1","output_index":2,"delta":"\"a.rs\"}"}"#,
    r#"{"type":"response.function_call_arguments.done","item_id":"fc_1","output_index":2,"arguments":"{\"path\": \"a.rs\"}"}"#,
    r#"{"type":"response.output_item.done","output_index":2,"item":{"id":"fc_1","type":"function_call","status":"completed","arguments":"{\"path\": \"a.rs\"}","call_id":"call_1","name":"read_file"}}"#,
    r#"{"type":"response.output_item.done","output_index":3,"item":{"id":"fc_2","type":"function_call","status":"completed","arguments":"{}","call_id":"call_2","name":"list_dir"}}"#,
    r#"{"type":"response.completed","response":{"id":"resp_1","status":"completed","output":[],"usage":{"input_tokens":100,"input_tokens_details":{"cached_tokens":60,"cache_write_tokens":5},"output_tokens":20,"output_tokens_details":{"reasoning_tokens":9}}}}"#,
];

fn recorded() -> String {
    EVENTS.iter().map(|event| format!("event: {}\ndata: {event}\n\n", event.split('"').nth(3).unwrap())).collect()
}

#[test]
fn a_recorded_stream_says_what_it_says() {
    let read = read(&Responses, &[recorded().as_bytes()]);
    let response = read.response();
    assert_eq!((read.text().as_str(), read.thinking().as_str()), ("I look 😀", "Let me thínk"));
    assert_eq!(read.called(), [("read_file".into(), r#"{"path": "a.rs"}"#.into()), ("list_dir".into(), "{}".into())]);
    assert_eq!(read.calls()[0].id.as_str(), "call_1");
    assert_eq!(response.stop, Stop::ToolCalls);
    assert_eq!(
        response.usage,
        Some(Usage {
            input_tokens: 100,
            cached_tokens: 60,
            cache_write_tokens: 5,
            output_tokens: 20,
            reasoning_tokens: 9
        })
    );
}

#[test]
fn a_call_is_out_when_its_arguments_are_done() {
    let read = responses(&EVENTS[..16]);
    assert!(read.ended.is_err());
    assert!(matches!(read.events.last(), Some(StreamEvent::Call { index: 1, .. })));
}

#[test]
fn a_cut_at_any_byte_is_never_a_silent_success() {
    check_cuts(&Responses, &recorded());
}

#[test]
fn a_split_at_any_byte_changes_nothing() {
    check_splits(&Responses, &recorded());
}

#[test]
fn items_go_back_byte_for_byte_as_their_end_gave_them() {
    assert_eq!(
        responses(EVENTS).response().turn.raw.as_ref().unwrap().get(),
        concat!(
            r#"[{"id":"rs_1","type":"reasoning","encrypted_content":"gAAA+/==","summary":[{"type":"summary_text", "text":"Let me thínk"}],"news":1.0},"#,
            r#"{"id":"msg_1","type":"message","status":"completed","content":[{"type":"output_text","annotations":[],"text":"I look 😀"}],"role":"assistant"},"#,
            r#"{"id":"fc_1","type":"function_call","status":"completed","arguments":"{\"path\": \"a.rs\"}","call_id":"call_1","name":"read_file"},"#,
            r#"{"id":"fc_2","type":"function_call","status":"completed","arguments":"{}","call_id":"call_2","name":"list_dir"}]"#
        )
    );
}

const COMPLETED: &str = r#"{"type":"response.completed","response":{"status":"completed"}}"#;

#[test]
fn positions_numbers_and_ends_that_a_server_leaves_out_are_not_needed() {
    // llama-server: deltas by item only.
    let read = responses(&[
        r#"{"type":"response.output_item.added","item":{"id":"m","type":"message"}}"#,
        r#"{"type":"response.output_text.delta","item_id":"m","delta":"a"}"#,
        r#"{"type":"response.output_item.added","item":{"id":"f","type":"function_call","call_id":"c","name":"t"}}"#,
        r#"{"type":"response.output_item.added","item":{"id":"g","type":"function_call","call_id":"d","name":"t"}}"#,
        r#"{"type":"response.function_call_arguments.delta","item_id":"f","delta":"{\"x\":1}"}"#,
        r#"{"type":"response.function_call_arguments.delta","item_id":"g","delta":"{\"x\":2}"}"#,
        COMPLETED,
    ]);
    assert_eq!(read.text(), "a");
    assert_eq!(read.called(), [("t".into(), r#"{"x":1}"#.into()), ("t".into(), r#"{"x":2}"#.into())]);
    assert_eq!(
        read.raw(),
        serde_json::json!([
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "a", "annotations": []}]},
            {"type": "function_call", "call_id": "c", "name": "t", "arguments": "{\"x\":1}"},
            {"type": "function_call", "call_id": "d", "name": "t", "arguments": "{\"x\":2}"},
        ])
    );
    // Positions only.
    let read = responses(&[
        r#"{"type":"response.output_item.added","output_index":0,"item":{"type":"function_call","call_id":"c","name":"t"}}"#,
        r#"{"type":"response.output_item.added","output_index":1,"item":{"type":"function_call","call_id":"d","name":"t"}}"#,
        r#"{"type":"response.function_call_arguments.delta","output_index":0,"delta":"{\"x\":1}"}"#,
        r#"{"type":"response.function_call_arguments.done","output_index":1,"arguments":"{\"x\":2}"}"#,
        COMPLETED,
    ]);
    assert_eq!(read.called(), [("t".into(), r#"{"x":1}"#.into()), ("t".into(), r#"{"x":2}"#.into())]);
    // Text without any item.
    assert_eq!(responses(&[r#"{"type":"response.output_text.delta","delta":"a"}"#, COMPLETED]).text(), "a");
}

#[test]
fn items_given_only_at_their_end_or_only_with_the_response_are_taken() {
    let message =
        r#"{"id":"m","type":"message","role":"assistant","content":[{"type":"output_text","text":"a\ud83d\ude00"}]}"#;
    let call = r#"{"id":"f","type":"function_call","call_id":"c","name":"t","arguments":"{\"x\": 1}"}"#;
    let done = |item: &str| format!(r#"{{"type":"response.output_item.done","item":{item}}}"#);
    let last = format!(r#"{{"type":"response.completed","response":{{"output":[{message},{call}]}}}}"#);
    for events in [
        vec![done(message), done(call), COMPLETED.into()],
        vec![last.clone()],
        vec![done(message), done(call), done(call), last],
    ] {
        let events: Vec<&str> = events.iter().map(String::as_str).collect();
        let read = responses(&events);
        assert_eq!((read.text().as_str(), read.called()), ("a😀", vec![("t".into(), r#"{"x": 1}"#.into())]));
        assert_eq!(read.response().turn.raw.as_ref().unwrap().get(), format!("[{message},{call}]"));
    }
}

#[test]
fn the_reason_of_the_end_is_kept() {
    let cut = |reason: &str| {
        format!(
            r#"{{"type":"response.incomplete","response":{{"incomplete_details":{{"reason":"{reason}"}},"usage":{{"input_tokens":1,"output_tokens":2}}}}}}"#
        )
    };
    for (event, stop) in [
        (COMPLETED.to_owned(), Stop::EndTurn),
        (cut("max_output_tokens"), Stop::Length),
        (cut("content_filter"), Stop::Refusal("content_filter".into())),
        (cut("steered"), Stop::Other("steered".into())),
        (r#"{"type":"response.incomplete"}"#.to_owned(), Stop::Other("incomplete".into())),
    ] {
        assert_eq!(responses(&[&event]).response().stop, stop, "{event}");
    }
    let refused = responses(&[r#"{"type":"response.refusal.delta","item_id":"m","delta":"I will not"}"#, COMPLETED]);
    assert_eq!(
        (refused.text().as_str(), &refused.response().stop),
        ("I will not", &Stop::Refusal("I will not".into()))
    );
    let half = responses(&[
        r#"{"type":"response.output_item.added","item":{"id":"f","type":"function_call","call_id":"c","name":"t"}}"#,
        r#"{"type":"response.function_call_arguments.delta","item_id":"f","delta":"{\"x"}"#,
        r#"{"type":"response.output_item.done","item":{"id":"f","type":"function_call","status":"incomplete","call_id":"c","name":"t","arguments":"{\"x"}}"#,
        &cut("max_output_tokens"),
    ]);
    assert_eq!(half.called(), [("t".into(), r#"{"x"#.into())]);
    assert_eq!(half.raw()[0]["arguments"], "{}");
}

#[test]
fn failures_come_in_three_forms() {
    for (event, kind, again) in [
        (
            r#"{"type":"response.failed","response":{"status":"failed","error":{"code":"rate_limit_exceeded","message":"m"}}}"#,
            LlmErrorKind::RateLimited,
            Again::Later,
        ),
        (
            r#"{"type":"response.failed","response":{"error":{"code":"server_error","message":"m"}}}"#,
            LlmErrorKind::Provider,
            Again::Later,
        ),
        (r#"{"type":"response.failed"}"#, LlmErrorKind::Provider, Again::Later),
        (
            r#"{"type":"error","sequence_number":3,"code":"context_length_exceeded","message":"m","param":null}"#,
            LlmErrorKind::ContextOverflow,
            Again::Never,
        ),
        (
            r#"{"type":"error","sequence_number":3,"error":{"type":"invalid_request_error","code":"context_length_exceeded","message":"m","param":"input"}}"#,
            LlmErrorKind::ContextOverflow,
            Again::Never,
        ),
        (r#"{"error":{"code":503,"message":"m"}}"#, LlmErrorKind::Overloaded, Again::Later),
        ("not json", LlmErrorKind::BadResponse, Again::Later),
    ] {
        let failure = responses(&[EVENTS[0], event, COMPLETED]).ended.unwrap_err();
        assert_eq!((failure.error.kind, failure.again), (kind, again), "{event}");
    }
}

#[test]
fn what_is_unknown_is_passed_over_and_kept_for_the_echo() {
    let read = responses(&[
        r#"{"type":"response.news","delta":{"x":[]}}"#,
        r#"{"type":"response.custom_tool_call_input.delta","item_id":"x","delta":"nobody's"}"#,
        r#"{"type":"response.function_call_arguments.delta","item_id":"nobody","delta":"{"}"#,
        r#"{"type":"response.output_text.delta","item_id":"m","delta":{"odd":1}}"#,
        r#"{"type":"response.output_item.added","item":{"type":"web_search_call","id":"w"}}"#,
        r#"{"type":"response.output_item.done","item":{"type":"web_search_call","id":"w","action":{"q": 1.0}}}"#,
        COMPLETED,
        "[DONE]",
    ]);
    assert_eq!((read.text().as_str(), read.calls().len()), ("", 0));
    assert_eq!(
        read.response().turn.raw.as_ref().unwrap().get(),
        r#"[{"type":"web_search_call","id":"w","action":{"q": 1.0}}]"#
    );
}

#[test]
fn two_calls_of_one_name_stay_two_and_are_echoed_as_they_are_answered() {
    let call = |id: &str| {
        format!(
            r#"{{"type":"response.output_item.done","item":{{"type":"function_call","id":"{id}","call_id":"c","name":"t","arguments":"{{}}"}}}}"#
        )
    };
    let read = responses(&[&call("f"), &call("g"), COMPLETED]);
    let calls = read.calls();
    assert_ne!(calls[0].id, calls[1].id);
    assert_eq!(read.raw()[1]["call_id"], calls[1].id.as_str());
}

/// A delta that names no item goes to the last one that fits, and a delta that names one may begin it.
#[test]
fn an_item_that_a_delta_begins_takes_over_what_names_none() {
    let read = responses(&[
        r#"{"type":"response.output_item.done","item":{"id":"m","type":"message","content":[]}}"#,
        r#"{"type":"response.output_text.delta","output_index":0,"delta":"a"}"#,
        r#"{"type":"response.output_text.delta","item_id":"m","delta":"b\ud83d"}"#,
        r#"{"type":"response.output_text.delta","output_index":0,"delta":"\ude00"}"#,
        r#"{"type":"response.completed","response":{}}"#,
    ]);
    assert_eq!(read.response().turn.text, "ab😀");
}
