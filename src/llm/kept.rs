//! Answers kept on disk, where that is switched on: so that a restarted server, or one beside it, need not ask again.
//!
//! A file an answer, named by the request's digest, which says nothing of the request; readable by its owner only. A
//! file that cannot be understood, is too old or was changed counts as none. What is over the bound goes, oldest first.
#![expect(clippy::disallowed_methods, reason = "the state directory is no workspace: it has no root that `disk` knows")]

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use ring::digest;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::ids::CallId;
use crate::llm::answers::Key;
use crate::llm::{AssistantTurn, Response, Stop, StreamEvent, ToolCall};

/// A larger file is none of ours.
const LARGEST: u64 = 2 << 20;
/// More files than this are not kept, however small they are.
const FILES: usize = 10_000;
const VERSION: u32 = 1;

/// Where answers are kept, and how many bytes of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// A directory of its own; made with the first answer.
    pub dir: PathBuf,
    /// Bytes of all files together.
    pub bytes: u64,
}

/// A file's content behind its digest.
#[derive(Deserialize, Serialize)]
struct Entry {
    version: u32,
    origin: Arc<str>,
    id: Option<Arc<str>>,
    calls_wanted: bool,
    cache_miss: Option<String>,
    raw: Option<Box<RawValue>>,
    events: Vec<Part>,
}

/// One event but the last.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Part {
    Text(String),
    Thinking(String),
    Started(usize, Arc<str>),
    /// Position, id, name, arguments.
    Call(usize, Arc<str>, Arc<str>, Arc<str>),
}

impl Entry {
    /// Of an answer that ended as answers do.
    fn of(events: &[StreamEvent]) -> Option<Self> {
        let (StreamEvent::Done(response), parts) = events.split_last()? else { return None };
        let part = |event: &StreamEvent| {
            Some(match event {
                StreamEvent::Text(text) => Part::Text(text.clone()),
                StreamEvent::Thinking(text) => Part::Thinking(text.clone()),
                StreamEvent::CallStarted { index, name } => Part::Started(*index, Arc::clone(name)),
                StreamEvent::Call { index, call } => {
                    Part::Call(*index, Arc::from(call.id.as_str()), Arc::clone(&call.name), Arc::clone(&call.arguments))
                }
                StreamEvent::Done(_) => return None,
            })
        };
        Some(Self {
            version: VERSION,
            origin: Arc::clone(&response.turn.origin),
            id: response.turn.id.clone(),
            calls_wanted: match response.stop {
                Stop::EndTurn => false,
                Stop::ToolCalls => true,
                _ => return None,
            },
            cache_miss: response.cache_miss.clone(),
            raw: response.turn.raw.as_deref().map(ToOwned::to_owned),
            events: parts.iter().map(part).collect::<Option<_>>()?,
        })
    }

    fn events(self) -> Option<Vec<StreamEvent>> {
        if self.version != VERSION {
            return None;
        }
        let mut turn = AssistantTurn {
            origin: self.origin,
            id: self.id,
            raw: self.raw.map(Arc::from),
            ..AssistantTurn::default()
        };
        let mut events = Vec::with_capacity(self.events.len() + 1);
        for part in self.events {
            events.push(match part {
                Part::Text(text) => {
                    turn.text.push_str(&text);
                    StreamEvent::Text(text)
                }
                Part::Thinking(text) => StreamEvent::Thinking(text),
                Part::Started(index, name) => StreamEvent::CallStarted { index, name },
                Part::Call(index, id, name, arguments) => {
                    let call = ToolCall { id: CallId::from(&*id), name, arguments };
                    turn.calls.push(call.clone());
                    StreamEvent::Call { index, call }
                }
            });
        }
        let stop = if self.calls_wanted { Stop::ToolCalls } else { Stop::EndTurn };
        let response = Response { turn, stop, cache_miss: self.cache_miss, ..Response::default() };
        events.push(StreamEvent::Done(Box::new(response)));
        Some(events)
    }
}

impl Kept {
    fn path(&self, key: &Key) -> PathBuf {
        self.dir.join(format!("{}.json", key.hex()))
    }

    /// The answer that is kept for a request, if it is not older than `ttl`. Blocks.
    pub(crate) fn get(&self, key: &Key, ttl: Duration) -> Option<Vec<StreamEvent>> {
        let path = self.path(key);
        let file = File::open(&path).ok()?;
        let found = file.metadata().ok()?;
        let age = SystemTime::now().duration_since(found.modified().ok()?).unwrap_or_default();
        if !found.is_file() || found.len() > LARGEST || age > ttl {
            return None;
        }
        let mut bytes = Vec::new();
        file.take(LARGEST).read_to_end(&mut bytes).ok()?;
        let events = understand(&bytes);
        if events.is_none() {
            tracing::debug!("an answer kept on disk cannot be read; it is removed");
            // Another server may have been quicker.
            let _ = std::fs::remove_file(&path);
        }
        events
    }

    /// Keeps an answer, and removes what is over the bound. Blocks; a failure is logged and no more: the answer was
    /// given.
    pub(crate) fn put(&self, key: &Key, events: &[StreamEvent]) {
        if let Some(entry) = Entry::of(events)
            && let Err(error) = self.write(key, &entry).and_then(|()| self.shrink())
        {
            tracing::debug!(%error, "an answer cannot be kept on disk");
        }
    }

