//! Threads and runs of earlier sessions, taken up again.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

use super::{Entry, Runs, Thread};
use crate::agent::events::Events;
use crate::agent::outcome::{FileOutcome, Outcome, RunUsage, Status, Timing};
use crate::agent::restore::Archive;
use crate::agent::restore::leftover::{Fits, Leftover};
use crate::agent::restore::thread::Listed;
use crate::agent::task;
use crate::host::{Notice, Question};
use crate::ids::{RunId, ThreadId};
use crate::text::diff;
use crate::trajectory::read::RunHead;

/// Bytes of a diff that is shown.
const SHOWN: usize = 256 << 10;
/// Files that are named in a question.
const NAMED: usize = 3;

/// How long the recorder may take to write what waits.
const PATIENCE: Duration = Duration::from_secs(2);

const APPLY: &str = "Apply";
const SHOW: &str = "Show";
const DISCARD: &str = "Discard";

impl Runs {
    /// What earlier sessions recorded of these folders; `None` where nothing is recorded. Blocks.
    fn archive(&self) -> Option<Archive> {
        let config = self.services.config();
        let dir = config.state_dir.as_deref().filter(|_| config.recording.enabled)?;
        // What this server has recorded itself counts, too.
        self.services.recorder.flush(PATIENCE);
        Archive::open(dir, &self.services.workspace.roots())
    }

