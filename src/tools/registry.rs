//! The one list of the tools there are.
//!
//! A tool is built at its first use and dropped when nobody has used it for long; its spec is there without it, so
//! that offering it costs nothing. What a run may call is a [`Toolset`]: it keeps the tools it has used, so looking one
//! up takes no lock. An action that must not edit is given none that could, and a call of another tool is answered with
//! the list.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::create_file::CreateFile;
use super::delete_file::DeleteFile;
use super::diagnostics::ShowDiagnostics;
use super::edit_file::EditFile;
use super::glob::Glob;
use super::grep::Grep;
use super::insert_lines::InsertLines;
use super::list_dir::ListDir;
use super::move_file::MoveFile;
use super::outline::ShowOutline;
use super::pattern::brief;
use super::read_file::ReadFile;
use super::run_command::RunCommand;
use super::tool::{Tool, ToolError};
use crate::llm::types::ToolSpec;
use crate::metrics::{OpStats, Timer};

/// How long a tool is kept that nobody uses.
pub const IDLE: Duration = Duration::from_secs(10 * 60);

/// A tool of the list: its name, its spec, and how to build it.
pub type Listed = (&'static str, fn() -> ToolSpec, fn() -> Box<dyn Tool>);

/// All tools, in the order in which a model is shown them.
pub struct Registry {
    entries: Box<[Entry]>,
    began: Instant,
    /// Whether somebody has undertaken to drop what is idle.
    sweeping: AtomicBool,
}

struct Entry {
    name: &'static str,
    spec: fn() -> ToolSpec,
    build: fn() -> Box<dyn Tool>,
    /// The tool while it is kept. Locked to build and to drop it, never to look it up in a toolset that has it.
    kept: Mutex<Option<Arc<dyn Tool>>>,
    counts: Counts,
    waiting: Timer,
    running: Timer,
}

#[derive(Default)]
struct Counts {
    uses: AtomicU64,
    errors: AtomicU64,
    cached: AtomicU64,
    loads: AtomicU64,
    drops: AtomicU64,
    load_ns: AtomicU64,
    /// Milliseconds after the registry's beginning.
    last_ms: AtomicU64,
}

/// How much one tool was used.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usage {
    /// Its name.
    pub name: &'static str,
    /// Calls of it so far.
    pub uses: u64,
    /// Calls that gave no result.
    pub errors: u64,
    /// Calls that were answered from memory.
    pub cached: u64,
    /// How often it was built.
    pub loads: u64,
    /// How often it was dropped because nobody used it.
    pub drops: u64,
    /// How long building it took the last time; `None` if nobody has needed it.
    pub load_time: Option<Duration>,
    /// Whether it is there now.
    pub loaded: bool,
    /// Since its last use or loading; `None` if nobody has needed it.
    pub idle: Option<Duration>,
    /// How long its calls waited for their turn.
    pub waiting: OpStats,
    /// How long they ran.
    pub running: OpStats,
}

/// How one call went.
#[derive(Clone, Copy, Debug)]
pub struct Used {
    /// How long it waited for its turn.
    pub waited: Duration,
    /// How long it ran; `None` if it never did.
    pub ran: Option<Duration>,
    /// Whether it gave a result.
    pub ok: bool,
    /// Whether the result was remembered.
    pub cached: bool,
}

impl Registry {
    /// The tools of this program.
    pub fn builtin() -> Arc<Self> {
        Self::new(&[
            ("read_file", || ReadFile.spec(), || Box::new(ReadFile)),
            ("list_dir", || ListDir.spec(), || Box::new(ListDir)),
            ("glob", || Glob.spec(), || Box::new(Glob)),
            ("grep", || Grep.spec(), || Box::new(Grep)),
            ("outline", || ShowOutline.spec(), || Box::new(ShowOutline)),
            ("diagnostics", || ShowDiagnostics.spec(), || Box::new(ShowDiagnostics)),
            ("edit_file", || EditFile.spec(), || Box::new(EditFile)),
            ("insert_lines", || InsertLines.spec(), || Box::new(InsertLines)),
            ("create_file", || CreateFile.spec(), || Box::new(CreateFile)),
            ("delete_file", || DeleteFile.spec(), || Box::new(DeleteFile)),
            ("move_file", || MoveFile.spec(), || Box::new(MoveFile)),
            ("run_command", || RunCommand.spec(), || Box::new(RunCommand)),
        ])
    }

    /// These tools; names must differ.
    pub fn new(tools: &[Listed]) -> Arc<Self> {
        let entry = |&(name, spec, build): &Listed| Entry {
            name,
            spec,
            build,
            kept: Mutex::default(),
            counts: Counts::default(),
            waiting: Timer::default(),
            running: Timer::default(),
        };
        let entries = tools.iter().map(entry).collect();
        Arc::new(Self { entries, began: Instant::now(), sweeping: AtomicBool::new(false) })
    }

