//! Who drops the lists that nobody uses any more.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

/// A thread that drops lists nobody uses. There is one while something is kept.
#[derive(Debug, Default)]
pub(super) struct Sweeper {
    state: Mutex<Sweeping>,
    word: Condvar,
}

#[derive(Debug, Default)]
struct Sweeping {
    runs: bool,
    /// Something was kept since it looked.
    again: bool,
    over: bool,
}

impl Sweeper {
    /// Something is kept from now on. `sweep` drops what nobody has used for long and says when to look again; `None`:
    /// nothing is kept any more.
    pub(super) fn start(self: &Arc<Self>, sweep: impl Fn() -> Option<Instant> + Send + 'static) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.again = true;
        if std::mem::replace(&mut state.runs, true) {
            return;
        }
        let sweeper = self.clone();
        let thread = std::thread::Builder::new().name("idle lists".into()).stack_size(128 << 10);
        if thread.spawn(move || sweeper.run(&sweep)).is_err() {
            state.runs = false;
        }
    }

    fn run(&self, sweep: &dyn Fn() -> Option<Instant>) {
        loop {
            let next = sweep();
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let again = std::mem::take(&mut state.again);
            match next {
                _ if state.over => return,
                None if again => {}
                None => {
                    state.runs = false;
                    return;
                }
                Some(next) => {
                    let wait = next.saturating_duration_since(Instant::now());
                    drop(self.word.wait_timeout(state, wait));
                }
            }
        }
    }

    /// Ends the thread.
    pub(super) fn end(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).over = true;
        self.word.notify_all();
    }
}
