//! A desk: a folder, a workspace over it, and buffers as an editor has them, each with its own text and version.
#![expect(clippy::disallowed_methods, reason = "the tests stand outside and look at the disk")]

use std::borrow::Cow;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use ropeway::disk::{Disk, DiskLimits};
use ropeway::ids::{DocVersion, RunId};
use ropeway::paths::{Root, Roots, WsPath};
use ropeway::text::{EditSet, Encoding, Text, diff};
use ropeway::workspace::{
    Conflict, ContentChange, Delivery, DeliveryOp, FileView, Landing, StageError, Staged, Sync, Workspace,
};

pub struct Desk {
    dir: tempfile::TempDir,
    pub ws: Arc<Workspace>,
    pub run: RunId,
}

impl Desk {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("w")).unwrap();
        let ws = Workspace::new(Arc::new(Disk::new(DiskLimits { max_file_bytes: 100_000, cache_bytes: 100_000 })));
        ws.set_roots(Roots::new(vec![Root::open("w", &dir.path().join("w")).unwrap()]));
        let run = RunId::unused();
        ws.begin(run.clone());
        Self { dir, ws, run }
    }

    /// A desk with one file, open in the editor.
    pub fn with_open(text: &str) -> (Self, Buffer) {
        let desk = Self::new();
        desk.put("a.rs", text);
        let buffer = desk.open("a.rs");
        (desk, buffer)
    }

    pub fn at(&self, rel: &str) -> PathBuf {
        self.dir.path().join("w").join(rel)
    }

    pub fn put(&self, rel: &str, text: &str) {
        fs::create_dir_all(self.at(rel).parent().unwrap()).unwrap();
        fs::write(self.at(rel), text).unwrap();
    }

    pub fn on_disk(&self, rel: &str) -> String {
        fs::read_to_string(self.at(rel)).unwrap()
    }

    pub fn path(&self, rel: &str) -> WsPath {
        self.ws.roots().resolve(rel).unwrap()
    }

    pub fn uri(&self, rel: &str) -> String {
        self.path(rel).uri()
    }

    /// Opens the file with the text it has on disk.
    pub fn open(&self, rel: &str) -> Buffer {
        let text = self.on_disk(rel);
        self.open_as(rel, &text)
    }

    /// Opens the file with another text, as an editor with unsaved changes does.
    pub fn open_as(&self, rel: &str, text: &str) -> Buffer {
        let buffer = Buffer { ws: self.ws.clone(), uri: self.uri(rel), version: 1, text: Text::from(text) };
        let sync = self.ws.open(&buffer.uri, "rust", Some(DocVersion(1)), buffer.text.clone());
        assert_eq!(sync, Sync::Following);
        buffer
    }

    pub fn read(&self, rel: &str) -> FileView {
        self.ws.read(Some(&self.run), &self.path(rel)).unwrap()
    }

    /// The text as the run sees it.
    pub fn sees(&self, rel: &str) -> String {
        self.read(rel).text.to_string()
    }

    /// Stages what makes `from` into `to`, wherever it stands.
    pub fn replace(&self, rel: &str, from: &str, to: &str) -> Staged {
        self.try_replace(&self.read(rel), from, to).unwrap()
    }

    pub fn try_replace(&self, view: &FileView, from: &str, to: &str) -> Result<Staged, StageError> {
        let text = view.text.to_string();
        let at = text.find(from).unwrap_or_else(|| panic!("no {from:?} in {text:?}"));
        self.ws.stage_edit(&self.run, view, EditSet::replace(text.len(), at..at + from.len(), to).unwrap())
    }

    pub fn conflicts(&self) -> Vec<(String, std::ops::Range<usize>, String, String)> {
        let show = |conflict: Conflict| (conflict.path.to_string(), conflict.lines, conflict.ours, conflict.theirs);
        self.ws.conflicts(&self.run).into_iter().map(show).collect()
    }

    /// The only thing to be delivered.
    pub fn delivery(&self) -> Delivery {
        let mut deliveries = self.ws.deliveries(&self.run);
        assert_eq!(deliveries.len(), 1, "{deliveries:?}");
        deliveries.remove(0)
    }

    /// The only thing to be delivered, said to be sent.
    pub fn send(&self) -> Delivery {
        let delivery = self.delivery();
        assert!(self.ws.sent(&self.run, &delivery));
        delivery
    }

    pub fn landed(&self, rel: &str) -> Landing {
        self.ws.landed(&self.run, &self.path(rel))
    }

    /// What a file system operation of the editor does.
    pub fn perform(&self, delivery: &Delivery) {
        let disk = self.ws.disk();
        match &delivery.op {
            DeliveryOp::Create { text } => drop(disk.create(&delivery.path, &text.to_string(), None).unwrap()),
            DeliveryOp::Delete => disk.remove(&delivery.path).unwrap(),
            DeliveryOp::Rename { to } => disk.rename(&delivery.path, to).unwrap(),
            DeliveryOp::Edit { base, edits, .. } => {
                let file = disk.read(&delivery.path).unwrap();
                assert_eq!(*base, *file.text);
                disk.write(&delivery.path, &edits.apply(base).unwrap().to_string(), &file.format).unwrap();
            }
        }
    }
}

