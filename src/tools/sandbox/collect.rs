//! What a command changed, taken over as the run's edits: sources only, as differences to what the command saw, so
//! that what the user typed meanwhile is kept.

use std::collections::BTreeSet;
use std::path::Path;

use super::hidden;
use super::ignored::Ignored;
use super::layers::{Held, Layers, Prepared, RootLayer, Store, door};
use crate::disk::{Disk, DiskError};
use crate::paths::{Roots, WsPath};
use crate::text::rebase::rebase_hunks;
use crate::text::{Text, diff};
use crate::tools::tool::ToolContext;
use crate::workspace::{FileView, ReadError, Source, StageError};

/// Most files that one command may change for it to be taken over.
const MAX_TAKEN: usize = 200;
/// Most names that are looked at after a command.
const MAX_LOOKED: usize = 50_000;
/// Deepest folder that is looked into.
const MAX_DEPTH: usize = 64;
/// Most names that the model is told.
const MAX_TOLD: usize = 20;

/// What came of it.
#[derive(Debug, Default)]
pub struct Taken {
    /// Files whose change is staged.
    pub staged: Vec<(WsPath, &'static str)>,
    /// Files whose change is not, and why.
    pub left: Vec<(String, String)>,
    /// Whether there was more than is looked at.
    pub more: bool,
}

impl Taken {
    /// In lines for the model.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let list = |names: Vec<String>| {
            let rest = names.len().saturating_sub(MAX_TOLD);
            let shown = names.into_iter().take(MAX_TOLD).collect::<Vec<_>>().join(", ");
            if rest > 0 { format!("{shown} and {rest} more") } else { shown }
        };
        if !self.staged.is_empty() {
            let names = self.staged.iter().map(|(path, what)| format!("{path} ({what})")).collect();
            notes.push(format!("[the command changed files; these are now edits of yours: {}]", list(names)));
        }
        if !self.left.is_empty() {
            let names = self.left.iter().map(|(path, why)| format!("{path} ({why})")).collect();
            notes.push(format!("[written by the command but not taken over: {}]", list(names)));
        }
        if self.more {
            notes.push("[the command wrote more files than are looked at; the rest was not taken over]".to_owned());
        }
        notes
    }
}

/// A name that a command may have changed.
enum Found {
    File(String),
    Gone(String),
}

impl Layers {
    /// Stages what the command that started from `prepared` changed. Reads the disk.
    pub fn collect(&mut self, context: &ToolContext, prepared: &Prepared) -> Taken {
        let mut taken = Taken::default();
        for layer in &mut self.roots {
            layer.collect(context, prepared, &mut taken);
        }
        taken.staged.sort_by_key(|(path, _)| path.to_string());
        for (path, _) in &taken.staged {
            (context.on_staged)(path);
        }
        taken
    }
}

/// One file, looked at.
enum Change {
    Text(Text),
    Gone,
}

