//! Edits of a run that were never applied: the server ended first, the editor would not take them, they clashed with
//! what was typed, or nobody decided about a proposal.
//!
//! What the run wanted of a file is known by two texts: the user's when it ended, and the one it wanted instead. The
//! difference is carried over to the text of today by content, hunk by hunk; what does not fit any more is left out and
//! said, and what is there already is done.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Archive, said};
use crate::ids::{RunId, ThreadId};
use crate::paths::WsPath;
use crate::text::rebase::rebase_hunks;
use crate::text::{EditSet, Text, diff};
use crate::trajectory::read::{Item, RunHead};
use crate::trajectory::record::{EditRecord, Event, FileOp, Proposal, Record, Staged, TextId, Typed};
use crate::workspace::Workspace;

/// Runs that are looked at.
const RUNS: usize = 20;
/// Older ones are no longer offered, in microseconds.
const AGE: u64 = 7 * 24 * 3600 * 1_000_000;
/// How long servers may take to end that are ending.
const ENDING: Duration = Duration::from_secs(1);
/// How often they are looked at meanwhile.
const ASK_AGAIN: Duration = Duration::from_millis(20);

/// The edits of one run.
#[derive(Clone, Debug)]
pub struct Leftover {
    /// Which run.
    pub run: RunId,
    /// Its conversation.
    pub thread: ThreadId,
    /// What it was, for people.
    pub title: String,
    /// `PROVIDER/MODEL`.
    pub model: String,
    /// When it began, in microseconds since 1970.
    pub started_unix_us: u64,
    /// The recording's word for how it ended; absent where it was cut off.
    pub status: Option<String>,
    /// File by file.
    pub files: Vec<LeftFile>,
}

/// What is wanted of one file.
#[derive(Clone, Debug)]
pub struct LeftFile {
    /// The file, as the model saw it.
    pub path: String,
    /// What is to happen to it.
    pub op: FileOp,
    /// Its name so far, if it is to get another.
    pub from: Option<String>,
    /// The user's text at that time.
    pub before: Text,
    /// The text that was wanted.
    pub after: Text,
}

/// What could be staged again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fits {
    /// Hunks, or operations on whole files, that are staged now.
    pub hunks: usize,
    /// Those that do not fit any more.
    pub misfits: usize,
    /// The files that are staged.
    pub files: Vec<WsPath>,
}

impl Archive {
    /// The runs whose edits may still be wanted, newest first. `now`: microseconds since 1970.
    pub fn unfinished(&self, now: u64) -> Vec<RunHead> {
        let mut runs = self.runs();
        runs.retain(|run| may_be_left(run) && now.saturating_sub(run.started_unix_us) < AGE);
        let mut over = self.over();
        runs.retain(|run| over(&run.session));
        runs.truncate(RUNS);
        runs
    }

    /// A run of these folders by its name, if its edits may still be wanted.
    pub fn unfinished_run(&self, run: &RunId) -> Option<RunHead> {
        let head = self.runs().into_iter().find(|head| head.run == run.as_str()).filter(may_be_left)?;
        self.over()(&head.session).then_some(head)
    }

    /// Tells whether nobody works in a session any more: what a server that lives has done is its own. One that is just
    /// ending, as in a restart, is waited for.
    fn over(&self) -> impl FnMut(&str) -> bool {
        let deadline = Instant::now() + ENDING;
        let mut known: HashMap<String, bool> = HashMap::new();
        move |session| {
            *known.entry(session.to_owned()).or_insert_with_key(|session| {
                while self.store.is_live(session) {
                    if Instant::now() > deadline {
                        return false;
                    }
                    std::thread::sleep(ASK_AGAIN);
                }
                true
            })
        }
    }

