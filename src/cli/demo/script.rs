//! What the played model says: the answers of a recorded run, read as `ropeway sessions replay` reads them.
//!
//! `run.jsonl` is the recording of this very demo. The player reacts to nothing but the number of the response, so each
//! response relies on what the real server's tools returned before, and the player checks that it is there: a played
//! answer to results that never came would be a lie.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::agent::replay::Script;
use crate::llm::{AssistantTurn, ToolCall};
use crate::trajectory::read::Item;
use crate::trajectory::record::Record;

/// The recording, without what the model was told.
const RECORDING: &str = include_str!("run.jsonl");

/// One thing in a response.
#[derive(Clone, Debug)]
pub enum Step {
    /// Text for the user.
    Say(String),
    /// A tool call.
    Call {
        /// The provider's name for it.
        id: String,
        /// The tool.
        tool: String,
        /// What the timeline shows while the call is being written.
        label: String,
        /// Its arguments as the model wrote them.
        arguments: String,
    },
    /// Speaks on once the user's typing is done, so that the typing is always in the middle of the run.
    AwaitTyping,
}

/// One response.
#[derive(Clone, Debug)]
pub struct Turn {
    /// Pieces that the tool results so far must contain.
    pub relies_on: &'static [&'static str],
    /// How long its tokens take against the others': a model that looks around is slower than one that copies.
    pub slowness: u32,
    /// What it says.
    pub steps: Vec<Step>,
}

/// The call whose beginning starts the user's typing.
pub const TYPING_STARTS: &str = "call_9";

/// What a recording does not say about a response.
struct Direction {
    relies_on: &'static [&'static str],
    slowness: u32,
    /// Behind these words the user's typing is awaited.
    awaits_typing: Option<&'static str>,
}

const DIRECTIONS: [Direction; 3] = [
    Direction { relies_on: &[], slowness: 24, awaits_typing: None },
    Direction {
        relies_on: &[
            "int(float(text) * 100)",
            "return int(total * (1 - self.discount / 100))",
            "return int(net * PERCENT / 100)",
        ],
        slowness: 11,
        awaits_typing: None,
    },
    Direction { relies_on: &["vat = tax.on(net)"], slowness: 16, awaits_typing: Some("in `money.nearest`; ") },
];

/// The responses, in order.
///
/// # Errors
/// The recording is not what the directions are for.
pub fn turns() -> Result<Vec<Turn>> {
    let read = |line: &str| Ok(Item::Record(Box::new(Record::parse(line.as_bytes())?)));
    let records: serde_json::Result<Vec<Item>> = RECORDING.lines().map(read).collect();
    let script = Script::read(records.context("the recording that the demo plays")?)?;
    let said: Vec<&AssistantTurn> = script.said().collect();
    ensure!(said.len() == DIRECTIONS.len(), "the recording that the demo plays holds {} answers", said.len());
    Ok(said.into_iter().zip(&DIRECTIONS).map(|(said, direction)| turn(said, direction)).collect())
}

fn turn(said: &AssistantTurn, direction: &Direction) -> Turn {
    let text = &*said.text;
    let pause = direction.awaits_typing.and_then(|words| Some(text.find(words)? + words.len()));
    let mut steps = match pause.map(|at| text.split_at(at)) {
        Some((before, after)) => vec![Step::Say(before.into()), Step::AwaitTyping, Step::Say(after.into())],
        None => vec![Step::Say(text.into())],
    };
    steps.extend(said.calls.iter().map(call));
    Turn { relies_on: direction.relies_on, slowness: direction.slowness, steps }
}

fn call(call: &ToolCall) -> Step {
    let arguments: Value = serde_json::from_str(&call.arguments).unwrap_or_default();
    let word = |key: &str| arguments.get(key).and_then(Value::as_str).unwrap_or_default();
    let label = match &*call.name {
        "grep" => format!("grep {}", word("pattern").trim_start_matches("\\b")),
        name => format!("{} {}", name.trim_end_matches("_file"), word("path")),
    };
    Step::Call {
        id: call.id.as_str().to_owned(),
        tool: call.name.to_string(),
        label,
        arguments: call.arguments.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn the_recorded_edits_make_the_expected_files_but_for_the_typed_line() {
        let steps: Vec<Step> = turns().unwrap().into_iter().flat_map(|turn| turn.steps).collect();
        let mut mended = Vec::new();
        for step in &steps {
            let Step::Call { tool, arguments, .. } = step else { continue };
            let arguments: Value = serde_json::from_str(arguments).unwrap();
            if tool != "edit_file" {
                continue;
            }
            let path = arguments["path"].as_str().unwrap();
            let file = sample::file(path).unwrap();
            let mut text = file.before.to_owned();
            let one = vec![arguments.clone()];
            for edit in arguments["edits"].as_array().unwrap_or(&one) {
                let (old, new) = (edit["old_string"].as_str().unwrap(), edit["new_string"].as_str().unwrap());
                assert_eq!(text.matches(old).count(), 1, "{path}: {old}");
                text = text.replace(old, new);
            }
            if path == sample::TYPED_IN {
                let after = sample::TYPED_AFTER;
                text = text.replace(after, &format!("{after}\n        {}", sample::TYPED));
            }
            assert_eq!(text, file.after, "{path}");
            mended.push(path.to_owned());
        }
        assert_eq!(mended, ["shop/money.py", "shop/cart.py", "shop/tax.py"]);
        assert!(steps.iter().any(|step| matches!(step, Step::AwaitTyping)));
        assert!(steps.iter().any(|step| matches!(step, Step::Call { id, .. } if id == TYPING_STARTS)));
    }

    #[test]
    fn what_a_response_relies_on_is_in_the_sample() {
        let all: String = sample::FILES.iter().map(|file| file.before).collect();
        for needle in DIRECTIONS.iter().flat_map(|direction| direction.relies_on) {
            assert!(all.contains(needle), "{needle}");
        }
    }
}
