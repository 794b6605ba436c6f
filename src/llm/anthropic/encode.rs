//! A conversation as a messages body.
//!
//! The API wants user and assistant in turn, all results of a turn in the one message that follows it, and no empty
//! text. Cache marks stand where the prefix will be asked for again: after the tools, after the system text, and on the
//! last two messages that are not the model's (two, because a look-up goes back only 20 blocks and a turn may have more
//! calls). That makes four, which is all the API takes.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{VERSION, version};
use crate::config::ProviderConfig;
use crate::llm::body::{Field, Json, List, Object, body as write_body, room};
use crate::llm::calls::is_object;
use crate::llm::provider::{empty_object, fit_id, made_by};
use crate::llm::{AssistantTurn, LlmError, Message, Request, ToolResult};

/// Options that are ours to read, not the server's.
const READ: [&str; 7] =
    ["version", "beta", "auth", "path_prefix", "prompt_cache", "eager_input_streaming", "diagnostics"];
/// Longer names of calls from elsewhere are shortened.
const MAX_ID: usize = 64;

#[derive(Clone, Copy, Serialize)]
struct CacheControl {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<&'static str>,
}

/// The mark that the option `prompt_cache` asks for.
fn mark_of(provider: &ProviderConfig) -> Option<CacheControl> {
    let ttl = match provider.options.get("prompt_cache") {
        Some(Value::Bool(false)) => return None,
        Some(Value::String(ttl)) if ttl == "1h" => Some("1h"),
        // Five minutes is what the API takes without a word.
        _ => None,
    };
    Some(CacheControl { r#type: "ephemeral", ttl })
}

#[derive(Serialize)]
struct Tool<'a> {
    name: &'a str,
    description: &'a str,
    input_schema: &'a RawValue,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    eager_input_streaming: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_control: Option<CacheControl>,
}

enum WireMessage<'a> {
    Echo(&'a RawValue),
    Ours { role: &'static str, content: Vec<Block<'a>> },
}

impl Json for WireMessage<'_> {
    fn write(&self, out: &mut Vec<u8>) -> serde_json::Result<()> {
        match self {
            Self::Echo(raw) => out.extend_from_slice(raw.get().as_bytes()),
            Self::Ours { role, content } => {
                Object::begin(out).text("role", role).json("content", &List(content))?.end()
            }
        }
        Ok(())
    }
}

enum Block<'a> {
    Text { text: &'a str, cache_control: Option<CacheControl> },
    ToolUse { id: Cow<'a, str>, name: &'a str, input: &'a RawValue },
    ToolResult { id: Cow<'a, str>, content: &'a str, is_error: bool, cache_control: Option<CacheControl> },
}

impl Json for Block<'_> {
    fn write(&self, out: &mut Vec<u8>) -> serde_json::Result<()> {
        let block = Object::begin(out);
        let (mut block, mark) = match self {
            Self::Text { text, cache_control } => (block.text("type", "text").text("text", text), cache_control),
            Self::ToolUse { id, name, input } => {
                (block.text("type", "tool_use").text("id", id).text("name", name).json("input", input)?, &None)
            }
            Self::ToolResult { id, content, is_error, cache_control } => {
                let mut block = block.text("type", "tool_result").text("tool_use_id", id);
                if !content.is_empty() {
                    block = block.text("content", content);
                }
                if *is_error {
                    block = block.json("is_error", is_error)?;
                }
                (block, cache_control)
            }
        };
        if let Some(mark) = mark {
            block = block.json("cache_control", mark)?;
        }
        block.end();
        Ok(())
    }
}

#[derive(Serialize)]
struct ToolChoice {
    r#type: &'static str,
    disable_parallel_tool_use: bool,
}

/// Asks why the cache did not know what this message's request had put there.
#[derive(Serialize)]
struct Diagnostics<'a> {
    previous_message_id: &'a str,
}

