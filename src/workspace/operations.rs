//! Staging what happens to whole files: make, remove, rename, and what these come to in a row.
//!
//! The rule is that only the difference to the user's files counts: made and removed again is nothing, removed and
//! made again is an edit, renamed twice is renamed once.

use super::Workspace;
use super::carry::{self, Carried};
use super::entry::{Entry, Home, Phase, Want};
use super::staging::{StageError, Staged};
use super::view::{At, is_blocked};
use crate::ids::RunId;
use crate::paths::{WsPath, beneath};
use crate::text::{EditSet, Text};

impl Workspace {
    /// Stages a new file. One that exists, for the run or the user, is refused.
    pub fn stage_create(&self, run: &RunId, path: &WsPath, text: Text) -> Result<Staged, StageError> {
        self.staging(|| self.create(run, path, text))
    }

    fn create(&self, run: &RunId, path: &WsPath, text: Text) -> Result<Staged, StageError> {
        let (path, protection) = self.new_place(path)?;
        let limit = self.disk.limits().max_file_bytes;
        if text.len() as u64 > limit {
            return Err(StageError::TooLarge { path, size: text.len(), limit });
        }
        self.refresh(run, &path);
        let on_disk = beneath::kind(&path).is_some();
        let mut state = self.lock();
        let open = state.open_at(&path).is_some();
        let serial = state.next();
        let area = state.area(run)?;
        if let Some(entry) = area.files.get_mut(&path) {
            if entry.want != Want::Gone || !entry.exists {
                return Err(StageError::Exists(path));
            }
            let edits = carry::difference(&entry.carried.base, &text);
            entry.carried = Carried::new(entry.carried.base.clone(), edits);
            entry.want = Want::Text;
            entry.serial = serial;
            let staged = entry.report(&path);
            state.tell_staged(run, &path);
            return Ok(staged);
        }
        if open || on_disk {
            return Err(StageError::Exists(path));
        }
        area.has_room()?;
        let edits = EditSet::replace(0, 0..0, text.to_string()).map_err(|_| StageError::Unfit(path.clone()))?;
        let entry = Entry {
            want: Want::Text,
            exists: false,
            from: None,
            carried: Carried::new(Text::default(), edits),
            home: Home::Nowhere,
            phase: Phase::Draft,
            protection,
            serial,
        };
        let staged = entry.report(&path);
        area.files.insert(path.clone(), entry);
        state.tell_staged(run, &path);
        Ok(staged)
    }

    /// Stages the removal of a file.
    pub fn stage_delete(&self, run: &RunId, path: &WsPath) -> Result<Staged, StageError> {
        self.staging(|| self.delete(run, path))
    }

    fn delete(&self, run: &RunId, path: &WsPath) -> Result<Staged, StageError> {
        let now = self.read(Some(run), path)?;
        let protection = self.allowed(&now.path)?.max(self.allowed(&now.asked)?);
        let path = now.path;
        let mut state = self.lock();
        if state.is_unsynced(&path) {
            return Err(StageError::Unsynced(path));
        }
        let serial = state.next();
        let area = state.area(run)?;
        let Some(entry) = area.files.get_mut(&path) else {
            area.has_room()?;
            let entry = Entry {
                want: Want::Gone,
                exists: true,
                from: None,
                carried: Carried::nothing(now.text),
                home: home_of(now.seen.0),
                phase: Phase::Draft,
                protection,
                serial,
            };
            let staged = entry.report(&path);
            area.files.insert(path.clone(), entry);
            state.tell_staged(run, &path);
            return Ok(staged);
        };
        if entry.is_sent() {
            return Err(StageError::Busy(path));
        }
        entry.want = Want::Gone;
        entry.carried = Carried::nothing(entry.carried.base.clone());
        entry.protection = entry.protection.max(protection);
        entry.serial = serial;
        let mut staged = entry.report(&path);
        if !entry.exists {
            // Never there for the user: either it was made, or it still has its old name.
            let (from, base) = (entry.from.take(), entry.carried.base.clone());
            area.files.remove(&path);
            if let Some(original) = from.as_ref().and_then(|from| area.files.get_mut(from)) {
                original.want = Want::Gone;
                original.carried = Carried::nothing(base);
                original.serial = serial;
            }
            staged.before = Text::default();
        }
        state.tell_staged(run, &path);
        Ok(staged)
    }

