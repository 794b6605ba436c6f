//! The configuration in force as lines for people: each key, its value as TOML, and where it was set.

use serde::Serialize;
use serde_json::Value as Json;

use super::action::UserAction;
use super::place::{Layer, Origin};
use super::resolve::Config;

/// One key of the configuration in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The dotted key.
    pub key: String,
    /// The value as TOML; a header's value is never shown.
    pub value: String,
    /// Where it was set; the last place where several add to it.
    pub origin: Origin,
    /// The other places that add to it.
    pub also: Vec<Origin>,
}

impl Entry {
    /// Every place that had a say, for people.
    pub fn places(&self) -> String {
        let places = self.also.iter().chain([&self.origin]).map(ToString::to_string);
        places.collect::<Vec<_>>().join(", ")
    }

    /// Key and value as a line of TOML.
    pub fn line(&self) -> String {
        format!("{} = {}", self.key, self.value)
    }
}

impl Config {
    /// Where the model was chosen, for people.
    pub fn model_origin(&self) -> String {
        match self.origins.last("model") {
            Some(origin) => origin.to_string(),
            None => "the first provider whose key was found".to_owned(),
        }
    }

    /// What only the environment can say: the variable, its value in force, and where that comes from.
    pub fn switches(&self) -> [(&'static str, String, String); 2] {
        let origin = |key: &str| self.origins.last(key).map_or_else(|| "default".to_owned(), ToString::to_string);
        let ttl = self.config_cache_ttl.as_secs().to_string();
        [
            ("ROPEWAY_CONFIG_CACHE_TTL", ttl, origin("config_cache_ttl")),
            ("ROPEWAY_BACKGROUND_IO", self.background_io.to_string(), origin("background_io")),
        ]
    }

    /// Every key with its value and origin, in the order of the documentation. No secret is in it.
    pub fn entries(&self) -> Vec<Entry> {
        let mut list = List { config: self, entries: Vec::new() };
        match &self.model {
            Some(model) => list.put("model", &Json::from(model.to_string())),
            None => list.put("model", &Json::from("")),
        }
        list.put("profile", &Json::from(self.profile.name()));
        for (name, provider) in &self.providers {
            let key = format!("providers.{name}");
            list.put(&format!("{key}.kind"), &Json::from(provider.kind.name()));
            list.put(&format!("{key}.base_url"), &Json::from(provider.base_url.as_str()));
            list.put(&format!("{key}.api_key_env"), &Json::from(provider.api_key_env.as_deref().unwrap_or_default()));
            let headers = provider.headers.iter().map(|(name, _)| (name.clone(), Json::from("…")));
            list.put(&format!("{key}.headers"), &Json::Object(headers.collect()));
            let limits = provider.timeouts;
            for (limit, value) in
                [("connect_ms", limits.connect), ("first_byte_ms", limits.first_byte), ("idle_ms", limits.idle)]
            {
                let milliseconds = u64::try_from(value.as_millis()).unwrap_or(u64::MAX);
                list.put(&format!("{key}.timeouts.{limit}"), &Json::from(milliseconds));
            }
            list.put(&format!("{key}.options"), &Json::Object(provider.options.clone()));
        }
        for (model, said) in &self.models {
            list.section(&format!("models.\"{model}\""), said, 1);
        }
        list.section("agent", &self.agent, 2);
        list.section("edits", &self.edits, 2);
        list.section("context", &self.context, 2);
        list.section("tools", &self.tools, 2);
        list.section("llm", &self.llm, 2);
        list.section("permissions", &self.permissions, 2);
        list.section("recording", &self.recording, 2);
        list.section("monitor", &self.monitor, 2);
        list.actions(&self.actions);
        list.entries
    }
}

struct List<'c> {
    config: &'c Config,
    entries: Vec<Entry>,
}

impl List<'_> {
    fn put(&mut self, key: &str, value: &Json) {
        let origins = self.config.origins.all(key).to_vec();
        self.put_from(key, value, origins);
    }

    fn put_from(&mut self, key: &str, value: &Json, mut origins: Vec<Origin>) {
        let origin = origins.pop().unwrap_or_else(|| Origin::of(Layer::Default, None));
        self.entries.push(Entry { key: key.to_owned(), value: toml(value), origin, also: origins });
    }

    /// All on one line, so that the lines stay TOML.
    fn actions(&mut self, actions: &[UserAction]) {
        let mut origins: Vec<Origin> = Vec::new();
        for action in actions {
            if !origins.contains(&action.origin) {
                origins.push(action.origin.clone());
            }
        }
        self.put_from("actions", &serde_json::to_value(actions).unwrap_or_default(), origins);
    }

    /// The fields of a section; tables in it, too, down to `depth`. What is absent has no line.
    fn section(&mut self, key: &str, section: &impl Serialize, depth: u32) {
        // A section is a plain struct, which always has a JSON form.
        if let Ok(value) = serde_json::to_value(section) {
            self.fields(key, &value, depth);
        }
    }

    fn fields(&mut self, key: &str, value: &Json, depth: u32) {
        match value {
            Json::Null => {}
            Json::Object(fields) if depth > 0 => {
                for (name, value) in fields {
                    self.fields(&format!("{key}.{name}"), value, depth - 1);
                }
            }
            value => self.put(key, value),
        }
    }
}

/// A JSON value in TOML's spelling.
fn toml(value: &Json) -> String {
    match value {
        Json::Null => "\"\"".to_owned(),
        Json::Array(items) => format!("[{}]", items.iter().map(toml).collect::<Vec<_>>().join(", ")),
        Json::Object(fields) if fields.is_empty() => "{}".to_owned(),
        Json::Object(fields) => {
            let present = fields.iter().filter(|(_, value)| !value.is_null());
            let fields: Vec<_> = present.map(|(key, value)| format!("{} = {}", toml_key(key), toml(value))).collect();
            format!("{{ {} }}", fields.join(", "))
        }
        // JSON's strings and numbers are TOML's.
        plain => plain.to_string(),
    }
}

fn toml_key(key: &str) -> String {
    let bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if bare { key.to_owned() } else { Json::from(key).to_string() }
}
