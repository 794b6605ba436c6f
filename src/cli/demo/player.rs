//! The played model: a loopback HTTP server that speaks chat completions at the pace of a person's patience.
//!
//! The server under show reaches it by an ordinary configuration, over real sockets, with its real client. Threads and
//! blocking reads are enough for one connection or two, and keep the demo free of a runtime of its own.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::Happening;
use super::script::{Step, Turn};

/// What the player did, for the timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Played {
    /// A request came in.
    Asked,
    /// The first words of a response were sent.
    Spoke,
    /// A call's first byte was sent.
    Call {
        /// Its name.
        id: String,
        /// What the timeline shows.
        label: String,
    },
    /// A call's last byte was sent.
    Written {
        /// Its name.
        id: String,
    },
    /// The response is over.
    Done,
}

/// How fast it speaks.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// From the request to the first token.
    pub first: Duration,
    /// A token, for each unit of a response's slowness.
    pub token: Duration,
}

impl Pace {
    /// 40 to 90 tokens a second after a moment to think: an ordinary hosted model on a good day.
    pub const HUMAN: Self = Self { first: Duration::from_millis(350), token: Duration::from_millis(1) };
    /// As fast as it goes.
    pub const FAST: Self = Self { first: Duration::ZERO, token: Duration::ZERO };
}

/// Bytes of a request's head and body at most: our own server sends them, but a port is open to every local process.
const MAX_HEAD: u64 = 64 << 10;
const MAX_BODY: usize = 8 << 20;
/// How long a silent connection is kept.
const PATIENCE: Duration = Duration::from_secs(60);

struct Shared {
    turns: Vec<Turn>,
    pace: Pace,
    tell: Mutex<Sender<Happening>>,
    typed: Mutex<Receiver<()>>,
    seen: AtomicU64,
    stop: AtomicBool,
}

impl Shared {
    fn tell(&self, happening: Happening) {
        // Nobody listens any more once the demo is over.
        let _ = self.tell.lock().unwrap_or_else(PoisonError::into_inner).send(happening);
    }
}

/// The server; it stops when dropped.
pub struct Player {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Player {
    /// Listens on a free loopback port. `typed` yields (or closes) once the user's typing is done.
    pub fn start(turns: Vec<Turn>, pace: Pace, tell: Sender<Happening>, typed: Receiver<()>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            turns,
            pace,
            tell: Mutex::new(tell),
            typed: Mutex::new(typed),
            seen: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        });
        let accepting = shared.clone();
        std::thread::Builder::new().name("played-model".into()).spawn(move || {
            for stream in listener.incoming() {
                if accepting.stop.load(Ordering::SeqCst) {
                    break;
                }
                let Ok(stream) = stream else { continue };
                let shared = accepting.clone();
                let serving = std::thread::Builder::new().name("played-connection".into());
                // A connection that fails shows in the run: the server reports its request as failed.
                let _ = serving.spawn(move || serve(&shared, stream));
            }
        })?;
        Ok(Self { address, shared })
    }

    /// The base URL for a provider of kind `openai`.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts; the connections end with the server that holds them.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(shared: &Shared, stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    while !shared.stop.load(Ordering::SeqCst) {
        let Some(request) = read(&mut reader)? else { break };
        let answer = match request {
            Request::Chat(body) => turn_for(shared, &body).map(|turn| (turn, body)),
            Request::Other => Err((404, "the played model only answers /chat/completions".to_owned())),
            Request::Odd(status, why) => Err((status, why.to_owned())),
        };
        match answer {
            Ok((turn, body)) => play(shared, turn, &body, &mut writer)?,
            Err((status, message)) => refuse(&mut writer, status, &message)?,
        }
    }
    Ok(())
}

enum Request {
    Chat(Vec<u8>),
    Other,
    Odd(u16, &'static str),
}

/// The next request; `None` at the end of the connection.
fn read(reader: &mut BufReader<TcpStream>) -> io::Result<Option<Request>> {
    let mut head = reader.by_ref().take(MAX_HEAD);
    let mut line = String::new();
    if head.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let chat = line.starts_with("POST ") && line.contains("/chat/completions ");
    let mut length = Some(0);
    loop {
        line.clear();
        if head.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        if line.trim_end().is_empty() {
            break;
        }
        let Some((name, value)) = line.split_once(':') else { continue };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().ok().filter(|length| *length <= MAX_BODY),
            "transfer-encoding" => length = None,
            _ => {}
        }
    }
    let Some(length) = length else { return Ok(Some(Request::Odd(411, "send a content-length below 8 MiB"))) };
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some(if chat { Request::Chat(body) } else { Request::Other }))
}

