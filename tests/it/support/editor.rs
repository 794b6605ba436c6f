//! A model editor: it speaks real framed JSON over pipes to the very `serve` that the program runs, keeps its own text
//! and versions, and can type between any two messages.
//!
//! It lives on the test's thread. The server's messages are taken in only while the test waits for something, so a
//! test decides what happens before what. A hook ([`Editor::on_message`]) sees each message before it is answered and
//! may type. What the test has not asked for fails it: at its end the editor names the messages that nobody read.
#![allow(dead_code, reason = "each test uses a part of it")]
#![expect(clippy::disallowed_methods, reason = "an editor reads and writes files as it likes")]

mod apply;
pub mod document;
mod setup;
mod wire;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io::{PipeReader, PipeWriter, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ropeway::lsp::Ended;
use serde_json::{Value, json};

pub use self::apply::Applies;
pub use self::document::{Columns, Document, replacements};
pub use self::setup::Setup;
use self::wire::Gate;

/// How long a test waits for anything before it fails with what has been said so far.
const PATIENCE: Duration = Duration::from_secs(20);

/// The choice of a user who has left: the question stays among those that wait in [`Editor::late`].
pub const NEVER: &str = "(no answer)";

type Hook = Box<dyn FnMut(&mut Editor, &Value)>;

/// The editor.
pub struct Editor {
    /// What columns are counted in.
    pub columns: Columns,
    /// How edits are taken.
    pub applies: Applies,
    /// The open documents by URI.
    pub documents: BTreeMap<String, Document>,
    /// Notifications that nobody has read yet.
    pub messages: VecDeque<Value>,
    /// Edits that wait for [`Editor::release`].
    pub late: Vec<(Value, Value)>,
    /// What the user will choose in the next questions; `None` closes the question. Without one, a question fails.
    pub choices: VecDeque<Option<String>>,
    /// Documents that the server has shown.
    pub shown: Vec<String>,
    /// Questions for the settings that wait for [`Editor::answer_settings`]; `None`: each is told at once that there are
    /// none.
    pub settings_asked: Option<Vec<Value>>,
    to_server: Option<PipeWriter>,
    from_server: Receiver<Value>,
    gate: Arc<Gate>,
    answers: HashMap<String, Value>,
    hook: Option<Hook>,
    transcript: Vec<String>,
    unexpected: Vec<Value>,
    ignored: Vec<String>,
    next_id: i64,
    server: Option<JoinHandle<Ended>>,
}

impl Editor {
    fn new(
        columns: Columns,
        applies: Applies,
        to_server: PipeWriter,
        from_server: PipeReader,
        server: JoinHandle<Ended>,
    ) -> Self {
        let gate = Arc::new(Gate::default());
        Self {
            columns,
            applies,
            documents: BTreeMap::new(),
            messages: VecDeque::new(),
            late: Vec::new(),
            choices: VecDeque::new(),
            shown: Vec::new(),
            settings_asked: None,
            to_server: Some(to_server),
            from_server: wire::messages(from_server, Arc::clone(&gate)),
            gate,
            answers: HashMap::new(),
            hook: None,
            transcript: Vec::new(),
            unexpected: Vec::new(),
            ignored: ["window/logMessage", "$/progress", "ropeway/status", "ropeway/event"].map(str::to_owned).into(),
            next_id: 1,
            server: Some(server),
        }
    }

    /// Says `initialize` and `initialized`; gives the server's answer.
    pub fn introduce(&mut self, mut initialize: Value) -> Value {
        if initialize["capabilities"]["general"]["positionEncodings"].is_null() && self.columns != Columns::Utf16 {
            initialize["capabilities"]["general"]["positionEncodings"] = json!([self.columns.name()]);
        }
        let answer = self.request("initialize", initialize);
        let encoding = answer["capabilities"]["positionEncoding"].as_str().unwrap_or("utf-16");
        self.columns = Columns::named(encoding);
        self.notify("initialized", json!({}));
        answer
    }

    /// Opens a document with this text; gives its URI.
    pub fn open(&mut self, path: impl AsRef<Path>, text: &str) -> String {
        let uri = uri(path.as_ref());
        let language = path.as_ref().extension().map_or("plaintext", |_| "rust").to_owned();
        let document = Document { text: text.to_owned(), version: 1, language };
        self.send(apply::open(&uri, &document));
        self.documents.insert(uri.clone(), document);
        uri
    }

    /// Types at a byte of a document.
    pub fn type_at(&mut self, uri: &str, byte: usize, text: &str) {
        self.replace(uri, byte..byte, text);
    }

