//! Where a command stands, and which of its words are files that it may show.

use crate::paths::{Kind, Roots, WsPath, beneath};
use crate::tools::pattern::PathFilter;
use crate::workspace::protected::{self, Protection};

/// A folder of the workspace, with the files that a rule hides.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The folder, without links.
    pub cwd: &'a WsPath,
    /// What no tool may show.
    pub denied: &'a [PathFilter],
}

/// What a word must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    /// A file with text.
    File,
    /// A file or a folder.
    Any,
    /// A file, a folder, or nothing at all.
    Perhaps,
}

impl Place<'_> {
    /// The roots of the workspace.
    pub fn roots(&self) -> &Roots {
        self.cwd.roots()
    }

    /// Whether `word` names a file inside the workspace that may be shown, or why not.
    pub(super) fn admits(&self, word: &str, want: Want) -> Result<(), String> {
        if word == "/dev/null" {
            return Ok(());
        }
        let path = self.path(word).ok_or_else(|| format!("`{word}` is not below a workspace folder"))?;
        let real = beneath::real(&path).map_err(|_| format!("`{word}` leads out of the workspace"))?;
        for path in [&path, &real] {
            if protected::is_secret(path) {
                return Err(format!("`{word}` may hold secrets"));
            }
            if matches!(protected::classify(path), Protection::Deny(_)) {
                return Err(format!("`{word}` is one of git's own files"));
            }
            if self.denied.iter().any(|denied| denied.accepts(path.rel())) {
                return Err(format!("a rule of yours hides `{word}`"));
            }
        }
        let kind = if real.rel().is_empty() { Some(Kind::Folder) } else { beneath::kind(&real) };
        match (kind, want) {
            (Some(Kind::File), _) | (Some(Kind::Folder), Want::Any | Want::Perhaps) | (None, Want::Perhaps) => Ok(()),
            (None, _) => Err(format!("there is no `{word}`")),
            (Some(Kind::Folder), _) => Err(format!("`{word}` is a folder")),
            (Some(_), _) => Err(format!("`{word}` is no plain file")),
        }
    }

    /// Whether `word`, taken as a path, is one that a rule hides. Whatever it is in truth: for rules that tighten.
    pub fn hides(&self, word: &str) -> bool {
        // An option may have its value attached.
        let value = word.split_once('=').map_or(word, |(_, value)| value);
        [word, value].into_iter().any(|word| {
            // Where `a/..` leads is the disk's secret: it may be there.
            if climbs(word) {
                return !self.denied.is_empty();
            }
            self.path(word).is_some_and(|path| {
                let real = beneath::real(&path).ok();
                let paths = [Some(&path), real.as_ref()];
                self.denied.iter().any(|denied| paths.iter().flatten().any(|path| denied.accepts(path.rel())))
            })
        })
    }

    /// The path that a word names for a program that runs here; `None` if it is outside, or if what it means depends on
    /// links on its way.
    fn path(&self, word: &str) -> Option<WsPath> {
        if word.is_empty() || word.len() > crate::paths::MAX_PATH_BYTES || word.contains('\0') {
            return None;
        }
        if climbs(word) {
            return None;
        }
        self.roots().of(&self.cwd.absolute().join(word))
    }
}

/// Whether it goes up behind a name: `a/..` is the place above whatever `a` leads to.
fn climbs(word: &str) -> bool {
    let mut below = word.starts_with('/');
    word.split('/').any(|part| match part {
        "" | "." => false,
        ".." => below,
        _ => {
            below = true;
            false
        }
    })
}
