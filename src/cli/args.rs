//! The command line. A subcommand stands here from the day it works.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{ArgAction, Args as ClapArgs, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::config::ProviderKind;

/// A language server that carries a coding agent.
///
/// Without a subcommand it serves an editor on standard input and output.
#[derive(Debug, Parser)]
#[command(name = "ropeway", version, max_term_width = 100)]
pub(super) struct Args {
    /// How it was asked to serve, where no subcommand is named.
    #[command(flatten)]
    pub(super) serve: ServeArgs,
    /// What to log.
    #[command(flatten)]
    pub(super) logging: LoggingArgs,
    /// What to do.
    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Serve an editor (the default)
    Serve(ServeArgs),
    /// See the whole thing work in ten seconds: no key, no editor, no network
    Demo(DemoArgs),
    /// Let the agent do one thing here; prints its answer and a diff
    Run(RunArgs),
    /// Write a configuration file that explains itself; never a key
    Init(InitArgs),
    /// Tell whether the selected model can run, and what stands in its way
    Doctor(DoctorArgs),
    /// Count the tokens of files, or of standard input
    Tokens(TokensArgs),
    /// Show or check the configuration
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Look at recorded runs, take them out, play them again
    Sessions {
        #[command(subcommand)]
        command: SessionsCommand,
    },
    /// Tell what may run without a question, and what was allowed for good
    Policy {
        #[command(subcommand)]
        command: PolicyCommand,
    },
    /// Measure this build on this machine, and say what became worse
    Bench(BenchArgs),
    /// Print the completions of a shell
    Completions {
        /// Whose
        shell: Shell,
    },
    /// Print a manual page, or write all of them
    Man(ManArgs),
}

#[derive(Debug, Default, ClapArgs)]
pub(super) struct ServeArgs {
    /// Serve on standard input and output; the default, accepted because editors say it
    #[arg(long, conflicts_with = "listen")]
    stdio: bool,
    /// Serve the first client that connects to this loopback address instead
    #[arg(long, value_name = "127.0.0.1:PORT", value_parser = loopback)]
    pub(super) listen: Option<SocketAddr>,
    /// Sent by VS Code's client; the same number comes with `initialize`.
    #[arg(long = "clientProcessId", hide = true)]
    client_process_id: Option<u32>,
}

impl Args {
    /// The command line as editors say it, without building the parser for the rest: that takes time before the first
    /// answer, and maps code that a server never needs again.
    pub(super) fn plain_serve(words: impl Iterator<Item = OsString>) -> Option<Self> {
        let words: Vec<OsString> = words.take(3).collect();
        let stdio = match words.iter().map(|word| word.to_str()).collect::<Option<Vec<_>>>()?.as_slice() {
            [] | ["serve"] => false,
            ["--stdio"] | ["serve", "--stdio"] => true,
            _ => return None,
        };
        let serve = ServeArgs { stdio, ..ServeArgs::default() };
        Some(Self { serve, logging: LoggingArgs::default(), command: None })
    }
}

impl ServeArgs {
    /// Whether any of it was said.
    pub(super) fn given(&self) -> bool {
        self.stdio || self.listen.is_some()
    }
}

/// A socket is open to everyone on its network and knows no password.
fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|_| "write 127.0.0.1:PORT".to_owned())?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err("only an address of this machine can be served: write 127.0.0.1:PORT".to_owned())
    }
}

#[derive(Debug, ClapArgs)]
pub(super) struct DemoArgs {
    /// Use this model, from your own configuration, instead of the played one
    #[arg(long, value_name = "PROVIDER/MODEL")]
    pub(super) model: Option<String>,
    /// Leave the report of the run in this file: a page with its timeline, tokens and changes
    #[arg(long, value_name = "FILE")]
    pub(super) report: Option<PathBuf>,
    /// Without the pace of a person, for tests
    #[arg(long)]
    pub(super) fast: bool,
}

