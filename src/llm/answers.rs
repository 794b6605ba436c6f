//! Answers that were given before, for requests that would be answered the same again.
//!
//! Which requests those are: the temperature is 0, and the conversation holds no result of a tool, which may be
//! another by now. What is in files and buffers stands in the request itself, so a changed file is another request.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use moka::sync::Cache;
use reqwest::header::HeaderMap;
use ring::digest;
use secrecy::ExposeSecret;

use crate::config::ProviderConfig;
use crate::llm::kept::{Kept, hex};
use crate::llm::{Message, Request, Stop, StreamEvent};

/// A larger answer is not kept.
const MAX_ANSWER: usize = 256 << 10;

/// What makes two requests the same: where they go, who pays, and every byte of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key([u8; 32]);

impl Key {
    /// Of a request as it would be sent. The credential is in the headers, or among the user's own.
    pub(crate) fn of(provider: &ProviderConfig, path: &str, headers: &HeaderMap, body: &[u8]) -> Self {
        let mut hash = digest::Context::new(&digest::SHA256);
        let mut part = |bytes: &[u8]| {
            hash.update(&(bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        part(provider.name.as_bytes());
        part(provider.base_url.as_str().as_bytes());
        part(path.as_bytes());
        for (name, value) in headers {
            part(name.as_str().as_bytes());
            part(value.as_bytes());
        }
        for (name, value) in &provider.headers {
            part(name.as_bytes());
            part(value.expose_secret().as_bytes());
        }
        part(body);
        let mut key = [0; 32];
        key.copy_from_slice(hash.finish().as_ref());
        Self(key)
    }

    /// As 64 digits.
    pub(crate) fn hex(&self) -> String {
        hex(&self.0)
    }

    #[cfg(test)]
    pub(crate) fn example(number: u8) -> Self {
        Self([number; 32])
    }
}

/// Whether a request carries nothing but what was asked: no result of a tool.
pub(crate) fn is_first(request: &Request) -> bool {
    !request.messages.iter().any(|message| matches!(message, Message::ToolResults(_)))
}

/// Whether the same request would be answered the same again.
pub(crate) fn is_deterministic(request: &Request) -> bool {
    request.temperature == Some(0.0) && is_first(request)
}

/// Remembered answers.
#[derive(Debug)]
pub(crate) struct Answers {
    entries: u64,
    keep: Duration,
    /// Made with the first answer: most sessions have none.
    cache: OnceLock<Cache<Key, Arc<[StreamEvent]>>>,
    /// Where they are kept for the next server.
    disk: Option<Kept>,
    hits: AtomicU64,
    misses: AtomicU64,
}

impl Answers {
    /// For at most so many answers, each for at most so long; none of either switches it off.
    pub(crate) fn new(entries: u64, keep: Duration, disk: Option<Kept>) -> Self {
        let (hits, misses) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { entries, keep, cache: OnceLock::new(), disk, hits, misses }
    }

    /// Whether anything is remembered at all.
    pub(crate) fn is_on(&self) -> bool {
        self.entries > 0 && !self.keep.is_zero()
    }

    /// The answer to a request that was answered before, here or, if that is switched on, by another server.
    pub(crate) async fn get(&self, key: &Key) -> Option<Arc<[StreamEvent]>> {
        let mut found = self.cache.get().and_then(|cache| cache.get(key));
        if let Some(kept) = self.disk.clone().filter(|_| found.is_none()) {
            let (key, keep) = (*key, self.keep);
            let read = tokio::task::spawn_blocking(move || kept.get(&key, keep));
            // It is not taken into memory: it would be used for longer than it may.
            found = read.await.ok().flatten().map(Arc::from);
        }
        if found.is_some() { &self.hits } else { &self.misses }.fetch_add(1, Relaxed);
        found
    }

    /// Remembers a whole answer, if it ended as it should and is not too large.
    pub(crate) async fn put(&self, key: Key, events: &[StreamEvent]) {
        let Some(kept) = self.remember(key, events) else { return };
        if let Some(disk) = self.disk.clone() {
            // That it cannot be written was logged there.
            let _ = tokio::task::spawn_blocking(move || disk.put(&key, &kept)).await;
        }
    }

    /// Takes an answer into memory; gives what was taken.
    fn remember(&self, key: Key, events: &[StreamEvent]) -> Option<Arc<[StreamEvent]>> {
        let Some(StreamEvent::Done(response)) = events.last() else { return None };
        if !self.is_on() || !matches!(response.stop, Stop::EndTurn | Stop::ToolCalls) {
            return None;
        }
        let size: usize = events.iter().map(size_of).sum();
        if size > MAX_ANSWER {
            return None;
        }
        let mut events = events.to_vec();
        if let Some(StreamEvent::Done(response)) = events.last_mut() {
            // Nothing is paid for it a second time.
            response.usage = None;
        }
        let make = || Cache::builder().max_capacity(self.entries).time_to_live(self.keep).build();
        let events: Arc<[StreamEvent]> = events.into();
        self.cache.get_or_init(make).insert(key, Arc::clone(&events));
        Some(events)
    }

    /// Answers found, and looked for without success.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.hits.load(Relaxed), self.misses.load(Relaxed))
    }
}

/// About what an event holds in memory.
fn size_of(event: &StreamEvent) -> usize {
    let text = match event {
        StreamEvent::Text(text) | StreamEvent::Thinking(text) => text.len(),
        StreamEvent::CallStarted { .. } => 0,
        StreamEvent::Call { call, .. } => call.arguments.len(),
        StreamEvent::Done(response) => {
            let turn = &response.turn;
            let calls: usize = turn.calls.iter().map(|call| call.arguments.len() + 64).sum();
            turn.text.len() + calls + turn.raw.as_ref().map_or(0, |raw| raw.get().len())
        }
    };
    std::mem::size_of::<StreamEvent>() + text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ProviderKind;
    use crate::llm::Response;
    use crate::llm::endpoint::example;

    fn key(url: &str, secret: &str, body: &str) -> Key {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", secret.parse().unwrap());
        Key::of(&example(ProviderKind::OpenAi, url), "x", &headers, body.as_bytes())
    }

    fn answer(text: &str, stop: Stop) -> Vec<StreamEvent> {
        vec![StreamEvent::Text(text.to_owned()), StreamEvent::Done(Box::new(Response { stop, ..Response::default() }))]
    }

    #[test]
    fn address_credential_and_body_make_the_key() {
        let one = key("https://a.b", "k1", "body");
        assert_eq!(one, key("https://a.b", "k1", "body"));
        for other in
            [key("https://a.c", "k1", "body"), key("https://a.b", "k2", "body"), key("https://a.b", "k1", "bod")]
        {
            assert_ne!(one, other);
        }
    }

    #[tokio::test]
    async fn only_a_whole_answer_of_a_common_size_is_kept_and_a_switch_keeps_none() {
        let (answers, key) = (Answers::new(5, Duration::from_secs(60), None), key("https://a.b", "k", "b"));
        answers.put(key, &answer("x", Stop::Length)[..]).await;
        answers.put(key, &answer("x", Stop::EndTurn)[..1]).await;
        answers.put(key, &answer(&"x".repeat(MAX_ANSWER), Stop::EndTurn)).await;
        assert!(answers.get(&key).await.is_none());
        answers.put(key, &answer("x", Stop::EndTurn)).await;
        assert_eq!((answers.get(&key).await.unwrap().len(), answers.counts()), (2, (1, 1)));
        for off in [Answers::new(0, Duration::from_secs(1), None), Answers::new(5, Duration::ZERO, None)] {
            off.put(key, &answer("x", Stop::EndTurn)).await;
            assert!(off.get(&key).await.is_none() && off.cache.get().is_none());
        }
    }
}
