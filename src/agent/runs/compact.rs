//! A conversation made smaller, or emptied, by the user's command instead of at need.

use std::sync::Arc;

use super::{Runs, Thread};
use crate::agent::context::compact::SUMMARY_TOKENS;
use crate::agent::facts;
use crate::agent::history::History;
use crate::agent::models::{self, Chosen};
use crate::agent::order::OrderError;
use crate::agent::outcome::RunUsage;
use crate::agent::prompt;
use crate::agent::record;
use crate::agent::run::conversation::{keeper, limited, temperature};
use crate::agent::run::lock;
use crate::agent::trace;
use crate::agent::turn::{Turn, TurnEvent};
use crate::config::{Config, ProviderKind};
use crate::host::Size;
use crate::ids::{RunId, ThreadId};
use crate::llm::client::Call;
use crate::llm::{Message, Request, StreamEvent, Usage};
use crate::metrics::{Op, Spent};
use crate::trajectory::record::Event;

/// Frees the thread when the command ends, also when its future is dropped.
struct Reserved<'a> {
    runs: &'a Runs,
    thread: ThreadId,
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        if let Some(thread) = self.runs.state().threads.get_mut(&self.thread) {
            thread.busy = None;
        }
        self.runs.services.host.status_changed();
    }
}

impl Runs {
    /// Compacts a thread, by default the one used last: with the model's summary where it can be asked, else by what
    /// is known without it. Returns its size before and after.
    pub async fn compact(&self, thread: Option<ThreadId>) -> Result<(Size, Size), OrderError> {
        let id = {
            let state = self.state();
            let last = || state.recent.back().cloned();
            thread.or_else(last).ok_or_else(|| OrderError::Run("there is no conversation yet".into()))?
        };
        let (_, history) = self.thread(Some(id.clone()), &RunId::unused())?;
        let reserved = Reserved { runs: self, thread: id.clone() };

        let config = self.services.config();
        let chosen = models::resolve(&config, self.services.llm.catalogue(), self.chosen_model().as_ref()).ok();
        let tools = self.services.registry.select(None, &config.tools.disabled).specs();
        let (mut keeper, wanted) = {
            let mut history = lock(&history);
            let keeper = match &chosen {
                Some(chosen) => keeper(&config, chosen, &tools, &mut history),
                // Without a model nothing is asked, and what is known of an unknown one serves to count.
                None => limited(&config, &crate::llm::models::info(ProviderKind::OpenAi, "", None, None), 0, &tools),
            };
            if !keeper.can_compact(&mut history) {
                let size = keeper.size(&mut history);
                return Ok((size, size));
            }
            let wanted = keeper.to_summarise(&mut history);
            (keeper, wanted)
        };
        let said = match (&chosen, wanted) {
            (Some(chosen), Some(messages)) => self.summary(chosen, messages, &id).await,
            _ => None,
        };
        let sizes = {
            let mut history = lock(&history);
            let facts = facts::known(&self.services, None, &history);
            keeper.compact(&mut history, said.as_deref(), &facts)
        };
        if self.is_recorded(&config) {
            let whole = record::in_full(lock(&history).to_send());
            self.services.recorder.note(None, Some(&reserved.thread), whole);
        }
        Ok(sizes)
    }

    /// Whether what happens to conversations between runs is recorded: where no run has been, there is none to tell of.
    fn is_recorded(&self, config: &Config) -> bool {
        config.recording.enabled && self.state().redacted.is_some()
    }

    /// What the model says of the conversation; nothing if it cannot be asked.
    async fn summary(&self, chosen: &Chosen, messages: Vec<Message>, thread: &ThreadId) -> Option<String> {
        let config = self.services.config();
        let request = Request {
            model: chosen.model.clone(),
            system: prompt::system(),
            tools: self.services.registry.select(None, &config.tools.disabled).specs(),
            messages,
            max_output_tokens: SUMMARY_TOKENS.min(chosen.max_output_tokens),
            context_window: chosen.info.context_window,
            temperature: temperature(&config, &chosen.info),
            parallel_tools: config.agent.parallel_tools,
        };
        let call = Call {
            request,
            provider: chosen.provider.clone(),
            fallback: chosen.fallback.iter().map(Chosen::target).collect(),
            run: RunId::unused(),
            thread: None,
        };
        let trace = trace::chat(chosen, thread, call.request.max_output_tokens);
        let mut turn = Turn::new(self.services.llm.clone(), call, trace);
        loop {
            match turn.next().await {
                Ok(Some(TurnEvent::Stream(StreamEvent::Done(response)))) => {
                    self.summary_timed(&turn, true);
                    if let Some(usage) = &response.usage {
                        self.spent_aside(chosen, usage, &response.turn.origin, thread);
                        trace::counted(&turn.trace, &response.turn.origin, usage);
                    }
                    return Some(response.turn.text);
                }
                Ok(Some(_)) => {}
                Ok(None) => return None,
                Err(error) => {
                    self.summary_timed(&turn, false);
                    trace::failed(&turn.trace, error.kind);
                    tracing::warn!(%error.message, "no summary of the conversation; it is compacted without one");
                    return None;
                }
            }
        }
    }

    fn summary_timed(&self, turn: &Turn, ok: bool) {
        let why = || "the model was asked for a summary of the conversation".into();
        self.services.metrics.record_why(Op::Request, turn.started.elapsed(), ok, why);
    }

    /// Adds what no run has spent to the sums.
    fn spent_aside(&self, chosen: &Chosen, usage: &Usage, origin: &Arc<str>, thread: &ThreadId) {
        let info =
            chosen.fallback.iter().find(|other| other.origin == *origin).map_or(&chosen.info, |other| &other.info);
        let mut request = RunUsage::default();
        request.add(usage, info.cost(usage));
        self.services.ledger.add(thread, &request, None);
        self.services.metrics.spend_aside(&Spent {
            input: usage.input_tokens,
            cached: usage.cached_tokens,
            output: usage.output_tokens,
            cost_usd: request.cost_usd.unwrap_or_default(),
        });
        self.services.host.status_changed();
    }

    /// Empties a thread, or all that are not at work. Returns the size before and after.
    pub fn clear(&self, thread: Option<&ThreadId>) -> Result<(Size, Size), OrderError> {
        let recorded = self.is_recorded(&self.services.config());
        let state = self.state();
        let mut before = Size::default();
        for (id, Thread { history, busy }) in &state.threads {
            if thread.is_some_and(|thread| thread != id) {
                continue;
            }
            if busy.is_some() {
                if thread.is_some() {
                    return Err(OrderError::Busy(id.clone()));
                }
                continue;
            }
            let mut history = lock(history);
            let size = size(&mut history);
            before.messages += size.messages;
            before.tokens += size.tokens;
            history.clear();
            if recorded {
                self.services.recorder.note(None, Some(id), Event::Cleared(Box::default()));
            }
        }
        match thread {
            Some(id) if !state.threads.contains_key(id) => Err(OrderError::Thread(id.clone())),
            _ => Ok((before, Size::default())),
        }
    }
}

/// The size of a conversation alone, without what every request carries besides.
fn size(history: &mut History) -> Size {
    let messages = history.to_send();
    Size { messages: history.messages().len(), tokens: history.gauge().estimate(0, &messages) }
}
