//! The layers put over each other: one plain value that the rest of the program reads.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::action::UserAction;
use super::cache::FileCache;
use super::env::EnvSnapshot;
use super::keys::nearest_word;
use super::layer::UserLayer;
use super::layers::{self, Layers, Sources, Unfiled};
use super::model::{ModelOverride, ModelRef};
use super::off;
use super::permission::Permissions;
use super::place::{Layer, Origin, Origins, Problem, Severity};
use super::profile::Profile;
use super::provider::{self, ProviderConfig, ProviderKind, ProviderLayer};
use super::sections::{
    AgentConfig, ContextConfig, EditsConfig, LlmConfig, MonitorConfig, RecordingConfig, ToolsConfig,
};
use super::store;
use crate::metrics::Op;

/// The settings in force. A run keeps the `Arc` it started with. `Debug` shows no secret.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// The model to use; absent only with a `model_missing`.
    pub model: Option<ModelRef>,
    /// Why there is no model, with the mend.
    pub model_missing: Option<String>,
    /// The preset below the user's own settings.
    pub profile: Profile,
    /// Whether the folder's author is trusted; without trust commands are denied and a project's texts not used.
    pub trusted: bool,
    /// By name.
    pub providers: BTreeMap<String, ProviderConfig>,
    /// What the user says of single models.
    pub models: BTreeMap<ModelRef, ModelOverride>,
    /// The loop.
    pub agent: AgentConfig,
    /// How edits reach the editor.
    pub edits: EditsConfig,
    /// When a conversation is shortened.
    pub context: ContextConfig,
    /// The model's tools.
    pub tools: ToolsConfig,
    /// How models are called.
    pub llm: LlmConfig,
    /// The approval rules.
    pub permissions: Permissions,
    /// What is recorded.
    pub recording: RecordingConfig,
    /// What is logged of slow work.
    pub monitor: MonitorConfig,
    /// Code actions besides the built-in ones.
    pub actions: Vec<UserAction>,
    /// Where recordings, reports and answers go; absent only where there is no home.
    pub state_dir: Option<PathBuf>,
    /// How long a parsed file may be used while it looks unchanged (`ROPEWAY_CONFIG_CACHE_TTL`); 0: not at all.
    pub config_cache_ttl: Duration,
    /// Whether recordings are written by a task of their own (`ROPEWAY_BACKGROUND_IO`).
    pub background_io: bool,
    /// Providers that cannot be used because of a mistake in their settings, with the mistake.
    broken: BTreeMap<String, String>,
    pub(super) origins: Origins,
}

impl Config {
    /// The selected model and its provider, ready to be asked; else the reason with its mend.
    pub fn selected(&self) -> Result<(&ModelRef, &ProviderConfig), String> {
        match (&self.model, &self.model_missing) {
            (Some(model), None) => Ok((model, self.provider_of(model)?)),
            (_, Some(reason)) => Err(reason.clone()),
            (None, None) => Err(NO_MODEL.to_owned()),
        }
    }

    /// The provider of a model, ready to be asked; else the reason with its mend.
    pub fn provider_of(&self, model: &ModelRef) -> Result<&ProviderConfig, String> {
        let name = model.provider.as_str();
        if let Some(mistake) = self.broken.get(name) {
            return Err(format!("provider `{name}` cannot be used: {mistake}"));
        }
        let Some(provider) = self.providers.get(name) else { return Err(self.unknown_provider(name)) };
        provider.ready().map(|()| provider)
    }

    /// What the user says of a model against the built-in table.
    pub fn model_override(&self, model: &ModelRef) -> Option<&ModelOverride> {
        self.models.get(model)
    }

    fn unknown_provider(&self, name: &str) -> String {
        let hint = match nearest_word(name, self.providers.keys().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("define it in [providers.{name}]"),
        };
        format!("there is no provider `{name}`; {hint}")
    }
}

const NO_MODEL: &str = "no model is selected and no key was found; set ANTHROPIC_API_KEY or OPENAI_API_KEY and start the editor again, or set `model` and its provider in your configuration file";

/// What is used when the user names no model: the first whose key is there.
const CHOICES: &[(&str, &str)] =
    &[("anthropic", "claude-sonnet-5-5"), ("openai", "gpt-6.1-sol"), ("google", "gemini-4-argon")];

