//! The documents of the editor: opened, changed, saved, closed.
//!
//! This is the path of every keystroke, so the parameters are borrowed from the message and read by structs of our
//! own, which demand only what is needed: a client that sends a version as `null` or a column below zero must not lose
//! an edit over it. What cannot be read at all leaves the document unsynced, and the agent keeps its hands off it.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, Visitor};
use serde::{Deserialize, de};
use serde_json::json;

use super::super::session::{Session, Touch};
use crate::ids::DocVersion;
use crate::text::{Position, Range, Text};
use crate::workspace::{ContentChange, Sync};

const OPEN: &str = "textDocument/didOpen";
const CHANGE: &str = "textDocument/didChange";
const CLOSE: &str = "textDocument/didClose";
const SAVE: &str = "textDocument/didSave";

/// Longest part of a URI that a message to the user quotes, in characters.
const MAX_URI: usize = 300;

/// Whether a method is handled here.
pub fn is_sync(method: &str) -> bool {
    matches!(method, OPEN | CHANGE | CLOSE | SAVE)
}

/// Does what the message says. `mended` tells that its text was not Unicode as it came: the document is followed but
/// counts as unsynced, since saving our text of it would change what we cannot see.
///
/// An error means that the parameters cannot be read; nothing has happened then.
pub fn handle(session: &Session, method: &str, params: &str, mended: bool) -> Result<(), serde_json::Error> {
    let Some(client) = session.live() else {
        tracing::debug!(method, "ignored outside of a session");
        return Ok(());
    };
    let workspace = &session.workspace;
    let (uri, state) = match method {
        OPEN => {
            let Open { text_document: document } = serde_json::from_str(params)?;
            let language = document.language_id.unwrap_or_default();
            let state = workspace.open(&document.uri, &language, document.version.0, Text::from(&*document.text));
            (document.uri, state)
        }
        CHANGE => {
            let Change { text_document: document, content_changes } = serde_json::from_str(params)?;
            let changes: Vec<ContentChange<'_>> = content_changes
                .into_iter()
                .map(|change| ContentChange { range: change.range.map(Range::from), text: change.text })
                .collect();
            let encoding = client.capabilities.encoding;
            let state = workspace.change(&document.uri, document.version.0, &changes, encoding);
            (document.uri, state)
        }
        CLOSE => {
            let Named { text_document: document } = serde_json::from_str(params)?;
            workspace.close(&document.uri);
            touched(session, &document.uri, Touch::Closed);
            return Ok(());
        }
        _ => {
            let Named { text_document: document } = serde_json::from_str(params)?;
            workspace.saved(&document.uri);
            touched(session, &document.uri, Touch::Saved);
            return Ok(());
        }
    };
    tell(session, &uri, state);
    touched(session, &uri, if method == OPEN { Touch::Opened } else { Touch::Changed });
    if mended {
        lost(session, Some(&uri));
    }
    Ok(())
}

fn touched(session: &Session, uri: &str, touch: Touch) {
    if let Some(tell) = session.callbacks.document.get() {
        tell(uri, touch);
    }
}

/// A message about the document `uri` was lost or came damaged: our copy of it is wrong, if it is open.
pub fn lost(session: &Session, uri: Option<&str>) {
    match uri {
        Some(uri) => tell(session, uri, session.workspace.distrust(uri, "a message about it could not be read")),
        None => tracing::warn!("a change was lost and nobody knows of which document"),
    }
}

/// Tells the user, once for each opening, that a document cannot be edited for them.
fn tell(session: &Session, uri: &str, state: Sync) {
    if let Sync::Lost(why) = state {
        tracing::warn!(why, "a document is out of step with the editor");
        let uri: String = uri.chars().take(MAX_URI).collect();
        let message = format!("Ropeway will not edit {uri} until it is closed and opened again: {why}");
        session.outbound.notify_lossy(None, "window/logMessage", json!({"type": 2, "message": message}));
    }
}

