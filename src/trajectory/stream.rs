//! The records of one run, or of the session: numbered, put into lines, and these into files.
//!
//! Lines gather in a buffer and are written together. What cannot be written is as if it had never been numbered, and the
//! next line that can be is a `gap` that tells how many are missing. What was said before a gap may be lost, so nothing
//! behind it refers to anything before it: the count of gaps, [`Stream::epoch`], tells who has to begin anew.

use std::borrow::Cow;
use std::collections::HashSet;
use std::io::Write as _;
use std::sync::Arc;

use serde_json::Value;

use super::part::{Part, Short};
use super::queue::Names;
use super::record::{Event, Gap, SCHEMA, SessionHead, TextId, TextRecord};
use super::recorder::Redact;

/// A longer line is not written; the next one tells of it.
pub(super) const LINE_MAX: usize = 32 << 20;
/// Of a longer text only the length is written.
pub(super) const TEXT_MAX: usize = 8 << 20;
/// Texts of which it is known that they are written; past that they are written again.
const KEPT: usize = 100_000;
/// A buffer of so many bytes is written before more is put into it.
const FULL: usize = 1 << 20;
/// A longer name of a field is none of ours.
const FIELD: usize = 24;
/// A larger buffer is not kept for the next time.
const LARGE: usize = 4 << 20;

/// What is missing.
#[derive(Debug, Default)]
struct Lost {
    records: u64,
    bytes: u64,
    why: String,
}

/// What an event is written with.
pub(super) struct Ink<'a> {
    /// What the record is about.
    pub(super) names: &'a Names,
    /// Microseconds since the session began.
    pub(super) at: u64,
    pub(super) redact: Option<&'a Redact>,
}

/// One numbered row of records.
pub(super) struct Stream {
    /// The first line of each of its files, but for the number of the part.
    pub(super) head: SessionHead,
    /// What the heads are about.
    names: Arc<Names>,
    /// The file that is written now.
    pub(super) part: Option<Part>,
    /// Its number; the next one's while there is none.
    pub(super) number: u32,
    /// Whether the head of the part is written or in the buffer.
    headed: bool,
    /// The last record in a file, and the last one in the buffer.
    written: u64,
    seq: u64,
    buffer: Vec<u8>,
    kept: HashSet<TextId>,
    lost: Lost,
    /// What a gap in the buffer tells of, and the number of that gap.
    told: (Lost, u64),
    epoch: u64,
}

impl Stream {
    pub(super) fn new(names: Arc<Names>, head: SessionHead) -> Self {
        Self {
            head,
            names,
            part: None,
            number: 1,
            headed: false,
            written: 0,
            seq: 0,
            buffer: Vec::new(),
            kept: HashSet::new(),
            lost: Lost::default(),
            told: (Lost::default(), 0),
            epoch: 0,
        }
    }

    /// Counts the gaps.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Records in the buffer.
    pub(super) fn waiting(&self) -> u64 {
        self.seq - self.written
    }

    /// So many records will not be written.
    pub(super) fn lose(&mut self, records: u64, bytes: u64, why: &str) {
        self.lost.records += records;
        self.lost.bytes += bytes;
        why.clone_into(&mut self.lost.why);
        self.kept.clear();
        self.epoch += 1;
    }

    /// All files so far are gone. Gives how many records those had.
    pub(super) fn lose_all(&mut self, why: &str) -> u64 {
        let gone = self.written;
        let (told, _) = std::mem::take(&mut self.told);
        self.lose(self.seq + told.records, self.buffer.len() as u64 + told.bytes, why);
        self.buffer.clear();
        (self.seq, self.written) = (0, 0);
        self.part = None;
        self.headed = false;
        gone
    }

    /// Puts an event into the buffer.
    pub(super) fn add(&mut self, ink: &Ink<'_>, event: &Event) {
        if !self.headed {
            self.headed = true;
            let names = Arc::clone(&self.names);
            let head = SessionHead { part: self.number, ..self.head.clone() };
            self.line(&Ink { names: &names, ..*ink }, &head.into());
        }
        if self.lost.records > 0 {
            let lost = std::mem::take(&mut self.lost);
            let gap = Gap { lost: lost.records, bytes: lost.bytes, why: lost.why.clone() };
            self.line(ink, &gap.into());
            self.told = (lost, self.seq);
        }
        self.line(ink, event);
    }

    /// Puts a text into the buffer, unless it is written already.
    pub(super) fn keep(&mut self, ink: &Ink<'_>, text: &str) -> TextId {
        let hash = TextId::of(text);
        if !self.kept.contains(&hash) {
            if self.kept.len() >= KEPT {
                self.kept.clear();
            }
            let content = (text.len() <= TEXT_MAX).then(|| Arc::from(text));
            self.add(ink, &TextRecord { hash: hash.clone(), text: content, bytes: text.len() }.into());
            self.kept.insert(hash.clone());
        }
        hash
    }

    fn line(&mut self, ink: &Ink<'_>, event: &Event) {
        let begin = self.buffer.len();
        self.seq += 1;
        if self.put(ink, event).is_ok() && self.buffer.len() - begin <= LINE_MAX {
            return;
        }
        // Too long, or nothing that JSON has a form for: a gap, because what comes may refer to it.
        let bytes = (self.buffer.len() - begin) as u64;
        self.buffer.truncate(begin);
        self.seq -= 1;
        self.lose(1, bytes, "a record was longer than any may be");
    }