impl RootLayer {
    fn collect(&mut self, context: &ToolContext, prepared: &Prepared, taken: &mut Taken) {
        let found = self.find(context, prepared, &mut taken.more);
        let Ok((layer, files)) = door(self.folder()) else { return };
        let roots = context.workspace.roots();
        let mut changes: Vec<(WsPath, Change)> = Vec::new();
        for found in found {
            let (rel, gone) = match found {
                Found::File(rel) => (rel, false),
                Found::Gone(rel) => (rel, true),
            };
            let Some(path) = roots.of(&self.root.path().join(&rel)) else { continue };
            // The command has not seen what it would replace.
            if hidden::is(&context.denied, &rel) {
                if !gone && self.left.insert(rel) {
                    taken.left.push((path.to_string(), "a rule of the user hides it".to_owned()));
                }
                continue;
            }
            let before = self.before(context, prepared, &path);
            let change = if gone {
                before.is_some().then_some(Change::Gone)
            } else {
                match read(&layer, &files, &self.folder().join(&rel), &rel) {
                    Ok(text) if before.as_ref() == Some(&text) => {
                        self.uncover(prepared, &path);
                        None
                    }
                    Ok(text) => Some(Change::Text(text)),
                    Err(why) => {
                        if same_bytes(&self.real.join(&rel), &self.folder().join(&rel)) {
                            self.uncover(prepared, &path);
                        } else if self.left.insert(rel.clone()) {
                            taken.left.push((path.to_string(), why));
                        }
                        None
                    }
                }
            };
            changes.extend(change.map(|change| (path, change)));
        }
        if changes.len() > MAX_TAKEN {
            let fresh: Vec<String> = changes
                .into_iter()
                .map(|(path, _)| path.rel().to_owned())
                .filter(|rel| self.left.insert(rel.clone()))
                .collect();
            if !fresh.is_empty() {
                let why = format!("{} files are more than {MAX_TAKEN}", fresh.len());
                taken.left.extend(fresh.into_iter().map(|rel| (rel, why.clone())));
            }
            return;
        }
        for (path, change) in changes {
            let rel = path.rel().to_owned();
            match self.stage(context, prepared, &path, &change) {
                Ok(what) => {
                    self.left.remove(&rel);
                    taken.staged.push((path, what));
                    let held = match change {
                        Change::Text(text) => Held::Text(text),
                        Change::Gone => Held::Gone,
                    };
                    self.held.insert(rel, held);
                }
                Err(error) => {
                    if self.left.insert(rel) {
                        taken.left.push((path.to_string(), error.to_string()));
                    }
                }
            }
        }
    }

    /// Takes a file out of the layer that is as it is on disk: what the user does to it from now on is to be seen.
    fn uncover(&self, prepared: &Prepared, path: &WsPath) {
        let rel = path.rel();
        if !matches!(self.store, Store::Overlay { .. })
            || self.held.contains_key(rel)
            || prepared.views.contains_key(path)
        {
            return;
        }
        let (layer, disk) = (self.folder().join(rel), self.real.join(rel));
        if same_rights(&layer, &disk) {
            // No process of the command is left that could have put something else there. If it cannot be removed, the
            // command goes on seeing what it wrote.
            let _ = std::fs::remove_file(layer);
        }
    }

    /// The text that the command saw; `None` if there was no file.
    fn before(&self, context: &ToolContext, prepared: &Prepared, path: &WsPath) -> Option<Text> {
        match self.held.get(path.rel()) {
            Some(Held::Text(text)) => Some(text.clone()),
            Some(Held::Gone) => None,
            None => match prepared.views.get(path) {
                Some(view) => Some(view.text.clone()),
                None => context.workspace.disk().read(path).ok().map(|file| Text::from(&*file.text)),
            },
        }
    }

