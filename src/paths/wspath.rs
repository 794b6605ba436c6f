//! `WsPath`: a file's name inside the workspace, and nothing that could be a name outside it.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::path::PathBuf;
use std::sync::Arc;

use super::root::{Root, Roots};
use super::{PathError, file_uri};

/// A root and a name below it. Says nothing about whether the file exists, nor what a link on the way leads to.
#[derive(Clone)]
pub struct WsPath {
    roots: Roots,
    index: u32,
    rel: Arc<str>,
}

impl WsPath {
    /// `rel` is clean: no empty part, no `.`, no `..`.
    pub(super) fn new(roots: Roots, index: usize, rel: &str) -> Self {
        Self { roots, index: index as u32, rel: Arc::from(rel) }
    }

    /// The root it is below.
    pub fn root(&self) -> &Arc<Root> {
        self.roots.get(self.index as usize)
    }

    /// All roots of the workspace it was made in.
    pub fn roots(&self) -> &Roots {
        &self.roots
    }

    /// The name below the root, parts separated by `/`; empty for the root itself.
    pub fn rel(&self) -> &str {
        &self.rel
    }

    /// The parts of [`WsPath::rel`].
    pub fn parts(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.rel.split('/').filter(|part| !part.is_empty())
    }

    /// Its last part; empty for the root itself.
    pub fn name(&self) -> &str {
        self.parts().next_back().unwrap_or_default()
    }

    /// What follows the last dot of the name, if anything does.
    pub fn extension(&self) -> Option<&str> {
        self.name().rsplit_once('.').filter(|(stem, _)| !stem.is_empty()).map(|(_, extension)| extension)
    }

    /// The whole path, for messages and for the client; files are not opened by it.
    pub fn absolute(&self) -> PathBuf {
        let root = self.root().path();
        if self.rel.is_empty() { root.to_owned() } else { root.join(&*self.rel) }
    }

    /// Its `file:` URI, as we spell it; a client may spell an open document in another way.
    pub fn uri(&self) -> String {
        file_uri(&self.absolute())
    }

    /// The folder that holds it; `None` for the root itself.
    pub fn parent(&self) -> Option<Self> {
        if self.rel.is_empty() {
            return None;
        }
        let rel = self.rel.rsplit_once('/').map_or("", |(parent, _)| parent);
        Some(Self { roots: self.roots.clone(), index: self.index, rel: Arc::from(rel) })
    }

    /// A path below this one; an error if `rel` is absolute, hostile or climbs out of the root.
    pub fn join(&self, rel: &str) -> Result<Self, PathError> {
        let outside = || PathError::Outside { path: rel.to_owned(), roots: self.root().path().display().to_string() };
        if rel.contains('\0') {
            return Err(PathError::Nul);
        }
        if rel.len() + self.rel.len() > super::MAX_PATH_BYTES {
            return Err(PathError::TooLong);
        }
        let joined = self.absolute().join(rel);
        if std::path::Path::new(rel).has_root() {
            return Err(outside());
        }
        self.roots.of(&joined).ok_or_else(outside)
    }

    /// Whether this is `folder` or below it.
    pub fn is_in(&self, folder: &Self) -> bool {
        self.absolute().starts_with(folder.absolute())
    }

    fn same_root(&self, other: &Self) -> Ordering {
        if Arc::ptr_eq(self.root(), other.root()) {
            return Ordering::Equal;
        }
        self.root().path().cmp(other.root().path())
    }
}

impl PartialEq for WsPath {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for WsPath {}

impl PartialOrd for WsPath {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for WsPath {
    fn cmp(&self, other: &Self) -> Ordering {
        self.same_root(other).then_with(|| self.rel.cmp(&other.rel))
    }
}

impl Hash for WsPath {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.root().path().hash(state);
        self.rel.hash(state);
    }
}

/// What the model sees: the name below the root, after the root's name where there are several.
impl fmt::Display for WsPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let several = self.roots.len() > 1;
        match (several, self.rel.is_empty()) {
            (true, true) => f.write_str(self.roots.label(self.index as usize)),
            (true, false) => write!(f, "{}/{}", self.roots.label(self.index as usize), self.rel),
            (false, true) => f.write_str("."),
            (false, false) => f.write_str(&self.rel),
        }
    }
}

impl fmt::Debug for WsPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WsPath({self})")
    }
}
