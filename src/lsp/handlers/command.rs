//! `workspace/executeCommand`: starts things and answers. A run never lives in a request: what is awaited here is its
//! outcome, and only where the client asked to wait.

use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tower_lsp::jsonrpc::{Error, ErrorCode, Result};

use super::super::agent::Agent;
use super::super::commands;
use super::super::problems;
use super::super::session::Session;
use crate::agent::analytics;
use crate::agent::order::{Order, OrderError};
use crate::agent::outcome::Outcome;
use crate::agent::runs::Runs;
use crate::config::ModelRef;
use crate::ids::{RunId, ThreadId};
use crate::text::Range;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RunArgument {
    action: String,
    uri: Option<String>,
    range: Option<Range>,
    prompt: Option<String>,
    diagnostics: Option<Vec<Value>>,
    thread: Option<ThreadId>,
    model: Option<String>,
    wait: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct OfRun {
    run_id: Option<RunId>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct OfProposal {
    run_id: Option<RunId>,
    /// Files of it, where not all are meant.
    uris: Option<Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct OfThread {
    thread_id: Option<ThreadId>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct OfModel {
    model: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct OfTable {
    what: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Nothing {}

/// A name of the client's that is repeated to it.
fn short(name: &str) -> String {
    name.chars().take(100).collect()
}

/// Runs a command of the list in [`super::super::commands`]. Everything up to the first await happens in wire order.
pub async fn execute(session: Arc<Session>, params: Value) -> Result<Value> {
    let command = params.get("command").and_then(Value::as_str).unwrap_or_default().to_owned();
    let arguments = params.get("arguments").cloned().unwrap_or_default();
    let Some(agent) = session.agent().cloned() else {
        return Err(Error::internal_error());
    };
    match command.as_str() {
        commands::RUN => run(&session, &agent, &arguments).await,
        commands::CANCEL => {
            let OfRun { run_id } = argument(&command, &arguments)?;
            Ok(json!({ "cancelled": agent.runs.cancel(run_id.as_ref()) }))
        }
        commands::REVERT => {
            let OfRun { run_id } = argument(&command, &arguments)?;
            outcome(agent.runs.revert(run_id).await.map_err(refused)?)
        }
        commands::ACCEPT => {
            let OfProposal { run_id, uris } = argument(&command, &arguments)?;
            let run = run_id.ok_or_else(|| Error::invalid_params("`runId` is needed"))?;
            agent.runs.recall_run(&run).await;
            outcome(agent.runs.accept(run, uris.as_deref()).await.map_err(refused)?)
        }
        commands::REJECT => {
            let OfProposal { run_id, uris } = argument(&command, &arguments)?;
            let run = run_id.ok_or_else(|| Error::invalid_params("`runId` is needed"))?;
            agent.runs.recall_run(&run).await;
            agent.runs.reject(&run, uris.as_deref()).map_err(refused)?;
            Ok(json!({}))
        }
        commands::COMPACT => {
            let thread_id = known_thread(&agent, &command, &arguments).await?;
            let (before, after) = agent.runs.compact(thread_id).await.map_err(refused)?;
            Ok(json!({ "before": before, "after": after }))
        }
        commands::CLEAR => {
            let thread_id = known_thread(&agent, &command, &arguments).await?;
            let (before, after) = agent.runs.clear(thread_id.as_ref()).map_err(refused)?;
            Ok(json!({ "before": before, "after": after }))
        }
        commands::DUMP => {
            let thread_id = known_thread(&agent, &command, &arguments).await?;
            crate::agent::meter::dump(&agent.runs, thread_id.as_ref()).await.map_err(refused)
        }
        commands::STATS => {
            let Nothing {} = argument(&command, &arguments)?;
            Ok(agent.stats(&session).await)
        }
        commands::ANALYTICS => {
            let OfTable { what } = argument(&command, &arguments)?;
            analytics::table(&agent.runs, &what).ok_or_else(|| {
                let tables = analytics::TABLES.join(", ");
                Error::invalid_params(format!("there is no table `{}`; there are: {tables}", short(&what)))
            })
        }
        commands::REPORT => {
            let OfRun { run_id } = argument(&command, &arguments)?;
            let own = session.options.state_dir.clone();
            let path =
                agent.runs.report(own, run_id).await.map_err(|error| Error::invalid_params(error.to_string()))?;
            // The answer does not wait until a browser is open.
            if let Some(client) = session.client() {
                client.host.show_page(&path);
            }
            Ok(json!({ "path": path.to_string_lossy() }))
        }
        commands::THREADS => {
            let Nothing {} = argument(&command, &arguments)?;
            Ok(json!(agent.runs.known_threads().await))
        }
        commands::LIST_MODELS => {
            let Nothing {} = argument(&command, &arguments)?;
            let (config, llm) = (agent.config.current(), &agent.runs.services().llm);
            // Nothing else waits for this handler, and it waits for no model: lists come in milliseconds or not at all.
            crate::agent::models::refresh(llm, &config).await;
            Ok(json!(crate::agent::models::list(&config, llm.catalogue())))
        }
        commands::SET_MODEL => {
            let OfModel { model } = argument(&command, &arguments)?;
            set_model(&agent, &model)
        }
        other => Err(Error::invalid_params(format!(
            "there is no command `{}`; there are: {}",
            short(other),
            commands::ALL.join(", ")
        ))),
    }
}

/// The thread that a command names; one of an earlier session is taken up.
async fn known_thread(agent: &Agent, command: &str, arguments: &Value) -> Result<Option<ThreadId>> {
    let OfThread { thread_id } = argument(command, arguments)?;
    if let Some(thread) = &thread_id {
        agent.runs.recall(thread).await;
    }
    Ok(thread_id)
}

async fn run(session: &Arc<Session>, agent: &Arc<Agent>, arguments: &Value) -> Result<Value> {
    let argument: RunArgument = argument(commands::RUN, arguments)?;
    let encoding = session.client().map(|client| client.capabilities.encoding).unwrap_or_default();
    let model = argument.model.as_deref().map(model_ref).transpose()?;
    if let Some(thread) = &argument.thread {
        agent.runs.recall(thread).await;
    }
    let order = Order {
        action: argument.action,
        uri: argument.uri,
        range: argument.range,
        encoding,
        prompt: argument.prompt.unwrap_or_default(),
        diagnostics: argument.diagnostics.unwrap_or_default(),
        thread: argument.thread,
        model,
    };
    // An edited file takes effect with the next run: one look at each file, and a reading only of what has changed.
    if agent.refresh(session) {
        problems::publish(session);
    }
    let started = {
        // Runs are spawned on the session's runtime; this part runs on the reader's thread.
        let _entered = session.runtime.enter();
        agent.runs.start(order).map_err(refused)?
    };
    if !argument.wait.unwrap_or_default() {
        return Ok(json!({ "runId": started.run, "threadId": started.thread }));
    }
    // `$/cancelRequest` drops this future, and with it the guard: then the run goes, too.
    let guard = CancelOnDrop { runs: Some(agent.runs.clone()), run: started.run.clone() };
    let ended = started.outcome().await;
    guard.keep();
    match ended {
        Some(ended) => outcome((*ended).clone()),
        None => Err(Error::internal_error()),
    }
}

struct CancelOnDrop {
    runs: Option<Arc<Runs>>,
    run: RunId,
}

impl CancelOnDrop {
    fn keep(mut self) {
        self.runs = None;
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some(runs) = self.runs.take() {
            runs.cancel(Some(&self.run));
        }
    }
}

fn set_model(agent: &Agent, name: &str) -> Result<Value> {
    let model = model_ref(name)?;
    if let Err(error) =
        crate::agent::models::resolve(&agent.config.current(), agent.runs.services().llm.catalogue(), Some(&model))
    {
        return Err(Error::invalid_params(format!("{}. {}", error.message.trim_end_matches('.'), error.hint)));
    }
    agent.runs.choose_model(model.clone());
    Ok(json!({ "model": model.to_string() }))
}

fn model_ref(name: &str) -> Result<ModelRef> {
    name.parse().map_err(|_| Error::invalid_params(format!("`{name}` is not a model; write PROVIDER/MODEL")))
}

/// The one argument of a command. None at all stands for an empty object, as palettes send it.
fn argument<T: DeserializeOwned>(command: &str, arguments: &Value) -> Result<T> {
    let wrong = |why: String| Error::invalid_params(format!("{command}: {why}"));
    let argument = match arguments {
        Value::Null => json!({}),
        Value::Array(list) if list.is_empty() => json!({}),
        Value::Array(list) if list.len() == 1 && list[0].is_null() => json!({}),
        Value::Array(list) if list.len() == 1 => list[0].clone(),
        Value::Array(list) => return Err(wrong(format!("takes one object, not {} arguments", list.len()))),
        _ => return Err(wrong("`arguments` must be a list with one object".into())),
    };
    if !argument.is_object() {
        return Err(wrong("the argument must be an object".into()));
    }
    serde_json::from_value(argument).map_err(|error| wrong(error.to_string()))
}

fn outcome(outcome: Outcome) -> Result<Value> {
    serde_json::to_value(outcome).map_err(|_| Error::internal_error())
}

fn refused(error: OrderError) -> Error {
    match error {
        OrderError::Closing => Error { code: ErrorCode::InvalidRequest, message: error.to_string().into(), data: None },
        _ => Error::invalid_params(error.to_string()),
    }
}
