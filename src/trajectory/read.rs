//! Reading recordings: lists of runs, and the records of one, whatever has become of the files.
//!
//! A file may be cut anywhere, damaged, written by a newer version, or written this very moment by another server. All
//! that can be read is given, in order, with a remark where something cannot. Nothing here changes a file, and no link in
//! the folders of recordings is followed.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::path::Path;
use std::time::SystemTime;

use serde::Serialize;
use serde_json::Value;

use super::folder::Folder;
use super::lines::{Line, Lines};
use super::record::{Decision, Event, Record};
use super::store::{self, LOCK, OWN, SESSIONS};
use crate::ids::{RunId, ThreadId};

/// Sessions that are looked at, the newest.
const MOST: usize = 10_000;
/// Records of a run that is in no list which are looked at to tell what it is.
const GLANCE: usize = 200;

/// The recordings in a state directory.
#[derive(Debug)]
pub struct Store {
    sessions: Folder,
}

/// One session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionEntry {
    /// Its name, which begins with its time.
    pub id: String,
    /// Bytes of its files.
    pub bytes: u64,
    /// When one of them was written last.
    pub modified: SystemTime,
    /// A server writes it now.
    pub live: bool,
}

/// One run, as a list shows it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RunHead {
    /// Its name.
    pub run: String,
    /// Its conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thread: Option<ThreadId>,
    /// The session it belongs to.
    pub session: String,
    /// Name of the action.
    pub action: String,
    /// What it is, for people.
    pub title: String,
    /// `PROVIDER/MODEL`.
    pub model: String,
    /// What the user said, cut.
    pub prompt: String,
    /// When it began, in microseconds since 1970; 0 where that is not known.
    pub started_unix_us: u64,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_unix_us: Option<u64>,
    /// How, in the contract's word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// The contract's code of what went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// Model calls.
    pub steps: u64,
    /// Tokens and money, as the outcome has them.
    pub usage: Value,
    /// Where the time went, as the outcome has it.
    pub timing: Value,
    /// The files it touched.
    pub files: Vec<String>,
    /// What was decided about it since, in order.
    pub decided: Vec<Decision>,
    /// A server is at work on it.
    pub live: bool,
    /// A newer version wrote it.
    pub newer: bool,
    /// Bytes of its files.
    pub bytes: u64,
    /// What is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// What is given in place of records that cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub part: String,
    /// Where in it, in bytes; in unpacked ones if it is compressed.
    pub offset: u64,
    /// What.
    pub what: Fault,
}

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It ends in the middle of a record: its writer was killed, or is just writing.
    #[error("it ends in the middle of a record")]
    Torn,
    /// A line that is no record.
    #[error("a line is no record")]
    Unreadable,
    /// A line longer than any of ours.
    #[error("a line of {0} bytes is longer than any of ours")]
    TooLong(u64),
    /// Records are missing.
    #[error("records {0} to {1} are missing")]
    Missing(u64, u64),
    /// Nothing behind this place can be read.
    #[error("it cannot be read any further: {0}")]
    Broken(String),
}

/// What comes next in a recording.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// A record.
    Record(Box<Record>),
    /// Something that cannot be read.
    Damage(Damage),
}

