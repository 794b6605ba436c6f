//! A conversation as an `/api/chat` body. Arguments are objects here, in both directions, and calls have no names.

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::config::ProviderConfig;
use crate::llm::body::{Field, Json, List, Object, body as write_body, room};
use crate::llm::calls::is_object;
use crate::llm::provider::{empty_object, made_by};
use crate::llm::{AssistantTurn, LlmError, Message, Request, ToolSpec};

/// Options that are ours to read, not the server's.
const READ: [&str; 2] = ["num_ctx", "options"];

enum WireMessage<'a> {
    Plain { role: &'static str, content: &'a str },
    Result { tool_name: &'a str, content: &'a str },
    Echo(&'a RawValue),
    Assistant { content: &'a str, tool_calls: Vec<Call<'a>> },
}

impl Json for WireMessage<'_> {
    fn write(&self, out: &mut Vec<u8>) -> serde_json::Result<()> {
        match self {
            Self::Plain { role, content } => Object::begin(out).text("role", role).text("content", content).end(),
            Self::Result { tool_name, content } => {
                Object::begin(out).text("role", "tool").text("tool_name", tool_name).text("content", content).end();
            }
            Self::Echo(raw) => out.extend_from_slice(raw.get().as_bytes()),
            Self::Assistant { content, tool_calls } => {
                let turn = Object::begin(out).text("role", "assistant").text("content", content);
                turn.json("tool_calls", tool_calls)?.end();
            }
        }
        Ok(())
    }
}

#[derive(Serialize)]
struct Call<'a> {
    function: Function<'a>,
}

#[derive(Serialize)]
struct Function<'a> {
    name: &'a str,
    arguments: &'a RawValue,
}

#[derive(Serialize)]
struct Tool<'a> {
    r#type: &'static str,
    function: ToolFunction<'a>,
}

#[derive(Serialize)]
struct ToolFunction<'a> {
    name: &'a str,
    description: &'a str,
    parameters: &'a RawValue,
}

pub(super) fn body(request: &Request, provider: &ProviderConfig) -> Result<Bytes, LlmError> {
    let tools: Vec<_> = request.tools.iter().map(tool).collect();
    let options = options(request, provider);
    let messages = messages(request, provider);
    let messages = List(&messages);
    let mut fields: Vec<Field<'_>> = vec![("model", &request.model), ("stream", &true), ("options", &options)];
    if !tools.is_empty() {
        fields.push(("tools", &tools));
    }
    fields.push(("messages", &messages));
    write_body(&fields, &provider.options, &READ, room(request))
}

/// Without `num_ctx` the server takes a few thousand tokens and silently drops the beginning of what is longer.
fn options(request: &Request, provider: &ProviderConfig) -> Map<String, Value> {
    let mut options = Map::new();
    let window = provider.options.get("num_ctx").cloned();
    options.insert("num_ctx".to_owned(), window.unwrap_or_else(|| json!(request.context_window)));
    options.insert("num_predict".to_owned(), json!(request.max_output_tokens));
    // By its text: as a double, 0.2 would be spelt 0.20000000298023224.
    if let Some(temperature) = request.temperature.and_then(|value| value.to_string().parse::<f64>().ok()) {
        options.insert("temperature".to_owned(), json!(temperature));
    }
    if let Some(own) = provider.options.get("options").and_then(Value::as_object) {
        options.extend(own.iter().map(|(name, value)| (name.clone(), value.clone())));
    }
    options
}

fn tool(spec: &ToolSpec) -> Tool<'_> {
    Tool {
        r#type: "function",
        function: ToolFunction { name: spec.name, description: spec.description, parameters: &spec.schema },
    }
}

