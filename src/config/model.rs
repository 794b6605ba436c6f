//! Naming models, and what the user says of one against the built-in table.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::node::{Node, Value};
use super::place::{At, Origin};
use super::read::{Reader, Table, shown};
use super::values::{float, integer, texts};

/// `PROVIDER/MODEL`. The model's own name may hold further slashes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelRef {
    /// Name of a provider of the configuration.
    pub provider: String,
    /// The provider's name of the model.
    pub model: String,
}

/// Longest name of a model, in bytes.
const MAX_NAME: usize = 256;

impl FromStr for ModelRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_graphic());
        match text.split_once('/') {
            Some((provider, model)) if plain(provider) && plain(model) && text.len() <= MAX_NAME => {
                Ok(Self { provider: provider.to_owned(), model: model.to_owned() })
            }
            _ => Err(format!(
                "\"{}\" is not a model; write PROVIDER/MODEL, such as anthropic/claude-sonnet-5-5",
                shown(text)
            )),
        }
    }
}

impl fmt::Display for ModelRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.provider, self.model)
    }
}

impl Serialize for ModelRef {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// US dollars per million tokens.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Price {
    /// What is sent.
    pub input: f64,
    /// The part of it read from the provider's cache; as `input` if absent.
    pub cached_input: Option<f64>,
    /// The part of it written to the provider's cache; as `input` if absent.
    pub cache_write: Option<f64>,
    /// What comes back.
    pub output: f64,
}

/// What the user says of one model; what is absent is as the built-in table has it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ModelOverride {
    /// Tokens that fit, prompt and answer together.
    pub context_window: Option<u64>,
    /// Tokens of one answer, at most.
    pub max_output_tokens: Option<u64>,
    /// What it costs.
    pub price: Option<Price>,
    /// Models to use while this one is overloaded, in order.
    pub fallback: Vec<ModelRef>,
}

/// What one layer says of a model.
#[derive(Clone, Debug, Default)]
pub(super) struct ModelLayer {
    pub(super) context_window: Option<At<u64>>,
    pub(super) max_output_tokens: Option<At<u64>>,
    pub(super) price: Option<At<Price>>,
    pub(super) fallback: Option<At<Vec<ModelRef>>>,
}

impl ModelLayer {
    pub(super) fn read(table: &mut Table<'_, '_, '_>) -> Self {
        Self {
            context_window: table.take("context_window", integer(1024, 1_000_000_000)),
            max_output_tokens: table.take("max_output_tokens", integer(1, 1_000_000_000)),
            price: table.take("price", price),
            fallback: table.take("fallback", fallback),
        }
    }

    pub(super) fn falls_back_to(&self, model: &ModelRef) -> bool {
        self.fallback.as_ref().is_some_and(|at| at.value.contains(model))
    }

    pub(super) fn origins(&self) -> impl Iterator<Item = (&'static str, &Origin)> {
        [
            ("context_window", self.context_window.as_ref().map(|at| &at.origin)),
            ("max_output_tokens", self.max_output_tokens.as_ref().map(|at| &at.origin)),
            ("price", self.price.as_ref().map(|at| &at.origin)),
            ("fallback", self.fallback.as_ref().map(|at| &at.origin)),
        ]
        .into_iter()
        .filter_map(|(key, origin)| Some((key, origin?)))
    }

    pub(super) fn apply(&self, to: &mut ModelOverride) {
        to.context_window = self.context_window.as_ref().map(|at| at.value).or(to.context_window);
        to.max_output_tokens = self.max_output_tokens.as_ref().map(|at| at.value).or(to.max_output_tokens);
        to.price = self.price.as_ref().map(|at| at.value).or(to.price);
        if let Some(at) = &self.fallback {
            to.fallback.clone_from(&at.value);
        }
    }
}

fn price(reader: &mut Reader<'_>, key: &str, node: &Node) -> Option<Price> {
    let dollars = || float(0.0, 100_000.0);
    let (complete, input, cached_input, cache_write, output) = reader.table(key, node, |table| {
        (
            table.get("input").is_some() && table.get("output").is_some(),
            table.take("input", dollars()),
            table.take("cached_input", dollars()),
            table.take("cache_write", dollars()),
            table.take("output", dollars()),
        )
    })?;
    if !complete {
        reader.error(
            key,
            &node.span,
            "`price` needs `input` and `output`, in US dollars per million tokens".to_owned(),
        );
        return None;
    }
    Some(Price {
        input: input?.value,
        cached_input: cached_input.map(|at| at.value),
        cache_write: cache_write.map(|at| at.value),
        output: output?.value,
    })
}

fn fallback(reader: &mut Reader<'_>, key: &str, node: &Node) -> Option<Vec<ModelRef>> {
    let items = texts(16, MAX_NAME)(reader, key, node)?;
    let mut models = Vec::with_capacity(items.len());
    for (item, place) in items {
        match item.parse() {
            Ok(model) => models.push(model),
            Err(message) => reader.error(key, &place.span, message),
        }
    }
    Some(models)
}

/// A model's name; an empty string, which editors send for an unset string, counts as absent.
pub(super) fn model_ref(reader: &mut Reader<'_>, key: &str, node: &Node) -> Option<ModelRef> {
    let Value::String(text) = &node.value else {
        reader.wrong(key, node, "a string PROVIDER/MODEL");
        return None;
    };
    if text.is_empty() {
        return None;
    }
    text.parse().map_err(|message| reader.error(key, &node.span, message)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_keeps_the_slashes_of_its_own_name() {
        let model: ModelRef = "router/meta/llama-4".parse().unwrap();
        assert_eq!((model.provider.as_str(), model.model.as_str()), ("router", "meta/llama-4"));
        assert_eq!(model.to_string(), "router/meta/llama-4");
    }

    #[test]
    fn what_is_not_a_model_is_refused_with_the_form_to_write() {
        for text in ["", "gpt", "/x", "x/", "a b/c", "x/\u{0}", "ä/ö", &format!("p/{}", "x".repeat(300))] {
            let error = text.parse::<ModelRef>().unwrap_err();
            assert!(error.contains("PROVIDER/MODEL"), "{text}: {error}");
        }
    }
}
