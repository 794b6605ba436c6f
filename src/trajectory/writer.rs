//! Puts what was recorded into the files of the session, and copes with disks that are full and folders that go.
//!
//! Nothing here can fail for the caller: what cannot be written is counted and told in the file once there is room, the
//! user is told once, and the next try is a second later.

use std::collections::HashMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::keep::Keeper;
use super::part::Part;
use super::queue::{Batch, Entry, Names, What};
use super::record::{Dropped, Ended, Event, RunHead, SCHEMA, SessionHead, Started, TextId};
use super::recorder::{Redact, Shared};
use super::store::{self, Place};
use super::stream::{Ink, Stream};
use crate::ids::RunId;

/// After a failure nothing is tried for so long.
const REST: Duration = Duration::from_secs(1);
/// Times that a folder is made which somebody removes meanwhile.
const TRIES: u32 = 5;
/// Runs whose numbers are remembered after their end.
const STREAMS: usize = 1_000;
/// Characters of a prompt that a list shows.
const PROMPT_SHOWN: usize = 200;
/// Files that an entry of a list names.
const FILES_SHOWN: usize = 50;

/// What an event that is made on the writer's thread can ask of it.
pub struct Texts<'a> {
    stream: &'a mut Stream,
    ink: &'a Ink<'a>,
}

impl Texts<'_> {
    /// Sees to it that a text stands in the recording, and gives its name.
    pub fn keep(&mut self, text: &str) -> TextId {
        self.stream.keep(self.ink, text)
    }

    /// Another number than before means that records may be missing in between: refer to nothing before.
    pub fn epoch(&self) -> u64 {
        self.stream.epoch()
    }
}

