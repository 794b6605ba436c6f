//! One command from its start to the end of its last process, as the server sees it.

#[cfg(target_os = "linux")]
mod leashed;
#[cfg(any(not(target_os = "linux"), test))]
mod plain;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::capture::Capture;
use super::live::Live;
use super::spec::Spec;
use crate::tools::tool::Cancel;

/// Between the word to end and the end.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long output is read once the command is over: a process it left behind may hold the pipe for ever.
const LINGER: Duration = Duration::from_millis(500);
/// Bytes that are read at a time.
const PIECE: usize = 64 << 10;

/// A command that is to be run.
#[derive(Debug)]
pub struct Launch {
    /// The program that keeps it in, and its arguments; on systems without one the words before the command.
    pub helper: (PathBuf, Vec<String>),
    /// The environment of the command.
    pub variables: Vec<(OsString, OsString)>,
    /// What is to run, and in which world.
    pub spec: Spec,
    /// The bytes of the files in the spec, in order.
    pub bodies: Vec<Vec<u8>>,
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// By itself, with this code.
    Exit(i32),
    /// By a signal.
    Signal(i32),
    /// It took longer than it was given.
    TimedOut,
    /// Nobody wanted it any more.
    Cancelled,
    /// It never started.
    Failed {
        /// What was tried.
        step: String,
        /// What the system said.
        error: String,
    },
}

impl Status {
    fn failed(step: &str, error: impl ToString) -> Self {
        Self::Failed { step: step.to_owned(), error: error.to_string() }
    }
}

/// A command that is over, with all its processes.
#[derive(Debug)]
pub struct Ended {
    /// How.
    pub status: Status,
    /// What it printed.
    pub output: Capture,
    /// From its start to its end.
    pub took: Duration,
    /// Whether rules on files were in force.
    pub landlock: bool,
}

/// Runs it for at most `limit`. `live` hears what it prints. Dropping the future ends the command.
pub async fn run(launch: Launch, limit: Duration, cancel: &Cancel, live: &mut Live<'_>) -> Ended {
    #[cfg(target_os = "linux")]
    return leashed::run(launch, limit, cancel, live).await;
    #[cfg(not(target_os = "linux"))]
    plain::run(launch, limit, cancel, live).await
}

/// Resolves when there is something to tell to those who watch.
async fn due(live: &Live<'_>) {
    match live.due() {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
