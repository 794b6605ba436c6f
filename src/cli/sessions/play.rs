//! A recorded run played again on a copy of its files.

use std::io::{self, Write};
use std::sync::Arc;

use anyhow::Result;

use super::super::scratch::Scratch;
use super::super::terminal::{Style, visible};
use super::super::{DONE, FAILED, complain, headless, run};
use crate::agent::replay::{Played, Script, Writer, replay as play};
use crate::trajectory::read::{RunHead, Store};

/// Plays it, prints the diff, and says whether it is the recorded one.
pub(super) fn replay(store: &Store, head: &RunHead) -> Result<u8> {
    if head.live {
        complain("this run still goes on; wait for its end");
        return Ok(FAILED);
    }
    let script = match Script::read(store.run(head)?) {
        Ok(script) => script,
        Err(error) => {
            complain(&visible(&error.to_string()));
            return Ok(FAILED);
        }
    };
    let scratch = Scratch::new("replay")?;
    let writer: Writer = Arc::new(headless::write);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let played = runtime.block_on(play(script, scratch.path(), writer));
    runtime.shutdown_background();
    match played {
        Ok(played) => told(&played),
        Err(error) => {
            complain(&visible(&error.to_string()));
            Ok(FAILED)
        }
    }
}

fn told(played: &Played) -> Result<u8> {
    let mut out = io::stdout().lock();
    let patch: String = played.files.iter().map(run::patch).collect();
    write!(out, "{}", Style::stdout().diff(&patch))?;
    out.flush()?;
    drop(out);
    for remark in &played.remarks {
        complain(&format!("note: {}", visible(remark)));
    }
    let times = |count: usize| if count == 1 { "once".to_owned() } else { format!("{count} times") };
    let counts = format!("staged {}, delivered {}", times(played.staged), times(played.delivered));
    if played.differences.is_empty() {
        complain(&format!("the same edits as recorded ({counts})"));
        return Ok(DONE);
    }
    for difference in &played.differences {
        complain(&visible(difference));
    }
    complain(&format!("not the same as recorded ({counts})"));
    Ok(FAILED)
}
