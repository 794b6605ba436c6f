//! From a model's name to where it is, what it costs and whether it can be used.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;

use super::outcome::{ErrorCode, OutcomeError};
use crate::config::{Config, ModelRef, Price, ProviderConfig, ProviderKind};
use crate::llm::models::{self, ModelInfo};

/// A model that can be asked.
#[derive(Debug)]
pub struct Chosen {
    /// Where.
    pub provider: Arc<ProviderConfig>,
    /// Its name there.
    pub model: Arc<str>,
    /// `PROVIDER/MODEL`.
    pub origin: Arc<str>,
    /// What it can do and what it costs.
    pub info: ModelInfo,
    /// What it may produce in a response, in tokens.
    pub max_output_tokens: u32,
}

/// Not more than this is asked for unless the configuration does: some providers reserve what is asked for.
const OUTPUT_MAX: u64 = 32_000;

/// An entry of `ropeway.listModels`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Listed {
    /// `PROVIDER/MODEL`.
    pub id: String,
    /// In tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_window: Option<u64>,
    /// US dollars per million tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    /// Whether a run could use it now.
    pub available: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// The model a run uses: the one it was given, else the configured one.
pub fn resolve(config: &Config, wanted: Option<&ModelRef>) -> Result<Chosen, OutcomeError> {
    let (model, provider) = match wanted {
        Some(model) => config.provider_of(model).map(|provider| (model, provider)),
        None => config.selected(),
    }
    .map_err(|reason| {
        let hint = "`ropeway doctor` shows what is missing";
        OutcomeError::new(ErrorCode::Config, reason, hint)
    })?;
    let own = config.model_override(model);
    let info = models::info(provider.kind, &model.model, own);
    let limit = own.and_then(|own| own.max_output_tokens).unwrap_or(info.max_output_tokens.min(OUTPUT_MAX));
    Ok(Chosen {
        provider: Arc::new(provider.clone()),
        model: Arc::from(model.model.as_str()),
        origin: Arc::from(model.to_string()),
        info,
        max_output_tokens: u32::try_from(limit).unwrap_or(u32::MAX),
    })
}

/// All models we know of: the configured one, those of the configuration and the built-in table.
pub fn list(config: &Config) -> Vec<Listed> {
    let mut refs: Vec<ModelRef> = config.model.iter().chain(config.models.keys()).cloned().collect();
    for provider in config.providers.values() {
        // The built-in table is of the vendors' own servers; a compatible server has models of its own.
        if vendor(provider.kind) == Some(provider.name.as_str()) {
            let named = |model: &str| ModelRef { provider: provider.name.clone(), model: model.to_owned() };
            refs.extend(models::built_ins(provider.kind).map(|model| named(model.name)));
        }
    }
    let mut seen = BTreeSet::new();
    refs.retain(|model| seen.insert(model.to_string()));
    refs.iter()
        .map(|model| {
            let info = config
                .providers
                .get(&model.provider)
                .map(|provider| models::info(provider.kind, &model.model, config.model_override(model)));
            let why = config.provider_of(model).err();
            Listed {
                id: model.to_string(),
                context_window: info.filter(|info| info.known).map(|info| info.context_window),
                price: info.and_then(|info| info.price),
                available: why.is_none(),
                why,
            }
        })
        .collect()
}

fn vendor(kind: ProviderKind) -> Option<&'static str> {
    match kind {
        ProviderKind::OpenAi => Some("openai"),
        ProviderKind::Anthropic => Some("anthropic"),
        _ => None,
    }
}
