//! Providers: whom to ask, at what address, with which key.
//!
//! A key belongs to an address. It is read from the environment and sent only to an address that is built in or stands
//! in the user's own file: whoever can set an address elsewhere (an editor's workspace settings come from a
//! repository) would otherwise have the key sent to himself.

mod fields;

use std::collections::BTreeMap;
use std::time::Duration;

use secrecy::SecretString;
use serde::Serialize;
use serde_json::{Map, Value as Json};
use url::{Host, Url};

use self::fields::{api_key_env, base_url, headers};
use super::env::EnvSnapshot;
use super::place::{At, Layer, Origin, Origins, Problem, Severity};
use super::read::{Table, shown};
use super::values::{free_table, integer, word};

/// The protocol that a provider speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ProviderKind {
    /// OpenAI and those compatible with it.
    OpenAi,
    /// Anthropic's messages.
    Anthropic,
    /// Gemini.
    Google,
    /// Ollama's own.
    Ollama,
}

pub(super) const KINDS: &[(&str, ProviderKind)] = &[
    ("openai", ProviderKind::OpenAi),
    ("anthropic", ProviderKind::Anthropic),
    ("google", ProviderKind::Google),
    ("ollama", ProviderKind::Ollama),
];

impl ProviderKind {
    /// The word in the configuration, which is also the name of the built-in provider of this kind.
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::Google => "google",
            Self::Ollama => "ollama",
        }
    }

    /// Whether this build can talk to it.
    pub fn supported(self) -> bool {
        match self {
            Self::OpenAi => cfg!(feature = "openai"),
            Self::Anthropic => cfg!(feature = "anthropic"),
            Self::Google => cfg!(feature = "google"),
            Self::Ollama => cfg!(feature = "ollama"),
        }
    }

    /// What to say where this build cannot talk to it.
    pub fn left_out(self) -> String {
        format!("this build was made without providers of kind `{}`", self.name())
    }

    /// How to get a build that can.
    pub fn how_to_get(self) -> String {
        let kind = self.name();
        format!("install it with its default features, or build it with `cargo install --path . --features {kind}`")
    }

    /// The address of the built-in provider of this kind.
    pub fn base_url(self) -> &'static str {
        match self {
            Self::OpenAi => "https://api.openai.com/v1",
            Self::Anthropic => "https://api.anthropic.com",
            Self::Google => "https://generativelanguage.googleapis.com",
            Self::Ollama => "http://127.0.0.1:11434",
        }
    }

    /// The variable that holds the key of the built-in provider of this kind; absent where none is needed.
    pub fn api_key_env(self) -> Option<&'static str> {
        match self {
            Self::OpenAi => Some("OPENAI_API_KEY"),
            Self::Anthropic => Some("ANTHROPIC_API_KEY"),
            Self::Google => Some("GEMINI_API_KEY"),
            Self::Ollama => None,
        }
    }

    /// Silence between two bytes of a stream that counts as its death; thinking models of some vendors pause longer.
    pub fn idle(self) -> Duration {
        Duration::from_secs(match self {
            Self::OpenAi => 60,
            Self::Anthropic | Self::Ollama => 120,
            Self::Google => 90,
        })
    }
}

/// Time limits of one request. There is none for the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Until the connection stands.
    pub connect: Duration,
    /// From then until the first byte of the answer.
    pub first_byte: Duration,
    /// Between two bytes of a stream.
    pub idle: Duration,
}

/// One provider, ready for use. `Debug` shows no secret.
#[derive(Clone, Debug)]
pub struct ProviderConfig {
    /// Its name in the configuration.
    pub name: String,
    /// The protocol.
    pub kind: ProviderKind,
    /// Without a query; with `/v1` for `openai`, without a version for the others.
    pub base_url: Url,
    /// The variable of the key; absent where none is needed.
    pub api_key_env: Option<String>,
    /// The key, if it is there and may be sent to `base_url`.
    pub key: Option<SecretString>,
    /// Why there is no key although one is named.
    pub key_missing: Option<String>,
    /// Extra headers, checked to be sendable. Their values may be secrets.
    pub headers: Vec<(String, SecretString)>,
    /// Time limits.
    pub timeouts: Timeouts,
    /// Passed to the protocol as they stand.
    pub options: Map<String, Json>,
}

