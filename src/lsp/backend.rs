//! The server as tower-lsp knows it: which message goes to which handler, and nothing else.
//!
//! Parameters are raw JSON where the protocol's typed structs would refuse what real clients send. The service is built
//! with its lifecycle methods only, which keeps some hundred unused methods out of the binary.

use std::sync::Arc;

use serde_json::{Value, json};
use tower_lsp::gen_lsp_types as lsp;
use tower_lsp::jsonrpc::Result;
use tower_lsp::{LanguageServer, LspService};

use super::capabilities::Capabilities;
use super::handlers::{code_action, command, folders};
use super::progress::Progress;
use super::session::Session;

/// The server of one session.
pub struct Backend {
    session: Arc<Session>,
}

impl Backend {
    /// The service that answers for `session`.
    pub fn service(session: &Arc<Session>) -> LspService<Self> {
        let mut builder = LspService::build_with_lifecycle_methods(|_client| Self { session: Arc::clone(session) })
            .custom_method("textDocument/codeAction", Self::code_action)
            .custom_method("workspace/executeCommand", Self::execute_command)
            .custom_method("workspace/didChangeWorkspaceFolders", Self::folders_changed)
            .custom_method("workspace/didChangeConfiguration", Self::settings_changed)
            .custom_method("window/workDoneProgress/cancel", Self::progress_cancelled)
            .custom_method("$/setTrace", Self::set_trace);
        if session.options.hook.is_some() {
            builder = builder.custom_method("ropeway/hook", Self::hook);
        }
        // The socket is for tower-lsp's own client, which is not used: see `outbound`.
        let (service, _socket) = builder.finish();
        service
    }

    /// Parameters of `initialize` that the typed structs always accept, with the real ones inside.
    pub fn wrapped(params: Value) -> Value {
        json!({"processId": null, "rootUri": null, "capabilities": {}, "initializationOptions": params})
    }

    async fn code_action(&self, params: Value) -> Result<Value> {
        code_action::actions(&self.session, &params)
    }

    async fn execute_command(&self, params: Value) -> Result<Value> {
        command::execute(Arc::clone(&self.session), params).await
    }

    async fn folders_changed(&self, params: Value) {
        folders::changed(&self.session, &params);
    }

    async fn settings_changed(&self, params: Value) {
        if let Some(tell) = self.session.callbacks.settings_changed.get() {
            tell(params);
        }
    }

    async fn progress_cancelled(&self, params: Value) {
        if let Some(run) = params.get("token").and_then(Progress::run_of)
            && let Some(tell) = self.session.callbacks.cancelled.get()
        {
            tell(&run);
        }
    }

    async fn set_trace(&self, _params: Value) {}

    async fn hook(&self, params: Value) -> Result<Value> {
        match &self.session.options.hook {
            Some(hook) => hook(Arc::clone(&self.session), params).await,
            None => Ok(Value::Null),
        }
    }
}

impl LanguageServer for Backend {
    async fn initialize(&self, params: lsp::InitializeParams) -> Result<lsp::InitializeResult> {
        let offered = params.initialization_options.unwrap_or_default();
        let client = self.session.introduce(Arc::new(Capabilities::resolve(&offered)));
        folders::set(&self.session, &client.capabilities.folders);
        Ok(client.capabilities.answer(&self.session.options.version))
    }

    async fn initialized(&self, _: lsp::InitializedParams) {
        if let Some(tell) = self.session.callbacks.ready.get() {
            tell();
        }
    }

    async fn shutdown(&self) -> Result<()> {
        self.session.shut_down();
        Ok(())
    }
}
