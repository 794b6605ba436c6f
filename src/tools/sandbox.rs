//! Where commands run: apart from the user's files, without a network, and gone when they are over.
//!
//! [`Sandbox`] knows what the machine gives ([`Level`]); [`Commands`] is the workspace as the commands of one run see
//! it. A command goes through four hands: `layers` says how the workspace differs from the disk, `process` starts the
//! `helper` that builds the view and keeps the command in it, `capture` and `live` keep and tell what it prints, and
//! `collect` takes over what it wrote.

pub mod capture;
mod changes;
mod collect;
mod commands;
mod copy;
mod direct;
pub mod environment;
#[cfg(target_os = "linux")]
pub mod helper;
mod hidden;
mod ignored;
mod layers;
pub mod level;
pub mod live;
mod probe;
pub mod process;
mod scratch;
#[cfg(any(target_os = "macos", test))]
mod seatbelt;
pub mod spec;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use super::command::Programs;
use crate::config::EnvSnapshot;

pub use self::commands::{Commands, Wanted};
pub use self::level::{Level, Support};
use self::probe::Found;

/// The program that keeps commands in: on Linux this one, started again by the kernel's name for it, which stays right
/// when its file is replaced by an update.
#[cfg(target_os = "linux")]
const HELPER: &str = "/proc/self/exe";
#[cfg(target_os = "macos")]
const HELPER: &str = "/usr/bin/sandbox-exec";
#[cfg(not(any(target_os = "linux", target_os = "macos")))]
const HELPER: &str = "";

/// The means of this process to run commands; made once, shared by all runs.
#[derive(Debug)]
pub struct Sandbox {
    env: EnvSnapshot,
    helper: PathBuf,
    most: Level,
    found: OnceLock<Found>,
    programs: Programs,
}

impl Sandbox {
    /// Of a process with this environment. Touches nothing before it is used.
    pub fn new(env: &EnvSnapshot) -> Arc<Self> {
        Self::with(env, HELPER.as_ref(), Level::Full)
    }

    /// With another program as the helper, for a process that is not Ropeway itself, and no better than `most`.
    pub fn with(env: &EnvSnapshot, helper: &Path, most: Level) -> Arc<Self> {
        let programs = Programs::new(env.os("PATH"));
        Arc::new(Self { env: env.clone(), helper: helper.to_owned(), most, found: OnceLock::new(), programs })
    }

    /// What this machine gives; finding out takes some milliseconds the first time, on the calling thread.
    pub fn support(&self) -> &Support {
        &self.found().support
    }

    fn found(&self) -> &Found {
        self.found.get_or_init(|| probe::find(self))
    }

    /// The environment that commands get theirs from.
    pub fn env(&self) -> &EnvSnapshot {
        &self.env
    }
}