    /// What a run left undone; `None` if it is nothing.
    pub fn leftover(&self, head: &RunHead) -> Option<Leftover> {
        let mut reading = Reading::default();
        for item in self.store.run(head).ok()? {
            if let Item::Record(record) = item {
                reading.record(*record);
            }
        }
        let thread = head.thread.clone()?;
        let files = reading.done();
        (!files.is_empty()).then(|| Leftover {
            run: RunId::from(head.run.as_str()),
            thread,
            title: head.title.clone(),
            model: head.model.clone(),
            started_unix_us: head.started_unix_us,
            status: head.status.clone(),
            files,
        })
    }
}

/// Whether a run ended in a way that can leave edits behind, and nobody has decided about them.
fn may_be_left(run: &RunHead) -> bool {
    let ended_so = match run.status.as_deref() {
        // The first was cut off.
        None | Some("proposed" | "conflict" | "unknown") => true,
        Some("failed") => run.error_code.as_deref() == Some("edit_refused"),
        Some(_) => false,
    };
    ended_so && run.decided.is_empty() && !run.newer
}

/// What a run's records say of its files.
#[derive(Default)]
struct Reading {
    texts: BTreeMap<String, Text>,
    known: HashMap<TextId, Arc<str>>,
    wanted: BTreeMap<String, LeftFile>,
    landed: Vec<String>,
    conflicts: Vec<String>,
}

impl Reading {
    fn record(&mut self, record: Record) {
        match record.event {
            Event::Text(text) => {
                if let Some(content) = text.text.filter(|content| TextId::of(content) == text.hash) {
                    self.known.insert(text.hash, content);
                }
            }
            Event::File(file) => {
                if let Some(text) = file.text.and_then(|id| self.text(&id)) {
                    self.texts.insert(file.path, text);
                }
            }
            Event::Opened(opened) => {
                if let Some(text) = self.text(&opened.text) {
                    self.texts.insert(opened.path, text);
                }
            }
            Event::Typed(typed) => self.typed(&typed),
            Event::Staged(staged) => self.staged(*staged),
            Event::Proposal(proposal) => self.proposal(*proposal),
            Event::Landed(place) => self.landed.push(place.path),
            Event::Finished(finished) => {
                let files = finished.outcome.get("files").and_then(|files| files.as_array().cloned());
                for file in files.unwrap_or_default() {
                    let clashed = file.get("conflicts").and_then(|list| list.as_array()).is_some_and(|l| !l.is_empty());
                    if let Some(uri) = file.get("uri").and_then(|uri| uri.as_str()).filter(|_| clashed) {
                        self.conflicts.push(uri.to_owned());
                    }
                }
            }
            _ => {}
        }
    }

    fn text(&self, id: &TextId) -> Option<Text> {
        self.known.get(id).map(|text| Text::from(&**text))
    }

    fn typed(&mut self, typed: &Typed) {
        let Some(text) = self.texts.get_mut(&typed.path) else { return };
        for EditRecord { start, end, text: inserted } in &typed.edits {
            let edit = (start <= end).then(|| EditSet::replace(text.len(), *start..*end, inserted.as_str()));
            if edit.is_none_or(|edit| edit.and_then(|edit| edit.apply_to(text)).is_err()) {
                // The recording does not fit itself; what is wanted of this file cannot be known.
                self.texts.remove(&typed.path);
                return;
            }
        }
    }

    fn staged(&mut self, staged: Staged) {
        let Staged { path, op, from, edits, .. } = staged;
        let before = match op {
            FileOp::Created => Some(Text::default()),
            _ => self.texts.get(from.as_ref().unwrap_or(&path)).cloned(),
        };
        let after = before.as_ref().and_then(|before| match op {
            FileOp::Deleted => Some(Text::default()),
            _ => said::edited(before, &edits),
        });
        match (before, after) {
            (Some(before), Some(after)) => {
                if let Some(from) = &from {
                    self.wanted.remove(from);
                }
                self.wanted.insert(path.clone(), LeftFile { path, op, from, before, after });
            }
            _ => drop(self.wanted.remove(&path)),
        }
    }

