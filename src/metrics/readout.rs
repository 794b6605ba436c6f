//! The numbers under the names of the contract: the part of `ropeway/status` and `ropeway.stats` that is counted here.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;

use serde::Serialize;

use super::counts::{Cache, Milestone, share};
use super::{Metrics, Op, OpStats, cpu_time, rss_bytes};

/// Tokens of the session, and how full the conversation is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tokens {
    /// Sent, all in all.
    pub input: u64,
    /// The part of it read from a provider's cache.
    pub cached: u64,
    /// Received, all in all.
    pub output: u64,
    /// The last prompt with its answer.
    pub context: u64,
    /// What the model's window holds.
    pub window: u64,
}

/// US dollars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct CostUsd {
    /// The latest run.
    pub run: f64,
    /// The session.
    pub session: f64,
}

/// Times in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Percentiles {
    /// Half took at most this.
    pub p50: f64,
    /// 95 of 100 took at most this.
    pub p95: f64,
    /// 99 of 100 took at most this.
    pub p99: f64,
}

impl From<OpStats> for Percentiles {
    fn from(OpStats { p50, p95, p99, .. }: OpStats) -> Self {
        Self { p50, p95, p99 }
    }
}

/// The three waits a user feels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LatencyMs {
    /// From a request to the first content.
    pub first_token: Percentiles,
    /// One tool.
    pub tool: Percentiles,
    /// One call of a model.
    pub request: Percentiles,
}

/// Shares of hits, 0 to 1; absent before the first look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct CacheHitRate {
    /// Files read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<f64>,
    /// Prompt tokens read from a provider's cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<f64>,
    /// Results of tools.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<f64>,
    /// Configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<f64>,
    /// Answers of models.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub responses: Option<f64>,
}

/// Tool calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ToolCounts {
    /// Now.
    pub running: u64,
    /// The most at a time.
    pub peak: u64,
    /// Ended well.
    pub done: u64,
    /// Ended with an error.
    pub failed: u64,
}

/// Connections to providers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Http {
    /// Share of requests on a connection that had been used before; absent before the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reuse_rate: Option<f64>,
}

/// Processor time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cpu {
    /// Since the start of the process, over all cores.
    pub ms: f64,
    /// The share of one core since the status before; absent at first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
}

/// Time won by working side by side, in milliseconds: measured, by what one after another would have taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WonMs {
    /// Tools ran while the answer that asked for them still arrived.
    pub stream: f64,
    /// Tools ran beside each other.
    pub parallel: f64,
}

/// An operation since the start and of late.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Operation {
    /// Since the start.
    #[serde(flatten)]
    pub session: OpStats,
    /// In the last five minutes.
    pub recent: OpStats,
}

/// All that is counted here; flatten it into the status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Numbers {
    /// Tokens.
    pub tokens: Tokens,
    /// Money.
    pub cost_usd: CostUsd,
    /// Waits.
    pub latency_ms: LatencyMs,
    /// Caches.
    pub cache_hit_rate: CacheHitRate,
    /// Tool calls.
    pub tools: ToolCounts,
    /// Connections.
    pub http: Http,
    /// Time won.
    pub won_ms: WonMs,
    /// Memory; 0 where the system does not say.
    pub rss_bytes: u64,
    /// Processor time; absent where the system does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Cpu>,
    /// Since the start.
    pub uptime_ms: u64,
}

