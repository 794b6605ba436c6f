//! Tokens of a request before it is sent: which vocabulary a model has, and what its provider adds around the texts.
//!
//! OpenAI publishes both for the models that tiktoken names. For all other models the texts are counted with the newest
//! of those vocabularies, and what comes of it is an estimate, made better by what the provider has reported since
//! ([`Calibration`]); it is called an estimate wherever it is shown.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use super::{Message, ToolSpec};
use crate::tokens::Encoding;
use crate::tokens::counter::Counter;

/// How a model's tokens are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tokenizer {
    /// The vocabulary.
    pub encoding: Encoding,
    /// Whether that is the model's own, as its maker says; else the counts are an estimate.
    pub published: bool,
}

/// The beginnings of names whose vocabulary is published, longer ones before those they begin with.
const PUBLISHED: [(&str, Encoding); 14] = [
    ("gpt-5", Encoding::O200k),
    ("gpt-oss-", Encoding::O200k),
    ("gpt-4o", Encoding::O200k),
    ("gpt-4.1", Encoding::O200k),
    ("gpt-4.5-", Encoding::O200k),
    ("chatgpt-4o-", Encoding::O200k),
    ("codex-mini", Encoding::O200k),
    ("o1", Encoding::O200k),
    ("o3", Encoding::O200k),
    ("o4-mini", Encoding::O200k),
    ("gpt-4", Encoding::Cl100k),
    ("gpt-3.5", Encoding::Cl100k),
    ("gpt-35-turbo", Encoding::Cl100k),
    ("text-embedding-", Encoding::Cl100k),
];

/// What stands in for a vocabulary that nobody publishes.
const FALLBACK: Tokenizer = Tokenizer { encoding: Encoding::O200k, published: false };

/// How the tokens of a model are counted, by its provider's name for it. A router's `maker/model` and a fine-tuned
/// `ft:model:…` count as the model.
pub fn tokenizer(model: &str) -> Tokenizer {
    let name = model.rsplit('/').next().unwrap_or(model);
    let name = name.strip_prefix("ft:").unwrap_or(name);
    let begins = |start: &str| {
        name.strip_prefix(start).is_some_and(|rest| {
            // `o1` is not the beginning of `o1000`, `gpt-5` is that of `gpt-5.6-sol`.
            start.ends_with('-') || rest.chars().next().is_none_or(|next| !next.is_ascii_alphanumeric())
        })
    };
    PUBLISHED
        .iter()
        .find(|(start, _)| begins(start))
        .map_or(FALLBACK, |(_, encoding)| Tokenizer { encoding: *encoding, published: true })
}

/// Tokens of a request by its parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// The standing instructions.
    pub system: u64,
    /// The tools' descriptions and schemas.
    pub tools: u64,
    /// Each message; one of tool results has a count for each result.
    pub messages: Vec<Vec<u64>>,
    /// What begins the answer.
    pub reply: u64,
}

impl Counted {
    /// All of it.
    pub fn total(&self) -> u64 {
        self.first(self.messages.len())
    }

    /// System, tools and the first messages: a request as it was when there were so many.
    pub fn first(&self, messages: usize) -> u64 {
        let messages: u64 = self.messages.iter().take(messages).flatten().sum();
        self.system + self.tools + messages + self.reply
    }

    /// The same, each count times a factor.
    pub fn scaled(mut self, factor: f64) -> Self {
        let scale = |count: &mut u64| *count = (*count as f64 * factor).round() as u64;
        scale(&mut self.system);
        scale(&mut self.tools);
        scale(&mut self.reply);
        self.messages.iter_mut().flatten().for_each(scale);
        self
    }
}

/// Around each message stand its beginning, its role and two marks; behind all, what begins the answer. As OpenAI's
/// cookbook has it ("How to count tokens with tiktoken").
const PER_MESSAGE: u64 = 4;
const REPLY: u64 = 3;
/// A call within a message: not published; what its name and arguments are wrapped in.
const PER_CALL: u64 = 8;

/// Counts a request. The texts are counted together, on all cores, off the caller's thread.
pub async fn request(
    counter: &Arc<Counter>,
    tokenizer: Tokenizer,
    system: &Arc<str>,
    tools: &[ToolSpec],
    messages: &[Message],
) -> Counted {
    let mut sheet = Sheet::default();
    let system = sheet.line(PER_MESSAGE, [system.clone()]);
    let rule = ToolRule::of(tokenizer.encoding);
    let tool_lines: Vec<usize> = tools.iter().map(|tool| rule.line(&mut sheet, tool)).collect();
    let lines: Vec<Vec<usize>> = messages.iter().map(|message| sheet.message(message)).collect();
    let counts = sheet.count(counter, tokenizer.encoding).await;
    Counted {
        system: counts[system],
        tools: tool_lines.iter().map(|line| counts[*line]).sum::<u64>() + if tools.is_empty() { 0 } else { rule.end },
        messages: lines.iter().map(|lines| lines.iter().map(|line| counts[*line]).collect()).collect(),
        reply: REPLY,
    }
}

