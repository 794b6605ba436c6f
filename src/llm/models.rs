//! What is known of models before anybody is asked: windows, limits and list prices as of November 2026.
//!
//! It is data. A user's `[models."P/M"]` wins over it, and a model it does not know has no price rather than a guess.

use crate::config::{ModelOverride, Price, ProviderKind};
use crate::llm::Usage;
use crate::llm::catalogue::Facts;

/// One line of the table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BuiltIn {
    /// The protocol of its maker.
    pub kind: ProviderKind,
    /// The maker's name for it.
    pub name: &'static str,
    /// Tokens of a prompt, at most.
    pub context_window: u64,
    /// Tokens of an answer, at most.
    pub max_output_tokens: u64,
    /// What it costs.
    pub price: Option<Price>,
    /// From how many prompt tokens on it costs more.
    pub long: Option<LongPrompt>,
    /// What it can and cannot do.
    pub can: Abilities,
}

/// What a model can do; nothing where nobody says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Abilities {
    /// It calls tools.
    pub tools: Option<bool>,
    /// It calls several at once.
    pub parallel_tools: Option<bool>,
    /// It thinks before it answers.
    pub thinking: Option<bool>,
    /// It takes a temperature; newer models refuse one.
    pub temperature: Option<bool>,
}

impl Abilities {
    /// What a model of these days can do, but for the temperature.
    const fn modern(temperature: bool) -> Self {
        Self { tools: Some(true), parallel_tools: Some(true), thinking: Some(true), temperature: Some(temperature) }
    }
}

/// The surcharge on the whole of a request with a long prompt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LongPrompt {
    /// Prompt tokens beyond which it applies.
    pub above: u64,
    /// Factor on everything sent.
    pub input: f64,
    /// Factor on everything that comes back.
    pub output: f64,
}

/// What holds for a model after the user's word.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ModelInfo {
    /// Tokens of a prompt, at most.
    pub context_window: u64,
    /// Tokens of an answer, at most.
    pub max_output_tokens: u64,
    /// What it costs; unknown without the table or the user.
    pub price: Option<Price>,
    /// The surcharge on long prompts; never on a price of the user's.
    pub long: Option<LongPrompt>,
    /// Whether the user, the provider or the table knows its window; if not, a careful guess stands there.
    pub known: bool,
    /// What it can do.
    pub can: Abilities,
}

/// Assumed of a model nobody described: small enough for most servers of one's own.
const UNKNOWN_WINDOW: u64 = 32_768;
const UNKNOWN_OUTPUT: u64 = 4_096;
/// Ollama reserves memory for the whole window before the first token, so more than this is for the user to ask for.
const OLLAMA_WINDOW: u64 = 32_768;

const GPT_LONG: Option<LongPrompt> = Some(LongPrompt { above: 272_000, input: 2.0, output: 1.5 });
const GEMINI_LONG: Option<LongPrompt> = Some(LongPrompt { above: 200_000, input: 2.0, output: 2.0 });

const fn price(input: f64, output: f64, cached: f64, write: f64) -> Option<Price> {
    Some(Price { input, cached_input: Some(cached), cache_write: Some(write), output })
}

const fn gpt(name: &'static str, price: Option<Price>) -> BuiltIn {
    BuiltIn {
        kind: ProviderKind::OpenAi,
        name,
        context_window: 922_000,
        max_output_tokens: 128_000,
        price,
        long: GPT_LONG,
        can: Abilities::modern(false),
    }
}

/// From 4.7 on they take no temperature but the default.
const fn claude(name: &'static str, window: u64, output: u64, price: Option<Price>, temperature: bool) -> BuiltIn {
    BuiltIn {
        kind: ProviderKind::Anthropic,
        name,
        context_window: window,
        max_output_tokens: output,
        price,
        long: None,
        can: Abilities::modern(temperature),
    }
}

const fn gemini(name: &'static str, output: u64, price: Option<Price>, long: Option<LongPrompt>) -> BuiltIn {
    let can = Abilities::modern(true);
    BuiltIn { kind: ProviderKind::Google, name, context_window: 1_000_000, max_output_tokens: output, price, long, can }
}

