//! `ropeway doctor`: whether the selected model can run, and what stands in its way.
//!
//! A report is gathered first and printed afterwards, so that people and machines are told the same. It names
//! variables, never their values.

mod print;
mod reach;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

use serde::Serialize;

use super::args::DoctorArgs;
use super::{DONE, FAILED, sources};
use crate::config::{
    Config, EnvSnapshot, Layer, Loaded, ModelRef, ProviderConfig, ProviderKind, Severity, Sources, load,
};
use crate::llm::models;
use crate::syntax::Language;
use crate::tools::sandbox::{Sandbox, Support};

/// Everything that `doctor` has to say; also the form of `--json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    version: &'static str,
    /// `debug` or `release`.
    build: &'static str,
    /// `ARCHITECTURE-SYSTEM`.
    platform: String,
    /// The kinds of providers that this build can talk to.
    protocols: Vec<&'static str>,
    /// The kinds that it was made without.
    left_out: Vec<&'static str>,
    /// The languages that this build has grammars for.
    grammars: Vec<&'static str>,
    model: ModelReport,
    providers: Vec<ProviderReport>,
    files: Vec<FileReport>,
    problems: Vec<ProblemReport>,
    state_dir: Option<PathBuf>,
    sandbox: Support,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ModelReport {
    /// `PROVIDER/MODEL`.
    id: Option<String>,
    /// Where it was chosen.
    origin: Option<String>,
    can_run: bool,
    /// Why not, with the mend.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// What is not known of it, and what is assumed instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    unknown: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ProviderReport {
    name: String,
    kind: &'static str,
    base_url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_variable: Option<String>,
    key: Key,
    /// Why it cannot be asked, with the mend.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_ready: Option<String>,
    /// Whether an HTTP answer came, of whatever status; absent if it was not tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    reachable: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    /// Until the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    ms: Option<f64>,
    /// Why no answer came.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum Key {
    Present,
    Missing,
    NotNeeded,
}

#[derive(Debug, Serialize)]
struct FileReport {
    layer: &'static str,
    path: PathBuf,
    present: bool,
    errors: usize,
    warnings: usize,
}

#[derive(Debug, Serialize)]
struct ProblemReport {
    severity: Severity,
    place: String,
    message: String,
}

pub(super) fn doctor(args: &DoctorArgs, env: EnvSnapshot) -> anyhow::Result<u8> {
    let sources = sources(env);
    let loaded = load(&sources);
    let mut report = gather(&sources, &loaded);
    reach::providers(&mut report.providers, &loaded.config)?;
    conclude(&mut report, &loaded.config);
    let mut out = io::BufWriter::new(io::stdout().lock());
    if args.json {
        serde_json::to_writer_pretty(&mut out, &report)?;
        writeln!(out)?;
    } else {
        let coloured = io::stdout().is_terminal() && sources.env.os("NO_COLOR").is_none();
        print::report(&mut out, &report, coloured)?;
    }
    out.flush()?;
    Ok(if report.model.can_run { DONE } else { FAILED })
}

/// What can be said without the network.
fn gather(sources: &Sources, loaded: &Loaded) -> Report {
    let config = &loaded.config;
    let kinds = [ProviderKind::OpenAi, ProviderKind::Anthropic, ProviderKind::Google, ProviderKind::Ollama];
    let selected = config.selected();
    Report {
        version: env!("CARGO_PKG_VERSION"),
        build: if cfg!(debug_assertions) { "debug" } else { "release" },
        platform: format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
        protocols: kinds.into_iter().filter(|kind| kind.supported()).map(ProviderKind::name).collect(),
        left_out: kinds.into_iter().filter(|kind| !kind.supported()).map(ProviderKind::name).collect(),
        grammars: Language::built_in(),
        model: ModelReport {
            id: config.model.as_ref().map(ToString::to_string),
            origin: config.model.as_ref().map(|_| config.model_origin()),
            can_run: selected.is_ok(),
            unknown: selected.as_ref().ok().and_then(|(model, provider)| unknown(config, model, provider)),
            reason: selected.err(),
        },
        providers: config.providers.values().map(provider).collect(),
        files: files(sources, loaded),
        problems: loaded
            .problems
            .iter()
            .map(|problem| ProblemReport {
                severity: problem.severity,
                place: problem.origin.to_string(),
                message: problem.message.clone(),
            })
            .collect(),
        state_dir: config.state_dir.clone(),
        sandbox: Sandbox::new(&sources.env).support().clone(),
    }
}

/// What neither the user nor the table says of a model. A provider may still say it when a run begins.
fn unknown(config: &Config, model: &ModelRef, provider: &ProviderConfig) -> Option<String> {
    let info = models::info(provider.kind, &model.model, config.model_override(model), None);
    let what = match (info.known, info.price) {
        (true, Some(_)) => return None,
        (true, None) => "its price is not known, so no costs are counted".to_owned(),
        (false, price) => format!(
            "its context window{} not known: {} tokens are assumed unless the provider says more",
            if price.is_some() { " is" } else { " and price are" },
            info.context_window
        ),
    };
    Some(format!("{what}; [models.\"{model}\"] can say"))
}

fn provider(provider: &ProviderConfig) -> ProviderReport {
    let key = match (&provider.key, &provider.api_key_env) {
        (Some(_), _) => Key::Present,
        (None, Some(_)) => Key::Missing,
        (None, None) => Key::NotNeeded,
    };
    ProviderReport {
        name: provider.name.clone(),
        kind: provider.kind.name(),
        base_url: provider.base_url.to_string(),
        key_variable: provider.api_key_env.clone(),
        key,
        not_ready: provider.ready().err(),
        reachable: None,
        status: None,
        ms: None,
        error: None,
    }
}

fn files(sources: &Sources, loaded: &Loaded) -> Vec<FileReport> {
    let user = sources.user_file().into_iter().map(|path| (Layer::User, path));
    let projects = sources.project_files.iter().cloned().map(|path| (Layer::Project, path));
    let report = |(layer, path): (Layer, PathBuf)| {
        let count = |severity| {
            let here = |problem: &&crate::config::Problem| {
                problem.severity == severity && problem.origin.file.as_deref() == Some(&*path)
            };
            loaded.problems.iter().filter(here).count()
        };
        FileReport {
            layer: layer.label(),
            present: path.exists(),
            errors: count(Severity::Error),
            warnings: count(Severity::Warning),
            path,
        }
    };
    user.chain(projects).map(report).collect()
}

/// A model that nobody can reach cannot run, whatever the configuration says.
fn conclude(report: &mut Report, config: &Config) {
    let Some(model) = config.model.as_ref().filter(|_| report.model.can_run) else { return };
    let provider = report.providers.iter().find(|provider| provider.name == model.provider);
    if let Some(ProviderReport { reachable: Some(false), name, base_url, error, .. }) = provider {
        let why = error.as_deref().unwrap_or("no answer");
        report.model.can_run = false;
        report.model.reason = Some(format!(
            "{base_url} cannot be reached: {why}; check your connection or proxy, or [providers.{name}] base_url"
        ));
    }
}
