//! What the lightbulb shows: which actions fit a place in a document.
//!
//! Editors ask at every cursor move, so this looks at a few lines around the cursor and at nothing else: no disk, no
//! model, no copy of the text.

use serde_json::{Value, json};

use super::action::{self, Action};
use crate::config::UserAction;
use crate::text::{Encoding, Range, Text};

/// What the editor asks about.
#[derive(Debug)]
pub struct Place<'a> {
    /// The document, as the client spells it.
    pub uri: &'a str,
    /// Its language.
    pub language: &'a str,
    /// Its text.
    pub text: &'a Text,
    /// The selection or the cursor.
    pub range: Range,
    /// What columns count.
    pub encoding: Encoding,
    /// Diagnostics the editor sent along, as they came.
    pub diagnostics: &'a [Value],
    /// Whether the file has diagnostics anywhere, as far as we know.
    pub file_has_diagnostics: bool,
    /// Kinds the editor asks for; empty: all.
    pub only: &'a [String],
    /// The client asks the user for an instruction where an action needs one.
    pub asks: bool,
}

/// One entry of the menu.
#[derive(Clone, Debug, PartialEq)]
pub struct Offer {
    /// What the menu shows.
    pub title: String,
    /// Its kind.
    pub kind: String,
    /// The diagnostic it fixes.
    pub diagnostic: Option<Value>,
    /// The argument of `ropeway.run`.
    pub argument: Value,
}

/// Entries at most: a request with a thousand diagnostics does not make a thousand entries.
const MAX_FIXES: usize = 20;
/// Characters of a diagnostic's message that fit a menu.
const TITLE_CHARS: usize = 60;
/// Lines of an unfinished body that are looked at.
const BODY_LINES: usize = 8;

/// The menu for a place, in order.
pub fn offers(place: &Place<'_>, custom: &[UserAction]) -> Vec<Offer> {
    let mut offers = Vec::new();
    let selected = place.range.start != place.range.end;
    let on_symbol = selected || on_word(place);
    for id in action::BUILTIN {
        let Some(action) = action::find(id, &[]) else { continue };
        let Some(kind) = action.kind.as_deref() else { continue };
        if !wanted(kind, place.only) || custom.iter().any(|own| own.id == **id) {
            continue;
        }
        let fits = match *id {
            "fix" => {
                for diagnostic in place.diagnostics.iter().take(MAX_FIXES) {
                    offers.push(fix(&action, place, diagnostic));
                }
                false
            }
            "fix-file" => place.file_has_diagnostics || !place.diagnostics.is_empty(),
            "edit" => selected && place.asks,
            "implement" => unfinished(place),
            "explain" | "review" => true,
            _ => on_symbol,
        };
        if fits {
            offers.push(offer(&action, place, None));
        }
    }
    for own in custom {
        let fits = own.languages.is_empty() || own.languages.iter().any(|language| language == place.language);
        if let Some(action) = action::find(&own.id, custom).filter(|_| fits)
            && action.kind.as_deref().is_some_and(|kind| wanted(kind, place.only))
        {
            offers.push(offer(&action, place, None));
        }
    }
    offers
}

fn offer(action: &Action, place: &Place<'_>, diagnostic: Option<&Value>) -> Offer {
    let mut argument = json!({ "action": &*action.id, "uri": place.uri, "range": place.range });
    if let Some(diagnostic) = diagnostic {
        argument["diagnostics"] = json!([diagnostic]);
    } else if &*action.id != "fix-file" && !place.diagnostics.is_empty() {
        argument["diagnostics"] = json!(&place.diagnostics[..place.diagnostics.len().min(MAX_FIXES)]);
    }
    Offer {
        title: format!("Ropeway: {}", action.title),
        kind: action.kind.as_deref().unwrap_or_default().to_owned(),
        diagnostic: diagnostic.cloned(),
        argument,
    }
}

fn fix(action: &Action, place: &Place<'_>, diagnostic: &Value) -> Offer {
    let message = diagnostic.get("message").and_then(Value::as_str).unwrap_or("this problem");
    let line = message.lines().next().unwrap_or_default().trim();
    let mut short: String = line.chars().take(TITLE_CHARS).collect();
    if short.len() < line.len() {
        short.push('…');
    }
    let mut offer = offer(action, place, Some(diagnostic));
    offer.title = format!("Ropeway: Fix “{short}”");
    offer
}

/// LSP: a kind asked for covers itself and what is below it.
pub fn wanted(kind: &str, only: &[String]) -> bool {
    only.is_empty()
        || only.iter().any(|only| {
            only.is_empty()
                || kind.strip_prefix(only.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
}

fn on_word(place: &Place<'_>) -> bool {
    let line = place.range.start.line as usize;
    let range = place.text.line_range(line);
    let at = place.text.offset(place.range.start, place.encoding).clamp(range.start, range.end);
    let near = place.text.slice(at.saturating_sub(4).max(range.start)..(at + 4).min(range.end));
    near.chars().any(|ch| ch.is_alphanumeric() || ch == '_')
}

/// Whether the place asks to be implemented: a TODO, an unfinished body, or a comment that begins `ropeway:`.
fn unfinished(place: &Place<'_>) -> bool {
    let first = place.range.start.line.min(place.range.end.line) as usize;
    let last = (place.range.start.line.max(place.range.end.line) as usize).min(first + 200);
    let lines: Vec<String> = (first..=last.max(first + BODY_LINES))
        .take_while(|line| *line < place.text.lines())
        .map(|line| {
            let range = place.text.line_range(line);
            place.text.slice(range.start..range.end.min(range.start + 400))
        })
        .collect();
    let inside = last - first + 1;
    if lines.iter().take(inside).any(|line| marked(line)) {
        return true;
    }
    lines.first().is_some_and(|line| opens_body(line)) && stub_body(&lines)
}

fn marked(line: &str) -> bool {
    let comment = ["//", "#", "--", "/*", "*", "<!--", ";", "%"]
        .iter()
        .filter_map(|opening| line.find(opening).map(|at| &line[at + opening.len()..]))
        .max_by_key(|rest| rest.len());
    let asks = comment.is_some_and(|rest| {
        let rest = rest.trim_start_matches(['/', '*', '#', '-', '!', ' ', '\t']);
        rest.to_ascii_lowercase().starts_with("ropeway:")
    });
    asks || has_word(line, "TODO") || has_word(line, "FIXME") || stub(line.trim())
}

fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !before.is_some_and(|ch| ch.is_alphanumeric() || ch == '_')
            && !after.is_some_and(|ch| ch.is_alphanumeric() || ch == '_')
    })
}

