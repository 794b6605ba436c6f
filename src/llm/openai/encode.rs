//! A conversation as a chat completions body. The same conversation always gives the same bytes.

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::config::ProviderConfig;
use crate::llm::body::{Field, Json, List, Object, body as write_body, room};
use crate::llm::calls::is_object;
use crate::llm::endpoint::text_option;
use crate::llm::openai::READ;
use crate::llm::provider::made_by;
use crate::llm::{AssistantTurn, LlmError, Message, Request, ToolSpec};

enum WireMessage<'a> {
    Plain { role: &'static str, content: &'a str },
    Result { id: &'a str, content: &'a str },
    Echo(&'a RawValue),
    Assistant(Assistant<'a>),
}

impl Json for WireMessage<'_> {
    fn write(&self, out: &mut Vec<u8>) -> serde_json::Result<()> {
        match self {
            Self::Plain { role, content } => Object::begin(out).text("role", role).text("content", content).end(),
            Self::Result { id, content } => {
                Object::begin(out).text("role", "tool").text("tool_call_id", id).text("content", content).end();
            }
            Self::Echo(raw) => out.extend_from_slice(raw.get().as_bytes()),
            Self::Assistant(turn) => serde_json::to_writer(out, turn)?,
        }
        Ok(())
    }
}

/// An assistant's message; its fields are those every compatible server knows, besides what came from the server.
#[derive(Serialize)]
pub(super) struct Assistant<'a> {
    role: &'static str,
    content: Option<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    refusal: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Call<'a>>,
}

#[derive(Serialize)]
struct Call<'a> {
    id: &'a str,
    r#type: &'static str,
    function: Function<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extra_content: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct Function<'a> {
    name: &'a str,
    arguments: &'a str,
}

/// Reasoning text beside an answer, under the name its server gave it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum ReasoningField {
    #[default]
    None,
    ReasoningContent,
    Reasoning,
}

impl<'a> Assistant<'a> {
    /// The message of a turn. Reasoning goes back only beside calls: there some servers insist on it, elsewhere others
    /// refuse it.
    pub(super) fn new<'c>(
        text: &'a str,
        refusal: &'a str,
        reasoning: (ReasoningField, &'a str),
        calls: impl Iterator<Item = (&'a crate::llm::ToolCall, Option<&'a RawValue>)> + 'c,
    ) -> Self {
        let tool_calls: Vec<_> = calls
            .map(|(call, extra_content)| Call {
                id: call.id.as_str(),
                r#type: "function",
                // Servers that render the history through a template fail on arguments that do not parse; the model
                // learns from the call's result what was wrong with them.
                function: Function {
                    name: &call.name,
                    arguments: if is_object(&call.arguments) { &call.arguments } else { "{}" },
                },
                extra_content,
            })
            .collect();
        let of = |field| (reasoning.0 == field && !tool_calls.is_empty()).then_some(reasoning.1);
        Self {
            role: "assistant",
            content: (!text.is_empty() || (tool_calls.is_empty() && refusal.is_empty())).then_some(text),
            refusal,
            reasoning_content: of(ReasoningField::ReasoningContent),
            reasoning: of(ReasoningField::Reasoning),
            tool_calls,
        }
    }
}

#[derive(Serialize)]
struct StreamOptions {
    #[serde(skip_serializing_if = "Option::is_none")]
    include_obfuscation: Option<bool>,
    include_usage: bool,
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
    let messages = messages(request, provider);
    let messages = List(&messages);
    let official = provider.base_url.host_str().is_some_and(|host| host == "api.openai.com");
    // Padding against traffic analysis doubles the bytes of a stream; others do not know the switch.
    let stream_options = StreamOptions { include_obfuscation: official.then_some(false), include_usage: true };
    let limit = match text_option(provider, "max_tokens_field") {
        Some("max_tokens") => "max_tokens",
        _ => "max_completion_tokens",
    };
    let mut fields: Vec<Field<'_>> = Vec::with_capacity(8);
    fields.extend([
        ("model", &request.model as _),
        ("stream", &true as _),
        ("stream_options", &stream_options as _),
        (limit, &request.max_output_tokens as _),
    ] as [Field<'_>; 4]);
    if let Some(temperature) = &request.temperature {
        fields.push(("temperature", temperature));
    }
    if !tools.is_empty() {
        fields.push(("tools", &tools));
        if !request.parallel_tools {
            fields.push(("parallel_tool_calls", &false));
        }
    }
    fields.push(("messages", &messages));
    write_body(&fields, &provider.options, &READ, room(request))
}

fn tool(spec: &ToolSpec) -> Tool<'_> {
    Tool {
        r#type: "function",
        function: ToolFunction { name: spec.name, description: spec.description, parameters: &spec.schema },
    }
}

fn messages<'a>(request: &'a Request, provider: &ProviderConfig) -> Vec<WireMessage<'a>> {
    let mut wire = Vec::with_capacity(request.messages.len() + 1);
    if !request.system.is_empty() {
        wire.push(WireMessage::Plain { role: "system", content: &request.system });
    }
    for message in &request.messages {
        match message {
            Message::User(text) => wire.push(WireMessage::Plain { role: "user", content: text }),
            Message::Assistant(turn) => wire.push(assistant(turn, provider)),
            Message::ToolResults(results) => wire.extend(
                results.iter().map(|result| WireMessage::Result { id: result.call.as_str(), content: &result.content }),
            ),
        }
    }
    wire
}

