//! Whether a replay did what is recorded, and what no tool can stage again, staged again.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use crate::agent::outcome::Outcome;
use crate::agent::restore::said::{edited, edits};
use crate::host::FileChange;
use crate::ids::RunId;
use crate::paths::{Roots, WsPath, file_path};
use crate::text::rebase::rebase_hunks;
use crate::text::{Text, diff};
use crate::trajectory::record::{FileOp, Proposal, ProposedFile, Sent, Staged, TextId};
use crate::workspace::{StagedFile, StagedKind, Workspace};

/// Differences that are told; one that matters is among the first.
const MAX_TOLD: usize = 20;

/// What was compared, and what differs.
#[derive(Default)]
pub(super) struct Differences {
    pub(super) all: Vec<String>,
    pub(super) staged: usize,
    pub(super) delivered: usize,
}

impl Differences {
    /// Adds one.
    pub(super) fn say(&mut self, what: String) {
        if self.all.len() < MAX_TOLD {
            self.all.push(what);
        }
    }

    /// What was wanted of a file after a call, against what is wanted now.
    pub(super) fn staged(&mut self, recorded: &Staged, from: Option<&WsPath>, now: Option<&StagedFile>) {
        self.staged += 1;
        let path = &recorded.path;
        let Some(now) = now else {
            if recorded.op != FileOp::Edited || !recorded.edits.is_empty() {
                self.say(format!("{path}: nothing is staged where the recording has a change"));
            }
            return;
        };
        let same_kind = match (&now.kind, recorded.op) {
            (StagedKind::Edited, FileOp::Edited)
            | (StagedKind::Created, FileOp::Created)
            | (StagedKind::Deleted, FileOp::Deleted) => true,
            (StagedKind::Renamed { from: replayed }, FileOp::Renamed) => Some(replayed) == from,
            _ => false,
        };
        if !same_kind {
            return self.say(format!("{path}: another thing is to happen to it than is recorded"));
        }
        if recorded.op == FileOp::Deleted {
            return;
        }
        match edited(&now.before, &recorded.edits) {
            Some(wanted) if wanted == now.after => {}
            Some(_) => self.say(format!("{path}: another text is staged than is recorded")),
            None => self.say(format!("{path}: it has another text than in the recording")),
        }
    }

    /// What went to the editor.
    pub(super) fn sent(&mut self, roots: &Roots, recorded: &[Sent], replayed: &[FileChange]) {
        self.delivered += 1;
        for change in replayed {
            let uri = match change {
                FileChange::Edit { uri, .. } | FileChange::Create { uri, .. } | FileChange::Delete { uri } => uri,
                FileChange::Rename { from, .. } => from,
            };
            let path = file_path(uri).and_then(|path| roots.of(&path)).map(|path| path.to_string());
            let name = path.unwrap_or_else(|| uri.to_string());
            match recorded.iter().find(|sent| sent.path == name) {
                Some(sent) if is_same(roots, sent, change) => {}
                Some(_) => self.say(format!("{name}: other edits were sent than are recorded")),
                None => self.say(format!("{name}: edits were sent that are not recorded")),
            }
        }
        if replayed.len() < recorded.len() {
            self.say(format!("{} files were in a request to the editor, {} are", recorded.len(), replayed.len()));
        }
    }

    /// What was wanted in the end.
    pub(super) fn proposal(&mut self, recorded: &Proposal, files: &[StagedFile], texts: &HashMap<TextId, Arc<str>>) {
        for file in &recorded.files {
            let Some(now) = files.iter().find(|now| now.path.to_string() == file.path) else {
                self.say(format!("{}: the recorded run changed it in the end, the replayed one did not", file.path));
                continue;
            };
            if !is_same_change(file, now, texts) {
                self.say(format!("{}: it has another text in the end than is recorded", file.path));
            }
        }
        for now in files.iter().filter(|now| now.kind != StagedKind::Edited || now.before != now.after) {
            if !recorded.files.iter().any(|file| file.path == now.path.to_string()) {
                self.say(format!("{}: the replayed run changed it in the end, the recorded one did not", now.path));
            }
        }
    }

