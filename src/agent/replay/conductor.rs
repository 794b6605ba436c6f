//! Lets everything happen in the order in which it is recorded.
//!
//! The replayed run goes by itself until it needs something: an answer of the model, a gate in front of a tool that
//! stages, the editor's reply. Each is given when the recording has come to it. What the user did stands between these,
//! and is done at once: nothing of the run is under way then that could see the difference. So an answer is given as
//! late as may be, when something is due that only the run can do.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::compare::{self, Differences};
use super::script::{Point, Script};
use super::world::{World, place};
use super::{Answer, Heard, Played};
use crate::agent::order::Order;
use crate::agent::outcome::Outcome;
use crate::agent::runs::Started;
use crate::host::{ApplyReply, FileChange};
use crate::ids::{CallId, DocVersion, RunId};
use crate::llm::{LlmError, LlmErrorKind, Response, StreamEvent};
use crate::paths::WsPath;
use crate::text::{EditSet, Encoding, Text};
use crate::trajectory::record::{EditRecord, Sent, Staged, TextId, Typed};
use crate::workspace::{ContentChange, StagedFile, Workspace};

/// How long the run may take to come to what is due. Nothing but tools that stage is between.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long the cancelled run may take to end.
const GRACE: Duration = Duration::from_secs(5);

type Ending = Pin<Box<dyn Future<Output = Option<Arc<Outcome>>> + Send>>;

/// Plays one script.
pub(super) struct Conductor {
    world: World,
    script: Script,
    heard: mpsc::UnboundedReceiver<Heard>,
    ending: Option<Ending>,
    ended: bool,
    outcome: Option<Arc<Outcome>>,
    run: RunId,
    asked: Option<oneshot::Sender<Answer>>,
    /// Answers that are due and not given.
    held: usize,
    finished: HashMap<CallId, usize>,
    proposed: Option<(Vec<FileChange>, oneshot::Sender<ApplyReply>)>,
    /// What was proposed last and waits for the editor's word.
    reply: Option<(Vec<FileChange>, oneshot::Sender<ApplyReply>)>,
    /// What the run wanted when it was last looked at, and whether it is past changing.
    files: Vec<StagedFile>,
    delivering: bool,
    found: Differences,
}

/// The replay has left the recording: what was waited for.
struct Lost(String);

impl Conductor {
    pub(super) fn new(world: World, script: Script, heard: mpsc::UnboundedReceiver<Heard>) -> Self {
        Self {
            world,
            script,
            heard,
            ending: None,
            ended: false,
            outcome: None,
            run: RunId::from(""),
            asked: None,
            held: 0,
            finished: HashMap::new(),
            proposed: None,
            reply: None,
            files: Vec::new(),
            delivering: false,
            found: Differences::default(),
        }
    }

    /// Plays it to its end, or to where the replay goes another way.
    pub(super) async fn play(mut self) -> Played {
        let order = Order { action: "task".into(), prompt: "play it again".into(), ..Order::default() };
        match self.world.runs.start(order) {
            Ok(started) => self.follow(started).await,
            Err(error) => self.found.say(format!("the run could not be started: {error}")),
        }
        self.asked = None;
        self.reply = None;
        self.world.runs.shut_down(GRACE).await;
        let whole = self.script.outcome.is_some() && self.ended;
        Played {
            files: self.files,
            differences: self.found.all,
            staged: self.found.staged,
            delivered: self.found.delivered,
            remarks: self.script.remarks,
            outcome: self.outcome.filter(|_| whole),
        }
    }

    async fn follow(&mut self, started: Started) {
        self.run = started.run.clone();
        self.ending = Some(Box::pin(started.outcome()));
        let points = std::mem::take(&mut self.script.points);
        for (_, point) in points {
            if let Err(Lost(what)) = self.step(point).await {
                self.found.say(what);
                return;
            }
        }
        if let Err(Lost(what)) = self.end().await {
            self.found.say(what);
        }
    }

