//! What the user typed in files since the model last saw them, told as a diff of just that: the model need not read
//! them again, and does not work on a text that is no longer there.
//!
//! Compared are the user's own texts, without what the run has staged: the model knows its own edits.

use std::collections::VecDeque;
use std::fmt::Write as _;

use crate::ids::RunId;
use crate::paths::WsPath;
use crate::text::{Text, diff};
use crate::tools::output::Excerpt;
use crate::workspace::{Look, Source, StagedFile, Workspace, is_secret};

/// Files that are watched for it, those seen last.
const FILES: usize = 40;
/// Bytes of the diff of one file; above them the model is told to read it again.
const FILE_MAX: usize = 3_000;
/// Texts above this many bytes are not compared.
const TEXT_MAX: usize = 1 << 20;
/// Bytes of all diffs in one remark.
const REMARK_MAX: usize = 8_000;

/// The files a conversation has seen, and the user's text of each at that time.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    files: VecDeque<File>,
    /// What was typed before edits were delivered, to be told at the next chance.
    pending: Vec<String>,
}

#[derive(Clone, Debug)]
struct File {
    path: WsPath,
    /// Names the text; `None`: it has to be compared.
    look: Option<Look>,
    /// `None`: the text changed while it was read, so what was typed cannot be told.
    text: Option<Text>,
    /// Where the text was.
    source: Source,
}

impl Seen {
    /// The model has been shown lines of a file.
    pub fn shown(&mut self, workspace: &Workspace, run: &RunId, excerpt: &Excerpt) {
        let Some(mut file) = now(workspace, &excerpt.path) else { return };
        let seen_now = workspace.look(Some(run), &excerpt.path).ok();
        // The run's own edit, made beside the read, is no typing: then its text is not the user's.
        let own = seen_now != workspace.look(None, &excerpt.path).ok();
        if seen_now != Some(excerpt.look) && !own {
            file.text = None;
        }
        self.put(file);
    }

    /// The model has been shown a text of the user's.
    pub fn given(&mut self, workspace: &Workspace, path: &WsPath, text: &Text) {
        let Some(mut file) = now(workspace, path) else { return };
        file.text = Some(text.clone());
        self.put(file);
    }

    fn put(&mut self, file: File) {
        // The user was asked about what such a file held then, not about what is typed into it later.
        if is_secret(&file.path) {
            return;
        }
        self.files.retain(|known| known.path != file.path);
        self.files.push_back(file);
        if self.files.len() > FILES {
            self.files.pop_front();
        }
    }

    /// Nothing of what was seen is in view any more.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// The edits of a run have been delivered: what the model knows of these files is what it wanted them to be.
    pub fn delivered(&mut self, staged: &[StagedFile]) {
        for change in staged {
            let Some(known) = self.files.iter_mut().find(|file| file.path == change.path) else { continue };
            if let Some(before) = &known.text
                && let Some(told) = told(&known.path, before, &change.before)
            {
                self.pending.push(told);
            }
            known.look = None;
            known.text = Some(change.after.clone());
        }
    }

    /// The files, each with the version in which it was seen and whether it is another one now. What the run itself has
    /// staged does not count.
    pub fn versions(&self, workspace: &Workspace) -> Vec<(WsPath, String)> {
        let version = |file: &File| {
            let seen = match file.source {
                Source::Open { version: Some(version), .. } => format!("version {} in the editor", version.0),
                Source::Open { revision, .. } => format!("change {} in the editor", revision.0),
                Source::Disk { stamp } => format!("the file on disk of {} bytes", stamp.size),
                Source::Staged => "as you left it".to_owned(),
            };
            let is_same = file.look.is_some() && workspace.look(None, &file.path).ok() == file.look;
            let since = if is_same || file.look.is_none() { "" } else { ", changed since" };
            (file.path.clone(), format!("{seen}{since}"))
        };
        self.files.iter().map(version).collect()
    }

    /// What was typed since it was last told; `None`: nothing.
    pub fn remark(&mut self, workspace: &Workspace) -> Option<String> {
        let mut told_all = std::mem::take(&mut self.pending);
        self.files.retain_mut(|file| {
            match workspace.look(None, &file.path) {
                // A text that could not be told then is still not the one that was seen.
                Ok(look) if Some(look) == file.look && file.text.is_some() => return true,
                Ok(_) => {}
                Err(_) => return false,
            }
            let Some(new) = now(workspace, &file.path) else { return false };
            match (&file.text, &new.text) {
                (Some(old), Some(text)) => told_all.extend(told(&file.path, old, text)),
                _ => told_all.push(again(&file.path)),
            }
            *file = new;
            true
        });
        if told_all.is_empty() {
            return None;
        }
        let mut remark = String::from(
            "<user_typed>\nThe user changed these files since you last saw them. Your tools and your staged edits have \
             it already; keep it.\n",
        );
        let all = told_all.len();
        for (at, told) in told_all.iter().enumerate() {
            if remark.len() + told.len() > REMARK_MAX {
                // Writing to a string cannot fail.
                let _ = writeln!(remark, "{} more files changed; read what you need of them again.", all - at);
                break;
            }
            remark.push_str(told);
            if !told.ends_with('\n') {
                remark.push('\n');
            }
        }
        remark.push_str("</user_typed>");
        Some(remark)
    }
}

/// A file as the user has it now.
fn now(workspace: &Workspace, path: &WsPath) -> Option<File> {
    let view = workspace.read(None, path).ok()?;
    let look = Look { seen: view.seen, note: view.note };
    Some(File { look: Some(look), path: view.path, text: Some(view.text), source: view.source })
}

fn told(path: &WsPath, before: &Text, after: &Text) -> Option<String> {
    if before.same(after) {
        return None;
    }
    if before.len().max(after.len()) > TEXT_MAX {
        return Some(again(path));
    }
    let diff = diff::unified(before, after, &path.to_string(), 1, FILE_MAX + 1);
    match diff.len() {
        0 => None,
        1..=FILE_MAX => Some(diff.replace("</user_typed>", "</user_typed")),
        _ => Some(again(path)),
    }
}

fn again(path: &WsPath) -> String {
    format!("`{path}` was changed in many places; read what you need of it again.\n")
}
