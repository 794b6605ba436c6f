//! The model client against a loopback server that does what servers do.

use std::io::{Read, Write};

use serde_json::json;

use crate::support::model::{Model, Turn};

#[test]
fn the_scripted_model_answers_in_the_protocol_of_the_path_and_keeps_the_connection() {
    let model = Model::start();
    model.script([Turn::text("hello"), Turn::calls([("read_file", json!({"path": "a.rs"}))])]);
    let mut stream = std::net::TcpStream::connect(model.address()).unwrap();
    let mut ask = |path: &str, last: &str| {
        write!(stream, "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{{}}").unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"0\r\n\r\n") {
            let mut buffer = [0; 4096];
            let n = stream.read(&mut buffer).unwrap();
            answer.extend_from_slice(&buffer[..n]);
        }
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.contains(last), "{answer}");
    };
    ask("/v1/chat/completions", "data: [DONE]");
    ask("/v1/messages", "event: message_stop");
    assert_eq!(model.connections(), 1);
    assert_eq!(model.turns_left(), 0);
    assert_eq!(model.requests().len(), 2);
}
