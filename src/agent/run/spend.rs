//! What a run spends, told to everyone who adds it up, and where it ends a run.

use std::sync::Arc;

use super::{Run, lock};
use crate::agent::budget::ledger::Reported;
use crate::agent::trace;
use crate::llm::Usage;
use crate::metrics::Spent;

impl Run<'_> {
    /// Takes in what the provider counted for a request, before its turn is recorded. `origin`: the model that answered.
    pub(super) fn spend(&mut self, usage: &Usage, origin: &Arc<str>) {
        let model = &self.plan.model;
        // Another model may have stood in, at its own price.
        let info = model.fallback.iter().find(|other| other.origin == *origin).map_or(&model.info, |other| &other.info);
        let request = self.budget.spend(usage, info);
        if let Some(reply) = &mut self.reply {
            reply.cost(request.cost_usd);
        }
        let messages = lock(&self.plan.history).messages().len();
        let reported = Reported { origin: origin.clone(), messages, usage: *usage };
        self.services.ledger.add(&self.plan.thread, &request, reported);
        let spent = Spent {
            input: usage.input_tokens,
            cached: usage.cached_tokens,
            output: usage.output_tokens,
            cost_usd: request.cost_usd.unwrap_or_default(),
        };
        self.services.metrics.spend(&self.plan.run, &spent);
        if let Some(row) = &mut self.row {
            row.spent = spent;
        }
        if let Some(turn) = &self.turn {
            trace::counted(&turn.trace, origin, usage);
        }
        let window = if model.info.known { model.info.context_window } else { 0 };
        self.services.metrics.context(usage.input_tokens.saturating_add(usage.output_tokens), window);
        self.services.host.status_changed();
    }

    /// Whether a limit is reached; keeps it for the outcome.
    pub(super) fn has_spent_all(&mut self) -> bool {
        self.over = self.budget.reached();
        self.over.is_some()
    }

    /// Whether the next request, with a prompt of so many tokens, would pass a limit; keeps it for the outcome.
    pub(super) fn cannot_afford(&mut self, prompt: u64) -> bool {
        self.over = self.budget.before(prompt);
        self.over.is_some()
    }
}
