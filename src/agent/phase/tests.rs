//! The machine, driven through every order of inputs.

use super::*;
use crate::llm::AssistantTurn;

/// Effects hold a provider's raw turn, which can only be compared as it is shown.
macro_rules! same {
    ($left:expr, $right:expr) => {
        assert_eq!(format!("{:?}", $left), format!("{:?}", $right))
    };
}

const LIMITS: Limits = Limits { max_steps: 3, stream_dispatch: true, parallel_tools: true };

fn call(id: &str) -> ToolCall {
    ToolCall { id: CallId::from(id), name: Arc::from("read_file"), arguments: Arc::from("{}") }
}

fn result(id: &str) -> ToolResult {
    ToolResult { call: CallId::from(id), name: Arc::from("read_file"), content: Arc::from("ok"), is_error: false }
}

fn response(stop: Stop, calls: &[&str]) -> Box<Response> {
    let turn =
        AssistantTurn { text: "t".into(), calls: calls.iter().map(|id| call(id)).collect(), ..Default::default() };
    Box::new(Response { turn, stop, ..Default::default() })
}

fn ready(id: &str, reads_only: bool) -> Input {
    Input::CallReady { call: call(id), reads_only }
}

fn ended(id: &str) -> Input {
    Input::ToolEnded { call: CallId::from(id), result: result(id) }
}

fn started(effects: &[Effect]) -> Vec<&str> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::StartTool { call, .. } => Some(call.id.as_str()),
            _ => None,
        })
        .collect()
}

fn begun(limits: Limits) -> Phase {
    let mut phase = Phase::new(limits);
    same!(phase.step(Input::Start), [Effect::AskModel { step: 1 }]);
    phase
}

#[test]
fn a_read_only_call_starts_before_the_response_ends_and_a_writing_one_waits_at_the_gate() {
    let mut phase = begun(LIMITS);
    same!(phase.step(ready("r", true)), [Effect::StartTool { call: call("r"), gated: false }]);
    same!(phase.step(ready("w", false)), [Effect::StartTool { call: call("w"), gated: true }]);
    let effects = phase.step(Input::TurnEnded(response(Stop::ToolCalls, &["r", "w"])));
    assert!(matches!(effects[..], [Effect::RecordTurn(_), Effect::OpenGate]), "{effects:?}");
}

#[test]
fn without_stream_dispatch_nothing_starts_before_the_end() {
    let mut phase = begun(Limits { stream_dispatch: false, ..LIMITS });
    assert!(phase.step(ready("r", true)).is_empty());
    assert_eq!(started(&phase.step(Input::TurnEnded(response(Stop::ToolCalls, &["r"])))), ["r"]);
}

#[test]
fn without_parallel_tools_calls_run_one_after_another_in_order() {
    let mut phase = begun(Limits { parallel_tools: false, ..LIMITS });
    assert_eq!(started(&phase.step(ready("a", true))), ["a"]);
    assert!(phase.step(ready("b", true)).is_empty());
    assert!(started(&phase.step(Input::TurnEnded(response(Stop::ToolCalls, &["a", "b"])))).is_empty());
    assert_eq!(started(&phase.step(ended("a"))), ["b"]);
}

#[test]
fn without_parallel_tools_no_call_overtakes_one_that_had_to_wait_when_it_came() {
    let mut phase = begun(Limits { parallel_tools: false, ..LIMITS });
    assert_eq!(started(&phase.step(ready("a", true))), ["a"]);
    assert!(phase.step(ready("b", false)).is_empty());
    assert!(phase.step(ended("a")).is_empty());
    assert!(phase.step(ready("c", false)).is_empty(), "`b` has not run yet");
    assert_eq!(started(&phase.step(Input::TurnEnded(response(Stop::ToolCalls, &["a", "b", "c"])))), ["b"]);
    assert_eq!(started(&phase.step(ended("b"))), ["c"]);
}

#[test]
fn results_are_recorded_once_all_are_there_and_in_call_order() {
    let mut phase = begun(LIMITS);
    phase.step(ready("a", true));
    phase.step(ready("b", true));
    phase.step(ended("b"));
    phase.step(Input::TurnEnded(response(Stop::ToolCalls, &["a", "b"])));
    let effects = phase.step(ended("a"));
    same!(effects, [Effect::RecordResults(vec![result("a"), result("b")]), Effect::AskModel { step: 2 }]);
}

#[test]
fn a_result_that_comes_twice_is_taken_once() {
    let mut phase = begun(LIMITS);
    phase.step(Input::TurnEnded(response(Stop::ToolCalls, &["a", "b"])));
    assert!(phase.step(ended("a")).is_empty());
    assert!(phase.step(ended("a")).is_empty());
    same!(phase.step(ended("b")).len(), 2);
}

#[test]
fn a_turn_without_calls_is_recorded_and_proposed() {
    let mut phase = begun(LIMITS);
    let effects = phase.step(Input::TurnEnded(response(Stop::EndTurn, &[])));
    assert!(matches!(effects[..], [Effect::RecordTurn(_), Effect::Propose]));
    assert!(phase.over());
}

#[test]
fn cancel_while_the_response_arrives_records_nothing() {
    let mut phase = begun(LIMITS);
    phase.step(ready("a", true));
    let effects = phase.step(Input::Cancel);
    same!(effects, [Effect::AbandonTurn, Effect::CancelTools, Effect::End(End::Cancelled)]);
    assert!(phase.step(ended("a")).is_empty());
}