    fn put(&mut self, ink: &Ink<'_>, event: &Event) -> Result<(), serde_json::Error> {
        let Self { buffer, seq, .. } = self;
        // Writing to memory cannot fail.
        let _ = write!(buffer, "{{\"v\":{SCHEMA},\"seq\":{seq},\"t\":{}", ink.at);
        if let Some(run) = &ink.names.run {
            buffer.extend_from_slice(b",\"run\":");
            serde_json::to_writer(&mut *buffer, run)?;
        }
        if let Some(thread) = &ink.names.thread {
            buffer.extend_from_slice(b",\"thread\":");
            serde_json::to_writer(&mut *buffer, thread)?;
        }
        buffer.extend_from_slice(b",\"kind\":");
        serde_json::to_writer(&mut *buffer, event.kind())?;
        buffer.extend_from_slice(b",\"data\":");
        let data = buffer.len();
        event.serialize_data(&mut serde_json::Serializer::new(&mut *buffer))?;
        if let Some(redact) = ink.redact
            && let Some(clean) = redacted(redact, &buffer[data..])
        {
            buffer.truncate(data);
            buffer.extend_from_slice(&clean);
            buffer.extend_from_slice(b",\"redacted\":true");
        }
        buffer.extend_from_slice(b"}\n");
        Ok(())
    }

    /// Writes the buffer to the file, which must be open. Gives the records and bytes that are there, and what the
    /// system says if those are not all.
    pub(super) fn write(&mut self) -> (u64, usize, std::io::Result<()>) {
        let Some(part) = &mut self.part else { return (0, 0, Err(std::io::ErrorKind::NotFound.into())) };
        match part.append(&self.buffer) {
            Ok(()) => {
                let wrote = (self.waiting(), self.buffer.len(), Ok(()));
                self.written = self.seq;
                self.told = (Lost::default(), 0);
                self.buffer.clear();
                if self.buffer.capacity() > LARGE {
                    self.buffer = Vec::new();
                }
                wrote
            }
            Err(Short { lines, bytes, error }) => {
                self.missed(lines, bytes, &error.to_string());
                (lines, bytes, Err(error))
            }
        }
    }

    /// Only so many lines and bytes of the buffer are in the file.
    pub(super) fn missed(&mut self, lines: u64, bytes: usize, why: &str) {
        let missing = self.waiting().saturating_sub(lines);
        self.written += lines;
        let (told, at) = std::mem::take(&mut self.told);
        // A gap that did not get there has to be told again, together with this.
        let again = at > self.written;
        self.lose(missing, (self.buffer.len() - bytes) as u64, why);
        if again {
            // The gap itself is no record that anybody misses.
            self.lost.records += told.records - 1;
            self.lost.bytes += told.bytes;
        }
        self.seq = self.written;
        self.headed = self.part.as_ref().is_some_and(|part| part.length() > 0);
        self.buffer.clear();
    }

    /// The file is closed; what comes goes into the next one.
    pub(super) fn next_part(&mut self) -> Option<Part> {
        let part = self.part.take()?;
        self.number += 1;
        self.headed = false;
        Some(part)
    }

    /// What comes will hardly refer to what was: no memory is kept for it.
    pub(super) fn forget(&mut self) {
        self.kept = HashSet::new();
        self.buffer = Vec::new();
    }

    /// Whether the buffer should not grow any more.
    pub(super) fn is_full(&self) -> bool {
        self.buffer.len() >= FULL
    }

    /// Whether there is something to write.
    pub(super) fn is_dirty(&self) -> bool {
        !self.buffer.is_empty()
    }
}

/// The JSON without the secrets in it, if there are any. What is found is taken out of the texts it stands in and not out
/// of the JSON, which it could break.
fn redacted(redact: &Redact, json: &[u8]) -> Option<Vec<u8>> {
    // What serde_json wrote is UTF-8.
    let text = std::str::from_utf8(json).ok()?;
    if matches!(redact(text), Cow::Borrowed(_)) {
        return None;
    }
    // What is nested too deeply to be looked through is not written.
    let Ok(mut value) = serde_json::from_slice::<Value>(json) else { return Some(b"null".to_vec()) };
    clean(redact, &mut value).then(|| serde_json::to_vec(&value).unwrap_or_else(|_| b"null".to_vec()))
}

/// Takes the secrets out of every text; whether there were any.
fn clean(redact: &Redact, value: &mut Value) -> bool {
    match value {
        Value::String(text) => match redact(text) {
            Cow::Owned(clean) => {
                *text = clean;
                true
            }
            Cow::Borrowed(_) => false,
        },
        Value::Array(list) => list.iter_mut().fold(false, |found, value| clean(redact, value) | found),
        Value::Object(map) => {
            let mut found = false;
            for (name, mut value) in std::mem::take(map) {
                found |= clean(redact, &mut value);
                // A word that is also the name of one of our fields would make the record unreadable.
                let name = match redact(&name) {
                    Cow::Owned(clean) if name.len() > FIELD => {
                        found = true;
                        clean
                    }
                    _ => name,
                };
                map.insert(name, value);
            }
            found
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}
