//! What the model editor does with `workspace/applyEdit`: the ways of real clients, which differ.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::Editor;
use super::document::{self, Document};

/// How edits of the server are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applies {
    /// As VS Code: all text edits if every version is the current one, else none; answers, then sends the changes.
    Transactional,
    /// As Neovim: each document for itself, one with another version is skipped; sends the changes, then answers
    /// `applied: true` whatever came of it.
    EachAlone,
    /// Answers `applied: false` and does nothing.
    Refuse,
    /// Answers `applied: true` and does nothing: the user said no in a dialog of Neovim 0.12.
    Claim,
    /// Answers with an error and does nothing, as Eglot.
    Error,
    /// Never answers and does nothing: a dialog stays open.
    Silent,
    /// Keeps the request until [`Editor::release`].
    Late,
}

impl Editor {
    /// Answers one `workspace/applyEdit`.
    pub(super) fn apply_edit(&mut self, id: Value, params: &Value) {
        match self.applies {
            Applies::Transactional => {
                let changed = self.whole(&params["edit"]);
                let answer = match &changed {
                    Some(_) => json!({"applied": true}),
                    None => json!({"applied": false}),
                };
                self.respond(id, answer);
                for change in changed.into_iter().flatten() {
                    self.send(change);
                }
            }
            Applies::EachAlone => {
                for change in self.each_alone(&params["edit"]) {
                    self.send(change);
                }
                self.respond(id, json!({"applied": true}));
            }
            Applies::Refuse => self.respond(id, json!({"applied": false, "failureReason": "refused by the test"})),
            Applies::Claim => self.respond(id, json!({"applied": true})),
            Applies::Error => self.respond_error(id, -32603, "this edit cannot be applied"),
            Applies::Silent => {}
            Applies::Late => self.late.push((id, params.clone())),
        }
    }

    /// Does what was asked while edits were taken late, and answers, as `applies` says now.
    pub fn release(&mut self, applies: Applies) {
        self.applies = applies;
        for (id, params) in std::mem::take(&mut self.late) {
            self.apply_edit(id, &params);
        }
    }

    /// Applies all or nothing; the notifications that tell what was done.
    fn whole(&mut self, edit: &Value) -> Option<Vec<Value>> {
        let changes = changes(edit);
        let stale = |change: &Value| {
            let known = change["textDocument"]["version"].as_i64();
            let open = change["textDocument"]["uri"].as_str().and_then(|uri| self.documents.get(uri));
            known.is_some_and(|version| open.is_none_or(|document| i64::from(document.version) != version))
        };
        if changes.iter().any(stale) {
            return None;
        }
        let mut told = Vec::new();
        for change in &changes {
            if !self.one(change, &mut told) {
                return None;
            }
        }
        Some(told)
    }

    /// Applies each document for itself; the notifications that tell what was done.
    fn each_alone(&mut self, edit: &Value) -> Vec<Value> {
        let mut told = Vec::new();
        for change in changes(edit) {
            let version = change["textDocument"]["version"].as_i64();
            let open = change["textDocument"]["uri"].as_str().and_then(|uri| self.documents.get(uri));
            let stale = version.zip(open).is_some_and(|(version, open)| version < i64::from(open.version));
            if !stale && !self.one(&change, &mut told) {
                break;
            }
        }
        told
    }

    /// Does one change; false if it cannot be done.
    fn one(&mut self, change: &Value, told: &mut Vec<Value>) -> bool {
        let text = |key: &str| change[key].as_str().unwrap_or_else(|| panic!("no {key} in {change}")).to_owned();
        match change["kind"].as_str() {
            Some("create") => {
                let path = path_of(&text("uri"));
                if path.exists() {
                    return false;
                }
                if let Some(folder) = path.parent() {
                    std::fs::create_dir_all(folder).unwrap();
                }
                std::fs::write(path, "").unwrap();
                true
            }
            Some("delete") => {
                let uri = text("uri");
                if self.documents.remove(&uri).is_some() {
                    told.push(close(&uri));
                }
                std::fs::remove_file(path_of(&uri)).is_ok()
            }
            Some("rename") => {
                let (from, to) = (text("oldUri"), text("newUri"));
                if path_of(&to).exists() || std::fs::rename(path_of(&from), path_of(&to)).is_err() {
                    return false;
                }
                if let Some(mut document) = self.documents.remove(&from) {
                    document.version = 1;
                    told.push(close(&from));
                    told.push(open(&to, &document));
                    self.documents.insert(to, document);
                }
                true
            }
            Some(other) => panic!("no such change: {other}"),
            None => {
                self.edit_document(change, told);
                true
            }
        }
    }

    fn edit_document(&mut self, change: &Value, told: &mut Vec<Value>) {
        let uri = change["textDocument"]["uri"].as_str().expect("a document").to_owned();
        let columns = self.columns;
        let document = self.documents.entry(uri.clone()).or_insert_with(|| {
            // A file that is not open is opened first, and stays open, unsaved.
            let text = std::fs::read_to_string(path_of(&uri)).unwrap_or_default();
            let document = Document { text, version: 1, language: "plaintext".into() };
            told.push(open(&uri, &document));
            document
        });
        let mut changes = Vec::new();
        for (span, new) in document::replacements(&document.text, &change["edits"], columns) {
            let start = document::position(&document.text, span.start, columns);
            let end = document::position(&document.text, span.end, columns);
            changes.push(json!({"range": {"start": start, "end": end}, "text": new}));
            document.text.replace_range(span, &new);
        }
        document.version += 1;
        let document = json!({"uri": uri, "version": document.version});
        told.push(json!({"method": "textDocument/didChange", "params": {"textDocument": document, "contentChanges": changes}}));
    }
}

/// The changes of an edit, in the newer form.
fn changes(edit: &Value) -> Vec<Value> {
    if let Some(changes) = edit["documentChanges"].as_array() {
        return changes.clone();
    }
    let changes = edit["changes"].as_object().unwrap_or_else(|| panic!("an edit without changes: {edit}"));
    changes.iter().map(|(uri, edits)| json!({"textDocument": {"uri": uri, "version": null}, "edits": edits})).collect()
}

/// `textDocument/didOpen`.
pub(super) fn open(uri: &str, document: &Document) -> Value {
    let document = json!({
        "uri": uri, "languageId": document.language, "version": document.version, "text": document.text,
    });
    json!({"method": "textDocument/didOpen", "params": {"textDocument": document}})
}

/// `textDocument/didClose`.
pub(super) fn close(uri: &str) -> Value {
    json!({"method": "textDocument/didClose", "params": {"textDocument": {"uri": uri}}})
}

/// The file of a URI, as simply as the tests' own URIs allow.
pub fn path_of(uri: &str) -> PathBuf {
    PathBuf::from(uri.strip_prefix("file://").unwrap_or_else(|| panic!("no file: {uri}")))
}
