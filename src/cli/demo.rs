//! `ropeway demo`: the whole main job in ten seconds, with no key and no editor of one's own.
//!
//! Nothing in it is pretended but the model's words and the user's fingers: the server is this very program as a child
//! process over stdio, the model is reached over real loopback HTTP by an ordinary configuration, and the small editor
//! applies what the server asks for and checks the result from the outside. What does not come out as it should ends
//! the demo with code 1.

mod editor;
mod finale;
mod live;
mod player;
mod sample;
mod screen;
mod script;
mod timeline;
mod typist;

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Value, json};

use self::editor::{Editor, Seen};
use self::player::{Pace, Played, Player};
use self::screen::Screen;
use self::timeline::{Timeline, shorten};
use self::typist::Typist;
use super::args::DemoArgs;
use super::scratch::Scratch;
use super::terminal::Ink;
use super::{CANCELLED, DONE};
use crate::paths::file_uri;

/// How long the server may take to answer a plain request.
const ANSWER: Duration = Duration::from_secs(15);
/// How long a played run may take, and a real one.
const PLAYED_RUN: Duration = Duration::from_secs(60);
const REAL_RUN: Duration = Duration::from_secs(15 * 60);
/// How long the user watches a real model before typing.
const REAL_PAUSE: Duration = Duration::from_millis(1_500);
/// Time between two drawings.
const FRAME: Duration = Duration::from_millis(40);
/// Milliseconds a column of the chart stands for, so that the played run just fits.
const COLUMN_MS: f64 = 200.0;

/// Everything that can happen while the demo runs, in one queue.
#[derive(Debug)]
enum Happening {
    /// A message of the server.
    Message(Value),
    /// The server is gone, and why.
    ServerEnded(String),
    /// The played model did something.
    Played(Played),
    /// The tools did not return what the script relies on.
    Astray(String),
    /// The user wants out.
    Interrupted,
}

/// The user wanted out: not a failure, but an exit code of its own.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
struct Interrupted;

/// Runs the demo.
pub(super) fn demo(args: &DemoArgs) -> Result<u8> {
    let (tell, happenings) = mpsc::channel();
    watch_for_interrupt(tell.clone())?;
    let result = Show::start(args, tell, happenings).and_then(|mut show| {
        show.play()?;
        show.finale()
    });
    match result {
        Ok(()) => Ok(DONE),
        Err(error) if error.is::<Interrupted>() => Ok(CANCELLED),
        Err(error) => Err(error.context("the demo did not come out as it should")),
    }
}

/// Turns the signals that end a program into a happening, so that the child and the folder are cleaned away.
fn watch_for_interrupt(tell: Sender<Happening>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        runtime.block_on(super::interrupted());
        // Nobody listens any more once the demo is over.
        let _ = tell.send(Happening::Interrupted);
    })?;
    Ok(())
}

/// One showing. The fields fall in this order: the terminal first, then the server, then what it stands on.
struct Show {
    screen: Screen,
    editor: Editor,
    _player: Option<Player>,
    scratch: Scratch,
    happenings: Receiver<Happening>,
    human: bool,
    model: Option<String>,
    /// Where the report is to be left.
    report: Option<PathBuf>,
    answers: HashMap<i64, Result<Value, String>>,
    timeline: Timeline,
    typist: Typist,
    /// Tells the player that the typing is done, by being dropped.
    typed: Option<Sender<()>>,
    /// When the run began.
    zero: Instant,
    /// What the model says in this response.
    said: String,
    /// The next text belongs to a new response.
    fresh: bool,
    drawn: Instant,
    outcome: Option<Value>,
}

