//! The list of every key, for what a reader of one layer cannot know: whether a key it has no field for is a mistake,
//! belongs to another table, or is a user's key that a project must not set. A test holds the readers to it.

/// Every key of the user's file; `*` stands for a free name, `[]` for an entry of a list.
pub(super) const KEYS: &[&str] = &[
    "model",
    "profile",
    "providers.*.kind",
    "providers.*.base_url",
    "providers.*.api_key_env",
    "providers.*.headers",
    "providers.*.timeouts.connect_ms",
    "providers.*.timeouts.first_byte_ms",
    "providers.*.timeouts.idle_ms",
    "providers.*.options",
    "models.*.context_window",
    "models.*.max_output_tokens",
    "models.*.price.input",
    "models.*.price.cached_input",
    "models.*.price.cache_write",
    "models.*.price.output",
    "models.*.fallback",
    "agent.max_steps",
    "agent.max_cost_usd",
    "agent.max_tokens",
    "agent.parallel_tools",
    "agent.stream_dispatch",
    "agent.prefetch",
    "agent.temperature",
    "edits.mode",
    "context.compact_at",
    "context.disabled",
    "context.max_history_pairs",
    "context.start_ms",
    "context.start_tokens",
    "context.trim_at",
    "context.trim_to",
    "tools.max_parallel",
    "tools.timeout_ms",
    "tools.cache_ttl_ms",
    "tools.overlay",
    "tools.disabled",
    "tools.preload",
    "tools.grep.first_match_timeout_ms",
    "tools.grep.max_files",
    "tools.grep.share",
    "llm.http2",
    "llm.max_idle_per_host",
    "llm.max_concurrent",
    "llm.max_retries",
    "llm.requests_per_second",
    "llm.burst",
    "llm.tokens_per_minute",
    "llm.circuit_breaker",
    "llm.dedupe",
    "llm.match_events",
    "llm.count_cache",
    "llm.cache_entries",
    "llm.cache_ttl_ms",
    "llm.disk_cache_mb",
    "permissions.allow",
    "permissions.ask",
    "permissions.deny",
    "recording.enabled",
    "recording.dir",
    "recording.batch",
    "recording.flush_ms",
    "recording.compress",
    "recording.keep_days",
    "recording.keep_mb",
    "monitor.slow_ms",
    "monitor.moderate_ms",
    "monitor.status_hz",
    "actions[].id",
    "actions[].title",
    "actions[].prompt",
    "actions[].kind",
    "actions[].languages",
    "actions[].edits",
    "actions[].tools",
    "actions[].model",
];

/// The tools of the contract, to find a misspelt one in a rule before it silently protects nothing.
pub const TOOL_NAMES: &[&str] = &[
    "read_file",
    "list_dir",
    "glob",
    "grep",
    "outline",
    "diagnostics",
    "edit_file",
    "insert_lines",
    "create_file",
    "delete_file",
    "move_file",
    "run_command",
];

/// Whether a dotted key (or a table that holds keys) is one of the user's file.
pub fn is_key(path: &str) -> bool {
    let parts: Vec<&str> = path.split('.').collect();
    KEYS.iter().any(|key| {
        let mut key = key.split('.');
        parts.iter().all(|part| match key.next() {
            Some("*") => true,
            Some(name) => name.trim_end_matches("[]") == part.trim_end_matches("[]"),
            // Below a key that takes a free table, such as `headers`.
            None => true,
        })
    })
}

/// What two spellings of one key have in common.
fn folded(key: &str) -> String {
    key.chars().filter(|c| *c != '_' && *c != '-').flat_map(char::to_lowercase).collect()
}

/// The valid key nearest to a wrong one: one of the same table, else one of that name in another table.
pub(super) fn nearest(wrong: &str, table: &str, known: &[&str]) -> Option<String> {
    if wrong.len() > 64 {
        return None;
    }
    let wrong = folded(wrong);
    // `idle` for `idle_ms` is nearer than its distance says.
    if let Some(longer) = known.iter().find(|key| wrong.len() >= 3 && folded(key).starts_with(&wrong)) {
        return Some((*longer).to_owned());
    }
    let (distance, best) = known
        .iter()
        .map(|key| (strsim::osa_distance(&wrong, &folded(key)), *key))
        .min_by_key(|(distance, _)| *distance)?;
    if distance <= (wrong.chars().count() / 3).max(1) && distance < folded(best).chars().count() {
        return Some(best.to_owned());
    }
    KEYS.iter()
        .filter(|key| !key.contains('*') && !key.contains('['))
        .filter(|key| key.rsplit_once('.').is_some_and(|(other, last)| other != table && folded(last) == wrong))
        .map(|key| (*key).to_owned())
        .next()
}

/// The word nearest to a wrong one, among words that are not keys.
pub(super) fn nearest_word<'w>(wrong: &str, words: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    if wrong.len() > 64 {
        return None;
    }
    let wrong = folded(wrong);
    words
        .into_iter()
        .map(|word| (strsim::osa_distance(&wrong, &folded(word)), word))
        .filter(|(distance, word)| *distance <= (word.len() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_key_finds_its_neighbour() {
        let known = ["max_steps", "parallel_tools", "prefetch"];
        assert_eq!(nearest("max_step", "agent", &known).as_deref(), Some("max_steps"));
        assert_eq!(nearest("maxSteps", "agent", &known).as_deref(), Some("max_steps"));
        assert_eq!(nearest("paralel-tools", "agent", &known).as_deref(), Some("parallel_tools"));
        assert_eq!(nearest("zzz", "agent", &known), None);
        assert_eq!(nearest("x", "", &["y"]), None);
    }

    #[test]
    fn a_key_of_another_table_is_named_with_its_table() {
        assert_eq!(nearest("http2", "agent", &["max_steps"]).as_deref(), Some("llm.http2"));
    }

    #[test]
    fn keys_and_the_tables_above_them_are_known() {
        for key in
            ["model", "agent", "agent.max_steps", "providers.x.base_url", "providers.x.headers.a", "actions[].id"]
        {
            assert!(is_key(key), "{key}");
        }
        for key in ["modell", "agent.nope", "providers.x.key"] {
            assert!(!is_key(key), "{key}");
        }
    }
}
