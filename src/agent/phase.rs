//! The loop of a run as a pure machine: (state, input) → effects. It knows no socket, no tool and no clock, so every
//! order in which things can happen is tested by calling a function.
//!
//! What it guarantees: each call of a recorded turn gets exactly one result, in call order, also when the run is
//! cancelled; a call with effects starts only after its turn has ended well; no call of a turn that was cut runs.

use std::sync::Arc;

use crate::ids::CallId;
use crate::llm::{LlmError, Response, Stop, ToolCall, ToolResult};

/// What bounds a run and what it may overlap.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Model calls at most.
    pub max_steps: u32,
    /// Start a read-only call while its response still arrives.
    pub stream_dispatch: bool,
    /// Let calls of one response overlap.
    pub parallel_tools: bool,
}

/// What happened.
#[derive(Debug)]
pub enum Input {
    /// The run begins.
    Start,
    /// A call of the response that is arriving is complete.
    CallReady {
        /// The call.
        call: ToolCall,
        /// It cannot change anything, so it may run before the response has ended.
        reads_only: bool,
    },
    /// The response ended as the protocol says.
    TurnEnded(Box<Response>),
    /// The response did not come, or broke off.
    TurnFailed(LlmError),
    /// The conversation does not fit the model's window any more, and can be made smaller.
    NoRoom,
    /// It has been made smaller.
    Compacted,
    /// A tool gave its result.
    ToolEnded {
        /// Which call.
        call: CallId,
        /// What it said.
        result: ToolResult,
    },
    /// A tool found something that ends the run.
    ToolFatal(String),
    /// The money for this run is spent.
    CostLimit,
    /// The user wants it to stop.
    Cancel,
}

/// What is to be done, in order.
#[derive(Debug)]
pub enum Effect {
    /// Ask the model with the history as it stands. `step` counts from 1.
    AskModel {
        /// Number of this model call.
        step: u32,
    },
    /// Make the conversation smaller; `Compacted` says when that is done.
    Compact,
    /// Hand a call to the scheduler.
    StartTool {
        /// The call.
        call: ToolCall,
        /// It must not run before `OpenGate`; handing it over now keeps its place before the calls behind it.
        gated: bool,
    },
    /// The response has ended well: the gated calls may run.
    OpenGate,
    /// Drop the response that is arriving.
    AbandonTurn,
    /// Stop every tool that runs or waits.
    CancelTools,
    /// Add the turn to the history.
    RecordTurn(Box<Response>),
    /// Add the results of the turn just recorded, in the order of its calls.
    RecordResults(Vec<ToolResult>),
    /// Add a remark to the history.
    RecordUser(&'static str),
    /// The work is done: bring what is staged to the user.
    Propose,
    /// End without proposing anything.
    End(End),
}

/// How a run ends that proposes nothing.
#[derive(Debug, PartialEq)]
pub enum End {
    /// The user stopped it.
    Cancelled,
    /// The model side failed.
    Model(LlmError),
    /// It took all the steps it may.
    StepLimit(u32),
    /// It spent all the money it may.
    CostLimit,
    /// The model refused, in the provider's words.
    Refused(String),
    /// A tool could not go on.
    Tool(String),
}

#[derive(Debug)]
enum State {
    Idle,
    Turn { turn: Calls },
    Acting { turn: Calls },
    Compacting,
    Over,
}

/// The calls of the turn that is arriving or being answered.
#[derive(Debug, Default)]
struct Calls {
    calls: Vec<Call>,
}

#[derive(Debug)]
struct Call {
    call: ToolCall,
    started: bool,
    result: Option<ToolResult>,
}

/// The machine.
#[derive(Debug)]
pub struct Phase {
    state: State,
    limits: Limits,
    steps: u32,
    /// A response was cut by its output limit before, and the model told so: the second time ends the run.
    cut: bool,
}

/// What the model reads after a response that was cut in the middle of its calls.
pub const CUT: &str = "Your last response reached the output limit before it was complete, so it was discarded and \
nothing in it was done. Go on in smaller steps: fewer calls in one response, shorter edits and answers.";

impl Phase {
    /// A run that has not begun.
    pub fn new(limits: Limits) -> Self {
        Self { state: State::Idle, limits, steps: 0, cut: false }
    }

