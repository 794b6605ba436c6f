//! One tree for TOML and JSON, with byte places where there is a text, so that one reader serves every layer.

use std::ops::Range;

use serde_json::Value as Json;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::place::{Problem, Severity, Source};

/// Tables and arrays in each other, at most. The parser of TOML has a limit of its own (80).
const MAX_DEPTH: usize = 32;
/// Above this size a broken file is told by its first error only: a megabyte can hold half a million of them.
const MAX_RECOVERED: usize = 64 * 1024;

#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) span: Range<usize>,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    /// JSON's null: the same as absent.
    Null,
    String(String),
    Integer(i64),
    Float(f64),
    Bool(bool),
    Array(Vec<Node>),
    Table(Vec<(Name, Node)>),
    /// Something no key takes; the words name it.
    Other(&'static str),
}

/// A key with its place.
#[derive(Clone, Debug)]
pub(super) struct Name {
    pub(super) text: String,
    pub(super) span: Range<usize>,
}

impl Node {
    pub(super) fn kind(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing",
            Value::String(_) => "a string",
            Value::Integer(_) => "an integer",
            Value::Float(_) => "a number",
            Value::Bool(_) => "true or false",
            Value::Array(_) => "a list",
            Value::Table(_) => "a table",
            Value::Other(kind) => kind,
        }
    }

    /// A tree of one value under a dotted key, for layers that are a single setting.
    pub(super) fn at_key(key: &str, value: Value) -> Self {
        key.rsplit('.').fold(Self { value, span: 0..0 }, |node, part| Self {
            value: Value::Table(vec![(Name { text: part.to_owned(), span: 0..0 }, node)]),
            span: 0..0,
        })
    }

    /// The settings of an editor. The tree is shallow by `MAX_DEPTH`, deeper parts count as wrong values.
    pub(super) fn of_json(json: &Json) -> Self {
        Self { value: json_value(json, 0), span: 0..0 }
    }

    /// The tree of a TOML text, or every reason why it is none.
    pub(super) fn of_toml(source: &Source<'_>, text: &str) -> Result<Self, Vec<Problem>> {
        let mut table = match DeTable::parse(text) {
            Ok(table) => table,
            Err(first) => {
                let errors = if text.len() > MAX_RECOVERED { vec![first] } else { DeTable::parse_recoverable(text).1 };
                return Err(errors.iter().map(|error| syntax_problem(source, error)).collect());
            }
        };
        Ok(Self { span: table.span(), value: toml_table(table.get_mut(), 0) })
    }
}

fn syntax_problem(source: &Source<'_>, error: &toml::de::Error) -> Problem {
    let span = error.span().unwrap_or(0..0);
    source.problem(Severity::Error, &span, "", format!("not valid TOML: {}", error.message()))
}

fn toml_table(table: &mut DeTable<'_>, depth: usize) -> Value {
    if depth > MAX_DEPTH {
        return Value::Other("a table nested too deeply");
    }
    let mut entries: Vec<(Name, Node)> = std::mem::take(table)
        .into_iter()
        .map(|(key, value)| {
            let name = Name { span: key.span(), text: key.into_inner().into_owned() };
            (name, toml_node(value, depth + 1))
        })
        .collect();
    // In the order of the file, so that problems are told in that order.
    entries.sort_by_key(|(name, _)| name.span.start);
    Value::Table(entries)
}

fn toml_node(value: Spanned<DeValue<'_>>, depth: usize) -> Node {
    let span = value.span();
    let value = match value.into_inner() {
        DeValue::String(text) => Value::String(text.into_owned()),
        DeValue::Boolean(yes) => Value::Bool(yes),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Value::Integer(number),
            Err(_) if number.as_str().is_empty() => Value::Other("an integer without digits"),
            Err(_) => Value::Other("an integer beyond 64 bits"),
        },
        DeValue::Float(number) => {
            number.as_str().parse().map_or(Value::Other("a number that cannot be read"), Value::Float)
        }
        DeValue::Datetime(_) => Value::Other("a date"),
        DeValue::Array(_) if depth > MAX_DEPTH => Value::Other("a list nested too deeply"),
        DeValue::Array(items) => Value::Array(items.into_iter().map(|item| toml_node(item, depth + 1)).collect()),
        DeValue::Table(mut table) => toml_table(&mut table, depth),
    };
    Node { value, span }
}

fn json_value(json: &Json, depth: usize) -> Value {
    let node = |json| Node { value: json_value(json, depth + 1), span: 0..0 };
    match json {
        Json::Null => Value::Null,
        Json::Bool(yes) => Value::Bool(*yes),
        Json::String(text) => Value::String(text.clone()),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => Value::Integer(integer),
            (None, Some(float)) if number.is_f64() => Value::Float(float),
            _ => Value::Other("an integer beyond 64 bits"),
        },
        Json::Array(_) if depth > MAX_DEPTH => Value::Other("a list nested too deeply"),
        Json::Object(_) if depth > MAX_DEPTH => Value::Other("a table nested too deeply"),
        Json::Array(items) => Value::Array(items.iter().map(node).collect()),
        Json::Object(map) => {
            Value::Table(map.iter().map(|(key, value)| (Name { text: key.clone(), span: 0..0 }, node(value))).collect())
        }
    }
}

/// The JSON of a tree, for settings that are passed on as they stand; the place and kind of what JSON has no word for.
pub(super) fn to_json(node: &Node) -> Result<Json, &Node> {
    Ok(match &node.value {
        Value::Null => Json::Null,
        Value::String(text) => Json::from(text.as_str()),
        Value::Integer(number) => Json::from(*number),
        Value::Float(number) => serde_json::Number::from_f64(*number).map(Json::Number).ok_or(node)?,
        Value::Bool(yes) => Json::from(*yes),
        Value::Array(items) => Json::Array(items.iter().map(to_json).collect::<Result<_, _>>()?),
        Value::Table(entries) => Json::Object(
            entries.iter().map(|(name, node)| Ok((name.text.clone(), to_json(node)?))).collect::<Result<_, &Node>>()?,
        ),
        Value::Other(_) => return Err(node),
    })
}