    /// The names of all tools, in order.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.entries.iter().map(|entry| entry.name)
    }

    /// The tools that a run may use: those in `allowed` (`None`: all) that are not `disabled`. Builds none.
    pub fn select(self: &Arc<Self>, allowed: Option<&[&str]>, disabled: &[String]) -> Toolset {
        let wanted = |entry: &Entry| {
            allowed.is_none_or(|allowed| allowed.contains(&entry.name))
                && !disabled.iter().any(|other| other == entry.name)
        };
        let offered: Vec<usize> = (0..self.entries.len()).filter(|index| wanted(&self.entries[*index])).collect();
        let specs = offered.iter().map(|index| (self.entries[*index].spec)()).collect();
        let held = offered.iter().map(|_| OnceLock::new()).collect();
        Toolset { registry: self.clone(), offered, specs, held }
    }

    /// Builds these tools now. Gives the names that are no tool's. For a blocking thread.
    pub fn preload<'a>(&self, names: &'a [String]) -> Vec<&'a str> {
        let mut unknown = Vec::new();
        for name in names {
            match self.entries.iter().find(|entry| entry.name == name) {
                Some(entry) => {
                    // The first use also makes the spec.
                    (entry.spec)();
                    entry.obtain(self.now_ms());
                }
                None => unknown.push(name.as_str()),
            }
        }
        unknown
    }

    /// Drops the tools that were not used for `idle` and that no run holds; says how many are kept.
    pub fn drop_idle(&self, idle: Duration) -> usize {
        let now = self.now_ms();
        let mut left = 0;
        for entry in &self.entries {
            let mut kept = entry.kept();
            let since = Duration::from_millis(now.saturating_sub(entry.counts.last_ms.load(Relaxed)));
            if since >= idle && kept.as_ref().is_some_and(|tool| Arc::strong_count(tool) == 1) {
                let tool = kept.take();
                entry.counts.drops.fetch_add(1, Relaxed);
                drop(kept);
                // Outside the lock: it may have much to let go.
                drop(tool);
            } else {
                left += usize::from(kept.is_some());
            }
        }
        left
    }

    /// Drops what is idle from now on, until there is nothing left to drop; only the first of several callers does.
    pub async fn sweep(&self, idle: Duration) {
        if self.sweeping.swap(true, Relaxed) {
            return;
        }
        loop {
            tokio::time::sleep(idle).await;
            if self.drop_idle(idle) == 0 {
                break;
            }
        }
        self.sweeping.store(false, Relaxed);
    }

    /// How much each tool was used, in order.
    pub fn usage(&self) -> Vec<Usage> {
        let now = self.now_ms();
        self.entries.iter().map(|entry| entry.usage(now)).collect()
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Entry {
    fn kept(&self) -> std::sync::MutexGuard<'_, Option<Arc<dyn Tool>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The tool, built if it is not there.
    fn obtain(&self, now_ms: u64) -> Arc<dyn Tool> {
        self.counts.last_ms.store(now_ms, Relaxed);
        self.kept()
            .get_or_insert_with(|| {
                let begun = Instant::now();
                let tool = Arc::from((self.build)());
                let took = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
                self.counts.load_ns.store(took, Relaxed);
                self.counts.loads.fetch_add(1, Relaxed);
                tool
            })
            .clone()
    }

    fn usage(&self, now_ms: u64) -> Usage {
        let Counts { uses, errors, cached, loads, drops, load_ns, last_ms } = &self.counts;
        let loads = loads.load(Relaxed);
        Usage {
            name: self.name,
            uses: uses.load(Relaxed),
            errors: errors.load(Relaxed),
            cached: cached.load(Relaxed),
            loads,
            drops: drops.load(Relaxed),
            load_time: (loads > 0).then(|| Duration::from_nanos(load_ns.load(Relaxed))),
            loaded: self.kept().is_some(),
            idle: (loads > 0).then(|| Duration::from_millis(now_ms.saturating_sub(last_ms.load(Relaxed)))),
            waiting: self.waiting.stats(),
            running: self.running.stats(),
        }
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

/// The tools of one run. A copy is a few pointers.
#[derive(Clone)]
pub struct Toolset {
    registry: Arc<Registry>,
    offered: Vec<usize>,
    specs: Arc<[ToolSpec]>,
    /// The tools that this run has used.
    held: Arc<[OnceLock<Arc<dyn Tool>>]>,
}

impl fmt::Debug for Toolset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.specs.iter().map(|spec| spec.name)).finish()
    }
}

impl Toolset {
    /// What the model is shown, in a fixed order.
    pub fn specs(&self) -> Arc<[ToolSpec]> {
        self.specs.clone()
    }

    /// The tool that a call names; counts as a use. The error names the tools there are.
    pub fn get(&self, name: &str) -> Result<&dyn Tool, ToolError> {
        let Some((at, entry)) = self.entry(name) else {
            let names: Vec<&str> = self.specs.iter().map(|spec| spec.name).collect();
            let list = if names.is_empty() { "there are none".to_owned() } else { names.join(", ") };
            return Err(ToolError::ForModel(format!("there is no tool `{}` here; the tools are: {list}", brief(name))));
        };
        let now = self.registry.now_ms();
        entry.counts.uses.fetch_add(1, Relaxed);
        entry.counts.last_ms.store(now, Relaxed);
        Ok(&**self.held[at].get_or_init(|| entry.obtain(now)))
    }

