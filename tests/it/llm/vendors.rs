//! What holds for every provider alike, over a real connection, and what each wants of a request.

use std::sync::Arc;

use serde_json::{Value, json};

use ropeway::llm::{Client, ClientSettings, LlmErrorKind, Message, Response, Stop, StreamEvent, ToolResult, Usage};

use super::{EVERY, KEY, ask, client, drain, hello, provider, quiet, request, settings};
use crate::support::model::{Model, Protocol, Received, Turn};

/// Three calls at once, with names that come back.
fn three_calls() -> Turn {
    Turn::default()
        .saying("I look. 😀")
        .call("call_a", "read_file", r#"{"path":  "a.rs", "n": 1.0}"#)
        .call("call_b", "grep", r#"{"pattern":"\u00e9}{"}"#)
        .call("call_c", "read_file", "{}")
        .usage(100, 40, 7)
}

fn conversation(first: &Response) -> Vec<Message> {
    let results: Vec<ToolResult> = first
        .turn
        .calls
        .iter()
        .map(|call| ToolResult {
            call: call.id.clone(),
            name: Arc::clone(&call.name),
            content: Arc::from(format!("result of {}", call.id.as_str())),
            is_error: false,
        })
        .collect();
    vec![
        Message::User(Arc::from("hello")),
        Message::Assistant(Arc::new(first.turn.clone())),
        Message::ToolResults(Arc::from(results)),
    ]
}

#[tokio::test]
async fn a_turn_with_parallel_calls_is_read_from_every_provider() {
    for protocol in EVERY {
        let model = Model::start();
        model.script([three_calls(), three_calls().cut_by_limit(), Turn::text("plain")]);
        let (client, provider) = (client(), provider(&model, protocol));
        let response = ask(&client, &provider, &hello()).await.unwrap();
        assert_eq!(response.turn.text, "I look. 😀", "{protocol:?}");
        let calls: Vec<_> =
            response.turn.calls.iter().map(|call| (call.id.as_str(), &*call.name, &*call.arguments)).collect();
        assert_eq!(
            calls,
            [
                ("call_a", "read_file", r#"{"path":  "a.rs", "n": 1.0}"#),
                ("call_b", "grep", r#"{"pattern":"\u00e9}{"}"#),
                ("call_c", "read_file", "{}"),
            ],
            "{protocol:?}"
        );
        assert_eq!(response.stop, Stop::ToolCalls, "{protocol:?}");
        // Ollama has no cache to speak of.
        let cached_tokens = if protocol == Protocol::Ollama { 0 } else { 40 };
        let usage = Usage { input_tokens: 100, cached_tokens, output_tokens: 7, ..Usage::default() };
        assert_eq!(response.usage, Some(usage), "{protocol:?}");
        assert_eq!(response.request_id.as_deref(), Some("req-test"), "{protocol:?}");
        assert_eq!(ask(&client, &provider, &hello()).await.unwrap().stop, Stop::Length, "{protocol:?}");
        assert_eq!(ask(&client, &provider, &hello()).await.unwrap().stop, Stop::EndTurn, "{protocol:?}");
    }
}

#[tokio::test]
async fn a_body_in_pieces_of_any_size_gives_the_same_events() {
    for protocol in EVERY {
        let body: String = three_calls().events(protocol).concat();
        let model = Model::start();
        let (client, provider, hello) = (client(), provider(&model, protocol), hello());
        let mut seen = Vec::new();
        for size in [1, 3, 7, body.len()] {
            let (_, answer) = tokio::join!(
                async {
                    let (_, mut reply) = model.expect().await;
                    reply.stream(&[]);
                    for piece in body.as_bytes().chunks(size) {
                        reply.raw(piece);
                    }
                    reply.end();
                },
                async {
                    let mut stream = client.stream(&provider, &hello, &quiet).await.unwrap();
                    drain(&mut stream).await.unwrap()
                },
            );
            seen.push(format!("{answer:?}"));
        }
        assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "{protocol:?} {seen:#?}");
    }
}

#[tokio::test]
async fn a_connection_cut_at_any_byte_of_the_stream_is_an_error_and_no_call_is_half() {
    let once = Client::new(ClientSettings { max_retries: 0, ..settings() });
    for protocol in EVERY {
        let body: String = Turn::default()
            .saying("é")
            .call("call_a", "grep", r#"{"a":"b"}"#)
            .call("call_b", "grep", "{}")
            .events(protocol)
            .concat();
        let model = Model::start();
        let (provider, hello) = (provider(&model, protocol), hello());
        let mut whole = 0;
        for at in 0..body.len() {
            let (_, read) = tokio::join!(
                async {
                    let (_, mut reply) = model.expect().await;
                    reply.stream(&[]);
                    reply.raw(&body.as_bytes()[..at]);
                    reply.cut();
                },
                async {
                    let mut calls = Vec::new();
                    let mut stream = match once.stream(&provider, &hello, &quiet).await {
                        Ok(stream) => stream,
                        Err(error) => return Err((calls, error)),
                    };
                    loop {
                        match stream.next().await {
                            Ok(Some(StreamEvent::Call { call, .. })) => calls.push(call),
                            Ok(Some(StreamEvent::Done(response))) => return Ok(response),
                            Ok(Some(_)) => {}
                            Ok(None) => panic!("{protocol:?} cut at {at}: an end without a word"),
                            Err(error) => return Err((calls, error)),
                        }
                    }
                },
            );
            match read {
                Ok(response) => {
                    whole += 1;
                    assert_eq!((response.turn.calls.len(), &*response.turn.text), (2, "é"), "{protocol:?} at {at}");
                }
                Err((calls, error)) => {
                    assert!(
                        matches!(error.kind, LlmErrorKind::Network | LlmErrorKind::BadResponse),
                        "{protocol:?} at {at}: {error:?}"
                    );
                    assert!(calls.iter().zip([r#"{"a":"b"}"#, "{}"]).all(|(call, whole)| &*call.arguments == whole));
                }
            }
        }
        // Only what stands after the end of the answer may be missing: usage, sentinel, line ends.
        assert!(whole < body.len() / 3, "{protocol:?}: {whole} of {}", body.len());
        assert_eq!(model.requests().len(), body.len(), "{protocol:?}: nothing was asked twice");
    }
}

#[tokio::test]
async fn an_error_inside_a_good_answer_is_an_error() {
    for protocol in EVERY {
        let error = json!({"type": "error", "error": {"type": "overloaded_error", "code": 529, "message": "busy"}});
        let error = if protocol == Protocol::Ollama { format!("{error}\n") } else { format!("data: {error}\n\n") };
        let events = Turn::text("half an answer").events(protocol);
        let model = Model::start();
        let (client, provider, hello) = (client(), provider(&model, protocol), hello());
        // Before the first content it is as if the request had failed: tried again.
        let (_, response) = tokio::join!(
            async {
                let (_, mut reply) = model.expect().await;
                model.script([Turn::text("again")]);
                reply.stream(&[]);
                reply.send(&error);
                reply.end();
            },
            ask(&client, &provider, &hello),
        );
        assert_eq!(response.unwrap().turn.text, "again", "{protocol:?}");
        let (_, response) = tokio::join!(
            async {
                let (_, mut reply) = model.expect().await;
                reply.stream(&[]);
                events[..events.len() - 2].iter().for_each(|event| reply.send(event));
                reply.send(&error);
                reply.end();
            },
            ask(&client, &provider, &hello),
        );
        let failure = response.unwrap_err();
        assert_eq!(failure.kind, LlmErrorKind::Overloaded, "{protocol:?}: {failure:?}");
        assert_eq!(failure.request_id.as_deref(), Some("req-test"), "{protocol:?}");
        assert_eq!(model.requests().len(), 3, "{protocol:?}");
    }
}

#[tokio::test]
async fn a_redirect_is_followed_for_no_provider() {
    for protocol in EVERY {
        let (elsewhere, model) = (Model::start(), Model::start());
        let place = format!("{}/steal?token=secret", elsewhere.origin());
        model.script([Turn::failure(307, &[("location", &place)], "")]);
        let error = ask(&client(), &provider(&model, protocol), &hello()).await.unwrap_err();
        assert_eq!(error.kind, LlmErrorKind::Config, "{protocol:?}");
        assert!(!error.message.contains("secret"), "{error}");
        assert_eq!((elsewhere.connections(), model.requests().len()), (0, 1), "{protocol:?}");
    }
}

#[tokio::test]
async fn a_prompt_too_long_is_told_as_such_and_never_sent_again_unchanged() {
    for (protocol, status, body) in [
        (
            Protocol::OpenAi,
            400,
            r#"{"error":{"message":"Your input exceeds the context window of this model. Please adjust your input and try again.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#,
        ),
        // OpenRouter, vLLM, llama-server, llama-cpp-python.
        (
            Protocol::OpenAi,
            400,
            r#"{"error":{"message":"This endpoint's maximum context length is 131072 tokens. However, you requested about 140000 tokens (8000 of text input, 132000 in the output). Please reduce the length of either one, or use the \"middle-out\" transform to compress your prompt automatically.","code":400}}"#,
        ),
        (
            Protocol::OpenAi,
            400,
            r#"{"error":{"message":"This model's maximum context length is 8192 tokens. However, your request has 9000 input tokens. Please reduce the length of the input messages. (parameter=input_tokens, value=9000)","type":"BadRequestError","param":"input_tokens","code":400}}"#,
        ),
        (
            Protocol::OpenAi,
            400,
            r#"{"error":{"code":400,"message":"the request exceeds the available context size, try increasing it","type":"exceed_context_size_error","n_prompt_tokens":6020,"n_ctx":2048}}"#,
        ),
        (
            Protocol::OpenAi,
            400,
            r#"{"error":{"message":"Requested tokens (6020) exceed context window of 2048","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#,
        ),
        (
            Protocol::Responses,
            400,
            r#"{"error":{"message":"Your input exceeds the context window of this model. Please adjust your input and try again.","type":"invalid_request_error","param":"input","code":"context_length_exceeded"}}"#,
        ),
        (
            Protocol::Anthropic,
            400,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 1013811 tokens > 1000000 maximum"},"request_id":"req-body"}"#,
        ),
        (
            Protocol::Anthropic,
            400,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"input length and `max_tokens` exceed context limit: 187254 + 20000 > 204798, decrease input length or `max_tokens` and try again"}}"#,
        ),
        (
            Protocol::Anthropic,
            413,
            r#"{"type":"error","error":{"type":"request_too_large","message":"Request exceeds the maximum size"}}"#,
        ),
        (
            Protocol::Google,
            400,
            r#"{"error":{"code":400,"message":"The input token count (1048600) exceeds the maximum number of tokens allowed (1048576).","status":"INVALID_ARGUMENT"}}"#,
        ),
        (Protocol::Ollama, 400, r#"{"error":"the input length exceeds the context length"}"#),
        (Protocol::Ollama, 500, r#"{"error":"the prompt is too long; exceeded max context length by 12 tokens"}"#),
    ] {
        let model = Model::start();
        let id = if protocol == Protocol::Anthropic { "request-id" } else { "x-request-id" };
        model.script([Turn::failure(status, &[(id, "req-77")], body)]);
        let error = ask(&client(), &provider(&model, protocol), &hello()).await.unwrap_err();
        assert_eq!(error.kind, LlmErrorKind::ContextOverflow, "{body}");
        assert_eq!((error.request_id.as_deref(), model.requests().len()), (Some("req-77"), 1), "{body}");
        assert!(error.hint.contains("compact"), "{error:?}");
    }
    // And inside a stream that began well, in both forms that Responses has for it.
    for event in [
        r#"{"type":"error","sequence_number":3,"error":{"type":"invalid_request_error","code":"context_length_exceeded","message":"m","param":"input"}}"#,
        r#"{"type":"error","sequence_number":3,"code":"context_length_exceeded","message":"m","param":null}"#,
        r#"{"type":"response.failed","response":{"id":"r","status":"failed","error":{"code":"context_length_exceeded","message":"m"}}}"#,
    ] {
        let model = Model::start();
        let (client, provider, hello) = (client(), provider(&model, Protocol::Responses), hello());
        let (_, response) = tokio::join!(
            async {
                let (_, mut reply) = model.expect().await;
                reply.sse();
                reply.send(format!("data: {event}\n\n"));
                reply.end();
            },
            ask(&client, &provider, &hello),
        );
        assert_eq!(response.unwrap_err().kind, LlmErrorKind::ContextOverflow, "{event}");
        assert_eq!(model.requests().len(), 1, "{event}");
    }
}

async fn asked(protocol: Protocol, options: Value) -> Received {
    let model = Model::start();
    model.script([Turn::text("a")]);
    let mut provider = provider(&model, protocol);
    provider.options.extend(options.as_object().unwrap().clone());
    ask(&client(), &provider, &hello()).await.unwrap();
    model.requests().remove(0)
}

#[tokio::test]
async fn a_request_is_what_each_of_the_newer_apis_wants() {
    let request = asked(Protocol::Responses, json!({})).await;
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/v1/responses"));
    assert_eq!(request.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
    assert_eq!((&request.body["instructions"], &request.body["store"]), (&json!("be brief"), &json!(false)));
    assert_eq!(request.body["tools"][1]["name"], "grep");

    let request = asked(Protocol::Google, json!({})).await;
    assert_eq!(request.path, "/v1/models/m-1:streamGenerateContent?alt=sse");
    assert_eq!((request.header("x-goog-api-key"), request.header("authorization")), (Some(KEY), None));
    let tool = &request.body["tools"][0]["functionDeclarations"][0];
    assert_eq!((&tool["name"], &tool["parametersJsonSchema"]["type"]), (&json!("read_file"), &json!("object")));
    assert_eq!(tool.get("parameters"), None);
    let request = asked(Protocol::Google, json!({"api_version": "v1beta"})).await;
    assert_eq!(request.path, "/v1beta/models/m-1:streamGenerateContent?alt=sse");
    let request = asked(Protocol::Google, json!({"path_prefix": "/gate/way/v9"})).await;
    assert_eq!(request.path, "/gate/way/v9/models/m-1:streamGenerateContent?alt=sse");

    let request = asked(Protocol::Ollama, json!({})).await;
    assert_eq!((request.path.as_str(), &request.body["options"]["num_ctx"]), ("/api/chat", &json!(50_000)));
    assert_eq!(request.body["stream"], true);

    // Both versions of the messages API: the older one alone takes a temperature.
    for (version, temperature) in [("2026-10-21", json!(null)), ("2023-06-01", json!(0.5))] {
        let model = Model::start();
        model.script([Turn::text("a")]);
        let mut provider = provider(&model, Protocol::Anthropic);
        let options = json!({"version": version, "thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}});
        provider.options = options.as_object().unwrap().clone();
        let mut hello = hello();
        hello.temperature = Some(0.5);
        ask(&client(), &provider, &hello).await.unwrap();
        let request = model.requests().remove(0);
        assert_eq!(request.header("anthropic-version"), Some(version));
        assert_eq!(request.body["temperature"], temperature, "{version}");
        assert_eq!(request.body["thinking"], json!({"type": "adaptive"}));
        assert_eq!((&request.body["output_config"]["effort"], request.body.get("version")), (&json!("low"), None));
    }
}

#[tokio::test]
async fn what_goes_back_to_a_provider_is_what_came_from_it() {
    for protocol in EVERY {
        let model = Model::start();
        model.script([three_calls(), Turn::text("done"), Turn::text("done")]);
        let (client, mut provider) = (client(), provider(&model, protocol));
        // The marks of the cache move with the conversation; what they mark does not.
        if protocol == Protocol::Anthropic {
            provider.options.insert("prompt_cache".into(), json!(false));
        }
        let first = ask(&client, &provider, &hello()).await.unwrap();
        let mut messages = conversation(&first);
        ask(&client, &provider, &request(messages.clone())).await.unwrap();
        messages.push(Message::User(Arc::from("and now")));
        ask(&client, &provider, &request(messages)).await.unwrap();
        let [_, second, third] = &model.requests()[..] else { panic!("three requests") };
        let body = String::from_utf8(second.bytes.clone()).unwrap();
        let exact: &[&str] = match protocol {
            Protocol::OpenAi => &[
                r#""arguments":"{\"path\":  \"a.rs\", \"n\": 1.0}""#,
                r#"{"role":"tool","tool_call_id":"call_a","content":"result of call_a"},{"role":"tool","tool_call_id":"call_b","#,
            ],
            Protocol::Responses => &[
                r#""arguments":"{\"path\":  \"a.rs\", \"n\": 1.0}""#,
                r#""id":"fc_0""#,
                r#"{"type":"function_call_output","call_id":"call_c","output":"result of call_c"}]"#,
            ],
            Protocol::Anthropic => {
                &[r#""input":{"path":  "a.rs", "n": 1.0}"#, r#"{"type":"tool_result","tool_use_id":"call_c","#]
            }
            Protocol::Google => &[
                r#""args":{"path":  "a.rs", "n": 1.0},"id":"call_a"},"thoughtSignature":"c2ln_-+/=="}"#,
                r#"{"functionResponse":{"id":"call_c","name":"read_file","response":{"output":"result of call_c"}}}]"#,
            ],
            Protocol::Ollama => &[
                r#""arguments":{"path":  "a.rs", "n": 1.0}"#,
                r#"{"role":"tool","tool_name":"read_file","content":"result of call_c"}]"#,
            ],
        };
        for exact in exact {
            assert!(body.contains(exact), "{protocol:?}: {exact} in {body}");
        }
        let results = second.messages().len();
        assert_eq!(second.messages()[..results - 1], third.messages()[..results - 1], "{protocol:?}");
        let shared = second.bytes.iter().zip(&third.bytes).take_while(|(a, b)| a == b).count();
        let rest = String::from_utf8_lossy(&second.bytes[shared..]).into_owned();
        assert!(rest.len() <= 6, "{protocol:?}: the beginning is not the same: {rest}");
    }
}
