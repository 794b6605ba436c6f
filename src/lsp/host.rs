//! The agent's port to the editor: its wishes become messages of the protocol, as far as the client knows them.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::capabilities::Capabilities;
use super::convert;
use super::outbound::{Outbound, RequestError};
use super::progress::Progress;
use super::session::Session;
use crate::host::{ApplyReply, EventKind, Finding, Host, HostAbilities, Notice, Proposal, Question, RunEvent};
use crate::ids::RunId;

/// How long a request to the editor may stay unanswered.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest answer that is written to a file, in bytes.
const MAX_ANSWER: usize = 1024 * 1024;
/// Longest message shown in a window, in characters.
const MAX_MESSAGE: usize = 4000;

/// The editor as the agent sees it.
pub struct EditorHost {
    session: Weak<Session>,
    outbound: Outbound,
    client: Arc<Capabilities>,
    progress: Progress,
    answers: Option<PathBuf>,
}

impl EditorHost {
    /// The port to the client of `session`, which outlives it.
    pub(super) fn new(session: &Arc<Session>, client: Arc<Capabilities>) -> Self {
        Self {
            outbound: session.outbound.clone(),
            progress: Progress::new(session.outbound.clone(), session.runtime.clone(), client.progress),
            answers: session.options.state_dir.as_ref().map(|dir| dir.join("answers")),
            session: Arc::downgrade(session),
            client,
        }
    }

    fn show_message(&self, level: Notice, message: &str) {
        let message: String = message.chars().take(MAX_MESSAGE).collect();
        self.outbound.notify("window/showMessage", json!({"type": number(level), "message": message}));
    }

    /// Shows a page of ours where pages are read, or says where it is.
    pub(super) fn show_page(&self, path: &Path) {
        let (session, path, can) = (self.session.clone(), path.to_owned(), self.client.show_document);
        let Some(runtime) = session.upgrade().map(|session| session.runtime.clone()) else { return };
        runtime.spawn(async move {
            let Some(session) = session.upgrade() else { return };
            if can && show_document(&session.outbound, &path, true).await {
                return;
            }
            if let Some(client) = session.client() {
                client.host.show_message(Notice::Info, &format!("The report of the run is {}", path.display()));
            }
        });
    }
}

impl Host for EditorHost {
    fn abilities(&self) -> HostAbilities {
        self.client.abilities()
    }

    fn apply(&self, proposal: Proposal) -> BoxFuture<'_, ApplyReply> {
        if !self.client.apply_edit {
            return std::future::ready(ApplyReply::Refused("this editor applies no edits".into())).boxed();
        }
        let waits = proposal.confirm && self.client.abilities().confirm;
        let answer = self.outbound.request("workspace/applyEdit", convert::apply_edit_params(&proposal, &self.client));
        async move {
            if waits {
                return reply(answer.await);
            }
            tokio::time::timeout(PATIENCE, answer).await.map_or(ApplyReply::Silent, reply)
        }
        .boxed()
    }

    fn ask(&self, question: Question) -> BoxFuture<'_, Option<usize>> {
        let actions: Vec<_> = question.choices.iter().map(|title| json!({"title": title})).collect();
        let params = json!({"type": number(Notice::Warning), "message": question.message, "actions": actions});
        let answer = self.outbound.request("window/showMessageRequest", params);
        async move {
            let answer = answer.await.ok()?;
            let title = answer.get("title").unwrap_or(&answer).as_str()?;
            question.choices.iter().position(|choice| *choice == title)
        }
        .boxed()
    }

    fn notify(&self, level: Notice, message: String) {
        self.show_message(level, &message);
    }

    fn show_answer(&self, run: &RunId, title: &str, markdown: &str) {
        let Some(session) = self.session.upgrade() else { return };
        let text = format!("# {title}\n\n{markdown}\n");
        let dir = self.answers.clone().filter(|_| self.client.show_document);
        let name = format!("{run}.md");
        session.runtime.clone().spawn(async move {
            let shown = match dir {
                None => false,
                Some(dir) => {
                    let written = text.clone();
                    let path = tokio::task::spawn_blocking(move || write_answer(&dir, &name, &written)).await;
                    match path {
                        Ok(Ok(path)) => show_document(&session.outbound, &path, false).await,
                        Ok(Err(error)) => {
                            tracing::warn!(%error, "the answer cannot be written to the state directory");
                            false
                        }
                        Err(_panic) => false,
                    }
                }
            };
            if !shown && let Some(client) = session.client() {
                client.host.show_message(Notice::Info, &text);
            }
        });
    }

    fn progress_begin(&self, run: &RunId, title: &str) {
        self.progress.begin(run, title);
    }

    fn progress_report(&self, run: &RunId, message: &str) {
        self.progress.report(run, message);
    }

    fn progress_end(&self, run: &RunId, message: &str) {
        self.progress.end(run, message);
    }

    fn event(&self, event: RunEvent) {
        if !self.client.events {
            return;
        }
        match event.kind {
            EventKind::Text { .. } => self.outbound.notify_lossy(None, "ropeway/event", event),
            _ => self.outbound.notify("ropeway/event", event),
        }
    }

    fn status_changed(&self) {
        if let Some(session) = self.session.upgrade()
            && let Some(tell) = session.callbacks.status_changed.get()
        {
            tell();
        }
    }

    fn publish(&self, reviewed: Option<PathBuf>, findings: Vec<Finding>) {
        let mut files: BTreeMap<PathBuf, Vec<Value>> = reviewed.into_iter().map(|path| (path, Vec::new())).collect();
        for finding in findings {
            let range = json!({
                "start": {"line": finding.line, "character": 0},
                "end": {"line": finding.end_line.max(finding.line).saturating_add(1), "character": 0},
            });
            files.entry(finding.path).or_default().push(json!({
                "range": range,
                "severity": number(finding.severity),
                "source": "ropeway",
                "message": finding.message,
            }));
        }
        for (path, diagnostics) in files {
            let uri = crate::paths::file_uri(&path);
            self.outbound.notify("textDocument/publishDiagnostics", json!({"uri": uri, "diagnostics": diagnostics}));
        }
    }
}

