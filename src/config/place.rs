//! Where a setting comes from and what is wrong with it, for messages, diagnostics and `config show`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

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
}

impl Problem {
    /// A problem of a whole layer, without a place in its text.
    pub(super) fn whole(severity: Severity, origin: Origin, key: &str, message: String) -> Self {
        Self { severity, end_line: 0, end_column: 0, origin, key: key.to_owned(), message, suggestion: None }
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

/// The origin of every dotted key that some layer set.
#[derive(Clone, Debug, Default)]
pub(super) struct Origins(pub(super) BTreeMap<String, Origin>);

impl Origins {
    pub(super) fn set(&mut self, section: &str, key: &str, origin: &Origin) {
        let key = if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") };
        self.0.insert(key, origin.clone());
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

    fn position(&self, byte: usize) -> (u32, u32) {
        if self.lines.is_empty() {
            return (0, 0);
        }
        let byte = byte.min(self.text.len());
        let line = self.lines.partition_point(|start| *start <= byte).saturating_sub(1);
        let before = &self.text.as_bytes()[self.lines[line]..byte];
        let column = if before.len() > MAX_COUNTED {
            before.len()
        } else {
            // Bytes that continue a character are not counted.
            before.iter().filter(|byte| **byte & 0xC0 != 0x80).count()
        };
        (u32::try_from(line + 1).unwrap_or(u32::MAX), u32::try_from(column + 1).unwrap_or(u32::MAX))
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
        let origin = self.origin(span);
        Problem { severity, origin, end_line, end_column, key: key.to_owned(), message, suggestion: None }
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
