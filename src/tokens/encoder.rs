//! Counts the tokens of a text: cut it into pieces, look each up, merge the ones that are no token.
//!
//! A large text is cut where a piece ends whatever stands around it, and its parts are counted on all cores.

use std::num::NonZero;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use super::Encoding;
use super::class::Classes;
use super::merge::{self, Room};
use super::split::{Cl100k, O200k, Pattern};
use super::table::NONE;
use super::vocabulary::Vocabulary;

/// Bytes of the parts that are handed to the cores: a fraction of a millisecond's work, for between two of them whoever
/// else waits for the core has it.
const PART: usize = 8 << 10;
/// Bytes of text from which other cores are asked: starting a thread takes as long as counting a few thousand.
const MANY: usize = 256 << 10;

/// Everything that counting in one encoding needs.
#[derive(Debug)]
pub(super) struct Encoder {
    encoding: Encoding,
    vocabulary: Vocabulary,
    classes: Classes,
}

impl Encoder {
    /// Makes what does not lie in the program.
    pub(super) fn new(encoding: Encoding) -> Self {
        Self { encoding, vocabulary: Vocabulary::of(encoding), classes: Classes::new() }
    }

    /// Tokens of one text, on this thread.
    pub(super) fn count(&self, text: &str) -> u64 {
        let mut room = Room::default();
        self.count_in(text, &mut room)
    }

    fn count_in(&self, text: &str, room: &mut Room) -> u64 {
        match self.encoding {
            Encoding::O200k => self.pieces::<O200k>(text, room),
            Encoding::Cl100k => self.pieces::<Cl100k>(text, room),
        }
    }

    fn pieces<P: Pattern>(&self, text: &str, room: &mut Room) -> u64 {
        let text = self.classes.of(text.as_bytes());
        let mut count = 0;
        let mut at = 0;
        let mut alone = 0;
        while at < text.bytes.len() {
            // A part is longer where no place to cut it comes: in tables, say, which have no word before a blank.
            if at - alone > 2 * PART {
                let_others();
                alone = at;
            }
            let end = P::end(text, at);
            let piece = &text.bytes[at..end];
            count += match self.vocabulary.rank(piece) {
                NONE => merge::count(&self.vocabulary, room, piece) as u64,
                _ => 1,
            };
            at = end;
        }
        count
    }

    /// Tokens of each text, on up to `cores` threads.
    pub(super) fn count_all(&self, texts: &[&str], cores: NonZero<usize>) -> Vec<u64> {
        let bytes: usize = texts.iter().map(|text| text.len()).sum();
        if bytes < MANY {
            return texts.iter().map(|text| self.count(text)).collect();
        }
        let parts: Vec<(usize, &str)> =
            texts.iter().enumerate().flat_map(|(nth, text)| parts(text).map(move |part| (nth, part))).collect();
        let counts: Vec<AtomicU64> = texts.iter().map(|_| AtomicU64::new(0)).collect();
        let next = AtomicUsize::new(0);
        let work = || {
            let mut room = Room::default();
            while let Some((nth, part)) = parts.get(next.fetch_add(1, Relaxed)) {
                counts[*nth].fetch_add(self.count_in(part, &mut room), Relaxed);
                let_others();
            }
        };
        std::thread::scope(|scope| {
            // Where no thread can be had, the others do its share, at last this one.
            for _ in 1..cores.get().min(parts.len()) {
                let _ = std::thread::Builder::new().name("tokens".into()).spawn_scoped(scope, work);
            }
            work();
        });
        counts.into_iter().map(AtomicU64::into_inner).collect()
    }
}

/// Gives the core to whoever waits for it. With all cores counting, a thread of the reactor that wakes would wait for the
/// end of a time slice, which is milliseconds: a low priority does not spare it that, as Linux lets a slice be finished.
pub(super) fn let_others() {
    std::thread::yield_now();
}

/// A text in parts whose tokens add up to the text's.
fn parts(mut text: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        if text.is_empty() {
            return None;
        }
        let (part, rest) = text.split_at(cut(text.as_bytes()));
        text = rest;
        Some(part)
    })
}

/// Where the first part ends. No pattern has a piece with white space behind a letter or digit in it, and none looks
/// past a word's or number's end for more than an apostrophe; so a piece ends there, wherever it began.
fn cut(text: &[u8]) -> usize {
    let ends = |two: &[u8]| two[0].is_ascii_alphanumeric() && matches!(two[1], b' ' | b'\n' | b'\t' | b'\r');
    let place = text.get(PART..).and_then(|behind| behind.windows(2).position(ends));
    place.map_or(text.len(), |at| PART + at + 1)
}

#[cfg(test)]
mod tests;
