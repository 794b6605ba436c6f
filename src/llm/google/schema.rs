//! A tool's schema as Gemini takes it under `parametersJsonSchema`.
//!
//! `$schema` at the root and `$ref` beside other keys are refused there, and the root must be an object. Our own tools
//! have none of that, so their schemas pass as they stand; a schema from elsewhere is brought into this form.

use std::borrow::Cow;

use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

/// References are followed this deep; what lies deeper, or in a circle, takes anything.
const MAX_DEPTH: usize = 16;
/// A schema that grows beyond this many values by its references is cut in the same way.
const MAX_VALUES: usize = 20_000;

pub(super) fn fitted(schema: &RawValue) -> Cow<'_, RawValue> {
    let text = schema.get();
    let fits = !text.contains("\"$schema\"") && !text.contains("\"$ref\"") && text.contains("\"object\"");
    if fits {
        return Cow::Borrowed(schema);
    }
    let value: Value = serde_json::from_str(text).unwrap_or_default();
    let mut room = MAX_VALUES;
    let mut whole = match inline(&value, &value, 0, &mut room) {
        Value::Object(root) if root.get("type").is_some_and(|kind| kind == "object") => root,
        _ => json!({"type": "object", "properties": {}}).as_object().cloned().unwrap_or_default(),
    };
    for name in ["$schema", "$id", "$defs", "definitions"] {
        whole.remove(name);
    }
    match serde_json::value::to_raw_value(&whole) {
        Ok(raw) => Cow::Owned(raw),
        Err(_) => Cow::Borrowed(schema),
    }
}

/// The value with each local reference replaced by what it refers to; keys beside it win.
fn inline(value: &Value, root: &Value, depth: usize, room: &mut usize) -> Value {
    if *room == 0 {
        return json!({});
    }
    *room -= 1;
    match value {
        Value::Object(map) => {
            let mut whole = Map::new();
            if let Some(Value::String(place)) = map.get("$ref") {
                let target = place.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
                if let (Some(target), true) = (target, depth < MAX_DEPTH)
                    && let Value::Object(target) = inline(target, root, depth + 1, room)
                {
                    whole = target;
                }
            }
            for (name, value) in map.iter().filter(|(name, _)| *name != "$ref") {
                whole.insert(name.clone(), inline(value, root, depth, room));
            }
            Value::Object(whole)
        }
        Value::Array(list) => Value::Array(list.iter().map(|value| inline(value, root, depth, room)).collect()),
        plain => plain.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(schema: &str) -> String {
        let raw = RawValue::from_string(schema.to_owned()).unwrap();
        fitted(&raw).get().to_owned()
    }

    #[test]
    fn a_schema_that_fits_passes_byte_for_byte() {
        let schema = r#"{"type": "object",  "properties":{"n":{"type":"number","exclusiveMinimum":0}}}"#;
        assert_eq!(fit(schema), schema);
    }

    #[test]
    fn references_are_inlined_and_the_root_is_an_object() {
        let schema = r##"{"$schema":"x","type":"object","properties":{"a":{"$ref":"#/$defs/A","description":"d"},"b":{"$ref":"#/no"}},"$defs":{"A":{"type":"string"}}}"##;
        assert_eq!(fit(schema), r#"{"properties":{"a":{"description":"d","type":"string"},"b":{}},"type":"object"}"#);
        for odd in ["true", "[]", r#"{"type":"string"}"#, r#"{"anyOf":[]}"#] {
            assert_eq!(fit(odd), r#"{"properties":{},"type":"object"}"#, "{odd}");
        }
    }

    #[test]
    fn a_circle_and_a_bomb_end() {
        let circle = r##"{"type":"object","properties":{"a":{"$ref":"#"}}}"##;
        assert!(fit(circle).len() < 10_000);
        let bomb: String = (0..30)
            .map(|n| format!(r##""d{n}":{{"a":{{"$ref":"#/$defs/d{0}"}},"b":{{"$ref":"#/$defs/d{0}"}}}},"##, n + 1))
            .collect();
        let bomb = format!(
            r##"{{"type":"object","properties":{{"a":{{"$ref":"#/$defs/d0"}}}},"$defs":{{{bomb}"d30":{{}}}}}}"##
        );
        assert!(fit(&bomb).len() < 1 << 20);
    }
}
