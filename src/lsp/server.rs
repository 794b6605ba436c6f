//! Serves one client from the first byte to the last: what `ropeway serve` does over stdin and stdout, a TCP client over
//! its socket, and the tests over pipes.
//!
//! Three threads: the caller's waits for the end, one reads blockingly and feeds the pump, one writes. A client that
//! does not read holds up the writer alone; one that sends nothing holds up the reader alone.

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::Value;
use tokio::runtime::Handle;

use super::backend::Backend;
use super::end::{End, Ending};
use super::outbound::Outbound;
use super::parent::Parent;
use super::pump::Ingress;
use super::session::Session;
use crate::watch::files::FOLDERS;
use crate::workspace::Workspace;

/// How often we look whether the process that started us is still there.
const PARENT_PACE: Duration = Duration::from_secs(2);
/// How long the client is given to read what is still queued at the end.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Bytes read at once.
const CHUNK: usize = 64 * 1024;

/// A request handler that a test brings along; it is called as `ropeway/hook`.
pub type Hook = Arc<dyn Fn(Arc<Session>, Value) -> BoxFuture<'static, tower_lsp::jsonrpc::Result<Value>> + Send + Sync>;

/// How a server is started.
#[derive(Clone)]
pub struct ServerOptions {
    /// Where work goes that waits for something; must have its timers enabled.
    pub runtime: Handle,
    /// The documents and files.
    pub workspace: Arc<Workspace>,
    /// Where answers are written to be shown; without it they are shown as messages.
    pub state_dir: Option<PathBuf>,
    /// Our version, as the client is told.
    pub version: String,
    /// Folders that are watched for changes of the configuration, at most.
    pub watched_folders: usize,
    /// A handler for tests.
    pub hook: Option<Hook>,
}

impl ServerOptions {
    /// Options without a state directory.
    pub fn new(runtime: Handle, workspace: Arc<Workspace>) -> Self {
        let version = env!("CARGO_PKG_VERSION").into();
        Self { runtime, workspace, state_dir: None, version, watched_folders: FOLDERS, hook: None }
    }
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// What ended it.
    pub end: End,
    /// Whether the client had sent `shutdown`: the program's exit code is 0 only then.
    pub clean: bool,
}

/// Serves the client that writes to `read` and reads from `write`, until one side ends it.
///
/// `prepare` is called before the first message, to set the session's callbacks. The reader's thread may outlive this
/// call, blocked in a read that nothing can interrupt; it does nothing any more.
pub fn serve(
    read: impl Read + Send + 'static,
    write: impl Write + Send + 'static,
    options: ServerOptions,
    prepare: impl FnOnce(&Arc<Session>),
) -> io::Result<Ended> {
    let ending = Arc::new(Ending::default());
    let outbound = Outbound::start(write, Arc::clone(&ending))?;
    let workspace = Arc::clone(&options.workspace);
    let session = Session::new(outbound, workspace, options);
    prepare(&session);
    let reader = Arc::clone(&session);
    let announce = Arc::clone(&ending);
    std::thread::Builder::new().name("lsp-reader".into()).spawn(move || {
        announce.announce(read_all(read, &reader, &announce));
    })?;
    let end = wait(&session, &ending);
    if let Some(tell) = session.callbacks.ended.get() {
        tell();
    }
    session.outbound.close(LAST_WORDS);
    Ok(Ended { end, clean: session.is_shut_down() })
}

/// The reader's thread.
fn read_all(mut read: impl Read, session: &Arc<Session>, ending: &Ending) -> End {
    let mut ingress = Ingress::new(Backend::service(session), Arc::clone(session));
    let mut chunk = vec![0; CHUNK];
    let end = loop {
        match read.read(&mut chunk) {
            Ok(0) => break End::Closed,
            Ok(_) if ending.get().is_some() => break End::Closed,
            Ok(length) => {
                if let std::ops::ControlFlow::Break(end) = ingress.feed(&chunk[..length]) {
                    break end;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                tracing::debug!(%error, "cannot read from the client");
                break End::Closed;
            }
        }
    };
    ingress.finish();
    end
}

/// Waits for the end, looking after the parent meanwhile.
fn wait(session: &Session, ending: &Ending) -> End {
    loop {
        if let Some(end) = ending.wait(PARENT_PACE) {
            return end;
        }
        let parent = session.client().and_then(|client| client.parent.as_ref());
        if parent.is_some_and(Parent::is_gone) {
            ending.announce(End::Orphaned);
        }
    }
}

/// The process's own standard input and output as plain files: not the buffered ones of the standard library, whose
/// output is flushed line by line in the middle of a message.
#[cfg(unix)]
pub fn stdio() -> io::Result<(std::fs::File, std::fs::File)> {
    use std::os::fd::AsFd;
    Ok((io::stdin().as_fd().try_clone_to_owned()?.into(), io::stdout().as_fd().try_clone_to_owned()?.into()))
}

/// The process's own standard input and output.
#[cfg(not(unix))]
pub fn stdio() -> io::Result<(io::Stdin, io::Stdout)> {
    Ok((io::stdin(), io::stdout()))
}

/// Makes panics go to the log, with their place but without their message: that may quote what the user wrote.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic| match panic.location() {
        Some(place) => tracing::error!(file = place.file(), line = place.line(), "panic"),
        None => tracing::error!("panic"),
    }));
}
