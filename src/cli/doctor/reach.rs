//! Whether providers answer, all asked at once, by the client that a run would use.
//!
//! The question is the list of models: it costs nothing, needs the key, and says whether the selected model is there.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use url::{Host, Url};

use super::report::{ProviderReport, Report};
use crate::config::{Config, ModelRef, ProviderConfig, ProviderKind};
use crate::llm::catalogue::Facts;
use crate::llm::client::{Client, ClientSettings};
use crate::llm::{LlmError, LlmErrorKind};

/// How long all answers together may take.
const LIMIT: Duration = Duration::from_secs(5);

/// Fills in what is found. Providers that could not be asked anyway are left alone: nobody wants the address of a
/// provider without a key to be called, nor, while it is not known which ones the user wants, any but this machine's own,
/// where Ollama may be.
pub(super) fn providers(reports: &mut [ProviderReport], config: &Config) -> anyhow::Result<()> {
    let here = |name: &str| config.providers.get(name).is_some_and(|provider| is_here(&provider.base_url));
    let asks = |report: &ProviderReport| report.not_ready.is_none() && (config.model.is_some() || here(&report.name));
    let asked: Vec<_> = reports.iter_mut().filter(|report| asks(report)).collect();
    if asked.is_empty() {
        return Ok(());
    }
    let client = Client::new(ClientSettings::from(&config.llm));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let wanted = config.model.as_ref();
    let questions = asked.into_iter().filter_map(|report| {
        let provider = config.providers.get(&report.name)?;
        let model = wanted.filter(|model| model.provider == report.name);
        let client = &client;
        Some(async move {
            let name = provider.name.clone();
            let first = ask(client, provider, model, report).await;
            if let Some(first) = first.filter(|_| wanted.is_none()) {
                report.mend = Some(format!("to use it, write `model = \"{name}/{first}\"` in the user file"));
            }
        })
    });
    runtime.block_on(join_all(questions));
    // The look-up of a name cannot be stopped; nobody waits for it.
    runtime.shutdown_background();
    Ok(())
}

/// Whether an address is this machine's own.
fn is_here(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// Asks one provider; gives the first of its models.
async fn ask(
    client: &Client,
    provider: &ProviderConfig,
    model: Option<&ModelRef>,
    report: &mut ProviderReport,
) -> Option<String> {
    let began = Instant::now();
    let answer = tokio::time::timeout(LIMIT, client.probe(provider)).await;
    let answer = answer.unwrap_or_else(|_| {
        let message = format!("{}: no answer within {} s", provider.name, LIMIT.as_secs());
        let hint = "check your connection, the proxy variables, and base_url";
        Err(LlmError::new(LlmErrorKind::Timeout, message, hint))
    });
    report.ms = Some((began.elapsed().as_secs_f64() * 10_000.0).round() / 10.0);
    match answer {
        Ok(probe) => {
            report.reachable = Some(true);
            report.status = Some(probe.status);
            report.ms = Some((probe.elapsed.as_secs_f64() * 10_000.0).round() / 10.0);
            report.models = probe.models.as_ref().map(Vec::len);
            match &probe.models {
                Some(list) if list.is_empty() => {
                    report.error = Some("it answers, but not with a list of models".to_owned());
                    report.mend = Some("check that base_url and kind fit this server".to_owned());
                }
                Some(list) => {
                    if let Some(model) = model.filter(|model| !names(list, &model.model)) {
                        report.error = Some(format!("it has no model `{}`", model.model));
                        report.mend = Some(instead(provider.kind, &model.model, list));
                    }
                }
                None => {}
            }
            probe.models.and_then(|list| list.into_iter().next()).map(|facts| facts.name)
        }
        Err(error) => {
            report.reachable = Some(error.status.is_some());
            report.status = error.status;
            let whose = format!("{}: ", provider.name);
            report.error = Some(error.message.strip_prefix(&whose).unwrap_or(&error.message).to_owned());
            let variable = provider.api_key_env.as_deref().filter(|_| error.kind == LlmErrorKind::Auth);
            report.mend = Some(match variable {
                Some(variable) => format!("check the key in {variable}, then start the editor again"),
                None if report.reachable == Some(false) && is_here(&provider.base_url) => {
                    format!(
                        "see whether the server there runs and is well, or mend [providers.{}] base_url",
                        provider.name
                    )
                }
                None => error.hint,
            });
            None
        }
    }
}

/// Whether a list names a model; a dated name is its undated model, and Ollama's latest goes without a tag.
fn names(list: &[Facts], model: &str) -> bool {
    let dated = |long: &str, short: &str| {
        long.strip_prefix(short).and_then(|rest| rest.strip_prefix('-')).is_some_and(|rest| {
            rest.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit())
                && rest.bytes().filter(u8::is_ascii_digit).count() == 8
        })
    };
    list.iter().map(|facts| facts.name.as_str()).any(|name| {
        name == model || name.strip_suffix(":latest") == Some(model) || dated(name, model) || dated(model, name)
    })
}