/// The response that is due: as many have been given as the conversation holds assistant messages.
fn turn_for<'a>(shared: &'a Shared, body: &[u8]) -> Result<&'a Turn, (u16, String)> {
    let body: Value =
        serde_json::from_slice(body).map_err(|error| (400, format!("the request is no JSON: {error}")))?;
    let messages = body["messages"].as_array().map_or(&[][..], Vec::as_slice);
    let by = |role: &'static str| messages.iter().filter(move |message| message["role"] == role);
    let number = by("assistant").count();
    let Some(turn) = shared.turns.get(number) else {
        return Err((400, format!("the played model has {} responses and no more", shared.turns.len())));
    };
    let results: String = by("tool").map(|message| text_of(&message["content"])).collect();
    if let Some(missing) = turn.relies_on.iter().find(|needle| !results.contains(*needle)) {
        let why = format!("the played model expected the tools to return `{missing}`, and they did not");
        shared.tell(Happening::Astray(why.clone()));
        return Err((400, why));
    }
    Ok(turn)
}

/// The text of a message, given as a string or in parts.
fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        _ => String::new(),
    }
}

fn refuse(writer: &mut TcpStream, status: u16, message: &str) -> io::Result<()> {
    let body = json!({"error": {"message": message, "type": "invalid_request_error"}}).to_string();
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status} Refused\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n");
    writer.write_all(format!("{head}{body}").as_bytes())
}

/// One response on the wire.
struct Stream<'a> {
    shared: &'a Shared,
    writer: &'a mut TcpStream,
    token: Duration,
    tokens: u64,
}

impl Stream<'_> {
    fn event(&mut self, event: &Value) -> io::Result<()> {
        self.raw(&format!("data: {event}\n\n"))
    }

    fn raw(&mut self, text: &str) -> io::Result<()> {
        self.writer.write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes())
    }

    fn delta(&mut self, delta: Value) -> io::Result<()> {
        self.event(&json!({"id": "played", "object": "chat.completion.chunk", "model": "played",
            "choices": [{"index": 0, "delta": delta, "finish_reason": null}]}))
    }

    /// Waits as long as a token takes. Tokens do not come evenly; the unevenness is the same in every showing.
    fn token(&mut self) {
        self.tokens += 1;
        let wobble = [10, 7, 12, 8, 14, 6, 11, 9][(self.tokens % 8) as usize];
        pause(self.token * wobble / 10);
    }

    fn step(&mut self, index: &mut usize, step: &Step) -> io::Result<()> {
        match step {
            Step::Say(text) => {
                for piece in pieces(text) {
                    self.delta(json!({"content": piece}))?;
                    self.token();
                }
            }
            Step::Call { id, tool, label, arguments } => {
                self.shared.tell(Happening::Played(Played::Call { id: id.clone(), label: label.clone() }));
                self.delta(json!({"tool_calls": [{"index": index, "id": id, "type": "function",
                    "function": {"name": tool, "arguments": ""}}]}))?;
                for piece in pieces(arguments) {
                    self.delta(json!({"tool_calls": [{"index": index, "function": {"arguments": piece}}]}))?;
                    self.token();
                }
                self.shared.tell(Happening::Played(Played::Written { id: id.clone() }));
                *index += 1;
            }
            Step::AwaitTyping => {
                // A closed channel is as good: nobody types any more.
                let _ = self.shared.typed.lock().unwrap_or_else(PoisonError::into_inner).recv();
            }
        }
        Ok(())
    }
}

