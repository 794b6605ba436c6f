//! The status record of the contract, section 6, and the longer readout of `ropeway.stats`.
//!
//! Numbers are read where they are counted; nothing is counted twice. What has not been measured is left out, never
//! shown as zero.

use serde_json::{Value, json};

use super::events::RunPhase;
use super::meter;
use super::models;
use super::outcome::Status;
use super::runs::{Active, Runs};
use crate::metrics::{Cache, RECENT};

/// What `ropeway/status` carries.
pub fn status(runs: &Runs) -> Value {
    let services = runs.services();
    let active = runs.active();
    count_caches(runs);
    let mut record = serde_json::to_value(services.metrics.numbers()).unwrap_or_default();
    record["state"] = json!(state(&active, runs.last_status()));
    // While another model stands in for the chosen one, it is the one to name.
    let instead = active.iter().find_map(|run| run.pulse.instead.as_deref().map(str::to_owned));
    let chosen = || runs.chosen_model().or_else(|| services.config().model.clone());
    if let Some(model) = instead.or_else(|| chosen().map(|model| model.to_string())) {
        record["model"] = json!(model);
    }
    record["runs"] = active.iter().map(line).collect();
    record
}

/// What `ropeway.stats` answers: the status and every operation, with the counters behind the rates.
pub async fn stats(runs: &Runs) -> Value {
    let services = runs.services();
    let mut record = status(runs);
    record["operations"] = json!(services.metrics.operations());
    let disk = services.workspace.disk().counters();
    let results = services.results.counters();
    record["caches"] = json!({
        "files": {"hits": disk.hits, "misses": disk.misses},
        "tools": {
            "hits": results.hits,
            "misses": results.misses,
            "stale": results.stale,
            "entries": results.entries,
            "bytes": results.bytes,
        },
        "ahead": {"fetched": results.fetched, "used": results.used},
    });
    let lists = services.lists.counters();
    record["caches"]["lists"] = json!({
        "hits": lists.hits,
        "mended": lists.mended,
        "walks": lists.walks,
        "lists": lists.lists,
        "files": lists.files,
        "folders": lists.folders,
        "bytes": lists.bytes,
    });
    let config = services.config.counters();
    record["caches"]["config"] = json!({
        "hits": config.hits,
        "misses": config.misses,
        "invalidations": config.invalidations,
        "entries": config.entries,
        "loads": config.loads,
        "loadMs": config.load_time.as_secs_f64() * 1e3,
    });
    let counts = services.counter.counters();
    record["caches"]["counts"] = json!({"hits": counts.hits, "misses": counts.misses, "entries": counts.entries});
    record["spent"] = meter::spent(runs).await;
    if let Some(context) = meter::context(runs).await {
        record["context"] = context;
    }
    let http = services.llm.counters();
    record["httpPool"] = json!({
        "requests": http.requests,
        "retries": http.retries,
        "connections": http.connections,
        "warmed": http.warmed,
        "shared": http.shared,
    });
    let waits = services.scheduler.counts();
    record["queues"]["tools"] = json!({"waiting": waits.waiting, "running": waits.running, "peak": waits.peak});
    record["history"] = runs.conversations();
    record["startup"] = json!(services.metrics.startup());
    record["recentMs"] = json!(RECENT.as_millis() as u64);
    record["recorder"] = json!(services.recorder.counters());
    record["available"] =
        json!(models::resolve(&services.config(), services.llm.catalogue(), runs.chosen_model().as_ref()).is_ok());
    record
}

/// What the status says of one run: of its model only where that is not the chosen one.
fn line(run: &Active) -> Value {
    let (run_id, title, pulse) = (&run.run, &run.title, &run.pulse);
    let mut line = json!({"runId": run_id, "title": title, "step": pulse.step, "phase": pulse.phase.word()});
    if let Some(model) = &pulse.instead {
        line["model"] = json!(model);
    }
    line
}

/// The one word for all runs: what needs the user most comes first.
fn state(active: &[Active], last: Option<Status>) -> &'static str {
    let any = |phase: RunPhase| active.iter().any(|run| run.pulse.phase == phase);
    [RunPhase::Waiting, RunPhase::Applying, RunPhase::Acting, RunPhase::Thinking]
        .into_iter()
        .find(|phase| any(*phase))
        .map_or(if last == Some(Status::Failed) { "error" } else { "idle" }, RunPhase::word)
}

/// Brings the counters that lower floors keep for themselves into the one place the rates are made from.
fn count_caches(runs: &Runs) {
    let services = runs.services();
    let disk = services.workspace.disk().counters();
    services.metrics.set_looked_up(Cache::Files, disk.hits, disk.misses);
    let results = services.results.counters();
    services.metrics.set_looked_up(Cache::Tools, results.hits, results.misses);
    let config = services.config.counters();
    services.metrics.set_looked_up(Cache::Config, config.hits, config.misses);
    let http = services.llm.counters();
    // One that was opened ahead cost its first request nothing.
    let new = http.connections.saturating_sub(http.warmed).min(http.requests);
    services.metrics.set_connections(http.requests - new, new);
    services.metrics.set_looked_up(Cache::Responses, http.cache_hits, http.cache_misses);
}