/// The protocol's number of a level; `MessageType` and `DiagnosticSeverity` agree on these three.
fn number(level: Notice) -> u8 {
    match level {
        Notice::Error => 1,
        Notice::Warning => 2,
        Notice::Info => 3,
    }
}

/// What an answer to `workspace/applyEdit` says.
fn reply(answer: Result<Value, RequestError>) -> ApplyReply {
    match answer {
        Ok(answer) if answer.get("applied").and_then(Value::as_bool) == Some(true) => ApplyReply::Applied,
        Ok(answer) => {
            let reason = answer.get("failureReason").and_then(Value::as_str).unwrap_or("the editor gave no reason");
            ApplyReply::Refused(reason.chars().take(MAX_MESSAGE).collect())
        }
        Err(RequestError::Closed) => ApplyReply::Silent,
        Err(error) => ApplyReply::Refused(error.to_string()),
    }
}

/// `external`: by whatever the system shows such a file with.
async fn show_document(outbound: &Outbound, path: &Path, external: bool) -> bool {
    let params = json!({"uri": crate::paths::file_uri(path), "external": external, "takeFocus": true});
    match tokio::time::timeout(PATIENCE, outbound.request("window/showDocument", params)).await {
        Ok(Ok(answer)) => answer.get("success").and_then(Value::as_bool) == Some(true),
        Ok(Err(_)) | Err(_) => false,
    }
}

/// Writes an answer where only the user can read it, and says where that is.
fn write_answer(dir: &Path, name: &str, text: &str) -> std::io::Result<PathBuf> {
    let mut builder = std::fs::DirBuilder::new();
    let mut options = std::fs::OpenOptions::new();
    builder.recursive(true);
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
        builder.mode(0o700);
        options.mode(0o600);
    }
    builder.create(dir)?;
    let path = dir.join(name);
    let end = (0..=MAX_ANSWER.min(text.len())).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
    options.open(&path)?.write_all(&text.as_bytes()[..end])?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_to_an_edit_is_one_of_three() {
        assert_eq!(reply(Ok(json!({"applied": true}))), ApplyReply::Applied);
        assert_eq!(reply(Ok(json!({"applied": false, "failureReason": "stale"}))), ApplyReply::Refused("stale".into()));
        for strange in [json!(null), json!([]), json!({"applied": "true"}), json!(true)] {
            assert_eq!(reply(Ok(strange)), ApplyReply::Refused("the editor gave no reason".into()));
        }
        assert_eq!(reply(Err(RequestError::Closed)), ApplyReply::Silent);
        let error = RequestError::Refused { code: -32603, message: "version".into() };
        assert_eq!(reply(Err(error)), ApplyReply::Refused("the editor answered with error -32603: version".into()));
    }
}