fn play(shared: &Shared, turn: &Turn, body: &[u8], writer: &mut TcpStream) -> io::Result<()> {
    shared.tell(Happening::Played(Played::Asked));
    writer.write_all(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n",
    )?;
    pause(shared.pace.first);
    let mut stream = Stream { shared, writer, token: shared.pace.token * turn.slowness, tokens: 0 };
    stream.delta(json!({"role": "assistant", "content": ""}))?;
    shared.tell(Happening::Played(Played::Spoke));
    let mut calls = 0;
    for step in &turn.steps {
        stream.step(&mut calls, step)?;
    }
    let reason = if calls > 0 { "tool_calls" } else { "stop" };
    stream.event(&json!({"id": "played", "object": "chat.completion.chunk", "model": "played",
        "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}))?;
    // Four bytes a token; what the request before had already said counts as cached, as providers do it.
    let input = body.len() as u64 / 4;
    let cached = shared.seen.swap(input, Ordering::SeqCst).min(input);
    let output = stream.tokens;
    stream.event(&json!({"id": "played", "object": "chat.completion.chunk", "model": "played", "choices": [],
        "usage": {"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output,
            "prompt_tokens_details": {"cached_tokens": cached}}}))?;
    stream.raw("data: [DONE]\n\n")?;
    shared.tell(Happening::Played(Played::Done));
    stream.writer.write_all(b"0\r\n\r\n")
}

fn pause(time: Duration) {
    if !time.is_zero() {
        std::thread::sleep(time);
    }
}

/// `text` in pieces about as long as tokens: a word with the space before it, a long one in several.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    const LONG: usize = 5;
    let mut rest = text;
    std::iter::from_fn(move || {
        let mut end = 0;
        for (at, ch) in rest.char_indices() {
            let new_word = at > 0 && !ch.is_alphanumeric();
            if (new_word && at > 1) || at >= LONG {
                break;
            }
            end = at + ch.len_utf8();
        }
        let (piece, tail) = rest.split_at(end);
        rest = tail;
        (!piece.is_empty()).then_some(piece)
    })
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::super::script;
    use super::*;

    fn player() -> (Player, Receiver<Happening>) {
        let (tell, told) = mpsc::channel();
        let (_, typed) = mpsc::channel();
        (Player::start(script::turns().unwrap(), Pace::FAST, tell, typed).unwrap(), told)
    }

    fn ask(player: &Player, request: &str) -> String {
        let mut stream = TcpStream::connect(player.address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn post(body: &Value) -> String {
        let body = body.to_string();
        format!("POST /v1/chat/completions HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    }

    #[test]
    fn pieces_make_the_text_again() {
        let text = "Prices, discount — and `{\"a\": [1]}` äöü\n";
        assert_eq!(pieces(text).collect::<String>(), text);
        assert!(pieces(text).count() > 5);
        assert_eq!(pieces("").count(), 0);
    }

    #[test]
    fn the_first_request_gets_the_first_response() {
        let (player, told) = player();
        let answer = ask(&player, &post(&json!({"messages": [{"role": "user", "content": "x"}]})));
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.contains("call_5") && answer.ends_with("0\r\n\r\n"), "{answer}");
        let calls = told.try_iter().filter(|what| matches!(what, Happening::Played(Played::Call { .. }))).count();
        assert_eq!(calls, 5);
    }

    #[test]
    fn results_that_lack_what_the_script_relies_on_end_the_show() {
        let (player, told) = player();
        let messages = json!([{"role": "user"}, {"role": "assistant"}, {"role": "tool", "content": "nothing found"}]);
        let answer = ask(&player, &post(&json!({"messages": messages})));
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
        assert!(told.try_iter().any(|what| matches!(what, Happening::Astray(_))));
    }

    #[test]
    fn odd_requests_are_refused() {
        let (player, _told) = player();
        for (request, status) in [
            ("GET /v1/models HTTP/1.1\r\n\r\n".to_owned(), "404"),
            ("POST /v1/chat/completions HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n".to_owned(), "411"),
            ("POST /v1/chat/completions HTTP/1.1\r\nContent-Length: 3\r\n\r\n{{{".to_owned(), "400"),
            (post(&json!({"messages": vec![json!({"role": "assistant"}); 9]})), "400"),
        ] {
            let answer = ask(&player, &request);
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{request}: {answer}");
        }
        assert_eq!(ask(&player, "nonsense"), "");
    }
}
