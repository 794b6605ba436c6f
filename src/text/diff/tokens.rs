//! What differs between two sequences of tokens, in bounded time.
//!
//! `imara-diff` finds good hunks, but on two long repetitive sequences its time (and the depth of its stack) grows
//! with the product of their lengths, and a model can write such a file. So it is given what a budget allows; more
//! than that is first split at the tokens that occur once on both sides, and what cannot be split is one hunk.

use std::collections::HashMap;
use std::ops::Range;

use imara_diff::{Algorithm, Diff, IndentHeuristic, IndentLevel, InternedInput, NoSliderHeuristic, Token};

use super::Hunk;

/// Pairs of tokens that may be compared for one diff: about 50 ms.
pub(super) const BUDGET: usize = 1 << 24;
/// How often what lies between two split points is split again, by tokens that occur once just there.
const MAX_DEPTH: usize = 6;

/// What the tokens are, which decides how hunks are found and where they slide to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Lines,
    Words,
}

/// The hunks between two sequences of tokens, in bytes from the start of the first token, with a common token
/// between any two. Takes what it costs from `budget`.
pub(super) fn token_hunks<'a>(
    before: impl Iterator<Item = &'a str>,
    after: impl Iterator<Item = &'a str>,
    kind: Kind,
    budget: &mut usize,
) -> Vec<Hunk> {
    let mut input: InternedInput<&str> = InternedInput::default();
    input.update_before(before);
    input.update_after(after);
    let mut finder = Finder { input: &input, kind, budget, hunks: Vec::new() };
    finder.find(0..input.before.len(), 0..input.after.len(), 0);

    let lengths = |tokens: &'_ [Token]| {
        let ends = tokens.iter().scan(0, |end, &token| {
            *end += input.interner[token].len();
            Some(*end)
        });
        std::iter::once(0).chain(ends).collect::<Vec<usize>>()
    };
    let (old, new) = (lengths(&input.before), lengths(&input.after));
    finder
        .hunks
        .into_iter()
        .map(|Hunk { before, after }| Hunk {
            before: old[before.start]..old[before.end],
            after: new[after.start]..new[after.end],
        })
        .collect()
}

struct Finder<'a> {
    input: &'a InternedInput<&'a str>,
    kind: Kind,
    budget: &'a mut usize,
    /// In numbers of tokens.
    hunks: Vec<Hunk>,
}

