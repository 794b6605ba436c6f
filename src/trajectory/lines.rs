//! Lines of a file, plain or compressed, with a bound on each and on all: what is on disk may be anybody's.

use std::fs::File;
use std::io::{self, BufRead, BufReader};

/// A longer line is skipped.
const LONGEST: usize = super::stream::LINE_MAX + (1 << 20);
/// Bytes that are read of one file, unpacked; a recorder writes a tenth of it.
const MOST: u64 = 1 << 30;
/// What unpacking may take of memory, as a power of two: four times of what packing takes.
const WINDOW_LOG: u32 = 23;

/// What comes next in a file.
#[derive(Debug)]
pub(super) enum Line {
    /// A whole line is in the buffer, without its end.
    Whole,
    /// One of so many bytes was skipped.
    TooLong(u64),
    /// The file ends without the end of a line.
    Torn,
    /// Nothing more.
    End,
}

/// Reads lines.
pub(super) struct Lines {
    source: Box<dyn BufRead + Send>,
    /// Bytes that were read, unpacked.
    offset: u64,
}

impl Lines {
    /// Of a plain file.
    pub(super) fn plain(file: File) -> Self {
        Self::of(BufReader::with_capacity(1 << 16, file))
    }

    /// Of a compressed one.
    pub(super) fn packed(file: File) -> io::Result<Self> {
        let mut decoder = zstd::stream::read::Decoder::new(file)?;
        decoder.window_log_max(WINDOW_LOG)?;
        Ok(Self::of(BufReader::with_capacity(1 << 16, decoder)))
    }

    fn of(source: impl BufRead + Send + 'static) -> Self {
        Self { source: Box::new(source.take(MOST)), offset: 0 }
    }

    /// Where the next line begins, in unpacked bytes.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Reads the next line into `line`.
    ///
    /// # Errors
    /// The file cannot be read any further, or holds more than any of ours.
    pub(super) fn next(&mut self, line: &mut Vec<u8>) -> io::Result<Line> {
        line.clear();
        let begin = self.offset;
        let mut skipping = false;
        loop {
            let chunk = match self.source.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                chunk => chunk?,
            };
            if chunk.is_empty() {
                return match self.offset - begin {
                    _ if self.offset >= MOST => Err(io::Error::other("it is larger than any of ours")),
                    0 => Ok(Line::End),
                    _ => Ok(Line::Torn),
                };
            }
            let end = memchr::memchr(b'\n', chunk);
            let part = &chunk[..end.unwrap_or(chunk.len())];
            skipping |= line.len() + part.len() > LONGEST;
            if skipping {
                line.clear();
            } else {
                line.extend_from_slice(part);
            }
            let used = part.len() + usize::from(end.is_some());
            self.source.consume(used);
            self.offset += used as u64;
            if end.is_some() {
                return Ok(if skipping { Line::TooLong(self.offset - begin) } else { Line::Whole });
            }
        }
    }
}
