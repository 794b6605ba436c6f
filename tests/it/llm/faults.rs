//! Answers that go wrong, before and after the first content.

use std::time::Duration;

use ropeway::llm::{Client, ClientSettings, LlmErrorKind, StreamEvent};

use super::{BOTH, KEY, Notices, ask, client, drain, hello, provider, quiet, settings};
use crate::support::model::{Model, Protocol, Turn, anthropic, openai};

#[tokio::test]
async fn what_may_pass_is_tried_again_and_told() {
    let model = Model::start();
    model.script([
        Turn::failure(429, &[("retry-after", "7")], ""),
        Turn::failure(503, &[("retry-after-ms", "1200")], "<html>busy</html>"),
        Turn::failure(529, &[], r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#),
        Turn::text("at last"),
    ]);
    let (client, notices) = (client(), Notices::default());
    let mut stream =
        client.stream(&provider(&model, Protocol::OpenAi), &hello(), &|notice| notices.take(notice)).await.unwrap();
    assert_eq!(drain(&mut stream).await.unwrap().1.turn.text, "at last");
    let waits = notices.waits();
    assert_eq!(waits[..2], [7000, 1200]);
    assert!((1..=2000).contains(&waits[2]), "{waits:?}");
    assert!(notices.0.lock().unwrap()[2].why.contains("Overloaded"));
    assert_eq!(stream.timing().attempts, 4);
    assert_eq!(client.counters().retries, 3);
    let bodies: Vec<_> = model.requests().into_iter().map(|request| request.bytes).collect();
    assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]), "a retry is the same request");
}

