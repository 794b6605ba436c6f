//! An object of the wire with some of its fields replaced, and all else byte for byte as it came.
//!
//! What goes back to a provider must be what it sent: fields we do not know, numbers we would spell otherwise, the order.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// An object's fields as they came.
struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Vec::new();
                let mut seen = HashSet::new();
                while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
                    if seen.insert(name.clone()) {
                        fields.push((name, value));
                    }
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

/// The object with these fields in place of its own of the same names, and those it does not have at its end, by name.
/// Nothing if it is no object.
pub(crate) fn replace(object: &str, mut replaced: Vec<(&str, String)>) -> Option<String> {
    let fields: Fields<'_> = serde_json::from_str(object).ok()?;
    let mut out = String::with_capacity(object.len() + 16);
    out.push('{');
    let mut field = |name: &str, value: &str| {
        if out.len() > 1 {
            out.push(',');
        }
        out.push_str(&quote(name));
        out.push(':');
        out.push_str(value);
    };
    for (name, value) in &fields.0 {
        match replaced.iter().position(|(new, _)| new == name) {
            Some(at) => field(name, &replaced.swap_remove(at).1),
            None => field(name, value.get()),
        }
    }
    replaced.sort_unstable_by_key(|(name, _)| *name);
    for (name, value) in &replaced {
        field(name, value);
    }
    out.push('}');
    Some(out)
}

/// A JSON string.
pub(crate) fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
