//! What may be written, as a JSON Schema: for editors of TOML, for the settings of VS Code, for people.
//!
//! The plain sections describe themselves with the very expressions that read them: [`forms`] has a word for each of
//! those in `values`, of the same name. What remains is said here, and a test holds both to the list of keys.

use std::borrow::Cow;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::{Map, Value as Json, json};

use self::forms::{Form, boolean, float, integer, strings, text, word};
use super::action::{PLACEHOLDERS, UserAction};
use super::keys::TOOL_NAMES;
use super::layer::UserLayer;
use super::model::{ModelLayer, Price};
use super::permission::PermissionsLayer;
use super::profile::PROFILES;
use super::project::ProjectLayer;
use super::provider::{KINDS, ProviderLayer};
use super::sections::{AgentLayer, ContextLayer, EditsLayer, LlmLayer, MonitorLayer, RecordingLayer, ToolsLayer};

/// The schema of a user's file. Draft 7 and without references: what TOML editors understand.
pub fn schema() -> Json {
    root::<UserLayer>("Ropeway")
}

/// The schema of a project's file, which may set fewer keys.
pub fn project_schema() -> Json {
    root::<ProjectLayer>("Ropeway, of a project")
}

fn root<T: JsonSchema>(title: &str) -> Json {
    let generator = SchemaSettings::draft07().with(|settings| settings.inline_subschemas = true).into_generator();
    let mut schema = generator.into_root_schema_for::<T>();
    schema.insert("title".to_owned(), Json::from(title));
    schema.to_value()
}

/// The words of `values`, as what they accept.
pub(super) mod forms {
    use schemars::{Schema, json_schema};

    /// What a key takes.
    pub(in super::super) enum Form {
        Boolean,
        Integer(i64, i64),
        Number(f64, f64),
        Text(usize),
        Texts(usize, usize),
        Names(&'static [&'static str]),
        Words(Vec<&'static str>),
    }

    #[expect(non_upper_case_globals, reason = "the reader of the same name is a function that is not called either")]
    pub(in super::super) const boolean: Form = Form::Boolean;
    #[expect(non_upper_case_globals, reason = "as above")]
    pub(in super::super) const directory: Form = Form::Text(4096);

    pub(in super::super) fn integer(min: i64, max: i64) -> Form {
        Form::Integer(min, max)
    }

    pub(in super::super) fn float(min: f64, max: f64) -> Form {
        Form::Number(min, max)
    }

    pub(in super::super) fn some(form: Form) -> Form {
        form
    }

    pub(in super::super) fn text(max: usize) -> Form {
        Form::Text(max)
    }

    pub(in super::super) fn strings(max_items: usize, max: usize) -> Form {
        Form::Texts(max_items, max)
    }

    pub(in super::super) fn names(_: &str, known: &'static [&'static str]) -> Form {
        Form::Names(known)
    }

    pub(in super::super) fn word<T>(words: &'static [(&'static str, T)]) -> Form {
        Form::Words(words.iter().map(|(word, _)| *word).collect())
    }

    impl From<Form> for Schema {
        fn from(form: Form) -> Self {
            match form {
                Form::Boolean => json_schema!({ "type": "boolean" }),
                Form::Integer(min, max) => json_schema!({ "type": "integer", "minimum": min, "maximum": max }),
                Form::Number(min, max) => json_schema!({ "type": "number", "minimum": min, "maximum": max }),
                Form::Text(max) => json_schema!({ "type": "string", "maxLength": max }),
                Form::Texts(items, max) => json_schema!({
                    "type": "array", "maxItems": items, "items": { "type": "string", "maxLength": max }
                }),
                Form::Names(known) => json_schema!({
                    "type": "array", "maxItems": 256, "items": { "type": "string", "enum": known }
                }),
                Form::Words(words) => json_schema!({ "type": "string", "enum": words }),
            }
        }
    }
}

/// The keys of one table while it is described.
pub(super) struct Keys {
    description: String,
    properties: Map<String, Json>,
    required: Vec<&'static str>,
}