/// All of it. A cache write costs 1.25 times the input at OpenAI and at Anthropic.
pub const TABLE: &[BuiltIn] = &[
    gpt("gpt-6-astra", price(10.0, 50.0, 1.0, 12.5)),
    gpt("gpt-6.1-sol", price(2.0, 10.0, 0.1, 2.5)),
    gpt("gpt-6.1-terra", None),
    gpt("gpt-6-sol", price(2.0, 10.0, 0.2, 2.5)),
    gpt("gpt-6-luna", price(0.1, 0.5, 0.01, 0.125)),
    gpt("gpt-5.6-sol", price(4.0, 20.0, 0.4, 5.0)),
    gpt("gpt-5.6-terra", price(2.0, 12.0, 0.2, 2.5)),
    gpt("gpt-5.6-luna", price(0.2, 1.2, 0.02, 0.25)),
    claude("claude-fable-5-1", 1_000_000, 128_000, price(10.0, 50.0, 0.25, 12.5), false),
    claude("claude-fable-5-2", 1_000_000, 128_000, None, false),
    claude("claude-opus-5-5", 1_000_000, 128_000, price(4.0, 20.0, 0.2, 5.0), false),
    claude("claude-sonnet-5-5", 1_000_000, 128_000, price(2.0, 10.0, 0.1, 2.5), false),
    claude("claude-haiku-5-5", 1_000_000, 128_000, price(0.1, 0.5, 0.01, 0.125), false),
    claude("claude-opus-4-8", 1_000_000, 128_000, price(5.0, 25.0, 0.5, 6.25), false),
    claude("claude-sonnet-4-6", 1_000_000, 64_000, price(3.0, 15.0, 0.3, 3.75), true),
    claude("claude-haiku-4-5", 200_000, 64_000, price(1.0, 5.0, 0.1, 1.25), true),
    gemini("gemini-4-argon", 65_536, price(2.0, 10.0, 0.1, 2.0), None),
    gemini("gemini-3.8-flash", 65_536, price(0.75, 3.75, 0.075, 0.75), None),
    gemini("gemini-3.7-flash", 65_536, price(0.75, 3.75, 0.075, 0.75), None),
    gemini("gemini-3.6-flash", 65_536, price(0.75, 3.75, 0.075, 0.75), None),
    gemini("gemini-3.5-flash", 65_536, price(1.5, 9.0, 0.15, 1.5), None),
    gemini("gemini-3.1-pro-preview", 65_536, price(2.0, 12.0, 0.2, 2.0), GEMINI_LONG),
];

/// The line of a model. A dated name (`claude-opus-5-5-20260922`, `gpt-6-sol-2026-08-01`) is its undated model.
pub fn built_in(kind: ProviderKind, model: &str) -> Option<&'static BuiltIn> {
    TABLE.iter().filter(|line| line.kind == kind).find(|line| {
        model.strip_prefix(line.name).is_some_and(|rest| {
            rest.is_empty()
                || (rest.starts_with('-')
                    && rest.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit())
                    && rest.bytes().filter(u8::is_ascii_digit).count() == 8)
        })
    })
}

/// The table's models of a protocol's maker.
pub fn built_ins(kind: ProviderKind) -> impl Iterator<Item = &'static BuiltIn> {
    TABLE.iter().filter(move |line| line.kind == kind)
}

/// What holds for a model: the user's word, else what its provider says (`facts`), else the table's, else a careful
/// guess.
pub fn info(kind: ProviderKind, model: &str, user: Option<&ModelOverride>, facts: Option<&Facts>) -> ModelInfo {
    let line = built_in(kind, model);
    let own_price = user.and_then(|user| user.price);
    let told = facts.and_then(|facts| facts.context_window).map(|window| match kind {
        ProviderKind::Ollama => window.min(OLLAMA_WINDOW),
        _ => window,
    });
    let window = user.and_then(|user| user.context_window).or(told).or(line.map(|line| line.context_window));
    let output = user
        .and_then(|user| user.max_output_tokens)
        .or(facts.and_then(|facts| facts.max_output_tokens))
        .or(line.map(|line| line.max_output_tokens));
    let context_window = window.unwrap_or(UNKNOWN_WINDOW);
    let can = line.map(|line| line.can).unwrap_or_default();
    ModelInfo {
        context_window,
        max_output_tokens: output.unwrap_or(UNKNOWN_OUTPUT).min(context_window),
        price: own_price.or(line.and_then(|line| line.price)),
        long: if own_price.is_some() { None } else { line.and_then(|line| line.long) },
        known: window.is_some(),
        can: Abilities {
            tools: facts.and_then(|facts| facts.tools).or(can.tools),
            thinking: facts.and_then(|facts| facts.thinking).or(can.thinking),
            ..can
        },
    }
}

