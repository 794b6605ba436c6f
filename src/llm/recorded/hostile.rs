//! Streams that mean harm, or were made by a die.

use proptest::prelude::*;

use super::{anthropic, check_invariants, openai, read};
use crate::llm::anthropic::Anthropic;
use crate::llm::openai::OpenAi;
use crate::llm::provider::Provider;

const FINISH: &str = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}"#;

#[test]
fn a_hostile_index_sizes_nothing() {
    let call = r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":18446744073709551615,"id":"i","function":{"name":"a","arguments":"{}"}},{"index":4294967295,"id":"j","function":{"name":"b","arguments":"{}"}},{"index":-3,"id":"k","function":{"name":"c","arguments":"{}"}}]}}]}"#;
    assert_eq!(openai(&[call, FINISH]).called().len(), 3);
    let block = r#"{"type":"content_block_start","index":18446744073709551615,"content_block":{"type":"tool_use","id":"i","name":"a","input":{}}}"#;
    assert_eq!(anthropic(&[block, r#"{"type":"message_stop"}"#]).called().len(), 1);
}

#[test]
fn endless_calls_and_blocks_end() {
    let calls: Vec<String> = (0..1000)
        .map(|at| format!(r#"{{"choices":[{{"index":0,"delta":{{"tool_calls":[{{"index":{at},"id":"i{at}","function":{{"name":"a","arguments":"{{}}"}}}}]}}}}]}}"#))
        .collect();
    let calls: Vec<&str> = calls.iter().map(String::as_str).collect();
    assert!(openai(&calls).ended.unwrap_err().error.message.contains("128"));
    let blocks: Vec<String> = (0..5000)
        .map(|at| {
            format!(r#"{{"type":"content_block_start","index":{at},"content_block":{{"type":"text","text":""}}}}"#)
        })
        .collect();
    let blocks: Vec<&str> = blocks.iter().map(String::as_str).collect();
    assert!(anthropic(&blocks).ended.is_err());
}

#[test]
fn depth_does_not_overflow_the_stack() {
    let deep = format!("{{\"x\":{}", "[".repeat(1 << 17));
    assert!(openai(&[&deep]).ended.is_err());
    assert!(anthropic(&[&deep]).ended.is_err());
    let inside = format!(r#"{{"choices":[],"x":{}{}}}"#, "[".repeat(1 << 17), "]".repeat(1 << 17));
    let _ = openai(&[&inside]);
    let arguments = format!("{}{}", "[".repeat(1 << 17), "]".repeat(1 << 17));
    let call = format!(
        r#"{{"choices":[{{"index":0,"delta":{{"tool_calls":[{{"index":0,"id":"i","function":{{"name":"a","arguments":{{"x":{arguments}}}}}}}]}}}}]}}"#
    );
    let _ = openai(&[&call, FINISH]);
}

#[test]
fn json_of_another_shape_is_an_error_or_nothing() {
    for event in [
        "null",
        "1",
        "\"x\"",
        "[]",
        "[[]]",
        "{}",
        "true",
        r#"{"choices":{}}"#,
        r#"{"choices":[1]}"#,
        r#"{"type":1}"#,
        r#"{"type":"content_block_start","content_block":[]}"#,
    ] {
        openai(&[event, FINISH]);
        anthropic(&[event, r#"{"type":"message_stop"}"#]);
    }
}

fn streams() -> impl Strategy<Value = (bool, String)> {
    let openai = prop::collection::vec(
        prop::sample::select(vec![
            r#"{"choices":[{"index":0,"delta":{"content":"a\ud83d"}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"content":"\ude00"}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"reasoning":"r"}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"i","function":{"name":"a","arguments":"{\"x\":"}}]}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"1}"}}]}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"id":"j","function":{"name":"b","arguments":{}}}]}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"function":{"name":"c"}}]}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"i","function":{"name":"","arguments":"]"}}]}}]}"#,
            FINISH,
            "[DONE]",
        ]),
        0..14,
    );
    let anthropic = prop::collection::vec(
        prop::sample::select(vec![
            r#"{"type":"message_start","message":{"usage":{"input_tokens":18446744073709551615,"cache_read_input_tokens":9}}}"#,
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":"\ud83d"}}"#,
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":""}}"#,
            r#"{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"i","name":"a","input":{}}}"#,
            r#"{"type":"content_block_start","index":1,"content_block":{"type":"odd","id":"i"}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"text":"x","thinking":"y","signature":"z"}}"#,
            r#"{"type":"content_block_delta","index":1,"delta":{"partial_json":"{"}}"#,
            r#"{"type":"content_block_delta","index":1,"delta":{"partial_json":"}"}}"#,
            r#"{"type":"content_block_stop","index":1}"#,
            r#"{"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":3}}"#,
            r#"{"type":"message_stop"}"#,
        ]),
        0..14,
    );
    let join = |events: Vec<&str>| events.iter().map(|event| format!("data: {event}\n\n")).collect::<String>();
    prop_oneof![
        openai.prop_map(move |events| (true, join(events))),
        anthropic.prop_map(move |events| (false, join(events)))
    ]
}

proptest! {
    #[test]
    fn events_in_any_order_keep_the_rules((is_openai, stream) in streams()) {
        let codec: &dyn Provider = if is_openai { &OpenAi } else { &Anthropic };
        check_invariants(&read(codec, &[stream.as_bytes()]));
    }

    #[test]
    fn damaged_streams_keep_the_rules(
        (is_openai, stream) in streams(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
    ) {
        let codec: &dyn Provider = if is_openai { &OpenAi } else { &Anthropic };
        let mut bytes = stream.into_bytes();
        for (at, byte) in damage {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
        }
        check_invariants(&read(codec, &[&bytes]));
    }
}
