//! The user's side where there is no editor: a directory, and perhaps a person at a terminal.
//!
//! Changes are written through `disk`. All of a proposal is prepared before the first file is touched, and what was
//! done is undone if a later step fails: a run's edits belong together, and half of them is a broken build.

use std::io::{self, BufRead, IsTerminal, Write};
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::terminal::{Ink, Style, visible};
use crate::disk::encoding::encode;
use crate::disk::{Disk, DiskError, DiskFile, Stamp};
use crate::host::{
    ApplyReply, EventKind, FileChange, Finding, Host, HostAbilities, Notice, Proposal, Question, RunEvent,
};
use crate::ids::RunId;
use crate::paths::{Roots, WsPath, file_path};

/// A directory as the user's side.
pub struct Headless {
    disk: Arc<Disk>,
    roots: Roots,
    /// Tell on standard error what the run does.
    narrate: bool,
    /// Somebody sits at the terminal who can answer.
    attended: bool,
    style: Style,
}

impl Headless {
    /// For these roots. Speaks on standard error and asks on the terminal, if they are one.
    pub fn new(disk: Arc<Disk>, roots: Roots) -> Self {
        let style = Style::stderr();
        let attended = io::stdin().is_terminal() && style.is_terminal();
        Self { disk, roots, narrate: style.is_terminal(), attended, style }
    }

    /// A line for the person who watches. If standard error is closed nobody does.
    fn say(&self, ink: Ink, sign: &str, what: &str) {
        let what = self.style.clean(what);
        let _ = writeln!(io::stderr(), "{} {what}", self.style.paint(ink, sign));
    }
}

impl Host for Headless {
    fn abilities(&self) -> HostAbilities {
        HostAbilities {
            apply_edit: true,
            transactional: true,
            create: true,
            delete: true,
            rename: true,
            confirm: false,
            events: true,
        }
    }

    fn apply(&self, proposal: Proposal) -> BoxFuture<'_, ApplyReply> {
        let (disk, roots) = (self.disk.clone(), self.roots.clone());
        Box::pin(async move {
            let written = tokio::task::spawn_blocking(move || write(&disk, &roots, &proposal.changes)).await;
            match written {
                Ok(Ok(())) => ApplyReply::Applied,
                Ok(Err(why)) => ApplyReply::Refused(why),
                Err(error) => ApplyReply::Refused(format!("writing broke down: {error}")),
            }
        })
    }

    fn ask(&self, question: Question) -> BoxFuture<'_, Option<usize>> {
        if !self.attended {
            return Box::pin(async { None });
        }
        Box::pin(async move { tokio::task::spawn_blocking(move || ask(&question)).await.ok().flatten() })
    }

    fn notify(&self, level: Notice, message: String) {
        match level {
            // The end of the run tells these itself, with the exit code.
            Notice::Error => {}
            Notice::Warning => self.say(Ink::Bad, "!", &message),
            Notice::Info => {
                if self.narrate {
                    self.say(Ink::Dim, "·", &message);
                }
            }
        }
    }

    fn show_answer(&self, _run: &RunId, _title: &str, _markdown: &str) {
        // The answer goes to standard output with the outcome.
    }

    fn progress_begin(&self, _run: &RunId, title: &str) {
        if self.narrate {
            self.say(Ink::Bold, "▸", title);
        }
    }

    fn progress_report(&self, _run: &RunId, _message: &str) {
        // The events say the same with more in them.
    }

    fn progress_end(&self, _run: &RunId, message: &str) {
        if self.narrate {
            self.say(Ink::Bold, "▪", message);
        }
    }

    fn event(&self, event: RunEvent) {
        if !self.narrate {
            return;
        }
        match event.kind {
            EventKind::ToolFinished { summary, ms, error: None, .. } => {
                self.say(Ink::Good, "·", &format!("{summary} ({ms:.1} ms)"));
            }
            EventKind::ToolFinished { summary, error: Some(error), .. } => {
                self.say(Ink::Bad, "·", &format!("{summary}: {error}"));
            }
            EventKind::Retry { wait_ms: 0, why, .. } => self.say(Ink::Bad, "·", &why),
            EventKind::Retry { attempt, wait_ms, why } => {
                let wait = wait_ms as f64 / 1e3;
                self.say(Ink::Bad, "·", &format!("{why}; attempt {} in {wait:.1} s", attempt + 1));
            }
            _ => {}
        }
    }

    fn status_changed(&self) {}

    fn publish(&self, _reviewed: Option<std::path::PathBuf>, _findings: Vec<Finding>) {
        // They stand in the answer, too.
    }
}

