//! From a model's name to where it is, what it costs and whether it can be used.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde::Serialize;

use super::outcome::{ErrorCode, OutcomeError};
use crate::config::{Config, ModelRef, Price, ProviderConfig, ProviderKind};
use crate::llm::Target;
use crate::llm::catalogue::Catalogue;
use crate::llm::client::Client;
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
    /// Whom to ask while it is overloaded; those have none of their own.
    pub fallback: Vec<Self>,
}

impl Chosen {
    /// The model as the client asks it.
    pub fn target(&self) -> Target {
        Target {
            provider: self.provider.clone(),
            model: self.model.clone(),
            max_output_tokens: self.max_output_tokens,
            context_window: self.info.context_window,
        }
    }
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
pub fn resolve(config: &Config, catalogue: &Catalogue, wanted: Option<&ModelRef>) -> Result<Chosen, OutcomeError> {
    let (model, provider) = match wanted {
        Some(model) => config.provider_of(model).map(|provider| (model, provider)),
        None => config.selected(),
    }
    .map_err(|reason| {
        let hint = "`ropeway doctor` shows what is missing";
        OutcomeError::new(ErrorCode::Config, reason, hint)
    })?;
    let mut chosen = choose(config, catalogue, model, provider);
    let own = config.model_override(model);
    for other in own.map_or(&[][..], |own| &own.fallback) {
        match config.provider_of(other) {
            Ok(provider) if other != model => chosen.fallback.push(choose(config, catalogue, other, provider)),
            Ok(_) => {}
            Err(why) => tracing::warn!("{other} cannot stand in for {model}: {why}"),
        }
    }
    Ok(chosen)
}

fn choose(config: &Config, catalogue: &Catalogue, model: &ModelRef, provider: &ProviderConfig) -> Chosen {
    let own = config.model_override(model);
    let info = info(config, catalogue, model, provider);
    let limit = own.and_then(|own| own.max_output_tokens).unwrap_or(info.max_output_tokens.min(OUTPUT_MAX));
    Chosen {
        provider: Arc::new(provider.clone()),
        model: Arc::from(model.model.as_str()),
        origin: Arc::from(model.to_string()),
        info,
        max_output_tokens: u32::try_from(limit).unwrap_or(u32::MAX),
        fallback: Vec::new(),
    }
}

/// What holds for a model: the user's word, its provider's, the table's.
fn info(config: &Config, catalogue: &Catalogue, model: &ModelRef, provider: &ProviderConfig) -> ModelInfo {
    let facts = catalogue.facts(provider, &model.model);
    models::info(provider.kind, &model.model, config.model_override(model), facts.as_ref())
}

/// All models we know of: the configured one, those of the configuration, of the built-in table and of the providers'
/// own lists, as far as they were asked.
pub fn list(config: &Config, catalogue: &Catalogue) -> Vec<Listed> {
    let mut refs: Vec<ModelRef> = config.model.iter().chain(config.models.keys()).cloned().collect();
    for provider in config.providers.values() {
        let named = |model: &str| ModelRef { provider: provider.name.clone(), model: model.to_owned() };
        // The built-in table is of the vendors' own servers; a compatible server has models of its own.
        if provider.kind.name() == provider.name {
            refs.extend(models::built_ins(provider.kind).map(|model| named(model.name)));
        }
        if let Some(Ok(list)) = catalogue.list(provider) {
            refs.extend(list.iter().map(|facts| named(&facts.name)));
        }
    }
    let mut seen = BTreeSet::new();
    refs.retain(|model| seen.insert(model.to_string()));
    refs.iter().map(|model| listed(config, catalogue, model)).collect()
}

fn listed(config: &Config, catalogue: &Catalogue, model: &ModelRef) -> Listed {
    let provider = config.providers.get(&model.provider);
    let info = provider.map(|provider| info(config, catalogue, model, provider));
    // Ollama alone is a server of the user's own, of which "no answer" means that it does not run.
    let silent = provider.filter(|provider| provider.kind == ProviderKind::Ollama);
    let silent = silent.and_then(|provider| catalogue.list(provider)?.err());
    let why = config.provider_of(model).err().or(silent);
    Listed {
        id: model.to_string(),
        context_window: info.filter(|info| info.known).map(|info| info.context_window),
        price: info.and_then(|info| info.price),
        available: why.is_none(),
        why,
    }
}

/// How long a list may be waited for.
const PATIENCE: Duration = Duration::from_millis(1500);

/// Asks every provider that can be asked for its models. Those that take too long are asked again next time.
pub async fn refresh(client: &Client, config: &Config) {
    let ready = config.providers.values().filter(|provider| provider.ready().is_ok());
    let asked = ready.map(|provider| async move {
        let _ = tokio::time::timeout(PATIENCE, client.refresh(provider)).await;
    });
    join_all(asked).await;
}

/// Asks the provider of a model that neither the user nor the table describes. Servers compatible with OpenAI mostly
/// give names only, so they are not asked before a run.
pub async fn learn(client: &Client, config: &Config, wanted: Option<&ModelRef>) {
    let found = match wanted {
        Some(model) => config.provider_of(model).map(|provider| (model, provider)),
        None => config.selected(),
    };
    let Ok((model, provider)) = found else { return };
    if provider.kind != ProviderKind::OpenAi && !info(config, client.catalogue(), model, provider).known {
        let _ = tokio::time::timeout(PATIENCE, client.refresh(provider)).await;
    }
}
