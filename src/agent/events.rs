//! What a run tells the user's side while it works: events for those who asked, a line of progress for everyone.

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::record::Log;
use crate::host::{EventKind, Host, RunEvent};
use crate::ids::{CallId, RunId};

/// What a run is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RunPhase {
    /// The model speaks, or is waited for.
    Thinking,
    /// Tools run.
    Acting,
    /// The user is waited for.
    Waiting,
    /// Edits go to the editor.
    Applying,
}

impl RunPhase {
    /// The contract's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Thinking => "thinking",
            Self::Acting => "acting",
            Self::Waiting => "waiting",
            Self::Applying => "applying",
        }
    }
}

/// How a run stands, for the status.
#[derive(Clone, Debug)]
pub struct Pulse {
    /// Number of the model call.
    pub step: u32,
    /// What it is at.
    pub phase: RunPhase,
    /// `PROVIDER/MODEL` that this call asks in place of the chosen one.
    pub instead: Option<Arc<str>>,
}

/// The voice of one run.
pub struct Events {
    run: RunId,
    host: Arc<dyn Host>,
    seq: AtomicU64,
    started: Instant,
    step: AtomicU32,
    phase: AtomicU8,
    instead: Mutex<Option<Arc<str>>>,
    log: Log,
}

impl Events {
    /// For a run that begins now.
    pub fn new(run: RunId, host: Arc<dyn Host>) -> Self {
        Self::recorded(run, host, Log::default())
    }

    /// For a run that begins now and is recorded.
    pub fn recorded(run: RunId, host: Arc<dyn Host>, log: Log) -> Self {
        Self {
            run,
            host,
            seq: AtomicU64::new(0),
            started: Instant::now(),
            step: AtomicU32::new(0),
            phase: AtomicU8::new(0),
            instead: Mutex::default(),
            log,
        }
    }

    /// What is recorded of the run.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Says that something happened.
    pub fn emit(&self, kind: EventKind) {
        self.log.mirror(&kind);
        let seq = self.seq.fetch_add(1, Ordering::Relaxed) + 1;
        let at = self.started.elapsed().as_millis() as u64;
        self.host.event(RunEvent { run_id: self.run.clone(), seq, at, kind });
    }

    /// A command has printed more.
    pub fn output(&self, call: &CallId, delta: &str) {
        self.emit(EventKind::ToolOutput { call_id: call.clone(), delta: delta.to_owned() });
    }

    /// Says what the run does now, in the progress display.
    pub fn doing(&self, what: &str) {
        self.host.progress_report(&self.run, what);
    }

    /// The model is asked for the `step`th time.
    pub fn step(&self, step: u32) {
        self.step.store(step, Ordering::Relaxed);
        *self.instead.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.phase(RunPhase::Thinking);
    }

    /// Another model than the chosen one is asked this time.
    pub fn asks(&self, instead: Arc<str>) {
        *self.instead.lock().unwrap_or_else(PoisonError::into_inner) = Some(instead);
        self.host.status_changed();
    }

    /// The run is at something else now.
    pub fn phase(&self, phase: RunPhase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
        self.host.status_changed();
    }

    /// How the run stands.
    pub fn pulse(&self) -> Pulse {
        let phase = match self.phase.load(Ordering::Relaxed) {
            1 => RunPhase::Acting,
            2 => RunPhase::Waiting,
            3 => RunPhase::Applying,
            _ => RunPhase::Thinking,
        };
        let instead = self.instead.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Pulse { step: self.step.load(Ordering::Relaxed), phase, instead }
    }

    /// When the run began.
    pub fn started(&self) -> Instant {
        self.started
    }
}
