//! Where a program's bare name leads: the `PATH` of the start, looked through as a shell would.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::paths::Roots;

/// Most names that are remembered.
const MAX_KNOWN: usize = 512;

/// The search path that this process was started with. What it leads to is looked up once for each name.
#[derive(Debug, Default)]
pub struct Programs {
    /// `None` for an entry that depends on the current directory.
    folders: Vec<Option<PathBuf>>,
    known: Mutex<HashMap<String, Option<PathBuf>>>,
}

impl Programs {
    /// By this `PATH`.
    pub fn new(path: Option<&OsStr>) -> Self {
        let folders = path.map(|path| std::env::split_paths(path).collect::<Vec<_>>()).unwrap_or_default();
        let absolute = |folder: PathBuf| folder.is_absolute().then_some(folder);
        Self { folders: folders.into_iter().map(absolute).collect(), known: Mutex::default() }
    }

    /// Whether a bare name leads to a program outside every one of `roots`, or why it must not be trusted.
    pub fn trusted(&self, name: &str, roots: &Roots) -> Result<(), String> {
        self.outside(name, roots).map(drop)
    }

    /// The program outside every one of `roots` that a bare name leads to, or why there is none to be trusted.
    pub fn outside(&self, name: &str, roots: &Roots) -> Result<PathBuf, String> {
        let found = {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            match known.get(name) {
                Some(found) => found.clone(),
                None => {
                    let found = self.find(name);
                    if known.len() < MAX_KNOWN {
                        known.insert(name.to_owned(), found.clone());
                    }
                    found
                }
            }
        };
        let Some(found) = found else { return Err(format!("there is no program `{name}` on the search path")) };
        let within = |path: &Path| roots.iter().any(|root| path.starts_with(root.path()));
        let real = std::fs::canonicalize(&found).map_err(|error| format!("`{name}` cannot be looked at: {error}"))?;
        if within(&found) || within(&real) {
            return Err(format!("`{name}` is a program of this workspace"));
        }
        Ok(found)
    }

    /// The first file of this name that can be run, without a look behind an entry that means the current directory.
    fn find(&self, name: &str) -> Option<PathBuf> {
        for folder in &self.folders {
            let path = folder.as_ref()?.join(name);
            if is_program(&path) {
                return Some(path);
            }
        }
        None
    }
}

#[cfg(unix)]
fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_program(path: &Path) -> bool {
    path.is_file() || path.with_extension("exe").is_file()
}