impl Metrics {
    /// The numbers as they stand. Some microseconds, for memory's sake: not for every keystroke.
    pub fn numbers(&self) -> Numbers {
        let counts = &self.counts;
        let (session, latest, (context, window)) = {
            let purse = counts.purse();
            (purse.session, purse.latest, purse.context)
        };
        let rate = |cache: Cache| counts.caches[cache as usize].rate();
        let won = self.iterations.won();
        let cpu = cpu_time().map(|time| Cpu {
            ms: time.as_secs_f64() * 1e3,
            share: self.share.since_last(std::time::Instant::now(), time),
        });
        let prompt_tokens = share(session.cached, session.input.saturating_sub(session.cached));
        Numbers {
            tokens: Tokens { input: session.input, cached: session.cached, output: session.output, context, window },
            cost_usd: CostUsd { run: latest.cost_usd, session: session.cost_usd },
            latency_ms: LatencyMs {
                first_token: self.stats(Op::FirstToken).into(),
                tool: self.stats(Op::Tool).into(),
                request: self.stats(Op::Request).into(),
            },
            cache_hit_rate: CacheHitRate {
                files: rate(Cache::Files),
                tokens: prompt_tokens,
                tools: rate(Cache::Tools),
                config: rate(Cache::Config),
                responses: rate(Cache::Responses),
            },
            tools: ToolCounts {
                running: counts.running.load(Relaxed),
                peak: counts.peak.load(Relaxed),
                done: counts.done.load(Relaxed),
                failed: counts.failed.load(Relaxed),
            },
            http: Http { reuse_rate: counts.connections.rate() },
            won_ms: WonMs { stream: won.stream.as_secs_f64() * 1e3, parallel: won.parallel.as_secs_f64() * 1e3 },
            rss_bytes: rss_bytes().unwrap_or(0),
            cpu,
            uptime_ms: u64::try_from(self.uptime().as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// Every operation that was seen, by name.
    pub fn operations(&self) -> BTreeMap<&'static str, Operation> {
        let all =
            Op::ALL.iter().map(|op| (op.name(), Operation { session: self.stats(*op), recent: self.recent(*op) }));
        all.filter(|(_, stats)| stats.session.count > 0).collect()
    }

    /// How the start went, in milliseconds after the beginning of the program.
    pub fn startup(&self) -> BTreeMap<&'static str, f64> {
        let names = [
            ("introducedMs", Milestone::Introduced),
            ("agentMs", Milestone::Agent),
            ("firstRunMs", Milestone::FirstRun),
        ];
        let at = |milestone: Milestone| self.counts.milestones[milestone as usize].load(Relaxed);
        let all = names.into_iter().map(|(name, milestone)| (name, at(milestone)));
        // Below 2^53, so exact.
        #[expect(clippy::cast_precision_loss, reason = "microseconds since the start")]
        all.filter(|(_, micros)| *micros > 0).map(|(name, micros)| (name, micros as f64 / 1e3)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{Metrics, Spent};
    use super::*;
    use crate::ids::RunId;

    #[test]
    fn the_readout_has_the_names_of_the_contract() {
        let metrics = Metrics::new();
        metrics.record(Op::FirstToken, Duration::from_millis(2), true);
        metrics.set_looked_up(Cache::Files, 1, 1);
        metrics.set_connections(1, 0);
        let json = serde_json::to_value(metrics.numbers()).unwrap();
        for pointer in [
            "/tokens/input",
            "/tokens/cached",
            "/tokens/output",
            "/tokens/context",
            "/tokens/window",
            "/costUsd/run",
            "/costUsd/session",
            "/latencyMs/firstToken/p50",
            "/latencyMs/tool/p95",
            "/latencyMs/request/p99",
            "/cacheHitRate/files",
            "/tools/running",
            "/tools/peak",
            "/tools/done",
            "/tools/failed",
            "/http/reuseRate",
            "/wonMs/stream",
            "/wonMs/parallel",
            "/rssBytes",
            "/uptimeMs",
        ] {
            assert!(json.pointer(pointer).is_some(), "{pointer} is missing in {json}");
        }
        assert_eq!(json["cacheHitRate"]["files"], 0.5);
        // What was never looked up has no rate; `null` would be true in Lua.
        assert_eq!(json["cacheHitRate"].get("tools"), None);
        let operations = serde_json::to_value(metrics.operations()).unwrap();
        assert_eq!(operations.as_object().unwrap().keys().collect::<Vec<_>>(), ["firstToken"]);
        let seen = &operations["firstToken"];
        assert_eq!(
            (&seen["count"], &seen["recent"]["count"], &seen["recent"]["max"]),
            (&1.into(), &1.into(), &2.0.into())
        );
    }

    #[test]
    fn a_milestone_is_passed_once() {
        let metrics = Metrics::new();
        assert!(metrics.startup().is_empty());
        metrics.passed(Milestone::Agent);
        let first = metrics.startup();
        metrics.passed(Milestone::Agent);
        assert_eq!((metrics.startup(), first.len()), (first.clone(), 1));
    }

    #[test]
    fn money_is_summed_by_run_and_by_session() {
        let metrics = Metrics::new();
        let (one, two) = (RunId::from("one"), RunId::from("two"));
        let spent = Spent { input: 100, cached: 25, output: 10, cost_usd: 0.5 };
        metrics.spend(&one, &spent);
        assert_eq!(metrics.spend(&one, &spent).cost_usd, 1.0);
        metrics.spend(&two, &spent);
        metrics.spend(&two, &Spent { cost_usd: f64::NAN, input: u64::MAX, ..Spent::default() });
        let numbers = metrics.numbers();
        assert_eq!(numbers.cost_usd, CostUsd { run: 0.5, session: 1.5 });
        assert_eq!(numbers.tokens.input, u64::MAX);
        assert_eq!(metrics.run_ended(&one).output, 20);
        assert_eq!(metrics.spent(&one), Spent::default());
        assert_eq!(metrics.numbers().cost_usd.session, 1.5);
    }

    #[test]
    fn a_cancelled_tool_is_neither_done_nor_failed() {
        let metrics = Metrics::new();
        let (a, b, c) = (metrics.tool_started(), metrics.tool_started(), metrics.tool_started());
        assert_eq!(metrics.numbers().tools, ToolCounts { running: 3, peak: 3, done: 0, failed: 0 });
        a.finish(true);
        b.finish(false);
        drop(c);
        assert_eq!(metrics.numbers().tools, ToolCounts { running: 0, peak: 3, done: 1, failed: 1 });
    }
}