impl ProviderKind {
    /// The model that is used where only the key of the built-in provider of this kind is there.
    pub fn default_model(self) -> Option<&'static str> {
        CHOICES.iter().find(|(name, _)| *name == self.name()).map(|(_, model)| *model)
    }
}

/// A configuration with everything that was wrong on the way.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings in force.
    pub config: Arc<Config>,
    /// Everything wrong, in the order of the layers and then of the text.
    pub problems: Arc<[Problem]>,
    /// How long it took.
    pub took: Duration,
}

/// Reads and resolves everything. Never fails: what is wrong is left out and told.
pub fn load(sources: &Sources) -> Loaded {
    let _span = Op::ConfigLoad.trace().entered();
    let began = Instant::now();
    let layers = layers::read(sources, &Unfiled::read(sources), &FileCache::new(Duration::ZERO));
    let (config, mut problems) = resolve(sources, &layers);
    problems.splice(0..0, layers.problems().cloned());
    in_order(&mut problems);
    Loaded { config: Arc::new(config), problems: problems.into(), took: began.elapsed() }
}

/// Sorts problems as [`Loaded`] promises; those of one place stay as they are.
pub(super) fn in_order(problems: &mut [Problem]) {
    problems.sort_by(|a, b| {
        let key = |problem: &Problem| (problem.origin.layer, problem.origin.line, problem.origin.column);
        let (one, other) = (key(a), key(b));
        one.0.cmp(&other.0).then_with(|| a.origin.file.cmp(&b.origin.file)).then_with(|| one.cmp(&other))
    });
}

/// Everything wrong with one file: a project's if it is named `ropeway.toml`, else a user's.
pub fn check_file(path: &Path, env: &EnvSnapshot) -> Vec<Problem> {
    let env = env.clone();
    let sources = if path.file_name().is_some_and(|name| name == "ropeway.toml") {
        Sources { project_files: vec![path.to_owned()], env, ..Sources::default() }
    } else {
        Sources { user_file: Some(path.to_owned()), env, ..Sources::default() }
    };
    let problems = load(&sources).problems;
    problems.iter().filter(|problem| problem.origin.file.as_deref() == Some(path)).cloned().collect()
}

/// Puts the layers over each other. What is wrong with single layers is already known; this reports the rest.
pub(super) fn resolve(sources: &Sources, layers: &Layers) -> (Config, Vec<Problem>) {
    let mut problems = Vec::new();
    let mut origins = Origins::default();
    let mut drafts: BTreeMap<String, ProviderLayer> = BTreeMap::new();
    let mut config = Config {
        trusted: sources.trusted != Some(false),
        config_cache_ttl: store::TTL,
        background_io: true,
        ..Config::default()
    };
    let profile = layers.users().rev().find_map(|read| read.layer.profile.as_ref());
    if let Some(at) = profile {
        config.profile = at.value;
        origins.set("", "profile", &at.origin);
    }
    apply(&config.profile.layer(), &mut config, &mut drafts, &mut origins);
    apply(&layers.user.layer, &mut config, &mut drafts, &mut origins);
    let chosen = chosen_model(layers, &sources.env);
    for (_, project) in &layers.projects {
        let trusted = config.trusted;
        let may_use = |model: &ModelRef| configured(layers, model) || chosen.as_ref() == Some(model);
        project.layer.apply(&mut config, trusted, may_use, &mut origins, &mut problems);
    }
    for read in layers.users().skip(1) {
        apply(&read.layer, &mut config, &mut drafts, &mut origins);
    }
    for (_, project) in &layers.projects {
        project.layer.apply_last(&mut config, &mut origins);
    }
    if layers.users().any(|read| read.layer.permissions.is_broken()) {
        // One rule of a set cannot be read: what the set allows was weighed with that rule in it.
        config.permissions.allow.clear();
    }
    config.providers = provider::resolve_all(drafts, &sources.env, &mut origins, &mut problems);
    switches(&sources.env, &mut config, &mut origins, &mut problems);
    state_dir(&sources.env, &mut config);
    consistent(&mut config, &origins, &mut problems);
    config.broken = broken_providers(layers.problems().chain(&problems));
    select(layers, chosen, &mut config, &origins, &mut problems);
    config.origins = origins;
    (config, problems)
}

