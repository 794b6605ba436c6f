//! Answers that go well: what is sent, when events come, what becomes of connections.

use serde_json::json;

use ropeway::llm::{Client, ClientSettings, Stop, StreamEvent, Usage};

use super::{BOTH, EVERY, KEY, ask, client, drain, hello, provider, quiet, settings};
use crate::support::model::{Model, Protocol, Turn, anthropic, openai};

#[tokio::test]
async fn a_turn_comes_with_its_text_calls_usage_and_request_id() {
    for protocol in BOTH {
        let model = Model::start();
        model.script([Turn::calls([("read_file", json!({"path": "a.rs"})), ("grep", json!({"pattern": "x"}))])
            .saying("I look. 😀")
            .usage(100, 40, 7)]);
        let response = ask(&client(), &provider(&model, protocol), &hello()).await.unwrap();
        assert_eq!(response.turn.text, "I look. 😀");
        let calls: Vec<_> = response.turn.calls.iter().map(|call| (&*call.name, &*call.arguments)).collect();
        assert_eq!(calls, [("read_file", r#"{"path":"a.rs"}"#), ("grep", r#"{"pattern":"x"}"#)]);
        assert_eq!(response.stop, Stop::ToolCalls);
        assert_eq!(
            response.usage,
            Some(Usage { input_tokens: 100, cached_tokens: 40, output_tokens: 7, ..Usage::default() })
        );
        assert_eq!(response.request_id.as_deref(), Some("req-test"));
    }
}

#[tokio::test]
async fn the_request_is_what_the_provider_wants() {
    let model = Model::start();
    model.script([Turn::text("a"), Turn::text("b")]);
    let client = client();
    ask(&client, &provider(&model, Protocol::OpenAi), &hello()).await.unwrap();
    ask(&client, &provider(&model, Protocol::Anthropic), &hello()).await.unwrap();
    let [open, anth] = &model.requests()[..] else { panic!("two requests") };

    assert_eq!((open.method.as_str(), open.path.as_str()), ("POST", "/v1/chat/completions"));
    assert_eq!(open.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
    assert_eq!(open.header("content-type"), Some("application/json"));
    assert_eq!(open.header("accept-encoding"), None);
    assert!(open.header("user-agent").unwrap().starts_with("ropeway/"));
    assert_eq!(open.body["messages"][0], json!({"role": "system", "content": "be brief"}));
    assert_eq!(open.body["stream_options"], json!({"include_usage": true}));

    assert_eq!(anth.path, "/v1/messages");
    assert_eq!((anth.header("x-api-key"), anth.header("authorization")), (Some(KEY), None));
    assert_eq!(anth.header("anthropic-version"), Some("2026-10-21"));
    assert_eq!(anth.body["max_tokens"], 1000);
    assert_eq!(anth.body["tools"][1]["name"], "grep");
}

#[tokio::test]
async fn headers_of_the_user_win_and_his_options_go_along() {
    let model = Model::start();
    model.script([Turn::text("a")]);
    let mut provider = provider(&model, Protocol::OpenAi);
    provider.headers = vec![("authorization".into(), "Basic b3duLXNlY3JldA".to_owned().into())];
    provider.options = json!({"api": "chat", "reasoning_effort": "low"}).as_object().unwrap().clone();
    ask(&client(), &provider, &hello()).await.unwrap();
    let request = &model.requests()[0];
    assert_eq!(request.header("authorization"), Some("Basic b3duLXNlY3JldA"));
    assert_eq!((&request.body["reasoning_effort"], &request.body["api"]), (&json!("low"), &json!(null)));
}

#[tokio::test]
async fn a_complete_call_is_given_while_the_response_goes_on() {
    let model = Model::start();
    let (client, provider) = (client(), provider(&model, Protocol::Anthropic));
    let hello = hello();
    let (answer, begun) = tokio::join!(
        async {
            let (_, mut reply) = model.expect().await;
            reply.sse();
            reply.send(anthropic::start(5, 0));
            reply.send(anthropic::call(0, "toolu_1", "read_file"));
            reply
        },
        client.stream(&provider, &hello, &quiet),
    );
    let mut stream = begun.unwrap();
    assert!(matches!(stream.next().await.unwrap(), Some(StreamEvent::CallStarted { index: 0, .. })));
    answer.send(anthropic::arguments(0, "{\"path\":\"a\"}"));
    answer.send(anthropic::stop_block(0));
    // The server sends nothing more until told, so this is an event before the end.
    let Some(StreamEvent::Call { call, .. }) = stream.next().await.unwrap() else { panic!("the call comes now") };
    assert_eq!(&*call.arguments, "{\"path\":\"a\"}");
    answer.send(anthropic::finish("tool_use", 3));
    answer.send(anthropic::done());
    // The end is the protocol's: the HTTP body is still open.
    assert!(matches!(stream.next().await.unwrap(), Some(StreamEvent::Done(_))));
    assert!(stream.next().await.unwrap().is_none());
    answer.end();
}

/// How many connections they open at most, for each protocol.
async fn two_hundred_steps(most: usize) {
    for protocol in EVERY {
        let model = Model::start();
        model.answer_with(|_| Some(Turn::text("a")));
        let (client, provider, hello) = (client(), provider(&model, protocol), hello());
        for _ in 0..200 {
            ask(&client, &provider, &hello).await.unwrap();
        }
        let counters = client.counters();
        assert!(model.connections() <= most, "{protocol:?}: {} connections", model.connections());
        assert_eq!((counters.requests, counters.retries), (200, 0));
        assert!(counters.reuse_rate() > 0.97, "{counters:?}");
    }
}

#[tokio::test]
async fn one_connection_serves_two_hundred_steps() {
    two_hundred_steps(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn hardly_more_do_on_several_threads() {
    // A thread that waits for a core may hold its connection for longer than is waited for.
    two_hundred_steps(4).await;
}

#[tokio::test]
async fn the_end_of_a_body_is_waited_for_before_one_more_connection_is_opened() {
    let model = Model::start();
    let (client, provider, hello) = (client(), provider(&model, Protocol::Anthropic), hello());
    for _ in 0..20 {
        let (reply, response) = tokio::join!(
            async {
                let (_, mut reply) = model.expect().await;
                reply.sse();
                for event in Turn::text("a").events(Protocol::Anthropic) {
                    reply.send(event);
                }
                reply
            },
            ask(&client, &provider, &hello),
        );
        response.unwrap();
        // The next request is there before the end of the body is.
        model.script([Turn::text("b")]);
        let end = async {
            for _ in 0..5 {
                tokio::task::yield_now().await;
            }
            reply.end();
        };
        let (response, ()) = tokio::join!(ask(&client, &provider, &hello), end);
        response.unwrap();
    }
    assert_eq!(model.connections(), 1);
}

#[tokio::test]
async fn a_connection_goes_back_to_the_pool_although_its_body_ended_after_the_answer() {
    let model = Model::start();
    let client = Client::new(ClientSettings { dedupe: false, ..settings() });
    let (provider, hello) = (provider(&model, Protocol::OpenAi), hello());
    let (reply, response) = tokio::join!(
        async {
            let (_, mut reply) = model.expect().await;
            reply.sse();
            reply.send(openai::text("a"));
            reply.send(openai::finish("stop"));
            reply.send(openai::done());
            reply
        },
        ask(&client, &provider, &hello),
    );
    response.unwrap();
    reply.end();
    // Two requests at a time need two connections: the first is among them once it is back, and never if it was closed.
    let mut rounds = 0;
    loop {
        let (connections, one, two) = tokio::join!(
            async {
                let (first, to_first) = model.expect().await;
                let (second, to_second) = model.expect().await;
                to_first.play(&Turn::text("b"), &first);
                to_second.play(&Turn::text("c"), &second);
                [first.connection, second.connection]
            },
            ask(&client, &provider, &hello),
            ask(&client, &provider, &hello),
        );
        one.and(two).unwrap();
        if connections.contains(&1) {
            return;
        }
        rounds += 1;
        assert!(rounds < 100, "the connection was thrown away");
    }
}

#[tokio::test]
async fn dropping_the_stream_cancels_the_request() {
    let model = Model::start();
    let (client, provider, hello) = (client(), provider(&model, Protocol::OpenAi), hello());
    let (mut reply, stream) = tokio::join!(
        async {
            let (_, mut reply) = model.expect().await;
            reply.sse();
            reply.send(openai::text("a"));
            reply
        },
        client.stream(&provider, &hello, &quiet),
    );
    drop(stream.unwrap());
    reply.closed().await;
}

#[tokio::test]
async fn dropping_the_call_cancels_the_request() {
    let model = Model::start();
    let (client, provider, hello) = (client(), provider(&model, Protocol::OpenAi), hello());
    let mut reply = tokio::select! {
        (_, reply) = model.expect() => reply,
        _ = client.stream(&provider, &hello, &quiet) => panic!("nothing was answered"),
    };
    reply.closed().await;
}

#[tokio::test]
async fn pieces_of_any_size_on_the_wire_give_the_same_events() {
    for protocol in BOTH {
        let turn = Turn::calls([("read_file", json!({"path": "é😀.rs"}))]).saying("été 😀").usage(9, 3, 2);
        let body: String = turn.events(protocol).concat();
        let model = Model::start();
        let (client, provider, hello) = (client(), provider(&model, protocol), hello());
        let mut seen = Vec::new();
        for size in [1, 3, 7, body.len()] {
            let (_, answer) = tokio::join!(
                async {
                    let (_, mut reply) = model.expect().await;
                    reply.sse();
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
            seen.push(format!("{:?}", answer));
        }
        assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "{seen:#?}");
    }
}

#[tokio::test]
async fn a_provider_can_be_asked_whether_it_is_there() {
    let model = Model::start();
    model.script([Turn::failure(404, &[], ""), Turn::failure(401, &[], &format!("bad key {KEY}"))]);
    let client = client();
    let provider = provider(&model, Protocol::Anthropic);
    assert_eq!(client.probe(&provider).await.unwrap().status, 404);
    let refused = client.probe(&provider).await.unwrap_err();
    assert_eq!(refused.status, Some(401));
    assert!(!format!("{refused:?}").contains(KEY));
    let asked = &model.requests()[0];
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("GET", "/v1/models?limit=1000"));
}
