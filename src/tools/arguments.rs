//! The arguments a model sends: the schema it is shown and the strict reading of what comes back.
//!
//! Both come from one type, so they cannot drift apart: its doc comments are what the model reads about each
//! argument. Whatever does not fit the type goes back to the model as a sentence that says what is wrong and what
//! the arguments are, because a model mends such a call in one step if it is told how.

use std::fmt::Write as _;
use std::sync::Arc;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::de::{self, DeserializeOwned, Visitor};
use serde_json::Value;
use serde_json::error::Category;
use serde_json::value::RawValue;

use super::tool::ToolError;
use crate::llm::types::ToolSpec;

/// Most bytes of arguments that are looked at: four times what the largest output limit of a model allows.
pub const MAX_ARGUMENTS: usize = 4 << 20;

/// Most bytes of a reader's message that are repeated: it may quote what the model sent.
const MAX_COMPLAINT: usize = 300;

/// Reads the arguments of a call of `spec`; nothing at all counts as `{}`. What is no JSON, is cut off, is too large,
/// has keys twice, unknown keys, missing keys or values of a wrong type is a [`ToolError::ForModel`].
pub fn parse<T: DeserializeOwned>(spec: &ToolSpec, arguments: &str) -> Result<T, ToolError> {
    let refuse = |what: String| ToolError::ForModel(format!("{what}. {}", usage(spec)));
    if arguments.len() > MAX_ARGUMENTS {
        return Err(refuse(format!(
            "{}: the arguments are {} bytes long, the limit is {MAX_ARGUMENTS}",
            spec.name,
            arguments.len()
        )));
    }
    let arguments = match arguments.trim() {
        "" => "{}",
        trimmed => trimmed,
    };
    if !arguments.starts_with('{') {
        return Err(refuse(format!("{}: the arguments must be one JSON object", spec.name)));
    }
    serde_json::from_str(arguments).map_err(|error| {
        refuse(match error.classify() {
            Category::Eof => format!(
                "{}: the arguments are cut off after {} bytes; send the whole call again",
                spec.name,
                arguments.len()
            ),
            Category::Syntax | Category::Io => format!("{}: the arguments are not JSON: {}", spec.name, brief(&error)),
            Category::Data => format!("{}: {}", spec.name, brief(&error)),
        })
    })
}

/// The spec of a tool whose arguments are `T`. The doc comment of `T` is the description of the tool.
///
/// Called once for each tool and process: the description lives as long as the process.
pub fn spec<T: DeserializeOwned + JsonSchema>(name: &'static str) -> ToolSpec {
    let generator = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let mut schema = generator.into_generator().into_root_schema_for::<T>().to_value();
    let description = match schema.as_object_mut().and_then(|object| object.remove("description")) {
        Some(Value::String(text)) => text.replace('\n', " "),
        _ => String::new(),
    };
    plain(&mut schema);
    let mut json = String::new();
    write(&schema, fields_of::<T>(), &mut json);
    let schema = RawValue::from_string(json).unwrap_or_else(|_| RawValue::NULL.to_owned());
    ToolSpec { name, description: Box::leak(description.into_boxed_str()), schema: Arc::from(schema) }
}

/// What `spec` takes, in one line.
pub fn usage(spec: &ToolSpec) -> String {
    let schema: Value = serde_json::from_str(spec.schema.get()).unwrap_or_default();
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let Some(properties) = schema["properties"].as_object().filter(|properties| !properties.is_empty()) else {
        return format!("{} takes no arguments", spec.name);
    };
    let mut names: Vec<&String> = properties.keys().collect();
    names.sort_by_key(|name| (!required.contains(&name.as_str()), name.as_str()));
    let mut line = format!("Arguments of {}: ", spec.name);
    for (index, name) in names.iter().enumerate() {
        let kind = properties[name.as_str()]["type"].as_str().unwrap_or("value");
        let separator = if index == 0 { "" } else { ", " };
        let required = if required.contains(&name.as_str()) { ", required" } else { "" };
        let _ = write!(line, "{separator}`{name}` ({kind}{required})");
    }
    line
}

/// The reader's message, cut: it may repeat a key or a value of any length.
fn brief(error: &serde_json::Error) -> String {
    let message = error.to_string();
    match message.char_indices().nth(MAX_COMPLAINT) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message,
    }
}

