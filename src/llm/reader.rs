//! Bytes of a body in, events out, without a socket: framing and a vendor's decoder as one machine.

use std::sync::{Mutex, PoisonError};

use crate::llm::failure::Failure;
use crate::llm::provider::{Decode, Framing};
use crate::llm::sse::{Buffers, Parser};
use crate::llm::{LlmErrorKind, StreamEvent};

/// Responses whose memory is kept for later ones.
const SPARES: usize = 8;
/// Events that a list keeps room for.
const EVENTS: usize = 256;

/// Memory of responses that are over. Past its bound, memory is taken and given back as usual.
#[derive(Default)]
pub(crate) struct Spares(Mutex<Vec<(Buffers, Vec<StreamEvent>)>>);

impl std::fmt::Debug for Spares {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Spares")
    }
}

impl Spares {
    /// Memory for a response: used before, or new.
    pub(crate) fn take(&self) -> (Buffers, Vec<StreamEvent>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    /// Takes a response's memory, emptied, for the next.
    pub(crate) fn give_back(&self, buffers: Buffers, mut events: Vec<StreamEvent>) {
        events.clear();
        events.shrink_to(EVENTS);
        let mut spares = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if spares.len() < SPARES {
            spares.push((buffers, events));
        }
    }
}

/// Reads one response.
pub struct Reader {
    parser: Parser,
    decoder: Box<dyn Decode>,
}

impl Reader {
    /// A reader for one response.
    pub fn new(decoder: Box<dyn Decode>) -> Self {
        Self::with(decoder, Buffers::default())
    }

    /// A reader on memory of an earlier one.
    pub(crate) fn with(decoder: Box<dyn Decode>, buffers: Buffers) -> Self {
        let parser = Parser::with(buffers, decoder.framing() == Framing::Lines);
        Self { parser, decoder }
    }

    /// The memory, for the next response; this one is over.
    pub(crate) fn take_buffers(&mut self) -> Buffers {
        self.parser.take_buffers()
    }

    /// Takes bytes as they come. What follows the protocol's end is none of the answer's business.
    ///
    /// # Errors
    /// The stream cannot be continued.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<StreamEvent>) -> Result<(), Failure> {
        let decoder = &mut self.decoder;
        let fed = self.parser.feed::<Failure>(bytes, &mut |name, data| decoder.event(name, data, out));
        if self.decoder.is_done() { Ok(()) } else { fed }
    }

    /// The body is over, well or badly; whether that is an error is for the protocol to say.
    ///
    /// # Errors
    /// The protocol's end has not come.
    pub fn end(&mut self, out: &mut Vec<StreamEvent>) -> Result<(), Failure> {
        let decoder = &mut self.decoder;
        let last = self.parser.finish::<Failure>(&mut |name, data| decoder.event(name, data, out));
        self.decoder.end(out).map_err(|cut| {
            // An event cut in two is no news beside the cut itself, but a whole one may say why it is one.
            last.err().filter(|failure| failure.error.kind != LlmErrorKind::BadResponse).unwrap_or(cut)
        })
    }

    /// Whether the protocol's end has been reported.
    pub fn is_done(&self) -> bool {
        self.decoder.is_done()
    }
}
