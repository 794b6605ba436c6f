//! The HTTP/1.1 side of the model server: small, strict, and able to misbehave on demand.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::{Protocol, Received, Shared, Turn};

/// What a `Reply` tells its connection to do.
enum Step {
    /// These bytes, as they stand.
    Wire(Vec<u8>),
    /// The answer is complete; the connection lives on.
    Complete,
    /// Close in an orderly way, whatever is missing.
    Close,
    /// Close with a reset.
    Reset,
}

/// The answer to one request, given step by step. Dropped before its end, it closes the connection.
pub struct Reply {
    steps: mpsc::UnboundedSender<Step>,
    closed: watch::Receiver<bool>,
    chunked: bool,
}

impl Reply {
    fn step(&self, step: Step) {
        // The connection may be gone already; a test that cares asks `closed`.
        let _ = self.steps.send(step);
    }

    /// Bytes straight onto the wire: status line, headers and all are the test's.
    pub fn wire(&self, bytes: impl AsRef<[u8]>) {
        self.step(Step::Wire(bytes.as_ref().to_vec()));
    }

    /// A whole answer with a status, headers and a body.
    pub fn status(self, status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) {
        let body = body.as_ref();
        let mut head = format!("HTTP/1.1 {status} Scripted\r\ncontent-length: {}\r\n", body.len());
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(body);
        self.step(Step::Wire(bytes));
        self.step(Step::Complete);
    }

    /// Begins a stream of server-sent events; `send` and `end` go on.
    pub fn sse(&mut self) {
        self.stream(&[("content-type", "text/event-stream")]);
    }

    /// Begins a chunked body with headers of the test's choice.
    pub fn stream(&mut self, headers: &[(&str, &str)]) {
        let mut head = String::from("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nx-request-id: req-test\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        self.chunked = true;
        self.wire(head);
    }

    /// One event as the helpers of `openai` and `anthropic` make them, in an HTTP chunk and a write of its own.
    pub fn send(&self, event: impl AsRef<str>) {
        self.raw(event.as_ref());
    }

    /// Bytes of the body, in an HTTP chunk and a write of their own.
    pub fn raw(&self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        assert!(self.chunked, "begin the stream with `sse` or `stream` first");
        if bytes.is_empty() {
            return;
        }
        let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
        chunk.extend_from_slice(bytes);
        chunk.extend_from_slice(b"\r\n");
        self.step(Step::Wire(chunk));
    }

    /// Ends the body as HTTP wants it; the connection lives on.
    pub fn end(self) {
        if self.chunked {
            self.wire(b"0\r\n\r\n");
        }
        self.step(Step::Complete);
    }

    /// Closes the connection without the end of the body.
    pub fn cut(self) {
        self.step(Step::Close);
    }

    /// Resets the connection.
    pub fn reset(self) {
        self.step(Step::Reset);
    }

    /// Waits until the client has closed the connection: it dropped the stream.
    pub async fn closed(&mut self) {
        // An error means that the connection's task is gone, so the connection is too.
        let _ = self.closed.wait_for(|closed| *closed).await;
    }

    /// Plays a whole turn.
    pub fn play(mut self, turn: &Turn, request: &Received) {
        if let Some(plain) = &turn.failure {
            let headers: Vec<(&str, &str)> =
                plain.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            return self.status(plain.status, &headers, &plain.body);
        }
        match request.protocol() {
            Protocol::Ollama => self.stream(&[("content-type", "application/x-ndjson")]),
            _ => self.sse(),
        }
        let mut events = turn.events(request.protocol());
        let last = events.pop().unwrap_or_default();
        for event in events {
            self.send(event);
        }
        // In one write with the end of the body: the client can give the connection back with the last event.
        self.wire(format!("{:x}\r\n{last}\r\n0\r\n\r\n", last.len()));
        self.step(Step::Complete);
    }
}

/// Accepts connections until told to stop.
pub(super) async fn serve(listener: std::net::TcpListener, shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    let listener = TcpListener::from_std(listener).unwrap();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let number = shared.connections.fetch_add(1, Ordering::SeqCst) + 1;
                connections.spawn(connection(stream, number, Arc::clone(&shared)));
            }
            Some(_) = connections.join_next() => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

async fn connection(mut stream: TcpStream, number: usize, shared: Arc<Shared>) {
    let _ = stream.set_nodelay(true);
    let mut buffer = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut buffer, number).await {
        if request.method == "HEAD" {
            // Opens a connection and wants nothing; no test answers it.
            shared.state().warmed.push(request);
            if stream.write_all(b"HTTP/1.1 404 Nothing\r\ncontent-length: 0\r\n\r\n").await.is_err() {
                return;
            }
            continue;
        }
        let (sender, mut steps) = mpsc::unbounded_channel();
        let (closed, watch) = watch::channel(false);
        let reply = Reply { steps: sender, closed: watch, chunked: false };
        match shared.take(&request) {
            Some(turn) => reply.play(&turn, &request),
            None => {
                if shared.waiting.send((request, reply)).is_err() {
                    return;
                }
            }
        }
        let mut gone = false;
        loop {
            let step = tokio::select! {
                step = steps.recv() => step,
                read = stream.read_buf(&mut buffer), if !gone => {
                    if matches!(read, Ok(0) | Err(_)) {
                        gone = true;
                        closed.send_replace(true);
                    }
                    continue;
                }
            };
            match step {
                Some(Step::Wire(bytes)) => {
                    if stream.write_all(&bytes).await.is_err() {
                        gone = true;
                        closed.send_replace(true);
                    }
                }
                Some(Step::Complete) => break,
                Some(Step::Reset) => {
                    let _ = stream.set_zero_linger();
                    return;
                }
                Some(Step::Close) | None => return,
            }
        }
        if gone {
            return;
        }
    }
}

async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>, connection: usize) -> Option<Received> {
    let head_end = loop {
        if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&buffer[..head_end]).into_owned();
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length").map_or(0, |(_, v)| v.parse().unwrap());
    let end = head_end + 4 + length;
    while buffer.len() < end {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    let bytes = buffer[head_end + 4..end].to_vec();
    buffer.drain(..end);
    let body = serde_json::from_slice(&bytes).unwrap_or_default();
    Some(Received { method, path, headers, bytes, body, connection })
}