    /// Counts how a call went; of a tool that is not offered, nothing.
    pub fn used(&self, name: &str, used: Used) {
        let Some((_, entry)) = self.entry(name) else { return };
        entry.counts.errors.fetch_add(u64::from(!used.ok), Relaxed);
        entry.counts.cached.fetch_add(u64::from(used.cached), Relaxed);
        if let Some(ran) = used.ran {
            entry.waiting.record(used.waited, true);
            entry.running.record(ran, used.ok);
        }
    }

    fn entry(&self, name: &str) -> Option<(usize, &Entry)> {
        let entries = self.offered.iter().map(|index| &self.registry.entries[*index]);
        entries.enumerate().find(|(_, entry)| entry.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::super::arguments;
    use super::super::tool::{Planned, ToolContext};
    use super::*;
    use std::sync::LazyLock;

    /// Does nothing.
    #[derive(serde::Deserialize, schemars::JsonSchema)]
    struct Nothing {}

    struct Fake;

    static BUILT: AtomicU64 = AtomicU64::new(0);
    static SPEC: LazyLock<ToolSpec> = LazyLock::new(|| arguments::spec::<Nothing>("fake"));

    impl Tool for Fake {
        fn spec(&self) -> ToolSpec {
            SPEC.clone()
        }

        fn plan(&self, _: &ToolContext, _: &str) -> Result<Planned, ToolError> {
            Err(ToolError::for_model("not today"))
        }
    }

    fn build() -> Box<dyn Tool> {
        BUILT.fetch_add(1, Relaxed);
        Box::new(Fake)
    }

    fn fake(name: &'static str) -> Listed {
        (name, || SPEC.clone(), || Box::new(Fake))
    }

    #[test]
    fn a_tool_is_built_once_at_its_first_use_and_its_uses_are_counted() {
        let spec = || SPEC.clone();
        let registry = Registry::new(&[("fake", spec, build), ("never", spec, || panic!("nobody asked for it"))]);
        let tools = registry.select(None, &[]);
        assert_eq!((registry.usage()[0].loads, registry.usage()[0].load_time), (0, None), "an offer builds nothing");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| assert!(tools.get("fake").is_ok()));
            }
        });
        assert_eq!(BUILT.load(Relaxed), 1);
        assert_eq!(registry.usage()[0].uses, 4);
        assert!(registry.usage()[0].load_time.is_some() && registry.usage()[1].load_time.is_none());
        let used =
            Used { waited: Duration::from_millis(2), ran: Some(Duration::from_millis(40)), ok: false, cached: true };
        tools.used("fake", used);
        tools.used("unknown", used);
        let usage = registry.usage()[0];
        assert_eq!((usage.errors, usage.cached, usage.running.errors), (1, 1, 1));
        assert!((39.0..41.0).contains(&usage.running.max) && (1.9..2.1).contains(&usage.waiting.max), "{usage:?}");
    }

    #[test]
    fn a_tool_is_dropped_when_it_is_idle_and_no_run_holds_it_and_built_again_for_the_next_use() {
        let registry = Registry::new(&[fake("fake"), fake("other")]);
        let preload = ["fake".to_owned(), "fkae".to_owned()];
        assert_eq!(registry.preload(&preload), ["fkae"]);
        let state = |at: usize| {
            let usage = registry.usage()[at];
            (usage.loads, usage.drops, usage.loaded)
        };
        assert_eq!((state(0), state(1)), ((1, 0, true), (0, 0, false)));
        assert_eq!(registry.drop_idle(Duration::from_secs(3600)), 1, "it is young");
        let tools = registry.select(None, &[]);
        let held = tools.get("fake").unwrap();
        assert_eq!(registry.drop_idle(Duration::ZERO), 1, "a run holds it");
        assert_eq!(held.spec().name, "fake");
        drop(tools);
        assert_eq!(registry.drop_idle(Duration::ZERO), 0);
        assert_eq!(state(0), (1, 1, false));
        assert!(registry.select(None, &[]).get("fake").is_ok());
        assert_eq!(state(0), (2, 1, true));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_idle_is_swept_and_the_sweeping_ends_with_the_last() {
        let registry = Registry::new(&[fake("fake")]);
        registry.preload(&["fake".to_owned()]);
        tokio::join!(registry.sweep(Duration::ZERO), registry.sweep(Duration::ZERO));
        assert!(!registry.usage()[0].loaded);
        assert!(!registry.sweeping.load(Relaxed), "the next one can begin");
    }

    #[test]
    fn an_unknown_tool_is_answered_with_the_list() {
        let tools = Registry::new(&[fake("fake"), fake("other")]).select(None, &["other".to_owned()]);
        let refusal = |name: &str| tools.get(name).err().map(|error| error.to_string()).unwrap();
        assert_eq!(refusal("frob"), "there is no tool `frob` here; the tools are: fake");
        assert_eq!(refusal("other"), "there is no tool `other` here; the tools are: fake");
        assert!(refusal(&"x".repeat(1 << 20)).len() < 300);
    }
}