fn apply(layer: &UserLayer, config: &mut Config, drafts: &mut BTreeMap<String, ProviderLayer>, origins: &mut Origins) {
    if let Some(at) = &layer.model {
        config.model = Some(at.value.clone());
        origins.set("", "model", &at.origin);
    }
    for (name, provider) in &layer.providers {
        provider.apply(drafts.entry(name.clone()).or_default());
    }
    for (model, said) in &layer.models {
        said.apply(config.models.entry(model.clone()).or_default());
        for (key, origin) in said.origins() {
            origins.set(&format!("models.\"{model}\""), key, origin);
        }
    }
    layer.agent.apply(&mut config.agent, "agent", origins);
    layer.edits.apply(&mut config.edits, "edits", origins);
    layer.context.apply(&mut config.context, "context", origins);
    layer.tools.apply(&mut config.tools, "tools", origins);
    layer.llm.apply(&mut config.llm, "llm", origins);
    layer.recording.apply(&mut config.recording, "recording", origins);
    layer.monitor.apply(&mut config.monitor, "monitor", origins);
    if let Some((allow, origin)) = &layer.permissions.allow {
        config.permissions.allow.clone_from(allow);
        origins.set("permissions", "allow", origin);
    }
    layer.permissions.rules.apply(&mut config.permissions, origins);
    for action in &layer.actions {
        // A later layer of the user's own replaces an action of the same id.
        config.actions.retain(|other| other.id != action.id);
        config.actions.push(action.clone());
    }
}

/// Whether the user himself has named a model anywhere.
fn configured(layers: &Layers, model: &ModelRef) -> bool {
    layers.users().any(|read| {
        read.layer.model.as_ref().is_some_and(|at| at.value == *model)
            || read.layer.models.iter().any(|(name, said)| name == model || said.falls_back_to(model))
    })
}

/// The model for a user who names none.
fn chosen_model(layers: &Layers, env: &EnvSnapshot) -> Option<ModelRef> {
    if layers.users().any(|read| read.layer.model.is_some()) {
        return None;
    }
    // The keys' variables may be named in the layers, so the providers are put together once without the projects.
    let mut drafts = BTreeMap::new();
    for read in layers.users() {
        for (name, provider) in &read.layer.providers {
            provider.apply(drafts.entry(name.clone()).or_default());
        }
    }
    let providers = provider::resolve_all(drafts, env, &mut Origins::default(), &mut Vec::new());
    let mut choices = CHOICES.iter().filter(|(name, _)| providers.get(*name).is_some_and(|it| it.key.is_some()));
    choices.next().map(|(name, model)| ModelRef { provider: (*name).to_owned(), model: (*model).to_owned() })
}

fn select(
    layers: &Layers,
    chosen: Option<ModelRef>,
    config: &mut Config,
    origins: &Origins,
    problems: &mut Vec<Problem>,
) {
    // A file nobody can read may name another provider than the one that would be chosen without it, and the code
    // would go to whom the user did not want. The same for a model's name that cannot be read.
    let unreadable = layers.user.problems.iter().find(|_| layers.user.unreadable);
    let misnamed = || {
        let mut problems = layers.users().flat_map(|read| &read.problems);
        problems.find(|problem| problem.severity == Severity::Error && problem.key == "model")
    };
    if let Some(problem) = unreadable.or_else(misnamed) {
        config.model = None;
        config.model_missing = Some(format!("the configuration must be mended first: {problem}"));
        return;
    }
    if config.model.is_none() {
        config.model = chosen;
    }
    let Some(model) = &config.model else {
        config.model_missing = Some(NO_MODEL.to_owned());
        return;
    };
    if !config.providers.contains_key(&model.provider) && !config.broken.contains_key(&model.provider) {
        let origin = origins.last("model").cloned().unwrap_or_else(|| Origin::of(Layer::Default, None));
        let message = format!("`model`: {}", config.unknown_provider(&model.provider));
        problems.push(Problem::whole(Severity::Error, origin, "model", message));
    }
}

