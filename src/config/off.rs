//! Every optimisation, and the variable that turns it off: to see whether one is at fault, and to compare.
//!
//! `ROPEWAY_OFF` names some of them, or `all`. Most are keys of a file and are set as if they stood in one, so that
//! `config show` tells where the value comes from; the variable that an optimisation has of its own goes over this one.

use super::env::EnvSnapshot;
use super::keys::nearest_word;
use super::node::{Node, Value};
use super::sections::PASSES;

/// The variable.
pub(super) const VARIABLE: &str = "ROPEWAY_OFF";

/// Parsed files of the configuration are used again.
pub(super) const CONFIG_CACHE: &str = "config_cache";
/// Recordings are written by a task of their own.
pub(super) const BACKGROUND_IO: &str = "background_io";
/// Providers are told what of a prompt they should remember.
pub(super) const PROMPT_CACHE: &str = "prompt_cache";

/// How an optimisation is turned off.
enum Off {
    /// Its key is a switch.
    Switch,
    /// Its key is a number.
    Number(i64),
    /// Its key lists what is left out.
    Passes,
    /// It has no key.
    Keyless,
}

const OPTIMISATIONS: &[(&str, Off)] = &[
    ("agent.parallel_tools", Off::Switch),
    ("agent.stream_dispatch", Off::Switch),
    ("agent.prefetch", Off::Switch),
    ("context.disabled", Off::Passes),
    ("context.start_tokens", Off::Number(0)),
    ("tools.max_parallel", Off::Number(1)),
    ("tools.cache_ttl_ms", Off::Number(0)),
    ("tools.overlay", Off::Switch),
    ("tools.grep.share", Off::Switch),
    ("llm.http2", Off::Switch),
    ("llm.max_idle_per_host", Off::Number(0)),
    ("llm.circuit_breaker", Off::Switch),
    ("llm.dedupe", Off::Switch),
    ("llm.match_events", Off::Switch),
    ("llm.count_cache", Off::Switch),
    ("llm.cache_entries", Off::Number(0)),
    ("llm.disk_cache_mb", Off::Number(0)),
    ("recording.batch", Off::Number(1)),
    ("recording.compress", Off::Switch),
    (CONFIG_CACHE, Off::Keyless),
    (BACKGROUND_IO, Off::Keyless),
    (PROMPT_CACHE, Off::Keyless),
];

/// The names that `ROPEWAY_OFF` takes besides `all`: keys of a file, and what has none.
pub fn optimisations() -> impl Iterator<Item = &'static str> {
    OPTIMISATIONS.iter().map(|(name, _)| *name)
}

fn words(env: &EnvSnapshot) -> impl Iterator<Item = &str> {
    let words = env.text(VARIABLE).unwrap_or_default().split([',', ' ']);
    words.map(str::trim).filter(|word| !word.is_empty())
}

/// Whether the variable turns this one off.
pub(super) fn is_off(env: &EnvSnapshot, name: &str) -> bool {
    words(env).any(|word| word == "all" || word == name)
}

/// The trees of one key each that the variable sets.
pub(super) fn nodes(env: &EnvSnapshot) -> impl Iterator<Item = Node> {
    OPTIMISATIONS.iter().filter(|(name, _)| is_off(env, name)).filter_map(|(key, off)| {
        let value = match off {
            Off::Switch => Value::Bool(false),
            Off::Number(number) => Value::Integer(*number),
            Off::Passes => {
                let pass = |name: &&str| Node { value: Value::String((*name).to_owned()), span: 0..0 };
                Value::Array(PASSES.iter().map(pass).collect())
            }
            Off::Keyless => return None,
        };
        Some(Node::at_key(key, value))
    })
}

/// What is wrong with the variable.
pub(super) fn problems(env: &EnvSnapshot) -> Vec<String> {
    if env.os(VARIABLE).is_some() && env.text(VARIABLE).is_none() {
        return vec!["must be names of optimisations, or `all`; it is ignored".to_owned()];
    }
    let unknown = words(env).filter(|word| *word != "all" && optimisations().all(|name| name != *word));
    let message = |word: &str| {
        let shown: String = word.chars().take(80).flat_map(char::escape_debug).collect();
        match nearest_word(word, optimisations()) {
            Some(near) => format!("there is no optimisation `{shown}`; did you mean `{near}`?"),
            None => format!(
                "there is no optimisation `{shown}`; there are {}",
                optimisations().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
            ),
        }
    };
    unknown.take(10).map(message).collect()
}
