//! Server-sent events from bytes, in place.
//!
//! A parser of our own, because those at hand panic on a byte order mark, take quadratic time for a large event, or
//! bound nothing. A line that lies whole in a chunk is never copied; one that is cut is gathered in a buffer that is
//! kept; each byte is searched once. Bad UTF-8 is the decoder's to replace: a line end is never part of a character.
//!
//! Two things beside the grammar: JSON that stands in a stream without any field (a server, or what is in front of it,
//! writes an error there) is an event too, and a stream of bare lines (NDJSON) is read by the same buffers.

use thiserror::Error;

use crate::llm::scan::ObjectScan;

/// The largest event taken.
pub const MAX_EVENT: usize = 16 << 20;
/// A buffer that grew beyond this for one event is given back after it.
const KEEP: usize = 1 << 20;

/// What a buffer keeps while no stream needs it.
const KEEP_IDLE: usize = 64 << 10;

/// An event passed `MAX_EVENT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("one event of the stream is larger than {} MiB", MAX_EVENT >> 20)]
pub struct Oversize;

/// Takes the name and the data of each event.
pub type Sink<'s, E> = dyn FnMut(&str, &[u8]) -> Result<(), E> + 's;

/// A parser's memory, for the next one.
#[derive(Debug, Default)]
pub struct Buffers([Vec<u8>; 3]);

/// An incremental parser for one stream.
#[derive(Debug, Default)]
pub struct Parser {
    /// The beginning of a line whose end has not come.
    line: Vec<u8>,
    /// The data of the event so far, without its last line end.
    data: Vec<u8>,
    /// Bytes at its beginning that are none of it: a line that became the data had its field's name there.
    skip: usize,
    has_data: bool,
    name: Vec<u8>,
    after_cr: bool,
    begun: bool,
    /// Each line is an event.
    lines: bool,
    /// JSON outside of any field, not yet complete.
    bare: Vec<u8>,
    scan: ObjectScan,
}

impl Parser {
    /// A parser at the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// A parser for a stream in which each line that is not blank is an event.
    pub fn lines() -> Self {
        Self { lines: true, ..Self::default() }
    }

    /// A parser on the memory of an earlier one; `lines`: for a stream in which each line that is not blank is an event.
    pub fn with(buffers: Buffers, lines: bool) -> Self {
        let [line, data, name] = buffers.0;
        Self { line, data, name, lines, ..Self::default() }
    }

    /// The memory, emptied and at most as much as is worth keeping; the parser is at the start of a stream again.
    pub fn take_buffers(&mut self) -> Buffers {
        let Self { line, data, name, .. } = std::mem::take(self);
        Buffers([line, data, name].map(|mut buffer| {
            buffer.clear();
            buffer.shrink_to(KEEP_IDLE);
            buffer
        }))
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
                // A value is the end of its line, and megabytes are not copied where the buffers can change places.
                if let Some(len) = own.map(<[u8]>::len) {
                    self.skip = line.len() - len;
                    self.has_data = true;
                    std::mem::swap(&mut self.data, &mut line);
                }
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
        if self.lines {
            return if line.trim_ascii().is_empty() { Ok(()) } else { sink("", line) };
        }
        if !self.bare.is_empty() || matches!(line, [b'{' | b'[', ..]) {
            if !line.starts_with(b"data:") {
                return self.bare_line(line, sink);
            }
            // Half an object, and then the stream goes on: it was none.
            self.bare.clear();
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

    /// A line of JSON outside of any field; also of the array that some wrap around it.
    fn bare_line<E: From<Oversize>>(&mut self, mut line: &[u8], sink: &mut Sink<'_, E>) -> Result<(), E> {
        while !line.is_empty() {
            if self.bare.is_empty() {
                self.scan = ObjectScan::default();
                let Some(start) = line.iter().position(|byte| !b"[], \t".contains(byte)) else { return Ok(()) };
                line = &line[start..];
                if line[0] != b'{' {
                    return Ok(());
                }
            }
            if self.bare.len() + self.data.len() + line.len() > MAX_EVENT {
                return Err(Oversize.into());
            }
            let Some(end) = self.scan.end(line) else {
                self.bare.extend_from_slice(line);
                self.bare.push(b'\n');
                return Ok(());
            };
            let (last, rest) = line.split_at(end);
            line = rest;
            self.bare.extend_from_slice(last);
            let result = sink("", &self.bare);
            self.bare.clear();
            self.bare.shrink_to(KEEP);
            result?;
        }
        Ok(())
    }

    fn dispatch<E>(&mut self, borrowed: &mut Option<&[u8]>, sink: &mut Sink<'_, E>) -> Result<(), E> {
        let name = std::str::from_utf8(&self.name).unwrap_or("");
        let result = match borrowed.take() {
            Some(data) => sink(name, data),
            None if self.has_data => sink(name, &self.data[self.skip..]),
            None => Ok(()),
        };
        self.name.clear();
        self.data.clear();
        self.data.shrink_to(KEEP);
        self.skip = 0;
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
    fn json_outside_of_any_field_is_an_event() {
        let pretty = "data: a\n\n[{\n  \"error\": {\n    \"code\": 503,\n\n    \"x\": \"}{\"\n  }\n},\n{\"b\":1},{\"c\":2}\n]\n\ndata: d\n\n";
        let expected =
            ["a", "{\n  \"error\": {\n    \"code\": 503,\n    \"x\": \"}{\"\n  }\n}", "{\"b\":1}", "{\"c\":2}", "d"];
        assert_eq!(datas(&parse(&[pretty.as_bytes()])), expected);
        for at in 0..=pretty.len() {
            assert_eq!(datas(&parse(&[&pretty.as_bytes()[..at], &pretty.as_bytes()[at..]])), expected, "at {at}");
        }
        assert_eq!(datas(&parse(&[b"{half\n\ndata: a\n\n[1,2]\ndata: b\n\n"])), ["a", "b"]);
    }

    #[test]
    fn lines_are_events_where_there_are_no_fields() {
        let stream = "\u{feff}{\"a\":1}\n\n  \r\n{\"b\":\"\u{2028}\"}\r\nlast";
        for at in 0..=stream.len() {
            let mut seen = Vec::new();
            let mut sink = |_: &str, data: &[u8]| {
                seen.push(String::from_utf8_lossy(data).into_owned());
                Ok::<(), Oversize>(())
            };
            let mut parser = Parser::lines();
            parser.feed(&stream.as_bytes()[..at], &mut sink).unwrap();
            parser.feed(&stream.as_bytes()[at..], &mut sink).unwrap();
            parser.finish(&mut sink).unwrap();
            assert_eq!(seen, ["{\"a\":1}", "{\"b\":\"\u{2028}\"}", "last"], "at {at}");
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
