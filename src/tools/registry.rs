//! The one list of the tools there are.
//!
//! A tool is built at its first use and then kept; looking it up takes no lock. What a run may call is a [`Toolset`]:
//! an action that must not edit is given none that could, and a call of another tool is answered with the list.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
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
use super::pattern::brief;
use super::read_file::ReadFile;
use super::tool::{Tool, ToolError};
use crate::llm::types::ToolSpec;

/// Makes a tool.
pub type Build = fn() -> Box<dyn Tool>;

/// All tools, in the order in which a model is shown them.
pub struct Registry {
    entries: Box<[Entry]>,
}

struct Entry {
    name: &'static str,
    build: Build,
    built: OnceLock<Built>,
    uses: AtomicU64,
}

struct Built {
    tool: Box<dyn Tool>,
    took: Duration,
}

/// How much one tool was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Its name.
    pub name: &'static str,
    /// Calls of it so far.
    pub uses: u64,
    /// How long building it took; `None` if nobody has needed it.
    pub built: Option<Duration>,
}

impl Registry {
    /// The tools of this program.
    pub fn builtin() -> Arc<Self> {
        Self::new(&[
            ("read_file", || Box::new(ReadFile)),
            ("list_dir", || Box::new(ListDir)),
            ("glob", || Box::new(Glob)),
            ("grep", || Box::new(Grep)),
            ("diagnostics", || Box::new(ShowDiagnostics)),
            ("edit_file", || Box::new(EditFile)),
            ("insert_lines", || Box::new(InsertLines)),
            ("create_file", || Box::new(CreateFile)),
            ("delete_file", || Box::new(DeleteFile)),
            ("move_file", || Box::new(MoveFile)),
        ])
    }

    /// These tools; names must differ.
    pub fn new(tools: &[(&'static str, Build)]) -> Arc<Self> {
        let entry = |&(name, build): &(&'static str, Build)| Entry {
            name,
            build,
            built: OnceLock::new(),
            uses: AtomicU64::new(0),
        };
        Arc::new(Self { entries: tools.iter().map(entry).collect() })
    }

    /// The names of all tools, in order.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.entries.iter().map(|entry| entry.name)
    }

    /// The tools that a run may use: those in `allowed` (`None`: all) that are not `disabled`.
    pub fn select(self: &Arc<Self>, allowed: Option<&[&str]>, disabled: &[String]) -> Toolset {
        let offered: Vec<usize> = (0..self.entries.len())
            .filter(|index| {
                let name = self.entries[*index].name;
                allowed.is_none_or(|allowed| allowed.contains(&name)) && !disabled.iter().any(|other| other == name)
            })
            .collect();
        let specs = offered.iter().map(|index| self.entries[*index].tool().spec()).collect();
        Toolset { registry: self.clone(), offered, specs }
    }

    /// How much each tool was used, in order.
    pub fn usage(&self) -> Vec<Usage> {
        let usage = |entry: &Entry| Usage {
            name: entry.name,
            uses: entry.uses.load(Ordering::Relaxed),
            built: entry.built.get().map(|built| built.took),
        };
        self.entries.iter().map(usage).collect()
    }
}

impl Entry {
    fn tool(&self) -> &dyn Tool {
        let built = self.built.get_or_init(|| {
            let begun = Instant::now();
            let tool = (self.build)();
            Built { tool, took: begun.elapsed() }
        });
        &*built.tool
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

/// The tools of one run. A copy is a few pointers.
#[derive(Clone, Debug)]
pub struct Toolset {
    registry: Arc<Registry>,
    offered: Vec<usize>,
    specs: Arc<[ToolSpec]>,
}

impl Toolset {
    /// What the model is shown, in a fixed order.
    pub fn specs(&self) -> Arc<[ToolSpec]> {
        self.specs.clone()
    }

    /// The tool that a call names; counts as a use. The error names the tools there are.
    pub fn get(&self, name: &str) -> Result<&dyn Tool, ToolError> {
        let entries = &self.registry.entries;
        match self.offered.iter().map(|index| &entries[*index]).find(|entry| entry.name == name) {
            Some(entry) => {
                entry.uses.fetch_add(1, Ordering::Relaxed);
                Ok(entry.tool())
            }
            None => {
                let names: Vec<&str> = self.specs.iter().map(|spec| spec.name).collect();
                let list = if names.is_empty() { "there are none".to_owned() } else { names.join(", ") };
                Err(ToolError::ForModel(format!("there is no tool `{}` here; the tools are: {list}", brief(name))))
            }
        }
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
        BUILT.fetch_add(1, Ordering::SeqCst);
        Box::new(Fake)
    }

    #[test]
    fn a_tool_is_built_once_at_its_first_use_and_its_uses_are_counted() {
        let registry = Registry::new(&[("fake", build), ("never", || panic!("nobody asked for it"))]);
        assert_eq!(registry.usage()[0], Usage { name: "fake", uses: 0, built: None });
        let tools = registry.select(Some(&["fake"]), &[]);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| assert!(tools.get("fake").is_ok()));
            }
        });
        assert_eq!(BUILT.load(Ordering::SeqCst), 1);
        assert_eq!(registry.usage()[0].uses, 4);
        assert!(registry.usage()[0].built.is_some() && registry.usage()[1].built.is_none());
    }

    #[test]
    fn an_unknown_tool_is_answered_with_the_list() {
        let tools = Registry::new(&[("fake", || Box::new(Fake)), ("other", || Box::new(Fake))])
            .select(None, &["other".to_owned()]);
        let refusal = |name: &str| tools.get(name).err().map(|error| error.to_string()).unwrap();
        assert_eq!(refusal("frob"), "there is no tool `frob` here; the tools are: fake");
        assert_eq!(refusal("other"), "there is no tool `other` here; the tools are: fake");
        assert!(refusal(&"x".repeat(1 << 20)).len() < 300);
    }
}
