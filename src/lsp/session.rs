//! What one editor's session shares: the way out, the workspace, what the client can do, and who is to be told when a
//! run is cancelled or the session ends.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use serde_json::Value;
use tokio::runtime::Handle;

use super::agent::Seat;
use super::capabilities::Capabilities;
use super::host::EditorHost;
use super::outbound::Outbound;
use super::parent::Parent;
use super::server::ServerOptions;
use crate::ids::RunId;
use crate::metrics::Milestone;
use crate::workspace::Workspace;

/// A callback without arguments.
pub type Callback = Box<dyn Fn() + Send + Sync>;
/// A callback for one run.
pub type RunCallback = Box<dyn Fn(&RunId) + Send + Sync>;
/// A callback for a value of the client.
pub type ValueCallback = Box<dyn Fn(Value) + Send + Sync>;

/// What the editor has done with a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touch {
    /// It is open now.
    Opened,
    /// Its text has changed.
    Changed,
    /// It was written to its file.
    Saved,
    /// It is closed.
    Closed,
}

/// A callback for a document, by its URI.
pub type DocumentCallback = Box<dyn Fn(&str, Touch) + Send + Sync>;

/// Whom the session tells of what; each may be set once, by the module that cares, before the first message.
#[derive(Default)]
pub struct Callbacks {
    /// The user cancelled a run through its progress display.
    pub cancelled: OnceLock<RunCallback>,
    /// What the status record shows has changed.
    pub status_changed: OnceLock<Callback>,
    /// The workspace folders have changed; `workspace.roots()` is new already.
    pub roots_changed: OnceLock<Callback>,
    /// The client says that its settings have changed; the value is what it sent along.
    pub settings_changed: OnceLock<ValueCallback>,
    /// The editor has done something with a document, which is followed already. On the reader's thread.
    pub document: OnceLock<DocumentCallback>,
    /// The client is initialized and may be asked things.
    pub ready: OnceLock<Callback>,
    /// The session ends: cancel the runs, kill their children. Called once, must return within a second or two.
    pub ended: OnceLock<Callback>,
}

/// What is known once the client has introduced itself.
pub struct Client {
    /// What it can do.
    pub capabilities: Arc<Capabilities>,
    /// The agent's port to it.
    pub host: Arc<EditorHost>,
    /// The process it says has started us; looked at right away, so that its number cannot have been used again.
    pub parent: Option<Parent>,
}

/// One editor's session.
pub struct Session {
    /// The way out.
    pub outbound: Outbound,
    /// The documents and files.
    pub workspace: Arc<Workspace>,
    /// Where work goes that is not done in wire order.
    pub runtime: Handle,
    /// How the server was started.
    pub options: ServerOptions,
    /// Whom to tell.
    pub callbacks: Callbacks,
    /// Its agent, once there is one.
    pub(super) seat: Seat,
    client: OnceLock<Client>,
    shut_down: AtomicBool,
    /// Calls of the client that are not done.
    pub(super) calls: AtomicUsize,
}

impl Session {
    /// A session with a client that has said nothing yet.
    pub fn new(outbound: Outbound, workspace: Arc<Workspace>, options: ServerOptions) -> Arc<Self> {
        Arc::new(Self {
            outbound,
            workspace,
            runtime: options.runtime.clone(),
            options,
            callbacks: Callbacks::default(),
            seat: Seat::default(),
            client: OnceLock::new(),
            shut_down: AtomicBool::new(false),
            calls: AtomicUsize::new(0),
        })
    }

    /// The client, once it has introduced itself.
    pub fn client(&self) -> Option<&Client> {
        self.client.get()
    }

    /// The client, while its documents are to be followed: after `initialize`, before `shutdown`.
    pub fn live(&self) -> Option<&Client> {
        self.client.get().filter(|_| !self.is_shut_down())
    }

    /// The client introduces itself; only the first time counts.
    pub(super) fn introduce(self: &Arc<Self>, capabilities: Arc<Capabilities>) -> &Client {
        self.workspace.metrics().passed(Milestone::Introduced);
        self.client.get_or_init(|| Client {
            host: Arc::new(EditorHost::new(self, Arc::clone(&capabilities))),
            parent: capabilities.process_id.and_then(Parent::of),
            capabilities,
        })
    }

    /// Whether the client has asked us to shut down.
    pub fn is_shut_down(&self) -> bool {
        self.shut_down.load(Ordering::Acquire)
    }

    /// Calls of the client that are not done yet: the one in hand, and those whose work waits for something.
    pub fn waiting(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    pub(super) fn shut_down(&self) {
        self.shut_down.store(true, Ordering::Release);
    }
}