#[derive(Debug, ClapArgs)]
pub(super) struct RunArgs {
    /// What is to be done; `-` reads it from standard input
    #[arg(value_name = "PROMPT")]
    pub(super) prompt: Option<String>,
    /// Work in this directory
    #[arg(short = 'C', value_name = "DIR", default_value = ".")]
    pub(super) directory: PathBuf,
    /// What kind of thing it is: `task`, or a code action such as `refactor` or `explain`
    #[arg(long, value_name = "ID", default_value = "task")]
    pub(super) action: String,
    /// The file and the lines it is about, counted from 1
    #[arg(long, value_name = "FILE[:LINE[-LINE]]")]
    pub(super) at: Option<String>,
    /// Write the changes to the files
    #[arg(long)]
    pub(super) apply: bool,
    /// Print the outcome for machines
    #[arg(long)]
    pub(super) json: bool,
    /// Use this model instead of the configured one
    #[arg(long, value_name = "PROVIDER/MODEL")]
    pub(super) model: Option<String>,
}

#[derive(Debug, Default, ClapArgs)]
pub(super) struct LoggingArgs {
    /// Log errors only; ROPEWAY_LOG, such as warn,ropeway::llm=debug, says it by module and goes first
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(super) quiet: bool,
    /// Log more: what took long, too; twice: for debugging; three times: everything
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(super) verbose: u8,
    /// Log to this file, too, as lines of JSON; at 10 MiB it becomes FILE.1, up to FILE.4
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) log_file: Option<PathBuf>,
}

/// The form of `doctor --json`, for those who read it.
const DOCTOR_JSON: &str = "\
With --json: one object with schema (1; fields are only ever added), version, build, platform, executable, \
protocols and leftOut (kinds of providers), grammars, model {id, origin, canRun, reason?, doubt?, unknown?}, \
providers [{name, kind, baseUrl, keyVariable?, key: present|missing|notNeeded, notReady?, reachable?, status?, ms?, \
models?, error?, mend?}], files [{layer, path, present, errors, warnings}], problems [{severity, place, message}], \
state {path, present, writable, bytes, files, more, openToOthers, error?}, recording {enabled, compress, keepDays, \
inBackground}, sandbox {level, overlay, reason?, mend?}, watching {supported, maxFolders?, maxWatchers?, reason?}, \
environment [{name, value?, problem?}], and findings [{area, state: ok|note|bad, text, mend?}], which are what is \
printed without --json. The exit status is 1 if the selected model cannot run.";

#[derive(Debug, ClapArgs)]
pub(super) struct InitArgs {
    /// For this provider: anthropic, openai, google or ollama; without, it asks
    #[arg(long, value_name = "NAME", value_parser = provider)]
    pub(super) provider: Option<ProviderKind>,
    /// Print it instead of writing it
    #[arg(long)]
    pub(super) print: bool,
}

/// A built-in provider that this build can talk to.
fn provider(name: &str) -> Result<ProviderKind, String> {
    let kinds = || super::init::kinds();
    kinds().find(|kind| kind.name() == name).ok_or_else(|| {
        let names: Vec<_> = kinds().map(ProviderKind::name).collect();
        format!("there are {}; another server is described in the file itself", names.join(", "))
    })
}

#[derive(Debug, ClapArgs)]
pub(super) struct BenchArgs {
    /// For machines
    #[arg(long)]
    pub(super) json: bool,
    /// Write the figures to this file, to compare with later
    #[arg(long, value_name = "FILE")]
    pub(super) save: Option<PathBuf>,
    /// Compare with the figures of this file
    #[arg(long, value_name = "FILE")]
    pub(super) compare: Option<PathBuf>,
    /// By how much a median may grow; a difference within the spread is never a regression
    #[arg(long, value_name = "PCT", default_value = "10%", requires = "compare", value_parser = share)]
    pub(super) max_regression: f64,
    /// Rounds, each of all measurements
    #[arg(long, value_name = "N", default_value_t = 9, value_parser = clap::value_parser!(u32).range(5..=1000))]
    pub(super) rounds: u32,
    /// Only this measurement; may be said again
    #[arg(long, value_name = "ID")]
    pub(super) only: Vec<String>,
}