impl Keys {
    pub(super) fn new(description: &str) -> Self {
        Self { description: sentence(description), properties: Map::new(), required: Vec::new() }
    }

    /// A key. An optional setting has no default: it is absent.
    pub(super) fn put(
        &mut self,
        key: &str,
        description: &str,
        form: impl Into<Schema>,
        default: Option<&impl Serialize>,
    ) {
        let mut schema: Schema = form.into();
        schema.insert("description".to_owned(), Json::from(sentence(description)));
        let default = default.and_then(|default| serde_json::to_value(default).ok());
        if let Some(default) = default.filter(|default| !default.is_null()) {
            schema.insert("default".to_owned(), default);
        }
        self.properties.insert(key.to_owned(), schema.to_value());
    }

    /// A key whose default depends on others, or that has none.
    fn plain(&mut self, key: &str, description: &str, form: impl Into<Schema>) {
        self.put(key, description, form, None::<&Json>);
    }

    /// A table that describes itself.
    pub(super) fn put_table(&mut self, key: &str, table: Schema) {
        self.properties.insert(key.to_owned(), table.to_value());
    }

    pub(super) fn finish(self) -> Schema {
        let mut schema = json_schema!({
            "type": "object",
            "description": self.description,
            "properties": self.properties,
            "additionalProperties": false,
        });
        if !self.required.is_empty() {
            schema.insert("required".to_owned(), json!(self.required));
        }
        schema
    }
}

fn sentence(doc: &str) -> String {
    doc.lines().map(str::trim).collect::<Vec<_>>().join(" ").trim().to_owned()
}

/// A table with free names, each a table of one kind.
fn named(description: &str, entry: Schema) -> Schema {
    json_schema!({ "type": "object", "description": description, "additionalProperties": entry.to_value() })
}

fn model() -> Schema {
    json_schema!({ "type": "string", "pattern": "^$|^[^/\\s]+/\\S+$", "maxLength": 256 })
}

macro_rules! described {
    ($layer:ty, $name:literal, $body:expr) => {
        impl JsonSchema for $layer {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                let describe: fn(&mut SchemaGenerator) -> Keys = $body;
                describe(generator).finish()
            }
        }
    };
}

described!(UserLayer, "Ropeway", |generator| {
    let mut keys = Keys::new("What the user wants of Ropeway.");
    keys.plain(
        "model",
        "The model, PROVIDER/MODEL. Without one: of the provider whose key is found first in the environment.",
        model(),
    );
    keys.put("profile", "A preset of the other keys, below what is set here.", word(PROFILES), Some(&"default"));
    keys.put_table(
        "providers",
        named(
            "Whom to ask, by a free name; `anthropic`, `openai`, `google` and `ollama` are there already.",
            ProviderLayer::json_schema(generator),
        ),
    );
    keys.put_table(
        "models",
        named("What is different with single models, by PROVIDER/MODEL.", ModelLayer::json_schema(generator)),
    );
    keys.put_table("agent", AgentLayer::json_schema(generator));
    keys.put_table("edits", EditsLayer::json_schema(generator));
    keys.put_table("context", ContextLayer::json_schema(generator));
    keys.put_table("tools", ToolsLayer::json_schema(generator));
    keys.put_table("llm", LlmLayer::json_schema(generator));
    keys.put_table("permissions", PermissionsLayer::json_schema(generator));
    keys.put_table("recording", RecordingLayer::json_schema(generator));
    keys.put_table("monitor", MonitorLayer::json_schema(generator));
    keys.put("actions", "Code actions of your own.", actions(generator), Some(&json!([])));
    keys
});

described!(ProjectLayer, "Project", |generator| {
    let mut keys = Keys::new("What a project wants of Ropeway: it can only tighten what its user allows, or describe.");
    keys.plain("model", "The model, PROVIDER/MODEL: one that the user has configured.", model());
    keys.put_table("agent", only(&["max_steps", "max_cost_usd", "max_tokens"], AgentLayer::json_schema(generator)));
    keys.put_table("edits", EditsLayer::json_schema(generator));
    keys.put_table("context", ContextLayer::json_schema(generator));
    keys.put_table("tools", only(&["disabled"], ToolsLayer::json_schema(generator)));
    keys.put_table("permissions", only(&["ask", "deny"], PermissionsLayer::json_schema(generator)));
    keys.put("actions", "Code actions for whoever trusts the project.", actions(generator), Some(&json!([])));
    keys
});

