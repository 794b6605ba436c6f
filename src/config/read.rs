//! Reading a tree of settings into typed layers, reporting everything wrong at once.
//!
//! A [`Table`] remembers which keys were asked of it, so the set of valid keys is the code that reads them; what is left
//! over is reported with the nearest valid key. What each key takes is said by the small readers of `values`.

use std::ops::Range;

use super::keys;
use super::node::{Name, Node, Value};
use super::place::{At, Layer, Origin, Problem, Severity, Source, dotted};

/// Problems told for one layer; a file of a megabyte can hold a hundred thousand.
const MAX_PROBLEMS: usize = 100;

/// How a problem may go away.
struct Mend {
    suggestion: Option<String>,
    replacement: Option<String>,
}

/// A word that is none of those there are.
pub(super) struct Unknown<'w> {
    /// What is wrong with it.
    pub(super) message: String,
    /// The word as it is written.
    pub(super) word: &'w str,
    /// The nearest that there is, if one is near.
    pub(super) near: Option<&'w str>,
    /// What to say where none is.
    pub(super) others: String,
}

impl<'w> Unknown<'w> {
    /// Something that is no name of a `what`.
    pub(super) fn name(what: &str, word: &'w str, known: &[&'w str]) -> Self {
        Self {
            message: format!("no {what} is named `{}`", shown(word)),
            word,
            near: keys::nearest_word(word, known.iter().copied()),
            others: format!(
                "there are {}",
                known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
            ),
        }
    }
}

/// Collects the problems of one layer while it is read.
pub(super) struct Reader<'s> {
    source: &'s Source<'s>,
    problems: Vec<Problem>,
    dropped: usize,
}

impl<'s> Reader<'s> {
    pub(super) fn new(source: &'s Source<'s>) -> Self {
        Self { source, problems: Vec::new(), dropped: 0 }
    }

    pub(super) fn layer(&self) -> Layer {
        self.source.layer
    }

    pub(super) fn origin(&self, node: &Node) -> Origin {
        self.source.origin(&node.span)
    }

    pub(super) fn origin_of(&self, span: &Range<usize>) -> Origin {
        self.source.origin(span)
    }

    pub(super) fn error(&mut self, key: &str, span: &Range<usize>, message: String) {
        self.report(Severity::Error, key, span, message, None);
    }

    /// An error that goes away with another text in its place.
    pub(super) fn mendable(&mut self, key: &str, span: &Range<usize>, message: String, replacement: String) {
        let mend = Mend { suggestion: None, replacement: Some(replacement) };
        self.report(Severity::Error, key, span, message, Some(mend));
    }

    /// A word that is none of those there are, with the nearest of them. The word may be only a part of the value.
    pub(super) fn unknown_word(&mut self, severity: Severity, key: &str, node: &Node, unknown: &Unknown<'_>) {
        let Unknown { message, word, near, others } = unknown;
        // A value that is written with escapes has no place for a part of it.
        let whole = matches!(&node.value, Value::String(text) if text == word);
        let part = if whole { None } else { self.source.find(&node.span, word) };
        let (message, replacement) = match near {
            Some(near) => {
                let replacement = match (whole, &part) {
                    (true, _) => Some(format!("\"{near}\"")),
                    (false, part) => part.as_ref().map(|_| (*near).to_owned()),
                };
                (format!("{message}; did you mean `{near}`?"), replacement)
            }
            None => (format!("{message}; {others}"), None),
        };
        let mend = replacement.map(|replacement| Mend { suggestion: None, replacement: Some(replacement) });
        self.report(severity, key, &part.unwrap_or_else(|| node.span.clone()), message, mend);
    }

    pub(super) fn warning(&mut self, key: &str, span: &Range<usize>, message: String) {
        self.report(Severity::Warning, key, span, message, None);
    }

    fn report(&mut self, severity: Severity, key: &str, span: &Range<usize>, message: String, mend: Option<Mend>) {
        if self.problems.len() >= MAX_PROBLEMS {
            self.dropped += 1;
            return;
        }
        let message = match (&self.source.file, self.source.name) {
            // Without a file the place says nothing of the key, so the message does.
            (None, None) if !key.is_empty() => format!("`{}`: {message}", shown(key)),
            _ => message,
        };
        let mut problem = self.source.problem(severity, span, key, message);
        if let Some(mend) = mend {
            (problem.suggestion, problem.replacement) = (mend.suggestion, mend.replacement);
        }
        self.problems.push(problem);
    }

