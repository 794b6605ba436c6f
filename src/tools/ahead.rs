//! Reading ahead: what the model will very likely ask for is read while it speaks, so that its question is answered
//! from memory.
//!
//! It is the very call that the model would make, and its result goes where results are remembered, under the same
//! stamps: it can make an answer faster and never another one. It runs when nothing else wants to (see the
//! scheduler's [`Class::Ahead`](super::scheduler::Class)), stops at the word between two files, and takes what it
//! reads out of an allowance.

mod imports;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::output::{Output, OutputLimits, cap};
use super::read_file;
use super::tool::{Cancel, Effect, Planned, ToolContext, ToolError, Work};
use crate::paths::WsPath;

/// Largest file that is read ahead, in bytes: a larger one is searched, or read in parts that nobody can foresee.
const MAX_FILE: u64 = 512 << 10;

/// What a file takes of an allowance at least, in bytes: one that is in the editor takes none of the disk's, but room for
/// its result.
const LEAST: u64 = 4 << 10;

/// Files with diagnostics that are read ahead.
const DIAGNOSED: usize = 4;

/// What somebody will probably ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Guess {
    /// Lines of a file: from `first` (counted from 1), as many as `limit` says or as are shown by default.
    Lines {
        /// The file.
        path: WsPath,
        /// The first line.
        first: u64,
        /// How many.
        limit: Option<u64>,
    },
    /// The files that this file imports.
    ImportsOf(WsPath),
    /// The files that the editor has reported most about.
    Diagnosed,
}

/// Bytes that may still be read ahead. Copies are the same allowance.
#[derive(Clone, Debug)]
pub struct Allowance(Arc<AtomicU64>);

impl Allowance {
    /// So many bytes of files.
    pub fn new(bytes: u64) -> Self {
        Self(Arc::new(AtomicU64::new(bytes)))
    }

    /// What is left of it, in bytes.
    pub fn left(&self) -> u64 {
        self.0.load(Relaxed)
    }

    fn take(&self, bytes: u64) -> bool {
        self.0.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(bytes)).is_ok()
    }
}

/// Which files may be read ahead: those that the rules would let the model read without a question.
pub type MayRead = Arc<dyn Fn(&WsPath) -> bool + Send + Sync>;

/// Work that reads what is guessed, one file after another. Nothing for a run whose results are not remembered.
pub fn fetch(context: &ToolContext, guesses: Vec<Guess>, may_read: MayRead, allowance: Allowance) -> Option<Planned> {
    if !context.results.is_on() || guesses.is_empty() || allowance.left() == 0 {
        return None;
    }
    let fetch = Fetch { context: context.clone(), may_read, allowance };
    // No effect: nobody has to wait for it, and it does not have to wait for anybody.
    Some(Planned::blocking(Effect::default(), "read ahead".to_owned(), move |cancel| {
        for guess in guesses {
            match guess {
                Guess::Lines { path, first, limit } => drop(fetch.lines(&path, first, limit, cancel)?),
                Guess::ImportsOf(path) => fetch.imports(&path, cancel)?,
                Guess::Diagnosed => {
                    for path in fetch.context.diagnostics.worst(&fetch.context, DIAGNOSED) {
                        fetch.lines(&path, 1, None, cancel)?;
                    }
                }
            }
        }
        Ok(done())
    }))
}

/// Nobody reads what this call says.
fn done() -> Output {
    cap("", OutputLimits::default(), "")
}

struct Fetch {
    context: ToolContext,
    may_read: MayRead,
    allowance: Allowance,
}

impl Fetch {
    /// Says whether there is such a file, read or not.
    fn lines(&self, path: &WsPath, first: u64, limit: Option<u64>, cancel: &Cancel) -> Result<bool, ToolError> {
        cancel.check()?;
        let Fetch { context, may_read, allowance } = self;
        let Ok(look) = context.workspace.look(Some(&context.run), path) else { return Ok(false) };
        if !path.root().is_local() || !may_read(path) {
            return Ok(true);
        }
        let size = look.disk_bytes();
        let planned = read_file::lines(context, path.clone(), first, limit, String::new());
        let (Some(memo), Work::Blocking(work)) = (planned.memo, planned.work) else { return Ok(true) };
        let memo = memo.ahead();
        if size <= MAX_FILE && memo.is_wanting() && allowance.take(size.max(LEAST)) {
            // What it comes to is of no interest here: the model will be told if it asks.
            let _ = memo.recall_or(|| work(cancel));
        }
        Ok(true)
    }

    fn imports(&self, path: &WsPath, cancel: &Cancel) -> Result<(), ToolError> {
        let Ok(view) = self.context.workspace.read(Some(&self.context.run), path) else { return Ok(()) };
        for places in imports::of(&view.path, &view.text) {
            for place in places {
                if self.lines(&place, 1, None, cancel)? {
                    break;
                }
            }
        }
        Ok(())
    }
}