/// Takes out of a schema what only costs tokens or trips a provider: titles, number formats, null as a type of what
/// may be left out, line breaks of doc comments.
fn plain(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            for noise in ["$schema", "title", "format"] {
                if object.get(noise).is_some_and(Value::is_string) {
                    object.remove(noise);
                }
            }
            if object.get("default").is_some_and(Value::is_null) {
                object.remove("default");
            }
            if let Some(Value::Array(types)) = object.get_mut("type") {
                types.retain(|kind| kind != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    object.insert("type".to_owned(), only);
                }
                if let Some(Value::Array(variants)) = object.get_mut("enum") {
                    variants.retain(|variant| !variant.is_null());
                }
            }
            if let Some(Value::Array(mut choices)) = object.remove("anyOf") {
                choices.retain(|choice| choice["type"] != "null");
                match choices.pop() {
                    Some(Value::Object(only)) if choices.is_empty() => {
                        for (key, value) in only {
                            object.entry(key).or_insert(value);
                        }
                    }
                    last => {
                        choices.extend(last);
                        object.insert("anyOf".to_owned(), Value::Array(choices));
                    }
                }
            }
            if let Some(Value::String(text)) = object.get_mut("description") {
                *text = text.replace('\n', " ");
            }
            object.values_mut().for_each(plain);
        }
        Value::Array(items) => items.iter_mut().for_each(plain),
        _ => {}
    }
}

/// Writes a schema with the properties of its object in the order of `fields`, those of inner objects with the
/// required ones first: a model tends to write arguments in the order in which it was shown them, and the path
/// should come before the long text.
fn write(schema: &Value, fields: &[&str], json: &mut String) {
    match schema {
        Value::Object(object) => {
            json.push('{');
            for (index, (key, value)) in object.iter().enumerate() {
                if index > 0 {
                    json.push(',');
                }
                let _ = write!(json, "{}:", Value::from(key.as_str()));
                if let ("properties", Some(properties)) = (key.as_str(), value.as_object()) {
                    let required: Vec<&str> = object
                        .get("required")
                        .and_then(Value::as_array)
                        .into_iter()
                        .flatten()
                        .filter_map(Value::as_str)
                        .collect();
                    let order = if fields.is_empty() { &required } else { fields };
                    let rank = |name: &str| order.iter().position(|field| *field == name).unwrap_or(usize::MAX);
                    let mut sorted: Vec<(&String, &Value)> = properties.iter().collect();
                    sorted.sort_by_key(|(name, _)| (rank(name), name.as_str()));
                    json.push('{');
                    for (index, (name, property)) in sorted.into_iter().enumerate() {
                        if index > 0 {
                            json.push(',');
                        }
                        let _ = write!(json, "{}:", Value::from(name.as_str()));
                        write(property, &[], json);
                    }
                    json.push('}');
                } else {
                    write(value, &[], json);
                }
            }
            json.push('}');
        }
        Value::Array(items) => {
            json.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    json.push(',');
                }
                write(item, &[], json);
            }
            json.push(']');
        }
        leaf => {
            let _ = write!(json, "{leaf}");
        }
    }
}

/// The fields of `T` in the order in which they are declared: what its reader asks the format for.
fn fields_of<T: DeserializeOwned>() -> &'static [&'static str] {
    let mut fields: &'static [&'static str] = &[];
    let _ = T::deserialize(FieldProbe(&mut fields));
    fields
}

/// A format that holds nothing and only notes which fields are asked for.
struct FieldProbe<'a>(&'a mut &'static [&'static str]);

