//! What a run works with: made once by the program, shared by all runs.

use std::sync::Arc;

use super::budget::ledger::Ledger;
use super::gather::outlines::Outlines;
use super::replay::Playback;
use crate::config::{Config, ConfigStore};
use crate::host::Host;
use crate::llm::client::Client;
use crate::llm::count::Calibration;
use crate::metrics::Metrics;
use crate::syntax::SharedParses;
use crate::tokens::counter::Counter;
use crate::tools::cache::ResultStore;
use crate::tools::diagnostics::Diagnostics;
use crate::tools::kept::Lists;
use crate::tools::registry::Registry;
use crate::tools::sandbox::Sandbox;
use crate::tools::scheduler::Scheduler;
use crate::trajectory::recorder::Recorder;
use crate::workspace::Workspace;

/// The shared parts.
#[derive(Clone)]
pub struct Services {
    /// Live buffers, disk and staging.
    pub workspace: Arc<Workspace>,
    /// Where configurations come from.
    pub config: Arc<ConfigStore>,
    /// Models.
    pub llm: Arc<Client>,
    /// Tools.
    pub registry: Arc<Registry>,
    /// Who runs the tools.
    pub scheduler: Scheduler,
    /// Results of tools that are remembered.
    pub results: Arc<ResultStore>,
    /// Lists of files that searches begin with.
    pub lists: Lists,
    /// Outlines of files, by content.
    pub outlines: Arc<Outlines>,
    /// Syntax trees of what runs look at.
    pub parses: Arc<SharedParses>,
    /// Where commands run.
    pub sandbox: Arc<Sandbox>,
    /// What the editor last reported.
    pub diagnostics: Arc<Diagnostics>,
    /// The user's side.
    pub host: Arc<dyn Host>,
    /// Counts tokens.
    pub counter: Arc<Counter>,
    /// What providers count over what we count.
    pub calibration: Arc<Calibration>,
    /// What was spent, by thread and day.
    pub ledger: Arc<Ledger>,
    /// Who records the runs.
    pub recorder: Recorder,
    /// Numbers.
    pub metrics: Arc<Metrics>,
    /// Whether the user trusts this workspace: without, a repository's own instructions are not used.
    pub trusted: bool,
    /// What a recorded run that is played again gets in place of its model and of tools; nothing for all others.
    pub playback: Option<Arc<Playback>>,
}

impl Services {
    /// The configuration in force now; a run keeps the one it started with.
    pub fn config(&self) -> Arc<Config> {
        self.config.current()
    }

    /// Has what outlives the runs follow a configuration.
    pub fn follow(&self, config: &Config) {
        self.llm.configure(config);
        self.scheduler.set_parallel(config.tools.parallel());
        self.workspace.disk().remember(config.tools.cache_ttl_ms > 0);
        self.counter.remember(config.llm.count_cache);
    }
}
