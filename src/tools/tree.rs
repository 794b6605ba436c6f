//! The files below a folder as a run sees them: what the disk holds, with the texts of open buffers and staged
//! edits in place of it, files that only the run has made, and without those it has deleted.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use super::kept::Ask;
use super::pattern::PathFilter;
use super::search::Source;
use super::tool::{Cancel, ToolContext, ToolError};
use super::walk;
use crate::paths::{Kind, Root, WsPath, beneath};
use crate::text::Text;
use crate::workspace::{Overlaid, protected};

/// Which files to list.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a> {
    /// Only those whose path below the folder it accepts.
    pub filter: Option<&'a PathFilter>,
    /// Also those with a name that begins with a dot, or in such a folder.
    pub hidden: bool,
    /// When to be content with what has been found.
    pub until: Option<Instant>,
}

/// The files below one folder, or one file.
#[derive(Debug)]
pub struct Tree {
    base: WsPath,
    root: Arc<Root>,
    /// Paths below the root, in byte order.
    pub rels: Vec<Box<str>>,
    /// Whether there are more: a walk lists so many, and ends in time.
    pub more: bool,
    live: HashMap<Box<str>, Text>,
}

impl Tree {
    /// Lists the files at or below `base`. A path that names one file lists it whatever `wanted` says.
    pub fn list(context: &ToolContext, base: &WsPath, wanted: Wanted<'_>, cancel: &Cancel) -> Result<Self, ToolError> {
        let base = beneath::real(base)?;
        let root = base.root().clone();
        let overlay = context.workspace.overlay(Some(&context.run));
        let mut tree = Self { base: base.clone(), root, rels: Vec::new(), more: false, live: HashMap::new() };
        let on_disk = kind(&base);
        match on_disk {
            Some(Kind::Folder) => {
                let ask = Ask {
                    base: &base,
                    hidden: wanted.hidden,
                    threads: context.limits.threads,
                    until: wanted.until,
                    keep: context.limits.keep_lists,
                };
                let Some(known) = context.lists.whole(ask, cancel) else {
                    return Err(ToolError::for_model("cancelled"));
                };
                let rels = known
                    .range
                    .map(|at| known.list.get(at))
                    .filter(|rel| wanted.filter.is_none_or(|filter| filter.accepts(tree.below_base(rel))));
                tree.rels = rels.map(Into::into).collect();
                tree.more = known.list.more;
            }
            Some(Kind::File) => tree.rels.push(base.rel().into()),
            Some(Kind::Link | Kind::Other) => {
                return Err(ToolError::ForModel(format!("`{base}` is neither a file nor a folder")));
            }
            None => {}
        }
        let mut made = Vec::new();
        for (path, overlaid) in overlay.iter() {
            let Some(rel) = tree.rel_of(path) else { continue };
            let place = tree.rels.binary_search(&rel);
            match overlaid {
                Overlaid::Gone => {
                    if let Ok(place) = place {
                        tree.rels.remove(place);
                    }
                }
                Overlaid::Text(text) => {
                    // What is on disk and not in the list was left out for a reason.
                    if place.is_err() && (*path == base || (tree.wants(&rel, wanted) && beneath::kind(path).is_none()))
                    {
                        made.push(rel.clone());
                    }
                    tree.live.insert(rel, text.clone());
                }
            }
        }
        if on_disk.is_none() && made.is_empty() {
            return Err(ToolError::ForModel(format!("`{base}` does not exist; look for it with list_dir or glob")));
        }
        if !made.is_empty() {
            tree.rels.append(&mut made);
            tree.rels.sort();
        }
        if !context.denied.is_empty() {
            tree.rels.retain(|rel| !context.denied.iter().any(|denied| denied.accepts(rel)));
        }
        Ok(tree)
    }

    /// Leaves out files that may hold secrets, but for one that was named itself: for that one the user is asked. Says
    /// how many.
    pub fn leave_secrets(&mut self) -> usize {
        let before = self.rels.len();
        let base = self.base.rel();
        self.rels.retain(|rel| **rel == *base || !protected::is_secret_rel(rel));
        before - self.rels.len()
    }

    /// The path below our root of what lies at or below the base.
    fn rel_of(&self, path: &WsPath) -> Option<Box<str>> {
        path.is_in(&self.base).then(|| walk::rel(self.root.path(), &path.absolute())).flatten()
    }

    fn wants(&self, rel: &str, wanted: Wanted<'_>) -> bool {
        let below = self.below_base(rel);
        let hidden = below.split('/').any(|part| part.starts_with('.'));
        (wanted.hidden || !hidden) && wanted.filter.is_none_or(|filter| filter.accepts(below))
    }

    fn below_base<'a>(&self, rel: &'a str) -> &'a str {
        rel.strip_prefix(self.base.rel()).map_or(rel, |rest| rest.trim_start_matches('/'))
    }

    /// The text of a file of the list; `None` if it is gone or cannot be read.
    pub fn open(&self, rel: &str) -> Option<Source> {
        if !self.live.is_empty()
            && let Some(text) = self.live.get(rel)
        {
            return Some(Source::Text(text.clone()));
        }
        beneath::open_listed(&self.root, rel).ok().map(Source::File)
    }

    /// A file of the list, as a path.
    pub fn path(&self, rel: &str) -> WsPath {
        self.base.roots().of(&self.root.path().join(rel)).unwrap_or_else(|| self.base.clone())
    }
}

/// What stands at a path that has no links in it.
pub(super) fn kind(path: &WsPath) -> Option<Kind> {
    if path.rel().is_empty() { Some(Kind::Folder) } else { beneath::kind(path) }
}

/// Where a tool that was given no path, or this one, has to look. Roots inside other roots are left out.
pub(super) fn bases(context: &ToolContext, path: Option<&str>) -> Result<Vec<WsPath>, ToolError> {
    let roots = context.workspace.roots();
    match path.map(str::trim) {
        // With several roots `.` is all of them; with one it resolves to it.
        None | Some("" | "." | "./" | "/") => {
            let tops = roots.tops();
            if tops.is_empty() {
                // Says that there is no workspace.
                roots.resolve(".")?;
            }
            let outer = |top: &WsPath| !tops.iter().any(|other| other != top && top.is_in(other));
            Ok(tops.iter().filter(|top| outer(top)).cloned().collect())
        }
        Some(path) => Ok(vec![roots.resolve(path)?]),
    }
}
