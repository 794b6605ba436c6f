//! Streams that mean harm, or were made by a die.

use proptest::prelude::*;

use super::{anthropic, check_invariants, openai, read};
use crate::llm::anthropic::Anthropic;
use crate::llm::google::Google;
use crate::llm::ollama::Ollama;
use crate::llm::openai::{OpenAi, Responses};
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

/// Events of each vendor, to be shuffled.
const BAGS: [(&dyn Provider, &[&str]); 5] = [
    (
        &OpenAi,
        &[
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
        ],
    ),
    (
        &Anthropic,
        &[
            r#"{"type":"message_start","message":{"id":"m","usage":{"input_tokens":18446744073709551615,"cache_read_input_tokens":9},"diagnostics":{"cache_miss_reason":{"x":1}}}}"#,
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
        ],
    ),
    (
        &Google,
        &[
            r#"{"candidates":[{"content":{"parts":[{"text":"a\ud83d"}]}}]}"#,
            r#"{"candidates":[{"content":{"parts":[{"text":"\ude00","thoughtSignature":"s"}]}}]}"#,
            r#"{"candidates":[{"content":{"parts":[{"text":"r\ud83d","thought":true},{"functionCall":{"name":"a","args":{"x":"\ud83d"}}}]}}]}"#,
            r#"{"candidates":[{"content":{"parts":[{"functionCall":{"id":"i","name":"","args":[1]}},{"functionCall":{"id":"i"}}]}}]}"#,
            r#"{"candidates":[{"content":{"parts":[{"odd":{}}]}}],"usageMetadata":{"promptTokenCount":18446744073709551615,"toolUsePromptTokenCount":1}}"#,
            r#"{"promptFeedback":{"blockReason":"SAFETY"}}"#,
            r#"{"candidates":[{"finishReason":"STOP"}]}"#,
            r#"{"candidates":[{"finishReason":"MALFORMED_FUNCTION_CALL"}]}"#,
        ],
    ),
    (
        &Responses,
        &[
            r#"{"type":"response.output_item.added","output_index":0,"item":{"id":"m","type":"message"}}"#,
            r#"{"type":"response.output_item.added","output_index":1,"item":{"id":"f","type":"function_call","call_id":"c","name":"a"}}"#,
            r#"{"type":"response.output_item.added","item":{"type":"function_call","name":""}}"#,
            r#"{"type":"response.output_text.delta","item_id":"m","delta":"a\ud83d"}"#,
            r#"{"type":"response.output_text.delta","output_index":0,"delta":"\ude00"}"#,
            r#"{"type":"response.reasoning_text.delta","delta":"r"}"#,
            r#"{"type":"response.refusal.delta","item_id":"m","delta":"no"}"#,
            r#"{"type":"response.function_call_arguments.delta","item_id":"f","delta":"{\"x\":"}"#,
            r#"{"type":"response.function_call_arguments.delta","delta":"1}"}"#,
            r#"{"type":"response.function_call_arguments.done","item_id":"f","arguments":"{\"x\":1}"}"#,
            r#"{"type":"response.output_item.done","output_index":1,"item":{"id":"f","type":"function_call","call_id":"c","name":"a","arguments":"{\"x\":1}"}}"#,
            r#"{"type":"response.output_item.done","item":{"id":"m","type":"message","content":[{"type":"output_text","text":"\ud83d"}]}}"#,
            r#"{"type":"response.output_item.done","item":{"type":"odd"}}"#,
            r#"{"type":"response.completed","response":{"output":[{"type":"message","content":[{"text":"b"}]},{"type":"function_call","arguments":{}}]}}"#,
            r#"{"type":"response.incomplete","response":{"incomplete_details":{"reason":"max_output_tokens"}}}"#,
        ],
    ),
    (
        &Ollama,
        &[
            r#"{"message":{"content":"a\ud83d"}}"#,
            r#"{"message":{"content":"\ude00","thinking":"r\ud83d"}}"#,
            r#"{"message":{"tool_calls":[{"function":{"name":"a","arguments":{"x":"\ud83d"}}},{"function":{}}]}}"#,
            r#"{"message":{"tool_calls":[{"id":"i","function":{"name":"","arguments":"{\"x\":"}}]}}"#,
            r#"{"done":true,"done_reason":"length","eval_count":18446744073709551615}"#,
            r#"{"done":true}"#,
        ],
    ),
];

fn streams() -> impl Strategy<Value = (usize, String)> {
    (0..BAGS.len()).prop_flat_map(|vendor| {
        let events = prop::collection::vec(prop::sample::select(BAGS[vendor].1), 0..14);
        let join = move |events: Vec<&str>| {
            let event = |event: &&str| if vendor == 4 { format!("{event}\n") } else { format!("data: {event}\n\n") };
            (vendor, events.iter().map(event).collect::<String>())
        };
        events.prop_map(join)
    })
}

proptest! {
    #[test]
    fn events_in_any_order_keep_the_rules((vendor, stream) in streams()) {
        check_invariants(&read(BAGS[vendor].0, &[stream.as_bytes()]));
    }

    #[test]
    fn damaged_streams_keep_the_rules(
        (vendor, stream) in streams(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
    ) {
        let mut bytes = stream.into_bytes();
        for (at, byte) in damage {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
        }
        check_invariants(&read(BAGS[vendor].0, &[&bytes]));
    }
}
