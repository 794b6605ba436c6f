//! What names mean: the declaration of each, in the open buffers and in the files that the subject imports.

use std::collections::HashSet;
use std::sync::PoisonError;

use super::piece::{Piece, Section, numbered};
use super::reach::{are_kin, language};
use super::region::{Look, may_mean};
use super::{Gather, imports};
use crate::paths::WsPath;
use crate::syntax::{Kind, Outline, Symbol};
use crate::text::Text;

/// Open documents looked at.
const OPEN: usize = 24;
/// Imported files looked at.
const IMPORTED: usize = 16;
/// Lines of a declaration that are shown whole.
const WHOLE: usize = 24;
/// Lines of a longer one.
const HEAD: usize = 14;
/// Members shown of a type.
const MEMBERS: usize = 30;

/// Tells what a file declares of the names at the place. `source` says where the file was found, the nearest first.
pub(super) fn tell(gather: &Gather, look: &Look, path: &WsPath, text: &Text, outline: &Outline, source: u8) {
    let own = source == 0;
    for wanted in &look.names {
        let meant = outline.symbols.iter().find(|symbol| {
            is_named(symbol, &wanted.name.text)
                && may_mean(wanted.name.used, symbol.kind)
                && !(own && (symbol.bytes.contains(&wanted.name.at) || gather.is_shown(text, &symbol.lines)))
        });
        let Some(symbol) = meant else { continue };
        let (chosen, used, at) = wanted.rank;
        let heading = format!("{path}:{}-{} `{}`", symbol.lines.start + 1, symbol.lines.end, symbol.name);
        let rank = (chosen * 3 + used, source, at);
        gather.put(Piece::new(Section::Definitions, rank, &heading, &shown(text, outline, symbol)));
    }
}

/// Whether a declaration has this name, with or without what it belongs to.
pub(super) fn is_named(symbol: &Symbol, name: &str) -> bool {
    symbol.name == name || symbol.name.rsplit(['.', ':']).next() == Some(name)
}

fn shown(text: &Text, outline: &Outline, symbol: &Symbol) -> String {
    if symbol.lines.len() <= WHOLE {
        return numbered(text, symbol.lines.clone());
    }
    let members: Vec<&Symbol> = outline
        .symbols
        .iter()
        .filter(|other| other.depth == symbol.depth + 1 && symbol.bytes.contains(&other.bytes.start))
        .collect();
    let is_type = !matches!(symbol.kind, Kind::Function | Kind::Method | Kind::Macro);
    let mut out = if is_type && !members.is_empty() {
        let first = numbered(text, symbol.lines.start..symbol.lines.start + 1);
        members.iter().take(MEMBERS).fold(first, |mut out, member| {
            out.push_str(&numbered(text, member.lines.start..member.lines.start + 1));
            out
        })
    } else {
        numbered(text, symbol.lines.start..symbol.lines.start + HEAD)
    };
    out.push_str("[not all of it is shown]\n");
    out
}

impl Gather {
    /// Looks for names in the editor's other buffers.
    pub(super) fn define_from_open(&self, look: &Look) {
        for document in self.others.iter().take(OPEN) {
            let Some(path) = self.other(document.path.as_ref()) else { continue };
            if !self.reach.allows(path) || !document.synced {
                continue;
            }
            self.define_from(look, path, &document.text, 1);
            if self.stopped() {
                return;
            }
        }
    }

    /// Looks for names in the files that the subject imports.
    pub(super) fn define_from_imports(&self, look: &Look) {
        let subject = &self.place.subject;
        let mut seen = HashSet::new();
        for candidates in imports::of(&subject.path, &subject.text, look) {
            if self.stopped() || seen.len() >= IMPORTED {
                return;
            }
            let found = candidates.iter().find_map(|path| self.reach.read(&self.workspace, path));
            let Some((path, text)) = found else { continue };
            if self.other(Some(&path)).is_some() && seen.insert(path.clone()) {
                self.define_from(look, &path, &text, 2);
            }
        }
    }

    /// A path that is not the subject's.
    fn other<'a>(&self, path: Option<&'a WsPath>) -> Option<&'a WsPath> {
        path.filter(|path| **path != self.place.subject.path)
    }

    /// Looks for names in one file.
    pub(super) fn define_from(&self, look: &Look, path: &WsPath, text: &Text, source: u8) {
        // Two names of one file, by a link, or opened twice.
        if text.same(&self.place.subject.text) {
            return;
        }
        let Some(language) = language(path, text).filter(|language| are_kin(*language, look.language)) else { return };
        let Ok(outline) = self.outlines.of(text, language, &mut || self.stopped()) else { return };
        tell(self, look, path, text, &outline, source);
    }

    /// Names at the place that nobody has explained so far, and that are worth a search.
    pub(super) fn unknown<'a>(&self, look: &'a Look) -> Vec<&'a super::region::Wanted> {
        let basket = self.basket.lock().unwrap_or_else(PoisonError::into_inner);
        let told: HashSet<(u8, usize)> = basket
            .iter()
            .filter(|piece| piece.section == Section::Definitions)
            .map(|piece| (piece.rank.0, piece.rank.2))
            .collect();
        let known = |wanted: &super::region::Wanted| {
            let (chosen, used, at) = wanted.rank;
            told.contains(&(chosen * 3 + used, at))
                || look.outline.symbols.iter().any(|symbol| is_named(symbol, &wanted.name.text))
        };
        look.names.iter().filter(|wanted| wanted.rank.1 < 2 && !known(wanted)).collect()
    }
}
