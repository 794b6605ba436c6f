//! The workspace as the commands of one run see it: the user's folders, which stay as they are, under layers that take
//! what the commands write, with the edits that are not on disk brought in.
//!
//! The layers are kept for the run, so that a build that was made once is not made again; a file is written into them
//! only if it differs from what they hold, because a build looks at the time of its last change.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::copy::Copied;
use super::hidden::{self, Hidden};
use super::scratch::Scratch;
use super::spec::{Change, Layer, LayerKind, MAX_BODY};
use crate::disk::encoding::encode;
use crate::disk::{Disk, Format};
use crate::paths::{Root, WsPath};
use crate::text::Text;
use crate::tools::pattern::PathFilter;
use crate::tools::tool::ToolContext;
use crate::workspace::{FileView, Overlaid};

/// Where the commands of a run work.
#[derive(Debug)]
pub struct Layers {
    pub(super) scratch: Scratch,
    pub(super) roots: Vec<RootLayer>,
    caches: Vec<Layer>,
    tmp: PathBuf,
}

/// The layer of one root.
#[derive(Debug)]
pub(super) struct RootLayer {
    pub root: Arc<Root>,
    /// The root's path without links.
    pub real: PathBuf,
    pub store: Store,
    /// What the layer holds otherwise than the disk, as far as we know: by path below the root.
    pub held: HashMap<String, Held>,
    /// What commands changed and nobody took over: not to be told of twice.
    pub left: HashSet<String>,
}

/// How it keeps what is written.
#[derive(Debug)]
pub(super) enum Store {
    /// What was written, and nothing else.
    Overlay { upper: PathBuf, work: PathBuf },
    /// All files.
    Copy(Copied),
}

/// What a layer holds of a file.
#[derive(Clone, Debug)]
pub(super) enum Held {
    /// This text.
    Text(Text),
    /// Nothing: the file is gone.
    Gone,
}

/// What one command starts from.
pub struct Prepared {
    /// The layers, an outer one before those in it.
    pub layers: Vec<Layer>,
    /// Stands in for `/tmp`.
    pub tmp: PathBuf,
    /// What the layers do not hold yet.
    pub changes: Vec<Change>,
    /// The bytes of the changes.
    pub bodies: Vec<Vec<u8>>,
    /// The texts that are not as on disk, as the command sees them.
    pub views: HashMap<WsPath, FileView>,
    /// What could not be brought in; for the model.
    pub notes: Vec<String>,
}

impl RootLayer {
    /// Where the files are that the layer holds.
    pub fn folder(&self) -> &Path {
        match &self.store {
            Store::Overlay { upper, .. } => upper,
            Store::Copy(copied) => copied.tree(),
        }
    }
}

impl Layers {
    /// New ones over the roots of a workspace; with `overlay` they cost nothing. The error is for the model.
    pub fn make(scratch: Scratch, roots: &[Arc<Root>], caches: &[PathBuf], overlay: bool) -> Result<Self, String> {
        let failed = |error: io::Error| format!("the folder for what commands write cannot be made: {error}");
        let mut layers =
            Self { tmp: scratch.folder("tmp").map_err(failed)?, roots: Vec::new(), caches: Vec::new(), scratch };
        for (index, root) in roots.iter().enumerate() {
            let real = root.path().canonicalize().map_err(|error| format!("{}: {error}", root.path().display()))?;
            let store = match overlay {
                true => Store::Overlay {
                    upper: layers.scratch.folder(&format!("root{index}")).map_err(failed)?,
                    work: layers.scratch.folder(&format!("work{index}")).map_err(failed)?,
                },
                false => Store::Copy(Copied::new(layers.scratch.folder(&format!("root{index}")).map_err(failed)?)),
            };
            let layer = RootLayer { root: root.clone(), real, store, held: HashMap::new(), left: HashSet::new() };
            layers.roots.push(layer);
        }
        let outside = |cache: &&PathBuf| !layers.roots.iter().any(|layer| cache.starts_with(&layer.real));
        for (index, at) in caches.iter().filter(outside).enumerate().filter(|_| overlay) {
            layers.caches.push(Layer {
                at: at.clone(),
                kind: LayerKind::Overlay {
                    upper: layers.scratch.folder(&format!("cache{index}")).map_err(failed)?,
                    work: layers.scratch.folder(&format!("cachework{index}")).map_err(failed)?,
                },
                fixed: Vec::new(),
            });
        }
        Ok(layers)
    }

    /// Whether these are layers over the same roots.
    pub fn fit(&self, roots: &[Arc<Root>]) -> bool {
        self.roots.len() == roots.len()
            && self.roots.iter().zip(roots).all(|(layer, root)| layer.root.path() == root.path())
    }

    /// Where a command that is to run in `cwd` runs: the folder itself in a view of its own, else the one in the copy.
    pub fn place(&self, cwd: &WsPath, view: bool) -> PathBuf {
        let layer = self.roots.iter().find(|layer| layer.root.path() == cwd.root().path());
        match layer {
            Some(RootLayer { store: Store::Copy(copied), .. }) if !view => copied.tree().join(cwd.rel()),
            Some(layer) => layer.real.join(cwd.rel()),
            None => cwd.absolute(),
        }
    }