/// Puts a question on the terminal. Anything but one of the numbers is no answer.
fn ask(question: &Question) -> Option<usize> {
    let mut out = io::stderr().lock();
    writeln!(out, "{}", visible(&question.message)).ok()?;
    for (index, choice) in question.choices.iter().enumerate() {
        writeln!(out, "  {} {choice}", index + 1).ok()?;
    }
    write!(out, "1-{}, Enter for no: ", question.choices.len()).and_then(|()| out.flush()).ok()?;
    drop(out);
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).ok()?;
    choice(&line, question.choices.len())
}

fn choice(line: &str, choices: usize) -> Option<usize> {
    line.trim().parse::<usize>().ok()?.checked_sub(1).filter(|index| *index < choices)
}

/// One thing to do to the disk, with what takes it back.
enum Step {
    Write { path: WsPath, text: String, old: Arc<DiskFile> },
    Create { path: WsPath, text: String },
    Remove { path: WsPath, old: Arc<DiskFile> },
    Rename { from: WsPath, to: WsPath },
}

/// Does all of `changes` or none. The error is for the user.
pub(super) fn write(disk: &Disk, roots: &Roots, changes: &[FileChange]) -> Result<(), String> {
    let steps: Vec<Step> = changes.iter().map(|change| prepare(disk, roots, change)).collect::<Result<_, _>>()?;
    for (done, step) in steps.iter().enumerate() {
        if let Err(error) = step.take(disk) {
            let mut why = error.to_string();
            for step in steps[..done].iter().rev() {
                if let Err(error) = step.take_back(disk) {
                    why.push_str(&format!("; and {} could not be put back: {error}", step.path()));
                }
            }
            return Err(why);
        }
    }
    Ok(())
}

/// Everything that can fail without touching a file.
fn prepare(disk: &Disk, roots: &Roots, change: &FileChange) -> Result<Step, String> {
    let locate = |uri: &str| {
        let path = file_path(uri).and_then(|path| roots.of(&path));
        path.ok_or_else(|| format!("{uri} is not in the directory"))
    };
    let text = |error: DiskError| error.to_string();
    let free = |path: &WsPath| match disk.exists(path) {
        true => Err(DiskError::Exists(path.to_string()).to_string()),
        false => Ok(()),
    };
    match change {
        FileChange::Edit { uri, base, edits, .. } => {
            let path = locate(uri)?;
            let old = disk.read(&path).map_err(text)?;
            if *base != *old.text {
                return Err(DiskError::Changed(path.to_string()).to_string());
            }
            let text = edits.apply(base).map_err(|error| error.to_string())?.to_string();
            writable(&path, &text, &old)?;
            Ok(Step::Write { path, text, old })
        }
        FileChange::Create { uri, text } => {
            let path = locate(uri)?;
            free(&path)?;
            Ok(Step::Create { path, text: text.to_string() })
        }
        FileChange::Delete { uri } => {
            let path = locate(uri)?;
            let old = disk.read(&path).map_err(text)?;
            Ok(Step::Remove { path, old })
        }
        FileChange::Rename { from, to } => {
            let (from, to) = (locate(from)?, locate(to)?);
            disk.stat(&from).map_err(text)?;
            free(&to)?;
            Ok(Step::Rename { from, to })
        }
    }
}

