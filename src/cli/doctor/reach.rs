//! Whether providers answer, all asked at once.
//!
//! One request without a key and without content to each address; an answer of any status shows that it is reached.

use std::error::Error;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::{Client, redirect};
use url::Url;

use super::ProviderReport;
use crate::config::Config;

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(5);

/// Fills in what is found. Providers that could not be asked anyway are left alone: nobody wants the address of a
/// provider without a key to be called, nor any address while it is not known which ones the user wants.
pub(super) fn providers(reports: &mut [ProviderReport], config: &Config) -> anyhow::Result<()> {
    let asked: Vec<_> = reports.iter_mut().filter(|report| report.not_ready.is_none()).collect();
    if asked.is_empty() || config.model.is_none() {
        return Ok(());
    }
    // Fails only if there is one already, which then is used.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder().redirect(redirect::Policy::none()).connect_timeout(LIMIT).timeout(LIMIT).build();
    let client = match client {
        Ok(client) => client,
        Err(error) => {
            for report in asked {
                report.reachable = Some(false);
                report.error = Some(cause(&error));
            }
            return Ok(());
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let requests = asked.into_iter().filter_map(|report| {
        let provider = config.providers.get(&report.name)?;
        Some(ask(&client, &provider.base_url, report))
    });
    runtime.block_on(join_all(requests));
    Ok(())
}

async fn ask(client: &Client, url: &Url, report: &mut ProviderReport) {
    let began = Instant::now();
    let answer = client.get(url.clone()).send().await;
    report.ms = Some((began.elapsed().as_secs_f64() * 10_000.0).round() / 10.0);
    report.reachable = Some(answer.is_ok());
    match answer {
        Ok(answer) => report.status = Some(answer.status().as_u16()),
        Err(error) if error.is_timeout() => report.error = Some(format!("no answer within {} s", LIMIT.as_secs())),
        Err(error) => report.error = Some(cause(&error)),
    }
}

/// The innermost reason: the outer ones only say that a request was made.
fn cause(error: &dyn Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
