//! A conversation as a `generateContent` body.
//!
//! What repeats from turn to turn stands first, since the cache matches prefixes. A turn goes back as it came to the
//! very model that made it: its thought signatures are bound to model and route. To any other model it is told anew,
//! and its calls carry the value by which the API accepts a history it did not write.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::schema::fitted;
use crate::config::ProviderConfig;
use crate::llm::body::{Field, Json, List, Object, body as write_body, room};
use crate::llm::calls::is_object;
use crate::llm::provider::empty_object;
use crate::llm::{AssistantTurn, LlmError, Message, Request, ToolResult};

/// Options that are ours to read, not the server's.
const READ: [&str; 4] = ["api_version", "path_prefix", "thinkingConfig", "generationConfig"];
/// Stands where a call of another model's turn would have its thought signature.
const FOREIGN: &str = "skip_thought_signature_validator";

enum Content<'a> {
    Echo(&'a RawValue),
    Ours { role: &'static str, parts: Vec<Part<'a>> },
}

impl Json for Content<'_> {
    fn write(&self, out: &mut Vec<u8>) -> serde_json::Result<()> {
        match self {
            Self::Echo(raw) => out.extend_from_slice(raw.get().as_bytes()),
            Self::Ours { role, parts } => Object::begin(out).text("role", role).json("parts", &List(parts))?.end(),
        }
        Ok(())
    }
}

enum Part<'a> {
    Text(&'a str),
    Call {
        call: FunctionCall<'a>,
        signature: Option<&'static str>,
    },
    Response {
        /// Of the call, if the server knows it.
        id: Option<&'a str>,
        name: Cow<'a, str>,
        /// `output` or `error`.
        kind: &'static str,
        text: &'a str,
    },
}

impl Json for Part<'_> {
    fn write(&self, out: &mut Vec<u8>) -> serde_json::Result<()> {
        let mut part = Object::begin(out);
        match self {
            Self::Text(text) => part = part.text("text", text),
            Self::Call { call, signature } => {
                part = part.json("functionCall", call)?;
                if let Some(signature) = signature {
                    part = part.text("thoughtSignature", signature);
                }
            }
            Self::Response { id, name, kind, text } => {
                part = part.object("functionResponse", |response| {
                    let response = match id {
                        Some(id) => response.text("id", id),
                        None => response,
                    };
                    response.text("name", name).object("response", |answer| answer.text(kind, text))
                });
            }
        }
        part.end();
        Ok(())
    }
}

#[derive(Serialize)]
struct FunctionCall<'a> {
    name: Cow<'a, str>,
    args: &'a RawValue,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Declaration<'a> {
    name: &'a str,
    description: &'a str,
    parameters_json_schema: Cow<'a, RawValue>,
}

pub(super) fn body(request: &Request, provider: &ProviderConfig) -> Result<Bytes, LlmError> {
    let system = json!({"parts": [{"text": &*request.system}]});
    let declarations: Vec<_> = request
        .tools
        .iter()
        .map(|tool| Declaration {
            name: tool.name,
            description: tool.description,
            parameters_json_schema: fitted(&tool.schema),
        })
        .collect();
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Tools<'a> {
        function_declarations: Vec<Declaration<'a>>,
    }
    let tools = [Tools { function_declarations: declarations }];
    let generation = generation(request, provider);
    let contents = contents(request, provider);
    let contents = List(&contents);
    let mut fields: Vec<Field<'_>> = Vec::with_capacity(4);
    if !request.system.trim().is_empty() {
        fields.push(("systemInstruction", &system));
    }
    if !request.tools.is_empty() {
        fields.push(("tools", &tools));
    }
    fields.push(("generationConfig", &generation));
    fields.push(("contents", &contents));
    write_body(&fields, &provider.options, &READ, room(request))
}