impl ModelInfo {
    /// What a request cost, in US dollars.
    pub fn cost(&self, usage: &Usage) -> Option<f64> {
        let price = self.price?;
        let (input_factor, output_factor) = match self.long {
            Some(long) if usage.input_tokens > long.above => (long.input, long.output),
            _ => (1.0, 1.0),
        };
        let fresh = usage.input_tokens.saturating_sub(usage.cached_tokens).saturating_sub(usage.cache_write_tokens);
        let sent = fresh as f64 * price.input
            + usage.cached_tokens as f64 * price.cached_input.unwrap_or(price.input)
            + usage.cache_write_tokens as f64 * price.cache_write.unwrap_or(price.input);
        Some((sent * input_factor + usage.output_tokens as f64 * price.output * output_factor) / 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dated_name_is_its_model_and_a_longer_name_is_not() {
        let find = |kind, model| built_in(kind, model).map(|line| line.name);
        assert_eq!(find(ProviderKind::Anthropic, "claude-opus-5-5-20260922"), Some("claude-opus-5-5"));
        assert_eq!(find(ProviderKind::OpenAi, "gpt-6-sol-2026-08-01"), Some("gpt-6-sol"));
        assert_eq!(find(ProviderKind::OpenAi, "gpt-6-sol"), Some("gpt-6-sol"));
        assert_eq!(find(ProviderKind::OpenAi, "gpt-6-sol-mini"), None);
        assert_eq!(find(ProviderKind::Anthropic, "gpt-6-sol"), None);
        assert_eq!(find(ProviderKind::OpenAi, "my-own"), None);
    }

    #[test]
    fn the_users_word_wins_over_the_table() {
        let user = ModelOverride { max_output_tokens: Some(32_000), ..ModelOverride::default() };
        let info = info(ProviderKind::Anthropic, "claude-sonnet-5-5", Some(&user), None);
        assert_eq!((info.context_window, info.max_output_tokens, info.known), (1_000_000, 32_000, true));
        let unknown = super::info(ProviderKind::OpenAi, "my-own", None, None);
        assert_eq!((unknown.price, unknown.known), (None, false));
    }

    #[test]
    fn the_providers_word_stands_between_the_users_and_the_table() {
        let facts = Facts { context_window: Some(2_000_000), tools: Some(false), ..Facts::named("x") };
        let told = info(ProviderKind::Anthropic, "claude-sonnet-5-5", None, Some(&facts));
        assert_eq!((told.context_window, told.max_output_tokens, told.can.tools), (2_000_000, 128_000, Some(false)));
        assert_eq!((told.can.thinking, told.can.temperature), (Some(true), Some(false)));
        let user = ModelOverride { context_window: Some(64_000), ..ModelOverride::default() };
        let window = |kind, user: Option<&ModelOverride>| info(kind, "my-own", user, Some(&facts)).context_window;
        assert_eq!(window(ProviderKind::OpenAi, Some(&user)), 64_000);
        // Ollama would reserve memory for all of it.
        assert_eq!(window(ProviderKind::Ollama, None), OLLAMA_WINDOW);
        assert_eq!(window(ProviderKind::Ollama, Some(&user)), 64_000);
    }

    #[test]
    fn a_cost_counts_each_token_once() {
        let info = info(ProviderKind::Anthropic, "claude-sonnet-5-5", None, None);
        let usage = Usage {
            input_tokens: 1_000_000,
            cached_tokens: 400_000,
            cache_write_tokens: 100_000,
            output_tokens: 100_000,
            reasoning_tokens: 30_000,
        };
        let cost = info.cost(&usage).unwrap();
        assert!((cost - (0.5 * 2.0 + 0.4 * 0.1 + 0.1 * 2.5 + 0.1 * 10.0)).abs() < 1e-9, "{cost}");
    }

    #[test]
    fn a_long_prompt_costs_more_where_the_maker_says_so() {
        let info = info(ProviderKind::OpenAi, "gpt-6-sol", None, None);
        let usage = Usage { input_tokens: 300_000, output_tokens: 1_000, ..Usage::default() };
        let cost = info.cost(&usage).unwrap();
        assert!((cost - (0.3 * 2.0 * 2.0 + 0.001 * 10.0 * 1.5)).abs() < 1e-9, "{cost}");
    }

    #[test]
    fn names_are_unique() {
        for line in TABLE {
            assert_eq!(built_in(line.kind, line.name).map(|found| found.name), Some(line.name));
        }
    }
}
