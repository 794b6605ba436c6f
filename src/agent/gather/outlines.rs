//! Outlines of files by their content, kept from one run to the next: a file that has not changed is not parsed again.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use moka::sync::Cache;

use crate::syntax::{self, Language, Outline, ParseError};
use crate::text::Text;

/// Symbols of all outlines kept; each takes some two hundred bytes.
const SYMBOLS: u64 = 20_000;

/// How long an outline is kept that nobody asks for.
const IDLE: Duration = Duration::from_secs(10 * 60);

/// Symbols of one outline.
pub(super) const MAX: usize = 2_000;

type Key = (Language, u64, usize);

/// Outlines, by language and content. Takes no memory before the first one.
#[derive(Debug, Default)]
pub struct Outlines {
    kept: OnceLock<Cache<Key, Arc<Outline>>>,
    hasher: RandomState,
}

impl Outlines {
    /// The outline of a text, kept or made now. One that `stop` has ended is not kept.
    pub fn of(
        &self,
        text: &Text,
        language: Language,
        stop: &mut dyn FnMut() -> bool,
    ) -> Result<Arc<Outline>, ParseError> {
        let key = self.key(text, language);
        if let Some(known) = self.kept.get().and_then(|kept| kept.get(&key)) {
            return Ok(known);
        }
        let parsed = syntax::parse(text, language, None, stop)?;
        let outline = Arc::new(syntax::outline(&parsed, MAX, stop));
        if !stop() {
            self.put(key, outline.clone());
        }
        Ok(outline)
    }

    /// Keeps an outline that somebody has made.
    pub(super) fn keep(&self, text: &Text, language: Language, outline: &Arc<Outline>) {
        self.put(self.key(text, language), outline.clone());
    }

    fn put(&self, key: Key, outline: Arc<Outline>) {
        let weight = |_: &Key, outline: &Arc<Outline>| outline.symbols.len() as u32 + 1;
        let kept =
            self.kept.get_or_init(|| Cache::builder().max_capacity(SYMBOLS).weigher(weight).time_to_idle(IDLE).build());
        kept.insert(key, outline);
    }

    fn key(&self, text: &Text, language: Language) -> Key {
        let mut hasher = self.hasher.build_hasher();
        for chunk in text.chunks() {
            hasher.write(chunk.as_bytes());
        }
        (language, hasher.finish(), text.len())
    }
}

#[cfg(all(test, feature = "grammars"))]
mod tests {
    use super::*;

    #[test]
    fn an_outline_is_made_once_for_each_content_and_never_of_half_a_look() {
        let outlines = Outlines::default();
        let text = Text::from("fn a() {}\n");
        let stopped = outlines.of(&text, Language::Rust, &mut || true);
        let first = outlines.of(&text, Language::Rust, &mut || false).unwrap();
        assert!(!stopped.is_ok_and(|stopped| Arc::ptr_eq(&stopped, &first)));
        let same = outlines.of(&Text::from("fn a() {}\n"), Language::Rust, &mut || false).unwrap();
        assert!(Arc::ptr_eq(&first, &same));
        let other = outlines.of(&Text::from("fn b() {}\n"), Language::Rust, &mut || false).unwrap();
        assert_eq!(other.symbols[0].name, "b");
    }
}