    fn stage(
        &self,
        context: &ToolContext,
        prepared: &Prepared,
        path: &WsPath,
        change: &Change,
    ) -> Result<&'static str, StageError> {
        let workspace = &context.workspace;
        let Change::Text(text) = change else {
            return workspace.stage_delete(&context.run, path).map(|_| "deleted");
        };
        let Some(before) = self.before(context, prepared, path) else {
            return workspace.stage_create(&context.run, path, text.clone()).map(|_| "new");
        };
        let edits = diff::refined(&before, text);
        if let Some(view) = prepared.views.get(path).filter(|view| view.text == before) {
            return workspace.stage_edit(&context.run, view, edits).map(|_| "changed");
        }
        let now = match workspace.read(Some(&context.run), path) {
            // Only the run's view lacks it: the command made it again.
            Err(ReadError::Deleted(_)) => {
                return workspace.stage_create(&context.run, path, text.clone()).map(|_| "new");
            }
            other => other?,
        };
        let edits = carry(&before, &now, edits).ok_or_else(|| StageError::Stale(path.clone()))?;
        workspace.stage_edit(&context.run, &now, edits).map(|_| "changed")
    }

    /// All names below the root that the command may have changed.
    fn find(&self, context: &ToolContext, prepared: &Prepared, more: &mut bool) -> Vec<Found> {
        let mut found = Vec::new();
        let mut seen: BTreeSet<String> = BTreeSet::new();
        match &self.store {
            Store::Overlay { upper, .. } => {
                let mut ignored = Ignored::new(&self.real, vec![upper, &self.real]);
                let mut walk = Walk { found: &mut found, left: MAX_LOOKED, more };
                walk.folder(upper, &self.real, "", 0, &mut ignored);
            }
            Store::Copy(copied) => {
                let tree = copied.tree();
                let mut ignored = Ignored::new(&self.real, vec![tree]);
                let mut walk = Walk { found: &mut found, left: MAX_LOOKED, more };
                walk.folder(tree, tree, "", 0, &mut ignored);
                let gone = copied.files().filter(|rel| tree.join(rel).symlink_metadata().is_err());
                found.extend(gone.map(|rel| Found::Gone(rel.to_owned())));
            }
        }
        for found in &found {
            let (Found::File(rel) | Found::Gone(rel)) = found;
            seen.insert(rel.clone());
        }
        // What only the layer had leaves no trace when it is gone.
        let ours = prepared.views.keys().filter(|path| path.root().path() == self.root.path()).map(WsPath::rel);
        let held = self.held.iter().filter(|(_, held)| matches!(held, Held::Text(_))).map(|(rel, _)| rel.as_str());
        let mut asked: Vec<&str> = ours.chain(held).filter(|rel| !seen.contains(*rel)).collect();
        asked.sort_unstable();
        asked.dedup();
        for rel in asked {
            let in_layer = self.folder().join(rel).symlink_metadata().is_ok();
            let on_disk = matches!(self.store, Store::Overlay { .. })
                && context
                    .workspace
                    .roots()
                    .of(&self.root.path().join(rel))
                    .is_some_and(|path| context.workspace.disk().exists(&path));
            if !in_layer && !on_disk {
                found.push(Found::Gone(rel.to_owned()));
            }
        }
        found
    }
}

/// `edits` of the text that a command saw, as edits of the text that is seen now.
fn carry(before: &Text, now: &FileView, edits: crate::text::EditSet) -> Option<crate::text::EditSet> {
    if now.text == *before {
        return Some(edits);
    }
    // The file was changed on disk behind the command's back: nobody can tell which version it read.
    if let Source::Disk { .. } = now.source {
        return None;
    }
    let since = diff::refined(before, &now.text);
    let rebased = rebase_hunks(&edits, &since, before).ok()?;
    rebased.conflicts.is_empty().then_some(rebased.edits)
}