    /// Replaces bytes of a document.
    pub fn replace(&mut self, uri: &str, bytes: Range<usize>, text: &str) {
        let columns = self.columns;
        let document = self.documents.get_mut(uri).expect("an open document");
        let range = json!({
            "start": document::position(&document.text, bytes.start, columns),
            "end": document::position(&document.text, bytes.end, columns),
        });
        document.text.replace_range(bytes, text);
        document.version += 1;
        let document = json!({"uri": uri, "version": document.version});
        let changes = json!([{"range": range, "text": text}]);
        self.notify("textDocument/didChange", json!({"textDocument": document, "contentChanges": changes}));
    }

    /// Writes a document to its file and says so.
    pub fn save(&mut self, uri: &str) {
        std::fs::write(apply::path_of(uri), &self.documents[uri].text).unwrap();
        self.notify("textDocument/didSave", json!({"textDocument": {"uri": uri}}));
    }

    /// Closes a document.
    pub fn close(&mut self, uri: &str) {
        self.documents.remove(uri).expect("an open document");
        self.send(apply::close(uri));
    }

    /// The text of an open document.
    pub fn text(&self, uri: &str) -> &str {
        &self.documents[uri].text
    }

    /// The version of an open document.
    pub fn version(&self, uri: &str) -> i32 {
        self.documents[uri].version
    }

    /// Sees each message of the server before it is answered, and may type.
    pub fn on_message(&mut self, hook: impl FnMut(&mut Self, &Value) + 'static) {
        self.hook = Some(Box::new(hook));
    }

    /// Messages of this method need not be read.
    pub fn ignore(&mut self, method: &str) {
        self.ignored.push(method.to_owned());
    }

    /// Sends a notification.
    pub fn notify(&mut self, method: &str, params: Value) {
        self.send(json!({"method": method, "params": params}));
    }

    /// Sends a request; gives its id.
    pub fn ask(&mut self, method: &str, params: Value) -> i64 {
        let id = self.next_id;
        self.next_id += 1;
        self.send(json!({"id": id, "method": method, "params": params}));
        id
    }

    /// Sends a request and waits for its result; an error fails the test.
    pub fn request(&mut self, method: &str, params: Value) -> Value {
        let id = self.ask(method, params);
        match self.answer(id) {
            Ok(result) => result,
            Err(error) => self.fail(&format!("{method} was answered with {error}")),
        }
    }

    /// Sends `workspace/executeCommand` and waits for its result.
    pub fn command(&mut self, command: &str, argument: Value) -> Value {
        self.request("workspace/executeCommand", json!({"command": command, "arguments": [argument]}))
    }

    /// Waits for the answer to a request.
    pub fn answer(&mut self, id: impl Into<Value>) -> Result<Value, Value> {
        let key = id.into().to_string();
        let mut answer = self.until(&format!("the answer to {key}"), |editor| editor.answers.remove(&key));
        match answer.get_mut("error") {
            Some(error) => Err(error.take()),
            None => Ok(answer["result"].take()),
        }
    }

    /// Whether the answer to a request has come, among what has been taken in.
    pub fn is_answered(&self, id: impl Into<Value>) -> bool {
        self.answers.contains_key(&id.into().to_string())
    }

    /// Waits for a notification of this method; gives its parameters.
    pub fn expect_notification(&mut self, method: &str) -> Value {
        let message = self.wait_for(method, |message| message["method"] == method);
        message["params"].clone()
    }

    /// Waits for a notification; `what` names it in the failure.
    pub fn wait_for(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        self.until(what, |editor| {
            let at = editor.messages.iter().position(&wanted)?;
            editor.messages.remove(at)
        })
    }

