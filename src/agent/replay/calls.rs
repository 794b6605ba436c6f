//! Which call staged what, and how each call is to be answered when the run is played again.
//!
//! Tools that stage do so again, each in its turn. All others say what they said: a command is never run a second time,
//! and what was read may not be in the recording.

use std::collections::{HashMap, VecDeque};

use serde_json::Value;

use super::script::{Part, Point};
use crate::ids::CallId;
use crate::tools::scheduler::Gate;
use crate::trajectory::record::{Staged, ToolFinished, ToolStarted};

/// The tools that stage, and run again.
const STAGING: &[&str] = &["edit_file", "insert_lines", "create_file", "delete_file", "move_file"];

/// A call under way.
struct Open {
    call: CallId,
    nth: usize,
    began: u64,
    /// It will give no result.
    fails: bool,
    /// The paths its arguments name; none for a tool that does not stage.
    paths: Option<Vec<String>>,
    gate: Option<Gate>,
}

/// The calls of a recording.
#[derive(Default)]
pub(super) struct Calls {
    open: Vec<Open>,
    seen: HashMap<CallId, usize>,
    /// Whether each call of a name will fail, in order.
    ends: HashMap<CallId, Vec<bool>>,
    parts: HashMap<CallId, VecDeque<Option<Part>>>,
}

impl Calls {
    /// A call of the recording ends so. Told of all calls before anything else.
    pub(super) fn will_end(&mut self, tool: &ToolFinished) {
        self.ends.entry(tool.call.clone()).or_default().push(tool.is_error);
    }

    /// A call began.
    pub(super) fn started(&mut self, at: u64, tool: &ToolStarted) {
        let nth = self.seen.entry(tool.call.clone()).or_default();
        *nth += 1;
        self.parts.entry(tool.call.clone()).or_default().push_back(None);
        let paths = STAGING.contains(&&*tool.tool).then(|| named(&tool.arguments));
        let fails = self.ends.get(&tool.call).and_then(|ends| ends.get(*nth - 1)).copied().unwrap_or(false);
        self.open.push(Open { call: tool.call.clone(), nth: *nth, began: at, fails, paths, gate: None });
    }

    /// Something was staged: by the call that named the file, else by a command, else by whoever may have.
    pub(super) fn staged(&mut self, staged: Box<Staged>) -> Point {
        let free = |open: &Open| open.paths.is_some() && open.gate.is_none() && !open.fails;
        let names = |open: &Open| open.paths.as_ref().is_some_and(|paths| paths.contains(&staged.path));
        let named = self.open.iter().position(|open| free(open) && names(open));
        let command = self.open.iter().any(|open| open.paths.is_none());
        let at = named.or_else(|| self.open.iter().position(|open| free(open) && !command));
        let Some(open) = at.and_then(|at| self.open.get_mut(at)) else {
            return Point::Staged(staged);
        };
        let (gate, point) = turn_of(open, Some(staged));
        open.gate = Some(gate);
        point
    }

    /// A call ended. One that staged nothing has its turn now, or when it did its work: what it is told by may have been
    /// late.
    pub(super) fn finished(&mut self, at: u64, tool: &ToolFinished) -> Option<(u64, Point)> {
        let place = self.open.iter().position(|open| open.call == tool.call)?;
        let mut open = self.open.remove(place);
        let mut turn = None;
        // Where it did not even begin to run, it was not to: a rule forbade it, or its arguments were none.
        if let Some(ran) = tool.ran_us
            && open.paths.is_some()
            && open.gate.is_none()
        {
            let (gate, point) = turn_of(&open, None);
            open.gate = Some(gate);
            turn = Some((open.began.saturating_add(ran).min(at), point));
        }
        let part = match open.gate {
            Some(gate) => Part::Runs(gate),
            None => Part::Says { text: tool.result.clone(), is_error: tool.is_error },
        };
        self.answer(&open.call, open.nth, part);
        turn
    }

    fn answer(&mut self, call: &CallId, nth: usize, part: Part) {
        if let Some(slot) = self.parts.get_mut(call).and_then(|parts| parts.get_mut(nth.saturating_sub(1))) {
            *slot = Some(part);
        }
    }

    /// How each call is answered, by name and in order.
    pub(super) fn done(mut self) -> HashMap<CallId, VecDeque<Part>> {
        for open in std::mem::take(&mut self.open) {
            if let Some(gate) = open.gate {
                self.answer(&open.call, open.nth, Part::Runs(gate));
            }
        }
        let cut = || Part::Says { text: "the recording ends before this call did".into(), is_error: true };
        let whole = |parts: VecDeque<Option<Part>>| parts.into_iter().map(|part| part.unwrap_or_else(cut)).collect();
        self.parts.into_iter().map(|(call, parts)| (call, whole(parts))).collect()
    }
}

fn turn_of(open: &Open, staged: Option<Box<Staged>>) -> (Gate, Point) {
    let gate = Gate::new();
    (gate.clone(), Point::Call { call: open.call.clone(), nth: open.nth, gate, staged })
}

/// The paths that a call's arguments name, as a recording writes them.
fn named(arguments: &str) -> Vec<String> {
    let arguments: Value = serde_json::from_str(arguments).unwrap_or_default();
    let path = |key: &str| arguments.get(key).and_then(Value::as_str).map(|path| clean(path.trim()));
    ["path", "to"].into_iter().filter_map(path).collect()
}

fn clean(path: &str) -> String {
    path.split('/').filter(|part| !part.is_empty() && *part != ".").collect::<Vec<_>>().join("/")
}
