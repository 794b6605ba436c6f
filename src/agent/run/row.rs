//! One call of the model after the other, as the numbers have them: what each took, and what was slow about it.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::Run;
use crate::agent::outcome::Timing;
use crate::agent::trace;
use crate::agent::turn::Turn;
use crate::llm::LlmError;
use crate::metrics::{Iteration, Op, Spent};

impl Run<'_> {
    /// The model is asked: the call before is over, its tools included.
    pub(super) fn row_begins(&mut self, summary: bool) {
        self.row_ends();
        self.row = Some(Box::new(Iteration {
            run: self.plan.run.clone(),
            step: self.batch,
            model: self.plan.model.origin.clone(),
            summary,
            ok: false,
            at: self.events.started().elapsed(),
            spent: Spent::default(),
            retries: 0,
            first_token: None,
            model_time: Duration::ZERO,
            calls: 0,
            failed: 0,
            parallel: 0,
            tool_time: Duration::ZERO,
            won_by_stream: Duration::ZERO,
            won_by_parallel: Duration::ZERO,
        }));
    }

    /// The call is over, and with it its tools.
    pub(super) fn row_ends(&mut self) {
        let lap = self.clock.lap();
        let Some(row) = self.row.take() else { return };
        self.services.metrics.iterated(Iteration {
            model_time: lap.model,
            parallel: lap.parallel,
            tool_time: lap.tools,
            won_by_stream: lap.won_by_stream,
            won_by_parallel: lap.won_by_parallel,
            ..*row
        });
    }

    /// A call of the model has failed.
    pub(super) fn broke_off(&mut self, error: &LlmError) {
        if let Some(turn) = &self.turn {
            trace::failed(&turn.trace, error.kind);
        }
        self.turn_over(false);
    }

    /// What a call of the model took, by its parts.
    pub(super) fn timed(&mut self, turn: &Turn, ok: bool) {
        let metrics = &self.services.metrics;
        let took = turn.started.elapsed();
        if let Some(last) = turn.last {
            metrics.record(Op::LastToken, last.saturating_duration_since(turn.started), ok);
        }
        metrics.record_why(Op::Request, took, ok, || why_slow(turn, took).into());
        trace::spoke(&turn.trace, turn);
        if let Some(row) = &mut self.row {
            row.ok = ok;
            row.first_token = turn.first;
            row.retries = turn.retries;
        }
    }

    /// What a tool took: its turn, and its work.
    pub(super) fn tool_timed(
        &mut self,
        name: &Arc<str>,
        waited: Duration,
        ran: Option<(std::time::Instant, Duration)>,
        ok: bool,
    ) {
        if let Some(row) = &mut self.row {
            row.calls += 1;
            row.failed += u32::from(!ok);
        }
        let Some((from, ran)) = ran else { return };
        let metrics = &self.services.metrics;
        metrics.record_why(Op::ToolWait, waited, true, || match self.clock.before(from, waited) {
            Some(other) => format!("{name} began when {other} had ended").into(),
            None => format!("{name} waited for a free place").into(),
        });
        metrics.record_why(Op::Tool, ran, ok, || format!("{name} ran").into());
        self.clock.tool(name, from, ran);
    }
}

/// The part of a call that took the most.
fn why_slow(turn: &Turn, took: Duration) -> String {
    let again = match turn.retries {
        0 => String::new(),
        times => format!(", asked {} times", times + 1),
    };
    match turn.first {
        None => format!("no content came within {}{again}", spell(took)),
        Some(first) if first >= took / 2 => {
            let byte = turn.first_byte.filter(|byte| *byte >= first / 2);
            let what = if byte.is_some() { "first byte" } else { "first token" };
            format!("the model's {what} took {} of {}{again}", spell(byte.unwrap_or(first)), spell(took))
        }
        Some(first) => format!("the answer arrived for {} of {}{again}", spell(took - first), spell(took)),
    }
}

fn spell(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// Where the time of a run went, in words.
pub(in crate::agent) fn breakdown(timing: &Timing) -> Cow<'static, str> {
    let Timing { total_ms, model_ms, tool_ms, overlap_ms } = timing;
    let rest = (total_ms - (model_ms + tool_ms - overlap_ms)).max(0.0);
    let seconds = |ms: f64| format!("{:.1} s", ms / 1e3);
    let (model, tools, both) = (seconds(*model_ms), seconds(*tool_ms), seconds(*overlap_ms));
    format!("model {model}, tools {tools}, side by side {both}, else {}", seconds(rest)).into()
}