fn actions(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "array", "maxItems": 64, "items": UserAction::json_schema(generator).to_value() })
}

/// A table with some of its keys.
fn only(names: &[&str], mut table: Schema) -> Schema {
    if let Some(Json::Object(keys)) = table.get_mut("properties") {
        keys.retain(|key, _| names.contains(&key.as_str()));
    }
    table
}

described!(ProviderLayer, "Provider", |_| {
    let limit = || integer(1, 3_600_000);
    let mut timeouts = Keys::new("Time limits of one request; there is none for the whole.");
    timeouts.put("connect_ms", "Milliseconds until the connection stands.", limit(), Some(&10_000));
    timeouts.put("first_byte_ms", "Milliseconds from then until the first byte of the answer.", limit(), Some(&60_000));
    timeouts.plain(
        "idle_ms",
        "Milliseconds between two bytes of a stream; default 60000 for openai, 90000 for google, 120000 for the others.",
        limit(),
    );
    let mut keys = Keys::new("A provider of models.");
    keys.plain("kind", "The protocol; `openai` also for those compatible with it.", word(KINDS));
    let address = json_schema!({ "type": "string", "format": "uri", "pattern": "^https?://", "maxLength": 2048 });
    keys.plain(
        "base_url",
        "The address, with /v1 for openai, without a version for the others; https unless it is on this machine.",
        address,
    );
    let variable = json_schema!({ "type": "string", "pattern": "^([A-Za-z_][A-Za-z0-9_]*)?$", "maxLength": 128 });
    keys.plain(
        "api_key_env",
        "The environment variable that holds the key, never the key; empty: none is sent.",
        variable,
    );
    let headers = json_schema!({
        "type": "object", "maxProperties": 64, "additionalProperties": { "type": "string", "maxLength": 8192 }
    });
    keys.put("headers", "Extra headers of each request.", headers, Some(&json!({})));
    keys.put_table("timeouts", timeouts.finish());
    keys.put(
        "options",
        "Settings of the protocol; for openai `api` is \"chat\" or \"responses\". The rest is sent as it stands.",
        json_schema!({ "type": "object" }),
        Some(&json!({})),
    );
    keys
});

described!(Price, "Price", |_| {
    let dollars = || float(0.0, 100_000.0);
    let mut keys = Keys::new("US dollars per million tokens.");
    keys.plain("input", "What is sent.", dollars());
    keys.plain("cached_input", "The part of it read from the provider's cache; as `input` if absent.", dollars());
    keys.plain("cache_write", "The part of it written to the provider's cache; as `input` if absent.", dollars());
    keys.plain("output", "What comes back.", dollars());
    keys.required.extend(["input", "output"]);
    keys
});

described!(ModelLayer, "Model", |generator| {
    let mut keys = Keys::new("A model; what is absent is as Ropeway or the provider knows it.");
    keys.plain("context_window", "Tokens that fit, prompt and answer together.", integer(1024, 1_000_000_000));
    keys.plain("max_output_tokens", "Tokens of one answer, at most.", integer(1, 1_000_000_000));
    keys.put_table("price", Price::json_schema(generator));
    let models = json_schema!({ "type": "array", "maxItems": 16, "items": model().to_value() });
    keys.put("fallback", "Models to use while this one is overloaded, in order.", models, Some(&json!([])));
    keys
});

described!(PermissionsLayer, "Permissions", |_| {
    let none = json!([]);
    let mut keys = Keys::new(
        "The approval rules: deny before ask before allow, whatever the order. TOOL or TOOL(PATTERN), with a glob over paths or, for run_command, leading words.",
    );
    keys.put("allow", "Calls that need no question.", strings(1000, 1024), Some(&none));
    keys.put("ask", "Calls that are asked.", strings(1000, 1024), Some(&none));
    keys.put("deny", "Calls that are refused.", strings(1000, 1024), Some(&none));
    keys
});

