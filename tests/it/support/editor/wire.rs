//! The editor's end of the pipes: whole messages in, whole messages out.

use std::io::{BufRead, BufReader, PipeReader};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Condvar, Mutex};

use serde_json::Value;

/// A gate before the reading thread: closed, the editor reads nothing.
#[derive(Default)]
pub struct Gate {
    closed: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    /// Opens or closes it.
    pub fn set_closed(&self, closed: bool) {
        *self.closed.lock().unwrap() = closed;
        self.changed.notify_all();
    }

    fn pass(&self) {
        let closed = self.closed.lock().unwrap();
        drop(self.changed.wait_while(closed, |closed| *closed).unwrap());
    }
}

/// The messages of the server, read by a thread of their own. Fails on what is no well-formed message.
pub fn messages(pipe: PipeReader, gate: Arc<Gate>) -> Receiver<Value> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        loop {
            gate.pass();
            let Some(message) = message(&mut pipe) else { return };
            if sender.send(message).is_err() {
                return;
            }
        }
    });
    receiver
}

fn message(pipe: &mut impl BufRead) -> Option<Value> {
    let mut length = None;
    loop {
        let mut line = String::new();
        if pipe.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.strip_suffix("\r\n").expect("a header line ends with CRLF");
        if line.is_empty() {
            break;
        }
        length = line.strip_prefix("Content-Length: ").map(|length| length.parse().expect("a length"));
    }
    let mut body = vec![0; length.expect("a header has a length")];
    pipe.read_exact(&mut body).ok()?;
    Some(serde_json::from_slice(&body).expect("a body is JSON"))
}

/// A message as it goes over the wire.
pub fn framed(message: &Value) -> Vec<u8> {
    let body = message.to_string();
    format!("Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}