/// Lines of texts to be counted, each with what is added to it.
#[derive(Default)]
struct Sheet {
    texts: Vec<Arc<str>>,
    /// For each text its line.
    line_of: Vec<usize>,
    added: Vec<u64>,
}

impl Sheet {
    fn line(&mut self, added: u64, texts: impl IntoIterator<Item = Arc<str>>) -> usize {
        let line = self.added.len();
        self.added.push(added);
        self.texts.extend(texts);
        self.line_of.resize(self.texts.len(), line);
        line
    }

    fn message(&mut self, message: &Message) -> Vec<usize> {
        match message {
            Message::User(text) => vec![self.line(PER_MESSAGE, [text.clone()])],
            Message::Assistant(turn) => {
                let calls = turn.calls.iter().flat_map(|call| [call.name.clone(), call.arguments.clone()]);
                let added = PER_MESSAGE + PER_CALL * turn.calls.len() as u64;
                vec![self.line(added, std::iter::once(Arc::from(turn.text.as_str())).chain(calls))]
            }
            Message::ToolResults(results) => {
                results.iter().map(|result| self.line(PER_MESSAGE, [result.content.clone()])).collect()
            }
        }
    }

    async fn count(self, counter: &Arc<Counter>, encoding: Encoding) -> Vec<u64> {
        let counted = counter.count(encoding, self.texts).await;
        let mut counts = self.added;
        for (line, count) in self.line_of.into_iter().zip(counted) {
            counts[line] += count;
        }
        counts
    }
}

/// What OpenAI's cookbook adds for tools.
struct ToolRule {
    tool: u64,
    /// Once for an object that has properties, and for each of them.
    object: u64,
    property: u64,
    /// For each word of an enumeration; the enumeration itself takes as much back.
    word: u64,
    end: u64,
}

/// Objects within objects, at most; the model's schemas have two or three.
const DEEP: usize = 8;

impl ToolRule {
    fn of(encoding: Encoding) -> Self {
        let tool = if encoding == Encoding::O200k { 7 } else { 10 };
        Self { tool, object: 3, property: 3, word: 3, end: 12 }
    }

    fn line(&self, sheet: &mut Sheet, tool: &ToolSpec) -> usize {
        let mut added = self.tool;
        let mut texts = vec![format!("{}:{}", tool.name, tool.description.trim_end_matches('.'))];
        if let Ok(schema) = serde_json::from_str(tool.schema.get()) {
            self.object(&schema, DEEP, &mut added, &mut texts);
        }
        sheet.line(added, texts.into_iter().map(Arc::from))
    }

    fn object(&self, schema: &Value, deep: usize, added: &mut u64, texts: &mut Vec<String>) {
        if let Some(items) = schema.get("items").filter(|_| deep > 0) {
            self.object(items, deep - 1, added, texts);
        }
        let Some(properties) = schema["properties"].as_object().filter(|all| !all.is_empty() && deep > 0) else {
            return;
        };
        *added += self.object;
        for (key, property) in properties {
            *added += self.property;
            if let Some(words) = property["enum"].as_array().filter(|words| !words.is_empty()) {
                *added += self.word * (words.len() as u64 - 1);
                texts.extend(words.iter().filter_map(Value::as_str).map(str::to_owned));
            }
            let kind = property["type"].as_str().unwrap_or_default();
            let description = property["description"].as_str().unwrap_or_default();
            texts.push(format!("{key}:{kind}:{}", description.trim_end_matches('.')));
            self.object(property, deep - 1, added, texts);
        }
    }
}

/// What a provider reported over what was counted, by model: the factor that makes the next estimate better.
#[derive(Debug, Default)]
pub struct Calibration(Mutex<HashMap<Arc<str>, f64>>);

/// Models of which a factor is kept.
const MODELS: usize = 256;
/// A provider's token is some share of ours; what is beyond was not the same request.
const FACTORS: (f64, f64) = (0.25, 4.0);

impl Calibration {
    /// Takes in the counts of one request: ours and the provider's. `origin` is `PROVIDER/MODEL`.
    pub fn learn(&self, origin: &Arc<str>, counted: u64, reported: u64) {
        if counted == 0 || reported == 0 {
            return;
        }
        let factor = reported as f64 / counted as f64;
        let mut factors = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if (FACTORS.0..=FACTORS.1).contains(&factor) && (factors.len() < MODELS || factors.contains_key(origin)) {
            factors.insert(origin.clone(), factor);
        }
    }

    /// The factor for a model; 1 before anything was reported.
    pub fn factor(&self, origin: &str) -> f64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(origin).copied().unwrap_or(1.0)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;
    use crate::ids::CallId;
    use crate::llm::{AssistantTurn, ToolCall, ToolResult};

