//! From what a run wants to what the editor is asked to do: line hunks against the version it has now.

use super::Workspace;
use super::carry::Carried;
use super::entry::{Dropped, Entry, Phase, Sent, Want};
use super::protected::Protection;
use crate::ids::{DocVersion, RunId};
use crate::paths::{WsPath, file_path};
use crate::text::{EditSet, Text, diff};

/// One change to one file, ready to be sent.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The file, by the name that the user's side has for it.
    pub path: WsPath,
    /// Its URI, as the client spells it if it is open.
    pub uri: String,
    /// What is to be done.
    pub op: DeliveryOp,
    /// Whether the user must be asked first, or it must not be sent at all: judged anew, because a folder may have
    /// become another one since it was staged.
    pub protection: Protection,
    /// The state of the staged file that this was made of.
    serial: u64,
}

/// What is to be done to a file.
#[derive(Clone, Debug)]
pub enum DeliveryOp {
    /// Change its text.
    Edit {
        /// The client's version of it; `None` if it is not open or has no version.
        version: Option<DocVersion>,
        /// The text that the edits are for.
        base: Text,
        /// Whole-line hunks that neither overlap nor touch.
        edits: EditSet,
        /// The text that shows that they have landed.
        expected: Text,
    },
    /// Make it; it must not exist.
    Create {
        /// With this text.
        text: Text,
    },
    /// Remove it.
    Delete,
    /// Give it another name, which must be free.
    Rename {
        /// The name.
        to: WsPath,
    },
}

impl DeliveryOp {
    /// Whether it is an operation on a whole file, which no editor undoes together with text.
    pub fn is_resource(&self) -> bool {
        !matches!(self, Self::Edit { .. })
    }
}

/// What became of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Landing {
    /// Nothing has changed.
    NotYet,
    /// It is there, and this is certain.
    Landed,
    /// Something else has happened to the file, and ours is not there.
    Elsewhere,
}

impl Workspace {
    /// What is to be sent for `run`: operations on whole files first, then edits. Nothing that was sent and not
    /// refused. The edits of a file that is renamed come only when the new name has landed, so ask again after each
    /// round, until there is none. May read the disk.
    pub fn deliveries(&self, run: &RunId) -> Vec<Delivery> {
        let paths: Vec<_> = match self.lock().runs.get(run) {
            Some(area) => area.files.keys().cloned().collect(),
            None => return Vec::new(),
        };
        for path in &paths {
            self.refresh(run, path);
            // A link that has come to stand on the way would take the editor elsewhere, and so would one on the way
            // that it took itself to a buffer.
            if self.real(path).ok().as_ref() != Some(path) || !self.leads_to(path) {
                self.lose(run, path);
            }
        }
        let (mut operations, mut edits) = (Vec::new(), Vec::new());
        for path in paths {
            let (entry, version, uri) = {
                let state = self.lock();
                let Some(entry) = state.runs.get(run).and_then(|area| area.files.get(&path)) else { continue };
                let waits = entry.from.is_some() && entry.want == Want::Text;
                if entry.is_idle() || entry.is_sent() || waits || state.is_unsynced(entry.source(&path)) {
                    continue;
                }
                let version = state.open_at(&path).and_then(|document| document.version);
                (entry.clone(), version, state.uri_of(&path))
            };
            let Some(op) = entry.operation(version) else { continue };
            let mut protection = entry.protection.max(self.protection(&path));
            if let DeliveryOp::Rename { to } = &op {
                protection = protection.max(self.protection(to));
            }
            let into = if op.is_resource() { &mut operations } else { &mut edits };
            into.push(Delivery { path, uri, op, protection, serial: entry.serial });
        }
        operations.append(&mut edits);
        operations
    }

    /// Whether the path by which the client has the file at `path` open, if it has, still leads there.
    fn leads_to(&self, path: &WsPath) -> bool {
        let opened = self.lock().open_at(path).map(|document| document.uri.clone());
        let Some(opened) = opened else { return true };
        let opened = file_path(&opened).and_then(|opened| path.roots().of(&opened));
        opened.is_none_or(|opened| self.real(&opened).is_ok_and(|real| real == *path))
    }

    /// Says that `delivery` is about to be sent: from now on it is recognised when it comes back. `false` if the file
    /// has moved on since; then it must not be sent, but asked for anew.
    #[must_use]
    pub fn sent(&self, run: &RunId, delivery: &Delivery) -> bool {
        let mut state = self.lock();
        let Some(area) = state.runs.get_mut(run) else { return false };
        let Some(entry) = area.entry(&delivery.path) else { return false };
        if entry.serial != delivery.serial || entry.is_sent() {
            return false;
        }
        let expected = match &delivery.op {
            DeliveryOp::Edit { expected, .. } => expected.clone(),
            DeliveryOp::Create { text } => text.clone(),
            DeliveryOp::Delete | DeliveryOp::Rename { .. } => Text::default(),
        };
        entry.phase = Phase::Sent(Box::new(Sent::new(entry.carried.clone(), expected)));
        area.witness.sent(delivery);
        true
    }

    /// The delivery of the file at `path` was refused, or given up: it is staged again, carried over what the user did
    /// meanwhile.
    pub fn refused(&self, run: &RunId, path: &WsPath) {
        let mut state = self.lock();
        let serial = state.next();
        let open = state.open_at(path).is_some();
        let Some(area) = state.runs.get_mut(run) else { return };
        let Some(entry) = area.entry(path) else { return };
        let Phase::Sent(sent) = std::mem::replace(&mut entry.phase, Phase::Draft) else { return };
        entry.serial = serial;
        area.witness.refused(path);
        let Some(entry) = area.entry(path) else { return };
        if entry.want != Want::Text {
            return;
        }
        let Sent { carried: mut jumped, dropped, .. } = *sent;
        let now = entry.carried.base.clone();
        // Made by the editor, but not filled.
        entry.exists |= open;
        let lost = Dropped::all(jumped.jump(&now), &now);
        // Carried keystroke by keystroke is exact; but where the editor showed the edits for a moment and took them
        // back, they have met themselves on that way.
        let lost = if entry.carried.edits.weight() < jumped.edits.weight() {
            entry.carried = jumped;
            lost
        } else {
            dropped
        };
        let source = entry.source(path).clone();
        area.drop_edits(&source, lost);
    }
}

impl Entry {
    fn operation(&self, version: Option<DocVersion>) -> Option<DeliveryOp> {
        let op = match &self.want {
            Want::Gone => DeliveryOp::Delete,
            Want::Moved(to) => DeliveryOp::Rename { to: to.clone() },
            Want::Text if !self.exists => DeliveryOp::Create { text: self.text() },
            Want::Text => {
                let Carried { base, .. } = &self.carried;
                let expected = self.text();
                let edits = diff::lines(base, &expected);
                if edits.is_empty() {
                    return None;
                }
                DeliveryOp::Edit { version, base: base.clone(), edits, expected }
            }
        };
        Some(op)
    }
}
