//! Where a text comes closest to a quote that is not in it, so that the model sees what it should have quoted.

use std::collections::HashMap;

use super::{Line, lines};

/// A stretch of the text that is like the quote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Near {
    /// Its first line, from 1.
    pub line: usize,
    /// The lines as they stand; long ones and long stretches are cut.
    pub text: String,
}

/// How many stretches are shown.
const MAX_NEAR: usize = 3;
/// How many lines of each.
const MAX_SHOWN: usize = 12;
/// How many characters of a line.
const MAX_WIDTH: usize = 200;
/// How often a line may stand in the quote and still be used to find it.
const MAX_REPEATS: usize = 4;
/// What lines may count for at most, in bytes: a long line is not better proof than an ordinary one.
const MAX_WEIGHT: usize = 40;

/// The stretches of `text` that are most like `old`, at most three, the best first.
pub(super) fn nearest(text: &str, old: &str) -> Vec<Near> {
    let here: Vec<Line> = lines(text).collect();
    let quoted: Vec<&str> = lines(old).map(|line| old[line.start..line.content_end].trim()).collect();
    let content = |line: &Line| text[line.start..line.content_end].trim();

    let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, line) in quoted.iter().enumerate().filter(|(_, line)| !line.is_empty()) {
        let places = places.entry(line).or_default();
        if places.len() < MAX_REPEATS {
            places.push(index);
        }
    }
    // Each line that is in both votes for the stretch in which it would stand where the quote has it.
    let mut votes: HashMap<usize, usize> = HashMap::new();
    for (at, line) in here.iter().enumerate() {
        for &place in places.get(content(line)).into_iter().flatten() {
            *votes.entry(at.saturating_sub(place)).or_default() += content(line).len().min(MAX_WEIGHT);
        }
    }
    let total: usize = quoted.iter().map(|line| line.len().min(MAX_WEIGHT)).sum();
    votes.retain(|_, weight| *weight >= 3 && *weight * 5 >= total);
    let mut ranked: Vec<(usize, usize)> = votes.into_iter().map(|(start, weight)| (weight, start)).collect();
    if ranked.is_empty() {
        ranked = alike(&quoted, here.iter().map(content));
    }
    ranked.sort_unstable_by_key(|&(weight, start)| (std::cmp::Reverse(weight), start));

    let mut starts: Vec<usize> = Vec::new();
    for (_, start) in ranked {
        if starts.iter().all(|other| other.abs_diff(start) >= quoted.len().max(1)) {
            starts.push(start);
        }
        if starts.len() == MAX_NEAR {
            break;
        }
    }
    let show = |start: usize| {
        let stretch = here[start..].iter().take(quoted.len().clamp(1, MAX_SHOWN));
        let shown: Vec<String> = stretch.map(|line| cut(&text[line.start..line.content_end])).collect();
        Near { line: start + 1, text: shown.join("\n") }
    };
    starts.into_iter().map(show).collect()
}

/// Lines that share at least half of their pairs of bytes with the longest line of the quote, as weights and starts.
fn alike<'a>(quoted: &[&str], here: impl Iterator<Item = &'a str>) -> Vec<(usize, usize)> {
    let Some((place, longest)) = quoted.iter().enumerate().max_by_key(|(_, line)| line.len()) else {
        return Vec::new();
    };
    let pair = |pair: &[u8]| usize::from(pair[0]) << 8 | usize::from(pair[1]);
    let mut known = vec![false; 1 << 16];
    longest.as_bytes().windows(2).for_each(|window| known[pair(window)] = true);
    let mut ranked: Vec<(usize, usize)> = Vec::new();
    for (at, line) in here.enumerate() {
        let shared = line.as_bytes().windows(2).filter(|window| known[pair(window)]).count();
        let pairs = line.len().max(longest.len()).saturating_sub(1);
        if shared * 2 >= pairs && shared > 1 {
            ranked.push((shared * 1000 / pairs, at.saturating_sub(place)));
        }
    }
    ranked
}

fn cut(line: &str) -> String {
    match line.char_indices().nth(MAX_WIDTH) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}