impl ProviderConfig {
    /// Whether requests can be sent at all; else the reason with its mend.
    pub fn ready(&self) -> Result<(), String> {
        if !self.kind.supported() {
            return Err(format!("{}; {}", self.kind.left_out(), self.kind.how_to_get()));
        }
        match &self.key_missing {
            // A server on this machine usually wants none.
            Some(reason) if !is_loopback(&self.base_url) => Err(reason.clone()),
            _ => Ok(()),
        }
    }
}

/// Whether an address is on this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// What one layer says of a provider; also what all say together.
#[derive(Clone, Debug, Default)]
pub(super) struct ProviderLayer {
    /// Where it is first named.
    pub(super) origin: Option<Origin>,
    kind: Option<At<ProviderKind>>,
    base_url: Option<At<Url>>,
    api_key_env: Option<At<String>>,
    headers: Option<At<Vec<(String, SecretString)>>>,
    connect_ms: Option<At<u64>>,
    first_byte_ms: Option<At<u64>>,
    idle_ms: Option<At<u64>>,
    options: Option<At<Map<String, Json>>>,
}

const LIMIT_MS: i64 = 3_600_000;

impl ProviderLayer {
    pub(super) fn read(origin: Origin, table: &mut Table<'_, '_, '_>) -> Self {
        let mut layer = Self {
            origin: Some(origin),
            kind: table.take("kind", word(KINDS)),
            base_url: table.take("base_url", base_url),
            api_key_env: table.take("api_key_env", api_key_env),
            headers: table.take("headers", headers),
            options: table.take("options", free_table),
            ..Self::default()
        };
        if let Some(node) = table.get("timeouts") {
            let path = table.path_of("timeouts");
            table.reader.table(&path, node, |table| {
                layer.connect_ms = table.take("connect_ms", integer(1, LIMIT_MS));
                layer.first_byte_ms = table.take("first_byte_ms", integer(1, LIMIT_MS));
                layer.idle_ms = table.take("idle_ms", integer(1, LIMIT_MS));
            });
        }
        layer
    }

    pub(super) fn apply(&self, to: &mut Self) {
        fn set<T: Clone>(from: Option<&T>, to: &mut Option<T>) {
            if let Some(value) = from {
                *to = Some(value.clone());
            }
        }
        if to.origin.is_none() {
            to.origin.clone_from(&self.origin);
        }
        set(self.kind.as_ref(), &mut to.kind);
        set(self.base_url.as_ref(), &mut to.base_url);
        set(self.api_key_env.as_ref(), &mut to.api_key_env);
        set(self.headers.as_ref(), &mut to.headers);
        set(self.connect_ms.as_ref(), &mut to.connect_ms);
        set(self.first_byte_ms.as_ref(), &mut to.first_byte_ms);
        set(self.idle_ms.as_ref(), &mut to.idle_ms);
        set(self.options.as_ref(), &mut to.options);
    }

    /// The provider in force, or nothing if it lacks what only its user can know (which is reported).
    fn resolve(
        self,
        name: &str,
        env: &EnvSnapshot,
        origins: &mut Origins,
        problems: &mut Vec<Problem>,
    ) -> Option<ProviderConfig> {
        let section = format!("providers.{name}");
        let built_in = KINDS.iter().find(|(word, _)| *word == name).map(|(_, kind)| *kind);
        let place = || self.origin.clone().unwrap_or_else(|| Origin::of(Layer::Default, None));
        let Some(kind) = self.kind.as_ref().map(|at| at.value).or(built_in) else {
            let message = format!(
                "provider `{}` needs `kind`: openai (also for compatible ones), anthropic, google or ollama",
                shown(name)
            );
            problems.push(Problem::whole(Severity::Error, place(), &section, message));
            return None;
        };
        let known_address = built_in == Some(kind);
        let base_url = match &self.base_url {
            Some(at) => at.value.clone(),
            None if !known_address => {
                let message = format!(
                    "provider `{}` needs `base_url`: only the four built-in providers have an address",
                    shown(name)
                );
                problems.push(Problem::whole(Severity::Error, place(), &section, message));
                return None;
            }
            // The addresses are constants, which a test reads.
            None => Url::parse(kind.base_url()).ok()?,
        };
        for (key, origin) in self.origins() {
            origins.set(&section, key, origin);
        }
        let trusted = self.base_url.as_ref().is_none_or(|at| at.origin.layer <= Layer::User);
        let api_key_env = match &self.api_key_env {
            Some(at) => Some(at.value.clone()).filter(|name| !name.is_empty()),
            None if known_address => kind.api_key_env().map(str::to_owned),
            None => None,
        };
        let (key, key_missing) = match &api_key_env {
            None => (None, None),
            Some(variable) => match key(variable, trusted, &base_url, env) {
                Ok(key) => (Some(key), None),
                Err(reason) => (None, Some(reason)),
            },
        };
        let limit = |at: &Option<At<u64>>, default| at.as_ref().map_or(default, |at| Duration::from_millis(at.value));
        Some(ProviderConfig {
            name: name.to_owned(),
            kind,
            base_url,
            api_key_env,
            key,
            key_missing,
            timeouts: Timeouts {
                connect: limit(&self.connect_ms, Duration::from_secs(10)),
                first_byte: limit(&self.first_byte_ms, Duration::from_secs(60)),
                idle: limit(&self.idle_ms, kind.idle()),
            },
            headers: self.headers.map(|at| at.value).unwrap_or_default(),
            options: self.options.map(|at| at.value).unwrap_or_default(),
        })
    }

