//! Bytes of a body in, events out, without a socket: framing and a vendor's decoder as one machine.

use crate::llm::StreamEvent;
use crate::llm::failure::Failure;
use crate::llm::provider::Decode;
use crate::llm::sse::Parser;

/// Reads one response.
pub(crate) struct Reader {
    parser: Parser,
    decoder: Box<dyn Decode>,
}

impl Reader {
    pub(crate) fn new(decoder: Box<dyn Decode>) -> Self {
        Self { parser: Parser::new(), decoder }
    }

    /// Takes bytes as they come. What follows the protocol's end is none of the answer's business.
    ///
    /// # Errors
    /// The stream cannot be continued.
    pub(crate) fn feed(&mut self, bytes: &[u8], out: &mut Vec<StreamEvent>) -> Result<(), Failure> {
        let decoder = &mut self.decoder;
        let fed = self.parser.feed::<Failure>(bytes, &mut |name, data| decoder.event(name, data, out));
        if self.decoder.is_done() { Ok(()) } else { fed }
    }

    /// The body is over, well or badly; whether that is an error is for the protocol to say.
    ///
    /// # Errors
    /// The protocol's end has not come.
    pub(crate) fn end(&mut self, out: &mut Vec<StreamEvent>) -> Result<(), Failure> {
        let decoder = &mut self.decoder;
        // An event cut in two is no event, and no news beside the cut itself.
        let _ = self.parser.finish::<Failure>(&mut |name, data| decoder.event(name, data, out));
        self.decoder.end(out)
    }

    /// Whether the protocol's end has been reported.
    pub(crate) fn is_done(&self) -> bool {
        self.decoder.is_done()
    }
}
