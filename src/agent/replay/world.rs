//! The copy of the files in which a run is played again, and the agent in it.

use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::script::{Point, Script};
use super::user::RecordedUser;
use super::{Heard, Playback, Unplayable, Writer};
use crate::agent::budget::ledger::Ledger;
use crate::agent::runs::Runs;
use crate::agent::services::Services;
use crate::config::{ConfigStore, PASSES, ProviderKind, Sources};
use crate::disk::{Disk, DiskLimits};
use crate::host::HostAbilities;
use crate::ids::DocVersion;
use crate::llm::client::Client;
use crate::paths::{Root, Roots, WsPath};
use crate::tokens::counter::{Counter, REMEMBERED};
use crate::tools::cache::ResultStore;
use crate::tools::diagnostics::Diagnostics;
use crate::tools::kept::Lists;
use crate::tools::registry::Registry;
use crate::tools::sandbox::Sandbox;
use crate::tools::scheduler::Scheduler;
use crate::trajectory::record::{FileOp, FileRecord, FoundIn};
use crate::trajectory::recorder::Recorder;
use crate::workspace::Workspace;

/// Folders of a workspace.
const MAX_ROOTS: usize = 64;
/// The model's name here; whoever it was, it is asked nothing.
const MODEL: &str = "replay/recorded";
/// Calls at a time: each may wait for its turn, and none must keep another from having it.
const SLOTS: usize = 200;

/// The copy and the agent.
pub(super) struct World {
    pub(super) runs: Arc<Runs>,
    pub(super) roots: Roots,
    pub(super) disk: Arc<Disk>,
    pub(super) writer: Writer,
}

impl World {
    /// Puts the files of the recording into `folder` as they were.
    pub(super) fn make(
        script: &mut Script,
        folder: &Path,
        writer: Writer,
    ) -> Result<(Self, mpsc::UnboundedReceiver<Heard>), Unplayable> {
        let roots = roots(script, folder)?;
        let disk = Arc::new(Disk::new(DiskLimits::default()));
        let workspace = Workspace::new(disk.clone());
        workspace.set_roots(roots.clone());
        for file in &script.files {
            put(script, &workspace, &place(&roots, &file.path)?, file)?;
        }
        let (tell, heard) = mpsc::unbounded_channel();
        let runs = Runs::new(services(script, workspace, tell));
        Ok((Self { runs, roots, disk, writer }, heard))
    }
}

/// Where a recorded path lies in the copy.
pub(super) fn place(roots: &Roots, path: &str) -> Result<WsPath, Unplayable> {
    let shown: String = path.chars().take(200).collect();
    roots.resolve(path).map_err(|_| Unplayable::Outside(shown))
}

fn roots(script: &Script, folder: &Path) -> Result<Roots, Unplayable> {
    let copy = |error: String| Unplayable::Copy(error);
    if script.roots.len() > MAX_ROOTS {
        return Err(Unplayable::TooLarge);
    }
    let mut roots = Vec::new();
    for (number, root) in script.roots.iter().enumerate() {
        let path = folder.join(number.to_string());
        std::fs::create_dir(&path).map_err(|error| copy(error.to_string()))?;
        let name: String = root.name.chars().take(200).collect();
        roots.push(Root::open(&name, &path).map_err(|error| copy(error.to_string()))?);
    }
    Ok(Roots::new(roots))
}

fn put(script: &Script, workspace: &Workspace, path: &WsPath, file: &FileRecord) -> Result<(), Unplayable> {
    let Some(id) = file.text.as_ref().filter(|_| file.source != FoundIn::New) else { return Ok(()) };
    let text = match script.text(id, &file.path) {
        Ok(text) => text,
        // A large file that was only looked at plays no part.
        Err(_) if !is_changed(script, &file.path) => return Ok(()),
        Err(lost) => return Err(lost),
    };
    let disk = workspace.disk();
    disk.create(path, &text.to_string(), None).map_err(|error| Unplayable::Copy(error.to_string()))?;
    if file.source == FoundIn::Open {
        let _ = workspace.open(&path.uri(), &file.language, file.version.map(DocVersion), text);
    }
    Ok(())
}

/// Whether the recording changes the file.
fn is_changed(script: &Script, path: &str) -> bool {
    script.points.iter().any(|(_, point)| match point {
        Point::Call { staged: Some(staged), .. } | Point::Staged(staged) => {
            staged.path == path || staged.from.as_deref() == Some(path)
        }
        Point::Sent(files) => files.iter().any(|sent| sent.path == path),
        _ => false,
    })
}

fn services(script: &mut Script, workspace: Arc<Workspace>, tell: mpsc::UnboundedSender<Heard>) -> Services {
    let sources = Sources { init_settings: Some(settings(script)), ..Sources::default() };
    let sandbox = Sandbox::new(&sources.env);
    let config = ConfigStore::new(sources);
    let parts = Mutex::new(std::mem::take(&mut script.parts));
    let playback = Arc::new(Playback { parts, gates: Mutex::default(), tell: tell.clone() });
    let host = RecordedUser { abilities: abilities(script), approvals: Mutex::new(script.approvals.clone()), tell };
    Services {
        llm: Client::played(playback.clone()),
        registry: Registry::builtin(),
        scheduler: Scheduler::new(SLOTS),
        results: ResultStore::new(),
        lists: Lists::default(),
        outlines: Arc::default(),
        parses: Arc::default(),
        sandbox,
        diagnostics: Arc::new(Diagnostics::new()),
        host: Arc::new(host),
        counter: Counter::new(REMEMBERED),
        calibration: Arc::default(),
        ledger: Ledger::new(None),
        metrics: workspace.metrics().clone(),
        trusted: true,
        config: Arc::new(config),
        workspace,
        playback: Some(playback),
        recorder: Recorder::off(),
    }
}

/// What of the recorded settings changes which edits come out. The conversation is not sent to anybody, so nothing of it
/// need ever go.
fn settings(script: &Script) -> Value {
    let kind = [ProviderKind::OpenAi, ProviderKind::Ollama, ProviderKind::Anthropic, ProviderKind::Google];
    let kind = kind.into_iter().find(|kind| kind.supported()).unwrap_or(ProviderKind::OpenAi);
    let mode = script.started.settings.pointer("/edits/mode").and_then(Value::as_str).unwrap_or("apply");
    json!({
        "model": MODEL,
        "providers": {"replay": {"kind": kind.name(), "base_url": "http://127.0.0.1:9/v1"}},
        "models": {MODEL: {"context_window": 1_000_000_000, "max_output_tokens": 1_000_000}},
        "agent": {"max_steps": 10_000, "prefetch": false},
        "context": {"start_tokens": 0, "disabled": PASSES},
        "edits": {"mode": mode},
        "llm": {"max_retries": 0},
    })
}

/// What the recorded user's side could do, as far as it shows: whether several files went in one request.
fn abilities(script: &Script) -> HostAbilities {
    let sizes = || {
        script.points.iter().filter_map(|(_, point)| match point {
            Point::Sent(files) if files.iter().all(|sent| sent.op == FileOp::Edited) => Some(files.len()),
            _ => None,
        })
    };
    HostAbilities {
        apply_edit: true,
        transactional: sizes().any(|files| files > 1) || sizes().filter(|files| *files == 1).count() < 2,
        create: true,
        delete: true,
        rename: true,
        confirm: true,
        events: true,
    }
}