    /// Takes in messages until `done` gives something.
    pub fn until<T>(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(value) = done(self) {
                return value;
            }
            match self.from_server.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(message) => self.take(message),
                Err(RecvTimeoutError::Timeout) => self.fail(&format!("waited too long for {what}")),
                Err(RecvTimeoutError::Disconnected) => self.fail(&format!("the server ended, waiting for {what}")),
            }
        }
    }

    /// Answers one of the questions for the settings that wait.
    pub fn answer_settings(&mut self, nth: usize, settings: Value) {
        let id = self.settings_asked.as_mut().expect("questions wait").remove(nth);
        self.respond(id, json!([settings]));
    }

    /// Waits until the server has done all that was sent to it before, as far as that is done in wire order.
    pub fn settle(&mut self) {
        let id = self.ask("ropeway/nothing", Value::Null);
        assert_eq!(self.answer(id).unwrap_err()["code"], -32601);
    }

    /// Stops reading, or goes on.
    pub fn set_deaf(&mut self, deaf: bool) {
        self.gate.set_closed(deaf);
    }

    /// Sends bytes as they are.
    pub fn write_raw(&mut self, bytes: &[u8]) {
        // An editor that has vanished answers no more, though the server may still ask it something.
        if let Some(pipe) = &mut self.to_server {
            pipe.write_all(bytes).expect("the server reads");
        }
    }

    /// Sends a message; `jsonrpc` is added.
    pub fn send(&mut self, mut message: Value) {
        message["jsonrpc"] = "2.0".into();
        self.note("→", &message);
        self.write_raw(&wire::framed(&message));
    }

    /// Says goodbye as the protocol wants it; how the server ended.
    pub fn quit(&mut self) -> Ended {
        self.request("shutdown", Value::Null);
        self.notify("exit", Value::Null);
        // What it asks now, nobody answers any more.
        self.to_server = None;
        self.ended()
    }

    /// Vanishes without a word; how the server ended.
    pub fn vanish(&mut self) -> Ended {
        self.to_server = None;
        self.ended()
    }

    /// Waits for the server's end.
    pub fn ended(&mut self) -> Ended {
        let server = self.server.take().expect("a server that runs");
        let deadline = Instant::now() + PATIENCE;
        while !server.is_finished() {
            match self.from_server.recv_timeout(Duration::from_millis(20)) {
                Ok(message) => self.take(message),
                Err(_) if Instant::now() > deadline => self.fail("the server does not end"),
                Err(RecvTimeoutError::Disconnected) => std::thread::yield_now(),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        server.join().expect("the server does not panic")
    }

    /// Fails the test with all that has been said.
    pub fn fail(&self, why: &str) -> ! {
        panic!("{why}\n{}", self.transcript.join("\n"));
    }

    fn take(&mut self, message: Value) {
        self.note("←", &message);
        if let Some(mut hook) = self.hook.take() {
            hook(self, &message);
            self.hook.get_or_insert(hook);
        }
        match (message.get("method").and_then(Value::as_str), message.get("id")) {
            (Some(method), Some(id)) => self.serve(method, id.clone(), &message["params"]),
            (Some(_), None) => self.messages.push_back(message),
            (None, Some(id)) => {
                let twice = self.answers.insert(id.to_string(), message.clone());
                assert!(twice.is_none() || id.is_null(), "answered twice: {message}");
            }
            (None, None) => self.unexpected.push(message),
        }
    }

    fn serve(&mut self, method: &str, id: Value, params: &Value) {
        match method {
            "workspace/applyEdit" => self.apply_edit(id, params),
            "window/showDocument" => {
                self.shown.push(params["uri"].as_str().expect("a document").to_owned());
                self.respond(id, json!({"success": true}));
            }
            "window/showMessageRequest" => match self.choices.pop_front() {
                Some(Some(choice)) if choice == NEVER => self.late.push((id, params.clone())),
                Some(Some(choice)) => self.respond(id, json!({"title": choice})),
                Some(None) => self.respond(id, Value::Null),
                None => self.fail(&format!("a question that the test does not answer: {params}")),
            },
            "workspace/configuration" if self.settings_asked.is_some() => {
                self.settings_asked.get_or_insert_default().push(id);
            }
            "workspace/configuration" => {
                let items = params["items"].as_array().map_or(0, Vec::len);
                self.respond(id, Value::Array(vec![Value::Null; items]));
            }
            method if ANSWERED.contains(&method) => self.respond(id, Value::Null),
            _ => self.unexpected.push(json!({"method": method, "params": params})),
        }
    }

    fn respond(&mut self, id: Value, result: Value) {
        self.send(json!({"id": id, "result": result}));
    }

    fn respond_error(&mut self, id: Value, code: i64, message: &str) {
        self.send(json!({"id": id, "error": {"code": code, "message": message}}));
    }

    fn note(&mut self, way: &str, message: &Value) {
        const LONG: usize = 400;
        let mut text = message.to_string();
        if text.len() > LONG {
            text.truncate((0..=LONG).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0));
            text.push('…');
        }
        if self.transcript.len() >= 2000 {
            self.transcript.drain(..1000);
        }
        self.transcript.push(format!("{way} {text}"));
    }
}

/// Requests that every editor answers without telling anybody.
const ANSWERED: [&str; 4] = [
    "workspace/configuration",
    "window/workDoneProgress/create",
    "client/registerCapability",
    "client/unregisterCapability",
];

impl Drop for Editor {
    fn drop(&mut self) {
        self.gate.set_closed(false);
        self.to_server = None;
        if std::thread::panicking() {
            return;
        }
        if self.server.is_some() {
            self.ended();
        }
        while let Ok(message) = self.from_server.try_recv() {
            self.note("←", &message);
            // One that just came too late to be answered as usual is nothing a test has to read.
            let usual = message["method"].as_str().is_none_or(|method| ANSWERED.contains(&method));
            self.unexpected.extend((!usual).then_some(message));
        }
        let unread = self.messages.iter().chain(&self.unexpected);
        let unread: Vec<_> =
            unread.filter(|message| !self.ignored.iter().any(|method| message["method"] == *method)).collect();
        if !unread.is_empty() {
            self.fail(&format!("messages that nobody read: {unread:?}"));
        }
    }
}

/// The URI of an absolute path, as simply as the tests' own paths allow.
pub fn uri(path: &Path) -> String {
    format!("file://{}", path.display())
}
