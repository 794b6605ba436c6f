//! The names of the commands, as they are announced to the client and as code actions carry them.

/// Start a run.
pub const RUN: &str = "ropeway.run";
/// Cancel one run, or all.
pub const CANCEL: &str = "ropeway.cancel";
/// Take a run's edits back.
pub const REVERT: &str = "ropeway.revert";
/// Apply the edits that a run proposed in mode `preview`.
pub const ACCEPT: &str = "ropeway.accept";
/// Drop them.
pub const REJECT: &str = "ropeway.reject";
/// Make a conversation smaller.
pub const COMPACT: &str = "ropeway.compact";
/// Forget a conversation.
pub const CLEAR: &str = "ropeway.clear";
/// Each message of a conversation with its tokens.
pub const DUMP: &str = "ropeway.dump";
/// The readout.
pub const STATS: &str = "ropeway.stats";
/// One table of numbers.
pub const ANALYTICS: &str = "ropeway.analytics";
/// A page about a run.
pub const REPORT: &str = "ropeway.report";
/// The conversations of this workspace, those of earlier sessions among them.
pub const THREADS: &str = "ropeway.threads";
/// The models that can be chosen.
pub const LIST_MODELS: &str = "ropeway.listModels";
/// Choose a model.
pub const SET_MODEL: &str = "ropeway.setModel";

/// All of them, for the server's capabilities: a client refuses a command that is not in this list.
pub const ALL: [&str; 14] = [
    RUN,
    CANCEL,
    REVERT,
    ACCEPT,
    REJECT,
    COMPACT,
    CLEAR,
    DUMP,
    STATS,
    ANALYTICS,
    REPORT,
    THREADS,
    LIST_MODELS,
    SET_MODEL,
];
