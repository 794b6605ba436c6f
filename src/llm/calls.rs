//! Puts tool calls together from the pieces that servers send.
//!
//! Calls are keyed by index and id together: Ollama gives index 0 to every parallel call, others leave the index out,
//! leave the id out or repeat it, repeat the name in every piece, or send arguments whole. A call that was handed
//! over is never changed: what would change it is an error of the stream.

#[cfg(feature = "openai")]
mod pieces;

use std::sync::Arc;

use serde_json::value::RawValue;

use crate::ids::CallId;
use crate::llm::failure::Failure;
use crate::llm::scan::ObjectScan;
use crate::llm::surrogates::{Joiner, mend};
use crate::llm::{StreamEvent, ToolCall};

#[cfg(feature = "openai")]
pub(crate) use self::pieces::Piece;

/// The most calls of one turn.
pub(crate) const MAX_CALLS: usize = 128;
/// The most bytes of one call's arguments.
pub(crate) const MAX_ARGUMENTS: usize = 4 << 20;
/// Longer names are cut: no tool has such a name, and the model is told so.
const MAX_NAME: usize = 256;
/// Longer ids are replaced by ours.
const MAX_ID: usize = 512;

/// The calls of one turn.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    list: Vec<Building>,
}

#[derive(Debug)]
struct Building {
    index: Option<u64>,
    /// As the server names it, to find it again.
    wire_id: String,
    /// As it is named from here on.
    id: String,
    name: String,
    arguments: String,
    joiner: Joiner,
    object: ObjectScan,
    extra: Option<Box<RawValue>>,
    announced: bool,
    finished: Option<ToolCall>,
}

impl Calls {
    /// Opens a call; its name may come later.
    pub(crate) fn open(
        &mut self,
        index: Option<u64>,
        id: &str,
        name: &str,
        out: &mut Vec<StreamEvent>,
    ) -> Result<usize, Failure> {
        if self.list.len() == MAX_CALLS {
            return Err(Failure::bad_response(format!("the model made more than {MAX_CALLS} tool calls in one turn")));
        }
        let at = self.list.len();
        self.list.push(Building {
            index,
            id: self.free_id(id),
            wire_id: id.to_owned(),
            name: String::new(),
            arguments: String::new(),
            joiner: Joiner::default(),
            object: ObjectScan::Before,
            extra: None,
            announced: false,
            finished: None,
        });
        self.name(at, name, out);
        Ok(at)
    }

    /// The id a server gave, or ours where it cannot be used: the results of two calls must not be mixed up.
    fn free_id(&self, id: &str) -> String {
        let unusable = id.len() > MAX_ID || (!id.is_empty() && self.list.iter().any(|call| call.id == id));
        if unusable { CallId::unused().to_string() } else { id.to_owned() }
    }

    /// Names a call, once.
    pub(crate) fn name(&mut self, at: usize, name: &str, out: &mut Vec<StreamEvent>) {
        let call = &mut self.list[at];
        if call.announced || name.is_empty() {
            return;
        }
        let end = (0..=MAX_NAME.min(name.len())).rev().find(|&end| name.is_char_boundary(end)).unwrap_or(0);
        name[..end].clone_into(&mut call.name);
        call.announced = true;
        out.push(StreamEvent::CallStarted { index: at, name: Arc::from(call.name.as_str()) });
    }

    /// Appends to the arguments of a call.
    pub(crate) fn arguments(&mut self, at: usize, piece: &[u8]) -> Result<(), Failure> {
        let call = &mut self.list[at];
        if piece.is_empty() {
            return Ok(());
        }
        if call.finished.is_some() {
            if piece.trim_ascii().is_empty() {
                return Ok(());
            }
            return Err(Failure::bad_response("the arguments of a tool call went on after their end"));
        }
        if call.arguments.len() + piece.len() > MAX_ARGUMENTS {
            return Err(Failure::bad_response(format!(
                "the arguments of one tool call are larger than {} MiB",
                MAX_ARGUMENTS >> 20
            )));
        }
        let before = call.arguments.len();
        call.joiner.push(piece, &mut call.arguments);
        call.object.feed(&call.arguments.as_bytes()[before..]);
        Ok(())
    }

    /// What has come of a call's arguments; nothing once it was handed over.
    #[cfg(feature = "openai")]
    pub(crate) fn so_far(&self, at: usize) -> Option<&str> {
        self.list.get(at).filter(|call| call.finished.is_none()).map(|call| call.arguments.as_str())
    }

    /// The provider says that a call is complete, or another began (`empty_is_complete: false`). It is handed over if
    /// its arguments are an object; if not, they wait for the end of the stream, which may be the reason.
    pub(crate) fn close(&mut self, at: usize, empty_is_complete: bool, out: &mut Vec<StreamEvent>) {
        let call = &self.list[at];
        let ready = match call.object {
            ObjectScan::Before => empty_is_complete,
            ObjectScan::Closed => is_object(&call.arguments),
            ObjectScan::Inside { .. } | ObjectScan::Broken => false,
        };
        if ready && call.announced {
            self.hand_over(at, out);
        }
    }

    fn hand_over(&mut self, at: usize, out: &mut Vec<StreamEvent>) {
        let call = &mut self.list[at];
        if call.finished.is_some() {
            return;
        }
        call.joiner.finish(&mut call.arguments);
        if call.id.is_empty() {
            call.id = CallId::unused().to_string();
        }
        let blank = call.arguments.trim().is_empty() || call.arguments.trim() == "null";
        // Escaped halves of a character would keep the arguments from being parsed here and taken back there.
        let arguments = if blank { Arc::from("{}") } else { Arc::from(&*mend(&call.arguments)) };
        // The finished call holds the text from now on.
        call.arguments = String::new();
        let finished = ToolCall { id: CallId::from(call.id.as_str()), name: Arc::from(call.name.as_str()), arguments };
        call.finished = Some(finished.clone());
        out.push(StreamEvent::Call { index: at, call: finished });
    }

    /// The stream has ended well: hands over what is left, complete or not.
    pub(crate) fn finish(&mut self, out: &mut Vec<StreamEvent>) {
        for at in 0..self.list.len() {
            // A name nobody has: the tool layer tells the model what is wrong.
            self.name(at, "missing_name", out);
            self.hand_over(at, out);
        }
    }

    /// Whether a call was begun and not finished.
    pub(crate) fn has_unfinished(&self) -> bool {
        self.list.iter().any(|call| {
            call.finished.is_none()
                && !(call.announced && call.object == ObjectScan::Closed && is_object(&call.arguments))
        })
    }

    /// Whether there is any call.
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The finished call at a position.
    pub(crate) fn get(&self, at: usize) -> Option<&ToolCall> {
        self.list.get(at)?.finished.as_ref()
    }

    /// The finished calls with what the provider wants back beside them.
    pub(crate) fn finished(&self) -> impl Iterator<Item = (&ToolCall, Option<&RawValue>)> {
        self.list.iter().filter_map(|call| Some((call.finished.as_ref()?, call.extra.as_deref())))
    }
}

/// Whether a text is one JSON object.
pub(crate) fn is_object(text: &str) -> bool {
    text.trim_start().starts_with('{') && serde_json::from_str::<&RawValue>(text).is_ok()
}
