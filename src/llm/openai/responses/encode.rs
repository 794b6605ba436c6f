//! A conversation as a Responses body. The stable part (instructions, tools) stands before what grows.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::config::ProviderConfig;
use crate::llm::body::{Field, Json, List, Object, body as write_body, room};
use crate::llm::calls::is_object;
use crate::llm::openai::READ;
use crate::llm::provider::{fit_id, made_by};
use crate::llm::{AssistantTurn, LlmError, Message, Request};

/// Longer names of calls are refused.
const MAX_ID: usize = 64;

enum Item<'a> {
    Message { role: &'static str, content: &'a str },
    Call { call_id: Cow<'a, str>, name: &'a str, arguments: &'a str },
    Output { call_id: Cow<'a, str>, output: &'a str },
    Echo(&'a RawValue),
}

impl Json for Item<'_> {
    fn write(&self, out: &mut Vec<u8>) -> serde_json::Result<()> {
        match self {
            Self::Message { role, content } => Object::begin(out).text("role", role).text("content", content).end(),
            Self::Call { call_id, name, arguments } => {
                let call = Object::begin(out).text("type", "function_call").text("call_id", call_id);
                call.text("name", name).text("arguments", arguments).end();
            }
            Self::Output { call_id, output } => {
                let result = Object::begin(out).text("type", "function_call_output").text("call_id", call_id);
                result.text("output", output).end();
            }
            Self::Echo(raw) => out.extend_from_slice(raw.get().as_bytes()),
        }
        Ok(())
    }
}

#[derive(Serialize)]
struct Tool<'a> {
    r#type: &'static str,
    name: &'a str,
    description: &'a str,
    parameters: &'a RawValue,
    /// Required; strict schemas may leave nothing optional, which ours do.
    strict: bool,
}

pub(super) fn body(request: &Request, provider: &ProviderConfig) -> Result<Bytes, LlmError> {
    let tools: Vec<_> = request
        .tools
        .iter()
        .map(|tool| Tool {
            r#type: "function",
            name: tool.name,
            description: tool.description,
            parameters: &tool.schema,
            strict: false,
        })
        .collect();
    let input = input(request, provider);
    let input = List(&input);
    let include = ["reasoning.encrypted_content"];
    let mut fields: Vec<Field<'_>> = vec![
        ("model", &request.model),
        ("stream", &true),
        ("store", &false),
        ("include", &include),
        ("max_output_tokens", &request.max_output_tokens),
    ];
    if let Some(temperature) = &request.temperature {
        fields.push(("temperature", temperature));
    }
    if !request.system.is_empty() {
        fields.push(("instructions", &request.system));
    }
    if !tools.is_empty() {
        fields.push(("tools", &tools));
        if !request.parallel_tools {
            fields.push(("parallel_tool_calls", &false));
        }
    }
    fields.push(("input", &input));
    write_body(&fields, &provider.options, &READ, room(request))
}

fn input<'a>(request: &'a Request, provider: &ProviderConfig) -> Vec<Item<'a>> {
    let mut input = Vec::with_capacity(request.messages.len() * 2);
    // Results answer the turn before them: were its ids echoed as they came, theirs must be too.
    let mut echoed = true;
    for message in &request.messages {
        match message {
            Message::User(text) => input.push(Item::Message { role: "user", content: text }),
            Message::ToolResults(results) => input.extend(results.iter().map(|result| Item::Output {
                call_id: fit_id(result.call.as_str(), MAX_ID, echoed),
                output: &result.content,
            })),
            Message::Assistant(turn) => match items(turn, provider) {
                Some(items) => {
                    echoed = true;
                    input.extend(items.into_iter().map(Item::Echo));
                }
                None => {
                    echoed = false;
                    retell(turn, &mut input);
                }
            },
        }
    }
    input
}

/// The items of a turn that this API made. The same provider may have made it by chat completions, in another form.
fn items<'a>(turn: &'a AssistantTurn, provider: &ProviderConfig) -> Option<Vec<&'a RawValue>> {
    let raw = turn.raw.as_ref().filter(|raw| made_by(&turn.origin, provider) && raw.get().starts_with('['))?;
    serde_json::from_str(raw.get()).ok()
}