pub(super) fn body(request: &Request, provider: &ProviderConfig) -> Result<Bytes, LlmError> {
    let cache = mark_of(provider);
    let is_set = |option: &str| provider.options.get(option) == Some(&Value::Bool(true));
    let eager_input_streaming = is_set("eager_input_streaming");
    let system_text = if request.system.trim().is_empty() { None } else { Some(&*request.system) };
    let mut tools: Vec<_> = request
        .tools
        .iter()
        .map(|tool| Tool {
            name: tool.name,
            description: tool.description,
            input_schema: &tool.schema,
            eager_input_streaming,
            cache_control: None,
        })
        .collect();
    if let Some(last) = tools.last_mut() {
        last.cache_control = cache;
    }
    let system = system_text.map(|text| [Block::Text { text, cache_control: cache }]);
    let mut messages = messages(request, provider);
    // A mark of the user's at the top follows the conversation by itself, and counts among the four.
    if let Some(control) = cache.filter(|_| !provider.options.contains_key("cache_control")) {
        mark(&mut messages, control);
    }
    let messages = List(&messages);
    let previous = request.messages.iter().rev().find_map(|message| match message {
        Message::Assistant(turn) => Some(turn),
        _ => None,
    });
    let previous = previous.filter(|turn| is_set("diagnostics") && made_by(&turn.origin, provider));
    let diagnostics = previous.and_then(|turn| turn.id.as_deref()).map(|id| Diagnostics { previous_message_id: id });
    let serial = ToolChoice { r#type: "auto", disable_parallel_tool_use: true };

    let mut fields: Vec<Field<'_>> =
        vec![("model", &request.model), ("max_tokens", &request.max_output_tokens), ("stream", &true)];
    if let Some(temperature) = request.temperature.as_ref().filter(|_| version(provider) < VERSION) {
        fields.push(("temperature", temperature));
    }
    if !tools.is_empty() {
        fields.push(("tools", &tools));
        if !request.parallel_tools {
            fields.push(("tool_choice", &serial));
        }
    }
    let system = system.as_ref().map(|blocks| List(blocks));
    if let Some(system) = &system {
        fields.push(("system", system));
    }
    if let Some(diagnostics) = &diagnostics {
        fields.push(("diagnostics", diagnostics));
    }
    fields.push(("messages", &messages));
    write_body(&fields, &provider.options, &READ, room(request))
}

fn messages<'a>(request: &'a Request, provider: &ProviderConfig) -> Vec<WireMessage<'a>> {
    let mut wire: Vec<WireMessage<'a>> = Vec::with_capacity(request.messages.len());
    // Results answer the turn before them: were its ids echoed as they came, theirs must be too.
    let mut echoed = true;
    for message in &request.messages {
        match message {
            Message::User(text) if text.trim().is_empty() => {}
            Message::User(text) => user(&mut wire).push(Block::Text { text, cache_control: None }),
            Message::ToolResults(results) => {
                let blocks = results.iter().map(|result| tool_result(result, echoed));
                user(&mut wire).extend(blocks);
            }
            Message::Assistant(turn) => match &turn.raw {
                Some(raw) if made_by(&turn.origin, provider) => {
                    echoed = true;
                    wire.push(WireMessage::Echo(raw));
                }
                _ => {
                    echoed = false;
                    let content = neutral(turn);
                    if !content.is_empty() {
                        wire.push(WireMessage::Ours { role: "assistant", content });
                    }
                }
            },
        }
    }
    wire
}

/// The content of the user message at the end, begun if there is none.
fn user<'w, 'a>(wire: &'w mut Vec<WireMessage<'a>>) -> &'w mut Vec<Block<'a>> {
    if !matches!(wire.last(), Some(WireMessage::Ours { role: "user", .. })) {
        wire.push(WireMessage::Ours { role: "user", content: Vec::new() });
    }
    match wire.last_mut() {
        Some(WireMessage::Ours { content, .. }) => content,
        _ => unreachable!("a user message of ours was put at the end just now"),
    }
}