fn messages<'a>(request: &'a Request, provider: &ProviderConfig) -> Vec<WireMessage<'a>> {
    let mut wire = Vec::with_capacity(request.messages.len() + 8);
    if !request.system.is_empty() {
        wire.push(WireMessage::Plain { role: "system", content: &request.system });
    }
    for message in &request.messages {
        match message {
            Message::User(text) => wire.push(WireMessage::Plain { role: "user", content: text }),
            Message::Assistant(turn) => wire.push(match &turn.raw {
                Some(raw) if made_by(&turn.origin, provider) => WireMessage::Echo(raw),
                _ => retold(turn),
            }),
            Message::ToolResults(results) => wire.extend(
                results.iter().map(|result| WireMessage::Result { tool_name: &result.name, content: &result.content }),
            ),
        }
    }
    wire
}

fn retold(turn: &AssistantTurn) -> WireMessage<'_> {
    let tool_calls: Vec<_> = turn
        .calls
        .iter()
        .map(|call| Call {
            function: Function {
                name: &call.name,
                arguments: Some(&*call.arguments)
                    .filter(|text| is_object(text))
                    .and_then(|text| serde_json::from_str(text).ok())
                    .unwrap_or_else(|| empty_object()),
            },
        })
        .collect();
    if tool_calls.is_empty() {
        return WireMessage::Plain { role: "assistant", content: &turn.text };
    }
    WireMessage::Assistant { content: &turn.text, tool_calls }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::ProviderKind;
    use crate::ids::CallId;
    use crate::llm::endpoint::example;
    use crate::llm::{ToolCall, ToolResult};

    fn encoded(messages: Vec<Message>, options: Value) -> Value {
        let schema = RawValue::from_string("{\"type\":\"object\"}".to_owned()).unwrap();
        let request = Request {
            model: Arc::from("m"),
            system: Arc::from("s"),
            tools: Arc::from([ToolSpec { name: "t", description: "d", schema: Arc::from(schema) }]),
            messages,
            max_output_tokens: 7,
            context_window: 9_000,
            temperature: Some(0.2),
            parallel_tools: true,
        };
        let mut provider = example(ProviderKind::Ollama, "http://127.0.0.1:11434");
        provider.options = options.as_object().unwrap().clone();
        serde_json::from_slice(&body(&request, &provider).unwrap()).unwrap()
    }

    #[test]
    fn the_server_is_told_how_much_to_hold() {
        let plain = encoded(vec![Message::User(Arc::from("hi"))], json!({}));
        assert_eq!(plain["options"], json!({"num_ctx": 9000, "num_predict": 7, "temperature": 0.2}));
        assert_eq!(plain["tools"][0]["function"]["parameters"], json!({"type": "object"}));
        let own = json!({"num_ctx": 4096, "options": {"seed": 1, "num_predict": -1}, "think": true});
        let own = encoded(vec![Message::User(Arc::from("hi"))], own);
        assert_eq!(own["options"], json!({"num_ctx": 4096, "num_predict": -1, "temperature": 0.2, "seed": 1}));
        assert_eq!((&own["think"], own.get("num_ctx")), (&json!(true), None));
    }

    #[test]
    fn arguments_are_objects_and_results_name_their_tool() {
        let call =
            |arguments: &str| ToolCall { id: CallId::from("i"), name: Arc::from("t"), arguments: Arc::from(arguments) };
        let turn = AssistantTurn {
            text: "so".to_owned(),
            calls: vec![call("{\"n\": 1.0}"), call("{\"cut")],
            ..AssistantTurn::default()
        };
        let result =
            ToolResult { call: CallId::from("i"), name: Arc::from("t"), content: Arc::from("r"), is_error: true };
        let body =
            encoded(vec![Message::Assistant(Arc::new(turn)), Message::ToolResults(Arc::from([result]))], json!({}));
        assert_eq!(
            body["messages"],
            json!([
                {"role": "system", "content": "s"},
                {"role": "assistant", "content": "so", "tool_calls": [
                    {"function": {"name": "t", "arguments": {"n": 1.0}}},
                    {"function": {"name": "t", "arguments": {}}},
                ]},
                {"role": "tool", "tool_name": "t", "content": "r"},
            ])
        );
    }
}
