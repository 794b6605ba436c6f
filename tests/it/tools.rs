//! The tools as a model meets them: JSON in, text out, over a real folder, open buffers and staged edits.
#![expect(clippy::disallowed_methods, reason = "the tests prepare the folder behind the back of the tools")]

mod ahead;
mod edits;
mod hostile;
mod outline;
mod racing;
mod reading;
mod remembered;
mod searching;
mod syntax;
mod together;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ropeway::disk::{Disk, DiskLimits};
use ropeway::ids::{DocVersion, RunId};
use ropeway::paths::{Root, Roots};
use ropeway::syntax::Parses;
use ropeway::text::Text;
use ropeway::tools::grep::Together;
use ropeway::tools::kept::Lists;
use ropeway::tools::{
    Cancel, Diagnostics, Effect, Planned, Registry, Results, Scheduler, Scope, Submission, SyntaxLimits, ToolContext,
    ToolError, ToolLimits, Toolset,
};
use ropeway::workspace::{Sync, Workspace};
use serde_json::Value;

/// A workspace folder, a run in it, and all tools.
pub struct Bench {
    pub folder: tempfile::TempDir,
    pub workspace: Arc<Workspace>,
    pub context: ToolContext,
    pub tools: Toolset,
    pub staged: Arc<Mutex<Vec<String>>>,
    runtime: tokio::runtime::Runtime,
    scheduler: Scheduler,
}

impl Bench {
    /// Files from one string: `//- /path` begins each.
    pub fn new(fixture: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for part in fixture.split("//- /").skip(1) {
            let (name, text) = part.split_once('\n').unwrap();
            write(&folder.path().join(name.trim()), text);
        }
        let workspace = Workspace::new(Arc::new(Disk::new(DiskLimits::default())));
        workspace.set_roots(Roots::new(vec![Root::open("ws", folder.path()).unwrap()]));
        let run = RunId::unused();
        workspace.begin(run.clone());
        let staged = Arc::new(Mutex::new(Vec::new()));
        let seen = staged.clone();
        let context = ToolContext {
            workspace: workspace.clone(),
            run,
            limits: limits(),
            diagnostics: Arc::new(Diagnostics::new()),
            parses: Arc::new(Parses::new()),
            denied: Arc::from([]),
            commands: None,
            results: Results::default(),
            lists: Lists::default(),
            together: Together::default(),
            on_staged: Arc::new(move |path| seen.lock().unwrap().push(path.to_string())),
        };
        Self {
            folder,
            workspace,
            context,
            tools: Registry::builtin().select(None, &[]),
            staged,
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
            scheduler: Scheduler::new(4),
        }
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        write(&self.at(name), text);
    }

    pub fn uri(&self, name: &str) -> String {
        self.workspace.roots().resolve(name).unwrap().uri()
    }

    /// Opens a buffer in the editor.
    pub fn open(&self, name: &str, text: &str) {
        assert_eq!(
            self.workspace.open(&self.uri(name), "text", Some(DocVersion(1)), Text::from(text)),
            Sync::Following
        );
    }

    /// Calls a tool; `Err` is what the model reads as a failure.
    pub fn call(&self, tool: &str, arguments: Value) -> Result<String, String> {
        self.call_raw(tool, &arguments.to_string())
    }

    pub fn call_raw(&self, tool: &str, arguments: &str) -> Result<String, String> {
        self.call_with(tool, arguments, Cancel::new())
    }

    pub fn call_with(&self, tool: &str, arguments: &str, cancel: Cancel) -> Result<String, String> {
        let text = |error: ToolError| match error {
            ToolError::ForModel(text) => text,
            ToolError::Fatal(text) => panic!("the run would end: {text}"),
        };
        let planned = self.tools.get(tool).map_err(text)?.plan(&self.context, arguments).map_err(text)?;
        let submission = Submission {
            run: self.context.run.clone(),
            tool: Arc::from(tool),
            planned,
            deadline: Duration::from_secs(60),
            cancel,
            gate: None,
            on_start: None,
        };
        let finished = self.runtime.block_on(async { self.scheduler.submit(submission).await });
        finished.result.map(|output| output.text().to_string()).map_err(text)
    }

