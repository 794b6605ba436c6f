//! What one key takes: small readers such as `integer(1, 100)`, each of which says what was wanted where it finds
//! something else.

use serde_json::{Map, Value as Json};

use super::keys;
use super::node::{Node, Value, to_json};
use super::place::Severity;
use super::read::{Reader, Unknown, shown};

pub(super) fn boolean(reader: &mut Reader<'_>, key: &str, node: &Node) -> Option<bool> {
    if let Value::Bool(yes) = node.value {
        return Some(yes);
    }
    reader.wrong(key, node, "true or false");
    None
}

pub(super) fn integer<'n, T: TryFrom<i64>>(
    min: i64,
    max: i64,
) -> impl Fn(&mut Reader<'_>, &str, &'n Node) -> Option<T> {
    move |reader, key, node| {
        if let Value::Integer(number) = node.value
            && (min..=max).contains(&number)
            && let Ok(number) = T::try_from(number)
        {
            return Some(number);
        }
        reader.wrong(key, node, &format!("a whole number from {min} to {max}"));
        None
    }
}

pub(super) fn float<'n>(min: f64, max: f64) -> impl Fn(&mut Reader<'_>, &str, &'n Node) -> Option<f64> {
    move |reader, key, node| {
        let number = match node.value {
            Value::Float(number) => Some(number),
            // Exact far beyond every range used here.
            #[expect(clippy::cast_precision_loss, reason = "larger numbers are out of every range")]
            Value::Integer(number) => Some(number as f64),
            _ => None,
        };
        let good = number.filter(|number| (min..=max).contains(number));
        if good.is_none() {
            reader.wrong(key, node, &format!("a number from {min} to {max}"));
        }
        good
    }
}

/// Wraps a reader for a setting that is absent unless it is set.
pub(super) fn some<'s, 'n, T>(
    read: impl Fn(&mut Reader<'s>, &str, &'n Node) -> Option<T>,
) -> impl Fn(&mut Reader<'s>, &str, &'n Node) -> Option<Option<T>> {
    move |reader, key, node| read(reader, key, node).map(Some)
}

/// A string of at most `max` bytes without NUL.
pub(super) fn text<'n>(max: usize) -> impl Fn(&mut Reader<'_>, &str, &'n Node) -> Option<String> {
    move |reader, key, node| {
        let Value::String(text) = &node.value else {
            reader.wrong(key, node, "a string");
            return None;
        };
        if text.len() > max {
            reader.wrong(key, node, &format!("at most {max} bytes long"));
            return None;
        }
        if text.contains('\0') {
            reader.wrong(key, node, "free of NUL characters");
            return None;
        }
        Some(text.clone())
    }
}

/// At most `max_items` strings of at most `max` bytes, each with its place.
pub(super) fn texts<'n>(
    max_items: usize,
    max: usize,
) -> impl Fn(&mut Reader<'_>, &str, &'n Node) -> Option<Vec<(String, &'n Node)>> {
    move |reader, key, node| {
        let Value::Array(items) = &node.value else {
            reader.wrong(key, node, "a list of strings");
            return None;
        };
        if items.len() > max_items {
            let message = format!("`{key}` has {} entries; {max_items} are allowed", items.len());
            reader.error(key, &node.span, message);
            return None;
        }
        // Every bad entry is reported; the good ones count.
        let read = text(max);
        Some(items.iter().filter_map(|item| Some((read(reader, key, item)?, item))).collect())
    }
}

/// Like [`texts`], without the places.
pub(super) fn strings<'n>(
    max_items: usize,
    max: usize,
) -> impl Fn(&mut Reader<'_>, &str, &'n Node) -> Option<Vec<String>> {
    move |reader, key, node| {
        let items = texts(max_items, max)(reader, key, node)?;
        Some(items.into_iter().map(|(item, _)| item).collect())
    }
}

/// A list of names of which there are only a few. What is no such name is told, each at its place, and left out: the
/// others were meant, and a list that forbids had better forbid them.
pub(super) fn names<'n>(
    what: &'static str,
    known: &'static [&'static str],
) -> impl Fn(&mut Reader<'_>, &str, &'n Node) -> Option<Vec<String>> {
    move |reader, key, node| {
        let mut named = Vec::new();
        for (name, place) in texts(256, 128)(reader, key, node)? {
            if known.contains(&name.as_str()) {
                named.push(name);
            } else {
                reader.unknown_word(Severity::Warning, key, place, &Unknown::name(what, &name, known));
            }
        }
        Some(named)
    }
}

/// One of a few words.
pub(super) fn word<'n, T: Copy>(
    words: &'static [(&'static str, T)],
) -> impl Fn(&mut Reader<'_>, &str, &'n Node) -> Option<T> {
    move |reader, key, node| {
        if let Value::String(text) = &node.value {
            if let Some((_, value)) = words.iter().find(|(word, _)| word == text) {
                return Some(*value);
            }
            if let Some(near) = keys::nearest_word(text, words.iter().map(|(word, _)| *word)) {
                let message = format!("\"{}\" is not known; did you mean \"{near}\"?", shown(text));
                reader.mendable(key, &node.span, message, format!("\"{near}\""));
                return None;
            }
        }
        let all: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        reader.wrong(key, node, &format!("one of {}", all.join(", ")));
        None
    }
}

/// A free table, passed on as it stands.
pub(super) fn free_table(reader: &mut Reader<'_>, key: &str, node: &Node) -> Option<Map<String, Json>> {
    match to_json(node) {
        Ok(Json::Object(map)) => Some(map),
        Ok(_) => {
            reader.wrong(key, node, "a table");
            None
        }
        Err(inner) => {
            let message = format!("{} cannot be sent to a provider; write it as a string", inner.kind());
            reader.error(key, &inner.span, message);
            None
        }
    }
}
