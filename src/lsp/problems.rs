//! What is wrong with the configuration, where the user looks: diagnostics on the files (of an open one as it is typed),
//! one message for the rest, and code actions that mend what is only misspelt.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use super::agent::Agent;
use super::session::{Session, Touch};
use crate::config::{Problem, Severity};
use crate::paths::{file_path, file_uri};
use crate::text::{Encoding, Range};
use crate::workspace::Document;

/// Warnings that go to the log at a time.
const MAX_LOGGED: usize = 20;
/// Longest document that is checked while the editor waits for its menu, in bytes.
const MAX_MENDED: usize = 256 * 1024;
/// Documents whose names were compared with the configuration's files.
const MAX_KNOWN: usize = 1000;

/// What is shown now. Whoever changes something asks for a new look; one task at a time looks and shows.
#[derive(Default)]
pub struct Board {
    at_work: AtomicBool,
    again: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Diagnostics, by URI.
    shown: BTreeMap<String, Vec<Value>>,
    /// The last message.
    said: Option<String>,
    /// Warnings that the log has.
    logged: HashSet<String>,
    /// Open documents by URI, with the file of the configuration that they are, as the sources name it.
    known: HashMap<String, Option<PathBuf>>,
    /// The same as it was before those files changed, until there was a new look.
    before: HashMap<String, Option<PathBuf>>,
}

impl Board {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets the next task in, also where this one panics.
struct AtWork<'a>(&'a AtomicBool);

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

/// Has the problems shown as they are now; what is fine again is cleared. Returns at once.
pub fn publish(session: &Arc<Session>) {
    let Some(agent) = session.agent() else { return };
    agent.board.again.store(true, Ordering::SeqCst);
    if agent.board.at_work.swap(true, Ordering::SeqCst) {
        return;
    }
    let (here, agent) = (session.clone(), agent.clone());
    session.runtime.spawn_blocking(move || {
        loop {
            {
                let _at_work = AtWork(&agent.board.at_work);
                agent.board.again.store(false, Ordering::SeqCst);
                show(&here, &agent);
            }
            let more = agent.board.again.load(Ordering::SeqCst);
            if !more || agent.board.at_work.swap(true, Ordering::SeqCst) {
                return;
            }
        }
    });
}

/// A document was opened, changed, saved or closed. On the reader's thread: what is not about the configuration costs
/// a look at the end of its name.
pub(super) fn touched(session: &Arc<Session>, agent: &Arc<Agent>, uri: &str, touch: Touch) {
    if !may_be_ours(agent, uri) {
        return;
    }
    match touch {
        // Other documents' keystrokes are not looked at; a document that nobody has looked at yet will be.
        Touch::Changed if agent.board.state().known.get(uri).is_some_and(Option::is_none) => return,
        // Here and now, so that the very next request sees it.
        Touch::Saved => _ = agent.refresh(session),
        Touch::Closed => {
            let mut state = agent.board.state();
            state.known.remove(uri);
            state.before.remove(uri);
        }
        _ => {}
    }
    publish(session);
}

fn may_be_ours(agent: &Agent, uri: &str) -> bool {
    uri.ends_with(".toml") || agent.user_file_name.as_deref().is_some_and(|name| uri.ends_with(name))
}

/// The file of the configuration that a document is.
fn file_of(agent: &Agent, uri: &str, files: &[PathBuf]) -> Option<PathBuf> {
    if let Some(known) = agent.board.state().known.get(uri) {
        return known.clone().filter(|file| files.contains(file));
    }
    let path = file_path(uri)?;
    let real = |path: &Path| std::fs::canonicalize(path).ok();
    // A link and what it leads to are one file, whichever the user has opened.
    let same = |file: &&PathBuf| **file == path || real(file).is_some_and(|file| Some(file) == real(&path));
    let found = files.iter().find(same).cloned();
    let mut state = agent.board.state();
    if state.known.len() >= MAX_KNOWN {
        state.known.clear();
    }
    state.known.insert(uri.to_owned(), found.clone());
    found
}

/// Forgets which documents are files of the configuration, because those have changed.
pub(super) fn forget_files(agent: &Agent) {
    let mut state = agent.board.state();
    let known = std::mem::take(&mut state.known);
    state.before.extend(known);
}

fn show(session: &Arc<Session>, agent: &Arc<Agent>) {
    let Some(client) = session.client() else { return };
    let encoding = client.capabilities.encoding;
    let files: Vec<PathBuf> = agent.config.sources().files().collect();
    let loaded = agent.config.loaded();
    let documents = session.workspace.documents();
    let ours = documents.values().filter(|document| document.synced && may_be_ours(agent, &document.uri));
    let drafts: HashMap<PathBuf, &Arc<Document>> =
        ours.filter_map(|document| Some((file_of(agent, &document.uri, &files)?, document))).collect();
    let mut state = agent.board.state();
    let State { known, before, .. } = &mut *state;
    before.retain(|uri, _| !known.contains_key(uri));
    drop(state);

    let mut wanted: BTreeMap<String, (Option<i32>, Vec<Value>)> = BTreeMap::new();
    let mut put = |file: &Path, problem: &Problem| {
        if !drafts.contains_key(file) {
            wanted.entry(file_uri(file)).or_default().1.push(diagnostic(problem, encoding));
        }
    };
    let mut warnings = Vec::new();
    for problem in loaded.problems.iter() {
        if problem.severity == Severity::Warning {
            warnings.push(problem.to_string());
        }
        if let Some(file) = &problem.origin.file {
            put(file, problem);
        }
    }
    for (file, document) in &drafts {
        let problems = agent.config.check_text(file, &document.text.to_string()).unwrap_or_default();
        let diagnostics = problems.iter().map(|problem| diagnostic(problem, encoding)).collect();
        wanted.insert(document.uri.to_string(), (document.version.map(|version| version.0), diagnostics));
    }
    let said = summary(&loaded.problems);
    tell(session, agent, wanted, said, warnings);
}

