//! Server-sent events from bytes, in place.
//!
//! A parser of our own, because those at hand panic on a byte order mark, take quadratic time for a large event, or
//! bound nothing. A line that lies whole in a chunk is never copied; one that is cut is gathered in a buffer that is
//! kept; each byte is searched once. Bad UTF-8 is the decoder's to replace: a line end is never part of a character.

use thiserror::Error;

/// The largest event taken.
pub const MAX_EVENT: usize = 16 << 20;
/// A buffer that grew beyond this for one event is given back after it.
const KEEP: usize = 1 << 20;

/// An event passed `MAX_EVENT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("one event of the stream is larger than {} MiB", MAX_EVENT >> 20)]
pub struct Oversize;

/// Takes the name and the data of each event.
pub type Sink<'s, E> = dyn FnMut(&str, &[u8]) -> Result<(), E> + 's;

/// An incremental parser for one stream.
#[derive(Debug, Default)]
pub struct Parser {
    /// The beginning of a line whose end has not come.
    line: Vec<u8>,
    /// The data of the event so far, without its last line end.
    data: Vec<u8>,
    has_data: bool,
    name: Vec<u8>,
    after_cr: bool,
    begun: bool,
}

impl Parser {
    /// A parser at the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes and hands each complete event to `sink` as its name (empty without one) and its data.
    ///
    /// # Errors
    /// The sink's, or `Oversize`; the stream cannot be continued after either.
    pub fn feed<E: From<Oversize>>(&mut self, mut chunk: &[u8], sink: &mut Sink<'_, E>) -> Result<(), E> {
        // The first data line of an event stays where it is as long as the event ends in the same chunk.
        let mut borrowed: Option<&[u8]> = None;
        if self.after_cr && !chunk.is_empty() {
            self.after_cr = false;
            chunk = chunk.strip_prefix(b"\n").unwrap_or(chunk);
        }
        while let Some(end) = memchr::memchr2(b'\n', b'\r', chunk) {
            let head = &chunk[..end];
            if self.line.is_empty() {
                self.line_done(head, &mut borrowed, sink)?;
            } else {
                self.grow_line(head)?;
                let mut line = std::mem::take(&mut self.line);
                self.spill(&mut borrowed)?;
                let mut own: Option<&[u8]> = None;
                self.line_done(&line, &mut own, sink)?;
                self.spill(&mut own)?;
                line.clear();
                line.shrink_to(KEEP);
                self.line = line;
            }
            let was_cr = chunk[end] == b'\r';
            chunk = &chunk[end + 1..];
            if was_cr {
                match chunk.split_first() {
                    None => self.after_cr = true,
                    Some((b'\n', rest)) => chunk = rest,
                    Some(_) => {}
                }
            }
        }
        self.spill(&mut borrowed)?;
        self.grow_line(chunk)?;
        Ok(())
    }

    /// The stream is over. An event that lacks only its blank line is handed over: servers forget it after the last.
    ///
    /// # Errors
    /// The sink's, or `Oversize`.
    pub fn finish<E: From<Oversize>>(&mut self, sink: &mut Sink<'_, E>) -> Result<(), E> {
        self.feed(b"\n\n", sink)
    }

    fn grow_line(&mut self, bytes: &[u8]) -> Result<(), Oversize> {
        if self.line.len() + self.data.len() + bytes.len() > MAX_EVENT {
            return Err(Oversize);
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    /// Moves a borrowed first line into the event's own data.
    fn spill(&mut self, borrowed: &mut Option<&[u8]>) -> Result<(), Oversize> {
        match borrowed.take() {
            Some(first) => self.append(first),
            None => Ok(()),
        }
    }

    fn append(&mut self, value: &[u8]) -> Result<(), Oversize> {
        if self.data.len() + value.len() + 1 > MAX_EVENT {
            return Err(Oversize);
        }
        if self.has_data {
            self.data.push(b'\n');
        }
        self.data.extend_from_slice(value);
        self.has_data = true;
        Ok(())
    }

    fn line_done<'c, E: From<Oversize>>(
        &mut self,
        mut line: &'c [u8],
        borrowed: &mut Option<&'c [u8]>,
        sink: &mut Sink<'_, E>,
    ) -> Result<(), E> {
        if !self.begun {
            self.begun = true;
            line = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line);
        }
        if line.is_empty() {
            return self.dispatch(borrowed, sink);
        }
        let (field, value) = match memchr::memchr(b':', line) {
            Some(colon) => {
                let value = &line[colon + 1..];
                (&line[..colon], value.strip_prefix(b" ").unwrap_or(value))
            }
            None => (line, &b""[..]),
        };
        match field {
            b"data" if !self.has_data && borrowed.is_none() => *borrowed = Some(value),
            b"data" => {
                self.spill(borrowed)?;
                self.append(value)?;
            }
            b"event" => {
                self.name.clear();
                self.name.extend_from_slice(value);
            }
            // Comments have an empty field name; `id` and `retry` are for clients that reconnect.
            _ => {}
        }
        Ok(())
    }