/// Whether the file's encoding can hold the text: asked before anything is written.
fn writable(path: &WsPath, text: &str, old: &DiskFile) -> Result<(), String> {
    let encoding = old.format.encoding.name();
    let path = path.to_string();
    if !old.format.exact {
        return Err(DiskError::Inexact { path, encoding }.to_string());
    }
    match encode(&old.format.conform(text), &old.format) {
        Ok(_) => Ok(()),
        Err(character) => Err(DiskError::Unwritable { path, character, encoding }.to_string()),
    }
}

impl Step {
    fn path(&self) -> &WsPath {
        match self {
            Self::Write { path, .. } | Self::Create { path, .. } | Self::Remove { path, .. } => path,
            Self::Rename { from, .. } => from,
        }
    }

    fn take(&self, disk: &Disk) -> Result<(), DiskError> {
        match self {
            Self::Write { path, text, old } => disk.write_over(path, text, &old.format, &old.stamp).map(drop),
            Self::Create { path, text } => disk.create(path, text, None).map(drop),
            Self::Remove { path, old } => {
                unchanged(disk, path, &old.stamp)?;
                disk.remove(path)
            }
            Self::Rename { from, to } => disk.rename(from, to),
        }
    }

    fn take_back(&self, disk: &Disk) -> Result<(), DiskError> {
        match self {
            Self::Write { path, old, .. } => disk.write(path, &old.text, &old.format).map(drop),
            Self::Create { path, .. } => disk.remove(path),
            Self::Remove { path, old } => disk.create(path, &old.text, Some(&old.format)).map(drop),
            Self::Rename { from, to } => disk.rename(to, from),
        }
    }
}

