//! A whole scripted turn, told without a protocol and rendered in any.

use serde_json::Value;

use super::{Protocol, anthropic, google, ollama, openai, responses};

/// An HTTP answer that is no stream.
#[derive(Clone, Debug)]
pub(super) struct Plain {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
}

/// What the model answers to one request.
#[derive(Clone, Debug, Default)]
pub struct Turn {
    text: String,
    calls: Vec<(Option<String>, String, String)>,
    usage: (u64, u64, u64),
    cut: bool,
    pub(super) failure: Option<Plain>,
}

impl Turn {
    /// It says this and ends.
    pub fn text(text: &str) -> Self {
        Self { text: text.to_owned(), usage: (100, 0, 10), ..Self::default() }
    }

    /// It calls these tools at once: (name, arguments).
    pub fn calls<'a>(calls: impl IntoIterator<Item = (&'a str, Value)>) -> Self {
        let calls = calls.into_iter().map(|(name, arguments)| (None, name.to_owned(), arguments.to_string())).collect();
        Self { calls, usage: (100, 0, 10), ..Self::default() }
    }

    /// An HTTP failure instead of a turn.
    pub fn failure(status: u16, headers: &[(&str, &str)], body: &str) -> Self {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self { failure: Some(Plain { status, headers, body: body.to_owned() }), ..Self::default() }
    }

    /// Says this before its calls.
    #[must_use]
    pub fn saying(mut self, text: &str) -> Self {
        self.text = text.to_owned();
        self
    }

    /// One more call, with an id and arguments spelt by the test (they need not be valid).
    #[must_use]
    pub fn call(mut self, id: &str, name: &str, arguments: &str) -> Self {
        self.calls.push((Some(id.to_owned()), name.to_owned(), arguments.to_owned()));
        self
    }

    /// What it costs: whole prompt, the part of it from the cache, output.
    #[must_use]
    pub fn usage(mut self, input: u64, cached: u64, output: u64) -> Self {
        self.usage = (input, cached, output);
        self
    }

    /// Cut by the output limit.
    #[must_use]
    pub fn cut_by_limit(mut self) -> Self {
        self.cut = true;
        self
    }

    /// Its events in a protocol, text and arguments in small pieces.
    pub fn events(&self, protocol: Protocol) -> Vec<String> {
        let mut events = Vec::new();
        match protocol {
            Protocol::OpenAi => self.openai(&mut events),
            Protocol::Responses => self.responses(&mut events),
            Protocol::Anthropic => self.anthropic(&mut events),
            Protocol::Google => self.google(&mut events),
            Protocol::Ollama => self.ollama(&mut events),
        }
        events
    }

    /// How the turn ends: cut by the limit, with calls or without, each with its word.
    fn ends<'w>(&self, cut: &'w str, calls: &'w str, plain: &'w str) -> &'w str {
        match (self.cut, self.calls.is_empty()) {
            (true, _) => cut,
            (false, false) => calls,
            (false, true) => plain,
        }
    }

    fn openai(&self, events: &mut Vec<String>) {
        let (input, cached, output) = self.usage;
        events.push(openai::start());
        events.extend(pieces(&self.text, 9).map(openai::text));
        for (index, (id, name, arguments)) in self.calls.iter().enumerate() {
            events.push(openai::call(index, &call_id("call", id.as_deref(), index), name, ""));
            events.extend(pieces(arguments, 12).map(|piece| openai::arguments(index, piece)));
        }
        events.push(openai::finish(self.ends("length", "tool_calls", "stop")));
        events.push(openai::usage(input, cached, output));
        events.push(openai::done());
    }

    fn responses(&self, events: &mut Vec<String>) {
        let (input, cached, output) = self.usage;
        events.push(responses::created());
        let mut item = 0;
        if !self.text.is_empty() {
            events.push(responses::added(item, &responses::message("msg_1", "")));
            events.extend(pieces(&self.text, 9).map(|piece| responses::text(item, "msg_1", piece)));
            events.push(responses::item_done(item, &responses::message("msg_1", &self.text)));
            item += 1;
        }
        for (index, (id, name, arguments)) in self.calls.iter().enumerate() {
            let (id, call_id) = (format!("fc_{index}"), call_id("call", id.as_deref(), index));
            events.push(responses::added(item, &responses::call(&id, &call_id, name, "")));
            events.extend(pieces(arguments, 12).map(|piece| responses::arguments(item, &id, piece)));
            events.push(responses::arguments_done(item, &id, arguments));
            events.push(responses::item_done(item, &responses::call(&id, &call_id, name, arguments)));
            item += 1;
        }
        events.push(responses::end(self.cut.then_some("max_output_tokens"), input, cached, output));
    }

    fn anthropic(&self, events: &mut Vec<String>) {
        let (input, cached, output) = self.usage;
        events.push(anthropic::start(input.saturating_sub(cached), cached));
        let mut block = 0;
        if !self.text.is_empty() {
            events.push(anthropic::text_block(block));
            events.extend(pieces(&self.text, 9).map(|piece| anthropic::text(block, piece)));
            events.push(anthropic::stop_block(block));
            block += 1;
        }
        for (index, (id, name, arguments)) in self.calls.iter().enumerate() {
            events.push(anthropic::call(block, &call_id("toolu", id.as_deref(), index), name));
            events.push(anthropic::arguments(block, ""));
            events.extend(pieces(arguments, 12).map(|piece| anthropic::arguments(block, piece)));
            events.push(anthropic::stop_block(block));
            block += 1;
        }
        events.push(anthropic::finish(self.ends("max_tokens", "tool_use", "end_turn"), output));
        events.push(anthropic::done());
    }

    fn google(&self, events: &mut Vec<String>) {
        let (input, cached, output) = self.usage;
        events.extend(pieces(&self.text, 9).map(google::text));
        for (index, (id, name, arguments)) in self.calls.iter().enumerate() {
            // Of parallel calls only the first has a signature.
            let signature = (index == 0).then_some("c2ln_-+/==");
            events.push(google::call(Some(&call_id("call", id.as_deref(), index)), name, arguments, signature));
        }
        events.push(google::finish(self.ends("MAX_TOKENS", "STOP", "STOP"), input, cached, output));
    }

    fn ollama(&self, events: &mut Vec<String>) {
        let (input, _, output) = self.usage;
        events.extend(pieces(&self.text, 9).map(ollama::text));
        for (index, (id, name, arguments)) in self.calls.iter().enumerate() {
            events.push(ollama::call(Some(&call_id("call", id.as_deref(), index)), name, arguments));
        }
        events.push(ollama::done(self.ends("length", "stop", "stop"), input, output));
    }
}

/// The test's own id, or one that no other call of this process has, as providers do it.
fn call_id(prefix: &str, own: Option<&str>, index: usize) -> String {
    static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(1);
    own.map_or_else(
        || format!("{prefix}_{}_{index}", NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)),
        str::to_owned,
    )
}

/// Pieces of at most `size` bytes, more where a character would be cut.
fn pieces(mut text: &str, size: usize) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        if text.is_empty() {
            return None;
        }
        let end = (size.min(text.len())..=text.len()).find(|&at| text.is_char_boundary(at))?;
        let (piece, rest) = text.split_at(end);
        text = rest;
        Some(piece)
    })
}
