//! `textDocument/codeAction`: the menu, answered from memory. Editors ask at every cursor move.

use std::sync::Arc;

use serde_json::{Value, json};
use tower_lsp::jsonrpc::{Error, Result};

use super::super::commands;
use super::super::problems;
use super::super::session::Session;
use crate::agent::offer::{self, Offer, Place};
use crate::metrics::Op;
use crate::text::Range;
use crate::tools::diagnostics::{Diagnostic, Severity};

/// Diagnostics of one request that are looked at.
const MAX_DIAGNOSTICS: usize = 200;

/// The actions for a place in a document.
pub fn actions(session: &Arc<Session>, params: &Value) -> Result<Value> {
    let span = session.workspace.metrics().span(Op::CodeAction);
    let listed = list(session, params);
    span.end_why(listed.is_ok(), || match &listed {
        Ok(actions) => format!("{} actions were found", actions.as_array().map_or(0, Vec::len)).into(),
        Err(error) => error.to_string().into(),
    });
    listed
}

fn list(session: &Arc<Session>, params: &Value) -> Result<Value> {
    let Some(client) = session.client() else { return Ok(json!([])) };
    let uri = params.pointer("/textDocument/uri").and_then(Value::as_str);
    let range = params.get("range").and_then(|range| serde_json::from_value::<Range>(range.clone()).ok());
    let (Some(uri), Some(range)) = (uri, range) else {
        return Err(Error::invalid_params("`textDocument.uri` and `range` are needed"));
    };
    let Some(document) = session.workspace.document(uri).filter(|document| document.synced) else {
        return Ok(json!([]));
    };
    let empty = Vec::new();
    let diagnostics = params.pointer("/context/diagnostics").and_then(Value::as_array).unwrap_or(&empty);
    let diagnostics = &diagnostics[..diagnostics.len().min(MAX_DIAGNOSTICS)];
    let only: Vec<String> = params
        .pointer("/context/only")
        .and_then(Value::as_array)
        .map(|only| only.iter().filter_map(Value::as_str).map(str::to_owned).collect())
        .unwrap_or_default();
    let Some(agent) = session.agent() else { return Ok(json!([])) };
    let mends = match offer::wanted("quickfix", &only) {
        true => problems::mends(session, agent, &document, range),
        false => Vec::new(),
    };
    // Outside the workspace folders nothing may be read or changed, so nothing is offered there.
    if document.path.is_none() {
        return Ok(Value::Array(mends));
    }
    agent.diagnostics.set_in(uri, range, diagnostics.iter().filter_map(diagnostic).collect());
    let place = Place {
        uri,
        language: &document.language,
        text: &document.text,
        range,
        encoding: client.capabilities.encoding,
        diagnostics,
        file_has_diagnostics: !agent.diagnostics.of(uri).is_empty(),
        only: &only,
        // Without a client of ours nobody would ask for the instruction; a `ropeway:` comment gives one instead.
        asks: client.capabilities.events || client.capabilities.status,
    };
    let config =
        document.path.as_ref().map_or_else(|| agent.config.current(), |path| agent.config.of(&path.absolute()));
    let offers = offer::offers(&place, &config.actions);
    if !offers.is_empty()
        && let Some(work) = agent.runs.warm()
    {
        // A click will follow, perhaps; by then the handshake is over.
        session.runtime.spawn(work);
    }
    let literals = client.capabilities.action_literals;
    let offers = offers.into_iter().map(|offer| if literals { action(offer) } else { command(&offer) });
    Ok(mends.into_iter().chain(offers).collect())
}

/// A diagnostic as the tools show it; one without a place or a message says nothing.
fn diagnostic(value: &Value) -> Option<Diagnostic> {
    let range = serde_json::from_value(value.get("range")?.clone()).ok()?;
    let message = value.get("message").and_then(Value::as_str)?.to_owned();
    let severity = match value.get("severity").and_then(Value::as_u64) {
        Some(2) => Severity::Warning,
        Some(3) => Severity::Information,
        Some(4) => Severity::Hint,
        _ => Severity::Error,
    };
    let code = value.get("code").and_then(|code| match code {
        Value::String(code) => Some(code.clone()),
        Value::Number(code) => Some(code.to_string()),
        _ => None,
    });
    let source = value.get("source").and_then(Value::as_str).map(str::to_owned);
    Some(Diagnostic { range, severity, message, source, code })
}

fn action(offer: Offer) -> Value {
    let command = command(&offer);
    let mut action = json!({ "title": offer.title, "kind": offer.kind, "command": command });
    if let Some(diagnostic) = offer.diagnostic {
        action["diagnostics"] = json!([diagnostic]);
    }
    action
}

fn command(offer: &Offer) -> Value {
    json!({ "title": offer.title, "command": commands::RUN, "arguments": [offer.argument] })
}