/// The one message about all that is wrong: of the worst, where it is.
fn summary(problems: &[Problem]) -> Option<String> {
    let worst = problems.iter().rev().max_by_key(|problem| (problem.severity, problem.origin.file.is_some()))?;
    Some(match (&worst.origin.file, worst.severity) {
        (None, _) => worst.to_string(),
        (Some(file), Severity::Error) => {
            format!("{} has problems, see its diagnostics; what was in force before stays.", file.display())
        }
        (Some(file), Severity::Warning) => {
            format!("not all that {} says is used, see its diagnostics.", file.display())
        }
    })
}

/// Sends what is new of all that.
fn tell(
    session: &Arc<Session>,
    agent: &Agent,
    mut wanted: BTreeMap<String, (Option<i32>, Vec<Value>)>,
    said: Option<String>,
    warnings: Vec<String>,
) {
    let mut state = agent.board.state();
    for uri in state.shown.keys() {
        wanted.entry(uri.clone()).or_default();
    }
    let mut messages = Vec::new();
    for (uri, (version, diagnostics)) in wanted {
        if state.shown.get(&uri).map_or(&[][..], Vec::as_slice) == diagnostics {
            continue;
        }
        let mut params = json!({ "uri": uri, "diagnostics": diagnostics });
        if let Some(version) = version {
            params["version"] = json!(version);
        }
        if diagnostics.is_empty() {
            state.shown.remove(&uri);
        } else {
            state.shown.insert(uri, diagnostics);
        }
        messages.push(params);
    }
    let new = said.clone().filter(|said| state.said.as_ref() != Some(said));
    state.said = said;
    let logged: Vec<&String> = warnings.iter().filter(|warning| !state.logged.contains(*warning)).collect();
    let cut = logged.len().saturating_sub(MAX_LOGGED);
    let mut log: Vec<String> = logged.into_iter().take(MAX_LOGGED).cloned().collect();
    if cut > 0 {
        log.push(format!("and {cut} more warnings"));
    }
    state.logged = warnings.into_iter().collect();
    drop(state);
    for params in messages {
        session.outbound.notify("textDocument/publishDiagnostics", params);
    }
    for line in log {
        let message = json!({ "type": 2, "message": format!("Ropeway configuration: {line}") });
        session.outbound.notify_lossy(None, "window/logMessage", message);
    }
    if let Some(said) = new {
        super::agent::warn(session, format!("Ropeway: {said}"));
    }
}

fn diagnostic(problem: &Problem, encoding: Encoding) -> Value {
    let severity = match problem.severity {
        Severity::Error => 1,
        Severity::Warning => 2,
    };
    json!({
        "range": problem.range(encoding),
        "severity": severity,
        "source": "ropeway",
        "message": problem.message,
    })
}

/// The code actions that mend misspelt words of the configuration between two places of a document.
pub(super) fn mends(session: &Session, agent: &Agent, document: &Document, range: Range) -> Vec<Value> {
    let Some(client) = session.client().filter(|client| client.capabilities.action_literals) else { return Vec::new() };
    if !document.synced || document.text.len() > MAX_MENDED || !may_be_ours(agent, &document.uri) {
        return Vec::new();
    }
    let file = {
        let state = agent.board.state();
        // A menu is answered from memory, so not by a new look.
        let known = state.known.get(&*document.uri).or_else(|| state.before.get(&*document.uri));
        known.cloned().flatten()
    };
    let Some(file) = file else { return Vec::new() };
    let encoding = client.capabilities.encoding;
    let problems = agent.config.check_text(&file, &document.text.to_string()).unwrap_or_default();
    let mend = |problem: &Problem| {
        let replacement = problem.replacement.as_deref()?;
        let place = problem.range(encoding);
        // Anywhere on the line, as editors ask where the cursor stands, which need not be on the word.
        if place.end.line < range.start.line || range.end.line < place.start.line {
            return None;
        }
        let edits = json!([{ "range": place, "newText": replacement }]);
        let edit = if client.capabilities.document_changes {
            let document = json!({ "uri": &*document.uri, "version": document.version.map(|version| version.0) });
            json!({ "documentChanges": [{ "textDocument": document, "edits": edits }] })
        } else {
            json!({ "changes": { &*document.uri: edits } })
        };
        let mut action = json!({
            "title": format!("Change to `{}`", replacement.trim_matches('"')),
            "kind": "quickfix",
            "diagnostics": [diagnostic(problem, encoding)],
            "edit": edit,
        });
        if client.capabilities.action_preferred {
            action["isPreferred"] = json!(true);
        }
        Some(action)
    };
    problems.iter().filter_map(mend).collect()
}
