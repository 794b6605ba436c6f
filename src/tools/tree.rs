//! The files below a folder as a run sees them: what the disk holds, with the texts of open buffers and staged
//! edits in place of it, files that only the run has made, and without those it has deleted.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use super::kept::{Ask, Files, Known, Lists, OnTheWay};
use super::pattern::PathFilter;
use super::search::Source;
use super::tool::{Cancel, ToolContext, ToolError};
use super::walk;
use crate::paths::{Kind, Root, WsPath, beneath};
use crate::text::Text;
use crate::workspace::Overlaid;

/// Which files are wanted, and how soon.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    /// Also those with a name that begins with a dot, or in such a folder.
    pub hidden: bool,
    /// All of them, so that it is best to list them on all cores before the first is looked at.
    pub all: bool,
    /// When to be content with what has been found.
    pub until: Option<Instant>,
}

/// The files at or below one path.
#[derive(Debug)]
pub struct Tree {
    /// Their paths.
    pub names: Names,
    /// What stands in them.
    pub texts: Texts,
}

/// Paths below the root, parts separated by `/`, in byte order, one after the other.
#[derive(Debug)]
pub struct Names {
    base: WsPath,
    disk: OnDisk,
    /// The next path on the disk, if it has been asked for.
    ahead: Option<String>,
    spare: String,
    /// Files that stand only in memory, in order from the end.
    made: Vec<Box<str>>,
    gone: HashSet<Box<str>>,
    denied: Arc<[PathFilter]>,
    lists: Lists,
    wanted: Wanted,
    threads: usize,
    keep: std::time::Duration,
}

#[derive(Debug)]
enum OnDisk {
    Nothing,
    /// The base is a file.
    One,
    Known(Known),
    Walk(OnTheWay),
}

/// What stands in the files of a [`Tree`].
#[derive(Debug)]
pub struct Texts {
    base: WsPath,
    root: Arc<Root>,
    live: HashMap<Box<str>, Text>,
    /// What stands before a path when it is shown; `None` if that is another thing for each path, because there is a
    /// root within the root.
    front: Option<String>,
}

impl Tree {
    /// The files at or below `base`. A path that names one file lists it whatever `wanted` says.
    pub fn new(context: &ToolContext, base: &WsPath, wanted: Wanted, cancel: &Cancel) -> Result<Self, ToolError> {
        let base = beneath::real(base)?;
        let root = base.root().clone();
        let overlay = context.workspace.overlay(Some(&context.run));
        let (threads, keep) = (context.limits.threads, context.limits.keep_lists);
        let ask = Ask { base: &base, hidden: wanted.hidden, threads, until: wanted.until, keep };
        let found = kind(&base);
        let disk = match found {
            Some(Kind::Folder) if wanted.all => context.lists.whole(ask, cancel).map(OnDisk::Known),
            Some(Kind::Folder) => context.lists.begin(ask, cancel).map(|files| match files {
                Files::Known(known) => OnDisk::Known(known),
                Files::Walk(walk) => OnDisk::Walk(walk),
            }),
            Some(Kind::File) => Some(OnDisk::One),
            Some(Kind::Link | Kind::Other) => {
                return Err(ToolError::ForModel(format!("`{base}` is neither a file nor a folder")));
            }
            None => Some(OnDisk::Nothing),
        };
        let Some(disk) = disk else {
            cancel.check()?;
            return Err(ToolError::for_model("cancelled"));
        };
        let (mut live, mut gone, mut made) = (HashMap::new(), HashSet::new(), Vec::new());
        for (path, overlaid) in overlay.iter() {
            let below = path.is_in(&base).then(|| walk::rel(root.path(), &path.absolute())).flatten();
            let Some(rel) = below else { continue };
            match overlaid {
                Overlaid::Gone => {
                    gone.insert(rel);
                }
                Overlaid::Text(text) => {
                    // What is on disk and not in the list was left out for a reason.
                    if (*path == base || wanted.hidden || !is_hidden(&base, &rel)) && beneath::kind(path).is_none() {
                        made.push(rel.clone());
                    }
                    live.insert(rel, text.clone());
                }
            }
        }
        if found.is_none() && made.is_empty() {
            return Err(ToolError::ForModel(format!("`{base}` does not exist; look for it with list_dir or glob")));
        }
        made.sort_unstable_by(|a, b| b.cmp(a));
        let names = Names {
            base: base.clone(),
            disk,
            ahead: None,
            spare: String::new(),
            made,
            gone,
            denied: context.denied.clone(),
            lists: context.lists.clone(),
            wanted,
            threads,
            keep,
        };
        let front = front(&base);
        Ok(Self { names, texts: Texts { base, root, live, front } })
    }
}

