//! Byte-pair encoding of one piece: the neighbours whose bytes together are the token of lowest rank become one, the
//! leftmost first, until no two neighbours are a token.
//!
//! A short piece is merged in place. A longer one needs a heap, and a piece of a megabyte (no blank in it, or nothing
//! but blanks) would need a heap that no cache holds; it is encoded in overlapping windows. That is exact, because of
//! two facts about this way of merging:
//!
//! - tokens that follow each other in the encoding of a text are the encoding of their own bytes: no merge crossed
//!   their outer edges, so the merges among them, in their order, are those of their bytes alone;
//! - if every two neighbours of a row of tokens are the encoding of their own bytes, the row is the encoding of all:
//!   the first merge across an edge would also be the first to cross it in the two tokens alone, which has none.
//!
//! So where two windows have one token in common, the tokens of the first before it and those of the second behind it
//! are the encoding of both. Where they have none, wider windows are tried, at last the whole piece.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::table::NONE;
use super::vocabulary::Vocabulary;

/// Longest piece that is merged in place.
const SHORT: usize = 64;

/// How a long piece is cut. The overlap is longer than any token, so that a token begins in it.
#[derive(Clone, Copy, Debug)]
struct Window {
    len: usize,
    overlap: usize,
}

/// From narrow to the whole piece, which needs no common token.
const WINDOWS: [Window; 3] = [
    Window { len: 2048, overlap: 256 },
    Window { len: 1 << 16, overlap: 1 << 12 },
    Window { len: u32::MAX as usize, overlap: 1 << 12 },
];

/// Room that is used again from piece to piece.
#[derive(Debug, Default)]
pub(super) struct Room {
    heap: BinaryHeap<Reverse<u64>>,
    /// For each byte that begins a part: where the part before it begins, where it ends, its rank with the next.
    before: Vec<u32>,
    end: Vec<u32>,
    rank: Vec<u32>,
    /// Where the tokens of two windows begin, and the end.
    this: Vec<usize>,
    next: Vec<usize>,
    /// Where the tokens of the whole piece begin, for the tests.
    #[cfg(test)]
    pub(super) begins: Vec<usize>,
}

/// Tokens of a piece.
pub(super) fn count(vocabulary: &Vocabulary, room: &mut Room, piece: &[u8]) -> usize {
    if piece.len() <= SHORT {
        return short(vocabulary, piece).0;
    }
    for window in WINDOWS {
        if let Some(count) = windows(vocabulary, room, piece, window) {
            return count;
        }
    }
    // A piece of more than four gigabytes whose windows never meet: no token is shorter than a byte.
    piece.len()
}

/// Merges in place: parts, and where each begins.
#[inline]
fn short(vocabulary: &Vocabulary, piece: &[u8]) -> (usize, [u8; SHORT + 1]) {
    let mut begin = [0_u8; SHORT + 1];
    let mut rank = [NONE; SHORT + 1];
    let mut parts = piece.len();
    for (at, begin) in begin.iter_mut().enumerate().take(parts + 1) {
        *begin = at as u8;
    }
    for (at, two) in piece.windows(2).enumerate() {
        rank[at] = vocabulary.pair(two[0], two[1]);
    }
    loop {
        let (mut least, mut at) = (NONE, 0);
        for (nth, rank) in rank[..parts].iter().enumerate() {
            if *rank < least {
                (least, at) = (*rank, nth);
            }
        }
        if least == NONE {
            return (parts, begin);
        }
        begin.copy_within(at + 2..=parts, at + 1);
        rank.copy_within(at + 2..=parts, at + 1);
        parts -= 1;
        let bytes = |from: usize, to: usize| &piece[usize::from(begin[from])..usize::from(begin[to])];
        rank[at] = if at + 1 < parts { vocabulary.rank(bytes(at, at + 2)) } else { NONE };
        if at > 0 {
            rank[at - 1] = vocabulary.rank(bytes(at - 1, at + 1));
        }
    }
}

