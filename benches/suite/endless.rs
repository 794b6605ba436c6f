//! Model servers on a thread of their own, with TLS and without: as many events as are wanted, at once, one by one with
//! the time they were sent, or an answer that begins and does not end.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

const BEFORE: &str = "data: {\"id\":\"chatcmpl-A1b2C3d4E5f6G7h8I9j0\",\"object\":\"chat.completion.chunk\",\"created\":1730000000,\"model\":\"gpt-4o-2024-08-06\",\"system_fingerprint\":\"fp_0123456789\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"";
const BEHIND: &str = "\"},\"logprobs\":null,\"finish_reason\":null}]}\n\n";
const FINISH: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const DONE: &str = "data: [DONE]\n\n";

/// What an answer is; part of the address.
#[derive(Clone, Copy)]
pub enum Manner {
    /// A word and the end.
    Quick,
    /// So many words, as fast as they are taken.
    Events(usize),
    /// So many words, one a millisecond, each the time in µs since the server began.
    Stamps(usize),
    /// A word, and no end.
    Held,
}

impl Manner {
    fn path(self) -> String {
        match self {
            Self::Quick => "events/1/v1".to_owned(),
            Self::Events(count) => format!("events/{count}/v1"),
            Self::Stamps(count) => format!("stamps/{count}/v1"),
            Self::Held => "held/1/v1".to_owned(),
        }
    }

    fn of(path: &str) -> Self {
        let mut parts = path.trim_start_matches('/').split('/');
        let (name, count) = (parts.next(), parts.next().and_then(|count| count.parse().ok()).unwrap_or(1));
        match name {
            Some("stamps") => Self::Stamps(count),
            Some("held") => Self::Held,
            _ => Self::Events(count),
        }
    }
}

/// The servers; their thread ends with the program.
pub struct Endless {
    pub begun: Instant,
    tls: u16,
    plain: u16,
    certificate: reqwest::Certificate,
    ends: Mutex<mpsc::Receiver<Instant>>,
    beginnings: Mutex<mpsc::Receiver<()>>,
}

/// What the answers tell.
#[derive(Clone)]
struct Tell {
    begun: Instant,
    ends: mpsc::Sender<Instant>,
    beginnings: mpsc::Sender<()>,
}

impl Endless {
    pub fn start() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let certificate = reqwest::Certificate::from_der(made.cert.der()).expect("a certificate");
        // The client would do this with its first request; the bare one is there before.
        let _ = ring::default_provider().install_default();
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key.into())
            .expect("a key that fits");
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let begun = Instant::now();
        let ((ended, ends), (began, beginnings), (told, ports)) = (mpsc::channel(), mpsc::channel(), mpsc::channel());
        let tell = Tell { begun, ends: ended, beginnings: began };
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async move {
                let [tls, plain] = [TcpListener::bind("127.0.0.1:0").await, TcpListener::bind("127.0.0.1:0").await]
                    .map(|listener| listener.expect("a port"));
                let port = |listener: &TcpListener| listener.local_addr().expect("bound").port();
                told.send((port(&tls), port(&plain))).expect("the bench waits");
                let acceptor = TlsAcceptor::from(Arc::new(config));
                tokio::join!(accept(tls, Some(acceptor), tell.clone()), accept(plain, None, tell));
            });
        });
        let (tls, plain) = ports.recv().expect("the servers start");
        Self { begun, tls, plain, certificate, ends: Mutex::new(ends), beginnings: Mutex::new(beginnings) }
    }

    pub fn certificate(&self) -> reqwest::Certificate {
        self.certificate.clone()
    }

    pub fn url(&self, manner: Manner) -> String {
        format!("https://localhost:{}/{}", self.tls, manner.path())
    }

    pub fn plain_url(&self, manner: Manner) -> String {
        format!("http://127.0.0.1:{}/{}", self.plain, manner.path())
    }

    /// When an answer that is held was given up, if one was.
    pub fn end(&self) -> Option<Instant> {
        self.ends.lock().expect("one thread").try_recv().ok()
    }

    pub fn forget_ends(&self) {
        while self.end().is_some() {}
        while self.beginnings.lock().expect("one thread").try_recv().is_ok() {}
    }

    /// Waits until an answer that is held has begun.
    pub fn wait_begun(&self) {
        self.beginnings.lock().expect("one thread").recv_timeout(Duration::from_secs(60)).expect("an answer begins");
    }
}

async fn accept(listener: TcpListener, acceptor: Option<TlsAcceptor>, tell: Tell) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        stream.set_nodelay(true).expect("an option");
        let (acceptor, tell) = (acceptor.clone(), tell.clone());
        tokio::spawn(async move {
            match acceptor {
                Some(acceptor) => {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        converse(stream, tell).await;
                    }
                }
                None => converse(stream, tell).await,
            }
        });
    }
}

async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, tell: Tell) {
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let tell = tell.clone();
        async move {
            let manner = Manner::of(request.uri().path());
            // A request that is cut off has no answer.
            let _ = request.into_body().collect().await;
            let answer = Answer { manner, given: 0, sleep: None, tell };
            let response = hyper::Response::builder().header("content-type", "text/event-stream");
            Ok::<_, Infallible>(response.body(answer).expect("a head"))
        }
    });
    let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
    // How it ends is the client's affair.
    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
}

/// A frame an event, as inference servers send them.
struct Answer {
    manner: Manner,
    given: usize,
    sleep: Option<Pin<Box<tokio::time::Sleep>>>,
    tell: Tell,
}

impl Drop for Answer {
    fn drop(&mut self) {
        if matches!(self.manner, Manner::Held) {
            // Who does not listen any more has what it wanted.
            let _ = self.tell.ends.send(Instant::now());
        }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let (count, paced) = match self.manner {
            Manner::Quick => (1, false),
            Manner::Events(count) => (count, false),
            Manner::Stamps(count) => (count, true),
            Manner::Held if self.given > 0 => return Poll::Pending,
            Manner::Held => (1, false),
        };
        if paced {
            let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(Duration::from_millis(1))));
            if sleep.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            self.sleep = None;
        }
        let given = self.given;
        self.given += 1;
        let bytes = if given < count && paced {
            let stamp = self.tell.begun.elapsed().as_nanos() as f64 / 1e3;
            Bytes::from(format!("{BEFORE}{stamp:.1}{BEHIND}"))
        } else if given < count {
            if matches!(self.manner, Manner::Held) {
                let _ = self.tell.beginnings.send(());
            }
            word()
        } else if given == count {
            Bytes::from_static(FINISH.as_bytes())
        } else if given == count + 1 {
            Bytes::from_static(DONE.as_bytes())
        } else {
            return Poll::Ready(None);
        };
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }
}

fn word() -> Bytes {
    static WORD: std::sync::OnceLock<Bytes> = std::sync::OnceLock::new();
    WORD.get_or_init(|| Bytes::from(format!("{BEFORE} token{BEHIND}"))).clone()
}
