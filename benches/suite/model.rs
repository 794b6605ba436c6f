//! A model that is a script: OpenAI's streaming protocol on a loopback socket, each piece sent when the bench says.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Instant;

use serde_json::{Value, json};

pub struct Model {
    listener: TcpListener,
    open: Option<BufReader<TcpStream>>,
}

impl Model {
    pub fn start() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").expect("a loopback port"), open: None }
    }

    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.listener.local_addr().expect("bound"))
    }

    /// Takes the next request and begins a streamed answer. The connection is kept alive between requests.
    pub fn accept(&mut self) -> Value {
        loop {
            let stream = match &mut self.open {
                Some(stream) => stream,
                None => {
                    let (stream, _) = self.listener.accept().expect("a connection");
                    stream.set_nodelay(true).expect("an option");
                    self.open.insert(BufReader::new(stream))
                }
            };
            let Some(body) = request(stream) else {
                self.open = None;
                continue;
            };
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
            stream.get_mut().write_all(head.as_bytes()).expect("the client reads");
            return body;
        }
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
        let usage = json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [],
            "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}});
        self.data(&usage.to_string());
        let stream = self.open.as_mut().expect("an answer was begun").get_mut();
        stream.write_all(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n").expect("the client reads");
        Instant::now()
    }

    fn data(&mut self, data: &str) -> Instant {
        let event = format!("data: {data}\n\n");
        let stream = self.open.as_mut().expect("an answer was begun").get_mut();
        stream.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes()).expect("the client reads");
        Instant::now()
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
