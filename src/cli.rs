//! The program: arguments in, one subcommand, an exit code out.
//!
//! The process environment and the arguments are read here, once. Standard output belongs to the protocol under
//! `serve` and to the answer under the other subcommands; logs go to standard error.

mod args;
pub mod bench;
mod config;
mod demo;
mod doctor;
mod headless;
mod init;
mod logging;
mod policy;
mod privacy;
mod run;
mod scratch;
mod serve;
mod sessions;
mod terminal;
mod tokens;
mod words;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use self::args::{Args, Command};
use crate::config::{EnvSnapshot, Sources};

/// What was asked for is done.
pub const DONE: u8 = 0;
/// It could not be done.
pub const FAILED: u8 = 1;
/// The command line cannot be understood.
pub const USAGE: u8 = 2;
/// The user has interrupted it, as shells count it.
pub const CANCELLED: u8 = 130;

/// Runs the program.
pub fn main() -> ExitCode {
    #[cfg(target_os = "linux")]
    if let Some(mode) = helper_mode() {
        return crate::tools::sandbox::helper::main(&mode);
    }
    let plain = Args::plain_serve(std::env::args_os().skip(1));
    let args = match plain.map_or_else(Args::try_parse, Ok) {
        Ok(args) => args,
        // Help and version come this way, too, with code 0; nothing can be done if even they cannot be printed.
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { USAGE } else { DONE });
        }
    };
    let env: EnvSnapshot = std::env::vars_os().collect();
    ExitCode::from(run(args, env).unwrap_or_else(|error| {
        if is_broken_pipe(&error) {
            // Whoever read our output has seen enough.
            return DONE;
        }
        complain(&format!("{error:#}"));
        FAILED
    }))
}

/// What the program is to be if it has been started by itself to keep a command in; no word for people.
#[cfg(target_os = "linux")]
fn helper_mode() -> Option<String> {
    let mut words = std::env::args_os().skip(1);
    let named = words.next()? == crate::tools::sandbox::helper::NAME;
    named.then(|| words.next().and_then(|mode| mode.into_string().ok()).unwrap_or_default())
}

fn run(args: Args, env: EnvSnapshot) -> anyhow::Result<u8> {
    if args.serve.given() && args.command.is_some() {
        complain("--stdio and --listen belong to `serve`; see ropeway --help");
        return Ok(USAGE);
    }
    let _logs = logging::start(&args.logging, &env)?;
    if !matches!(args.command, Some(Command::Demo(_) | Command::Config { .. })) {
        privacy::close_up();
    }
    match args.command {
        None => serve::serve(&args.serve, &env),
        Some(Command::Serve(serve)) => serve::serve(if serve.given() { &serve } else { &args.serve }, &env),
        Some(Command::Demo(args)) => demo::demo(&args),
        Some(Command::Run(args)) => run::run(&args, env),
        Some(Command::Doctor(doctor)) => doctor::doctor(&doctor, env),
        Some(Command::Tokens(args)) => tokens::tokens(&args, env),
        Some(Command::Config { command }) => config::config(&command, env),
        Some(Command::Policy { command }) => policy::policy(&command, env),
        Some(Command::Init(args)) => init::init(&args, &env),
        Some(Command::Bench(args)) => bench::bench(&args),
        Some(Command::Completions { shell }) => words::completions(shell),
        Some(Command::Man(args)) => words::man(&args),
        Some(Command::Sessions { command }) => sessions::sessions(&command, env),
    }
}

/// Tells what is wrong, for people. If standard error is closed nobody wants to know.
fn complain(message: &str) {
    let _ = writeln!(io::stderr(), "ropeway: {message}");
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let kind = |cause: &(dyn std::error::Error + 'static)| {
        let io = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        io.or_else(|| cause.downcast_ref::<serde_json::Error>()?.io_error_kind())
    };
    error.chain().any(|cause| kind(cause) == Some(io::ErrorKind::BrokenPipe))
}

/// Waits for the user to want out: Ctrl-C, or the signals with which a program is told to end.
async fn interrupted() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let (terminate, hang_up) = (signal(SignalKind::terminate()), signal(SignalKind::hangup()));
        if let (Ok(mut terminate), Ok(mut hang_up)) = (terminate, hang_up) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
                _ = hang_up.recv() => {}
            }
            return;
        }
    }
    // Where signals cannot be had, the user ends the program the hard way.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// The directory that the program was started in.
fn current_dir() -> anyhow::Result<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "a subcommand works where its user stands; the server never does")]
    let dir = std::env::current_dir();
    Ok(dir?)
}

/// The sources of a subcommand's configuration: the user's file, the project's of this directory, the environment.
fn sources(env: EnvSnapshot) -> Sources {
    let mut sources = Sources { env, ..Sources::default() };
    sources.set_roots(current_dir().ok());
    sources
}
