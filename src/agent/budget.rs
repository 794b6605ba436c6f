//! What a run may spend and what it has: the limits of the configuration against the provider's own counts.
//!
//! A limit ends a run at two places: behind a request that reached it, and before one that would be expected to pass it.
//! What is expected is said in [`Budget::before`]; everything else here is what the provider reported.

pub mod ledger;

use super::outcome::{ErrorCode, OutcomeError, RunUsage};
use crate::config::AgentConfig;
use crate::llm::Usage;
use crate::llm::models::ModelInfo;

/// Why a run ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Over {
    /// `agent.max_cost_usd`, with what was spent and, if the next request would pass it, what that would cost.
    Cost {
        /// The limit, in US dollars.
        limit: f64,
        /// Spent so far.
        spent: f64,
        /// Expected of the next request.
        next: Option<f64>,
    },
    /// `agent.max_tokens`, the same way.
    Tokens {
        /// The limit: tokens sent and received.
        limit: u64,
        /// So far.
        spent: u64,
        /// Expected of the next request.
        next: Option<u64>,
    },
}

/// The purse of one run.
#[derive(Clone, Debug)]
pub struct Budget {
    max_cost_usd: Option<f64>,
    max_tokens: Option<u64>,
    info: ModelInfo,
    spent: RunUsage,
    requests: u64,
    /// What the last request was counted as.
    last: Option<Usage>,
}

impl Budget {
    /// Nothing spent yet.
    pub fn new(config: &AgentConfig, info: ModelInfo) -> Self {
        if config.max_cost_usd.is_some() && info.price.is_none() {
            tracing::warn!(
                "agent.max_cost_usd cannot hold: the price of this model is not known; agent.max_tokens can"
            );
        }
        Self {
            max_cost_usd: config.max_cost_usd,
            max_tokens: config.max_tokens,
            info,
            spent: RunUsage::default(),
            requests: 0,
            last: None,
        }
    }

    /// What the run has spent.
    pub fn spent(&self) -> &RunUsage {
        &self.spent
    }

    /// Takes in what a request was counted as, at the price of the model that answered; gives what it came to.
    pub fn spend(&mut self, usage: &Usage, info: &ModelInfo) -> RunUsage {
        let mut request = RunUsage::default();
        request.add(usage, info.cost(usage));
        self.spent.merge(&request);
        self.requests += 1;
        self.last = Some(*usage);
        request
    }

    /// Whether a limit is reached.
    pub fn reached(&self) -> Option<Over> {
        let tokens = self.spent.tokens();
        if let (Some(limit), Some(spent)) = (self.max_cost_usd, self.spent.cost_usd)
            && spent >= limit
        {
            return Some(Over::Cost { limit, spent, next: None });
        }
        self.max_tokens.filter(|limit| tokens >= *limit).map(|limit| Over::Tokens { limit, spent: tokens, next: None })
    }

    /// Whether the next request would pass a limit, with a prompt of so many tokens as the conversation's gauge has it.
    /// Expected are: of the prompt, as much from the provider's cache as was sent last time, if anything came from
    /// there; of the answer, the mean of those so far.
    pub fn before(&self, prompt: u64) -> Option<Over> {
        let cached = self.last.filter(|last| last.cached_tokens > 0).map_or(0, |last| last.input_tokens.min(prompt));
        let expected = Usage {
            input_tokens: prompt,
            cached_tokens: cached,
            output_tokens: self.spent.output_tokens / self.requests.max(1),
            ..Usage::default()
        };
        let tokens = self.spent.tokens();
        let more = expected.input_tokens.saturating_add(expected.output_tokens);
        if let (Some(limit), Some(cost)) = (self.max_cost_usd, self.info.cost(&expected)) {
            let spent = self.spent.cost_usd.unwrap_or_default();
            if spent + cost > limit {
                return Some(Over::Cost { limit, spent, next: Some(cost) });
            }
        }
        let limit = self.max_tokens.filter(|limit| tokens.saturating_add(more) > *limit)?;
        Some(Over::Tokens { limit, spent: tokens, next: Some(more) })
    }
}