#[test]
fn cancel_while_tools_run_answers_every_call() {
    let mut phase = begun(LIMITS);
    phase.step(Input::TurnEnded(response(Stop::ToolCalls, &["a", "b"])));
    phase.step(ended("b"));
    let effects = phase.step(Input::Cancel);
    let Effect::RecordResults(results) = &effects[1] else { panic!("{effects:?}") };
    assert_eq!(results.len(), 2);
    assert!(results[0].is_error && results[0].content.contains("cancelled"));
    assert_eq!(results[1], result("b"));
    same!(effects[2], Effect::End(End::Cancelled));
}

#[test]
fn a_cut_response_runs_no_call_and_is_tried_once_more() {
    let mut phase = begun(LIMITS);
    phase.step(ready("w", false));
    let effects = phase.step(Input::TurnEnded(response(Stop::Length, &["w"])));
    same!(effects, [Effect::CancelTools, Effect::RecordUser(CUT), Effect::AskModel { step: 2 }]);
    let effects = phase.step(Input::TurnEnded(response(Stop::Length, &["w"])));
    let [Effect::CancelTools, Effect::End(End::Model(error))] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(error.kind, crate::llm::LlmErrorKind::OutputLimit);
}

#[test]
fn the_step_limit_ends_the_run_with_a_valid_history() {
    let mut phase = begun(Limits { max_steps: 1, ..LIMITS });
    phase.step(Input::TurnEnded(response(Stop::ToolCalls, &["a"])));
    let effects = phase.step(ended("a"));
    same!(effects, [Effect::RecordResults(vec![result("a")]), Effect::End(End::StepLimit(1))]);
}

#[test]
fn a_failed_stream_stops_the_tools_it_had_started() {
    let mut phase = begun(LIMITS);
    phase.step(ready("a", true));
    let effects = phase.step(Input::TurnFailed(window_error()));
    same!(effects, [Effect::CancelTools, Effect::End(End::Model(window_error()))]);
}

#[test]
fn a_turn_that_found_no_room_is_asked_again_once_there_is_some_and_counts_once() {
    let mut phase = begun(Limits { max_steps: 1, ..LIMITS });
    phase.step(ready("r", true));
    same!(phase.step(Input::NoRoom), [Effect::CancelTools, Effect::Compact]);
    assert!(phase.step(ended("r")).is_empty());
    assert!(phase.step(Input::NoRoom).is_empty());
    same!(phase.step(Input::Compacted), [Effect::AskModel { step: 1 }]);
    assert!(phase.step(Input::Compacted).is_empty());
    let effects = phase.step(Input::TurnEnded(response(Stop::EndTurn, &[])));
    assert!(matches!(effects[..], [Effect::RecordTurn(_), Effect::Propose]), "{effects:?}");
}

#[test]
fn cancel_while_room_is_made_ends_the_run() {
    for (input, end) in [(Input::Cancel, End::Cancelled), (Input::CostLimit, End::CostLimit)] {
        let mut phase = begun(LIMITS);
        phase.step(Input::NoRoom);
        same!(phase.step(input), [Effect::AbandonTurn, Effect::CancelTools, Effect::End(end)]);
        assert!(phase.step(Input::Compacted).is_empty());
    }
}

/// Every order of ready, ended, turn end and cancel for three calls: each call of a recorded turn gets one
/// result, in order, and nothing happens after the end.
#[test]
fn in_every_order_each_call_is_answered_exactly_once() {
    let mut seed = 7_u64;
    let mut next = move |bound: usize| {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (seed >> 33) as usize % bound
    };
    for round in 0..20_000 {
        let limits = Limits { max_steps: 2, stream_dispatch: round % 2 == 0, parallel_tools: round % 3 != 0 };
        let mut phase = begun(limits);
        let ids = ["a", "b", "c"];
        let (mut announced, mut ended_turn) = (0, false);
        let mut running: Vec<String> = Vec::new();
        let (mut recorded, mut answered) = (false, None);
        for _ in 0..30 {
            let effects = match next(6) {
                0 if !ended_turn && announced < 3 => {
                    announced += 1;
                    phase.step(ready(ids[announced - 1], next(2) == 0))
                }
                1 if !ended_turn && announced == 3 => {
                    ended_turn = true;
                    phase.step(Input::TurnEnded(response(Stop::ToolCalls, &ids)))
                }
                2 if next(12) == 0 => phase.step(Input::Cancel),
                _ if !running.is_empty() => {
                    let id = running.remove(next(running.len()));
                    phase.step(ended(&id))
                }
                _ => Vec::new(),
            };
            for effect in effects {
                match effect {
                    Effect::StartTool { call, .. } => running.push(call.id.as_str().to_owned()),
                    Effect::RecordTurn(_) => recorded = true,
                    Effect::RecordResults(results) => {
                        assert!(answered.is_none());
                        answered = Some(results.iter().map(|r| r.call.as_str().to_owned()).collect::<Vec<_>>());
                    }
                    _ => {}
                }
            }
            if answered.is_some() || phase.over() {
                break;
            }
        }
        if let Some(answered) = answered {
            assert!(recorded);
            assert_eq!(answered, ids);
        } else {
            assert!(!recorded || !phase.over(), "a recorded turn was left without results");
        }
    }
}