impl Store {
    /// The recordings below this state directory; `None` if there have never been any.
    ///
    /// # Errors
    /// The folder is there and cannot be opened, or is not the user's, or is a link.
    pub fn open(dir: &Path) -> io::Result<Option<Self>> {
        let opened = Folder::open(dir).and_then(|dir| dir.folder(SESSIONS));
        match opened {
            Ok(sessions) => Ok(Some(Self { sessions })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All sessions, the newest first.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn sessions(&self) -> io::Result<Vec<SessionEntry>> {
        let mut found: Vec<_> = self.names()?.into_iter().filter_map(|id| self.entry(id)).collect();
        found.sort_by(|a, b| b.modified.cmp(&a.modified).then_with(|| b.id.cmp(&a.id)));
        Ok(found)
    }

    /// Names of the newest sessions.
    fn names(&self) -> io::Result<Vec<String>> {
        let folders =
            self.sessions.entries()?.into_iter().filter(|entry| !entry.is_file && store::is_name(&entry.name));
        let mut names: Vec<_> = folders.map(|entry| entry.name).collect();
        // They begin with their time.
        names.sort_unstable_by(|a, b| b.cmp(a));
        names.truncate(MOST);
        Ok(names)
    }

    /// Whether a server writes this session now.
    pub fn is_live(&self, session: &str) -> bool {
        self.sessions.folder(session).is_ok_and(|folder| is_live(&folder))
    }

    fn entry(&self, id: String) -> Option<SessionEntry> {
        let folder = self.sessions.folder(&id).ok()?;
        let (mut bytes, mut modified) = (0, None);
        for entry in folder.entries().ok()? {
            if store::parsed(&entry.name).is_some()
                && let Ok(found) = folder.read(&entry.name).and_then(|file| file.metadata())
            {
                bytes += found.len();
                modified = modified.max(found.modified().ok());
            }
        }
        Some(SessionEntry { id, bytes, modified: modified?, live: is_live(&folder) })
    }

    /// All runs, the newest first. Sessions that cannot be read are left out; runs of which little can be read are there
    /// and say what is wrong.
    ///
    /// # Errors
    /// The folder of all sessions cannot be read.
    pub fn runs(&self) -> io::Result<Vec<RunHead>> {
        let (mut heads, mut decided) = (Vec::new(), HashMap::<String, Vec<Decision>>::new());
        // The oldest first, so that decisions come in their order.
        for id in self.names()?.into_iter().rev() {
            if let Ok(folder) = self.sessions.folder(&id) {
                heads.extend(heads_of(&id, folder, &mut decided));
            }
        }
        for head in &mut heads {
            head.decided = decided.remove(&head.run).unwrap_or_default();
        }
        heads.sort_by(|a: &RunHead, b| (b.started_unix_us, &b.run).cmp(&(a.started_unix_us, &a.run)));
        Ok(heads)
    }

    /// The run of this name, or the only one whose name begins so.
    ///
    /// # Errors
    /// There is none, or there are several; the words are for the user.
    pub fn find(&self, name: &str) -> io::Result<RunHead> {
        let mut found: Vec<_> = self.runs()?.into_iter().filter(|head| head.run.starts_with(name)).collect();
        if let Some(at) = found.iter().position(|head| head.run == name) {
            return Ok(found.swap_remove(at));
        }
        match (found.len(), found.pop()) {
            (1, Some(head)) => Ok(head),
            (0, _) => Err(io::Error::new(io::ErrorKind::NotFound, "no recorded run has this name")),
            (several, _) => Err(io::Error::other(format!("{several} recorded runs have names that begin so"))),
        }
    }

    /// The records of a run.
    ///
    /// # Errors
    /// It is not there any more.
    pub fn run(&self, head: &RunHead) -> io::Result<Records> {
        self.records(&head.session, &head.run)
    }

    /// The records of a session that belong to none of its runs, and the list of these.
    ///
    /// # Errors
    /// There is no such session.
    pub fn session(&self, id: &str) -> io::Result<Records> {
        self.records(id, OWN)
    }

    fn records(&self, session: &str, whose: &str) -> io::Result<Records> {
        if !store::is_name(session) || !store::is_name(whose) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Records::of(self.sessions.folder(session)?, whose)
    }
}

/// Whether a server writes it now.
fn is_live(folder: &Folder) -> bool {
    let Ok(lock) = folder.read(LOCK) else { return false };
    matches!(lock.try_lock_shared(), Err(std::fs::TryLockError::WouldBlock))
}

/// The runs of one session, in no order; notes what it says was decided about these and others.
fn heads_of(id: &str, folder: Folder, decided: &mut HashMap<String, Vec<Decision>>) -> Vec<RunHead> {
    let live = is_live(&folder);
    let mut runs: BTreeMap<String, RunHead> = BTreeMap::new();
    for entry in folder.entries().unwrap_or_default() {
        if let Some((whose, ..)) = store::parsed(&entry.name)
            && whose != OWN
            && entry.is_file
        {
            let head = runs.entry(whose.to_owned()).or_default();
            head.bytes += folder.read(&entry.name).and_then(|file| file.metadata()).map_or(0, |found| found.len());
        }
    }
    let mut began = 0;
    let own = folder.again().and_then(|folder| Records::of(folder, OWN));
    for item in own.into_iter().flatten() {
        let Item::Record(record) = item else { continue };
        if let Event::Session(session) = &record.event {
            began = session.started_unix_us;
        }
        let Some(run) = &record.run else { continue };
        if let Event::Decided(what) = &record.event {
            decided.entry(run.as_str().to_owned()).or_default().push(what.what);
        }
        // One whose files are gone is told all the same.
        let listed = matches!(record.event, Event::Run(_) | Event::Ended(_));
        if let (true, true) = (listed, store::is_name(run.as_str())) {
            fill(runs.entry(run.as_str().to_owned()).or_default(), &record, began);
        }
    }
    let finish = |(run, mut head): (String, RunHead)| {
        id.clone_into(&mut head.session);
        head.run = run;
        head.live = live && head.status.is_none();
        head
    };
    let mut heads: Vec<_> = runs.into_iter().map(finish).collect();
    for head in &mut heads {
        if head.bytes == 0 {
            head.problem = Some("its files are gone".into());
        } else if head.action.is_empty() {
            glance(head, &folder);
        }
    }
    heads
}

/// Takes in what a record tells of a run.
fn fill(head: &mut RunHead, record: &Record, began: u64) {
    head.thread = record.thread.clone().or(head.thread.take());
    head.newer |= record.is_newer();
    let at = began.saturating_add(record.at);
    match &record.event {
        Event::Run(run) => {
            head.action.clone_from(&run.action);
            head.title.clone_from(&run.title);
            head.model.clone_from(&run.model);
            head.prompt.clone_from(&run.prompt);
            head.started_unix_us = at;
        }
        Event::Started(run) => {
            head.action.clone_from(&run.action);
            head.title.clone_from(&run.title);
            head.model.clone_from(&run.model);
            head.prompt = run.prompt.chars().take(200).collect();
            head.started_unix_us = at;
        }
        Event::Ended(ended) => {
            head.status = Some(ended.status.clone());
            head.error_code.clone_from(&ended.error_code);
            head.steps = ended.steps;
            head.usage.clone_from(&ended.usage);
            head.timing.clone_from(&ended.timing);
            head.files.clone_from(&ended.files);
            head.ended_unix_us = Some(at);
        }
        _ => {}
    }
}

/// Looks into the files of a run that is in no list.
fn glance(head: &mut RunHead, session: &Folder) {
    let Ok(records) = session.again().and_then(|folder| Records::of(folder, &head.run)) else { return };
    let mut began = 0;
    for item in records.take(GLANCE) {
        match item {
            Item::Record(record) => {
                if let Event::Session(session) = &record.event {
                    began = session.started_unix_us;
                }
                fill(head, &record, began);
                if !head.action.is_empty() {
                    return;
                }
            }
            Item::Damage(damage) => head.problem = Some(damage.what.to_string()),
        }
    }
}

/// Records in order, over all parts.
pub struct Records {
    folder: Folder,
    whose: String,
    parts: VecDeque<(u32, bool)>,
    open: Option<(String, Lines)>,
    line: Vec<u8>,
    seq: u64,
    /// Given before anything else is read.
    next: Option<Item>,
    live: bool,
}

impl Records {
    fn of(folder: Folder, whose: &str) -> io::Result<Self> {
        let live = is_live(&folder);
        let mut parts: BTreeMap<u32, bool> = BTreeMap::new();
        for entry in folder.entries()? {
            if let Some((name, number, compressed)) = store::parsed(&entry.name)
                && name == whose
                && entry.is_file
            {
                // The plain one is whole; the compressed one may be unfinished.
                parts.entry(number).and_modify(|known| *known &= compressed).or_insert(compressed);
            }
        }
        if parts.is_empty() {
            return Err(io::ErrorKind::NotFound.into());
        }
        let parts = parts.into_iter().collect();
        Ok(Self { folder, whose: whose.to_owned(), parts, open: None, line: Vec::new(), seq: 0, next: None, live })
    }

    /// Whether a server was writing the session when this was opened.
    pub fn live(&self) -> bool {
        self.live
    }

    fn damage(part: &str, offset: u64, what: Fault) -> Item {
        Item::Damage(Damage { part: part.to_owned(), offset, what })
    }

    /// Opens the next part. A plain one may be compressed just now.
    fn open_next(&mut self) -> Option<Result<(), Item>> {
        let (number, compressed) = self.parts.pop_front()?;
        let plain = store::part_name(Some(&RunId::from(self.whose.as_str())), number);
        let packed = format!("{plain}.zst");
        let opened = match (compressed, self.folder.read(if compressed { &packed } else { &plain })) {
            (false, Ok(file)) => Ok((plain, Lines::plain(file))),
            (false, Err(error)) if error.kind() == io::ErrorKind::NotFound => {
                self.folder.read(&packed).and_then(Lines::packed).map(|lines| (packed.clone(), lines))
            }
            (true, Ok(file)) => Lines::packed(file).map(|lines| (packed.clone(), lines)),
            (_, Err(error)) => Err(error),
        };
        Some(match opened {
            Ok(open) => {
                self.open = Some(open);
                Ok(())
            }
            Err(error) => Err(Self::damage(&packed, 0, Fault::Broken(error.to_string()))),
        })
    }
}

impl Iterator for Records {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        loop {
            if let Some(item) = self.next.take() {
                return Some(item);
            }
            let Some((part, lines)) = &mut self.open else {
                match self.open_next()? {
                    Ok(()) => continue,
                    Err(damage) => return Some(damage),
                }
            };
            let offset = lines.offset();
            let last = self.parts.is_empty();
            let fault = match lines.next(&mut self.line) {
                Ok(Line::Whole) => match Record::parse(&self.line) {
                    Ok(record) => {
                        let expected = self.seq.saturating_add(1);
                        self.seq = record.seq;
                        // Numbers that begin again belong to a recording whose files were removed on the way.
                        let missing = record.seq > expected && expected > 1;
                        let item = Item::Record(Box::new(record));
                        if !missing {
                            return Some(item);
                        }
                        self.next = Some(item);
                        Fault::Missing(expected, self.seq - 1)
                    }
                    Err(_) if self.line.is_empty() => continue,
                    Err(_) => Fault::Unreadable,
                },
                Ok(Line::TooLong(bytes)) => Fault::TooLong(bytes),
                Ok(Line::End) => {
                    self.open = None;
                    continue;
                }
                Ok(Line::Torn) if self.live && last => {
                    // The other half is on its way.
                    self.open = None;
                    continue;
                }
                Ok(Line::Torn) => Fault::Torn,
                Err(error) => Fault::Broken(error.to_string()),
            };
            let damage = Self::damage(part, offset, fault.clone());
            if matches!(fault, Fault::Torn | Fault::Broken(_)) {
                self.open = None;
            }
            return Some(damage);
        }
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests;