/// `10%` or `10`, as a share.
fn share(text: &str) -> Result<f64, String> {
    let number = text.trim().trim_end_matches('%').trim_end().parse::<f64>();
    match number {
        Ok(percent) if percent.is_finite() && percent >= 0.0 => Ok(percent / 100.0),
        _ => Err("write a percentage that is not below 0, such as 10%".to_owned()),
    }
}

#[derive(Debug, ClapArgs)]
pub(super) struct ManArgs {
    /// Write the pages of all commands into this directory
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    pub(super) dir: Option<PathBuf>,
    /// Whose page; without, that of ropeway itself
    #[arg(value_name = "COMMAND")]
    pub(super) command: Vec<String>,
}

#[derive(Debug, ClapArgs)]
#[command(after_long_help = DOCTOR_JSON)]
pub(super) struct DoctorArgs {
    /// For machines
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(super) struct TokensArgs {
    /// Count as this model does, instead of the configured one
    #[arg(long, value_name = "MODEL")]
    pub(super) model: Option<String>,
    /// For machines
    #[arg(long)]
    pub(super) json: bool,
    /// What to count; without, or as `-`, standard input
    #[arg(value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Print every setting in force, and where it was set
    Show,
    /// Tell everything that is wrong with a file (without FILE: your own, and ropeway.toml in this directory)
    Check {
        /// A project's file if it is named ropeway.toml, else a user's
        file: Option<PathBuf>,
    },
    /// Print the JSON Schema of a configuration file, for editors that complete and check TOML
    Schema {
        /// Of a project's ropeway.toml, which may set fewer keys than your own file
        #[arg(long)]
        project: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum PolicyCommand {
    /// Tell what would happen with a call of a tool here; runs nothing
    Check {
        /// For machines
        #[arg(long)]
        json: bool,
        /// The tool, such as run_command
        tool: String,
        /// Its arguments, such as '{"command": "ls -l"}'
        #[arg(value_name = "ARGS_JSON")]
        arguments: String,
    },
    /// Show the commands that were allowed always
    List {
        /// For machines
        #[arg(long)]
        json: bool,
    },
    /// Take back what was allowed always
    Forget {
        /// The name that `list` shows
        #[arg(required_unless_present = "all")]
        id: Option<String>,
        /// Everything, also if the file cannot be understood
        #[arg(long, conflicts_with = "id")]
        all: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum SessionsCommand {
    /// List the recorded runs, newest first
    List {
        /// For machines
        #[arg(long)]
        json: bool,
    },
    /// Tell what happened in a run
    Show {
        /// Its name, or a beginning of it that no other has
        id: String,
    },
    /// Write a run to standard output, or to a file
    Export {
        /// Its name, or a beginning of it that no other has
        id: String,
        /// As what: all records, a page to look at, or a timeline for Perfetto
        #[arg(long, value_enum, default_value_t = ExportFormat::Json)]
        format: ExportFormat,
        /// Into this file, which nobody else may read; without, to standard output
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Play a run again on a copy of its files, and tell whether it makes the same edits (exit code 1: it does not)
    Replay {
        /// Its name, or a beginning of it that no other has
        id: String,
    },
}

/// What a run is exported as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ExportFormat {
    /// One document with every record
    Json,
    /// One page that needs nothing else
    Html,
    /// The Trace Event Format
    ChromeTrace,
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    #[test]
    fn what_editors_say_means_the_same_without_the_parser() {
        for line in [&["x"][..], &["x", "serve"], &["x", "--stdio"], &["x", "serve", "--stdio"]] {
            let quick = super::Args::plain_serve(line[1..].iter().map(Into::into)).unwrap();
            let parsed = super::Args::try_parse_from(line).unwrap();
            assert!(quick.command.is_none() && quick.serve.listen.is_none() && parsed.serve.listen.is_none());
            assert!(matches!(parsed.command, None | Some(super::Command::Serve(_))));
        }
        for line in [&["doctor"][..], &["--version"], &["serve", "--listen"], &["serve", "--stdio", "-v"]] {
            assert!(super::Args::plain_serve(line.iter().map(Into::into)).is_none());
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        super::Args::command().debug_assert();
    }
}
