//! The configuration in force, and the last good state of each layer.
//!
//! A layer with an error is replaced by its last good state, so a half-typed file changes nothing. Readers take an
//! `Arc` without a lock and keep it; a load swaps the pointer. Each workspace root has a configuration of its own, of
//! which only the project's layer differs.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use super::cache::{self, ConfigCounters, FileCache};
use super::env::EnvSnapshot;
use super::file;
use super::layer::UserLayer;
use super::layers::{self, Layers, Sources, Unfiled};
use super::off;
use super::place::{Layer, Problem, Severity};
use super::project::ProjectLayer;
use super::resolve::{Config, Loaded, in_order, resolve};
use crate::metrics::Op;

/// How long a parsed file may be used unless `ROPEWAY_CONFIG_CACHE_TTL` says otherwise.
pub(super) const TTL: Duration = Duration::from_secs(300);

/// Keeps the configuration in force.
#[derive(Debug)]
pub struct ConfigStore {
    current: ArcSwap<Current>,
    /// Held while files are read; nobody who only reads the configuration waits for it.
    state: Mutex<State>,
    cache: FileCache,
    loads: AtomicU64,
    load_nanos: AtomicU64,
}

/// What readers see, all of one moment.
#[derive(Debug)]
struct Current {
    /// With the layers of all roots.
    loaded: Loaded,
    /// Each root with its configuration, the longest path first; empty where there is only one.
    roots: Vec<(PathBuf, Arc<Config>)>,
}

#[derive(Debug)]
struct State {
    sources: Sources,
    unfiled: Unfiled,
    /// The layers as they were last read.
    read: Layers,
    good: Layers,
    /// What the configuration in force was made of.
    used: Layers,
    /// The configuration in force has no error left of its own.
    sound: bool,
    /// Whether there was a load since the sources changed.
    fresh: bool,
}

/// The time to live of parsed files, as far as the environment can be understood.
pub(super) fn ttl(env: &EnvSnapshot) -> Option<Duration> {
    if env.os("ROPEWAY_CONFIG_CACHE_TTL").is_none() && off::is_off(env, off::CONFIG_CACHE) {
        return Some(Duration::ZERO);
    }
    let seconds = env.text("ROPEWAY_CONFIG_CACHE_TTL")?.trim().parse::<u32>().ok()?;
    Some(Duration::from_secs(seconds.into()))
}

