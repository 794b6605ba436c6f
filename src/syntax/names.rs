//! The names that a part of a text uses, so that somebody can look up what they mean.
//!
//! Grammars differ in how they call a name, but all of ours end the word with `identifier`. What a name stands for is
//! not resolved: it is said how it is used, which is enough to look first for what matters most.

use std::collections::HashMap;
use std::ops::Range;

use super::Parsed;

/// Bytes of the shortest and the longest name that is told: one letter says nothing, a page is no name.
const LENGTH: std::ops::RangeInclusive<usize> = 2..=80;

/// How a name is used, the most telling first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Use {
    /// It is called.
    Called,
    /// It names a type, or a constant: it begins with a capital letter, or the grammar says so.
    Named,
    /// Otherwise.
    Mentioned,
}

/// A name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// Its text.
    pub text: String,
    /// How it is used; where it is used several times, the most telling way.
    pub used: Use,
    /// Where it is used first, in bytes.
    pub at: usize,
}

/// The names in the bytes `within`, each once, in the order of the text, at most `limit`. Ends early when `stop` says so.
pub fn names(parsed: &Parsed, within: Range<usize>, limit: usize, stop: &mut dyn FnMut() -> bool) -> Vec<Name> {
    let mut found: Vec<Name> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    let mut cursor = parsed.tree.walk();
    let mut steps = 0_u32;
    loop {
        steps = steps.wrapping_add(1);
        if steps.is_multiple_of(1_024) && stop() {
            return found;
        }
        let node = cursor.node();
        let bytes = node.byte_range();
        let inside = bytes.start < within.end && within.start < bytes.end;
        if inside && node.child_count() == 0 && node.kind().ends_with("identifier") && LENGTH.contains(&bytes.len()) {
            let text = parsed.text.slice(bytes.clone());
            let used = used(parsed, node.kind(), &text, bytes.end);
            match known.get(&text) {
                Some(at) => found[*at].used = found[*at].used.min(used),
                None if found.len() == limit => return found,
                None => {
                    known.insert(text.clone(), found.len());
                    found.push(Name { text, used, at: bytes.start });
                }
            }
        }
        if inside && cursor.goto_first_child() {
            continue;
        }
        // What comes behind begins behind the end, too.
        if bytes.start >= within.end {
            return found;
        }
        while !cursor.goto_next_sibling() {
            if !cursor.goto_parent() {
                return found;
            }
        }
    }
}

fn used(parsed: &Parsed, kind: &str, text: &str, end: usize) -> Use {
    let next = parsed.text.bytes_from(end);
    if matches!(next.first(), Some(b'(' | b'!')) && !next.starts_with(b"!=") {
        Use::Called
    } else if kind == "type_identifier" || text.starts_with(char::is_uppercase) {
        Use::Named
    } else {
        Use::Mentioned
    }
}

#[cfg(all(test, feature = "grammars"))]
mod tests {
    use super::super::{Language, parse};
    use super::*;
    use crate::text::Text;

    fn found(language: Language, text: &str, within: Range<usize>) -> Vec<(String, Use)> {
        let parsed = parse(&Text::from(text), language, None, &mut || false).expect("a small text of this language");
        names(&parsed, within, 100, &mut || false).into_iter().map(|name| (name.text, name.used)).collect()
    }

    fn called(language: Language, text: &str) -> Vec<String> {
        let all = found(language, text, 0..text.len());
        all.into_iter().filter(|(_, used)| *used == Use::Called).map(|(text, _)| text).collect()
    }

    #[test]
    fn names_are_told_once_with_the_most_telling_use() {
        let text = "fn a(x: Thing) -> u32 { let f = run; run(x.len_of, MAX) }";
        let expected = [("Thing", Use::Named), ("run", Use::Called), ("len_of", Use::Mentioned), ("MAX", Use::Named)];
        assert_eq!(found(Language::Rust, text, 0..text.len()), expected.map(|(name, used)| (name.to_owned(), used)));
    }

    #[test]
    fn only_the_part_that_was_asked_for_is_looked_at() {
        let text = "def one():\n    first()\n\ndef two():\n    second()\n";
        let at = text.find("def two").unwrap();
        let names: Vec<String> =
            found(Language::Python, text, at..text.len()).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["two", "second"]);
        assert!(found(Language::Python, text, text.len()..text.len()).is_empty());
        assert!(found(Language::Python, text, 900..1_000).is_empty());
    }

    #[test]
    fn every_language_has_names_that_are_called() {
        for (language, text) in [
            (Language::C, "int f(void) { return helper(1); }"),
            (Language::Cpp, "int f() { return helper(1); }"),
            (Language::Go, "package a\nfunc f() { helper(1) }"),
            (Language::Java, "class A { void f() { helper(1); } }"),
            (Language::JavaScript, "function f() { helper(1) }"),
            (Language::Lua, "local x = helper(1)"),
            (Language::Python, "x = helper(1)"),
            (Language::Rust, "fn f() { helper(1) }"),
            (Language::TypeScript, "const x: number = helper(1)"),
            (Language::Tsx, "const x = <A b={helper(1)} />"),
        ] {
            assert!(called(language, text).contains(&"helper".to_owned()), "{language}");
        }
    }

    #[test]
    fn no_more_names_than_were_asked_for_and_none_once_stopped() {
        let text: String = (0..5_000).map(|n| format!("call_{n}()\n")).collect();
        let parsed = parse(&Text::from(text.as_str()), Language::Python, None, &mut || false).unwrap();
        assert_eq!(names(&parsed, 0..text.len(), 7, &mut || false).len(), 7);
        assert!(names(&parsed, 0..text.len(), 9_999, &mut || true).len() < 1_000);
    }
}
