//! Buffers in this process: snapshot, keystroke, staging under keystrokes, rebase.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, bail};

use super::figure::{Random, source_text, us_since};
use super::measure::Measure;
use crate::cli::scratch::Scratch;
use crate::disk::{Disk, DiskLimits};
use crate::ids::{DocVersion, RunId};
use crate::paths::{Root, Roots};
use crate::text::{Edit, EditSet, Encoding, Position, Range, Text, rebase};
use crate::workspace::{ContentChange, Sync, Workspace};

const CHANGES: usize = 500;

/// A snapshot of 100 documents of 64 KB, in nanoseconds.
pub fn snapshot() -> Measure {
    let workspace = Workspace::new(Arc::new(Disk::new(DiskLimits::default())));
    for n in 0..100 {
        let uri = format!("file:///bench/{n}.rs");
        let _ = workspace.open(&uri, "rust", Some(DocVersion(1)), Text::from(&*source_text(64 << 10)));
    }
    Measure::new("snapshot", "snapshot of 100 documents", "ns", 5, move || {
        let begun = Instant::now();
        for _ in 0..10_000 {
            black_box(workspace.documents());
        }
        Ok(begun.elapsed().as_secs_f64() * 1e9 / 10_000.0)
    })
}

/// 100 edits carried over 1,000 others of one text, in microseconds.
///
/// # Errors
/// None, unless the generator is broken.
pub fn carry() -> anyhow::Result<Measure> {
    let length = 1 << 20;
    let ours = edits(length, 100, 11)?;
    let theirs = edits(length, 1_000, 13)?;
    Ok(Measure::new("rebase", "rebase of 100 edits over 1,000", "µs", 15, move || {
        let begun = Instant::now();
        black_box(rebase::rebase(black_box(&ours), black_box(&theirs))?);
        Ok(us_since(begun))
    }))
}

fn edits(length: usize, count: usize, seed: u64) -> anyhow::Result<EditSet> {
    let mut random = Random(seed);
    let slot = length / count;
    let edits = (0..count)
        .map(|n| {
            let start = n * slot + random.below(slot / 2);
            Edit { range: start..start + random.below(slot / 4), text: "changed".into() }
        })
        .collect();
    Ok(EditSet::new(length, edits)?)
}

/// A character typed at a random place of a document, as the server takes it in once the message is read.
pub fn keystroke(id: &'static str, size: usize, name: &str) -> Measure {
    let workspace = Workspace::new(Arc::new(Disk::new(DiskLimits::default())));
    let uri = "file:///bench/typed.rs";
    let mut typist = Typist::new(workspace, uri, size);
    Measure::new(id, format!("one character typed, {name}"), "µs", 5, move || typist.type_some(CHANGES))
}

/// The same while a run has staged 20 edits of the document, which are carried over each character.
///
/// # Errors
/// The temporary folder cannot be written.
pub fn keystroke_over_staged() -> anyhow::Result<Measure> {
    let scratch = Scratch::new("bench")?;
    let root = Root::open("bench", scratch.path()).context("the temporary folder cannot be opened")?;
    let workspace = Workspace::new(Arc::new(Disk::new(DiskLimits::default())));
    workspace.set_roots(Roots::new(vec![root]));
    let uri = format!("file://{}/typed.rs", scratch.path().display());
    let mut typist = Typist::new(Arc::clone(&workspace), &uri, 1 << 20);
    let run = RunId::unused();
    workspace.begin(run.clone());
    let path = workspace.roots().resolve("typed.rs")?;
    let view = workspace.read(Some(&run), &path)?;
    workspace.stage_edit(&run, &view, lines(&view.text, 20)?)?;
    Ok(Measure::new("keystroke-staged", "one character typed under 20 staged edits", "µs", 5, move || {
        let _here = &scratch;
        typist.type_some(CHANGES)
    }))
}

/// Lines put in at equal steps.
fn lines(text: &Text, count: usize) -> anyhow::Result<EditSet> {
    let step = text.lines() / (count + 1);
    let edit = |nth: usize| {
        let at = text.line_start((nth + 1) * step);
        Edit { range: at..at, text: "// put in\n".into() }
    };
    Ok(EditSet::new(text.len(), (0..count).map(edit).collect())?)
}

/// Types into one document.
struct Typist {
    workspace: Arc<Workspace>,
    uri: String,
    /// UTF-16 columns of each line.
    columns: Vec<usize>,
    random: Random,
    version: i32,
}

impl Typist {
    fn new(workspace: Arc<Workspace>, uri: &str, size: usize) -> Self {
        let text = source_text(size);
        let columns = text.split('\n').map(|line| line.encode_utf16().count()).collect();
        let _ = workspace.open(uri, "rust", Some(DocVersion(1)), Text::from(&*text));
        Self { workspace, uri: uri.to_owned(), columns, random: Random(7), version: 1 }
    }

    /// Microseconds for each character.
    fn type_some(&mut self, count: usize) -> anyhow::Result<f64> {
        let places: Vec<Position> = (0..count)
            .map(|_| {
                let line = self.random.below(self.columns.len() - 1);
                let character = self.random.below(self.columns[line] + 1) as u32;
                Position { line: line as u32, character }
            })
            .collect();
        let begun = Instant::now();
        for place in places {
            self.version += 1;
            let change = ContentChange { range: Some(Range { start: place, end: place }), text: "x".into() };
            let said = self.workspace.change(&self.uri, Some(DocVersion(self.version)), &[change], Encoding::Utf16);
            if said != Sync::Following {
                bail!("the document is out of step");
            }
        }
        Ok(us_since(begun) / count as f64)
    }
}
