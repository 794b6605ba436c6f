//! What is wrong with the configuration, where the user looks: diagnostics on the files, one message for the rest.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};

use super::session::Session;
use crate::config::{Problem, Severity};
use crate::paths::file_uri;

/// Publishes the problems of the configuration in force now; files that are fine again are cleared.
pub fn publish(session: &Arc<Session>) {
    let Some(agent) = session.agent() else { return };
    let loaded = agent.config.loaded();
    let mut files: BTreeMap<PathBuf, Vec<Value>> = BTreeMap::new();
    let sources = agent.config.sources();
    for path in sources.user_file().into_iter().chain(sources.project_files) {
        files.insert(path, Vec::new());
    }
    let mut elsewhere = Vec::new();
    for problem in loaded.problems.iter() {
        match &problem.origin.file {
            Some(path) => files.entry(path.to_path_buf()).or_default().push(diagnostic(problem)),
            None => elsewhere.push(problem.to_string()),
        }
    }
    let mut wrong = Vec::new();
    for (path, diagnostics) in files {
        let shown_before = agent.shows_problems(&path, !diagnostics.is_empty());
        if !diagnostics.is_empty() {
            wrong.push(path.display().to_string());
        } else if !shown_before {
            continue;
        }
        session
            .outbound
            .notify("textDocument/publishDiagnostics", json!({ "uri": file_uri(&path), "diagnostics": diagnostics }));
    }
    let first = match (wrong.as_slice(), elsewhere.as_slice()) {
        ([], []) => return,
        ([], [first, ..]) => first.clone(),
        ([path, ..], _) => format!("{path} has problems; what was in force before stays. See its diagnostics."),
    };
    super::agent::warn(session, format!("Ropeway configuration: {first}"));
}

fn diagnostic(problem: &Problem) -> Value {
    let line = problem.origin.line.saturating_sub(1);
    let character = problem.origin.column.saturating_sub(1);
    let severity = match problem.severity {
        Severity::Error => 1,
        Severity::Warning => 2,
    };
    json!({
        "range": {"start": {"line": line, "character": character}, "end": {"line": line, "character": character + 1}},
        "severity": severity,
        "source": "ropeway",
        "message": problem.message,
    })
}