fn read(layer: &Roots, files: &Disk, at: &Path, rel: &str) -> Result<Text, String> {
    if at.symlink_metadata().is_ok_and(|found| found.is_symlink()) {
        return Err("a link".to_owned());
    }
    let path = layer.resolve(rel).map_err(|error| error.to_string())?;
    match files.read(&path) {
        Ok(file) => Ok(Text::from(&*file.text)),
        Err(DiskError::NotText { .. }) => Err("no text".to_owned()),
        Err(DiskError::TooLarge { .. }) => Err("too large".to_owned()),
        Err(DiskError::NotAFile { what, .. }) => Err(what.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Whether two files hold the same bytes, as far as that is quickly told.
fn same_bytes(a: &Path, b: &Path) -> bool {
    const MOST: u64 = 64 << 20;
    let (Ok(x), Ok(y)) = (a.symlink_metadata(), b.symlink_metadata()) else { return false };
    if !x.is_file() || !y.is_file() || x.len() != y.len() || x.len() > MOST {
        return false;
    }
    #[expect(clippy::disallowed_methods, reason = "compares a layer with what lies under it, bytes that are no text")]
    let (x, y) = (std::fs::read(a), std::fs::read(b));
    matches!((x, y), (Ok(x), Ok(y)) if x == y)
}

/// Whether two files may be read, written and run by the same people.
#[cfg(unix)]
fn same_rights(a: &Path, b: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &Path| path.symlink_metadata().map(|found| found.permissions().mode()).ok();
    mode(a).is_some() && mode(a) == mode(b)
}

#[cfg(not(unix))]
fn same_rights(_a: &Path, _b: &Path) -> bool {
    true
}

/// Goes through what a layer holds.
struct Walk<'a> {
    found: &'a mut Vec<Found>,
    left: usize,
    more: &'a mut bool,
}

impl Walk<'_> {
    /// The folder `rel`, in the layer at `layer`; `under` is what it covers.
    fn folder(&mut self, layer: &Path, under: &Path, rel: &str, depth: usize, ignored: &mut Ignored<'_>) {
        if depth > MAX_DEPTH {
            *self.more = true;
            return;
        }
        let here = layer.join(rel);
        if layer != under && is_opaque(&here) {
            self.hidden(layer, under, rel, depth, ignored);
        }
        let Ok(entries) = std::fs::read_dir(&here) else { return };
        let mut entries: Vec<_> = entries.flatten().take(self.left + 1).collect();
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            if self.left == 0 {
                *self.more = true;
                return;
            }
            self.left -= 1;
            let (Ok(kind), Ok(name)) = (entry.file_type(), entry.file_name().into_string()) else { continue };
            let rel = if rel.is_empty() { name } else { format!("{rel}/{name}") };
            if ignored.is(&rel, kind.is_dir()) {
                continue;
            }
            if kind.is_dir() {
                self.folder(layer, under, &rel, depth + 1, ignored);
            } else if layer != under && is_whiteout(&entry) {
                self.gone(under, &rel, depth, ignored);
            } else {
                self.found.push(Found::File(rel));
            }
        }
    }

    /// All files under `rel` that are gone.
    fn gone(&mut self, under: &Path, rel: &str, depth: usize, ignored: &mut Ignored<'_>) {
        let at = under.join(rel);
        let Ok(found) = at.symlink_metadata() else { return };
        if !found.is_dir() {
            self.found.push(Found::Gone(rel.to_owned()));
            return;
        }
        self.hidden(Path::new(""), under, rel, depth, ignored);
    }

    /// The files of a folder that was replaced, but for those that are there again.
    fn hidden(&mut self, layer: &Path, under: &Path, rel: &str, depth: usize, ignored: &mut Ignored<'_>) {
        let Ok(entries) = std::fs::read_dir(under.join(rel)) else { return };
        for entry in entries.flatten() {
            if self.left == 0 || depth > MAX_DEPTH {
                *self.more = true;
                return;
            }
            self.left -= 1;
            let (Ok(kind), Ok(name)) = (entry.file_type(), entry.file_name().into_string()) else { continue };
            let rel = if rel.is_empty() { name } else { format!("{rel}/{name}") };
            let again = !layer.as_os_str().is_empty() && layer.join(&rel).symlink_metadata().is_ok();
            if again || ignored.is(&rel, kind.is_dir()) {
                continue;
            }
            if kind.is_dir() {
                self.hidden(Path::new(""), under, &rel, depth + 1, ignored);
            } else {
                self.found.push(Found::Gone(rel));
            }
        }
    }
}

/// Whether an entry of a layer says that the name is gone.
#[cfg(target_os = "linux")]
fn is_whiteout(entry: &std::fs::DirEntry) -> bool {
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    entry.file_type().is_ok_and(|kind| kind.is_char_device()) && entry.metadata().is_ok_and(|found| found.rdev() == 0)
}

#[cfg(not(target_os = "linux"))]
fn is_whiteout(_entry: &std::fs::DirEntry) -> bool {
    false
}

/// Whether a folder of a layer hides the one under it instead of adding to it.
#[cfg(target_os = "linux")]
fn is_opaque(folder: &Path) -> bool {
    let mut value = [0; 4];
    let found = rustix::fs::lgetxattr(folder, "user.overlay.opaque", &mut value[..]);
    found.is_ok_and(|len| value.get(..len) == Some(b"y"))
}

#[cfg(not(target_os = "linux"))]
fn is_opaque(_folder: &Path) -> bool {
    false
}
