//! The report of a run, as a file that only the user can read: made from its recording whenever it is asked for.
//!
//! A run's report has one name, so that asking again shows the newer one in the same place, and old ones are removed:
//! what they were made from is kept elsewhere.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::runs::Runs;
use crate::ids::RunId;
use crate::report::gather::Gather;
use crate::report::html;
use crate::report::story::Story;
use crate::trajectory::read::{Item, RunHead, Store};
use crate::trajectory::recorder::Recorder;

/// Folder of the reports in the state directory.
pub const FOLDER: &str = "reports";
/// Reports that are kept.
const KEPT: usize = 50;
/// How long the recorder may take to write what it has.
const FLUSH: Duration = Duration::from_secs(5);

/// Why there is no report; the words are for the user.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// Nothing was ever recorded here, and nothing is.
    #[error(
        "nothing is recorded, so there is nothing to report: set `recording.enabled = true`, and `recording.dir` where there is no home directory"
    )]
    Off,
    /// No run has been recorded yet.
    #[error("no run has been recorded yet")]
    Nothing,
    /// The recording cannot be read, or there is none of this run.
    #[error("the recording of this run cannot be read: {0}")]
    Unreadable(io::Error),
    /// The file cannot be written.
    #[error("the report cannot be written to {0}: {1}")]
    Unwritable(PathBuf, io::Error),
}

/// Writes the report of a run of any session, or of the newest one of this server, and says where. Blocks.
fn write(dir: &Path, recorder: &Recorder, enabled: bool, run: Option<&RunId>) -> Result<PathBuf, ReportError> {
    recorder.flush(FLUSH);
    let store = Store::open(dir).map_err(ReportError::Unreadable)?;
    let Some(store) = store else {
        return Err(if enabled { ReportError::Nothing } else { ReportError::Off });
    };
    let head = match run {
        Some(run) => store.find(run.as_str()).map_err(ReportError::Unreadable)?,
        None => newest(&store, recorder)?,
    };
    let story = story(&store, &head).map_err(ReportError::Unreadable)?;
    let folder = dir.join(FOLDER);
    // The store gives names of letters, digits, `-` and `_` only.
    let path = folder.join(format!("{}.html", head.run));
    put(&folder, &path, &html::page(&story)).map_err(|error| ReportError::Unwritable(path.clone(), error))?;
    forget_old(&folder);
    Ok(path)
}

/// The newest run of this server, else of all.
fn newest(store: &Store, recorder: &Recorder) -> Result<RunHead, ReportError> {
    let heads = store.runs().map_err(ReportError::Unreadable)?;
    let own = heads.iter().position(|head| Some(&head.session) == recorder.session().as_ref());
    heads.into_iter().nth(own.unwrap_or(0)).ok_or(ReportError::Nothing)
}

/// What the recording of a run tells.
pub fn story(store: &Store, head: &RunHead) -> io::Result<Story> {
    let mut gather = Gather::default();
    let records = store.run(head)?;
    for item in records {
        match item {
            Item::Record(record) => gather.record(&record),
            Item::Damage(_) => gather.damage(),
        }
    }
    Ok(gather.story(head.live))
}

/// Puts a page in its place in one step, so that a browser never loads half of one.
fn put(folder: &Path, path: &Path, page: &str) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    let mut options = OpenOptions::new();
    builder.recursive(true);
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
        builder.mode(0o700);
        options.mode(0o600);
    }
    builder.create(folder)?;
    let fresh = path.with_extension(format!("{}.tmp", RunId::unused()));
    let written = options.open(&fresh).and_then(|mut file| file.write_all(page.as_bytes()));
    let put = written.and_then(|()| std::fs::rename(&fresh, path));
    if put.is_err() {
        // What cannot be removed either is removed with the old ones.
        let _ = std::fs::remove_file(&fresh);
    }
    put
}

/// Removes all reports but the newest ones.
fn forget_old(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut found: Vec<(SystemTime, PathBuf)> = entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .filter(|(_, path)| path.extension().is_some_and(|extension| extension == "html" || extension == "tmp"))
        .collect();
    found.sort_unstable_by(|a, b| b.cmp(a));
    for (_, old) in found.into_iter().skip(KEPT) {
        // It is tried again with the next report.
        let _ = std::fs::remove_file(old);
    }
}

impl Runs {
    /// Writes the report of a run, or of the newest one, into the state directory of the recordings; says where.
    pub async fn report(&self, own: Option<PathBuf>, run: Option<RunId>) -> Result<PathBuf, ReportError> {
        let (recorder, config) = (self.services().recorder.clone(), self.services().config());
        let dir = super::record::place(&config, own.as_deref()).map(Path::to_owned).ok_or(ReportError::Off)?;
        let enabled = config.recording.enabled && recorder.is_on();
        let written = tokio::task::spawn_blocking(move || write(&dir, &recorder, enabled, run.as_ref())).await;
        written.unwrap_or_else(|panic| Err(ReportError::Unreadable(io::Error::other(panic))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_replaces_the_one_before_and_only_so_many_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join(FOLDER);
        for number in 0..KEPT + 5 {
            put(&folder, &folder.join(format!("run-{number}.html")), "a page").unwrap();
        }
        let last = folder.join(format!("run-{}.html", KEPT + 4));
        put(&folder, &last, "another page").unwrap();
        #[expect(clippy::disallowed_methods, reason = "the test looks from outside")]
        let (text, count) = {
            forget_old(&folder);
            (std::fs::read_to_string(&last).unwrap(), std::fs::read_dir(&folder).unwrap().count())
        };
        assert_eq!((text.as_str(), count), ("another page", KEPT));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(last.metadata().unwrap().permissions().mode() & 0o777, 0o600);
            assert_eq!(folder.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        }
    }

    #[test]
    fn without_recordings_the_user_is_told_what_to_switch_on() {
        let dir = tempfile::tempdir().unwrap();
        let why = |enabled| write(dir.path(), &Recorder::off(), enabled, None).unwrap_err().to_string();
        assert!(why(false).contains("`recording.enabled = true`"));
        assert!(why(true).contains("no run has been recorded yet"));
        assert!(!dir.path().join(FOLDER).exists());
    }
}
