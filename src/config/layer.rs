//! What one layer of the user's says: his file, the editor's settings, the environment, the command line.

use super::action::{self, UserAction};
use super::model::{ModelLayer, ModelRef, model_ref};
use super::node::{Node, Value};
use super::permission::PermissionsLayer;
use super::place::At;
use super::profile::{PROFILES, Profile};
use super::provider::{self, ProviderLayer};
use super::read::{Reader, Table};
use super::sections::{AgentLayer, ContextLayer, EditsLayer, LlmLayer, MonitorLayer, RecordingLayer, ToolsLayer};
use super::values::word;

/// Everything that a layer of the user's may set.
#[derive(Clone, Debug, Default)]
pub(super) struct UserLayer {
    pub(super) model: Option<At<ModelRef>>,
    pub(super) profile: Option<At<Profile>>,
    pub(super) providers: Vec<(String, ProviderLayer)>,
    pub(super) models: Vec<(ModelRef, ModelLayer)>,
    pub(super) agent: AgentLayer,
    pub(super) edits: EditsLayer,
    pub(super) context: ContextLayer,
    pub(super) tools: ToolsLayer,
    pub(super) llm: LlmLayer,
    pub(super) permissions: PermissionsLayer,
    pub(super) recording: RecordingLayer,
    pub(super) monitor: MonitorLayer,
    pub(super) actions: Vec<UserAction>,
}

impl UserLayer {
    pub(super) fn read(reader: &mut Reader<'_>, node: &Node) -> Self {
        reader.table("", node, Self::read_table).unwrap_or_default()
    }

    fn read_table(table: &mut Table<'_, '_, '_>) -> Self {
        Self {
            model: table.take("model", model_ref),
            profile: table.take("profile", profile),
            providers: providers(table),
            models: models(table),
            agent: table.section("agent", AgentLayer::read),
            edits: table.section("edits", EditsLayer::read),
            context: table.section("context", ContextLayer::read),
            tools: table.section("tools", ToolsLayer::read),
            llm: table.section("llm", LlmLayer::read),
            permissions: permissions(table),
            recording: table.section("recording", RecordingLayer::read),
            monitor: table.section("monitor", MonitorLayer::read),
            actions: action::read_all(table),
        }
    }
}

/// Like a plain section, but what is not even a table counts as broken rules, not as no rules.
fn permissions(table: &mut Table<'_, '_, '_>) -> PermissionsLayer {
    let Some(node) = table.get("permissions") else { return PermissionsLayer::default() };
    let broken = PermissionsLayer { broken: true, ..PermissionsLayer::default() };
    table.reader.table("permissions", node, PermissionsLayer::read).unwrap_or(broken)
}

fn profile(reader: &mut Reader<'_>, key: &str, node: &Node) -> Option<Profile> {
    // Editors send an empty string for an unset one.
    if matches!(&node.value, Value::String(text) if text.is_empty()) {
        return None;
    }
    word(PROFILES)(reader, key, node)
}

fn providers(table: &mut Table<'_, '_, '_>) -> Vec<(String, ProviderLayer)> {
    let entries = table.named("providers", 64, |name, table| {
        if !provider::valid_name(&name.text) {
            let message = "a provider's name is letters, digits, `-`, `_` and `.`, at most 64".to_owned();
            table.reader.error(&table.path, &name.span, message);
        }
        let origin = table.reader.origin_of(&name.span);
        ProviderLayer::read(origin, table)
    });
    entries
        .into_iter()
        .filter(|(name, _)| provider::valid_name(&name.text))
        .map(|(name, layer)| (name.text.clone(), layer))
        .collect()
}

fn models(table: &mut Table<'_, '_, '_>) -> Vec<(ModelRef, ModelLayer)> {
    let entries = table.named("models", 512, |name, table| {
        let model = name.text.parse::<ModelRef>();
        if let Err(message) = &model {
            let message = format!("{message} (quote it: [models.\"anthropic/claude-sonnet-5-5\"])");
            table.reader.error(&table.path, &name.span, message);
            // What is below is not reported on top of it.
            table.skip();
            return None;
        }
        Some((model.ok()?, ModelLayer::read(table)))
    });
    entries.into_iter().filter_map(|(_, entry)| entry).collect()
}