/// One open document as the editor has it.
pub struct Buffer {
    ws: Arc<Workspace>,
    pub uri: String,
    pub version: i32,
    pub text: Text,
}

impl Buffer {
    /// The user puts `to` in the place of `from`.
    pub fn type_over(&mut self, from: &str, to: &str) {
        let text = self.text.to_string();
        let at = text.find(from).unwrap_or_else(|| panic!("no {from:?} in {text:?}"));
        self.splice(at..at + from.len(), to);
    }

    /// One edit, in one message.
    pub fn splice(&mut self, range: std::ops::Range<usize>, with: &str) {
        let edits = EditSet::replace(self.text.len(), range, with).unwrap();
        self.send(&[edits]);
    }

    /// The edits of one message, one content change each; the edits of a set from the back.
    pub fn send(&mut self, sets: &[EditSet]) {
        let encoding = Encoding::Utf16;
        let mut changes = Vec::new();
        for set in sets {
            for edit in set.edits().iter().rev() {
                let range = self.text.range(edit.range.clone(), encoding);
                changes.push(ContentChange { range: Some(range), text: Cow::Owned(edit.text.clone()) });
                self.text = EditSet::new(self.text.len(), vec![edit.clone()]).unwrap().apply(&self.text).unwrap();
            }
        }
        self.version += 1;
        let sync = self.ws.change(&self.uri, Some(DocVersion(self.version)), &changes, encoding);
        assert_eq!(sync, Sync::Following);
        assert_eq!(self.ws.document(&self.uri).unwrap().text, self.text);
    }

    /// The editor takes a delivery: refuses it if it is not for its version, else applies it and says so.
    pub fn take(&mut self, delivery: &Delivery) -> bool {
        let DeliveryOp::Edit { version, base, edits, expected } = &delivery.op else { panic!("{delivery:?}") };
        assert_eq!(delivery.uri, self.uri);
        if *version != Some(DocVersion(self.version)) {
            return false;
        }
        assert_eq!(*base, self.text);
        self.send(std::slice::from_ref(edits));
        assert_eq!(*expected, self.text);
        true
    }

    /// The same, told as editors do that look only at what differs from the first change to the last.
    pub fn take_as_one(&mut self, delivery: &Delivery) {
        let DeliveryOp::Edit { edits, .. } = &delivery.op else { panic!("{delivery:?}") };
        let after = edits.apply(&self.text).unwrap();
        let (old, new) = (self.text.to_string(), after.to_string());
        let edits = diff::lines(&self.text, &after);
        let (first, last) = (edits.edits().first().unwrap(), edits.edits().last().unwrap());
        let tail = old.len() - last.range.end;
        let range = first.range.start..last.range.end;
        let with = new[first.range.start..new.len() - tail].to_owned();
        self.splice(range, &with);
    }

    pub fn close(self) {
        self.ws.close(&self.uri);
    }
}
