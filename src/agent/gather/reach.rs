//! Which files are looked at without being asked for: only those that the model could read without a question.
//!
//! The model has not asked, so nobody is asked for it either: what a rule denies or asks about, what may hold secrets
//! and what configures other programs is left alone.

use std::sync::Arc;

use crate::config::Config;
use crate::paths::WsPath;
use crate::syntax::Language;
use crate::text::Text;
use crate::tools::command::Programs;
use crate::tools::policy::{Policy, Verdict};
use crate::tools::sandbox::Level;
use crate::tools::tool::{Effect, Scope};
use crate::workspace::{Protection, Workspace, classify};

/// Bytes of the largest file that is looked at.
const MAX: usize = 512 * 1024;

/// Bytes of a first line that are looked at for the language.
const FIRST_LINE: usize = 200;

/// Judges files by the rules of a run.
pub(super) struct Reach {
    config: Arc<Config>,
    programs: Programs,
}

impl Reach {
    pub(super) fn new(config: Arc<Config>) -> Self {
        Self { config, programs: Programs::new(None) }
    }

    /// Whether a file may be taken that nobody has named. May look at the disk.
    pub(super) fn allows(&self, path: &WsPath) -> bool {
        classify(path) == Protection::None && self.may_read(path)
    }

    /// Whether `read_file` of this path would go through without a question. May look at the disk.
    pub(super) fn may_read(&self, path: &WsPath) -> bool {
        // Nothing is asked of programs and sandbox for paths.
        let policy = Policy {
            permissions: &self.config.permissions,
            programs: &self.programs,
            level: &|| Level::None,
            trusted: self.config.trusted,
        };
        let effect = Effect::reads(Scope::File(path.clone()));
        ["read_file", "grep"].iter().all(|tool| policy.assess(tool, &effect, None).verdict == Verdict::Allow)
    }

    /// The text of a file as the user has it, if it may be taken; with its path without links.
    pub(super) fn read(&self, workspace: &Workspace, path: &WsPath) -> Option<(WsPath, Text)> {
        if !self.allows(path) {
            return None;
        }
        let view = workspace.read(None, path).ok()?;
        let fits = view.text.len() <= MAX && (view.path == *path || classify(&view.path) == Protection::None);
        fits.then_some((view.path, view.text))
    }
}

/// The language of a file.
pub(super) fn language(path: &WsPath, text: &Text) -> Option<Language> {
    let first = text.line_range(0);
    Language::of(path.name(), &text.slice(first.start..first.end.min(text.floor_boundary(FIRST_LINE))))
}

/// Whether a name of one language may mean something of the other.
pub(super) fn are_kin(a: Language, b: Language) -> bool {
    let family = |language| match language {
        Language::C | Language::Cpp => Language::C,
        Language::JavaScript | Language::TypeScript | Language::Tsx => Language::JavaScript,
        other => other,
    };
    family(a) == family(b)
}