/// The providers whose settings hold a mistake.
fn broken_providers<'p>(problems: impl Iterator<Item = &'p Problem>) -> BTreeMap<String, String> {
    let errors = problems.filter(|problem| problem.severity == Severity::Error);
    let named = errors.filter_map(|problem| {
        let rest = problem.key.strip_prefix("providers.")?;
        // A name may hold dots, so every prefix that may be one counts.
        let names = rest.match_indices('.').map(|(at, _)| &rest[..at]).chain([rest]);
        Some(names.map(|name| (name.to_owned(), problem.to_string())).collect::<Vec<_>>())
    });
    named.flatten().collect()
}

fn switches(env: &EnvSnapshot, config: &mut Config, origins: &mut Origins, problems: &mut Vec<Problem>) {
    let mut wrong = |name: &'static str, wanted: &str| {
        let message = format!("must be {wanted}; it is ignored");
        let origin = Origin::of(Layer::Environment, Some(name));
        problems.push(Problem::whole(Severity::Error, origin, "", message));
    };
    match store::ttl(env) {
        Some(ttl) => config.config_cache_ttl = ttl,
        None if env.os("ROPEWAY_CONFIG_CACHE_TTL").is_some() => {
            wrong("ROPEWAY_CONFIG_CACHE_TTL", "a whole number of seconds");
        }
        None => {}
    }
    config.background_io = !off::is_off(env, off::BACKGROUND_IO);
    if env.os("ROPEWAY_BACKGROUND_IO").is_some() {
        match env.switch("ROPEWAY_BACKGROUND_IO") {
            Some(yes) => config.background_io = yes,
            None => wrong("ROPEWAY_BACKGROUND_IO", "true or false"),
        }
    }
    for (key, name, off) in [
        ("config_cache_ttl", "ROPEWAY_CONFIG_CACHE_TTL", off::CONFIG_CACHE),
        ("background_io", "ROPEWAY_BACKGROUND_IO", off::BACKGROUND_IO),
    ] {
        let own = env.os(name).map(|_| name);
        if let Some(name) = own.or_else(|| off::is_off(env, off).then_some(off::VARIABLE)) {
            origins.set("", key, &Origin::of(Layer::Environment, Some(name)));
        }
    }
    if off::is_off(env, off::PROMPT_CACHE) {
        // Only Anthropic has to be told; its protocol knows the option.
        let told = config.providers.iter_mut().filter(|(_, provider)| provider.kind == ProviderKind::Anthropic);
        for (name, provider) in told {
            provider.options.insert("prompt_cache".to_owned(), false.into());
            origins.set(&format!("providers.{name}"), "options", &Origin::of(Layer::Environment, Some(off::VARIABLE)));
        }
    }
    for message in off::problems(env) {
        let origin = Origin::of(Layer::Environment, Some(off::VARIABLE));
        problems.push(Problem::whole(Severity::Error, origin, "", message));
    }
}

fn state_dir(env: &EnvSnapshot, config: &mut Config) {
    let dir = config.recording.dir.as_str();
    config.state_dir = match (dir, dir.strip_prefix("~/")) {
        ("", _) => env.state_dir(),
        (_, Some(below)) => env.home().map(|home| home.join(below)),
        (dir, None) => Some(PathBuf::from(dir)),
    };
}

/// Mends keys that contradict each other, since each alone is valid and may come from a layer of its own.
fn consistent(config: &mut Config, origins: &Origins, problems: &mut Vec<Problem>) {
    let mut mended = |key: &str, message: &str| {
        let origin = origins.last(key).cloned().unwrap_or_else(|| Origin::of(Layer::Default, None));
        problems.push(Problem::whole(Severity::Warning, origin, key, message.to_owned()));
    };
    if config.context.trim_to > config.context.trim_at {
        config.context.trim_to = config.context.trim_at;
        mended("context.trim_to", "`context.trim_to` is above `context.trim_at`; the latter is used for both");
    }
    if config.monitor.moderate_ms > config.monitor.slow_ms {
        config.monitor.moderate_ms = config.monitor.slow_ms;
        mended("monitor.moderate_ms", "`monitor.moderate_ms` is above `monitor.slow_ms`; the latter is used for both");
    }
}
