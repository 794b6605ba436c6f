//! Where a setting comes from and what is wrong with it, for messages, diagnostics and `config show`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use crate::text::{Encoding, Position, Range};

/// The layers, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    /// Built in.
    Default,
    /// A preset chosen by `profile`.
    Profile,
    /// The user's file.
    User,
    /// `ropeway.toml` at a workspace root.
    Project,
    /// `initializationOptions.settings`.
    ClientInit,
    /// `workspace/configuration`, section `ropeway`.
    ClientSettings,
    /// A variable.
    Environment,
    /// An option of the command line, or a choice made in the session.
    CommandLine,
}

impl Layer {
    /// The layer's name for people.
    pub fn label(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Profile => "profile",
            Self::User => "user file",
            Self::Project => "project file",
            Self::ClientInit => "editor's initializationOptions",
            Self::ClientSettings => "editor's settings",
            Self::Environment => "environment",
            Self::CommandLine => "command line",
        }
    }
}

/// Where one value was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The layer.
    pub layer: Layer,
    /// The file, where the layer is one.
    pub file: Option<Arc<Path>>,
    /// The variable, option or profile, where it is one.
    pub name: Option<&'static str>,
    /// From 1; 0 where there is no text.
    pub line: u32,
    /// From 1, in characters; 0 where there is no text.
    pub column: u32,
}

impl Origin {
    /// A place without a file.
    pub(super) fn of(layer: Layer, name: Option<&'static str>) -> Self {
        Self { layer, file: None, name, line: 0, column: 0 }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.file, self.name) {
            (Some(file), _) if self.line > 0 => write!(f, "{}:{}:{}", file.display(), self.line, self.column),
            (Some(file), _) => write!(f, "{}", file.display()),
            (None, Some(name)) => write!(f, "{} {name}", self.layer.label()),
            (None, None) => f.write_str(self.layer.label()),
        }
    }
}

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Ignored, the rest of the layer counts.
    Warning,
    /// The layer is wrong: its last good state stays in force.
    Error,
}

/// One thing wrong with one layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// How bad.
    pub severity: Severity,
    /// Where.
    pub origin: Origin,
    /// Line of the end, from 1 (0 where there is no text).
    pub end_line: u32,
    /// Column after the last character, from 1, in characters.
    pub end_column: u32,
    /// The dotted key, empty where the whole file is meant.
    pub key: String,
    /// What is wrong and what to do.
    pub message: String,
    /// A valid key to put in its place, where one is near.
    pub suggestion: Option<String>,
    /// The text to put over the place, where that would mend it.
    pub replacement: Option<String>,
    /// Start and end in the text, where there is one.
    pub(super) spots: Option<[Spot; 2]>,
}

/// A place in a text: line and columns from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    line: u32,
    bytes: u32,
    utf16: u32,
    characters: u32,
}

impl Spot {
    fn position(self, encoding: Encoding) -> Position {
        let character = match encoding {
            Encoding::Utf8 => self.bytes,
            Encoding::Utf16 => self.utf16,
            Encoding::Utf32 => self.characters,
        };
        Position { line: self.line, character }
    }
}

impl Problem {
    /// A problem of a whole layer, without a place in its text.
    pub(super) fn whole(severity: Severity, origin: Origin, key: &str, message: String) -> Self {
        Self {
            severity,
            end_line: 0,
            end_column: 0,
            origin,
            key: key.to_owned(),
            message,
            suggestion: None,
            replacement: None,
            spots: None,
        }
    }

    /// The stretch of the file's text that is wrong, as an editor counts; its first character where no more is known.
    pub fn range(&self, encoding: Encoding) -> Range {
        let (start, mut end) = match self.spots {
            Some([start, end]) => (start.position(encoding), end.position(encoding)),
            None => {
                let line = self.origin.line.saturating_sub(1);
                let start = Position { line, character: self.origin.column.saturating_sub(1) };
                (start, start)
            }
        };
        if end <= start {
            end = Position { line: start.line, character: start.character + 1 };
        }
        Range { start, end }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        write!(f, "{}: {severity}: {}", self.origin, self.message)
    }
}

/// A value with its place.
#[derive(Clone, Debug)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) origin: Origin,
}

/// The origins of every dotted key that some layer set: the one that counts first, then those that add to it.
#[derive(Clone, Debug, Default)]
pub(super) struct Origins(BTreeMap<String, Vec<Origin>>);

/// A key below a section, which may be the top. Made for each key of each file, so without the machinery of formats.
pub(super) fn dotted(section: &str, key: &str) -> String {
    if section.is_empty() { key.to_owned() } else { [section, ".", key].concat() }
}

impl Origins {
    /// A layer decides a key.
    pub(super) fn set(&mut self, section: &str, key: &str, origin: &Origin) {
        self.0.insert(dotted(section, key), vec![origin.clone()]);
    }

