//! A small editor: it starts the real server, keeps its own texts, applies what the server asks for as editors do.
//!
//! It shares no code with the server on purpose. What the demo proves (that nothing typed is lost) it proves from the
//! outside: this side knows JSON, versions and lines, and nothing of the server's own text.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Value, json};

use super::Happening;
use crate::paths::{file_path, file_uri};

/// Bytes of one message of the server at most.
const MAX_MESSAGE: usize = 64 << 20;
/// How long the server may take to end after `exit`.
const GRACE: Duration = Duration::from_secs(2);
/// Bytes of the server's log that are kept for an error message.
const LOG_TAIL: usize = 4 << 10;

/// An open document as the editor holds it.
#[derive(Clone, Debug)]
pub struct Buffer {
    /// Its version, told to the server with each change.
    pub version: i32,
    /// Its text.
    pub text: String,
}

/// The editor with its server.
pub struct Editor {
    child: Child,
    stdin: Option<ChildStdin>,
    next_id: i64,
    buffers: BTreeMap<String, Buffer>,
}

/// What a message from the server was, as far as the demo cares.
#[derive(Debug)]
pub enum Seen {
    /// An answer to the request of this number.
    Answer(i64, Result<Value, String>),
    /// A notification.
    Told(String, Value),
    /// The editor applied an edit of the server to this many files.
    Applied(usize),
    /// Something the editor dealt with by itself.
    Nothing,
}

impl Editor {
    /// Starts the server; its messages come as happenings.
    pub fn start(mut server: Command, tell: Sender<Happening>) -> Result<Self> {
        let mut child = server
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("the server could not be started")?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let editor = Self { child, stdin, next_id: 0, buffers: BTreeMap::new() };
        let (Some(stdout), Some(stderr)) = (stdout, stderr) else { bail!("the server has no pipes") };
        let log = std::thread::Builder::new().name("server-log".into()).spawn(move || tail(stderr))?;
        std::thread::Builder::new().name("server-messages".into()).spawn(move || {
            let mut stdout = BufReader::new(stdout);
            let ended = loop {
                match frame(&mut stdout) {
                    Ok(Some(message)) => {
                        if tell.send(Happening::Message(message)).is_err() {
                            return;
                        }
                    }
                    Ok(None) => break "the server ended".to_owned(),
                    Err(error) => break format!("the server's messages cannot be read: {error}"),
                }
            };
            let log = log.join().unwrap_or_default();
            let log = log.trim();
            let ended = if log.is_empty() { ended } else { format!("{ended}; it said last:\n{log}") };
            // Nobody listens any more once the demo is over.
            let _ = tell.send(Happening::ServerEnded(ended));
        })?;
        Ok(editor)
    }

    /// The server's process id.
    pub fn server_id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a request and returns its number.
    pub fn request(&mut self, method: &str, params: Value) -> Result<i64> {
        self.next_id += 1;
        self.send(&json!({"jsonrpc": "2.0", "id": self.next_id, "method": method, "params": params}))?;
        Ok(self.next_id)
    }

    /// Sends a notification.
    pub fn notify(&mut self, method: &str, params: Value) -> Result<()> {
        self.send(&json!({"jsonrpc": "2.0", "method": method, "params": params}))
    }

    fn send(&mut self, message: &Value) -> Result<()> {
        let body = message.to_string();
        let stdin = self.stdin.as_mut().ok_or_else(|| anyhow!("the server is gone"))?;
        let framed = format!("Content-Length: {}\r\n\r\n{body}", body.len());
        stdin.write_all(framed.as_bytes()).and_then(|()| stdin.flush()).context("the server takes no more messages")
    }

    /// What `initialize` says of this editor.
    pub fn capabilities() -> Value {
        json!({
            "general": {"positionEncodings": ["utf-8"]},
            "window": {"workDoneProgress": true},
            "workspace": {
                "applyEdit": true,
                "configuration": true,
                "workspaceEdit": {"documentChanges": true, "failureHandling": "transactional"},
            },
            "textDocument": {
                "synchronization": {"didSave": true},
                "codeAction": {"codeActionLiteralSupport": {"codeActionKind": {"valueSet": ["quickfix", "refactor"]}}},
            },
        })
    }

    /// Opens a file with its text.
    pub fn open(&mut self, path: &Path, text: &str) -> Result<()> {
        let uri = file_uri(path);
        let document = json!({"uri": uri, "languageId": "python", "version": 1, "text": text});
        self.buffers.insert(uri, Buffer { version: 1, text: text.to_owned() });
        self.notify("textDocument/didOpen", json!({"textDocument": document}))
    }

