//! What the machine gives: a place for state, watches, variables.
//!
//! Nothing is made or changed here: who asks how he is does not want to be treated yet.

use std::path::{Path, PathBuf};

use super::report::{RecordingReport, StateReport, Variable, WatchReport};
use crate::config::{Config, EnvSnapshot};
use crate::watch::Watcher;

/// Files of the state directory that are looked at; of more only that there are more is told.
const MOST_FILES: u64 = 100_000;

/// The settings that stand in variables; their values are no secrets.
const SETTINGS: [&str; 11] = [
    "ROPEWAY_MODEL",
    "ROPEWAY_PROFILE",
    "ROPEWAY_CONFIG",
    "ROPEWAY_STATE_DIR",
    "ROPEWAY_MAX_PARALLEL",
    "ROPEWAY_PARALLEL_TOOLS",
    "ROPEWAY_STREAM_DISPATCH",
    "ROPEWAY_CONFIG_CACHE_TTL",
    "ROPEWAY_BACKGROUND_IO",
    "ROPEWAY_OFF",
    "ROPEWAY_LOG",
];
/// Variables that libraries below us follow; they may hold credentials.
const FOLLOWED: [&str; 10] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

pub(super) fn state(path: &Path) -> StateReport {
    let mut report = StateReport {
        path: path.to_owned(),
        present: false,
        writable: false,
        bytes: 0,
        files: 0,
        more: false,
        open_to_others: false,
        error: None,
    };
    match meta(path) {
        Ok(meta) if !meta.is_dir() => report.error = Some("it is no directory".to_owned()),
        Ok(meta) => {
            report.present = true;
            report.open_to_others = open_to_others(&meta);
            match writable(path) {
                Ok(()) => report.writable = true,
                Err(error) => report.error = Some(error),
            }
            count(path, &mut report);
        }
        // It is made at the first need: below the nearest folder that is there.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let above = path.ancestors().skip(1).find(|above| !above.as_os_str().is_empty() && above.exists());
            match above.map_or_else(|| Err("no folder above it is there".to_owned()), writable) {
                Ok(()) => report.writable = true,
                Err(error) => report.error = Some(error),
            }
        }
        Err(error) => report.error = Some(error.to_string()),
    }
    report
}

fn meta(path: &Path) -> std::io::Result<std::fs::Metadata> {
    std::fs::metadata(path)
}

#[cfg(unix)]
fn open_to_others(meta: &std::fs::Metadata) -> bool {
    std::os::unix::fs::MetadataExt::mode(meta) & 0o007 != 0
}

#[cfg(not(unix))]
fn open_to_others(_: &std::fs::Metadata) -> bool {
    false
}

#[cfg(unix)]
fn writable(path: &Path) -> Result<(), String> {
    use rustix::fs::Access;
    rustix::fs::access(path, Access::WRITE_OK | Access::EXEC_OK).map_err(|error| {
        // Its own text begins with a capital and may hold the number.
        std::io::Error::from(error).to_string()
    })
}

