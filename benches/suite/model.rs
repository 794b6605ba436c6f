//! A model that is a script: OpenAI's streaming protocol on a loopback socket, each piece sent when the bench says.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::Instant;

use serde_json::{Value, json};

pub struct Model {
    address: SocketAddr,
    requests: mpsc::Receiver<(Value, TcpStream)>,
    open: Option<TcpStream>,
}

impl Model {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
        let address = listener.local_addr().expect("bound");
        let (sender, requests) = mpsc::channel();
        // A client may open a second connection while the first is still being given back, and use either.
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let sender = sender.clone();
                std::thread::spawn(move || serve(&stream, &sender));
            }
        });
        Self { address, requests, open: None }
    }

    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Takes the next request and begins a streamed answer. Connections are kept alive between requests.
    pub fn accept(&mut self) -> Value {
        let (body, mut stream) = self.requests.recv().expect("the listener lives as long as the process");
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).expect("the client reads");
        self.open = Some(stream);
        body
    }

    /// Sends one event; returns when its last byte had been handed over.
    pub fn event(&mut self, delta: Value, finish: Option<&str>) -> Instant {
        let event = json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]});
        self.data(&event.to_string())
    }

    pub fn call(&mut self, index: usize, name: &str, arguments: &Value) -> Instant {
        self.event(
            json!({"tool_calls": [{"index": index, "id": format!("call_{index}"), "type": "function",
                "function": {"name": name, "arguments": arguments.to_string()}}]}),
            None,
        )
    }

    /// Ends the answer; returns when its last byte had been handed over.
    pub fn end(&mut self) -> Instant {
        self.end_with(10, 0)
    }

    /// Ends the answer, saying what the prompt was: all its tokens, and those of them that were cached.
    pub fn end_with(&mut self, tokens: u64, cached: u64) -> Instant {
        let usage = json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [],
            "usage": {"prompt_tokens": tokens, "completion_tokens": 5, "total_tokens": tokens + 5,
                "prompt_tokens_details": {"cached_tokens": cached}}});
        self.data(&usage.to_string());
        let stream = self.open.as_mut().expect("an answer was begun");
        stream.write_all(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n").expect("the client reads");
        Instant::now()
    }

    fn data(&mut self, data: &str) -> Instant {
        let event = format!("data: {data}\n\n");
        let stream = self.open.as_mut().expect("an answer was begun");
        stream.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes()).expect("the client reads");
        Instant::now()
    }
}

fn serve(stream: &TcpStream, requests: &mpsc::Sender<(Value, TcpStream)>) {
    stream.set_nodelay(true).expect("an option");
    let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
    while let Some(body) = request(&mut reader) {
        let answer = stream.try_clone().expect("a second handle");
        if requests.send((body, answer)).is_err() {
            return;
        }
    }
}

fn request(stream: &mut BufReader<TcpStream>) -> Option<Value> {
    let (mut length, mut line) = (0, String::new());
    loop {
        line.clear();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            header => {
                if let Some((name, value)) = header.split_once(':')
                    && name.eq_ignore_ascii_case("content-length")
                {
                    length = value.trim().parse().ok()?;
                }
            }
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    serde_json::from_slice(&body).ok()
}
