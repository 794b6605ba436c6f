//! A vocabulary: from bytes to the rank of the token they are.
//!
//! tiktoken-rs holds the tokens, in maps of one allocation for each. They are asked for when the program is built
//! (`build.rs`), and lie in it as one open table of 32-bit slots over the tokens' own bytes: there is nothing to make at
//! the first count, and what is not looked at is not in memory. The first look at a token is one cache line. Nothing
//! here is probabilistic: a slot names a candidate, and the candidate's bytes are compared.

use super::Encoding;
use super::table::{FREE, HEAD, NONE, PAIRS, RANK, Word, hash, pair, tag};

/// The tables of an encoding in the program: the bytes of all tokens, and the words.
macro_rules! included {
    ($name:literal) => {
        (
            include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".bytes")),
            include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".words")),
        )
    };
}

/// All tokens of an encoding.
#[derive(Debug)]
pub(super) struct Vocabulary {
    bytes: &'static [u8],
    /// Where each token begins in `bytes`; one more than tokens.
    starts: &'static [Word],
    slots: &'static [Word],
    pairs: &'static [Word],
    longest: usize,
}

impl Vocabulary {
    /// The tokens of an encoding. Its special tokens are left out: a text that spells one is a text.
    pub(super) fn of(encoding: Encoding) -> Self {
        let (bytes, words): (&[u8], &[u8]) = match encoding {
            Encoding::O200k => included!("o200k"),
            Encoding::Cl100k => included!("cl100k"),
        };
        let (head, words) = words.as_chunks().0.split_at(HEAD);
        let [count, longest, slots] = [0, 1, 2].map(|at| word(head[at]) as usize);
        let (starts, words) = words.split_at(count + 1);
        let (slots, pairs) = words.split_at(slots);
        assert_eq!(pairs.len(), PAIRS, "build.rs has written what table.rs says");
        Self { bytes, starts, slots, pairs, longest }
    }

    /// The rank of the token with these bytes, or [`NONE`].
    #[inline]
    pub(super) fn rank(&self, token: &[u8]) -> u32 {
        if token.len() > self.longest {
            return NONE;
        }
        let hash = hash(token);
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let slot = word(self.slots[at]);
            if slot == FREE {
                return NONE;
            }
            if slot & !RANK == tag(hash) && self.token(slot & RANK) == token {
                return slot & RANK;
            }
            at = (at + 1) & mask;
        }
    }

    /// The rank of a token of two bytes, or [`NONE`].
    #[inline]
    pub(super) fn pair(&self, first: u8, second: u8) -> u32 {
        word(self.pairs[pair(first, second)])
    }

    fn token(&self, rank: u32) -> &'static [u8] {
        let rank = rank as usize;
        &self.bytes[word(self.starts[rank]) as usize..word(self.starts[rank + 1]) as usize]
    }
}

#[inline]
fn word(word: Word) -> u32 {
    u32::from_le_bytes(word)
}
