//! The process environment as it was at the start: the few variables that are settings, and the places that follow.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;

use super::node::{Node, Value};
use super::off;

/// The environment, taken once by `cli` and passed down; tests make their own. `Debug` shows no value: some are keys.
#[derive(Clone, Default)]
pub struct EnvSnapshot(HashMap<OsString, OsString>);

impl fmt::Debug for EnvSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EnvSnapshot({} variables)", self.0.len())
    }
}

impl<K: Into<OsString>, V: Into<OsString>> FromIterator<(K, V)> for EnvSnapshot {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(variables: I) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

impl EnvSnapshot {
    /// A variable; an empty one counts as absent.
    pub fn os(&self, name: &str) -> Option<&OsStr> {
        self.0.get(OsStr::new(name)).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    /// A variable that is UTF-8; an empty one counts as absent.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.os(name).and_then(OsStr::to_str)
    }

    /// All variables, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.0.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str()))
    }

    /// A switch: `1`, `true`, `yes`, `on` or their opposites; anything else counts as absent.
    pub fn switch(&self, name: &str) -> Option<bool> {
        self.text(name).and_then(switch)
    }

    /// The values of the variables whose names say that they are secrets, for whoever has to keep them out of a text.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        const WORDS: [&str; 4] = ["KEY", "TOKEN", "SECRET", "PASSWORD"];
        let named = |name: &OsStr| name.to_str().is_some_and(|name| WORDS.iter().any(|word| name.ends_with(word)));
        self.0.iter().filter(move |(name, _)| named(name)).filter_map(|(_, value)| value.to_str())
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        self.os(name).map(PathBuf::from)
    }

    /// The XDG rules: a relative path there counts as absent.
    fn absolute(&self, name: &str) -> Option<PathBuf> {
        self.path(name).filter(|path| path.is_absolute())
    }

    /// The user's home.
    pub fn home(&self) -> Option<PathBuf> {
        self.absolute(if cfg!(windows) { "USERPROFILE" } else { "HOME" })
    }

    /// The user's configuration file, which need not exist: `$ROPEWAY_CONFIG`, else `ropeway/config.toml` below
    /// `$XDG_CONFIG_HOME`, `%APPDATA%` on Windows, `~/.config` elsewhere.
    pub fn user_file(&self) -> Option<PathBuf> {
        let below = |dir: PathBuf| dir.join("ropeway").join("config.toml");
        self.path("ROPEWAY_CONFIG")
            .or_else(|| self.absolute("XDG_CONFIG_HOME").map(below))
            .or_else(|| self.absolute("APPDATA").filter(|_| cfg!(windows)).map(below))
            .or_else(|| self.home().map(|home| below(home.join(".config"))))
    }

    /// Whether the user named the file himself: then it must exist.
    pub fn names_user_file(&self) -> bool {
        self.os("ROPEWAY_CONFIG").is_some()
    }

    /// Where recordings and reports go: `$ROPEWAY_STATE_DIR`, else `ropeway` below `$XDG_STATE_HOME`,
    /// `%LOCALAPPDATA%` on Windows, `~/.local/state` elsewhere.
    pub fn state_dir(&self) -> Option<PathBuf> {
        self.path("ROPEWAY_STATE_DIR")
            .or_else(|| self.absolute("XDG_STATE_HOME").map(|dir| dir.join("ropeway")))
            .or_else(|| self.absolute("LOCALAPPDATA").filter(|_| cfg!(windows)).map(|dir| dir.join("ropeway")))
            .or_else(|| self.home().map(|home| home.join(".local").join("state").join("ropeway")))
    }
}

fn switch(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Some(true),
        "0" | "false" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// How a variable's text becomes a value.
type Parse = fn(&str) -> Value;

/// The variables that are settings of a file, with the key of each.
const VARIABLES: &[(&str, &str, Parse)] = &[
    ("ROPEWAY_MODEL", "model", word),
    ("ROPEWAY_PROFILE", "profile", word),
    ("ROPEWAY_MAX_PARALLEL", "tools.max_parallel", number),
    ("ROPEWAY_PARALLEL_TOOLS", "agent.parallel_tools", yes_or_no),
    ("ROPEWAY_STREAM_DISPATCH", "agent.stream_dispatch", yes_or_no),
];

fn word(text: &str) -> Value {
    Value::String(text.to_owned())
}

// What is neither a number nor a switch stays a string, which the key's reader then refuses with its own words.
fn number(text: &str) -> Value {
    text.trim().parse().map_or_else(|_| word(text), Value::Integer)
}

fn yes_or_no(text: &str) -> Value {
    switch(text).map_or_else(|| word(text), Value::Bool)
}

/// The layer's trees: one for each variable that is set, so that each problem can name its variable.
pub(super) fn nodes(env: &EnvSnapshot) -> impl Iterator<Item = (&'static str, Node)> {
    let own = VARIABLES.iter().filter_map(|(name, key, read)| {
        let value = env.os(name)?.to_string_lossy();
        Some((*name, Node::at_key(key, read(&value))))
    });
    off::nodes(env).map(|node| (off::VARIABLE, node)).chain(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_holds_no_value() {
        let env: EnvSnapshot = [("OPENAI_API_KEY", "sk-canary")].into_iter().collect();
        assert!(!format!("{env:?}").contains("canary"));
    }

    #[cfg(unix)]
    #[test]
    fn the_user_file_is_found_by_the_first_rule_that_applies() {
        let file = |pairs: &[(&str, &str)]| -> Option<String> {
            let env: EnvSnapshot = pairs.iter().copied().collect();
            env.user_file().map(|path| path.display().to_string())
        };
        assert_eq!(file(&[]), None);
        assert_eq!(file(&[("HOME", "/h")]).as_deref(), Some("/h/.config/ropeway/config.toml"));
        assert_eq!(file(&[("HOME", "/h"), ("XDG_CONFIG_HOME", "/x")]).as_deref(), Some("/x/ropeway/config.toml"));
        assert_eq!(
            file(&[("HOME", "/h"), ("XDG_CONFIG_HOME", "rel")]).as_deref(),
            Some("/h/.config/ropeway/config.toml")
        );
        assert_eq!(file(&[("HOME", "/h"), ("ROPEWAY_CONFIG", "/c.toml")]).as_deref(), Some("/c.toml"));
        assert_eq!(file(&[("HOME", "/h"), ("ROPEWAY_CONFIG", "")]).as_deref(), Some("/h/.config/ropeway/config.toml"));
    }
}