    /// Where the files are that rules hide; what was not looked at is said in `notes`.
    pub fn hidden(&self, rules: &[PathFilter], notes: &mut Vec<String>) -> Vec<PathBuf> {
        let mut found = Hidden::default();
        for layer in &self.roots {
            hidden::find(&layer.real, rules, &mut found);
        }
        if found.more {
            let note = "[rules hide files here, and there are more names than are looked at for that; the command may \
                        have seen some of them]";
            notes.push(note.to_owned());
        }
        found.paths
    }

    /// What a command needs to see the workspace as the run does. Reads the disk. The error is for the model.
    pub fn prepare(&mut self, context: &ToolContext, view: bool) -> Result<Prepared, String> {
        let mut prepared = Prepared {
            layers: self.caches.clone(),
            tmp: self.tmp.clone(),
            changes: Vec::new(),
            bodies: Vec::new(),
            views: HashMap::new(),
            notes: Vec::new(),
        };
        for layer in &mut self.roots {
            if let Store::Copy(copied) = &mut layer.store {
                copied.refresh(&layer.real, &layer.held, view, &context.denied)?;
            }
            let kind = match &layer.store {
                Store::Overlay { upper, work } => LayerKind::Overlay { upper: upper.clone(), work: work.clone() },
                Store::Copy(copied) => LayerKind::Copy { tree: copied.tree().to_owned() },
            };
            prepared.layers.push(Layer { at: layer.real.clone(), kind, fixed: vec![".git".to_owned()] });
        }
        prepared.layers.sort_by(|a, b| a.at.cmp(&b.at));

        let overlay = context.workspace.overlay(Some(&context.run));
        let mut wanted: HashMap<WsPath, Option<Text>> = HashMap::new();
        for (path, overlaid) in overlay.iter() {
            match overlaid {
                Overlaid::Gone => drop(wanted.insert(path.clone(), None)),
                Overlaid::Text(_) => {
                    // Read again, because an edit is staged against what is seen here.
                    let Ok(seen) = context.workspace.read(Some(&context.run), path) else { continue };
                    wanted.insert(path.clone(), Some(seen.text.clone()));
                    prepared.views.insert(path.clone(), seen);
                }
            }
        }
        let mut bytes = 0;
        for layer in &mut self.roots {
            layer.bring(context, &wanted, view, &mut prepared, &mut bytes);
        }
        if bytes > MAX_BODY {
            return Err(format!("{bytes} bytes of edits are more than a command can be given; save the files first"));
        }
        Ok(prepared)
    }
}

impl RootLayer {
    /// Notes what has to be written into this layer.
    fn bring(
        &mut self,
        context: &ToolContext,
        wanted: &HashMap<WsPath, Option<Text>>,
        view: bool,
        prepared: &mut Prepared,
        total: &mut u64,
    ) {
        let disk = context.workspace.disk();
        let here = |path: &&WsPath| path.root().path() == self.root.path();
        let mut all: Vec<(WsPath, Option<Text>)> =
            wanted.iter().filter(|(path, _)| here(path)).map(|(path, text)| (path.clone(), text.clone())).collect();
        // What the run no longer wants otherwise is again as it is on disk.
        let roots = context.workspace.roots();
        for rel in self.held.keys() {
            let Some(path) = roots.of(&self.root.path().join(rel)).filter(|path| !wanted.contains_key(path)) else {
                continue;
            };
            let text = disk.read(&path).ok().map(|file| Text::from(&*file.text));
            all.push((path, text));
        }
        // What a rule hides is not brought in either: it may stand in an open buffer.
        all.retain(|(path, _)| !hidden::is(&context.denied, path.rel()));
        all.sort_by(|(a, _), (b, _)| a.rel().cmp(b.rel()));
        for (path, text) in all {
            let rel = path.rel();
            let at = if view { self.real.join(rel) } else { self.folder().join(rel) };
            let held = self.held.get(rel);
            match text {
                None => {
                    let gone = matches!(held, Some(Held::Gone)) || held.is_none() && !disk.exists(&path);
                    if !gone {
                        prepared.changes.push(Change::Remove { path: at });
                    }
                    if held.is_some() || !gone {
                        self.held.insert(rel.to_owned(), Held::Gone);
                    }
                }
                Some(text) => {
                    let on_disk = disk.read(&path).ok();
                    let same = match held {
                        Some(Held::Text(held)) => *held == text,
                        Some(Held::Gone) => false,
                        None => on_disk.as_ref().is_some_and(|file| text == *file.text),
                    };
                    if same {
                        continue;
                    }
                    let format = on_disk.as_ref().map_or_else(Format::default, |file| file.format);
                    match encode(&text.to_string(), &format) {
                        Ok(bytes) => {
                            *total += bytes.len() as u64;
                            let mode = if format.mode == 0 { 0o644 } else { format.mode & 0o777 };
                            prepared.changes.push(Change::Write { path: at, mode, len: bytes.len() as u64 });
                            prepared.bodies.push(bytes);
                            self.held.insert(rel.to_owned(), Held::Text(text));
                        }
                        Err(lost) => prepared.notes.push(format!(
                            "{path} is encoded as {}, which has no `{lost}`: the command saw it without your edits",
                            format.encoding.name()
                        )),
                    }
                }
            }
        }
    }
}

/// A door to files of a layer.
pub(super) fn door(folder: &Path) -> Result<(crate::paths::Roots, Disk), String> {
    let root = Root::open("layer", folder).map_err(|error| error.to_string())?;
    let limits = crate::disk::DiskLimits { cache_bytes: 0, ..Default::default() };
    Ok((crate::paths::Roots::new(vec![root]), Disk::new(limits)))
}