    /// How it ended, and what was left out.
    pub(super) fn outcome(&mut self, recorded: &Value, replayed: &Outcome) {
        let status = |outcome: &Value| outcome.get("status").and_then(Value::as_str).unwrap_or_default().to_owned();
        let left_out = |outcome: &Value| -> usize {
            let files = outcome.get("files").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            files.iter().filter_map(|file| Some(file.get("conflicts")?.as_array()?.len())).sum()
        };
        let replayed = serde_json::to_value(replayed).unwrap_or_default();
        // Whether a run without edits was to make some depends on its action, which is not played again.
        let plain = |status: String| if status == "unchanged" { "answered".to_owned() } else { status };
        let (before, now) = (plain(status(recorded)), plain(status(&replayed)));
        if before != now {
            self.say(format!("the recorded run ended as `{before}`, the replayed one as `{now}`"));
        }
        let (before, now) = (left_out(recorded), left_out(&replayed));
        if before != now {
            self.say(format!("{before} changes were left out for a conflict, {now} are"));
        }
    }
}

/// Whether a file is wanted as it was. What was typed at the moment when that was taken down may be in it or not.
fn is_same_change(file: &ProposedFile, now: &StagedFile, texts: &HashMap<TextId, Arc<str>>) -> bool {
    let (Some(before), Some(after)) = (texts.get(&file.before), texts.get(&file.after)) else {
        return TextId::of(&now.after.to_string()) == file.after;
    };
    if now.after == **after {
        return true;
    }
    let (before, after) = (Text::from(&**before), Text::from(&**after));
    if before == now.before {
        return false;
    }
    let (ours, typed) = (diff::refined(&before, &after), diff::refined(&before, &now.before));
    rebase_hunks(&ours, &typed, &before)
        .is_ok_and(|rebased| rebased.conflicts.is_empty() && rebased.edits.apply(&now.before) == Ok(now.after.clone()))
}

fn is_same(roots: &Roots, recorded: &Sent, replayed: &FileChange) -> bool {
    match (replayed, recorded.op) {
        (FileChange::Edit { base, edits: now, .. }, FileOp::Edited) => match edits(base, &recorded.edits) {
            Some(before) => before == *now || before.apply(base).is_ok_and(|before| now.apply(base) == Ok(before)),
            None => false,
        },
        (FileChange::Create { text, .. }, FileOp::Created) => {
            edited(&Text::default(), &recorded.edits).is_some_and(|before| before == *text)
        }
        (FileChange::Delete { .. }, FileOp::Deleted) => true,
        (FileChange::Rename { to, .. }, FileOp::Renamed) => {
            let to = file_path(to).and_then(|path| roots.of(&path)).map(|path| path.to_string());
            to == recorded.to
        }
        _ => false,
    }
}

/// Stages what is recorded, whatever is staged now. The error is for people.
pub(super) fn stage(
    workspace: &Workspace,
    run: &RunId,
    staged: &Staged,
    path: &WsPath,
    from: Option<&WsPath>,
) -> Result<(), String> {
    let told = |error: &dyn std::error::Error| error.to_string();
    match staged.op {
        FileOp::Deleted => return workspace.stage_delete(run, path).map(drop).map_err(|error| told(&error)),
        FileOp::Created if !workspace.exists(Some(run), path) => {
            let text = edited(&Text::default(), &staged.edits).ok_or("its edits do not fit")?;
            return workspace.stage_create(run, path, text).map(drop).map_err(|error| told(&error));
        }
        FileOp::Renamed if !workspace.exists(Some(run), path) => {
            let from = from.ok_or("its old name is missing")?;
            workspace.stage_rename(run, from, path).map_err(|error| told(&error))?;
        }
        FileOp::Edited | FileOp::Created | FileOp::Renamed => {}
    }
    let view = workspace.read(Some(run), path).map_err(|error| told(&error))?;
    let base = match workspace.staged(run).into_iter().find(|file| file.path == *path) {
        Some(file) => file.before,
        None => view.text.clone(),
    };
    let wanted = edited(&base, &staged.edits).ok_or("its edits do not fit")?;
    workspace.stage_edit(run, &view, diff::refined(&view.text, &wanted)).map(drop).map_err(|error| told(&error))
}
