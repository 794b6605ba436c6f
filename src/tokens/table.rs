//! The form in which a vocabulary lies in the program: made by `build.rs` from what tiktoken-rs holds, read in place.
//!
//! Both sides include this file. Words are 32 bits, the least significant byte first, wherever they begin: the program
//! is built on one machine for another, and nothing aligns what is included in it.

/// No token.
pub const NONE: u32 = u32::MAX;

/// A slot that holds nothing.
pub const FREE: u32 = u32::MAX;

/// A slot's low bits are a rank, the others some bits of the hash, so that most misses end without a comparison.
const RANK_BITS: u32 = 18;
/// The bits of a slot that are the rank.
pub const RANK: u32 = (1 << RANK_BITS) - 1;

/// Words before the tables: how many tokens there are, how long the longest is, and how many slots.
pub const HEAD: usize = 3;
/// Ranks of all tokens of two bytes: where every merge begins.
pub const PAIRS: usize = 1 << 16;

/// A word as it is stored.
pub type Word = [u8; 4];

/// Where a token of two bytes stands.
#[inline]
pub fn pair(first: u8, second: u8) -> usize {
    usize::from(first) << 8 | usize::from(second)
}

/// What a slot says of a hash.
#[inline]
pub fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32 & !RANK
}

/// A hash of a short run of bytes: each byte is in one of two words, which are multiplied. Whoever writes a text can
/// make collisions; they cost time in proportion to the vocabulary's longest cluster, which is fixed.
#[inline]
pub fn hash(bytes: &[u8]) -> u64 {
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