    /// Asks the recordings, on a thread that may wait for the disk.
    async fn look_up<T: Send + 'static>(
        self: &Arc<Self>,
        look: impl FnOnce(&Self, Archive) -> Option<T> + Send + 'static,
    ) -> Option<T> {
        let runs = self.clone();
        tokio::task::spawn_blocking(move || runs.archive().and_then(|archive| look(&runs, archive)))
            .await
            .ok()
            .flatten()
    }

    /// Makes a thread of an earlier session one of this, if there is one of this name and none here.
    pub async fn recall(self: &Arc<Self>, thread: &ThreadId) {
        if self.state().threads.contains_key(thread) {
            return;
        }
        let wanted = thread.clone();
        let Some(history) = self.look_up(move |_, archive| archive.conversation(&wanted)).await else { return };
        // What a command makes of it is recorded even if no run does.
        self.redacting(&self.services.config());
        let mut state = self.state();
        if !state.threads.contains_key(thread) {
            let history = Arc::new(Mutex::new(history));
            state.threads.insert(thread.clone(), Thread { history, busy: None });
            // Not the one used last: it has yet to be used.
            state.recent.push_front(thread.clone());
        }
    }

    /// The conversations of these folders, the one used last first: those of earlier sessions and, as far as runs are
    /// recorded, of this one.
    pub async fn known_threads(self: &Arc<Self>) -> Vec<Listed> {
        self.look_up(|_, archive| Some(archive.threads())).await.unwrap_or_default()
    }

    /// Takes up a run of an earlier session whose edits were never applied, so that they can be accepted or rejected.
    pub async fn recall_run(self: &Arc<Self>, run: &RunId) {
        if self.state().runs.contains_key(run) {
            return;
        }
        let wanted = run.clone();
        self.look_up(move |runs, archive| {
            let leftover = archive.leftover(&archive.unfinished_run(&wanted)?)?;
            runs.restore(&leftover)
        })
        .await;
    }

    /// The runs of earlier sessions whose edits may still be wanted, each with its files.
    pub async fn unfinished(self: &Arc<Self>) -> Vec<(RunId, Vec<PathBuf>)> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_micros() as u64);
        self.look_up(move |runs, archive| {
            let left = |head: &RunHead| {
                let left = archive.leftover(head)?;
                Some((left.run.clone(), left.places(&runs.services.workspace)))
            };
            Some(archive.unfinished(now).iter().filter_map(left).collect())
        })
        .await
        .unwrap_or_default()
    }

    /// Stages again what still fits; `None` if nothing does, or the run is known already. May read the disk.
    fn restore(&self, left: &Leftover) -> Option<Fits> {
        if self.state().runs.contains_key(&left.run) {
            return None;
        }
        let workspace = &self.services.workspace;
        workspace.begin(left.run.clone());
        let fits = left.stage(workspace);
        if fits.hunks == 0 {
            workspace.end(&left.run);
            return None;
        }
        let files = workspace.staged(&left.run).into_iter().map(|file| FileOutcome {
            edits: diff::lines(&file.before, &file.after).edits().len().max(1),
            uri: file.uri,
            conflicts: Vec::new(),
        });
        let outcome = Outcome {
            run_id: left.run.clone(),
            thread_id: left.thread.clone(),
            status: Status::Proposed,
            answer: String::new(),
            files: files.collect(),
            steps: 0,
            usage: RunUsage::default(),
            timing: Timing::default(),
            error: None,
        };
        let entry = Entry {
            thread: left.thread.clone(),
            events: Arc::new(Events::new(left.run.clone(), self.services.host.clone())),
            title: left.title.clone(),
            cancel: self.closing.child_token(),
            outcome: watch::channel(Some(Arc::new(outcome))).1,
            touched: false,
        };
        {
            let mut state = self.state();
            state.runs.insert(left.run.clone(), entry);
            state.order.push_back(left.run.clone());
        }
        self.forget_old();
        Some(fits)
    }

    /// Offers the edits of a run of an earlier session, if any of them still fits: to be applied, looked at or dropped.
    /// Closing the question leaves them for `ropeway.accept`, and for the next session.
    pub async fn offer(self: &Arc<Self>, run: RunId) {
        let restored = self.look_up(move |runs, archive| {
            // Looked up once more: another server may have been quicker.
            let left = archive.leftover(&archive.unfinished_run(&run)?)?;
            let fits = runs.restore(&left)?;
            Some((left, fits))
        });
        let Some((left, fits)) = restored.await else { return };
        let host = &self.services.host;
        loop {
            let question = Question { message: message(&left, &fits), choices: vec![APPLY, SHOW, DISCARD] };
            let answer = tokio::select! {
                answer = host.ask(question) => answer,
                () = self.closing.cancelled() => return,
            };
            match answer {
                Some(0) => return self.apply_left(&left.run).await,
                Some(1) => host.show_answer(&left.run, &format!("Never applied: {}", left.title), &self.shown(&left)),
                Some(2) => {
                    if let Err(error) = self.reject(&left.run, None) {
                        host.notify(Notice::Warning, format!("Ropeway: {error}."));
                    }
                    return;
                }
                _ => return,
            }
        }
    }

    async fn apply_left(self: &Arc<Self>, run: &RunId) {
        let said = match self.accept(run.clone(), None).await {
            Ok(outcome) => match &outcome.error {
                Some(error) => (Notice::Error, error.message.clone()),
                None if outcome.status == Status::Applied => (Notice::Info, task::summary(&outcome)),
                None => (Notice::Warning, task::summary(&outcome)),
            },
            Err(error) => (Notice::Warning, error.to_string()),
        };
        self.services.host.notify(said.0, format!("Ropeway: {}", said.1));
    }

    /// What is staged, as a document.
    fn shown(&self, left: &Leftover) -> String {
        let mut shown = String::new();
        for file in self.services.workspace.staged(&left.run) {
            let room = SHOWN.saturating_sub(shown.len());
            shown.push_str(&diff::unified(&file.before, &file.after, &file.path.to_string(), 3, room));
        }
        // A fence longer than any in the text.
        let ticks = shown.split(|ch| ch != '`').map(str::len).max().unwrap_or_default();
        let fence = "`".repeat(ticks.max(2) + 1);
        format!("{fence}diff\n{shown}\n{fence}")
    }
}

/// What the user is asked.
fn message(left: &Leftover, fits: &Fits) -> String {
    let plural = |n: usize, one: &str| if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") };
    let mut files: Vec<String> = fits.files.iter().take(NAMED).map(ToString::to_string).collect();
    if fits.files.len() > NAMED {
        files.push(format!("{} more", fits.files.len() - NAMED));
    }
    let (edits, were) = (plural(fits.hunks, "edit"), if fits.hunks == 1 { "was" } else { "were" });
    let cut = if left.status.is_none() { " that was cut off" } else { "" };
    let misfits = match fits.misfits {
        0 => String::new(),
        n => format!(" {} no longer {}.", plural(n, "other"), if n == 1 { "fits" } else { "fit" }),
    };
    let title: String = left.title.chars().take(100).collect();
    crate::tools::command::show::visible(&format!(
        "Ropeway: {edits} of an earlier run{cut} {were} never applied (“{title}”, {}), in {}.{misfits}",
        left.model,
        files.join(", ")
    ))
}
