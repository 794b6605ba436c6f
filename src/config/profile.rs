//! Presets of named keys, below everything that the user sets himself.

use std::fmt;

use serde::Serialize;

use super::layer::UserLayer;
use super::node::Node;
use super::place::{Layer, Source};
use super::read::Reader;

/// A preset, chosen by `profile`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// Nothing beyond the built-in defaults.
    #[default]
    Default,
    /// For those who work on an agent's prompts or on Ropeway: tells more, sooner.
    Development,
    /// For shared machines and costly models: asks before it edits, spends less, tries longer.
    Production,
}

pub(super) const PROFILES: &[(&str, Profile)] =
    &[("default", Profile::Default), ("development", Profile::Development), ("production", Profile::Production)];

const DEVELOPMENT: &str = "
[llm]
cache_entries = 0
[recording]
batch = 1
flush_ms = 0
compress = false
[monitor]
slow_ms = 1000
moderate_ms = 200
status_hz = 10.0
";

const PRODUCTION: &str = r#"
[agent]
max_steps = 30
max_cost_usd = 2.0
[edits]
mode = "confirm"
[llm]
max_retries = 6
[monitor]
status_hz = 2.0
"#;

impl Profile {
    /// The word in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Development => "development",
            Self::Production => "production",
        }
    }

    /// The preset as the text of a configuration file.
    pub fn preset(self) -> &'static str {
        match self {
            Self::Default => "",
            Self::Development => DEVELOPMENT,
            Self::Production => PRODUCTION,
        }
    }

    pub(super) fn layer(self) -> UserLayer {
        let text = self.preset();
        if text.is_empty() {
            return UserLayer::default();
        }
        let source = Source::without_text(Layer::Profile, Some(self.name()));
        // A test holds the presets to be without problems.
        let Ok(node) = Node::of_toml(&source, text) else { return UserLayer::default() };
        UserLayer::read(&mut Reader::new(&source), &node)
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_a_valid_configuration() {
        for (name, profile) in PROFILES {
            let source = Source::of_text(Layer::User, None, profile.preset());
            let node = Node::of_toml(&source, profile.preset()).unwrap();
            let mut reader = Reader::new(&source);
            UserLayer::read(&mut reader, &node);
            assert_eq!(reader.finish(), [], "{name}");
        }
    }
}