impl Show {
    fn start(args: &DemoArgs, tell: Sender<Happening>, happenings: Receiver<Happening>) -> Result<Self> {
        let scratch = Scratch::new("demo").context("no temporary folder can be made")?;
        for file in sample::FILES {
            scratch.write(&format!("till/{}", file.path), file.before).context("the sample cannot be written")?;
        }
        let (typed, typing_done) = mpsc::channel();
        let own = std::env::current_exe().context("the path of this program is not known")?;
        let mut server = Command::new(own);
        server.args(["serve", "--stdio"]);
        let player = match args.model {
            Some(_) => None,
            None => {
                let pace = if args.fast { Pace::FAST } else { Pace::HUMAN };
                let player = Player::start(script::turns()?, pace, tell.clone(), typing_done)
                    .context("the played model finds no port to listen on")?;
                configure(&mut server, &scratch, &player)?;
                Some(player)
            }
        };
        let editor = Editor::start(server, tell)?;
        Ok(Self {
            screen: Screen::new(!args.fast),
            editor,
            _player: player,
            scratch,
            happenings,
            human: !args.fast,
            model: args.model.clone(),
            report: args.report.clone(),
            answers: HashMap::new(),
            timeline: Timeline::new(if args.fast { 0.0 } else { COLUMN_MS }),
            typist: Typist::new(!args.fast),
            typed: Some(typed),
            zero: Instant::now(),
            said: String::new(),
            fresh: true,
            drawn: Instant::now(),
            outcome: None,
        })
    }

    /// From the first line to the end of the run.
    fn play(&mut self) -> Result<()> {
        let style = self.screen.style();
        let who = match &self.model {
            Some(model) => format!("the real server, {model}, a small editor"),
            None => "the real server, a played-back model; no key, no network".to_owned(),
        };
        self.screen.line("")?;
        self.screen.line(&format!(" {}  {}", style.paint(Ink::Bold, "ropeway demo"), style.paint(Ink::Dim, &who)))?;
        self.screen.line("")?;
        self.initialize()?;
        let (path, line) = sample::COMPLAINT;
        for path in [path, sample::TYPED_IN] {
            let text = sample::file(path).map_or("", |file| file.before);
            self.editor.open(&self.path(path), text)?;
        }
        self.screen.line(&format!(" {}", style.paint(Ink::Place, &format!("{path}:{}", line + 1))))?;
        self.screen.line(&format!("   {} {}", style.paint(Ink::Bad, "✗"), sample::MESSAGE))?;
        self.beat(1_400)?;
        let command = self.choose_action()?;
        self.screen.line("")?;
        self.beat(700)?;
        self.run(&command)
    }

    fn initialize(&mut self) -> Result<()> {
        let root = file_uri(&self.scratch.path().join("till"));
        let id = self.editor.request(
            "initialize",
            json!({
                "processId": std::process::id(),
                "clientInfo": {"name": "ropeway demo"},
                "rootUri": root,
                "workspaceFolders": [{"uri": root, "name": "till"}],
                "capabilities": Editor::capabilities(),
                "initializationOptions": {"status": true, "events": true},
            }),
        )?;
        let answer = self.answer(id, ANSWER)?;
        let encoding = &answer["capabilities"]["positionEncoding"];
        if encoding != "utf-8" {
            bail!("the server did not take the position encoding utf-8 but {encoding}");
        }
        self.editor.notify("initialized", json!({}))
    }

    /// Asks for the code actions at the complaint, as a click on it would, and returns the command of the fix.
    fn choose_action(&mut self) -> Result<Value> {
        let (path, line) = sample::COMPLAINT;
        let end = sample::file(path).and_then(|file| file.before.lines().nth(line as usize)).map_or(0, str::len);
        let range = json!({"start": {"line": line, "character": 4}, "end": {"line": line, "character": end}});
        let diagnostic = json!({"range": range, "severity": 1, "source": "tests", "message": sample::MESSAGE});
        let id = self.editor.request(
            "textDocument/codeAction",
            json!({
                "textDocument": {"uri": file_uri(&self.path(path))},
                "range": range,
                "context": {"diagnostics": [diagnostic], "only": ["quickfix"]},
            }),
        )?;
        let actions = self.answer(id, ANSWER)?;
        let actions = actions.as_array().map_or(&[][..], Vec::as_slice);
        let action = actions
            .iter()
            .find(|action| action["command"]["command"] == "ropeway.run")
            .ok_or_else(|| anyhow!("the server offered no fix for the failing check, but {actions:?}"))?;
        let title = action["title"].as_str().unwrap_or_default();
        let style = self.screen.style();
        let title = shorten(&style.clean(title), 64);
        self.screen.line(&format!("   {} {}", style.paint(Ink::You, "you choose"), style.paint(Ink::Bold, &title)))?;
        Ok(action["command"].clone())
    }

