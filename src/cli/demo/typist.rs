//! The user of the demo: types one line, key by key, in the middle of the run.
//!
//! Half of it is typed before the agent has staged its edits of that file and half after, so that the edits must be
//! carried over typing that they could not have known.

use std::time::{Duration, Instant};

use super::sample;

/// Between two keys, for a person who types well.
const KEY: Duration = Duration::from_millis(70);
/// How long the second half waits for the edits to be staged; a real model may never edit this file.
const PATIENCE: Duration = Duration::from_secs(4);

/// What has been typed, and when the next key is due.
#[derive(Debug)]
pub struct Typist {
    keys: Vec<String>,
    done: usize,
    pace: Duration,
    due: Option<Instant>,
    waiting_since: Option<Instant>,
    staged: bool,
}

impl Typist {
    /// Has not begun. `human`: at the pace of a person.
    pub fn new(human: bool) -> Self {
        let mut keys = vec!["\n        ".to_owned()];
        keys.extend(sample::TYPED.chars().map(String::from));
        let pace = if human { KEY } else { Duration::ZERO };
        Self { keys, done: 0, pace, due: None, waiting_since: None, staged: false }
    }

    /// Begins to type, if it has not begun.
    pub fn begin(&mut self, now: Instant) {
        self.due.get_or_insert(now);
    }

    /// The agent has staged its edits of the file.
    pub fn staged(&mut self) {
        self.staged = true;
    }

    /// Whether all is typed.
    pub fn finished(&self) -> bool {
        self.done == self.keys.len()
    }

    /// Whether some is typed and some is not.
    pub fn busy(&self) -> bool {
        self.due.is_some() && !self.finished()
    }

    /// What has been typed so far.
    pub fn typed(&self) -> String {
        self.keys[..self.done].concat()
    }

    /// Characters typed so far; the indentation is the editor's.
    pub fn count(&self) -> usize {
        self.done
    }

    /// When to ask for the next key.
    pub fn due(&self) -> Option<Instant> {
        self.due.filter(|_| !self.finished())
    }

    /// The next key, if it is time for it.
    pub fn key(&mut self, now: Instant) -> Option<String> {
        let due = self.due()?;
        if now < due {
            return None;
        }
        if self.done == self.keys.len() / 2 && !self.staged {
            let since = *self.waiting_since.get_or_insert(now);
            if now - since < PATIENCE {
                self.due = Some(now + Duration::from_millis(5));
                return None;
            }
        }
        self.done += 1;
        self.due = Some(now + self.pace);
        self.keys.get(self.done - 1).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_half_comes_after_the_edits_are_staged() {
        let start = Instant::now();
        let mut typist = Typist::new(false);
        assert_eq!(typist.key(start), None, "has not begun");
        typist.begin(start);
        while typist.key(start).is_some() {}
        assert!(typist.busy());
        assert_eq!(typist.count(), sample::TYPED.len().div_ceil(2));
        typist.staged();
        let later = start + Duration::from_secs(1);
        while typist.key(later).is_some() {}
        assert!(typist.finished());
        assert_eq!(typist.typed(), format!("\n        {}", sample::TYPED));
    }

    #[test]
    fn a_file_that_is_never_edited_does_not_hold_the_typing_up() {
        let start = Instant::now();
        let mut typist = Typist::new(true);
        typist.begin(start);
        for second in 0..60 {
            while typist.key(start + Duration::from_secs(second)).is_some() {}
        }
        assert!(typist.finished());
    }
}
