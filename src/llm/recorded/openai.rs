//! Chat completions, as OpenAI sends them and as others do.

use super::{check_cuts, check_splits, openai, read};
use crate::llm::openai::OpenAi;
use crate::llm::{LlmErrorKind, Stop, StreamEvent, Usage};

const RECORDED: &str = concat!(
    ": connected\n\n",
    r#"data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}],"usage":null,"obfuscation":"xY"}"#,
    "\n\n",
    r#"data: {"id":"c","choices":[{"index":0,"delta":{"content":"Let me lóok 😀"},"finish_reason":null}],"usage":null}"#,
    "\n\n",
    r#"data: {"id":"c","choices":[{"index":0,"delta":{"content":" \"there\"\n"},"finish_reason":null}],"usage":null}"#,
    "\n\n",
    r#"data: {"id":"c","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"read_file","arguments":""}}]},"finish_reason":null}]}"#,
    "\n\n",
    r#"data: {"id":"c","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"path\""}}]},"finish_reason":null}]}"#,
    "\n\n",
    r#"data: {"id":"c","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":": \"a.rs\"}"}}]},"finish_reason":null}]}"#,
    "\n\n",
    r#"data: {"id":"c","choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"call_2","type":"function","function":{"name":"grep","arguments":""}}]},"finish_reason":null}]}"#,
    "\n\n",
    r#"data: {"id":"c","choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"function":{"arguments":"{\"pattern\":\"}{\\\"\"}"}}]},"finish_reason":null}]}"#,
    "\n\n",
    r#"data: {"id":"c","choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"tool_calls"}],"usage":null}"#,
    "\n\n",
    r#"data: {"id":"c","choices":[],"usage":{"prompt_tokens":100,"completion_tokens":20,"total_tokens":120,"prompt_tokens_details":{"cached_tokens":60,"cache_write_tokens":5}}}"#,
    "\n\n",
    "data: [DONE]\n\n",
);