    /// The text of a buffer.
    pub fn text(&self, path: &Path) -> Option<&str> {
        self.buffers.get(&file_uri(path)).map(|buffer| buffer.text.as_str())
    }

    /// The open files and their texts.
    pub fn buffers(&self) -> impl Iterator<Item = (&str, &Buffer)> {
        self.buffers.iter().map(|(uri, buffer)| (uri.as_str(), buffer))
    }

    /// The user types `text` at the end of what is at `line` of the buffer so far.
    pub fn type_at(&mut self, path: &Path, offset: usize, text: &str) -> Result<()> {
        self.change(&file_uri(path), vec![(offset..offset, text.to_owned())])
    }

    /// Replaces parts of a buffer, the last first, and tells the server in one message.
    fn change(&mut self, uri: &str, mut edits: Vec<(std::ops::Range<usize>, String)>) -> Result<()> {
        let buffer = self.buffers.get_mut(uri).ok_or_else(|| anyhow!("{uri} is not open"))?;
        edits.sort_by_key(|(range, _)| std::cmp::Reverse((range.start, range.end)));
        let mut changes = Vec::new();
        for (range, text) in edits {
            let span = json!({"start": position(&buffer.text, range.start), "end": position(&buffer.text, range.end)});
            buffer.text.replace_range(range, &text);
            changes.push(json!({"range": span, "text": text}));
        }
        buffer.version += 1;
        let document = json!({"uri": uri, "version": buffer.version});
        self.notify("textDocument/didChange", json!({"textDocument": document, "contentChanges": changes}))
    }

    /// Deals with a message of the server.
    pub fn receive(&mut self, message: &Value) -> Result<Seen> {
        let params = &message["params"];
        let Some(method) = message["method"].as_str() else {
            let id = message["id"].as_i64().unwrap_or(-1);
            let answer = match message.get("error") {
                Some(error) => Err(error["message"].as_str().unwrap_or("it gave no reason").to_owned()),
                None => Ok(message["result"].clone()),
            };
            return Ok(Seen::Answer(id, answer));
        };
        if message.get("id").is_none_or(Value::is_null) {
            return Ok(Seen::Told(method.to_owned(), params.clone()));
        }
        let mut seen = Seen::Nothing;
        let result = match method {
            "workspace/applyEdit" => match self.apply(&params["edit"]) {
                Ok(files) => {
                    seen = Seen::Applied(files);
                    json!({"applied": true})
                }
                Err(why) => json!({"applied": false, "failureReason": why.to_string()}),
            },
            "workspace/configuration" => json!(params["items"].as_array().map_or(0, Vec::len).min(100))
                .as_u64()
                .map_or(json!([]), |items| json!(vec![Value::Null; items as usize])),
            _ => Value::Null,
        };
        self.send(&json!({"jsonrpc": "2.0", "id": message["id"], "result": result}))?;
        Ok(seen)
    }

    /// Applies a workspace edit whole or not at all, refusing versions that are not the buffer's.
    fn apply(&mut self, edit: &Value) -> Result<usize> {
        let changes = edit["documentChanges"].as_array().ok_or_else(|| anyhow!("an edit without documentChanges"))?;
        let mut planned = Vec::new();
        for change in changes {
            let uri = change["textDocument"]["uri"].as_str().ok_or_else(|| anyhow!("only text edits are supported"))?;
            let text = match self.buffers.get(uri) {
                Some(buffer) => {
                    let version = change["textDocument"]["version"].as_i64();
                    if version.is_some_and(|version| version != i64::from(buffer.version)) {
                        bail!("the edit is for version {version:?}, the buffer has {}", buffer.version);
                    }
                    buffer.text.clone()
                }
                None => on_disk(uri)?,
            };
            let edits = change["edits"].as_array().map_or(&[][..], Vec::as_slice);
            let edits: Result<Vec<_>> = edits.iter().map(|edit| replacement(&text, edit)).collect();
            planned.push((uri.to_owned(), text, edits?));
        }
        let files = planned.len();
        for (uri, text, edits) in planned {
            // A file that is not open is opened, as editors do: the edit waits there until the user saves.
            if !self.buffers.contains_key(&uri) {
                let path = file_path(&uri).ok_or_else(|| anyhow!("{uri} is no file"))?;
                self.open(&path, &text)?;
            }
            self.change(&uri, edits)?;
        }
        Ok(files)
    }

