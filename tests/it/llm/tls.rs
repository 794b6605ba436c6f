//! The client over TLS: which protocol is agreed on, who is trusted, and what becomes of a connection.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::channel::{Channel, Sender};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::sync::{Notify, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

use ropeway::config::ProviderConfig;
use ropeway::llm::{Client, ClientSettings, LlmErrorKind, StreamEvent};

use super::{Notices, ask, drain, hello, provider, quiet, settings};
use crate::support::model::{Model, Protocol, openai};

/// What a request was: its connection, counted from 1, and the version of HTTP.
type Seen = Arc<Mutex<Vec<(usize, Version)>>>;

/// A server on loopback with a certificate of its own. Its task ends with the test's runtime.
struct Server {
    url: String,
    certificate: reqwest::Certificate,
    seen: Seen,
    /// Answers that were begun and wait to be gone on with, where the test wants that.
    open: mpsc::UnboundedReceiver<Sender<Bytes>>,
    /// Takes all connections out of use once what goes on there is over.
    leave: Arc<Notify>,
}

/// Answers at once, or leaves the answer to the test after its first word.
#[derive(Clone, Copy, PartialEq)]
enum Manner {
    AtOnce,
    Held,
    /// Refuses the first stream, which nobody has looked at then, and answers the others.
    RefusesFirst,
}

async fn serve(protocols: &[&[u8]], manner: Manner) -> Server {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = reqwest::Certificate::from_der(made.cert.der()).unwrap();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}/v1", listener.local_addr().unwrap().port());
    let (seen, (opened, open)) = (Seen::default(), mpsc::unbounded_channel());
    let leave = Arc::<Notify>::default();
    let task = {
        let (seen, leave) = (Arc::clone(&seen), Arc::clone(&leave));
        async move {
            let connections = AtomicUsize::new(0);
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                let number = connections.fetch_add(1, Ordering::SeqCst) + 1;
                let (acceptor, seen, opened) = (acceptor.clone(), Arc::clone(&seen), opened.clone());
                let leave = Arc::clone(&leave);
                spawn(async move {
                    // Who does not trust us goes away here.
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let service = service_fn(|request| answer(request, number, seen.clone(), opened.clone(), manner));
                    let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
                    tokio::select! {
                        _ = connection.as_mut() => return,
                        () = leave.notified() => connection.as_mut().graceful_shutdown(),
                    }
                    let _ = connection.await;
                });
            }
        }
    };
    spawn(task);
    Server { url, certificate, seen, open, leave }
}

#[expect(clippy::disallowed_methods, reason = "ends with the runtime of its test")]
fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(task);
}

async fn answer(
    request: Request<Incoming>,
    number: usize,
    seen: Seen,
    opened: mpsc::UnboundedSender<Sender<Bytes>>,
    manner: Manner,
) -> Result<Response<Channel<Bytes>>, h2::Error> {
    seen.lock().unwrap().push((number, request.version()));
    if manner == Manner::RefusesFirst && seen.lock().unwrap().len() == 1 {
        return Err(h2::Reason::REFUSED_STREAM.into());
    }
    let _ = request.into_body().collect().await;
    let (mut body, channel) = Channel::new(16);
    let mut send = |text: String| body.try_send(Frame::data(Bytes::from(text))).ok().unwrap();
    send(openai::text("a"));
    if manner != Manner::Held {
        send(openai::finish("stop"));
        send(openai::done());
    } else {
        let _ = opened.send(body);
    }
    Ok(Response::builder().header("content-type", "text/event-stream").body(channel).unwrap())
}

impl Server {
    fn provider(&self) -> ProviderConfig {
        let mut provider = provider(&Model::start(), Protocol::OpenAi);
        provider.base_url = self.url.parse().unwrap();
        provider
    }

    fn trusting(&self, settings: ClientSettings) -> Arc<Client> {
        Client::new(ClientSettings { roots: vec![self.certificate.clone()], ..settings })
    }