    #[test]
    fn a_model_has_the_vocabulary_its_maker_publishes_and_any_other_the_fallback() {
        let of = |model| tokenizer(model);
        for model in ["gpt-5", "gpt-5.6-sol", "gpt-4o-mini", "gpt-4.1", "o1", "o3-pro", "openai/gpt-4o", "gpt-oss-20b"]
        {
            assert_eq!(of(model), Tokenizer { encoding: Encoding::O200k, published: true }, "{model}");
        }
        for model in ["gpt-4", "gpt-4-turbo", "gpt-3.5-turbo", "ft:gpt-3.5-turbo:me::x", "text-embedding-3-small"] {
            assert_eq!(of(model), Tokenizer { encoding: Encoding::Cl100k, published: true }, "{model}");
        }
        for model in ["gpt-6-sol", "claude-opus-5-5", "gemini-4-argon", "o1000", "llama-4", "", "gpt-50"] {
            assert_eq!(of(model), FALLBACK, "{model}");
        }
    }

    #[test]
    fn the_table_agrees_with_tiktoken() {
        use tiktoken_rs::tokenizer::{Tokenizer as Theirs, get_tokenizer};
        for (start, encoding) in PUBLISHED {
            let name = match start {
                "text-embedding-" => "text-embedding-3-small".to_owned(),
                start if start.ends_with('-') => format!("{start}x"),
                start => start.to_owned(),
            };
            let theirs = match get_tokenizer(&name).expect(&name) {
                Theirs::O200kBase | Theirs::O200kHarmony => Encoding::O200k,
                Theirs::Cl100kBase => Encoding::Cl100k,
                other => panic!("{name}: {other:?}"),
            };
            assert_eq!(theirs, encoding, "{name}");
        }
    }

    fn tool(name: &'static str, description: &'static str, schema: &str) -> ToolSpec {
        ToolSpec { name, description, schema: RawValue::from_string(schema.into()).unwrap().into() }
    }

    #[tokio::test]
    async fn tools_count_as_the_cookbook_counts_them() {
        // The cookbook's own example: `get_current_weather`, 101 tokens with these messages for gpt-4o.
        let schema = r#"{"type":"object","properties":{"location":{"type":"string","description":"The city and state, e.g. San Francisco, CA"},"unit":{"type":"string","description":"The unit of temperature to return","enum":["celsius","fahrenheit"]}},"required":["location"]}"#;
        let tools = [tool("get_current_weather", "Get the current weather in a given location", schema)];
        let counter = Counter::new(100);
        let system = Arc::from("You are a helpful assistant that can answer to questions about the weather.");
        let messages = [Message::User("What's the weather like in San Francisco?".into())];
        let model = |name| tokenizer(name);
        let new = request(&counter, model("gpt-4o"), &system, &tools, &messages).await;
        assert_eq!(new.total(), 101);
        let old = request(&counter, model("gpt-4"), &system, &tools, &messages).await;
        assert_eq!(old.total(), 105);
        let none = request(&counter, model("gpt-4o"), &system, &[], &messages).await;
        assert_eq!((none.tools, none.total()), (0, new.total() - new.tools));
    }

    #[tokio::test]
    async fn each_result_has_its_own_count_and_an_earlier_request_is_a_part_of_the_whole() {
        let call = |id: &str| ToolCall { id: CallId::from(id), name: "grep".into(), arguments: "{}".into() };
        let result = |id: &str, content: &str| ToolResult {
            call: CallId::from(id),
            name: "grep".into(),
            content: content.into(),
            is_error: false,
        };
        let turn = AssistantTurn { text: "hello".into(), calls: vec![call("a"), call("b")], ..Default::default() };
        let messages = [
            Message::User("hello world".into()),
            Message::Assistant(turn.into()),
            Message::ToolResults([result("a", "hello"), result("b", "hello world")].into()),
        ];
        let counted = request(&Counter::new(10), FALLBACK, &Arc::from("hello"), &[], &messages).await;
        assert_eq!(counted.messages[0], [6]);
        assert_eq!(counted.messages[2], [5, 6]);
        assert_eq!(counted.first(1), counted.system + 6 + REPLY);
        assert_eq!(counted.total(), counted.first(3));
        assert_eq!(counted.scaled(2.0).messages[2], [10, 12]);
    }

    #[tokio::test]
    async fn a_schema_that_is_no_object_or_never_ends_is_counted_all_the_same() {
        let deep = format!("{}1{}", r#"{"properties":{"a":"#.repeat(100), "}}".repeat(100));
        for schema in ["null", "[]", "7", r#"{"properties":7}"#, r#"{"properties":{"a":{"enum":[]}}}"#, &deep] {
            let tools = [tool("t", "d", schema)];
            let counted = request(&Counter::new(0), FALLBACK, &Arc::from(""), &tools, &[]).await;
            assert!((19..200).contains(&counted.tools), "{schema}: {}", counted.tools);
        }
    }

    #[test]
    fn an_estimate_learns_and_does_not_believe_everything() {
        let (calibration, origin) = (Calibration::default(), Arc::from("p/m"));
        assert!((calibration.factor("p/m") - 1.0).abs() < 1e-9);
        calibration.learn(&origin, 1000, 1300);
        assert!((calibration.factor("p/m") - 1.3).abs() < 1e-9);
        for (counted, reported) in [(0, 10), (10, 0), (1, u64::MAX), (u64::MAX, 1)] {
            calibration.learn(&origin, counted, reported);
        }
        assert!((calibration.factor("p/m") - 1.3).abs() < 1e-9);
    }
}
