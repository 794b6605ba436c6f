//! What is known of a conversation's work without asking a model: which files it is about, in which version they were
//! seen, and which errors are open in them. It stands beside a summary, or in its place.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::history::History;
use super::services::Services;
use crate::ids::RunId;
use crate::paths::WsPath;
use crate::text::diff;
use crate::tools::diagnostics::{Diagnostic, Severity};
use crate::workspace::{StagedFile, StagedKind};

/// Files named of each kind.
const FILES: usize = 40;
/// Open errors named.
const ERRORS: usize = 20;
/// Characters of an error.
const ERROR_CHARS: usize = 200;

/// The facts, for the model; empty if there are none. `run`: whose staged edits count.
pub(super) fn known(services: &Services, run: Option<&RunId>, history: &History) -> String {
    let staged = run.map(|run| services.workspace.staged(run)).unwrap_or_default();
    let seen = history.seen_so_far().versions(&services.workspace);
    let mut facts = String::new();
    let changed: BTreeSet<&WsPath> = staged.iter().map(|file| &file.path).collect();
    let version = |path: &WsPath| seen.iter().find(|(known, _)| known == path).map(|(_, version)| version.as_str());
    let lines = staged.iter().map(|file| {
        let version = version(&file.path).map(|version| format!(" (of {version})")).unwrap_or_default();
        format!("- `{}`: {}{version}", file.path, what(file))
    });
    list("Files changed in this run; reading shows them as changed:", lines.collect(), &mut facts);
    let others = seen.iter().filter(|(path, _)| !changed.contains(path));
    let lines = others.map(|(path, version)| format!("- `{path}`: {version}"));
    list("Files you have seen, in the version that you saw last:", lines.collect(), &mut facts);

    let places = staged.iter().map(|file| (&file.path, file.uri.to_string()));
    let places =
        places.chain(seen.iter().filter(|(path, _)| !changed.contains(path)).map(|(path, _)| (path, path.uri())));
    let errors: Vec<String> = places
        .flat_map(|(path, uri)| {
            let found = services.diagnostics.of(&uri);
            let errors = found.iter().filter(|item| item.severity == Severity::Error);
            let line = |item: &Diagnostic| {
                let said: String = item.message.lines().next().unwrap_or_default().chars().take(ERROR_CHARS).collect();
                format!("- `{path}`:{}: {said}", item.range.start.line + 1)
            };
            errors.map(line).collect::<Vec<_>>()
        })
        .take(ERRORS)
        .collect();
    list("Errors the editor last reported in them:", errors, &mut facts);
    facts.truncate(facts.trim_end().len());
    facts
}

fn what(file: &StagedFile) -> String {
    match &file.kind {
        StagedKind::Edited => match diff::lines(&file.before, &file.after).edits().len() {
            1 => "changed in one place".into(),
            places => format!("changed in {places} places"),
        },
        StagedKind::Created => "new".into(),
        StagedKind::Deleted => "deleted".into(),
        StagedKind::Renamed { from } => format!("renamed from `{from}`"),
    }
}

fn list(title: &str, lines: Vec<String>, facts: &mut String) {
    if lines.is_empty() {
        return;
    }
    // Writing to a string cannot fail.
    let _ = writeln!(facts, "{title}");
    for line in lines.iter().take(FILES) {
        let _ = writeln!(facts, "{line}");
    }
    if lines.len() > FILES {
        let _ = writeln!(facts, "- and {} more", lines.len() - FILES);
    }
}
