//! The place a run starts at: what it is inside of, and the names that are used there.

use std::ops::Range;
use std::sync::Arc;

use super::piece::{Piece, Section, numbered};
use super::reach;
use super::{Gather, definitions, outlines};
use crate::syntax::{self, Kind, Language, Name, Outline, Symbol, Use};
use crate::text::Text;

/// Names looked up.
const NAMES: usize = 60;
/// Names read before the best are chosen.
const READ: usize = 400;
/// Lines on each side of the prompt's that are told of a function.
const SIDE: usize = 40;
/// Lines of a declaration above which only what is near the place is searched for names.
const LARGE: usize = 300;

/// What was found at the place.
pub(super) struct Look {
    /// The language of the file.
    pub(super) language: Language,
    /// The names there, the most telling first.
    pub(super) names: Vec<Wanted>,
    /// What the file itself declares.
    pub(super) outline: Arc<Outline>,
}

/// A name to be looked up.
pub(super) struct Wanted {
    /// The name.
    pub(super) name: Name,
    /// Its place among them: what is selected comes first, and what is called before what is mentioned.
    pub(super) rank: (u8, u8, usize),
}

impl Gather {
    /// Reads the subject: tells what the place is in, and which names there the file itself explains.
    pub(super) fn look(&self) -> Option<Look> {
        let subject = &self.place.subject;
        let text = &subject.text;
        // The user has named it, and its prompt shows a part; more of a secret is not taken.
        if !self.reach.may_read(&subject.path) {
            return None;
        }
        let language = reach::language(&subject.path, text)?;
        let mut stop = || self.stopped();
        let parsed = self.parses.parse(&subject.path, text, language, &mut stop).ok()?;
        let outline = Arc::new(syntax::outline(&parsed, outlines::MAX, &mut stop));
        if self.stopped() {
            return None;
        }
        self.outlines.keep(text, language, &outline);
        let selected = subject.range.map(|range| text.offsets(range, subject.encoding));
        let around = selected.as_ref().map(|selected| {
            let around: Vec<&Symbol> = outline.symbols.iter().filter(|symbol| holds(symbol, selected)).collect();
            self.tell_region(&around, selected);
            around
        });
        let region = match (&selected, around.as_ref().and_then(|around| around.last())) {
            (Some(_), Some(inner)) if inner.lines.len() <= LARGE => inner.bytes.clone(),
            (Some(selected), _) => near(text, selected),
            (None, _) => 0..text.len(),
        };
        let region = match &selected {
            Some(selected) => region.start.min(selected.start)..region.end.max(selected.end),
            None => region,
        };
        let mut names: Vec<Wanted> = syntax::names(&parsed, region, READ, &mut stop)
            .into_iter()
            .map(|name| {
                let chosen = selected.as_ref().is_none_or(|bytes| bytes.is_empty() || bytes.contains(&name.at));
                Wanted { rank: (u8::from(!chosen), name.used as u8, name.at), name }
            })
            .collect();
        names.sort_by_key(|wanted| wanted.rank);
        names.truncate(NAMES);
        let look = Look { language, names, outline };
        definitions::tell(self, &look, &subject.path, text, &look.outline, 0);
        Some(look)
    }

    /// The declarations that hold the place, as far as the prompt does not show them.
    fn tell_region(&self, around: &[&Symbol], selected: &Range<usize>) {
        let subject = &self.place.subject;
        let (text, shown) = (&subject.text, &self.place.shown);
        let mut told = String::new();
        for symbol in around {
            if !shown.contains(&symbol.lines.start) {
                told.push_str(&numbered(text, symbol.lines.start..symbol.lines.start + 1));
            }
        }
        let Some(inner) = around.last() else { return };
        if matches!(inner.kind, Kind::Function | Kind::Method | Kind::Macro) {
            let at = text.line_at(selected.start);
            let shown = if shown.contains(&at) { shown.clone() } else { at..at };
            let before =
                (inner.lines.start + 1).max(shown.start.saturating_sub(SIDE))..shown.start.min(inner.lines.end);
            let after = shown.end.max(inner.lines.start)..inner.lines.end.min(shown.end + SIDE);
            if before.start > inner.lines.start + 1 && !before.is_empty() {
                told.push_str("[…]\n");
            }
            for lines in [before, after] {
                if !lines.is_empty() {
                    told.push_str(&numbered(text, lines));
                }
            }
        }
        if !told.is_empty() {
            let heading = format!(
                "{}:{}-{} around the place: `{}`",
                subject.path,
                inner.lines.start + 1,
                inner.lines.end,
                inner.name
            );
            self.put(Piece::new(Section::Enclosing, (0, 0, 0), &heading, &told));
        }
    }
}

fn holds(symbol: &Symbol, bytes: &Range<usize>) -> bool {
    symbol.bytes.start <= bytes.start && bytes.end <= symbol.bytes.end
}

/// The bytes of some lines on each side.
fn near(text: &Text, bytes: &Range<usize>) -> Range<usize> {
    let first = text.line_at(bytes.start).saturating_sub(SIDE);
    let last = (text.line_at(bytes.end) + SIDE).min(text.lines() - 1);
    text.line_start(first)..text.line_range(last).end
}

/// Whether a declaration may be what a name from another file means: a local name is often one of a variable.
pub(super) fn may_mean(used: Use, kind: Kind) -> bool {
    match kind {
        Kind::Implementation | Kind::Module => false,
        Kind::Variable | Kind::Method => used != Use::Mentioned,
        _ => true,
    }
}
