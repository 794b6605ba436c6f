//! `ropeway doctor`: whether the selected model can run, and what stands in its way.
//!
//! Facts are gathered first (`report`), then weighed (`findings`), then printed, so that people and machines are told
//! the same. Variables are named, the values of keys never.

mod findings;
mod machine;
mod print;
mod reach;
mod report;

use std::io::{self, Write};

use super::args::DoctorArgs;
use super::terminal::Style;
use super::{DONE, FAILED, current_dir, sources};
use crate::config::{
    Config, EnvSnapshot, Layer, Loaded, ModelRef, ProviderConfig, ProviderKind, Severity, Sources, load,
};
use crate::llm::models;
use crate::syntax::Language;
use crate::tools::sandbox::Sandbox;

use self::report::{FileReport, Key, ModelReport, ProblemReport, ProviderReport, Report};

/// Examines, prints; code 1 if the selected model cannot run.
pub(super) fn doctor(args: &DoctorArgs, env: EnvSnapshot) -> anyhow::Result<u8> {
    let sources = sources(env);
    let loaded = load(&sources);
    let mut report = gather(&sources, &loaded);
    reach::providers(&mut report.providers, &loaded.config)?;
    reach::conclude(&mut report, &loaded.config);
    report.findings = findings::of(&report);
    let mut out = io::BufWriter::new(io::stdout().lock());
    if args.json {
        serde_json::to_writer_pretty(&mut out, &report)?;
        writeln!(out)?;
    } else {
        print::report(&mut out, &report, Style::stdout())?;
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
        schema: report::SCHEMA,
        version: env!("CARGO_PKG_VERSION"),
        build: if cfg!(debug_assertions) { "debug" } else { "release" },
        platform: format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
        executable: std::env::current_exe().ok(),
        protocols: kinds.into_iter().filter(|kind| kind.supported()).map(ProviderKind::name).collect(),
        left_out: kinds.into_iter().filter(|kind| !kind.supported()).map(ProviderKind::name).collect(),
        grammars: Language::built_in(),
        model: ModelReport {
            id: config.model.as_ref().map(ToString::to_string),
            origin: config.model.as_ref().map(|_| config.model_origin()),
            can_run: selected.is_ok(),
            unknown: selected.as_ref().ok().and_then(|(model, provider)| unknown(config, model, provider)),
            reason: selected.err(),
            doubt: None,
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
        state: config.state_dir.as_deref().map(machine::state),
        recording: machine::recording(config),
        sandbox: Sandbox::new(&sources.env).support().clone(),
        watching: machine::watching(current_dir().ok().as_deref()),
        environment: machine::environment(&sources.env),
        findings: Vec::new(),
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
        models: None,
        error: None,
        mend: None,
    }
}

fn files(sources: &Sources, loaded: &Loaded) -> Vec<FileReport> {
    let user = sources.user_file().into_iter().map(|path| (Layer::User, path));
    let projects = sources.project_files.iter().cloned().map(|path| (Layer::Project, path));
    let report = |(layer, path): (Layer, std::path::PathBuf)| {
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
