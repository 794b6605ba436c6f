//! What the client does so that little is asked, nobody is kept waiting and nothing is paid twice.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use ropeway::config::Config;
use ropeway::ids::{RunId, ThreadId};
use ropeway::llm::{
    Call, Client, ClientSettings, LlmErrorKind, Message, Request, Response, StreamEvent, Target, ToolResult,
};

use super::{KEY, Notices, ask, client, drain, hello, provider, quiet, request, settings};
use crate::support::model::{Model, Protocol, Turn, openai};

fn busy() -> Turn {
    Turn::failure(529, &[], r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#)
}

fn call(model: &Model, protocol: Protocol) -> Call {
    Call {
        request: hello(),
        provider: Arc::new(provider(model, protocol)),
        fallback: Arc::from([]),
        run: RunId::from("r"),
        thread: None,
    }
}

fn deterministic() -> Request {
    Request { temperature: Some(0.0), ..hello() }
}

#[tokio::test]
async fn another_model_stands_in_for_an_overloaded_one_and_this_is_told() {
    let model = Model::start();
    model.answer_with(|request| {
        Some(if request.protocol() == Protocol::OpenAi { busy() } else { Turn::text("from the other") })
    });
    let other = Target {
        provider: Arc::new(provider(&model, Protocol::Anthropic)),
        model: Arc::from("other"),
        max_output_tokens: 77,
        context_window: 1000,
    };
    let call = Call { fallback: Arc::from([other]), ..call(&model, Protocol::OpenAi) };
    // The breaker's times are real here: the model is left alone for half a minute.
    let client = Client::new(ClientSettings { wait_scale: 1.0, ..settings() });
    for (round, asked) in [(0, 2), (1, 0)] {
        let (before, notices) = (model.requests().len(), Notices::default());
        let mut stream = client.call(call.clone(), &|notice| notices.take(notice)).await.unwrap();
        let response = drain(&mut stream).await.unwrap().1;
        assert_eq!((response.turn.text.as_str(), &*response.turn.origin), ("from the other", "anth/other"));
        let requests = model.requests().split_off(before);
        assert_eq!(requests.iter().filter(|request| request.protocol() == Protocol::OpenAi).count(), asked, "{round}");
        let last = requests.last().unwrap();
        assert_eq!((last.body["model"].as_str(), last.body["max_tokens"].as_u64()), (Some("other"), Some(77)));
        let told = notices.0.lock().unwrap();
        assert!(told.iter().any(|notice| notice.why.contains("asking anth/other instead")), "{told:?}");
    }
}

#[tokio::test]
async fn a_refusal_of_another_kind_is_no_reason_to_ask_another_model() {
    for (status, kind) in [(401, LlmErrorKind::Auth), (429, LlmErrorKind::RateLimited)] {
        let model = Model::start();
        model.answer_with(move |_| Some(Turn::failure(status, &[], "")));
        let other = Target {
            provider: Arc::new(provider(&model, Protocol::Anthropic)),
            model: Arc::from("other"),
            max_output_tokens: 77,
            context_window: 1000,
        };
        let call = Call { fallback: Arc::from([other]), ..call(&model, Protocol::OpenAi) };
        assert_eq!(client().call(call, &quiet).await.unwrap_err().kind, kind);
        assert!(model.requests().iter().all(|request| request.protocol() == Protocol::OpenAi));
    }
}

#[tokio::test]
async fn a_provider_that_keeps_failing_is_left_alone_unless_that_is_off() {
    for (on, asked) in [(true, 5), (false, 9)] {
        let model = Model::start();
        model.answer_with(|_| Some(Turn::failure(503, &[], "")));
        let settings = ClientSettings { wait_scale: 1.0, max_retries: 0, circuit_breaker: on, ..settings() };
        let (client, provider) = (Client::new(settings), provider(&model, Protocol::OpenAi));
        for _ in 0..9 {
            let error = ask(&client, &provider, &hello()).await.unwrap_err();
            assert_eq!(error.kind, LlmErrorKind::Overloaded);
        }
        assert_eq!(model.requests().len(), asked);
        let row = client.traffic().remove(0);
        assert_eq!((row.open, row.failures), (on, 9));
    }
}

#[tokio::test]
async fn after_a_while_one_request_goes_ahead_to_see_and_the_others_follow_when_it_is_answered() {
    let model = Model::start();
    model.script((0..5).map(|_| Turn::failure(503, &[], "")));
    let settings = ClientSettings { wait_scale: 1.0, max_retries: 0, ..settings() };
    let mut config = Config::default();
    (config.llm.requests_per_second, config.llm.burst) = (settings.requests_per_second, settings.burst);
    (config.llm.dedupe, config.llm.cache_entries) = (false, settings.cache_entries);
    let (client, provider, hello) = (Client::new(settings), provider(&model, Protocol::OpenAi), hello());
    for _ in 0..5 {
        ask(&client, &provider, &hello).await.unwrap_err();
    }
    // From here on it is waited for.
    client.configure(&config);
    let mut calls = Box::pin(futures_util::future::join_all((0..3).map(|_| ask(&client, &provider, &hello))));
    tokio::time::pause();
    assert!(futures_util::poll!(&mut calls).is_pending() && client.traffic()[0].open);
    tokio::time::advance(Duration::from_secs(5)).await;
    assert!(futures_util::poll!(&mut calls).is_pending());
    tokio::time::resume();
    let (request, probe) = tokio::select! {
        expected = model.expect() => expected,
        _ = &mut calls => unreachable!("nothing was answered"),
    };
    tokio::time::pause();
    for _ in 0..5 {
        tokio::time::advance(Duration::from_millis(300)).await;
        assert!(futures_util::poll!(&mut calls).is_pending());
    }
    tokio::time::resume();
    assert_eq!(model.requests().len(), 6, "only the one that goes ahead was sent");
    model.script([Turn::text("b"), Turn::text("c")]);
    probe.play(&Turn::text("a"), &request);
    let mut texts: Vec<_> = calls.await.into_iter().map(|answer| answer.unwrap().turn.text).collect();
    texts.sort();
    assert_eq!((texts, client.traffic()[0].open), (["a", "b", "c"].map(str::to_owned).into(), false));
}

#[tokio::test]
async fn equal_requests_at_the_same_time_are_sent_once_and_paid_once() {
    for (dedupe, sent) in [(true, 1), (false, 3)] {
        let model = Model::start();
        let client = Client::new(ClientSettings { dedupe, ..settings() });
        let (provider, hello) = (provider(&model, Protocol::OpenAi), hello());
        let ask = || ask(&client, &provider, &hello);
        let (one, two, three, ()) = tokio::join!(ask(), ask(), ask(), async {
            for _ in 0..sent {
                let (request, reply) = model.expect().await;
                reply.play(&Turn::text("the same for all").usage(100, 0, 10), &request);
            }
        });
        let answers = [one.unwrap(), two.unwrap(), three.unwrap()];
        assert!(answers.iter().all(|answer| answer.turn.text == "the same for all"));
        assert_eq!(answers.iter().filter(|answer| answer.usage.is_some()).count(), sent);
        assert_eq!((model.requests().len(), client.counters().shared), (sent, 3 - sent as u64));
    }
}

#[tokio::test]
async fn who_leaves_a_shared_call_takes_nothing_from_the_others() {
    let model = Model::start();
    let (client, provider, hello) = (client(), provider(&model, Protocol::OpenAi), hello());
    let mut first = Box::pin(client.stream(&provider, &hello, &quiet));
    let mut second = Box::pin(client.stream(&provider, &hello, &quiet));
    assert!(futures_util::poll!(&mut first).is_pending() && futures_util::poll!(&mut second).is_pending());
    let (_, mut reply) = tokio::select! {
        expected = model.expect() => expected,
        _ = &mut first => unreachable!("nothing was answered"),
    };
    // The one that had driven the call is gone.
    drop(first);
    reply.sse();
    reply.send(openai::text("still here"));
    reply.send(openai::finish("stop"));
    reply.send(openai::done());
    reply.end();
    let mut stream = second.await.unwrap();
    assert_eq!(drain(&mut stream).await.unwrap().1.turn.text, "still here");
    assert_eq!(model.requests().len(), 1);
}

#[tokio::test]
async fn when_all_have_left_a_shared_call_is_cancelled() {
    let model = Model::start();
    let (client, provider, hello) = (client(), provider(&model, Protocol::OpenAi), hello());
    let (first, second, mut reply) =
        tokio::join!(client.stream(&provider, &hello, &quiet), client.stream(&provider, &hello, &quiet), async {
            let (_, mut reply) = model.expect().await;
            reply.sse();
            reply.send(openai::text("a"));
            reply
        });
    let (mut first, second) = (first.unwrap(), second.unwrap());
    assert!(matches!(first.next().await, Ok(Some(StreamEvent::Text(_)))));
    drop((first, second));
    reply.closed().await;
}

#[tokio::test]
async fn an_answer_that_would_be_the_same_is_given_again_and_off_means_off() {
    for (entries, sent) in [(50, 1), (0, 3)] {
        let model = Model::start();
        model.answer_with(|_| Some(Turn::text("four").usage(100, 0, 10)));
        let client = Client::new(ClientSettings { cache_entries: entries, ..settings() });
        let provider = provider(&model, Protocol::OpenAi);
        for _ in 0..3 {
            assert_eq!(ask(&client, &provider, &deterministic()).await.unwrap().turn.text, "four");
        }
        assert_eq!(model.requests().len(), sent);
        let hits = client.counters().cache_hits;
        assert_eq!(hits, if entries == 0 { 0 } else { 2 });
    }
}

#[tokio::test]
async fn an_answer_kept_on_disk_serves_the_next_server_and_off_keeps_none() {
    let home = tempfile::tempdir().unwrap();
    let state = home.path().to_str().unwrap();
    for (megabytes, sent) in [(0, 2), (1, 1)] {
        let mut config = Config::default();
        config.state_dir = Some(state.into());
        config.llm.disk_cache_mb = megabytes;
        let model = Model::start();
        let turn = Turn::text("I look.").call("toolu_9", "grep", r#"{"pattern":"é"}"#);
        model.answer_with(move |_| Some(turn.clone()));
        let provider = provider(&model, Protocol::Anthropic);
        let mut answers = Vec::new();
        for _ in 0..2 {
            let client = Client::new(ClientSettings { burst: 100, ..ClientSettings::from(&config) });
            answers.push(ask(&client, &provider, &deterministic()).await.unwrap());
        }
        assert_eq!(model.requests().len(), sent);
        assert_eq!(home.path().read_dir().unwrap().count(), usize::from(megabytes > 0));
        let [first, again] = &answers[..] else { panic!("two answers") };
        let said = |answer: &Response| (answer.turn.text.clone(), answer.turn.calls.len(), answer.turn.raw.clone());
        assert_eq!(said(first).0, "I look.");
        assert_eq!(format!("{:?}", said(first).2), format!("{:?}", said(again).2), "byte for byte, for the echo");
        assert_eq!((&said(first).0, said(first).1), (&said(again).0, said(again).1));
        assert_eq!(again.usage.is_none(), megabytes > 0, "paid once");
    }
}

#[tokio::test]
async fn what_may_be_answered_otherwise_is_asked_again() {
    let model = Model::start();
    model.answer_with(|_| Some(Turn::text("x")));
    let client = client();
    let open = provider(&model, Protocol::OpenAi);
    let with_results = || {
        let results = vec![ToolResult { call: "c".into(), name: "grep".into(), content: "1".into(), is_error: false }];
        let messages = vec![Message::User("hi".into()), Message::ToolResults(results.into())];
        Request { temperature: Some(0.0), ..request(messages) }
    };
    let mut richer = open.clone();
    richer.key = Some(format!("{KEY}-other").into());
    let mut asked = 0;
    for (provider, request) in [
        // No temperature, then results of tools, then another's key.
        (&open, hello()),
        (&open, hello()),
        (&open, with_results()),
        (&open, with_results()),
        (&open, deterministic()),
        (&richer, deterministic()),
    ] {
        ask(&client, provider, &request).await.unwrap();
        asked += 1;
        assert_eq!(model.requests().len(), asked);
    }
}

#[tokio::test]
async fn a_connection_is_opened_ahead_without_the_key_and_used_by_the_first_request() {
    let model = Model::start();
    model.script([Turn::text("a"), Turn::text("b")]);
    let (client, provider) = (client(), provider(&model, Protocol::OpenAi));
    client.warm(&provider).expect("there is none yet").await;
    assert!(client.warm(&provider).is_none(), "once is enough");
    let warmed = model.warmed();
    assert_eq!((warmed.len(), warmed[0].method.as_str()), (1, "HEAD"));
    assert!(!format!("{warmed:?}").contains("canary"), "{warmed:?}");
    for _ in 0..2 {
        // The connection's own task gives it back to the pool; who asks before that begins to open another.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        ask(&client, &provider, &hello()).await.unwrap();
    }
    assert!(model.requests().iter().all(|request| request.connection == 1));
    let row = client.traffic().remove(0);
    assert_eq!((row.requests, row.connections, row.warmed, row.reuse_rate), (2, 1, 1, Some(1.0)));
    assert_eq!(row.first_token.count, 2);
    let mut keyless = provider.clone();
    keyless.base_url = "https://example.invalid".parse().unwrap();
    keyless.key_missing = Some("there is no key".to_owned());
    assert!(client.warm(&keyless).is_none(), "what cannot be used is not opened");
}

#[tokio::test]
async fn what_broke_the_cached_prefix_is_told() {
    let model = Model::start();
    model.answer_with(|_| Some(Turn::text("x")));
    let client = client();
    let mut said = Vec::new();
    for words in [&["a"][..], &["a", "b"], &["A", "b", "c"]] {
        let messages = words.iter().map(|word| Message::User(Arc::from(*word))).collect();
        let thread = Some(ThreadId::from("t"));
        let call = Call { request: request(messages), thread, ..call(&model, Protocol::OpenAi) };
        let mut stream = client.call(call, &quiet).await.unwrap();
        said.push(stream.take_broken_prefix());
        drain(&mut stream).await.unwrap();
    }
    assert_eq!(said, [None, None, Some("message 1 of 2 changed".to_owned())]);
    assert_eq!(client.prefix_breaks().into_iter().collect::<Vec<_>>(), [("messages", 1)]);
}

#[tokio::test]
async fn a_wait_for_a_turn_that_lasts_is_told_with_what_keeps_it() {
    let model = Model::start();
    let allowed = [("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "40s")];
    for (at_once, expected, wait) in [(1, "max_concurrent", 0..=0), (9, "allows of requests or tokens", 30..=40)] {
        let client = Client::new(ClientSettings { max_concurrent: at_once, dedupe: false, ..settings() });
        let first = call(&model, Protocol::OpenAi);
        let (_held, stream) = tokio::join!(
            async {
                let (_, mut reply) = model.expect().await;
                if at_once == 1 {
                    reply.sse()
                } else {
                    reply.stream(&allowed)
                };
                reply.send(openai::text("a"));
                reply
            },
            client.call(first.clone(), &quiet),
        );
        let _held = (_held, stream.unwrap());
        let notices = Notices::default();
        let notify = |notice| notices.take(notice);
        let mut second = Box::pin(client.call(first, &notify));
        tokio::time::pause();
        assert!(futures_util::poll!(&mut second).is_pending() && notices.waits().is_empty());
        tokio::time::advance(Duration::from_secs(3)).await;
        // One poll tells, the next hears.
        for _ in 0..2 {
            assert!(futures_util::poll!(&mut second).is_pending());
        }
        let told = notices.0.lock().unwrap().pop().expect("it has waited for three seconds");
        assert!(told.why.contains(expected) && told.attempt == 0, "{told:?}");
        assert!(wait.contains(&told.wait.as_secs()), "{told:?}");
        tokio::time::resume();
    }
}

#[tokio::test]
async fn a_hundred_runs_over_four_places_are_answered_in_turns_and_nothing_is_lost() {
    const RUNS: usize = 100;
    const REQUESTS: usize = 3;
    let model = Model::start();
    model.answer_with(|request| Some(Turn::text(request.messages()[1]["content"].as_str().unwrap())));
    let client = Client::new(ClientSettings { max_concurrent: 4, ..settings() });
    let runs = (0..RUNS).map(|run| {
        let (client, model) = (&client, &model);
        async move {
            for round in 0..REQUESTS {
                let words = format!("run {run} round {round}");
                let messages = vec![Message::User(words.as_str().into())];
                let run = RunId::from(run.to_string());
                let call = Call { request: request(messages), run, ..call(model, Protocol::OpenAi) };
                let mut stream = client.call(call, &quiet).await.unwrap();
                assert_eq!(drain(&mut stream).await.unwrap().1.turn.text, words);
            }
        }
    });
    futures_util::future::join_all(runs).await;
    let order: Vec<String> = model.requests().iter().map(|request| request.last_message()).collect();
    assert_eq!(order.len(), RUNS * REQUESTS);
    // Counted, not timed: how many others were asked for between a run's request and its next.
    let mut last = [0; RUNS];
    let mut waits = Vec::new();
    for (at, words) in order.iter().enumerate() {
        let run: usize = words.split("run ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        waits.push(at - std::mem::replace(&mut last[run], at));
    }
    // The first of each came in the order in which the runs were made.
    let waits = &waits[RUNS..];
    let mean = waits.iter().sum::<usize>() as f64 / waits.len() as f64;
    assert!(*waits.iter().max().unwrap() as f64 <= 2.0 * mean, "{waits:?}");
    assert_eq!(client.traffic()[0].waiting, 0);
}

/// A server that writes as fast as it is let, and says how much it got rid of before nobody took any more.
fn eager_server(pieces: usize) -> (String, mpsc::Receiver<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let (tell, stalled) = mpsc::channel();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = [0; 64 << 10];
        let _ = stream.read(&mut head).unwrap();
        let piece = openai::text(&"x".repeat(64 << 10));
        let mut wire = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n".to_vec();
        for _ in 0..pieces {
            wire.extend_from_slice(piece.as_bytes());
        }
        wire.extend_from_slice(openai::finish("stop").as_bytes());
        wire.extend_from_slice(openai::done().as_bytes());
        stream.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
        let mut written = 0;
        while written < wire.len() {
            match stream.write(&wire[written..]) {
                Ok(count) => written += count,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    let _ = tell.send(written);
                }
                Err(error) => panic!("{error}"),
            }
        }
    });
    (url, stalled)
}

#[tokio::test]
async fn a_slow_reader_slows_the_server_down_and_loses_nothing() {
    const PIECES: usize = 900;
    let (url, stalled) = eager_server(PIECES);
    let mut provider = provider(&Model::start(), Protocol::OpenAi);
    provider.base_url = url.parse().unwrap();
    let mut stream = client().stream(&provider, &hello(), &quiet).await.unwrap();
    // The server has tried for a while and nobody took it: what is in between is the sockets' own and one read.
    let written = tokio::task::spawn_blocking(move || stalled.recv().unwrap()).await.unwrap();
    assert!(written < 24 << 20, "{written} bytes went out although nobody read");
    let response = drain(&mut stream).await.unwrap().1;
    assert_eq!(response.turn.text.len(), PIECES * (64 << 10));
}
