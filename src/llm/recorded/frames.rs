//! Streams made of a few events that come again and again with other texts, which is what the decoders' frames are for:
//! whatever refers to what, and whatever stands between two of the same, they must say what parsing each event says.

use proptest::prelude::*;
use proptest::sample::select;

use super::{check_invariants, read};
use crate::llm::anthropic::Anthropic;
use crate::llm::openai::{OpenAi, Responses};
use crate::llm::provider::Provider;

/// An event with `TEXT` where its text goes.
type Kind = BoxedStrategy<String>;

/// Texts as JSON spells them, some of which are halves of others.
const TEXTS: &[&str] = &[
    r#""a""#,
    r#""""#,
    r#""é😀""#,
    r#""\ud83d""#,
    r#""\ude00""#,
    r#""\n\u00e9\\""#,
    r#""{""#,
    r#""}""#,
    r#""\"x\":1""#,
    r#""\ud83d\ude00""#,
    "null",
    "7",
    r#"{"a":1}"#,
    r#""\x""#,
];

/// A field that is there or not.
fn field(name: &'static str, values: &'static [&'static str]) -> BoxedStrategy<String> {
    select(values)
        .prop_map(move |value| if value.is_empty() { String::new() } else { format!("\"{name}\":{value},") })
        .boxed()
}

/// An object of these fields in this order; the last one ends it.
fn object(fields: Vec<BoxedStrategy<String>>, last: &'static str) -> Kind {
    fields.prop_map(move |fields| format!("{{{}{last}}}", fields.concat())).boxed()
}

fn chat() -> Kind {
    let index = || field("index", &["", "0", "0", "1", "null"]);
    let call = object(
        vec![
            index(),
            field("id", &["", "", "\"\"", "\"i\"", "\"j\"", "null"]),
            field("extra_content", &["", "", "{\"x\":1}"]),
        ],
        r#""function":{NAME"arguments":TEXT}"#,
    );
    let call = (call, select(&["", "", r#""name":"t","#, r#""name":"","#][..]));
    let call = call.prop_map(|(call, name)| call.replace("NAME", name));
    let calls = prop_oneof![4 => call.clone(), 1 => (call.clone(), call).prop_map(|(one, two)| format!("{one},{two}"))];
    let delta = prop_oneof![
        select(&["content", "refusal", "reasoning", "reasoning_content"][..])
            .prop_map(|name| format!("\"{name}\":TEXT")),
        Just(r#""content":"","reasoning":TEXT"#.to_owned()),
        Just(r#""content":null,"reasoning_content":TEXT,"tool_calls":[]"#.to_owned()),
        Just(r#""role":"assistant","refusal":"","content":TEXT"#.to_owned()),
        calls.prop_map(|calls| format!("\"content\":null,\"tool_calls\":[{calls}]")),
    ];
    let finish = select(&["", "", "null", "\"\"", "\"stop\"", "\"tool_calls\""][..]);
    let finish =
        finish.prop_map(|value| if value.is_empty() { String::new() } else { format!(",\"finish_reason\":{value}") });
    let choice =
        (index(), delta, finish).prop_map(|(index, delta, finish)| format!("{{{index}\"delta\":{{{delta}}}{finish}}}"));
    let choices =
        prop_oneof![6 => choice.clone(), 1 => (choice.clone(), choice).prop_map(|(one, two)| format!("{one},{two}"))];
    let whole = (field("usage", &["", "", "null", "{\"prompt_tokens\":3}"]), choices);
    prop_oneof![
        9 => whole.prop_map(|(usage, choices)| format!("{{{usage}\"choices\":[{choices}]}}")),
        1 => select(&["[DONE]", r#"{"choices":[]}"#, r#"{"error":{"message":"m"}}"#][..]).prop_map(str::to_owned),
    ]
    .boxed()
}

fn messages() -> Kind {
    let index = || field("index", &["", "0", "0", "1", "2", "null"]);
    let deltas = select(
        &[
            r#""text":TEXT"#,
            r#""type":"text_delta","text":TEXT"#,
            r#""partial_json":TEXT"#,
            r#""thinking":TEXT"#,
            r#""signature":TEXT"#,
            r#""text":TEXT,"citation":{"c":1}"#,
            r#""thinking":TEXT,"signature":"s""#,
            r#""text":TEXT,"partial_json":"{}""#,
            r#""text":TEXT,"stop_reason":"end_turn""#,
        ][..],
    );
    let delta = (
        field("type", &["", "\"content_block_delta\"", "\"content_block_delta\"", "\"message_delta\""]),
        index(),
        deltas,
    )
        .prop_map(|(kind, index, delta)| format!("{{{kind}{index}\"delta\":{{{delta}}}}}"));
    let blocks = select(
        &[
            r#"{"type":"text","text":TEXT}"#,
            r#"{"type":"thinking","thinking":TEXT}"#,
            r#"{"type":"tool_use","id":"i","name":"t","input":{}}"#,
            r#"{"type":"server_tool_use","input":{}}"#,
        ][..],
    );
    let start = (index(), blocks)
        .prop_map(|(index, block)| format!("{{\"type\":\"content_block_start\",{index}\"content_block\":{block}}}"));
    let rest = (select(&["content_block_stop", "message_stop", "ping"][..]), index())
        .prop_map(|(kind, index)| format!("{{{index}\"type\":\"{kind}\"}}"));
    prop_oneof![6 => delta, 4 => start, 2 => rest].boxed()
}

fn responses() -> Kind {
    let id = |name| field(name, &["", "", "\"m\"", "\"n\"", "\"f\"", "\"\"", "null"]);
    let index = || field("output_index", &["", "", "0", "1", "2"]);
    let kinds = [
        "response.output_text.delta",
        "response.refusal.delta",
        "response.reasoning_text.delta",
        "response.reasoning_summary_text.delta",
        "response.function_call_arguments.delta",
    ];
    let delta = (
        select(kinds.to_vec()),
        id("item_id"),
        index(),
        field("sequence_number", &["", "NUMBER", "\"NUMBER\"", "1.5"]),
        field("obfuscation", &["", "\"xY\"", "\"\\u0041\"", "\"é\"", "null", "TEXT"]),
    )
        .prop_map(|(kind, id, index, number, padding)| {
            format!("{{\"type\":\"{kind}\",{id}{index}{number}{padding}\"delta\":TEXT}}")
        });
    let items = select(
        &[
            r#""type":"message","content":[{"text":TEXT}]"#,
            r#""type":"message","content":[]"#,
            r#""type":"reasoning""#,
            r#""type":"function_call","call_id":"c","name":"t","arguments":TEXT"#,
            r#""type":"function_call","name":"u""#,
            r#""type":"odd""#,
        ][..],
    );
    let item = (select(&["added", "done"][..]), index(), id("id"), items).prop_map(|(when, index, id, item)| {
        format!("{{\"type\":\"response.output_item.{when}\",{index}\"item\":{{{id}{item}}}}}")
    });
    let rest = prop_oneof![
        (id("item_id"), index()).prop_map(|(id, index)| {
            format!("{{\"type\":\"response.function_call_arguments.done\",{id}{index}\"arguments\":TEXT}}")
        }),
        select(&[r#"{"type":"response.completed","response":{}}"#, r#"{"type":"response.in_progress"}"#][..])
            .prop_map(str::to_owned),
    ];
    prop_oneof![6 => delta, 4 => item, 1 => rest].boxed()
}

/// A few events, and in which order they come with which texts.
fn streams(kind: fn() -> Kind) -> impl Strategy<Value = String> {
    let events = prop::collection::vec(kind(), 1..7);
    let turns = prop::collection::vec((any::<prop::sample::Index>(), select(TEXTS), select(TEXTS)), 1..24);
    (events, turns, any::<bool>()).prop_map(|(events, turns, named)| {
        let mut stream = String::new();
        for (number, (which, text, other)) in turns.iter().enumerate() {
            let event = which.get(&events).replacen("TEXT", text, 1).replace("TEXT", other);
            if named {
                stream.push_str("event: content_block_delta\n");
            }
            stream.push_str(&format!("data: {}\n\n", event.replace("NUMBER", &number.to_string())));
        }
        stream
    })
}

fn holds(codec: &dyn Provider, stream: &str) {
    check_invariants(&read(codec, &[stream.as_bytes()]));
}

proptest! {
    #[test]
    fn chat_completions_that_repeat_are_read_as_parsed(stream in streams(chat)) {
        holds(&OpenAi, &stream);
    }

    #[test]
    fn messages_that_repeat_are_read_as_parsed(stream in streams(messages)) {
        holds(&Anthropic, &stream);
    }

    #[test]
    fn responses_that_repeat_are_read_as_parsed(stream in streams(responses)) {
        holds(&Responses, &stream);
    }
}
