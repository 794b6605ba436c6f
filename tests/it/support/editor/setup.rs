//! How a model editor and its server are started.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use ropeway::disk::{Disk, DiskLimits};
use ropeway::lsp::{ServerOptions, Session, serve};
use ropeway::workspace::Workspace;
use serde_json::{Value, json};

use super::{Applies, Columns, Editor, uri};

type Prepare = Box<dyn FnOnce(&Arc<Session>) + Send>;

/// How an editor and its server are started.
pub struct Setup {
    /// What columns the editor counts in; the only encoding it offers.
    pub columns: Columns,
    /// How it takes edits.
    pub applies: Applies,
    /// The parameters of `initialize`; capabilities of a capable editor unless changed.
    pub initialize: Value,
    /// The server's options.
    pub options: ServerOptions,
    /// Called with the session before the first message.
    pub prepare: Prepare,
}

impl Setup {
    /// A capable editor that takes edits as VS Code does, without a folder.
    pub fn new() -> Self {
        Self {
            columns: Columns::Utf16,
            applies: Applies::Transactional,
            initialize: capable(),
            options: ServerOptions::new(runtime().handle().clone(), workspace()),
            prepare: Box::new(|_| {}),
        }
    }

    /// The same, in a folder.
    pub fn in_folder(folder: &Path) -> Self {
        let mut setup = Self::new();
        setup.initialize["workspaceFolders"] = json!([{"uri": uri(folder), "name": "root"}]);
        setup
    }

    /// Counts columns otherwise.
    pub fn columns(mut self, columns: Columns) -> Self {
        self.columns = columns;
        self
    }

    /// Takes edits otherwise. Neovim's way goes with what Neovim says of itself.
    pub fn applies(mut self, applies: Applies) -> Self {
        self.applies = applies;
        if applies == Applies::EachAlone {
            self.initialize["clientInfo"] = json!({"name": "Neovim", "version": "0.12.4"});
            let edit = &mut self.initialize["capabilities"]["workspace"]["workspaceEdit"];
            *edit = json!({"resourceOperations": ["rename", "create", "delete"]});
        }
        self
    }

    /// Adds `initializationOptions`.
    pub fn initialization_options(mut self, options: Value) -> Self {
        self.initialize["initializationOptions"] = options;
        self
    }

    /// Lets the server's time run by itself whenever nothing else happens: what waits for a timeout gets it at once.
    pub fn without_waiting(mut self) -> Self {
        let (sender, handle) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
            sender.send(runtime.handle().clone()).unwrap();
            runtime.block_on(std::future::pending::<()>());
        });
        self.options.runtime = handle.recv().unwrap();
        self
    }

    /// Is given the session before the first message, after those who asked for that before.
    pub fn prepare(mut self, prepare: impl FnOnce(&Arc<Session>) + Send + 'static) -> Self {
        let before = std::mem::replace(&mut self.prepare, Box::new(|_| {}));
        self.prepare = Box::new(move |session| {
            before(session);
            prepare(session);
        });
        self
    }

    /// Starts server and editor and introduces them.
    pub fn start(self) -> Editor {
        let initialize = self.initialize.clone();
        let mut editor = self.start_silent();
        editor.introduce(initialize);
        editor
    }

    /// Starts the real program instead, so that it can be killed, and introduces the editor to it.
    #[cfg(unix)]
    pub fn start_program(self, program: &mut std::process::Command) -> (Editor, std::process::Child) {
        use std::os::fd::OwnedFd;
        use std::process::Stdio;
        let mut child = program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let to_server = OwnedFd::from(child.stdin.take().unwrap()).into();
        let from_server = OwnedFd::from(child.stdout.take().unwrap()).into();
        // Its end is for the test to see.
        let ended = std::thread::spawn(|| ropeway::lsp::Ended { end: ropeway::lsp::End::Closed, clean: false });
        let mut editor = Editor::new(self.columns, self.applies, to_server, from_server, ended);
        editor.introduce(self.initialize);
        (editor, child)
    }

    /// Starts server and editor; nothing has been said yet.
    pub fn start_silent(mut self) -> Editor {
        self.initialize = Value::Null;
        let (server_reads, to_server) = std::io::pipe().unwrap();
        let (from_server, server_writes) = std::io::pipe().unwrap();
        let (options, prepare) = (self.options, self.prepare);
        let server = std::thread::spawn(move || serve(server_reads, server_writes, options, prepare).unwrap());
        Editor::new(self.columns, self.applies, to_server, from_server, server)
    }
}

/// A runtime for the servers of all tests.
fn runtime() -> &'static tokio::runtime::Runtime {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap())
}

/// An empty workspace.
fn workspace() -> Arc<Workspace> {
    Workspace::new(Arc::new(Disk::new(DiskLimits::default())))
}

/// `initialize` of an editor that can do all that the server may use.
fn capable() -> Value {
    json!({
        "processId": null,
        "clientInfo": {"name": "model editor", "version": "1"},
        "rootUri": null,
        "workspaceFolders": null,
        "capabilities": {
            "workspace": {
                "applyEdit": true,
                "configuration": true,
                "workspaceFolders": true,
                "didChangeWatchedFiles": {"dynamicRegistration": true},
                "workspaceEdit": {
                    "documentChanges": true,
                    "resourceOperations": ["create", "rename", "delete"],
                    "failureHandling": "textOnlyTransactional",
                    "changeAnnotationSupport": {"groupsOnLabel": true},
                },
            },
            "textDocument": {
                "codeAction": {
                    "dataSupport": true,
                    "isPreferredSupport": true,
                    "codeActionLiteralSupport": {"codeActionKind": {"valueSet": ["", "quickfix", "refactor", "source"]}},
                },
            },
            "window": {"workDoneProgress": true, "showDocument": {"support": true}},
        },
    })
}