    fn run(&mut self, command: &Value) -> Result<()> {
        let mut argument = command["arguments"][0].clone();
        if let Some(model) = &self.model {
            argument["model"] = json!(model);
        }
        self.zero = Instant::now();
        let id = self
            .editor
            .request("workspace/executeCommand", json!({"command": "ropeway.run", "arguments": [argument]}))?;
        self.answer(id, ANSWER).context("the run did not start")?;
        let limit = if self.model.is_some() { REAL_RUN } else { PLAYED_RUN };
        loop {
            match &self.outcome {
                Some(outcome) if outcome["status"] == "failed" || !self.typist.busy() => break,
                _ => {}
            }
            if self.zero.elapsed() > limit {
                bail!("the run did not end within {} s", limit.as_secs());
            }
            let next_frame = FRAME.saturating_sub(self.drawn.elapsed());
            let next_key = self.typist.due().map_or(FRAME, |due| due.saturating_duration_since(Instant::now()));
            self.step(next_frame.min(next_key))?;
            self.type_on()?;
            if self.drawn.elapsed() >= FRAME {
                self.draw()?;
            }
        }
        let now = self.now();
        self.timeline.done(now);
        self.draw()
    }

    fn now(&self) -> f64 {
        self.zero.elapsed().as_secs_f64()
    }

    fn path(&self, path: &str) -> PathBuf {
        self.scratch.path().join("till").join(path)
    }

    /// Gives people time to read.
    fn beat(&mut self, ms: u64) -> Result<()> {
        let until = Instant::now() + Duration::from_millis(if self.human { ms } else { 0 });
        while Instant::now() < until {
            self.step(until.saturating_duration_since(Instant::now()))?;
        }
        Ok(())
    }

    /// The answer to a request.
    fn answer(&mut self, id: i64, limit: Duration) -> Result<Value> {
        let until = Instant::now() + limit;
        loop {
            if let Some(answer) = self.answers.remove(&id) {
                return answer.map_err(|why| anyhow!("the server refused: {why}"));
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("the server did not answer within {} s", limit.as_secs());
            }
            self.step(left)?;
        }
    }

    /// Deals with the next thing that happens, if one does in time.
    fn step(&mut self, wait: Duration) -> Result<()> {
        match self.happenings.recv_timeout(wait) {
            Ok(Happening::Message(message)) => match self.editor.receive(&message)? {
                Seen::Answer(id, answer) => {
                    self.answers.insert(id, answer);
                    Ok(())
                }
                Seen::Told(method, params) if method == "ropeway/event" => self.event(&params),
                Seen::Applied(files) => {
                    let now = self.now();
                    self.timeline.applied(now);
                    self.tell("editor", &format!("applies the edits of {files} files as they come"))
                }
                Seen::Told(..) | Seen::Nothing => Ok(()),
            },
            Ok(Happening::Played(played)) => self.played(played),
            Ok(Happening::ServerEnded(why) | Happening::Astray(why)) => Err(anyhow!(why)),
            Ok(Happening::Interrupted) => Err(Interrupted.into()),
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Err(RecvTimeoutError::Disconnected) => Err(anyhow!("nobody is left who could do anything")),
        }
    }
}

/// An ordinary user configuration with the played model in it, in an environment in which nothing else has a say.
fn configure(server: &mut Command, scratch: &Scratch, player: &Player) -> Result<()> {
    let config = format!(
        "model = \"played/model\"\n\n[providers.played]\nkind = \"openai\"\nbase_url = \"{}\"\n",
        player.base_url()
    );
    scratch.write("config.toml", &config).context("the configuration cannot be written")?;
    for (name, _) in std::env::vars_os() {
        let name_text = name.to_string_lossy().to_ascii_uppercase();
        if name_text.starts_with("ROPEWAY_") || name_text.ends_with("_PROXY") {
            server.env_remove(name);
        }
    }
    server
        .env("ROPEWAY_CONFIG", scratch.path().join("config.toml"))
        .env("ROPEWAY_STATE_DIR", scratch.path().join("state"))
        .env("NO_PROXY", "127.0.0.1");
    Ok(())
}