/// The document that unreadable parameters are about, if even that can be told.
pub fn uri_of(params: &str) -> Option<String> {
    let Named { text_document } = serde_json::from_str(params).ok()?;
    Some(text_document.uri.into_owned())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Open<'a> {
    #[serde(borrow)]
    text_document: OpenDocument<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OpenDocument<'a> {
    #[serde(borrow)]
    uri: Cow<'a, str>,
    #[serde(borrow, default)]
    language_id: Option<Cow<'a, str>>,
    #[serde(default)]
    version: Version,
    #[serde(borrow)]
    text: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Change<'a> {
    #[serde(borrow)]
    text_document: Document<'a>,
    #[serde(borrow)]
    content_changes: Vec<OneChange<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Named<'a> {
    #[serde(borrow)]
    text_document: Document<'a>,
}

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    uri: Cow<'a, str>,
    #[serde(default)]
    version: Version,
}

#[derive(Deserialize)]
struct OneChange<'a> {
    #[serde(default)]
    range: Option<AnyRange>,
    #[serde(borrow)]
    text: Cow<'a, str>,
}

#[derive(Deserialize)]
struct AnyRange {
    start: AnyPosition,
    end: AnyPosition,
}

#[derive(Deserialize)]
struct AnyPosition {
    line: Clamped,
    character: Clamped,
}

impl From<AnyRange> for Range {
    fn from(range: AnyRange) -> Self {
        let position = |at: AnyPosition| Position { line: at.line.0, character: at.character.0 };
        Self { start: position(range.start), end: position(range.end) }
    }
}

/// A version, as far as it is one.
#[derive(Default)]
struct Version(Option<DocVersion>);

/// A number from 0, whatever was sent in its place.
struct Clamped(u32);

struct Number;

impl Visitor<'_> for Number {
    type Value = Option<i64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Some(number))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Some(i64::try_from(number).unwrap_or(i64::MAX)))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Some(number as i64))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = deserializer.deserialize_any(Number)?;
        Ok(Self(number.and_then(|number| i32::try_from(number).ok()).map(DocVersion)))
    }
}

impl<'de> Deserialize<'de> for Clamped {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserializer.deserialize_any(Number)? {
            Some(number) => Ok(Self(u32::try_from(number.max(0)).unwrap_or(u32::MAX))),
            None => Err(de::Error::custom("a position without a number")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(params: &str) -> Result<(Option<i32>, Option<Range>, String), serde_json::Error> {
        let mut change: Change<'_> = serde_json::from_str(params)?;
        let one = change.content_changes.remove(0);
        let version = change.text_document.version.0.map(|version| version.0);
        Ok((version, one.range.map(Range::from), one.text.into_owned()))
    }

    fn with_version(version: &str) -> Option<i32> {
        let params = format!(r#"{{"textDocument":{{"uri":"u"{version}}},"contentChanges":[{{"text":""}}]}}"#);
        change(&params).unwrap().0
    }

    #[test]
    fn a_version_may_be_missing_null_or_a_fraction() {
        assert_eq!(with_version(""), None);
        assert_eq!(with_version(r#","version":null"#), None);
        assert_eq!(with_version(r#","version":7"#), Some(7));
        assert_eq!(with_version(r#","version":-7"#), Some(-7));
        assert_eq!(with_version(r#","version":7.0"#), Some(7));
        assert_eq!(with_version(r#","version":99999999999"#), None);
    }

    #[test]
    fn positions_are_clamped_and_text_is_borrowed_or_unescaped() {
        let (_, range, text) = change(
            r#"{"textDocument":{"uri":"u","version":1},"contentChanges":[{"rangeLength":3,"text":"a\nb",
            "range":{"start":{"line":-1,"character":2.0},"end":{"line":99999999999,"character":4294967295}}}]}"#,
        )
        .unwrap();
        let range = range.unwrap();
        assert_eq!(range.start, Position { line: 0, character: 2 });
        assert_eq!(range.end, Position { line: u32::MAX, character: u32::MAX });
        assert_eq!(text, "a\nb");
    }

    #[test]
    fn what_cannot_be_read_is_an_error_that_still_names_the_document() {
        let params = r#"{"textDocument":{"uri":"u\/v","version":1},"contentChanges":[{"text":5}]}"#;
        assert!(change(params).is_err());
        assert_eq!(uri_of(params).as_deref(), Some("u/v"));
        assert_eq!(uri_of("null"), None);
    }
}