fn retell<'a>(turn: &'a AssistantTurn, input: &mut Vec<Item<'a>>) {
    if !turn.text.is_empty() {
        input.push(Item::Message { role: "assistant", content: &turn.text });
    }
    input.extend(turn.calls.iter().map(|call| Item::Call {
        call_id: fit_id(call.id.as_str(), MAX_ID, false),
        name: &call.name,
        arguments: if is_object(&call.arguments) { &call.arguments } else { "{}" },
    }));
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::config::ProviderKind;
    use crate::ids::CallId;
    use crate::llm::endpoint::example;
    use crate::llm::{ToolCall, ToolResult, ToolSpec};

    fn encoded(messages: Vec<Message>, options: Value) -> Value {
        let schema = RawValue::from_string("{\"type\":\"object\"}".to_owned()).unwrap();
        let request = Request {
            model: Arc::from("m"),
            system: Arc::from("s"),
            tools: Arc::from([ToolSpec { name: "t", description: "d", schema: Arc::from(schema) }]),
            messages,
            max_output_tokens: 7,
            context_window: 9_000,
            temperature: None,
            parallel_tools: false,
        };
        let mut provider = example(ProviderKind::OpenAi, "https://a.b/v1");
        provider.options = options.as_object().unwrap().clone();
        serde_json::from_slice(&body(&request, &provider).unwrap()).unwrap()
    }

    fn turn(origin: &str, raw: &str, id: &str) -> Message {
        let call =
            |arguments: &str| ToolCall { id: CallId::from(id), name: Arc::from("t"), arguments: Arc::from(arguments) };
        Message::Assistant(Arc::new(AssistantTurn {
            origin: Arc::from(origin),
            text: "so".to_owned(),
            calls: vec![call("{\"n\": 1.0}"), call("{\"cut")],
            raw: Some(Arc::from(RawValue::from_string(raw.to_owned()).unwrap())),
            id: None,
        }))
    }

    fn result(id: &str) -> Message {
        Message::ToolResults(Arc::from([ToolResult {
            call: CallId::from(id),
            name: Arc::from("t"),
            content: Arc::from("r"),
            is_error: false,
        }]))
    }

    #[test]
    fn nothing_is_stored_and_the_stable_part_stands_first() {
        let body = encoded(
            vec![Message::User(Arc::from("hi"))],
            json!({"api": "responses", "reasoning": {"effort": "low"}, "input": "evil", "instructions": "evil"}),
        );
        assert_eq!(
            body,
            json!({"model": "m", "stream": true, "store": false, "include": ["reasoning.encrypted_content"],
                "max_output_tokens": 7, "instructions": "s", "parallel_tool_calls": false,
                "tools": [{"type": "function", "name": "t", "description": "d", "parameters": {"type": "object"}, "strict": false}],
                "input": [{"role": "user", "content": "hi"}], "reasoning": {"effort": "low"}})
        );
    }

    #[test]
    fn items_go_back_as_they_came_and_other_turns_are_told_anew() {
        let raw = r#"[{"type":"reasoning","id":"rs_1","encrypted_content":"x+/="}, {"type":"function_call","id":"fc_1","call_id":"i","odd":1.0}]"#;
        let echoed = encoded(vec![turn("p/m", raw, "i"), result("i")], json!({}));
        assert_eq!(echoed["input"][0]["encrypted_content"], "x+/=");
        assert_eq!(echoed["input"][1]["odd"], json!(1.0));
        assert_eq!(echoed["input"][2], json!({"type": "function_call_output", "call_id": "i", "output": "r"}));
        let long = "i".repeat(70);
        for (origin, raw) in [("q/m", raw), ("p/m", r#"{"role":"assistant","content":"so"}"#)] {
            let retold = encoded(vec![turn(origin, raw, &long), result(&long)], json!({}));
            let input = retold["input"].as_array().unwrap();
            assert_eq!(input[0], json!({"role": "assistant", "content": "so"}));
            assert_eq!((&input[1]["arguments"], &input[2]["arguments"]), (&json!("{\"n\": 1.0}"), &json!("{}")));
            assert_eq!(input[1]["call_id"], input[3]["call_id"]);
            assert!(input[1]["call_id"].as_str().unwrap().len() <= 64);
        }
    }
}
