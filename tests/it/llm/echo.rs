//! Conversations of several turns: what goes back to a model is what came from it.

use std::sync::Arc;

use serde_json::json;

use ropeway::llm::{AssistantTurn, Message, Response, ToolResult};

use super::{BOTH, ask, client, hello, provider, request};
use crate::support::model::{Model, Protocol, Turn, anthropic};

fn follow_up(first: &Response) -> Vec<Message> {
    let results: Vec<ToolResult> = first
        .turn
        .calls
        .iter()
        .map(|call| ToolResult {
            call: call.id.clone(),
            name: Arc::clone(&call.name),
            content: Arc::from(format!("result of {}", call.name)),
            is_error: &*call.name == "grep",
        })
        .collect();
    vec![
        Message::User(Arc::from("hello")),
        Message::Assistant(Arc::new(first.turn.clone())),
        Message::ToolResults(Arc::from(results)),
    ]
}

fn two_calls() -> Turn {
    Turn::default().saying("I look").call("id_1", "read_file", r#"{"path":  "a.rs", "n": 1.0}"#).call(
        "id_2",
        "grep",
        r#"{"pattern":"\u00e9"}"#,
    )
}

#[tokio::test]
async fn a_tool_conversation_in_chat_completions() {
    let model = Model::start();
    model.script([two_calls(), Turn::text("done")]);
    let (client, provider) = (client(), provider(&model, Protocol::OpenAi));
    let first = ask(&client, &provider, &hello()).await.unwrap();
    ask(&client, &provider, &request(follow_up(&first))).await.unwrap();
    let second = &model.requests()[1];
    assert_eq!(
        second.messages()[2..],
        [
            json!({"role": "assistant", "content": "I look", "tool_calls": [
                {"id": "id_1", "type": "function", "function": {"name": "read_file", "arguments": "{\"path\":  \"a.rs\", \"n\": 1.0}"}},
                {"id": "id_2", "type": "function", "function": {"name": "grep", "arguments": "{\"pattern\":\"\\u00e9\"}"}},
            ]}),
            json!({"role": "tool", "tool_call_id": "id_1", "content": "result of read_file"}),
            json!({"role": "tool", "tool_call_id": "id_2", "content": "result of grep"}),
        ]
    );
}

#[tokio::test]
async fn a_tool_conversation_in_messages_with_thinking_goes_back_byte_for_byte() {
    let model = Model::start();
    let (client, provider, hello) = (client(), provider(&model, Protocol::Anthropic), hello());
    let (_, first) = tokio::join!(
        async {
            let (_, mut reply) = model.expect().await;
            reply.sse();
            reply.send(anthropic::start(5, 0));
            reply.send(anthropic::block(0, json!({"type": "thinking", "thinking": "", "signature": ""})));
            reply.send(anthropic::delta(0, json!({"type": "thinking_delta", "thinking": "hm\n \"so\""})));
            reply.send(anthropic::delta(0, json!({"type": "signature_delta", "signature": "Eq+/=="})));
            reply.send(anthropic::stop_block(0));
            reply.send(anthropic::call(1, "toolu_1", "read_file"));
            reply.send(anthropic::arguments(1, "{\"path\":  "));
            reply.send(anthropic::arguments(1, "\"a.rs\", \"n\": 1.0}"));
            reply.send(anthropic::stop_block(1));
            reply.send(anthropic::finish("tool_use", 3));
            reply.send(anthropic::done());
            reply.end();
        },
        ask(&client, &provider, &hello),
    );
    model.script([Turn::text("done")]);
    ask(&client, &provider, &request(follow_up(&first.unwrap()))).await.unwrap();
    let body = String::from_utf8(model.requests()[1].bytes.clone()).unwrap();
    for exact in [
        r#""thinking":"hm\n \"so\"""#,
        r#""signature":"Eq+/==""#,
        r#""input":{"path":  "a.rs", "n": 1.0}"#,
        r#"{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":"result of read_file","cache_control":{"type":"ephemeral"}}]}]"#,
    ] {
        assert!(body.contains(exact), "{exact} in {body}");
    }
}

#[tokio::test]
async fn a_turn_of_another_provider_is_told_anew_without_its_thinking() {
    for protocol in BOTH {
        let other = if protocol == Protocol::OpenAi { Protocol::Anthropic } else { Protocol::OpenAi };
        let model = Model::start();
        let turn = two_calls().call("odd.id/3", "grep", "{\"cut");
        model.script([turn, Turn::text("done")]);
        let client = client();
        let first = ask(&client, &provider(&model, other), &hello()).await.unwrap();
        ask(&client, &provider(&model, protocol), &request(follow_up(&first))).await.unwrap();
        let second = &model.requests()[1];
        let text = second.body.to_string();
        assert!(text.contains("I look") && !text.contains("thinking"), "{text}");
        if protocol == Protocol::Anthropic {
            let uses = &second.messages()[1]["content"];
            let results = &second.messages()[2]["content"];
            assert_eq!(uses[1]["input"], json!({"path": "a.rs", "n": 1.0}));
            assert_eq!(uses[3]["input"], json!({}), "arguments that do not parse");
            let id = uses[3]["id"].as_str().unwrap();
            assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'), "{id}");
            assert_eq!(results[2]["tool_use_id"], id);
            assert_eq!((&results[0]["is_error"], &results[1]["is_error"]), (&json!(null), &json!(true)));
        } else {
            assert_eq!(second.messages()[2]["tool_calls"][2]["id"], "odd.id/3");
            assert_eq!(second.messages()[5]["tool_call_id"], "odd.id/3");
        }
    }
}

#[tokio::test]
async fn the_same_conversation_gives_the_same_bytes_and_a_longer_one_the_same_beginning() {
    for protocol in BOTH {
        let model = Model::start();
        model.script([two_calls(), Turn::text("a"), Turn::text("b"), Turn::text("c")]);
        let mut provider = provider(&model, protocol);
        // The marks of the cache move with the conversation; what they mark must not.
        provider.options.insert("prompt_cache".into(), json!(protocol == Protocol::OpenAi));
        let client = client();
        let first = ask(&client, &provider, &hello()).await.unwrap();
        let mut messages = follow_up(&first);
        ask(&client, &provider, &request(messages.clone())).await.unwrap();
        ask(&client, &provider, &request(messages.clone())).await.unwrap();
        messages.push(Message::Assistant(Arc::new(AssistantTurn { text: "a".into(), ..AssistantTurn::default() })));
        messages.push(Message::User(Arc::from("more")));
        ask(&client, &provider, &request(messages)).await.unwrap();
        let [_, second, third, fourth] = &model.requests()[..] else { panic!("four requests") };
        assert_eq!(second.bytes, third.bytes);
        let shared = second.bytes.iter().zip(&fourth.bytes).take_while(|(a, b)| a == b).count();
        let rest = &second.bytes[shared..];
        assert!(rest.len() <= "]}".len() + 30, "{}", String::from_utf8_lossy(rest));
    }
}
