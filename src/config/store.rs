//! The configuration in force, and the last good state of each layer.
//!
//! A layer with an error is replaced by its last good state, so a half-typed file changes nothing. Readers take an
//! `Arc` and keep it; a reload swaps the pointer.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::file::Stamp;
use super::layers::{self, Layers, Sources};
use super::place::Severity;
use super::resolve::{Config, Loaded, resolve};

/// Keeps the configuration in force.
#[derive(Debug)]
pub struct ConfigStore {
    /// Held for a pointer's copy only.
    current: Mutex<Loaded>,
    /// Held while files are read; nobody who only reads the configuration waits for it.
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    sources: Sources,
    good: Layers,
    stamps: Vec<(PathBuf, Stamp)>,
    /// The configuration in force has no error left of its own.
    sound: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ConfigStore {
    /// Loads for the first time. A layer with errors has no good state yet: what can be used of it is.
    pub fn new(sources: Sources) -> Self {
        let empty = Loaded { config: Arc::default(), problems: Arc::new([]), took: std::time::Duration::ZERO };
        let state = State { sources, good: Layers::default(), stamps: Vec::new(), sound: false };
        let store = Self { current: Mutex::new(empty), state: Mutex::new(state) };
        store.reload();
        store
    }

    /// The settings in force: a pointer's copy.
    pub fn current(&self) -> Arc<Config> {
        lock(&self.current).config.clone()
    }

    /// The settings in force with all that is wrong with what the layers say now.
    pub fn loaded(&self) -> Loaded {
        lock(&self.current).clone()
    }

    /// The sources as they are.
    pub fn sources(&self) -> Sources {
        lock(&self.state).sources.clone()
    }

    /// Changes the sources (roots, the editor's settings, the session's model) and loads again.
    pub fn update(&self, change: impl FnOnce(&mut Sources)) -> Loaded {
        let mut state = lock(&self.state);
        change(&mut state.sources);
        self.load(&mut state)
    }

    /// Reads everything again.
    pub fn reload(&self) -> Loaded {
        self.load(&mut lock(&self.state))
    }

    /// Reads everything again if a file has changed since; one `stat` a file if none has.
    pub fn refresh(&self) -> Option<Loaded> {
        let mut state = lock(&self.state);
        let unchanged = state.stamps.iter().all(|(path, stamp)| Stamp::of(path) == *stamp);
        if unchanged { None } else { Some(self.load(&mut state)) }
    }

    fn load(&self, state: &mut State) -> Loaded {
        let began = Instant::now();
        // Before the reading: a file that changes during it is then read again at the next look.
        state.stamps = state.sources.files().map(|path| (path.clone(), Stamp::of(&path))).collect();
        let read = layers::read(&state.sources);
        let mut problems: Vec<_> = read.problems().cloned().collect();
        let used = state.keep_good(read);
        let (config, more) = resolve(&state.sources, &used);
        let sound = more.iter().all(|problem| problem.severity < Severity::Error);
        problems.extend(more);
        let mut current = lock(&self.current);
        if sound || !state.sound {
            current.config = Arc::new(config);
            state.sound = sound;
        }
        current.problems = problems.into();
        current.took = began.elapsed();
        current.clone()
    }
}

impl State {
    /// The layers to use: as read where they are good, else as they last were good, else what can be used of them.
    fn keep_good(&mut self, mut read: Layers) -> Layers {
        for (new, good) in [
            (&mut read.user, &mut self.good.user),
            (&mut read.init, &mut self.good.init),
            (&mut read.client, &mut self.good.client),
        ] {
            keep(new, good);
        }
        for (path, new) in &mut read.projects {
            match self.good.projects.iter_mut().find(|(known, _)| known == path) {
                Some((_, good)) => keep(new, good),
                None if new.good() => self.good.projects.push((path.clone(), new.clone())),
                None => {}
            }
        }
        let read_paths: Vec<_> = read.projects.iter().map(|(path, _)| path).collect();
        self.good.projects.retain(|(path, _)| read_paths.contains(&path));
        read
    }
}

/// `new` and `good` become the same where one of them is good.
fn keep<T>(new: &mut Arc<layers::Read<T>>, good: &mut Arc<layers::Read<T>>) {
    if new.good() {
        good.clone_from(new);
    } else if good.ever {
        new.clone_from(good);
    }
}
