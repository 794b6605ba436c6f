//! `ropeway serve`: one editor, on standard input and output or over one loopback connection.
//!
//! Nothing is done before the editor speaks but starting the runtime: the configuration is read when `initialize` has
//! said which folders and settings there are.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use anyhow::Context;

use super::args::ServeArgs;
use super::{DONE, FAILED};
use crate::config::{EnvSnapshot, Sources};
use crate::disk::{Disk, DiskLimits};
use crate::lsp::server::{self, ServerOptions};
use crate::workspace::Workspace;

/// Threads for what waits for models and editors. More would not help: what computes runs on threads of its own.
const WORKERS: usize = 4;

/// Serves until one side ends it; the code is 0 only if the client had sent `shutdown`.
pub(super) fn serve(args: &ServeArgs, env: &EnvSnapshot) -> anyhow::Result<u8> {
    match args.listen {
        None => {
            let (read, write) = server::stdio().context("cannot use standard input and output")?;
            serve_client(read, write, env)
        }
        Some(address) => {
            let (read, write) = accept(address).with_context(|| format!("cannot serve on {address}"))?;
            serve_client(read, write, env)
        }
    }
}

fn serve_client(
    read: impl Read + Send + 'static,
    write: impl Write + Send + 'static,
    env: &EnvSnapshot,
) -> anyhow::Result<u8> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.clamp(2, WORKERS))
        .thread_name("ropeway")
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let workspace = Workspace::new(Arc::new(Disk::new(DiskLimits::default())));
    let mut options = ServerOptions::new(runtime.handle().clone(), workspace);
    options.state_dir = env.state_dir();
    let sources = Sources { env: env.clone(), ..Sources::default() };
    let ended = server::serve(read, write, options, |session| crate::lsp::agent::attach(session, sources))?;
    tracing::info!(end = ?ended.end, clean = ended.clean, "the session has ended");
    // What still runs has been told to end; the process does not wait for what cannot be told.
    runtime.shutdown_background();
    Ok(if ended.clean { DONE } else { FAILED })
}

/// The first client that connects; no second one is let in.
fn accept(address: SocketAddr) -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind(address)?;
    // Told even when little is logged: with port 0 nobody could know it otherwise.
    writeln!(io::stderr(), "ropeway: listening on {}", listener.local_addr()?)?;
    let (stream, _) = listener.accept()?;
    stream.set_nodelay(true)?;
    Ok((stream.try_clone()?, stream))
}