    /// Model calls made so far.
    pub fn steps(&self) -> u32 {
        self.steps
    }

    /// Whether the run has ended or waits only for its proposal.
    pub fn over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// Takes an input and says what is to be done. After the end every input is ignored.
    pub fn step(&mut self, input: Input) -> Vec<Effect> {
        let state = std::mem::replace(&mut self.state, State::Over);
        match (state, input) {
            (State::Idle, Input::Start) => self.ask(Vec::new()),
            (State::Idle, Input::Cancel) => vec![Effect::End(End::Cancelled)],

            (State::Turn { mut turn }, Input::CallReady { call, reads_only }) => {
                // Never past a call that still waits: it may change what this one is about.
                let next = turn.calls.iter().all(|earlier| earlier.started);
                let now = self.limits.stream_dispatch && next && turn.may_start(self.limits.parallel_tools);
                let effect = now.then(|| Effect::StartTool { call: call.clone(), gated: !reads_only });
                turn.calls.push(Call { call, started: now, result: None });
                self.state = State::Turn { turn };
                effect.into_iter().collect()
            }
            (State::Turn { mut turn }, Input::ToolEnded { call, result }) => {
                turn.answer(&call, result);
                self.state = State::Turn { turn };
                Vec::new()
            }
            (State::Turn { turn }, Input::TurnEnded(response)) => self.turn_ended(turn, response),
            (State::Turn { .. }, Input::TurnFailed(error)) => {
                vec![Effect::CancelTools, Effect::End(End::Model(error))]
            }
            (State::Turn { .. }, Input::NoRoom) => {
                self.state = State::Compacting;
                vec![Effect::CancelTools, Effect::Compact]
            }
            (State::Turn { .. } | State::Compacting, Input::Cancel) => {
                vec![Effect::AbandonTurn, Effect::CancelTools, Effect::End(End::Cancelled)]
            }
            (State::Turn { .. } | State::Compacting, Input::CostLimit) => {
                vec![Effect::AbandonTurn, Effect::CancelTools, Effect::End(End::CostLimit)]
            }
            (State::Turn { .. }, Input::ToolFatal(why)) => {
                vec![Effect::AbandonTurn, Effect::CancelTools, Effect::End(End::Tool(why))]
            }

            (State::Compacting, Input::Compacted) => {
                self.state = State::Turn { turn: Calls::default() };
                vec![Effect::AskModel { step: self.steps }]
            }

            (State::Acting { mut turn }, Input::ToolEnded { call, result }) => {
                turn.answer(&call, result);
                self.act(turn)
            }
            (State::Acting { turn }, Input::Cancel) => turn.abandon("cancelled by the user", End::Cancelled),
            (State::Acting { turn }, Input::CostLimit) => turn.abandon("the cost limit was reached", End::CostLimit),
            (State::Acting { turn }, Input::ToolFatal(why)) => turn.abandon("the run ended", End::Tool(why)),

            (state, _) => {
                self.state = state;
                Vec::new()
            }
        }
    }

    fn ask(&mut self, mut before: Vec<Effect>) -> Vec<Effect> {
        if self.steps >= self.limits.max_steps {
            before.push(Effect::End(End::StepLimit(self.limits.max_steps)));
            return before;
        }
        self.steps += 1;
        self.state = State::Turn { turn: Calls::default() };
        before.push(Effect::AskModel { step: self.steps });
        before
    }

