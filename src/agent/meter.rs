//! How full a conversation is, and with what: the readout's context meter, and `ropeway.dump`.
//!
//! Counting is done when somebody looks, never for a run: a run goes by what the provider reports. What was reported of
//! this conversation makes the count of a model without a public tokenizer better, see [`Calibration`].

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};

use super::budget::ledger::OfThread;
use super::models;
use super::order::OrderError;
use super::outcome::RunUsage;
use super::prompt;
use super::runs::Runs;
use crate::ids::ThreadId;
use crate::llm::count::{self, Calibration, Counted};
use crate::llm::{Message, ToolResult};

/// Tools whose results are texts of the workspace.
const FILES: [&str; 2] = ["read_file", "outline"];
/// Messages of a dump, at most: the last ones.
const MESSAGES: usize = 1000;
/// Characters of each text of a dump, at most.
const CHARS: usize = 4000;

/// The tokens of a conversation by what they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Parts {
    /// The standing instructions.
    pub system: u64,
    /// Descriptions and schemas of the tools.
    pub tools: u64,
    /// Texts of the workspace that the model has read.
    pub files: u64,
    /// What the user and the model said, calls included.
    pub history: u64,
    /// Results of all other tools.
    pub results: u64,
}

/// The state of one conversation.
struct Meter {
    thread: ThreadId,
    messages: Vec<Message>,
    counted: Counted,
    /// The record that is shown.
    record: Value,
}

/// The meter of a conversation for the readout; `None` if there is none.
pub async fn context(runs: &Runs) -> Option<Value> {
    let meter = measure(runs, None).await.ok()?;
    (!meter.messages.is_empty()).then_some(meter.record)
}

/// What `ropeway.dump` answers: each message with its tokens. Without a name: the thread that was used last.
pub async fn dump(runs: &Runs, thread: Option<&ThreadId>) -> Result<Value, OrderError> {
    let Meter { thread, messages, counted, mut record } = measure(runs, thread).await?;
    let mut shown = vec![json!({
        "role": "system",
        "tokens": counted.system,
        "text": cut(prompt::SYSTEM),
    })];
    shown.push(json!({ "role": "tools", "tokens": counted.tools }));
    let first = messages.len().saturating_sub(MESSAGES);
    for (message, counts) in messages.iter().zip(&counted.messages).skip(first) {
        match message {
            Message::User(text) => shown.push(json!({"role": "user", "tokens": counts[0], "text": cut(text)})),
            Message::Assistant(turn) => {
                let calls: Vec<Value> = turn
                    .calls
                    .iter()
                    .map(|call| json!({"callId": call.id, "tool": call.name, "arguments": cut(&call.arguments)}))
                    .collect();
                shown.push(json!({
                    "role": "assistant", "tokens": counts[0], "model": turn.origin, "text": cut(&turn.text),
                    "calls": calls,
                }));
            }
            Message::ToolResults(results) => shown.extend(results.iter().zip(counts).map(|(result, tokens)| {
                let ToolResult { call, name, content, is_error } = result;
                json!({
                    "role": "tool", "tokens": tokens, "callId": call, "tool": name, "text": cut(content),
                    "isError": is_error,
                })
            })),
        }
    }
    record["threadId"] = json!(thread);
    record["leftOut"] = json!(first);
    record["messages"] = json!(shown);
    Ok(record)
}

/// A text that says what was cut from it.
fn cut(text: &str) -> String {
    match text.char_indices().nth(CHARS) {
        Some((end, _)) => format!("{}… ({} bytes more)", &text[..end], text.len() - end),
        None => text.to_owned(),
    }
}

