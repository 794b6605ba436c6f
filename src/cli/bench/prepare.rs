//! The next request of a long conversation.

use std::time::Instant;

use anyhow::bail;

use super::figure::ms;
use super::measure::Measure;
use crate::agent::context::Passes;
use crate::agent::context::compact::Room;
use crate::agent::context::keeper::{Keeper, Limits};
use crate::agent::context::trim::Bounds;
use crate::agent::history::History;
use crate::llm::{AssistantTurn, ToolCall, ToolResult};

/// A provider's price of a token from its cache over that of a new one.
const CACHED_PRICE: f64 = 0.1;

/// The time it takes to make the next request of a conversation: the result made small, texts dropped, trimmed, counted;
/// in milliseconds.
pub fn request() -> Measure {
    let limits = Limits {
        room: Room { window: 1_000_000, at: 0.8, output: 8_000 },
        bounds: Bounds { pairs: 20, at: 1.5, to: 1.2 },
        passes: Passes::ALL,
        fixed: 8_000,
        cached_price: CACHED_PRICE,
        max_steps: 1_000,
    };
    let (mut history, mut keeper) = (History::default(), Keeper::new(limits));
    history.user("do it");
    let line = "    let value = self.parse(input)?; // and some more of it\n";
    let mut step = 0;
    Measure::new("prepare", "a request prepared, 60 messages of 8 KB", "ms", 40, move || {
        let text = format!("{step}\n{}", line.repeat(8_192 / line.len()));
        let arguments = format!(r#"{{"path":"src/file{}.rs","offset":{}}}"#, step % 9, step % 4 * 100 + 1);
        let call = ToolCall { id: "c".into(), name: "read_file".into(), arguments: arguments.into() };
        let result = ToolResult { call: "c".into(), name: "read_file".into(), content: text.into(), is_error: false };
        let begun = Instant::now();
        history.assistant(AssistantTurn { calls: vec![call], ..AssistantTurn::default() });
        let results = keeper.arrive(&mut history, vec![result]);
        history.results(results);
        keeper.tidy(&mut history, step);
        let full = keeper.is_full(&mut history);
        let messages = history.to_send();
        let time = ms(begun.elapsed());
        if full || messages.is_empty() {
            bail!("a small conversation counts as full");
        }
        step += 1;
        Ok(time)
    })
}