    fn turn_ended(&mut self, mut turn: Calls, response: Box<Response>) -> Vec<Effect> {
        match &response.stop {
            Stop::Length if response.turn.calls.is_empty() && response.turn.text.is_empty() => {
                vec![Effect::CancelTools, Effect::End(End::Model(cut_error()))]
            }
            Stop::Length if self.cut => vec![Effect::CancelTools, Effect::End(End::Model(cut_error()))],
            Stop::Length => {
                self.cut = true;
                self.ask(vec![Effect::CancelTools, Effect::RecordUser(CUT)])
            }
            Stop::ContextWindow => vec![Effect::CancelTools, Effect::End(End::Model(window_error()))],
            Stop::Refusal(why) => vec![Effect::CancelTools, Effect::End(End::Refused(why.clone()))],
            Stop::Pause if response.turn.calls.is_empty() => self.ask(vec![Effect::RecordTurn(response)]),
            Stop::EndTurn | Stop::ToolCalls | Stop::Pause | Stop::Other(_) => {
                turn.complete(&response.turn.calls);
                let done = turn.calls.is_empty();
                let mut effects = vec![Effect::RecordTurn(response)];
                if done {
                    effects.push(Effect::Propose);
                    return effects;
                }
                effects.push(Effect::OpenGate);
                effects.extend(self.act(turn));
                effects
            }
        }
    }

    /// Starts what may start now; when all calls are answered, records the results and asks again.
    fn act(&mut self, mut turn: Calls) -> Vec<Effect> {
        if turn.calls.iter().all(|call| call.result.is_some()) {
            let results = turn.calls.into_iter().filter_map(|call| call.result).collect();
            return self.ask(vec![Effect::RecordResults(results)]);
        }
        let mut effects = Vec::new();
        while turn.may_start(self.limits.parallel_tools)
            && let Some(call) = turn.calls.iter_mut().find(|call| !call.started)
        {
            call.started = true;
            effects.push(Effect::StartTool { call: call.call.clone(), gated: false });
        }
        self.state = State::Acting { turn };
        effects
    }
}

impl Calls {
    fn may_start(&self, parallel: bool) -> bool {
        parallel || !self.calls.iter().any(|call| call.started && call.result.is_none())
    }

    fn answer(&mut self, id: &CallId, result: ToolResult) {
        if let Some(call) = self.calls.iter_mut().find(|call| call.call.id == *id && call.result.is_none()) {
            call.result = Some(result);
        }
    }

    /// The turn's own list is the truth: calls that were not announced while it arrived are added, in its order.
    fn complete(&mut self, calls: &[ToolCall]) {
        let mut known = std::mem::take(&mut self.calls);
        self.calls = calls
            .iter()
            .map(|call| match known.iter().position(|k| k.call.id == call.id) {
                Some(at) => known.remove(at),
                None => Call { call: call.clone(), started: false, result: None },
            })
            .collect();
    }

    /// Ends the run in the middle of a turn's calls, with an answer for each of them.
    fn abandon(self, why: &str, end: End) -> Vec<Effect> {
        let results = self
            .calls
            .into_iter()
            .map(|call| {
                call.result.unwrap_or_else(|| ToolResult {
                    call: call.call.id,
                    name: call.call.name,
                    content: Arc::from(format!("not done: {why}")),
                    is_error: true,
                })
            })
            .collect();
        vec![Effect::CancelTools, Effect::RecordResults(results), Effect::End(end)]
    }
}

fn cut_error() -> LlmError {
    LlmError {
        kind: crate::llm::LlmErrorKind::OutputLimit,
        message: "the model's response was cut by its output limit".into(),
        hint: "raise `max_output_tokens` of the model in the configuration, or ask for less at once".into(),
        status: None,
        request_id: None,
    }
}

fn window_error() -> LlmError {
    LlmError {
        kind: crate::llm::LlmErrorKind::ContextOverflow,
        message: "the conversation no longer fits the model's context window".into(),
        hint: "start a new thread, or run `ropeway.clear` on this one".into(),
        status: None,
        request_id: None,
    }
}

#[cfg(test)]
mod tests;