    fn write(&self, key: &Key, entry: &Entry) -> io::Result<()> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let content = serde_json::to_vec(entry)?;
        let bytes = [hex(digest::digest(&digest::SHA256, &content).as_ref()).as_bytes(), b"\n", &content].concat();
        if bytes.len() as u64 > self.bytes.min(LARGEST) {
            return Ok(());
        }
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        {
            std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        }
        builder.create(&self.dir)?;
        let fresh = self.dir.join(format!(".{}-{}.tmp", std::process::id(), NEXT.fetch_add(1, Relaxed)));
        let written = options.open(&fresh).and_then(|mut file| file.write_all(&bytes));
        let placed = written.and_then(|()| std::fs::rename(&fresh, self.path(key)));
        if placed.is_err() {
            // There may be nothing to remove.
            let _ = std::fs::remove_file(&fresh);
        }
        placed
    }

    /// Removes the oldest files until the others are within the bound.
    fn shrink(&self) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&self.dir)? {
            let entry = entry?;
            let Ok(found) = entry.metadata() else { continue };
            if found.is_file() {
                files.push((found.modified()?, found.len(), entry.path()));
            }
        }
        files.sort();
        let mut total: u64 = files.iter().map(|(_, size, _)| size).sum();
        let mut left = files.len();
        for (_, size, path) in files {
            if total <= self.bytes && left <= FILES {
                break;
            }
            // Another server may have been quicker.
            let _ = std::fs::remove_file(path);
            total -= size;
            left -= 1;
        }
        Ok(())
    }
}

/// A file's content, if it is what was written.
fn understand(bytes: &[u8]) -> Option<Vec<StreamEvent>> {
    let (sum, content) = bytes.split_at_checked(64)?;
    let content = content.strip_prefix(b"\n")?;
    if sum != hex(digest::digest(&digest::SHA256, content).as_ref()).as_bytes() {
        return None;
    }
    serde_json::from_slice::<Entry>(content).ok()?.events()
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn kept(bytes: u64) -> (tempfile::TempDir, Kept) {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("state/answers");
        (home, Kept { dir, bytes })
    }

    fn answer(text: &str) -> Vec<StreamEvent> {
        let call = ToolCall { id: CallId::from("c1"), name: "grep".into(), arguments: r#"{"a":"é"}"#.into() };
        let turn = AssistantTurn {
            origin: "p/m".into(),
            text: text.to_owned(),
            calls: vec![call.clone()],
            raw: Some(Arc::from(RawValue::from_string(r#"{"role":"x",  "y":1e2}"#.to_owned()).unwrap())),
            id: Some("m1".into()),
        };
        vec![
            StreamEvent::Thinking("hm".to_owned()),
            StreamEvent::Text(text.to_owned()),
            StreamEvent::CallStarted { index: 0, name: "grep".into() },
            StreamEvent::Call { index: 0, call },
            StreamEvent::Done(Box::new(Response { turn, stop: Stop::ToolCalls, ..Response::default() })),
        ]
    }

    fn files(kept: &Kept) -> Vec<PathBuf> {
        std::fs::read_dir(&kept.dir).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    #[test]
    fn an_answer_comes_back_as_it_was_and_is_nobody_elses_to_read() {
        let (_home, kept) = kept(1 << 20);
        let key = Key::example(1);
        assert!(kept.get(&key, HOUR).is_none());
        kept.put(&key, &answer("été 😀"));
        assert_eq!(format!("{:?}", kept.get(&key, HOUR).unwrap()), format!("{:?}", answer("été 😀")));
        assert!(kept.get(&Key::example(2), HOUR).is_none());
        assert!(kept.get(&key, Duration::ZERO).is_none(), "too old");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = |path: &PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!((mode(&kept.dir), mode(&files(&kept)[0])), (0o700, 0o600));
        }
    }

    #[test]
    fn a_file_that_is_not_what_was_written_counts_as_none_and_goes() {
        let (_home, kept) = kept(1 << 20);
        let key = Key::example(1);
        kept.put(&key, &answer("x"));
        let path = kept.path(&key);
        let good = std::fs::read(&path).unwrap();
        let mut changed = good.clone();
        *changed.last_mut().unwrap() = b' ';
        let nested = b"[".repeat(100_000);
        for bad in [&b""[..], b"{}", &good[..good.len() - 1], &good[..64], &changed, &good[65..], &nested] {
            std::fs::write(&path, bad).unwrap();
            assert!(kept.get(&key, HOUR).is_none());
            assert!(!path.exists());
        }
        std::fs::write(&path, vec![b'x'; LARGEST as usize + 1]).unwrap();
        assert!(kept.get(&key, HOUR).is_none(), "too large to read");
        kept.put(&key, &answer("x"));
        assert!(kept.get(&key, HOUR).is_some(), "and is replaced");
    }

    #[test]
    fn the_files_stay_within_the_bound_and_the_oldest_go_first() {
        let (_home, kept) = kept(40_000);
        for n in 0..20 {
            kept.put(&Key::example(n), &answer(&"x".repeat(3000)));
            let time = SystemTime::now() - Duration::from_secs(100 - u64::from(n));
            File::open(kept.path(&Key::example(n))).unwrap().set_modified(time).unwrap();
        }
        let total: u64 = files(&kept).iter().map(|path| std::fs::metadata(path).unwrap().len()).sum();
        assert!((20_000..=40_000).contains(&total), "{total}");
        assert!(kept.get(&Key::example(19), HOUR).is_some() && kept.get(&Key::example(0), HOUR).is_none());
        kept.put(&Key::example(30), &answer(&"x".repeat(50_000)));
        assert!(kept.get(&Key::example(30), HOUR).is_none(), "larger than all may be");
        assert!(kept.get(&Key::example(19), HOUR).is_some());
    }

    #[test]
    fn a_directory_that_cannot_be_made_stops_nothing() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let kept = Kept { dir: file.path().join("below"), bytes: 1 << 20 };
        kept.put(&Key::example(1), &answer("x"));
        assert!(kept.get(&Key::example(1), HOUR).is_none());
    }
}
