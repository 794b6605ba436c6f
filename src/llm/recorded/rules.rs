//! The rules that hold for every vendor alike, each shown for each.

use super::{Read, check_invariants, read};
use crate::llm::LlmErrorKind;
use crate::llm::anthropic::Anthropic;
use crate::llm::google::Google;
use crate::llm::ollama::Ollama;
use crate::llm::openai::{OpenAi, Responses};
use crate::llm::provider::Provider;
use crate::llm::sse::MAX_EVENT;

/// A vendor, how it says a text, how it makes a call, and how it ends.
struct Vendor {
    name: &'static str,
    codec: &'static dyn Provider,
    text: fn(&str) -> String,
    call: fn(usize, &str) -> String,
    end: &'static str,
}

const VENDORS: [Vendor; 5] = [
    Vendor {
        name: "openai",
        codec: &OpenAi,
        text: |text| format!(r#"{{"choices":[{{"index":0,"delta":{{"content":"{text}"}}}}]}}"#),
        call: |at, arguments| {
            format!(
                r#"{{"choices":[{{"index":0,"delta":{{"tool_calls":[{{"index":{at},"id":"i{at}","function":{{"name":"t","arguments":{arguments}}}}}]}}}}]}}"#
            )
        },
        end: r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
    },
    Vendor {
        name: "responses",
        codec: &Responses,
        text: |text| format!(r#"{{"type":"response.output_text.delta","item_id":"m","delta":"{text}"}}"#),
        call: |at, arguments| {
            format!(
                r#"{{"type":"response.output_item.done","item":{{"type":"function_call","id":"f{at}","call_id":"i{at}","name":"t","arguments":{arguments}}}}}"#
            )
        },
        end: r#"{"type":"response.completed","response":{}}"#,
    },
    Vendor {
        name: "anthropic",
        codec: &Anthropic,
        text: |text| {
            format!(r#"{{"type":"content_block_delta","index":0,"delta":{{"type":"text_delta","text":"{text}"}}}}"#)
        },
        call: |at, arguments| {
            format!(
                r#"{{"type":"content_block_start","index":{},"content_block":{{"type":"tool_use","id":"i{at}","name":"t","input":{arguments}}}}}"#,
                at + 1
            )
        },
        end: r#"{"type":"message_stop"}"#,
    },
    Vendor {
        name: "google",
        codec: &Google,
        text: |text| format!(r#"{{"candidates":[{{"content":{{"parts":[{{"text":"{text}"}}]}}}}]}}"#),
        call: |at, arguments| {
            format!(
                r#"{{"candidates":[{{"content":{{"parts":[{{"functionCall":{{"id":"i{at}","name":"t","args":{arguments}}}}}]}}}}]}}"#
            )
        },
        end: r#"{"candidates":[{"finishReason":"STOP"}]}"#,
    },
    Vendor {
        name: "ollama",
        codec: &Ollama,
        text: |text| format!(r#"{{"message":{{"content":"{text}"}}}}"#),
        call: |at, arguments| {
            format!(
                r#"{{"message":{{"tool_calls":[{{"id":"i{at}","function":{{"name":"t","arguments":{arguments}}}}}]}}}}"#
            )
        },
        end: r#"{"done":true}"#,
    },
];

impl Vendor {
    fn begin(&self) -> String {
        match self.name {
            "anthropic" => {
                self.event(r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#)
            }
            _ => String::new(),
        }
    }

    fn event(&self, event: &str) -> String {
        if self.name == "ollama" { format!("{event}\n") } else { format!("data: {event}\n\n") }
    }

    fn read(&self, events: &[String]) -> Read {
        let stream: String =
            std::iter::once(self.begin()).chain(events.iter().map(|event| self.event(event))).collect();
        let read = read(self.codec, &[stream.as_bytes()]);
        check_invariants(&read);
        read
    }
}

#[test]
fn an_end_of_file_is_no_end() {
    for vendor in &VENDORS {
        assert!(vendor.read(&[(vendor.text)("a")]).ended.is_err(), "{}", vendor.name);
        assert!(vendor.read(&[]).ended.is_err(), "{}", vendor.name);
        assert_eq!(vendor.read(&[(vendor.text)("a"), vendor.end.into()]).text(), "a", "{}", vendor.name);
    }
}

#[test]
fn halves_of_a_character_meet_across_events_and_strays_are_replaced() {
    for vendor in &VENDORS {
        let events = [(vendor.text)(r"a\ud83d"), (vendor.text)(r"\ude00\ud83d"), vendor.end.to_owned()];
        let read = vendor.read(&events);
        assert_eq!(read.text(), "a😀\u{fffd}", "{}", vendor.name);
        let raw = read.response().turn.raw.as_ref().map(|raw| raw.get().to_owned()).unwrap_or_default();
        assert!(!raw.contains(r"\ud"), "{}: {raw}", vendor.name);
    }
}

#[test]
fn halves_inside_arguments_do_not_spoil_the_call_or_its_echo() {
    for vendor in &VENDORS {
        let read = vendor.read(&[(vendor.call)(0, r#"{"x":"a\ud83d"}"#), vendor.end.into()]);
        let arguments = read.called()[0].1.clone();
        let parsed: serde_json::Value = serde_json::from_str(&arguments).expect(vendor.name);
        assert_eq!(parsed["x"], "a\u{fffd}", "{}", vendor.name);
        serde_json::from_str::<serde_json::Value>(read.response().turn.raw.as_ref().unwrap().get()).expect(vendor.name);
    }
}

#[test]
fn bad_utf8_is_replaced_and_does_not_end_the_stream() {
    for vendor in &VENDORS {
        let text = (vendor.text)("a?b");
        let mut stream = format!("{}{}{}", vendor.begin(), vendor.event(&text), vendor.event(vendor.end)).into_bytes();
        for at in 0..stream.len() {
            if stream[at..].starts_with(b"a?b") {
                stream[at + 1] = 0xff;
            }
        }
        assert_eq!(read(vendor.codec, &[&stream]).text(), "a\u{fffd}b", "{}", vendor.name);
    }
}

#[test]
fn unknown_events_say_nothing() {
    for vendor in &VENDORS {
        let news = [r#"{"type":"news","x":[{"\ud800":1e999}]}"#, r#"{"object":"ping"}"#, "{}"].map(str::to_owned);
        let events: Vec<String> = news.into_iter().chain([(vendor.text)("a"), vendor.end.into()]).collect();
        assert_eq!(vendor.read(&events).text(), "a", "{}", vendor.name);
    }
}

#[test]
fn an_error_in_a_good_answer_is_an_error_and_what_followed_is_not_read() {
    for vendor in &VENDORS {
        let error = r#"{"error":{"code":529,"message":"busy","type":"overloaded_error"}}"#.to_owned();
        let read = vendor.read(&[(vendor.text)("a"), error, (vendor.text)("b"), vendor.end.into()]);
        assert_eq!(read.text(), "a", "{}", vendor.name);
        assert_eq!(read.ended.unwrap_err().error.kind, LlmErrorKind::Overloaded, "{}", vendor.name);
    }
}

#[test]
fn calls_arguments_and_events_are_bounded() {
    for vendor in &VENDORS {
        let calls: Vec<String> = (0..200).map(|at| (vendor.call)(at, "{}")).collect();
        let message = vendor.read(&calls).ended.unwrap_err().error.message;
        assert!(message.contains("128"), "{}: {message}", vendor.name);

        let large = (vendor.call)(0, &format!(r#"{{"x":"{}"}}"#, "x".repeat(5 << 20)));
        let message = vendor.read(&[large]).ended.unwrap_err().error.message;
        assert!(message.contains("4 MiB"), "{}: {message}", vendor.name);

        let endless = vendor.event(&(vendor.text)(&"x".repeat(MAX_EVENT)));
        let chunks: Vec<&[u8]> = endless.as_bytes().chunks(1 << 20).collect();
        let message = read(vendor.codec, &chunks).ended.unwrap_err().error.message;
        assert!(message.contains("16 MiB"), "{}: {message}", vendor.name);
    }
}

#[test]
fn no_arguments_are_an_empty_object() {
    for vendor in &VENDORS {
        for none in ["{}", "null"] {
            let read = vendor.read(&[(vendor.call)(0, none), vendor.end.into()]);
            assert_eq!(read.called(), [("t".into(), "{}".into())], "{} {none}", vendor.name);
        }
    }
}

#[test]
fn twice_the_same_name_of_a_call_is_two_calls() {
    for vendor in VENDORS.iter().filter(|vendor| !matches!(vendor.name, "openai" | "responses")) {
        let call = (vendor.call)(0, "{}");
        let again = call.replace("\"index\":1", "\"index\":2");
        let read = vendor.read(&[call, again, vendor.end.into()]);
        let calls = read.calls();
        assert_eq!(calls.len(), 2, "{}", vendor.name);
        assert_ne!(calls[0].id, calls[1].id, "{}", vendor.name);
    }
}

#[test]
fn depth_and_json_of_another_shape_do_no_harm() {
    let deep = format!(r#"{{"x":{}"#, "[".repeat(1 << 17));
    let inside = format!("{{\"x\":{}{}}}", "[".repeat(1 << 17), "]".repeat(1 << 17));
    for vendor in &VENDORS {
        assert!(vendor.read(std::slice::from_ref(&deep)).ended.is_err(), "{}", vendor.name);
        let arguments = format!(r#"{{"x":{}{}}}"#, "[".repeat(1 << 17), "]".repeat(1 << 17));
        vendor.read(&[inside.clone(), (vendor.call)(0, &arguments), vendor.end.into()]);
        for odd in [
            "null",
            "1",
            "\"x\"",
            "[]",
            "[[]]",
            "true",
            r#"{"candidates":{}}"#,
            r#"{"message":1}"#,
            r#"{"item":1,"type":"response.output_item.done"}"#,
            r#"{"response":[],"type":"response.completed"}"#,
        ] {
            vendor.read(&[odd.to_owned(), vendor.end.into()]);
        }
    }
}
