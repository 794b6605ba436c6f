//! Places that are protected for what stands there, whatever the path to them is called.
//!
//! A git directory is known as git knows one, by the files in it, and because a `.git` (a folder, a link, a file that
//! says `gitdir:`) leads there; so are the directory it has in common with other work trees, and the folder in which
//! its configuration keeps hooks. Folders are compared by name and by identity: a mount or a file system's second name
//! for a folder leads to the same one.

use std::path::{Path, PathBuf};

use super::fold::fold;
use super::names::HOOK;
use super::{GIT, OWN, Protection};
use crate::disk::Disk;
use crate::paths::{Kind, WsPath, beneath};

/// Longest file that points to another place, in bytes.
const MAX_POINTER: usize = 8 << 10;

/// Longest configuration of git that is looked at, in bytes.
const MAX_CONFIG: usize = 256 << 10;

/// What a file system tells one folder or file from another by; `None` where it does not.
type Identity = Option<(u64, u64)>;

/// Judges a path without links. `own` are files and folders of Ropeway itself.
pub(super) fn judge(disk: &Disk, own: &[PathBuf], path: &WsPath) -> Protection {
    let above: Vec<WsPath> = std::iter::successors(path.parent(), WsPath::parent).collect();
    let spot = Spot { path, identities: above.iter().chain([path]).map(identity).filter(Option::is_some).collect() };
    // Whoever opens a folder in there as a workspace means it.
    let opened = |own: &Path| path.root().path().starts_with(own);
    if own.iter().any(|own| !opened(own) && spot.is_at(own, &identity_of(own))) {
        return Protection::Deny(OWN);
    }
    if above.iter().any(is_git_dir) {
        return Protection::Deny(GIT);
    }
    let tops = path.roots().tops();
    let mut found = Protection::None;
    for folder in above.iter().chain(tops.iter().filter(|top| !above.contains(top))) {
        let Some(dirs) = git_dirs(disk, folder) else { continue };
        for dir in &dirs {
            if spot.is_at(&dir.absolute(), &identity(dir)) {
                return Protection::Deny(GIT);
            }
            if let Some(hooks) = hooks(disk, dir, folder)
                && spot.is_at(&hooks.absolute(), &identity(&hooks))
            {
                found = Protection::Ask(HOOK);
            }
        }
    }
    found
}

/// Where the file is that is asked about.
struct Spot<'a> {
    path: &'a WsPath,
    /// Of the folders above it, and its own.
    identities: Vec<Identity>,
}

impl Spot<'_> {
    /// Whether it is the given file or in the given folder.
    fn is_at(&self, place: &Path, identity: &Identity) -> bool {
        (identity.is_some() && self.identities.contains(identity)) || starts_with(&self.path.absolute(), place)
    }
}

/// As [`Path::starts_with`], with parts compared as the most forgiving file system does.
fn starts_with(path: &Path, place: &Path) -> bool {
    let mut parts = path.components();
    place.components().all(|want| {
        let same = |have: std::path::Component<'_>| {
            have == want || fold(&have.as_os_str().to_string_lossy()) == fold(&want.as_os_str().to_string_lossy())
        };
        parts.next().is_some_and(same)
    })
}

fn identity(path: &WsPath) -> Identity {
    of_metadata(&beneath::look_at(path).ok()?.metadata().ok()?)
}

fn identity_of(path: &Path) -> Identity {
    of_metadata(&std::fs::metadata(path).ok()?)
}

#[cfg(unix)]
fn of_metadata(found: &std::fs::Metadata) -> Identity {
    use std::os::unix::fs::MetadataExt;
    Some((found.dev(), found.ino()))
}

#[cfg(not(unix))]
fn of_metadata(_: &std::fs::Metadata) -> Identity {
    None
}

/// Whether git would take the folder for one of its own.
fn is_git_dir(folder: &WsPath) -> bool {
    let kind = |name: &str| folder.join(name).ok().and_then(|path| beneath::kind(&path));
    let is_folder = |name: &str| matches!(kind(name), Some(Kind::Folder | Kind::Link));
    matches!(kind("HEAD"), Some(Kind::File | Kind::Link))
        && (kind("commondir").is_some() || (is_folder("objects") && is_folder("refs")))
}

/// Where the `.git` of `folder` leads, and what that has in common with other work trees; `None` if there is none.
/// What is outside the workspace is left out: no run gets there anyway.
fn git_dirs(disk: &Disk, folder: &WsPath) -> Option<Vec<WsPath>> {
    let dot = folder.join(".git").ok()?;
    beneath::kind(&dot)?;
    let dot = beneath::real(&dot).ok()?;
    let dir = match beneath::kind(&dot)? {
        Kind::File => {
            let text = disk.read(&dot).ok()?.text.clone();
            let line = text.get(..text.floor_char_boundary(MAX_POINTER)).unwrap_or_default().lines().next()?;
            led_to(folder, line.trim_start_matches('\u{feff}').strip_prefix("gitdir:")?.trim())?
        }
        _ => dot,
    };
    let common = || {
        let text = disk.read(&dir.join("commondir").ok()?).ok()?.text.clone();
        led_to(&dir, text.get(..text.floor_char_boundary(MAX_POINTER))?.trim())
    };
    let common = common();
    Some([Some(dir), common].into_iter().flatten().collect())
}

/// The folder in which the configuration in the git directory `dir` keeps hooks, if it is not the usual one.
fn hooks(disk: &Disk, dir: &WsPath, work_tree: &WsPath) -> Option<WsPath> {
    let text = disk.read(&dir.join("config").ok()?).ok()?.text.clone();
    let text = text.get(..text.floor_char_boundary(MAX_CONFIG))?;
    let value = text.lines().rev().find_map(|line| {
        let (key, value) = line.split_once('=')?;
        key.trim().eq_ignore_ascii_case("hookspath").then(|| value.trim().trim_matches('"'))
    })?;
    led_to(work_tree, value)
}

/// The place that `target` names, as seen from `folder`, links resolved.
fn led_to(folder: &WsPath, target: &str) -> Option<WsPath> {
    if target.is_empty() || target.contains('\0') {
        return None;
    }
    let place = folder.roots().of(&folder.absolute().join(target))?;
    Some(beneath::real(&place).unwrap_or(place))
}