fn generation(request: &Request, provider: &ProviderConfig) -> Map<String, Value> {
    let mut config = Map::new();
    config.insert("maxOutputTokens".to_owned(), json!(request.max_output_tokens));
    // By its text: as a double, 0.2 would be spelt 0.20000000298023224.
    if let Some(temperature) = request.temperature.and_then(|value| value.to_string().parse::<f64>().ok()) {
        config.insert("temperature".to_owned(), json!(temperature));
    }
    if let Some(thinking) = provider.options.get("thinkingConfig") {
        config.insert("thinkingConfig".to_owned(), thinking.clone());
    }
    if let Some(own) = provider.options.get("generationConfig").and_then(Value::as_object) {
        config.extend(own.iter().map(|(name, value)| (name.clone(), value.clone())));
    }
    config
}

fn contents<'a>(request: &'a Request, provider: &ProviderConfig) -> Vec<Content<'a>> {
    let mut contents: Vec<Content<'a>> = Vec::with_capacity(request.messages.len());
    // The ids of the turn before are its server's only where it goes back as it came.
    let mut echoed: Option<&RawValue> = None;
    for message in &request.messages {
        match message {
            Message::User(text) if text.trim().is_empty() => {}
            Message::User(text) => match contents.last_mut() {
                Some(Content::Ours { role: "user", parts }) if matches!(parts.last(), Some(Part::Text(_))) => {
                    parts.push(Part::Text(text));
                }
                _ => contents.push(Content::Ours { role: "user", parts: vec![Part::Text(text)] }),
            },
            // In a turn of their own: the API wants as many results as there were calls, directly after them.
            Message::ToolResults(results) => {
                let parts = results.iter().map(|result| response(result, echoed)).collect();
                contents.push(Content::Ours { role: "user", parts });
            }
            Message::Assistant(turn) => {
                echoed = turn.raw.as_deref().filter(|_| said_by(&turn.origin, provider, &request.model));
                match echoed {
                    Some(raw) => contents.push(Content::Echo(raw)),
                    None => {
                        let parts = retold(turn);
                        if !parts.is_empty() {
                            contents.push(Content::Ours { role: "model", parts });
                        }
                    }
                }
            }
        }
    }
    contents
}

fn said_by(origin: &str, provider: &ProviderConfig, model: &str) -> bool {
    origin.split_once('/') == Some((provider.name.as_str(), model))
}

fn response<'a>(result: &'a ToolResult, echoed: Option<&RawValue>) -> Part<'a> {
    let id = result.call.as_str();
    // An id that we made for a call without one would be unknown there.
    let theirs = echoed.is_some_and(|raw| raw.get().contains(&Value::from(id).to_string()));
    let kind = if result.is_error { "error" } else { "output" };
    Part::Response { id: theirs.then_some(id), name: name(&result.name), kind, text: &result.content }
}

/// A turn of another model: what it said and called.
fn retold(turn: &AssistantTurn) -> Vec<Part<'_>> {
    let mut parts = Vec::with_capacity(1 + turn.calls.len());
    if !turn.text.trim().is_empty() {
        parts.push(Part::Text(&turn.text));
    }
    // Of parallel calls only the first carries a signature.
    let mut signature = Some(FOREIGN);
    for call in &turn.calls {
        let args = Some(&*call.arguments)
            .filter(|text| is_object(text))
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_else(|| empty_object());
        let call = FunctionCall { name: name(&call.name), args };
        parts.push(Part::Call { call, signature: signature.take() });
    }
    parts
}

