//! The commands of one run: one after the other, in layers that are kept until the run ends, so that a build that was
//! made once is not made again.

use std::mem;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use super::collect::Taken;
use super::layers::{Layers, Prepared};
use super::live::Live;
use super::process::{self, Ended, Launch, Status};
use super::scratch::Scratch;
use super::spec::Spec;
use super::{Sandbox, direct, environment};
use crate::paths::WsPath;
use crate::tools::output::{Output, OutputLimits, Report};
use crate::tools::tool::{Cancel, ToolContext, ToolError, ToolResult};

/// Room for our own words beside what a command prints, in bytes.
const WORDS: usize = 8 << 10;

/// The commands of one run.
#[derive(Debug)]
pub struct Commands {
    sandbox: Arc<Sandbox>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Whether the layers are to be overlays.
    overlay: bool,
    layers: Option<Layers>,
}

/// A command that is wanted.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// What runs: a program and its arguments, or a line for a shell.
    pub line: String,
    /// The folder.
    pub cwd: WsPath,
    /// How long it may take.
    pub limit: Duration,
}

impl Commands {
    /// For a run that begins. With `overlay` the layers cost nothing where the machine can do that; without, the
    /// workspace is copied, to the same effect.
    pub fn new(sandbox: Arc<Sandbox>, overlay: bool) -> Arc<Self> {
        Arc::new(Self { sandbox, state: Mutex::new(State { overlay, layers: None }) })
    }

    /// Where they run.
    pub fn sandbox(&self) -> &Arc<Sandbox> {
        &self.sandbox
    }

    /// Runs a command to its end, and stages what it wrote. `tell` hears what it prints.
    pub async fn run(
        &self,
        context: &ToolContext,
        wanted: &Wanted,
        cancel: &Cancel,
        tell: &(dyn Fn(&str) + Sync),
    ) -> ToolResult {
        let argv = environment::shell(&wanted.line).map_err(ToolError::ForModel)?;
        let mut state = self.state.lock().await;
        loop {
            let (launch, layers, prepared) = self.prepare(&mut state, context, wanted, argv.clone()).await?;
            let mut live = Live::new(tell);
            let ended = process::run(launch, wanted.limit, cancel, &mut live).await;
            live.finish();
            match &ended.status {
                Status::Failed { step, error } => {
                    // Nobody knows what the layers hold now; the next command gets new ones.
                    discard(Some(layers));
                    if step == "overlay" && mem::take(&mut state.overlay) {
                        tracing::debug!(error, "no overlay over this workspace; it is copied for commands");
                        continue;
                    }
                    return Err(ToolError::ForModel(format!("the command could not be started: {step}: {error}")));
                }
                Status::Cancelled => {
                    discard(Some(layers));
                    return Err(ToolError::for_model("cancelled"));
                }
                Status::Exit(_) | Status::Signal(_) | Status::TimedOut => {}
            }
            let here = context.clone();
            let (layers, taken, notes) = blocking(move || {
                let mut layers = layers;
                let taken = layers.collect(&here, &prepared);
                (layers, taken, prepared.notes)
            })
            .await?;
            state.layers = Some(layers);
            return Ok(report(ended, wanted.limit, &taken, notes, context.limits.output));
        }
    }

    /// Takes the layers out and brings them up to date; what is not put back is made anew.
    async fn prepare(
        &self,
        state: &mut State,
        context: &ToolContext,
        wanted: &Wanted,
        argv: Vec<String>,
    ) -> Result<(Launch, Layers, Prepared), ToolError> {
        let (sandbox, overlay, kept) = (self.sandbox.clone(), state.overlay, state.layers.take());
        let (context, wanted) = (context.clone(), wanted.clone());
        let prepared = blocking(move || prepare(&sandbox, overlay, kept, &context, &wanted, argv)).await?;
        prepared.map_err(ToolError::ForModel)
    }
}

impl Drop for Commands {
    fn drop(&mut self) {
        discard(self.state.get_mut().layers.take());
    }
}

