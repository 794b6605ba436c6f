//! What a project's `ropeway.toml` may say.
//!
//! It comes from whoever wrote the repository, so its type has no field for providers, credentials, addresses,
//! headers, allow rules, programs or directories: they cannot be used by mistake, because there is nothing to use. What
//! it has can only tighten, which [`ProjectLayer::apply`] sees to, or describe.

use super::action::{self, UserAction};
use super::keys::TOOL_NAMES;
use super::model::{ModelRef, model_ref};
use super::node::Node;
use super::permission::RulesLayer;
use super::place::{At, Origins, Problem, Severity};
use super::read::{Reader, Table};
use super::resolve::Config;
use super::sections::{ContextLayer, EDIT_MODES, EditMode};
use super::values::{float, integer, names, word};

/// One project's file.
#[derive(Clone, Debug, Default)]
pub(super) struct ProjectLayer {
    pub(super) model: Option<At<ModelRef>>,
    max_steps: Option<At<u32>>,
    max_cost_usd: Option<At<f64>>,
    max_tokens: Option<At<u64>>,
    mode: Option<At<EditMode>>,
    context: ContextLayer,
    disabled: Option<At<Vec<String>>>,
    permissions: RulesLayer,
    actions: Vec<UserAction>,
}

impl ProjectLayer {
    pub(super) fn read(reader: &mut Reader<'_>, node: &Node) -> Self {
        reader.table("", node, Self::read_table).unwrap_or_default()
    }

    fn read_table(table: &mut Table<'_, '_, '_>) -> Self {
        let (max_steps, max_cost_usd, max_tokens) = table.section("agent", |table| {
            (
                table.take("max_steps", integer(1, 10_000)),
                table.take("max_cost_usd", float(0.0, 10_000.0)),
                table.take("max_tokens", integer(1, 1_000_000_000)),
            )
        });
        Self {
            model: table.take("model", model_ref),
            max_steps,
            max_cost_usd,
            max_tokens,
            mode: table.section("edits", |table| table.take("mode", word(EDIT_MODES))),
            context: table.section("context", ContextLayer::read),
            disabled: table.section("tools", |table| table.take("disabled", names("tool", TOOL_NAMES))),
            permissions: table.section("permissions", RulesLayer::read),
            actions: action::read_all(table),
        }
    }

    /// Tightens what the user's layers below have set. `may_use` says whether the user has configured a model.
    pub(super) fn apply(
        &self,
        config: &mut Config,
        trusted: bool,
        may_use: impl Fn(&ModelRef) -> bool,
        origins: &mut Origins,
        problems: &mut Vec<Problem>,
    ) {
        let mut ignored = |at: &super::place::Origin, key: &str, message: String| {
            problems.push(Problem::whole(Severity::Warning, at.clone(), key, message));
        };
        if let Some(at) = &self.model {
            if may_use(&at.value) {
                config.model = Some(at.value.clone());
                origins.set("", "model", &at.origin);
            } else {
                let model = &at.value;
                let message = format!(
                    "`model` is ignored: a project may only choose a model that you have configured; to allow it, add [models.\"{model}\"] to your own file"
                );
                ignored(&at.origin, "model", message);
            }
        }
        if let Some(at) = &self.max_steps {
            let limit = config.agent.max_steps;
            if at.value <= limit {
                config.agent.max_steps = at.value;
                origins.set("agent", "max_steps", &at.origin);
            } else {
                ignored(&at.origin, "agent.max_steps", lower_only("agent.max_steps", &limit));
            }
        }
        if let Some(at) = &self.max_cost_usd {
            match config.agent.max_cost_usd {
                Some(limit) if at.value > limit => {
                    ignored(&at.origin, "agent.max_cost_usd", lower_only("agent.max_cost_usd", &limit));
                }
                _ => {
                    config.agent.max_cost_usd = Some(at.value);
                    origins.set("agent", "max_cost_usd", &at.origin);
                }
            }
        }
        if let Some(at) = &self.max_tokens {
            match config.agent.max_tokens {
                Some(limit) if at.value > limit => {
                    ignored(&at.origin, "agent.max_tokens", lower_only("agent.max_tokens", &limit));
                }
                _ => {
                    config.agent.max_tokens = Some(at.value);
                    origins.set("agent", "max_tokens", &at.origin);
                }
            }
        }
        if let Some(at) = &self.mode {
            if at.value >= config.edits.mode {
                config.edits.mode = at.value;
                origins.set("edits", "mode", &at.origin);
            } else {
                let message = "`edits.mode` is ignored: a project's file may only move it towards asking (apply, confirm, preview)";
                ignored(&at.origin, "edits.mode", message.to_owned());
            }
        }
        self.context.apply(&mut config.context, "context", origins);
        self.permissions.apply(&mut config.permissions, origins);
        // A stranger's prompts count only where the user trusts the folder, and never in place of the user's own.
        for action in self.actions.iter().filter(|_| trusted) {
            if config.actions.iter().any(|own| own.id == action.id) {
                continue;
            }
            let mut action = action.clone();
            if let Some(model) = action.model.take_if(|model| !may_use(model)) {
                let message = format!(
                    "the action's `model` is ignored: a project may only choose a model that you have configured; to allow it, add [models.\"{model}\"] to your own file"
                );
                ignored(&action.origin, "actions[].model", message);
            }
            config.actions.push(action);
        }
    }

    /// Adds what holds for runs of other roots, too.
    pub(super) fn guard(&self, config: &mut Config) {
        self.permissions.add(&mut config.permissions);
    }

    /// Adds what no later layer may take away again.
    pub(super) fn apply_last(&self, config: &mut Config, origins: &mut Origins) {
        if let Some(at) = &self.disabled {
            config.tools.disabled.extend(at.value.iter().cloned());
            origins.add("tools", "disabled", &at.origin);
        }
    }
}

fn lower_only(key: &str, limit: &dyn std::fmt::Display) -> String {
    format!("`{key}` is ignored: a project's file may only lower it (it is {limit})")
}
