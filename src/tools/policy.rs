//! Whether a call may run: the user's rules, deny before ask before allow, whatever the order.
//!
//! **Tools that take paths.** A rule's pattern is a glob over the path below its root. A call is judged by every path it
//! names, as asked for and without links, so that a second name of a file is no way around a rule. What a search or a
//! listing walks over is judged file by file: see [`denied`]. What no rule covers is allowed, but for files that may
//! hold secrets: naming one is asked, unless an allow rule with a pattern covers it.
//!
//! **Commands.** What no rule covers is asked. A rule's pattern is the leading words of a simple command. Rules that
//! tighten are matched against everything that a line may start (see [`super::command`]), with the program's own name
//! and with options between the words. A rule that allows is matched word for word, must cover every part, and is
//! obeyed
//!
//! - only for a line that is [simple](super::command::Simple): no rule allows what we are not sure to have understood;
//! - only for a bare name that leads to a program outside the workspace, or for a path that the rule itself spells out;
//! - only if no word names a file that a rule hides;
//! - below the sandbox's full level only for commands that are [known to only read](super::command::readonly).
//!
//! A command that only reads is therefore not allowed by that alone; it is asked like others, and for it (and nothing
//! else) the user is offered to allow it always: see [`remembered`]. A level of the sandbox never turns a question into
//! a yes.

mod commands;
mod paths;
pub mod remembered;

use serde::Serialize;

use super::command::Programs;
use super::pattern::PathFilter;
use super::sandbox::Level;
use super::tool::Effect;
use crate::config::{Permissions, Rule};
use crate::paths::WsPath;

pub use self::remembered::{Lasting, Remembered};

/// What is to happen with a call. The order is from the mildest to the strictest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It may run.
    Allow,
    /// The user decides.
    Ask,
    /// It must not run.
    Deny,
}

impl Verdict {
    /// As the contract spells it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Ask => "ask",
            Self::Deny => "deny",
        }
    }
}

/// What is said of one path, or one command of a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Part {
    /// The path or the command, with nothing in it that hides.
    pub text: String,
    /// What it alone would lead to.
    pub verdict: Verdict,
    /// Why.
    pub reason: String,
}

/// What is to happen with a call, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Assessment {
    /// What is to happen.
    pub verdict: Verdict,
    /// The rule that says so.
    pub rule: Option<String>,
    /// Why; for the user.
    pub reason: String,
    /// The paths, or the commands of the line.
    pub parts: Vec<Part>,
    /// The question comes when the change is delivered, not before the call.
    #[serde(skip)]
    pub at_delivery: bool,
    /// What an answer for a whole run is about: another call with the same key needs no other question.
    #[serde(skip)]
    pub key: String,
    /// How a yes for good would be found again; `None`: it must not be kept.
    #[serde(skip)]
    pub lasting: Option<Lasting>,
}

/// What calls are judged by.
#[derive(Clone, Copy)]
pub struct Policy<'a> {
    /// The rules.
    pub permissions: &'a Permissions,
    /// Where a program's name leads.
    pub programs: &'a Programs,
    /// How well commands are kept in; asked for only when it matters, because finding out takes some milliseconds.
    pub level: &'a dyn Fn() -> Level,
    /// Whether the user trusts the workspace.
    pub trusted: bool,
}

/// A command line and its folder.
#[derive(Clone, Copy, Debug)]
pub struct Command<'a> {
    /// The line.
    pub line: &'a str,
    /// The folder.
    pub cwd: &'a WsPath,
}

impl Policy<'_> {
    /// Judges a call of `tool` that touches what `effect` says, or runs `command`. Looks at the disk.
    pub fn assess(&self, tool: &str, effect: &Effect, command: Option<Command<'_>>) -> Assessment {
        match command {
            Some(command) => commands::assess(self, tool, command),
            None => paths::assess(self.permissions, tool, effect),
        }
    }
}

/// The files whose text no tool may show: what `read_file` is denied, a search must not find either.
pub fn denied(permissions: &Permissions) -> Vec<PathFilter> {
    let rules = permissions.deny.iter().filter(|rule| rule.tool == "read_file" || rule.tool == "grep");
    rules.filter_map(|rule| PathFilter::path(rule.pattern.as_deref().unwrap_or("**")).ok()).collect()
}

/// The rules of a list that are for `tool`.
fn rules_of<'a>(rules: &'a [Rule], tool: &'a str) -> impl Iterator<Item = &'a Rule> {
    rules.iter().filter(move |rule| rule.tool == tool)
}
