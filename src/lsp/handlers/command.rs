//! `workspace/executeCommand`: starts things and answers; nothing runs inside the request.

use std::sync::Arc;

use serde_json::Value;
use tower_lsp::jsonrpc::{Error, Result};

use super::super::session::Session;

/// Runs a command of the list in [`super::super::commands`].
pub async fn execute(_session: Arc<Session>, params: Value) -> Result<Value> {
    let command = params.get("command").and_then(Value::as_str).unwrap_or_default();
    Err(Error::invalid_params(format!("there is no command `{}`", command.chars().take(100).collect::<String>())))
}
