//! The configuration from its files: what is wrong is told with its place, what is right counts in the order of the
//! layers, and a project's file gets nothing that it could misuse.

#![expect(clippy::disallowed_methods, reason = "the tests write the files that the configuration reads")]

mod editor;
mod effect;
mod following;
mod malformed;
mod off;
mod projects;
mod roots;
mod schema;
mod stores;

use std::path::{Path, PathBuf};

use ropeway::config::{Config, EditMode, EnvSnapshot, Loaded, Profile, Severity, Sources, load};
use serde_json::{Value as Json, json};

/// A directory with a user's file, a project and an environment.
pub(crate) struct World {
    dir: tempfile::TempDir,
    pub(crate) sources: Sources,
    variables: Vec<(String, String)>,
}

impl World {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let sources = Sources { user_file: Some(dir.path().join("config.toml")), ..Sources::default() };
        std::fs::write(dir.path().join("config.toml"), "").unwrap();
        Self { dir, sources, variables: Vec::new() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn user(self, text: impl AsRef<[u8]>) -> Self {
        std::fs::write(self.path("config.toml"), text).unwrap();
        self
    }

    pub(crate) fn project(mut self, text: impl AsRef<[u8]>) -> Self {
        let path = self.path("ropeway.toml");
        std::fs::write(&path, text).unwrap();
        self.sources.project_files = vec![path];
        self
    }

    pub(crate) fn init(mut self, settings: Json) -> Self {
        self.sources.init_settings = Some(settings);
        self
    }

    pub(crate) fn client(mut self, settings: Json) -> Self {
        self.sources.client_settings = Some(settings);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self.sources.env = self.variables.iter().cloned().collect();
        self
    }

    pub(crate) fn load(&self) -> Loaded {
        load(&self.sources)
    }

    /// The problems as people see them, the directory left out.
    pub(crate) fn told(&self) -> Vec<String> {
        let dir = format!("{}/", self.dir.path().display());
        self.load().problems.iter().map(|problem| problem.to_string().replace(&dir, "")).collect()
    }

    pub(crate) fn config(&self) -> std::sync::Arc<Config> {
        self.load().config
    }
}

/// The file of the contract with the keys that came since; but for `agent.max_tokens` it uses every key.
const CONTRACT: &str = r#"
model = "anthropic/claude-sonnet-5-5"
profile = "default"
[providers.anthropic]
kind = "anthropic"
base_url = "https://api.example"
api_key_env = "ANTHROPIC_API_KEY"
headers = { }
timeouts = { connect_ms = 10000, first_byte_ms = 60000, idle_ms = 120000 }
options = { }
[models."anthropic/claude-sonnet-5-5"]
context_window = 1000000
max_output_tokens = 32000
price = { input = 2.0, cached_input = 0.1, cache_write = 2.5, output = 10.0 }
fallback = []
[agent]
max_steps = 40
max_cost_usd = 1.0
parallel_tools = true
stream_dispatch = true
prefetch = true
temperature = 0.0
[edits]
mode = "apply"
[context]
compact_at = 0.8
disabled = []
max_history_pairs = 20
start_ms = 40
start_tokens = 2000
trim_at = 1.5
trim_to = 1.2
[tools]
max_parallel = 0
timeout_ms = 30000
cache_ttl_ms = 300000
overlay = true
disabled = []
preload = []
grep = { first_match_timeout_ms = 3000, max_files = 10000, share = true }
[llm]
http2 = true
max_idle_per_host = 4
max_concurrent = 32
max_retries = 4
requests_per_second = 10.0
burst = 20
tokens_per_minute = 0
circuit_breaker = true
dedupe = true
match_events = true
count_cache = true
cache_entries = 50
cache_ttl_ms = 600000
disk_cache_mb = 0
[permissions]
allow = ["read_file", "grep", "glob", "list_dir", "run_command(cargo check)"]
ask   = ["run_command"]
deny  = ["read_file(**/.env)"]
[recording]
enabled = true
dir = ""
batch = 64
flush_ms = 250
compress = true
keep_days = 30
keep_mb = 1024
[monitor]
slow_ms = 5000
moderate_ms = 1000
status_hz = 4
[[actions]]
id = "explain-sql"
title = "Explain this SQL"
prompt = "Explain it."
kind = "refactor.rewrite"
languages = ["sql"]
edits = false
tools = ["read_file"]
model = "anthropic/claude-sonnet-5-5"
"#;

#[test]
fn the_file_of_the_contract_is_valid_and_says_the_defaults() {
    let world = World::new().user(CONTRACT);
    let loaded = world.load();
    assert_eq!(world.told(), Vec::<String>::new());
    let config = loaded.config;
    let defaults = World::new().config();
    assert_eq!(config.edits, defaults.edits);
    assert_eq!(config.context, defaults.context);
    assert_eq!(config.tools, defaults.tools);
    assert_eq!(config.llm, defaults.llm);
    assert_eq!(config.recording, defaults.recording);
    assert_eq!(config.monitor, defaults.monitor);
    let anthropic = (&config.providers["anthropic"], &defaults.providers["anthropic"]);
    assert_eq!(anthropic.0.timeouts, anthropic.1.timeouts);
    assert_eq!(config.model_override(config.model.as_ref().unwrap()).unwrap().price.unwrap().cache_write, Some(2.5));
    assert_eq!(config.permissions.allow[4].to_string(), "run_command(cargo check)");
    assert_eq!(config.actions[0].languages, ["sql"]);
}

#[test]
fn every_key_of_the_contract_is_shown_with_its_value_and_its_place() {
    let world = World::new().user(CONTRACT);
    let entries = world.config().entries();
    let origin =
        |key: &str| entries.iter().find(|entry| entry.key == key).map(|entry| (entry.line(), entry.origin.line));
    assert_eq!(origin("model"), Some(("model = \"anthropic/claude-sonnet-5-5\"".to_owned(), 2)));
    assert_eq!(origin("agent.max_steps"), Some(("agent.max_steps = 40".to_owned(), 17)));
    assert_eq!(origin("tools.grep.max_files").map(|(_, line)| line), Some(40));
    assert_eq!(origin("providers.anthropic.timeouts.idle_ms").map(|(_, line)| line), Some(9));
    assert_eq!(origin("providers.openai.kind").map(|(_, line)| line), Some(0));
    let (actions, line) = origin("actions").unwrap();
    assert!(actions.starts_with("actions = [{ ") && actions.contains("id = \"explain-sql\"") && line > 60, "{actions}");
    // Together the lines are TOML again.
    let text: String = entries.iter().map(|entry| entry.line() + "\n").collect();
    let again = World::new().user(text);
    assert_eq!(again.told(), Vec::<String>::new());
    assert_eq!(again.config().agent, world.config().agent);
}

#[test]
fn a_later_layer_wins_key_by_key() {
    // Every layer sets the steps one lower; each test leaves out the strongest ones.
    let user = "[agent]\nmax_steps = 35\ntemperature = 0.5";
    let steps = |layers: usize| {
        let mut world = World::new();
        if layers >= 1 {
            world = world.user(user);
        }
        if layers >= 2 {
            world = world.project("[agent]\nmax_steps = 34");
        }
        if layers >= 3 {
            world = world.init(json!({ "agent": { "max_steps": 133 } }));
        }
        if layers >= 4 {
            world = world.client(json!({ "ropeway": { "agent": { "max_steps": 32, "prefetch": false } } }));
        }
        let config = world.config();
        assert_eq!(config.agent.temperature, (layers >= 1).then_some(0.5));
        assert_eq!(config.agent.prefetch, layers < 4);
        config.agent.max_steps
    };
    assert_eq!([0, 1, 2, 3, 4].map(steps), [40, 35, 34, 133, 32]);
}

#[test]
fn the_environment_goes_over_the_files_and_the_command_line_over_the_environment() {
    let mut world = World::new()
        .user("model = \"anthropic/a\"\nprofile = \"development\"\n[agent]\nparallel_tools = true")
        .init(json!({ "model": "anthropic/b", "tools": { "max_parallel": 3 } }))
        .client(json!({ "model": "anthropic/c" }));
    assert_eq!(world.config().model.as_ref().unwrap().model, "c");
    world = world
        .env("ROPEWAY_MODEL", "openai/d")
        .env("ROPEWAY_PROFILE", "production")
        .env("ROPEWAY_MAX_PARALLEL", "7")
        .env("ROPEWAY_PARALLEL_TOOLS", "0")
        .env("ROPEWAY_STREAM_DISPATCH", "off")
        .env("ROPEWAY_CONFIG_CACHE_TTL", "9")
        .env("ROPEWAY_BACKGROUND_IO", "false")
        .env("ROPEWAY_STATE_DIR", "/state");
    let config = world.config();
    assert_eq!(world.told(), Vec::<String>::new());
    assert_eq!(config.model.as_ref().unwrap().to_string(), "openai/d");
    assert_eq!(config.profile, Profile::Production);
    assert_eq!(config.edits.mode, EditMode::Confirm, "the preset of the profile");
    assert_eq!((config.tools.max_parallel, config.tools.parallel()), (7, 7));
    assert!(!config.agent.parallel_tools && !config.agent.stream_dispatch && !config.background_io);
    assert_eq!(config.config_cache_ttl.as_secs(), 9);
    assert_eq!(config.state_dir.as_deref(), Some(Path::new("/state")));
    world.sources.overrides.model = Some("google/e".to_owned());
    world.sources.overrides.profile = Some("default".to_owned());
    let config = world.config();
    assert_eq!(config.model.as_ref().unwrap().to_string(), "google/e");
    assert_eq!((config.profile, config.edits.mode), (Profile::Default, EditMode::Apply));
}

#[test]
fn a_variable_that_cannot_be_understood_is_named_and_ignored() {
    for (name, value, expected) in [
        ("ROPEWAY_MODEL", "gpt", "environment ROPEWAY_MODEL: error: \"gpt\" is not a model; write PROVIDER/MODEL"),
        ("ROPEWAY_PROFILE", "prod", "environment ROPEWAY_PROFILE: error: "),
        (
            "ROPEWAY_MAX_PARALLEL",
            "many",
            "environment ROPEWAY_MAX_PARALLEL: error: `max_parallel` must be a whole number from 0 to 256, not \"many\"",
        ),
        ("ROPEWAY_MAX_PARALLEL", "257", "must be a whole number from 0 to 256, not 257"),
        ("ROPEWAY_PARALLEL_TOOLS", "maybe", "must be true or false, not \"maybe\""),
        ("ROPEWAY_STREAM_DISPATCH", "2", "environment ROPEWAY_STREAM_DISPATCH: error: "),
        (
            "ROPEWAY_CONFIG_CACHE_TTL",
            "-1",
            "environment ROPEWAY_CONFIG_CACHE_TTL: error: must be a whole number of seconds",
        ),
        ("ROPEWAY_BACKGROUND_IO", "x", "environment ROPEWAY_BACKGROUND_IO: error: must be true or false"),
    ] {
        let world = World::new().env(name, value);
        let problems = world.told();
        assert!(problems.len() == 1 && problems[0].contains(expected), "{name}={value}: {problems:?}");
        assert_eq!(world.config().agent, World::new().config().agent);
    }
}

#[test]
fn without_a_model_the_first_provider_with_a_key_is_chosen() {
    let choice = |keys: &[&str]| {
        let world = keys.iter().fold(World::new(), |world, key| world.env(key, "sk-1"));
        world.config().model.as_ref().map(|model| model.provider.clone())
    };
    assert_eq!(choice(&["GEMINI_API_KEY", "OPENAI_API_KEY", "ANTHROPIC_API_KEY"]).as_deref(), Some("anthropic"));
    assert_eq!(choice(&["GEMINI_API_KEY", "OPENAI_API_KEY"]).as_deref(), Some("openai"));
    assert_eq!(choice(&["GEMINI_API_KEY"]).as_deref(), Some("google"));
    assert_eq!(choice(&[]), None);
    let reason = World::new().config().selected().unwrap_err();
    assert!(reason.contains("ANTHROPIC_API_KEY") && reason.contains("`model`"), "{reason}");
}

#[test]
fn a_model_that_cannot_run_is_told_with_its_mend() {
    for (user, env, expected) in [
        ("model = \"anthropic/x\"", None, "ANTHROPIC_API_KEY is not set"),
        ("model = \"anthropic/x\"", Some(("ANTHROPIC_API_KEY", "a b")), "holds characters that no key has"),
        ("model = \"antropic/x\"", None, "did you mean `anthropic`?"),
        ("model = \"corp/x\"", None, "define it in [providers.corp]"),
        ("model = \"google/x\"", None, "GEMINI_API_KEY is not set"),
        ("model = \"corp/x\"\n[providers.corp]\nbase_url = \"https://c.example\"", None, "needs `kind`"),
        ("model = \"corp/x\"\n[providers.corp]\nkind = \"openai\"", None, "needs `base_url`"),
        ("model = \"openai/x\"\n[providers.openai]\nbase_url = 3", Some(("OPENAI_API_KEY", "k")), "config.toml:3:12"),
    ] {
        let mut world = World::new().user(user);
        if let Some((name, value)) = env {
            world = world.env(name, value);
        }
        let reason = world.config().selected().unwrap_err();
        assert!(reason.contains(expected), "{user}: {reason}");
    }
}

#[test]
fn a_file_that_cannot_be_read_selects_no_model_because_it_may_have_named_another() {
    for text in ["model = ", "[agent", "\u{0}"] {
        let world = World::new().user(text).env("ANTHROPIC_API_KEY", "sk-1");
        let reason = world.config().selected().unwrap_err();
        assert!(reason.contains("config.toml:1:"), "{reason}");
    }
    // Neither does a model's name that cannot be understood fall back to another model.
    let world = World::new().user("model = \"oops\"").env("ANTHROPIC_API_KEY", "sk-1");
    assert!(world.config().selected().unwrap_err().contains("config.toml:1:9"));
    let missing = World::new().env("ANTHROPIC_API_KEY", "sk-1");
    std::fs::remove_file(missing.path("config.toml")).unwrap();
    assert!(missing.config().selected().unwrap_err().contains("there is no such file"));
}

#[test]
fn a_key_is_sent_only_to_an_address_of_the_users_own_file() {
    use secrecy::ExposeSecret;
    let key = |world: &World| {
        let config = world.config();
        config.providers["anthropic"].key.as_ref().map(|key| key.expose_secret().to_owned())
    };
    let world = World::new().env("ANTHROPIC_API_KEY", " sk-canary\n");
    assert_eq!(key(&world).as_deref(), Some("sk-canary"));
    let own = World::new()
        .user("[providers.anthropic]\nbase_url = \"https://proxy.example\"")
        .env("ANTHROPIC_API_KEY", "sk-canary");
    assert_eq!(key(&own).as_deref(), Some("sk-canary"));
    let elsewhere = json!({ "providers": { "anthropic": { "base_url": "https://evil.example" } } });
    for world in [world.init(elsewhere.clone()), own.client(elsewhere)] {
        assert_eq!(key(&world), None);
        let reason = world.config().provider_of(&"anthropic/x".parse().unwrap()).unwrap_err();
        assert!(reason.contains("evil.example") && reason.contains("your own configuration file"), "{reason}");
        assert!(!format!("{:?}{reason}", world.load()).contains("canary"));
    }
}

#[test]
fn an_editor_cannot_name_the_variable_of_a_key() {
    let settings = json!({ "providers": { "x": { "kind": "openai", "base_url": "https://x.example", "api_key_env": "AWS_SECRET" } } });
    let world = World::new().client(settings).env("AWS_SECRET", "canary");
    let loaded = world.load();
    let provider = &loaded.config.providers["x"];
    assert!(provider.key.is_none() && provider.api_key_env.is_none());
    let problems = world.told();
    assert!(
        problems.len() == 1 && problems[0].contains("`api_key_env` is ignored in the editor's settings"),
        "{problems:?}"
    );
    assert_eq!(loaded.problems[0].severity, Severity::Warning);
}

#[test]
fn a_local_server_needs_no_key() {
    let local = json!({ "model": "openai/m", "providers": { "openai": { "base_url": "http://127.0.0.1:9/v1" } } });
    let world = World::new().init(local);
    let config = world.config();
    assert!(config.selected().is_ok(), "{:?}", config.selected());
}

#[test]
fn what_an_editor_sends_beside_our_settings_is_no_error() {
    let settings =
        json!({ "trace": { "server": "off" }, "path": null, "model": "", "agent": { "maxSteps": 3 }, "edits": 3 });
    let world = World::new().client(settings);
    let mut problems = world.told();
    problems.sort();
    assert_eq!(problems.len(), 3, "{problems:?}");
    assert!(problems[0].contains("editor's settings: error: `edits`: `edits` must be a table, not 3"), "{problems:?}");
    assert!(problems[1].contains("warning") && problems[1].contains("did you mean `max_steps`?"), "{problems:?}");
    assert!(problems[2].contains("warning") && problems[2].contains("unknown key `trace`"), "{problems:?}");
    // All servers' settings in one, as some editors push them.
    let world =
        World::new().client(json!({ "gopls": { "gofumpt": true }, "ropeway": { "agent": { "max_steps": 3 } } }));
    assert_eq!((world.config().agent.max_steps, world.told()), (3, Vec::new()));
}

#[test]
fn deny_and_ask_of_every_layer_count_and_allow_is_the_strongest_ones() {
    let world = World::new()
        .user("[permissions]\nallow = [\"run_command(a)\"]\ndeny = [\"grep(x)\"]")
        .project("[permissions]\nask = [\"glob\"]\ndeny = [\"grep(y)\"]")
        .client(json!({ "permissions": { "allow": ["run_command(b)"], "deny": ["grep(z)"] } }));
    let permissions = world.config().permissions.clone();
    let shown = |rules: &[ropeway::config::Rule]| rules.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(shown(&permissions.allow), ["run_command(b)"]);
    assert_eq!(shown(&permissions.ask), ["glob"]);
    assert_eq!(shown(&permissions.deny), ["grep(x)", "grep(y)", "grep(z)"]);
}

#[test]
fn a_rule_that_cannot_be_read_never_loosens() {
    let world = World::new().user(
        "[permissions]\nallow = [\"run_command(ls)\"]\ndeny = [\"read_file(**/.env\", \"grep([)\", \"(x)\", \"glob\"]",
    );
    let permissions = world.config().permissions.clone();
    assert_eq!(permissions.allow, []);
    let deny: Vec<_> = permissions.deny.iter().map(ToString::to_string).collect();
    assert_eq!(deny, ["read_file", "grep", "glob"], "the whole tool where its pattern cannot be read");
    for broken in ["permissions = 3", "[permissions]\nallow = [\"run_command(ls)\"]\ndeny = 3"] {
        let world = World::new().user(broken).init(json!({ "permissions": { "allow": ["run_command(rm)"] } }));
        assert_eq!(world.config().permissions.allow, [], "{broken}");
    }
}

#[test]
fn an_environment_without_a_home_still_gives_a_configuration() {
    let loaded = load(&Sources { env: EnvSnapshot::default(), ..Sources::default() });
    assert!(loaded.problems.is_empty());
    assert_eq!(loaded.config.state_dir, None);
}

#[test]
fn the_recordings_directory_follows_the_home() {
    let dir = |user: &str| World::new().user(user).env("HOME", "/h").config().state_dir.clone();
    assert_eq!(dir(""), Some("/h/.local/state/ropeway".into()));
    assert_eq!(dir("[recording]\ndir = \"~/rec\""), Some("/h/rec".into()));
    assert_eq!(dir("[recording]\ndir = \"/var/rec\""), Some("/var/rec".into()));
}