#[test]
fn a_recorded_stream_says_what_it_says() {
    let read = read(&OpenAi, &[RECORDED.as_bytes()]);
    let response = read.response();
    assert_eq!(read.text(), "Let me lóok 😀 \"there\"\n");
    assert_eq!(response.turn.text, read.text());
    assert_eq!(
        read.called(),
        [("read_file".into(), r#"{"path": "a.rs"}"#.into()), ("grep".into(), r#"{"pattern":"}{\""}"#.into())]
    );
    assert_eq!(read.calls()[0].id.as_str(), "call_1");
    assert_eq!(response.stop, Stop::ToolCalls);
    assert_eq!(
        response.usage,
        Some(Usage {
            input_tokens: 100,
            cached_tokens: 60,
            cache_write_tokens: 5,
            output_tokens: 20,
            reasoning_tokens: 0
        })
    );
    // The first call is out before the second has its arguments.
    let order: Vec<_> = read
        .events
        .iter()
        .filter_map(|event| match event {
            StreamEvent::CallStarted { index, .. } => Some(("started", *index)),
            StreamEvent::Call { index, .. } => Some(("call", *index)),
            _ => None,
        })
        .collect();
    assert_eq!(order, [("started", 0), ("call", 0), ("started", 1), ("call", 1)]);
}

#[test]
fn a_cut_at_any_byte_is_never_a_silent_success() {
    check_cuts(&OpenAi, RECORDED);
}

#[test]
fn a_split_at_any_byte_changes_nothing() {
    check_splits(&OpenAi, RECORDED);
}

#[test]
fn the_turn_goes_back_as_it_came() {
    let read = read(&OpenAi, &[RECORDED.as_bytes()]);
    assert_eq!(
        read.response().turn.raw.as_ref().unwrap().get(),
        concat!(
            r#"{"role":"assistant","content":"Let me lóok 😀 \"there\"\n","tool_calls":["#,
            r#"{"id":"call_1","type":"function","function":{"name":"read_file","arguments":"{\"path\": \"a.rs\"}"}},"#,
            r#"{"id":"call_2","type":"function","function":{"name":"grep","arguments":"{\"pattern\":\"}{\\\"\"}"}}]}"#
        )
    );
}

fn content(text: &str) -> String {
    format!(r#"{{"choices":[{{"index":0,"delta":{{"content":{text}}}}}]}}"#)
}

fn tool(call: &str) -> String {
    format!(r#"{{"choices":[{{"index":0,"delta":{{"tool_calls":[{call}]}}}}]}}"#)
}

const FINISH: &str = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;

#[test]
fn halves_of_a_character_are_joined_across_deltas_and_strays_replaced() {
    let joined = openai(&[&content(r#""a\ud83d""#), &content(r#""\ude00b""#), FINISH]);
    assert_eq!(joined.text(), "a😀b");
    assert_eq!(joined.raw()["content"], "a😀b");
    assert_eq!(openai(&[&content(r#""a\ud83d""#), FINISH]).text(), "a\u{fffd}");
    assert_eq!(openai(&[&content(r#""\ude00""#), FINISH]).text(), "\u{fffd}");
    let call = openai(&[
        &tool(r#"{"index":0,"id":"i","function":{"name":"a","arguments":"{\"x\":\"\ud83d"}}"#),
        &tool(r#"{"index":0,"function":{"arguments":"\ude00\"}"}}"#),
        FINISH,
    ]);
    assert_eq!(call.called(), [("a".into(), r#"{"x":"😀"}"#.into())]);
}

#[test]
fn arguments_may_be_an_object_absent_null_or_empty() {
    for (arguments, expected) in [
        (r#","arguments":{"x": 1}"#, r#"{"x": 1}"#),
        (r#","arguments":"""#, "{}"),
        (r#","arguments":null"#, "{}"),
        (r#","arguments":"null""#, "{}"),
        (r#","arguments":{}"#, "{}"),
        ("", "{}"),
    ] {
        let call = tool(&format!(r#"{{"index":0,"id":"i","function":{{"name":"a"{arguments}}}}}"#));
        assert_eq!(openai(&[&call, FINISH]).called(), [("a".into(), expected.into())], "{arguments}");
    }
}

#[test]
fn a_missing_index_is_not_index_nought() {
    let read = openai(&[
        &tool(
            r#"{"id":"i","function":{"name":"a","arguments":"{}"}},{"id":"j","function":{"name":"b","arguments":"{}"}}"#,
        ),
        FINISH,
    ]);
    assert_eq!(read.called().len(), 2);
    let odd = openai(&[&tool(r#"{"index":"x","id":"i","function":{"name":"a","arguments":"{}"}}"#), FINISH]);
    assert_eq!(odd.called().len(), 1);
}

#[test]
fn a_second_finish_reason_does_not_call_twice() {
    let call = tool(r#"{"index":0,"id":"i","function":{"name":"a","arguments":"{}"}}"#);
    let finish = r#"{"choices":[{"index":0,"delta":{"content":""},"finish_reason":"tool_calls"}]}"#;
    let again = r#"{"choices":[{"index":0,"delta":{"content":"","tool_calls":[{"index":0,"id":"i","function":{"name":"a","arguments":"{}"}}]},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":7,"completion_tokens":1}}"#;
    let read = openai(&[&call, finish, again, "[DONE]", "[DONE]"]);
    assert_eq!(read.called().len(), 1);
    assert_eq!(read.response().usage.map(|usage| usage.input_tokens), Some(7));
}

#[test]
fn an_error_inside_a_good_answer_is_an_error() {
    for (event, kind) in [
        (r#"{"error":{"message":"m","code":"rate_limit_exceeded"}}"#, LlmErrorKind::RateLimited),
        (r#"{"error":"model crashed"}"#, LlmErrorKind::Provider),
        (
            r#"{"id":"c","error":{"code":503,"message":"m"},"choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}]}"#,
            LlmErrorKind::Overloaded,
        ),
        (r#"{"choices":[{"index":0,"delta":{},"finish_reason":"error"}]}"#, LlmErrorKind::Provider),
        ("not json", LlmErrorKind::BadResponse),
        ("<html>", LlmErrorKind::BadResponse),
    ] {
        let read = openai(&[&content("\"a\""), event, FINISH, "[DONE]"]);
        assert_eq!(read.ended.unwrap_err().error.kind, kind, "{event}");
        assert_eq!(read.events.len(), 1);
    }
}

#[test]
fn usage_is_taken_wherever_it_stands() {
    let finish = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":2}}"#;
    let each = r#"{"choices":[{"index":0,"delta":{"content":"a"}}],"usage":{"prompt_tokens":5,"completion_tokens":1}}"#;
    let odd = r#"{"choices":[],"usage":"none"}"#;
    let expected = Some(Usage { input_tokens: 5, output_tokens: 2, ..Usage::default() });
    assert_eq!(openai(&[each, finish, odd, "[DONE]"]).response().usage, expected);
    assert_eq!(openai(&[each, finish]).response().usage, expected);
    assert_eq!(openai(&[&content("\"a\""), FINISH, "[DONE]"]).response().usage, None);
}

#[test]
fn what_is_unknown_is_passed_over() {
    let read = openai(&[
        r#"{"object":"ping"}"#,
        r#"{"choices":null}"#,
        r#"{"choices":[{"index":1,"delta":{"content":"another choice"}}]}"#,
        r#"{"choices":[{"index":0,"delta":null,"finish_reason":null}]}"#,
        r#"{"choices":[{"index":0,"delta":{"role":null,"content":null,"tool_calls":null,"function_call":{"name":"a"},"audio":{"x":[[[]]]},"odd":"\ud800"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"content":[{"type":"text","text":"parts"},{"type":"x"}]},"finish_reason":""}]}"#,
        FINISH,
        "[DONE]",
    ]);
    assert_eq!(read.text(), "parts");
    assert_eq!(read.response().stop, Stop::EndTurn);
}

#[test]
fn the_reason_of_the_end_is_kept() {
    let call = tool(r#"{"index":0,"id":"i","function":{"name":"a","arguments":"{\"x"}}"#);
    let finish = |reason: &str| format!(r#"{{"choices":[{{"index":0,"delta":{{}},"finish_reason":"{reason}"}}]}}"#);
    for (with_call, reason, stop) in [
        (false, "stop", Stop::EndTurn),
        (false, "tool_calls", Stop::EndTurn),
        (true, "stop", Stop::ToolCalls),
        (true, "length", Stop::Length),
        (false, "content_filter", Stop::Refusal("content_filter".into())),
        (
            false,
            "function_call_filter: MALFORMED_FUNCTION_CALL",
            Stop::Other("function_call_filter: MALFORMED_FUNCTION_CALL".into()),
        ),
    ] {
        let (finish, text) = (finish(reason), content("\"a\""));
        let events: Vec<&str> = if with_call { vec![&call, &finish, "[DONE]"] } else { vec![&text, &finish, "[DONE]"] };
        assert_eq!(openai(&events).response().stop, stop, "{reason}");
    }
    // Cut arguments come as they are, and go back as something every server can read.
    let read = openai(&[&call, &finish("length"), "[DONE]"]);
    assert_eq!(read.called(), [("a".into(), r#"{"x"#.into())]);
    assert_eq!(read.raw()["tool_calls"][0]["function"]["arguments"], "{}");
}

#[test]
fn a_refusal_is_shown_and_told() {
    let read = openai(&[r#"{"choices":[{"index":0,"delta":{"refusal":"I will not"}}]}"#, FINISH]);
    assert_eq!(read.text(), "I will not");
    assert_eq!(read.response().stop, Stop::Refusal("I will not".into()));
    assert_eq!(read.raw()["refusal"], "I will not");
}

#[test]
fn the_sentinel_without_a_reason_ends_a_text_but_no_half_call() {
    assert!(matches!(openai(&[&content("\"a\""), "[DONE]"]).response().stop, Stop::Other(_)));
    assert!(openai(&["[DONE]"]).ended.is_err());
    let half = tool(r#"{"index":0,"id":"i","function":{"name":"a","arguments":"{\"x"}}"#);
    assert!(openai(&[&half, "[DONE]"]).ended.is_err());
    assert!(openai(&[&content("\"a\"")]).ended.is_err(), "an end of file alone");
}

#[test]
fn reasoning_is_shown_apart_and_goes_back_beside_calls_only() {
    let reasoning = r#"{"choices":[{"index":0,"delta":{"reasoning_content":"hm","reasoning":"hm"}}]}"#;
    let call = tool(
        r#"{"index":0,"id":"i","function":{"name":"a","arguments":"{}"},"extra_content":{"google":{"thought_signature":"c2ln"}}}"#,
    );
    let read = openai(&[reasoning, &call, FINISH]);
    assert_eq!((read.thinking().as_str(), read.text().as_str()), ("hm", ""));
    assert_eq!(read.raw()["reasoning_content"], "hm");
    assert_eq!(read.raw()["tool_calls"][0]["extra_content"]["google"]["thought_signature"], "c2ln");
    let alone = openai(&[reasoning, &content("\"so\""), FINISH]);
    assert!(alone.raw().get("reasoning_content").is_none());
}