    /// A layer adds to what others say of a key.
    pub(super) fn add(&mut self, section: &str, key: &str, origin: &Origin) {
        let origins = self.0.entry(dotted(section, key)).or_default();
        if !origins.contains(origin) {
            origins.push(origin.clone());
        }
    }

    /// All that had a say about a dotted key.
    pub(super) fn all(&self, key: &str) -> &[Origin] {
        self.0.get(key).map_or(&[], Vec::as_slice)
    }

    /// The last that had a say about a dotted key.
    pub(super) fn last(&self, key: &str) -> Option<&Origin> {
        self.all(key).last()
    }
}

/// A text with its places: who it belongs to, and line and column of a byte.
#[derive(Debug)]
pub(super) struct Source<'s> {
    pub(super) layer: Layer,
    pub(super) file: Option<Arc<Path>>,
    pub(super) name: Option<&'static str>,
    text: &'s str,
    /// Byte offsets at which lines start.
    lines: Vec<usize>,
}

/// Beyond this many bytes into a line a column is counted in bytes: counting characters from the start of a line of a
/// megabyte for each of its keys would take minutes.
const MAX_COUNTED: usize = 10_000;

impl<'s> Source<'s> {
    pub(super) fn of_text(layer: Layer, file: Option<Arc<Path>>, text: &'s str) -> Self {
        let starts = memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| at + 1);
        Self { layer, file, name: None, text, lines: std::iter::once(0).chain(starts).collect() }
    }

    pub(super) fn without_text(layer: Layer, name: Option<&'static str>) -> Source<'static> {
        Source { layer, file: None, name, text: "", lines: Vec::new() }
    }

    fn spot(&self, byte: usize) -> Option<Spot> {
        if self.lines.is_empty() {
            return None;
        }
        let byte = byte.min(self.text.len());
        let line = self.lines.partition_point(|start| *start <= byte).saturating_sub(1);
        let before = &self.text.as_bytes()[self.lines[line]..byte];
        let (utf16, characters) = if before.len() > MAX_COUNTED {
            (before.len(), before.len())
        } else {
            // Bytes that continue a character are not counted; characters of four bytes are two units of UTF-16.
            let characters = before.iter().filter(|byte| **byte & 0xC0 != 0x80).count();
            (characters + before.iter().filter(|byte| **byte >= 0xF0).count(), characters)
        };
        let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX - 1);
        Some(Spot {
            line: number(line),
            bytes: number(before.len()),
            utf16: number(utf16),
            characters: number(characters),
        })
    }

    /// Line and column from 1; 0 without a text.
    fn position(&self, byte: usize) -> (u32, u32) {
        self.spot(byte).map_or((0, 0), |spot| (spot.line + 1, spot.characters + 1))
    }

    /// Where `words` stand within a stretch of the text, literally.
    pub(super) fn find(&self, span: &std::ops::Range<usize>, words: &str) -> Option<std::ops::Range<usize>> {
        let at = self.text.get(span.clone())?.find(words)? + span.start;
        Some(at..at + words.len())
    }

    pub(super) fn origin(&self, span: &std::ops::Range<usize>) -> Origin {
        let (line, column) = self.position(span.start);
        Origin { layer: self.layer, file: self.file.clone(), name: self.name, line, column }
    }

    pub(super) fn problem(
        &self,
        severity: Severity,
        span: &std::ops::Range<usize>,
        key: &str,
        message: String,
    ) -> Problem {
        let (end_line, end_column) = self.position(span.end.max(span.start));
        let spots = self.spot(span.start).zip(self.spot(span.end.max(span.start)));
        Problem {
            end_line,
            end_column,
            spots: spots.map(|(start, end)| [start, end]),
            ..Problem::whole(severity, self.origin(span), key, message)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_counts_characters_not_bytes() {
        let source = Source::of_text(Layer::User, None, "a = 1\né𝄞x = 2\n");
        assert_eq!(source.position(0), (1, 1));
        assert_eq!(source.position(6), (2, 1));
        assert_eq!(source.position(6 + 2 + 4), (2, 3));
        assert_eq!(source.position(9999), (3, 1));
    }

    #[test]
    fn an_origin_names_the_file_the_variable_or_the_layer() {
        let source = Source::of_text(Layer::User, Some(Path::new("/x/config.toml").into()), "a\nb");
        assert_eq!(source.origin(&(2..3)).to_string(), "/x/config.toml:2:1");
        assert_eq!(Origin::of(Layer::Environment, Some("ROPEWAY_MODEL")).to_string(), "environment ROPEWAY_MODEL");
        assert_eq!(Origin::of(Layer::Default, None).to_string(), "default");
    }
}
