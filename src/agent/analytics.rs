//! The tables of `ropeway.analytics`: one row for each tool, call of a model, cache, or connection pool.
//!
//! Rows are flat objects, so that a client can show any table with the same few lines; `columns` gives their order.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::runs::Runs;
use crate::llm::ProviderTraffic;
use crate::metrics::{Iteration, OpStats};
use crate::tools::registry::Usage;

/// The tables there are.
pub const TABLES: [&str; 4] = ["tools", "iterations", "cache", "http"];

/// One table; `None` if there is none of this name.
pub fn table(runs: &Runs, what: &str) -> Option<Value> {
    let (columns, rows) = match what {
        "tools" => tools(runs),
        "iterations" => iterations(runs),
        "cache" => caches(runs),
        "http" => http(runs),
        _ => return None,
    };
    let named = |row: Vec<Value>| -> Value {
        let cells = columns.iter().map(|column| (*column).to_owned()).zip(row);
        Value::Object(cells.filter(|(_, cell)| !cell.is_null()).collect::<Map<_, _>>())
    };
    let rows: Vec<Value> = rows.into_iter().map(named).collect();
    Some(json!({ "what": what, "columns": columns, "rows": rows }))
}

/// Names of the columns, and the rows. What was never measured is `null` here and left out above.
type Table = (&'static [&'static str], Vec<Vec<Value>>);

/// Median, 95th percentile and the longest, in milliseconds.
fn times(stats: &OpStats) -> [Value; 3] {
    match stats.count {
        0 => [Value::Null, Value::Null, Value::Null],
        _ => [json!(stats.p50), json!(stats.p95), json!(stats.max)],
    }
}

fn tools(runs: &Runs) -> Table {
    const COLUMNS: &[&str] = &[
        "tool",
        "uses",
        "errors",
        "cacheHits",
        "waitP50Ms",
        "waitP95Ms",
        "waitMaxMs",
        "runP50Ms",
        "runP95Ms",
        "runMaxMs",
        "loaded",
        "loads",
        "drops",
        "loadMs",
        "idleMs",
    ];
    let row = |usage: Usage| {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let mut row = vec![json!(usage.name), json!(usage.uses), json!(usage.errors), json!(usage.cached)];
        row.extend(times(&usage.waiting));
        row.extend(times(&usage.running));
        row.extend([json!(usage.loaded), json!(usage.loads), json!(usage.drops)]);
        row.extend([json!(usage.load_time.map(ms)), json!(usage.idle.map(ms))]);
        row
    };
    (COLUMNS, runs.services().registry.usage().into_iter().map(row).collect())
}

fn iterations(runs: &Runs) -> Table {
    const COLUMNS: &[&str] = &[
        "runId",
        "step",
        "model",
        "atMs",
        "input",
        "cached",
        "output",
        "costUsd",
        "firstTokenMs",
        "modelMs",
        "toolMs",
        "wonByStreamMs",
        "wonByParallelMs",
        "calls",
        "failed",
        "parallel",
        "retries",
        "ended",
    ];
    let ms = |time: Duration| json!(time.as_secs_f64() * 1e3);
    let row = |row: Iteration| {
        vec![
            json!(row.run),
            json!(row.step),
            json!(row.model),
            ms(row.at),
            json!(row.spent.input),
            json!(row.spent.cached),
            json!(row.spent.output),
            json!(row.spent.cost_usd),
            row.first_token.map_or(Value::Null, ms),
            ms(row.model_time),
            ms(row.tool_time),
            ms(row.won_by_stream),
            ms(row.won_by_parallel),
            json!(row.calls),
            json!(row.failed),
            json!(row.parallel),
            json!(row.retries),
            json!(match (row.ok, row.summary) {
                (true, false) => "answered",
                (true, true) => "summary",
                (false, _) => "failed",
            }),
        ]
    };
    (COLUMNS, runs.services().metrics.iterations().into_iter().map(row).collect())
}

fn caches(runs: &Runs) -> Table {
    const COLUMNS: &[&str] = &["cache", "hits", "misses", "hitRate", "stale", "entries", "bytes"];
    let services = runs.services();
    let rate = |hits: u64, misses: u64| match hits + misses {
        0 => Value::Null,
        all => json!(hits as f64 / all as f64),
    };
    let files = services.workspace.disk().counters();
    let results = services.results.counters();
    let tokens = services.metrics.numbers().tokens;
    let http = services.llm.counters();
    let fresh = tokens.input.saturating_sub(tokens.cached);
    let rows = vec![
        vec![json!("files"), json!(files.hits), json!(files.misses), rate(files.hits, files.misses)],
        vec![
            json!("tools"),
            json!(results.hits),
            json!(results.misses),
            rate(results.hits, results.misses),
            json!(results.stale),
            json!(results.entries),
            json!(results.bytes),
        ],
        vec![
            json!("responses"),
            json!(http.cache_hits + http.shared),
            json!(http.cache_misses),
            rate(http.cache_hits + http.shared, http.cache_misses),
        ],
        vec![
            json!("tokens"),
            json!(tokens.cached),
            json!(fresh),
            rate(tokens.cached, fresh),
            // How often the beginning of a conversation changed, so that what a provider had cached was of no use.
            json!(services.llm.prefix_breaks().values().sum::<u64>()),
        ],
        vec![
            json!("ahead"),
            json!(results.used),
            json!(results.fetched.saturating_sub(results.used)),
            rate(results.used, results.fetched.saturating_sub(results.used)),
        ],
    ];
    (COLUMNS, rows)
}

fn http(runs: &Runs) -> Table {
    const COLUMNS: &[&str] = &[
        "provider",
        "requests",
        "retries",
        "failures",
        "connections",
        "warmed",
        "reuseRate",
        "firstTokenP50Ms",
        "firstTokenP95Ms",
        "firstTokenMaxMs",
        "queueP50Ms",
        "queueP95Ms",
        "queueMaxMs",
        "waiting",
        "failuresInARow",
        "open",
    ];
    let row = |traffic: ProviderTraffic| {
        let mut row = vec![
            json!(traffic.provider),
            json!(traffic.requests),
            json!(traffic.retries),
            json!(traffic.failures),
            json!(traffic.connections),
            json!(traffic.warmed),
            json!(traffic.reuse_rate),
        ];
        row.extend(times(&traffic.first_token));
        row.extend(times(&traffic.queue));
        row.extend([json!(traffic.waiting), json!(traffic.failures_in_a_row), json!(traffic.open)]);
        row
    };
    (COLUMNS, runs.services().llm.traffic().into_iter().map(row).collect())
}