#[tokio::test]
async fn what_will_not_pass_is_asked_once_and_told_without_the_key() {
    for (status, kind) in [
        (400, LlmErrorKind::Config),
        (401, LlmErrorKind::Auth),
        (403, LlmErrorKind::Auth),
        (404, LlmErrorKind::Config),
        (413, LlmErrorKind::ContextOverflow),
        (422, LlmErrorKind::Config),
    ] {
        let model = Model::start();
        let body = format!(r#"{{"error":{{"message":"wrong key {KEY}, see {KEY}"}}}}"#);
        model.script([Turn::failure(status, &[("x-request-id", KEY)], &body)]);
        let error = ask(&client(), &provider(&model, Protocol::OpenAi), &hello()).await.unwrap_err();
        assert_eq!((error.kind, error.status), (kind, Some(status)));
        assert!(error.message.starts_with("open: ") && error.message.contains("[key]"), "{error:?}");
        assert!(!format!("{error:?}").contains("canary"), "{error:?}");
        assert_eq!(model.requests().len(), 1);
    }
}

#[tokio::test]
async fn attempts_end_and_a_long_wait_is_not_waited() {
    let model = Model::start();
    model.answer_with(|_| Some(Turn::failure(503, &[], "")));
    let error = ask(&client(), &provider(&model, Protocol::OpenAi), &hello()).await.unwrap_err();
    assert_eq!(error.kind, LlmErrorKind::Overloaded);
    assert!(error.message.contains("after 5 attempts"), "{error}");
    assert_eq!(model.requests().len(), 5);

    let model = Model::start();
    model.script([Turn::failure(429, &[("retry-after", "3600")], "")]);
    let error = ask(&client(), &provider(&model, Protocol::OpenAi), &hello()).await.unwrap_err();
    assert!(error.message.contains("3600 s"), "{error}");
    assert_eq!(model.requests().len(), 1);
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_the_key_stays_here() {
    for protocol in BOTH {
        let elsewhere = Model::start();
        let model = Model::start();
        let place = format!("{}/v1/steal?token=secret", elsewhere.origin());
        model.script([Turn::failure(307, &[("location", &place)], "")]);
        let error = ask(&client(), &provider(&model, protocol), &hello()).await.unwrap_err();
        assert_eq!(error.kind, LlmErrorKind::Config);
        assert!(error.message.contains(&elsewhere.origin()) && !error.message.contains("secret"), "{error}");
        assert_eq!((elsewhere.connections(), model.requests().len()), (0, 1));
    }
}

#[tokio::test]
async fn a_stream_that_breaks_before_content_is_tried_again() {
    for broken in ["cut", "reset", "error event", "empty", "pings only"] {
        let model = Model::start();
        let (client, provider, hello) = (client(), provider(&model, Protocol::Anthropic), hello());
        let (_, response) = tokio::join!(
            async {
                let (_, mut reply) = model.expect().await;
                model.script([Turn::text("again")]);
                reply.sse();
                match broken {
                    "cut" => {
                        reply.send(anthropic::start(1, 0));
                        reply.cut();
                    }
                    "reset" => reply.reset(),
                    "error event" => {
                        reply.send("event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"m\"}}\n\n");
                        reply.end();
                    }
                    "empty" => reply.end(),
                    _ => {
                        reply.send(": hold on\n\n");
                        reply.send(anthropic::ping());
                        reply.end();
                    }
                }
            },
            ask(&client, &provider, &hello),
        );
        assert_eq!(response.unwrap().turn.text, "again", "{broken}");
        assert_eq!(model.requests().len(), 2, "{broken}");
    }
}

#[tokio::test]
async fn a_stream_that_breaks_after_content_is_an_error_and_not_repeated() {
    for broken in ["cut", "reset", "error event", "end of body"] {
        let model = Model::start();
        let (client, provider, hello) = (client(), provider(&model, Protocol::OpenAi), hello());
        let (reply, stream) = tokio::join!(
            async {
                let (_, mut reply) = model.expect().await;
                reply.sse();
                reply.send(openai::text("half an ans"));
                reply
            },
            client.stream(&provider, &hello, &quiet),
        );
        let mut stream = stream.unwrap();
        assert!(matches!(stream.next().await.unwrap(), Some(StreamEvent::Text(_))));
        let kind = match broken {
            "cut" => {
                reply.cut();
                LlmErrorKind::Network
            }
            "reset" => {
                reply.reset();
                LlmErrorKind::Network
            }
            "error event" => {
                reply.send(format!("data: {{\"error\":{{\"message\":\"{KEY}\",\"code\":503}}}}\n\n"));
                LlmErrorKind::Overloaded
            }
            _ => {
                reply.end();
                LlmErrorKind::BadResponse
            }
        };
        let error = stream.next().await.unwrap_err();
        assert_eq!(error.kind, kind, "{broken}");
        assert_eq!(error.request_id.as_deref(), Some("req-test"));
        assert!(!format!("{error:?}").contains("canary"), "{error:?}");
        assert!(stream.next().await.unwrap().is_none());
        assert_eq!(model.requests().len(), 1, "{broken}");
    }
}

#[tokio::test]
async fn a_connection_lost_after_the_end_of_the_answer_loses_nothing() {
    let model = Model::start();
    let (client, provider, hello) = (client(), provider(&model, Protocol::OpenAi), hello());
    let (_, response) = tokio::join!(
        async {
            let (_, mut reply) = model.expect().await;
            reply.sse();
            reply.send(openai::text("all"));
            reply.send(openai::finish("stop"));
            reply.cut();
        },
        ask(&client, &provider, &hello),
    );
    assert_eq!(response.unwrap().turn.text, "all");
}

#[tokio::test]
async fn a_pooled_connection_that_died_is_replaced_silently() {
    let model = Model::start();
    let (client, provider, hello) = (client(), provider(&model, Protocol::OpenAi), hello());
    model.script([Turn::text("one")]);
    ask(&client, &provider, &hello).await.unwrap();
    let notices = Notices::default();
    let notify = |notice| notices.take(notice);
    let (_, second) = tokio::join!(
        async {
            // The request reaches the server, which closes without a word: what a stale connection looks like.
            let (_, reply) = model.expect().await;
            model.script([Turn::text("two")]);
            reply.cut();
        },
        client.stream(&provider, &hello, &notify),
    );
    assert_eq!(drain(&mut second.unwrap()).await.unwrap().1.turn.text, "two");
    assert!(notices.waits().is_empty(), "nobody waits and nobody is told");
}

#[tokio::test]
async fn silence_has_a_limit_before_the_answer_and_within_it() {
    let impatient = Client::new(ClientSettings { max_retries: 0, ..settings() });
    let model = Model::start();
    let mut provider = provider(&model, Protocol::OpenAi);
    provider.timeouts.first_byte = Duration::from_millis(30);
    let error = impatient.stream(&provider, &hello(), &quiet).await.unwrap_err();
    assert_eq!(error.kind, LlmErrorKind::Timeout);
    assert!(error.message.contains("no answer within 30 ms"), "{error}");

    provider.timeouts.first_byte = Duration::from_secs(60);
    provider.timeouts.idle = Duration::from_millis(30);
    let hello = hello();
    let (_first, _unanswered) = model.expect().await;
    let (_reply, stream) = tokio::join!(
        async {
            let (_, mut reply) = model.expect().await;
            reply.sse();
            reply.send(openai::text("a"));
            reply
        },
        impatient.stream(&provider, &hello, &quiet),
    );
    let mut stream = stream.unwrap();
    stream.next().await.unwrap();
    let error = stream.next().await.unwrap_err();
    assert_eq!(error.kind, LlmErrorKind::Timeout);
    assert!(error.message.contains("stopped for 30 ms"), "{error}");
}

#[tokio::test]
async fn an_answer_that_is_no_stream_is_told_as_what_it_is() {
    for (kind, body, expected) in [
        ("text/html; charset=utf-8", "<html>login</html>", LlmErrorKind::BadResponse),
        ("application/json", r#"{"choices":[]}"#, LlmErrorKind::BadResponse),
        ("application/json", r#"{"error":{"message":"no such model","code":"model_not_found"}}"#, LlmErrorKind::Config),
    ] {
        let model = Model::start();
        model.script([Turn::failure(200, &[("content-type", kind)], body)]);
        let error = ask(&client(), &provider(&model, Protocol::OpenAi), &hello()).await.unwrap_err();
        assert_eq!(error.kind, expected, "{error}");
    }
}

#[tokio::test]
async fn hostile_sizes_end_with_an_error() {
    let model = Model::start();
    let huge = "x".repeat(2 << 20);
    model.script([Turn::failure(400, &[], &huge)]);
    let error = ask(&client(), &provider(&model, Protocol::OpenAi), &hello()).await.unwrap_err();
    assert!(error.message.len() < 1000);

    let (client, provider, hello) = (client(), provider(&model, Protocol::OpenAi), hello());
    let (_, error) = tokio::join!(
        async {
            let (_, mut reply) = model.expect().await;
            reply.sse();
            reply.raw(b"data: ");
            for _ in 0..17 {
                reply.raw(&huge[..1 << 20]);
            }
            reply.closed().await;
        },
        ask(&client, &provider, &hello),
    );
    assert_eq!(error.unwrap_err().kind, LlmErrorKind::BadResponse);
    assert_eq!(model.requests().len(), 2, "what is too large once is too large again");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_plainly() {
    let gone = Model::start();
    let provider = provider(&gone, Protocol::OpenAi);
    drop(gone);
    let error = ask(&client(), &provider, &hello()).await.unwrap_err();
    assert_eq!(error.kind, LlmErrorKind::Network);
    assert!(error.message.contains("no connection: ") && error.message.contains("refused"), "{error}");
}

#[tokio::test]
async fn a_key_never_goes_to_another_machine_in_clear() {
    let model = Model::start();
    let mut provider = provider(&model, Protocol::OpenAi);
    provider.base_url = "http://192.0.2.1/v1".parse().unwrap();
    assert_eq!(ask(&client(), &provider, &hello()).await.unwrap_err().kind, LlmErrorKind::Config);
    provider.base_url = model.openai_url().parse().unwrap();
    provider.key = Some("two\nlines".to_owned().into());
    let error = ask(&client(), &provider, &hello()).await.unwrap_err();
    assert_eq!(error.kind, LlmErrorKind::Auth);
    assert_eq!(model.connections(), 0);
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_is_told_plainly() {
    let model = Model::start();
    let mut provider = provider(&model, Protocol::OpenAi);
    let plain = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    provider.base_url = format!("https://{}/v1", plain.local_addr().unwrap()).parse().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = plain.accept().unwrap();
        std::io::Write::write_all(&mut stream, b"HTTP/1.1 400 Plain\r\n\r\n").unwrap();
        // Read to the end: a close with unread bytes would be a reset.
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    let once = Client::new(ClientSettings { max_retries: 0, ..settings() });
    let hello = hello();
    let asked = once.stream(&provider, &hello, &quiet);
    fn movable<T: Send>(future: T) -> T {
        future
    }
    // A run is a task of its own, so the call must be able to move between threads.
    let error = movable(asked).await.unwrap_err();
    // A machine without any certificates cannot even begin.
    assert!(matches!(error.kind, LlmErrorKind::Network | LlmErrorKind::Config), "{error:?}");
    assert!(!format!("{error:?}").contains("canary"));
}