    /// Calls tools in one batch: none begins before all have been asked for.
    pub fn batch(&self, calls: &[(&str, Value)]) -> Vec<Result<String, String>> {
        let text = |error: ToolError| error.to_string();
        let base = self.workspace.roots().resolve(".").unwrap();
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let first = Planned::blocking(Effect::writes(Scope::Tree(base)), String::new(), move |_| {
            wait.recv().ok();
            Err(ToolError::for_model("it only holds the others back"))
        });
        self.runtime.block_on(async {
            let submit = |planned: Planned| {
                self.scheduler.submit(Submission {
                    run: self.context.run.clone(),
                    tool: Arc::from(""),
                    planned,
                    deadline: Duration::from_secs(60),
                    cancel: Cancel::new(),
                    gate: None,
                    on_start: None,
                })
            };
            let first = submit(first);
            let plan = |(tool, arguments): &(&str, Value)| {
                self.tools.get(tool).and_then(|tool| tool.plan(&self.context, &arguments.to_string()))
            };
            let tickets: Vec<_> = calls.iter().map(|call| plan(call).map(submit)).collect();
            go.send(()).ok();
            first.await;
            let mut answers = Vec::new();
            for ticket in tickets {
                let result = match ticket {
                    Ok(ticket) => ticket.await.result,
                    Err(error) => Err(error),
                };
                answers.push(result.map(|output| output.text().to_string()).map_err(text));
            }
            answers
        })
    }

    /// As [`Bench::call`], for calls that must go well.
    #[track_caller]
    pub fn ok(&self, tool: &str, arguments: Value) -> String {
        self.call(tool, arguments).unwrap()
    }

    /// As [`Bench::call`], for calls that must be refused.
    #[track_caller]
    pub fn refused(&self, tool: &str, arguments: Value) -> String {
        self.call(tool, arguments).unwrap_err()
    }
}

/// The limits of these tests: on a busy machine nothing is left out for want of time.
fn limits() -> ToolLimits {
    let patient = Duration::from_secs(60);
    ToolLimits {
        threads: 4,
        syntax: SyntaxLimits { check: patient, outline: patient, reuse: true },
        ..ToolLimits::default()
    }
}

fn write(path: &std::path::Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

#[test]
fn the_tools_are_those_of_the_contract_in_a_fixed_order_with_schemas_every_provider_takes() {
    let specs = Registry::builtin().select(None, &[]).specs();
    let names: Vec<&str> = specs.iter().map(|spec| spec.name).collect();
    assert_eq!(
        names,
        [
            "read_file",
            "list_dir",
            "glob",
            "grep",
            "outline",
            "diagnostics",
            "edit_file",
            "insert_lines",
            "create_file",
            "delete_file",
            "move_file",
            "run_command"
        ]
    );
    for (spec, again) in specs.iter().zip(Registry::builtin().select(None, &[]).specs().iter()) {
        let schema = spec.schema.get();
        assert_eq!(schema, again.schema.get());
        let value: Value = serde_json::from_str(schema).unwrap();
        assert_eq!((&value["type"], &value["additionalProperties"]), (&Value::from("object"), &Value::from(false)));
        for noise in ["$ref", "$schema", "$defs", "\"title\"", "anyOf", "null", "\\n"] {
            assert!(!schema.contains(noise), "{}: {noise} in {schema}", spec.name);
        }
        for (name, property) in value["properties"].as_object().unwrap() {
            assert!(property["description"].is_string(), "{}: {name} has no description", spec.name);
        }
        assert!(spec.description.len() > 10 && !spec.description.contains('\n'));
    }
    let edit = specs[6].schema.get();
    let place = |key: &str| edit.find(&format!("\"{key}\":{{")).unwrap();
    assert!(place("path") < place("old_string") && place("old_string") < place("new_string"), "{edit}");
}

#[test]
fn a_tool_that_is_not_offered_is_answered_with_those_that_are() {
    let tools = Registry::builtin().select(Some(&["read_file", "grep", "glob"]), &["glob".to_owned()]);
    assert_eq!(
        tools.get("edit_file").err().unwrap().to_string(),
        "there is no tool `edit_file` here; the tools are: read_file, grep"
    );
    assert_eq!(tools.specs().len(), 2);
}

#[test]
fn a_call_that_was_cancelled_before_changes_nothing() {
    let bench = Bench::new("//- /a.txt\none\n");
    let cancel = Cancel::new();
    cancel.cancel();
    let refusal = bench.call_with("delete_file", r#"{"path":"a.txt"}"#, cancel).unwrap_err();
    assert!(refusal.starts_with("cancelled after 0.0 s"), "{refusal}");
    assert!(bench.workspace.staged(&bench.context.run).is_empty());
}