    /// Stages another name for a file; the name must be free, for the run and the user.
    pub fn stage_rename(&self, run: &RunId, from: &WsPath, to: &WsPath) -> Result<Staged, StageError> {
        self.staging(|| self.rename(run, from, to))
    }

    fn rename(&self, run: &RunId, from: &WsPath, to: &WsPath) -> Result<Staged, StageError> {
        let now = self.read(Some(run), from)?;
        let from = now.path.clone();
        let from_protection = self.allowed(&from)?.max(self.allowed(&now.asked)?);
        let (to, to_protection) = self.new_place(to)?;
        if from == to {
            return Err(StageError::Exists(to));
        }
        self.refresh(run, &to);
        let on_disk = beneath::kind(&to).is_some();
        let mut state = self.lock();
        if state.is_unsynced(&from) {
            return Err(StageError::Unsynced(from));
        }
        let open = state.open_at(&to).is_some();
        let serial = state.next();
        let area = state.area(run)?;
        area.has_room()?;
        let busy = [&from, &to].into_iter().find(|path| area.files.get(path).is_some_and(Entry::is_sent));
        if let Some(busy) = busy {
            return Err(StageError::Busy(busy.clone()));
        }
        let target = area.files.get(&to);
        let home = match target.map(|target| &target.want) {
            // Back to its own name.
            Some(Want::Moved(away)) => *away == from,
            Some(Want::Text) => return Err(StageError::Exists(to)),
            Some(Want::Gone) => false,
            None if open || on_disk => return Err(StageError::Exists(to)),
            None => false,
        };
        let mut entry = area.files.remove(&from).unwrap_or_else(|| Entry {
            want: Want::Text,
            exists: true,
            from: None,
            carried: Carried::nothing(now.text.clone()),
            home: home_of(now.seen.0),
            phase: Phase::Draft,
            protection: from_protection,
            serial,
        });
        entry.serial = serial;
        entry.protection = entry.protection.max(from_protection).max(to_protection);
        let replaced = if home { None } else { area.files.remove(&to) };
        if home {
            area.files.remove(&to);
            entry.from = None;
            entry.exists = true;
        } else if let Some(replaced) = replaced {
            // The name is free only for the run: for the user this is an edit of one file and the removal of another.
            area.forget_old_name(&from, entry.clone(), Want::Gone, serial);
            let wanted = entry.text();
            let edits = carry::difference(&replaced.carried.base, &wanted);
            entry = Entry { carried: Carried::new(replaced.carried.base.clone(), edits), want: Want::Text, ..replaced };
            entry.serial = serial;
        } else if entry.exists || entry.from.is_some() {
            let original = entry.from.clone().unwrap_or_else(|| from.clone());
            area.forget_old_name(&from, entry.clone(), Want::Moved(to.clone()), serial);
            entry.from = Some(original);
            entry.exists = false;
        }
        let staged = entry.report(&to);
        area.files.insert(to.clone(), entry);
        state.tell_staged(run, &to);
        Ok(staged)
    }

    /// Where a new file would really be, and whether it may be made there.
    fn new_place(&self, path: &WsPath) -> Result<(WsPath, super::Protection), StageError> {
        let asked = self.allowed(path)?;
        let folder = path.parent().ok_or_else(|| StageError::NoName(path.clone()))?;
        // The name itself is not followed: a link that leads nowhere is in the way, too.
        let real = self.real(&folder)?.join(path.name())?;
        if is_blocked(&real) {
            return Err(StageError::Blocked(real));
        }
        let protection = self.allowed(&real)?.max(asked);
        Ok((real, protection))
    }
}

fn home_of(at: At) -> Home {
    match at {
        At::Disk { stamp } => Home::Disk(stamp),
        At::Open { .. } | At::Staged { .. } => Home::Open,
    }
}

impl super::entry::Area {
    /// Leaves word at the name that the user has for the file of `entry`, which the run saw as `path`.
    fn forget_old_name(&mut self, path: &WsPath, entry: Entry, want: Want, serial: u64) {
        let original = match (&entry.from, entry.exists) {
            (Some(from), _) => from.clone(),
            (None, true) => path.clone(),
            // Made by the run: the user has no name for it.
            (None, false) => return,
        };
        let left = Entry {
            want,
            exists: true,
            from: None,
            carried: Carried::nothing(entry.carried.base.clone()),
            phase: Phase::Draft,
            serial,
            ..entry
        };
        self.files.insert(original, left);
    }
}