fn unchanged(disk: &Disk, path: &WsPath, stamp: &Stamp) -> Result<(), DiskError> {
    if disk.stat(path)? == *stamp { Ok(()) } else { Err(DiskError::Changed(path.to_string())) }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the tests look at the files from outside")]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::disk::DiskLimits;
    use crate::paths::{Root, file_uri};
    use crate::text::{EditSet, Text};

    struct Place {
        dir: tempfile::TempDir,
        disk: Disk,
        roots: Roots,
    }

    impl Place {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let roots = Roots::new(vec![Root::open("", dir.path()).unwrap()]);
            Self { dir, disk: Disk::new(DiskLimits::default()), roots }
        }

        fn path(&self, name: &str) -> std::path::PathBuf {
            fs::canonicalize(self.dir.path()).unwrap().join(name)
        }

        fn uri(&self, name: &str) -> Arc<str> {
            file_uri(&self.path(name)).into()
        }

        fn put(&self, name: &str, bytes: &[u8]) {
            fs::write(self.path(name), bytes).unwrap();
        }

        fn bytes(&self, name: &str) -> Vec<u8> {
            fs::read(self.path(name)).unwrap()
        }

        /// Replaces the first occurrence of `old` in what is taken for the file's text.
        fn edit(&self, name: &str, base: &str, old: &str, new: &str) -> FileChange {
            let at = base.find(old).unwrap();
            let edits = EditSet::replace(base.len(), at..at + old.len(), new).unwrap();
            FileChange::Edit { uri: self.uri(name), version: None, base: Text::from(base), edits }
        }

        fn write(&self, changes: &[FileChange]) -> Result<(), String> {
            write(&self.disk, &self.roots, changes)
        }

        fn names(&self) -> Vec<String> {
            let mut names: Vec<_> = Path::read_dir(self.dir.path())
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        }
    }

    #[test]
    fn encoding_line_ends_and_the_missing_final_newline_are_kept() {
        let place = Place::new();
        let utf16: Vec<u8> =
            [0xFF, 0xFE].into_iter().chain("é\r\nb".encode_utf16().flat_map(u16::to_le_bytes)).collect();
        place.put("a", &utf16);
        place.put("b", b"x\r\ny\r\n");
        place.write(&[place.edit("a", "é\r\nb", "b", "ß\nc"), place.edit("b", "x\r\ny\r\n", "y", "z")]).unwrap();
        let expected: Vec<u8> =
            [0xFF, 0xFE].into_iter().chain("é\r\nß\r\nc".encode_utf16().flat_map(u16::to_le_bytes)).collect();
        assert_eq!(place.bytes("a"), expected);
        assert_eq!(place.bytes("b"), b"x\r\nz\r\n");
    }

    #[test]
    fn a_file_that_changed_meanwhile_keeps_all_files_as_they_are() {
        let place = Place::new();
        place.put("a", b"one\n");
        place.put("b", b"other\n");
        let changes = [place.edit("a", "one\n", "one", "two"), place.edit("b", "read\n", "read", "x")];
        let why = place.write(&changes).unwrap_err();
        assert!(why.contains("`b` was changed by someone else"), "{why}");
        assert_eq!((place.bytes("a"), place.bytes("b")), (b"one\n".to_vec(), b"other\n".to_vec()));
    }

    #[test]
    fn a_character_that_one_file_cannot_hold_keeps_all_files_as_they_are() {
        let place = Place::new();
        place.put("a", b"one\n");
        // windows-1252, long enough for a detector to be sure.
        place.put("b", b"na\xefve caf\xe9 d\xe9j\xe0 vu, \xe0 la carte, fa\xe7ade\n");
        let base = place.disk.read(&place.roots.resolve("b").unwrap()).unwrap().text.to_string();
        let changes = [place.edit("a", "one\n", "one", "two"), place.edit("b", &base, "vu", "語")];
        let why = place.write(&changes).unwrap_err();
        assert!(why.contains('語'), "{why}");
        assert_eq!(place.bytes("a"), b"one\n");
    }

    #[test]
    fn what_was_done_is_undone_when_a_later_step_fails() {
        let place = Place::new();
        place.put("a", b"one\n");
        place.put("gone", b"old\n");
        place.put("from", b"moved\n");
        let changes = [
            place.edit("a", "one\n", "one", "two"),
            FileChange::Create { uri: place.uri("new/file"), text: Text::from("new\n") },
            FileChange::Delete { uri: place.uri("gone") },
            FileChange::Rename { from: place.uri("from"), to: place.uri("to") },
            // Free when it is looked at, taken by the step before when it is written.
            FileChange::Create { uri: place.uri("to"), text: Text::default() },
        ];
        let why = place.write(&changes).unwrap_err();
        assert!(why.contains("`to` exists already"), "{why}");
        assert_eq!(place.bytes("a"), b"one\n");
        assert_eq!(place.bytes("gone"), b"old\n");
        assert_eq!(place.bytes("from"), b"moved\n");
        assert_eq!(place.names(), ["a", "from", "gone", "new"], "an empty folder may stay behind");
        place.write(&changes[..4]).unwrap();
        assert_eq!(place.names(), ["a", "new", "to"]);
    }

    #[test]
    fn places_outside_the_directory_are_refused() {
        let place = Place::new();
        let outside = tempfile::tempdir().unwrap();
        let uri: Arc<str> = file_uri(&outside.path().join("x")).into();
        for change in [
            FileChange::Create { uri: uri.clone(), text: Text::from("x") },
            FileChange::Delete { uri: uri.clone() },
            FileChange::Rename { from: place.uri("a"), to: uri },
            FileChange::Create { uri: "untitled:1".into(), text: Text::from("x") },
        ] {
            assert!(place.write(&[change]).unwrap_err().contains("is not in the directory"));
        }
        assert!(!outside.path().join("x").exists());
    }

    #[test]
    fn only_a_number_of_a_choice_is_an_answer() {
        assert_eq!(choice(" 2\n", 2), Some(1));
        for line in ["", "\n", "0", "3", "yes", "-1", "99999999999999999999999"] {
            assert_eq!(choice(line, 2), None, "{line}");
        }
    }
}
