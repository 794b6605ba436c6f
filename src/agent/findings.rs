//! The findings of a review, read from the model's answer: one line each, in the form the prompt asks for.
//!
//! What does not have the form is left alone: the answer is shown whole anyway.

use crate::host::{Finding, Notice};
use crate::paths::Roots;

/// Findings at most: a diagnostic list that nobody can read helps nobody.
const MAX: usize = 200;
/// Characters of a message.
const MESSAGE_MAX: usize = 2_000;

/// Reads `` - `path:12-14` error: message `` lines.
pub fn parse(answer: &str, roots: &Roots) -> Vec<Finding> {
    answer.lines().filter_map(|line| finding(line, roots)).take(MAX).collect()
}

fn finding(line: &str, roots: &Roots) -> Option<Finding> {
    let line = line.trim_start().strip_prefix(['-', '*'])?.trim_start().strip_prefix('`')?;
    let (place, rest) = line.split_once('`')?;
    let (path, lines) = place.rsplit_once(':')?;
    let (first, last) = lines.split_once('-').unwrap_or((lines, lines));
    let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
    let (word, message) = rest.trim_start().split_once(':')?;
    let severity = match word.trim().to_ascii_lowercase().as_str() {
        "error" => Notice::Error,
        "warning" => Notice::Warning,
        "info" | "information" | "hint" => Notice::Info,
        _ => return None,
    };
    let path = roots.resolve(path).ok()?;
    let message: String = message.trim().chars().take(MESSAGE_MAX).collect();
    if message.is_empty() || first == 0 {
        return None;
    }
    Some(Finding { path: path.absolute(), line: first - 1, end_line: last.max(first) - 1, message, severity })
}
