//! A rule's pattern against a command: leading words.

use super::programs::Programs;
use super::tree::Words;
use super::words;
use super::wrapped::base_name;
use crate::paths::Roots;

/// Builtins of the shell that a rule may name; there is nothing to look for on the search path.
const BUILTINS: &[&str] = &[
    "cd", "command", "eval", "exec", "exit", "export", "hash", "jobs", "read", "set", "shift", "source", "trap",
    "type", "ulimit", "umask", "unset", "wait",
];

/// The words of a pattern. A star at its end says what is so anyway.
fn pattern_words(pattern: &str) -> Vec<String> {
    let pattern = pattern.trim();
    let pattern = pattern.strip_suffix(" *").or_else(|| pattern.strip_suffix(":*")).unwrap_or(pattern);
    match words::read(pattern) {
        Ok(simple) => match &simple.parts[..] {
            [part] if part.redirects.is_empty() => part.argv.clone(),
            _ => split(pattern),
        },
        Err(_) => split(pattern),
    }
}

fn split(pattern: &str) -> Vec<String> {
    pattern.split_whitespace().map(str::to_owned).collect()
}

/// Whether a rule that allows covers this command: the same words, one by one.
pub fn allows(pattern: &str, argv: &[String]) -> bool {
    let rule = pattern_words(pattern);
    !rule.is_empty() && rule.len() <= argv.len() && rule.iter().zip(argv).all(|(rule, word)| rule == word)
}

/// Whether a rule that tightens covers this command: by the program's own name, with options between the words, and
/// also where a word is not known and could be the one.
pub fn tightens(pattern: &str, words: &Words) -> bool {
    let rule = pattern_words(pattern);
    // What stands behind an operator is another command; the first one is meant at least.
    let sign = |word: &String| matches!(word.as_str(), "|" | "||" | "&&" | ";" | "&" | ">" | "<");
    let rule: Vec<String> = rule.into_iter().take_while(|word| !sign(word)).collect();
    let [program, rest @ ..] = &rule[..] else { return true };
    let Some(Some(name)) = words.first() else { return false };
    base_name(program) == base_name(name) && follows(rest, &words[1..])
}

/// Whether the words of a rule come in this order, with nothing between them but options and their values.
fn follows(rule: &[String], words: &[Option<String>]) -> bool {
    // (words of the rule that have been found, place among the words): few, since both only grow.
    let mut open = vec![(0, 0)];
    let mut seen = std::collections::HashSet::new();
    while let Some((found, at)) = open.pop() {
        if found == rule.len() {
            return true;
        }
        if at >= words.len() || !seen.insert((found, at)) {
            continue;
        }
        match &words[at] {
            Some(word) => {
                if *word == rule[found] {
                    open.push((found + 1, at + 1));
                }
                if word.starts_with(['-', '+']) {
                    open.push((found, at + 1));
                    open.push((found, at + 2));
                }
            }
            // Known to the shell only: it may be the word, an option, or nothing.
            None => open.extend([(found + 1, at + 1), (found, at + 1)]),
        }
    }
    false
}

/// Whether a bare name means a program outside the workspace, or one of the shell's own.
pub fn known(name: &str, roots: &Roots, programs: &Programs) -> Result<(), String> {
    if BUILTINS.contains(&name) { Ok(()) } else { programs.trusted(name, roots) }
}