/// What to do about a model that is not there.
fn instead(kind: ProviderKind, model: &str, list: &[Facts]) -> String {
    let get = match kind {
        ProviderKind::Ollama => format!("`ollama pull {model}`, or set"),
        _ => "set".to_owned(),
    };
    let mut near: Vec<(usize, &str)> =
        list.iter().map(|facts| (strsim::osa_distance(&clipped(&facts.name), &clipped(model)), &*facts.name)).collect();
    near.sort();
    let near: Vec<_> = near.into_iter().take(3).map(|(_, name)| format!("`{}`", clipped(name))).collect();
    format!("{get} `model` to one it has, such as {}", near.join(", "))
}

fn clipped(name: &str) -> String {
    name.chars().take(80).collect()
}

/// A model that nobody can reach, whose key is refused or that its provider does not have cannot run, whatever the
/// configuration says.
pub(super) fn conclude(report: &mut Report, config: &Config) {
    let Some(model) = config.model.as_ref().filter(|_| report.model.can_run) else { return };
    let found = report.providers.iter().find(|provider| provider.name == model.provider);
    let Some((provider, error)) = found.and_then(|provider| Some((provider, provider.error.as_deref()?))) else {
        return;
    };
    let ProviderReport { name, base_url, .. } = provider;
    let mend = provider.mend.as_deref().unwrap_or("try again");
    let (certain, text) = match (provider.reachable, provider.status) {
        (Some(false), _) => (
            true,
            match config.providers.get(name).is_some_and(|provider| is_here(&provider.base_url)) {
                true => format!("{base_url} cannot be reached: {error}; {mend}"),
                false => format!(
                    "{base_url} cannot be reached: {error}; check your connection or proxy, or [providers.{name}] base_url"
                ),
            },
        ),
        (_, Some(401 | 403 | 407)) => (true, format!("{base_url} refuses it: {error}; {mend}")),
        // A server that imitates OpenAI may take any name.
        (_, Some(200..=299)) => {
            let own = provider.kind == ProviderKind::OpenAi.name() && name != ProviderKind::OpenAi.name();
            (provider.models.is_some_and(|count| count > 0) && !own, format!("{base_url}: {error}; {mend}"))
        }
        // Too busy, or ill: now or for a minute.
        _ => (false, format!("{base_url} does not work just now: {error}; {mend}")),
    };
    if certain {
        report.model.can_run = false;
        report.model.reason = Some(text);
    } else {
        report.model.doubt = Some(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dated_name_and_a_latest_tag_are_the_model() {
        let list = ["claude-opus-5-5-20260922", "qwen3:latest", "gpt-6-sol"].map(Facts::named);
        for (model, there) in [
            ("claude-opus-5-5", true),
            ("claude-opus-5-5-20260922", true),
            ("claude-opus-5", false),
            ("qwen3", true),
            ("gpt-6-sol-2026-08-01", true),
            ("gpt-6", false),
            ("", false),
        ] {
            assert_eq!(names(&list, model), there, "{model}");
        }
    }
}
