//! Bringing what a run staged to the user's side, and proving that it arrived.
//!
//! `applied: true` proves nothing: stock Neovim says so after skipping a stale edit. The proof is the didChange that
//! follows, which the workspace compares with the text we expect. A refused edit is rebased and sent again, at most
//! twice. One without an answer is never sent again: it could be applied twice.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::events::{Events, RunPhase};
use super::outcome::{ConflictPlace, FileOutcome};
use super::services::Services;
use crate::host::{ApplyReply, EventKind, FileChange, Proposal, Question};
use crate::ids::RunId;
use crate::metrics::{Op, Waiting};
use crate::paths::WsPath;
use crate::tools::command::show;
use crate::workspace::{Conflict, Delivery, DeliveryOp, Landing, Protection};

/// How long a buffer may take to show an edit that the editor says it applied. Neovim sends its change up to 150 ms
/// after the answer.
const PROOF: Duration = Duration::from_secs(2);
/// The same, once the buffer has shown another change instead: changes come in order, so ours was skipped, unless the
/// client held it back (Neovim: 150 ms) behind one that it had not sent either.
const OVERTAKEN: Duration = Duration::from_millis(250);
/// How long a file that was not open may take to be opened, before the editor's word is taken for it.
const OPENING: Duration = Duration::from_millis(400);
/// Times that an edit is sent, the first included.
const ATTEMPTS: usize = 3;
/// Bytes of a hunk that was left out which the outcome shows.
const WANTED_MAX: usize = 2_000;

/// What is to be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// What the run staged.
    Staged,
    /// The way back from what it applied.
    Undo,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Delivered {
    /// Each file.
    pub files: Vec<FileOutcome>,
    /// Why a file was not changed, where the user's side would not.
    pub refused: Option<String>,
    /// The user said no to a protected file.
    pub denied: Option<String>,
    /// The user's side never answered, and the buffers do not show it.
    pub unknown: bool,
    /// What was sent and neither came back nor was refused.
    pub open: Vec<WsPath>,
    /// The user cancelled while it waited for them.
    pub cancelled: bool,
}

impl Delivered {
    /// Hunks that are in the buffers now.
    pub fn applied(&self) -> usize {
        self.files.iter().map(|file| file.edits).sum()
    }

    /// Whether a hunk was left out.
    pub fn conflicts(&self) -> bool {
        self.files.iter().any(|file| !file.conflicts.is_empty())
    }

    fn file(&mut self, uri: &str) -> &mut FileOutcome {
        let at = self.files.iter().position(|file| file.uri == uri).unwrap_or_else(|| {
            self.files.push(FileOutcome { uri: uri.to_owned(), edits: 0, conflicts: Vec::new() });
            self.files.len() - 1
        });
        &mut self.files[at]
    }

    fn conflict(&mut self, conflict: &Conflict) {
        let mut wanted = conflict.ours.clone();
        wanted.truncate(wanted.floor_char_boundary(WANTED_MAX));
        let line = |line: usize| u32::try_from(line).unwrap_or(u32::MAX);
        let place = ConflictPlace { line: line(conflict.lines.start), end_line: line(conflict.lines.end), wanted };
        self.file(&conflict.path.uri()).conflicts.push(place);
    }
}

/// One delivery of one run.
pub struct Courier<'a> {
    /// The shared parts.
    pub services: &'a Services,
    /// Whose edits.
    pub run: &'a RunId,
    /// Its voice.
    pub events: &'a Events,
    /// What the undo list shows.
    pub label: String,
    /// Let the user confirm first.
    pub confirm: bool,
    /// Which edits.
    pub what: What,
    /// Of which files, where not of all.
    pub only: Option<&'a HashSet<WsPath>>,
    /// Stops the wait for a user who confirms.
    pub cancel: &'a CancellationToken,
}

enum Fate {
    Landed,
    /// The user typed before anything had gone out: it has to be made anew.
    Overtaken,
    Refused(String),
    Unknown,
    Cancelled,
}