    async fn step(&mut self, point: Point) -> Result<(), Lost> {
        match point {
            Point::Answer => {
                self.release().await?;
                self.held += 1;
            }
            Point::Call { call, nth, gate, staged } => {
                self.release().await?;
                gate.open();
                let what = format!("the end of call {nth} of {call}");
                self.until(&what, |it| it.finished.get(&call).is_some_and(|count| *count >= nth).then_some(())).await?;
                self.look();
                if let Some(staged) = staged {
                    // It was made on a text that is none any more: what it did there is done again.
                    if staged.carried && !self.is_same(&staged)? {
                        self.stage(&staged)?;
                        self.look();
                    }
                    self.compare(&staged)?;
                }
            }
            Point::Staged(staged) => {
                self.stage(&staged)?;
                self.look();
                self.compare(&staged)?;
            }
            Point::Typed(typed) => {
                self.typed(&typed)?;
                self.look();
            }
            Point::Opened(path, version, text) => {
                let (path, text) = (self.place(&path)?, self.text(&text, &path)?);
                let _ = self.workspace().open(&path.uri(), "", version.map(DocVersion), text);
                self.look();
            }
            Point::Closed(path) => self.workspace().close(&self.place(&path)?.uri()),
            Point::Saved(path) => self.saved(&path)?,
            Point::Proposal(proposal) => {
                self.look();
                self.found.proposal(&proposal, &self.files, &self.script.texts);
            }
            Point::Sent(files) if files.is_empty() => {}
            Point::Sent(files) => self.sent(&files).await?,
            Point::Fate { fate, why } => self.fate(&fate, why).await?,
        }
        Ok(())
    }

    fn workspace(&self) -> &Workspace {
        &self.world.runs.services().workspace
    }

    fn place(&self, path: &str) -> Result<WsPath, Lost> {
        place(&self.world.roots, path).map_err(|error| Lost(error.to_string()))
    }

    fn text(&self, id: &TextId, path: &str) -> Result<Text, Lost> {
        self.script.text(id, path).map_err(|error| Lost(error.to_string()))
    }

    /// Takes down what the run wants, until it is being delivered.
    fn look(&mut self) {
        if !self.delivering {
            self.files = self.workspace().staged(&self.run);
        }
    }

    /// The file's name, and the one it had.
    fn names(&self, staged: &Staged) -> Result<(WsPath, Option<WsPath>), Lost> {
        let from = staged.from.as_deref().map(|from| self.place(from)).transpose()?;
        Ok((self.place(&staged.path)?, from))
    }

    fn compare(&mut self, staged: &Staged) -> Result<(), Lost> {
        let (path, from) = self.names(staged)?;
        let file = self.files.iter().find(|file| file.path == path);
        self.found.staged(staged, from.as_ref(), file);
        Ok(())
    }

    /// Whether what is staged now is what is recorded.
    fn is_same(&self, staged: &Staged) -> Result<bool, Lost> {
        let (path, from) = self.names(staged)?;
        let mut found = Differences::default();
        found.staged(staged, from.as_ref(), self.files.iter().find(|file| file.path == path));
        Ok(found.all.is_empty())
    }

    /// Gives the answers that are due.
    async fn release(&mut self) -> Result<(), Lost> {
        while self.held > 0 {
            let asked = self.until("the model's next answer is asked for", |it| it.asked.take()).await?;
            self.held -= 1;
            let answer = match self.script.answers.pop_front() {
                Some(Ok(response)) => Ok(events(response)),
                Some(Err(error)) => Err(error),
                None => Err(LlmError::new(LlmErrorKind::BadResponse, "the recording has no further answer", "")),
            };
            // A run that has been cancelled no longer waits.
            let _ = asked.send(answer);
        }
        Ok(())
    }

    /// Waits for `done`. Whatever else the run asks for instead shows that it goes another way.
    async fn until<T>(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> Option<T>) -> Result<T, Lost> {
        loop {
            if let Some(found) = done(self) {
                return Ok(found);
            }
            if self.ended {
                return Err(Lost(format!("the replayed run ended before {what}")));
            }
            if self.asked.is_some() {
                return Err(Lost(format!("the replayed run asked the model again before {what}")));
            }
            if self.proposed.is_some() {
                return Err(Lost(format!("the replayed run sent its edits before {what}")));
            }
            self.hear(what).await?;
        }
    }

    async fn hear(&mut self, what: &str) -> Result<(), Lost> {
        let ended = async {
            match &mut self.ending {
                Some(ending) => ending.await,
                None => None,
            }
        };
        tokio::select! {
            biased;
            Some(heard) = self.heard.recv() => match heard {
                Heard::Asked(give) => self.asked = Some(give),
                Heard::Finished(call) => *self.finished.entry(call).or_default() += 1,
                Heard::Proposed(changes, give) => self.proposed = Some((changes, give)),
            },
            outcome = ended, if !self.ended => {
                self.ended = true;
                self.outcome = outcome;
            }
            () = tokio::time::sleep(PATIENCE) => {
                return Err(Lost(format!("the replayed run stood still before {what}")));
            }
        }
        Ok(())
    }

    /// What a command had changed, or a call that was overtaken by typing, is staged as it was.
    fn stage(&mut self, staged: &Staged) -> Result<(), Lost> {
        let (path, from) = self.names(staged)?;
        compare::stage(self.workspace(), &self.run, staged, &path, from.as_ref())
            .map_err(|why| Lost(format!("what was changed in {path} could not be staged again: {why}")))
    }

