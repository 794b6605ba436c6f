//! Cuts the byte stream into messages: header lines, a blank line, a body of so many bytes.
//!
//! Nothing a client sends ends this: a header that cannot be read is reported once and skipped up to the next
//! `Content-Length`, a body over the limit is passed by without being kept. Memory never grows ahead of the bytes that
//! have really arrived, whatever a header claims.

use std::ops::Range;

/// Longest header section, in bytes.
const HEADER_CAP: usize = 8 * 1024;
/// Longest body, in bytes.
pub const BODY_CAP: u64 = 64 * 1024 * 1024;
/// A length above this cannot be meant: it is read as a broken header, since waiting for that many bytes would be
/// waiting for ever.
const ABSURD: u64 = 1 << 40;
/// How much of a body over the limit is kept, to tell which request it was.
const HEAD_KEPT: usize = 4 * 1024;
/// A buffer larger than this is given back once it is empty.
const BUFFER_KEPT: usize = 256 * 1024;

/// A piece of the stream.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// The body of a message.
    Body(&'a [u8]),
    /// A body over the limit went by; `head` is how it began.
    Oversized {
        /// Its first bytes.
        head: &'a [u8],
        /// Its length in bytes.
        length: u64,
    },
    /// A header section that cannot be read.
    BadHeader(&'static str),
}

/// The state of the cutting.
#[derive(Debug)]
pub struct Framer {
    buffer: Vec<u8>,
    start: usize,
    state: State,
    body_cap: u64,
}

#[derive(Debug)]
enum State {
    Header(Header),
    Body(usize),
    Skip { left: u64, length: u64, head: Vec<u8> },
}

#[derive(Debug, Default)]
struct Header {
    /// What the section said so far; `Some(None)` is a length that cannot be read.
    length: Option<Option<u64>>,
    /// Bytes of the section read so far.
    section: usize,
    /// Whether any line stood in the section.
    lines: bool,
    /// Lost in what is no header, already reported.
    lost: bool,
}

enum Step {
    Body(Range<usize>),
    Oversized(Vec<u8>, u64),
    Bad(&'static str),
}

impl Default for Framer {
    fn default() -> Self {
        Self::new(BODY_CAP)
    }
}

impl Framer {
    /// A framer that passes by bodies of more than `body_cap` bytes.
    pub fn new(body_cap: u64) -> Self {
        Self { buffer: Vec::new(), start: 0, state: State::Header(Header::default()), body_cap }
    }

    /// Takes bytes as they arrive; then ask [`Framer::each`] for frames.
    pub fn push(&mut self, mut bytes: &[u8]) {
        if let State::Skip { left, head, .. } = &mut self.state {
            // A body that is passed by never enters the buffer.
            let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
            let kept = HEAD_KEPT.saturating_sub(head.len()).min(taken);
            head.extend_from_slice(&bytes[..kept]);
            *left -= taken as u64;
            bytes = &bytes[taken..];
        }
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
            if self.buffer.is_empty() && self.buffer.capacity() > BUFFER_KEPT {
                self.buffer = Vec::new();
            }
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Hands over the frames that are complete, in order, until none is or `f` breaks.
    pub fn each<B>(&mut self, mut f: impl FnMut(Frame<'_>) -> std::ops::ControlFlow<B>) -> std::ops::ControlFlow<B> {
        while let Some(step) = self.step() {
            match step {
                Step::Body(range) => f(Frame::Body(&self.buffer[range]))?,
                Step::Oversized(head, length) => f(Frame::Oversized { head: &head, length })?,
                Step::Bad(why) => f(Frame::BadHeader(why))?,
            }
        }
        std::ops::ControlFlow::Continue(())
    }

    fn step(&mut self) -> Option<Step> {
        loop {
            match &mut self.state {
                State::Body(length) => {
                    let end = self.start + *length;
                    if self.buffer.len() < end {
                        return None;
                    }
                    let body = self.start..end;
                    self.start = end;
                    self.state = State::Header(Header::default());
                    return Some(Step::Body(body));
                }
                State::Skip { left, length, head } => {
                    // What the buffer held when the header was read; later bytes are skipped in `push`.
                    let here = self.buffer.len() - self.start;
                    let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(here);
                    let kept = HEAD_KEPT.saturating_sub(head.len()).min(taken);
                    head.extend_from_slice(&self.buffer[self.start..self.start + kept]);
                    *left -= taken as u64;
                    self.start += taken;
                    if *left > 0 {
                        return None;
                    }
                    let (head, length) = (std::mem::take(head), *length);
                    self.state = State::Header(Header::default());
                    return Some(Step::Oversized(head, length));
                }
                State::Header(_) => {
                    if let Some(step) = self.header_line()? {
                        return Some(step);
                    }
                }
            }
        }
    }

    /// Reads one header line: `None` if none is complete, `Some(None)` to go on, `Some(Some(_))` to report.
    fn header_line(&mut self) -> Option<Option<Step>> {
        let State::Header(header) = &mut self.state else { return Some(None) };
        let pending = &self.buffer[self.start..];
        let Some(end) = memchr::memchr(b'\n', pending) else {
            if pending.len() <= HEADER_CAP {
                return None;
            }
            // Not a header: forget it but for its end, where a `Content-Length` may just begin.
            self.start = self.buffer.len() - 64;
            let report = !std::mem::replace(&mut header.lost, true);
            header.length = None;
            return Some(report.then_some(Step::Bad("a header line of more than 8 KiB")));
        };
        let line = pending[..end].trim_ascii();
        self.start += end + 1;
        header.section += end + 1;
        if !line.is_empty() {
            header.lines = true;
            if let Some(length) = content_length(line, header.lost) {
                header.length = Some(length);
            }
            if header.section > HEADER_CAP {
                let report = !header.lost;
                *header = Header { lost: true, ..Header::default() };
                return Some(report.then_some(Step::Bad("a header of more than 8 KiB")));
            }
            return Some(None);
        }
        match header.length {
            Some(Some(length)) if length <= self.body_cap => {
                self.state = State::Body(length as usize);
                Some(None)
            }
            Some(Some(length)) => {
                self.state = State::Skip { left: length, length, head: Vec::new() };
                Some(None)
            }
            found => {
                // A stray blank line between two messages is no header at all.
                let report = header.lines && !header.lost;
                let lost = header.lost || header.lines;
                *header = Header { lost, ..Header::default() };
                let why = if found.is_some() {
                    "a Content-Length that is no number of bytes"
                } else {
                    "a header without Content-Length"
                };
                Some(report.then_some(Step::Bad(why)))
            }
        }
    }
}

/// The length a header line gives: `None` if the line is about something else, `Some(None)` if it cannot be read.
/// While `lost`, the name may stand anywhere in the line: the body of a message whose header was broken ends without a
/// line end, right before the next header.
fn content_length(line: &[u8], lost: bool) -> Option<Option<u64>> {
    const NAME: &[u8] = b"content-length";
    let at = if lost {
        let at = line.len().checked_sub(NAME.len())?;
        (0..=at).rev().find(|&at| line[at..at + NAME.len()].eq_ignore_ascii_case(NAME))?
    } else {
        0
    };
    let name = line.get(at..at + NAME.len())?;
    if !name.eq_ignore_ascii_case(NAME) {
        return None;
    }
    let value = line[at + NAME.len()..].trim_ascii_start().strip_prefix(b":")?.trim_ascii();
    let digits = std::str::from_utf8(value).ok().filter(|value| value.bytes().all(|byte| byte.is_ascii_digit()));
    Some(digits.and_then(|digits| digits.parse().ok()).filter(|&length| length <= ABSURD))
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::*;

    fn frames(framer: &mut Framer, bytes: &[u8]) -> Vec<String> {
        let mut seen = Vec::new();
        framer.push(bytes);
        let _: ControlFlow<()> = framer.each(|frame| {
            seen.push(match frame {
                Frame::Body(body) => String::from_utf8_lossy(body).into_owned(),
                Frame::Oversized { head, length } => format!("<{length}: {}>", String::from_utf8_lossy(head)),
                Frame::BadHeader(why) => format!("<{why}>"),
            });
            ControlFlow::Continue(())
        });
        seen
    }

    fn all(bytes: &[u8]) -> Vec<String> {
        frames(&mut Framer::new(100), bytes)
    }

    #[test]
    fn headers_are_read_whatever_their_case_number_and_line_ends() {
        assert_eq!(all(b"Content-Length: 2\r\n\r\nab"), ["ab"]);
        assert_eq!(all(b"content-length:2\n\nab"), ["ab"]);
        assert_eq!(all(b"CONTENT-LENGTH :  2 \r\nX: y\r\nContent-Type: a; charset=utf-9\r\nZ\r\n\r\nab"), ["ab"]);
        assert_eq!(all(b"Content-Length: 0\r\n\r\nContent-Length: 1\r\n\r\nx"), ["", "x"]);
        assert_eq!(all(b"\r\n\r\nContent-Length: 1\r\n\r\nx\r\nContent-Length: 1\r\n\r\ny"), ["x", "y"]);
    }

    #[test]
    fn the_stream_may_be_cut_anywhere() {
        let stream = b"Content-Length: 3\r\nA: b\r\n\r\nabcContent-Length: 200\r\n\r\n".to_vec();
        let stream = [stream, vec![b'z'; 200], b"Content-Length: 1\r\n\r\nx".to_vec()].concat();
        let mut framer = Framer::new(100);
        let seen: Vec<_> = stream.iter().flat_map(|byte| frames(&mut framer, &[*byte])).collect();
        assert_eq!(seen, ["abc".to_owned(), format!("<200: {}>", "z".repeat(200)), "x".to_owned()]);
    }

    #[test]
    fn a_broken_header_is_reported_once_and_the_next_message_is_found() {
        for (length, why) in [
            ("Content-Length: -5", "<a Content-Length that is no number of bytes>"),
            ("Content-Length: ten", "<a Content-Length that is no number of bytes>"),
            ("Content-Length: 99999999999999999999999", "<a Content-Length that is no number of bytes>"),
            ("Content-Lenght: 5", "<a header without Content-Length>"),
        ] {
            let stream = format!("{length}\r\n\r\n{{\"a\":\n\n1}}content-length: 2\r\n\r\nok");
            assert_eq!(all(stream.as_bytes()), [why, "ok"], "{length}");
        }
    }

    #[test]
    fn a_header_without_end_is_dropped_at_constant_memory() {
        let mut framer = Framer::new(100);
        let mut seen = Vec::new();
        for _ in 0..1000 {
            seen.extend(frames(&mut framer, &[b'x'; 1024]));
            assert!(framer.buffer.capacity() < 64 * 1024);
        }
        seen.extend(frames(&mut framer, b"Content-Length: 2\r\n\r\nok"));
        assert_eq!(seen, ["<a header line of more than 8 KiB>", "ok"]);
        let lines = "Name: value\r\n".repeat(10_000);
        let seen = all(format!("{lines}\r\nContent-Length: 2\r\n\r\nok").as_bytes());
        assert_eq!(seen, ["<a header of more than 8 KiB>", "ok"]);
    }

    #[test]
    fn a_body_over_the_limit_goes_by_at_constant_memory() {
        let mut framer = Framer::new(100);
        assert!(frames(&mut framer, b"Content-Length: 4000000\r\n\r\n{\"id\":7,").is_empty());
        for _ in 0..(4_000_000 - 8) / 1000 {
            assert!(frames(&mut framer, &[b' '; 1000]).is_empty());
        }
        let mut rest = vec![b' '; 992];
        rest.extend_from_slice(b"Content-Length: 2\r\n\r\nok");
        let seen = frames(&mut framer, &rest);
        assert!(seen[0].starts_with("<4000000: {\"id\":7,"), "{seen:?}");
        assert_eq!(seen[1], "ok");
        assert!(framer.buffer.capacity() < 64 * 1024);
    }

    #[test]
    fn a_claimed_length_takes_no_memory_before_the_bytes_come() {
        let mut framer = Framer::default();
        assert!(frames(&mut framer, format!("Content-Length: {BODY_CAP}\r\n\r\n").as_bytes()).is_empty());
        assert!(framer.buffer.capacity() < 64 * 1024);
    }
}