    fn seen(&self) -> Vec<(usize, Version)> {
        self.seen.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn the_best_protocol_that_both_sides_know_is_used() {
    let both: &[&[u8]] = &[b"h2", b"http/1.1"];
    for (offered, http2, used) in [
        (both, true, Version::HTTP_2),
        (both, false, Version::HTTP_11),
        (&both[1..], true, Version::HTTP_11),
        (&[], true, Version::HTTP_11),
    ] {
        let server = serve(offered, Manner::AtOnce).await;
        let client = server.trusting(ClientSettings { http2, ..settings() });
        let response = ask(&client, &server.provider(), &hello()).await.unwrap();
        assert_eq!((response.turn.text.as_str(), server.seen()), ("a", vec![(1, used)]));
    }
}

#[tokio::test]
async fn a_server_that_nobody_vouches_for_gets_no_request_and_is_not_asked_again() {
    let server = serve(&[b"h2"], Manner::AtOnce).await;
    let error = ask(&Client::new(settings()), &server.provider(), &hello()).await.unwrap_err();
    assert_eq!(error.kind, LlmErrorKind::Network);
    assert!(error.hint.contains("certificate"), "{error:?}");
    assert_eq!(server.seen(), []);
}

#[tokio::test]
async fn many_requests_share_one_connection_of_http_2() {
    let server = serve(&[b"h2"], Manner::AtOnce).await;
    let client = server.trusting(ClientSettings { dedupe: false, ..settings() });
    let provider = server.provider();
    client.warm(&provider).expect("there is none yet").await;
    let hello = hello();
    let all = futures_util::future::join_all((0..50).map(|_| ask(&client, &provider, &hello))).await;
    assert!(all.into_iter().all(|answer| answer.unwrap().turn.text == "a"));
    assert!(server.seen().iter().all(|seen| *seen == (1, Version::HTTP_2)));
    let row = client.traffic().remove(0);
    assert_eq!((row.requests, row.connections, row.warmed, row.reuse_rate), (50, 1, 1, Some(1.0)));
}

#[tokio::test]
async fn a_cancelled_answer_of_http_2_ends_at_the_server_and_leaves_the_connection() {
    let mut server = serve(&[b"h2"], Manner::Held).await;
    let (client, provider) = (server.trusting(settings()), server.provider());
    for _ in 0..3 {
        let mut stream = client.stream(&provider, &hello(), &quiet).await.unwrap();
        assert!(matches!(stream.next().await, Ok(Some(StreamEvent::Text(text))) if text == "a"));
        let mut body = server.open.recv().await.unwrap();
        drop(stream);
        // The server can say what it likes until it hears of it, and then nothing any more.
        while body.send_data(Bytes::from_static(b": more\n\n")).await.is_ok() {
            tokio::task::yield_now().await;
        }
    }
    let hello = hello();
    let (stream, body) = tokio::join!(client.stream(&provider, &hello, &quiet), server.open.recv());
    let (mut stream, mut body) = (stream.unwrap(), body.unwrap());
    for rest in [openai::finish("stop"), openai::done()] {
        body.send_data(rest.into()).await.unwrap();
    }
    drop(body);
    assert_eq!(drain(&mut stream).await.unwrap().1.turn.text, "a");
    assert!(server.seen().iter().all(|(connection, _)| *connection == 1), "{:?}", server.seen());
}

#[tokio::test]
async fn an_answer_outlives_the_goaway_of_its_connection_and_the_next_request_is_not_troubled() {
    let mut server = serve(&[b"h2"], Manner::Held).await;
    let (client, provider, notices) = (server.trusting(settings()), server.provider(), Notices::default());
    let notify = |notice| notices.take(notice);
    for round in 1..=3 {
        let mut stream = client.stream(&provider, &hello(), &notify).await.unwrap();
        let mut body = server.open.recv().await.unwrap();
        server.leave.notify_waiters();
        // Both ends have heard of it by the time that this has made its way.
        for _ in 0..50 {
            body.send_data(Bytes::from_static(b": still here\n\n")).await.unwrap();
            tokio::task::yield_now().await;
        }
        for rest in [openai::finish("stop"), openai::done()] {
            body.send_data(rest.into()).await.unwrap();
        }
        drop(body);
        assert_eq!(drain(&mut stream).await.unwrap().1.turn.text, "a");
        assert_eq!(server.seen().last(), Some(&(round, Version::HTTP_2)), "each has a connection of its own");
    }
    assert_eq!((client.counters().retries, notices.waits().len()), (0, 0), "unseen");
}

#[tokio::test]
async fn a_stream_that_was_refused_before_anybody_looked_at_it_is_opened_again_unseen() {
    let server = serve(&[b"h2"], Manner::RefusesFirst).await;
    let (client, notices) = (server.trusting(settings()), Notices::default());
    let notify = |notice| notices.take(notice);
    let (provider, hello) = (server.provider(), hello());
    let mut stream = client.stream(&provider, &hello, &notify).await.unwrap();
    assert_eq!(drain(&mut stream).await.unwrap().1.turn.text, "a");
    assert_eq!((server.seen().len(), notices.waits().len()), (2, 0));
}
