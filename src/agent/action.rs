//! The catalogue: what the user can ask for, by name.
//!
//! The prompts are files under `prompts/`, so that they are read and reviewed as text. A user's own actions come from
//! the configuration and have the same shape.

use std::sync::Arc;

use crate::config::{ModelRef, UserAction};

/// One thing the user can ask for.
#[derive(Clone, Debug)]
pub struct Action {
    /// The name on the wire.
    pub id: Arc<str>,
    /// What the menu shows.
    pub title: Arc<str>,
    /// LSP code action kind; `None` for what is not in the menu.
    pub kind: Option<Arc<str>>,
    /// What the model is asked to do; `{selection}`, `{file}`, `{diagnostics}`, `{language}` and `{prompt}` are
    /// filled in, `{{` and `}}` are braces.
    pub prompt: Arc<str>,
    /// Whether it may stage edits; without, the model gets only the tools that read.
    pub edits: bool,
    /// Languages it is offered for; empty: all.
    pub languages: Arc<[String]>,
    /// The only tools it may use; absent: all that fit it.
    pub tools: Option<Arc<[String]>>,
    /// The model it is meant for.
    pub model: Option<ModelRef>,
    /// Whether a user's configuration made it.
    pub custom: bool,
}

/// The tools of an action that makes no edit.
const READING: &[&str] = &["read_file", "list_dir", "glob", "grep", "outline", "diagnostics"];

impl Action {
    /// The tools it may use; `None`: all there are.
    pub fn allowed(&self) -> Option<Vec<&str>> {
        let reads = |tool: &&str| self.edits || READING.contains(tool);
        match &self.tools {
            Some(tools) => Some(tools.iter().map(String::as_str).filter(reads).collect()),
            None => (!self.edits).then(|| READING.to_vec()),
        }
    }
}

macro_rules! builtin {
    ($($id:literal, $title:literal, $kind:expr, $edits:literal;)*) => {
        /// Identifiers of the built-in actions, in menu order.
        pub const BUILTIN: &[&str] = &[$($id),*];

        fn builtin(id: &str) -> Option<(&'static str, Option<&'static str>, &'static str, bool)> {
            match id {
                $($id => Some(($title, $kind, include_str!(concat!("prompts/", $id, ".md")), $edits)),)*
                _ => None,
            }
        }
    };
}

builtin! {
    "fix", "Fix", Some("quickfix"), true;
    "implement", "Implement", Some("refactor.rewrite.ropeway.implement"), true;
    "edit", "Edit selection…", Some("refactor.rewrite.ropeway.edit"), true;
    "refactor", "Refactor", Some("refactor.rewrite.ropeway.refactor"), true;
    "simplify", "Simplify", Some("refactor.rewrite.ropeway.simplify"), true;
    "document", "Document", Some("refactor.rewrite.ropeway.document"), true;
    "test", "Write tests", Some("refactor.rewrite.ropeway.test"), true;
    "explain", "Explain", Some("ropeway.explain"), false;
    "review", "Review", Some("ropeway.review"), false;
    "fix-file", "Fix all problems in this file", Some("source.ropeway.fixFile"), true;
    "task", "Task", None, true;
}

/// Every code action kind the server may use, for its capabilities.
pub const KINDS: &[&str] = &[
    "quickfix",
    "source.ropeway.fixFile",
    "refactor.rewrite.ropeway.edit",
    "refactor.rewrite.ropeway.implement",
    "refactor.rewrite.ropeway.refactor",
    "refactor.rewrite.ropeway.simplify",
    "refactor.rewrite.ropeway.document",
    "refactor.rewrite.ropeway.test",
    "ropeway.explain",
    "ropeway.review",
];

/// The action named `id`: a user's own first, so that a user can replace a built-in one.
pub fn find(id: &str, custom: &[UserAction]) -> Option<Action> {
    if let Some(action) = custom.iter().find(|action| action.id == id) {
        return Some(Action {
            id: Arc::from(action.id.as_str()),
            title: Arc::from(action.title.as_str()),
            kind: Some(Arc::from(action.kind.as_deref().unwrap_or("refactor.rewrite"))),
            prompt: Arc::from(action.prompt.as_str()),
            edits: action.edits,
            languages: action.languages.clone().into(),
            tools: action.tools.clone().map(Arc::from),
            model: action.model.clone(),
            custom: true,
        });
    }
    let (title, kind, prompt, edits) = builtin(id)?;
    Some(Action {
        id: Arc::from(id),
        title: Arc::from(title),
        kind: kind.map(Arc::from),
        prompt: Arc::from(prompt),
        edits,
        languages: Arc::from([]),
        tools: None,
        model: None,
        custom: false,
    })
}

/// Names of all actions there are, for messages and completion.
pub fn names(custom: &[UserAction]) -> Vec<String> {
    BUILTIN.iter().map(|id| (*id).to_owned()).chain(custom.iter().map(|action| action.id.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_a_builtin_action_is_in_the_capabilities() {
        for id in BUILTIN {
            let action = find(id, &[]).unwrap();
            if let Some(kind) = &action.kind {
                assert!(KINDS.contains(&&**kind), "{kind}");
                assert!(!kind.starts_with("source.fixAll"), "no model call on save");
            }
            assert!(!action.prompt.trim().is_empty());
        }
    }
}
