//! What the model can do: the tools it is offered, and the scheduler that runs their calls.
//!
//! A tool reads what the user sees (staged edits over open buffers over the disk) and stages its edits; it touches
//! neither buffers nor the disk. To add one: a file here with the argument type, whose doc comments the model reads,
//! and a line in the registry.

pub mod ahead;
pub mod arguments;
pub mod cache;
pub mod command;
pub mod create_file;
pub mod delete_file;
pub mod diagnostics;
pub mod edit_file;
pub mod glob;
pub mod grep;
pub mod insert_lines;
pub mod kept;
pub mod list_dir;
pub mod move_file;
pub mod outline;
pub mod output;
pub mod pattern;
pub mod policy;
pub mod quote;
pub mod read_file;
pub mod registry;
pub mod run_command;
pub mod sandbox;
pub mod scheduler;
pub mod search;
mod staged;
mod syntax_check;
pub mod tool;
pub mod tree;
pub mod walk;

pub use self::cache::{Depends, DiskClock, Results};
pub use self::diagnostics::{Diagnostic, Diagnostics, Severity};
pub use self::output::{Output, OutputLimits};
pub use self::registry::{Registry, Toolset, Usage};
pub use self::scheduler::{Begun, Class, Ended, Finished, Gate, Scheduler, Submission, Ticket};
pub use self::tool::{
    Cancel, Effect, Planned, Scope, SyntaxLimits, Tool, ToolContext, ToolError, ToolLimits, ToolResult, clash,
};