    /// Says that a value is not what its key takes.
    pub(super) fn wrong(&mut self, key: &str, node: &Node, wanted: &str) {
        let last = key.rsplit_once('.').map_or(key, |(_, last)| last);
        let message = format!("`{}` must be {wanted}, not {}", shown(last), described(node));
        self.error(key, &node.span, message);
    }

    /// The problems, in the order of the text.
    pub(super) fn finish(mut self) -> Vec<Problem> {
        self.problems.sort_by_key(|problem| (problem.origin.line, problem.origin.column));
        // Where the last one is, so that it stays the last.
        if let Some(last) = self.problems.last().filter(|_| self.dropped > 0) {
            let message = format!("and {} more problems; mend the first ones and look again", self.dropped);
            let place = (last.origin.clone(), last.end_line, last.end_column, last.spots);
            let mut more = Problem::whole(Severity::Error, place.0, "", message);
            (more.end_line, more.end_column, more.spots) = (place.1, place.2, place.3);
            self.problems.push(more);
        }
        self.problems
    }

    /// Reads a node that must be a table.
    pub(super) fn table<'n, T>(
        &mut self,
        path: &str,
        node: &'n Node,
        read: impl FnOnce(&mut Table<'_, 's, 'n>) -> T,
    ) -> Option<T> {
        let Value::Table(entries) = &node.value else {
            self.wrong(path, node, "a table");
            return None;
        };
        let mut table = Table { reader: self, path: path.to_owned(), entries, known: Vec::new(), skipped: false };
        let value = read(&mut table);
        table.finish();
        Some(value)
    }
}

/// One table while it is read.
pub(super) struct Table<'r, 's, 'n> {
    pub(super) reader: &'r mut Reader<'s>,
    pub(super) path: String,
    entries: &'n [(Name, Node)],
    known: Vec<&'static str>,
    skipped: bool,
}