    /// Ends the server in the way of the protocol, and by force if it does not go.
    pub fn close(&mut self) -> Result<()> {
        self.request("shutdown", Value::Null)?;
        self.notify("exit", Value::Null)?;
        self.stdin = None;
        let deadline = Instant::now() + GRACE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                return if status.success() { Ok(()) } else { bail!("the server ended with {status}") };
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        bail!("the server did not end within {} s", GRACE.as_secs())
    }
}

impl Drop for Editor {
    fn drop(&mut self) {
        self.stdin = None;
        // Both fail only if the server is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the editor's side: it reads the demo's own files as editors do")]
fn on_disk(uri: &str) -> Result<String> {
    let path = file_path(uri).ok_or_else(|| anyhow!("{uri} is no file"))?;
    std::fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))
}

/// One TextEdit in bytes of `text`.
fn replacement(text: &str, edit: &Value) -> Result<(std::ops::Range<usize>, String)> {
    let at = |which: &str| offset(text, &edit["range"][which]);
    match (at("start"), at("end"), edit["newText"].as_str()) {
        (Some(start), Some(end), Some(new)) if start <= end => Ok((start..end, new.to_owned())),
        _ => bail!("an edit that does not fit the text: {edit}"),
    }
}

/// The byte offset of a position whose columns are bytes.
fn offset(text: &str, position: &Value) -> Option<usize> {
    let (line, character) = (position["line"].as_u64()? as usize, position["character"].as_u64()? as usize);
    let start = if line == 0 { 0 } else { text.match_indices('\n').nth(line - 1)?.0 + 1 };
    let length = text[start..].find('\n').unwrap_or(text.len() - start);
    let offset = start + character.min(length);
    text.is_char_boundary(offset).then_some(offset)
}

fn position(text: &str, offset: usize) -> Value {
    let before = &text[..offset];
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    json!({"line": before.matches('\n').count(), "character": offset - start})
}

/// The next message; `None` at the end of the stream.
fn frame(reader: &mut impl BufRead) -> io::Result<Option<Value>> {
    let mut length = None;
    let mut line = String::new();
    loop {
        line.clear();
        if reader.by_ref().take(4 << 10).read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let header = line.trim_end();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("Content-Length:") {
            length = value.trim().parse::<usize>().ok().filter(|length| *length <= MAX_MESSAGE);
        }
    }
    let length = length.ok_or(io::ErrorKind::InvalidData)?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some(serde_json::from_slice(&body)?))
}

/// Reads to the end and returns the last of it.
fn tail(mut stderr: impl Read) -> String {
    let mut kept = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = stderr.read(&mut buffer) {
        kept.extend_from_slice(&buffer[..read]);
        if kept.len() > 2 * LOG_TAIL {
            kept.drain(..kept.len() - LOG_TAIL);
        }
    }
    String::from_utf8_lossy(&kept).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_and_offsets_agree() {
        let text = "a\nbé\n\nc";
        for at in (0..=text.len()).filter(|at| text.is_char_boundary(*at)) {
            assert_eq!(offset(text, &position(text, at)), Some(at));
        }
        assert_eq!(offset(text, &json!({"line": 0, "character": 99})), Some(1), "clamped to the line");
        assert_eq!(offset(text, &json!({"line": 9, "character": 0})), None);
        assert_eq!(offset(text, &json!({"line": 1, "character": 2})), None, "inside a character");
    }

    #[test]
    fn a_frame_is_read_and_an_odd_one_refused() {
        let mut two = io::Cursor::new(b"Content-Length: 2\r\nX: y\r\n\r\n{}Content-Length: 4\r\n\r\nnull".to_vec());
        assert_eq!(frame(&mut two).unwrap(), Some(json!({})));
        assert_eq!(frame(&mut two).unwrap(), Some(Value::Null));
        assert_eq!(frame(&mut two).unwrap(), None);
        for odd in
            ["\r\n", "Content-Length: x\r\n\r\n", "Content-Length: 9999999999\r\n\r\n", "Content-Length: 5\r\n\r\n{}"]
        {
            assert!(frame(&mut io::Cursor::new(odd.as_bytes().to_vec())).is_err(), "{odd}");
        }
    }

    #[test]
    fn only_the_end_of_a_long_log_is_kept() {
        let log = "x".repeat(100_000) + "end";
        let kept = tail(log.as_bytes());
        assert!(kept.ends_with("end") && kept.len() <= 2 * LOG_TAIL + 4096);
    }
}