async fn measure(runs: &Runs, thread: Option<&ThreadId>) -> Result<Meter, OrderError> {
    let services = runs.services();
    let config = services.config();
    let (thread, messages) = runs.conversation(thread)?;
    let sums = services.ledger.thread(&thread).unwrap_or_default();
    let chosen = models::resolve(&config, services.llm.catalogue(), runs.chosen_model().as_ref()).ok();
    let origin = match (&sums.reported, &chosen) {
        (_, Some(chosen)) => chosen.origin.clone(),
        (Some(reported), None) => reported.origin.clone(),
        (None, None) => Arc::from(""),
    };
    let model = origin.split_once('/').map_or(&*origin, |(_, model)| model);
    let tokenizer = count::tokenizer(model);
    let tools = services.registry.select(None, &config.tools.disabled).specs();
    let counted = count::request(&services.counter, tokenizer, &prompt::system(), &tools, &messages).await;
    let counted =
        if tokenizer.published { counted } else { calibrated(&services.calibration, &origin, counted, &sums) };

    let parts = parts(&messages, &counted);
    let mut record = json!({
        "model": origin,
        "encoding": tokenizer.encoding.name(),
        "basis": if tokenizer.published { "published" } else { "estimate" },
        "tokens": counted.total(),
        "parts": parts,
    });
    if let Some(reported) = &sums.reported {
        record["reported"] = json!({
            "model": reported.origin,
            "messages": reported.messages,
            "inputTokens": reported.usage.input_tokens,
        });
    }
    if let Some(info) = chosen.map(|chosen| chosen.info).filter(|info| info.known) {
        record["window"] = json!(info.context_window);
        record["compactAt"] = json!((info.context_window as f64 * config.context.compact_at) as u64);
    }
    Ok(Meter { thread, messages, counted, record })
}

/// What the provider said of the beginning of this very conversation stands for the rest of it.
fn calibrated(calibration: &Calibration, origin: &Arc<str>, counted: Counted, sums: &OfThread) -> Counted {
    if let Some(reported) = &sums.reported
        && reported.messages <= counted.messages.len()
    {
        calibration.learn(&reported.origin, counted.first(reported.messages), reported.usage.input_tokens);
    }
    counted.scaled(calibration.factor(origin))
}

fn parts(messages: &[Message], counted: &Counted) -> Parts {
    let mut parts = Parts { system: counted.system, tools: counted.tools, history: counted.reply, ..Parts::default() };
    for (message, counts) in messages.iter().zip(&counted.messages) {
        match message {
            Message::User(_) | Message::Assistant(_) => parts.history += counts.iter().sum::<u64>(),
            Message::ToolResults(results) => {
                for (result, count) in results.iter().zip(counts) {
                    *(if FILES.contains(&&*result.name) { &mut parts.files } else { &mut parts.results }) += count;
                }
            }
        }
    }
    parts
}

/// What was spent by request, thread and day. The day's sum stands in a file, which is read on a blocking thread.
pub async fn spent(runs: &Runs) -> Value {
    let ledger = runs.services().ledger.clone();
    let thread = runs.conversation(None).ok().and_then(|(thread, _)| ledger.thread(&thread));
    let request = ledger.last_request();
    let day = tokio::task::spawn_blocking(move || ledger.today()).await.unwrap_or_default();
    let mut record = json!({ "day": day });
    let mut add = |name: &str, sum: Option<RunUsage>| {
        if let Some(sum) = sum {
            record[name] = json!(sum);
        }
    };
    add("request", request);
    add("thread", thread.map(|thread| thread.spent));
    record
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::CallId;

    #[test]
    fn a_part_is_what_its_tokens_are_of() {
        let result = |name: &str| ToolResult {
            call: CallId::from("c"),
            name: name.into(),
            content: "x".into(),
            is_error: false,
        };
        let messages = [Message::User("x".into()), Message::ToolResults([result("read_file"), result("grep")].into())];
        let counted = Counted { system: 1, tools: 2, messages: vec![vec![4], vec![8, 16]], reply: 32 };
        let parts = parts(&messages, &counted);
        assert_eq!(parts, Parts { system: 1, tools: 2, files: 8, history: 36, results: 16 });
        assert_eq!(counted.total(), 63);
    }

    #[test]
    fn a_long_text_says_what_was_cut() {
        let text = "ä".repeat(CHARS + 5);
        assert!(cut(&text).ends_with("… (10 bytes more)"));
        assert_eq!(cut("short"), "short");
    }
}