impl<'de> de::Deserializer<'de> for FieldProbe<'_> {
    type Error = de::value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(de::Error::custom("a probe holds no value"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        *self.0 = fields;
        self.deserialize_any(visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    /// Reads
    /// a thing.
    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        /// Where the
        /// thing is.
        path: String,
        /// How many.
        limit: Option<u32>,
        /// Which way.
        way: Option<Way>,
        /// Several.
        #[serde(default)]
        edits: Vec<Inner>,
        /// Whether all.
        #[serde(default)]
        all: bool,
    }

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        /// Old.
        old: String,
        /// New.
        new: String,
    }

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(rename_all = "snake_case")]
    enum Way {
        Up,
        Down,
    }

    fn complaint(arguments: &str) -> String {
        match parse::<Sample>(&spec::<Sample>("sample"), arguments) {
            Err(ToolError::ForModel(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_schema_is_plain_inline_and_in_declared_order() {
        let spec = spec::<Sample>("sample");
        assert_eq!(spec.description, "Reads a thing.");
        assert_eq!(
            spec.schema.get(),
            concat!(
                r#"{"additionalProperties":false,"properties":{"#,
                r#""path":{"description":"Where the thing is.","type":"string"},"#,
                r#""limit":{"description":"How many.","minimum":0,"type":"integer"},"#,
                r#""way":{"description":"Which way.","enum":["up","down"],"type":"string"},"#,
                r#""edits":{"description":"Several.","items":{"additionalProperties":false,"#,
                r#""properties":{"old":{"description":"Old.","type":"string"},"new":{"description":"New.","type":"string"}},"#,
                r#""required":["old","new"],"type":"object"},"type":"array"},"#,
                r#""all":{"default":false,"description":"Whether all.","type":"boolean"}},"#,
                r#""required":["path"],"type":"object"}"#
            )
        );
    }

    #[test]
    fn the_schema_has_the_same_bytes_every_time() {
        let first = spec::<Sample>("sample");
        for _ in 0..10 {
            assert_eq!(spec::<Sample>("sample").schema.get(), first.schema.get());
        }
    }

    #[test]
    fn good_arguments_are_read() {
        let spec = spec::<Sample>("sample");
        let sample: Sample =
            parse(&spec, r#" {"path":"a","limit":3,"way":"up","edits":[{"old":"x","new":"y"}],"all":true} "#).unwrap();
        assert_eq!((sample.path.as_str(), sample.limit, sample.all), ("a", Some(3), true));
        assert!(matches!(sample.way, Some(Way::Up)));
        assert_eq!((sample.edits[0].old.as_str(), sample.edits[0].new.as_str()), ("x", "y"));
        assert!(parse::<Sample>(&spec, r#"{"path":"a","limit":null,"way":"down"}"#).is_ok());
    }

    #[test]
    fn every_complaint_names_the_fault_and_the_arguments() {
        for (arguments, fault) in [
            ("", "missing field `path`"),
            ("{}", "missing field `path`"),
            (r#"{"path":"a","pth":1}"#, "unknown field `pth`"),
            (r#"{"path":"a","path":"b"}"#, "duplicate field `path`"),
            (r#"{"path":7}"#, "invalid type: integer `7`, expected a string"),
            (r#"{"path":"a","limit":-1}"#, "invalid value: integer `-1`"),
            (r#"{"path":"a","limit":1e300}"#, "invalid type: floating point"),
            (r#"{"path":"a","limit":99999999999}"#, "expected u32"),
            (r#"{"path":"a","way":"left"}"#, "unknown variant `left`, expected `up` or `down`"),
            (r#"{"path":"a","edits":[{"old":"x"}]}"#, "missing field `new`"),
            (r#"{"path":"a","#, "cut off after 12 bytes"),
            (r#"{"path":"a"#, "cut off after 10 bytes"),
            (r#"{"path":"a"} {"#, "not JSON"),
            (r#"{path:1}"#, "not JSON"),
            (r#"["a"]"#, "must be one JSON object"),
            (r#""a""#, "must be one JSON object"),
            ("null", "must be one JSON object"),
        ] {
            let text = complaint(arguments);
            assert!(text.contains(fault), "{arguments}: {text}");
            assert!(text.contains("`path` (string, required)"), "{arguments}: {text}");
            assert!(text.contains("`limit` (integer)"), "{arguments}: {text}");
        }
    }

    #[test]
    fn what_is_sent_back_stays_short_whatever_came() {
        let long = "k".repeat(1 << 20);
        assert!(complaint(&format!(r#"{{"path":"a","{long}":1}}"#)).len() < 1_000);
        assert!(complaint(&format!(r#"{{"path":"a","way":"{long}"}}"#)).len() < 1_000);
        assert!(complaint(&format!(r#"{{"path":"{}"}}"#, "x".repeat(MAX_ARGUMENTS))).contains("the limit is"));
    }

    #[test]
    fn deep_nesting_is_refused_without_a_deep_stack() {
        let deep = format!(r#"{{"path":"a","edits":{}"#, "[".repeat(1_000_000));
        assert!(complaint(&deep).len() < 1_000);
        let deep = format!(r#"{{"path":"a","x":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        assert!(complaint(&deep).contains("unknown field `x`"));
    }
}
