//! A run's side of its conversation: what the model is sent, what is recorded, and what is done when it gets too long.

use std::time::Instant;

use super::{Ended, Run, lock};
use crate::agent::context::Passes;
use crate::agent::context::compact::{Room, SUMMARY_TOKENS};
use crate::agent::context::keeper::{Keeper, Limits};
use crate::agent::context::trim::Bounds;
use crate::agent::facts;
use crate::agent::history::History;
use crate::agent::models::Chosen;
use crate::agent::phase::Input;
use crate::agent::prompt;
use crate::agent::trace;
use crate::agent::turn::{Turn, TurnEvent};
use crate::config::Config;
use crate::host::EventKind;
use crate::llm::client::Call;
use crate::llm::models::ModelInfo;
use crate::llm::{LlmError, LlmErrorKind, Message, Request, Response, Stop, StreamEvent, ToolResult, ToolSpec};
use crate::metrics::Op;

/// What keeps a conversation with this model small; it goes on with what the conversation has taught of the model.
pub(in crate::agent) fn keeper(config: &Config, model: &Chosen, tools: &[ToolSpec], history: &mut History) -> Keeper {
    history.ask(&model.origin);
    limited(config, &model.info, model.max_output_tokens, tools).resume(history)
}

/// The same for a model of which nothing is known but this.
pub(in crate::agent) fn limited(config: &Config, info: &ModelInfo, output: u32, tools: &[ToolSpec]) -> Keeper {
    let context = &config.context;
    let tools: usize =
        tools.iter().map(|tool| tool.name.len() + tool.description.len() + tool.schema.get().len()).sum();
    Keeper::new(Limits {
        room: Room { window: info.context_window, at: context.compact_at, output: output.into() },
        bounds: bounds(config),
        passes: Passes::without(context.disabled.iter().map(String::as_str)),
        fixed: prompt::system().len() + tools,
        cached_price: info.price.as_ref().map_or(1.0, |price| match price.cached_input {
            Some(cached) if price.input > 0.0 => cached / price.input,
            _ => 1.0,
        }),
        max_steps: config.agent.max_steps,
    })
}

/// How many messages a conversation may hold.
pub(in crate::agent) fn bounds(config: &Config) -> Bounds {
    let context = &config.context;
    Bounds { pairs: context.max_history_pairs as usize, at: context.trim_at, to: context.trim_to }
}

/// The user's, unless the model is known to refuse one.
pub(in crate::agent) fn temperature(config: &Config, info: &ModelInfo) -> Option<f32> {
    let takes_one = info.can.temperature != Some(false);
    config.agent.temperature.filter(|_| takes_one).map(|temperature| temperature as f32)
}

