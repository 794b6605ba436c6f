//! A vocabulary: from bytes to the rank of the token they are.
//!
//! tiktoken-rs holds the tokens, in maps of one allocation for each token; its encoder is asked for them once and let go.
//! Here ranks are found through one open table of 32-bit slots over the tokens' own bytes, so that a vocabulary of
//! 200,000 tokens takes 4 MB, and the first look is one cache line. Nothing here is probabilistic: a slot names a
//! candidate, and the candidate's bytes are compared.

use std::sync::mpsc;

use super::Encoding;

/// No token.
pub(super) const NONE: u32 = u32::MAX;

/// A slot's low bits are a rank, the others some bits of the hash, so that most misses end without a comparison.
const RANK_BITS: u32 = 18;
const RANK: u32 = (1 << RANK_BITS) - 1;
const FREE: u32 = u32::MAX;

/// All tokens of an encoding.
#[derive(Debug)]
pub(super) struct Vocabulary {
    bytes: Vec<u8>,
    /// Where each token begins in `bytes`; one more than tokens.
    starts: Box<[u32]>,
    slots: Box<[u32]>,
    /// Ranks of all tokens of two bytes: where every merge begins.
    pairs: Box<[u32]>,
    longest: usize,
}

impl Vocabulary {
    /// The tokens of an encoding. Its special tokens are left out: a text that spells one is a text.
    pub(super) fn of(encoding: Encoding) -> Self {
        let mut bytes = Vec::new();
        let mut starts = vec![0_u32];
        let (sender, batches) = mpsc::channel();
        std::thread::scope(|scope| {
            let spare = sender.clone();
            // What tiktoken-rs allocates and lets go is so the business of another thread, and with it of another part of
            // the heap: none of what is kept lies above it, so the allocator can give its pages back.
            let reader = std::thread::Builder::new().name("vocabulary".into());
            if reader.spawn_scoped(scope, move || read(encoding, &sender)).is_err() {
                read(encoding, &spare);
            }
            drop(spare);
            for token in batches.into_iter().flatten() {
                bytes.extend_from_slice(&token);
                starts.push(bytes.len() as u32);
            }
        });
        bytes.shrink_to_fit();
        let count = starts.len() - 1;
        let mut slots = vec![FREE; (count * 2).next_power_of_two()].into_boxed_slice();
        let mut pairs = vec![NONE; 1 << 16].into_boxed_slice();
        let mask = slots.len() - 1;
        let mut longest = 0;
        for rank in 0..count {
            let token = &bytes[starts[rank] as usize..starts[rank + 1] as usize];
            let rank = rank as u32;
            longest = longest.max(token.len());
            if let [a, b] = *token {
                pairs[pair(a, b)] = rank;
            }
            let hash = hash(token);
            let mut at = hash as usize & mask;
            while slots[at] != FREE {
                at = (at + 1) & mask;
            }
            slots[at] = tag(hash) | rank;
        }
        Self { bytes, starts: starts.into(), slots, pairs, longest }
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
            let slot = self.slots[at];
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
        self.pairs[pair(first, second)]
    }

    fn token(&self, rank: u32) -> &[u8] {
        let rank = rank as usize;
        &self.bytes[self.starts[rank] as usize..self.starts[rank + 1] as usize]
    }
}

/// Tokens that are handed over together.
const BATCH: usize = 4096;

/// Reads the tokens of an encoding in the order of their ranks.
fn read(encoding: Encoding, batches: &mpsc::Sender<Vec<Vec<u8>>>) {
    let theirs = match encoding {
        Encoding::O200k => tiktoken_rs::o200k_base(),
        Encoding::Cl100k => tiktoken_rs::cl100k_base(),
    }
    .expect("the vocabularies are compiled in, and a test reads each");
    // Ranks are dense from 0; behind the last is a gap, then the special tokens.
    let mut tokens = (0..).map_while(|rank| theirs.decode_bytes(&[rank]).ok()).fuse();
    loop {
        let batch: Vec<Vec<u8>> = tokens.by_ref().take(BATCH).collect();
        // Whoever waits for them takes all.
        if batch.is_empty() || batches.send(batch).is_err() {
            return;
        }
    }
}

fn pair(first: u8, second: u8) -> usize {
    usize::from(first) << 8 | usize::from(second)
}

fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32 & !RANK
}

/// A hash of a short run of bytes: each byte is in one of two words, which are multiplied. Whoever writes a text can
/// make collisions; they cost time in proportion to the vocabulary's longest cluster, which is fixed.
#[inline]
pub(super) fn hash(bytes: &[u8]) -> u64 {
    const A: u64 = 0x9e37_79b9_7f4a_7c15;
    const B: u64 = 0xd1b5_4a32_d192_ed03;
    let len = bytes.len();
    let (first, last) = if let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        let mut middle = u64::from_le_bytes(*first);
        if len > 16 {
            for chunk in bytes[8..len - 8].chunks(8) {
                let mut word = [0; 8];
                word[..chunk.len()].copy_from_slice(chunk);
                middle = fold(middle ^ A, u64::from_le_bytes(word) ^ B);
            }
        }
        (middle, u64::from_le_bytes(*last))
    } else if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        (u64::from(u32::from_le_bytes(*first)), u64::from(u32::from_le_bytes(*last)))
    } else {
        match *bytes {
            [] => (0, 0),
            [a] => (u64::from(a), 0),
            [a, b] => (u64::from(a), u64::from(b)),
            [a, b, c, ..] => (u64::from(a) | u64::from(b) << 8, u64::from(c)),
        }
    };
    fold(first ^ A, last ^ B ^ (len as u64) << 56)
}

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}
