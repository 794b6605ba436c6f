//! What must never stand in an error: the key and the user's own header values. Providers echo keys in their 401s.

use secrecy::{ExposeSecret, SecretString};

use crate::config::ProviderConfig;
use crate::llm::LlmError;
use crate::llm::failure::redact;

/// The secrets of one provider, and its name, which every error begins with.
#[derive(Clone, Debug)]
pub(crate) struct Secrets {
    provider: String,
    values: Vec<SecretString>,
}

impl Secrets {
    /// Of this provider.
    pub(crate) fn of(provider: &ProviderConfig) -> Self {
        let headers = provider.headers.iter().map(|(_, value)| value);
        // A short header value such as `true` is no secret, and taking it out would garble the text.
        let headers = headers.filter(|value| value.expose_secret().len() >= 8);
        let values = provider.key.iter().chain(headers).cloned().collect();
        Self { provider: provider.name.clone(), values }
    }

    /// The error as it may be shown: with the provider's name and without its secrets.
    pub(crate) fn clean(&self, mut error: LlmError) -> LlmError {
        let mut values = Vec::new();
        for value in &self.values {
            let value = value.expose_secret().trim();
            values.push(value);
            // `Bearer …` in a header of the user's own: the token alone counts too.
            values.extend(value.split_whitespace().filter(|part| part.len() >= 8));
        }
        redact(&mut error, &values);
        error.message = format!("{}: {}", self.provider, error.message);
        error
    }
}