    fn proposal(&mut self, proposal: Proposal) {
        for file in proposal.files {
            if let (Some(before), Some(after)) = (self.text(&file.before), self.text(&file.after)) {
                let left = LeftFile { path: file.path.clone(), op: file.op, from: file.from, before, after };
                self.wanted.insert(file.path, left);
            }
        }
    }

    fn done(self) -> Vec<LeftFile> {
        let Self { wanted, landed, conflicts, .. } = self;
        let open = |file: &LeftFile| {
            // In a file that was changed all the same, what clashed is still wanted.
            let clashed = || conflicts.iter().any(|uri| uri.ends_with(&format!("/{}", file.path)));
            (!landed.contains(&file.path) || clashed()) && (file.op != FileOp::Edited || file.before != file.after)
        };
        wanted.into_values().filter(open).collect()
    }
}

impl Leftover {
    /// Stages for its run, which must have been begun, what still fits the files as they are now. May read the disk.
    pub fn stage(&self, workspace: &Workspace) -> Fits {
        let mut fits = Fits::default();
        for file in &self.files {
            let Ok(path) = workspace.roots().resolve(&file.path) else {
                fits.misfits += 1;
                continue;
            };
            let (hunks, misfits) = self.stage_file(workspace, file, &path).unwrap_or((0, 1));
            fits.hunks += hunks;
            fits.misfits += misfits;
            if hunks > 0 {
                fits.files.push(path);
            }
        }
        fits
    }

    /// Hunks that are staged and hunks that do not fit; `None` if nothing does.
    fn stage_file(&self, workspace: &Workspace, file: &LeftFile, path: &WsPath) -> Option<(usize, usize)> {
        let now = |path: &WsPath| workspace.read(None, path).ok();
        match file.op {
            FileOp::Edited => self.stage_text(workspace, file, path),
            FileOp::Created => match now(path) {
                Some(there) if there.text == file.after => Some((0, 0)),
                Some(_) => None,
                None => workspace.stage_create(&self.run, path, file.after.clone()).ok().map(|_| (1, 0)),
            },
            FileOp::Deleted => match now(path) {
                None => Some((0, 0)),
                Some(there) if there.text == file.before => {
                    workspace.stage_delete(&self.run, path).ok().map(|_| (1, 0))
                }
                Some(_) => None,
            },
            FileOp::Renamed => {
                let from = workspace.roots().resolve(file.from.as_deref()?).ok()?;
                workspace.stage_rename(&self.run, &from, path).ok()?;
                let (hunks, misfits) = self.stage_text(workspace, file, path).unwrap_or((0, 0));
                Some((hunks + 1, misfits))
            }
        }
    }

    fn stage_text(&self, workspace: &Workspace, file: &LeftFile, path: &WsPath) -> Option<(usize, usize)> {
        let view = workspace.read(Some(&self.run), path).ok()?;
        let wanted = diff::refined(&file.before, &file.after);
        let since = diff::refined(&file.before, &view.text);
        let rebased = rebase_hunks(&wanted, &since, &file.before).ok()?;
        if rebased.edits.is_empty() {
            return Some((0, rebased.conflicts.len()));
        }
        let after = rebased.edits.apply(&view.text).ok()?;
        let hunks = diff::lines(&view.text, &after).edits().len();
        workspace.stage_edit(&self.run, &view, rebased.edits).ok()?;
        Some((hunks, rebased.conflicts.len()))
    }

    /// The files it is about, by the names that the user has for them and those they are to get.
    pub fn places(&self, workspace: &Workspace) -> Vec<PathBuf> {
        let names = self.files.iter().flat_map(|file| [Some(file.path.as_str()), file.from.as_deref()]);
        names.flatten().filter_map(|name| workspace.roots().resolve(name).ok()).map(|path| path.absolute()).collect()
    }
}