    fn typed(&mut self, typed: &Typed) -> Result<(), Lost> {
        let path = self.place(&typed.path)?;
        let uri = path.uri();
        let unfit = || Lost(format!("what was typed in {path} does not fit its text"));
        let document = self.workspace().document(&uri).ok_or_else(unfit)?;
        let mut text = document.text.clone();
        let mut changes = Vec::with_capacity(typed.edits.len());
        for EditRecord { start, end, text: typed } in &typed.edits {
            if start > end || *end > text.len() {
                return Err(unfit());
            }
            let edit = EditSet::replace(text.len(), *start..*end, typed.as_str()).map_err(|_| unfit())?;
            let range = text.range(*start..*end, Encoding::Utf8);
            edit.apply_to(&mut text).map_err(|_| unfit())?;
            changes.push(ContentChange { range: Some(range), text: typed.as_str().into() });
        }
        let _ = self.workspace().change(&uri, typed.version.map(DocVersion), &changes, Encoding::Utf8);
        Ok(())
    }

    fn saved(&self, path: &str) -> Result<(), Lost> {
        let path = self.place(path)?;
        let Some(document) = self.workspace().document(&path.uri()) else { return Ok(()) };
        let (disk, text) = (&self.world.disk, document.text.to_string());
        let written = match disk.read(&path) {
            Ok(file) => disk.write(&path, &text, &file.format),
            Err(_) => disk.create(&path, &text, None),
        };
        written.map_err(|error| Lost(error.to_string()))?;
        self.workspace().saved(&document.uri);
        Ok(())
    }

    /// Edits are due: the run's own are compared with the recorded ones, and wait for the editor's word.
    async fn sent(&mut self, files: &[Sent]) -> Result<(), Lost> {
        self.release().await?;
        let names: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
        let what = format!("its edits of {}", names.join(", "));
        let (changes, give) = self.until(&what, |it| it.proposed.take()).await?;
        self.delivering = true;
        let roots = self.world.roots.clone();
        self.found.sent(&roots, files, &changes);
        self.reply = Some((changes, give));
        Ok(())
    }

    async fn fate(&mut self, fate: &str, why: String) -> Result<(), Lost> {
        let Some((changes, give)) = self.reply.take() else { return Ok(()) };
        let reply = match fate {
            "landed" => {
                // What no editor has open changes on disk.
                let closed = |change: &FileChange| match change {
                    FileChange::Edit { uri, .. } | FileChange::Create { uri, .. } => {
                        self.workspace().document(uri).is_none()
                    }
                    FileChange::Delete { .. } | FileChange::Rename { .. } => true,
                };
                let closed: Vec<FileChange> = changes.into_iter().filter(closed).collect();
                match (self.world.writer)(&self.world.disk, &self.world.roots, &closed) {
                    Ok(()) => ApplyReply::Applied,
                    Err(why) => ApplyReply::Refused(why),
                }
            }
            "refused" => ApplyReply::Refused(why),
            "unknown" => ApplyReply::Silent,
            _ => {
                self.world.runs.cancel(None);
                ApplyReply::Silent
            }
        };
        // A run that has been cancelled no longer waits.
        let _ = give.send(reply);
        Ok(())
    }

    /// All points are played.
    async fn end(&mut self) -> Result<(), Lost> {
        self.release().await?;
        let status = self.script.outcome.as_ref().and_then(|outcome| outcome.get("status")?.as_str());
        // Ended by a limit or by the user, or not at all: the replayed run is stopped where the recording stops.
        if !matches!(status, Some("applied" | "proposed" | "answered" | "unchanged" | "conflict" | "unknown")) {
            self.world.runs.cancel(None);
            while !self.ended && self.hear("its end").await.is_ok() {}
            return Ok(());
        }
        self.until("its end", |it| it.ended.then_some(())).await?;
        if let (Some(recorded), Some(replayed)) = (&self.script.outcome, &self.outcome) {
            self.found.outcome(recorded, replayed);
        }
        Ok(())
    }
}

/// A response as a stream gives it.
fn events(response: Response) -> Arc<[StreamEvent]> {
    let mut events = Vec::with_capacity(response.turn.calls.len() + 2);
    if !response.turn.text.is_empty() {
        events.push(StreamEvent::Text(response.turn.text.clone()));
    }
    let calls = response.turn.calls.iter().cloned().enumerate();
    events.extend(calls.map(|(index, call)| StreamEvent::Call { index, call }));
    events.push(StreamEvent::Done(Box::new(response)));
    events.into()
}
