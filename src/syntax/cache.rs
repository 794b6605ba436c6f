//! The last trees, so that the next one of the same file is made from what changed.
//!
//! A few files are enough: a run edits one place after the other. All runs that go on share them, because a tree takes
//! many times the bytes of its text; at rest nobody needs one, so they go with the last run.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::{Language, ParseError, Parsed, parse};
use crate::paths::WsPath;
use crate::text::Text;

/// Most files.
const MAX_FILES: usize = 8;

/// Most bytes, as [`Parsed::weight`] counts them. A tree that is larger alone is not kept.
const MAX_WEIGHT: usize = 16 << 20;

/// The last trees by file.
#[derive(Debug, Default)]
pub struct Parses {
    kept: Mutex<Vec<Kept>>,
    /// Nothing is kept.
    never: bool,
}

/// The trees of the runs that go on.
#[derive(Debug, Default)]
pub struct SharedParses(Mutex<Weak<Parses>>);

impl SharedParses {
    /// Those there are; without any, none yet. They go with the last of those who were given them.
    pub fn share(&self) -> Arc<Parses> {
        let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let parses = Arc::default();
            *shared = Arc::downgrade(&parses);
            parses
        })
    }
}

#[derive(Debug)]
struct Kept {
    path: WsPath,
    parsed: Arc<Parsed>,
    weight: usize,
}

impl Parses {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// None, ever: each text is parsed from its beginning.
    pub fn never() -> Self {
        Self { never: true, ..Self::default() }
    }

    /// As [`parse`], from the last tree of the file at `path`, which this one replaces.
    pub fn parse(
        &self,
        path: &WsPath,
        text: &Text,
        language: Language,
        stop: &mut dyn FnMut() -> bool,
    ) -> Result<Arc<Parsed>, ParseError> {
        let previous = self.get(path);
        if let Some(previous) = &previous
            && previous.language == language
            && previous.text.same(text)
        {
            return Ok(previous.clone());
        }
        let parsed = Arc::new(parse(text, language, previous.as_deref(), stop)?);
        self.put(path, parsed.clone());
        Ok(parsed)
    }

    /// How many there are, and their bytes.
    pub fn kept(&self) -> (usize, usize) {
        let kept = self.lock();
        (kept.len(), kept.iter().map(|kept| kept.weight).sum())
    }

    fn get(&self, path: &WsPath) -> Option<Arc<Parsed>> {
        self.lock().iter().find(|kept| kept.path == *path).map(|kept| kept.parsed.clone())
    }

    fn put(&self, path: &WsPath, parsed: Arc<Parsed>) {
        let weight = parsed.weight();
        let mut dropped = Vec::new();
        let mut kept = self.lock();
        dropped.extend(kept.extract_if(.., |kept| kept.path == *path));
        if weight <= MAX_WEIGHT && !self.never {
            kept.push(Kept { path: path.clone(), parsed, weight });
        }
        while kept.len() > MAX_FILES || kept.iter().map(|kept| kept.weight).sum::<usize>() > MAX_WEIGHT {
            dropped.push(kept.remove(0));
        }
        drop(kept);
        // Freeing a large tree takes a millisecond, so not under the lock.
        drop(dropped);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(all(test, feature = "grammars"))]
mod tests {
    use super::*;
    use crate::paths::{Root, Roots};

    #[test]
    fn runs_that_overlap_share_their_trees_and_the_last_takes_them_along() {
        let shared = SharedParses::default();
        let (one, other) = (shared.share(), shared.share());
        assert!(Arc::ptr_eq(&one, &other));
        let gone = Arc::downgrade(&one);
        drop(one);
        assert!(Arc::ptr_eq(&other, &shared.share()));
        drop(other);
        assert!(gone.upgrade().is_none());
        assert_eq!(shared.share().kept(), (0, 0));
    }

    #[test]
    fn where_none_is_kept_each_text_is_parsed_from_its_beginning_to_the_same_outline() {
        let folder = tempfile::tempdir().unwrap();
        let path = Roots::new(vec![Root::open("w", folder.path()).unwrap()]).resolve("a.rs").unwrap();
        let (keeps, never) = (Parses::new(), Parses::never());
        for text in ["fn a() {}\n", "fn a() {}\nfn b() {}\n", "fn b() {}\n"] {
            let text = Text::from(text);
            let outline = |parses: &Parses| {
                let parsed = parses.parse(&path, &text, Language::Rust, &mut || false).unwrap();
                format!("{:?}", super::super::outline(&parsed, 100, &mut || false))
            };
            assert_eq!(outline(&keeps), outline(&never));
        }
        assert_eq!((keeps.kept().0, never.kept()), (1, (0, 0)));
    }

    #[test]
    fn a_few_trees_are_kept_the_last_used_longest() {
        let folder = tempfile::tempdir().unwrap();
        let roots = Roots::new(vec![Root::open("w", folder.path()).unwrap()]);
        let parses = Parses::new();
        let text = Text::from("fn main() {}\n");
        let parse = |name: &str, text: &Text| {
            parses.parse(&roots.resolve(name).unwrap(), text, Language::Rust, &mut || false).unwrap()
        };
        let first = parse("0.rs", &text);
        assert!(Arc::ptr_eq(&first, &parse("0.rs", &text)), "the same rope is not parsed twice");
        for number in 1..20 {
            parse(&format!("{number}.rs"), &text);
        }
        assert_eq!(parses.kept().0, MAX_FILES);
        assert!(!Arc::ptr_eq(&first, &parse("0.rs", &text)), "the first had to go");
        let large = Text::from("fn f() { g(1 + 2); }\n".repeat(60_000).as_str());
        parse("large.rs", &large);
        assert!(parses.kept().1 <= MAX_WEIGHT, "{:?}", parses.kept());
    }
}
