//! The folders of the workspace: where the client says they are, at the start and as they change.

use serde_json::Value;

use super::super::capabilities::{Folder, folders};
use super::super::session::Session;
use crate::paths::{Root, Roots, file_path};

/// Makes the folders the roots of the workspace, in their order. A folder that is not a directory on this machine, or
/// cannot be opened, is left out with a word in the log.
pub fn set(session: &Session, folders: &[Folder]) {
    let mut roots = Vec::new();
    for folder in folders {
        let Some(path) = file_path(&folder.uri) else {
            tracing::warn!("a workspace folder that is not on this machine's disk is left out");
            continue;
        };
        match Root::open(&folder.name, &path) {
            Ok(root) => roots.push(root),
            Err(error) => tracing::warn!(%error, "a workspace folder cannot be used"),
        }
    }
    session.workspace.set_roots(Roots::new(roots));
}

/// `workspace/didChangeWorkspaceFolders`.
pub fn changed(session: &Session, params: &Value) {
    let removed = folders(params.pointer("/event/removed"));
    let added = folders(params.pointer("/event/added"));
    let roots = session.workspace.roots();
    let gone: Vec<_> = removed.iter().filter_map(|folder| file_path(&folder.uri)).collect();
    let mut kept: Vec<_> = roots.iter().filter(|root| !gone.iter().any(|path| path == root.path())).cloned().collect();
    for folder in &added {
        let Some(path) = file_path(&folder.uri) else { continue };
        match Root::open(&folder.name, &path) {
            Ok(root) if kept.iter().any(|other| other.path() == root.path()) => {}
            Ok(root) => kept.push(root),
            Err(error) => tracing::warn!(%error, "a workspace folder cannot be used"),
        }
    }
    session.workspace.set_roots(Roots::new(kept));
    if let Some(tell) = session.callbacks.roots_changed.get() {
        tell();
    }
}
