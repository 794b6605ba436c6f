//! How well commands are kept in, on this machine.

use std::fmt;

/// What the operating system gives us to keep a command in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nothing: the command has the rights of the user.
    None,
    /// Rules on files and system calls, but the command shares the user's view of the machine.
    Partial,
    /// A view of the machine of its own, and rules on files and system calls.
    Full,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Partial => "partial",
            Self::Full => "full",
        })
    }
}

impl Level {
    /// What it means for the user, to stand after the level's name.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Full => "your files stay as they are, no network",
            Self::Partial => "your files stay as they are, no network, but it sees other programs of yours",
            Self::None => "it has your rights, and nothing keeps it from your files or the network",
        }
    }
}

/// The level of this machine, and why it is not higher.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Support {
    /// The level.
    pub level: Level,
    /// Whether a command can work on a copy of the workspace that costs nothing to make.
    pub overlay: bool,
    /// What is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the user can do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
}
