//! Bytes of a body in, events out, without a socket: framing and a vendor's decoder as one machine.

use crate::llm::failure::Failure;
use crate::llm::provider::{Decode, Framing};
use crate::llm::sse::Parser;
use crate::llm::{LlmErrorKind, StreamEvent};

/// Reads one response.
pub struct Reader {
    parser: Parser,
    decoder: Box<dyn Decode>,
}

impl Reader {
    /// A reader for one response.
    pub fn new(decoder: Box<dyn Decode>) -> Self {
        let parser = match decoder.framing() {
            Framing::Events => Parser::new(),
            Framing::Lines => Parser::lines(),
        };
        Self { parser, decoder }
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