#[cfg(not(unix))]
fn writable(path: &Path) -> Result<(), String> {
    match meta(path) {
        Ok(meta) if meta.permissions().readonly() => Err("it is read-only".to_owned()),
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

/// Adds up the files; links are not followed, and what cannot be read does not count.
fn count(top: &Path, report: &mut StateReport) {
    let mut open: Vec<PathBuf> = vec![top.to_owned()];
    while let Some(folder) = open.pop() {
        let Ok(entries) = std::fs::read_dir(folder) else { continue };
        for entry in entries.flatten() {
            let Ok(meta) = entry.metadata() else { continue };
            if meta.is_dir() {
                open.push(entry.path());
            } else if meta.is_file() {
                report.bytes = report.bytes.saturating_add(meta.len());
            }
            report.files += u64::from(!meta.is_dir());
            if report.files >= MOST_FILES || open.len() as u64 >= MOST_FILES {
                report.more = true;
                return;
            }
        }
    }
}

pub(super) fn recording(config: &Config) -> RecordingReport {
    RecordingReport {
        enabled: config.recording.enabled,
        compress: config.recording.compress,
        keep_days: config.recording.keep_days,
        in_background: config.background_io,
    }
}

/// Tries it: a limit that other programs have used up shows only then.
pub(super) fn watching(folder: Option<&Path>) -> WatchReport {
    let tried = folder.map(|folder| Watcher::new(1).add(folder));
    let reason = match tried {
        None => Some("the folder that this was started in is gone".to_owned()),
        Some(Err(why)) => Some(why.to_string()),
        Some(Ok(_)) => None,
    };
    let limit = |name: &str| {
        #[expect(clippy::disallowed_methods, reason = "a few bytes from the kernel")]
        let text = std::fs::read_to_string(Path::new("/proc/sys/fs/inotify").join(name)).ok()?;
        text.trim().parse().ok()
    };
    WatchReport {
        supported: reason.is_none(),
        max_folders: limit("max_user_watches"),
        max_watchers: limit("max_user_instances"),
        reason,
    }
}

pub(super) fn environment(env: &EnvSnapshot) -> Vec<Variable> {
    let mut found: Vec<Variable> = env
        .iter()
        .filter_map(|(name, value)| {
            let name = name.to_str()?.to_owned();
            let known = SETTINGS.contains(&name.as_str());
            if known {
                return Some(Variable { name, value: Some(shortened(&value.to_string_lossy())), problem: None });
            }
            if FOLLOWED.contains(&name.as_str()) {
                return Some(Variable { name, value: None, problem: None });
            }
            if !name.starts_with("ROPEWAY_") {
                return None;
            }
            let near = SETTINGS.into_iter().min_by_key(|setting| strsim::osa_distance(setting, &name))?;
            // Keys may stand in variables of any name; only what is nearly a setting's is a mistake.
            let problem = (strsim::osa_distance(near, &name) <= 3).then(|| format!("not known; did you mean {near}?"));
            Some(Variable { name: shortened(&name), value: None, problem })
        })
        .collect();
    found.sort_by(|one, other| one.name.cmp(&other.name));
    found.truncate(50);
    found
}

fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(200).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_settings_are_told_with_their_values() {
        let env: EnvSnapshot = [
            ("ROPEWAY_MODEL", "openai/m"),
            ("ROPEWAY_MODLE", "canary"),
            ("ROPEWAY_WORK_KEY", "canary"),
            ("HTTPS_PROXY", "http://u:canary@h"),
            ("PATH", "canary"),
        ]
        .into_iter()
        .collect();
        let found = environment(&env);
        let names: Vec<_> = found.iter().map(|variable| variable.name.as_str()).collect();
        assert_eq!(names, ["HTTPS_PROXY", "ROPEWAY_MODEL", "ROPEWAY_MODLE", "ROPEWAY_WORK_KEY"]);
        assert_eq!(found[1].value.as_deref(), Some("openai/m"));
        assert_eq!(found[2].problem.as_deref(), Some("not known; did you mean ROPEWAY_MODEL?"));
        assert_eq!(found[3].problem, None);
        assert!(!format!("{found:?}").contains("canary"));
    }

    #[cfg(unix)]
    #[test]
    fn a_state_directory_is_measured_without_being_made() {
        let dir = tempfile::tempdir().unwrap();
        let absent = state(&dir.path().join("a/b"));
        assert!(absent.writable && !absent.present && !dir.path().join("a").exists());
        let file = dir.path().join("f");
        let mut options = std::fs::OpenOptions::new();
        std::io::Write::write_all(&mut options.create(true).append(true).open(&file).unwrap(), b"12345").unwrap();
        std::os::unix::fs::symlink(dir.path(), dir.path().join("loop")).unwrap();
        let present = state(dir.path());
        assert_eq!((present.bytes, present.files, present.more, present.writable), (5, 2, false, true));
        assert_eq!(state(&file).error.as_deref(), Some("it is no directory"));
    }
}
