//! Reading all layers of one state of the world: files, settings, environment, command line.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value as Json;

use super::cache::FileCache;
use super::env::{self, EnvSnapshot};
use super::layer::UserLayer;
use super::node::{Node, Value};
use super::place::{Layer, Problem, Severity, Source};
use super::project::ProjectLayer;
use super::read::Reader;

/// Choices that go over everything else.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--model`, or the model chosen in the session.
    pub model: Option<String>,
    /// `--profile`.
    pub profile: Option<String>,
}

/// Where settings come from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The user's file; absent: as the environment says ([`EnvSnapshot::user_file`]).
    pub user_file: Option<PathBuf>,
    /// The `ropeway.toml` of each workspace root, which need not exist.
    pub project_files: Vec<PathBuf>,
    /// `initializationOptions.settings`.
    pub init_settings: Option<Json>,
    /// The answer to `workspace/configuration`, section `ropeway`.
    pub client_settings: Option<Json>,
    /// `initializationOptions.trusted`; `Some(false)`: the folder is not trusted.
    pub trusted: Option<bool>,
    /// The environment.
    pub env: EnvSnapshot,
    /// The command line.
    pub overrides: Overrides,
}

impl Sources {
    /// The user's file, which need not exist.
    pub fn user_file(&self) -> Option<PathBuf> {
        self.user_file.clone().or_else(|| self.env.user_file())
    }

    /// Sets the project files from the workspace roots.
    pub fn set_roots<P: AsRef<Path>>(&mut self, roots: impl IntoIterator<Item = P>) {
        self.project_files = roots.into_iter().map(|root| root.as_ref().join("ropeway.toml")).collect();
    }

    /// Every file that has a say, the user's first; none of them need exist.
    pub fn files(&self) -> impl Iterator<Item = PathBuf> {
        self.user_file().into_iter().chain(self.project_files.iter().cloned())
    }
}

/// One layer as read.
#[derive(Clone, Debug, Default)]
pub(super) struct Read<T> {
    pub(super) layer: T,
    pub(super) problems: Vec<Problem>,
    /// The file is there but could not be read at all: nobody knows what it wants.
    pub(super) unreadable: bool,
    /// It was read at all, as opposed to never looked at.
    pub(super) ever: bool,
}

impl<T> Read<T> {
    pub(super) fn good(&self) -> bool {
        self.problems.iter().all(|problem| problem.severity < Severity::Error)
    }
}

/// All layers, each with its problems.
#[derive(Clone, Debug, Default)]
pub(super) struct Layers {
    pub(super) user: Arc<Read<UserLayer>>,
    pub(super) projects: Vec<(PathBuf, Arc<Read<ProjectLayer>>)>,
    pub(super) init: Arc<Read<UserLayer>>,
    pub(super) client: Arc<Read<UserLayer>>,
    /// Environment, then command line; one entry for each setting.
    pub(super) single: Vec<Arc<Read<UserLayer>>>,
}

impl Layers {
    /// The user's own layers, weakest first.
    pub(super) fn users(&self) -> impl DoubleEndedIterator<Item = &Arc<Read<UserLayer>>> {
        [&self.user, &self.init, &self.client].into_iter().chain(&self.single)
    }

    /// The same with the project files of one root only.
    pub(super) fn of_root(&self, nth: usize) -> Self {
        Self { projects: self.projects.get(nth).cloned().into_iter().collect(), ..self.clone() }
    }

    /// Whether every layer is the very one that `other` has.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let projects = |(a, b): (&(PathBuf, Arc<_>), &(PathBuf, Arc<_>))| a.0 == b.0 && Arc::ptr_eq(&a.1, &b.1);
        self.users().count() == other.users().count()
            && self.users().zip(other.users()).all(|(a, b)| Arc::ptr_eq(a, b))
            && self.projects.len() == other.projects.len()
            && self.projects.iter().zip(&other.projects).all(projects)
    }

    pub(super) fn problems(&self) -> impl Iterator<Item = &Problem> {
        let projects = self.projects.iter().flat_map(|(_, read)| &read.problems);
        self.users().flat_map(|read| &read.problems).chain(projects)
    }
}

/// What can be read without looking at a file: it changes only when the sources do.
#[derive(Clone, Debug, Default)]
pub(super) struct Unfiled {
    init: Arc<Read<UserLayer>>,
    client: Arc<Read<UserLayer>>,
    single: Vec<Arc<Read<UserLayer>>>,
    /// Stands for the user's file where there is not even a place for one.
    homeless: Arc<Read<UserLayer>>,
}

impl Unfiled {
    pub(super) fn read(sources: &Sources) -> Self {
        let options =
            [("--model", "model", &sources.overrides.model), ("--profile", "profile", &sources.overrides.profile)];
        let options = options.into_iter().filter_map(|(name, key, value)| {
            Some((Layer::CommandLine, name, Node::at_key(key, Value::String(value.clone()?))))
        });
        let single = env::nodes(&sources.env)
            .map(|(name, node)| (Layer::Environment, name, node))
            .chain(options)
            .map(|(layer, name, node)| Arc::new(read_node(&Source::without_text(layer, Some(name)), &node)));
        Self {
            init: Arc::new(read_json(Layer::ClientInit, sources.init_settings.as_ref())),
            client: Arc::new(read_json(Layer::ClientSettings, sources.client_settings.as_ref())),
            single: single.collect(),
            homeless: Arc::default(),
        }
    }
}

/// Reads every file, or finds it as it was. Takes as long as the disk: call it off the reactor where files may be slow.
pub(super) fn read(sources: &Sources, unfiled: &Unfiled, cache: &FileCache) -> Layers {
    let user = sources.user_file().map(|path| {
        // A file that the user named himself must be there.
        let required = sources.user_file.is_some() || sources.env.names_user_file();
        let missing = required.then_some("there is no such file; create it, or unset ROPEWAY_CONFIG");
        cache.layer(Layer::User, &path.into(), missing, UserLayer::read)
    });
    let projects = sources.project_files.iter().map(|path| {
        let read = cache.layer(Layer::Project, &path.as_path().into(), None, ProjectLayer::read);
        (path.clone(), read)
    });
    Layers {
        projects: projects.collect(),
        user: user.unwrap_or_else(|| unfiled.homeless.clone()),
        init: unfiled.init.clone(),
        client: unfiled.client.clone(),
        single: unfiled.single.clone(),
    }
}

/// Whether every file looks as it did at the last reading; one `stat` for each.
pub(super) fn are_unchanged(sources: &Sources, cache: &FileCache) -> bool {
    let user = sources.user_file().is_none_or(|path| cache.is_unchanged(Layer::User, &path.into()));
    let project = |path: &PathBuf| cache.is_unchanged(Layer::Project, &path.as_path().into());
    user && sources.project_files.iter().all(project)
}

fn read_json(layer: Layer, settings: Option<&Json>) -> Read<UserLayer> {
    // Some clients send the section inside an object with its name, perhaps beside those of other servers.
    let settings = match settings {
        None | Some(Json::Null) => return Read { ever: true, ..Read::default() },
        Some(Json::Object(map)) => map.get("ropeway").or(settings),
        settings => settings,
    };
    let Some(settings) = settings else { return Read::default() };
    read_node(&Source::without_text(layer, None), &Node::of_json(settings))
}

fn read_node(source: &Source<'_>, node: &Node) -> Read<UserLayer> {
    let mut reader = Reader::new(source);
    let layer = UserLayer::read(&mut reader, node);
    Read::of(layer, reader.finish())
}