impl Courier<'_> {
    /// Delivers all there is, round by round: operations on whole files first, because in every client a failing one
    /// leaves the text edits before it in place, and what they change (a new name) changes what is left to do.
    ///
    /// `since` began when there was nothing left to do but this; it ends with the first request.
    pub async fn deliver(&self, since: Waiting) -> Delivered {
        let mut delivered = Delivered::default();
        let workspace = &self.services.workspace;
        if self.what == What::Undo {
            workspace.undo(self.run);
        }
        let mut given_up: HashSet<WsPath> = HashSet::new();
        let mut allowed: HashSet<WsPath> = HashSet::new();
        let mut attempts: HashMap<WsPath, usize> = HashMap::new();
        // Sent, not seen, and to be sent again; what lands after all before that leaves nothing to send.
        let mut unseen: HashMap<WsPath, (String, usize)> = HashMap::new();
        // Until the first request, unless the user is asked something before.
        let mut since = Some(since);
        loop {
            let mut pending = workspace.deliveries(self.run);
            pending.retain(|delivery| !given_up.contains(&delivery.path) && self.means(&delivery.path));
            let Some(first) = pending.first() else { break };
            if let Some(reason) = self.unable(first) {
                given_up.insert(first.path.clone());
                delivered.file(&first.uri);
                delivered.refused = Some(reason);
                continue;
            }
            if let Protection::Ask(reason) = first.protection
                && !allowed.contains(&first.path)
            {
                since = None;
                match self.ask(&first.path, reason).await {
                    true => allowed.insert(first.path.clone()),
                    false => {
                        delivered.denied = Some(first.path.to_string());
                        delivered.file(&first.uri);
                        given_up.insert(first.path.clone())
                    }
                };
                continue;
            }
            // A protected file goes alone: its question must not hold up, nor be hidden among, the others.
            let alone = first.protection != Protection::None || !self.together(first);
            let resource = first.op.is_resource();
            let mut batch = pending;
            if alone {
                batch.truncate(1);
            } else {
                batch.retain(|other| other.op.is_resource() == resource && other.protection == Protection::None);
            }
            let fate = self.attempt(&batch, since.take()).await;
            if matches!(fate, Fate::Overtaken) {
                continue;
            }
            let tries = batch.iter().map(|delivery| {
                let tries = attempts.entry(delivery.path.clone()).or_default();
                *tries += 1;
                *tries
            });
            let last_try = tries.max().unwrap_or_default() >= ATTEMPTS || resource;
            match fate {
                Fate::Overtaken => {}
                Fate::Landed => {
                    for delivery in &batch {
                        unseen.remove(&delivery.path);
                        delivered.file(&delivery.uri).edits += hunks(delivery);
                    }
                }
                Fate::Refused(reason) => {
                    for delivery in &batch {
                        workspace.refused(self.run, &delivery.path);
                        unseen.insert(delivery.path.clone(), (delivery.uri.clone(), hunks(delivery)));
                        if last_try {
                            unseen.remove(&delivery.path);
                            given_up.insert(delivery.path.clone());
                            delivered.file(&delivery.uri);
                        }
                    }
                    if last_try {
                        delivered.refused = Some(reason);
                    }
                }
                Fate::Unknown => {
                    delivered.open.extend(batch.iter().map(|delivery| delivery.path.clone()));
                    delivered.unknown = true;
                    break;
                }
                Fate::Cancelled => {
                    delivered.open.extend(batch.iter().map(|delivery| delivery.path.clone()));
                    delivered.cancelled = true;
                    break;
                }
            }
        }
        let mut conflicts = workspace.conflicts(self.run);
        conflicts.retain(|conflict| self.means(&conflict.path));
        for (path, (uri, hunks)) in unseen {
            if !delivered.unknown && !delivered.cancelled && conflicts.iter().all(|conflict| conflict.path != path) {
                delivered.file(&uri).edits += hunks;
            }
        }
        for conflict in conflicts {
            delivered.conflict(&conflict);
        }
        delivered
    }

    /// Whether this delivery is about the file at `path`.
    fn means(&self, path: &WsPath) -> bool {
        self.only.is_none_or(|only| only.contains(path))
    }

    /// Whether other deliveries may go in the same request.
    fn together(&self, delivery: &Delivery) -> bool {
        delivery.op.is_resource() || self.services.host.abilities().transactional
    }

    fn unable(&self, delivery: &Delivery) -> Option<String> {
        if let Protection::Deny(reason) = delivery.protection {
            return Some(format!("{} must not be changed: {reason}", delivery.path));
        }
        let abilities = self.services.host.abilities();
        let (able, what) = match delivery.op {
            DeliveryOp::Edit { .. } => (abilities.apply_edit, "apply edits"),
            DeliveryOp::Create { .. } => (abilities.create, "create files"),
            DeliveryOp::Delete => (abilities.delete, "delete files"),
            DeliveryOp::Rename { .. } => (abilities.rename, "rename files"),
        };
        (!able).then(|| format!("this editor does not let a language server {what} ({})", delivery.path))
    }

    async fn ask(&self, path: &WsPath, reason: &str) -> bool {
        self.events.phase(RunPhase::Waiting);
        let path = show::visible(&path.to_string());
        let message = format!("Ropeway wants to change {path}: {reason}. Allow it?");
        self.events.emit(EventKind::Approval { message: message.clone(), answer: None });
        let choices = vec!["Allow once", "Deny"];
        let question = Question { message: message.clone(), choices: choices.clone() };
        let answer = tokio::select! {
            answer = self.services.host.ask(question) => answer,
            () = self.cancel.cancelled() => None,
        };
        let word = answer.and_then(|at| choices.get(at).copied()).unwrap_or("Deny");
        self.events.emit(EventKind::Approval { message, answer: Some(word.to_owned()) });
        self.events.phase(RunPhase::Applying);
        word == "Allow once"
    }

    /// Sends one request and waits for the proof of all that is in it.
    async fn attempt(&self, batch: &[Delivery], since: Option<Waiting>) -> Fate {
        let services = self.services;
        let mut sent: Vec<&Delivery> = Vec::with_capacity(batch.len());
        for delivery in batch {
            if services.workspace.sent(self.run, delivery) {
                sent.push(delivery);
                continue;
            }
            for earlier in sent {
                services.workspace.refused(self.run, &earlier.path);
            }
            return Fate::Overtaken;
        }
        let changes = batch.iter().map(change).collect();
        if let Some(since) = since {
            since.end(&services.metrics, true, || format!("edits of {} files were made ready", batch.len()).into());
        }
        let applying = services.metrics.begin(Op::Apply);
        let proposal = Proposal { label: self.label.clone(), changes, confirm: self.confirm };
        let applied = async {
            let reply = tokio::select! {
                reply = services.host.apply(proposal) => reply,
                () = self.cancel.cancelled(), if self.confirm => return None,
            };
            Some(match reply {
                ApplyReply::Refused(why) => Fate::Refused(why),
                ApplyReply::Silent if self.proven(batch, Duration::ZERO).await => Fate::Landed,
                ApplyReply::Silent => Fate::Unknown,
                ApplyReply::Applied if self.proven(batch, PROOF).await => Fate::Landed,
                ApplyReply::Applied => {
                    Fate::Refused("it said that it applied the edit, but the buffer does not show it".into())
                }
            })
        };
        let Some(fate) = applied.instrument(applying.trace()).await else { return Fate::Cancelled };
        let why = || match &fate {
            Fate::Unknown => "the editor did not answer".into(),
            Fate::Landed => "the editor took its time".into(),
            _ => "the editor did not take the edits".into(),
        };
        // The time in which the user makes up their mind says nothing.
        let took = applying.elapsed();
        if !self.confirm {
            applying.end(&services.metrics, matches!(fate, Fate::Landed), why);
        }
        self.log(&fate, batch, took);
        fate
    }

    fn log(&self, fate: &Fate, batch: &[Delivery], took: Duration) {
        let (fate, why) = match fate {
            Fate::Landed => ("landed", None),
            Fate::Overtaken => ("overtaken", None),
            Fate::Refused(why) => ("refused", Some(why.as_str())),
            Fate::Unknown => ("unknown", None),
            Fate::Cancelled => ("cancelled", None),
        };
        let paths = batch.iter().map(|delivery| delivery.path.to_string()).collect();
        self.events.log().delivered(self.what, fate, why, paths, took);
    }

    /// Whether the document has changed otherwise since the delivery was made for it.
    fn overtaken(&self, delivery: &Delivery) -> bool {
        let DeliveryOp::Edit { version, .. } = &delivery.op else { return false };
        self.services.workspace.document(&delivery.uri).is_some_and(|document| document.version != *version)
    }

    /// Waits until everything has landed. A text that no open document can show is taken at the editor's word, after
    /// the moment that opening the document may take.
    async fn proven(&self, batch: &[Delivery], patience: Duration) -> bool {
        let workspace = &self.services.workspace;
        let begun = Instant::now();
        let mut changes = workspace.changes();
        loop {
            // Marked as seen before looking, so that a change in between is not slept over.
            changes.borrow_and_update();
            let landed = |delivery: &&Delivery| workspace.landed(self.run, &delivery.path) == Landing::Landed;
            let missing: Vec<&Delivery> = batch.iter().filter(|delivery| !landed(delivery)).collect();
            let overtaken = missing.iter().any(|delivery| self.overtaken(delivery));
            let end = begun + if overtaken { patience.min(OVERTAKEN) } else { patience };
            let opening = end.min(begun + OPENING);
            let now = Instant::now();
            let believed = |delivery: &&Delivery| workspace.believe(self.run, &delivery.path);
            let in_doubt = now >= opening && !patience.is_zero();
            if missing.is_empty() || (in_doubt && missing.iter().filter(|delivery| !believed(delivery)).count() == 0) {
                return true;
            }
            if now >= end {
                return false;
            }
            let until = if now < opening { opening } else { end };
            if let Ok(Err(_)) = timeout_at(until, changes.changed()).await {
                return false;
            }
        }
    }
}

fn hunks(delivery: &Delivery) -> usize {
    match &delivery.op {
        DeliveryOp::Edit { edits, .. } => edits.edits().len(),
        DeliveryOp::Create { .. } | DeliveryOp::Delete | DeliveryOp::Rename { .. } => 1,
    }
}

fn change(delivery: &Delivery) -> FileChange {
    let uri = delivery.uri.as_str().into();
    match &delivery.op {
        DeliveryOp::Edit { version, base, edits, .. } => {
            FileChange::Edit { uri, version: *version, base: base.clone(), edits: edits.clone() }
        }
        DeliveryOp::Create { text } => FileChange::Create { uri, text: text.clone() },
        DeliveryOp::Delete => FileChange::Delete { uri },
        DeliveryOp::Rename { to } => FileChange::Rename { from: uri, to: to.uri().into() },
    }
}
