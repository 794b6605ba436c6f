//! What is around the place: what the editor says is wrong there and in the other buffers, and what the user changed
//! lately in them.

use std::fmt::Write as _;

use super::Gather;
use super::piece::{Piece, Section, numbered};
use super::reach::{are_kin, language};
use crate::paths::WsPath;
use crate::text::{Text, diff};
use crate::tools::command::show::visible;
use crate::tools::diagnostics::{Diagnostic, Severity};
use crate::workspace::Document;

/// Other buffers that are told of.
const NEIGHBOURS: usize = 6;
/// Bytes of the diff of one.
const DIFF: usize = 1_500;
/// Largest text that is compared, in bytes.
const COMPARED: usize = 1 << 20;
/// Declarations shown of one.
const SYMBOLS: usize = 14;
/// Diagnostics told of one file.
const PROBLEMS: usize = 12;
/// Characters of the message of one.
const MESSAGE: usize = 240;

impl Gather {
    /// Tells the diagnostics, and the buffers that the user changed last.
    pub(super) fn look_around(&self) {
        let subject = &self.place.subject;
        self.tell_problems(&subject.path, &self.diagnostics.of(&subject.path.uri()), 0);
        let own = language(&subject.path, &subject.text);
        let mut told = 0;
        for (nth, document) in self.others.iter().enumerate() {
            if told == NEIGHBOURS || self.stopped() {
                return;
            }
            let Some(path) = document.path.as_ref().filter(|path| **path != subject.path) else { continue };
            if !document.synced || document.text.same(&subject.text) || !self.reach.allows(path) {
                continue;
            }
            told += 1;
            self.tell_problems(path, &self.diagnostics.of(&document.uri), nth + 1);
            if self.tell_change(path, document, nth) {
                continue;
            }
            let theirs = language(path, &document.text);
            if let (Some(own), Some(theirs)) = (own, theirs)
                && are_kin(own, theirs)
            {
                self.tell_outline(path, document, theirs, nth);
            }
        }
    }

    /// What the user changed and has not saved.
    fn tell_change(&self, path: &WsPath, document: &Document, nth: usize) -> bool {
        if document.revision.0 == 0 || document.text.len() > COMPARED {
            return false;
        }
        let Ok(file) = self.workspace.disk().read(path) else { return false };
        let before = Text::from(&*file.text);
        let diff = diff::unified(&before, &document.text, &path.to_string(), 1, DIFF);
        if diff.is_empty() {
            return false;
        }
        let heading = format!("{path}: changed by the user and not saved yet");
        self.put(Piece::new(Section::Neighbours, (0, 0, nth), &heading, &diff));
        true
    }

    fn tell_outline(&self, path: &WsPath, document: &Document, language: crate::syntax::Language, nth: usize) {
        let Ok(outline) = self.outlines.of(&document.text, language, &mut || self.stopped()) else { return };
        let shallow = outline.symbols.iter().filter(|symbol| symbol.depth < 2);
        let mut shown = String::new();
        for symbol in shallow.clone().take(SYMBOLS) {
            shown.push_str(&numbered(&document.text, symbol.lines.start..symbol.lines.start + 1));
        }
        if shown.is_empty() {
            return;
        }
        if let more @ 1.. = shallow.count().saturating_sub(SYMBOLS) {
            // Writing to a string cannot fail.
            let _ = writeln!(shown, "[and {more} more; outline shows them]");
        }
        let lately = document.revision.0 > 0;
        let what = if lately { "changed lately; it declares" } else { "open in the editor; it declares" };
        self.put(Piece::new(Section::Neighbours, (1, u8::from(!lately), nth), &format!("{path}: {what}"), &shown));
    }

    fn tell_problems(&self, path: &WsPath, items: &[Diagnostic], nth: usize) {
        let mut items: Vec<&Diagnostic> = items
            .iter()
            .filter(|item| nth == 0 || item.severity <= Severity::Warning)
            .filter(|item| nth > 0 || !self.place.named.contains(&item.message))
            .collect();
        items.sort_by_key(|item| (item.severity, item.range.start));
        if items.is_empty() {
            return;
        }
        let mut shown = String::new();
        for item in items.iter().take(PROBLEMS) {
            let code = item.code.as_deref().map(|code| format!("[{}]", visible(code))).unwrap_or_default();
            let message: String = visible(&item.message).chars().take(MESSAGE).collect();
            let _ = writeln!(shown, "{}\t{}{code}: {message}", item.range.start.line + 1, item.severity);
        }
        if items.len() > PROBLEMS {
            let _ = writeln!(shown, "[and {} more; diagnostics shows them]", items.len() - PROBLEMS);
        }
        let heading = format!("{path}: as the editor last reported, by line");
        self.put(Piece::new(Section::Diagnostics, (u8::from(nth > 0), 0, nth), &heading, &shown));
    }
}
