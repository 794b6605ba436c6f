//! What the user wants: layers of settings, checked completely, resolved into one plain value.
//!
//! A layer is a file, the editor's settings, the environment or the command line. Each is read into a tree with places
//! (`node`), then through one typed reader (`read`) that reports everything wrong at once, with line and column. What a
//! layer says and what is in force are two types: `sections` declares both from one list of keys. A project's file
//! comes from whoever wrote the repository, so it has a type of its own (`project`) without fields for what it must not
//! set. `resolve` puts the layers over each other, `store` keeps the last good result (and `cache` the parsed files), `show`
//! explains it, `schema` tells other programs what may be written.
//!
//! Nothing here reads the process environment: `cli` takes one [`EnvSnapshot`] at the start and passes it down.

mod action;
mod cache;
mod env;
mod file;
mod keys;
mod layer;
mod layers;
mod model;
mod node;
mod off;
mod permission;
mod place;
mod profile;
mod project;
mod provider;
mod read;
mod resolve;
mod schema;
mod sections;
mod show;
mod store;
mod values;

pub use self::action::{PLACEHOLDERS, UserAction};
pub use self::cache::ConfigCounters;
pub use self::env::EnvSnapshot;
pub use self::keys::{TOOL_NAMES, is_key};
pub use self::layers::{Overrides, Sources};
pub use self::model::{ModelOverride, ModelRef, Price};
pub use self::off::optimisations;
pub use self::permission::{Permissions, Rule};
pub use self::place::{Layer, Origin, Problem, Severity};
pub use self::profile::Profile;
pub use self::provider::{ProviderConfig, ProviderKind, Timeouts};
pub use self::resolve::{Config, Loaded, check_file, load};
pub use self::schema::{project_schema, schema};
pub use self::sections::{
    AgentConfig, ContextConfig, EditMode, EditsConfig, GrepConfig, LlmConfig, MonitorConfig, PASSES, RecordingConfig,
    ToolsConfig,
};
pub use self::show::Entry;
pub use self::store::ConfigStore;