/// Tokens of a long piece; nothing where two windows have none in common.
fn windows(vocabulary: &Vocabulary, room: &mut Room, piece: &[u8], window: Window) -> Option<usize> {
    let (mut this, mut next) = (std::mem::take(&mut room.this), std::mem::take(&mut room.next));
    #[cfg(test)]
    room.begins.clear();
    let mut count = 0;
    let mut start = 0;
    // The first token of this window that is not counted yet.
    let mut from = 0;
    let mut met = true;
    merge(vocabulary, room, piece, 0, window.len, &mut this);
    while met && start + window.len < piece.len() {
        let edge = start + window.len - window.overlap;
        let first = from.max(this.partition_point(|begin| *begin < edge));
        let last = std::mem::replace(&mut start, this[first]);
        if piece[start..].get(..window.len) == Some(&piece[last..last + window.len]) {
            // The same text again, as in a megabyte of blanks: its tokens are the same, further on.
            next.clear();
            next.extend(this.iter().map(|begin| begin - last + start));
        } else {
            merge(vocabulary, room, piece, start, window.len, &mut next);
        }
        let common = common(&this[first..], &next);
        met = common.is_some();
        if let Some((ours, theirs)) = common {
            count += first + ours - from;
            #[cfg(test)]
            room.begins.extend(&this[from..first + ours]);
            from = theirs;
            std::mem::swap(&mut this, &mut next);
        }
    }
    // The last entry is the end.
    count += this.len() - 1 - from;
    #[cfg(test)]
    room.begins.extend(&this[from..this.len() - 1]);
    (room.this, room.next) = (this, next);
    met.then_some(count)
}

/// Where two rows of tokens, each as its beginnings and its end, have the first token in common.
fn common(one: &[usize], other: &[usize]) -> Option<(usize, usize)> {
    let (mut a, mut b) = (0, 0);
    while a + 1 < one.len() && b + 1 < other.len() {
        match one[a].cmp(&other[b]) {
            std::cmp::Ordering::Less => a += 1,
            std::cmp::Ordering::Greater => b += 1,
            std::cmp::Ordering::Equal if one[a + 1] == other[b + 1] => return Some((a, b)),
            std::cmp::Ordering::Equal => (a, b) = (a + 1, b + 1),
        }
    }
    None
}

/// Encodes the window that begins at `start`: where its tokens begin in the piece, and its end.
fn merge(vocabulary: &Vocabulary, room: &mut Room, piece: &[u8], start: usize, len: usize, begins: &mut Vec<usize>) {
    let piece = &piece[start..piece.len().min(start.saturating_add(len))];
    let size = piece.len() as u32;
    let Room { heap, before, end, rank, .. } = room;
    let key = |rank: u32, at: u32| Reverse(u64::from(rank) << 32 | u64::from(at));
    before.clear();
    before.extend((0..size).map(|at| at.saturating_sub(1)));
    end.clear();
    end.extend(1..=size);
    rank.clear();
    rank.extend(piece.windows(2).map(|two| vocabulary.pair(two[0], two[1])));
    rank.push(NONE);
    let mut keys = std::mem::take(heap).into_vec();
    keys.clear();
    keys.extend((0..size).zip(rank.iter()).filter(|(_, rank)| **rank != NONE).map(|(at, rank)| key(*rank, at)));
    *heap = BinaryHeap::from(keys);
    while let Some(Reverse(top)) = heap.pop() {
        let (least, at) = ((top >> 32) as u32, top as u32);
        let this = at as usize;
        // What was merged since has another rank: a rank is one token, so the same rank is the same bytes.
        if rank[this] != least {
            continue;
        }
        let next = end[this];
        rank[next as usize] = NONE;
        let behind = end[next as usize];
        end[this] = behind;
        rank[this] = NONE;
        if behind < size {
            before[behind as usize] = at;
            rank[this] = vocabulary.rank(&piece[this..end[behind as usize] as usize]);
            if rank[this] != NONE {
                heap.push(key(rank[this], at));
            }
        }
        if at > 0 {
            let last = before[this];
            let with = vocabulary.rank(&piece[last as usize..behind as usize]);
            rank[last as usize] = with;
            if with != NONE {
                heap.push(key(with, last));
            }
        }
    }
    begins.clear();
    let mut at = 0;
    while at < size {
        begins.push(start + at as usize);
        at = end[at as usize];
    }
    begins.push(start + piece.len());
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Where the tokens of a piece begin, the way that [`count`] goes.
    pub(in super::super) fn begins(vocabulary: &Vocabulary, piece: &[u8]) -> Vec<usize> {
        if piece.len() <= SHORT {
            let (parts, begin) = short(vocabulary, piece);
            return begin[..parts].iter().map(|at| usize::from(*at)).collect();
        }
        let mut room = Room::default();
        let counted = count(vocabulary, &mut room, piece);
        assert_eq!(counted, room.begins.len());
        room.begins
    }

    #[test]
    fn rows_meet_at_the_first_token_that_both_have() {
        assert_eq!(common(&[3, 5, 8, 9], &[3, 4, 5, 8, 9]), Some((1, 2)));
        assert_eq!(common(&[3, 5, 8], &[4, 6, 8]), None);
        assert_eq!(common(&[3], &[3]), None);
    }
}
