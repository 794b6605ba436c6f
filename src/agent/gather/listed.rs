//! Names that neither the buffers nor the imports explain, looked for in the files of a list that an earlier search has
//! left behind. Without such a list nothing is done: to make one costs more than it would bring here.

use super::Gather;
use super::definitions::is_named;
use super::reach::are_kin;
use super::region::{Look, Wanted, may_mean};
use crate::paths::WsPath;
use crate::syntax::Language;
use crate::tools::kept::{Ask, Known};
use crate::workspace::protected::is_secret_rel;

/// Names looked for.
const NAMES: usize = 8;
/// Files read.
const FILES: usize = 300;
/// Paths of a list that are looked at.
const PATHS: usize = 100_000;

impl Gather {
    /// Looks for what declares the names that are still unknown.
    pub(super) fn define_from_lists(&self, look: &Look) {
        let mut unknown = self.unknown(look);
        unknown.truncate(NAMES);
        let Some(top) = self.top() else { return };
        // A list that changes are told of is there at once, or not at all.
        if unknown.is_empty() || self.stopped() || self.lists.generation(&top).is_none() {
            return;
        }
        let ask = Ask { base: &top, hidden: false, threads: 1, until: None, keep: self.keep };
        let Some(known) = self.lists.whole(ask, &self.stop) else { return };
        let keywords = keywords(look.language);
        for rel in self.nearest(&known, look.language) {
            if self.stopped() || unknown.is_empty() {
                return;
            }
            let Ok(path) = top.join(rel) else { continue };
            let Some((path, text)) = self.reach.read(&self.workspace, &path) else { continue };
            let whole = text.slice(0..text.len());
            let declares = |wanted: &&Wanted| {
                keywords.iter().any(|keyword| {
                    let words = format!("{keyword}{}", wanted.name.text);
                    memchr::memmem::find_iter(whole.as_bytes(), words.as_bytes()).any(|at| {
                        let next = whole.as_bytes().get(at + words.len());
                        !next.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
                    })
                })
            };
            if !unknown.iter().any(declares) {
                continue;
            }
            let Ok(outline) = self.outlines.of(&text, look.language, &mut || self.stopped()) else { continue };
            self.define_from(look, &path, &text, 3);
            unknown.retain(|wanted| {
                !outline
                    .symbols
                    .iter()
                    .any(|symbol| is_named(symbol, &wanted.name.text) && may_mean(wanted.name.used, symbol.kind))
            });
        }
    }

    fn top(&self) -> Option<WsPath> {
        let mut top = self.place.subject.path.parent()?;
        while let Some(above) = top.parent() {
            top = above;
        }
        Some(top)
    }

    /// The files of the subject's language, those that stand near it first.
    fn nearest<'a>(&self, known: &'a Known, wanted: Language) -> Vec<&'a str> {
        let subject = self.place.subject.path.rel();
        let same = |rel: &str| {
            let parts = subject.split('/').zip(rel.split('/'));
            std::cmp::Reverse(parts.take_while(|(a, b)| a == b).count())
        };
        let of_language = |rel: &str| {
            let name = rel.rsplit('/').next().unwrap_or(rel);
            Language::of(name, "").is_some_and(|language| are_kin(language, wanted))
        };
        let mut found: Vec<&str> = Vec::new();
        for at in known.range.clone().take(PATHS) {
            if at.is_multiple_of(1_024) && self.stopped() {
                break;
            }
            let rel = known.list.get(at);
            if rel != subject && of_language(rel) && !is_secret_rel(rel) {
                found.push(rel);
            }
        }
        found.sort_by_key(|rel| (same(rel), rel.len()));
        found.truncate(FILES);
        found
    }
}

/// What stands before a name where it is declared.
fn keywords(language: Language) -> &'static [&'static str] {
    match language {
        Language::Rust => {
            &["fn ", "struct ", "enum ", "trait ", "type ", "const ", "static ", "macro_rules! ", "union "]
        }
        Language::Python => &["def ", "class "],
        Language::JavaScript | Language::TypeScript | Language::Tsx => {
            &["function ", "class ", "const ", "interface ", "type ", "enum ", "function* "]
        }
        Language::Go => &["func ", "type ", ") ", "const ", "var "],
        Language::Java => &["class ", "interface ", "enum ", "record "],
        Language::C | Language::Cpp => &["struct ", "enum ", "class ", "union ", "#define ", "\n", " ", "*", "::"],
        Language::Lua => &["function ", "."],
    }
}