/// A function's name as this API takes it; a model may have made one up.
fn name(name: &str) -> Cow<'_, str> {
    let fits = |character: char| character.is_ascii_alphanumeric() || "_.:-".contains(character);
    let begins = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    if begins && name.len() <= 128 && name.chars().all(fits) {
        return Cow::Borrowed(name);
    }
    let plain = name.chars().take(127).map(|character| if fits(character) { character } else { '_' });
    Cow::Owned(std::iter::once('_').chain(plain).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::ProviderKind;
    use crate::ids::CallId;
    use crate::llm::endpoint::example;
    use crate::llm::{ToolCall, ToolSpec};

    fn request(messages: Vec<Message>) -> Request {
        let schema = RawValue::from_string(r#"{"type":"object","$schema":"x"}"#.to_owned()).unwrap();
        Request {
            model: Arc::from("m"),
            system: Arc::from("s"),
            tools: Arc::from([ToolSpec { name: "t", description: "d", schema: Arc::from(schema) }]),
            messages,
            max_output_tokens: 7,
            context_window: 9_000,
            temperature: Some(0.2),
            parallel_tools: true,
        }
    }

    fn encoded(request: &Request, options: Value) -> Value {
        let mut provider = example(ProviderKind::Google, "https://a.b");
        provider.options = options.as_object().unwrap().clone();
        serde_json::from_slice(&body(request, &provider).unwrap()).unwrap()
    }

    fn turn(origin: &str, id: &str) -> Message {
        let raw = format!(
            r#"{{"role":"model","parts":[{{"functionCall":{{"name":"t","args":{{"n": 1.0}},"id":"{id}"}},"thoughtSignature":"c2ln_-=="}}]}}"#
        );
        let call = |id: &str, name: &str, arguments: &str| ToolCall {
            id: CallId::from(id),
            name: Arc::from(name),
            arguments: Arc::from(arguments),
        };
        Message::Assistant(Arc::new(AssistantTurn {
            origin: Arc::from(origin),
            text: String::new(),
            calls: vec![call("a", "t", r#"{"n": 1.0}"#), call("b", "no such name!", "{\"cut")],
            raw: Some(Arc::from(RawValue::from_string(raw).unwrap())),
            id: None,
        }))
    }

    fn results() -> Message {
        let result = |id: &str, is_error| ToolResult {
            call: CallId::from(id),
            name: Arc::from("t"),
            content: Arc::from("r"),
            is_error,
        };
        Message::ToolResults(Arc::from([result("a", false), result("b", true)]))
    }

    fn user(text: &str) -> Message {
        Message::User(Arc::from(text))
    }

    #[test]
    fn tools_limits_and_thinking_stand_where_the_api_wants_them() {
        let options = json!({"thinkingConfig": {"thinkingLevel": "LOW"}, "api_version": "v1beta",
            "generationConfig": {"topK": 3}, "safetySettings": []});
        let body = encoded(&request(vec![user("hi"), user(" "), user("there")]), options);
        assert_eq!(
            body,
            json!({
                "systemInstruction": {"parts": [{"text": "s"}]},
                "tools": [{"functionDeclarations": [{"name": "t", "description": "d", "parametersJsonSchema": {"type": "object"}}]}],
                "generationConfig": {"maxOutputTokens": 7, "temperature": 0.2, "thinkingConfig": {"thinkingLevel": "LOW"}, "topK": 3},
                "contents": [{"role": "user", "parts": [{"text": "hi"}, {"text": "there"}]}],
                "safetySettings": [],
            })
        );
    }

    #[test]
    fn a_turn_goes_back_as_it_came_with_its_signature_to_its_own_model_only() {
        let messages = vec![user("hi"), turn("p/m", "a"), results(), user("go on")];
        let echoed = encoded(&request(messages), json!({}));
        assert_eq!(echoed["contents"][1]["parts"][0]["thoughtSignature"], "c2ln_-==");
        assert_eq!(
            echoed["contents"][2],
            json!({"role": "user", "parts": [
                {"functionResponse": {"id": "a", "name": "t", "response": {"output": "r"}}},
                {"functionResponse": {"name": "t", "response": {"error": "r"}}},
            ]})
        );
        assert_eq!(echoed["contents"][3], json!({"role": "user", "parts": [{"text": "go on"}]}));
        for origin in ["p/other", "other/m", ""] {
            let retold = encoded(&request(vec![user("hi"), turn(origin, "a"), results()]), json!({}));
            assert_eq!(
                retold["contents"][1],
                json!({"role": "model", "parts": [
                    {"functionCall": {"name": "t", "args": {"n": 1.0}}, "thoughtSignature": FOREIGN},
                    {"functionCall": {"name": "_no_such_name_", "args": {}}},
                ]}),
                "{origin}"
            );
            assert!(!retold.to_string().contains("c2ln") && !retold["contents"][2].to_string().contains("\"id\""));
        }
    }
}
