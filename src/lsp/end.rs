//! How a server ends, and the one place where that is announced: the reader, the writer and the watch over the parent
//! each may see the end first, and whoever waits must hear of it once.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Why the server ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The client sent `exit`.
    Exit,
    /// The client closed its side, or reading failed.
    Closed,
    /// Writing failed: nobody reads any more.
    Broken,
    /// The client reads nothing: more than the limit waits for it.
    Deaf,
    /// The process that started us is gone.
    Orphaned,
}

/// Holds the first announced end.
#[derive(Debug, Default)]
pub struct Ending {
    end: Mutex<Option<End>>,
    told: Condvar,
}

impl Ending {
    /// Announces an end; only the first counts.
    pub fn announce(&self, end: End) {
        let mut slot = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.is_none() {
            tracing::debug!(?end, "the session ends");
            *slot = Some(end);
        }
        self.told.notify_all();
    }

    /// The end, if it has been announced.
    pub fn get(&self) -> Option<End> {
        *self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the end, at most this long.
    pub fn wait(&self, timeout: Duration) -> Option<End> {
        let slot = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        let (slot, _) =
            self.told.wait_timeout_while(slot, timeout, |end| end.is_none()).unwrap_or_else(PoisonError::into_inner);
        *slot
    }
}