/// Removes layers, which may hold many files, off the threads that must not wait.
fn discard(layers: Option<Layers>) {
    let Some(layers) = layers else { return };
    match Handle::try_current() {
        Ok(runtime) => drop(runtime.spawn_blocking(move || drop(layers))),
        Err(_) => drop(layers),
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, ToolError> {
    spawn_blocking(work).await.map_err(|error| ToolError::ForModel(format!("the command could not be run: {error}")))
}

fn prepare(
    sandbox: &Sandbox,
    overlay: bool,
    kept: Option<Layers>,
    context: &ToolContext,
    wanted: &Wanted,
    argv: Vec<String>,
) -> Result<(Launch, Layers, Prepared), String> {
    let found = sandbox.found();
    let roots: Vec<_> = context.workspace.roots().iter().cloned().collect();
    let caches = environment::caches(&sandbox.env);
    let mut layers = match kept.filter(|layers| layers.fit(&roots)) {
        Some(layers) => layers,
        None => {
            let real = roots.iter().filter_map(|root| root.path().canonicalize().ok());
            // An overlay must not lie in what it covers.
            let avoid: Vec<PathBuf> = real.chain(caches.iter().cloned()).collect();
            let scratch = Scratch::make(&found.places, &avoid)
                .map_err(|error| format!("there is no folder for what commands write: {error}"))?;
            Layers::make(scratch, &roots, &caches, overlay && found.support.overlay)?
        }
    };
    let mut prepared = layers.prepare(context, found.view)?;
    let place = layers.place(&wanted.cwd, found.view);
    let temporary = if found.view { Path::new("/tmp") } else { &prepared.tmp };
    let offline = found.support.level > super::Level::None;
    let own = sandbox.env.state_dir().into_iter().chain(sandbox.env.user_file()).collect::<Vec<_>>();
    let mut masked = environment::masked(&sandbox.env, &own);
    masked.extend(layers.hidden(&context.denied, &mut prepared.notes));
    let launch = Launch {
        helper: helper(sandbox, &prepared, &masked),
        variables: environment::variables(&sandbox.env, temporary, offline),
        bodies: mem::take(&mut prepared.bodies),
        spec: Spec {
            argv,
            direct: direct::of(&wanted.line, &sandbox.programs, &context.workspace.roots()),
            cwd: place,
            layers: prepared.layers.clone(),
            tmp: prepared.tmp.clone(),
            masked,
            changes: mem::take(&mut prepared.changes),
        },
    };
    Ok((launch, layers, prepared))
}

#[cfg(target_os = "linux")]
fn helper(sandbox: &Sandbox, _prepared: &Prepared, _masked: &[PathBuf]) -> (PathBuf, Vec<String>) {
    (sandbox.helper.clone(), vec![super::helper::NAME.to_owned(), sandbox.found().mode.to_owned()])
}

#[cfg(target_os = "macos")]
fn helper(sandbox: &Sandbox, prepared: &Prepared, masked: &[PathBuf]) -> (PathBuf, Vec<String>) {
    if sandbox.found().mode != "seatbelt" {
        return Default::default();
    }
    let trees = prepared.layers.iter().filter_map(|layer| match &layer.kind {
        super::spec::LayerKind::Copy { tree } => Some(tree.clone()),
        super::spec::LayerKind::Overlay { .. } => None,
    });
    let writable: Vec<PathBuf> = trees.chain([prepared.tmp.clone()]).collect();
    (sandbox.helper.clone(), super::seatbelt::words(&writable, masked))
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn helper(_sandbox: &Sandbox, _prepared: &Prepared, _masked: &[PathBuf]) -> (PathBuf, Vec<String>) {
    Default::default()
}

/// What the model reads.
fn report(ended: Ended, limit: Duration, taken: &Taken, notes: Vec<String>, limits: OutputLimits) -> Output {
    let Ended { status, output, took, .. } = ended;
    let printed = output.finish(limits);
    // It has been fitted already; only our own words come on top.
    let mut report = Report::new(OutputLimits { bytes: limits.bytes + WORDS, line_chars: limits.line_chars + 100 });
    for line in printed.text.lines() {
        report.line(line);
    }
    let took = took.as_secs_f64();
    let end = match status {
        Status::Exit(code) => format!("[exit code {code} after {took:.1} s]"),
        Status::Signal(signal) => format!("[ended by signal {signal} after {took:.1} s]"),
        _ => format!(
            "[stopped after {:.1} s, its limit, with all its processes; give it more by `timeout_ms`, or ask for less]",
            limit.as_secs_f64()
        ),
    };
    match printed.cut {
        true => report.cut(format_args!("{end}")),
        false => report.note(format_args!("{end}")),
    }
    for note in taken.notes().into_iter().chain(notes) {
        let plain: String = note.chars().map(|ch| if ch.is_control() { '?' } else { ch }).collect();
        report.note(format_args!("{plain}"));
    }
    report.finish()
}