fn assistant<'a>(turn: &'a AssistantTurn, provider: &ProviderConfig) -> WireMessage<'a> {
    let unwanted = |raw: &RawValue| {
        provider.options.get("echo_reasoning") == Some(&serde_json::Value::Bool(false))
            && raw.get().contains("\"reasoning")
    };
    match &turn.raw {
        // A list is a turn of the other API of this provider.
        Some(raw) if made_by(&turn.origin, provider) && !unwanted(raw) && !raw.get().starts_with('[') => {
            WireMessage::Echo(raw)
        }
        _ => {
            let calls = turn.calls.iter().map(|call| (call, None));
            WireMessage::Assistant(Assistant::new(&turn.text, "", (ReasoningField::None, ""), calls))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::config::ProviderKind;
    use crate::llm::endpoint::example;

    fn request(tools: bool) -> Request {
        let schema = RawValue::from_string("{\"type\":\"object\"}".to_owned()).unwrap();
        let spec = ToolSpec { name: "t", description: "d", schema: Arc::from(schema) };
        Request {
            model: Arc::from("m"),
            system: Arc::from(""),
            tools: if tools { Arc::from([spec]) } else { Arc::from([]) },
            messages: vec![Message::User(Arc::from("hi"))],
            max_output_tokens: 7,
            context_window: 9_000,
            temperature: Some(0.5),
            parallel_tools: false,
        }
    }

    fn encoded(request: &Request, url: &str, options: Value) -> Value {
        let mut provider = example(ProviderKind::OpenAi, url);
        provider.options = options.as_object().unwrap().clone();
        serde_json::from_slice(&body(request, &provider).unwrap()).unwrap()
    }

    #[test]
    fn the_switch_for_serial_calls_is_sent_with_tools_only() {
        let with = encoded(&request(true), "https://a.b/v1", json!({}));
        assert_eq!(with["parallel_tool_calls"], false);
        assert_eq!(with["tools"][0]["function"]["parameters"], json!({"type": "object"}));
        let without = encoded(&request(false), "https://a.b/v1", json!({}));
        assert!(without.get("parallel_tool_calls").is_none() && without.get("tools").is_none());
    }

    #[test]
    fn limits_temperature_and_options_stand_where_they_should() {
        let plain = encoded(&request(false), "https://a.b/v1", json!({}));
        assert_eq!((&plain["max_completion_tokens"], &plain["temperature"]), (&json!(7), &json!(0.5)));
        assert_eq!(plain["messages"], json!([{"role": "user", "content": "hi"}]));
        let old =
            encoded(&request(false), "https://a.b/v1", json!({"max_tokens_field": "max_tokens", "temperature": 1}));
        assert_eq!((&old["max_tokens"], &old["temperature"]), (&json!(7), &json!(1)));
        assert!(old.get("max_completion_tokens").is_none() && old.get("max_tokens_field").is_none());
    }

    #[test]
    fn only_openai_itself_is_asked_to_leave_out_padding() {
        let official = encoded(&request(false), "https://api.openai.com/v1", json!({}));
        assert_eq!(official["stream_options"], json!({"include_usage": true, "include_obfuscation": false}));
    }

    #[test]
    fn reasoning_is_not_sent_back_where_the_user_says_so() {
        let raw = r#"{"role":"assistant","content":null,"reasoning_content":"r","tool_calls":[]}"#;
        let mut request = request(false);
        request.messages.push(Message::Assistant(Arc::new(AssistantTurn {
            origin: Arc::from("p/m"),
            text: "x".to_owned(),
            calls: Vec::new(),
            raw: Some(Arc::from(RawValue::from_string(raw.to_owned()).unwrap())),
            id: None,
        })));
        let echoed = encoded(&request, "https://a.b/v1", json!({}));
        assert_eq!(echoed["messages"][1], serde_json::from_str::<Value>(raw).unwrap());
        let without = encoded(&request, "https://a.b/v1", json!({"echo_reasoning": false}));
        assert_eq!(without["messages"][1], json!({"role": "assistant", "content": "x"}));
    }
}