/// A statement that stands for code not written yet, in the languages people use most.
fn stub(line: &str) -> bool {
    let line = line.trim_end_matches([';', ' ', '}', ')']).trim_start_matches(['{', ' ']);
    [
        "todo!(",
        "unimplemented!(",
        "raise NotImplementedError",
        "throw new NotImplementedException",
        "panic(\"not implemented",
    ]
    .iter()
    .any(|stub| line.starts_with(stub))
        || (line.starts_with("throw new Error(") && line.to_ascii_lowercase().contains("not implemented"))
}

fn opens_body(line: &str) -> bool {
    let line = line.trim();
    let declares = ["fn ", "def ", "function", "func ", "=>", "void ", "public ", "private ", "static "]
        .iter()
        .any(|word| line.contains(word));
    declares && (line.ends_with('{') || line.ends_with(':') || line.ends_with("{}") || line.ends_with("end"))
}

/// Whether what follows the first line is nothing but blanks, brackets and stand-ins.
fn stub_body(lines: &[String]) -> bool {
    if lines[0].trim_end().ends_with("{}") {
        return true;
    }
    for line in &lines[1..] {
        let line = line.trim();
        match line {
            "" => {}
            "}" | "end" => return true,
            "pass" | "..." => return true,
            _ => return stub(line),
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Position;

    fn ids(text: &str, line: u32, character: u32, select: bool, diagnostics: &[Value], only: &[&str]) -> Vec<String> {
        let only: Vec<String> = only.iter().map(|kind| (*kind).to_owned()).collect();
        let start = Position { line, character };
        let end = if select { Position { line, character: character + 3 } } else { start };
        let place = Place {
            uri: "file:///a.rs",
            language: "rust",
            text: &Text::from(text),
            range: Range { start, end },
            encoding: Encoding::Utf16,
            diagnostics,
            file_has_diagnostics: false,
            only: &only,
            asks: true,
        };
        offers(&place, &[]).iter().map(|offer| offer.argument["action"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn one_fix_for_each_diagnostic_and_one_for_the_file() {
        let diagnostics = [json!({"message": "a\nmore"}), json!({"message": "b"})];
        let found = ids("let x = 1;\n", 0, 4, false, &diagnostics, &["quickfix"]);
        assert_eq!(found, ["fix", "fix"]);
        assert!(ids("x\n", 0, 0, false, &diagnostics, &[]).contains(&"fix-file".to_owned()));
        assert!(!ids("x\n", 0, 0, false, &[], &[]).contains(&"fix-file".to_owned()));
    }

    #[test]
    fn an_edit_needs_a_selection_and_a_refactoring_a_symbol() {
        let found = ids("\nfoo\n", 0, 0, false, &[], &[]);
        assert_eq!(found, ["explain", "review"]);
        assert!(!ids("foo\n", 0, 1, false, &[], &[]).contains(&"edit".to_owned()));
        let found = ids("foo\n", 0, 0, true, &[], &["refactor"]);
        assert_eq!(found, ["edit", "refactor", "simplify", "document", "test"]);
    }

    #[test]
    fn implement_is_offered_where_something_is_missing() {
        for text in [
            "// TODO: parse\n",
            "fn a() {}\n",
            "fn a() {\n    todo!()\n}\n",
            "def f(x):\n    pass\n",
            "def f(x):\n    raise NotImplementedError\n",
            "x = 1  # ropeway: make this configurable\n",
            "-- Ropeway: sort by name\n",
            "function f() {\n}\n",
        ] {
            assert!(ids(text, 0, 0, false, &[], &[]).contains(&"implement".to_owned()), "{text}");
        }
        for text in ["fn a() {\n    1\n}\n", "let todos = 1;\n", "let mastodon = TODOS;\n", "for x in y:\n    pass\n"] {
            assert!(!ids(text, 0, 0, false, &[], &[]).contains(&"implement".to_owned()), "{text}");
        }
    }

    #[test]
    fn nothing_is_offered_for_fix_all_on_save() {
        assert!(ids("foo\n", 0, 0, true, &[json!({"message": "m"})], &["source.fixAll"]).is_empty());
    }

    #[test]
    fn odd_positions_and_texts_do_no_harm() {
        for text in ["", "\r", "é\u{10ffff}", "\u{2028}\n{"] {
            for (line, character) in [(0, 0), (7, 9), (u32::MAX, u32::MAX - 3)] {
                ids(text, line, character, true, &[json!(null), json!({"message": 7})], &[]);
            }
        }
    }

    #[test]
    fn a_thousand_diagnostics_make_a_menu_of_bounded_length() {
        let diagnostics = vec![json!({"message": "m".repeat(10_000)}); 1_000];
        let found = ids("foo\n", 0, 0, true, &diagnostics, &["quickfix"]);
        assert_eq!(found.len(), MAX_FIXES);
    }
}