pub(super) struct Writer {
    shared: Arc<Shared>,
    keeper: Keeper,
    place: Option<Arc<Place>>,
    /// By run; the session's own has none.
    streams: HashMap<Option<RunId>, Stream>,
    /// Nothing is tried before.
    rest: Option<Instant>,
    /// What to say of what is lost meanwhile.
    why: String,
    told: bool,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let keeper = Keeper::new(shared.clone());
        Self { shared, keeper, place: None, streams: HashMap::new(), rest: None, why: String::new(), told: false }
    }

    /// Writes a batch and leaves it empty.
    pub(super) fn write(&mut self, batch: &mut Batch) {
        let _span = tracing::debug_span!("recorderFlush").entered();
        let (begun, records) = (Instant::now(), batch.entries.len());
        let troubles = self.shared.counts.troubles.load(Relaxed);
        let ready = self.is_ready();
        let redact = self.shared.redactor();
        for entry in batch.entries.drain(..) {
            if ready && self.rest.is_none() {
                self.one(entry, redact.as_ref());
            } else if !matches!(entry.what, What::End) {
                self.lose(&entry.names, 1);
            }
        }
        for (names, count) in batch.flooded.drain(..) {
            "more came at once than can be kept".clone_into(&mut self.why);
            self.lose(&names, count);
        }
        let dirty: Vec<_> =
            self.streams.iter().filter(|(_, stream)| stream.is_dirty()).map(|(run, _)| run.clone()).collect();
        for run in dirty {
            self.put(&run);
        }
        let ok = self.shared.counts.troubles.load(Relaxed) == troubles;
        self.shared.wrote(begun.elapsed(), ok, records);
    }

    /// Whether there is a folder to write to.
    fn is_ready(&mut self) -> bool {
        if self.rest.is_some_and(|until| Instant::now() < until) {
            return false;
        }
        self.rest = None;
        if let Some(place) = &self.place
            && !place.is_there()
        {
            self.gone();
        }
        if self.place.is_none() {
            match self.new_place() {
                Ok(place) => {
                    let place = Arc::new(place);
                    self.shared.began(&place.id);
                    self.streams.values_mut().for_each(|stream| stream.head.id.clone_from(&place.id));
                    self.keeper.begin(&place);
                    self.place = Some(place);
                }
                Err(error) => self.trouble(&error),
            }
        }
        self.place.is_some()
    }

    /// A folder for the session. Somebody may be removing what is made, so it is tried again.
    fn new_place(&self) -> io::Result<Place> {
        let mut tries = 1..TRIES;
        loop {
            match Place::new(&self.shared.settings.dir, self.shared.clock.started_unix_us) {
                Err(error) if error.kind() == io::ErrorKind::NotFound && tries.next().is_some() => {}
                other => return other,
            }
        }
    }

    /// Somebody has removed the folder.
    fn gone(&mut self) {
        self.place = None;
        let why = "the folder of the recording was removed";
        let mut records = 0;
        for stream in self.streams.values_mut() {
            records += stream.lose_all(why);
        }
        self.shared.counts.lost.fetch_add(records, Relaxed);
        self.tell("somebody has removed the folder of the recordings; what was recorded so far is lost");
    }

    fn trouble(&mut self, error: &io::Error) {
        self.shared.counts.troubles.fetch_add(1, Relaxed);
        self.rest = Some(Instant::now() + REST);
        self.why = error.to_string();
        let dir = self.shared.settings.dir.display();
        let what = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                format!("there is no room for recordings in {dir}; make some, or set `recording.dir`")
            }
            _ => format!("no recordings can be written to {dir} ({error}); mend that, or set `recording.dir`"),
        };
        self.tell(&format!("{what}. The work goes on without"));
    }

    fn tell(&mut self, what: &str) {
        tracing::debug!(what, "a recording has a gap");
        if !std::mem::replace(&mut self.told, true) {
            (self.shared.settings.trouble)(format!("Ropeway: {what}."));
        }
    }

    fn lose(&mut self, names: &Arc<Names>, records: u64) {
        self.shared.counts.lost.fetch_add(records, Relaxed);
        let why = std::mem::take(&mut self.why);
        self.stream(names).lose(records, 0, &why);
        self.why = why;
    }

    fn stream(&mut self, names: &Arc<Names>) -> &mut Stream {
        let run = key(names);
        if self.streams.len() >= STREAMS && !self.streams.contains_key(&run) {
            self.streams.retain(|run, stream| run.is_none() || stream.part.is_some() || stream.is_dirty());
        }
        let shared = &self.shared;
        let id = self.place.as_ref().map(|place| place.id.clone());
        self.streams.entry(run).or_insert_with_key(|run| {
            let about = &shared.settings.about;
            let head = SessionHead {
                id: id.unwrap_or_default(),
                schema: SCHEMA,
                version: about.version.clone(),
                pid: std::process::id(),
                started_unix_us: shared.clock.started_unix_us,
                part: 1,
                roots: about.roots.clone(),
                client: about.client.clone(),
            };
            let names = match run {
                Some(_) => names.clone(),
                None => Arc::new(Names { run: None, thread: None, in_session: true }),
            };
            Stream::new(names, head)
        })
    }

    fn one(&mut self, entry: Entry, redact: Option<&Redact>) {
        let Entry { names, at, what } = entry;
        let ink = Ink { names: &names, at, redact };
        let event = match what {
            What::End => return self.end(&names),
            What::Event(event) => event,
            What::Dropped(kind, bytes) => Dropped { of: kind.into_owned(), bytes }.into(),
            What::Later(make) => {
                let mut texts = Texts { stream: self.stream(&names), ink: &ink };
                // One record that cannot be made must not end the recording.
                match catch_unwind(AssertUnwindSafe(|| make(&mut texts))) {
                    Ok(event) => event,
                    Err(_) => {
                        "it could not be made".clone_into(&mut self.why);
                        return self.lose(&names, 1);
                    }
                }
            }
        };
        let stream = self.stream(&names);
        stream.add(&ink, &event);
        if stream.is_full() {
            self.put(&key(&names));
        }
        if let (false, Some(line)) = (names.in_session, listed(&event)) {
            let names = Arc::new(Names { run: names.run.clone(), thread: names.thread.clone(), in_session: true });
            self.stream(&names).add(&Ink { names: &names, ..ink }, &line);
        }
    }

    /// Writes the buffer of a stream.
    fn put(&mut self, run: &Option<RunId>) {
        let (Some(place), Some(stream)) = (self.place.clone(), self.streams.get_mut(run)) else { return };
        if !stream.is_dirty() {
            return;
        }
        let counts = &self.shared.counts;
        if stream.part.as_ref().is_some_and(|part| !part.is_there()) {
            let gone = stream.lose_all("the file of the recording was removed");
            counts.lost.fetch_add(gone, Relaxed);
            return;
        }
        if stream.part.is_none() {
            match place.create(run.as_ref(), &mut stream.number) {
                Ok(file) => {
                    stream.part = Some(Part::new(file));
                    counts.parts.fetch_add(1, Relaxed);
                }
                Err(error) => {
                    counts.lost.fetch_add(stream.waiting(), Relaxed);
                    stream.missed(0, 0, &error.to_string());
                    return match place.is_there() {
                        true => self.trouble(&error),
                        false => self.gone(),
                    };
                }
            }
        }
        let waiting = stream.waiting();
        let (records, bytes, result) = stream.write();
        counts.records.fetch_add(records, Relaxed);
        counts.bytes.fetch_add(bytes as u64, Relaxed);
        counts.writes.fetch_add(1, Relaxed);
        if let Err(error) = result {
            counts.lost.fetch_add(waiting - records, Relaxed);
            counts.gaps.fetch_add(1, Relaxed);
            return self.trouble(&error);
        }
        if stream.part.as_ref().is_some_and(|part| part.length() >= self.shared.settings.part_bytes) {
            self.close_part(run);
        }
    }

    /// Closes the file of a stream and has it compressed.
    fn close_part(&mut self, run: &Option<RunId>) {
        let (Some(place), Some(stream)) = (self.place.clone(), self.streams.get_mut(run)) else { return };
        let number = stream.number;
        if let Some(part) = stream.next_part() {
            if self.shared.settings.background {
                part.sync();
            }
            if run.is_some() {
                self.keeper.closed(&place, store::part_name(run.as_ref(), number));
            }
        }
    }

    fn end(&mut self, names: &Arc<Names>) {
        let run = key(names);
        if run.is_some() && self.streams.contains_key(&run) {
            self.put(&run);
            self.close_part(&run);
            if let Some(stream) = self.streams.get_mut(&run) {
                stream.forget();
            }
        }
    }

    /// The server ends. Files are left plain: whoever starts next compresses them.
    pub(super) fn close(&mut self) {
        let runs: Vec<_> = self.streams.keys().cloned().collect();
        for run in runs {
            self.put(&run);
            if let Some(part) = self.streams.get_mut(&run).and_then(|stream| stream.part.take())
                && self.shared.settings.background
            {
                part.sync();
            }
        }
        self.keeper.close();
        self.place = None;
    }
}

/// In which row a record stands.
fn key(names: &Names) -> Option<RunId> {
    names.run.as_ref().filter(|run| !names.in_session && store::is_name(run.as_str())).cloned()
}

/// What a list of runs is told of an event.
fn listed(event: &Event) -> Option<Event> {
    match event {
        Event::Started(started) => {
            let Started { action, title, model, prompt, .. } = &**started;
            let prompt = prompt.chars().take(PROMPT_SHOWN).collect();
            Some(RunHead { action: action.clone(), title: title.clone(), model: model.clone(), prompt }.into())
        }
        Event::Finished(finished) => {
            let outcome = &finished.outcome;
            let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
            let files = outcome.get("files").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            let ended = Ended {
                status: text(outcome.get("status")).unwrap_or_default(),
                steps: outcome.get("steps").and_then(Value::as_u64).unwrap_or_default(),
                usage: outcome.get("usage").cloned().unwrap_or_default(),
                timing: outcome.get("timing").cloned().unwrap_or_default(),
                files: files.iter().take(FILES_SHOWN).filter_map(|file| text(file.get("uri"))).collect(),
                error_code: text(outcome.pointer("/error/code")),
            };
            Some(ended.into())
        }
        _ => None,
    }
}
