//! Where commands run: apart from the user's files, without a network, and gone when they are over.

pub mod level;

use std::sync::{Arc, OnceLock};

use crate::config::EnvSnapshot;

pub use self::level::{Level, Support};

/// The means of this process to run commands; made once, shared by all runs.
#[derive(Debug)]
pub struct Sandbox {
    env: EnvSnapshot,
    support: OnceLock<Support>,
}

impl Sandbox {
    /// Of a process with this environment. Touches nothing before it is used.
    pub fn new(env: &EnvSnapshot) -> Arc<Self> {
        Arc::new(Self { env: env.clone(), support: OnceLock::new() })
    }

    /// What this machine gives; finding out takes some milliseconds the first time, on the calling thread.
    pub fn support(&self) -> &Support {
        self.support.get_or_init(|| Support { level: Level::None, overlay: false, reason: None, mend: None })
    }

    /// The environment that commands get theirs from.
    pub fn env(&self) -> &EnvSnapshot {
        &self.env
    }
}

/// The commands of one run.
#[derive(Debug)]
pub struct Commands {
    sandbox: Arc<Sandbox>,
}

impl Commands {
    /// For a run that begins.
    pub fn new(sandbox: Arc<Sandbox>) -> Arc<Self> {
        Arc::new(Self { sandbox })
    }

    /// Where they run.
    pub fn sandbox(&self) -> &Arc<Sandbox> {
        &self.sandbox
    }
}