impl From<Over> for OutcomeError {
    fn from(over: Over) -> Self {
        let (message, key) = match over {
            Over::Cost { limit, spent, next: None } => {
                (format!("the run reached its cost limit: ${spent:.4} of ${limit:.4} spent"), "agent.max_cost_usd")
            }
            Over::Cost { limit, spent, next: Some(next) } => (
                format!(
                    "the next request would pass the run's cost limit: ${spent:.4} of ${limit:.4} spent, \
                     about ${next:.4} more expected"
                ),
                "agent.max_cost_usd",
            ),
            Over::Tokens { limit, spent, next: None } => {
                (format!("the run reached its token limit: {spent} of {limit} used"), "agent.max_tokens")
            }
            Over::Tokens { limit, spent, next: Some(next) } => (
                format!(
                    "the next request would pass the run's token limit: {spent} of {limit} used, \
                     about {next} more expected"
                ),
                "agent.max_tokens",
            ),
        };
        Self::new(ErrorCode::CostLimit, format!("{message}; nothing was applied"), format!("raise `{key}`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Price;
    use crate::llm::models::Abilities;

    fn budget(max_cost_usd: Option<f64>, max_tokens: Option<u64>) -> Budget {
        let config = AgentConfig { max_cost_usd, max_tokens, ..AgentConfig::default() };
        // A dollar for a thousand tokens, either way; a tenth of that from the cache.
        let price = Price { input: 1e3, cached_input: Some(1e2), cache_write: None, output: 1e3 };
        let info = ModelInfo {
            context_window: 100_000,
            max_output_tokens: 10_000,
            price: Some(price),
            long: None,
            known: true,
            can: Abilities::default(),
        };
        Budget::new(&config, info)
    }

    impl Budget {
        fn pay(&mut self, usage: Usage) -> RunUsage {
            let info = self.info;
            self.spend(&usage, &info)
        }
    }

    fn usage(input: u64, cached: u64, output: u64) -> Usage {
        Usage { input_tokens: input, cached_tokens: cached, output_tokens: output, ..Usage::default() }
    }

    #[test]
    fn a_run_ends_behind_the_request_that_reaches_a_limit() {
        let mut cost = budget(Some(1.0), None);
        assert_eq!(cost.before(100), None);
        let request = cost.pay(usage(500, 0, 100));
        assert!((request.cost_usd.unwrap() - 0.6).abs() < 1e-9);
        assert_eq!(cost.reached(), None);
        cost.pay(usage(300, 0, 100));
        assert!(matches!(cost.reached(), Some(Over::Cost { next: None, .. })));
        let mut tokens = budget(None, Some(700));
        tokens.pay(usage(650, 0, 50));
        assert_eq!(tokens.reached(), Some(Over::Tokens { limit: 700, spent: 700, next: None }));
    }

    #[test]
    fn a_request_that_would_pass_a_limit_is_not_made() {
        let mut tokens = budget(None, Some(1000));
        assert_eq!(tokens.before(1000), None);
        assert_eq!(tokens.before(1001), Some(Over::Tokens { limit: 1000, spent: 0, next: Some(1001) }));
        tokens.pay(usage(400, 0, 50));
        // The next answer is expected to be as long as the last.
        assert_eq!(tokens.before(501), Some(Over::Tokens { limit: 1000, spent: 450, next: Some(551) }));
        assert_eq!(tokens.before(500), None);
        let mut cost = budget(Some(0.7), None);
        cost.pay(usage(400, 0, 0));
        let Some(Over::Cost { spent, next: Some(next), .. }) = cost.before(400) else { panic!() };
        assert!((spent - 0.4).abs() < 1e-9 && (next - 0.4).abs() < 1e-9);
    }

    #[test]
    fn what_the_cache_is_expected_to_hold_costs_its_price() {
        let mut budget = budget(Some(0.7), None);
        budget.pay(usage(400, 1, 0));
        // 0.04 for what is in the cache, 0.1 for what came since.
        assert_eq!(budget.before(500), None);
    }

    #[test]
    fn counts_that_cannot_be_end_in_a_limit_and_not_in_a_panic() {
        let mut budget = budget(Some(1.0), Some(1000));
        budget.pay(usage(u64::MAX, u64::MAX, u64::MAX));
        budget.pay(usage(u64::MAX, 0, u64::MAX));
        assert!(budget.reached().is_some() && budget.before(u64::MAX).is_some());
        let error = OutcomeError::from(budget.reached().unwrap());
        assert_eq!(error.code, ErrorCode::CostLimit);
    }
}