    fn dispatch<E>(&mut self, borrowed: &mut Option<&[u8]>, sink: &mut Sink<'_, E>) -> Result<(), E> {
        let name = std::str::from_utf8(&self.name).unwrap_or("");
        let result = match borrowed.take() {
            Some(data) => sink(name, data),
            None if self.has_data => sink(name, &self.data),
            None => Ok(()),
        };
        self.name.clear();
        self.data.clear();
        self.data.shrink_to(KEEP);
        self.has_data = false;
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Events = Vec<(String, String)>;

    fn parse(chunks: &[&[u8]]) -> Events {
        let mut events = Vec::new();
        let mut parser = Parser::new();
        for chunk in chunks {
            parser
                .feed::<Oversize>(chunk, &mut |name, data| {
                    events.push((name.to_owned(), String::from_utf8_lossy(data).into_owned()));
                    Ok(())
                })
                .unwrap();
        }
        events
    }

    fn datas(events: &Events) -> Vec<&str> {
        events.iter().map(|(_, data)| data.as_str()).collect()
    }

    const STREAM: &str = "\u{feff}: hello\n\nevent: a\ndata: one\n\ndata:two\ndata:  three\nevent:b\nid: \0\nretry: 3\n\n\
        event: lost\n\ndata\n\nunknown: x\ndata: é😀\u{2028}x\n\ndata: tail\n\n";

    fn expected() -> Events {
        [("a", "one"), ("b", "two\n three"), ("", ""), ("", "é😀\u{2028}x"), ("", "tail")]
            .map(|(name, data)| (name.to_owned(), data.to_owned()))
            .to_vec()
    }

    #[test]
    fn the_grammar_is_read_whatever_the_line_ends() {
        for end in ["\n", "\r\n", "\r"] {
            let stream = STREAM.replace('\n', end);
            assert_eq!(parse(&[stream.as_bytes()]), expected(), "{end:?}");
        }
    }

    #[test]
    fn a_split_at_every_byte_changes_nothing() {
        for end in ["\n", "\r\n", "\r"] {
            let stream = STREAM.replace('\n', end);
            let bytes = stream.as_bytes();
            for at in 0..=bytes.len() {
                assert_eq!(parse(&[&bytes[..at], &bytes[at..]]), expected(), "{end:?} at {at}");
            }
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            assert_eq!(parse(&single), expected(), "{end:?} byte by byte");
        }
    }

    #[test]
    fn bad_utf8_does_not_end_the_stream() {
        assert_eq!(datas(&parse(&[b"data: a\xffb\n\ndata: c\n\n"])), ["a\u{fffd}b", "c"]);
    }

    #[test]
    fn an_event_without_its_blank_line_comes_at_the_end_only() {
        let mut parser = Parser::new();
        let mut seen = Vec::new();
        let mut sink = |_: &str, data: &[u8]| {
            seen.push(data.to_vec());
            Ok::<(), Oversize>(())
        };
        parser.feed(b"data: [DONE]", &mut sink).unwrap();
        parser.finish(&mut sink).unwrap();
        assert_eq!(seen, [b"[DONE]"]);
    }

    #[test]
    fn a_large_event_in_small_chunks_is_whole() {
        let text = "x".repeat(5 << 20);
        let stream = format!("data: {text}\n\ndata: after\n\n");
        let chunks: Vec<&[u8]> = stream.as_bytes().chunks(1024).collect();
        let events = parse(&chunks);
        assert_eq!(datas(&events), [text.as_str(), "after"]);
    }

    #[test]
    fn an_endless_line_and_endless_data_lines_are_refused() {
        let chunk = vec![b'x'; 1 << 20];
        let mut parser = Parser::new();
        let mut sink = |_: &str, _: &[u8]| Ok::<(), Oversize>(());
        let fed = (0..20).take_while(|_| parser.feed(&chunk, &mut sink).is_ok()).count();
        assert_eq!(fed, MAX_EVENT >> 20);

        let mut line = b"data: ".to_vec();
        line.resize(1 << 20, b'x');
        line.push(b'\n');
        let mut parser = Parser::new();
        let fed = (0..20).take_while(|_| parser.feed(&line, &mut sink).is_ok()).count();
        assert!(fed <= MAX_EVENT >> 20, "{fed}");
    }

    #[test]
    fn the_sinks_error_comes_out() {
        #[derive(Debug, PartialEq)]
        struct Mine;
        impl From<Oversize> for Mine {
            fn from(_: Oversize) -> Self {
                Self
            }
        }
        let mut parser = Parser::new();
        assert_eq!(parser.feed(b"data: x\n\n", &mut |_, _| Err(Mine)), Err(Mine));
    }
}