fn tool_result(result: &ToolResult, echoed: bool) -> Block<'_> {
    Block::ToolResult {
        id: fit_id(result.call.as_str(), MAX_ID, echoed),
        content: &result.content,
        is_error: result.is_error,
        cache_control: None,
    }
}

/// A turn of another provider: what it said and called, without its reasoning.
fn neutral(turn: &AssistantTurn) -> Vec<Block<'_>> {
    let mut content = Vec::with_capacity(1 + turn.calls.len());
    if !turn.text.trim().is_empty() {
        content.push(Block::Text { text: &turn.text, cache_control: None });
    }
    content.extend(turn.calls.iter().map(|call| {
        Block::ToolUse {
            id: fit_id(call.id.as_str(), MAX_ID, false),
            name: &call.name,
            input: Some(&*call.arguments)
                .filter(|text| is_object(text))
                .and_then(|text| serde_json::from_str(text).ok())
                .unwrap_or_else(|| empty_object()),
        }
    }));
    content
}

/// Marks the last block of the last two messages of ours.
fn mark(messages: &mut [WireMessage<'_>], control: CacheControl) {
    let ours = messages.iter_mut().rev().filter_map(|message| match message {
        WireMessage::Ours { role: "user", content } => content.last_mut(),
        _ => None,
    });
    for block in ours.take(2) {
        if let Block::Text { cache_control, .. } | Block::ToolResult { cache_control, .. } = block {
            *cache_control = Some(control);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::config::ProviderKind;
    use crate::ids::CallId;
    use crate::llm::endpoint::example;
    use crate::llm::{ToolCall, ToolSpec};

    fn request(messages: Vec<Message>) -> Request {
        let schema = RawValue::from_string("{\"type\":\"object\"}".to_owned()).unwrap();
        Request {
            model: Arc::from("m"),
            system: Arc::from("s"),
            tools: Arc::from([ToolSpec { name: "t", description: "d", schema: Arc::from(schema) }]),
            messages,
            max_output_tokens: 7,
            context_window: 9_000,
            temperature: Some(0.5),
            parallel_tools: false,
        }
    }

    fn encoded(request: &Request, options: Value) -> Value {
        let mut provider = example(ProviderKind::Anthropic, "https://a.b");
        provider.options = options.as_object().unwrap().clone();
        serde_json::from_slice(&body(request, &provider).unwrap()).unwrap()
    }

    fn user(text: &str) -> Message {
        Message::User(Arc::from(text))
    }

    fn turn(ids: &[&str]) -> Message {
        let call = |id: &&str| ToolCall { id: CallId::from(*id), name: Arc::from("t"), arguments: Arc::from("{}") };
        Message::Assistant(Arc::new(AssistantTurn {
            calls: ids.iter().map(call).collect(),
            ..AssistantTurn::default()
        }))
    }

    fn results(ids: &[&str]) -> Message {
        let result = |id: &&str| ToolResult {
            call: CallId::from(*id),
            name: Arc::from("t"),
            content: Arc::from(""),
            is_error: false,
        };
        Message::ToolResults(ids.iter().map(result).collect())
    }

    #[test]
    fn a_temperature_goes_to_older_versions_only() {
        let request = request(vec![user("hi")]);
        assert!(encoded(&request, json!({})).get("temperature").is_none());
        assert_eq!(encoded(&request, json!({"version": "2023-06-01"}))["temperature"], json!(0.5));
    }

    #[test]
    fn thinking_and_effort_pass_and_serial_calls_are_asked_for() {
        let options = json!({"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}, "beta": "x", "path_prefix": "/v2"});
        let body = encoded(&request(vec![user("hi")]), options);
        assert_eq!((&body["thinking"]["type"], &body["output_config"]["effort"]), (&json!("adaptive"), &json!("low")));
        assert_eq!(body["tool_choice"], json!({"type": "auto", "disable_parallel_tool_use": true}));
        assert!(body.get("beta").is_none() && body.get("path_prefix").is_none());
    }

    #[test]
    fn marks_stand_on_the_system_and_on_our_last_two_messages() {
        let messages = vec![user("a"), turn(&["i"]), results(&["i"]), turn(&["j"]), results(&["j"])];
        let marked = encoded(&request(messages.clone()), json!({}));
        assert_eq!(marked.to_string().matches("cache_control").count(), 4);
        assert!(marked["tools"][0].get("cache_control").is_some());
        assert!(marked["system"][0].get("cache_control").is_some());
        assert!(marked["messages"][4]["content"][0].get("cache_control").is_some());
        assert!(marked["messages"][2]["content"][0].get("cache_control").is_some());
        let plain = encoded(&request(messages.clone()), json!({"prompt_cache": false}));
        assert!(!plain.to_string().contains("cache_control"));
        let hour = encoded(&request(messages.clone()), json!({"prompt_cache": "1h"}));
        assert_eq!(hour["system"][0]["cache_control"], json!({"type": "ephemeral", "ttl": "1h"}));
        let top = encoded(&request(messages.clone()), json!({"cache_control": {"type": "ephemeral"}}));
        assert_eq!(top.to_string().matches("cache_control").count(), 3, "{top}");
        let mut without_system = request(messages);
        without_system.system = Arc::from(" ");
        let body = encoded(&without_system, json!({}));
        assert!(body.get("system").is_none() && body["tools"][0].get("cache_control").is_some());
    }

    #[test]
    fn arguments_stream_as_they_are_written_and_a_cache_miss_is_asked_about_where_the_user_wants_it() {
        let said = Message::Assistant(Arc::new(AssistantTurn {
            origin: Arc::from("p/m"),
            text: "so".to_owned(),
            id: Some(Arc::from("msg_1")),
            ..AssistantTurn::default()
        }));
        let request = request(vec![user("a"), said, user("b")]);
        let plain = encoded(&request, json!({}));
        assert!(plain.get("diagnostics").is_none() && plain["tools"][0].get("eager_input_streaming").is_none());
        let wanted = encoded(&request, json!({"diagnostics": true, "eager_input_streaming": true}));
        assert_eq!(wanted["diagnostics"], json!({"previous_message_id": "msg_1"}));
        assert_eq!(wanted["tools"][0]["eager_input_streaming"], true);
        assert!(wanted.get("eager_input_streaming").is_none());
    }

    #[test]
    fn results_and_what_the_user_says_next_are_one_message_results_first() {
        let body = encoded(
            &request(vec![user("a"), turn(&["i", "j"]), results(&["i", "j"]), user("go on"), user("")]),
            json!({"prompt_cache": false}),
        );
        assert_eq!(body["messages"].as_array().unwrap().len(), 3);
        assert_eq!(
            body["messages"][2],
            json!({"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "i"},
                {"type": "tool_result", "tool_use_id": "j"},
                {"type": "text", "text": "go on"},
            ]})
        );
    }

    #[test]
    fn empty_texts_and_empty_turns_are_left_out() {
        let body =
            encoded(&request(vec![user("a"), turn(&[]), user(" \n"), user("b")]), json!({"prompt_cache": false}));
        assert_eq!(
            body["messages"],
            json!([{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}])
        );
    }

    #[test]
    fn ids_this_api_refuses_are_changed_alike_on_both_sides_and_stay_apart() {
        let body =
            encoded(&request(vec![user("a"), turn(&["a.b", "a/b", ""]), results(&["a.b", "a/b", ""])]), json!({}));
        let (uses, answers) = (&body["messages"][1]["content"], &body["messages"][2]["content"]);
        for at in 0..3 {
            assert_eq!(uses[at]["id"], answers[at]["tool_use_id"]);
        }
        assert_ne!(uses[0]["id"], uses[1]["id"]);
    }
}
