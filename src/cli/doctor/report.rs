//! What `doctor --json` prints. Fields are only ever added: `schema` would grow if one had to go or change its meaning.

use std::path::PathBuf;

use serde::Serialize;

use crate::config::Severity;
use crate::tools::sandbox::Support;

/// The version of this form.
pub(super) const SCHEMA: u32 = 1;

/// Everything that `doctor` has to say.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    pub(super) schema: u32,
    pub(super) version: &'static str,
    /// `debug` or `release`.
    pub(super) build: &'static str,
    /// `ARCHITECTURE-SYSTEM`.
    pub(super) platform: String,
    pub(super) executable: Option<PathBuf>,
    /// The kinds of providers that this build can talk to.
    pub(super) protocols: Vec<&'static str>,
    /// The kinds that it was made without.
    pub(super) left_out: Vec<&'static str>,
    /// The languages that this build has grammars for.
    pub(super) grammars: Vec<&'static str>,
    pub(super) model: ModelReport,
    pub(super) providers: Vec<ProviderReport>,
    pub(super) files: Vec<FileReport>,
    pub(super) problems: Vec<ProblemReport>,
    /// Absent where there is no place for it.
    pub(super) state: Option<StateReport>,
    pub(super) recording: RecordingReport,
    pub(super) sandbox: Support,
    pub(super) watching: WatchReport,
    pub(super) environment: Vec<Variable>,
    /// All of the above as it was weighed, in the order in which people see it.
    pub(super) findings: Vec<Finding>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ModelReport {
    /// `PROVIDER/MODEL`.
    pub(super) id: Option<String>,
    /// Where it was chosen.
    pub(super) origin: Option<String>,
    pub(super) can_run: bool,
    /// Why not, with the mend.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
    /// Why it may fail although nothing is certain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) doubt: Option<String>,
    /// What is not known of it, and what is assumed instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) unknown: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ProviderReport {
    pub(super) name: String,
    pub(super) kind: &'static str,
    pub(super) base_url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) key_variable: Option<String>,
    pub(super) key: Key,
    /// Why it cannot be asked, with the mend.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) not_ready: Option<String>,
    /// Whether an HTTP answer came, of whatever status; absent if it was not tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reachable: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<u16>,
    /// Until the answer, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ms: Option<f64>,
    /// How many models it names; absent if it has no list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) models: Option<usize>,
    /// Why no answer came, or what the refusal says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mend: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Key {
    Present,
    Missing,
    NotNeeded,
}

#[derive(Debug, Serialize)]
pub(super) struct FileReport {
    pub(super) layer: &'static str,
    pub(super) path: PathBuf,
    pub(super) present: bool,
    pub(super) errors: usize,
    pub(super) warnings: usize,
}

#[derive(Debug, Serialize)]
pub(super) struct ProblemReport {
    pub(super) severity: Severity,
    pub(super) place: String,
    pub(super) message: String,
}

/// The directory of recordings, reports and answers.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StateReport {
    pub(super) path: PathBuf,
    pub(super) present: bool,
    /// It can be written, or made where it is not there yet.
    pub(super) writable: bool,
    /// Of all files in it.
    pub(super) bytes: u64,
    pub(super) files: u64,
    /// There are more files than were counted.
    pub(super) more: bool,
    /// Others of this machine can read it.
    pub(super) open_to_others: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RecordingReport {
    pub(super) enabled: bool,
    pub(super) compress: bool,
    /// 0: recordings are never removed.
    pub(super) keep_days: u32,
    /// By a task of its own, see `ROPEWAY_BACKGROUND_IO`.
    pub(super) in_background: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WatchReport {
    /// Changes of files are told by the system.
    pub(super) supported: bool,
    /// Folders that this user may watch, over all programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_folders: Option<u64>,
    /// Watchers that this user may have, over all programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_watchers: Option<u64>,
    /// Why not; what is remembered is then checked by looking.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
}

/// A variable of the environment that has a say, whatever the editor.
#[derive(Debug, Serialize)]
pub(super) struct Variable {
    pub(super) name: String,
    /// Only of those that are settings; of the others only that they are set is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) value: Option<String>,
    /// Why it does nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) problem: Option<String>,
}

/// How good a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum State {
    Ok,
    Note,
    Bad,
}

/// One line for people.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    /// What it is about.
    pub(super) area: &'static str,
    pub(super) state: State,
    pub(super) text: String,
    /// What to do about it, where the text does not say so itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mend: Option<String>,
}