    fn origins(&self) -> impl Iterator<Item = (&'static str, &Origin)> {
        [
            ("kind", self.kind.as_ref().map(|at| &at.origin)),
            ("base_url", self.base_url.as_ref().map(|at| &at.origin)),
            ("api_key_env", self.api_key_env.as_ref().map(|at| &at.origin)),
            ("headers", self.headers.as_ref().map(|at| &at.origin)),
            ("timeouts.connect_ms", self.connect_ms.as_ref().map(|at| &at.origin)),
            ("timeouts.first_byte_ms", self.first_byte_ms.as_ref().map(|at| &at.origin)),
            ("timeouts.idle_ms", self.idle_ms.as_ref().map(|at| &at.origin)),
            ("options", self.options.as_ref().map(|at| &at.origin)),
        ]
        .into_iter()
        .filter_map(|(key, origin)| Some((key, origin?)))
    }
}

/// The key of a variable, or why there is none with its mend.
fn key(variable: &str, trusted: bool, base_url: &Url, env: &EnvSnapshot) -> Result<SecretString, String> {
    let Some(value) = env.text(variable).map(str::trim).filter(|value| !value.is_empty()) else {
        return Err(format!("{variable} is not set; set it to your key and start the editor again"));
    };
    if !value.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!("{variable} holds characters that no key has; set it again"));
    }
    if !trusted {
        let address = base_url.host_str().unwrap_or_default();
        return Err(format!(
            "the key in {variable} is not sent to {address}: that address comes from the editor's settings; put `base_url` in your own configuration file"
        ));
    }
    Ok(SecretString::from(value.to_owned()))
}

/// All providers in force: the built-in ones and those named in a layer.
pub(super) fn resolve_all(
    mut named: BTreeMap<String, ProviderLayer>,
    env: &EnvSnapshot,
    origins: &mut Origins,
    problems: &mut Vec<Problem>,
) -> BTreeMap<String, ProviderConfig> {
    for (name, _) in KINDS {
        named.entry((*name).to_owned()).or_default();
    }
    let resolved = named.into_iter().filter_map(|(name, layer)| {
        let provider = layer.resolve(&name, env, origins, problems)?;
        Some((name, provider))
    });
    resolved.collect()
}

/// Whether a name can stand before the slash of a model.
pub(super) fn valid_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 64 && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_address_can_be_read() {
        for (_, kind) in KINDS {
            assert!(Url::parse(kind.base_url()).is_ok(), "{kind:?}");
        }
    }

    #[test]
    fn only_this_machine_counts_as_loopback() {
        for (url, expected) in [
            ("http://127.0.0.1:1", true),
            ("http://127.9.9.9", true),
            ("http://[::1]:8080", true),
            ("http://localhost/v1", true),
            ("http://localhost.evil.example", false),
            ("http://127.0.0.1.evil.example", false),
            ("http://0.0.0.0", false),
            ("http://10.0.0.1", false),
            ("http://2130706433", true),
        ] {
            assert_eq!(is_loopback(&Url::parse(url).unwrap()), expected, "{url}");
        }
    }
}