described!(UserAction, "Action", |_| {
    let mut keys = Keys::new("A code action of your own; `id`, `title` and `prompt` are needed.");
    let id = json_schema!({ "type": "string", "pattern": "^[a-z][a-z0-9-]*$", "maxLength": 64 });
    keys.plain("id", "Its name: lower-case letters, digits and `-`.", id);
    keys.plain("title", "What the menu shows: one line.", text(200));
    let placeholders = PLACEHOLDERS.iter().map(|name| format!("{{{name}}}")).collect::<Vec<_>>().join(", ");
    let prompt = format!("What the model is asked. {placeholders} are filled in; {{{{ and }}}} are braces.");
    keys.plain("prompt", &prompt, text(16 * 1024));
    keys.put("kind", "The code action kind.", text(128), Some(&"refactor.rewrite"));
    keys.put("languages", "The language ids it is offered in; empty: all.", strings(64, 64), Some(&json!([])));
    keys.put("edits", "Whether it may edit; else it only answers.", boolean, Some(&true));
    let tools = json_schema!({ "type": "array", "maxItems": 64, "items": Schema::from(Form::Words(TOOL_NAMES.to_vec())).to_value() });
    keys.plain("tools", "The only tools it may use; absent: all that fit.", tools);
    keys.plain("model", "The model it is meant for, PROVIDER/MODEL; absent: the selected one.", model());
    keys.required.extend(["id", "title", "prompt"]);
    keys
});

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::keys::KEYS;
    use super::*;

    /// Every key that the schema has, spelt as in the list of keys, with its own schema.
    fn keys(schema: &Json, path: &str, found: &mut Vec<(String, Json)>) {
        let properties = schema["properties"].as_object();
        if properties.is_none() && !schema["additionalProperties"]["properties"].is_object() {
            let items = &schema["items"];
            if items["properties"].is_object() {
                keys(items, &format!("{path}[]"), found);
            } else {
                found.push((path.to_owned(), schema.clone()));
            }
        }
        let dotted = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        for (name, inner) in properties.into_iter().flatten() {
            keys(inner, &dotted(name), found);
        }
        if schema["additionalProperties"]["properties"].is_object() {
            keys(&schema["additionalProperties"], &dotted("*"), found);
        }
    }

    #[test]
    fn the_schema_has_the_very_keys_that_are_read_each_with_its_description() {
        let mut found = Vec::new();
        keys(&schema(), "", &mut found);
        let names: BTreeSet<&str> = found.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(names, KEYS.iter().copied().collect());
        for (key, schema) in &found {
            let description = schema["description"].as_str().unwrap_or_default();
            assert!(description.len() > 8 && description.ends_with('.'), "{key}: {description:?}");
            assert!(!description.contains("[`") && !description.contains("::"), "{key}: {description:?}");
            if ["integer", "number"].iter().any(|kind| schema["type"] == *kind) {
                assert!(schema["minimum"].is_number() && schema["maximum"].is_number(), "{key} has no range");
            }
        }
        assert_eq!(schema()["$schema"], "http://json-schema.org/draft-07/schema#");
    }

    #[test]
    fn ranges_and_defaults_are_those_of_the_readers() {
        let schema = schema();
        let steps = &schema["properties"]["agent"]["properties"]["max_steps"];
        assert_eq!((&steps["minimum"], &steps["maximum"], &steps["default"]), (&json!(1), &json!(10_000), &json!(40)));
        let mode = &schema["properties"]["edits"]["properties"]["mode"];
        assert_eq!((&mode["enum"], &mode["default"]), (&json!(["apply", "confirm", "preview"]), &json!("apply")));
        let cost = &schema["properties"]["agent"]["properties"]["max_cost_usd"];
        assert_eq!(cost.get("default"), None, "absent unless it is set");
        let grep = &schema["properties"]["tools"]["properties"]["grep"]["properties"]["max_files"];
        assert_eq!(grep["default"], 10_000);
    }
}