impl<'s, 'n> Table<'_, 's, 'n> {
    pub(super) fn path_of(&self, key: &str) -> String {
        dotted(&self.path, key)
    }

    /// The value of a key, if it is there.
    pub(super) fn get(&mut self, key: &'static str) -> Option<&'n Node> {
        if cfg!(debug_assertions) {
            let path = self.path_of(key);
            // Free names may hold dots, which a dotted key cannot tell apart.
            let free = ["models.", "providers."].iter().any(|table| path.starts_with(table));
            assert!(free || keys::is_key(&path), "`{path}` is missing in the list of keys");
        }
        self.known.push(key);
        let found = self.entries.iter().find(|(name, _)| name.text == key);
        found.map(|(_, node)| node).filter(|node| !matches!(node.value, Value::Null))
    }

    /// The value of a key, read and with its place; `None` if absent or wrong (which is reported).
    pub(super) fn take<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Reader<'s>, &str, &'n Node) -> Option<T>,
    ) -> Option<At<T>> {
        let node = self.get(key)?;
        let path = self.path_of(key);
        let value = read(self.reader, &path, node)?;
        Some(At { value, origin: self.reader.origin(node) })
    }

    /// A table under a key; the default of its layer if absent or not a table.
    pub(super) fn section<T: Default>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Table<'_, 's, 'n>) -> T,
    ) -> T {
        let Some(node) = self.get(key) else { return T::default() };
        let path = self.path_of(key);
        self.reader.table(&path, node, read).unwrap_or_default()
    }

    /// A table of tables with free names, at most `max` of them.
    pub(super) fn named<T>(
        &mut self,
        key: &'static str,
        max: usize,
        mut read: impl FnMut(&'n Name, &mut Table<'_, 's, 'n>) -> T,
    ) -> Vec<(&'n Name, T)> {
        let Some(node) = self.get(key) else { return Vec::new() };
        let path = self.path_of(key);
        let Value::Table(entries) = &node.value else {
            self.reader.wrong(&path, node, "a table");
            return Vec::new();
        };
        if entries.len() > max {
            self.reader.error(&path, &node.span, format!("`{key}` has {} entries; {max} are allowed", entries.len()));
        }
        let present = entries.iter().take(max).filter(|(_, node)| !matches!(node.value, Value::Null));
        present
            .filter_map(|(name, node)| {
                let path = format!("{path}.{}", name.text);
                Some((name, self.reader.table(&path, node, |table| read(name, table))?))
            })
            .collect()
    }

    /// A list of tables, at most `max` of them, those kept for which `read` gives something.
    pub(super) fn list<T>(
        &mut self,
        key: &'static str,
        max: usize,
        mut read: impl FnMut(&'n Node, &mut Table<'_, 's, 'n>) -> Option<T>,
    ) -> Vec<T> {
        let Some(node) = self.get(key) else { return Vec::new() };
        let path = self.path_of(key);
        let Value::Array(items) = &node.value else {
            self.reader.wrong(&path, node, "a list of tables");
            return Vec::new();
        };
        if items.len() > max {
            self.reader.error(&path, &node.span, format!("`{key}` has {} entries; {max} are allowed", items.len()));
        }
        let path = format!("{path}[]");
        items
            .iter()
            .take(max)
            .filter_map(|item| self.reader.table(&path, item, |table| read(item, table)).flatten())
            .collect()
    }

    /// Leaves the rest of the table unread without a word: its name was the problem.
    pub(super) fn skip(&mut self) {
        self.skipped = true;
    }

    /// Reports what nobody asked for.
    fn finish(self) {
        if self.skipped {
            return;
        }
        for (name, node) in self.entries {
            if self.known.contains(&name.text.as_str()) || matches!(node.value, Value::Null) {
                continue;
            }
            if self.reader.problems.len() >= MAX_PROBLEMS {
                // Only counted: the nearest key takes longer to find than all the rest.
                self.reader.dropped += 1;
                continue;
            }
            let path = self.path_of(&name.text);
            if self.reader.layer() == Layer::Project && keys::is_key(&path) {
                forbidden(self.reader, &path, name, node);
                continue;
            }
            let near = keys::nearest(&name.text, &self.path, &self.known);
            let hint = match &near {
                Some(key) => format!("; did you mean `{key}`?"),
                None if self.known.len() <= 12 => format!("; valid here: {}", self.known.join(", ")),
                None => String::new(),
            };
            let place = if self.path.is_empty() { String::new() } else { format!(" in `{}`", shown(&self.path)) };
            let message = format!("unknown key `{}`{place}{hint}", shown(&name.text));
            // An editor's section also holds what its own extension reads: not a mistake of the user.
            let severity = match self.reader.layer() {
                Layer::ClientInit | Layer::ClientSettings => Severity::Warning,
                _ => Severity::Error,
            };
            // The name of another table's key fits only where names are dotted from the top.
            let fits = |near: &String| self.path.is_empty() || !near.contains('.');
            let mend = near.map(|near| Mend { replacement: Some(near.clone()).filter(fits), suggestion: Some(near) });
            self.reader.report(severity, &path, &name.span, message, mend);
        }
    }
}

/// Names every key below `node` that a project's file holds but must not.
fn forbidden(reader: &mut Reader<'_>, path: &str, name: &Name, node: &Node) {
    match &node.value {
        Value::Table(entries) if !entries.is_empty() => {
            for (inner, node) in entries {
                forbidden(reader, &format!("{path}.{}", inner.text), inner, node);
            }
        }
        _ => {
            let message =
                format!("`{}` is ignored here: a project file may not set it; put it in your own file", shown(path));
            reader.warning(path, &name.span, message);
        }
    }
}

/// A key or value as it may stand in a message: cut, without control characters.
pub(super) fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(80).flat_map(char::escape_debug).collect();
    if text.chars().nth(80).is_some() {
        shown.push('…');
    }
    shown
}

fn described(node: &Node) -> String {
    match &node.value {
        Value::String(text) => format!("\"{}\"", shown(text)),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Bool(yes) => yes.to_string(),
        _ => node.kind().to_owned(),
    }
}
