//! The folders that the client opened: each held by a descriptor, so that its name is looked up once.

use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::wspath::WsPath;
use super::{MAX_PATH_BYTES, PathError, beneath, file_path};

/// One workspace folder.
pub struct Root {
    name: String,
    path: PathBuf,
    given: PathBuf,
    dir: beneath::Dir,
    local: bool,
}

impl Root {
    /// Opens the folder at `path`, which must exist. `name` is what the client calls it.
    pub fn open(name: &str, path: &Path) -> Result<Arc<Self>, PathError> {
        let failed = |source| PathError::Io { path: path.display().to_string(), source };
        let real = std::fs::canonicalize(path).map_err(failed)?;
        if real.to_str().is_none() {
            return Err(PathError::Name(real.display().to_string()));
        }
        let dir = beneath::Dir::open(&real).map_err(failed)?;
        let local = dir.is_local();
        let name = match name {
            "" => real.file_name().map_or_else(|| "root".to_owned(), |name| name.to_string_lossy().into_owned()),
            name => name.replace('/', "_"),
        };
        Ok(Arc::new(Self { name, path: real, given: clean(path), dir, local }))
    }

    /// What the client calls it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it is, without links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Device and inode of the folder, where the system tells them: another one under the same name is another folder.
    pub fn identity(&self) -> Option<(u64, u64)> {
        self.dir.identity()
    }

    /// Whether a look at one of its files never waits for another machine.
    pub fn is_local(&self) -> bool {
        self.local
    }

    /// The open folder, for the module that opens files below it.
    pub(super) fn dir(&self) -> &beneath::Dir {
        &self.dir
    }

    /// The name below this root of an absolute path, by either spelling of the root.
    fn below<'a>(&self, path: &'a Path) -> Option<&'a Path> {
        path.strip_prefix(&self.path).or_else(|_| path.strip_prefix(&self.given)).ok()
    }
}

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Root({} at {})", self.name, self.path.display())
    }
}

/// All workspace folders, in the client's order. A clone is a pointer.
#[derive(Clone, Debug)]
pub struct Roots(Arc<[Named]>);

#[derive(Debug)]
struct Named {
    root: Arc<Root>,
    /// The root's name, made unique among its neighbours.
    label: String,
}

impl Default for Roots {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

impl Roots {
    /// These folders. Two of the same name get numbers, so that the model can tell them apart.
    pub fn new(roots: Vec<Arc<Root>>) -> Self {
        let mut named: Vec<Named> = Vec::with_capacity(roots.len());
        for root in roots {
            let mut label = root.name.clone();
            let mut number = 1;
            while named.iter().any(|other| other.label == label) {
                number += 1;
                label = format!("{}-{number}", root.name);
            }
            named.push(Named { root, label });
        }
        Self(named.into())
    }

    /// The folders.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Root>> {
        self.0.iter().map(|named| &named.root)
    }

    /// The top of each folder, as a path.
    pub fn tops(&self) -> Vec<WsPath> {
        (0..self.0.len()).map(|index| WsPath::new(self.clone(), index, "")).collect()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The folder at `index`; only a `WsPath` made from these roots asks.
    pub(super) fn get(&self, index: usize) -> &Arc<Root> {
        &self.0[index].root
    }

    /// What the model calls the folder at `index`.
    pub(super) fn label(&self, index: usize) -> &str {
        &self.0[index].label
    }

    /// The path that the model means by `words`: below the only root, or `NAME/…` where there are several; an absolute
    /// path or a `file:` URI inside a root. `..` is taken away by name, before any link is looked at. Where several
    /// roots nest, the deepest one wins.
    pub fn resolve(&self, words: &str) -> Result<WsPath, PathError> {
        let words = words.trim();
        if words.contains('\0') {
            return Err(PathError::Nul);
        }
        if words.len() > MAX_PATH_BYTES {
            return Err(PathError::TooLong);
        }
        if self.is_empty() {
            return Err(PathError::NoRoots);
        }
        let outside = || PathError::Outside { path: words.to_owned(), roots: self.places() };
        let from_uri = words.get(..5).filter(|scheme| scheme.eq_ignore_ascii_case("file:")).map(|_| file_path(words));
        if let Some(path) = from_uri {
            return path.and_then(|path| self.of(&path)).ok_or_else(outside);
        }
        let path = Path::new(words);
        if path.is_absolute() || path.has_root() {
            return self.of(path).ok_or_else(outside);
        }
        let parts = parts(path).ok_or_else(outside)?;
        let (index, rel) = if self.len() == 1 { (0, &parts[..]) } else { self.named(words, &parts)? };
        if rel.iter().any(|part| !beneath::usable(part)) {
            return Err(PathError::Name(words.to_owned()));
        }
        let found = WsPath::new(self.clone(), index, &rel.join("/"));
        Ok(self.of(&found.absolute()).unwrap_or(found))
    }

    /// The root that the first part names, or the only one that holds such a file.
    fn named<'a>(&self, words: &str, parts: &'a [&'a str]) -> Result<(usize, &'a [&'a str]), PathError> {
        let which = || PathError::WhichRoot { path: words.to_owned(), roots: self.names() };
        let (first, rest) = parts.split_first().ok_or_else(which)?;
        if let Some(index) = self.0.iter().position(|named| named.label == *first) {
            return Ok((index, rest));
        }
        let rel = parts.join("/");
        let mut holders =
            (0..self.len()).filter(|index| beneath::exists(&WsPath::new(self.clone(), *index, &rel)).unwrap_or(false));
        match (holders.next(), holders.next()) {
            (Some(index), None) => Ok((index, parts)),
            _ => Err(which()),
        }
    }

    /// The path below the deepest root that holds the absolute path `path`; `None` if none does. Purely by name.
    pub fn of(&self, path: &Path) -> Option<WsPath> {
        let path = clean(path);
        if !path.is_absolute() {
            return None;
        }
        let holders = self.0.iter().enumerate();
        let (index, rel) = holders
            .filter_map(|(index, named)| Some((index, named.root.below(&path)?)))
            .min_by_key(|(_, rel)| rel.components().count())?;
        let rel = parts(rel)?;
        rel.iter().all(|part| beneath::usable(part)).then(|| WsPath::new(self.clone(), index, &rel.join("/")))
    }

    fn names(&self) -> String {
        let names: Vec<_> = self.0.iter().map(|named| format!("{}/", named.label)).collect();
        names.join(", ")
    }

    fn places(&self) -> String {
        let places: Vec<_> = self.iter().map(|root| root.path.display().to_string()).collect();
        places.join(", ")
    }
}

/// The parts of a relative path with `.` and `..` taken away; `None` if it climbs above its start.
fn parts(path: &Path) -> Option<Vec<&str>> {
    let mut parts = Vec::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                parts.pop()?;
            }
            Component::Normal(part) => parts.push(part.to_str()?),
            Component::Prefix(_) | Component::RootDir => return None,
        }
    }
    Some(parts)
}

/// An absolute path with `.` and `..` taken away by name.
pub(super) fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                clean.pop();
            }
            other => clean.push(other),
        }
    }
    clean
}