impl ConfigStore {
    /// Loads for the first time. A layer with errors has no good state yet: what can be used of it is.
    pub fn new(sources: Sources) -> Self {
        let cache = FileCache::new(ttl(&sources.env).unwrap_or(TTL));
        let empty = Loaded { config: Arc::default(), problems: Arc::new([]), took: Duration::ZERO };
        let state = State {
            unfiled: Unfiled::read(&sources),
            sources,
            read: Layers::default(),
            good: Layers::default(),
            used: Layers::default(),
            sound: false,
            fresh: false,
        };
        let store = Self {
            current: ArcSwap::from_pointee(Current { loaded: empty, roots: Vec::new() }),
            state: Mutex::new(state),
            cache,
            loads: AtomicU64::new(0),
            load_nanos: AtomicU64::new(0),
        };
        store.reload();
        store
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The settings in force for work that belongs to no file: a pointer's copy, without a lock. The project files of
    /// all roots tighten it.
    pub fn current(&self) -> Arc<Config> {
        self.current.load().loaded.config.clone()
    }

    /// The settings in force for a file: with the project file of the deepest root that holds it.
    pub fn of(&self, file: &Path) -> Arc<Config> {
        let current = self.current.load();
        let root = current.roots.iter().find(|(root, _)| file.starts_with(root));
        root.map_or_else(|| current.loaded.config.clone(), |(_, config)| config.clone())
    }

    /// The settings in force with all that is wrong with what the layers say now.
    pub fn loaded(&self) -> Loaded {
        self.current.load().loaded.clone()
    }

    /// The sources as they are.
    pub fn sources(&self) -> Sources {
        self.state().sources.clone()
    }

    /// What cache and loads have done so far.
    pub fn counters(&self) -> ConfigCounters {
        ConfigCounters {
            loads: self.loads.load(Relaxed),
            load_time: Duration::from_nanos(self.load_nanos.load(Relaxed)),
            ..self.cache.counters()
        }
    }

    /// Changes the sources (roots, the editor's settings, the session's model) and loads again.
    pub fn update(&self, change: impl FnOnce(&mut Sources)) -> Loaded {
        let mut state = self.state();
        change(&mut state.sources);
        state.unfiled = Unfiled::read(&state.sources);
        state.fresh = false;
        self.load(&mut state);
        drop(state);
        self.loaded()
    }

    /// Looks at every file; what has not changed is not read again.
    pub fn reload(&self) -> Loaded {
        self.load(&mut self.state());
        self.loaded()
    }

    /// Loads again if a file has changed since; one `stat` a file if none has. `None`: everything is as it was.
    pub fn refresh(&self) -> Option<Loaded> {
        let mut state = self.state();
        if state.fresh && layers::are_unchanged(&state.sources, &self.cache) {
            return None;
        }
        let changed = self.load(&mut state);
        drop(state);
        changed.then(|| self.loaded())
    }

    /// Everything that would be wrong if one of the configuration's files held this text, in the order of the text;
    /// `None` if it is none of them.
    pub fn check_text(&self, file: &Path, text: &str) -> Option<Vec<Problem>> {
        let (sources, mut layers) = {
            let state = self.state();
            (state.sources.clone(), state.used.clone())
        };
        let path: Arc<Path> = file.into();
        if let Some(problem) = file::too_large(Layer::User, &path, text.len() as u64) {
            return sources.files().any(|other| other == file).then(|| vec![*problem]);
        }
        let (own, whole) = if sources.user_file().as_deref() == Some(file) {
            layers.user = Arc::new(cache::parse(Layer::User, &path, text, UserLayer::read));
            (layers.user.problems.clone(), !layers.user.unreadable)
        } else {
            let nth = sources.project_files.iter().position(|other| other == file)?;
            let project = Arc::new(cache::parse(Layer::Project, &path, text, ProjectLayer::read));
            let own = (project.problems.clone(), !project.unreadable);
            layers = layers.of_root(nth);
            layers.projects = vec![(file.to_owned(), project)];
            own
        };
        let mut problems = own;
        if whole {
            let more = resolve(&sources, &layers).1;
            problems.extend(more.into_iter().filter(|problem| problem.origin.file.as_ref() == Some(&path)));
        }
        in_order(&mut problems);
        Some(problems)
    }

    /// Says whether anything has changed.
    fn load(&self, state: &mut State) -> bool {
        let _span = Op::ConfigLoad.trace().entered();
        let began = Instant::now();
        let read = layers::read(&state.sources, &state.unfiled, &self.cache);
        let changed = !(state.fresh && read.is_same(&state.read));
        if changed {
            self.put_in_force(state, read, began);
        }
        let nanos = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.loads.fetch_add(1, Relaxed);
        self.load_nanos.fetch_add(nanos, Relaxed);
        changed
    }

    fn put_in_force(&self, state: &mut State, read: Layers, began: Instant) {
        let mut problems: Vec<_> = read.problems().cloned().collect();
        state.read = read.clone();
        state.fresh = true;
        let used = state.keep_good(read);
        let (config, more) = resolve(&state.sources, &used);
        let (roots, more) = of_roots(&state.sources, &used, more);
        let sound = more.iter().all(|problem| problem.severity < Severity::Error);
        problems.extend(more);
        in_order(&mut problems);
        let old = self.current.load();
        let replace = sound || !state.sound;
        let (config, roots) = match replace {
            true => (Arc::new(config), roots),
            false => (old.loaded.config.clone(), old.roots.clone()),
        };
        if replace {
            state.sound = sound;
            state.used = used;
        }
        let loaded = Loaded { config, problems: problems.into(), took: began.elapsed() };
        self.current.store(Arc::new(Current { loaded, roots }));
    }
}

/// The configuration of each root, and what is wrong with them: a root's file is judged by what is in force there, not
/// by what another root makes of it.
fn of_roots(sources: &Sources, layers: &Layers, all: Vec<Problem>) -> (Vec<(PathBuf, Arc<Config>)>, Vec<Problem>) {
    if layers.projects.len() < 2 {
        return (Vec::new(), all);
    }
    let mut problems: Vec<Problem> = Vec::new();
    let mut roots = Vec::new();
    for (nth, (file, _)) in layers.projects.iter().enumerate() {
        let (mut config, more) = resolve(sources, &layers.of_root(nth));
        // A run may reach into every root, so what a root's file forbids or asks holds there, whoever comes.
        for (other, (_, project)) in layers.projects.iter().enumerate() {
            if other != nth {
                project.layer.guard(&mut config);
            }
        }
        let new: Vec<_> = more.into_iter().filter(|problem| !problems.contains(problem)).collect();
        problems.extend(new);
        roots.push((file.parent().unwrap_or(file).to_owned(), Arc::new(config)));
    }
    roots.sort_by_key(|(root, _)| std::cmp::Reverse(root.components().count()));
    (roots, problems)
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