impl Run<'_> {
    /// Asks the model for the next step, or for room first.
    pub(super) fn ask(&mut self, step: u32) {
        self.batch = step;
        self.gate = super::Gate::new();
        self.events.step(step);
        let (plan, services) = (self.plan, self.services);
        let span = services.metrics.span(Op::Prepare).and_before(std::mem::take(&mut self.shrunk));
        let prepared = self.messages(step);
        span.end_why(true, || match &prepared {
            Some((messages, _)) => format!("{} messages were made ready", messages.len()).into(),
            None => "the conversation was found too large".into(),
        });
        let Some((messages, tokens)) = prepared else { return };
        self.events.doing("thinking");
        self.prefetch.guess(services, plan, &plan.guesses);
        self.row_begins(false);
        self.turn = Some(self.request(messages, plan.model.max_output_tokens, tokens));
    }

    /// What the next request says, and how many tokens that is; nothing if it must not be made.
    fn messages(&mut self, step: u32) -> Option<(Vec<Message>, u64)> {
        let mut history = lock(&self.plan.history);
        if let Some(remark) = history.seen().remark(&self.services.workspace) {
            history.note(remark);
        }
        self.keeper.tidy(&mut history, step.saturating_sub(1));
        if self.keeper.is_full(&mut history) {
            self.next = Some(Input::NoRoom);
            return None;
        }
        let tokens = self.keeper.size(&mut history).tokens;
        if self.cannot_afford(tokens) {
            self.next = Some(Input::CostLimit);
            return None;
        }
        Some((history.to_send(), tokens))
    }

    /// `tokens`: what the prompt is estimated at; 0 where nobody has.
    fn request(&mut self, messages: Vec<Message>, max_output_tokens: u32, tokens: u64) -> Turn {
        let request = Request {
            model: self.plan.model.model.clone(),
            system: prompt::system(),
            tools: self.plan.tools.specs(),
            messages,
            max_output_tokens,
            context_window: self.plan.model.info.context_window,
            temperature: temperature(&self.plan.config, &self.plan.model.info),
            parallel_tools: self.plan.config.agent.parallel_tools,
        };
        self.asked(&request, tokens);
        let call = Call {
            request,
            provider: self.plan.model.provider.clone(),
            fallback: self.plan.model.fallback.iter().map(Chosen::target).collect(),
            run: self.plan.run.clone(),
            thread: Some(self.plan.thread.clone()),
        };
        Turn::new(self.services.llm.clone(), call, trace::chat(&self.plan.model, &self.plan.thread, max_output_tokens))
    }

    /// Records the results of a turn, as small as they can be.
    pub(super) fn record(&mut self, results: Vec<ToolResult>) {
        let began = Instant::now();
        let mut history = lock(&self.plan.history);
        let results = self.keeper.arrive(&mut history, results);
        history.results(results);
        self.shrunk = began.elapsed();
    }

    /// What a failed turn means for the loop.
    pub(super) fn failed(&mut self, error: LlmError) -> Input {
        if error.kind == LlmErrorKind::ContextOverflow && self.overflowed() {
            Input::NoRoom
        } else {
            Input::TurnFailed(error)
        }
    }

    /// What a turn that has ended means for the loop.
    pub(super) fn ended(&mut self, response: Box<Response>) -> Input {
        if response.stop == Stop::ContextWindow && self.overflowed() {
            Input::NoRoom
        } else {
            Input::TurnEnded(response)
        }
    }

    /// The provider says that the prompt does not fit; whether anything can be done about it.
    fn overflowed(&mut self) -> bool {
        self.keeper.overflowed(&mut lock(&self.plan.history))
    }

    /// Begins to compact: asks the model for a summary, if it can be asked.
    pub(super) fn compact(&mut self) {
        self.events.doing("making room in the conversation");
        let messages = self.keeper.to_summarise(&mut lock(&self.plan.history));
        match messages {
            Some(messages) => {
                let most = SUMMARY_TOKENS.min(self.plan.model.max_output_tokens);
                self.summaries += 1;
                self.summarising = true;
                self.row_begins(true);
                self.turn = Some(self.request(messages, most, 0));
            }
            None => self.next = Some(self.compacted(None)),
        }
    }

    /// What happens while the summary is written. It is nobody's answer, so nothing of it is shown.
    pub(super) fn summary_event(&mut self, event: Result<Option<TurnEvent>, LlmError>) -> Option<Input> {
        match event {
            Ok(Some(TurnEvent::Retry(notice))) => {
                self.patience.retry(&self.services.host, self.events, notice);
                None
            }
            Ok(Some(TurnEvent::Stream(StreamEvent::Done(response)))) => {
                if let Some(usage) = &response.usage {
                    self.spend(usage, &response.turn.origin);
                }
                self.turn_over(true);
                self.summarising = false;
                let input = self.compacted(Some(&response.turn.text));
                Some(if self.has_spent_all() { Input::CostLimit } else { input })
            }
            Ok(_) => None,
            // Without a summary the structure alone stands for what goes. If the model cannot be reached at all, the
            // next request says so.
            Err(error) => {
                self.summarising = false;
                self.broke_off(&error);
                Some(self.compacted(None))
            }
        }
    }

    fn compacted(&mut self, said: Option<&str>) -> Input {
        let mut history = lock(&self.plan.history);
        let facts = facts::known(self.services, Some(&self.plan.run), &history);
        let (before, after) = self.keeper.compact(&mut history, said, &facts);
        drop(history);
        self.events.emit(EventKind::Compacted { before, after });
        Input::Compacted
    }

    /// How the loop ended.
    pub(super) fn close(mut self) -> Ended {
        self.row_ends();
        let (error, cancelled) = super::ended::told(self.ended, self.over);
        let timing = self.clock.timing();
        let steps = self.phase.steps() + self.summaries;
        Ended { error, cancelled, answer: self.answer, steps, usage: *self.budget.spent(), timing }
    }
}
