//! What providers themselves say of their models, asked for and kept for a while.
//!
//! It stands between the user's word, which wins, and the built-in table, which is as old as this build.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;
use reqwest::Method;

use crate::config::ProviderConfig;
use crate::llm::client::Client;
use crate::llm::failure::Failure;
use crate::llm::provider::{HttpRequest, codec_of};
use crate::llm::secrets::Secrets;
use crate::llm::transport::{read_error_body, whole};

/// A list is asked for again after this time,
const FRESH: Duration = Duration::from_secs(600);
/// and a provider that did not give one after this.
const FAILED: Duration = Duration::from_secs(30);
/// Of a longer list the rest is not known.
const MAX_MODELS: usize = 1000;
/// Models of which a provider is asked one by one: those of the user's own machine.
const MAX_DESCRIBED: usize = 64;
const AT_ONCE: usize = 8;
/// The largest list taken.
pub(super) const MAX_BODY: usize = 8 << 20;

/// What a provider says of a model. Nothing means that it does not say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Its name there.
    pub name: String,
    /// Tokens of a prompt, at most.
    pub context_window: Option<u64>,
    /// Tokens of an answer, at most.
    pub max_output_tokens: Option<u64>,
    /// Whether it can call tools.
    pub tools: Option<bool>,
    /// Whether it can think.
    pub thinking: Option<bool>,
    /// Whether it answers at all; others are for search or pictures.
    pub chat: bool,
}

impl Facts {
    /// A model of which only the name is known.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            context_window: None,
            max_output_tokens: None,
            tools: None,
            thinking: None,
            chat: true,
        }
    }
}

/// The answer of one provider.
#[derive(Debug)]
struct Answer {
    asked: Instant,
    list: Result<Arc<[Facts]>, String>,
}

/// The answers so far. A provider is known by its name and address.
#[derive(Debug, Default)]
pub struct Catalogue {
    answers: Mutex<HashMap<(String, String), Answer>>,
}

impl Catalogue {
    fn lock(&self) -> MutexGuard<'_, HashMap<(String, String), Answer>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The provider's models, or why it did not name them; nothing if it was not asked.
    pub fn list(&self, provider: &ProviderConfig) -> Option<Result<Arc<[Facts]>, String>> {
        self.lock().get(&key(provider)).map(|answer| answer.list.clone())
    }

    /// What the provider says of a model.
    pub fn facts(&self, provider: &ProviderConfig, model: &str) -> Option<Facts> {
        let list = self.list(provider)?.ok()?;
        // Ollama calls a model without a tag its latest.
        let same = |name: &str| name == model || name.strip_suffix(":latest") == Some(model);
        list.iter().find(|facts| same(&facts.name)).cloned()
    }

    fn is_fresh(&self, provider: &ProviderConfig) -> bool {
        self.lock()
            .get(&key(provider))
            .is_some_and(|answer| answer.asked.elapsed() < if answer.list.is_ok() { FRESH } else { FAILED })
    }

    fn keep(&self, provider: &ProviderConfig, list: Result<Arc<[Facts]>, String>) {
        self.lock().insert(key(provider), Answer { asked: Instant::now(), list });
    }
}

fn key(provider: &ProviderConfig) -> (String, String) {
    (provider.name.clone(), provider.base_url.to_string())
}

impl Client {
    /// Asks the provider for its models, unless it was asked lately. Dropping the future forgets the question.
    pub async fn refresh(&self, provider: &ProviderConfig) {
        if self.catalogue().is_fresh(provider) {
            return;
        }
        let list = match self.ask_for_models(provider).await {
            Ok(list) => Ok(list.into()),
            Err(failure) => Err(Secrets::of(provider).clean(failure.error).message),
        };
        self.catalogue().keep(provider, list);
    }

    async fn ask_for_models(&self, provider: &ProviderConfig) -> Result<Vec<Facts>, Failure> {
        let codec = codec_of(provider)?;
        let (path, headers) = codec.list_models(provider)?;
        let question = HttpRequest { path, headers, body: Bytes::new() };
        let body = self.fetch(provider, Method::GET, question, MAX_BODY).await?;
        let mut list = codec.read_models(&body);
        list.truncate(MAX_MODELS);
        for some in list.iter_mut().take(MAX_DESCRIBED).collect::<Vec<_>>().chunks_mut(AT_ONCE) {
            let described = some.iter_mut().filter_map(|facts| {
                let question = codec.describe(&facts.name, provider)?.ok()?;
                Some(async move {
                    // What is not told stays unknown.
                    if let Ok(body) = self.fetch(provider, Method::POST, question, MAX_BODY).await {
                        codec.read_description(&body, facts);
                    }
                })
            });
            join_all(described).await;
        }
        list.retain(|facts| facts.chat);
        Ok(list)
    }

    /// The body of an answer that is no stream; of one larger than `limit` the beginning.
    async fn fetch(
        &self,
        provider: &ProviderConfig,
        method: Method,
        question: HttpRequest,
        limit: usize,
    ) -> Result<Vec<u8>, Failure> {
        let HttpRequest { path, headers, body } = question;
        let response = self.transport().send(provider, method, &path, &headers, body).await?;
        let (status, idle) = (response.status().as_u16(), provider.timeouts.idle);
        if !(200..300).contains(&status) {
            let head = response.headers().clone();
            let body = read_error_body(response, idle).await;
            return Err(codec_of(provider)?.error(status, &head, &body));
        }
        whole(response, idle, limit).await
    }
}