fn is_hidden(base: &WsPath, rel: &str) -> bool {
    below(base, rel).split('/').any(|part| part.starts_with('.'))
}

/// What the model sees before the path below the root, if that is the same for all paths.
fn front(base: &WsPath) -> Option<String> {
    let (roots, root) = (base.roots(), base.root());
    if roots.len() == 1 {
        return Some(String::new());
    }
    let is_alone = !roots.iter().any(|other| !Arc::ptr_eq(other, root) && other.path().starts_with(root.path()));
    let top = roots.tops().into_iter().find(|top| Arc::ptr_eq(top.root(), root));
    top.filter(|_| is_alone).map(|top| format!("{top}/"))
}

/// The path below `base` of a path below its root.
fn below<'a>(base: &WsPath, rel: &'a str) -> &'a str {
    rel.strip_prefix(base.rel()).map_or(rel, |rest| rest.trim_start_matches('/'))
}

impl Names {
    /// Puts the next path into `rel`; `false`: there is none.
    pub fn next(&mut self, rel: &mut String) -> bool {
        loop {
            if self.ahead.is_none() {
                let mut ahead = std::mem::take(&mut self.spare);
                match self.disk.next(&self.base, &mut ahead) {
                    true => self.ahead = Some(ahead),
                    false => self.spare = ahead,
                }
            }
            match (&mut self.ahead, self.made.last()) {
                (None, None) => return false,
                // It has come to the disk since.
                (Some(ahead), Some(made)) if **made == **ahead => {
                    self.made.pop();
                    continue;
                }
                (Some(ahead), made) if made.is_none_or(|made| **ahead < **made) => {
                    std::mem::swap(rel, ahead);
                    self.spare = self.ahead.take().unwrap_or_default();
                    if !self.gone.is_empty() && self.gone.contains(rel.as_str()) {
                        continue;
                    }
                }
                _ => {
                    rel.clear();
                    rel.push_str(&self.made.pop().unwrap_or_default());
                }
            }
            if !self.denied.iter().any(|denied| denied.accepts(rel)) {
                return true;
            }
        }
    }

    /// The part of a path that globs are about.
    pub fn below<'a>(&self, rel: &'a str) -> &'a str {
        below(&self.base, rel)
    }

    /// The path, below the root, that was asked for.
    pub fn base(&self) -> &WsPath {
        &self.base
    }

    /// Ends; says whether there are more files than were listed: a list has its limit, and ends in time. What was
    /// listed to its end is kept.
    pub fn end(self) -> bool {
        match self.disk {
            OnDisk::Nothing | OnDisk::One => false,
            OnDisk::Known(known) => known.list.more,
            OnDisk::Walk(walk) => {
                let more = walk.more();
                if walk.is_at_end() {
                    let Wanted { hidden, until, .. } = self.wanted;
                    let ask = Ask { base: &self.base, hidden, threads: self.threads, until, keep: self.keep };
                    self.lists.keep(ask, walk);
                }
                more
            }
        }
    }
}

impl OnDisk {
    fn next(&mut self, base: &WsPath, rel: &mut String) -> bool {
        rel.clear();
        match self {
            Self::Nothing => false,
            Self::One => {
                rel.push_str(base.rel());
                *self = Self::Nothing;
                true
            }
            Self::Known(known) => match known.range.next() {
                Some(at) => {
                    rel.push_str(known.list.get(at));
                    true
                }
                None => false,
            },
            Self::Walk(walk) => walk.next(|folder, name| {
                rel.push_str(folder);
                if !folder.is_empty() {
                    rel.push('/');
                }
                rel.push_str(name);
            }),
        }
    }
}

impl Texts {
    /// The text of a file of the list; `None` if it is gone or cannot be read.
    pub fn open(&self, rel: &str) -> Option<Source> {
        if !self.live.is_empty()
            && let Some(text) = self.live.get(rel)
        {
            return Some(Source::Text(text.clone()));
        }
        beneath::open_listed(&self.root, rel).ok().map(Source::File)
    }

    /// A file of the list, as the model sees its path: what [`Texts::path`] would show, at a hundredth of the price.
    pub fn shown<'a>(&self, rel: &'a str) -> Cow<'a, str> {
        match &self.front {
            Some(front) if front.is_empty() => Cow::Borrowed(rel),
            Some(front) => Cow::Owned(format!("{front}{rel}")),
            None => Cow::Owned(self.path(rel).to_string()),
        }
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
