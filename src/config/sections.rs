//! The plain sections: for each key its type, its default, what it takes and what it means, said once.
//!
//! `section!` makes two types of one list: what is in force (every field a value, this is what the program reads) and
//! what one layer says (every field absent or a value with its place), with the schema of the latter.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;

use super::keys::TOOL_NAMES;
use super::place::{At, Origins};
use super::read::Table;
use super::schema::Keys;
use super::values::{boolean, float, integer, names, some, text, word};

macro_rules! section {
    (
        $(#[doc = $doc:literal])* $config:ident, $layer:ident {
            $($(#[doc = $field_doc:literal])* $field:ident: $type:ty = $default:expr, $read:expr;)*
            $(@sub $(#[doc = $sub_doc:literal])* $sub:ident: $sub_config:ident, $sub_layer:ident;)*
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug, PartialEq, Serialize)]
        pub struct $config {
            $($(#[doc = $field_doc])* pub $field: $type,)*
            $($(#[doc = $sub_doc])* pub $sub: $sub_config,)*
        }

        impl Default for $config {
            fn default() -> Self {
                Self { $($field: $default,)* $($sub: $sub_config::default(),)* }
            }
        }

        /// What one layer says of this section.
        #[derive(Clone, Debug, Default)]
        pub(super) struct $layer {
            $(pub(super) $field: Option<At<$type>>,)*
            $(pub(super) $sub: $sub_layer,)*
        }

        impl $layer {
            pub(super) fn read(table: &mut Table<'_, '_, '_>) -> Self {
                Self {
                    $($field: table.take(stringify!($field), $read),)*
                    $($sub: table.section(stringify!($sub), $sub_layer::read),)*
                }
            }

            pub(super) fn apply(&self, to: &mut $config, section: &str, origins: &mut Origins) {
                $(if let Some(at) = &self.$field {
                    to.$field = at.value.clone();
                    origins.set(section, stringify!($field), &at.origin);
                })*
                $(self.$sub.apply(&mut to.$sub, &format!("{section}.{}", stringify!($sub)), origins);)*
            }
        }

        impl JsonSchema for $layer {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($config).into()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                // Here the words that read a value say what it may be.
                #[allow(clippy::wildcard_imports, unused_imports, reason = "a section uses only some of the words")]
                use super::schema::forms::*;
                let mut keys = Keys::new(concat!($($doc),*));
                $(
                    let default: $type = $default;
                    keys.put(stringify!($field), concat!($($field_doc),*), $read, Some(&default));
                )*
                $(keys.put_table(stringify!($sub), $sub_layer::json_schema(generator));)*
                // Sections without tables in them need no generator.
                let _ = generator;
                keys.finish()
            }
        }
    };
}

/// An hour: the longest time limit anyone may set.
const HOUR_MS: i64 = 3_600_000;
/// A day: the longest that a cache may keep something.
const DAY_MS: i64 = 86_400_000;

section! {
    /// The loop.
    AgentConfig, AgentLayer {
        /// Model calls of one run, at most.
        max_steps: u32 = 40, integer(1, 10_000);
        /// US dollars; a run that would pass it ends.
        max_cost_usd: Option<f64> = None, some(float(0.0, 10_000.0));
        /// Tokens sent and received; a run that would pass it ends.
        max_tokens: Option<u64> = None, some(integer(1, 1_000_000_000));
        /// Tool calls of one response run side by side where their effects allow it.
        parallel_tools: bool = true, boolean;
        /// A read-only tool starts while the response is still arriving.
        stream_dispatch: bool = true, boolean;
        /// Files that the model will likely want are read ahead.
        prefetch: bool = true, boolean;
        /// Sent only if set: newer models refuse it.
        temperature: Option<f64> = None, some(float(0.0, 2.0));
    }
}

/// What happens to a run's edits at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EditMode {
    /// They are applied.
    Apply,
    /// The editor asks first.
    Confirm,
    /// They are shown and wait for `ropeway.accept`.
    Preview,
}

pub(super) const EDIT_MODES: &[(&str, EditMode)] =
    &[("apply", EditMode::Apply), ("confirm", EditMode::Confirm), ("preview", EditMode::Preview)];

section! {
    /// How edits reach the editor.
    EditsConfig, EditsLayer {
        /// What happens to a run's edits at its end: they are applied, the editor asks first, or they are shown and wait.
        mode: EditMode = EditMode::Apply, word(EDIT_MODES);
    }
}

/// The ways of making a conversation smaller, as `context.disabled` names them.
pub const PASSES: [&str; 7] = ["clean", "merge", "repeats", "known", "shorten", "stale", "trim"];

section! {
    /// When a long conversation is shortened.
    ContextConfig, ContextLayer {
        /// Share of the window at which a conversation is compacted.
        compact_at: f64 = 0.8, float(0.05, 1.0);
        /// Pairs of question and answer that are kept as they were.
        max_history_pairs: u32 = 20, integer(1, 1000);
        /// Trimming begins at this multiple of the limit.
        trim_at: f64 = 1.5, float(1.0, 100.0);
        /// And ends at this one.
        trim_to: f64 = 1.2, float(1.0, 100.0);
        /// Ways of making a conversation smaller that are not used: `clean`, `merge`, `repeats`, `known`,
        /// `shorten`, `stale`, `trim`.
        disabled: Vec<String> = Vec::new(), names("pass", &PASSES);
        /// Tokens of what is looked up before a run asks the model: definitions, diagnostics, neighbours; 0: nothing is.
        start_tokens: u64 = 2_000, integer(0, 100_000);
        /// Milliseconds that a run waits for it; what is not ready then is left out.
        start_ms: u64 = 40, integer(1, 10_000);
    }
}

section! {
    /// Limits of a search.
    GrepConfig, GrepLayer {
        /// Milliseconds without a first match after which a search ends.
        first_match_timeout_ms: u64 = 3000, integer(1, HOUR_MS);
        /// Files searched, at most.
        max_files: u64 = 10_000, integer(1, 10_000_000);
        /// Searches that come at the same time pass the files once for all of them.
        share: bool = true, boolean;
    }
}

section! {
    /// The model's tools.
    ToolsConfig, ToolsLayer {
        /// Tools that run at a time; 0: four times the cores, 8 to 32.
        max_parallel: usize = 0, integer(0, 256);
        /// Milliseconds that a tool may take.
        timeout_ms: u64 = 30_000, integer(1, HOUR_MS);
        /// Milliseconds that a result may be used again; 0: nothing that was read of files is kept.
        cache_ttl_ms: u64 = 300_000, integer(0, DAY_MS);
        /// Commands work on an overlay of the workspace where the system can make one; else on a copy.
        overlay: bool = true, boolean;
        /// Tools the model is not offered.
        disabled: Vec<String> = Vec::new(), names("tool", TOOL_NAMES);
        /// Tools made ready at the start.
        preload: Vec<String> = Vec::new(), names("tool", TOOL_NAMES);
        @sub
        /// Limits of a search.
        grep: GrepConfig, GrepLayer;
    }
}

impl ToolsConfig {
    /// Tools that run at a time: as set, else four times the cores (what is slow waits for a disk, and what is quick is
    /// done by fewer threads than there are slots), 8 to 32.
    pub fn parallel(&self) -> usize {
        if self.max_parallel > 0 {
            return self.max_parallel;
        }
        (4 * cores()).clamp(8, 32)
    }

    /// Threads of one search: as many as there are cores, unless fewer tools are to run at a time. So one at a time is
    /// one thread in all.
    pub fn threads(&self) -> usize {
        match self.max_parallel {
            0 => cores(),
            most => most.min(cores()),
        }
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(2, std::num::NonZero::get)
}

section! {
    /// How models are called.
    LlmConfig, LlmLayer {
        /// HTTP/2 where the server agrees to it.
        http2: bool = true, boolean;
        /// Idle connections kept to each provider.
        max_idle_per_host: usize = 4, integer(0, 256);
        /// Requests to a provider that may be under way at a time; others wait for their turn.
        max_concurrent: usize = 32, integer(1, 1024);
        /// Further attempts after a failure that may pass.
        max_retries: u32 = 4, integer(0, 20);
        /// Requests to a provider, on average.
        requests_per_second: f64 = 10.0, float(0.01, 10_000.0);
        /// Requests that may come at once.
        burst: u32 = 20, integer(1, 10_000);
        /// Tokens sent to a provider in a minute, by our estimate; 0: as many as it allows.
        tokens_per_minute: u32 = 0, integer(0, 1_000_000_000);
        /// A provider that keeps failing is left alone for a while.
        circuit_breaker: bool = true, boolean;
        /// Equal requests at the same time share one call.
        dedupe: bool = true, boolean;
        /// An event of an answer that repeats the one before but for its text is compared with it instead of parsed.
        match_events: bool = true, boolean;
        /// How many tokens a text has is remembered.
        count_cache: bool = true, boolean;
        /// Answers remembered.
        cache_entries: u64 = 50, integer(0, 100_000);
        /// Milliseconds that an answer may be used again.
        cache_ttl_ms: u64 = 600_000, integer(0, DAY_MS);
        /// Megabytes of answers kept in the state directory too, for a server that starts later; 0: none.
        disk_cache_mb: u32 = 0, integer(0, 10_000);
    }
}

section! {
    /// What is recorded of the runs.
    RecordingConfig, RecordingLayer {
        /// Runs are recorded.
        enabled: bool = true, boolean;
        /// Where; an absolute path or one below `~/`; empty: the state directory.
        dir: String = String::new(), directory;
        /// Records written together.
        batch: u32 = 64, integer(1, 100_000);
        /// Milliseconds after which records are written, however few.
        flush_ms: u64 = 250, integer(0, HOUR_MS);
        /// Closed recordings are compressed.
        compress: bool = true, boolean;
        /// Days after which a recording is removed; 0: never.
        keep_days: u32 = 30, integer(0, 36_500);
        /// Megabytes of all recordings past which the oldest are removed; 0: never.
        keep_mb: u32 = 1024, integer(0, 10_000_000);
    }
}

fn directory(reader: &mut super::read::Reader<'_>, key: &str, node: &super::node::Node) -> Option<String> {
    let path = text(4096)(reader, key, node)?;
    // What a relative path means would depend on where the editor was started.
    if path.is_empty() || path.starts_with("~/") || std::path::Path::new(&path).is_absolute() {
        return Some(path);
    }
    reader.wrong(key, node, "an absolute path, one that begins with ~/, or empty");
    None
}

section! {
    /// What is logged of slow work, and how often the status goes out.
    MonitorConfig, MonitorLayer {
        /// Milliseconds from which an operation is a warning.
        slow_ms: u64 = 5000, integer(1, HOUR_MS);
        /// Milliseconds from which it is logged as information.
        moderate_ms: u64 = 1000, integer(1, HOUR_MS);
        /// Status notifications a second, at most.
        status_hz: f64 = 4.0, float(0.1, 60.0);
    }
}