impl Finder<'_> {
    fn find(&mut self, mut before: Range<usize>, mut after: Range<usize>, depth: usize) {
        if self.settled(&before, &after) {
            return;
        }
        let (old, new) = (&self.input.before[before.clone()], &self.input.after[after.clone()]);
        let prefix = old.iter().zip(new).take_while(|(a, b)| a == b).count();
        let rest = old[prefix..].iter().rev().zip(new[prefix..].iter().rev());
        let suffix = rest.take_while(|(a, b)| a == b).count();
        (before, after) = (before.start + prefix..before.end - suffix, after.start + prefix..after.end - suffix);
        if self.settled(&before, &after) {
            return;
        }
        let anchors = if depth < MAX_DEPTH { self.anchors(&before, &after) } else { Vec::new() };
        if anchors.is_empty() {
            self.hunks.push(Hunk { before, after });
            return;
        }
        for (old, new) in anchors {
            self.find(before.start..old, after.start..new, depth + 1);
            (before.start, after.start) = (old + 1, new + 1);
        }
        self.find(before, after, depth + 1);
    }

    /// Whether that was all there is to do: one side is empty, or the budget allows a thorough search.
    fn settled(&mut self, before: &Range<usize>, after: &Range<usize>) -> bool {
        if before.is_empty() || after.is_empty() {
            if before.len() + after.len() > 0 {
                self.hunks.push(Hunk { before: before.clone(), after: after.clone() });
            }
            return true;
        }
        let side = (before.len() + after.len()).div_ceil(2);
        let Some(left) = side.checked_mul(side).and_then(|cost| self.budget.checked_sub(cost)) else { return false };
        *self.budget = left;
        self.search(before, after);
        true
    }

    fn search(&mut self, before: &Range<usize>, after: &Range<usize>) {
        // Numbered anew, since tables are as large as the largest number.
        let mut part: InternedInput<u32> = InternedInput::default();
        part.update_before(self.input.before[before.clone()].iter().map(|token| token.0));
        part.update_after(self.input.after[after.clone()].iter().map(|token| token.0));
        let diff = match self.kind {
            Kind::Lines => {
                let mut diff = Diff::compute(Algorithm::Histogram, &part);
                let indent = |token| {
                    let line = self.input.interner[Token(part.interner[token])];
                    IndentLevel::for_ascii_line(line.bytes(), 8)
                };
                diff.postprocess_with(&part.before, &part.after, IndentHeuristic::new(indent));
                diff
            }
            // Few different tokens, as words are, do not suit the histogram.
            Kind::Words => {
                let mut diff = Diff::compute(Algorithm::Myers, &part);
                diff.postprocess_with(&part.before, &part.after, NoSliderHeuristic);
                diff
            }
        };
        let shift = |range: Range<u32>, by: usize| range.start as usize + by..range.end as usize + by;
        self.hunks.extend(
            diff.hunks()
                .map(|hunk| Hunk { before: shift(hunk.before, before.start), after: shift(hunk.after, after.start) }),
        );
    }

    /// The longest run of tokens that occur once in each stretch and stand in the same order in both.
    fn anchors(&self, before: &Range<usize>, after: &Range<usize>) -> Vec<(usize, usize)> {
        let mut seen: HashMap<Token, (usize, usize, usize, usize)> = HashMap::new();
        for at in before.clone() {
            let entry = seen.entry(self.input.before[at]).or_default();
            (entry.0, entry.1) = (entry.0 + 1, at);
        }
        for at in after.clone() {
            if let Some(entry) = seen.get_mut(&self.input.after[at]) {
                (entry.2, entry.3) = (entry.2 + 1, at);
            }
        }
        let mut pairs: Vec<(usize, usize)> = seen
            .into_values()
            .filter(|&(in_before, _, in_after, _)| in_before == 1 && in_after == 1)
            .map(|(_, old, _, new)| (old, new))
            .collect();
        pairs.sort_unstable();
        longest_rising(&pairs)
    }
}

/// The longest subsequence of `pairs` (sorted by the first number) in which the second numbers rise too.
fn longest_rising(pairs: &[(usize, usize)]) -> Vec<(usize, usize)> {
    // For each length, the pair with the lowest second number that ends a run of it; and for each pair the one before.
    let mut ends: Vec<usize> = Vec::new();
    let mut previous: Vec<Option<usize>> = Vec::with_capacity(pairs.len());
    for (index, &(_, new)) in pairs.iter().enumerate() {
        let length = ends.partition_point(|&end| pairs[end].1 < new);
        previous.push(length.checked_sub(1).map(|shorter| ends[shorter]));
        match ends.get_mut(length) {
            Some(end) => *end = index,
            None => ends.push(index),
        }
    }
    let mut run = Vec::with_capacity(ends.len());
    let mut next = ends.last().copied();
    while let Some(index) = next {
        run.push(pairs[index]);
        next = previous[index];
    }
    run.reverse();
    run
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hunks(before: &str, after: &str, mut budget: usize) -> Vec<(Range<usize>, Range<usize>)> {
        let hunks = token_hunks(before.split_inclusive(' '), after.split_inclusive(' '), Kind::Words, &mut budget);
        hunks.into_iter().map(|hunk| (hunk.before, hunk.after)).collect()
    }

    #[test]
    fn without_budget_the_tokens_that_occur_once_still_split() {
        let (before, after) = ("x x 1 x y 2 x x ", "x z 1 y x 2 x z x ");
        assert_eq!(hunks(before, after, 0), [(2..4, 2..4), (6..8, 6..6), (10..10, 8..10), (14..14, 14..16)]);
    }

    #[test]
    fn without_budget_and_split_points_the_rest_is_one_hunk() {
        assert_eq!(hunks("a x x y y b ", "a y y x x b ", 0), [(2..10, 2..10)]);
        assert_eq!(hunks("", "a ", 0), [(0..0, 0..2)]);
        assert_eq!(hunks("a ", "a ", 0), []);
    }

    #[test]
    fn the_longest_rising_run_is_found() {
        let pairs = [(0, 5), (1, 1), (2, 2), (3, 9), (4, 3), (5, 0)];
        assert_eq!(longest_rising(&pairs), [(1, 1), (2, 2), (4, 3)]);
        assert_eq!(longest_rising(&[]), []);
    }
}
